/* SPDX-License-Identifier: MIT
 * See until.h. */
#include "bench/until.h"

#include "base/clock.h"
#include "record/compare.h"
#include "stats/order.h"
#include "stats/quantile.h"
#include "stats/sequential.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_UNITS = 10000 };

static bool measured(const ib_run_record *r) {
    return !r->warmup && !r->cancelled && r->n_tokens > 0;
}

size_t ib_until_units(const ib_cell *cell, bool by_process) {
    size_t n = 0;
    const ib_run_record *last = NULL;
    for (size_t i = 0; i < cell->n_runs; i++) {
        const ib_run_record *r = &cell->runs[i];
        if (!measured(r))
            continue;
        n += !by_process || !last || last->process != r->process;
        last = r;
    }
    return n;
}

/* The metric of each unit into x; a process's is the median of its runs. A run of one token has no
 * ITL: its time to the first token stands in. */
static size_t values(const ib_cell *cell, bool by_process, double *x, double *gaps) {
    size_t n = 0, of_unit = 0;
    uint64_t process = 0;
    double *unit = x + cell->n_runs; /* [n_runs] */
    for (size_t i = 0; i < cell->n_runs; i++) {
        const ib_run_record *r = &cell->runs[i];
        if (!measured(r))
            continue;
        if (of_unit && (!by_process || r->process != process)) {
            x[n++] = ib_stats_median_of(unit, of_unit);
            of_unit = 0;
        }
        process = r->process;
        const double itl = ib_metric_of_run(IB_METRIC_ITL_P50, r, gaps);
        unit[of_unit++] = itl > 0 ? itl : ib_metric_of_run(IB_METRIC_TTFT, r, gaps);
    }
    if (of_unit)
        x[n++] = ib_stats_median_of(unit, of_unit);
    return n;
}

static json_t *number(double v) {
    return isfinite(v) ? json_real(v) : json_null();
}

static ib_status keep(const ib_until *u, ib_cell *cell, const ib_stats_look *look, size_t n,
                      const char *why, ib_error *err) {
    json_t *o = json_pack("{s:s, s:s, s:f, s:I, s:f, s:o, s:o, s:o, s:o, s:b, s:s}", "rule",
                          "group-sequential, alpha_k = 0.05*6/(pi*k)^2, t interval on logs",
                          "metric", ib_metric_name(IB_METRIC_ITL_P50), "asked", u->half_width, "n",
                          (json_int_t)n, "alpha", look->alpha, "point_ms",
                          number(look->ratio.point), "low_ms", number(look->ratio.lo), "high_ms",
                          number(look->ratio.hi), "half_width", number(look->half_width), "reached",
                          look->k != 0 && look->half_width <= u->half_width, "why", why);
    if (!o)
        return ib_fail_memory(err, 0, "the record");
    json_decref(cell->stopping);
    cell->stopping = o;
    return IB_OK;
}

static size_t longest(const ib_cell *cell) {
    uint64_t most = 1;
    for (size_t i = 0; i < cell->n_runs; i++)
        most = cell->runs[i].n_tokens > most ? cell->runs[i].n_tokens : most;
    return (size_t)most;
}

static ib_status look_for(const ib_until *u, ib_cell *cell, bool late, bool *more, ib_error *err) {
    const size_t room = 3 * cell->n_runs + longest(cell) + 1;
    double *x = calloc(room, sizeof *x);
    if (!x)
        return ib_fail_memory(err, room * sizeof *x, "the interval");
    const size_t n = values(cell, u->by_process, x, x + 3 * cell->n_runs);
    const ib_stats_look look = ib_stats_look_at(x, n, x + 2 * cell->n_runs);
    free(x);
    const bool narrow = look.k && look.half_width <= u->half_width;
    *more = !narrow && !late && n < MOST_UNITS;
    return *more ? IB_OK
                 : keep(u, cell, &look, n,
                        narrow ? "narrow"
                        : late ? "max-time"
                               : "most runs",
                        err);
}

ib_status ib_until_more(const ib_until *u, ib_cell *cell, bool *more, ib_error *err) {
    const size_t n = ib_until_units(cell, u->by_process);
    const bool late = n > 0 && u->max_time_ns != 0 && ib_now_ns() - u->start_ns >= u->max_time_ns;
    if (u->half_width > 0 && n > 0)
        return look_for(u, cell, late, more, err);
    *more = u->half_width > 0 || (n < u->n_planned && !late);
    return IB_OK;
}
