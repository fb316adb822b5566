/* SPDX-License-Identifier: MIT
 * Joules of a cell by phase, idle taken off. A run's energy is counted around it; that of the
 * prefill comes from a run of one token of its own, so that no counter is read inside a timed
 * window. */
#ifndef IB_RECORD_ENERGY_H
#define IB_RECORD_ENERGY_H

#include "record/record.h"

typedef struct ib_energy_summary {     /* NaN: not available */
    double idle_w, run_w;              /* run_w: mean over the measured runs, idle not taken off */
    double run_j, prefill_j, decode_j; /* run: median over runs; decode = run - prefill */
    double per_output_token_j, per_prompt_token_j;
} ib_energy_summary;

void ib_energy_summarise(ib_energy_summary *out, const ib_cell *cell);

#endif
