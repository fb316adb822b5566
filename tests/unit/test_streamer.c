/* SPDX-License-Identifier: MIT
 * The token ring: everything arrives, in order, with the right gaps; a full ring is counted and
 * never waits; the writer neither allocates nor blocks. */
#include "bench/bench.h"
#include "support.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/* The linker sends the program's allocations here (-Wl,--wrap): they are counted while `counting`.
 */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
static atomic_bool counting;
static atomic_size_t allocations;

void *__wrap_malloc(size_t n) {
    if (atomic_load(&counting))
        atomic_fetch_add(&allocations, 1);
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size) {
    if (atomic_load(&counting))
        atomic_fetch_add(&allocations, 1);
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n) {
    if (atomic_load(&counting))
        atomic_fetch_add(&allocations, 1);
    return __real_realloc(p, n);
}

typedef struct witness {
    uint64_t n, next_index, sum_ns, wrong, missing;
    uint64_t stall_ns;   /* sleep in each call */
    atomic_bool *hold;   /* do not return while it is true */
    atomic_bool in_call; /* the sink was entered at least once */
    pthread_t thread;
} witness;

static void on_token(void *user, uint64_t index, uint64_t gap_ns) {
    witness *w = user;
    w->thread = pthread_self();
    atomic_store(&w->in_call, true);
    w->wrong += index < w->next_index || gap_ns != 1000 + index;
    w->missing += index - w->next_index;
    w->next_index = index + 1;
    w->n++;
    w->sum_ns += gap_ns;
    if (w->stall_ns)
        (void)nanosleep(&(struct timespec){0, (long)w->stall_ns}, NULL);
    while (w->hold && atomic_load(w->hold))
        (void)nanosleep(&(struct timespec){0, 100000}, NULL);
}

static ib_streamer *make(witness *w, size_t capacity) {
    ib_stream_sink sink = {on_token, w};
    ib_streamer *s = NULL;
    ib_error err = {0};
    assert_int_equal(ib_streamer_new(&s, capacity, &sink, &err), IB_OK);
    return s;
}

static void test_all_in_order(void **unused) {
    (void)unused;
    enum { N = 5000 };
    witness w = {0};
    ib_streamer *s = make(&w, N);
    uint64_t now = 42;
    ib_streamer_start(s, now);
    for (uint64_t i = 0; i < N; i++) {
        now += 1000 + i;
        assert_true(ib_streamer_push(s, now, (uint32_t)i));
        if (i % 1000 == 500)
            (void)nanosleep(&(struct timespec){0, 3000000}, NULL);
    }
    assert_int_equal(ib_streamer_finish(s), 0);
    assert_int_equal(w.n, N);
    assert_true(w.wrong == 0 && w.missing == 0);
    assert_int_equal(w.sum_ns, now - 42);
    assert_false(pthread_equal(w.thread, pthread_self()));
    ib_streamer_free(s);
}

/* A small ring that wraps many times, with a reader that keeps up only because the writer waits for
 * room (which the timed thread never does). */
static void test_wraps(void **unused) {
    (void)unused;
    witness w = {0};
    ib_streamer *s = make(&w, 5); /* becomes 8 */
    uint64_t now = 0, pushed = 0;
    ib_streamer_start(s, now);
    for (uint64_t i = 0; i < 100; i++) {
        now += 1000 + i;
        pushed += ib_streamer_push(s, now, 0);
        if (i % 8 == 7)
            (void)nanosleep(&(struct timespec){0, 12000000}, NULL);
    }
    uint64_t lost = ib_streamer_finish(s);
    assert_int_equal(pushed + lost, 100);
    assert_int_equal(w.n, pushed);
    assert_int_equal(w.wrong, 0);
    assert_true(pushed >= 8);
    ib_streamer_free(s);
}

static void test_overflow(void **unused) {
    (void)unused;
    atomic_bool hold = true;
    witness w = {.hold = &hold};
    ib_streamer *s = make(&w, 4);
    uint64_t now = 0, pushed = 0, i = 0;
    ib_streamer_start(s, now);
    now += 1000 + i++;
    assert_true(ib_streamer_push(s, now, 0));
    while (!atomic_load(&w.in_call))
        (void)nanosleep(&(struct timespec){0, 100000}, NULL);
    uint64_t start = ib_now_ns();
    for (; i < 1000; i++) { /* the reader sits in its first call: 4 fit, the rest does not */
        now += 1000 + i;
        pushed += ib_streamer_push(s, now, 0);
    }
    uint64_t took = ib_now_ns() - start;
    assert_int_equal(pushed, 4);
    assert_true(took <
                500000000); /* it did not wait for the reader, who would sit there for ever */
    atomic_store(&hold, false);
    assert_int_equal(ib_streamer_finish(s), 995);
    assert_int_equal(w.n, 5);
    assert_int_equal(w.wrong, 0);
    ib_streamer_free(s);
}

static void test_no_allocation(void **unused) {
    (void)unused;
    witness w = {0};
    ib_streamer *s = make(&w, 4096);
    uint64_t now = 0;
    atomic_store(&allocations, 0);
    atomic_store(&counting, true);
    ib_streamer_start(s, now);
    for (uint64_t i = 0; i < 4096; i++) {
        now += 1000 + i;
        (void)ib_streamer_push(s, now, 7);
    }
    atomic_store(&counting, false);
    assert_int_equal(atomic_load(&allocations), 0);
    assert_int_equal(ib_streamer_finish(s), 0);
    assert_int_equal(w.n, 4096);
    ib_streamer_free(s);
    /* the counter works */
    atomic_store(&counting, true);
    void *volatile p = malloc(16);
    atomic_store(&counting, false);
    free(p);
    assert_int_equal(atomic_load(&allocations), 1);
}

static void test_without_sink(void **unused) {
    (void)unused;
    ib_stream_sink silent = {NULL, NULL};
    ib_streamer *s = NULL;
    assert_int_equal(ib_streamer_new(&s, 2, NULL, NULL), IB_OK);
    ib_streamer_free(s); /* never used */
    assert_int_equal(ib_streamer_new(&s, 2, &silent, NULL), IB_OK);
    ib_streamer_start(s, 0);
    assert_true(ib_streamer_push(s, 1, 0));
    assert_int_equal(ib_streamer_finish(s), 0);
    assert_int_equal(ib_streamer_finish(s), 0); /* twice is fine */
    ib_streamer_free(s);
    ib_streamer_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_in_order), cmocka_unit_test(test_wraps),
        cmocka_unit_test(test_overflow),     cmocka_unit_test(test_no_allocation),
        cmocka_unit_test(test_without_sink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
