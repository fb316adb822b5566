/* SPDX-License-Identifier: MIT
 * See threads.h. An epoch counter starts a job; a count of threads still at work ends it; a
 * sense-reversing counter is the barrier. All waits spin first, then sleep on the word they watch.
 */
#define _GNU_SOURCE
#include "base/threads.h"

#include "base/clock.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SPIN_NS = 50 * 1000, CACHE_LINE = 64 };

typedef struct padded_word {
    _Alignas(CACHE_LINE) _Atomic uint32_t value;
    _Atomic uint32_t sleepers;
} padded_word;

typedef struct worker {
    ib_pool *pool;
    int index;
    pthread_t thread;
} worker;

struct ib_pool {
    padded_word epoch;   /* raised to start a job, or to stop */
    padded_word working; /* workers not done with the job yet */
    padded_word arrived; /* threads in the barrier */
    padded_word sense;   /* raised when a barrier is complete */
    ib_pool_fn fn;
    void *ctx;
    bool stop;
    int n_threads;
    worker *workers; /* owned [n_threads - 1] */
};

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void wake(padded_word *w) {
    if (atomic_load(&w->sleepers))
        (void)syscall(SYS_futex, &w->value, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

/* Returns once w is no longer old. */
static void wait_change(padded_word *w, uint32_t old) {
    uint64_t start = 0;
    for (unsigned i = 0; atomic_load_explicit(&w->value, memory_order_acquire) == old; i++) {
        relax();
        if ((i & 255) != 255)
            continue;
        uint64_t now = ib_now_ns();
        if (!start)
            start = now;
        if (now - start < SPIN_NS)
            continue;
        atomic_fetch_add(&w->sleepers, 1);
        while (atomic_load(&w->value) == old)
            (void)syscall(SYS_futex, &w->value, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
        atomic_fetch_sub(&w->sleepers, 1);
        return;
    }
}

static void wait_zero(padded_word *w) {
    uint32_t v;
    while ((v = atomic_load_explicit(&w->value, memory_order_acquire)) != 0)
        wait_change(w, v);
}

static void *worker_main(void *arg) {
    worker *self = arg;
    ib_pool *p = self->pool;
    uint32_t seen = 0;
    for (;;) {
        wait_change(&p->epoch, seen);
        seen++;
        if (p->stop)
            return NULL;
        p->fn(p->ctx, self->index, p->n_threads);
        atomic_fetch_sub_explicit(&p->working.value, 1, memory_order_seq_cst);
        wake(&p->working);
    }
}

ib_status ib_pool_new(ib_pool **out, int n_threads, ib_error *err) {
    *out = NULL;
    if (n_threads < 1)
        return ib_fail(err, IB_E_USAGE, "a thread pool needs at least 1 thread, not %d", n_threads);
    ib_pool *p = aligned_alloc(CACHE_LINE, (sizeof *p + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    worker *workers = calloc((size_t)n_threads, sizeof *workers);
    if (!p || !workers) {
        free(p);
        free(workers);
        return ib_fail_memory(err, sizeof *p, "the thread pool");
    }
    memset(p, 0, sizeof *p);
    p->workers = workers;
    p->n_threads = n_threads;
    for (int i = 1; i < n_threads; i++) {
        workers[i - 1] = (worker){.pool = p, .index = i};
        int error = pthread_create(&workers[i - 1].thread, NULL, worker_main, &workers[i - 1]);
        if (error) {
            /* No job runs yet: the workers that exist read n_threads only after the first epoch. */
            p->n_threads = i;
            break;
        }
    }
    *out = p;
    return IB_OK;
}

void ib_pool_free(ib_pool *p) {
    if (!p)
        return;
    p->stop = true;
    atomic_fetch_add(&p->epoch.value, 1);
    wake(&p->epoch);
    for (int i = 1; i < p->n_threads; i++)
        (void)pthread_join(p->workers[i - 1].thread, NULL);
    free(p->workers);
    free(p);
}

int ib_pool_size(const ib_pool *p) {
    return p->n_threads;
}

void ib_pool_run(ib_pool *p, ib_pool_fn fn, void *ctx) {
    if (p->n_threads == 1) {
        fn(ctx, 0, 1);
        return;
    }
    p->fn = fn;
    p->ctx = ctx;
    atomic_store(&p->working.value, (uint32_t)p->n_threads - 1);
    atomic_fetch_add(&p->epoch.value, 1);
    wake(&p->epoch);
    fn(ctx, 0, p->n_threads);
    wait_zero(&p->working);
}

void ib_pool_barrier(ib_pool *p) {
    if (p->n_threads == 1)
        return;
    uint32_t sense = atomic_load(&p->sense.value);
    if (atomic_fetch_add(&p->arrived.value, 1) + 1 == (uint32_t)p->n_threads) {
        atomic_store(&p->arrived.value, 0);
        atomic_fetch_add(&p->sense.value, 1);
        wake(&p->sense);
    } else {
        wait_change(&p->sense, sense);
    }
}

void ib_split(size_t n, size_t grain, int thread, int n_threads, size_t *begin, size_t *end) {
    size_t units = n / grain + (n % grain != 0);
    size_t per = units / (size_t)n_threads, extra = units % (size_t)n_threads, t = (size_t)thread;
    size_t first = per * t + (t < extra ? t : extra);
    size_t last = first + per + (t < extra ? 1 : 0);
    *begin = first * grain < n ? first * grain : n;
    *end = last * grain < n ? last * grain : n;
}

/* Whole cores of the cgroup v2 quota that holds us, or 0 for none. */
static int quota_cores(void) {
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    long long quota = 0, period = 0;
    if (!f)
        return 0;
    int n = fscanf(f, "%lld %lld", &quota, &period);
    (void)fclose(f);
    if (n != 2 || quota <= 0 || period <= 0)
        return 0;
    return (int)((quota + period - 1) / period);
}

/* First sibling thread of a logical CPU's core, or the CPU itself when unknown. */
static int first_sibling(int cpu) {
    char path[96];
    (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
                   cpu);
    FILE *f = fopen(path, "re");
    int first = cpu;
    if (f) {
        if (fscanf(f, "%d", &first) != 1)
            first = cpu;
        (void)fclose(f);
    }
    return first;
}

int ib_cores_allowed(void) {
    cpu_set_t allowed, cores;
    CPU_ZERO(&cores);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        return n > 0 ? (int)n : 1;
    }
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        int first = CPU_ISSET(cpu, &allowed) ? first_sibling((int)cpu) : -1;
        if (first >= 0 && first < CPU_SETSIZE)
            CPU_SET((size_t)first, &cores);
    }
    int n = CPU_COUNT(&cores), quota = quota_cores();
    if (quota > 0 && quota < n)
        n = quota;
    return n > 0 ? n : 1;
}
