/* SPDX-License-Identifier: MIT
 * Vectors of 16 floats (AVX-512 F, BW, DQ, VL). vec_avx2.h has the same names for vectors of 8, so
 * that the loops of simd_*.h are written once. Included by one kernel file each. */
#ifndef IB_BACKEND_CPU_VEC_AVX512_H
#define IB_BACKEND_CPU_VEC_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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
    const __m512i which = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    __m128 both = _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(const void *)s));
    return _mm512_permutexvar_ps(which, _mm512_castps128_ps512(both));
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
static inline vf vfrom_i32(vi v) {
    return _mm512_cvtepi32_ps(v);
}
static inline void vstore_i16(int16_t *p, vf v) { /* W whole numbers below 2^15 */
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(v)));
}

/* Vectors of W16 bytes: the codes of block formats, before they become 16-bit integers. */
typedef __m256i vh;
static inline vh vhload(const uint8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
/* 16 bytes from each of W16 / 16 places that lie `step` apart */
static inline vh vhload16(const uint8_t *p, size_t step) {
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(p + step));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}
static inline vh vhset(char x) {
    return _mm256_set1_epi8(x);
}
static inline vh vhand(vh a, vh b) {
    return _mm256_and_si256(a, b);
}
static inline vh vhor(vh a, vh b) {
    return _mm256_or_si256(a, b);
}
static inline vh vhsub(vh a, vh b) {
    return _mm256_sub_epi8(a, b);
}
static inline vh vhlookup(__m128i table, vh codes) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), codes);
}
#define vhshift_right(v, n) _mm256_srli_epi16((v), (n))
#define vhshift_left(v, n) _mm256_slli_epi16((v), (n))
/* `value` in byte i where bit i of 16 is set, of each of W16 / 16 words that lie `step` apart */
static inline vh vhbits16(const uint8_t *p, size_t step, char value) {
    uint16_t low, high;
    memcpy(&low, p, sizeof low);
    memcpy(&high, p + step, sizeof high);
    return _mm256_maskz_set1_epi8((__mmask32)low | (__mmask32)high << 16, value);
}
static inline vi vwiden_i8(vh v) {
    return _mm512_cvtepi8_epi16(v);
}
/* Halves at W16 / 16 places that lie `step` apart, each for its share of the lanes. */
static inline vf vhalves(const uint8_t *p, size_t step) {
    uint16_t low, high;
    memcpy(&low, p, sizeof low);
    memcpy(&high, p + step, sizeof high);
    __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_set1_epi16((short)low)),
                                           _mm_set1_epi16((short)high), 1);
    return _mm512_cvtph_ps(both);
}
/* Sums of each 16 elements -> lanes of their blocks of 32, zero elsewhere. */
static inline vf vpair_sums(const float *s) {
    return _mm512_maskz_expand_ps(0x0303, _mm512_zextps128_ps512(_mm_loadu_ps(s)));
}

/* The 16 values of a 4-bit code as 16-bit integers, twice: the lookup reads 5 bits, the fifth of
 * which belongs to the next code. */
typedef struct vtable16 {
    __m512i values;
} vtable16;
static inline vtable16 vtable16_of(const int16_t values[16]) {
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)values);
    return (vtable16){_mm512_inserti64x4(_mm512_castsi256_si512(v), v, 1)};
}
/* A load of codes -> its values: word j of y[s] is code 4 j + (s ^ 1). */
static inline void vexpand16(vtable16 t, vi codes, vi y[4]) {
    y[0] = _mm512_permutexvar_epi16(codes, t.values);
    y[1] = _mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 4), t.values);
    y[2] = _mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 8), t.values);
    y[3] = _mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 12), t.values);
}
/* 8 W numbers into the order of vexpand16. */
static inline void vorder16(const int16_t *sorted, int16_t *out) {
    for (size_t quarter = 0; quarter < 4; quarter++) { /* words 8 quarter .. + 8 of each shift */
        __m512i v = _mm512_loadu_si512(sorted + 32 * quarter);
        __m128i *at = (__m128i *)(void *)out + quarter;
        _mm_storeu_si128(at + 4, _mm512_cvtepi64_epi16(v));
        _mm_storeu_si128(at, _mm512_cvtepi64_epi16(_mm512_srli_epi64(v, 16)));
        _mm_storeu_si128(at + 12, _mm512_cvtepi64_epi16(_mm512_srli_epi64(v, 32)));
        _mm_storeu_si128(at + 8, _mm512_cvtepi64_epi16(_mm512_srli_epi64(v, 48)));
    }
}

#endif
