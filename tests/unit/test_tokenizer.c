/* SPDX-License-Identifier: MIT
 * Ids and text equal the reference's: small tokenizers of every kind from tests/golden/tokenizers,
 * and the real ones of IB_TEST_DATA. Each row is also decoded id by id. */
#include "tokenizer_rows.h"

#include <pthread.h>

static void check_decode(const ib_tokenizer *t, const char *folder, const json_t *row,
                         bool skip_special) {
    const json_t *list = json_object_get(row, "ids");
    ib_str want =
        json_text(json_object_get(row, skip_special ? "decoded_skip_special" : "decoded"));
    size_t n = json_array_size(list);
    uint32_t *ids = malloc((n + 1) * sizeof *ids);
    ib_buf whole, parts;
    ib_decode_stream *s;
    ib_buf_init(&whole);
    ib_buf_init(&parts);
    for (size_t i = 0; i < n; i++)
        ids[i] = (uint32_t)json_integer_value(json_array_get(list, i));
    assert_int_equal(ib_tokenizer_decode(t, ids, n, skip_special, &whole, NULL), IB_OK);
    if (!ib_str_eq((ib_str){whole.ptr, whole.len}, want))
        row_failed(folder, skip_special ? "decode without special tokens" : "decode", row);
    assert_int_equal(ib_decode_stream_new(&s, t, skip_special, NULL), IB_OK);
    for (size_t i = 0; i < n; i++) {
        size_t before = parts.len;
        assert_int_equal(ib_decode_stream_push(s, ids[i], &parts, NULL), IB_OK);
        if (parts.len != before &&
            ib_utf8_valid_prefix(parts.ptr + before, parts.len - before) != parts.len - before)
            row_failed(folder, "a streamed piece that is not UTF-8", row);
    }
    assert_int_equal(ib_decode_stream_finish(s, &parts, NULL), IB_OK);
    if (!ib_str_eq((ib_str){parts.ptr, parts.len}, want))
        row_failed(folder, "streamed decode", row);
    ib_decode_stream_free(s);
    ib_buf_clear(&whole);
    ib_buf_clear(&parts);
    free(ids);
}

static void check_row(const ib_tokenizer *t, const char *folder, const json_t *row, void *user) {
    size_t *n_checks = user;
    const json_t *text = json_object_get(row, "text");
    if (!text)
        text = json_object_get(row, "rendered");
    if (json_is_string(text)) {
        ib_ids ids = encode(t, json_text(text),
                            json_is_true(json_object_get(row, "add_special_tokens")), false);
        if (!same_ids(json_object_get(row, "ids"), ids.ids, ids.n))
            row_failed(folder, "encode", row);
        ib_ids_clear(&ids);
        *n_checks += 1;
    }
    if (json_object_get(row, "decoded")) {
        check_decode(t, folder, row, false);
        check_decode(t, folder, row, true);
        *n_checks += 2;
    }
}

/* Every folder below root; returns their number. */
static size_t walk(const char *root, size_t *n_checks) {
    static const char *const files[] = {"golden_tokens.jsonl", "golden_decode.jsonl",
                                        "golden_chat.jsonl"};
    size_t n_folders = 0;
    DIR *dir = opendir(root);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char *folder = ib_path_join(root, e->d_name),
             *file = ib_path_join(folder, "tokenizer.json");
        if (e->d_name[0] != '.' && ib_path_exists(file)) {
            ib_tokenizer *t = open_folder(folder);
            size_t n_rows = 0;
            for (size_t i = 0; i < 3; i++)
                n_rows += each_row(t, folder, files[i], check_row, n_checks);
            if (!n_rows)
                fail_msg("no rows in %s", folder);
            ib_tokenizer_free(t);
            n_folders++;
        }
        free(file);
        free(folder);
    }
    (void)closedir(dir);
    return n_folders;
}

static void small_tokenizers(void **state) {
    (void)state;
    size_t n_checks = 0, n = walk(IB_SOURCE_DIR "/tests/golden/tokenizers", &n_checks);
    print_message("%zu tokenizers, %zu comparisons\n", n, n_checks);
    assert_true(n >= 90 && n_checks > 15000);
}

static void real_tokenizers(void **state) {
    (void)state;
    IB_DATA_OR_SKIP(data);
    char *root = ib_path_join(data, "tokenizers");
    size_t n_checks = 0, n = walk(root, &n_checks);
    print_message("%zu tokenizers, %zu comparisons\n", n, n_checks);
    assert_true(n >= 11 && n_checks > 50000);
    free(root);
}

/* ---- one tokenizer, looked at from all sides ---- */

#define BYTES IB_SOURCE_DIR "/tests/golden/tokenizers/bpe_bytes_llama3"

static void facts(void **state) {
    (void)state;
    ib_tokenizer *t = open_folder(BYTES);
    uint32_t id;
    bool special;
    assert_string_equal(ib_tokenizer_kind(t), "BPE");
    assert_true(ib_tokenizer_id(t, IB_STR("<s>"), &id));
    assert_true(ib_str_is(ib_tokenizer_token(t, id, &special), "<s>"));
    assert_true(special);
    assert_true(id < ib_tokenizer_n_vocab(t));
    assert_null(ib_tokenizer_token(t, (uint32_t)ib_tokenizer_n_vocab(t), &special).ptr);
    assert_false(special);
    assert_null(ib_tokenizer_token(t, UINT32_MAX, NULL).ptr);
    assert_false(ib_tokenizer_id(t, IB_STR("no such token"), &id));
    assert_true(ib_tokenizer_id(t, IB_STR("a"), &id));
    (void)ib_tokenizer_token(t, id, &special);
    assert_false(special);
    ib_tokenizer_free(t);
}

static void special_text(void **state) {
    (void)state;
    ib_tokenizer *t = open_folder(BYTES);
    const ib_str text = IB_STR("a<s>b</s><sep>");
    const ib_encode_options options = {false, false};
    ib_ids ids = {0};
    size_t n_special = 99;
    uint32_t s, sep;
    assert_true(ib_tokenizer_id(t, IB_STR("<s>"), &s) && ib_tokenizer_id(t, IB_STR("<sep>"), &sep));
    assert_int_equal(ib_tokenizer_encode(t, text, &options, &ids, &n_special, NULL), IB_OK);
    assert_int_equal(n_special, 2); /* <sep> is an added token, not a special one */
    assert_int_equal(ids.ids[1], s);
    ib_ids_clear(&ids);
    ids = encode(t, text, false, true);
    for (size_t i = 0; i < ids.n; i++)
        assert_int_not_equal(ids.ids[i], s);
    assert_int_equal(ids.ids[ids.n - 1], sep);
    ib_ids_clear(&ids);
    ib_tokenizer_free(t);
}

/* Bytes that are not UTF-8 count as U+FFFD, one for each maximal prefix of a char. */
static void bad_bytes(void **state) {
    (void)state;
    ib_tokenizer *t = open_folder(BYTES);
    static const char *const pairs[][2] = {
        {"a\xFF"
         "b",
         "a\xEF\xBF\xBD"
         "b"},
        {"\xE2\x82", "\xEF\xBF\xBD"},
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xF0\x9F\x98x\xC0\xAF", "\xEF\xBF\xBDx\xEF\xBF\xBD\xEF\xBF\xBD"},
    };
    for (size_t i = 0; i < 4; i++) {
        ib_ids a = encode(t, ib_str_of(pairs[i][0]), false, false);
        ib_ids b = encode(t, ib_str_of(pairs[i][1]), false, false);
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.ids, b.ids, a.n * sizeof *a.ids);
        ib_ids_clear(&a);
        ib_ids_clear(&b);
    }
    ib_tokenizer_free(t);
}

/* Ids are appended, and a failing call leaves what was there. */
static void appends(void **state) {
    (void)state;
    ib_tokenizer *t = open_folder(BYTES);
    ib_ids ids = {0};
    ib_error err = {0};
    const ib_encode_options options = {false, false};
    assert_int_equal(ib_ids_add(&ids, 7, NULL), IB_OK);
    assert_int_equal(ib_tokenizer_encode(t, IB_STR("the"), &options, &ids, NULL, NULL), IB_OK);
    assert_int_equal(ids.ids[0], 7);
    size_t n = ids.n;
    assert_true(n > 1);
    ib_str huge = {"x", (size_t)64 * 1000 * 1000 + 1};
    assert_int_equal(ib_tokenizer_encode(t, huge, &options, &ids, NULL, &err), IB_E_RESOURCE);
    assert_non_null(strstr(err.text, "64000000"));
    assert_int_equal(ids.n, n);
    ib_ids_clear(&ids);
    ib_tokenizer_free(t);
}

typedef struct job {
    const ib_tokenizer *t;
    ib_str text;
    ib_ids ids;
} job;

static void *encode_often(void *user) {
    job *j = user;
    for (int i = 0; i < 20; i++) {
        ib_ids_clear(&j->ids);
        const ib_encode_options options = {true, false};
        if (ib_tokenizer_encode(j->t, j->text, &options, &j->ids, NULL, NULL) != IB_OK)
            return j;
    }
    return NULL;
}

static void threads_agree(void **state) {
    (void)state;
    ib_tokenizer *t = open_folder(BYTES);
    ib_buf text;
    pthread_t threads[4];
    job jobs[4];
    ib_buf_init(&text);
    for (int i = 0; i < 200; i++)
        assert_int_equal(
            ib_buf_addf(&text, NULL, "The harbour %d, the lamps\n and %x fog. ", i, i * 7919),
            IB_OK);
    for (int i = 0; i < 4; i++) {
        jobs[i] = (job){t, {text.ptr, text.len}, {0}};
        assert_int_equal(pthread_create(&threads[i], NULL, encode_often, &jobs[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
        assert_int_equal(jobs[i].ids.n, jobs[0].ids.n);
        assert_memory_equal(jobs[i].ids.ids, jobs[0].ids.ids, jobs[0].ids.n * sizeof(uint32_t));
    }
    for (int i = 0; i < 4; i++)
        ib_ids_clear(&jobs[i].ids);
    ib_buf_clear(&text);
    ib_tokenizer_free(t);
}

/* Long pieces go through the heap, short ones through the scan: cutting a text at a place where no
 * merge crosses must not change the ids. */
static void long_equals_short(void **state) {
    (void)state;
    ib_tokenizer *t = open_folder(IB_SOURCE_DIR "/tests/golden/tokenizers/bpe_sp_first");
    ib_buf text;
    ib_ids parts = {0};
    ib_buf_init(&text);
    for (int i = 0; i < 300; i++) {
        char word[32];
        (void)snprintf(word, sizeof word, "%s%d", i % 3 ? "harbour" : "lampslooms", i);
        if (i)
            assert_int_equal(ib_buf_addc(&text, ' ', NULL), IB_OK);
        assert_int_equal(ib_buf_adds(&text, word, NULL), IB_OK);
        ib_ids one = encode(t, ib_str_of(word), false, false);
        for (size_t k = 0; k < one.n; k++)
            assert_int_equal(ib_ids_add(&parts, one.ids[k], NULL), IB_OK);
        ib_ids_clear(&one);
    }
    ib_ids whole = encode(t, (ib_str){text.ptr, text.len}, false, false);
    assert_int_equal(whole.n, parts.n);
    assert_memory_equal(whole.ids, parts.ids, whole.n * sizeof *whole.ids);
    ib_ids_clear(&whole);
    ib_ids_clear(&parts);
    ib_buf_clear(&text);
    ib_tokenizer_free(t);
}

/* ---- tokenizer_config.json ---- */

static const char letters[] = "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":3,\"content\":\"<x>"
                              "\",\"special\":false,\"normalized\":false}],"
                              "\"normalizer\":null,\"pre_tokenizer\":null,\"post_processor\":null,"
                              "\"decoder\":{\"type\":\"Fuse\"},"
                              "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"<"
                              "x>\":3,\"<e>\":4},\"merges\":[\"a b\"]}}";

static void config_adds(void **state) {
    (void)state;
    char *folder =
        make_folder(letters, sizeof letters - 1,
                    "{\"bos_token\":\"<b>\",\"eos_token\":{\"content\":\"<e>\"},\"pad_token\":null,"
                    "\"model_max_length\":1000000000000000019884624838656,\"clean_up_tokenization_"
                    "spaces\":true,"
                    "\"additional_special_tokens\":[\"<m>\"],"
                    "\"added_tokens_decoder\":{\"3\":{\"content\":\"<x>\",\"lstrip\":true,"
                    "\"special\":true,\"normalized\":false},"
                    "\"5\":{\"content\":\"<b>\",\"special\":false,\"normalized\":false}}}");
    ib_tokenizer *t = open_folder(folder);
    uint32_t id;
    bool special;
    ib_buf text;
    ib_buf_init(&text);
    const json_t *named = ib_tokenizer_special_tokens(t);
    assert_string_equal(json_string_value(json_object_get(named, "bos_token")), "<b>");
    assert_string_equal(json_string_value(json_object_get(named, "eos_token")), "<e>");
    assert_null(json_object_get(named, "pad_token"));
    /* <x> gets the flags of the config, <b> is forced to special, <e> keeps its id, <m> is new. */
    ib_ids ids = encode(t, IB_STR("ab  <x><b><e><m>"), false, false);
    static const uint32_t want[] = {2, 3, 5, 4, 6};
    assert_int_equal(ids.n, 5);
    assert_memory_equal(ids.ids, want, sizeof want);
    for (uint32_t i = 3; i < 7; i++) {
        (void)ib_tokenizer_token(t, i, &special);
        assert_true(special);
    }
    assert_int_equal(ib_tokenizer_decode(t, ids.ids, ids.n, true, &text, NULL), IB_OK);
    assert_string_equal(text.ptr, "ab");
    assert_true(ib_tokenizer_id(t, IB_STR("<m>"), &id) && id == 6);
    assert_int_equal(ib_tokenizer_n_vocab(t), 7);
    /* BPE keeps its spaces although the file wants them cleaned up. */
    ib_buf_reset(&text);
    assert_int_equal(ib_buf_adds(&text, "a . b", NULL), IB_OK);
    assert_int_equal(ib_tokenizer_clean_up(t, &text, NULL), IB_OK);
    assert_string_equal(text.ptr, "a . b");
    ib_buf_clear(&text);
    ib_ids_clear(&ids);
    ib_tokenizer_free(t);
    remove_folder(folder);
}

static void clean_up(void **state) {
    (void)state;
    char *folder = make_folder(
        letters, sizeof letters - 1,
        "{\"clean_up_tokenization_spaces\":true,"
        "\"clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output\":true}");
    ib_tokenizer *t = open_folder(folder);
    ib_buf text;
    ib_buf_init(&text);
    assert_int_equal(
        ib_buf_adds(&text, "I do n't , we 've . They 're ' here ' ? it 's I 'm ! do not", NULL),
        IB_OK);
    assert_int_equal(ib_tokenizer_clean_up(t, &text, NULL), IB_OK);
    assert_string_equal(text.ptr, "I don't, we've. They're'here '? it's I'm! do not");
    ib_buf_clear(&text);
    ib_tokenizer_free(t);
    remove_folder(folder);
}

static void split_special(void **state) {
    (void)state;
    char *folder = make_folder(letters, sizeof letters - 1,
                               "{\"split_special_tokens\":true,\"eos_token\":\"<e>\"}");
    ib_tokenizer *t = open_folder(folder);
    ib_ids ids = encode(t, IB_STR("ab<e>"), false, false);
    assert_int_equal(ids.n, 1); /* the letters of <e> are not in the vocabulary */
    ib_ids_clear(&ids);
    ib_tokenizer_free(t);
    remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_tokenizers),
        cmocka_unit_test(real_tokenizers),
        cmocka_unit_test(facts),
        cmocka_unit_test(special_text),
        cmocka_unit_test(bad_bytes),
        cmocka_unit_test(appends),
        cmocka_unit_test(threads_agree),
        cmocka_unit_test(long_equals_short),
        cmocka_unit_test(config_adds),
        cmocka_unit_test(clean_up),
        cmocka_unit_test(split_special),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
