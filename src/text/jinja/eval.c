/* SPDX-License-Identifier: MIT
 * Expression trees -> values. */
#include "text/jinja/ast.h"

#include <string.h>

jval *ib_jinja_slot(jframe *f, int up, int slot) {
    while (up-- > 0)
        f = f->parent;
    return &f->slots[slot];
}

static bool eval_name(jstate *st, jframe *f, const jnode *n, jval *out) {
    *out = *ib_jinja_slot(f, n->up, n->slot);
    return out->type != J_MISSING || ib_jinja_undef_name(st, n->name, out);
}

static bool eval_list(jstate *st, jframe *f, const jnodes *nodes, jlist **out) {
    jlist *l = ib_jinja_list_new(st, nodes->n);
    *out = l;
    if (!l)
        return false;
    for (size_t i = 0; i < nodes->n; i++)
        if (!ib_jinja_eval(st, f, nodes->at[i], &l->items[i]))
            return false;
    l->n = nodes->n;
    return true;
}

static bool eval_dict(jstate *st, jframe *f, const jnode *n, jval *out) {
    jdict *d = ib_jinja_dict_new(st, n->list.n / 2);
    if (!d)
        return false;
    for (size_t i = 0; i + 1 < n->list.n; i += 2) {
        jval k, v;
        if (!ib_jinja_eval(st, f, n->list.at[i], &k) ||
            !ib_jinja_eval(st, f, n->list.at[i + 1], &v) || !ib_jinja_dict_set(st, d, k, v))
            return false;
    }
    *out = JDICT(d);
    return true;
}

/* --- calls --- */

static bool add_star_args(jstate *st, jval v, jlist *pos) {
    jlist *more;
    if (!ib_jinja_iterable(v))
        return ib_jinja_raise(st, "TypeError", "argument after * must be an iterable, not %s",
                              ib_jinja_type_name(v));
    if (!ib_jinja_to_list(st, v, &more))
        return false;
    for (size_t i = 0; i < more->n; i++)
        if (!ib_jinja_list_add(st, pos, more->items[i]))
            return false;
    return true;
}

static bool add_star_kwargs(jstate *st, jval v, jargs *args) {
    if (v.type != J_DICT)
        return ib_jinja_raise(st, "TypeError", "argument after ** must be a mapping, not %s",
                              ib_jinja_type_name(v));
    const jdict *d = v.as.d;
    jkeyword *kw = ib_jinja_array(st, args->n_kw + d->n, sizeof *kw);
    if (!kw)
        return false;
    if (args->n_kw)
        memcpy(kw, args->kw, args->n_kw * sizeof *kw);
    for (size_t i = 0; i < d->n; i++) {
        if (d->entries[i].key.type != J_STR)
            return ib_jinja_raise(st, "TypeError", "keywords must be strings");
        const jstr *s = d->entries[i].key.as.s;
        for (size_t k = 0; k < args->n_kw; k++)
            if (ib_str_eq(kw[k].name, (ib_str){s->p, s->n}))
                return ib_jinja_raise(st, "TypeError", "got multiple values for keyword argument");
        kw[args->n_kw + i] = (jkeyword){{s->p, s->n}, d->entries[i].value};
    }
    args->kw = kw;
    args->n_kw += d->n;
    return true;
}

static bool eval_args(jstate *st, jframe *f, const jnode *n, const jval *caller, jargs *args) {
    jlist *pos;
    jval v;
    *args = (jargs){.n = 0};
    if (!n->list.n && !n->list2.n && !n->c && !caller && (n->kind == N_TEST || !n->b))
        return true;
    if (!eval_list(st, f, &n->list, &pos))
        return false;
    if (n->list2.n || caller) {
        args->kw = ib_jinja_array(st, n->list2.n + 1, sizeof *args->kw);
        if (!args->kw)
            return false;
        for (size_t i = 0; i < n->list2.n; i++) {
            args->kw[i].name = n->list2.at[i]->name;
            if (!ib_jinja_eval(st, f, n->list2.at[i]->a, &args->kw[i].value))
                return false;
        }
        args->n_kw = n->list2.n;
        if (caller)
            args->kw[args->n_kw++] = (jkeyword){IB_STR("caller"), *caller};
    }
    if (n->b && (!ib_jinja_eval(st, f, n->b, &v) || !add_star_args(st, v, pos)))
        return false;
    args->pos = pos->items;
    args->n = pos->n;
    return !n->c || (ib_jinja_eval(st, f, n->c, &v) && add_star_kwargs(st, v, args));
}

bool ib_jinja_eval_call(jstate *st, jframe *f, const jnode *n, const jval *caller, jval *out) {
    jval callee;
    jargs args;
    if (!ib_jinja_eval(st, f, n->a, &callee) || !eval_args(st, f, n, caller, &args))
        return false;
    st->line = n->line;
    return ib_jinja_call(st, callee, &args, out);
}

/* captured stands for the text of a block where n->a is NULL. */
bool ib_jinja_eval_filters(jstate *st, jframe *f, const jnode *n, jval captured, jval *out) {
    jval input = captured;
    jargs args;
    char shown[IB_QUOTED];
    if (n->a && n->a->kind == N_FILTER) {
        if (!ib_jinja_eval_filters(st, f, n->a, captured, &input))
            return false;
    } else if (n->a && !ib_jinja_eval(st, f, n->a, &input)) {
        return false;
    }
    if (!eval_args(st, f, n, NULL, &args) || !ib_jinja_spend(st, 1))
        return false;
    st->line = n->line;
    if (n->func)
        return n->func->call(st, input, &args, out);
    (void)ib_jinja_raise(st, "TemplateRuntimeError", "No filter named '%s' found.",
                         ib_quote(n->name, shown));
    ib_jinja_unsupported(st);
    return false;
}

static bool eval_test(jstate *st, jframe *f, const jnode *n, jval *out) {
    jval input;
    jargs args;
    char shown[IB_QUOTED];
    if (!ib_jinja_eval(st, f, n->a, &input) || !eval_args(st, f, n, NULL, &args))
        return false;
    st->line = n->line;
    if (n->func)
        return n->func->call(st, input, &args, out);
    (void)ib_jinja_raise(st, "TemplateRuntimeError", "No test named '%s' found.",
                         ib_quote(n->name, shown));
    ib_jinja_unsupported(st);
    return false;
}

/* --- operators --- */

static bool compare_pair(jstate *st, int op, jval a, jval b, bool *out) {
    switch (op) {
    case CO_EQ:
    case CO_NE:
        if (!ib_jinja_equal(st, a, b, 0, out))
            return false;
        *out = *out == (op == CO_EQ);
        return true;
    case CO_IN:
    case CO_NOTIN:
        if (!ib_jinja_contains(st, b, a, out))
            return false;
        *out = *out == (op == CO_IN);
        return true;
    default:
        return ib_jinja_compare(st,
                                op == CO_LT   ? CMP_LT
                                : op == CO_LE ? CMP_LE
                                : op == CO_GT ? CMP_GT
                                              : CMP_GE,
                                a, b, 0, out);
    }
}

static bool eval_compare(jstate *st, jframe *f, const jnode *n, jval *out) {
    jval a, b;
    bool holds = true;
    if (!ib_jinja_eval(st, f, n->a, &a))
        return false;
    for (size_t i = 0; i < n->list.n && holds; i++) {
        if (!ib_jinja_eval(st, f, n->list.at[i]->a, &b) ||
            !compare_pair(st, n->list.at[i]->op, a, b, &holds))
            return false;
        a = b;
    }
    *out = JBOOL(holds);
    return true;
}

static bool eval_concat(jstate *st, jframe *f, const jnode *n, jval *out) {
    jval sum, v;
    if (!ib_jinja_strz(st, "", &sum))
        return false;
    for (size_t i = 0; i < n->list.n; i++) {
        if (!ib_jinja_eval(st, f, n->list.at[i], &v) || !ib_jinja_to_str(st, v, &v) ||
            !ib_jinja_str_concat(st, sum.as.s, v.as.s, &sum))
            return false;
    }
    if (sum.as.s->markup)
        return ib_jinja_markup(st, sum.as.s, false, out);
    *out = sum;
    return true;
}

static bool eval_item(jstate *st, jframe *f, const jnode *n, jval *out) {
    jval object, key, part[3] = {JNONE, JNONE, JNONE};
    if (!ib_jinja_eval(st, f, n->a, &object))
        return false;
    if (n->b->kind != N_SLICE)
        return ib_jinja_eval(st, f, n->b, &key) && ib_jinja_getitem(st, object, key, out);
    const jnode *nodes[3] = {n->b->a, n->b->b, n->b->c};
    for (int i = 0; i < 3; i++)
        if (nodes[i] && !ib_jinja_eval(st, f, nodes[i], &part[i]))
            return false;
    return ib_jinja_slice(st, object, part[0], part[1], part[2], out);
}

static bool eval_cond(jstate *st, jframe *f, const jnode *n, jval *out) {
    jval test;
    char text[120];
    if (!ib_jinja_eval(st, f, n->b, &test))
        return false;
    if (ib_jinja_truth(test))
        return ib_jinja_eval(st, f, n->a, out);
    if (n->c)
        return ib_jinja_eval(st, f, n->c, out);
    (void)snprintf(
        text, sizeof text,
        "the inline if-expression on line %d evaluated to false and no else section was defined.",
        n->line);
    return ib_jinja_undef_hint(st, text, out);
}

static bool eval_sequence(jstate *st, jframe *f, const jnode *n, jval *out) {
    jlist *l;
    if (!eval_list(st, f, &n->list, &l))
        return false;
    *out = n->kind == N_LIST ? JLIST(l) : JTUPLE(l);
    return true;
}

static bool eval_operator(jstate *st, jframe *f, const jnode *n, jval *out) {
    jval a, b;
    if (!ib_jinja_eval(st, f, n->a, &a))
        return false;
    switch (n->kind) {
    case N_BINARY:
        return ib_jinja_eval(st, f, n->b, &b) && ib_jinja_binary(st, (jop)n->op, a, b, out);
    case N_NEG:
    case N_POS:
        return ib_jinja_negate(st, a, n->kind == N_NEG, out);
    case N_NOT:
        *out = JBOOL(!ib_jinja_truth(a));
        return true;
    case N_GETATTR:
        return ib_jinja_getattr(st, a, n->name, out);
    default: /* N_AND, N_OR */
        if (ib_jinja_truth(a) != (n->kind == N_AND)) {
            *out = a;
            return true;
        }
        return ib_jinja_eval(st, f, n->b, out);
    }
}

static bool eval_node(jstate *st, jframe *f, const jnode *n, jval *out) {
    switch (n->kind) {
    case N_CONST:
        *out = n->value;
        return true;
    case N_NAME:
        return eval_name(st, f, n, out);
    case N_TUPLE:
    case N_LIST:
        return eval_sequence(st, f, n, out);
    case N_DICT:
        return eval_dict(st, f, n, out);
    case N_GETITEM:
        return eval_item(st, f, n, out);
    case N_CALL:
        return ib_jinja_eval_call(st, f, n, NULL, out);
    case N_FILTER:
        return ib_jinja_eval_filters(st, f, n, JNONE, out);
    case N_TEST:
        return eval_test(st, f, n, out);
    case N_COMPARE:
        return eval_compare(st, f, n, out);
    case N_CONCAT:
        return eval_concat(st, f, n, out);
    case N_COND:
        return eval_cond(st, f, n, out);
    default:
        return eval_operator(st, f, n, out);
    }
}

bool ib_jinja_eval(jstate *st, jframe *f, const jnode *n, jval *out) {
    if (!ib_jinja_spend(st, 1))
        return false;
    if (++st->depth > JINJA_MAX_DEPTH)
        return ib_jinja_raise_limit(st, "the template recurses too deep");
    bool ok = eval_node(st, f, n, out);
    st->depth--;
    return ok;
}
