/* SPDX-License-Identifier: MIT
 * The summary as it stands in the record's JSON. Internal to the record module. */
#ifndef IB_RECORD_SUMMARY_JSON_H
#define IB_RECORD_SUMMARY_JSON_H

#include "record/summary.h"

/* Adds the members of the summary of cell to the empty object o. p may be NULL. */
ib_status ib_summary_to_json(const ib_cell *cell, const ib_percentiles *p, json_t *o,
                             ib_error *err) IB_MUST_CHECK;

#endif
