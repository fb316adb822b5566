/* SPDX-License-Identifier: MIT
 * FILE.journal: what was measured so far, so that nothing is lost when the program dies. Each line
 * is one JSON object, on the disk (fsync) before the next run begins:
 *   {"journal": 1, "identity": H, "n_cells": N, "record": {...}}  first: the record without cells
 *   {"cell": I, "opened": {...}}  what cell I is; before its first run
 *   {"cell": I, "run": {...}}     one finished run, warm-up runs too
 *   {"cell": I, "process": {...}, "runs": [...]}  a finished process of --processes, whole
 *   {"cell": I, "done": {...}, "detokenize_ns": N}  the cell is finished; replaces "opened"
 * identity stands for the command, its inputs and the program; a journal of another identity is
 * refused. A last line that was cut by the program's death counts as not written. */
#ifndef IB_BENCH_JOURNAL_H
#define IB_BENCH_JOURNAL_H

#include "base/log.h"
#include "record/record.h"

typedef struct ib_journal ib_journal;

/* FILE + ".journal"; NULL when out of memory. The caller frees it. */
char *ib_journal_path(const char *file);

/* Begins a journal at path; one that is there is replaced. IB_E_OUTPUT when it cannot be written or
 * another process writes it. */
ib_status ib_journal_create(ib_journal **out, const char *path, const char *identity,
                            const ib_record *head, size_t n_cells, ib_error *err) IB_MUST_CHECK;
/* Reads the journal at path and goes on with it. head gets what stands before the cells; cells
 * [n_cells], empty, get what was measured; done [n_cells] says which are finished. Of a cell that
 * is not, only the finished runs are kept. IB_E_USAGE for another identity, IB_E_FORMAT for a line
 * that is damaged and not the last. */
ib_status ib_journal_resume(ib_journal **out, const char *path, const char *identity,
                            ib_record *head, ib_cell *cells, bool *done, size_t n_cells,
                            const ib_log *log, ib_error *err) IB_MUST_CHECK;

/* Each appends one line and waits until the disk has it. On failure the line is taken back. */
ib_status ib_journal_opened(ib_journal *j, size_t cell, const ib_cell *c,
                            ib_error *err) IB_MUST_CHECK;
ib_status ib_journal_run(ib_journal *j, size_t cell, const ib_run_record *r,
                         ib_error *err) IB_MUST_CHECK;
ib_status ib_journal_done(ib_journal *j, size_t cell, const ib_cell *c,
                          ib_error *err) IB_MUST_CHECK;
/* The last process of the cell with all its runs. */
ib_status ib_journal_process(ib_journal *j, size_t cell, const ib_cell *c,
                             ib_error *err) IB_MUST_CHECK;
/* Runs in the journal, those read back included. */
size_t ib_journal_n_runs(const ib_journal *j);

void ib_journal_close(ib_journal *j, bool remove); /* NULL is fine */

#endif
