/* SPDX-License-Identifier: MIT
 * See special.h. */
#include "stats/special.h"

#include <math.h>
#include <stdbool.h>

#define LN_SQRT_2PI 0.91893853320467274178
#define SQRT_2 1.41421356237309504880
#define SQRT_2PI 2.50662827463100050242

/* ln Gamma(x) - ((x - 1/2) ln x - x + ln sqrt(2 pi)), x >= 12: Bernoulli numbers over x^(2k-1). */
static double stirling_rest(double x) {
    static const double c[] = {1.0 / 12,   -1.0 / 360,       1.0 / 1260, -1.0 / 1680,
                               1.0 / 1188, -691.0 / 360360., 1.0 / 156,  -3617.0 / 122400};
    double s = 0, w = 1 / (x * x);
    for (int i = 7; i >= 0; i--)
        s = s * w + c[i];
    return s / x;
}

double ib_stats_ln_gamma(double x) {
    double shift = 1;
    while (x < 12)
        shift *= x++;
    return (x - 0.5) * log(x) - x + LN_SQRT_2PI + stirling_rest(x) - log(shift);
}

/* ln of x^a y^b / B(a, b) without the cancellation that three large ln Gamma would bring. */
static double ln_front(double a, double b, double x, double y) {
    if (a < b)
        return ln_front(b, a, y, x);
    if (a < 12) {
        double g = ib_stats_ln_gamma(a + b) - ib_stats_ln_gamma(a) - ib_stats_ln_gamma(b);
        return g + a * log(x) + b * log(y);
    }
    double s = a + b, rest = stirling_rest(s) - stirling_rest(a);
    if (b < 12) /* ln Gamma(a + b) - ln Gamma(a), term by term */
        return (a - 0.5) * log1p(b / a) + b * log(s) - b + rest - ib_stats_ln_gamma(b) +
               a * log(x) + b * log(y);
    return a * log(x * s / a) + b * log(y * s / b) + 0.5 * log(a / s * b) - LN_SQRT_2PI + rest -
           stirling_rest(b);
}

/* The continued fraction of A&S 26.5.8 by the modified Lentz recurrence. */
static double beta_fraction(double a, double b, double x) {
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double h = d;
    for (int m = 1; m < 100000; m++) {
        double k = m;
        for (int odd = 0; odd < 2; odd++) {
            double num = odd ? -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1))
                             : k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k));
            d = 1 + num * d;
            c = 1 + num / c;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = fabs(c) < tiny ? tiny : c;
            h *= d * c;
        }
        if (fabs(d * c - 1) < 1e-16)
            break;
    }
    return h;
}

double ib_stats_beta_inc(double a, double b, double x, double y) {
    if (!(a > 0) || !(b > 0) || !(x >= 0) || !(y >= 0))
        return NAN;
    if (x == 0 || y == 0)
        return x == 0 ? 0 : 1;
    double front = exp(ln_front(a, b, x, y));
    if (x * (a + b + 2) < a + 1)
        return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, y) / b;
}

double ib_stats_normal_cdf(double z) {
    return 0.5 * erfc(-z / SQRT_2);
}

double ib_stats_normal_quantile(double p) {
    if (!(p >= 0 && p <= 1))
        return NAN;
    if (p == 0 || p == 1)
        return p == 0 ? -INFINITY : INFINITY;
    if (p > 0.5)
        return -ib_stats_normal_quantile(1 - p);
    double r = sqrt(-2 * log(p)); /* A&S 26.2.23 as the start, error under 4.5e-4 */
    double z = -(r - (2.515517 + r * (0.802853 + r * 0.010328)) /
                         (1 + r * (1.432788 + r * (0.189269 + r * 0.001308))));
    for (int i = 0; i < 4;
         i++) { /* Halley: the second derivative of the CDF is -z times the first */
        double u = (ib_stats_normal_cdf(z) - p) * SQRT_2PI * exp(z * z / 2);
        z -= u / (1 + z * u / 2);
    }
    return z;
}

double ib_stats_t_two_sided(double t, double df) {
    if (isinf(t))
        return 0;
    double t2 = t * t;
    return ib_stats_beta_inc(df / 2, 0.5, df / (df + t2), t2 / (df + t2));
}

double ib_stats_t_cdf(double t, double df) {
    double tail = ib_stats_t_two_sided(t, df) / 2;
    return t > 0 ? 1 - tail : tail;
}

static double t_density(double t, double df) {
    double g = -(df + 1) / 2 * log1p(t * t / df);
    double norm = ib_stats_ln_gamma((df + 1) / 2) - ib_stats_ln_gamma(df / 2) -
                  0.5 * log(df * 3.14159265358979323846);
    return exp(norm + g);
}

double ib_stats_t_quantile(double p, double df) {
    if (!(p >= 0 && p <= 1) || !(df > 0))
        return NAN;
    if (p == 0 || p == 1)
        return p == 0 ? -INFINITY : INFINITY;
    if (p == 0.5)
        return 0;
    double tail = p < 0.5 ? p : 1 - p, lo = 0, hi = 1;
    while (ib_stats_t_two_sided(hi, df) / 2 > tail && hi < 1e300)
        hi *= 2;
    double t = hi / 2;
    for (int i = 0; i < 200; i++) { /* Newton on the tail, kept inside the bracket */
        double excess = ib_stats_t_two_sided(t, df) / 2 - tail;
        if (excess > 0)
            lo = t;
        else
            hi = t;
        double next = t + excess / t_density(t, df);
        if (!(next > lo && next < hi))
            next = lo + (hi - lo) / 2;
        bool done = fabs(next - t) <= 2e-16 * fabs(next);
        t = next;
        if (done)
            break;
    }
    return p < 0.5 ? -t : t;
}

double ib_stats_choose(uint64_t n, uint64_t m) {
    double c = 1;
    for (uint64_t i = 1; i <= m; i++)
        c = c * (double)(n - m + i) / (double)i;
    return rint(c);
}

double ib_stats_binomial_cdf(int64_t k, uint64_t n, double p) {
    if (k < 0)
        return 0;
    if ((uint64_t)k >= n)
        return 1;
    return ib_stats_beta_inc((double)(n - (uint64_t)k), (double)k + 1, 1 - p, p);
}
