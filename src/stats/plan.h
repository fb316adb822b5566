/* SPDX-License-Identifier: MIT
 * How many runs, and how much inside each: what a plan can find before anything runs
 * (measurement.md 4.2, 4.3). CV and effects are fractions (0.02 = 2 %). */
#ifndef IB_STATS_PLAN_H
#define IB_STATS_PLAN_H

#include <stddef.h>
#include <stdint.h>

/* The pair-flip rank test needs about 15 % more runs than Welch's t (measurement.md 4.3). */
#define IB_STATS_RANK_FACTOR 1.15

/* Smallest effect found with probability `power` by a two-sided test at alpha with `runs` a side:
 * (t[1 - alpha/2] + t[power]) cv sqrt(2 / runs), 2 runs - 2 degrees of freedom. inf for runs < 2.
 */
double ib_stats_mdd(double cv, uint64_t runs, double alpha, double power);

/* Smallest number of runs a side (>= 2, at most 1,000,000) whose MDD is <= effect. */
uint64_t ib_stats_runs_for(double cv, double effect, double alpha, double power);
/* The same for the default test of pairs: times IB_STATS_RANK_FACTOR, and never fewer pairs than
 * give a two-sided p of 2^(1 - pairs) <= alpha. */
uint64_t ib_stats_pairs_for(double cv, double effect, double alpha, double power);

/* One-way random effects: values of run k are x[k][0..n[k]). Variances by the ANOVA method with the
 * n0 of unequal groups (Searle, Casella & McCulloch 1992, 3.6); a negative between is set to 0. */
typedef struct ib_stats_split {
    double within, between; /* variances of one value; NaN where not estimable */
    double between_share;   /* of the variance of a run's mean: between / (between + within / n0) */
    double n0;
} ib_stats_split;

ib_stats_split ib_stats_variance_split(const double *const *x, const size_t *n, size_t runs);

/* sqrt(cost_run / cost_inner * within / between): inner repeats per run with the least variance for
 * the time spent (Kalibera & Jones 2013, 6.1), at least 1; UINT64_MAX when between is 0. */
uint64_t ib_stats_inner_repeats(double cost_run, double cost_inner, double within, double between);

#endif
