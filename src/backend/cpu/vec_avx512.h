/* SPDX-License-Identifier: MIT
 * Vectors of 16 floats (AVX-512 F, BW, DQ, VL). vec_avx2.h has the same names for vectors of 8, so
 * that the loops of simd_*.h are written once. Included by one kernel file each. */
#ifndef IB_BACKEND_CPU_VEC_AVX512_H
#define IB_BACKEND_CPU_VEC_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum { W = 16, NT_ROWS = 6, NN_ROWS = 6, NN_VECS = 4, INT8_ROWS = 4, GEMM_ROWS = 8, GEMM_VECS = 3 };
typedef __m512 vf;
typedef __m512i vi;

static inline vf vzero(void) {
    return _mm512_setzero_ps();
}
static inline vf vset(float x) {
    return _mm512_set1_ps(x);
}
static inline vf vload(const float *p) {
    return _mm512_loadu_ps(p);
}
static inline void vstore(float *p, vf v) {
    _mm512_storeu_ps(p, v);
}
static inline __mmask16 vmask(size_t n) {
    return (__mmask16)((1u << n) - 1);
}
static inline vf vload_n(const float *p, size_t n) { /* n < W; zero beyond */
    return _mm512_maskz_loadu_ps(vmask(n), p);
}
static inline void vstore_n(float *p, vf v, size_t n) {
    _mm512_mask_storeu_ps(p, vmask(n), v);
}
static inline vf vadd(vf a, vf b) {
    return _mm512_add_ps(a, b);
}
static inline vf vsub(vf a, vf b) {
    return _mm512_sub_ps(a, b);
}
static inline vf vmul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}
static inline vf vdiv(vf a, vf b) {
    return _mm512_div_ps(a, b);
}
static inline vf vfma(vf a, vf b, vf c) { /* a b + c */
    return _mm512_fmadd_ps(a, b, c);
}
static inline vf vfnma(vf a, vf b, vf c) { /* c - a b */
    return _mm512_fnmadd_ps(a, b, c);
}
static inline vf vmax(vf a, vf b) { /* b when either is NaN */
    return _mm512_max_ps(a, b);
}
static inline vf vmin(vf a, vf b) { /* b when either is NaN */
    return _mm512_min_ps(a, b);
}
static inline vf vabs(vf a) {
    return _mm512_abs_ps(a);
}
static inline vf vround(vf a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf vscale2(vf a, vf n) { /* a 2^n, n whole */
    return _mm512_scalef_ps(a, n);
}
/* a < b ? yes : no, lane by lane */
static inline vf vless(vf a, vf b, vf yes, vf no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
static inline unsigned vequal_bits(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}

static inline __m256 vfold(vf v) {
    return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}
/* The sums of four vectors, each in the same order of additions. */
static inline __m128 vsum4(vf a, vf b, vf c, vf d) {
    __m256 ab = _mm256_hadd_ps(vfold(a), vfold(b)), cd = _mm256_hadd_ps(vfold(c), vfold(d));
    __m256 all = _mm256_hadd_ps(ab, cd);
    return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}
static inline float vmax_of(vf v) {
    return _mm512_reduce_max_ps(v);
}

/* 16 signed bytes -> 16 / W vectors. */
static inline void vfrom_i8(__m128i q, vf out[16 / W]) {
    out[0] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q));
}
static inline vf vfrom_f16(const void *p) { /* W halves */
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
static inline vf vfrom_bf16(const void *p) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
static inline void vto_f16(void *p, vf v) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
static inline void vto_bf16(void *p, vf v) { /* to nearest, ties to even; NaN stays NaN */
    __m512i bits = _mm512_castps_si512(v);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
    __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    up = _mm512_mask_or_epi32(up, nan, bits, _mm512_set1_epi32(0x400000));
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(up, 16)));
}

/* Tables of 16 floats looked up by the low 4 bits of each lane. */
typedef struct vtable {
    vf values;
} vtable;
static inline vtable vtable_of(const float *values) {
    return (vtable){vload(values)};
}
static inline vf vlookup(vtable t, vi codes) {
    return _mm512_permutexvar_ps(codes, t.values);
}
static inline vi vload_codes(const uint8_t *p) { /* 4 W bytes */
    return _mm512_loadu_si512(p);
}
static inline vi vload_codes_half(const uint8_t *p) { /* 2 W bytes, zero beyond */
    return _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)p));
}
#define vshift_right(v, n) _mm512_srli_epi32((v), (n))
/* 16 codes, one a byte -> lanes */
static inline void vwiden_codes(__m128i q, vi out[16 / W]) {
    out[0] = _mm512_cvtepu8_epi32(q);
}
/* The scales of W / 8 neighbouring groups of 64 codes, as their lanes of a load of codes want it.
 */
static inline vf vgroup_scales(const float *s) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_set1_ps(s[0])), _mm256_set1_ps(s[1]),
                              1);
}
static inline vf vgather(const float *table, const uint8_t *at) { /* W bytes */
    __m512i i = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)at));
    return _mm512_i32gather_ps(i, table, 4);
}

/* Products of 16-bit integers, summed in pairs into 32-bit lanes. */
enum { W16 = 32 };
static inline vi vzero_i(void) {
    return _mm512_setzero_si512();
}
static inline vi vload_i16(const int16_t *p) {
    return _mm512_loadu_si512(p);
}
static inline vi vload_i8_as_i16(const int8_t *p) { /* W16 bytes */
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p));
}
static inline vi vdot_i16(vi sum, vi a, vi b) {
#ifdef __AVX512VNNI__
    return _mm512_dpwssd_epi32(sum, a, b);
#else
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
#endif
}
static inline int32_t vsum_i32(vi v) {
    return _mm512_reduce_add_epi32(v);
}

#endif
