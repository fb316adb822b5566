/* SPDX-License-Identifier: MIT
 * See ranktest.h. */
#include "stats/ranktest.h"

#include "stats/order.h"
#include "stats/quantile.h"
#include "stats/special.h"
#include "stats/spread.h"

#include <math.h>
#include <string.h>

double ib_stats_flip_p(const double *d, size_t n, double observed, double *work) {
    size_t total = 0;
    work[0] = 1;
    for (size_t k = 0; k < n; k++) {
        size_t step = (size_t)d[k];
        memset(work + total + 1, 0, step * sizeof *work);
        total += step;
        if (step == 0)
            continue;
        for (size_t s = total; s >= step; s--)
            work[s] = (work[s] + work[s - step]) / 2;
        for (size_t s = 0; s < step; s++)
            work[s] /= 2;
    }
    double p = 0; /* work[s]: probability that the positive ones sum to s */
    for (size_t s = 0; s <= total; s++)
        if (fabs(2 * (double)s - (double)total) >= fabs(observed))
            p += work[s];
    return p < 1 ? p : 1;
}

/* Ways to choose m of the n doubled ranks with each sum: ways[m * (span + 1) + sum]. */
static void count_choices(const double *ranks, size_t n, size_t m, size_t span, double *ways) {
    memset(ways, 0, (m + 1) * (span + 1) * sizeof *ways);
    ways[0] = 1;
    size_t reach = 0;
    for (size_t i = 0; i < n; i++) {
        size_t r = (size_t)(2 * ranks[i]);
        reach += r;
        for (size_t j = i + 1 < m ? i + 1 : m; j > 0; j--) {
            double *to = ways + j * (span + 1);
            const double *from = to - (span + 1);
            for (size_t s = reach; s >= r; s--)
                to[s] += from[s - r];
        }
    }
}

/* Two-sided p of a sum of ranks of the m chosen ones, from the counts. */
static double counted_p(const double *ranks, size_t n, size_t m, double sum, double *ways) {
    size_t span = n * (n + 1), at = (size_t)rint(2 * sum);
    count_choices(ranks, n, m, span, ways);
    const double *last = ways + m * (span + 1);
    double below = 0, above = 0;
    for (size_t s = 0; s <= span; s++) {
        below += s <= at ? last[s] : 0;
        above += s >= at ? last[s] : 0;
    }
    return fmin(1, 2 * fmin(below, above) / ib_stats_choose(n, m));
}

static double normal_p(double distance, double sigma) {
    return sigma > 0 ? fmin(1, erfc(fmax(0, distance) / sigma / sqrt(2))) : 1;
}

ib_stats_test ib_stats_mann_whitney(const double *a, size_t na, const double *b, size_t nb,
                                    double *work) {
    ib_stats_test r = {NAN, NAN, NAN, false};
    size_t n = na + nb;
    double *all = work, *ranks = work + n, *rest = work + 2 * n;
    if (na == 0 || nb == 0)
        return r;
    memcpy(all, a, na * sizeof *a);
    memcpy(all + na, b, nb * sizeof *b);
    double ties = ib_stats_midranks(all, n, ranks, rest), sum = 0, low = 0;
    for (size_t i = 0; i < n; i++)
        *(i < na ? &low : &sum) += ranks[i];
    double fa = (double)na, fb = (double)nb, fn = (double)n;
    r.statistic = sum - fb * (fb + 1) / 2;
    if (n <= IB_STATS_RANK_EXACT) {
        r.exact = true; /* the smaller side needs the smaller table */
        r.p = na < nb ? counted_p(ranks, n, na, low, rest) : counted_p(ranks, n, nb, sum, rest);
        return r;
    }
    double sigma = sqrt(fa * fb / 12 * (fn + 1 - ties / (fn * (fn - 1))));
    r.p = normal_p(fabs(r.statistic - fa * fb / 2) - 0.5, sigma);
    return r;
}

/* Largest c with P(U <= c - 1) <= alpha / 2, 0 when there is none. */
static size_t critical_count(size_t na, size_t nb, double alpha, double *work) {
    size_t n = na + nb, m = na < nb ? na : nb, span = n * (n + 1);
    double fa = (double)na, fb = (double)nb;
    if (n > IB_STATS_RANK_EXACT) {
        double z = ib_stats_normal_quantile(1 - alpha / 2);
        double c = floor(fa * fb / 2 - z * sqrt(fa * fb * (fa + fb + 1) / 12));
        return c > 0 ? (size_t)c : 0;
    }
    double *ranks = work, *ways = work + n, below = 0, all = ib_stats_choose(n, m);
    for (size_t i = 0; i < n; i++)
        ranks[i] = (double)i + 1;
    count_choices(ranks, n, m, span, ways);
    const double *last = ways + m * (span + 1) + m * (m + 1); /* U = 0, then every other sum */
    size_t c = 0;
    while (c < na * nb && (below += last[2 * c]) / all <= alpha / 2)
        c++;
    return c;
}

ib_stats_interval ib_stats_hodges_lehmann(const double *a, size_t na, const double *b, size_t nb,
                                          double alpha, double *work) {
    ib_stats_interval r = {NAN, NAN, NAN};
    size_t m = na * nb;
    double *diffs = work + IB_STATS_RANK_WORK(na + nb);
    if (m == 0)
        return r;
    for (size_t i = 0; i < na; i++)
        for (size_t j = 0; j < nb; j++)
            diffs[i * nb + j] = b[j] - a[i];
    r.point = ib_stats_median_of(diffs, m);
    size_t c = critical_count(na, nb, alpha, work);
    r.lo = c ? ib_stats_select(diffs, m, c - 1) : -INFINITY;
    r.hi = c ? ib_stats_select(diffs, m, m - c) : INFINITY;
    return r;
}

ib_stats_test ib_stats_signed_rank(const double *d, size_t n, double *work) {
    ib_stats_test r = {0, 1, NAN, true};
    double *size = work, *ranks = work + n, *rest = work + 2 * n;
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (d[i] != 0)
            size[m++] = fabs(d[i]);
    if (m == 0)
        return r;
    double ties = ib_stats_midranks(size, m, ranks, rest), fm = (double)m;
    for (size_t i = 0, k = 0; i < n; i++) {
        r.statistic += d[i] > 0 ? ranks[k] : 0;
        k += d[i] != 0;
    }
    double distance = fabs(r.statistic - fm * (fm + 1) / 4);
    r.exact = m <= IB_STATS_RANK_EXACT;
    if (!r.exact) {
        double sigma = sqrt((fm * (fm + 1) * (2 * fm + 1) - ties / 2) / 24);
        r.p = normal_p(distance - 0.5, sigma);
        return r;
    }
    for (size_t k = 0; k < m; k++)
        ranks[k] *= 2;
    r.p = ib_stats_flip_p(ranks, m, 4 * distance, rest); /* W+ - W- in doubled ranks */
    return r;
}

ib_stats_test ib_stats_welch_log(const double *a, size_t na, const double *b, size_t nb,
                                 double alpha, ib_stats_interval *ratio, double *work) {
    ib_stats_test r = {NAN, NAN, NAN, false};
    ib_stats_interval none = {NAN, NAN, NAN};
    if (ratio)
        *ratio = none;
    for (size_t i = 0; i < na + nb; i++) {
        double v = i < na ? a[i] : b[i - na];
        if (!(v > 0) || na < 2 || nb < 2)
            return r;
        work[i] = log(v);
    }
    double sa = ib_stats_stdev(work, na, 1), sb = ib_stats_stdev(work + na, nb, 1);
    double va = sa * sa / (double)na, vb = sb * sb / (double)nb;
    double shift = ib_stats_mean(work + na, nb) - ib_stats_mean(work, na), se = sqrt(va + vb);
    r.df = (va + vb) * (va + vb) / (va * va / ((double)na - 1) + vb * vb / ((double)nb - 1));
    r.statistic = shift / se;
    r.p = isnan(r.statistic)   ? NAN
          : isinf(r.statistic) ? 0
                               : ib_stats_t_two_sided(r.statistic, r.df);
    if (ratio) {
        double half = isnan(r.df) ? 0 : ib_stats_t_quantile(1 - alpha / 2, r.df) * se;
        *ratio = (ib_stats_interval){exp(shift), exp(shift - half), exp(shift + half)};
    }
    return r;
}

/* Sum of ((rank among all) - (rank in its sample) - its mean)^2 / (n - 1); *mean of the first. */
static double placement_variance(const double *all, const double *own, size_t n, double *mean) {
    double mean_all = ib_stats_mean(all, n), mean_own = ib_stats_mean(own, n), s = 0;
    for (size_t i = 0; i < n; i++) {
        double d = all[i] - own[i] - mean_all + mean_own;
        s += d * d;
    }
    *mean = mean_all;
    return s / ((double)n - 1);
}

ib_stats_test ib_stats_brunner_munzel(const double *a, size_t na, const double *b, size_t nb,
                                      double *work) {
    ib_stats_test r = {NAN, NAN, NAN, false};
    size_t n = na + nb;
    double *all = work, *ranks = work + n, *own = work + 2 * n, *rest = work + 3 * n;
    if (na < 2 || nb < 2)
        return r;
    memcpy(all, a, na * sizeof *a);
    memcpy(all + na, b, nb * sizeof *b);
    (void)ib_stats_midranks(all, n, ranks, rest);
    (void)ib_stats_midranks(a, na, own, rest);
    (void)ib_stats_midranks(b, nb, own + na, rest);
    double ma, mb, fa = (double)na, fb = (double)nb;
    double sa = fa * placement_variance(ranks, own, na, &ma);
    double sb = fb * placement_variance(ranks + na, own + na, nb, &mb);
    r.statistic = fa * fb * (mb - ma) / ((fa + fb) * sqrt(sa + sb));
    if (sa + sb == 0) {
        r.p = mb == ma ? 1 : fmin(1, 2 / ib_stats_choose(n, na));
        return r;
    }
    r.df = (sa + sb) * (sa + sb) / (sa * sa / (fa - 1) + sb * sb / (fb - 1));
    r.p = ib_stats_t_two_sided(r.statistic, r.df);
    return r;
}
