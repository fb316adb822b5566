/* SPDX-License-Identifier: MIT
 * Methods and attributes of everything but strings, and the table that finds them by type. Methods
 * that would change a list or dict are not safe to use, as in the immutable sandbox. */
#include "text/jinja/ast.h"

#include <math.h>
#include <string.h>

/* --- lists and tuples --- */

static bool l_index(jstate *st, jval self, const jargs *a, jval *out) {
    int64_t n = (int64_t)self.as.l->n, from = 0, to = n;
    if (!ib_jinja_no_keywords(st, "index", a, 1, 3))
        return false;
    if ((a->n > 1 && !ib_jinja_as_int(a->pos[1], &from)) ||
        (a->n > 2 && !ib_jinja_as_int(a->pos[2], &to)))
        return ib_jinja_raise(st, "TypeError",
                              "slice indices must be integers or have an __index__ method");
    from = from < 0 ? (from + n < 0 ? 0 : from + n) : from;
    to = to < 0 ? to + n : to > n ? n : to;
    for (int64_t i = from; i < to; i++) {
        bool same = ib_jinja_identical(self.as.l->items[i], a->pos[0]);
        if (!same && !ib_jinja_equal(st, self.as.l->items[i], a->pos[0], 0, &same))
            return false;
        if (same) {
            *out = JINT(i);
            return true;
        }
    }
    return ib_jinja_raise(st, "ValueError", "value is not in list");
}

static bool l_count(jstate *st, jval self, const jargs *a, jval *out) {
    int64_t n = 0;
    if (!ib_jinja_no_keywords(st, "count", a, 1, 1))
        return false;
    for (size_t i = 0; i < self.as.l->n; i++) {
        bool same = ib_jinja_identical(self.as.l->items[i], a->pos[0]);
        if (!same && !ib_jinja_equal(st, self.as.l->items[i], a->pos[0], 0, &same))
            return false;
        n += same;
    }
    *out = JINT(n);
    return true;
}

static bool l_copy(jstate *st, jval self, const jargs *a, jval *out) {
    jlist *l;
    if (!ib_jinja_no_keywords(st, "copy", a, 0, 0) || !ib_jinja_to_list(st, self, &l))
        return false;
    *out = JLIST(l);
    return true;
}

static const jfunc list_methods[] = {
    {"index", l_index}, {"count", l_count}, {"copy", l_copy}, {NULL, NULL}};
static const jfunc tuple_methods[] = {{"index", l_index}, {"count", l_count}, {NULL, NULL}};

/* --- dicts --- */

static bool view(jstate *st, jval self, const jargs *a, jview_kind kind, jval *out) {
    if (!ib_jinja_no_keywords(st, "items", a, 0, 0))
        return false;
    jview *v = ib_jinja_alloc(st, sizeof *v);
    if (!v)
        return false;
    *v = (jview){self.as.d, kind};
    *out = (jval){.type = J_VIEW, .as.view = v};
    return true;
}

static bool d_items(jstate *st, jval self, const jargs *a, jval *out) {
    return view(st, self, a, VIEW_ITEMS, out);
}

static bool d_keys(jstate *st, jval self, const jargs *a, jval *out) {
    return view(st, self, a, VIEW_KEYS, out);
}

static bool d_values(jstate *st, jval self, const jargs *a, jval *out) {
    return view(st, self, a, VIEW_VALUES, out);
}

static bool d_get(jstate *st, jval self, const jargs *a, jval *out) {
    bool found;
    if (!ib_jinja_no_keywords(st, "get", a, 1, 2) ||
        !ib_jinja_dict_get(st, self.as.d, a->pos[0], out, &found))
        return false;
    if (!found)
        *out = a->n > 1 ? a->pos[1] : JNONE;
    return true;
}

static bool d_copy(jstate *st, jval self, const jargs *a, jval *out) {
    jdict *d = ib_jinja_dict_new(st, self.as.d->n);
    if (!d || !ib_jinja_no_keywords(st, "copy", a, 0, 0))
        return false;
    for (size_t i = 0; i < self.as.d->n; i++)
        if (!ib_jinja_dict_set(st, d, self.as.d->entries[i].key, self.as.d->entries[i].value))
            return false;
    *out = JDICT(d);
    return true;
}

static bool d_fromkeys(jstate *st, jval self, const jargs *a, jval *out) {
    jlist *keys;
    jdict *d = ib_jinja_dict_new(st, 8);
    (void)self;
    if (!d || !ib_jinja_no_keywords(st, "fromkeys", a, 1, 2) ||
        !ib_jinja_to_list(st, a->pos[0], &keys))
        return false;
    for (size_t i = 0; i < keys->n; i++)
        if (!ib_jinja_dict_set(st, d, keys->items[i], a->n > 1 ? a->pos[1] : JNONE))
            return false;
    *out = JDICT(d);
    return true;
}

static const jfunc dict_methods[] = {{"items", d_items}, {"keys", d_keys}, {"values", d_values},
                                     {"get", d_get},     {"copy", d_copy}, {"fromkeys", d_fromkeys},
                                     {NULL, NULL}};
static const jfunc dict_type_methods[] = {{"fromkeys", d_fromkeys}, {NULL, NULL}};

/* --- numbers --- */

static bool n_bit_length(jstate *st, jval self, const jargs *a, jval *out) {
    int64_t v = 0, n = 0;
    (void)ib_jinja_as_int(self, &v);
    for (uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v; u; u >>= 1)
        n++;
    *out = JINT(n);
    return ib_jinja_no_keywords(st, "bit_length", a, 0, 0);
}

static bool n_conjugate(jstate *st, jval self, const jargs *a, jval *out) {
    *out = self;
    return ib_jinja_no_keywords(st, "conjugate", a, 0, 0);
}

static bool f_is_integer(jstate *st, jval self, const jargs *a, jval *out) {
    *out = JBOOL(isfinite(self.as.f) && self.as.f == floor(self.as.f));
    return ib_jinja_no_keywords(st, "is_integer", a, 0, 0);
}

static const jfunc int_methods[] = {
    {"bit_length", n_bit_length}, {"conjugate", n_conjugate}, {NULL, NULL}};
static const jfunc float_methods[] = {
    {"is_integer", f_is_integer}, {"conjugate", n_conjugate}, {NULL, NULL}};

static bool number_attr(jval v, ib_str name, jval *out) {
    int64_t i = 0;
    bool whole = ib_jinja_as_int(v, &i);
    jval zero = whole ? JINT(0) : JFLOAT(0.0), self = whole ? JINT(i) : v;
    if (ib_str_is(name, "real"))
        return *out = self, true;
    if (ib_str_is(name, "imag"))
        return *out = zero, true;
    if (whole && ib_str_is(name, "numerator"))
        return *out = self, true;
    if (whole && ib_str_is(name, "denominator"))
        return *out = JINT(1), true;
    return false;
}

/* --- ranges, cyclers, macros, self --- */

static bool r_index(jstate *st, jval self, const jargs *a, jval *out) {
    jlist *l;
    return ib_jinja_to_list(st, self, &l) && l_index(st, JLIST(l), a, out);
}

static bool r_count(jstate *st, jval self, const jargs *a, jval *out) {
    jlist *l;
    return ib_jinja_to_list(st, self, &l) && l_count(st, JLIST(l), a, out);
}

static const jfunc range_methods[] = {{"index", r_index}, {"count", r_count}, {NULL, NULL}};

static bool range_attr(const jrange *r, ib_str name, jval *out) {
    if (ib_str_is(name, "start"))
        return *out = JINT(r->start), true;
    if (ib_str_is(name, "stop"))
        return *out = JINT(r->stop), true;
    if (ib_str_is(name, "step"))
        return *out = JINT(r->step), true;
    return false;
}

static bool c_next(jstate *st, jval self, const jargs *a, jval *out) {
    jcycler *c = self.as.cycler;
    if (!ib_jinja_no_keywords(st, "next", a, 0, 0))
        return false;
    *out = c->items->items[c->pos];
    c->pos = (c->pos + 1) % c->items->n;
    return true;
}

static bool c_reset(jstate *st, jval self, const jargs *a, jval *out) {
    self.as.cycler->pos = 0;
    *out = JNONE;
    return ib_jinja_no_keywords(st, "reset", a, 0, 0);
}

static const jfunc cycler_methods[] = {{"next", c_next}, {"reset", c_reset}, {NULL, NULL}};

static bool macro_attr(jstate *st, const jmacro *m, ib_str name, jval *out, bool *found) {
    const jnode *n = m->node;
    *found = true;
    if (ib_str_is(name, "name")) {
        *out = JNONE;
        return n->kind != N_MACRO || ib_jinja_str_borrow(st, n->name.ptr, n->name.len, out);
    }
    if (ib_str_is(name, "arguments")) {
        jlist *l = ib_jinja_list_new(st, n->list.n);
        for (size_t i = 0; l && i < n->list.n; i++)
            if (!ib_jinja_str_borrow(st, n->list.at[i]->name.ptr, n->list.at[i]->name.len,
                                     &l->items[l->n++]))
                return false;
        *out = JTUPLE(l);
        return l != NULL;
    }
    if (ib_str_is(name, "caller"))
        return *out = JBOOL(n->flag), true;
    if (ib_str_is(name, "catch_kwargs"))
        return *out = JBOOL(n->scope->kwargs_slot >= 0), true;
    if (ib_str_is(name, "catch_varargs"))
        return *out = JBOOL(n->scope->varargs_slot >= 0), true;
    *found = false;
    return true;
}

/* self.name() renders a block; the number of the block stands in for it. */
static bool block_call(jstate *st, jval self, const jargs *a, jval *out) {
    return ib_jinja_no_keywords(st, "block", a, 0, 0) &&
           ib_jinja_call_block(st, st->template->blocks.at[self.as.i], out);
}

static const jfunc block_func = {"block", block_call};

/* --- finding --- */

static bool bind_method(jstate *st, jval self, const jfunc *func, jval *out) {
    jbound *b = ib_jinja_alloc(st, sizeof *b);
    if (!b)
        return false;
    *b = (jbound){self, func};
    *out = (jval){.type = J_METHOD, .as.bound = b};
    return true;
}

static const jfunc *lookup(const jfunc *table, ib_str name) {
    for (; table && table->name; table++)
        if (ib_str_is(name, table->name))
            return table;
    return NULL;
}

static bool is_one_of(ib_str name, const char *const *names) {
    for (; *names; names++)
        if (ib_str_is(name, *names))
            return true;
    return false;
}

static bool changes(jval v, ib_str name) {
    static const char *const of_list[] = {"append", "clear",  "pop",    "reverse", "insert",
                                          "sort",   "extend", "remove", NULL};
    static const char *const of_dict[] = {"clear", "pop", "popitem", "setdefault", "update", NULL};
    return (v.type == J_LIST && is_one_of(name, of_list)) ||
           (v.type == J_DICT && is_one_of(name, of_dict));
}

static const jfunc *table_of(jval v) {
    switch (v.type) {
    case J_LIST:
        return list_methods;
    case J_TUPLE:
        return tuple_methods;
    case J_DICT:
        return dict_methods;
    case J_BOOL:
    case J_INT:
        return int_methods;
    case J_FLOAT:
        return float_methods;
    case J_RANGE:
        return range_methods;
    case J_CYCLER:
        return cycler_methods;
    case J_FUNC:
        return strcmp(v.as.func->name, "dict") == 0 ? dict_type_methods : NULL;
    default:
        return NULL;
    }
}

static bool find_block(jstate *st, ib_str name, jval *out, bool *found) {
    for (size_t i = 0; i < st->template->blocks.n; i++)
        if (ib_str_eq(st->template->blocks.at[i]->name, name)) {
            *found = true;
            return bind_method(st, JINT((int64_t)i), &block_func, out);
        }
    return true;
}

bool ib_jinja_find_method(jstate *st, jval v, ib_str name, jval *out, bool *found) {
    const jfunc *func = NULL;
    *found = true;
    if (v.type == J_STR) {
        func = lookup(ib_jinja_str_methods, name);
        if (!func)
            func = lookup(ib_jinja_str_find_methods, name);
    } else if (changes(v, name)) {
        return ib_jinja_undef_unsafe(st, v, name, out);
    } else if (ib_jinja_is_number(v) && number_attr(v, name, out)) {
        return true;
    } else if (v.type == J_RANGE && range_attr(v.as.range, name, out)) {
        return true;
    } else if (v.type == J_CYCLER && ib_str_is(name, "current")) {
        *out = v.as.cycler->items->items[v.as.cycler->pos];
        return true;
    } else if (v.type == J_JOINER && ib_str_is(name, "used")) {
        return *out = JBOOL(v.as.joiner->used), true;
    } else if (v.type == J_JOINER && ib_str_is(name, "sep")) {
        return *out = JSTR(v.as.joiner->separator), true;
    } else if (v.type == J_MACRO) {
        return macro_attr(st, v.as.macro, name, out, found);
    } else {
        func = lookup(table_of(v), name);
    }
    if (func)
        return bind_method(st, v, func, out);
    *found = false;
    return v.type == J_SELF ? find_block(st, name, out, found) : true;
}
