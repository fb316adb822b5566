/* SPDX-License-Identifier: MIT
 * The logits processors against those of transformers, bit for bit, settings read as from a
 * generation_config.json (tests/golden/model/processors.json). */
#include "model_support.h"

#include "model/processors.h"

#include <math.h>

static void prepare(ib_generation *g, const json_t *entry) {
    const json_t *passed = json_object_get(entry, "passed");
    ib_error err;
    ib_generation_init(g);
    if (ib_generation_merge(g, json_object_get(entry, "settings"), "generation_config.json",
                            &err) != IB_OK)
        fail_msg("%s", err.text);
    g->max_new_tokens = (uint64_t)json_integer_value(json_object_get(passed, "max_new_tokens"));
    g->eos_ids[0] = (uint32_t)json_integer_value(json_object_get(passed, "eos_token_id"));
    g->forced_eos_id = json_integer_value(json_object_get(passed, "forced_eos_token_id"));
}

static double score_of(const json_t *v) {
    return json_is_string(v) ? -HUGE_VAL : json_number_value(v);
}

static bool check(const json_t *entry, ib_process_space *space, size_t n_vocab) {
    const json_t *before = json_object_get(entry, "before"),
                 *after = json_object_get(entry, "after"), *list = json_object_get(entry, "ids");
    const size_t n = json_array_size(list);
    const size_t n_prompt = (size_t)json_integer_value(json_object_get(entry, "n_prompt"));
    float scores[64];
    uint32_t ids[64];
    ib_generation g;
    bool good = true;
    assert_true(n_vocab <= 64 && n <= 64 && json_array_size(before) == n_vocab);
    for (size_t i = 0; i < n_vocab; i++)
        scores[i] = (float)json_number_value(json_array_get(before, i));
    for (size_t i = 0; i < n; i++)
        ids[i] = (uint32_t)json_integer_value(json_array_get(list, i));
    prepare(&g, entry);
    ib_process(&g, ids, n, n_prompt, scores, n_vocab, space);
    for (size_t i = 0; i < n_vocab; i++) {
        const double expected = score_of(json_array_get(after, i));
        if ((double)scores[i] != expected) {
            print_error("%s, id %zu: %.9g, expected %.9g\n",
                        json_string_value(json_object_get(entry, "name")), i, (double)scores[i],
                        expected);
            good = false;
        }
        good = good && space->mark[i] == 0 && space->bias[i] == 0;
    }
    ib_generation_clear(&g);
    return good;
}

static void test_against_reference(void **state) {
    (void)state;
    enum { N_VOCAB = 40 };
    json_t *file = NULL;
    ib_error err;
    ib_process_space space;
    size_t good = 0;
    if (ib_json_load(&file, IB_SOURCE_DIR "/tests/golden/model/processors.json", 0, &err) != IB_OK)
        fail_msg("%s", err.text);
    const json_t *cases = json_object_get(file, "cases");
    assert_int_equal(ib_process_space_new(&space, N_VOCAB, &err), IB_OK);
    for (size_t i = 0; i < json_array_size(cases); i++)
        good += check(json_array_get(cases, i), &space, N_VOCAB);
    print_message("%zu of %zu cases\n", good, json_array_size(cases));
    assert_true(json_array_size(cases) >= 30);
    assert_int_equal(good, json_array_size(cases));
    ib_process_space_free(&space);
    json_decref(file);
}

static void test_argmax(void **state) {
    (void)state;
    const float ties[] = {1, 3, 3, 2, 3}, nan_wins[] = {5, 9, NAN, 10, NAN},
                banned[] = {-INFINITY, -INFINITY, -INFINITY}, last[] = {-4, -3, -2.5f};
    assert_int_equal(ib_argmax(ties, 5), 1);
    assert_int_equal(ib_argmax(nan_wins, 5), 2);
    assert_int_equal(ib_argmax(banned, 3), 0);
    assert_int_equal(ib_argmax(last, 3), 2);
    assert_true(ib_all_finite(ties, 5));
    assert_false(ib_all_finite(nan_wins, 5));
    assert_false(ib_all_finite(banned, 3));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_reference),
        cmocka_unit_test(test_argmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
