/* SPDX-License-Identifier: MIT
 * Operations on rows of activations: norm, rotary embedding, gated activation, addition, argmax. */

/* x (+ y * scale, kept in x) of one group of columns -> out, normalised. One work-group per group of
 * columns. offset_one: the weight is stored as w - 1. */
static void norm_row(__global float *x, __global const float *y, float scale, __global float *out,
                     __global const float *weight, uint n, float eps, uint offset_one,
                     __local float *s) {
    uint t = get_local_id(0), whole = n / WIDE * WIDE;
    wide part = 0;
    float sum = 0;
    for (uint k = t * WIDE; k < whole; k += GROUP * WIDE) {
        wide v = wide_load(x + k);
        if (y) {
            v += wide_load(y + k) * scale;
            wide_store(v, x + k);
        }
        part += v * v;
    }
    sum = wide_sum(part);
    for (uint k = whole + t; k < n; k += GROUP) {
        float v = x[k];
        if (y) {
            v += y[k] * scale;
            x[k] = v;
        }
        sum += v * v;
    }
    float r = 1.0f / sqrt(group_sum(s, t, sum) / (float)n + eps), one = offset_one ? 1.0f : 0.0f;
    for (uint k = t * WIDE; k < whole; k += GROUP * WIDE)
        wide_store(wide_load(x + k) * r * (wide_load(weight + k) + one), out + k);
    for (uint k = whole + t; k < n; k += GROUP)
        out[k] = x[k] * r * (weight[k] + one);
}

KERNEL(GROUP) norm(__global float *x, ulong x_at, __global float *out, ulong out_at,
                   __global const float *weight, ulong weight_at, uint n, float eps, uint offset_one) {
    __local float s[GROUP];
    ulong base = (ulong)get_group_id(0) * n;
    norm_row(x + x_at + base, 0, 0.0f, out + out_at + base, weight + weight_at, n, eps, offset_one, s);
}

/* x += y * scale; out = norm(x) */
KERNEL(GROUP) add_norm(__global float *x, ulong x_at, __global const float *y, ulong y_at, float scale,
                       __global float *out, ulong out_at, __global const float *weight,
                       ulong weight_at, uint n, float eps, uint offset_one) {
    __local float s[GROUP];
    ulong base = (ulong)get_group_id(0) * n;
    norm_row(x + x_at + base, y + y_at + base, scale, out + out_at + base, weight + weight_at, n, eps,
             offset_one, s);
}

/* One item per pair: range [n_rot / 2, n_heads, rows]. */
KERNEL(LINE) rope(__global float *x, ulong x_at, __global const float *angles, ulong angles_at,
                  uint n_heads, uint head_dim, uint n_rot, uint interleaved, uint n_past,
                  uint n_tokens) {
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

/* act: 0 silu, 1 gelu, 2 gelu tanh */
KERNEL(LINE) gated_act(__global const float *gate, ulong gate_at, __global const float *up, ulong up_at,
                       __global float *out, ulong out_at, ulong n, uint act) {
    ulong i = get_global_id(0);
    if (i >= n)
        return;
    float g = gate[gate_at + i], y;
    if (act == 0)
        y = g / (1.0f + exp(-g));
    else if (act == 1)
        y = 0.5f * g * erfc(-g * 0.70710678118654752f);
    else /* 0.5 (1 + tanh u) without its cancellation */
        y = g / (1.0f + exp(-1.5957691216057308f * (g + 0.044715f * g * g * g)));
    out[out_at + i] = y * up[up_at + i];
}

KERNEL(LINE) add(__global float *x, ulong x_at, __global const float *y, ulong y_at, ulong n, float scale) {
    ulong i = get_global_id(0);
    if (i < n)
        x[x_at + i] += y[y_at + i] * scale;
}

/* Whether (v, w) is the better maximum than (b, at): NaN is the largest, the lowest index wins. */
static bool beats(float v, int w, float b, int at) {
    if (w < 0)
        return false;
    if (at < 0)
        return true;
    if (isnan(b))
        return isnan(v) && w < at;
    return isnan(v) || v > b || (v == b && w < at);
}

/* One work-group per row: the lowest index of the maximum, NaN counting as the maximum. */
KERNEL(GROUP) argmax(__global const float *x, ulong x_at, __global int *out, ulong out_at, uint n) {
    __local float best[GROUP];
    __local int where[GROUP], odd[GROUP];
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
    for (uint step = GROUP / 2; step > 0; step /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (t < step) {
            if (beats(best[t + step], where[t + step], best[t], where[t])) {
                best[t] = best[t + step];
                where[t] = where[t + step];
            }
            odd[t] |= odd[t + step];
        }
    }
    if (t == 0) {
        out[out_at + 2 * get_group_id(0)] = where[0];
        out[out_at + 2 * get_group_id(0) + 1] = odd[0];
    }
}
