/* SPDX-License-Identifier: MIT
 * See trend.h. */
#include "stats/trend.h"

#include "stats/order.h"
#include "stats/quantile.h"
#include "stats/special.h"

#include <math.h>
#include <string.h>

/* Slopes of all pairs of y[n] at spacing `step`; returns how many. */
static size_t pair_slopes(const double *y, size_t n, double step, double *out) {
    size_t m = 0;
    for (size_t j = 1; j < n; j++)
        for (size_t i = 0; i < j; i++)
            out[m++] = (y[j] - y[i]) / ((double)(j - i) * step);
    return m;
}

double ib_stats_slope(const double *y, size_t n, double *work) {
    if (n < 2)
        return NAN;
    return ib_stats_median_of(work, pair_slopes(y, n, 1, work));
}

/* Sum of t (t - 1) (2t + 5) over groups of equal values of y[n]; y gets sorted. */
static double tie_term(double *y, size_t n) {
    double sum = 0;
    ib_stats_sort(y, n);
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && y[j] == y[i]; j++)
            ;
        double t = (double)(j - i);
        sum += t * (t - 1) * (2 * t + 5);
    }
    return sum;
}

static void slope_interval(ib_stats_line *line, double ties, double alpha, double *slopes,
                           size_t m) {
    double n = (double)line->points, pairs = (double)m;
    double z = ib_stats_normal_quantile(alpha < 0.5 ? alpha / 2 : (1 - alpha) / 2);
    double sigma = sqrt((n * (n - 1) * (2 * n + 5) - ties) / 18);
    double up = fmin(rint((pairs - z * sigma) / 2), pairs - 1);
    double down = fmax(rint((pairs + z * sigma) / 2) - 1, 0);
    line->hi = ib_stats_select(slopes, m, (size_t)up);
    line->lo = ib_stats_select(slopes, m, (size_t)down);
}

ib_stats_line ib_stats_theil_sen(const double *y, size_t n, double alpha, double *work) {
    ib_stats_line line = {NAN, NAN, NAN, NAN, n};
    double binned[IB_STATS_TREND_BINS + 1];
    size_t width = n <= IB_STATS_TREND_EXACT ? 1 : (n - 1) / IB_STATS_TREND_BINS + 1;
    if (n < 2)
        return line;
    if (width > 1) {
        line.points = n / width;
        for (size_t k = 0; k < line.points; k++) {
            /* One bin may be wider than the scratch of the pairs; then every other value serves. */
            size_t skip = width / 1000000 + 1, got = 0;
            for (size_t i = 0; i < width; i += skip)
                work[got++] = y[k * width + i];
            binned[k] = ib_stats_median_of(work, got);
        }
    }
    const double *points = width > 1 ? binned : y;
    memcpy(work, points, line.points * sizeof *work);
    double ties = tie_term(work, line.points);
    double middle = ib_stats_median(work, line.points);
    size_t m = pair_slopes(points, line.points, (double)width, work);
    line.slope = ib_stats_median_of(work, m);
    /* Median position: of the bins' centres, or of 0..n-1. */
    double at = ((double)line.points * (double)width - 1) / 2;
    line.intercept = middle - line.slope * at;
    slope_interval(&line, ties, alpha, work, m);
    return line;
}

void ib_stats_detrend(const double *y, size_t n, double slope, double *out) {
    double centre = ((double)n - 1) / 2;
    for (size_t i = 0; i < n; i++)
        out[i] = y[i] - slope * ((double)i - centre);
}

size_t ib_stats_power_bins(const double *y, size_t n, uint64_t first, ib_stats_bin bins[65],
                           double *work) {
    size_t k = 0;
    for (size_t i = 0; i < n;) {
        uint64_t from = first + i, end = 1;
        while (end && end <= from)
            end <<= 1;
        size_t len = n - i;
        if (end && end - from < len)
            len = (size_t)(end - from);
        memcpy(work, y + i, len * sizeof *y);
        bins[k++] = (ib_stats_bin){from, from + len, len, ib_stats_median_of(work, len)};
        i += len;
    }
    return k;
}
