// SPDX-License-Identifier: MIT
// Everything that touches each activation once: embedding rows, RMSNorm, rotary embedding, writing
// the KV cache, gated activation, sums, argmax.
#include "backend/cuda/kernels/weights.cuh"

namespace {

enum { THREADS = 256 };

template <class D>
__global__ void embed(ib_cuda_matrix m, const int *ids, int id_stride, float *out, float scale) {
    uint32_t k = blockIdx.y * blockDim.x + threadIdx.x, row = blockIdx.x;
    if (k < m.n_cols)
        out[(size_t)row * m.n_cols + k] =
            D::value(m, (uint32_t)ids[(size_t)row * id_stride], k) * scale;
}

// One block per group of columns. With ADD: x += y * scale first.
template <bool ADD>
__global__ void __launch_bounds__(1024)
    norm(ib_cuda_norm a, float *xs, const float *y, float scale) {
    __shared__ float space[33];
    const size_t base = (size_t)blockIdx.x * a.group;
    const float *x = a.x + base;
    float sum = 0;
    for (int k = threadIdx.x; k < a.group; k += blockDim.x) {
        float v = x[k];
        if (ADD) {
            v += y[base + k] * scale;
            xs[base + k] = v;
        }
        sum += v * v;
    }
    float r = 1.0f / sqrtf(block_sum(sum, space) / (float)a.group + a.eps);
    for (int k = threadIdx.x; k < a.group; k += blockDim.x) {
        float w = __ldg(a.weight + k), v = ADD ? xs[base + k] : x[k];
        a.out[base + k] = a.offset_one ? v * r * (1.0f + w) : w * (v * r);
    }
}

__global__ void add(float *x, const float *y, size_t n, float scale) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        x[i] += y[i] * scale;
}

__global__ void gated(const float *gate, const float *up, float *out, size_t n, int act) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = activate(gate[i], act) * up[i];
}

__global__ void rope(ib_cuda_rope a) {
    int row = blockIdx.x, head = blockIdx.y, j = blockIdx.z * blockDim.x + threadIdx.x;
    if (j >= a.n_rot / 2)
        return;
    size_t position = (size_t)(*a.place.past + row % a.place.n_tokens);
    float c = a.table[position * a.n_rot + j], s = a.table[position * a.n_rot + a.n_rot / 2 + j];
    float *x = a.x + ((size_t)row * a.n_heads + head) * a.head_dim;
    int first = a.interleaved ? 2 * j : j, second = a.interleaved ? 2 * j + 1 : j + a.n_rot / 2;
    float p = x[first], q = x[second];
    x[first] = p * c - q * s;
    x[second] = q * c + p * s;
}

__device__ __forceinline__ void store_as(uint8_t *to, size_t i, float v, int type) {
    if (type == IB_TYPE_F32)
        reinterpret_cast<float *>(to)[i] = v;
    else
        reinterpret_cast<uint16_t *>(to)[i] =
            (uint16_t)(type == IB_TYPE_F16 ? f16_bits(v) : bf16_bits(v));
}

__global__ void kv_write(ib_cuda_cache c, ib_cuda_place p, const float *k, const float *v) {
    int row = blockIdx.x, head = blockIdx.y, i = blockIdx.z * blockDim.x + threadIdx.x;
    if (i >= c.head_dim)
        return;
    int seq = row / p.n_tokens, position = *p.past + row % p.n_tokens;
    size_t from = ((size_t)row * c.n_kv_heads + head) * c.head_dim + i;
    size_t to = (((size_t)seq * c.n_kv_heads + head) * c.n_ctx + position) * c.head_dim + i;
    store_as(c.k, to, k[from], c.type);
    store_as(c.v, to, v[from], c.type);
}

// A candidate of argmax: NaN above everything, then the larger value, then the lower index.
__device__ __forceinline__ bool better(float v, int i, float w, int j) {
    bool nv = v != v, nw = w != w;
    if (nv != nw)
        return nv;
    if (!nv && v != w)
        return v > w;
    return i < j;
}
__device__ __forceinline__ bool finite(float v) {
    return fabsf(v) <= FLT_MAX;
}

struct candidate {
    float value;
    int index, bad;
};
__device__ __forceinline__ void warp_best(candidate &c) {
    for (int d = 16; d > 0; d /= 2) {
        float v = __shfl_xor_sync(~0u, c.value, d);
        int i = __shfl_xor_sync(~0u, c.index, d), b = __shfl_xor_sync(~0u, c.bad, d);
        if (better(v, i, c.value, c.index)) {
            c.value = v;
            c.index = i;
        }
        c.bad |= b;
    }
}
__device__ __forceinline__ candidate block_best(candidate c, candidate *space) {
    warp_best(c);
    if (threadIdx.x % WARP == 0)
        space[threadIdx.x / WARP] = c;
    __syncthreads();
    candidate all = {-INFINITY, INT32_MAX, 0};
    if (threadIdx.x < blockDim.x / WARP)
        all = space[threadIdx.x];
    if (threadIdx.x < WARP)
        warp_best(all);
    return all; // of thread 0
}

// 1 of 2: the best of each part of a row, and whether the part holds a value that is not finite.
__global__ void argmax_parts(const float *x, int n, float *work) {
    __shared__ candidate space[THREADS / WARP];
    int part = blockIdx.x, row = blockIdx.y, per = ceil_div(n, gridDim.x);
    int begin = part * per, end = min(begin + per, n);
    candidate c = {-INFINITY, INT32_MAX, 0};
    for (int i = begin + (int)threadIdx.x; i < end; i += blockDim.x) {
        float v = x[(size_t)row * n + i];
        if (better(v, i, c.value, c.index)) {
            c.value = v;
            c.index = i;
        }
        c.bad |= !finite(v);
    }
    c = block_best(c, space);
    if (threadIdx.x == 0) {
        float *to = work + 3 * ((size_t)row * gridDim.x + part);
        to[0] = c.value;
        to[1] = __uint_as_float((uint32_t)c.index);
        to[2] = __uint_as_float((uint32_t)c.bad);
    }
}
// 2 of 2: one block per row.
__global__ void argmax_rows(const float *work, int parts, int *out) {
    __shared__ candidate space[THREADS / WARP];
    int row = blockIdx.x;
    candidate c = {-INFINITY, INT32_MAX, 0};
    for (int i = threadIdx.x; i < parts; i += blockDim.x) {
        const float *from = work + 3 * ((size_t)row * parts + i);
        candidate o = {from[0], (int)__float_as_uint(from[1]), (int)__float_as_uint(from[2])};
        if (better(o.value, o.index, c.value, c.index)) {
            c.value = o.value;
            c.index = o.index;
        }
        c.bad |= o.bad;
    }
    c = block_best(c, space);
    if (threadIdx.x == 0) {
        out[2 * row] = c.index == INT32_MAX ? 0 : c.index;
        out[2 * row + 1] = c.bad;
    }
}

__global__ void advance(int *past, int by) {
    *past += by;
}

unsigned blocks(size_t n) {
    return (unsigned)((n + THREADS - 1) / THREADS);
}

template <class D>
int embed_of(ib_cuda_stream s, ib_cuda_matrix m, const int *ids, int id_stride, float *out,
             int rows, float scale) {
    return IB_LAUNCH(embed<D>, dim3(rows, blocks(m.n_cols)), dim3(THREADS), 0, s, m, ids, id_stride,
                     out, scale);
}

unsigned norm_threads(int group) {
    int n = (group / 4 + WARP - 1) / WARP * WARP;
    return (unsigned)(n < WARP ? WARP : n > 1024 ? 1024 : n);
}

} // namespace

bool ib_cuda_type_ok(int type) {
#define KNOWN(D) true
    return IB_CUDA_BY_TYPE(type, KNOWN, false);
#undef KNOWN
}

int ib_cuda_launch_embed(ib_cuda_stream s, const ib_cuda_matrix *m, const int *ids, int id_stride,
                         float *out, int rows, float scale) {
#define EMBED(D) embed_of<D>(s, *m, ids, id_stride, out, rows, scale)
    return IB_CUDA_BY_TYPE(m->type, EMBED, (int)cudaErrorInvalidValue);
#undef EMBED
}

int ib_cuda_launch_norm(ib_cuda_stream s, const ib_cuda_norm *a) {
    const ib_cuda_norm n = *a;
    float *none = nullptr;
    return IB_LAUNCH(norm<false>, dim3(n.n_groups), dim3(norm_threads(n.group)), 0, s, n, none,
                     none, 0.0f);
}

int ib_cuda_launch_add_norm(ib_cuda_stream s, const ib_cuda_norm *a, float *x, const float *y,
                            float scale) {
    const ib_cuda_norm n = *a;
    return IB_LAUNCH(norm<true>, dim3(n.n_groups), dim3(norm_threads(n.group)), 0, s, n, x, y,
                     scale);
}

int ib_cuda_launch_add(ib_cuda_stream s, float *x, const float *y, size_t n, float scale) {
    return IB_LAUNCH(add, dim3(blocks(n)), dim3(THREADS), 0, s, x, y, n, scale);
}

int ib_cuda_launch_rope(ib_cuda_stream s, const ib_cuda_rope *a) {
    const ib_cuda_rope r = *a;
    const int threads = 64;
    return IB_LAUNCH(rope, dim3(r.rows, r.n_heads, (r.n_rot / 2 + threads - 1) / threads),
                     dim3(threads), 0, s, r);
}

int ib_cuda_launch_kv_write(ib_cuda_stream s, const ib_cuda_cache *c, const ib_cuda_place *p,
                            const float *k, const float *v, int rows) {
    const ib_cuda_cache cache = *c;
    const ib_cuda_place place = *p;
    const int threads = 128;
    return IB_LAUNCH(kv_write,
                     dim3(rows, cache.n_kv_heads, (cache.head_dim + threads - 1) / threads),
                     dim3(threads), 0, s, cache, place, k, v);
}

int ib_cuda_launch_gated(ib_cuda_stream s, const float *gate, const float *up, float *out, size_t n,
                         int act) {
    return IB_LAUNCH(gated, dim3(blocks(n)), dim3(THREADS), 0, s, gate, up, out, n, act);
}

int ib_cuda_launch_argmax(ib_cuda_stream s, const float *x, int rows, int n, int *out,
                          float *work) {
    const int wanted = (n + 4 * THREADS - 1) / (4 * THREADS);
    const int parts = wanted < IB_CUDA_ARGMAX_PARTS ? wanted : IB_CUDA_ARGMAX_PARTS;
    int code = IB_LAUNCH(argmax_parts, dim3(parts, rows), dim3(THREADS), 0, s, x, n, work);
    if (code)
        return code;
    return IB_LAUNCH(argmax_rows, dim3(rows), dim3(THREADS), 0, s, work, parts, out);
}

int ib_cuda_launch_advance(ib_cuda_stream s, int *past, int by) {
    return IB_LAUNCH(advance, dim3(1), dim3(1), 0, s, past, by);
}
