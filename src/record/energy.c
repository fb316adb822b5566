/* SPDX-License-Identifier: MIT
 * See energy.h. */
#include "record/energy.h"

#include "stats/order.h"
#include "stats/quantile.h"

#include <math.h>
#include <stdlib.h>

static double net(uint64_t uj, uint64_t ns, double idle_w) {
    return (double)uj / 1e6 - idle_w * (double)ns / 1e9;
}

static void by_phase(ib_energy_summary *out, const ib_cell *cell, const ib_run_record *r) {
    const ib_energy_record *e = &cell->energy;
    if (!e->prefill_ns)
        return;
    out->prefill_j = net(e->prefill_uj, e->prefill_ns, e->idle_w);
    out->decode_j = out->run_j - out->prefill_j;
    if (cell->n_prompt_ids)
        out->per_prompt_token_j = out->prefill_j / ((double)cell->n_prompt_ids * (double)r->n_seqs);
    if (r->n_tokens > 1)
        out->per_output_token_j = out->decode_j / ((double)(r->n_tokens - 1) * (double)r->n_seqs);
}

void ib_energy_summarise(ib_energy_summary *out, const ib_cell *cell) {
    const ib_run_record *last = NULL;
    double sum_j = 0, sum_s = 0;
    size_t n = 0;
    *out = (ib_energy_summary){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    double *j = cell->energy.source ? calloc(cell->n_runs + 1, sizeof *j) : NULL;
    for (size_t i = 0; j && i < cell->n_runs; i++) {
        const ib_run_record *r = &cell->runs[i];
        if (r->warmup || r->cancelled || !r->energy_ns)
            continue;
        j[n++] = net(r->energy_uj, r->energy_ns, cell->energy.idle_w);
        sum_j += (double)r->energy_uj / 1e6;
        sum_s += (double)r->energy_ns / 1e9;
        last = r;
    }
    if (last) {
        out->idle_w = cell->energy.idle_w;
        out->run_w = sum_j / sum_s;
        out->run_j = ib_stats_median_of(j, n);
        by_phase(out, cell, last);
    }
    free(j);
}
