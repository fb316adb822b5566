/* SPDX-License-Identifier: MIT
 * See outliers.h. */
#include "stats/outliers.h"

#include "stats/order.h"
#include "stats/quantile.h"
#include "stats/spread.h"

#include <math.h>
#include <string.h>

ib_stats_fences ib_stats_tukey_fences(const double *x, size_t n, double *work) {
    memcpy(work, x, n * sizeof *x);
    ib_stats_sort(work, n);
    double q1 = ib_stats_percentile(work, n, 25), q3 = ib_stats_percentile(work, n, 75);
    double iqr = q3 - q1;
    return (ib_stats_fences){q1 - 3 * iqr, q1 - 1.5 * iqr, q3 + 1.5 * iqr, q3 + 3 * iqr};
}

ib_stats_label ib_stats_tukey_label(const ib_stats_fences *f, double x) {
    if (x < f->severe_low)
        return IB_STATS_SEVERE_LOW;
    if (x > f->severe_high)
        return IB_STATS_SEVERE_HIGH;
    if (x < f->mild_low)
        return IB_STATS_MILD_LOW;
    return x > f->mild_high ? IB_STATS_MILD_HIGH : IB_STATS_USUAL;
}

const char *ib_stats_label_name(ib_stats_label label) {
    static const char *const names[] = {"usual", "mild low", "mild high", "severe low",
                                        "severe high"};
    return names[label];
}

void ib_stats_modified_z(const double *x, size_t n, double *z, double *work) {
    memcpy(work, x, n * sizeof *x);
    double m = ib_stats_median_of(work, n), mad = ib_stats_mad(x, n, work);
    for (size_t i = 0; i < n; i++) {
        double d = x[i] - m;
        z[i] = d == 0 ? 0 : d / mad;
    }
}
