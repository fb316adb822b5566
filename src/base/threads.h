/* SPDX-License-Identifier: MIT
 * A fixed pool of threads that run jobs together. The caller is thread 0 and works too. Threads
 * that wait spin for a bounded time, then sleep on a futex. Nothing here allocates after
 * ib_pool_new.
 *
 * Jobs can be posted ahead: every thread runs them in their order, and none begins one before all
 * threads have done the ones before it. A thread passes from one job to the next by looking at the
 * others' counters, so that two jobs are one meeting apart, not a start and an end.
 *
 * Split work by index, never by arrival, so that results do not depend on the number of threads. */
#ifndef IB_BASE_THREADS_H
#define IB_BASE_THREADS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ib_pool ib_pool;
typedef void (*ib_pool_fn)(void *ctx, int thread, int n_threads);

enum { IB_POOL_CONTEXTS = 8 };

typedef struct ib_pool_job {
    ib_pool_fn fn;
    void *ctx;        /* must stay until IB_POOL_CONTEXTS - 1 further jobs are posted, or a wait */
    ib_pool_fn ahead; /* or NULL: called by each thread before the job may begin, to bring data into
                         its cache; may read only what no job before it writes */
    bool alone;       /* thread 0 does it by itself, called as (ctx, 0, 1) */
} ib_pool_job;

/* n_threads >= 1. When fewer threads can be had the pool is smaller: ask ib_pool_size. */
ib_status ib_pool_new(ib_pool **out, int n_threads, ib_error *err) IB_MUST_CHECK;
void ib_pool_free(ib_pool *p);
int ib_pool_size(const ib_pool *p);
/* Adds a job; may return before it has run. One caller at a time. */
void ib_pool_post(ib_pool *p, const ib_pool_job *job);
/* Returns when all posted jobs are done. */
void ib_pool_wait(ib_pool *p);
/* Runs fn on every thread after all posted jobs and returns when it is done. */
void ib_pool_run(ib_pool *p, ib_pool_fn fn, void *ctx);
/* How often the threads were given a job or made to wait for each other so far. */
uint64_t ib_pool_dispatches(const ib_pool *p);
/* Inside fn of a job that is not alone: waits until every thread of the pool has arrived. */
void ib_pool_barrier(ib_pool *p);

/* [*begin, *end) of n items, in multiples of `grain`, for this thread. */
void ib_split(size_t n, size_t grain, int thread, int n_threads, size_t *begin, size_t *end);

/* Physical cores that the process may use (affinity mask and cgroup quota), at least 1. */
int ib_cores_allowed(void);

#endif
