/* SPDX-License-Identifier: MIT
 * See watch.h. */
#include "bench/watch.h"

#include "bench/probe.h"
#include "bench/resident.h"
#include "record/state.h"

#include <string.h>
#include <time.h>

static const char *root_of(const ib_plan *plan) {
    return plan->sys_root ? plan->sys_root : "";
}

static int continued(const ib_plan *plan) {
    return plan->continued ? *plan->continued : 0;
}

void ib_watch_begin(ib_watch *w, const ib_plan *plan, const ib_checkpoint *weights) {
    *w = (ib_watch){.spin_ns = ib_state_spin_ns()};
    ib_bench_resident(weights, &w->mapped, &w->resident);
    w->continued = continued(plan);
    ib_process_counters_read(&w->before, root_of(plan));
}

static uint64_t grown(uint64_t before, uint64_t after) {
    return after > before ? after - before : 0;
}

void ib_watch_end(const ib_watch *w, const ib_plan *plan, const ib_streamer_cost *reader,
                  ib_run_record *r) {
    const ib_process_counters *a = &w->before;
    ib_process_counters b;
    ib_process_counters_read(&b, root_of(plan));
    r->major_faults = grown(a->major_faults + reader->major_faults, b.major_faults);
    r->minor_faults = grown(a->minor_faults, b.minor_faults);
    r->involuntary_switches =
        grown(a->involuntary_switches + reader->involuntary_switches, b.involuntary_switches);
    r->voluntary_switches =
        grown(a->voluntary_switches + reader->voluntary_switches, b.voluntary_switches);
    r->window_ns = grown(a->now_ns, b.now_ns);
    r->steal_ns = grown(a->steal_ns, b.steal_ns);
    r->throttled_periods = grown(a->throttled_periods, b.throttled_periods);
    r->pressure_cpu_ns = grown(a->pressure_cpu_ns, b.pressure_cpu_ns);
    r->suspended_ns = grown(b.now_ns - a->now_ns, b.boot_ns - a->boot_ns);
    r->swap_ins = grown(a->swap_ins, b.swap_ins);
    r->thermal_events = grown(a->thermal_events, b.thermal_events);
    r->cpu_ns = grown(a->cpu_ns, b.cpu_ns);
    r->foreign_cpu_ns = grown(r->cpu_ns, grown(a->busy_ns, b.busy_ns));
    r->cpus_changed = a->cpus != b.cpus;
    r->stops = (uint64_t)(continued(plan) - w->continued);
    r->mapped_bytes = w->mapped;
    r->resident_bytes = w->resident;
    r->spin_before_ns = w->spin_ns;
    r->spin_after_ns = ib_state_spin_ns();
}

/* --- processes --- */

static ib_status read_state(const ib_plan *plan, ib_engine *e, json_t **out, ib_probe_record *probe,
                            ib_error *err) {
    double ping = 0, gbps = 0;
    if (plan->roofline)
        IB_TRY(ib_bench_probe_state(e, &ping, &gbps, err));
    IB_TRY(ib_state_read(out, root_of(plan), err));
    if (probe->ping_before_ns > 0)
        probe->ping_after_ns = ping;
    else
        probe->ping_before_ns = ping;
    return ib_state_add_probe(*out, ping, gbps, err);
}

ib_status ib_watch_process(ib_cell *cell, const ib_plan *plan, ib_engine *e, ib_error *err) {
    ib_process_record *p;
    char utc[24] = "";
    struct tm tm;
    const time_t now = time(NULL);
    IB_TRY(ib_cell_add_process(cell, &p, err));
    p->env_padding = plan->env_padding;
    p->heap_offset = plan->heap_offset;
    cell->probe = (ib_probe_record){0};
    if (ib_engine_is_virtual(e))
        return IB_OK;
    if (gmtime_r(&now, &tm))
        (void)strftime(utc, sizeof utc, "%Y-%m-%dT%H:%M:%SZ", &tm);
    p->started_utc = ib_strdup(utc);
    if (!p->started_utc)
        return ib_fail_memory(err, sizeof utc, "the record");
    return read_state(plan, e, &p->before, &cell->probe, err);
}

ib_status ib_watch_process_end(ib_cell *cell, const ib_plan *plan, ib_engine *e, ib_error *err) {
    ib_process_record *p = &cell->processes[cell->n_processes - 1];
    if (ib_engine_is_virtual(e))
        return IB_OK;
    return read_state(plan, e, &p->after, &cell->probe, err);
}
