/* SPDX-License-Identifier: MIT
 * What the three formulations of attention share: checks, the choice of the one asked for, scratch,
 * and reading keys and values of any stored type as fp32 rows. */
#include "backend/cpu/cpu.h"

const float *ib_cpu_kv_rows(const ib_cpu_attn *t, bool values, size_t seq, size_t head,
                            size_t position, size_t n, float *out) {
    const ib_kv *kv = t->a->kv;
    const uint8_t *from = ib_cpu_kv_at(kv, values, t->a->layer, seq, head, position);
    if (kv->spec.type == IB_TYPE_F32)
        return (const float *)(const void *)from;
    t->d->k.widen[kv->spec.type](from, n * t->head_dim, out);
    return out;
}

ib_cpu_attn_need ib_cpu_attn_needs(ib_attention kind, const ib_cpu_attn_shape *s) {
    switch (kind) {
    case IB_ATTN_EAGER:
        return ib_cpu_eager_need(s);
    case IB_ATTN_SDPA:
        return ib_cpu_sdpa_need(s);
    case IB_ATTN_FLASH:
    case IB_ATTN_COUNT:
        break;
    }
    return ib_cpu_flash_need(s);
}

static ib_status check(const ib_attention_args *a, ib_error *err) {
    const ib_kv_spec *s = &a->kv->spec;
    size_t rows = a->step.n_seqs * a->step.n_tokens, width = a->n_heads * s->head_dim;
    IB_TRY(ib_cpu_check(&a->q, IB_TYPE_F32, rows, width, "queries", err));
    IB_TRY(ib_cpu_check(&a->out, IB_TYPE_F32, rows, width, "attention output", err));
    if (a->kind < 0 || a->kind >= IB_ATTN_COUNT)
        return ib_fail(err, IB_E_UNSUPPORTED, "attention %d on the cpu", (int)a->kind);
    if (!a->n_heads || a->n_heads % s->n_kv_heads || a->layer >= s->n_layers ||
        a->step.n_seqs > s->n_seqs || a->step.n_past > s->n_ctx ||
        a->step.n_tokens > s->n_ctx - a->step.n_past)
        return ib_fail(err, IB_E_INTERNAL,
                       "attention of %zu tokens at %zu, layer %zu, %zu heads: the cache has %zu "
                       "positions, %zu layers, %zu heads",
                       a->step.n_tokens, a->step.n_past, a->layer, a->n_heads, s->n_ctx,
                       s->n_layers, s->n_kv_heads);
    return IB_OK;
}

ib_status ib_cpu_attention(ib_device *d, const ib_attention_args *a, ib_error *err) {
    static ib_pool_fn const formulations[IB_ATTN_COUNT] = {ib_cpu_attn_eager, ib_cpu_attn_sdpa,
                                                           ib_cpu_attn_flash};
    IB_TRY(check(a, err));
    size_t n_keys = a->step.n_past + a->step.n_tokens, rows = a->q.n_rows;
    if (rows == 0)
        return IB_OK;
    const ib_kv_spec *s = &a->kv->spec;
    const ib_cpu_attn_shape shape = {a->step.n_seqs, a->step.n_tokens, n_keys,
                                     a->n_heads,     s->n_kv_heads,    s->head_dim};
    ib_cpu_attn_need need = ib_cpu_attn_needs(a->kind, &shape);
    void *scores, *local;
    const char *name = ib_attention_name(a->kind);
    IB_TRY(ib_cpu_scratch_get(&d->scores, need.shared, name, &scores, err));
    IB_TRY(ib_cpu_scratch_get(&d->local, need.local * (uint64_t)d->n_threads, name, &local, err));
    ib_cpu_attn job = {.d = d,
                       .a = a,
                       .n_keys = n_keys,
                       .group = a->n_heads / s->n_kv_heads,
                       .head_dim = s->head_dim,
                       .scores = scores};
    ib_cpu_run(d, rows * n_keys * a->n_heads * s->head_dim / 8, formulations[a->kind], &job);
    return IB_OK;
}
