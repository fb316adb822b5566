/* SPDX-License-Identifier: MIT
 * See dependence.h. */
#include "stats/dependence.h"

#include "stats/quantile.h"

#include <math.h>
#include <string.h>

double ib_stats_lag1(const double *x, size_t n) {
    double m = ib_stats_mean(x, n), near = 0, all = 0;
    if (n < 3)
        return NAN;
    for (size_t i = 0; i < n; i++) {
        all += (x[i] - m) * (x[i] - m);
        if (i + 1 < n)
            near += (x[i] - m) * (x[i + 1] - m);
    }
    return all > 0 ? near / all : NAN;
}

double ib_stats_lag1_level(const double *x, size_t n, double *work) {
    double centre = ((double)n - 1) / 2, m = ib_stats_mean(x, n), top = 0, bottom = 0;
    if (n < 3)
        return NAN;
    for (size_t i = 0; i < n; i++) {
        double at = (double)i - centre;
        top += at * (x[i] - m);
        bottom += at * at;
    }
    for (size_t i = 0; i < n; i++)
        work[i] = x[i] - m - top / bottom * ((double)i - centre);
    return ib_stats_lag1(work, n);
}

double ib_stats_n_eff(size_t n, double rho) {
    double full = (double)n, eff = full * (1 - rho) / (1 + rho);
    if (isnan(eff) || eff > full)
        return full;
    return eff < 1 && n > 0 ? 1 : eff;
}

double ib_stats_block_length(size_t n) {
    return fmax(10, cbrt((double)n));
}

/* Index of x[i] in sorted[n]: equal values share one, which is all that a quantile asks for. */
static double place(const double *sorted, size_t n, double v) {
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (sorted[mid] < v)
            lo = mid + 1;
        else
            hi = mid;
    }
    return (double)lo;
}

/* NumPy's linear quantile of the multiset that holds sorted[r] count[r] times, n in all. */
static double counted_quantile(const double *sorted, const double *count, size_t n, double q) {
    double v = ((double)n - 1) * (q / 100), below = floor(v), seen = 0;
    size_t r = 0;
    while (r + 1 < n && (seen += count[r]) <= below)
        r++;
    double a = sorted[r];
    if (seen <= below + 1 && v > below) {
        while (r + 1 < n && count[++r] == 0)
            ;
        return a + (sorted[r] - a) * (v - below);
    }
    return a;
}

static void resample(const double *places, size_t n, double p_new, ib_rng *rng, double *count) {
    size_t at = 0;
    memset(count, 0, n * sizeof *count);
    for (size_t i = 0; i < n; i++) {
        at = i == 0 || ib_rng_unit(rng) < p_new ? (size_t)ib_rng_below(rng, n)
             : at + 1 == n                      ? 0
                                                : at + 1;
        count[(size_t)places[at]]++;
    }
}

ib_stats_interval ib_stats_bootstrap_quantile(const double *x, size_t n,
                                              const ib_stats_bootstrap *how, ib_rng *rng,
                                              double *work) {
    ib_stats_interval r = {NAN, NAN, NAN};
    double *sorted = work, *places = work + n, *count = work + 2 * n, *found = work + 3 * n;
    double block = how->block > 0 ? how->block : ib_stats_block_length(n);
    if (n == 0)
        return r;
    memcpy(sorted, x, n * sizeof *x);
    ib_stats_sort(sorted, n);
    r.point = ib_stats_percentile(sorted, n, how->q);
    if (n < 20 || n > UINT32_MAX || how->rounds < 2)
        return r;
    for (size_t i = 0; i < n; i++)
        places[i] = place(sorted, n, x[i]);
    for (size_t b = 0; b < how->rounds; b++) {
        resample(places, n, 1 / block, rng, count);
        found[b] = counted_quantile(sorted, count, n, how->q);
    }
    ib_stats_sort(found, how->rounds);
    r.lo = ib_stats_percentile(found, how->rounds, 50 * how->alpha);
    r.hi = ib_stats_percentile(found, how->rounds, 100 - 50 * how->alpha);
    return r;
}
