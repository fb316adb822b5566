/* SPDX-License-Identifier: MIT
 * The first launch of each kernel, on zeros, while things are loaded: drivers put off work until
 * then (PoCL compiles for the size of the work-group), and none of it may fall into a run. Where a
 * driver compiles anew for large ranges, the element-wise kernels get one too. */
#include "backend/opencl/xpu.h"

#include "base/clock.h"

enum { WARM_OUT = 64, LARGE = 70000, WARM_DIM = 2 };

typedef struct spare { /* the two spare buffers as tensors */
    struct ib_buffer zeros, sink;
} spare;

static spare spare_of(const ib_device *d) {
    return (spare){{d->zeros, IB_XPU_SPARE_BYTES, IB_MEM_SCRATCH},
                   {d->sink, IB_XPU_SPARE_BYTES, IB_MEM_SCRATCH}};
}

static ib_tensor tensor(struct ib_buffer *b, size_t rows, size_t cols) {
    return (ib_tensor){.buffer = b, .type = IB_TYPE_F32, .n_rows = rows, .n_cols = cols};
}

/* Element-wise kernels over a large range of which no item has work. */
static ib_status warm_large(ib_device *d, ib_error *err) {
    const cl_ulong none = 0;
    const cl_uint act = 0;
    const cl_float scale = 0;
    const ib_xpu_arg gated[] = {IB_XPU_ARG(d->zeros), IB_XPU_ARG(none),    IB_XPU_ARG(d->zeros),
                                IB_XPU_ARG(none),     IB_XPU_ARG(d->sink), IB_XPU_ARG(none),
                                IB_XPU_ARG(none),     IB_XPU_ARG(act)};
    const ib_xpu_arg add[] = {IB_XPU_ARG(d->sink), IB_XPU_ARG(none), IB_XPU_ARG(d->zeros),
                              IB_XPU_ARG(none),    IB_XPU_ARG(none), IB_XPU_ARG(scale)};
    const ib_xpu_range range = {{LARGE / IB_XPU_LINE, 1, 1}, IB_XPU_LINE};
    IB_TRY(ib_xpu_launch(d, d->rows.kernels[IB_XPU_GATED_ACT], gated, 8, &range, "gated_act", err));
    return ib_xpu_launch(d, d->rows.kernels[IB_XPU_ADD], add, 6, &range, "add", err);
}

static ib_status finish(ib_device *d, uint64_t start, ib_status st, ib_error *err) {
    if (st == IB_OK)
        st = ib_xpu_sync(d, err);
    d->timing.compile_ns += ib_now_ns() - start;
    return st;
}

static ib_status warm_rows(ib_device *d, ib_error *err) {
    spare s = spare_of(d);
    ib_tensor in = tensor(&s.zeros, 1, 8), out = tensor(&s.sink, 1, 8), pair = in;
    pair.n_cols = WARM_DIM;
    const ib_norm_args norm = {.x = out, .out = out, .weight = in, .group = 8, .eps = 1};
    const ib_rope_args rope = {.x = tensor(&s.sink, 1, WARM_DIM),
                               .table = pair,
                               .n_heads = 1,
                               .head_dim = WARM_DIM,
                               .n_rot = WARM_DIM,
                               .step = {1, 1, 0, false}};
    const ib_gated_act_args act = {.gate = in, .up = in, .out = out, .act = IB_ACT_SILU};
    IB_TRY(ib_xpu_norm(d, &norm, err));
    IB_TRY(ib_xpu_add_norm(d, out, in, 1, &norm, err));
    IB_TRY(ib_xpu_rope(d, &rope, err));
    IB_TRY(ib_xpu_gated_act(d, &act, err));
    IB_TRY(ib_xpu_add(d, out, in, 1, err));
    IB_TRY(ib_xpu_argmax(d, in, tensor(&s.sink, 1, 2), err));
    return warm_large(d, err);
}

ib_status ib_xpu_warm_rows(ib_device *d, ib_error *err) {
    const uint64_t start = ib_now_ns();
    return finish(d, start, warm_rows(d, err), err);
}

/* The corner of a weight that the spare buffers have room for. */
static ib_status warm_weight(ib_device *d, const ib_weight *w, ib_error *err) {
    static const size_t rows[] = {1, 2, IB_XPU_WARM_ROWS};
    spare s = spare_of(d);
    ib_weight corner = *w;
    corner.n_cols = w->n_cols < IB_XPU_WARM_COLS ? w->n_cols : IB_XPU_WARM_COLS;
    corner.n_rows = w->n_rows < WARM_OUT ? w->n_rows : WARM_OUT;
    const size_t n_in = (size_t)corner.n_cols, n_out = (size_t)corner.n_rows;
    ib_tensor ids = tensor(&s.zeros, 1, 1), embedded = tensor(&s.sink, 1, n_in);
    ids.type = IB_TYPE_I32;
    if (w->type != IB_TYPE_INT8)
        IB_TRY(ib_xpu_embed(d, &corner, ids, embedded, 1, err));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const ib_linear_args a = {.weight = &corner,
                                  .x = tensor(&s.zeros, rows[i], n_in),
                                  .out = tensor(&s.sink, rows[i], n_out),
                                  .out_scale = 1};
        IB_TRY(ib_xpu_linear(d, &a, err));
    }
    if (!d->weights[w->type].kernels[IB_XPU_CODES1] || n_in % 32 != 0)
        return IB_OK;
    corner.n_cols = n_in - 1; /* rows that are no whole blocks: the other kernel for one row */
    const ib_linear_args odd = {.weight = &corner,
                                .x = tensor(&s.zeros, 1, n_in - 1),
                                .out = tensor(&s.sink, 1, n_out),
                                .out_scale = 1};
    return ib_xpu_linear(d, &odd, err);
}

ib_status ib_xpu_warm_weight(ib_device *d, const ib_weight *w, ib_error *err) {
    const uint64_t start = ib_now_ns();
    return finish(d, start, warm_weight(d, w, err), err);
}

static ib_status warm_attention(ib_device *d, const ib_kv *kv, ib_error *err) {
    static const ib_attention kinds[] = {IB_ATTN_EAGER, IB_ATTN_SDPA, IB_ATTN_FLASH};
    spare s = spare_of(d);
    ib_kv tiny = {.spec = {1, 1, 1, kv->spec.head_dim, 2, kv->spec.type},
                  .k = d->zeros,
                  .v = d->zeros,
                  .program = kv->program};
    const size_t dim = kv->spec.head_dim;
    for (size_t n = 1; n <= 2; n++)
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
            ib_tensor out = tensor(&s.sink, n, dim);
            out.offset = IB_XPU_SPARE_BYTES / 2; /* the first half stands in for the scratch */
            const ib_attention_args a = {.kind = kinds[i],
                                         .kv = &tiny,
                                         .q = tensor(&s.zeros, n, dim),
                                         .out = out,
                                         .n_heads = 1,
                                         .scale = 1,
                                         .step = {1, n, 0, false}};
            IB_TRY(ib_xpu_attention(d, &a, err));
        }
    tiny.k = tiny.v = d->sink;
    const ib_kv_write_args write = {.kv = &tiny,
                                    .k = tensor(&s.zeros, 1, dim),
                                    .v = tensor(&s.zeros, 1, dim),
                                    .step = {1, 1, 0, false}};
    return ib_xpu_kv_write(d, &write, err);
}

ib_status ib_xpu_warm_attention(ib_device *d, const ib_kv *kv, ib_error *err) {
    const uint64_t start = ib_now_ns(), bytes = d->scratch_bytes;
    const cl_mem scratch = d->scratch;
    d->scratch = d->sink;
    d->scratch_bytes = IB_XPU_SPARE_BYTES / 2;
    ib_status st = finish(d, start, warm_attention(d, kv, err), err);
    d->scratch = scratch;
    d->scratch_bytes = bytes;
    return st;
}
