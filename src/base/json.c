/* SPDX-License-Identifier: MIT
 * See json.h. */
#include "base/json.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

/* Nesting deeper than 64 outside strings; jansson's own limit (2048) is far above ours. */
static bool too_deep(ib_str text, size_t *offset) {
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > 64) {
                *offset = i;
                return true;
            }
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return false;
}

static size_t digits_at(const char *p, const char *end) {
    const char *start = p;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return (size_t)(p - start);
}

/* A copy of text in which integers of 19 digits or more are written as reals ("...e0"), so that
 * only they lose their type. NULL when out of memory or when the text is still no JSON. */
static json_t *parse_with_huge_integers(ib_str text, size_t flags, json_error_t *problem) {
    const char *end = text.ptr + text.len;
    ib_buf copy;
    ib_status st = IB_OK;
    bool in_string = false;
    json_t *out = NULL;
    ib_buf_init(&copy);
    for (const char *p = text.ptr; st == IB_OK && p < end;) {
        const size_t n = in_string ? 0 : digits_at(p, end);
        const bool after_fraction = p > text.ptr && strchr(".eE+", p[-1]) != NULL;
        const bool goes_on = p + n < end && strchr(".eE", p[n]) != NULL;
        const size_t step = n > 0 ? n : *p == '\\' && p + 1 < end ? 2 : 1;
        if (n == 0 && *p == '"')
            in_string = !in_string;
        st = ib_buf_add(&copy, p, step, NULL);
        if (st == IB_OK && n >= 19 && !after_fraction && !goes_on)
            st = ib_buf_adds(&copy, "e0", NULL);
        p += step;
    }
    if (st == IB_OK)
        out = json_loadb(copy.ptr, copy.len, flags, problem);
    ib_buf_clear(&copy);
    return out;
}

ib_status ib_json_parse(json_t **out, ib_str text, const char *what, ib_error *err) {
    char name[IB_QUOTED], detail[IB_QUOTED];
    size_t bad = 0, flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    json_error_t problem;
    *out = NULL;
    if (text.len >= 3 && memcmp(text.ptr, "\xEF\xBB\xBF", 3) == 0) {
        text.ptr += 3;
        text.len -= 3;
    }
    if (too_deep(text, &bad))
        return ib_fail(err, IB_E_FORMAT,
                       "JSON nested deeper than 64 in %s at byte %zu; fix: re-download the file",
                       ib_quotez(what, name), bad);
    *out = json_loadb(text.ptr ? text.ptr : "", text.len, flags, &problem);
    if (!*out && json_error_code(&problem) == json_error_numeric_overflow)
        *out = parse_with_huge_integers(text, flags, &problem);
    if (*out)
        return IB_OK;
    if (json_error_code(&problem) == json_error_out_of_memory)
        return ib_fail_memory(err, text.len, "JSON values");
    return ib_fail(
        err, IB_E_FORMAT,
        "invalid JSON in %s at line %d column %d (byte %d): %s; fix: re-download the file",
        ib_quotez(what, name), problem.line, problem.column, problem.position,
        ib_quotez(problem.text, detail));
}

ib_status ib_json_load(json_t **out, const char *path, uint64_t cap, ib_error *err) {
    ib_buf text;
    ib_buf_init(&text);
    *out = NULL;
    ib_status st = ib_file_read(&text, path, cap ? cap : 256u * 1000 * 1000, err);
    if (st == IB_OK)
        st = ib_json_parse(out, (ib_str){text.ptr, text.len}, path, err);
    ib_buf_clear(&text);
    return st;
}

static ib_status wrong(const char *where, const char *key, const char *expected,
                       const json_t *found, ib_error *err) {
    static const char *const names[] = {"an object", "an array", "a string", "an integer",
                                        "a real",    "true",     "false",    "null"};
    char member[IB_QUOTED], value[48] = "";
    if (json_is_integer(found))
        (void)snprintf(value, sizeof value, " (%lld)", (long long)json_integer_value(found));
    else if (json_is_real(found))
        (void)snprintf(value, sizeof value, " (%g)", json_real_value(found));
    return ib_fail(err, IB_E_FORMAT,
                   "bad value in %s/%s: found %s%s, expected %s; fix: correct the file", where,
                   ib_quotez(key, member), names[json_typeof(found)], value, expected);
}

static const json_t *member(const json_t *object, const char *key) {
    const json_t *v = json_object_get(object, key);
    return json_is_null(v) ? NULL : v;
}

ib_status ib_json_get_i64(const json_t *object, const char *key, int64_t fallback, int64_t min,
                          int64_t max, int64_t *out, const char *where, ib_error *err) {
    const json_t *v = member(object, key);
    char expected[80];
    *out = fallback;
    if (!v)
        return IB_OK;
    (void)snprintf(expected, sizeof expected, "an integer from %lld to %lld", (long long)min,
                   (long long)max);
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
        return wrong(where, key, expected, v, err);
    *out = json_integer_value(v);
    return IB_OK;
}

ib_status ib_json_get_double(const json_t *object, const char *key, double fallback, double *out,
                             const char *where, ib_error *err) {
    const json_t *v = member(object, key);
    *out = fallback;
    if (!v)
        return IB_OK;
    if (!json_is_number(v))
        return wrong(where, key, "a number", v, err);
    *out = json_number_value(v);
    return IB_OK;
}

ib_status ib_json_get_bool(const json_t *object, const char *key, bool fallback, bool *out,
                           const char *where, ib_error *err) {
    const json_t *v = member(object, key);
    *out = fallback;
    if (!v)
        return IB_OK;
    if (!json_is_boolean(v))
        return wrong(where, key, "true or false", v, err);
    *out = json_is_true(v);
    return IB_OK;
}

ib_status ib_json_get_str(const json_t *object, const char *key, ib_str *out, const char *where,
                          ib_error *err) {
    const json_t *v = member(object, key);
    *out = (ib_str){NULL, 0};
    if (!v)
        return IB_OK;
    if (!json_is_string(v))
        return wrong(where, key, "a string", v, err);
    *out = (ib_str){json_string_value(v), json_string_length(v)};
    return IB_OK;
}

typedef struct dump_target {
    ib_buf *out;
    ib_error *err;
    ib_status status;
} dump_target;

static int dump_piece(const char *bytes, size_t n, void *user) {
    dump_target *t = user;
    if (t->status != IB_OK) /* jansson goes on after a key that could not be written */
        return -1;
    t->status = ib_buf_add(t->out, bytes, n, t->err);
    return t->status == IB_OK ? 0 : -1;
}

ib_status ib_json_dump(const json_t *value, size_t flags, ib_buf *out, ib_error *err) {
    dump_target target = {out, err, IB_OK};
    if (json_dump_callback(value, dump_piece, &target, flags | JSON_ENCODE_ANY) != 0 &&
        target.status == IB_OK)
        return ib_fail_memory(err, 0, "JSON text");
    return target.status;
}
