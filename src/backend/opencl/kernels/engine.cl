/* SPDX-License-Identifier: MIT
 * Prefill on the matrix engine (cl_intel_subgroup_matrix_multiply_accumulate): weights rounded once to
 * bf16, as the reference does; x as the sum of two bf16, so that its rounding stays below 2^-16; sums in
 * fp32. A sub-group holds SG rows of weights by MX rows of x; the sub-groups of a work-group share x.
 * Groups [ceil(n_out / (TEAMS * SG)), ceil(n_x / MX)].
 * EMULATED: the engine's instruction in plain OpenCL, to prove the layout where there is no engine. */
enum { MX = 32, KX = 32 };

static ushort bf16_of(float v) {
    uint u = as_uint(v);
    return isnan(v) ? (ushort)(u >> 16 | 64) : (ushort)((u + 0x7FFFu + (u >> 16 & 1)) >> 16);
}
static uint pair_of(float a, float b) {
    return (uint)bf16_of(a) | (uint)bf16_of(b) << 16;
}

#if SG == 8
typedef int8 rows_t; /* 8 rows of x: an item holds columns 2 lane and 2 lane + 1 */
#else
typedef short8 rows_t; /* 8 rows of x: an item holds column lane */
#endif
#ifdef EMULATED
static float bf16_value(uint bits) {
    return as_float(bits << 16);
}
static float8 mad_k16(rows_t a, int8 b, float8 acc) {
    int bs[8] = {b.s0, b.s1, b.s2, b.s3, b.s4, b.s5, b.s6, b.s7};
    float sums[8] = {acc.s0, acc.s1, acc.s2, acc.s3, acc.s4, acc.s5, acc.s6, acc.s7};
#if SG == 8
    int as[8] = {a.s0, a.s1, a.s2, a.s3, a.s4, a.s5, a.s6, a.s7};
#else
    int as[8] = {(ushort)a.s0, (ushort)a.s1, (ushort)a.s2, (ushort)a.s3,
                 (ushort)a.s4, (ushort)a.s5, (ushort)a.s6, (ushort)a.s7};
#endif
    UNROLL for (uint r = 0; r < 8; r++)
        for (uint k = 0; k < 16; k++) {
#if SG == 8
            uint x = (uint)sub_group_broadcast(as[r], k / 2) >> (k & 1 ? 16 : 0) & 0xFFFF;
#else
            uint x = (uint)sub_group_broadcast(as[r], k) & 0xFFFF;
#endif
            sums[r] += bf16_value(x) * bf16_value((uint)bs[k / 2] >> (k & 1 ? 16 : 0) & 0xFFFF);
        }
    return (float8)(sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7]);
}
#else
#define mad_k16(a, b, acc) intel_sub_group_bf16_bf16_matrix_mad_k16(a, b, acc)
#endif

/* Rows row .. row + 8 of the shared x, columns k .. k + 16, as the engine wants them. */
static rows_t rows_of(__local const ushort *x, uint row, uint k, uint lane) {
#if SG == 8
#define ROW_OF(r) (*(__local const int *)(x + (row + r) * KX + k + 2 * lane))
#else
#define ROW_OF(r) ((short)x[(row + r) * KX + k + lane])
#endif
    return (rows_t)(ROW_OF(0), ROW_OF(1), ROW_OF(2), ROW_OF(3), ROW_OF(4), ROW_OF(5), ROW_OF(6), ROW_OF(7));
}

static int8 columns_of(const matrix *w, uint row, uint k) {
    float8 a = 0, b = 0;
    if (k < w->n_cols)
        a = value8_or_less(w, row, k);
    if (k + 8 < w->n_cols)
        b = value8_or_less(w, row, k + 8);
    return (int8)((int)pair_of(a.s0, a.s1), (int)pair_of(a.s2, a.s3), (int)pair_of(a.s4, a.s5),
                  (int)pair_of(a.s6, a.s7), (int)pair_of(b.s0, b.s1), (int)pair_of(b.s2, b.s3),
                  (int)pair_of(b.s4, b.s5), (int)pair_of(b.s6, b.s7));
}

KERNEL(GROUP) gemm_engine(LINEAR_PARAMS) {
    const matrix w = MATRIX;
    __local ushort high[MX * KX] __attribute__((aligned(16))), low[MX * KX] __attribute__((aligned(16)));
    uint t = get_local_id(0), lane = get_sub_group_local_id();
    uint n = (get_group_id(0) * TEAMS + get_sub_group_id()) * SG + lane, m0 = get_group_id(1) * MX;
    uint row = min(n, n_out - 1);
    float8 acc[MX / 8] = {0, 0, 0, 0};
    for (uint k0 = 0; k0 < n_cols; k0 += KX) {
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint e = t; e < MX * KX; e += GROUP) {
            uint r = m0 + e / KX, k = k0 + e % KX;
            float v = r < n_x && k < n_cols ? x[x_at + (ulong)r * n_cols + k] : 0.0f;
            high[e] = bf16_of(v);
            low[e] = bf16_of(v - as_float((uint)high[e] << 16));
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint k = 0; k < KX; k += 16) {
            int8 b = columns_of(&w, row, k0 + k);
            UNROLL for (uint i = 0; i < MX / 8; i++) {
                acc[i] = mad_k16(rows_of(high, 8 * i, k, lane), b, acc[i]);
                acc[i] = mad_k16(rows_of(low, 8 * i, k, lane), b, acc[i]);
            }
        }
    }
    UNROLL for (uint i = 0; i < MX / 8; i++) {
        float sums[8] = {acc[i].s0, acc[i].s1, acc[i].s2, acc[i].s3,
                         acc[i].s4, acc[i].s5, acc[i].s6, acc[i].s7};
        UNROLL for (uint r = 0; r < 8; r++)
            if (n < n_out && m0 + 8 * i + r < n_x)
                PUT(m0 + 8 * i + r, n, sums[r]);
    }
}
