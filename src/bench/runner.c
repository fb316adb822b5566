/* SPDX-License-Identifier: MIT
 * One cell: prompt, session, warm-up runs, measured runs, text. Around each run the counters of the
 * process are read; inside it only ib_generate and the callback below work. The callback stores a
 * stamp and an id, and looks whether a signal came. */
#include "base/checked.h"
#include "base/clock.h"
#include "base/rng.h"
#include "bench/bench.h"
#include "bench/meter.h"
#include "bench/probe.h"
#include "bench/profile.h"
#include "bench/until.h"
#include "bench/watch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* What the callback sees. stamps has room for the request and every token. */
typedef struct timed {
    uint64_t *stamps;
    uint64_t n;
    const ib_generate_result *result; /* request_ns is set before the first token */
    ib_streamer *streamer;            /* NULL = nobody looks */
    volatile const int *stop;         /* NULL = never */
} timed;

static bool on_token(void *user, uint64_t now_ns, const uint32_t *ids, size_t n_seqs) {
    timed *t = user;
    (void)n_seqs;
    if (t->n == 0) {
        t->stamps[0] = t->result->request_ns;
        if (t->streamer)
            ib_streamer_start(t->streamer, t->stamps[0]);
    }
    t->stamps[++t->n] = now_ns;
    if (t->streamer)
        (void)ib_streamer_push(t->streamer, now_ns, ids[0]);
    return !t->stop || *t->stop == 0;
}

typedef struct bench { /* one cell while it runs */
    ib_meter meter;    /* closed with the cell */
    ib_engine *engine;
    ib_cell *cell;
    const ib_plan *plan;
    ib_generation generation; /* owned arrays */
    ib_ids prompt;            /* owned: one sequence */
    uint32_t *batch;          /* owned [n_seqs, prompt.n] */
    size_t n_seqs;
    ib_run_record times; /* of the prompt */
} bench;

/* --- before the runs --- */

static ib_status set_once(char **at, const char *text, ib_error *err) {
    if (*at || !text)
        return IB_OK;
    *at = ib_strdup(text);
    return *at ? IB_OK : ib_fail_memory(err, strlen(text), "the record");
}

/* A caller that did not say what was asked (the library) gets it from the plan. */
static ib_status fill_asked(ib_asked *a, const ib_plan *p, ib_error *err) {
    static const char *const computes[] = {"auto", "float32", "int8"};
    const ib_engine_config *c = &p->engine;
    const char *dtype = c->dtype == IB_TYPE_F32    ? "float32"
                        : c->dtype == IB_TYPE_F16  ? "float16"
                        : c->dtype == IB_TYPE_BF16 ? "bfloat16"
                                                   : "auto";
    if (a->model_id)
        return IB_OK;
    a->max_new_tokens = p->generation.max_new_tokens;
    a->n_prompt = p->prompt.n_random;
    a->n_depth = p->n_depth;
    a->n_batch = p->n_batch;
    a->n_repetitions = p->n_repetitions;
    a->n_warmup = p->n_warmup;
    a->seed = p->prompt.seed;
    a->n_threads = c->n_threads;
    a->ignore_eos = p->generation.n_eos == 0;
    a->chat_template = p->prompt.chat_template;
    IB_TRY(set_once(&a->model_id, c->model_id, err));
    IB_TRY(set_once(&a->revision, c->revision, err));
    IB_TRY(set_once(&a->device, c->device, err));
    IB_TRY(set_once(&a->quant, c->quant, err));
    IB_TRY(set_once(&a->attn, ib_attention_name(c->attention), err));
    IB_TRY(set_once(&a->dtype, dtype, err));
    IB_TRY(set_once(&a->compute, computes[c->compute], err));
    return set_once(&a->cpu_tier, c->cpu_tier, err);
}

static ib_status set(json_t *o, const char *key, json_t *value, ib_error *err) {
    if (!value || json_object_set_new(o, key, value) != 0)
        return ib_fail_memory(err, 0, "the settings in force");
    return IB_OK;
}

/* The settings in force, for the record. */
static ib_status describe_generation(const ib_generation *g, json_t **out, ib_error *err) {
    json_t *o = json_object(), *eos;
    json_decref(*out);
    *out = o;
    if (!o)
        return ib_fail_memory(err, 0, "the settings in force");
    IB_TRY(set(o, "eos_token_ids", (eos = json_array()), err));
    for (size_t i = 0; i < g->n_eos; i++)
        if (json_array_append_new(eos, json_integer(g->eos_ids[i])) != 0)
            return ib_fail_memory(err, 0, "the settings in force");
    IB_TRY(set(o, "max_new_tokens", json_integer((json_int_t)g->max_new_tokens), err));
    IB_TRY(set(o, "forced_eos_token_id",
               g->forced_eos_id >= 0 ? json_integer(g->forced_eos_id) : json_null(), err));
    IB_TRY(set(o, "do_sample", json_false(), err));
    IB_TRY(set(o, "repetition_penalty", json_real(g->repetition_penalty), err));
    IB_TRY(set(o, "no_repeat_ngram_size", json_integer((json_int_t)g->no_repeat_ngram_size), err));
    IB_TRY(set(o, "min_length", json_integer((json_int_t)g->min_length), err));
    IB_TRY(set(o, "min_new_tokens", json_integer((json_int_t)g->min_new_tokens), err));
    IB_TRY(set(o, "n_suppressed", json_integer((json_int_t)g->n_suppress), err));
    IB_TRY(set(o, "n_begin_suppressed", json_integer((json_int_t)g->n_begin_suppress), err));
    return set(o, "n_biases", json_integer((json_int_t)g->n_biases), err);
}

static ib_status settle_generation(bench *b, ib_error *err) {
    const char *where = NULL;
    const ib_generation *asked = &b->plan->generation;
    const json_t *json = ib_engine_generation_json(b->engine, &where);
    if (asked->n_suppress || asked->n_begin_suppress || asked->n_biases)
        return ib_fail(
            err, IB_E_INTERNAL,
            "a plan cannot carry token lists; fix: put them into generation_config.json");
    b->generation = *asked;
    IB_TRY(
        ib_generation_merge(&b->generation, json, where ? where : "generation_config.json", err));
    if (b->plan->prompt.n_random && !b->plan->prompt.token_ids) {
        b->generation.n_eos = 0; /* random text has no end: every run does equal work */
        b->generation.forced_eos_id = -1;
    }
    return describe_generation(&b->generation, &b->cell->generation, err);
}

static ib_status keep_prompt(bench *b, const ib_buf *text, ib_error *err) {
    ib_cell *c = b->cell;
    size_t bytes = b->prompt.n * sizeof *b->prompt.ids, all;
    free(c->prompt_ids);
    free(c->prompt_text);
    c->prompt_text = NULL;
    c->n_prompt_text = 0;
    uint32_t *ids = c->prompt_ids = malloc(bytes);
    b->batch = ib_mul_size(bytes, b->n_seqs, &all) ? malloc(all) : NULL;
    if (!ids || !b->batch)
        return ib_fail_memory(err, bytes, "the prompt");
    memcpy(ids, b->prompt.ids, bytes);
    c->n_prompt_ids = b->prompt.n;
    for (size_t i = 0; i < b->n_seqs; i++)
        memcpy(b->batch + i * b->prompt.n, b->prompt.ids, bytes);
    if (!text->ptr)
        return IB_OK;
    c->prompt_text = ib_strndup(text->ptr, text->len);
    c->n_prompt_text = text->len;
    return c->prompt_text ? IB_OK : ib_fail_memory(err, text->len, "the prompt");
}

/* Random ids of their own, so that the prompt of a seed is the same at any depth. */
static ib_status make_depth(bench *b, ib_ids *ids, ib_error *err) {
    static const uint64_t apart = UINT64_C(0x6465707468); /* another stream of the same seed */
    const ib_config *config = ib_engine_config_of(b->engine);
    ib_rng rng;
    ib_rng_init(&rng, b->plan->prompt.seed ^ apart);
    for (uint64_t i = 0; i < b->plan->n_depth; i++)
        IB_TRY(ib_ids_add(ids, (uint32_t)ib_rng_below(&rng, config->n_vocab), err));
    return IB_OK;
}

/* The session, with the context in it. */
static ib_status prepare_session(bench *b, ib_error *err) {
    ib_ids ids = {0};
    ib_engine_depth depth = {.stop = b->plan->stop_signal};
    const uint64_t start = ib_now_ns(), built = ib_engine_kernels_ns(b->engine);
    ib_status st = make_depth(b, &ids, err);
    depth.ids = ids.ids;
    depth.n = ids.n;
    if (st == IB_OK)
        st = ib_engine_prepare_at(b->engine, &depth, b->prompt.n,
                                  (size_t)b->generation.max_new_tokens, b->n_seqs, err);
    ib_ids_clear(&ids);
    IB_TRY(st);
    const uint64_t kernels = ib_engine_kernels_ns(b->engine) - built;
    ib_cell_add_phase(b->cell, "session", ib_now_ns() - start - depth.took_ns - kernels);
    if (kernels > 0)
        ib_cell_add_phase(b->cell, "session_kernels", kernels);
    b->cell->depth_ns = depth.took_ns;
    return IB_OK;
}

static ib_status prepare(bench *b, ib_error *err) {
    ib_buf text;
    ib_clock_facts clock;
    ib_buf_init(&text);
    ib_status st =
        ib_bench_prompt(b->engine, &b->plan->prompt, &b->prompt, &text, b->cell, &b->times, err);
    if (st == IB_OK)
        st = keep_prompt(b, &text, err);
    ib_buf_clear(&text);
    IB_TRY(st);
    IB_TRY(settle_generation(b, err));
    IB_TRY(prepare_session(b, err));
    ib_clock_measure(&clock);
    if (!ib_engine_is_virtual(b->engine))
        b->cell->clock_cost_ns = clock.cost_ns < 1 ? 1 : (uint64_t)(clock.cost_ns + 0.5);
    return IB_OK;
}

/* --- one run --- */

static ib_status allocate_run(ib_run_record *r, uint64_t n_tokens, uint64_t n_seqs, ib_error *err) {
    uint64_t n_stamps, n_ids, bytes;
    if (!ib_add_u64(n_tokens, 1, &n_stamps) || !ib_mul_u64(n_stamps, sizeof *r->stamps_ns, &bytes))
        return ib_fail_memory(err, SIZE_MAX, "time stamps");
    r->stamps_ns = malloc((size_t)bytes);
    if (!r->stamps_ns)
        return ib_fail_memory(err, (size_t)bytes, "time stamps");
    memset(r->stamps_ns, 0xFF, (size_t)bytes); /* pages are there before time counts */
    if (!ib_mul_u64(n_tokens, n_seqs, &n_ids) || !ib_mul_u64(n_ids, sizeof *r->output_ids, &bytes))
        return ib_fail_memory(err, SIZE_MAX, "token ids");
    r->output_ids = malloc((size_t)bytes);
    if (!r->output_ids)
        return ib_fail_memory(err, (size_t)bytes, "token ids");
    memset(r->output_ids, 0xFF, (size_t)bytes);
    return IB_OK;
}

static void keep_result(ib_run_record *r, const ib_generate_result *result, const bench *b) {
    r->n_tokens = result->n_tokens;
    r->prefill_done_ns = result->prefill_ns;
    r->finite = result->finite;
    if (!result->finite)
        ib_log_warn(b->plan->engine.log, "non-finite logits at token %llu of a run",
                    (unsigned long long)result->first_not_finite);
    r->stopped_by_eos = result->stopped_by_eos;
    r->cancelled = result->cancelled && !result->stopped_by_eos &&
                   result->n_tokens < b->generation.max_new_tokens;
    r->decode_call_ns = result->decode_call_ns;
    r->pick_call_ns = result->pick_call_ns;
    r->render_ns = b->times.render_ns;
    r->tokenize_ns = b->times.tokenize_ns;
    ib_run_record_hash(r);
}

/* Weights that a run reads from mapped files; NULL when the device has its own copy. */
static const ib_checkpoint *mapped_weights(const bench *b) {
    ib_memory_record memory;
    ib_engine_memory(b->engine, &memory);
    return memory.weights_mapped && !ib_engine_is_synthetic(b->engine)
               ? ib_engine_checkpoint(b->engine)
               : NULL;
}

/* Behind the timed window. */
static ib_status keep_logits(bench *b, ib_run_record *r, ib_error *err) {
    const size_t n = ib_engine_n_logits(b->engine);
    if (n == 0 || r->n_tokens == 0)
        return IB_OK;
    float *logits = calloc(n, sizeof *logits);
    if (!logits)
        return ib_fail_memory(err, n * sizeof *logits, "logits");
    ib_status st = ib_engine_logits(b->engine, logits, err);
    if (st == IB_OK)
        ib_run_record_logits(r, logits, b->n_seqs, n / b->n_seqs);
    free(logits);
    return st;
}

static ib_status generate(bench *b, ib_run_record *r, ib_streamer *streamer, ib_error *err) {
    ib_watch watch;
    ib_streamer_cost reader = {0};
    ib_generate_result result = {0};
    const bool real = !ib_engine_is_virtual(b->engine);
    timed t = {.stamps = r->stamps_ns,
               .result = &result,
               .streamer = streamer,
               .stop = b->plan->stop_signal};
    if (real)
        ib_watch_begin(&watch, b->plan, mapped_weights(b));
    ib_meter_begin(&b->meter);
    ib_status st = ib_engine_run(b->engine, &b->generation, b->batch, b->prompt.n, r->output_ids,
                                 on_token, &t, &result, err);
    ib_meter_end(&b->meter, &r->energy_uj, &r->energy_ns);
    if (streamer) {
        r->ring_overflows = ib_streamer_finish(streamer);
        reader = ib_streamer_cost_of(streamer);
    }
    if (st != IB_OK)
        return st;
    if (real)
        ib_watch_end(&watch, b->plan, &reader, r);
    keep_result(r, &result, b);
    return keep_logits(b, r, err);
}

/* What the prompt takes, from a run of one token that nobody measures. */
static ib_status meter_prefill(bench *b, ib_error *err) {
    ib_generation one = b->generation; /* borrows its arrays */
    ib_generate_result result = {0};
    ib_energy_record *e = &b->cell->energy;
    if (!ib_meter_counts(&b->meter))
        return IB_OK;
    one.max_new_tokens = 1;
    uint32_t *ids = calloc(b->n_seqs, sizeof *ids);
    if (!ids)
        return ib_fail_memory(err, b->n_seqs * sizeof *ids, "token ids");
    ib_meter_begin(&b->meter);
    ib_status st =
        ib_engine_run(b->engine, &one, b->batch, b->prompt.n, ids, NULL, NULL, &result, err);
    ib_meter_end(&b->meter, &e->prefill_uj, &e->prefill_ns);
    free(ids);
    return st;
}

/* A run that failed or made no token leaves no trace in the cell. */
static ib_status one_run(bench *b, bool warmup, const ib_stream_sink *sink, ib_error *err) {
    ib_cell *c = b->cell;
    ib_run_record *r = NULL;
    ib_streamer *streamer = NULL;
    IB_TRY(ib_cell_add_run(c, &r, err));
    r->warmup = warmup;
    r->n_seqs = b->n_seqs;
    r->process = c->n_processes - 1;
    ib_status st = allocate_run(r, b->generation.max_new_tokens, b->n_seqs, err);
    if (st == IB_OK && sink)
        st = ib_streamer_new(&streamer, (size_t)b->generation.max_new_tokens, sink, err);
    if (st == IB_OK)
        st = generate(b, r, streamer, err);
    ib_streamer_free(streamer);
    if (st != IB_OK || r->n_tokens == 0)
        ib_run_record_clear(&c->runs[--c->n_runs]);
    return st;
}

static ib_status stopped(const bench *b, ib_error *err) {
    int signal = b->plan->stop_signal ? *b->plan->stop_signal : 0;
    if (signal == 0)
        return IB_OK;
    return ib_fail(err, signal == SIGTERM ? IB_E_TERMINATED : IB_E_INTERRUPTED,
                   "stopped by %s after %zu runs; fix: none needed, what was measured is kept",
                   signal == SIGTERM  ? "SIGTERM"
                   : signal == SIGINT ? "SIGINT"
                                      : "a signal",
                   b->cell->n_runs);
}

static ib_status next_run(bench *b, bool warmup, const ib_stream_sink *sink, ib_error *err) {
    const ib_plan *p = b->plan;
    const size_t held = b->cell->n_runs;
    IB_TRY(one_run(b, warmup, sink, err));
    const ib_run_record *r = b->cell->n_runs > held ? &b->cell->runs[held] : NULL;
    if (r)
        ib_log_debug(p->engine.log, "run %zu%s: %llu tokens", held + 1, warmup ? " (warm-up)" : "",
                     (unsigned long long)r->n_tokens);
    if (r && p->finished_run && !r->cancelled)
        IB_TRY(p->finished_run(p->finished_user, b->cell, r, err));
    return stopped(b, err);
}

static ib_status all_runs(bench *b, ib_error *err) {
    const ib_plan *p = b->plan;
    const size_t held = ib_until_units(b->cell, false);
    const ib_until until = {.n_planned = held + p->n_repetitions,
                            .half_width = p->half_width,
                            .max_time_ns = p->max_time_ns,
                            .start_ns = ib_now_ns()};
    const ib_stream_sink *sink = p->sink;
    bool more = false;
    IB_TRY(stopped(b, err));
    for (uint64_t i = 0; i < p->n_warmup; i++)
        IB_TRY(next_run(b, true, NULL, err));
    IB_TRY(ib_until_more(&until, b->cell, &more, err));
    while (more) {
        const size_t before = ib_until_units(b->cell, false);
        IB_TRY(next_run(b, false, sink, err));
        sink = NULL;
        if (ib_until_units(b->cell, false) == before) /* a run without a token: no end otherwise */
            return IB_OK;
        IB_TRY(ib_until_more(&until, b->cell, &more, err));
    }
    return IB_OK;
}

/* --- after the runs --- */

/* What the reference prints: prompt and output of the first measured run, special tokens left out,
 * cleaned up by its rule. Of a batch, the first sequence. */
static ib_status decode_text(bench *b, ib_run_record *r, ib_error *err) {
    const ib_tokenizer *t = ib_engine_tokenizer(b->engine);
    ib_cell *c = b->cell;
    ib_ids all = {0};
    ib_buf text;
    ib_status st = IB_OK;
    if (!t)
        return IB_OK;
    ib_buf_init(&text);
    for (size_t i = 0; i < b->prompt.n && st == IB_OK; i++)
        st = ib_ids_add(&all, b->prompt.ids[i], err);
    for (uint64_t i = 0; i < r->n_tokens && st == IB_OK; i++)
        st = ib_ids_add(&all, r->output_ids[i * r->n_seqs], err);
    uint64_t start = ib_now_ns();
    if (st == IB_OK)
        st = ib_tokenizer_decode(t, all.ids, all.n, true, &text, err);
    if (st == IB_OK)
        st = ib_tokenizer_clean_up(t, &text, err);
    r->detokenize_ns = ib_now_ns() - start;
    if (st == IB_OK) {
        free(c->output_text);
        c->output_text = ib_strndup(text.ptr ? text.ptr : "", text.len);
        c->n_output_text = text.len;
        if (!c->output_text)
            st = ib_fail_memory(err, text.len, "the output text");
    }
    ib_ids_clear(&all);
    ib_buf_clear(&text);
    return st;
}

static void keep_step_bytes(bench *b, const ib_run_record *r) {
    ib_model_record *m = &b->cell->model;
    ib_step_bytes step;
    const ib_model *model = ib_engine_model(b->engine);
    if (!model)
        return;
    const uint64_t n_past = b->plan->n_depth + b->prompt.n;
    ib_model_step_bytes(model, n_past + r->n_tokens / 2, ib_engine_kv_type(b->engine), &step);
    m->step_weights = step.weights;
    m->step_scales = step.scales;
    m->step_head = step.head;
    m->step_kv = step.kv * b->n_seqs; /* weights are read once for all sequences */
    m->step_total = step.weights + step.scales + step.head + m->step_kv;
    m->prefill_flops =
        (double)b->n_seqs * ib_model_prefill_flops(model, b->plan->n_depth, (uint64_t)b->prompt.n);
    m->step_flops = (double)b->n_seqs * ib_model_prefill_flops(model, n_past + r->n_tokens / 2, 1);
}

static ib_status finish(bench *b, ib_error *err) {
    ib_run_record *first = NULL;
    ib_engine_memory(b->engine, &b->cell->memory);
    ib_engine_device_clock(b->engine, &b->cell->device_clock);
    b->cell->loaded.huge_bytes = ib_process_huge_bytes();
    for (size_t i = 0; i < b->cell->n_runs && !first; i++)
        if (!b->cell->runs[i].warmup)
            first = &b->cell->runs[i];
    if (!first)
        return IB_OK;
    keep_step_bytes(b, first);
    return decode_text(b, first, err);
}

ib_status ib_bench_run_on(ib_engine *e, const ib_cell *opened, ib_cell *cell, const ib_plan *plan,
                          ib_error *err) {
    bench b = {.engine = e, .cell = cell, .plan = plan};
    b.n_seqs = plan->n_batch ? (size_t)plan->n_batch : 1;
    ib_status st = fill_asked(&cell->asked, plan, err);
    if (st == IB_OK && opened && opened != cell)
        st = ib_cell_copy_opened(cell, opened, err);
    if (st == IB_OK)
        st = prepare(&b, err);
    if (st == IB_OK)
        st = ib_watch_process(cell, plan, e, err);
    if (st == IB_OK && !ib_engine_is_virtual(e))
        st = ib_meter_open(&b.meter, plan, cell, err);
    if (st == IB_OK) {
        st = all_runs(&b, err);
        if (st == IB_OK)
            st = meter_prefill(&b, err);
        ib_error late = {0};
        ib_status done = finish(&b, st == IB_OK ? err : &late);
        st = st == IB_OK ? done : st;
        if (st == IB_OK)
            st = ib_watch_process_end(cell, plan, e, err);
        if (st == IB_OK && plan->profile)
            st = ib_bench_profile(e, b.batch, b.prompt.n, b.generation.max_new_tokens,
                                  &cell->profile, err);
        if (st == IB_OK && plan->roofline) /* behind the look at memory: it takes some itself */
            st = ib_bench_probe_after(e, &cell->probe, err);
    }
    ib_meter_close(&b.meter);
    ib_generation_clear(&b.generation);
    ib_ids_clear(&b.prompt);
    free(b.batch);
    return st;
}

/* As far as the plan tells before a text is tokenized. */
static uint64_t planned_positions(const ib_plan *p) {
    const uint64_t prompt = p->prompt.token_ids ? p->prompt.n_token_ids : p->prompt.n_random;
    uint64_t n = 0;
    if (!ib_add_u64(prompt, p->n_depth, &n) || !ib_add_u64(n, p->generation.max_new_tokens, &n) ||
        !ib_mul_u64(n, p->n_batch ? p->n_batch : 1, &n))
        return UINT64_MAX;
    return n;
}

ib_status ib_bench_run_cell(ib_cell *cell, const ib_plan *plan, ib_error *err) {
    ib_engine *engine = NULL;
    ib_engine_config config = plan->engine;
    config.n_positions = planned_positions(plan);
    IB_TRY(ib_engine_open(&engine, &config, cell, err));
    ib_status st = ib_bench_run_on(engine, cell, cell, plan, err);
    ib_engine_close(engine);
    return st;
}
