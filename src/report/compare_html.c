/* SPDX-License-Identifier: MIT
 * A comparison as one page that holds everything, as html.c does for records: verdict, ratios with
 * intervals as a forest plot, the runs in order, what differs, the JSON as a link to its own bytes.
 */
#include "report/compare_report.h"
#include "report/html.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROW = 38, MOST_ROWS = 60, MOST_DOTS = 1000 };

/* --- verdict and figures --- */

static void badge(ib_page *p, const ib_comparison *c) {
    static const struct {
        const char *name, *style, *sign;
    } all[] = {{"UNDECIDED", "noisy", "?"},
               {"FASTER", "valid", "\xE2\x96\xBC"},
               {"SLOWER", "invalid", "\xE2\x96\xB2"},
               {"SAME", "valid", "="}};
    if (c->refused)
        ib_page_text(p, "<span class=\"badge invalid\">\xE2\x9C\x97 REFUSED</span>");
    else
        ib_page_put(p, "<span class=\"badge %s\">%s %s</span>", all[c->verdict].style,
                    all[c->verdict].sign, all[c->verdict].name);
}

static void why(ib_page *p, const ib_comparison *c) {
    const double ratio = c->figures[c->primary].ratio.point;
    ib_number n;
    if (c->refused) {
        ib_page_text(p, " A and B did not do the same work, so nothing is compared.");
        return;
    }
    ib_page_put(p, " B takes %s %% %s in %s.", ib_report_number(fabs(ratio - 1) * 100, 2, &n),
                ratio >= 1 ? "longer" : "less", ib_metric_name(c->primary));
    if (!c->interleaved)
        ib_page_text(p, " Stored records were not run in turns: a change of the machine between "
                        "them cannot be told from a difference.");
    else if (!c->enough)
        ib_page_put(p, " Not enough runs: a verdict needs %d pairs.", IB_COMPARE_MIN_RUNS);
    if (c->runs_needed)
        ib_page_put(p, " About %" PRIu64 " pairs would decide.", c->runs_needed);
}

static void card(ib_page *p, const char *name, double v, int digits, const char *unit) {
    ib_number text;
    ib_page_put(p, "<div><dt>%s</dt><dd><b>%s</b>%s%s<small>", name,
                ib_report_number(v, digits, &text), isfinite(v) ? " " : "",
                isfinite(v) ? unit : "");
}

static void card_end(ib_page *p) {
    ib_page_text(p, "</small></dd></div>\n");
}

static void bounds(ib_page *p, const ib_stats_interval *r) {
    ib_number a, b;
    if (isfinite(r->lo) && isfinite(r->hi) && r->lo > 0)
        ib_page_put(p, "95 %% interval %s to %s", ib_report_number(r->lo, 4, &a),
                    ib_report_number(r->hi, 4, &b));
    else
        ib_page_text(p, "no interval: too few runs");
}

static void cards(ib_page *p, const ib_comparison *c) {
    const ib_compare_figure *f = &c->figures[c->primary];
    const char *metric = ib_metric_name(c->primary);
    ib_number n;
    ib_page_text(p, "<dl class=\"cards main\">\n");
    card(p, "Ratio B / A", f->ratio.point, 4, "");
    bounds(p, &f->ratio);
    card_end(p);
    for (int side = 0; side < 2; side++) {
        card(p, side ? "B, median" : "A, median", side ? f->b_ms : f->a_ms, 4, "ms");
        ib_page_put(p, "%s, n = %zu run%s", metric, c->side[side].n,
                    c->side[side].n == 1 ? "" : "s");
        if (c->side[side].n_noisy)
            ib_page_put(p, ", %zu of them noisy", c->side[side].n_noisy);
        card_end(p);
    }
    card(p, "Detectable difference", 100 * c->mdd, 2, "%");
    ib_page_put(p, "at alpha 0.05 with power 80 %%; runs scatter by %s %%",
                ib_report_number(100 * c->cv, 2, &n));
    card_end(p);
    ib_page_text(p, "</dl>\n");
}

/* --- forest plot --- */

typedef struct forest_row {
    char label[80];
    const ib_stats_interval *ratio;
} forest_row;

static bool bounded(const ib_stats_interval *r) {
    return r->lo > 0 && isfinite(r->hi);
}

static void forest_range(const forest_row *rows, size_t n, double *low, double *high) {
    *low = 1 / 1.04;
    *high = 1.04;
    for (size_t i = 0; i < n; i++) {
        const ib_stats_interval *r = rows[i].ratio;
        *low = fmin(*low, bounded(r) ? r->lo : r->point);
        *high = fmax(*high, bounded(r) ? r->hi : r->point);
    }
    const double room = (*high - *low) * 0.06;
    *low = fmax(*low - room, 0);
    *high += room;
}

static void forest_label(ib_page *p, const forest_row *row, double y) {
    ib_number a, b, c;
    char text[200];
    const ib_stats_interval *r = row->ratio;
    if (bounded(r))
        (void)snprintf(text, sizeof text, "%s: %s (%s to %s)", row->label,
                       ib_report_number(r->point, 4, &a), ib_report_number(r->lo, 4, &b),
                       ib_report_number(r->hi, 4, &c));
    else
        (void)snprintf(text, sizeof text, "%s: %s (too few runs for an interval)", row->label,
                       ib_report_number(r->point, 4, &a));
    ib_svg_label(p, "marked", "start", 14, y, text);
}

static void forest(ib_page *p, const forest_row *rows, size_t n, const char *title) {
    double low, high;
    ib_svg_chart c;
    forest_range(rows, n, &low, &high);
    const ib_svg_axis x = {"B / A; right of 1: B takes longer", low, high, false};
    ib_html_figure(p, title);
    ib_svg_begin(p, &c, IB_SVG_TOP + IB_SVG_BOTTOM + ROW * (double)n, title,
                 "A row for each metric: a dot at the ratio of B to A and a line over its 95 % "
                 "interval. A level line stands at 1, a band marks ratios within 2 %. The figures "
                 "stand in the rows and in the table.",
                 &x, NULL);
    double same = ib_svg_place(&c.x, 1 / (1 + IB_STATS_EQUIVALENCE));
    double bottom = c.height - IB_SVG_BOTTOM;
    ib_svg_rect(p, "band", same, IB_SVG_TOP, ib_svg_place(&c.x, 1 + IB_STATS_EQUIVALENCE) - same,
                bottom - IB_SVG_TOP);
    c.y = (ib_svg_scale){0, 1, bottom, IB_SVG_TOP, false};
    ib_svg_line(p, &c, "one", 1, 0, 1, 1);
    for (size_t i = 0; i < n; i++) {
        const ib_stats_interval *r = rows[i].ratio;
        double y = IB_SVG_TOP + ROW * (double)i;
        c.y = (ib_svg_scale){0, 1, y + 26, y + 25, false};
        ib_svg_line(p, &c, bounded(r) ? "span" : "span open", bounded(r) ? r->lo : low, 0,
                    bounded(r) ? r->hi : high, 0);
        ib_svg_dot(p, &c, "dot dot1", r->point, 0);
        forest_label(p, &rows[i], y + 14);
    }
    ib_svg_end(p);
    ib_page_text(p, "<figcaption>Dot: ratio; line: 95 % interval. An interval clear of 1 and at "
                    "least 1 % away decides for FASTER or SLOWER, one inside the band for SAME; "
                    "the primary metric alone gives the verdict.</figcaption>");
    ib_html_figure_end(p);
}

static void forest_of_metrics(ib_page *p, const ib_comparison *c) {
    forest_row rows[IB_METRIC_COUNT];
    size_t n = 0;
    for (int pass = 0; pass < 2; pass++) /* the primary one first */
        for (int m = 0; m < IB_METRIC_COUNT; m++) {
            if (!c->figures[m].known || ((ib_metric)m == c->primary) == (pass == 1))
                continue;
            (void)snprintf(rows[n].label, sizeof rows[n].label, "%s%s",
                           ib_metric_name((ib_metric)m), pass ? "" : ", primary");
            rows[n++].ratio = &c->figures[m].ratio;
        }
    forest(p, rows, n, "Ratios with their intervals");
}

static void forest_of_cells(ib_page *p, const ib_comparison *made, size_t n) {
    forest_row rows[MOST_ROWS];
    size_t k = 0;
    for (size_t i = 0; i < n && k < MOST_ROWS; i++) {
        if (made[i].refused)
            continue;
        (void)snprintf(rows[k].label, sizeof rows[k].label, "%zu: %s", i + 1,
                       ib_stats_verdict_name(made[i].verdict));
        rows[k++].ratio = &made[i].figures[made[i].primary].ratio;
    }
    if (k)
        forest(p, rows, k, "All comparisons");
}

/* --- the runs in order --- */

static void draw_side(ib_page *p, const ib_svg_chart *c, const double *v, size_t n, int side) {
    for (size_t i = 0; i < n && i < MOST_DOTS; i++) {
        double x = (double)i + (side ? 1.12 : 0.88); /* neighbours, so that none hides the other */
        if (side)
            ib_svg_rect(p, "square", ib_svg_place(&c->x, x) - 4, ib_svg_place(&c->y, v[i]) - 4, 8,
                        8);
        else
            ib_svg_dot(p, c, "dot dot1", x, v[i]);
    }
}

static void runs(ib_page *p, const ib_comparison *c) {
    double low = INFINITY, high = 0;
    size_t most = 0;
    ib_svg_chart chart;
    for (int side = 0; side < 2; side++) {
        const ib_compare_side *s = &c->side[side];
        most = s->n > most ? s->n : most;
        for (size_t i = 0; i < s->n; i++) {
            low = fmin(low, s->values[c->primary][i]);
            high = fmax(high, s->values[c->primary][i]);
        }
    }
    const double room = high > low ? (high - low) * 0.1 : high * 0.02;
    const ib_svg_axis x = {c->interleaved ? "pair, in the order run" : "run", 0.5,
                           (double)most + 0.5, false};
    const ib_svg_axis y = {"ms; the axis need not begin at 0", fmax(low - room, 0), high + room,
                           false};
    ib_html_figure(p, c->interleaved ? "The pairs in order" : "The runs of both records");
    ib_svg_begin_whole(p, &chart, 270, "Run values of A and B",
                       "The primary metric of each run against its number: A as dots, B as "
                       "squares. The raw data holds the figures.",
                       &x, &y);
    draw_side(p, &chart, c->side[0].values[c->primary], c->side[0].n, 0);
    draw_side(p, &chart, c->side[1].values[c->primary], c->side[1].n, 1);
    ib_svg_end(p);
    ib_page_put(p, "<figcaption>%s of each run; dots: A, squares: B. ", ib_metric_name(c->primary));
    if (c->interleaved)
        ib_page_put(p, "A coin drew the order inside each pair (seed %" PRIu64 "). ", c->seed);
    ib_number n;
    if (isfinite(c->drift))
        ib_page_put(p, "Drift %s %% a run, taken out before ranking.",
                    ib_report_number(100 * c->drift, 3, &n));
    ib_page_text(p, "</figcaption>");
    ib_html_figure_end(p);
}

/* --- tables --- */

static void number_cell(ib_page *p, double v, int digits) {
    ib_page_text(p, "<td class=\"n\">");
    ib_page_number(p, v, digits);
    ib_page_text(p, "</td>");
}

static void metrics(ib_page *p, const ib_comparison *c, size_t number) {
    static const char *const columns[] = {"metric", "A ms", "B ms",     "B / A",
                                          "low",    "high", "p (Holm)", "runs"};
    ib_page_put(p,
                "<div class=\"wide\" role=\"region\" aria-label=\"Metrics of comparison %zu\" "
                "tabindex=\"0\"><table><thead><tr>",
                number);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        ib_page_put(p, "<th scope=\"col\"%s>%s</th>", i ? " class=\"n\"" : "", columns[i]);
    ib_page_text(p, "</tr></thead><tbody>\n");
    for (int m = 0; m < IB_METRIC_COUNT; m++) {
        const ib_compare_figure *f = &c->figures[m];
        bool primary = (ib_metric)m == c->primary;
        if (!f->known)
            continue;
        ib_page_put(p, "<tr><th scope=\"row\">%s%s</th>", ib_metric_name((ib_metric)m),
                    primary ? " (primary)" : "");
        number_cell(p, f->a_ms, 4);
        number_cell(p, f->b_ms, 4);
        number_cell(p, f->ratio.point, 4);
        number_cell(p, bounded(&f->ratio) ? f->ratio.lo : NAN, 4);
        number_cell(p, bounded(&f->ratio) ? f->ratio.hi : NAN, 4);
        number_cell(p, primary ? f->p : f->p_holm, 4);
        ib_page_put(p, "<td class=\"n\">%zu + %zu</td></tr>\n", c->side[0].n, c->side[1].n);
    }
    ib_page_text(p, "</tbody></table></div>\n");
}

static void tests(ib_page *p, const ib_comparison *c) {
    ib_number a, b, d;
    ib_page_put(p, "<p class=\"soft\">Test: %s%s, p %s; Welch on logs p %s",
                c->interleaved ? "pair-flip ranks" : "Mann-Whitney", c->exact ? ", exact" : "",
                ib_report_number(c->figures[c->primary].p, 4, &a),
                ib_report_number(c->welch.p, 4, &b));
    if (c->interleaved)
        ib_page_put(p, "; signed rank p %s", ib_report_number(c->second.p, 4, &d));
    ib_page_put(p, ". A run of B is slower than one of A in %s %% of all meetings.",
                ib_report_number(100 * c->p_b_slower, 0, &a));
    if (!isnan(c->fail_if_slower))
        ib_page_put(p, " Gate: slower by %s %% at alpha 0.01 %s.",
                    ib_report_number(100 * c->fail_if_slower, 2, &b),
                    !c->interleaved ? "cannot be decided from stored records"
                    : c->regression ? "was FOUND"
                                    : "was not found");
    ib_page_text(p, "</p>\n");
}

static void differences(ib_page *p, const ib_comparison *c) {
    static const char *const kinds[] = {"noted", "setting", "not the same work", "never compared"};
    if (!c->n_differences)
        return;
    ib_page_text(p, "<h3>What differs</h3>\n<table><thead><tr><th scope=\"col\">what</th>"
                    "<th scope=\"col\">A</th><th scope=\"col\">B</th><th scope=\"col\">kind</th>"
                    "</tr></thead><tbody>\n");
    for (size_t i = 0; i < c->n_differences; i++) {
        const ib_difference *d = &c->differences[i];
        ib_page_put(p, "<tr><th scope=\"row\">%s</th><td>", d->what);
        ib_page_name(p, d->a);
        ib_page_text(p, "</td><td>");
        ib_page_name(p, d->b);
        ib_page_put(p, "</td><td>%s</td></tr>\n", kinds[d->kind]);
    }
    ib_page_text(p, "</tbody></table>\n");
}

static void side_name(ib_page *p, const ib_comparison *c, int side) {
    const char *label = c->side[side].label;
    ib_page_put(p, "<li><span>%c</span> ", side ? 'B' : 'A');
    ib_page_name(p, label && *label ? label : "the common options");
    ib_page_text(p, "</li>");
}

static void section(ib_page *p, const ib_comparison *c, size_t number, size_t n) {
    ib_page_put(p, "<section aria-labelledby=\"c%zu\"><h2 id=\"c%zu\">", number, number);
    if (n > 1)
        ib_page_put(p, "Comparison %zu", number);
    else
        ib_page_text(p, "A against B");
    ib_page_text(p, "</h2>\n<p>Verdict: ");
    badge(p, c);
    why(p, c);
    ib_page_text(p, "</p>\n<ul class=\"chips\">");
    side_name(p, c, 0);
    side_name(p, c, 1);
    ib_page_text(p, "</ul>\n");
    if (!c->refused) {
        cards(p, c);
        ib_page_text(p, "<div class=\"figures\">\n");
        forest_of_metrics(p, c);
        runs(p, c);
        ib_page_text(p, "</div>\n<h3>All metrics</h3>\n");
        metrics(p, c, number);
        tests(p, c);
    }
    differences(p, c);
    ib_page_text(p, "</section>\n");
}

ib_status ib_comparison_html(const ib_comparison *made, size_t n, const json_t *whole, ib_buf *out,
                             ib_error *err) {
    ib_page page = {.out = out, .err = err};
    ib_html_open(&page, "inferbench comparison", "");
    ib_page_put(&page,
                "<p class=\"soft\">%zu comparison%s. Every metric is a time: a ratio above 1 "
                "means that B takes longer.</p></header>\n<main id=\"main\">\n",
                n, n == 1 ? "" : "s");
    if (n > 1) {
        ib_page_text(&page, "<h2 id=\"all\">All comparisons</h2>\n<div class=\"figures\">\n");
        forest_of_cells(&page, made, n);
        ib_page_text(&page, "</div>\n");
    }
    for (size_t i = 0; i < n; i++)
        section(&page, &made[i], i + 1, n);
    ib_html_data(&page, whole, "inferbench-comparison.json",
                 "Every figure of this page is computed from the run values.");
    ib_page_text(&page, "</main></body></html>\n");
    return page.status;
}
