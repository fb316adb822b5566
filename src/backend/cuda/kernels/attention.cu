// SPDX-License-Identifier: MIT
// eager: scores, softmax and values as three passes over a materialised matrix.
// sdpa:  one pass; one block per query and head, its warps share the keys.
#include "backend/cuda/kernels/attention.cuh"

namespace {

enum { WARPS = 4, THREADS = WARPS * WARP, KEYS = 64 };

// scores[row, head, key]; block (row, head, 64 keys). Keys beyond the query's are -inf.
__global__ void eager_scores(ib_cuda_attention a) {
    __shared__ float q[IB_CUDA_HEAD_DIM_MAX];
    const int row = blockIdx.x, head = blockIdx.y, n = a.cache.head_dim;
    const int past = *a.place.past, seq = row / a.place.n_tokens;
    const int n_keys = past + a.place.n_tokens, position = past + row % a.place.n_tokens;
    for (int i = threadIdx.x; i < n; i += THREADS)
        q[i] = a.q[((size_t)row * a.n_heads + head) * n + i];
    __syncthreads();
    const size_t base = cache_base(a.cache, seq, head / (a.n_heads / a.cache.n_kv_heads));
    float *scores = a.scratch + ((size_t)row * a.n_heads + head) * a.place.most;
    const int begin = blockIdx.z * KEYS, lane = threadIdx.x % WARP;
    for (int key = begin + (int)threadIdx.x / WARP; key < min(begin + KEYS, n_keys); key += WARPS) {
        float dot = 0;
        if (visible(a, key, position))
            for (int i = lane; i < n; i += WARP)
                dot += q[i] * cached(a.cache.k, base + (size_t)key * n + i, a.cache.type);
        dot = warp_sum(dot);
        if (lane == 0)
            scores[key] = visible(a, key, position) ? shape_score(a, dot) : -INFINITY;
    }
}

// One warp per row and head.
__global__ void eager_softmax(ib_cuda_attention a) {
    const int line = blockIdx.x * WARPS + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (line >= a.rows * a.n_heads)
        return;
    const int n_keys = *a.place.past + a.place.n_tokens;
    float *scores = a.scratch + (size_t)line * a.place.most, most = -INFINITY, sum = 0;
    for (int k = lane; k < n_keys; k += WARP)
        most = fmaxf(most, scores[k]);
    most = warp_max(most);
    for (int k = lane; k < n_keys; k += WARP) {
        float p = expf(scores[k] - most);
        scores[k] = p;
        sum += p;
    }
    sum = warp_sum(sum);
    for (int k = lane; k < n_keys; k += WARP)
        scores[k] = scores[k] / sum;
}

// Block (row, head): threads over the dims, the warps' halves of the keys summed in order.
__global__ void eager_values(ib_cuda_attention a) {
    const int row = blockIdx.x, head = blockIdx.y, n = a.cache.head_dim;
    const int n_keys = *a.place.past + a.place.n_tokens, seq = row / a.place.n_tokens;
    const size_t base = cache_base(a.cache, seq, head / (a.n_heads / a.cache.n_kv_heads));
    const float *p = a.scratch + ((size_t)row * a.n_heads + head) * a.place.most;
    for (int i = threadIdx.x; i < n; i += THREADS) {
        float sum = 0;
        for (int key = 0; key < n_keys; key++)
            if (p[key] != 0) // a NaN is not 0
                sum += p[key] * cached(a.cache.v, base + (size_t)key * n + i, a.cache.type);
        a.out[((size_t)row * a.n_heads + head) * n + i] = sum;
    }
}

__global__ void __launch_bounds__(THREADS, 4) sdpa(ib_cuda_attention a) {
    __shared__ float values[WARPS][IB_CUDA_HEAD_DIM_MAX];
    __shared__ running states[WARPS];
    const int row = blockIdx.x, head = blockIdx.y, n = a.cache.head_dim;
    const int position = *a.place.past + row % a.place.n_tokens, seq = row / a.place.n_tokens;
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const size_t base = cache_base(a.cache, seq, head / (a.n_heads / a.cache.n_kv_heads));
    const size_t at = ((size_t)row * a.n_heads + head) * n;
    running r;
    float o[LANE_DIMS];
    warp_pass(a, a.q + at, base, first_key(a, position) + warp, position + 1, WARPS, r, o);
    if (lane == 0)
        states[warp] = r;
    for (int j = 0; j < LANE_DIMS && lane + WARP * j < n; j++)
        values[warp][lane + WARP * j] = o[j];
    __syncthreads();
    float most = -INFINITY, sum = 0;
    for (int w = 0; w < WARPS; w++)
        most = fmaxf(most, states[w].most);
    for (int w = 0; w < WARPS; w++)
        sum += states[w].sum * shrink(states[w].most, most);
    for (int i = threadIdx.x; i < n; i += THREADS) {
        float v = 0;
        for (int w = 0; w < WARPS; w++)
            v += values[w][i] * shrink(states[w].most, most);
        a.out[at + i] = v / sum;
    }
}

} // namespace

int ib_cuda_launch_eager(ib_cuda_stream s, const ib_cuda_attention *p) {
    const ib_cuda_attention a = *p;
    const dim3 per_head(a.rows, a.n_heads);
    int code = IB_LAUNCH(eager_scores, dim3(a.rows, a.n_heads, (a.place.most + KEYS - 1) / KEYS),
                         dim3(THREADS), 0, s, a);
    if (!code)
        code = IB_LAUNCH(eager_softmax, dim3((a.rows * a.n_heads + WARPS - 1) / WARPS),
                         dim3(THREADS), 0, s, a);
    if (!code)
        code = IB_LAUNCH(eager_values, per_head, dim3(THREADS), 0, s, a);
    return code;
}

int ib_cuda_launch_sdpa(ib_cuda_stream s, const ib_cuda_attention *p) {
    const ib_cuda_attention a = *p;
    return IB_LAUNCH(sdpa, dim3(a.rows, a.n_heads), dim3(THREADS), 0, s, a);
}
