/* SPDX-License-Identifier: MIT
 * Which CPU each thread of a pool is bound to. "cores": one thread on each physical core, in the
 * order in which hwloc counts them (memory node by memory node); "0,2,4-7": these CPUs, in this
 * order. hwloc is opened when it is asked for; the program starts without it. */
#ifndef IB_BASE_PIN_H
#define IB_BASE_PIN_H

#include "base/str.h"
#include "base/threads.h"

enum { IB_PIN_MAX = 1024 };

typedef struct ib_pin {
    int cpus[IB_PIN_MAX]; /* of thread 0, 1, ... */
    size_t n;
    char source[32]; /* "list", or "hwloc, interface 2.8" */
} ib_pin;

/* IB_E_USAGE for a word that is neither, or a CPU that the process may not use; IB_E_UNSUPPORTED
 * when "cores" needs a hwloc that cannot be opened. */
ib_status ib_pin_parse(ib_pin *out, const char *spec, ib_error *err) IB_MUST_CHECK;
/* Binds thread i of the pool to cpus[i]; thread 0 is the caller. IB_E_USAGE when there are fewer
 * CPUs than threads, IB_E_RESOURCE when the kernel refuses. */
ib_status ib_pin_pool(const ib_pin *p, ib_pool *pool, ib_error *err) IB_MUST_CHECK;

#endif
