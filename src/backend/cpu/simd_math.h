/* SPDX-License-Identifier: MIT
 * Elementwise loops over the vectors of a tier: exp, tanh and erfc to about an ulp, and what is
 * made of them. Included by a kernel file after its vec_*.h. NaN stays NaN throughout.
 *
 * exp: argument reduction by ln 2 in two parts, Taylor to degree 7 (5e-9). tanh and erfc:
 * polynomials fitted at Chebyshev points, 9e-8 and 2e-7 in fp32. */
#ifndef IB_BACKEND_CPU_SIMD_MATH_H
#define IB_BACKEND_CPU_SIMD_MATH_H

#include "backend/cpu/kernels.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

INLINE float vsum(vf v) {
    return _mm_cvtss_f32(vsum4(v, v, v, v));
}

INLINE vf vpolynomial(vf x, const float *c, size_t degree) {
    vf y = vset(c[degree]);
    for (size_t i = degree; i-- > 0;)
        y = vfma(y, x, vset(c[i]));
    return y;
}

INLINE vf vexp(vf x) {
    static const float taylor[8] = {1.0f,      1.0f,       1.0f / 2,   1.0f / 6,
                                    1.0f / 24, 1.0f / 120, 1.0f / 720, 1.0f / 5040};
    x = vmax(vset(-105.0f), vmin(vset(89.0f), x)); /* beyond: 0 and infinity all the same */
    vf n = vround(vmul(x, vset(1.44269504f)));
    vf r = vfnma(n, vset(0.693145752f), x); /* upper bits of ln 2: n times it is exact */
    r = vfnma(n, vset(1.42860677e-6f), r);  /* the rest */
    return vscale2(vpolynomial(r, taylor, 7), n);
}

INLINE vf vtanh(vf x) {
    static const float small[6] = {-0.3333333134651184f,   0.1333305388689041f,
                                   -0.05391661077737808f,  0.02151373401284218f,
                                   -0.007718096952885389f, 0.0017509611789137125f};
    vf size = vabs(x), z = vmul(x, x);
    vf near = vfma(vmul(x, z), vpolynomial(z, small, 5), x);
    vf e = vexp(vmul(size, vset(2.0f)));
    vf far = vsub(vset(1.0f), vdiv(vset(2.0f), vadd(e, vset(1.0f))));
    far = vless(x, vzero(), vsub(vzero(), far), far);
    return vless(size, vset(0.8f), near,
                 vless(size, vset(INFINITY), far, vless(vset(1e30f), size, far, x)));
}

/* The standard normal distribution function, accurate far into the left tail:
 * 0.5 erfc(|x| / sqrt 2) = 0.5 exp(-x^2 / 2) erfcx(|x| / sqrt 2), mirrored for x > 0. */
INLINE vf vnormal_cdf(vf x) {
    static const float scaled[11] = {
        /* erfcx(a) (1 + 2a) in (a - 2) / (a + 2) */
        1.2769783735275269f,      -0.09276361018419266f,  -0.16603241860866547f,
        0.1640457808971405f,      -0.05419646576046944f,  -0.007992262952029705f,
        0.008626328781247139f,    0.001133740646764636f,  -0.0012924036709591746f,
        -0.00023862866510171443f, 0.00010159618250327185f};
    vf size = vmin(vset(30.0f), vabs(x)), a = vmul(size, vset(0.707106781f));
    vf t = vdiv(vsub(a, vset(2.0f)), vadd(a, vset(2.0f)));
    vf half = vmul(size, vset(0.5f)), h = vmul(half, size);
    vf e = vexp(vsub(vzero(), h)), low = vfma(half, size, vsub(vzero(), h));
    e = vfnma(e, low, e); /* what rounding x^2 lost */
    vf tail = vmul(vset(0.5f),
                   vdiv(vmul(e, vpolynomial(t, scaled, 10)), vfma(a, vset(2.0f), vset(1.0f))));
    return vless(vzero(), x, vsub(vset(1.0f), tail), tail);
}

/* --- gated activations ------------------------------------------------------------------------ */

typedef vf activation_fn(vf x);

INLINE vf silu(vf x) {
    return vdiv(x, vadd(vset(1.0f), vexp(vsub(vzero(), x))));
}

INLINE vf gelu(vf x) {
    return vmul(x, vnormal_cdf(x));
}

INLINE vf gelu_tanh(vf x) { /* 0.5 (1 + tanh u) = 1 / (1 + exp(-2u)) */
    vf u = vmul(vset(0.79788456f), vfma(vmul(vmul(x, x), x), vset(0.044715f), x));
    return vdiv(x, vadd(vset(1.0f), vexp(vmul(vset(-2.0f), u))));
}

INLINE void gated(const float *gate, const float *up, size_t n, float *out, activation_fn *act) {
    size_t i = 0;
    for (; i + W <= n; i += W)
        vstore(out + i, vmul(act(vload(gate + i)), vload(up + i)));
    if (i < n)
        vstore_n(out + i, vmul(act(vload_n(gate + i, n - i)), vload_n(up + i, n - i)), n - i);
}

static void gated_silu(const float *gate, const float *up, size_t n, float *out) {
    gated(gate, up, n, out, silu);
}

static void gated_gelu(const float *gate, const float *up, size_t n, float *out) {
    gated(gate, up, n, out, gelu);
}

static void gated_gelu_tanh(const float *gate, const float *up, size_t n, float *out) {
    gated(gate, up, n, out, gelu_tanh);
}

/* --- norm, RoPE, sums ------------------------------------------------------------------------- */

static void norm(const float *x, const float *weight, size_t n, float eps, ib_norm_kind kind,
                 float *out) {
    vf s[4] = {vzero(), vzero(), vzero(), vzero()};
    size_t i = 0;
    for (; i + 4 * W <= n; i += 4 * W)
        for (size_t u = 0; u < 4; u++) {
            vf v = vload(x + i + u * W);
            s[u] = vfma(v, v, s[u]);
        }
    for (; i < n; i += W) {
        vf v = n - i < W ? vload_n(x + i, n - i) : vload(x + i);
        s[0] = vfma(v, v, s[0]);
    }
    float sum = vsum(vadd(vadd(s[0], s[1]), vadd(s[2], s[3])));
    vf inverse = vset(1.0f / sqrtf(sum / (float)n + eps));
    vf offset = vset(kind == IB_NORM_OFFSET_ONE ? 1.0f : 0.0f);
    for (i = 0; i + W <= n; i += W)
        vstore(out + i, vmul(vmul(vload(x + i), inverse), vadd(vload(weight + i), offset)));
    if (i < n)
        vstore_n(
            out + i,
            vmul(vmul(vload_n(x + i, n - i), inverse), vadd(vload_n(weight + i, n - i), offset)),
            n - i);
}

static void rope_pairs(float *x, const float *table, size_t begin, size_t end, size_t half,
                       bool interleaved) {
    for (size_t j = begin; j < end; j++) {
        float *a = x + (interleaved ? 2 * j : j), *b = interleaved ? a + 1 : a + half;
        float first = *a, second = *b;
        *a = first * table[j] - second * table[half + j];
        *b = second * table[j] + first * table[half + j];
    }
}

static void rope(float *x, const float *table, size_t n_rot, bool interleaved) {
    size_t half = n_rot / 2, j = 0;
    for (; !interleaved && j + W <= half; j += W) {
        vf a = vload(x + j), b = vload(x + half + j);
        vf cosine = vload(table + j), sine = vload(table + half + j);
        vstore(x + j, vsub(vmul(a, cosine), vmul(b, sine)));
        vstore(x + half + j, vadd(vmul(b, cosine), vmul(a, sine)));
    }
    rope_pairs(x, table, j, half, half, interleaved);
}

static void add(float *x, const float *y, float factor, size_t n) {
    vf f = vset(factor);
    size_t i = 0;
    for (; i + W <= n; i += W)
        vstore(x + i, vfma(vload(y + i), f, vload(x + i)));
    if (i < n)
        vstore_n(x + i, vfma(vload_n(y + i, n - i), f, vload_n(x + i, n - i)), n - i);
}

static void scale(float *x, float factor, size_t n) {
    vf f = vset(factor);
    size_t i = 0;
    for (; i + W <= n; i += W)
        vstore(x + i, vmul(vload(x + i), f));
    if (i < n)
        vstore_n(x + i, vmul(vload_n(x + i, n - i), f), n - i);
}

/* --- softmax ---------------------------------------------------------------------------------- */

static float max_of(const float *x, size_t n) {
    vf best = vset(-INFINITY);
    size_t i = 0;
    for (; i + W <= n; i += W)
        best = vmax(vload(x + i), best);
    float result = vmax_of(best);
    for (; i < n; i++)
        result = x[i] > result ? x[i] : result;
    return result;
}

static float exp_sum(float *x, float max, float factor, size_t n) {
    vf m = vset(max), f = vset(factor), sum = vzero();
    size_t i = 0;
    for (; i + W <= n; i += W) {
        vf e = vexp(vmul(vsub(vload(x + i), m), f));
        vstore(x + i, e);
        sum = vadd(sum, e);
    }
    if (i < n) {
        vstore_n(x + i, vexp(vmul(vsub(vload_n(x + i, n - i), m), f)), n - i);
        sum = vadd(sum, vload_n(x + i, n - i));
    }
    return vsum(sum);
}

static void softcap(float *x, float factor, float cap, size_t n) {
    vf inner = vset(factor / cap), outer = vset(cap);
    size_t i = 0;
    for (; i + W <= n; i += W)
        vstore(x + i, vmul(outer, vtanh(vmul(vload(x + i), inner))));
    if (i < n)
        vstore_n(x + i, vmul(outer, vtanh(vmul(vload_n(x + i, n - i), inner))), n - i);
}

/* --- argmax ----------------------------------------------------------------------------------- */

/* A row with a number that is not finite: rare, so plainly. */
static void argmax_plain(const float *x, size_t n, int32_t out[2]) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (!isnan(x[best]) && (isnan(x[i]) || x[i] > x[best]))
            best = i;
    out[0] = (int32_t)best;
    out[1] = 1;
}

static void argmax(const float *x, size_t n, int32_t out[2]) {
    vf best = vset(-INFINITY), odd = vzero();
    size_t i = 0;
    for (; i + W <= n; i += W) {
        vf v = vload(x + i);
        best = vmax(v, best);
        odd = vadd(odd, vsub(v, v)); /* NaN once a value is infinite or NaN */
    }
    float max = vmax_of(best), check = vsum(odd);
    for (; i < n; i++) {
        max = x[i] > max ? x[i] : max;
        check += x[i] - x[i];
    }
    if (isnan(check)) {
        argmax_plain(x, n, out);
        return;
    }
    vf wanted = vset(max);
    for (i = 0; i + W <= n && !vequal_bits(vload(x + i), wanted);)
        i += W;
    while (i < n && x[i] < max)
        i++;
    out[0] = (int32_t)i;
    out[1] = 0;
}

/* --- stored numbers --------------------------------------------------------------------------- */

typedef vf load_fn(const void *p);
typedef void store_fn(void *p, vf v);

INLINE vf load_f32(const void *p) {
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* n < W elements of `size` bytes at p, zero beyond. */
INLINE vf load_part(const uint8_t *p, size_t n, size_t size, load_fn *load) {
    uint8_t whole[4 * W] = {0};
    memcpy(whole, p, n * size);
    return load(whole);
}

INLINE void widen(const void *in, size_t n, float *out, size_t size, load_fn *load) {
    const uint8_t *p = in;
    size_t i = 0;
    for (; i + W <= n; i += W)
        vstore(out + i, load(p + i * size));
    if (i < n)
        vstore_n(out + i, load_part(p + i * size, n - i, size, load), n - i);
}

INLINE void narrow(const float *in, size_t n, void *out, store_fn *store) {
    uint8_t *p = out, whole[2 * W];
    size_t i = 0;
    for (; i + W <= n; i += W)
        store(p + 2 * i, vload(in + i));
    if (i < n) {
        store(whole, vload_n(in + i, n - i));
        memcpy(p + 2 * i, whole, 2 * (n - i));
    }
}

static void widen_f16(const void *in, size_t n, float *out) {
    widen(in, n, out, 2, vfrom_f16);
}

static void widen_bf16(const void *in, size_t n, float *out) {
    widen(in, n, out, 2, vfrom_bf16);
}

static void narrow_f16(const float *in, size_t n, void *out) {
    narrow(in, n, out, vto_f16);
}

static void narrow_bf16(const float *in, size_t n, void *out) {
    narrow(in, n, out, vto_bf16);
}

INLINE void fill_math(ib_cpu_kernels *k) {
    k->widen[IB_TYPE_F16] = widen_f16;
    k->widen[IB_TYPE_BF16] = widen_bf16;
    k->narrow[IB_TYPE_F16] = narrow_f16;
    k->narrow[IB_TYPE_BF16] = narrow_bf16;
    k->norm = norm;
    k->rope = rope;
    k->gated[IB_ACT_SILU] = gated_silu;
    k->gated[IB_ACT_GELU] = gated_gelu;
    k->gated[IB_ACT_GELU_TANH] = gated_gelu_tanh;
    k->add = add;
    k->scale = scale;
    k->argmax = argmax;
    k->softcap = softcap;
    k->max = max_of;
    k->exp_sum = exp_sum;
}

#endif
