/* SPDX-License-Identifier: MIT
 * The KV cache in host memory: for each layer, sequence and kv head one table of keys and one
 * of values, in the order in which the products of attention read them (cpu.h), so that a decode
 * step streams through the tables of a head and nothing is turned around later. */
#include "backend/cpu/cpu.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

enum { SLACK = 256, PIECE = 64 }; /* bytes that products may read past the end; numbers */

ib_status ib_cpu_kv_new(ib_device *d, ib_kv **out, const ib_kv_spec *spec, ib_error *err) {
    *out = NULL;
    if (!d->k.widen[spec->type])
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "KV cache of type %s on the cpu; fix: use float32, "
                       "float16 or bfloat16",
                       ib_type_name(spec->type));
    const bool paired =
        spec->type == IB_TYPE_BF16 && d->k.gemm.type == IB_TYPE_BF16 && spec->head_dim % 2 == 0;
    const size_t panel = paired ? d->k.gemm.panel_rows : d->k.gemm_f32.panel_rows;
    uint64_t half = ib_type_block_bytes(spec->type), total, n_ctx = spec->n_ctx;
    if (!ib_add_u64(n_ctx, panel - 1, &n_ctx))
        return ib_fail_memory(err, SIZE_MAX, "the KV cache");
    n_ctx = n_ctx / panel * panel;
    const uint64_t factors[] = {spec->n_layers, spec->n_seqs, spec->n_kv_heads, n_ctx,
                                spec->head_dim};
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
        if (!ib_mul_u64(half, factors[i], &half))
            return ib_fail_memory(err, SIZE_MAX, "the KV cache");
    if (!ib_round_up(half, IB_CPU_ALIGN, &half) || !ib_mul_u64(half, 2, &total) ||
        !ib_add_u64(total, SLACK, &total))
        return ib_fail_memory(err, SIZE_MAX, "the KV cache");
    ib_kv *kv = calloc(1, sizeof *kv);
    if (!kv)
        return ib_fail_memory(err, sizeof *kv, "the KV cache");
    void *data;
    ib_status status = ib_cpu_alloc(d, &data, total, IB_MEM_KV, "the KV cache", err);
    if (status != IB_OK) {
        free(kv);
        return status;
    }
    *kv = (ib_kv){.spec = *spec,
                  .data = data,
                  .bytes = total,
                  .element_bytes = ib_type_block_bytes(spec->type),
                  .n_ctx = (size_t)n_ctx,
                  .panel = panel,
                  .paired = paired,
                  .half = half};
    *out = kv;
    return IB_OK;
}

void ib_cpu_kv_free(ib_device *d, ib_kv *kv) {
    if (!kv)
        return;
    ib_cpu_finish(d);
    ib_cpu_release(d, kv->data, kv->bytes, IB_MEM_KV);
    free(kv);
}

typedef struct write_job {
    ib_device *d;
    ib_kv_write_args a;
} write_job;

/* Where element `col` of a position lies, counted from its table. */
static size_t key_at(const ib_kv *kv, size_t position, size_t col) {
    size_t first = position / kv->panel * kv->panel * kv->spec.head_dim, j = position % kv->panel;
    return first + (kv->paired ? (col / 2 * kv->panel + j) * 2 + col % 2 : col * kv->panel + j);
}

static size_t value_at(const ib_kv *kv, size_t position, size_t col) {
    if (kv->paired)
        return (position / 2 * kv->spec.head_dim + col) * 2 + position % 2;
    return position * kv->spec.head_dim + col;
}

/* Columns [col, col + n) of one position, narrowed, to their places. */
static void put(const ib_kv *kv, uint8_t *table, bool values, size_t position, size_t col, size_t n,
                const uint8_t *from) {
    const size_t size = kv->element_bytes;
    const uint8_t zero[sizeof(float)] = {0};
    for (size_t c = 0; c < n; c++) {
        size_t at = values ? value_at(kv, position, col + c) : key_at(kv, position, col + c);
        memcpy(table + at * size, from + c * size, size);
        if (values && kv->paired && position % 2 == 0) /* its partner may never come */
            memcpy(table + (at + 1) * size, zero, size);
    }
}

static void write_head(const ib_device *d, const ib_kv *kv, uint8_t *table, bool values,
                       size_t position, const float *x) {
    uint8_t narrow[PIECE * sizeof(float)];
    for (size_t c = 0; c < kv->spec.head_dim; c += PIECE) {
        size_t n = kv->spec.head_dim - c < PIECE ? kv->spec.head_dim - c : PIECE;
        d->k.narrow[kv->spec.type](x + c, n, narrow);
        put(kv, table, values, position, c, n, narrow);
    }
}

/* Threads share heads, not rows: two positions may lie in one word. */
static void write_rows(void *ctx, int thread, int n_threads) {
    const write_job *job = ctx;
    const ib_kv_write_args *a = &job->a;
    const ib_kv_spec *s = &a->kv->spec;
    const float *k = ib_cpu_at(&a->k), *v = ib_cpu_at(&a->v);
    size_t begin, end, width = s->n_kv_heads * s->head_dim;
    ib_split(a->step.n_seqs * s->n_kv_heads, 1, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        size_t seq = i / s->n_kv_heads, h = i % s->n_kv_heads;
        uint8_t *keys = ib_cpu_kv_table(a->kv, false, a->layer, seq, h);
        uint8_t *values = ib_cpu_kv_table(a->kv, true, a->layer, seq, h);
        for (size_t token = 0; token < a->step.n_tokens; token++) {
            size_t from = (seq * a->step.n_tokens + token) * width + h * s->head_dim;
            write_head(job->d, a->kv, keys, false, a->step.n_past + token, k + from);
            write_head(job->d, a->kv, values, true, a->step.n_past + token, v + from);
        }
    }
}

ib_status ib_cpu_kv_write(ib_device *d, const ib_kv_write_args *a, ib_error *err) {
    const ib_kv_spec *s = &a->kv->spec;
    size_t rows = a->step.n_seqs * a->step.n_tokens, width = s->n_kv_heads * s->head_dim;
    IB_TRY(ib_cpu_check(&a->k, IB_TYPE_F32, rows, width, "keys", err));
    IB_TRY(ib_cpu_check(&a->v, IB_TYPE_F32, rows, width, "values", err));
    if (a->layer >= s->n_layers || a->step.n_seqs > s->n_seqs || a->step.n_past > s->n_ctx ||
        a->step.n_tokens > s->n_ctx - a->step.n_past)
        return ib_fail(err, IB_E_INTERNAL,
                       "KV write of %zu tokens at %zu in layer %zu: the cache has %zu of %zu",
                       a->step.n_tokens, a->step.n_past, a->layer, s->n_ctx, s->n_layers);
    write_job *job = ib_cpu_task(d, sizeof *job);
    *job = (write_job){d, *a};
    ib_cpu_post(d, rows * width, write_rows, job, NULL);
    return IB_OK;
}
