/* SPDX-License-Identifier: MIT
 * Filters on text and numbers, and the table that finds every filter by name. */
#include "text/jinja/value.h"

#include <math.h>
#include <string.h>

/* soft_str(): what is a string already stays as it is. */
static bool text_of(jstate *st, jval v, const jargs *a, const char *name, const jstr **out) {
    jval s;
    if ((a && !ib_jinja_no_keywords(st, name, a, 0, 0)) || !ib_jinja_to_str(st, v, &s))
        return false;
    *out = s.as.s;
    return true;
}

static bool want_int(jstate *st, jval v, int64_t fallback, int64_t *out) {
    *out = fallback;
    if (v.type == J_MISSING)
        return true;
    return ib_jinja_as_int(v, out) ||
           ib_jinja_raise(st, "TypeError", "'%s' object cannot be interpreted as an integer",
                          ib_jinja_type_name(v));
}

static bool f_upper(jstate *st, jval self, const jargs *a, jval *out) {
    const jstr *s;
    return text_of(st, self, a, "upper", &s) && ib_jinja_case(st, s, CASE_UPPER, out);
}

static bool f_lower(jstate *st, jval self, const jargs *a, jval *out) {
    const jstr *s;
    return text_of(st, self, a, "lower", &s) && ib_jinja_case(st, s, CASE_LOWER, out);
}

static bool f_capitalize(jstate *st, jval self, const jargs *a, jval *out) {
    const jstr *s;
    return text_of(st, self, a, "capitalize", &s) && ib_jinja_capitalize(st, s, out);
}

static bool f_string(jstate *st, jval self, const jargs *a, jval *out) {
    return ib_jinja_no_keywords(st, "string", a, 0, 0) && ib_jinja_to_str(st, self, out);
}

static bool breaks_word(uint32_t c) {
    return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || ib_jinja_is_space(c);
}

/* Each word: first letter up, the rest down. */
static bool f_title(jstate *st, jval self, const jargs *a, jval *out) {
    const jstr *s;
    ib_buf b;
    if (!text_of(st, self, a, "title", &s))
        return false;
    ib_buf_init(&b);
    bool ok = true;
    size_t i = 0, len;
    while (ok && i < s->n) {
        size_t start = i;
        bool breaks = breaks_word(ib_jinja_char_at(s->p + i, &len));
        size_t first = len;
        for (i += len; i < s->n && breaks_word(ib_jinja_char_at(s->p + i, &len)) == breaks;)
            i += len;
        jval head, rest;
        ok = ib_jinja_str_borrow(st, s->p + start, first, &head) &&
             ib_jinja_str_borrow(st, s->p + start + first, i - start - first, &rest) &&
             ib_jinja_case(st, head.as.s, CASE_UPPER, &head) &&
             ib_jinja_case(st, rest.as.s, CASE_LOWER, &rest) &&
             ib_jinja_put(st, &b, head.as.s->p, head.as.s->n) &&
             ib_jinja_put(st, &b, rest.as.s->p, rest.as.s->n);
    }
    ok = ok && ib_jinja_str_copy(st, b.len ? b.ptr : "", b.len, out);
    ib_buf_clear(&b);
    return ok;
}

static bool f_trim(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"chars"};
    jval chars;
    const jstr *s;
    if (!ib_jinja_bind(st, "trim", a, names, 0, 1, &chars) || !text_of(st, self, NULL, "trim", &s))
        return false;
    if (chars.type != J_MISSING && chars.type != J_NONE && chars.type != J_STR)
        return ib_jinja_raise(st, "TypeError", "strip arg must be None or str");
    return ib_jinja_strip(st, s, chars.type == J_STR ? chars.as.s : NULL, true, true, out);
}

static bool f_replace(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"old", "new", "count"};
    jval v[3], s;
    int64_t count = -1;
    if (!ib_jinja_bind(st, "replace", a, names, 2, 3, v) || !ib_jinja_to_str(st, self, &s) ||
        !ib_jinja_to_str(st, v[0], &v[0]) || !ib_jinja_to_str(st, v[1], &v[1]))
        return false;
    if (v[2].type != J_NONE && !want_int(st, v[2], -1, &count))
        return false;
    return ib_jinja_replace(st, s.as.s, v[0].as.s, v[1].as.s, count, out) &&
           ib_jinja_markup(st, out->as.s, false, out);
}

static bool f_center(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"width"};
    jval width;
    const jstr *s;
    int64_t n;
    return ib_jinja_bind(st, "center", a, names, 0, 1, &width) && want_int(st, width, 80, &n) &&
           text_of(st, self, NULL, "center", &s) && ib_jinja_pad(st, s, n, ' ', '^', out);
}

static bool f_wordcount(jstate *st, jval self, const jargs *a, jval *out) {
    const jstr *s;
    int64_t n = 0;
    bool inside = false;
    size_t len;
    if (!text_of(st, self, a, "wordcount", &s))
        return false;
    for (size_t i = 0; i < s->n; i += len) {
        bool word = ib_jinja_is_word(ib_jinja_char_at(s->p + i, &len));
        n += word && !inside;
        inside = word;
    }
    *out = JINT(n);
    return ib_jinja_spend(st, s->n / 32);
}

static bool f_format(jstate *st, jval self, const jargs *a, jval *out) {
    jval s, args;
    if (!ib_jinja_to_str(st, self, &s))
        return false;
    if (a->n && a->n_kw)
        return ib_jinja_raise(st, "FilterArgumentError",
                              "can't handle positional and keyword arguments at the same time");
    if (a->n_kw) {
        jdict *d = ib_jinja_dict_new(st, a->n_kw);
        for (size_t i = 0; d && i < a->n_kw; i++)
            if (!ib_jinja_dict_set_str(st, d, a->kw[i].name, a->kw[i].value))
                return false;
        if (!d)
            return false;
        args = JDICT(d);
    } else {
        jlist *l = ib_jinja_list_new(st, a->n);
        if (!l)
            return false;
        if (a->n)
            memcpy(l->items, a->pos, a->n * sizeof *l->items);
        l->n = a->n;
        args = JTUPLE(l);
    }
    return ib_jinja_percent(st, s.as.s, args, out);
}

/* --- lines --- */

static bool indent_lines(jstate *st, const jstr *s, const jstr *pad, bool first, bool blank,
                         jval *out) {
    jlist *lines;
    jval whole, newline;
    ib_buf b;
    if (!ib_jinja_strz(st, "\n", &newline) || !ib_jinja_str_concat(st, s, newline.as.s, &whole) ||
        !ib_jinja_split_lines(st, whole.as.s, false, &lines))
        return false;
    ib_buf_init(&b);
    bool ok = !first || ib_jinja_put(st, &b, pad->p, pad->n);
    for (size_t i = 0; ok && i < lines->n; i++) {
        const jstr *line = lines->items[i].as.s;
        ok = (i == 0 || ib_jinja_puts(st, &b, "\n")) &&
             (i == 0 || !(blank || line->n) || ib_jinja_put(st, &b, pad->p, pad->n)) &&
             ib_jinja_put(st, &b, line->p, line->n);
    }
    ok = ok && ib_jinja_str_copy(st, b.len ? b.ptr : "", b.len, out) &&
         (!s->markup || ib_jinja_markup(st, out->as.s, true, out));
    ib_buf_clear(&b);
    return ok;
}

static bool f_indent(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"width", "first", "blank"};
    jval v[3], pad;
    int64_t width;
    if (!ib_jinja_bind(st, "indent", a, names, 0, 3, v))
        return false;
    if (v[0].type == J_STR) {
        pad = v[0];
    } else {
        if (!want_int(st, v[0], 4, &width))
            return false;
        jval space;
        if (!ib_jinja_strz(st, " ", &space) ||
            !ib_jinja_binary(st, OP_MUL, space, JINT(width), &pad))
            return false;
    }
    if (self.type == J_UNDEF)
        return ib_jinja_raise_undef(st, self.as.undef);
    if (self.type != J_STR)
        return ib_jinja_raise(st, "TypeError", "unsupported operand type(s) for +=: '%s' and 'str'",
                              ib_jinja_type_name(self));
    return indent_lines(st, self.as.s, pad.as.s, ib_jinja_truth(v[1]), ib_jinja_truth(v[2]), out);
}

static bool f_truncate(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"length", "killwords", "end", "leeway"};
    jval v[4], cut;
    int64_t length, leeway = 5;
    if (!ib_jinja_bind(st, "truncate", a, names, 0, 4, v) || !want_int(st, v[0], 255, &length))
        return false;
    if (v[3].type != J_NONE && !want_int(st, v[3], 5, &leeway))
        return false;
    if (v[2].type == J_MISSING && !ib_jinja_strz(st, "...", &v[2]))
        return false;
    if (v[2].type != J_STR)
        return ib_jinja_raise(st, "TypeError", "object of type '%s' has no len()",
                              ib_jinja_type_name(v[2]));
    int64_t end = (int64_t)v[2].as.s->chars, n;
    if (length < end)
        return ib_jinja_raise(st, "AssertionError", "expected length >= %d, got %d", (int)end,
                              (int)length);
    if (leeway < 0)
        return ib_jinja_raise(st, "AssertionError", "expected leeway >= 0, got %d", (int)leeway);
    if (!ib_jinja_length(st, self, &n))
        return false;
    if (n <= length + leeway) {
        *out = self;
        return true;
    }
    if (self.type != J_STR)
        return ib_jinja_raise(st, "TypeError", "cannot truncate a value of type %s",
                              ib_jinja_type_name(self));
    if (!ib_jinja_substr(st, self.as.s, 0, (size_t)(length - end), &cut))
        return false;
    const char *p = cut.as.s->p;
    size_t at = cut.as.s->n;
    if (v[1].type == J_MISSING || !ib_jinja_truth(v[1])) {
        while (at > 0 && p[at - 1] != ' ')
            at--;
        if (at > 0 && !ib_jinja_str_borrow(st, p, at - 1, &cut))
            return false;
    }
    return ib_jinja_str_concat(st, cut.as.s, v[2].as.s, out);
}

/* --- numbers --- */

static bool f_int(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"default", "base"};
    jval v[2];
    int64_t base, i;
    bool over = false;
    double f = 0;
    if (!ib_jinja_bind(st, "int", a, names, 0, 2, v) || !want_int(st, v[1], 10, &base))
        return false;
    if (self.type == J_UNDEF)
        return ib_jinja_raise_undef(st, self.as.undef);
    if (ib_jinja_as_int(self, &i) ||
        (self.type == J_STR && (base == 0 || (base >= 2 && base <= 36)) &&
         ib_jinja_parse_int(self.as.s, (int)base, &i, &over))) {
        *out = JINT(i);
        return true;
    }
    if (over)
        return ib_jinja_raise(st, "OverflowError", "integer beyond 64 bits");
    *out = v[0].type == J_MISSING ? JINT(0) : v[0];
    if (self.type == J_STR ? !ib_jinja_parse_float(self.as.s, &f) : self.type != J_FLOAT)
        return true;
    f = self.type == J_FLOAT ? self.as.f : f;
    if (isnan(f) || isinf(f))
        return self.type == J_FLOAT && isinf(f)
                   ? ib_jinja_raise(st, "OverflowError", "cannot convert float infinity to integer")
                   : true;
    if (!(f > -9223372036854775809.0 && f < 9223372036854775808.0))
        return ib_jinja_raise(st, "OverflowError", "integer beyond 64 bits");
    *out = JINT((int64_t)f);
    return true;
}

static bool f_float(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"default"};
    jval fallback;
    double f;
    if (!ib_jinja_bind(st, "float", a, names, 0, 1, &fallback))
        return false;
    if (self.type == J_UNDEF)
        return ib_jinja_raise_undef(st, self.as.undef);
    if (ib_jinja_is_number(self))
        *out = JFLOAT(ib_jinja_as_double(self));
    else if (self.type == J_STR && ib_jinja_parse_float(self.as.s, &f))
        *out = JFLOAT(f);
    else
        *out = fallback.type == J_MISSING ? JFLOAT(0.0) : fallback;
    return true;
}

static bool f_abs(jstate *st, jval self, const jargs *a, jval *out) {
    int64_t i;
    if (!ib_jinja_no_keywords(st, "abs", a, 0, 0))
        return false;
    if (self.type == J_FLOAT) {
        *out = JFLOAT(fabs(self.as.f));
        return true;
    }
    if (!ib_jinja_as_int(self, &i))
        return ib_jinja_raise(st, "TypeError", "bad operand type for abs(): '%s'",
                              ib_jinja_type_name(self));
    *out = JINT(i);
    return i >= 0 || ib_jinja_negate(st, JINT(i), true, out);
}

/* round(int, -n): to the nearest multiple of a power of ten, ties to even */
static bool round_int(jstate *st, int64_t v, int64_t digits, jval *out) {
    int64_t unit = 1;
    *out = JINT(v);
    if (digits >= 0)
        return true;
    *out = JINT(0);
    for (int64_t i = digits; i < 0; i++)
        if (__builtin_mul_overflow(unit, 10, &unit))
            return true;
    int64_t r = v % unit, base = v - r, half = unit / 2;
    if (r < 0) {
        r += unit;
        if (__builtin_sub_overflow(base, unit, &base))
            return ib_jinja_raise(st, "OverflowError", "integer beyond 64 bits");
    }
    bool up = r > half || (r == half && (base / unit) % 2 != 0);
    if (up && __builtin_add_overflow(base, unit, &base))
        return ib_jinja_raise(st, "OverflowError", "integer beyond 64 bits");
    *out = JINT(base);
    return true;
}

static bool f_round(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"precision", "method"};
    jval v[2], power, scaled;
    int64_t digits, i;
    char how = 'c';
    if (!ib_jinja_bind(st, "round", a, names, 0, 2, v) || !want_int(st, v[0], 0, &digits))
        return false;
    if (v[1].type != J_MISSING) {
        ib_str m = v[1].type == J_STR ? (ib_str){v[1].as.s->p, v[1].as.s->n} : (ib_str){"", 0};
        how = ib_str_is(m, "common")  ? 'c'
              : ib_str_is(m, "ceil")  ? 'u'
              : ib_str_is(m, "floor") ? 'd'
                                      : 0;
    }
    if (!how)
        return ib_jinja_raise(st, "FilterArgumentError", "method must be common, ceil or floor");
    if (self.type == J_UNDEF && how != 'c')
        return ib_jinja_raise_undef(st, self.as.undef);
    if (!ib_jinja_is_number(self))
        return ib_jinja_raise(st, "TypeError", "type %s doesn't define __round__ method",
                              ib_jinja_type_name(self));
    if (how == 'c') {
        double f = 0;
        if (ib_jinja_as_int(self, &i))
            return round_int(st, i, digits, out);
        if (!ib_jinja_round_float(self.as.f, digits, &f))
            return ib_jinja_raise(st, "OverflowError", "rounded value too large to represent");
        *out = JFLOAT(f);
        return true;
    }
    if (!ib_jinja_binary(st, OP_POW, JINT(10), JINT(digits), &power) ||
        !ib_jinja_binary(st, OP_MUL, self, power, &scaled))
        return false;
    double f = how == 'u' ? ceil(ib_jinja_as_double(scaled)) : floor(ib_jinja_as_double(scaled));
    *out = JFLOAT(f / ib_jinja_as_double(power));
    return true;
}

static bool f_filesizeformat(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"binary"};
    static const char letters[] = "kMGTPEZY";
    char text[64];
    jval binary, f;
    if (!ib_jinja_bind(st, "filesizeformat", a, names, 0, 1, &binary))
        return false;
    jargs none = {.n = 0};
    if (!ib_jinja_is_number(self) && self.type != J_STR && self.type != J_UNDEF)
        return ib_jinja_raise(st, "TypeError",
                              "float() argument must be a string or a real number, not '%s'",
                              ib_jinja_type_name(self));
    double number;
    if (self.type == J_STR && !ib_jinja_parse_float(self.as.s, &number))
        return ib_jinja_raise(st, "ValueError", "could not convert string to float");
    if (!f_float(st, self, &none, &f))
        return false;
    bool is_binary = ib_jinja_truth(binary);
    double bytes = f.as.f, base = is_binary ? 1024 : 1000, unit = base;
    if (bytes == 1)
        return ib_jinja_strz(st, "1 Byte", out);
    if (bytes < base) {
        if (!(bytes > -9e18))
            return ib_jinja_raise(st, "OverflowError", "integer beyond 64 bits");
        (void)snprintf(text, sizeof text, "%lld Bytes", (long long)bytes);
        return ib_jinja_str_copy(st, text, strlen(text), out);
    }
    size_t i = 0;
    for (; i < 8; i++) {
        unit *= base;
        if (bytes < unit || i == 7)
            break;
    }
    char prefix = is_binary && i == 0 ? 'K' : letters[i];
    (void)snprintf(text, sizeof text, "%.1f %c%sB", base * bytes / unit, prefix,
                   is_binary ? "i" : "");
    return ib_jinja_str_copy(st, text, strlen(text), out);
}

static bool f_pprint(jstate *st, jval self, const jargs *a, jval *out) {
    return ib_jinja_no_keywords(st, "pprint", a, 0, 0) && ib_jinja_pprint(st, self, out);
}

const jfunc ib_jinja_text_filters[] = {{"upper", f_upper},
                                       {"lower", f_lower},
                                       {"capitalize", f_capitalize},
                                       {"string", f_string},
                                       {"title", f_title},
                                       {"trim", f_trim},
                                       {"replace", f_replace},
                                       {"center", f_center},
                                       {"wordcount", f_wordcount},
                                       {"format", f_format},
                                       {"indent", f_indent},
                                       {"truncate", f_truncate},
                                       {"wordwrap", ib_jinja_wordwrap},
                                       {"int", f_int},
                                       {"float", f_float},
                                       {"abs", f_abs},
                                       {"round", f_round},
                                       {"filesizeformat", f_filesizeformat},
                                       {"pprint", f_pprint},
                                       {"tojson", ib_jinja_tojson},
                                       {NULL, NULL}};

const jfunc *ib_jinja_find_filter(ib_str name) {
    const jfunc *const tables[] = {ib_jinja_seq_filters, ib_jinja_text_filters,
                                   ib_jinja_html_filters};
    for (size_t i = 0; i < 3; i++)
        for (const jfunc *f = tables[i]; f->name; f++)
            if (ib_str_is(name, f->name))
                return f;
    return NULL;
}

bool ib_jinja_filter_known_unsupported(ib_str name) {
    return ib_str_is(name, "random");
}
