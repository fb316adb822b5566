/* SPDX-License-Identifier: MIT
 * str() and repr() of values as Python writes them. */
#include "text/jinja/ast.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

bool ib_jinja_put(jstate *st, ib_buf *b, const char *p, size_t n) {
    if (b->len + n > st->arena.limit_bytes)
        return ib_jinja_raise_limit(st, "a text is larger than %zu bytes", st->arena.limit_bytes);
    if (!ib_jinja_spend(st, n / 64))
        return false;
    return ib_buf_add(b, p, n, &st->arena_error) == IB_OK || ib_jinja_raise_memory(st);
}

bool ib_jinja_puts(jstate *st, ib_buf *b, const char *text) {
    return ib_jinja_put(st, b, text, strlen(text));
}

/* The shortest digits that read back as v, as repr(float) lays them out. */
size_t ib_jinja_float_repr(double v, char out[40]) {
    char text[40];
    if (isnan(v) || isinf(v))
        return (size_t)snprintf(out, 40, "%s", isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
    int digits = 1;
    for (; digits <= 17; digits++) {
        double back = 0;
        (void)snprintf(text, sizeof text, "%.*e", digits - 1, v);
        char *comma = strchr(text, ',');
        if (comma)
            *comma = '.';
        if (ib_parse_double(ib_str_of(text), &back) && back == v)
            break;
    }
    /* text is [-]d.ddde[+-]xx */
    char mantissa[24];
    size_t n = 0;
    const char *p = text + (text[0] == '-');
    for (; *p && *p != 'e'; p++)
        if (*p != '.')
            mantissa[n++] = *p;
    mantissa[n] = 0;
    int exponent = 0;
    bool negative = p[1] == '-';
    for (p += 2; *p; p++)
        exponent = exponent * 10 + (*p - '0');
    if (negative)
        exponent = -exponent;
    const char *sign = text[0] == '-' ? "-" : "";
    if (exponent < -4 || exponent >= 16)
        return (size_t)snprintf(out, 40, "%s%c%s%se%c%02d", sign, mantissa[0], n > 1 ? "." : "",
                                mantissa + 1, negative ? '-' : '+',
                                negative ? -exponent : exponent);
    if (exponent < 0)
        return (size_t)snprintf(out, 40, "%s0.%.*s%s", sign, -exponent - 1, "0000", mantissa);
    if ((size_t)exponent + 1 >= n)
        return (size_t)snprintf(out, 40, "%s%s%.*s.0", sign, mantissa, exponent + 1 - (int)n,
                                "0000000000000000");
    return (size_t)snprintf(out, 40, "%s%.*s.%s", sign, exponent + 1, mantissa,
                            mantissa + exponent + 1);
}

static bool repr_char(jstate *st, ib_buf *b, uint32_t c, const char *p, size_t len, char quote) {
    char text[12];
    switch (c) {
    case '\n':
        return ib_jinja_puts(st, b, "\\n");
    case '\r':
        return ib_jinja_puts(st, b, "\\r");
    case '\t':
        return ib_jinja_puts(st, b, "\\t");
    case '\\':
        return ib_jinja_puts(st, b, "\\\\");
    default:
        break;
    }
    if (c == (unsigned char)quote) {
        (void)snprintf(text, sizeof text, "\\%c", quote);
        return ib_jinja_puts(st, b, text);
    }
    if (ib_jinja_is_printable(c))
        return ib_jinja_put(st, b, p, len);
    (void)snprintf(text, sizeof text,
                   c < 0x100     ? "\\x%02x"
                   : c < 0x10000 ? "\\u%04x"
                                 : "\\U%08x",
                   (unsigned)c);
    return ib_jinja_puts(st, b, text);
}

static bool repr_str(jstate *st, ib_buf *b, const jstr *s) {
    bool single = s->n && memchr(s->p, '\'', s->n), both = s->n && memchr(s->p, '"', s->n);
    char quote = single && !both ? '"' : '\'';
    if (s->markup && !ib_jinja_puts(st, b, "Markup("))
        return false;
    if (!ib_jinja_put(st, b, &quote, 1))
        return false;
    size_t plain = 0, i = 0;
    while (i < s->n) {
        size_t len;
        uint32_t c = ib_jinja_char_at(s->p + i, &len);
        if (c < 0x7f && c >= 0x20 && c != '\\' && c != (unsigned char)quote) {
            i++;
            continue;
        }
        if (!ib_jinja_put(st, b, s->p + plain, i - plain) ||
            !repr_char(st, b, c, s->p + i, len, quote))
            return false;
        i += len;
        plain = i;
    }
    return ib_jinja_put(st, b, s->p + plain, i - plain) && ib_jinja_put(st, b, &quote, 1) &&
           (!s->markup || ib_jinja_puts(st, b, ")"));
}

static bool repr_items(jstate *st, ib_buf *b, jlist *l, const char *open, const char *close,
                       int depth) {
    if (l->in_repr)
        return ib_jinja_puts(st, b, open) && ib_jinja_puts(st, b, "...") &&
               ib_jinja_puts(st, b, open[0] == '[' ? "]" : ")");
    l->in_repr = true;
    bool ok = ib_jinja_puts(st, b, open);
    for (size_t i = 0; ok && i < l->n; i++)
        ok = (i == 0 || ib_jinja_puts(st, b, ", ")) &&
             ib_jinja_add_repr(st, b, l->items[i], depth + 1);
    l->in_repr = false;
    return ok && ib_jinja_puts(st, b, close);
}

static bool repr_dict(jstate *st, ib_buf *b, jdict *d, int depth) {
    if (d->in_repr)
        return ib_jinja_puts(st, b, "{...}");
    d->in_repr = true;
    bool ok = ib_jinja_puts(st, b, "{");
    for (size_t i = 0; ok && i < d->n; i++)
        ok = (i == 0 || ib_jinja_puts(st, b, ", ")) &&
             ib_jinja_add_repr(st, b, d->entries[i].key, depth + 1) && ib_jinja_puts(st, b, ": ") &&
             ib_jinja_add_repr(st, b, d->entries[i].value, depth + 1);
    d->in_repr = false;
    return ok && ib_jinja_puts(st, b, "}");
}

static bool repr_view(jstate *st, ib_buf *b, const jview *v, int depth) {
    static const char *const open[] = {"dict_keys([", "dict_values([", "dict_items(["};
    if (!ib_jinja_puts(st, b, open[v->kind]))
        return false;
    for (size_t i = 0; i < v->d->n; i++) {
        const jentry *e = &v->d->entries[i];
        if (i && !ib_jinja_puts(st, b, ", "))
            return false;
        if (v->kind == VIEW_ITEMS) {
            if (!ib_jinja_puts(st, b, "(") || !ib_jinja_add_repr(st, b, e->key, depth + 2) ||
                !ib_jinja_puts(st, b, ", ") || !ib_jinja_add_repr(st, b, e->value, depth + 2) ||
                !ib_jinja_puts(st, b, ")"))
                return false;
        } else if (!ib_jinja_add_repr(st, b, v->kind == VIEW_KEYS ? e->key : e->value, depth + 1)) {
            return false;
        }
    }
    return ib_jinja_puts(st, b, "])");
}

static bool repr_object(jstate *st, ib_buf *b, jval v, int depth) {
    char text[160], shown[IB_QUOTED];
    int64_t n = 0;
    switch (v.type) {
    case J_RANGE: {
        const jrange *r = v.as.range;
        int used = snprintf(text, sizeof text, "range(%" PRId64 ", %" PRId64, r->start, r->stop);
        if (r->step != 1)
            used += snprintf(text + used, sizeof text - (size_t)used, ", %" PRId64, r->step);
        (void)snprintf(text + used, sizeof text - (size_t)used, ")");
        break;
    }
    case J_NS:
        return ib_jinja_puts(st, b, "<Namespace ") && repr_dict(st, b, v.as.d, depth + 1) &&
               ib_jinja_puts(st, b, ">");
    case J_MACRO:
        if (v.as.macro->node->kind != N_MACRO)
            return ib_jinja_puts(st, b, "<Macro anonymous>");
        (void)snprintf(text, sizeof text, "<Macro '%s'>", ib_quote(v.as.macro->node->name, shown));
        break;
    case J_LOOP:
        if (!ib_jinja_loop_length(st, v.as.loop, &n))
            return false;
        (void)snprintf(text, sizeof text, "<LoopContext %" PRId64 "/%" PRId64 ">",
                       v.as.loop->index0 + 1, n);
        break;
    case J_FUNC:
        (void)snprintf(text, sizeof text, "<function %s>", v.as.func->name);
        break;
    case J_METHOD:
        (void)snprintf(text, sizeof text, "<built-in method %s of %s object>",
                       v.as.bound->func->name, ib_jinja_type_name(v.as.bound->self));
        break;
    default: /* Python shows an address here; ours must not change from run to run */
        (void)snprintf(text, sizeof text, "<%s object>", ib_jinja_type_name(v));
        break;
    }
    return ib_jinja_puts(st, b, text);
}

bool ib_jinja_add_repr(jstate *st, ib_buf *b, jval v, int depth) {
    char text[40];
    if (depth > JINJA_MAX_VALUE_DEPTH)
        return ib_jinja_raise_limit(st, "a value is nested deeper than %d", JINJA_MAX_VALUE_DEPTH);
    if (!ib_jinja_spend(st, 1))
        return false;
    switch (v.type) {
    case J_MISSING:
    case J_UNDEF:
        return ib_jinja_puts(st, b, "Undefined");
    case J_NONE:
        return ib_jinja_puts(st, b, "None");
    case J_BOOL:
        return ib_jinja_puts(st, b, v.as.b ? "True" : "False");
    case J_INT:
        (void)snprintf(text, sizeof text, "%" PRId64, v.as.i);
        return ib_jinja_puts(st, b, text);
    case J_FLOAT:
        return ib_jinja_put(st, b, text, ib_jinja_float_repr(v.as.f, text));
    case J_STR:
        return repr_str(st, b, v.as.s);
    case J_LIST:
        return repr_items(st, b, v.as.l, "[", "]", depth);
    case J_TUPLE:
        return repr_items(st, b, v.as.l, "(", v.as.l->n == 1 ? ",)" : ")", depth);
    case J_DICT:
        return repr_dict(st, b, v.as.d, depth);
    case J_VIEW:
        return repr_view(st, b, v.as.view, depth);
    default:
        return repr_object(st, b, v, depth);
    }
}

bool ib_jinja_add_str(jstate *st, ib_buf *b, jval v) {
    if (v.type == J_STR)
        return ib_jinja_put(st, b, v.as.s->p, v.as.s->n);
    if (v.type == J_UNDEF || v.type == J_MISSING)
        return true;
    return ib_jinja_add_repr(st, b, v, 0);
}

static bool text_of(jstate *st, jval v, bool repr, jval *out) {
    ib_buf b;
    ib_buf_init(&b);
    bool ok = repr ? ib_jinja_add_repr(st, &b, v, 0) : ib_jinja_add_str(st, &b, v);
    ok = ok && ib_jinja_str_copy(st, b.len ? b.ptr : "", b.len, out);
    ib_buf_clear(&b);
    return ok;
}

bool ib_jinja_to_str(jstate *st, jval v, jval *out) {
    if (v.type == J_STR) {
        *out = v;
        return true;
    }
    return text_of(st, v, false, out);
}

bool ib_jinja_repr(jstate *st, jval v, jval *out) {
    return text_of(st, v, true, out);
}

bool ib_jinja_emit_value(jstate *st, jval v) {
    if (v.type == J_STR)
        return ib_jinja_emit(st, v.as.s->p, v.as.s->n);
    if (v.type == J_UNDEF || v.type == J_MISSING)
        return true;
    bool ok = ib_jinja_add_repr(st, st->out, v, 0);
    if (ok && st->out->len - st->output_base > st->output_limit)
        ok = ib_jinja_raise_limit(st, "the output is larger than %zu bytes", st->output_limit);
    return ok;
}
