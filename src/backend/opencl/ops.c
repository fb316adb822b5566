/* SPDX-License-Identifier: MIT
 * The operations on rows of activations as kernel launches. Offsets are handed over in elements. */
#include "backend/opencl/xpu.h"

static cl_ulong at(ib_tensor t) {
    return t.offset / 4;
}

/* Work-groups of IB_XPU_LINE items along the first dimension. */
static ib_xpu_range line_of(size_t n, size_t y, size_t z) {
    return (ib_xpu_range){{ib_xpu_ceil(n, IB_XPU_LINE), y, z}, IB_XPU_LINE};
}

static ib_xpu_range groups_of(const ib_device *d, size_t n) {
    return (ib_xpu_range){{n, 1, 1}, d->group_rows};
}

/* A tensor must lie in its buffer, on a whole element. */
static ib_status check(const ib_tensor *t, const char *what, ib_error *err) {
    uint64_t bytes = (uint64_t)t->n_rows * t->n_cols * 4;
    if (t->offset % 4 == 0 && t->offset <= t->buffer->bytes &&
        bytes <= t->buffer->bytes - t->offset)
        return IB_OK;
    return ib_fail(err, IB_E_INTERNAL,
                   "%s of [%zu, %zu] at byte %zu exceed their buffer of %llu bytes", what,
                   t->n_rows, t->n_cols, t->offset, (unsigned long long)t->buffer->bytes);
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
    const ib_xpu_range range = groups_of(d, a->x.n_rows * (a->x.n_cols / a->group));
    IB_TRY(check(&a->x, "rows", err));
    IB_TRY(check(&a->out, "normalised rows", err));
    return ib_xpu_launch(d, d->rows.kernels[IB_XPU_NORM], args, 9, &range, "norm", err);
}

ib_status ib_xpu_add_norm(ib_device *d, ib_tensor x, ib_tensor y, float scale,
                          const ib_norm_args *n, ib_error *err) {
    const cl_ulong x_at = at(x), y_at = at(y), out_at = at(n->out), weight_at = at(n->weight);
    const cl_uint cols = (cl_uint)n->group, offset_one = n->kind == IB_NORM_OFFSET_ONE;
    const cl_float eps = n->eps, factor = scale;
    const ib_xpu_arg args[] = {IB_XPU_ARG(x.buffer->mem), IB_XPU_ARG(x_at),
                               IB_XPU_ARG(y.buffer->mem), IB_XPU_ARG(y_at),
                               IB_XPU_ARG(factor),        IB_XPU_ARG(n->out.buffer->mem),
                               IB_XPU_ARG(out_at),        IB_XPU_ARG(n->weight.buffer->mem),
                               IB_XPU_ARG(weight_at),     IB_XPU_ARG(cols),
                               IB_XPU_ARG(eps),           IB_XPU_ARG(offset_one)};
    const ib_xpu_range range = groups_of(d, x.n_rows * (x.n_cols / n->group));
    IB_TRY(check(&x, "rows", err));
    IB_TRY(check(&y, "rows to add", err));
    IB_TRY(check(&n->out, "normalised rows", err));
    return ib_xpu_launch(d, d->rows.kernels[IB_XPU_ADD_NORM], args, 12, &range, "add_norm", err);
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
    const ib_xpu_range range = line_of(a->n_rot / 2, a->n_heads, a->x.n_rows);
    IB_TRY(check(&a->x, "rows to rotate", err));
    return ib_xpu_launch(d, d->rows.kernels[IB_XPU_ROPE], args, 10, &range, "rope", err);
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
    const ib_xpu_range range = line_of((size_t)n, 1, 1);
    IB_TRY(check(&a->gate, "gates", err));
    IB_TRY(check(&a->up, "gated rows", err));
    IB_TRY(check(&a->out, "gate output", err));
    return ib_xpu_launch(d, d->rows.kernels[IB_XPU_GATED_ACT], args, 8, &range, "gated_act", err);
}

ib_status ib_xpu_add(ib_device *d, ib_tensor x, ib_tensor y, float scale, ib_error *err) {
    const cl_ulong x_at = at(x), y_at = at(y), n = x.n_rows * x.n_cols;
    const cl_float factor = scale;
    const ib_xpu_arg args[] = {
        IB_XPU_ARG(x.buffer->mem), IB_XPU_ARG(x_at), IB_XPU_ARG(y.buffer->mem),
        IB_XPU_ARG(y_at),          IB_XPU_ARG(n),    IB_XPU_ARG(factor)};
    const ib_xpu_range range = line_of((size_t)n, 1, 1);
    IB_TRY(check(&x, "rows", err));
    IB_TRY(check(&y, "rows to add", err));
    return ib_xpu_launch(d, d->rows.kernels[IB_XPU_ADD], args, 6, &range, "add", err);
}

ib_status ib_xpu_argmax(ib_device *d, ib_tensor logits, ib_tensor out, ib_error *err) {
    const cl_ulong x_at = at(logits), out_at = at(out);
    const cl_uint n = (cl_uint)logits.n_cols;
    const ib_xpu_arg args[] = {IB_XPU_ARG(logits.buffer->mem), IB_XPU_ARG(x_at),
                               IB_XPU_ARG(out.buffer->mem), IB_XPU_ARG(out_at), IB_XPU_ARG(n)};
    const ib_xpu_range range = groups_of(d, logits.n_rows);
    IB_TRY(check(&logits, "logits", err));
    IB_TRY(check(&out, "ids", err));
    return ib_xpu_launch(d, d->rows.kernels[IB_XPU_ARGMAX], args, 5, &range, "argmax", err);
}
