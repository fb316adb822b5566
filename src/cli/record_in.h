/* SPDX-License-Identifier: MIT
 * Saved records as a user names them: one record, or one a line (the jsonl format). */
#ifndef IB_CLI_RECORD_IN_H
#define IB_CLI_RECORD_IN_H

#include "record/record.h"

/* Reads the record of path; of several lines the cells of all, under the first one's head. A file
 * of another program, or a comparison, is IB_E_FORMAT with its name. */
ib_status ib_cli_read_record(ib_record *out, const char *path, ib_error *err) IB_MUST_CHECK;

#endif
