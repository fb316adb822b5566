/* SPDX-License-Identifier: MIT
 * The public library (inferbench.h) over the modules: options -> plan, plan -> cell, record ->
 * text. It adds no behaviour of its own. */
#include "inferbench.h"

#include "bench/bench.h"
#include "report/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef IB_VERSION
#define IB_VERSION "unknown"
#endif

_Static_assert(sizeof(inferbench_error) == sizeof(ib_error), "inferbench_error mirrors ib_error");

struct inferbench {
    ib_hub_env hub_env;
    ib_engine_config config;
    ib_engine *engine; /* owned */
    ib_cell opened;    /* owned: load phases and what was resolved when the model was opened */
    ib_plan plan;
    ib_record record; /* owned */
};

static ib_error *inner(inferbench_error *err) {
    return (ib_error *)(void *)err;
}

const char *inferbench_version(void) {
    return IB_VERSION;
}

void inferbench_options_init(inferbench_options *o) {
    *o = (inferbench_options){.device = "auto",
                              .attn = "eager",
                              .dtype = "auto",
                              .compute = "auto",
                              .chat_template = 1,
                              .max_new_tokens = 256,
                              .repetitions = 1,
                              .eos_token_id = 1,
                              .forced_eos_token_id = 1};
}

static ib_status parse_choice(const char *what, const char *text, const char *const *names, int n,
                              int *out, ib_error *err) {
    char quoted[IB_QUOTED];
    for (int i = 0; i < n; i++)
        if (text && strcmp(text, names[i]) == 0) {
            *out = i;
            return IB_OK;
        }
    return ib_fail(err, IB_E_USAGE, "unknown %s '%s'; fix: use one of those in inferbench.h", what,
                   ib_quotez(text, quoted));
}

static ib_status read_options(inferbench *b, const inferbench_options *o, ib_error *err) {
    static const char *const attns[] = {"eager", "sdpa", "flash_attention"};
    static const char *const dtypes[] = {"auto", "float32", "bfloat16", "float16"};
    static const char *const computes[] = {"auto", "float32", "int8"};
    static const int types[] = {-1, IB_TYPE_F32, IB_TYPE_BF16, IB_TYPE_F16};
    int attn = 0, dtype = 0, compute = 0;
    if (!o->model_id)
        return ib_fail(err, IB_E_USAGE, "no model given; fix: set model_id");
    if (!o->prompt && !o->token_ids)
        return ib_fail(err, IB_E_USAGE, "no prompt given; fix: set prompt or token_ids");
    IB_TRY(parse_choice("attention", o->attn, attns, 3, &attn, err));
    IB_TRY(parse_choice("dtype", o->dtype, dtypes, 4, &dtype, err));
    IB_TRY(parse_choice("compute", o->compute, computes, 3, &compute, err));
    b->config = (ib_engine_config){.model_id = o->model_id,
                                   .revision = o->revision,
                                   .cache_dir = o->cache_dir,
                                   .hub_env = &b->hub_env,
                                   .device = o->device,
                                   .cpu_tier = o->cpu_tier,
                                   .attention = (ib_attention)attn,
                                   .compute = (ib_compute)compute,
                                   .dtype = types[dtype],
                                   .n_threads = o->n_threads,
                                   .weights = true};
    b->plan.prompt = (ib_prompt_spec){.token_ids = o->token_ids,
                                      .n_token_ids = o->n_token_ids,
                                      .system_prompt = o->system_prompt,
                                      .prompt = o->prompt,
                                      .chat_template = o->chat_template != 0};
    ib_generation_init(&b->plan.generation);
    b->plan.generation.max_new_tokens = o->max_new_tokens;
    b->plan.generation.n_eos = o->eos_token_id >= 0 ? 1 : 0;
    b->plan.generation.eos_ids[0] = (uint32_t)(o->eos_token_id >= 0 ? o->eos_token_id : 0);
    b->plan.generation.forced_eos_id = o->forced_eos_token_id;
    b->plan.n_repetitions = o->repetitions ? o->repetitions : 1;
    b->plan.n_warmup = o->warmup;
    b->plan.n_batch = 1;
    b->plan.engine = b->config;
    return IB_OK;
}

int inferbench_open(inferbench **out, const inferbench_options *o, inferbench_error *err) {
    inferbench *b = calloc(1, sizeof *b);
    *out = NULL;
    ib_error_clear(inner(err));
    if (!b)
        return (int)ib_fail_memory(inner(err), sizeof *b, "a benchmark");
    ib_hub_env_read(&b->hub_env);
    ib_status st = read_options(b, o, inner(err));
    if (st == IB_OK)
        st = ib_engine_open(&b->engine, &b->config, &b->opened, inner(err));
    if (st != IB_OK) {
        inferbench_close(b);
        return (int)st;
    }
    *out = b;
    return 0;
}

void inferbench_close(inferbench *b) {
    if (!b)
        return;
    ib_engine_close(b->engine);
    ib_generation_clear(&b->plan.generation);
    ib_cell_clear(&b->opened);
    ib_record_clear(&b->record);
    free(b);
}

int inferbench_tokenize(inferbench *b, const char *text, size_t text_len, int add_special_tokens,
                        uint32_t **ids_out, size_t *n, inferbench_error *err) {
    const ib_tokenizer *t = ib_engine_tokenizer(b->engine);
    ib_encode_options options = {.add_special_tokens = add_special_tokens != 0};
    ib_ids ids = {0};
    *ids_out = NULL;
    *n = 0;
    if (!t)
        return (int)ib_fail(inner(err), IB_E_INPUT,
                            "the model has no tokenizer; fix: use token ids");
    ib_status st =
        ib_tokenizer_encode(t, (ib_str){text, text_len}, &options, &ids, NULL, inner(err));
    if (st != IB_OK) {
        ib_ids_clear(&ids);
        return (int)st;
    }
    *ids_out = ids.ids;
    *n = ids.n;
    return 0;
}

/* Hands the text of b to the caller, or frees it when st is an error. */
static int give_text(ib_status st, ib_buf *b, char **text_out, ib_error *err) {
    if (st == IB_OK)
        st = ib_buf_reserve(b, 0, err);
    if (st != IB_OK) {
        ib_buf_clear(b);
        return (int)st;
    }
    b->ptr[b->len] = '\0';
    *text_out = b->ptr;
    return 0;
}

int inferbench_detokenize(inferbench *b, const uint32_t *ids, size_t n, int skip_special,
                          char **text_out, inferbench_error *err) {
    const ib_tokenizer *t = ib_engine_tokenizer(b->engine);
    ib_buf text;
    ib_buf_init(&text);
    *text_out = NULL;
    if (!t)
        return (int)ib_fail(inner(err), IB_E_INPUT,
                            "the model has no tokenizer; fix: use token ids");
    ib_status st = ib_tokenizer_decode(t, ids, n, skip_special != 0, &text, inner(err));
    return give_text(st, &text, text_out, inner(err));
}

int inferbench_run(inferbench *b, inferbench_on_token on_token, void *user, inferbench_error *err) {
    ib_cell *cell = NULL;
    ib_stream_sink sink = {on_token, user};
    b->plan.sink = on_token ? &sink : NULL;
    ib_status st = ib_record_begin(&b->record, "library", inner(err));
    if (st == IB_OK)
        st = ib_record_add_cell(&b->record, &cell, inner(err));
    if (st == IB_OK)
        st = ib_bench_run_on(b->engine, &b->opened, cell, &b->plan, inner(err));
    b->plan.sink = NULL;
    return (int)st;
}

int inferbench_summarise(const inferbench *b, inferbench_summary *out, inferbench_error *err) {
    ib_summary s;
    if (b->record.n_cells == 0)
        return (int)ib_fail(inner(err), IB_E_USAGE,
                            "nothing was run yet; fix: call inferbench_run");
    const ib_cell *cell = &b->record.cells[b->record.n_cells - 1];
    IB_TRY(ib_summarise(&s, cell, NULL, 0, inner(err)));
    const ib_run_record *run = &cell->runs[cell->n_runs - 1];
    *out = (inferbench_summary){.n_prompt_tokens = cell->n_prompt_ids,
                                .n_output_tokens = run->n_tokens,
                                .ttft_ms = s.ttft_ms,
                                .tpot_ms = s.tpot_ms,
                                .itl_p50_ms = s.itl_p50_ms,
                                .itl_p90_ms = s.itl_p90_ms,
                                .itl_p99_ms = s.itl_p99_ms,
                                .decode_tok_s = s.decode_tok_s,
                                .prefill_tok_s = s.prefill_tok_s,
                                .read_gbps = s.read_gbps,
                                .bytes_per_token = s.bytes_per_token,
                                .peak_memory_bytes = (double)cell->memory.peak_total};
    memcpy(out->ids_sha256, run->ids_sha256, sizeof out->ids_sha256);
    (void)snprintf(out->verdict, sizeof out->verdict, "%s", s.verdict);
    return 0;
}

static int write_report(const ib_record *r, const char *format, char **text_out, ib_error *err) {
    const ib_report_format *f = ib_report_find(format);
    ib_report_options options = {.print_median = true};
    char quoted[IB_QUOTED];
    ib_buf text;
    ib_buf_init(&text);
    *text_out = NULL;
    if (!f)
        return (int)ib_fail(err, IB_E_USAGE, "unknown report format '%s'; fix: use text or json",
                            ib_quotez(format, quoted));
    return give_text(f->write(r, &options, &text, err), &text, text_out, err);
}

int inferbench_report(const inferbench *b, const char *format, char **text_out,
                      inferbench_error *err) {
    return write_report(&b->record, format, text_out, inner(err));
}

int inferbench_render_record(const char *json, size_t json_len, const char *format, char **text_out,
                             inferbench_error *err) {
    json_t *parsed = NULL;
    ib_record record = {0};
    *text_out = NULL;
    int st = (int)ib_json_parse(&parsed, (ib_str){json, json_len}, "the record", inner(err));
    if (st == 0)
        st = (int)ib_record_from_json(&record, parsed, "the record", inner(err));
    if (st == 0)
        st = write_report(&record, format, text_out, inner(err));
    ib_record_clear(&record);
    json_decref(parsed);
    return st;
}

void inferbench_free(void *p) {
    free(p);
}
