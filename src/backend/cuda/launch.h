/* SPDX-License-Identifier: MIT
 * Between the host code (C) and the kernels (CUDA C++): argument structs, and one launcher per
 * operation. A launcher queues on the stream and returns cudaError_t as int (0 = success). Pointers
 * are device memory. Positions are read from `past` on the device, so that a captured step holds no
 * constant of one token. */
#ifndef IB_BACKEND_CUDA_LAUNCH_H
#define IB_BACKEND_CUDA_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quant/types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { IB_CUDA_FEW_ROWS = 8, IB_CUDA_GROUP_MAX = 3, IB_CUDA_HEAD_DIM_MAX = 256 };

typedef struct ib_cuda_matrix { /* as ib_matrix, on the device */
    const uint8_t *data;        /* aligned to 16 bytes */
    const float *absmax;        /* NF4, FP4: plain scales, or the nested four */
    const uint8_t *absmax_u8;
    const float *nested_absmax, *nested_map;
    const float *scb; /* INT8 */
    float nested_offset;
    float threshold; /* INT8 */
    uint32_t blocksize, n_rows, n_cols;
    int type; /* ib_type */
} ib_cuda_matrix;

/* What is done to x[i] W^T before it is stored: * scale + bias. */
typedef struct ib_cuda_out {
    float *out;        /* [rows, n_out] */
    const float *bias; /* [n_out] or NULL */
    float scale;
} ib_cuda_out;

/* Up to three matrices that share x [rows, n_cols], rows <= IB_CUDA_FEW_ROWS. With `gated`, the two
 * matrices are gate and up, and act(gate) * up goes to out[0]. */
typedef struct ib_cuda_few {
    ib_cuda_matrix m[IB_CUDA_GROUP_MAX];
    ib_cuda_out to[IB_CUDA_GROUP_MAX];
    const float *x;
    int n, rows;
    bool gated, exact; /* exact: fp32 arithmetic throughout */
    int act;           /* ib_act */
} ib_cuda_few;

typedef struct ib_cuda_place { /* where in the sequence the rows of a step are */
    const int *past;           /* device: positions before this step */
    int n_tokens;              /* row r of sequence s is r + s * n_tokens */
    int most;                  /* keys that the launch must be prepared for */
} ib_cuda_place;

typedef struct ib_cuda_cache { /* one layer: [n_seqs, n_kv_heads, n_ctx, head_dim] */
    uint8_t *k, *v;
    int type; /* F32, F16, BF16 */
    int n_seqs, n_kv_heads, n_ctx, head_dim;
} ib_cuda_cache;

typedef struct ib_cuda_attention {
    ib_cuda_cache cache;
    ib_cuda_place place;
    const float *q; /* [rows, n_heads, head_dim] */
    float *out;
    float *scratch; /* eager: [rows, n_heads, most]; flash decode: partial results */
    int n_heads, rows, window, splits;
    int shared_most; /* bytes of shared memory that a block may have */
    float scale, softcap;
} ib_cuda_attention;

typedef struct ib_cuda_norm {
    const float *x, *weight;
    float *out;
    int n_groups, group; /* n_groups groups of `group` columns */
    float eps;
    bool offset_one;
} ib_cuda_norm;

typedef struct ib_cuda_rope {
    float *x;
    const float *table;
    ib_cuda_place place;
    int rows, n_heads, head_dim, n_rot;
    bool interleaved;
} ib_cuda_rope;

/* Scratch of an LLM.int8 product. */
typedef struct ib_cuda_int8 {
    ib_cuda_matrix m;
    ib_cuda_out to;
    const float *x;
    int rows;
    int8_t *codes;     /* [rows, n_cols] */
    float *row_scale;  /* [rows] */
    uint8_t *outlier;  /* [n_cols] */
    uint32_t *columns; /* [n_cols] */
    uint32_t *n_columns;
} ib_cuda_int8;

struct CUstream_st;
#ifdef IB_CUDA_EMULATED
typedef struct emu_stream *ib_cuda_stream;
#else
typedef struct CUstream_st *ib_cuda_stream;
#endif

bool ib_cuda_type_ok(int type);
/* linear_few.cu. takes: whether this format and number of rows have a kernel there. */
bool ib_cuda_few_takes(const ib_cuda_matrix *m, size_t rows);
int ib_cuda_launch_few(ib_cuda_stream s, const ib_cuda_few *a, int n_units);
/* linear_tile.cu: rows [first, first + n) of m as bf16, or fp32 with `wide`, into out [n, n_cols]
 */
int ib_cuda_launch_expand(ib_cuda_stream s, const ib_cuda_matrix *m, uint32_t first, uint32_t n,
                          void *out, bool wide);
int ib_cuda_launch_round(ib_cuda_stream s, const float *x, uint16_t *out, size_t n); /* to bf16 */
/* out[r * stride + c] = (x w^T)[r, c] * scale + bias[c]; x [rows, k], w [n, k] */
typedef struct ib_cuda_gemm {
    const void *x, *w; /* bf16, or fp32 with `wide` */
    float *out;
    const float *bias;
    float scale;
    int rows, n, k;
    size_t stride;
    bool wide;
} ib_cuda_gemm;
int ib_cuda_launch_gemm(ib_cuda_stream s, const ib_cuda_gemm *a);
int ib_cuda_launch_finish(ib_cuda_stream s, const ib_cuda_gemm *a); /* only scale and bias */
int ib_cuda_launch_int8(ib_cuda_stream s, const ib_cuda_int8 *a);
/* vectors.cu */
int ib_cuda_launch_embed(ib_cuda_stream s, const ib_cuda_matrix *m, const int *ids, int id_stride,
                         float *out, int rows, float scale);
int ib_cuda_launch_norm(ib_cuda_stream s, const ib_cuda_norm *a);
/* x += y * scale, then the norm of x */
int ib_cuda_launch_add_norm(ib_cuda_stream s, const ib_cuda_norm *a, float *x, const float *y,
                            float scale);
int ib_cuda_launch_add(ib_cuda_stream s, float *x, const float *y, size_t n, float scale);
int ib_cuda_launch_rope(ib_cuda_stream s, const ib_cuda_rope *a);
int ib_cuda_launch_kv_write(ib_cuda_stream s, const ib_cuda_cache *c, const ib_cuda_place *p,
                            const float *k, const float *v, int rows);
int ib_cuda_launch_gated(ib_cuda_stream s, const float *gate, const float *up, float *out, size_t n,
                         int act);
/* out [rows, 2]; work: [rows, 3 * IB_CUDA_ARGMAX_PARTS] words */
enum { IB_CUDA_ARGMAX_PARTS = 64 };
int ib_cuda_launch_argmax(ib_cuda_stream s, const float *x, int rows, int n, int *out, float *work);
int ib_cuda_launch_advance(ib_cuda_stream s, int *past, int by); /* *past += by */
/* attention.cu, attention_flash.cu */
int ib_cuda_launch_eager(ib_cuda_stream s, const ib_cuda_attention *a);
int ib_cuda_launch_sdpa(ib_cuda_stream s, const ib_cuda_attention *a);
int ib_cuda_launch_flash_prefill(ib_cuda_stream s, const ib_cuda_attention *a);
int ib_cuda_launch_flash_decode(ib_cuda_stream s, const ib_cuda_attention *a);
/* probe.cu: a pass that only reads; a loop of bf16 matrix products (wide: of fp32
 * multiply-adds) in registers; flops: operations of one launch */
int ib_cuda_launch_read(ib_cuda_stream s, const void *p, size_t bytes, unsigned *sink, int n_units);
int ib_cuda_launch_flops(ib_cuda_stream s, unsigned *sink, int n_units, bool wide, double *flops);

#ifdef __cplusplus
}
#endif
#endif
