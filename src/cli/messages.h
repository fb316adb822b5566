/* SPDX-License-Identifier: MIT
 * What goes to standard error: time-stamped log lines, and the one error line of the contract
 * "inferbench: error: WHAT in WHERE: VALUE; fix: HOW [E-CODE]" of at most 400 bytes. */
#ifndef IB_CLI_MESSAGES_H
#define IB_CLI_MESSAGES_H

#include "base/log.h"
#include "base/str.h"

enum { IB_ERROR_LINE = 400 };

/* A sink for lines like "2026-01-02T03:04:05.678Z info: text" (UTC). */
ib_log ib_messages_log(ib_log_level level);
ib_log_level ib_messages_level(const char *name); /* "error" .. "debug" */

/* The line for err, newline included, zero-terminated; cut in the middle when it would be longer
 * than IB_ERROR_LINE. Returns its length. */
size_t ib_messages_error_line(const ib_error *err, char out[IB_ERROR_LINE + 1]);
/* The same as a JSON object on one line. */
ib_status ib_messages_error_json(const ib_error *err, ib_buf *out) IB_MUST_CHECK;
/* Writes one of the two to standard error. */
void ib_messages_print_error(const ib_error *err, bool json);

#endif
