/* SPDX-License-Identifier: MIT
 * See svg.h. */
#include "report/svg.h"

#include <math.h>
#include <stdio.h>

double ib_svg_place(const ib_svg_scale *s, double v) {
    double low = s->log ? log(s->low) : s->low, high = s->log ? log(s->high) : s->high;
    double at = s->log ? log(v > 0 ? v : s->low) : v;
    return high > low ? s->from + (at - low) / (high - low) * (s->to - s->from) : s->from;
}

static void add_tick(ib_svg_ticks *t, double v) {
    if (t->n < IB_SVG_MAX_TICKS)
        t->at[t->n++] = v;
}

void ib_svg_ticks_linear(double low, double high, size_t about, ib_svg_ticks *out) {
    *out = (ib_svg_ticks){0};
    if (!isfinite(low) || !isfinite(high) || !(high > low))
        return;
    about = about < 2 ? 2 : about > 12 ? 12 : about;
    double raw = (high - low) / (double)about, power = floor(log10(raw));
    double unit = pow(10, power), step = raw / unit;
    step = step <= 1 ? 1 : step <= 2 ? 2 : step <= 5 ? 5 : 10;
    out->digits = power + (step >= 10) < 0 ? (int)-(power + (step >= 10)) : 0;
    step *= unit;
    double first = ceil(low / step - 1e-9) + 0.0; /* no -0 */
    for (double k = first; k * step <= high + step * 1e-9 && k < first + IB_SVG_MAX_TICKS; k++)
        add_tick(out, k * step);
}

void ib_svg_ticks_log(double low, double high, ib_svg_ticks *out) {
    static const double parts[] = {1, 2, 5};
    *out = (ib_svg_ticks){0};
    if (!isfinite(low) || !isfinite(high) || !(low > 0) || !(high > low))
        return;
    double first = floor(log10(low)), last = ceil(log10(high));
    size_t whole = 0;
    for (double e = first; e <= last; e++)
        whole += pow(10, e) >= low * (1 - 1e-9) && pow(10, e) <= high * (1 + 1e-9);
    double stride = floor((double)whole / 8) + 1; /* labels must not meet */
    for (double e = first; e <= last && out->n < IB_SVG_MAX_TICKS; e += stride)
        for (size_t i = 0; i < (whole < 3 ? 3 : 1); i++) {
            double v = parts[i] * pow(10, e);
            if (v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9))
                add_tick(out, v);
        }
    out->digits = out->n && out->at[0] < 1 ? (int)-floor(log10(out->at[0]) + 1e-9) : 0;
    out->digits = out->digits > 6 ? 6 : out->digits;
}

/* A tick of a log axis needs only its own digits: 0.1, 1, 10. */
static void tick_text(const ib_svg_ticks *t, size_t i, bool log_axis, ib_number *out) {
    double v = t->at[i];
    int digits = t->digits;
    if (log_axis)
        digits = v >= 1 ? 0 : (int)-floor(log10(v) + 1e-9);
    if (fabs(v) >= 1e6)
        (void)snprintf(out->text, sizeof out->text, "1e%d", (int)floor(log10(fabs(v)) + 1e-9));
    if (fabs(v) < 1e6 || !log_axis || t->n > 8)
        (void)ib_report_number(v, digits > 6 ? 6 : digits, out);
}

static void ticks_of(const ib_svg_axis *a, size_t about, ib_svg_ticks *t) {
    if (a->log)
        ib_svg_ticks_log(a->low, a->high, t);
    else
        ib_svg_ticks_linear(a->low, a->high, about, t);
}

static void grid_line(ib_page *p, double x1, double y1, double x2, double y2) {
    ib_page_text(p, "<line class=\"grid\"");
    ib_page_attribute(p, "x1", x1);
    ib_page_attribute(p, "y1", y1);
    ib_page_attribute(p, "x2", x2);
    ib_page_attribute(p, "y2", y2);
    ib_page_text(p, "/>");
}

static void x_axis(ib_page *p, const ib_svg_chart *c, const ib_svg_axis *a) {
    ib_svg_ticks t;
    ib_number text;
    double bottom = c->height - IB_SVG_BOTTOM;
    ticks_of(a, 6, &t);
    for (size_t i = 0; i < t.n; i++) {
        if (c->whole && fabs(t.at[i] - rint(t.at[i])) > 1e-6)
            continue;
        if (c->whole)
            t.digits = 0;
        double x = ib_svg_place(&c->x, t.at[i]);
        tick_text(&t, i, a->log, &text);
        grid_line(p, x, IB_SVG_TOP, x, bottom + 4);
        ib_svg_label(p, "tick", "middle", x, bottom + 17, text.text);
    }
    ib_svg_label(p, "axis", "middle", (c->x.from + c->x.to) / 2, c->height - 8, a->label);
}

static void y_axis(ib_page *p, const ib_svg_chart *c, const ib_svg_axis *a) {
    ib_svg_ticks t;
    ib_number text;
    ticks_of(a, 5, &t);
    for (size_t i = 0; i < t.n; i++) {
        double y = ib_svg_place(&c->y, t.at[i]);
        tick_text(&t, i, a->log, &text);
        grid_line(p, c->x.from - 4, y, c->x.to, y);
        ib_svg_label(p, "tick", "end", c->x.from - 7, y + 4, text.text);
    }
    ib_svg_label(p, "axis", "start", 2, 14, a->label);
}

static void begin(ib_page *p, ib_svg_chart *c, const char *title, const char *alt,
                  const ib_svg_axis *x, const ib_svg_axis *y) {
    const double height = c->height;
    unsigned id = ++p->n_ids;
    double left = y ? IB_SVG_LEFT : 14;
    ib_page_put(p,
                "<svg viewBox=\"0 0 %d %d\" role=\"img\" tabindex=\"0\" "
                "aria-labelledby=\"t%u d%u\">",
                IB_SVG_WIDTH, (int)height, id, id);
    ib_page_put(p, "<title id=\"t%u\">", id);
    ib_page_name(p, title);
    ib_page_put(p, "</title><desc id=\"d%u\">", id);
    ib_page_name(p, alt);
    ib_page_text(p, "</desc>");
    if (x) {
        c->x = (ib_svg_scale){x->low, x->high, left, IB_SVG_WIDTH - IB_SVG_RIGHT, x->log};
        x_axis(p, c, x);
    }
    if (y) {
        c->y = (ib_svg_scale){y->low, y->high, height - IB_SVG_BOTTOM, IB_SVG_TOP, y->log};
        y_axis(p, c, y);
    }
}

void ib_svg_begin(ib_page *p, ib_svg_chart *c, double height, const char *title, const char *alt,
                  const ib_svg_axis *x, const ib_svg_axis *y) {
    *c = (ib_svg_chart){.height = height};
    begin(p, c, title, alt, x, y);
}

void ib_svg_begin_whole(ib_page *p, ib_svg_chart *c, double height, const char *title,
                        const char *alt, const ib_svg_axis *x, const ib_svg_axis *y) {
    *c = (ib_svg_chart){.height = height, .whole = true};
    begin(p, c, title, alt, x, y);
}

void ib_svg_end(ib_page *p) {
    ib_page_text(p, "</svg>\n");
}

void ib_svg_line(ib_page *p, const ib_svg_chart *c, const char *class_name, double x1, double y1,
                 double x2, double y2) {
    ib_page_put(p, "<line class=\"%s\"", class_name);
    ib_page_attribute(p, "x1", ib_svg_place(&c->x, x1));
    ib_page_attribute(p, "y1", ib_svg_place(&c->y, y1));
    ib_page_attribute(p, "x2", ib_svg_place(&c->x, x2));
    ib_page_attribute(p, "y2", ib_svg_place(&c->y, y2));
    ib_page_text(p, "/>");
}

void ib_svg_dot(ib_page *p, const ib_svg_chart *c, const char *class_name, double x, double y) {
    ib_page_put(p, "<circle class=\"%s\" r=\"5\"", class_name);
    ib_page_attribute(p, "cx", ib_svg_place(&c->x, x));
    ib_page_attribute(p, "cy", ib_svg_place(&c->y, y));
    ib_page_text(p, "/>");
}

void ib_svg_rect(ib_page *p, const char *class_name, double x, double y, double width,
                 double height) {
    ib_page_put(p, "<rect class=\"%s\"", class_name);
    ib_page_attribute(p, "x", x);
    ib_page_attribute(p, "y", y);
    ib_page_attribute(p, "width", width > 0 ? width : 0);
    ib_page_attribute(p, "height", height > 0 ? height : 0);
    ib_page_text(p, "/>");
}

void ib_svg_label(ib_page *p, const char *class_name, const char *anchor, double x, double y,
                  const char *text) {
    ib_page_put(p, "<text class=\"%s\" text-anchor=\"%s\"", class_name, anchor);
    ib_page_attribute(p, "x", x);
    ib_page_attribute(p, "y", y);
    ib_page_text(p, ">");
    ib_page_name(p, text);
    ib_page_text(p, "</text>");
}
