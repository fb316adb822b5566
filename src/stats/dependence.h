/* SPDX-License-Identifier: MIT
 * Neighbouring tokens of one run are not independent: how much, and an interval of a quantile that
 * respects it, for "this run only" (measurement.md 4.1). */
#ifndef IB_STATS_DEPENDENCE_H
#define IB_STATS_DEPENDENCE_H

#include "base/rng.h"
#include "stats/interval.h"

/* sum (x[i]-m)(x[i+1]-m) / sum (x[i]-m)^2, m the mean (Box & Jenkins). NaN for n < 3 or constant x.
 * Take the trend out first: a slope alone makes it nearly 1. */
double ib_stats_lag1(const double *x, size_t n);

/* The same of what is left of x[n] without its least-squares line, so that a slope counts for
 * nothing.   work [n] */
double ib_stats_lag1_level(const double *x, size_t n, double *work);

/* n (1 - rho) / (1 + rho), kept within [1, n]: independent values worth as much for the mean of an
 * AR(1) series. rho NaN counts as 0. */
double ib_stats_n_eff(size_t n, double rho);

/* Mean block length by default: the larger of 10 and n^(1/3). */
double ib_stats_block_length(size_t n);

/* Doubles of scratch for ib_stats_bootstrap_quantile. */
#define IB_STATS_BOOTSTRAP_WORK(n, rounds) (4 * (n) + (rounds))

/* Stationary block bootstrap (Politis & Romano 1994) of the q-th percentile, q in [0, 100]: blocks
 * of geometric length with mean `block` (0 = default) from the circle of x, `rounds` resamples of n
 * values; the interval is the alpha/2 and 1 - alpha/2 quantiles of their percentiles. Draws come
 * from *rng alone. NaN bounds for n < 20 or n >= 2^32: too few values for blocks.
 *   work [IB_STATS_BOOTSTRAP_WORK(n, rounds)] */
typedef struct ib_stats_bootstrap {
    double q, alpha, block;
    size_t rounds;
} ib_stats_bootstrap;

ib_stats_interval ib_stats_bootstrap_quantile(const double *x, size_t n,
                                              const ib_stats_bootstrap *how, ib_rng *rng,
                                              double *work);

#endif
