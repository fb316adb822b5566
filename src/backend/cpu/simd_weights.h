/* SPDX-License-Identifier: MIT
 * Plain and GGUF block formats -> fp32 vectors in registers, used twice: stored (unpack) and
 * multiplied at once (dot). Included by a kernel file after simd_math.h.
 *
 * A block format is two functions: the scales of a block, one per 16 elements, rounded as the
 * format says; and the signed codes of 32 elements as bytes. An element is code * scale (+
 * minimum), so that unpack gives what ib_matrix_decode gives, bit for bit. */
#ifndef IB_BACKEND_CPU_SIMD_WEIGHTS_H
#define IB_BACKEND_CPU_SIMD_WEIGHTS_H

#include "backend/cpu/simd_math.h"

enum { PER16 = 16 / W, MOST_GROUPS = 16, AHEAD = 8192 };

/* d, m [elements / 16]; m only by formats with minima */
typedef void scales_fn(const uint8_t *block, float *d, float *m);
/* elements 32 g .. 32 g + 32 */
typedef void codes_fn(const uint8_t *block, size_t g, __m128i q[2]);

INLINE float half_at(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _cvtsh_ss(h);
}

INLINE __m128i bytes_at(const uint8_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

INLINE __m128i low4(__m128i v) {
    return _mm_and_si128(v, _mm_set1_epi8(15));
}

INLINE __m128i high4(__m128i v) {
    return low4(_mm_srli_epi16(v, 4));
}

/* 16 bits -> 16 bytes, `value` where the bit is set. */
INLINE __m128i spread_bits(const uint8_t *p, char value) {
    uint16_t bits;
    memcpy(&bits, p, sizeof bits);
    __m128i each = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
    __m128i byte = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    __m128i v = _mm_shuffle_epi8(_mm_set1_epi16((short)bits), byte);
    v = _mm_cmpeq_epi8(_mm_and_si128(v, each), each);
    return _mm_and_si128(v, _mm_set1_epi8(value));
}

/* Bit g of 16 bytes -> `value` or 0. */
INLINE __m128i bit_of(__m128i v, size_t g, char value) {
    __m128i mask = _mm_set1_epi8((char)(1u << g));
    return _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(v, mask), mask), _mm_set1_epi8(value));
}

INLINE __m128i bits2(__m128i v, size_t pair) { /* bits 2 pair, 2 pair + 1 */
    return _mm_and_si128(_mm_srl_epi16(v, _mm_cvtsi32_si128((int)(2 * pair))), _mm_set1_epi8(3));
}

/* --- formats of 32 elements ------------------------------------------------------------------- */

INLINE void one_scale(const uint8_t *b, float *d, float *m) {
    (void)m;
    d[0] = d[1] = half_at(b);
}

INLINE void scale_and_min(const uint8_t *b, float *d, float *m) {
    d[0] = d[1] = half_at(b);
    m[0] = m[1] = half_at(b + 2);
}

INLINE void q4_0_codes(const uint8_t *b, size_t g, __m128i q[2]) {
    (void)g;
    __m128i v = bytes_at(b + 2), eight = _mm_set1_epi8(8);
    q[0] = _mm_sub_epi8(low4(v), eight);
    q[1] = _mm_sub_epi8(high4(v), eight);
}

INLINE void q4_1_codes(const uint8_t *b, size_t g, __m128i q[2]) {
    (void)g;
    __m128i v = bytes_at(b + 4);
    q[0] = low4(v);
    q[1] = high4(v);
}

INLINE void q5_0_codes(const uint8_t *b, size_t g, __m128i q[2]) {
    (void)g;
    __m128i v = bytes_at(b + 6), middle = _mm_set1_epi8(16);
    q[0] = _mm_sub_epi8(_mm_or_si128(low4(v), spread_bits(b + 2, 16)), middle);
    q[1] = _mm_sub_epi8(_mm_or_si128(high4(v), spread_bits(b + 4, 16)), middle);
}

INLINE void q5_1_codes(const uint8_t *b, size_t g, __m128i q[2]) {
    (void)g;
    __m128i v = bytes_at(b + 8);
    q[0] = _mm_or_si128(low4(v), spread_bits(b + 4, 16));
    q[1] = _mm_or_si128(high4(v), spread_bits(b + 6, 16));
}

INLINE void q8_0_codes(const uint8_t *b, size_t g, __m128i q[2]) {
    (void)g;
    q[0] = bytes_at(b + 2);
    q[1] = bytes_at(b + 18);
}

INLINE void iq4_nl_codes(const uint8_t *b, size_t g, __m128i q[2]) {
    (void)g;
    __m128i v = bytes_at(b + 2);
    __m128i table =
        _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
    q[0] = _mm_shuffle_epi8(table, low4(v));
    q[1] = _mm_shuffle_epi8(table, high4(v));
}

INLINE void mxfp4_scales(const uint8_t *b, float *d, float *m) {
    /* 2^(e - 128); the two smallest are denormal */
    uint32_t e = b[0], bits = e < 2 ? 0x00200000u << e : (e - 1) << 23;
    memcpy(&d[0], &bits, sizeof bits);
    d[1] = d[0];
    (void)m;
}

INLINE void mxfp4_codes(const uint8_t *b, size_t g, __m128i q[2]) {
    (void)g;
    __m128i v = bytes_at(b + 1);
    __m128i table = _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
    q[0] = _mm_shuffle_epi8(table, low4(v));
    q[1] = _mm_shuffle_epi8(table, high4(v));
}

/* --- formats of 256 elements ------------------------------------------------------------------ */

/* 16 signed bytes times one factor. */
INLINE void scaled_bytes(__m128i bytes, float factor, float *out) {
    vf v[PER16];
    vfrom_i8(bytes, v);
    for (size_t i = 0; i < PER16; i++)
        vstore(out + W * i, vmul(v[i], vset(factor)));
}

INLINE uint32_t word_at(const uint8_t *p) {
    uint32_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

INLINE void q2_k_scales(const uint8_t *b, float *d, float *m) {
    scaled_bytes(low4(bytes_at(b)), half_at(b + 80), d);
    scaled_bytes(high4(bytes_at(b)), -half_at(b + 82), m);
}

INLINE void q2_k_codes(const uint8_t *b, size_t g, __m128i q[2]) {
    const uint8_t *qs = b + 16 + 32 * (g / 4);
    q[0] = bits2(bytes_at(qs), g % 4);
    q[1] = bits2(bytes_at(qs + 16), g % 4);
}

INLINE void q3_k_scales(const uint8_t *b, float *d, float *m) {
    (void)m;
    __m128i v = _mm_loadl_epi64((const __m128i *)(const void *)(b + 96));
    __m128i low = _mm_unpacklo_epi64(low4(v), high4(v));
    __m128i high =
        _mm_srlv_epi32(_mm_set1_epi32((int)word_at(b + 104)), _mm_setr_epi32(0, 2, 4, 6));
    high = _mm_slli_epi16(_mm_and_si128(high, _mm_set1_epi8(3)), 4);
    scaled_bytes(_mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32)), half_at(b + 108), d);
}

INLINE void q3_k_codes(const uint8_t *b, size_t g, __m128i q[2]) {
    const uint8_t *qs = b + 32 + 32 * (g / 4);
    __m128i four = _mm_set1_epi8(4);
    for (size_t p = 0; p < 2; p++) {
        __m128i v = bits2(bytes_at(qs + 16 * p), g % 4);
        v = _mm_add_epi8(v, bit_of(bytes_at(b + 16 * p), g, 4));
        q[p] = _mm_sub_epi8(v, four);
    }
}

/* Eight scales and eight minima of 6 bits in 12 bytes, shared by Q4_K and Q5_K: one of each per 32
 * elements. */
INLINE void k4_scales(const uint8_t *b, float *d, float *m) {
    enum { SIX = 0x3F3F3F3F, FOUR = 0x0F0F0F0F, TWO = 0x03030303 };
    uint32_t s0 = word_at(b + 4), s1 = word_at(b + 8), s2 = word_at(b + 12);
    uint32_t scales = (s2 & FOUR) | (s0 >> 6 & TWO) << 4;
    uint32_t minima = (s2 >> 4 & FOUR) | (s1 >> 6 & TWO) << 4;
    __m128i all = _mm_setr_epi32((int)(s0 & SIX), (int)scales, (int)(s1 & SIX), (int)minima);
    scaled_bytes(_mm_unpacklo_epi8(all, all), half_at(b), d);
    scaled_bytes(_mm_unpackhi_epi8(all, all), -half_at(b + 2), m);
}

INLINE void k4_codes(const uint8_t *qs, size_t g, __m128i q[2]) {
    for (size_t p = 0; p < 2; p++) {
        __m128i v = bytes_at(qs + 32 * (g / 2) + 16 * p);
        q[p] = g % 2 ? high4(v) : low4(v);
    }
}

INLINE void q4_k_codes(const uint8_t *b, size_t g, __m128i q[2]) {
    k4_codes(b + 16, g, q);
}

INLINE void q5_k_codes(const uint8_t *b, size_t g, __m128i q[2]) {
    k4_codes(b + 48, g, q);
    for (size_t p = 0; p < 2; p++)
        q[p] = _mm_or_si128(q[p], bit_of(bytes_at(b + 16 + 16 * p), g, 16));
}

INLINE void q6_k_scales(const uint8_t *b, float *d, float *m) {
    (void)m;
    scaled_bytes(bytes_at(b + 192), half_at(b + 208), d);
}

INLINE void q6_k_codes(const uint8_t *b, size_t g, __m128i q[2]) {
    const uint8_t *ql = b + 64 * (g / 4) + 32 * (g % 2), *qh = b + 128 + 32 * (g / 4);
    __m128i middle = _mm_set1_epi8(32);
    for (size_t p = 0; p < 2; p++) {
        __m128i v = bytes_at(ql + 16 * p), high = bits2(bytes_at(qh + 16 * p), g % 4);
        v = g % 4 < 2 ? low4(v) : high4(v);
        q[p] = _mm_sub_epi8(_mm_or_si128(v, _mm_slli_epi16(high, 4)), middle);
    }
}

/* --- both uses of a block format -------------------------------------------------------------- */

typedef struct format {
    size_t elements, bytes;
    bool has_min;
    scales_fn *scales;
    codes_fn *codes;
} format;

/* 16 elements: code * d (+ m). */
INLINE void elements16(const format *f, __m128i q, const float *d, const float *m, vf out[PER16]) {
    vfrom_i8(q, out);
    for (size_t v = 0; v < PER16; v++) {
        out[v] = vmul(out[v], vset(*d));
        if (f->has_min)
            out[v] = vadd(out[v], vset(*m));
    }
}

INLINE void unpack_blocks(const ib_weight *w, size_t row, size_t col, size_t n, float *out,
                          const format f) {
    const uint8_t *block =
        (const uint8_t *)w->m.data + row * w->row_bytes + col / f.elements * f.bytes;
    for (size_t i = 0; i < n; i += f.elements, block += f.bytes) {
        float d[MOST_GROUPS], m[MOST_GROUPS];
        f.scales(block, d, m);
#pragma GCC unroll 8
        for (size_t g = 0; g < f.elements / 32; g++) {
            __m128i q[2];
            f.codes(block, g, q);
            for (size_t p = 0; p < 2; p++) {
                vf y[PER16];
                elements16(&f, q[p], d + 2 * g + p, m + 2 * g + p, y);
                for (size_t v = 0; v < PER16; v++)
                    vstore(out + i + 32 * g + 16 * p + W * v, y[v]);
            }
        }
    }
}

/* One weight row against n_x (a constant) rows of x. */
INLINE void dot_row(const ib_cpu_dot *j, const uint8_t *block, size_t row, const format f,
                    const size_t n_x) {
    vf acc[IB_CPU_DOT_ROWS][2];
    size_t n = j->w->m.n_cols;
    for (size_t i = 0; i < n_x; i++)
        acc[i][0] = acc[i][1] = vzero();
    for (size_t c = 0; c < n; c += f.elements, block += f.bytes) {
        float d[MOST_GROUPS], m[MOST_GROUPS];
        for (size_t ahead = 0; ahead < f.bytes; ahead += 64)
            _mm_prefetch((const char *)block + AHEAD + ahead, _MM_HINT_T1);
        f.scales(block, d, m);
#pragma GCC unroll 8
        for (size_t g = 0; g < f.elements / 32; g++) {
            __m128i q[2];
            f.codes(block, g, q);
#pragma GCC unroll 2
            for (size_t p = 0; p < 2; p++) {
                vf y[PER16];
                elements16(&f, q[p], d + 2 * g + p, m + 2 * g + p, y);
                for (size_t v = 0; v < PER16; v++)
                    for (size_t i = 0; i < n_x; i++) {
                        const float *x = j->x + i * j->x_stride + c + 32 * g + 16 * p + W * v;
                        acc[i][p] = vfma(y[v], vload(x), acc[i][p]);
                    }
            }
        }
    }
    for (size_t i = 0; i < n_x; i++)
        j->out[i * j->out_stride + row] = vsum(vadd(acc[i][0], acc[i][1]));
}

INLINE void dot_blocks(const ib_cpu_dot *j, const format f) {
    const uint8_t *data = j->w->m.data;
    for (size_t row = j->row_begin; row < j->row_end; row++) {
        const uint8_t *block = data + row * j->w->row_bytes;
        switch (j->n_x) {
        case 1:
            dot_row(j, block, row, f, 1);
            break;
        case 2:
            dot_row(j, block, row, f, 2);
            break;
        case 3:
            dot_row(j, block, row, f, 3);
            break;
        default:
            dot_row(j, block, row, f, 4);
        }
    }
}

#define BLOCK_FORMAT(name, elements, bytes, has_min, scales, codes)                                \
    static void unpack_##name(const ib_weight *w, size_t row, size_t col, size_t n, float *out) {  \
        unpack_blocks(w, row, col, n, out,                                                         \
                      (format){(elements), (bytes), (has_min), (scales), (codes)});                \
    }                                                                                              \
    static void dot_##name(const ib_cpu_dot *j) {                                                  \
        dot_blocks(j, (format){(elements), (bytes), (has_min), (scales), (codes)});                \
    }
BLOCK_FORMAT(q4_0, 32, 18, false, one_scale, q4_0_codes)
BLOCK_FORMAT(q4_1, 32, 20, true, scale_and_min, q4_1_codes)
BLOCK_FORMAT(q5_0, 32, 22, false, one_scale, q5_0_codes)
BLOCK_FORMAT(q5_1, 32, 24, true, scale_and_min, q5_1_codes)
BLOCK_FORMAT(q8_0, 32, 34, false, one_scale, q8_0_codes)
BLOCK_FORMAT(iq4_nl, 32, 18, false, one_scale, iq4_nl_codes)
BLOCK_FORMAT(mxfp4, 32, 17, false, mxfp4_scales, mxfp4_codes)
BLOCK_FORMAT(q2_k, 256, 84, true, q2_k_scales, q2_k_codes)
BLOCK_FORMAT(q3_k, 256, 110, false, q3_k_scales, q3_k_codes)
BLOCK_FORMAT(q4_k, 256, 144, true, k4_scales, q4_k_codes)
BLOCK_FORMAT(q5_k, 256, 176, true, k4_scales, q5_k_codes)
BLOCK_FORMAT(q6_k, 256, 210, false, q6_k_scales, q6_k_codes)
#undef BLOCK_FORMAT

/* --- plain formats ---------------------------------------------------------------------------- */

INLINE void unpack_plain(const ib_weight *w, size_t row, size_t col, size_t n, float *out,
                         const size_t size, load_fn *load) {
    widen((const uint8_t *)w->m.data + (row * w->m.n_cols + col) * size, n, out, size, load);
}

INLINE void dot_plain_row(const ib_cpu_dot *j, size_t row, const size_t size, load_fn *load,
                          const size_t n_x) {
    vf acc[IB_CPU_DOT_ROWS][2];
    size_t n = j->w->m.n_cols, c = 0;
    const uint8_t *p = (const uint8_t *)j->w->m.data + row * n * size;
    for (size_t i = 0; i < n_x; i++)
        acc[i][0] = acc[i][1] = vzero();
    for (; c + 2 * W <= n; c += 2 * W) {
        _mm_prefetch((const char *)p + c * size + AHEAD, _MM_HINT_T1);
#pragma GCC unroll 2
        for (size_t u = 0; u < 2; u++) {
            vf y = load(p + (c + u * W) * size);
            for (size_t i = 0; i < n_x; i++)
                acc[i][u] = vfma(y, vload(j->x + i * j->x_stride + c + u * W), acc[i][u]);
        }
    }
    for (; c < n; c += W) {
        size_t part = n - c < W ? n - c : 0;
        vf y = part ? load_part(p + c * size, part, size, load) : load(p + c * size);
        for (size_t i = 0; i < n_x; i++) {
            const float *x = j->x + i * j->x_stride + c;
            acc[i][0] = vfma(y, part ? vload_n(x, part) : vload(x), acc[i][0]);
        }
    }
    for (size_t i = 0; i < n_x; i++)
        j->out[i * j->out_stride + row] = vsum(vadd(acc[i][0], acc[i][1]));
}

INLINE void dot_plain(const ib_cpu_dot *j, const size_t size, load_fn *load) {
    for (size_t row = j->row_begin; row < j->row_end; row++)
        switch (j->n_x) {
        case 1:
            dot_plain_row(j, row, size, load, 1);
            break;
        case 2:
            dot_plain_row(j, row, size, load, 2);
            break;
        case 3:
            dot_plain_row(j, row, size, load, 3);
            break;
        default:
            dot_plain_row(j, row, size, load, 4);
        }
}

#define PLAIN_FORMAT(name, size, load)                                                             \
    static void unpack_##name(const ib_weight *w, size_t row, size_t col, size_t n, float *out) {  \
        unpack_plain(w, row, col, n, out, (size), (load));                                         \
    }                                                                                              \
    static void dot_##name(const ib_cpu_dot *j) {                                                  \
        dot_plain(j, (size), (load));                                                              \
    }
PLAIN_FORMAT(f32, 4, load_f32)
PLAIN_FORMAT(f16, 2, vfrom_f16)
PLAIN_FORMAT(bf16, 2, vfrom_bf16)
#undef PLAIN_FORMAT

INLINE void fill_weights(ib_cpu_kernels *k) {
#define ROW(type, name)                                                                            \
    k->unpack[IB_TYPE_##type] = unpack_##name;                                                     \
    k->dot[IB_TYPE_##type] = dot_##name;
    ROW(F32, f32)
    ROW(F16, f16)
    ROW(BF16, bf16)
    ROW(Q4_0, q4_0)
    ROW(Q4_1, q4_1)
    ROW(Q5_0, q5_0)
    ROW(Q5_1, q5_1)
    ROW(Q8_0, q8_0)
    ROW(IQ4_NL, iq4_nl)
    ROW(MXFP4, mxfp4)
    ROW(Q2_K, q2_k)
    ROW(Q3_K, q3_k)
    ROW(Q4_K, q4_k)
    ROW(Q5_K, q5_k)
    ROW(Q6_K, q6_k)
#undef ROW
}

#endif
