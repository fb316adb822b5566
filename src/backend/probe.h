/* SPDX-License-Identifier: MIT
 * What the machine can do at most, measured by the device with its own threads: the figures that a
 * run is held against. Outside every timed window. */
#ifndef IB_BACKEND_PROBE_H
#define IB_BACKEND_PROBE_H

#include "backend/backend.h"

typedef struct ib_span {
    const void *data; /* borrowed [n_bytes] */
    uint64_t n_bytes;
} ib_span;

typedef struct ib_probe_ask {
    bool ping;            /* how far two of the threads are apart: milliseconds */
    bool dispatch;        /* what it costs to set the threads to work: below a millisecond */
    bool read, flops;     /* read bandwidth, arithmetic: 100 to 300 ms */
    const ib_span *spans; /* borrowed: what to read, best the weights themselves */
    size_t n_spans;
} ib_probe_ask;

typedef struct ib_probe {               /* 0 = not measured */
    double ping_ns;                     /* a cache line from one core to the other, one way */
    double read_gbps, read_gbps_median; /* all threads; best and median pass; 1e9 bytes */
    uint64_t read_bytes, n_passes;      /* of one pass */
    bool read_weights;                  /* the spans were read; else they were too small, and a
                                           buffer larger than any cache stood in for them */
    double flops, flops_median;         /* operations a second (a multiply-add is two), all
                                           threads, registers only, in the arithmetic that products
                                           of many rows use (ib_device_info.compute) */
    double flops_float32;               /* the same in fp32, best round */
    double dispatch_ns;        /* of one job with nothing to do, from its start to its end */
    uint64_t n_dispatches;     /* jobs and barriers since the device was opened, those before */
    uint64_t n_own_dispatches; /* and those of this measurement */
} ib_probe;

#endif
