/* SPDX-License-Identifier: MIT
 * The lines of the text report that judge the figures above them: how they scatter, whether they
 * move with the context, where they became steady, what stands out, and how the runs agree. With
 * several runs each figure of a run is the median over runs. */
#include "report/writers.h"

#include "record/analysis.h"
#include "stats/order.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum { FEWEST_FOR_TREND = 8, MOST_VALUES = 12 };

typedef struct text {
    ib_buf *out;
    ib_error *err;
    const ib_analysis *a;
    double *column; /* [n_runs] */
} text;

/* Median over runs of a double in ib_run_analysis. */
static double over(const text *t, size_t offset) {
    for (size_t i = 0; i < t->a->n_runs; i++)
        t->column[i] = *(const double *)(const void *)((const char *)&t->a->runs[i] + offset);
    return ib_stats_median_of(t->column, t->a->n_runs);
}

#define OVER(t, member) over(t, offsetof(ib_run_analysis, member))

static const ib_run_analysis *with_longest(const ib_analysis *a) {
    const ib_run_analysis *far = &a->runs[0];
    for (size_t i = 1; i < a->n_runs; i++)
        if (a->runs[i].max > far->max)
            far = &a->runs[i];
    return far;
}

static ib_status spread_line(const text *t) {
    const ib_run_analysis *far = with_longest(t->a);
    ib_number a, b, c;
    IB_TRY(ib_buf_addf(t->out, t->err, "Spread       mean %s ms, MAD x 1.4826 %s ms, IQR %s ms",
                       ib_report_ms(OVER(t, mean), &a), ib_report_ms(OVER(t, mad), &b),
                       ib_report_ms(OVER(t, iqr), &c)));
    IB_TRY(ib_buf_addf(t->out, t->err, "; longest %s ms (%s medians) at token %" PRIu64,
                       ib_report_ms(far->max, &a), ib_report_number(far->stall_medians, 1, &b),
                       far->stall_token));
    if (t->a->n_runs > 1)
        IB_TRY(ib_buf_addf(t->out, t->err, " of run %zu", far->run + 1));
    return ib_buf_addf(t->out, t->err, "; %s %% of the time in gaps above 2 medians\n",
                       ib_report_number(100 * OVER(t, slow_share), 1, &a));
}

static ib_status trend_line(const text *t) {
    const ib_run_analysis *r = &t->a->runs[0];
    ib_number a, b, c, d;
    if (r->n < FEWEST_FOR_TREND)
        return IB_OK;
    IB_TRY(ib_buf_addf(
        t->out, t->err,
        "Trend        %s ns a position of context%s, 95 %% interval %s to %s (this run "
        "only), %s %% per 1,000",
        ib_report_number(r->trend.slope * 1e6, 1, &a), t->a->n_runs > 1 ? " in the first run" : "",
        ib_report_number(r->trend.lo * 1e6, 1, &b), ib_report_number(r->trend.hi * 1e6, 1, &c),
        ib_report_number(r->trend_percent, 2, &d)));
    if (r->n_bins > 1)
        IB_TRY(ib_buf_adds(t->out, "; medians", t->err));
    for (size_t i = 0; i < r->n_bins && r->n_bins > 1; i++)
        IB_TRY(ib_buf_addf(t->out, t->err, "%s %s ms at %" PRIu64 " to %" PRIu64, i ? "," : "",
                           ib_report_ms(r->bins[i].median, &a), r->bins[i].from,
                           r->bins[i].to - 1));
    return ib_buf_addc(t->out, '\n', t->err);
}

static ib_status dependence_line(const text *t) {
    const ib_run_analysis *r = &t->a->runs[0];
    ib_number a, b, c;
    IB_TRY(ib_buf_addf(
        t->out, t->err, "Dependence   lag-1 correlation %s: %s gaps are worth %s independent ones",
        ib_report_number(OVER(t, lag1), 2, &a), ib_report_number((double)r->n, 0, &b),
        ib_report_number(floor(OVER(t, n_effective)), 0, &c)));
    if (isfinite(r->p50_interval.low))
        IB_TRY(ib_buf_addf(t->out, t->err,
                           "; p50 of this run only %s to %s ms (95 %%, block bootstrap)",
                           ib_report_number(r->p50_interval.low, 3, &a),
                           ib_report_number(r->p50_interval.high, 3, &b)));
    return ib_buf_addc(t->out, '\n', t->err);
}

/* Of the run that became steady last; one that never did speaks for all. */
static ib_status steady_line(const text *t) {
    const ib_run_analysis *worst = &t->a->runs[0];
    ib_number a;
    for (size_t i = 1; i < t->a->n_runs; i++)
        if (t->a->runs[i].steady.state == IB_STATS_NEVER_STEADY ||
            (worst->steady.state != IB_STATS_NEVER_STEADY &&
             t->a->runs[i].steady.from > worst->steady.from))
            worst = &t->a->runs[i];
    const ib_stats_steady *s = &worst->steady;
    if (s->state == IB_STATS_STEADY_UNKNOWN)
        return ib_buf_adds(t->out, "Steady       unknown: too few tokens\n", t->err);
    if (s->state == IB_STATS_NEVER_STEADY)
        return ib_buf_addf(t->out, t->err,
                           "Steady       never in run %zu: the level still changes in its second "
                           "half, so no single figure describes it\n",
                           worst->run + 1);
    IB_TRY(ib_buf_addf(t->out, t->err, "Steady       from token %zu on", s->from + 2));
    if (t->a->n_runs > 1)
        IB_TRY(
            ib_buf_addf(t->out, t->err, " in the slowest run to get there (%zu)", worst->run + 1));
    return ib_buf_addf(t->out, t->err, ", level %s ms\n", ib_report_ms(s->level, &a));
}

static ib_status outlier_line(const text *t) {
    size_t mild = 0, severe = 0;
    for (size_t i = 0; i < t->a->n_runs; i++) {
        const size_t *n = t->a->runs[i].n_label;
        mild += n[IB_STATS_MILD_LOW] + n[IB_STATS_MILD_HIGH];
        severe += n[IB_STATS_SEVERE_LOW] + n[IB_STATS_SEVERE_HIGH];
    }
    if (!mild && !severe)
        return IB_OK;
    return ib_buf_addf(t->out, t->err,
                       "Outliers     %zu gaps beyond 1.5 IQR, %zu beyond 3 (Tukey); all are in the "
                       "figures\n",
                       mild, severe);
}

/* --- several runs --- */

static ib_status run_values(const text *t, const ib_over_runs *o) {
    ib_number a;
    IB_TRY(ib_buf_adds(t->out, "Runs         TPOT", t->err));
    for (size_t i = 0; i < o->n && i < MOST_VALUES; i++)
        IB_TRY(ib_buf_addf(t->out, t->err, "%s %s", i ? "," : "",
                           ib_report_number(o->values[i], 3, &a)));
    if (o->n > MOST_VALUES)
        IB_TRY(ib_buf_addf(t->out, t->err, ", and %zu more", o->n - MOST_VALUES));
    return ib_buf_addf(t->out, t->err, " ms; scatter %s %% (CV)",
                       ib_report_number(100 * o->cv, 2, &a));
}

static ib_status order_of_runs(const text *t, const ib_over_runs *o) {
    ib_number a;
    if (isfinite(o->first_excess))
        IB_TRY(ib_buf_addf(t->out, t->err, "; first run %s%s %%", o->first_excess > 0 ? "+" : "",
                           ib_report_number(100 * o->first_excess, 2, &a)));
    if (isfinite(o->order.lo) && o->order.lo * o->order.hi > 0)
        IB_TRY(ib_buf_addf(t->out, t->err, "; DRIFT of %s %% a run",
                           ib_report_number(100 * o->order.slope / o->median, 3, &a)));
    else if (isfinite(o->order.lo))
        IB_TRY(ib_buf_adds(t->out, "; no drift seen", t->err));
    return IB_OK;
}

static ib_status modes(const text *t, const ib_over_runs *o) {
    ib_number a, b;
    if (!o->modes.several)
        return IB_OK;
    return ib_buf_addf(t->out, t->err,
                       "Modes        TWO: %zu runs near %s ms, %zu near %s ms; no single figure "
                       "describes them\n",
                       o->modes.n_low, ib_report_number(o->modes.low, 3, &a), o->n - o->modes.n_low,
                       ib_report_number(o->modes.high, 3, &b));
}

static ib_status detectable_line(const text *t, const ib_over_runs *o) {
    const double share = t->a->split.between_share;
    ib_number a;
    IB_TRY(ib_buf_addf(t->out, t->err,
                       "Detectable   %s %% of TPOT against as many other runs (alpha 0.05, power "
                       "80 %%)",
                       ib_report_number(100 * o->mdd, 2, &a)));
    if (isfinite(share))
        IB_TRY(ib_buf_addf(
            t->out, t->err, "; %s %% of the variance is between runs%s",
            ib_report_number(100 * share, 0, &a),
            share > IB_ANALYSIS_MORE_RUNS ? ": more tokens will not help, more runs will" : ""));
    return ib_buf_addc(t->out, '\n', t->err);
}

static ib_status run_lines(const text *t) {
    const ib_over_runs *o = &t->a->over[IB_RUN_TPOT];
    if (o->n < 2)
        return IB_OK;
    IB_TRY(run_values(t, o));
    IB_TRY(order_of_runs(t, o));
    IB_TRY(ib_buf_addf(
        t->out, t->err, "%s\n",
        o->n < IB_INTERVAL_MIN_RUNS ? "; not enough runs for an interval (5 are needed)" : ""));
    IB_TRY(modes(t, o));
    return detectable_line(t, o);
}

ib_status ib_report_text_statistics(const ib_cell *c, const ib_summary *s, ib_buf *out,
                                    ib_error *err) {
    ib_analysis a;
    if (!s->n_runs || !s->n_itl)
        return IB_OK;
    IB_TRY(ib_analyse(&a, c, s, err));
    text t = {out, err, &a, calloc(a.n_runs + 1, sizeof(double))};
    ib_status st =
        t.column ? spread_line(&t) : ib_fail_memory(err, a.n_runs * sizeof(double), "a report");
    if (st == IB_OK)
        st = trend_line(&t);
    if (st == IB_OK)
        st = dependence_line(&t);
    if (st == IB_OK)
        st = steady_line(&t);
    if (st == IB_OK)
        st = outlier_line(&t);
    if (st == IB_OK)
        st = run_lines(&t);
    free(t.column);
    ib_analysis_clear(&a);
    return st;
}
