/* SPDX-License-Identifier: MIT
 * What the files of the CPU backend share: the device, its ledger and scratch, and how an
 * operation is spread over the thread pool. */
#ifndef IB_BACKEND_CPU_CPU_H
#define IB_BACKEND_CPU_CPU_H

#include "backend/cpu/kernels.h"
#include "base/threads.h"

enum { IB_CPU_MARKS = 8, IB_CPU_ALIGN = 64, IB_CPU_TASK_BYTES = 1024 };

typedef struct ib_cpu_features {
    bool avx2, avx512, vnni,
        bf16;       /* whole tiers: every instruction set that the tier's object uses */
    char list[256]; /* names of what was found, blank-separated */
    char name[128], vendor[64];
} ib_cpu_features;

/* A block of scratch that only grows, and only in reserve(). */
typedef struct ib_cpu_scratch {
    uint8_t *data; /* owned, aligned to IB_CPU_ALIGN */
    uint64_t bytes;
} ib_cpu_scratch;

struct ib_buffer {
    uint8_t *data; /* owned, aligned to IB_CPU_ALIGN */
    uint64_t bytes;
    ib_memory_tag tag;
};

/* Keys, then values: each [n_layers, n_seqs, n_kv_heads] tables of n_ctx positions, laid out as the
 * products read them. Keys: panels of `panel` positions, in each [head_dim, panel]. Values:
 * [n_ctx, head_dim]. When paired (BF16, read by bf16 products) keys are [head_dim / 2, panel, 2]
 * and values [n_ctx / 2, head_dim, 2]. */
struct ib_kv {
    ib_kv_spec spec;
    uint8_t *data; /* owned */
    uint64_t bytes;
    size_t element_bytes;
    size_t n_ctx, panel; /* n_ctx of the spec in whole panels */
    bool paired;
    uint64_t half; /* offset of the values */
};

/* Room for what an operation that was queued needs when it runs. */
typedef struct ib_cpu_task_room {
    _Alignas(IB_CPU_ALIGN) uint8_t bytes[IB_CPU_TASK_BYTES];
} ib_cpu_task_room;

struct ib_device {
    ib_device_head head;
    ib_device_config config; /* cpu_tier and log borrowed from the caller until open returns */
    ib_cpu_kernels k;
    ib_cpu_features features;
    const char *tier;        /* static */
    ib_pool *pool;           /* owned */
    ib_cpu_task_room *rooms; /* owned [IB_POOL_CONTEXTS], used in turn */
    unsigned next_room;
    int n_threads;
    char pin[160]; /* as ib_device_info has it */
    ib_ledger ledger;
    uint64_t memory_bytes;   /* physical memory */
    size_t n_int8;           /* INT8 weights alive: reserve() then makes room for them */
    ib_cpu_scratch shared;   /* x as the kernels want it */
    ib_cpu_scratch prepared; /* likewise one row, in a slice for each thread */
    ib_cpu_scratch scores;   /* attention: score matrix or partial results */
    ib_cpu_scratch local;    /* n_threads slices of local_stride bytes */
    uint64_t local_stride;
    uint64_t marks[IB_CPU_MARKS];
};

/* probe.c; see backend/probe.h */
ib_status ib_cpu_probe(ib_device *d, const struct ib_probe_ask *ask, struct ib_probe *out,
                       ib_error *err);

/* dispatch.c */
void ib_cpu_detect(ib_cpu_features *out);
/* Fills d->k and d->tier. tier NULL = best. */
ib_status ib_cpu_dispatch(ib_device *d, const char *tier, ib_error *err);

/* memory.c */
ib_status ib_cpu_alloc(ib_device *d, void **out, uint64_t bytes, ib_memory_tag tag,
                       const char *what, ib_error *err);
void ib_cpu_release(ib_device *d, void *p, uint64_t bytes, ib_memory_tag tag);
void ib_cpu_ledger_add(ib_device *d, uint64_t bytes, ib_memory_tag tag);
void ib_cpu_ledger_sub(ib_device *d, uint64_t bytes, ib_memory_tag tag);
ib_status ib_cpu_buffer_new(ib_device *d, ib_buffer **out, size_t bytes, ib_memory_tag tag,
                            ib_error *err);
void ib_cpu_buffer_free(ib_device *d, ib_buffer *b);
ib_status ib_cpu_upload(ib_device *d, ib_buffer *to, size_t offset, const void *from, size_t bytes,
                        ib_error *err);
ib_status ib_cpu_download(ib_device *d, void *to, const ib_buffer *from, size_t offset,
                          size_t bytes, ib_error *err);
ib_status ib_cpu_reserve(ib_device *d, const ib_limits *limits, ib_error *err);
void ib_cpu_scratch_clear(ib_device *d);
/* The first bytes of a scratch block, or IB_E_INTERNAL when reserve() was not asked for as much. */
ib_status ib_cpu_scratch_get(const ib_cpu_scratch *s, uint64_t bytes, const char *what, void **out,
                             ib_error *err);
static inline void *ib_cpu_local(const ib_device *d, int thread) {
    return d->local.data + (uint64_t)thread * d->local_stride;
}

/* weight.c, kv.c */
ib_status ib_cpu_weight_new(ib_device *d, ib_weight **out, const ib_matrix *m, bool borrowable,
                            ib_error *err);
void ib_cpu_weight_free(ib_device *d, ib_weight *w);
ib_status ib_cpu_kv_new(ib_device *d, ib_kv **out, const ib_kv_spec *spec, ib_error *err);
void ib_cpu_kv_free(ib_device *d, ib_kv *kv);
ib_status ib_cpu_kv_write(ib_device *d, const ib_kv_write_args *a, ib_error *err);
/* The table of one head. */
static inline uint8_t *ib_cpu_kv_table(const ib_kv *kv, bool values, size_t layer, size_t seq,
                                       size_t head) {
    const ib_kv_spec *s = &kv->spec;
    uint64_t table = (layer * s->n_seqs + seq) * s->n_kv_heads + head;
    return kv->data + (values ? kv->half : 0) + table * kv->n_ctx * s->head_dim * kv->element_bytes;
}

/* queue.c: operations are checked when they are called and run later, in their order; whoever
 * touches memory on behalf of the caller waits for them first. */
/* Room for the arguments of the next operation, at most IB_CPU_TASK_BYTES; theirs until it is
 * done. */
void *ib_cpu_task(ib_device *d, size_t bytes);
/* Queues fn with what ib_cpu_task gave. Little work is done by thread 0 alone: fn(ctx, 0, 1).
 * ahead may be NULL; see ib_pool_job. */
void ib_cpu_post(ib_device *d, size_t work, ib_pool_fn fn, void *ctx, ib_pool_fn ahead);
/* Returns when all queued operations are done. */
static inline void ib_cpu_finish(const ib_device *d) {
    ib_pool_wait(d->pool);
}

/* ops.c: tensors */
/* Inside a task: waits for all its threads. */
static inline void ib_cpu_wait(ib_device *d, int n_threads) {
    if (n_threads > 1)
        ib_pool_barrier(d->pool);
}
/* IB_E_INTERNAL unless t is [rows, cols] of the type and inside its buffer. */
ib_status ib_cpu_check(const ib_tensor *t, ib_type type, size_t n_rows, size_t n_cols,
                       const char *what, ib_error *err);
static inline void *ib_cpu_at(const ib_tensor *t) {
    return t->buffer->data + t->offset;
}
ib_status ib_cpu_embed(ib_device *d, const ib_weight *table, ib_tensor ids, ib_tensor out,
                       float scale, ib_error *err);
ib_status ib_cpu_norm(ib_device *d, const ib_norm_args *a, ib_error *err);
ib_status ib_cpu_rope(ib_device *d, const ib_rope_args *a, ib_error *err);
ib_status ib_cpu_gated_act(ib_device *d, const ib_gated_act_args *a, ib_error *err);
ib_status ib_cpu_add(ib_device *d, ib_tensor x, ib_tensor y, float scale, ib_error *err);
ib_status ib_cpu_argmax(ib_device *d, ib_tensor logits, ib_tensor out, ib_error *err);
ib_status ib_cpu_add_norm(ib_device *d, ib_tensor x, ib_tensor y, float scale,
                          const ib_norm_args *n, ib_error *err);

/* linear.c */
ib_status ib_cpu_linear(ib_device *d, const ib_linear_args *a, ib_error *err);
ib_status ib_cpu_linear_group(ib_device *d, const ib_linear_args *a, size_t n, ib_error *err);
ib_status ib_cpu_gated_mlp(ib_device *d, const ib_linear_args *gate, const ib_linear_args *up,
                           const ib_gated_act_args *act, ib_error *err);
/* Bytes of shared scratch for rows of n_in columns. */
uint64_t ib_cpu_linear_bytes(const ib_device *d, size_t rows, size_t n_in, bool int8);

/* gemm.c: products of many rows of x. prepare is one thread's part of bringing x [rows, n_in] into
 * the order that rows reads; all threads must have done theirs before. */
typedef struct ib_cpu_gemm {
    const ib_weight *w;
    const void *prepared;
    float *out; /* [rows, n_out] */
    size_t rows;
} ib_cpu_gemm;
uint64_t ib_cpu_gemm_bytes(const ib_device *d, size_t rows, size_t n_in); /* of prepared x */
uint64_t ib_cpu_gemm_local_bytes(const ib_device *d, size_t rows); /* of each thread's scratch */
void ib_cpu_gemm_prepare(ib_device *d, const float *x, size_t rows, size_t n_in, void *prepared,
                         int thread, int n_threads);
/* Weight rows [begin, end) against all rows of x. */
void ib_cpu_gemm_rows(ib_device *d, const ib_cpu_gemm *j, size_t begin, size_t end, void *local);

/* linear_int8.c: one thread's part of an LLM.int8 product. prepare ends with every thread waiting;
 * state lies in shared scratch. */
typedef struct ib_cpu_int8 {
    size_t rows, n_in, stride; /* stride of qa in elements */
    float threshold;
    int16_t *qa;         /* [rows, stride] */
    float *row_scale;    /* [rows] */
    uint8_t *is_outlier; /* [n_in] */
    uint32_t *columns;   /* [n_in], the first n_columns count */
    size_t *n_columns;
    float *x_outlier; /* [rows, n_in], n_columns of each row used */
} ib_cpu_int8;
void ib_cpu_int8_layout(ib_cpu_int8 *s, void *scratch, size_t rows, size_t n_in, float threshold);
uint64_t ib_cpu_int8_bytes(size_t rows, size_t n_in);
uint64_t ib_cpu_int8_local_bytes(void); /* of each thread's scratch */
void ib_cpu_int8_prepare(ib_device *d, const ib_cpu_int8 *s, const float *x, int thread,
                         int n_threads);
void ib_cpu_int8_rows(ib_device *d, const ib_cpu_int8 *s, const ib_weight *w, size_t begin,
                      size_t end, float *out, void *local);

/* attention.c and one file per formulation. A job is checked and its scratch found beforehand. */
enum {
    IB_CPU_ATTN_KEYS = 240, /* a tile of keys: whole panels of every tier */
    IB_CPU_ATTN_SLACK = 64  /* floats past a tile that a product may read */
};
typedef struct ib_cpu_attn {
    ib_device *d;
    const ib_attention_args *a;
    const ib_cpu_gemm_kernels *k;   /* the arithmetic that fits the cache */
    size_t n_keys, group, head_dim; /* keys visible to the last row; query heads per kv head */
    float *scores;                  /* shared scratch, as the formulation wants it */
} ib_cpu_attn;
ib_status ib_cpu_attention(ib_device *d, const ib_attention_args *a, ib_error *err);
/* First key that the query at absolute position p sees. */
static inline size_t ib_cpu_first_key(const ib_attention_args *a, size_t p) {
    return a->window && p + 1 > a->window ? p + 1 - a->window : 0;
}
/* Columns of a row of head_dim floats that products write. */
static inline size_t ib_cpu_attn_width(size_t head_dim) {
    return (head_dim + 15) / 16 * 16;
}
/* A head of one sequence in the cache, and room to widen a tile of it:
 * ib_cpu_attn_piece(head_dim) floats. */
typedef struct ib_cpu_attn_head {
    size_t seq, kv_head;
    float *piece;
} ib_cpu_attn_head;
size_t ib_cpu_attn_piece(size_t head_dim);
/* n rows of q, `stride` floats apart, as the products want them: [n, head_dim], at most as large as
 * fp32. */
void ib_cpu_attn_queries(const ib_cpu_attn *t, const float *q, size_t stride, size_t n, void *out);
/* s [n_rows, n] = q k^T for keys key .. key + n, key a multiple of IB_CPU_ATTN_KEYS; columns up to
 * the next whole panel are overwritten. */
void ib_cpu_attn_scores(const ib_cpu_attn *t, const ib_cpu_attn_head *h, const void *q,
                        size_t n_rows, size_t key, size_t n, float *s, size_t lds);
/* out [n_rows, width] (+)= p v for the same keys. p is narrowed where it lies when the cache is
 * paired, and must be 0 from n up to the next even column. */
void ib_cpu_attn_values(const ib_cpu_attn *t, const ib_cpu_attn_head *h, float *p, size_t n_rows,
                        size_t lds, size_t key, size_t n, float *out, size_t ldo, bool accumulate);
/* Raw scores s [n], of which the row sees [low, high), -> weights relative to the running maximum,
 * 0 outside; updates maximum and sum. Returns the factor by which what was summed before shrinks.
 * Scores stay unscaled, the scale is applied inside the exponential, unless there is a softcap. */
typedef struct ib_cpu_attn_state {
    float max, sum;
} ib_cpu_attn_state;
float ib_cpu_attn_absorb(const ib_cpu_attn *t, float *s, size_t low, size_t high, size_t n,
                         ib_cpu_attn_state *state);
void ib_cpu_attn_eager(void *job, int thread, int n_threads);
void ib_cpu_attn_sdpa(void *job, int thread, int n_threads);
void ib_cpu_attn_flash(void *job, int thread, int n_threads);
/* Bytes of shared scores and of one thread's tiles for a step of n_tokens rows over n_keys. */
typedef struct ib_cpu_attn_need {
    uint64_t shared, local;
} ib_cpu_attn_need;
typedef struct ib_cpu_attn_shape {
    size_t n_seqs, n_tokens, n_keys, n_heads, n_kv_heads, head_dim;
} ib_cpu_attn_shape;
ib_cpu_attn_need ib_cpu_eager_need(const ib_cpu_attn_shape *s);
ib_cpu_attn_need ib_cpu_sdpa_need(const ib_cpu_attn_shape *s);
ib_cpu_attn_need ib_cpu_flash_need(const ib_cpu_attn_shape *s);
ib_cpu_attn_need ib_cpu_attn_needs(ib_attention kind, const ib_cpu_attn_shape *s);

#endif
