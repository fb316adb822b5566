/* SPDX-License-Identifier: MIT
 * See page.h. */
#include "report/page.h"

#include "stats/quantile.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(ib_page *p, const char *bytes, size_t n) {
    if (p->status == IB_OK)
        p->status = ib_buf_add(p->out, bytes, n, p->err);
}

void ib_page_text(ib_page *p, const char *literal) {
    add(p, literal, strlen(literal));
}

void ib_page_put(ib_page *p, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof text)
        add(p, text, (size_t)n);
    else if (p->status == IB_OK)
        p->status = ib_fail(p->err, IB_E_INTERNAL,
                            "a piece of the page is longer than %zu bytes; fix: report this bug",
                            sizeof text);
}

static void add_escaped(ib_page *p, const char *text, size_t n) {
    size_t done = 0;
    for (size_t i = 0; i < n; i++) {
        const char *as = text[i] == '&'    ? "&amp;"
                         : text[i] == '<'  ? "&lt;"
                         : text[i] == '>'  ? "&gt;"
                         : text[i] == '"'  ? "&quot;"
                         : text[i] == '\'' ? "&#39;"
                                           : NULL;
        if (!as)
            continue;
        add(p, text + done, i - done);
        add(p, as, strlen(as));
        done = i + 1;
    }
    add(p, text + done, n - done);
}

void ib_page_name(ib_page *p, const char *name) {
    ib_buf safe;
    if (p->status != IB_OK)
        return;
    ib_buf_init(&safe);
    p->status = ib_report_name(name, &safe, p->err);
    if (p->status == IB_OK && safe.len)
        add_escaped(p, safe.ptr, safe.len);
    ib_buf_clear(&safe);
}

void ib_page_lines(ib_page *p, const char *text, size_t n) {
    size_t at = 0;
    while (at < n && p->status == IB_OK) {
        const char *end = memchr(text + at, '\n', n - at);
        size_t len = end ? (size_t)(end - text) - at : n - at;
        size_t zero = len ? strnlen(text + at, len) : 0; /* a NUL would end the name */
        char *line = ib_strndup(text + at, zero);
        if (!line)
            p->status = ib_fail_memory(p->err, zero, "a line of the page");
        else if (zero)
            ib_page_name(p, line);
        free(line);
        at += zero;
        if (zero < len) {
            ib_page_text(p, "\\x00");
            at++;
        } else if (end) {
            ib_page_text(p, "\n");
            at++;
        }
    }
}

void ib_page_number(ib_page *p, double v, int digits) {
    ib_number text;
    ib_page_text(p, ib_report_number(v, digits, &text));
}

void ib_page_at(ib_page *p, double v) {
    char text[40];
    if (!isfinite(v) || fabs(v) > 1e6)
        v = 0;
    size_t n = ib_stats_fixed(v, 1, text, sizeof text);
    if (n > 2 && strcmp(text + n - 2, ".0") == 0)
        text[n - 2] = '\0';
    ib_page_text(p, strcmp(text, "-0") == 0 ? "0" : text);
}

void ib_page_attribute(ib_page *p, const char *key, double v) {
    ib_page_put(p, " %s=\"", key);
    ib_page_at(p, v);
    ib_page_text(p, "\"");
}

void ib_page_base64(ib_page *p, const void *bytes, size_t n) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *in = bytes;
    for (size_t i = 0; i < n; i += 3) {
        size_t have = n - i < 3 ? n - i : 3;
        unsigned v = (unsigned)in[i] << 16;
        v |= have > 1 ? (unsigned)in[i + 1] << 8 : 0;
        v |= have > 2 ? (unsigned)in[i + 2] : 0;
        const char four[4] = {digits[v >> 18], digits[v >> 12 & 63],
                              have > 1 ? digits[v >> 6 & 63] : '=',
                              have > 2 ? digits[v & 63] : '='};
        add(p, four, 4);
    }
}
