/* SPDX-License-Identifier: MIT
 * Device memory with its ledger: buffers, weights (uploaded as stored), the KV cache, scratch. */
#include "backend/opencl/xpu.h"

#include "base/checked.h"

#include <stdlib.h>

static void ledger_add(ib_ledger *l, uint64_t bytes, ib_memory_tag tag) {
    uint64_t total = 0;
    l->now[tag] += bytes;
    if (l->now[tag] > l->peak[tag])
        l->peak[tag] = l->now[tag];
    for (int i = 0; i < IB_MEM_TAGS; i++)
        total += l->now[i];
    if (total > l->peak_total)
        l->peak_total = total;
}

ib_status ib_xpu_alloc(ib_device *d, cl_mem *out, uint64_t bytes, const void *from,
                       ib_memory_tag tag, const char *what, ib_error *err) {
    cl_int code = CL_SUCCESS;
    *out = d->cl->clCreateBuffer(d->context, CL_MEM_READ_WRITE, bytes ? (size_t)bytes : 1, NULL,
                                 &code);
    if (*out && from && bytes)
        code = d->cl->clEnqueueWriteBuffer(d->queue, *out, CL_TRUE, 0, (size_t)bytes, from, 0, NULL,
                                           NULL);
    if (code != CL_SUCCESS) {
        if (*out)
            (void)d->cl->clReleaseMemObject(*out);
        *out = NULL;
        return ib_cl_fail(code, what, err);
    }
    ledger_add(&d->ledger, bytes, tag);
    return IB_OK;
}

void ib_xpu_release(ib_device *d, cl_mem mem, uint64_t bytes, ib_memory_tag tag) {
    if (!mem)
        return;
    (void)d->cl->clReleaseMemObject(mem);
    d->ledger.now[tag] -= bytes;
}

ib_status ib_xpu_buffer_new(ib_device *d, ib_buffer **out, size_t bytes, ib_memory_tag tag,
                            ib_error *err) {
    ib_buffer *b = calloc(1, sizeof *b);
    *out = NULL;
    if (!b)
        return ib_fail_memory(err, sizeof *b, "a device buffer");
    *b = (ib_buffer){.bytes = bytes, .tag = tag};
    ib_status st = ib_xpu_alloc(d, &b->mem, bytes, NULL, tag, "allocating a buffer", err);
    if (st != IB_OK) {
        free(b);
        return st;
    }
    *out = b;
    return IB_OK;
}

void ib_xpu_buffer_free(ib_device *d, ib_buffer *b) {
    if (!b)
        return;
    ib_xpu_release(d, b->mem, b->bytes, b->tag);
    free(b);
}

ib_status ib_xpu_upload(ib_device *d, ib_buffer *to, size_t offset, const void *from, size_t bytes,
                        ib_error *err) {
    if (bytes == 0)
        return IB_OK;
    cl_int code =
        d->cl->clEnqueueWriteBuffer(d->queue, to->mem, CL_TRUE, offset, bytes, from, 0, NULL, NULL);
    return code == CL_SUCCESS ? IB_OK : ib_cl_fail(code, "copying to the device", err);
}

ib_status ib_xpu_download(ib_device *d, void *to, const ib_buffer *from, size_t offset,
                          size_t bytes, ib_error *err) {
    if (bytes == 0)
        return IB_OK;
    cl_int code =
        d->cl->clEnqueueReadBuffer(d->queue, from->mem, CL_TRUE, offset, bytes, to, 0, NULL, NULL);
    return code == CL_SUCCESS ? IB_OK : ib_cl_fail(code, "copying from the device", err);
}

/* The scales of a 4-bit matrix: plain fp32, or codes with their two nested tables. */
static ib_status upload_scales(ib_device *d, ib_weight *w, const ib_matrix *m, ib_error *err) {
    uint64_t n = ib_matrix_n_blocks(m), outer = ib_ceil_div(n, 256);
    if (m->absmax)
        return ib_xpu_alloc(d, &w->absmax, n * 4, m->absmax, IB_MEM_WEIGHTS, "uploading scales",
                            err);
    w->nested = 1;
    w->nested_offset = m->nested_offset;
    IB_TRY(ib_xpu_alloc(d, &w->absmax, n, m->absmax_u8, IB_MEM_WEIGHTS, "uploading scales", err));
    IB_TRY(ib_xpu_alloc(d, &w->nested_absmax, outer * 4, m->nested_absmax, IB_MEM_WEIGHTS,
                        "uploading nested scales", err));
    return ib_xpu_alloc(d, &w->nested_map, 256 * 4, m->nested_map, IB_MEM_WEIGHTS,
                        "uploading nested scales", err);
}

ib_status ib_xpu_weight_new(ib_device *d, ib_weight **out, const ib_matrix *m, bool borrowable,
                            ib_error *err) {
    (void)borrowable; /* the device has memory of its own */
    *out = NULL;
    IB_TRY(d->head.backend->supports(d, IB_OP_LINEAR, m->type, (size_t)m->n_cols, err));
    if (m->n_cols > INT32_MAX || m->n_rows > INT32_MAX)
        return ib_fail(err, IB_E_UNSUPPORTED, "device xpu: a matrix of %llu x %llu is too large",
                       (unsigned long long)m->n_rows, (unsigned long long)m->n_cols);
    IB_TRY(ib_xpu_build_weight(d, m->type, err));
    ib_weight *w = calloc(1, sizeof *w);
    if (!w)
        return ib_fail_memory(err, sizeof *w, "a weight");
    *w = (ib_weight){.type = m->type,
                     .n_rows = m->n_rows,
                     .n_cols = m->n_cols,
                     .bytes = m->data_bytes,
                     .blocksize = m->blocksize ? m->blocksize : 1};
    ib_status st =
        ib_xpu_alloc(d, &w->data, m->data_bytes, m->data, IB_MEM_WEIGHTS, "uploading weights", err);
    if (st == IB_OK && (m->type == IB_TYPE_NF4 || m->type == IB_TYPE_FP4))
        st = upload_scales(d, w, m, err);
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
    uint64_t n = ib_ceil_div(w->n_rows * w->n_cols, w->blocksize ? w->blocksize : 1);
    ib_xpu_release(d, w->data, w->bytes, IB_MEM_WEIGHTS);
    ib_xpu_release(d, w->absmax, w->nested ? n : n * 4, IB_MEM_WEIGHTS);
    ib_xpu_release(d, w->nested_absmax, ib_ceil_div(n, 256) * 4, IB_MEM_WEIGHTS);
    ib_xpu_release(d, w->nested_map, 256 * 4, IB_MEM_WEIGHTS);
    free(w);
}

ib_status ib_xpu_kv_new(ib_device *d, ib_kv **out, const ib_kv_spec *spec, ib_error *err) {
    uint64_t bytes = spec->type == IB_TYPE_F32 ? 4 : 2;
    const size_t factors[] = {spec->n_layers, spec->n_seqs, spec->n_kv_heads, spec->n_ctx,
                              spec->head_dim};
    *out = NULL;
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
        if (!ib_mul_u64(bytes, factors[i], &bytes))
            return ib_fail_memory(err, SIZE_MAX, "the KV cache");
    ib_kv *kv = calloc(1, sizeof *kv);
    if (!kv)
        return ib_fail_memory(err, sizeof *kv, "the KV cache");
    *kv = (ib_kv){.spec = *spec, .bytes = bytes};
    ib_status st = ib_xpu_alloc(d, &kv->k, bytes, NULL, IB_MEM_KV, "allocating the KV cache", err);
    if (st == IB_OK)
        st = ib_xpu_alloc(d, &kv->v, bytes, NULL, IB_MEM_KV, "allocating the KV cache", err);
    if (st != IB_OK) {
        ib_xpu_kv_free(d, kv);
        return st;
    }
    *out = kv;
    return IB_OK;
}

void ib_xpu_kv_free(ib_device *d, ib_kv *kv) {
    if (!kv)
        return;
    ib_xpu_release(d, kv->k, kv->bytes, IB_MEM_KV);
    ib_xpu_release(d, kv->v, kv->bytes, IB_MEM_KV);
    free(kv);
}

ib_status ib_xpu_reserve(ib_device *d, const ib_limits *l, ib_error *err) {
    uint64_t rows, bytes;
    bool ok = ib_mul_u64(l->n_seqs, l->n_tokens, &rows);
    if (l->attention == IB_ATTN_EAGER)
        ok = ok && ib_mul_u64(rows, l->n_heads, &bytes) && ib_mul_u64(bytes, l->n_ctx, &bytes);
    else /* flash in decode: one row per sequence */
        ok = ok && ib_mul_u64(l->n_seqs, l->n_heads, &bytes) &&
             ib_mul_u64(bytes, (uint64_t)IB_XPU_SPLITS * (l->head_dim + 2), &bytes);
    if (!ok || !ib_mul_u64(bytes, 4, &bytes))
        return ib_fail_memory(err, SIZE_MAX, "attention scratch");
    if (l->head_dim > 256)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "device xpu: head_dim %zu is over 256; fix: use --device cpu", l->head_dim);
    if (bytes <= d->scratch_bytes)
        return IB_OK;
    ib_xpu_release(d, d->scratch, d->scratch_bytes, IB_MEM_SCRATCH);
    d->scratch = NULL;
    d->scratch_bytes = 0;
    IB_TRY(ib_xpu_alloc(d, &d->scratch, bytes, NULL, IB_MEM_SCRATCH, "allocating scratch", err));
    d->scratch_bytes = bytes;
    return IB_OK;
}

void ib_xpu_ledger(const ib_device *d, ib_ledger *out) {
    *out = d->ledger;
}
