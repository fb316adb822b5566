/* SPDX-License-Identifier: MIT
 * Device memory with its ledger: buffers, the KV cache, scratch. */
#include "backend/opencl/xpu.h"

#include "base/checked.h"

#include <stdlib.h>

void ib_xpu_ledger_add(ib_ledger *l, uint64_t bytes, ib_memory_tag tag) {
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
    if (!*out) /* here alone is CL_OUT_OF_RESOURCES a lack of memory */
        return ib_cl_fail(code == CL_OUT_OF_RESOURCES ? CL_MEM_OBJECT_ALLOCATION_FAILURE : code,
                          what, err);
    if (from && bytes)
        code = d->cl->clEnqueueWriteBuffer(d->queue, *out, CL_TRUE, 0, (size_t)bytes, from, 0, NULL,
                                           NULL);
    if (code != CL_SUCCESS) {
        (void)d->cl->clReleaseMemObject(*out);
        *out = NULL;
        return ib_cl_fail(code, what, err);
    }
    ib_xpu_ledger_add(&d->ledger, bytes, tag);
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
    if (offset > to->bytes || bytes > to->bytes - offset)
        return ib_fail(err, IB_E_INTERNAL, "upload of %zu bytes at %zu into a buffer of %llu",
                       bytes, offset, (unsigned long long)to->bytes);
    if (bytes == 0)
        return IB_OK;
    cl_int code =
        d->cl->clEnqueueWriteBuffer(d->queue, to->mem, CL_TRUE, offset, bytes, from, 0, NULL, NULL);
    return code == CL_SUCCESS ? IB_OK : ib_cl_fail(code, "copying to the device", err);
}

ib_status ib_xpu_download(ib_device *d, void *to, const ib_buffer *from, size_t offset,
                          size_t bytes, ib_error *err) {
    if (offset > from->bytes || bytes > from->bytes - offset)
        return ib_fail(err, IB_E_INTERNAL, "download of %zu bytes at %zu from a buffer of %llu",
                       bytes, offset, (unsigned long long)from->bytes);
    if (bytes == 0)
        return IB_OK;
    cl_int code =
        d->cl->clEnqueueReadBuffer(d->queue, from->mem, CL_TRUE, offset, bytes, to, 0, NULL, NULL);
    return code == CL_SUCCESS ? IB_OK : ib_cl_fail(code, "copying from the device", err);
}

ib_status ib_xpu_kv_new(ib_device *d, ib_kv **out, const ib_kv_spec *spec, ib_error *err) {
    uint64_t bytes = spec->type == IB_TYPE_F32 ? 4 : 2;
    const size_t factors[] = {spec->n_layers, spec->n_seqs, spec->n_kv_heads, spec->n_ctx,
                              spec->head_dim};
    const ib_xpu_program *program;
    *out = NULL;
    IB_TRY(d->head.backend->supports(d, IB_OP_ATTENTION, spec->type, spec->head_dim, err));
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
        if (!ib_mul_u64(bytes, factors[i], &bytes))
            return ib_fail_memory(err, SIZE_MAX, "the KV cache");
    IB_TRY(ib_xpu_need_attention(d, spec->type, spec->head_dim, &program, err));
    ib_kv *kv = calloc(1, sizeof *kv);
    if (!kv)
        return ib_fail_memory(err, sizeof *kv, "the KV cache");
    *kv = (ib_kv){.spec = *spec, .bytes = bytes, .program = program};
    ib_status st = ib_xpu_alloc(d, &kv->k, bytes, NULL, IB_MEM_KV, "allocating the KV cache", err);
    if (st == IB_OK)
        st = ib_xpu_alloc(d, &kv->v, bytes, NULL, IB_MEM_KV, "allocating the KV cache", err);
    if (st == IB_OK)
        st = ib_xpu_warm_attention(d, kv, err);
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

/* At least `bytes` in *mem; what was there is lost. */
static ib_status grow(ib_device *d, cl_mem *mem, uint64_t *have, uint64_t bytes, ib_error *err) {
    if (bytes <= *have)
        return IB_OK;
    ib_xpu_release(d, *mem, *have, IB_MEM_SCRATCH);
    *mem = NULL;
    *have = 0;
    IB_TRY(ib_xpu_alloc(d, mem, bytes, NULL, IB_MEM_SCRATCH, "allocating scratch", err));
    *have = bytes;
    return IB_OK;
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
    d->limits = *l;
    IB_TRY(grow(d, &d->scratch, &d->scratch_bytes, bytes, err));
    return ib_xpu_reserve_codes(d, err);
}

ib_status ib_xpu_reserve_codes(ib_device *d, ib_error *err) {
    const ib_limits *l = &d->limits;
    const uint64_t widths[] = {l->n_heads * l->head_dim, l->d_model, l->d_ff, IB_XPU_WARM_COLS};
    uint64_t rows = 0, cols = 0, bytes = 0;
    if (!d->int8.program)
        return IB_OK;
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        cols = cols > widths[i] ? cols : ib_ceil_div(widths[i], 8) * 8;
    bool ok = ib_mul_u64(l->n_seqs, l->n_tokens, &rows);
    rows = rows > IB_XPU_WARM_ROWS ? rows : IB_XPU_WARM_ROWS;
    if (!ok || !ib_mul_u64(rows, cols, &bytes))
        return ib_fail_memory(err, SIZE_MAX, "codes of activations");
    IB_TRY(grow(d, &d->codes, &d->codes_bytes, bytes, err));
    IB_TRY(grow(d, &d->code_scales, &d->code_scale_bytes, rows * 4, err));
    return grow(d, &d->code_flags, &d->code_flag_bytes, cols, err);
}

void ib_xpu_free_scratch(ib_device *d) {
    ib_xpu_release(d, d->scratch, d->scratch_bytes, IB_MEM_SCRATCH);
    ib_xpu_release(d, d->codes, d->codes_bytes, IB_MEM_SCRATCH);
    ib_xpu_release(d, d->code_scales, d->code_scale_bytes, IB_MEM_SCRATCH);
    ib_xpu_release(d, d->code_flags, d->code_flag_bytes, IB_MEM_SCRATCH);
    d->scratch = d->codes = d->code_scales = d->code_flags = NULL;
}

void ib_xpu_ledger(const ib_device *d, ib_ledger *out) {
    *out = d->ledger;
}
