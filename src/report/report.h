/* SPDX-License-Identifier: MIT
 * Record + summary -> bytes. One table of formats; each writer appends to a buffer. Names that come
 * from files or the command line are escaped by every format; the generated text is printed as it
 * is by "text", as the reference does. No writer depends on the locale or on anything but the
 * record and its options, so that a record read back gives the same bytes. */
#ifndef IB_REPORT_REPORT_H
#define IB_REPORT_REPORT_H

#include "record/summary.h"

typedef struct ib_report_options {
    const double *percentiles; /* NULL = 10 25 50 75 90; of the reference's line in "text" */
    size_t n_percentiles;
    bool print_median;   /* the reference's "Median latency" line */
    bool running_median; /* the reference's print_median: a median after every tenth token line */
    bool body_only;      /* text: skip header and token lines, which were printed live */
} ib_report_options;

typedef struct ib_report_format {
    const char *name, *summary; /* "text", one line for --help */
    ib_status (*write)(const ib_record *r, const ib_report_options *o, ib_buf *out, ib_error *err);
} ib_report_format;

size_t ib_report_n_formats(void);
const ib_report_format *ib_report_format_at(size_t i);
const ib_report_format *ib_report_find(const char *name); /* NULL when unknown */

/* Pieces of the text format, for printing while the run goes on. */
ib_status ib_report_text_header(const char *device, const char *model_id, const char *attn,
                                ib_buf *out, ib_error *err) IB_MUST_CHECK;
ib_status ib_report_text_latency(uint64_t gap_ns, ib_buf *out,
                                 ib_error *err) IB_MUST_CHECK; /* "Token latency: 12.3 ms\n" */
/* "Token latency median: 12.3 ms\n" over gaps[n] when the reference with print_median prints it
 * after n tokens (n = 2, 12, 22, ...), else nothing. */
ib_status ib_report_text_running_median(const uint64_t *gaps_ns, size_t n, ib_buf *out,
                                        ib_error *err) IB_MUST_CHECK;

#endif
