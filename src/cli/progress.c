/* SPDX-License-Identifier: MIT
 * See progress.h. */
#include "cli/progress.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *ib_progress_time(double seconds, char out[32]) {
    if (!(seconds >= 0 && seconds < 1e9)) {
        (void)snprintf(out, 32, "unknown");
        return out;
    }
    const unsigned long long s = (unsigned long long)(seconds + 0.5);
    if (s >= 3600)
        (void)snprintf(out, 32, "%llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
    else
        (void)snprintf(out, 32, "%llu:%02llu", s / 60, s % 60);
    return out;
}

static void put(const char *text, size_t n) {
    ssize_t done = write(STDERR_FILENO, text, n);
    (void)done; /* nobody there to tell */
}

void ib_progress_wipe(ib_progress *p) {
    static const char wipe[] = "\r\x1b[K";
    if (p->shown)
        put(wipe, sizeof wipe - 1);
    p->shown = false;
}

static void log_through(void *user, ib_log_level level, const char *line) {
    ib_progress *p = user;
    ib_progress_wipe(p);
    p->inner.write(p->inner.user, level, line);
}

void ib_progress_start(ib_progress *p, ib_log *log, bool on, double work) {
    *p = (ib_progress){.inner = *log,
                       .on = on,
                       .terminal = isatty(STDERR_FILENO) == 1,
                       .start_ns = ib_now_ns(),
                       .work_left = work};
    if (on && p->terminal && log->write) {
        log->write = log_through;
        log->user = p;
    }
}

/* Negative: nothing was measured yet. */
static double seconds_left(const ib_progress *p) {
    const double so_far = (double)(ib_now_ns() - p->start_ns) / 1e9;
    return p->work_done > 0 ? so_far * p->work_left / p->work_done : -1;
}

static void show(ib_progress *p) {
    char line[256], time[32];
    if (!p->on || !p->terminal)
        return;
    ib_progress_wipe(p);
    int n = snprintf(line, sizeof line, "%s; time left %s", p->label,
                     ib_progress_time(seconds_left(p), time));
    if (n > 0)
        put(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
    p->shown = true;
}

void ib_progress_cell(ib_progress *p, size_t index, size_t n_cells, const char *label) {
    char time[32];
    (void)snprintf(p->label, sizeof p->label, "cell %zu of %zu: %s", index + 1, n_cells, label);
    if (p->on && !p->terminal)
        ib_log_info(&p->inner, "%s; time left %s", p->label,
                    ib_progress_time(seconds_left(p), time));
    show(p);
}

void ib_progress_add(ib_progress *p, double work) {
    p->work_done += work;
    ib_progress_skip(p, work);
}

void ib_progress_skip(ib_progress *p, double work) {
    p->work_left = work < p->work_left ? p->work_left - work : 0;
    show(p);
}
