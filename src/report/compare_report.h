/* SPDX-License-Identifier: MIT
 * A comparison (record/compare.h) as bytes. Names are escaped by every form; nothing depends on the
 * locale. */
#ifndef IB_REPORT_COMPARE_REPORT_H
#define IB_REPORT_COMPARE_REPORT_H

#include "record/compare.h"

/* Appends one screen of plain words. */
ib_status ib_comparison_text(const ib_comparison *c, ib_buf *out, ib_error *err) IB_MUST_CHECK;

ib_status ib_comparison_markdown(const ib_comparison *made, size_t n, ib_buf *out,
                                 ib_error *err) IB_MUST_CHECK;
/* One page; whole: the JSON that it offers for download. */
ib_status ib_comparison_html(const ib_comparison *made, size_t n, const json_t *whole, ib_buf *out,
                             ib_error *err) IB_MUST_CHECK;

#endif
