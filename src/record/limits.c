/* SPDX-License-Identifier: MIT
 * Which limit of the machine a phase runs into. Each limit that was measured gives the time that it
 * alone would take; its share of the phase's time says how much it explains. The largest share
 * binds where it is at least a half; else no single limit does, and the rest is what lies between:
 * waiting, overheads, work that overlaps badly. Shares overlap, so they need not add up. */
#include "record/summary.h"

#include <math.h>
#include <string.h>

#define BINDS_FROM 0.5

bool ib_cell_is_synchronous(const ib_cell *cell) {
    return cell->resolved.device && strcmp(cell->resolved.device, "cpu") == 0;
}

static void judge(ib_limit *l) {
    const struct {
        const char *name;
        double share;
    } all[] = {{"memory", l->memory},
               {"compute", l->compute},
               {"launch or host", l->host},
               {"synchronisation", l->sync}};
    double most = -1;
    l->binds = NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!(all[i].share > most))
            continue;
        most = all[i].share;
        l->binds = most >= BINDS_FROM ? all[i].name : "none alone";
    }
    /* without the roofs a small share of what is left says nothing */
    if (most < BINDS_FROM && !(isfinite(l->memory) && isfinite(l->compute)))
        l->binds = NULL;
}

/* What the dispatches of a step cost when there is nothing to do in them. */
static double sync_share(const ib_profile_record *p, double tpot_ms) {
    if (!(p->dispatch_ns > 0) || !p->n_steps || !(tpot_ms > 0))
        return NAN;
    return (double)p->n_dispatches / (double)p->n_steps * p->dispatch_ns / (tpot_ms * 1e6);
}

void ib_summary_limits(ib_summary *s, const ib_cell *cell) {
    const ib_probe_record *p = &cell->probe;
    const ib_model_record *m = &cell->model;
    const double weights = (double)(m->step_weights + m->step_scales + m->step_head);
    const bool roof = p->read_gbps > 0 && weights > 0;
    ib_limit *d = &s->decode_limit, *f = &s->prefill_limit;
    const double host = ib_cell_is_synchronous(cell) ? s->pick_call_ms : s->decode_call_ms;
    d->memory = s->mbu;
    d->compute = p->flops > 0 && m->step_flops > 0 && s->tpot_ms > 0
                     ? m->step_flops / p->flops / (s->tpot_ms / 1e3)
                     : NAN;
    d->host = s->tpot_ms > 0 ? host / s->tpot_ms : NAN;
    d->sync = sync_share(&cell->profile, s->tpot_ms);
    f->memory = roof && s->prefill_ms > 0 ? weights / p->read_gbps / (s->prefill_ms * 1e6) : NAN;
    f->compute = s->mfu;
    f->host = f->sync = NAN;
    judge(d);
    judge(f);
}
