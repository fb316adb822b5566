/* SPDX-License-Identifier: MIT
 * Permutation test of the difference of two means (Fisher 1935; Pitman 1937). */
#ifndef IB_STATS_PERMUTATION_H
#define IB_STATS_PERMUTATION_H

#include "base/rng.h"
#include "stats/ranktest.h"

/* statistic = mean(b) - mean(a); p = share of the relabellings whose difference is at least as far
 * from zero (within 1e-12 relative). All C(na + nb, nb) of them when there are at most `rounds`
 * (exact); else `rounds` random ones from *rng, and p = (1 + hits) / (1 + rounds), which never is 0
 * (Phipson & Smyth 2010).   work [2 (na + nb)] */
ib_stats_test ib_stats_permutation(const double *a, size_t na, const double *b, size_t nb,
                                   size_t rounds, ib_rng *rng, double *work);

#endif
