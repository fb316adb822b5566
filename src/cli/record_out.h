/* SPDX-License-Identifier: MIT
 * Records in and out: what the program says of itself in a record, and which form goes where. */
#ifndef IB_CLI_RECORD_OUT_H
#define IB_CLI_RECORD_OUT_H

#include "cli/cli.h"
#include "report/report.h"

/* Tool, command line, start time and environment; the cells are the caller's. */
ib_status ib_cli_record_start(const ib_cli *cli, ib_record *out, ib_error *err) IB_MUST_CHECK;
/* What was asked, as the options give it. */
ib_status ib_cli_asked(const ib_options *o, ib_asked *out, ib_error *err) IB_MUST_CHECK;

/* Renders the record: to FILE in --format (default json) when --output is given, and to standard
 * output as text unless --quiet; without --output to standard output in --format (default text).
 * printed_live: header and token lines of the text are out already. */
ib_status ib_cli_report(ib_cli *cli, const ib_record *record, bool printed_live,
                        ib_error *err) IB_MUST_CHECK;
/* The two halves of it: FILE; standard output (body_only = printed_live). */
ib_status ib_cli_write_file(const ib_cli *cli, const ib_record *record,
                            ib_error *err) IB_MUST_CHECK;
ib_status ib_cli_print(ib_cli *cli, const ib_record *record, bool body_only,
                       ib_error *err) IB_MUST_CHECK;
/* "0.1.0 0123456789ab" */
const char *ib_cli_program_version(void);
/* Whether standard output gets the text form. */
bool ib_cli_shows_text(const ib_options *o);
/* IB_E_INVALID when a cell's verdict is "invalid", or with --strict not "valid". */
ib_status ib_cli_verdict(const ib_options *o, const ib_record *record, ib_error *err) IB_MUST_CHECK;

#endif
