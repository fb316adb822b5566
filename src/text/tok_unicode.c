/* SPDX-License-Identifier: MIT
 * Character properties, lower case, normalization forms, grapheme clusters and the byte-level
 * alphabet, on top of utf8proc's tables. Properties follow the definitions of the reference's
 * libraries (Rust's char and regex, its unicode-* crates). */
#include "text/tok.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

uint32_t ib_tok_next_char(ib_str text, size_t *pos) {
    uint32_t c = 0xFFFD;
    size_t len = ib_utf8_decode(text.ptr + *pos, text.ptr + text.len, &c);
    *pos += len ? len : 1;
    return c;
}

bool ib_tok_is_white_space(uint32_t c) {
    if (c < 0x80)
        return c == ' ' || (c >= 9 && c <= 13);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static utf8proc_category_t category(uint32_t c) {
    return utf8proc_category((utf8proc_int32_t)c);
}

bool ib_tok_is_numeric(uint32_t c) {
    utf8proc_category_t k = category(ib_tok_older_char(c));
    if ((c >= 0x11DE0 && c <= 0x11DE9) || (c >= 0x16FF4 && c <= 0x16FF6))
        return true; /* of Unicode 17 */
    return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

bool ib_tok_is_mark(uint32_t c) {
    utf8proc_category_t k = category(c);
    if (c == 0x1CF2 || c == 0x1CF3)
        return true; /* letters since Unicode 11 */
    return (k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_ME) &&
           !ib_tok_lacks(IB_TOK_MARK, c);
}

bool ib_tok_is_nonspacing(uint32_t c) {
    if (c == 0x1734)
        return true; /* a spacing mark since Unicode 14 */
    return category(c) == UTF8PROC_CATEGORY_MN && !ib_tok_lacks(IB_TOK_NONSPACING, c);
}

bool ib_tok_is_other(uint32_t c) {
    utf8proc_category_t k = category(c);
    return (k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO) &&
           !ib_tok_lacks(IB_TOK_OTHER, c);
}

bool ib_tok_is_punctuation(uint32_t c) {
    if (c < 0x80)
        return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
               (c >= 123 && c <= 126);
    utf8proc_category_t k = category(c);
    if (c == 0x166D || c == 0x111C9)
        return true; /* a symbol and a mark since then */
    return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO &&
           !ib_tok_lacks(IB_TOK_PUNCTUATION, c);
}

bool ib_tok_is_word(uint32_t c) {
    if (c < 0x80)
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_';
    utf8proc_category_t k = category(ib_tok_older_char(c));
    if ((k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NL) || k == UTF8PROC_CATEGORY_PC)
        return true;
    /* Join_Control, and the symbols that are Alphabetic. */
    return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) ||
           (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
           (c >= 0x1F170 && c <= 0x1F189);
}

bool ib_tok_is_cjk(uint32_t c) {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
           (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

size_t ib_tok_lower(uint32_t c, uint32_t out[3]) {
    if (c == 0x130) { /* the one char whose lower case is two */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    if (c < 0x80)
        out[0] = c >= 'A' && c <= 'Z' ? c + 32 : c;
    else
        out[0] = ib_tok_newer_lower(c);
    if (c >= 0x80 && out[0] == c)
        out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    return 1;
}

bool ib_tok_all_ascii(ib_str text) {
    size_t i = 0;
    for (; i + 8 <= text.len; i += 8) {
        uint64_t word;
        memcpy(&word, text.ptr + i, 8);
        if (word & 0x8080808080808080u)
            return false;
    }
    for (; i < text.len; i++)
        if ((unsigned char)text.ptr[i] >= 0x80)
            return false;
    return true;
}

/* ---- normalization forms ---- */

typedef struct codes {
    utf8proc_int32_t *at; /* owned */
    size_t n, cap;
} codes;

static ib_status codes_reserve(codes *v, size_t extra, ib_error *err) {
    if (v->cap - v->n >= extra)
        return IB_OK;
    size_t cap = (v->n + extra) * 2;
    utf8proc_int32_t *at = realloc(v->at, cap * sizeof *at);
    if (!at)
        return ib_fail_memory(err, cap * sizeof *at, "normalized text");
    v->at = at;
    v->cap = cap;
    return IB_OK;
}

static int combining_class(utf8proc_int32_t c) {
    return c < 0x300 ? 0 : utf8proc_get_property(c)->combining_class;
}

/* Stable sort of one run of combining marks by class: counting, so that a million marks in a row
 * cost no more than a million marks apart. */
static ib_status sort_run(utf8proc_int32_t *at, size_t n, ib_error *err) {
    size_t first[257] = {0};
    bool sorted = true;
    for (size_t i = 1; i < n; i++)
        sorted = sorted && combining_class(at[i - 1]) <= combining_class(at[i]);
    if (sorted)
        return IB_OK;
    utf8proc_int32_t *copy = malloc(n * sizeof *copy);
    if (!copy)
        return ib_fail_memory(err, n * sizeof *copy, "combining marks");
    memcpy(copy, at, n * sizeof *copy);
    for (size_t i = 0; i < n; i++)
        first[combining_class(at[i]) + 1]++;
    for (size_t i = 1; i < 257; i++)
        first[i] += first[i - 1];
    for (size_t i = 0; i < n; i++)
        at[first[combining_class(copy[i])]++] = copy[i];
    free(copy);
    return IB_OK;
}

static ib_status order_marks(codes *v, ib_error *err) {
    for (size_t i = 0; i < v->n;) {
        size_t j = i;
        while (j < v->n && combining_class(v->at[j]))
            j++;
        if (j - i > 1)
            IB_TRY(sort_run(v->at + i, j - i, err));
        i = j > i ? j : i + 1;
    }
    return IB_OK;
}

static ib_status decompose(ib_str text, ib_tok_form form, codes *v, ib_error *err) {
    utf8proc_option_t options = UTF8PROC_DECOMPOSE;
    if (form == IB_TOK_NFKC || form == IB_TOK_NFKD)
        options |= UTF8PROC_COMPAT;
    v->n = 0;
    for (size_t pos = 0; pos < text.len;) {
        utf8proc_int32_t c = (utf8proc_int32_t)ib_tok_next_char(text, &pos), parts[32];
        int boundary = 0;
        utf8proc_ssize_t n = utf8proc_decompose_char(c, parts, 32, options, &boundary);
        if (n <= 0 || n > 32 ||
            (n > 0 && parts[0] != c && ib_tok_lacks(IB_TOK_DECOMPOSITION, (uint32_t)c))) {
            parts[0] = c;
            n = 1;
        }
        IB_TRY(codes_reserve(v, (size_t)n, err));
        if (!v->at) /* never, after the reserve */
            return ib_fail_memory(err, 0, "a text");
        memcpy(v->at + v->n, parts, (size_t)n * sizeof *parts);
        v->n += (size_t)n;
    }
    return order_marks(v, err);
}

static ib_status form_part(ib_str text, ib_tok_form form, codes *v, ib_buf *out, ib_error *err) {
    IB_TRY(decompose(text, form, v, err));
    if (form == IB_TOK_NFC || form == IB_TOK_NFKC) {
        utf8proc_ssize_t n = utf8proc_normalize_utf32(v->at, (utf8proc_ssize_t)v->n,
                                                      UTF8PROC_COMPOSE | UTF8PROC_STABLE);
        if (n < 0)
            return ib_fail(err, IB_E_INTERNAL, "Unicode composition failed: %s",
                           utf8proc_errmsg(n));
        v->n = (size_t)n;
    }
    IB_TRY(ib_buf_reserve(out, v->n * 4, err));
    for (size_t i = 0; i < v->n; i++)
        IB_TRY(ib_buf_add_utf8(out, (uint32_t)v->at[i], err));
    return IB_OK;
}

/* ASCII is normalized already; only the last ASCII char before other text can combine with it. */
ib_status ib_tok_to_form(ib_str text, ib_tok_form form, ib_buf *out, ib_error *err) {
    codes v = {0};
    ib_status st = IB_OK;
    size_t i = 0;
    while (st == IB_OK && i < text.len) {
        size_t j = i;
        while (j < text.len && (unsigned char)text.ptr[j] < 0x80)
            j++;
        size_t plain = j < text.len && j > i ? j - 1 : j;
        st = ib_buf_add(out, text.ptr + i, plain - i, err);
        while (j < text.len && (unsigned char)text.ptr[j] >= 0x80)
            j++;
        if (st == IB_OK && j > plain)
            st = form_part((ib_str){text.ptr + plain, j - plain}, form, &v, out, err);
        i = j;
    }
    free(v.at);
    return st;
}

size_t ib_tok_cluster_end(ib_str text, size_t from) {
    const unsigned char *p = (const unsigned char *)text.ptr;
    if (p[from] < 0x80 && p[from] != '\r' && (from + 1 == text.len || p[from + 1] < 0x80))
        return from + 1;
    size_t pos = from;
    utf8proc_int32_t state = 0, last = (utf8proc_int32_t)ib_tok_next_char(text, &pos);
    while (pos < text.len) {
        size_t next = pos;
        utf8proc_int32_t c = (utf8proc_int32_t)ib_tok_next_char(text, &next);
        if (utf8proc_grapheme_break_stateful(last, c, &state))
            break;
        last = c;
        pos = next;
    }
    return pos;
}

/* ---- the byte-level alphabet ---- */

static bool maps_to_itself(uint32_t b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
}

uint32_t ib_tok_byte_char(unsigned char byte) {
    if (maps_to_itself(byte))
        return byte;
    /* The others in ascending order: 0..32, 127..160, 173. */
    if (byte <= 32)
        return 256u + byte;
    return byte == 173 ? 323 : 256u + 33 + (byte - 127u);
}

int ib_tok_char_byte(uint32_t c) {
    if (c < 256)
        return maps_to_itself(c) ? (int)c : -1;
    if (c <= 256 + 32)
        return (int)c - 256;
    if (c < 323)
        return (int)c - 256 - 33 + 127;
    return c == 323 ? 173 : -1;
}

ib_status ib_tok_map_bytes(ib_str text, ib_buf *out, ib_error *err) {
    IB_TRY(ib_buf_reserve(out, text.len * 2, err));
    char *to = out->ptr + out->len;
    for (size_t i = 0; i < text.len; i++) {
        uint32_t c = ib_tok_byte_char((unsigned char)text.ptr[i]);
        if (c < 0x80) {
            *to++ = (char)c;
        } else {
            *to++ = (char)(0xC0 | c >> 6);
            *to++ = (char)(0x80 | (c & 0x3F));
        }
    }
    out->len = (size_t)(to - out->ptr);
    return IB_OK;
}
