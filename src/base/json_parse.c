/* SPDX-License-Identifier: MIT
 * JSON text -> a tree of jansson's values. A reader of our own in front of jansson's constructors:
 * its own parser loses bytes of strings, or runs past them, when an allocation fails on the way
 * (strbuffer of 2.14), and it refuses integers beyond 64 bits. Each constructor's answer is looked
 * at here, so out of memory is a status like any other. One pass; the text is never changed. */
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

typedef struct parser {
    const char *begin, *p, *end;
    const char *what;
    ib_buf text; /* a string with escapes, decoded */
    int depth;
    ib_error *err;
} parser;

static ib_status bad(const parser *s, const char *at, const char *problem) {
    char name[IB_QUOTED];
    size_t line = 1, column = 1;
    for (const char *q = s->begin; q < at; q++) {
        column = *q == '\n' ? 1 : column + (((unsigned char)*q & 0xC0) != 0x80);
        line += *q == '\n';
    }
    return ib_fail(s->err, IB_E_FORMAT,
                   "invalid JSON in %s at line %zu column %zu (byte %zu): %s; fix: re-download "
                   "the file",
                   ib_quotez(s->what, name), line, column, (size_t)(at - s->begin), problem);
}

static ib_status no_memory(const parser *s) {
    return ib_fail_memory(s->err, (size_t)(s->end - s->begin), "JSON values");
}

static void skip_blanks(parser *s) {
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static bool take(parser *s, char c) {
    skip_blanks(s);
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

/* --- strings --- */

static bool hex4(const char *p, const char *end, uint32_t *out) {
    uint32_t v = 0;
    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        const char c = p[i], low = (char)(c | 32);
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint32_t)(c - '0');
        else if (low >= 'a' && low <= 'f')
            v = v << 4 | (uint32_t)(low - 'a' + 10);
        else
            return false;
    }
    *out = v;
    return true;
}

/* The escape at s->p (a backslash) as a code point; s->p moves behind it. */
static ib_status parse_escape(parser *s, uint32_t *cp) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = s->p++;
    const char *known = s->p < s->end && *s->p ? strchr(from, *s->p) : NULL;
    uint32_t low;
    if (known) {
        *cp = (unsigned char)to[known - from];
        s->p++;
        return IB_OK;
    }
    if (s->p == s->end || *s->p != 'u' || !hex4(s->p + 1, s->end, cp))
        return bad(s, at, "invalid escape");
    s->p += 5;
    if (*cp < 0xD800 || *cp > 0xDFFF)
        return IB_OK;
    if (*cp > 0xDBFF || s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u' ||
        !hex4(s->p + 2, s->end, &low) || low < 0xDC00 || low > 0xDFFF)
        return bad(s, at, "invalid Unicode escape: half of a surrogate pair");
    s->p += 6;
    *cp = 0x10000 + ((*cp - 0xD800) << 10) + (low - 0xDC00);
    return IB_OK;
}

/* Behind the opening quote: up to the next escape, quote or end. */
static ib_status plain_run(parser *s) {
    while (s->p < s->end && *s->p != '"' && *s->p != '\\') {
        uint32_t cp;
        if ((unsigned char)*s->p < 0x20)
            return bad(s, s->p, "control character in a string");
        const size_t n = ib_utf8_decode(s->p, s->end, &cp);
        if (!n)
            return bad(s, s->p, "not UTF-8");
        s->p += n;
    }
    return s->p < s->end ? IB_OK : bad(s, s->end, "the text ends inside a string");
}

/* *out is a slice of the text, or of s->text when there are escapes: use it before the next one. */
static ib_status parse_string(parser *s, ib_str *out) {
    const char *start = ++s->p;
    IB_TRY(plain_run(s));
    *out = (ib_str){start, (size_t)(s->p - start)};
    if (*s->p == '\\') {
        ib_buf_reset(&s->text);
        IB_TRY(ib_buf_add(&s->text, start, out->len, s->err));
        while (*s->p == '\\') {
            uint32_t cp = 0;
            IB_TRY(parse_escape(s, &cp));
            IB_TRY(ib_buf_add_utf8(&s->text, cp, s->err));
            start = s->p;
            IB_TRY(plain_run(s));
            IB_TRY(ib_buf_add(&s->text, start, (size_t)(s->p - start), s->err));
        }
        *out = (ib_str){s->text.ptr, s->text.len};
    }
    s->p++;
    return IB_OK;
}

/* --- numbers --- */

static size_t digits(parser *s) {
    const char *start = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return (size_t)(s->p - start);
}

/* -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool number_syntax(parser *s, bool *real) {
    *real = false;
    s->p += *s->p == '-';
    const char *first = s->p;
    const size_t n = digits(s);
    if (n == 0 || (n > 1 && *first == '0'))
        return false;
    if (s->p < s->end && *s->p == '.') {
        *real = true;
        s->p++;
        if (!digits(s))
            return false;
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        *real = true;
        s->p++;
        s->p += s->p < s->end && (*s->p == '+' || *s->p == '-');
        return digits(s) > 0;
    }
    return true;
}

static ib_status parse_number(parser *s, json_t **out) {
    const char *start = s->p;
    bool real;
    int64_t integer;
    double value;
    if (!number_syntax(s, &real))
        return bad(s, start, "invalid number");
    const ib_str text = {start, (size_t)(s->p - start)};
    if (!real && ib_parse_i64(text, &integer))
        *out = json_integer((json_int_t)integer);
    else if (ib_parse_double(text, &value))
        *out = json_real(value);
    else
        return bad(s, start, "real number overflow");
    return *out ? IB_OK : no_memory(s);
}

/* --- values --- */

static ib_status parse_value(parser *s, json_t **out);

static ib_status duplicate(const parser *s, const char *at, ib_str key) {
    char quoted[IB_QUOTED], problem[IB_QUOTED + 32];
    (void)snprintf(problem, sizeof problem, "duplicate object key %s", ib_quote(key, quoted));
    return bad(s, at, problem);
}

static ib_status parse_key(parser *s, const json_t *object, ib_str *key) {
    skip_blanks(s);
    const char *at = s->p;
    if (s->p == s->end || *s->p != '"')
        return bad(s, s->p,
                   s->p == s->end ? "the text ends too early" : "expected a string or '}'");
    IB_TRY(parse_string(s, key));
    if (key->len && memchr(key->ptr, '\0', key->len))
        return bad(s, at, "NUL byte in an object's key");
    if (json_object_getn(object, key->len ? key->ptr : "", key->len))
        return duplicate(s, at, *key);
    return IB_OK;
}

static ib_status parse_member(parser *s, json_t *object) {
    ib_str key = {NULL, 0};
    json_t *value = NULL;
    IB_TRY(parse_key(s, object, &key));
    char *copy = ib_strndup(key.ptr, key.len); /* the value may have escapes too */
    if (!copy)
        return no_memory(s);
    ib_status st = take(s, ':') ? parse_value(s, &value) : bad(s, s->p, "expected ':'");
    if (st == IB_OK && json_object_setn_new_nocheck(object, copy, key.len, value) != 0)
        st = no_memory(s);
    free(copy);
    return st;
}

static ib_status parse_element(parser *s, json_t *array) {
    json_t *value = NULL;
    IB_TRY(parse_value(s, &value));
    return json_array_append_new(array, value) == 0 ? IB_OK : no_memory(s);
}

/* An object or an array, at its first character. */
static ib_status parse_group(parser *s, json_t **out) {
    char name[IB_QUOTED];
    const bool object = *s->p == '{';
    const char close = object ? '}' : ']';
    if (++s->depth > MAX_DEPTH)
        return ib_fail(s->err, IB_E_FORMAT,
                       "JSON nested deeper than 64 in %s at byte %zu; fix: re-download the file",
                       ib_quotez(s->what, name), (size_t)(s->p - s->begin));
    s->p++;
    json_t *group = object ? json_object() : json_array();
    if (!group)
        return no_memory(s);
    ib_status st = IB_OK;
    for (bool more = !take(s, close); more && st == IB_OK;) {
        st = object ? parse_member(s, group) : parse_element(s, group);
        more = st == IB_OK && take(s, ',');
        if (st == IB_OK && !more && !take(s, close))
            st =
                bad(s, s->p, s->p == s->end ? "the text ends too early" : "expected ',' or an end");
    }
    if (st != IB_OK) {
        json_decref(group);
        return st;
    }
    s->depth--;
    *out = group;
    return IB_OK;
}

static ib_status parse_word(parser *s, json_t **out) {
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        const size_t n = strlen(words[i]);
        if ((size_t)(s->end - s->p) >= n && memcmp(s->p, words[i], n) == 0) {
            s->p += n;
            *out = i == 0 ? json_true() : i == 1 ? json_false() : json_null();
            return IB_OK;
        }
    }
    return bad(s, s->p, "invalid token");
}

static ib_status parse_value(parser *s, json_t **out) {
    ib_str text;
    skip_blanks(s);
    if (s->p == s->end)
        return bad(s, s->p, "the text ends too early");
    if (*s->p == '{' || *s->p == '[')
        return parse_group(s, out);
    if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9'))
        return parse_number(s, out);
    if (*s->p != '"')
        return parse_word(s, out);
    IB_TRY(parse_string(s, &text));
    *out = json_stringn_nocheck(text.len ? text.ptr : "", text.len);
    return *out ? IB_OK : no_memory(s);
}

ib_status ib_json_parse(json_t **out, ib_str text, const char *what, ib_error *err) {
    const char *begin = text.len ? text.ptr : "";
    parser s = {.begin = begin, .p = begin, .end = begin + text.len, .what = what, .err = err};
    json_t *value = NULL;
    *out = NULL;
    if (text.len >= 3 && memcmp(begin, "\xEF\xBB\xBF", 3) == 0)
        s.p += 3;
    ib_buf_init(&s.text);
    skip_blanks(&s);
    ib_status st = s.p < s.end && (*s.p == '{' || *s.p == '[')
                       ? parse_value(&s, &value)
                       : bad(&s, s.p, "expected '[' or '{'");
    skip_blanks(&s);
    if (st == IB_OK && s.p != s.end)
        st = bad(&s, s.p, "something follows the value");
    ib_buf_clear(&s.text);
    if (st == IB_OK)
        *out = value;
    else
        json_decref(value);
    return st;
}
