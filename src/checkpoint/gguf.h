/* SPDX-License-Identifier: MIT
 * Metadata of a GGUF file: typed key lookup. All strings and arrays are views into the map. */
#ifndef IB_CHECKPOINT_GGUF_H
#define IB_CHECKPOINT_GGUF_H

#include "checkpoint/checkpoint.h"

typedef enum ib_gguf_type {
    IB_GGUF_U8,
    IB_GGUF_I8,
    IB_GGUF_U16,
    IB_GGUF_I16,
    IB_GGUF_U32,
    IB_GGUF_I32,
    IB_GGUF_F32,
    IB_GGUF_BOOL,
    IB_GGUF_STRING,
    IB_GGUF_ARRAY,
    IB_GGUF_U64,
    IB_GGUF_I64,
    IB_GGUF_F64
} ib_gguf_type;

typedef struct ib_gguf_value {
    ib_str key;
    ib_gguf_type type;
    ib_gguf_type element_type; /* of an array */
    uint64_t n;                /* elements of an array */
    int64_t i64;               /* any integer or bool; u64 above INT64_MAX is refused on reading */
    double f64;
    ib_str str;
    const unsigned char *array; /* first element's bytes; string arrays: use ib_gguf_strings */
} ib_gguf_value;

size_t ib_gguf_n_values(const ib_gguf_meta *m);
const ib_gguf_value *ib_gguf_value_at(const ib_gguf_meta *m, size_t i);
const ib_gguf_value *ib_gguf_find(const ib_gguf_meta *m, const char *key);
/* Getters: absent gives the fallback; a wrong type or a value out of range is IB_E_FORMAT. */
ib_status ib_gguf_get_i64(const ib_gguf_meta *m, const char *key, int64_t fallback, int64_t min,
                          int64_t max, int64_t *out, ib_error *err) IB_MUST_CHECK;
ib_status ib_gguf_get_f64(const ib_gguf_meta *m, const char *key, double fallback, double *out,
                          ib_error *err) IB_MUST_CHECK;
ib_status ib_gguf_get_bool(const ib_gguf_meta *m, const char *key, bool fallback, bool *out,
                           ib_error *err) IB_MUST_CHECK;
ib_status ib_gguf_get_str(const ib_gguf_meta *m, const char *key, ib_str *out,
                          ib_error *err) IB_MUST_CHECK; /* {NULL,0} when absent */
/* Array of strings into out[n] (n from the value), all borrowed from the map. */
ib_status ib_gguf_strings(const ib_gguf_value *v, ib_str *out, ib_error *err) IB_MUST_CHECK;
/* Array of any integer or float type, widened, into out[n]. */
ib_status ib_gguf_doubles(const ib_gguf_value *v, double *out, ib_error *err) IB_MUST_CHECK;
ib_status ib_gguf_ints(const ib_gguf_value *v, int64_t *out, ib_error *err) IB_MUST_CHECK;

#endif
