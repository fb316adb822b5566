/* SPDX-License-Identifier: MIT
 * Weight matrices of one stored format, built with -D WT_<format>=1 (quant/matrix.h has the layouts), and
 * the embedding. value(w, row, k) is one element; value8 is eight from k on, a multiple of 8, all in the
 * row and below WHOLE. The 4-bit tables are looked up by LOOK: in registers where the form has a way to. */

#pragma OPENCL FP_CONTRACT OFF /* a scale is a product, then a sum, each rounded */

typedef struct {
    __global const uchar *data;
    __global const float *absmax;    /* plain scales */
    __global const uchar *absmax_u8; /* nested scales */
    __global const float *nested_absmax;
    __global const float *nested_map;
    float nested_offset;
    uint shift; /* log2 of the elements that share a scale */
    uint nested, n_cols;
} matrix;

#define MATRIX_PARAMS                                                                              \
    __global const uchar *data, ulong data_at, __global const void *scales,                         \
        __global const float *nested_absmax, __global const float *nested_map, float nested_offset, \
        uint shift, uint nested, uint n_cols
#define MATRIX                                                                                     \
    {data + data_at, (__global const float *)scales, (__global const uchar *)scales, nested_absmax, \
     nested_map, nested_offset, shift, nested, n_cols}

/* The half of block formats, which lies at any even address. */
static float half_at(__global const uchar *p) {
    return vload_half(0, (__global const half *)p);
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
    return table[i & 1 ? b & 15 : b >> 4] * scale_of(w, i >> w->shift);
}
#define HAVE_VALUE8 1
/* Rows that are no multiple of 8 lie across bytes and scales: one element at a time. */
#define WHOLE(n_cols) ((n_cols) & 7 ? 0 : (n_cols))
static float8 value8(const matrix *w, ulong row, uint k) {
    ulong i = row * w->n_cols + k;
    float scale = scale_of(w, i >> w->shift);
    uchar4 b = vload4(0, w->data + (i >> 1));
    return (float8)(table[b.x >> 4], table[b.x & 15], table[b.y >> 4], table[b.y & 15], table[b.z >> 4],
                    table[b.z & 15], table[b.w >> 4], table[b.w & 15]) *
           scale;
}
#elif defined(WT_F32)
static float value(const matrix *w, ulong row, uint k) {
    return ((__global const float *)w->data)[row * w->n_cols + k];
}
#define HAVE_VALUE8 1
static float8 value8(const matrix *w, ulong row, uint k) {
    return vload8(0, (__global const float *)w->data + (row * w->n_cols + k));
}
#elif defined(WT_F16)
static float value(const matrix *w, ulong row, uint k) {
    return vload_half(row * w->n_cols + k, (__global const half *)w->data);
}
#define HAVE_VALUE8 1
static float8 value8(const matrix *w, ulong row, uint k) {
    return vload_half8(0, (__global const half *)w->data + (row * w->n_cols + k));
}
#elif defined(WT_BF16)
static float value(const matrix *w, ulong row, uint k) {
    return as_float((uint)((__global const ushort *)w->data)[row * w->n_cols + k] << 16);
}
#define HAVE_VALUE8 1
static float8 value8(const matrix *w, ulong row, uint k) {
    ushort8 u = vload8(0, (__global const ushort *)w->data + (row * w->n_cols + k));
    return as_float8(convert_uint8(u) << 16);
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
#elif defined(WT_IQ4_NL) || defined(WT_MXFP4)
#ifdef WT_IQ4_NL
enum { BYTES = 18, QS = 2 };
__constant char codes[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
#else /* values doubled, and the scale halved */
enum { BYTES = 17, QS = 1 };
__constant char codes[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
#endif
static float value(const matrix *w, ulong row, uint k) {
    __global const uchar *b = w->data + (row * (w->n_cols / 32) + k / 32) * BYTES;
    uint j = k & 31;
    uint q = j < 16 ? b[QS + j] & 15 : b[QS + j - 16] >> 4;
#ifdef WT_IQ4_NL
    return (float)codes[q] * half_at(b);
#else
    return ldexp((float)codes[q], (int)b[0] - 128);
#endif
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

#ifndef WHOLE
#define WHOLE(n_cols) ((n_cols) & ~7u)
#endif
#ifndef HAVE_VALUE8
static float8 value8(const matrix *w, ulong row, uint k) {
    return (float8)(value(w, row, k), value(w, row, k + 1), value(w, row, k + 2), value(w, row, k + 3),
                    value(w, row, k + 4), value(w, row, k + 5), value(w, row, k + 6), value(w, row, k + 7));
}
#endif

/* Eight elements from k on, zeros beyond the row. */
static float8 value8_or_less(const matrix *w, ulong row, uint k) {
    float v[8];
    if (k + 8 <= WHOLE(w->n_cols))
        return value8(w, row, k);
    UNROLL for (uint j = 0; j < 8; j++)
        v[j] = k + j < w->n_cols ? value(w, row, k + j) : 0.0f;
    return (float8)(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]);
}

/* out[r] = scale * table[ids[r * id_stride]]; range [n_cols, rows]. An id outside of the table gives NaN,
 * which the argmax reports. */
KERNEL(LINE) embed(MATRIX_PARAMS, uint n_rows, __global const int *ids, ulong ids_at, uint id_stride,
                   __global float *out, ulong out_at, float scale) {
    const matrix w = MATRIX;
    uint r = get_group_id(1), k = get_global_id(0), id = (uint)ids[ids_at + (ulong)r * id_stride];
    if (k < n_cols)
        out[out_at + (ulong)r * n_cols + k] = id < n_rows ? value(&w, id, k) * scale : NAN;
}
