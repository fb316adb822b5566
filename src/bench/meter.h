/* SPDX-License-Identifier: MIT
 * The energy counters around one cell's runs (energy.h): what a run took, and what the machine
 * takes when nothing runs. */
#ifndef IB_BENCH_METER_H
#define IB_BENCH_METER_H

#include "bench/bench.h"
#include "bench/energy.h"

typedef struct ib_meter {
    ib_energy *energy; /* owned; NULL = closed */
    uint64_t uj, ns;   /* when the run began */
} ib_meter;

/* Opens the counters, writes cell->energy; where there are some, waits 0.3 s for the idle power. */
ib_status ib_meter_open(ib_meter *m, const ib_plan *plan, ib_cell *cell,
                        ib_error *err) IB_MUST_CHECK;
void ib_meter_close(ib_meter *m);
bool ib_meter_counts(const ib_meter *m);
/* Around a run; both leave 0 when nothing counts. */
void ib_meter_begin(ib_meter *m);
void ib_meter_end(ib_meter *m, uint64_t *uj, uint64_t *ns);

#endif
