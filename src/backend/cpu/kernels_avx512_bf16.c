/* SPDX-License-Identifier: MIT
 * What AVX512-BF16 adds: products of many rows whose factors are rounded to bf16, two columns a
 * lane and instruction, summed in fp32. Rows of x lie side by side in the lanes; a weight row is
 * read as it lies, two neighbouring columns at a time spread over a vector. */
#include "backend/cpu/vec_avx512.h"

#include "backend/cpu/kernels.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { ROWS = 8, VECS = 3, PANEL = VECS * W, PROBE_CHAINS = 16, PIECE = 256 };

INLINE __m512bh pairs_at(const uint16_t *p) {
    return (__m512bh)_mm512_loadu_si512(p);
}

INLINE __m512bh pair_of(const uint16_t *p) {
    int32_t two;
    memcpy(&two, p, sizeof two);
    return (__m512bh)_mm512_set1_epi32(two);
}

/* rows, vecs: constants. */
INLINE void tile_of(const ib_cpu_tile *t, const uint16_t *w, float *c, const size_t rows,
                    const size_t vecs) {
    const uint16_t *x = t->x;
    const size_t ldw = t->ldw, ldx = 2 * t->ldx, ldc = t->ldc, n = t->n;
    vf acc[ROWS][VECS];
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (size_t j = 0; j < vecs; j++)
            acc[i][j] = t->accumulate ? vload(c + i * ldc + j * W) : vzero();
    for (size_t l = 0; l < n; l += 2, x += ldx) {
        __m512bh v[VECS];
#pragma GCC unroll 4
        for (size_t j = 0; j < vecs; j++)
            v[j] = pairs_at(x + j * 2 * W);
#pragma GCC unroll 8
        for (size_t i = 0; i < rows; i++) {
            __m512bh y = pair_of(w + i * ldw + l);
#pragma GCC unroll 4
            for (size_t j = 0; j < vecs; j++)
                acc[i][j] = _mm512_dpbf16_ps(acc[i][j], y, v[j]);
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (size_t j = 0; j < vecs; j++)
            vstore(c + i * ldc + j * W, acc[i][j]);
}

INLINE void tile_vecs(const ib_cpu_tile *t, const size_t vecs) {
    const uint16_t *w = t->w;
    float *c = t->c;
    size_t left = t->n_w;
    for (; left >= ROWS; left -= ROWS, w += ROWS * t->ldw, c += ROWS * t->ldc)
        tile_of(t, w, c, ROWS, vecs);
    for (; left >= 2; left -= 2, w += 2 * t->ldw, c += 2 * t->ldc)
        tile_of(t, w, c, 2, vecs);
    if (left)
        tile_of(t, w, c, 1, vecs);
}

static void tile(const ib_cpu_tile *t) {
    switch ((t->n_x + W - 1) / W) {
    case 1:
        tile_vecs(t, 1);
        break;
    case 2:
        tile_vecs(t, 2);
        break;
    default:
        tile_vecs(t, VECS);
    }
}

/* --- packing x -------------------------------------------------------------------------------- */

/* 16 rows of 16 dwords, turned. */
INLINE void turn16(__m512i v[16]) {
    __m512i a[16];
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++) {
        a[2 * i] = _mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        v[4 * i] = _mm512_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
        v[4 * i + 1] = _mm512_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
        v[4 * i + 2] = _mm512_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
        v[4 * i + 3] = _mm512_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
    }
    /* v[4 i + j], 128-bit lane l: rows 4 i .. + 4 of column 4 l + j */
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
        a[j] = _mm512_shuffle_i32x4(v[j], v[4 + j], 0x88);
        a[4 + j] = _mm512_shuffle_i32x4(v[j], v[4 + j], 0xDD);
        a[8 + j] = _mm512_shuffle_i32x4(v[8 + j], v[12 + j], 0x88);
        a[12 + j] = _mm512_shuffle_i32x4(v[8 + j], v[12 + j], 0xDD);
    }
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
        v[j] = _mm512_shuffle_i32x4(a[j], a[8 + j], 0x88);
        v[8 + j] = _mm512_shuffle_i32x4(a[j], a[8 + j], 0xDD);
        v[4 + j] = _mm512_shuffle_i32x4(a[4 + j], a[12 + j], 0x88);
        v[12 + j] = _mm512_shuffle_i32x4(a[4 + j], a[12 + j], 0xDD);
    }
}

/* 32 columns of a row, of which n exist, as pairs of bf16. */
INLINE __m512i narrow32(const float *x, size_t n) {
    vf low = n >= W ? vload(x) : vload_n(x, n);
    vf high = n >= 2 * W ? vload(x + W) : n > W ? vload_n(x + W, n - W) : vzero();
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

static void pack(const float *x, size_t stride, size_t n_rows, size_t n, void *out) {
    uint16_t *to = out;
    for (size_t l = 0; l < n; l += 2 * W) {
        size_t left = n - l < 2 * W ? n - l : 2 * W, n_pairs = (left + 1) / 2;
        for (size_t r = 0; r < PANEL; r += W) {
            __m512i v[W];
#pragma GCC unroll 16
            for (size_t i = 0; i < W; i++)
                v[i] = r + i < n_rows ? narrow32(x + (r + i) * stride + l, left)
                                      : _mm512_setzero_si512();
            turn16(v);
            for (size_t i = 0; i < n_pairs; i++)
                _mm512_storeu_si512(to + (l / 2 + i) * 2 * PANEL + 2 * r, v[i]);
        }
    }
}

/* --- weights ---------------------------------------------------------------------------------- */

static void expand_f32(const ib_weight *w, size_t row, size_t col, size_t n, void *out) {
    const float *from = (const float *)w->m.data + row * w->m.n_cols + col;
    uint16_t *to = out;
    for (size_t i = 0; i < n; i += 2 * W) {
        __m512i v = narrow32(from + i, n - i < 2 * W ? n - i : 2 * W);
        __mmask32 some = n - i < 2 * W ? ((__mmask32)1 << (n - i)) - 1 : ~(__mmask32)0;
        _mm512_mask_storeu_epi16(to + i, some, v);
    }
}

static void expand_bf16(const ib_weight *w, size_t row, size_t col, size_t n, void *out) {
    memcpy(out, (const uint16_t *)w->m.data + row * w->m.n_cols + col, n * sizeof(uint16_t));
}

static void expand_f16(const ib_weight *w, size_t row, size_t col, size_t n, void *out) {
    const uint16_t *from = (const uint16_t *)w->m.data + row * w->m.n_cols + col;
    uint16_t *to = out;
    for (size_t i = 0; i < n; i += W) {
        __mmask16 some = n - i < W ? vmask(n - i) : (__mmask16)0xFFFF;
        vf v = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(some, from + i));
        _mm256_mask_storeu_epi16(to + i, some, (__m256i)_mm512_cvtneps_pbh(v));
    }
}

/* 64 codes of one scale: the high nibble of a byte comes first. */
INLINE void expand64(const uint8_t *codes, vf table, float of_block, uint16_t *out) {
    const __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)codes);
    const __m512i wide = _mm512_cvtepu8_epi16(bytes);
    const vf scale = vset(of_block);
    /* a word holds a byte: even code to its low half, odd code to its high half */
    const __m512i both = _mm512_or_si512(_mm512_srli_epi16(wide, 4), _mm512_slli_epi16(wide, 8));
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i += 2) {
        __m256i part = _mm512_extracti64x4_epi64(both, 0);
        if (i)
            part = _mm512_extracti64x4_epi64(both, 1);
        const vf low =
            vmul(_mm512_permutexvar_ps(_mm512_cvtepu8_epi32(_mm256_castsi256_si128(part)), table),
                 scale);
        const vf high = vmul(
            _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(_mm256_extracti128_si256(part, 1)), table),
            scale);
        _mm512_storeu_si512(out + i * W, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
}

/* NF4, FP4. Blocks of 64 and more that begin where rows do; others go the general way. */
static void expand_codes(const ib_weight *w, size_t row, size_t col, size_t n, void *out) {
    const size_t first = row * w->m.n_cols + col;
    const vf table = vload(w->codes);
    uint16_t *to = out;
    size_t i = 0;
    for (; first % 64 == 0 && w->m.blocksize % 64 == 0 && i + 64 <= n; i += 64)
        expand64((const uint8_t *)w->m.data + (first + i) / 2, table,
                 ib_matrix_absmax(&w->m, (first + i) / w->m.blocksize), to + i);
    while (i < n) {
        float piece[PIECE];
        size_t some = n - i < PIECE ? n - i : PIECE;
        w->unpack(w, row, col + i, some, piece);
        for (size_t k = 0; k < some; k += 2 * W) {
            const size_t left = some - k < 2 * W ? some - k : 2 * W;
            const __mmask32 real = left < 2 * W ? ((__mmask32)1 << left) - 1 : ~(__mmask32)0;
            _mm512_mask_storeu_epi16(to + i + k, real, narrow32(piece + k, left));
        }
        i += some;
    }
}

static double multiply_add(size_t steps, float *result) {
    vf acc[PROBE_CHAINS];
    const __m512bh half = (__m512bh)_mm512_set1_epi16(0x3F00);
#pragma GCC unroll 16
    for (size_t i = 0; i < PROBE_CHAINS; i++)
        acc[i] = vset((float)i);
    for (size_t s = 0; s < steps; s++) {
#pragma GCC unroll 16
        for (size_t i = 0; i < PROBE_CHAINS; i++)
            acc[i] = _mm512_dpbf16_ps(acc[i], half, half);
    }
#pragma GCC unroll 16
    for (size_t i = 1; i < PROBE_CHAINS; i++)
        acc[0] = vadd(acc[0], acc[i]);
    *result = _mm512_reduce_add_ps(acc[0]);
    return 4.0 * PROBE_CHAINS * W * (double)steps;
}

void ib_cpu_fill_bf16(ib_cpu_kernels *k) {
    k->gemm = (ib_cpu_gemm_kernels){.type = IB_TYPE_BF16,
                                    .panel_rows = PANEL,
                                    .tile_rows = ROWS,
                                    .pack = pack,
                                    .tile = tile,
                                    .multiply_add = multiply_add};
    k->gemm.expand[IB_TYPE_F32] = expand_f32;
    k->gemm.expand[IB_TYPE_F16] = expand_f16;
    k->gemm.expand[IB_TYPE_BF16] = expand_bf16;
    k->gemm.expand[IB_TYPE_NF4] = k->gemm.expand[IB_TYPE_FP4] = expand_codes;
}
