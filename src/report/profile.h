/* SPDX-License-Identifier: MIT
 * The table of operations, for the text and the Markdown report. */
#ifndef IB_REPORT_PROFILE_H
#define IB_REPORT_PROFILE_H

#include "report/writers.h"

/* Nothing when there is no profile. */
ib_status ib_report_profile_text(const ib_profile_record *p, ib_buf *out,
                                 ib_error *err) IB_MUST_CHECK;
/* number: the row of the report's main table. */
ib_status ib_report_profile_markdown(size_t number, const ib_profile_record *p, ib_buf *out,
                                     ib_error *err) IB_MUST_CHECK;

#endif
