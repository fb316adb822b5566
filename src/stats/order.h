/* SPDX-License-Identifier: MIT
 * Selection and ranking: what the rank statistics of this module are made of. Values are finite;
 * callers keep NaN out. Nothing here allocates. */
#ifndef IB_STATS_ORDER_H
#define IB_STATS_ORDER_H

#include <stddef.h>

/* The k-th smallest (0-based, k < n) of x[n]; x is left partly ordered around it: everything in
 * front is <= and everything behind is >=. Expected O(n). Source: Hoare 1961, three-way split. */
double ib_stats_select(double *x, size_t n, size_t k);

/* numpy.median of x[n] in any order; x is reordered. NaN for n == 0. */
double ib_stats_median_of(double *x, size_t n);

/* Ranks 1..n of x[n], ties get their mean rank (scipy.stats.rankdata, "average").
 *   ranks [n]  may not alias x        work [n] scratch
 * Returns the sum of t^3 - t over groups of t tied values, as the tie corrections use it. */
double ib_stats_midranks(const double *x, size_t n, double *ranks, double *work);

#endif
