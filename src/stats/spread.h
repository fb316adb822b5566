/* SPDX-License-Identifier: MIT
 * How far values lie apart, and how long the slowest took (measurement.md 4.1). Works on doubles in
 * any one unit; results have the same unit. work [n] is scratch and may not alias x. */
#ifndef IB_STATS_SPREAD_H
#define IB_STATS_SPREAD_H

#include <stddef.h>

/* Factor that makes the MAD of normal values their standard deviation: 1 / Phi^-1(3/4). Labels in
 * results read "MAD x 1.4826". */
#define IB_STATS_MAD_SCALE 1.4826

/* Median of |x - median(x)|, times IB_STATS_MAD_SCALE. NaN for n == 0. Source: Hampel 1974. */
double ib_stats_mad(const double *x, size_t n, double *work);
/* Third minus first quartile, NumPy's "linear" quantiles. NaN for n == 0. */
double ib_stats_iqr(const double *x, size_t n, double *work);
/* Standard deviation with divisor n - ddof, two passes; NaN for n <= ddof. */
double ib_stats_stdev(const double *x, size_t n, size_t ddof);
/* stdev(x, ddof 1) / mean(x): a fraction, not per cent. NaN for n < 2 or mean 0. */
double ib_stats_cv(const double *x, size_t n);
/* Sum of the values above 2 x median over the sum of all values: the share of time that was spent
 * in them. NaN for n == 0 or sum 0. */
double ib_stats_slow_share(const double *x, size_t n, double *work);

typedef struct ib_stats_stall {
    double value;   /* the longest, NaN for n == 0 */
    size_t at;      /* its first position, 0-based */
    double medians; /* value / median of all */
} ib_stats_stall;

ib_stats_stall ib_stats_longest_stall(const double *x, size_t n, double *work);

#endif
