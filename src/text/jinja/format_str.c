/* SPDX-License-Identifier: MIT
 * str.format with its replacement fields, and the % operator of strings. */
#include "text/jinja/value.h"

#include <math.h>
#include <string.h>

/* --- str.format --- */

typedef struct formatter {
    jstate *st;
    const jargs *args;
    const jdict *map;
    int64_t next_auto; /* -1: numbered by hand */
    bool manual;
} formatter;

static bool value_error(formatter *f, const char *text) {
    return ib_jinja_raise(f->st, "ValueError", "%s", text);
}

static bool all_digits(ib_str s) {
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return s.len > 0 && s.len < 10;
}

static int64_t number(ib_str s) {
    int64_t v = 0;
    for (size_t i = 0; i < s.len; i++)
        v = v * 10 + (s.ptr[i] - '0');
    return v;
}

static bool first_value(formatter *f, ib_str name, jval *out) {
    char shown[IB_QUOTED];
    int64_t i;
    if (name.len == 0 || all_digits(name)) {
        if (name.len == 0) {
            if (f->manual)
                return value_error(
                    f,
                    "cannot switch from manual field specification to automatic field numbering");
            i = f->next_auto++;
        } else {
            if (f->next_auto > 0)
                return value_error(
                    f,
                    "cannot switch from automatic field numbering to manual field specification");
            f->manual = true;
            i = number(name);
        }
        if ((size_t)i >= f->args->n)
            return ib_jinja_raise(f->st, "IndexError",
                                  "Replacement index %d out of range for positional args tuple",
                                  (int)i);
        *out = f->args->pos[i];
        return true;
    }
    for (size_t k = 0; k < f->args->n_kw; k++)
        if (ib_str_eq(f->args->kw[k].name, name)) {
            *out = f->args->kw[k].value;
            return true;
        }
    const jval *v = f->map ? ib_jinja_dict_find(f->map, name) : NULL;
    if (!v)
        return ib_jinja_raise(f->st, "KeyError", "'%s'", ib_quote(name, shown));
    *out = *v;
    return true;
}

/* name, then .attribute and [item] parts */
static bool field_value(formatter *f, ib_str name, jval *out) {
    const char *p = name.ptr, *end = p + name.len;
    while (p < end && *p != '.' && *p != '[')
        p++;
    if (!first_value(f, (ib_str){name.ptr, (size_t)(p - name.ptr)}, out))
        return false;
    while (p < end) {
        bool attr = *p == '.';
        const char *start = ++p;
        while (p < end && (attr ? *p != '.' && *p != '[' : *p != ']'))
            p++;
        ib_str part = {start, (size_t)(p - start)};
        if (part.len == 0)
            return value_error(f, "Empty attribute in format string");
        if (!attr && p == end)
            return value_error(f, "Missing ']' in format string");
        jval key;
        if (attr) {
            if (!ib_jinja_getattr(f->st, *out, part, out))
                return false;
            continue;
        }
        p++;
        if (p < end && *p != '.' && *p != '[')
            return value_error(f, "Only '.' or '[' may follow ']' in format field specifier");
        if (all_digits(part))
            key = JINT(number(part));
        else if (!ib_jinja_str_borrow(f->st, part.ptr, part.len, &key))
            return false;
        if (!ib_jinja_getitem(f->st, *out, key, out))
            return false;
    }
    return true;
}

static bool format_into(formatter *f, ib_buf *b, ib_str text, int depth);

/* ascii(): repr with everything beyond ASCII escaped. */
static bool ascii_repr(jstate *st, jval v, jval *out) {
    jval r;
    ib_buf b;
    size_t len;
    if (!ib_jinja_repr(st, v, &r))
        return false;
    ib_buf_init(&b);
    bool ok = true;
    for (size_t i = 0; ok && i < r.as.s->n; i += len) {
        uint32_t c = ib_jinja_char_at(r.as.s->p + i, &len);
        char escaped[12];
        (void)snprintf(escaped, sizeof escaped,
                       c < 0x100     ? "\\x%02x"
                       : c < 0x10000 ? "\\u%04x"
                                     : "\\U%08x",
                       (unsigned)c);
        ok = c < 0x80 ? ib_jinja_put(st, &b, r.as.s->p + i, 1) : ib_jinja_puts(st, &b, escaped);
    }
    ok = ok && ib_jinja_str_copy(st, b.len ? b.ptr : "", b.len, out);
    ib_buf_clear(&b);
    return ok;
}

static bool convert(formatter *f, char how, jval *v) {
    if (how == 's')
        return ib_jinja_to_str(f->st, *v, v);
    if (how == 'r')
        return ib_jinja_repr(f->st, *v, v);
    if (how != 'a')
        return value_error(f, "Unknown conversion specifier");
    return ascii_repr(f->st, *v, v);
}

/* One {field}: text is what stands between the braces. */
static bool put_field(formatter *f, ib_buf *b, ib_str text, int depth) {
    const char *p = text.ptr, *end = p + text.len;
    int brackets = 0;
    while (p < end && (brackets || (*p != '!' && *p != ':'))) {
        brackets += *p == '[' ? 1 : *p == ']' && brackets ? -1 : 0;
        p++;
    }
    jval v;
    if (!field_value(f, (ib_str){text.ptr, (size_t)(p - text.ptr)}, &v))
        return false;
    if (p < end && *p == '!') {
        if (p + 1 >= end)
            return value_error(f, "end of string while looking for conversion specifier");
        if (!convert(f, p[1], &v))
            return false;
        p += 2;
        if (p < end && *p != ':')
            return value_error(f, "expected ':' after conversion specifier");
    }
    ib_buf spec;
    ib_buf_init(&spec);
    bool ok = p >= end || format_into(f, &spec, (ib_str){p + 1, (size_t)(end - p - 1)}, depth + 1);
    jstr s = {.p = spec.len ? spec.ptr : "", .n = spec.len};
    s.chars = ib_jinja_count_chars(s.p, s.n);
    ok = ok && ib_jinja_format_spec(f->st, b, v, &s);
    ib_buf_clear(&spec);
    return ok;
}

static const char *closing(const char *p, const char *end) {
    int depth = 1;
    for (; p < end; p++) {
        if (*p == '{')
            depth++;
        else if (*p == '}' && --depth == 0)
            return p;
    }
    return NULL;
}

static bool format_into(formatter *f, ib_buf *b, ib_str text, int depth) {
    const char *p = text.ptr, *end = p + text.len;
    if (depth > 2)
        return value_error(f, "Max string recursion exceeded");
    while (p < end) {
        if (*p != '{' && *p != '}') {
            const char *start = p;
            while (p < end && *p != '{' && *p != '}')
                p++;
            if (!ib_jinja_put(f->st, b, start, (size_t)(p - start)))
                return false;
            continue;
        }
        if (p + 1 < end && p[1] == *p) {
            if (!ib_jinja_put(f->st, b, p, 1))
                return false;
            p += 2;
            continue;
        }
        if (*p == '}')
            return value_error(f, "Single '}' encountered in format string");
        const char *close = closing(p + 1, end);
        if (!close)
            return value_error(f, p + 1 == end ? "Single '{' encountered in format string"
                                               : "expected '}' before end of string");
        if (!ib_jinja_spend(f->st, 1) ||
            !put_field(f, b, (ib_str){p + 1, (size_t)(close - p - 1)}, depth))
            return false;
        p = close + 1;
    }
    return true;
}

bool ib_jinja_str_format(jstate *st, const jstr *pattern, const jargs *args, const jdict *map,
                         jval *out) {
    formatter f = {.st = st, .args = args, .map = map};
    ib_buf b;
    ib_buf_init(&b);
    bool ok = format_into(&f, &b, (ib_str){pattern->p, pattern->n}, 0) &&
              ib_jinja_str_copy(st, b.len ? b.ptr : "", b.len, out);
    ib_buf_clear(&b);
    return ok;
}

/* --- % --- */

typedef struct percent {
    jstate *st;
    ib_buf b;
    jval args;
    size_t used; /* of a tuple; or 1 when the single value is used */
    const char *p, *end;
} percent;

static bool next_arg(percent *f, jval *out) {
    size_t n = f->args.type == J_TUPLE ? f->args.as.l->n : 1;
    if (f->used >= n)
        return ib_jinja_raise(f->st, "TypeError", "not enough arguments for format string");
    *out = f->args.type == J_TUPLE ? f->args.as.l->items[f->used] : f->args;
    f->used++;
    return true;
}

/* (name) of a mapping */
static bool named_arg(percent *f, jval *out, bool *named) {
    *named = f->p < f->end && *f->p == '(';
    if (!*named)
        return true;
    if (f->args.type != J_DICT)
        return ib_jinja_raise(f->st, "TypeError", "format requires a mapping");
    const char *start = ++f->p;
    int depth = 1;
    for (; f->p < f->end; f->p++) {
        depth += *f->p == '(' ? 1 : *f->p == ')' ? -1 : 0;
        if (depth == 0)
            break;
    }
    if (f->p >= f->end)
        return ib_jinja_raise(f->st, "ValueError", "incomplete format key");
    ib_str name = {start, (size_t)(f->p++ - start)};
    char shown[IB_QUOTED];
    const jval *v = ib_jinja_dict_find(f->args.as.d, name);
    if (!v)
        return ib_jinja_raise(f->st, "KeyError", "'%s'", ib_quote(name, shown));
    *out = *v;
    f->used = 1;
    return true;
}

/* digits or *; -1 when absent */
static bool star_or_number(percent *f, int64_t *out) {
    jval v;
    *out = -1;
    if (f->p < f->end && *f->p == '*') {
        f->p++;
        if (!next_arg(f, &v))
            return false;
        if (!ib_jinja_as_int(v, out))
            return ib_jinja_raise(f->st, "TypeError", "* wants int");
    } else {
        while (f->p < f->end && *f->p >= '0' && *f->p <= '9') {
            *out = (*out < 0 ? 0 : *out) * 10 + (*f->p++ - '0');
            if (*out > 1 << 20)
                break;
        }
    }
    if (*out > 1 << 20 || *out < -(1 << 20))
        return ib_jinja_raise_limit(f->st, "a format width above %d", 1 << 20);
    return true;
}

typedef struct directive {
    bool left, plus, blank, alternate, zero;
    int64_t width, precision;
    char type;
} directive;

static bool put_text(percent *f, const directive *d, jval v, char how) {
    jval s;
    if (!(how == 'r'   ? ib_jinja_repr(f->st, v, &s)
          : how == 'a' ? ascii_repr(f->st, v, &s)
                       : ib_jinja_to_str(f->st, v, &s)))
        return false;
    if (d->precision >= 0 && !ib_jinja_substr(f->st, s.as.s, 0, (size_t)d->precision, &s))
        return false;
    if (!ib_jinja_pad(f->st, s.as.s, d->width, ' ', d->left ? '<' : '>', &s))
        return false;
    return ib_jinja_put(f->st, &f->b, s.as.s->p, s.as.s->n);
}

/* Number directives are said again in the language of format specifications. */
static bool put_number(percent *f, const directive *d, jval v) {
    char spec[64], precision[24] = "";
    int64_t i;
    bool whole = d->type && strchr("diuxXo", d->type);
    char type = d->type == 'i' || d->type == 'u' ? 'd' : d->type;
    if (v.type == J_UNDEF)
        return ib_jinja_raise_undef(f->st, v.as.undef);
    if (!ib_jinja_is_number(v))
        return ib_jinja_raise(f->st, "TypeError", "%%%c format: a real number is required, not %s",
                              d->type, ib_jinja_type_name(v));
    if (whole && v.type == J_FLOAT) {
        if (type != 'd')
            return ib_jinja_raise(f->st, "TypeError",
                                  "%%%c format: an integer is required, not float", d->type);
        if (!(v.as.f > -9.2e18 && v.as.f < 9.2e18))
            return ib_jinja_raise(f->st, "OverflowError",
                                  "cannot convert float to a 64-bit integer");
        v = JINT((int64_t)v.as.f);
    }
    if (whole && ib_jinja_as_int(v, &i))
        v = JINT(i);
    else
        v = JFLOAT(ib_jinja_as_double(v));
    if (!whole && d->precision >= 0)
        (void)snprintf(precision, sizeof precision, ".%d", (int)d->precision);
    const char *align = d->left ? "<" : d->zero ? "0=" : ">";
    char width[24] = "";
    if (d->width >= 0)
        (void)snprintf(width, sizeof width, "%d", (int)d->width);
    (void)snprintf(spec, sizeof spec, "%s%s%s%s%s%c", align,
                   d->plus    ? "+"
                   : d->blank ? " "
                              : "",
                   d->alternate ? "#" : "", width, precision, type);
    if (whole && d->precision > 0) { /* at least that many digits */
        char digits[64];
        (void)snprintf(digits, sizeof digits, "0=%d%c",
                       (int)(d->precision > 40 ? 40 : d->precision), type);
        jstr s = {.p = digits, .n = strlen(digits), .chars = strlen(digits)};
        return ib_jinja_format_spec(f->st, &f->b, v, &s);
    }
    jstr s = {.p = spec, .n = strlen(spec), .chars = strlen(spec)};
    return ib_jinja_format_spec(f->st, &f->b, v, &s);
}

static bool put_char(percent *f, const directive *d, jval v) {
    char bytes[4];
    int64_t i;
    jval s = v;
    if (ib_jinja_as_int(v, &i)) {
        if (i < 0 || i > 0x10FFFF)
            return ib_jinja_raise(f->st, "OverflowError", "%%c arg not in range(0x110000)");
        if (!ib_jinja_str_copy(f->st, bytes, ib_utf8_encode((uint32_t)i, bytes), &s))
            return false;
    }
    if (s.type != J_STR || s.as.s->chars != 1)
        return ib_jinja_raise(f->st, "TypeError", "%%c requires int or char");
    return put_text(f, d, s, 's');
}

static bool put_directive(percent *f) {
    directive d = {.precision = -1};
    bool named, ok;
    jval v = JNONE;
    if (!named_arg(f, &v, &named))
        return false;
    for (; f->p < f->end && *f->p && strchr("-+ #0", *f->p); f->p++) {
        d.left |= *f->p == '-';
        d.plus |= *f->p == '+';
        d.blank |= *f->p == ' ';
        d.alternate |= *f->p == '#';
        d.zero |= *f->p == '0';
    }
    if (!star_or_number(f, &d.width))
        return false;
    if (d.width < -1) {
        d.left = true;
        d.width = -d.width;
    }
    if (f->p < f->end && *f->p == '.') {
        f->p++;
        if (!star_or_number(f, &d.precision))
            return false;
        if (d.precision < 0)
            d.precision = 0;
    }
    while (f->p < f->end && *f->p && strchr("hlL", *f->p))
        f->p++;
    if (f->p >= f->end)
        return ib_jinja_raise(f->st, "ValueError", "incomplete format");
    d.type = *f->p++;
    if (d.type == '%')
        return ib_jinja_put(f->st, &f->b, "%", 1);
    if (!d.type || !strchr("sracdiuoxXeEfFgG", d.type))
        return ib_jinja_raise(f->st, "ValueError", "unsupported format character (0x%x)",
                              (unsigned char)d.type);
    if (!named && !next_arg(f, &v))
        return false;
    if (d.type == 's' || d.type == 'r' || d.type == 'a')
        ok = put_text(f, &d, v, d.type);
    else
        ok = d.type == 'c' ? put_char(f, &d, v) : put_number(f, &d, v);
    return ok && ib_jinja_spend(f->st, 1);
}

bool ib_jinja_percent(jstate *st, const jstr *pattern, jval args, jval *out) {
    percent f = {.st = st, .args = args, .p = pattern->p, .end = pattern->p + pattern->n};
    bool ok = true;
    ib_buf_init(&f.b);
    while (ok && f.p < f.end) {
        const char *start = f.p;
        while (f.p < f.end && *f.p != '%')
            f.p++;
        ok = ib_jinja_put(st, &f.b, start, (size_t)(f.p - start));
        if (ok && f.p < f.end) {
            f.p++;
            ok = put_directive(&f);
        }
    }
    size_t n = args.type == J_TUPLE ? args.as.l->n : 1;
    bool mapping =
        args.type == J_DICT || args.type == J_UNDEF || args.type == J_LIST || args.type == J_RANGE;
    if (ok && f.used < n && !mapping)
        ok =
            ib_jinja_raise(st, "TypeError", "not all arguments converted during string formatting");
    ok = ok && ib_jinja_str_copy(st, f.b.len ? f.b.ptr : "", f.b.len, out);
    ib_buf_clear(&f.b);
    return ok;
}
