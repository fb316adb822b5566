/* SPDX-License-Identifier: MIT
 * Every slot in plain C: what the SIMD tiers are checked against, and what other processors run.
 * Sums run in eight lanes of fp32, which is both closer to the true sum than one lane and what a
 * compiler can keep in vector registers without being allowed to reorder. */
#include "backend/cpu/kernels.h"

#include <math.h>
#include <string.h>

enum { LANES = 8, CHUNK = 256 };

static float lanes_sum(const float *s) {
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static void dot_add(const float *a, const float *b, size_t n, float *lanes) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] += a[i + l] * b[i + l];
    for (size_t l = 0; i < n; i++, l++)
        lanes[l] += a[i] * b[i];
}

/* --- weights --------------------------------------------------------------------------------- */

static void unpack(const ib_weight *w, size_t row, size_t col, size_t n, float *out) {
    ib_matrix_decode(&w->m, row, col, n, out);
}

/* Any format: a piece of the row as fp32, then a plain dot product with each row of x. */
static void dot_any(const ib_cpu_dot *j) {
    size_t n_cols = j->w->m.n_cols;
    for (size_t row = j->row_begin; row < j->row_end; row++) {
        float lanes[IB_CPU_DOT_ROWS][LANES] = {{0}}, piece[CHUNK];
        for (size_t col = 0; col < n_cols; col += CHUNK) {
            size_t n = n_cols - col < CHUNK ? n_cols - col : CHUNK;
            j->w->unpack(j->w, row, col, n, piece);
            for (size_t i = 0; i < j->n_x; i++)
                dot_add(piece, j->x + i * j->x_stride + col, n, lanes[i]);
        }
        for (size_t i = 0; i < j->n_x; i++)
            j->out[i * j->out_stride + row] = lanes_sum(lanes[i]);
    }
}

static void mm_nt(const float *a, size_t lda, size_t m, const float *b, size_t ldb, size_t n,
                  size_t k, float *c, size_t ldc, bool accumulate) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float lanes[LANES] = {0};
            dot_add(a + i * lda, b + j * ldb, k, lanes);
            float before = accumulate ? c[i * ldc + j] : 0;
            c[i * ldc + j] = before + lanes_sum(lanes);
        }
}

static void mm_nn(const float *a, size_t lda, size_t m, const float *b, size_t ldb, size_t n,
                  size_t k, float *c, size_t ldc, bool accumulate) {
    for (size_t i = 0; i < m; i++) {
        float *row = c + i * ldc;
        if (!accumulate)
            memset(row, 0, n * sizeof *row);
        for (size_t l = 0; l < k; l++) {
            float p = a[i * lda + l];
            const float *v = b + l * ldb;
            for (size_t j = 0; j < n; j++)
                row[j] += p * v[j];
        }
    }
}

enum { PANEL = 16 }; /* rows of x of a GEMM panel */

static void turn(const float *in, size_t ldin, size_t n_rows, size_t n_cols, float *out,
                 size_t ldout) {
    for (size_t r = 0; r < n_rows; r++)
        for (size_t c = 0; c < n_cols; c++)
            out[c * ldout + r] = in[r * ldin + c];
}

static void gemm_pack(const float *x, size_t stride, size_t n_rows, size_t n, void *out) {
    float *to = out;
    memset(to, 0, n * PANEL * sizeof *to);
    turn(x, stride, n_rows, n, to, PANEL);
}

/* Sums of CHUNK columns each: the fewer a sum has, the less it loses to rounding. */
static void gemm_tile(const ib_cpu_tile *t) {
    for (size_t i = 0; i < t->n_w; i++) {
        const float *w = (const float *)t->w + i * t->ldw, *x = t->x;
        float *c = t->c + i * t->ldc;
        if (!t->accumulate)
            memset(c, 0, PANEL * sizeof *c);
        for (size_t l = 0; l < t->n;) {
            float acc[PANEL] = {0};
            for (size_t end = t->n - l < CHUNK ? t->n : l + CHUNK; l < end; l++, x += t->ldx)
                for (size_t j = 0; j < PANEL; j++)
                    acc[j] += w[l] * x[j];
            for (size_t j = 0; j < PANEL; j++)
                c[j] += acc[j];
        }
    }
}

static void int8_tile(const int16_t *a, size_t lda, size_t n_a, const int8_t *w, size_t ldw,
                      size_t n_w, size_t k, int32_t *out) {
    for (size_t i = 0; i < n_a; i++)
        for (size_t j = 0; j < n_w; j++) {
            int32_t sum = 0;
            for (size_t l = 0; l < k; l++)
                sum += a[i * lda + l] * w[j * ldw + l];
            out[i * IB_CPU_INT8_W + j] = sum;
        }
}

/* --- stored numbers --------------------------------------------------------------------------- */

static void copy_in(const void *in, size_t n, float *out) {
    memcpy(out, in, n * sizeof *out);
}

static void copy_out(const float *in, size_t n, void *out) {
    memcpy(out, in, n * sizeof *in);
}

static uint16_t half_at(const uint8_t *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}

static void put_half(uint8_t *p, uint16_t h) {
    p[0] = (uint8_t)(h & 255);
    p[1] = (uint8_t)(h >> 8);
}

static void widen_f16(const void *in, size_t n, float *out) {
    const uint8_t *p = in;
    for (size_t i = 0; i < n; i++)
        out[i] = ib_f16_to_f32(half_at(p + 2 * i));
}

static void widen_bf16(const void *in, size_t n, float *out) {
    const uint8_t *p = in;
    for (size_t i = 0; i < n; i++)
        out[i] = ib_bf16_to_f32(half_at(p + 2 * i));
}

static void narrow_f16(const float *in, size_t n, void *out) {
    uint8_t *p = out;
    for (size_t i = 0; i < n; i++)
        put_half(p + 2 * i, ib_f32_to_f16(in[i]));
}

static void narrow_bf16(const float *in, size_t n, void *out) {
    uint8_t *p = out;
    for (size_t i = 0; i < n; i++)
        put_half(p + 2 * i, ib_f32_to_bf16(in[i]));
}

/* --- vectors ---------------------------------------------------------------------------------- */

static void norm(const float *x, const float *weight, size_t n, float eps, ib_norm_kind kind,
                 float *out) {
    float lanes[LANES] = {0};
    dot_add(x, x, n, lanes);
    float inverse = 1.0f / sqrtf(lanes_sum(lanes) / (float)n + eps);
    float offset = kind == IB_NORM_OFFSET_ONE ? 1.0f : 0.0f;
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] * inverse * (weight[i] + offset);
}

static void rotate(float *a, float *b, float cosine, float sine) {
    float first = *a, second = *b;
    *a = first * cosine - second * sine;
    *b = second * cosine + first * sine;
}

static void rope(float *x, const float *table, size_t n_rot, bool interleaved) {
    size_t half = n_rot / 2;
    for (size_t j = 0; j < half; j++)
        if (interleaved)
            rotate(&x[2 * j], &x[2 * j + 1], table[j], table[half + j]);
        else
            rotate(&x[j], &x[half + j], table[j], table[half + j]);
}

static void gated_silu(const float *gate, const float *up, size_t n, float *out) {
    for (size_t i = 0; i < n; i++)
        out[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

/* x * Phi(x) by erfc, which keeps its digits where 1 + erf(x) would cancel. */
static void gated_gelu(const float *gate, const float *up, size_t n, float *out) {
    for (size_t i = 0; i < n; i++)
        out[i] = 0.5f * gate[i] * erfcf(-gate[i] * 0.70710678f) * up[i];
}

/* 0.5 (1 + tanh u) = 1 / (1 + exp(-2u)), for the same reason. */
static void gated_gelu_tanh(const float *gate, const float *up, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) {
        float x = gate[i], u = 0.79788456f * (x + 0.044715f * x * x * x);
        out[i] = x / (1.0f + expf(-2.0f * u)) * up[i];
    }
}

static void add(float *x, const float *y, float factor, size_t n) {
    for (size_t i = 0; i < n; i++)
        x[i] += y[i] * factor;
}

static void scale(float *x, float factor, size_t n) {
    for (size_t i = 0; i < n; i++)
        x[i] *= factor;
}

static void argmax(const float *x, size_t n, int32_t out[2]) {
    size_t best = 0;
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        finite = finite && isfinite(x[i]);
        if (!isnan(x[best]) && (isnan(x[i]) || x[i] > x[best]))
            best = i;
    }
    out[0] = (int32_t)best;
    out[1] = finite ? 0 : 1;
}

static void softcap(float *x, float factor, float cap, size_t n) {
    float inner = factor / cap;
    for (size_t i = 0; i < n; i++)
        x[i] = cap * tanhf(x[i] * inner);
}

static float max_of(const float *x, size_t n) {
    float best = -INFINITY;
    for (size_t i = 0; i < n; i++)
        best = x[i] > best ? x[i] : best;
    return best;
}

static float exp_sum(float *x, float max, float factor, size_t n) {
    float lanes[LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        x[i] = expf((x[i] - max) * factor);
        lanes[i % LANES] += x[i];
    }
    return lanes_sum(lanes);
}

static uint64_t read_only(const uint8_t *p, size_t n) {
    uint64_t sum[4] = {0}, word;
    for (; n >= sizeof sum; n -= sizeof sum, p += sizeof sum)
        for (size_t i = 0; i < 4; i++) {
            memcpy(&word, p + 8 * i, 8);
            sum[i] ^= word;
        }
    while (n > 0)
        sum[0] ^= p[--n];
    return sum[0] ^ sum[1] ^ sum[2] ^ sum[3];
}

static double multiply_add(size_t steps, float *result) {
    float acc[LANES];
    for (size_t i = 0; i < LANES; i++)
        acc[i] = (float)i;
    for (size_t s = 0; s < steps; s++)
        for (size_t i = 0; i < LANES; i++)
            acc[i] = acc[i] * 0.5f + 1.0f;
    *result = lanes_sum(acc);
    return 2.0 * LANES * (double)steps;
}

void ib_cpu_fill_scalar(ib_cpu_kernels *k) {
    memset(k, 0, sizeof *k);
    for (size_t t = 0; t < IB_TYPE_COUNT; t++)
        if (ib_matrix_type_supported((ib_type)t)) {
            k->unpack[t] = unpack;
            k->dot[t] = dot_any;
        }
    k->mm_nt = mm_nt;
    k->mm_nn = mm_nn;
    k->int8_tile = int8_tile;
    k->turn = turn;
    k->gemm = (ib_cpu_gemm_kernels){.type = IB_TYPE_F32,
                                    .panel_rows = PANEL,
                                    .tile_rows = 1,
                                    .pack = gemm_pack,
                                    .tile = gemm_tile,
                                    .multiply_add = multiply_add};
    k->gemm_f32 = k->gemm;
    k->widen[IB_TYPE_F32] = copy_in;
    k->widen[IB_TYPE_F16] = widen_f16;
    k->widen[IB_TYPE_BF16] = widen_bf16;
    k->narrow[IB_TYPE_F32] = copy_out;
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
    k->read = read_only;
    k->multiply_add = multiply_add;
}
