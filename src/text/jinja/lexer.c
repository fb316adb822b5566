/* SPDX-License-Identifier: MIT
 * Template text -> tokens, as Jinja2's lexer does with trim_blocks and lstrip_blocks: line ends
 * become LF, one trailing LF is dropped, whitespace control is applied here. The first thing that
 * cannot be read becomes a T_ERROR token, so that errors come in the order of the text. */
#include "text/jinja/ast.h"

#include <string.h>

typedef struct lexer {
    jcompiler *c;
    const char *p, *end;
    int line;
    bool line_starting;
    size_t n_brackets;
    char brackets[256];
} lexer;

static bool push(lexer *x, jtok type, int line, ib_str text) {
    jcompiler *c = x->c;
    if (c->n_tokens == c->cap_tokens) {
        size_t cap = c->cap_tokens ? c->cap_tokens * 2 : 256;
        jtoken *grown = ib_jinja_compile_alloc(c, cap * sizeof *grown);
        if (!grown)
            return false;
        if (c->n_tokens)
            memcpy(grown, c->tokens, c->n_tokens * sizeof *grown);
        c->tokens = grown;
        c->cap_tokens = cap;
    }
    c->tokens[c->n_tokens++] = (jtoken){type, line, text};
    return true;
}

/* Ends the token list with an error; the caller returns false to stop the lexer. */
static bool stop(lexer *x, const char *fmt, ...) IB_PRINTF(2, 3);
static bool stop(lexer *x, const char *fmt, ...) {
    char text[160];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ib_error err;
    ib_str copy = ib_arena_str(&x->c->t->arena, ib_str_of(text), &err);
    if (copy.ptr)
        (void)push(x, T_ERROR, x->line, copy);
    return false;
}

static bool space_at(const lexer *x, const char *p, size_t *len) {
    if (p >= x->end)
        return false;
    return ib_jinja_is_space(ib_jinja_char_at(p, len));
}

static const char *skip_space(lexer *x, const char *p, bool count) {
    size_t len;
    while (space_at(x, p, &len)) {
        if (count && *p == '\n')
            x->line++;
        p += len;
    }
    return p;
}

/* Where the whitespace at the end of [from, to) begins. */
static const char *before_space(const char *from, const char *to) {
    while (to > from) {
        const char *q = to - 1;
        size_t len;
        while (q > from && ((unsigned char)*q & 0xC0) == 0x80)
            q--;
        if (!ib_jinja_is_space(ib_jinja_char_at(q, &len)))
            break;
        to = q;
    }
    return to;
}

static int count_lines(const char *from, const char *to) {
    int n = 0;
    for (; from < to; from++)
        n += *from == '\n';
    return n;
}

/* Emits the text before a tag, cut as sign and lstrip_blocks ask; x->line moves over all of it. */
static bool data_before(lexer *x, const char *from, const char *to, char sign, bool variable) {
    const char *cut = to;
    int line = x->line;
    if (sign == '-') {
        cut = before_space(from, to);
    } else if (sign != '+' && !variable) {
        const char *start = to;
        while (start > from && start[-1] != '\n')
            start--;
        if ((start > from || x->line_starting) && start < to && before_space(start, to) == start)
            cut = start;
    }
    x->line += count_lines(from, to);
    if (cut > from)
        return push(x, T_DATA, line, (ib_str){from, (size_t)(cut - from)});
    return true;
}

static char sign_at(const lexer *x, const char *p) {
    return p < x->end && (*p == '-' || *p == '+') ? *p : 0;
}

/* The end of a block tag at p: "%}", "-%}" or "+%}" with what it swallows. NULL when it is none. */
static const char *block_end(lexer *x, const char *p, const char *close) {
    char sign = sign_at(x, p);
    const char *q = p + (sign != 0);
    if (x->end - q < 2 || memcmp(q, close, 2) != 0)
        return NULL;
    q += 2;
    if (sign == '-')
        return skip_space(x, q, false);
    if (sign == 0 && q < x->end && *q == '\n')
        q++;
    return q;
}

static void move_to(lexer *x, const char *to) {
    x->line += count_lines(x->p, to);
    x->line_starting = to > x->p && to[-1] == '\n';
    x->p = to;
}

/* {% raw %} at p: returns where its text begins, or NULL. */
static const char *raw_begin(lexer *x, const char *p) {
    const char *q = p + 2;
    q += sign_at(x, q) != 0;
    q = skip_space(x, q, false);
    if (x->end - q < 3 || memcmp(q, "raw", 3) != 0)
        return NULL;
    q = skip_space(x, q + 3, false);
    if (x->end - q >= 3 && memcmp(q, "-%}", 3) == 0)
        return skip_space(x, q + 3, false);
    if (x->end - q >= 2 && memcmp(q, "%}", 2) == 0)
        return q + 2;
    return NULL;
}

static const char *endraw(lexer *x, const char *p, char *sign) {
    const char *q = p + 2;
    *sign = sign_at(x, q);
    q += *sign != 0;
    q = skip_space(x, q, false);
    if (x->end - q < 6 || memcmp(q, "endraw", 6) != 0)
        return NULL;
    return block_end(x, skip_space(x, q + 6, false), "%}");
}

static bool lex_raw(lexer *x, const char *body) {
    move_to(x, body);
    for (const char *q = body; x->end - q >= 2; q++) {
        char sign;
        if (q[0] != '{' || q[1] != '%')
            continue;
        const char *after = endraw(x, q, &sign);
        if (!after)
            continue;
        if (!data_before(x, body, q, sign, false))
            return false;
        x->p = q;
        move_to(x, after);
        return true;
    }
    return body >= x->end || stop(x, "Missing end of raw directive");
}

static bool lex_comment(lexer *x, const char *p) {
    for (const char *q = p; x->end - q >= 2; q++) {
        const char *after = NULL;
        if (*q == '#' || ((*q == '-' || *q == '+') && q[1] == '#'))
            after = block_end(x, q, "#}");
        if (after) {
            move_to(x, after);
            return true;
        }
    }
    return p >= x->end || stop(x, "Missing end of comment tag");
}

/* --- inside tags --- */

static bool is_digit(char ch) {
    return ch >= '0' && ch <= '9';
}

/* (\d+_)*\d+ */
static const char *digits(const lexer *x, const char *p) {
    if (p >= x->end || !is_digit(*p))
        return NULL;
    while (p < x->end && (is_digit(*p) || (*p == '_' && p + 1 < x->end && is_digit(p[1]))))
        p++;
    return p;
}

static const char *float_at(const lexer *x, const char *p) {
    const char *q = p > x->c->t->source.ptr && p[-1] == '.' ? NULL : digits(x, p), *r;
    bool fraction = false;
    if (!q)
        return NULL;
    if (q < x->end && *q == '.' && (r = digits(x, q + 1)) != NULL) {
        q = r;
        fraction = true;
    }
    if (q < x->end && (*q == 'e' || *q == 'E')) {
        r = q + 1;
        if (r < x->end && (*r == '+' || *r == '-'))
            r++;
        r = digits(x, r);
        if (r)
            return r;
    }
    return fraction ? q : NULL;
}

static bool based_digit(char ch, char base) {
    if (base == 'b')
        return ch == '0' || ch == '1';
    if (base == 'o')
        return ch >= '0' && ch <= '7';
    return is_digit(ch) || (ch >= 'a' && ch <= 'f') || (ch >= 'A' && ch <= 'F');
}

static const char *int_at(const lexer *x, const char *p) {
    if (!is_digit(*p))
        return NULL;
    if (*p == '0' && x->end - p >= 3) {
        char base = (char)(p[1] | 0x20);
        const char *q = p + 2;
        if (base == 'b' || base == 'o' || base == 'x') {
            while (q < x->end && (based_digit(*q, base) ||
                                  (*q == '_' && q + 1 < x->end && based_digit(q[1], base))))
                q++;
            if (q > p + 2)
                return q;
        }
    }
    bool zero = *p == '0';
    for (p++; p < x->end; p++) {
        const char *q = p + (*p == '_');
        if (q >= x->end || !is_digit(*q) || (zero && *q != '0'))
            break;
        p = q;
    }
    return p;
}

static const char *name_at(const lexer *x, const char *p) {
    while (p < x->end) {
        size_t len;
        if (!ib_jinja_is_word(ib_jinja_char_at(p, &len)))
            break;
        p += len;
    }
    return p;
}

static int hex_value(char ch) {
    if (is_digit(ch))
        return ch - '0';
    ch = (char)(ch | 0x20);
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

typedef struct unescape {
    char *to; /* room for twice the input: a backslash before a wide letter grows */
    const char *p, *end;
} unescape;

static bool put_code(lexer *x, unescape *u, uint32_t code) {
    if (code >= 0xD800 && code <= 0xDFFF)
        return stop(x, "lone surrogate \\u%04x in a string", (unsigned)code);
    if (code > 0x10FFFF)
        return stop(x, "illegal Unicode character");
    u->to += ib_utf8_encode(code, u->to);
    return true;
}

static bool hex_escape(lexer *x, unescape *u, int n, const char *kind) {
    uint32_t code = 0;
    for (int i = 0; i < n; i++) {
        int v = u->p < u->end ? hex_value(*u->p) : -1;
        if (v < 0)
            return stop(x, "truncated %s escape", kind);
        code = code << 4 | (uint32_t)v;
        u->p++;
    }
    return put_code(x, u, code);
}

static bool octal_escape(lexer *x, unescape *u) {
    uint32_t code = 0;
    for (int i = 0; i < 3 && u->p < u->end && *u->p >= '0' && *u->p <= '7'; i++)
        code = code * 8 + (uint32_t)(*u->p++ - '0');
    return put_code(x, u, code);
}

/* u->p stands behind a backslash. */
static bool escape(lexer *x, unescape *u) {
    static const char from[] = "ntrbfva\\'\"", to[] = "\n\t\r\b\f\v\a\\'\"";
    char ch = *u->p;
    const char *known = ch ? strchr(from, ch) : NULL;
    if (known) {
        *u->to++ = to[known - from];
        u->p++;
        return true;
    }
    if (ch >= '0' && ch <= '7')
        return octal_escape(x, u);
    u->p++;
    switch (ch) {
    case '\n':
        return true;
    case 'x':
        return hex_escape(x, u, 2, "\\xXX");
    case 'u':
        return hex_escape(x, u, 4, "\\uXXXX");
    case 'U':
        return hex_escape(x, u, 8, "\\UXXXXXXXX");
    case 'N':
        return stop(x, "character names (\\N{...}) are not supported");
    default:
        break;
    }
    *u->to++ = '\\';
    if (!((unsigned char)ch & 0x80)) {
        *u->to++ = ch;
        return true;
    }
    /* Python turns letters beyond ASCII into escapes first; the backslash before eats theirs. */
    size_t len;
    uint32_t code = ib_jinja_char_at(u->p - 1, &len);
    int wrote = snprintf(u->to, 12,
                         code < 0x100     ? "x%02x"
                         : code < 0x10000 ? "u%04x"
                                          : "U%08x",
                         (unsigned)code);
    u->to += wrote;
    u->p += len - 1;
    return true;
}

static bool lex_string(lexer *x, const char *close) {
    size_t raw = (size_t)(close - x->p - 1);
    char *text = ib_jinja_compile_alloc(x->c, raw * 5 + 16);
    if (!text)
        return false;
    unescape u = {text, x->p + 1, close};
    while (u.p < u.end) {
        if (*u.p != '\\') {
            *u.to++ = *u.p++;
            continue;
        }
        u.p++;
        if (!escape(x, &u))
            return false;
    }
    return push(x, T_STRING, x->line, (ib_str){text, (size_t)(u.to - text)});
}

static const char *string_end(const lexer *x, const char *p) {
    char quote = *p;
    for (p++; p < x->end; p++) {
        if (*p == '\\')
            p++;
        else if (*p == quote)
            return p;
    }
    return NULL;
}

static const struct {
    char text[3];
    jtok type;
} operators[] = {{"//", T_FLOORDIV}, {"**", T_POW},     {"==", T_EQ},    {"!=", T_NE},
                 {">=", T_GE},       {"<=", T_LE},      {"+", T_ADD},    {"-", T_SUB},
                 {"/", T_DIV},       {"*", T_MUL},      {"%", T_MOD},    {"~", T_TILDE},
                 {"[", T_LBRACKET},  {"]", T_RBRACKET}, {"(", T_LPAREN}, {")", T_RPAREN},
                 {"{", T_LBRACE},    {"}", T_RBRACE},   {">", T_GT},     {"<", T_LT},
                 {"=", T_ASSIGN},    {".", T_DOT},      {":", T_COLON},  {"|", T_PIPE},
                 {",", T_COMMA},     {";", T_SEMICOLON}};

static bool balance(lexer *x, char ch) {
    if (ch == '(' || ch == '[' || ch == '{') {
        if (x->n_brackets == sizeof x->brackets)
            return stop(x, "too many nested brackets");
        x->brackets[x->n_brackets++] = ch == '(' ? ')' : ch == '[' ? ']' : '}';
        return true;
    }
    if (ch != ')' && ch != ']' && ch != '}')
        return true;
    if (x->n_brackets == 0)
        return stop(x, "unexpected '%c'", ch);
    char expected = x->brackets[--x->n_brackets];
    if (expected != ch)
        return stop(x, "unexpected '%c', expected '%c'", ch, expected);
    return true;
}

static bool lex_operator(lexer *x) {
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        size_t n = strlen(operators[i].text);
        if ((size_t)(x->end - x->p) < n || memcmp(x->p, operators[i].text, n) != 0)
            continue;
        if (n == 1 && !balance(x, *x->p))
            return false;
        if (!push(x, operators[i].type, x->line, (ib_str){x->p, n}))
            return false;
        x->p += n;
        return true;
    }
    char shown[IB_QUOTED];
    size_t len;
    (void)ib_jinja_char_at(x->p, &len);
    return stop(x, "unexpected char '%s' at %zu", ib_quote((ib_str){x->p, len}, shown),
                (size_t)(x->p - x->c->t->source.ptr));
}

/* One number, name, string or operator. */
static bool lex_piece(lexer *x) {
    const char *q;
    if ((q = float_at(x, x->p)) != NULL || (q = int_at(x, x->p)) != NULL) {
        jtok type = float_at(x, x->p) ? T_FLOAT : T_INT;
        bool ok = push(x, type, x->line, (ib_str){x->p, (size_t)(q - x->p)});
        x->p = q;
        return ok;
    }
    q = name_at(x, x->p);
    if (q > x->p) {
        size_t len;
        if (!ib_jinja_is_alpha(ib_jinja_char_at(x->p, &len)) && *x->p != '_')
            return stop(x, "Invalid character in identifier");
        bool ok = push(x, T_NAME, x->line, (ib_str){x->p, (size_t)(q - x->p)});
        x->p = q;
        return ok;
    }
    if ((*x->p == '"' || *x->p == '\'') && (q = string_end(x, x->p)) != NULL) {
        if (!lex_string(x, q))
            return false;
        move_to(x, q + 1);
        return true;
    }
    return lex_operator(x);
}

/* The inside of {% %} or {{ }} up to and with its end. */
static bool lex_tag(lexer *x, bool variable) {
    x->n_brackets = 0;
    while (x->p < x->end) {
        const char *after = NULL;
        if (x->n_brackets == 0 && !variable) {
            after = block_end(x, x->p, "%}");
        } else if (x->n_brackets == 0) {
            const char *q = x->p + (*x->p == '-');
            if (x->end - q >= 2 && memcmp(q, "}}", 2) == 0)
                after = q > x->p ? skip_space(x, q + 2, false) : q + 2;
        }
        if (after) {
            if (!push(x, variable ? T_VAR_END : T_BLOCK_END, x->line, (ib_str){x->p, 2}))
                return false;
            move_to(x, after);
            return true;
        }
        size_t len;
        if (space_at(x, x->p, &len)) {
            move_to(x, skip_space(x, x->p, false));
            continue;
        }
        if (!lex_piece(x))
            return false;
    }
    return true;
}

/* The next tag from p on: its first byte, or NULL. */
static const char *next_tag(const lexer *x, const char *p) {
    for (; x->end - p >= 2; p++)
        if (p[0] == '{' && (p[1] == '%' || p[1] == '{' || p[1] == '#'))
            return p;
    return NULL;
}

static bool lex_all(lexer *x) {
    while (x->p < x->end) {
        const char *tag = next_tag(x, x->p), *raw;
        if (!tag)
            return push(x, T_DATA, x->line, (ib_str){x->p, (size_t)(x->end - x->p)});
        char kind = tag[1], sign = sign_at(x, tag + 2);
        if (!data_before(x, x->p, tag, sign, kind == '{'))
            return false;
        if (kind == '%' && (raw = raw_begin(x, tag)) != NULL) {
            x->p = tag;
            if (!lex_raw(x, raw))
                return false;
            continue;
        }
        x->p = tag + 2 + (sign != 0);
        x->line_starting = false;
        if (kind == '#') {
            if (!lex_comment(x, x->p))
                return false;
            continue;
        }
        if (!push(x, kind == '{' ? T_VAR_BEGIN : T_BLOCK_BEGIN, x->line, (ib_str){tag, 2}) ||
            !lex_tag(x, kind == '{'))
            return false;
    }
    return true;
}

bool ib_jinja_tokenize(jcompiler *c) {
    lexer x = {.c = c,
               .p = c->t->source.ptr,
               .end = c->t->source.ptr + c->t->source.len,
               .line = 1,
               .line_starting = true};
    bool complete = lex_all(&x);
    if (!complete && (c->n_tokens == 0 || c->tokens[c->n_tokens - 1].type != T_ERROR))
        return ib_jinja_syntax(c, IB_E_RESOURCE, "MemoryError", x.line,
                               "out of memory reading the template");
    return push(&x, T_EOF, x.line, (ib_str){"", 0}) ||
           ib_jinja_syntax(c, IB_E_RESOURCE, "MemoryError", x.line,
                           "out of memory reading the template");
}
