/* SPDX-License-Identifier: MIT
 * Methods of strings that look and ask: find, count, startswith, the is... family. */
#include "text/jinja/value.h"

#include <string.h>

/* --- with a range of characters --- */

typedef struct window {
    const jstr *s;
    size_t from, to; /* bytes */
    bool empty;      /* start beyond the end: not even "" is found there */
} window;

static bool bound(jstate *st, jval v, int64_t fallback, int64_t n, int64_t *out) {
    *out = fallback;
    if (v.type == J_MISSING || v.type == J_NONE)
        return true;
    if (!ib_jinja_as_int(v, out))
        return ib_jinja_raise(st, "TypeError",
                              "slice indices must be integers or None or have an __index__ method");
    if (*out < 0)
        *out = *out < -n ? 0 : *out + n;
    return true;
}

static bool make_window(jstate *st, jval self, const jargs *a, window *w) {
    const jstr *s = self.as.s;
    int64_t n = (int64_t)s->chars, from, to;
    if (!bound(st, a->n > 1 ? a->pos[1] : JNONE, 0, n, &from) ||
        !bound(st, a->n > 2 ? a->pos[2] : JNONE, n, n, &to))
        return false;
    if (to > n)
        to = n;
    *w = (window){.s = s, .empty = from > to};
    if (w->empty)
        return true;
    w->from = ib_jinja_byte_offset(s, (size_t)from);
    w->to = ib_jinja_byte_offset(s, (size_t)to);
    return ib_jinja_spend(st, s->n / 64);
}

static bool want_str(jstate *st, jval v, const jstr **out) {
    *out = NULL;
    if (v.type != J_STR)
        return ib_jinja_raise(st, "TypeError", "must be str, not %s", ib_jinja_type_name(v));
    *out = v.as.s;
    return true;
}

static bool locate(jstate *st, jval self, const jargs *a, bool last, int64_t *out) {
    window w;
    const jstr *x;
    if (!ib_jinja_no_keywords(st, "find", a, 1, 3) || !want_str(st, a->pos[0], &x) ||
        !make_window(st, self, a, &w))
        return false;
    *out = -1;
    if (w.empty || w.to - w.from < x->n)
        return true;
    size_t at = SIZE_MAX;
    if (!last) {
        at = ib_jinja_find_bytes(w.s->p + w.from, w.to - w.from, x->p, x->n);
        at = at == SIZE_MAX ? at : at + w.from;
    } else {
        for (size_t i = w.to - x->n + 1; i-- > w.from && at == SIZE_MAX;)
            if (memcmp(w.s->p + i, x->p, x->n) == 0)
                at = i;
    }
    if (at != SIZE_MAX)
        *out = (int64_t)ib_jinja_count_chars(w.s->p, at);
    return true;
}

static bool m_find(jstate *st, jval self, const jargs *a, jval *out) {
    int64_t at;
    if (!locate(st, self, a, false, &at))
        return false;
    *out = JINT(at);
    return true;
}

static bool m_rfind(jstate *st, jval self, const jargs *a, jval *out) {
    int64_t at;
    if (!locate(st, self, a, true, &at))
        return false;
    *out = JINT(at);
    return true;
}

static bool m_index(jstate *st, jval self, const jargs *a, jval *out) {
    return m_find(st, self, a, out) &&
           (out->as.i >= 0 || ib_jinja_raise(st, "ValueError", "substring not found"));
}

static bool m_rindex(jstate *st, jval self, const jargs *a, jval *out) {
    return m_rfind(st, self, a, out) &&
           (out->as.i >= 0 || ib_jinja_raise(st, "ValueError", "substring not found"));
}

static bool m_count(jstate *st, jval self, const jargs *a, jval *out) {
    window w;
    const jstr *x;
    int64_t n = 0;
    if (!ib_jinja_no_keywords(st, "count", a, 1, 3) || !want_str(st, a->pos[0], &x) ||
        !make_window(st, self, a, &w))
        return false;
    if (!w.empty && x->n == 0)
        n = (int64_t)ib_jinja_count_chars(w.s->p + w.from, w.to - w.from) + 1;
    for (size_t i = w.from; !w.empty && x->n; n++) {
        size_t found = ib_jinja_find_bytes(w.s->p + i, w.to - i, x->p, x->n);
        if (found == SIZE_MAX)
            break;
        i += found + x->n;
    }
    *out = JINT(n);
    return true;
}

static bool matches(window w, const jstr *x, bool end) {
    if (w.empty || w.to - w.from < x->n)
        return false;
    return memcmp(w.s->p + (end ? w.to - x->n : w.from), x->p, x->n) == 0;
}

static bool affix(jstate *st, jval self, const jargs *a, bool end, jval *out) {
    const char *name = end ? "endswith" : "startswith";
    window w;
    bool found = false;
    if (!ib_jinja_no_keywords(st, name, a, 1, 3) || !make_window(st, self, a, &w))
        return false;
    jval x = a->pos[0];
    if (x.type == J_STR) {
        found = matches(w, x.as.s, end);
    } else if (x.type == J_TUPLE) {
        for (size_t i = 0; i < x.as.l->n && !found; i++) {
            if (x.as.l->items[i].type != J_STR)
                return ib_jinja_raise(st, "TypeError", "tuple for %s must only contain str, not %s",
                                      name, ib_jinja_type_name(x.as.l->items[i]));
            found = matches(w, x.as.l->items[i].as.s, end);
        }
    } else {
        return ib_jinja_raise(st, "TypeError", "%s first arg must be str or a tuple of str, not %s",
                              name, ib_jinja_type_name(x));
    }
    *out = JBOOL(found);
    return true;
}

static bool m_startswith(jstate *st, jval self, const jargs *a, jval *out) {
    return affix(st, self, a, false, out);
}

static bool m_endswith(jstate *st, jval self, const jargs *a, jval *out) {
    return affix(st, self, a, true, out);
}

/* --- is... --- */

static bool all_chars(jstate *st, jval self, const jargs *a, bool (*is)(uint32_t), bool empty,
                      jval *out) {
    const jstr *s = self.as.s;
    size_t len;
    bool all = s->n > 0 || empty;
    if (!ib_jinja_no_keywords(st, "method", a, 0, 0) || !ib_jinja_spend(st, s->n / 64))
        return false;
    for (size_t i = 0; i < s->n && all; i += len)
        all = is(ib_jinja_char_at(s->p + i, &len));
    *out = JBOOL(all);
    return true;
}

static bool is_alnum(uint32_t c) {
    return ib_jinja_is_alpha(c) || ib_jinja_is_decimal(c) || ib_jinja_is_digit(c) ||
           ib_jinja_is_numeric(c);
}

static bool is_ascii(uint32_t c) {
    return c < 0x80;
}

static bool m_isalpha(jstate *st, jval self, const jargs *a, jval *out) {
    return all_chars(st, self, a, ib_jinja_is_alpha, false, out);
}

static bool m_isalnum(jstate *st, jval self, const jargs *a, jval *out) {
    return all_chars(st, self, a, is_alnum, false, out);
}

static bool m_isdigit(jstate *st, jval self, const jargs *a, jval *out) {
    return all_chars(st, self, a, ib_jinja_is_digit, false, out);
}

static bool m_isdecimal(jstate *st, jval self, const jargs *a, jval *out) {
    return all_chars(st, self, a, ib_jinja_is_decimal, false, out);
}

static bool m_isnumeric(jstate *st, jval self, const jargs *a, jval *out) {
    return all_chars(st, self, a, ib_jinja_is_numeric, false, out);
}

static bool m_isspace(jstate *st, jval self, const jargs *a, jval *out) {
    return all_chars(st, self, a, ib_jinja_is_space, false, out);
}

static bool m_isprintable(jstate *st, jval self, const jargs *a, jval *out) {
    return all_chars(st, self, a, ib_jinja_is_printable, true, out);
}

static bool m_isascii(jstate *st, jval self, const jargs *a, jval *out) {
    return all_chars(st, self, a, is_ascii, true, out);
}

static bool m_isidentifier(jstate *st, jval self, const jargs *a, jval *out) {
    const jstr *s = self.as.s;
    size_t len = 0;
    uint32_t first = s->n ? ib_jinja_char_at(s->p, &len) : '0';
    if (!all_chars(st, self, a, ib_jinja_is_word, false, out))
        return false;
    *out = JBOOL(out->as.b && (ib_jinja_is_alpha(first) || first == '_'));
    return true;
}

/* Some cased letter, and none of the other case. */
static bool one_case(jstate *st, jval self, const jargs *a, bool lower, jval *out) {
    const jstr *s = self.as.s;
    size_t len;
    bool some = false, other = false;
    if (!ib_jinja_no_keywords(st, lower ? "islower" : "isupper", a, 0, 0) ||
        !ib_jinja_spend(st, s->n / 64))
        return false;
    for (size_t i = 0; i < s->n && !other; i += len) {
        uint32_t c = ib_jinja_char_at(s->p + i, &len);
        some |= lower ? ib_jinja_is_lower(c) : ib_jinja_is_upper(c);
        other |= ib_jinja_is_title(c) || (lower ? ib_jinja_is_upper(c) : ib_jinja_is_lower(c));
    }
    *out = JBOOL(some && !other);
    return true;
}

static bool m_islower(jstate *st, jval self, const jargs *a, jval *out) {
    return one_case(st, self, a, true, out);
}

static bool m_isupper(jstate *st, jval self, const jargs *a, jval *out) {
    return one_case(st, self, a, false, out);
}

static bool m_istitle(jstate *st, jval self, const jargs *a, jval *out) {
    const jstr *s = self.as.s;
    size_t len;
    bool inside = false, some = false, ok = true;
    if (!ib_jinja_no_keywords(st, "istitle", a, 0, 0) || !ib_jinja_spend(st, s->n / 64))
        return false;
    for (size_t i = 0; i < s->n && ok; i += len) {
        uint32_t c = ib_jinja_char_at(s->p + i, &len);
        bool up = ib_jinja_is_upper(c) || ib_jinja_is_title(c), low = ib_jinja_is_lower(c);
        ok = !(up && inside) && !(low && !inside);
        some |= up || low;
        inside = up || low;
    }
    *out = JBOOL(ok && some);
    return true;
}

const jfunc ib_jinja_str_find_methods[] = {
    {"find", m_find},           {"rfind", m_rfind},
    {"index", m_index},         {"rindex", m_rindex},
    {"count", m_count},         {"startswith", m_startswith},
    {"endswith", m_endswith},   {"isalpha", m_isalpha},
    {"isalnum", m_isalnum},     {"isdigit", m_isdigit},
    {"isdecimal", m_isdecimal}, {"isnumeric", m_isnumeric},
    {"isspace", m_isspace},     {"isprintable", m_isprintable},
    {"isascii", m_isascii},     {"isidentifier", m_isidentifier},
    {"islower", m_islower},     {"isupper", m_isupper},
    {"istitle", m_istitle},     {NULL, NULL}};
