/* SPDX-License-Identifier: MIT
 * tokenizer.json -> a JSON tree in which /model/vocab and /model/merges are null, plus those two as
 * flat arrays. They make up nearly the whole of a file of 10 to 30 MB; a tree of them would cost
 * four times the file in memory and most of the opening time.
 *
 * One cursor walks the text. What it does not understand outside the two members it leaves to the
 * general parser, which then refuses the file with line and column. Strings without escapes are
 * slices of the file's text. */
#include "base/file.h"
#include "text/tok.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct cursor {
    ib_tok_file *f;
    const char *begin, *p, *end;
    size_t cut_from[4], cut_to[4]; /* spans that the tree must not see */
    size_t n_cuts;
    ib_error *err;
} cursor;

static ib_status bad(const cursor *c, const char *what) {
    return ib_fail(c->err, IB_E_FORMAT,
                   "invalid JSON in tokenizer.json at byte %zu: %s; fix: re-download the file",
                   (size_t)(c->p - c->begin), what);
}

static void blanks(cursor *c) {
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\t' || *c->p == '\r'))
        c->p++;
}

static bool take(cursor *c, char ch) {
    blanks(c);
    if (c->p >= c->end || *c->p != ch)
        return false;
    c->p++;
    return true;
}

static bool hex4(const char *p, uint32_t *out) {
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char h = p[i];
        int d = h >= '0' && h <= '9'   ? h - '0'
                : h >= 'a' && h <= 'f' ? h - 'a' + 10
                : h >= 'A' && h <= 'F' ? h - 'A' + 10
                                       : -1;
        if (d < 0)
            return false;
        v = v << 4 | (uint32_t)d;
    }
    *out = v;
    return true;
}

/* \uHHHH, with its second half where it is a surrogate; c->p stands behind "\u". */
static ib_status unicode_escape(cursor *c, uint32_t *out) {
    uint32_t hi, lo;
    if (c->end - c->p < 4 || !hex4(c->p, &hi))
        return bad(c, "a \\u escape without four hex digits");
    c->p += 4;
    *out = hi;
    if (hi < 0xD800 || hi > 0xDFFF)
        return IB_OK;
    if (hi > 0xDBFF || c->end - c->p < 6 || c->p[0] != '\\' || c->p[1] != 'u' ||
        !hex4(c->p + 2, &lo) || lo < 0xDC00 || lo > 0xDFFF)
        return bad(c, "a lone surrogate");
    c->p += 6;
    *out = 0x10000 + ((hi - 0xD800) << 10) + (lo - 0xDC00);
    return IB_OK;
}

static ib_status escaped(cursor *c, char *to, size_t *n) {
    static const char from[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
    if (c->p >= c->end)
        return bad(c, "a string without end");
    char ch = *c->p++;
    if (ch == 'u') {
        uint32_t code = 0;
        IB_TRY(unicode_escape(c, &code));
        *n += ib_utf8_encode(code, to + *n);
        return IB_OK;
    }
    const char *at = ch ? strchr(from, ch) : NULL;
    if (!at)
        return bad(c, "an unknown escape");
    to[(*n)++] = plain[at - from];
    return IB_OK;
}

/* The closing quote of a string, escapes stepped over; NULL when there is none. */
static const char *closing_quote(const char *p, const char *end) {
    for (; p < end; p++) {
        if (*p == '"')
            return p;
        if (*p == '\\')
            p++;
    }
    return NULL;
}

/* A string whose opening quote was taken and that holds escapes. */
static ib_status long_string(cursor *c, ib_str *out) {
    const char *close = closing_quote(c->p, c->end);
    if (!close)
        return bad(c, "a string without end");
    char *to = ib_arena_alloc(&c->f->strings, (size_t)(close - c->p) + 4, c->err);
    size_t n = 0;
    if (!to)
        return IB_E_RESOURCE;
    while (c->p < close) {
        uint32_t code;
        size_t len;
        if (*c->p == '\\') {
            c->p++;
            IB_TRY(escaped(c, to, &n));
            continue;
        }
        if ((unsigned char)*c->p < 0x20)
            return bad(c, "a control character in a string");
        len = ib_utf8_decode(c->p, c->end, &code);
        if (!len)
            return bad(c, "bytes that are not UTF-8");
        memcpy(to + n, c->p, len);
        n += len;
        c->p += len;
    }
    if (c->p != close)
        return bad(c, "a broken escape");
    c->p++;
    *out = (ib_str){to, n};
    return IB_OK;
}

/* A string; c->p stands at its opening quote. */
static ib_status string(cursor *c, ib_str *out) {
    if (!take(c, '"'))
        return bad(c, "a string was expected");
    const char *start = c->p, *p = start;
    while (p < c->end) {
        unsigned char ch = (unsigned char)*p;
        if (ch == '"') {
            *out = (ib_str){start, (size_t)(p - start)};
            c->p = p + 1;
            return IB_OK;
        }
        if (ch == '\\')
            return long_string(c, out);
        if (ch >= 0x80) {
            uint32_t code;
            size_t len = ib_utf8_decode(p, c->end, &code);
            if (!len) {
                c->p = p;
                return bad(c, "bytes that are not UTF-8");
            }
            p += len;
        } else if (ch < 0x20) {
            c->p = p;
            return bad(c, "a control character in a string");
        } else {
            p++;
        }
    }
    return bad(c, "a string without end");
}

static ib_str number(cursor *c) {
    blanks(c);
    const char *start = c->p;
    while (c->p < c->end && *c->p && strchr("+-.eE0123456789", *c->p))
        c->p++;
    return (ib_str){start, (size_t)(c->p - start)};
}

/* The reference's reading of a real: digits into 64 bits (what does not fit is dropped), then one
 * rounding multiplication or division. It can differ from the nearest double in the last bit, and
 * Unigram compares sums of scores: text with several best segmentations shows the difference. */
static bool reference_real(ib_str text, double *out) {
    uint64_t digits = 0;
    int exponent = 0;
    bool point = false, full = false;
    size_t i = text.len && text.ptr[0] == '-';
    double value;
    if (!ib_parse_double(text, out))
        return false;
    for (; i < text.len && text.ptr[i] != 'e' && text.ptr[i] != 'E'; i++) {
        if (text.ptr[i] == '.') {
            point = true;
            continue;
        }
        uint64_t digit = (uint64_t)(text.ptr[i] - '0');
        full = full || digits > (UINT64_MAX - digit) / 10;
        if (!full)
            digits = digits * 10 + digit;
        exponent += full ? !point : -(int)point;
    }
    if (i < text.len) {
        int64_t e;
        ib_str rest = {text.ptr + i + 1, text.len - i - 1};
        if (rest.len && rest.ptr[0] == '+')
            rest = (ib_str){rest.ptr + 1, rest.len - 1};
        if (!ib_parse_i64(rest, &e) || e > 400 || e < -400)
            return true;
        exponent += (int)e;
    }
    if (exponent > 308 || exponent < -308)
        return true;
    value = exponent < 0 ? (double)digits / pow(10, -exponent) : (double)digits * pow(10, exponent);
    *out = text.ptr[0] == '-' ? -value : value;
    return true;
}

static ib_status grow(cursor *c, void **at, size_t *cap, size_t n, size_t size, size_t limit,
                      const char *what) {
    if (n >= limit)
        return ib_fail(c->err, IB_E_RESOURCE,
                       "too many %s in tokenizer.json: more than %zu; fix: check that this is the "
                       "tokenizer of a language model",
                       what, limit);
    if (n < *cap)
        return IB_OK;
    size_t more = *cap ? *cap * 2 : 1024;
    void *p = realloc(*at, more * size);
    if (!p)
        return ib_fail_memory(c->err, more * size, what);
    *at = p;
    *cap = more;
    return IB_OK;
}

static ib_status add_entry(cursor *c, ib_tok_raw_entry entry) {
    ib_tok_file *f = c->f;
    void *at = f->entries;
    ib_status st = grow(c, &at, &f->cap_entries, f->n_entries, sizeof entry, IB_TOK_MAX_VOCAB,
                        "vocabulary entries");
    f->entries = at;
    if (st == IB_OK)
        f->entries[f->n_entries++] = entry;
    return st;
}

/* {"token": id, ...}; c->p stands behind the brace. */
static ib_status vocab_object(cursor *c) {
    if (take(c, '}'))
        return IB_OK;
    do {
        ib_tok_raw_entry e = {{NULL, 0}, 0, 0};
        char name[IB_QUOTED], value[IB_QUOTED];
        blanks(c);
        IB_TRY(string(c, &e.text));
        if (!take(c, ':'))
            return bad(c, "a colon was expected");
        ib_str digits = number(c);
        if (!ib_parse_i64(digits, &e.id) || e.id < 0 || e.id > IB_TOK_MAX_ID)
            return ib_fail(
                c->err, IB_E_FORMAT,
                "bad token id in tokenizer.json at /model/vocab/%s: %s, expected an integer "
                "from 0 to %lld; fix: correct the file",
                ib_quote(e.text, name), ib_quote(digits, value), (long long)IB_TOK_MAX_ID);
        IB_TRY(add_entry(c, e));
    } while (take(c, ','));
    return take(c, '}') ? IB_OK : bad(c, "'}' was expected");
}

/* [["piece", score], ...]; c->p stands behind the bracket. */
static ib_status vocab_list(cursor *c) {
    if (take(c, ']'))
        return IB_OK;
    do {
        ib_tok_raw_entry e = {{NULL, 0}, (int64_t)c->f->n_entries, 0};
        char value[IB_QUOTED];
        if (!take(c, '['))
            return bad(c, "a pair of piece and score was expected");
        blanks(c);
        IB_TRY(string(c, &e.text));
        if (!take(c, ','))
            return bad(c, "a score was expected");
        ib_str digits = number(c);
        if (!reference_real(digits, &e.score))
            return ib_fail(c->err, IB_E_FORMAT,
                           "bad score in tokenizer.json at /model/vocab/%zu: %s, expected a finite "
                           "number; fix: correct the file",
                           c->f->n_entries, ib_quote(digits, value));
        if (!take(c, ']'))
            return bad(c, "']' was expected behind a score");
        IB_TRY(add_entry(c, e));
    } while (take(c, ','));
    return take(c, ']') ? IB_OK : bad(c, "']' was expected");
}

/* "a b" with exactly one space. */
static bool split_merge(ib_str line, ib_tok_raw_merge *out) {
    const char *space = line.len ? memchr(line.ptr, ' ', line.len) : NULL;
    if (!space)
        return false;
    out->left = (ib_str){line.ptr, (size_t)(space - line.ptr)};
    out->right = (ib_str){space + 1, line.len - out->left.len - 1};
    return !out->right.len || !memchr(out->right.ptr, ' ', out->right.len);
}

static ib_status one_merge(cursor *c, size_t index, bool *skipped, ib_tok_raw_merge *out) {
    char quoted[IB_QUOTED];
    *skipped = false;
    if (take(c, '[')) {
        blanks(c);
        IB_TRY(string(c, &out->left));
        if (!take(c, ','))
            return bad(c, "a merge of two strings was expected");
        blanks(c);
        IB_TRY(string(c, &out->right));
        return take(c, ']') ? IB_OK : bad(c, "a merge of exactly two strings was expected");
    }
    ib_str line;
    IB_TRY(string(c, &line));
    if (ib_str_starts(line, "#version")) {
        *skipped = true;
        return IB_OK;
    }
    if (split_merge(line, out))
        return IB_OK;
    return ib_fail(
        c->err, IB_E_FORMAT,
        "bad merge in tokenizer.json at /model/merges/%zu: '%s', expected two parts and one "
        "space between them; fix: correct the file",
        index, ib_quote(line, quoted));
}

/* ["a b", ...] or [["a", "b"], ...], also mixed; c->p stands behind the bracket. */
static ib_status merges(cursor *c) {
    ib_tok_file *f = c->f;
    size_t index = 0;
    if (take(c, ']'))
        return IB_OK;
    do {
        ib_tok_raw_merge m;
        bool skipped;
        void *at = f->merges;
        ib_status st =
            grow(c, &at, &f->cap_merges, f->n_merges, sizeof m, IB_TOK_MAX_MERGES, "merges");
        f->merges = at;
        IB_TRY(st);
        blanks(c);
        IB_TRY(one_merge(c, index++, &skipped, &m));
        if (!skipped)
            f->merges[f->n_merges++] = m;
    } while (take(c, ','));
    return take(c, ']') ? IB_OK : bad(c, "']' was expected");
}

/* Steps over one value without looking into it; false = leave it to the parser. */
static bool skip_value(cursor *c) {
    size_t depth = 0;
    blanks(c);
    for (; c->p < c->end; c->p++) {
        char ch = *c->p;
        if (ch == '"') {
            c->p = closing_quote(c->p + 1, c->end);
            if (!c->p) {
                c->p = c->end;
                return false;
            }
            if (!depth) {
                c->p++;
                return true;
            }
        } else if (ch == '{' || ch == '[') {
            depth++;
        } else if (ch == '}' || ch == ']') {
            if (!depth)
                return true;
            if (!--depth) {
                c->p++;
                return true;
            }
        } else if (ch == ',' && !depth) {
            return true;
        }
    }
    return false;
}

static void cut(cursor *c, size_t from) {
    c->cut_from[c->n_cuts] = from;
    c->cut_to[c->n_cuts++] = (size_t)(c->p - c->begin);
}

/* One of the two big members; *taken = false when its value is of another kind. */
static ib_status big_member(cursor *c, ib_str key, bool *taken) {
    ib_tok_file *f = c->f;
    blanks(c);
    size_t from = (size_t)(c->p - c->begin);
    *taken = true;
    if (ib_str_is(key, "vocab") && f->form == IB_TOK_NO_VOCAB && take(c, '{')) {
        f->form = IB_TOK_VOCAB_OBJECT;
        IB_TRY(vocab_object(c));
    } else if (ib_str_is(key, "vocab") && f->form == IB_TOK_NO_VOCAB && take(c, '[')) {
        f->form = IB_TOK_VOCAB_LIST;
        IB_TRY(vocab_list(c));
    } else if (ib_str_is(key, "merges") && !f->has_merges && take(c, '[')) {
        f->has_merges = true;
        IB_TRY(merges(c));
    } else {
        *taken = false;
        return IB_OK;
    }
    cut(c, from);
    return IB_OK;
}

/* Members of the object behind the cursor: the top level, or the value of "model". */
static ib_status members(cursor *c, bool in_model, bool *understood) {
    *understood = false;
    if (!take(c, '{'))
        return IB_OK;
    do {
        ib_str key;
        bool taken = false;
        blanks(c);
        if (c->p >= c->end || *c->p != '"')
            return IB_OK;
        IB_TRY(string(c, &key));
        if (!take(c, ':'))
            return IB_OK;
        blanks(c);
        if (in_model) {
            IB_TRY(big_member(c, key, &taken));
        } else if (ib_str_is(key, "model") && c->p < c->end && *c->p == '{') {
            bool fine;
            IB_TRY(members(c, true, &fine));
            if (!fine)
                return IB_OK;
            taken = true;
        }
        if (!taken && !skip_value(c))
            return IB_OK;
    } while (take(c, ','));
    *understood = take(c, '}');
    return IB_OK;
}

/* The file's text with each cut replaced by null. */
static ib_status rest_of(const cursor *c, ib_buf *out) {
    size_t from = 0;
    for (size_t i = 0; i < c->n_cuts; i++) {
        IB_TRY(ib_buf_add(out, c->begin + from, c->cut_from[i] - from, c->err));
        IB_TRY(ib_buf_adds(out, "null", c->err));
        from = c->cut_to[i];
    }
    return ib_buf_add(out, c->begin + from, (size_t)(c->end - c->begin) - from, c->err);
}

static ib_status parse_rest(cursor *c, const char *path) {
    ib_tok_file *f = c->f;
    ib_buf rest;
    ib_buf_init(&rest);
    ib_status st = rest_of(c, &rest);
    if (st == IB_OK)
        st = ib_json_parse(&f->root, (ib_str){rest.ptr, rest.len}, path, c->err);
    ib_buf_clear(&rest);
    if (st != IB_E_FORMAT || !c->n_cuts)
        return st;
    /* Once more with everything in it, for the right line and byte in the message. */
    json_t *whole;
    ib_status again = ib_json_parse(&whole, (ib_str){f->text.ptr, f->text.len}, path, c->err);
    if (again != IB_OK)
        return again;
    json_decref(whole);
    return ib_fail(c->err, IB_E_FORMAT, "invalid JSON in %s; fix: re-download the file", path);
}

ib_status ib_tok_file_read(ib_tok_file *f, const char *path, ib_error *err) {
    bool understood;
    *f = (ib_tok_file){0};
    ib_arena_init(&f->strings, 0);
    IB_TRY(ib_file_read(&f->text, path, 256u * 1000 * 1000, err));
    cursor c = {.f = f, .begin = f->text.ptr, .p = f->text.ptr, .err = err};
    c.end = c.begin + f->text.len;
    if (f->text.len >= 3 && memcmp(c.p, "\xEF\xBB\xBF", 3) == 0)
        c.p += 3;
    IB_TRY(members(&c, false, &understood));
    IB_TRY(parse_rest(&c, path));
    if (!json_is_object(f->root))
        return ib_fail(
            err, IB_E_FORMAT,
            "no JSON object in %s; fix: pass the folder of a model with its tokenizer.json", path);
    if (!understood)
        return ib_fail(err, IB_E_FORMAT, "unreadable structure in %s; fix: re-download the file",
                       path);
    return IB_OK;
}

void ib_tok_file_clear(ib_tok_file *f) {
    ib_buf_clear(&f->text);
    ib_arena_clear(&f->strings);
    json_decref(f->root);
    free(f->entries);
    free(f->merges);
    *f = (ib_tok_file){0};
}
