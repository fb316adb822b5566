/* SPDX-License-Identifier: MIT
 * The operations of the seam, except the products, as kernel launches. */
#include "backend/cuda/cuda.h"

static ib_cuda_place place_of(const ib_device *d, const ib_step *s) {
    return (ib_cuda_place){
        .past = d->past, .n_tokens = (int)s->n_tokens, .most = (int)(s->n_past + s->n_tokens)};
}

static ib_cuda_cache cache_of(const ib_kv *kv, size_t layer) {
    const ib_kv_spec *s = &kv->spec;
    const uint64_t half = kv->bytes / 2, one = half / s->n_layers;
    return (ib_cuda_cache){.k = kv->data + layer * one,
                           .v = kv->data + half + layer * one,
                           .type = (int)s->type,
                           .n_seqs = (int)s->n_seqs,
                           .n_kv_heads = (int)s->n_kv_heads,
                           .n_ctx = (int)s->n_ctx,
                           .head_dim = (int)s->head_dim};
}

ib_status ib_cuda_embed(ib_device *d, const ib_weight *table, ib_tensor ids, ib_tensor out,
                        float scale, ib_error *err) {
    const int *from = (const int *)(const void *)(ids.buffer->data + ids.offset);
    return ib_cuda_check(ib_cuda_launch_embed(d->stream, &table->m, from, (int)ids.n_cols,
                                              ib_cuda_at(out), (int)out.n_rows, scale),
                         "embed", err);
}

static ib_cuda_norm norm_of(const ib_norm_args *a) {
    return (ib_cuda_norm){.x = ib_cuda_at(a->x),
                          .weight = ib_cuda_at(a->weight),
                          .out = ib_cuda_at(a->out),
                          .n_groups = (int)(a->x.n_rows * (a->x.n_cols / a->group)),
                          .group = (int)a->group,
                          .eps = a->eps,
                          .offset_one = a->kind == IB_NORM_OFFSET_ONE};
}

ib_status ib_cuda_norm_op(ib_device *d, const ib_norm_args *a, ib_error *err) {
    const ib_cuda_norm n = norm_of(a);
    return ib_cuda_check(ib_cuda_launch_norm(d->stream, &n), "norm", err);
}

ib_status ib_cuda_add_norm(ib_device *d, ib_tensor x, ib_tensor y, float scale,
                           const ib_norm_args *n, ib_error *err) {
    const ib_cuda_norm args = norm_of(n);
    if (n->group != x.n_cols || ib_cuda_at(n->x) != ib_cuda_at(x)) { /* not the norm of the sum */
        IB_TRY(ib_cuda_add(d, x, y, scale, err));
        return ib_cuda_norm_op(d, n, err);
    }
    return ib_cuda_check(
        ib_cuda_launch_add_norm(d->stream, &args, ib_cuda_at(x), ib_cuda_at(y), scale), "add_norm",
        err);
}

ib_status ib_cuda_add(ib_device *d, ib_tensor x, ib_tensor y, float scale, ib_error *err) {
    return ib_cuda_check(
        ib_cuda_launch_add(d->stream, ib_cuda_at(x), ib_cuda_at(y), x.n_rows * x.n_cols, scale),
        "add", err);
}

ib_status ib_cuda_rope_op(ib_device *d, const ib_rope_args *a, ib_error *err) {
    const ib_cuda_rope r = {.x = ib_cuda_at(a->x),
                            .table = ib_cuda_at(a->table),
                            .place = place_of(d, &a->step),
                            .rows = (int)a->x.n_rows,
                            .n_heads = (int)a->n_heads,
                            .head_dim = (int)a->head_dim,
                            .n_rot = (int)a->n_rot,
                            .interleaved = a->interleaved};
    return ib_cuda_check(ib_cuda_launch_rope(d->stream, &r), "rope", err);
}

ib_status ib_cuda_kv_write(ib_device *d, const ib_kv_write_args *a, ib_error *err) {
    const ib_cuda_cache cache = cache_of(a->kv, a->layer);
    const ib_cuda_place place = place_of(d, &a->step);
    return ib_cuda_check(ib_cuda_launch_kv_write(d->stream, &cache, &place, ib_cuda_at(a->k),
                                                 ib_cuda_at(a->v), (int)a->k.n_rows),
                         "kv_write", err);
}

ib_status ib_cuda_gated_act(ib_device *d, const ib_gated_act_args *a, ib_error *err) {
    return ib_cuda_check(ib_cuda_launch_gated(d->stream, ib_cuda_at(a->gate), ib_cuda_at(a->up),
                                              ib_cuda_at(a->out), a->gate.n_rows * a->gate.n_cols,
                                              (int)a->act),
                         "gated_act", err);
}

ib_status ib_cuda_argmax(ib_device *d, ib_tensor logits, ib_tensor out, ib_error *err) {
    const uint64_t need = 12 * (uint64_t)IB_CUDA_ARGMAX_PARTS * logits.n_rows;
    if (need > d->space[IB_CUDA_ARGMAX].bytes)
        return ib_fail(err, IB_E_INTERNAL, "device cuda: no scratch for the argmax of %zu rows",
                       logits.n_rows);
    return ib_cuda_check(ib_cuda_launch_argmax(d->stream, ib_cuda_at(logits), (int)logits.n_rows,
                                               (int)logits.n_cols,
                                               (int *)(void *)(out.buffer->data + out.offset),
                                               d->space[IB_CUDA_ARGMAX].data),
                         "argmax", err);
}

/* How many blocks share the keys of one head: enough to fill the device, by the size of the cache
 * alone, so that a captured step stays right as it fills. */
static int splits_of(const ib_device *d, const ib_attention_args *a) {
    const ib_kv_spec *s = &a->kv->spec;
    const size_t most = (s->n_ctx + 255) / 256, groups = s->n_kv_heads * s->n_seqs;
    size_t wanted = (2 * (size_t)d->units + groups - 1) / groups;
    if (wanted > most)
        wanted = most;
    if (wanted > IB_CUDA_SPLITS)
        wanted = IB_CUDA_SPLITS;
    return wanted ? (int)wanted : 1;
}

static uint64_t scratch_floats(const ib_cuda_attention *c, ib_attention kind) {
    const uint64_t lines = (uint64_t)c->rows * (uint64_t)c->n_heads;
    if (kind == IB_ATTN_EAGER)
        return lines * (uint64_t)c->place.most;
    return lines * (uint64_t)c->splits * (uint64_t)(c->cache.head_dim + 2);
}

ib_status ib_cuda_attention_op(ib_device *d, const ib_attention_args *a, ib_error *err) {
    ib_cuda_attention c = {.cache = cache_of(a->kv, a->layer),
                           .place = place_of(d, &a->step),
                           .q = ib_cuda_at(a->q),
                           .out = ib_cuda_at(a->out),
                           .scratch = d->space[IB_CUDA_SCORES].data,
                           .n_heads = (int)a->n_heads,
                           .rows = (int)a->q.n_rows,
                           .window = (int)a->window,
                           .splits = splits_of(d, a),
                           .shared_most = d->shared_most,
                           .scale = a->scale,
                           .softcap = a->softcap};
    const bool decode = a->step.n_tokens == 1;
    if (decode) /* of any later step too */
        c.place.most = (int)a->kv->spec.n_ctx;
    if ((a->kind == IB_ATTN_EAGER || (a->kind == IB_ATTN_FLASH && decode)) &&
        scratch_floats(&c, a->kind) * 4 > d->space[IB_CUDA_SCORES].bytes)
        return ib_fail(err, IB_E_INTERNAL,
                       "device cuda: attention scratch is too small: %llu bytes",
                       (unsigned long long)d->space[IB_CUDA_SCORES].bytes);
    switch (a->kind) {
    case IB_ATTN_EAGER:
        return ib_cuda_check(ib_cuda_launch_eager(d->stream, &c), "eager attention", err);
    case IB_ATTN_SDPA:
        return ib_cuda_check(ib_cuda_launch_sdpa(d->stream, &c), "sdpa", err);
    case IB_ATTN_FLASH:
        return ib_cuda_check(decode ? ib_cuda_launch_flash_decode(d->stream, &c)
                                    : ib_cuda_launch_flash_prefill(d->stream, &c),
                             "flash attention", err);
    case IB_ATTN_COUNT:
        break;
    }
    return ib_fail(err, IB_E_INTERNAL, "device cuda: no attention of kind %d", (int)a->kind);
}
