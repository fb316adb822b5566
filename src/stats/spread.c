/* SPDX-License-Identifier: MIT
 * See spread.h. */
#include "stats/spread.h"

#include "stats/order.h"
#include "stats/quantile.h"

#include <math.h>
#include <string.h>

static double median_copy(const double *x, size_t n, double *work) {
    memcpy(work, x, n * sizeof *x);
    return ib_stats_median_of(work, n);
}

double ib_stats_mad(const double *x, size_t n, double *work) {
    if (n == 0)
        return NAN;
    double m = median_copy(x, n, work);
    for (size_t i = 0; i < n; i++)
        work[i] = fabs(x[i] - m);
    return ib_stats_median_of(work, n) * IB_STATS_MAD_SCALE;
}

double ib_stats_iqr(const double *x, size_t n, double *work) {
    if (n == 0)
        return NAN;
    memcpy(work, x, n * sizeof *x);
    ib_stats_sort(work, n);
    return ib_stats_percentile(work, n, 75) - ib_stats_percentile(work, n, 25);
}

double ib_stats_stdev(const double *x, size_t n, size_t ddof) {
    if (n <= ddof)
        return NAN;
    double m = ib_stats_mean(x, n), squares = 0, rest = 0;
    for (size_t i = 0; i < n; i++) {
        double d = x[i] - m;
        squares += d * d;
        rest += d;
    }
    /* The second term is zero but for the rounding of the mean. */
    return sqrt(fmax(0, squares - rest * rest / (double)n) / (double)(n - ddof));
}

double ib_stats_cv(const double *x, size_t n) {
    double m = ib_stats_mean(x, n);
    return n < 2 || m == 0 ? NAN : ib_stats_stdev(x, n, 1) / m;
}

double ib_stats_slow_share(const double *x, size_t n, double *work) {
    if (n == 0)
        return NAN;
    double limit = 2 * median_copy(x, n, work), slow = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        all += x[i];
        slow += x[i] > limit ? x[i] : 0;
    }
    return all == 0 ? NAN : slow / all;
}

ib_stats_stall ib_stats_longest_stall(const double *x, size_t n, double *work) {
    ib_stats_stall s = {NAN, 0, NAN};
    if (n == 0)
        return s;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[s.at])
            s.at = i;
    s.value = x[s.at];
    s.medians = s.value / median_copy(x, n, work);
    return s;
}
