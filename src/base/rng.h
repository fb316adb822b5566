/* SPDX-License-Identifier: MIT
 * The one random generator: xoshiro256** seeded by splitmix64 (Blackman & Vigna 2018). Its name in
 * records is "xoshiro256**". */
#ifndef IB_BASE_RNG_H
#define IB_BASE_RNG_H

#include <stdint.h>

typedef struct ib_rng {
    uint64_t s[4];
} ib_rng;

void ib_rng_init(ib_rng *r, uint64_t seed);
uint64_t ib_rng_u64(ib_rng *r);
uint64_t ib_rng_below(ib_rng *r, uint64_t bound); /* unbiased, bound > 0 */
double ib_rng_unit(ib_rng *r);                    /* [0, 1) with 53 bits */
double ib_rng_normal(ib_rng *r);                  /* mean 0, deviation 1 */

#endif
