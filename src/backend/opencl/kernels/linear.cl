/* SPDX-License-Identifier: MIT
 * out = x W^T * scale + bias for the formats of weights.cl.
 *   gemv1, gemv4   one, or up to four, rows of x (decode): a team of items per ROWS rows of weights.
 *                  Each weight is read and decoded once.
 *   codes1         the same for one row of x and 4-bit codes whose rows are whole blocks of 32
 *   gemm           many rows of x (prefill): weights are decoded once per MB rows of x */

#pragma OPENCL FP_CONTRACT ON

#define LINEAR_PARAMS                                                                              \
    MATRIX_PARAMS, __global const float *x, ulong x_at, __global float *out, ulong out_at,          \
        uint n_out, uint n_x, __global const float *bias, ulong bias_at, uint has_bias,             \
        float out_scale
#define PUT(m, n, v)                                                                               \
    out[out_at + (ulong)(m) * n_out + (n)] = (v) * out_scale + (has_bias ? bias[bias_at + (n)] : 0.0f)

enum { ROWS = 4 };
#if FORM == LOCAL
#define TEAM_PLACE(count) __local float team_sums[(count) * GROUP];
#else
#define TEAM_PLACE(count)
#endif
#if FORM == SINGLE
#define TEAM_ITEM 0
#define TEAM_INDEX get_group_id(0)
#elif FORM == LOCAL
#define TEAM_ITEM get_local_id(0)
#define TEAM_INDEX get_group_id(0)
#else
#define TEAM_ITEM get_sub_group_local_id()
#define TEAM_INDEX (get_group_id(0) * TEAMS + get_sub_group_id())
#endif

/* Sums acc[row * nx + r] over the team and writes out[r0 + r][n0 + row]. */
#if FORM == LOCAL
#define TEAM_PUT(acc, nx, nr, r0, n0)                                                                  \
    {                                                                                              \
        UNROLL for (uint e = 0; e < (nr) * (nx); e++)                                                     \
            team_sums[e * GROUP + lane] = acc[e];                                                  \
        barrier(CLK_LOCAL_MEM_FENCE);                                                              \
        for (uint e = lane; e < (nr) * (nx); e += GROUP) {                                         \
            float s = 0;                                                                           \
            uint n = (n0) + e / (nx), r = (r0) + e % (nx);                                         \
            for (uint j = 0; j < GROUP; j++)                                                       \
                s += team_sums[e * GROUP + j];                                                     \
            if (n < n_out && r < n_x)                                                              \
                PUT(r, n, s);                                                                      \
        }                                                                                          \
    }
#else
#if FORM == SINGLE
#define TEAM_SUM(v) (v)
#else
#define TEAM_SUM(v) sub_group_reduce_add(v)
#endif
#define TEAM_PUT(acc, nx, nr, r0, n0)                                                                  \
    UNROLL for (uint e = 0; e < (nr) * (nx); e++) {                                                       \
        float s = TEAM_SUM(acc[e]);                                                                \
        uint n = (n0) + e / (nx), r = (r0) + e % (nx);                                             \
        if (lane == 0 && n < n_out && r < n_x)                                                     \
            PUT(r, n, s);                                                                          \
    }
#endif

/* What a sum is while it grows: a vector in the form for processors, else one register an item. */
#if FORM == SINGLE
typedef float8 part_t;
#define PART_ADD(part, a, b) (part) = fma(a, b, part)
#define PART_SUM(part) sum8(part)
#else
typedef float part_t;
#define PART_ADD(part, a, b) (part) += dot8(a, b)
#define PART_SUM(part) (part)
#endif

/* NR rows of weights by NX rows of x. Rows beyond the last are clamped to it: read, never written. */
#define GEMV(name, NX, NR)                                                                         \
    KERNEL(GROUP) name(LINEAR_PARAMS) {                                                            \
        const matrix w = MATRIX;                                                                   \
        TEAM_PLACE(NR * NX)                                                                        \
        uint lane = TEAM_ITEM, n0 = TEAM_INDEX * NR, whole = WHOLE(n_cols);                        \
        part_t part[NR * NX];                                                                      \
        float acc[NR * NX];                                                                        \
        UNROLL for (uint e = 0; e < NR * NX; e++) part[e] = 0;                                     \
        for (uint k = lane * 8; k < whole; k += TEAM * 8) {                                        \
            float8 weight[NR];                                                                     \
            UNROLL for (uint i = 0; i < NR; i++) weight[i] =                                       \
                value8(&w, min(n0 + i, n_out - 1), k);                                             \
            UNROLL for (uint r = 0; r < NX; r++) {                                                 \
                float8 v = vload8(0, x + x_at + (ulong)min(r, n_x - 1) * n_cols + k);              \
                UNROLL for (uint i = 0; i < NR; i++)                                               \
                    PART_ADD(part[i * NX + r], weight[i], v);                                      \
            }                                                                                      \
        }                                                                                          \
        UNROLL for (uint e = 0; e < NR * NX; e++) acc[e] = PART_SUM(part[e]);                      \
        for (uint k = whole + lane; k < n_cols; k += TEAM)                                         \
            UNROLL for (uint i = 0; i < NR; i++) {                                                 \
                float weight = value(&w, min(n0 + i, n_out - 1), k);                               \
                UNROLL for (uint r = 0; r < NX; r++)                                               \
                    acc[i * NX + r] += weight * x[x_at + (ulong)min(r, n_x - 1) * n_cols + k];     \
            }                                                                                      \
        TEAM_PUT(acc, NX, NR, 0, n0)                                                               \
    }
GEMV(gemv1, 1, ROWS)
#if FORM == SINGLE
GEMV(gemv4, 4, ROWS)
#else /* fewer rows of weights: 128 registers have to do */
GEMV(gemv4, 4, ROWS / 2)
#endif

#if defined(WT_NF4) || defined(WT_FP4)
#if FORM == SINGLE
/* One item: 32 codes a step. The table is one vector of 16 floats; a permutation looks up 16 codes. */
#if defined(__AVX512F__) && defined(__clang__)
#define LOOK(i) __builtin_ia32_permvarsf512(look, i)
#else
static float16 look_up(float16 t, int16 i) {
    return (float16)(table[i.s0], table[i.s1], table[i.s2], table[i.s3], table[i.s4], table[i.s5],
                     table[i.s6], table[i.s7], table[i.s8], table[i.s9], table[i.sa], table[i.sb],
                     table[i.sc], table[i.sd], table[i.se], table[i.sf]);
}
#define LOOK(i) look_up(look, i)
#endif
KERNEL(GROUP) codes1(LINEAR_PARAMS) {
    const matrix w = MATRIX;
    uint lane = 0, n0 = TEAM_INDEX * ROWS;
    float16 look = vload16(0, table), part[ROWS];
    float acc[ROWS];
    UNROLL for (uint i = 0; i < ROWS; i++)
        part[i] = 0;
    for (uint k = 0; k < n_cols; k += 32) {
        float16 a = vload16(0, x + x_at + k), b = vload16(0, x + x_at + k + 16);
        float16 even = (float16)(a.even, b.even), odd = (float16)(a.odd, b.odd);
        UNROLL for (uint i = 0; i < ROWS; i++) {
            ulong at = (ulong)min(n0 + i, n_out - 1) * n_cols + k;
            int16 q = convert_int16(vload16(0, w.data + (at >> 1)));
            float16 sum = fma(LOOK(q & 15), odd, LOOK(q >> 4) * even);
            part[i] = fma(sum, (float16)(scale_of(&w, at >> shift)), part[i]);
        }
    }
    UNROLL for (uint i = 0; i < ROWS; i++)
        acc[i] = sum8(part[i].lo + part[i].hi);
    TEAM_PUT(acc, 1, ROWS, 0, n0)
}
#else
/* An item: 8 codes, one word, a step. */
KERNEL(GROUP) codes1(LINEAR_PARAMS) {
    const matrix w = MATRIX;
    TEAM_PLACE(ROWS)
    uint lane = TEAM_ITEM, n0 = TEAM_INDEX * ROWS;
#if FORM == LOCAL
    __local float look[16];
    if (lane < 16)
        look[lane] = table[lane];
    barrier(CLK_LOCAL_MEM_FENCE);
#define LOOK(i) look[i]
#elif SG == 16
    float look = table[lane];
#define LOOK(i) intel_sub_group_shuffle(look, i)
#elif SG == 8
    float look_low = table[lane], look_high = table[lane + 8];
#define LOOK(i)                                                                                    \
    ((i) & 8 ? intel_sub_group_shuffle(look_high, (i) & 7) : intel_sub_group_shuffle(look_low, (i) & 7))
#else
    float look = table[lane & 15];
#define LOOK(i) intel_sub_group_shuffle(look, i)
#endif
    float acc[ROWS];
    UNROLL for (uint i = 0; i < ROWS; i++)
        acc[i] = 0;
    uint steps = (n_cols + TEAM * 8 - 1) / (TEAM * 8);
    for (uint step = 0; step < steps; step++) { /* all items: a lookup may need its neighbours */
        uint k = (step * TEAM + lane) * 8, inside = k < n_cols;
        float8 v = inside ? vload8(0, x + x_at + k) : (float8)0.0f;
        UNROLL for (uint i = 0; i < ROWS; i++) {
            ulong at = (ulong)min(n0 + i, n_out - 1) * n_cols + (inside ? k : 0);
            uint q = *(__global const uint *)(w.data + (at >> 1));
            float s = LOOK(q >> 4 & 15) * v.s0 + LOOK(q & 15) * v.s1;
            s += LOOK(q >> 12 & 15) * v.s2 + LOOK(q >> 8 & 15) * v.s3;
            s += LOOK(q >> 20 & 15) * v.s4 + LOOK(q >> 16 & 15) * v.s5;
            s += LOOK(q >> 28) * v.s6 + LOOK(q >> 24 & 15) * v.s7;
            acc[i] += s * scale_of(&w, at >> shift);
        }
    }
    TEAM_PUT(acc, 1, ROWS, 0, n0)
}
#endif
#endif

#if FORM == SINGLE
/* An item: 4 rows of weights by MB rows of x, KC columns at a time: they are decoded once, into memory
 * that the first cache holds. Groups [ceil(n_out / 4), ceil(n_x / MB)]. */
enum { MB = 64, KC = 256 };
static void tile4x4(const float *weights, __global const float *x, uint n_cols, uint n, float16 *sums) {
    float16 s[16];
    for (uint e = 0; e < 16; e++)
        s[e] = sums[e];
    for (uint k = 0; k + 16 <= n; k += 16) {
        float16 w0 = vload16(0, weights + k), w1 = vload16(0, weights + KC + k),
                w2 = vload16(0, weights + 2 * KC + k), w3 = vload16(0, weights + 3 * KC + k);
        UNROLL for (uint r = 0; r < 4; r++) {
            float16 v = vload16(0, x + (ulong)r * n_cols + k);
            s[4 * r] = fma(w0, v, s[4 * r]);
            s[4 * r + 1] = fma(w1, v, s[4 * r + 1]);
            s[4 * r + 2] = fma(w2, v, s[4 * r + 2]);
            s[4 * r + 3] = fma(w3, v, s[4 * r + 3]);
        }
    }
    for (uint k = n & ~15u; k < n; k++)
        UNROLL for (uint r = 0; r < 4; r++)
            UNROLL for (uint i = 0; i < 4; i++)
                s[4 * r + i].s0 += weights[i * KC + k] * x[(ulong)r * n_cols + k];
    for (uint e = 0; e < 16; e++)
        sums[e] = s[e];
}
static void tile4x1(const float *weights, __global const float *x, uint n, float16 *sums) {
    UNROLL for (uint i = 0; i < 4; i++)
        for (uint k = 0; k < n; k++)
            sums[i].s0 += weights[i * KC + k] * x[k];
}
KERNEL(1) gemm(LINEAR_PARAMS) {
    const matrix w = MATRIX;
    float weights[4 * KC];
    float16 sums[4 * MB];
    uint n0 = get_group_id(0) * 4, m0 = get_group_id(1) * MB, rows = min((uint)MB, n_x - m0);
    for (uint e = 0; e < 4 * rows; e++)
        sums[e] = 0;
    for (uint k0 = 0; k0 < n_cols; k0 += KC) {
        uint n = min((uint)KC, n_cols - k0);
        UNROLL for (uint i = 0; i < 4; i++)
            for (uint k = 0; k < n; k += 8)
                vstore8(value8_or_less(&w, min(n0 + i, n_out - 1), k0 + k), 0, weights + i * KC + k);
        __global const float *from = x + x_at + (ulong)m0 * n_cols + k0;
        uint m = 0;
        for (; m + 4 <= rows; m += 4)
            tile4x4(weights, from + (ulong)m * n_cols, n_cols, n, sums + 4 * m);
        for (; m < rows; m++)
            tile4x1(weights, from + (ulong)m * n_cols, n, sums + 4 * m);
    }
    for (uint m = 0; m < rows; m++)
        UNROLL for (uint i = 0; i < 4; i++)
            if (n0 + i < n_out)
                PUT(m0 + m, n0 + i, sum8(sums[4 * m + i].lo + sums[4 * m + i].hi));
}
#else
/* Tiles of MB rows of x by MB rows of weights in local memory, DEPTH columns at a time; an item holds
 * 4 x 4 sums. Groups [ceil(n_out / MB), ceil(n_x / MB)] of 256 items. */
enum { MB = 64, DEPTH = 32, PITCH = MB + 4 };
KERNEL(256) gemm(LINEAR_PARAMS) {
    const matrix w = MATRIX;
    __local float ws[DEPTH * PITCH], xs[DEPTH * PITCH];
    uint id = get_local_id(0), tx = id % 16, ty = id / 16;
    uint n0 = get_group_id(0) * MB, m0 = get_group_id(1) * MB;
    uint row = id / 4, col = id % 4 * 8; /* what this item brings: 8 columns of one row */
    float4 acc[4] = {0, 0, 0, 0};
    for (uint k0 = 0; k0 < n_cols; k0 += DEPTH) {
        float8 v = 0, u = 0;
        if (n0 + row < n_out && k0 + col < n_cols)
            v = value8_or_less(&w, n0 + row, k0 + col);
        if (m0 + row < n_x) {
            __global const float *from = x + x_at + (ulong)(m0 + row) * n_cols;
            float tail[8];
            if (k0 + col + 8 <= n_cols)
                u = vload8(0, from + k0 + col);
            else {
                for (uint j = 0; j < 8; j++)
                    tail[j] = k0 + col + j < n_cols ? from[k0 + col + j] : 0.0f;
                u = (float8)(tail[0], tail[1], tail[2], tail[3], tail[4], tail[5], tail[6], tail[7]);
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
#define KEEP(j)                                                                                    \
    ws[(col + 0x##j) * PITCH + row] = v.s##j;                                                      \
    xs[(col + 0x##j) * PITCH + row] = u.s##j;
        KEEP(0) KEEP(1) KEEP(2) KEEP(3) KEEP(4) KEEP(5) KEEP(6) KEEP(7)
        barrier(CLK_LOCAL_MEM_FENCE);
        float4 part[4] = {0, 0, 0, 0}; /* sums of sums: long rows lose less */
        for (uint k = 0; k < DEPTH; k++) {
            float4 b = vload4(0, ws + k * PITCH + 4 * tx), a = vload4(0, xs + k * PITCH + 4 * ty);
            part[0] = fma(a.s0, b, part[0]);
            part[1] = fma(a.s1, b, part[1]);
            part[2] = fma(a.s2, b, part[2]);
            part[3] = fma(a.s3, b, part[3]);
        }
        UNROLL for (uint i = 0; i < 4; i++)
            acc[i] += part[i];
    }
    UNROLL for (uint i = 0; i < 4; i++) {
        uint m = m0 + 4 * ty + i, n = n0 + 4 * tx;
        float sums[4] = {acc[i].s0, acc[i].s1, acc[i].s2, acc[i].s3};
        for (uint j = 0; j < 4; j++)
            if (m < n_x && n + j < n_out)
                PUT(m, n + j, sums[j]);
    }
}
#endif
