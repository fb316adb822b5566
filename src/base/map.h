/* SPDX-License-Identifier: MIT
 * Hash map from byte strings to uint64_t. Keys are borrowed: they must outlive the map. The hash is
 * keyed by a per-process random seed, so that no file can force collisions. */
#ifndef IB_BASE_MAP_H
#define IB_BASE_MAP_H

#include "base/str.h"

typedef struct ib_map_slot {
    const char *key; /* borrowed; NULL = free slot */
    size_t len;
    uint64_t hash, value;
} ib_map_slot;

typedef struct ib_map {
    ib_map_slot *slots; /* owned; n_slots is a power of two */
    size_t n_slots, n_used;
} ib_map;

void ib_map_init(ib_map *m);
void ib_map_clear(ib_map *m);
/* Room for n keys without growing. */
ib_status ib_map_reserve(ib_map *m, size_t n, ib_error *err) IB_MUST_CHECK;
bool ib_map_get(const ib_map *m, ib_str key, uint64_t *value);
/* Sets key to value; *was_there (may be NULL) tells whether the key existed (its value is
 * replaced). */
ib_status ib_map_put(ib_map *m, ib_str key, uint64_t value, bool *was_there,
                     ib_error *err) IB_MUST_CHECK;

/* The seeded hash itself (also for callers with tables of their own). */
uint64_t ib_hash(const void *bytes, size_t n);

#endif
