/* SPDX-License-Identifier: MIT
 * Device memory with its ledger: buffers, weights (as stored, one allocation each), the KV cache,
 * scratch by use. Freeing memory drops a captured step: it may name what is freed. */
#include "backend/cuda/cuda.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 256, SLAB_BYTES = 32 << 20 };

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

ib_status ib_cuda_alloc(ib_device *d, void **out, uint64_t bytes, ib_memory_tag tag,
                        ib_error *err) {
    static const char *const what[IB_MEM_TAGS] = {"allocating weights", "allocating the KV cache",
                                                  "allocating scratch",
                                                  "allocating input and output"};
    *out = NULL;
    cudaError_t e = cudaMalloc(out, bytes ? (size_t)bytes : 1);
    if (e != cudaSuccess) {
        (void)cudaGetLastError(); /* running out of memory leaves the device usable */
        *out = NULL;
        return ib_cuda_check((int)e, what[tag], err);
    }
    ledger_add(&d->ledger, bytes, tag);
    return IB_OK;
}

void ib_cuda_release(ib_device *d, void *p, uint64_t bytes, ib_memory_tag tag) {
    if (!p)
        return;
    ib_cuda_step_forget(d);
    (void)cudaFree(p);
    d->ledger.now[tag] -= bytes;
}

ib_status ib_cuda_buffer_new(ib_device *d, ib_buffer **out, size_t bytes, ib_memory_tag tag,
                             ib_error *err) {
    ib_buffer *b = calloc(1, sizeof *b);
    void *data;
    *out = NULL;
    if (!b)
        return ib_fail_memory(err, sizeof *b, "a device buffer");
    ib_status st = ib_cuda_alloc(d, &data, bytes, tag, err);
    if (st != IB_OK) {
        free(b);
        return st;
    }
    *b = (ib_buffer){.data = data, .bytes = bytes, .tag = tag};
    *out = b;
    return IB_OK;
}

void ib_cuda_buffer_free(ib_device *d, ib_buffer *b) {
    if (!b)
        return;
    ib_cuda_release(d, b->data, b->bytes, b->tag);
    free(b);
}

/* Copies to the device; the source may be reused when it returns. */
static ib_status copy_in(ib_device *d, void *to, const void *from, uint64_t bytes, ib_error *err) {
    if (bytes == 0)
        return IB_OK;
    if (bytes <= IB_CUDA_PINNED) { /* waits for the copy before the staging area is used again */
        IB_TRY(ib_cuda_check((int)cudaStreamSynchronize(d->stream), "waiting", err));
        memcpy(d->pinned, from, (size_t)bytes);
        return ib_cuda_check(
            (int)cudaMemcpyAsync(to, d->pinned, (size_t)bytes, cudaMemcpyHostToDevice, d->stream),
            "copying to the device", err);
    }
    IB_TRY(ib_cuda_check(
        (int)cudaMemcpyAsync(to, from, (size_t)bytes, cudaMemcpyHostToDevice, d->stream),
        "copying to the device", err));
    return ib_cuda_check((int)cudaStreamSynchronize(d->stream), "copying to the device", err);
}

ib_status ib_cuda_upload(ib_device *d, ib_buffer *to, size_t offset, const void *from, size_t bytes,
                         ib_error *err) {
    if (d->step.capturing)
        ib_cuda_step_forget(d);
    return copy_in(d, to->data + offset, from, bytes, err);
}

ib_status ib_cuda_download(ib_device *d, void *to, const ib_buffer *from, size_t offset,
                           size_t bytes, ib_error *err) {
    if (bytes == 0)
        return IB_OK;
    if (d->step.capturing)
        ib_cuda_step_forget(d);
    void *landing = bytes <= IB_CUDA_PINNED ? (void *)d->pinned : to;
    IB_TRY(ib_cuda_check((int)cudaMemcpyAsync(landing, from->data + offset, bytes,
                                              cudaMemcpyDeviceToHost, d->stream),
                         "copying from the device", err));
    IB_TRY(ib_cuda_check((int)cudaStreamSynchronize(d->stream), "copying from the device", err));
    if (landing != to)
        memcpy(to, landing, bytes);
    return IB_OK;
}

/* ---- weights: the parts of a matrix one after the other in one block */
enum { PART_DATA, PART_ABSMAX, PART_ABSMAX_U8, PART_NESTED, PART_MAP, PART_SCB, PARTS };

typedef struct part {
    const void *from;
    uint64_t bytes, at;
} part;

static bool lay_out(const ib_matrix *m, part parts[PARTS], uint64_t *total) {
    const bool codes = m->type == IB_TYPE_NF4 || m->type == IB_TYPE_FP4;
    const uint64_t n = codes ? ib_matrix_n_blocks(m) : 0;
    memset(parts, 0, PARTS * sizeof *parts);
    /* kernels read whole words of 16 bytes: the payload is padded to them */
    parts[PART_DATA] = (part){m->data, m->data_bytes, 0};
    if (codes && m->absmax)
        parts[PART_ABSMAX] = (part){m->absmax, n * 4, 0};
    if (codes && !m->absmax) {
        parts[PART_ABSMAX_U8] = (part){m->absmax_u8, n, 0};
        parts[PART_NESTED] = (part){m->nested_absmax, ib_ceil_div(n, m->nested_blocksize) * 4, 0};
        parts[PART_MAP] = (part){m->nested_map, 256 * 4, 0};
    }
    if (m->type == IB_TYPE_INT8)
        parts[PART_SCB] = (part){m->scb, m->n_rows * 4, 0};
    *total = 0;
    for (int i = 0; i < PARTS; i++) {
        uint64_t padded;
        parts[i].at = *total;
        if (!ib_round_up(parts[i].bytes, ALIGN, &padded) || !ib_add_u64(*total, padded, total))
            return false;
    }
    return *total <= SIZE_MAX / 2;
}

static ib_status fill_weight(ib_device *d, ib_weight *w, const ib_matrix *m, const part *parts,
                             ib_error *err) {
    uint8_t *block = w->block;
    const void *at[PARTS];
    for (int i = 0; i < PARTS; i++) {
        at[i] = parts[i].bytes ? block + parts[i].at : NULL;
        IB_TRY(copy_in(d, block + parts[i].at, parts[i].from, parts[i].bytes, err));
    }
    w->m = (ib_cuda_matrix){.data = at[PART_DATA],
                            .absmax = at[PART_ABSMAX],
                            .absmax_u8 = at[PART_ABSMAX_U8],
                            .nested_absmax = at[PART_NESTED],
                            .nested_map = at[PART_MAP],
                            .scb = at[PART_SCB],
                            .nested_offset = m->nested_offset,
                            .threshold = m->threshold,
                            .blocksize = m->blocksize ? m->blocksize : 1,
                            .n_rows = (uint32_t)m->n_rows,
                            .n_cols = (uint32_t)m->n_cols,
                            .type = (int)m->type};
    return IB_OK;
}

ib_status ib_cuda_weight_new(ib_device *d, ib_weight **out, const ib_matrix *m, bool borrowable,
                             ib_error *err) {
    (void)borrowable; /* the device has memory of its own */
    part parts[PARTS];
    uint64_t total;
    *out = NULL;
    IB_TRY(d->head.backend->supports(d, IB_OP_LINEAR, m->type, (size_t)m->n_cols, err));
    if (m->n_cols > INT32_MAX || m->n_rows > INT32_MAX || !lay_out(m, parts, &total))
        return ib_fail(err, IB_E_UNSUPPORTED, "device cuda: a matrix of %llu x %llu is too large",
                       (unsigned long long)m->n_rows, (unsigned long long)m->n_cols);
    if (!m->absmax && (m->type == IB_TYPE_NF4 || m->type == IB_TYPE_FP4) &&
        m->nested_blocksize != 256)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "device cuda: nested scales in blocks of %u; fix: use --device cpu",
                       (unsigned)m->nested_blocksize);
    ib_weight *w = calloc(1, sizeof *w);
    if (!w)
        return ib_fail_memory(err, sizeof *w, "a weight");
    ib_status st = ib_cuda_alloc(d, &w->block, total, IB_MEM_WEIGHTS, err);
    if (st != IB_OK) {
        free(w);
        return st;
    }
    w->bytes = total;
    if (m->type == IB_TYPE_INT8)
        d->n_int8++;
    w->m.type = (int)m->type;
    st = fill_weight(d, w, m, parts, err);
    if (st != IB_OK) {
        ib_cuda_weight_free(d, w);
        return st;
    }
    *out = w;
    return IB_OK;
}

void ib_cuda_weight_free(ib_device *d, ib_weight *w) {
    if (!w)
        return;
    if (w->m.type == IB_TYPE_INT8)
        d->n_int8--;
    ib_cuda_release(d, w->block, w->bytes, IB_MEM_WEIGHTS);
    free(w);
}

ib_status ib_cuda_kv_new(ib_device *d, ib_kv **out, const ib_kv_spec *spec, ib_error *err) {
    uint64_t bytes = spec->type == IB_TYPE_F32 ? 8 : 4; /* a key and a value */
    const size_t factors[] = {spec->n_layers, spec->n_seqs, spec->n_kv_heads, spec->n_ctx,
                              spec->head_dim};
    void *data;
    *out = NULL;
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
        if (!ib_mul_u64(bytes, factors[i], &bytes))
            return ib_fail_memory(err, SIZE_MAX, "the KV cache");
    ib_kv *kv = calloc(1, sizeof *kv);
    if (!kv)
        return ib_fail_memory(err, sizeof *kv, "the KV cache");
    ib_status st = ib_cuda_alloc(d, &data, bytes, IB_MEM_KV, err);
    if (st != IB_OK) {
        free(kv);
        return st;
    }
    ib_cuda_step_forget(d); /* a second cache: steps are no longer known by their shape */
    *kv = (ib_kv){.spec = *spec, .data = data, .bytes = bytes};
    d->n_kv++;
    *out = kv;
    return IB_OK;
}

void ib_cuda_kv_free(ib_device *d, ib_kv *kv) {
    if (!kv)
        return;
    d->n_kv--;
    ib_cuda_release(d, kv->data, kv->bytes, IB_MEM_KV);
    free(kv);
}

static const char *const names[IB_CUDA_SPACES] = {"weights in use", "rounded activations",
                                                  "attention", "argmax", "int8 products"};

static ib_status grow(ib_device *d, ib_cuda_space which, bool ok, uint64_t bytes, ib_error *err) {
    if (!ok)
        return ib_fail_memory(err, SIZE_MAX, names[which]);
    if (bytes <= d->space[which].bytes)
        return IB_OK;
    ib_cuda_release(d, d->space[which].data, d->space[which].bytes, IB_MEM_SCRATCH);
    d->space[which].data = NULL;
    d->space[which].bytes = 0;
    IB_TRY(ib_cuda_alloc(d, &d->space[which].data, bytes, IB_MEM_SCRATCH, err));
    d->space[which].bytes = bytes;
    return IB_OK;
}

void ib_cuda_scratch_clear(ib_device *d) {
    for (int i = 0; i < IB_CUDA_SPACES; i++) {
        ib_cuda_release(d, d->space[i].data, d->space[i].bytes, IB_MEM_SCRATCH);
        d->space[i].data = NULL;
        d->space[i].bytes = 0;
    }
}

static uint64_t most_columns(const ib_limits *l) {
    uint64_t n = l->d_model, heads = (uint64_t)l->n_heads * l->head_dim;
    n = l->d_ff > n ? l->d_ff : n;
    return heads > n ? heads : n;
}

uint64_t ib_cuda_slab_bytes(const ib_device *d, uint64_t n_cols) {
    const uint64_t rows = 128 * n_cols * (d->exact ? 4 : 2);
    return rows > SLAB_BYTES ? rows : SLAB_BYTES;
}

ib_status ib_cuda_reserve(ib_device *d, const ib_limits *l, ib_error *err) {
    const uint64_t columns = most_columns(l);
    uint64_t rows = 0, bytes = 0;
    bool ok = ib_mul_u64(l->n_seqs, l->n_tokens, &rows);
    if (l->head_dim > IB_CUDA_HEAD_DIM_MAX)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "device cuda: head_dim %zu is over 256; fix: use --device cpu", l->head_dim);
    if (rows > 1) {
        IB_TRY(grow(d, IB_CUDA_SLAB, columns < INT32_MAX, ib_cuda_slab_bytes(d, columns), err));
        if (!d->exact) {
            ok = ok && ib_mul_u64(rows, columns * 2, &bytes);
            IB_TRY(grow(d, IB_CUDA_ROUNDED, ok, bytes, err));
        }
    }
    if (l->attention == IB_ATTN_EAGER)
        ok = ok && ib_mul_u64(rows, l->n_heads, &bytes) && ib_mul_u64(bytes, l->n_ctx, &bytes) &&
             ib_mul_u64(bytes, 4, &bytes);
    else if (l->attention == IB_ATTN_FLASH)
        ok = ok && ib_mul_u64(l->n_seqs, l->n_heads, &bytes) &&
             ib_mul_u64(bytes, (uint64_t)IB_CUDA_SPLITS * (l->head_dim + 2) * 4, &bytes);
    IB_TRY(grow(d, IB_CUDA_SCORES, ok, bytes, err));
    ok = ok && ib_mul_u64(l->n_seqs, 12 * (uint64_t)IB_CUDA_ARGMAX_PARTS, &bytes);
    IB_TRY(grow(d, IB_CUDA_ARGMAX, ok, bytes, err));
    if (d->n_int8)
        IB_TRY(grow(d, IB_CUDA_INT8, ok, ib_cuda_int8_bytes(rows, columns), err));
    return IB_OK;
}

void ib_cuda_ledger(const ib_device *d, ib_ledger *out) {
    *out = d->ledger;
}
