// SPDX-License-Identifier: MIT
// x W^T for few rows of x (decode): every weight byte is read once, whatever the number of rows.
//
// few_plain  any format, fp32 arithmetic: one warp per output, fp32 sums.
// few_codes  NF4 and FP4 by tensor cores. A byte of two codes is looked up in a table of fp16
//            pairs (one copy per lane, so that no two lanes of a warp meet in a bank); x is split
//            into two fp16 numbers whose sum is x to 22 bits, one column of the product for each,
//            and the columns of the two 64-element blocks of a step are kept apart, so that the
//            blocks' scales are applied to fp32 sums. The codes' rounding to fp16 remains.
#include "backend/cuda/kernels/weights.cuh"

namespace {

enum { WARPS = 8, FEW_THREADS = WARPS * WARP, TILE = 16, STEP = 128, AHEAD = 4 };

__device__ __forceinline__ float finish(float sum, const ib_cuda_out &to, uint32_t row) {
    sum *= to.scale;
    return to.bias ? sum + __ldg(to.bias + row) : sum;
}

// Which matrix of the group output `index` belongs to; index becomes its row.
__device__ __forceinline__ int pick(const ib_cuda_few &a, uint32_t &index) {
    int i = 0;
    while (i + 1 < a.n && index >= a.m[i].n_rows) {
        index -= a.m[i].n_rows;
        i++;
    }
    return i;
}

// Sums of one output for up to ROWS rows of x, complete in every lane.
template <class D, int ROWS>
__device__ __forceinline__ void dot(const ib_cuda_matrix &m, const ib_cuda_few &a, uint32_t row,
                                    float sum[ROWS]) {
    const uint32_t whole = m.n_cols / 8;
    const bool vectors = m.n_cols % 4 == 0;
    for (int r = 0; r < ROWS; r++)
        sum[r] = 0;
#ifndef IB_CUDA_EMULATED
#pragma unroll(D::PLAIN &&ROWS == 1 ? 4 : 1)
#endif
    for (uint32_t c = threadIdx.x % WARP; c < whole; c += WARP) {
        float v[8];
        chunk<D>::eight(m, row, c * 8, v);
        for (int r = 0; r < ROWS; r++) {
            if (r >= a.rows)
                break;
            const float *x = a.x + (size_t)r * m.n_cols + c * 8;
            if (vectors) {
                float4 p = __ldg(reinterpret_cast<const float4 *>(x));
                float4 q = __ldg(reinterpret_cast<const float4 *>(x + 4));
                sum[r] += v[0] * p.x + v[1] * p.y + v[2] * p.z + v[3] * p.w + v[4] * q.x +
                          v[5] * q.y + v[6] * q.z + v[7] * q.w;
            } else {
                for (int j = 0; j < 8; j++)
                    sum[r] += v[j] * __ldg(x + j);
            }
        }
    }
    for (uint32_t k = whole * 8 + threadIdx.x % WARP; k < m.n_cols; k += WARP) {
        float v = D::value(m, row, k);
        for (int r = 0; r < ROWS && r < a.rows; r++)
            sum[r] += v * __ldg(a.x + (size_t)r * m.n_cols + k);
    }
    for (int r = 0; r < ROWS; r++)
        sum[r] = warp_sum(sum[r]);
}

template <class D, int ROWS>
__global__ void __launch_bounds__(FEW_THREADS, ROWS == 1 ? 4 : 2)
    few_plain(const __grid_constant__ ib_cuda_few a) {
    uint32_t index = blockIdx.x * WARPS + threadIdx.x / WARP, total = 0;
    for (int i = 0; i < (a.gated ? 1 : a.n); i++)
        total += a.m[i].n_rows;
    if (index >= total) // a whole warp
        return;
    float sum[ROWS], other[ROWS];
    int i = a.gated ? 0 : pick(a, index);
    dot<D, ROWS>(a.m[i], a, index, sum);
    if (a.gated)
        dot<D, ROWS>(a.m[1], a, index, other);
    if (threadIdx.x % WARP != 0)
        return;
    for (int r = 0; r < ROWS && r < a.rows; r++) {
        float v = finish(sum[r], a.to[i], index);
        if (a.gated)
            v = activate(v, a.act) * finish(other[r], a.to[1], index);
        a.to[i].out[(size_t)r * a.m[i].n_rows + index] = v;
    }
}

// ---------------------------------------------------------------- few_codes

// Bytes of shared memory: the table, then x as two fp16 rows for each row, padded to whole steps.
__host__ __device__ __forceinline__ size_t padded(uint32_t n_cols) {
    return ((size_t)n_cols + STEP - 1) / STEP * STEP;
}
size_t codes_bytes(uint32_t n_cols, int rows) {
    return 256 * WARP * 4 + padded(n_cols) * 4 * (size_t)rows;
}

template <int TYPE> __device__ __forceinline__ void fill_table(uint32_t *table) {
    for (int i = threadIdx.x; i < 256 * WARP; i += blockDim.x) {
        int byte = i / WARP; // the high nibble is the element of even index
        table[i] = pack_f16(codes4<TYPE>::decode(byte >> 4), codes4<TYPE>::decode(byte & 15));
    }
}

__device__ __forceinline__ void split_x(const ib_cuda_few &a, uint32_t n_cols, uint16_t *halves) {
    const uint32_t stride = (uint32_t)padded(n_cols);
    for (int r = 0; r < a.rows; r++)
        for (uint32_t k = threadIdx.x; k < stride; k += blockDim.x) {
            float x = k < n_cols ? __ldg(a.x + (size_t)r * n_cols + k) : 0.0f;
            uint32_t high = f16_bits(x);
            halves[(2 * r) * stride + k] = (uint16_t)high;
            halves[(2 * r + 1) * stride + k] = (uint16_t)f16_bits(x - f16_value(high));
        }
}

// The 16 codes' bytes of a lane: rows g and g + 8 of the tile, bytes 16 t .. 16 t + 15 of the step.
struct step_codes {
    uint4 low, high;
    float scale[4]; // row g: blocks A and B; row g + 8: A and B
};

__device__ __forceinline__ void load_step(const ib_cuda_matrix &m, uint32_t row, uint32_t row8,
                                          uint32_t step, step_codes &c) {
    const uint32_t t = threadIdx.x % 4, k = step * STEP + 32 * t, per = m.blocksize / 64;
    const bool inside = k < m.n_cols;
    const uint64_t half = m.n_cols / 2;
    const uint4 none = {0, 0, 0, 0};
    c.low = inside ? stream16(m.data + row * half + k / 2) : none;
    c.high = inside ? stream16(m.data + row8 * half + k / 2) : none;
    const uint32_t units = m.n_cols / 64, a = 2 * step, b = a + 1 < units ? a + 1 : a;
    c.scale[0] = scale_of(m, (row * (uint64_t)units + a) / per);
    c.scale[1] = scale_of(m, (row * (uint64_t)units + b) / per);
    c.scale[2] = scale_of(m, (row8 * (uint64_t)units + a) / per);
    c.scale[3] = scale_of(m, (row8 * (uint64_t)units + b) / per);
}

__device__ __forceinline__ uint32_t byte_of(const uint4 &v, int i) {
    uint32_t w = i < 4 ? v.x : i < 8 ? v.y : i < 12 ? v.z : v.w;
    return w >> (8 * (i & 3)) & 255;
}

// acc[tile][0] += the part of row g, [1] of row g + 8, for this lane's columns.
template <int TILES>
__device__ __forceinline__ void multiply_step(const step_codes &c, const uint32_t *table,
                                              const uint16_t *halves, uint32_t stride, int rows,
                                              uint32_t step, float acc[TILES][2]) {
    const int lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    float sum[TILES][4];
    for (int n = 0; n < TILES; n++)
        for (int i = 0; i < 4; i++)
            sum[n][i] = 0;
    // column g of tile n: x row 2 n + g / 4; its fp16 rest when g & 2; block A when g is even
    for (int half = 0; half < 2; half++) { // eight of the sixteen bytes: four products
        uint4 x[TILES][2];
        for (int n = 0; n < TILES; n++) {
            const int row = 2 * n + g / 4;
            const bool mine = row < rows && (g & 1) == t / 2;
            const uint16_t *from = halves + (size_t)(2 * row + (g >> 1 & 1)) * stride +
                                   step * STEP + 32 * t + 16 * half;
            const uint4 none = {0, 0, 0, 0};
            x[n][0] = mine ? *reinterpret_cast<const uint4 *>(from) : none;
            x[n][1] = mine ? *reinterpret_cast<const uint4 *>(from + 8) : none;
        }
        for (int j = 0; j < 4; j++) {
            const int i = 8 * half + 2 * j;
            const uint32_t a[4] = {table[byte_of(c.low, i) * WARP + lane],
                                   table[byte_of(c.high, i) * WARP + lane],
                                   table[byte_of(c.low, i + 1) * WARP + lane],
                                   table[byte_of(c.high, i + 1) * WARP + lane]};
            for (int n = 0; n < TILES; n++) {
                const uint4 &v = x[n][j / 2];
                const uint32_t b[2] = {j & 1 ? v.z : v.x, j & 1 ? v.w : v.y};
                mma_f16(sum[n], a, b);
            }
        }
    }
    for (int n = 0; n < TILES; n++) {
        acc[n][0] += sum[n][0] * c.scale[0] + sum[n][1] * c.scale[1];
        acc[n][1] += sum[n][2] * c.scale[2] + sum[n][3] * c.scale[3];
    }
}

// Rows first .. first + 15 of one matrix: this warp's share of the steps.
template <int TILES>
__device__ __forceinline__ void tile_sums(const ib_cuda_matrix &m, uint32_t first, int rows,
                                          const uint32_t *table, const uint16_t *halves,
                                          float acc[TILES][2]) {
    const uint32_t g = threadIdx.x % WARP / 4, last = m.n_rows - 1;
    const uint32_t row = min(first + g, last), row8 = min(first + g + 8, last);
    const uint32_t steps = (m.n_cols + STEP - 1) / STEP, stride = (uint32_t)padded(m.n_cols);
    for (int n = 0; n < TILES; n++)
        acc[n][0] = acc[n][1] = 0;
    for (uint32_t base = threadIdx.x / WARP; base < steps; base += WARPS * AHEAD) {
        step_codes c[AHEAD];
#ifndef IB_CUDA_EMULATED
#pragma unroll
#endif
        for (int i = 0; i < AHEAD; i++)
            if (base + i * WARPS < steps)
                load_step(m, row, row8, base + i * WARPS, c[i]);
#ifndef IB_CUDA_EMULATED
#pragma unroll
#endif
        for (int i = 0; i < AHEAD; i++)
            if (base + i * WARPS < steps) // the same for all lanes of a warp
                multiply_step<TILES>(c[i], table, halves, stride, rows, base + i * WARPS, acc);
    }
    for (int n = 0; n < TILES; n++) // fp16 part + rest
        for (int i = 0; i < 2; i++)
            acc[n][i] += __shfl_xor_sync(~0u, acc[n][i], 1);
}

// One block per tile of 16 outputs at a time; the warps share the columns.
template <int TYPE, int TILES>
__global__ void __launch_bounds__(FEW_THREADS, TILES > 2 ? 1 : 2)
    few_codes(const __grid_constant__ ib_cuda_few a, uint32_t n_tiles) {
    IB_DYNAMIC_SHARED(memory);
    __shared__ float parts[2][WARPS][2 * TILES][TILE];
    uint32_t *table = reinterpret_cast<uint32_t *>(memory);
    uint16_t *halves = reinterpret_cast<uint16_t *>(memory + 256 * WARP * 4);
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    const int sides = a.gated ? 2 : 1;
    fill_table<TYPE>(table);
    split_x(a, a.m[0].n_cols, halves);
    __syncthreads();
    for (uint32_t tile = blockIdx.x; tile < n_tiles; tile += gridDim.x) {
        uint32_t first = tile;
        int i = 0;
        while (!a.gated && i + 1 < a.n && first >= (a.m[i].n_rows + TILE - 1) / TILE) {
            first -= (a.m[i].n_rows + TILE - 1) / TILE;
            i++;
        }
        first *= TILE;
        for (int side = 0; side < sides; side++) {
            float acc[TILES][2];
            tile_sums<TILES>(a.m[i + side], first, a.rows, table, halves, acc);
            if (t % 2 == 0)
                for (int n = 0; n < TILES; n++) {
                    parts[side][warp][2 * n + t / 2][g] = acc[n][0];
                    parts[side][warp][2 * n + t / 2][g + 8] = acc[n][1];
                }
        }
        __syncthreads();
        for (int e = threadIdx.x; e < a.rows * TILE; e += FEW_THREADS) {
            const int r = e / TILE;
            const uint32_t row = first + e % TILE;
            float sum[2] = {0, 0};
            for (int side = 0; side < sides; side++)
                for (int w = 0; w < WARPS; w++)
                    sum[side] += parts[side][w][r][e % TILE];
            if (row < a.m[i].n_rows) {
                float v = finish(sum[0], a.to[i], row);
                if (a.gated)
                    v = activate(v, a.act) * finish(sum[1], a.to[1], row);
                a.to[i].out[(size_t)r * a.m[i].n_rows + row] = v;
            }
        }
        __syncthreads();
    }
}

// ---------------------------------------------------------------- launching

enum { CODES_SHARED_MOST = 200 * 1024 };

// Whether few_codes can take the whole group.
bool codes_fit(const ib_cuda_few *a) {
    for (int i = 0; i < a->n; i++) {
        const ib_cuda_matrix *m = &a->m[i];
        if (m->type != a->m[0].type || m->n_cols % 64 || m->blocksize % 64)
            return false;
    }
    int type = a->m[0].type;
    return !a->exact && (type == IB_TYPE_NF4 || type == IB_TYPE_FP4) &&
           codes_bytes(a->m[0].n_cols, a->rows) <= CODES_SHARED_MOST;
}

template <int TYPE, int TILES>
int launch_codes(ib_cuda_stream s, const ib_cuda_few &a, int n_units) {
    size_t bytes = codes_bytes(a.m[0].n_cols, a.rows);
#ifndef IB_CUDA_EMULATED
    cudaError_t e = cudaFuncSetAttribute(few_codes<TYPE, TILES>,
                                         cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
    if (e != cudaSuccess)
        return (int)e;
#endif
    uint32_t n_tiles = 0;
    for (int i = 0; i < (a.gated ? 1 : a.n); i++)
        n_tiles += (a.m[i].n_rows + TILE - 1) / TILE;
    uint32_t grid = (uint32_t)n_units * 2;
    if (grid > n_tiles)
        grid = n_tiles;
    return IB_LAUNCH((few_codes<TYPE, TILES>), dim3(grid), dim3(FEW_THREADS), bytes, s, a, n_tiles);
}

template <int TYPE> int launch_codes(ib_cuda_stream s, const ib_cuda_few &a, int n_units) {
    if (a.rows <= 2)
        return launch_codes<TYPE, 1>(s, a, n_units);
    if (a.rows <= 4)
        return launch_codes<TYPE, 2>(s, a, n_units);
    return launch_codes<TYPE, 4>(s, a, n_units);
}

template <class D> int launch_plain(ib_cuda_stream s, const ib_cuda_few &a) {
    uint32_t outputs = 0;
    for (int i = 0; i < (a.gated ? 1 : a.n); i++)
        outputs += a.m[i].n_rows;
    const dim3 grid((outputs + WARPS - 1) / WARPS), block(FEW_THREADS);
    if constexpr (D::PLAIN) {
        if (a.rows > 1)
            return IB_LAUNCH((few_plain<D, IB_CUDA_FEW_ROWS>), grid, block, 0, s, a);
    }
    return IB_LAUNCH((few_plain<D, 1>), grid, block, 0, s, a);
}

} // namespace

bool ib_cuda_few_takes(const ib_cuda_matrix *m, size_t rows) {
#define IS_PLAIN(D) D::PLAIN
    const bool plain = IB_CUDA_BY_TYPE(m->type, IS_PLAIN, false);
#undef IS_PLAIN
    return rows == 1 || (plain && rows <= IB_CUDA_FEW_ROWS);
}

int ib_cuda_launch_few(ib_cuda_stream s, const ib_cuda_few *a, int n_units) {
    if (codes_fit(a))
        return a->m[0].type == IB_TYPE_NF4 ? launch_codes<IB_TYPE_NF4>(s, *a, n_units)
                                           : launch_codes<IB_TYPE_FP4>(s, *a, n_units);
#define PLAIN(D) launch_plain<D>(s, *a)
    return IB_CUDA_BY_TYPE(a->m[0].type, PLAIN, (int)cudaErrorInvalidValue);
#undef PLAIN
}
