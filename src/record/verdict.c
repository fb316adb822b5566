/* SPDX-License-Identifier: MIT
 * The gates that a run itself can see (measurement.md R02, R05, R11, R15, R17, R31). Invalid: the
 * work was not the work, or was not measured. Noisy: the machine was disturbed; the figures stand,
 * with the reason beside them. Each gate gives one reason, with the worst run's figure. */
#include "record/verdict.h"

#include "record/state.h"

#include <inttypes.h>
#include <math.h>
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
    uint64_t overflows, suspended, stops, warm_faults, cold_faults, throttled, cancelled;
    uint64_t not_finite, swap_ins, thermal, cpus_changed;
    uint64_t switches, switches_of; /* of the run with most switches per token */
    double steal, pressure;         /* parts of the window */
    double resident;                /* smallest part of the weights, of the runs with faults */
    double core;                    /* largest change of the core's clock */
} worst;

static double part(uint64_t of, uint64_t whole) {
    return whole ? (double)of / (double)whole : 0;
}

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* A process's first run touches its code for the first time: it is not warm. */
static void gather_memory(worst *w, const ib_run_record *r, bool first) {
    const double resident = r->mapped_bytes ? part(r->resident_bytes, r->mapped_bytes) : 1;
    w->swap_ins = larger(w->swap_ins, r->swap_ins);
    if (resident >= IB_GATE_WARM && !first) {
        w->warm_faults = larger(w->warm_faults, r->major_faults);
    } else if (r->major_faults) {
        w->cold_faults = larger(w->cold_faults, r->major_faults);
        w->resident = resident < w->resident ? resident : w->resident;
    }
}

static void gather_cpu(worst *w, const ib_run_record *r) {
    w->suspended = larger(w->suspended, r->suspended_ns);
    w->stops = larger(w->stops, r->stops);
    w->throttled = larger(w->throttled, r->throttled_periods);
    w->thermal = larger(w->thermal, r->thermal_events);
    w->cpus_changed += r->cpus_changed;
    if (part(r->involuntary_switches, r->n_tokens) > part(w->switches, w->switches_of)) {
        w->switches = r->involuntary_switches;
        w->switches_of = r->n_tokens;
    }
    const double steal = part(r->steal_ns, r->window_ns);
    const double pressure = part(r->pressure_cpu_ns, r->window_ns);
    w->steal = steal > w->steal ? steal : w->steal;
    w->pressure = fmax(w->pressure, fmin(pressure, 1)); /* the kernel's sum comes in steps */
    if (r->spin_before_ns > 0 && r->spin_after_ns > 0)
        w->core = fmax(w->core, fabs(r->spin_after_ns / r->spin_before_ns - 1));
}

static worst gather(const ib_cell *cell) {
    worst w = {.switches_of = 1, .resident = 1};
    for (size_t i = 0; i < cell->n_runs; i++) {
        const ib_run_record *r = &cell->runs[i];
        w.not_finite += !r->finite;
        w.cancelled += r->cancelled;
        w.overflows = larger(w.overflows, r->ring_overflows);
        if (r->warmup || r->n_tokens == 0)
            continue;
        gather_cpu(&w, r);
        gather_memory(&w, r, i == 0 || r->process != r[-1].process);
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
    if (w->stops)
        reason(s, verdict, "the process was stopped and continued %" PRIu64 " time(s) in a run",
               w->stops);
    if (w->warm_faults)
        reason(s, verdict, "%" PRIu64 " major page faults in a warm run (data read from disk)",
               w->warm_faults);
}

/* Tenths of a per cent, so that no locale writes the decimal point. */
static unsigned tenths(double share) {
    return (unsigned)(share * 1000 + 0.5);
}

static void judge_changes(ib_summary *s, const ib_cell *cell) {
    char change[96];
    for (size_t p = 0; p < cell->n_processes; p++)
        for (size_t i = 0; ib_state_change(&cell->processes[p], i, change); i++)
            reason(s, "noisy", "the machine changed: %s", change);
}

static void judge_memory(ib_summary *s, const worst *w) {
    static const char verdict[] = "noisy";
    if (w->cold_faults)
        reason(s, verdict,
               "%" PRIu64
               " major page faults in a first or cold run, %u.%u %% of the weights in memory",
               w->cold_faults, tenths(w->resident) / 10, tenths(w->resident) % 10);
    if (w->swap_ins)
        reason(s, verdict, "%" PRIu64 " pages swapped in on this machine during a run",
               w->swap_ins);
}

static void judge_cpu(ib_summary *s, const worst *w) {
    static const char verdict[] = "noisy";
    if (w->switches * 100 > w->switches_of * IB_GATE_SWITCHES_PER_100)
        reason(s, verdict,
               "%" PRIu64 " involuntary context switches in %" PRIu64 " tokens (limit 1 per 100)",
               w->switches, w->switches_of);
    if (w->steal > IB_GATE_STEAL)
        reason(s, verdict, "%u.%u %% of the time stolen by other guests (limit 0.5 %%)",
               tenths(w->steal) / 10, tenths(w->steal) % 10);
    if (w->throttled)
        reason(s, verdict, "CPU quota throttled the process in %" PRIu64 " periods", w->throttled);
    if (w->pressure > IB_GATE_PRESSURE)
        reason(s, verdict, "tasks waited for a CPU %u.%u %% of the time (limit 5 %%)",
               tenths(w->pressure) / 10, tenths(w->pressure) % 10);
    if (w->core > IB_GATE_CORE_CLOCK)
        reason(s, verdict, "the core's clock moved by %u.%u %% in a run (limit 3 %%)",
               tenths(w->core) / 10, tenths(w->core) % 10);
    if (w->thermal)
        reason(s, verdict, "%" PRIu64 " thermal throttling events in a run", w->thermal);
    if (w->cpus_changed)
        reason(s, verdict, "the set of allowed CPUs changed in %" PRIu64 " run(s)",
               w->cpus_changed);
}

void ib_summary_judge(ib_summary *s, const ib_cell *cell) {
    const worst w = gather(cell);
    s->verdict = "valid";
    judge_work(s, &w);
    judge_changes(s, cell);
    judge_cpu(s, &w);
    judge_memory(s, &w);
    if (s->steady.runs == IB_STATS_NEVER_STEADY)
        reason(s, "noisy", "no steady state: the level of the runs keeps changing");
    if (s->steady.tokens == IB_STATS_NEVER_STEADY)
        reason(s, "noisy", "no steady state inside %zu of %zu runs", s->steady.n_never,
               s->steady.n_runs);
    if (!s->logits_equal)
        reason(s, "noisy", "logits differ between runs of the same prompt, ids do not");
    if (cell->clock_cost_ns > IB_GATE_CLOCK_NS ||
        (double)cell->clock_cost_ns > IB_GATE_CLOCK_OF_ITL * s->itl_p50_ms * 1e6)
        reason(s, "noisy", "reading the clock costs %" PRIu64 " ns", cell->clock_cost_ns);
}
