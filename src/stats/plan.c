/* SPDX-License-Identifier: MIT
 * See plan.h. */
#include "stats/plan.h"

#include "stats/quantile.h"
#include "stats/special.h"

#include <math.h>

enum { MAX_RUNS = 1000000 };

double ib_stats_mdd(double cv, uint64_t runs, double alpha, double power) {
    if (runs < 2)
        return INFINITY;
    double n = (double)runs, df = 2 * n - 2;
    return (ib_stats_t_quantile(1 - alpha / 2, df) + ib_stats_t_quantile(power, df)) * cv *
           sqrt(2 / n);
}

uint64_t ib_stats_runs_for(double cv, double effect, double alpha, double power) {
    uint64_t lo = 1, hi = MAX_RUNS; /* lo is too few */
    while (hi - lo > 1) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (ib_stats_mdd(cv, mid, alpha, power) <= effect)
            hi = mid;
        else
            lo = mid;
    }
    return hi;
}

uint64_t ib_stats_pairs_for(double cv, double effect, double alpha, double power) {
    double runs = (double)ib_stats_runs_for(cv, effect, alpha, power);
    double floor_pairs = ceil(1 - log2(alpha));
    return (uint64_t)fmin(MAX_RUNS, fmax(floor_pairs, ceil(runs * IB_STATS_RANK_FACTOR)));
}

ib_stats_split ib_stats_variance_split(const double *const *x, const size_t *n, size_t runs) {
    ib_stats_split s = {NAN, NAN, NAN, NAN};
    double total = 0, squares = 0, sum = 0, ss_within = 0, ss_between = 0;
    for (size_t k = 0; k < runs; k++) {
        if (n[k] == 0)
            return s;
        double m = ib_stats_mean(x[k], n[k]);
        for (size_t i = 0; i < n[k]; i++)
            ss_within += (x[k][i] - m) * (x[k][i] - m);
        total += (double)n[k];
        squares += (double)n[k] * (double)n[k];
        sum += (double)n[k] * m;
    }
    for (size_t k = 0; k < runs; k++) {
        double d = ib_stats_mean(x[k], n[k]) - sum / total;
        ss_between += (double)n[k] * d * d;
    }
    double groups = (double)runs;
    if (runs < 2 || total <= groups)
        return s;
    s.n0 = (total - squares / total) / (groups - 1);
    s.within = ss_within / (total - groups);
    s.between = fmax(0, (ss_between / (groups - 1) - s.within) / s.n0);
    double of_mean = s.between + s.within / s.n0;
    s.between_share = of_mean > 0 ? s.between / of_mean : NAN;
    return s;
}

uint64_t ib_stats_inner_repeats(double cost_run, double cost_inner, double within, double between) {
    double n = sqrt(cost_run / cost_inner * within / between);
    if (isnan(n) || n < 1)
        return 1;
    return n >= 1e18 ? UINT64_MAX : (uint64_t)ceil(n);
}
