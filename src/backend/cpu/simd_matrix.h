/* SPDX-License-Identifier: MIT
 * Register-tiled products over the vectors of a tier. Included by a kernel file after simd_math.h.
 * Each result is summed in an order that its neighbours do not change. */
#ifndef IB_BACKEND_CPU_SIMD_MATRIX_H
#define IB_BACKEND_CPU_SIMD_MATRIX_H

#include "backend/cpu/simd_math.h"

enum { NT_COLS = 4 };

/* rows (at most NT_ROWS, a constant) of a against NT_COLS rows of b, of which n count. */
INLINE void nt_tile(const float *a, size_t lda, const float *const b[NT_COLS], size_t n, size_t k,
                    float *c, size_t ldc, bool accumulate, const size_t rows) {
    vf acc[NT_ROWS][NT_COLS];
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (size_t j = 0; j < NT_COLS; j++)
            acc[i][j] = vzero();
    size_t l = 0;
    for (; l + W <= k; l += W) {
        vf w[NT_COLS];
#pragma GCC unroll 4
        for (size_t j = 0; j < NT_COLS; j++)
            w[j] = vload(b[j] + l);
#pragma GCC unroll 8
        for (size_t i = 0; i < rows; i++) {
            vf x = vload(a + i * lda + l);
#pragma GCC unroll 4
            for (size_t j = 0; j < NT_COLS; j++)
                acc[i][j] = vfma(x, w[j], acc[i][j]);
        }
    }
    if (l < k) {
#pragma GCC unroll 8
        for (size_t i = 0; i < rows; i++) {
            vf x = vload_n(a + i * lda + l, k - l);
#pragma GCC unroll 4
            for (size_t j = 0; j < NT_COLS; j++)
                acc[i][j] = vfma(x, vload_n(b[j] + l, k - l), acc[i][j]);
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++) {
        float *to = c + i * ldc, sums[NT_COLS];
        _mm_storeu_ps(sums, vsum4(acc[i][0], acc[i][1], acc[i][2], acc[i][3]));
        for (size_t j = 0; j < n; j++)
            to[j] = accumulate ? to[j] + sums[j] : sums[j];
    }
}

static void mm_nt(const float *a, size_t lda, size_t m, const float *b, size_t ldb, size_t n,
                  size_t k, float *c, size_t ldc, bool accumulate) {
    for (size_t i = 0; i < m; i += NT_ROWS)
        for (size_t j = 0; j < n; j += NT_COLS) {
            const float *rows[NT_COLS], *x = a + i * lda;
            size_t count = n - j < NT_COLS ? n - j : NT_COLS;
            float *to = c + i * ldc + j;
            for (size_t u = 0; u < NT_COLS; u++)
                rows[u] = b + (j + (u < count ? u : count - 1)) * ldb;
            switch (m - i < NT_ROWS ? m - i : NT_ROWS) {
            case 1:
                nt_tile(x, lda, rows, count, k, to, ldc, accumulate, 1);
                break;
            case 2:
                nt_tile(x, lda, rows, count, k, to, ldc, accumulate, 2);
                break;
#if IB_SIMD_WIDE
            case 3:
                nt_tile(x, lda, rows, count, k, to, ldc, accumulate, 3);
                break;
            case 4:
                nt_tile(x, lda, rows, count, k, to, ldc, accumulate, 4);
                break;
            case 5:
                nt_tile(x, lda, rows, count, k, to, ldc, accumulate, 5);
                break;
#endif
            default:
                nt_tile(x, lda, rows, count, k, to, ldc, accumulate, NT_ROWS);
            }
        }
}

/* rows (a constant) of a against vecs (a constant) vectors of columns of b; part columns of the
 * last vector count when part > 0. */
INLINE void nn_tile(const float *a, size_t lda, const float *b, size_t ldb, size_t k, float *c,
                    size_t ldc, bool accumulate, size_t part, const size_t rows,
                    const size_t vecs) {
    vf acc[NN_ROWS][NN_VECS];
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (size_t j = 0; j < vecs; j++) {
            const float *from = c + i * ldc + j * W;
            acc[i][j] = !accumulate ? vzero() : part ? vload_n(from, part) : vload(from);
        }
    for (size_t l = 0; l < k; l++) {
        vf v[NN_VECS];
#pragma GCC unroll 4
        for (size_t j = 0; j < vecs; j++)
            v[j] = part ? vload_n(b + l * ldb + j * W, part) : vload(b + l * ldb + j * W);
#pragma GCC unroll 8
        for (size_t i = 0; i < rows; i++) {
            vf p = vset(a[i * lda + l]);
#pragma GCC unroll 4
            for (size_t j = 0; j < vecs; j++)
                acc[i][j] = vfma(p, v[j], acc[i][j]);
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (size_t j = 0; j < vecs; j++) {
            float *to = c + i * ldc + j * W;
            if (part)
                vstore_n(to, acc[i][j], part);
            else
                vstore(to, acc[i][j]);
        }
}

/* `rows` (a constant) rows against all n columns. */
INLINE void nn_rows(const float *a, size_t lda, const float *b, size_t ldb, size_t n, size_t k,
                    float *c, size_t ldc, bool accumulate, const size_t rows) {
    size_t j = 0;
    for (; j + NN_VECS * W <= n; j += NN_VECS * W)
        nn_tile(a, lda, b + j, ldb, k, c + j, ldc, accumulate, 0, rows, NN_VECS);
    for (; j + W <= n; j += W)
        nn_tile(a, lda, b + j, ldb, k, c + j, ldc, accumulate, 0, rows, 1);
    if (j < n)
        nn_tile(a, lda, b + j, ldb, k, c + j, ldc, accumulate, n - j, rows, 1);
}

static void mm_nn(const float *a, size_t lda, size_t m, const float *b, size_t ldb, size_t n,
                  size_t k, float *c, size_t ldc, bool accumulate) {
    size_t i = 0;
    for (; i + NN_ROWS <= m; i += NN_ROWS)
        nn_rows(a + i * lda, lda, b, ldb, n, k, c + i * ldc, ldc, accumulate, NN_ROWS);
    for (; i + 2 <= m; i += 2)
        nn_rows(a + i * lda, lda, b, ldb, n, k, c + i * ldc, ldc, accumulate, 2);
    for (; i < m; i++)
        nn_rows(a + i * lda, lda, b, ldb, n, k, c + i * ldc, ldc, accumulate, 1);
}

/* --- int8 ------------------------------------------------------------------------------------- */

INLINE void int8_rows(const int16_t *a, size_t lda, const int8_t *const w[IB_CPU_INT8_W], size_t k,
                      int32_t *out, const size_t rows) {
    enum { INT8_AHEAD = 2048 };
    vi acc[INT8_ROWS][IB_CPU_INT8_W];
#pragma GCC unroll 4
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (size_t j = 0; j < IB_CPU_INT8_W; j++)
            acc[i][j] = vzero_i();
    for (size_t l = 0; l < k; l += W16) {
        vi v[IB_CPU_INT8_W];
#pragma GCC unroll 4
        for (size_t j = 0; j < IB_CPU_INT8_W; j++) {
            int8_t part[W16] = {0};
            if (k - l < W16)
                memcpy(part, w[j] + l, k - l);
            else if (l % 64 == 0)
                _mm_prefetch((const char *)w[j] + l + INT8_AHEAD, _MM_HINT_T0);
            v[j] = vload_i8_as_i16(k - l < W16 ? part : w[j] + l);
        }
#pragma GCC unroll 4
        for (size_t i = 0; i < rows; i++) {
            vi x = vload_i16(a + i * lda + l);
#pragma GCC unroll 4
            for (size_t j = 0; j < IB_CPU_INT8_W; j++)
                acc[i][j] = vdot_i16(acc[i][j], x, v[j]);
        }
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (size_t j = 0; j < IB_CPU_INT8_W; j++)
            out[i * IB_CPU_INT8_W + j] = vsum_i32(acc[i][j]);
}

static void int8_tile(const int16_t *a, size_t lda, size_t n_a, const int8_t *w, size_t ldw,
                      size_t n_w, size_t k, int32_t *out) {
    const int8_t *rows[IB_CPU_INT8_W];
    for (size_t j = 0; j < IB_CPU_INT8_W; j++)
        rows[j] = w + (j < n_w ? j : n_w - 1) * ldw;
    size_t i = 0;
    for (; i + INT8_ROWS <= n_a; i += INT8_ROWS)
        int8_rows(a + i * lda, lda, rows, k, out + i * IB_CPU_INT8_W, INT8_ROWS);
    for (; i < n_a; i++)
        int8_rows(a + i * lda, lda, rows, k, out + i * IB_CPU_INT8_W, 1);
}

INLINE void fill_matrix(ib_cpu_kernels *k) {
    k->mm_nt = mm_nt;
    k->mm_nn = mm_nn;
    k->int8_tile = int8_tile;
}

#endif
