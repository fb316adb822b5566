/* SPDX-License-Identifier: MIT
 * Statements: text goes to state->out, assignments to frames. Loops, macros and blocks. */
#include "text/jinja/ast.h"

#include <string.h>

/* --- frames --- */

static bool resolve_in_context(jstate *st, ib_str name, jval *out) {
    bool found;
    const jval *v = ib_jinja_dict_find(st->exported, name);
    if (!v)
        v = ib_jinja_dict_find(st->context, name);
    if (v) {
        *out = *v;
        return true;
    }
    *out = JMISSING;
    return ib_jinja_global(st, name, out, &found);
}

static bool init_frame(jstate *st, jframe *f) {
    const jscope *scope = f->scope;
    for (size_t i = 0; i < scope->n; i++) {
        const jslot *s = &scope->slots[i];
        f->slots[i] = JMISSING;
        if (s->load == LOAD_RESOLVE && !resolve_in_context(st, s->name, &f->slots[i]))
            return false;
        if (s->load == LOAD_ALIAS)
            f->slots[i] = *ib_jinja_slot(f, s->up, s->from);
    }
    return true;
}

jframe *ib_jinja_frame(jstate *st, const jscope *scope, jframe *parent) {
    jframe *f = ib_jinja_alloc(st, sizeof *f + scope->n * sizeof(jval));
    if (!f)
        return NULL;
    f->parent = parent;
    f->scope = scope;
    return init_frame(st, f) ? f : NULL;
}

/* A frame for the next turn of a loop: the last one again, unless something may still hold it. */
static jframe *next_frame(jstate *st, const jscope *scope, jframe *parent, jframe *last) {
    if (!last || scope->captured)
        return ib_jinja_frame(st, scope, parent);
    return init_frame(st, last) ? last : NULL;
}

/* --- assignment --- */

static bool assign_tuple(jstate *st, jframe *f, const jnode *target, jval v) {
    jiter it;
    bool done = false;
    if (!ib_jinja_iterable(v))
        return ib_jinja_raise(st, "TypeError", "cannot unpack non-iterable %s object",
                              ib_jinja_type_name(v));
    if (!ib_jinja_iterate(st, v, &it))
        return false;
    jlist *items = ib_jinja_list_new(st, target->list.n + 1);
    if (!items)
        return false;
    while (items->n <= target->list.n) {
        if (!ib_jinja_next(st, &it, &items->items[items->n], &done))
            return false;
        if (done)
            break;
        items->n++;
    }
    if (items->n < target->list.n)
        return ib_jinja_raise(st, "ValueError",
                              "not enough values to unpack (expected %zu, got %zu)", target->list.n,
                              items->n);
    if (items->n > target->list.n)
        return ib_jinja_raise(st, "ValueError", "too many values to unpack (expected %zu)",
                              target->list.n);
    for (size_t i = 0; i < items->n; i++)
        if (!ib_jinja_assign(st, f, target->list.at[i], items->items[i]))
            return false;
    return true;
}

static bool assign_namespace(jstate *st, jframe *f, const jnode *target, jval v) {
    jval ns = *ib_jinja_slot(f, target->up, target->slot);
    char shown[IB_QUOTED];
    if (ns.type != J_NS)
        return ib_jinja_raise(st, "TemplateRuntimeError",
                              "cannot assign attribute on non-namespace object");
    if (ib_str_starts(target->name2, "_"))
        return ib_jinja_raise(
            st, "SecurityError",
            "Chat templates cannot store underscore-prefixed attributes on a namespace, but "
            "got '%s'. Please rename the attribute.",
            ib_quote(target->name2, shown));
    return ib_jinja_dict_set_str(st, ns.as.d, target->name2, v);
}

bool ib_jinja_assign(jstate *st, jframe *f, const jnode *target, jval v) {
    if (target->kind == N_TUPLE)
        return assign_tuple(st, f, target, v);
    if (target->kind == N_NSREF)
        return assign_namespace(st, f, target, v);
    *ib_jinja_slot(f, target->up, target->slot) = v;
    return true;
}

/* Names assigned at the top level are what blocks see. */
static bool export_names(jstate *st, jframe *f, const jnode *target) {
    if (st->template->blocks.n == 0 || target->kind == N_NSREF)
        return true;
    if (target->kind == N_NAME)
        return ib_jinja_dict_set_str(st, st->exported, target->name,
                                     *ib_jinja_slot(f, target->up, target->slot));
    for (size_t i = 0; i < target->list.n; i++)
        if (!export_names(st, f, target->list.at[i]))
            return false;
    return true;
}

static bool find_nsref(jstate *st, jframe *f, const jnode *target) {
    if (target->kind == N_NSREF && ib_jinja_slot(f, target->up, target->slot)->type != J_NS)
        return ib_jinja_raise(st, "TemplateRuntimeError",
                              "cannot assign attribute on non-namespace object");
    for (size_t i = 0; target->kind == N_TUPLE && i < target->list.n; i++)
        if (!find_nsref(st, f, target->list.at[i]))
            return false;
    return true;
}

static jflow exec_set(jstate *st, jframe *f, const jnode *n) {
    jval v;
    bool ok = find_nsref(st, f, n->a) && ib_jinja_eval(st, f, n->b, &v) &&
              ib_jinja_assign(st, f, n->a, v) && (!n->toplevel || export_names(st, f, n->a));
    return ok ? FLOW_NEXT : FLOW_ERROR;
}

/* --- bodies whose text is caught --- */

/* Runs body into a string. Other flows than FLOW_NEXT drop the text. */
static jflow capture(jstate *st, jframe *f, const jnodes *body, jval *out) {
    size_t mark = st->out->len;
    jflow flow = ib_jinja_exec(st, f, body);
    if (flow != FLOW_NEXT) {
        if (flow != FLOW_ERROR)
            st->out->len = mark;
        return flow;
    }
    return ib_jinja_take_output(st, mark, out) ? FLOW_NEXT : FLOW_ERROR;
}

static jflow exec_set_block(jstate *st, jframe *f, const jnode *n) {
    jval text;
    jframe *in = ib_jinja_frame(st, n->scope, f);
    jflow flow = in ? capture(st, in, &n->list, &text) : FLOW_ERROR;
    if (flow != FLOW_NEXT)
        return flow;
    bool ok = (!n->b || ib_jinja_eval_filters(st, in, n->b, text, &text)) &&
              ib_jinja_assign(st, f, n->a, text) && (!n->toplevel || export_names(st, f, n->a));
    return ok ? FLOW_NEXT : FLOW_ERROR;
}

static jflow exec_filter_block(jstate *st, jframe *f, const jnode *n) {
    jval text;
    jframe *in = ib_jinja_frame(st, n->scope, f);
    jflow flow = in ? capture(st, in, &n->list, &text) : FLOW_ERROR;
    if (flow != FLOW_NEXT)
        return flow;
    bool ok = ib_jinja_eval_filters(st, in, n->a, text, &text) && ib_jinja_emit_value(st, text);
    return ok ? FLOW_NEXT : FLOW_ERROR;
}

/* --- loops --- */

static bool next_passing(jstate *st, jiter *it, jval *out, bool *done) {
    void **closure = it->closure;
    jframe *outer = closure[0];
    const jnode *n = closure[1];
    for (;;) {
        jval test;
        if (!ib_jinja_next(st, it->inner, out, done) || *done)
            return *done;
        jframe *f = ib_jinja_frame(st, n->scope3, outer);
        if (!f || !ib_jinja_assign(st, f, n->list3.at[0], *out) ||
            !ib_jinja_eval(st, f, n->c, &test))
            return false;
        if (ib_jinja_truth(test))
            return true;
    }
}

static bool loop_source(jstate *st, jframe *f, const jnode *n, jval iterable, jloop *l) {
    *l = (jloop){.iterable = iterable,
                 .index0 = -1,
                 .length = -1,
                 .after = JMISSING,
                 .current = JMISSING,
                 .before = JMISSING,
                 .changed = JMISSING};
    if (n->flag) {
        l->node = n;
        l->outer = f;
    }
    if (n->c) {
        void **closure = ib_jinja_array(st, 2, sizeof(void *));
        if (!closure)
            return false;
        closure[0] = f;
        closure[1] = (void *)(uintptr_t)n;
        if (!ib_jinja_iter_new(st, next_passing, iterable, closure, &l->iterable))
            return false;
    }
    return ib_jinja_iterate(st, l->iterable, &l->it);
}

static jflow run_loop(jstate *st, jframe *f, const jnode *n, jval iterable, int64_t depth0) {
    bool done = false, completed = false;
    jval item;
    jloop *l = ib_jinja_alloc(st, sizeof *l);
    jframe *in = NULL;
    if (!l || !loop_source(st, f, n, iterable, l))
        return FLOW_ERROR;
    l->depth0 = depth0;
    for (;;) {
        st->line = n->line;
        if (!ib_jinja_loop_next(st, l, &item, &done))
            return FLOW_ERROR;
        if (done)
            break;
        in = next_frame(st, n->scope, f, in);
        if (!in || !ib_jinja_assign(st, in, n->a, item))
            return FLOW_ERROR;
        if (n->scope->loop_slot >= 0)
            in->slots[n->scope->loop_slot] = (jval){.type = J_LOOP, .as.loop = l};
        jflow flow = ib_jinja_exec(st, in, &n->list);
        if (flow == FLOW_ERROR)
            return flow;
        if (flow == FLOW_BREAK)
            break;
        /* continue skips what tells the else branch that an item was there, as in Jinja2 */
        completed |= flow == FLOW_NEXT;
    }
    if (completed || !n->list2.n)
        return FLOW_NEXT;
    jframe *otherwise = ib_jinja_frame(st, n->scope2, f);
    return otherwise ? ib_jinja_exec(st, otherwise, &n->list2) : FLOW_ERROR;
}

static jflow exec_for(jstate *st, jframe *f, const jnode *n) {
    jval iterable;
    if (!ib_jinja_eval(st, f, n->b, &iterable))
        return FLOW_ERROR;
    return run_loop(st, f, n, iterable, 0);
}

static bool enter_call(jstate *st) {
    if (st->call_depth >= JINJA_MAX_CALLS)
        return ib_jinja_raise_limit(st, "more than %d calls inside each other", JINJA_MAX_CALLS);
    st->call_depth++;
    return true;
}

bool ib_jinja_call_loop(jstate *st, jloop *l, const jargs *args, jval *out) {
    static const char *const names[] = {"iterable"};
    jval iterable;
    size_t mark = st->out->len;
    if (!ib_jinja_bind(st, "__call__", args, names, 1, 1, &iterable))
        return false;
    if (!l->node)
        return ib_jinja_raise(
            st, "TypeError", "The loop must have the 'recursive' marker to be called recursively.");
    if (!enter_call(st))
        return false;
    jflow flow = run_loop(st, l->outer, l->node, iterable, l->depth0 + 1);
    st->call_depth--;
    return flow != FLOW_ERROR && ib_jinja_take_output(st, mark, out);
}

/* --- macros --- */

static const jval *keyword(const jargs *args, ib_str name) {
    for (size_t i = 0; i < args->n_kw; i++)
        if (ib_str_eq(args->kw[i].name, name))
            return &args->kw[i].value;
    return NULL;
}

static bool is_param(const jnode *n, ib_str name, size_t from) {
    for (size_t i = from; i < n->list.n; i++)
        if (ib_str_eq(n->list.at[i]->name, name))
            return true;
    return false;
}

static bool bind_rest(jstate *st, const jnode *n, const jargs *args, jframe *f, const char *name) {
    const jscope *s = n->scope;
    jdict *rest = ib_jinja_dict_new(st, 4);
    if (!rest)
        return false;
    for (size_t i = 0; i < args->n_kw; i++) {
        ib_str key = args->kw[i].name;
        bool caller = ib_str_is(key, "caller");
        char shown[IB_QUOTED];
        if (is_param(n, key, args->n) || (caller && s->caller_slot >= 0))
            continue;
        if (s->kwargs_slot >= 0) {
            if (!ib_jinja_dict_set_str(st, rest, key, args->kw[i].value))
                return false;
            continue;
        }
        return ib_jinja_raise(st, "TypeError", "macro '%s' takes no keyword argument '%s'", name,
                              ib_quote(key, shown));
    }
    if (s->kwargs_slot >= 0)
        f->slots[s->kwargs_slot] = JDICT(rest);
    size_t extra = args->n > n->list.n ? args->n - n->list.n : 0;
    if (s->varargs_slot < 0)
        return !extra ||
               ib_jinja_raise(st, "TypeError", "macro '%s' takes not more than %zu argument(s)",
                              name, n->list.n);
    jlist *more = ib_jinja_list_new(st, extra);
    if (!more)
        return false;
    for (size_t i = 0; i < extra; i++)
        more->items[i] = args->pos[n->list.n + i];
    more->n = extra;
    f->slots[s->varargs_slot] = JTUPLE(more);
    return true;
}

static bool bind_params(jstate *st, const jnode *n, const jargs *args, jframe *f) {
    size_t first_default = n->list.n - n->list2.n;
    for (size_t i = 0; i < n->list.n; i++) {
        const jnode *p = n->list.at[i];
        const jval *kw = i < args->n ? &args->pos[i] : keyword(args, p->name);
        if (kw)
            f->slots[p->slot] = *kw;
    }
    for (size_t i = 0; i < n->list.n; i++) {
        const jnode *p = n->list.at[i];
        jval *slot = &f->slots[p->slot];
        char text[IB_QUOTED + 40], shown[IB_QUOTED];
        if (slot->type != J_MISSING)
            continue;
        if (i >= first_default) {
            jval v;
            if (!ib_jinja_eval(st, f, n->list2.at[i - first_default], &v))
                return false;
            *slot = v;
            continue;
        }
        (void)snprintf(text, sizeof text, "parameter '%s' was not provided",
                       ib_quote(p->name, shown));
        if (!ib_jinja_undef_hint(st, text, slot))
            return false;
    }
    return true;
}

bool ib_jinja_call_macro(jstate *st, const jmacro *m, const jargs *args, jval *out) {
    const jnode *n = m->node;
    char shown[IB_QUOTED];
    const char *name = n->kind == N_MACRO ? ib_quote(n->name, shown) : "anonymous";
    jframe *f = ib_jinja_frame(st, n->scope, m->frame);
    if (!f || !bind_rest(st, n, args, f, name))
        return false;
    if (n->scope->caller_slot >= 0) {
        const jval *caller = keyword(args, IB_STR("caller"));
        if (caller && caller->type != J_NONE)
            f->slots[n->scope->caller_slot] = *caller;
        else if (!ib_jinja_undef_hint(st, "No caller defined", &f->slots[n->scope->caller_slot]))
            return false;
    }
    if (!enter_call(st))
        return false;
    bool ok = bind_params(st, n, args, f) && capture(st, f, &n->list3, out) == FLOW_NEXT;
    st->call_depth--;
    return ok;
}

static bool make_macro(jstate *st, jframe *f, const jnode *n, jval *out) {
    jmacro *m = ib_jinja_alloc(st, sizeof *m);
    if (!m)
        return false;
    *m = (jmacro){n, f};
    *out = (jval){.type = J_MACRO, .as.macro = m};
    return true;
}

static jflow exec_macro(jstate *st, jframe *f, const jnode *n) {
    jval m;
    if (!make_macro(st, f, n, &m))
        return FLOW_ERROR;
    *ib_jinja_slot(f, n->up, n->slot) = m;
    if (n->toplevel && st->template->blocks.n &&
        !ib_jinja_dict_set_str(st, st->exported, n->name, m))
        return FLOW_ERROR;
    return FLOW_NEXT;
}

static jflow exec_call_block(jstate *st, jframe *f, const jnode *n) {
    jval caller, v;
    if (!make_macro(st, f, n, &caller))
        return FLOW_ERROR;
    if (n->kind == N_CALLBLOCK)
        return ib_jinja_eval_call(st, f, n->b, &caller, &v) && ib_jinja_emit_value(st, v)
                   ? FLOW_NEXT
                   : FLOW_ERROR;
    jargs none = {.n = 0};
    return ib_jinja_call_macro(st, caller.as.macro, &none, &v) && ib_jinja_emit_value(st, v)
               ? FLOW_NEXT
               : FLOW_ERROR;
}

/* --- blocks --- */

static bool block_body(jstate *st, const jnode *n) {
    jframe *in = ib_jinja_frame(st, n->scope, NULL);
    if (!in)
        return false;
    if (n->scope->kwargs_slot >= 0)
        in->slots[n->scope->kwargs_slot] = (jval){.type = J_SELF};
    if (n->scope->varargs_slot >= 0) {
        char text[IB_QUOTED + 40], shown[IB_QUOTED];
        (void)snprintf(text, sizeof text, "there is no parent block called '%s'.",
                       ib_quote(n->name, shown));
        if (!ib_jinja_undef_hint(st, text, &in->slots[n->scope->varargs_slot]))
            return false;
    }
    if (!enter_call(st))
        return false;
    jflow flow = ib_jinja_exec(st, in, &n->list);
    st->call_depth--;
    return flow != FLOW_ERROR;
}

bool ib_jinja_call_block(jstate *st, const jnode *n, jval *out) {
    size_t mark = st->out->len;
    return block_body(st, n) && ib_jinja_take_output(st, mark, out);
}

static bool export_frames(jstate *st, jframe *f) {
    if (f->parent && !export_frames(st, f->parent))
        return false;
    for (size_t i = 0; i < f->scope->n; i++)
        if (f->scope->slots[i].stored && f->slots[i].type != J_MISSING &&
            !ib_jinja_dict_set_str(st, st->exported, f->scope->slots[i].name, f->slots[i]))
            return false;
    return true;
}

static jflow exec_block(jstate *st, jframe *f, const jnode *n) {
    jdict *outer = st->exported;
    char shown[IB_QUOTED];
    if (n->op) {
        (void)ib_jinja_raise(st, "TemplateRuntimeError", "Required block '%s' not found",
                             ib_quote(n->name, shown));
        return FLOW_ERROR;
    }
    if (n->flag) {
        st->exported = ib_jinja_dict_new(st, 8);
        for (size_t i = 0; st->exported && i < outer->n; i++)
            if (!ib_jinja_dict_set(st, st->exported, outer->entries[i].key,
                                   outer->entries[i].value))
                return FLOW_ERROR;
        if (!st->exported || !export_frames(st, f))
            return FLOW_ERROR;
    }
    bool ok = block_body(st, n);
    st->exported = outer;
    return ok ? FLOW_NEXT : FLOW_ERROR;
}

/* --- the rest --- */

static jflow exec_if(jstate *st, jframe *f, const jnode *n) {
    jval test;
    if (!ib_jinja_eval(st, f, n->a, &test))
        return FLOW_ERROR;
    if (ib_jinja_truth(test))
        return ib_jinja_exec(st, f, &n->list);
    for (size_t i = 0; i < n->list3.n; i++) {
        const jnode *other = n->list3.at[i];
        st->line = other->line;
        if (!ib_jinja_eval(st, f, other->a, &test))
            return FLOW_ERROR;
        if (ib_jinja_truth(test))
            return ib_jinja_exec(st, f, &other->list);
    }
    return ib_jinja_exec(st, f, &n->list2);
}

static jflow exec_with(jstate *st, jframe *f, const jnode *n) {
    jframe *in = ib_jinja_frame(st, n->scope, f);
    if (!in)
        return FLOW_ERROR;
    for (size_t i = 0; i < n->list.n; i++) {
        jval v;
        if (!ib_jinja_eval(st, f, n->list2.at[i], &v) || !ib_jinja_assign(st, in, n->list.at[i], v))
            return FLOW_ERROR;
    }
    return ib_jinja_exec(st, in, &n->list3);
}

static jflow exec_output(jstate *st, jframe *f, const jnode *n) {
    for (size_t i = 0; i < n->list.n; i++) {
        jval v;
        st->line = n->list.at[i]->line;
        if (!ib_jinja_eval(st, f, n->list.at[i], &v) || !ib_jinja_emit_value(st, v))
            return FLOW_ERROR;
    }
    return FLOW_NEXT;
}

static jflow exec_node(jstate *st, jframe *f, const jnode *n) {
    switch (n->kind) {
    case N_OUTPUT:
        return exec_output(st, f, n);
    case N_FOR:
        return exec_for(st, f, n);
    case N_IF:
        return exec_if(st, f, n);
    case N_MACRO:
        return exec_macro(st, f, n);
    case N_CALLBLOCK:
    case N_GENERATION:
        return exec_call_block(st, f, n);
    case N_FILTERBLOCK:
        return exec_filter_block(st, f, n);
    case N_SET:
        return exec_set(st, f, n);
    case N_SETBLOCK:
        return exec_set_block(st, f, n);
    case N_WITH:
        return exec_with(st, f, n);
    case N_BLOCK:
        return exec_block(st, f, n);
    case N_BREAK:
        return FLOW_BREAK;
    case N_CONTINUE:
        return FLOW_CONTINUE;
    default:
        return FLOW_NEXT;
    }
}

jflow ib_jinja_exec(jstate *st, jframe *f, const jnodes *body) {
    jflow flow = FLOW_NEXT;
    if (++st->depth > JINJA_MAX_DEPTH) {
        (void)ib_jinja_raise_limit(st, "the template recurses too deep");
        return FLOW_ERROR;
    }
    for (size_t i = 0; i < body->n && flow == FLOW_NEXT; i++) {
        st->line = body->at[i]->line;
        if (!ib_jinja_spend(st, 1))
            return FLOW_ERROR;
        flow = exec_node(st, f, body->at[i]);
    }
    st->depth--;
    return flow;
}
