/* SPDX-License-Identifier: MIT
 * Names -> slots, filters and tests -> functions. Jinja2 decides at compile time which variable a
 * name means, scope by scope; the rules (and their corners: a name that is stored in a scope
 * without being known outside starts out undefined there, even when the context has it) are kept
 * here: load   a name nobody outside knows is looked up in the context when the scope is entered;
 *   store  a name that an outer scope knows starts as a copy of it, else undefined;
 *   if     no scope; names first stored in a branch are looked up instead of starting undefined. */
#include "text/jinja/ast.h"

#include <string.h>

/* --- scopes --- */

static jscope *new_scope(jcompiler *c, jscope *parent) {
    jscope *s = ib_jinja_compile_alloc(c, sizeof *s);
    if (!s)
        return NULL;
    s->parent = parent;
    s->loop_slot = s->caller_slot = s->kwargs_slot = s->varargs_slot = -1;
    ib_map_init(&s->by_name);
    s->next = c->scopes;
    c->scopes = s;
    return s;
}

static bool no_memory(jcompiler *c) {
    return ib_jinja_syntax(c, IB_E_RESOURCE, "MemoryError", 0,
                           "out of memory compiling the template");
}

static int own_slot(const jscope *s, ib_str name) {
    uint64_t v;
    return ib_map_get(&s->by_name, name, &v) ? (int)v : -1;
}

static bool find(const jscope *s, ib_str name, int *up, int *slot) {
    for (*up = 0; s; s = s->parent, ++*up)
        if ((*slot = own_slot(s, name)) >= 0)
            return true;
    return false;
}

static int define(jcompiler *c, jscope *s, ib_str name, jload load) {
    int slot = own_slot(s, name);
    if (slot < 0) {
        if (s->n == s->cap) {
            size_t cap = s->cap ? s->cap * 2 : 8;
            jslot *grown = ib_jinja_compile_alloc(c, cap * sizeof *grown);
            if (!grown)
                return -1;
            if (s->n)
                memcpy(grown, s->slots, s->n * sizeof *grown);
            s->slots = grown;
            s->cap = cap;
        }
        if (ib_map_put(&s->by_name, name, s->n, NULL, NULL) != IB_OK) {
            (void)no_memory(c);
            return -1;
        }
        slot = (int)s->n++;
        s->slots[slot] = (jslot){.name = name};
    }
    s->slots[slot].load = load;
    return slot;
}

static bool mark_stored(jcompiler *c, jscope *s, int slot) {
    if (s->slots[slot].stored)
        return true;
    s->slots[slot].stored = true;
    if (s->n_stored == s->cap_stored) {
        size_t cap = s->cap_stored ? s->cap_stored * 2 : 8;
        size_t *grown = ib_jinja_compile_alloc(c, cap * sizeof *grown);
        if (!grown)
            return false;
        if (s->n_stored)
            memcpy(grown, s->stored, s->n_stored * sizeof *grown);
        s->stored = grown;
        s->cap_stored = cap;
    }
    s->stored[s->n_stored++] = (size_t)slot;
    return true;
}

static bool alias_or(jcompiler *c, jscope *s, ib_str name, jload otherwise) {
    int up, from, slot = define(c, s, name, otherwise);
    if (slot < 0)
        return false;
    if (s->parent && find(s->parent, name, &up, &from)) {
        s->slots[slot].load = LOAD_ALIAS;
        s->slots[slot].up = up + 1;
        s->slots[slot].from = from;
    }
    return true;
}

static bool store(jcompiler *c, jscope *s, ib_str name) {
    if (own_slot(s, name) < 0 && !alias_or(c, s, name, LOAD_UNDEF))
        return false;
    return mark_stored(c, s, own_slot(s, name));
}

static bool declare(jcompiler *c, jscope *s, ib_str name) {
    int slot = define(c, s, name, LOAD_PARAM);
    return slot >= 0 && mark_stored(c, s, slot);
}

static bool load(jcompiler *c, jscope *s, ib_str name) {
    int up, slot;
    return find(s, name, &up, &slot) || define(c, s, name, LOAD_RESOLVE) >= 0;
}

/* --- pass 1 over a scope: which names it has --- */

static bool analyze(jcompiler *c, jscope *s, const jnode *n);

static bool analyze_all(jcompiler *c, jscope *s, const jnodes *l) {
    for (size_t i = 0; i < l->n; i++)
        if (!analyze(c, s, l->at[i]))
            return false;
    return true;
}

static bool analyze_if(jcompiler *c, jscope *s, const jnode *n) {
    if (!analyze(c, s, n->a))
        return false;
    size_t before = s->n_stored;
    if (!analyze_all(c, s, &n->list) || !analyze_all(c, s, &n->list3) ||
        !analyze_all(c, s, &n->list2))
        return false;
    for (size_t i = before; i < s->n_stored; i++)
        if (!alias_or(c, s, s->slots[s->stored[i]].name, LOAD_RESOLVE))
            return false;
    return true;
}

static bool analyze(jcompiler *c, jscope *s, const jnode *n) {
    if (!n)
        return true;
    switch (n->kind) {
    case N_NAME:
        if (n->ctx == CTX_PARAM)
            return declare(c, s, n->name);
        return n->ctx == CTX_STORE ? store(c, s, n->name) : load(c, s, n->name);
    case N_NSREF:
        return load(c, s, n->name);
    case N_IF:
        return analyze_if(c, s, n);
    case N_MACRO:
        return store(c, s, n->name);
    case N_SET:
        return analyze(c, s, n->b) && analyze(c, s, n->a);
    case N_FOR:
        return analyze(c, s, n->b);
    case N_CALLBLOCK:
        return analyze(c, s, n->b);
    case N_FILTERBLOCK:
    case N_SETBLOCK:
        return analyze(c, s, n->a);
    case N_WITH:
        return analyze_all(c, s, &n->list2);
    case N_GENERATION:
    case N_BLOCK:
        return true;
    default:
        return analyze(c, s, n->a) && analyze(c, s, n->b) && analyze_all(c, s, &n->list) &&
               analyze_all(c, s, &n->list2) && analyze_all(c, s, &n->list3) && analyze(c, s, n->c);
    }
}

static bool declare_target(jcompiler *c, jscope *s, const jnode *target) {
    if (target->kind == N_NAME)
        return declare(c, s, target->name);
    for (size_t i = 0; i < target->list.n; i++)
        if (!declare_target(c, s, target->list.at[i]))
            return false;
    return true;
}

/* Does a load of name come before any store of it? Blocks are not looked into. */
static void uses(const jnode *n, const char *name, bool *used, bool *stored);

static void uses_all(const jnodes *l, const char *name, bool *used, bool *stored) {
    for (size_t i = 0; i < l->n && !*used && !*stored; i++)
        uses(l->at[i], name, used, stored);
}

static void uses(const jnode *n, const char *name, bool *used, bool *stored) {
    if (!n || *used || *stored || n->kind == N_BLOCK)
        return;
    if (n->kind == N_NAME && ib_str_is(n->name, name)) {
        *(n->ctx == CTX_LOAD ? used : stored) = true;
        return;
    }
    uses(n->a, name, used, stored);
    uses(n->b, name, used, stored);
    uses_all(&n->list, name, used, stored);
    uses_all(&n->list2, name, used, stored);
    uses_all(&n->list3, name, used, stored);
    uses(n->c, name, used, stored);
}

static bool body_uses(const jnodes *body, const char *name) {
    bool used = false, stored = false;
    uses_all(body, name, &used, &stored);
    return used;
}

/* --- pass 2: nodes get their slots, inner scopes are built --- */

typedef struct walk {
    jcompiler *c;
    jscope *s;
    bool toplevel, soft; /* soft: inside an if or a conditional, where a filter may be unknown */
} walk;

static bool resolve(walk w, jnode *n);

static bool resolve_all(walk w, jnodes *l) {
    for (size_t i = 0; i < l->n; i++)
        if (!resolve(w, l->at[i]))
            return false;
    return true;
}

static bool resolve_children(walk w, jnode *n) {
    return resolve(w, n->a) && resolve(w, n->b) && resolve_all(w, &n->list) &&
           resolve_all(w, &n->list2) && resolve_all(w, &n->list3) && resolve(w, n->c);
}

/* Frames of s and of all around it may outlive their turn. */
static void capture(jscope *s) {
    for (; s; s = s->parent)
        s->captured = true;
}

static walk inside(walk w, jscope *s) {
    return (walk){w.c, s, false, false};
}

static bool resolve_name(walk w, jnode *n) {
    if (find(w.s, n->name, &n->up, &n->slot))
        return true;
    /* only names in the filters of a set block: Python's compiler fails here, we look them up */
    n->up = 0;
    n->slot = define(w.c, w.s, n->name, LOAD_RESOLVE);
    return n->slot >= 0;
}

static bool resolve_filter(walk w, jnode *n) {
    bool filter = n->kind == N_FILTER;
    char shown[IB_QUOTED];
    n->func = filter ? ib_jinja_find_filter(n->name) : ib_jinja_find_test(n->name);
    if (!n->func && filter && ib_jinja_filter_known_unsupported(n->name))
        return ib_jinja_syntax(w.c, IB_E_UNSUPPORTED, "TemplateAssertionError", n->line,
                               "filter '%s' is not supported", ib_quote(n->name, shown));
    if (!n->func && !w.soft)
        return ib_jinja_syntax(w.c, IB_E_UNSUPPORTED, "TemplateAssertionError", n->line,
                               "No %s named '%s'.", filter ? "filter" : "test",
                               ib_quote(n->name, shown));
    return resolve_children(w, n);
}

static bool stores_loop(jcompiler *c, const jnode *n) {
    if (!n)
        return false;
    if (n->kind == N_NAME && n->ctx == CTX_STORE && ib_str_is(n->name, "loop"))
        return !ib_jinja_syntax(c, IB_E_FORMAT, "TemplateAssertionError", n->line,
                                "Can't assign to special loop variable in for-loop target");
    if (n->kind == N_NAME || n->kind == N_CONST || n->kind == N_BLOCK)
        return false;
    bool found = stores_loop(c, n->a) || stores_loop(c, n->b) || stores_loop(c, n->c);
    for (size_t i = 0; !found && i < n->list.n; i++)
        found = stores_loop(c, n->list.at[i]);
    for (size_t i = 0; !found && i < n->list2.n; i++)
        found = stores_loop(c, n->list2.at[i]);
    for (size_t i = 0; !found && i < n->list3.n; i++)
        found = stores_loop(c, n->list3.at[i]);
    return found;
}

/* The target once more, for the scope of the loop's own if. */
static jnode *copy_target(jcompiler *c, const jnode *target) {
    jnode *n = ib_jinja_node(c, target->kind, target->line);
    if (!n)
        return NULL;
    n->ctx = target->ctx;
    n->name = target->name;
    for (size_t i = 0; i < target->list.n; i++) {
        jnode *item = copy_target(c, target->list.at[i]);
        if (!item || !ib_jinja_nodes_add(c, &n->list, item))
            return NULL;
    }
    return n;
}

static bool resolve_loop_test(walk w, jnode *n) {
    jcompiler *c = w.c;
    jnode *target = copy_target(c, n->a);
    n->scope3 = new_scope(c, w.s);
    return target && n->scope3 && ib_jinja_nodes_add(c, &n->list3, target) &&
           declare_target(c, n->scope3, target) && analyze(c, n->scope3, n->c) &&
           resolve(inside(w, n->scope3), target) && resolve(inside(w, n->scope3), n->c);
}

static bool resolve_for(walk w, jnode *n) {
    jcompiler *c = w.c;
    jscope *body = n->scope = new_scope(c, w.s);
    if (n->flag || n->c)
        capture(w.s);
    if (!body || stores_loop(c, n->a))
        return false;
    if (n->flag || body_uses(&n->list, "loop")) {
        if (!declare(c, body, IB_STR("loop")))
            return false;
        body->loop_slot = own_slot(body, IB_STR("loop"));
    }
    if (!declare_target(c, body, n->a) || !analyze_all(c, body, &n->list))
        return false;
    if (n->list2.n &&
        ((n->scope2 = new_scope(c, w.s)) == NULL || !analyze_all(c, n->scope2, &n->list2)))
        return false;
    walk in = inside(w, body);
    if (!resolve(w, n->b) || !resolve(in, n->a) || (n->c && !resolve_loop_test(w, n)))
        return false;
    c->loops++;
    bool ok = resolve_all(in, &n->list);
    c->loops--;
    return ok && (!n->list2.n || resolve_all(inside(w, n->scope2), &n->list2));
}

static bool special(jcompiler *c, jscope *s, const char *name, int *slot) {
    if (!declare(c, s, ib_str_of(name)))
        return false;
    *slot = own_slot(s, ib_str_of(name));
    return true;
}

static int param_index(const jnode *n, const char *name) {
    for (size_t i = 0; i < n->list.n; i++)
        if (ib_str_is(n->list.at[i]->name, name))
            return (int)i;
    return -1;
}

/* The inside of a macro, a call block or a generation block. */
static bool resolve_macro(walk w, jnode *n) {
    jcompiler *c = w.c;
    jscope *s = n->scope = new_scope(c, w.s);
    capture(w.s);
    if (!s || !analyze_all(c, s, &n->list) || !analyze_all(c, s, &n->list2) ||
        !analyze_all(c, s, &n->list3))
        return false;
    int caller = param_index(n, "caller");
    n->flag = body_uses(&n->list3, "caller");
    if (n->flag && caller >= 0 && (size_t)caller + n->list2.n < n->list.n)
        return ib_jinja_syntax(
            c, IB_E_FORMAT, "TemplateAssertionError", n->line,
            "When defining macros or call blocks the special \"caller\" argument must be "
            "omitted or be given a default.");
    if (n->flag && caller < 0 && !special(c, s, "caller", &s->caller_slot))
        return false;
    if (param_index(n, "kwargs") < 0 && body_uses(&n->list3, "kwargs") &&
        !special(c, s, "kwargs", &s->kwargs_slot))
        return false;
    if (param_index(n, "varargs") < 0 && body_uses(&n->list3, "varargs") &&
        !special(c, s, "varargs", &s->varargs_slot))
        return false;
    walk in = inside(w, s);
    int loops = c->loops;
    c->loops = 0;
    bool ok = resolve_all(in, &n->list) && resolve_all(in, &n->list2) && resolve_all(in, &n->list3);
    c->loops = loops;
    return ok;
}

static bool resolve_block(walk w, jnode *n) {
    jcompiler *c = w.c;
    jscope *s = n->scope = new_scope(c, NULL);
    if (!s)
        return false;
    if (body_uses(&n->list, "self") && !special(c, s, "self", &s->kwargs_slot))
        return false;
    if (body_uses(&n->list, "super") && !special(c, s, "super", &s->varargs_slot))
        return false;
    int loops = c->loops;
    c->loops = 0;
    bool ok = analyze_all(c, s, &n->list) && resolve_all(inside(w, s), &n->list);
    c->loops = loops;
    return ok;
}

static bool resolve_scoped(walk w, jnode *n, jnodes *body) {
    n->scope = new_scope(w.c, w.s);
    return n->scope && analyze_all(w.c, n->scope, body);
}

static bool resolve_with(walk w, jnode *n) {
    n->scope = new_scope(w.c, w.s);
    if (!n->scope)
        return false;
    for (size_t i = 0; i < n->list.n; i++)
        if (!declare_target(w.c, n->scope, n->list.at[i]))
            return false;
    walk in = inside(w, n->scope);
    return analyze_all(w.c, n->scope, &n->list3) && resolve_all(w, &n->list2) &&
           resolve_all(in, &n->list) && resolve_all(in, &n->list3);
}

static bool resolve_statement(walk w, jnode *n) {
    walk soft = w;
    soft.soft = true;
    n->toplevel = w.toplevel;
    switch (n->kind) {
    case N_FOR:
        return resolve_for(w, n);
    case N_IF:
        return resolve_children(soft, n);
    case N_MACRO:
        return find(w.s, n->name, &n->up, &n->slot) && resolve_macro(w, n);
    case N_CALLBLOCK:
        return resolve_macro(w, n) && resolve(w, n->b);
    case N_GENERATION:
        return resolve_macro(w, n);
    case N_BLOCK:
        return resolve_block(w, n);
    case N_FILTERBLOCK:
        if (!resolve_scoped(w, n, &n->list) || !analyze(w.c, n->scope, n->a))
            return false;
        return resolve(inside(w, n->scope), n->a) && resolve_all(inside(w, n->scope), &n->list);
    case N_SETBLOCK:
        return resolve_scoped(w, n, &n->list) && resolve_all(inside(w, n->scope), &n->list) &&
               resolve(w, n->a) && resolve(inside(w, n->scope), n->b);
    case N_WITH:
        return resolve_with(w, n);
    case N_BREAK:
    case N_CONTINUE:
        if (w.c->loops)
            return true;
        return ib_jinja_syntax(w.c, IB_E_FORMAT, "SyntaxError", n->line, "'%s' outside loop",
                               n->kind == N_BREAK ? "break" : "continue");
    default:
        return resolve_children(w, n);
    }
}

static bool resolve(walk w, jnode *n) {
    if (!n)
        return true;
    walk soft = w;
    soft.soft = true;
    switch (n->kind) {
    case N_CONST:
        return true;
    case N_NAME:
    case N_NSREF:
        return resolve_name(w, n);
    case N_FILTER:
    case N_TEST:
        return resolve_filter(w, n);
    case N_COND:
        return resolve_children(soft, n);
    default:
        return n->kind >= N_OUTPUT ? resolve_statement(w, n) : resolve_children(w, n);
    }
}

bool ib_jinja_resolve(jcompiler *c) {
    jscope *root = c->t->root = new_scope(c, NULL);
    if (root && body_uses(&c->t->body, "self") && !special(c, root, "self", &root->kwargs_slot))
        return false;
    if (!root || !analyze_all(c, root, &c->t->body))
        return false;
    return resolve_all((walk){c, root, true, false}, &c->t->body);
}
