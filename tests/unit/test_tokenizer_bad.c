/* SPDX-License-Identifier: MIT
 * Broken and hostile tokenizer files: status and message of each, and bounds on time. */
#include "tokenizer_rows.h"

#include "base/clock.h"

/* A file with the given parts around a small BPE model. */
#define FILE_WITH(parts, model) "{\"version\":\"1.0\"," parts "\"model\":" model "}"
#define MODEL "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"
#define VOCAB(vocab) FILE_WITH("", "{\"type\":\"BPE\",\"vocab\":" vocab ",\"merges\":[]}")
#define MERGES(merges)                                                                             \
    FILE_WITH("", "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":" merges "}")
#define PART(name, part) FILE_WITH("\"" name "\":" part ",", MODEL)

typedef struct bad_file {
    const char *id, *text;
    ib_status status;
    const char *message; /* part of it */
} bad_file;

static const bad_file files[] = {
    {"empty", "", IB_E_FORMAT, "invalid JSON"},
    {"not JSON", "version https://git-lfs", IB_E_FORMAT, "invalid JSON"},
    {"a list", "[]", IB_E_FORMAT, "no JSON object"},
    {"no model", "{\"version\":\"1.0\"}", IB_E_FORMAT, "/model"},
    {"version", "{\"version\":\"2.0\",\"model\":" MODEL "}", IB_E_UNSUPPORTED, "'2.0'"},
    {"cut off in vocab", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b", IB_E_FORMAT,
     "byte"},
    {"cut off in merges", "{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a", IB_E_FORMAT, "byte"},
    {"text behind", FILE_WITH("", MODEL) " x", IB_E_FORMAT, "invalid JSON"},
    {"second model", "{\"model\":" MODEL ",\"model\":" MODEL "}", IB_E_FORMAT, "invalid JSON"},
    {"no vocab", FILE_WITH("", "{\"type\":\"BPE\",\"merges\":[]}"), IB_E_FORMAT, "vocab"},
    {"vocab is a number", VOCAB("7"), IB_E_FORMAT, "vocab"},
    {"negative id", VOCAB("{\"a\":-1}"), IB_E_FORMAT, "/model/vocab/a: -1"},
    {"id 2^31", VOCAB("{\"a\":2147483648}"), IB_E_FORMAT, "2147483648"},
    {"id 2^32", VOCAB("{\"a\":4294967296}"), IB_E_FORMAT, "4294967296"},
    {"id 2^64", VOCAB("{\"a\":18446744073709551616}"), IB_E_FORMAT, "18446744073709551616"},
    {"real id", VOCAB("{\"a\":1.0}"), IB_E_FORMAT, "1.0"},
    {"id twice", VOCAB("{\"a\":1,\"b\":0,\"c\":1}"), IB_E_FORMAT, "token id twice"},
    {"token twice", VOCAB("{\"a\":0,\"\\u0061\":1}"), IB_E_FORMAT, "token twice"},
    {"bad UTF-8 token", VOCAB("{\"\xC3\":0}"), IB_E_FORMAT, "UTF-8"},
    {"lone surrogate", VOCAB("{\"\\ud800\":0}"), IB_E_FORMAT, "surrogate"},
    {"control char", VOCAB("{\"\n\":0}"), IB_E_FORMAT, "control"},
    {"bad escape", VOCAB("{\"\\q\":0}"), IB_E_FORMAT, "escape"},
    {"short escape", VOCAB("{\"\\u12\":0}"), IB_E_FORMAT, "hex"},
    {"left not in vocab", MERGES("[\"x b\"]"), IB_E_FORMAT, "/model/merges/0"},
    {"right not in vocab", MERGES("[\"a b\",\"a x\"]"), IB_E_FORMAT, "/model/merges/1"},
    {"result not in vocab", MERGES("[\"b a\"]"), IB_E_FORMAT, "'ba'"},
    {"merge with two spaces", MERGES("[\"a  b\"]"), IB_E_FORMAT, "two parts"},
    {"merge without space", MERGES("[\"ab\"]"), IB_E_FORMAT, "two parts"},
    {"merge of three", MERGES("[[\"a\",\"b\",\"ab\"]]"), IB_E_FORMAT, "exactly two"},
    {"merge of one", MERGES("[[\"a\"]]"), IB_E_FORMAT, "two strings"},
    {"merges a string", MERGES("\"a b\""), IB_E_FORMAT, "merges"},
    {"prefix longer than part",
     FILE_WITH(
         "", "{\"type\":\"BPE\",\"continuing_subword_prefix\":\"####\",\"vocab\":{\"a\":0,\"b\":1},"
             "\"merges\":[\"a b\"]}"),
     IB_E_FORMAT, "continuing prefix"},
    {"dropout", FILE_WITH("", "{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{},\"merges\":[]}"),
     IB_E_UNSUPPORTED, "dropout"},
    {"unknown model", FILE_WITH("", "{\"type\":\"Magic\",\"vocab\":{}}"), IB_E_UNSUPPORTED,
     "'Magic'"},
    {"score infinite", FILE_WITH("", "{\"type\":\"Unigram\",\"vocab\":[[\"a\",1e400]]}"),
     IB_E_FORMAT, "1e400"},
    {"score NaN", FILE_WITH("", "{\"type\":\"Unigram\",\"vocab\":[[\"a\",NaN]]}"), IB_E_FORMAT,
     "score"},
    {"unk_id out of range",
     FILE_WITH("", "{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",0.0]]}"), IB_E_FORMAT,
     "unk_id"},
    {"unk_id negative",
     FILE_WITH("", "{\"type\":\"Unigram\",\"unk_id\":-1,\"vocab\":[[\"a\",0.0]]}"), IB_E_FORMAT,
     "unk_id"},
    {"WordPiece without unk", FILE_WITH("", "{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}"),
     IB_E_FORMAT, "unk_token"},
    {"normalizer", PART("normalizer", "{\"type\":\"Magic\"}"), IB_E_UNSUPPORTED, "'Magic'"},
    {"normalizer without type", PART("normalizer", "{}"), IB_E_FORMAT, "type"},
    {"normalizer list", PART("normalizer", "{\"type\":\"Sequence\"}"), IB_E_FORMAT, "normalizers"},
    {"pre-tokenizer", PART("pre_tokenizer", "{\"type\":\"Ma\\u001bgic\"}"), IB_E_UNSUPPORTED,
     "Ma\\x1B"},
    {"decoder", PART("decoder", "{\"type\":\"Magic\"}"), IB_E_UNSUPPORTED, "decoder"},
    {"post-processor", PART("post_processor", "{\"type\":\"Magic\"}"), IB_E_UNSUPPORTED,
     "post-processor"},
    {"behavior",
     PART("pre_tokenizer",
          "{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"X\"}"),
     IB_E_UNSUPPORTED, "behavior"},
    {"no pattern", PART("pre_tokenizer", "{\"type\":\"Split\",\"behavior\":\"Removed\"}"),
     IB_E_FORMAT, "pattern"},
    {"delimiter", PART("pre_tokenizer", "{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"ab\"}"),
     IB_E_FORMAT, "one character"},
    {"length", PART("pre_tokenizer", "{\"type\":\"FixedLength\",\"length\":0}"), IB_E_FORMAT,
     "length"},
    {"contradiction",
     PART("pre_tokenizer",
          "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false,"
          "\"prepend_scheme\":\"always\"}"),
     IB_E_FORMAT, "contradicts"},
    {"special token missing",
     PART("post_processor",
          "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}}],"
          "\"special_tokens\":{}}"),
     IB_E_FORMAT, "'<s>'"},
    {"charsmap not base64",
     PART("normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"!!!!\"}"),
     IB_E_FORMAT, "base64"},
    {"charsmap too short",
     PART("normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAA=\"}"),
     IB_E_FORMAT, "header"},
    {"charsmap trie too long",
     PART("normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"/P///wAAAAA=\"}"),
     IB_E_FORMAT, "longer than the map"},
    {"added tokens no list", PART("added_tokens", "{}"), IB_E_FORMAT, "/added_tokens"},
    {"added token no object", PART("added_tokens", "[1]"), IB_E_FORMAT, "/added_tokens/0"},
    {"added token flag", PART("added_tokens", "[{\"id\":3,\"content\":\"x\",\"special\":1}]"),
     IB_E_FORMAT, "special"},
    {"regex class",
     PART("pre_tokenizer",
          "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a\"},\"behavior\":\"Removed\"}"),
     IB_E_FORMAT, "column"},
    {"regex property",
     PART("pre_tokenizer",
          "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\p{Bogus}\"},\"behavior\":\"Removed\"}"),
     IB_E_FORMAT, "Bogus"},
    {"regex recursion",
     PART("pre_tokenizer",
          "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?~a)\"},\"behavior\":\"Removed\"}"),
     IB_E_UNSUPPORTED, "column"},
};

static void expect(const bad_file *f, const char *text, size_t len) {
    ib_tokenizer *t = (ib_tokenizer *)1;
    ib_error err = {0};
    char *folder = make_folder(text, len, NULL);
    uint64_t begin = ib_now_ns();
    ib_status st = ib_tokenizer_open(&t, folder, NULL, &err);
    if (st != f->status || !strstr(err.text, f->message) || !strstr(err.text, "; fix: ") || t) {
        ib_tokenizer_free(st == IB_OK ? t : NULL);
        fail_msg("%s: status %d, '%s'", f->id, (int)st, st == IB_OK ? "" : err.text);
    }
    assert_true(ib_now_ns() - begin < 10000000000u);
    remove_folder(folder);
}

static void refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        expect(&files[i], files[i].text, strlen(files[i].text));
}

/* What looks odd but is a file that the reference loads. */
static void accepted(void **state) {
    (void)state;
    static const char *const good[] = {
        FILE_WITH("", MODEL),
        MERGES("[\"#version: 0.2\",\"a b\",[\"a\",\"b\"]]"),
        VOCAB("{\"a\":0,\"b\":2000000000}"),
        PART("added_tokens", "[{\"id\":9,\"content\":\"\"},{\"id\":9,\"content\":\"x\"},{\"id\":9,"
                             "\"content\":\"x\"}]"),
        PART("truncation", "{\"max_length\":0}") "\n",
        PART("padding", "{\"strategy\":{\"Fixed\":2147483648}}"),
        PART("normalizer", "{\"type\":\"Sequence\",\"normalizers\":[]}"),
        "{\"model\":{\"\\u0076ocab\":{\"a\":0},\"merges\":[]}}",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char *folder = make_folder(good[i], strlen(good[i]), NULL);
        ib_tokenizer *t = open_folder(folder);
        ib_ids ids = encode(t, IB_STR("a"), true, false);
        assert_int_equal(ids.n, 1);
        assert_int_equal(ids.ids[0], 0);
        ib_ids_clear(&ids);
        ib_tokenizer_free(t);
        remove_folder(folder);
    }
}

/* Every prefix of a good file is refused, none crashes. */
static void prefixes(void **state) {
    (void)state;
    static const char good[] = PART("pre_tokenizer", "{\"type\":\"Whitespace\"}");
    const bad_file f = {"prefix", NULL, IB_E_FORMAT, ""};
    for (size_t n = 0; n + 1 < sizeof good; n++)
        expect(&f, good, n);
}

static void deep_nesting(void **state) {
    (void)state;
    const bad_file f = {"nesting", NULL, IB_E_FORMAT, "deeper"};
    ib_buf b;
    ib_buf_init(&b);
    assert_int_equal(ib_buf_adds(&b, "{\"normalizer\":", NULL), IB_OK);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(ib_buf_adds(&b, "{\"type\":\"Sequence\",\"normalizers\":[", NULL), IB_OK);
    expect(&f, b.ptr, b.len);
    ib_buf_clear(&b);
}

/* n times item between head and tail. */
static void repeated(ib_buf *b, const char *head, const char *item, size_t n, const char *tail) {
    ib_buf_reset(b);
    assert_int_equal(ib_buf_adds(b, head, NULL), IB_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(ib_buf_addf(b, NULL, item, i), IB_OK);
    assert_int_equal(ib_buf_adds(b, tail, NULL), IB_OK);
}

static void caps(void **state) {
    (void)state;
    const char *head = "{\"version\":\"1.0\",\"added_tokens\":[",
               *tail = "{\"content\":\"z\"}],\"model\":" MODEL "}";
    const bad_file added = {"added tokens", NULL, IB_E_RESOURCE, "65536"};
    const bad_file steps = {"steps", NULL, IB_E_RESOURCE, "64"};
    const bad_file regex = {"regex", NULL, IB_E_RESOURCE, "65536"};
    const bad_file token = {"token", NULL, IB_E_RESOURCE, "65536"};
    ib_buf b;
    ib_buf_init(&b);
    repeated(&b, head, "{\"content\":\"<%zu>\"},", 65535, tail);
    char *folder = make_folder(b.ptr, b.len, NULL);
    ib_tokenizer_free(open_folder(folder));
    remove_folder(folder);
    repeated(&b, head, "{\"content\":\"<%zu>\"},", 65536, tail);
    expect(&added, b.ptr, b.len);
    repeated(&b, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"}",
             ",{\"type\":\"NFD\"}", 64, "]},\"model\":" MODEL "}");
    expect(&steps, b.ptr, b.len);
    repeated(
        &b,
        "{\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Removed\",\"pattern\":{\"Regex\":\"",
        "abcdefgh", 8193, "\"}},\"model\":" MODEL "}");
    expect(&regex, b.ptr, b.len);
    repeated(&b, "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"", "abcdefgh", 8193,
             "\":0}}}");
    expect(&token, b.ptr, b.len);
    ib_buf_clear(&b);
}

/* Patterns that backtrack without end: stopped, and the pattern is named. */
static void expensive_patterns(void **state) {
    (void)state;
    size_t n_stopped = 0;
    static const char *const patterns[] = {"(a+)+$", "(a*)*[bc]", "(?:.*){20}c", "(?:a|a?)+[bc]",
                                           "(x+x+)+[yz]"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        ib_buf b;
        ib_ids ids = {0};
        ib_error err = {0};
        const ib_encode_options options = {false, false};
        ib_buf_init(&b);
        assert_int_equal(ib_buf_addf(&b, NULL,
                                     "{\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":"
                                     "\"Isolated\",\"pattern\":{\"Regex\":\"%s\"}},"
                                     "\"model\":" MODEL "}",
                                     patterns[i]),
                         IB_OK);
        char *folder = make_folder(b.ptr, b.len, NULL);
        ib_tokenizer *t = open_folder(folder);
        char text[4002];
        memset(text, i == 4 ? 'x' : 'a', sizeof text - 2);
        text[4000] = '!';
        text[4001] = '\0';
        uint64_t begin = ib_now_ns();
        ib_status st = ib_tokenizer_encode(t, ib_str_of(text), &options, &ids, NULL, &err);
        if (st != IB_OK) {
            assert_int_equal(st, IB_E_RESOURCE);
            assert_non_null(strstr(err.text, "too many steps"));
            assert_non_null(strstr(err.text, patterns[i]));
            n_stopped++;
        }
        assert_true(ib_now_ns() - begin < 10000000000u);
        ib_ids_clear(&ids);
        ib_tokenizer_free(t);
        remove_folder(folder);
        ib_buf_clear(&b);
    }
    assert_true(n_stopped >= 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused),  cmocka_unit_test(accepted),
        cmocka_unit_test(prefixes), cmocka_unit_test(deep_nesting),
        cmocka_unit_test(caps),     cmocka_unit_test(expensive_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
