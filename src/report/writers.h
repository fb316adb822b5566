/* SPDX-License-Identifier: MIT
 * What the writers share: the formats' functions, names made safe, numbers as text. Internal to the
 * report module. */
#ifndef IB_REPORT_WRITERS_H
#define IB_REPORT_WRITERS_H

#include "report/report.h"

ib_status ib_report_text(const ib_record *r, const ib_report_options *o, ib_buf *out,
                         ib_error *err);
/* text_statistics.c: the lines behind the times; nothing for a cell without gaps. */
ib_status ib_report_text_statistics(const ib_cell *c, const ib_summary *s, ib_buf *out,
                                    ib_error *err);
ib_status ib_report_json(const ib_record *r, const ib_report_options *o, ib_buf *out,
                         ib_error *err);
ib_status ib_report_jsonl(const ib_record *r, const ib_report_options *o, ib_buf *out,
                          ib_error *err);
ib_status ib_report_csv(const ib_record *r, const ib_report_options *o, ib_buf *out, ib_error *err);
ib_status ib_report_markdown(const ib_record *r, const ib_report_options *o, ib_buf *out,
                             ib_error *err);

ib_status ib_report_llama_bench(const ib_record *r, const ib_report_options *o, ib_buf *out,
                                ib_error *err);
ib_status ib_report_vllm(const ib_record *r, const ib_report_options *o, ib_buf *out,
                         ib_error *err);
ib_status ib_report_hyperfine(const ib_record *r, const ib_report_options *o, ib_buf *out,
                              ib_error *err);
ib_status ib_report_html(const ib_record *r, const ib_report_options *o, ib_buf *out,
                         ib_error *err);

/* A name on one line: control characters and bidi marks as in ib_quote, bytes that are not UTF-8 as
 * U+FFFD, nothing cut. NULL gives "-". */
ib_status ib_report_name(const char *name, ib_buf *out, ib_error *err) IB_MUST_CHECK;

/* The same for Markdown and the HTML that it becomes. */
ib_status ib_report_markdown_name(const char *name, ib_buf *out, ib_error *err) IB_MUST_CHECK;

/* Room for one number. */
typedef struct ib_number {
    char text[40];
} ib_number;
/* "12.34" with that many digits behind the point; "-" when v is not finite. */
const char *ib_report_number(double v, int digits, ib_number *out);
/* Milliseconds with as many digits as are worth reading: 2 below 100, else 1. */
const char *ib_report_ms(double ms, ib_number *out);
const char *ib_report_mib(uint64_t bytes, ib_number *out);

#endif
