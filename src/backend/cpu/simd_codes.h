/* SPDX-License-Identifier: MIT
 * The 4-bit formats of bitsandbytes (NF4, FP4): decoding in the order of the elements, and dot
 * products that leave the codes as they lie. Included by a kernel file after simd_weights.h.
 *
 * A load of 4 W bytes holds 8 W codes. Shifting its 32-bit lanes right by 4 s brings nibble s of
 * every lane to the bottom, where a table lookup reads it: lane j then stands for element
 * 8 j + (s ^ 1), since the high nibble of a byte is the even element. Instead of sorting the codes,
 * x is brought into that order once per product. */
#ifndef IB_BACKEND_CPU_SIMD_CODES_H
#define IB_BACKEND_CPU_SIMD_CODES_H

#include "backend/cpu/simd_weights.h"

enum {
    LOAD = 8 * W,     /* codes of a load */
    GROUP = 64,       /* codes that share a scale at least */
    SPAN_GROUPS = 64, /* groups whose scales are decoded at a time */
    SPAN = GROUP * SPAN_GROUPS,
    CODES_AHEAD = 8192
};

/* --- in order --------------------------------------------------------------------------------- */

INLINE float nibble_at(const ib_weight *w, size_t i) {
    uint8_t byte = ((const uint8_t *)w->m.data)[i / 2];
    return w->codes[i % 2 ? byte & 15 : byte >> 4];
}

/* Elements [i, i + n) of one scale. */
INLINE void unpack_run(const ib_weight *w, vtable table, size_t i, size_t n, float scale_of_run,
                       float *out) {
    const uint8_t *data = w->m.data;
    vf s = vset(scale_of_run);
    size_t at = 0;
    if (i % 2 && n)
        out[at++] = nibble_at(w, i) * scale_of_run;
    for (; at + 32 <= n; at += 32) {
        __m128i bytes = bytes_at(data + (i + at) / 2);
        __m128i even = high4(bytes), odd = low4(bytes);
        const __m128i codes[2] = {_mm_unpacklo_epi8(even, odd), _mm_unpackhi_epi8(even, odd)};
        for (size_t half = 0; half < 2; half++) {
            vi lanes[PER16];
            vwiden_codes(codes[half], lanes);
            for (size_t v = 0; v < PER16; v++)
                vstore(out + at + 16 * half + W * v, vmul(vlookup(table, lanes[v]), s));
        }
    }
    for (; at < n; at++)
        out[at] = nibble_at(w, i + at) * scale_of_run;
}

static void unpack_codes(const ib_weight *w, size_t row, size_t col, size_t n, float *out) {
    size_t i = row * w->m.n_cols + col, end = i + n, size = w->m.blocksize;
    vtable table = vtable_of(w->codes);
    while (i < end) {
        size_t block = i / size, stop = (block + 1) * size < end ? (block + 1) * size : end;
        unpack_run(w, table, i, stop - i, ib_matrix_absmax(&w->m, block), out);
        out += stop - i;
        i = stop;
    }
}

/* Any shape, in pieces. */
static void dot_codes_any(const ib_cpu_dot *j) {
    enum { PIECE = 512 };
    size_t n_cols = j->w->m.n_cols;
    for (size_t row = j->row_begin; row < j->row_end; row++) {
        vf acc[IB_CPU_DOT_ROWS];
        float piece[PIECE];
        for (size_t i = 0; i < IB_CPU_DOT_ROWS; i++)
            acc[i] = vzero();
        for (size_t col = 0; col < n_cols; col += PIECE) {
            size_t n = n_cols - col < PIECE ? n_cols - col : PIECE;
            unpack_codes(j->w, row, col, n, piece);
            for (size_t i = 0; i < j->n_x; i++) {
                const float *x = j->x + i * j->x_stride + col;
                size_t c = 0;
                for (; c + W <= n; c += W)
                    acc[i] = vfma(vload(piece + c), vload(x + c), acc[i]);
                if (c < n)
                    acc[i] = vfma(vload_n(piece + c, n - c), vload_n(x + c, n - c), acc[i]);
            }
        }
        for (size_t i = 0; i < j->n_x; i++)
            j->out[i * j->out_stride + row] = vsum(acc[i]);
    }
}

/* --- as they lie ------------------------------------------------------------------------------ */

static void prepare_codes(const float *x, size_t n, size_t begin, size_t end, float *out) {
    for (size_t g = begin; g < end; g++)
        for (size_t load = 0; load < IB_CPU_CODE_GROUP; load += LOAD) {
            size_t first = g * IB_CPU_CODE_GROUP + load;
            float some[LOAD] = {0};
            size_t left = n > first ? n - first : 0;
            if (left < LOAD)
                memcpy(some, x + (left ? first : 0), left * sizeof *x);
            const float *from = left < LOAD ? some : x + first;
            for (size_t s = 0; s < 8; s++)
                for (size_t lane = 0; lane < W; lane++)
                    out[first + s * W + lane] = from[8 * lane + (s ^ 1)];
        }
}

/* Scales of n blocks from `block` on, one per group of 64. */
INLINE void scales_of_blocks(const ib_weight *w, size_t block, size_t n, float *out) {
    const ib_matrix *m = &w->m;
    if (m->absmax) {
        memcpy(out, m->absmax + block, n * sizeof *out);
        return;
    }
    size_t i = 0;
    while (i < n) {
        size_t at = block + i, left = m->nested_blocksize - at % m->nested_blocksize;
        size_t run = n - i < left ? n - i : left, r = 0;
        float factor = m->nested_absmax[at / m->nested_blocksize];
        vf f = vset(factor), offset = vset(m->nested_offset);
        for (; r + W <= run; r += W)
            vstore(out + i + r,
                   vadd(vmul(vgather(m->nested_map, m->absmax_u8 + at + r), f), offset));
        for (; r < run; r++)
            out[i + r] = m->nested_map[m->absmax_u8[at + r]] * factor + m->nested_offset;
        i += run;
    }
}

/* Scales of n groups of 64 elements from `group` on (flat); a block may span many groups. */
INLINE void scales_of_groups(const ib_weight *w, size_t group, size_t n, float *out) {
    size_t per_block = w->m.blocksize / GROUP;
    if (per_block == 1) {
#ifdef IB_SIMD_SCALES
        IB_SIMD_SCALES(w, group, n, out);
#else
        scales_of_blocks(w, group, n, out);
#endif
        return;
    }
    for (size_t i = 0; i < n;) {
        size_t block = (group + i) / per_block, stop = (block + 1) * per_block - group;
        float s = ib_matrix_absmax(&w->m, block);
        for (stop = stop < n ? stop : n; i < stop; i++)
            out[i] = s;
    }
}

INLINE void add_load(vi codes, vtable table, const float *x, size_t x_stride, vf scales, vf *acc,
                     const size_t n_x) {
    vf sum[IB_CPU_DOT_ROWS][2];
    for (size_t i = 0; i < n_x; i++)
        sum[i][0] = sum[i][1] = vzero();
#define STEP(s)                                                                                    \
    do {                                                                                           \
        vf y = vlookup(table, (s) ? vshift_right(codes, 4 * (s)) : codes);                         \
        for (size_t i = 0; i < n_x; i++)                                                           \
            sum[i][(s) % 2] = vfma(y, vload(x + i * x_stride + (s)*W), sum[i][(s) % 2]);           \
    } while (0)
    STEP(0);
    STEP(1);
    STEP(2);
    STEP(3);
    STEP(4);
    STEP(5);
    STEP(6);
    STEP(7);
#undef STEP
    for (size_t i = 0; i < n_x; i++)
        acc[i] = vfma(vadd(sum[i][0], sum[i][1]), scales, acc[i]);
}

INLINE void dot_codes_row(const ib_cpu_dot *j, vtable table, size_t row, const size_t n_x) {
    const ib_weight *w = j->w;
    size_t n_cols = w->m.n_cols, first_group = row * (n_cols / GROUP);
    const uint8_t *codes = (const uint8_t *)w->m.data + row * w->row_bytes;
    vf acc[IB_CPU_DOT_ROWS];
    float scales[SPAN_GROUPS + 2];
    for (size_t i = 0; i < n_x; i++)
        acc[i] = vzero();
    for (size_t span = 0; span < n_cols; span += SPAN) {
        size_t n = n_cols - span < SPAN ? n_cols - span : SPAN, c = 0;
        scales_of_groups(w, first_group + span / GROUP, n / GROUP, scales);
        scales[n / GROUP] = 0;
        for (; c + LOAD <= n; c += LOAD) {
            const uint8_t *p = codes + (span + c) / 2;
            _mm_prefetch((const char *)p + CODES_AHEAD, _MM_HINT_T1);
            add_load(vload_codes(p), table, j->x + span + c, j->x_stride,
                     vgroup_scales(scales + c / GROUP), acc, n_x);
        }
        if (c < n) /* half a load: x is zero beyond */
            add_load(vload_codes_half(codes + (span + c) / 2), table, j->x + span + c, j->x_stride,
                     vgroup_scales(scales + c / GROUP), acc, n_x);
    }
    for (size_t i = 0; i < n_x; i++)
        j->out[i * j->out_stride + row] = vsum(acc[i]);
}

static void dot_codes(const ib_cpu_dot *j) {
    vtable table = vtable_of(j->w->codes);
    for (size_t row = j->row_begin; row < j->row_end; row++)
        switch (j->n_x) {
        case 1:
            dot_codes_row(j, table, row, 1);
            break;
        case 2:
            dot_codes_row(j, table, row, 2);
            break;
        case 3:
            dot_codes_row(j, table, row, 3);
            break;
        default:
            dot_codes_row(j, table, row, 4);
        }
}

INLINE void fill_codes(ib_cpu_kernels *k) {
    k->unpack[IB_TYPE_NF4] = k->unpack[IB_TYPE_FP4] = unpack_codes;
    k->dot[IB_TYPE_NF4] = k->dot[IB_TYPE_FP4] = dot_codes_any;
    k->dot_codes = dot_codes;
    k->prepare_codes = prepare_codes;
}

#endif
