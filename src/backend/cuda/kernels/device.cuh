// SPDX-License-Identifier: MIT
// What every kernel file starts from: number formats by their bits, warp and block sums, matrix
// products of a warp (mma.sync), copies into shared memory. With IB_CUDA_EMULATED the same names
// come from the tests' emulator, and the instructions are spelled out.
#ifndef IB_BACKEND_CUDA_DEVICE_CUH
#define IB_BACKEND_CUDA_DEVICE_CUH

#ifdef IB_CUDA_EMULATED
#include "emulator.h"
#define IB_DYNAMIC_SHARED(name) uint8_t *name = emu::dynamic_shared()
#else
#include <cfloat>
#include <cstdint>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#define IB_LAUNCH(kernel, grid, block, bytes, stream, ...)                                         \
    (kernel<<<(grid), (block), (bytes), (stream)>>>(__VA_ARGS__), cudaGetLastError())
#define IB_DYNAMIC_SHARED(name) extern __shared__ __align__(16) uint8_t name[]
#endif

#include "backend/cuda/launch.h"

namespace {

enum { WARP = 32 };

__device__ __forceinline__ int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

__device__ __forceinline__ float bf16_value(uint32_t bits) {
    return __uint_as_float(bits << 16);
}
__device__ __forceinline__ uint32_t bf16_bits(float f) { // to nearest, ties to even; NaN stays NaN
    uint32_t u = __float_as_uint(f);
    if ((u & 0x7FFFFFFF) > 0x7F800000)
        return u >> 16 | 0x40;
    return (u + 0x7FFF + (u >> 16 & 1)) >> 16;
}
__device__ __forceinline__ float f16_value(uint32_t bits) {
#ifdef IB_CUDA_EMULATED
    return emu_half_to_float((uint16_t)bits);
#else
    return __half2float(__ushort_as_half((unsigned short)bits));
#endif
}
__device__ __forceinline__ uint32_t f16_bits(float f) {
#ifdef IB_CUDA_EMULATED
    return emu_float_to_half(f);
#else
    return __half_as_ushort(__float2half_rn(f));
#endif
}
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
#ifdef IB_CUDA_EMULATED
    return bf16_bits(low) | bf16_bits(high) << 16;
#else
    __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<uint32_t *>(&v);
#endif
}
__device__ __forceinline__ uint32_t pack_f16(float low, float high) {
    return f16_bits(low) | f16_bits(high) << 16;
}

__device__ __forceinline__ float warp_sum(float v) {
    for (int d = 16; d > 0; d /= 2)
        v += __shfl_xor_sync(~0u, v, d);
    return v;
}
__device__ __forceinline__ float warp_max(float v) {
    for (int d = 16; d > 0; d /= 2)
        v = fmaxf(v, __shfl_xor_sync(~0u, v, d));
    return v;
}
// Sum over a block of up to 1024 threads; `space` has 33 floats; every thread gets the result.
__device__ __forceinline__ float block_sum(float v, float *space) {
    int warp = threadIdx.x / WARP, n = ceil_div(blockDim.x, WARP);
    v = warp_sum(v);
    if (threadIdx.x % WARP == 0)
        space[warp] = v;
    __syncthreads();
    if (warp == 0) {
        float w = (int)threadIdx.x < n ? space[threadIdx.x] : 0.0f;
        w = warp_sum(w);
        if (threadIdx.x == 0)
            space[32] = w;
    }
    __syncthreads();
    float total = space[32];
    __syncthreads();
    return total;
}

__device__ __forceinline__ float activate(float x, int act) { // ib_act
    if (act == 0)
        return x / (1.0f + expf(-x));
    if (act == 1)
        return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    return 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
}

// c[16, 8] += a[16, 16] b[16, 8], fp32 sums. Lane l, g = l / 4, t = l % 4 holds
//   a: (row g, k 2t..) (row g + 8, k 2t..) (row g, k 2t + 8..) (row g + 8, k 2t + 8..), pairs
//   b: (k 2t.., column g) (k 2t + 8.., column g), pairs
//   c: (row g, columns 2t, 2t + 1) (row g + 8, columns 2t, 2t + 1)
// source: PTX ISA, "Matrix Fragments for mma.m16n8k16"
#ifdef IB_CUDA_EMULATED
template <float (*VALUE)(uint32_t)>
inline void mma_emulated(float c[4], const uint32_t a[4], const uint32_t b[2]) {
    uint64_t low[32], high[32], right[32];
    emu::exchange(a[0] | (uint64_t)a[1] << 32, low);
    emu::exchange(a[2] | (uint64_t)a[3] << 32, high);
    emu::exchange(b[0] | (uint64_t)b[1] << 32, right);
    unsigned g = emu::lane() / 4, t = emu::lane() % 4;
    for (unsigned i = 0; i < 4; i++) {
        unsigned row = i / 2, column = 2 * t + i % 2; // row: 0 = g, 1 = g + 8
        float sum = c[i];
        for (unsigned k = 0; k < 16; k++) {
            unsigned half = k / 8, pair = k % 8 / 2, odd = k & 1;
            uint64_t x = half ? high[g * 4 + pair] : low[g * 4 + pair];
            uint64_t y = right[column * 4 + pair];
            uint32_t av = (uint32_t)(row ? x >> 32 : x), bv = (uint32_t)(half ? y >> 32 : y);
            sum += VALUE(odd ? av >> 16 : av & 0xFFFF) * VALUE(odd ? bv >> 16 : bv & 0xFFFF);
        }
        c[i] = sum;
    }
}
inline void mma_f16(float c[4], const uint32_t a[4], const uint32_t b[2]) {
    mma_emulated<f16_value>(c, a, b);
}
inline void mma_bf16(float c[4], const uint32_t a[4], const uint32_t b[2]) {
    mma_emulated<bf16_value>(c, a, b);
}
// Four 8 x 8 matrices of 16-bit elements from shared memory: lane i hands in row i % 8 of matrix
// i / 8 and gets elements 2t, 2t + 1 of row g of each.
inline void load_matrices(uint32_t r[4], const void *row) {
    uint64_t rows[32];
    emu::exchange((uint64_t)(uintptr_t)row, rows);
    for (unsigned m = 0; m < 4; m++)
        memcpy(&r[m],
               (const uint8_t *)(uintptr_t)rows[m * 8 + emu::lane() / 4] + 4 * (emu::lane() % 4),
               4);
}
// The same, each matrix transposed: elements (2t, g) and (2t + 1, g).
inline void load_matrices_transposed(uint32_t r[4], const void *row) {
    uint64_t rows[32];
    emu::exchange((uint64_t)(uintptr_t)row, rows);
    unsigned g = emu::lane() / 4, t = emu::lane() % 4;
    for (unsigned m = 0; m < 4; m++) {
        uint16_t a, b;
        memcpy(&a, (const uint8_t *)(uintptr_t)rows[m * 8 + 2 * t] + 2 * g, 2);
        memcpy(&b, (const uint8_t *)(uintptr_t)rows[m * 8 + 2 * t + 1] + 2 * g, 2);
        r[m] = a | (uint32_t)b << 16;
    }
}
// 16 bytes from global to shared memory, or zeros.
inline void copy16(void *to, const void *from, bool inside) {
    if (inside)
        memcpy(to, from, 16);
    else
        memset(to, 0, 16);
}
inline void copy_commit() {}
template <int N> inline void copy_wait() {}
inline uint4 stream16(const void *p) {
    uint4 v;
    memcpy(&v, p, 16);
    return v;
}
#else
__device__ __forceinline__ void mma_f16(float c[4], const uint32_t a[4], const uint32_t b[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ __forceinline__ void mma_bf16(float c[4], const uint32_t a[4], const uint32_t b[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ __forceinline__ uint32_t shared_address(const void *p) {
    return (uint32_t)__cvta_generic_to_shared(p);
}
__device__ __forceinline__ void load_matrices(uint32_t r[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row)));
}
__device__ __forceinline__ void load_matrices_transposed(uint32_t r[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row)));
}
__device__ __forceinline__ void copy16(void *to, const void *from, bool inside) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(inside ? 16 : 0));
}
__device__ __forceinline__ void copy_commit() {
    asm volatile("cp.async.commit_group;");
}
template <int N> __device__ __forceinline__ void copy_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N));
}
// 16 bytes that are read once: past the first-level cache.
__device__ __forceinline__ uint4 stream16(const void *p) {
    uint4 v;
    asm("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
        : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
        : "l"(p));
    return v;
}
#endif

} // namespace

#endif
