/* SPDX-License-Identifier: MIT
 * Filters that sort: sort, dictsort, groupby. The sort is stable, and orders as Python does. */
#include "text/jinja/value.h"

#include <string.h>

typedef struct keyed {
    jval item;
    jval *keys; /* n_keys of them */
} keyed;

typedef struct sorter {
    jstate *st;
    size_t n_keys;
    bool as_list, reverse, failed; /* as_list: keys are compared as Python compares lists */
} sorter;

/* a before b, as sorted(key=list of keys, reverse=...) decides; ties keep their order. */
static bool before(sorter *s, const keyed *a, const keyed *b) {
    const keyed *x = s->reverse ? b : a, *y = s->reverse ? a : b;
    for (size_t i = 0; i < s->n_keys; i++) {
        bool same = ib_jinja_identical(x->keys[i], y->keys[i]), less = false;
        if (!same && s->as_list && !ib_jinja_equal(s->st, x->keys[i], y->keys[i], 0, &same))
            return s->failed = true, false;
        if (same)
            continue;
        if (!ib_jinja_compare(s->st, CMP_LT, x->keys[i], y->keys[i], 0, &less))
            return s->failed = true, false;
        return less;
    }
    return false;
}

/* Merge sort; to and from are both n long, the result ends in from. */
static void merge_sort(sorter *s, keyed *from, keyed *spare, size_t n) {
    if (n < 2 || s->failed)
        return;
    size_t half = n / 2;
    merge_sort(s, from, spare, half);
    merge_sort(s, from + half, spare, n - half);
    memcpy(spare, from, half * sizeof *from);
    size_t i = 0, j = half, k = 0;
    while (i < half && j < n && !s->failed) {
        bool second = before(s, &from[j], &spare[i]);
        if (s->failed)
            return;
        from[k++] = second ? from[j++] : spare[i++];
    }
    while (i < half && !s->failed)
        from[k++] = spare[i++];
}

static bool sort_keyed(jstate *st, keyed *k, size_t n, size_t n_keys, bool as_list, bool reverse) {
    keyed *spare = ib_jinja_array(st, n + 1, sizeof *spare);
    sorter s = {.st = st, .n_keys = n_keys, .as_list = as_list, .reverse = reverse};
    if (!spare)
        return false;
    merge_sort(&s, k, spare, n);
    return !s.failed;
}

static keyed *make_keyed(jstate *st, const jlist *l, size_t n_keys) {
    keyed *k = ib_jinja_array(st, l->n + 1, sizeof *k);
    jval *keys = ib_jinja_array(st, l->n * n_keys + 1, sizeof *keys);
    if (!k || !keys)
        return NULL;
    for (size_t i = 0; i < l->n; i++)
        k[i] = (keyed){l->items[i], keys + i * n_keys};
    return k;
}

/* "a,b.c" -> its parts, as strings */
static bool split_paths(jstate *st, jval attribute, jlist **out) {
    jlist *l = *out = ib_jinja_list_new(st, 2);
    if (!l)
        return false;
    if (attribute.type != J_STR)
        return ib_jinja_list_add(st, l, attribute);
    const char *p = attribute.as.s->p, *end = p + attribute.as.s->n;
    for (;;) {
        const char *comma = p < end ? memchr(p, ',', (size_t)(end - p)) : NULL;
        jval part;
        if (!ib_jinja_str_borrow(st, p, (size_t)((comma ? comma : end) - p), &part) ||
            !ib_jinja_list_add(st, l, part))
            return false;
        if (!comma)
            return true;
        p = comma + 1;
    }
}

bool ib_jinja_sort(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"reverse", "case_sensitive", "attribute"};
    jval v[3];
    jlist *l, *paths;
    if (!ib_jinja_bind(st, "sort", a, names, 0, 3, v) || !ib_jinja_to_list(st, self, &l) ||
        !split_paths(st, v[2], &paths))
        return false;
    keyed *k = make_keyed(st, l, paths->n);
    if (!k)
        return false;
    for (size_t i = 0; i < l->n; i++)
        for (size_t j = 0; j < paths->n; j++)
            if (!ib_jinja_get_path(st, l->items[i], paths->items[j], JNONE, &k[i].keys[j]) ||
                !ib_jinja_fold_key(st, !ib_jinja_truth(v[1]), k[i].keys[j], &k[i].keys[j]))
                return false;
    if (!sort_keyed(st, k, l->n, paths->n, true, ib_jinja_truth(v[0])))
        return false;
    for (size_t i = 0; i < l->n; i++)
        l->items[i] = k[i].item;
    *out = JLIST(l);
    return true;
}

bool ib_jinja_dictsort(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"case_sensitive", "by", "reverse"};
    jval v[3];
    size_t pos = 0;
    if (!ib_jinja_bind(st, "dictsort", a, names, 0, 3, v))
        return false;
    if (v[1].type != J_MISSING) {
        bool value = v[1].type == J_STR && ib_str_is((ib_str){v[1].as.s->p, v[1].as.s->n}, "value");
        bool key = v[1].type == J_STR && ib_str_is((ib_str){v[1].as.s->p, v[1].as.s->n}, "key");
        if (!value && !key)
            return ib_jinja_raise(st, "FilterArgumentError",
                                  "You can only sort by either \"key\" or \"value\"");
        pos = value;
    }
    if (self.type == J_UNDEF)
        return ib_jinja_raise_undef(st, self.as.undef);
    if (self.type != J_DICT)
        return ib_jinja_raise(st, "AttributeError", "'%s' object has no attribute 'items'",
                              ib_jinja_type_name(self));
    jlist *l = ib_jinja_list_new(st, self.as.d->n);
    if (!l)
        return false;
    for (size_t i = 0; i < self.as.d->n; i++) {
        const jentry *e = &self.as.d->entries[i];
        if (!ib_jinja_pair(st, e->key, e->value, &l->items[l->n++]))
            return false;
    }
    keyed *k = make_keyed(st, l, 1);
    if (!k)
        return false;
    for (size_t i = 0; i < l->n; i++)
        if (!ib_jinja_fold_key(st, !ib_jinja_truth(v[0]), l->items[i].as.l->items[pos],
                               &k[i].keys[0]))
            return false;
    if (!sort_keyed(st, k, l->n, 1, false, ib_jinja_truth(v[2])))
        return false;
    for (size_t i = 0; i < l->n; i++)
        l->items[i] = k[i].item;
    *out = JLIST(l);
    return true;
}

bool ib_jinja_groupby(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"attribute", "default", "case_sensitive"};
    jval v[3];
    jlist *l, *groups = ib_jinja_list_new(st, 8);
    if (!groups || !ib_jinja_bind(st, "groupby", a, names, 1, 3, v) ||
        !ib_jinja_to_list(st, self, &l))
        return false;
    keyed *k = make_keyed(st, l, 1);
    if (!k)
        return false;
    for (size_t i = 0; i < l->n; i++)
        if (!ib_jinja_get_path(st, l->items[i], v[0], v[1], &k[i].keys[0]) ||
            !ib_jinja_fold_key(st, !ib_jinja_truth(v[2]), k[i].keys[0], &k[i].keys[0]))
            return false;
    if (!sort_keyed(st, k, l->n, 1, false, false))
        return false;
    jlist *group = NULL;
    for (size_t i = 0; i < l->n; i++) {
        bool same = false;
        jval pair, shown = k[i].keys[0];
        if (group && !ib_jinja_equal(st, k[i - 1].keys[0], k[i].keys[0], 0, &same))
            return false;
        if (!same) {
            if (!ib_jinja_truth(v[2]) && !ib_jinja_get_path(st, k[i].item, v[0], v[1], &shown))
                return false;
            group = ib_jinja_list_new(st, 4);
            if (!group || !ib_jinja_pair(st, shown, JLIST(group), &pair) ||
                !ib_jinja_list_add(st, groups, pair))
                return false;
            pair.as.l->group = true;
        }
        if (!ib_jinja_list_add(st, group, k[i].item))
            return false;
    }
    *out = JLIST(groups);
    return true;
}
