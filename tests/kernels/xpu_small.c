/* SPDX-License-Identifier: MIT
 * Every kernel of the OpenCL backend once, on shapes small enough for a simulator that watches each
 * access (tools/oclgrind.sh), and compared with the definition: xpu_small FORM [seed]. Prints what
 * it ran; exit code 77 where there is no device, 1 where a result is off. */
#include "backend/backend.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLS = 256, OUT = 19, MOST_ROWS = 18, HEADS = 2, TOKENS = 18, MOST_DIM = 24, CTX = 24 };

typedef struct bench {
    ib_device *d;
    const ib_backend *b;
    ib_rng rng;
    int n_run, n_off;
    bool bf16; /* many rows go to the matrix engine, which rounds weights to bf16 */
    ib_error err;
} bench;

static void expect(bench *t, const char *what, double error, double limit) {
    t->n_run++;
    if (error <= limit)
        return;
    t->n_off++;
    (void)printf("%s: error %.3g, limit %.3g\n", what, error, limit);
}

static void need(bench *t, ib_status st) {
    if (st == IB_OK)
        return;
    (void)printf("%s\n", t->err.text);
    exit(1);
}

static double off(const float *got, const double *want, size_t n) {
    double e = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        e += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        norm += want[i] * want[i];
    }
    e = sqrt(e / (norm > 0 ? norm : 1));
    return isnan(e) ? INFINITY : e;
}

static ib_tensor tensor(bench *t, const float *x, size_t rows, size_t cols) {
    ib_tensor out = {.type = IB_TYPE_F32, .n_rows = rows, .n_cols = cols};
    need(t, t->b->buffer_new(t->d, &out.buffer, rows * cols * 4, IB_MEM_IO, &t->err));
    if (x)
        need(t, t->b->upload(t->d, out.buffer, 0, x, rows * cols * 4, &t->err));
    return out;
}

static void read(bench *t, ib_tensor x, float *out) {
    need(t, t->b->download(t->d, out, x.buffer, 0, x.n_rows * x.n_cols * 4, &t->err));
}

static void fill(bench *t, float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        x[i] = (float)ib_rng_normal(&t->rng);
}

/* A matrix of random bytes whose scales are made tame where the format has them as halves. */
static void matrix(bench *t, ib_matrix *m, ib_type type, size_t cols, uint8_t *bytes,
                   float *scales) {
    const uint32_t block = ib_type_block_bytes(type);
    uint64_t n = (OUT * cols + 1) / 2;
    *m = (ib_matrix){.type = type, .n_rows = OUT, .n_cols = cols, .data = bytes};
    if (type != IB_TYPE_NF4 && type != IB_TYPE_FP4 && !ib_type_bytes(type, OUT * cols, &n))
        exit(1);
    m->data_bytes = n;
    for (uint64_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)ib_rng_below(&t->rng, 256);
    for (uint64_t i = 0; i < OUT * cols && ib_type_block_elements(type) == 1; i++) {
        const float v = (float)ib_rng_normal(&t->rng);
        const uint16_t h = type == IB_TYPE_F16 ? ib_f32_to_f16(v) : ib_f32_to_bf16(v);
        if (type == IB_TYPE_F32)
            memcpy(bytes + i * 4, &v, 4);
        else if (type == IB_TYPE_F16 || type == IB_TYPE_BF16)
            memcpy(bytes + i * 2, &h, 2);
    }
    for (uint64_t i = 0; ib_type_block_elements(type) > 1 && i < n; i += 2) {
        /* any half in the block becomes a small finite number: no exponent bits above 2^-1 */
        bytes[i] &= 0xB7;
        if (i + 1 < n)
            bytes[i + 1] &= 0xB7;
    }
    if (type == IB_TYPE_MXFP4)
        for (uint64_t i = 0; i < n; i += block)
            bytes[i] = 120;
    for (size_t i = 0; i < 256; i++)
        scales[i] = 0.05f + 0.1f * (float)ib_rng_unit(&t->rng);
    m->scb = scales;
    m->blocksize = 64;
    m->absmax_u8 = bytes;
    m->nested_absmax = m->nested_map = scales;
    m->nested_blocksize = 256;
    m->nested_offset = 0.1f;
}

static void reference(const ib_matrix *m, const float *x, size_t rows, double *out) {
    float row[COLS];
    for (size_t j = 0; j < OUT; j++) {
        ib_matrix_decode(m, j, 0, m->n_cols, row);
        for (size_t r = 0; r < rows; r++) {
            double sum = 0;
            for (size_t k = 0; k < m->n_cols; k++)
                sum += (double)row[k] * (double)x[r * m->n_cols + k];
            out[r * OUT + j] = sum;
        }
    }
}

static void linear(bench *t, ib_type type, size_t cols) {
    static const size_t rows[] = {1, 3, MOST_ROWS};
    static uint8_t bytes[OUT * COLS * 4];
    static float scales[256], x[MOST_ROWS * COLS], got[MOST_ROWS * COLS];
    static double want[MOST_ROWS * OUT];
    ib_matrix m;
    ib_weight *w;
    char what[64];
    matrix(t, &m, type, cols, bytes, scales);
    need(t, t->b->weight_new(t->d, &w, &m, false, &t->err));
    fill(t, x, MOST_ROWS * cols);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ib_tensor tx = tensor(t, x, rows[i], cols), out = tensor(t, NULL, rows[i], OUT);
        const ib_linear_args a = {.weight = w, .x = tx, .out = out, .out_scale = 1};
        need(t, t->b->linear(t->d, &a, &t->err));
        read(t, out, got);
        reference(&m, x, rows[i], want);
        (void)snprintf(what, sizeof what, "%s [%d, %zu], %zu rows", ib_type_name(type), OUT, cols,
                       rows[i]);
        /* x is rounded to 7 bits by LLM.int8 */
        const double limit = type == IB_TYPE_INT8 ? 2e-2 : t->bf16 && rows[i] > 4 ? 4e-3 : 2e-6;
        expect(t, what, off(got, want, rows[i] * OUT), limit);
        t->b->buffer_free(t->d, out.buffer);
        t->b->buffer_free(t->d, tx.buffer);
    }
    t->b->weight_free(t->d, w);
}

static float stored(float x, ib_type type) {
    return type == IB_TYPE_F16    ? ib_f16_to_f32(ib_f32_to_f16(x))
           : type == IB_TYPE_BF16 ? ib_bf16_to_f32(ib_f32_to_bf16(x))
                                  : x;
}

/* One kv head, HEADS query heads, TOKENS positions from 0 on. */
static void attention_reference(const float *q, const float *k, const float *v, size_t dim,
                                ib_type type, size_t window, double *out) {
    for (size_t i = 0; i < TOKENS; i++)
        for (size_t h = 0; h < HEADS; h++) {
            const size_t at = (i * HEADS + h) * dim,
                         first = window && i + 1 > window ? i + 1 - window : 0;
            double p[TOKENS], sum = 0;
            for (size_t j = first; j <= i; j++) {
                p[j] = 0;
                for (size_t c = 0; c < dim; c++)
                    p[j] += (double)q[at + c] * (double)stored(k[j * dim + c], type);
                p[j] = exp(p[j] * 0.25);
                sum += p[j];
            }
            for (size_t c = 0; c < dim; c++) {
                out[at + c] = 0;
                for (size_t j = first; j <= i; j++)
                    out[at + c] += p[j] / sum * (double)stored(v[j * dim + c], type);
            }
        }
}

static void attention(bench *t, ib_type type, size_t dim, size_t window) {
    static float q[TOKENS * HEADS * MOST_DIM], k[TOKENS * MOST_DIM], v[TOKENS * MOST_DIM],
        got[TOKENS * HEADS * MOST_DIM];
    static double want[TOKENS * HEADS * MOST_DIM];
    const ib_kv_spec spec = {1, 1, 1, dim, CTX, type};
    ib_kv *kv;
    char what[64];
    fill(t, q, TOKENS * HEADS * dim);
    fill(t, k, TOKENS * dim);
    fill(t, v, TOKENS * dim);
    attention_reference(q, k, v, dim, type, window, want);
    need(t, t->b->kv_new(t->d, &kv, &spec, &t->err));
    ib_tensor tk = tensor(t, k, TOKENS, dim), tv = tensor(t, v, TOKENS, dim),
              tq = tensor(t, q, TOKENS, HEADS * dim), out = tensor(t, NULL, TOKENS, HEADS * dim);
    const ib_kv_write_args write = {kv, 0, tk, tv, {1, TOKENS, 0, false}};
    need(t, t->b->kv_write(t->d, &write, &t->err));
    for (int kind = 0; kind < IB_ATTN_COUNT; kind++) {
        ib_attention_args a = {(ib_attention)kind,   kv, 0, tq, out, HEADS, 0.25f, 0, window,
                               {1, TOKENS, 0, false}};
        need(t, t->b->attention(t->d, &a, &t->err));
        read(t, out, got);
        (void)snprintf(what, sizeof what, "%s, cache %s, dim %zu, window %zu",
                       ib_attention_name(a.kind), ib_type_name(type), dim, window);
        expect(t, what, off(got, want, TOKENS * HEADS * dim), 1e-5);
        const size_t last = (TOKENS - 1) * HEADS * dim; /* the last token alone: decode */
        a.q.offset = last * 4;
        a.q.n_rows = a.out.n_rows = 1;
        a.step = (ib_step){1, 1, TOKENS - 1, true};
        need(t, t->b->attention(t->d, &a, &t->err));
        read(t, a.out, got);
        expect(t, what, off(got, want + last, HEADS * dim), 1e-5);
    }
    t->b->buffer_free(t->d, out.buffer);
    t->b->buffer_free(t->d, tq.buffer);
    t->b->buffer_free(t->d, tv.buffer);
    t->b->buffer_free(t->d, tk.buffer);
    t->b->kv_free(t->d, kv);
}

/* norm, add_norm and argmax reduce over work-groups; the element-wise ones ran when warmed up. */
static void rows(bench *t) {
    enum { N = 300 };
    static float x[2 * N], w[N], got[2 * N];
    static double want[2 * N];
    int32_t ids[4];
    fill(t, x, 2 * N);
    fill(t, w, N);
    x[17] = 50;
    x[N + 299] = 50;
    for (size_t r = 0; r < 2; r++) {
        double sum = 0;
        for (size_t i = 0; i < N; i++)
            sum += 4 * (double)x[r * N + i] * (double)x[r * N + i];
        for (size_t i = 0; i < N; i++)
            want[r * N + i] = 2 * (double)x[r * N + i] / sqrt(sum / N + 1e-5) * (double)w[i];
    }
    ib_tensor tx = tensor(t, x, 2, N), ty = tensor(t, x, 2, N), tw = tensor(t, w, 1, N),
              out = tensor(t, NULL, 2, N), best = tensor(t, NULL, 2, 2);
    const ib_norm_args norm = {tx, out, tw, N, 1e-5f, IB_NORM_LLAMA};
    need(t, t->b->add_norm(t->d, tx, ty, 1, &norm, &t->err));
    read(t, out, got);
    expect(t, "add_norm", off(got, want, 2 * N), 1e-6);
    need(t, t->b->norm(t->d, &norm, &t->err));
    read(t, out, got);
    expect(t, "norm", off(got, want, 2 * N), 1e-6);
    need(t, t->b->argmax(t->d, tx, best, &t->err));
    need(t, t->b->download(t->d, ids, best.buffer, 0, sizeof ids, &t->err));
    expect(t, "argmax", ids[0] == 17 && ids[1] == 0 && ids[2] == 299 && ids[3] == 0 ? 0 : 1, 0);
    ib_tensor all[] = {tx, ty, tw, out, best};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        t->b->buffer_free(t->d, all[i].buffer);
}

int main(int argc, char **argv) {
    static const ib_type types[] = {
        IB_TYPE_F32,  IB_TYPE_F16,  IB_TYPE_BF16, IB_TYPE_NF4,  IB_TYPE_FP4,    IB_TYPE_INT8,
        IB_TYPE_Q4_0, IB_TYPE_Q4_1, IB_TYPE_Q5_0, IB_TYPE_Q5_1, IB_TYPE_Q8_0,   IB_TYPE_Q2_K,
        IB_TYPE_Q3_K, IB_TYPE_Q4_K, IB_TYPE_Q5_K, IB_TYPE_Q6_K, IB_TYPE_IQ4_NL, IB_TYPE_MXFP4};
    static const ib_type caches[] = {IB_TYPE_F32, IB_TYPE_F16, IB_TYPE_BF16};
    bench t = {.bf16 = argc > 1 && strncmp(argv[1], "engine", 6) == 0};
    const ib_device_config config = {.form = argc > 1 ? argv[1] : NULL};
    const ib_limits limits = {1,        MOST_ROWS, CTX,  1,    HEADS, 1,
                              MOST_DIM, COLS,      COLS, COLS, 1,     IB_ATTN_EAGER};
    if (ib_device_open(&t.d, "xpu:cpu", &config, &t.err) != IB_OK) {
        (void)printf("skipped: %s\n", t.err.text);
        return 77;
    }
    ib_rng_init(&t.rng, argc > 2 ? (uint64_t)strtoul(argv[2], NULL, 10) : 1);
    t.b = ib_backend_of(t.d);
    need(&t, t.b->reserve(t.d, &limits, &t.err));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        linear(&t, types[i], COLS);
    linear(&t, IB_TYPE_NF4, 33);
    linear(&t, IB_TYPE_F16, 61);
    linear(&t, IB_TYPE_INT8, 61);
    for (size_t i = 0; i < 3; i++)
        attention(&t, caches[i], i == 1 ? 24 : 11, i == 2 ? 5 : 0);
    rows(&t);
    ib_device_info info;
    t.b->info(t.d, &info);
    ib_device_close(t.d);
    (void)printf("%s, %s kernels: %d results, %d off\n", info.name, info.tier, t.n_run, t.n_off);
    return t.n_off ? 1 : 0;
}
