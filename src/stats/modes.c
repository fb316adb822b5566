/* SPDX-License-Identifier: MIT
 * See modes.h. */
#include "stats/modes.h"

#include "stats/quantile.h"

#include <math.h>
#include <string.h>

static double squares(const double *x, size_t n) {
    double m = ib_stats_mean(x, n), s = 0;
    for (size_t i = 0; i < n; i++)
        s += (x[i] - m) * (x[i] - m);
    return s;
}

/* The statistic of sorted x; *split = values below the gap. */
static double widest_gap(const double *x, size_t n, size_t *split) {
    size_t side = (n + 4) / 5 > 2 ? (n + 4) / 5 : 2;
    *split = side;
    for (size_t k = side; k <= n - side; k++)
        if (x[k] - x[k - 1] > x[*split] - x[*split - 1])
            *split = k;
    double gap = x[*split] - x[*split - 1];
    double within = squares(x, *split) + squares(x + *split, n - *split);
    return gap > 0 ? gap / sqrt(within / ((double)n - 2)) : 0;
}

ib_stats_modes ib_stats_find_modes(const double *x, size_t n, double alpha, ib_rng *rng,
                                   double *work) {
    ib_stats_modes r = {false, NAN, NAN, NAN, NAN, 0};
    double *sample = work + n;
    if (n < IB_STATS_MODES_MIN)
        return r;
    memcpy(work, x, n * sizeof *x);
    ib_stats_sort(work, n);
    r.gap = widest_gap(work, n, &r.n_low);
    r.low = ib_stats_median(work, r.n_low);
    r.high = ib_stats_median(work + r.n_low, n - r.n_low);
    size_t hits = 0, split;
    for (int k = 0; k < IB_STATS_MODES_ROUNDS; k++) {
        for (size_t i = 0; i < n; i++)
            sample[i] = ib_rng_normal(rng);
        ib_stats_sort(sample, n);
        hits += widest_gap(sample, n, &split) >= r.gap;
    }
    r.p = (1 + (double)hits) / (1 + (double)IB_STATS_MODES_ROUNDS);
    r.several = r.p <= alpha;
    return r;
}
