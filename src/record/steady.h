/* SPDX-License-Identifier: MIT
 * Where a cell becomes steady, over its runs and inside them, and which values are unusual. Labels
 * only: every value stays in the record, and every figure uses what it used (measurement.md R18,
 * R25). */
#ifndef IB_RECORD_STEADY_H
#define IB_RECORD_STEADY_H

#include "record/record.h"
#include "stats/changepoint.h"

enum { IB_STEADY_MAX_LABELS = 16 };

typedef struct ib_run_label {
    size_t run;        /* index into the cell's runs */
    const char *label; /* of outliers.h: "severe high", ... */
    const char *cause; /* what the run's counters show; "unknown" */
} ib_run_label;

typedef struct ib_steady {
    ib_stats_steadiness runs, tokens; /* tokens: of most measured runs */
    size_t n_runs, runs_from;         /* measured runs; the first steady one of them */
    size_t n_never;                   /* runs that never become steady inside */
    size_t tokens_from;               /* first steady gap (0 = the one after the first token), the
                                         median over the runs that have one */
    size_t n_slow_tokens;             /* gaps beyond Tukey's outer fence, all measured runs */
    ib_run_label labels[IB_STEADY_MAX_LABELS]; /* runs beyond Tukey's inner fences */
    size_t n_labels;
} ib_steady;

ib_status ib_steady_find(ib_steady *out, const ib_cell *cell, ib_error *err) IB_MUST_CHECK;
/* "unknown", "steady", "never" */
const char *ib_steady_name(ib_stats_steadiness s);

#endif
