/* SPDX-License-Identifier: MIT
 * What judges the figures (record/analysis.h): the runs in the order they were made, and the checks
 * of each run as a table. */
#include "report/html.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { HEIGHT = 270, MOST_DOTS = 400 };

static double room_of(double low, double high) {
    return high > low ? (high - low) * 0.15 : high * 0.02;
}

static void draw_runs(ib_page *p, const ib_over_runs *o) {
    const bool has = isfinite(o->t.lo);
    const double low = has ? fmin(o->min, o->t.lo) : o->min;
    const double high = has ? fmax(o->max, o->t.hi) : o->max;
    ib_svg_chart c;
    const ib_svg_axis x = {"measured run, in the order made", 0.5, (double)o->n + 0.5, false};
    const ib_svg_axis y = {"TPOT (ms); the axis need not begin at 0",
                           fmax(0, low - room_of(low, high)), high + room_of(low, high), false};
    ib_svg_begin_whole(p, &c, HEIGHT, "Time per output token of each run",
                       "A dot for each run in the order made, a level line at their median and a "
                       "band over the 95 % interval of their centre. The table below holds the "
                       "figures.",
                       &x, &y);
    if (has) {
        double top = ib_svg_place(&c.y, o->t.hi), bottom = ib_svg_place(&c.y, o->t.lo);
        ib_svg_rect(p, "band", c.x.from, top, c.x.to - c.x.from, bottom - top);
    }
    ib_svg_line(p, &c, "middle", x.low, o->median, x.high, o->median);
    for (size_t i = 0; i < o->n && i < MOST_DOTS; i++)
        ib_svg_dot(p, &c, "dot dot1", (double)i + 1, o->values[i]);
    ib_svg_end(p);
}

static void order_sentence(ib_page *p, const ib_over_runs *o) {
    ib_number a;
    ib_page_put(p, "Scatter %s %% (CV). ", ib_report_number(100 * o->cv, 2, &a));
    if (isfinite(o->first_excess))
        ib_page_put(p, "First run %s%s %% against the others. ", o->first_excess > 0 ? "+" : "",
                    ib_report_number(100 * o->first_excess, 2, &a));
    if (isfinite(o->order.lo) && o->order.lo * o->order.hi > 0)
        ib_page_put(p, "They drift by %s %% a run. ",
                    ib_report_number(100 * o->order.slope / o->median, 3, &a));
    else
        ib_page_text(p, isfinite(o->order.lo) ? "No drift seen. "
                                              : "Drift and interval need 5 runs. ");
    if (o->modes.several)
        ib_page_put(p,
                    "Two heaps: %zu runs near %s ms and the rest higher; no single figure "
                    "describes them. ",
                    o->modes.n_low, ib_report_ms(o->modes.low, &a));
}

static void power_sentence(ib_page *p, const ib_html_cell *cell, const ib_over_runs *o) {
    const double share = cell->analysis.split.between_share;
    ib_number a;
    ib_page_put(p,
                "A comparison with as many other runs finds %s %% or more (alpha 0.05, power "
                "80 %%). ",
                ib_report_number(100 * o->mdd, 2, &a));
    if (isfinite(share))
        ib_page_put(
            p, "%s %% of the variance lies between runs%s.", ib_report_number(100 * share, 0, &a),
            share > IB_ANALYSIS_MORE_RUNS ? ": more tokens will not help, more runs will" : "");
}

void ib_html_runs(ib_page *p, const ib_html_cell *cell) {
    const ib_over_runs *o = &cell->analysis.over[IB_RUN_TPOT];
    if (o->n < 2)
        return;
    ib_html_figure(p, "The runs in order");
    draw_runs(p, o);
    ib_page_put(p, "<figcaption>n = %zu runs; line: median%s. ", o->n,
                isfinite(o->t.lo) ? "; band: 95 % interval of the centre (t on logs)" : "");
    order_sentence(p, o);
    power_sentence(p, cell, o);
    ib_page_text(p, "</figcaption>");
    ib_html_figure_end(p);
}

/* --- checks of each run --- */

static void steady_cell(ib_page *p, const ib_stats_steady *s) {
    if (s->state == IB_STATS_STEADY)
        ib_page_put(p, "<td class=\"n\">%zu</td>", s->from + 2);
    else
        ib_page_put(p, "<td class=\"n\">%s</td>",
                    s->state == IB_STATS_NEVER_STEADY ? "never" : "unknown");
}

static void check_row(ib_page *p, const ib_run_analysis *r) {
    ib_number a, b, c, d, e;
    ib_page_put(p,
                "<tr><th scope=\"row\">%zu</th><td class=\"n\">%s</td><td class=\"n\">%s</td>"
                "<td class=\"n\">%s</td><td class=\"n\">%s</td>",
                r->run + 1, ib_report_ms(r->ttft_ms, &a), ib_report_number(r->tpot_ms, 3, &b),
                ib_report_ms(r->mad, &c), ib_report_number(r->lag1, 2, &d));
    ib_page_put(p, "<td class=\"n\">%s of %zu</td>", ib_report_number(floor(r->n_effective), 0, &e),
                r->n);
    steady_cell(p, &r->steady);
    ib_page_put(p, "<td class=\"n\">%s at %" PRIu64 "</td><td class=\"n\">%zu + %zu</td></tr>\n",
                ib_report_ms(r->max, &a), r->stall_token,
                r->n_label[IB_STATS_MILD_LOW] + r->n_label[IB_STATS_MILD_HIGH],
                r->n_label[IB_STATS_SEVERE_LOW] + r->n_label[IB_STATS_SEVERE_HIGH]);
}

void ib_html_checks(ib_page *p, const ib_html_cell *cell) {
    static const char *const columns[] = {
        "run",     "TTFT ms",          "TPOT ms",           "scatter ms",
        "lag-1",   "independent gaps", "steady from token", "longest ms, at token",
        "outliers"};
    const ib_analysis *a = &cell->analysis;
    if (!a->n_runs)
        return;
    ib_page_put(p,
                "<details%s><summary>Each run by itself</summary>\n<div class=\"wide\" "
                "role=\"region\" aria-label=\"Runs of cell %zu\" tabindex=\"0\"><table><thead><tr>",
                a->n_runs <= 12 ? " open" : "", cell->number);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        ib_page_put(p, "<th scope=\"col\"%s>%s</th>", i ? " class=\"n\"" : "", columns[i]);
    ib_page_text(p, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < a->n_runs; i++)
        check_row(p, &a->runs[i]);
    ib_page_text(p, "</tbody></table></div>\n<p class=\"soft\">Scatter: median absolute deviation "
                    "of the gaps x 1.4826. Lag-1: how much a gap resembles the one before it, "
                    "without the trend. Outliers: gaps beyond 1.5 + beyond 3 interquartile ranges "
                    "(Tukey); all are in the figures.</p></details>\n");
}
