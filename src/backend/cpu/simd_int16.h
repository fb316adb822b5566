/* SPDX-License-Identifier: MIT
 * Products of few rows in 16-bit integers, for every quantized format: what `compute auto` may use.
 * Included by a kernel file after simd_codes.h.
 *
 * 64 neighbours of x become 15-bit integers with a scale of their own, once per product. Codes of
 * GGUF formats are whole numbers already; those of NF4 and FP4 become 14-bit ones by a table. The
 * sums of 32 (or 64) products are exact; then they are scaled and summed in fp32. What is lost is
 * the rounding of x, about 3e-5 of the result, and of the NF4 table: together about 8e-5.
 *
 * A thread walks its rows one after the other: their bytes are one stream, prefetched. */
#ifndef IB_BACKEND_CPU_SIMD_INT16_H
#define IB_BACKEND_CPU_SIMD_INT16_H

#include "backend/cpu/simd_codes.h"

enum {
    NF4_UNIT = 8192,
    FP4_UNIT = 8064,
    X_UNIT = 16383,
    SLAB_GROUPS = 1024, /* scales of 4-bit codes that are decoded at a time, for whole rows */
    ROWS_AT_ONCE = 4    /* whose lanes are summed together */
};

/* --- x as integers ---------------------------------------------------------------------------- */

static size_t whole_groups(size_t n) {
    return (n + IB_CPU_CODE_GROUP - 1) / IB_CPU_CODE_GROUP * IB_CPU_CODE_GROUP;
}

/* GROUP columns of x, n of which exist -> integers; returns the scale, NaN when one is not finite.
 */
INLINE float quantize_x(const float *x, size_t n, int16_t *out) {
    vf v[GROUP / W], largest = vzero(), odd = vzero();
    for (size_t i = 0; i < GROUP / W; i++) {
        size_t left = n > i * W ? n - i * W : 0;
        v[i] = left >= W ? vload(x + i * W) : left ? vload_n(x + i * W, left) : vzero();
        largest = vmax(vabs(v[i]), largest);
        odd = vadd(odd, vsub(v[i], v[i]));
    }
    float max = vmax_of(largest), bad = vsum(odd);
    vf factor = vset(max > 0 && max < INFINITY ? X_UNIT / max : 0);
    for (size_t i = 0; i < GROUP / W; i++)
        vstore_i16(out + i * W, vmul(v[i], factor));
    return max / X_UNIT + bad;
}

/* Integers of whole groups in the order of vexpand16, then one scale per 64 columns. */
static void prepare_codes16(const float *x, size_t n, size_t begin, size_t end, float *out) {
    int16_t *to = (int16_t *)(void *)out, sorted[IB_CPU_CODE_GROUP];
    float *scales = out + whole_groups(n) / 2;
    for (size_t g = begin; g < end; g++) {
        for (size_t half = 0; half < 2; half++) {
            size_t first = g * IB_CPU_CODE_GROUP + half * GROUP, left = n > first ? n - first : 0;
            scales[2 * g + half] = quantize_x(x + (left ? first : 0), left < GROUP ? left : GROUP,
                                              sorted + half * GROUP);
        }
        for (size_t load = 0; load < IB_CPU_CODE_GROUP; load += LOAD)
            vorder16(sorted + load, to + g * IB_CPU_CODE_GROUP + load);
    }
}

/* Where the parts of x lie, as prepare_plain16 leaves them: integers, then of each 16 columns the
 * scale and the sum. */
typedef struct x16 {
    const int16_t *q;
    const float *scale, *sum;
} x16;

INLINE x16 x16_at(const ib_cpu_dot *j, size_t i) {
    const float *p = j->x + i * j->x_stride;
    size_t n = whole_groups(j->w->m.n_cols);
    return (x16){(const int16_t *)(const void *)p, p + n / 2, p + n / 2 + n / 16};
}

INLINE int32_t sum16(const int16_t *q) {
    int32_t sum = 0;
    for (size_t i = 0; i < 16; i++)
        sum += q[i];
    return sum;
}

/* Integers in the order of the columns, but where `pairs` says so 16 by 16 crosswise in each 64:
 * the order in which codes of two blocks of 32 come from their low, then their high nibbles. */
INLINE void prepare_blocks16(const float *x, size_t n, size_t begin, size_t end, float *out,
                             const bool pairs) {
    size_t all = whole_groups(n);
    int16_t *to = (int16_t *)(void *)out;
    float *scales = out + all / 2, *sums = scales + all / 16;
    for (size_t first = begin * IB_CPU_CODE_GROUP; first < end * IB_CPU_CODE_GROUP;
         first += GROUP) {
        size_t left = n > first ? n - first : 0;
        int16_t *q = to + first, swapped[16];
        float s = quantize_x(x + (left ? first : 0), left < GROUP ? left : GROUP, q);
        for (size_t i = 0; i < GROUP / 16; i++) {
            scales[first / 16 + i] = s;
            sums[first / 16 + i] = s * (float)sum16(q + 16 * i);
        }
        if (!pairs)
            continue;
        memcpy(swapped, q + 16, sizeof swapped);
        memcpy(q + 16, q + 32, sizeof swapped);
        memcpy(q + 32, swapped, sizeof swapped);
    }
}

static void prepare_plain16(const float *x, size_t n, size_t begin, size_t end, float *out) {
    prepare_blocks16(x, n, begin, end, out, false);
}

static void prepare_pairs16(const float *x, size_t n, size_t begin, size_t end, float *out) {
    prepare_blocks16(x, n, begin, end, out, W16 == 32);
}

/* --- rows ------------------------------------------------------------------------------------- */

/* The sums of the lanes of n <= ROWS_AT_ONCE rows from `row` on, times factor. */
INLINE void put_rows(const ib_cpu_dot *j, size_t row, size_t n, float factor,
                     vf acc[IB_CPU_DOT_ROWS][ROWS_AT_ONCE], const size_t n_x) {
#pragma GCC unroll 4
    for (size_t i = 0; i < n_x; i++) {
        float sums[ROWS_AT_ONCE], *out = j->out + i * j->out_stride + row;
        _mm_storeu_ps(sums, _mm_mul_ps(vsum4(acc[i][0], acc[i][1], acc[i][2], acc[i][3]),
                                       _mm_set1_ps(factor)));
        for (size_t r = 0; r < n; r++)
            out[r] = sums[r];
    }
}

/* One copy of the loops for each number of rows of x. A macro: passed on as a function, the calls
 * would become one before they are inlined. */
#define BY_ROWS_OF_X(j, call)                                                                      \
    switch ((j)->n_x) {                                                                            \
    case 1:                                                                                        \
        call(1);                                                                                   \
        break;                                                                                     \
    case 2:                                                                                        \
        call(2);                                                                                   \
        break;                                                                                     \
    case 3:                                                                                        \
        call(3);                                                                                   \
        break;                                                                                     \
    default:                                                                                       \
        call(4);                                                                                   \
    }

/* --- NF4, FP4 --------------------------------------------------------------------------------- */

INLINE vtable16 integer_table(const ib_weight *w, float unit) {
    int16_t table[16];
    for (size_t i = 0; i < 16; i++)
        table[i] = (int16_t)lrintf(w->codes[i] * unit);
    return vtable16_of(table);
}

INLINE void multiply(const float *a, const float *b, size_t n, float *out) {
    size_t i = 0;
    for (; i + W <= n; i += W)
        vstore(out + i, vmul(vload(a + i), vload(b + i)));
    if (i < n)
        vstore_n(out + i, vmul(vload_n(a + i, n - i), vload_n(b + i, n - i)), n - i);
}

typedef struct row_scales { /* one per group, then a zero for the half load that may follow */
    float of[IB_CPU_DOT_ROWS][SLAB_GROUPS + 2];
} row_scales;

INLINE void add_codes16(vi codes, vtable16 table, const ib_cpu_dot *j, size_t c,
                        const row_scales *scales, vf acc[IB_CPU_DOT_ROWS], const size_t n_x) {
    vi y[4];
    vexpand16(table, codes, y);
#pragma GCC unroll 4
    for (size_t i = 0; i < n_x; i++) {
        const int16_t *x = (const int16_t *)(const void *)(j->x + i * j->x_stride) + c;
        vi sum = vdot_i16(vzero_i(), y[0], vload_i16(x));
        sum = vdot_i16(sum, y[1], vload_i16(x + W16));
        sum = vdot_i16(sum, y[2], vload_i16(x + 2 * W16));
        sum = vdot_i16(sum, y[3], vload_i16(x + 3 * W16));
        acc[i] = vfma(vfrom_i32(sum), vgroup_scales(scales->of[i] + c / GROUP), acc[i]);
    }
}

INLINE void codes16_row(const ib_cpu_dot *j, vtable16 table, size_t row, const float *own,
                        row_scales *scales, vf acc[IB_CPU_DOT_ROWS], const size_t n_x) {
    const ib_weight *w = j->w;
    const size_t n = w->m.n_cols, n_groups = n / GROUP;
    const uint8_t *codes = (const uint8_t *)w->m.data + row * w->row_bytes;
#pragma GCC unroll 4
    for (size_t i = 0; i < n_x; i++) {
        multiply(own, j->x + i * j->x_stride + whole_groups(n) / 2, n_groups, scales->of[i]);
        scales->of[i][n_groups] = 0;
        acc[i] = vzero();
    }
    /* not beyond this thread's rows */
    const size_t left = (j->row_end - row) * w->row_bytes;
    const size_t ahead = left > CODES_AHEAD ? CODES_AHEAD : 0;
    size_t c = 0;
    for (; c + LOAD <= n; c += LOAD) {
        const uint8_t *p = codes + c / 2;
        _mm_prefetch((const char *)p + ahead, _MM_HINT_T1);
        add_codes16(vload_codes(p), table, j, c, scales, acc, n_x);
    }
    if (c < n)
        add_codes16(vload_codes_half(codes + c / 2), table, j, c, scales, acc, n_x);
}

/* Scales are decoded for many rows at a time: rows follow each other, and so do their blocks. */
INLINE void codes16_rows(const ib_cpu_dot *j, const size_t n_x) {
    const size_t n_groups = j->w->m.n_cols / GROUP;
    const size_t slab = SLAB_GROUPS / n_groups > 0 ? SLAB_GROUPS / n_groups : 1;
    const float unit = j->w->m.type == IB_TYPE_NF4 ? NF4_UNIT : FP4_UNIT;
    const vtable16 table = integer_table(j->w, unit);
    float own[SLAB_GROUPS + GROUP];
    row_scales scales;
    for (size_t first = j->row_begin; first < j->row_end; first += slab) {
        size_t n = j->row_end - first < slab ? j->row_end - first : slab;
        scales_of_groups(j->w, first * n_groups, n * n_groups, own);
        for (size_t row = 0; row < n; row += ROWS_AT_ONCE) {
            vf acc[IB_CPU_DOT_ROWS][ROWS_AT_ONCE];
            size_t some = n - row < ROWS_AT_ONCE ? n - row : ROWS_AT_ONCE;
            for (size_t r = 0; r < ROWS_AT_ONCE; r++) {
                vf one[IB_CPU_DOT_ROWS];
#pragma GCC unroll 4
                for (size_t i = 0; i < n_x; i++)
                    one[i] = vzero();
                if (r < some)
                    codes16_row(j, table, first + row + r, own + (row + r) * n_groups, &scales, one,
                                n_x);
#pragma GCC unroll 4
                for (size_t i = 0; i < n_x; i++)
                    acc[i][r] = one[i];
            }
            put_rows(j, first + row, some, 1.0f / unit, acc, n_x);
        }
    }
}

static void dot_codes16(const ib_cpu_dot *j) {
#define CALL(n) codes16_rows(j, n)
    BY_ROWS_OF_X(j, CALL)
#undef CALL
}

/* --- blocks of 32 ----------------------------------------------------------------------------- */

/* W16 / 16 blocks `step` bytes apart -> the codes of their first, then their second 16 elements. */
typedef void pair_codes_fn(const uint8_t *b, size_t step, vh q[2]);

INLINE vh vhlow4(vh v) {
    return vhand(v, vhset(15));
}

INLINE vh vhhigh4(vh v) {
    return vhlow4(vhshift_right(v, 4));
}

INLINE void q4_0_pair(const uint8_t *b, size_t step, vh q[2]) {
    vh v = vhload16(b + 2, step);
    q[0] = vhsub(vhlow4(v), vhset(8));
    q[1] = vhsub(vhhigh4(v), vhset(8));
}

INLINE void q4_1_pair(const uint8_t *b, size_t step, vh q[2]) {
    vh v = vhload16(b + 4, step);
    q[0] = vhlow4(v);
    q[1] = vhhigh4(v);
}

INLINE void q5_0_pair(const uint8_t *b, size_t step, vh q[2]) {
    vh v = vhload16(b + 6, step);
    q[0] = vhsub(vhor(vhlow4(v), vhbits16(b + 2, step, 16)), vhset(16));
    q[1] = vhsub(vhor(vhhigh4(v), vhbits16(b + 4, step, 16)), vhset(16));
}

INLINE void q5_1_pair(const uint8_t *b, size_t step, vh q[2]) {
    vh v = vhload16(b + 8, step);
    q[0] = vhor(vhlow4(v), vhbits16(b + 4, step, 16));
    q[1] = vhor(vhhigh4(v), vhbits16(b + 6, step, 16));
}

INLINE void q8_0_pair(const uint8_t *b, size_t step, vh q[2]) {
    q[0] = vhload16(b + 2, step);
    q[1] = vhload16(b + 18, step);
}

INLINE void iq4_nl_pair(const uint8_t *b, size_t step, vh q[2]) {
    const __m128i table =
        _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
    vh v = vhload16(b + 2, step);
    q[0] = vhlookup(table, vhlow4(v));
    q[1] = vhlookup(table, vhhigh4(v));
}

typedef struct pair_format {
    size_t bytes;
    bool has_min; /* a half behind the scale */
    pair_codes_fn *codes;
} pair_format;

INLINE void add_pair(const pair_format *f, const uint8_t *b, size_t step, size_t c, const x16 *x,
                     vf acc[IB_CPU_DOT_ROWS], const size_t n_x) {
    vh q[2];
    f->codes(b, step, q);
    const vi first = vwiden_i8(q[0]), second = vwiden_i8(q[1]);
    const vf d = vhalves(b, step);
#pragma GCC unroll 4
    for (size_t i = 0; i < n_x; i++) {
        vi sum = vdot_i16(vzero_i(), first, vload_i16(x[i].q + c));
        sum = vdot_i16(sum, second, vload_i16(x[i].q + c + W16));
        acc[i] = vfma(vfrom_i32(sum), vmul(d, vset(x[i].scale[c / 16])), acc[i]);
        if (f->has_min)
            acc[i] = vfma(vhalves(b + 2, step), vpair_sums(x[i].sum + c / 16), acc[i]);
    }
}

INLINE void pair_row(const ib_cpu_dot *j, const pair_format f, size_t row, const x16 *x,
                     vf acc[IB_CPU_DOT_ROWS], const size_t n_x) {
    enum { BLOCKS = W16 / 16 };
    const uint8_t *block = (const uint8_t *)j->w->m.data + row * j->w->row_bytes;
    const uint8_t *end = block + j->w->row_bytes;
    size_t c = 0;
#pragma GCC unroll 4
    for (size_t i = 0; i < n_x; i++)
        acc[i] = vzero();
    for (; block + BLOCKS * f.bytes <= end; block += BLOCKS * f.bytes, c += BLOCKS * 32) {
        _mm_prefetch((const char *)block + AHEAD, _MM_HINT_T1);
        if (BLOCKS * f.bytes > 64)
            _mm_prefetch((const char *)block + AHEAD + 64, _MM_HINT_T1);
        add_pair(&f, block, f.bytes, c, x, acc, n_x);
    }
    if (block < end) /* one block: its second half of the lanes meets zeros of x */
        add_pair(&f, block, 0, c, x, acc, n_x);
}

INLINE void pair_rows(const ib_cpu_dot *j, const pair_format f, const size_t n_x) {
    x16 x[IB_CPU_DOT_ROWS];
#pragma GCC unroll 4
    for (size_t i = 0; i < n_x; i++)
        x[i] = x16_at(j, i);
    for (size_t row = j->row_begin; row < j->row_end; row += ROWS_AT_ONCE) {
        vf acc[IB_CPU_DOT_ROWS][ROWS_AT_ONCE];
        size_t n = j->row_end - row < ROWS_AT_ONCE ? j->row_end - row : ROWS_AT_ONCE;
        for (size_t r = 0; r < ROWS_AT_ONCE; r++) {
            vf one[IB_CPU_DOT_ROWS];
#pragma GCC unroll 4
            for (size_t i = 0; i < n_x; i++)
                one[i] = vzero();
            if (r < n)
                pair_row(j, f, row + r, x, one, n_x);
#pragma GCC unroll 4
            for (size_t i = 0; i < n_x; i++)
                acc[i][r] = one[i];
        }
        put_rows(j, row, n, 1.0f, acc, n_x);
    }
}

/* --- blocks of 256 ---------------------------------------------------------------------------- */

/* Codes of W16 elements from 32 g + W16 p on, signed. */
typedef vh super_codes_fn(const uint8_t *b, size_t g, size_t p);

INLINE vh q2_k_super(const uint8_t *b, size_t g, size_t p) {
    vh v = vhload(b + 16 + 32 * (g / 4) + W16 * p);
    return vhand(g % 4 == 0   ? v
                 : g % 4 == 1 ? vhshift_right(v, 2)
                 : g % 4 == 2 ? vhshift_right(v, 4)
                              : vhshift_right(v, 6),
                 vhset(3));
}

/* Bit g of each byte, as bit `to` (a constant, like g). */
INLINE vh vhbit(vh v, size_t g, size_t to) {
    return vhand(g > to ? vhshift_right(v, (int)(g - to)) : vhshift_left(v, (int)(to - g)),
                 vhset((char)(1 << to)));
}

INLINE vh q3_k_super(const uint8_t *b, size_t g, size_t p) {
    vh high = vhbit(vhload(b + W16 * p), g, 2);
    return vhsub(vhor(q2_k_super(b + 16, g, p), high), vhset(4));
}

INLINE vh q4_k_super(const uint8_t *b, size_t g, size_t p) {
    vh v = vhload(b + 16 + 32 * (g / 2) + W16 * p);
    return g % 2 ? vhhigh4(v) : vhlow4(v);
}

INLINE vh q5_k_super(const uint8_t *b, size_t g, size_t p) {
    return vhor(q4_k_super(b + 32, g, p), vhbit(vhload(b + 16 + W16 * p), g, 4));
}

INLINE vh q6_k_super(const uint8_t *b, size_t g, size_t p) {
    vh v = vhload(b + 64 * (g / 4) + 32 * (g % 2) + W16 * p);
    vh h = vhload(b + 128 + 32 * (g / 4) + W16 * p);
    h = g % 4 == 0   ? vhshift_left(h, 4)
        : g % 4 == 1 ? vhshift_left(h, 2)
        : g % 4 == 2 ? h
                     : vhshift_right(h, 2);
    v = g % 4 < 2 ? vhlow4(v) : vhhigh4(v);
    return vhsub(vhor(v, vhand(h, vhset(0x30))), vhset(32));
}

typedef struct super_format {
    size_t bytes;
    bool has_min, per32; /* a scale for 32 elements, told twice */
    scales_fn *scales;
    super_codes_fn *codes;
} super_format;

/* Codes 32 g .. 32 g + 32 against every x; `scaled` holds scale times scale of x. */
INLINE void add_super(const super_format *f, const uint8_t *b, size_t g, size_t c, const x16 *x,
                      float scaled[IB_CPU_DOT_ROWS][MOST_GROUPS], vf acc[IB_CPU_DOT_ROWS],
                      const size_t n_x) {
    enum { PIECES = 32 / W16 };
    vi y[PIECES];
    for (size_t p = 0; p < PIECES; p++)
        y[p] = vwiden_i8(f->codes(b, g, p));
#pragma GCC unroll 4
    for (size_t i = 0; i < n_x; i++) {
        vi sum = vdot_i16(vzero_i(), y[0], vload_i16(x[i].q + c + 32 * g));
        const float *s = scaled[i] + 2 * g;
        if (PIECES == 2 && !f->per32) {
            acc[i] = vfma(vfrom_i32(sum), vset(*s++), acc[i]);
            sum = vzero_i();
        }
        if (PIECES == 2)
            sum = vdot_i16(sum, y[PIECES - 1], vload_i16(x[i].q + c + 32 * g + W16));
        acc[i] = vfma(vfrom_i32(sum), f->per32 ? vset(*s) : vgroup_scales(s), acc[i]);
    }
}

INLINE void super_row(const ib_cpu_dot *j, const super_format f, size_t row, const x16 *x,
                      vf acc[IB_CPU_DOT_ROWS], const size_t n_x) {
    const uint8_t *b = (const uint8_t *)j->w->m.data + row * j->w->row_bytes;
    float d[MOST_GROUPS], m[MOST_GROUPS], scaled[IB_CPU_DOT_ROWS][MOST_GROUPS];
#pragma GCC unroll 4
    for (size_t i = 0; i < n_x; i++)
        acc[i] = vzero();
    for (size_t c = 0; c < j->w->m.n_cols; c += 256, b += f.bytes) {
        for (size_t ahead = 0; ahead < f.bytes; ahead += 64)
            _mm_prefetch((const char *)b + AHEAD + ahead, _MM_HINT_T1);
        f.scales(b, d, m);
#pragma GCC unroll 4
        for (size_t i = 0; i < n_x; i++)
            for (size_t v = 0; v < MOST_GROUPS; v += W) {
                vstore(scaled[i] + v, vmul(vload(d + v), vload(x[i].scale + c / 16 + v)));
                if (f.has_min)
                    acc[i] = vfma(vload(m + v), vload(x[i].sum + c / 16 + v), acc[i]);
            }
#pragma GCC unroll 8
        for (size_t g = 0; g < 8; g++)
            add_super(&f, b, g, c, x, scaled, acc, n_x);
    }
}

INLINE void super_rows(const ib_cpu_dot *j, const super_format f, const size_t n_x) {
    x16 x[IB_CPU_DOT_ROWS];
#pragma GCC unroll 4
    for (size_t i = 0; i < n_x; i++)
        x[i] = x16_at(j, i);
    for (size_t row = j->row_begin; row < j->row_end; row += ROWS_AT_ONCE) {
        vf acc[IB_CPU_DOT_ROWS][ROWS_AT_ONCE];
        size_t n = j->row_end - row < ROWS_AT_ONCE ? j->row_end - row : ROWS_AT_ONCE;
        for (size_t r = 0; r < ROWS_AT_ONCE; r++) {
            vf one[IB_CPU_DOT_ROWS];
#pragma GCC unroll 4
            for (size_t i = 0; i < n_x; i++)
                one[i] = vzero();
            if (r < n)
                super_row(j, f, row + r, x, one, n_x);
#pragma GCC unroll 4
            for (size_t i = 0; i < n_x; i++)
                acc[i][r] = one[i];
        }
        put_rows(j, row, n, 1.0f, acc, n_x);
    }
}

/* --- the table -------------------------------------------------------------------------------- */

#define PAIR_CALL(n) pair_rows(j, f, n)
#define SUPER_CALL(n) super_rows(j, f, n)
#define PAIR_FORMAT(name, ...)                                                                     \
    static void dot16_##name(const ib_cpu_dot *j) {                                                \
        const pair_format f = {__VA_ARGS__};                                                       \
        BY_ROWS_OF_X(j, PAIR_CALL)                                                                 \
    }
#define SUPER_FORMAT(name, ...)                                                                    \
    static void dot16_##name(const ib_cpu_dot *j) {                                                \
        const super_format f = {__VA_ARGS__};                                                      \
        BY_ROWS_OF_X(j, SUPER_CALL)                                                                \
    }
PAIR_FORMAT(q4_0, 18, false, q4_0_pair)
PAIR_FORMAT(q4_1, 20, true, q4_1_pair)
PAIR_FORMAT(q5_0, 22, false, q5_0_pair)
PAIR_FORMAT(q5_1, 24, true, q5_1_pair)
PAIR_FORMAT(q8_0, 34, false, q8_0_pair)
PAIR_FORMAT(iq4_nl, 18, false, iq4_nl_pair)
SUPER_FORMAT(q2_k, 84, true, false, q2_k_scales, q2_k_super)
SUPER_FORMAT(q3_k, 110, false, false, q3_k_scales, q3_k_super)
SUPER_FORMAT(q4_k, 144, true, true, k4_scales, q4_k_super)
SUPER_FORMAT(q5_k, 176, true, true, k4_scales, q5_k_super)
SUPER_FORMAT(q6_k, 210, false, false, q6_k_scales, q6_k_super)
#undef PAIR_FORMAT
#undef SUPER_FORMAT
#undef PAIR_CALL
#undef SUPER_CALL

INLINE void fill_int16(ib_cpu_kernels *k) {
#define ROW(type, name, order)                                                                     \
    k->dot[IB_TYPE_##type] = dot16_##name;                                                         \
    k->prepare[IB_TYPE_##type] = prepare_##order;
    ROW(Q4_0, q4_0, pairs16)
    ROW(Q4_1, q4_1, pairs16)
    ROW(Q5_0, q5_0, pairs16)
    ROW(Q5_1, q5_1, pairs16)
    ROW(Q8_0, q8_0, pairs16)
    ROW(IQ4_NL, iq4_nl, pairs16)
    ROW(Q2_K, q2_k, plain16)
    ROW(Q3_K, q3_k, plain16)
    ROW(Q4_K, q4_k, plain16)
    ROW(Q5_K, q5_k, plain16)
    ROW(Q6_K, q6_k, plain16)
#undef ROW
    k->dot_codes = dot_codes16;
    k->prepare_codes = prepare_codes16;
    k->integers = true;
}

#endif
