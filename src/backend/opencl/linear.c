/* SPDX-License-Identifier: MIT
 * Products with weights, and the embedding, as kernel launches. One row of x (decode): gemv1, or
 * codes1 for 4-bit codes in whole blocks of 32; up to four rows: gemv4; more: gemm, on the matrix
 * engine where there is one. LLM.int8 has kernels of its own. */
#include "backend/opencl/xpu.h"

enum { MATRIX_ARGS = 9, LINEAR_ARGS = 19, ROWS = 4, ENGINE_ROWS = 32, ENGINE_TEAMS = 8 };

static cl_ulong at(ib_tensor t) {
    return t.offset / 4;
}

typedef struct matrix_args { /* what the macro MATRIX_PARAMS of weights.cl takes */
    cl_mem data, scales, nested_absmax, nested_map;
    cl_ulong data_at;
    cl_float nested_offset;
    cl_uint shift, nested, n_cols;
} matrix_args;

static matrix_args matrix_of(const ib_device *d, const ib_weight *w) {
    cl_uint shift = 0;
    while ((uint32_t)2 << shift <= w->blocksize)
        shift++;
    return (matrix_args){.data = w->data,
                         .data_at = w->data_at,
                         .scales = w->absmax ? w->absmax : d->zeros,
                         .nested_absmax = w->nested_absmax ? w->nested_absmax : d->zeros,
                         .nested_map = w->nested_map ? w->nested_map : d->zeros,
                         .nested_offset = w->nested_offset,
                         .shift = shift,
                         .nested = (cl_uint)w->nested,
                         .n_cols = (cl_uint)w->n_cols};
}

static void put_matrix(const matrix_args *m, ib_xpu_arg *args) {
    args[0] = IB_XPU_ARG(m->data);
    args[1] = IB_XPU_ARG(m->data_at);
    args[2] = IB_XPU_ARG(m->scales);
    args[3] = IB_XPU_ARG(m->nested_absmax);
    args[4] = IB_XPU_ARG(m->nested_map);
    args[5] = IB_XPU_ARG(m->nested_offset);
    args[6] = IB_XPU_ARG(m->shift);
    args[7] = IB_XPU_ARG(m->nested);
    args[8] = IB_XPU_ARG(m->n_cols);
}

ib_status ib_xpu_embed(ib_device *d, const ib_weight *table, ib_tensor ids, ib_tensor out,
                       float scale, ib_error *err) {
    const matrix_args m = matrix_of(d, table);
    const cl_ulong ids_at = at(ids), out_at = at(out);
    const cl_uint stride = (cl_uint)ids.n_cols;
    const cl_float factor = scale;
    const cl_uint n_rows = (cl_uint)table->n_rows;
    ib_xpu_arg args[MATRIX_ARGS + 7];
    put_matrix(&m, args);
    args[MATRIX_ARGS] = IB_XPU_ARG(n_rows);
    args[MATRIX_ARGS + 1] = IB_XPU_ARG(ids.buffer->mem);
    args[MATRIX_ARGS + 2] = IB_XPU_ARG(ids_at);
    args[MATRIX_ARGS + 3] = IB_XPU_ARG(stride);
    args[MATRIX_ARGS + 4] = IB_XPU_ARG(out.buffer->mem);
    args[MATRIX_ARGS + 5] = IB_XPU_ARG(out_at);
    args[MATRIX_ARGS + 6] = IB_XPU_ARG(factor);
    const ib_xpu_range range = {{ib_xpu_ceil(out.n_cols, IB_XPU_LINE), out.n_rows, 1}, IB_XPU_LINE};
    return ib_xpu_launch(d, d->weights[table->type].kernels[IB_XPU_EMBED], args, MATRIX_ARGS + 7,
                         &range, "embed", err);
}

/* Work-groups that cover n rows of weights for n_x of x: a team for each ROWS of them, or for half
 * as many where the sums of several rows of x have to fit in registers. */
static size_t team_groups(const ib_device *d, size_t n, size_t n_x) {
    const size_t rows = n_x == 1 || d->form == IB_XPU_SINGLE ? ROWS : ROWS / 2,
                 teams = d->form == IB_XPU_SUBGROUP ? d->group_linear / (size_t)d->lanes : 1;
    return ib_xpu_ceil(n, rows * teams);
}

/* Which kernel does n_x rows, and over what range. */
static cl_kernel choose(const ib_device *d, const ib_weight *w, size_t n_x, ib_xpu_range *range,
                        const char **name) {
    const cl_kernel *k = d->weights[w->type].kernels;
    const size_t n_out = (size_t)w->n_rows;
    *range = (ib_xpu_range){{team_groups(d, n_out, n_x), 1, 1}, d->group_linear};
    if (n_x == 1 && k[IB_XPU_CODES1] && w->n_cols % 32 == 0 && w->blocksize % 32 == 0) {
        *name = "codes1";
        return k[IB_XPU_CODES1];
    }
    if (n_x <= 4) {
        *name = n_x == 1 ? "gemv1" : "gemv4";
        return k[n_x == 1 ? IB_XPU_GEMV1 : IB_XPU_GEMV4];
    }
    if (d->engine_lanes) {
        const size_t lanes = (size_t)d->engine_lanes;
        *name = "gemm_engine";
        *range = (ib_xpu_range){
            {ib_xpu_ceil(n_out, ENGINE_TEAMS * lanes), ib_xpu_ceil(n_x, ENGINE_ROWS), 1},
            ENGINE_TEAMS * lanes};
        return d->engine[w->type].kernels[IB_XPU_GEMM_ENGINE];
    }
    *name = "gemm";
    if (d->form == IB_XPU_SINGLE)
        *range = (ib_xpu_range){{ib_xpu_ceil(n_out, 4), ib_xpu_ceil(n_x, 64), 1}, 1};
    else
        *range = (ib_xpu_range){{ib_xpu_ceil(n_out, 64), ib_xpu_ceil(n_x, 64), 1}, 256};
    return k[IB_XPU_GEMM];
}

typedef struct ends { /* what every product takes besides the matrix and x */
    cl_mem out, bias;
    cl_ulong x_at, out_at, bias_at;
    cl_uint n_out, n_x, has_bias;
    cl_float scale;
} ends;

static ends ends_of(const ib_device *d, const ib_linear_args *a) {
    return (ends){.out = a->out.buffer->mem,
                  .bias = a->bias ? a->bias->buffer->mem : d->zeros,
                  .x_at = at(a->x),
                  .out_at = at(a->out),
                  .bias_at = a->bias ? at(*a->bias) : 0,
                  .n_out = (cl_uint)a->weight->n_rows,
                  .n_x = (cl_uint)a->x.n_rows,
                  .has_bias = a->bias != NULL,
                  .scale = a->out_scale};
}

/* LLM.int8: which columns stay out, rows of x as codes, then the product. */
static ib_status int8(ib_device *d, const ib_linear_args *a, ib_error *err) {
    const ib_weight *w = a->weight;
    const ends e = ends_of(d, a);
    const cl_uint n_cols = (cl_uint)w->n_cols, padded = (cl_uint)ib_xpu_ceil(n_cols, 8) * 8;
    const cl_float threshold = w->threshold;
    const cl_ulong data_at = w->data_at;
    if ((uint64_t)padded * e.n_x > d->codes_bytes || padded > d->code_flag_bytes)
        return ib_fail(err, IB_E_INTERNAL, "device xpu: no room for %u rows of %u codes",
                       (unsigned)e.n_x, (unsigned)padded);
    const ib_xpu_arg columns[] = {IB_XPU_ARG(a->x.buffer->mem), IB_XPU_ARG(e.x_at),
                                  IB_XPU_ARG(d->code_flags),    IB_XPU_ARG(n_cols),
                                  IB_XPU_ARG(padded),           IB_XPU_ARG(e.n_x),
                                  IB_XPU_ARG(threshold)};
    const ib_xpu_arg rows[] = {
        IB_XPU_ARG(a->x.buffer->mem), IB_XPU_ARG(e.x_at),         IB_XPU_ARG(d->code_flags),
        IB_XPU_ARG(d->codes),         IB_XPU_ARG(d->code_scales), IB_XPU_ARG(n_cols),
        IB_XPU_ARG(padded),           IB_XPU_ARG(e.n_x),          IB_XPU_ARG(threshold)};
    const ib_xpu_arg dot[] = {
        IB_XPU_ARG(w->data),          IB_XPU_ARG(data_at),        IB_XPU_ARG(w->absmax),
        IB_XPU_ARG(d->codes),         IB_XPU_ARG(d->code_scales), IB_XPU_ARG(d->code_flags),
        IB_XPU_ARG(a->x.buffer->mem), IB_XPU_ARG(e.x_at),         IB_XPU_ARG(e.out),
        IB_XPU_ARG(e.out_at),         IB_XPU_ARG(n_cols),         IB_XPU_ARG(padded),
        IB_XPU_ARG(e.n_out),          IB_XPU_ARG(e.n_x),          IB_XPU_ARG(e.bias),
        IB_XPU_ARG(e.bias_at),        IB_XPU_ARG(e.has_bias),     IB_XPU_ARG(e.scale)};
    const ib_xpu_range line = {{ib_xpu_ceil(padded, IB_XPU_LINE), 1, 1}, IB_XPU_LINE},
                       groups = {{e.n_x, 1, 1}, d->group_linear};
    const bool eight = e.n_x > 4 && d->form == IB_XPU_SINGLE;
    const int which = e.n_x == 1 ? IB_XPU_INT8_DOT1 : eight ? IB_XPU_INT8_DOT8 : IB_XPU_INT8_DOT4;
    const size_t at_a_time = e.n_x == 1 ? 1 : eight ? 8 : 4;
    const ib_xpu_range range = {{team_groups(d, e.n_out, e.n_x), ib_xpu_ceil(e.n_x, at_a_time), 1},
                                d->group_linear};
    const cl_kernel *k = d->int8.kernels;
    IB_TRY(ib_xpu_launch(d, k[IB_XPU_INT8_COLUMNS], columns, 7, &line, "int8_columns", err));
    IB_TRY(ib_xpu_launch(d, k[IB_XPU_INT8_ROWS], rows, 9, &groups, "int8_rows", err));
    return ib_xpu_launch(d, k[which], dot, 18, &range, "int8_dot", err);
}

ib_status ib_xpu_linear(ib_device *d, const ib_linear_args *a, ib_error *err) {
    const matrix_args m = matrix_of(d, a->weight);
    const ends e = ends_of(d, a);
    ib_xpu_range range;
    const char *name = "";
    ib_xpu_arg args[LINEAR_ARGS];
    if (e.n_x == 0)
        return IB_OK;
    if (a->weight->type == IB_TYPE_INT8)
        return int8(d, a, err);
    put_matrix(&m, args);
    args[9] = IB_XPU_ARG(a->x.buffer->mem);
    args[10] = IB_XPU_ARG(e.x_at);
    args[11] = IB_XPU_ARG(e.out);
    args[12] = IB_XPU_ARG(e.out_at);
    args[13] = IB_XPU_ARG(e.n_out);
    args[14] = IB_XPU_ARG(e.n_x);
    args[15] = IB_XPU_ARG(e.bias);
    args[16] = IB_XPU_ARG(e.bias_at);
    args[17] = IB_XPU_ARG(e.has_bias);
    args[18] = IB_XPU_ARG(e.scale);
    cl_kernel k = choose(d, a->weight, e.n_x, &range, &name);
    return ib_xpu_launch(d, k, args, LINEAR_ARGS, &range, name, err);
}
