/* SPDX-License-Identifier: MIT
 * GGUF block formats, one function each. All arithmetic is fp32 and products are rounded in the
 * order written here, which is the order of the format's reference; multiplications by the integer
 * code come last. Layout of the bytes: spec of GGUF, table "types". */
#include "quant/blocks.h"

#include <math.h>
#include <stddef.h>

static float half_at(const uint8_t *p) {
    return ib_f16_to_f32((uint16_t)(p[0] | p[1] << 8));
}

static uint32_t u32_at(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void decode_q4_0(const uint8_t *b, float *y) {
    float d = half_at(b);
    const uint8_t *qs = b + 2;
    for (int j = 0; j < 16; j++) {
        y[j] = (float)((qs[j] & 15) - 8) * d;
        y[j + 16] = (float)((qs[j] >> 4) - 8) * d;
    }
}

static void decode_q4_1(const uint8_t *b, float *y) {
    float d = half_at(b), m = half_at(b + 2);
    const uint8_t *qs = b + 4;
    for (int j = 0; j < 16; j++) {
        y[j] = (float)(qs[j] & 15) * d + m;
        y[j + 16] = (float)(qs[j] >> 4) * d + m;
    }
}

static int low5(uint8_t q, uint32_t high, int j) {
    return (q & 15) | (int)(high >> j & 1) << 4;
}

static int high5(uint8_t q, uint32_t high, int j) {
    return (q >> 4) | (int)(high >> (j + 16) & 1) << 4;
}

static void decode_q5_0(const uint8_t *b, float *y) {
    float d = half_at(b);
    uint32_t high = u32_at(b + 2);
    const uint8_t *qs = b + 6;
    for (int j = 0; j < 16; j++) {
        y[j] = (float)(low5(qs[j], high, j) - 16) * d;
        y[j + 16] = (float)(high5(qs[j], high, j) - 16) * d;
    }
}

static void decode_q5_1(const uint8_t *b, float *y) {
    float d = half_at(b), m = half_at(b + 2);
    uint32_t high = u32_at(b + 4);
    const uint8_t *qs = b + 8;
    for (int j = 0; j < 16; j++) {
        y[j] = (float)low5(qs[j], high, j) * d + m;
        y[j + 16] = (float)high5(qs[j], high, j) * d + m;
    }
}

static void decode_q8_0(const uint8_t *b, float *y) {
    float d = half_at(b);
    for (int j = 0; j < 32; j++)
        y[j] = (float)(int8_t)b[2 + j] * d;
}

static void decode_q2_k(const uint8_t *b, float *y) {
    const uint8_t *scales = b;
    float d = half_at(b + 80), dmin = half_at(b + 82);
    for (int h = 0; h < 2; h++) {
        const uint8_t *qs = b + 16 + 32 * h;
        for (int j = 0; j < 4; j++) {
            for (int p = 0; p < 2; p++) {
                uint8_t s = scales[8 * h + 2 * j + p];
                float scale = d * (float)(s & 15), low = dmin * (float)(s >> 4);
                for (int l = 0; l < 16; l++)
                    *y++ = scale * (float)(qs[16 * p + l] >> (2 * j) & 3) - low;
            }
        }
    }
}

/* The 16 six-bit scales of Q3_K: low nibbles first, two high bits packed in the last four bytes. */
static void q3_k_scales(const uint8_t *b, uint8_t out[16]) {
    for (int i = 0; i < 4; i++) {
        uint8_t top = b[8 + i];
        out[i] = (uint8_t)((b[i] & 15) | (top & 3) << 4);
        out[4 + i] = (uint8_t)((b[4 + i] & 15) | (top >> 2 & 3) << 4);
        out[8 + i] = (uint8_t)(b[i] >> 4 | (top >> 4 & 3) << 4);
        out[12 + i] = (uint8_t)(b[4 + i] >> 4 | (top >> 6 & 3) << 4);
    }
}

static void decode_q3_k(const uint8_t *b, float *y) {
    const uint8_t *hmask = b;
    float d = half_at(b + 108);
    uint8_t scales[16];
    q3_k_scales(b + 96, scales);
    for (int h = 0; h < 2; h++) {
        const uint8_t *qs = b + 32 + 32 * h;
        for (int j = 0; j < 4; j++) {
            for (int p = 0; p < 2; p++) {
                float scale = d * (float)(scales[8 * h + 2 * j + p] - 32);
                for (int l = 0; l < 16; l++) {
                    int q = qs[16 * p + l] >> (2 * j) & 3;
                    int minus = hmask[16 * p + l] >> (4 * h + j) & 1 ? 0 : 4;
                    *y++ = scale * (float)(q - minus);
                }
            }
        }
    }
}

/* Sub-block i = 0..7 of Q4_K and Q5_K: six bits of scale and of minimum. */
static void k4_scale(const uint8_t *s, int i, float *scale, float *low) {
    if (i < 4) {
        *scale = (float)(s[i] & 63);
        *low = (float)(s[i + 4] & 63);
    } else {
        *scale = (float)((s[i + 4] & 15) | (s[i - 4] >> 6) << 4);
        *low = (float)(s[i + 4] >> 4 | (s[i] >> 6) << 4);
    }
}

/* Q4_K, and Q5_K when qh holds its fifth bits. */
static void decode_k4(const uint8_t *b, const uint8_t *qh, const uint8_t *qs, float *y) {
    float d = half_at(b), dmin = half_at(b + 2);
    for (int i = 0; i < 8; i++) {
        float scale, low;
        k4_scale(b + 4, i, &scale, &low);
        scale = d * scale;
        low = dmin * low;
        const uint8_t *q = qs + (ptrdiff_t)(i / 2) * 32;
        for (int l = 0; l < 32; l++) {
            int v = i % 2 ? q[l] >> 4 : q[l] & 15;
            if (qh)
                v += (qh[l] >> i & 1) << 4;
            *y++ = scale * (float)v - low;
        }
    }
}

static void decode_q4_k(const uint8_t *b, float *y) {
    decode_k4(b, NULL, b + 16, y);
}

static void decode_q5_k(const uint8_t *b, float *y) {
    decode_k4(b, b + 16, b + 48, y);
}

static void decode_q6_k(const uint8_t *b, float *y) {
    float d = half_at(b + 208);
    for (int h = 0; h < 2; h++, y += 128) {
        const uint8_t *ql = b + (ptrdiff_t)64 * h, *qh = b + 128 + (ptrdiff_t)32 * h;
        const uint8_t *sc = b + 192 + (ptrdiff_t)8 * h;
        for (int l = 0; l < 32; l++) {
            for (int part = 0; part < 4; part++) {
                uint8_t low = ql[l + (part & 1) * 32];
                int q = (part < 2 ? low & 15 : low >> 4) | (qh[l] >> (2 * part) & 3) << 4;
                float scale = d * (float)(int8_t)sc[l / 16 + 2 * part];
                y[l + 32 * part] = scale * (float)(q - 32);
            }
        }
    }
}

static void decode_table16(const uint8_t *qs, const int8_t table[16], float d, float *y) {
    for (int j = 0; j < 16; j++) {
        y[j] = d * (float)table[qs[j] & 15];
        y[j + 16] = d * (float)table[qs[j] >> 4];
    }
}

static void decode_iq4_nl(const uint8_t *b, float *y) {
    static const int8_t table[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};
    decode_table16(b + 2, table, half_at(b), y);
}

static void decode_mxfp4(const uint8_t *b, float *y) {
    static const int8_t doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    decode_table16(b + 1, doubled, ldexpf(1.0f, b[0] - 128), y);
}

ib_block_decode *ib_block_decoder(ib_type t) {
    static const struct {
        ib_type type;
        ib_block_decode *decode;
    } table[] = {
        {IB_TYPE_Q4_0, decode_q4_0}, {IB_TYPE_Q4_1, decode_q4_1},   {IB_TYPE_Q5_0, decode_q5_0},
        {IB_TYPE_Q5_1, decode_q5_1}, {IB_TYPE_Q8_0, decode_q8_0},   {IB_TYPE_Q2_K, decode_q2_k},
        {IB_TYPE_Q3_K, decode_q3_k}, {IB_TYPE_Q4_K, decode_q4_k},   {IB_TYPE_Q5_K, decode_q5_k},
        {IB_TYPE_Q6_K, decode_q6_k}, {IB_TYPE_MXFP4, decode_mxfp4}, {IB_TYPE_IQ4_NL, decode_iq4_nl},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].type == t)
            return table[i].decode;
    return NULL;
}
