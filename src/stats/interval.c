/* SPDX-License-Identifier: MIT
 * See interval.h. */
#include "stats/interval.h"

#include "stats/quantile.h"
#include "stats/special.h"
#include "stats/spread.h"

#include <math.h>

ib_stats_interval ib_stats_t_log_interval(const double *x, size_t n, double alpha, double *work) {
    ib_stats_interval r = {NAN, NAN, NAN};
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] > 0))
            return r;
        work[i] = log(x[i]);
    }
    double m = ib_stats_mean(work, n);
    r.point = exp(m);
    if (n < 2)
        return r;
    double half = ib_stats_t_quantile(1 - alpha / 2, (double)n - 1) * ib_stats_stdev(work, n, 1) /
                  sqrt((double)n);
    r.lo = exp(m - half);
    r.hi = exp(m + half);
    return r;
}

ib_stats_rank_interval ib_stats_percentile_ranks(uint64_t n, double q, double alpha) {
    ib_stats_rank_interval r = {false, 0, 0, 0};
    double p = q / 100, tail = alpha / 2;
    if (n == 0 || n > INT64_MAX || !(p > 0 && p < 1))
        return r;
    /* Largest lo with F(lo - 1) <= tail. */
    uint64_t in = 0, out = n + 1;
    while (out - in > 1) {
        uint64_t mid = in + (out - in) / 2;
        if (ib_stats_binomial_cdf((int64_t)mid - 1, n, p) <= tail)
            in = mid;
        else
            out = mid;
    }
    r.lo = in;
    /* Smallest hi with P(X >= hi) <= tail; the mirrored law keeps that tail exact. */
    in = n + 1;
    out = 0;
    while (in - out > 1) {
        uint64_t mid = out + (in - out) / 2;
        if (ib_stats_binomial_cdf((int64_t)(n - mid), n, 1 - p) <= tail)
            in = mid;
        else
            out = mid;
    }
    r.hi = in > n ? 0 : in;
    r.supported = r.lo > 0 && r.hi > 0;
    if (r.supported)
        r.coverage = ib_stats_binomial_cdf((int64_t)r.hi - 1, n, p) -
                     ib_stats_binomial_cdf((int64_t)r.lo - 1, n, p);
    return r;
}

uint64_t ib_stats_min_n(double q, double tail) {
    double p = q / 100;
    if (!(p > 0) || !(p < 1) || !(tail > 0) || !(tail < 1))
        return UINT64_MAX;
    return (uint64_t)ceil(log(tail) / log(p < 0.5 ? 1 - p : p));
}
