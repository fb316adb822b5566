/* SPDX-License-Identifier: MIT
 * The rewriting of patterns: what each construct becomes, and what is refused. That the result
 * matches the same text as the reference is what the pre_* tokenizers of test_tokenizer show. */
#include "support.h"

#include "text/tok.h"

#define W "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"

typedef struct pair {
    const char *source, *want;
} pair;

static void rewritten(void **state) {
    (void)state;
    static const pair pairs[] = {
        {"", ""},
        {"ab", "ab"},
        {"a b", "a\\x{20}b"},
        {"\xC3\xA9", "\\x{E9}"},
        {"a|b*|c+?|d?+", "a|b*|c+?|d?+"},
        {"\\s\\S", "[\\p{White_Space}][^\\p{White_Space}]"},
        {"[^\\s\\p{L}]", "[^\\p{White_Space}\\p{L}]"},
        {"[\\S]", "(?:[\\P{White_Space}])"},
        {"[\\w]", "(?:[" W "])"},
        {"\\d\\h\\v\\R", "[\\p{Nd}][0-9A-Fa-f]\\x{B}\\R"},
        {"\\p{Han}\\p{^L}\\P{Lu}\\p{Letter}", "[\\p{sc:han}][^\\p{L}][^\\p{Lu}][\\p{L}]"},
        {"$", "(?:(?=\\n)|(?<!\\n)\\z)"},
        {"^.", "^."},
        {"(a)(?:b)(?=c)(?!d)(?<=e)(?<!f)(?>g)", "(?:a)(?:b)(?=c)(?!d)(?<=e)(?<!f)(?>g)"},
        {"(a)\\1", "(a)(?:\\1)"},
        {"(?i:a)(?m:.)", "(?i:a)(?s:.)"},
        {"a(?i)b|c", "a(?i:b|c)"},
        {"(a(?i)b)c", "(?:a(?i:b))c"},
        {"(?<name>a)(?#note)b", "(?:a)b"},
        {"a{2}", "a{2}"},
        {"a{,3}", "a{0,3}"},
        {"a{2,}?", "a{2,}?"},
        {"a{2}?", "(?:a{2})?"},
        {"(b{1,3}+)", "(?:(?:b{1,3})+)"},
        {"a{x}", "a\\x{7B}x\\x{7D}"},
        {"[]a]", "(?:[\\x{5D}a])"},
        {"[a-c\\-z]", "(?:[a-c\\x{2D}z])"},
        {"[a-]", "(?:[a\\x{2D}])"},
        {"[a[bc]]", "(?:(?:[a]|(?:[bc])))"},
        {"[a-z&&[^aeiou]]", "(?:(?=[a-z])(?:[^aeiou]))"},
        {"[[:punct:]]", "(?:[\\p{P}\\p{S}])"},
        {"\\u4e00\\x{4E00}\\x41", "\\x{4E00}\\x{4E00}A"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        ib_buf out;
        ib_error err = {0};
        ib_buf_init(&out);
        if (ib_tok_regex_translate(ib_str_of(pairs[i].source), &out, &err) != IB_OK)
            fail_msg("'%s': %s", pairs[i].source, err.text);
        if (!ib_str_is((ib_str){out.ptr, out.len}, pairs[i].want))
            fail_msg("'%s' became '%.*s', not '%s'", pairs[i].source, (int)out.len, out.ptr,
                     pairs[i].want);
        ib_buf_clear(&out);
    }
}

typedef struct refusal {
    const char *source;
    ib_status status;
    const char *message;
} refusal;

static void refused(void **state) {
    (void)state;
    static const refusal all[] = {
        {"(a", IB_E_FORMAT, "group without end"},
        {"a)", IB_E_FORMAT, "column 2"},
        {"[a", IB_E_FORMAT, "class without end"},
        {"[z-a]", IB_E_FORMAT, "backwards"},
        {"*a", IB_E_FORMAT, "without an item"},
        {"a|+", IB_E_FORMAT, "column 3"},
        {"\\", IB_E_FORMAT, "backslash"},
        {"\\p{L", IB_E_FORMAT, "without end"},
        {"\\p{}", IB_E_FORMAT, "empty"},
        {"\\p{a+b}", IB_E_FORMAT, "property"},
        {"\\x{110000}", IB_E_FORMAT, "hexadecimal"},
        {"\\xFF", IB_E_UNSUPPORTED, "raw byte"},
        {"\\k<a>", IB_E_UNSUPPORTED, "escape"},
        {"\\Ka", IB_E_UNSUPPORTED, "escape"},
        {"(?x)a b", IB_E_UNSUPPORTED, "option"},
        {"(?~a)", IB_E_UNSUPPORTED, "option"},
        {"(?<n>a)\\1", IB_E_UNSUPPORTED, "named"},
        {"[a-\\d]", IB_E_UNSUPPORTED, "range"},
        {"a{3,1}", IB_E_UNSUPPORTED, "backwards"},
        {"a{99999}", IB_E_UNSUPPORTED, "60000"},
        {"[[[[[[[[[a]]]]]]]]]", IB_E_UNSUPPORTED, "too deep"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        ib_buf out;
        ib_error err = {0};
        ib_buf_init(&out);
        ib_status st = ib_tok_regex_translate(ib_str_of(all[i].source), &out, &err);
        if (st != all[i].status || !strstr(err.text, all[i].message) ||
            !strstr(err.text, "; fix: "))
            fail_msg("'%s': status %d, '%s'", all[i].source, (int)st, err.text);
        ib_buf_clear(&out);
    }
}

static void many_groups(void **state) {
    (void)state;
    ib_buf source, out;
    ib_error err = {0};
    ib_buf_init(&source);
    ib_buf_init(&out);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(ib_buf_addc(&source, '(', NULL), IB_OK);
    assert_int_equal(ib_tok_regex_translate((ib_str){source.ptr, source.len}, &out, &err),
                     IB_E_RESOURCE);
    assert_non_null(strstr(err.text, "200 groups"));
    ib_buf_clear(&source);
    ib_buf_clear(&out);
}

/* Every byte string of three characters out of the special ones: an answer, never a crash. */
static void all_short_patterns(void **state) {
    (void)state;
    static const char chars[] = "()[]{}|*+?^$.\\-,&:!=<>ai1psPu";
    ib_tok_store store = {{0}, NULL};
    char source[4] = "";
    size_t n_good = 0;
    for (size_t i = 0; i + 1 < sizeof chars; i++)
        for (size_t j = 0; j + 1 < sizeof chars; j++)
            for (size_t k = 0; k + 1 < sizeof chars; k++) {
                ib_tok_regex *r;
                source[0] = chars[i];
                source[1] = chars[j];
                source[2] = chars[k];
                n_good += ib_tok_regex_new(&store, ib_str_of(source), &r, NULL) == IB_OK;
                ib_tok_regex_free_all(&store);
            }
    ib_arena_clear(&store.arena);
    assert_true(n_good > 2000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rewritten),
        cmocka_unit_test(refused),
        cmocka_unit_test(many_groups),
        cmocka_unit_test(all_short_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
