/* SPDX-License-Identifier: MIT
 * The JSON of `vllm bench latency` and `vllm bench serve` in one object for each cell (an array
 * when there are several). A run is one iteration of the former; each of its sequences is one
 * request of the latter, and requests of a run end together. Arrays are in seconds, summaries in
 * milliseconds, as vLLM writes them. Means, standard deviations (divisor n) and percentiles are
 * over requests for TTFT, TPOT and E2EL, over all gaps for ITL. */
#include "report/values.h"
#include "report/writers.h"

#include "stats/quantile.h"
#include "stats/spread.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct requests { /* one value a request, ms; a block of room for each */
    double *ttft, *tpot, *e2el, *itl, *seconds, *room;
    size_t n, n_tpot, n_itl;
    uint64_t n_input, n_output;
    double duration; /* seconds */
} requests;

static void add_run(requests *q, const ib_run_record *r, uint64_t n_prompt) {
    const uint64_t *t = r->stamps_ns, n = r->n_tokens;
    q->duration += (double)(t[n] - t[0]) / 1e9;
    for (uint64_t k = 0; k < r->n_seqs; k++) {
        q->ttft[q->n] = (double)(t[1] - t[0]) / 1e6;
        q->e2el[q->n++] = (double)(t[n] - t[0]) / 1e6;
        if (n > 1)
            q->tpot[q->n_tpot++] = (double)(t[n] - t[1]) / 1e6 / (double)(n - 1);
        for (uint64_t i = 2; i <= n; i++)
            q->itl[q->n_itl++] = (double)(t[i] - t[i - 1]) / 1e6;
        q->n_input += n_prompt;
        q->n_output += n;
    }
}

static ib_status collect(requests *q, const ib_samples *s, uint64_t n_prompt, ib_error *err) {
    size_t n = 0, n_itl = 0;
    for (size_t i = 0; i < s->n_runs; i++) {
        n += (size_t)s->runs[i]->n_seqs;
        n_itl += (size_t)(s->runs[i]->n_seqs * s->runs[i]->n_tokens);
    }
    *q = (requests){.room = calloc(3 * n + s->n_runs + 2 * n_itl + 1, sizeof *q->room)};
    if (!q->room)
        return ib_fail_memory(err, n_itl, "the requests of a report");
    q->ttft = q->room;
    q->tpot = q->ttft + n;
    q->e2el = q->tpot + n;
    q->seconds = q->e2el + n;
    q->itl = q->seconds + s->n_runs;
    ib_values_run_seconds(s, q->seconds);
    for (size_t i = 0; i < s->n_runs; i++)
        add_run(q, s->runs[i], n_prompt);
    return IB_OK;
}

/* vllm's own defaults: of the latencies, and of the summaries (here with p50 and p90). */
static const double latency_at[] = {10, 25, 50, 75, 90, 99}, summary_at[] = {50, 90, 99};

/* mean_, median_, std_, pNN_<name>_ms; x is sorted by this. */
static void block(ib_values *v, const char *name, double *x, size_t n, const ib_percentiles *at) {
    char key[96], of[40];
    const double mean = ib_stats_mean(x, n), std = ib_stats_stdev(x, n, 0);
    ib_stats_sort(x, n);
    const struct {
        const char *prefix;
        double value;
    } rows[] = {{"mean", mean}, {"median", ib_stats_median(x, n)}, {"std", std}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        (void)snprintf(key, sizeof key, "%s_%s_ms", rows[i].prefix, name);
        ib_values_number(v, key, n ? rows[i].value : 0);
    }
    for (size_t i = 0; i < at->n; i++) {
        ib_percentile_name(at->values[i], of);
        (void)snprintf(key, sizeof key, "%s_%s_ms", of, name);
        ib_values_number(v, key, n ? ib_stats_percentile(x, n, at->values[i]) : 0);
    }
}

/* One value for each request, in seconds: as(run) of each run, n_seqs times. */
static json_t *per_request(const ib_samples *s, json_t *(*as)(const ib_run_record *)) {
    json_t *a = json_array();
    for (size_t i = 0; a && i < s->n_runs; i++)
        for (uint64_t k = 0; a && k < s->runs[i]->n_seqs; k++)
            if (json_array_append_new(a, as(s->runs[i])) != 0) {
                json_decref(a);
                a = NULL;
            }
    return a;
}

static json_t *first_token(const ib_run_record *r) {
    return json_real((double)(r->stamps_ns[1] - r->stamps_ns[0]) / 1e9);
}

static json_t *gaps(const ib_run_record *r) {
    json_t *a = json_array();
    for (uint64_t i = 2; a && i <= r->n_tokens; i++)
        if (json_array_append_new(
                a, json_real((double)(r->stamps_ns[i] - r->stamps_ns[i - 1]) / 1e9)) != 0) {
            json_decref(a);
            a = NULL;
        }
    return a;
}

static json_t *n_output(const ib_run_record *r) {
    return json_integer((json_int_t)r->n_tokens);
}

static json_t *no_error(const ib_run_record *r) {
    (void)r;
    return json_string("");
}

static void input_lens(ib_values *v, const requests *q, uint64_t n_prompt) {
    json_t *a = json_array();
    for (size_t i = 0; a && i < q->n; i++)
        if (json_array_append_new(a, json_integer((json_int_t)n_prompt)) != 0) {
            json_decref(a);
            a = NULL;
        }
    ib_values_json(v, "input_lens", a);
}

/* vllm bench latency */
static void latency_block(ib_values *v, const requests *q, const ib_samples *s,
                          const ib_percentiles *at) {
    ib_values inner;
    char key[40];
    ib_values_number(v, "avg_latency", s->n_runs ? ib_stats_mean(q->seconds, s->n_runs) : 0);
    ib_values_array(v, "latencies", q->seconds, s->n_runs);
    ib_stats_sort(q->seconds, s->n_runs);
    ib_values_begin(&inner, v->err);
    for (size_t i = 0; i < at->n; i++) {
        ib_percentile_name(at->values[i], key);
        ib_values_number(&inner, key + 1,
                         ib_stats_percentile(q->seconds, s->n_runs, at->values[i]));
    }
    if (v->status == IB_OK)
        v->status = inner.status;
    ib_values_json(v, "percentiles", json_incref(inner.object));
    json_decref(inner.object);
}

/* vllm bench serve */
static void serve_block(ib_values *v, const requests *q, const ib_samples *s, uint64_t n_prompt,
                        const ib_percentiles *at) {
    const double per_s = q->duration > 0 ? 1 / q->duration : 0;
    ib_values_count(v, "num_prompts", q->n);
    ib_values_text(v, "request_rate", "inf");
    ib_values_number(v, "duration", q->duration);
    ib_values_count(v, "completed", q->n);
    ib_values_count(v, "failed", 0);
    ib_values_count(v, "total_input_tokens", q->n_input);
    ib_values_count(v, "total_output_tokens", q->n_output);
    ib_values_number(v, "request_throughput", (double)q->n * per_s);
    ib_values_number(v, "output_throughput", (double)q->n_output * per_s);
    ib_values_number(v, "total_token_throughput", (double)(q->n_input + q->n_output) * per_s);
    input_lens(v, q, n_prompt);
    ib_values_json(v, "output_lens", per_request(s, n_output));
    ib_values_json(v, "ttfts", per_request(s, first_token));
    ib_values_json(v, "itls", per_request(s, gaps));
    ib_values_json(v, "errors", per_request(s, no_error));
    block(v, "ttft", q->ttft, q->n, at);
    block(v, "tpot", q->tpot, q->n_tpot, at);
    block(v, "itl", q->itl, q->n_itl, at);
    block(v, "e2el", q->e2el, q->n, at);
}

static ib_status cell_block(const ib_record *r, size_t i, const ib_report_options *o, json_t *all,
                            ib_error *err) {
    const ib_percentiles asked = {o->percentiles, o->n_percentiles};
    const ib_percentiles latency = {latency_at, sizeof latency_at / sizeof *latency_at};
    const ib_percentiles summary = {summary_at, sizeof summary_at / sizeof *summary_at};
    const ib_cell *c = &r->cells[i];
    ib_samples s;
    requests q;
    ib_values v;
    IB_TRY(ib_samples_init(&s, c, NULL, 0, err));
    ib_status st = collect(&q, &s, c->n_prompt_ids, err);
    if (st == IB_OK) {
        ib_values_begin(&v, err);
        ib_values_text(&v, "date", ib_values_origin(r, i).started_utc);
        ib_values_text(&v, "backend", "inferbench");
        ib_values_text(&v, "model_id", c->asked.model_id);
        ib_values_text(&v, "tokenizer_id", c->asked.model_id);
        ib_values_flag(&v, "synthetic", c->model.synthetic);
        latency_block(&v, &q, &s, asked.values ? &asked : &latency);
        serve_block(&v, &q, &s, c->n_prompt_ids, asked.values ? &asked : &summary);
        st = ib_values_end(&v, all);
    }
    free(q.room);
    ib_samples_clear(&s);
    return st;
}

ib_status ib_report_vllm(const ib_record *r, const ib_report_options *o, ib_buf *out,
                         ib_error *err) {
    json_t *all = json_array();
    ib_status st = all ? IB_OK : ib_fail_memory(err, 0, "the report's JSON");
    for (size_t i = 0; i < r->n_cells && st == IB_OK; i++)
        st = cell_block(r, i, o, all, err);
    if (st == IB_OK)
        st = ib_values_print(all, true, out, err);
    json_decref(all);
    return st;
}
