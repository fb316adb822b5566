/* SPDX-License-Identifier: MIT
 * Makes a session: the KV cache, one block of scratch, one of input and output, the workspace of
 * generation. All sizes are known here; nothing is allocated later. */
#include "base/checked.h"
#include "model/rope.h"
#include "model/session_internal.h"

#include <stdlib.h>

enum { CHUNK_ROWS = 512, ALIGN = 256 };

static ib_status check_options(const ib_model *m, const ib_session_options *o, ib_error *err) {
    const ib_config *c = &m->config;
    if (o->n_seqs == 0 || o->n_ctx == 0 || o->n_prompt_max == 0 || o->n_prompt_max > o->n_ctx)
        return ib_fail(
            err, IB_E_USAGE,
            "bad size of session: %zu sequences, %zu positions, prompts of %zu; fix: all "
            "at least 1, prompts not longer than positions",
            o->n_seqs, o->n_ctx, o->n_prompt_max);
    if (o->n_ctx > INT32_MAX || o->n_seqs > INT32_MAX / o->n_ctx)
        return ib_fail(err, IB_E_RESOURCE,
                       "too many positions: %zu sequences of %zu; fix: ask for fewer", o->n_seqs,
                       o->n_ctx);
    if (o->all_logits && o->n_seqs != 1)
        return ib_fail(err, IB_E_USAGE,
                       "logits of all positions for %zu sequences; fix: use one sequence",
                       o->n_seqs);
    if (o->kv_type != IB_TYPE_F32 && o->kv_type != IB_TYPE_F16 && o->kv_type != IB_TYPE_BF16)
        return ib_fail(err, IB_E_UNSUPPORTED, "KV cache of type %s; fix: use F32, F16 or BF16",
                       ib_type_name(o->kv_type));
    if (o->n_ctx > c->n_ctx_max)
        ib_log_warn(m->log,
                    "%zu positions are more than the %llu that the model was made for: the text "
                    "may be poor, the timing is valid",
                    o->n_ctx, (unsigned long long)c->n_ctx_max);
    return IB_OK;
}

/* Refuses a KV cache that cannot exist, with the sum. */
static ib_status check_kv(const ib_model *m, const ib_session_options *o, ib_error *err) {
    const ib_config *c = &m->config;
    uint64_t bytes = 2 * (uint64_t)ib_type_block_bytes(o->kv_type);
    const uint64_t factors[] = {c->n_layers, o->n_seqs, c->n_kv_heads, c->head_dim, o->n_ctx};
    ib_device_info info;
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++)
        if (!ib_mul_u64(bytes, factors[i], &bytes))
            return ib_fail(err, IB_E_RESOURCE,
                           "the KV cache of %zu positions needs more than 2^64 bytes; fix: ask for "
                           "fewer tokens",
                           o->n_ctx);
    m->backend->info(m->device, &info);
    if (info.memory_bytes != 0 && bytes > info.memory_bytes)
        return ib_fail(err, IB_E_RESOURCE,
                       "the KV cache of %zu positions needs %llu bytes, the device has %llu; fix: "
                       "ask for fewer tokens or sequences",
                       o->n_ctx, (unsigned long long)bytes, (unsigned long long)info.memory_bytes);
    return IB_OK;
}

static size_t chunk_of(const ib_model *m, const ib_session_options *o) {
    if (o->attention == IB_ATTN_EAGER || m->whole_prompt)
        return o->n_prompt_max; /* one step, as in the reference */
    size_t chunk = CHUNK_ROWS / o->n_seqs;
    if (chunk == 0)
        chunk = 1;
    return chunk < o->n_prompt_max ? chunk : o->n_prompt_max;
}

/* Tensors of one buffer, laid out one after the other. */
typedef struct layout {
    uint64_t bytes;
    bool ok;
} layout;

static void lay(layout *l, ib_tensor *t, ib_type type, uint64_t rows, uint64_t cols) {
    uint64_t bytes = 0;
    *t = (ib_tensor){
        .offset = (size_t)l->bytes, .type = type, .n_rows = (size_t)rows, .n_cols = (size_t)cols};
    l->ok = l->ok && ib_mul_u64(rows, cols, &bytes) && ib_mul_u64(bytes, 4, &bytes) &&
            ib_round_up(bytes, ALIGN, &bytes) && ib_add_u64(l->bytes, bytes, &l->bytes) &&
            l->bytes <= SIZE_MAX / 2;
}

static ib_status new_buffers(ib_session *s, ib_error *err) {
    const ib_config *c = &s->model->config;
    const ib_session_options *o = &s->options;
    const uint64_t rows = (uint64_t)s->chunk_tokens * o->n_seqs;
    const uint64_t d_q = c->n_heads * c->head_dim, d_kv = c->n_kv_heads * c->head_dim;
    layout scratch = {0, true}, io = {0, true};
    lay(&scratch, &s->x, IB_TYPE_F32, rows, c->d_model);
    lay(&scratch, &s->normed, IB_TYPE_F32, rows, c->d_model);
    lay(&scratch, &s->y, IB_TYPE_F32, rows, c->d_model);
    lay(&scratch, &s->q, IB_TYPE_F32, rows, d_q);
    lay(&scratch, &s->attended, IB_TYPE_F32, rows, d_q);
    lay(&scratch, &s->k, IB_TYPE_F32, rows, d_kv);
    lay(&scratch, &s->v, IB_TYPE_F32, rows, d_kv);
    lay(&scratch, &s->gate, IB_TYPE_F32, rows, c->d_ff);
    lay(&scratch, &s->up, IB_TYPE_F32, rows, c->d_ff);
    lay(&scratch, &s->last, IB_TYPE_F32, o->n_seqs, c->d_model);
    lay(&scratch, &s->table, IB_TYPE_F32, o->n_ctx, ib_rope_n_rot(c));
    lay(&io, &s->ids, IB_TYPE_I32, (uint64_t)o->n_prompt_max * o->n_seqs, 1);
    lay(&io, &s->picked, IB_TYPE_I32, o->n_seqs, 2);
    lay(&io, &s->logits, IB_TYPE_F32, o->all_logits ? o->n_prompt_max : o->n_seqs, c->n_vocab);
    if (!scratch.ok || !io.ok)
        return ib_fail(err, IB_E_RESOURCE,
                       "scratch of %llu rows is too large to address; fix: ask for fewer tokens",
                       (unsigned long long)rows);
    IB_TRY(
        s->backend->buffer_new(s->device, &s->scratch, (size_t)scratch.bytes, IB_MEM_SCRATCH, err));
    IB_TRY(s->backend->buffer_new(s->device, &s->io, (size_t)io.bytes, IB_MEM_IO, err));
    ib_tensor *const in_scratch[] = {&s->x, &s->normed, &s->y,  &s->q,    &s->attended, &s->k,
                                     &s->v, &s->gate,   &s->up, &s->last, &s->table};
    ib_tensor *const in_io[] = {&s->ids, &s->picked, &s->logits};
    for (size_t i = 0; i < sizeof in_scratch / sizeof in_scratch[0]; i++)
        in_scratch[i]->buffer = s->scratch;
    for (size_t i = 0; i < sizeof in_io / sizeof in_io[0]; i++)
        in_io[i]->buffer = s->io;
    return IB_OK;
}

static ib_status new_workspace(ib_session *s, ib_error *err) {
    const ib_session_options *o = &s->options;
    const size_t n_vocab = (size_t)s->model->config.n_vocab;
    s->host_ids = calloc(o->n_seqs * o->n_prompt_max, sizeof *s->host_ids);
    s->host_picked = calloc(o->n_seqs * 2, sizeof *s->host_picked);
    s->scores = calloc(n_vocab, o->n_seqs * sizeof *s->scores);
    s->history = calloc(o->n_ctx + 1, o->n_seqs * sizeof *s->history);
    s->chosen = calloc(o->n_seqs, sizeof *s->chosen);
    if (!s->host_ids || !s->host_picked || !s->scores || !s->history || !s->chosen)
        return ib_fail_memory(err, n_vocab * o->n_seqs * sizeof *s->scores, "the session");
    return ib_process_space_new(&s->space, n_vocab, err);
}

static ib_status new_device_part(ib_session *s, ib_error *err) {
    const ib_config *c = &s->model->config;
    const ib_session_options *o = &s->options;
    const ib_kv_spec kv = {.n_layers = (size_t)c->n_layers,
                           .n_seqs = o->n_seqs,
                           .n_kv_heads = (size_t)c->n_kv_heads,
                           .head_dim = (size_t)c->head_dim,
                           .n_ctx = o->n_ctx,
                           .type = o->kv_type};
    const ib_limits limits = {.n_seqs = o->n_seqs,
                              .n_tokens = s->chunk_tokens,
                              .n_ctx = o->n_ctx,
                              .n_layers = (size_t)c->n_layers,
                              .n_heads = (size_t)c->n_heads,
                              .n_kv_heads = (size_t)c->n_kv_heads,
                              .head_dim = (size_t)c->head_dim,
                              .d_model = (size_t)c->d_model,
                              .d_ff = (size_t)c->d_ff,
                              .n_vocab = (size_t)c->n_vocab,
                              .n_logit_rows = o->all_logits ? s->chunk_tokens : o->n_seqs,
                              .attention = o->attention};
    IB_TRY(s->backend->supports(s->device, IB_OP_ATTENTION, o->kv_type, (size_t)c->head_dim, err));
    IB_TRY(s->backend->kv_new(s->device, &s->kv, &kv, err));
    IB_TRY(new_buffers(s, err));
    IB_TRY(s->backend->reserve(s->device, &limits, err));
    return ib_session_rope_init(s, err);
}

ib_status ib_session_new(ib_session **out, ib_model *m, const ib_session_options *options,
                         ib_error *err) {
    *out = NULL;
    IB_TRY(check_options(m, options, err));
    IB_TRY(check_kv(m, options, err));
    ib_session *s = calloc(1, sizeof *s);
    if (!s)
        return ib_fail_memory(err, sizeof *s, "the session");
    s->model = m;
    s->device = m->device;
    s->backend = m->backend;
    s->options = *options;
    s->chunk_tokens = chunk_of(m, options);
    ib_status st = new_workspace(s, err);
    if (st == IB_OK)
        st = new_device_part(s, err);
    if (st != IB_OK) {
        ib_session_free(s);
        return st;
    }
    *out = s;
    return IB_OK;
}

void ib_session_free(ib_session *s) {
    if (!s)
        return;
    s->backend->kv_free(s->device, s->kv);
    s->backend->buffer_free(s->device, s->scratch);
    s->backend->buffer_free(s->device, s->io);
    ib_process_space_free(&s->space);
    void *const host[] = {s->host_ids,     s->host_picked, s->inv_freq, s->decode_rows,
                          s->prefill_rows, s->scores,      s->history,  s->chosen};
    for (size_t i = 0; i < sizeof host / sizeof host[0]; i++)
        free(host[i]);
    free(s);
}
