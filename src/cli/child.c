/* SPDX-License-Identifier: MIT
 * What a process learns from the one that started it. Layout matters for speed by accident (where
 * stack and heap begin), so that each process of a comparison gets another one. */
#include "cli/child.h"

#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_OFFSET = 65536 };

static uint64_t number(const char *name) {
    const char *text = getenv(name);
    uint64_t v = 0;
    return text && ib_parse_u64(ib_str_of(text), &v) ? v : 0;
}

void ib_cli_child_read(ib_cli_child *out) {
    static void *taken; /* never given back */
    const char *padding = getenv(IB_ENV_PADDING);
    *out = (ib_cli_child){.record = getenv(IB_ENV_RECORD),
                          .cell = (size_t)number(IB_ENV_CELL),
                          .env_padding = padding ? strlen(padding) : 0};
    const uint64_t offset = number(IB_ENV_HEAP);
    if (offset && offset <= MOST_OFFSET && (taken = malloc((size_t)offset)) != NULL)
        out->heap_offset = offset;
}
