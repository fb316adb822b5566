/* SPDX-License-Identifier: MIT
 * What is looked at around a run, for its gates: the kernel's counters, the core's clock, residency
 * of the weights, stops. Outside the timed window. */
#ifndef IB_BENCH_WATCH_H
#define IB_BENCH_WATCH_H

#include "bench/bench.h"
#include "record/environment.h"

typedef struct ib_watch {
    ib_process_counters before;
    double spin_ns;
    int continued;
    uint64_t mapped, resident;
} ib_watch;

/* weights may be NULL: no file is mapped. */
void ib_watch_begin(ib_watch *w, const ib_plan *plan, const ib_checkpoint *weights);
/* Into r. reader: what the printing thread cost, taken off. */
void ib_watch_end(const ib_watch *w, const ib_plan *plan, const ib_streamer_cost *reader,
                  ib_run_record *r);

/* A process that is going to make runs of the cell, with the state before them; and after them.
 * Nothing of the machine is read for an engine in virtual time. */
ib_status ib_watch_process(ib_cell *cell, const ib_plan *plan, ib_engine *e,
                           ib_error *err) IB_MUST_CHECK;
ib_status ib_watch_process_end(ib_cell *cell, const ib_plan *plan, ib_engine *e,
                               ib_error *err) IB_MUST_CHECK;

#endif
