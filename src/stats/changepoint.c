/* SPDX-License-Identifier: MIT
 * See changepoint.h. */
#include "stats/changepoint.h"

#include "stats/dependence.h"
#include "stats/order.h"
#include "stats/spread.h"
#include "stats/trend.h"

#include <math.h>
#include <string.h>

/* All constants were set by simulation (tests/unit/test_stats_acceptance.c, A9). */
#define PENALTY_LN_N 3.0 /* per change, in variances: this many ln n ... */
#define PENALTY_BASE 6.0 /* ... and this, for short series */
#define CLIP 4.0         /* values are kept within so many scatters of the last half */
#define EQUIVALENT 0.005 /* of the level */
#define FLOOR 0.0005     /* of the level: smallest noise assumed */
#define LEADING 4.0      /* noises that a first value may be off before it is warm-up */
#define MAX_RHO 0.6      /* more dependence than this is taken for change */
enum { BURST = 4 };      /* interior segments up to this long are outliers, not levels */

typedef struct series {
    double *y; /* [n] working copy */
    size_t n;
    double level, scatter; /* of the last half: median, MAD x 1.4826 */
    double noise;          /* sd of one value from differences */
    double inflation;      /* of the variance of a mean by dependence */
} series;

/* sd from |y[i+1] - y[i]|: levels and slow slopes hardly enter. */
static double difference_noise(const double *y, size_t n, double *work) {
    for (size_t i = 0; i + 1 < n; i++)
        work[i] = fabs(y[i + 1] - y[i]);
    return ib_stats_median_of(work, n - 1) * IB_STATS_MAD_SCALE / sqrt(2);
}

static void measure(series *s, double *work) {
    size_t half = s->n / 2;
    const double *last = s->y + half;
    memcpy(work, last, (s->n - half) * sizeof *work);
    s->level = ib_stats_median_of(work, s->n - half);
    s->scatter = ib_stats_mad(last, s->n - half, work);
    s->noise = fmax(difference_noise(s->y, s->n, work), FLOOR * fabs(s->level));
    s->scatter = fmax(s->scatter, s->noise);
    s->inflation = 1;
    if (s->n < 50)
        return;
    for (size_t i = 0; i < s->n - half; i++) /* clipped: spikes hide dependence */
        work[i] = fmax(s->level - CLIP * s->scatter, fmin(s->level + CLIP * s->scatter, last[i]));
    double rho = ib_stats_lag1(work, s->n - half);
    rho = isnan(rho) || rho < 0.1 ? 0 : fmin(rho, MAX_RHO);
    s->inflation = (1 + rho) / (1 - rho);
    s->noise /= sqrt(1 - rho); /* differences of dependent values are too small */
}

/* Least squares levels with a penalty per change. start[t] = where the segment that ends before t
 * begins; prune as PELT does. Scratch: 4 (n + 1) doubles. */
static void segment(const series *s, double *start, double *work) {
    size_t n = s->n, kept = 1;
    double *sum = work, *sum2 = work + n + 1, *best = work + 2 * (n + 1),
           *open = work + 3 * (n + 1);
    double penalty = (PENALTY_BASE + PENALTY_LN_N * log((double)n)) * s->inflation;
    sum[0] = sum2[0] = 0;
    for (size_t i = 0; i < n; i++) {
        double z = (s->y[i] - s->level) / s->noise, c = CLIP * s->scatter / s->noise;
        z = z > c ? c : z < -c ? -c : z;
        sum[i + 1] = sum[i] + z;
        sum2[i + 1] = sum2[i] + z * z;
    }
    best[0] = -penalty;
    open[0] = 0;
    for (size_t t = 1; t <= n; t++) {
        size_t still = 0;
        best[t] = INFINITY;
        for (size_t k = 0; k < kept; k++) {
            size_t from = (size_t)open[k];
            double d = sum[t] - sum[from];
            double cost = best[from] + sum2[t] - sum2[from] - d * d / (double)(t - from);
            if (cost + penalty < best[t]) {
                best[t] = cost + penalty;
                start[t] = (double)from;
            }
        }
        for (size_t k = 0; k < kept; k++) {
            size_t from = (size_t)open[k];
            double d = sum[t] - sum[from];
            double cost = best[from] + sum2[t] - sum2[from] - d * d / (double)(t - from);
            if (cost <= best[t])
                open[still++] = open[k];
        }
        kept = still;
        open[kept++] = (double)t;
    }
}

static double median_between(const series *s, size_t from, size_t to, double *work) {
    memcpy(work, s->y + from, (to - from) * sizeof *work);
    return ib_stats_median_of(work, to - from);
}

/* Walks the segments from the end; returns the first value of the steady part. */
static size_t steady_from(const series *s, const double *start, size_t *segments, double *work) {
    size_t end = s->n, from = (size_t)start[s->n];
    double level = median_between(s, from, end, work);
    double tolerance = fmax(EQUIVALENT * fabs(level), s->noise);
    bool joined = true;
    *segments = 1;
    for (size_t to = from; to > 0;) {
        size_t next = (size_t)start[to];
        ++*segments;
        bool near = fabs(median_between(s, next, to, work) - level) <= tolerance;
        bool burst = to - next <= BURST && next > 0;
        joined = joined && (near || burst);
        if (joined && near)
            from = next;
        to = next;
    }
    /* First values far off are warm-up even where one of them cannot make a segment. */
    while (from < s->n && fabs(s->y[from] - level) > LEADING * fmax(s->noise, s->scatter))
        from++;
    return from;
}

/* Copies y, without the trend of its last half where asked, reduced to bin medians where long. */
static size_t prepare(series *s, const double *y, size_t n, bool trend, double *work) {
    size_t width = (n - 1) / IB_STATS_STEADY_POINTS + 1, half = n / 2;
    double slope = 0;
    if (trend && n >= IB_STATS_STEADY_TREND_MIN)
        slope = ib_stats_theil_sen(y + half, n - half, 0.05, work).slope;
    s->n = n / width;
    for (size_t k = 0; k < s->n; k++) {
        for (size_t i = 0; i < width; i++) {
            size_t at = k * width + i;
            work[i] = y[at] - slope * ((double)at - 0.75 * (double)n);
        }
        s->y[k] = ib_stats_median_of(work, width);
    }
    return width;
}

ib_stats_steady ib_stats_find_steady(const double *y, size_t n, bool trend, double *work) {
    ib_stats_steady r = {IB_STATS_STEADY_UNKNOWN, n, NAN, NAN, 0};
    series s = {.y = work};
    double *start = work + n, *rest = work + 2 * n + 1;
    if (n < IB_STATS_STEADY_MIN)
        return r;
    size_t width = prepare(&s, y, n, trend, rest);
    measure(&s, rest);
    segment(&s, start, rest);
    size_t from = steady_from(&s, start, &r.segments, rest);
    bool steady = from <= s.n / 2;
    r.state = steady ? IB_STATS_STEADY : IB_STATS_NEVER_STEADY;
    r.from = steady ? from * width : n;
    r.noise = s.noise;
    r.level = median_between(&s, steady ? from : s.n / 2, s.n, rest);
    return r;
}
