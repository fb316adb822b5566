/* SPDX-License-Identifier: MIT
 * The two doors of the interpreter: source -> compiled template, template + context -> text. Also
 * the small tools that all of the compiler uses. */
#include "text/jinja/jinja.h"

#include "text/jinja/ast.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SOURCE = 1 << 20 };

void ib_jinja_problem_clear(ib_jinja_problem *p) {
    if (!p)
        return;
    free(p->message);
    *p = (ib_jinja_problem){.message = NULL};
}

static ib_status report(ib_status status, const char *name, const ib_jinja_problem *p,
                        ib_error *err) {
    char shown[IB_QUOTED], message[IB_QUOTED * 3], *to = message;
    const char *from = p->message ? p->message : "";
    /* ib_quote shows 80 bytes; messages get three pieces of it */
    for (int i = 0; i < 3 && *from; i++) {
        char part[IB_QUOTED];
        size_t n = strlen(from), take = n > 70 ? 70 : n;
        while (take > 1 && take < n && ((unsigned char)from[take] & 0xC0) == 0x80)
            take--;
        (void)ib_quote((ib_str){from, take}, part);
        size_t len = strlen(part);
        memcpy(to, part, len);
        to += len;
        from += take;
    }
    *to = 0;
    return ib_fail(err, status, "%s in chat template %s at line %d: %s; fix: %s", p->type,
                   ib_quotez(name && *name ? name : "(unnamed)", shown), p->line, message,
                   status == IB_E_UNSUPPORTED ? "use a template without it"
                   : status == IB_E_RESOURCE  ? "use a template that needs less"
                                              : "correct the template or the messages");
}

void ib_jinja_set_syntax(jcompiler *c, ib_status status, const char *type, int line,
                         const char *fmt, ...) {
    char text[640];
    va_list ap;
    if (c->status != IB_OK)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->problem->line = line;
    (void)snprintf(c->problem->type, sizeof c->problem->type, "%s", type);
    c->problem->message = ib_strdup(text);
    c->status = c->problem->message ? status : IB_E_RESOURCE;
}

void *ib_jinja_compile_alloc(jcompiler *c, size_t n) {
    ib_error err;
    void *p = ib_arena_alloc(&c->t->arena, n, &err);
    if (!p)
        (void)ib_jinja_syntax(c, IB_E_RESOURCE, "MemoryError", 0,
                              "out of memory compiling the template");
    return p;
}

jnode *ib_jinja_node(jcompiler *c, jkind kind, int line) {
    jnode *n = ib_jinja_compile_alloc(c, sizeof *n);
    if (!n)
        return NULL;
    n->kind = kind;
    n->line = line;
    n->height = 1;
    return n;
}

bool ib_jinja_nodes_add(jcompiler *c, jnodes *l, jnode *n) {
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;
        jnode **grown = ib_jinja_compile_alloc(c, cap * sizeof(jnode *));
        if (!grown)
            return false;
        for (size_t i = 0; i < l->n; i++)
            grown[i] = l->at[i];
        l->at = grown;
        l->cap = cap;
    }
    l->at[l->n++] = n;
    return true;
}

bool ib_jinja_const_str(jcompiler *c, ib_str text, jval *out) {
    jstr *s = ib_jinja_compile_alloc(c, sizeof *s);
    if (!s)
        return false;
    *s = (jstr){.p = text.ptr, .n = text.len, .chars = ib_jinja_count_chars(text.ptr, text.len)};
    *out = JSTR(s);
    return true;
}

/* CRLF and CR become LF; one LF at the end goes. */
static bool normalize(jcompiler *c, ib_str source) {
    char *to = ib_jinja_compile_alloc(c, source.len + 1);
    if (!to)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < source.len; i++) {
        char ch = source.ptr[i];
        if (ch == '\r') {
            ch = '\n';
            if (i + 1 < source.len && source.ptr[i + 1] == '\n')
                i++;
        }
        to[n++] = ch;
    }
    if (n && to[n - 1] == '\n')
        n--;
    c->t->source = (ib_str){to, n};
    return true;
}

static bool compile(jcompiler *c, ib_str source) {
    if (source.len > MAX_SOURCE)
        return ib_jinja_syntax(c, IB_E_RESOURCE, "MemoryError", 0,
                               "template of %zu bytes, the cap is %d", source.len, MAX_SOURCE);
    size_t bad = source.len ? ib_utf8_valid_prefix(source.ptr, source.len) : 0;
    if (bad != source.len)
        return ib_jinja_syntax(c, IB_E_FORMAT, "UnicodeDecodeError", 0, "invalid UTF-8 at byte %zu",
                               bad);
    ib_str name = ib_arena_str(&c->t->arena, ib_str_of(c->name ? c->name : ""), c->err);
    if (!name.ptr)
        return false;
    c->t->name = name.ptr;
    return normalize(c, source) && ib_jinja_parse(c) && ib_jinja_resolve(c);
}

ib_status ib_jinja_compile(ib_jinja **out, ib_str source, const char *name,
                           ib_jinja_problem *problem, ib_error *err) {
    ib_jinja_problem own = {.message = NULL};
    *out = NULL;
    ib_jinja *t = calloc(1, sizeof *t);
    if (!t)
        return ib_fail_memory(err, sizeof *t, "a template");
    ib_arena_init(&t->arena, (size_t)1 << 30);
    jcompiler *c = calloc(1, sizeof *c);
    if (!c) {
        free(t);
        return ib_fail_memory(err, sizeof *c, "a template compiler");
    }
    c->t = t;
    c->name = name;
    c->err = err;
    c->problem = problem ? problem : &own;
    ib_jinja_problem_clear(c->problem);
    bool ok = compile(c, source);
    for (jscope *s = c->scopes; s; s = s->next)
        ib_map_clear(&s->by_name);
    ib_status status = ok ? IB_OK : c->status == IB_OK ? IB_E_RESOURCE : c->status;
    if (!ok) {
        status = report(status, name, c->problem, err);
        ib_jinja_free(t);
    } else {
        *out = t;
    }
    ib_jinja_problem_clear(&own);
    free(c);
    return status;
}

void ib_jinja_free(ib_jinja *t) {
    if (!t)
        return;
    ib_arena_clear(&t->arena);
    free(t);
}

static bool render(jstate *st, const json_t *context) {
    const char *key;
    size_t key_len;
    json_t *v;
    st->context = ib_jinja_dict_new(st, 16);
    st->exported = ib_jinja_dict_new(st, 8);
    if (!st->context || !st->exported)
        return false;
    json_object_keylen_foreach((json_t *)(uintptr_t)context, key, key_len, v) {
        jval value;
        if (!ib_jinja_from_json(st, v, 0, &value) ||
            !ib_jinja_dict_set_str(st, st->context, (ib_str){key, key_len}, value))
            return false;
    }
    jframe *root = ib_jinja_frame(st, st->template->root, NULL);
    if (root && st->template->root->kwargs_slot >= 0)
        root->slots[st->template->root->kwargs_slot] = (jval){.type = J_SELF};
    return root && ib_jinja_exec(st, root, &st->template->body) != FLOW_ERROR;
}

ib_status ib_jinja_render(const ib_jinja *t, const json_t *context, const struct tm *now,
                          const ib_jinja_limits *limits, ib_buf *out, ib_jinja_problem *problem,
                          ib_error *err) {
    ib_jinja_limits lim = limits ? *limits : (ib_jinja_limits){0, 0, 0};
    jstate *st = calloc(1, sizeof *st);
    if (problem)
        ib_jinja_problem_clear(problem);
    if (!st)
        return ib_fail_memory(err, sizeof *st, "a rendering");
    ib_arena_init(&st->arena, lim.memory_bytes ? lim.memory_bytes : (size_t)256 << 20);
    st->steps_left = lim.steps ? lim.steps : 10000000;
    st->output_limit = lim.output_bytes ? lim.output_bytes : (size_t)16 << 20;
    st->output_base = out->len;
    st->out = out;
    st->now = now;
    st->template = t;
    bool ok = render(st, context);
    ib_status status = ok ? IB_OK : st->status == IB_OK ? IB_E_INTERNAL : st->status;
    if (!ok) {
        out->len = st->output_base;
        if (out->ptr)
            out->ptr[out->len] = 0;
        status = report(status, t->name, &st->problem, err);
    }
    ib_arena_clear(&st->arena);
    if (problem && !ok)
        *problem = st->problem;
    else
        ib_jinja_problem_clear(&st->problem);
    free(st);
    return status;
}
