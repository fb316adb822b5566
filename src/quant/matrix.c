/* SPDX-License-Identifier: MIT
 * A stored matrix -> fp32 values, one element or block at a time: slow, simple, and the definition
 * of what every kernel must compute. Products are rounded in the order of matrix.h. */
#include "quant/matrix.h"

#include "base/checked.h"
#include "quant/blocks.h"

#include <string.h>

const float ib_nf4_table[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

/* Sign and three bits, in units of 1/12; not sorted by value. Entry 8 is +0 as in the files'
 * quant_map. */
const float ib_fp4_table[16] = {
    0.0f, 0.0625f / 12,  8.0f / 12,  1.0f,  4.0f / 12,  0.5f,  2.0f / 12,  0.25f,
    0.0f, -0.0625f / 12, -8.0f / 12, -1.0f, -4.0f / 12, -0.5f, -2.0f / 12, -0.25f,
};

static bool is_4bit(ib_type t) {
    return t == IB_TYPE_NF4 || t == IB_TYPE_FP4;
}

uint64_t ib_matrix_n_blocks(const ib_matrix *m) {
    if (!is_4bit(m->type) || !m->blocksize)
        return 0;
    return ib_ceil_div(m->n_rows * m->n_cols, m->blocksize);
}

float ib_matrix_absmax(const ib_matrix *m, uint64_t b) {
    if (m->absmax)
        return m->absmax[b];
    float product = m->nested_map[m->absmax_u8[b]] * m->nested_absmax[b / m->nested_blocksize];
    return product + m->nested_offset;
}

uint64_t ib_matrix_bytes(const ib_matrix *m) {
    uint64_t bytes = m->data_bytes;
    if (m->type == IB_TYPE_INT8)
        bytes += m->n_rows * sizeof(float);
    if (is_4bit(m->type)) {
        uint64_t n = ib_matrix_n_blocks(m);
        if (m->absmax)
            bytes += n * sizeof(float);
        else
            bytes += n + (ib_ceil_div(n, m->nested_blocksize) + 256) * sizeof(float);
    }
    return bytes;
}

static void decode_4bit(const ib_matrix *m, uint64_t first, uint64_t n, float *out) {
    const uint8_t *codes = m->data;
    const float *table = m->type == IB_TYPE_NF4 ? ib_nf4_table : ib_fp4_table;
    uint64_t block = UINT64_MAX;
    float scale = 0;
    for (uint64_t i = first; i < first + n; i++) {
        if (i / m->blocksize != block) {
            block = i / m->blocksize;
            scale = ib_matrix_absmax(m, block);
        }
        uint8_t code = codes[i / 2];
        out[i - first] = table[i % 2 ? code & 15 : code >> 4] * scale;
    }
}

static void decode_halves(const ib_matrix *m, uint64_t first, uint64_t n, float *out) {
    const uint8_t *p = (const uint8_t *)m->data + first * 2;
    for (uint64_t i = 0; i < n; i++) {
        uint16_t h = (uint16_t)(p[2 * i] | p[2 * i + 1] << 8);
        out[i] = m->type == IB_TYPE_F16 ? ib_f16_to_f32(h) : ib_bf16_to_f32(h);
    }
}

static void decode_int8(const ib_matrix *m, uint64_t row, uint64_t first, uint64_t n, float *out) {
    const int8_t *q = (const int8_t *)m->data + first;
    for (uint64_t i = 0; i < n; i++)
        out[i] = (float)q[i] * m->scb[row] * 7.874015718698502e-3f; /* 1/127 of the reference */
}

void ib_matrix_decode(const ib_matrix *m, uint64_t row, uint64_t col, uint64_t n, float *out) {
    uint64_t first = row * m->n_cols + col;
    switch (m->type) {
    case IB_TYPE_F32:
        memcpy(out, (const uint8_t *)m->data + first * 4, (size_t)n * 4);
        return;
    case IB_TYPE_F16:
    case IB_TYPE_BF16:
        decode_halves(m, first, n, out);
        return;
    case IB_TYPE_NF4:
    case IB_TYPE_FP4:
        decode_4bit(m, first, n, out);
        return;
    case IB_TYPE_INT8:
        decode_int8(m, row, first, n, out);
        return;
    default:
        break;
    }
    ib_block_decode *decode = ib_block_decoder(m->type);
    if (!decode) { /* callers ask ib_matrix_type_supported first; silence is not an answer */
        memset(out, 0xFF, (size_t)n * sizeof *out); /* NaN */
        return;
    }
    uint32_t elements = ib_type_block_elements(m->type), bytes = ib_type_block_bytes(m->type);
    const uint8_t *block = (const uint8_t *)m->data + first / elements * bytes;
    for (uint64_t i = 0; i < n; i += elements, block += bytes)
        decode(block, out + i);
}

bool ib_matrix_type_supported(ib_type t) {
    return t == IB_TYPE_F32 || t == IB_TYPE_F16 || t == IB_TYPE_BF16 || t == IB_TYPE_INT8 ||
           is_4bit(t) || ib_block_decoder(t) != NULL;
}
