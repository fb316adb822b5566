/* SPDX-License-Identifier: MIT
 * A stand-in for the OpenCL loader and driver: devices that take every call and compute nothing. It
 * counts what lives, and fails where it is told to. Loaded in place of libOpenCL.so.1. */
#ifndef IB_TESTS_FAKE_OPENCL_H
#define IB_TESTS_FAKE_OPENCL_H

typedef struct fake_plan {
    long fail_at;       /* the n-th call that makes something fails, and those after it; 0 = none */
    long lost_at;       /* from the n-th call to the queue on, the device is lost; 0 = never */
    int build_fails;    /* each compilation fails, with a log */
    int no_platforms;   /* 1: no driver at all; 2: a platform without devices */
    int garbage;        /* strings of drivers: control bytes, no end, lengths that lie */
    int binary_refused; /* programs from disk are refused */
} fake_plan;

typedef struct fake_counts {
    long live;       /* objects made and not released */
    long made, sent; /* calls that make something; calls to the queue */
    long bad;        /* releases of what does not live, launches with arguments missing */
} fake_counts;

typedef void fake_reset_fn(const fake_plan *plan);
typedef void fake_read_fn(fake_counts *out);

#endif
