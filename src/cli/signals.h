/* SPDX-License-Identifier: MIT
 * SIGINT and SIGTERM as a flag that the work looks at; a second one ends the program at once. */
#ifndef IB_CLI_SIGNALS_H
#define IB_CLI_SIGNALS_H

#include "base/error.h"

#include <stdbool.h>

/* Ignores SIGPIPE and SIGXFSZ (write fails instead), turns SIGBUS from a file that shrank while it
 * was mapped into exit code 3, and catches SIGINT and SIGTERM: until ib_signals_defer the first one
 * ends the program, afterwards it only sets the flag. json: the form of what it then says. */
void ib_signals_start(bool json);
void ib_signals_defer(void);

/* 0, or the number of the signal that came. */
volatile const int *ib_signals_flag(void);
/* IB_E_INTERRUPTED or IB_E_TERMINATED once a signal came, else IB_OK. */
ib_status ib_signals_check(ib_error *err) IB_MUST_CHECK;
/* Counts SIGCONT: how often the process was stopped and went on. */
volatile const int *ib_signals_continued(void);
/* Sets the flag as if signal had come. */
void ib_signals_raise(int signal);

#endif
