/* SPDX-License-Identifier: MIT
 * How far a grid is, on standard error: one line that is rewritten when that is a terminal, else a
 * log line for each cell. The time left is the time so far, by the work that is left. */
#ifndef IB_CLI_PROGRESS_H
#define IB_CLI_PROGRESS_H

#include "base/log.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ib_progress {
    ib_log inner;             /* where log lines go */
    bool on, terminal, shown; /* shown: a line stands that must be wiped */
    uint64_t start_ns;
    double work_done, work_left;
    char label[160];
} ib_progress;

/* on = false: nothing is shown. log is wrapped, so that lines wipe the progress line first. */
void ib_progress_start(ib_progress *p, ib_log *log, bool on, double work);
/* A cell begins; label names it. */
void ib_progress_cell(ib_progress *p, size_t index, size_t n_cells, const char *label);
/* `work` of it is done. */
void ib_progress_add(ib_progress *p, double work);
/* Work that is not going to be done (a cell failed, or was finished before). */
void ib_progress_skip(ib_progress *p, double work);
/* Before anything else is printed. */
void ib_progress_wipe(ib_progress *p);

/* "1:02:03", "4:05"; "unknown" for a negative number. */
const char *ib_progress_time(double seconds, char out[32]);

#endif
