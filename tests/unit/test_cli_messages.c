/* SPDX-License-Identifier: MIT
 * The error line of the contract: its form, its length, and the same as JSON. */

#include "support.h"

#include "cli/messages.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void line_has_the_form(void **state) {
    (void)state;
    char line[IB_ERROR_LINE + 1];
    ib_error err;
    (void)ib_fail(&err, IB_E_FORMAT, "bad header in 'x': 7; fix: download it again");
    size_t n = ib_messages_error_line(&err, line);
    assert_string_equal(line, "inferbench: error: bad header in 'x': 7; fix: download it again "
                              "[E-FORMAT]\n");
    assert_int_equal(n, strlen(line));
    (void)ib_fail(&err, IB_E_DEVICE, "no device in 'cuda:3'");
    (void)ib_messages_error_line(&err, line);
    assert_string_equal(
        line,
        "inferbench: error: no device in 'cuda:3'; fix: see 'inferbench devices' [E-DEVICE]\n");
}

static void long_texts_keep_their_end(void **state) {
    (void)state;
    for (size_t n = 300; n < 620; n++) {
        char line[IB_ERROR_LINE + 1], text[640];
        ib_error err;
        for (size_t i = 0; i < n; i += 2)
            memcpy(text + i, "\xC3\xA9", 2);
        text[n & ~(size_t)1] = '\0';
        (void)ib_fail(&err, IB_E_INPUT, "%s; fix: look", text);
        size_t len = ib_messages_error_line(&err, line);
        assert_true(len <= IB_ERROR_LINE);
        assert_int_equal(ib_utf8_valid_prefix(line, len), len);
        if (strlen(err.text) < sizeof err.text - 1) /* else the fix itself was cut */
            assert_non_null(strstr(line, "; fix: look [E-INPUT]\n"));
        else
            assert_non_null(strstr(line, " [E-INPUT]\n"));
    }
}

static void json_says_the_same(void **state) {
    (void)state;
    ib_error err;
    ib_buf out;
    ib_buf_init(&out);
    (void)ib_fail(&err, IB_E_OUTPUT, "cannot write in '\"x\"': full; fix: free space");
    assert_int_equal(ib_messages_error_json(&err, &out), IB_OK);
    json_t *o = json_loads(out.ptr, 0, NULL);
    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, "code")), "E-OUTPUT");
    assert_int_equal(json_integer_value(json_object_get(o, "exit_code")), 8);
    assert_string_equal(json_string_value(json_object_get(o, "error")),
                        "cannot write in '\"x\"': full");
    assert_string_equal(json_string_value(json_object_get(o, "fix")), "free space");
    json_decref(o);
    ib_buf_clear(&out);
}

static void every_status_has_a_fix(void **state) {
    (void)state;
#define X(name, code, meaning)                                                                     \
    {                                                                                              \
        char line[IB_ERROR_LINE + 1];                                                              \
        ib_error err;                                                                              \
        (void)ib_fail(&err, IB_E_##name, "something");                                             \
        (void)ib_messages_error_line(&err, line);                                                  \
        assert_non_null(strstr(line, "; fix: "));                                                  \
        assert_non_null(strstr(line, "[E-" #name "]\n"));                                          \
    }
    IB_STATUS_TABLE(X)
#undef X
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_has_the_form),
        cmocka_unit_test(long_texts_keep_their_end),
        cmocka_unit_test(json_says_the_same),
        cmocka_unit_test(every_status_has_a_fix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
