/* SPDX-License-Identifier: MIT
 * Repeating until an interval is narrow, without paying for the looks: the numbers of runs at which
 * one looks are fixed beforehand, and look k uses alpha_k = 0.05 * 6 / (pi k)^2, which sums to 0.05
 * over all looks there could ever be. So whichever look ends it, the interval holds the centre in
 * at least 95 % of cases (measurement.md R22; Bonferroni over the looks). */
#ifndef IB_STATS_SEQUENTIAL_H
#define IB_STATS_SEQUENTIAL_H

#include "stats/interval.h"

#define IB_STATS_SEQUENTIAL_ALPHA 0.05

/* Runs at look k = 1, 2, ...: 5, 8, 12, 18, 27, ... (half as many again, rounded up). */
size_t ib_stats_look_runs(unsigned k);
double ib_stats_look_alpha(unsigned k);

typedef struct ib_stats_look {
    unsigned k;              /* 0 = n is no number at which one looks */
    double alpha;            /* of this look */
    ib_stats_interval ratio; /* of the geometric mean: Student t on the logs, at 1 - alpha */
    double half_width;       /* larger distance of a bound from the point, as a fraction of it */
} ib_stats_look;

/* x[n] positive run values in order.   work [n] */
ib_stats_look ib_stats_look_at(const double *x, size_t n, double *work);

#endif
