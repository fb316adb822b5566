/* SPDX-License-Identifier: MIT
 * The vocabulary of a model: token <-> id. Strings are copied into one blob; ids may have holes, so
 * the way back is a table sorted by id that is indexed directly where ids are dense. */
#include "base/checked.h"
#include "text/tok.h"

#include <stdlib.h>
#include <string.h>

static int by_id(const void *a, const void *b) {
    const ib_tok_entry *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static ib_status copy_entries(ib_tok_vocab *v, const ib_tok_raw_entry *entries, size_t n,
                              const char *where, ib_error *err) {
    size_t total = 1, at = 0;
    char name[IB_QUOTED];
    for (size_t i = 0; i < n; i++) {
        if (entries[i].text.len > IB_TOK_MAX_TOKEN)
            return ib_fail(
                err, IB_E_RESOURCE,
                "token too long in %s: %zu bytes ('%s'), the cap is %zu; fix: check the file",
                where, entries[i].text.len, ib_quote(entries[i].text, name), IB_TOK_MAX_TOKEN);
        if (!ib_add_size(total, entries[i].text.len, &total))
            return ib_fail_memory(err, SIZE_MAX, "the vocabulary");
        if (entries[i].text.len > v->max_len)
            v->max_len = entries[i].text.len;
    }
    v->blob = malloc(total);
    v->by_id = calloc(n ? n : 1, sizeof *v->by_id);
    if (!v->blob || !v->by_id)
        return ib_fail_memory(err, total + n * sizeof *v->by_id, "the vocabulary");
    for (size_t i = 0; i < n; i++) {
        if (entries[i].text.len)
            memcpy(v->blob + at, entries[i].text.ptr, entries[i].text.len);
        v->by_id[i] =
            (ib_tok_entry){v->blob + at, (uint32_t)entries[i].text.len, (uint32_t)entries[i].id};
        at += entries[i].text.len;
    }
    v->n = n;
    return IB_OK;
}

ib_status ib_tok_vocab_build(ib_tok_vocab *v, const ib_tok_raw_entry *entries, size_t n,
                             bool unique, const char *where, ib_error *err) {
    char name[IB_QUOTED];
    bool sorted = true;
    *v = (ib_tok_vocab){0};
    IB_TRY(copy_entries(v, entries, n, where, err));
    IB_TRY(ib_map_reserve(&v->ids, n, err));
    for (size_t i = 0; i < n; i++) {
        bool was_there;
        ib_str token = {v->by_id[i].ptr, v->by_id[i].len};
        IB_TRY(ib_map_put(&v->ids, token, v->by_id[i].id, &was_there, err));
        v->n_distinct += !was_there;
        if (was_there && unique)
            return ib_fail(err, IB_E_FORMAT, "token twice in %s: '%s'; fix: correct the file",
                           where, ib_quote(token, name));
        sorted = sorted && (!i || v->by_id[i - 1].id < v->by_id[i].id);
    }
    if (sorted)
        return IB_OK;
    qsort(v->by_id, n, sizeof *v->by_id, by_id);
    for (size_t i = 1; i < n; i++)
        if (v->by_id[i - 1].id == v->by_id[i].id)
            return ib_fail(
                err, IB_E_FORMAT, "token id twice in %s: %u ('%s'); fix: correct the file", where,
                v->by_id[i].id, ib_quote((ib_str){v->by_id[i].ptr, v->by_id[i].len}, name));
    return IB_OK;
}

void ib_tok_vocab_clear(ib_tok_vocab *v) {
    ib_map_clear(&v->ids);
    free(v->blob);
    free(v->by_id);
    *v = (ib_tok_vocab){0};
}

uint32_t ib_tok_vocab_id(const ib_tok_vocab *v, ib_str token) {
    uint64_t id;
    return ib_map_get(&v->ids, token, &id) ? (uint32_t)id : IB_TOK_NONE;
}

ib_str ib_tok_vocab_token(const ib_tok_vocab *v, uint32_t id) {
    size_t lo = 0, hi = v->n;
    if (id < v->n && v->by_id[id].id == id)
        return (ib_str){v->by_id[id].ptr, v->by_id[id].len};
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (v->by_id[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < v->n && v->by_id[lo].id == id)
        return (ib_str){v->by_id[lo].ptr, v->by_id[lo].len};
    return (ib_str){NULL, 0};
}

void ib_tok_byte_tokens(const ib_tok_vocab *v, uint32_t out[256]) {
    static const char hex[] = "0123456789ABCDEF";
    char name[] = "<0x00>";
    for (size_t b = 0; b < 256; b++) {
        name[3] = hex[b >> 4];
        name[4] = hex[b & 15];
        out[b] = ib_tok_vocab_id(v, (ib_str){name, 6});
    }
}
