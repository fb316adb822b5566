/* SPDX-License-Identifier: MIT
 * See changepoint.h. */
#include "stats/changepoint.h"

#include "stats/order.h"
#include "stats/spread.h"
#include "stats/trend.h"

#include <math.h>
#include <string.h>

/* All constants were set by simulation (tests/unit/test_stats_acceptance.c, A9). */
#define PENALTY_LN_N 2.5 /* per change, in variances: this many ln n ... */
#define PENALTY_BASE 6.0 /* ... and this, for short series */
#define CLIP 4.0         /* values are kept within so many scatters of the last half */
#define EQUIVALENT 0.005 /* of the level */
#define FLOOR 0.0005     /* of the level: smallest noise assumed */
#define CAP 16.0         /* a value costs at most so many variances */
#define SMALLEST 1e-300  /* noise of a series of zeros */
#define LEADING 4.0      /* noises that a first value may be off before it is warm-up */
#define TREND_ALPHA                                                                                \
    0.01            /* a slope that may be chance is left in: taken off, it would bend the start */
#define MIN_RHO 0.3 /* less than this may be chance */
#define MAX_RHO 0.6 /* more dependence than this is taken for change */
#define HIDDEN_RHO 0.1
#define FEW 3.0 /* of n: widening of a noise that few differences gave */
enum {
    BURST = 4, /* interior segments up to this long are outliers, not levels */
    DEPENDENT_MIN = 50
};

typedef struct series {
    double *y; /* [n] working copy */
    size_t n;
    double level, scatter; /* of the last half: median, MAD x 1.4826 */
    double noise;          /* standard deviation of one value, from differences */
    double raw;            /* the same as if neighbours were independent */
    double penalty;        /* per change, in variances */
} series;

/* sd of one value from |y[i+1] - y[i]|: levels and slow slopes hardly enter. */
static double difference_noise(const series *s, double *work) {
    for (size_t i = 0; i + 1 < s->n; i++)
        work[i] = fabs(s->y[i + 1] - s->y[i]);
    return ib_stats_median_of(work, s->n - 1) * IB_STATS_MAD_SCALE / sqrt(2);
}

/* Dependence of neighbours, from the lag-1 correlation r of the differences, which in an AR(1)
 * series is -(1 - rho) / 2: wandering levels do not look dependent so. Differences
 * beyond three deviations are jumps and are left out. */
static double dependence(const series *s, double noise) {
    double limit = 3 * sqrt(2) * noise, before = 0, near = 0, all = 0;
    if (s->n < DEPENDENT_MIN || !(noise > 0))
        return 0;
    for (size_t i = 0; i + 1 < s->n; i++) {
        double d = s->y[i + 1] - s->y[i];
        d = fabs(d) > limit ? 0 : d;
        near += d * before;
        all += d * d;
        before = d;
    }
    return all > 0 ? 1 + 2 * near / all : 0;
}

/* Sets noise and penalty for neighbours that depend on each other by rho. */
static void allow_for(series *s, double rho) {
    /* The median of few differences may be far too small. */
    s->noise = s->raw / sqrt(1 - rho) * (1 + FEW / (double)s->n);
    s->noise = fmax(s->noise, fmax(FLOOR * fabs(s->level), SMALLEST));
    s->scatter = fmax(s->scatter, s->noise);
    s->penalty = (PENALTY_BASE + PENALTY_LN_N * log((double)s->n)) * (1 + rho) / (1 - rho);
}

static void measure(series *s, double *work) {
    size_t half = s->n / 2;
    memcpy(work, s->y + half, (s->n - half) * sizeof *work);
    s->level = ib_stats_median_of(work, s->n - half);
    s->raw = difference_noise(s, work);
    s->scatter = ib_stats_mad(s->y + half, s->n - half, work);
    allow_for(s, 0);
}

static double median_between(const series *s, size_t from, size_t to, double *work) {
    memcpy(work, s->y + from, (to - from) * sizeof *work);
    return ib_stats_median_of(work, to - from);
}

/* Least squares levels with a penalty per change. start[t] = where the segment that ends before
 * t begins; prune as PELT does. Scratch: 4 (n + 1) doubles. */
static void segment(const series *s, double *start, double *work) {
    size_t n = s->n, kept = 1;
    double *sum = work, *sum2 = work + n + 1, *best = work + 2 * (n + 1),
           *open = work + 3 * (n + 1);
    double penalty = s->penalty;
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
        start[t] = 0;
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

/* Lag-1 correlation around the levels of a first segmentation, values clipped as there. Too many
 * levels hide some of it, hence the fixed addition. */
static double residual_dependence(const series *s, const double *start, double *work) {
    double near = 0, all = 0, limit = 3 * s->noise;
    for (size_t to = s->n; to > 0; to = (size_t)start[to]) {
        size_t from = (size_t)start[to];
        double level = median_between(s, from, to, work), before = 0;
        for (size_t i = from; i < to; i++) {
            double d = fmax(-limit, fmin(limit, s->y[i] - level));
            near += d * before;
            all += d * d;
            before = d;
        }
    }
    return all > 0 ? near / all + HIDDEN_RHO : 0;
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

/* What the first `window` values cost: squared distances in variances, capped so that a spike
 * cannot decide, from the segments' medians. */
static double levels_cost(const series *s, const double *start, size_t window, double *work) {
    double cost = 0;
    for (size_t to = s->n; to > 0; to = (size_t)start[to]) {
        size_t from = (size_t)start[to];
        if (from >= window)
            continue;
        double level = median_between(s, from, to, work);
        for (size_t i = from; i < to && i < window; i++)
            cost += fmin(pow((s->y[i] - level) / s->noise, 2), CAP);
        cost += to < window ? s->penalty : 0;
    }
    return cost;
}

/* The same for level + a exp(-i / tau), a by least squares; *a is set. */
static double ramp_cost(const series *s, double level, double tau, size_t window, double *a) {
    double xy = 0, xx = 0, cost = 0;
    for (size_t i = 0; i < window; i++) {
        double x = exp(-(double)i / tau);
        xy += x * (s->y[i] - level);
        xx += x * x;
    }
    *a = xy / xx;
    for (size_t i = 0; i < window; i++)
        cost += fmin(pow((s->y[i] - level - *a * exp(-(double)i / tau)) / s->noise, 2), CAP);
    return cost;
}

/* A start that decays has no edge for segments to find: where one exponential explains it at
 * less cost than levels do, the boundary is where it sinks below the noise. */
static size_t after_ramp(const series *s, const double *start, size_t from, double *work) {
    size_t window = 2 * from + 8 < s->n ? 2 * from + 8 : s->n;
    double level = median_between(s, from, s->n, work), best = INFINITY, a = 0, tau = 0;
    int tries = (int)(log(2 * (double)window) / log(1.02));
    for (int k = 0; k < tries; k++) { /* time constants from 0.5 to the window */
        double t = 0.5 * pow(1.02, k), height, cost = ramp_cost(s, level, t, window, &height);
        if (cost < best) {
            best = cost;
            a = height;
            tau = t;
        }
    }
    if (best + 2 * s->penalty >= levels_cost(s, start, window, work))
        return from;
    double end = ceil(tau * log(fabs(a) / s->noise));
    return end > 0 && end < (double)s->n ? (size_t)end : from;
}

/* Copies y, without the trend of its last half where asked, reduced to bin medians where long.
 */
static size_t prepare(series *s, const double *y, size_t n, bool trend, double *work) {
    size_t width = (n - 1) / IB_STATS_STEADY_POINTS + 1, half = n / 2;
    double slope = 0;
    if (trend && n >= IB_STATS_STEADY_TREND_MIN) {
        const ib_stats_line line = ib_stats_theil_sen(y + half, n - half, TREND_ALPHA, work);
        slope = line.lo > 0 || line.hi < 0 ? line.slope : 0;
    }
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
    double rho = fmin(dependence(&s, s.raw), residual_dependence(&s, start, rest));
    if (rho > MIN_RHO) {
        allow_for(&s, fmin(rho, MAX_RHO));
        segment(&s, start, rest);
    }
    size_t from = steady_from(&s, start, &r.segments, rest);
    if (from > 1 && from <= s.n / 2)
        from = after_ramp(&s, start, from, rest);
    bool steady = from <= s.n / 2;
    r.state = steady ? IB_STATS_STEADY : IB_STATS_NEVER_STEADY;
    r.from = steady ? from * width : n;
    r.noise = s.noise;
    r.level = median_between(&s, steady ? from : s.n / 2, s.n, rest);
    return r;
}
