/* SPDX-License-Identifier: MIT
 * What can change while a cell runs (measurement.md section 6, the facts marked there): read before
 * its runs and after them, and set against each other. `root` stands in front of every path ("" =
 * the machine; a folder made by a test). */
#ifndef IB_RECORD_STATE_H
#define IB_RECORD_STATE_H

#include "record/record.h"

/* Facts as one flat object; null = unknown. About a millisecond. */
ib_status ib_state_read(json_t **out, const char *root, ib_error *err) IB_MUST_CHECK;
/* Adds what a device's probe told; 0 = unknown. */
ib_status ib_state_add_probe(json_t *state, double ping_ns, double read_gbps,
                             ib_error *err) IB_MUST_CHECK;

/* Time of a fixed chain of dependent instructions, ns: the best of several rounds, so that neither
 * a preemption nor a neighbour on the core's other thread counts. Tells core clocks apart. 3 ms. */
double ib_state_spin_ns(void);

/* "governor: powersave -> performance" for change number i between the two states of a process;
 * false when there are fewer. Settings, the distance of the cores (IB_PING_NEAR_NS) and a read
 * bandwidth that moved by more than IB_STATE_READ_CHANGE count. */
#define IB_STATE_READ_CHANGE 0.25
bool ib_state_change(const ib_process_record *p, size_t i, char out[96]);

#endif
