/* SPDX-License-Identifier: MIT
 * The machine's limits beside a cell: before the runs how far the cores are apart, behind them that
 * again, the read bandwidth over the weights themselves, and the rate of fp32 arithmetic. What
 * reads weights comes last, so that it warms nothing for the runs. */
#ifndef IB_BENCH_PROBE_H
#define IB_BENCH_PROBE_H

#include "engine/engine.h"

/* The state of the machine as the device sees it, before the runs and after them: distance of the
 * cores, read bandwidth over a buffer of its own, so that it warms no weights. */
ib_status ib_bench_probe_state(ib_engine *e, double *ping_ns, double *read_gbps,
                               ib_error *err) IB_MUST_CHECK;
/* IB_OK too when the device has no probes: the figures stay unknown. */
ib_status ib_bench_probe_after(ib_engine *e, ib_probe_record *out, ib_error *err) IB_MUST_CHECK;

#endif
