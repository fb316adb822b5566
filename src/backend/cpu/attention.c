/* SPDX-License-Identifier: MIT
 * What the three formulations of attention share: checks, the choice of the one asked for, scratch,
 * and the products of some rows of queries or weights with a tile of the cache. */
#include "backend/cpu/cpu.h"

#include <math.h>
#include <string.h>

size_t ib_cpu_attn_piece(size_t head_dim) {
    return IB_CPU_ATTN_KEYS * head_dim + IB_CPU_ATTN_SLACK;
}

void ib_cpu_attn_queries(const ib_cpu_attn *t, const float *q, size_t stride, size_t n, void *out) {
    const size_t row = t->head_dim * ib_type_block_bytes(t->k->type);
    for (size_t r = 0; r < n; r++)
        t->d->k.narrow[t->k->type](q + r * stride, t->head_dim, (uint8_t *)out + r * row);
}

/* n elements of a table from `at` on, as the products read them: in place, or widened. */
static const void *in_arithmetic(const ib_cpu_attn *t, const uint8_t *table, size_t at, size_t n,
                                 float *piece) {
    const ib_kv *kv = t->a->kv;
    const uint8_t *from = table + at * kv->element_bytes;
    if (kv->spec.type == t->k->type)
        return from;
    t->d->k.widen[kv->spec.type](from, n, piece);
    return piece;
}

void ib_cpu_attn_scores(const ib_cpu_attn *t, const ib_cpu_attn_head *h, const void *q,
                        size_t n_rows, size_t key, size_t n, float *s, size_t lds) {
    const size_t dim = t->head_dim, panel = t->k->panel_rows;
    const uint8_t *table = ib_cpu_kv_table(t->a->kv, false, t->a->layer, h->seq, h->kv_head);
    for (size_t i = 0; i < n; i += panel) {
        const ib_cpu_tile tile = {
            .w = q,
            .x = in_arithmetic(t, table, (key + i) * dim, panel * dim, h->piece),
            .ldw = dim,
            .ldx = panel,
            .n_w = n_rows,
            .n_x = n - i < panel ? n - i : panel,
            .n = dim,
            .c = s + i,
            .ldc = lds};
        t->k->tile(&tile);
    }
}

/* One piece of at most IB_CPU_ATTN_KEYS keys. */
static void add_values(const ib_cpu_attn *t, const ib_cpu_attn_head *h, ib_cpu_tile tile,
                       size_t key, float *out) {
    const ib_kv *kv = t->a->kv;
    const size_t dim = t->head_dim, size = ib_type_block_bytes(t->k->type);
    const uint8_t *table = ib_cpu_kv_table(kv, true, t->a->layer, h->seq, h->kv_head);
    const uint8_t *v = in_arithmetic(t, table, key * dim, tile.n * dim, h->piece);
    for (size_t c = 0; c < dim; c += t->k->panel_rows) {
        tile.x = v + (kv->paired ? 2 : 1) * c * size;
        tile.n_x = dim - c < t->k->panel_rows ? dim - c : t->k->panel_rows;
        tile.c = out + c;
        t->k->tile(&tile);
    }
}

void ib_cpu_attn_values(const ib_cpu_attn *t, const ib_cpu_attn_head *h, float *p, size_t n_rows,
                        size_t lds, size_t key, size_t n, float *out, size_t ldo, bool accumulate) {
    const bool paired = t->a->kv->paired;
    for (size_t i = 0; i < n; i += IB_CPU_ATTN_KEYS) {
        size_t some = n - i < IB_CPU_ATTN_KEYS ? n - i : IB_CPU_ATTN_KEYS;
        size_t whole = paired ? (some + 1) / 2 * 2 : some;
        for (size_t r = 0; r < n_rows && paired; r++)
            t->d->k.narrow[IB_TYPE_BF16](p + r * lds + i, whole, p + r * lds + i);
        const ib_cpu_tile tile = {.w = p + i,
                                  .ldw = paired ? 2 * lds : lds,
                                  .ldx = t->head_dim,
                                  .n_w = n_rows,
                                  .n = whole,
                                  .ldc = ldo,
                                  .accumulate = accumulate || i > 0};
        add_values(t, h, tile, key + i, out);
    }
}

float ib_cpu_attn_absorb(const ib_cpu_attn *t, float *s, size_t low, size_t high, size_t n,
                         ib_cpu_attn_state *state) {
    const ib_cpu_kernels *k = &t->d->k;
    float scale = t->a->scale;
    if (low >= high) {
        memset(s, 0, n * sizeof *s);
        return 1.0f;
    }
    if (t->a->softcap > 0) {
        k->softcap(s + low, scale, t->a->softcap, high - low);
        scale = 1.0f;
    }
    float block_max = k->max(s + low, high - low), before = state->max;
    state->max = block_max > before ? block_max : before;
    float shrink = state->max > before ? expf((before - state->max) * scale) : 1.0f;
    state->sum = state->sum * shrink + k->exp_sum(s + low, state->max, scale, high - low);
    memset(s, 0, low * sizeof *s);
    memset(s + high, 0, (n - high) * sizeof *s);
    return shrink;
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

typedef struct queued {
    ib_cpu_attn attn;
    ib_attention_args args; /* what attn.a points at */
} queued;

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
    queued *job = ib_cpu_task(d, sizeof *job);
    job->args = *a;
    job->attn = (ib_cpu_attn){.d = d,
                              .a = &job->args,
                              .k = a->kv->paired ? &d->k.gemm : &d->k.gemm_f32,
                              .n_keys = n_keys,
                              .group = a->n_heads / s->n_kv_heads,
                              .head_dim = s->head_dim,
                              .scores = scores};
    ib_cpu_post(d, rows * n_keys * a->n_heads * s->head_dim / 8, formulations[a->kind], &job->attn,
                NULL);
    return IB_OK;
}
