/* SPDX-License-Identifier: MIT
 * Two samples of run values: is one shifted against the other? Every p is two-sided. Ties get mean
 * ranks. Exact laws are counted, not simulated; above their sizes the normal one stands in, and the
 * result says which was used. Nothing allocates: scratch is the caller's. */
#ifndef IB_STATS_RANKTEST_H
#define IB_STATS_RANKTEST_H

#include "stats/interval.h"

enum { IB_STATS_RANK_EXACT = 50 }; /* largest na + nb, or number of differences, counted exactly */

/* Doubles of scratch for n values in all. */
#define IB_STATS_RANK_WORK(n) ((size_t)70000 + 4 * (n))

typedef struct ib_stats_test {
    double statistic, p;
    double df;  /* degrees of freedom where a t law is used, else NaN */
    bool exact; /* p was counted */
} ib_stats_test;

/* P(|sum of +-d[k]| >= |observed|) with fair independent signs; d[k] are whole numbers >= 0 with
 * sum `total` below 2^31. Exact up to n = 53 and to double rounding above. O(n total).
 *   work [total + 1] */
double ib_stats_flip_p(const double *d, size_t n, double observed, double *work);

/* Mann & Whitney 1947: statistic = number of (a, b) with b > a, ties half. Exact with or without
 * ties: p = min(1, 2 min(P(U <= u), P(U >= u))) over all ways to choose b among the na + nb ranks;
 * above IB_STATS_RANK_EXACT normal with continuity and tie correction.
 *   work [IB_STATS_RANK_WORK(na + nb)] */
ib_stats_test ib_stats_mann_whitney(const double *a, size_t na, const double *b, size_t nb,
                                    double *work);

/* Hodges-Lehmann shift of b against a: median of all b[j] - a[i], with the interval that inverts
 * Mann-Whitney (Hollander & Wolfe 1999, 4.3): differences number c and na nb + 1 - c, where c is
 * the largest with P(U <= c - 1) <= alpha / 2 (exact law without ties), for more values by the
 * normal law. Bounds are infinite where no such c exists. work [IB_STATS_RANK_WORK(na + nb) + na *
 * nb] */
ib_stats_interval ib_stats_hodges_lehmann(const double *a, size_t na, const double *b, size_t nb,
                                          double alpha, double *work);

/* Wilcoxon 1945 signed rank of d[n]: zeros are dropped, statistic = rank sum of the positive ones.
 * Above IB_STATS_RANK_EXACT differences normal with continuity and tie correction. p = 1 when all
 * are zero.   work [IB_STATS_RANK_WORK(n)] */
ib_stats_test ib_stats_signed_rank(const double *d, size_t n, double *work);

/* Welch 1947 on natural logs: statistic = t of b against a, Satterthwaite's df; *ratio (may be
 * NULL) gets the geometric mean ratio b/a with its 1 - alpha interval. Values must be positive, two
 * or more a side, else NaN.   work [na + nb] */
ib_stats_test ib_stats_welch_log(const double *a, size_t na, const double *b, size_t nb,
                                 double alpha, ib_stats_interval *ratio, double *work);

/* Brunner & Munzel 2000: statistic W > 0 when b tends to be larger, t law with their df. Where the
 * samples do not overlap W is infinite and p is Mann-Whitney's smallest, 2 / C(na + nb, na).
 * Rejects too often below 10 a side (7-9 % at 5 %).   work [5 (na + nb)] */
ib_stats_test ib_stats_brunner_munzel(const double *a, size_t na, const double *b, size_t nb,
                                      double *work);

#endif
