/* SPDX-License-Identifier: MIT
 * Byte slices, a growable byte buffer, UTF-8 stepping, and the escaping of names for messages. */
#ifndef IB_BASE_STR_H
#define IB_BASE_STR_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ib_str {
    const char *ptr; /* borrowed; not zero-terminated */
    size_t len;      /* bytes */
} ib_str;

#define IB_STR(literal) ((ib_str){(literal), sizeof(literal) - 1})
ib_str ib_str_of(const char *zero_terminated);
bool ib_str_eq(ib_str a, ib_str b);
bool ib_str_is(ib_str a, const char *zero_terminated);
bool ib_str_starts(ib_str a, const char *prefix);
bool ib_str_ends(ib_str a, const char *suffix);

/* Owned, always zero-terminated after its len bytes once anything was added. */
typedef struct ib_buf {
    char *ptr; /* owned */
    size_t len, cap;
} ib_buf;

void ib_buf_init(ib_buf *b);
void ib_buf_clear(ib_buf *b); /* frees */
void ib_buf_reset(ib_buf *b); /* keeps the storage, len = 0 */
ib_status ib_buf_reserve(ib_buf *b, size_t extra, ib_error *err) IB_MUST_CHECK;
ib_status ib_buf_add(ib_buf *b, const void *bytes, size_t n, ib_error *err) IB_MUST_CHECK;
ib_status ib_buf_adds(ib_buf *b, const char *zero_terminated, ib_error *err) IB_MUST_CHECK;
ib_status ib_buf_addc(ib_buf *b, char c, ib_error *err) IB_MUST_CHECK;
ib_status ib_buf_addf(ib_buf *b, ib_error *err, const char *fmt, ...) IB_PRINTF(3, 4) IB_MUST_CHECK;
ib_status ib_buf_add_utf8(ib_buf *b, uint32_t code_point, ib_error *err) IB_MUST_CHECK;

/* Decodes one scalar value at p (p < end). Returns its length 1..4, or 0 when the bytes at p are
 * not valid UTF-8 (overlong forms, surrogates and values over U+10FFFF are not valid). */
size_t ib_utf8_decode(const char *p, const char *end, uint32_t *code_point);
/* Writes 1..4 bytes to out[4]; a value that is no scalar value is written as U+FFFD. */
size_t ib_utf8_encode(uint32_t code_point, char out[4]);
/* Offset of the first invalid byte, or len when all of it is valid. */
size_t ib_utf8_valid_prefix(const char *p, size_t len);
/* Length of the maximal invalid prefix at p that stands for one U+FFFD (Unicode 3.9, W3C rule). */
size_t ib_utf8_bad_len(const char *p, const char *end);

/* A name from a file or the command line, made safe for one line of text: control characters, bidi
 * controls and bytes that are not UTF-8 as \xHH or \u{H}, cut to 80 bytes with "...". Returns out.
 */
#define IB_QUOTED 96
const char *ib_quote(ib_str name, char out[IB_QUOTED]);
const char *ib_quotez(const char *name, char out[IB_QUOTED]);

/* Strict decimal integers for options and files: no blanks, no sign unless negative is allowed. */
bool ib_parse_u64(ib_str text, uint64_t *out);
bool ib_parse_i64(ib_str text, int64_t *out);
/* Finite decimal number, locale-independent. */
bool ib_parse_double(ib_str text, double *out);

/* malloc'd copies; NULL when out of memory. */
char *ib_strndup(const char *ptr, size_t len);
char *ib_strdup(const char *zero_terminated);

#endif
