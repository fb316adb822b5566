/* SPDX-License-Identifier: MIT
 * The device's ceilings: the rate of a pass that only reads, and of matrix products on registers.
 */
#include "backend/probe.h"
#include "backend/cuda/cuda.h"

#include <stdlib.h>

enum { PASSES = 12, WARM = 2 };
enum { BEYOND_CACHE = 20 }; /* times the second-level cache */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct probe_job { /* reads data, or when that is NULL does arithmetic */
    void *data;
    uint64_t bytes;
    bool wide;
} probe_job;

/* Milliseconds of each launch, sorted. */
static ib_status timed(ib_device *d, const probe_job *j, double *flops, double ms[PASSES],
                       ib_error *err) {
    unsigned *sink = (unsigned *)(void *)d->past; /* never written to in fact */
    for (int i = -WARM; i < PASSES; i++) {
        uint64_t ns;
        IB_TRY(d->head.backend->mark(d, 6, err));
        int code = j->data
                       ? ib_cuda_launch_read(d->stream, j->data, (size_t)j->bytes, sink, d->units)
                       : ib_cuda_launch_flops(d->stream, sink, d->units, j->wide, flops);
        IB_TRY(ib_cuda_check(code, "probing", err));
        IB_TRY(d->head.backend->mark(d, 7, err));
        IB_TRY(d->head.backend->elapsed_ns(d, 6, 7, &ns, err));
        if (i >= 0)
            ms[i] = (double)(ns ? ns : 1) * 1e-6;
    }
    qsort(ms, PASSES, sizeof *ms, by_value);
    return IB_OK;
}

ib_status ib_cuda_probe(ib_device *d, const ib_probe_ask *ask, ib_probe *out, ib_error *err) {
    double ms[PASSES], flops = 0;
    *out = (ib_probe){0};
    if (ask->read) {
        size_t free_bytes = 0, total = 0;
        void *data;
        (void)cudaMemGetInfo(&free_bytes, &total);
        uint64_t bytes = d->cache_bytes * BEYOND_CACHE;
        bytes = bytes < free_bytes / 2 ? bytes : free_bytes / 2;
        bytes -= bytes % 4096;
        if (bytes == 0)
            return ib_fail(err, IB_E_RESOURCE, "device cuda: no memory free for the read probe");
        IB_TRY(ib_cuda_alloc(d, &data, bytes, IB_MEM_SCRATCH, err));
        ib_status st =
            ib_cuda_check((int)cudaMemsetAsync(data, 1, (size_t)bytes, d->stream), "probing", err);
        if (st == IB_OK)
            st = timed(d, &(probe_job){.data = data, .bytes = bytes}, NULL, ms, err);
        ib_cuda_release(d, data, bytes, IB_MEM_SCRATCH);
        IB_TRY(st);
        out->read_gbps = (double)bytes / (ms[0] * 1e6);
        out->read_gbps_median = (double)bytes / (ms[PASSES / 2] * 1e6);
        out->read_bytes = bytes;
        out->n_passes = PASSES;
    }
    if (ask->flops) {
        IB_TRY(timed(d, &(probe_job){.wide = true}, &flops, ms, err));
        out->flops_float32 = flops / (ms[0] * 1e-3);
        if (!d->exact)
            IB_TRY(timed(d, &(probe_job){.wide = false}, &flops, ms, err));
        out->flops = flops / (ms[0] * 1e-3);
        out->flops_median = flops / (ms[PASSES / 2] * 1e-3);
    }
    return IB_OK;
}
