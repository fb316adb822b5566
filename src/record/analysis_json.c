/* SPDX-License-Identifier: MIT
 * See analysis.h. tools/reference/check_statistics.py computes the same from the stamps. */
#include "record/analysis.h"

#include "record/fields.h"
#include "stats/dependence.h"
#include "stats/interval.h"
#include "stats/quantile.h"

#include <math.h>

static ib_status number(json_t *o, const char *key, double v, ib_error *err) {
    return ib_fields_set(o, key, isfinite(v) ? json_real(v) : json_null(), err);
}

static ib_status count(json_t *o, const char *key, uint64_t v, ib_error *err) {
    return ib_fields_set(o, key, json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v), err);
}

static ib_status child(json_t *o, const char *key, json_t **out, ib_error *err) {
    *out = json_object();
    return ib_fields_set(o, key, *out, err);
}

static ib_status pair(json_t *o, const char *key, double low, double high, ib_error *err) {
    if (!isfinite(low) || !isfinite(high))
        return ib_fields_set(o, key, json_null(), err);
    return ib_fields_set(o, key, json_pack("[ff]", low, high), err);
}

typedef struct figure {
    const char *key;
    double value;
} figure;

static ib_status numbers(json_t *o, const figure *f, size_t n, ib_error *err) {
    for (size_t i = 0; i < n; i++)
        IB_TRY(number(o, f[i].key, f[i].value, err));
    return IB_OK;
}

#define NUMBERS(o, rows, err) numbers(o, rows, sizeof(rows) / sizeof *(rows), err)

/* Those that n independent gaps support; the others are null. */
static ib_status percentiles(json_t *o, const ib_summary *s, const double *ms, double n,
                             ib_error *err) {
    char name[40];
    for (size_t i = 0; i < s->n_itl_percentiles; i++) {
        ib_percentile_name(s->itl[i].q, name);
        IB_TRY(number(o, name, n >= (double)s->itl[i].needs ? ms[i] : NAN, err));
    }
    return IB_OK;
}

/* --- one run --- */

static ib_status trend(const ib_run_analysis *a, json_t *o, ib_error *err) {
    json_t *t, *bins = json_array();
    const figure rows[] = {
        {"slope_ns", a->trend.slope * 1e6},
        {"intercept_ms", a->trend.intercept},
        {"percent_per_1000", a->trend_percent},
        {"residual_p50_ms", a->residual_p50},
        {"residual_p99_ms",
         a->n_effective >= (double)ib_stats_min_n(99, IB_STATS_TAIL_95) ? a->residual_p99 : NAN}};
    ib_status st = child(o, "trend", &t, err);
    if (st == IB_OK)
        st = ib_fields_set(t, "bins", json_incref(bins), err);
    json_decref(bins);
    IB_TRY(st);
    IB_TRY(NUMBERS(t, rows, err));
    IB_TRY(pair(t, "slope_interval_ns", a->trend.lo * 1e6, a->trend.hi * 1e6, err));
    for (size_t i = 0; i < a->n_bins; i++) {
        const ib_stats_bin *b = &a->bins[i];
        if (json_array_append_new(bins, json_pack("{s:I, s:I, s:I, s:f}", "from",
                                                  (json_int_t)b->from, "to", (json_int_t)b->to, "n",
                                                  (json_int_t)b->n, "median_ms", b->median)) != 0)
            return ib_fail_memory(err, 0, "the record's JSON");
    }
    return IB_OK;
}

static const char *state_name(ib_stats_steadiness state) {
    static const char *const names[] = {"unknown", "steady", "never"};
    return names[state];
}

static ib_status steady(const ib_run_analysis *a, json_t *o, ib_error *err) {
    json_t *s;
    bool found = a->steady.state == IB_STATS_STEADY;
    IB_TRY(child(o, "steady", &s, err));
    IB_TRY(ib_fields_set(s, "state", json_string(state_name(a->steady.state)), err));
    IB_TRY(ib_fields_set(s, "from_token",
                         found ? json_integer((json_int_t)a->steady.from + 2) : json_null(), err));
    IB_TRY(count(s, "levels", a->steady.segments, err));
    return number(s, "level_ms", found ? a->steady.level : NAN, err);
}

static ib_status unusual(const ib_run_analysis *a, json_t *o, ib_error *err) {
    static const char *const keys[] = {"usual", "mild_low", "mild_high", "severe_low",
                                       "severe_high"};
    json_t *u, *listed = json_array();
    ib_status st = child(o, "outliers", &u, err);
    if (st == IB_OK)
        st = ib_fields_set(u, "listed", json_incref(listed), err);
    json_decref(listed);
    IB_TRY(st);
    for (size_t i = 0; i < 5; i++)
        IB_TRY(count(u, keys[i], a->n_label[i], err));
    for (size_t i = 0; i < a->n_listed; i++) {
        const ib_unusual *x = &a->listed[i];
        if (json_array_append_new(listed,
                                  json_pack("{s:I, s:f, s:s}", "token", (json_int_t)x->token, "ms",
                                            x->ms, "label", ib_stats_label_name(x->label))) != 0)
            return ib_fail_memory(err, 0, "the record's JSON");
    }
    return IB_OK;
}

static ib_status one_run(const ib_run_analysis *a, const ib_summary *s, json_t *o, ib_error *err) {
    json_t *part;
    const figure times[] = {{"ttft_ms", a->ttft_ms},
                            {"prefill_ms", a->prefill_ms},
                            {"tpot_ms", a->tpot_ms},
                            {"e2e_ms", a->e2e_ms}};
    const figure itl[] = {{"min", a->min},     {"max", a->max}, {"mean", a->mean},
                          {"stdev", a->stdev}, {"mad", a->mad}, {"iqr", a->iqr}};
    IB_TRY(count(o, "run", a->run, err));
    IB_TRY(NUMBERS(o, times, err));
    IB_TRY(child(o, "itl_ms", &part, err));
    IB_TRY(count(part, "n", a->n, err));
    IB_TRY(NUMBERS(part, itl, err));
    IB_TRY(percentiles(part, s, a->percentile, a->n_effective, err));
    IB_TRY(child(o, "longest", &part, err));
    IB_TRY(ib_fields_set(part, "token",
                         a->n ? json_integer((json_int_t)a->stall_token) : json_null(), err));
    IB_TRY(number(part, "ms", a->max, err));
    IB_TRY(number(part, "medians", a->stall_medians, err));
    IB_TRY(number(o, "slow_share", a->slow_share, err));
    IB_TRY(trend(a, o, err));
    IB_TRY(child(o, "dependence", &part, err));
    IB_TRY(number(part, "lag1", a->lag1, err));
    IB_TRY(number(part, "n_effective", a->n_effective, err));
    IB_TRY(pair(part, "p50_interval_ms", a->p50_interval.low, a->p50_interval.high, err));
    IB_TRY(steady(a, o, err));
    return unusual(a, o, err);
}

/* --- over runs --- */

static ib_status values(json_t *o, const double *v, size_t n, ib_error *err) {
    json_t *all = json_array();
    ib_status st = all ? IB_OK : ib_fail_memory(err, 0, "the record's JSON");
    for (size_t i = 0; i < n && st == IB_OK; i++)
        if (json_array_append_new(all, json_real(v[i])) != 0)
            st = ib_fail_memory(err, 0, "the record's JSON");
    if (st == IB_OK)
        return ib_fields_set(o, "values", all, err);
    json_decref(all);
    return st;
}

static const char *why_none(size_t n) {
    return n >= IB_INTERVAL_MIN_RUNS ? NULL : "not enough runs: fewer than 5";
}

static ib_status one_metric(const ib_over_runs *m, json_t *o, ib_error *err) {
    json_t *part;
    const char *why = why_none(m->n);
    const figure rows[] = {{"median", m->median}, {"min", m->min},
                           {"max", m->max},       {"geometric_mean", m->t.point},
                           {"cv", m->cv},         {"first_excess", m->first_excess},
                           {"mdd", m->mdd}};
    IB_TRY(count(o, "n", m->n, err));
    IB_TRY(values(o, m->values, m->n, err));
    IB_TRY(NUMBERS(o, rows, err));
    IB_TRY(pair(o, "interval_95", m->t.lo, m->t.hi, err));
    IB_TRY(ib_fields_set(o, "why_none", why ? json_string(why) : json_null(), err));
    IB_TRY(pair(o, "rank_interval_95", m->ranks.low, m->ranks.high, err));
    IB_TRY(child(o, "order", &part, err));
    IB_TRY(number(part, "slope_per_run", m->order.slope, err));
    IB_TRY(pair(part, "slope_interval", m->order.lo, m->order.hi, err));
    IB_TRY(child(o, "modes", &part, err));
    IB_TRY(ib_fields_set(part, "several", json_boolean(m->modes.several), err));
    IB_TRY(number(part, "p", m->modes.p, err));
    if (!m->modes.several)
        return IB_OK;
    IB_TRY(count(part, "n_low", m->modes.n_low, err));
    IB_TRY(number(part, "low", m->modes.low, err));
    return number(part, "high", m->modes.high, err);
}

static ib_status over_runs(const ib_analysis *a, const ib_summary *s, json_t *o, ib_error *err) {
    json_t *all, *part;
    IB_TRY(child(o, "over_runs", &all, err));
    for (int m = 0; m < IB_RUN_METRICS; m++) {
        if (!a->over[m].n)
            continue;
        IB_TRY(child(all, ib_run_metric_name((ib_run_metric)m), &part, err));
        IB_TRY(one_metric(&a->over[m], part, err));
    }
    IB_TRY(child(o, "variance", &part, err));
    IB_TRY(number(part, "within_ms2", a->split.within, err));
    IB_TRY(number(part, "between_ms2", a->split.between, err));
    IB_TRY(number(part, "between_share", a->split.between_share, err));
    IB_TRY(ib_fields_set(
        part, "tokens_per_run",
        a->tokens_per_run ? json_integer((json_int_t)a->tokens_per_run) : json_null(), err));
    IB_TRY(child(o, "pooled_itl_ms", &part, err));
    IB_TRY(percentiles(part, s, a->pooled, s->n_itl_effective * (double)a->n_runs, err));
    IB_TRY(child(o, "steady_runs", &part, err));
    IB_TRY(ib_fields_set(part, "state", json_string(state_name(a->steady_runs.state)), err));
    return ib_fields_set(part, "from_run",
                         a->steady_runs.state == IB_STATS_STEADY
                             ? json_integer((json_int_t)a->steady_runs.from)
                             : json_null(),
                         err);
}

ib_status ib_analysis_to_json(const ib_analysis *a, const ib_summary *s, json_t *o, ib_error *err) {
    json_t *runs = json_array();
    ib_status st = ib_fields_set(o, "per_run", json_incref(runs), err);
    json_decref(runs);
    IB_TRY(st);
    for (size_t i = 0; i < a->n_runs; i++) {
        json_t *run = json_object();
        if (!run || json_array_append_new(runs, run) != 0)
            return ib_fail_memory(err, 0, "the record's JSON");
        IB_TRY(one_run(&a->runs[i], s, run, err));
    }
    IB_TRY(over_runs(a, s, o, err));
    IB_TRY(count(o, "seed", IB_ANALYSIS_SEED, err));
    return count(o, "bootstrap_rounds", IB_ANALYSIS_ROUNDS, err);
}
