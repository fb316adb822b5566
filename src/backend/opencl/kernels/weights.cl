/* SPDX-License-Identifier: MIT
 * Weight matrices of one stored format: embedding rows, matrix times few vectors (decode), matrix times
 * many (prefill). Built once per format with -D WT_<format>=1; see quant/matrix.h for the layouts.
 * value(w, row, k) is one element; value8 fills eight from k, a multiple of 8 within the row. */

typedef struct {
    __global const uchar *data;
    __global const float *absmax;     /* plain scales */
    __global const uchar *absmax_u8;  /* nested scales */
    __global const float *nested_absmax;
    __global const float *nested_map;
    float nested_offset;
    uint blocksize, nested;
    uint n_cols;
} matrix;

/* An unaligned half: payloads of files lie anywhere. */
static float half_at(__global const uchar *p) {
    ushort bits = (ushort)(p[0] | (ushort)p[1] << 8);
    uint sign = (uint)(bits & 0x8000) << 16, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent == 31)
        return as_float(sign | 0x7F800000u | fraction << 13);
    if (exponent == 0)
        return (sign ? -1.0f : 1.0f) * (float)fraction * 0x1p-24f;
    return as_float(sign | (exponent + 112) << 23 | fraction << 13);
}

#if defined(WT_NF4) || defined(WT_FP4)
__constant float table[16] = {
#ifdef WT_NF4
    -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
    -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
    0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
    0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f
#else
    0.0f, 0.005208333333333333f, 0.6666666666666666f, 1.0f, 0.3333333333333333f, 0.5f,
    0.16666666666666666f, 0.25f, -0.0f, -0.005208333333333333f, -0.6666666666666666f, -1.0f,
    -0.3333333333333333f, -0.5f, -0.16666666666666666f, -0.25f
#endif
};
static float scale_of(const matrix *w, ulong block) {
    if (!w->nested)
        return w->absmax[block];
    return w->nested_map[w->absmax_u8[block]] * w->nested_absmax[block >> 8] + w->nested_offset;
}
static float value(const matrix *w, ulong row, uint k) {
    ulong i = row * w->n_cols + k;
    uchar b = w->data[i >> 1];
    return table[i & 1 ? b & 15 : b >> 4] * scale_of(w, i / w->blocksize);
}
#define HAVE_VALUE8 1
static void value8(const matrix *w, ulong row, uint k, float *out) {
    ulong i = row * w->n_cols + k;
    if (i & 1 || (i + 7) / w->blocksize != i / w->blocksize) {
        for (uint j = 0; j < 8; j++)
            out[j] = value(w, row, k + j);
        return;
    }
    float scale = scale_of(w, i / w->blocksize);
    __global const uchar *p = w->data + (i >> 1);
    for (uint j = 0; j < 4; j++) {
        out[2 * j] = table[p[j] >> 4] * scale;
        out[2 * j + 1] = table[p[j] & 15] * scale;
    }
}
#elif defined(WT_F32)
static float value(const matrix *w, ulong row, uint k) {
    __global const uchar *p = w->data + (row * w->n_cols + k) * 4;
    return as_float((uint)p[0] | (uint)p[1] << 8 | (uint)p[2] << 16 | (uint)p[3] << 24);
}
#elif defined(WT_F16)
static float value(const matrix *w, ulong row, uint k) {
    return half_at(w->data + (row * w->n_cols + k) * 2);
}
#elif defined(WT_BF16)
static float value(const matrix *w, ulong row, uint k) {
    __global const uchar *p = w->data + (row * w->n_cols + k) * 2;
    return as_float((uint)p[0] << 16 | (uint)p[1] << 24);
}
#elif defined(WT_Q4_0) || defined(WT_Q4_1) || defined(WT_Q5_0) || defined(WT_Q5_1)
#if defined(WT_Q4_0)
enum { BYTES = 18, QS = 2, QH = 0 };
#elif defined(WT_Q4_1)
enum { BYTES = 20, QS = 4, QH = 0 };
#elif defined(WT_Q5_0)
enum { BYTES = 22, QS = 6, QH = 2 };
#else
enum { BYTES = 24, QS = 8, QH = 4 };
#endif
static float value(const matrix *w, ulong row, uint k) {
    __global const uchar *b = w->data + (row * (w->n_cols / 32) + k / 32) * BYTES;
    uint j = k & 31;
    uint q = j < 16 ? b[QS + j] & 15 : b[QS + j - 16] >> 4;
    float d = half_at(b);
#if defined(WT_Q5_0) || defined(WT_Q5_1)
    q |= (uint)(b[QH + j / 8] >> (j & 7) & 1) << 4;
#endif
#if defined(WT_Q4_0)
    return (float)((int)q - 8) * d;
#elif defined(WT_Q5_0)
    return (float)((int)q - 16) * d;
#else
    return (float)q * d + half_at(b + 2);
#endif
}
#elif defined(WT_Q8_0)
static float value(const matrix *w, ulong row, uint k) {
    __global const uchar *b = w->data + (row * (w->n_cols / 32) + k / 32) * 34;
    return (float)(char)b[2 + (k & 31)] * half_at(b);
}
#elif defined(WT_Q4_K) || defined(WT_Q5_K)
#ifdef WT_Q4_K
enum { BYTES = 144, QS = 16 };
#else
enum { BYTES = 176, QS = 48 };
#endif
static float value(const matrix *w, ulong row, uint k) {
    __global const uchar *b = w->data + (row * (w->n_cols / 256) + k / 256) * BYTES;
    uint e = k & 255, i = e / 32, g = e / 64, l = e & 31, sc, m;
    __global const uchar *s = b + 4;
    if (i < 4) {
        sc = s[i] & 63;
        m = s[i + 4] & 63;
    } else {
        sc = (s[i + 4] & 15) | (uint)(s[i - 4] >> 6) << 4;
        m = (uint)(s[i + 4] >> 4) | (uint)(s[i] >> 6) << 4;
    }
    uchar byte = b[QS + 32 * g + l];
    uint q = i & 1 ? byte >> 4 : byte & 15;
#ifdef WT_Q5_K
    q += (b[16 + l] >> (2 * g + (i & 1)) & 1) ? 16 : 0;
#endif
    return half_at(b) * (float)sc * (float)q - half_at(b + 2) * (float)m;
}
#elif defined(WT_Q6_K)
static float value(const matrix *w, ulong row, uint k) {
    __global const uchar *b = w->data + (row * (w->n_cols / 256) + k / 256) * 210;
    uint e = k & 255, h = e / 128, part = e / 32 & 3, l = e & 31;
    uchar low = b[64 * h + l + (part & 1 ? 32 : 0)];
    uint high = b[128 + 32 * h + l] >> (2 * part) & 3;
    int q = (int)((part < 2 ? low & 15 : low >> 4) | high << 4) - 32;
    float scale = (float)(char)b[192 + 8 * h + l / 16 + 2 * part];
    return half_at(b + 208) * scale * (float)q;
}
#elif defined(WT_Q2_K)
static float value(const matrix *w, ulong row, uint k) {
    __global const uchar *b = w->data + (row * (w->n_cols / 256) + k / 256) * 84;
    uint e = k & 255, h = e / 128, j = e / 32 & 3, p = e / 16 & 1, l = e & 15;
    uint s = b[8 * h + 2 * j + p];
    uint q = b[16 + 32 * h + 16 * p + l] >> (2 * j) & 3;
    return half_at(b + 80) * (float)(s & 15) * (float)q - half_at(b + 82) * (float)(s >> 4);
}
#elif defined(WT_Q3_K)
static float value(const matrix *w, ulong row, uint k) {
    __global const uchar *b = w->data + (row * (w->n_cols / 256) + k / 256) * 110;
    uint e = k & 255, h = e / 128, j = e / 32 & 3, p = e / 16 & 1, l = e & 15, i = 8 * h + 2 * j + p;
    uint low = i < 8 ? b[96 + i] & 15 : b[96 + i - 8] >> 4;
    uint s = low | (uint)(b[104 + (i & 3)] >> (2 * (i / 4)) & 3) << 4;
    int q = (int)(b[32 + 32 * h + 16 * p + l] >> (2 * j) & 3) -
            (b[16 * p + l] >> (4 * h + j) & 1 ? 0 : 4);
    return half_at(b + 108) * (float)((int)s - 32) * (float)q;
}
#endif

#ifndef HAVE_VALUE8
static void value8(const matrix *w, ulong row, uint k, float *out) {
    for (uint j = 0; j < 8; j++)
        out[j] = value(w, row, k + j);
}
#endif

#define MATRIX_PARAMS                                                                              \
    __global const uchar *data, __global const void *scales, __global const float *nested_absmax,  \
        __global const float *nested_map, float nested_offset, uint blocksize, uint nested,        \
        uint n_cols
#define MATRIX                                                                                     \
    {data, (__global const float *)scales, (__global const uchar *)scales, nested_absmax,          \
     nested_map, nested_offset, blocksize, nested, n_cols}

/* out[r] = scale * table[ids[r * id_stride]] */
__kernel void embed(MATRIX_PARAMS, __global const int *ids, ulong ids_at, uint id_stride,
                    __global float *out, ulong out_at, float scale) {
    const matrix w = MATRIX;
    uint r = get_group_id(1), k = get_global_id(0);
    if (k < n_cols)
        out[out_at + (ulong)r * n_cols + k] =
            value(&w, (ulong)ids[ids_at + (ulong)r * id_stride], k) * scale;
}

/* One work-group per weight row: out[r, n] for up to 4 rows of x from row0; each weight is decoded once. */
__kernel void gemv(MATRIX_PARAMS, __global const float *x, ulong x_at, __global float *out,
                   ulong out_at, uint n_out, uint n_x, __global const float *bias, ulong bias_at,
                   uint has_bias, float out_scale) {
    const matrix w = MATRIX;
    __local float sums[4 * GROUP];
    uint n = get_group_id(0), t = get_local_id(0), row0 = get_group_id(1) * 4;
    uint rows = min(n_x - row0, 4u);
    float acc[4] = {0, 0, 0, 0};
    uint whole = n_cols & ~7u;
    for (uint k = t * 8; k < whole; k += GROUP * 8) {
        float v[8];
        value8(&w, n, k, v);
        for (uint r = 0; r < rows; r++) {
            __global const float *xr = x + x_at + (ulong)(row0 + r) * n_cols + k;
            float s = 0;
            for (uint j = 0; j < 8; j++)
                s += v[j] * xr[j];
            acc[r] += s;
        }
    }
    for (uint k = whole + t; k < n_cols; k += GROUP)
        for (uint r = 0; r < rows; r++)
            acc[r] += value(&w, n, k) * x[x_at + (ulong)(row0 + r) * n_cols + k];
    for (uint r = 0; r < 4; r++)
        sums[r * GROUP + t] = acc[r];
    barrier(CLK_LOCAL_MEM_FENCE);
    if (t < rows) {
        float s = 0;
        for (uint j = 0; j < GROUP; j++)
            s += sums[t * GROUP + j];
        s *= out_scale;
        out[out_at + (ulong)(row0 + t) * n_out + n] = has_bias ? s + bias[bias_at + n] : s;
    }
}

/* Tiles of 16 rows of x by 16 weight rows; weights are decoded into local memory once per tile. */
__kernel void gemm(MATRIX_PARAMS, __global const float *x, ulong x_at, __global float *out,
                   ulong out_at, uint n_out, uint n_x, __global const float *bias, ulong bias_at,
                   uint has_bias, float out_scale) {
    const matrix w = MATRIX;
    enum { TILE = 16, DEPTH = 32 };
    __local float ws[TILE][DEPTH + 1], xs[TILE][DEPTH + 1];
    uint tx = get_local_id(0), ty = get_local_id(1);
    uint n = get_group_id(0) * TILE + tx, m0 = get_group_id(1) * TILE, m = m0 + ty;
    uint n0 = get_group_id(0) * TILE, id = ty * TILE + tx;
    float acc = 0;
    for (uint k0 = 0; k0 < n_cols; k0 += DEPTH) {
        for (uint e = id; e < TILE * DEPTH; e += TILE * TILE) {
            uint r = e / DEPTH, k = k0 + e % DEPTH;
            ws[r][e % DEPTH] = n0 + r < n_out && k < n_cols ? value(&w, n0 + r, k) : 0.0f;
            xs[r][e % DEPTH] = m0 + r < n_x && k < n_cols ? x[x_at + (ulong)(m0 + r) * n_cols + k] : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint k = 0; k < DEPTH; k++)
            acc += xs[ty][k] * ws[tx][k];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (m < n_x && n < n_out) {
        acc *= out_scale;
        out[out_at + (ulong)m * n_out + n] = has_bias ? acc + bias[bias_at + n] : acc;
    }
}
