/* SPDX-License-Identifier: MIT
 * Every stored number format, plain or in blocks: one table gives its name, the number of elements
 * of a block and the block's bytes. Layouts are those of the bitsandbytes and GGUF specifications.
 */
#ifndef IB_QUANT_TYPES_H
#define IB_QUANT_TYPES_H

#include "base/str.h"

/* id, name, elements per block, bytes per block. NF4, FP4 and INT8 hold their scales in tensors of
 * their own (ib_matrix), so a block here is what the payload alone holds. */
#define IB_TYPE_TABLE(X)                                                                           \
    X(F32, "F32", 1, 4)                                                                            \
    X(F16, "F16", 1, 2)                                                                            \
    X(BF16, "BF16", 1, 2)                                                                          \
    X(F64, "F64", 1, 8)                                                                            \
    X(BOOL, "BOOL", 1, 1)                                                                          \
    X(U8, "U8", 1, 1)                                                                              \
    X(I8, "I8", 1, 1)                                                                              \
    X(U16, "U16", 1, 2)                                                                            \
    X(I16, "I16", 1, 2)                                                                            \
    X(U32, "U32", 1, 4)                                                                            \
    X(I32, "I32", 1, 4)                                                                            \
    X(U64, "U64", 1, 8)                                                                            \
    X(I64, "I64", 1, 8)                                                                            \
    X(C64, "C64", 1, 8)                                                                            \
    X(F8_E4M3, "F8_E4M3", 1, 1)                                                                    \
    X(F8_E5M2, "F8_E5M2", 1, 1)                                                                    \
    X(F8_E8M0, "F8_E8M0", 1, 1)                                                                    \
    X(F8_E4M3FNUZ, "F8_E4M3FNUZ", 1, 1)                                                            \
    X(F8_E5M2FNUZ, "F8_E5M2FNUZ", 1, 1)                                                            \
    X(F6_E2M3, "F6_E2M3", 4, 3)                                                                    \
    X(F6_E3M2, "F6_E3M2", 4, 3)                                                                    \
    X(F4, "F4", 2, 1)                                                                              \
    X(NF4, "NF4", 2, 1)                                                                            \
    X(FP4, "FP4", 2, 1)                                                                            \
    X(INT8, "INT8", 1, 1)                                                                          \
    X(Q4_0, "Q4_0", 32, 18)                                                                        \
    X(Q4_1, "Q4_1", 32, 20)                                                                        \
    X(Q5_0, "Q5_0", 32, 22)                                                                        \
    X(Q5_1, "Q5_1", 32, 24)                                                                        \
    X(Q8_0, "Q8_0", 32, 34)                                                                        \
    X(Q8_1, "Q8_1", 32, 36)                                                                        \
    X(Q2_K, "Q2_K", 256, 84)                                                                       \
    X(Q3_K, "Q3_K", 256, 110)                                                                      \
    X(Q4_K, "Q4_K", 256, 144)                                                                      \
    X(Q5_K, "Q5_K", 256, 176)                                                                      \
    X(Q6_K, "Q6_K", 256, 210)                                                                      \
    X(Q8_K, "Q8_K", 256, 292)                                                                      \
    X(IQ4_NL, "IQ4_NL", 32, 18)                                                                    \
    X(MXFP4, "MXFP4", 32, 17)                                                                      \
    X(NVFP4, "NVFP4", 64, 36)

typedef enum ib_type {
#define X(id, name, elements, bytes) IB_TYPE_##id,
    IB_TYPE_TABLE(X)
#undef X
        IB_TYPE_COUNT
} ib_type;

const char *ib_type_name(ib_type t);
uint32_t ib_type_block_elements(ib_type t);
uint32_t ib_type_block_bytes(ib_type t);
/* By the exact name of the table; false when unknown. */
bool ib_type_by_name(ib_str name, ib_type *out);
/* Bytes of n elements; false when n is no multiple of the block or the product overflows. */
bool ib_type_bytes(ib_type t, uint64_t n, uint64_t *out);

/* Half formats; rounding to nearest, ties to even; NaN stays NaN. */
float ib_f16_to_f32(uint16_t h);
uint16_t ib_f32_to_f16(float f);
float ib_bf16_to_f32(uint16_t h);
uint16_t ib_f32_to_bf16(float f);

#endif
