/* SPDX-License-Identifier: MIT
 * Rows as `llama-bench -o json` writes them: for each cell one row for the prompt (n_gen 0) and one
 * for decoding (n_prompt 0), which starts behind the prompt, so that its n_depth is the context
 * before the prompt + the prompt. Its n_gen is the number of decode steps, tokens - 1: the first
 * token comes out of the prompt's pass.
 *
 * compare-llama-bench.py joins rows by SQL equality of its key columns, where NULL equals nothing:
 * no column may be null. Members that it does not know it drops. What this program has no notion of
 * (masks, polling, splits, ...) has the value of llama-bench's default. Rates are tokens of all
 * sequences, and n_batch is the number of sequences (llama-bench: tokens in one pass). */
#include "report/values.h"
#include "report/writers.h"

#include "stats/quantile.h"
#include "stats/spread.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct test {
    uint64_t n_prompt, n_gen, n_depth;
    bool prefill;
} test;

static bool is(const char *a, const char *b) {
    return a && strcmp(a, b) == 0;
}

/* The names of llama-bench for the types of a cache. */
static const char *cache_type(const char *dtype) {
    if (is(dtype, "float32"))
        return "f32";
    if (is(dtype, "float16"))
        return "f16";
    return is(dtype, "bfloat16") ? "bf16" : dtype ? dtype : "f32";
}

static const char *backend_of(const char *device) {
    if (device && strncmp(device, "cuda", 4) == 0)
        return "CUDA";
    return device && strncmp(device, "xpu", 3) == 0 ? "OPENCL" : "CPU";
}

static void machine(ib_values *v, const ib_origin *from, const ib_cell *c) {
    const char *backend = backend_of(c->resolved.device);
    const bool cpu = strcmp(backend, "CPU") == 0;
    const char *commit = from->commit && *from->commit ? from->commit : from->version;
    char shortened[9] = "";
    if (commit)
        memcpy(shortened, commit, strnlen(commit, 8));
    ib_values_text(v, "build_commit", shortened);
    ib_values_count(v, "build_number", 0);
    ib_values_text(v, "cpu_info",
                   from->cpu_model ? from->cpu_model
                   : cpu           ? c->resolved.device_name
                                   : "");
    ib_values_text(v, "gpu_info", cpu ? "" : c->resolved.device_name);
    ib_values_text(v, "backends", backend);
}

static void model(ib_values *v, const ib_cell *c) {
    ib_buf type;
    ib_buf_init(&type);
    ib_values_text(v, "model_filename", c->asked.model_id);
    if (v->status == IB_OK)
        v->status = ib_values_model_type(&c->model, &type, v->err);
    ib_values_text(v, "model_type", type.ptr);
    ib_values_count(v, "model_size", c->model.weight_bytes);
    ib_values_count(v, "model_n_params", c->model.n_params);
    ib_buf_clear(&type);
}

static void settings(ib_values *v, const ib_cell *c) {
    const uint64_t n_batch = c->asked.n_batch ? c->asked.n_batch : 1;
    const bool cpu = strcmp(backend_of(c->resolved.device), "CPU") == 0;
    ib_values_count(v, "n_batch", n_batch);
    ib_values_count(v, "n_ubatch", n_batch);
    ib_values_count(v, "n_threads",
                    c->resolved.n_threads > 0 ? (uint64_t)c->resolved.n_threads : 0);
    ib_values_text(v, "cpu_mask", "0x0");
    ib_values_flag(v, "cpu_strict", false);
    ib_values_count(v, "poll", 0);
    ib_values_text(v, "type_k", cache_type(c->resolved.kv_dtype));
    ib_values_text(v, "type_v", cache_type(c->resolved.kv_dtype));
    ib_values_count(v, "n_gpu_layers", cpu ? 0 : c->model.n_layers + 1);
    ib_values_text(v, "split_mode", "none");
    ib_values_count(v, "main_gpu", 0);
    ib_values_flag(v, "no_kv_offload", cpu);
    ib_values_flag(v, "flash_attn", is(c->resolved.attn, "flash_attention"));
    ib_values_text(v, "devices", c->resolved.device);
    ib_values_text(v, "tensor_split", "0.00");
    ib_values_text(v, "tensor_buft_overrides", "none");
    ib_values_flag(v, "use_mmap", c->memory.weights_mapped > 0);
    ib_values_text(v, "load_mode", c->memory.weights_mapped > 0 ? "mmap" : "read");
    ib_values_flag(v, "embeddings", false);
    ib_values_count(v, "no_op_offload", 0);
}

static uint64_t run_ns(const ib_run_record *r, const test *t) {
    if (!t->prefill)
        return r->stamps_ns[r->n_tokens] - r->stamps_ns[1];
    return (r->prefill_done_ns ? r->prefill_done_ns : r->stamps_ns[1]) - r->stamps_ns[0];
}

/* samples_ns, samples_ts and what llama-bench makes of them: means, standard deviation with n - 1,
 * 0 for one sample. Runs of another length than the row's take no part. */
static void samples(ib_values *v, const ib_samples *s, const test *t, double *ns, double *ts) {
    json_t *whole = json_array();
    size_t n = 0;
    for (size_t i = 0; i < s->n_runs && whole; i++) {
        const ib_run_record *r = s->runs[i];
        uint64_t time = run_ns(r, t);
        if (time == 0 || (!t->prefill && r->n_tokens != t->n_gen + 1))
            continue;
        ns[n] = (double)time;
        ts[n++] = (double)((t->prefill ? t->n_prompt : t->n_gen) * r->n_seqs) * 1e9 / (double)time;
        if (json_array_append_new(whole, json_integer((json_int_t)time)) != 0) {
            json_decref(whole);
            whole = NULL;
        }
    }
    double mean = ib_stats_mean(ns, n), rate = ib_stats_mean(ts, n);
    ib_values_count(v, "avg_ns", isfinite(mean) ? (uint64_t)mean : 0);
    ib_values_count(v, "stddev_ns", n > 1 ? (uint64_t)ib_stats_stdev(ns, n, 1) : 0);
    ib_values_number(v, "avg_ts", isfinite(rate) ? rate : 0);
    ib_values_number(v, "stddev_ts", n > 1 ? ib_stats_stdev(ts, n, 1) : 0);
    ib_values_json(v, "samples_ns", whole);
    ib_values_array(v, "samples_ts", ts, n);
}

static ib_status row(const ib_origin *from, const ib_cell *c, const ib_samples *s, const test *t,
                     json_t *rows, ib_error *err) {
    ib_values v;
    double *room = calloc(2 * s->n_runs + 1, sizeof *room);
    if (!room)
        return ib_fail_memory(err, s->n_runs, "a row of the report");
    ib_values_begin(&v, err);
    machine(&v, from, c);
    model(&v, c);
    settings(&v, c);
    ib_values_count(&v, "n_prompt", t->n_prompt);
    ib_values_count(&v, "n_gen", t->n_gen);
    ib_values_count(&v, "n_depth", t->n_depth);
    ib_values_text(&v, "test_time", from->started_utc);
    samples(&v, s, t, room, room + s->n_runs);
    free(room);
    return ib_values_end(&v, rows);
}

static ib_status cell_rows(const ib_origin *from, const ib_cell *c, json_t *rows, ib_error *err) {
    ib_samples s;
    IB_TRY(ib_samples_init(&s, c, NULL, 0, err));
    const uint64_t depth = c->asked.n_depth;
    const test prompt = {.n_prompt = c->n_prompt_ids, .n_depth = depth, .prefill = true};
    ib_status st = IB_OK;
    if (s.n_runs && c->n_prompt_ids)
        st = row(from, c, &s, &prompt, rows, err);
    if (st == IB_OK && s.n_runs && s.runs[0]->n_tokens > 1) {
        const test decode = {.n_gen = s.runs[0]->n_tokens - 1, .n_depth = depth + c->n_prompt_ids};
        st = row(from, c, &s, &decode, rows, err);
    }
    ib_samples_clear(&s);
    return st;
}

ib_status ib_report_llama_bench(const ib_record *r, const ib_report_options *o, ib_buf *out,
                                ib_error *err) {
    json_t *rows = json_array();
    ib_status st = rows ? IB_OK : ib_fail_memory(err, 0, "the report's JSON");
    (void)o;
    for (size_t i = 0; i < r->n_cells && st == IB_OK; i++) {
        const ib_origin from = ib_values_origin(r, i);
        st = cell_rows(&from, &r->cells[i], rows, err);
    }
    if (st == IB_OK)
        st = ib_values_print(rows, false, out, err);
    json_decref(rows);
    return st;
}
