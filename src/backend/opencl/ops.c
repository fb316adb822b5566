/* SPDX-License-Identifier: MIT
 * The operations of the seam as kernel launches. Offsets are handed over in elements. */
#include "backend/opencl/xpu.h"

#include <string.h>

bool ib_xpu_weight_type_ok(ib_type type) {
    switch (type) {
    case IB_TYPE_F32:
    case IB_TYPE_F16:
    case IB_TYPE_BF16:
    case IB_TYPE_NF4:
    case IB_TYPE_FP4:
    case IB_TYPE_Q4_0:
    case IB_TYPE_Q4_1:
    case IB_TYPE_Q5_0:
    case IB_TYPE_Q5_1:
    case IB_TYPE_Q8_0:
    case IB_TYPE_Q2_K:
    case IB_TYPE_Q3_K:
    case IB_TYPE_Q4_K:
    case IB_TYPE_Q5_K:
    case IB_TYPE_Q6_K:
        return true;
    default:
        return false;
    }
}

static cl_ulong at(ib_tensor t) {
    return t.offset / 4;
}

/* Work-groups of IB_XPU_GROUP items along the first dimension. */
static const size_t line[3] = {IB_XPU_GROUP, 1, 1};

static size_t groups_of(size_t n, size_t size) {
    return n / size + (n % size != 0);
}

enum { MATRIX_ARGS = 8 };

typedef struct matrix_args { /* what the macro MATRIX_PARAMS of weights.cl takes */
    cl_mem data, scales, nested_absmax, nested_map;
    cl_float nested_offset;
    cl_uint blocksize, nested, n_cols;
} matrix_args;

static matrix_args matrix_of(const ib_device *d, const ib_weight *w) {
    return (matrix_args){.data = w->data,
                         .scales = w->absmax ? w->absmax : d->none,
                         .nested_absmax = w->nested_absmax ? w->nested_absmax : d->none,
                         .nested_map = w->nested_map ? w->nested_map : d->none,
                         .nested_offset = w->nested_offset,
                         .blocksize = w->blocksize,
                         .nested = (cl_uint)w->nested,
                         .n_cols = (cl_uint)w->n_cols};
}

static void put_matrix(const matrix_args *m, ib_xpu_arg *args) {
    args[0] = IB_XPU_ARG(m->data);
    args[1] = IB_XPU_ARG(m->scales);
    args[2] = IB_XPU_ARG(m->nested_absmax);
    args[3] = IB_XPU_ARG(m->nested_map);
    args[4] = IB_XPU_ARG(m->nested_offset);
    args[5] = IB_XPU_ARG(m->blocksize);
    args[6] = IB_XPU_ARG(m->nested);
    args[7] = IB_XPU_ARG(m->n_cols);
}

ib_status ib_xpu_embed(ib_device *d, const ib_weight *table, ib_tensor ids, ib_tensor out,
                       float scale, ib_error *err) {
    const matrix_args m = matrix_of(d, table);
    const cl_ulong ids_at = at(ids), out_at = at(out);
    const cl_uint stride = (cl_uint)ids.n_cols;
    const cl_float factor = scale;
    ib_xpu_arg args[MATRIX_ARGS + 6];
    put_matrix(&m, args);
    args[8] = IB_XPU_ARG(ids.buffer->mem);
    args[9] = IB_XPU_ARG(ids_at);
    args[10] = IB_XPU_ARG(stride);
    args[11] = IB_XPU_ARG(out.buffer->mem);
    args[12] = IB_XPU_ARG(out_at);
    args[13] = IB_XPU_ARG(factor);
    const size_t groups[3] = {groups_of(out.n_cols, IB_XPU_GROUP), out.n_rows, 1};
    return ib_xpu_launch(d, d->weight_programs[table->type].embed, args, 14, groups, line, "embed",
                         err);
}

ib_status ib_xpu_linear(ib_device *d, const ib_linear_args *a, ib_error *err) {
    const matrix_args m = matrix_of(d, a->weight);
    const ib_xpu_weight_program *p = &d->weight_programs[a->weight->type];
    const cl_ulong x_at = at(a->x), out_at = at(a->out), bias_at = a->bias ? at(*a->bias) : 0;
    const cl_uint n_out = (cl_uint)a->weight->n_rows, n_x = (cl_uint)a->x.n_rows,
                  has_bias = a->bias != NULL;
    const cl_float scale = a->out_scale;
    const cl_mem bias = a->bias ? a->bias->buffer->mem : d->none;
    ib_xpu_arg args[MATRIX_ARGS + 10];
    put_matrix(&m, args);
    args[8] = IB_XPU_ARG(a->x.buffer->mem);
    args[9] = IB_XPU_ARG(x_at);
    args[10] = IB_XPU_ARG(a->out.buffer->mem);
    args[11] = IB_XPU_ARG(out_at);
    args[12] = IB_XPU_ARG(n_out);
    args[13] = IB_XPU_ARG(n_x);
    args[14] = IB_XPU_ARG(bias);
    args[15] = IB_XPU_ARG(bias_at);
    args[16] = IB_XPU_ARG(has_bias);
    args[17] = IB_XPU_ARG(scale);
    if (n_x <= 16) {
        const size_t groups[3] = {n_out, groups_of(n_x, 4), 1};
        return ib_xpu_launch(d, p->gemv, args, 18, groups, line, "gemv", err);
    }
    const size_t groups[3] = {groups_of(n_out, 16), groups_of(n_x, 16), 1}, local[3] = {16, 16, 1};
    return ib_xpu_launch(d, p->gemm, args, 18, groups, local, "gemm", err);
}

ib_status ib_xpu_norm(ib_device *d, const ib_norm_args *a, ib_error *err) {
    const cl_ulong x_at = at(a->x), out_at = at(a->out), weight_at = at(a->weight);
    const cl_uint n = (cl_uint)a->group, offset_one = a->kind == IB_NORM_OFFSET_ONE;
    const cl_float eps = a->eps;
    const ib_xpu_arg args[] = {IB_XPU_ARG(a->x.buffer->mem),
                               IB_XPU_ARG(x_at),
                               IB_XPU_ARG(a->out.buffer->mem),
                               IB_XPU_ARG(out_at),
                               IB_XPU_ARG(a->weight.buffer->mem),
                               IB_XPU_ARG(weight_at),
                               IB_XPU_ARG(n),
                               IB_XPU_ARG(eps),
                               IB_XPU_ARG(offset_one)};
    const size_t groups[3] = {a->x.n_rows * (a->x.n_cols / a->group), 1, 1};
    return ib_xpu_launch(d, d->kernels[IB_XPU_NORM], args, 9, groups, line, "norm", err);
}

ib_status ib_xpu_rope(ib_device *d, const ib_rope_args *a, ib_error *err) {
    const cl_ulong x_at = at(a->x), table_at = at(a->table);
    const cl_uint n_heads = (cl_uint)a->n_heads, head_dim = (cl_uint)a->head_dim,
                  n_rot = (cl_uint)a->n_rot, interleaved = a->interleaved,
                  n_past = (cl_uint)a->step.n_past, n_tokens = (cl_uint)a->step.n_tokens;
    const ib_xpu_arg args[] = {IB_XPU_ARG(a->x.buffer->mem),
                               IB_XPU_ARG(x_at),
                               IB_XPU_ARG(a->table.buffer->mem),
                               IB_XPU_ARG(table_at),
                               IB_XPU_ARG(n_heads),
                               IB_XPU_ARG(head_dim),
                               IB_XPU_ARG(n_rot),
                               IB_XPU_ARG(interleaved),
                               IB_XPU_ARG(n_past),
                               IB_XPU_ARG(n_tokens)};
    const size_t groups[3] = {groups_of(a->n_rot / 2, IB_XPU_GROUP), a->n_heads, a->x.n_rows};
    return ib_xpu_launch(d, d->kernels[IB_XPU_ROPE], args, 10, groups, line, "rope", err);
}

static cl_uint kv_type(const ib_kv *kv) {
    return kv->spec.type == IB_TYPE_F32 ? 0 : kv->spec.type == IB_TYPE_F16 ? 1 : 2;
}

ib_status ib_xpu_kv_write(ib_device *d, const ib_kv_write_args *a, ib_error *err) {
    const ib_kv_spec *s = &a->kv->spec;
    const cl_ulong k_at = at(a->k), v_at = at(a->v);
    const cl_uint type = kv_type(a->kv), layer = (cl_uint)a->layer, n_seqs = (cl_uint)s->n_seqs,
                  n_kv_heads = (cl_uint)s->n_kv_heads, n_ctx = (cl_uint)s->n_ctx,
                  head_dim = (cl_uint)s->head_dim, n_past = (cl_uint)a->step.n_past,
                  n_tokens = (cl_uint)a->step.n_tokens;
    const ib_xpu_arg args[] = {IB_XPU_ARG(a->k.buffer->mem),
                               IB_XPU_ARG(k_at),
                               IB_XPU_ARG(a->v.buffer->mem),
                               IB_XPU_ARG(v_at),
                               IB_XPU_ARG(a->kv->k),
                               IB_XPU_ARG(a->kv->v),
                               IB_XPU_ARG(type),
                               IB_XPU_ARG(layer),
                               IB_XPU_ARG(n_seqs),
                               IB_XPU_ARG(n_kv_heads),
                               IB_XPU_ARG(n_ctx),
                               IB_XPU_ARG(head_dim),
                               IB_XPU_ARG(n_past),
                               IB_XPU_ARG(n_tokens)};
    const size_t groups[3] = {groups_of(s->head_dim, IB_XPU_GROUP), s->n_kv_heads, a->k.n_rows};
    return ib_xpu_launch(d, d->kernels[IB_XPU_KV_WRITE], args, 14, groups, line, "kv_write", err);
}

ib_status ib_xpu_gated_act(ib_device *d, const ib_gated_act_args *a, ib_error *err) {
    const cl_ulong gate_at = at(a->gate), up_at = at(a->up), out_at = at(a->out),
                   n = a->gate.n_rows * a->gate.n_cols;
    const cl_uint act = (cl_uint)a->act;
    const ib_xpu_arg args[] = {IB_XPU_ARG(a->gate.buffer->mem),
                               IB_XPU_ARG(gate_at),
                               IB_XPU_ARG(a->up.buffer->mem),
                               IB_XPU_ARG(up_at),
                               IB_XPU_ARG(a->out.buffer->mem),
                               IB_XPU_ARG(out_at),
                               IB_XPU_ARG(n),
                               IB_XPU_ARG(act)};
    const size_t groups[3] = {groups_of((size_t)n, IB_XPU_GROUP), 1, 1};
    return ib_xpu_launch(d, d->kernels[IB_XPU_GATED_ACT], args, 8, groups, line, "gated_act", err);
}

ib_status ib_xpu_add(ib_device *d, ib_tensor x, ib_tensor y, float scale, ib_error *err) {
    const cl_ulong x_at = at(x), y_at = at(y), n = x.n_rows * x.n_cols;
    const cl_float factor = scale;
    const ib_xpu_arg args[] = {
        IB_XPU_ARG(x.buffer->mem), IB_XPU_ARG(x_at), IB_XPU_ARG(y.buffer->mem),
        IB_XPU_ARG(y_at),          IB_XPU_ARG(n),    IB_XPU_ARG(factor)};
    const size_t groups[3] = {groups_of((size_t)n, IB_XPU_GROUP), 1, 1};
    return ib_xpu_launch(d, d->kernels[IB_XPU_ADD], args, 6, groups, line, "add", err);
}

ib_status ib_xpu_argmax(ib_device *d, ib_tensor logits, ib_tensor out, ib_error *err) {
    const cl_ulong x_at = at(logits), out_at = at(out);
    const cl_uint n = (cl_uint)logits.n_cols;
    const ib_xpu_arg args[] = {IB_XPU_ARG(logits.buffer->mem), IB_XPU_ARG(x_at),
                               IB_XPU_ARG(out.buffer->mem), IB_XPU_ARG(out_at), IB_XPU_ARG(n)};
    const size_t groups[3] = {logits.n_rows, 1, 1};
    return ib_xpu_launch(d, d->kernels[IB_XPU_ARGMAX], args, 5, groups, line, "argmax", err);
}
