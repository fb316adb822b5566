/* SPDX-License-Identifier: MIT
 * Charts of one cell's token times: over the position with a robust trend line, as a histogram, and
 * as a cumulative distribution with the percentiles that the number of samples supports. */
#include "report/html.h"

#include "stats/quantile.h"
#include "stats/trend.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEIGHT = 270, MOST_DOTS = 1500, COLUMNS = 170, MOST_STEPS = 400, FEWEST_FOR_TREND = 8 };

typedef struct mark { /* a percentile of the summary */
    char name[40];
    double q, ms;
    uint64_t needs;
    bool supported;
} mark;

typedef struct marks {
    mark of[IB_SUMMARY_MAX_PERCENTILES];
    size_t n;
} marks;

static marks marks_of(const ib_summary *s) {
    marks m = {.n = 0};
    for (size_t i = 0; i < s->n_shown; i++) {
        const ib_itl_percentile *p = &s->itl[s->shown[i]];
        mark *one = &m.of[m.n++];
        *one = (mark){.q = p->q, .ms = p->ms, .needs = p->needs, .supported = p->supported};
        ib_percentile_name(p->q, one->name);
    }
    return m;
}

static double highest_mark(const ib_summary *s) {
    marks m = marks_of(s);
    double high = NAN;
    for (size_t i = 0; i < m.n; i++)
        if (m.of[i].supported && !(m.of[i].ms <= high))
            high = m.of[i].ms;
    return high;
}

/* --- over the position --- */

typedef struct column { /* positions that share a stripe of the drawing */
    double min, max;
    size_t n;
} column;

static void dots(ib_page *p, const ib_svg_chart *c, const ib_samples *s, double top) {
    ib_page_text(p, "<path class=\"dots\" d=\"");
    for (size_t k = 0; k < s->n_runs; k++)
        for (uint64_t i = 2; i <= s->runs[k]->n_tokens; i++) {
            const uint64_t *t = s->runs[k]->stamps_ns;
            double ms = (double)(t[i] - t[i - 1]) / 1e6;
            if (ms > top)
                continue;
            ib_page_text(p, "M");
            ib_page_at(p, ib_svg_place(&c->x, (double)(s->first_at + i - 2)));
            ib_page_text(p, " ");
            ib_page_at(p, ib_svg_place(&c->y, ms));
            ib_page_text(p, "h0");
        }
    ib_page_text(p, "\"/>");
}

/* Too many for dots: from the least to the largest of each stripe, so that no stall is lost. */
static void stripes(ib_page *p, const ib_svg_chart *c, const ib_samples *s, double top) {
    column all[COLUMNS] = {{0}};
    const double span = (double)c->x.high - (double)c->x.low;
    for (size_t k = 0; k < s->n_runs; k++)
        for (uint64_t i = 2; i <= s->runs[k]->n_tokens; i++) {
            const uint64_t *t = s->runs[k]->stamps_ns;
            double ms = (double)(t[i] - t[i - 1]) / 1e6;
            double share = ((double)(s->first_at + i - 2) - c->x.low) / span;
            column *at = &all[share >= 1 ? COLUMNS - 1 : (size_t)(share * COLUMNS)];
            ms = ms > top ? top : ms;
            at->min = at->n && at->min < ms ? at->min : ms;
            at->max = at->n && at->max > ms ? at->max : ms;
            at->n++;
        }
    ib_page_text(p, "<path class=\"stripes\" d=\"");
    for (size_t i = 0; i < COLUMNS; i++) {
        if (!all[i].n)
            continue;
        ib_page_text(p, "M");
        ib_page_at(p, c->x.from + ((double)i + 0.5) / COLUMNS * (c->x.to - c->x.from));
        ib_page_text(p, " ");
        ib_page_at(p, ib_svg_place(&c->y, all[i].min) + 0.7);
        ib_page_text(p, "V");
        ib_page_at(p, ib_svg_place(&c->y, all[i].max) - 0.7);
    }
    ib_page_text(p, "\"/>");
}

/* Values above the axis, as ticks at its top edge. */
static size_t beyond(ib_page *p, const ib_svg_chart *c, const ib_samples *s, double top) {
    size_t n = 0;
    for (size_t k = 0; k < s->n_runs; k++)
        for (uint64_t i = 2; i <= s->runs[k]->n_tokens; i++) {
            const uint64_t *t = s->runs[k]->stamps_ns;
            if ((double)(t[i] - t[i - 1]) / 1e6 <= top)
                continue;
            if (++n > MOST_DOTS)
                continue;
            double x = ib_svg_place(&c->x, (double)(s->first_at + i - 2));
            ib_svg_rect(p, "clip", x - 1, IB_SVG_TOP - 7, 2, 7);
        }
    return n;
}

static ib_status trend_of(const ib_samples *s, ib_stats_line *line, ib_error *err) {
    size_t need = IB_STATS_TREND_WORK(s->n_by_token);
    double *work = calloc(need, sizeof *work);
    if (!work)
        return ib_fail_memory(err, need * sizeof *work, "the trend of a report");
    *line = ib_stats_theil_sen(s->by_token, s->n_by_token, 0.05, work);
    free(work);
    return IB_OK;
}

static void trend_caption(ib_page *p, const ib_samples *s, const ib_stats_line *t) {
    double middle = t->intercept + t->slope * (double)(s->n_by_token - 1) / 2;
    const bool fine = fmax(fabs(t->lo), fabs(t->hi)) < 1e-3; /* ms */
    const double unit = fine ? 1e6 : 1e3;
    const char *name = fine ? "ns" : "\xC2\xB5s";
    ib_page_text(p, "Line: trend (Theil-Sen), ");
    const int digits = ib_html_digits((ib_interval){t->lo * unit, t->hi * unit}, 1);
    ib_page_number(p, t->slope * unit, digits);
    ib_page_put(p, " %s per position (", name);
    ib_page_number(p, middle > 0 ? t->slope * 1e5 / middle : NAN, 2);
    ib_page_text(p, " % per 1,000 positions)");
    if (isfinite(t->lo) && isfinite(t->hi)) {
        ib_page_text(p, ", 95 % interval ");
        ib_page_number(p, t->lo * unit, digits);
        ib_page_text(p, " to ");
        ib_page_number(p, t->hi * unit, digits);
        ib_page_put(p, " %s, of these runs only", name);
    }
    ib_page_put(p, "; n = %zu positions", s->n_by_token);
    ib_page_text(p, s->n_runs > 1 ? ", median over the runs of each. " : ". ");
}

static void bins_table(ib_page *p, const ib_samples *s) {
    ib_stats_bin bins[65];
    double *work = calloc(s->n_by_token + 1, sizeof *work);
    if (!work) {
        if (p->status == IB_OK)
            p->status = ib_fail_memory(p->err, s->n_by_token * sizeof *work, "a table");
        return;
    }
    size_t n = ib_stats_power_bins(s->by_token, s->n_by_token, s->first_at, bins, work);
    free(work);
    ib_page_text(p, "<details><summary>As a table</summary><table><thead><tr>"
                    "<th scope=\"col\">positions</th><th scope=\"col\" class=\"n\">n</th>"
                    "<th scope=\"col\" class=\"n\">median ITL, ms</th></tr></thead><tbody>");
    for (size_t i = 0; i < n; i++) {
        ib_number ms;
        ib_page_put(p,
                    "<tr><td>%" PRIu64 " to %" PRIu64 "</td><td class=\"n\">%zu</td>"
                    "<td class=\"n\">%s</td></tr>",
                    bins[i].from, bins[i].to - 1, bins[i].n,
                    ib_report_number(bins[i].median, 3, &ms));
    }
    ib_page_text(p, "</tbody></table></details>\n");
}

static void none(ib_page *p, const char *why) {
    ib_page_put(p, "<p class=\"none\">%s</p>", why);
}

void ib_html_latency(ib_page *p, const ib_html_cell *cell) {
    const ib_samples *s = &cell->samples;
    ib_svg_chart c;
    ib_histogram h;
    ib_stats_line line = {NAN, NAN, NAN, NAN, 0};
    size_t n_beyond = 0;
    ib_html_figure(p, "Latency of each token over its position");
    if (s->n_by_token < 2) {
        none(p, "Not drawn: fewer than two tokens after the first.");
        ib_html_figure_end(p);
        return;
    }
    if (s->n_by_token >= FEWEST_FOR_TREND && p->status == IB_OK)
        p->status = trend_of(s, &line, p->err);
    ib_histogram_make(&h, s->sorted, s->n_sorted, highest_mark(&s->summary));
    double last = (double)(s->first_at + s->n_by_token - 1), top = h.high * 1.05;
    const ib_svg_axis x = {"context length when the token was made (tokens)", (double)s->first_at,
                           last, false};
    const ib_svg_axis y = {"ITL (ms)", 0, top, false};
    ib_svg_begin(p, &c, HEIGHT, "Latency of each token over its position",
                 "Each gap between two tokens in milliseconds against the context length, with a "
                 "straight trend line. The table below holds the medians.",
                 &x, &y);
    if (s->n_sorted <= MOST_DOTS)
        dots(p, &c, s, top);
    else
        stripes(p, &c, s, top);
    n_beyond = beyond(p, &c, s, top);
    if (isfinite(line.slope))
        ib_svg_line(p, &c, "trend", x.low, line.intercept, last,
                    line.intercept + line.slope * (double)(s->n_by_token - 1));
    ib_svg_end(p);
    ib_page_text(p, "<figcaption>");
    if (isfinite(line.slope))
        trend_caption(p, s, &line);
    else
        ib_page_text(p, "No trend line: fewer than 8 positions. ");
    if (s->n_sorted <= MOST_DOTS)
        ib_page_text(p, "A dot is one gap. ");
    else
        ib_page_text(p, "Bars reach from the least to the largest gap of neighbouring positions. ");
    if (n_beyond)
        ib_page_put(p, "%zu longer than the axis, marked at its top edge. ", n_beyond);
    ib_page_text(p, "The time to the first token is not among them.</figcaption>");
    bins_table(p, s);
    ib_html_figure_end(p);
}

/* --- distribution --- */

static void sample_caption(ib_page *p, const ib_samples *s, const ib_histogram *h) {
    ib_number a;
    ib_page_put(p, "n = %zu gaps of %zu run%s. ", s->n_sorted, s->n_runs,
                s->n_runs == 1 ? "" : "s");
    if (h->above)
        ib_page_put(p, "%zu beyond the axis, the longest %s ms. ", h->above,
                    ib_report_ms(s->sorted[s->n_sorted - 1], &a));
}

/* What is marked, and what is not and why. */
static void mark_caption(ib_page *p, const ib_samples *s) {
    marks m = marks_of(&s->summary);
    ib_number ms;
    bool any = false;
    for (size_t i = 0; i < m.n; i++) {
        if (!m.of[i].supported)
            continue;
        ib_page_put(p, "%s%s %s ms", any ? ", " : "Marked: ", m.of[i].name,
                    ib_report_ms(m.of[i].ms, &ms));
        any = true;
    }
    if (any)
        ib_page_text(p, s->n_runs > 1 ? " (each the median over runs). " : ". ");
    for (size_t i = 0; i < m.n; i++)
        if (!m.of[i].supported && m.of[i].needs != UINT64_MAX) {
            ib_page_put(p,
                        "No %s: it needs %" PRIu64 " independent gaps in each run, and these are "
                        "worth %s.",
                        m.of[i].name, m.of[i].needs,
                        ib_report_number(floor(s->summary.n_itl_effective), 0, &ms));
            break;
        }
}

/* Names above the plot, in as many rows as keep neighbours apart. */
static void histogram_marks(ib_page *p, const ib_svg_chart *c, const ib_summary *s, double top) {
    enum { ROWS = 2, APART = 34 };
    double end[ROWS] = {-1e9, -1e9};
    marks m = marks_of(s);
    for (size_t i = 0; i < m.n; i++) {
        double at = ib_svg_place(&c->x, m.of[i].ms);
        if (!m.of[i].supported)
            continue;
        ib_svg_line(p, c, "mark", m.of[i].ms, 0, m.of[i].ms, top);
        for (size_t row = 0; row < ROWS; row++) {
            if (fabs(at - end[row]) < APART)
                continue;
            end[row] = at;
            ib_svg_label(p, "marked", at > c->x.to - 14 ? "end" : "middle", at,
                         IB_SVG_TOP - 4 - 13 * (double)row, m.of[i].name);
            break;
        }
    }
}

/* Names right of their lines, below the curve, where nothing else is drawn. */
static void ecdf_marks(ib_page *p, const ib_svg_chart *c, const ib_summary *s) {
    marks m = marks_of(s);
    size_t row = 0;
    for (size_t i = 0; i < m.n; i++) {
        double at = ib_svg_place(&c->x, m.of[i].ms);
        bool left = at > c->x.to - 40;
        if (!m.of[i].supported)
            continue;
        ib_svg_line(p, c, "mark", m.of[i].ms, 0, m.of[i].ms, m.of[i].q / 100);
        ib_svg_dot(p, c, "dot", m.of[i].ms, m.of[i].q / 100);
        ib_svg_label(p, "marked", left ? "end" : "start", at + (left ? -5 : 5),
                     c->y.from - 7 - 15 * (double)(row++ % 8), m.of[i].name);
    }
}

void ib_html_histogram(ib_page *p, const ib_html_cell *cell) {
    const ib_samples *s = &cell->samples;
    ib_svg_chart c;
    ib_histogram h;
    size_t most = 1;
    ib_html_figure(p, "Histogram of token times");
    if (s->n_sorted < 2) {
        none(p, "Not drawn: fewer than two tokens after the first.");
        ib_html_figure_end(p);
        return;
    }
    ib_histogram_make(&h, s->sorted, s->n_sorted, highest_mark(&s->summary));
    for (size_t i = 0; i < h.n_bins; i++)
        most = h.counts[i] > most ? h.counts[i] : most;
    const ib_svg_axis x = {"ITL (ms)", h.low, h.high, false};
    const ib_svg_axis y = {"tokens", 0, (double)most * 1.05, false};
    ib_svg_begin(p, &c, HEIGHT, "Histogram of token times",
                 "Number of gaps in each interval of milliseconds; vertical lines mark the "
                 "percentiles that the caption names.",
                 &x, &y);
    for (size_t i = 0; i < h.n_bins; i++) {
        double left = ib_svg_place(&c.x, h.low + (double)i * h.width);
        double right = ib_svg_place(&c.x, h.low + (double)(i + 1) * h.width);
        double top = ib_svg_place(&c.y, (double)h.counts[i]);
        ib_svg_rect(p, "bar0", left, top, right - left - 0.6, c.y.from - top);
    }
    histogram_marks(p, &c, &s->summary, y.high);
    ib_svg_end(p);
    ib_page_text(p, "<figcaption>");
    sample_caption(p, s, &h);
    mark_caption(p, s);
    ib_page_text(p, "</figcaption>");
    ib_html_figure_end(p);
}

void ib_html_ecdf(ib_page *p, const ib_html_cell *cell) {
    const ib_samples *s = &cell->samples;
    ib_svg_chart c;
    ib_histogram h;
    ib_html_figure(p, "Share of tokens that took at most so long");
    if (s->n_sorted < 2) {
        none(p, "Not drawn: fewer than two tokens after the first.");
        ib_html_figure_end(p);
        return;
    }
    ib_histogram_make(&h, s->sorted, s->n_sorted, highest_mark(&s->summary));
    const ib_svg_axis x = {"ITL (ms)", h.low, h.high, false};
    const ib_svg_axis y = {"share", 0, 1, false};
    ib_svg_begin(p, &c, HEIGHT, "Cumulative distribution of token times",
                 "A curve that climbs from 0 to 1: the share of gaps that are not longer than the "
                 "milliseconds below; dots mark the percentiles that the caption names.",
                 &x, &y);
    ib_html_steps(p, &c, s, "curve0");
    ecdf_marks(p, &c, &s->summary);
    ib_svg_end(p);
    ib_page_text(p, "<figcaption>");
    sample_caption(p, s, &h);
    mark_caption(p, s);
    ib_page_text(p, "</figcaption>");
    ib_html_figure_end(p);
}

void ib_html_steps(ib_page *p, const ib_svg_chart *c, const ib_samples *s, const char *class_name) {
    const size_t n = s->n_sorted, stride = n / MOST_STEPS + 1;
    bool started = false;
    ib_page_put(p, "<path class=\"%s\" d=\"", class_name);
    for (size_t i = 0; i < n; i = i + stride < n || i == n - 1 ? i + stride : n - 1) {
        double ms = s->sorted[i];
        if (ms < c->x.low || ms > c->x.high)
            continue;
        if (!started) {
            ib_page_text(p, "M");
            ib_page_at(p, ib_svg_place(&c->x, ms));
            ib_page_text(p, " ");
            ib_page_at(p, ib_svg_place(&c->y, (double)i / (double)n));
        } else {
            ib_page_text(p, "H");
            ib_page_at(p, ib_svg_place(&c->x, ms));
        }
        started = true;
        ib_page_text(p, "V");
        ib_page_at(p, ib_svg_place(&c->y, (double)(i + 1) / (double)n));
    }
    ib_page_text(p, started ? "" : "M0 0");
    ib_page_text(p, "\"/>");
}
