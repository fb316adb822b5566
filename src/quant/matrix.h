/* SPDX-License-Identifier: MIT
 * A weight matrix [n_rows, n_cols] (out features, in features) as it is stored, with the scales
 * that belong to it. Host pointers, all borrowed (usually from a mapped file). This is what a
 * checkpoint hands to a backend, and what the quantizer makes.
 *
 * `data` may be unaligned; absmax, nested_* and scb are always aligned for their type.
 * Meaning of the element (r, c), flat index i = r * n_cols + c:
 *   F32 F16 BF16   the number itself
 *   NF4 FP4        table[nibble i] * absmax(i / blocksize); high nibble of byte i/2 is the even
 * element INT8           data[i] * scb[r] / 127 Q*             the GGUF block formats; every row is
 * a whole number of blocks */
#ifndef IB_QUANT_MATRIX_H
#define IB_QUANT_MATRIX_H

#include "quant/types.h"

typedef struct ib_matrix {
    ib_type type;
    uint64_t n_rows, n_cols;
    const void *data; /* borrowed [data_bytes] */
    uint64_t data_bytes;

    /* NF4, FP4: either absmax, or the nested four */
    uint32_t blocksize;         /* elements per absmax: 32 .. 4096 */
    const float *absmax;        /* borrowed [n_blocks], NULL when nested */
    const uint8_t *absmax_u8;   /* borrowed [n_blocks] */
    const float *nested_absmax; /* borrowed [ceil(n_blocks / nested_blocksize)] */
    const float *nested_map;    /* borrowed [256] */
    float nested_offset;
    uint32_t nested_blocksize; /* 256 */

    /* INT8 */
    const float *scb; /* borrowed [n_rows] */
    float threshold;  /* llm_int8_threshold; 0 = no outlier columns */
} ib_matrix;

extern const float ib_nf4_table[16];
extern const float ib_fp4_table[16];

/* n_rows * n_cols / blocksize rounded up; 0 for other types. */
uint64_t ib_matrix_n_blocks(const ib_matrix *m);
/* The fp32 scale of block b of an NF4 or FP4 matrix (nested: product, then offset, each rounded).
 */
float ib_matrix_absmax(const ib_matrix *m, uint64_t b);
/* Payload plus scales: what a decode step reads of this matrix, and what it occupies. */
uint64_t ib_matrix_bytes(const ib_matrix *m);
/* out[0..n) = elements (row, col .. col+n) as fp32: the scalar reference of every kernel. For block
 * formats col and n are multiples of the block. */
void ib_matrix_decode(const ib_matrix *m, uint64_t row, uint64_t col, uint64_t n, float *out);
/* Whether ib_matrix_decode and the backends know this type as a weight. */
bool ib_matrix_type_supported(ib_type t);

#endif
