/* SPDX-License-Identifier: MIT
 * See rng.h. */
#include "base/rng.h"

#include <math.h>

static uint64_t rotl(uint64_t x, int k) {
    return x << k | x >> (64 - k);
}

void ib_rng_init(ib_rng *r, uint64_t seed) {
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        r->s[i] = z ^ z >> 31;
    }
}

uint64_t ib_rng_u64(ib_rng *r) {
    uint64_t *s = r->s, out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return out;
}

uint64_t ib_rng_below(ib_rng *r, uint64_t bound) {
    uint64_t floor = (0 - bound) % bound, x;
    do
        x = ib_rng_u64(r);
    while (x < floor);
    return x % bound;
}

double ib_rng_unit(ib_rng *r) {
    return (double)(ib_rng_u64(r) >> 11) * 0x1p-53;
}

double ib_rng_normal(ib_rng *r) {
    double u = 1.0 - ib_rng_unit(r), v = ib_rng_unit(r);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}
