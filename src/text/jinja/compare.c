/* SPDX-License-Identifier: MIT
 * Asking values: type names, truth, length, equality, order, hash and membership as in Python. */
#include "text/jinja/ast.h"

#include <math.h>
#include <string.h>

const char *ib_jinja_type_name(jval v) {
    static const char *const views[] = {"dict_keys", "dict_values", "dict_items"};
    switch (v.type) {
    case J_MISSING:
    case J_UNDEF:
        return "Undefined";
    case J_NONE:
        return "NoneType";
    case J_BOOL:
        return "bool";
    case J_INT:
        return "int";
    case J_FLOAT:
        return "float";
    case J_STR:
        return v.as.s->markup ? "Markup" : "str";
    case J_LIST:
        return "list";
    case J_TUPLE:
        return v.as.l->group ? "_GroupTuple" : "tuple";
    case J_DICT:
        return "dict";
    case J_RANGE:
        return "range";
    case J_VIEW:
        return views[v.as.view->kind];
    case J_ITER:
        return v.as.iter->type_name;
    case J_NS:
        return "TemplateNamespace";
    case J_MACRO:
        return "Macro";
    case J_LOOP:
        return "LoopContext";
    case J_CYCLER:
        return "Cycler";
    case J_JOINER:
        return "Joiner";
    case J_FUNC:
        return "function";
    case J_METHOD:
        return "builtin_function_or_method";
    default:
        return "TemplateReference";
    }
}

bool ib_jinja_truth(jval v) {
    int64_t n;
    switch (v.type) {
    case J_MISSING:
    case J_UNDEF:
    case J_NONE:
        return false;
    case J_BOOL:
        return v.as.b;
    case J_INT:
        return v.as.i != 0;
    case J_FLOAT:
        return v.as.f != 0;
    default: /* loops have a length too, but one that runs is never empty */
        return !ib_jinja_has_length(v) || (ib_jinja_length(NULL, v, &n) && n != 0);
    }
}

bool ib_jinja_is_number(jval v) {
    return v.type == J_BOOL || v.type == J_INT || v.type == J_FLOAT;
}

bool ib_jinja_as_int(jval v, int64_t *out) {
    if (v.type == J_BOOL)
        *out = v.as.b;
    else if (v.type == J_INT)
        *out = v.as.i;
    else
        return false;
    return true;
}

double ib_jinja_as_double(jval v) {
    return v.type == J_FLOAT ? v.as.f : v.type == J_BOOL ? (double)v.as.b : (double)v.as.i;
}

bool ib_jinja_has_length(jval v) {
    switch (v.type) {
    case J_UNDEF:
    case J_STR:
    case J_LIST:
    case J_TUPLE:
    case J_DICT:
    case J_RANGE:
    case J_VIEW:
        return true;
    default:
        return false;
    }
}

bool ib_jinja_length(jstate *st, jval v, int64_t *out) {
    switch (v.type) {
    case J_UNDEF:
        *out = 0;
        return true;
    case J_STR:
        *out = (int64_t)v.as.s->chars;
        return true;
    case J_LIST:
    case J_TUPLE:
        *out = (int64_t)v.as.l->n;
        return true;
    case J_DICT:
        *out = (int64_t)v.as.d->n;
        return true;
    case J_RANGE:
        *out = v.as.range->n;
        return true;
    case J_VIEW:
        *out = (int64_t)v.as.view->d->n;
        return true;
    case J_LOOP:
        return ib_jinja_loop_length(st, v.as.loop, out);
    default:
        return ib_jinja_raise(st, "TypeError", "object of type '%s' has no len()",
                              ib_jinja_type_name(v));
    }
}

/* -1, 0, 1; 2 when one is NaN. Exact for all 64-bit integers. */
static int compare_int_double(int64_t i, double f) {
    if (isnan(f))
        return 2;
    if (f >= 9223372036854775808.0)
        return -1;
    if (f < -9223372036854775808.0)
        return 1;
    int64_t whole = (int64_t)f;
    if (i != whole)
        return i < whole ? -1 : 1;
    double rest = f - (double)whole;
    return rest > 0 ? -1 : rest < 0 ? 1 : 0;
}

static int compare_numbers(jval a, jval b) {
    int64_t x, y;
    bool xi = ib_jinja_as_int(a, &x), yi = ib_jinja_as_int(b, &y);
    if (xi && yi)
        return x < y ? -1 : x > y;
    if (xi)
        return compare_int_double(x, b.as.f);
    if (yi) {
        int r = compare_int_double(y, a.as.f);
        return r == 2 ? 2 : -r;
    }
    if (isnan(a.as.f) || isnan(b.as.f))
        return 2;
    return a.as.f < b.as.f ? -1 : a.as.f > b.as.f;
}

static int compare_text(const jstr *a, const jstr *b) {
    size_t n = a->n < b->n ? a->n : b->n;
    int r = n ? memcmp(a->p, b->p, n) : 0;
    if (r)
        return r < 0 ? -1 : 1;
    return a->n < b->n ? -1 : a->n > b->n;
}

static bool too_deep(jstate *st) {
    return ib_jinja_raise_limit(st, "a value is nested deeper than %d", JINJA_MAX_VALUE_DEPTH);
}

static bool equal_items(jstate *st, const jval *a, const jval *b, size_t n, int depth, bool *out) {
    *out = true;
    for (size_t i = 0; i < n && *out; i++)
        if (!ib_jinja_identical(a[i], b[i]) && !ib_jinja_equal(st, a[i], b[i], depth + 1, out))
            return false;
    return true;
}

static bool equal_dicts(jstate *st, const jdict *a, const jdict *b, int depth, bool *out) {
    *out = a->n == b->n;
    for (size_t i = 0; i < a->n && *out; i++) {
        jval other;
        if (!ib_jinja_dict_get(st, b, a->entries[i].key, &other, out))
            return false;
        if (*out && !ib_jinja_identical(a->entries[i].value, other) &&
            !ib_jinja_equal(st, a->entries[i].value, other, depth + 1, out))
            return false;
    }
    return true;
}

bool ib_jinja_identical(jval a, jval b) {
    if (a.type != b.type)
        return false;
    switch (a.type) {
    case J_NONE:
    case J_MISSING:
        return true;
    case J_BOOL:
        return a.as.b == b.as.b;
    case J_INT: /* Python keeps small integers once; what larger ones do depends on the compiler */
        return a.as.i == b.as.i;
    case J_FLOAT:
        return false;
    case J_STR:
        return a.as.s == b.as.s || (a.as.s->n == b.as.s->n && a.as.s->p == b.as.s->p);
    default:
        return a.as.l == b.as.l;
    }
}

static bool equal_keys(jstate *st, const jview *a, const jview *b, int depth, bool *out) {
    *out = a->d->n == b->d->n;
    for (size_t i = 0; i < a->d->n && *out; i++) {
        jval other;
        const jentry *e = &a->d->entries[i];
        if (!ib_jinja_dict_get(st, b->d, e->key, &other, out))
            return false;
        if (*out && a->kind == VIEW_ITEMS && !ib_jinja_equal(st, e->value, other, depth + 1, out))
            return false;
    }
    return true;
}

bool ib_jinja_equal(jstate *st, jval a, jval b, int depth, bool *out) {
    if (depth > JINJA_MAX_VALUE_DEPTH)
        return too_deep(st);
    if (!ib_jinja_spend(st, 1))
        return false;
    if (ib_jinja_is_number(a) && ib_jinja_is_number(b)) {
        *out = compare_numbers(a, b) == 0;
        return true;
    }
    *out = false;
    if (a.type != b.type)
        return true;
    switch (a.type) {
    case J_UNDEF:
        *out = true;
        return true;
    case J_STR:
        *out = a.as.s->n == b.as.s->n && compare_text(a.as.s, b.as.s) == 0;
        return ib_jinja_spend(st, a.as.s->n / 128);
    case J_LIST:
    case J_TUPLE:
        if (a.as.l->n == b.as.l->n)
            return equal_items(st, a.as.l->items, b.as.l->items, a.as.l->n, depth, out);
        return true;
    case J_DICT:
        return equal_dicts(st, a.as.d, b.as.d, depth, out);
    case J_RANGE: {
        const jrange *x = a.as.range, *y = b.as.range;
        *out =
            x->n == y->n && (x->n == 0 || x->start == y->start) && (x->n < 2 || x->step == y->step);
        return true;
    }
    case J_VIEW:
        if (a.as.view->kind == b.as.view->kind && a.as.view->kind != VIEW_VALUES)
            return equal_keys(st, a.as.view, b.as.view, depth, out);
        *out = a.as.view == b.as.view;
        return true;
    case J_METHOD:
        *out = a.as.bound->func == b.as.bound->func &&
               ib_jinja_identical(a.as.bound->self, b.as.bound->self);
        return true;
    default:
        *out = ib_jinja_identical(a, b);
        return true;
    }
}

static bool holds(jcmp op, int r) {
    if (r == 2)
        return false;
    return op == CMP_LT ? r < 0 : op == CMP_LE ? r <= 0 : op == CMP_GT ? r > 0 : r >= 0;
}

static bool compare_items(jstate *st, jcmp op, const jlist *a, const jlist *b, int depth,
                          bool *out) {
    size_t n = a->n < b->n ? a->n : b->n;
    for (size_t i = 0; i < n; i++) {
        bool same = ib_jinja_identical(a->items[i], b->items[i]);
        if (!same && !ib_jinja_equal(st, a->items[i], b->items[i], depth + 1, &same))
            return false;
        if (!same)
            return ib_jinja_compare(st, op, a->items[i], b->items[i], depth + 1, out);
    }
    *out = holds(op, a->n < b->n ? -1 : a->n > b->n);
    return true;
}

bool ib_jinja_compare(jstate *st, jcmp op, jval a, jval b, int depth, bool *out) {
    static const char *const names[] = {"<", "<=", ">", ">="};
    if (depth > JINJA_MAX_VALUE_DEPTH)
        return too_deep(st);
    if (!ib_jinja_spend(st, 1))
        return false;
    if (a.type == J_UNDEF || b.type == J_UNDEF)
        return ib_jinja_raise_undef(st, a.type == J_UNDEF ? a.as.undef : b.as.undef);
    if (ib_jinja_is_number(a) && ib_jinja_is_number(b)) {
        *out = holds(op, compare_numbers(a, b));
        return true;
    }
    if (a.type == J_STR && b.type == J_STR) {
        *out = holds(op, compare_text(a.as.s, b.as.s));
        return ib_jinja_spend(st, a.as.s->n / 128);
    }
    if (a.type == b.type && (a.type == J_LIST || a.type == J_TUPLE))
        return compare_items(st, op, a.as.l, b.as.l, depth, out);
    return ib_jinja_raise(st, "TypeError", "'%s' not supported between instances of '%s' and '%s'",
                          names[op], ib_jinja_type_name(a), ib_jinja_type_name(b));
}

static uint64_t mix(uint64_t h, uint64_t v) {
    h ^= v + 0x9e3779b97f4a7c15u + (h << 6) + (h >> 2);
    return h * 0xff51afd7ed558ccdu;
}

/* Equal values have equal hashes: 1, 1.0 and True too. */
bool ib_jinja_hash(jstate *st, jval v, int depth, uint64_t *out) {
    int64_t i = 0;
    if (depth > JINJA_MAX_VALUE_DEPTH)
        return too_deep(st);
    switch (v.type) {
    case J_STR:
        *out = ib_hash(v.as.s->p, v.as.s->n);
        return ib_jinja_spend(st, 1 + v.as.s->n / 128);
    case J_FLOAT:
        if (v.as.f >= -9.2e18 && v.as.f <= 9.2e18 && v.as.f == (double)(int64_t)v.as.f) {
            i = (int64_t)v.as.f;
            *out = mix(7, (uint64_t)i);
        } else {
            double f = v.as.f;
            *out = ib_hash(&f, sizeof f);
        }
        return true;
    case J_BOOL:
    case J_INT:
        (void)ib_jinja_as_int(v, &i);
        *out = mix(7, (uint64_t)i);
        return true;
    case J_TUPLE:
        *out = 11;
        for (size_t k = 0; k < v.as.l->n; k++) {
            uint64_t h;
            if (!ib_jinja_hash(st, v.as.l->items[k], depth + 1, &h) || !ib_jinja_spend(st, 1))
                return false;
            *out = mix(*out, h);
        }
        return true;
    case J_LIST:
    case J_DICT:
        return ib_jinja_raise(st, "TypeError", "unhashable type: '%s'", ib_jinja_type_name(v));
    case J_VIEW:
        if (v.as.view->kind != VIEW_VALUES)
            return ib_jinja_raise(st, "TypeError", "unhashable type: '%s'", ib_jinja_type_name(v));
        *out = 13;
        return true;
    case J_RANGE:
        *out = mix(17, (uint64_t)v.as.range->n);
        return true;
    default:
        *out = (uint64_t)v.type;
        return true;
    }
}

/* Offset of needle in hay, or SIZE_MAX. */
size_t ib_jinja_find_bytes(const char *hay, size_t n, const char *needle, size_t m) {
    if (m == 0)
        return 0;
    const char *p = hay, *end = hay + n;
    while ((size_t)(end - p) >= m) {
        p = memchr(p, needle[0], (size_t)(end - p) - m + 1);
        if (!p)
            return SIZE_MAX;
        if (memcmp(p, needle, m) == 0)
            return (size_t)(p - hay);
        p++;
    }
    return SIZE_MAX;
}

static bool range_contains(const jrange *r, jval item, bool *out) {
    int64_t i;
    *out = false;
    if (item.type == J_FLOAT) {
        if (item.as.f < -9e15 || item.as.f > 9e15 || item.as.f != floor(item.as.f))
            return true;
        i = (int64_t)item.as.f;
    } else if (!ib_jinja_as_int(item, &i)) {
        return true;
    }
    for (int64_t k = 0; k < r->n && !*out; k++)
        *out = r->start + k * r->step == i;
    return true;
}

static bool walk_contains(jstate *st, jval container, jval item, bool *out) {
    jiter it;
    jval v;
    bool done = false;
    *out = false;
    if (!ib_jinja_iterable(container))
        return ib_jinja_raise(st, "TypeError", "argument of type '%s' is not iterable",
                              ib_jinja_type_name(container));
    if (!ib_jinja_iterate(st, container, &it))
        return false;
    while (!*out) {
        if (!ib_jinja_next(st, &it, &v, &done))
            return false;
        if (done)
            return true;
        *out = ib_jinja_identical(v, item);
        if (!*out && !ib_jinja_equal(st, v, item, 0, out))
            return false;
    }
    return true;
}

bool ib_jinja_contains(jstate *st, jval container, jval item, bool *out) {
    jval unused;
    switch (container.type) {
    case J_STR:
        if (item.type != J_STR)
            return ib_jinja_raise(st, "TypeError",
                                  "'in <string>' requires string as left operand, not %s",
                                  ib_jinja_type_name(item));
        if (!ib_jinja_spend(st, 1 + container.as.s->n / 64))
            return false;
        *out = ib_jinja_find_bytes(container.as.s->p, container.as.s->n, item.as.s->p,
                                   item.as.s->n) != SIZE_MAX;
        return true;
    case J_DICT:
        return ib_jinja_dict_get(st, container.as.d, item, &unused, out);
    case J_VIEW:
        if (container.as.view->kind == VIEW_KEYS)
            return ib_jinja_dict_get(st, container.as.view->d, item, &unused, out);
        return walk_contains(st, container, item, out);
    case J_RANGE:
        return range_contains(container.as.range, item, out) && ib_jinja_spend(st, 1000);
    default:
        return walk_contains(st, container, item, out);
    }
}
