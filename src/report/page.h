/* SPDX-License-Identifier: MIT
 * A writer of markup that remembers its first failure, so that a page is written without a check
 * after every tag: once status is not IB_OK nothing more is added, and the caller returns status at
 * the end. Literal text goes through ib_page_put, everything that came from a file or the command
 * line through ib_page_name or ib_page_lines. Internal to the report module. */
#ifndef IB_REPORT_PAGE_H
#define IB_REPORT_PAGE_H

#include "report/writers.h"

typedef struct ib_page {
    ib_buf *out;   /* borrowed */
    ib_error *err; /* borrowed */
    ib_status status;
    unsigned n_ids; /* of figures, for titles and descriptions */
} ib_page;

/* Text and markup of ours; no number with a decimal point may pass through it (locale). */
void ib_page_text(ib_page *p, const char *literal);
/* At most 1000 bytes a call. */
void ib_page_put(ib_page *p, const char *fmt, ...) IB_PRINTF(2, 3);
/* One line: as ib_report_name, then & < > " ' as character references. NULL gives "-". */
void ib_page_name(ib_page *p, const char *name);
/* The same with line feeds kept: text[n] for a <pre>. */
void ib_page_lines(ib_page *p, const char *text, size_t n);
/* v with that many digits; "-" when it is not finite. */
void ib_page_number(ib_page *p, double v, int digits);
/* A coordinate: one digit behind the point, none when it is 0. Not finite or beyond 1e6: 0. */
void ib_page_at(ib_page *p, double v);
/* ' key="v"' with a coordinate. */
void ib_page_attribute(ib_page *p, const char *key, double v);
/* RFC 4648 section 4, without line ends. */
void ib_page_base64(ib_page *p, const void *bytes, size_t n);

#endif
