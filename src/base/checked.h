/* SPDX-License-Identifier: MIT
 * Size arithmetic that cannot wrap. Every size derived from a file goes through these helpers:
 * each returns false on overflow and leaves *out untouched. */
#ifndef IB_BASE_CHECKED_H
#define IB_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool ib_mul_u64(uint64_t a, uint64_t b, uint64_t *out) {
    if (a != 0 && b > UINT64_MAX / a)
        return false;
    *out = a * b;
    return true;
}

static inline bool ib_add_u64(uint64_t a, uint64_t b, uint64_t *out) {
    if (b > UINT64_MAX - a)
        return false;
    *out = a + b;
    return true;
}

static inline bool ib_mul_size(size_t a, size_t b, size_t *out) {
    if (a != 0 && b > SIZE_MAX / a)
        return false;
    *out = a * b;
    return true;
}

static inline bool ib_add_size(size_t a, size_t b, size_t *out) {
    if (b > SIZE_MAX - a)
        return false;
    *out = a + b;
    return true;
}

/* ceil(a / b), b > 0, without overflow. */
static inline uint64_t ib_ceil_div(uint64_t a, uint64_t b) {
    return a / b + (a % b != 0);
}

/* a rounded up to a multiple of b, b > 0. */
static inline bool ib_round_up(uint64_t a, uint64_t b, uint64_t *out) {
    return ib_mul_u64(ib_ceil_div(a, b), b, out);
}

#endif
