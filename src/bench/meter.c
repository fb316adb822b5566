/* SPDX-License-Identifier: MIT
 * See meter.h. */
#include "bench/meter.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IDLE_NS = 300000000 };
static const char nvml_library[] = "libnvidia-ml.so.1";

static ib_status set(char **at, const char *text, ib_error *err) {
    free(*at);
    *at = text ? ib_strdup(text) : NULL;
    return *at || !text ? IB_OK : ib_fail_memory(err, strlen(text), "the record");
}

bool ib_meter_counts(const ib_meter *m) {
    return m->energy && ib_energy_source(m->energy);
}

void ib_meter_begin(ib_meter *m) {
    m->ns = 0;
    if (ib_meter_counts(m) && ib_energy_read(m->energy, &m->uj))
        m->ns = ib_now_ns();
}

void ib_meter_end(ib_meter *m, uint64_t *uj, uint64_t *ns) {
    uint64_t now_uj = 0;
    if (!m->ns || !ib_energy_read(m->energy, &now_uj))
        return;
    *ns = ib_now_ns() - m->ns;
    *uj = now_uj - m->uj;
}

/* The management library is opened for a GPU's own runs only. */
static const char *gpu_library(const ib_plan *plan, const ib_cell *cell) {
    const char *device = cell->resolved.device;
    if (plan->nvml)
        return plan->nvml;
    return device && strcmp(device, "cuda") == 0 ? nvml_library : NULL;
}

ib_status ib_meter_open(ib_meter *m, const ib_plan *plan, ib_cell *cell, ib_error *err) {
    const struct timespec idle = {0, IDLE_NS};
    uint64_t uj = 0, ns = 0;
    IB_TRY(ib_energy_open(&m->energy, plan->sys_root ? plan->sys_root : "", gpu_library(plan, cell),
                          err));
    IB_TRY(set(&cell->energy.source, ib_energy_source(m->energy), err));
    IB_TRY(set(&cell->energy.why_not, ib_energy_why_not(m->energy), err));
    if (!ib_meter_counts(m))
        return IB_OK;
    ib_meter_begin(m);
    (void)nanosleep(&idle, NULL);
    ib_meter_end(m, &uj, &ns);
    cell->energy.idle_w = ns ? (double)uj * 1e3 / (double)ns : 0;
    return IB_OK;
}

void ib_meter_close(ib_meter *m) {
    ib_energy_close(m->energy);
    m->energy = NULL;
}
