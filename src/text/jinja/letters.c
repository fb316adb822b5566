/* SPDX-License-Identifier: MIT
 * What Python's str methods know about letters: classes, case mappings, titles. Categories and
 * simple mappings come from utf8proc, the rest from unicode_tables.h. */
#include "text/jinja/value.h"

#include "text/jinja/unicode_tables.h"

#include <string.h>
#include <utf8proc.h>

uint32_t ib_jinja_char_at(const char *p, size_t *len) {
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0x80)
        return *len = 1, u[0];
    if (u[0] < 0xE0)
        return *len = 2, (uint32_t)(u[0] & 0x1F) << 6 | (u[1] & 0x3Fu);
    if (u[0] < 0xF0)
        return *len = 3,
               (uint32_t)(u[0] & 0x0F) << 12 | (uint32_t)(u[1] & 0x3F) << 6 | (u[2] & 0x3Fu);
    *len = 4;
    return (uint32_t)(u[0] & 0x07) << 18 | (uint32_t)(u[1] & 0x3F) << 12 |
           (uint32_t)(u[2] & 0x3F) << 6 | (u[3] & 0x3Fu);
}

static bool in_ranges(const uint32_t (*ranges)[2], size_t n, uint32_t c) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (c > ranges[mid][1])
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && c >= ranges[low][0];
}

#define IN(ranges, c) in_ranges(ranges, sizeof ranges / sizeof *ranges, c)

static int category(uint32_t c) {
    return (int)utf8proc_category((utf8proc_int32_t)c);
}

bool ib_jinja_is_space(uint32_t c) {
    if (c < 0x80)
        return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool ib_jinja_is_alpha(uint32_t c) {
    if (c < 0x80)
        return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    int g = category(c);
    return g >= UTF8PROC_CATEGORY_LU && g <= UTF8PROC_CATEGORY_LO;
}

bool ib_jinja_is_decimal(uint32_t c) {
    return c < 0x80 ? c >= '0' && c <= '9' : category(c) == UTF8PROC_CATEGORY_ND;
}

bool ib_jinja_is_digit(uint32_t c) {
    return ib_jinja_is_decimal(c) || (c >= 0x80 && IN(digit_ranges, c));
}

bool ib_jinja_is_numeric(uint32_t c) {
    if (c < 0x80)
        return c >= '0' && c <= '9';
    int g = category(c);
    if (g == UTF8PROC_CATEGORY_ND || g == UTF8PROC_CATEGORY_NL || g == UTF8PROC_CATEGORY_NO)
        return true;
    return IN(numeric_ranges, c);
}

bool ib_jinja_is_printable(uint32_t c) {
    if (c < 0x80)
        return c >= 0x20 && c < 0x7f;
    int g = category(c);
    return !(g == UTF8PROC_CATEGORY_CN || (g >= UTF8PROC_CATEGORY_ZS && g <= UTF8PROC_CATEGORY_CO));
}

bool ib_jinja_is_lower(uint32_t c) {
    if (c < 0x80)
        return c >= 'a' && c <= 'z';
    return category(c) == UTF8PROC_CATEGORY_LL || IN(other_lower_ranges, c);
}

bool ib_jinja_is_upper(uint32_t c) {
    if (c < 0x80)
        return c >= 'A' && c <= 'Z';
    return category(c) == UTF8PROC_CATEGORY_LU || IN(other_upper_ranges, c);
}

bool ib_jinja_is_title(uint32_t c) {
    return c >= 0x80 && category(c) == UTF8PROC_CATEGORY_LT;
}

/* \w and what may stand in a name */
bool ib_jinja_is_word(uint32_t c) {
    if (c < 0x80)
        return ib_jinja_is_alpha(c) || (c >= '0' && c <= '9') || c == '_';
    return ib_jinja_is_alpha(c) || ib_jinja_is_numeric(c) || ib_jinja_is_digit(c);
}

static size_t simple_case(uint32_t c, jcase how, uint32_t out[3]) {
    utf8proc_int32_t x = (utf8proc_int32_t)c;
    out[0] = (uint32_t)(how == CASE_UPPER   ? utf8proc_toupper(x)
                        : how == CASE_TITLE ? utf8proc_totitle(x)
                                            : utf8proc_tolower(x));
    if (how == CASE_FOLD) {
        utf8proc_int32_t folded[4];
        int boundary = 0;
        utf8proc_ssize_t n = utf8proc_decompose_char(x, folded, 4, UTF8PROC_CASEFOLD, &boundary);
        if (n == 1)
            out[0] = (uint32_t)folded[0];
    }
    return 1;
}

size_t ib_jinja_map_case(uint32_t c, jcase how, uint32_t out[3]) {
    static const uint32_t kinds[] = {
        [CASE_UPPER] = 0, [CASE_LOWER] = 1, [CASE_TITLE] = 2, [CASE_FOLD] = 3};
    if (c < 0x80) {
        bool up = how == CASE_UPPER || how == CASE_TITLE;
        out[0] = up && c >= 'a' && c <= 'z' ? c - 32 : !up && c >= 'A' && c <= 'Z' ? c + 32 : c;
        return 1;
    }
    size_t low = 0, n = sizeof special_cases / sizeof *special_cases, high = n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (special_cases[mid][0] < c)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < n && special_cases[low][0] == c; low++)
        if (special_cases[low][1] == kinds[how]) {
            memcpy(out, &special_cases[low][2], 3 * sizeof *out);
            return out[2] ? 3 : 2;
        }
    return simple_case(c, how, out);
}

static bool put_mapped(jstate *st, ib_buf *b, uint32_t c, jcase how) {
    uint32_t to[3];
    size_t n = ib_jinja_map_case(c, how, to);
    for (size_t i = 0; i < n; i++) {
        char bytes[4];
        if (!ib_jinja_put(st, b, bytes, ib_utf8_encode(to[i], bytes)))
            return false;
    }
    return true;
}

static bool is_cased(uint32_t c) {
    return ib_jinja_is_lower(c) || ib_jinja_is_upper(c) || ib_jinja_is_title(c);
}

/* Letters that a search for the word around a sigma skips. */
static bool case_ignorable(uint32_t c) {
    if (c < 0x80)
        return c == '\'' || c == '.' || c == ':' || c == '^' || c == '`';
    int g = category(c);
    return g == UTF8PROC_CATEGORY_MN || g == UTF8PROC_CATEGORY_ME || g == UTF8PROC_CATEGORY_CF ||
           g == UTF8PROC_CATEGORY_LM || g == UTF8PROC_CATEGORY_SK || c == 0xB7 || c == 0x2018 ||
           c == 0x2019;
}

/* Capital sigma at the end of a word becomes the final form. */
static bool final_sigma(const jstr *s, size_t at) {
    size_t i = at, len;
    bool before = false;
    while (i > 0) {
        do
            i--;
        while (((unsigned char)s->p[i] & 0xC0) == 0x80);
        uint32_t c = ib_jinja_char_at(s->p + i, &len);
        if (case_ignorable(c))
            continue;
        before = is_cased(c);
        break;
    }
    if (!before)
        return false;
    for (i = at + 2; i < s->n; i += len) {
        uint32_t c = ib_jinja_char_at(s->p + i, &len);
        if (!case_ignorable(c))
            return !is_cased(c);
    }
    return true;
}

static bool put_lower(jstate *st, ib_buf *b, const jstr *s, size_t at, uint32_t c) {
    if (c == 0x3A3)
        return ib_jinja_puts(st, b, final_sigma(s, at) ? "\xCF\x82" : "\xCF\x83");
    return put_mapped(st, b, c, CASE_LOWER);
}

typedef bool (*put_fn)(jstate *st, ib_buf *b, const jstr *s, size_t at, uint32_t c, void *state);

static bool map_chars(jstate *st, const jstr *s, put_fn put, void *state, jval *out) {
    ib_buf b;
    ib_buf_init(&b);
    bool ok = true;
    size_t len;
    for (size_t i = 0; ok && i < s->n; i += len) {
        uint32_t c = ib_jinja_char_at(s->p + i, &len);
        ok = put(st, &b, s, i, c, state);
    }
    ok = ok && ib_jinja_str_copy(st, b.len ? b.ptr : "", b.len, out) &&
         (!s->markup || ib_jinja_markup(st, out->as.s, true, out));
    ib_buf_clear(&b);
    return ok;
}

static bool put_case(jstate *st, ib_buf *b, const jstr *s, size_t at, uint32_t c, void *state) {
    jcase how = *(jcase *)state;
    return how == CASE_LOWER ? put_lower(st, b, s, at, c) : put_mapped(st, b, c, how);
}

bool ib_jinja_case(jstate *st, const jstr *s, jcase how, jval *out) {
    if (s->chars != s->n)
        return map_chars(st, s, put_case, &how, out);
    char *p = ib_jinja_alloc(st, s->n + 1);
    if (!p)
        return false;
    for (size_t i = 0; i < s->n; i++) {
        uint32_t to[3];
        (void)ib_jinja_map_case((unsigned char)s->p[i], how, to);
        p[i] = (char)to[0];
    }
    return ib_jinja_str_borrow(st, p, s->n, out) &&
           (!s->markup || ib_jinja_markup(st, out->as.s, true, out));
}

static bool put_swapped(jstate *st, ib_buf *b, const jstr *s, size_t at, uint32_t c, void *state) {
    (void)state;
    if (ib_jinja_is_upper(c))
        return put_lower(st, b, s, at, c);
    if (ib_jinja_is_lower(c))
        return put_mapped(st, b, c, CASE_UPPER);
    char bytes[4];
    return ib_jinja_put(st, b, bytes, ib_utf8_encode(c, bytes));
}

static bool put_title(jstate *st, ib_buf *b, const jstr *s, size_t at, uint32_t c, void *state) {
    bool *inside = state, was = *inside;
    *inside = is_cased(c);
    return was ? put_lower(st, b, s, at, c) : put_mapped(st, b, c, CASE_TITLE);
}

static bool put_capitalized(jstate *st, ib_buf *b, const jstr *s, size_t at, uint32_t c,
                            void *state) {
    (void)state;
    return at == 0 ? put_mapped(st, b, c, CASE_TITLE) : put_lower(st, b, s, at, c);
}

bool ib_jinja_swapcase(jstate *st, const jstr *s, jval *out) {
    return map_chars(st, s, put_swapped, NULL, out);
}

bool ib_jinja_titlecase(jstate *st, const jstr *s, jval *out) {
    bool inside = false;
    return map_chars(st, s, put_title, &inside, out);
}

bool ib_jinja_capitalize(jstate *st, const jstr *s, jval *out) {
    return map_chars(st, s, put_capitalized, NULL, out);
}
