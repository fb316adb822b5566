/* SPDX-License-Identifier: MIT
 * bitsandbytes 4-bit quantization of fp32 values, bit for bit as its default (PyTorch) path does
 * it, and the 8-bit dynamic map of nested scales. */
#ifndef IB_QUANT_BNB_H
#define IB_QUANT_BNB_H

#include "quant/matrix.h"

/* Whether blocksize is one of 32 64 128 256 512 1024 2048 4096. */
bool ib_bnb_blocksize_ok(uint64_t blocksize);

/* Packs n values (a whole matrix, flat) to codes[ceil(n/2)] and absmax[ceil(n/blocksize)].
 * type is IB_TYPE_NF4 or IB_TYPE_FP4. Works block by block: n may be cut at block boundaries. */
void ib_bnb_quantize(ib_type type, const float *x, uint64_t n, uint32_t blocksize, uint8_t *codes,
                     float *absmax);

/* The 256-entry map of create_dynamic_map(signed, 7, 8), ascending. */
void ib_bnb_dynamic_map(float out[256]);
/* Nested scales: *offset = mean(absmax), summed as PyTorch does on one thread (its own result
 * depends on its threads from 32,768 values on: one ulp, and a few codes); codes[n];
 * nested_absmax[ceil(n/256)]. */
void ib_bnb_nest(const float *absmax, uint64_t n, const float map[256], uint8_t *codes,
                 float *nested_absmax, float *offset);

#endif
