/* SPDX-License-Identifier: MIT
 * The one clock of every measurement: CLOCK_MONOTONIC in integer nanoseconds. */
#ifndef IB_BASE_CLOCK_H
#define IB_BASE_CLOCK_H

#include <stdint.h>

uint64_t ib_now_ns(void);

typedef struct ib_clock_facts {
    uint64_t resolution_ns; /* clock_getres */
    double cost_ns;         /* median cost of one call, measured */
    char source[32];        /* kernel's clock source, "unknown" when it cannot be read */
} ib_clock_facts;

/* Takes about a millisecond. */
void ib_clock_measure(ib_clock_facts *out);

#endif
