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

static ib_tok_vocab_slot *find(const ib_tok_vocab *v, ib_str token, uint64_t hash) {
    size_t mask = v->n_slots - 1, i = hash & mask;
    uint32_t tag = (uint32_t)(hash >> 32);
    for (;; i = (i + 1) & mask) {
        ib_tok_vocab_slot *s = &v->slots[i];
        if (s->entry == IB_TOK_NONE)
            return s;
        const ib_tok_entry *e = &v->by_id[s->entry];
        if (s->tag == tag && e->len == token.len && memcmp(e->ptr, token.ptr, token.len) == 0)
            return s;
    }
}

static ib_status index_tokens(ib_tok_vocab *v, bool unique, const char *where, ib_error *err) {
    char name[IB_QUOTED];
    v->n_slots = 16;
    while (v->n_slots < v->n * 2)
        v->n_slots *= 2;
    v->slots = malloc(v->n_slots * sizeof *v->slots);
    if (!v->slots)
        return ib_fail_memory(err, v->n_slots * sizeof *v->slots, "the vocabulary");
    memset(v->slots, 0xFF, v->n_slots * sizeof *v->slots);
    for (size_t i = 0; i < v->n; i++) {
        ib_str token = {v->by_id[i].ptr, v->by_id[i].len};
        uint64_t hash = ib_hash(token.ptr, token.len);
        ib_tok_vocab_slot *s = find(v, token, hash);
        if (s->entry != IB_TOK_NONE && unique)
            return ib_fail(err, IB_E_FORMAT, "token twice in %s: '%s'; fix: correct the file",
                           where, ib_quote(token, name));
        v->n_distinct += s->entry == IB_TOK_NONE;
        *s = (ib_tok_vocab_slot){(uint32_t)(hash >> 32), (uint32_t)i};
    }
    return IB_OK;
}

ib_status ib_tok_vocab_build(ib_tok_vocab *v, const ib_tok_raw_entry *entries, size_t n,
                             bool unique, const char *where, ib_error *err) {
    char name[IB_QUOTED];
    bool sorted = true;
    *v = (ib_tok_vocab){0};
    IB_TRY(copy_entries(v, entries, n, where, err));
    for (size_t i = 1; sorted && i < n; i++)
        sorted = v->by_id[i - 1].id < v->by_id[i].id;
    if (!sorted)
        qsort(v->by_id, n, sizeof *v->by_id, by_id);
    for (size_t i = 1; !sorted && i < n; i++)
        if (v->by_id[i - 1].id == v->by_id[i].id)
            return ib_fail(
                err, IB_E_FORMAT, "token id twice in %s: %u ('%s'); fix: correct the file", where,
                v->by_id[i].id, ib_quote((ib_str){v->by_id[i].ptr, v->by_id[i].len}, name));
    return index_tokens(v, unique, where, err);
}

void ib_tok_vocab_clear(ib_tok_vocab *v) {
    free(v->slots);
    free(v->blob);
    free(v->by_id);
    *v = (ib_tok_vocab){0};
}

uint32_t ib_tok_vocab_id(const ib_tok_vocab *v, ib_str token) {
    if (!v->n_slots)
        return IB_TOK_NONE;
    uint32_t entry = find(v, token, ib_hash(token.ptr, token.len))->entry;
    return entry == IB_TOK_NONE ? IB_TOK_NONE : v->by_id[entry].id;
}

/* Three passes, so that the loads of one pass do not wait for each other: slots, entries, strings.
 */
void ib_tok_vocab_ids(const ib_tok_vocab *v, const ib_str *tokens, size_t n, uint32_t *ids) {
    uint64_t hash[IB_TOK_LOOKUPS];
    uint32_t entry[IB_TOK_LOOKUPS], len[IB_TOK_LOOKUPS];
    const char *ptr[IB_TOK_LOOKUPS];
    for (size_t i = 0; i < n && v->n == 0; i++)
        ids[i] = IB_TOK_NONE;
    if (v->n == 0)
        return;
    for (size_t i = 0; i < n; i++)
        hash[i] = ib_hash(tokens[i].ptr, tokens[i].len);
    for (size_t i = 0; i < n; i++) {
        const ib_tok_vocab_slot *s = &v->slots[hash[i] & (v->n_slots - 1)];
        entry[i] = s->tag == (uint32_t)(hash[i] >> 32) && s->entry < v->n ? s->entry : 0;
    }
    for (size_t i = 0; i < n; i++) {
        ptr[i] = v->by_id[entry[i]].ptr;
        len[i] = v->by_id[entry[i]].len;
        ids[i] = v->by_id[entry[i]].id;
    }
    for (size_t i = 0; i < n; i++)
        if (len[i] != tokens[i].len || memcmp(ptr[i], tokens[i].ptr, len[i]) != 0)
            ids[i] = ib_tok_vocab_id(v, tokens[i]); /* not in its first place */
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
