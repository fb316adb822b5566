/* SPDX-License-Identifier: MIT
 * What surrounds the timed part: a context in front of the prompt, and the machine's limits beside
 * the figures. */
#include "backend/probe.h"
#include "base/rng.h"
#include "bench/bench.h"
#include "bench/probe.h"
#include "model/model.h"
#include "record/at_hand.h"
#include "record/summary.h"
#include "support.h"

#include <math.h>

#define MODEL IB_SOURCE_DIR "/tests/golden/models/llama_gqa"
enum { N_DEPTH = 23, N_PROMPT = 12, N_NEW = 12 };

static const uint32_t prompt[N_PROMPT] = {125, 25, 275, 268, 145, 84, 122, 184, 246, 240, 34, 281};

static ib_plan plan_of(const uint32_t *ids, size_t n) {
    ib_plan p = {.engine = {.model_id = MODEL,
                            .device = "cpu",
                            .dtype = IB_TYPE_F32,
                            .n_threads = 2,
                            .weights = true},
                 .prompt = {.token_ids = ids, .n_token_ids = n, .seed = 9},
                 .n_repetitions = 2,
                 .n_batch = 1};
    ib_generation_init(&p.generation);
    p.generation.max_new_tokens = N_NEW;
    p.generation.n_eos = 0;
    p.generation.forced_eos_id = -1;
    return p;
}

static void run_ok(ib_cell *cell, const ib_plan *p) {
    ib_error err = {0};
    if (ib_bench_run_cell(cell, p, &err) != IB_OK)
        fail_msg("%s", err.text);
}

/* The ids that stand in front: the seed's second stream (docs/methods.md). */
static void depth_ids(uint32_t *out, size_t n, uint64_t n_vocab) {
    ib_rng rng;
    ib_rng_init(&rng, 9 ^ UINT64_C(0x6465707468));
    for (size_t i = 0; i < n; i++)
        out[i] = (uint32_t)ib_rng_below(&rng, n_vocab);
}

/* A prompt behind a context gives what the two as one prompt give, in every run, for every
 * attention and for several sequences. */
static void test_depth(void **unused) {
    uint32_t whole[N_DEPTH + N_PROMPT];
    (void)unused;
    for (int attention = 0; attention < IB_ATTN_COUNT; attention++) {
        ib_cell behind = {0}, plain = {0}, at_once = {0};
        ib_plan p = plan_of(prompt, N_PROMPT);
        p.engine.attention = (ib_attention)attention;
        run_ok(&plain, &p);
        p.n_depth = N_DEPTH;
        p.n_batch = 2;
        run_ok(&behind, &p);
        depth_ids(whole, N_DEPTH, plain.model.n_vocab);
        memcpy(whole + N_DEPTH, prompt, sizeof prompt);
        p = plan_of(whole, N_DEPTH + N_PROMPT);
        p.engine.attention = (ib_attention)attention;
        run_ok(&at_once, &p);
        assert_int_equal(behind.asked.n_depth, N_DEPTH);
        assert_int_equal(behind.n_prompt_ids, N_PROMPT);
        assert_true(behind.depth_ns > 0 && plain.depth_ns == 0);
        for (size_t run = 0; run < 2; run++)
            for (size_t i = 0; i < 2 * N_NEW; i++)
                assert_int_equal(behind.runs[run].output_ids[i], at_once.runs[0].output_ids[i / 2]);
        assert_memory_not_equal(plain.runs[0].output_ids, at_once.runs[0].output_ids,
                                N_NEW * sizeof(uint32_t));
        assert_int_equal(behind.model.step_kv, 2 * at_once.model.step_kv);
        assert_true(behind.model.prefill_flops < 2 * at_once.model.prefill_flops);
        assert_true(behind.model.prefill_flops > 2 * plain.model.prefill_flops);
        ib_cell_clear(&plain);
        ib_cell_clear(&behind);
        ib_cell_clear(&at_once);
    }
}

/* More than one piece of context, and a prompt shorter than a piece. */
static void test_long_depth(void **unused) {
    enum { LONG = 1100 };
    uint32_t whole[LONG + N_PROMPT];
    ib_cell behind = {0}, at_once = {0};
    ib_plan p = plan_of(prompt, N_PROMPT);
    (void)unused;
    p.engine.attention = IB_ATTN_FLASH;
    p.n_repetitions = 1;
    p.n_depth = LONG;
    run_ok(&behind, &p);
    depth_ids(whole, LONG, behind.model.n_vocab);
    memcpy(whole + LONG, prompt, sizeof prompt);
    p = plan_of(whole, LONG + N_PROMPT);
    p.engine.attention = IB_ATTN_FLASH;
    p.n_repetitions = 1;
    run_ok(&at_once, &p);
    assert_string_equal(behind.runs[0].ids_sha256, at_once.runs[0].ids_sha256);
    ib_cell_clear(&behind);
    ib_cell_clear(&at_once);
}

/* 2 flops for each weight and token, the head once, attention by the keys that are seen. */
static void test_prefill_flops(void **unused) {
    ib_engine *e = NULL;
    ib_error err = {0};
    ib_plan p = plan_of(prompt, N_PROMPT);
    (void)unused;
    assert_int_equal(ib_engine_open(&e, &p.engine, NULL, &err), IB_OK);
    const ib_model *m = ib_engine_model(e);
    const ib_config *c = ib_model_config(m);
    const double d = (double)c->d_model, q = (double)(c->n_heads * c->head_dim);
    const double kv = (double)(c->n_kv_heads * c->head_dim), layers = (double)c->n_layers;
    const double linear = d * (2 * q + 2 * kv + 3 * (double)c->d_ff) * layers;
    const double head = 2 * d * (double)c->n_vocab;
    const double one = 2 * linear + head + 4 * q * layers;
    assert_true(fabs(ib_model_prefill_flops(m, 0, 1) - one) < 0.5);
    const double three = 6 * linear + head + 4 * q * layers * (11 + 12 + 13);
    assert_true(fabs(ib_model_prefill_flops(m, 10, 3) - three) < 0.5);
    ib_engine_close(e);
}

static void test_roofline(void **unused) {
    ib_cell cell = {0};
    ib_summary s;
    ib_plan p = plan_of(prompt, N_PROMPT);
    (void)unused;
    run_ok(&cell, &p);
    assert_false(cell.probe.done);
    assert_int_equal(ib_summarise(&s, &cell, NULL, 0, NULL), IB_OK);
    assert_true(isnan(s.mbu) && isnan(s.mfu) && s.prefill_gflops > 0);
    for (size_t i = 0; i < cell.n_runs; i++) /* the two calls make up the window */
        assert_int_equal(cell.runs[i].decode_call_ns + cell.runs[i].pick_call_ns,
                         cell.runs[i].stamps_ns[N_NEW] - cell.runs[i].stamps_ns[1]);
    ib_cell_clear(&cell);
    p.roofline = true;
    cell = (ib_cell){0};
    run_ok(&cell, &p);
    const ib_probe_record *r = &cell.probe;
    assert_true(r->done && !r->read_weights);
    assert_true(r->read_gbps >= r->read_gbps_median && r->read_gbps_median > 0.05);
    assert_true(r->flops >= r->flops_median && r->flops_median > 1e7);
    assert_true(r->read_bytes >= 64u << 20 && r->n_passes >= 3);
    assert_int_equal(ib_summarise(&s, &cell, NULL, 0, NULL), IB_OK);
    assert_true(fabs(s.mbu * r->read_gbps - s.read_gbps) <= 1e-9 * s.read_gbps);
    assert_true(fabs(s.mfu * r->flops - s.prefill_gflops * 1e9) <= 1e-3 * s.prefill_gflops);
    ib_cell_clear(&cell);
}

/* Each limit's share of the time, and which one binds, on figures made by hand. */
static void test_which_binds(void **unused) {
    ib_cell cell = {0};
    ib_summary s = {.tpot_ms = 10,
                    .prefill_ms = 200,
                    .pick_call_ms = 1,
                    .decode_call_ms = 9,
                    .mbu = NAN,
                    .mfu = NAN};
    (void)unused;
    cell.resolved.device = ib_strdup("cpu");
    assert_non_null(cell.resolved.device);
    ib_summary_limits(&s, &cell);
    assert_true(!s.decode_limit.binds && !s.prefill_limit.binds && isnan(s.decode_limit.memory));
    cell.probe = (ib_probe_record){.done = true, .read_gbps = 50, .flops = 400e9};
    cell.model.step_weights = 400000000;
    cell.model.step_total = 420000000;
    cell.model.step_flops = 1e9;
    s.mbu = 0.84;
    s.mfu = 0.3;
    ib_summary_limits(&s, &cell);
    assert_string_equal(s.decode_limit.binds, "memory");
    assert_true(s.decode_limit.memory == s.mbu && fabs(s.decode_limit.compute - 0.25) < 1e-12);
    assert_true(fabs(s.decode_limit.host - 0.1) < 1e-12 && isnan(s.decode_limit.sync));
    assert_string_equal(s.prefill_limit.binds, "none alone");
    assert_true(fabs(s.prefill_limit.memory - 0.04) < 1e-12);
    cell.model.step_flops = 3.6e9; /* many sequences */
    ib_summary_limits(&s, &cell);
    assert_string_equal(s.decode_limit.binds, "compute");
    s.mbu = 0.2;
    cell.model.step_flops = 1e9;
    ib_summary_limits(&s, &cell);
    assert_string_equal(s.decode_limit.binds, "none alone");
    (void)snprintf(cell.resolved.device, 4, "xpu"); /* queues: the calls are the host's time */
    ib_summary_limits(&s, &cell);
    assert_string_equal(s.decode_limit.binds, "launch or host");
    assert_true(fabs(s.decode_limit.host - 0.9) < 1e-12);
    free(cell.resolved.device);
}

static const ib_op_record *op_of(const ib_profile_record *p, const char *phase, const char *op) {
    for (size_t i = 0; i < p->n_ops; i++)
        if (strcmp(p->ops[i].phase, phase) == 0 && strcmp(p->ops[i].op, op) == 0)
            return &p->ops[i];
    fail_msg("no operation '%s' in %s", op, phase);
    return NULL;
}

/* The profiled pass changes no run, sees every operation the right number of times, and its parts
 * are no longer than the whole; bytes and operations are those of the ledger. */
static void test_profile(void **unused) {
    ib_cell plain = {0}, cell = {0};
    ib_plan p = plan_of(prompt, N_PROMPT);
    uint64_t sum = 0, bytes = 0;
    double flops = 0;
    (void)unused;
    run_ok(&plain, &p);
    assert_false(plain.profile.done);
    p.profile = true;
    p.n_batch = 2;
    run_ok(&cell, &p);
    const ib_profile_record *r = &cell.profile;
    const uint64_t n_layers = cell.model.n_layers;
    assert_true(r->done && r->n_steps == N_NEW - 1 && r->n_past == N_PROMPT);
    for (size_t run = 0; run < 2; run++)
        for (size_t i = 0; i < 2 * N_NEW; i++)
            assert_int_equal(cell.runs[run].output_ids[i], plain.runs[0].output_ids[i / 2]);
    assert_int_equal(op_of(r, "decode", "attention")->calls, n_layers * r->n_steps);
    assert_int_equal(op_of(r, "decode", "down")->calls, n_layers * r->n_steps);
    assert_int_equal(op_of(r, "decode", "q, k, v")->calls, n_layers * r->n_steps);
    assert_int_equal(op_of(r, "decode", "head")->calls, r->n_steps);
    assert_int_equal(op_of(r, "decode", "argmax")->calls, r->n_steps);
    assert_int_equal(op_of(r, "prefill", "head")->calls, 1);
    assert_int_equal(op_of(r, "prefill", "attention")->calls, n_layers);
    for (size_t i = 0; i < r->n_ops; i++) {
        const ib_op_record *op = &r->ops[i];
        if (strcmp(op->phase, "prefill") == 0) {
            flops += op->flops;
            continue;
        }
        sum += op->ns;
        bytes += op->bytes;
    }
    assert_true(sum <= r->decode_ns && sum > r->decode_ns / 2);
    assert_true(bytes >= (cell.model.step_weights + cell.model.step_head) * r->n_steps);
    assert_true(fabs(flops - cell.model.prefill_flops) < 1e-6 * flops);
    assert_true(r->n_dispatches > 0 && r->dispatch_ns > 0);
    ib_cell_clear(&plain);
    ib_cell_clear(&cell);
}

/* Spans of any size and alignment are read whole, on every tier. */
static void test_spans(void **unused) {
    static const char *const tiers[] = {"scalar", "avx2", "avx512"};
    enum { BYTES = 257 << 20 };
    unsigned char *block = calloc(1, BYTES);
    (void)unused;
    assert_non_null(block);
    for (size_t i = 0; i < sizeof tiers / sizeof tiers[0]; i++) {
        const ib_device_config config = {.n_threads = 2, .cpu_tier = tiers[i]};
        const ib_span spans[] = {{block + 1, 3}, {block + 5, 0}, {block + 7, BYTES - 20}};
        const ib_probe_ask ask = {.ping = true, .read = true, .spans = spans, .n_spans = 3};
        ib_error err = {0};
        ib_device *d = NULL;
        ib_probe out;
        if (ib_device_open(&d, "cpu", &config, &err) != IB_OK) {
            print_message("skipped: %s\n", err.text);
            continue;
        }
        assert_int_equal(ib_backend_of(d)->probe(d, &ask, &out, &err), IB_OK);
        assert_true(out.read_weights && out.read_bytes == BYTES - 17);
        assert_true(out.read_gbps > 0.05);
        assert_true(out.flops == 0 && out.ping_ns >= 0 && out.ping_ns < 1e6);
        ib_device_close(d);
    }
    free(block);
}

static void test_memory_at_hand(void **unused) {
    const char *limit = NULL;
    (void)unused;
    const uint64_t bytes = ib_memory_at_hand(&limit);
    assert_non_null(limit);
    assert_true(bytes > 1 << 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth),         cmocka_unit_test(test_long_depth),
        cmocka_unit_test(test_prefill_flops), cmocka_unit_test(test_roofline),
        cmocka_unit_test(test_spans),         cmocka_unit_test(test_memory_at_hand),
        cmocka_unit_test(test_which_binds),   cmocka_unit_test(test_profile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
