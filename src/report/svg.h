/* SPDX-License-Identifier: MIT
 * Charts as inline SVG: scales, axes with round ticks, and the few marks that the reports draw.
 * Colours come from classes of the page's style, so that one drawing serves light, dark and print.
 * Internal to the report module. */
#ifndef IB_REPORT_SVG_H
#define IB_REPORT_SVG_H

#include "report/page.h"

enum {
    IB_SVG_MAX_TICKS = 24,
    IB_SVG_WIDTH = 420, /* of the drawing; a phone shows it nearly 1:1 */
    IB_SVG_LEFT = 58,   /* room for the labels of the y axis */
    IB_SVG_RIGHT = 14,
    IB_SVG_BOTTOM = 44,
    IB_SVG_TOP = 32
};

typedef struct ib_svg_scale { /* data -> coordinate */
    double low, high;         /* low < high; both > 0 when log */
    double from, to;          /* coordinates of low and high */
    bool log;
} ib_svg_scale;

double ib_svg_place(const ib_svg_scale *s, double v);

typedef struct ib_svg_ticks {
    double at[IB_SVG_MAX_TICKS];
    size_t n;
    int digits; /* behind the point that tell them apart */
} ib_svg_ticks;

/* Multiples of 1, 2 or 5 times a power of ten inside [low, high], about that many (2 to 12), at
 * most twice as many. None when the bounds are not finite or not in order. */
void ib_svg_ticks_linear(double low, double high, size_t about, ib_svg_ticks *out);
/* Powers of ten inside [low, high], and with fewer than three of them 2 and 5 times those too. */
void ib_svg_ticks_log(double low, double high, ib_svg_ticks *out);

typedef struct ib_svg_axis {
    const char *label; /* literal, with the unit */
    double low, high;
    bool log;
} ib_svg_axis;

typedef struct ib_svg_chart {
    ib_svg_scale x, y;
    double height;
    bool whole; /* ticks of x at whole numbers only */
} ib_svg_chart;

/* <svg role="img"> with title and description (literals; both read aloud), then frame, ticks, grid
 * and labels. y NULL: no y axis. ib_svg_begin_whole: ticks of x are whole numbers. ib_svg_end
 * closes it. */
void ib_svg_begin(ib_page *p, ib_svg_chart *c, double height, const char *title, const char *alt,
                  const ib_svg_axis *x, const ib_svg_axis *y);
void ib_svg_begin_whole(ib_page *p, ib_svg_chart *c, double height, const char *title,
                        const char *alt, const ib_svg_axis *x, const ib_svg_axis *y);
void ib_svg_end(ib_page *p);

/* Marks in data coordinates, of a class of the style. */
void ib_svg_line(ib_page *p, const ib_svg_chart *c, const char *class_name, double x1, double y1,
                 double x2, double y2);
void ib_svg_dot(ib_page *p, const ib_svg_chart *c, const char *class_name, double x, double y);
/* Marks in drawing coordinates. */
void ib_svg_rect(ib_page *p, const char *class_name, double x, double y, double width,
                 double height);
/* anchor: "start", "middle", "end"; text is escaped. */
void ib_svg_label(ib_page *p, const char *class_name, const char *anchor, double x, double y,
                  const char *text);

#endif
