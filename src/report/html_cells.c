/* SPDX-License-Identifier: MIT
 * Several cells in one drawing. No verdict is drawn from it: that takes interleaved pairs. */
#include "report/html.h"

#include <math.h>
#include <stdio.h>

enum { MOST_ROWS = 40, MOST_CURVES = 6, ROW = 24 };

void ib_html_tpot_by_cell(ib_page *p, const ib_html_cell *cells, size_t n) {
    double low = INFINITY, high = 0;
    size_t rows = n > MOST_ROWS ? MOST_ROWS : n;
    ib_svg_chart c;
    ib_html_figure(p, "Time per output token by cell");
    for (size_t i = 0; i < rows; i++) {
        const ib_summary *s = &cells[i].samples.summary;
        if (!isfinite(s->tpot_ms))
            continue;
        low = fmin(low, isfinite(s->tpot_interval.low) ? s->tpot_interval.low : s->tpot_ms);
        high = fmax(high, isfinite(s->tpot_interval.high) ? s->tpot_interval.high : s->tpot_ms);
    }
    if (!(high > 0)) {
        ib_page_text(p, "<p class=\"none\">Not drawn: no cell has more than one token.</p>");
        ib_html_figure_end(p);
        return;
    }
    const double room = high > low ? (high - low) * 0.12 : high * 0.05;
    const ib_svg_axis x = {"TPOT (ms); the axis need not begin at 0", fmax(low - room, 0),
                           high + room, false};
    ib_svg_begin(p, &c, IB_SVG_TOP + IB_SVG_BOTTOM + ROW * (double)rows,
                 "Time per output token by cell",
                 "A row for each cell: a dot at its time per output token, with a line over the "
                 "95 % interval where there is one. The table above holds the figures.",
                 &x, NULL);
    for (size_t i = 0; i < rows; i++) {
        const ib_summary *s = &cells[i].samples.summary;
        char number[24];
        double y = IB_SVG_TOP + ROW * ((double)i + 0.5);
        (void)snprintf(number, sizeof number, "%zu", cells[i].number);
        ib_svg_label(p, "axis", "start", 0, y + 4, number);
        if (!isfinite(s->tpot_ms))
            continue;
        c.y = (ib_svg_scale){0, 1, y, y - 1, false};
        if (isfinite(s->tpot_interval.low))
            ib_svg_line(p, &c, "span", s->tpot_interval.low, 0, s->tpot_interval.high, 0);
        ib_svg_dot(p, &c, "dot dot1", s->tpot_ms, 0);
    }
    ib_svg_end(p);
    ib_page_put(p, "<figcaption>%zu of %zu cells, by their number. ", rows, n);
    ib_page_text(p, "Dot: median over runs; line: 95 % interval, from 5 runs on. These cells were "
                    "not run in random turns, so no verdict follows from them.</figcaption>");
    ib_html_figure_end(p);
}

void ib_html_ecdf_by_cell(ib_page *p, const ib_html_cell *cells, size_t n) {
    double low = INFINITY, high = 0;
    size_t shown = 0;
    ib_svg_chart c;
    ib_html_figure(p, "Share of tokens that took at most so long, by cell");
    for (size_t i = 0; i < n && shown < MOST_CURVES; i++) {
        const ib_samples *s = &cells[i].samples;
        ib_histogram h;
        if (s->n_sorted < 2)
            continue;
        ib_histogram_make(&h, s->sorted, s->n_sorted, NAN);
        low = fmin(low, h.low);
        high = fmax(high, h.high);
        shown++;
    }
    if (!shown || !(high > low)) {
        ib_page_text(p, "<p class=\"none\">Not drawn: too few tokens.</p>");
        ib_html_figure_end(p);
        return;
    }
    const ib_svg_axis x = {"ITL (ms)", low, high, false}, y = {"share", 0, 1, false};
    ib_svg_begin(p, &c, 290, "Cumulative distributions of token times by cell",
                 "A curve for each cell that climbs from 0 to 1: the share of its gaps that are "
                 "not longer than the milliseconds below. Curves differ in dash and colour.",
                 &x, &y);
    size_t k = 0;
    for (size_t i = 0; i < n && k < shown; i++) {
        const ib_samples *s = &cells[i].samples;
        char text[32];
        if (s->n_sorted < 2)
            continue;
        (void)snprintf(text, sizeof text, "curve%zu", k);
        ib_html_steps(p, &c, s, text);
        double line = c.y.to + 10 + 15 * (double)k; /* the legend, where curves have ended */
        ib_page_put(p, "<path class=\"%s\" d=\"M", text);
        ib_page_at(p, c.x.to - 66);
        ib_page_text(p, " ");
        ib_page_at(p, line + 60);
        ib_page_text(p, "h36\"/>");
        (void)snprintf(text, sizeof text, "%zu", cells[i].number);
        ib_svg_label(p, "marked", "start", c.x.to - 24, line + 64, text);
        k++;
    }
    ib_svg_end(p);
    ib_page_put(p,
                "<figcaption>The first %zu cells that have gaps, by their number; all gaps of "
                "all their runs. ",
                shown);
    ib_page_text(p, "Values beyond each cell's own outer fence may lie right of the axis."
                    "</figcaption>");
    ib_html_figure_end(p);
}
