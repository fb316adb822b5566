/* SPDX-License-Identifier: MIT
 * base/threads: every thread runs every job once, barriers hold, splits cover, idle threads sleep.
 */
#define _GNU_SOURCE
#include "support.h"

#include "base/clock.h"
#include "base/pin.h"
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

typedef struct job {
    ib_pool *pool;
    _Atomic int runs[64], phase[64];
    _Atomic int torn;
} job;

static void count_run(void *ctx, int thread, int n_threads) {
    job *j = ctx;
    atomic_fetch_add(&j->runs[thread], 1);
    for (int round = 1; round <= 3; round++) {
        atomic_store(&j->phase[thread], round);
        ib_pool_barrier(j->pool);
        for (int t = 0; t < n_threads; t++)
            if (atomic_load(&j->phase[t]) != round)
                atomic_fetch_add(&j->torn, 1);
        ib_pool_barrier(j->pool);
    }
}

static void jobs_run_on_every_thread_with_barriers(void **state) {
    (void)state;
    ib_error err = {0};
    static const int sizes[] = {1, 2, 3, 5};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        job j = {0};
        assert_int_equal(ib_pool_new(&j.pool, sizes[s], &err), IB_OK);
        assert_int_equal(ib_pool_size(j.pool), sizes[s]);
        for (int i = 0; i < 200; i++)
            ib_pool_run(j.pool, count_run, &j);
        for (int t = 0; t < sizes[s]; t++)
            assert_int_equal(atomic_load(&j.runs[t]), 200);
        assert_int_equal(atomic_load(&j.torn), 0);
        ib_pool_free(j.pool);
    }
    ib_pool *none;
    assert_int_equal(ib_pool_new(&none, 0, &err), IB_E_USAGE);
    assert_null(none);
}

/* --- posted jobs ------------------------------------------------------------------------------ */

enum { POSTED = 5000, CELLS = 64 };

/* Each job reads what the one before it wrote, whoever wrote it: a chain that breaks when one
 * starts early, or is done twice, or not at all. */
typedef struct chain {
    uint32_t cells[2][CELLS]; /* job n reads those of n % 2 and writes the others */
    int n_ahead[8];
} chain;

typedef struct link {
    chain *c;
    uint32_t number;
    bool alone;
} link;

static void fetch_link(void *ctx, int thread, int n_threads) {
    const link *l = ctx;
    (void)n_threads;
    l->c->n_ahead[thread]++;
}

static void do_link(void *ctx, int thread, int n_threads) {
    const link *l = ctx;
    size_t begin, end;
    assert_true(!l->alone || (thread == 0 && n_threads == 1));
    ib_split(CELLS, 1, thread, n_threads, &begin, &end);
    const uint32_t *from = l->c->cells[l->number % 2];
    uint32_t *to = l->c->cells[(l->number + 1) % 2];
    for (size_t i = begin; i < end; i++) {
        const uint32_t other = from[(i + CELLS / 2) % CELLS]; /* most often another thread's */
        to[i] = from[i] == l->number && other == l->number ? l->number + 1 : UINT32_MAX;
    }
}

static void posted_jobs_follow_each_other(void **state) {
    (void)state;
    ib_error err = {0};
    for (int n = 1; n <= 5; n++) {
        ib_pool *p;
        chain c = {0};
        link links[IB_POOL_CONTEXTS]; /* as many as the pool asks for, reused in turn */
        assert_int_equal(ib_pool_new(&p, n, &err), IB_OK);
        for (uint32_t i = 0; i < POSTED; i++) {
            link *l = &links[i % IB_POOL_CONTEXTS];
            *l = (link){&c, i, i % 3 == 1 || i % 7 == 2};
            ib_pool_post(p, &(ib_pool_job){do_link, l, fetch_link, l->alone});
            if (i % 1000 == 999)
                ib_pool_wait(p);
        }
        ib_pool_wait(p);
        for (size_t i = 0; i < CELLS; i++)
            assert_int_equal(c.cells[POSTED % 2][i], POSTED);
        for (int t = 1; t < n; t++)
            assert_true(c.n_ahead[t] > 0);
        ib_pool_free(p);
    }
}

static void a_pool_ends_with_jobs_posted(void **state) {
    (void)state;
    ib_error err = {0};
    chain c = {0};
    link links[2] = {{&c, 0, false}, {&c, 1, false}};
    ib_pool *p;
    assert_int_equal(ib_pool_new(&p, 3, &err), IB_OK);
    ib_pool_post(p, &(ib_pool_job){do_link, &links[0], NULL, false});
    ib_pool_post(p, &(ib_pool_job){do_link, &links[1], NULL, false});
    ib_pool_free(p);
    assert_int_equal(c.cells[0][0], 2);
    assert_int_equal(c.cells[0][CELLS - 1], 2);
}

static void splits_cover_each_item_once(void **state) {
    (void)state;
    for (size_t n = 0; n < 70; n++)
        for (int threads = 1; threads < 9; threads++)
            for (size_t grain = 1; grain < 20; grain += 6) {
                size_t next = 0;
                for (int t = 0; t < threads; t++) {
                    size_t begin, end;
                    ib_split(n, grain, t, threads, &begin, &end);
                    assert_int_equal(begin, next);
                    assert_true(end >= begin && (end == n || end % grain == 0));
                    next = end;
                }
                assert_int_equal(next, n);
            }
}

static void nothing(void *ctx, int thread, int n_threads) {
    (void)ctx;
    (void)thread;
    (void)n_threads;
}

static uint64_t process_cpu_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void idle_threads_use_no_cpu(void **state) {
    (void)state;
    ib_error err = {0};
    ib_pool *p;
    assert_int_equal(ib_pool_new(&p, 3, &err), IB_OK);
    ib_pool_run(p, nothing, NULL);
    struct timespec pause = {0, 20 * 1000 * 1000}, rest = {0, 300 * 1000 * 1000};
    (void)nanosleep(&pause, NULL);
    uint64_t before = process_cpu_ns();
    (void)nanosleep(&rest, NULL);
    /* spinning would burn 600 ms; sleeping burns next to nothing */
    assert_true(process_cpu_ns() - before < 100 * 1000 * 1000);
    /* and they wake again, also for a job that was posted */
    ib_pool_post(p, &(ib_pool_job){nothing, NULL, NULL, false});
    (void)nanosleep(&pause, NULL);
    ib_pool_wait(p);
    ib_pool_run(p, nothing, NULL);
    ib_pool_free(p);
    assert_true(ib_cores_allowed() >= 1);
}

static void where_am_i(void *ctx, int thread, int n_threads) {
    cpu_set_t set;
    int *cpus = ctx;
    (void)n_threads;
    CPU_ZERO(&set);
    cpus[thread] = -1;
    if (pthread_getaffinity_np(pthread_self(), sizeof set, &set) == 0 && CPU_COUNT(&set) == 1)
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
            if (CPU_ISSET((size_t)cpu, &set))
                cpus[thread] = cpu;
}

/* Threads run where the list puts them, thread 0 on the first. */
static void threads_are_bound_to_cpus(void **state) {
    (void)state;
    static const char *const wrong[] = {"",    ",",   "0,",    "x",     "-1",      "0-",
                                        "1-0", "0,0", "0-1,1", "99999", "0,99999", "core"};
    ib_error err = {0};
    ib_pool *pool;
    ib_pin pin;
    int cpus[2] = {-1, -1}, first = -1, second = -1;
    char list[40];
    cpu_set_t before;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(ib_pin_parse(&pin, wrong[i], &err), IB_E_USAGE);
    CPU_ZERO(&before);
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--)
        if (CPU_ISSET((size_t)cpu, &before)) {
            second = first;
            first = cpu;
        }
    if (second < 0) {
        print_message("skipped: one CPU only\n");
        return;
    }
    (void)snprintf(list, sizeof list, "%d,%d", second, first);
    assert_int_equal(ib_pin_parse(&pin, list, &err), IB_OK);
    assert_true(pin.n == 2 && pin.cpus[0] == second && pin.cpus[1] == first);
    assert_int_equal(ib_pool_new(&pool, 2, &err), IB_OK);
    assert_int_equal(ib_pin_pool(&pin, pool, &err), IB_OK);
    ib_pool_run(pool, where_am_i, cpus);
    assert_true(cpus[0] == second && cpus[1] == first);
    ib_pool_free(pool);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(ib_pool_new(&pool, 3, &err), IB_OK);
    assert_int_equal(ib_pin_pool(&pin, pool, &err), IB_E_USAGE);
    ib_pool_free(pool);
    ib_status st = ib_pin_parse(&pin, "cores", &err);
    assert_true(st == IB_OK || st == IB_E_UNSUPPORTED);
    if (st == IB_OK)
        assert_true(pin.n >= 1 && strncmp(pin.source, "hwloc", 5) == 0 &&
                    CPU_ISSET((size_t)pin.cpus[0], &before));
    else
        print_message("%s\n", err.text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_are_bound_to_cpus),
        cmocka_unit_test(jobs_run_on_every_thread_with_barriers),
        cmocka_unit_test(posted_jobs_follow_each_other),
        cmocka_unit_test(a_pool_ends_with_jobs_posted),
        cmocka_unit_test(splits_cover_each_item_once),
        cmocka_unit_test(idle_threads_use_no_cpu),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
