/* SPDX-License-Identifier: MIT
 * Filters about markup and URLs: escape, safe, striptags, xmlattr, urlencode, urlize. */
#include "text/jinja/value.h"

#include <string.h>

static const char *entity(char c) {
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&#34;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static bool put_escaped(jstate *st, ib_buf *b, const jstr *s) {
    size_t plain = 0;
    for (size_t i = 0; i < s->n; i++) {
        const char *e = entity(s->p[i]);
        if (!e)
            continue;
        if (!ib_jinja_put(st, b, s->p + plain, i - plain) || !ib_jinja_puts(st, b, e))
            return false;
        plain = i + 1;
    }
    return ib_jinja_put(st, b, s->p + plain, s->n - plain);
}

static bool escape_text(jstate *st, const jstr *s, jval *out) {
    ib_buf b;
    ib_buf_init(&b);
    bool ok = put_escaped(st, &b, s) && ib_jinja_str_copy(st, b.len ? b.ptr : "", b.len, out) &&
              ib_jinja_markup(st, out->as.s, true, out);
    ib_buf_clear(&b);
    return ok;
}

bool ib_jinja_html_escape(jstate *st, jval v, jval *out) {
    jval s;
    if (v.type == J_STR && v.as.s->markup) {
        *out = v;
        return true;
    }
    return ib_jinja_to_str(st, v, &s) && escape_text(st, s.as.s, out);
}

static bool f_escape(jstate *st, jval self, const jargs *a, jval *out) {
    return ib_jinja_no_keywords(st, "escape", a, 0, 0) && ib_jinja_html_escape(st, self, out);
}

static bool f_forceescape(jstate *st, jval self, const jargs *a, jval *out) {
    jval s;
    return ib_jinja_no_keywords(st, "forceescape", a, 0, 0) && ib_jinja_to_str(st, self, &s) &&
           escape_text(st, s.as.s, out);
}

static bool f_safe(jstate *st, jval self, const jargs *a, jval *out) {
    jval s;
    return ib_jinja_no_keywords(st, "safe", a, 0, 0) && ib_jinja_to_str(st, self, &s) &&
           ib_jinja_markup(st, s.as.s, true, out);
}

/* --- striptags --- */

static size_t named_entity(const char *p, size_t n, uint32_t *code) {
    static const struct {
        const char *name;
        uint32_t code;
    } known[] = {{"amp;", '&'},       {"lt;", '<'},       {"gt;", '>'},       {"quot;", '"'},
                 {"apos;", '\''},     {"nbsp;", 0xA0},    {"copy;", 0xA9},    {"reg;", 0xAE},
                 {"hellip;", 0x2026}, {"mdash;", 0x2014}, {"ndash;", 0x2013}, {"euro;", 0x20AC},
                 {"laquo;", 0xAB},    {"raquo;", 0xBB},   {"middot;", 0xB7},  {"times;", 0xD7},
                 {"lsquo;", 0x2018},  {"rsquo;", 0x2019}, {"ldquo;", 0x201C}, {"rdquo;", 0x201D},
                 {"bull;", 0x2022},   {"trade;", 0x2122}, {"amp", '&'},       {"lt", '<'},
                 {"gt", '>'},         {"quot", '"'}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t len = strlen(known[i].name);
        if (n >= len && memcmp(p, known[i].name, len) == 0) {
            *code = known[i].code;
            return len;
        }
    }
    return 0;
}

/* "#65;" or "#x41;" behind an ampersand */
static size_t numeric_entity(const char *p, size_t n, uint32_t *code) {
    size_t i = 1, start;
    uint32_t base = 10, v = 0;
    if (n < 2 || p[0] != '#')
        return 0;
    if (p[1] == 'x' || p[1] == 'X') {
        base = 16;
        i = 2;
    }
    for (start = i; i < n; i++) {
        char c = (char)(p[i] | 0x20);
        uint32_t d = p[i] >= '0' && p[i] <= '9' ? (uint32_t)(p[i] - '0')
                     : c >= 'a' && c <= 'f'     ? (uint32_t)(c - 'a' + 10)
                                                : 99;
        if (d >= base)
            break;
        v = v > 0x110000 ? v : v * base + d;
    }
    if (i == start)
        return 0;
    *code = v == 0 || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF) ? 0xFFFD : v;
    return i + (i < n && p[i] == ';');
}

static bool unescape(jstate *st, const jstr *s, jval *out) {
    ib_buf b;
    ib_buf_init(&b);
    bool ok = true;
    for (size_t i = 0; ok && i < s->n;) {
        uint32_t code;
        size_t len = 0;
        char bytes[4];
        if (s->p[i] == '&') {
            len = numeric_entity(s->p + i + 1, s->n - i - 1, &code);
            len = len ? len : named_entity(s->p + i + 1, s->n - i - 1, &code);
        }
        ok = len ? ib_jinja_put(st, &b, bytes, ib_utf8_encode(code, bytes))
                 : ib_jinja_put(st, &b, s->p + i, 1);
        i += len + 1;
    }
    ok = ok && ib_jinja_str_copy(st, b.len ? b.ptr : "", b.len, out);
    ib_buf_clear(&b);
    return ok;
}

/* Cuts every open...close; false when out of memory. */
static bool cut(jstate *st, const jstr *s, const char *open, const char *close, jval *out) {
    ib_buf b;
    size_t i = 0, n_open = strlen(open), n_close = strlen(close);
    ib_buf_init(&b);
    bool ok = true;
    while (ok) {
        size_t at = ib_jinja_find_bytes(s->p + i, s->n - i, open, n_open), end = SIZE_MAX;
        if (at != SIZE_MAX)
            end = ib_jinja_find_bytes(s->p + i + at, s->n - i - at, close, n_close);
        if (end == SIZE_MAX) {
            ok = ib_jinja_put(st, &b, s->p + i, s->n - i);
            break;
        }
        ok = ib_jinja_put(st, &b, s->p + i, at) && ib_jinja_spend(st, 1 + (at + end) / 64);
        i += at + end + n_close;
    }
    ok = ok && ib_jinja_str_copy(st, b.len ? b.ptr : "", b.len, out);
    ib_buf_clear(&b);
    return ok;
}

static bool collapse_space(jstate *st, const jstr *s, jval *out) {
    ib_buf b;
    bool space = true, ok = true;
    size_t len;
    ib_buf_init(&b);
    for (size_t i = 0; ok && i < s->n; i += len) {
        bool is = ib_jinja_is_space(ib_jinja_char_at(s->p + i, &len));
        if (!is)
            ok = (!space || !b.len || ib_jinja_puts(st, &b, " ")) &&
                 ib_jinja_put(st, &b, s->p + i, len);
        space = is;
    }
    ok = ok && ib_jinja_str_copy(st, b.len ? b.ptr : "", b.len, out);
    ib_buf_clear(&b);
    return ok;
}

static bool f_striptags(jstate *st, jval self, const jargs *a, jval *out) {
    jval s;
    return ib_jinja_no_keywords(st, "striptags", a, 0, 0) && ib_jinja_to_str(st, self, &s) &&
           cut(st, s.as.s, "<!--", "-->", &s) && cut(st, s.as.s, "<", ">", &s) &&
           collapse_space(st, s.as.s, &s) && unescape(st, s.as.s, out);
}

static bool f_xmlattr(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"autospace"};
    jval space, k, v;
    ib_buf b;
    char shown[IB_QUOTED];
    if (!ib_jinja_bind(st, "xmlattr", a, names, 0, 1, &space))
        return false;
    if (self.type == J_UNDEF)
        return ib_jinja_raise_undef(st, self.as.undef);
    if (self.type != J_DICT)
        return ib_jinja_raise(st, "AttributeError", "'%s' object has no attribute 'items'",
                              ib_jinja_type_name(self));
    ib_buf_init(&b);
    bool ok = true, autospace = space.type == J_MISSING || ib_jinja_truth(space);
    for (size_t i = 0; ok && i < self.as.d->n; i++) {
        const jentry *e = &self.as.d->entries[i];
        if (e->value.type == J_NONE || e->value.type == J_UNDEF)
            continue;
        if (e->key.type != J_STR) {
            ok = ib_jinja_raise(st, "TypeError", "expected string or bytes-like object, got '%s'",
                                ib_jinja_type_name(e->key));
            break;
        }
        const jstr *key = e->key.as.s;
        for (size_t n = 0; ok && n < key->n; n++)
            if (strchr(" \t\n\r\f\v/>=", key->p[n]) && key->p[n])
                ok = ib_jinja_raise(st, "ValueError", "Invalid character in attribute name: '%s'",
                                    ib_quote((ib_str){key->p, key->n}, shown));
        ok = ok && ib_jinja_html_escape(st, e->key, &k) && ib_jinja_html_escape(st, e->value, &v) &&
             ((b.len == 0 && !autospace) || ib_jinja_puts(st, &b, " ")) &&
             ib_jinja_put(st, &b, k.as.s->p, k.as.s->n) && ib_jinja_puts(st, &b, "=\"") &&
             ib_jinja_put(st, &b, v.as.s->p, v.as.s->n) && ib_jinja_puts(st, &b, "\"");
    }
    ok = ok && ib_jinja_str_copy(st, b.len ? b.ptr : "", b.len, out);
    ib_buf_clear(&b);
    return ok;
}

/* --- urlencode --- */

static bool put_quoted(jstate *st, ib_buf *b, jval v, bool query) {
    jval s;
    char text[4];
    if (!ib_jinja_to_str(st, v, &s))
        return false;
    for (size_t i = 0; i < s.as.s->n; i++) {
        unsigned char c = (unsigned char)s.as.s->p[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                     (c && strchr("_.-~", c)) || (c == '/' && !query);
        if (plain)
            (void)snprintf(text, sizeof text, "%c", c);
        else if (c == ' ' && query)
            (void)snprintf(text, sizeof text, "+");
        else
            (void)snprintf(text, sizeof text, "%%%02X", c);
        if (!ib_jinja_puts(st, b, text))
            return false;
    }
    return true;
}

static bool put_query(jstate *st, ib_buf *b, jval v) {
    jview view = {.kind = VIEW_ITEMS};
    jlist *l, *pair;
    if (v.type == J_DICT) {
        view.d = v.as.d;
        v = (jval){.type = J_VIEW, .as.view = &view};
    }
    if (!ib_jinja_to_list(st, v, &l))
        return false;
    for (size_t i = 0; i < l->n; i++) {
        if (!ib_jinja_iterable(l->items[i]))
            return ib_jinja_raise(st, "TypeError", "cannot unpack non-iterable %s object",
                                  ib_jinja_type_name(l->items[i]));
        if (!ib_jinja_to_list(st, l->items[i], &pair))
            return false;
        if (pair->n != 2)
            return ib_jinja_raise(st, "ValueError",
                                  "wrong number of values to unpack (expected 2)");
        if ((i && !ib_jinja_puts(st, b, "&")) || !put_quoted(st, b, pair->items[0], true) ||
            !ib_jinja_puts(st, b, "=") || !put_quoted(st, b, pair->items[1], true))
            return false;
    }
    return true;
}

static bool f_urlencode(jstate *st, jval self, const jargs *a, jval *out) {
    ib_buf b;
    if (!ib_jinja_no_keywords(st, "urlencode", a, 0, 0))
        return false;
    ib_buf_init(&b);
    bool ok = self.type == J_STR || !ib_jinja_iterable(self) ? put_quoted(st, &b, self, false)
                                                             : put_query(st, &b, self);
    ok = ok && ib_jinja_str_copy(st, b.len ? b.ptr : "", b.len, out);
    ib_buf_clear(&b);
    return ok;
}

const jfunc ib_jinja_html_filters[] = {{"escape", f_escape},
                                       {"e", f_escape},
                                       {"forceescape", f_forceescape},
                                       {"safe", f_safe},
                                       {"striptags", f_striptags},
                                       {"xmlattr", f_xmlattr},
                                       {"urlencode", f_urlencode},
                                       {"urlize", ib_jinja_urlize},
                                       {NULL, NULL}};
