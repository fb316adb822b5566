/* SPDX-License-Identifier: MIT
 * Generation: which settings are in force, what is refused, how a run ends, what its stamps say,
 * and the bounds of a session. */
#include "model_support.h"

#include <math.h>

static ib_status merge(ib_generation *g, const char *text, ib_error *err) {
    json_t *j = NULL;
    ib_generation_init(g);
    ib_error_clear(err);
    ib_status st = ib_json_parse(&j, ib_str_of(text), "generation_config.json", err);
    if (st == IB_OK)
        st = ib_generation_merge(g, j, "generation_config.json", err);
    json_decref(j);
    return st;
}

#define AT "generation_config.json at /"
static const struct {
    const char *text;
    ib_status status;
    const char *words;
} bad_rows[] = {
    /* CF20 */
    {"{\"temperature\": NaN}", IB_E_FORMAT, "generation_config.json"},
    {"{\"temperature\": -0.5}", IB_E_FORMAT, AT "temperature: -0.5"},
    {"{\"temperature\": \"warm\"}", IB_E_FORMAT, AT "temperature"},
    {"{\"top_k\": -1}", IB_E_FORMAT, AT "top_k: -1"},
    {"{\"top_p\": 2}", IB_E_FORMAT, AT "top_p: 2"},
    {"{\"min_p\": -0.1}", IB_E_FORMAT, AT "min_p"},
    {"{\"repetition_penalty\": 0}", IB_E_FORMAT, AT "repetition_penalty: 0"},
    {"{\"repetition_penalty\": -1.2}", IB_E_FORMAT, AT "repetition_penalty"},
    {"{\"no_repeat_ngram_size\": -1}", IB_E_FORMAT, AT "no_repeat_ngram_size"},
    {"{\"min_length\": 1.5}", IB_E_FORMAT, AT "min_length"},
    {"{\"suppress_tokens\": 3}", IB_E_FORMAT, AT "suppress_tokens"},
    {"{\"suppress_tokens\": [3, -1]}", IB_E_FORMAT, AT "suppress_tokens"},
    {"{\"begin_suppress_tokens\": [\"a\"]}", IB_E_FORMAT, AT "begin_suppress_tokens"},
    {"{\"bad_words_ids\": []}", IB_E_FORMAT, AT "bad_words_ids"},
    {"{\"bad_words_ids\": [3]}", IB_E_FORMAT, AT "bad_words_ids"},
    {"{\"bad_words_ids\": [[]]}", IB_E_FORMAT, AT "bad_words_ids"},
    {"{\"sequence_bias\": [[[1], 2.0, 3]]}", IB_E_FORMAT, AT "sequence_bias"},
    {"{\"sequence_bias\": [[1, 2.0]]}", IB_E_FORMAT, AT "sequence_bias"},
    {"[]", IB_E_FORMAT, AT},
    /* settings that would change the run */
    {"{\"num_beams\": 4}", IB_E_UNSUPPORTED, AT "num_beams"},
    {"{\"guidance_scale\": 1.5}", IB_E_UNSUPPORTED, AT "guidance_scale"},
    {"{\"exponential_decay_length_penalty\": [1, 2.0]}", IB_E_UNSUPPORTED,
     AT "exponential_decay_length_penalty"},
    {"{\"remove_invalid_values\": true}", IB_E_UNSUPPORTED, AT "remove_invalid_values"},
    {"{\"renormalize_logits\": true}", IB_E_UNSUPPORTED, AT "renormalize_logits"},
    {"{\"watermarking_config\": {\"bias\": 2.0}}", IB_E_UNSUPPORTED, AT "watermarking_config"},
    {"{\"stop_strings\": [\"x\"]}", IB_E_UNSUPPORTED, AT "stop_strings"},
    {"{\"max_time\": 3.0}", IB_E_UNSUPPORTED, AT "max_time"},
    {"{\"penalty_alpha\": 0.6}", IB_E_UNSUPPORTED, AT "penalty_alpha"},
    {"{\"prompt_lookup_num_tokens\": 3}", IB_E_UNSUPPORTED, AT "prompt_lookup_num_tokens"},
    {"{\"num_return_sequences\": 2}", IB_E_UNSUPPORTED, AT "num_return_sequences"},
    {"{\"encoder_repetition_penalty\": 1.2}", IB_E_UNSUPPORTED, AT "encoder_repetition_penalty"},
    {"{\"encoder_no_repeat_ngram_size\": 2}", IB_E_UNSUPPORTED, AT "encoder_no_repeat_ngram_size"},
    {"{\"cache_implementation\": \"quantized\"}", IB_E_UNSUPPORTED, AT "cache_implementation"},
    {"{\"use_mtp\": true}", IB_E_UNSUPPORTED, AT "use_mtp"},
};

static void test_refused(void **state) {
    (void)state;
    size_t good = 0;
    const size_t n = sizeof bad_rows / sizeof bad_rows[0];
    for (size_t i = 0; i < n; i++) {
        ib_generation g;
        ib_error err;
        const ib_status st = merge(&g, bad_rows[i].text, &err);
        if (st == bad_rows[i].status && strstr(err.text, bad_rows[i].words) &&
            strstr(err.text, "; fix: "))
            good++;
        else
            print_error("%s: expected %d with '%s', found %d: %s\n", bad_rows[i].text,
                        (int)bad_rows[i].status, bad_rows[i].words, (int)st, err.text);
        ib_generation_clear(&g);
    }
    print_message("%zu of %zu rows\n", good, n);
    assert_int_equal(good, n);
}

static void test_merged(void **state) {
    (void)state;
    ib_generation g;
    ib_error err;
    /* what the script passes stays: eos, forced eos, length, greedy */
    assert_int_equal(merge(&g,
                           "{\"eos_token_id\": [5, 6], \"forced_eos_token_id\": 7, "
                           "\"max_new_tokens\": 3, \"max_length\": 9, \"do_sample\": true,"
                           " \"temperature\": 0.6, \"top_k\": 20, \"top_p\": 0.9, \"num_beams\": 1,"
                           " \"transformers_version\": \"4.45.0\", \"pad_token_id\": 0,"
                           " \"cache_implementation\": \"hybrid\", \"custom\": [1]}",
                           &err),
                     IB_OK);
    assert_true(g.n_eos == 1 && g.eos_ids[0] == 1 && g.forced_eos_id == 1);
    assert_true(g.max_new_tokens == 256 && !ib_generation_needs_logits(&g));
    ib_generation_clear(&g);
    assert_int_equal(merge(&g,
                           "{\"repetition_penalty\": 1.05, \"no_repeat_ngram_size\": 3,"
                           " \"min_length\": 2, \"min_new_tokens\": null,"
                           " \"suppress_tokens\": [4, 5], \"begin_suppress_tokens\": null,"
                           " \"bad_words_ids\": [[1, 2], [3]], \"sequence_bias\": [[[3], -2]]}",
                           &err),
                     IB_OK);
    assert_true(g.repetition_penalty == 1.05 && g.no_repeat_ngram_size == 3 && g.min_length == 2);
    assert_true(g.min_new_tokens == 0 && g.n_suppress == 2 && g.suppress[1] == 5);
    assert_true(g.n_begin_suppress == 0 && g.n_biases == 3 && ib_generation_needs_logits(&g));
    ib_generation_clear(&g);
    ib_generation_init(&g);
    assert_int_equal(ib_generation_merge(&g, NULL, NULL, &err), IB_OK);
    assert_true(g.n_eos == 1 && g.repetition_penalty == 1);
    /* without an end id there is nothing to hold back */
    g.min_new_tokens = 5;
    assert_true(ib_generation_needs_logits(&g));
    g.n_eos = 0;
    assert_false(ib_generation_needs_logits(&g));
    ib_generation_clear(&g);
}

typedef struct seen {
    uint64_t stamps[64];
    uint32_t ids[64];
    size_t n, stop_after;
} seen;

static bool note(void *user, uint64_t now_ns, const uint32_t *ids, size_t n_seqs) {
    seen *s = user;
    assert_true(s->n < 64 && n_seqs == 1);
    s->stamps[s->n] = now_ns;
    s->ids[s->n++] = ids[0];
    return s->stop_after == 0 || s->n < s->stop_after;
}

static loaded_model model;
static golden gold;

static int open_model(void **state) {
    (void)state;
    ib_error err;
    json_t *entry = json_pack("{s:s, s:s}", "golden", "llama_gqa/golden.json", "logits",
                              "llama_gqa/logits.npy");
    golden_open(&gold, entry);
    json_decref(entry);
    if (load_model(&model, GOLDEN_MODELS "/llama_gqa", 1, NULL, &err) != IB_OK)
        fail_msg("%s", err.text);
    return 0;
}

static int close_model(void **state) {
    (void)state;
    golden_close(&gold);
    unload_model(&model);
    return 0;
}

static ib_status new_session(ib_session **s, size_t n_ctx, size_t n_prompt, ib_error *err) {
    const ib_session_options options = {.n_ctx = n_ctx,
                                        .n_seqs = 1,
                                        .n_prompt_max = n_prompt,
                                        .attention = IB_ATTN_SDPA,
                                        .kv_type = IB_TYPE_F32};
    return ib_session_new(s, model.model, &options, err);
}

static void test_endings(void **state) {
    (void)state;
    ib_session *s = NULL;
    ib_generation g;
    ib_generate_result r;
    ib_error err;
    uint32_t out[32];
    seen events = {.n = 0};
    assert_int_equal(new_session(&s, 40, gold.n_prompt, &err), IB_OK);
    ib_generation_init(&g);
    g.max_new_tokens = 10;
    /* the last token is the forced one */
    assert_int_equal(ib_generate(s, &g, gold.prompt, gold.n_prompt, out, note, &events, &r, &err),
                     IB_OK);
    assert_true(r.n_tokens == 10 && r.stopped_by_eos && !r.cancelled && r.finite);
    assert_true(out[9] == 1 && memcmp(out, gold.greedy, 9 * sizeof *out) == 0);
    assert_true(events.n == 10 && memcmp(events.ids, out, sizeof events.ids[0] * 10) == 0);
    assert_true(r.request_ns > 0 && r.request_ns <= r.prefill_ns);
    assert_true(r.prefill_ns <= events.stamps[0]);
    for (size_t i = 1; i < events.n; i++)
        assert_true(events.stamps[i] >= events.stamps[i - 1]);
    /* nothing forced: the tenth golden id comes */
    g.forced_eos_id = -1;
    assert_int_equal(ib_generate(s, &g, gold.prompt, gold.n_prompt, out, NULL, NULL, &r, &err),
                     IB_OK);
    assert_true(r.n_tokens == 10 && out[9] == gold.greedy[9] && !r.stopped_by_eos);
    /* an end id stops, and is part of the output */
    g.eos_ids[0] = gold.greedy[3];
    assert_int_equal(ib_generate(s, &g, gold.prompt, gold.n_prompt, out, NULL, NULL, &r, &err),
                     IB_OK);
    assert_true(r.n_tokens == 4 && r.stopped_by_eos && out[3] == gold.greedy[3]);
    g.n_eos = 0;
    /* the caller stops */
    events = (seen){.stop_after = 2};
    assert_int_equal(ib_generate(s, &g, gold.prompt, gold.n_prompt, out, note, &events, &r, &err),
                     IB_OK);
    assert_true(r.n_tokens == 2 && r.cancelled && events.n == 2);
    ib_generation_clear(&g);
    ib_session_free(s);
}

static void test_bounds(void **state) {
    (void)state;
    ib_session *s = NULL;
    ib_generation g;
    ib_generate_result r;
    ib_error err;
    uint32_t out[64], bad[] = {5, 4000};
    bool finite;
    assert_int_equal(new_session(&s, 20, gold.n_prompt, &err), IB_OK);
    ib_generation_init(&g);
    g.max_new_tokens = 64;
    assert_int_equal(ib_generate(s, &g, gold.prompt, gold.n_prompt, out, NULL, NULL, &r, &err),
                     IB_E_USAGE);
    assert_non_null(strstr(err.text, "64 new tokens after 12"));
    g.max_new_tokens = 9; /* the last token is never run: 12 + 8 positions */
    g.forced_eos_id = -1;
    assert_int_equal(ib_generate(s, &g, gold.prompt, gold.n_prompt, out, NULL, NULL, &r, &err),
                     IB_OK);
    assert_int_equal(ib_session_n_past(s), 20);
    assert_int_equal(ib_session_decode(s, &err), IB_E_USAGE);
    g.forced_eos_id = 100000;
    assert_int_equal(ib_generate(s, &g, gold.prompt, gold.n_prompt, out, NULL, NULL, &r, &err),
                     IB_E_USAGE);
    g.forced_eos_id = 1;
    g.suppress = calloc(1, sizeof *g.suppress);
    g.suppress[0] = 1;
    g.n_suppress = 1;
    assert_int_equal(ib_generate(s, &g, gold.prompt, gold.n_prompt, out, NULL, NULL, &r, &err),
                     IB_E_FORMAT);
    assert_non_null(strstr(err.text, "forced id 1"));
    ib_session_reset(s);
    assert_int_equal(ib_session_pick(s, out, &finite, &err), IB_E_USAGE);
    assert_int_equal(ib_session_prefill(s, bad, 2, &err), IB_E_FORMAT);
    assert_non_null(strstr(err.text, "4000 at position 1"));
    assert_int_equal(ib_session_prefill(s, gold.prompt, gold.n_prompt + 1, &err), IB_E_USAGE);
    ib_generation_clear(&g);
    ib_session_free(s);
    assert_int_equal(new_session(&s, 0, 0, &err), IB_E_USAGE);
    assert_int_equal(new_session(&s, 8, 9, &err), IB_E_USAGE);
    assert_int_equal(new_session(&s, SIZE_MAX, 9, &err), IB_E_RESOURCE);
    assert_null(s);
}

/* A prompt cut into pieces, decode steps fed by hand, and one prefill of everything: one answer. */
static void test_pieces(void **state) {
    (void)state;
    const size_t n_vocab = (size_t)ib_model_config(model.model)->n_vocab;
    float *whole = malloc(n_vocab * sizeof *whole), *pieces = malloc(n_vocab * sizeof *pieces);
    ib_session *s = NULL;
    ib_error err;
    assert_int_equal(new_session(&s, 20, gold.n_prompt, &err), IB_OK);
    assert_int_equal(ib_session_prefill(s, gold.prompt, gold.n_prompt, &err), IB_OK);
    assert_int_equal(ib_session_logits(s, whole, &err), IB_OK);
    ib_session_reset(s);
    assert_int_equal(ib_session_prefill(s, gold.prompt, 5, &err), IB_OK);
    assert_int_equal(ib_session_prefill(s, gold.prompt + 5, 4, &err), IB_OK);
    for (size_t i = 9; i < gold.n_prompt; i++) {
        assert_int_equal(ib_session_feed(s, gold.prompt + i, &err), IB_OK);
        assert_int_equal(ib_session_decode(s, &err), IB_OK);
    }
    assert_int_equal(ib_session_n_past(s), gold.n_prompt);
    assert_int_equal(ib_session_logits(s, pieces, &err), IB_OK);
    assert_true(relative_error(pieces, whole, n_vocab) < 1e-5);
    assert_true(relative_error(whole, gold.logits + (gold.n_prompt - 1) * n_vocab, n_vocab) < 1e-5);
    ib_session_free(s);
    free(whole);
    free(pieces);
}

/* More than 512 rows are cut into steps, for one sequence and for several; nothing changes. */
static void test_chunks(void **state) {
    (void)state;
    enum { N = 1100, N_SEQS = 3 };
    const size_t n_vocab = (size_t)ib_model_config(model.model)->n_vocab;
    uint32_t *ids = malloc(N_SEQS * N * sizeof *ids);
    float *one = malloc(n_vocab * sizeof *one), *many = malloc(N_SEQS * n_vocab * sizeof *many);
    ib_session *s = NULL;
    ib_error err;
    for (size_t i = 0; i < N_SEQS * N; i++)
        ids[i] = (uint32_t)((i * 7919 + i / 13) % n_vocab);
    const ib_attention kinds[] = {IB_ATTN_FLASH, IB_ATTN_EAGER};
    float *last[2];
    for (size_t k = 0; k < 2; k++) { /* chunked flash, then eager in one step */
        ib_session_options o = {.n_ctx = N,
                                .n_seqs = N_SEQS,
                                .n_prompt_max = N,
                                .attention = kinds[k],
                                .kv_type = IB_TYPE_F32};
        assert_int_equal(ib_session_new(&s, model.model, &o, &err), IB_OK);
        assert_int_equal(ib_session_prefill(s, ids, N, &err), IB_OK);
        assert_int_equal(ib_session_logits(s, many, &err), IB_OK);
        ib_session_free(s);
        last[k] = malloc(N_SEQS * n_vocab * sizeof **last);
        memcpy(last[k], many, N_SEQS * n_vocab * sizeof *many);
        for (size_t q = 0; q < N_SEQS; q++) {
            o.n_seqs = 1;
            assert_int_equal(ib_session_new(&s, model.model, &o, &err), IB_OK);
            assert_int_equal(ib_session_prefill(s, ids + q * N, N, &err), IB_OK);
            assert_int_equal(ib_session_logits(s, one, &err), IB_OK);
            assert_true(relative_error(many + q * n_vocab, one, n_vocab) < 1e-5);
            ib_session_free(s);
        }
    }
    assert_true(relative_error(last[0], last[1], N_SEQS * n_vocab) < 1e-5);
    assert_true(relative_error(last[0], last[0] + n_vocab, n_vocab) > 1e-2); /* they do differ */
    free(last[0]);
    free(last[1]);
    free(ids);
    free(one);
    free(many);
}

/* Sequences of a batch do not see each other: different prompts together give the ids of each
 * alone, whatever the attention and the type of the cache. */
static void batch_against_single(ib_attention attention, ib_type kv_type) {
    enum { N_PROMPT = 37, N_NEW = 12, N_SEQS = 4 };
    uint32_t prompts[N_SEQS * N_PROMPT], together[N_NEW * N_SEQS], alone[N_NEW];
    const size_t n_vocab = (size_t)ib_model_config(model.model)->n_vocab;
    ib_session_options o = {.n_ctx = N_PROMPT + N_NEW,
                            .n_seqs = N_SEQS,
                            .n_prompt_max = N_PROMPT,
                            .attention = attention,
                            .kv_type = kv_type};
    ib_session *s = NULL;
    ib_generation g;
    ib_generate_result r;
    ib_error err;
    size_t n_different = 0;
    for (size_t i = 0; i < N_SEQS * N_PROMPT; i++)
        prompts[i] = (uint32_t)((i * i * 31 + i / N_PROMPT * 5 + 3) % n_vocab);
    ib_generation_init(&g);
    g.max_new_tokens = N_NEW;
    g.n_eos = 0;
    g.forced_eos_id = -1;
    assert_int_equal(ib_session_new(&s, model.model, &o, &err), IB_OK);
    assert_int_equal(ib_generate(s, &g, prompts, N_PROMPT, together, NULL, NULL, &r, &err), IB_OK);
    assert_true(r.n_tokens == N_NEW && r.finite);
    ib_session_free(s);
    o.n_seqs = 1;
    assert_int_equal(ib_session_new(&s, model.model, &o, &err), IB_OK);
    for (size_t q = 0; q < N_SEQS; q++) {
        assert_int_equal(
            ib_generate(s, &g, prompts + q * N_PROMPT, N_PROMPT, alone, NULL, NULL, &r, &err),
            IB_OK);
        for (size_t i = 0; i < N_NEW; i++) {
            assert_int_equal(alone[i], together[i * N_SEQS + q]);
            n_different += together[i * N_SEQS + q] != together[i * N_SEQS];
        }
    }
    assert_true(n_different > 0);
    ib_session_free(s);
}

static void test_batch(void **state) {
    (void)state;
    for (int a = 0; a < IB_ATTN_COUNT; a++) {
        batch_against_single((ib_attention)a, IB_TYPE_F32);
        batch_against_single((ib_attention)a, IB_TYPE_BF16);
        batch_against_single((ib_attention)a, IB_TYPE_F16);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_merged),
        cmocka_unit_test(test_endings), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_pieces),  cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_batch),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
