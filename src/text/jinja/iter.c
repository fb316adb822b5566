/* SPDX-License-Identifier: MIT
 * Walking values. jiter is both the cursor of a for loop (on the C stack) and, on the heap, the
 * iterator value that lazy filters hand to templates: that one is read once, by whoever comes
 * first. */
#include "text/jinja/value.h"

#include <string.h>

static bool next_item(jstate *st, jiter *it, jval *out, bool *done) {
    (void)st;
    const jlist *l = it->source.as.l;
    *done = it->pos >= l->n;
    if (!*done)
        *out = l->items[it->pos++];
    return true;
}

static bool next_char(jstate *st, jiter *it, jval *out, bool *done) {
    const jstr *s = it->source.as.s;
    size_t len;
    *done = it->pos >= s->n;
    if (*done)
        return true;
    (void)ib_jinja_char_at(s->p + it->pos, &len);
    it->pos += len;
    return ib_jinja_str_borrow(st, s->p + it->pos - len, len, out);
}

static bool next_key(jstate *st, jiter *it, jval *out, bool *done) {
    (void)st;
    const jdict *d = it->source.as.d;
    *done = it->pos >= d->n;
    if (!*done)
        *out = d->entries[it->pos++].key;
    return true;
}

static bool next_view(jstate *st, jiter *it, jval *out, bool *done) {
    const jview *v = it->source.as.view;
    *done = it->pos >= v->d->n;
    if (*done)
        return true;
    const jentry *e = &v->d->entries[it->pos++];
    if (v->kind == VIEW_ITEMS)
        return ib_jinja_pair(st, e->key, e->value, out);
    *out = v->kind == VIEW_KEYS ? e->key : e->value;
    return true;
}

static bool next_number(jstate *st, jiter *it, jval *out, bool *done) {
    (void)st;
    const jrange *r = it->source.as.range;
    *done = (int64_t)it->pos >= r->n;
    if (!*done)
        *out = JINT(r->start + (int64_t)it->pos++ * r->step);
    return true;
}

static bool next_none(jstate *st, jiter *it, jval *out, bool *done) {
    (void)st;
    (void)it;
    (void)out;
    *done = true;
    return true;
}

static bool next_of_iter(jstate *st, jiter *it, jval *out, bool *done) {
    return ib_jinja_next(st, it->source.as.iter, out, done);
}

static jnext_fn walker(jval v) {
    switch (v.type) {
    case J_LIST:
    case J_TUPLE:
        return next_item;
    case J_STR:
        return next_char;
    case J_DICT:
        return next_key;
    case J_VIEW:
        return next_view;
    case J_RANGE:
        return next_number;
    case J_ITER:
        return next_of_iter;
    case J_UNDEF:
        return next_none;
    default:
        return NULL;
    }
}

bool ib_jinja_iterable(jval v) {
    return walker(v) != NULL;
}

bool ib_jinja_iterate(jstate *st, jval v, jiter *it) {
    jnext_fn next = walker(v);
    if (!next)
        return ib_jinja_raise(st, "TypeError", "'%s' object is not iterable",
                              ib_jinja_type_name(v));
    *it = (jiter){.next = next, .type_name = "iterator", .source = v};
    return true;
}

bool ib_jinja_next(jstate *st, jiter *it, jval *out, bool *done) {
    if (it->finished) {
        *done = true;
        return true;
    }
    if (!ib_jinja_spend(st, 1) || !it->next(st, it, out, done)) {
        it->finished = true;
        return false;
    }
    it->finished = *done;
    return true;
}

bool ib_jinja_to_list(jstate *st, jval v, jlist **out) {
    jiter it;
    bool done = false;
    int64_t n = 0;
    if (!ib_jinja_iterate(st, v, &it))
        return false;
    if (ib_jinja_has_length(v))
        (void)ib_jinja_length(st, v, &n);
    jlist *l = ib_jinja_list_new(st, (size_t)n);
    while (l) {
        jval item;
        if (!ib_jinja_next(st, &it, &item, &done))
            return false;
        if (done)
            break;
        if (!ib_jinja_list_add(st, l, item))
            return false;
    }
    *out = l;
    return l != NULL;
}

/* An iterator value over source; how deep lazy iterators stand on each other is bounded here. */
bool ib_jinja_iter_new(jstate *st, jnext_fn next, jval source, void *closure, jval *out) {
    jiter *it = ib_jinja_alloc(st, sizeof *it), *inner = ib_jinja_alloc(st, sizeof *inner);
    if (!it || !inner || !ib_jinja_iterate(st, source, inner))
        return false;
    *it = (jiter){.next = next,
                  .type_name = "generator",
                  .source = source,
                  .inner = inner,
                  .closure = closure};
    it->depth = source.type == J_ITER ? source.as.iter->depth + 1 : 0;
    if (it->depth > JINJA_MAX_CALLS)
        return ib_jinja_raise_limit(st, "filters chained deeper than %d", JINJA_MAX_CALLS);
    *out = (jval){.type = J_ITER, .as.iter = it};
    return true;
}

bool ib_jinja_iter_of_list(jstate *st, jlist *l, const char *type_name, jval *out) {
    jiter *it = ib_jinja_alloc(st, sizeof *it);
    if (!it)
        return false;
    *it = (jiter){.next = next_item, .type_name = type_name, .source = JLIST(l)};
    *out = (jval){.type = J_ITER, .as.iter = it};
    return true;
}
