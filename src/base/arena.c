/* SPDX-License-Identifier: MIT
 * See arena.h. A block is at least 32 KiB; a larger request gets a block of its own. */
#include "base/arena.h"

#include "base/checked.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* Under the address sanitizer each piece is followed by bytes that nobody may touch. */
#if defined(__SANITIZE_ADDRESS__)
#define IB_ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IB_ARENA_ASAN 1
#endif
#endif
#ifdef IB_ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
enum { GAP = 32 };
#else
#define POISON(p, n) ((void)0)
enum { GAP = 0 };
#endif

struct ib_arena_block {
    ib_arena_block *next;
    size_t used, cap;
    alignas(max_align_t) unsigned char bytes[];
};

enum { BLOCK_BYTES = 32 * 1024, ALIGNMENT = alignof(max_align_t) };

void ib_arena_init(ib_arena *a, size_t limit_bytes) {
    *a = (ib_arena){.limit_bytes = limit_bytes};
}

void ib_arena_clear(ib_arena *a) {
    for (ib_arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    a->head = NULL;
    a->used_bytes = 0;
}

void *ib_arena_alloc(ib_arena *a, size_t n, ib_error *err) {
    size_t need, total;
    if (!ib_add_size(n, ALIGNMENT - 1 + GAP, &need)) {
        (void)ib_fail_memory(err, n, "an object");
        return NULL;
    }
    need &= ~(size_t)(ALIGNMENT - 1);
    if (!ib_add_size(a->used_bytes, need, &total) || (a->limit_bytes && total > a->limit_bytes)) {
        (void)ib_fail(err, IB_E_RESOURCE,
                      "memory limit of %zu bytes reached; fix: simplify the input", a->limit_bytes);
        return NULL;
    }
    if (!a->head || a->head->cap - a->head->used < need) {
        size_t cap = need > BLOCK_BYTES ? need : BLOCK_BYTES, bytes;
        ib_arena_block *b = ib_add_size(cap, sizeof *b, &bytes) ? malloc(bytes) : NULL;
        if (!b) {
            (void)ib_fail_memory(err, n, "an object");
            return NULL;
        }
        *b = (ib_arena_block){.next = a->head, .cap = cap};
        a->head = b;
    }
    void *out = a->head->bytes + a->head->used;
    a->head->used += need;
    a->used_bytes = total;
    memset(out, 0, need);
    POISON((char *)out + n, need - n);
    return out;
}

void *ib_arena_array(ib_arena *a, size_t count, size_t size, ib_error *err) {
    size_t bytes;
    if (!ib_mul_size(count, size, &bytes)) {
        (void)ib_fail_memory(err, SIZE_MAX, "an array");
        return NULL;
    }
    return ib_arena_alloc(a, bytes, err);
}

ib_str ib_arena_str(ib_arena *a, ib_str text, ib_error *err) {
    size_t bytes;
    char *copy = NULL;
    if (ib_add_size(text.len, 1, &bytes))
        copy = ib_arena_alloc(a, bytes, err);
    if (!copy)
        return (ib_str){NULL, 0};
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    return (ib_str){copy, text.len};
}
