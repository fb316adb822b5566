/* SPDX-License-Identifier: MIT
 * inferbench.h, used as a program outside would: nothing but the public header. */
#include "support.h"

#include <inferbench.h>

#define MODEL IB_SOURCE_DIR "/tests/golden/models/llama_gqa"

static const uint32_t prompt[] = {3, 14, 15, 92};

static inferbench_options options(void) {
    inferbench_options o;
    inferbench_options_init(&o);
    o.model_id = MODEL;
    o.device = "cpu";
    o.dtype = "float32";
    o.token_ids = prompt;
    o.n_token_ids = 4;
    o.max_new_tokens = 6;
    o.eos_token_id = o.forced_eos_token_id = -1;
    return o;
}

static void count_token(void *user, uint64_t index, uint64_t gap_ns) {
    uint64_t *next = user;
    assert_int_equal(index, *next);
    assert_true(gap_ns > 0);
    ++*next;
}

static void a_run_gives_a_record_that_renders_the_same_again(void **state) {
    (void)state;
    inferbench_options o = options();
    inferbench_error err = {0};
    inferbench_summary s, again;
    inferbench *b = NULL;
    uint64_t seen = 0;
    char *json = NULL, *csv = NULL, *csv_again = NULL;
    o.repetitions = 2;
    assert_int_equal(inferbench_open(&b, &o, &err), 0);
    assert_int_equal(inferbench_summarise(b, &s, &err), 2);
    assert_int_equal(inferbench_run(b, count_token, &seen, &err), 0);
    assert_int_equal(seen, 6);
    assert_int_equal(inferbench_summarise(b, &s, &err), 0);
    assert_int_equal(s.n_prompt_tokens, 4);
    assert_int_equal(s.n_output_tokens, 6);
    assert_true(s.ttft_ms > 0 && s.tpot_ms > 0 && s.peak_memory_bytes > 0);
    assert_int_equal(inferbench_report(b, "json", &json, &err), 0);
    assert_non_null(strstr(json, s.ids_sha256));
    assert_int_equal(inferbench_report(b, "csv", &csv, &err), 0);
    assert_int_equal(inferbench_render_record(json, strlen(json), "csv", &csv_again, &err), 0);
    assert_string_equal(csv, csv_again);
    assert_int_equal(inferbench_run(b, NULL, NULL, &err), 0);
    assert_int_equal(inferbench_summarise(b, &again, &err), 0);
    assert_string_equal(s.ids_sha256, again.ids_sha256);
    inferbench_free(json);
    inferbench_free(csv);
    inferbench_free(csv_again);
    inferbench_close(b);
}

static void errors_come_back_with_status_and_text(void **state) {
    (void)state;
    inferbench_options o = options();
    inferbench_error err = {0};
    inferbench *b = NULL;
    char *text = NULL;
    o.model_id = "/nonexistent/model";
    assert_int_equal(inferbench_open(&b, &o, &err), 3);
    assert_null(b);
    assert_non_null(strstr(err.text, "/nonexistent/model"));
    o = options();
    o.attn = "magic";
    assert_int_equal(inferbench_open(&b, &o, &err), 2);
    assert_non_null(strstr(err.text, "magic"));
    o = options();
    o.device = "cuda:63";
    assert_int_equal(inferbench_open(&b, &o, &err), 9);
    o = options();
    o.token_ids = NULL;
    assert_int_equal(inferbench_open(&b, &o, &err), 2);
    assert_int_equal(inferbench_render_record("{", 1, "text", &text, &err), 4);
    assert_null(text);
    inferbench_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_gives_a_record_that_renders_the_same_again),
        cmocka_unit_test(errors_come_back_with_status_and_text),
    };
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
