/* SPDX-License-Identifier: MIT
 * Several records as one, for reports that show them side by side. */
#ifndef IB_RECORD_MERGE_H
#define IB_RECORD_MERGE_H

#include "record/record.h"

/* Moves the cells of from[n] (n >= 1), in order, into *out; the records in from end up empty. With
 * n == 1 *out is that record. With more, tool, compiler and start time are the first one's, command
 * is NULL, and the environment has one member for each record, "record 1" ..., that holds the
 * file's name (names[i]), command, started_utc, tool, the number of its cells and its environment.
 * After a failure *out and from hold what has to be cleared. */
ib_status ib_record_merge(ib_record *out, ib_record *from, const char *const *names, size_t n,
                          ib_error *err) IB_MUST_CHECK;
/* The member of the i-th (from 0) record of a merged one, borrowed; NULL when there is none. */
const json_t *ib_record_merged(const ib_record *r, size_t i);
/* That of the record which the cell-th cell came from; NULL when r was not merged. */
const json_t *ib_record_origin(const ib_record *r, size_t cell);

#endif
