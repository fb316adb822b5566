/* SPDX-License-Identifier: MIT
 * Matrix products: few rows read every weight byte once (linear_few.cu); many rows go slab by slab
 * through scratch that fits the second-level cache (linear_tile.cu or cuBLASLt); LLM.int8 has its
 * own. Matrices of one stored format that share x go as one launch. */
#include "backend/cuda/cuda.h"

#include "base/checked.h"

static ib_cuda_out out_of(const ib_linear_args *a) {
    return (ib_cuda_out){.out = ib_cuda_at(a->out),
                         .bias = a->bias ? ib_cuda_at(*a->bias) : NULL,
                         .scale = a->out_scale};
}

static ib_status need(const ib_device *d, ib_cuda_space which, uint64_t bytes, ib_error *err) {
    if (bytes <= d->space[which].bytes)
        return IB_OK;
    return ib_fail(err, IB_E_INTERNAL,
                   "device cuda: %llu bytes of scratch were reserved, %llu asked",
                   (unsigned long long)d->space[which].bytes, (unsigned long long)bytes);
}

/* ---- LLM.int8 */
static uint64_t padded(uint64_t n) {
    return (n + 255) / 256 * 256;
}

uint64_t ib_cuda_int8_bytes(uint64_t rows, uint64_t n_cols) {
    return padded(rows * n_cols) + padded(rows * 4) + padded(n_cols) + padded(n_cols * 4) + 256;
}

static ib_status int8_product(ib_device *d, const ib_linear_args *a, ib_error *err) {
    const uint64_t rows = a->x.n_rows, n_cols = a->x.n_cols;
    IB_TRY(need(d, IB_CUDA_INT8, ib_cuda_int8_bytes(rows, n_cols), err));
    uint8_t *at = d->space[IB_CUDA_INT8].data;
    ib_cuda_int8 args = {
        .m = a->weight->m, .to = out_of(a), .x = ib_cuda_at(a->x), .rows = (int)rows};
    args.codes = (int8_t *)(void *)at;
    at += padded(rows * n_cols);
    args.row_scale = (float *)(void *)at;
    at += padded(rows * 4);
    args.outlier = at;
    at += padded(n_cols);
    args.columns = (uint32_t *)(void *)at;
    at += padded(n_cols * 4);
    args.n_columns = (uint32_t *)(void *)at;
    return ib_cuda_check(ib_cuda_launch_int8(d->stream, &args), "an int8 product", err);
}

/* ---- few rows */
static ib_status few(ib_device *d, const ib_linear_args *a, size_t n, const ib_gated_act_args *act,
                     ib_error *err) {
    ib_cuda_few args = {.x = ib_cuda_at(a[0].x),
                        .n = (int)n,
                        .rows = (int)a[0].x.n_rows,
                        .gated = act != NULL,
                        .exact = d->exact,
                        .act = act ? (int)act->act : 0};
    for (size_t i = 0; i < n; i++) {
        args.m[i] = a[i].weight->m;
        args.to[i] = out_of(&a[i]);
    }
    if (act)
        args.to[0].out = ib_cuda_at(act->out);
    return ib_cuda_check(ib_cuda_launch_few(d->stream, &args, d->units), "a product", err);
}

/* ---- many rows */
static ib_status round_x(ib_device *d, ib_tensor x, ib_error *err) {
    const size_t n = x.n_rows * x.n_cols;
    if (d->exact)
        return IB_OK;
    IB_TRY(need(d, IB_CUDA_ROUNDED, (uint64_t)n * 2, err));
    return ib_cuda_check(
        ib_cuda_launch_round(d->stream, ib_cuda_at(x), d->space[IB_CUDA_ROUNDED].data, n),
        "rounding activations", err);
}

static ib_status multiply(ib_device *d, const ib_cuda_gemm *g, ib_error *err) {
    if (!g->wide && d->blas && ib_cuda_blas_gemm(d->blas, d->stream, g)) {
        if (!g->bias && g->scale >= 1 && g->scale <= 1)
            return IB_OK;
        return ib_cuda_check(ib_cuda_launch_finish(d->stream, g), "adding a bias", err);
    }
    return ib_cuda_check(ib_cuda_launch_gemm(d->stream, g), "a product", err);
}

/* x is in the rounded scratch already (not in the exact mode). */
static ib_status many(ib_device *d, const ib_linear_args *a, ib_error *err) {
    const ib_cuda_matrix *m = &a->weight->m;
    const ib_cuda_out to = out_of(a);
    const ib_type plain = d->exact ? IB_TYPE_F32 : IB_TYPE_BF16;
    const size_t element = d->exact ? 4 : 2;
    uint32_t step = m->n_rows;
    ib_cuda_gemm g = {.x = d->exact ? (const void *)ib_cuda_at(a->x)
                                    : d->space[IB_CUDA_ROUNDED].data,
                      .scale = to.scale,
                      .rows = (int)a->x.n_rows,
                      .k = (int)m->n_cols,
                      .stride = m->n_rows,
                      .wide = d->exact};
    if (m->type != (int)plain) {
        uint64_t rows = d->space[IB_CUDA_SLAB].bytes / (m->n_cols * element);
        if (rows == 0)
            return need(d, IB_CUDA_SLAB, m->n_cols * element, err);
        if (rows >= 128)
            rows -= rows % 128;
        step = rows < step ? (uint32_t)rows : step;
    }
    for (uint32_t first = 0; first < m->n_rows; first += step) {
        const uint32_t n = m->n_rows - first < step ? m->n_rows - first : step;
        g.w = m->data + (size_t)first * m->n_cols * element;
        if (m->type != (int)plain) {
            g.w = d->space[IB_CUDA_SLAB].data;
            IB_TRY(ib_cuda_check(ib_cuda_launch_expand(d->stream, m, first, n,
                                                       d->space[IB_CUDA_SLAB].data, d->exact),
                                 "expanding weights", err));
        }
        g.n = (int)n;
        g.out = to.out + first;
        g.bias = to.bias ? to.bias + first : NULL;
        IB_TRY(multiply(d, &g, err));
    }
    return IB_OK;
}

/* Matrices whose type is the same from the first one on. */
static size_t same_type(const ib_linear_args *a, size_t n) {
    size_t k = 1;
    while (k < n && k < IB_CUDA_GROUP_MAX && a[k].weight->m.type == a[0].weight->m.type &&
           a[k].weight->m.blocksize == a[0].weight->m.blocksize)
        k++;
    return k;
}

ib_status ib_cuda_linear_group(ib_device *d, const ib_linear_args *a, size_t n, ib_error *err) {
    bool rounded = false;
    for (size_t i = 0; i < n;) {
        if (a[i].weight->m.type == IB_TYPE_INT8) {
            IB_TRY(int8_product(d, &a[i], err));
            i++;
        } else if (ib_cuda_few_takes(&a[i].weight->m, a[i].x.n_rows)) {
            const size_t k = same_type(a + i, n - i);
            IB_TRY(few(d, a + i, k, NULL, err));
            i += k;
        } else {
            if (!rounded)
                IB_TRY(round_x(d, a[i].x, err));
            rounded = true;
            IB_TRY(many(d, &a[i], err));
            i++;
        }
    }
    return IB_OK;
}

ib_status ib_cuda_linear(ib_device *d, const ib_linear_args *a, ib_error *err) {
    return ib_cuda_linear_group(d, a, 1, err);
}

ib_status ib_cuda_gated_mlp(ib_device *d, const ib_linear_args *gate, const ib_linear_args *up,
                            const ib_gated_act_args *act, ib_error *err) {
    const ib_linear_args both[2] = {*gate, *up};
    if (gate->weight->m.type != IB_TYPE_INT8 && same_type(both, 2) == 2 &&
        ib_cuda_few_takes(&gate->weight->m, gate->x.n_rows))
        return few(d, both, 2, act, err);
    IB_TRY(ib_cuda_linear_group(d, both, 2, err));
    return ib_cuda_gated_act(d, act, err);
}
