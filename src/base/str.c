/* SPDX-License-Identifier: MIT
 * See str.h. Nothing here depends on the locale. */
#include "base/str.h"

#include "base/checked.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ib_str ib_str_of(const char *s) {
    return (ib_str){s, s ? strlen(s) : 0};
}

bool ib_str_eq(ib_str a, ib_str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool ib_str_is(ib_str a, const char *s) {
    return ib_str_eq(a, ib_str_of(s));
}

bool ib_str_starts(ib_str a, const char *prefix) {
    size_t n = strlen(prefix);
    return a.len >= n && (n == 0 || memcmp(a.ptr, prefix, n) == 0);
}

bool ib_str_ends(ib_str a, const char *suffix) {
    size_t n = strlen(suffix);
    return a.len >= n && (n == 0 || memcmp(a.ptr + a.len - n, suffix, n) == 0);
}

void ib_buf_init(ib_buf *b) {
    *b = (ib_buf){0};
}

void ib_buf_clear(ib_buf *b) {
    free(b->ptr);
    *b = (ib_buf){0};
}

void ib_buf_reset(ib_buf *b) {
    b->len = 0;
    if (b->ptr)
        b->ptr[0] = '\0';
}

ib_status ib_buf_reserve(ib_buf *b, size_t extra, ib_error *err) {
    size_t need;
    if (!ib_add_size(b->len, extra, &need) || !ib_add_size(need, 1, &need))
        return ib_fail_memory(err, SIZE_MAX, "a text buffer");
    if (need <= b->cap)
        return IB_OK;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    char *grown = realloc(b->ptr, cap);
    if (!grown)
        return ib_fail_memory(err, cap, "a text buffer");
    b->ptr = grown;
    b->cap = cap;
    return IB_OK;
}

ib_status ib_buf_add(ib_buf *b, const void *bytes, size_t n, ib_error *err) {
    IB_TRY(ib_buf_reserve(b, n, err));
    if (n)
        memcpy(b->ptr + b->len, bytes, n);
    b->len += n;
    b->ptr[b->len] = '\0';
    return IB_OK;
}

ib_status ib_buf_adds(ib_buf *b, const char *s, ib_error *err) {
    return ib_buf_add(b, s, strlen(s), err);
}

ib_status ib_buf_addc(ib_buf *b, char c, ib_error *err) {
    return ib_buf_add(b, &c, 1, err);
}

ib_status ib_buf_addf(ib_buf *b, ib_error *err, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0)
        return ib_fail(err, IB_E_INTERNAL, "cannot format text; fix: report this bug");
    IB_TRY(ib_buf_reserve(b, (size_t)n, err));
    va_start(args, fmt);
    (void)vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, args);
    va_end(args);
    b->len += (size_t)n;
    return IB_OK;
}

ib_status ib_buf_add_utf8(ib_buf *b, uint32_t code_point, ib_error *err) {
    char bytes[4];
    size_t n = ib_utf8_encode(code_point, bytes);
    return ib_buf_add(b, bytes, n, err);
}

/* Bytes that may follow a lead byte; *need is the sequence's length, lo..hi the second byte's
 * range. */
static bool lead_info(unsigned char c, size_t *need, unsigned char *lo, unsigned char *hi) {
    *lo = 0x80;
    *hi = 0xBF;
    if (c >= 0xC2 && c <= 0xDF) {
        *need = 2;
    } else if (c >= 0xE0 && c <= 0xEF) {
        *need = 3;
        if (c == 0xE0)
            *lo = 0xA0;
        if (c == 0xED)
            *hi = 0x9F;
    } else if (c >= 0xF0 && c <= 0xF4) {
        *need = 4;
        if (c == 0xF0)
            *lo = 0x90;
        if (c == 0xF4)
            *hi = 0x8F;
    } else {
        return false;
    }
    return true;
}

/* Number of good bytes at p: the whole sequence when *complete, else the maximal valid start. */
static size_t sequence_len(const char *p, const char *end, bool *complete) {
    const unsigned char *u = (const unsigned char *)p;
    size_t need, have = 1;
    unsigned char lo, hi;
    *complete = false;
    if (!lead_info(u[0], &need, &lo, &hi))
        return 1;
    while (have < need && p + have < end && u[have] >= lo && u[have] <= hi) {
        lo = 0x80;
        hi = 0xBF;
        have++;
    }
    *complete = have == need;
    return have;
}

size_t ib_utf8_decode(const char *p, const char *end, uint32_t *code_point) {
    const unsigned char *u = (const unsigned char *)p;
    if (p >= end)
        return 0;
    if (u[0] < 0x80) {
        *code_point = u[0];
        return 1;
    }
    bool complete;
    size_t n = sequence_len(p, end, &complete);
    if (!complete)
        return 0;
    uint32_t cp = n == 2 ? u[0] & 0x1Fu : n == 3 ? u[0] & 0x0Fu : u[0] & 0x07u;
    for (size_t i = 1; i < n; i++)
        cp = cp << 6 | (u[i] & 0x3Fu);
    *code_point = cp;
    return n;
}

size_t ib_utf8_bad_len(const char *p, const char *end) {
    bool complete;
    return p < end ? sequence_len(p, end, &complete) : 0;
}

size_t ib_utf8_encode(uint32_t cp, char out[4]) {
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
        cp = 0xFFFD;
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

size_t ib_utf8_valid_prefix(const char *p, size_t len) {
    if (!len) /* p may be NULL */
        return 0;
    const char *end = p + len, *q = p;
    while (q < end) {
        uint32_t cp;
        size_t n = ib_utf8_decode(q, end, &cp);
        if (!n)
            break;
        q += n;
    }
    return (size_t)(q - p);
}

static bool unsafe_to_print(uint32_t cp) {
    return cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || cp == 0x200E || cp == 0x200F ||
           (cp >= 0x2028 && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0xFEFF;
}

const char *ib_quote(ib_str name, char out[IB_QUOTED]) {
    const char *p = name.ptr, *end = name.ptr + name.len;
    size_t n = 0;
    while (p < end) {
        char piece[12];
        uint32_t cp;
        size_t used = ib_utf8_decode(p, end, &cp), len;
        if (!used) {
            len = (size_t)snprintf(piece, sizeof piece, "\\x%02X", (unsigned)(unsigned char)*p);
            used = 1;
        } else if (unsafe_to_print(cp)) {
            len = (size_t)snprintf(piece, sizeof piece, cp < 0x100 ? "\\x%02X" : "\\u{%X}", cp);
        } else {
            memcpy(piece, p, used);
            len = used;
        }
        if (n + len > 80) {
            memcpy(out + n, "...", 3);
            n += 3;
            break;
        }
        memcpy(out + n, piece, len);
        n += len;
        p += used;
    }
    out[n] = '\0';
    return out;
}

const char *ib_quotez(const char *name, char out[IB_QUOTED]) {
    return ib_quote(ib_str_of(name ? name : "(none)"), out);
}

bool ib_parse_u64(ib_str text, uint64_t *out) {
    uint64_t v = 0;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.ptr[i] - '0');
        if (!ib_mul_u64(v, 10, &v) || !ib_add_u64(v, digit, &v))
            return false;
    }
    *out = v;
    return true;
}

bool ib_parse_i64(ib_str text, int64_t *out) {
    bool negative = text.len && text.ptr[0] == '-';
    uint64_t v;
    if (negative) {
        text.ptr++;
        text.len--;
    }
    if (!ib_parse_u64(text, &v) || v > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool ib_parse_double(ib_str text, double *out) {
    char copy[1100], *stop;
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!text.ptr[i] || !strchr("0123456789+-.eE", text.ptr[i]))
            return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    /* strtod follows LC_NUMERIC; the program never leaves the C locale, a host program may. */
    const char *point = localeconv()->decimal_point;
    char *dot = strchr(copy, '.');
    if (dot && point && point[0] && !point[1])
        *dot = point[0];
    errno = 0;
    double v = strtod(copy, &stop);
    if (*stop != '\0' || !isfinite(v))
        return false;
    *out = v;
    return true;
}

char *ib_strndup(const char *ptr, size_t len) {
    char *copy = len == SIZE_MAX ? NULL : malloc(len + 1);
    if (copy) {
        if (len)
            memcpy(copy, ptr, len);
        copy[len] = '\0';
    }
    return copy;
}

char *ib_strdup(const char *s) {
    return ib_strndup(s, strlen(s));
}
