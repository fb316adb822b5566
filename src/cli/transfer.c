/* SPDX-License-Identifier: MIT
 * See transfer.h. */
#include "cli/transfer.h"

#include "base/clock.h"
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void put(const char *text, size_t n) {
    ssize_t done = write(STDERR_FILENO, text, n);
    (void)done; /* nobody there to tell */
}

static void wipe(ib_transfer *t) {
    static const char text[] = "\r\x1b[K";
    if (t->shown)
        put(text, sizeof text - 1);
    t->shown = false;
}

static void log_through(void *user, ib_log_level level, const char *line) {
    ib_transfer *t = user;
    wipe(t);
    t->inner.write(t->inner.user, level, line);
}

void ib_transfer_start(ib_transfer *t, ib_log *log, bool on) {
    *t = (ib_transfer){.inner = *log, .on = on, .terminal = isatty(STDERR_FILENO) == 1};
    if (on && t->terminal && log->write) {
        log->write = log_through;
        log->user = t;
    }
}

const char *ib_transfer_bytes(uint64_t bytes, char out[32]) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t i = 0;
    while (value >= 999.5 && i + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        i++;
    }
    (void)snprintf(out, 32, i == 0 || value >= 99.5 ? "%.0f %s" : "%.2f %s", value, units[i]);
    return out;
}

/* The rate of the last second or more, smoothed. */
static void measure(ib_transfer *t, uint64_t fetched, uint64_t now) {
    double seconds = (double)(now - t->rate_ns) / 1e9;
    if (seconds < 1 && t->rate > 0)
        return;
    if (seconds < 0.2)
        return;
    double rate = (double)(fetched - t->rate_bytes) / seconds;
    t->rate = t->rate > 0 ? 0.7 * t->rate + 0.3 * rate : rate;
    t->rate_ns = now;
    t->rate_bytes = fetched;
}

static void line_of(const ib_transfer *t, const ib_hub_progress *p, char *out, size_t size) {
    char done[32], total[32], rate[32], left[32], name[IB_QUOTED];
    double seconds =
        t->rate > 0 && p->total > p->done ? (double)(p->total - p->done) / t->rate : -1;
    if (!(p->total >= p->done && p->total > 0)) {
        (void)snprintf(out, size, "fetching %s: %s", ib_quotez(p->file, name),
                       ib_transfer_bytes(p->done, done));
        return;
    }
    (void)snprintf(out, size, "fetching %s: %s of %s (%.0f %%), %s/s, time left %s",
                   ib_quotez(p->file, name), ib_transfer_bytes(p->done, done),
                   ib_transfer_bytes(p->total, total), 100.0 * (double)p->done / (double)p->total,
                   ib_transfer_bytes((uint64_t)t->rate, rate), ib_progress_time(seconds, left));
}

static void finish(ib_transfer *t, const ib_hub_progress *p, uint64_t now) {
    char bytes[32], rate[32], time[32];
    double seconds = (double)(now - t->start_ns) / 1e9;
    wipe(t);
    ib_log_info(&t->inner, "fetched %s in %s (%s/s); %zu files are there",
                ib_transfer_bytes(p->fetched, bytes), ib_progress_time(seconds, time),
                ib_transfer_bytes(seconds > 0 ? (uint64_t)((double)p->fetched / seconds) : 0, rate),
                p->n_done);
    t->start_ns = 0;
}

void ib_transfer_news(void *transfer, const ib_hub_progress *p) {
    enum { LOG_EVERY_S = 10 };
    ib_transfer *t = transfer;
    char line[256];
    uint64_t now = ib_now_ns();
    if (!t->on)
        return;
    if (!t->start_ns) {
        t->start_ns = t->told_ns = t->rate_ns = now;
        t->rate_bytes = p->fetched;
        t->rate = 0;
    }
    if (!p->file) {
        finish(t, p, now);
        return;
    }
    measure(t, p->fetched, now);
    if (!t->terminal && now - t->told_ns < (uint64_t)LOG_EVERY_S * 1000000000u)
        return;
    t->told_ns = now;
    line_of(t, p, line, sizeof line);
    if (!t->terminal) {
        ib_log_info(&t->inner, "%s", line);
        return;
    }
    wipe(t);
    put(line, strlen(line));
    t->shown = true;
}
