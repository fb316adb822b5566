/* SPDX-License-Identifier: MIT
 * Distribution functions, to about 1e-13 relative: normal, Student t, binomial. Pure functions of
 * their arguments; the C library's lgamma is avoided because it writes a global. */
#ifndef IB_STATS_SPECIAL_H
#define IB_STATS_SPECIAL_H

#include <stdint.h>

/* ln Gamma(x), x > 0. Stirling's series after shifting x above 12 (Abramowitz & Stegun 6.1.41). */
double ib_stats_ln_gamma(double x);
/* Regularised incomplete beta I_x(a, b), a, b > 0, 0 <= x <= 1: continued fraction of A&S 26.5.8 by
 * Lentz's method, on the side where it converges fast. y must be 1 - x; giving both keeps small
 * tails exact. */
double ib_stats_beta_inc(double a, double b, double x, double y);

/* P(Z <= z), and its inverse for 0 < p < 1 (-inf, +inf at the ends, NaN outside). */
double ib_stats_normal_cdf(double z);
double ib_stats_normal_quantile(double p);

/* P(T <= t) with df > 0 degrees of freedom, P(|T| >= |t|), and the inverse of the first. */
double ib_stats_t_cdf(double t, double df);
double ib_stats_t_two_sided(double t, double df);
double ib_stats_t_quantile(double p, double df);

/* Ways to choose m of n, m <= n: exact below 2^53. */
double ib_stats_choose(uint64_t n, uint64_t m);

/* P(X <= k) for X binomial(n, p), 0 < p < 1: I_{1-p}(n - k, k + 1). k < 0 gives 0. */
double ib_stats_binomial_cdf(int64_t k, uint64_t n, double p);

#endif
