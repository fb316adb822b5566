/* SPDX-License-Identifier: MIT
 * Python's format specification: [[fill]align][sign][z][#][0][width][grouping][.precision][type],
 * for strings, integers and floats. */
#include "text/jinja/value.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct spec {
    uint32_t fill;
    char align, sign, type, grouping;
    bool alternate, zero, fill_given, no_negative_zero;
    int64_t width, precision; /* -1: not given */
} spec;

static bool bad_spec(jstate *st, jval v) {
    return ib_jinja_raise(st, "ValueError", "Invalid format specifier for object of type '%s'",
                          ib_jinja_type_name(v));
}

static bool is_align(char c) {
    return c == '<' || c == '>' || c == '=' || c == '^';
}

static bool read_number(jstate *st, const char **p, const char *end, int64_t *out) {
    int64_t v = 0;
    const char *start = *p;
    for (; *p < end && **p >= '0' && **p <= '9'; ++*p) {
        v = v * 10 + (**p - '0');
        if (v > 1 << 20)
            return ib_jinja_raise_limit(st, "a format width above %d", 1 << 20);
    }
    if (*p > start)
        *out = v;
    return true;
}

static bool parse_spec(jstate *st, jval v, const jstr *text, spec *s) {
    const char *p = text->p, *end = p + text->n;
    size_t len = 0;
    *s = (spec){.fill = ' ', .width = -1, .precision = -1};
    if (p < end)
        (void)ib_jinja_char_at(p, &len);
    if (p < end && p + len < end && is_align(p[len])) {
        s->fill = ib_jinja_char_at(p, &len);
        s->fill_given = true;
        s->align = p[len];
        p += len + 1;
    } else if (p < end && is_align(*p)) {
        s->align = *p++;
    }
    if (p < end && (*p == '+' || *p == '-' || *p == ' '))
        s->sign = *p++;
    if (p < end && *p == 'z') {
        s->no_negative_zero = true;
        p++;
    }
    if (p < end && *p == '#') {
        s->alternate = true;
        p++;
    }
    if (p < end && *p == '0' && !s->fill_given) {
        s->fill = '0';
        s->zero = true;
        if (!s->align)
            s->align = '=';
        p++;
    } else if (p < end && *p == '0') {
        p++;
    }
    if (!read_number(st, &p, end, &s->width))
        return false;
    if (p < end && (*p == ',' || *p == '_'))
        s->grouping = *p++;
    if (p < end && *p == '.') {
        const char *before = ++p;
        if (!read_number(st, &p, end, &s->precision))
            return false;
        if (p == before)
            return ib_jinja_raise(st, "ValueError", "Format specifier missing precision");
    }
    if (p < end)
        s->type = *p++;
    return p == end || bad_spec(st, v);
}

/* prefix (sign, 0x), then digits; padded into b. */
static bool put_padded(jstate *st, ib_buf *b, const spec *s, const char *prefix, const char *body,
                       size_t n, size_t chars, char default_align) {
    size_t plen = strlen(prefix), used = plen + chars;
    size_t total = s->width > (int64_t)used ? (size_t)s->width - used : 0;
    char align = s->align ? s->align : default_align, fill[4];
    size_t flen = ib_utf8_encode(s->fill, fill);
    size_t left = align == '>' || align == '=' ? total : align == '^' ? total / 2 : 0;
    bool ok = align != '=' || ib_jinja_puts(st, b, prefix);
    for (size_t i = 0; ok && i < left; i++)
        ok = ib_jinja_put(st, b, fill, flen);
    ok = ok && (align == '=' || ib_jinja_puts(st, b, prefix)) && ib_jinja_put(st, b, body, n);
    for (size_t i = left; ok && i < total; i++)
        ok = ib_jinja_put(st, b, fill, flen);
    return ok && ib_jinja_spend(st, total / 16);
}

/* Puts separators into the digits of text (up to its '.', 'e' or end); zero-fills to the width. */
static bool group(jstate *st, const spec *s, const char *text, size_t prefix_len, ib_buf *out) {
    size_t n =
        strspn(text, s->type == 'x' || s->type == 'X' ? "0123456789abcdefABCDEF" : "0123456789");
    size_t every = s->type == 'x' || s->type == 'X' || s->type == 'b' || s->type == 'o' ? 4 : 3;
    size_t tail = strlen(text) - n, zeros = 0;
    if (s->zero && s->width > 0)
        while (n + zeros + (n + zeros - 1) / every + tail + prefix_len < (size_t)s->width)
            zeros++;
    for (size_t i = 0; i < n + zeros; i++) {
        size_t left = n + zeros - i;
        if (i && left % every == 0 && !ib_jinja_put(st, out, &s->grouping, 1))
            return false;
        if (!ib_jinja_put(st, out, i < zeros ? "0" : text + i - zeros, 1))
            return false;
    }
    return ib_jinja_put(st, out, text + n, tail);
}

static bool put_number(jstate *st, ib_buf *b, const spec *s, const char *prefix,
                       const char *digits) {
    ib_buf grouped;
    bool ok;
    if (!s->grouping)
        return put_padded(st, b, s, prefix, digits, strlen(digits), strlen(digits), '>');
    ib_buf_init(&grouped);
    ok =
        group(st, s, digits, strlen(prefix), &grouped) &&
        put_padded(st, b, s, prefix, grouped.len ? grouped.ptr : "", grouped.len, grouped.len, '>');
    ib_buf_clear(&grouped);
    return ok;
}

static const char *sign_text(const spec *s, bool negative) {
    return negative ? "-" : s->sign == '+' ? "+" : s->sign == ' ' ? " " : "";
}

static bool format_int(jstate *st, ib_buf *b, const spec *s, int64_t v) {
    char digits[80], prefix[8];
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    const char *base = "";
    if (s->precision >= 0)
        return ib_jinja_raise(st, "ValueError",
                              "Precision not allowed in integer format specifier");
    switch (s->type) {
    case 'b': {
        size_t n = 0;
        for (int bit = 63; bit >= 0; bit--)
            if (n || (u >> bit & 1) || bit == 0)
                digits[n++] = (char)('0' + (u >> bit & 1));
        digits[n] = 0;
        base = "0b";
        break;
    }
    case 'o':
        (void)snprintf(digits, sizeof digits, "%" PRIo64, u);
        base = "0o";
        break;
    case 'x':
        (void)snprintf(digits, sizeof digits, "%" PRIx64, u);
        base = "0x";
        break;
    case 'X':
        (void)snprintf(digits, sizeof digits, "%" PRIX64, u);
        base = "0X";
        break;
    default:
        (void)snprintf(digits, sizeof digits, "%" PRIu64, u);
        break;
    }
    (void)snprintf(prefix, sizeof prefix, "%s%s", sign_text(s, v < 0), s->alternate ? base : "");
    return put_number(st, b, s, prefix, digits);
}

/* Digits of |v| for the types e f g % and none. Longer precisions than doubles have are cut. */
static void float_digits(const spec *s, double v, char *text, size_t size) {
    char c = s->type == 'E' ? 'e' : s->type == 'G' ? 'g' : s->type == 'F' ? 'f' : s->type;
    int precision = (int)(s->precision < 0 ? 6 : s->precision > 340 ? 340 : s->precision);
    if (c == '%')
        (void)snprintf(text, size, s->alternate ? "%#.*f%%" : "%.*f%%", precision, v * 100);
    else if (c == 'e')
        (void)snprintf(text, size, s->alternate ? "%#.*e" : "%.*e", precision, v);
    else if (c == 'f')
        (void)snprintf(text, size, s->alternate ? "%#.*f" : "%.*f", precision, v);
    else
        (void)snprintf(text, size, s->alternate ? "%#.*g" : "%.*g", precision ? precision : 1, v);
}

/* No type: like repr without a precision, like 'g' with at least one decimal with one. */
static void plain_float(const spec *s, double v, char *text, size_t size) {
    if (s->precision < 0) {
        char shortest[40];
        size_t n = ib_jinja_float_repr(v, shortest);
        (void)snprintf(text, size, "%.*s", (int)n, shortest);
        return;
    }
    spec g = *s;
    g.type = 'g';
    float_digits(&g, v, text, size);
    char *e = strchr(text, 'e');
    int precision = s->precision > 0 ? (int)s->precision : 1;
    if (!e && !strchr(text, '.')) {
        size_t n = strlen(text);
        if ((int)n < precision)
            (void)snprintf(text + n, size - n, ".0");
        else if ((int)n >= precision && v != 0) /* no digit left for a decimal: exponent form */
            (void)snprintf(text, size, "%.*e", precision - 1, v);
        e = strchr(text, 'e');
        if (e) { /* 1.000e+02 -> 1e+02 */
            char *end = e;
            while (end > text && strchr(text, '.') && end[-1] == '0')
                end--;
            if (end > text && end[-1] == '.')
                end--;
            memmove(end, e, strlen(e) + 1);
        }
    }
}

static bool format_float(jstate *st, ib_buf *b, const spec *s, double v) {
    char text[720], prefix[4];
    bool negative = signbit(v) && !isnan(v);
    if (isnan(v) || isinf(v)) {
        bool upper = s->type == 'E' || s->type == 'F' || s->type == 'G';
        (void)snprintf(text, sizeof text, "%s%s",
                       isnan(v) ? (upper ? "NAN" : "nan")
                       : upper  ? "INF"
                                : "inf",
                       s->type == '%' ? "%" : "");
    } else if (!s->type) {
        plain_float(s, fabs(v), text, sizeof text);
    } else {
        float_digits(s, fabs(v), text, sizeof text);
    }
    if (s->type == 'E' || s->type == 'G')
        for (char *p = text; *p; p++)
            if (*p == 'e')
                *p = 'E';
    if (negative && s->no_negative_zero && strspn(text, "0.") == strlen(text))
        negative = false;
    (void)snprintf(prefix, sizeof prefix, "%s", sign_text(s, negative));
    spec grouped = *s;
    if (s->type == 'n')
        grouped.grouping = 0;
    return put_number(st, b, &grouped, prefix, text);
}

static bool format_str(jstate *st, ib_buf *b, const spec *s, const jstr *text) {
    size_t chars = text->chars;
    if (s->sign || s->alternate || s->grouping || s->align == '=') {
        if (!(s->zero && s->align == '=' && !s->sign && !s->alternate && !s->grouping))
            return ib_jinja_raise(
                st, "ValueError",
                "sign, '#', '=' or grouping not allowed in string format specifier");
    }
    if (s->precision >= 0 && (size_t)s->precision < chars)
        chars = (size_t)s->precision;
    spec plain = *s;
    if (plain.align == '=')
        plain.align = '<';
    return put_padded(st, b, &plain, "", text->p, ib_jinja_byte_offset(text, chars), chars, '<');
}

static bool unknown_type(jstate *st, const spec *s, jval v) {
    return ib_jinja_raise(st, "ValueError", "Unknown format code '%c' for object of type '%s'",
                          s->type >= 0x20 && s->type < 0x7f ? s->type : '?', ib_jinja_type_name(v));
}

bool ib_jinja_format_spec(jstate *st, ib_buf *b, jval v, const jstr *text) {
    spec s;
    int64_t i;
    if (text->n == 0)
        return ib_jinja_add_str(st, b, v);
    if (v.type != J_STR && !ib_jinja_is_number(v)) {
        return ib_jinja_raise(st, "TypeError", "unsupported format string passed to %s.__format__",
                              ib_jinja_type_name(v));
    }
    if (!parse_spec(st, v, text, &s))
        return false;
    if (v.type == J_STR)
        return s.type && s.type != 's' ? unknown_type(st, &s, v) : format_str(st, b, &s, v.as.s);
    if (ib_jinja_as_int(v, &i) && (!s.type || strchr("bdoxXn", s.type)))
        return format_int(st, b, &s, i);
    if (ib_jinja_as_int(v, &i) && s.type == 'c') {
        char bytes[5] = "";
        if (i < 0 || i > 0x10FFFF)
            return ib_jinja_raise(st, "OverflowError", "%%c arg not in range(0x110000)");
        size_t n = ib_utf8_encode((uint32_t)i, bytes);
        return put_padded(st, b, &s, "", bytes, n, 1, '<');
    }
    if (!s.type || strchr("eEfFgG%n", s.type)) {
        if (s.type == 'n')
            s.type = 'g';
        return format_float(st, b, &s, ib_jinja_as_double(v));
    }
    return unknown_type(st, &s, v);
}
