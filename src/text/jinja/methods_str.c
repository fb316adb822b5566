/* SPDX-License-Identifier: MIT
 * Methods of strings, as Python's str has them: searching, splitting, joining, changing. */
#include "text/jinja/value.h"

#include <string.h>

static bool want_str(jstate *st, const char *method, jval v, const jstr **out) {
    *out = NULL;
    if (v.type != J_STR)
        return ib_jinja_raise(st, "TypeError", "%s() argument must be str, not %s", method,
                              ib_jinja_type_name(v));
    *out = v.as.s;
    return true;
}

static bool want_int(jstate *st, jval v, int64_t *out) {
    if (v.type == J_UNDEF)
        return ib_jinja_raise(st, "TypeError",
                              "'Undefined' object cannot be interpreted as an integer");
    return ib_jinja_as_int(v, out) ||
           ib_jinja_raise(st, "TypeError", "'%s' object cannot be interpreted as an integer",
                          ib_jinja_type_name(v));
}

static bool result_markup(jstate *st, jval self, jval *out) {
    return !self.as.s->markup || out->as.s->markup || ib_jinja_markup(st, out->as.s, true, out);
}

/* --- strip, split, join --- */

static bool strip(jstate *st, jval self, const jargs *a, const char *name, bool left, bool right,
                  jval *out) {
    const jstr *chars = NULL;
    if (!ib_jinja_no_keywords(st, name, a, 0, 1))
        return false;
    if (a->n && a->pos[0].type != J_NONE && !want_str(st, name, a->pos[0], &chars))
        return false;
    return ib_jinja_strip(st, self.as.s, chars, left, right, out);
}

static bool m_strip(jstate *st, jval self, const jargs *a, jval *out) {
    return strip(st, self, a, "strip", true, true, out);
}

static bool m_lstrip(jstate *st, jval self, const jargs *a, jval *out) {
    return strip(st, self, a, "lstrip", true, false, out);
}

static bool m_rstrip(jstate *st, jval self, const jargs *a, jval *out) {
    return strip(st, self, a, "rstrip", false, true, out);
}

static bool add_piece(jstate *st, jlist *l, const jstr *s, size_t from, size_t to) {
    jval v;
    return ib_jinja_str_borrow(st, s->p + from, to - from, &v) &&
           (!s->markup || ib_jinja_markup(st, v.as.s, true, &v)) && ib_jinja_list_add(st, l, v);
}

static size_t skip(const jstr *s, size_t i, bool space) {
    size_t len;
    while (i < s->n && ib_jinja_is_space(ib_jinja_char_at(s->p + i, &len)) == space)
        i += len;
    return i;
}

static size_t skip_back(const jstr *s, size_t i, bool space) {
    while (i > 0) {
        size_t k = i, len;
        do
            k--;
        while (((unsigned char)s->p[k] & 0xC0) == 0x80);
        if (ib_jinja_is_space(ib_jinja_char_at(s->p + k, &len)) != space)
            break;
        i = k;
    }
    return i;
}

static bool split_space(jstate *st, const jstr *s, int64_t max, jlist *l) {
    size_t i = skip(s, 0, true);
    while (i < s->n) {
        size_t end = max == 0 ? s->n : skip(s, i, false);
        if (!add_piece(st, l, s, i, end))
            return false;
        i = max == 0 ? s->n : skip(s, end, true);
        max -= max > 0;
    }
    return true;
}

static bool split_on(jstate *st, const jstr *s, const jstr *sep, int64_t max, jlist *l) {
    size_t i = 0, found;
    while (max != 0 &&
           (found = ib_jinja_find_bytes(s->p + i, s->n - i, sep->p, sep->n)) != SIZE_MAX) {
        if (!add_piece(st, l, s, i, i + found) || !ib_jinja_spend(st, 1))
            return false;
        i += found + sep->n;
        max -= max > 0;
    }
    return add_piece(st, l, s, i, s->n);
}

static size_t rfind_bytes(const char *p, size_t n, const char *needle, size_t m) {
    if (m > n)
        return SIZE_MAX;
    for (size_t i = n - m + 1; i-- > 0;)
        if (m == 0 || memcmp(p + i, needle, m) == 0)
            return i;
    return SIZE_MAX;
}

static void reverse(jlist *l) {
    for (size_t i = 0; i + 1 < l->n - i; i++) {
        jval v = l->items[i];
        l->items[i] = l->items[l->n - 1 - i];
        l->items[l->n - 1 - i] = v;
    }
}

static bool rsplit_space(jstate *st, const jstr *s, int64_t max, jlist *l) {
    size_t end = skip_back(s, s->n, true);
    while (end > 0) {
        size_t from = max == 0 ? 0 : skip_back(s, end, false);
        if (!add_piece(st, l, s, from, end))
            return false;
        end = max == 0 ? 0 : skip_back(s, from, true);
        max -= max > 0;
    }
    reverse(l);
    return true;
}

static bool rsplit_on(jstate *st, const jstr *s, const jstr *sep, int64_t max, jlist *l) {
    size_t end = s->n, found;
    while (max != 0 && (found = rfind_bytes(s->p, end, sep->p, sep->n)) != SIZE_MAX) {
        if (!add_piece(st, l, s, found + sep->n, end) ||
            !ib_jinja_spend(st, 1 + (end - found) / 64))
            return false;
        end = found;
        max -= max > 0;
    }
    if (!add_piece(st, l, s, 0, end))
        return false;
    reverse(l);
    return true;
}

static bool split(jstate *st, jval self, const jargs *a, bool right, jval *out) {
    static const char *const names[] = {"sep", "maxsplit"};
    jval v[2];
    int64_t max = -1;
    const jstr *s = self.as.s, *sep = NULL;
    if (!ib_jinja_bind(st, right ? "rsplit" : "split", a, names, 0, 2, v))
        return false;
    if (v[1].type != J_MISSING && !want_int(st, v[1], &max))
        return false;
    if (v[0].type != J_MISSING && v[0].type != J_NONE && !want_str(st, "split", v[0], &sep))
        return false;
    if (sep && sep->n == 0)
        return ib_jinja_raise(st, "ValueError", "empty separator");
    jlist *l = ib_jinja_list_new(st, 8);
    if (!l || !ib_jinja_spend(st, s->n / 64))
        return false;
    *out = JLIST(l);
    if (!sep)
        return right ? rsplit_space(st, s, max, l) : split_space(st, s, max, l);
    return right ? rsplit_on(st, s, sep, max, l) : split_on(st, s, sep, max, l);
}

static bool m_split(jstate *st, jval self, const jargs *a, jval *out) {
    return split(st, self, a, false, out);
}

static bool m_rsplit(jstate *st, jval self, const jargs *a, jval *out) {
    return split(st, self, a, true, out);
}

static bool m_splitlines(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"keepends"};
    jval keep;
    jlist *l;
    if (!ib_jinja_bind(st, "splitlines", a, names, 0, 1, &keep) ||
        !ib_jinja_split_lines(st, self.as.s, keep.type != J_MISSING && ib_jinja_truth(keep), &l))
        return false;
    *out = JLIST(l);
    return true;
}

static bool partition(jstate *st, jval self, const jargs *a, bool right, jval *out) {
    const jstr *s = self.as.s, *sep;
    if (!ib_jinja_no_keywords(st, "partition", a, 1, 1) ||
        !want_str(st, "partition", a->pos[0], &sep))
        return false;
    if (sep->n == 0)
        return ib_jinja_raise(st, "ValueError", "empty separator");
    size_t at = right ? rfind_bytes(s->p, s->n, sep->p, sep->n)
                      : ib_jinja_find_bytes(s->p, s->n, sep->p, sep->n);
    jlist *l = ib_jinja_list_new(st, 3);
    if (!l || !ib_jinja_spend(st, s->n / 64))
        return false;
    *out = JTUPLE(l);
    if (at == SIZE_MAX)
        return (right ? add_piece(st, l, s, 0, 0) && add_piece(st, l, s, 0, 0) &&
                            add_piece(st, l, s, 0, s->n)
                      : add_piece(st, l, s, 0, s->n) && add_piece(st, l, s, 0, 0) &&
                            add_piece(st, l, s, 0, 0));
    return add_piece(st, l, s, 0, at) && add_piece(st, l, s, at, at + sep->n) &&
           add_piece(st, l, s, at + sep->n, s->n);
}

static bool m_partition(jstate *st, jval self, const jargs *a, jval *out) {
    return partition(st, self, a, false, out);
}

static bool m_rpartition(jstate *st, jval self, const jargs *a, jval *out) {
    return partition(st, self, a, true, out);
}

static bool m_join(jstate *st, jval self, const jargs *a, jval *out) {
    jlist *l;
    if (!ib_jinja_no_keywords(st, "join", a, 1, 1))
        return false;
    if (!ib_jinja_iterable(a->pos[0]))
        return ib_jinja_raise(st, "TypeError", "can only join an iterable");
    return ib_jinja_to_list(st, a->pos[0], &l) && ib_jinja_join(st, self.as.s, l, true, out) &&
           result_markup(st, self, out);
}

/* --- changing --- */

static bool m_upper(jstate *st, jval self, const jargs *a, jval *out) {
    return ib_jinja_no_keywords(st, "upper", a, 0, 0) &&
           ib_jinja_case(st, self.as.s, CASE_UPPER, out);
}

static bool m_lower(jstate *st, jval self, const jargs *a, jval *out) {
    return ib_jinja_no_keywords(st, "lower", a, 0, 0) &&
           ib_jinja_case(st, self.as.s, CASE_LOWER, out);
}

static bool m_casefold(jstate *st, jval self, const jargs *a, jval *out) {
    return ib_jinja_no_keywords(st, "casefold", a, 0, 0) &&
           ib_jinja_case(st, self.as.s, CASE_FOLD, out);
}

static bool m_title(jstate *st, jval self, const jargs *a, jval *out) {
    return ib_jinja_no_keywords(st, "title", a, 0, 0) && ib_jinja_titlecase(st, self.as.s, out);
}

static bool m_capitalize(jstate *st, jval self, const jargs *a, jval *out) {
    return ib_jinja_no_keywords(st, "capitalize", a, 0, 0) &&
           ib_jinja_capitalize(st, self.as.s, out);
}

static bool m_swapcase(jstate *st, jval self, const jargs *a, jval *out) {
    return ib_jinja_no_keywords(st, "swapcase", a, 0, 0) && ib_jinja_swapcase(st, self.as.s, out);
}

static bool m_replace(jstate *st, jval self, const jargs *a, jval *out) {
    const jstr *from, *to;
    int64_t count = -1;
    if (!ib_jinja_no_keywords(st, "replace", a, 2, 3) ||
        !want_str(st, "replace", a->pos[0], &from) || !want_str(st, "replace", a->pos[1], &to) ||
        (a->n > 2 && !want_int(st, a->pos[2], &count)))
        return false;
    return ib_jinja_replace(st, self.as.s, from, to, count, out);
}

static bool pad(jstate *st, jval self, const jargs *a, const char *name, char how, jval *out) {
    int64_t width;
    uint32_t fill = ' ';
    const jstr *s;
    size_t len;
    if (!ib_jinja_no_keywords(st, name, a, 1, 2) || !want_int(st, a->pos[0], &width))
        return false;
    if (a->n > 1) {
        if (!want_str(st, name, a->pos[1], &s))
            return false;
        if (s->chars != 1)
            return ib_jinja_raise(st, "TypeError",
                                  "The fill character must be exactly one character long");
        fill = ib_jinja_char_at(s->p, &len);
    }
    return ib_jinja_pad(st, self.as.s, width, fill, how, out);
}

static bool m_center(jstate *st, jval self, const jargs *a, jval *out) {
    return pad(st, self, a, "center", '^', out);
}

static bool m_ljust(jstate *st, jval self, const jargs *a, jval *out) {
    return pad(st, self, a, "ljust", '<', out);
}

static bool m_rjust(jstate *st, jval self, const jargs *a, jval *out) {
    return pad(st, self, a, "rjust", '>', out);
}

static bool m_zfill(jstate *st, jval self, const jargs *a, jval *out) {
    const jstr *s = self.as.s;
    int64_t width;
    if (!ib_jinja_no_keywords(st, "zfill", a, 1, 1) || !want_int(st, a->pos[0], &width))
        return false;
    if (s->n == 0 || (s->p[0] != '-' && s->p[0] != '+'))
        return ib_jinja_pad(st, s, width, '0', '>', out);
    jval sign, rest;
    return ib_jinja_substr(st, s, 0, 1, &sign) && ib_jinja_substr(st, s, 1, s->chars, &rest) &&
           ib_jinja_pad(st, rest.as.s, width - 1, '0', '>', &rest) &&
           ib_jinja_str_concat(st, sign.as.s, rest.as.s, out);
}

static bool m_expandtabs(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"tabsize"};
    jval v;
    int64_t size = 8, column = 0;
    const jstr *s = self.as.s;
    ib_buf b;
    size_t len;
    if (!ib_jinja_bind(st, "expandtabs", a, names, 0, 1, &v) ||
        (v.type != J_MISSING && !want_int(st, v, &size)))
        return false;
    ib_buf_init(&b);
    bool ok = true;
    for (size_t i = 0; ok && i < s->n; i += len) {
        (void)ib_jinja_char_at(s->p + i, &len);
        if (s->p[i] == '\t') {
            int64_t n = size > 0 ? size - column % size : 0;
            ok = ib_jinja_spend(st, (uint64_t)n);
            for (int64_t k = 0; ok && k < n; k++)
                ok = ib_jinja_puts(st, &b, " ");
            column += n;
            continue;
        }
        ok = ib_jinja_put(st, &b, s->p + i, len);
        column = s->p[i] == '\n' || s->p[i] == '\r' ? 0 : column + 1;
    }
    ok =
        ok && ib_jinja_str_copy(st, b.len ? b.ptr : "", b.len, out) && result_markup(st, self, out);
    ib_buf_clear(&b);
    return ok;
}

static bool remove_affix(jstate *st, jval self, const jargs *a, bool prefix, jval *out) {
    const jstr *s = self.as.s, *x;
    if (!ib_jinja_no_keywords(st, prefix ? "removeprefix" : "removesuffix", a, 1, 1) ||
        !want_str(st, prefix ? "removeprefix" : "removesuffix", a->pos[0], &x))
        return false;
    *out = self;
    if (x->n == 0 || x->n > s->n || memcmp(prefix ? s->p : s->p + s->n - x->n, x->p, x->n) != 0)
        return true;
    return prefix ? ib_jinja_substr(st, s, x->chars, s->chars, out)
                  : ib_jinja_substr(st, s, 0, s->chars - x->chars, out);
}

static bool m_removeprefix(jstate *st, jval self, const jargs *a, jval *out) {
    return remove_affix(st, self, a, true, out);
}

static bool m_removesuffix(jstate *st, jval self, const jargs *a, jval *out) {
    return remove_affix(st, self, a, false, out);
}

static bool m_format(jstate *st, jval self, const jargs *a, jval *out) {
    return ib_jinja_str_format(st, self.as.s, a, NULL, out) && result_markup(st, self, out);
}

static bool m_format_map(jstate *st, jval self, const jargs *a, jval *out) {
    if (!ib_jinja_no_keywords(st, "format_map", a, 1, 1))
        return false;
    if (a->pos[0].type != J_DICT)
        return ib_jinja_raise(st, "TypeError", "format_map() needs a dict");
    jargs none = {.n = 0};
    return ib_jinja_str_format(st, self.as.s, &none, a->pos[0].as.d, out);
}

static bool m_encode(jstate *st, jval self, const jargs *a, jval *out) {
    (void)self;
    (void)a;
    (void)out;
    (void)ib_jinja_raise(st, "TypeError", "str.encode() is not supported: templates have no bytes");
    ib_jinja_unsupported(st);
    return false;
}

const jfunc ib_jinja_str_methods[] = {{"strip", m_strip},
                                      {"lstrip", m_lstrip},
                                      {"rstrip", m_rstrip},
                                      {"split", m_split},
                                      {"rsplit", m_rsplit},
                                      {"splitlines", m_splitlines},
                                      {"partition", m_partition},
                                      {"rpartition", m_rpartition},
                                      {"join", m_join},
                                      {"upper", m_upper},
                                      {"lower", m_lower},
                                      {"casefold", m_casefold},
                                      {"title", m_title},
                                      {"capitalize", m_capitalize},
                                      {"swapcase", m_swapcase},
                                      {"replace", m_replace},
                                      {"center", m_center},
                                      {"ljust", m_ljust},
                                      {"rjust", m_rjust},
                                      {"zfill", m_zfill},
                                      {"expandtabs", m_expandtabs},
                                      {"removeprefix", m_removeprefix},
                                      {"removesuffix", m_removesuffix},
                                      {"format", m_format},
                                      {"format_map", m_format_map},
                                      {"encode", m_encode},
                                      {NULL, NULL}};
