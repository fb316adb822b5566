/* SPDX-License-Identifier: MIT
 * Whether a cell's figures can be believed. Internal to the record module. */
#ifndef IB_RECORD_VERDICT_H
#define IB_RECORD_VERDICT_H

#include "record/summary.h"

/* Sets verdict and reasons; ids_equal, n_runs and itl_p50_ms must be set. */
void ib_summary_judge(ib_summary *s, const ib_cell *cell);

#endif
