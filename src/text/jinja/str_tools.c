/* SPDX-License-Identifier: MIT
 * The work behind the string methods and text filters: strip, split, replace, join, pad, and
 * reading numbers the way int() and float() do. */
#include "text/jinja/value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool keep_markup(jstate *st, const jstr *s, jval *out) {
    return !s->markup || out->as.s->markup || ib_jinja_markup(st, out->as.s, true, out);
}

/* A piece of s by byte offsets. */
static bool piece(jstate *st, const jstr *s, size_t from, size_t to, jval *out) {
    if (from == 0 && to == s->n) {
        *out = JSTR(s);
        return true;
    }
    return ib_jinja_str_borrow(st, s->p + from, to - from, out) && keep_markup(st, s, out);
}

static bool in_set(uint32_t c, const char *p, size_t len, const jstr *chars) {
    return chars ? ib_jinja_find_bytes(chars->p, chars->n, p, len) != SIZE_MAX
                 : ib_jinja_is_space(c);
}

bool ib_jinja_strip(jstate *st, const jstr *s, const jstr *chars, bool left, bool right,
                    jval *out) {
    size_t from = 0, to = s->n, len;
    while (left && from < to) {
        uint32_t c = ib_jinja_char_at(s->p + from, &len);
        if (!in_set(c, s->p + from, len, chars))
            break;
        from += len;
    }
    while (right && to > from) {
        size_t i = to;
        do
            i--;
        while (((unsigned char)s->p[i] & 0xC0) == 0x80);
        uint32_t c = ib_jinja_char_at(s->p + i, &len);
        if (!in_set(c, s->p + i, len, chars))
            break;
        to = i;
    }
    return ib_jinja_spend(st, s->n / 128) && piece(st, s, from, to, out);
}

static bool line_end(const char *p, const char *end, size_t *len) {
    uint32_t c = ib_jinja_char_at(p, len);
    if (c == '\r' && p + 1 < end && p[1] == '\n')
        *len = 2;
    return c == '\n' || c == '\r' || c == 0x0b || c == 0x0c || (c >= 0x1c && c <= 0x1e) ||
           c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool ib_jinja_split_lines(jstate *st, const jstr *s, bool keep_ends, jlist **out) {
    jlist *l = *out = ib_jinja_list_new(st, 8);
    size_t start = 0, i = 0, len;
    if (!l)
        return false;
    while (i < s->n) {
        bool ends = line_end(s->p + i, s->p + s->n, &len);
        i += len;
        if (!ends && i < s->n)
            continue;
        jval v;
        if (!piece(st, s, start, ends && !keep_ends ? i - len : i, &v) ||
            !ib_jinja_list_add(st, l, v))
            return false;
        start = i;
    }
    return true;
}

bool ib_jinja_replace(jstate *st, const jstr *s, const jstr *from, const jstr *to, int64_t count,
                      jval *out) {
    ib_buf b;
    size_t i = 0;
    bool ok = true, changed = false;
    ib_buf_init(&b);
    while (ok && count != 0) {
        size_t len = 0, at = i;
        if (from->n == 0) {
            if (i > s->n)
                break;
            if (i < s->n)
                (void)ib_jinja_char_at(s->p + i, &len);
        } else {
            size_t found =
                i <= s->n ? ib_jinja_find_bytes(s->p + i, s->n - i, from->p, from->n) : SIZE_MAX;
            if (found == SIZE_MAX)
                break;
            at = i + found;
        }
        changed = true;
        ok = ib_jinja_put(st, &b, s->p + i, at - i) && ib_jinja_put(st, &b, to->p, to->n) &&
             ib_jinja_put(st, &b, s->p + at, len) && ib_jinja_spend(st, 1);
        i = from->n == 0 ? (at < s->n ? at + len : s->n + 1) : at + from->n;
        count -= count > 0;
    }
    if (ok && i < s->n && changed)
        ok = ib_jinja_put(st, &b, s->p + i, s->n - i);
    if (ok && !changed)
        *out = JSTR(s);
    else
        ok = ok && ib_jinja_str_copy(st, b.len ? b.ptr : "", b.len, out) && keep_markup(st, s, out);
    ib_buf_clear(&b);
    return ok && ib_jinja_spend(st, s->n / 64);
}

/* strict: every item must be a string, as str.join wants it; else str() of each. */
bool ib_jinja_join(jstate *st, const jstr *separator, const jlist *items, bool strict, jval *out) {
    ib_buf b;
    bool ok = true;
    ib_buf_init(&b);
    for (size_t i = 0; ok && i < items->n; i++) {
        if (strict && items->items[i].type != J_STR)
            ok = ib_jinja_raise(st, "TypeError",
                                "sequence item %zu: expected str instance, %s found", i,
                                ib_jinja_type_name(items->items[i]));
        ok = ok && (i == 0 || ib_jinja_put(st, &b, separator->p, separator->n)) &&
             ib_jinja_add_str(st, &b, items->items[i]);
    }
    ok = ok && ib_jinja_str_copy(st, b.len ? b.ptr : "", b.len, out);
    ib_buf_clear(&b);
    return ok;
}

/* how: '<' text first, '>' text last, '^' centered as str.center does. */
bool ib_jinja_pad(jstate *st, const jstr *s, int64_t width, uint32_t fill, char how, jval *out) {
    if (width <= (int64_t)s->chars) {
        *out = JSTR(s);
        return true;
    }
    uint64_t total = (uint64_t)width - s->chars;
    char bytes[4];
    size_t len = ib_utf8_encode(fill, bytes);
    if (total > st->arena.limit_bytes / len)
        return ib_jinja_raise_limit(st, "a text is larger than %zu bytes", st->arena.limit_bytes);
    uint64_t left = how == '<' ? 0 : how == '>' ? total : total / 2 + (total & (uint64_t)width & 1);
    char *p = ib_jinja_alloc(st, s->n + (size_t)total * len + 1), *to = p;
    if (!p)
        return false;
    for (uint64_t i = 0; i < left; i++, to += len)
        memcpy(to, bytes, len);
    if (s->n)
        memcpy(to, s->p, s->n);
    to += s->n;
    for (uint64_t i = left; i < total; i++, to += len)
        memcpy(to, bytes, len);
    return ib_jinja_str_borrow(st, p, (size_t)(to - p), out) && keep_markup(st, s, out);
}

/* --- numbers in text --- */

static void trimmed(const jstr *s, const char **p, const char **end) {
    size_t len;
    *p = s->p;
    *end = s->p + s->n;
    while (*p < *end && ib_jinja_is_space(ib_jinja_char_at(*p, &len)))
        *p += len;
    while (*end > *p) {
        const char *q = *end - 1;
        while (q > *p && ((unsigned char)*q & 0xC0) == 0x80)
            q--;
        if (!ib_jinja_is_space(ib_jinja_char_at(q, &len)))
            break;
        *end = q;
    }
}

static int digit_value(char ch) {
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    ch = (char)(ch | 0x20);
    return ch >= 'a' && ch <= 'z' ? ch - 'a' + 10 : 99;
}

static const char *base_prefix(const char *p, const char *end, int *base) {
    int found = 0;
    if (end - p >= 2 && p[0] == '0') {
        char x = (char)(p[1] | 0x20);
        found = x == 'x' ? 16 : x == 'o' ? 8 : x == 'b' ? 2 : 0;
    }
    if (found && (*base == 0 || *base == found)) {
        *base = found;
        p += 2;
        return p < end && *p == '_' ? p + 1 : p;
    }
    return p;
}

/* int(text, base): false when it is no integer; *overflow when it is one beyond 64 bits. */
bool ib_jinja_parse_int(const jstr *s, int base, int64_t *out, bool *overflow) {
    const char *p, *end;
    bool negative = false, any = false, zero_first;
    uint64_t v = 0;
    *overflow = false;
    trimmed(s, &p, &end);
    if (p < end && (*p == '-' || *p == '+'))
        negative = *p++ == '-';
    bool auto_base = base == 0;
    p = base_prefix(p, end, &base);
    zero_first = auto_base && base == 0 && p < end && *p == '0';
    if (base == 0)
        base = 10;
    for (; p < end; p++) {
        if (*p == '_' && any && p + 1 < end && p[-1] != '_')
            continue;
        int d = digit_value(*p);
        if (d >= base)
            return false;
        any = true;
        if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
            __builtin_add_overflow(v, (uint64_t)d, &v))
            *overflow = true;
    }
    if (!any || (zero_first && v != 0))
        return false;
    if (v > (uint64_t)INT64_MAX + negative)
        *overflow = true;
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return !*overflow;
}

static bool word_is(const char *p, const char *end, const char *word) {
    for (; p < end && *word; p++, word++)
        if ((*p | 0x20) != *word)
            return false;
    return p == end && !*word;
}

static bool special_float(const char *p, const char *end, double *out) {
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (word_is(p, end, "inf") || word_is(p, end, "infinity"))
        *out = negative ? -HUGE_VAL : HUGE_VAL;
    else if (word_is(p, end, "nan"))
        *out = (double)NAN;
    else
        return false;
    return true;
}

/* float(text) */
bool ib_jinja_parse_float(const jstr *s, double *out) {
    const char *p, *end;
    char text[512];
    size_t n = 0;
    bool digit = false;
    trimmed(s, &p, &end);
    if (special_float(p, end, out))
        return true;
    for (const char *q = p; q < end; q++) {
        bool is_digit = *q >= '0' && *q <= '9';
        if (*q == '_') {
            if (!digit || q + 1 >= end || q[1] < '0' || q[1] > '9')
                return false;
            continue;
        }
        digit = is_digit;
        if (!is_digit && (*q == 0 || !strchr("+-.eE", *q)))
            return false;
        if (n + 1 >= sizeof text)
            return false;
        text[n++] = *q;
    }
    text[n] = 0;
    char *stop;
    if (n == 0)
        return false;
    *out = strtod(text, &stop);
    return *stop == 0 && stop != text;
}

/* round(v, digits) for floats: to the nearest decimal, exact ties to even. */
bool ib_jinja_round_float(double v, int64_t digits, double *out) {
    char text[400];
    *out = v;
    if (!isfinite(v) || digits > 300)
        return true;
    if (digits < -308) {
        *out = copysign(0.0, v);
        return true;
    }
    if (digits >= 0) {
        (void)snprintf(text, sizeof text, "%.*f", (int)digits, v);
        *out = strtod(text, NULL);
        return true;
    }
    double unit = pow(10.0, (double)-digits), q = v / unit;
    *out = rint(q) * unit;
    return isfinite(*out);
}
