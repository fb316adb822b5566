/* SPDX-License-Identifier: MIT
 * See types.h. The tables come from IB_TYPE_TABLE; the half formats are converted with integer
 * arithmetic alone, so that the result does not depend on the machine's rounding mode. */
#include "quant/types.h"

#include "base/checked.h"

#include <string.h>

typedef struct type_info {
    const char *name;
    uint32_t elements, bytes;
} type_info;

static const type_info types[IB_TYPE_COUNT] = {
#define X(id, name, elements, bytes) [IB_TYPE_##id] = {name, elements, bytes},
    IB_TYPE_TABLE(X)
#undef X
};

const char *ib_type_name(ib_type t) {
    return (unsigned)t < IB_TYPE_COUNT ? types[t].name : "unknown";
}

uint32_t ib_type_block_elements(ib_type t) {
    return (unsigned)t < IB_TYPE_COUNT ? types[t].elements : 1;
}

uint32_t ib_type_block_bytes(ib_type t) {
    return (unsigned)t < IB_TYPE_COUNT ? types[t].bytes : 1;
}

bool ib_type_by_name(ib_str name, ib_type *out) {
    for (int i = 0; i < IB_TYPE_COUNT; i++) {
        if (ib_str_is(name, types[i].name)) {
            *out = (ib_type)i;
            return true;
        }
    }
    return false;
}

bool ib_type_bytes(ib_type t, uint64_t n, uint64_t *out) {
    if ((unsigned)t >= IB_TYPE_COUNT || n % types[t].elements != 0)
        return false;
    return ib_mul_u64(n / types[t].elements, types[t].bytes, out);
}

static float float_of(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

float ib_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31u, mantissa = h & 0x3FFu;
    if (exponent == 31)
        return float_of(sign | 0x7F800000u | mantissa << 13);
    if (exponent)
        return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
    if (!mantissa)
        return float_of(sign);
    uint32_t e = 113; /* a subnormal half is a normal float: shift its leading one into place */
    while (!(mantissa & 0x400)) {
        mantissa <<= 1;
        e--;
    }
    return float_of(sign | e << 23 | (mantissa & 0x3FFu) << 13);
}

/* value >> shift, rounded to nearest, ties to even; 1 <= shift <= 31. */
static uint32_t shift_round(uint32_t value, uint32_t shift) {
    uint32_t half = 1u << (shift - 1), rest = value & ((half << 1) - 1), q = value >> shift;
    return q + (rest > half || (rest == half && (q & 1)));
}

uint16_t ib_f32_to_f16(float f) {
    uint32_t x = bits_of(f), sign = x >> 16 & 0x8000u, magnitude = x & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) /* NaN: quiet, upper payload kept */
        return (uint16_t)(sign | 0x7E00u | (magnitude >> 13 & 0x1FFu));
    if (magnitude >= 0x477FF000u) /* rounds to 65536 or more, and infinity */
        return (uint16_t)(sign | 0x7C00u);
    if (magnitude >= 0x38800000u) /* normal: a carry out of the mantissa raises the exponent */
        return (uint16_t)(sign | shift_round(magnitude - 0x38000000u, 13));
    if (magnitude < 0x33000000u) /* below half of the smallest subnormal */
        return (uint16_t)sign;
    uint32_t shift = 126 - (magnitude >> 23), mantissa = (magnitude & 0x7FFFFFu) | 0x800000u;
    return (uint16_t)(sign | shift_round(mantissa, shift));
}

float ib_bf16_to_f32(uint16_t h) {
    return float_of((uint32_t)h << 16);
}

uint16_t ib_f32_to_bf16(float f) {
    uint32_t x = bits_of(f);
    if ((x & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)(x >> 16 | 0x40u);
    return (uint16_t)shift_round(x, 16);
}
