/* SPDX-License-Identifier: MIT
 * Typed access to GGUF metadata. A value of another kind than asked for is an error of the file,
 * never a silent conversion; integers of any width answer for integers. */
#include "checkpoint/private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

size_t ib_gguf_n_values(const ib_gguf_meta *m) {
    return m->n;
}

const ib_gguf_value *ib_gguf_value_at(const ib_gguf_meta *m, size_t i) {
    return &m->values[i];
}

const ib_gguf_value *ib_gguf_find(const ib_gguf_meta *m, const char *key) {
    uint64_t i;
    return ib_map_get(&m->by_key, ib_str_of(key), &i) ? &m->values[i] : NULL;
}

static const char *type_name(ib_gguf_type t) {
    static const char *const names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                        "bool", "string", "array", "u64", "i64", "f64"};
    return names[t];
}

static bool is_integer(ib_gguf_type t) {
    return t <= IB_GGUF_I32 || t == IB_GGUF_U64 || t == IB_GGUF_I64;
}

/* "in 'path'" for messages; nothing where the file is not known. */
static const char *in_file(const ib_gguf_meta *m, char out[IB_QUOTED + 8]) {
    char path[IB_QUOTED];
    out[0] = '\0';
    if (m && m->path)
        (void)snprintf(out, IB_QUOTED + 8, " in '%s'", ib_quotez(m->path, path));
    return out;
}

static ib_status wrong_type(const ib_gguf_meta *m, const ib_gguf_value *v, const char *expected,
                            ib_error *err) {
    char key[IB_QUOTED], file[IB_QUOTED + 8];
    bool array = v->type == IB_GGUF_ARRAY;
    return ib_fail(err, IB_E_FORMAT,
                   "GGUF metadata '%s'%s is %s%s, expected %s; fix: use a correctly converted file",
                   ib_quote(v->key, key), in_file(m, file), array ? "an array of " : "of type ",
                   type_name(array ? v->element_type : v->type), expected);
}

ib_status ib_gguf_get_i64(const ib_gguf_meta *m, const char *key, int64_t fallback, int64_t min,
                          int64_t max, int64_t *out, ib_error *err) {
    const ib_gguf_value *v = ib_gguf_find(m, key);
    char file[IB_QUOTED + 8];
    *out = fallback;
    if (!v)
        return IB_OK;
    if (!is_integer(v->type))
        return wrong_type(m, v, "an integer", err);
    bool huge = v->type == IB_GGUF_U64 && v->i64 < 0;
    if (huge || v->i64 < min || v->i64 > max)
        return ib_fail(
            err, IB_E_FORMAT,
            "GGUF metadata '%s'%s is %s%lld, expected %lld to %lld; fix: use a correctly "
            "converted file",
            key, in_file(m, file), huge ? "over " : "",
            huge ? (long long)INT64_MAX : (long long)v->i64, (long long)min, (long long)max);
    *out = v->i64;
    return IB_OK;
}

ib_status ib_gguf_get_f64(const ib_gguf_meta *m, const char *key, double fallback, double *out,
                          ib_error *err) {
    const ib_gguf_value *v = ib_gguf_find(m, key);
    char file[IB_QUOTED + 8];
    *out = fallback;
    if (!v)
        return IB_OK;
    if (v->type != IB_GGUF_F32 && v->type != IB_GGUF_F64)
        return wrong_type(m, v, "f32 or f64", err);
    if (!isfinite(v->f64))
        return ib_fail(
            err, IB_E_FORMAT,
            "GGUF metadata '%s'%s is not a finite number; fix: use a correctly converted file", key,
            in_file(m, file));
    *out = v->f64;
    return IB_OK;
}

ib_status ib_gguf_get_bool(const ib_gguf_meta *m, const char *key, bool fallback, bool *out,
                           ib_error *err) {
    const ib_gguf_value *v = ib_gguf_find(m, key);
    *out = fallback;
    if (!v)
        return IB_OK;
    if (v->type != IB_GGUF_BOOL)
        return wrong_type(m, v, "bool", err);
    *out = v->i64 != 0;
    return IB_OK;
}

ib_status ib_gguf_get_str(const ib_gguf_meta *m, const char *key, ib_str *out, ib_error *err) {
    const ib_gguf_value *v = ib_gguf_find(m, key);
    *out = (ib_str){NULL, 0};
    if (!v)
        return IB_OK;
    if (v->type != IB_GGUF_STRING)
        return wrong_type(m, v, "string", err);
    *out = v->str;
    return IB_OK;
}

static uint64_t little(const unsigned char *p, size_t n) {
    uint64_t v = 0;
    for (size_t i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

ib_status ib_gguf_strings(const ib_gguf_value *v, ib_str *out, ib_error *err) {
    if (v->type != IB_GGUF_ARRAY || v->element_type != IB_GGUF_STRING)
        return wrong_type(NULL, v, "an array of string", err);
    const unsigned char *p = v->array; /* lengths were checked when the file was opened */
    for (uint64_t i = 0; i < v->n; i++) {
        out[i] = (ib_str){(const char *)p + 8, (size_t)little(p, 8)};
        p += 8 + out[i].len;
    }
    return IB_OK;
}

/* Element i of an array of numbers, as an integer and as a double. */
static void element(const ib_gguf_value *v, uint64_t i, int64_t *integer, double *real) {
    static const uint8_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    size_t n = bytes[v->element_type];
    uint64_t raw = little(v->array + i * n, n);
    uint32_t raw32 = (uint32_t)raw;
    float f;
    *integer = (int64_t)raw;
    switch (v->element_type) {
    case IB_GGUF_I8:
        *integer = (int8_t)raw;
        break;
    case IB_GGUF_I16:
        *integer = (int16_t)raw;
        break;
    case IB_GGUF_I32:
        *integer = (int32_t)raw32;
        break;
    case IB_GGUF_F32:
        memcpy(&f, &raw32, sizeof f);
        *real = (double)f;
        return;
    case IB_GGUF_F64:
        memcpy(real, &raw, sizeof raw);
        return;
    default:
        break;
    }
    *real = v->element_type == IB_GGUF_U64 ? (double)raw : (double)*integer;
}

ib_status ib_gguf_doubles(const ib_gguf_value *v, double *out, ib_error *err) {
    int64_t ignored;
    ib_gguf_type t = v->element_type;
    if (v->type != IB_GGUF_ARRAY || !(is_integer(t) || t == IB_GGUF_F32 || t == IB_GGUF_F64))
        return wrong_type(NULL, v, "an array of numbers", err);
    for (uint64_t i = 0; i < v->n; i++)
        element(v, i, &ignored, &out[i]);
    return IB_OK;
}

ib_status ib_gguf_ints(const ib_gguf_value *v, int64_t *out, ib_error *err) {
    double ignored;
    char key[IB_QUOTED];
    if (v->type != IB_GGUF_ARRAY || !is_integer(v->element_type))
        return wrong_type(NULL, v, "an array of integers", err);
    for (uint64_t i = 0; i < v->n; i++) {
        element(v, i, &out[i], &ignored);
        if (v->element_type == IB_GGUF_U64 && out[i] < 0)
            return ib_fail(err, IB_E_FORMAT,
                           "GGUF array '%s' has a value above 2^63-1 at index %llu; fix: use a "
                           "correctly converted file",
                           ib_quote(v->key, key), (unsigned long long)i);
    }
    return IB_OK;
}
