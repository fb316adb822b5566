/* SPDX-License-Identifier: MIT
 * RoPE of every scaling rule, read from both forms of config.json, against the frequencies and
 * tables of transformers (tests/golden/model/rope.json). */
#include "model_support.h"

#include "model/rope.h"

#include <math.h>

/* Two fp32 roundings of a power and a division. */
static const double frequency_tolerance = 4e-7;

static size_t n_calls, n_rows;

static void read_case(ib_config *c, const json_t *entry) {
    ib_error err;
    if (ib_config_from_json(c, json_object_get(entry, "config"), NULL, "config.json", NULL, &err) !=
        IB_OK)
        fail_msg("%s: %s", json_string_value(json_object_get(entry, "name")), err.text);
}

static void check_rows(const char *name, const ib_config *c, const json_t *call, size_t length) {
    const size_t n_rot = ib_rope_n_rot(c), half = n_rot / 2;
    float *table = calloc(length * n_rot, sizeof *table), *inv = calloc(half, sizeof *inv);
    const char *key;
    json_t *row;
    ib_rope_fill(c, 0, length, inv, table);
    json_object_foreach(json_object_get(call, "rows"), key, row) {
        const size_t pos = (size_t)strtoul(key, NULL, 10);
        assert_int_equal(json_array_size(row), n_rot);
        for (size_t j = 0; j < n_rot; j++) {
            const double expected = json_number_value(json_array_get(row, j));
            const double angle = (double)pos * (double)inv[j % half];
            const double tolerance = 3e-7 + frequency_tolerance * angle;
            if (fabs((double)table[pos * n_rot + j] - expected) > 1.3 * tolerance)
                fail_msg("%s, length %zu, position %zu, column %zu: %.9g, expected %.9g", name,
                         length, pos, j, (double)table[pos * n_rot + j], expected);
        }
        n_rows++;
    }
    free(table);
    free(inv);
}

static void check_call(const char *name, const ib_config *c, const json_t *call) {
    const size_t length = (size_t)json_integer_value(json_object_get(call, "length"));
    const json_t *expected = json_object_get(call, "inv_freq");
    float inv[256];
    assert_int_equal(json_array_size(expected), ib_rope_n_rot(c) / 2);
    ib_rope_frequencies(c, length, inv);
    for (size_t j = 0; j < json_array_size(expected); j++) {
        const double want = json_number_value(json_array_get(expected, j));
        if (fabs((double)inv[j] - want) > frequency_tolerance * want)
            fail_msg("%s, length %zu, frequency %zu: %.9g, expected %.9g", name, length, j,
                     (double)inv[j], want);
    }
    const double factor = json_number_value(json_object_get(call, "attention_factor"));
    assert_true(fabs(ib_rope_attention_factor(c) - factor) < 1e-12);
    check_rows(name, c, call, length);
    n_calls++;
}

static void test_against_reference(void **state) {
    (void)state;
    json_t *file = NULL;
    ib_error err;
    if (ib_json_load(&file, IB_SOURCE_DIR "/tests/golden/model/rope.json", 0, &err) != IB_OK)
        fail_msg("%s", err.text);
    const json_t *cases = json_object_get(file, "cases");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *entry = json_array_get(cases, i), *calls = json_object_get(entry, "calls");
        ib_config c;
        read_case(&c, entry);
        for (size_t j = 0; j < json_array_size(calls); j++)
            check_call(json_string_value(json_object_get(entry, "name")), &c,
                       json_array_get(calls, j));
        ib_config_clear(&c);
    }
    print_message("%zu configurations, %zu calls, %zu rows\n", json_array_size(cases), n_calls,
                  n_rows);
    assert_true(n_calls > 50 && n_rows > 150);
    json_decref(file);
}

/* GGUF's rope_freqs.weight divides; part of a head may stay unrotated. */
static void test_divisors_and_part(void **state) {
    (void)state;
    float divisors[] = {1, 2, 4}, plain[3], divided[3];
    ib_config c = {.head_dim = 8, .n_ctx_max = 64};
    c.rope.theta = 10000;
    c.rope.partial_factor = 0.75;
    assert_int_equal(ib_rope_n_rot(&c), 6);
    ib_rope_frequencies(&c, 1, plain);
    c.rope.divisors = divisors;
    ib_rope_frequencies(&c, 1, divided);
    for (size_t j = 0; j < 3; j++)
        assert_true(divided[j] == plain[j] / divisors[j]);
    assert_true(plain[0] == 1.0f && plain[1] < plain[0] && plain[2] < plain[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_reference),
        cmocka_unit_test(test_divisors_and_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
