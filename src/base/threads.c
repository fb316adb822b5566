/* SPDX-License-Identifier: MIT
 * See threads.h. `posted` counts the shared jobs there are, `done` of each thread those it is
 * through with; both only rise. A thread starts job k when it is posted and every other thread's
 * count has reached k. What thread 0 does alone is not posted: it comes before the next shared job,
 * which the others then begin when `opened` has passed it. A sense-reversing counter is the barrier
 * inside a job. All waits spin first, then sleep on the word they watch. */
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

enum {
    SPIN_NS = 50 * 1000,        /* longer than the caller's work between two steps */
    CROWDED_SPIN_NS = 5 * 1000, /* more threads than cores: the one waited for may need ours */
    CACHE_LINE = 64,
    SHARED = 4,    /* places for shared jobs */
    MOST_ALONE = 4 /* jobs of thread 0 that wait for the next shared one */
};

typedef struct padded_word {
    _Alignas(CACHE_LINE) _Atomic uint32_t value;
    _Atomic uint32_t sleepers;
} padded_word;

typedef struct worker {
    ib_pool *pool;
    int index;
    pthread_t thread;
} worker;

typedef struct shared_job {
    ib_pool_job job;
    bool gated; /* jobs of thread 0 come before it */
} shared_job;

struct ib_pool {
    padded_word posted;  /* shared jobs there are */
    padded_word opened;  /* those before which thread 0 has done what it had to */
    padded_word arrived; /* threads in the barrier */
    padded_word sense;   /* raised when a barrier is complete */
    _Alignas(CACHE_LINE) shared_job jobs[SHARED];    /* job k at k % SHARED */
    _Alignas(CACHE_LINE) uint32_t n_posted, n_begun; /* the caller's own counts */
    ib_pool_job alone[MOST_ALONE];
    size_t n_alone;
    uint64_t spin_ns;
    uint64_t n_barriers; /* changed by the last to arrive */
    int n_threads;
    worker *workers;   /* owned [n_threads - 1] */
    padded_word *done; /* owned [n_threads]: jobs that the thread is through with */
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

/* Counters wrap: a is at or past b. */
static bool reached(uint32_t a, uint32_t b) {
    return a - b < UINT32_MAX / 2;
}

static void sleep_until(padded_word *w, uint32_t target) {
    uint32_t v;
    atomic_fetch_add(&w->sleepers, 1);
    while (!reached(v = atomic_load(&w->value), target))
        (void)syscall(SYS_futex, &w->value, FUTEX_WAIT_PRIVATE, v, NULL, NULL, 0);
    atomic_fetch_sub(&w->sleepers, 1);
}

/* Returns once w has reached target. */
static void wait_for(padded_word *w, uint32_t target, uint64_t spin_ns) {
    uint64_t start = 0;
    for (unsigned i = 0; !reached(atomic_load_explicit(&w->value, memory_order_acquire), target);
         i++) {
        relax();
        if ((i & 127) != 127)
            continue;
        uint64_t now = ib_now_ns();
        if (!start)
            start = now;
        if (now - start >= spin_ns) {
            sleep_until(w, target);
            return;
        }
    }
}

static void wait_for_others(ib_pool *p, uint32_t k, int thread) {
    for (int t = 0; t < p->n_threads; t++)
        if (t != thread)
            wait_for(&p->done[t], k, p->spin_ns);
}

/* One thread's part of shared job k. */
static void run_job(ib_pool *p, const shared_job *s, uint32_t k, int thread) {
    const ib_pool_job *job = &s->job;
    if (job->ahead && !(s->gated && thread == 0)) /* thread 0 has, when it opened the job */
        job->ahead(job->ctx, thread, p->n_threads);
    if (!s->gated)
        wait_for_others(p, k, thread);
    else if (thread > 0)
        wait_for(&p->opened, k + 1, p->spin_ns);
    job->fn(job->ctx, thread, p->n_threads);
    atomic_store(&p->done[thread].value, k + 1);
    wake(&p->done[thread]);
}

static void *worker_main(void *arg) {
    const worker *self = arg;
    ib_pool *p = self->pool;
    for (uint32_t k = 0;; k++) {
        wait_for(&p->posted, k + 1, p->spin_ns);
        const shared_job s = p->jobs[k % SHARED];
        if (!s.job.fn)
            return NULL;
        run_job(p, &s, k, self->index);
    }
}

static uint64_t spin_time(int n_threads) {
    return n_threads > ib_cores_allowed() ? CROWDED_SPIN_NS : SPIN_NS;
}

static void pool_discard(ib_pool *p) {
    if (!p)
        return;
    free(p->workers);
    free(p->done);
    free(p);
}

static void *lines(size_t bytes) {
    size_t whole = (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    void *p = aligned_alloc(CACHE_LINE, whole);
    if (p)
        memset(p, 0, whole);
    return p;
}

ib_status ib_pool_new(ib_pool **out, int n_threads, ib_error *err) {
    *out = NULL;
    if (n_threads < 1)
        return ib_fail(err, IB_E_USAGE, "a thread pool needs at least 1 thread, not %d", n_threads);
    ib_pool *p = lines(sizeof *p);
    if (p) {
        p->workers = calloc((size_t)n_threads, sizeof *p->workers);
        p->done = lines((size_t)n_threads * sizeof *p->done);
    }
    if (!p || !p->workers || !p->done) {
        pool_discard(p);
        return ib_fail_memory(err, sizeof *p, "the thread pool");
    }
    p->n_threads = n_threads;
    p->spin_ns = spin_time(n_threads);
    for (int i = 1; i < n_threads; i++) {
        worker *w = &p->workers[i - 1];
        *w = (worker){.pool = p, .index = i};
        if (pthread_create(&w->thread, NULL, worker_main, w)) {
            /* No job runs yet: the workers that exist read n_threads only after the first one. */
            p->n_threads = i;
            break;
        }
    }
    *out = p;
    return IB_OK;
}

/* The caller's part of every shared job before number `end`. */
static void run_until(ib_pool *p, uint32_t end) {
    for (; p->n_begun != end; p->n_begun++)
        run_job(p, &p->jobs[p->n_begun % SHARED], p->n_begun, 0);
}

/* What thread 0 has to do alone, after all shared jobs before number k. */
static void run_alone(ib_pool *p, uint32_t k) {
    wait_for_others(p, k, 0);
    for (size_t i = 0; i < p->n_alone; i++)
        p->alone[i].fn(p->alone[i].ctx, 0, 1);
    p->n_alone = 0;
}

static void post_alone(ib_pool *p, const ib_pool_job *job) {
    run_until(p, p->n_posted);
    if (p->n_alone == MOST_ALONE)
        run_alone(p, p->n_posted);
    p->alone[p->n_alone++] = *job;
}

/* The caller stays one job behind, so that the others see the next one before they need it. */
static void post_shared(ib_pool *p, const ib_pool_job *job) {
    const uint32_t k = p->n_posted;
    const bool gated = p->n_alone > 0;
    p->jobs[k % SHARED] = (shared_job){*job, gated};
    atomic_store(&p->posted.value, ++p->n_posted);
    wake(&p->posted);
    run_until(p, k);
    if (!gated)
        return;
    if (job->ahead)
        job->ahead(job->ctx, 0, p->n_threads);
    run_alone(p, k);
    atomic_store(&p->opened.value, k + 1);
    wake(&p->opened);
}

void ib_pool_post(ib_pool *p, const ib_pool_job *job) {
    if (p->n_threads == 1)
        job->fn(job->ctx, 0, 1);
    else if (job->alone)
        post_alone(p, job);
    else
        post_shared(p, job);
}

void ib_pool_wait(ib_pool *p) {
    run_until(p, p->n_posted);
    run_alone(p, p->n_posted);
}

void ib_pool_run(ib_pool *p, ib_pool_fn fn, void *ctx) {
    ib_pool_post(p, &(ib_pool_job){.fn = fn, .ctx = ctx});
    ib_pool_wait(p);
}

void ib_pool_free(ib_pool *p) {
    if (!p)
        return;
    ib_pool_wait(p);
    p->jobs[p->n_posted % SHARED] = (shared_job){.gated = false}; /* no function: the end */
    atomic_store(&p->posted.value, p->n_posted + 1);
    wake(&p->posted);
    for (int i = 1; i < p->n_threads; i++)
        (void)pthread_join(p->workers[i - 1].thread, NULL);
    pool_discard(p);
}

int ib_pool_size(const ib_pool *p) {
    return p->n_threads;
}

uint64_t ib_pool_dispatches(const ib_pool *p) {
    return p->n_posted + p->n_barriers;
}

void ib_pool_barrier(ib_pool *p) {
    if (p->n_threads == 1)
        return;
    uint32_t sense = atomic_load(&p->sense.value);
    if (atomic_fetch_add(&p->arrived.value, 1) + 1 == (uint32_t)p->n_threads) {
        atomic_store(&p->arrived.value, 0);
        p->n_barriers++;
        atomic_fetch_add(&p->sense.value, 1);
        wake(&p->sense);
    } else {
        wait_for(&p->sense, sense + 1, p->spin_ns);
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
