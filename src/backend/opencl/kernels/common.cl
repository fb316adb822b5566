/* SPDX-License-Identifier: MIT
 * Everything but the weight matrices: norms, rotary embedding, KV cache, activations, argmax and three
 * attentions. fp32 activations; the KV cache is fp32, half or bf16 (KV_TYPE 0, 1, 2). Work-groups of
 * GROUP items reduce through local memory. */

static float group_sum(__local float *s, uint t, float v) {
    s[t] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint step = GROUP / 2; step > 0; step /= 2) {
        if (t < step)
            s[t] += s[t + step];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    float total = s[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return total;
}

static float group_max(__local float *s, uint t, float v) {
    s[t] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint step = GROUP / 2; step > 0; step /= 2) {
        if (t < step)
            s[t] = fmax(s[t], s[t + step]);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    float most = s[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return most;
}

/* One work-group per group of columns. offset_one: weight is stored as w - 1. */
__kernel void norm(__global const float *x, ulong x_at, __global float *out, ulong out_at,
                   __global const float *weight, ulong weight_at, uint n, float eps, uint offset_one) {
    __local float s[GROUP];
    ulong base = (ulong)get_group_id(0) * n;
    uint t = get_local_id(0);
    float sum = 0;
    for (uint k = t; k < n; k += GROUP) {
        float v = x[x_at + base + k];
        sum += v * v;
    }
    float r = 1.0f / sqrt(group_sum(s, t, sum) / (float)n + eps);
    for (uint k = t; k < n; k += GROUP) {
        float w = weight[weight_at + k];
        out[out_at + base + k] = x[x_at + base + k] * r * (offset_one ? 1.0f + w : w);
    }
}

/* One item per pair: range [n_rot / 2, n_heads, rows]. */
__kernel void rope(__global float *x, ulong x_at, __global const float *angles, ulong angles_at,
                   uint n_heads, uint head_dim, uint n_rot, uint interleaved, uint n_past, uint n_tokens) {
    uint j = get_global_id(0), head = get_global_id(1), row = get_global_id(2);
    if (j >= n_rot / 2)
        return;
    ulong position = n_past + row % n_tokens;
    float c = angles[angles_at + position * n_rot + j];
    float s = angles[angles_at + position * n_rot + n_rot / 2 + j];
    ulong base = x_at + ((ulong)row * n_heads + head) * head_dim;
    ulong a = base + (interleaved ? 2 * j : j), b = base + (interleaved ? 2 * j + 1 : j + n_rot / 2);
    float p = x[a], q = x[b];
    x[a] = p * c - q * s;
    x[b] = q * c + p * s;
}

static void kv_store(__global void *cache, ulong i, uint type, float v) {
    if (type == 0)
        ((__global float *)cache)[i] = v;
    else if (type == 1)
        vstore_half_rte(v, i, (__global half *)cache);
    else {
        uint u = as_uint(v);
        ((__global ushort *)cache)[i] =
            isnan(v) ? (ushort)(u >> 16 | 64) : (ushort)((u + 0x7FFFu + (u >> 16 & 1)) >> 16);
    }
}

static float kv_load(__global const void *cache, ulong i, uint type) {
    if (type == 0)
        return ((__global const float *)cache)[i];
    if (type == 1)
        return vload_half(i, (__global const half *)cache);
    return as_float((uint)((__global const ushort *)cache)[i] << 16);
}

/* Range [head_dim, n_kv_heads, rows]; cache [layer, seq, head, position, dim]. */
__kernel void kv_write(__global const float *k, ulong k_at, __global const float *v, ulong v_at,
                       __global void *k_cache, __global void *v_cache, uint type, uint layer,
                       uint n_seqs, uint n_kv_heads, uint n_ctx, uint head_dim, uint n_past,
                       uint n_tokens) {
    uint dim = get_global_id(0), head = get_global_id(1), row = get_global_id(2);
    if (dim >= head_dim)
        return;
    ulong seq = row / n_tokens, position = n_past + row % n_tokens;
    ulong to = ((((ulong)layer * n_seqs + seq) * n_kv_heads + head) * n_ctx + position) * head_dim + dim;
    ulong from = ((ulong)row * n_kv_heads + head) * head_dim + dim;
    kv_store(k_cache, to, type, k[k_at + from]);
    kv_store(v_cache, to, type, v[v_at + from]);
}

/* act: 0 silu, 1 gelu, 2 gelu tanh */
__kernel void gated_act(__global const float *gate, ulong gate_at, __global const float *up, ulong up_at,
                        __global float *out, ulong out_at, ulong n, uint act) {
    ulong i = get_global_id(0);
    if (i >= n)
        return;
    float g = gate[gate_at + i], y;
    if (act == 0)
        y = g / (1.0f + exp(-g));
    else if (act == 1)
        y = 0.5f * g * (1.0f + erf(g * 0.70710678118654752f));
    else
        y = 0.5f * g * (1.0f + tanh(0.79788456080286536f * (g + 0.044715f * g * g * g)));
    out[out_at + i] = y * up[up_at + i];
}

__kernel void add(__global float *x, ulong x_at, __global const float *y, ulong y_at, ulong n, float scale) {
    ulong i = get_global_id(0);
    if (i < n)
        x[x_at + i] += y[y_at + i] * scale;
}

/* One work-group per row: the lowest index of the maximum, NaN counting as the maximum. */
__kernel void argmax(__global const float *x, ulong x_at, __global int *out, ulong out_at, uint n) {
    __local float best[GROUP];
    __local int where[GROUP];
    __local int odd[GROUP];
    uint t = get_local_id(0);
    ulong base = x_at + (ulong)get_group_id(0) * n;
    float b = -INFINITY;
    int w = -1, bad = 0;
    for (uint k = t; k < n; k += GROUP) {
        float v = x[base + k];
        bad |= !isfinite(v);
        if (w < 0 || (!isnan(b) && (v > b || isnan(v)))) {
            b = v;
            w = (int)k;
        }
    }
    best[t] = b;
    where[t] = w;
    odd[t] = bad;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (t == 0) {
        for (uint j = 1; j < GROUP; j++) {
            float v = best[j];
            bad |= odd[j];
            if (where[j] < 0)
                continue;
            int better = isnan(b) ? isnan(v) && where[j] < w
                                  : isnan(v) || v > b || (v == b && where[j] < w);
            if (better) {
                b = v;
                w = where[j];
            }
        }
        out[out_at + 2 * get_group_id(0)] = w;
        out[out_at + 2 * get_group_id(0) + 1] = bad;
    }
}

/* One layer of the cache and the step: see ib_attention_args. */
#define SHAPE_PARAMS                                                                               \
    uint type, uint layer, uint n_seqs, uint n_heads, uint n_kv_heads, uint head_dim, uint n_ctx,  \
        uint n_past, uint n_tokens, uint window, float scale, float softcap

/* First cache element of (layer, sequence, kv head). */
static ulong cache_base(uint layer, uint n_seqs, ulong seq, uint n_kv_heads, uint kv_head, uint n_ctx,
                        uint head_dim) {
    return (((ulong)layer * n_seqs + seq) * n_kv_heads + kv_head) * n_ctx * head_dim;
}

static float score(__global const float *q, __global const void *k_cache, ulong k, uint type,
                   uint head_dim, float scale, float softcap) {
    float s = 0;
    for (uint i = 0; i < head_dim; i++)
        s += q[i] * kv_load(k_cache, k + i, type);
    s *= scale;
    return softcap > 0.0f ? tanh(s / softcap) * softcap : s;
}

static bool visible(uint key, uint position, uint window) {
    return key <= position && (window == 0 || key + window > position);
}

/* eager, 1 of 3: the whole score matrix s [rows, n_heads, n_keys], masked entries included.
 * Range [n_keys, n_heads, rows]. */
__kernel void eager_scores(__global const float *q, ulong q_at, __global const void *k_cache,
                           __global float *s, SHAPE_PARAMS) {
    uint key = get_global_id(0), head = get_global_id(1), row = get_global_id(2);
    uint n_keys = n_past + n_tokens;
    if (key >= n_keys)
        return;
    uint position = n_past + row % n_tokens;
    ulong k = cache_base(layer, n_seqs, row / n_tokens, n_kv_heads, head / (n_heads / n_kv_heads), n_ctx,
                         head_dim) + (ulong)key * head_dim;
    float v = score(q + q_at + ((ulong)row * n_heads + head) * head_dim, k_cache, k, type, head_dim,
                    scale, softcap);
    s[((ulong)row * n_heads + head) * n_keys + key] = visible(key, position, window) ? v : -FLT_MAX;
}

/* eager, 2 of 3: softmax of each row of the score matrix, in place. One work-group per row. */
__kernel void eager_softmax(__global float *s, uint n_keys) {
    __local float tmp[GROUP];
    uint t = get_local_id(0);
    __global float *row = s + (ulong)get_group_id(0) * n_keys;
    float m = -FLT_MAX, sum = 0;
    for (uint k = t; k < n_keys; k += GROUP)
        m = fmax(m, row[k]);
    m = group_max(tmp, t, m);
    for (uint k = t; k < n_keys; k += GROUP) {
        float e = exp(row[k] - m);
        row[k] = e;
        sum += e;
    }
    sum = group_sum(tmp, t, sum);
    for (uint k = t; k < n_keys; k += GROUP)
        row[k] /= sum;
}

/* eager, 3 of 3: out = P V. Range [head_dim, n_heads, rows]. */
__kernel void eager_values(__global const float *s, __global const void *v_cache, __global float *out,
                           ulong out_at, SHAPE_PARAMS) {
    uint dim = get_global_id(0), head = get_global_id(1), row = get_global_id(2);
    uint n_keys = n_past + n_tokens;
    if (dim >= head_dim)
        return;
    ulong v = cache_base(layer, n_seqs, row / n_tokens, n_kv_heads, head / (n_heads / n_kv_heads), n_ctx,
                         head_dim);
    __global const float *p = s + ((ulong)row * n_heads + head) * n_keys;
    float acc = 0;
    for (uint key = 0; key < n_keys; key++)
        acc += p[key] * kv_load(v_cache, v + (ulong)key * head_dim + dim, type);
    out[out_at + ((ulong)row * n_heads + head) * head_dim + dim] = acc;
}

/* Running softmax over keys [begin, end) for one query: fills o[head_dim] (local), returns m and l in
 * state[0], state[1]. Scores of a block of `block` keys are in local memory, never all of them. */
static void online(__global const float *q, __global const void *k_cache, __global const void *v_cache,
                   ulong base, uint begin, uint end, uint type, uint head_dim, float scale,
                   float softcap, uint block, __local float *p, __local float *o, __local float *tmp,
                   __local float *state, uint t) {
    float m = -FLT_MAX, l = 0;
    for (uint i = t; i < head_dim; i += GROUP)
        o[i] = 0;
    for (uint b = begin; b < end; b += block) {
        uint n = min(block, end - b);
        float most = -FLT_MAX, sum = 0;
        for (uint j = t; j < n; j += GROUP) {
            p[j] = score(q, k_cache, base + (ulong)(b + j) * head_dim, type, head_dim, scale, softcap);
            most = fmax(most, p[j]);
        }
        most = fmax(m, group_max(tmp, t, most));
        for (uint j = t; j < n; j += GROUP) {
            p[j] = exp(p[j] - most);
            sum += p[j];
        }
        float shrink = m == -FLT_MAX ? 0.0f : exp(m - most);
        l = l * shrink + group_sum(tmp, t, sum);
        m = most;
        for (uint i = t; i < head_dim; i += GROUP) {
            float acc = o[i] * shrink;
            for (uint j = 0; j < n; j++)
                acc += p[j] * kv_load(v_cache, base + (ulong)(b + j) * head_dim + i, type);
            o[i] = acc;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (t == 0) {
        state[0] = m;
        state[1] = l;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

/* sdpa: one work-group per (head, row), one pass over blocks of 512 keys. Groups [n_heads, rows]. */
__kernel void sdpa(__global const float *q, ulong q_at, __global const void *k_cache,
                   __global const void *v_cache, __global float *out, ulong out_at, SHAPE_PARAMS) {
    __local float p[512], o[MAX_HEAD_DIM], tmp[GROUP], state[2];
    uint t = get_local_id(0), head = get_group_id(0), row = get_group_id(1);
    uint position = n_past + row % n_tokens;
    uint begin = window && position + 1 > window ? position + 1 - window : 0;
    ulong base = cache_base(layer, n_seqs, row / n_tokens, n_kv_heads, head / (n_heads / n_kv_heads),
                            n_ctx, head_dim);
    ulong at = ((ulong)row * n_heads + head) * head_dim;
    online(q + q_at + at, k_cache, v_cache, base, begin, position + 1, type, head_dim, scale, softcap,
           512, p, o, tmp, state, t);
    for (uint i = t; i < head_dim; i += GROUP)
        out[out_at + at + i] = o[i] / state[1];
}

/* flash, prefill: a tile of BR query rows of one head against tiles of BC keys held in local memory.
 * GROUP items: item t owns row t / (GROUP / BR) and a slice of the dimensions. Groups
 * [tiles of a sequence, n_heads, n_seqs]. */
enum { BR = 8, BC = 16, LANES = GROUP / BR };
__kernel void flash_prefill(__global const float *q, ulong q_at, __global const void *k_cache,
                            __global const void *v_cache, __global float *out, ulong out_at,
                            SHAPE_PARAMS) {
    __local float kt[BC * MAX_HEAD_DIM], vt[BC * MAX_HEAD_DIM], qt[BR * MAX_HEAD_DIM];
    __local float o[BR * MAX_HEAD_DIM], p[BR][BC], m[BR], l[BR], shrink[BR];
    uint t = get_local_id(0), head = get_group_id(1), seq = get_group_id(2);
    uint first = get_group_id(0) * BR, r = t / LANES, lane = t % LANES;
    uint rows = min((uint)BR, n_tokens - first);
    ulong base = cache_base(layer, n_seqs, seq, n_kv_heads, head / (n_heads / n_kv_heads), n_ctx, head_dim);
    for (uint e = t; e < BR * head_dim; e += GROUP) {
        uint row = e / head_dim;
        qt[e] = row < rows ? q[q_at + (((ulong)seq * n_tokens + first + row) * n_heads + head) * head_dim +
                               e % head_dim]
                           : 0.0f;
        o[e] = 0;
    }
    if (lane == 0) {
        m[r] = -FLT_MAX;
        l[r] = 0;
    }
    uint low = n_past + first, high = n_past + first + rows;
    uint begin = window && low + 1 > window ? (low + 1 - window) / BC * BC : 0;
    for (uint k0 = begin; k0 < high; k0 += BC) {
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint e = t; e < BC * head_dim; e += GROUP) {
            uint inside = k0 + e / head_dim < high;
            kt[e] = inside ? kv_load(k_cache, base + (ulong)k0 * head_dim + e, type) : 0.0f;
            vt[e] = inside ? kv_load(v_cache, base + (ulong)k0 * head_dim + e, type) : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint c = lane; c < BC; c += LANES) {
            float s = 0;
            for (uint i = 0; i < head_dim; i++)
                s += qt[r * head_dim + i] * kt[c * head_dim + i];
            s *= scale;
            s = softcap > 0.0f ? tanh(s / softcap) * softcap : s;
            p[r][c] = r < rows && visible(k0 + c, low + r, window) ? s : -FLT_MAX;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lane == 0) {
            float most = m[r], sum = 0;
            for (uint c = 0; c < BC; c++)
                most = fmax(most, p[r][c]);
            for (uint c = 0; c < BC; c++) {
                p[r][c] = p[r][c] == -FLT_MAX ? 0.0f : exp(p[r][c] - most);
                sum += p[r][c];
            }
            shrink[r] = m[r] == -FLT_MAX ? 0.0f : exp(m[r] - most);
            l[r] = l[r] * shrink[r] + sum;
            m[r] = most;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = lane; i < head_dim; i += LANES) {
            float acc = o[r * head_dim + i] * shrink[r];
            for (uint c = 0; c < BC; c++)
                acc += p[r][c] * vt[c * head_dim + i];
            o[r * head_dim + i] = acc;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (r < rows)
        for (uint i = lane; i < head_dim; i += LANES)
            out[out_at + (((ulong)seq * n_tokens + first + r) * n_heads + head) * head_dim + i] =
                o[r * head_dim + i] / l[r];
}

/* flash, decode, 1 of 2: part `get_group_id(2)` of n_splits of the keys of one (head, row); writes
 * unnormalised values, m and l to part [rows, n_heads, n_splits, head_dim + 2]. */
__kernel void flash_split(__global const float *q, ulong q_at, __global const void *k_cache,
                          __global const void *v_cache, __global float *part, uint n_splits,
                          SHAPE_PARAMS) {
    __local float p[128], o[MAX_HEAD_DIM], tmp[GROUP], state[2];
    uint t = get_local_id(0), head = get_group_id(0), row = get_group_id(1), split = get_group_id(2);
    uint position = n_past + row % n_tokens;
    uint first = window && position + 1 > window ? position + 1 - window : 0;
    uint n_keys = position + 1 - first, per = (n_keys + n_splits - 1) / n_splits;
    uint begin = min(first + split * per, position + 1), end = min(begin + per, position + 1);
    ulong base = cache_base(layer, n_seqs, row / n_tokens, n_kv_heads, head / (n_heads / n_kv_heads),
                            n_ctx, head_dim);
    ulong at = ((ulong)row * n_heads + head) * head_dim;
    online(q + q_at + at, k_cache, v_cache, base, begin, end, type, head_dim, scale, softcap, 128, p, o,
           tmp, state, t);
    __global float *to = part + (((ulong)row * n_heads + head) * n_splits + split) * (head_dim + 2);
    for (uint i = t; i < head_dim; i += GROUP)
        to[i] = o[i];
    if (t == 0) {
        to[head_dim] = state[0];
        to[head_dim + 1] = state[1];
    }
}

/* flash, decode, 2 of 2: sums the parts in order. Groups [n_heads, rows]. */
__kernel void flash_reduce(__global const float *part, __global float *out, ulong out_at, uint n_heads,
                           uint head_dim, uint n_splits) {
    uint t = get_local_id(0), head = get_group_id(0), row = get_group_id(1);
    __global const float *from = part + ((ulong)row * n_heads + head) * n_splits * (head_dim + 2);
    float m = -FLT_MAX, l = 0;
    for (uint s = 0; s < n_splits; s++)
        m = fmax(m, from[s * (head_dim + 2) + head_dim]);
    for (uint s = 0; s < n_splits; s++) {
        __global const float *p = from + s * (head_dim + 2);
        l += p[head_dim + 1] * exp(p[head_dim] - m);
    }
    for (uint i = t; i < head_dim; i += GROUP) {
        float acc = 0;
        for (uint s = 0; s < n_splits; s++) {
            __global const float *p = from + s * (head_dim + 2);
            acc += p[i] * exp(p[head_dim] - m);
        }
        out[out_at + ((ulong)row * n_heads + head) * head_dim + i] = acc / l;
    }
}
