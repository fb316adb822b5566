/* SPDX-License-Identifier: MIT
 * Where a series becomes steady, and whether it ever does (measurement.md R18, A9). Used on token
 * times inside a run and on run values in the order run. Nothing is dropped here: the caller keeps
 * all values and reports the steady part.
 *
 * Method: noise from first differences; values clipped near the level of the last half, so that
 * lone spikes stay spikes; penalised least squares segmentation into constant levels (Killick,
 * Fearnhead & Eckley 2012, PELT), done again with a larger noise and penalty where neighbours
 * depend on each other; as in Barrett et al. 2017, the steady part is the last segment together
 * with all before it whose level is equivalent. A start that one decaying exponential explains
 * better than levels ends where it sinks below the noise of one value. The steady part must hold at
 * least half of the values. */
#ifndef IB_STATS_CHANGEPOINT_H
#define IB_STATS_CHANGEPOINT_H

#include <stdbool.h>
#include <stddef.h>

enum {
    IB_STATS_STEADY_MIN = 5,       /* fewer values: unknown */
    IB_STATS_STEADY_POINTS = 4000, /* more are first reduced to medians of equal bins */
    IB_STATS_STEADY_TREND_MIN = 100
};

typedef enum ib_stats_steadiness {
    IB_STATS_STEADY_UNKNOWN, /* too few values */
    IB_STATS_STEADY,         /* from `from` on */
    IB_STATS_NEVER_STEADY    /* no level holds for the last half */
} ib_stats_steadiness;

typedef struct ib_stats_steady {
    ib_stats_steadiness state;
    size_t from;     /* first value of the steady part: 0 = all of it; n when never steady */
    double level;    /* median of the steady part (of the last half when never steady) */
    double noise;    /* standard deviation of one value, from differences */
    size_t segments; /* levels that the segmentation found */
} ib_stats_steady;

/* Doubles of scratch for n values (slopes of the last half included). */
#define IB_STATS_STEADY_WORK(n) (6 * (n) + 2000016)

/* y[n] in order. `trend`: a lasting slope is the law, not a change (latency grows with context):
 * the Theil-Sen line of the last half is taken off first when n >= IB_STATS_STEADY_TREND_MIN and
 * its 99 % interval excludes 0.
 * Levels within max(0.5 %, 1 noise) count as equivalent; changes under 0.05 % of the level as
 * noise. Resolution of `from`: 1 value up to IB_STATS_STEADY_POINTS, else one bin. work
 * [IB_STATS_STEADY_WORK(n)] */
ib_stats_steady ib_stats_find_steady(const double *y, size_t n, bool trend, double *work);

#endif
