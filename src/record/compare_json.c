/* SPDX-License-Identifier: MIT
 * A comparison as JSON with every run value, from which all of it can be computed again
 * (docs/comparison.schema.json). */
#include "record/compare.h"

#include <math.h>

static json_t *real(double v) {
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *interval_json(const ib_stats_interval *i) {
    return json_pack("{s:o, s:o, s:o}", "point", real(i->point), "low", real(i->lo), "high",
                     real(i->hi));
}

static json_t *values_json(const double *v, size_t n) {
    json_t *a = json_array();
    for (size_t i = 0; a && i < n; i++)
        if (json_array_append_new(a, real(v[i])) != 0) {
            json_decref(a);
            return NULL;
        }
    return a;
}

static json_t *padding_json(const ib_comparison *c, int side) {
    json_t *a = json_array();
    for (size_t i = 0; a && i < c->side[side].n; i++)
        if (json_array_append_new(a, json_integer(c->padding[side][i])) != 0) {
            json_decref(a);
            return NULL;
        }
    return a;
}

static json_t *side_json(const ib_comparison *c, int side) {
    const ib_compare_side *s = &c->side[side];
    char quoted[IB_QUOTED];
    return json_pack("{s:s, s:I, s:I, s:o}", "label", ib_quotez(s->label ? s->label : "", quoted),
                     "n_runs", (json_int_t)s->n, "n_noisy", (json_int_t)s->n_noisy,
                     "environment_padding_bytes",
                     c->interleaved ? padding_json(c, side) : json_null());
}

static json_t *figure_json(const ib_comparison *c, int m) {
    const ib_compare_figure *f = &c->figures[m];
    return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "primary",
                     (ib_metric)m == c->primary, "a_ms",
                     values_json(c->side[0].values[m], c->side[0].n), "b_ms",
                     values_json(c->side[1].values[m], c->side[1].n), "a_median_ms", real(f->a_ms),
                     "b_median_ms", real(f->b_ms), "ratio", interval_json(&f->ratio), "p",
                     real(f->p), "p_holm", real(f->p_holm));
}

static json_t *metrics_json(const ib_comparison *c) {
    json_t *o = json_object();
    for (int m = 0; o && !c->refused && m < IB_METRIC_COUNT; m++)
        if (c->figures[m].known &&
            json_object_set_new(o, ib_metric_name((ib_metric)m), figure_json(c, m)) != 0) {
            json_decref(o);
            return NULL;
        }
    return o;
}

static json_t *differences_json(const ib_comparison *c) {
    static const char *const kinds[] = {"note", "setting", "work", "never"};
    json_t *a = json_array();
    for (size_t i = 0; a && i < c->n_differences; i++) {
        const ib_difference *d = &c->differences[i];
        if (json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:s}", "what", d->what, "kind",
                                               kinds[d->kind], "a", d->a, "b", d->b)) != 0) {
            json_decref(a);
            return NULL;
        }
    }
    return a;
}

static json_t *order_json(const ib_comparison *c) {
    json_t *a = json_array();
    for (size_t i = 0; a && i < c->side[0].n; i++)
        if (json_array_append_new(a, json_string(c->b_first[i] ? "BA" : "AB")) != 0) {
            json_decref(a);
            return NULL;
        }
    return a;
}

static json_t *tests_json(const ib_comparison *c) {
    return json_pack("{s:s, s:b, s:o, s:o, s:o}", "test",
                     c->interleaved ? "pair-flip rank" : "Mann-Whitney", "exact", (int)c->exact,
                     "welch_p", real(c->welch.p), "welch_ratio", interval_json(&c->welch_ratio),
                     "signed_rank_p", c->interleaved ? real(c->second.p) : json_null());
}

static json_t *gate_json(const ib_comparison *c) {
    if (isnan(c->fail_if_slower))
        return json_null();
    return json_pack("{s:o, s:o, s:b, s:b}", "threshold", real(c->fail_if_slower), "alpha",
                     real(IB_COMPARE_GATE_ALPHA), "slower", (int)c->regression, "decides",
                     (int)c->interleaved);
}

static bool set(json_t *o, const char *key, json_t *value) {
    return json_object_set_new(o, key, value) == 0;
}

ib_status ib_comparison_json(const ib_comparison *c, json_t **out, ib_error *err) {
    bool known = !c->refused;
    json_t *o = json_object();
    *out = NULL;
    bool good =
        o && set(o, "primary", json_string(ib_metric_name(c->primary))) &&
        set(o, "interleaved", json_boolean(c->interleaved)) && set(o, "a", side_json(c, 0)) &&
        set(o, "b", side_json(c, 1)) && set(o, "across", json_boolean(c->across)) &&
        set(o, "differences", differences_json(c)) && set(o, "refused", json_boolean(c->refused)) &&
        set(o, "verdict",
            json_string(c->refused ? "REFUSED" : ib_stats_verdict_name(c->verdict))) &&
        set(o, "enough_runs", json_boolean(c->enough)) && set(o, "metrics", metrics_json(c)) &&
        set(o, "checks", known ? tests_json(c) : json_null()) &&
        set(o, "alpha", json_real(IB_COMPARE_ALPHA)) &&
        set(o, "p_b_slower", known ? real(c->p_b_slower) : json_null()) &&
        set(o, "cv", known ? real(c->cv) : json_null()) &&
        set(o, "mdd", known ? real(c->mdd) : json_null()) &&
        set(o, "drift_per_run", known ? real(c->drift) : json_null()) &&
        set(o, "runs_needed",
            known && c->runs_needed ? json_integer((json_int_t)c->runs_needed) : json_null()) &&
        set(o, "order", c->interleaved ? order_json(c) : json_null()) &&
        set(o, "order_seed",
            c->interleaved ? json_integer((json_int_t)(c->seed & INT64_MAX)) : json_null()) &&
        set(o, "fail_if_slower", gate_json(c));
    if (!good) {
        json_decref(o);
        return ib_fail_memory(err, 0, "the comparison's JSON");
    }
    *out = o;
    return IB_OK;
}

static json_t *text_or_null(const char *text) {
    return text ? json_string(text) : json_null();
}

ib_status ib_comparisons_json(const ib_record *about, json_t *list, json_t **out, ib_error *err) {
    *out = json_pack("{s:s, s:{s:s, s:o, s:o, s:o}, s:o, s:o, s:O, s:O}", "comparison_version",
                     "1.0", "tool", "name", "inferbench", "version",
                     text_or_null(about->tool_version), "commit", text_or_null(about->tool_commit),
                     "compiler", text_or_null(about->compiler), "command",
                     text_or_null(about->command), "started_utc", text_or_null(about->started_utc),
                     "environment", about->environment, "comparisons", list);
    return *out ? IB_OK : ib_fail_memory(err, 0, "the comparison's JSON");
}
