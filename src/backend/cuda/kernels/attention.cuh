// SPDX-License-Identifier: MIT
// What the attention kernels share: addresses in the cache, which keys a query sees, and the pass
// of one warp over a range of keys with a running maximum (online softmax, Milakov 2018).
#ifndef IB_BACKEND_CUDA_ATTENTION_CUH
#define IB_BACKEND_CUDA_ATTENTION_CUH

#include "backend/cuda/kernels/device.cuh"

namespace {

__device__ __forceinline__ float cached(const uint8_t *p, size_t i, int type) {
    if (type == IB_TYPE_F32)
        return __ldg(reinterpret_cast<const float *>(p) + i);
    uint32_t bits = __ldg(reinterpret_cast<const uint16_t *>(p) + i);
    return type == IB_TYPE_F16 ? f16_value(bits) : bf16_value(bits);
}

// First element of the keys (or values) of one head of one sequence.
__device__ __forceinline__ size_t cache_base(const ib_cuda_cache &c, int seq, int kv_head) {
    return ((size_t)seq * c.n_kv_heads + kv_head) * c.n_ctx * c.head_dim;
}

__device__ __forceinline__ int first_key(const ib_cuda_attention &a, int position) {
    return a.window && position + 1 > a.window ? position + 1 - a.window : 0;
}
__device__ __forceinline__ bool visible(const ib_cuda_attention &a, int key, int position) {
    return key <= position && key >= first_key(a, position);
}
__device__ __forceinline__ float shape_score(const ib_cuda_attention &a, float dot) {
    float s = dot * a.scale;
    return a.softcap > 0 ? tanhf(s / a.softcap) * a.softcap : s;
}

// State of a softmax that is still running: values unnormalised.
struct running {
    float most, sum; // -inf, 0 before the first key
};
// The factor for what was summed so far when the maximum becomes `most`.
__device__ __forceinline__ float shrink(float before, float most) {
    return before == -INFINITY ? 0.0f : expf(before - most);
}

enum { LANE_DIMS = IB_CUDA_HEAD_DIM_MAX / WARP };

// One warp over keys begin, begin + step, ... < end of one head: lane l has dims l, l + 32, ...
__device__ __forceinline__ void warp_pass(const ib_cuda_attention &a, const float *q, size_t base,
                                          int begin, int end, int step, running &r,
                                          float o[LANE_DIMS]) {
    const int lane = threadIdx.x % WARP, n = a.cache.head_dim;
    float mine[LANE_DIMS];
    for (int j = 0; j < LANE_DIMS; j++) {
        const int i = lane + WARP * j;
        mine[j] = i < n ? q[i] : 0.0f;
        o[j] = 0;
    }
    r.most = -INFINITY;
    r.sum = 0;
    for (int key = begin; key < end; key += step) {
        const size_t at = base + (size_t)key * n;
        float dot = 0;
        for (int j = 0; j < LANE_DIMS && lane + WARP * j < n; j++)
            dot += mine[j] * cached(a.cache.k, at + lane + WARP * j, a.cache.type);
        const float s = shape_score(a, warp_sum(dot)), most = fmaxf(r.most, s);
        const float factor = shrink(r.most, most), p = expf(s - most);
        r.sum = r.sum * factor + p;
        r.most = most;
        for (int j = 0; j < LANE_DIMS && lane + WARP * j < n; j++)
            o[j] = o[j] * factor + p * cached(a.cache.v, at + lane + WARP * j, a.cache.type);
    }
}

} // namespace

#endif
