// SPDX-License-Identifier: MIT
// What the device can do at most: a pass that only reads, and matrix products on registers alone.
#include "backend/cuda/kernels/device.cuh"

namespace {

#ifdef IB_CUDA_EMULATED
enum { THREADS = 64, CHAINS = 2, ROUNDS = 1 };
#else
enum { THREADS = 512, CHAINS = 8, ROUNDS = 4096 };
#endif

__global__ void __launch_bounds__(THREADS) read_all(const uint4 *p, size_t n, unsigned *sink) {
    unsigned x = 0;
    const size_t stride = (size_t)gridDim.x * blockDim.x;
#ifndef IB_CUDA_EMULATED
#pragma unroll 8
#endif
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += stride) {
        uint4 v = stream16(p + i);
        x ^= v.x ^ v.y ^ v.z ^ v.w;
    }
    if (x == 0x12345678) // never known to the compiler
        *sink = x;
}

__global__ void __launch_bounds__(THREADS) multiply_all(unsigned *sink) {
    float c[CHAINS][4];
    uint32_t a[4], b[2];
    for (int i = 0; i < 4; i++)
        a[i] = pack_bf16(1.0f, 0.5f) ^ (threadIdx.x << 3 & 0x70);
    for (int i = 0; i < 2; i++)
        b[i] = pack_bf16(0.001f, -0.001f) ^ (threadIdx.x & 7);
    for (int i = 0; i < CHAINS; i++)
        for (int e = 0; e < 4; e++)
            c[i][e] = 0;
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < CHAINS; i++)
            mma_bf16(c[i], a, b);
    float sum = 0;
    for (int i = 0; i < CHAINS; i++)
        sum += c[i][0] + c[i][1] + c[i][2] + c[i][3];
    if (sum == 12345.678f)
        *sink = 1;
}

__global__ void __launch_bounds__(THREADS) add_all(unsigned *sink) {
    float c[CHAINS], a = 1.0f + 1e-7f * threadIdx.x, b = 1e-9f * threadIdx.x;
    for (int i = 0; i < CHAINS; i++)
        c[i] = (float)i;
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < CHAINS; i++)
            c[i] = fmaf(c[i], a, b);
    float sum = 0;
    for (int i = 0; i < CHAINS; i++)
        sum += c[i];
    if (sum == 12345.678f)
        *sink = 1;
}

} // namespace

int ib_cuda_launch_read(ib_cuda_stream s, const void *p, size_t bytes, unsigned *sink,
                        int n_units) {
    const uint4 *from = static_cast<const uint4 *>(p);
    const size_t n = bytes / 16;
    return IB_LAUNCH(read_all, dim3(n_units * 4), dim3(THREADS), 0, s, from, n, sink);
}

int ib_cuda_launch_flops(ib_cuda_stream s, unsigned *sink, int n_units, bool wide, double *flops) {
    const double steps = (double)CHAINS * ROUNDS * THREADS * n_units;
    if (wide) {
        *flops = 2.0 * steps * 4;
        return IB_LAUNCH(add_all, dim3(n_units * 4), dim3(THREADS), 0, s, sink);
    }
    *flops = 2.0 * 16 * 8 * 16 * steps / WARP;
    return IB_LAUNCH(multiply_all, dim3(n_units), dim3(THREADS), 0, s, sink);
}
