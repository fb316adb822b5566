/* SPDX-License-Identifier: MIT
 * The limits of the processor as the pool's threads meet them: a read-only pass over memory, a loop
 * of multiply-adds in registers, and a cache line thrown between two threads. On virtual machines
 * the last one tells which of several placements of the cores holds at the moment. */
#include "backend/probe.h"

#include "backend/cpu/cpu.h"
#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

enum {
    LEAST_BYTES = 64 << 20, /* little beside a model; more where caches are large */
    LARGEST_CACHE = 1 << 30,
    MOST_BYTES = 1 << 30, /* of one pass */
    MOST_PASSES = 15,
    LEAST_PASSES = 3,
    READ_NS = 150 * 1000 * 1000,
    FLOPS_ROUNDS = 9,
    FLOPS_STEPS = 1 << 21, /* some milliseconds */
    DISPATCHES = 501,
    PINGS = 250,
    PING_ROUNDS = 33,
    PING_NS = 50 * 1000 * 1000 /* given up then: the threads share one processor */
};

/* Best and median of n times: the least, and the one in the middle. */
static void sort(uint64_t *ns, size_t n) {
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && ns[j] < ns[j - 1]; j--) {
            const uint64_t t = ns[j];
            ns[j] = ns[j - 1];
            ns[j - 1] = t;
        }
}

/* --- reading ---------------------------------------------------------------------------------- */

typedef struct read_job {
    const ib_device *d;
    const ib_span *spans;
    size_t n_spans;
    uint64_t bytes; /* of all spans that are read */
    atomic_uint_fast64_t sum;
} read_job;

/* Bytes of which a cache holds no more than half: twice the largest one of the first processor, as
 * the kernel tells it. */
static uint64_t least_bytes(void) {
    uint64_t least = LEAST_BYTES;
    for (int i = 0; i < 8; i++) {
        char path[80], unit = 0;
        unsigned long long n = 0;
        (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        FILE *f = fopen(path, "re");
        if (!f)
            break;
        if (fscanf(f, "%llu%c", &n, &unit) == 2 && (unit == 'K' || unit == 'M') && n < 1 << 20)
            n <<= unit == 'K' ? 10 : 20;
        (void)fclose(f);
        if (n <= LARGEST_CACHE && 2 * n > least)
            least = 2 * n;
    }
    return least;
}

/* This thread's part of the spans laid end to end. */
static void read_share(void *ctx, int thread, int n_threads) {
    read_job *j = ctx;
    size_t begin, end;
    uint64_t at = 0, sum = 0;
    ib_split((size_t)j->bytes, 4096, thread, n_threads, &begin, &end);
    for (size_t i = 0; i < j->n_spans && at < end; i++) {
        const uint64_t n = j->spans[i].n_bytes;
        const uint64_t from = begin > at ? begin - at : 0, to = end - at < n ? end - at : n;
        if (from < to)
            sum += j->d->k.read((const uint8_t *)j->spans[i].data + from, (size_t)(to - from));
        at += n;
    }
    atomic_fetch_add(&j->sum, sum);
}

static void read_passes(ib_device *d, read_job *j, ib_probe *out) {
    uint64_t ns[MOST_PASSES], spent = 0;
    size_t n = 0;
    ib_pool_run(d->pool, read_share, j); /* everything is resident after this one */
    while (n < MOST_PASSES && (n < LEAST_PASSES || spent < READ_NS)) {
        const uint64_t start = ib_now_ns();
        ib_pool_run(d->pool, read_share, j);
        ns[n] = ib_now_ns() - start;
        spent += ns[n++];
    }
    sort(ns, n);
    out->read_bytes = j->bytes;
    out->n_passes = n;
    out->read_gbps = ns[0] ? (double)j->bytes / (double)ns[0] : 0;
    out->read_gbps_median = ns[n / 2] ? (double)j->bytes / (double)ns[n / 2] : 0;
}

static void touch_share(void *ctx, int thread, int n_threads) {
    const ib_span *s = ctx;
    size_t begin, end;
    ib_split((size_t)s->n_bytes, 4096, thread, n_threads, &begin, &end);
    uint8_t *to = (uint8_t *)(uintptr_t)s->data;
    for (size_t i = begin; i < end; i += 4096)
        to[i] = (uint8_t)(i >> 12);
}

/* Too little memory for the buffer is no error: the figure stays unknown. */
static void read_buffer(ib_device *d, uint64_t bytes, ib_probe *out) {
    void *p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        ib_log_info(d->config.log, "no memory to measure the read bandwidth with");
        return;
    }
#ifdef MADV_HUGEPAGE
    (void)madvise(p, (size_t)bytes, MADV_HUGEPAGE);
#endif
    ib_span span = {p, bytes};
    read_job j = {.d = d, .spans = &span, .n_spans = 1, .bytes = bytes};
    ib_pool_run(d->pool, touch_share, &span);
    read_passes(d, &j, out);
    (void)munmap(p, (size_t)bytes);
}

static void probe_read(ib_device *d, const ib_probe_ask *ask, ib_probe *out) {
    read_job j = {.d = d, .spans = ask->spans, .n_spans = ask->n_spans};
    for (size_t i = 0; i < ask->n_spans; i++)
        j.bytes += ask->spans[i].n_bytes;
    const uint64_t least = least_bytes(), most = least > MOST_BYTES ? least : MOST_BYTES;
    out->read_weights = j.bytes >= least;
    if (j.bytes > most)
        j.bytes = most;
    if (out->read_weights)
        read_passes(d, &j, out);
    else
        read_buffer(d, least, out);
}

/* --- arithmetic ------------------------------------------------------------------------------- */

typedef struct flops_job {
    double (*multiply_add)(size_t steps, float *result);
    double flops; /* of thread 0; the others do the same */
    _Atomic float sink;
} flops_job;

static void flops_share(void *ctx, int thread, int n_threads) {
    flops_job *j = ctx;
    float result = 0;
    const double flops = j->multiply_add(FLOPS_STEPS, &result);
    (void)n_threads;
    if (thread == 0)
        j->flops = flops;
    atomic_store(&j->sink, result);
}

static void probe_flops(ib_device *d, double (*multiply_add)(size_t, float *), double *best,
                        double *median) {
    uint64_t ns[FLOPS_ROUNDS];
    flops_job j = {.multiply_add = multiply_add};
    ib_pool_run(d->pool, flops_share, &j);
    for (size_t i = 0; i < FLOPS_ROUNDS; i++) {
        const uint64_t start = ib_now_ns();
        ib_pool_run(d->pool, flops_share, &j);
        ns[i] = ib_now_ns() - start;
    }
    sort(ns, FLOPS_ROUNDS);
    const double all = j.flops * d->n_threads * 1e9;
    *best = ns[0] ? all / (double)ns[0] : 0;
    *median = ns[FLOPS_ROUNDS / 2] ? all / (double)ns[FLOPS_ROUNDS / 2] : 0;
}

/* --- distance --------------------------------------------------------------------------------- */

typedef struct ping_job {
    _Alignas(IB_CPU_ALIGN) _Atomic uint32_t ball; /* even: thread 0 has it */
    _Alignas(IB_CPU_ALIGN) atomic_bool given_up;
    uint64_t deadline_ns;
    uint64_t best_ns; /* of PINGS ways there and back */
} ping_job;

/* Waits until the ball is at `turn`; false when that takes too long. */
static bool catch_ball(ping_job *j, uint32_t turn) {
    for (unsigned i = 1; atomic_load_explicit(&j->ball, memory_order_acquire) != turn; i++) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
        if (i % 4096)
            continue;
        if (atomic_load(&j->given_up))
            return false;
        if (ib_now_ns() > j->deadline_ns)
            atomic_store(&j->given_up, true);
    }
    return true;
}

static void ping_share(void *ctx, int thread, int n_threads) {
    ping_job *j = ctx;
    uint32_t turn = (uint32_t)thread;
    (void)n_threads;
    if (thread > 1)
        return;
    for (int round = 0; round < PING_ROUNDS; round++) {
        const uint64_t start = ib_now_ns();
        for (int i = 0; i < PINGS; i++, turn += 2) {
            if (!catch_ball(j, turn))
                return;
            atomic_store_explicit(&j->ball, turn + 1, memory_order_release);
        }
        const uint64_t took = ib_now_ns() - start;
        if (thread == 0 && round > 0 && took < j->best_ns)
            j->best_ns = took;
    }
}

static void probe_ping(ib_device *d, ib_probe *out) {
    ping_job j = {.best_ns = UINT64_MAX, .deadline_ns = ib_now_ns() + PING_NS};
    if (d->n_threads < 2)
        return;
    ib_pool_run(d->pool, ping_share, &j);
    if (j.best_ns != UINT64_MAX) /* rounds that were complete count, also when others were not */
        out->ping_ns = (double)j.best_ns / (2.0 * PINGS);
}

/* --- dispatch --------------------------------------------------------------------------------- */

static void do_nothing(void *ctx, int thread, int n_threads) {
    (void)ctx;
    (void)thread;
    (void)n_threads;
}

/* The median of many, as jobs follow each other in a step: the threads are spinning. */
static void probe_dispatch(ib_device *d, ib_probe *out) {
    uint64_t ns[DISPATCHES];
    out->n_dispatches = ib_pool_dispatches(d->pool);
    if (d->n_threads < 2)
        return;
    for (size_t i = 0; i < DISPATCHES; i++) {
        const uint64_t start = ib_now_ns();
        ib_pool_run(d->pool, do_nothing, NULL);
        ns[i] = ib_now_ns() - start;
    }
    sort(ns, DISPATCHES);
    out->dispatch_ns = (double)ns[DISPATCHES / 2];
    out->n_own_dispatches = ib_pool_dispatches(d->pool) - out->n_dispatches;
}

ib_status ib_cpu_probe(ib_device *d, const ib_probe_ask *ask, ib_probe *out, ib_error *err) {
    (void)err;
    *out = (ib_probe){0};
    if (ask->ping)
        probe_ping(d, out);
    if (ask->dispatch)
        probe_dispatch(d, out);
    if (ask->read)
        probe_read(d, ask, out);
    if (ask->flops) {
        double unused;
        probe_flops(d, d->k.gemm.multiply_add, &out->flops, &out->flops_median);
        probe_flops(d, d->k.multiply_add, &out->flops_float32, &unused);
    }
    return IB_OK;
}
