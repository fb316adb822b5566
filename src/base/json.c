/* SPDX-License-Identifier: MIT
 * See json.h. */
#include "base/json.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

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
