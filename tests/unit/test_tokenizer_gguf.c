/* SPDX-License-Identifier: MIT
 * Tokenizers from GGUF metadata: byte-level BPE against the golden rows of the same vocabulary as
 * tokenizer.json, SentencePiece-like merging against a plain search of every pair, and refusals. */
#include "tokenizer_rows.h"

#include "base/rng.h"

#define MAX_TOKENS 1024

typedef struct arrays {
    json_t *root; /* owned: the strings live in it */
    ib_str tokens[MAX_TOKENS], merges[MAX_TOKENS];
    char text[MAX_TOKENS][64]; /* merges as "a b" */
    int64_t types[MAX_TOKENS];
    double scores[MAX_TOKENS];
    ib_gguf_vocab g;
} arrays;

/* The arrays that a converter would write for a small tokenizer.json. */
static arrays *from_json(const char *name, const char *pre) {
    arrays *a = calloc(1, sizeof *a);
    char *folder = ib_path_join(IB_SOURCE_DIR "/tests/golden/tokenizers", name);
    char *path = ib_path_join(folder, "tokenizer.json");
    const char *key;
    json_t *v;
    size_t i;
    assert_int_equal(ib_json_load(&a->root, path, 0, NULL), IB_OK);
    free(path);
    free(folder);
    json_t *model = json_object_get(a->root, "model");
    json_object_foreach(json_object_get(model, "vocab"), key, v) {
        size_t id = (size_t)json_integer_value(v);
        assert_true(id < MAX_TOKENS);
        a->tokens[id] = ib_str_of(key);
        a->types[id] = 1;
        a->g.n_tokens = id >= a->g.n_tokens ? id + 1 : a->g.n_tokens;
    }
    json_array_foreach(json_object_get(model, "merges"), i, v) {
        (void)snprintf(a->text[i], sizeof a->text[i], "%s %s",
                       json_string_value(json_array_get(v, 0)),
                       json_string_value(json_array_get(v, 1)));
        a->merges[i] = ib_str_of(a->text[i]);
        a->g.n_merges = i + 1;
    }
    json_array_foreach(json_object_get(a->root, "added_tokens"), i, v) {
        size_t id = (size_t)json_integer_value(json_object_get(v, "id"));
        assert_true(id < MAX_TOKENS);
        a->tokens[id] = json_text(json_object_get(v, "content"));
        a->types[id] = json_is_true(json_object_get(v, "special")) ? 3 : 4;
        a->g.n_tokens = id >= a->g.n_tokens ? id + 1 : a->g.n_tokens;
    }
    a->g = (ib_gguf_vocab){.model = IB_STR("gpt2"),
                           .pre = ib_str_of(pre),
                           .n_tokens = a->g.n_tokens,
                           .n_merges = a->g.n_merges,
                           .tokens = a->tokens,
                           .merges = a->merges,
                           .token_types = a->types,
                           .bos_id = -1,
                           .eos_id = -1,
                           .eot_id = -1,
                           .unk_id = -1,
                           .pad_id = -1,
                           .add_bos = -1,
                           .add_eos = -1,
                           .add_space_prefix = -1};
    return a;
}

static void arrays_free(arrays *a) {
    json_decref(a->root);
    free(a);
}

static ib_tokenizer *open_arrays(const arrays *a) {
    ib_tokenizer *t;
    ib_error err = {0};
    if (ib_tokenizer_from_gguf(&t, &a->g, NULL, &err) != IB_OK)
        fail_msg("%s", err.text);
    return t;
}

typedef struct seen {
    size_t n_compared, n_skipped;
} seen;

/* A GGUF file does not tell what single_word, lstrip and rstrip were: rows with such tokens are not
 * compared. */
static void compare(const ib_tokenizer *t, const char *folder, const json_t *row, void *user) {
    static const char *const flagged[] = {"</s>", "<sep>", "word", "[MASK]"};
    seen *s = user;
    ib_str text = json_text(json_object_get(row, "text"));
    for (size_t i = 0; i < 4; i++)
        if (strstr(text.ptr, flagged[i])) {
            s->n_skipped++;
            return;
        }
    ib_ids ids = encode(t, text, json_is_true(json_object_get(row, "add_special_tokens")), false);
    ib_buf out;
    ib_buf_init(&out);
    if (!same_ids(json_object_get(row, "ids"), ids.ids, ids.n))
        row_failed(folder, "encode", row);
    assert_int_equal(ib_tokenizer_decode(t, ids.ids, ids.n, true, &out, NULL), IB_OK);
    if (!ib_str_eq((ib_str){out.ptr, out.len},
                   json_text(json_object_get(row, "decoded_skip_special"))))
        row_failed(folder, "decode", row);
    ib_buf_clear(&out);
    ib_ids_clear(&ids);
    s->n_compared++;
}

static void byte_level(void **state) {
    (void)state;
    static const char *const names[][2] = {{"bpe_bytes", "gpt-2"},
                                           {"bpe_bytes_llama3", "llama-bpe"}};
    for (size_t i = 0; i < 2; i++) {
        arrays *a = from_json(names[i][0], names[i][1]);
        char *folder = ib_path_join(IB_SOURCE_DIR "/tests/golden/tokenizers", names[i][0]);
        seen s = {0, 0};
        for (size_t k = 0; k < a->g.n_tokens; k++)
            if (ib_str_is(a->tokens[k], "<s>"))
                a->g.bos_id = (int64_t)k;
        ib_tokenizer *t = open_arrays(a);
        (void)each_row(t, folder, "golden_tokens.jsonl", compare, &s);
        print_message("%s: %zu rows, %zu left out\n", names[i][0], s.n_compared, s.n_skipped);
        assert_true(s.n_compared > 40);
        ib_tokenizer_free(t);
        arrays_free(a);
        free(folder);
    }
}

static void pre_names(void **state) {
    (void)state;
    static const char *const names[] = {"",
                                        "default",
                                        "gpt-2",
                                        "olmo",
                                        "jais",
                                        "mpt",
                                        "exaone4",
                                        "trillion",
                                        "smollm",
                                        "starcoder",
                                        "refact",
                                        "command-r",
                                        "codeshell",
                                        "exaone",
                                        "minerva-7b",
                                        "llama-bpe",
                                        "llama3",
                                        "llama-v3",
                                        "falcon3",
                                        "pixtral",
                                        "dbrx",
                                        "smaug-bpe",
                                        "chatglm-bpe",
                                        "glm4",
                                        "qwen2",
                                        "deepseek-r1-qwen",
                                        "stablelm2",
                                        "hunyuan",
                                        "deepseek-v3",
                                        "tekken",
                                        "gpt-4o",
                                        "llama4"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        arrays *a = from_json("bpe_bytes", names[i]);
        ib_tokenizer *t = open_arrays(a);
        const char *text = "The HARBOUR's 12345 lamps,\r\n  \xE6\xBC\xA2\xE5\xAD\x97 \xE3\x81\x8B!";
        ib_buf out;
        ib_buf_init(&out);
        ib_ids ids = encode(t, ib_str_of(text), false, false);
        assert_int_equal(ib_tokenizer_decode(t, ids.ids, ids.n, false, &out, NULL), IB_OK);
        assert_string_equal(out.ptr, text);
        ib_buf_clear(&out);
        ib_ids_clear(&ids);
        ib_tokenizer_free(t);
        arrays_free(a);
    }
}

/* smollm isolates each digit first; gpt-2 does not. */
static void digits(void **state) {
    (void)state;
    static const ib_str tokens[] = {{"1", 1}, {"2", 1}, {"12", 2}};
    static const ib_str merges[] = {{"1 2", 3}};
    ib_gguf_vocab g = {.model = IB_STR("gpt2"),
                       .pre = IB_STR("smollm"),
                       .n_tokens = 3,
                       .n_merges = 1,
                       .tokens = tokens,
                       .merges = merges,
                       .bos_id = 0,
                       .eos_id = 1,
                       .eot_id = -1,
                       .unk_id = -1,
                       .pad_id = -1,
                       .add_bos = 1,
                       .add_eos = 1,
                       .add_space_prefix = -1};
    ib_tokenizer *t;
    static const uint32_t each[] = {0, 0, 1, 1}, both[] = {0, 2, 1};
    assert_int_equal(ib_tokenizer_from_gguf(&t, &g, NULL, NULL), IB_OK);
    assert_string_equal(
        json_string_value(json_object_get(ib_tokenizer_special_tokens(t), "bos_token")), "1");
    ib_ids ids = encode(t, IB_STR("12"), true, false);
    assert_int_equal(ids.n, 4);
    assert_memory_equal(ids.ids, each, sizeof each);
    ib_ids_clear(&ids);
    ib_tokenizer_free(t);
    g.pre = IB_STR("gpt-2");
    assert_int_equal(ib_tokenizer_from_gguf(&t, &g, NULL, NULL), IB_OK);
    ids = encode(t, IB_STR("12"), true, false);
    assert_int_equal(ids.n, 3);
    assert_memory_equal(ids.ids, both, sizeof both);
    ib_ids_clear(&ids);
    ib_tokenizer_free(t);
}

/* ---- merging by score ---- */

#define MARK "\xE2\x96\x81"
static const struct {
    const char *text;
    double score;
} pieces[] = {{"<unk>", 0},  {"<s>", 0},       {"</s>", 0},       {MARK, -3},
              {"a", -4},     {"b", -5},        {"c", -6},         {"ab", -1},
              {"bc", -1},    {"abc", -2},      {MARK "a", -2},    {MARK MARK, -1.5},
              {"aa", -2},    {"aaa", -2.5},    {"aaaa", -1.25},   {"ca", -2.75},
              {"cab", -0.5}, {"b" MARK, -2.6}, {MARK "ab", -1.1}, {"<0xC3>", 0},
              {"<0xA9>", 0}, {"<0x64>", 0},    {"bca", -0.25},    {"c" MARK "a", -0.1}};
#define N_PIECES (sizeof pieces / sizeof *pieces)

static size_t piece_id(const char *text, size_t len) {
    size_t i = 0;
    while (i < N_PIECES &&
           (strlen(pieces[i].text) != len || memcmp(pieces[i].text, text, len) != 0))
        i++;
    return i;
}

/* The rule itself: look at every adjacent pair, merge the best, again. */
static size_t merge_slowly(const char *text, uint32_t *out) {
    size_t start[600], n = 0, n_out = 0;
    for (size_t i = 0; text[i]; i++)
        if (((unsigned char)text[i] & 0xC0) != 0x80)
            start[n++] = i;
    start[n] = strlen(text);
    for (;;) {
        size_t best = n, best_id = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            size_t id = piece_id(text + start[i], start[i + 2] - start[i]);
            if (id < N_PIECES && (best == n || pieces[id].score > pieces[best_id].score)) {
                best = i;
                best_id = id;
            }
        }
        if (best == n)
            break;
        memmove(start + best + 1, start + best + 2, (n - best - 1) * sizeof *start);
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        size_t id = piece_id(text + start[i], start[i + 1] - start[i]);
        if (id < N_PIECES) {
            out[n_out++] = (uint32_t)id;
            continue;
        }
        for (size_t k = start[i]; k < start[i + 1]; k++) {
            char byte[8];
            (void)snprintf(byte, sizeof byte, "<0x%02X>", (unsigned)(unsigned char)text[k]);
            id = piece_id(byte, 6);
            out[n_out++] = id < N_PIECES ? (uint32_t)id : 0;
        }
    }
    return n_out;
}

static ib_tokenizer *open_scored(int add_space) {
    static ib_str tokens[N_PIECES];
    static double scores[N_PIECES];
    static int64_t types[N_PIECES];
    for (size_t i = 0; i < N_PIECES; i++) {
        tokens[i] = ib_str_of(pieces[i].text);
        scores[i] = pieces[i].score;
        types[i] = i == 0 ? 2 : i < 3 ? 3 : tokens[i].len == 6 ? 6 : 1;
    }
    const ib_gguf_vocab g = {.model = IB_STR("llama"),
                             .n_tokens = N_PIECES,
                             .tokens = tokens,
                             .scores = scores,
                             .token_types = types,
                             .bos_id = 1,
                             .eos_id = 2,
                             .eot_id = -1,
                             .unk_id = 0,
                             .pad_id = -1,
                             .add_bos = -1,
                             .add_eos = -1,
                             .add_space_prefix = add_space};
    ib_tokenizer *t;
    ib_error err = {0};
    if (ib_tokenizer_from_gguf(&t, &g, NULL, &err) != IB_OK)
        fail_msg("%s", err.text);
    return t;
}

static void merges_by_score(void **state) {
    (void)state;
    static const char *const chars[] = {"a", "b", "c", " ", "a", "ab", "\xC3\xA9", "d", "x"};
    ib_tokenizer *t = open_scored(0);
    ib_rng rng;
    ib_rng_init(&rng, 1);
    for (int round = 0; round < 3000; round++) {
        char text[512] = "", marked[1024] = "";
        uint32_t want[600];
        size_t n = 0, m = 0, n_chars = ib_rng_below(&rng, round % 10 ? 12 : 90);
        for (size_t i = 0; i < n_chars; i++) {
            const char *c = chars[ib_rng_below(&rng, 9)];
            memcpy(text + n, c, strlen(c));
            n += strlen(c);
            c = *c == ' ' ? MARK : c;
            memcpy(marked + m, c, strlen(c));
            m += strlen(c);
        }
        size_t n_want = merge_slowly(marked, want);
        ib_ids ids = encode(t, (ib_str){text, n}, false, false);
        if (ids.n != n_want || (n_want && memcmp(ids.ids, want, n_want * sizeof *want) != 0))
            fail_msg("'%s' differs", text);
        ib_ids_clear(&ids);
    }
    ib_tokenizer_free(t);
}

static void spaces_and_bos(void **state) {
    (void)state;
    ib_tokenizer *t = open_scored(-1);
    static const uint32_t want[] = {1, 18, 2, 18}; /* <s> _ab </s> _ab */
    ib_buf out;
    ib_buf_init(&out);
    ib_ids ids = encode(t, IB_STR("ab</s>ab"), true, false);
    assert_int_equal(ids.n, 4);
    assert_memory_equal(ids.ids, want, sizeof want);
    assert_int_equal(ib_tokenizer_decode(t, ids.ids, ids.n, true, &out, NULL), IB_OK);
    assert_string_equal(out.ptr, "ab ab");
    ib_ids_clear(&ids);
    ids = encode(t, IB_STR("\xC3\xA9"), false, false);
    ib_buf_reset(&out);
    assert_int_equal(ib_tokenizer_decode(t, ids.ids, ids.n, true, &out, NULL), IB_OK);
    assert_string_equal(out.ptr, "\xC3\xA9");
    ib_ids_clear(&ids);
    ib_buf_clear(&out);
    ib_tokenizer_free(t);
}

/* ---- refusals ---- */

static void refuse(const ib_gguf_vocab *g, ib_status status, const char *message) {
    ib_tokenizer *t = (ib_tokenizer *)1;
    ib_error err = {0};
    ib_status st = ib_tokenizer_from_gguf(&t, g, NULL, &err);
    if (st != status || t || !strstr(err.text, message) || !strstr(err.text, "; fix: "))
        fail_msg("status %d, '%s' without '%s'", (int)st, err.text, message);
}

static void refused(void **state) {
    (void)state;
    static const ib_str tokens[] = {{"a", 1}, {"b", 1}};
    static const ib_str merges[] = {{"ab", 2}}, unknown[] = {{"a c", 3}};
    static const double scores[] = {0, 0.0 / 1.0}, infinite[] = {0, 1e308 * 10};
    const ib_gguf_vocab good = {.model = IB_STR("gpt2"),
                                .pre = IB_STR("gpt-2"),
                                .n_tokens = 2,
                                .tokens = tokens,
                                .bos_id = -1,
                                .eos_id = -1,
                                .eot_id = -1,
                                .unk_id = -1,
                                .pad_id = -1,
                                .add_bos = -1,
                                .add_eos = -1,
                                .add_space_prefix = -1};
    ib_gguf_vocab g = good;
    g.model = IB_STR("rwkv");
    refuse(&g, IB_E_UNSUPPORTED, "'rwkv'");
    g = good;
    g.pre = IB_STR("jina-v9");
    refuse(&g, IB_E_UNSUPPORTED, "'jina-v9'");
    g.pre = IB_STR("gpt-2 olmo");
    refuse(&g, IB_E_UNSUPPORTED, "gpt-2 olmo");
    g = good;
    g.n_tokens = 0;
    refuse(&g, IB_E_FORMAT, "tokenizer.ggml.tokens");
    g.n_tokens = (size_t)1 << 40;
    refuse(&g, IB_E_RESOURCE, "4000000");
    g = good;
    g.merges = merges;
    g.n_merges = 1;
    refuse(&g, IB_E_FORMAT, "merges[0]");
    g.merges = unknown;
    refuse(&g, IB_E_FORMAT, "'c'");
    g = good;
    g.bos_id = 2;
    refuse(&g, IB_E_FORMAT, "bos_token_id");
    g = good;
    g.unk_id = 99;
    refuse(&g, IB_E_FORMAT, "unknown_token_id");
    g = good;
    g.model = IB_STR("llama");
    refuse(&g, IB_E_FORMAT, "scores");
    g.scores = infinite;
    refuse(&g, IB_E_FORMAT, "scores[1]");
    ib_tokenizer *t;
    g.scores = scores;
    assert_int_equal(ib_tokenizer_from_gguf(&t, &g, NULL, NULL), IB_OK);
    ib_tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_level),     cmocka_unit_test(pre_names),
        cmocka_unit_test(digits),         cmocka_unit_test(merges_by_score),
        cmocka_unit_test(spaces_and_bos), cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
