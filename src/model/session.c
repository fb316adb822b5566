/* SPDX-License-Identifier: MIT
 * The one forward pass, for every family and device. It walks the layers that a configuration
 * describes and queues the device's operations; the only data that cross are ids and, when asked,
 * logits. Between two steps nothing is allocated. */
#include "model/session_internal.h"

#include <string.h>

/* The first `rows` rows from `first` on. */
static ib_tensor rows_of(ib_tensor t, size_t first, size_t rows) {
    t.offset += first * t.n_cols * sizeof(float);
    t.n_rows = rows;
    return t;
}

static ib_linear_args linear_args(const ib_linear *l, ib_tensor x, ib_tensor out) {
    return (ib_linear_args){.weight = l->weight,
                            .bias = l->bias.buffer ? &l->bias : NULL,
                            .x = x,
                            .out = out,
                            .out_scale = 1};
}

static ib_norm_args norm_args(const ib_config *c, ib_tensor x, ib_tensor weight, ib_tensor out) {
    return (ib_norm_args){.x = x,
                          .out = out,
                          .weight = weight,
                          .group = weight.n_cols,
                          .eps = (float)c->rms_eps,
                          .kind = c->norm_kind};
}

/* q, k, v of this step's rows -> s->attended. s->normed holds the layer's input. */
static ib_status attention(ib_session *s, size_t index, const ib_step *step, ib_error *err) {
    const ib_config *c = &s->model->config;
    const ib_layer *layer = &s->model->layers[index];
    const ib_backend *b = s->backend;
    const size_t rows = step->n_seqs * step->n_tokens;
    ib_tensor x = rows_of(s->normed, 0, rows), q = rows_of(s->q, 0, rows),
              k = rows_of(s->k, 0, rows), v = rows_of(s->v, 0, rows);
    ib_linear_args group[3] = {linear_args(&layer->q, x, q), linear_args(&layer->k, x, k),
                               linear_args(&layer->v, x, v)};
    IB_TRY(ib_linear_group(s->device, group, 3, err));
    if (c->qk_norm) {
        ib_norm_args nq = norm_args(c, q, layer->q_norm, q), nk = norm_args(c, k, layer->k_norm, k);
        IB_TRY(b->norm(s->device, &nq, err));
        IB_TRY(b->norm(s->device, &nk, err));
    }
    if (c->layers[index].rope) {
        ib_rope_args rope = {.x = q,
                             .table = s->table,
                             .n_heads = (size_t)c->n_heads,
                             .head_dim = (size_t)c->head_dim,
                             .n_rot = s->table.n_cols,
                             .interleaved = c->rope.interleaved,
                             .step = *step};
        IB_TRY(b->rope(s->device, &rope, err));
        rope.x = k;
        rope.n_heads = (size_t)c->n_kv_heads;
        IB_TRY(b->rope(s->device, &rope, err));
    }
    ib_kv_write_args write = {.kv = s->kv, .layer = index, .k = k, .v = v, .step = *step};
    IB_TRY(b->kv_write(s->device, &write, err));
    ib_attention_args attend = {.kind = s->options.attention,
                                .kv = s->kv,
                                .layer = index,
                                .q = q,
                                .out = rows_of(s->attended, 0, rows),
                                .n_heads = (size_t)c->n_heads,
                                .scale = (float)c->attention_scale,
                                .softcap = (float)c->attention_softcap,
                                .window = (size_t)c->layers[index].window,
                                .step = *step};
    return b->attention(s->device, &attend, err);
}

/* One layer: x += Attn(norm(x)); x += MLP(norm(x)); leaves norm(x) for the next layer. */
static ib_status run_layer(ib_session *s, size_t index, const ib_step *step, ib_error *err) {
    const ib_model *m = s->model;
    const ib_config *c = &m->config;
    const ib_layer *layer = &m->layers[index];
    const float residual = (float)c->residual_multiplier;
    const size_t rows = step->n_seqs * step->n_tokens;
    ib_tensor x = rows_of(s->x, 0, rows), normed = rows_of(s->normed, 0, rows),
              y = rows_of(s->y, 0, rows), gate = rows_of(s->gate, 0, rows),
              up = rows_of(s->up, 0, rows);
    IB_TRY(attention(s, index, step, err));
    ib_linear_args o = linear_args(&layer->o, rows_of(s->attended, 0, rows), y);
    IB_TRY(s->backend->linear(s->device, &o, err));
    ib_norm_args mlp_norm = norm_args(c, x, layer->mlp_norm, normed);
    IB_TRY(ib_add_norm(s->device, x, y, residual, &mlp_norm, err));
    ib_linear_args g = linear_args(&layer->gate, normed, gate),
                   u = linear_args(&layer->up, normed, up),
                   down = linear_args(&layer->down, gate, y);
    ib_gated_act_args act = {.gate = gate, .up = up, .out = gate, .act = c->act};
    IB_TRY(ib_gated_mlp(s->device, &g, &u, &act, err));
    IB_TRY(s->backend->linear(s->device, &down, err));
    if (index + 1 == c->n_layers)
        return s->backend->add(s->device, x, y, residual, err);
    ib_norm_args next = norm_args(c, x, m->layers[index + 1].attn_norm, normed);
    return ib_add_norm(s->device, x, y, residual, &next, err);
}

/* Final norm and output matrix for `rows` rows of x from `first` on, into logits at row `to`. */
static ib_status head(ib_session *s, ib_tensor normed, size_t to, ib_error *err) {
    ib_linear_args args = {.weight = s->model->head,
                           .x = normed,
                           .out = rows_of(s->logits, to, normed.n_rows),
                           .out_scale = (float)s->model->config.logit_scale};
    return s->backend->linear(s->device, &args, err);
}

/* Logits of the last position of every sequence. The norm gathers their rows. */
static ib_status head_of_last(ib_session *s, const ib_step *step, ib_error *err) {
    const ib_model *m = s->model;
    const size_t n = step->n_seqs, t = step->n_tokens;
    ib_tensor normed = rows_of(s->last, 0, n);
    const size_t calls = t == 1 ? 1 : n;
    for (size_t i = 0; i < calls; i++) {
        ib_tensor from = t == 1 ? rows_of(s->x, 0, n) : rows_of(s->x, i * t + t - 1, 1);
        ib_tensor to = t == 1 ? normed : rows_of(s->last, i, 1);
        ib_norm_args norm = norm_args(&m->config, from, m->final_norm, to);
        IB_TRY(s->backend->norm(s->device, &norm, err));
    }
    s->last_row = 0;
    return head(s, normed, 0, err);
}

/* Logits of every row of this step, behind those of the steps before. */
static ib_status head_of_all(ib_session *s, const ib_step *step, size_t to, ib_error *err) {
    ib_tensor x = rows_of(s->x, 0, step->n_tokens), normed = rows_of(s->normed, 0, step->n_tokens);
    ib_norm_args norm = norm_args(&s->model->config, x, s->model->final_norm, normed);
    IB_TRY(s->backend->norm(s->device, &norm, err));
    s->last_row = to + step->n_tokens - 1;
    return head(s, normed, to, err);
}

/* Embedding and all layers for the ids of a step. */
static ib_status run_layers(ib_session *s, const ib_step *step, ib_tensor ids, ib_error *err) {
    const ib_model *m = s->model;
    const size_t rows = step->n_seqs * step->n_tokens;
    ib_tensor x = rows_of(s->x, 0, rows);
    IB_TRY(
        s->backend->embed(s->device, m->embed, ids, x, (float)m->config.embedding_multiplier, err));
    ib_norm_args first =
        norm_args(&m->config, x, m->layers[0].attn_norm, rows_of(s->normed, 0, rows));
    IB_TRY(s->backend->norm(s->device, &first, err));
    for (size_t i = 0; i < m->config.n_layers; i++)
        IB_TRY(run_layer(s, i, step, err));
    return IB_OK;
}

void ib_session_reset(ib_session *s) {
    s->n_past = s->n_kept;
    s->fed = false;
    s->has_logits = false;
}

void ib_session_keep(ib_session *s) {
    s->n_kept = s->n_past;
}

size_t ib_session_n_past(const ib_session *s) {
    return s->n_past;
}

static ib_status check_ids(const ib_session *s, const uint32_t *ids, size_t n, ib_error *err) {
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= s->model->config.n_vocab)
            return ib_fail(err, IB_E_FORMAT,
                           "token id %u at position %zu is outside the model's vocabulary of %llu; "
                           "fix: use the model's own tokenizer",
                           (unsigned)ids[i], i, (unsigned long long)s->model->config.n_vocab);
    return IB_OK;
}

static ib_status check_room(const ib_session *s, size_t n, ib_error *err) {
    if (n > s->options.n_ctx - s->n_past)
        return ib_fail(err, IB_E_USAGE,
                       "%zu more positions after %zu exceed the session's %zu; fix: make a larger "
                       "session",
                       n, s->n_past, s->options.n_ctx);
    return IB_OK;
}

/* One prefill step over the positions done .. done + t of ids [n_seqs, n]. */
static ib_status prefill_step(ib_session *s, const uint32_t *ids, size_t n, size_t done, size_t t,
                              ib_error *err) {
    const size_t n_seqs = s->options.n_seqs, rows = n_seqs * t, at = done * n_seqs;
    const ib_step step = {.n_seqs = n_seqs, .n_tokens = t, .n_past = s->n_past, .decode = false};
    bool replayed = false;
    for (size_t i = 0; i < n_seqs; i++)
        for (size_t j = 0; j < t; j++)
            s->host_ids[at + i * t + j] = (int32_t)ids[i * n + done + j];
    ib_tensor on_device = rows_of(s->ids, at, rows);
    IB_TRY(s->backend->upload(s->device, on_device.buffer, on_device.offset, s->host_ids + at,
                              rows * sizeof *s->host_ids, err));
    IB_TRY(s->backend->step_begin(s->device, &step, &replayed, err));
    if (!replayed) {
        IB_TRY(run_layers(s, &step, on_device, err));
        if (s->options.all_logits)
            IB_TRY(head_of_all(s, &step, done, err));
        else if (done + t == n)
            IB_TRY(head_of_last(s, &step, err));
    }
    IB_TRY(s->backend->step_end(s->device, err));
    s->n_past += t;
    return IB_OK;
}

ib_status ib_session_prefill(ib_session *s, const uint32_t *ids, size_t n, ib_error *err) {
    if (n == 0 || n > s->options.n_prompt_max)
        return ib_fail(
            err, IB_E_USAGE,
            "a prompt of %zu tokens in a session for 1 to %zu; fix: make a larger session", n,
            s->options.n_prompt_max);
    IB_TRY(check_room(s, n, err));
    IB_TRY(check_ids(s, ids, s->options.n_seqs * n, err));
    IB_TRY(ib_session_rope_prefill(s, s->n_past + n, err));
    s->fed = false;
    s->has_logits = false;
    for (size_t done = 0; done < n;) {
        const size_t t = n - done < s->chunk_tokens ? n - done : s->chunk_tokens;
        IB_TRY(prefill_step(s, ids, n, done, t, err));
        done += t;
    }
    s->n_prefilled = n;
    s->has_logits = true;
    return IB_OK;
}

ib_status ib_session_decode(ib_session *s, ib_error *err) {
    const ib_step step = {
        .n_seqs = s->options.n_seqs, .n_tokens = 1, .n_past = s->n_past, .decode = true};
    bool replayed = false;
    if (!s->fed)
        return ib_fail(err, IB_E_USAGE, "decode without ids; fix: pick or feed them first");
    IB_TRY(check_room(s, 1, err));
    IB_TRY(s->backend->step_begin(s->device, &step, &replayed, err));
    if (!replayed) {
        IB_TRY(run_layers(s, &step, s->picked, err));
        IB_TRY(head_of_last(s, &step, err));
    }
    IB_TRY(s->backend->step_end(s->device, err));
    s->n_past++;
    s->n_prefilled = 0;
    s->last_row = 0;
    s->fed = false;
    s->has_logits = true;
    return IB_OK;
}

static ib_status need_logits(const ib_session *s, ib_error *err) {
    if (!s->has_logits)
        return ib_fail(err, IB_E_USAGE, "no logits yet; fix: prefill or decode first");
    return IB_OK;
}

ib_status ib_session_pick(ib_session *s, uint32_t *out, bool *finite, ib_error *err) {
    const size_t n = s->options.n_seqs;
    IB_TRY(need_logits(s, err));
    ib_tensor logits = rows_of(s->logits, s->last_row, n);
    IB_TRY(s->backend->argmax(s->device, logits, s->picked, err));
    IB_TRY(s->backend->download(s->device, s->host_picked, s->picked.buffer, s->picked.offset,
                                n * 2 * sizeof *s->host_picked, err));
    *finite = true;
    for (size_t i = 0; i < n; i++) {
        out[i] = (uint32_t)s->host_picked[2 * i];
        *finite = *finite && s->host_picked[2 * i + 1] == 0;
    }
    s->fed = true;
    return IB_OK;
}

ib_status ib_session_feed(ib_session *s, const uint32_t *ids, ib_error *err) {
    const size_t n = s->options.n_seqs;
    IB_TRY(check_ids(s, ids, n, err));
    for (size_t i = 0; i < n; i++) {
        s->host_picked[2 * i] = (int32_t)ids[i];
        s->host_picked[2 * i + 1] = 0;
    }
    IB_TRY(s->backend->upload(s->device, s->picked.buffer, s->picked.offset, s->host_picked,
                              n * 2 * sizeof *s->host_picked, err));
    s->fed = true;
    return IB_OK;
}

ib_status ib_session_last_logits(ib_session *s, float *out, ib_error *err) {
    IB_TRY(need_logits(s, err));
    ib_tensor from = rows_of(s->logits, s->last_row, s->options.n_seqs);
    return s->backend->download(s->device, out, from.buffer, from.offset,
                                from.n_rows * from.n_cols * sizeof *out, err);
}

ib_status ib_session_logits(ib_session *s, float *out, ib_error *err) {
    if (!s->options.all_logits || s->n_prefilled == 0)
        return ib_session_last_logits(s, out, err);
    IB_TRY(need_logits(s, err));
    return s->backend->download(s->device, out, s->logits.buffer, s->logits.offset,
                                s->n_prefilled * s->logits.n_cols * sizeof *out, err);
}
