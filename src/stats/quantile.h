/* SPDX-License-Identifier: MIT
 * Quantiles by NumPy's "linear" definition, bit for bit, and the roundings the reference prints
 * with. Nothing here depends on the locale. */
#ifndef IB_STATS_QUANTILE_H
#define IB_STATS_QUANTILE_H

#include <stddef.h>
#include <stdint.h>

/* The definition by the name that results carry. */
#define IB_STATS_QUANTILE_NAME "numpy linear"

/* Sorts x ascending in place. */
void ib_stats_sort(double *x, size_t n);
/* q in [0, 100] of the sorted x[n]; NaN for n == 0. */
double ib_stats_percentile(const double *sorted, size_t n, double q);
/* numpy.median of sorted x[n]: mean of the two middle values for even n. */
double ib_stats_median(const double *sorted, size_t n);
/* numpy.mean: pairwise summation in NumPy's order; NaN for n == 0. */
double ib_stats_mean(const double *x, size_t n);
/* numpy.round(x, digits): rint(x * 10^digits) / 10^digits. 0 <= digits <= 15. */
double ib_stats_round_numpy(double x, int digits);
/* Python's round(x, digits) on a float: the correctly rounded decimal of the exact binary value. */
double ib_stats_round_python(double x, int digits);
/* Shortest text that reads back as x, as Python's repr prints it ("35.1", "34.0", "1e+16"). */
size_t ib_stats_repr(double x, char out[32]);
/* "%.<digits>f" with a decimal point in every locale; returns the length, cut to cap - 1. */
size_t ib_stats_fixed(double x, int digits, char *out, size_t cap);
#endif
