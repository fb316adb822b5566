/* SPDX-License-Identifier: MIT
 * The machine's limits beside a cell: before the runs how far the cores are apart, behind them that
 * again, the read bandwidth over the weights themselves, and the rate of fp32 arithmetic. What
 * reads weights comes last, so that it warms nothing for the runs. */
#ifndef IB_BENCH_PROBE_H
#define IB_BENCH_PROBE_H

#include "engine/engine.h"

/* IB_OK too when the device has no probes: the figures stay unknown. */
ib_status ib_bench_probe_before(ib_engine *e, ib_probe_record *out, ib_error *err) IB_MUST_CHECK;
ib_status ib_bench_probe_after(ib_engine *e, ib_probe_record *out, ib_error *err) IB_MUST_CHECK;

#endif
