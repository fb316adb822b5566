/* SPDX-License-Identifier: MIT
 * The three formulations of attention against fp64 on the keys and values as stored, for every
 * cache type, head shape, window, cap and step; their scratch; and independence of threads. */
#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Three fp32 sums (scores, softmax, values) and an exponential of about an ulp. */
static const double LIMIT = 2e-6;
/* Scores of some hundred carry roundings of 1e-5, which the exponential hands on as they are. At
 * thousands one key takes all, and the result is exact again. */
static const double SPREAD_LIMIT = 5e-5;

typedef struct shape {
    size_t n_heads, n_kv_heads, head_dim, n_seqs, n_past, n_tokens, window;
    double softcap, spread; /* spread: factor on q */
} shape;

static const shape shapes[] = {
    {1, 1, 64, 1, 0, 1, 0, 0, 1},      {9, 3, 64, 1, 0, 37, 0, 0, 1},
    {4, 4, 80, 1, 0, 130, 0, 0, 1},    {8, 2, 128, 1, 700, 1, 0, 0, 1},
    {6, 1, 96, 2, 300, 1, 0, 0, 1},    {4, 2, 256, 1, 0, 20, 0, 0, 1},
    {4, 2, 64, 2, 250, 9, 0, 0, 1},    {4, 2, 64, 1, 0, 200, 1, 0, 1},
    {4, 2, 64, 1, 0, 200, 50, 0, 1},   {4, 2, 64, 1, 900, 1, 100, 0, 1},
    {4, 2, 64, 1, 900, 1, 5000, 0, 1}, {4, 2, 64, 1, 600, 70, 129, 0, 1},
    {4, 1, 64, 1, 0, 70, 0, 20, 8},    {4, 1, 64, 1, 300, 1, 90, 20, 8},
    {2, 2, 64, 1, 0, 40, 0, 0, 0},     {2, 1, 64, 1, 0, 40, 0, 0, 4000},
    {2, 1, 64, 1, 600, 1, 0, 0, 4000}, {3, 3, 7, 1, 5, 3, 0, 0, 1},
    {2, 1, 64, 1, 4500, 1, 0, 0, 1},   {2, 1, 64, 1, 511, 1, 0, 0, 1},
    {16, 1, 32, 1, 255, 2, 0, 0, 1},   {4, 2, 64, 1, 300, 50, 0, 0, 40},
    {4, 2, 64, 1, 900, 1, 0, 0, 40},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static const ib_type kv_types[] = {IB_TYPE_F32, IB_TYPE_F16, IB_TYPE_BF16};

typedef struct problem {
    const shape *s;
    size_t n_keys, rows;
    float *q, *k, *v; /* q [rows, heads, dim]; k, v [seqs, keys, kv heads, dim] as stored */
} problem;

static float stored(float x, ib_type type) {
    if (type == IB_TYPE_F16)
        return ib_f16_to_f32(ib_f32_to_f16(x));
    return type == IB_TYPE_BF16 ? ib_bf16_to_f32(ib_f32_to_bf16(x)) : x;
}

static void problem_init(problem *p, const shape *s, ib_type type, ib_rng *r) {
    p->s = s;
    p->n_keys = s->n_past + s->n_tokens;
    p->rows = s->n_seqs * s->n_tokens;
    size_t nq = p->rows * s->n_heads * s->head_dim;
    size_t nk = s->n_seqs * p->n_keys * s->n_kv_heads * s->head_dim;
    p->q = malloc(nq * sizeof(float));
    p->k = malloc(nk * sizeof(float));
    p->v = malloc(nk * sizeof(float));
    assert_true(p->q && p->k && p->v);
    kt_normal(r, p->q, nq, (float)s->spread);
    kt_normal(r, p->k, nk, 1.0f);
    kt_normal(r, p->v, nk, 1.0f);
    for (size_t i = 0; i < nk; i++) {
        p->k[i] = stored(p->k[i], type);
        p->v[i] = stored(p->v[i], type);
    }
}

static void problem_clear(problem *p) {
    free(p->q);
    free(p->k);
    free(p->v);
}

/* One query row of one head in fp64. */
static void reference_row(const problem *p, size_t seq, size_t token, size_t head, double *weights,
                          double *out) {
    const shape *s = p->s;
    size_t dim = s->head_dim, kv = head / (s->n_heads / s->n_kv_heads), at = s->n_past + token;
    size_t first = s->window && at + 1 > s->window ? at + 1 - s->window : 0;
    const float *q = p->q + ((seq * s->n_tokens + token) * s->n_heads + head) * dim;
    double max = -INFINITY, sum = 0;
    for (size_t j = first; j <= at; j++) {
        const float *k = p->k + ((seq * p->n_keys + j) * s->n_kv_heads + kv) * dim;
        double score = 0;
        for (size_t c = 0; c < dim; c++)
            score += (double)q[c] * (double)k[c];
        score /= sqrt((double)dim);
        weights[j] = s->softcap > 0 ? s->softcap * tanh(score / s->softcap) : score;
        max = fmax(max, weights[j]);
    }
    memset(out, 0, dim * sizeof *out);
    for (size_t j = first; j <= at; j++)
        sum += exp(weights[j] - max);
    for (size_t j = first; j <= at; j++) {
        const float *v = p->v + ((seq * p->n_keys + j) * s->n_kv_heads + kv) * dim;
        for (size_t c = 0; c < dim; c++)
            out[c] += exp(weights[j] - max) / sum * (double)v[c];
    }
}

static double *reference(const problem *p) {
    const shape *s = p->s;
    double *out = malloc(p->rows * s->n_heads * s->head_dim * sizeof *out);
    double *weights = malloc(p->n_keys * sizeof *weights);
    assert_true(out && weights);
    for (size_t r = 0; r < p->rows; r++)
        for (size_t h = 0; h < s->n_heads; h++)
            reference_row(p, r / s->n_tokens, r % s->n_tokens, h, weights,
                          out + (r * s->n_heads + h) * s->head_dim);
    free(weights);
    return out;
}

/* Keys or values of positions [from, from + n) of all sequences, as kv_write wants them. */
static ib_tensor slice(bench *t, const problem *p, const float *x, size_t from, size_t n) {
    size_t width = p->s->n_kv_heads * p->s->head_dim;
    float *rows = malloc(p->s->n_seqs * n * width * sizeof *rows);
    assert_non_null(rows);
    for (size_t seq = 0; seq < p->s->n_seqs; seq++)
        memcpy(rows + seq * n * width, x + (seq * p->n_keys + from) * width,
               n * width * sizeof *rows);
    ib_tensor out = kt_tensor(t, rows, p->s->n_seqs * n, width);
    free(rows);
    return out;
}

static void write_cache(bench *t, const problem *p, ib_kv *kv, size_t from, size_t n) {
    ib_error err;
    if (n == 0)
        return;
    ib_tensor k = slice(t, p, p->k, from, n), v = slice(t, p, p->v, from, n);
    const ib_kv_write_args a = {kv, 1, k, v, {p->s->n_seqs, n, from, false}};
    if (t->b->kv_write(t->d, &a, &err) != IB_OK)
        fail_msg("%s", err.text);
    kt_drop(t, v);
    kt_drop(t, k);
}

static float *run(bench *t, const problem *p, ib_type type, ib_attention kind) {
    const shape *s = p->s;
    ib_error err;
    ib_kv *kv;
    const ib_kv_spec spec = {2, s->n_seqs, s->n_kv_heads, s->head_dim, p->n_keys + 3, type};
    assert_int_equal(t->b->kv_new(t->d, &kv, &spec, &err), IB_OK);
    const ib_limits limits = {.n_seqs = s->n_seqs,
                              .n_tokens = s->n_tokens,
                              .n_ctx = p->n_keys,
                              .n_layers = 2,
                              .n_heads = s->n_heads,
                              .n_kv_heads = s->n_kv_heads,
                              .head_dim = s->head_dim,
                              .d_model = 64,
                              .d_ff = 64,
                              .n_vocab = 64,
                              .n_logit_rows = 1,
                              .attention = kind};
    kt_reserve(t, &limits);
    write_cache(t, p, kv, 0, s->n_past);
    write_cache(t, p, kv, s->n_past, s->n_tokens);
    ib_tensor q = kt_tensor(t, p->q, p->rows, s->n_heads * s->head_dim);
    ib_tensor out = kt_tensor(t, NULL, p->rows, s->n_heads * s->head_dim);
    const ib_attention_args a = {kind,
                                 kv,
                                 1,
                                 q,
                                 out,
                                 s->n_heads,
                                 (float)(1 / sqrt((double)s->head_dim)),
                                 (float)s->softcap,
                                 s->window,
                                 {s->n_seqs, s->n_tokens, s->n_past, false}};
    if (t->b->attention(t->d, &a, &err) != IB_OK)
        fail_msg("%s", err.text);
    float *got = kt_read(t, out);
    kt_drop(t, out);
    kt_drop(t, q);
    t->b->kv_free(t->d, kv);
    return got;
}

static void test_against_fp64(void **state) {
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++)
        for (size_t type = 0; type < 3; type++) {
            problem p;
            ib_rng r;
            const shape *s = &shapes[i];
            ib_rng_init(&r, i);
            problem_init(&p, s, kv_types[type], &r);
            double *want = reference(&p);
            for (size_t tier = 0; tier < KT_TIERS; tier++)
                for (int kind = 0; kind < IB_ATTN_COUNT; kind++) {
                    bench t;
                    if (!kt_open(&t, kt_tiers[tier], 2))
                        break;
                    float *got = run(&t, &p, kv_types[type], (ib_attention)kind);
                    double error = kt_error(got, want, p.rows * s->n_heads * s->head_dim);
                    kt_expect(error, s->spread > 30 ? SPREAD_LIMIT : LIMIT,
                              "%s %s, cache %s, shape %zu", t.tier,
                              ib_attention_name((ib_attention)kind), ib_type_name(kv_types[type]),
                              i);
                    free(got);
                    kt_close(&t);
                }
            free(want);
            problem_clear(&p);
        }
}

/* Compute "auto" over a BF16 cache may round queries and weights to bf16 as well, as the reference
 * does: 2^-9 of a score of a few units, which the exponential hands on, and of each weight. */
static void test_auto_compute(void **state) {
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++) {
        problem p;
        ib_rng r;
        if (shapes[i].spread > 1)
            continue;
        ib_rng_init(&r, i);
        problem_init(&p, &shapes[i], IB_TYPE_BF16, &r);
        double *want = reference(&p);
        for (size_t tier = 0; tier < KT_TIERS; tier++)
            for (int kind = 0; kind < IB_ATTN_COUNT; kind++) {
                bench t;
                if (!kt_open_compute(&t, kt_tiers[tier], 2, IB_COMPUTE_AUTO))
                    break;
                float *got = run(&t, &p, IB_TYPE_BF16, (ib_attention)kind);
                kt_expect(kt_error(got, want, p.rows * p.s->n_heads * p.s->head_dim), 1e-2,
                          "%s %s, cache BF16, auto, shape %zu", t.tier,
                          ib_attention_name((ib_attention)kind), i);
                free(got);
                kt_close(&t);
            }
        free(want);
        problem_clear(&p);
    }
}

static void test_threads(void **state) {
    (void)state;
    static const size_t chosen[] = {1, 3, 4, 6, 9, 18};
    for (size_t c = 0; c < sizeof chosen / sizeof *chosen; c++) {
        problem p;
        ib_rng r;
        const shape *s = &shapes[chosen[c]];
        ib_rng_init(&r, c);
        problem_init(&p, s, IB_TYPE_F16, &r);
        for (size_t tier = 0; tier < KT_TIERS; tier++)
            for (int kind = 0; kind < IB_ATTN_COUNT; kind++) {
                float *first = NULL;
                for (int threads = 1; threads <= 5; threads += 2) {
                    bench t;
                    if (!kt_open(&t, kt_tiers[tier], threads))
                        break;
                    float *got = run(&t, &p, IB_TYPE_F16, (ib_attention)kind);
                    if (first)
                        assert_memory_equal(got, first,
                                            p.rows * s->n_heads * s->head_dim * sizeof *got);
                    else
                        first = got;
                    if (got != first)
                        free(got);
                    kt_close(&t);
                }
                free(first);
            }
        problem_clear(&p);
    }
}

static uint64_t scratch_of(ib_attention kind, size_t n_tokens, size_t n_ctx) {
    bench t;
    ib_ledger l;
    const ib_limits limits = {.n_seqs = 1,
                              .n_tokens = n_tokens,
                              .n_ctx = n_ctx,
                              .n_layers = 1,
                              .n_heads = 8,
                              .n_kv_heads = 8,
                              .head_dim = 64,
                              .d_model = 512,
                              .d_ff = 512,
                              .n_vocab = 64,
                              .n_logit_rows = 1,
                              .attention = kind};
    assert_true(kt_open(&t, kt_plain, 1));
    kt_reserve(&t, &limits);
    t.b->ledger(t.d, &l);
    kt_close(&t);
    return l.now[IB_MEM_SCRATCH];
}

/* eager holds queries by keys, the others nothing that grows with the number of keys. */
static void test_scratch(void **state) {
    (void)state;
    uint64_t eager = scratch_of(IB_ATTN_EAGER, 1000, 2000), flash, sdpa;
    assert_true(eager >= (uint64_t)8 * 1000 * 2000 * 4);
    flash = scratch_of(IB_ATTN_FLASH, 1000, 2000);
    sdpa = scratch_of(IB_ATTN_SDPA, 1000, 2000);
    assert_true(flash < eager / 8 && sdpa < eager / 8);
    assert_int_equal(flash, scratch_of(IB_ATTN_FLASH, 1000, 100000));
    assert_int_equal(sdpa, scratch_of(IB_ATTN_SDPA, 1000, 100000));
}

static void test_refusals(void **state) {
    (void)state;
    bench t;
    ib_error err;
    ib_kv *kv;
    assert_true(kt_open(&t, kt_plain, 1));
    ib_kv_spec spec = {1, 1, 1, 64, 10, IB_TYPE_I8};
    assert_int_equal(t.b->kv_new(t.d, &kv, &spec, &err), IB_E_UNSUPPORTED);
    spec.type = IB_TYPE_F16;
    spec.n_ctx = (size_t)1 << 60;
    assert_int_equal(t.b->kv_new(t.d, &kv, &spec, &err), IB_E_RESOURCE);
    spec.n_ctx = 10;
    assert_int_equal(t.b->kv_new(t.d, &kv, &spec, &err), IB_OK);
    ib_tensor x = kt_tensor(&t, NULL, 3, 64);
    const ib_kv_write_args full = {kv, 0, x, x, {1, 3, 8, false}};
    assert_int_equal(t.b->kv_write(t.d, &full, &err), IB_E_INTERNAL);
    ib_tensor out = kt_tensor(&t, NULL, 3, 64);
    const ib_attention_args unreserved = {IB_ATTN_EAGER,   kv, 0, x, out, 1, 1.0f, 0, 0,
                                          {1, 3, 0, false}};
    assert_int_equal(t.b->attention(t.d, &unreserved, &err), IB_E_INTERNAL);
    kt_drop(&t, out);
    kt_drop(&t, x);
    t.b->kv_free(t.d, kv);
    kt_close(&t);
}

int kt_attention_tests(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_fp64), cmocka_unit_test(test_auto_compute),
        cmocka_unit_test(test_threads),      cmocka_unit_test(test_scratch),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}
