/* SPDX-License-Identifier: MIT
 * Calling things: argument matching, what each kind of value does when called, the global functions
 * of the environment, and the loop object of for loops. */
#include "text/jinja/ast.h"

#include <string.h>

bool ib_jinja_bind(jstate *st, const char *function, const jargs *args, const char *const *names,
                   size_t n_required, size_t n_names, jval *out) {
    char shown[IB_QUOTED];
    if (args->n > n_names)
        return ib_jinja_raise(st, "TypeError", "%s() takes at most %zu arguments (%zu given)",
                              function, n_names, args->n);
    for (size_t i = 0; i < n_names; i++)
        out[i] = i < args->n ? args->pos[i] : JMISSING;
    for (size_t k = 0; k < args->n_kw; k++) {
        size_t i = 0;
        while (i < n_names && !ib_str_is(args->kw[k].name, names[i]))
            i++;
        if (i == n_names)
            return ib_jinja_raise(st, "TypeError", "%s() got an unexpected keyword argument '%s'",
                                  function, ib_quote(args->kw[k].name, shown));
        if (out[i].type != J_MISSING)
            return ib_jinja_raise(st, "TypeError", "%s() got multiple values for argument '%s'",
                                  function, names[i]);
        out[i] = args->kw[k].value;
    }
    for (size_t i = 0; i < n_required; i++)
        if (out[i].type == J_MISSING)
            return ib_jinja_raise(st, "TypeError", "%s() missing required argument '%s'", function,
                                  names[i]);
    return true;
}

bool ib_jinja_no_keywords(jstate *st, const char *function, const jargs *args, size_t min,
                          size_t max) {
    if (args->n_kw)
        return ib_jinja_raise(st, "TypeError", "%s() takes no keyword arguments", function);
    if (args->n < min || args->n > max)
        return ib_jinja_raise(st, "TypeError", "%s expected %s %zu argument%s, got %zu", function,
                              args->n < min ? "at least" : "at most", args->n < min ? min : max,
                              (args->n < min ? min : max) == 1 ? "" : "s", args->n);
    return true;
}

/* --- global functions --- */

static bool g_range(jstate *st, jval self, const jargs *args, jval *out) {
    int64_t v[3] = {0, 0, 1};
    (void)self;
    if (!ib_jinja_no_keywords(st, "range", args, 1, 3))
        return false;
    for (size_t i = 0; i < args->n; i++) {
        if (!ib_jinja_as_int(args->pos[i], &v[args->n == 1 ? 1 : i]))
            return ib_jinja_raise(st, "TypeError",
                                  "'%s' object cannot be interpreted as an integer",
                                  ib_jinja_type_name(args->pos[i]));
    }
    if (v[2] == 0)
        return ib_jinja_raise(st, "ValueError", "range() arg 3 must not be zero");
    uint64_t span = 0, step = v[2] > 0 ? (uint64_t)v[2] : 0 - (uint64_t)v[2], n = 0;
    if (v[2] > 0 ? v[1] > v[0] : v[0] > v[1]) {
        span = v[2] > 0 ? (uint64_t)v[1] - (uint64_t)v[0] : (uint64_t)v[0] - (uint64_t)v[1];
        n = (span - 1) / step + 1;
    }
    if (n > JINJA_MAX_RANGE) {
        (void)ib_jinja_raise(st, "OverflowError",
                             "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).",
                             JINJA_MAX_RANGE);
        st->status = IB_E_RESOURCE;
        return false;
    }
    jrange *r = ib_jinja_alloc(st, sizeof *r);
    if (!r)
        return false;
    *r = (jrange){v[0], v[1], v[2], (int64_t)n};
    *out = (jval){.type = J_RANGE, .as.range = r};
    return true;
}

static bool dict_from_pairs(jstate *st, jdict *d, jval v) {
    jiter it;
    bool done = false;
    if (!ib_jinja_iterate(st, v, &it))
        return false;
    for (;;) {
        jval item;
        jlist *pair;
        if (!ib_jinja_next(st, &it, &item, &done))
            return false;
        if (done)
            return true;
        if (!ib_jinja_iterable(item))
            return ib_jinja_raise(
                st, "TypeError", "cannot convert dictionary update sequence element to a sequence");
        if (!ib_jinja_to_list(st, item, &pair))
            return false;
        if (pair->n != 2)
            return ib_jinja_raise(
                st, "ValueError",
                "dictionary update sequence element has length %zu; 2 is required", pair->n);
        if (!ib_jinja_dict_set(st, d, pair->items[0], pair->items[1]))
            return false;
    }
}

static bool make_dict(jstate *st, const jargs *args, jdict **out) {
    jdict *d = *out = ib_jinja_dict_new(st, args->n_kw);
    if (!d)
        return false;
    if (args->n > 1)
        return ib_jinja_raise(st, "TypeError", "dict expected at most 1 argument, got %zu",
                              args->n);
    if (args->n == 1 && args->pos[0].type == J_DICT) {
        const jdict *from = args->pos[0].as.d;
        for (size_t i = 0; i < from->n; i++)
            if (!ib_jinja_dict_set(st, d, from->entries[i].key, from->entries[i].value))
                return false;
    } else if (args->n == 1 && !dict_from_pairs(st, d, args->pos[0])) {
        return false;
    }
    for (size_t i = 0; i < args->n_kw; i++)
        if (!ib_jinja_dict_set_str(st, d, args->kw[i].name, args->kw[i].value))
            return false;
    return true;
}

static bool g_dict(jstate *st, jval self, const jargs *args, jval *out) {
    jdict *d;
    (void)self;
    if (!make_dict(st, args, &d))
        return false;
    *out = JDICT(d);
    return true;
}

static bool g_namespace(jstate *st, jval self, const jargs *args, jval *out) {
    jdict *d;
    char shown[IB_QUOTED];
    (void)self;
    if (!make_dict(st, args, &d))
        return false;
    for (size_t i = 0; i < d->n; i++) {
        jval k = d->entries[i].key;
        if (k.type == J_STR && k.as.s->n && k.as.s->p[0] == '_')
            return ib_jinja_raise(
                st, "SecurityError",
                "Chat templates cannot store underscore-prefixed attributes on a namespace, but "
                "got '%s'. Please rename the attribute.",
                ib_quote((ib_str){k.as.s->p, k.as.s->n}, shown));
    }
    *out = (jval){.type = J_NS, .as.d = d};
    return true;
}

static bool g_cycler(jstate *st, jval self, const jargs *args, jval *out) {
    (void)self;
    if (args->n_kw)
        return ib_jinja_raise(st, "TypeError",
                              "Cycler.__init__() got an unexpected keyword argument");
    if (!args->n)
        return ib_jinja_raise(st, "RuntimeError", "at least one item has to be provided");
    jcycler *c = ib_jinja_alloc(st, sizeof *c);
    if (!c || (c->items = ib_jinja_list_new(st, args->n)) == NULL)
        return false;
    memcpy(c->items->items, args->pos, args->n * sizeof(jval));
    c->items->n = args->n;
    *out = (jval){.type = J_CYCLER, .as.cycler = c};
    return true;
}

static bool g_joiner(jstate *st, jval self, const jargs *args, jval *out) {
    static const char *const names[] = {"sep"};
    jval sep;
    (void)self;
    if (!ib_jinja_bind(st, "joiner", args, names, 0, 1, &sep))
        return false;
    if (sep.type == J_MISSING && !ib_jinja_strz(st, ", ", &sep))
        return false;
    if (!ib_jinja_to_str(st, sep, &sep))
        return false;
    jjoiner *j = ib_jinja_alloc(st, sizeof *j);
    if (!j)
        return false;
    *j = (jjoiner){sep.as.s, false};
    *out = (jval){.type = J_JOINER, .as.joiner = j};
    return true;
}

static bool g_raise(jstate *st, jval self, const jargs *args, jval *out) {
    static const char *const names[] = {"message"};
    jval message;
    (void)self;
    (void)out;
    if (!ib_jinja_bind(st, "raise_exception", args, names, 1, 1, &message) ||
        !ib_jinja_to_str(st, message, &message))
        return false;
    return ib_jinja_raise_text(st, "TemplateError", (ib_str){message.as.s->p, message.as.s->n});
}

static bool g_strftime(jstate *st, jval self, const jargs *args, jval *out) {
    static const char *const names[] = {"format"};
    jval format;
    (void)self;
    if (!ib_jinja_bind(st, "strftime_now", args, names, 1, 1, &format))
        return false;
    if (format.type != J_STR)
        return ib_jinja_raise(st, "TypeError", "strftime() argument 1 must be str, not %s",
                              ib_jinja_type_name(format));
    return ib_jinja_strftime(st, format.as.s, st->now, out);
}

static bool g_lipsum(jstate *st, jval self, const jargs *args, jval *out) {
    (void)self;
    (void)args;
    (void)out;
    (void)ib_jinja_raise(st, "TypeError",
                         "function 'lipsum' is not supported: it makes random text");
    ib_jinja_unsupported(st);
    return false;
}

static const jfunc globals[] = {
    {"range", g_range},           {"dict", g_dict},     {"namespace", g_namespace},
    {"cycler", g_cycler},         {"joiner", g_joiner}, {"raise_exception", g_raise},
    {"strftime_now", g_strftime}, {"lipsum", g_lipsum}, {NULL, NULL}};

bool ib_jinja_global(jstate *st, ib_str name, jval *out, bool *found) {
    (void)st;
    *found = false;
    for (const jfunc *g = globals; g->name; g++)
        if (ib_str_is(name, g->name)) {
            *out = (jval){.type = J_FUNC, .as.func = g};
            *found = true;
        }
    return true;
}

/* --- calling --- */

bool ib_jinja_callable(jval v) {
    return v.type == J_FUNC || v.type == J_METHOD || v.type == J_MACRO || v.type == J_LOOP ||
           v.type == J_JOINER || v.type == J_UNDEF;
}

static bool call_joiner(jstate *st, jjoiner *j, jval *out) {
    if (j->used) {
        *out = JSTR(j->separator);
        return true;
    }
    j->used = true;
    return ib_jinja_strz(st, "", out);
}

bool ib_jinja_call(jstate *st, jval callee, const jargs *args, jval *out) {
    if (!ib_jinja_spend(st, 1))
        return false;
    switch (callee.type) {
    case J_FUNC:
        return callee.as.func->call(st, JNONE, args, out);
    case J_METHOD:
        return callee.as.bound->func->call(st, callee.as.bound->self, args, out);
    case J_MACRO:
        return ib_jinja_call_macro(st, callee.as.macro, args, out);
    case J_LOOP:
        return ib_jinja_call_loop(st, callee.as.loop, args, out);
    case J_JOINER:
        return ib_jinja_no_keywords(st, "__call__", args, 0, 0) &&
               call_joiner(st, callee.as.joiner, out);
    case J_UNDEF:
        return ib_jinja_raise_undef(st, callee.as.undef);
    default:
        return ib_jinja_raise(st, "TypeError", "'%s' object is not callable",
                              ib_jinja_type_name(callee));
    }
}

/* --- the loop object --- */

static bool peek(jstate *st, jloop *l) {
    if (l->has_after || l->after_done)
        return true;
    bool done = false;
    if (!ib_jinja_next(st, &l->it, &l->after, &done))
        return false;
    l->has_after = !done;
    l->after_done = done;
    return true;
}

bool ib_jinja_loop_next(jstate *st, jloop *l, jval *out, bool *done) {
    if (!peek(st, l))
        return false;
    *done = !l->has_after;
    if (*done)
        return true;
    l->has_after = false;
    l->index0++;
    l->before = l->current;
    l->current = l->after;
    *out = l->current;
    return true;
}

bool ib_jinja_loop_length(jstate *st, jloop *l, int64_t *out) {
    if (l->length < 0 && ib_jinja_has_length(l->iterable) &&
        !ib_jinja_length(st, l->iterable, &l->length))
        return false;
    if (l->length < 0) { /* an iterator: what is left is read now, and walked from the list */
        jlist *rest = ib_jinja_list_new(st, 8);
        bool done = false;
        jval v;
        if (!rest)
            return false;
        for (;;) {
            if (!ib_jinja_next(st, &l->it, &v, &done))
                return false;
            if (done)
                break;
            if (!ib_jinja_list_add(st, rest, v))
                return false;
        }
        if (!ib_jinja_iterate(st, JLIST(rest), &l->it))
            return false;
        l->length = (int64_t)rest->n + l->index0 + 1 + l->has_after;
    }
    *out = l->length;
    return true;
}

static bool loop_cycle(jstate *st, jval self, const jargs *args, jval *out) {
    if (!args->n)
        return ib_jinja_raise(st, "TypeError", "no items for cycling given");
    if (args->n_kw)
        return ib_jinja_raise(st, "TypeError", "cycle() takes no keyword arguments");
    *out = args->pos[(size_t)self.as.loop->index0 % args->n];
    return true;
}

static bool loop_changed(jstate *st, jval self, const jargs *args, jval *out) {
    jlist *now = ib_jinja_list_new(st, args->n);
    bool same = false;
    if (!now)
        return false;
    if (args->n)
        memcpy(now->items, args->pos, args->n * sizeof(jval));
    now->n = args->n;
    jval v = JTUPLE(now);
    if (self.as.loop->changed.type != J_MISSING &&
        !ib_jinja_equal(st, self.as.loop->changed, v, 0, &same))
        return false;
    if (!same)
        self.as.loop->changed = v;
    *out = JBOOL(!same);
    return true;
}

static const jfunc loop_methods[] = {{"cycle", loop_cycle}, {"changed", loop_changed}};

static bool loop_neighbour(jstate *st, jloop *l, bool next, jval *out) {
    if (!next) {
        *out = l->before;
        return l->index0 > 0 || ib_jinja_undef_hint(st, "there is no previous item", out);
    }
    if (!peek(st, l))
        return false;
    *out = l->after;
    return l->has_after || ib_jinja_undef_hint(st, "there is no next item", out);
}

static bool loop_counts(jstate *st, jloop *l, ib_str name, jval *out, bool *found) {
    int64_t n;
    *found = true;
    if (ib_str_is(name, "length"))
        n = 0;
    else if (ib_str_is(name, "revindex"))
        n = l->index0;
    else if (ib_str_is(name, "revindex0"))
        n = l->index0 + 1;
    else
        return *found = false, true;
    int64_t length;
    if (!ib_jinja_loop_length(st, l, &length))
        return false;
    *out = JINT(length - n);
    return true;
}

bool ib_jinja_loop_attr(jstate *st, jloop *l, ib_str name, jval *out, bool *found) {
    *found = true;
    if (ib_str_is(name, "index"))
        return *out = JINT(l->index0 + 1), true;
    if (ib_str_is(name, "index0"))
        return *out = JINT(l->index0), true;
    if (ib_str_is(name, "first"))
        return *out = JBOOL(l->index0 == 0), true;
    if (ib_str_is(name, "last")) {
        if (!peek(st, l))
            return false;
        return *out = JBOOL(!l->has_after), true;
    }
    if (ib_str_is(name, "depth"))
        return *out = JINT(l->depth0 + 1), true;
    if (ib_str_is(name, "depth0"))
        return *out = JINT(l->depth0), true;
    if (ib_str_is(name, "previtem") || ib_str_is(name, "nextitem"))
        return loop_neighbour(st, l, name.ptr[0] == 'n', out);
    for (size_t i = 0; i < 2; i++)
        if (ib_str_is(name, loop_methods[i].name)) {
            jbound *b = ib_jinja_alloc(st, sizeof *b);
            if (!b)
                return false;
            *b = (jbound){{.type = J_LOOP, .as.loop = l}, &loop_methods[i]};
            return *out = (jval){.type = J_METHOD, .as.bound = b}, true;
        }
    return loop_counts(st, l, name, out, found);
}
