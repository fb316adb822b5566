/* SPDX-License-Identifier: MIT
 * A record made by hand, for the tests of record and report: every field has a value of its own. */
#ifndef IB_TESTS_RECORD_FIXTURE_H
#define IB_TESTS_RECORD_FIXTURE_H

#include "record/record.h"
#include "support.h"

static inline uint64_t fixture_next(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* A run of n tokens whose gaps are those of sample kind 0 in tools/reference/make_stats.py. */
static inline ib_run_record *fixture_run(ib_cell *cell, size_t n, uint64_t seed) {
    ib_run_record *r;
    assert_int_equal(ib_cell_add_run(cell, &r, NULL), IB_OK);
    r->n_tokens = n;
    r->n_seqs = 1;
    r->stamps_ns = calloc(n + 1, sizeof *r->stamps_ns);
    r->output_ids = calloc(n, sizeof *r->output_ids);
    assert_true(r->stamps_ns && r->output_ids);
    r->stamps_ns[0] = 5000000000001;
    for (size_t i = 0; i < n; i++) {
        r->stamps_ns[i + 1] = r->stamps_ns[i] + 10000000 + fixture_next(&seed) % 50000000;
        r->output_ids[i] = (uint32_t)(i * 977 % 49152);
    }
    r->prefill_done_ns = r->stamps_ns[1] - 1000000;
    r->finite = true;
    r->render_ns = 1500000;
    r->tokenize_ns = 2500000;
    r->detokenize_ns = 700000;
    r->pick_call_ns = 123456;
    r->decode_call_ns = r->stamps_ns[n] - r->stamps_ns[1] - r->pick_call_ns;
    r->window_ns = r->stamps_ns[n] - r->stamps_ns[0] + 300000;
    r->minor_faults = 12;
    r->voluntary_switches = 40;
    r->cpu_ns = 900000;
    r->foreign_cpu_ns = 20000000;
    r->spin_before_ns = 41000.5;
    r->spin_after_ns = 41020.25;
    r->mapped_bytes = 144699392;
    r->resident_bytes = 144699392;
    ib_ids_sha256(r->output_ids, 1, r->logits_sha256);
    r->n_top = 2;
    r->top[0] = (ib_logit){977, 21.5f};
    r->top[1] = (ib_logit){3, 20.25f};
    ib_run_record_hash(r);
    return r;
}

static inline char *fixture_text(const char *text) {
    char *copy = ib_strdup(text);
    assert_non_null(copy);
    return copy;
}

static inline void fixture_cell(ib_cell *c, const char *model_id) {
    static const uint32_t prompt[] = {1, 9690, 198, 2683, 359, 4294967295u};
    c->asked = (ib_asked){.model_id = fixture_text(model_id),
                          .device = fixture_text("auto"),
                          .attn = fixture_text("eager"),
                          .dtype = fixture_text("auto"),
                          .compute = fixture_text("auto"),
                          .max_new_tokens = 256,
                          .n_depth = 77,
                          .n_batch = 1,
                          .peak_gbps = 51.2,
                          .n_repetitions = 1,
                          .seed = UINT64_MAX,
                          .chat_template = true};
    c->resolved = (ib_resolved){.device = fixture_text("cpu"),
                                .device_name = fixture_text("Example CPU @ 2.0 GHz"),
                                .attn = fixture_text("eager"),
                                .compute = fixture_text("float32"),
                                .tier = fixture_text("avx2"),
                                .features = fixture_text("avx2 fma f16c"),
                                .dtype = fixture_text("bfloat16"),
                                .activation_dtype = fixture_text("float32"),
                                .kv_dtype = fixture_text("bfloat16"),
                                .n_threads = 2};
    c->model = (ib_model_record){.path = fixture_text("/models/example"),
                                 .family = fixture_text("llama"),
                                 .name = fixture_text("Example 135M"),
                                 .n_params = 134515008,
                                 .file_bytes = 144811360,
                                 .weight_bytes = 144800000,
                                 .n_layers = 30,
                                 .d_model = 576,
                                 .n_vocab = 49152,
                                 .n_ctx_max = 8192,
                                 .formats = {{"Q8_0", 144700000}, {"F32", 100000}},
                                 .n_formats = 2,
                                 .step_weights = 113000000,
                                 .step_scales = 100000,
                                 .step_head = 30081024,
                                 .step_kv = 21000000,
                                 .step_total = 164181024,
                                 .prefill_flops = 1.625e9,
                                 .step_flops = 2.75e8};
    c->probe = (ib_probe_record){.done = true,
                                 .ping_before_ns = 52.25,
                                 .ping_after_ns = 210.5,
                                 .read_gbps = 47.5,
                                 .read_gbps_median = 46.75,
                                 .flops = 487e9,
                                 .flops_median = 480e9,
                                 .flops_float32 = 243e9,
                                 .read_bytes = 268435456,
                                 .n_passes = 15};
    c->profile = (ib_profile_record){.done = true,
                                     .n_past = 83,
                                     .n_steps = 4,
                                     .plain_prefill_ns = 40000000,
                                     .plain_decode_ns = 36000000,
                                     .prefill_ns = 41000000,
                                     .decode_ns = 38000000,
                                     .sync_ns = 20,
                                     .n_dispatches = 1204,
                                     .dispatch_ns = 350,
                                     .ops = {{"decode", "attention", 120, 3000000, 8400000, 2e8},
                                             {"decode", "down", 120, 30000000, 480000000, 9e8},
                                             {"decode", "argmax", 4, 90000, 786432, 0},
                                             {"prefill", "down", 30, 40500000, 130000000, 5.5e9}},
                                     .n_ops = 4};
    c->loaded = (ib_load_record){.mode = fixture_text("touch"),
                                 .file_bytes = 144811360,
                                 .cached_bytes = 72405680,
                                 .huge_bytes = 4194304};
    c->depth_ns = 345678901;
    c->memory = (ib_memory_record){.weights = 144800000,
                                   .weights_mapped = 144700000,
                                   .kv = 52428800,
                                   .scratch = 9437184,
                                   .io = 4096,
                                   .peak_total = 206670080,
                                   .vm_hwm = 230000000};
    ib_cell_add_phase(c, "open", 1200000);
    ib_cell_add_phase(c, "tokenizer", 45000000);
    ib_cell_add_phase(c, "weights", 98765432);
    c->generation = json_pack("{s:[i], s:i, s:f}", "eos_token_ids", 1, "forced_eos_token_id", 1,
                              "repetition_penalty", 1.1);
    c->prompt_ids = malloc(sizeof prompt);
    assert_true(c->prompt_ids && c->generation);
    memcpy(c->prompt_ids, prompt, sizeof prompt);
    c->n_prompt_ids = sizeof prompt / sizeof *prompt;
    c->n_special_in_text = 3;
    c->prompt_text = fixture_text("system\nYou are a helpful assistant\n");
    c->n_prompt_text = strlen(c->prompt_text);
    c->output_text = fixture_text("system\nYou are a helpful assistant\nna\xC3\xAFve \xE2\x82\xAC");
    c->n_output_text = strlen(c->output_text);
    ib_ids_sha256(prompt, 6, c->template_sha256);
    c->clock_cost_ns = 23;
}

static inline void fixture_process(ib_cell *c) {
    ib_process_record *p;
    assert_int_equal(ib_cell_add_process(c, &p, NULL), IB_OK);
    p->started_utc = fixture_text("2025-01-15T10:30:01Z");
    p->env_padding = 1234;
    p->heap_offset = 48;
    p->before = json_pack("{s:s, s:f, s:f, s:n}", "governor", "performance", "ping_ns", 52.25,
                          "read_gbps", 40.5, "boost");
    p->after = json_pack("{s:s, s:f, s:f, s:n}", "governor", "performance", "ping_ns", 54.5,
                         "read_gbps", 41.5, "boost");
    assert_true(p->before && p->after);
}

/* One cell, one run of n tokens. Ends with ib_record_clear. */
static inline void fixture_record(ib_record *r, size_t n, const char *model_id) {
    ib_cell *cell;
    *r = (ib_record){.tool_version = fixture_text("0.1.0"),
                     .tool_commit = fixture_text("0123456789abcdef0123456789abcdef01234567"),
                     .compiler = fixture_text("gcc 12.2.0"),
                     .command = fixture_text("inferbench run -m example"),
                     .started_utc = fixture_text("2025-01-15T10:30:00Z"),
                     .environment = json_pack("{s:{s:s, s:n}, s:{s:f}}", "cpu", "model",
                                              "Example CPU", "governor", "clock", "cost_ns", 23.1)};
    assert_int_equal(ib_record_add_cell(r, &cell, NULL), IB_OK);
    fixture_cell(cell, model_id);
    fixture_process(cell);
    (void)fixture_run(cell, n, n + 5);
}

#endif
