/* SPDX-License-Identifier: MIT
 * Summary -> JSON. Names, units and formulas stand in the file itself, so that every figure can be
 * computed again from the stamps by any program. */
#include "record/summary_json.h"

#include "record/analysis.h"
#include "record/energy.h"
#include "record/fields.h"
#include "stats/quantile.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static ib_status number(json_t *o, const char *key, double v, ib_error *err) {
    return ib_fields_set(o, key, isfinite(v) ? json_real(v) : json_null(), err);
}

static ib_status count(json_t *o, const char *key, uint64_t v, ib_error *err) {
    return ib_fields_set(o, key, json_integer((json_int_t)v), err);
}

static ib_status child(json_t *o, const char *key, json_t **out, ib_error *err) {
    *out = json_object();
    return ib_fields_set(o, key, *out, err);
}

static ib_status definitions(json_t *o, ib_error *err) {
    static const char *const rows[][2] = {
        {"quantile", IB_STATS_QUANTILE_NAME},
        {"t", "stamps_ns of a measured run: t[0] the request, t[1..n] the tokens"},
        {"several_runs", "median of the runs' figures; itl min, max, mean over all gaps"},
        {"ttft_ms", "(t[1]-t[0])/1e6"},
        {"ttft_from_text_ms", "(t[1]-t[0]+render_ns+tokenize_ns)/1e6"},
        {"prefill_ms", "(prefill_done_ns-t[0])/1e6, or ttft_ms when it is null"},
        {"tpot_ms", "(t[n]-t[1])/(n-1)/1e6"},
        {"itl_ms", "(t[i]-t[i-1])/1e6 for i = 2..n"},
        {"decode_tok_s", "n_seqs*1000/tpot_ms"},
        {"prefill_tok_s", "n_seqs*n_prompt*1000/prefill_ms"},
        {"e2e_tok_s", "n_seqs*n/((t[n]-t[0])/1e9)"},
        {"bytes_per_token", "model.step_bytes.total/n_seqs"},
        {"read_gbps", "model.step_bytes.total/(tpot_ms*1e6)"},
        {"mbu", "read_gbps/probe.read_gbps"},
        {"prefill_gflops", "model.prefill_flops/(prefill_ms*1e6)"},
        {"mfu", "prefill_gflops*1e9/probe.flops (multiply-adds in the arithmetic of the prefill)"},
        {"mbu_of_peak", "read_gbps/asked.peak_gbps"},
        {"token_ms",
         "per token behind the first: decode_call_ns/(n-1) and pick_call_ns/(n-1), in "
         "1e6; device and sampling are the same where a call returns when the device is "
         "done, else null; detokenizing: detokenize_ns/(n_prompt+n)"},
        {"limits", "shares of a phase's time that one limit alone explains: memory mbu, or the "
                   "bytes of one step over probe.read_gbps; compute flops/probe.flops; host "
                   "pick_call (device that queues: decode_call); sync dispatches of the profile "
                   "times their cost; binds: the largest where it is at least 0.5"},
        {"interval_95", "of the centre of the runs: exp(mean(ln x) +- t[0.975, R-1] "
                        "sd(ln x)/sqrt(R)) of the R run values, from 5 runs on"},
        {"too_few_samples_for", "percentiles for which itl n_effective is too small: "
                                "ceil(ln 0.025 / ln max(q, 1-q)) independent gaps are needed"},
        {"n_effective", "n(1-r)/(1+r), at most n; r the lag-1 autocorrelation of the gaps without "
                        "their least-squares line; the least over runs"},
        {"statistics", "docs/statistics.md; mad is MAD x 1.4826, stdev divides by n-1"},
        {"reference", "first measured run, all n gaps, as the reference script computes"},
    };
    json_t *d;
    IB_TRY(child(o, "definitions", &d, err));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        IB_TRY(ib_fields_set(d, rows[i][0], json_string(rows[i][1]), err));
    return IB_OK;
}

/* A percentile that the number of samples does not support is null, and named. */
static ib_status quantiles(const ib_summary *s, json_t *itl, json_t *few, ib_error *err) {
    char name[40];
    for (size_t i = 0; i < s->n_itl_percentiles; i++) {
        const ib_itl_percentile *p = &s->itl[i];
        ib_percentile_name(p->q, name);
        if (!p->supported && json_array_append_new(few, json_string(name)) != 0)
            return ib_fail_memory(err, 0, "the record's JSON");
        IB_TRY(number(itl, name, p->supported ? p->ms : NAN, err));
    }
    return IB_OK;
}

static ib_status itl_json(const ib_summary *s, json_t *o, ib_error *err) {
    json_t *itl, *few;
    IB_TRY(child(o, "itl_ms", &itl, err));
    IB_TRY(ib_fields_set(itl, "too_few_samples_for", (few = json_array()), err));
    IB_TRY(count(itl, "n", s->n_itl, err));
    IB_TRY(number(itl, "n_effective", s->n_itl_effective, err));
    IB_TRY(number(itl, "min", s->itl_min_ms, err));
    IB_TRY(quantiles(s, itl, few, err));
    IB_TRY(number(itl, "max", s->itl_max_ms, err));
    return number(itl, "mean", s->itl_mean_ms, err);
}

static ib_status interval(json_t *o, const char *key, ib_interval v, ib_error *err) {
    if (!isfinite(v.low) || !isfinite(v.high))
        return ib_fields_set(o, key, json_null(), err);
    return ib_fields_set(o, key, json_pack("[ff]", v.low, v.high), err);
}

static ib_status intervals(const ib_summary *s, json_t *o, ib_error *err) {
    json_t *all;
    char name[48];
    IB_TRY(child(o, "interval_95", &all, err));
    IB_TRY(interval(all, "ttft_ms", s->ttft_interval, err));
    IB_TRY(interval(all, "prefill_ms", s->prefill_interval, err));
    IB_TRY(interval(all, "tpot_ms", s->tpot_interval, err));
    for (size_t i = 0; i < s->n_itl_percentiles; i++) {
        ib_percentile_name(s->itl[i].q, name + 4);
        (void)memcpy(name, "itl_", 4);
        (void)snprintf(name + strlen(name), sizeof name - strlen(name), "_ms");
        if (s->itl[i].supported)
            IB_TRY(interval(all, name, s->itl[i].interval, err));
    }
    return ib_fields_set(
        all, "why_none",
        isfinite(s->ttft_interval.low) ? json_null() : json_string("fewer than 5 runs"), err);
}

static ib_status reference(const ib_summary *s, json_t *o, ib_error *err) {
    json_t *ref, *percentiles;
    char key[32];
    IB_TRY(child(o, "reference", &ref, err));
    IB_TRY(count(ref, "n", s->n_gaps, err));
    IB_TRY(number(ref, "median_ms", s->ref_median_ms, err));
    IB_TRY(child(ref, "percentiles_ms", &percentiles, err));
    for (size_t i = 0; i < s->n_percentiles; i++) {
        double q = s->percentiles[i];
        if (q == floor(q))
            (void)ib_stats_fixed(q, 0, key, sizeof key);
        else
            (void)ib_stats_repr(q, key);
        IB_TRY(number(percentiles, key, s->ref_percentile_ms[i], err));
    }
    return IB_OK;
}

static ib_status token_split(const ib_summary *s, const ib_cell *c, json_t *o, ib_error *err) {
    json_t *t;
    const bool done = ib_cell_is_synchronous(c);
    IB_TRY(child(o, "token_ms", &t, err));
    IB_TRY(number(t, "decode_call", s->decode_call_ms, err));
    IB_TRY(number(t, "pick_call", s->pick_call_ms, err));
    IB_TRY(number(t, "device", done ? s->decode_call_ms : NAN, err));
    IB_TRY(number(t, "sampling", done ? s->pick_call_ms : NAN, err));
    return number(t, "detokenizing", s->detokenize_ms, err);
}

static ib_status limit(const ib_limit *l, const char *key, json_t *o, ib_error *err) {
    json_t *phase, *shares;
    IB_TRY(child(o, key, &phase, err));
    IB_TRY(ib_fields_set(phase, "binds", l->binds ? json_string(l->binds) : json_null(), err));
    IB_TRY(child(phase, "shares", &shares, err));
    IB_TRY(number(shares, "memory", l->memory, err));
    IB_TRY(number(shares, "compute", l->compute, err));
    IB_TRY(number(shares, "launch_or_host", l->host, err));
    return number(shares, "synchronisation", l->sync, err);
}

static ib_status limits(const ib_summary *s, const ib_cell *c, json_t *o, ib_error *err) {
    json_t *both;
    IB_TRY(number(o, "mbu_of_peak", s->mbu_of_peak, err));
    IB_TRY(token_split(s, c, o, err));
    IB_TRY(child(o, "limits", &both, err));
    IB_TRY(limit(&s->decode_limit, "decode", both, err));
    return limit(&s->prefill_limit, "prefill", both, err);
}

static ib_status energy(const ib_cell *c, json_t *o, ib_error *err) {
    ib_energy_summary s;
    json_t *e;
    ib_energy_summarise(&s, c);
    IB_TRY(child(o, "energy", &e, err));
    IB_TRY(number(e, "idle_w", s.idle_w, err));
    IB_TRY(number(e, "run_w", s.run_w, err));
    IB_TRY(number(e, "run_j", s.run_j, err));
    IB_TRY(number(e, "prefill_j", s.prefill_j, err));
    IB_TRY(number(e, "decode_j", s.decode_j, err));
    IB_TRY(number(e, "joules_per_output_token", s.per_output_token_j, err));
    return number(e, "joules_per_prompt_token", s.per_prompt_token_j, err);
}

static ib_status steady(const ib_steady *s, json_t *o, ib_error *err) {
    json_t *all, *labels;
    IB_TRY(child(o, "steady", &all, err));
    IB_TRY(ib_fields_set(all, "runs", json_string(ib_steady_name(s->runs)), err));
    IB_TRY(count(all, "runs_from", s->runs_from, err));
    IB_TRY(ib_fields_set(all, "tokens", json_string(ib_steady_name(s->tokens)), err));
    IB_TRY(count(all, "tokens_from", s->tokens_from, err));
    IB_TRY(count(all, "runs_never_steady_inside", s->n_never, err));
    IB_TRY(count(all, "slow_tokens", s->n_slow_tokens, err));
    IB_TRY(ib_fields_set(all, "unusual_runs", (labels = json_array()), err));
    for (size_t i = 0; i < s->n_labels; i++) {
        const ib_run_label *l = &s->labels[i];
        if (json_array_append_new(labels, json_pack("{s:I, s:s, s:s}", "run", (json_int_t)l->run,
                                                    "label", l->label, "cause", l->cause)) != 0)
            return ib_fail_memory(err, 0, "the record's JSON");
    }
    return IB_OK;
}

static ib_status verdict(const ib_summary *s, json_t *o, ib_error *err) {
    json_t *v, *reasons;
    IB_TRY(child(o, "verdict", &v, err));
    IB_TRY(ib_fields_set(v, "state", json_string(s->verdict), err));
    IB_TRY(ib_fields_set(v, "reasons", (reasons = json_array()), err));
    for (size_t i = 0; i < s->n_reasons; i++)
        if (json_array_append_new(reasons, json_string(s->reasons[i])) != 0)
            return ib_fail_memory(err, 0, "the record's JSON");
    return IB_OK;
}

static ib_status statistics(const ib_cell *cell, const ib_summary *s, json_t *o, ib_error *err) {
    json_t *all;
    ib_analysis a;
    IB_TRY(child(o, "statistics", &all, err));
    IB_TRY(ib_analyse(&a, cell, s, err));
    ib_status st = ib_analysis_to_json(&a, s, all, err);
    ib_analysis_clear(&a);
    return st;
}

ib_status ib_summary_to_json(const ib_cell *cell, const ib_percentiles *p, json_t *o,
                             ib_error *err) {
    ib_summary s;
    json_t *memory;
    IB_TRY(ib_summarise(&s, cell, p ? p->values : NULL, p ? p->n : 0, err));
    const ib_run_record *first = ib_cell_first_measured(cell);
    IB_TRY(count(o, "n_runs", s.n_runs, err));
    IB_TRY(count(o, "n_tokens", first ? first->n_tokens : 0, err));
    IB_TRY(count(o, "n_seqs", first ? first->n_seqs : 0, err));
    IB_TRY(count(o, "n_prompt", cell->n_prompt_ids, err));
    IB_TRY(number(o, "ttft_ms", s.ttft_ms, err));
    IB_TRY(number(o, "ttft_from_text_ms", s.ttft_from_text_ms, err));
    IB_TRY(number(o, "prefill_ms", s.prefill_ms, err));
    IB_TRY(number(o, "tpot_ms", s.tpot_ms, err));
    IB_TRY(itl_json(&s, o, err));
    IB_TRY(number(o, "decode_tok_s", s.decode_tok_s, err));
    IB_TRY(number(o, "prefill_tok_s", s.prefill_tok_s, err));
    IB_TRY(number(o, "e2e_tok_s", s.e2e_tok_s, err));
    IB_TRY(number(o, "load_ms", s.load_ms, err));
    IB_TRY(number(o, "bytes_per_token", s.bytes_per_token, err));
    IB_TRY(number(o, "read_gbps", s.read_gbps, err));
    IB_TRY(number(o, "mbu", s.mbu, err));
    IB_TRY(number(o, "prefill_gflops", s.prefill_gflops, err));
    IB_TRY(number(o, "mfu", s.mfu, err));
    IB_TRY(limits(&s, cell, o, err));
    IB_TRY(energy(cell, o, err));
    IB_TRY(child(o, "memory", &memory, err));
    IB_TRY(ib_fields_write(&ib_fields_memory, &cell->memory, memory, err));
    IB_TRY(intervals(&s, o, err));
    IB_TRY(reference(&s, o, err));
    IB_TRY(ib_fields_set(o, "ids_equal", json_boolean(s.ids_equal), err));
    IB_TRY(steady(&s.steady, o, err));
    IB_TRY(ib_fields_set(o, "logits_equal", json_boolean(s.logits_equal), err));
    IB_TRY(verdict(&s, o, err));
    IB_TRY(statistics(cell, &s, o, err));
    return definitions(o, err);
}
