/* SPDX-License-Identifier: MIT
 * The loops of the probes over vectors of any width: reading and nothing else, multiplying and
 * adding and nothing else. Included by one kernel file each, after vec_*.h. */
#ifndef IB_BACKEND_CPU_SIMD_PROBE_H
#define IB_BACKEND_CPU_SIMD_PROBE_H

#include "backend/cpu/kernels.h"

#include <string.h>

enum { PROBE_VECS = 8, PROBE_CHAINS = 12 }; /* more chains than latency times units: 4 * 2 */

static uint64_t probe_read(const uint8_t *p, size_t n) {
    vi sum[PROBE_VECS], v;
    uint64_t parts[sizeof(vi) / 8], out = 0;
    memset(sum, 0, sizeof sum);
    for (; n >= sizeof sum; n -= sizeof sum, p += sizeof sum) {
#pragma GCC unroll 8
        for (size_t i = 0; i < PROBE_VECS; i++) {
            memcpy(&v, p + i * sizeof v, sizeof v);
            sum[i] ^= v;
        }
    }
    for (size_t i = 1; i < PROBE_VECS; i++)
        sum[0] ^= sum[i];
    memcpy(parts, &sum[0], sizeof parts);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        out ^= parts[i];
    while (n > 0)
        out ^= p[--n];
    return out;
}

static double probe_multiply_add(size_t steps, float *result) {
    vf acc[PROBE_CHAINS];
    const vf half = vset(0.5f), one = vset(1.0f);
#pragma GCC unroll 12
    for (size_t i = 0; i < PROBE_CHAINS; i++)
        acc[i] = vset((float)i);
    for (size_t s = 0; s < steps; s++) {
#pragma GCC unroll 12
        for (size_t i = 0; i < PROBE_CHAINS; i++)
            acc[i] = vfma(acc[i], half, one);
    }
#pragma GCC unroll 12
    for (size_t i = 1; i < PROBE_CHAINS; i++)
        acc[0] = vadd(acc[0], acc[i]);
    *result = vsum(acc[0]);
    return 2.0 * PROBE_CHAINS * W * (double)steps;
}

static inline void fill_probe(ib_cpu_kernels *k) {
    k->read = probe_read;
    k->multiply_add = probe_multiply_add;
    k->gemm.multiply_add = probe_multiply_add;
}

#endif
