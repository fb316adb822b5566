/* SPDX-License-Identifier: MIT
 * Products of many rows in fp32: rows of x lie side by side in the lanes, one column of a weight
 * row at a time is spread over a vector. Included by a kernel file after simd_math.h, with
 * GEMM_ROWS times GEMM_VECS accumulators that fit the registers of the tier. */
#ifndef IB_BACKEND_CPU_SIMD_GEMM_H
#define IB_BACKEND_CPU_SIMD_GEMM_H

#include "backend/cpu/simd_math.h"

enum { GEMM_PANEL = GEMM_VECS * W, GEMM_RUN = 256 };

/* Columns [begin, end), added to what c holds unless they are the first of all. rows and vecs are
 * constants. The weights lie row by row. */
INLINE void gemm_run(const ib_cpu_tile *t, const float *w, float *c, size_t begin, size_t end,
                     const size_t rows, const size_t vecs) {
    const size_t ldw = t->ldw, ldx = t->ldx, ldc = t->ldc;
    const float *x = (const float *)t->x + begin * t->ldx;
    const bool add = t->accumulate || begin > 0;
    vf acc[GEMM_ROWS][GEMM_VECS];
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (size_t j = 0; j < vecs; j++)
            acc[i][j] = vzero();
    for (size_t l = begin; l < end; l++, x += ldx) {
        vf v[GEMM_VECS];
#pragma GCC unroll 4
        for (size_t j = 0; j < vecs; j++)
            v[j] = vload(x + j * W);
#pragma GCC unroll 8
        for (size_t i = 0; i < rows; i++) {
            vf y = vset(w[i * ldw + l]);
#pragma GCC unroll 4
            for (size_t j = 0; j < vecs; j++)
                acc[i][j] = vfma(y, v[j], acc[i][j]);
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (size_t j = 0; j < vecs; j++) {
            float *to = c + i * ldc + j * W;
            vstore(to, add ? vadd(vload(to), acc[i][j]) : acc[i][j]);
        }
}

/* Sums of GEMM_RUN columns each: the fewer a sum has, the less it loses to rounding. */
INLINE void gemm_tile_of(const ib_cpu_tile *t, const float *w, float *c, const size_t rows,
                         const size_t vecs) {
    for (size_t l = 0; l < t->n; l += GEMM_RUN)
        gemm_run(t, w, c, l, t->n - l < GEMM_RUN ? t->n : l + GEMM_RUN, rows, vecs);
}

INLINE void gemm_tile_vecs(const ib_cpu_tile *t, const size_t vecs) {
    const float *w = t->w;
    float *c = t->c;
    size_t left = t->n_w;
    for (; left >= GEMM_ROWS; left -= GEMM_ROWS, w += GEMM_ROWS * t->ldw, c += GEMM_ROWS * t->ldc)
        gemm_tile_of(t, w, c, GEMM_ROWS, vecs);
    for (; left >= 2; left -= 2, w += 2 * t->ldw, c += 2 * t->ldc)
        gemm_tile_of(t, w, c, 2, vecs);
    if (left)
        gemm_tile_of(t, w, c, 1, vecs);
}

static void gemm_tile(const ib_cpu_tile *t) {
    switch ((t->n_x + W - 1) / W) {
    case 1:
        gemm_tile_vecs(t, 1);
        break;
    case 2:
        gemm_tile_vecs(t, 2);
        break;
    default:
        gemm_tile_vecs(t, GEMM_VECS);
    }
}

/* Squares of 4 by 4; what is left, one by one. */
static void turn(const float *in, size_t ldin, size_t n_rows, size_t n_cols, float *out,
                 size_t ldout) {
    size_t r = 0;
    for (; r + 4 <= n_rows; r += 4) {
        const float *from = in + r * ldin;
        size_t c = 0;
        for (; c + 4 <= n_cols; c += 4) {
            __m128 v0 = _mm_loadu_ps(from + c), v1 = _mm_loadu_ps(from + ldin + c);
            __m128 v2 = _mm_loadu_ps(from + 2 * ldin + c), v3 = _mm_loadu_ps(from + 3 * ldin + c);
            float *to = out + c * ldout + r;
            _MM_TRANSPOSE4_PS(v0, v1, v2, v3);
            _mm_storeu_ps(to, v0);
            _mm_storeu_ps(to + ldout, v1);
            _mm_storeu_ps(to + 2 * ldout, v2);
            _mm_storeu_ps(to + 3 * ldout, v3);
        }
        for (; c < n_cols; c++)
            for (size_t i = 0; i < 4; i++)
                out[c * ldout + r + i] = from[i * ldin + c];
    }
    for (; r < n_rows; r++)
        for (size_t c = 0; c < n_cols; c++)
            out[c * ldout + r] = in[r * ldin + c];
}

static void gemm_pack(const float *x, size_t stride, size_t n_rows, size_t n, void *out) {
    float *to = out;
    turn(x, stride, n_rows, n, to, GEMM_PANEL);
    for (size_t l = 0; l < n && n_rows < GEMM_PANEL; l++)
        memset(to + l * GEMM_PANEL + n_rows, 0, (GEMM_PANEL - n_rows) * sizeof *to);
}

INLINE void fill_gemm(ib_cpu_kernels *k) {
    k->turn = turn;
    k->gemm.panel_rows = GEMM_PANEL;
    k->gemm.tile_rows = GEMM_ROWS;
    k->gemm.pack = gemm_pack;
    k->gemm.tile = gemm_tile;
    k->gemm_f32 = k->gemm;
}

#endif
