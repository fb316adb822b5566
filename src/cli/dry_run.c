/* SPDX-License-Identifier: MIT
 * See dry_run.h. The figures come from headers and config.json: weights as stored, the KV cache by
 * the shape, the activations that a session keeps. What a device adds of its own (packed copies,
 * work areas) is not in them. */
#include "cli/dry_run.h"

#include "base/checked.h"
#include "cli/run_cell.h"
#include "engine/synth.h"
#include "model/synthetic.h"
#include "record/at_hand.h"

#include <string.h>

typedef struct plan_view {
    ib_cli *cli;
    const ib_run_input *input;
    ib_engine *engine;         /* owned: configuration and tokenizer of the model below */
    const char *model, *quant; /* borrowed; of the engine */
    uint64_t weights;
    ib_status first_failure;
} plan_view;

typedef struct need {
    uint64_t n_prompt, n_positions, kv, scratch, total;
    ib_type kv_type;
} need;

static bool same(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static ib_status synthetic_weights(plan_view *v, const ib_options *o, const ib_config *c,
                                   ib_error *err) {
    ib_synthetic *s = NULL;
    IB_TRY(ib_synthetic_open(&s, o->model_id, o->quant, o->seed, err));
    ib_status st = ib_synthetic_bytes(s, c, &v->weights, err);
    ib_synthetic_close(s);
    return st;
}

/* The model of a cell, unless the cell before had the same. */
static ib_status open_model(plan_view *v, const ib_options *o, const ib_plan *plan, ib_error *err) {
    ib_engine_config config = plan->engine;
    char shown[IB_QUOTED];
    if (v->engine && same(v->model, o->model_id) && same(v->quant, o->quant))
        return IB_OK;
    ib_engine_close(v->engine);
    v->engine = NULL;
    v->weights = 0;
    config.weights = false;
    IB_TRY(ib_engine_open(&v->engine, &config, NULL, err));
    v->model = o->model_id;
    v->quant = o->quant;
    const ib_config *c = ib_engine_config_of(v->engine);
    const ib_checkpoint *ckpt = ib_engine_checkpoint(v->engine);
    if (ib_synth_asked(o->model_id))
        return IB_OK;
    if (c && ib_engine_is_synthetic(v->engine))
        return synthetic_weights(v, o, c, err);
    if (!c || !ckpt)
        return ib_fail(err, IB_E_INPUT,
                       "no plan for the model in '%s': it has no weights, or is not one that this "
                       "program runs; fix: see 'inferbench inspect'",
                       ib_quotez(o->model_id, shown));
    for (size_t i = 0; i < ib_checkpoint_n_tensors(ckpt); i++)
        v->weights += ib_checkpoint_tensor(ckpt, i)->n_bytes;
    return IB_OK;
}

static ib_status count_prompt(plan_view *v, const ib_plan *plan, uint64_t *n, ib_error *err) {
    ib_ids ids = {0};
    ib_cell cell = {0};
    ib_run_record times = {0};
    ib_buf text;
    ib_buf_init(&text);
    ib_status st = ib_bench_prompt(v->engine, &plan->prompt, &ids, &text, &cell, &times, err);
    *n = ids.n;
    ib_ids_clear(&ids);
    ib_buf_clear(&text);
    ib_cell_clear(&cell);
    return st;
}

static bool product(const uint64_t *factors, size_t n, uint64_t *out) {
    *out = 1;
    for (size_t i = 0; i < n; i++)
        if (!ib_mul_u64(*out, factors[i], out))
            return false;
    return true;
}

static ib_status count_memory(const plan_view *v, const ib_options *o, const ib_plan *plan,
                              need *out, ib_error *err) {
    const ib_config *c = ib_engine_config_of(v->engine);
    /* activations of the longest step, in fp32: three of the model's width, query and attended,
     * key and value, gate and up; eager attention takes the prompt in one step */
    const uint64_t widths = 3 * c->d_model + 2 * c->n_heads * c->head_dim +
                            2 * c->n_kv_heads * c->head_dim + 2 * c->d_ff;
    const uint64_t step =
        plan->engine.attention == IB_ATTN_EAGER || out->n_prompt < 512 ? out->n_prompt : 512;
    out->kv_type = plan->engine.dtype >= 0 ? (ib_type)plan->engine.dtype : c->file_dtype;
    const uint64_t kv[] = {
        2, ib_type_block_bytes(out->kv_type), c->n_layers, o->batch, c->n_kv_heads, c->head_dim};
    const uint64_t rows[] = {4, o->batch, step, widths};
    out->n_positions = out->n_prompt + o->depth + o->max_new_tokens;
    if (!product(kv, sizeof kv / sizeof kv[0], &out->kv) ||
        !ib_mul_u64(out->kv, out->n_positions, &out->kv) ||
        !product(rows, sizeof rows / sizeof rows[0], &out->scratch) ||
        !ib_add_u64(v->weights, out->kv, &out->total) ||
        !ib_add_u64(out->total, out->scratch, &out->total))
        return ib_fail(err, IB_E_RESOURCE,
                       "more than 2^64 bytes are needed; fix: ask for fewer tokens or sequences");
    return IB_OK;
}

static ib_status print_cell(plan_view *v, size_t index, size_t n_cells, const ib_options *o,
                            const need *n, ib_error *err) {
    const double mib = 1048576.0;
    const char *limit = "";
    const uint64_t have = ib_memory_at_hand(&limit);
    ib_buf text;
    ib_buf_init(&text);
    ib_status st = ib_buf_addf(&text, err, "Cell %zu of %zu: ", index + 1, n_cells);
    if (st == IB_OK)
        st = ib_run_cell_label(o, &text, err);
    if (st == IB_OK)
        st = ib_buf_addf(&text, err,
                         "\n  Prompt     %llu tokens behind a context of %llu, in each of %llu "
                         "sequences\n  Runs       %llu warm-up, %llu measured\n"
                         "  Memory     %.1f MiB: weights %.1f, KV cache of %llu positions in %s "
                         "%.1f, scratch %.1f%s\n  Time       unknown\n",
                         (unsigned long long)n->n_prompt, (unsigned long long)o->depth,
                         (unsigned long long)o->batch, (unsigned long long)o->warmup,
                         (unsigned long long)o->repetitions, (double)n->total / mib,
                         (double)v->weights / mib, (unsigned long long)n->n_positions,
                         ib_type_name(n->kv_type), (double)n->kv / mib, (double)n->scratch / mib,
                         n->total > have ? "; MORE than is at hand" : "");
    if (st == IB_OK)
        st = ib_output_write(&v->cli->out, text.ptr, text.len, err);
    ib_buf_clear(&text);
    return st;
}

static ib_status show_cell(plan_view *v, size_t index, size_t n_cells, ib_error *err) {
    ib_run_cell r;
    ib_cell cell = {0};
    need n = {0};
    ib_status st = ib_run_cell_init(&r, v->cli, v->input, index, &cell, false, err);
    if (st == IB_OK)
        st = open_model(v, &r.o, &r.plan, err);
    if (st == IB_OK)
        st = count_prompt(v, &r.plan, &n.n_prompt, err);
    if (st == IB_OK)
        st = count_memory(v, &r.o, &r.plan, &n, err);
    if (st == IB_OK)
        st = print_cell(v, index, n_cells, &r.o, &n, err);
    ib_run_cell_clear(&r);
    ib_cell_clear(&cell);
    return st;
}

ib_status ib_cli_dry_run(ib_cli *cli, const ib_run_input *input, ib_error *err) {
    plan_view v = {.cli = cli, .input = input};
    const size_t n_cells = ib_options_n_cells(&cli->options);
    ib_status st = IB_OK;
    for (size_t i = 0; i < n_cells && st == IB_OK; i++) {
        ib_error problem = {0};
        st = show_cell(&v, i, n_cells, &problem);
        if (st == IB_OK)
            continue;
        if (n_cells == 1 || st == IB_E_OUTPUT) {
            *err = problem;
            break;
        }
        (void)ib_context(&problem, st, "cell %zu of %zu", i + 1, n_cells);
        ib_messages_print_error(&problem, cli->json_errors);
        v.first_failure = v.first_failure == IB_OK ? st : v.first_failure;
        st = IB_OK;
    }
    ib_engine_close(v.engine);
    if (st == IB_OK && v.first_failure != IB_OK) {
        cli->reported = true;
        st = v.first_failure;
    }
    return st;
}
