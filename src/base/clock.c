/* SPDX-License-Identifier: MIT
 * See clock.h. */
#include "base/clock.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t ib_now_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int compare_u64(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void ib_clock_measure(ib_clock_facts *out) {
    enum { BATCHES = 101, CALLS = 100 };
    uint64_t cost[BATCHES];
    struct timespec res = {0, 1};
    (void)clock_getres(CLOCK_MONOTONIC, &res);
    for (int i = 0; i < BATCHES; i++) {
        uint64_t start = ib_now_ns(), last = start;
        for (int k = 0; k < CALLS; k++)
            last = ib_now_ns();
        cost[i] = last - start;
    }
    qsort(cost, BATCHES, sizeof cost[0], compare_u64);
    out->resolution_ns = (uint64_t)res.tv_sec * 1000000000u + (uint64_t)res.tv_nsec;
    out->cost_ns = (double)cost[BATCHES / 2] / CALLS;
    memcpy(out->source, "unknown", sizeof "unknown");
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource",
                  O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, out->source, sizeof out->source - 1);
    (void)close(fd);
    if (n <= 0)
        memcpy(out->source, "unknown", sizeof "unknown");
    else
        out->source[strcspn(out->source, "\n") < (size_t)n ? strcspn(out->source, "\n")
                                                           : (size_t)n] = '\0';
}
