/* SPDX-License-Identifier: MIT
 * Tokens -> statement trees, and the token stream that both halves of the parser read. The tags are
 * those of Jinja2 with loopcontrols and {% generation %}; tags that need a loader or a host
 * (include, import, from, extends, autoescape) are refused by name. */
#include "text/jinja/ast.h"

#include <string.h>

/* --- the token stream --- */

jtoken *ib_jinja_tok(jcompiler *c) {
    return &c->tokens[c->at];
}

jtoken *ib_jinja_look(jcompiler *c) {
    return &c->tokens[c->at + 1 < c->n_tokens ? c->at + 1 : c->at];
}

void ib_jinja_advance(jcompiler *c) {
    jtok t = ib_jinja_tok(c)->type;
    if (t != T_EOF && t != T_ERROR)
        c->at++;
}

bool ib_jinja_tok_is(jcompiler *c, jtok type) {
    return ib_jinja_tok(c)->type == type;
}

bool ib_jinja_tok_name(jcompiler *c, const char *name) {
    return ib_jinja_tok_is(c, T_NAME) && ib_str_is(ib_jinja_tok(c)->text, name);
}

bool ib_jinja_skip_name(jcompiler *c, const char *name) {
    if (!ib_jinja_tok_name(c, name))
        return false;
    ib_jinja_advance(c);
    return true;
}

static const char *type_text(jtok t) {
    static const char *const names[] = {"end of template",
                                        "template data / text",
                                        "begin of print statement",
                                        "end of print statement",
                                        "begin of statement block",
                                        "end of statement block",
                                        "name",
                                        "string",
                                        "integer",
                                        "float",
                                        "+",
                                        "-",
                                        "*",
                                        "/",
                                        "//",
                                        "%",
                                        "**",
                                        "~",
                                        "[",
                                        "]",
                                        "(",
                                        ")",
                                        "{",
                                        "}",
                                        "==",
                                        "!=",
                                        ">",
                                        ">=",
                                        "<",
                                        "<=",
                                        "=",
                                        ".",
                                        ":",
                                        "|",
                                        ",",
                                        ";",
                                        "error"};
    return names[t];
}

/* What a message calls the token. */
const char *ib_jinja_describe(const jtoken *t, char shown[IB_QUOTED]) {
    return t->type == T_NAME ? ib_quote(t->text, shown) : type_text(t->type);
}

static bool fail_here(jcompiler *c, const char *expected) {
    jtoken *t = ib_jinja_tok(c);
    char shown[IB_QUOTED];
    if (t->type == T_ERROR)
        return ib_jinja_syntax(c, IB_E_FORMAT, "TemplateSyntaxError", t->line, "%s", t->text.ptr);
    if (t->type == T_EOF)
        return ib_jinja_syntax(c, IB_E_FORMAT, "TemplateSyntaxError", t->line,
                               "unexpected end of template, expected '%s'.", expected);
    return ib_jinja_syntax(c, IB_E_FORMAT, "TemplateSyntaxError", t->line,
                           "expected token '%s', got '%s'", expected, ib_jinja_describe(t, shown));
}

bool ib_jinja_expect(jcompiler *c, jtok type) {
    if (!ib_jinja_tok_is(c, type))
        return fail_here(c, type_text(type));
    ib_jinja_advance(c);
    return true;
}

static bool expect_name(jcompiler *c, const char *name) {
    return ib_jinja_skip_name(c, name) || fail_here(c, name);
}

/* --- bodies --- */

/* Tags that only stand inside or at the end of a block. */
static bool is_inner_tag(ib_str name) {
    static const char *const inner[] = {"else", "elif"};
    bool known = ib_str_starts(name, "end");
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
        known |= ib_str_is(name, inner[i]);
    return known;
}

static bool unknown_tag(jcompiler *c, const jtoken *t, const char *const *also) {
    char shown[IB_QUOTED], open[IB_QUOTED], looking[160] = "";
    const char *const *ends = also ? also : c->n_ends ? c->ends[c->n_ends - 1] : NULL;
    bool nested = false;
    for (size_t i = 0; t && i < c->n_ends; i++)
        for (const char *const *e = c->ends[i]; *e; e++)
            nested |= ib_str_is(t->text, *e);
    for (size_t n = 0; ends && *ends; ends++)
        n += (size_t)snprintf(looking + n, sizeof looking - n, n ? " or '%s'" : "'%s'", *ends);
    char head[IB_QUOTED + 40] = "Unexpected end of template.", middle[280] = "", tail[160] = "";
    if (t)
        (void)snprintf(head, sizeof head, "Encountered unknown tag '%s'.",
                       ib_quote(t->text, shown));
    if (looking[0])
        (void)snprintf(middle, sizeof middle,
                       nested ? " You probably made a nesting mistake. Jinja is expecting this tag,"
                                " but currently looking for %s."
                              : " Jinja was looking for the following tags: %s.",
                       looking);
    if (c->n_open)
        (void)snprintf(tail, sizeof tail, " The innermost block that needs to be closed is '%s'.",
                       ib_quote(c->open[c->n_open - 1], open));
    /* a tag that this language does not know may be an extension's */
    return ib_jinja_syntax(
        c, t && !nested && !is_inner_tag(t->text) ? IB_E_UNSUPPORTED : IB_E_FORMAT,
        "TemplateSyntaxError", t ? t->line : ib_jinja_tok(c)->line, "%s%s%s", head, middle, tail);
}

static jnode *parse_statement(jcompiler *c);

static bool at_end_tag(jcompiler *c, const char *const *ends) {
    for (; ends && *ends; ends++)
        if (ib_jinja_tok_name(c, *ends))
            return true;
    return false;
}

static bool add_output(jcompiler *c, jnodes *body, jnode **output, jnode *item) {
    if (!*output) {
        *output = ib_jinja_node(c, N_OUTPUT, item->line);
        if (!*output || !ib_jinja_nodes_add(c, body, *output))
            return false;
    }
    return ib_jinja_nodes_add(c, &(*output)->list, item) && ib_jinja_fix_height(c, *output);
}

/* Reads text and tags up to one of ends (not read), or to the end of the template. */
static bool parse_body(jcompiler *c, const char *const *ends, jnodes *body) {
    jnode *output = NULL;
    if (ends) {
        if (!ib_jinja_enter(c, ib_jinja_tok(c)->line))
            return false;
        c->ends[c->n_ends++] = ends;
    }
    for (;;) {
        jtoken *t = ib_jinja_tok(c);
        jnode *n;
        if (t->type == T_EOF)
            break;
        if (t->type == T_DATA) {
            ib_jinja_advance(c);
            n = ib_jinja_node(c, N_CONST, t->line);
            if (!n || !ib_jinja_const_str(c, t->text, &n->value) || !ib_jinja_fix_height(c, n) ||
                !add_output(c, body, &output, n))
                return false;
        } else if (t->type == T_VAR_BEGIN) {
            ib_jinja_advance(c);
            n = ib_jinja_parse_tuple(c, true, NULL, false);
            if (!n || !add_output(c, body, &output, n) || !ib_jinja_expect(c, T_VAR_END))
                return false;
        } else if (t->type == T_BLOCK_BEGIN) {
            output = NULL;
            ib_jinja_advance(c);
            if (at_end_tag(c, ends))
                break;
            n = parse_statement(c);
            if (!n || !ib_jinja_nodes_add(c, body, n) || !ib_jinja_expect(c, T_BLOCK_END))
                return false;
        } else {
            return fail_here(c, "end of template");
        }
    }
    if (ends) {
        c->nesting--;
        c->n_ends--;
    }
    return true;
}

/* The rest of a tag and the body behind it, up to one of ends. */
static bool parse_block_body(jcompiler *c, const char *const *ends, bool drop, jnodes *body) {
    if (ib_jinja_tok_is(c, T_COLON))
        ib_jinja_advance(c);
    if (!ib_jinja_expect(c, T_BLOCK_END) || !parse_body(c, ends, body))
        return false;
    if (ib_jinja_tok_is(c, T_EOF))
        return unknown_tag(c, NULL, ends);
    if (drop)
        ib_jinja_advance(c);
    return true;
}

/* --- statements; each starts behind its own name --- */

static jnode *finish(jcompiler *c, jnode *n) {
    return n && ib_jinja_fix_height(c, n) ? n : NULL;
}

static jnode *parse_for(jcompiler *c, jnode *n) {
    static const char *const body_ends[] = {"endfor", "else", NULL}, *const else_ends[] = {"endfor",
                                                                                           NULL};
    n->kind = N_FOR;
    n->a = ib_jinja_parse_target(c, "in", false);
    if (!n->a || !expect_name(c, "in"))
        return NULL;
    n->b = ib_jinja_parse_tuple(c, false, "recursive", false);
    if (!n->b)
        return NULL;
    if (ib_jinja_skip_name(c, "if") && (n->c = ib_jinja_parse_expression(c, true)) == NULL)
        return NULL;
    n->flag = ib_jinja_skip_name(c, "recursive");
    if (!parse_block_body(c, body_ends, false, &n->list))
        return NULL;
    bool otherwise = ib_jinja_tok_name(c, "else");
    ib_jinja_advance(c);
    if (otherwise && !parse_block_body(c, else_ends, true, &n->list2))
        return NULL;
    return finish(c, n);
}

static jnode *parse_if(jcompiler *c, jnode *result) {
    static const char *const ends[] = {"elif", "else", "endif", NULL}, *const last[] = {"endif",
                                                                                        NULL};
    jnode *n = result;
    for (;;) {
        n->kind = N_IF;
        n->a = ib_jinja_parse_tuple(c, false, NULL, false);
        if (!n->a || !parse_block_body(c, ends, false, &n->list))
            return NULL;
        if (n != result && (!finish(c, n) || !ib_jinja_nodes_add(c, &result->list3, n)))
            return NULL;
        jtoken *t = ib_jinja_tok(c);
        ib_jinja_advance(c);
        if (ib_str_is(t->text, "elif")) {
            n = ib_jinja_node(c, N_IF, ib_jinja_tok(c)->line);
            if (!n)
                return NULL;
            continue;
        }
        if (ib_str_is(t->text, "else") && !parse_block_body(c, last, true, &result->list2))
            return NULL;
        return finish(c, result);
    }
}

static jnode *parse_param(jcompiler *c) {
    jtoken *t = ib_jinja_tok(c);
    jnode *n = ib_jinja_node(c, N_NAME, t->line);
    if (!n || !ib_jinja_expect(c, T_NAME))
        return NULL;
    n->name = t->text;
    n->ctx = CTX_PARAM;
    return finish(c, n);
}

static bool parse_signature(jcompiler *c, jnode *n) {
    if (!ib_jinja_expect(c, T_LPAREN))
        return false;
    while (!ib_jinja_tok_is(c, T_RPAREN)) {
        if (n->list.n && !ib_jinja_expect(c, T_COMMA))
            return false;
        jnode *p = parse_param(c);
        if (!p)
            return false;
        for (size_t i = 0; i < n->list.n; i++)
            if (ib_str_eq(n->list.at[i]->name, p->name))
                return ib_jinja_syntax(c, IB_E_FORMAT, "SyntaxError", p->line,
                                       "duplicate argument in a macro definition");
        if (ib_jinja_tok_is(c, T_ASSIGN)) {
            ib_jinja_advance(c);
            jnode *value = ib_jinja_parse_expression(c, true);
            if (!value || !ib_jinja_nodes_add(c, &n->list2, value))
                return false;
        } else if (n->list2.n) {
            return ib_jinja_syntax(c, IB_E_FORMAT, "TemplateSyntaxError", ib_jinja_tok(c)->line,
                                   "non-default argument follows default argument");
        }
        if (!ib_jinja_nodes_add(c, &n->list, p))
            return false;
    }
    return ib_jinja_expect(c, T_RPAREN);
}

static jnode *parse_macro(jcompiler *c, jnode *n) {
    static const char *const ends[] = {"endmacro", NULL};
    n->kind = N_MACRO;
    n->name = ib_jinja_tok(c)->text;
    if (!ib_jinja_expect(c, T_NAME) || !parse_signature(c, n) ||
        !parse_block_body(c, ends, true, &n->list3))
        return NULL;
    return finish(c, n);
}

static jnode *parse_call_block(jcompiler *c, jnode *n) {
    static const char *const ends[] = {"endcall", NULL};
    n->kind = N_CALLBLOCK;
    if (ib_jinja_tok_is(c, T_LPAREN) && !parse_signature(c, n))
        return NULL;
    n->b = ib_jinja_parse_expression(c, true);
    if (!n->b)
        return NULL;
    if (n->b->kind != N_CALL) {
        (void)ib_jinja_syntax(c, IB_E_FORMAT, "TemplateSyntaxError", n->line, "expected call");
        return NULL;
    }
    return parse_block_body(c, ends, true, &n->list3) ? finish(c, n) : NULL;
}

static jnode *parse_generation(jcompiler *c, jnode *n) {
    static const char *const ends[] = {"endgeneration", NULL};
    n->kind = N_GENERATION;
    return parse_block_body(c, ends, true, &n->list3) ? finish(c, n) : NULL;
}

static jnode *parse_filter_block(jcompiler *c, jnode *n) {
    static const char *const ends[] = {"endfilter", NULL};
    n->kind = N_FILTERBLOCK;
    n->a = ib_jinja_parse_filters(c, NULL, true);
    return n->a && parse_block_body(c, ends, true, &n->list) ? finish(c, n) : NULL;
}

static jnode *parse_set(jcompiler *c, jnode *n) {
    static const char *const ends[] = {"endset", NULL};
    n->kind = N_SET;
    n->a = ib_jinja_parse_target(c, NULL, true);
    if (!n->a)
        return NULL;
    if (ib_jinja_tok_is(c, T_ASSIGN)) {
        ib_jinja_advance(c);
        n->b = ib_jinja_parse_tuple(c, true, NULL, false);
        return n->b ? finish(c, n) : NULL;
    }
    n->kind = N_SETBLOCK;
    if (ib_jinja_tok_is(c, T_PIPE) && (n->b = ib_jinja_parse_filters(c, NULL, false)) == NULL)
        return NULL;
    return parse_block_body(c, ends, true, &n->list) ? finish(c, n) : NULL;
}

static jnode *parse_with(jcompiler *c, jnode *n) {
    static const char *const ends[] = {"endwith", NULL};
    n->kind = N_WITH;
    while (!ib_jinja_tok_is(c, T_BLOCK_END)) {
        if (n->list.n && !ib_jinja_expect(c, T_COMMA))
            return NULL;
        jnode *target = ib_jinja_parse_target(c, NULL, false);
        if (!target || !ib_jinja_nodes_add(c, &n->list, target) || !ib_jinja_expect(c, T_ASSIGN))
            return NULL;
        jnode *value = ib_jinja_parse_expression(c, true);
        if (!value || !ib_jinja_nodes_add(c, &n->list2, value))
            return NULL;
    }
    return parse_block_body(c, ends, true, &n->list3) ? finish(c, n) : NULL;
}

static bool blank_body(const jnodes *body) {
    for (size_t i = 0; i < body->n; i++) {
        if (body->at[i]->kind != N_OUTPUT)
            return false;
        for (size_t k = 0; k < body->at[i]->list.n; k++) {
            const jnode *item = body->at[i]->list.at[k];
            const jstr *s =
                item->kind == N_CONST && item->value.type == J_STR ? item->value.as.s : NULL;
            for (size_t j = 0; s && j < s->n; j++)
                if (!ib_jinja_is_space((unsigned char)s->p[j]))
                    return false;
            if (!s)
                return false;
        }
    }
    return true;
}

static jnode *parse_block(jcompiler *c, jnode *n) {
    static const char *const ends[] = {"endblock", NULL};
    char shown[IB_QUOTED];
    n->kind = N_BLOCK;
    n->name = ib_jinja_tok(c)->text;
    if (!ib_jinja_expect(c, T_NAME))
        return NULL;
    for (size_t i = 0; i < c->t->blocks.n; i++)
        if (ib_str_eq(c->t->blocks.at[i]->name, n->name)) {
            (void)ib_jinja_syntax(c, IB_E_FORMAT, "TemplateAssertionError", n->line,
                                  "block '%s' defined twice", ib_quote(n->name, shown));
            return NULL;
        }
    n->flag = ib_jinja_skip_name(c, "scoped");
    bool required = ib_jinja_skip_name(c, "required");
    if (ib_jinja_tok_is(c, T_SUB)) {
        (void)ib_jinja_syntax(
            c, IB_E_FORMAT, "TemplateSyntaxError", n->line,
            "Block names in Jinja have to be valid Python identifiers and may not contain "
            "hyphens, use an underscore instead.");
        return NULL;
    }
    if (!ib_jinja_nodes_add(c, &c->t->blocks, n) || !parse_block_body(c, ends, true, &n->list))
        return NULL;
    if (required && !blank_body(&n->list)) {
        (void)ib_jinja_syntax(c, IB_E_FORMAT, "TemplateSyntaxError", n->line,
                              "Required blocks can only contain comments or whitespace");
        return NULL;
    }
    n->op = required;
    if (ib_jinja_tok_is(c, T_NAME) && ib_str_eq(ib_jinja_tok(c)->text, n->name))
        ib_jinja_advance(c);
    return finish(c, n);
}

static jnode *parse_print(jcompiler *c, jnode *n) {
    n->kind = N_OUTPUT;
    while (!ib_jinja_tok_is(c, T_BLOCK_END)) {
        if (n->list.n && !ib_jinja_expect(c, T_COMMA))
            return NULL;
        jnode *item = ib_jinja_parse_expression(c, true);
        if (!item || !ib_jinja_nodes_add(c, &n->list, item))
            return NULL;
    }
    return finish(c, n);
}

static jnode *parse_jump(jcompiler *c, jnode *n) {
    n->kind = ib_str_is(c->open[c->n_open - 1], "break") ? N_BREAK : N_CONTINUE;
    return finish(c, n);
}

static jnode *parse_refused(jcompiler *c, jnode *n) {
    char shown[IB_QUOTED];
    ib_str tag = c->open[c->n_open - 1];
    (void)ib_jinja_syntax(c, IB_E_UNSUPPORTED,
                          ib_str_is(tag, "autoescape") ? "TemplateSyntaxError" : "TypeError",
                          n->line, "tag '%s' is not supported: a chat template has no other files",
                          ib_quote(tag, shown));
    return NULL;
}

static const struct {
    const char *tag;
    jnode *(*parse)(jcompiler *c, jnode *n);
} statements[] = {{"for", parse_for},           {"if", parse_if},
                  {"set", parse_set},           {"macro", parse_macro},
                  {"call", parse_call_block},   {"filter", parse_filter_block},
                  {"with", parse_with},         {"block", parse_block},
                  {"print", parse_print},       {"break", parse_jump},
                  {"continue", parse_jump},     {"generation", parse_generation},
                  {"include", parse_refused},   {"import", parse_refused},
                  {"from", parse_refused},      {"extends", parse_refused},
                  {"autoescape", parse_refused}};

static jnode *parse_statement(jcompiler *c) {
    jtoken *t = ib_jinja_tok(c);
    if (t->type == T_ERROR) {
        (void)fail_here(c, "name");
        return NULL;
    }
    if (t->type != T_NAME) {
        (void)ib_jinja_syntax(c, IB_E_FORMAT, "TemplateSyntaxError", t->line, "tag name expected");
        return NULL;
    }
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        if (!ib_str_is(t->text, statements[i].tag))
            continue;
        jnode *n = ib_jinja_node(c, N_OUTPUT, t->line);
        if (!n)
            return NULL;
        c->open[c->n_open++] = t->text;
        ib_jinja_advance(c);
        n = statements[i].parse(c, n);
        if (n)
            c->n_open--;
        return n;
    }
    (void)unknown_tag(c, t, NULL);
    return NULL;
}

bool ib_jinja_parse(jcompiler *c) {
    return ib_jinja_tokenize(c) && parse_body(c, NULL, &c->t->body);
}
