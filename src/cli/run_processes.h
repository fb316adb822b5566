/* SPDX-License-Identifier: MIT
 * --processes: a cell's runs in fresh processes of this program, one after the other. */
#ifndef IB_CLI_RUN_PROCESSES_H
#define IB_CLI_RUN_PROCESSES_H

#include "cli/run_cell.h"

typedef struct ib_process_hook { /* called with each finished process, the last of the cell's */
    ib_status (*finished)(void *user, const ib_cell *cell, ib_error *err);
    void *user;
} ib_process_hook;

/* Runs what is missing of cell number `index` into r->cell. */
ib_status ib_run_processes(ib_run_cell *r, size_t index, const ib_process_hook *hook,
                           ib_error *err) IB_MUST_CHECK;
/* In such a process: the cell that the environment names, into the file that it names. */
ib_status ib_run_as_child(ib_cli *cli, ib_error *err) IB_MUST_CHECK;

#endif
