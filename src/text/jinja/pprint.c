/* SPDX-License-Identifier: MIT
 * The filter pprint: pprint.pformat of Python at its width of 80. What fits stays on one line;
 * dicts come sorted by key; long strings break between words. */
#include "text/jinja/value.h"

#include <string.h>

enum { WIDTH = 80 };

typedef struct printer {
    jstate *st;
    ib_buf b;
} printer;

static bool put(printer *p, const char *s) {
    return ib_jinja_puts(p->st, &p->b, s);
}

static bool put_indent(printer *p, size_t n) {
    if (!put(p, "\n"))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!put(p, " "))
            return false;
    return true;
}

/* Dicts inside are sorted too, so the one-line form is made from sorted copies. */
static bool sorted_copy(printer *p, jval v, int depth, jval *out) {
    *out = v;
    if (depth > JINJA_MAX_VALUE_DEPTH)
        return ib_jinja_raise_limit(p->st, "a value is nested deeper than %d",
                                    JINJA_MAX_VALUE_DEPTH);
    if (v.type == J_LIST || v.type == J_TUPLE) {
        jlist *l = ib_jinja_list_new(p->st, v.as.l->n);
        for (size_t i = 0; l && i < v.as.l->n; i++)
            if (!sorted_copy(p, v.as.l->items[i], depth + 1, &l->items[i]))
                return false;
        if (!l)
            return false;
        l->n = v.as.l->n;
        *out = v.type == J_LIST ? JLIST(l) : JTUPLE(l);
        return true;
    }
    if (v.type != J_DICT)
        return true;
    jdict *d = ib_jinja_dict_new(p->st, v.as.d->n), *from = v.as.d;
    size_t *order = ib_jinja_array(p->st, from->n + 1, sizeof *order);
    if (!d || !order)
        return false;
    for (size_t i = 0; i < from->n; i++) {
        size_t k = i;
        for (; k > 0; k--) {
            bool less = false;
            jval a = from->entries[i].key, b = from->entries[order[k - 1]].key;
            bool like = a.type == b.type || (ib_jinja_is_number(a) && ib_jinja_is_number(b));
            if (like ? !ib_jinja_compare(p->st, CMP_LT, a, b, 0, &less)
                     : (less = strcmp(ib_jinja_type_name(a), ib_jinja_type_name(b)) < 0, false))
                return false;
            if (!less)
                break;
            order[k] = order[k - 1];
        }
        order[k] = i;
    }
    for (size_t i = 0; i < from->n; i++) {
        jval value;
        const jentry *e = &from->entries[order[i]];
        if (!sorted_copy(p, e->value, depth + 1, &value) ||
            !ib_jinja_dict_set(p->st, d, e->key, value))
            return false;
    }
    *out = JDICT(d);
    return true;
}

static bool print(printer *p, jval v, size_t indent, size_t allowance, int depth);

static bool print_items(printer *p, const jlist *l, size_t indent, size_t allowance, int depth) {
    for (size_t i = 0; i < l->n; i++) {
        bool last = i + 1 == l->n;
        if (!print(p, l->items[i], indent, last ? allowance : 1, depth + 1))
            return false;
        if (!last && (!put(p, ",") || !put_indent(p, indent)))
            return false;
    }
    return true;
}

static bool print_dict(printer *p, const jdict *d, size_t indent, size_t allowance, int depth) {
    if (!put(p, "{"))
        return false;
    for (size_t i = 0; i < d->n; i++) {
        bool last = i + 1 == d->n;
        jval key;
        if (!ib_jinja_repr(p->st, d->entries[i].key, &key) ||
            !ib_jinja_put(p->st, &p->b, key.as.s->p, key.as.s->n) || !put(p, ": ") ||
            !print(p, d->entries[i].value, indent + 1 + key.as.s->chars + 2,
                   last ? allowance + 1 : 1, depth + 1))
            return false;
        if (!last && (!put(p, ",") || !put_indent(p, indent + 1)))
            return false;
    }
    return put(p, "}");
}

/* One source line of a string as reprs of pieces no wider than the room. */
static bool add_pieces(printer *p, const jstr *line, size_t room, size_t last_room, bool last_line,
                       jlist *out) {
    size_t i = 0, start = 0, len;
    jval piece, r;
    while (i < line->n) {
        size_t word = i;
        while (word < line->n && !ib_jinja_is_space(ib_jinja_char_at(line->p + word, &len)))
            word += len;
        while (word < line->n && ib_jinja_is_space(ib_jinja_char_at(line->p + word, &len)))
            word += len;
        size_t max = word == line->n && last_line ? last_room : room;
        if (!ib_jinja_str_borrow(p->st, line->p + start, word - start, &piece) ||
            !ib_jinja_repr(p->st, piece, &r))
            return false;
        if (r.as.s->chars > max && i > start) {
            if (!ib_jinja_str_borrow(p->st, line->p + start, i - start, &piece) ||
                !ib_jinja_repr(p->st, piece, &r) || !ib_jinja_list_add(p->st, out, r))
                return false;
            start = i;
        }
        i = word;
    }
    if (start == line->n)
        return true;
    return ib_jinja_str_borrow(p->st, line->p + start, line->n - start, &piece) &&
           ib_jinja_repr(p->st, piece, &r) && ib_jinja_list_add(p->st, out, r);
}

static bool print_str(printer *p, const jstr *s, size_t indent, size_t allowance, int depth) {
    jlist *lines, *pieces = ib_jinja_list_new(p->st, 8);
    if (!pieces || !ib_jinja_split_lines(p->st, s, true, &lines))
        return false;
    if (depth == 1) {
        indent++;
        allowance++;
    }
    size_t room = indent < WIDTH ? WIDTH - indent : 0,
           last_room = room > allowance ? room - allowance : 0;
    for (size_t i = 0; i < lines->n; i++) {
        bool last = i + 1 == lines->n;
        jval r;
        if (!ib_jinja_repr(p->st, lines->items[i], &r))
            return false;
        if (r.as.s->chars <= (last ? last_room : room)) {
            if (!ib_jinja_list_add(p->st, pieces, r))
                return false;
        } else if (!add_pieces(p, lines->items[i].as.s, room, last_room, last, pieces)) {
            return false;
        }
    }
    bool parens = depth == 1 && pieces->n > 1;
    if (parens && !put(p, "("))
        return false;
    for (size_t i = 0; i < pieces->n; i++)
        if ((i && !put_indent(p, indent)) ||
            !ib_jinja_put(p->st, &p->b, pieces->items[i].as.s->p, pieces->items[i].as.s->n))
            return false;
    return !parens || put(p, ")");
}

static bool print(printer *p, jval v, size_t indent, size_t allowance, int depth) {
    jval r;
    if (depth > JINJA_MAX_VALUE_DEPTH)
        return ib_jinja_raise_limit(p->st, "a value is nested deeper than %d",
                                    JINJA_MAX_VALUE_DEPTH);
    if (!ib_jinja_repr(p->st, v, &r))
        return false;
    bool fits = r.as.s->chars + indent + allowance <= WIDTH;
    if (!fits && v.type == J_LIST && v.as.l->n)
        return put(p, "[") && print_items(p, v.as.l, indent + 1, allowance + 1, depth) &&
               put(p, "]");
    if (!fits && v.type == J_TUPLE && v.as.l->n) {
        bool one = v.as.l->n == 1;
        return put(p, "(") &&
               print_items(p, v.as.l, indent + 1, allowance + (one ? 2 : 1), depth) &&
               put(p, one ? ",)" : ")");
    }
    if (!fits && v.type == J_DICT && v.as.d->n)
        return print_dict(p, v.as.d, indent, allowance, depth);
    if (!fits && v.type == J_STR && v.as.s->n)
        return print_str(p, v.as.s, indent, allowance, depth);
    return ib_jinja_put(p->st, &p->b, r.as.s->p, r.as.s->n);
}

bool ib_jinja_pprint(jstate *st, jval v, jval *out) {
    printer p = {.st = st};
    jval sorted;
    if (!sorted_copy(&p, v, 0, &sorted))
        return false;
    ib_buf_init(&p.b);
    bool ok =
        print(&p, sorted, 0, 0, 1) && ib_jinja_str_copy(st, p.b.len ? p.b.ptr : "", p.b.len, out);
    ib_buf_clear(&p.b);
    return ok;
}
