/* SPDX-License-Identifier: MIT
 * The command line as the parser sees it: defaults, aliases, ranges, refusals, help from the table.
 */

#include "support.h"

#include "base/file.h"
#include "cli/options.h"

/* Parses words separated by '|'; an empty text means no arguments. */
static ib_status parse(ib_options *o, const char *words, ib_error *err) {
    static char store[4096];
    char *argv[64] = {"inferbench"};
    int argc = 1;
    assert_true(strlen(words) < sizeof store);
    (void)snprintf(store, sizeof store, "%s", words);
    for (char *p = store; *words && argc < 64;) {
        argv[argc++] = p;
        p = strchr(p, '|');
        if (!p)
            break;
        *p++ = '\0';
    }
    memset(err, 0, sizeof *err);
    return ib_options_parse(o, argc, argv, err);
}

static void expect_fail(const char *words, ib_status status, const char *part) {
    ib_options o;
    ib_error err;
    ib_status st = parse(&o, words, &err);
    ib_options_clear(&o);
    if (st != status || !strstr(err.text, part))
        fail_msg("'%s': status %d, text '%s'; wanted %d, '%s'", words, (int)st, err.text,
                 (int)status, part);
    assert_non_null(strstr(err.text, "; fix: "));
}

static void defaults_are_the_references(void **state) {
    (void)state;
    ib_options o;
    ib_error err;
    assert_int_equal(parse(&o, "", &err), IB_OK);
    assert_int_equal(o.command->id, IB_COMMAND_RUN);
    assert_string_equal(o.model_id, "unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit");
    assert_string_equal(o.device, "auto");
    assert_string_equal(o.attn, "eager");
    assert_string_equal(o.dtype, "auto");
    assert_string_equal(o.log_level, "info");
    assert_int_equal(o.max_new_tokens, 256);
    assert_int_equal(o.batch, 1);
    assert_int_equal(o.repetitions, 1);
    assert_int_equal(o.warmup, 0);
    assert_int_equal(o.eos_token_id.n, 1);
    assert_int_equal(o.eos_token_id.ids[0], 1);
    assert_int_equal(o.forced_eos_token_id.ids[0], 1);
    ib_options_clear(&o);
}

static void default_prompt_is_the_references(void **state) {
    (void)state;
    char hash[65];
    assert_int_equal(strlen(ib_default_prompt), 3857);
    ib_sha256_hex(ib_default_prompt, strlen(ib_default_prompt), hash);
    assert_string_equal(hash, "975a91a9375ce422517c9ffb7caa4b23517d7bb4cdf6e1aaddda50e3621f199f");
    ib_sha256_hex(ib_default_system_prompt, strlen(ib_default_system_prompt), hash);
    assert_string_equal(hash, "11ec99cfa6e6f58a352f4aee9cdb6d96e2eca86d437158f18efc6d4fe5909b07");
}

static void spellings_are_one(void **state) {
    (void)state;
    static const char *const forms[] = {
        "run|--model-id|x|--max-new-tokens|7|--repetitions|3|--output|f",
        "-m|x|-n|7|-r|3|-o|f",
        "-mx|-n7|-r3|-of",
        "--model-id=x|--output-len=7|--num-iters=3|--output=f",
        "run|-m=x|--osl|7|-r=3|-o|f",
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        ib_options o;
        ib_error err;
        assert_int_equal(parse(&o, forms[i], &err), IB_OK);
        assert_string_equal(o.model_id, "x");
        assert_string_equal(o.output, "f");
        assert_int_equal(o.max_new_tokens, 7);
        assert_int_equal(o.repetitions, 3);
        ib_options_clear(&o);
    }
}

static void choices_take_their_first_name(void **state) {
    (void)state;
    ib_options o;
    ib_error err;
    assert_int_equal(parse(&o, "--attn|flash_attention_2|--dtype|bf16", &err), IB_OK);
    assert_string_equal(o.attn, "flash_attention");
    assert_string_equal(o.dtype, "bfloat16");
    ib_options_clear(&o);
}

static void lists_of_ids(void **state) {
    (void)state;
    ib_options o;
    ib_error err;
    assert_int_equal(parse(&o, "--token-ids|1,2,2147483647|--eos-token-id|none", &err), IB_OK);
    assert_int_equal(o.token_ids.n, 3);
    assert_int_equal(o.token_ids.ids[2], 2147483647);
    assert_true(o.eos_token_id.given);
    assert_int_equal(o.eos_token_id.n, 0);
    ib_options_clear(&o);
    expect_fail("--token-ids|1,,2", IB_E_USAGE, "--token-ids: '1,,2'");
    expect_fail("--token-ids|", IB_E_USAGE, "--token-ids");
    expect_fail("--token-ids|2147483648", IB_E_USAGE, "2147483648");
    expect_fail("--forced-eos-token-id|1,2", IB_E_USAGE, "--forced-eos-token-id");
}

static void numbers_are_strict(void **state) {
    (void)state;
    static const char *const bad[] = {"-1",   "0",       "1e9", "99999999999999999999",
                                      "0x10", " 5",      "5 ",  "5abc",
                                      "NaN",  "",        "+5",  "1000001",
                                      "5.0",  "\xD9\xA5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char words[96];
        (void)snprintf(words, sizeof words, "--max-new-tokens=%s", bad[i]);
        expect_fail(words, IB_E_USAGE, "option --max-new-tokens");
        expect_fail(words, IB_E_USAGE, "from 1 to 1000000");
    }
    expect_fail("--threads|0", IB_E_USAGE, "from 1 to 1024");
    expect_fail("--percentiles|10,101", IB_E_USAGE, "--percentiles");
    expect_fail("--percentiles|10,,50", IB_E_USAGE, "--percentiles");
    expect_fail("--percentiles|nan", IB_E_USAGE, "--percentiles");
}

static void wrong_usage_is_named(void **state) {
    (void)state;
    expect_fail("--frobnicate", IB_E_USAGE, "'frobnicate'");
    expect_fail("frobnicate", IB_E_USAGE, "'frobnicate'");
    expect_fail("run|extra", IB_E_USAGE, "'extra'");
    expect_fail("-n|5|--max-new-tokens|6", IB_E_USAGE, "given twice");
    expect_fail("--prompt|a|--prompt-file|b", IB_E_USAGE, "--prompt and --prompt-file");
    expect_fail("--token-ids|1|-p|5", IB_E_USAGE, "--token-ids and --input-len");
    expect_fail("--ignore-eos|--eos-token-id|2", IB_E_USAGE, "--ignore-eos");
    expect_fail("--max-new-tokens", IB_E_USAGE, "without its value");
    expect_fail("--ignore-eos=yes", IB_E_USAGE, "takes none");
    expect_fail("--attn|fast", IB_E_USAGE, "eager sdpa flash_attention");
    expect_fail("--device|tpu", IB_E_USAGE, "--device: 'tpu'");
    expect_fail("--device|cuda:", IB_E_USAGE, "--device");
    expect_fail("--prompt|a\xFF", IB_E_USAGE, "UTF-8");
    expect_fail("--model-id|", IB_E_INPUT, "--model-id");
    expect_fail("tokenize", IB_E_USAGE, "--model-id");
    expect_fail("logits|--model-id|x|--output|y", IB_E_USAGE, "--token-ids");
    expect_fail("quantize|a|b", IB_E_USAGE, "--quant");
    expect_fail("quantize|a", IB_E_USAGE, "SRC DST");
    expect_fail("quantize|a|b|--quant|nf4|--blocksize|96", IB_E_USAGE, "--blocksize: '96'");
    expect_fail("tokenize|-m|x|--attn|eager", IB_E_USAGE, "'tokenize' does not have");
    expect_fail("--m|x", IB_E_USAGE, "'m'");
}

/* The slowest axis is the model, the fastest the number of new tokens. */
static void lists_make_a_grid(void **state) {
    (void)state;
    ib_options o, cell;
    ib_error err;
    assert_int_equal(
        parse(&o, "-m|a,synthetic:b|--attn|sdpa,flash_attention_2|-n|1,2-8*2|-t|2", &err), IB_OK);
    assert_int_equal(ib_options_n_cells(&o), 16);
    assert_int_equal(o.repetitions, 5);
    assert_int_equal(o.warmup, 1);
    assert_int_equal(ib_options_cell(&o, 0, &cell, &err), IB_OK);
    assert_string_equal(cell.model_id, "a");
    assert_int_equal(cell.input_len, 0);
    assert_int_equal(cell.max_new_tokens, 1);
    assert_int_equal(ib_options_cell(&o, 15, &cell, &err), IB_OK);
    assert_string_equal(cell.model_id, "synthetic:b");
    assert_int_equal(cell.input_len, 512); /* of synthetic models only */
    assert_string_equal(cell.attn, "flash_attention");
    assert_int_equal(cell.max_new_tokens, 8);
    assert_int_equal(cell.threads, 2);
    assert_int_equal(ib_options_cell(&o, 4, &cell, &err), IB_OK);
    assert_string_equal(cell.attn, "flash_attention");
    assert_int_equal(cell.max_new_tokens, 1);
    ib_options_clear(&o);

    assert_int_equal(parse(&o, "-n|1,2|-r|3|--warmup|0", &err), IB_OK);
    assert_int_equal(o.repetitions, 3);
    assert_int_equal(o.warmup, 0);
    ib_options_clear(&o);
    assert_int_equal(parse(&o, "-n|7", &err), IB_OK);
    assert_int_equal(ib_options_n_cells(&o), 1);
    assert_int_equal(o.repetitions, 1);
    ib_options_clear(&o);

    expect_fail("-n|1,,2", IB_E_USAGE, "--max-new-tokens: '1,,2'");
    expect_fail("-n|1,0", IB_E_USAGE, "--max-new-tokens: '1,0'");
    expect_fail("-n|1-1000000", IB_E_RESOURCE, "more than 4096 values");
    expect_fail("-n|1-4000|-d|0-3", IB_E_RESOURCE, "more than 10000 cells");
    expect_fail("--attn|eager,fast", IB_E_USAGE, "--attn: 'fast'");
    expect_fail("--attn|eager,", IB_E_USAGE, "one comma between");
    expect_fail("--device|cpu,gpu", IB_E_USAGE, "--device: 'gpu'");
    expect_fail("-m|synthetic:x,b|--quant|nf4", IB_E_UNSUPPORTED, "--quant: 'nf4'");
    expect_fail("--dtype|bf16,fp32|--compute|int8", IB_E_USAGE, "exclude each other");
    expect_fail("logits|-m|x|--token-ids|1|-o|y|--attn|eager,sdpa", IB_E_USAGE, "lists are for");
    expect_fail("--resume", IB_E_USAGE, "--output");
}

static void later_things_are_refused_by_name(void **state) {
    (void)state;
    static const char *const words[] = {
        "--quant|nf4",
        "--print-config",
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        expect_fail(words[i], IB_E_UNSUPPORTED, "comes with a later version");
    ib_options o;
    ib_error err;
    assert_int_equal(parse(&o, "--quant|none|--depth|5|--processes|1|--roofline|off", &err), IB_OK);
    ib_options_clear(&o);
}

static void compare_hands_on_what_is_not_its_own(void **state) {
    (void)state;
    ib_options o;
    ib_error err;
    static const char *const passed[] = {"-b", "4", "--attn=sdpa", "--ignore-eos", "-n8",
                                         "-t", "1"};
    assert_int_equal(
        parse(&o, "compare|--a|-d 5|-b|4|--attn=sdpa|--ignore-eos|-n8|--b||-t|1", &err), IB_OK);
    assert_string_equal(o.side_a, "-d 5");
    assert_string_equal(o.side_b, "");
    assert_int_equal(o.n_run_args, sizeof passed / sizeof *passed);
    for (size_t i = 0; i < o.n_run_args; i++)
        assert_string_equal(o.run_args[i], passed[i]);
    ib_options_clear(&o);
    expect_fail("compare|a|b|-n|5", IB_E_USAGE, "stored records");
    expect_fail("compare|--a|x|--ids|5", IB_E_USAGE, "'compare' does not have");
    expect_fail("compare|--a|x|-a|y", IB_E_USAGE, "does not have");
    expect_fail("compare|a", IB_E_USAGE, "--a and --b");
    expect_fail("compare|--a|x|--a|y", IB_E_USAGE, "given twice");
}

static void json_errors_are_seen_early(void **state) {
    (void)state;
    char *a[] = {"inferbench", "--bad", "--errors", "json"}, *b[] = {"inferbench", "--errors=json"};
    char *c[] = {"inferbench", "--errors"};
    assert_true(ib_options_want_json_errors(4, a));
    assert_true(ib_options_want_json_errors(2, b));
    assert_false(ib_options_want_json_errors(2, c));
}

static void every_row_is_in_help_and_manual(void **state) {
    (void)state;
    ib_error err;
    ib_buf man, bash;
    ib_buf_init(&man);
    ib_buf_init(&bash);
    assert_int_equal(ib_help_man(&man, &err), IB_OK);
    assert_int_equal(ib_help_completion(&bash, &err), IB_OK);
    for (size_t i = 0; i < ib_option_n_rows; i++) {
        const ib_option *row = &ib_option_rows[i];
        char name[64], escaped[64];
        size_t n = 0;
        if (row->kind == IB_OPTION_LATER)
            continue;
        (void)snprintf(name, sizeof name, "--%s", row->name);
        for (const char *p = name; *p; p++) {
            if (*p == '-')
                escaped[n++] = '\\';
            escaped[n++] = *p;
        }
        escaped[n] = '\0';
        if (!strstr(man.ptr, escaped) || !strstr(bash.ptr, name))
            fail_msg("%s is missing", name);
        for (size_t c = 0; c < IB_COMMAND_COUNT; c++) {
            ib_buf help;
            ib_buf_init(&help);
            if (!(row->commands >> c & 1))
                continue;
            assert_int_equal(ib_help_command(&ib_commands[c], &help, &err), IB_OK);
            if (!strstr(help.ptr, name))
                fail_msg("%s is missing in the help of %s", name, ib_commands[c].name);
            ib_buf_clear(&help);
        }
    }
    ib_buf_clear(&man);
    ib_buf_clear(&bash);
}

static void names_are_unambiguous(void **state) {
    (void)state;
    for (size_t i = 0; i < ib_option_n_rows; i++)
        for (size_t k = i + 1; k < ib_option_n_rows; k++) {
            const ib_option *a = &ib_option_rows[i], *b = &ib_option_rows[k];
            ib_str name = ib_str_of(b->name);
            if (!(a->commands & b->commands))
                continue;
            if (ib_str_is(name, a->name) || ib_option_has_alias(a, name) ||
                ib_option_has_alias(b, ib_str_of(a->name)))
                fail_msg("--%s and --%s", a->name, b->name);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_references),
        cmocka_unit_test(default_prompt_is_the_references),
        cmocka_unit_test(spellings_are_one),
        cmocka_unit_test(choices_take_their_first_name),
        cmocka_unit_test(lists_of_ids),
        cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(wrong_usage_is_named),
        cmocka_unit_test(lists_make_a_grid),
        cmocka_unit_test(later_things_are_refused_by_name),
        cmocka_unit_test(compare_hands_on_what_is_not_its_own),
        cmocka_unit_test(json_errors_are_seen_early),
        cmocka_unit_test(every_row_is_in_help_and_manual),
        cmocka_unit_test(names_are_unambiguous),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
