/* SPDX-License-Identifier: MIT
 * The KV cache in host memory: for each layer, sequence and kv head one dense [n_ctx, head_dim]
 * table of keys and one of values, so that attention streams through the keys of a head. */
#include "backend/cpu/cpu.h"

#include "base/checked.h"

#include <stdlib.h>

ib_status ib_cpu_kv_new(ib_device *d, ib_kv **out, const ib_kv_spec *spec, ib_error *err) {
    *out = NULL;
    if (!d->k.widen[spec->type])
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "KV cache of type %s on the cpu; fix: use float32, "
                       "float16 or bfloat16",
                       ib_type_name(spec->type));
    uint64_t half = ib_type_block_bytes(spec->type), total;
    const uint64_t factors[] = {spec->n_layers, spec->n_seqs, spec->n_kv_heads, spec->n_ctx,
                                spec->head_dim};
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
        if (!ib_mul_u64(half, factors[i], &half))
            return ib_fail_memory(err, SIZE_MAX, "the KV cache");
    if (!ib_round_up(half, IB_CPU_ALIGN, &half) || !ib_mul_u64(half, 2, &total))
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
                  .half = half};
    *out = kv;
    return IB_OK;
}

void ib_cpu_kv_free(ib_device *d, ib_kv *kv) {
    if (!kv)
        return;
    ib_cpu_release(d, kv->data, kv->bytes, IB_MEM_KV);
    free(kv);
}

typedef struct write_job {
    ib_device *d;
    const ib_kv_write_args *a;
} write_job;

static void write_rows(void *ctx, int thread, int n_threads) {
    const write_job *job = ctx;
    const ib_kv_write_args *a = job->a;
    const ib_kv_spec *s = &a->kv->spec;
    const float *k = ib_cpu_at(&a->k), *v = ib_cpu_at(&a->v);
    size_t begin, end, width = s->n_kv_heads * s->head_dim;
    ib_split(a->step.n_seqs * a->step.n_tokens, 1, thread, n_threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        size_t seq = row / a->step.n_tokens, position = a->step.n_past + row % a->step.n_tokens;
        for (size_t h = 0; h < s->n_kv_heads; h++) {
            size_t from = row * width + h * s->head_dim;
            /* the cache is ours and writable: the accessor is shared with the readers */
            uint8_t *key = a->kv->data +
                           (ib_cpu_kv_at(a->kv, false, a->layer, seq, h, position) - a->kv->data);
            job->d->k.narrow[s->type](k + from, s->head_dim, key);
            job->d->k.narrow[s->type](v + from, s->head_dim, key + a->kv->half);
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
    write_job job = {d, a};
    ib_cpu_run(d, rows * width, write_rows, &job);
    return IB_OK;
}
