/* SPDX-License-Identifier: MIT
 * What AVX-512 VBMI and VNNI add to the tier of AVX-512: nested scales of 4-bit formats looked up
 * 64 at a time by byte permutes, and integer products that sum in one instruction. */
#include "backend/cpu/vec_avx512.h"

#include "backend/cpu/kernels.h"

/* 64 bytes of the 256-entry table of bytes, by 64 indices. */
static inline __m512i lookup_bytes(const uint8_t *plane, __m512i index) {
    __m512i low =
        _mm512_permutex2var_epi8(_mm512_loadu_si512(plane), index, _mm512_loadu_si512(plane + 64));
    __m512i high = _mm512_permutex2var_epi8(_mm512_loadu_si512(plane + 128), index,
                                            _mm512_loadu_si512(plane + 192));
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high);
}

/* The four bytes of 64 floats -> floats in order. */
static inline void join_planes(const __m512i b[4], float *out) {
    __m512i ab = _mm512_unpacklo_epi8(b[0], b[1]), cd = _mm512_unpacklo_epi8(b[2], b[3]);
    __m512i ab_high = _mm512_unpackhi_epi8(b[0], b[1]), cd_high = _mm512_unpackhi_epi8(b[2], b[3]);
    __m512i q[4] = {_mm512_unpacklo_epi16(ab, cd), _mm512_unpackhi_epi16(ab, cd),
                    _mm512_unpacklo_epi16(ab_high, cd_high),
                    _mm512_unpackhi_epi16(ab_high, cd_high)};
    /* 128-bit lane l of q[i] holds floats 16 l + 4 i .. + 4 */
    for (int i = 0; i < 4; i++) {
        _mm_storeu_si128((__m128i *)(void *)(out + 4 * i), _mm512_extracti32x4_epi32(q[i], 0));
        _mm_storeu_si128((__m128i *)(void *)(out + 16 + 4 * i), _mm512_extracti32x4_epi32(q[i], 1));
        _mm_storeu_si128((__m128i *)(void *)(out + 32 + 4 * i), _mm512_extracti32x4_epi32(q[i], 2));
        _mm_storeu_si128((__m128i *)(void *)(out + 48 + 4 * i), _mm512_extracti32x4_epi32(q[i], 3));
    }
}

/* Scales of n <= 64 blocks from `block` on. out has room for 64. */
static inline void scales_by_planes(const ib_weight *w, size_t block, size_t n, float *out) {
    const ib_matrix *m = &w->m;
    __mmask64 real = n < 64 ? ((__mmask64)1 << n) - 1 : ~(__mmask64)0;
    if (m->absmax) {
        for (size_t i = 0; i < n; i += W) {
            __mmask16 some = n - i < W ? vmask(n - i) : (__mmask16)0xFFFF;
            vstore(out + i, _mm512_maskz_loadu_ps(some, m->absmax + block + i));
        }
        return;
    }
    __m512i index = _mm512_maskz_loadu_epi8(real, m->absmax_u8 + block), bytes[4];
    for (int b = 0; b < 4; b++)
        bytes[b] = lookup_bytes(w->planes + 256 * b, index);
    join_planes(bytes, out);
    size_t first = block / m->nested_blocksize;
    size_t stop = (first + 1) * m->nested_blocksize - block; /* blocks of the first nested scale */
    vf offset = vset(m->nested_offset), low = vset(m->nested_absmax[first]);
    vf high = stop < n ? vset(m->nested_absmax[first + 1]) : low;
    for (size_t i = 0; i < n; i += W) {
        size_t left = stop > i ? stop - i : 0;
        __mmask16 under = left < W ? vmask(left) : (__mmask16)0xFFFF;
        vf factor = _mm512_mask_blend_ps(under, high, low);
        vstore(out + i, vadd(vmul(vload(out + i), factor), offset));
    }
}

#define IB_SIMD_WIDE 1
#define IB_SIMD_SCALES scales_by_planes
#include "backend/cpu/simd_codes.h"
#include "backend/cpu/simd_matrix.h"

/* --- 4-bit codes in 16-bit integers ----------------------------------------------------------- */

/* A code becomes a 14-bit integer, 64 neighbours of x become 15-bit integers with a scale of their
 * own; eight products of a lane stay below 2^31 and are exact. What is lost is the rounding of x
 * and of the NF4 table: about 8e-5 of the result (FP4's table is exact). */
enum { NF4_UNIT = 8192, FP4_UNIT = 8064, X_UNIT = 16383, WORDS = 32 };

static size_t whole_groups(size_t n) {
    return (n + IB_CPU_CODE_GROUP - 1) / IB_CPU_CODE_GROUP * IB_CPU_CODE_GROUP;
}

/* 64 columns of x, n of which exist -> integers; returns the scale, NaN when one is not finite. */
static float quantize_x(const float *x, size_t n, int16_t *out) {
    vf v[4], largest = vzero(), odd = vzero();
    for (size_t i = 0; i < 4; i++) {
        size_t left = n > i * W ? n - i * W : 0;
        v[i] = left >= W ? vload(x + i * W) : left ? vload_n(x + i * W, left) : vzero();
        largest = vmax(vabs(v[i]), largest);
        odd = vadd(odd, vsub(v[i], v[i]));
    }
    float max = vmax_of(largest), bad = vsum(odd);
    vf factor = vset(max > 0 && max < INFINITY ? X_UNIT / max : 0);
    for (size_t i = 0; i < 4; i++)
        _mm256_storeu_si256((__m256i *)(void *)(out + i * W),
                            _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(vmul(v[i], factor))));
    return max / X_UNIT + bad;
}

/* Integers of whole groups, then one scale per 64 columns. Word j of shift s of a load stands for
 * element 4 j + (s ^ 1), as in simd_codes.h but for 16-bit lanes. */
static void prepare_int16(const float *x, size_t n, size_t begin, size_t end, float *out) {
    int16_t *to = (int16_t *)(void *)out, sorted[IB_CPU_CODE_GROUP];
    float *scales = out + whole_groups(n) / 2;
    for (size_t g = begin; g < end; g++) {
        for (size_t half = 0; half < 2; half++) {
            size_t first = g * IB_CPU_CODE_GROUP + half * GROUP, left = n > first ? n - first : 0;
            scales[2 * g + half] = quantize_x(x + (left ? first : 0), left < GROUP ? left : GROUP,
                                              sorted + half * GROUP);
        }
        for (size_t quarter = 0; quarter < 4;
             quarter++) { /* words 8 quarter .. + 8 of each shift */
            __m512i v = _mm512_loadu_si512(sorted + 32 * quarter);
            __m128i *at = (__m128i *)(void *)(to + g * IB_CPU_CODE_GROUP) + quarter;
            _mm_storeu_si128(at + 4, _mm512_cvtepi64_epi16(v));
            _mm_storeu_si128(at, _mm512_cvtepi64_epi16(_mm512_srli_epi64(v, 16)));
            _mm_storeu_si128(at + 12, _mm512_cvtepi64_epi16(_mm512_srli_epi64(v, 32)));
            _mm_storeu_si128(at + 8, _mm512_cvtepi64_epi16(_mm512_srli_epi64(v, 48)));
        }
    }
}

/* The 16 codes twice: the lookup reads 5 bits, the fifth of which belongs to the next code. */
static __m512i integer_table(const ib_weight *w, float unit) {
    int16_t table[WORDS];
    for (size_t i = 0; i < WORDS; i++)
        table[i] = (int16_t)lrintf(w->codes[i % 16] * unit);
    return _mm512_loadu_si512(table);
}

typedef struct span_scales { /* of each row of x, one per group and a zero */
    float of[IB_CPU_DOT_ROWS][SPAN_GROUPS + 2];
} span_scales;

INLINE void add_int16(__m512i codes, __m512i table, const ib_cpu_dot *j, size_t c,
                      const span_scales *scales, size_t group, vf *acc, const size_t n_x) {
    const __m512i shifted[4] = {codes, _mm512_srli_epi16(codes, 4), _mm512_srli_epi16(codes, 8),
                                _mm512_srli_epi16(codes, 12)};
    __m512i sum[IB_CPU_DOT_ROWS];
    for (size_t i = 0; i < n_x; i++)
        sum[i] = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (size_t s = 0; s < 4; s++) {
        __m512i y = _mm512_permutexvar_epi16(shifted[s], table);
        for (size_t i = 0; i < n_x; i++) {
            const int16_t *x = (const int16_t *)(const void *)(j->x + i * j->x_stride);
            sum[i] = _mm512_dpwssd_epi32(sum[i], y, _mm512_loadu_si512(x + c + s * WORDS));
        }
    }
    for (size_t i = 0; i < n_x; i++)
        acc[i] = vfma(_mm512_cvtepi32_ps(sum[i]), vgroup_scales(scales->of[i] + group), acc[i]);
}

INLINE void multiply(const float *a, const float *b, size_t n, float *out) {
    size_t i = 0;
    for (; i + W <= n; i += W)
        vstore(out + i, vmul(vload(a + i), vload(b + i)));
    if (i < n)
        vstore_n(out + i, vmul(vload_n(a + i, n - i), vload_n(b + i, n - i)), n - i);
}

INLINE void int16_row(const ib_cpu_dot *j, __m512i table, float unit, size_t row,
                      const size_t n_x) {
    const ib_weight *w = j->w;
    size_t n_cols = w->m.n_cols, first_group = row * (n_cols / GROUP);
    const uint8_t *codes = (const uint8_t *)w->m.data + row * w->row_bytes;
    vf acc[IB_CPU_DOT_ROWS];
    float own[SPAN_GROUPS + 2];
    span_scales scales;
    for (size_t i = 0; i < n_x; i++)
        acc[i] = vzero();
    for (size_t span = 0; span < n_cols; span += SPAN) {
        size_t n = n_cols - span < SPAN ? n_cols - span : SPAN, c = 0;
        scales_of_groups(w, first_group + span / GROUP, n / GROUP, own);
        for (size_t i = 0; i < n_x; i++) {
            const float *x = j->x + i * j->x_stride + whole_groups(n_cols) / 2 + span / GROUP;
            multiply(own, x, n / GROUP, scales.of[i]);
            scales.of[i][n / GROUP] = 0; /* of the half load that may follow */
        }
        for (; c + LOAD <= n; c += LOAD) {
            const uint8_t *p = codes + (span + c) / 2;
            _mm_prefetch((const char *)p + CODES_AHEAD, _MM_HINT_T0);
            add_int16(vload_codes(p), table, j, span + c, &scales, c / GROUP, acc, n_x);
        }
        if (c < n)
            add_int16(vload_codes_half(codes + (span + c) / 2), table, j, span + c, &scales,
                      c / GROUP, acc, n_x);
    }
    for (size_t i = 0; i < n_x; i++)
        j->out[i * j->out_stride + row] = vsum(acc[i]) / unit;
}

static void dot_int16(const ib_cpu_dot *j) {
    float unit = j->w->m.type == IB_TYPE_NF4 ? NF4_UNIT : FP4_UNIT;
    __m512i table = integer_table(j->w, unit);
    for (size_t row = j->row_begin; row < j->row_end; row++)
        switch (j->n_x) {
        case 1:
            int16_row(j, table, unit, row, 1);
            break;
        case 2:
            int16_row(j, table, unit, row, 2);
            break;
        case 3:
            int16_row(j, table, unit, row, 3);
            break;
        default:
            int16_row(j, table, unit, row, 4);
        }
}

void ib_cpu_fill_int16(ib_cpu_kernels *k) {
    k->dot_codes = dot_int16;
    k->prepare_codes = prepare_int16;
    k->integer_codes = true;
}

void ib_cpu_fill_avx512_vnni(ib_cpu_kernels *k) {
    fill_codes(k);
    fill_matrix(k);
}
