// SPDX-License-Identifier: MIT
// x W^T for many rows of x (prefill). A slab of weight rows is expanded (bf16, or fp32 in the exact
// mode) into scratch that stays in the second-level cache, then multiplied: tensor cores on tiles
// of 128 x 128 with three stages of copies in flight, or fp32 tiles of 64 x 64.
#include "backend/cuda/kernels/weights.cuh"

namespace {

enum { THREADS = 256 };

template <class D, bool WIDE>
__global__ void expand(ib_cuda_matrix m, uint32_t first, uint32_t n, void *out) {
    const uint32_t chunks = (m.n_cols + 7) / 8;
    const uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (uint64_t)n * chunks)
        return;
    const uint32_t row = (uint32_t)(i / chunks), k = (uint32_t)(i % chunks) * 8;
    const uint32_t width = min(m.n_cols - k, 8u);
    float v[8];
    if (width == 8)
        chunk<D>::eight(m, first + row, k, v);
    else
        for (uint32_t j = 0; j < width; j++)
            v[j] = D::value(m, first + row, k + j);
    const size_t at = (size_t)row * m.n_cols + k;
    if (WIDE) {
        for (uint32_t j = 0; j < width; j++)
            reinterpret_cast<float *>(out)[at + j] = v[j];
    } else if (width == 8 && m.n_cols % 8 == 0) {
        const uint4 packed = {pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]),
                              pack_bf16(v[6], v[7])};
        *reinterpret_cast<uint4 *>(reinterpret_cast<uint16_t *>(out) + at) = packed;
    } else {
        for (uint32_t j = 0; j < width; j++)
            reinterpret_cast<uint16_t *>(out)[at + j] = (uint16_t)bf16_bits(v[j]);
    }
}

__global__ void round_rows(const float *x, uint16_t *out, size_t n) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = (uint16_t)bf16_bits(x[i]);
}

__device__ __forceinline__ void store(const ib_cuda_gemm &a, int row, int column, float v) {
    if (row >= a.rows || column >= a.n)
        return;
    v *= a.scale;
    a.out[(size_t)row * a.stride + column] = a.bias ? v + __ldg(a.bias + column) : v;
}

// ---------------------------------------------------------------- bf16, tensor cores
enum { BM = 128, BN = 128, BK = 32, LINE = BK + 8, STAGES = 3 }; // LINE: 80 bytes, no bank twice
enum { STAGE_ELEMENTS = (BM + BN) * LINE };

__device__ __forceinline__ void fetch(const ib_cuda_gemm &a, uint16_t *to, int row0, int column0,
                                      int k0) {
    const uint16_t *x = reinterpret_cast<const uint16_t *>(a.x);
    const uint16_t *w = reinterpret_cast<const uint16_t *>(a.w);
    for (int e = threadIdx.x; e < (BM + BN) * (BK / 8); e += THREADS) {
        const int line = e / (BK / 8), k = k0 + e % (BK / 8) * 8;
        const bool left = line < BM;
        const int row = left ? row0 + line : column0 + line - BM;
        const bool inside = k < a.k && row < (left ? a.rows : a.n);
        const uint16_t *from = left ? x : w;
        copy16(to + line * LINE + e % (BK / 8) * 8, inside ? from + (size_t)row * a.k + k : from,
               inside);
    }
}

// A warp's 64 x 32 part of the block's tile.
__device__ __forceinline__ void multiply(const uint16_t *stage, int m0, int n0, float c[4][4][4]) {
    const int lane = threadIdx.x % WARP;
    for (int k = 0; k < BK; k += 16) {
        uint32_t a[4][4], b[4][2];
        for (int i = 0; i < 4; i++) // rows lane % 16, columns k or k + 8
            load_matrices(a[i], stage + (m0 + 16 * i + lane % 16) * LINE + k + lane / 16 * 8);
        for (int j = 0; j < 4; j += 2) { // two groups of 8 columns: their k and k + 8 halves
            uint32_t r[4];
            load_matrices(r, stage + (BM + n0 + 8 * j + lane % 8 + lane / 16 * 8) * LINE + k +
                                 lane / 8 % 2 * 8);
            b[j][0] = r[0];
            b[j][1] = r[1];
            b[j + 1][0] = r[2];
            b[j + 1][1] = r[3];
        }
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++)
                mma_bf16(c[i][j], a[i], b[j]);
    }
}

__global__ void __launch_bounds__(THREADS, 2) gemm_bf16(ib_cuda_gemm a) {
    IB_DYNAMIC_SHARED(memory);
    uint16_t *stages = reinterpret_cast<uint16_t *>(memory);
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int row0 = blockIdx.x * BM, column0 = blockIdx.y * BN;
    const int m0 = warp / 4 * 64, n0 = warp % 4 * 32, steps = ceil_div(a.k, BK);
    float c[4][4][4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            for (int e = 0; e < 4; e++)
                c[i][j][e] = 0;
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < steps)
            fetch(a, stages + s * STAGE_ELEMENTS, row0, column0, s * BK);
        copy_commit();
    }
    for (int s = 0; s < steps; s++) {
        copy_wait<STAGES - 2>();
        __syncthreads();
        const int next = s + STAGES - 1;
        if (next < steps)
            fetch(a, stages + next % STAGES * STAGE_ELEMENTS, row0, column0, next * BK);
        copy_commit();
        multiply(stages + s % STAGES * STAGE_ELEMENTS, m0, n0, c);
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            for (int e = 0; e < 4; e++)
                store(a, row0 + m0 + 16 * i + lane / 4 + e / 2 * 8,
                      column0 + n0 + 8 * j + lane % 4 * 2 + e % 2, c[i][j][e]);
}

// ---------------------------------------------------------------- fp32
enum { WM = 64, WN = 64, WK = 16 };

__device__ __forceinline__ float element(const ib_cuda_gemm &a, const void *p, int row, int n,
                                         int k) {
    if (row >= n || k >= a.k)
        return 0.0f;
    const size_t at = (size_t)row * a.k + k;
    return a.wide ? __ldg(reinterpret_cast<const float *>(p) + at)
                  : bf16_value(__ldg(reinterpret_cast<const uint16_t *>(p) + at));
}

// Also takes bf16 whose rows are no multiple of 16 bytes.
__global__ void __launch_bounds__(THREADS) gemm_f32(ib_cuda_gemm a) {
    __shared__ float xs[WK][WM + 4], ws[WK][WN + 4];
    const int row0 = blockIdx.x * WM, column0 = blockIdx.y * WN;
    const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    float c[4][4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            c[i][j] = 0;
    for (int k0 = 0; k0 < a.k; k0 += WK) {
        for (int e = threadIdx.x; e < WM * WK; e += THREADS) {
            const int line = e / WK, k = e % WK;
            xs[k][line] = element(a, a.x, row0 + line, a.rows, k0 + k);
            ws[k][line] = element(a, a.w, column0 + line, a.n, k0 + k);
        }
        __syncthreads();
        for (int k = 0; k < WK; k++)
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 4; j++)
                    c[i][j] += xs[k][ty * 4 + i] * ws[k][tx * 4 + j];
        __syncthreads();
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            store(a, row0 + ty * 4 + i, column0 + tx * 4 + j, c[i][j]);
}

// out = out * scale + bias, after a product by a library.
__global__ void finish_rows(ib_cuda_gemm a) {
    const int column = blockIdx.y * blockDim.x + threadIdx.x, row = blockIdx.x;
    if (column >= a.n)
        return;
    float v = a.out[(size_t)row * a.stride + column] * a.scale;
    a.out[(size_t)row * a.stride + column] = a.bias ? v + __ldg(a.bias + column) : v;
}

// ---------------------------------------------------------------- LLM.int8 (Dettmers 2022)
// As quant's host path: x rounded to fp16; columns with an entry of at least the threshold in any
// row leave the integer product and are multiplied in fp32.
__device__ __forceinline__ float half_of(float x) {
    return f16_value(f16_bits(x));
}

__global__ void int8_outliers(ib_cuda_int8 a) {
    const uint32_t k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= a.m.n_cols)
        return;
    bool out = false;
    for (int r = 0; r < a.rows && a.m.threshold > 0; r++)
        out |= fabsf(half_of(a.x[(size_t)r * a.m.n_cols + k])) >= a.m.threshold;
    a.outlier[k] = out;
}

// One warp lists the outlying columns in rising order.
__global__ void int8_list(ib_cuda_int8 a) {
    uint32_t n = 0;
    for (uint32_t k0 = 0; k0 < a.m.n_cols; k0 += WARP) {
        const uint32_t k = k0 + threadIdx.x;
        const bool out = k < a.m.n_cols && a.outlier[k];
        const uint32_t bits = __ballot_sync(~0u, out);
        uint32_t before = 0;
        for (uint32_t b = bits & ((1u << threadIdx.x) - 1); b; b &= b - 1)
            before++;
        if (out)
            a.columns[n + before] = k;
        for (uint32_t b = bits; b; b &= b - 1)
            n++;
    }
    if (threadIdx.x == 0)
        *a.n_columns = n;
}

__global__ void int8_quantize(ib_cuda_int8 a) {
    __shared__ float space[WARP];
    const float *x = a.x + (size_t)blockIdx.x * a.m.n_cols;
    int8_t *codes = a.codes + (size_t)blockIdx.x * a.m.n_cols;
    float most = 0;
    bool nan = false;
    for (uint32_t k = threadIdx.x; k < a.m.n_cols; k += blockDim.x) {
        float v = fabsf(half_of(x[k]));
        if (a.m.threshold > 0 && v >= a.m.threshold)
            v = 0;
        nan |= v != v;
        most = fmaxf(most, v);
    }
    most = warp_max(nan ? INFINITY : most);
    if (threadIdx.x % WARP == 0)
        space[threadIdx.x / WARP] = most;
    __syncthreads();
    for (uint32_t w = 0; w < blockDim.x / WARP; w++)
        most = fmaxf(most, space[w]);
    // the reference divides so: reciprocal first
    const float factor = most > 0 && most <= FLT_MAX ? __fmul_rn(1.0f / most, 127.0f) : 0.0f;
    if (threadIdx.x == 0)
        a.row_scale[blockIdx.x] = most <= FLT_MAX ? most : NAN;
    for (uint32_t k = threadIdx.x; k < a.m.n_cols; k += blockDim.x) {
        float v = half_of(x[k]);
        if (a.m.threshold > 0 && fabsf(v) >= a.m.threshold)
            v = 0;
        if (a.rows > 1 && a.outlier[k])
            v = 0;
        v = v * factor;
        codes[k] = fabsf(v) <= 127.5f ? (int8_t)__float2int_rn(v) : (int8_t)0;
    }
}

// One warp per weight row, all rows of x: the weight row is read once from memory.
__global__ void int8_product(ib_cuda_int8 a) {
    const uint32_t row = blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP;
    const uint32_t lane = threadIdx.x % WARP, k_all = a.m.n_cols;
    if (row >= a.m.n_rows)
        return;
    const int8_t *w = reinterpret_cast<const int8_t *>(a.m.data) + (size_t)row * k_all;
    const float scb = __ldg(a.m.scb + row);
    const uint32_t whole = k_all % 4 == 0 ? k_all / 4 : 0, n_columns = *a.n_columns;
    for (int r = 0; r < a.rows; r++) {
        const int8_t *x = a.codes + (size_t)r * k_all;
        int sum = 0;
        float rest = 0;
        for (uint32_t c = lane; c < whole; c += WARP)
            sum = __dp4a(reinterpret_cast<const int *>(w)[c], reinterpret_cast<const int *>(x)[c],
                         sum);
        for (uint32_t k = whole * 4 + lane; k < k_all; k += WARP)
            sum += (int)w[k] * (int)x[k];
        for (uint32_t c = lane; c < n_columns; c += WARP)
            rest += a.x[(size_t)r * k_all + a.columns[c]] *
                    ((float)w[a.columns[c]] * scb * 7.874015718698502e-3f);
        for (int d = 16; d > 0; d /= 2)
            sum += __shfl_xor_sync(~0u, sum, d);
        rest = warp_sum(rest);
        if (lane == 0) {
            float v = (float)sum * (a.row_scale[r] * scb) * 6.200124e-05f + rest; // 1/127^2
            v *= a.to.scale;
            a.to.out[(size_t)r * a.m.n_rows + row] = a.to.bias ? v + __ldg(a.to.bias + row) : v;
        }
    }
}

template <class D>
int expand_of(ib_cuda_stream s, ib_cuda_matrix m, uint32_t first, uint32_t n, void *out,
              bool wide) {
    const uint64_t items = (uint64_t)n * ((m.n_cols + 7) / 8);
    const dim3 grid((unsigned)((items + THREADS - 1) / THREADS)), block(THREADS);
    if (wide)
        return IB_LAUNCH((expand<D, true>), grid, block, 0, s, m, first, n, out);
    return IB_LAUNCH((expand<D, false>), grid, block, 0, s, m, first, n, out);
}

unsigned tiles(int n, int size) {
    return (unsigned)((n + size - 1) / size);
}

} // namespace

int ib_cuda_launch_expand(ib_cuda_stream s, const ib_cuda_matrix *m, uint32_t first, uint32_t n,
                          void *out, bool wide) {
#define EXPAND(D) expand_of<D>(s, *m, first, n, out, wide)
    return IB_CUDA_BY_TYPE(m->type, EXPAND, (int)cudaErrorInvalidValue);
#undef EXPAND
}

int ib_cuda_launch_round(ib_cuda_stream s, const float *x, uint16_t *out, size_t n) {
    return IB_LAUNCH(round_rows, dim3((unsigned)((n + THREADS - 1) / THREADS)), dim3(THREADS), 0, s,
                     x, out, n);
}

int ib_cuda_launch_gemm(ib_cuda_stream s, const ib_cuda_gemm *g) {
    const ib_cuda_gemm a = *g;
    if (a.wide || a.k % 8)
        return IB_LAUNCH(gemm_f32, dim3(tiles(a.rows, WM), tiles(a.n, WN)), dim3(THREADS), 0, s, a);
    const size_t bytes = STAGES * STAGE_ELEMENTS * 2;
#ifndef IB_CUDA_EMULATED
    cudaError_t e =
        cudaFuncSetAttribute(gemm_bf16, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
    if (e != cudaSuccess)
        return (int)e;
#endif
    return IB_LAUNCH(gemm_bf16, dim3(tiles(a.rows, BM), tiles(a.n, BN)), dim3(THREADS), bytes, s,
                     a);
}

int ib_cuda_launch_finish(ib_cuda_stream s, const ib_cuda_gemm *g) {
    const ib_cuda_gemm a = *g;
    return IB_LAUNCH(finish_rows, dim3(a.rows, tiles(a.n, THREADS)), dim3(THREADS), 0, s, a);
}

int ib_cuda_launch_int8(ib_cuda_stream s, const ib_cuda_int8 *p) {
    const ib_cuda_int8 a = *p;
    int code =
        IB_LAUNCH(int8_outliers, dim3(tiles((int)a.m.n_cols, THREADS)), dim3(THREADS), 0, s, a);
    if (!code)
        code = IB_LAUNCH(int8_list, dim3(1), dim3(WARP), 0, s, a);
    if (!code)
        code = IB_LAUNCH(int8_quantize, dim3(a.rows), dim3(THREADS), 0, s, a);
    if (!code)
        code = IB_LAUNCH(int8_product, dim3(tiles((int)a.m.n_rows, THREADS / WARP)), dim3(THREADS),
                         0, s, a);
    return code;
}
