/* SPDX-License-Identifier: MIT
 * Are run values one heap or two? A gap test: where it finds two, a report shows modes and no
 * single centre (measurement.md 4.2). */
#ifndef IB_STATS_MODES_H
#define IB_STATS_MODES_H

#include "base/rng.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct ib_stats_modes {
    bool several;     /* p <= alpha */
    double gap;       /* widest gap over the scatter of the two sides around their means */
    double p;         /* of one normal heap; NaN when n is too small */
    double low, high; /* medians of the two sides of the gap */
    size_t n_low;     /* values below the gap */
} ib_stats_modes;

enum { IB_STATS_MODES_MIN = 6, IB_STATS_MODES_ROUNDS = 999 };

/* Statistic: the widest gap between neighbours of sorted x[n] that leaves at least
 * max(2, ceil(n / 5)) values on each side, over the pooled within-side standard deviation. p = (1 +
 * hits) / 1000 against 999 normal samples of n values from *rng (location and scale drop out).
 * Lone outliers never make a mode. Constant x: p = 1.   work [2 n] */
ib_stats_modes ib_stats_find_modes(const double *x, size_t n, double alpha, ib_rng *rng,
                                   double *work);

#endif
