/* SPDX-License-Identifier: MIT
 * The queue of operations: each is put into a room of its own and posted to the pool, so that the
 * caller prepares the next one while the threads are at work, and the threads pass from one to the
 * next with a single meeting. */
#include "backend/cpu/cpu.h"

#include <assert.h>

enum { ALONE_BELOW = 16384 }; /* elements: sharing less costs more than it saves */

void *ib_cpu_task(ib_device *d, size_t bytes) {
    assert(bytes <= IB_CPU_TASK_BYTES);
    (void)bytes;
    return d->rooms[d->next_room++ % IB_POOL_CONTEXTS].bytes;
}

void ib_cpu_post(ib_device *d, size_t work, ib_pool_fn fn, void *ctx, ib_pool_fn ahead) {
    ib_pool_post(d->pool,
                 &(ib_pool_job){.fn = fn, .ctx = ctx, .ahead = ahead, .alone = work < ALONE_BELOW});
}
