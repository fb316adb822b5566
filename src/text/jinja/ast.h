/* SPDX-License-Identifier: MIT
 * The tree that a template compiles to. One node type serves all kinds; which fields a kind uses is
 * written beside it. Children are always visited in the order a, b, list, list2, list3, c. */
#ifndef IB_TEXT_JINJA_AST_H
#define IB_TEXT_JINJA_AST_H

#include "text/jinja/value.h"

typedef enum jkind {
    /* expressions */
    N_CONST,   /* value */
    N_NAME,    /* name, ctx, up, slot */
    N_NSREF,   /* name . name2, up, slot */
    N_TUPLE,   /* list */
    N_LIST,    /* list */
    N_DICT,    /* list: key, value, key, value ... */
    N_GETATTR, /* a . name */
    N_GETITEM, /* a [ b ] */
    N_SLICE,   /* b of N_GETITEM: a : b : c, each may be NULL */
    N_CALL,    /* a ( list, list2 of N_KEYWORD, *b, **c ) */
    N_FILTER,  /* a | name ( ... as N_CALL ), func; a is NULL in blocks: the captured text */
    N_TEST,    /* a is name ( ... ), func */
    N_KEYWORD, /* name = a */
    N_BINARY,  /* a op b */
    N_NEG,     /* - a */
    N_POS,     /* + a */
    N_AND,     /* a and b */
    N_OR,      /* a or b */
    N_NOT,     /* not a */
    N_COMPARE, /* a, then list of N_OPERAND */
    N_OPERAND, /* op a */
    N_CONCAT,  /* list joined by ~ */
    N_COND,    /* a if b else c; c may be NULL */
    /* statements */
    N_OUTPUT, /* list: expressions and N_CONST text */
    N_FOR, /* a in b: list; else: list2; if c. flag: recursive. scope, scope2 (else), scope3 (if) */
    N_IF,  /* a: list; list3 of N_IF (elif); else: list2 */
    N_MACRO,       /* name ( list of N_NAME = list2 ): list3. scope, macro */
    N_CALLBLOCK,   /* as N_MACRO with b the call */
    N_GENERATION,  /* list3. scope, macro */
    N_FILTERBLOCK, /* a: list. scope */
    N_SET,         /* a = b */
    N_SETBLOCK,    /* a = text of list, through the filters b (may be NULL). scope */
    N_WITH,        /* list = list2: list3. scope */
    N_BLOCK,       /* name: list. flag: scoped. scope */
    N_BREAK,
    N_CONTINUE
} jkind;

typedef enum jctx { CTX_LOAD, CTX_STORE, CTX_PARAM } jctx;
enum { CO_EQ = 0, CO_NE, CO_LT, CO_LE, CO_GT, CO_GE, CO_IN, CO_NOTIN };

typedef struct jnode jnode;
typedef struct jscope jscope;

typedef struct jnodes {
    jnode **at;
    size_t n, cap;
} jnodes;

struct jnode {
    jkind kind;
    int op;  /* N_BINARY: jop; N_OPERAND: CO_... */
    int ctx; /* N_NAME */
    int line;
    int height;
    bool flag, toplevel;
    int up, slot;
    ib_str name, name2;
    jval value;
    const jfunc *func;
    jnode *a, *b, *c;
    jnodes list, list2, list3;
    jscope *scope, *scope2, *scope3;
};

/* How a slot gets its first value when its scope is entered. */
typedef enum jload { LOAD_PARAM, LOAD_RESOLVE, LOAD_ALIAS, LOAD_UNDEF } jload;

typedef struct jslot {
    ib_str name;
    jload load;
    int up, from; /* LOAD_ALIAS */
    bool stored;
} jslot;

struct jscope {
    jscope *parent; /* NULL for the template and for blocks */
    jslot *slots;
    size_t n, cap;
    ib_map by_name; /* name -> slot; dropped after compilation */
    bool captured;  /* a macro or a lazy loop may keep frames of this scope */
    int loop_slot, caller_slot, kwargs_slot, varargs_slot; /* -1: not used */
    size_t *stored; /* slot numbers in order of first store */
    size_t n_stored, cap_stored;
    jscope *next; /* all scopes of the template */
};

struct ib_jinja {
    ib_arena arena; /* owned; holds all below */
    jscope *root;
    jnodes body;
    jnodes blocks;    /* N_BLOCK */
    ib_str source;    /* normalised */
    const char *name; /* for messages; zero-terminated */
};

typedef enum jtok {
    T_EOF,
    T_DATA,
    T_VAR_BEGIN,
    T_VAR_END,
    T_BLOCK_BEGIN,
    T_BLOCK_END,
    T_NAME,
    T_STRING,
    T_INT,
    T_FLOAT,
    T_ADD,
    T_SUB,
    T_MUL,
    T_DIV,
    T_FLOORDIV,
    T_MOD,
    T_POW,
    T_TILDE,
    T_LBRACKET,
    T_RBRACKET,
    T_LPAREN,
    T_RPAREN,
    T_LBRACE,
    T_RBRACE,
    T_EQ,
    T_NE,
    T_GT,
    T_GE,
    T_LT,
    T_LE,
    T_ASSIGN,
    T_DOT,
    T_COLON,
    T_PIPE,
    T_COMMA,
    T_SEMICOLON,
    T_ERROR
} jtok;

typedef struct jtoken {
    jtok type;
    int line;
    ib_str text; /* decoded for T_STRING; the message for T_ERROR */
} jtoken;

typedef struct jcompiler {
    ib_jinja *t;
    jtoken *tokens;
    size_t n_tokens, cap_tokens, at;
    int nesting;
    int loops; /* enclosing loops that break may leave */
    /* the tags being looked for, innermost last; and the open tags, for messages */
    const char *const *ends[80];
    ib_str open[80];
    size_t n_ends, n_open;
    jscope *scopes;
    ib_status status;
    ib_error *err;
    ib_jinja_problem *problem;
    const char *name;
} jcompiler;

/* Fails the compilation: status, exception type, line; false. */
void ib_jinja_set_syntax(jcompiler *c, ib_status status, const char *type, int line,
                         const char *fmt, ...) IB_PRINTF(5, 6);
#define ib_jinja_syntax(c, ...) (ib_jinja_set_syntax((c), __VA_ARGS__), false)
void *ib_jinja_compile_alloc(jcompiler *c, size_t n);
jnode *ib_jinja_node(jcompiler *c, jkind kind, int line);
bool ib_jinja_nodes_add(jcompiler *c, jnodes *l, jnode *n);
bool ib_jinja_const_str(jcompiler *c, ib_str text, jval *out);

bool ib_jinja_tokenize(jcompiler *c);
/* Parser: statements in parse.c, expressions in parse_expr.c. */
bool ib_jinja_parse(jcompiler *c);
const char *ib_jinja_describe(const jtoken *t, char shown[IB_QUOTED]);
jtoken *ib_jinja_tok(jcompiler *c);
jtoken *ib_jinja_look(jcompiler *c);
void ib_jinja_advance(jcompiler *c);
bool ib_jinja_tok_is(jcompiler *c, jtok type);
bool ib_jinja_tok_name(jcompiler *c, const char *name);
bool ib_jinja_skip_name(jcompiler *c, const char *name);
bool ib_jinja_expect(jcompiler *c, jtok type);
bool ib_jinja_enter(jcompiler *c, int line);
jnode *ib_jinja_parse_expression(jcompiler *c, bool with_cond);
/* end_name: a name that also ends the tuple, or NULL. */
jnode *ib_jinja_parse_tuple(jcompiler *c, bool with_cond, const char *end_name, bool parenthesized);
jnode *ib_jinja_parse_target(jcompiler *c, const char *end_name, bool with_namespace);
jnode *ib_jinja_parse_filters(jcompiler *c, jnode *input, bool start_inline);
bool ib_jinja_fix_height(jcompiler *c, jnode *n);

/* Names to slots, filters and tests to functions. */
bool ib_jinja_resolve(jcompiler *c);

/* One activation of a scope. */
typedef struct jframe {
    struct jframe *parent;
    const jscope *scope;
    jval slots[];
} jframe;

typedef enum jflow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE, FLOW_ERROR } jflow;
jframe *ib_jinja_frame(jstate *st, const jscope *scope, jframe *parent);
jval *ib_jinja_slot(jframe *f, int up, int slot);
bool ib_jinja_eval(jstate *st, jframe *f, const jnode *n, jval *out);
jflow ib_jinja_exec(jstate *st, jframe *f, const jnodes *body);
bool ib_jinja_eval_filters(jstate *st, jframe *f, const jnode *n, jval captured, jval *out);
bool ib_jinja_eval_call(jstate *st, jframe *f, const jnode *n, const jval *caller, jval *out);
bool ib_jinja_assign(jstate *st, jframe *f, const jnode *target, jval v);
bool ib_jinja_call_macro(jstate *st, const jmacro *m, const jargs *args, jval *out);
bool ib_jinja_call_loop(jstate *st, jloop *l, const jargs *args, jval *out);
bool ib_jinja_call_block(jstate *st, const jnode *block, jval *out);

struct jmacro {
    const jnode *node;
    jframe *frame; /* where it was defined */
};

struct jloop {
    jval iterable;
    jiter it;
    int64_t index0, length; /* length -1: not known */
    bool has_after, after_done;
    jval after, current, before, changed;
    int64_t depth0;
    const jnode *node; /* recursive loops: what to run again */
    jframe *outer;
};
bool ib_jinja_loop_attr(jstate *st, jloop *l, ib_str name, jval *out, bool *found);
bool ib_jinja_loop_length(jstate *st, jloop *l, int64_t *out);
bool ib_jinja_loop_next(jstate *st, jloop *l, jval *out, bool *done);

#endif
