/* SPDX-License-Identifier: MIT
 * The JSON header of a safetensors file -> entries. A reader of its own for this small grammar: it
 * never builds a tree, takes integers as integers, sees duplicate keys however they are escaped,
 * and names the byte at which something is wrong. */
#include "base/checked.h"
#include "checkpoint/private.h"

#include <stdlib.h>
#include <string.h>

typedef struct parser {
    const char *begin, *p, *end;
    const char *path;
    ib_arena *arena;
    const ib_log *log;
    ib_error *err;
    bool warned; /* about unknown keys: once per file */
} parser;

static ib_status bad(const parser *s, const char *at, const char *what) {
    char name[IB_QUOTED];
    return ib_fail(
        s->err, IB_E_FORMAT,
        "invalid safetensors header in '%s' at byte %zu: %s; fix: download the file again",
        ib_quotez(s->path, name), (size_t)(at - s->begin) + 8, what);
}

static ib_status bad_entry(const parser *s, const char *at, ib_str tensor, const char *what) {
    char name[IB_QUOTED], quoted[IB_QUOTED];
    return ib_fail(s->err, IB_E_FORMAT,
                   "invalid header entry of tensor '%s' in '%s' at byte %zu: %s; fix: download the "
                   "file again",
                   ib_quote(tensor, quoted), ib_quotez(s->path, name), (size_t)(at - s->begin) + 8,
                   what);
}

static void skip_blanks(parser *s) {
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

/* Takes c after blanks; false when something else is there. */
static bool take(parser *s, char c) {
    skip_blanks(s);
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

static bool hex4(const char *p, const char *end, uint32_t *out) {
    uint32_t v = 0;
    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            digit = (uint32_t)((c | 32) - 'a') + 10;
        else
            return false;
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

/* One escape at p (behind the backslash) -> code point; returns the bytes used, 0 when invalid. */
static size_t escape(const char *p, const char *end, uint32_t *cp) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *known = p < end && *p ? strchr(from, *p) : NULL;
    uint32_t low;
    if (known) {
        *cp = (unsigned char)to[known - from];
        return 1;
    }
    if (p == end || *p != 'u' || !hex4(p + 1, end, cp) || (*cp >= 0xDC00 && *cp <= 0xDFFF))
        return 0;
    if (*cp < 0xD800 || *cp > 0xDBFF)
        return 5;
    if (end - p < 11 || p[5] != '\\' || p[6] != 'u' || !hex4(p + 7, end, &low) || low < 0xDC00 ||
        low > 0xDFFF)
        return 0;
    *cp = 0x10000 + ((*cp - 0xD800) << 10) + (low - 0xDC00);
    return 11;
}

/* Decodes the escapes of raw (a string's inside) into the arena. */
static ib_status unescape(parser *s, ib_str raw, ib_str *out) {
    const char *p = raw.ptr, *end = raw.ptr + raw.len;
    char *copy = ib_arena_alloc(s->arena, raw.len + 1, s->err);
    size_t n = 0;
    if (!copy)
        return IB_E_RESOURCE;
    while (p < end) {
        uint32_t cp;
        if (*p != '\\') {
            copy[n++] = *p++;
            continue;
        }
        size_t used = escape(p + 1, end, &cp);
        if (!used)
            return bad(s, p, "invalid escape in a string");
        p += 1 + used;
        n += ib_utf8_encode(cp, copy + n); /* never longer than the escape */
    }
    *out = (ib_str){copy, n};
    return IB_OK;
}

static ib_status parse_string(parser *s, const char *expected, ib_str *out) {
    bool escapes = false;
    if (!take(s, '"'))
        return bad(s, s->p, expected);
    const char *start = s->p;
    while (s->p < s->end && *s->p != '"') {
        if ((unsigned char)*s->p < 0x20)
            return bad(s, s->p, "control character in a string");
        if (*s->p == '\\') {
            escapes = true;
            s->p++;
        }
        if (s->p < s->end)
            s->p++;
    }
    if (s->p >= s->end)
        return bad(s, s->end, "the header ends inside a string");
    *out = (ib_str){start, (size_t)(s->p - start)};
    s->p++;
    return escapes ? unescape(s, *out, out) : IB_OK;
}

/* A member's key and the colon behind it. */
static ib_status parse_key(parser *s, ib_str *key) {
    IB_TRY(parse_string(s, "expected a key (text in double quotes)", key));
    return take(s, ':') ? IB_OK : bad(s, s->p, "expected ':' behind a key");
}

/* Behind a member or element: *more is true after ',' and false after the closing character. */
static ib_status parse_next(parser *s, char close, bool *more) {
    *more = take(s, ',');
    if (*more || take(s, close))
        return IB_OK;
    return bad(s, s->p, s->p == s->end ? "the header ends too early" : "expected ',' or an end");
}

static ib_status parse_u64(parser *s, ib_str tensor, uint64_t *out) {
    skip_blanks(s);
    const char *start = s->p;
    uint64_t v = 0;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        if (!ib_mul_u64(v, 10, &v) || !ib_add_u64(v, (uint64_t)(*s->p - '0'), &v))
            return bad_entry(s, start, tensor, "an integer does not fit 64 bits");
        s->p++;
    }
    size_t n = (size_t)(s->p - start);
    char next = s->p < s->end ? *s->p : '\0';
    if (n == 0 && next == '-')
        return bad_entry(s, start, tensor, "negative number");
    if (n == 0 || next == '.' || (next | 32) == 'e')
        return bad_entry(s, start, tensor, "expected a plain integer");
    if (n > 1 && *start == '0')
        return bad_entry(s, start, tensor, "leading zero in an integer");
    *out = v;
    return IB_OK;
}

/* Array of at most cap integers. */
static ib_status parse_array(parser *s, ib_str tensor, uint32_t cap, uint64_t *out, uint32_t *n) {
    *n = 0;
    if (!take(s, '['))
        return bad_entry(s, s->p, tensor, "expected an array of integers");
    if (take(s, ']'))
        return IB_OK;
    for (bool more = true; more;) {
        uint64_t v = 0;
        IB_TRY(parse_u64(s, tensor, &v));
        if (*n == cap)
            return bad_entry(s, s->p, tensor,
                             cap == 2 ? "data_offsets has more than 2 numbers"
                                      : "rank is above 8, the most supported");
        out[(*n)++] = v;
        IB_TRY(parse_next(s, ']', &more));
    }
    return IB_OK;
}

/* Passes over any JSON value; its syntax is then checked by the general parser. */
static ib_status skip_value(parser *s) {
    skip_blanks(s);
    const char *start = s->p;
    int depth = 2; /* it stands in a tensor's entry in the header */
    while (s->p < s->end) {
        char c = *s->p;
        if (c == '"') {
            ib_str ignored;
            IB_TRY(parse_string(s, "", &ignored));
            continue;
        }
        if (depth == 2 && (c == ',' || c == '}' || c == ']'))
            break;
        if (c == '{' || c == '[')
            depth++;
        if (depth > IB_CAP_DEPTH)
            return bad(s, s->p, "JSON nested deeper than 64");
        if (c == '}' || c == ']')
            depth--;
        s->p++;
    }
    ib_buf wrapped; /* the parser wants an array or object on top */
    json_t *value = NULL;
    ib_buf_init(&wrapped);
    ib_status st = ib_buf_addc(&wrapped, '[', s->err);
    if (st == IB_OK)
        st = ib_buf_add(&wrapped, start, (size_t)(s->p - start), s->err);
    if (st == IB_OK)
        st = ib_buf_addc(&wrapped, ']', s->err);
    if (st == IB_OK)
        st = ib_json_parse(&value, (ib_str){wrapped.ptr, wrapped.len}, s->path, NULL);
    if (st == IB_E_FORMAT || (st == IB_OK && json_array_size(value) != 1))
        st = bad(s, start, "invalid JSON value");
    else if (st == IB_E_RESOURCE)
        (void)ib_fail_memory(s->err, wrapped.len, "a JSON value");
    json_decref(value);
    ib_buf_clear(&wrapped);
    return st;
}

static ib_status parse_metadata(parser *s) {
    ib_map seen;
    ib_status st = IB_OK;
    skip_blanks(s);
    if (s->end - s->p >= 4 && memcmp(s->p, "null", 4) == 0) {
        s->p += 4;
        return IB_OK;
    }
    if (!take(s, '{'))
        return bad(s, s->p, "__metadata__ is not an object");
    if (take(s, '}'))
        return IB_OK;
    ib_map_init(&seen);
    for (bool more = true; more && st == IB_OK;) {
        ib_str key, value;
        bool twice = false;
        const char *at = s->p;
        st = parse_key(s, &key);
        if (st == IB_OK)
            st = ib_map_put(&seen, key, 0, &twice, s->err);
        if (st == IB_OK && twice)
            st = bad(s, at, "duplicate key in __metadata__");
        if (st == IB_OK)
            st = parse_string(s, "a value in __metadata__ is not a string", &value);
        if (st == IB_OK)
            st = parse_next(s, '}', &more);
    }
    ib_map_clear(&seen);
    return st;
}

static ib_status parse_dtype(parser *s, ib_st_entry_raw *e) {
    ib_str name;
    char text[80], quoted[IB_QUOTED];
    skip_blanks(s);
    const char *at = s->p;
    IB_TRY(parse_string(s, "dtype is not a string", &name));
    /* the formats behind F4 in the table are not safetensors dtypes */
    if (ib_type_by_name(name, &e->type) && e->type <= IB_TYPE_F4)
        return IB_OK;
    (void)snprintf(text, sizeof text, "unknown dtype '%.40s'", ib_quote(name, quoted));
    return bad_entry(s, at, e->name, text);
}

enum { HAS_DTYPE = 1, HAS_SHAPE = 2, HAS_OFFSETS = 4 };

static ib_status parse_unknown(parser *s, const ib_st_entry_raw *e, ib_str key, ib_map *others) {
    char tensor[IB_QUOTED], quoted[IB_QUOTED];
    bool twice = false;
    if (!s->warned)
        ib_log_warn(s->log, "tensor '%s' has an unknown header key '%s' (ignored)",
                    ib_quote(e->name, tensor), ib_quote(key, quoted));
    s->warned = true;
    IB_TRY(ib_map_put(others, key, 0, &twice, s->err));
    if (twice)
        return bad_entry(s, s->p, e->name, "duplicate key");
    return skip_value(s);
}

static ib_status parse_member(parser *s, ib_st_entry_raw *e, unsigned *has, ib_map *others) {
    ib_str key;
    unsigned flag = 0;
    skip_blanks(s);
    const char *at = s->p;
    IB_TRY(parse_key(s, &key));
    if (ib_str_is(key, "dtype"))
        flag = HAS_DTYPE;
    else if (ib_str_is(key, "shape"))
        flag = HAS_SHAPE;
    else if (ib_str_is(key, "data_offsets"))
        flag = HAS_OFFSETS;
    if (*has & flag)
        return bad_entry(s, at, e->name, "duplicate key");
    *has |= flag;
    switch (flag) {
    case HAS_DTYPE:
        return parse_dtype(s, e);
    case HAS_SHAPE:
        return parse_array(s, e->name, IB_MAX_RANK, e->shape, &e->n_dims);
    case HAS_OFFSETS: {
        uint64_t pair[2] = {0, 0};
        uint32_t n = 0;
        IB_TRY(parse_array(s, e->name, 2, pair, &n));
        if (n != 2)
            return bad_entry(s, at, e->name, "data_offsets is not 2 numbers");
        e->begin = pair[0];
        e->end = pair[1];
        return IB_OK;
    }
    default:
        return parse_unknown(s, e, key, others);
    }
}

static ib_status parse_entry(parser *s, ib_st_entry_raw *e) {
    unsigned has = 0;
    ib_map others;
    ib_status st = IB_OK;
    skip_blanks(s);
    const char *at = s->p;
    if (!take(s, '{'))
        return bad_entry(s, at, e->name, "not an object");
    ib_map_init(&others);
    for (bool more = !take(s, '}'); more && st == IB_OK;) {
        st = parse_member(s, e, &has, &others);
        if (st == IB_OK)
            st = parse_next(s, '}', &more);
    }
    ib_map_clear(&others);
    IB_TRY(st);
    if (!(has & HAS_DTYPE))
        return bad_entry(s, at, e->name, "dtype is missing");
    if (!(has & HAS_SHAPE))
        return bad_entry(s, at, e->name, "shape is missing");
    if (!(has & HAS_OFFSETS))
        return bad_entry(s, at, e->name, "data_offsets is missing");
    return IB_OK;
}

static ib_status check_name(const parser *s, const char *at, ib_str name) {
    if (name.len > IB_CAP_NAME)
        return bad_entry(s, at, name, "the name is longer than 1024 bytes");
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7F)
            return bad_entry(s, at, name, "control character in the name");
    return IB_OK;
}

static ib_status too_many(const parser *s) {
    char name[IB_QUOTED];
    return ib_fail(s->err, IB_E_RESOURCE, "more than %d tensors in '%s'; fix: use a smaller model",
                   IB_CAP_TENSORS, ib_quotez(s->path, name));
}

static ib_status parse_top(parser *s, ib_st_header *out) {
    bool metadata = false;
    if (s->p == s->end || *s->p != '{')
        return bad(s, s->p, "the first byte is not '{'");
    s->p++;
    for (bool more = !take(s, '}'); more;) {
        ib_st_entry_raw e = {0};
        skip_blanks(s);
        const char *at = s->p;
        IB_TRY(parse_key(s, &e.name));
        if (ib_str_is(e.name, "__metadata__")) {
            if (metadata)
                return bad(s, at, "duplicate key '__metadata__'");
            metadata = true;
            IB_TRY(parse_metadata(s));
        } else {
            IB_TRY(check_name(s, at, e.name));
            IB_TRY(parse_entry(s, &e));
            if (out->n == IB_CAP_TENSORS)
                return too_many(s);
            IB_TRY(ib_checkpoint_grow((void **)&out->entries, &out->cap, out->n,
                                      sizeof *out->entries, s->err));
            out->entries[out->n++] = e;
        }
        IB_TRY(parse_next(s, '}', &more));
    }
    skip_blanks(s);
    return s->p == s->end ? IB_OK : bad(s, s->p, "something follows the JSON object");
}

ib_status ib_st_header_parse(ib_st_header *out, ib_str text, const char *path, ib_arena *arena,
                             const ib_log *log, ib_error *err) {
    parser s = {text.ptr, text.ptr, text.ptr + text.len, path, arena, log, err, false};
    *out = (ib_st_header){0};
    size_t valid = ib_utf8_valid_prefix(text.ptr, text.len);
    if (valid != text.len)
        return bad(&s, text.ptr + valid, "not UTF-8");
    ib_status st = parse_top(&s, out);
    if (st != IB_OK) {
        free(out->entries);
        *out = (ib_st_header){0};
    }
    return st;
}
