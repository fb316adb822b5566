/* SPDX-License-Identifier: MIT
 * The KV cache and three attentions over it. Built per cache type (KV 0 fp32, 1 half, 2 bf16) and head
 * dimension HD. The cache is [layer, sequence, kv head, position, HD]; sums are fp32. */
#define HD8 (HD / 8 * 8)

#if KV == 0
typedef float kv_t;
#define kv1(p, i) ((p)[i])
#define kv8(p, i) vload8(0, (p) + (i))
static void kv_store(__global kv_t *p, ulong i, float v) {
    p[i] = v;
}
#elif KV == 1
typedef half kv_t;
#define kv1(p, i) vload_half(i, p)
#define kv8(p, i) vload_half8(0, (p) + (i))
static void kv_store(__global kv_t *p, ulong i, float v) {
    vstore_half_rte(v, i, p);
}
#else
typedef ushort kv_t;
#define kv1(p, i) as_float((uint)(p)[i] << 16)
#define kv8(p, i) as_float8(convert_uint8(vload8(0, (p) + (i))) << 16)
static void kv_store(__global kv_t *p, ulong i, float v) {
    uint u = as_uint(v);
    p[i] = isnan(v) ? (ushort)(u >> 16 | 64) : (ushort)((u + 0x7FFFu + (u >> 16 & 1)) >> 16);
}
#endif
#if FORM == SINGLE
#define kv_wide(p, i) kv8(p, i)
#else
#define kv_wide(p, i) kv1(p, i)
#endif

/* One layer of the cache and the step: see ib_attention_args. */
#define SHAPE_PARAMS                                                                               \
    uint layer, uint n_seqs, uint n_heads, uint n_kv_heads, uint n_ctx, uint n_past, uint n_tokens,  \
        uint window, float scale, float softcap

/* First cache element of (layer, sequence, kv head). */
static ulong cache_base(uint layer, uint n_seqs, ulong seq, uint n_kv_heads, uint kv_head, uint n_ctx) {
    return (((ulong)layer * n_seqs + seq) * n_kv_heads + kv_head) * n_ctx * HD;
}

/* Range [HD, n_kv_heads, rows]. */
KERNEL(LINE) kv_write(__global const float *k, ulong k_at, __global const float *v, ulong v_at,
                      __global kv_t *k_cache, __global kv_t *v_cache, uint layer, uint n_seqs,
                      uint n_kv_heads, uint n_ctx, uint n_past, uint n_tokens) {
    uint dim = get_global_id(0), head = get_global_id(1), row = get_global_id(2);
    if (dim >= HD)
        return;
    ulong seq = row / n_tokens, position = n_past + row % n_tokens;
    ulong to = cache_base(layer, n_seqs, seq, n_kv_heads, head, n_ctx) + position * HD + dim;
    ulong from = ((ulong)row * n_kv_heads + head) * HD + dim;
    kv_store(k_cache, to, k[k_at + from]);
    kv_store(v_cache, to, v[v_at + from]);
}

static float capped(float s, float scale, float softcap) {
    s *= scale;
    return softcap > 0.0f ? tanh(s / softcap) * softcap : s;
}

static float score(__global const float *q, __global const kv_t *k, float scale, float softcap) {
    float8 part = 0;
    float s = 0;
    for (uint i = 0; i < HD8; i += 8)
        part = fma(vload8(0, q + i), kv8(k, i), part);
    for (uint i = HD8; i < HD; i++)
        s += q[i] * kv1(k, i);
    return capped(s + sum8(part), scale, softcap);
}

static bool visible(uint key, uint position, uint window) {
    return key <= position && (window == 0 || key + window > position);
}

/* eager, 1 of 3: the whole score matrix s [rows, n_heads, n_keys], masked entries included.
 * Range [n_keys, n_heads, rows]. */
KERNEL(LINE) eager_scores(__global const float *q, ulong q_at, __global const kv_t *k_cache,
                          __global float *s, SHAPE_PARAMS) {
    uint key = get_global_id(0), head = get_global_id(1), row = get_global_id(2);
    uint n_keys = n_past + n_tokens;
    if (key >= n_keys)
        return;
    uint position = n_past + row % n_tokens;
    ulong k = cache_base(layer, n_seqs, row / n_tokens, n_kv_heads, head / (n_heads / n_kv_heads), n_ctx) +
              (ulong)key * HD;
    float v = score(q + q_at + ((ulong)row * n_heads + head) * HD, k_cache + k, scale, softcap);
    s[((ulong)row * n_heads + head) * n_keys + key] = visible(key, position, window) ? v : -FLT_MAX;
}

/* eager, 2 of 3: softmax of each row of the score matrix, in place. One work-group per row. */
KERNEL(GROUP) eager_softmax(__global float *s, uint n_keys) {
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

/* acc + sum over j of p[j] * values of dimension(s) i on; v: first key's row. */
#define WEIGHTED(acc, p, v, n, i)                                                                  \
    for (uint j = 0; j < (n); j++)                                                                 \
        (acc) = fma((wide)((p)[j]), kv_wide((v) + (ulong)j * HD, i), (acc))
#define WEIGHTED1(acc, p, v, n, i)                                                                 \
    for (uint j = 0; j < (n); j++)                                                                 \
        (acc) += (p)[j] * kv1((v) + (ulong)j * HD, i)

/* eager, 3 of 3: out = P V. Groups [1, n_heads, rows]. */
KERNEL(GROUP) eager_values(__global const float *s, __global const kv_t *v_cache, __global float *out,
                           ulong out_at, SHAPE_PARAMS) {
    uint t = get_local_id(0), head = get_group_id(1), row = get_group_id(2);
    uint n_keys = n_past + n_tokens;
    __global const kv_t *v = v_cache + cache_base(layer, n_seqs, row / n_tokens, n_kv_heads,
                                                  head / (n_heads / n_kv_heads), n_ctx);
    __global const float *p = s + ((ulong)row * n_heads + head) * n_keys;
    __global float *to = out + out_at + ((ulong)row * n_heads + head) * HD;
    for (uint i = t * WIDE; i < HD / WIDE * WIDE; i += GROUP * WIDE) {
        wide acc = 0;
        WEIGHTED(acc, p, v, n_keys, i);
        wide_store(acc, to + i);
    }
    for (uint i = HD / WIDE * WIDE + t; i < HD; i += GROUP) {
        float acc = 0;
        WEIGHTED1(acc, p, v, n_keys, i);
        to[i] = acc;
    }
}

/* Running softmax over keys [begin, end) for one query: fills o[HD] (local), returns m and l in state.
 * Scores of a block of `block` keys are in local memory, never all of them. */
static void online(__global const float *q, __global const kv_t *k, __global const kv_t *v, uint begin,
                   uint end, float scale, float softcap, uint block, __local float *p,
                   __local float *o, __local float *tmp, __local float *state, uint t) {
    float m = -FLT_MAX, l = 0;
    for (uint i = t; i < HD; i += GROUP)
        o[i] = 0;
    for (uint b = begin; b < end; b += block) {
        uint n = min(block, end - b);
        float most = -FLT_MAX, sum = 0;
        for (uint j = t; j < n; j += GROUP) {
            p[j] = score(q, k + (ulong)(b + j) * HD, scale, softcap);
            most = fmax(most, p[j]);
        }
        most = fmax(m, group_max(tmp, t, most));
        for (uint j = t; j < n; j += GROUP) {
            p[j] = exp(p[j] - most);
            sum += p[j];
        }
        float shrink = m == -FLT_MAX ? 0.0f : exp(m - most);
        l = l * shrink + group_sum(tmp, t, sum);
        m = most; /* group_sum has made p visible to all */
        for (uint i = t * WIDE; i < HD / WIDE * WIDE; i += GROUP * WIDE) {
            wide acc = wide_load(o + i) * shrink;
            WEIGHTED(acc, p, v + (ulong)b * HD, n, i);
            wide_store(acc, o + i);
        }
        for (uint i = HD / WIDE * WIDE + t; i < HD; i += GROUP) {
            float acc = o[i] * shrink;
            WEIGHTED1(acc, p, v + (ulong)b * HD, n, i);
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
KERNEL(GROUP) sdpa(__global const float *q, ulong q_at, __global const kv_t *k_cache,
                   __global const kv_t *v_cache, __global float *out, ulong out_at, SHAPE_PARAMS) {
    __local float p[512], o[HD], tmp[GROUP], state[2];
    uint t = get_local_id(0), head = get_group_id(0), row = get_group_id(1);
    uint position = n_past + row % n_tokens;
    uint begin = window && position + 1 > window ? position + 1 - window : 0;
    ulong base = cache_base(layer, n_seqs, row / n_tokens, n_kv_heads, head / (n_heads / n_kv_heads), n_ctx);
    ulong at = ((ulong)row * n_heads + head) * HD;
    online(q + q_at + at, k_cache + base, v_cache + base, begin, position + 1, scale, softcap, 512, p, o,
           tmp, state, t);
    for (uint i = t; i < HD; i += GROUP)
        out[out_at + at + i] = o[i] / state[1];
}

/* flash, prefill: a tile of BR query rows of one head against tiles of BC keys and values, all in local
 * memory; scores never leave it. Groups [tiles of a sequence, n_heads, n_seqs]. */
enum { BR = 16, BC = HD <= 64 ? 32 : HD <= 128 ? 16 : 8, STRIDE = (HD + 7) / 8 * 8 };

static void flash_load(__global const kv_t *from, __local float *to, uint n, uint t) {
    for (uint e = t; e < BC * STRIDE; e += GROUP) {
        uint row = e / STRIDE, i = e % STRIDE;
        to[e] = row < n && i < HD ? kv1(from + (ulong)row * HD, i) : 0.0f;
    }
}

KERNEL(GROUP) flash_prefill(__global const float *q, ulong q_at, __global const kv_t *k_cache,
                            __global const kv_t *v_cache, __global float *out, ulong out_at,
                            SHAPE_PARAMS) {
    __local float kt[BC * STRIDE], vt[BC * STRIDE], qt[BR * STRIDE], o[BR * STRIDE];
    __local float p[BR * BC], m[BR], l[BR], shrink[BR];
    uint t = get_local_id(0), head = get_group_id(1), seq = get_group_id(2);
    uint first = get_group_id(0) * BR, rows = min((uint)BR, n_tokens - first);
    ulong base = cache_base(layer, n_seqs, seq, n_kv_heads, head / (n_heads / n_kv_heads), n_ctx);
    for (uint e = t; e < BR * STRIDE; e += GROUP) {
        uint row = e / STRIDE, i = e % STRIDE;
        ulong at = (((ulong)seq * n_tokens + first + row) * n_heads + head) * HD + i;
        qt[e] = row < rows && i < HD ? q[q_at + at] : 0.0f;
        o[e] = 0;
    }
    for (uint r = t; r < BR; r += GROUP) {
        m[r] = -FLT_MAX;
        l[r] = 0;
    }
    uint low = n_past + first, high = low + rows;
    uint begin = window && low + 1 > window ? (low + 1 - window) / BC * BC : 0;
    for (uint k0 = begin; k0 < high; k0 += BC) {
        barrier(CLK_LOCAL_MEM_FENCE);
        flash_load(k_cache + base + (ulong)k0 * HD, kt, high - k0, t);
        flash_load(v_cache + base + (ulong)k0 * HD, vt, high - k0, t);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint e = t; e < BR * BC; e += GROUP) {
            uint r = e / BC, c = e % BC;
            float8 part = 0;
            for (uint i = 0; i < STRIDE; i += 8)
                part = fma(vload8(0, qt + r * STRIDE + i), vload8(0, kt + c * STRIDE + i), part);
            float s = capped(sum8(part), scale, softcap);
            p[e] = r < rows && visible(k0 + c, low + r, window) ? s : -FLT_MAX;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint r = t; r < BR; r += GROUP) {
            float most = m[r], sum = 0;
            for (uint c = 0; c < BC; c++)
                most = fmax(most, p[r * BC + c]);
            for (uint c = 0; c < BC; c++) {
                float s = p[r * BC + c];
                p[r * BC + c] = s == -FLT_MAX ? 0.0f : exp(s - most);
                sum += p[r * BC + c];
            }
            shrink[r] = m[r] == -FLT_MAX ? 0.0f : exp(m[r] - most);
            l[r] = l[r] * shrink[r] + sum;
            m[r] = most;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint e = t * WIDE; e < BR * STRIDE; e += GROUP * WIDE) {
            uint r = e / STRIDE, i = e % STRIDE;
            wide acc = wide_load(o + e) * shrink[r];
            for (uint c = 0; c < BC; c++)
                acc = fma((wide)(p[r * BC + c]), wide_load(vt + c * STRIDE + i), acc);
            wide_store(acc, o + e);
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint e = t; e < rows * HD; e += GROUP) {
        uint r = e / HD, i = e % HD;
        out[out_at + (((ulong)seq * n_tokens + first + r) * n_heads + head) * HD + i] =
            o[r * STRIDE + i] / l[r];
    }
}

/* flash, decode, 1 of 2: part `get_group_id(2)` of n_splits of the keys of one (head, row); writes
 * unnormalised values, m and l to part [rows, n_heads, n_splits, HD + 2]. */
KERNEL(GROUP) flash_split(__global const float *q, ulong q_at, __global const kv_t *k_cache,
                          __global const kv_t *v_cache, __global float *part, uint n_splits,
                          SHAPE_PARAMS) {
    __local float p[128], o[HD], tmp[GROUP], state[2];
    uint t = get_local_id(0), head = get_group_id(0), row = get_group_id(1), split = get_group_id(2);
    uint position = n_past + row % n_tokens;
    uint first = window && position + 1 > window ? position + 1 - window : 0;
    uint n_keys = position + 1 - first, per = (n_keys + n_splits - 1) / n_splits;
    uint begin = min(first + split * per, position + 1), end = min(begin + per, position + 1);
    ulong base = cache_base(layer, n_seqs, row / n_tokens, n_kv_heads, head / (n_heads / n_kv_heads), n_ctx);
    ulong at = ((ulong)row * n_heads + head) * HD;
    online(q + q_at + at, k_cache + base, v_cache + base, begin, end, scale, softcap, 128, p, o, tmp,
           state, t);
    __global float *to = part + (((ulong)row * n_heads + head) * n_splits + split) * (HD + 2);
    for (uint i = t; i < HD; i += GROUP)
        to[i] = o[i];
    if (t == 0) {
        to[HD] = state[0];
        to[HD + 1] = state[1];
    }
}

/* flash, decode, 2 of 2: sums the parts in order. Groups [n_heads, rows]. */
KERNEL(GROUP) flash_reduce(__global const float *part, __global float *out, ulong out_at, uint n_heads,
                           uint n_splits) {
    uint t = get_local_id(0), head = get_group_id(0), row = get_group_id(1);
    __global const float *from = part + ((ulong)row * n_heads + head) * n_splits * (HD + 2);
    float m = -FLT_MAX, l = 0;
    for (uint s = 0; s < n_splits; s++)
        m = fmax(m, from[s * (HD + 2) + HD]);
    for (uint s = 0; s < n_splits; s++) {
        __global const float *p = from + s * (HD + 2);
        l += p[HD + 1] * exp(p[HD] - m);
    }
    for (uint i = t; i < HD; i += GROUP) {
        float acc = 0;
        for (uint s = 0; s < n_splits; s++) {
            __global const float *p = from + s * (HD + 2);
            acc += p[i] * exp(p[HD] - m);
        }
        out[out_at + ((ulong)row * n_heads + head) * HD + i] = acc / l;
    }
}
