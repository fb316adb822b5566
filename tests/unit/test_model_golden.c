/* SPDX-License-Identifier: MIT
 * Every tiny model of tests/golden/models against what transformers answered in fp32: the logits of
 * the prompt, and the greedy ids of the benchmark's call, for each attention formulation; then what
 * must not matter: the number of threads, a second run, the batch, and how a prompt is cut. */
#include "model_support.h"

#include <math.h>

typedef struct tally {
    size_t n, good;
    double worst;
} tally;

static const char *path_of(const json_t *entry, char *out, size_t size) {
    snprintf(out, size, GOLDEN_MODELS "/%s", json_string_value(json_object_get(entry, "model")));
    return out;
}

static ib_session *new_session(ib_model *m, const golden *g, ib_attention attention, size_t n_seqs,
                               bool all_logits) {
    ib_session *s = NULL;
    ib_error err;
    const size_t max_new_tokens =
        (size_t)json_integer_value(json_object_get(g->json, "max_new_tokens"));
    const ib_session_options options = {.n_ctx = g->n_prompt + max_new_tokens,
                                        .n_seqs = n_seqs,
                                        .n_prompt_max = g->n_prompt,
                                        .attention = attention,
                                        .kv_type = IB_TYPE_F32,
                                        .all_logits = all_logits};
    if (ib_session_new(&s, m, &options, &err) != IB_OK)
        fail_msg("%s", err.text);
    return s;
}

static float *logits_of(ib_model *m, const golden *g, ib_attention attention) {
    ib_session *s = new_session(m, g, attention, 1, true);
    float *logits = malloc(g->n_prompt * g->n_vocab * sizeof *logits);
    ib_error err;
    assert_int_equal(ib_model_config(m)->n_vocab, g->n_vocab);
    if (ib_session_prefill(s, g->prompt, g->n_prompt, &err) != IB_OK ||
        ib_session_logits(s, logits, &err) != IB_OK)
        fail_msg("%s", err.text);
    ib_session_free(s);
    return logits;
}

static double logits_error(ib_model *m, const golden *g, ib_attention attention) {
    float *logits = logits_of(m, g, attention);
    const double error = relative_error(logits, g->logits, g->n_prompt * g->n_vocab);
    free(logits);
    return error;
}

/* Whether the ids of all n_seqs equal copies of the prompt equal the golden ones. */
static bool same_ids(ib_session *s, const ib_generation *settings, const golden *g, size_t n_seqs,
                     size_t compare) {
    uint32_t *prompt = malloc(n_seqs * g->n_prompt * sizeof *prompt);
    uint32_t *out = calloc(n_seqs * (size_t)settings->max_new_tokens, sizeof *out);
    ib_generate_result result;
    ib_error err;
    for (size_t i = 0; i < n_seqs; i++)
        memcpy(prompt + i * g->n_prompt, g->prompt, g->n_prompt * sizeof *prompt);
    if (ib_generate(s, settings, prompt, g->n_prompt, out, NULL, NULL, &result, &err) != IB_OK)
        fail_msg("%s", err.text);
    bool same = result.finite && (n_seqs > 1 || result.n_tokens == g->n_greedy);
    for (size_t i = 0; i < compare; i++)
        for (size_t j = 0; j < n_seqs; j++)
            same = same && out[i * n_seqs + j] == g->greedy[i];
    free(prompt);
    free(out);
    return same;
}

static void check_case(const json_t *entry, ib_attention attention, const char *tier, tally *t) {
    const char *name = json_string_value(json_object_get(entry, "name"));
    char path[1024];
    loaded_model m;
    golden g;
    ib_generation settings;
    ib_error err;
    golden_open(&g, entry);
    t->n++;
    if (load_model_tier(&m, path_of(entry, path, sizeof path), 2, tier, NULL, &err) != IB_OK) {
        print_error("%s: %s\n", name, err.text);
        golden_close(&g);
        return;
    }
    golden_generation(&settings, &g, path);
    ib_session *s = new_session(m.model, &g, attention, 1, false);
    const double error = logits_error(m.model, &g, attention);
    const bool same = same_ids(s, &settings, &g, 1, g.n_greedy);
    t->worst = error > t->worst ? error : t->worst;
    if (error < g.tolerance && same)
        t->good++;
    else
        print_error("%s, %s: relative error %.3g, ids %s\n", name, ib_attention_name(attention),
                    error, same ? "equal" : "differ");
    ib_session_free(s);
    ib_generation_clear(&settings);
    unload_model(&m);
    golden_close(&g);
}

static void check_all(ib_attention attention, const char *tier) {
    json_t *index = golden_index();
    tally t = {0, 0, 0};
    for (size_t i = 0; i < json_array_size(index); i++)
        check_case(json_array_get(index, i), attention, tier, &t);
    print_message("%s, %s: %zu of %zu models, worst relative error %.2g\n",
                  ib_attention_name(attention), tier ? tier : "best tier", t.good, t.n, t.worst);
    json_decref(index);
    assert_true(t.n > 50);
    assert_int_equal(t.good, t.n);
}

static void test_eager(void **state) {
    (void)state;
    check_all(IB_ATTN_EAGER, NULL);
    check_all(IB_ATTN_EAGER, "scalar");
}

static void test_sdpa(void **state) {
    (void)state;
    check_all(IB_ATTN_SDPA, NULL);
    check_all(IB_ATTN_SDPA, "scalar");
}

static void test_flash(void **state) {
    (void)state;
    check_all(IB_ATTN_FLASH, NULL);
    check_all(IB_ATTN_FLASH, "scalar");
}

/* Threads, repetition and batch: ids of one model under every variation equal the golden ones, and
 * logits are the same to the last bit whatever the number of threads. */
static void vary(const json_t *entry, ib_attention attention) {
    char path[1024];
    golden g;
    float *first = NULL;
    golden_open(&g, entry);
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        loaded_model m;
        ib_generation settings;
        ib_error err;
        if (load_model(&m, path_of(entry, path, sizeof path), n_threads, NULL, &err) != IB_OK)
            fail_msg("%s: %s", path, err.text);
        float *logits = logits_of(m.model, &g, attention);
        if (first)
            assert_memory_equal(logits, first, g.n_prompt * g.n_vocab * sizeof *logits);
        free(first);
        first = logits;
        golden_generation(&settings, &g, path);
        ib_session *one = new_session(m.model, &g, attention, 1, false);
        assert_true(same_ids(one, &settings, &g, 1, g.n_greedy));
        assert_true(same_ids(one, &settings, &g, 1, g.n_greedy)); /* again, after a reset */
        ib_session *batch = new_session(m.model, &g, attention, 3, false);
        /* eos is ignored in a batch: ids agree up to where a single sequence stops */
        assert_true(same_ids(batch, &settings, &g, 3, g.n_greedy));
        ib_session_free(batch);
        ib_session_free(one);
        ib_generation_clear(&settings);
        unload_model(&m);
    }
    free(first);
    golden_close(&g);
}

static const char *const varied[] = {"llama_gqa",          "qwen3",
                                     "mistral_window",     "bnb_nf4_dq",
                                     "rope_dynamic_cross", "gen_repetition_penalty"};

static void test_variations(void **state) {
    (void)state;
    json_t *index = golden_index();
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(index); i++) {
        const json_t *entry = json_array_get(index, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        for (size_t j = 0; j < sizeof varied / sizeof varied[0]; j++) {
            if (strcmp(name, varied[j]) != 0)
                continue;
            for (int a = 0; a < IB_ATTN_COUNT; a++)
                vary(entry, (ib_attention)a);
            n++;
        }
    }
    json_decref(index);
    assert_int_equal(n, sizeof varied / sizeof varied[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eager),
        cmocka_unit_test(test_sdpa),
        cmocka_unit_test(test_flash),
        cmocka_unit_test(test_variations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
