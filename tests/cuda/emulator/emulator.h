// SPDX-License-Identifier: MIT
// CUDA C++ on the processor, for tests: what a kernel file needs so that a C++ compiler takes it.
//
// A block's threads are fibers of one host thread; __syncthreads() and the warp operations switch
// between them, in an order that IB_EMULATOR_ORDER changes, so that a missing barrier shows. Warp
// operations expect all 32 lanes of a warp (or those that have not returned). Blocks run one after
// the other. Device memory is host memory, filled with NaN before its first use.
#ifndef IB_CUDA_EMULATOR_H
#define IB_CUDA_EMULATOR_H

#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

#include "cuda_runtime_api.h"

#define __global__ static
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
struct uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

namespace emu {
struct position {
    dim3 thread, block, block_size, grid_size;
};
extern position at; // of the fiber that runs
void sync_block();
void *shared(size_t bytes_of_kernel_static, const void *key); // block-wide storage by call site
uint8_t *dynamic_shared();
// Every lane of the warp hands in 8 bytes and sees all 32 values (those of lanes that returned: 0).
void exchange(uint64_t mine, uint64_t all[32]);
unsigned lane();
struct launch {
    dim3 grid, block;
    size_t dynamic_bytes;
    std::function<void()> body;
};
cudaError_t run(cudaStream_t s, launch l); // runs, or records while the stream captures
} // namespace emu

#define threadIdx (emu::at.thread)
#define blockIdx (emu::at.block)
#define blockDim (emu::at.block_size)
#define gridDim (emu::at.grid_size)

// __shared__ T name[...]: one storage per block run; blocks run one at a time in one thread.
#define __shared__ static

static inline void __syncthreads() {
    emu::sync_block();
}
static inline void __syncwarp(unsigned = ~0u) {
    uint64_t all[32];
    emu::exchange(0, all);
}
static inline void __threadfence() {}

template <class T> static inline T emu_shuffle(T v, unsigned from) {
    uint64_t mine = 0, all[32];
    static_assert(sizeof(T) <= 8, "shuffle of at most 8 bytes");
    memcpy(&mine, &v, sizeof v);
    emu::exchange(mine, all);
    T out;
    memcpy(&out, &all[from & 31], sizeof out);
    return out;
}
template <class T> static inline T __shfl_sync(unsigned, T v, int from) {
    return emu_shuffle(v, (unsigned)from);
}
template <class T> static inline T __shfl_xor_sync(unsigned, T v, int mask) {
    return emu_shuffle(v, emu::lane() ^ (unsigned)mask);
}
template <class T> static inline T __shfl_down_sync(unsigned, T v, int by) {
    unsigned from = emu::lane() + (unsigned)by;
    return emu_shuffle(v, from < 32 ? from : emu::lane());
}
static inline unsigned __ballot_sync(unsigned, int p) {
    uint64_t all[32];
    unsigned bits = 0;
    emu::exchange(p ? 1 : 0, all);
    for (unsigned i = 0; i < 32; i++)
        bits |= (all[i] ? 1u : 0u) << i;
    return bits;
}

template <class T> static inline T __ldg(const T *p) {
    return *p;
}
template <class T> static inline T __ldcs(const T *p) {
    return *p;
}
static inline float rsqrtf(float x) {
    return 1.0f / sqrtf(x);
}
static inline float __fmul_rn(float a, float b) {
    volatile float p = a * b;
    return p;
}
static inline float __fadd_rn(float a, float b) {
    volatile float s = a + b;
    return s;
}
static inline int __float2int_rn(float x) {
    return (int)lrintf(x);
}
static inline float __uint_as_float(unsigned u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static inline unsigned __float_as_uint(float f) {
    unsigned u;
    memcpy(&u, &f, 4);
    return u;
}
static inline int __dp4a(int a, int b, int c) {
    for (int i = 0; i < 4; i++)
        c += (int)(int8_t)(a >> (8 * i)) * (int)(int8_t)(b >> (8 * i));
    return c;
}
static inline unsigned atomicAdd(unsigned *p, unsigned v) {
    unsigned old = *p;
    *p += v;
    return old;
}
template <class T> static inline T min(T a, T b) {
    return b < a ? b : a;
}
template <class T> static inline T max(T a, T b) {
    return a < b ? b : a;
}

// Half formats by their bits.
float emu_half_to_float(uint16_t h);
uint16_t emu_float_to_half(float f);

#define IB_LAUNCH(kernel, grid, block, bytes, stream, ...)                                         \
    emu::run((stream), {(grid), (block), (bytes), [=] { kernel(__VA_ARGS__); }})

#endif
