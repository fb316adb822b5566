/* SPDX-License-Identifier: MIT
 * base/threads: every thread runs every job once, barriers hold, splits cover, idle threads sleep.
 */
#include "support.h"

#include "base/clock.h"
#include "base/threads.h"

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
    ib_pool_run(p, nothing, NULL);
    ib_pool_free(p);
    assert_true(ib_cores_allowed() >= 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_on_every_thread_with_barriers),
        cmocka_unit_test(splits_cover_each_item_once),
        cmocka_unit_test(idle_threads_use_no_cpu),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
