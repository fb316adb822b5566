/* SPDX-License-Identifier: MIT
 * --dry-run: the cells of a command and what memory each would take, without a device or a weight.
 */
#ifndef IB_CLI_DRY_RUN_H
#define IB_CLI_DRY_RUN_H

#include "cli/run_input.h"

/* Prints the plan to standard output. A cell of a grid that could not run is reported, the others
 * are still shown; the status is that of the first one. */
ib_status ib_cli_dry_run(ib_cli *cli, const ib_run_input *input, ib_error *err) IB_MUST_CHECK;

#endif
