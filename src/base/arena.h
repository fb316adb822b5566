/* SPDX-License-Identifier: MIT
 * Bump allocator: many small objects of one lifetime, freed together. Blocks never move. */
#ifndef IB_BASE_ARENA_H
#define IB_BASE_ARENA_H

#include "base/str.h"

typedef struct ib_arena_block ib_arena_block;

typedef struct ib_arena {
    ib_arena_block *head; /* owned */
    size_t used_bytes;    /* handed out so far */
    size_t limit_bytes;   /* 0 = none; going over it fails with IB_E_RESOURCE */
} ib_arena;

void ib_arena_init(ib_arena *a, size_t limit_bytes);
void ib_arena_clear(ib_arena *a);

/* n zeroed bytes aligned for any object, or NULL (then *err is set). n may be 0. */
void *ib_arena_alloc(ib_arena *a, size_t n, ib_error *err);
/* count objects of size bytes each, overflow-checked. */
void *ib_arena_array(ib_arena *a, size_t count, size_t size, ib_error *err);
/* A copy of text with a zero byte behind it; ptr is NULL when out of memory. */
ib_str ib_arena_str(ib_arena *a, ib_str text, ib_error *err);

#endif
