/* SPDX-License-Identifier: MIT
 * Tokens -> expression trees: Jinja2's grammar and its precedences (conditional, or, and, not,
 * comparison, + -, ~, * / // %, **, unary, postfix, filters and tests). NULL means failed. */
#include "text/jinja/ast.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_NESTING = 64, MAX_HEIGHT = 300 };

/* Counts one level of nesting in the source; the caller undoes it. */
bool ib_jinja_enter(jcompiler *c, int line) {
    if (++c->nesting > MAX_NESTING)
        return ib_jinja_syntax(c, IB_E_RESOURCE, "RecursionError", line,
                               "nested deeper than %d levels", MAX_NESTING);
    return true;
}

static int taller(int h, const jnode *n) {
    return n && n->height > h ? n->height : h;
}

static int tallest(int h, const jnodes *l) {
    for (size_t i = 0; i < l->n; i++)
        h = taller(h, l->at[i]);
    return h;
}

/* Sets n->height from its children; long chains are as deep as nested ones. */
bool ib_jinja_fix_height(jcompiler *c, jnode *n) {
    int h = taller(taller(taller(0, n->a), n->b), n->c);
    h = tallest(tallest(tallest(h, &n->list), &n->list2), &n->list3);
    n->height = h + 1;
    if (n->height > MAX_HEIGHT)
        return ib_jinja_syntax(c, IB_E_RESOURCE, "RecursionError", n->line,
                               "expression chained deeper than %d levels", MAX_HEIGHT);
    return true;
}

static jnode *done(jcompiler *c, jnode *n) {
    return n && ib_jinja_fix_height(c, n) ? n : NULL;
}

static jnode *make(jcompiler *c, jkind kind, int line, jnode *a, jnode *b) {
    jnode *n = a ? ib_jinja_node(c, kind, line) : NULL;
    if (!n)
        return NULL;
    n->a = a;
    n->b = b;
    return done(c, n);
}

static jnode *constant(jcompiler *c, int line, jval v) {
    jnode *n = ib_jinja_node(c, N_CONST, line);
    if (n)
        n->value = v;
    return done(c, n);
}

static jnode *unexpected(jcompiler *c) {
    jtoken *t = ib_jinja_tok(c);
    char shown[IB_QUOTED];
    if (t->type == T_ERROR || t->type == T_EOF)
        (void)ib_jinja_expect(c, T_VAR_END);
    else
        (void)ib_jinja_syntax(c, IB_E_FORMAT, "TemplateSyntaxError", t->line, "unexpected '%s'",
                              ib_jinja_describe(t, shown));
    return NULL;
}

/* --- literals --- */

static jnode *parse_number(jcompiler *c) {
    jtoken *t = ib_jinja_tok(c);
    char digits[400];
    size_t n = 0;
    for (size_t i = 0; i < t->text.len && n + 1 < sizeof digits; i++)
        if (t->text.ptr[i] != '_')
            digits[n++] = t->text.ptr[i];
    digits[n] = 0;
    jstr text = {.p = digits, .n = n, .chars = n};
    jval v;
    if (t->type == T_FLOAT) {
        double f = 0;
        if (n + 1 >= sizeof digits || !ib_jinja_parse_float(&text, &f)) {
            (void)ib_jinja_syntax(c, IB_E_FORMAT, "TemplateSyntaxError", t->line, "bad number");
            return NULL;
        }
        v = JFLOAT(f);
    } else {
        bool overflow = false;
        int64_t i = 0;
        if (n + 1 >= sizeof digits || !ib_jinja_parse_int(&text, 0, &i, &overflow)) {
            (void)ib_jinja_syntax(c, IB_E_FORMAT, "OverflowError", t->line,
                                  "integer beyond 64 bits");
            return NULL;
        }
        v = JINT(i);
    }
    ib_jinja_advance(c);
    return constant(c, t->line, v);
}

static jnode *parse_string(jcompiler *c) {
    jtoken *t = ib_jinja_tok(c);
    int line = t->line;
    ib_str text = t->text;
    ib_jinja_advance(c);
    size_t total = text.len, first = c->at - 1;
    while (ib_jinja_tok_is(c, T_STRING)) {
        total += ib_jinja_tok(c)->text.len;
        ib_jinja_advance(c);
    }
    if (c->at - first > 1) {
        char *joined = ib_jinja_compile_alloc(c, total + 1), *to = joined;
        if (!joined)
            return NULL;
        for (size_t i = first; i < c->at; i++) {
            if (c->tokens[i].text.len)
                memcpy(to, c->tokens[i].text.ptr, c->tokens[i].text.len);
            to += c->tokens[i].text.len;
        }
        text = (ib_str){joined, total};
    }
    jval v;
    return ib_jinja_const_str(c, text, &v) ? constant(c, line, v) : NULL;
}

static jnode *parse_list(jcompiler *c) {
    jnode *n = ib_jinja_node(c, N_LIST, ib_jinja_tok(c)->line);
    ib_jinja_advance(c);
    while (n && !ib_jinja_tok_is(c, T_RBRACKET)) {
        if (n->list.n && !ib_jinja_expect(c, T_COMMA))
            return NULL;
        if (ib_jinja_tok_is(c, T_RBRACKET))
            break;
        jnode *item = ib_jinja_parse_expression(c, true);
        if (!item || !ib_jinja_nodes_add(c, &n->list, item))
            return NULL;
    }
    return n && ib_jinja_expect(c, T_RBRACKET) ? done(c, n) : NULL;
}

static jnode *parse_dict(jcompiler *c) {
    jnode *n = ib_jinja_node(c, N_DICT, ib_jinja_tok(c)->line);
    ib_jinja_advance(c);
    while (n && !ib_jinja_tok_is(c, T_RBRACE)) {
        if (n->list.n && !ib_jinja_expect(c, T_COMMA))
            return NULL;
        if (ib_jinja_tok_is(c, T_RBRACE))
            break;
        jnode *key = ib_jinja_parse_expression(c, true);
        if (!key || !ib_jinja_nodes_add(c, &n->list, key) || !ib_jinja_expect(c, T_COLON))
            return NULL;
        jnode *value = ib_jinja_parse_expression(c, true);
        if (!value || !ib_jinja_nodes_add(c, &n->list, value))
            return NULL;
    }
    return n && ib_jinja_expect(c, T_RBRACE) ? done(c, n) : NULL;
}

static jnode *parse_name(jcompiler *c, bool with_namespace) {
    jtoken *t = ib_jinja_tok(c);
    ib_jinja_advance(c);
    if (ib_str_is(t->text, "true") || ib_str_is(t->text, "True"))
        return constant(c, t->line, JBOOL(true));
    if (ib_str_is(t->text, "false") || ib_str_is(t->text, "False"))
        return constant(c, t->line, JBOOL(false));
    if (ib_str_is(t->text, "none") || ib_str_is(t->text, "None"))
        return constant(c, t->line, JNONE);
    jnode *n = ib_jinja_node(c, N_NAME, t->line);
    if (!n)
        return NULL;
    n->name = t->text;
    if (with_namespace && ib_jinja_tok_is(c, T_DOT)) {
        ib_jinja_advance(c);
        n->kind = N_NSREF;
        n->name2 = ib_jinja_tok(c)->text;
        if (!ib_jinja_expect(c, T_NAME))
            return NULL;
    }
    return done(c, n);
}

static jnode *parse_primary(jcompiler *c, bool with_namespace) {
    jtoken *t = ib_jinja_tok(c);
    jnode *n = NULL;
    switch (t->type) {
    case T_NAME:
        return parse_name(c, with_namespace);
    case T_STRING:
        return parse_string(c);
    case T_INT:
    case T_FLOAT:
        return parse_number(c);
    case T_LPAREN:
    case T_LBRACKET:
    case T_LBRACE:
        break;
    default:
        return unexpected(c);
    }
    if (!ib_jinja_enter(c, t->line))
        return NULL;
    if (t->type == T_LBRACKET) {
        n = parse_list(c);
    } else if (t->type == T_LBRACE) {
        n = parse_dict(c);
    } else {
        ib_jinja_advance(c);
        n = ib_jinja_parse_tuple(c, true, NULL, true);
        if (n && !ib_jinja_expect(c, T_RPAREN))
            n = NULL;
    }
    c->nesting--;
    return n;
}

/* --- calls, subscripts, filters, tests --- */

static bool bad_call(jcompiler *c, int line) {
    return ib_jinja_syntax(c, IB_E_FORMAT, "TemplateSyntaxError", line,
                           "invalid syntax for function call expression");
}

static bool parse_argument(jcompiler *c, jnode *call, int line) {
    if (ib_jinja_tok_is(c, T_MUL)) {
        if (call->b || call->c)
            return bad_call(c, line);
        ib_jinja_advance(c);
        return (call->b = ib_jinja_parse_expression(c, true)) != NULL;
    }
    if (ib_jinja_tok_is(c, T_POW)) {
        if (call->c)
            return bad_call(c, line);
        ib_jinja_advance(c);
        return (call->c = ib_jinja_parse_expression(c, true)) != NULL;
    }
    if (ib_jinja_tok_is(c, T_NAME) && ib_jinja_look(c)->type == T_ASSIGN) {
        jnode *kw = ib_jinja_node(c, N_KEYWORD, ib_jinja_tok(c)->line);
        if (call->c)
            return bad_call(c, line);
        if (!kw)
            return false;
        kw->name = ib_jinja_tok(c)->text;
        for (size_t i = 0; i < call->list2.n; i++)
            if (ib_str_eq(call->list2.at[i]->name, kw->name)) {
                char shown[IB_QUOTED];
                return ib_jinja_syntax(c, IB_E_FORMAT, "SyntaxError", line,
                                       "keyword argument repeated: %s", ib_quote(kw->name, shown));
            }
        ib_jinja_advance(c);
        ib_jinja_advance(c);
        kw->a = ib_jinja_parse_expression(c, true);
        return kw->a && ib_jinja_fix_height(c, kw) && ib_jinja_nodes_add(c, &call->list2, kw);
    }
    if (call->b || call->c || call->list2.n)
        return bad_call(c, line);
    jnode *arg = ib_jinja_parse_expression(c, true);
    return arg && ib_jinja_nodes_add(c, &call->list, arg);
}

static bool parse_arguments(jcompiler *c, jnode *call) {
    int line = ib_jinja_tok(c)->line;
    bool comma = false;
    if (!ib_jinja_expect(c, T_LPAREN) || !ib_jinja_enter(c, line))
        return false;
    while (!ib_jinja_tok_is(c, T_RPAREN)) {
        if (comma) {
            if (!ib_jinja_expect(c, T_COMMA))
                return false;
            if (ib_jinja_tok_is(c, T_RPAREN))
                break;
        }
        if (!parse_argument(c, call, line))
            return false;
        comma = true;
    }
    c->nesting--;
    return ib_jinja_expect(c, T_RPAREN);
}

static jnode *parse_call(jcompiler *c, jnode *callee) {
    jnode *n = ib_jinja_node(c, N_CALL, ib_jinja_tok(c)->line);
    if (!n)
        return NULL;
    n->a = callee;
    return parse_arguments(c, n) ? done(c, n) : NULL;
}

/* One part of a slice: NULL in *out when left away. */
static bool slice_part(jcompiler *c, jnode **out) {
    *out = NULL;
    if (ib_jinja_tok_is(c, T_COLON) || ib_jinja_tok_is(c, T_RBRACKET) ||
        ib_jinja_tok_is(c, T_COMMA))
        return true;
    return (*out = ib_jinja_parse_expression(c, true)) != NULL;
}

static jnode *parse_subscribed(jcompiler *c) {
    int line = ib_jinja_tok(c)->line;
    jnode *start = NULL;
    if (!ib_jinja_tok_is(c, T_COLON)) {
        start = ib_jinja_parse_expression(c, true);
        if (!start || !ib_jinja_tok_is(c, T_COLON))
            return start;
    }
    jnode *n = ib_jinja_node(c, N_SLICE, line);
    ib_jinja_advance(c);
    if (!n || !slice_part(c, &n->b))
        return NULL;
    n->a = start;
    if (ib_jinja_tok_is(c, T_COLON)) {
        ib_jinja_advance(c);
        if (!slice_part(c, &n->c))
            return NULL;
    }
    return done(c, n);
}

static jnode *parse_subscript(jcompiler *c, jnode *object) {
    jtoken *t = ib_jinja_tok(c);
    jnode *n = ib_jinja_node(c, t->type == T_DOT ? N_GETATTR : N_GETITEM, t->line);
    if (!n)
        return NULL;
    n->a = object;
    ib_jinja_advance(c);
    if (t->type == T_DOT) {
        jtoken *attr = ib_jinja_tok(c);
        if (attr->type == T_NAME) {
            n->name = attr->text;
            ib_jinja_advance(c);
            return ib_jinja_const_str(c, n->name, &n->value) ? done(c, n) : NULL;
        }
        if (attr->type != T_INT) {
            (void)ib_jinja_syntax(c, IB_E_FORMAT, "TemplateSyntaxError", attr->line,
                                  "expected name or number");
            return NULL;
        }
        n->kind = N_GETITEM;
        n->b = parse_number(c);
        return n->b ? done(c, n) : NULL;
    }
    jnode *items = ib_jinja_node(c, N_TUPLE, t->line);
    if (!items || !ib_jinja_enter(c, t->line))
        return NULL;
    while (!ib_jinja_tok_is(c, T_RBRACKET)) {
        if (items->list.n && !ib_jinja_expect(c, T_COMMA))
            return NULL;
        jnode *item = parse_subscribed(c);
        if (!item || !ib_jinja_nodes_add(c, &items->list, item))
            return NULL;
    }
    c->nesting--;
    if (!ib_jinja_expect(c, T_RBRACKET))
        return NULL;
    for (size_t i = 0; items->list.n != 1 && i < items->list.n; i++)
        if (items->list.at[i]->kind == N_SLICE) {
            (void)ib_jinja_syntax(c, IB_E_FORMAT, "SyntaxError", t->line, "a slice inside a tuple");
            return NULL;
        }
    n->b = items->list.n == 1 ? items->list.at[0] : done(c, items);
    return n->b ? done(c, n) : NULL;
}

static jnode *parse_postfix(jcompiler *c, jnode *n) {
    while (n) {
        if (ib_jinja_tok_is(c, T_DOT) || ib_jinja_tok_is(c, T_LBRACKET))
            n = parse_subscript(c, n);
        else if (ib_jinja_tok_is(c, T_LPAREN))
            n = parse_call(c, n);
        else
            break;
    }
    return n;
}

/* name.name.name of a filter or test. */
static bool dotted_name(jcompiler *c, ib_str *out) {
    *out = ib_jinja_tok(c)->text;
    if (!ib_jinja_expect(c, T_NAME))
        return false;
    while (ib_jinja_tok_is(c, T_DOT)) {
        ib_jinja_advance(c);
        jtoken *t = ib_jinja_tok(c);
        if (!ib_jinja_expect(c, T_NAME))
            return false;
        char *joined = ib_jinja_compile_alloc(c, out->len + t->text.len + 2);
        if (!joined)
            return false;
        memcpy(joined, out->ptr, out->len);
        joined[out->len] = '.';
        memcpy(joined + out->len + 1, t->text.ptr, t->text.len);
        *out = (ib_str){joined, out->len + t->text.len + 1};
    }
    return true;
}

/* Filters from the current token on; input NULL stands for the text of a block. */
jnode *ib_jinja_parse_filters(jcompiler *c, jnode *input, bool start_inline) {
    jnode *n = input;
    while (ib_jinja_tok_is(c, T_PIPE) || start_inline) {
        if (!start_inline)
            ib_jinja_advance(c);
        jnode *filter = ib_jinja_node(c, N_FILTER, ib_jinja_tok(c)->line);
        if (!filter || !dotted_name(c, &filter->name))
            return NULL;
        filter->a = n;
        if (ib_jinja_tok_is(c, T_LPAREN) && !parse_arguments(c, filter))
            return NULL;
        n = done(c, filter);
        if (!n)
            return NULL;
        start_inline = false;
    }
    return n;
}

static jnode *parse_test(jcompiler *c, jnode *input) {
    jnode *n = ib_jinja_node(c, N_TEST, ib_jinja_tok(c)->line);
    ib_jinja_advance(c);
    bool negated = ib_jinja_skip_name(c, "not");
    if (!n || !dotted_name(c, &n->name))
        return NULL;
    n->a = input;
    jtok t = ib_jinja_tok(c)->type;
    if (t == T_LPAREN) {
        if (!parse_arguments(c, n))
            return NULL;
    } else if ((t == T_NAME || t == T_STRING || t == T_INT || t == T_FLOAT || t == T_LBRACKET ||
                t == T_LBRACE) &&
               !ib_jinja_tok_name(c, "else") && !ib_jinja_tok_name(c, "or") &&
               !ib_jinja_tok_name(c, "and")) {
        if (ib_jinja_tok_name(c, "is")) {
            (void)ib_jinja_syntax(c, IB_E_FORMAT, "TemplateSyntaxError", ib_jinja_tok(c)->line,
                                  "You cannot chain multiple tests with is");
            return NULL;
        }
        jnode *arg = parse_postfix(c, parse_primary(c, false));
        if (!arg || !ib_jinja_nodes_add(c, &n->list, arg))
            return NULL;
    }
    n = done(c, n);
    return negated ? make(c, N_NOT, input->line, n, NULL) : n;
}

static jnode *parse_filter_expr(jcompiler *c, jnode *n) {
    while (n) {
        if (ib_jinja_tok_is(c, T_PIPE))
            n = ib_jinja_parse_filters(c, n, false);
        else if (ib_jinja_tok_name(c, "is"))
            n = parse_test(c, n);
        else if (ib_jinja_tok_is(c, T_LPAREN))
            n = parse_call(c, n);
        else
            break;
    }
    return n;
}

/* --- operators, tightest first --- */

static jnode *parse_unary(jcompiler *c, bool with_filter) {
    jtoken *t = ib_jinja_tok(c);
    jnode *n;
    if (t->type == T_SUB || t->type == T_ADD) {
        ib_jinja_advance(c);
        if (!ib_jinja_enter(c, t->line))
            return NULL;
        n = make(c, t->type == T_SUB ? N_NEG : N_POS, t->line, parse_unary(c, false), NULL);
        c->nesting--;
    } else {
        n = parse_primary(c, false);
    }
    n = parse_postfix(c, n);
    return with_filter ? parse_filter_expr(c, n) : n;
}

static int binary_op(jtok type, int level) {
    switch (type) {
    case T_POW:
        return level == 0 ? OP_POW : -1;
    case T_MUL:
        return level == 1 ? OP_MUL : -1;
    case T_DIV:
        return level == 1 ? OP_DIV : -1;
    case T_FLOORDIV:
        return level == 1 ? OP_FLOORDIV : -1;
    case T_MOD:
        return level == 1 ? OP_MOD : -1;
    case T_ADD:
        return level == 2 ? OP_ADD : -1;
    case T_SUB:
        return level == 2 ? OP_SUB : -1;
    default:
        return -1;
    }
}

static jnode *parse_concat(jcompiler *c);

/* level 0: **, 1: * / // %, 2: + - ; all associate to the left. */
static jnode *parse_math(jcompiler *c, int level) {
    int line = ib_jinja_tok(c)->line;
    jnode *left = level == 0   ? parse_unary(c, true)
                  : level == 1 ? parse_math(c, 0)
                               : parse_concat(c);
    int op;
    while (left && (op = binary_op(ib_jinja_tok(c)->type, level)) >= 0) {
        ib_jinja_advance(c);
        jnode *right = level == 0   ? parse_unary(c, true)
                       : level == 1 ? parse_math(c, 0)
                                    : parse_concat(c);
        if (!right)
            return NULL;
        left = make(c, N_BINARY, line, left, right);
        if (left)
            left->op = op;
        line = ib_jinja_tok(c)->line;
    }
    return left;
}

static jnode *parse_concat(jcompiler *c) {
    int line = ib_jinja_tok(c)->line;
    jnode *first = parse_math(c, 1), *n;
    if (!first || !ib_jinja_tok_is(c, T_TILDE))
        return first;
    n = ib_jinja_node(c, N_CONCAT, line);
    if (!n || !ib_jinja_nodes_add(c, &n->list, first))
        return NULL;
    while (ib_jinja_tok_is(c, T_TILDE)) {
        ib_jinja_advance(c);
        jnode *next = parse_math(c, 1);
        if (!next || !ib_jinja_nodes_add(c, &n->list, next))
            return NULL;
    }
    return done(c, n);
}

static int compare_op(jcompiler *c) {
    switch (ib_jinja_tok(c)->type) {
    case T_EQ:
        return CO_EQ;
    case T_NE:
        return CO_NE;
    case T_LT:
        return CO_LT;
    case T_LE:
        return CO_LE;
    case T_GT:
        return CO_GT;
    case T_GE:
        return CO_GE;
    default:
        break;
    }
    if (ib_jinja_tok_name(c, "in"))
        return CO_IN;
    jtoken *next = ib_jinja_look(c);
    if (ib_jinja_tok_name(c, "not") && next->type == T_NAME && ib_str_is(next->text, "in")) {
        ib_jinja_advance(c);
        return CO_NOTIN;
    }
    return -1;
}

static jnode *parse_compare(jcompiler *c) {
    int line = ib_jinja_tok(c)->line, op;
    jnode *first = parse_math(c, 2), *n = NULL;
    while (first && (op = compare_op(c)) >= 0) {
        ib_jinja_advance(c);
        if (!n) {
            n = ib_jinja_node(c, N_COMPARE, line);
            if (!n)
                return NULL;
            n->a = first;
        }
        jnode *operand = make(c, N_OPERAND, ib_jinja_tok(c)->line, parse_math(c, 2), NULL);
        if (!operand || !ib_jinja_nodes_add(c, &n->list, operand))
            return NULL;
        operand->op = op;
    }
    return n ? done(c, n) : first;
}

static jnode *parse_not(jcompiler *c) {
    int line = ib_jinja_tok(c)->line;
    if (!ib_jinja_skip_name(c, "not"))
        return parse_compare(c);
    if (!ib_jinja_enter(c, line))
        return NULL;
    jnode *n = make(c, N_NOT, line, parse_not(c), NULL);
    c->nesting--;
    return n;
}

static jnode *parse_logic(jcompiler *c, bool is_or) {
    int line = ib_jinja_tok(c)->line;
    jnode *left = is_or ? parse_logic(c, false) : parse_not(c);
    while (left && ib_jinja_skip_name(c, is_or ? "or" : "and")) {
        jnode *right = is_or ? parse_logic(c, false) : parse_not(c);
        if (!right)
            return NULL;
        left = make(c, is_or ? N_OR : N_AND, line, left, right);
        line = ib_jinja_tok(c)->line;
    }
    return left;
}

jnode *ib_jinja_parse_expression(jcompiler *c, bool with_cond) {
    int line = ib_jinja_tok(c)->line;
    jnode *n = parse_logic(c, true);
    while (n && with_cond && ib_jinja_skip_name(c, "if")) {
        jnode *test = parse_logic(c, true), *otherwise = NULL;
        if (!test)
            return NULL;
        if (ib_jinja_skip_name(c, "else")) {
            if (!ib_jinja_enter(c, line) ||
                (otherwise = ib_jinja_parse_expression(c, true)) == NULL)
                return NULL;
            c->nesting--;
        }
        jnode *cond = ib_jinja_node(c, N_COND, line);
        if (!cond)
            return NULL;
        cond->a = n;
        cond->b = test;
        cond->c = otherwise;
        n = done(c, cond);
        line = ib_jinja_tok(c)->line;
    }
    return n;
}

static bool tuple_ends(jcompiler *c, const char *end_name) {
    jtok t = ib_jinja_tok(c)->type;
    return t == T_VAR_END || t == T_BLOCK_END || t == T_RPAREN ||
           (end_name && ib_jinja_tok_name(c, end_name));
}

typedef enum item_kind { ITEM_EXPRESSION, ITEM_NO_COND, ITEM_TARGET, ITEM_NS_TARGET } item_kind;

static jnode *parse_items(jcompiler *c, item_kind kind, const char *end_name, bool parenthesized) {
    int line = ib_jinja_tok(c)->line;
    jnodes items = {0};
    bool is_tuple = false;
    for (;;) {
        if (items.n && !ib_jinja_expect(c, T_COMMA))
            return NULL;
        if (tuple_ends(c, end_name))
            break;
        jnode *item = kind >= ITEM_TARGET ? parse_primary(c, kind == ITEM_NS_TARGET)
                                          : ib_jinja_parse_expression(c, kind == ITEM_EXPRESSION);
        if (!item || !ib_jinja_nodes_add(c, &items, item))
            return NULL;
        if (!ib_jinja_tok_is(c, T_COMMA))
            break;
        is_tuple = true;
        line = ib_jinja_tok(c)->line;
    }
    if (!is_tuple && items.n)
        return items.at[0];
    if (!is_tuple && !parenthesized) {
        char shown[IB_QUOTED];
        (void)ib_jinja_syntax(c, IB_E_FORMAT, "TemplateSyntaxError", ib_jinja_tok(c)->line,
                              "Expected an expression, got '%s'",
                              ib_jinja_describe(ib_jinja_tok(c), shown));
        return NULL;
    }
    jnode *n = ib_jinja_node(c, N_TUPLE, line);
    if (n)
        n->list = items;
    return done(c, n);
}

jnode *ib_jinja_parse_tuple(jcompiler *c, bool with_cond, const char *end_name,
                            bool parenthesized) {
    return parse_items(c, with_cond ? ITEM_EXPRESSION : ITEM_NO_COND, end_name, parenthesized);
}

static bool set_store(jcompiler *c, jnode *n) {
    static const char *const kinds[] = {"const", "name", "nsref", "tuple", "list", "dict"};
    if (n->kind == N_NAME) {
        n->ctx = CTX_STORE;
        return true;
    }
    if (n->kind == N_NSREF)
        return true;
    if (n->kind != N_TUPLE)
        return ib_jinja_syntax(c, IB_E_FORMAT, "TemplateSyntaxError", n->line,
                               "can't assign to '%s'",
                               n->kind <= N_DICT ? kinds[n->kind] : "expression");
    for (size_t i = 0; i < n->list.n; i++)
        if (!set_store(c, n->list.at[i]))
            return false;
    return true;
}

jnode *ib_jinja_parse_target(jcompiler *c, const char *end_name, bool with_namespace) {
    jnode *n = parse_items(c, with_namespace ? ITEM_NS_TARGET : ITEM_TARGET, end_name, false);
    return n && set_store(c, n) ? n : NULL;
}
