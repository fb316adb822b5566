/* SPDX-License-Identifier: MIT
 * See resident.h. */
#include "bench/resident.h"

#include <sys/mman.h>
#include <unistd.h>

enum { PAGES = 4096 }; /* asked for at a time */

/* Whole pages of one span; false where the kernel does not tell. */
static bool count_span(uintptr_t begin, uintptr_t end, uintptr_t page, uint64_t *mapped,
                       uint64_t *resident) {
    unsigned char in[PAGES];
    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    while (begin < end) {
        size_t n = (size_t)((end - begin) / page);
        n = n < PAGES ? n : PAGES;
        if (mincore((void *)begin, n * page, (void *)in) != 0)
            return false;
        for (size_t i = 0; i < n; i++)
            *resident += in[i] & 1 ? page : 0;
        *mapped += n * page;
        begin += n * page;
    }
    return true;
}

void ib_bench_resident(const ib_checkpoint *c, uint64_t *mapped, uint64_t *resident) {
    const long page = sysconf(_SC_PAGESIZE);
    const size_t n = c ? ib_checkpoint_n_tensors(c) : 0;
    *mapped = *resident = 0;
    for (size_t i = 0; i < n && page > 0; i++) {
        const ib_stored_tensor *t = ib_checkpoint_tensor(c, i);
        const uintptr_t at = (uintptr_t)t->data;
        if (ib_str_starts(t->name, "model.embed_tokens") || ib_str_starts(t->name, "token_embd"))
            continue;
        if (!count_span(at, at + (uintptr_t)t->n_bytes, (uintptr_t)page, mapped, resident)) {
            *mapped = *resident = 0;
            return;
        }
    }
}
