/* SPDX-License-Identifier: MIT
 * The Precompiled normalizer of SentencePiece models: a double-array trie (Darts) from char
 * sequences to offsets in a blob of zero-terminated replacements, applied per grapheme cluster.
 *
 * Reading checks that no walk can leave the array and that every replacement ends inside the blob.
 */
#include "text/tok.h"

#include <string.h>

static ib_status bad(ib_error *err, const char *what) {
    return ib_fail(
        err, IB_E_FORMAT,
        "bad precompiled_charsmap in tokenizer.json at /normalizer: %s; fix: re-download the "
        "file",
        what);
}

static int base64_value(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Strict base64 with padding. */
static ib_status decode_base64(ib_str text, ib_tok_store *store, ib_str *out, ib_error *err) {
    size_t n = 0;
    if (!text.len || text.len % 4)
        return bad(err, "not base64 (its length is no multiple of 4)");
    unsigned char *to = ib_arena_alloc(&store->arena, text.len / 4 * 3, err);
    if (!to)
        return IB_E_RESOURCE;
    for (size_t i = 0; i < text.len; i += 4) {
        size_t pad = i + 4 == text.len ? (size_t)(text.ptr[i + 3] == '=') +
                                             (text.ptr[i + 3] == '=' && text.ptr[i + 2] == '=')
                                       : 0;
        uint32_t bits = 0;
        for (size_t k = 0; k < 4; k++) {
            int v = k >= 4 - pad ? 0 : base64_value(text.ptr[i + k]);
            if (v < 0)
                return bad(err, "a char that is not base64");
            bits = bits << 6 | (uint32_t)v;
        }
        to[n++] = (unsigned char)(bits >> 16);
        if (pad < 2)
            to[n++] = (unsigned char)(bits >> 8);
        if (pad < 1)
            to[n++] = (unsigned char)bits;
    }
    *out = (ib_str){(const char *)to, n};
    return IB_OK;
}

static uint32_t read_u32(const char *p) {
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

ib_status ib_tok_charsmap_read(ib_tok_charsmap *out, ib_tok_store *store, ib_str base64,
                               ib_error *err) {
    ib_str bytes = {NULL, 0};
    *out = (ib_tok_charsmap){NULL, 0, {NULL, 0}};
    IB_TRY(decode_base64(base64, store, &bytes, err));
    if (bytes.len < 4)
        return bad(err, "shorter than its header");
    uint32_t n_bytes = read_u32(bytes.ptr);
    if (n_bytes % 4 || n_bytes == 0 || n_bytes > bytes.len - 4)
        return bad(err, "a trie longer than the map");
    uint32_t *units = ib_arena_array(&store->arena, n_bytes / 4, sizeof *units, err);
    if (!units)
        return IB_E_RESOURCE;
    for (size_t i = 0; i < n_bytes / 4; i++)
        units[i] = read_u32(bytes.ptr + 4 + 4 * i);
    out->units = units;
    out->n_units = n_bytes / 4;
    out->blob = (ib_str){bytes.ptr + 4 + n_bytes, bytes.len - 4 - n_bytes};
    if (out->blob.len && ib_utf8_valid_prefix(out->blob.ptr, out->blob.len) != out->blob.len)
        return bad(err, "replacements that are not UTF-8");
    return IB_OK;
}

static size_t unit_offset(uint32_t u) {
    return (size_t)(u >> 10) << ((u & 0x200) >> 6);
}

/* The replacement of the shortest key that is a prefix of key; false = none. Offsets that leave the
 * array end the walk, offsets that leave the blob give nothing. */
static bool lookup(const ib_tok_charsmap *m, ib_str key, ib_str *out) {
    size_t pos = unit_offset(m->units[0]);
    for (size_t i = 0; i < key.len && key.ptr[i]; i++) {
        unsigned char c = (unsigned char)key.ptr[i];
        pos ^= c;
        if (pos >= m->n_units)
            return false;
        uint32_t u = m->units[pos];
        if ((u & 0x800000FFu) != c)
            return false;
        pos ^= unit_offset(u);
        if (pos >= m->n_units)
            return false;
        if (u >> 8 & 1) {
            size_t at = m->units[pos] & 0x7FFFFFFF;
            if (at > m->blob.len)
                return false;
            const char *from = m->blob.ptr + at;
            const char *zero = memchr(from, 0, m->blob.len - at);
            *out = (ib_str){from, zero ? (size_t)(zero - from) : m->blob.len - at};
            /* An offset into the middle of a char would make text that is not UTF-8. */
            return !out->len || ((unsigned char)*from & 0xC0) != 0x80;
        }
    }
    return false;
}

static ib_status put(ib_buf *out, ib_str text, size_t at, bool *shifted, ib_error *err) {
    if (!text.len && !at)
        *shifted = true;
    return ib_buf_add(out, text.ptr, text.len, err);
}

ib_status ib_tok_charsmap_apply(const ib_tok_charsmap *map, ib_str text, ib_buf *out, bool *shifted,
                                ib_error *err) {
    for (size_t at = 0; at < text.len;) {
        size_t end = ib_tok_cluster_end(text, at);
        ib_str found;
        if (end - at < 6 && lookup(map, (ib_str){text.ptr + at, end - at}, &found)) {
            IB_TRY(put(out, found, at, shifted, err));
            at = end;
            continue;
        }
        while (at < end) {
            size_t next = at;
            (void)ib_tok_next_char(text, &next);
            ib_str one = {text.ptr + at, next - at};
            if (!lookup(map, one, &found))
                found = one;
            IB_TRY(put(out, found, at, shifted, err));
            at = next;
        }
    }
    return IB_OK;
}
