/* SPDX-License-Identifier: MIT
 * What the host files of the CUDA backend share: the device, its memory with the ledger, and how an
 * error of the runtime becomes one of ours.
 *
 * A decode step is captured once as a graph and replayed; whatever changes from token to token (the
 * position) lies in device memory. The capture is dropped when memory that it names is freed. */
#ifndef IB_BACKEND_CUDA_CUDA_H
#define IB_BACKEND_CUDA_CUDA_H

#include <cuda_runtime_api.h>

#include "backend/backend.h"
#include "backend/cuda/launch.h"

enum { IB_CUDA_MARKS = 8, IB_CUDA_PINNED = 64 * 1024, IB_CUDA_SPLITS = 64 };

struct ib_buffer {
    uint8_t *data; /* device memory */
    uint64_t bytes;
    ib_memory_tag tag;
};

struct ib_weight {
    ib_cuda_matrix m;
    uint64_t bytes; /* of `block` */
    void *block;    /* owned: payload and scales, one allocation */
};

struct ib_kv { /* keys, then values: each [n_layers, n_seqs, n_kv_heads, n_ctx, head_dim] */
    ib_kv_spec spec;
    uint8_t *data;
    uint64_t bytes;
};

typedef enum ib_cuda_space {                  /* scratch by use; each only grows, in reserve() */
                             IB_CUDA_SLAB,    /* weight rows on their way through a product */
                             IB_CUDA_ROUNDED, /* x as bf16 */
                             IB_CUDA_SCORES,  /* attention */
                             IB_CUDA_ARGMAX,
                             IB_CUDA_INT8,
                             IB_CUDA_SPACES
} ib_cuda_space;

struct ib_cuda_blas; /* blas.c */

struct ib_device {
    ib_device_head head;
    const ib_log *log; /* NULL after open */
    ib_device_info info;
    ib_ledger ledger;
    int index, units, shared_most; /* units: multiprocessors */
    uint64_t cache_bytes;          /* second level */
    bool exact;                    /* --compute float32 */
    cudaStream_t stream;
    cudaEvent_t marks[IB_CUDA_MARKS];
    bool marked[IB_CUDA_MARKS];
    struct {
        void *data;
        uint64_t bytes;
    } space[IB_CUDA_SPACES];
    size_t n_int8, n_kv; /* INT8 weights and caches alive */

    int *past;         /* device: positions before the step */
    int past_value;    /* what *past is once the queue is empty; -1 unknown */
    uint8_t *pinned;   /* host, page-locked [IB_CUDA_PINNED] */
    int *past_staging; /* host, page-locked */

    struct {
        bool capturing, warm; /* warm: such a step has run uncaptured */
        size_t n_seqs;
        cudaGraphExec_t exec; /* NULL: none */
    } step;
    struct ib_cuda_blas *blas; /* owned or NULL */
};

/* IB_OK for cudaSuccess; else RESOURCE for memory, DEVICE for the rest. */
ib_status ib_cuda_check(int code, const char *what, ib_error *err);

/* memory.c */
ib_status ib_cuda_alloc(ib_device *d, void **out, uint64_t bytes, ib_memory_tag tag, ib_error *err);
void ib_cuda_release(ib_device *d, void *p, uint64_t bytes, ib_memory_tag tag);
ib_status ib_cuda_buffer_new(ib_device *d, ib_buffer **out, size_t bytes, ib_memory_tag tag,
                             ib_error *err);
void ib_cuda_buffer_free(ib_device *d, ib_buffer *b);
ib_status ib_cuda_upload(ib_device *d, ib_buffer *to, size_t offset, const void *from, size_t bytes,
                         ib_error *err);
ib_status ib_cuda_download(ib_device *d, void *to, const ib_buffer *from, size_t offset,
                           size_t bytes, ib_error *err);
ib_status ib_cuda_weight_new(ib_device *d, ib_weight **out, const ib_matrix *m, bool borrowable,
                             ib_error *err);
void ib_cuda_weight_free(ib_device *d, ib_weight *w);
ib_status ib_cuda_kv_new(ib_device *d, ib_kv **out, const ib_kv_spec *spec, ib_error *err);
void ib_cuda_kv_free(ib_device *d, ib_kv *kv);
ib_status ib_cuda_reserve(ib_device *d, const ib_limits *limits, ib_error *err);
void ib_cuda_scratch_clear(ib_device *d);
void ib_cuda_ledger(const ib_device *d, ib_ledger *out);

/* step.c */
ib_status ib_cuda_step_begin(ib_device *d, const ib_step *step, bool *done, ib_error *err);
ib_status ib_cuda_step_end(ib_device *d, ib_error *err);
void ib_cuda_step_forget(ib_device *d); /* drops a capture, whole or begun */

/* ops.c, linear.c */
ib_status ib_cuda_embed(ib_device *d, const ib_weight *table, ib_tensor ids, ib_tensor out,
                        float scale, ib_error *err);
ib_status ib_cuda_norm_op(ib_device *d, const ib_norm_args *a, ib_error *err);
ib_status ib_cuda_rope_op(ib_device *d, const ib_rope_args *a, ib_error *err);
ib_status ib_cuda_kv_write(ib_device *d, const ib_kv_write_args *a, ib_error *err);
ib_status ib_cuda_attention_op(ib_device *d, const ib_attention_args *a, ib_error *err);
ib_status ib_cuda_gated_act(ib_device *d, const ib_gated_act_args *a, ib_error *err);
ib_status ib_cuda_add(ib_device *d, ib_tensor x, ib_tensor y, float scale, ib_error *err);
ib_status ib_cuda_add_norm(ib_device *d, ib_tensor x, ib_tensor y, float scale,
                           const ib_norm_args *n, ib_error *err);
ib_status ib_cuda_argmax(ib_device *d, ib_tensor logits, ib_tensor out, ib_error *err);
ib_status ib_cuda_linear(ib_device *d, const ib_linear_args *a, ib_error *err);
ib_status ib_cuda_linear_group(ib_device *d, const ib_linear_args *a, size_t n, ib_error *err);
ib_status ib_cuda_gated_mlp(ib_device *d, const ib_linear_args *gate, const ib_linear_args *up,
                            const ib_gated_act_args *act, ib_error *err);
uint64_t ib_cuda_slab_bytes(const ib_device *d, uint64_t n_cols);
uint64_t ib_cuda_int8_bytes(uint64_t rows, uint64_t n_cols);
static inline float *ib_cuda_at(ib_tensor t) {
    return (float *)(void *)(t.buffer->data + t.offset);
}

/* probe.c */
struct ib_probe_ask;
struct ib_probe;
ib_status ib_cuda_probe(ib_device *d, const struct ib_probe_ask *ask, struct ib_probe *out,
                        ib_error *err);

/* blas.c: cuBLASLt, opened at run time where it is installed. NULL when it is not: our own kernels
 * then do the products. */
struct ib_cuda_blas *ib_cuda_blas_open(ib_device *d, const ib_log *log);
void ib_cuda_blas_close(struct ib_cuda_blas *b);
/* out = x w^T, both bf16, without scale and bias; false: not this shape, nothing was queued. */
bool ib_cuda_blas_gemm(struct ib_cuda_blas *b, ib_cuda_stream s, const ib_cuda_gemm *g);

extern const ib_backend ib_cuda_backend;

#endif
