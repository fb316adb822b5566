/* SPDX-License-Identifier: MIT
 * Norm, RoPE, gated activations, add, argmax and the fused add_norm against fp64, at lengths that
 * are no multiple of any vector, with the numbers that break careless code. */
#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A few roundings of 6e-8 each, and exp, erfc and tanh to about an ulp. */
static const double LIMIT = 1e-6;

static const size_t lengths[] = {1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 100, 576, 1000, 4099};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths, LONGEST = 4099, ROWS = 3 };

static float a_data[ROWS * LONGEST], b_data[ROWS * LONGEST], w_data[LONGEST];
static double want[ROWS * LONGEST];

static void fill(bench *t) {
    kt_normal(&t->rng, a_data, ROWS * LONGEST, 2.0f);
    kt_normal(&t->rng, b_data, ROWS * LONGEST, 1.0f);
    kt_normal(&t->rng, w_data, LONGEST, 1.0f);
}

static void expect_tensor(bench *t, ib_tensor x, double limit, const char *what) {
    float *got = kt_read(t, x);
    kt_expect(kt_error(got, want, x.n_rows * x.n_cols), limit, "%s %s [%zu, %zu]", t->tier, what,
              x.n_rows, x.n_cols);
    free(got);
}

static void norm_reference(const float *x, size_t rows, size_t cols, size_t group, double eps,
                           bool offset) {
    for (size_t at = 0; at < rows * cols; at += group) {
        double sum = 0;
        for (size_t i = 0; i < group; i++)
            sum += (double)x[at + i] * (double)x[at + i];
        double inverse = 1 / sqrt(sum / (double)group + eps);
        for (size_t i = 0; i < group; i++)
            want[at + i] = (double)x[at + i] * inverse * ((double)w_data[i] + (offset ? 1 : 0));
    }
}

static void check_norm(bench *t, size_t n, size_t groups, ib_norm_kind kind) {
    ib_error err;
    ib_tensor x = kt_tensor(t, a_data, ROWS, n * groups), w = kt_tensor(t, w_data, 1, n);
    const ib_norm_args in_place = {x, x, w, n, 1e-5f, kind};
    norm_reference(a_data, ROWS, n * groups, n, (double)1e-5f, kind == IB_NORM_OFFSET_ONE);
    assert_int_equal(t->b->norm(t->d, &in_place, &err), IB_OK);
    expect_tensor(t, x, LIMIT, "norm");
    kt_drop(t, w);
    kt_drop(t, x);
}

static void check_add_norm(bench *t, size_t n) {
    ib_error err;
    static float sum[ROWS * LONGEST];
    ib_tensor x = kt_tensor(t, a_data, ROWS, n), y = kt_tensor(t, b_data, ROWS, n);
    ib_tensor w = kt_tensor(t, w_data, 1, n), out = kt_tensor(t, NULL, ROWS, n);
    const ib_norm_args args = {x, out, w, n, 1e-6f, IB_NORM_LLAMA};
    for (size_t i = 0; i < ROWS * n; i++) {
        want[i] = (double)a_data[i] + (double)b_data[i] * (double)0.7f;
        sum[i] = (float)want[i];
    }
    assert_int_equal(ib_add_norm(t->d, x, y, 0.7f, &args, &err), IB_OK);
    expect_tensor(t, x, LIMIT, "add");
    norm_reference(sum, ROWS, n, n, (double)1e-6f, false);
    expect_tensor(t, out, LIMIT, "add_norm");
    kt_drop(t, out);
    kt_drop(t, w);
    kt_drop(t, y);
    kt_drop(t, x);
}

static double act(ib_act kind, double x) {
    if (kind == IB_ACT_SILU)
        return x / (1 + exp(-x));
    if (kind == IB_ACT_GELU)
        return 0.5 * x * erfc(-x / sqrt(2.0));
    /* 0.5 (1 + tanh u) without its cancellation */
    return x / (1 + exp(-2 * sqrt(2 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

static void check_gated(bench *t, size_t n, ib_act kind) {
    ib_error err;
    ib_tensor gate = kt_tensor(t, a_data, ROWS, n), up = kt_tensor(t, b_data, ROWS, n);
    const ib_gated_act_args args = {gate, up, gate, kind};
    for (size_t i = 0; i < ROWS * n; i++)
        want[i] = act(kind, (double)a_data[i]) * (double)b_data[i];
    assert_int_equal(t->b->gated_act(t->d, &args, &err), IB_OK);
    expect_tensor(t, gate, LIMIT, "gated activation");
    kt_drop(t, up);
    kt_drop(t, gate);
}

/* Each value on its own, over the whole range that matters: relative error. */
static void check_activation_range(bench *t, ib_act kind) {
    ib_error err;
    enum { N = 4001 };
    static float x[N], ones[N];
    for (size_t i = 0; i < N; i++) {
        x[i] = ((float)i - 2000) * 0.01f;
        ones[i] = 1;
    }
    ib_tensor gate = kt_tensor(t, x, 1, N), up = kt_tensor(t, ones, 1, N);
    const ib_gated_act_args args = {gate, up, gate, kind};
    assert_int_equal(t->b->gated_act(t->d, &args, &err), IB_OK);
    float *got = kt_read(t, gate);
    for (size_t i = 0; i < N; i++) {
        double exact = act(kind, (double)x[i]);
        /* far out the argument's own rounding, times its size, is what counts */
        double z = kind == IB_ACT_SILU ? 0 : (double)x[i] * (double)x[i];
        double limit = 1.2e-6 + 1.5e-7 * (z + 0.05 * z * z);
        if (!(fabs((double)got[i] - exact) <= limit * fabs(exact) + 1e-30))
            fail_msg("%s activation %d of %.3f: %.9g, exact %.9g", t->tier, (int)kind, (double)x[i],
                     (double)got[i], exact);
    }
    const float odd[4] = {NAN, INFINITY, -INFINITY, 1000.0f};
    assert_int_equal(t->b->upload(t->d, gate.buffer, 0, x, sizeof x, &err), IB_OK);
    assert_int_equal(t->b->upload(t->d, gate.buffer, 0, odd, sizeof odd, &err), IB_OK);
    assert_int_equal(t->b->gated_act(t->d, &args, &err), IB_OK);
    free(got);
    got = kt_read(t, gate);
    assert_true(isnan(got[0]) && isinf(got[1]) && got[3] >= 1000.0f && got[3] <= 1000.0f);
    free(got);
    kt_drop(t, up);
    kt_drop(t, gate);
}

static void check_rope(bench *t, size_t head_dim, size_t n_rot, bool interleaved) {
    ib_error err;
    enum { HEADS = 3, SEQS = 2, TOKENS = 2, PAST = 4 };
    size_t width = HEADS * head_dim, half = n_rot / 2;
    float *table = malloc((PAST + TOKENS) * n_rot * sizeof *table);
    assert_non_null(table);
    for (size_t i = 0; i < (PAST + TOKENS) * n_rot; i++)
        table[i] = sinf((float)i);
    for (size_t r = 0; r < SEQS * TOKENS; r++)
        for (size_t h = 0; h < HEADS; h++) {
            size_t at = r * width + h * head_dim;
            const float *angles = table + (PAST + r % TOKENS) * n_rot;
            for (size_t c = 0; c < head_dim; c++)
                want[at + c] = (double)a_data[at + c];
            for (size_t j = 0; j < half; j++) {
                size_t p = at + (interleaved ? 2 * j : j), q = interleaved ? p + 1 : p + half;
                double x = (double)a_data[p], y = (double)a_data[q];
                double c = (double)angles[j], s = (double)angles[half + j];
                want[p] = x * c - y * s;
                want[q] = y * c + x * s;
            }
        }
    ib_tensor x = kt_tensor(t, a_data, SEQS * TOKENS, width);
    ib_tensor tt = kt_tensor(t, table, PAST + TOKENS, n_rot);
    const ib_rope_args args = {
        x, tt, HEADS, head_dim, n_rot, interleaved, {SEQS, TOKENS, PAST, false}};
    assert_int_equal(t->b->rope(t->d, &args, &err), IB_OK);
    expect_tensor(t, x, LIMIT, interleaved ? "interleaved RoPE" : "RoPE");
    kt_drop(t, tt);
    kt_drop(t, x);
    free(table);
}

static void expect_argmax(bench *t, const float *x, size_t n, int32_t id, int32_t bad) {
    ib_error err;
    ib_tensor logits = kt_tensor(t, x, 1, n), out = kt_ids(t, NULL, 1, 2);
    assert_int_equal(t->b->argmax(t->d, logits, out, &err), IB_OK);
    float *raw = kt_read(t, out);
    int32_t got[2];
    memcpy(got, raw, sizeof got);
    if (got[0] != id || got[1] != bad)
        fail_msg("%s argmax of %zu: %d %d, not %d %d", t->tier, n, got[0], got[1], id, bad);
    free(raw);
    kt_drop(t, out);
    kt_drop(t, logits);
}

static void check_argmax(bench *t, size_t n) {
    static float x[LONGEST];
    memcpy(x, a_data, n * sizeof *x);
    size_t at = ib_rng_below(&t->rng, n), later = at + ib_rng_below(&t->rng, n - at);
    x[at] = x[later] = 50;
    expect_argmax(t, x, n, (int32_t)at, 0);
    x[later] = INFINITY;
    expect_argmax(t, x, n, (int32_t)later, 1);
    x[at] = x[later] = NAN;
    expect_argmax(t, x, n, (int32_t)at, 1);
    for (size_t i = 0; i < n; i++)
        x[i] = -INFINITY;
    expect_argmax(t, x, n, 0, 1);
    memset(x, 0, sizeof x);
    x[n - 1] = -0.0f;
    expect_argmax(t, x, n, 0, 0);
}

static void test_vectors(void **state) {
    (void)state;
    for (size_t tier = 0; tier < KT_TIERS; tier++) {
        bench t;
        if (!kt_open(&t, kt_tiers[tier], 2))
            continue;
        fill(&t);
        for (size_t i = 0; i < N_LENGTHS; i++) {
            size_t n = lengths[i];
            check_norm(&t, n, 1, i % 2 ? IB_NORM_LLAMA : IB_NORM_OFFSET_ONE);
            if (n <= 1000)
                check_norm(&t, n, 4, IB_NORM_LLAMA);
            check_add_norm(&t, n);
            for (int kind = 0; kind < 3; kind++)
                check_gated(&t, n, (ib_act)kind);
            check_argmax(&t, n);
        }
        for (int kind = 0; kind < 3; kind++)
            check_activation_range(&t, (ib_act)kind);
        for (int layout = 0; layout < 2; layout++) {
            check_rope(&t, 64, 64, layout == 1);
            check_rope(&t, 80, 20, layout == 1);
            check_rope(&t, 128, 128, layout == 1);
            check_rope(&t, 6, 6, layout == 1);
            check_rope(&t, 96, 90, layout == 1);
        }
        kt_close(&t);
    }
}

static void test_time_and_memory(void **state) {
    (void)state;
    bench t;
    ib_error err;
    ib_ledger before, after;
    uint64_t ns;
    assert_true(kt_open(&t, kt_plain, 1));
    assert_int_equal(t.b->mark(t.d, 0, &err), IB_OK);
    assert_int_equal(t.b->mark(t.d, 7, &err), IB_OK);
    assert_int_equal(t.b->elapsed_ns(t.d, 0, 7, &ns, &err), IB_OK);
    assert_true(ns < 1000000000u);
    assert_int_equal(t.b->mark(t.d, 8, &err), IB_E_INTERNAL);
    t.b->ledger(t.d, &before);
    ib_tensor x = kt_tensor(&t, NULL, 10, 100);
    t.b->ledger(t.d, &after);
    assert_int_equal(after.now[IB_MEM_IO] - before.now[IB_MEM_IO], 4000);
    kt_drop(&t, x);
    t.b->ledger(t.d, &after);
    assert_int_equal(after.now[IB_MEM_IO], before.now[IB_MEM_IO]);
    assert_true(after.peak[IB_MEM_IO] >= 4000 && after.peak_total >= 4000);
    float out[2];
    ib_tensor small = kt_tensor(&t, NULL, 1, 1);
    assert_int_equal(t.b->download(t.d, out, small.buffer, 0, 8, &err), IB_E_INTERNAL);
    kt_drop(&t, small);
    kt_close(&t);
}

static void test_devices(void **state) {
    (void)state;
    ib_error err;
    ib_device *d;
    ib_device_info info;
    const struct {
        const char *spec;
        ib_status status;
    } cases[] = {{"cpu", IB_OK},         {"tpu", IB_E_USAGE},     {"cpu:0", IB_E_USAGE},
                 {"cuda:x", IB_E_USAGE}, {"xpu:-1", IB_E_USAGE},  {"cudax", IB_E_USAGE},
                 {"", IB_E_USAGE},       {"cuda:cpu", IB_E_USAGE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ib_device_config config = {.n_threads = 1};
        assert_int_equal(ib_device_open(&d, cases[i].spec, &config, &err), cases[i].status);
        ib_device_close(d);
    }
    const ib_device_config int8 = {.n_threads = 1, .compute = IB_COMPUTE_INT8};
    assert_int_equal(ib_device_open(&d, "cpu", &int8, &err), IB_E_UNSUPPORTED);
    const ib_device_config odd_tier = {.n_threads = 1, .cpu_tier = "mmx"};
    assert_int_equal(ib_device_open(&d, "cpu", &odd_tier, &err), IB_E_USAGE);
    for (size_t i = 0; i < ib_backend_count(); i++) {
        /* a kind that is built in may lack its library or driver here, and then says so */
        int n = -1;
        const ib_status counted = ib_backend_at(i)->count(&n, &err);
        assert_true(counted == IB_OK ? n >= 0 : counted == IB_E_DEVICE && err.text[0]);
        if (strcmp(ib_backend_at(i)->kind, "cpu") == 0)
            assert_true(counted == IB_OK && n == 1);
        assert_string_not_equal(ib_backend_at(i)->kind, "");
    }
    const ib_device_config plain = {.n_threads = 3};
    assert_int_equal(ib_device_open(&d, "cpu", &plain, &err), IB_OK);
    ib_backend_of(d)->info(d, &info);
    assert_string_equal(info.kind, "cpu");
    assert_int_equal(info.n_threads, 3);
    assert_true(info.memory_bytes > 0 && info.name[0] && info.compute[0]);
    ib_device_close(d);
}

int kt_vector_tests(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_time_and_memory),
        cmocka_unit_test(test_devices),
    };
    return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
