/* SPDX-License-Identifier: MIT
 * A whole cell on a tiny model: prompts of every kind, warm-up and repetitions, golden ids,
 * signals, and what the timed window must not do. */
#include "bench/bench.h"
#include "bench/user_text.h"
#include "record/summary.h"
#include "support.h"

#include "base/clock.h"

#include <signal.h>
#include <stdatomic.h>

#define MODELS IB_SOURCE_DIR "/tests/golden/models/"

/* Allocations of the whole program, counted while `counting` (-Wl,--wrap). */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
static atomic_bool counting;
static atomic_size_t allocations;

void *__wrap_malloc(size_t n) {
    if (atomic_load(&counting))
        atomic_fetch_add(&allocations, 1);
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size) {
    if (atomic_load(&counting))
        atomic_fetch_add(&allocations, 1);
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n) {
    if (atomic_load(&counting))
        atomic_fetch_add(&allocations, 1);
    return __real_realloc(p, n);
}

/* The golden run of tests/golden/models/llama_gqa. */
static const uint32_t prompt[] = {125, 25, 275, 268, 145, 84, 122, 184, 246, 240, 34, 281};
static const uint32_t greedy[] = {188, 160, 232, 191, 281, 117, 232, 191, 11, 48,  78,  169,
                                  253, 105, 107, 11,  48,  209, 258, 70,  66, 263, 232, 1};

static ib_plan plan_of(void) {
    ib_plan p = {.engine = {.model_id = MODELS "llama_gqa",
                            .device = "cpu",
                            .dtype = IB_TYPE_F32,
                            .n_threads = 2,
                            .weights = true},
                 .prompt = {.token_ids = prompt, .n_token_ids = 12},
                 .n_repetitions = 1,
                 .n_batch = 1};
    ib_generation_init(&p.generation);
    p.generation.max_new_tokens = 24;
    return p;
}

static void run_ok(ib_cell *cell, const ib_plan *p) {
    ib_error err = {0};
    if (ib_bench_run_cell(cell, p, &err) != IB_OK)
        fail_msg("%s", err.text);
}

typedef struct seen {
    uint64_t n, sum_ns;
    volatile int *raise_at_3;
} seen;

static void on_token(void *user, uint64_t index, uint64_t gap_ns) {
    seen *s = user;
    assert_int_equal(index, s->n);
    s->n++;
    s->sum_ns += gap_ns;
    if (s->raise_at_3 && s->n >= 3)
        *s->raise_at_3 = SIGINT;
}

static void test_golden_cell(void **unused) {
    (void)unused;
    seen s = {0};
    ib_stream_sink sink = {on_token, &s};
    ib_cell cell = {0};
    ib_plan p = plan_of();
    p.n_warmup = 1;
    p.n_repetitions = 3;
    p.sink = &sink;
    run_ok(&cell, &p);
    assert_int_equal(cell.n_runs, 4);
    for (size_t i = 0; i < 4; i++) {
        const ib_run_record *r = &cell.runs[i];
        assert_true(r->warmup == (i == 0));
        assert_int_equal(r->n_tokens, 24);
        assert_memory_equal(r->output_ids, greedy, sizeof greedy);
        assert_true(r->finite && r->stopped_by_eos && !r->cancelled);
        assert_true(r->stamps_ns[0] <= r->prefill_done_ns && r->prefill_done_ns <= r->stamps_ns[1]);
        for (size_t k = 0; k < 24; k++)
            assert_true(r->stamps_ns[k] <= r->stamps_ns[k + 1]);
        assert_true(r->window_ns >= r->stamps_ns[24] - r->stamps_ns[0]);
    }
    /* the sink saw the first measured run, whole */
    assert_int_equal(s.n, 24);
    assert_int_equal(s.sum_ns, cell.runs[1].stamps_ns[24] - cell.runs[1].stamps_ns[0]);
    assert_int_equal(cell.n_prompt_ids, 12);
    assert_string_equal(cell.resolved.device, "cpu");
    assert_string_equal(cell.resolved.dtype, "float32");
    assert_string_equal(cell.resolved.kv_dtype, "float32");
    assert_string_equal(cell.resolved.attn, "eager");
    assert_string_equal(cell.asked.model_id, MODELS "llama_gqa");
    assert_string_equal(cell.model.name, "llama_gqa");
    assert_int_equal(cell.n_load, 7); /* "touch" among them */
    assert_true(cell.memory.kv > 0 && cell.memory.peak_total >= cell.memory.kv);
    assert_true(cell.model.step_total > 0 && cell.model.n_params > 0);
    assert_non_null(cell.output_text);
    assert_null(cell.prompt_text);
    assert_int_equal(json_integer_value(json_object_get(cell.generation, "max_new_tokens")), 24);
    ib_summary sum;
    assert_int_equal(ib_summarise(&sum, &cell, NULL, 0, NULL), IB_OK);
    assert_true(sum.ids_equal && sum.n_runs == 3 && sum.tpot_ms > 0);
    assert_string_not_equal(sum.verdict, "invalid");
    ib_cell_clear(&cell);
}

/* Attention, threads and batch do not change the ids; two cells on one open engine are alike. */
static void test_same_ids(void **unused) {
    (void)unused;
    ib_error err = {0};
    for (int attention = 0; attention < IB_ATTN_COUNT; attention++) {
        ib_engine *e = NULL;
        ib_cell opened = {0};
        ib_plan p = plan_of();
        p.engine.attention = (ib_attention)attention;
        p.engine.n_threads = 1;
        assert_int_equal(ib_engine_open(&e, &p.engine, &opened, &err), IB_OK);
        for (p.n_batch = 1; p.n_batch <= 3; p.n_batch += 2) {
            ib_cell cell = {0};
            if (ib_bench_run_on(e, &opened, &cell, &p, &err) != IB_OK)
                fail_msg("%s", err.text);
            assert_int_equal(cell.runs[0].n_seqs, p.n_batch);
            for (size_t i = 0; i < 24 * p.n_batch; i++)
                assert_int_equal(cell.runs[0].output_ids[i], greedy[i / p.n_batch]);
            assert_string_equal(cell.resolved.attn, ib_attention_name((ib_attention)attention));
            assert_string_equal(cell.model.fingerprint, opened.model.fingerprint);
            ib_cell_clear(&cell);
        }
        ib_engine_close(e);
        ib_cell_clear(&opened);
    }
}

/* --- the timed window --- */

static bool count_between(void *user, uint64_t now_ns, const uint32_t *ids, size_t n_seqs) {
    uint64_t *n = user;
    (void)now_ns;
    (void)ids;
    (void)n_seqs;
    atomic_store(&counting, ++*n < 24); /* from the first token to the last */
    return true;
}

static void test_no_allocation_between_tokens(void **unused) {
    (void)unused;
    ib_engine *e = NULL;
    ib_error err = {0};
    ib_plan p = plan_of();
    ib_generate_result result;
    uint32_t out[24];
    uint64_t n = 0;
    assert_int_equal(ib_engine_open(&e, &p.engine, NULL, &err), IB_OK);
    assert_int_equal(ib_engine_prepare(e, 12, 24, 1, &err), IB_OK);
    atomic_store(&allocations, 0);
    assert_int_equal(
        ib_engine_run(e, &p.generation, prompt, 12, out, count_between, &n, &result, &err), IB_OK);
    atomic_store(&counting, false);
    assert_int_equal(n, 24);
    assert_int_equal(atomic_load(&allocations), 0);
    assert_memory_equal(out, greedy, sizeof greedy);
    ib_engine_close(e);
}

/* --- prompts --- */

static void refused(const ib_plan *p, ib_status status, const char *says) {
    ib_cell cell = {0};
    ib_error err = {0};
    ib_status st = ib_bench_run_cell(&cell, p, &err);
    if (st != status || !strstr(err.text, says))
        fail_msg("status %d, text '%s', expected %d and '%s'", st, err.text, status, says);
    assert_int_equal(cell.n_runs, 0);
    ib_cell_clear(&cell);
}

static void test_bad_prompts(void **unused) {
    (void)unused;
    static const uint32_t outside[] = {1, 1000000};
    ib_plan p = plan_of();
    p.prompt.token_ids = outside;
    p.prompt.n_token_ids = 2;
    refused(&p, IB_E_USAGE, "token id out of range in the prompt at 1: 1000000");
    p.prompt.n_token_ids = 0;
    refused(&p, IB_E_FORMAT, "prompt is empty");
    p.prompt.token_ids = NULL;
    p.prompt.prompt = "";
    refused(&p, IB_E_FORMAT, "prompt is empty");
    p.engine.compute = IB_COMPUTE_INT8;
    refused(&p, IB_E_USAGE, "--compute int8");
    p.engine.model_id = MODELS "nothing here";
    refused(&p, IB_E_INPUT, "does not exist");
}

static void test_random_ids(void **unused) {
    (void)unused;
    ib_cell a = {0}, b = {0};
    ib_plan p = plan_of();
    p.prompt = (ib_prompt_spec){.n_random = 40, .seed = 7};
    p.generation.max_new_tokens = 30;
    run_ok(&a, &p);
    run_ok(&b, &p);
    assert_int_equal(a.n_prompt_ids, 40);
    assert_memory_equal(a.prompt_ids, b.prompt_ids, 40 * sizeof *a.prompt_ids);
    assert_string_equal(a.runs[0].ids_sha256, b.runs[0].ids_sha256);
    assert_int_equal(a.runs[0].n_tokens, 30); /* no eos, no forced id */
    assert_false(a.runs[0].stopped_by_eos);
    assert_true(json_is_null(json_object_get(a.generation, "forced_eos_token_id")));
    ib_cell_clear(&b);
    p.prompt.seed = 8;
    run_ok(&b, &p);
    assert_memory_not_equal(a.prompt_ids, b.prompt_ids, 40 * sizeof *a.prompt_ids);
    ib_cell_clear(&a);
    ib_cell_clear(&b);
}

static void test_plain_text(void **unused) {
    (void)unused;
    static const char text[] = "Summarize this text please:\n\n```Tell me, O muse";
    ib_cell cell = {0};
    ib_plan p = plan_of();
    p.prompt = (ib_prompt_spec){.prompt = text};
    run_ok(&cell, &p);
    assert_int_equal(cell.n_prompt_text, sizeof text - 1);
    assert_string_equal(cell.prompt_text, text);
    assert_memory_equal(cell.output_text, text, sizeof text - 1);
    assert_true(cell.n_output_text >= sizeof text - 1);
    assert_true(cell.runs[0].tokenize_ns > 0 && cell.runs[0].render_ns == 0);
    assert_string_equal(cell.template_sha256, "");
    ib_cell_clear(&cell);
}

/* Ids of a chat with special tokens in the user's own text, as transformers' apply_chat_template
 * gives them, and the same with the user's text encoded as plain text (encode_special_tokens). */
static void test_chat(void **unused) {
    (void)unused;
    static const uint32_t parsed[] = {
        281, 82,  88, 82, 83,  68, 76,  198, 56,  274, 264, 263, 264, 220, 257, 75, 79,  69, 84,
        75,  264, 82, 82, 269, 83, 261, 83,  280, 198, 281, 84,  82,  260, 198, 50, 64,  88, 220,
        280, 256, 86, 72, 66,  68, 281, 87,  280, 198, 281, 64,  82,  82,  269, 83, 261, 83, 198};
    static const uint32_t plain[] = {
        281, 82,  88,  82, 83,  68,  76,  198, 56,  274, 264, 263, 264, 220, 257, 75,  79, 69,
        84,  75,  264, 82, 82,  269, 83,  261, 83,  280, 198, 281, 84,  82,  260, 198, 50, 64,
        88,  220, 27,  91, 265, 67,  91,  29,  256, 86,  72,  66,  68,  27,  91,  82,  83, 64,
        81,  83,  91,  29, 87,  280, 198, 281, 64,  82,  82,  269, 83,  261, 83,  198};
    ib_engine *e = NULL;
    ib_error err = {0};
    ib_ids ids = {0};
    ib_cell cell = {0};
    ib_run_record times = {0};
    ib_plan p = plan_of();
    ib_prompt_spec spec = {.system_prompt = "You are a helpful assistant",
                           .prompt = " Say <|end|> twice<|start|>x ",
                           .chat_template = true};
    p.engine.weights = false;
    assert_int_equal(ib_engine_open(&e, &p.engine, NULL, &err), IB_OK);
    assert_null(ib_engine_model(e));
    assert_non_null(ib_engine_config_of(e));
    if (ib_bench_prompt(e, &spec, &ids, NULL, &cell, &times, &err) != IB_OK)
        fail_msg("%s", err.text);
    assert_int_equal(ids.n, sizeof parsed / sizeof *parsed);
    assert_memory_equal(ids.ids, parsed, sizeof parsed);
    assert_int_equal(cell.n_special_in_text, 2);
    assert_int_equal(strlen(cell.template_sha256), 64);
    assert_true(times.render_ns > 0 && times.tokenize_ns > 0);
    spec.no_parse_special = true;
    assert_int_equal(ib_bench_prompt(e, &spec, &ids, NULL, NULL, NULL, &err), IB_OK);
    assert_int_equal(ids.n, sizeof plain / sizeof *plain);
    assert_memory_equal(ids.ids, plain, sizeof plain);
    ib_ids_clear(&ids);
    ib_cell_clear(&cell);
    ib_engine_close(e);
}

static void test_user_text_kept(void **unused) {
    (void)unused;
    json_t *messages =
        json_pack("[{s:s, s:s}, {s:s, s:[{s:s, s:s}]}]", "role", "system", "content", " be brief ",
                  "role", "user", "content", "type", "text", "text", "hello there");
    assert_non_null(messages);
    assert_true(ib_user_text_kept(IB_STR("<s>be brief</s>hello there"), messages));
    assert_false(ib_user_text_kept(IB_STR("<s>be brief</s>hello"), messages));
    assert_false(ib_user_text_kept(IB_STR(""), messages));
    json_decref(messages);
}

/* --- GGUF, signals --- */

static void test_gguf(void **unused) {
    (void)unused;
    ib_cell cell = {0};
    ib_plan p = plan_of();
    p.engine.model_id = MODELS "gguf_llama_spm_v2/model.gguf";
    p.engine.dtype = -1;
    run_ok(&cell, &p);
    assert_string_equal(cell.resolved.dtype, "float32");
    assert_true(cell.model.n_formats > 0);
    assert_non_null(cell.output_text);
    ib_cell_clear(&cell);
}

static void test_dtypes(void **unused) {
    (void)unused;
    static const struct {
        int dtype;
        const char *name;
    } rows[] = {{IB_TYPE_BF16, "bfloat16"}, {IB_TYPE_F16, "float16"}, {IB_TYPE_F32, "float32"}};
    uint64_t kv_bytes[3];
    for (size_t i = 0; i < 3; i++) {
        ib_cell cell = {0};
        ib_plan p = plan_of();
        p.engine.dtype = rows[i].dtype;
        run_ok(&cell, &p);
        assert_string_equal(cell.resolved.dtype, rows[i].name);
        assert_string_equal(cell.resolved.kv_dtype, rows[i].name);
        assert_string_equal(cell.resolved.activation_dtype, "float32");
        kv_bytes[i] = cell.model.step_kv;
        ib_cell_clear(&cell);
    }
    assert_true(kv_bytes[0] == kv_bytes[1] && kv_bytes[2] == 2 * kv_bytes[0]);
}

static void test_signal_before(void **unused) {
    (void)unused;
    volatile int stop = SIGTERM;
    ib_plan p = plan_of();
    p.stop_signal = &stop;
    refused(&p, IB_E_TERMINATED, "SIGTERM");
}

static void test_signal_during(void **unused) {
    (void)unused;
    volatile int stop = 0;
    seen s = {.raise_at_3 = &stop};
    ib_stream_sink sink = {on_token, &s};
    ib_cell cell = {0};
    ib_error err = {0};
    ib_plan p = plan_of();
    p.sink = &sink;
    p.stop_signal = &stop;
    p.n_repetitions = 5;
    p.generation.max_new_tokens = 20000; /* seconds, unless the signal ends it */
    p.generation.n_eos = 0;
    uint64_t start = ib_now_ns();
    assert_int_equal(ib_bench_run_cell(&cell, &p, &err), IB_E_INTERRUPTED);
    assert_int_equal(cell.n_runs, 1);
    const ib_run_record *r = &cell.runs[0];
    assert_true(r->cancelled && r->n_tokens >= 3 && r->n_tokens < 20000);
    assert_true(r->stamps_ns[r->n_tokens] - start < 60000000000u);
    assert_int_equal(s.n, r->n_tokens); /* every token that was made was shown */
    assert_non_null(cell.output_text);
    assert_int_equal(strlen(r->ids_sha256), 64);
    ib_summary sum;
    assert_int_equal(ib_summarise(&sum, &cell, NULL, 0, NULL), IB_OK);
    assert_string_equal(sum.verdict, "invalid");
    ib_cell_clear(&cell);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_cell),
        cmocka_unit_test(test_same_ids),
        cmocka_unit_test(test_no_allocation_between_tokens),
        cmocka_unit_test(test_bad_prompts),
        cmocka_unit_test(test_random_ids),
        cmocka_unit_test(test_plain_text),
        cmocka_unit_test(test_chat),
        cmocka_unit_test(test_user_text_kept),
        cmocka_unit_test(test_gguf),
        cmocka_unit_test(test_dtypes),
        cmocka_unit_test(test_signal_before),
        cmocka_unit_test(test_signal_during),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
