/* SPDX-License-Identifier: MIT
 * What AVX-512 VBMI and VNNI add to the tier of AVX-512: nested scales of 4-bit formats looked up
 * 64 at a time by byte permutes, and integer products that sum in one instruction. */
#include "backend/cpu/vec_avx512.h"

#include "backend/cpu/kernels.h"

enum { SCALES_AHEAD = 1024 };

/* A 256-entry table of bytes in registers. */
typedef struct plane {
    __m512i part[4];
} plane;

static inline plane plane_at(const uint8_t *p) {
    return (plane){{_mm512_loadu_si512(p), _mm512_loadu_si512(p + 64), _mm512_loadu_si512(p + 128),
                    _mm512_loadu_si512(p + 192)}};
}

/* 64 bytes of the table, by 64 indices. */
static inline __m512i lookup_bytes(const plane *p, __m512i index) {
    __m512i low = _mm512_permutex2var_epi8(p->part[0], index, p->part[1]);
    __m512i high = _mm512_permutex2var_epi8(p->part[2], index, p->part[3]);
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

/* Scales of n blocks from `block` on. out has room for whole multiples of 64. */
static inline void scales_by_planes(const ib_weight *w, size_t block, size_t n, float *out) {
    const ib_matrix *m = &w->m;
    if (m->absmax) {
        memcpy(out, m->absmax + block, n * sizeof *out);
        return;
    }
    const plane planes[4] = {plane_at(w->planes), plane_at(w->planes + 256),
                             plane_at(w->planes + 512), plane_at(w->planes + 768)};
    const vf offset = vset(m->nested_offset);
    for (size_t done = 0; done < n; done += 64, out += 64) {
        size_t at = block + done, left = n - done;
        __mmask64 real = left < 64 ? ((__mmask64)1 << left) - 1 : ~(__mmask64)0;
        _mm_prefetch((const char *)m->absmax_u8 + at + SCALES_AHEAD, _MM_HINT_T0);
        __m512i index = _mm512_maskz_loadu_epi8(real, m->absmax_u8 + at), bytes[4];
        for (int b = 0; b < 4; b++)
            bytes[b] = lookup_bytes(&planes[b], index);
        join_planes(bytes, out);
        size_t first = at / m->nested_blocksize;
        size_t stop = (first + 1) * m->nested_blocksize - at; /* blocks of the first factor */
        vf low = vset(m->nested_absmax[first]);
        vf high = stop < (left < 64 ? left : 64) ? vset(m->nested_absmax[first + 1]) : low;
        for (size_t i = 0; i < 64; i += W) {
            size_t of_first = stop > i ? stop - i : 0;
            __mmask16 under = of_first < W ? vmask(of_first) : (__mmask16)0xFFFF;
            vf factor = _mm512_mask_blend_ps(under, high, low);
            vstore(out + i, vadd(vmul(vload(out + i), factor), offset));
        }
    }
}

#define IB_SIMD_WIDE 1
#define IB_SIMD_SCALES scales_by_planes
#include "backend/cpu/simd_int16.h"
#include "backend/cpu/simd_matrix.h"

void ib_cpu_fill_int16_vnni(ib_cpu_kernels *k) {
    fill_int16(k);
}

void ib_cpu_fill_avx512_vnni(ib_cpu_kernels *k) {
    fill_codes(k);
    fill_matrix(k);
}
