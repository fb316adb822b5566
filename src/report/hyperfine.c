/* SPDX-License-Identifier: MIT
 * A file as `hyperfine --export-json` writes it: one result for each cell that has measured runs,
 * times in seconds from the request to the last token (loading not included). CPU time of a run is
 * not recorded: user and system are null, and so is the standard deviation of one run. */
#include "report/values.h"
#include "report/writers.h"

#include "stats/quantile.h"
#include "stats/spread.h"

#include <math.h>
#include <stdlib.h>

/* What tells cells apart; hyperfine's scripts print it under "command" and "parameters". */
static void parameters(ib_values *v, const ib_cell *c) {
    ib_values inner;
    ib_values_begin(&inner, v->err);
    ib_values_text(&inner, "model_id", c->asked.model_id);
    ib_values_text(&inner, "device", c->resolved.device);
    ib_values_text(&inner, "attn", c->resolved.attn);
    ib_values_text(&inner, "dtype", c->resolved.dtype);
    ib_values_text(&inner, "compute", c->resolved.compute);
    const struct {
        const char *key;
        uint64_t value;
    } counts[] = {
        {"threads", c->resolved.n_threads > 0 ? (uint64_t)c->resolved.n_threads : 0},
        {"n_prompt", c->n_prompt_ids},
        {"max_new_tokens", c->asked.max_new_tokens},
        {"n_depth", c->asked.n_depth},
        {"n_batch", c->asked.n_batch},
    };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        char text[24];
        (void)ib_stats_fixed((double)counts[i].value, 0, text, sizeof text);
        ib_values_text(&inner, counts[i].key, text); /* hyperfine's parameters are strings */
    }
    if (v->status == IB_OK)
        v->status = inner.status;
    ib_values_json(v, "parameters", json_incref(inner.object));
    json_decref(inner.object);
}

static void command(ib_values *v, const ib_origin *from, const ib_cell *c) {
    ib_buf text;
    if (from->command) {
        ib_values_text(v, "command", from->command);
        return;
    }
    ib_buf_init(&text);
    const char *const parts[] = {c->asked.model_id, c->resolved.device, c->resolved.attn};
    for (size_t i = 0; i < 3 && v->status == IB_OK; i++) {
        v->status = ib_buf_adds(&text, i ? " " : "", v->err);
        if (v->status == IB_OK)
            v->status = ib_report_name(parts[i], &text, v->err);
    }
    if (v->status == IB_OK)
        v->status = ib_buf_addf(
            &text, v->err, " p%llu n%llu d%llu b%llu", (unsigned long long)c->n_prompt_ids,
            (unsigned long long)c->asked.max_new_tokens, (unsigned long long)c->asked.n_depth,
            (unsigned long long)c->asked.n_batch);
    ib_values_text(v, "command", text.ptr);
    ib_buf_clear(&text);
}

static ib_status result(const ib_origin *from, const ib_cell *c, const ib_samples *s,
                        json_t *results, ib_error *err) {
    ib_values v;
    size_t n = s->n_runs;
    double *times = calloc(2 * n + 1, sizeof *times);
    json_t *exits = json_array();
    if (!times || !exits) {
        free(times);
        json_decref(exits);
        return ib_fail_memory(err, n, "a result of the report");
    }
    double *sorted = times + n;
    ib_values_run_seconds(s, times);
    for (size_t i = 0; i < n; i++)
        sorted[i] = times[i];
    ib_stats_sort(sorted, n);
    ib_values_begin(&v, err);
    command(&v, from, c);
    ib_values_number(&v, "mean", ib_stats_mean(times, n));
    ib_values_number(&v, "stddev", ib_stats_stdev(times, n, 1));
    ib_values_number(&v, "median", ib_stats_median(sorted, n));
    ib_values_number(&v, "user", NAN);
    ib_values_number(&v, "system", NAN);
    ib_values_number(&v, "min", sorted[0]);
    ib_values_number(&v, "max", sorted[n - 1]);
    ib_values_array(&v, "times", times, n);
    for (size_t i = 0; i < n && v.status == IB_OK; i++)
        if (json_array_append_new(exits, json_integer(0)) != 0)
            v.status = ib_fail_memory(err, 0, "the report's JSON");
    ib_values_json(&v, "exit_codes", exits);
    parameters(&v, c);
    free(times);
    return ib_values_end(&v, results);
}

ib_status ib_report_hyperfine(const ib_record *r, const ib_report_options *o, ib_buf *out,
                              ib_error *err) {
    json_t *results = json_array(), *file = json_array();
    ib_status st = results && file ? IB_OK : ib_fail_memory(err, 0, "the report's JSON");
    (void)o;
    for (size_t i = 0; i < r->n_cells && st == IB_OK; i++) {
        const ib_origin from = ib_values_origin(r, i);
        ib_samples s;
        st = ib_samples_init(&s, &r->cells[i], NULL, 0, err);
        if (st != IB_OK)
            break;
        if (s.n_runs)
            st = result(&from, &r->cells[i], &s, results, err);
        ib_samples_clear(&s);
    }
    if (st == IB_OK) {
        ib_values v;
        ib_values_begin(&v, err);
        ib_values_json(&v, "results", json_incref(results));
        st = ib_values_end(&v, file);
    }
    if (st == IB_OK)
        st = ib_values_print(file, true, out, err);
    json_decref(results);
    json_decref(file);
    return st;
}
