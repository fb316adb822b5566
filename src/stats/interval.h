/* SPDX-License-Identifier: MIT
 * Intervals: for the centre of repeated runs, and for a percentile inside one sample; and how many
 * values each needs (measurement.md 4.1, 4.2). */
#ifndef IB_STATS_INTERVAL_H
#define IB_STATS_INTERVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ib_stats_interval {
    double point, lo, hi; /* NaN where no interval is possible */
} ib_stats_interval;

/* Geometric mean of positive run values with its Student t interval on logs:
 * exp(mean(ln x) -+ t[1 - alpha/2, n-1] sd(ln x) / sqrt(n)).   work [n] scratch
 * NaN bounds for n < 2; NaN throughout when a value is not positive. */
ib_stats_interval ib_stats_t_log_interval(const double *x, size_t n, double alpha, double *work);

/* Which order statistics bound the q-th percentile (q in (0, 100)) of any continuous law.
 * P(x(lo) <= xi < x(hi)) = F(hi - 1) - F(lo - 1), F binomial(n, q/100); lo is the largest and hi
 * the smallest rank with at most alpha/2 outside on its side. Source: David & Nagaraja 2003, 7.1.
 */
typedef struct ib_stats_rank_interval {
    bool supported;  /* false: n is too small for two bounds */
    uint64_t lo, hi; /* 1-based ranks, 0 where there is none */
    double coverage; /* exact, >= 1 - alpha */
} ib_stats_rank_interval;

ib_stats_rank_interval ib_stats_percentile_ranks(uint64_t n, double q, double alpha);

/* The tail that a two-sided 95 % interval leaves on each side. */
#define IB_STATS_TAIL_95 0.025

/* Smallest n with max(p, 1 - p)^n <= tail, p = q/100: the sample reaches beyond the percentile with
 * certainty 1 - tail. tail 0.025 gives the two-sided 95 % column of measurement.md 4.1, tail 0.01
 * the one-sided 99 % column (MLPerf's). UINT64_MAX for q <= 0 or q >= 100. */
uint64_t ib_stats_min_n(double q, double tail);

#endif
