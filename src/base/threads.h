/* SPDX-License-Identifier: MIT
 * A fixed pool of threads that run one function together. Workers spin for a bounded time, then
 * sleep on a futex; the caller is thread 0 and works too. Nothing here allocates after ib_pool_new.
 *
 * Split work by index, never by arrival, so that results do not depend on the number of threads. */
#ifndef IB_BASE_THREADS_H
#define IB_BASE_THREADS_H

#include "base/error.h"

#include <stdbool.h>

typedef struct ib_pool ib_pool;
typedef void (*ib_pool_fn)(void *ctx, int thread, int n_threads);

/* n_threads >= 1. When fewer threads can be had the pool is smaller: ask ib_pool_size. */
ib_status ib_pool_new(ib_pool **out, int n_threads, ib_error *err) IB_MUST_CHECK;
void ib_pool_free(ib_pool *p);
int ib_pool_size(const ib_pool *p);
/* Runs fn on every thread and returns when all are done. One caller at a time. */
void ib_pool_run(ib_pool *p, ib_pool_fn fn, void *ctx);
/* Inside fn: waits until every thread of the pool has arrived. */
void ib_pool_barrier(ib_pool *p);

/* [*begin, *end) of n items, in multiples of `grain`, for this thread. */
void ib_split(size_t n, size_t grain, int thread, int n_threads, size_t *begin, size_t *end);

/* Physical cores that the process may use (affinity mask and cgroup quota), at least 1. */
int ib_cores_allowed(void);

#endif
