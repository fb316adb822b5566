/* SPDX-License-Identifier: MIT
 * See permutation.h. */
#include "stats/permutation.h"

#include "stats/quantile.h"
#include "stats/special.h"

#include <math.h>
#include <string.h>

/* The next choice of m indices below n in lexical order; false after the last. */
static bool next_choice(double *index, size_t m, size_t n) {
    size_t i = m;
    while (i > 0 && (size_t)index[i - 1] == n - m + i - 1)
        i--;
    if (i == 0)
        return false;
    index[i - 1]++;
    for (; i < m; i++)
        index[i] = index[i - 1] + 1;
    return true;
}

static size_t count_all(const double *x, size_t n, size_t m, double limit, double *index) {
    size_t hits = 0;
    for (size_t i = 0; i < m; i++)
        index[i] = (double)i;
    do {
        double sum = 0;
        for (size_t i = 0; i < m; i++)
            sum += x[(size_t)index[i]];
        hits += fabs(sum) >= limit;
    } while (next_choice(index, m, n));
    return hits;
}

static size_t count_random(double *x, size_t n, size_t m, double limit, size_t rounds,
                           ib_rng *rng) {
    size_t hits = 0;
    for (size_t k = 0; k < rounds; k++) {
        double sum = 0;
        for (size_t i = 0; i < m; i++) { /* the first m of a shuffle */
            size_t j = i + (size_t)ib_rng_below(rng, n - i);
            double v = x[j];
            x[j] = x[i];
            x[i] = v;
            sum += v;
        }
        hits += fabs(sum) >= limit;
    }
    return hits;
}

ib_stats_test ib_stats_permutation(const double *a, size_t na, const double *b, size_t nb,
                                   size_t rounds, ib_rng *rng, double *work) {
    ib_stats_test r = {NAN, NAN, NAN, false};
    size_t n = na + nb;
    double *x = work, *index = work + n, size = 0, sum = 0;
    if (na == 0 || nb == 0)
        return r;
    r.statistic = ib_stats_mean(b, nb) - ib_stats_mean(a, na);
    memcpy(x, a, na * sizeof *a);
    memcpy(x + na, b, nb * sizeof *b);
    /* Around the common mean a difference of means is a multiple of one sample's sum. */
    double mean = ib_stats_mean(x, n), all = ib_stats_choose(n, nb);
    for (size_t i = 0; i < n; i++) {
        x[i] -= mean;
        size += fabs(x[i]);
        sum += i >= na ? x[i] : 0;
    }
    double limit = fabs(sum) - 1e-12 * size;
    r.exact = all <= (double)rounds;
    r.p = r.exact ? (double)count_all(x, n, nb, limit, index) / all
                  : (1 + (double)count_random(x, n, nb, limit, rounds, rng)) / (1 + (double)rounds);
    return r;
}
