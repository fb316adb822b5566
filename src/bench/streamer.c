/* SPDX-License-Identifier: MIT
 * Time stamps on their way to the screen: a ring with one writer (the timed thread) and one reader
 * (a thread that calls the sink). The writer stores and publishes, nothing else: no system call, no
 * lock, no allocation. It therefore cannot wake the reader, which polls every 50 ms, at a lower
 * priority: on a machine whose cores are all at work each look takes one from a timed thread. Only
 * the end, outside the timed window, wakes it at once. */
#define _GNU_SOURCE /* SYS_gettid, RUSAGE_THREAD */
#include "bench/bench.h"

#include "base/checked.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { CACHE_LINE = 64, POLL_NS = 50000000, READER_NICE = 10 };

typedef struct slot {
    uint64_t index, gap_ns;
} slot;

struct ib_streamer {
    /* written by the timed thread */
    _Alignas(CACHE_LINE) _Atomic uint64_t head; /* slots published */
    uint64_t n_tokens, last_ns, overflows;
    /* written by the reader */
    _Alignas(CACHE_LINE) _Atomic uint64_t tail; /* slots consumed */
    /* constant while running */
    _Alignas(CACHE_LINE) atomic_bool done;
    bool joined;
    ib_streamer_cost cost; /* of the reader, once it has ended */
    pthread_mutex_t lock;  /* of the reader's sleep; the timed thread never takes it */
    pthread_cond_t ended;
    slot *slots; /* owned [mask + 1] */
    uint64_t mask;
    ib_stream_sink sink;
    pthread_t thread;
};

static bool drain(ib_streamer *s) {
    uint64_t tail = atomic_load_explicit(&s->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&s->head, memory_order_acquire);
    if (tail == head)
        return false;
    for (; tail < head; tail++) {
        slot got = s->slots[tail & s->mask];
        atomic_store_explicit(&s->tail, tail + 1, memory_order_release);
        if (s->sink.token)
            s->sink.token(s->sink.user, got.index, got.gap_ns);
    }
    return true;
}

/* Sleeps POLL_NS, or until the run has ended. */
static void wait_a_while(ib_streamer *s) {
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += POLL_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_mutex_lock(&s->lock);
    if (!atomic_load_explicit(&s->done, memory_order_acquire))
        (void)pthread_cond_timedwait(&s->ended, &s->lock, &until);
    (void)pthread_mutex_unlock(&s->lock);
}

static ib_streamer_cost own_cost(void) {
    struct rusage u;
    if (getrusage(RUSAGE_THREAD, &u) != 0)
        return (ib_streamer_cost){0};
    return (ib_streamer_cost){(uint64_t)u.ru_majflt, (uint64_t)u.ru_nivcsw, (uint64_t)u.ru_nvcsw};
}

static void *reader_main(void *arg) {
    ib_streamer *s = arg;
    /* A thread has a nice value of its own on Linux; elsewhere this does no harm. */
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), READER_NICE);
    for (;;) {
        bool last = atomic_load_explicit(&s->done, memory_order_acquire);
        if (drain(s))
            continue;
        if (last)
            break;
        wait_a_while(s);
    }
    s->cost = own_cost();
    return NULL;
}

/* The reader takes no signals: they belong to the program's own threads. */
static int start_reader(ib_streamer *s) {
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int problem = pthread_create(&s->thread, NULL, reader_main, s);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return problem;
}

ib_status ib_streamer_new(ib_streamer **out, size_t capacity, const ib_stream_sink *sink,
                          ib_error *err) {
    size_t n = 1, bytes;
    *out = NULL;
    while (n < capacity && n <= SIZE_MAX / 2)
        n *= 2;
    ib_streamer *s = aligned_alloc(CACHE_LINE, sizeof *s);
    if (!s)
        return ib_fail_memory(err, sizeof *s, "the token ring");
    *s = (ib_streamer){.mask = n - 1};
    if (sink)
        s->sink = *sink;
    s->slots = ib_mul_size(n, sizeof *s->slots, &bytes) ? malloc(bytes) : NULL;
    if (!s->slots) {
        free(s);
        return ib_fail_memory(err, capacity, "the token ring");
    }
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->ended, NULL);
    for (size_t i = 0; i < n; i++) /* touch every page before time counts */
        s->slots[i] = (slot){UINT64_MAX, 0};
    if (start_reader(s) != 0) {
        free(s->slots);
        free(s);
        return ib_fail(err, IB_E_RESOURCE,
                       "cannot start the printing thread; fix: raise the limit on threads, or use "
                       "--quiet");
    }
    *out = s;
    return IB_OK;
}

void ib_streamer_start(ib_streamer *s, uint64_t request_ns) {
    s->last_ns = request_ns;
    s->n_tokens = 0;
}

bool ib_streamer_push(ib_streamer *s, uint64_t now_ns, uint32_t id) {
    uint64_t head = atomic_load_explicit(&s->head, memory_order_relaxed);
    slot next = {s->n_tokens++, now_ns - s->last_ns};
    (void)id;
    s->last_ns = now_ns;
    if (head - atomic_load_explicit(&s->tail, memory_order_acquire) > s->mask) {
        s->overflows++;
        return false;
    }
    s->slots[head & s->mask] = next;
    atomic_store_explicit(&s->head, head + 1, memory_order_release);
    return true;
}

uint64_t ib_streamer_finish(ib_streamer *s) {
    if (!s->joined) {
        (void)pthread_mutex_lock(&s->lock);
        atomic_store_explicit(&s->done, true, memory_order_release);
        (void)pthread_cond_signal(&s->ended);
        (void)pthread_mutex_unlock(&s->lock);
        (void)pthread_join(s->thread, NULL);
        s->joined = true;
    }
    return s->overflows;
}

ib_streamer_cost ib_streamer_cost_of(const ib_streamer *s) {
    return s->cost;
}

void ib_streamer_free(ib_streamer *s) {
    if (!s)
        return;
    (void)ib_streamer_finish(s);
    free(s->slots);
    free(s);
}
