/* SPDX-License-Identifier: MIT
 * Parts of the HTML report. Each writes one piece of the page; a page that failed stays as it is
 * (page.h). Internal to the report module. */
#ifndef IB_REPORT_HTML_H
#define IB_REPORT_HTML_H

#include "record/analysis.h"
#include "report/samples.h"
#include "report/svg.h"

typedef struct ib_html_cell {
    const ib_cell *cell; /* borrowed */
    ib_samples samples;  /* owned by the page's writer, as analysis */
    ib_analysis analysis;
    size_t number; /* from 1; what the page calls it */
} ib_html_cell;

extern const char *const ib_html_style[]; /* the style sheet in pieces, NULL at the end */

/* html.c: everything up to and with the first heading, inside <header>; name may be "" */
void ib_html_open(ib_page *p, const char *heading, const char *name);
/* The section with whole as a link to its own bytes. */
void ib_html_data(ib_page *p, const json_t *whole, const char *file, const char *about);

/* html_tables.c */
void ib_html_overview(ib_page *p, const ib_html_cell *cells, size_t n);
void ib_html_verdict(ib_page *p, const ib_html_cell *c);
void ib_html_chips(ib_page *p, const ib_html_cell *c); /* what ran, on one line */
void ib_html_headline(ib_page *p, const ib_html_cell *c);
void ib_html_settings(ib_page *p, const ib_html_cell *c);
void ib_html_load(ib_page *p, const ib_html_cell *c);
void ib_html_name(ib_page *p, const ib_html_cell *c); /* "1: model, device, attention" */

/* html_charts.c: latency over position, histogram, ECDF */
void ib_html_latency(ib_page *p, const ib_html_cell *c);
void ib_html_histogram(ib_page *p, const ib_html_cell *c);
void ib_html_ecdf(ib_page *p, const ib_html_cell *c);
/* The cumulative distribution of s as a stair, at most some 400 steps. */
void ib_html_steps(ib_page *p, const ib_svg_chart *c, const ib_samples *s, const char *class_name);

/* html_runs.c: the runs in order (n >= 2), the checks of each */
void ib_html_runs(ib_page *p, const ib_html_cell *c);
void ib_html_checks(ib_page *p, const ib_html_cell *c);

/* html_limits.c: memory ledger, roofline */
void ib_html_memory(ib_page *p, const ib_html_cell *c);
void ib_html_roofline(ib_page *p, const ib_html_cell *c);

/* html_cells.c: cells against each other (n >= 2) */
void ib_html_tpot_by_cell(ib_page *p, const ib_html_cell *cells, size_t n);
void ib_html_ecdf_by_cell(ib_page *p, const ib_html_cell *cells, size_t n);

/* html_environment.c */
void ib_html_environment(ib_page *p, const ib_record *r);

/* <figure><h3>title</h3> ... ib_html_figure_end: </figure> */
void ib_html_figure(ib_page *p, const char *title);
void ib_html_figure_end(ib_page *p);
/* Digits behind the point that an interval of that half-width supports: two of its digits, at most
 * 3; `otherwise` when there is none. */
int ib_html_digits(ib_interval interval, int otherwise);

#endif
