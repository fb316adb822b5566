/* SPDX-License-Identifier: MIT
 * See sequential.h. */
#include "stats/sequential.h"

#include <math.h>

enum { FIRST_LOOK = 5, MOST_LOOKS = 60 };
static const double pi = 3.14159265358979323846;

size_t ib_stats_look_runs(unsigned k) {
    size_t n = FIRST_LOOK;
    for (unsigned i = 1; i < k && i < MOST_LOOKS; i++)
        n += (n + 1) / 2;
    return n;
}

double ib_stats_look_alpha(unsigned k) {
    return IB_STATS_SEQUENTIAL_ALPHA * 6 / (pi * k * pi * k);
}

ib_stats_look ib_stats_look_at(const double *x, size_t n, double *work) {
    ib_stats_look look = {.half_width = NAN};
    unsigned next = 1; /* the first look at n runs or more */
    while (next < MOST_LOOKS && ib_stats_look_runs(next) < n)
        next++;
    look.k = ib_stats_look_runs(next) == n ? next : 0;
    look.alpha = ib_stats_look_alpha(next);
    look.ratio = ib_stats_t_log_interval(x, n, look.alpha, work);
    const double below = 1 - look.ratio.lo / look.ratio.point;
    const double above = look.ratio.hi / look.ratio.point - 1;
    look.half_width = n >= 2 ? fmax(below, above) : NAN;
    return look;
}
