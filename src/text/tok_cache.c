/* SPDX-License-Identifier: MIT
 * Pieces already tokenized in this call: the model is a pure function of the piece, and text
 * repeats itself. Lives in one call of encode only, so threads share nothing. */
#include "text/tok.h"

#include <stdlib.h>
#include <string.h>

#define MAX_KEYS ((size_t)1 << 20)

void ib_tok_cache_clear(ib_tok_cache *c) {
    free(c->slots);
    ib_buf_clear(&c->keys);
    ib_ids_clear(&c->ids);
    *c = (ib_tok_cache){0};
}

const ib_tok_cache_slot *ib_tok_cache_get(const ib_tok_cache *c, ib_str piece, uint64_t hash) {
    if (!c->n_slots)
        return NULL;
    for (size_t i = hash & (c->n_slots - 1);; i = (i + 1) & (c->n_slots - 1)) {
        const ib_tok_cache_slot *s = &c->slots[i];
        if (!s->hash)
            return NULL;
        if (s->hash == hash && s->key_len == piece.len &&
            memcmp(c->keys.ptr + s->key, piece.ptr, piece.len) == 0)
            return s;
    }
}

static void place(ib_tok_cache_slot *slots, size_t n_slots, const ib_tok_cache_slot *s) {
    size_t i = s->hash & (n_slots - 1);
    while (slots[i].hash)
        i = (i + 1) & (n_slots - 1);
    slots[i] = *s;
}

static ib_status grow(ib_tok_cache *c, ib_error *err) {
    size_t n = c->n_slots ? c->n_slots * 4 : 256;
    ib_tok_cache_slot *slots = calloc(n, sizeof *slots);
    if (!slots)
        return ib_fail_memory(err, n * sizeof *slots, "the piece cache");
    for (size_t i = 0; i < c->n_slots; i++)
        if (c->slots[i].hash)
            place(slots, n, &c->slots[i]);
    free(c->slots);
    c->slots = slots;
    c->n_slots = n;
    return IB_OK;
}

ib_status ib_tok_cache_put(ib_tok_cache *c, ib_str piece, uint64_t hash, const uint32_t *ids,
                           size_t n, ib_error *err) {
    if (c->n_used >= MAX_KEYS)
        return IB_OK;
    if ((c->n_used + 1) * 2 > c->n_slots)
        IB_TRY(grow(c, err));
    ib_tok_cache_slot s = {hash, (uint32_t)c->keys.len, (uint32_t)piece.len, (uint32_t)c->ids.n,
                           (uint32_t)n};
    IB_TRY(ib_buf_add(&c->keys, piece.ptr, piece.len, err));
    for (size_t i = 0; i < n; i++)
        IB_TRY(ib_ids_add(&c->ids, ids[i], err));
    place(c->slots, c->n_slots, &s);
    c->n_used++;
    return IB_OK;
}
