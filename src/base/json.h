/* SPDX-License-Identifier: MIT
 * Reading JSON files with jansson under the failure contract, and typed access by JSON pointer.
 *
 * Integers beyond 64 bits are read as reals (files of Python's tools hold model_max_length 1e30 as
 * an integer); NaN, Infinity and duplicate keys are refused; nesting is limited to 64. The getters
 * say in their error which member was meant: WHERE is "<file> at /pointer". */
#ifndef IB_BASE_JSON_H
#define IB_BASE_JSON_H

#include "base/str.h"

#include <jansson.h>

/* Parses text; what names it in messages ("config.json"). A UTF-8 BOM is skipped. *out is owned by
 * the caller (json_decref). IB_E_FORMAT names line, column and byte offset. */
ib_status ib_json_parse(json_t **out, ib_str text, const char *what, ib_error *err) IB_MUST_CHECK;
/* Reads and parses a file of at most cap bytes (0 = 256 MB). */
ib_status ib_json_load(json_t **out, const char *path, uint64_t cap, ib_error *err) IB_MUST_CHECK;

/* Member of an object. Absent and null both give the default; a wrong type is IB_E_FORMAT.
 * `where` is the text "<file> at " of the message. Integers accept no reals, not even 3.0. */
ib_status ib_json_get_i64(const json_t *object, const char *key, int64_t fallback, int64_t min,
                          int64_t max, int64_t *out, const char *where,
                          ib_error *err) IB_MUST_CHECK;
ib_status ib_json_get_double(const json_t *object, const char *key, double fallback, double *out,
                             const char *where, ib_error *err) IB_MUST_CHECK;
ib_status ib_json_get_bool(const json_t *object, const char *key, bool fallback, bool *out,
                           const char *where, ib_error *err) IB_MUST_CHECK;
/* Borrowed from the object; {NULL, 0} when absent or null. */
ib_status ib_json_get_str(const json_t *object, const char *key, ib_str *out, const char *where,
                          ib_error *err) IB_MUST_CHECK;

/* Text of value (compact) appended to out; reals with 17 significant digits or fewer. */
ib_status ib_json_dump(const json_t *value, size_t flags, ib_buf *out, ib_error *err) IB_MUST_CHECK;

#endif
