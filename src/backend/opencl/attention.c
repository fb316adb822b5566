/* SPDX-License-Identifier: MIT
 * The KV cache's writes, and three attentions, three kernel families (kernels/attention.cl):
 *   eager            scores, softmax and values as separate passes over a materialised matrix
 *   sdpa             one pass per query row, blocks of 512 keys, online softmax
 *   flash_attention  tiles of queries against tiles of keys in local memory; in decode the keys are
 *                    split over work-groups by a rule of the number of keys alone, then reduced */
#include "backend/opencl/xpu.h"

enum { SHAPE_ARGS = 10, FLASH_ROWS = 16, KEYS_PER_SPLIT = 128 };

typedef struct shape_args { /* what the macro SHAPE_PARAMS takes */
    cl_uint layer, n_seqs, n_heads, n_kv_heads, n_ctx, n_past, n_tokens, window;
    cl_float scale, softcap;
} shape_args;

static shape_args shape_of(const ib_attention_args *a) {
    const ib_kv_spec *s = &a->kv->spec;
    return (shape_args){.layer = (cl_uint)a->layer,
                        .n_seqs = (cl_uint)s->n_seqs,
                        .n_heads = (cl_uint)a->n_heads,
                        .n_kv_heads = (cl_uint)s->n_kv_heads,
                        .n_ctx = (cl_uint)s->n_ctx,
                        .n_past = (cl_uint)a->step.n_past,
                        .n_tokens = (cl_uint)a->step.n_tokens,
                        .window = (cl_uint)a->window,
                        .scale = a->scale,
                        .softcap = a->softcap};
}

static void put_shape(const shape_args *s, ib_xpu_arg *args) {
    args[0] = IB_XPU_ARG(s->layer);
    args[1] = IB_XPU_ARG(s->n_seqs);
    args[2] = IB_XPU_ARG(s->n_heads);
    args[3] = IB_XPU_ARG(s->n_kv_heads);
    args[4] = IB_XPU_ARG(s->n_ctx);
    args[5] = IB_XPU_ARG(s->n_past);
    args[6] = IB_XPU_ARG(s->n_tokens);
    args[7] = IB_XPU_ARG(s->window);
    args[8] = IB_XPU_ARG(s->scale);
    args[9] = IB_XPU_ARG(s->softcap);
}

static ib_status scratch_for(const ib_device *d, uint64_t floats, ib_error *err) {
    if (floats * 4 <= d->scratch_bytes)
        return IB_OK;
    return ib_fail(err, IB_E_INTERNAL,
                   "device xpu: attention scratch is too small: %llu bytes of %llu",
                   (unsigned long long)d->scratch_bytes, (unsigned long long)floats * 4);
}

static ib_status eager(ib_device *d, const ib_attention_args *a, ib_error *err) {
    const shape_args s = shape_of(a);
    const cl_ulong q_at = a->q.offset / 4, out_at = a->out.offset / 4;
    const cl_uint n_keys = s.n_past + s.n_tokens;
    const size_t rows = a->q.n_rows;
    ib_xpu_arg scores[4 + SHAPE_ARGS] = {IB_XPU_ARG(a->q.buffer->mem), IB_XPU_ARG(q_at),
                                         IB_XPU_ARG(a->kv->k), IB_XPU_ARG(d->scratch)};
    ib_xpu_arg values[4 + SHAPE_ARGS] = {IB_XPU_ARG(d->scratch), IB_XPU_ARG(a->kv->v),
                                         IB_XPU_ARG(a->out.buffer->mem), IB_XPU_ARG(out_at)};
    const ib_xpu_arg softmax[] = {IB_XPU_ARG(d->scratch), IB_XPU_ARG(n_keys)};
    IB_TRY(scratch_for(d, (uint64_t)rows * a->n_heads * n_keys, err));
    put_shape(&s, scores + 4);
    put_shape(&s, values + 4);
    const ib_xpu_range score_range = {{ib_xpu_ceil(n_keys, IB_XPU_LINE), a->n_heads, rows},
                                      IB_XPU_LINE},
                       softmax_range = {{rows * a->n_heads, 1, 1}, d->group_attention},
                       value_range = {{1, a->n_heads, rows}, d->group_attention};
    const cl_kernel *k = a->kv->program->kernels;
    IB_TRY(ib_xpu_launch(d, k[IB_XPU_EAGER_SCORES], scores, 4 + SHAPE_ARGS, &score_range,
                         "eager_scores", err));
    IB_TRY(ib_xpu_launch(d, k[IB_XPU_EAGER_SOFTMAX], softmax, 2, &softmax_range, "eager_softmax",
                         err));
    return ib_xpu_launch(d, k[IB_XPU_EAGER_VALUES], values, 4 + SHAPE_ARGS, &value_range,
                         "eager_values", err);
}

/* sdpa and flash's prefill take the same arguments. */
static ib_status one_pass(ib_device *d, const ib_attention_args *a, int k, const size_t groups[3],
                          const char *name, ib_error *err) {
    const shape_args s = shape_of(a);
    const cl_ulong q_at = a->q.offset / 4, out_at = a->out.offset / 4;
    ib_xpu_arg args[6 + SHAPE_ARGS] = {IB_XPU_ARG(a->q.buffer->mem),   IB_XPU_ARG(q_at),
                                       IB_XPU_ARG(a->kv->k),           IB_XPU_ARG(a->kv->v),
                                       IB_XPU_ARG(a->out.buffer->mem), IB_XPU_ARG(out_at)};
    put_shape(&s, args + 6);
    const ib_xpu_range range = {{groups[0], groups[1], groups[2]}, d->group_attention};
    return ib_xpu_launch(d, a->kv->program->kernels[k], args, 6 + SHAPE_ARGS, &range, name, err);
}

static ib_status flash_decode(ib_device *d, const ib_attention_args *a, ib_error *err) {
    const shape_args s = shape_of(a);
    const cl_ulong q_at = a->q.offset / 4, out_at = a->out.offset / 4;
    const size_t head_dim = a->kv->spec.head_dim;
    size_t n_splits = ib_xpu_ceil(s.n_past + 1, KEYS_PER_SPLIT);
    if (n_splits > IB_XPU_SPLITS)
        n_splits = IB_XPU_SPLITS;
    const cl_uint splits = (cl_uint)n_splits;
    const ib_xpu_range range = {{a->n_heads, a->q.n_rows, n_splits}, d->group_attention},
                       reduce_range = {{a->n_heads, a->q.n_rows, 1}, d->group_attention};
    ib_xpu_arg args[6 + SHAPE_ARGS] = {IB_XPU_ARG(a->q.buffer->mem), IB_XPU_ARG(q_at),
                                       IB_XPU_ARG(a->kv->k),         IB_XPU_ARG(a->kv->v),
                                       IB_XPU_ARG(d->scratch),       IB_XPU_ARG(splits)};
    const ib_xpu_arg reduce[] = {IB_XPU_ARG(d->scratch), IB_XPU_ARG(a->out.buffer->mem),
                                 IB_XPU_ARG(out_at), IB_XPU_ARG(s.n_heads), IB_XPU_ARG(splits)};
    IB_TRY(scratch_for(d, (uint64_t)a->q.n_rows * a->n_heads * n_splits * (head_dim + 2), err));
    put_shape(&s, args + 6);
    const cl_kernel *k = a->kv->program->kernels;
    IB_TRY(
        ib_xpu_launch(d, k[IB_XPU_FLASH_SPLIT], args, 6 + SHAPE_ARGS, &range, "flash_split", err));
    return ib_xpu_launch(d, k[IB_XPU_FLASH_REDUCE], reduce, 5, &reduce_range, "flash_reduce", err);
}

ib_status ib_xpu_kv_write(ib_device *d, const ib_kv_write_args *a, ib_error *err) {
    const ib_kv_spec *s = &a->kv->spec;
    const cl_ulong k_at = a->k.offset / 4, v_at = a->v.offset / 4;
    const cl_uint layer = (cl_uint)a->layer, n_seqs = (cl_uint)s->n_seqs,
                  n_kv_heads = (cl_uint)s->n_kv_heads, n_ctx = (cl_uint)s->n_ctx,
                  n_past = (cl_uint)a->step.n_past, n_tokens = (cl_uint)a->step.n_tokens;
    const ib_xpu_arg args[] = {IB_XPU_ARG(a->k.buffer->mem),
                               IB_XPU_ARG(k_at),
                               IB_XPU_ARG(a->v.buffer->mem),
                               IB_XPU_ARG(v_at),
                               IB_XPU_ARG(a->kv->k),
                               IB_XPU_ARG(a->kv->v),
                               IB_XPU_ARG(layer),
                               IB_XPU_ARG(n_seqs),
                               IB_XPU_ARG(n_kv_heads),
                               IB_XPU_ARG(n_ctx),
                               IB_XPU_ARG(n_past),
                               IB_XPU_ARG(n_tokens)};
    const ib_xpu_range range = {{ib_xpu_ceil(s->head_dim, IB_XPU_LINE), s->n_kv_heads, a->k.n_rows},
                                IB_XPU_LINE};
    if (a->layer >= s->n_layers || a->step.n_past > s->n_ctx ||
        a->step.n_tokens > s->n_ctx - a->step.n_past || a->step.n_seqs > s->n_seqs)
        return ib_fail(err, IB_E_INTERNAL,
                       "device xpu: %zu keys at %zu, layer %zu, are outside of the cache",
                       a->step.n_tokens, a->step.n_past, a->layer);
    return ib_xpu_launch(d, a->kv->program->kernels[IB_XPU_KV_WRITE], args, 12, &range, "kv_write",
                         err);
}

ib_status ib_xpu_attention(ib_device *d, const ib_attention_args *a, ib_error *err) {
    const size_t per_row[3] = {a->n_heads, a->q.n_rows, 1};
    const size_t per_tile[3] = {ib_xpu_ceil(a->step.n_tokens, FLASH_ROWS), a->n_heads,
                                a->step.n_seqs};
    switch (a->kind) {
    case IB_ATTN_EAGER:
        return eager(d, a, err);
    case IB_ATTN_SDPA:
        return one_pass(d, a, IB_XPU_SDPA, per_row, "sdpa", err);
    case IB_ATTN_FLASH:
        if (a->step.n_tokens == 1)
            return flash_decode(d, a, err);
        return one_pass(d, a, IB_XPU_FLASH_PREFILL, per_tile, "flash_prefill", err);
    case IB_ATTN_COUNT:
        break;
    }
    return ib_fail(err, IB_E_INTERNAL, "device xpu: no attention of kind %d", (int)a->kind);
}
