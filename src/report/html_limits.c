/* SPDX-License-Identifier: MIT
 * What the device held, and how far the run was from the machine's limits (docs/methods.md). */
#include "report/html.h"

#include <inttypes.h>
#include <math.h>

static void legend(ib_page *p, const char *swatch, const char *name, uint64_t bytes,
                   uint64_t total) {
    ib_number mib, share;
    ib_page_put(p,
                "<tr><th scope=\"row\"><span class=\"swatch %s\"></span>%s</th>"
                "<td class=\"n\">%s</td><td class=\"n\">%s</td></tr>",
                swatch, name, ib_report_mib(bytes, &mib),
                ib_report_number(total ? 100 * (double)bytes / (double)total : NAN, 1, &share));
}

void ib_html_memory(ib_page *p, const ib_html_cell *cell) {
    const ib_memory_record *m = &cell->cell->memory;
    const struct {
        const char *name, *swatch, *bar;
        uint64_t bytes;
    } parts[] = {{"weights", "bar0", "bar0", m->weights},
                 {"KV cache", "bar1", "bar1", m->kv},
                 {"scratch", "bar2", "bar2", m->scratch},
                 {"in and out", "bar3", "bar3", m->io}};
    const uint64_t sum = m->weights + m->kv + m->scratch + m->io;
    const double high = (double)(sum > m->peak_total ? sum : m->peak_total) / (1024 * 1024);
    ib_svg_chart c;
    ib_number a;
    ib_html_figure(p, "Memory of the device");
    if (!(high > 0)) {
        ib_page_text(p, "<p class=\"none\">Not recorded.</p>");
        ib_html_figure_end(p);
        return;
    }
    const ib_svg_axis x = {"MiB", 0, high, false};
    ib_svg_begin(p, &c, 120, "Memory of the device by purpose",
                 "One bar of four parts: weights, KV cache, scratch, in and out; the table below "
                 "holds the figures.",
                 &x, NULL);
    double at = 0;
    for (size_t i = 0; i < 4; i++) {
        double mib = (double)parts[i].bytes / (1024 * 1024);
        double left = ib_svg_place(&c.x, at), right = ib_svg_place(&c.x, at + mib);
        ib_svg_rect(p, parts[i].bar, left, IB_SVG_TOP + 4, right - left, 36);
        at += mib;
    }
    ib_svg_end(p);
    ib_page_text(p, "<table><thead><tr><th scope=\"col\">purpose</th><th scope=\"col\" "
                    "class=\"n\">MiB</th><th scope=\"col\" class=\"n\">% of the sum</th></tr>"
                    "</thead><tbody>");
    for (size_t i = 0; i < 4; i++)
        legend(p, parts[i].swatch, parts[i].name, parts[i].bytes, sum);
    ib_page_text(p, "</tbody></table><figcaption>Largest sum at one time ");
    ib_page_put(p, "%s MiB. Of the weights ", ib_report_mib(m->peak_total, &a));
    ib_page_put(p, "%s MiB are mapped from the file. ", ib_report_mib(m->weights_mapped, &a));
    ib_page_text(p, "Peak resident size of the process: ");
    ib_page_put(p, "%s%s", m->vm_hwm ? ib_report_mib(m->vm_hwm, &a) : "unknown",
                m->vm_hwm ? " MiB" : "");
    if (m->driver_peak)
        ib_page_put(p, "; peak by the driver: %s MiB", ib_report_mib(m->driver_peak, &a));
    ib_page_text(p, ".</figcaption>");
    ib_html_figure_end(p);
}

/* --- roofline --- */

typedef struct point {
    double intensity, gflops; /* operations a byte, 1e9 operations a second */
} point;

/* Operations of one decode step; a record without the count: the prompt's without its one head
 * product, spread over its tokens, and a head product for each sequence. */
static double step_flops(const ib_cell *c, double n_seqs) {
    const ib_model_record *m = &c->model;
    const double head = 2 * (double)m->n_vocab * (double)m->d_model;
    const double prompt = m->prefill_flops / n_seqs - head;
    if (m->step_flops > 0)
        return m->step_flops;
    if (!(m->prefill_flops > 0) || !c->n_prompt_ids || prompt <= 0)
        return NAN;
    return n_seqs * (prompt / (double)c->n_prompt_ids + head);
}

static point decode_point(const ib_cell *c, const ib_summary *s, double n_seqs) {
    const double flops = step_flops(c, n_seqs), bytes = (double)c->model.step_total;
    if (!(bytes > 0) || !(s->tpot_ms > 0))
        return (point){NAN, NAN};
    return (point){flops / bytes, flops / (s->tpot_ms * 1e6)};
}

/* The prompt's pass reads the weights once; its keys and values are left out. */
static point prefill_point(const ib_cell *c, const ib_summary *s) {
    const ib_model_record *m = &c->model;
    const double bytes = (double)(m->step_weights + m->step_scales + m->step_head);
    return (point){bytes > 0 && m->prefill_flops > 0 ? m->prefill_flops / bytes : NAN,
                   s->prefill_gflops};
}

static bool drawable(point v) {
    return isfinite(v.intensity) && v.intensity > 0 && isfinite(v.gflops) && v.gflops > 0;
}

static void draw_point(ib_page *p, const ib_svg_chart *c, point v, const char *name,
                       const char *dot) {
    double x = ib_svg_place(&c->x, v.intensity), y = ib_svg_place(&c->y, v.gflops);
    bool right = x > c->x.to - 70;
    if (!drawable(v))
        return;
    ib_svg_dot(p, c, dot, v.intensity, v.gflops);
    ib_svg_label(p, "marked", right ? "end" : "start", x + (right ? -9 : 9), y + 14, name);
}

/* What one phase reached, and which limit takes its time. */
static void limit_sentence(ib_page *p, const char *name, point v, const ib_limit *limit,
                           double share, const char *of) {
    ib_number a, b;
    if (!drawable(v))
        return;
    ib_page_put(p, "%s: %s operations a byte, %s %% of %s", name,
                ib_report_number(v.intensity, 2, &a), ib_report_number(100 * share, 1, &b), of);
    ib_page_put(p, "%s%s. ", limit->binds ? "; limit that binds: " : "",
                limit->binds ? limit->binds : "");
}

static void draw_roofline(ib_page *p, const ib_html_cell *cell, point decode, point prefill) {
    const ib_probe_record *r = &cell->cell->probe;
    const ib_summary *s = &cell->samples.summary;
    const double ridge = r->flops / (r->read_gbps * 1e9), roof = r->flops / 1e9;
    double left = ridge, right = ridge, low = roof;
    const point points[] = {decode, prefill};
    for (size_t i = 0; i < 2; i++)
        if (drawable(points[i])) {
            left = fmin(left, points[i].intensity);
            right = fmax(right, points[i].intensity);
            low = fmin(low, points[i].gflops);
        }
    left /= 3;
    right *= 3;
    low = fmin(low / 2, r->read_gbps * left);
    ib_svg_chart c;
    const ib_svg_axis x = {"operations for each byte read", left, right, true};
    const ib_svg_axis y = {"GFLOP/s", low, fmax(roof, fmax(decode.gflops, prefill.gflops)) * 2,
                           true};
    ib_svg_begin(p, &c, 290, "Roofline",
                 "Both axes are logarithmic. A line rises with the read bandwidth up to the ridge "
                 "and goes on level at the arithmetic rate; dots show decoding and prefill below "
                 "it. The caption holds the figures.",
                 &x, &y);
    ib_svg_line(p, &c, "roof", left, r->read_gbps * left, ridge, roof);
    ib_svg_line(p, &c, "roof", ridge, roof, right, roof);
    draw_point(p, &c, decode, "decode", "dot");
    draw_point(p, &c, prefill, "prefill", "dot dot1");
    ib_svg_end(p);
    ib_number a, b;
    ib_page_put(p, "<figcaption>Measured limits: %s GB/s read",
                ib_report_number(r->read_gbps, 2, &a));
    ib_page_put(p, " (n = %" PRIu64 " passes, best), %s GFLOP/s in the arithmetic of the prefill. ", r->n_passes,
                ib_report_number(roof, 1, &b));
    limit_sentence(p, "Decode", decode, &s->decode_limit, s->mbu, "the read bandwidth (MBU)");
    limit_sentence(p, "Prefill", prefill, &s->prefill_limit, s->mfu, "the arithmetic rate (MFU)");
    if (!(cell->cell->model.step_flops > 0))
        ib_page_text(p, "Operations of a decode step are estimated from those of the prompt, which "
                        "moves its dot along the slope, not away from it. ");
    ib_page_text(p, "No intervals: the probes ran once.</figcaption>");
}

void ib_html_roofline(ib_page *p, const ib_html_cell *cell) {
    const ib_cell *c = cell->cell;
    const ib_probe_record *r = &c->probe;
    const ib_summary *s = &cell->samples.summary;
    ib_html_figure(p, "Roofline");
    if (!r->done || !(r->read_gbps > 0) || !(r->flops > 0)) {
        ib_page_text(p, "<p class=\"none\">Not drawn: the machine's limits were not measured "
                        "(--roofline on measures them where the device has probes).</p>");
        ib_html_figure_end(p);
        return;
    }
    double n_seqs = cell->samples.n_runs ? (double)cell->samples.runs[0]->n_seqs : 1;
    point decode = decode_point(c, s, n_seqs), prefill = prefill_point(c, s);
    if (!drawable(decode) && !drawable(prefill))
        ib_page_text(p, "<p class=\"none\">Not drawn: nothing was measured to compare with the "
                        "limits.</p>");
    else
        draw_roofline(p, cell, decode, prefill);
    ib_html_figure_end(p);
}
