/* SPDX-License-Identifier: MIT
 * Vectors of 8 floats (AVX2, FMA, F16C): the names of vec_avx512.h. Included by one kernel file. */
#ifndef IB_BACKEND_CPU_VEC_AVX2_H
#define IB_BACKEND_CPU_VEC_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { W = 8, NT_ROWS = 3, NN_ROWS = 6, NN_VECS = 2, INT8_ROWS = 2, GEMM_ROWS = 4, GEMM_VECS = 3 };
typedef __m256 vf;
typedef __m256i vi;

static inline vf vzero(void) {
    return _mm256_setzero_ps();
}
static inline vf vset(float x) {
    return _mm256_set1_ps(x);
}
static inline vf vload(const float *p) {
    return _mm256_loadu_ps(p);
}
static inline void vstore(float *p, vf v) {
    _mm256_storeu_ps(p, v);
}
static inline __m256i vmask(size_t n) {
    __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lanes);
}
static inline vf vload_n(const float *p, size_t n) { /* n < W; zero beyond */
    return _mm256_maskload_ps(p, vmask(n));
}
static inline void vstore_n(float *p, vf v, size_t n) {
    _mm256_maskstore_ps(p, vmask(n), v);
}
static inline vf vadd(vf a, vf b) {
    return _mm256_add_ps(a, b);
}
static inline vf vsub(vf a, vf b) {
    return _mm256_sub_ps(a, b);
}
static inline vf vmul(vf a, vf b) {
    return _mm256_mul_ps(a, b);
}
static inline vf vdiv(vf a, vf b) {
    return _mm256_div_ps(a, b);
}
static inline vf vfma(vf a, vf b, vf c) { /* a b + c */
    return _mm256_fmadd_ps(a, b, c);
}
static inline vf vfnma(vf a, vf b, vf c) { /* c - a b */
    return _mm256_fnmadd_ps(a, b, c);
}
static inline vf vmax(vf a, vf b) { /* b when either is NaN */
    return _mm256_max_ps(a, b);
}
static inline vf vmin(vf a, vf b) { /* b when either is NaN */
    return _mm256_min_ps(a, b);
}
static inline vf vabs(vf a) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
static inline vf vround(vf a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf vpower2(__m256i n) { /* 2^n for -126 <= n <= 127 */
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
static inline vf vscale2(vf a, vf n) { /* a 2^n, n whole, |n| < 250: two steps reach every result */
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    return vmul(vmul(a, vpower2(half)), vpower2(_mm256_sub_epi32(whole, half)));
}
/* a < b ? yes : no, lane by lane */
static inline vf vless(vf a, vf b, vf yes, vf no) {
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
static inline unsigned vequal_bits(vf a, vf b) {
    return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ));
}

/* The sums of four vectors, each in the same order of additions. */
static inline __m128 vsum4(vf a, vf b, vf c, vf d) {
    __m256 all = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}
static inline float vmax_of(vf v) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/* 16 signed bytes -> 16 / W vectors. */
static inline void vfrom_i8(__m128i q, vf out[16 / W]) {
    out[0] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q));
    out[1] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(q, 8)));
}
static inline vf vfrom_f16(const void *p) { /* W halves */
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
static inline vf vfrom_bf16(const void *p) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
static inline void vto_f16(void *p, vf v) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
static inline void vto_bf16(void *p, vf v) { /* to nearest, ties to even; NaN stays NaN */
    __m256i bits = _mm256_castps_si256(v);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    up = _mm256_srli_epi32(_mm256_blendv_epi8(up, quiet, nan), 16);
    __m128i low = _mm256_castsi256_si128(up), high = _mm256_extracti128_si256(up, 1);
    _mm_storeu_si128((__m128i *)p, _mm_packus_epi32(low, high));
}

/* Tables of 16 floats looked up by the low 4 bits of each lane: two halves of 8, chosen by bit 3.
 */
typedef struct vtable {
    vf low, high;
} vtable;
static inline vtable vtable_of(const float *values) {
    return (vtable){vload(values), vload(values + 8)};
}
static inline vf vlookup(vtable t, vi codes) {
    vf low = _mm256_permutevar8x32_ps(t.low, codes), high = _mm256_permutevar8x32_ps(t.high, codes);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(codes, 28)));
}
static inline vi vload_codes(const uint8_t *p) { /* 4 W bytes */
    return _mm256_loadu_si256((const __m256i *)p);
}
static inline vi vload_codes_half(const uint8_t *p) { /* 2 W bytes, zero beyond */
    return _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *)p));
}
#define vshift_right(v, n) _mm256_srli_epi32((v), (n))
/* 16 codes, one a byte -> lanes */
static inline void vwiden_codes(__m128i q, vi out[16 / W]) {
    out[0] = _mm256_cvtepu8_epi32(q);
    out[1] = _mm256_cvtepu8_epi32(_mm_srli_si128(q, 8));
}
/* The scales of W / 8 neighbouring groups of 64 codes, as their lanes of a load of codes want it.
 */
static inline vf vgroup_scales(const float *s) {
    return _mm256_set1_ps(*s);
}
static inline vf vgather(const float *table, const uint8_t *at) { /* W bytes */
    __m256i i = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)at));
    return _mm256_i32gather_ps(table, i, 4);
}

/* Products of 16-bit integers, summed in pairs into 32-bit lanes. */
enum { W16 = 16 };
static inline vi vzero_i(void) {
    return _mm256_setzero_si256();
}
static inline vi vload_i16(const int16_t *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}
static inline vi vload_i8_as_i16(const int8_t *p) { /* W16 bytes */
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
}
static inline vi vdot_i16(vi sum, vi a, vi b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}
static inline int32_t vsum_i32(vi v) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1)));
}
static inline vf vfrom_i32(vi v) {
    return _mm256_cvtepi32_ps(v);
}
static inline void vstore_i16(int16_t *p, vf v) { /* W whole numbers below 2^15 */
    __m256i n = _mm256_cvtps_epi32(v);
    _mm_storeu_si128((__m128i *)(void *)p,
                     _mm_packs_epi32(_mm256_castsi256_si128(n), _mm256_extracti128_si256(n, 1)));
}

/* Vectors of W16 bytes: the codes of block formats, before they become 16-bit integers. */
typedef __m128i vh;
static inline vh vhload(const uint8_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}
/* 16 bytes from each of W16 / 16 places that lie `step` apart */
static inline vh vhload16(const uint8_t *p, size_t step) {
    (void)step;
    return vhload(p);
}
static inline vh vhset(char x) {
    return _mm_set1_epi8(x);
}
static inline vh vhand(vh a, vh b) {
    return _mm_and_si128(a, b);
}
static inline vh vhor(vh a, vh b) {
    return _mm_or_si128(a, b);
}
static inline vh vhsub(vh a, vh b) {
    return _mm_sub_epi8(a, b);
}
static inline vh vhlookup(__m128i table, vh codes) {
    return _mm_shuffle_epi8(table, codes);
}
#define vhshift_right(v, n) _mm_srli_epi16((v), (n))
#define vhshift_left(v, n) _mm_slli_epi16((v), (n))
/* `value` in byte i where bit i of 16 is set, of each of W16 / 16 words that lie `step` apart */
static inline vh vhbits16(const uint8_t *p, size_t step, char value) {
    uint16_t bits;
    (void)step;
    memcpy(&bits, p, sizeof bits);
    __m128i each = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
    __m128i byte = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    __m128i v = _mm_shuffle_epi8(_mm_set1_epi16((short)bits), byte);
    v = _mm_cmpeq_epi8(_mm_and_si128(v, each), each);
    return _mm_and_si128(v, _mm_set1_epi8(value));
}
static inline vi vwiden_i8(vh v) {
    return _mm256_cvtepi8_epi16(v);
}
/* Halves at W16 / 16 places that lie `step` apart, each for its share of the lanes. */
static inline vf vhalves(const uint8_t *p, size_t step) {
    uint16_t h;
    (void)step;
    memcpy(&h, p, sizeof h);
    return _mm256_set1_ps(_cvtsh_ss(h));
}
/* Sums of each 16 elements -> lanes of their blocks of 32, zero elsewhere. */
static inline vf vpair_sums(const float *s) {
    __m128i two = _mm_loadl_epi64((const __m128i *)(const void *)s);
    return _mm256_zextps128_ps256(_mm_castsi128_ps(two));
}

/* The 16 values of a 4-bit code as 16-bit integers: low and high bytes, in both halves. */
typedef struct vtable16 {
    __m256i low, high;
} vtable16;
static inline vtable16 vtable16_of(const int16_t values[16]) {
    uint8_t low[16], high[16];
    for (size_t i = 0; i < 16; i++) {
        low[i] = (uint8_t)((uint16_t)values[i] & 255);
        high[i] = (uint8_t)((uint16_t)values[i] >> 8);
    }
    return (vtable16){_mm256_broadcastsi128_si256(vhload(low)),
                      _mm256_broadcastsi128_si256(vhload(high))};
}
/* A load of codes -> its values: y[0], y[1] the even ones of each 16 and next 16 in both halves of
 * the load, y[2], y[3] the odd ones. */
static inline void vexpand16(vtable16 t, vi codes, vi y[4]) {
    const __m256i mask = _mm256_set1_epi8(15);
    const __m256i odd = _mm256_and_si256(codes, mask);
    const __m256i even = _mm256_and_si256(_mm256_srli_epi16(codes, 4), mask);
    __m256i low = _mm256_shuffle_epi8(t.low, even), high = _mm256_shuffle_epi8(t.high, even);
    y[0] = _mm256_unpacklo_epi8(low, high);
    y[1] = _mm256_unpackhi_epi8(low, high);
    low = _mm256_shuffle_epi8(t.low, odd);
    high = _mm256_shuffle_epi8(t.high, odd);
    y[2] = _mm256_unpacklo_epi8(low, high);
    y[3] = _mm256_unpackhi_epi8(low, high);
}
/* 8 W numbers into the order of vexpand16. */
static inline void vorder16(const int16_t *sorted, int16_t *out) {
    for (size_t run = 0; run < 4; run++) { /* 16 numbers: 8 bytes of codes */
        const __m128i *in = (const __m128i *)(const void *)(sorted + 16 * run);
        __m128i a = _mm_loadu_si128(in), b = _mm_loadu_si128(in + 1);
        __m128i even = _mm_packs_epi32(_mm_srai_epi32(_mm_slli_epi32(a, 16), 16),
                                       _mm_srai_epi32(_mm_slli_epi32(b, 16), 16));
        __m128i odd = _mm_packs_epi32(_mm_srai_epi32(a, 16), _mm_srai_epi32(b, 16));
        __m128i *to = (__m128i *)(void *)(out + 16 * (run % 2) + 8 * (run / 2));
        _mm_storeu_si128(to, even);
        _mm_storeu_si128(to + 4, odd);
    }
}

#endif
