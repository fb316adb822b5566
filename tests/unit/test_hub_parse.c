/* SPDX-License-Identifier: MIT
 * The hub client's pure parsers: names, URLs, headers, lists of files, refs. */
#include "hub/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A copy that ends where its memory ends, so that a reader past the end is seen. */
static char *exact(const char *text, size_t n) {
    char *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, text, n);
    return copy;
}

static void file_names(void **state) {
    (void)state;
    static const char *const good[] = {
        "config.json", "a/b.jinja", ".gitattributes", "a b",   "\xC3\xA9.json",
        "..a",         "a..",       "con1",           "x.git", "..."};
    static const char *const bad[] = {"",       ".",        "..",      "../x",     "/etc/passwd",
                                      "a/../b", "a//b",     "a/",      "a/.",      "..\\x",
                                      "C:x",    "\\\\h\\s", "a\nb",    "a\x7F",    ".git/config",
                                      ".GIT",   "a/.git",   "nul",     "CON.json", "a/com1.txt",
                                      "\xFF",   "\xC0\xAE", "file://x"};
    char long_name[1100];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!ib_hub_file_ok(ib_str_of(good[i])))
            fail_msg("'%s' is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (ib_hub_file_ok(ib_str_of(bad[i])))
            fail_msg("'%s' is accepted", bad[i]);
    assert_false(ib_hub_file_ok((ib_str){"a\0b", 3}));
    memset(long_name, 'x', sizeof long_name);
    assert_true(ib_hub_file_ok((ib_str){long_name, 255}));
    assert_false(ib_hub_file_ok((ib_str){long_name, 256}));
    for (size_t i = 200; i < sizeof long_name; i += 200)
        long_name[i] = '/';
    assert_true(ib_hub_file_ok((ib_str){long_name, 1024}));
    assert_false(ib_hub_file_ok((ib_str){long_name, 1025}));
}

static void refs(void **state) {
    (void)state;
    char commit[41];
    assert_true(ib_hub_ref_parse(IB_STR("0123456789abcdef0123456789abcdef01234567 \r\n"), commit));
    assert_string_equal(commit, "0123456789abcdef0123456789abcdef01234567");
    assert_false(ib_hub_ref_parse(IB_STR("0123456789ABCDEF0123456789abcdef01234567"), commit));
    assert_false(ib_hub_ref_parse(IB_STR("0123456789abcdef0123456789abcdef0123456"), commit));
    assert_false(ib_hub_ref_parse(IB_STR("../../../../../../../../../../../etc/pas"), commit));
    assert_false(ib_hub_ref_parse(IB_STR("\n\n"), commit));
    assert_false(ib_hub_ref_parse((ib_str){NULL, 0}, commit));
}

static void urls(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "http://",
                                      "https://",
                                      "ftp://x",
                                      "//x/y",
                                      "x",
                                      "https:/x",
                                      "https://a b",
                                      "https://a\n",
                                      "https://:80",
                                      "https://a:0",
                                      "https://a:65536",
                                      "https://a:99999999999999999999",
                                      "https://u@h",
                                      "https://u:p@h/x",
                                      "https://[::1",
                                      "https://a_%41",
                                      "file:///etc/passwd"};
    ib_hub_url a, b;
    assert_true(ib_hub_url_parse(IB_STR("HTTPS://Host.Example:8443/p/q?x#y"), &a));
    assert_true(a.tls && a.port == 8443 && ib_str_is(a.host, "Host.Example"));
    assert_true(ib_str_is(a.rest, "/p/q?x#y"));
    assert_true(ib_hub_url_parse(IB_STR("https://host.example:8443"), &b));
    assert_true(ib_hub_url_same_origin(&a, &b) && b.rest.len == 0);
    assert_true(ib_hub_url_parse(IB_STR("http://host.example:8443"), &b));
    assert_false(ib_hub_url_same_origin(&a, &b));
    assert_true(ib_hub_url_parse(IB_STR("https://host.example"), &b) && b.port == 443);
    assert_false(ib_hub_url_same_origin(&a, &b));
    assert_true(ib_hub_url_parse(IB_STR("http://[::1]:5/"), &b) && b.port == 5);
    assert_true(ib_hub_url_is_loopback(&b));
    assert_true(ib_hub_url_parse(IB_STR("http://127.0.0.1.evil.com/"), &b));
    assert_false(ib_hub_url_is_loopback(&b));
    assert_true(ib_hub_url_parse(IB_STR("http://127.8.0.1"), &b) && ib_hub_url_is_loopback(&b));
    assert_true(ib_hub_url_parse(IB_STR("http://localhost"), &b) && ib_hub_url_is_loopback(&b));
    assert_true(ib_hub_url_parse(IB_STR("http://localhost.x"), &b));
    assert_false(ib_hub_url_is_loopback(&b));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (ib_hub_url_parse(ib_str_of(bad[i]), &a))
            fail_msg("'%s' is accepted", bad[i]);
}

static void endpoints(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "/",
                                      "huggingface.co",
                                      "http://huggingface.co",
                                      "ftp://x",
                                      "https://user:secret@h",
                                      "https://h?x=1",
                                      "https://h#x",
                                      "https://h/a b",
                                      "http://127.0.0.1.evil.com"};
    ib_str out;
    ib_error err;
    assert_int_equal(ib_hub_endpoint_parse(IB_STR("https://h.x/base//"), &out, &err), IB_OK);
    assert_true(ib_str_is(out, "https://h.x/base"));
    assert_int_equal(ib_hub_endpoint_parse(IB_STR("http://localhost:8080"), &out, &err), IB_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ib_error_clear(&err);
        if (ib_hub_endpoint_parse(ib_str_of(bad[i]), &out, &err) != IB_E_USAGE)
            fail_msg("'%s' is accepted", bad[i]);
        assert_null(strstr(err.text, "secret"));
        assert_non_null(strstr(err.text, "; fix: "));
    }
}

static void joins(void **state) {
    (void)state;
    static const char *const rows[][3] = {
        {"https://h/a/b?q", "https://x/y", "https://x/y"},
        {"https://h/a/b?q/r", "/y?z", "https://h/y?z"},
        {"https://h:8/a/b?q/r", "c", "https://h:8/a/c"},
        {"https://h", "c", "https://h/c"},
        {"https://h?x/y", "c", "https://h/c"},
        {"http://h/a", "//x/y", "http://x/y"},
        {"https://h/a", "file:///etc/passwd", NULL},
        {"https://h/a", "", NULL},
        {"https://h/a", "https://u:p@x/", NULL},
        {"https://h/a", "/a b", NULL},
        {"https://h/a", "javascript:x", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ib_buf out;
        ib_error err;
        ib_buf_init(&out);
        ib_status st = ib_hub_url_join(ib_str_of(rows[i][0]), ib_str_of(rows[i][1]), &out, &err);
        assert_int_equal(st, rows[i][2] ? IB_OK : IB_E_NETWORK);
        if (rows[i][2])
            assert_string_equal(out.ptr, rows[i][2]);
        ib_buf_clear(&out);
    }
    ib_buf out;
    ib_buf_init(&out);
    assert_int_equal(ib_hub_url_escape(&out, IB_STR("refs/pr/1 \xC3\xA9%"), false, NULL), IB_OK);
    assert_int_equal(ib_hub_url_escape(&out, IB_STR("/a~b"), true, NULL), IB_OK);
    assert_string_equal(out.ptr, "refs%2Fpr%2F1%20%C3%A9%25/a~b");
    ib_buf_clear(&out);
}

static ib_status headers(ib_hub_headers *h, const char *text, ib_error *err) {
    static char *kept; /* slices stay valid until the next call */
    free(kept);
    kept = exact(text, strlen(text));
    ib_error_clear(err);
    ib_status st = ib_hub_headers_parse(h, (ib_str){kept, strlen(text)}, err);
    return st;
}

static void good_headers(void **state) {
    (void)state;
    ib_hub_headers h;
    ib_error err;
    assert_int_equal(
        headers(&h,
                "HTTP/1.1 200 OK\r\nETag: \"first\"\r\n\r\n"
                "HTTP/1.1 302 Found\r\nx-repo-commit: 0123456789abcdef0123456789abcdef01234567\r\n"
                "X-Linked-Etag: W/\"abc\"\r\nETag: \"own\"\r\nX-Linked-Size:  12 \r\n"
                "Location: https://x/y?z=1\r\nno colon\r\n folded: 1\r\nContent-Length: 5\r\n"
                "Content-Length: 5\r\nX-Error-Code: GatedRepo\r\n\r\n",
                &err),
        IB_OK);
    assert_int_equal(h.status, 302);
    assert_string_equal(h.etag, "abc");
    assert_string_equal(h.own_etag, "own");
    assert_string_equal(h.commit, "0123456789abcdef0123456789abcdef01234567");
    assert_true(h.has_linked_size && h.linked_size == 12 && h.has_length && h.length == 5);
    assert_true(ib_str_is(h.location, "https://x/y?z=1") && ib_str_is(h.error_code, "GatedRepo"));
    assert_int_equal(headers(&h, "HTTP/2 206\r\nContent-Range: bytes 5-9/10", &err), IB_OK);
    assert_true(h.status == 206 && h.has_range && h.range_first == 5 && h.range_last == 9 &&
                h.total == 10);
    assert_int_equal(headers(&h, "HTTP/1.1 416 x\r\nContent-Range: bytes */10\r\n", &err), IB_OK);
    assert_false(h.has_range);
    assert_int_equal(headers(&h, "", &err), IB_OK);
    assert_int_equal(h.status, 0);
    assert_int_equal(headers(&h, "HTTP/1.1 2x0 OK\r\n:\r\n", &err), IB_OK);
    assert_int_equal(h.status, 0);
}

static void bad_headers(void **state) {
    (void)state;
    static const char *const bad[] = {"Content-Length: -1",
                                      "Content-Length: 18446744073709551616",
                                      "Content-Length: 9223372036854775808",
                                      "Content-Length: 1\r\nContent-Length: 2",
                                      "Content-Length: 0x10",
                                      "X-Linked-Size: 1e3",
                                      "X-Repo-Commit: ../../etc",
                                      "ETag: \"../../x\"",
                                      "ETag: \"\"",
                                      "ETag: \".hidden\"",
                                      "ETag: \"a/b\"",
                                      "X-Linked-Etag: \"a\\b\"",
                                      "Content-Range: bytes 5-4/10",
                                      "Content-Range: bytes 0-10/10",
                                      "Content-Range: bytes 0-1",
                                      "Content-Range: bytes -1/5",
                                      "Content-Range: bytes a-b/c"};
    ib_hub_headers h;
    ib_error err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (headers(&h, bad[i], &err) != IB_E_NETWORK || !strstr(err.text, "; fix: "))
            fail_msg("'%s' is accepted", bad[i]);
    char *big = malloc(IB_HUB_HEADERS_MAX + 1);
    assert_non_null(big);
    memset(big, 'x', IB_HUB_HEADERS_MAX + 1);
    assert_int_equal(ib_hub_headers_parse(&h, (ib_str){big, IB_HUB_HEADERS_MAX}, &err), IB_OK);
    assert_int_equal(ib_hub_headers_parse(&h, (ib_str){big, IB_HUB_HEADERS_MAX + 1}, &err),
                     IB_E_NETWORK);
    free(big);
}

static void retry_after(void **state) {
    (void)state;
    const int64_t now = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT */
    assert_int_equal(ib_hub_retry_after(IB_STR("120"), now), 120);
    assert_int_equal(ib_hub_retry_after(IB_STR("0"), now), 0);
    assert_int_equal(ib_hub_retry_after(IB_STR("1000000000"), now), 1000000000);
    assert_int_equal(ib_hub_retry_after(IB_STR("99999999999"), now), INT32_MAX);
    assert_int_equal(ib_hub_retry_after(IB_STR("99999999999999999999999"), now), -1);
    assert_int_equal(ib_hub_retry_after(IB_STR("-5"), now), -1);
    assert_int_equal(ib_hub_retry_after(IB_STR(""), now), -1);
    assert_int_equal(ib_hub_retry_after(IB_STR("Sun, 06 Nov 1994 08:49:47 GMT"), now), 10);
    assert_int_equal(ib_hub_retry_after(IB_STR("Sun, 06 Nov 1994 08:49:27 GMT"), now), 0);
    assert_int_equal(ib_hub_retry_after(IB_STR("Sun, 06 Nov 9999 08:49:27 GMT"), now), INT32_MAX);
    assert_int_equal(ib_hub_retry_after(IB_STR("Sun, 06 Xxx 1994 08:49:27 GMT"), now), -1);
    assert_int_equal(ib_hub_retry_after(IB_STR("Sun, 99 Nov 1994 08:49:27 GMT"), now), -1);
}

static void link_headers(void **state) {
    (void)state;
    assert_true(
        ib_str_is(ib_hub_link_next(IB_STR("<https://h/a?c=1>; rel=\"next\"")), "https://h/a?c=1"));
    assert_true(ib_str_is(
        ib_hub_link_next(IB_STR("<https://h/p>; rel=\"prev\", <https://h/n>; x=1; rel=next")),
        "https://h/n"));
    static const char *const none[] = {"",         "<", "<>",        "<a", "<a>; rel=\"prev\"",
                                       "rel=next", ">", "<a>rel=nex"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        char *text = exact(none[i], strlen(none[i]));
        assert_int_equal(ib_hub_link_next((ib_str){text, strlen(none[i])}).len, 0);
        free(text);
    }
}

static ib_status all_of(const char *text, size_t *n, ib_hub_entry *last, ib_error *err) {
    char *copy = exact(text, strlen(text));
    ib_str rest = {copy, strlen(text)};
    bool found = true;
    ib_status st = IB_OK;
    ib_error_clear(err);
    for (*n = 0; st == IB_OK && found; *n += found) {
        ib_hub_entry e;
        st = ib_hub_listing_next(&rest, &found, &e, err);
        if (found)
            *last = e;
    }
    free(copy);
    return st;
}

static void listings(void **state) {
    (void)state;
    static const char hash64[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    char text[1024];
    size_t n;
    ib_hub_entry e = {0};
    ib_error err;
    assert_int_equal(all_of(" [ ] ", &n, &e, &err), IB_OK);
    assert_int_equal(n, 0);
    (void)snprintf(text, sizeof text,
                   "[{\"type\":\"directory\",\"path\":\"x\",\"oid\":\"%.40s\",\"size\":0} , "
                   "{\"type\":\"file\",\"path\":\"a \\\"}]\",\"oid\":\"%.40s\",\"size\":5,"
                   "\"lfs\":{\"oid\":\"%s\",\"size\":77,\"pointerSize\":1}}]",
                   hash64, hash64, hash64);
    assert_int_equal(all_of(text, &n, &e, &err), IB_OK);
    assert_int_equal(n, 2);
    assert_string_equal(e.name, "a \"}]");
    assert_true(e.is_file && e.size == 77);
    assert_string_equal(e.etag, hash64);
    /* every prefix is refused, none is read past its end */
    for (size_t len = 0; len + 1 < strlen(text); len++) {
        char *copy = exact(text, len);
        ib_str rest = {copy, len};
        bool found = true;
        ib_status st = IB_OK;
        while (st == IB_OK && found)
            st = ib_hub_listing_next(&rest, &found, &e, &err);
        assert_int_equal(st, IB_E_NETWORK);
        free(copy);
    }
}

static void bad_listings(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "null",
        "<html>",
        "[1]",
        "[[]]",
        "[{}]",
        "[{}",
        "[]]",
        "[] []",
        "[{\"type\":\"file\",\"path\":\"../x\"}]",
        "[{\"type\":\"file\",\"path\":\"/etc/passwd\"}]",
        "[{\"type\":\"file\",\"path\":\"a\\u0000b\"}]",
        "[{\"type\":\"file\",\"path\":\".git/config\"}]",
        "[{\"type\":\"file\",\"path\":\"nul\"}]",
        "[{\"type\":\"file\",\"path\":\"a\",\"oid\":\"abc\"}]",
        "[{\"type\":\"file\",\"path\":\"a\",\"lfs\":{\"oid\":\"abc\",\"size\":1}}]",
        "[{\"type\":\"file\",\"path\":\"a\",\"size\":-1}]",
        "[{\"type\":\"file\",\"path\":\"a\",\"size\":1.5}]",
        "[{\"type\":\"file\",\"path\":\"a\",\"size\":18446744073709551616}]",
        "[{\"type\":\"file\",\"path\":1}]",
        "[{\"path\":\"a\"}]",
        "[{\"type\":\"file\",\"path\":\"a\"}{\"type\":\"file\",\"path\":\"b\"}]",
    };
    size_t n;
    ib_hub_entry e;
    ib_error err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (all_of(bad[i], &n, &e, &err) != IB_E_NETWORK || !strstr(err.text, "; fix: "))
            fail_msg("'%s' is accepted", bad[i]);
    char *deep = malloc(70000);
    assert_non_null(deep);
    memset(deep, '[', 70000);
    memcpy(deep, "[{\"a\":", 6);
    ib_str rest = {deep, 70000};
    bool found;
    assert_int_equal(ib_hub_listing_next(&rest, &found, &e, &err), IB_E_NETWORK);
    free(deep);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_names),   cmocka_unit_test(refs),
        cmocka_unit_test(urls),         cmocka_unit_test(endpoints),
        cmocka_unit_test(joins),        cmocka_unit_test(good_headers),
        cmocka_unit_test(bad_headers),  cmocka_unit_test(retry_after),
        cmocka_unit_test(link_headers), cmocka_unit_test(listings),
        cmocka_unit_test(bad_listings),
    };
    return cmocka_run_group_tests_name("hub_parse", tests, NULL, NULL);
}
