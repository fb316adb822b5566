/* SPDX-License-Identifier: MIT
 * Filters on sequences and mappings. map, select, reject and unique are lazy as in Jinja2: what
 * they give is read once, and nothing happens before it is read. */
#include "text/jinja/value.h"

#include <string.h>

/* --- lazy filters --- */

typedef struct lazy {
    jval path, fallback; /* attribute; J_MISSING: none */
    jval name;           /* of func */
    const jfunc *func;   /* filter or test, looked up on first use; NULL: truth */
    jargs args;
    bool keep, fold_case;
    jdict *seen;
} lazy;

static bool as_iter(jstate *st, jval self, jnext_fn next, lazy *l, jval *out) {
    if (!ib_jinja_iterable(self) && !ib_jinja_truth(self)) { /* "if value:" comes before the loop */
        jlist *empty = ib_jinja_list_new(st, 0);
        return empty && ib_jinja_iter_of_list(st, empty, "generator", out);
    }
    return ib_jinja_iter_new(st, next, self, l, out);
}

static bool need_filter(jstate *st, jval name, const char *what, const jfunc **out) {
    char shown[IB_QUOTED];
    bool filter = what[0] == 'f';
    *out = NULL;
    if (name.type == J_STR) {
        ib_str n = {name.as.s->p, name.as.s->n};
        *out = filter ? ib_jinja_find_filter(n) : ib_jinja_find_test(n);
        if (*out)
            return true;
        (void)ib_jinja_raise(st, "TemplateRuntimeError", "No %s named '%s'.", what,
                             ib_quote(n, shown));
        ib_jinja_unsupported(st);
        return false;
    }
    return ib_jinja_raise(st, "TemplateRuntimeError", "No %s named by a value of type %s.", what,
                          ib_jinja_type_name(name));
}

/* Calls with a guard, since filters can call filters. */
static bool guarded(jstate *st, const jfunc *f, jval self, const jargs *args, jval *out) {
    if (++st->depth > JINJA_MAX_DEPTH)
        return ib_jinja_raise_limit(st, "the template recurses too deep");
    bool ok = ib_jinja_spend(st, 1) && f->call(st, self, args, out);
    st->depth--;
    return ok;
}

static bool next_mapped(jstate *st, jiter *it, jval *out, bool *done) {
    lazy *l = it->closure;
    jval item;
    if (!ib_jinja_next(st, it->inner, &item, done) || *done)
        return *done;
    if (l->name.type != J_MISSING && !l->func && !need_filter(st, l->name, "filter", &l->func))
        return false;
    if (l->func)
        return guarded(st, l->func, item, &l->args, out);
    return ib_jinja_get_path(st, item, l->path, l->fallback, out);
}

static bool f_map(jstate *st, jval self, const jargs *a, jval *out) {
    lazy *l = ib_jinja_alloc(st, sizeof *l);
    if (!l)
        return false;
    *l = (lazy){.path = JMISSING, .name = JMISSING, .fallback = JNONE};
    for (size_t i = 0; a->n == 0 && i < a->n_kw; i++) {
        if (ib_str_is(a->kw[i].name, "attribute"))
            l->path = a->kw[i].value;
        else if (ib_str_is(a->kw[i].name, "default"))
            l->fallback = a->kw[i].value;
    }
    if (l->path.type != J_MISSING)
        return as_iter(st, self, next_mapped, l, out);
    if (a->n == 0)
        return ib_jinja_raise(st, "FilterArgumentError", "map requires a filter argument");
    l->args = (jargs){a->pos + 1, a->n - 1, a->kw, a->n_kw};
    l->name = a->pos[0];
    return as_iter(st, self, next_mapped, l, out);
}

static bool next_selected(jstate *st, jiter *it, jval *out, bool *done) {
    lazy *l = it->closure;
    for (;;) {
        jval item, v, r;
        if (!ib_jinja_next(st, it->inner, &item, done) || *done)
            return *done;
        if (!ib_jinja_get_path(st, item, l->path, JNONE, &v))
            return false;
        r = v;
        if (l->name.type != J_MISSING && !l->func && !need_filter(st, l->name, "test", &l->func))
            return false;
        if (l->func && !guarded(st, l->func, v, &l->args, &r))
            return false;
        if (ib_jinja_truth(r) == l->keep) {
            *out = item;
            return true;
        }
    }
}

static bool selecting(jstate *st, jval self, const jargs *a, bool keep, bool attr, jval *out) {
    lazy *l = ib_jinja_alloc(st, sizeof *l);
    size_t off = attr;
    if (!l)
        return false;
    *l = (lazy){.path = JMISSING, .name = JMISSING, .keep = keep};
    if (attr && a->n == 0)
        return ib_jinja_raise(st, "FilterArgumentError", "Missing parameter for attribute name");
    if (attr)
        l->path = a->pos[0];
    if (a->n > off) {
        l->args = (jargs){a->pos + off + 1, a->n - off - 1, a->kw, a->n_kw};
        l->name = a->pos[off];
    }
    return as_iter(st, self, next_selected, l, out);
}

static bool f_select(jstate *st, jval self, const jargs *a, jval *out) {
    return selecting(st, self, a, true, false, out);
}

static bool f_reject(jstate *st, jval self, const jargs *a, jval *out) {
    return selecting(st, self, a, false, false, out);
}

static bool f_selectattr(jstate *st, jval self, const jargs *a, jval *out) {
    return selecting(st, self, a, true, true, out);
}

static bool f_rejectattr(jstate *st, jval self, const jargs *a, jval *out) {
    return selecting(st, self, a, false, true, out);
}

bool ib_jinja_fold_key(jstate *st, bool on, jval v, jval *out) {
    *out = v;
    return !on || v.type != J_STR || ib_jinja_case(st, v.as.s, CASE_LOWER, out);
}

static bool next_unique(jstate *st, jiter *it, jval *out, bool *done) {
    lazy *l = it->closure;
    for (;;) {
        jval item, key, unused;
        bool found;
        if (!ib_jinja_next(st, it->inner, &item, done) || *done)
            return *done;
        if (!ib_jinja_get_path(st, item, l->path, JNONE, &key) ||
            !ib_jinja_fold_key(st, l->fold_case, key, &key) ||
            !ib_jinja_dict_get(st, l->seen, key, &unused, &found))
            return false;
        if (!found) {
            *out = item;
            return ib_jinja_dict_set(st, l->seen, key, JNONE);
        }
    }
}

static bool f_unique(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"case_sensitive", "attribute"};
    jval v[2];
    lazy *l = ib_jinja_alloc(st, sizeof *l);
    if (!l || !ib_jinja_bind(st, "unique", a, names, 0, 2, v))
        return false;
    *l = (lazy){.path = v[1], .fold_case = !ib_jinja_truth(v[0]), .seen = ib_jinja_dict_new(st, 8)};
    return l->seen && ib_jinja_iter_new(st, next_unique, self, l, out);
}

/* --- picking --- */

static bool extreme(jstate *st, jval self, const jargs *a, bool want_max, jval *out) {
    static const char *const names[] = {"case_sensitive", "attribute"};
    jval v[2], item, key, best_key = JMISSING;
    jiter it;
    bool done = false, better;
    if (!ib_jinja_bind(st, want_max ? "max" : "min", a, names, 0, 2, v) ||
        !ib_jinja_iterate(st, self, &it))
        return false;
    for (;;) {
        if (!ib_jinja_next(st, &it, &item, &done))
            return false;
        if (done)
            break;
        if (!ib_jinja_get_path(st, item, v[1], JNONE, &key) ||
            !ib_jinja_fold_key(st, !ib_jinja_truth(v[0]), key, &key))
            return false;
        better = best_key.type == J_MISSING;
        if (!better && !ib_jinja_compare(st, want_max ? CMP_GT : CMP_LT, key, best_key, 0, &better))
            return false;
        if (better) {
            best_key = key;
            *out = item;
        }
    }
    return best_key.type != J_MISSING ||
           ib_jinja_undef_hint(st, "No aggregated item, sequence was empty.", out);
}

static bool f_min(jstate *st, jval self, const jargs *a, jval *out) {
    return extreme(st, self, a, false, out);
}

static bool f_max(jstate *st, jval self, const jargs *a, jval *out) {
    return extreme(st, self, a, true, out);
}

static bool f_first(jstate *st, jval self, const jargs *a, jval *out) {
    bool done = false;
    jiter it;
    if (!ib_jinja_no_keywords(st, "first", a, 0, 0) || !ib_jinja_iterate(st, self, &it) ||
        !ib_jinja_next(st, &it, out, &done))
        return false;
    return !done || ib_jinja_undef_hint(st, "No first item, sequence was empty.", out);
}

static bool reversible(jval v) {
    return v.type == J_LIST || v.type == J_TUPLE || v.type == J_STR || v.type == J_RANGE ||
           v.type == J_DICT || v.type == J_VIEW || v.type == J_UNDEF;
}

static bool f_last(jstate *st, jval self, const jargs *a, jval *out) {
    jlist *l;
    if (!ib_jinja_no_keywords(st, "last", a, 0, 0))
        return false;
    if (!reversible(self))
        return ib_jinja_raise(st, "TypeError", "'%s' object is not reversible",
                              ib_jinja_type_name(self));
    if (self.type == J_STR && self.as.s->chars)
        return ib_jinja_substr(st, self.as.s, self.as.s->chars - 1, self.as.s->chars, out);
    if (!ib_jinja_to_list(st, self, &l))
        return false;
    if (l->n == 0)
        return ib_jinja_undef_hint(st, "No last item, sequence was empty.", out);
    *out = l->items[l->n - 1];
    return true;
}

static bool f_length(jstate *st, jval self, const jargs *a, jval *out) {
    int64_t n;
    if (!ib_jinja_no_keywords(st, "length", a, 0, 0) || !ib_jinja_length(st, self, &n))
        return false;
    *out = JINT(n);
    return true;
}

static bool f_list(jstate *st, jval self, const jargs *a, jval *out) {
    jlist *l;
    if (!ib_jinja_no_keywords(st, "list", a, 0, 0) || !ib_jinja_to_list(st, self, &l))
        return false;
    *out = JLIST(l);
    return true;
}

static bool f_reverse(jstate *st, jval self, const jargs *a, jval *out) {
    const jval none = JNONE;
    jlist *l;
    if (!ib_jinja_no_keywords(st, "reverse", a, 0, 0))
        return false;
    if (self.type == J_STR)
        return ib_jinja_slice(st, self, none, none, JINT(-1), out);
    if (!ib_jinja_iterable(self))
        return ib_jinja_raise(st, "FilterArgumentError", "argument must be iterable");
    if (!ib_jinja_to_list(st, self, &l))
        return false;
    for (size_t i = 0; i + 1 < l->n - i; i++) {
        jval v = l->items[i];
        l->items[i] = l->items[l->n - 1 - i];
        l->items[l->n - 1 - i] = v;
    }
    if (!reversible(self)) {
        *out = JLIST(l);
        return true;
    }
    return ib_jinja_iter_of_list(st, l,
                                 self.type == J_LIST    ? "list_reverseiterator"
                                 : self.type == J_TUPLE ? "reversed"
                                 : self.type == J_RANGE ? "range_iterator"
                                                        : "dict_reversekeyiterator",
                                 out);
}

static bool f_items(jstate *st, jval self, const jargs *a, jval *out) {
    jview v = {.kind = VIEW_ITEMS};
    jlist *l = NULL;
    if (!ib_jinja_no_keywords(st, "items", a, 0, 0))
        return false;
    if (self.type == J_UNDEF) {
        l = ib_jinja_list_new(st, 0);
    } else if (self.type != J_DICT) {
        return ib_jinja_raise(st, "TypeError", "Can only get item pairs from a mapping.");
    } else {
        v.d = self.as.d;
        if (!ib_jinja_to_list(st, (jval){.type = J_VIEW, .as.view = &v}, &l))
            return false;
    }
    return l && ib_jinja_iter_of_list(st, l, "generator", out);
}

static bool f_sum(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"attribute", "start"};
    jval v[2], item;
    jiter it;
    bool done = false;
    if (!ib_jinja_bind(st, "sum", a, names, 0, 2, v) || !ib_jinja_iterate(st, self, &it))
        return false;
    jval sum = v[1].type == J_MISSING ? JINT(0) : v[1];
    if (sum.type == J_STR)
        return ib_jinja_raise(st, "TypeError",
                              "sum() can't sum strings [use ''.join(seq) instead]");
    for (;;) {
        if (!ib_jinja_next(st, &it, &item, &done))
            return false;
        if (done)
            break;
        if (!ib_jinja_get_path(st, item, v[0], JNONE, &item) ||
            !ib_jinja_binary(st, OP_ADD, sum, item, &sum))
            return false;
    }
    *out = sum;
    return true;
}

/* --- cutting --- */

static bool want_count(jstate *st, jval v, int64_t *out) {
    if (!ib_jinja_as_int(v, out))
        return ib_jinja_raise(st, "TypeError", "a number is required, not %s",
                              ib_jinja_type_name(v));
    return true;
}

static bool f_batch(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"linecount", "fill_with"};
    jval v[2];
    int64_t size;
    jlist *l, *all = ib_jinja_list_new(st, 8), *row = NULL;
    if (!all || !ib_jinja_bind(st, "batch", a, names, 1, 2, v) || !want_count(st, v[0], &size) ||
        !ib_jinja_to_list(st, self, &l))
        return false;
    bool open = false; /* Python starts with an empty row and hands it out when the size is 0 */
    row = ib_jinja_list_new(st, 4);
    if (!row)
        return false;
    for (size_t i = 0; i < l->n; i++) {
        if ((int64_t)row->n == size) {
            if (!ib_jinja_list_add(st, all, JLIST(row)) || (row = ib_jinja_list_new(st, 4)) == NULL)
                return false;
        }
        if (!ib_jinja_list_add(st, row, l->items[i]))
            return false;
        open = true;
    }
    if (open && row->n) {
        bool fill = v[1].type != J_MISSING && v[1].type != J_NONE;
        while (fill && (int64_t)row->n < size)
            if (!ib_jinja_list_add(st, row, v[1]) || !ib_jinja_spend(st, 1))
                return false;
        if (!ib_jinja_list_add(st, all, JLIST(row)))
            return false;
    }
    return ib_jinja_iter_of_list(st, all, "generator", out);
}

static bool f_slice(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"slices", "fill_with"};
    jval v[2];
    int64_t slices;
    jlist *l, *all = ib_jinja_list_new(st, 8);
    if (!all || !ib_jinja_bind(st, "slice", a, names, 1, 2, v) || !want_count(st, v[0], &slices) ||
        !ib_jinja_to_list(st, self, &l))
        return false;
    if (slices == 0)
        return ib_jinja_raise(st, "ZeroDivisionError", "integer division or modulo by zero");
    size_t at = 0, n = slices > 0 ? (size_t)slices : 0;
    for (size_t i = 0; i < n; i++) {
        size_t size = l->n / n + (i < l->n % n);
        jlist *row = ib_jinja_list_new(st, size + 1);
        if (!row || !ib_jinja_spend(st, 1))
            return false;
        for (size_t k = 0; k < size; k++)
            row->items[row->n++] = l->items[at++];
        if (v[1].type != J_MISSING && v[1].type != J_NONE && i >= l->n % n)
            row->items[row->n++] = v[1];
        if (!ib_jinja_list_add(st, all, JLIST(row)))
            return false;
    }
    return ib_jinja_iter_of_list(st, all, "generator", out);
}

static bool f_join(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"d", "attribute"};
    jval v[2], sep;
    jlist *l;
    if (!ib_jinja_bind(st, "join", a, names, 0, 2, v) || !ib_jinja_to_list(st, self, &l))
        return false;
    for (size_t i = 0; i < l->n; i++)
        if (!ib_jinja_get_path(st, l->items[i], v[1], JNONE, &l->items[i]))
            return false;
    if (v[0].type == J_MISSING ? !ib_jinja_strz(st, "", &sep) : !ib_jinja_to_str(st, v[0], &sep))
        return false;
    return ib_jinja_join(st, sep.as.s, l, false, out);
}

static bool f_attr(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"name"};
    jval name;
    if (!ib_jinja_bind(st, "attr", a, names, 1, 1, &name))
        return false;
    if (name.type != J_STR)
        return ib_jinja_raise(st, "TypeError", "attribute name must be string, not '%s'",
                              ib_jinja_type_name(name));
    if (self.type == J_DICT) { /* items do not count here */
        bool found;
        if (!ib_jinja_find_method(st, self, (ib_str){name.as.s->p, name.as.s->n}, out, &found))
            return false;
        return found || ib_jinja_undef_attr(st, self, name, out);
    }
    return ib_jinja_getattr(st, self, (ib_str){name.as.s->p, name.as.s->n}, out);
}

static bool f_default(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"default_value", "boolean"};
    jval v[2];
    if (!ib_jinja_bind(st, "default", a, names, 0, 2, v))
        return false;
    if (v[0].type == J_MISSING && !ib_jinja_strz(st, "", &v[0]))
        return false;
    *out = self.type == J_UNDEF || (ib_jinja_truth(v[1]) && !ib_jinja_truth(self)) ? v[0] : self;
    return true;
}

const jfunc ib_jinja_seq_filters[] = {{"map", f_map},
                                      {"select", f_select},
                                      {"reject", f_reject},
                                      {"selectattr", f_selectattr},
                                      {"rejectattr", f_rejectattr},
                                      {"unique", f_unique},
                                      {"sort", ib_jinja_sort},
                                      {"dictsort", ib_jinja_dictsort},
                                      {"groupby", ib_jinja_groupby},
                                      {"min", f_min},
                                      {"max", f_max},
                                      {"first", f_first},
                                      {"last", f_last},
                                      {"length", f_length},
                                      {"count", f_length},
                                      {"list", f_list},
                                      {"reverse", f_reverse},
                                      {"items", f_items},
                                      {"sum", f_sum},
                                      {"batch", f_batch},
                                      {"slice", f_slice},
                                      {"join", f_join},
                                      {"attr", f_attr},
                                      {"default", f_default},
                                      {"d", f_default},
                                      {NULL, NULL}};
