/* SPDX-License-Identifier: MIT
 * LLM.int8 (Dettmers 2022), as bitsandbytes' PyTorch path computes it: rows of x are rounded to fp16, then
 * to int8 by their largest entry; columns that hold an entry of at least the threshold in any row are
 * left out and multiplied in fp32. The integer product is exact.
 *   int8_columns   which columns are left out      int8_rows   rows of x -> codes and scales
 *   int8_dot1, 4, 8   up to so many rows of x by ROWS rows of weights: each weight is read once (8 only
 *                   in the form for processors: elsewhere the sums would not fit the registers) */

/* The entry as fp16 holds it. */
static float rounded(float v) {
    ushort bits;
    vstore_half_rte(v, 0, (half *)&bits);
    return vload_half(0, (const half *)&bits);
}

static bool outlies(float v, float threshold) {
    return threshold > 0.0f && fabs(v) >= threshold;
}

/* Range [padded n_cols]: flags beyond the last column are 0. */
KERNEL(LINE) int8_columns(__global const float *x, ulong x_at, __global uchar *flags, uint n_cols,
                          uint padded, uint n_x, float threshold) {
    uint k = get_global_id(0), found = 0;
    if (k >= padded)
        return;
    if (k < n_cols)
        for (uint r = 0; r < n_x; r++)
            found |= outlies(rounded(x[x_at + (ulong)r * n_cols + k]), threshold);
    flags[k] = (uchar)found;
}

/* One work-group per row. */
KERNEL(GROUP) int8_rows(__global const float *x, ulong x_at, __global const uchar *flags,
                        __global char *codes, __global float *scales, uint n_cols, uint padded, uint n_x,
                        float threshold) {
    __local float s[GROUP];
    uint t = get_local_id(0), row = get_group_id(0);
    __global const float *from = x + x_at + (ulong)row * n_cols;
    float most = 0;
    int odd = 0;
    for (uint k = t; k < n_cols; k += GROUP) {
        float v = fabs(rounded(from[k]));
        odd |= isnan(v);
        most = outlies(v, threshold) ? most : fmax(most, v);
    }
    most = group_max(s, t, most);
    if (group_max(s, t, odd ? 1.0f : 0.0f) > 0.0f)
        most = NAN;
    /* PyTorch divides a number by a tensor so: reciprocal first. It decides ties of rounding. */
    float factor = most > 0.0f ? 1.0f / most * 127.0f : 0.0f;
    for (uint k = t; k < padded; k += GROUP) {
        float v = k < n_cols ? rounded(from[k]) : 0.0f;
        bool dropped = outlies(v, threshold) || (n_x > 1 && flags[k]);
        float y = dropped ? 0.0f : v * factor;
        codes[(ulong)row * padded + k] = isfinite(y) ? (char)(int)rint(y) : (char)0;
    }
    if (t == 0)
        scales[row] = most;
}

enum { ROWS = 4 };
#if FORM == SINGLE
#define TEAM_ITEM 0
#define TEAM_INDEX get_group_id(0)
#define TEAM_PLACE(count)
#define TEAM_SUM(v, place) (v)
#elif FORM == LOCAL
#define TEAM_ITEM get_local_id(0)
#define TEAM_INDEX get_group_id(0)
#define TEAM_PLACE(count)                                                                          \
    __local float float_place[GROUP];                                                              \
    __local int int_place[GROUP];
#define TEAM_SUM(v, place) place##_sum(place##_place, lane, v)
static float float_sum(__local float *s, uint t, float v) {
    return group_sum(s, t, v);
}
static int int_sum(__local int *s, uint t, int v) {
    int total = 0;
    s[t] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = 0; i < GROUP; i++)
        total += s[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    return total;
}
#else
#define TEAM_ITEM get_sub_group_local_id()
#define TEAM_INDEX (get_group_id(0) * TEAMS + get_sub_group_id())
#define TEAM_PLACE(count)
#define TEAM_SUM(v, place) sub_group_reduce_add(v)
#endif

static int add8(int8 v) {
    int4 a = v.lo + v.hi;
    int2 b = a.lo + a.hi;
    return b.x + b.y;
}

/* Eight weights of a row from column k on, zeros beyond the row. */
static int8 eight(__global const char *row, uint k, uint n_cols) {
    char v[8];
    if (k + 8 <= n_cols)
        return convert_int8(vload8(0, row + k));
    UNROLL for (uint j = 0; j < 8; j++) v[j] = k + j < n_cols ? row[k + j] : (char)0;
    return (int8)(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]);
}

/* What the columns left out add: weight times x in fp32, eight columns from k on. */
static float left_out(__global const uchar *flags, __global const char *weights,
                      __global const float *x, uint k, uint n) {
    float sum = 0;
    for (uint j = k; j < n; j++)
        sum += flags[j] ? x[j] * (float)weights[j] : 0.0f;
    return sum;
}

/* Groups [teams, ceil(n_x / NX)]. 6.200124e-05 is 1 / 127^2 as the reference spells it. */
#define INT8_DOT(name, NX, NR)                                                                     \
    KERNEL(GROUP) name(__global const char *data, ulong data_at, __global const float *scb,        \
                       __global const char *codes, __global const float *scales,                  \
                       __global const uchar *flags, __global const float *x, ulong x_at,           \
                       __global float *out, ulong out_at, uint n_cols, uint padded, uint n_out,     \
                       uint n_x, __global const float *bias, ulong bias_at, uint has_bias,          \
                       float out_scale) {                                                          \
        TEAM_PLACE(NX)                                                                             \
        uint lane = TEAM_ITEM, n0 = TEAM_INDEX * NR, m0 = get_group_id(1) * NX;                  \
        int acc[NR * NX];                                                                        \
        float rest[NR * NX];                                                                     \
        UNROLL for (uint e = 0; e < NR * NX; e++) {                                                     \
            acc[e] = 0;                                                                            \
            rest[e] = 0;                                                                           \
        }                                                                                          \
        for (uint k = lane * 8; k < n_cols; k += TEAM * 8) {                                       \
            uint n = min(k + 8, n_cols);                                                           \
            ulong kept = *(__global const ulong *)(flags + k);                                     \
            int8 w[NR];                                                                            \
            UNROLL for (uint i = 0; i < NR; i++) w[i] = eight(                                     \
                data + data_at + (ulong)min(n0 + i, n_out - 1) * n_cols, k, n_cols);               \
            UNROLL for (uint r = 0; r < NX; r++) {                                                 \
                ulong m = min(m0 + r, n_x - 1);                                                    \
                int8 v = convert_int8(vload8(0, codes + m * padded + k));                          \
                UNROLL for (uint i = 0; i < NR; i++) acc[i * NX + r] += add8(w[i] * v);            \
                if (kept)                                                                          \
                    UNROLL for (uint i = 0; i < NR; i++) rest[i * NX + r] += left_out(             \
                        flags, data + data_at + (ulong)min(n0 + i, n_out - 1) * n_cols,            \
                        x + x_at + m * n_cols, k, n);                                              \
            }                                                                                      \
        }                                                                                          \
        UNROLL for (uint e = 0; e < NR * NX; e++) {                                                     \
            int whole = TEAM_SUM(acc[e], int);                                                     \
            float part = TEAM_SUM(rest[e], float);                                                 \
            uint row = n0 + e / NX, m = m0 + e % NX;                                               \
            if (lane == 0 && row < n_out && m < n_x) {                                             \
                float y = (float)whole * (scales[m] * scb[row]) * 6.200124e-05f +                  \
                          part * (scb[row] * 7.874015718698502e-3f);                               \
                out[out_at + (ulong)m * n_out + row] =                                             \
                    y * out_scale + (has_bias ? bias[bias_at + row] : 0.0f);                       \
            }                                                                                      \
        }                                                                                          \
    }
INT8_DOT(int8_dot1, 1, ROWS)
#if FORM == SINGLE
INT8_DOT(int8_dot4, 4, ROWS)
INT8_DOT(int8_dot8, 8, ROWS)
#else
INT8_DOT(int8_dot4, 4, ROWS / 2)
#endif
