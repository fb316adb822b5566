/* SPDX-License-Identifier: MIT
 * One cell as the run command has it: plan, live lines of the first measured run when it is the
 * only cell, and what its block of text begins with. The live lines come from the streamer's
 * thread, never from the timed one; while it prints, nobody else writes to standard output. */
#ifndef IB_CLI_RUN_CELL_H
#define IB_CLI_RUN_CELL_H

#include "cli/run_input.h"

typedef struct ib_run_cell {
    ib_cli *cli;   /* borrowed */
    ib_options o;  /* of this cell; borrows from cli->options */
    ib_cell *cell; /* borrowed: where the record has it */
    ib_plan plan;  /* finished_run may be set before ib_run_cell_go */
    bool shows_text, live, header_out;
    ib_stream_sink sink;
    uint64_t *gaps;        /* owned [max_new_tokens]: of the live lines, for --print-median */
    ib_status live_status; /* of the live lines */
    ib_error live_error;
} ib_run_cell;

/* Cell `index` of the command; cell->asked is filled. live: print its tokens as they come. A cell
 * that holds runs already gets only those that are missing. Clear it in every case. */
ib_status ib_run_cell_init(ib_run_cell *out, ib_cli *cli, const ib_run_input *input, size_t index,
                           ib_cell *cell, bool live, ib_error *err) IB_MUST_CHECK;
void ib_run_cell_clear(ib_run_cell *r);
/* Runs it. */
ib_status ib_run_cell_go(ib_run_cell *r, ib_error *err) IB_MUST_CHECK;
/* The two lines that the text of a cell begins with, unless they are out. */
ib_status ib_run_cell_header(ib_run_cell *r, const char *device, ib_error *err) IB_MUST_CHECK;
/* Whether there is anything to report. */
bool ib_run_cell_measured(const ib_cell *cell);
/* "MODEL, cpu, eager, -p 512, -n 128": what tells the cell from its neighbours. */
ib_status ib_run_cell_label(const ib_options *o, ib_buf *out, ib_error *err) IB_MUST_CHECK;

#endif
