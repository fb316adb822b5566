/* SPDX-License-Identifier: MIT
 * Whether a cell needs another run: so many as asked, or until an interval is narrow, or until time
 * is up (stats/sequential.h). The unit is the run, or the process where there are several. */
#ifndef IB_BENCH_UNTIL_H
#define IB_BENCH_UNTIL_H

#include "record/record.h"

typedef struct ib_until {
    uint64_t n_planned;   /* units; half_width 0: that many */
    double half_width;    /* fraction of the median ITL; 0 = not asked for */
    uint64_t max_time_ns; /* since start_ns; 0 = none */
    uint64_t start_ns;
    bool by_process;
} ib_until;

/* Measured units that the cell holds. */
size_t ib_until_units(const ib_cell *cell, bool by_process);
/* *more: make another one. At the end, with half_width, cell->stopping tells why. */
ib_status ib_until_more(const ib_until *u, ib_cell *cell, bool *more, ib_error *err) IB_MUST_CHECK;

#endif
