/* SPDX-License-Identifier: MIT
 * Latency against position: a robust line, what is left without it, and medians per context range
 * (measurement.md 4.1). x is the index 0..n-1. */
#ifndef IB_STATS_TREND_H
#define IB_STATS_TREND_H

#include <stddef.h>
#include <stdint.h>

enum {
    IB_STATS_TREND_EXACT = 2000, /* up to here every pair of points is used */
    IB_STATS_TREND_BINS = 1000   /* above: medians of about this many equal bins */
};

/* Doubles of scratch that ib_stats_theil_sen needs for n values: one per pair of points. */
#define IB_STATS_TREND_WORK(n)                                                                     \
    ((n) <= IB_STATS_TREND_EXACT ? (n) * ((n) > 0 ? (n)-1 : 0) / 2 + 1 : (size_t)1100000)

typedef struct ib_stats_line {
    double slope;     /* median of (y[j] - y[i]) / (j - i), i < j, per position; NaN for n < 2 */
    double lo, hi;    /* distribution-free interval of the slope */
    double intercept; /* median(y) - slope * median(x) */
    size_t points;    /* points used: n, or the number of bins */
} ib_stats_line;

/* Theil-Sen line of y[n] with the interval of Sen 1968 eq. 2.6 at confidence 1 - alpha, its ranks
 * rounded as scipy.stats.theilslopes does. Exact for n <= IB_STATS_TREND_EXACT; above, y is
 * replaced by medians of consecutive bins of ceil(n / IB_STATS_TREND_BINS) values placed at their
 * mean positions (a short last bin is left out), and the same line is taken through those. work
 * [IB_STATS_TREND_WORK(n)] */
ib_stats_line ib_stats_theil_sen(const double *y, size_t n, double alpha, double *work);

/* The slope alone, n <= IB_STATS_TREND_EXACT: no interval, no intercept. */
double ib_stats_slope(const double *y, size_t n, double *work);

/* out[i] = y[i] - slope * (i - (n - 1) / 2): the level at the middle stays. out may be y. */
void ib_stats_detrend(const double *y, size_t n, double slope, double *out);

typedef struct ib_stats_bin {
    uint64_t from, to; /* positions [from, to) that the bin holds values of */
    size_t n;
    double median;
} ib_stats_bin;

/* Medians of y[i] at positions first + i, in bins [2^k, 2^(k+1)) cut to what there is; position 0
 * has a bin of its own. Writes at most 65 bins, returns how many.   work [n] */
size_t ib_stats_power_bins(const double *y, size_t n, uint64_t first, ib_stats_bin bins[65],
                           double *work);

#endif
