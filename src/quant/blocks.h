/* SPDX-License-Identifier: MIT
 * Scalar decoding of the GGUF block formats: the reference of every kernel. Private to this module.
 */
#ifndef IB_QUANT_BLOCKS_H
#define IB_QUANT_BLOCKS_H

#include "quant/types.h"

/* out[block elements] from one block's bytes (any alignment). */
typedef void ib_block_decode(const uint8_t *block, float *out);

/* NULL for types that are no GGUF weight block. */
ib_block_decode *ib_block_decoder(ib_type t);

#endif
