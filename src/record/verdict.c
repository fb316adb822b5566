/* SPDX-License-Identifier: MIT
 * The gates that a run itself can see (measurement.md R02, R05, R11, R15, R17, R31). Invalid: the
 * work was not the work, or was not measured. Noisy: the machine was disturbed; the figures stand,
 * with the reason beside them. Each gate gives one reason, with the worst run's figure. */
#include "record/verdict.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static void reason(ib_summary *s, const char *verdict, const char *fmt, ...) IB_PRINTF(3, 4);

static void reason(ib_summary *s, const char *verdict, const char *fmt, ...) {
    va_list args;
    if (s->verdict[0] != 'i')
        s->verdict = verdict;
    if (s->n_reasons == IB_SUMMARY_MAX_REASONS)
        return;
    va_start(args, fmt);
    (void)vsnprintf(s->reasons[s->n_reasons++], sizeof s->reasons[0], fmt, args);
    va_end(args);
}

typedef struct worst { /* over all runs; the machine only in measured ones */
    uint64_t overflows, suspended, major, throttled, cancelled, not_finite;
    uint64_t switches, switches_of; /* of the run with most switches per token */
    double steal, pressure;         /* parts of the window */
} worst;

static double part(uint64_t of, uint64_t whole) {
    return whole ? (double)of / (double)whole : 0;
}

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static worst gather(const ib_cell *cell) {
    worst w = {.switches_of = 1};
    for (size_t i = 0; i < cell->n_runs; i++) {
        const ib_run_record *r = &cell->runs[i];
        w.not_finite += !r->finite;
        w.cancelled += r->cancelled;
        w.overflows = larger(w.overflows, r->ring_overflows);
        if (r->warmup || r->n_tokens == 0)
            continue;
        w.suspended = larger(w.suspended, r->suspended_ns);
        w.major = larger(w.major, r->major_faults);
        w.throttled = larger(w.throttled, r->throttled_periods);
        if (part(r->involuntary_switches, r->n_tokens) > part(w.switches, w.switches_of)) {
            w.switches = r->involuntary_switches;
            w.switches_of = r->n_tokens;
        }
        double steal = part(r->steal_ns, r->window_ns);
        double pressure = part(r->pressure_cpu_ns, r->window_ns);
        w.steal = steal > w.steal ? steal : w.steal;
        pressure = pressure < 1 ? pressure : 1; /* the kernel's sum comes in steps */
        w.pressure = pressure > w.pressure ? pressure : w.pressure;
    }
    return w;
}

static void judge_work(ib_summary *s, const worst *w) {
    static const char verdict[] = "invalid";
    if (s->n_runs == 0)
        reason(s, verdict, "no measured run");
    if (w->cancelled)
        reason(s, verdict, "stopped by a signal before its end");
    if (!s->ids_equal)
        reason(s, verdict, "token ids differ between runs of the same prompt");
    if (w->not_finite)
        reason(s, verdict, "logits that are not finite in %" PRIu64 " run(s)", w->not_finite);
    if (w->overflows)
        reason(s, verdict, "%" PRIu64 " tokens overflowed the stream ring", w->overflows);
    if (w->suspended > IB_GATE_SUSPENDED_NS)
        reason(s, verdict, "the machine slept for %" PRIu64 " ms during the run",
               w->suspended / 1000000);
}

/* Tenths of a per cent, so that no locale writes the decimal point. */
static unsigned tenths(double share) {
    return (unsigned)(share * 1000 + 0.5);
}

static void judge_machine(ib_summary *s, const ib_cell *cell, const worst *w) {
    static const char verdict[] = "noisy";
    if (w->switches * 100 > w->switches_of * IB_GATE_SWITCHES_PER_100)
        reason(s, verdict,
               "%" PRIu64 " involuntary context switches in %" PRIu64 " tokens (limit 1 per 100)",
               w->switches, w->switches_of);
    if (w->steal > IB_GATE_STEAL)
        reason(s, verdict, "%u.%u %% of the time stolen by other guests (limit 0.5 %%)",
               tenths(w->steal) / 10, tenths(w->steal) % 10);
    if (w->major)
        reason(s, verdict, "%" PRIu64 " major page faults in the run (data read from disk)",
               w->major);
    if (w->throttled)
        reason(s, verdict, "CPU quota throttled the process in %" PRIu64 " periods", w->throttled);
    if (w->pressure > IB_GATE_PRESSURE)
        reason(s, verdict, "tasks waited for a CPU %u.%u %% of the time (limit 5 %%)",
               tenths(w->pressure) / 10, tenths(w->pressure) % 10);
    if (cell->clock_cost_ns > IB_GATE_CLOCK_NS ||
        (double)cell->clock_cost_ns > IB_GATE_CLOCK_OF_ITL * s->itl_p50_ms * 1e6)
        reason(s, verdict, "reading the clock costs %" PRIu64 " ns", cell->clock_cost_ns);
}

void ib_summary_judge(ib_summary *s, const ib_cell *cell) {
    worst w = gather(cell);
    s->verdict = "valid";
    judge_work(s, &w);
    judge_machine(s, cell, &w);
}
