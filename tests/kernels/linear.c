/* SPDX-License-Identifier: MIT
 * Products with weights of every format: against fp64 on the decoded weights, for odd shapes, few
 * and many rows; LLM.int8 against its own definition; threads never change a bit. */
#include "kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* fp32 sums in many lanes: about sqrt(k / lanes) roundings of 6e-8 relative to the terms. */
static const double LIMIT = 1e-6;

typedef struct shape {
    ib_type type;
    size_t rows, cols;
    uint32_t blocksize;
    bool nested;
} shape;

static const shape shapes[] = {
    {IB_TYPE_F32, 33, 70, 0, false},     {IB_TYPE_F16, 33, 71, 0, false},
    {IB_TYPE_BF16, 50, 1031, 0, false},  {IB_TYPE_F32, 7, 2051, 0, false},
    {IB_TYPE_F16, 65, 1, 0, false},      {IB_TYPE_BF16, 1, 15, 0, false},
    {IB_TYPE_NF4, 48, 576, 64, false},   {IB_TYPE_NF4, 48, 576, 64, true},
    {IB_TYPE_NF4, 20, 8256, 64, true},   {IB_TYPE_FP4, 31, 1536, 64, true},
    {IB_TYPE_NF4, 37, 96, 64, true},     {IB_TYPE_NF4, 37, 96, 64, false},
    {IB_TYPE_FP4, 19, 33, 32, false},    {IB_TYPE_NF4, 19, 33, 64, true},
    {IB_TYPE_NF4, 24, 448, 128, true},   {IB_TYPE_NF4, 24, 320, 256, false},
    {IB_TYPE_FP4, 16, 4096, 4096, true}, {IB_TYPE_NF4, 5, 1000, 1024, true},
    {IB_TYPE_NF4, 17, 160, 32, true},    {IB_TYPE_NF4, 3, 1, 32, false},
    {IB_TYPE_NF4, 9, 4160, 512, true},   {IB_TYPE_Q4_0, 33, 96, 0, false},
    {IB_TYPE_Q4_1, 33, 96, 0, false},    {IB_TYPE_Q5_0, 33, 1120, 0, false},
    {IB_TYPE_Q5_1, 33, 96, 0, false},    {IB_TYPE_Q8_0, 33, 1056, 0, false},
    {IB_TYPE_Q2_K, 33, 1280, 0, false},  {IB_TYPE_Q3_K, 33, 512, 0, false},
    {IB_TYPE_Q4_K, 33, 1536, 0, false},  {IB_TYPE_Q5_K, 33, 768, 0, false},
    {IB_TYPE_Q6_K, 33, 1280, 0, false},  {IB_TYPE_IQ4_NL, 33, 64, 0, false},
    {IB_TYPE_MXFP4, 33, 64, 0, false},   {IB_TYPE_Q4_0, 1, 32, 0, false},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static const size_t row_counts[] = {1, 2, 3, 4, 5, 13, 16, 40};
enum { N_ROW_COUNTS = sizeof row_counts / sizeof *row_counts, MOST_ROWS = 40, RESERVED = 600 };

static void reserve(bench *t) {
    const ib_limits limits = {.n_seqs = 1,
                              .n_tokens = RESERVED,
                              .n_ctx = 64,
                              .n_layers = 1,
                              .n_heads = 1,
                              .n_kv_heads = 1,
                              .head_dim = 64,
                              .d_model = 8256,
                              .d_ff = 8256,
                              .n_vocab = 64,
                              .n_logit_rows = 1,
                              .attention = IB_ATTN_FLASH};
    kt_reserve(t, &limits);
}

static ib_weight *place(bench *t, const ib_matrix *m, bool borrow) {
    ib_error err;
    ib_weight *w;
    if (t->b->weight_new(t->d, &w, m, borrow, &err) != IB_OK)
        fail_msg("%s", err.text);
    return w;
}

/* x W^T * scale + bias in fp64 from the decoded weights. */
static double *reference(const ib_matrix *m, const float *x, size_t rows, double scale,
                         const float *bias) {
    double *out = calloc(rows * m->n_rows, sizeof *out);
    float *row = malloc(m->n_cols * sizeof *row);
    assert_true(out && row);
    for (size_t j = 0; j < m->n_rows; j++) {
        ib_matrix_decode(m, j, 0, m->n_cols, row);
        for (size_t i = 0; i < rows; i++) {
            double sum = 0;
            for (size_t l = 0; l < m->n_cols; l++)
                sum += (double)row[l] * (double)x[i * m->n_cols + l];
            out[i * m->n_rows + j] = sum * scale + (bias ? (double)bias[j] : 0);
        }
    }
    free(row);
    return out;
}

static void check_shape(bench *t, const shape *s, size_t rows, float scale, bool with_bias,
                        double limit) {
    ib_error err;
    kt_weights w;
    kt_matrix(&w, &t->rng, s->type, s->rows, s->cols, s->blocksize, s->nested);
    ib_weight *placed = place(t, &w.m, rows % 2 == 1);
    float *x = malloc(rows * s->cols * sizeof *x), *bias = malloc(s->rows * sizeof *bias);
    assert_true(x && bias);
    kt_normal(&t->rng, x, rows * s->cols, 1.0f);
    kt_normal(&t->rng, bias, s->rows, 1.0f);
    ib_tensor tx = kt_tensor(t, x, rows, s->cols), out = kt_tensor(t, NULL, rows, s->rows);
    ib_tensor tb = kt_tensor(t, bias, 1, s->rows);
    const ib_linear_args a = {placed, with_bias ? &tb : NULL, tx, out, scale};
    if (t->b->linear(t->d, &a, &err) != IB_OK)
        fail_msg("%s", err.text);
    float *got = kt_read(t, out);
    double *want = reference(&w.m, x, rows, (double)scale, with_bias ? bias : NULL);
    kt_expect(kt_error(got, want, rows * s->rows), limit,
              "%s %s [%zu, %zu] blocksize %u%s, %zu rows", t->tier, ib_type_name(s->type), s->rows,
              s->cols, s->blocksize, s->nested ? " nested" : "", rows);
    free(want);
    free(got);
    kt_drop(t, tb);
    kt_drop(t, out);
    kt_drop(t, tx);
    free(bias);
    free(x);
    t->b->weight_free(t->d, placed);
    kt_matrix_free(&w);
}

static void test_formats(void **state) {
    (void)state;
    for (size_t tier = 0; tier < KT_TIERS; tier++) {
        bench t;
        if (!kt_open(&t, kt_tiers[tier], 2))
            continue;
        reserve(&t);
        for (size_t i = 0; i < N_SHAPES; i++)
            for (size_t r = 0; r < N_ROW_COUNTS; r++)
                check_shape(&t, &shapes[i], row_counts[r], r % 3 == 1 ? 0.5f : 1.0f, r % 2 == 1,
                            LIMIT);
        kt_close(&t);
    }
}

/* Weights rounded to 8 bits of mantissa: 2^-9 / sqrt(3) of each, on the average. */
static const double BF16 = 4e-3;

/* Compute "auto" may round x to 16 bits in products of few rows with any quantized format: 3e-5.
 * NF4's table is rounded too: 8e-5 for many columns (random per code), more where few codes repeat.
 */
static void test_auto_compute(void **state) {
    (void)state;
    for (size_t tier = 0; tier < KT_TIERS; tier++) {
        bench t;
        if (!kt_open_compute(&t, kt_tiers[tier], 2, IB_COMPUTE_AUTO))
            continue;
        reserve(&t);
        for (size_t i = 0; i < N_SHAPES; i++)
            for (size_t rows = 1; rows <= (kt_is_bf16(&t) ? 5 : 4); rows++)
                check_shape(&t, &shapes[i], rows, 1.0f, rows == 2, kt_is_bf16(&t) ? BF16 : 2e-4);
        kt_close(&t);
    }
}

/* Compute "auto" may round both factors to bf16 for many rows, half a unit of 2^-8 each, as the
 * reference does; its sums stay fp32. Panels, groups of panels and blocks of rows and columns all
 * end somewhere in the middle. */
static void test_many_rows(void **state) {
    (void)state;
    static const size_t counts[] = {17, 48, 49, 113, 600};
    static const shape wide[] = {{IB_TYPE_NF4, 131, 2112, 64, true},
                                 {IB_TYPE_BF16, 70, 1030, 0, false},
                                 {IB_TYPE_BF16, 66, 1027, 0, false},
                                 {IB_TYPE_F32, 129, 1025, 0, false},
                                 {IB_TYPE_Q4_K, 65, 1280, 0, false}};
    for (size_t tier = 0; tier < KT_TIERS; tier++)
        for (int compute = 0; compute < 2; compute++) {
            bench t;
            if (!kt_open_compute(&t, kt_tiers[tier], 2,
                                 compute ? IB_COMPUTE_AUTO : IB_COMPUTE_FLOAT32))
                continue;
            reserve(&t);
            const double limit = compute ? 4e-3 : LIMIT;
            for (size_t r = 0; r < sizeof counts / sizeof *counts; r++)
                for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
                    check_shape(&t, &wide[i], counts[r], 0.5f, r % 2 == 1, limit);
            for (size_t i = 0; i < N_SHAPES; i++)
                check_shape(&t, &shapes[i], counts[i % 2], 1.0f, i % 3 == 0, limit);
            kt_close(&t);
        }
}

/* A row of x that is not finite must give a result that is not, in every arithmetic. */
static void test_not_finite(void **state) {
    (void)state;
    static const ib_type types[] = {IB_TYPE_NF4, IB_TYPE_BF16, IB_TYPE_Q4_K, IB_TYPE_INT8};
    static const float odd[] = {NAN, INFINITY};
    for (size_t tier = 0; tier < KT_TIERS; tier++)
        for (size_t i = 0; i < 8; i++) {
            bench t;
            ib_error err;
            kt_weights w;
            if (!kt_open_compute(&t, kt_tiers[tier], 1, IB_COMPUTE_AUTO))
                break;
            kt_matrix(&w, &t.rng, types[i % 4], 8, 256, 64, true);
            w.m.threshold = 0;
            ib_weight *placed = place(&t, &w.m, true);
            reserve(&t);
            float x[256] = {0};
            x[77] = odd[i / 4];
            ib_tensor tx = kt_tensor(&t, x, 1, 256), out = kt_tensor(&t, NULL, 1, 8);
            const ib_linear_args a = {placed, NULL, tx, out, 1.0f};
            assert_int_equal(t.b->linear(t.d, &a, &err), IB_OK);
            float *got = kt_read(&t, out);
            size_t n = 0; /* a weight of exactly 0 times infinity is NaN too */
            for (size_t c = 0; c < 8; c++)
                n += isfinite(got[c]) ? 0 : 1;
            if (n != 8)
                fail_msg("%s %s: %zu of 8 results not finite", t.tier, ib_type_name(types[i % 4]),
                         n);
            free(got);
            kt_drop(&t, out);
            kt_drop(&t, tx);
            t.b->weight_free(t.d, placed);
            kt_matrix_free(&w);
            kt_close(&t);
        }
}

/* Decoded rows are equal bit for bit to the scalar definition: the embedding is a copy of them. */
static void test_embedding(void **state) {
    (void)state;
    for (size_t tier = 0; tier < KT_TIERS; tier++) {
        bench t;
        ib_error err;
        if (!kt_open(&t, kt_tiers[tier], 2))
            continue;
        for (size_t i = 0; i < N_SHAPES; i++) {
            const shape *s = &shapes[i];
            kt_weights w;
            kt_matrix(&w, &t.rng, s->type, s->rows, s->cols, s->blocksize, s->nested);
            ib_weight *placed = place(&t, &w.m, true);
            int32_t ids[2 * 3] = {(int32_t)s->rows - 1, -7, 0, -7, (int32_t)s->rows / 2, -7};
            ib_tensor ti = kt_ids(&t, ids, 3, 2), out = kt_tensor(&t, NULL, 3, s->cols);
            assert_int_equal(t.b->embed(t.d, placed, ti, out, 1.0f, &err), IB_OK);
            float *got = kt_read(&t, out), *want = malloc(s->cols * sizeof *want);
            assert_non_null(want);
            for (size_t r = 0; r < 3; r++) {
                ib_matrix_decode(&w.m, (uint64_t)ids[2 * r], 0, s->cols, want);
                for (size_t c = 0; c < s->cols; c++)
                    if (got[r * s->cols + c] < want[c] || got[r * s->cols + c] > want[c])
                        fail_msg("%s %s row %d column %zu: %.9g, not %.9g", t.tier,
                                 ib_type_name(s->type), ids[2 * r], c, (double)got[r * s->cols + c],
                                 (double)want[c]);
            }
            ids[0] = (int32_t)s->rows;
            assert_int_equal(t.b->upload(t.d, ti.buffer, 0, ids, sizeof ids, &err), IB_OK);
            /* refused, or, where ids are on a device, told by NaN */
            ib_status outside = t.b->embed(t.d, placed, ti, out, 1.0f, &err);
            free(got);
            got = kt_read(&t, out);
            assert_true(outside == IB_E_INPUT || (outside == IB_OK && isnan(got[0])));
            free(want);
            free(got);
            kt_drop(&t, out);
            kt_drop(&t, ti);
            t.b->weight_free(t.d, placed);
            kt_matrix_free(&w);
        }
        kt_close(&t);
    }
}

/* --- LLM.int8 --------------------------------------------------------------------------------- */

static double half(float v) {
    return (double)ib_f16_to_f32(ib_f32_to_f16(v));
}

/* The definition, word by word, in fp64 and exact integers. */
static double *int8_reference(const ib_matrix *m, const float *x, size_t rows, double threshold) {
    size_t k = m->n_cols;
    const int8_t *w = m->data;
    double *out = calloc(rows * m->n_rows, sizeof *out);
    bool *outlier = calloc(k, sizeof *outlier);
    int *qa = calloc(k, sizeof *qa);
    assert_true(out && outlier && qa);
    for (size_t i = 0; i < rows * k; i++)
        if (threshold > 0 && fabs(half(x[i])) >= threshold)
            outlier[i % k] = true;
    for (size_t r = 0; r < rows; r++) {
        double largest = 0;
        for (size_t c = 0; c < k; c++) {
            double v = fabs(half(x[r * k + c]));
            if (v > largest && !(threshold > 0 && v >= threshold))
                largest = v;
        }
        for (size_t c = 0; c < k; c++) {
            double v = half(x[r * k + c]);
            bool dropped = (threshold > 0 && fabs(v) >= threshold) || (rows > 1 && outlier[c]);
            float factor = 1.0f / (float)largest * 127.0f; /* as PyTorch divides */
            qa[c] = dropped || largest <= 0 ? 0 : (int)rintf((float)v * factor);
        }
        for (size_t j = 0; j < m->n_rows; j++) {
            int64_t acc = 0;
            double left_out = 0;
            for (size_t c = 0; c < k; c++) {
                acc += qa[c] * w[j * k + c];
                if (outlier[c])
                    left_out += (double)x[r * k + c] * w[j * k + c] * (double)m->scb[j] / 127.0;
            }
            out[r * m->n_rows + j] =
                (double)acc * largest * (double)m->scb[j] * (double)6.200124e-05f + left_out;
        }
    }
    free(qa);
    free(outlier);
    return out;
}

static void check_int8(bench *t, size_t rows, size_t n_out, size_t k, float threshold,
                       size_t n_outliers) {
    ib_error err;
    kt_weights w;
    kt_matrix(&w, &t->rng, IB_TYPE_INT8, n_out, k, 0, false);
    w.m.threshold = threshold;
    ib_weight *placed = place(t, &w.m, true);
    reserve(t);
    float *x = malloc(rows * k * sizeof *x);
    assert_non_null(x);
    kt_normal(&t->rng, x, rows * k, 1.0f);
    for (size_t i = 0; i < rows * k; i++)
        x[i] = fminf(fmaxf(x[i], -5.0f), 5.0f);
    for (size_t i = 0; i < n_outliers; i++)
        x[ib_rng_below(&t->rng, rows * k)] = i % 2 ? 20.0f : -7.7f;
    if (rows > 2)
        memset(x + k, 0, k * sizeof *x); /* a row of zeros */
    ib_tensor tx = kt_tensor(t, x, rows, k), out = kt_tensor(t, NULL, rows, n_out);
    const ib_linear_args a = {placed, NULL, tx, out, 1.0f};
    if (t->b->linear(t->d, &a, &err) != IB_OK)
        fail_msg("%s", err.text);
    float *got = kt_read(t, out);
    double *want = int8_reference(&w.m, x, rows, (double)threshold);
    /* integers are exact; left are the products of scales and the fp32 outlier columns */
    kt_expect(kt_error(got, want, rows * n_out), LIMIT,
              "%s INT8 [%zu, %zu], %zu rows, %zu outliers", t->tier, n_out, k, rows, n_outliers);
    free(want);
    free(got);
    kt_drop(t, out);
    kt_drop(t, tx);
    free(x);
    t->b->weight_free(t->d, placed);
    kt_matrix_free(&w);
}

static void test_int8(void **state) {
    (void)state;
    static const size_t widths[] = {1, 31, 64, 100, 1056};
    for (size_t tier = 0; tier < KT_TIERS; tier++) {
        bench t;
        if (!kt_open(&t, kt_tiers[tier], 2))
            continue;
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
            for (size_t r = 0; r < N_ROW_COUNTS; r++) {
                check_int8(&t, row_counts[r], 37, widths[i], 6.0f, 0);
                check_int8(&t, row_counts[r], 37, widths[i], 6.0f, 3);
                check_int8(&t, row_counts[r], 37, widths[i], 0.0f, 3);
            }
        check_int8(&t, 6, 40, 2100, 0.01f, 0); /* nearly every column is left out */
        kt_close(&t);
    }
}

/* --- groups and threads ----------------------------------------------------------------------- */

typedef struct group {
    kt_weights w[3];
    ib_weight *placed[3];
    ib_tensor x, out[3], gated;
} group;

static void group_init(bench *t, group *g, const float *x, size_t rows, size_t k) {
    static const ib_type types[3] = {IB_TYPE_NF4, IB_TYPE_NF4, IB_TYPE_INT8};
    ib_rng_init(&t->rng, 7);
    g->x = kt_tensor(t, x, rows, k);
    for (size_t i = 0; i < 3; i++) {
        kt_matrix(&g->w[i], &t->rng, types[i], 160, k, 64, true);
        g->placed[i] = place(t, &g->w[i].m, true);
        g->out[i] = kt_tensor(t, NULL, rows, 160);
    }
    g->gated = kt_tensor(t, NULL, rows, 160);
    reserve(t);
}

static void group_clear(bench *t, group *g) {
    for (size_t i = 0; i < 3; i++) {
        kt_drop(t, g->out[i]);
        t->b->weight_free(t->d, g->placed[i]);
        kt_matrix_free(&g->w[i]);
    }
    kt_drop(t, g->gated);
    kt_drop(t, g->x);
}

/* All outputs of a group and of a gated MLP, [4, rows, 160]. */
static float *group_run(bench *t, const float *x, size_t rows, size_t k, bool fused) {
    group g;
    ib_error err;
    group_init(t, &g, x, rows, k);
    ib_linear_args a[3];
    for (size_t i = 0; i < 3; i++)
        a[i] = (ib_linear_args){g.placed[i], NULL, g.x, g.out[i], 1.0f};
    const ib_gated_act_args act = {g.out[0], g.out[1], g.gated, IB_ACT_SILU};
    if (fused) {
        assert_int_equal(ib_linear_group(t->d, a, 3, &err), IB_OK);
        assert_int_equal(ib_gated_mlp(t->d, &a[0], &a[1], &act, &err), IB_OK);
    } else {
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(t->b->linear(t->d, &a[i], &err), IB_OK);
        assert_int_equal(t->b->gated_act(t->d, &act, &err), IB_OK);
    }
    float *all = malloc(4 * rows * 160 * sizeof *all);
    assert_non_null(all);
    for (size_t i = 0; i < 4; i++) {
        float *part = kt_read(t, i < 3 ? g.out[i] : g.gated);
        memcpy(all + i * rows * 160, part, rows * 160 * sizeof *all);
        free(part);
    }
    group_clear(t, &g);
    return all;
}

static void check_threads(const char *tier, const float *x, size_t rows, size_t k,
                          ib_compute compute) {
    float *first = NULL;
    for (int threads = 1; threads <= 5; threads++) {
        bench t;
        if (!kt_open_compute(&t, tier, threads, compute))
            break;
        float *got = group_run(&t, x, rows, k, threads % 2 == 0);
        if (!first)
            first = got;
        else
            assert_memory_equal(got, first, 4 * rows * 160 * sizeof *got);
        if (got != first)
            free(got);
        kt_close(&t);
    }
    free(first);
}

static void test_fused_and_threads(void **state) {
    (void)state;
    enum { K = 576 };
    static float x[MOST_ROWS * K];
    ib_rng rng;
    ib_rng_init(&rng, 3);
    kt_normal(&rng, x, MOST_ROWS * K, 2.0f);
    for (size_t tier = 0; tier < KT_TIERS; tier++)
        for (size_t r = 0; r < N_ROW_COUNTS; r++) {
            check_threads(kt_tiers[tier], x, row_counts[r], K, IB_COMPUTE_FLOAT32);
            check_threads(kt_tiers[tier], x, row_counts[r], K, IB_COMPUTE_AUTO);
        }
}

/* A row's result does not depend on the rows beside it, up to the number that GEMM takes over. */
static void test_rows_are_independent(void **state) {
    (void)state;
    static const shape some[] = {{IB_TYPE_NF4, 48, 576, 64, true},
                                 {IB_TYPE_Q4_K, 33, 512, 0, false},
                                 {IB_TYPE_Q4_0, 33, 96, 0, false},
                                 {IB_TYPE_BF16, 50, 1031, 0, false}};
    enum { ROWS = 16 };
    for (size_t tier = 0; tier < KT_TIERS; tier++)
        for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
            bench t;
            ib_error err;
            kt_weights w;
            const shape *s = &some[i];
            if (!kt_open_compute(&t, kt_tiers[tier], 2, IB_COMPUTE_AUTO))
                break;
            reserve(&t);
            kt_matrix(&w, &t.rng, s->type, s->rows, s->cols, s->blocksize, s->nested);
            ib_weight *placed = place(&t, &w.m, true);
            float *x = malloc(ROWS * s->cols * sizeof *x);
            assert_non_null(x);
            kt_normal(&t.rng, x, ROWS * s->cols, 1.0f);
            ib_tensor tx = kt_tensor(&t, x, ROWS, s->cols),
                      out = kt_tensor(&t, NULL, ROWS, s->rows);
            ib_linear_args a = {placed, NULL, tx, out, 1.0f};
            assert_int_equal(t.b->linear(t.d, &a, &err), IB_OK);
            float *together = kt_read(&t, out);
            for (size_t r = 0; r < ROWS; r++) {
                a.x.offset = tx.offset + r * s->cols * sizeof(float);
                a.out.offset = out.offset + r * s->rows * sizeof(float);
                a.x.n_rows = a.out.n_rows = 1;
                assert_int_equal(t.b->linear(t.d, &a, &err), IB_OK);
            }
            float *apart = kt_read(&t, out);
            assert_memory_equal(apart, together, ROWS * s->rows * sizeof *apart);
            free(apart);
            free(together);
            kt_drop(&t, out);
            kt_drop(&t, tx);
            free(x);
            t.b->weight_free(t.d, placed);
            kt_matrix_free(&w);
            kt_close(&t);
        }
}

static void test_refusals(void **state) {
    (void)state;
    bench t;
    ib_error err;
    kt_weights w;
    ib_weight *placed;
    assert_true(kt_open(&t, kt_plain, 1));
    kt_matrix(&w, &t.rng, IB_TYPE_Q4_K, 4, 256, 0, false);
    ib_matrix bad = w.m;
    bad.data_bytes--;
    assert_int_equal(t.b->weight_new(t.d, &placed, &bad, true, &err), IB_E_FORMAT);
    bad = w.m;
    bad.type = IB_TYPE_Q8_K;
    assert_int_equal(t.b->weight_new(t.d, &placed, &bad, true, &err), IB_E_UNSUPPORTED);
    bad = w.m;
    bad.n_cols = 255;
    assert_int_equal(t.b->weight_new(t.d, &placed, &bad, true, &err), IB_E_FORMAT);
    assert_null(placed);
    kt_matrix_free(&w);
    ib_tensor x = kt_tensor(&t, NULL, 2, 8);
    assert_int_equal(t.b->add(t.d, x, (ib_tensor){x.buffer, 4, IB_TYPE_F32, 2, 8}, 1.0f, &err),
                     IB_E_INTERNAL);
    kt_drop(&t, x);
    kt_close(&t);
}

int kt_linear_tests(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_embedding),
        cmocka_unit_test(test_auto_compute),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_many_rows),
        cmocka_unit_test(test_int8),
        cmocka_unit_test(test_fused_and_threads),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_rows_are_independent),
    };
    return cmocka_run_group_tests_name("linear", tests, NULL, NULL);
}
