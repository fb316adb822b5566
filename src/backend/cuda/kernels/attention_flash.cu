// SPDX-License-Identifier: MIT
// flash_attention (Dao 2023, alg. 1): tiles of queries against tiles of keys in shared memory, the
// score matrix never stored. The query heads that share a key head are rows of one tile (packed:
// row = token * group + head). 16-bit caches go through tensor cores, fp32 caches through fp32 FMA.
// In decode the keys are split over blocks, and over the warps of a block; a last pass joins them.
#include "backend/cuda/kernels/attention.cuh"

namespace {

enum { WARPS = 4, THREADS = WARPS * WARP, ROWS = 16, TILE_KEYS = 64, ROUND = 64 };

__device__ __forceinline__ int group_of(const ib_cuda_attention &a) {
    return a.n_heads / a.cache.n_kv_heads;
}
// Element 0 of packed row `line` of a key head in q and out.
__device__ __forceinline__ size_t line_at(const ib_cuda_attention &a, int seq, int kv_head,
                                          int line) {
    const int group = group_of(a), token = line / group, head = kv_head * group + line % group;
    return (((size_t)seq * a.place.n_tokens + token) * a.n_heads + head) * a.cache.head_dim;
}

// ---------------------------------------------------------------- tensor cores
template <bool BF16>
__device__ __forceinline__ void product(float c[4], const uint32_t a[4], const uint32_t b[2]) {
    if (BF16)
        mma_bf16(c, a, b);
    else
        mma_f16(c, a, b);
}
template <bool BF16> __device__ __forceinline__ uint32_t pack(float low, float high) {
    return BF16 ? pack_bf16(low, high) : pack_f16(low, high);
}

// Copies keys (or values) key0 .. key0 + n - 1 into lines of HD + 8; rows at or past `end` are 0.
template <int HD>
__device__ __forceinline__ void fetch_keys(uint16_t *to, const uint8_t *cache, size_t base,
                                           int key0, int n, int end) {
    const uint16_t *from = reinterpret_cast<const uint16_t *>(cache) + base;
    for (int e = threadIdx.x; e < n * (HD / 8); e += THREADS) {
        const int line = e / (HD / 8), i = e % (HD / 8) * 8, key = key0 + line;
        copy16(to + line * (HD + 8) + i, from + (key < end ? (size_t)key * HD + i : 0), key < end);
    }
}

// Packed query rows line0 .. line0 + n - 1, rounded to the cache's type; rows at or past `lines` 0.
template <int HD, bool BF16>
__device__ __forceinline__ void fetch_queries(uint16_t *to, const ib_cuda_attention &a, int seq,
                                              int kv_head, int line0, int n, int lines) {
    for (int e = threadIdx.x; e < n * HD; e += THREADS) {
        const int line = line0 + e / HD, i = e % HD;
        const float v = line < lines ? a.q[line_at(a, seq, kv_head, line) + i] : 0.0f;
        to[e / HD * (HD + 8) + i] = (uint16_t)(BF16 ? bf16_bits(v) : f16_bits(v));
    }
}

// A warp's 16 packed rows and what it has summed for them. Lane: rows g and g + 8.
template <int HD> struct warp_rows {
    float o[HD / 8][4];
    float most[2], sum[2];
    int position[2]; // of the two rows; -1: no row
};

template <int HD>
__device__ __forceinline__ void start_rows(warp_rows<HD> &r, const ib_cuda_attention &a, int line0,
                                           int lines, int past) {
    for (int n = 0; n < HD / 8; n++)
        for (int e = 0; e < 4; e++)
            r.o[n][e] = 0;
    for (int h = 0; h < 2; h++) {
        const int line = line0 + (int)threadIdx.x % WARP / 4 + 8 * h;
        r.most[h] = -INFINITY;
        r.sum[h] = 0;
        r.position[h] = line < lines ? past + line / group_of(a) : -1;
    }
}

// One step: 16 rows of q against KEYS keys from key0 on (in shared memory), joined into r.
template <int HD, int KEYS, bool BF16>
__device__ __forceinline__ void join_keys(warp_rows<HD> &r, const ib_cuda_attention &a,
                                          const uint16_t *q, const uint16_t *k, const uint16_t *v,
                                          int key0, int end) {
    const int lane = threadIdx.x % WARP, t = lane % 4;
    float s[KEYS / 8][4];
    for (int n = 0; n < KEYS / 8; n++)
        for (int e = 0; e < 4; e++)
            s[n][e] = 0;
    for (int d = 0; d < HD; d += 16) {
        uint32_t x[4];
        load_matrices(x, q + (lane % 16) * (HD + 8) + d + lane / 16 * 8);
        for (int n = 0; n < KEYS / 8; n += 2) {
            uint32_t y[4];
            load_matrices(y,
                          k + (8 * n + lane % 8 + lane / 16 * 8) * (HD + 8) + d + lane / 8 % 2 * 8);
            const uint32_t b0[2] = {y[0], y[1]}, b1[2] = {y[2], y[3]};
            product<BF16>(s[n], x, b0);
            product<BF16>(s[n + 1], x, b1);
        }
    }
    for (int h = 0; h < 2; h++) { // rows g and g + 8: elements 2 h and 2 h + 1
        float most = r.most[h];
        for (int n = 0; n < KEYS / 8; n++)
            for (int e = 2 * h; e < 2 * h + 2; e++) {
                const int key = key0 + 8 * n + 2 * t + e % 2;
                const bool seen = key < end && r.position[h] >= 0 && visible(a, key, r.position[h]);
                s[n][e] = seen ? shape_score(a, s[n][e]) : -INFINITY;
                most = fmaxf(most, s[n][e]);
            }
        most = fmaxf(most, __shfl_xor_sync(~0u, most, 1));
        most = fmaxf(most, __shfl_xor_sync(~0u, most, 2));
        const float factor = shrink(r.most[h], most), from = most == -INFINITY ? 0.0f : most;
        float sum = 0;
        for (int n = 0; n < KEYS / 8; n++)
            for (int e = 2 * h; e < 2 * h + 2; e++) {
                s[n][e] = expf(s[n][e] - from);
                sum += s[n][e];
            }
        r.sum[h] = r.sum[h] * factor + sum; // of this lane's columns; joined at the end
        r.most[h] = most;
        for (int n = 0; n < HD / 8; n++) {
            r.o[n][2 * h] *= factor;
            r.o[n][2 * h + 1] *= factor;
        }
    }
    for (int c = 0; c < KEYS; c += 16) { // the scores' layout is that of a left operand
        const uint32_t p[4] = {pack<BF16>(s[c / 8][0], s[c / 8][1]),
                               pack<BF16>(s[c / 8][2], s[c / 8][3]),
                               pack<BF16>(s[c / 8 + 1][0], s[c / 8 + 1][1]),
                               pack<BF16>(s[c / 8 + 1][2], s[c / 8 + 1][3])};
        for (int n = 0; n < HD / 8; n += 2) {
            uint32_t y[4];
            load_matrices_transposed(y, v + (c + lane % 16) * (HD + 8) + 8 * n + lane / 16 * 8);
            const uint32_t b0[2] = {y[0], y[1]}, b1[2] = {y[2], y[3]};
            product<BF16>(r.o[n], p, b0);
            product<BF16>(r.o[n + 1], p, b1);
        }
    }
}

template <int HD> __device__ __forceinline__ void end_rows(warp_rows<HD> &r) {
    for (int h = 0; h < 2; h++) {
        r.sum[h] += __shfl_xor_sync(~0u, r.sum[h], 1);
        r.sum[h] += __shfl_xor_sync(~0u, r.sum[h], 2);
    }
}

enum { PREFILL_ROWS = ROWS * WARPS };
template <int HD> constexpr size_t prefill_bytes() {
    return (size_t)(PREFILL_ROWS + 4 * TILE_KEYS) * (HD + 8) * 2; // q, two stages of k and v
}

// Block (64 packed rows, key head, sequence): each warp has 16 rows, all see the same key tiles.
template <int HD, bool BF16>
__global__ void __launch_bounds__(THREADS, 1) flash_prefill(ib_cuda_attention a) {
    IB_DYNAMIC_SHARED(memory);
    enum { LINE = HD + 8, STAGE = 2 * TILE_KEYS * LINE };
    uint16_t *q = reinterpret_cast<uint16_t *>(memory), *stages = q + PREFILL_ROWS * LINE;
    const int lines = a.place.n_tokens * group_of(a), past = *a.place.past;
    // the last tiles have the most keys: they start first
    const int tile = gridDim.x - 1 - blockIdx.x, line0 = tile * PREFILL_ROWS,
              warp = threadIdx.x / WARP;
    const int kv_head = blockIdx.y, seq = blockIdx.z;
    const int last_line = min(line0 + PREFILL_ROWS, lines) - 1;
    const int begin = first_key(a, past + line0 / group_of(a)) / TILE_KEYS * TILE_KEYS;
    const int end = past + last_line / group_of(a) + 1, steps = ceil_div(end - begin, TILE_KEYS);
    const size_t base = cache_base(a.cache, seq, kv_head);
    warp_rows<HD> r;
    start_rows(r, a, line0 + ROWS * warp, lines, past);
    fetch_keys<HD>(stages, a.cache.k, base, begin, TILE_KEYS, end);
    fetch_keys<HD>(stages + TILE_KEYS * LINE, a.cache.v, base, begin, TILE_KEYS, end);
    copy_commit();
    fetch_queries<HD, BF16>(q, a, seq, kv_head, line0, PREFILL_ROWS, lines);
    for (int s = 0; s < steps; s++) {
        const uint16_t *stage = stages + s % 2 * STAGE;
        copy_wait<0>();
        __syncthreads(); // the stage is there, and nobody still reads the other one
        if (s + 1 < steps) {
            uint16_t *next = stages + (s + 1) % 2 * STAGE;
            const int key0 = begin + (s + 1) * TILE_KEYS;
            fetch_keys<HD>(next, a.cache.k, base, key0, TILE_KEYS, end);
            fetch_keys<HD>(next + TILE_KEYS * LINE, a.cache.v, base, key0, TILE_KEYS, end);
        }
        copy_commit();
        join_keys<HD, TILE_KEYS, BF16>(r, a, q + ROWS * warp * LINE, stage,
                                       stage + TILE_KEYS * LINE, begin + s * TILE_KEYS, end);
    }
    end_rows(r);
    for (int h = 0; h < 2; h++) {
        const int line = line0 + ROWS * warp + (int)threadIdx.x % WARP / 4 + 8 * h;
        if (line >= lines)
            continue;
        float *out = a.out + line_at(a, seq, kv_head, line);
        for (int n = 0; n < HD / 8; n++)
            for (int e = 0; e < 2; e++)
                out[8 * n + (int)threadIdx.x % 4 * 2 + e] = r.o[n][2 * h + e] / r.sum[h];
    }
}

// Where the keys of split `index` of `splits` lie.
__device__ __forceinline__ void split_range(const ib_cuda_attention &a, int position, int index,
                                            int &begin, int &end) {
    const int first = first_key(a, position), n = position + 1 - first;
    const int per = ceil_div(ceil_div(n, a.splits), ROUND) * ROUND;
    begin = min(first + index * per, position + 1);
    end = min(begin + per, position + 1);
}

__device__ __forceinline__ float *partial(const ib_cuda_attention &a, int row, int head,
                                          int split) {
    return a.scratch +
           (((size_t)row * a.n_heads + head) * a.splits + split) * (a.cache.head_dim + 2);
}

template <int HD> constexpr size_t decode_bytes() {
    return (size_t)(ROWS + 4 * TILE_KEYS) * (HD + 8) * 2;
}

// Block (split, key head, sequence * blocks of 16 heads): 16 packed rows; of each tile of 64 keys a
// warp has 16. Partial results of the four warps are joined in shared memory.
template <int HD, bool BF16>
__global__ void __launch_bounds__(THREADS, 1) flash_split(ib_cuda_attention a) {
    IB_DYNAMIC_SHARED(memory);
    enum { LINE = HD + 8, STAGE = 2 * TILE_KEYS * LINE };
    __shared__ float most[WARPS][ROWS], sums[WARPS][ROWS];
    uint16_t *q = reinterpret_cast<uint16_t *>(memory), *stages = q + ROWS * LINE;
    const int group = group_of(a), parts = ceil_div(group, ROWS), past = *a.place.past;
    const int split = blockIdx.x, kv_head = blockIdx.y, seq = blockIdx.z / parts;
    const int line0 = blockIdx.z % parts * ROWS, warp = threadIdx.x / WARP,
              lane = threadIdx.x % WARP;
    const size_t base = cache_base(a.cache, seq, kv_head);
    int begin, end;
    split_range(a, past, split, begin, end);
    const int steps = ceil_div(end - begin, TILE_KEYS);
    warp_rows<HD> r;
    start_rows(r, a, line0, group, past);
    if (steps > 0) {
        fetch_keys<HD>(stages, a.cache.k, base, begin, TILE_KEYS, end);
        fetch_keys<HD>(stages + TILE_KEYS * LINE, a.cache.v, base, begin, TILE_KEYS, end);
    }
    copy_commit();
    fetch_queries<HD, BF16>(q, a, seq, kv_head, line0, ROWS, group);
    for (int s = 0; s < steps; s++) {
        const uint16_t *stage = stages + s % 2 * STAGE + 16 * warp * LINE;
        copy_wait<0>();
        __syncthreads();
        if (s + 1 < steps) {
            uint16_t *next = stages + (s + 1) % 2 * STAGE;
            const int key0 = begin + (s + 1) * TILE_KEYS;
            fetch_keys<HD>(next, a.cache.k, base, key0, TILE_KEYS, end);
            fetch_keys<HD>(next + TILE_KEYS * LINE, a.cache.v, base, key0, TILE_KEYS, end);
        }
        copy_commit();
        join_keys<HD, 16, BF16>(r, a, q, stage, stage + TILE_KEYS * LINE,
                                begin + s * TILE_KEYS + 16 * warp, end);
    }
    end_rows(r);
    copy_wait<0>();
    __syncthreads(); // the stages are free: 4 x 16 rows of HD floats fit where k and v were
    float *values = reinterpret_cast<float *>(stages);
    for (int h = 0; h < 2; h++) {
        const int row = lane / 4 + 8 * h;
        if (lane % 4 == 0) {
            most[warp][row] = r.most[h];
            sums[warp][row] = r.sum[h];
        }
        for (int n = 0; n < HD / 8; n++)
            for (int e = 0; e < 2; e++)
                values[(warp * ROWS + row) * HD + 8 * n + lane % 4 * 2 + e] = r.o[n][2 * h + e];
    }
    __syncthreads();
    for (int e = threadIdx.x; e < ROWS * HD; e += THREADS) {
        const int row = e / HD, i = e % HD;
        if (line0 + row >= group)
            break;
        float top = -INFINITY, sum = 0, v = 0;
        for (int w = 0; w < WARPS; w++)
            top = fmaxf(top, most[w][row]);
        for (int w = 0; w < WARPS; w++) {
            const float factor = shrink(most[w][row], top);
            sum += sums[w][row] * factor;
            v += values[(w * ROWS + row) * HD + i] * factor;
        }
        float *to = partial(a, seq, kv_head * group + line0 + row, split);
        to[i] = v;
        if (i == 0) {
            to[HD] = top;
            to[HD + 1] = sum;
        }
    }
}

// ---------------------------------------------------------------- fp32 caches, any head size
// Block (split, head, sequence): the warps share the split's keys.
__global__ void __launch_bounds__(THREADS) split_f32(ib_cuda_attention a) {
    __shared__ float values[WARPS][IB_CUDA_HEAD_DIM_MAX];
    __shared__ running states[WARPS];
    const int split = blockIdx.x, head = blockIdx.y, seq = blockIdx.z, n = a.cache.head_dim;
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    int begin, end;
    split_range(a, *a.place.past, split, begin, end);
    running r;
    float o[LANE_DIMS];
    warp_pass(a, a.q + ((size_t)seq * a.n_heads + head) * n,
              cache_base(a.cache, seq, head / group_of(a)), begin + warp, end, WARPS, r, o);
    if (lane == 0)
        states[warp] = r;
    for (int j = 0; j < LANE_DIMS && lane + WARP * j < n; j++)
        values[warp][lane + WARP * j] = o[j];
    __syncthreads();
    float top = -INFINITY, sum = 0;
    for (int w = 0; w < WARPS; w++)
        top = fmaxf(top, states[w].most);
    for (int w = 0; w < WARPS; w++)
        sum += states[w].sum * shrink(states[w].most, top);
    float *to = partial(a, seq, head, split);
    for (int i = threadIdx.x; i < n; i += THREADS) {
        float v = 0;
        for (int w = 0; w < WARPS; w++)
            v += values[w][i] * shrink(states[w].most, top);
        to[i] = v;
    }
    if (threadIdx.x == 0) {
        to[n] = top;
        to[n + 1] = sum;
    }
}

enum { F32_ROWS = 8, F32_KEYS = 32 };

// Tiles of 8 packed rows by 32 keys; a group of 16 threads has a row.
__global__ void __launch_bounds__(THREADS, 4) prefill_f32(ib_cuda_attention a) {
    IB_DYNAMIC_SHARED(memory);
    const int n = a.cache.head_dim, lines = a.place.n_tokens * group_of(a), past = *a.place.past;
    float *q = reinterpret_cast<float *>(memory), *o = q + F32_ROWS * n, *k = o + F32_ROWS * n;
    float *v = k + F32_KEYS * n, *p = v + F32_KEYS * n, *states = p + F32_ROWS * F32_KEYS;
    const int line0 = blockIdx.x * F32_ROWS, kv_head = blockIdx.y, seq = blockIdx.z;
    const int row = threadIdx.x / 16, part = threadIdx.x % 16, line = line0 + row;
    const int last = min(line0 + F32_ROWS, lines) - 1, position = past + line / group_of(a);
    const int begin = first_key(a, past + line0 / group_of(a)), end = past + last / group_of(a) + 1;
    const size_t base = cache_base(a.cache, seq, kv_head);
    for (int e = threadIdx.x; e < F32_ROWS * n; e += THREADS) {
        q[e] = line0 + e / n < lines ? a.q[line_at(a, seq, kv_head, line0 + e / n) + e % n] : 0.0f;
        o[e] = 0;
    }
    if (part == 0) {
        states[row] = -INFINITY;
        states[F32_ROWS + row] = 0;
    }
    for (int key0 = begin; key0 < end; key0 += F32_KEYS) {
        __syncthreads();
        for (int e = threadIdx.x; e < F32_KEYS * n; e += THREADS) {
            const bool inside = key0 + e / n < end;
            const size_t at = base + (size_t)key0 * n + e;
            k[e] = inside ? cached(a.cache.k, at, a.cache.type) : 0.0f;
            v[e] = inside ? cached(a.cache.v, at, a.cache.type) : 0.0f;
        }
        __syncthreads();
        for (int c = part; c < F32_KEYS; c += 16) {
            float dot = 0;
            for (int i = 0; i < n; i++)
                dot += q[row * n + i] * k[c * n + i];
            const bool seen = line < lines && key0 + c < end && visible(a, key0 + c, position);
            p[row * F32_KEYS + c] = seen ? shape_score(a, dot) : -INFINITY;
        }
        __syncthreads();
        float most = states[row], sum = states[F32_ROWS + row], before = most;
        for (int c = 0; c < F32_KEYS; c++)
            most = fmaxf(most, p[row * F32_KEYS + c]);
        const float factor = shrink(before, most), from = most == -INFINITY ? 0.0f : most;
        sum *= factor;
        for (int c = 0; c < F32_KEYS; c++)
            sum += expf(p[row * F32_KEYS + c] - from);
        for (int i = part; i < n; i += 16) {
            float acc = o[row * n + i] * factor;
            for (int c = 0; c < F32_KEYS; c++)
                acc += expf(p[row * F32_KEYS + c] - from) * v[c * n + i];
            o[row * n + i] = acc;
        }
        __syncthreads();
        if (part == 0) {
            states[row] = most;
            states[F32_ROWS + row] = sum;
        }
    }
    __syncthreads();
    if (line < lines)
        for (int i = part; i < n; i += 16)
            a.out[line_at(a, seq, kv_head, line) + i] = o[row * n + i] / states[F32_ROWS + row];
}

// Joins the splits of one row and head, in order.
__global__ void join_splits(ib_cuda_attention a) {
    const int head = blockIdx.x, row = blockIdx.y, n = a.cache.head_dim;
    const float *from = partial(a, row, head, 0);
    float top = -INFINITY, sum = 0;
    for (int s = 0; s < a.splits; s++)
        top = fmaxf(top, from[s * (n + 2) + n]);
    for (int s = 0; s < a.splits; s++)
        sum += from[s * (n + 2) + n + 1] * shrink(from[s * (n + 2) + n], top);
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        float v = 0;
        for (int s = 0; s < a.splits; s++)
            v += from[s * (n + 2) + i] * shrink(from[s * (n + 2) + n], top);
        a.out[((size_t)row * a.n_heads + head) * n + i] = v / sum;
    }
}

// ---------------------------------------------------------------- launching
template <class K> int allow_shared(K kernel, size_t bytes) {
#ifdef IB_CUDA_EMULATED
    (void)kernel;
    (void)bytes;
    return 0;
#else
    return (int)cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                     (int)bytes);
#endif
}

template <int HD, bool BF16> int prefill_of(ib_cuda_stream s, const ib_cuda_attention &a) {
    const int lines = a.place.n_tokens * (a.n_heads / a.cache.n_kv_heads);
    const int tiles = (lines + PREFILL_ROWS - 1) / PREFILL_ROWS;
    int code = allow_shared(flash_prefill<HD, BF16>, prefill_bytes<HD>());
    if (code)
        return code;
    return IB_LAUNCH((flash_prefill<HD, BF16>), dim3(tiles, a.cache.n_kv_heads, a.cache.n_seqs),
                     dim3(THREADS), prefill_bytes<HD>(), s, a);
}

template <int HD, bool BF16> int split_of(ib_cuda_stream s, const ib_cuda_attention &a) {
    const int parts = (a.n_heads / a.cache.n_kv_heads + ROWS - 1) / ROWS;
    int code = allow_shared(flash_split<HD, BF16>, decode_bytes<HD>());
    if (code)
        return code;
    return IB_LAUNCH((flash_split<HD, BF16>),
                     dim3(a.splits, a.cache.n_kv_heads, a.cache.n_seqs * parts), dim3(THREADS),
                     decode_bytes<HD>(), s, a);
}

bool by_tensor_cores(const ib_cuda_attention &a, bool decode) {
    const int n = a.cache.head_dim;
    const size_t bytes =
        (size_t)((decode ? (int)ROWS : (int)PREFILL_ROWS) + 4 * TILE_KEYS) * (n + 8) * 2;
    return a.cache.type != IB_TYPE_F32 && (n == 64 || n == 96 || n == 128 || n == 256) &&
           bytes <= (size_t)a.shared_most;
}

} // namespace

int ib_cuda_launch_flash_prefill(ib_cuda_stream s, const ib_cuda_attention *p) {
    const ib_cuda_attention a = *p;
    const bool bf16 = a.cache.type == IB_TYPE_BF16;
    if (by_tensor_cores(a, false))
        switch (a.cache.head_dim) {
        case 64:
            return bf16 ? prefill_of<64, true>(s, a) : prefill_of<64, false>(s, a);
        case 96:
            return bf16 ? prefill_of<96, true>(s, a) : prefill_of<96, false>(s, a);
        case 128:
            return bf16 ? prefill_of<128, true>(s, a) : prefill_of<128, false>(s, a);
        default:
            return bf16 ? prefill_of<256, true>(s, a) : prefill_of<256, false>(s, a);
        }
    const int lines = a.place.n_tokens * (a.n_heads / a.cache.n_kv_heads);
    const size_t bytes =
        ((size_t)(2 * F32_ROWS + 2 * F32_KEYS) * a.cache.head_dim + F32_ROWS * (F32_KEYS + 2)) * 4;
    int code = allow_shared(prefill_f32, bytes);
    if (code)
        return code;
    return IB_LAUNCH(prefill_f32,
                     dim3((lines + F32_ROWS - 1) / F32_ROWS, a.cache.n_kv_heads, a.cache.n_seqs),
                     dim3(THREADS), bytes, s, a);
}

int ib_cuda_launch_flash_decode(ib_cuda_stream s, const ib_cuda_attention *p) {
    const ib_cuda_attention a = *p;
    const bool bf16 = a.cache.type == IB_TYPE_BF16;
    int code;
    if (by_tensor_cores(a, true)) {
        switch (a.cache.head_dim) {
        case 64:
            code = bf16 ? split_of<64, true>(s, a) : split_of<64, false>(s, a);
            break;
        case 96:
            code = bf16 ? split_of<96, true>(s, a) : split_of<96, false>(s, a);
            break;
        case 128:
            code = bf16 ? split_of<128, true>(s, a) : split_of<128, false>(s, a);
            break;
        default:
            code = bf16 ? split_of<256, true>(s, a) : split_of<256, false>(s, a);
        }
    } else {
        code =
            IB_LAUNCH(split_f32, dim3(a.splits, a.n_heads, a.cache.n_seqs), dim3(THREADS), 0, s, a);
    }
    if (code)
        return code;
    return IB_LAUNCH(join_splits, dim3(a.n_heads, a.rows), dim3(128), 0, s, a);
}
