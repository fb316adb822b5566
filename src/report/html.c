/* SPDX-License-Identifier: MIT
 * One page that holds everything: no script, no request (a policy in the page forbids them), style
 * and drawings inside, the record itself as a link to its own bytes. The order of headings, titles
 * and descriptions of all drawings, tables beside them and focus by keyboard make it readable
 * without eyes or mouse. */
#include "report/html.h"

#include <stdlib.h>
#include <string.h>

void ib_html_figure(ib_page *p, const char *title) {
    ib_page_put(p, "<figure><h3>%s</h3>\n", title);
}

void ib_html_figure_end(ib_page *p) {
    ib_page_text(p, "</figure>\n");
}

void ib_html_open(ib_page *p, const char *heading, const char *name) {
    ib_page_text(
        p, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
           "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<meta name=\"referrer\" content=\"no-referrer\">\n"
           "<link rel=\"icon\" href=\"data:,\">\n<title>");
    ib_page_text(p, heading);
    ib_page_text(p, *name ? ": " : "");
    ib_page_name(p, name);
    ib_page_text(p, "</title>\n<style>\n");
    for (size_t i = 0; ib_html_style[i]; i++)
        ib_page_text(p, ib_html_style[i]);
    ib_page_text(p, "</style></head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the "
                    "figures</a>\n<header><h1>");
    ib_page_text(p, heading);
    ib_page_text(p, "</h1>\n");
}

static void head(ib_page *p, const ib_record *r, const ib_html_cell *cells) {
    const char *model = r->n_cells ? cells[0].cell->asked.model_id : NULL;
    ib_html_open(p, "inferbench report", model ? model : "no model");
    ib_page_put(p, "<p class=\"soft\">%zu cell%s", r->n_cells, r->n_cells == 1 ? "" : "s");
    if (r->started_utc) {
        ib_page_text(p, ", started ");
        ib_page_name(p, r->started_utc);
    }
    ib_page_text(p, ", inferbench ");
    ib_page_name(p, r->tool_version);
    ib_page_text(p, ". Percentiles: NumPy's linear definition.</p></header>\n"
                    "<main id=\"main\">\n");
}

static void one_cell(ib_page *p, const ib_html_cell *c) {
    ib_page_put(p, "<section aria-labelledby=\"cell%zu\"><h2 id=\"cell%zu\">Cell ", c->number,
                c->number);
    ib_html_name(p, c);
    ib_page_text(p, "</h2>\n");
    ib_html_verdict(p, c);
    ib_html_chips(p, c);
    ib_html_headline(p, c);
    ib_page_text(p, "<div class=\"figures\">\n");
    ib_html_latency(p, c);
    ib_html_histogram(p, c);
    ib_html_ecdf(p, c);
    ib_html_runs(p, c);
    ib_html_roofline(p, c);
    ib_html_memory(p, c);
    ib_html_load(p, c);
    ib_page_text(p, "</div>\n");
    ib_html_checks(p, c);
    ib_html_settings(p, c);
    ib_page_text(p, "</section>\n");
}

void ib_html_data(ib_page *p, const json_t *whole, const char *file, const char *about) {
    ib_buf text;
    ib_buf_init(&text);
    if (p->status == IB_OK)
        p->status = ib_json_dump(whole, JSON_COMPACT | JSON_ENSURE_ASCII, &text, p->err);
    ib_page_put(p,
                "<h2 id=\"data\">Raw data</h2>\n<p>%s</p>\n<p class=\"download\">"
                "<a download=\"%s\" href=\"data:application/json;base64,",
                about, file);
    if (p->status == IB_OK)
        ib_page_base64(p, text.ptr, text.len);
    ib_page_put(p, "\">Download %s (%zu kB)</a></p>\n", file, text.len / 1000 + 1);
    ib_buf_clear(&text);
}

static void raw_data(ib_page *p, const ib_record *r, const ib_report_options *o) {
    const ib_percentiles percentiles = {o->percentiles, o->n_percentiles};
    json_t *json = NULL;
    if (p->status == IB_OK)
        p->status = ib_record_to_json_with(r, &percentiles, &json, p->err);
    ib_html_data(p, json, "inferbench-record.json",
                 "Every figure of this page is computed from the record's time stamps; the same "
                 "record renders the same page.");
    json_decref(json);
}

static void terms(ib_page *p) {
    ib_page_text(
        p,
        "<h2 id=\"terms\">Terms</h2>\n<details><summary>What the figures mean</summary><ul>"
        "<li>TTFT: from the prompt's token ids on the host to the first token's id.</li>"
        "<li>ITL: each gap between two tokens; the first token never enters.</li>"
        "<li>TPOT: from the first token to the last, over the tokens after the first.</li>"
        "<li>Several runs: a figure is the median of the runs' figures; its interval is Student's "
        "t on "
        "the logarithms of the run values and needs 5 runs. Warm-up runs and runs that were "
        "stopped stay in the "
        "record and out of the figures. No outlier is deleted.</li>"
        "<li>A percentile is shown only where the gaps carry a 95 % interval for it: p50 needs "
        "6 independent gaps, p90 36, p95 72, p99 368, p99.9 3,688. Neighbouring gaps resemble each "
        "other, so n gaps are worth fewer independent ones.</li>"
        "<li>MiB is 2^20 bytes, MB and GB are powers of ten.</li></ul></details>\n");
}

static void body(ib_page *p, const ib_record *r, const ib_report_options *o,
                 const ib_html_cell *cells) {
    head(p, r, cells);
    if (r->n_cells > 1) {
        ib_page_text(p, "<h2 id=\"overview\">Side by side</h2>\n");
        ib_html_overview(p, cells, r->n_cells);
        ib_page_text(p, "<div class=\"figures\">\n");
        ib_html_tpot_by_cell(p, cells, r->n_cells);
        ib_html_ecdf_by_cell(p, cells, r->n_cells);
        ib_page_text(p, "</div>\n");
    }
    for (size_t i = 0; i < r->n_cells; i++)
        one_cell(p, &cells[i]);
    ib_html_environment(p, r);
    raw_data(p, r, o);
    terms(p);
    ib_page_text(p, "</main></body></html>\n");
}

ib_status ib_report_html(const ib_record *r, const ib_report_options *o, ib_buf *out,
                         ib_error *err) {
    ib_page page = {.out = out, .err = err};
    size_t n = 0;
    ib_html_cell *cells = calloc(r->n_cells + 1, sizeof *cells);
    if (!cells)
        return ib_fail_memory(err, r->n_cells * sizeof *cells, "the page");
    for (; n < r->n_cells && page.status == IB_OK; n++) {
        cells[n] = (ib_html_cell){.cell = &r->cells[n], .number = n + 1};
        page.status = ib_samples_init(&cells[n].samples, cells[n].cell, o->percentiles,
                                      o->n_percentiles, err);
        if (page.status == IB_OK)
            page.status =
                ib_analyse(&cells[n].analysis, cells[n].cell, &cells[n].samples.summary, err);
    }
    if (page.status == IB_OK)
        body(&page, r, o, cells);
    while (n) {
        ib_samples_clear(&cells[--n].samples);
        ib_analysis_clear(&cells[n].analysis);
    }
    free(cells);
    return page.status;
}
