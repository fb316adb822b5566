/* SPDX-License-Identifier: MIT
 * Rewrites a regular expression of the reference's dialect (Oniguruma 6.9, its own syntax) as one
 * for PCRE2 (flags UTF, UCP, MULTILINE, newline LF) that matches the same text.
 *
 * The two differ in: the characters of \s, \w, \b and \h; \v; scripts (PCRE2 means their
 * extensions); the end of line; {n,m} followed by + or ?; {,n}; quantifiers on quantified items;
 * options in the middle of a branch; nested and intersected character classes. Whatever is not
 * known to mean the same on both sides is refused with its column. */
#include "text/tok.h"

#include <string.h>

#define MAX_GROUPS 200
#define MAX_CLASS_DEPTH 8
#define POSIX_WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
/* \w outside of classes also has six numbers of Latin-1. */
#define WORD POSIX_WORD "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}"
#define SPACE "\\p{White_Space}"

typedef struct group {
    size_t start; /* offset in out */
    size_t extra; /* groups opened by an option in mid-branch, to be closed with this one */
} group;

typedef struct translator {
    ib_str src;
    size_t pos;
    ib_buf *out;
    size_t atom; /* offset of the last repeatable item in out */
    bool has_atom;
    bool captures; /* the pattern refers back to its groups */
    group groups[MAX_GROUPS];
    size_t depth;
    ib_error *err;
} translator;

static ib_status refuse(const translator *t, ib_status status, const char *what) {
    char source[IB_QUOTED];
    return ib_fail(t->err, status,
                   "%s in the regular expression of tokenizer.json: '%s' at column %zu; fix: use a "
                   "tokenizer whose patterns do without it",
                   what, ib_quote(t->src, source), t->pos + 1);
}

static int peek(const translator *t, size_t ahead) {
    return t->pos + ahead < t->src.len ? (unsigned char)t->src.ptr[t->pos + ahead] : -1;
}

static ib_status put(translator *t, const char *text) {
    return ib_buf_adds(t->out, text, t->err);
}

static bool is_alnum(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* One literal char, safe inside and outside of a class. */
static ib_status put_char(ib_buf *out, uint32_t c, ib_error *err) {
    if (is_alnum((int)c))
        return ib_buf_addc(out, (char)c, err);
    return ib_buf_addf(out, err, "\\x{%X}", c);
}

/* ---- properties ---- */

typedef struct property {
    const char *name;  /* lower case, without blanks, '_' and '-' */
    const char *items; /* for the inside of a class */
} property;

static const property properties[] = {
    {"letter", "\\p{L}"},
    {"casedletter", "\\p{L&}"},
    {"lc", "\\p{L&}"},
    {"uppercaseletter", "\\p{Lu}"},
    {"lowercaseletter", "\\p{Ll}"},
    {"titlecaseletter", "\\p{Lt}"},
    {"modifierletter", "\\p{Lm}"},
    {"otherletter", "\\p{Lo}"},
    {"mark", "\\p{M}"},
    {"combiningmark", "\\p{M}"},
    {"nonspacingmark", "\\p{Mn}"},
    {"spacingmark", "\\p{Mc}"},
    {"enclosingmark", "\\p{Me}"},
    {"number", "\\p{N}"},
    {"decimalnumber", "\\p{Nd}"},
    {"letternumber", "\\p{Nl}"},
    {"othernumber", "\\p{No}"},
    {"punctuation", "\\p{P}"},
    {"connectorpunctuation", "\\p{Pc}"},
    {"dashpunctuation", "\\p{Pd}"},
    {"openpunctuation", "\\p{Ps}"},
    {"closepunctuation", "\\p{Pe}"},
    {"initialpunctuation", "\\p{Pi}"},
    {"finalpunctuation", "\\p{Pf}"},
    {"otherpunctuation", "\\p{Po}"},
    {"symbol", "\\p{S}"},
    {"mathsymbol", "\\p{Sm}"},
    {"currencysymbol", "\\p{Sc}"},
    {"modifiersymbol", "\\p{Sk}"},
    {"othersymbol", "\\p{So}"},
    {"separator", "\\p{Z}"},
    {"spaceseparator", "\\p{Zs}"},
    {"lineseparator", "\\p{Zl}"},
    {"paragraphseparator", "\\p{Zp}"},
    {"other", "\\p{C}"},
    {"control", "\\p{Cc}"},
    {"format", "\\p{Cf}"},
    {"unassigned", "\\p{Cn}"},
    {"privateuse", "\\p{Co}"},
    {"surrogate", "\\p{Cs}"},
    {"any", "\\x{0}-\\x{10FFFF}"},
    {"assigned", "\\P{Cn}"},
    {"alpha", "\\p{Alphabetic}"},
    {"alphabetic", "\\p{Alphabetic}"},
    {"alnum", "\\p{Alphabetic}\\p{Nd}"},
    {"blank", "\\p{Zs}\\t"},
    {"cntrl", "\\p{Cc}"},
    {"digit", "\\p{Nd}"},
    {"lower", "\\p{Lowercase}"},
    {"lowercase", "\\p{Lowercase}"},
    {"upper", "\\p{Uppercase}"},
    {"uppercase", "\\p{Uppercase}"},
    {"space", SPACE},
    {"whitespace", SPACE},
    {"word", POSIX_WORD},
    {"xdigit", "0-9A-Fa-f"},
    {"ascii", "\\x{0}-\\x{7F}"},
    {"ideographic", "\\p{Ideographic}"},
    {"emoji", "\\p{Emoji}"},
    {"emojipresentation", "\\p{Emoji_Presentation}"},
    {"emojimodifier", "\\p{Emoji_Modifier}"},
    {"emojimodifierbase", "\\p{Emoji_Modifier_Base}"},
    {"emojicomponent", "\\p{Emoji_Component}"},
    {"extendedpictographic", "\\p{Extended_Pictographic}"},
    {"idstart", "\\p{ID_Start}"},
    {"idcontinue", "\\p{ID_Continue}"},
    {"xidstart", "\\p{XID_Start}"},
    {"xidcontinue", "\\p{XID_Continue}"},
    {"hexdigit", "\\p{Hex_Digit}"},
    {"asciihexdigit", "\\p{ASCII_Hex_Digit}"},
    {"dash", "\\p{Dash}"},
    {"math", "\\p{Math}"},
    {"diacritic", "\\p{Diacritic}"},
    {"cased", "\\p{Cased}"},
    {"punct", "\\p{P}"},
};

/* Items of the property named `name`; short category names pass, all else is taken for a script. */
static ib_status property_items(translator *t, ib_str name, ib_buf *items) {
    static const char *const categories =
        " l lu ll lt lm lo m mn mc me n nd nl no p pc pd ps pe pi pf po s "
        "sm sc sk so z zs zl zp c cc cf cn co cs ";
    char plain[64] = " ";
    size_t n = 1;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c == ' ' || c == '_' || c == '-')
            continue;
        if (n >= sizeof plain - 2 || !is_alnum((unsigned char)c))
            return refuse(t, IB_E_FORMAT, "bad property name");
        plain[n++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    plain[n] = '\0';
    if (n == 1)
        return refuse(t, IB_E_FORMAT, "empty property name");
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
        if (strcmp(plain + 1, properties[i].name) == 0)
            return ib_buf_adds(items, properties[i].items, t->err);
    plain[n] = ' ';
    plain[n + 1] = '\0';
    bool category = strstr(categories, plain) != NULL;
    plain[n] = '\0';
    if (category) {
        plain[1] = (char)(plain[1] - 32);
        return ib_buf_addf(items, t->err, "\\p{%s}", plain + 1);
    }
    return ib_buf_addf(items, t->err, "\\p{sc:%s}", plain + 1);
}

/* \p{Name}, \p{^Name}, \P{Name}; pos stands behind the p. */
static ib_status read_property(translator *t, bool negated, ib_buf *items, bool *is_negated) {
    if (peek(t, 0) != '{')
        return refuse(t, IB_E_FORMAT, "a property without braces");
    t->pos++;
    if (peek(t, 0) == '^') {
        negated = !negated;
        t->pos++;
    }
    const char *from = t->src.ptr + t->pos;
    const char *close = memchr(from, '}', t->src.len - t->pos);
    if (!close)
        return refuse(t, IB_E_FORMAT, "a property without end");
    *is_negated = negated;
    IB_TRY(property_items(t, (ib_str){from, (size_t)(close - from)}, items));
    t->pos += (size_t)(close - from) + 1;
    return IB_OK;
}

/* ---- escapes ---- */

static int hex_value(int c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static ib_status hex_digits(translator *t, size_t min, size_t max, uint32_t *out) {
    size_t n = 0;
    *out = 0;
    while (n < max && hex_value(peek(t, 0)) >= 0) {
        *out = *out << 4 | (uint32_t)hex_value(peek(t, 0));
        t->pos++;
        n++;
    }
    if (n < min || *out > 0x10FFFF)
        return refuse(t, IB_E_FORMAT, "a bad hexadecimal escape");
    return IB_OK;
}

/* An escape that stands for one char; pos behind the backslash. *is_char = false: something else.
 */
static ib_status char_escape(translator *t, bool *is_char, uint32_t *out) {
    static const char from[] = "nrtfvae", to[] = "\n\r\t\f\v\a\x1B";
    int c = peek(t, 0);
    *is_char = true;
    if (c < 0)
        return refuse(t, IB_E_FORMAT, "a backslash at the end");
    const char *at = memchr(from, c, sizeof from - 1);
    if (at) {
        t->pos++;
        *out = (unsigned char)to[at - from];
        return IB_OK;
    }
    if (c == 'x' && peek(t, 1) == '{') {
        t->pos += 2;
        IB_TRY(hex_digits(t, 1, 8, out));
        if (peek(t, 0) != '}')
            return refuse(t, IB_E_FORMAT, "a bad hexadecimal escape");
        t->pos++;
        return IB_OK;
    }
    if (c == 'x') {
        t->pos++;
        IB_TRY(hex_digits(t, 1, 2, out));
        return *out < 0x80 ? IB_OK : refuse(t, IB_E_UNSUPPORTED, "a raw byte");
    }
    if (c == 'u') {
        t->pos++;
        return hex_digits(t, 4, 4, out);
    }
    if (!is_alnum(c)) {
        *out = ib_tok_next_char(t->src, &t->pos);
        return IB_OK;
    }
    *is_char = false;
    return IB_OK;
}

/* An escape for a set of chars (\s \w \d \h \p and their opposites). *is_set = false: something
 * else. */
static ib_status set_escape(translator *t, bool in_class, bool *is_set, ib_buf *items,
                            bool *negated) {
    int c = peek(t, 0);
    const char *text = NULL;
    *is_set = true;
    *negated = c == 'S' || c == 'W' || c == 'D' || c == 'H' || c == 'P';
    switch (c) {
    case 's':
    case 'S':
        text = SPACE;
        break;
    case 'w':
    case 'W':
        text = in_class ? POSIX_WORD : WORD;
        break;
    case 'd':
    case 'D':
        text = "\\p{Nd}";
        break;
    case 'h':
    case 'H':
        text = "0-9A-Fa-f";
        break;
    case 'p':
    case 'P':
        t->pos++;
        return read_property(t, *negated, items, negated);
    default:
        *is_set = false;
        return IB_OK;
    }
    t->pos++;
    return ib_buf_adds(items, text, t->err);
}

/* ---- character classes ---- */

/* One operand of a class: chars and ranges that fit in one pair of brackets, and other one-char
 * expressions, each led by '|'. */
typedef struct operand {
    ib_buf items, others;
} operand;

static void operand_clear(operand *o) {
    ib_buf_clear(&o->items);
    ib_buf_clear(&o->others);
}

/* The operand as an expression for exactly one char. */
static ib_status operand_put(const operand *o, ib_buf *out, ib_error *err) {
    if (!o->others.len && !o->items.len)
        return ib_buf_adds(out, "(?!)", err);
    if (!o->others.len)
        return ib_buf_addf(out, err, "[%s]", o->items.ptr);
    if (!o->items.len)
        return ib_buf_addf(out, err, "(?:%s)", o->others.ptr + 1);
    return ib_buf_addf(out, err, "(?:[%s]%s)", o->items.ptr, o->others.ptr);
}

static ib_status class_parse(translator *t, int depth, ib_buf *out);

static ib_status add_set(operand *o, const ib_buf *items, bool negated, ib_error *err) {
    if (!negated)
        return ib_buf_add(&o->items, items->ptr, items->len, err);
    /* A single property has an opposite of its own. */
    if (items->len > 3 && items->ptr[0] == '\\' && items->ptr[1] == 'p' &&
        !memchr(items->ptr + 1, '\\', items->len - 1) && items->ptr[items->len - 1] == '}') {
        IB_TRY(ib_buf_adds(&o->items, "\\P", err));
        return ib_buf_add(&o->items, items->ptr + 2, items->len - 2, err);
    }
    return ib_buf_addf(&o->others, err, "|[^%s]", items->ptr);
}

/* [:name:] or [:^name:]; *taken = false when pos does not stand at one. */
static ib_status posix_set(translator *t, operand *o, bool *taken) {
    *taken = false;
    if (peek(t, 0) != '[' || peek(t, 1) != ':')
        return IB_OK;
    size_t from = t->pos + 2, to;
    bool negated = from < t->src.len && t->src.ptr[from] == '^';
    from += negated;
    to = from;
    while (to < t->src.len && is_alnum((unsigned char)t->src.ptr[to]))
        to++;
    if (to + 1 >= t->src.len || t->src.ptr[to] != ':' || t->src.ptr[to + 1] != ']')
        return IB_OK;
    ib_buf items;
    ib_buf_init(&items);
    ib_str name = {t->src.ptr + from, to - from};
    ib_status st = IB_OK;
    /* Two sets are known by what they lack, and [:punct:] has the symbols too. */
    if (ib_str_is(name, "graph") || ib_str_is(name, "print")) {
        negated = !negated;
        st = ib_buf_adds(&items,
                         ib_str_is(name, "graph") ? SPACE "\\p{Cc}\\p{Cn}\\p{Cs}"
                                                  : "\\p{Cc}\\p{Cn}\\p{Cs}\\p{Zl}\\p{Zp}",
                         t->err);
    } else if (ib_str_is(name, "punct")) {
        st = ib_buf_adds(&items, "\\p{P}\\p{S}", t->err);
    } else {
        st = property_items(t, name, &items);
    }
    if (st == IB_OK)
        st = add_set(o, &items, negated, t->err);
    ib_buf_clear(&items);
    t->pos = to + 2;
    *taken = true;
    return st;
}

/* A char, or an escape for one; *is_char = false when a set was added to o instead. */
static ib_status class_char(translator *t, operand *o, bool *is_char, uint32_t *c) {
    bool is_set, negated;
    *is_char = true;
    if (peek(t, 0) != '\\') {
        *c = ib_tok_next_char(t->src, &t->pos);
        return IB_OK;
    }
    t->pos++;
    if (peek(t, 0) == 'b') {
        t->pos++;
        *c = 8;
        return IB_OK;
    }
    IB_TRY(char_escape(t, is_char, c));
    if (*is_char)
        return IB_OK;
    ib_buf items;
    ib_buf_init(&items);
    ib_status st = set_escape(t, true, &is_set, &items, &negated);
    if (st == IB_OK && is_set)
        st = add_set(o, &items, negated, t->err);
    else if (st == IB_OK)
        st = refuse(t, IB_E_UNSUPPORTED, "an escape unknown in a class");
    ib_buf_clear(&items);
    return st;
}

/* One item of a class body: a nested class, a set, a char or a range. */
static ib_status class_item(translator *t, int depth, operand *o) {
    bool taken, is_char;
    uint32_t lo, hi;
    IB_TRY(posix_set(t, o, &taken));
    if (taken)
        return IB_OK;
    if (peek(t, 0) == '[') {
        IB_TRY(ib_buf_addc(&o->others, '|', t->err));
        return class_parse(t, depth + 1, &o->others);
    }
    IB_TRY(class_char(t, o, &is_char, &lo));
    if (!is_char)
        return IB_OK;
    IB_TRY(put_char(&o->items, lo, t->err));
    if (peek(t, 0) != '-' || peek(t, 1) == ']' || peek(t, 1) == '[' || peek(t, 1) < 0)
        return IB_OK;
    t->pos++;
    IB_TRY(class_char(t, o, &is_char, &hi));
    if (!is_char)
        return refuse(t, IB_E_UNSUPPORTED, "a range that ends in a set");
    if (hi < lo)
        return refuse(t, IB_E_FORMAT, "a range that runs backwards");
    IB_TRY(ib_buf_addc(&o->items, '-', t->err));
    return put_char(&o->items, hi, t->err);
}

/* Operands up to the closing bracket, joined by &&: all but the last become lookaheads in `heads`.
 */
static ib_status class_body(translator *t, int depth, operand *o, ib_buf *heads) {
    bool first = true;
    for (;; first = false) {
        if (peek(t, 0) < 0)
            return refuse(t, IB_E_FORMAT, "a character class without end");
        if (peek(t, 0) == ']' && !first) {
            t->pos++;
            return IB_OK;
        }
        if (peek(t, 0) == '&' && peek(t, 1) == '&') {
            t->pos += 2;
            IB_TRY(ib_buf_adds(heads, "(?=", t->err));
            IB_TRY(operand_put(o, heads, t->err));
            IB_TRY(ib_buf_addc(heads, ')', t->err));
            ib_buf_reset(&o->items);
            ib_buf_reset(&o->others);
            continue;
        }
        IB_TRY(class_item(t, depth, o));
    }
}

/* A class; pos stands at its opening bracket. */
static ib_status class_parse(translator *t, int depth, ib_buf *out) {
    operand o = {{0}, {0}};
    ib_buf heads;
    ib_status st;
    bool negated = peek(t, 1) == '^';
    if (depth >= MAX_CLASS_DEPTH)
        return refuse(t, IB_E_UNSUPPORTED, "classes nested too deep");
    ib_buf_init(&heads);
    t->pos += 1 + negated;
    st = class_body(t, depth, &o, &heads);
    if (st == IB_OK && negated && !heads.len && !o.others.len && o.items.len)
        st = ib_buf_addf(out, t->err, "[^%s]", o.items.ptr);
    else if (st == IB_OK) {
        st = ib_buf_addf(out, t->err, negated ? "(?:(?!%s" : "(?:%s", heads.len ? heads.ptr : "");
        if (st == IB_OK)
            st = operand_put(&o, out, t->err);
        if (st == IB_OK)
            st = ib_buf_adds(out, negated ? ")(?s:.))" : ")", t->err);
    }
    operand_clear(&o);
    ib_buf_clear(&heads);
    return st;
}

/* ---- groups and quantifiers ---- */

static ib_status open_group(translator *t, const char *text) {
    if (t->depth >= MAX_GROUPS)
        return refuse(t, IB_E_RESOURCE, "more than 200 groups in each other");
    t->groups[t->depth++] = (group){t->out->len, 0};
    t->has_atom = false;
    return put(t, text);
}

/* (?imx-imx) and (?imx-imx:...); pos behind "(?". */
static ib_status options(translator *t) {
    char flags[16] = "(?";
    size_t n = 2;
    for (;;) {
        int c = peek(t, 0);
        t->pos++;
        if (c == ':' || c == ')') {
            flags[n] = '\0';
            if (c == ':')
                IB_TRY(open_group(t, flags));
            else
                IB_TRY(put(t, flags));
            if (c == ')') {
                /* Oniguruma: the rest of the group, its alternatives included, is a group. */
                t->groups[t->depth ? t->depth - 1 : MAX_GROUPS - 1].extra++;
                t->has_atom = false;
            }
            return put(t, ":");
        }
        if (n >= sizeof flags - 2 || (c != 'i' && c != 'm' && c != '-'))
            return refuse(t, IB_E_UNSUPPORTED, "an option or kind of group");
        flags[n++] = (char)(c == 'm' ? 's' : c);
    }
}

static ib_status group_open(translator *t) {
    static const char *const same[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"};
    t->pos++;
    if (peek(t, 0) != '?')
        return open_group(t, t->captures ? "(" : "(?:");
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        size_t n = strlen(same[i]) - 1;
        if (t->src.len - t->pos >= n && memcmp(t->src.ptr + t->pos, same[i] + 1, n) == 0) {
            t->pos += n;
            return open_group(t, same[i]);
        }
    }
    if (peek(t, 1) == '#') {
        const char *close = memchr(t->src.ptr + t->pos, ')', t->src.len - t->pos);
        if (!close)
            return refuse(t, IB_E_FORMAT, "a comment without end");
        t->pos = (size_t)(close - t->src.ptr) + 1;
        return IB_OK;
    }
    if (peek(t, 1) == '<' && is_alnum(peek(t, 2))) {
        const char *close = memchr(t->src.ptr + t->pos, '>', t->src.len - t->pos);
        if (!close || t->captures)
            return refuse(t, IB_E_UNSUPPORTED, "a named group");
        t->pos = (size_t)(close - t->src.ptr) + 1;
        return open_group(t, "(?:");
    }
    t->pos++;
    return options(t);
}

static ib_status close_extra(translator *t, size_t n) {
    while (n--)
        IB_TRY(put(t, ")"));
    return IB_OK;
}

static ib_status group_close(translator *t) {
    if (!t->depth)
        return refuse(t, IB_E_FORMAT, "a closing parenthesis too many");
    const group *g = &t->groups[--t->depth];
    IB_TRY(close_extra(t, g->extra));
    t->pos++;
    t->atom = g->start;
    t->has_atom = true;
    return put(t, ")");
}

/* Puts (?: ) around what was written since the last item began. */
static ib_status wrap_atom(translator *t) {
    size_t n = t->out->len - t->atom;
    IB_TRY(put(t, "(?:)"));
    char *p = t->out->ptr + t->atom;
    memmove(p + 3, p, n);
    memcpy(p, "(?:", 3);
    p[n + 3] = ')';
    return IB_OK;
}

/* {n}, {n,}, {,m}, {n,m}; *taken = false when it is just a brace. */
static ib_status interval(translator *t, bool *taken, bool *fixed) {
    uint32_t n[2] = {0, 0};
    size_t p = t->pos + 1, digits[2] = {0, 0}, k = 0;
    for (; p < t->src.len && t->src.ptr[p] != '}'; p++) {
        char c = t->src.ptr[p];
        if (c == ',' && k == 0) {
            k = 1;
            continue;
        }
        if (c < '0' || c > '9')
            break;
        digits[k]++;
        n[k] = n[k] * 10 + (uint32_t)(c - '0');
        if (n[k] > 60000)
            return refuse(t, IB_E_UNSUPPORTED, "a repeat count over 60000");
    }
    *taken = p < t->src.len && t->src.ptr[p] == '}' && (digits[0] || digits[1]);
    *fixed = k == 0;
    if (!*taken)
        return IB_OK;
    if (k == 1 && digits[1] && n[1] < n[0])
        return refuse(t, IB_E_UNSUPPORTED, "a repeat count that runs backwards");
    t->pos = p + 1;
    if (k == 0)
        return ib_buf_addf(t->out, t->err, "{%u}", n[0]);
    if (!digits[1])
        return ib_buf_addf(t->out, t->err, "{%u,}", n[0]);
    return ib_buf_addf(t->out, t->err, "{%u,%u}", n[0], n[1]);
}

/* Quantifiers behind an item; pos stands at the first. */
static ib_status quantifiers(translator *t) {
    for (bool again = false;; again = true) {
        int c = peek(t, 0);
        bool taken = c == '*' || c == '+' || c == '?', fixed = false;
        if (c != '{' && !taken)
            return IB_OK;
        if (!t->has_atom)
            return refuse(t, IB_E_FORMAT, "a repeat operator without an item");
        if (again)
            IB_TRY(wrap_atom(t));
        if (taken) {
            t->pos++;
            IB_TRY(ib_buf_addc(t->out, (char)c, t->err));
            int next = peek(t, 0);
            if (next == '?' || next == '+') {
                t->pos++;
                IB_TRY(ib_buf_addc(t->out, (char)next, t->err));
            }
            continue;
        }
        IB_TRY(interval(t, &taken, &fixed));
        if (!taken)
            return IB_OK;
        if (peek(t, 0) == '?' && !fixed) {
            t->pos++;
            IB_TRY(put(t, "?"));
        }
    }
}

/* ---- everything else ---- */

static ib_status escape(translator *t) {
    bool yes, negated = false;
    uint32_t c;
    t->pos++;
    IB_TRY(char_escape(t, &yes, &c));
    if (yes)
        return put_char(t->out, c, t->err);
    ib_buf items;
    ib_buf_init(&items);
    ib_status st = set_escape(t, false, &yes, &items, &negated);
    if (st == IB_OK && yes)
        st = ib_buf_addf(t->out, t->err, "[%s%s]", negated ? "^" : "", items.ptr);
    ib_buf_clear(&items);
    if (st != IB_OK || yes)
        return st;
    int e = peek(t, 0);
    t->pos++;
    switch (e) {
    case 'A':
    case 'z':
    case 'Z':
    case 'G':
    case 'R':
    case 'X':
        return ib_buf_addf(t->out, t->err, "\\%c", e);
    case 'b':
        return put(t, "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))");
    case 'B':
        return put(t, "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))");
    case 'N':
        return put(t, "[^\\n]");
    case 'O':
        return put(t, "(?s:.)");
    default:
        if (e >= '1' && e <= '9' && !(peek(t, 0) >= '0' && peek(t, 0) <= '9'))
            return ib_buf_addf(t->out, t->err, "(?:\\%c)", e);
        t->pos--;
        return refuse(t, IB_E_UNSUPPORTED, "an escape");
    }
}

static ib_status item(translator *t) {
    int c = peek(t, 0);
    t->atom = t->out->len;
    t->has_atom = true;
    if (c == '\\')
        return escape(t);
    if (c == '[')
        return class_parse(t, 0, t->out);
    if (c == '.' || c == '^') {
        t->pos++;
        return ib_buf_addc(t->out, (char)c, t->err);
    }
    if (c == '$') {
        t->pos++;
        return put(t, "(?:(?=\\n)|(?<!\\n)\\z)");
    }
    return put_char(t->out, ib_tok_next_char(t->src, &t->pos), t->err);
}

bool ib_tok_refers_back(ib_str s) {
    for (size_t i = 0; i + 1 < s.len; i++)
        if (s.ptr[i] == '\\') {
            if (s.ptr[i + 1] >= '1' && s.ptr[i + 1] <= '9')
                return true;
            i++;
        }
    return false;
}

ib_status ib_tok_regex_translate(ib_str source, ib_buf *out, ib_error *err) {
    translator t = {.src = source, .out = out, .captures = ib_tok_refers_back(source), .err = err};
    if (source.len > IB_TOK_MAX_REGEX)
        return ib_fail(
            err, IB_E_RESOURCE,
            "regular expression too long in tokenizer.json: %zu bytes, the cap is %zu; fix: "
            "use another tokenizer",
            source.len, IB_TOK_MAX_REGEX);
    IB_TRY(ib_buf_reserve(out, source.len * 2, err));
    while (t.pos < source.len) {
        int c = peek(&t, 0);
        if (c == '(') {
            IB_TRY(group_open(&t));
            continue;
        }
        if (c == '|') {
            t.pos++;
            t.has_atom = false;
            IB_TRY(put(&t, "|"));
            continue;
        }
        if (c == ')')
            IB_TRY(group_close(&t));
        else if (c != '*' && c != '+' && c != '?')
            IB_TRY(item(&t));
        IB_TRY(quantifiers(&t));
    }
    if (t.depth)
        return refuse(&t, IB_E_FORMAT, "a group without end");
    return close_extra(&t, t.groups[MAX_GROUPS - 1].extra);
}
