/* SPDX-License-Identifier: MIT
 * Speeds of the kernels, printed, never judged: GB/s of weight bytes for one row of x (weights
 * larger than any cache), GFLOP/s for many rows, and attention over a long cache. Timed is the call
 * of the operation alone; the best of several rounds counts. */
#include "kernels.h"

#include "backend/probe.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 12, N_OUT = 4096, N_IN = 4096, MANY = 512, MOST_COPIES = 40 };

static const size_t STREAM_BYTES = 160u << 20;

static void reserve(bench *t, size_t n_tokens, size_t n_ctx, ib_attention kind) {
    const ib_limits limits = {.n_seqs = 1,
                              .n_tokens = n_tokens,
                              .n_ctx = n_ctx,
                              .n_layers = 1,
                              .n_heads = 32,
                              .n_kv_heads = 8,
                              .head_dim = 128,
                              .d_model = N_IN,
                              .d_ff = N_IN,
                              .n_vocab = 64,
                              .n_logit_rows = 1,
                              .attention = kind};
    kt_reserve(t, &limits);
}

static double best_seconds(bench *t, ib_weight **w, size_t n, ib_tensor x, ib_tensor out) {
    ib_error err;
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = ib_now_ns();
        for (size_t i = 0; i < n; i++) {
            const ib_linear_args a = {w[i], NULL, x, out, 1.0f};
            if (t->b->linear(t->d, &a, &err) != IB_OK) {
                print_message("%s\n", err.text);
                return 1e9;
            }
        }
        uint64_t ns = ib_now_ns() - begin;
        best = ns < best ? ns : best;
    }
    return (double)best * 1e-9;
}

/* Operations a second of the arithmetic alone. */
static double peak_rate(bench *t) {
    const ib_probe_ask ask = {.flops = true};
    ib_probe p;
    ib_error err;
    assert_int_equal(t->b->probe(t->d, &ask, &p, &err), IB_OK);
    return p.flops;
}

static void time_format(bench *t, ib_type type) {
    ib_error err;
    kt_weights w;
    ib_weight *placed[MOST_COPIES];
    ib_rng_init(&t->rng, 1);
    kt_matrix(&w, &t->rng, type, N_OUT, N_IN, 64, true);
    uint64_t bytes = ib_matrix_bytes(&w.m);
    size_t n = (size_t)(STREAM_BYTES / bytes) + 1;
    n = n < MOST_COPIES ? n : MOST_COPIES;
    for (size_t i = 0; i < n; i++)
        assert_int_equal(t->b->weight_new(t->d, &placed[i], &w.m, false, &err), IB_OK);
    reserve(t, MANY, 64, IB_ATTN_FLASH);
    ib_tensor x = kt_tensor(t, NULL, MANY, N_IN), out = kt_tensor(t, NULL, MANY, N_OUT);
    float *values = malloc((size_t)MANY * N_IN * sizeof *values);
    assert_non_null(values);
    kt_normal(&t->rng, values, (size_t)MANY * N_IN, 1.0f);
    assert_int_equal(
        t->b->upload(t->d, x.buffer, 0, values, (size_t)MANY * N_IN * sizeof *values, &err), IB_OK);
    ib_tensor one = x, one_out = out;
    one.n_rows = one_out.n_rows = 1;
    double decode = best_seconds(t, placed, n, one, one_out);
    double prefill = best_seconds(t, placed, 1, x, out);
    double rate = 2.0 * MANY * N_OUT * N_IN / prefill;
    print_message("%-7s %-7s 1 row %6.1f GB/s   %d rows %7.1f GFLOP/s, %4.1f %% of the probe\n",
                  t->tier, ib_type_name(type), (double)bytes * (double)n / decode * 1e-9, (int)MANY,
                  rate * 1e-9, 100 * rate / peak_rate(t));
    free(values);
    kt_drop(t, out);
    kt_drop(t, x);
    for (size_t i = 0; i < n; i++)
        t->b->weight_free(t->d, placed[i]);
    kt_matrix_free(&w);
}

static void time_attention(bench *t, ib_attention kind, ib_type type, size_t n_tokens,
                           size_t n_keys) {
    enum { HEADS = 32, KV_HEADS = 8, DIM = 128 };
    ib_error err;
    ib_kv *kv;
    const ib_kv_spec spec = {1, 1, KV_HEADS, DIM, n_keys, type};
    assert_int_equal(t->b->kv_new(t->d, &kv, &spec, &err), IB_OK);
    reserve(t, n_tokens, n_keys, kind);
    size_t row = (size_t)KV_HEADS * DIM;
    float *x = malloc(n_keys * row * sizeof *x);
    assert_non_null(x);
    kt_normal(&t->rng, x, n_keys * row, 1.0f);
    ib_tensor k = kt_tensor(t, x, n_keys, row);
    const ib_kv_write_args write = {kv, 0, k, k, {1, n_keys, 0, false}};
    assert_int_equal(t->b->kv_write(t->d, &write, &err), IB_OK);
    float *queries = malloc(n_tokens * HEADS * DIM * sizeof *queries);
    assert_non_null(queries);
    kt_normal(&t->rng, queries, n_tokens * HEADS * DIM, 1.0f);
    ib_tensor q = kt_tensor(t, queries, n_tokens, HEADS * DIM);
    ib_tensor out = kt_tensor(t, NULL, n_tokens, HEADS * DIM);
    free(queries);
    const ib_attention_args a = {kind,  kv,     0, q, out,
                                 HEADS, 0.088f, 0, 0, {1, n_tokens, n_keys - n_tokens, false}};
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = ib_now_ns();
        assert_int_equal(t->b->attention(t->d, &a, &err), IB_OK);
        uint64_t ns = ib_now_ns() - begin;
        best = ns < best ? ns : best;
    }
    print_message("%-7s %-16s cache %-4s %4zu queries over %4zu keys %8.3f ms\n", t->tier,
                  ib_attention_name(kind), ib_type_name(type), n_tokens, n_keys,
                  (double)best * 1e-6);
    kt_drop(t, out);
    kt_drop(t, q);
    kt_drop(t, k);
    free(x);
    t->b->kv_free(t->d, kv);
}

/* A decode step's attention of all layers of a 1.1B model over a long context, against reading its
 * cache once. */
static void time_depth(bench *t) {
    enum { LAYERS = 22, HEADS = 32, KV_HEADS = 4, DIM = 64, KEYS = 32768, STEPS = 5 };
    static const size_t row = (size_t)KV_HEADS * DIM;
    const ib_kv_spec spec = {LAYERS, 1, KV_HEADS, DIM, KEYS, IB_TYPE_BF16};
    const ib_probe_ask ask = {.read = true};
    ib_error err;
    ib_kv *kv;
    ib_probe p;
    assert_int_equal(t->b->kv_new(t->d, &kv, &spec, &err), IB_OK);
    float *x = malloc(KEYS * row * sizeof *x);
    assert_non_null(x);
    kt_normal(&t->rng, x, KEYS * row, 1.0f);
    ib_tensor k = kt_tensor(t, x, KEYS, row), q = kt_tensor(t, x, 1, HEADS * DIM);
    ib_tensor out = kt_tensor(t, NULL, 1, HEADS * DIM);
    for (size_t layer = 0; layer < LAYERS; layer++) {
        const ib_kv_write_args write = {kv, layer, k, k, {1, KEYS, 0, false}};
        assert_int_equal(t->b->kv_write(t->d, &write, &err), IB_OK);
    }
    for (int round = 0; round < 2 * IB_ATTN_COUNT; round++) {
        const ib_attention kind = (ib_attention)(round % IB_ATTN_COUNT);
        ib_attention_args a = {kind, kv, 0, q, out, HEADS, 0.125f, 0, 0, {1, 1, KEYS - 1, true}};
        uint64_t best = UINT64_MAX;
        reserve(t, 1, KEYS, kind);
        for (int step = 0; step < STEPS; step++) {
            uint64_t begin = ib_now_ns();
            for (a.layer = 0; a.layer < LAYERS; a.layer++)
                assert_int_equal(t->b->attention(t->d, &a, &err), IB_OK);
            uint64_t ns = ib_now_ns() - begin;
            best = ns < best ? ns : best;
        }
        assert_int_equal(t->b->probe(t->d, &ask, &p, &err), IB_OK);
        double bytes = 4.0 * LAYERS * KEYS * (double)row;
        print_message("%-7s %-16s 1 query over %d keys in %d layers %8.3f ms, %.2f of a read at "
                      "%.1f GB/s\n",
                      t->tier, ib_attention_name(kind), (int)KEYS, (int)LAYERS, (double)best * 1e-6,
                      (double)best * p.read_gbps / bytes, p.read_gbps);
    }
    kt_drop(t, out);
    kt_drop(t, q);
    kt_drop(t, k);
    free(x);
    t->b->kv_free(t->d, kv);
}

int kt_time(const char *only_tier, int n_threads) {
    static const ib_type types[] = {
        IB_TYPE_F32,  IB_TYPE_F16,  IB_TYPE_BF16, IB_TYPE_NF4,  IB_TYPE_FP4,    IB_TYPE_INT8,
        IB_TYPE_Q4_0, IB_TYPE_Q4_1, IB_TYPE_Q5_0, IB_TYPE_Q5_1, IB_TYPE_Q8_0,   IB_TYPE_Q2_K,
        IB_TYPE_Q3_K, IB_TYPE_Q4_K, IB_TYPE_Q5_K, IB_TYPE_Q6_K, IB_TYPE_IQ4_NL, IB_TYPE_MXFP4};
    for (size_t tier = KT_TIERS; tier-- > 0;) {
        bench t;
        if ((only_tier && strcmp(only_tier, kt_tiers[tier]) != 0) ||
            !kt_open_compute(&t, kt_tiers[tier], n_threads, IB_COMPUTE_AUTO))
            continue;
        ib_device_info info;
        t.b->info(t.d, &info);
        print_message("%s, tier %s, %d threads, compute %s\n", info.name, info.tier, info.n_threads,
                      info.compute);
        for (size_t i = 0; i < sizeof types / sizeof *types; i++)
            time_format(&t, types[i]);
        for (int kind = 0; kind < IB_ATTN_COUNT; kind++)
            for (int half = 0; half < 2; half++) {
                ib_type type = half ? IB_TYPE_BF16 : IB_TYPE_F32;
                time_attention(&t, (ib_attention)kind, type, 1, 2048);
                time_attention(&t, (ib_attention)kind, type, 256, 512);
            }
        time_depth(&t);
        kt_close(&t);
    }
    return 0;
}
