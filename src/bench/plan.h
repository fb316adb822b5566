/* SPDX-License-Identifier: MIT
 * The grid: what a list of values means, and which combination of values a cell is. The first axis
 * changes slowest, so that what is costly to change comes first. */
#ifndef IB_BENCH_PLAN_H
#define IB_BENCH_PLAN_H

#include "base/str.h"

enum { IB_PLAN_MAX_VALUES = 4096, IB_PLAN_MAX_CELLS = 10000 };

typedef enum ib_axis {
    IB_AXIS_NONE, /* an option that takes one value */
    IB_AXIS_MODEL,
    IB_AXIS_DEVICE,
    IB_AXIS_QUANT,
    IB_AXIS_DTYPE,
    IB_AXIS_THREADS,
    IB_AXIS_ATTN,
    IB_AXIS_BATCH,
    IB_AXIS_DEPTH,
    IB_AXIS_INPUT_LEN,
    IB_AXIS_MAX_NEW_TOKENS,
    IB_AXIS_COUNT
} ib_axis;

/* "128,512", "first-last" (every number), "first-last+step", "first-last*mult", and lists of these
 * -> values in the order given, each in [min, max]; *out is the caller's to free. IB_E_USAGE when
 * the text is nothing of the kind, IB_E_RESOURCE beyond IB_PLAN_MAX_VALUES values. */
ib_status ib_plan_counts(ib_str text, uint64_t min, uint64_t max, uint64_t **out, size_t *n,
                         ib_error *err) IB_MUST_CHECK;

/* Number of cells: the product of lengths[IB_AXIS_COUNT], where 0 counts as 1 (the axis was not
 * given). IB_E_RESOURCE beyond IB_PLAN_MAX_CELLS. */
ib_status ib_plan_n_cells(const size_t *lengths, size_t *n, ib_error *err) IB_MUST_CHECK;
/* positions[IB_AXIS_COUNT]: which value of each axis cell number `cell` takes. */
void ib_plan_positions(const size_t *lengths, size_t cell, size_t *positions);

/* Work of a cell in units of a decoded token of one sequence: what is left of a grid is estimated
 * by it. A prompt position counts as an eighth, because prefill reads the weights for many. */
double ib_plan_work(uint64_t n_runs, uint64_t n_depth, uint64_t n_prompt, uint64_t n_new);

#endif
