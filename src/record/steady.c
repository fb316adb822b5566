/* SPDX-License-Identifier: MIT
 * See steady.h. */
#include "record/steady.h"

#include "stats/order.h"
#include "stats/outliers.h"
#include "stats/quantile.h"
#include "stats/trend.h"

#include <stdlib.h>
#include <string.h>

enum { MIN_FOR_LABELS = 8 }; /* fewer values have no fences worth a label */

typedef struct finder {
    const ib_cell *cell;
    ib_steady *out;
    double *gaps, *work;      /* [longest], [need] */
    double *level, *from;     /* [n_runs]: median of each measured run; first steady gap */
    size_t *which;            /* [n_runs]: which run of the cell it is */
    size_t n, n_from, n_seen; /* n_seen: runs long enough to be judged */
} finder;

static bool measured(const ib_run_record *r) {
    return !r->warmup && !r->cancelled && r->n_tokens > 1;
}

/* What find_steady needs for n values, less than its bound for any n. */
static size_t need(size_t n) {
    return 6 * n + 64 + IB_STATS_TREND_WORK(n - n / 2);
}

static void one_run(finder *f, size_t index) {
    const ib_run_record *r = &f->cell->runs[index];
    const size_t n = (size_t)r->n_tokens - 1;
    for (size_t i = 0; i < n; i++)
        f->gaps[i] = (double)(r->stamps_ns[i + 2] - r->stamps_ns[i + 1]);
    const ib_stats_steady s = ib_stats_find_steady(f->gaps, n, true, f->work);
    f->n_seen += s.state != IB_STATS_STEADY_UNKNOWN;
    f->out->n_never += s.state == IB_STATS_NEVER_STEADY;
    if (s.state == IB_STATS_STEADY)
        f->from[f->n_from++] = (double)s.from;
    if (n >= MIN_FOR_LABELS) {
        const ib_stats_fences fences = ib_stats_tukey_fences(f->gaps, n, f->work);
        for (size_t i = 0; i < n; i++)
            f->out->n_slow_tokens += f->gaps[i] > fences.severe_high;
    }
    f->which[f->n] = index;
    f->level[f->n++] = ib_stats_median_of(f->gaps, n);
}

static const char *cause_of(const ib_run_record *r, bool slow) {
    if (!slow)
        return "unknown";
    return r->major_faults                               ? "major page faults"
           : r->throttled_periods                        ? "CPU quota"
           : r->thermal_events                           ? "throttled"
           : r->involuntary_switches * 100 > r->n_tokens ? "preempted"
           : r->steal_ns * 200 > r->window_ns            ? "stolen time"
                                                         : "unknown";
}

static void label_runs(finder *f) {
    if (f->n < MIN_FOR_LABELS)
        return;
    const ib_stats_fences fences = ib_stats_tukey_fences(f->level, f->n, f->work);
    for (size_t i = 0; i < f->n && f->out->n_labels < IB_STEADY_MAX_LABELS; i++) {
        const ib_stats_label l = ib_stats_tukey_label(&fences, f->level[i]);
        if (l != IB_STATS_USUAL)
            f->out->labels[f->out->n_labels++] = (ib_run_label){
                f->which[i], ib_stats_label_name(l),
                cause_of(&f->cell->runs[f->which[i]], f->level[i] > fences.mild_high)};
    }
}

static void judge(finder *f) {
    ib_steady *s = f->out;
    const ib_stats_steady runs = ib_stats_find_steady(f->level, f->n, false, f->work);
    s->n_runs = f->n;
    s->runs = runs.state;
    s->runs_from = runs.state == IB_STATS_STEADY ? runs.from : 0;
    s->tokens = f->n_seen == 0               ? IB_STATS_STEADY_UNKNOWN
                : s->n_never * 2 > f->n_seen ? IB_STATS_NEVER_STEADY
                                             : IB_STATS_STEADY;
    s->tokens_from = f->n_from ? (size_t)ib_stats_median_of(f->from, f->n_from) : 0;
    label_runs(f);
}

ib_status ib_steady_find(ib_steady *out, const ib_cell *cell, ib_error *err) {
    finder f = {.cell = cell, .out = out};
    size_t longest = cell->n_runs;
    *out = (ib_steady){0};
    for (size_t i = 0; i < cell->n_runs; i++)
        longest = cell->runs[i].n_tokens > longest ? (size_t)cell->runs[i].n_tokens : longest;
    const size_t n = cell->n_runs + 1;
    double *room = calloc(longest + 1 + need(longest) + 2 * n, sizeof *room);
    f.which = calloc(n, sizeof *f.which);
    if (!room || !f.which) {
        free(room);
        free(f.which);
        return ib_fail_memory(err, longest * sizeof *room, "the search for a steady state");
    }
    f.gaps = room;
    f.level = f.gaps + longest + 1;
    f.from = f.level + n;
    f.work = f.from + n;
    for (size_t i = 0; i < cell->n_runs; i++)
        if (measured(&cell->runs[i]))
            one_run(&f, i);
    judge(&f);
    free(room);
    free(f.which);
    return IB_OK;
}

const char *ib_steady_name(ib_stats_steadiness s) {
    return s == IB_STATS_STEADY ? "steady" : s == IB_STATS_NEVER_STEADY ? "never" : "unknown";
}
