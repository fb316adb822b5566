/* SPDX-License-Identifier: MIT
 * The tier of AVX2, FMA and F16C: the shared SIMD loops over vectors of 8. */
#include "backend/cpu/vec_avx2.h"

#define IB_SIMD_WIDE 0
#include "backend/cpu/simd_gemm.h"
#include "backend/cpu/simd_int16.h"
#include "backend/cpu/simd_matrix.h"
#include "backend/cpu/simd_probe.h"

void ib_cpu_fill_avx2(ib_cpu_kernels *k) {
    fill_math(k);
    fill_matrix(k);
    fill_weights(k);
    fill_codes(k);
    fill_gemm(k);
    fill_probe(k);
}

void ib_cpu_fill_int16_avx2(ib_cpu_kernels *k) {
    fill_int16(k);
}
