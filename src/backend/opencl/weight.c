/* SPDX-License-Identifier: MIT
 * Weights on the device, as stored. Where device and host share memory and the caller's bytes stay,
 * the payload is used where it lies (whole pages around it); else it is copied. */
#include "backend/opencl/xpu.h"

#include "base/checked.h"

#include <stdlib.h>

enum { PAGE = 4096, ALIGNMENT = 16 }; /* of a payload used in place */

bool ib_xpu_weight_type_ok(ib_type type) {
    switch (type) {
    case IB_TYPE_F32:
    case IB_TYPE_F16:
    case IB_TYPE_BF16:
    case IB_TYPE_NF4:
    case IB_TYPE_FP4:
    case IB_TYPE_INT8:
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
    case IB_TYPE_IQ4_NL:
    case IB_TYPE_MXFP4:
        return true;
    default:
        return false;
    }
}

static bool is_4bit(ib_type type) {
    return type == IB_TYPE_NF4 || type == IB_TYPE_FP4;
}

static ib_status check_scales(const ib_matrix *m, ib_error *err) {
    if (m->type == IB_TYPE_INT8 && !m->scb)
        return ib_fail(err, IB_E_INTERNAL, "an INT8 matrix has no SCB");
    if (!is_4bit(m->type))
        return IB_OK;
    if (m->blocksize < 32 || m->blocksize > 4096 || (m->blocksize & (m->blocksize - 1)))
        return ib_fail(err, IB_E_FORMAT, "blocksize of a %s matrix: %u; fix: quantize with 64",
                       ib_type_name(m->type), m->blocksize);
    if (!m->absmax && !(m->absmax_u8 && m->nested_absmax && m->nested_map))
        return ib_fail(err, IB_E_INTERNAL, "a %s matrix has no scales", ib_type_name(m->type));
    if (!m->absmax && m->nested_blocksize != 0 && m->nested_blocksize != 256)
        return ib_fail(err, IB_E_UNSUPPORTED, "nested blocksize of a %s matrix: %u; fix: use 256",
                       ib_type_name(m->type), m->nested_blocksize);
    return IB_OK;
}

static ib_status check(const ib_device *d, const ib_matrix *m, ib_error *err) {
    uint64_t n, bytes;
    const char *type = ib_type_name(m->type);
    IB_TRY(d->head.backend->supports(d, IB_OP_LINEAR, m->type, (size_t)m->n_cols, err));
    if (!ib_mul_u64(m->n_rows, m->n_cols, &n) || !n || m->n_rows > INT32_MAX ||
        m->n_cols > INT32_MAX)
        return ib_fail(err, IB_E_FORMAT, "shape of a %s matrix: %llu x %llu", type,
                       (unsigned long long)m->n_rows, (unsigned long long)m->n_cols);
    if (is_4bit(m->type))
        bytes = ib_ceil_div(n, 2);
    else if (!ib_type_bytes(m->type, n, &bytes) || m->n_cols % ib_type_block_elements(m->type) != 0)
        return ib_fail(err, IB_E_FORMAT, "columns of a %s matrix: %llu, not whole blocks of %u",
                       type, (unsigned long long)m->n_cols, ib_type_block_elements(m->type));
    if (!m->data || m->data_bytes < bytes)
        return ib_fail(err, IB_E_FORMAT, "a %s matrix of %llu x %llu: %llu bytes, need %llu", type,
                       (unsigned long long)m->n_rows, (unsigned long long)m->n_cols,
                       (unsigned long long)m->data_bytes, (unsigned long long)bytes);
    return check_scales(m, err);
}

/* The pages around the payload as a buffer of the device; false: they have to be copied. */
static bool use_in_place(ib_device *d, ib_weight *w, const ib_matrix *m) {
    const uintptr_t start = (uintptr_t)m->data, base = start / PAGE * PAGE;
    const uint64_t bytes = ib_ceil_div(start - base + m->data_bytes, PAGE) * PAGE;
    cl_int code = CL_SUCCESS;
    if (!d->unified || start % ALIGNMENT != 0)
        return false;
    w->data = d->cl->clCreateBuffer(d->context, CL_MEM_READ_ONLY | CL_MEM_USE_HOST_PTR,
                                    (size_t)bytes, (void *)base, &code);
    if (!w->data)
        return false;
    w->data_at = start - base;
    w->mapped = true;
    ib_xpu_ledger_add(&d->ledger, w->bytes, IB_MEM_WEIGHTS);
    d->ledger.mapped_bytes += w->bytes;
    return true;
}

static ib_status place_data(ib_device *d, ib_weight *w, const ib_matrix *m, bool borrowable,
                            ib_error *err) {
    if (borrowable && use_in_place(d, w, m))
        return IB_OK;
    return ib_xpu_alloc(d, &w->data, m->data_bytes, m->data, IB_MEM_WEIGHTS, "uploading weights",
                        err);
}

/* Scales: of LLM.int8 per row; of 4-bit codes plain, or codes with their two nested tables. */
static ib_status place_scales(ib_device *d, ib_weight *w, const ib_matrix *m, ib_error *err) {
    static const char what[] = "uploading scales";
    const uint64_t n = ib_matrix_n_blocks(m), outer = ib_ceil_div(n, 256);
    const void *scales = m->type == IB_TYPE_INT8 ? m->scb : m->absmax;
    w->scale_bytes = m->type == IB_TYPE_INT8 ? m->n_rows * 4 : n * 4;
    if (m->type == IB_TYPE_INT8 || (is_4bit(m->type) && m->absmax))
        return ib_xpu_alloc(d, &w->absmax, w->scale_bytes, scales, IB_MEM_WEIGHTS, what, err);
    if (!is_4bit(m->type))
        return IB_OK;
    w->nested = 1;
    w->nested_offset = m->nested_offset;
    w->scale_bytes = n;
    w->nested_bytes = outer * 4;
    IB_TRY(ib_xpu_alloc(d, &w->absmax, n, m->absmax_u8, IB_MEM_WEIGHTS, what, err));
    IB_TRY(ib_xpu_alloc(d, &w->nested_absmax, w->nested_bytes, m->nested_absmax, IB_MEM_WEIGHTS,
                        what, err));
    return ib_xpu_alloc(d, &w->nested_map, 256 * 4, m->nested_map, IB_MEM_WEIGHTS, what, err);
}

ib_status ib_xpu_weight_new(ib_device *d, ib_weight **out, const ib_matrix *m, bool borrowable,
                            ib_error *err) {
    *out = NULL;
    IB_TRY(check(d, m, err));
    const bool first = m->type == IB_TYPE_INT8 ? !d->int8.program : !d->weights[m->type].program;
    IB_TRY(ib_xpu_need_weight(d, m->type, err));
    ib_weight *w = calloc(1, sizeof *w);
    if (!w)
        return ib_fail_memory(err, sizeof *w, "a weight");
    *w = (ib_weight){.type = m->type,
                     .n_rows = m->n_rows,
                     .n_cols = m->n_cols,
                     .bytes = m->data_bytes,
                     .threshold = m->threshold,
                     .blocksize = m->blocksize ? m->blocksize : 1};
    ib_status st = place_data(d, w, m, borrowable, err);
    if (st == IB_OK)
        st = place_scales(d, w, m, err);
    if (st == IB_OK && m->type == IB_TYPE_INT8)
        st = ib_xpu_reserve_codes(d, err);
    if (st == IB_OK && first)
        st = ib_xpu_warm_weight(d, w, err);
    if (st != IB_OK) {
        ib_xpu_weight_free(d, w);
        return st;
    }
    *out = w;
    return IB_OK;
}

void ib_xpu_weight_free(ib_device *d, ib_weight *w) {
    if (!w)
        return;
    ib_xpu_release(d, w->data, w->bytes, IB_MEM_WEIGHTS);
    if (w->mapped)
        d->ledger.mapped_bytes -= w->bytes;
    ib_xpu_release(d, w->absmax, w->scale_bytes, IB_MEM_WEIGHTS);
    ib_xpu_release(d, w->nested_absmax, w->nested_bytes, IB_MEM_WEIGHTS);
    ib_xpu_release(d, w->nested_map, 256 * 4, IB_MEM_WEIGHTS);
    free(w);
}
