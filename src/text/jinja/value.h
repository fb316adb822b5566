/* SPDX-License-Identifier: MIT
 * The values of a running template and the state of one rendering.
 *
 * A value is a small tagged union passed by copy; what it points to lives in the arena of the
 * rendering (constants: of the template) and is never freed alone. Lists, tuples, dicts and strings
 * do not change once a template can see them; namespaces, cyclers, joiners and loops do.
 * Functions that can fail return false after jinja_raise has filled state->problem. */
#ifndef IB_TEXT_JINJA_VALUE_H
#define IB_TEXT_JINJA_VALUE_H

#include "base/arena.h"
#include "base/map.h"
#include "text/jinja/jinja.h"

typedef enum jtype {
    J_MISSING, /* no value yet; never seen by a template */
    J_UNDEF,
    J_NONE,
    J_BOOL,
    J_INT,
    J_FLOAT,
    J_STR,
    J_LIST,
    J_TUPLE,
    J_DICT,
    J_RANGE,
    J_VIEW, /* dict.keys(), .values(), .items() */
    J_ITER, /* what lazy filters give: read once */
    J_NS,
    J_MACRO,
    J_LOOP,
    J_CYCLER,
    J_JOINER,
    J_FUNC,
    J_METHOD,
    J_SELF /* the name "self" inside a block */
} jtype;

typedef struct jstr jstr;
typedef struct jlist jlist;
typedef struct jdict jdict;
typedef struct jrange jrange;
typedef struct jview jview;
typedef struct jiter jiter;
typedef struct jundef jundef;
typedef struct jmacro jmacro;
typedef struct jloop jloop;
typedef struct jcycler jcycler;
typedef struct jjoiner jjoiner;
typedef struct jfunc jfunc;
typedef struct jbound jbound;
typedef struct jstate jstate;

typedef struct jval {
    jtype type;
    union {
        bool b;
        int64_t i;
        double f;
        const jstr *s;
        jlist *l; /* J_LIST, J_TUPLE */
        jdict *d; /* J_DICT, J_NS */
        const jrange *range;
        const jview *view;
        jiter *iter;
        const jundef *undef;
        const jmacro *macro;
        jloop *loop;
        jcycler *cycler;
        jjoiner *joiner;
        const jfunc *func;
        const jbound *bound;
    } as;
} jval;

/* Text with room behind it, so that s = s + x in a loop does not copy s each time. */
typedef struct jtail {
    char *ptr;
    size_t used, cap;
} jtail;

struct jstr {
    const char *p; /* valid UTF-8 */
    size_t n, chars;
    jtail *tail; /* NULL, or the block that p lies in */
    bool markup; /* came out of |safe or |escape */
};

struct jlist {
    jval *items;
    size_t n, cap;
    bool group; /* a groupby tuple: has .grouper and .list */
    bool in_repr;
};

typedef struct jentry {
    jval key, value;
    uint64_t hash;
} jentry;

struct jdict {
    jentry *entries; /* in order of insertion */
    size_t n, cap;
    uint32_t *index; /* open addressing, entry number + 1; NULL while small */
    size_t n_index;
    bool in_repr;
};

struct jrange {
    int64_t start, stop, step, n;
};

typedef enum jview_kind { VIEW_KEYS, VIEW_VALUES, VIEW_ITEMS } jview_kind;
struct jview {
    jdict *d;
    jview_kind kind;
};

struct jundef {
    const char *exception; /* raised on use */
    const jstr *hint;      /* NULL: message made from the rest */
    jval object;           /* J_MISSING: a plain name */
    jval name;
};

typedef struct jkeyword {
    ib_str name;
    jval value;
} jkeyword;

typedef struct jargs {
    jval *pos;
    size_t n;
    jkeyword *kw;
    size_t n_kw;
} jargs;

typedef bool (*jcall_fn)(jstate *st, jval self, const jargs *args, jval *out);

struct jfunc {
    const char *name;
    jcall_fn call;
};

struct jbound {
    jval self;
    const jfunc *func;
};

struct jcycler {
    jlist *items;
    size_t pos;
};

struct jjoiner {
    const jstr *separator;
    bool used;
};

/* One step of an iterator: sets *done, or *out. */
typedef bool (*jnext_fn)(jstate *st, jiter *it, jval *out, bool *done);
struct jiter {
    jnext_fn next;
    const char *type_name;
    jval source; /* what is walked */
    size_t pos;
    jiter *inner; /* for lazy filters */
    void *closure;
    int depth;
    bool finished;
};

struct jstate {
    ib_arena arena; /* owned */
    ib_error arena_error;
    uint64_t steps_left;
    size_t output_limit, output_base;
    ib_buf *out;
    int depth, call_depth;
    int line;
    jdict *context, *exported; /* exported: assigned at the top level */
    const struct tm *now;
    const ib_jinja *template;
    ib_status status;
    ib_jinja_problem problem;
};

enum {
    JINJA_MAX_CALLS = 128,
    JINJA_MAX_DEPTH = 2000, /* C recursion of one rendering, in evaluation steps */
    JINJA_MAX_VALUE_DEPTH = 200,
    JINJA_MAX_RANGE = 100000
};

#define JNONE ((jval){.type = J_NONE})
#define JMISSING ((jval){.type = J_MISSING})
#define JBOOL(x) ((jval){.type = J_BOOL, .as.b = (x)})
#define JINT(x) ((jval){.type = J_INT, .as.i = (x)})
#define JFLOAT(x) ((jval){.type = J_FLOAT, .as.f = (x)})
#define JSTR(x) ((jval){.type = J_STR, .as.s = (x)})
#define JLIST(x) ((jval){.type = J_LIST, .as.l = (x)})
#define JTUPLE(x) ((jval){.type = J_TUPLE, .as.l = (x)})
#define JDICT(x) ((jval){.type = J_DICT, .as.d = (x)})

/* --- failing and spending (state.c) --- */
/* Fills the problem (the first one stays); the value is false. Long messages are cut. Macros, so
 * that whoever reads a caller sees that value. */
void ib_jinja_set_problem(jstate *st, const char *type, const char *fmt, ...) IB_PRINTF(3, 4);
#define ib_jinja_raise(st, ...) (ib_jinja_set_problem((st), __VA_ARGS__), false)
void ib_jinja_set_problem_text(jstate *st, const char *type, ib_str message);
#define ib_jinja_raise_text(st, ...) (ib_jinja_set_problem_text((st), __VA_ARGS__), false)
/* What was just raised is not wrong, but not built either. */
void ib_jinja_unsupported(jstate *st);
void ib_jinja_set_problem_limit(jstate *st, const char *fmt, ...) IB_PRINTF(2, 3);
#define ib_jinja_raise_limit(st, ...) (ib_jinja_set_problem_limit((st), __VA_ARGS__), false)
void ib_jinja_set_problem_memory(jstate *st);
#define ib_jinja_raise_memory(st) (ib_jinja_set_problem_memory(st), false)
void ib_jinja_set_problem_undef(jstate *st, const jundef *u);
#define ib_jinja_raise_undef(st, u) (ib_jinja_set_problem_undef((st), (u)), false)
/* Spends n steps of the budget. */
bool ib_jinja_spend(jstate *st, uint64_t n);
void *ib_jinja_alloc(jstate *st, size_t n);
void *ib_jinja_array(jstate *st, size_t count, size_t size);
bool ib_jinja_emit(jstate *st, const char *p, size_t n);
/* Takes what was emitted since mark off the output, as a string. */
bool ib_jinja_take_output(jstate *st, size_t mark, jval *out);

/* --- making values (value.c) --- */
size_t ib_jinja_count_chars(const char *p, size_t n);
/* p must stay; jval of type J_STR, or false. */
bool ib_jinja_str_borrow(jstate *st, const char *p, size_t n, jval *out);
bool ib_jinja_str_copy(jstate *st, const char *p, size_t n, jval *out);
bool ib_jinja_strz(jstate *st, const char *zero_terminated_constant, jval *out);
bool ib_jinja_str_of_buf(jstate *st, ib_buf *b, ib_status st_of_buf, jval *out); /* clears b */
bool ib_jinja_str_concat(jstate *st, const jstr *a, const jstr *b, jval *out);
/* Characters [from, to) of s. */
bool ib_jinja_substr(jstate *st, const jstr *s, size_t from, size_t to, jval *out);
size_t ib_jinja_byte_offset(const jstr *s, size_t char_index);
bool ib_jinja_markup(jstate *st, const jstr *s, bool markup, jval *out);
jlist *ib_jinja_list_new(jstate *st, size_t cap);
bool ib_jinja_list_add(jstate *st, jlist *l, jval v);
jdict *ib_jinja_dict_new(jstate *st, size_t cap);
/* Unhashable keys raise TypeError. */
bool ib_jinja_dict_set(jstate *st, jdict *d, jval key, jval value);
bool ib_jinja_dict_get(jstate *st, const jdict *d, jval key, jval *out, bool *found);
const jval *ib_jinja_dict_find(const jdict *d, ib_str key);
bool ib_jinja_dict_set_str(jstate *st, jdict *d, ib_str key, jval value);
bool ib_jinja_pair(jstate *st, jval a, jval b, jval *tuple);
bool ib_jinja_from_json(jstate *st, const json_t *json, int depth, jval *out);
bool ib_jinja_undef_name(jstate *st, ib_str name, jval *out);
bool ib_jinja_undef_hint(jstate *st, const char *hint, jval *out);
bool ib_jinja_undef_attr(jstate *st, jval object, jval name, jval *out);
bool ib_jinja_undef_unsafe(jstate *st, jval object, ib_str name, jval *out);

/* --- asking values (compare.c) --- */
const char *ib_jinja_type_name(jval v);
bool ib_jinja_truth(jval v);
bool ib_jinja_is_number(jval v);            /* bool, int, float */
bool ib_jinja_as_int(jval v, int64_t *out); /* bool, int */
double ib_jinja_as_double(jval v);
bool ib_jinja_equal(jstate *st, jval a, jval b, int depth, bool *out);
typedef enum jcmp { CMP_LT, CMP_LE, CMP_GT, CMP_GE } jcmp;
bool ib_jinja_compare(jstate *st, jcmp op, jval a, jval b, int depth, bool *out);
bool ib_jinja_hash(jstate *st, jval v, int depth, uint64_t *out);
bool ib_jinja_contains(jstate *st, jval container, jval item, bool *out);
bool ib_jinja_identical(jval a, jval b);
/* len(); TypeError where Python has none. */
bool ib_jinja_length(jstate *st, jval v, int64_t *out);
bool ib_jinja_has_length(jval v);
size_t ib_jinja_find_bytes(const char *hay, size_t n, const char *needle, size_t m);

/* --- text of values (repr.c) --- */
bool ib_jinja_to_str(jstate *st, jval v,
                     jval *out); /* Python's str(); strings come back as they are */
bool ib_jinja_repr(jstate *st, jval v, jval *out);
bool ib_jinja_emit_value(jstate *st, jval v);
bool ib_jinja_add_repr(jstate *st, ib_buf *b, jval v, int depth);
bool ib_jinja_add_str(jstate *st, ib_buf *b, jval v);
size_t ib_jinja_float_repr(double v, char out[40]);
bool ib_jinja_put(jstate *st, ib_buf *b, const char *p, size_t n);
bool ib_jinja_puts(jstate *st, ib_buf *b, const char *zero_terminated);

/* --- operators (ops.c) --- */
typedef enum jop { OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_FLOORDIV, OP_MOD, OP_POW } jop;
bool ib_jinja_binary(jstate *st, jop op, jval a, jval b, jval *out);
bool ib_jinja_negate(jstate *st, jval v, bool minus, jval *out);
bool ib_jinja_getattr(jstate *st, jval object, ib_str name, jval *out);
bool ib_jinja_getitem(jstate *st, jval object, jval key, jval *out);
bool ib_jinja_slice(jstate *st, jval object, jval start, jval stop, jval step, jval *out);
bool ib_jinja_get_path(jstate *st, jval object, jval attribute, jval fallback, jval *out);

/* --- walking (iter.c) --- */
bool ib_jinja_iterate(jstate *st, jval v, jiter *it); /* TypeError when v is not iterable */
bool ib_jinja_next(jstate *st, jiter *it, jval *out, bool *done);
bool ib_jinja_iterable(jval v);
bool ib_jinja_to_list(jstate *st, jval v, jlist **out); /* a new list */
bool ib_jinja_iter_new(jstate *st, jnext_fn next, jval source, void *closure, jval *out);
bool ib_jinja_iter_of_list(jstate *st, jlist *l, const char *type_name, jval *out);

/* --- calling (call.c) --- */
bool ib_jinja_call(jstate *st, jval callee, const jargs *args, jval *out);
bool ib_jinja_callable(jval v);
/* Matches args with parameter names; values not given are J_MISSING. */
bool ib_jinja_bind(jstate *st, const char *function, const jargs *args, const char *const *names,
                   size_t n_required, size_t n_names, jval *out);
bool ib_jinja_no_keywords(jstate *st, const char *function, const jargs *args, size_t min,
                          size_t max);
const jfunc *ib_jinja_find_global(ib_str name);
bool ib_jinja_global(jstate *st, ib_str name, jval *out, bool *found);

/* --- filters, tests, methods --- */
const jfunc *ib_jinja_find_filter(ib_str name);
const jfunc *ib_jinja_find_test(ib_str name);
bool ib_jinja_filter_known_unsupported(ib_str name);
extern const jfunc ib_jinja_seq_filters[], ib_jinja_text_filters[], ib_jinja_html_filters[];
extern const jfunc ib_jinja_str_methods[], ib_jinja_str_find_methods[];
bool ib_jinja_call_filter(jstate *st, jval name, jval self, const jargs *args, jval *out);
bool ib_jinja_call_test(jstate *st, jval name, jval self, const jargs *args, jval *out);
bool ib_jinja_find_method(jstate *st, jval object, ib_str name, jval *out, bool *found);
bool ib_jinja_test_bool(jstate *st, const jfunc *test, jval self, const jargs *args, bool *out);

/* --- formatting (format.c, format_str.c, json_out.c, strftime.c) --- */
bool ib_jinja_format_spec(jstate *st, ib_buf *b, jval v, const jstr *spec);
bool ib_jinja_str_format(jstate *st, const jstr *pattern, const jargs *args, const jdict *map,
                         jval *out);
bool ib_jinja_percent(jstate *st, const jstr *pattern, jval args, jval *out);
bool ib_jinja_tojson(jstate *st, jval self, const jargs *args, jval *out);
bool ib_jinja_strftime(jstate *st, const jstr *format, const struct tm *when, jval *out);
bool ib_jinja_pprint(jstate *st, jval v, jval *out);

/* --- letters (letters.c) --- */
bool ib_jinja_is_space(uint32_t c);
bool ib_jinja_is_alpha(uint32_t c);
bool ib_jinja_is_decimal(uint32_t c);
bool ib_jinja_is_digit(uint32_t c);
bool ib_jinja_is_numeric(uint32_t c);
bool ib_jinja_is_printable(uint32_t c);
bool ib_jinja_is_lower(uint32_t c);
bool ib_jinja_is_upper(uint32_t c);
bool ib_jinja_is_title(uint32_t c);
bool ib_jinja_is_word(uint32_t c);
typedef enum jcase { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_FOLD } jcase;
/* 1 to 3 code points. */
size_t ib_jinja_map_case(uint32_t c, jcase how, uint32_t out[3]);
bool ib_jinja_case(jstate *st, const jstr *s, jcase how, jval *out);
bool ib_jinja_swapcase(jstate *st, const jstr *s, jval *out);
bool ib_jinja_titlecase(jstate *st, const jstr *s, jval *out); /* str.title() */
bool ib_jinja_capitalize(jstate *st, const jstr *s, jval *out);
/* Code point at p (always valid text); *len its bytes. */
uint32_t ib_jinja_char_at(const char *p, size_t *len);

/* Strings as the methods need them. */
bool ib_jinja_strip(jstate *st, const jstr *s, const jstr *chars, bool left, bool right, jval *out);
bool ib_jinja_split_lines(jstate *st, const jstr *s, bool keep_ends, jlist **out);
bool ib_jinja_replace(jstate *st, const jstr *s, const jstr *from, const jstr *to, int64_t count,
                      jval *out);
bool ib_jinja_join(jstate *st, const jstr *separator, const jlist *items, bool strict, jval *out);
bool ib_jinja_pad(jstate *st, const jstr *s, int64_t width, uint32_t fill, char how, jval *out);
bool ib_jinja_rsplit_one(jstate *st, const jstr *s, char at, jval *out);
bool ib_jinja_parse_int(const jstr *s, int base, int64_t *out, bool *overflow);
bool ib_jinja_parse_float(const jstr *s, double *out);
bool ib_jinja_round_float(double v, int64_t digits, double *out);
bool ib_jinja_html_escape(jstate *st, jval v, jval *out);
bool ib_jinja_wordwrap(jstate *st, jval self, const jargs *args, jval *out);
bool ib_jinja_sort(jstate *st, jval self, const jargs *args, jval *out);
bool ib_jinja_dictsort(jstate *st, jval self, const jargs *args, jval *out);
bool ib_jinja_groupby(jstate *st, jval self, const jargs *args, jval *out);
/* Strings to lower case when on, for filters that compare without case. */
bool ib_jinja_fold_key(jstate *st, bool on, jval v, jval *out);
bool ib_jinja_urlize(jstate *st, jval self, const jargs *args, jval *out);

#endif
