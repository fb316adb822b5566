/* SPDX-License-Identifier: MIT
 * The filter tojson: json.dumps of Python with ensure_ascii, indent, separators and sort_keys. */
#include "text/jinja/value.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct writer {
    jstate *st;
    ib_buf b;
    bool ascii, pretty, sort;
    ib_str indent, item_separator, key_separator;
} writer;

static bool put(writer *w, ib_str s) {
    return ib_jinja_put(w->st, &w->b, s.ptr, s.len);
}

static bool write_escape(writer *w, uint32_t c) {
    char text[16];
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    const char *known = c && c < 0x80 ? strchr(from, (int)c) : NULL;
    if (known)
        (void)snprintf(text, sizeof text, "\\%c", to[known - from]);
    else if (c < 0x10000)
        (void)snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
    else
        (void)snprintf(text, sizeof text, "\\u%04x\\u%04x",
                       (unsigned)(0xD800 + ((c - 0x10000) >> 10)),
                       (unsigned)(0xDC00 + ((c - 0x10000) & 0x3FF)));
    return ib_jinja_puts(w->st, &w->b, text);
}

static bool write_string(writer *w, const jstr *s) {
    size_t plain = 0, i = 0, len;
    if (!put(w, IB_STR("\"")))
        return false;
    while (i < s->n) {
        uint32_t c = ib_jinja_char_at(s->p + i, &len);
        bool escape = c < 0x20 || c == '"' || c == '\\' || (w->ascii && c >= 0x7f);
        if (escape && (!ib_jinja_put(w->st, &w->b, s->p + plain, i - plain) || !write_escape(w, c)))
            return false;
        i += len;
        if (escape)
            plain = i;
    }
    return ib_jinja_put(w->st, &w->b, s->p + plain, i - plain) && put(w, IB_STR("\""));
}

static bool newline(writer *w, int depth) {
    if (!w->pretty)
        return true;
    if (!put(w, IB_STR("\n")))
        return false;
    for (int i = 0; i < depth; i++)
        if (!put(w, w->indent))
            return false;
    return true;
}

static bool write_value(writer *w, jval v, int depth);

static bool write_items(writer *w, const jlist *l, int depth) {
    if (l->n == 0)
        return put(w, IB_STR("[]"));
    if (!put(w, IB_STR("[")))
        return false;
    for (size_t i = 0; i < l->n; i++)
        if ((i && !put(w, w->item_separator)) || !newline(w, depth + 1) ||
            !write_value(w, l->items[i], depth + 1))
            return false;
    return newline(w, depth) && put(w, IB_STR("]"));
}

static bool write_float(writer *w, double f) {
    char text[40];
    if (isnan(f))
        return put(w, IB_STR("NaN"));
    if (isinf(f))
        return put(w, f < 0 ? IB_STR("-Infinity") : IB_STR("Infinity"));
    return ib_jinja_put(w->st, &w->b, text, ib_jinja_float_repr(f, text));
}

static bool write_key(writer *w, jval key) {
    if (key.type == J_STR)
        return write_string(w, key.as.s);
    if (key.type != J_NONE && !ib_jinja_is_number(key))
        return ib_jinja_raise(w->st, "TypeError",
                              "keys must be str, int, float, bool or None, not %s",
                              ib_jinja_type_name(key));
    return put(w, IB_STR("\"")) && write_value(w, key, 0) && put(w, IB_STR("\""));
}

/* Entry numbers in the order to write. */
static bool order(writer *w, const jdict *d, size_t **out) {
    size_t *at = *out = ib_jinja_array(w->st, d->n + 1, sizeof *at);
    if (!at)
        return false;
    for (size_t i = 0; i < d->n; i++) {
        size_t k = i;
        while (w->sort && k > 0) {
            bool less = false;
            if (!ib_jinja_compare(w->st, CMP_LT, d->entries[i].key, d->entries[at[k - 1]].key, 0,
                                  &less))
                return false;
            if (!less)
                break;
            at[k] = at[k - 1];
            k--;
        }
        at[k] = i;
    }
    return true;
}

static bool write_dict(writer *w, const jdict *d, int depth) {
    size_t *at;
    if (d->n == 0)
        return put(w, IB_STR("{}"));
    if (!order(w, d, &at) || !put(w, IB_STR("{")))
        return false;
    for (size_t i = 0; i < d->n; i++) {
        const jentry *e = &d->entries[at[i]];
        if ((i && !put(w, w->item_separator)) || !newline(w, depth + 1) || !write_key(w, e->key) ||
            !put(w, w->key_separator) || !write_value(w, e->value, depth + 1))
            return false;
    }
    return newline(w, depth) && put(w, IB_STR("}"));
}

static bool write_value(writer *w, jval v, int depth) {
    char text[32];
    if (depth > JINJA_MAX_VALUE_DEPTH)
        return ib_jinja_raise_limit(w->st, "a value is nested deeper than %d",
                                    JINJA_MAX_VALUE_DEPTH);
    if (!ib_jinja_spend(w->st, 1))
        return false;
    switch (v.type) {
    case J_NONE:
        return put(w, IB_STR("null"));
    case J_BOOL:
        return put(w, v.as.b ? IB_STR("true") : IB_STR("false"));
    case J_INT:
        (void)snprintf(text, sizeof text, "%" PRId64, v.as.i);
        return ib_jinja_puts(w->st, &w->b, text);
    case J_FLOAT:
        return write_float(w, v.as.f);
    case J_STR:
        return write_string(w, v.as.s);
    case J_LIST:
    case J_TUPLE:
        return write_items(w, v.as.l, depth);
    case J_DICT:
        return write_dict(w, v.as.d, depth);
    default:
        return ib_jinja_raise(w->st, "TypeError", "Object of type %s is not JSON serializable",
                              ib_jinja_type_name(v));
    }
}

static bool set_indent(writer *w, jval v) {
    int64_t n;
    if (v.type == J_MISSING || v.type == J_NONE)
        return true;
    w->pretty = true;
    w->item_separator = IB_STR(",");
    if (v.type == J_STR) {
        w->indent = (ib_str){v.as.s->p, v.as.s->n};
        return true;
    }
    if (!ib_jinja_as_int(v, &n))
        return ib_jinja_raise(w->st, "TypeError", "can't multiply sequence by non-int of type '%s'",
                              ib_jinja_type_name(v));
    if (n > 1000)
        return ib_jinja_raise_limit(w->st, "an indent of more than 1000");
    char *spaces = ib_jinja_alloc(w->st, n > 0 ? (size_t)n : 1);
    if (!spaces)
        return false;
    memset(spaces, ' ', n > 0 ? (size_t)n : 1);
    w->indent = (ib_str){spaces, n > 0 ? (size_t)n : 0};
    return true;
}

static bool set_separators(writer *w, jval v) {
    jlist *l;
    if (v.type == J_MISSING || v.type == J_NONE)
        return true;
    if (!ib_jinja_iterable(v) || !ib_jinja_to_list(w->st, v, &l))
        return ib_jinja_raise(w->st, "TypeError", "separators must be a pair of strings");
    if (l->n != 2 || l->items[0].type != J_STR || l->items[1].type != J_STR)
        return ib_jinja_raise(w->st, l->n != 2 ? "ValueError" : "TypeError",
                              "separators must be a pair of strings");
    w->item_separator = (ib_str){l->items[0].as.s->p, l->items[0].as.s->n};
    w->key_separator = (ib_str){l->items[1].as.s->p, l->items[1].as.s->n};
    return true;
}

bool ib_jinja_tojson(jstate *st, jval self, const jargs *args, jval *out) {
    static const char *const names[] = {"ensure_ascii", "indent", "separators", "sort_keys"};
    jval v[4];
    writer w = {.st = st, .item_separator = IB_STR(", "), .key_separator = IB_STR(": ")};
    if (!ib_jinja_bind(st, "tojson", args, names, 0, 4, v))
        return false;
    w.ascii = ib_jinja_truth(v[0]);
    w.sort = ib_jinja_truth(v[3]);
    ib_buf_init(&w.b);
    bool ok = set_indent(&w, v[1]) && set_separators(&w, v[2]) && write_value(&w, self, 0) &&
              ib_jinja_str_copy(st, w.b.len ? w.b.ptr : "", w.b.len, out);
    ib_buf_clear(&w.b);
    return ok;
}
