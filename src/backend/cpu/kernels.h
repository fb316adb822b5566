/* SPDX-License-Identifier: MIT
 * The table of inner loops of the CPU backend. kernels_scalar.c fills every slot; the SIMD tiers
 * overwrite what they do better. Each tier is an object of its own with its own compiler flags.
 *
 * All arithmetic is fp32 unless a slot says otherwise. A slot's result for one row never depends on
 * which other rows it is asked for, so that splitting rows over threads changes nothing. Slots read
 * nothing past the operands they are given, allocate nothing and know no threads. */
#ifndef IB_BACKEND_CPU_KERNELS_H
#define IB_BACKEND_CPU_KERNELS_H

#include "backend/backend.h"

enum {
    IB_CPU_DOT_ROWS = 4,      /* most rows of x of one dot call */
    IB_CPU_FEW_ROWS = 16,     /* up to so many rows go through dot, more through GEMM */
    IB_CPU_TILE_COLS = 1024,  /* columns of a GEMM tile; a multiple of every block */
    IB_CPU_CODE_GROUP = 128,  /* prepared x of 4-bit codes is padded to this many columns */
    IB_CPU_CODE_COLS = 65536, /* most columns of dot_codes */
    IB_CPU_INT8_A = 4,        /* rows of x and of W of one int8 tile */
    IB_CPU_INT8_W = 4,
    IB_CPU_INT8_PAD = 64
};

/* Rows [row_begin, row_end) of W times n_x rows of x: out[i * out_stride + row]. */
typedef struct ib_cpu_dot {
    const ib_weight *w;
    size_t row_begin, row_end;
    const float *x; /* as prepared by the weight's prepare, or plain */
    size_t x_stride, n_x;
    float *out;
    size_t out_stride;
} ib_cpu_dot;

typedef void ib_cpu_dot_fn(const ib_cpu_dot *j);
/* Elements (row, col .. col + n) as fp32, bit for bit as ib_matrix_decode gives them. */
typedef void ib_cpu_unpack_fn(const ib_weight *w, size_t row, size_t col, size_t n, float *out);
/* Brings columns of x [n] into the order that a dot reads; whole groups [begin, end) of
 * IB_CPU_CODE_GROUP columns; zero past n. */
typedef void ib_cpu_prepare_fn(const float *x, size_t n, size_t begin, size_t end, float *out);

struct ib_weight {
    ib_matrix m;        /* pointers borrowed from the caller, or into owned */
    void *owned;        /* owned, NULL when borrowed */
    uint64_t bytes;     /* as in the ledger */
    uint64_t row_bytes; /* of the payload; 0 when rows share bytes (odd 4-bit columns) */
    const float *codes; /* the 16 values of a 4-bit format */
    uint8_t *planes;    /* owned [4][256]: nested_map by byte significance, or NULL */
    ib_cpu_unpack_fn *unpack;
    ib_cpu_dot_fn *dot;         /* few rows of x */
    ib_cpu_prepare_fn *prepare; /* of dot, or NULL: plain x */
};

/* n_w weight rows times n_x packed rows of x (at most panel_rows), over n columns:
 * c[i * ldc + j] (+)= sum_l w[i * ldw + l] * x[l * ldx + j], summed in the order of l. BF16 x holds
 * pairs of columns: x[l / 2 * 2 * ldx + 2 * j + l % 2], and n is even. Columns of x and c up to the
 * next multiple of 16 past n_x are read and overwritten, whatever they hold. */
typedef struct ib_cpu_tile {
    const void *w, *x;
    size_t ldw, ldx, n_w, n_x, n;
    float *c;
    size_t ldc;
    bool accumulate;
} ib_cpu_tile;

/* Products of many rows: the arithmetic of a tier and the order in which it wants x. */
typedef struct ib_cpu_gemm_kernels {
    ib_type type;                 /* of packed x and expanded weights: F32 or BF16 */
    size_t panel_rows, tile_rows; /* multiples of 16 and of 1 */
    /* x [n_rows <= panel_rows, n] -> a panel of padded n columns, zero where x is not */
    void (*pack)(const float *x, size_t stride, size_t n_rows, size_t n, void *out);
    void (*tile)(const ib_cpu_tile *t);
    /* elements (row, col .. col + n) as the packed type; NULL: unpack and narrow */
    void (*expand[IB_TYPE_COUNT])(const ib_weight *w, size_t row, size_t col, size_t n, void *out);
    /* steps of independent multiply-adds in registers (returns the operations done) */
    double (*multiply_add)(size_t steps, float *result);
} ib_cpu_gemm_kernels;

typedef struct ib_cpu_kernels {
    /* weights */
    ib_cpu_unpack_fn *unpack[IB_TYPE_COUNT];
    ib_cpu_dot_fn *dot[IB_TYPE_COUNT];
    ib_cpu_prepare_fn *prepare[IB_TYPE_COUNT]; /* of dot; NULL: plain x */
    /* 4-bit codes whose rows are whole groups of 64 of one scale, IB_CPU_CODE_COLS columns at most;
     * NULL = dot[] */
    ib_cpu_dot_fn *dot_codes;
    ib_cpu_prepare_fn *prepare_codes;
    bool integers; /* quantized formats: dot rounds x (and NF4's table) to 16 bits, error < 1e-4 */
    ib_cpu_gemm_kernels gemm, gemm_f32; /* in the arithmetic in use; in fp32 */
    /* out[c * ldout + r] = in[r * ldin + c] */
    void (*turn)(const float *in, size_t ldin, size_t n_rows, size_t n_cols, float *out,
                 size_t ldout);

    /* c[i * ldc + j] (+)= sum_l a[i * lda + l] * b[j * ldb + l] */
    void (*mm_nt)(const float *a, size_t lda, size_t m, const float *b, size_t ldb, size_t n,
                  size_t k, float *c, size_t ldc, bool accumulate);
    /* c[i * ldc + j] (+)= sum_l a[i * lda + l] * b[l * ldb + j] */
    void (*mm_nn)(const float *a, size_t lda, size_t m, const float *b, size_t ldb, size_t n,
                  size_t k, float *c, size_t ldc, bool accumulate);
    /* out[i * IB_CPU_INT8_W + j] = sum a[i * lda + l] * w[j * ldw + l], exact; l < k; rows of a are
     * zero-padded to IB_CPU_INT8_PAD; n_a, n_w at most IB_CPU_INT8_A, _W */
    void (*int8_tile)(const int16_t *a, size_t lda, size_t n_a, const int8_t *w, size_t ldw,
                      size_t n_w, size_t k, int32_t *out);

    /* stored number <-> fp32, any alignment of the stored side: F32, F16, BF16 */
    void (*widen[IB_TYPE_COUNT])(const void *in, size_t n, float *out);
    void (*narrow[IB_TYPE_COUNT])(const float *in, size_t n, void *out);

    /* vectors */
    void (*norm)(const float *x, const float *weight, size_t n, float eps, ib_norm_kind kind,
                 float *out); /* out may be x */
    void (*rope)(float *x, const float *table, size_t n_rot, bool interleaved);
    void (*gated[3])(const float *gate, const float *up, size_t n, float *out); /* by ib_act */
    void (*add)(float *x, const float *y, float scale, size_t n);               /* x += y * scale */
    void (*scale)(float *x, float scale, size_t n);
    void (*argmax)(const float *x, size_t n, int32_t out[2]);
    void (*softcap)(float *x, float scale, float cap, size_t n); /* cap * tanh(x * scale / cap) */
    float (*max)(const float *x, size_t n);                      /* -inf when n = 0 */
    /* x = exp((x - max) * scale); returns the sum */
    float (*exp_sum)(float *x, float max, float scale, size_t n);

    /* probes: a read-only pass (returns a checksum, so that nothing is left out), and steps of
     * independent multiply-adds in registers (returns the operations done) */
    uint64_t (*read)(const uint8_t *p, size_t n);
    double (*multiply_add)(size_t steps, float *result);
} ib_cpu_kernels;

void ib_cpu_fill_scalar(ib_cpu_kernels *k);
void ib_cpu_fill_avx2(ib_cpu_kernels *k);
void ib_cpu_fill_avx512(ib_cpu_kernels *k);
void ib_cpu_fill_avx512_vnni(ib_cpu_kernels *k);
/* 16-bit products of quantized formats: only where the caller leaves the arithmetic open. Each
 * needs what the tier of its name needs. */
void ib_cpu_fill_int16_avx2(ib_cpu_kernels *k);
void ib_cpu_fill_int16_avx512(ib_cpu_kernels *k);
void ib_cpu_fill_int16_vnni(ib_cpu_kernels *k);
void ib_cpu_fill_bf16(ib_cpu_kernels *k); /* of products of many rows; needs AVX512-BF16 too */

#endif
