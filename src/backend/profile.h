/* SPDX-License-Identifier: MIT
 * Where a forward pass spends its time: a device in front of a device. Every operation that goes
 * through it is passed on, waited for, and added to a row of its name. The waiting makes a profiled
 * pass slower than a plain one, so it is a pass of its own, never a measured run.
 *
 * Device-neutral: it uses nothing but the seam. Steps are not replayed: the operations run one by
 * one, as they are queued. */
#ifndef IB_BACKEND_PROFILE_H
#define IB_BACKEND_PROFILE_H

#include "backend/backend.h"

enum { IB_PROFILE_MAX_ROWS = 40 };

typedef struct ib_profile_weight { /* what an operation on this weight is called */
    const ib_weight *weight;
    const char *name; /* static */
    uint64_t bytes;   /* that one pass over it reads */
    uint64_t n_elements;
} ib_profile_weight;

typedef struct ib_profile_row {
    const char *name; /* static */
    uint64_t calls, ns;
    uint64_t bytes; /* weights, cache, activations that the calls had to read or write */
    double flops;   /* of products and attention; 0 for the rest */
} ib_profile_row;

typedef struct ib_profiler ib_profiler;

/* weights [n]: borrowed, sorted by ib_profiler_new. inner is borrowed and must outlive it.
 * kv_position_bytes: keys and values of one position of one sequence in one layer. */
ib_status ib_profiler_new(ib_profiler **out, ib_device *inner, ib_profile_weight *weights, size_t n,
                          uint64_t kv_position_bytes, ib_error *err) IB_MUST_CHECK;
void ib_profiler_free(ib_profiler *p);
/* The device to run on; what belongs to the inner device works on it. */
ib_device *ib_profiler_device(ib_profiler *p);
/* Forgets what was counted. */
void ib_profiler_reset(ib_profiler *p);
/* Rows in the order in which their names were first seen. */
const ib_profile_row *ib_profiler_rows(const ib_profiler *p, size_t *n);
/* What one wait for the device costs when there is nothing to wait for, in ns. */
double ib_profiler_sync_ns(ib_profiler *p);

#endif
