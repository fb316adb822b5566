/* SPDX-License-Identifier: MIT
 * Standard output and result files. Every write is checked: a full disk or a closed descriptor is
 * IB_E_OUTPUT, a reader that went away (EPIPE) ends the output quietly. */
#ifndef IB_CLI_OUTPUT_H
#define IB_CLI_OUTPUT_H

#include "base/file.h"

typedef struct ib_output { /* standard output; one thread at a time */
    ib_buf buf;            /* owned: what is not written yet */
    bool closed;           /* was not open when the program started */
    bool gone;             /* the reader closed its end */
} ib_output;

/* IB_E_OUTPUT when standard output is closed: ask before the work, not after. */
ib_status ib_output_check(const ib_output *o, ib_error *err) IB_MUST_CHECK;
ib_status ib_output_write(ib_output *o, const void *bytes, size_t n, ib_error *err) IB_MUST_CHECK;
ib_status ib_output_flush(ib_output *o, ib_error *err) IB_MUST_CHECK;
void ib_output_clear(ib_output *o);

/* Descriptors 0 to 2 that are closed become /dev/null, so that no file is ever opened as one. */
void ib_output_start(ib_output *o);

/* Whether path can be written at the end: its folder takes a new file, and it does not exist, or is
 * a regular file that force allows to replace and that is none of the inputs (NULL-terminated
 * list, entries may be ""). Removes temporary files that dead processes left beside it. */
ib_status ib_output_probe(const char *path, bool force, const char *const *inputs,
                          ib_error *err) IB_MUST_CHECK;

#endif
