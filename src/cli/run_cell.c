/* SPDX-License-Identifier: MIT
 * See run_cell.h. */
#include "cli/run_cell.h"

#include "cli/record_out.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* --- live lines --- */

ib_status ib_run_cell_header(ib_run_cell *r, const char *device, ib_error *err) {
    const ib_resolved *ran = &r->cell->resolved;
    ib_buf text;
    if (r->header_out)
        return IB_OK;
    r->header_out = true;
    ib_buf_init(&text);
    device = device ? device : ran->device ? ran->device : r->o.device;
    ib_status st =
        ib_report_text_header(device, r->o.model_id, ran->attn ? ran->attn : r->o.attn, &text, err);
    if (st == IB_OK)
        st = ib_output_write(&r->cli->out, text.ptr, text.len, err);
    if (st == IB_OK)
        st = ib_output_flush(&r->cli->out, err);
    ib_buf_clear(&text);
    return st;
}

/* A reader that went away ends a run that nobody else would see. */
static void settle_live(ib_run_cell *r, ib_status st) {
    r->live_status = st;
    if (st != IB_OK || (r->cli->out.gone && !r->cli->options.output))
        ib_signals_raise(SIGTERM);
}

/* The device is open, weights come next. */
static void on_device(void *user, const char *kind) {
    ib_run_cell *r = user;
    settle_live(r, ib_run_cell_header(r, kind, &r->live_error));
}

/* On the streamer's thread. */
static void on_token(void *user, uint64_t index, uint64_t gap_ns) {
    ib_run_cell *r = user;
    ib_error *err = &r->live_error;
    ib_buf line;
    if (r->live_status != IB_OK)
        return;
    ib_buf_init(&line);
    ib_status st = ib_run_cell_header(r, NULL, err);
    if (st == IB_OK)
        st = ib_report_text_latency(gap_ns, &line, err);
    if (r->gaps && index < r->o.max_new_tokens) {
        r->gaps[index] = gap_ns;
        if (st == IB_OK)
            st = ib_report_text_running_median(r->gaps, (size_t)index + 1, &line, err);
    }
    if (st == IB_OK)
        st = ib_output_write(&r->cli->out, line.ptr, line.len, err);
    if (st == IB_OK)
        st = ib_output_flush(&r->cli->out, err);
    ib_buf_clear(&line);
    settle_live(r, st);
}

/* --- the cell --- */

/* Runs that a journal gave back count. */
static void plan_rest(ib_plan *plan, const ib_cell *cell) {
    uint64_t held = 0;
    if (plan->half_width > 0) /* nobody knows how many are missing */
        return;
    for (size_t i = 0; i < cell->n_runs; i++)
        held += !cell->runs[i].warmup;
    plan->n_repetitions = held < plan->n_repetitions ? plan->n_repetitions - held : 0;
    if (plan->n_repetitions == 0)
        plan->n_warmup = 0;
}

ib_status ib_run_cell_init(ib_run_cell *out, ib_cli *cli, const ib_run_input *input, size_t index,
                           ib_cell *cell, bool live, ib_error *err) {
    *out = (ib_run_cell){.cli = cli, .cell = cell};
    if (ib_options_n_cells(&cli->options) == 1)
        out->o = cli->options;
    else
        IB_TRY(ib_options_cell(&cli->options, index, &out->o, err));
    const ib_options *o = &out->o;
    ib_run_input_plan(input, cli, o, &out->plan);
    plan_rest(&out->plan, cell);
    out->shows_text = ib_cli_shows_text(o) && !o->quiet;
    out->live = live && out->shows_text;
    IB_TRY(ib_cli_asked(o, &cell->asked, err));
    if (!out->live)
        return IB_OK;
    out->sink = (ib_stream_sink){.token = on_token, .user = out};
    out->plan.sink = &out->sink;
    out->plan.engine.on_device = on_device;
    out->plan.engine.on_device_user = out;
    out->gaps = o->print_median ? calloc((size_t)o->max_new_tokens, sizeof *out->gaps) : NULL;
    if (o->print_median && !out->gaps)
        return ib_fail_memory(err, (size_t)o->max_new_tokens, "the running median");
    return IB_OK;
}

void ib_run_cell_clear(ib_run_cell *r) {
    ib_generation_clear(&r->plan.generation);
    free(r->gaps);
    r->gaps = NULL;
}

ib_status ib_run_cell_go(ib_run_cell *r, ib_error *err) {
    ib_status st = ib_bench_run_cell(r->cell, &r->plan, err);
    const bool stopped = st == IB_E_INTERRUPTED || st == IB_E_TERMINATED;
    if (r->live_status != IB_OK && (st == IB_OK || stopped)) {
        *err = r->live_error;
        return r->live_status;
    }
    return st;
}

bool ib_run_cell_measured(const ib_cell *cell) {
    for (size_t i = 0; i < cell->n_runs; i++)
        if (!cell->runs[i].warmup && cell->runs[i].n_tokens)
            return true;
    return false;
}

ib_status ib_run_cell_label(const ib_options *o, ib_buf *out, ib_error *err) {
    char name[IB_QUOTED];
    IB_TRY(ib_buf_addf(out, err, "%s, %s, %s", ib_quotez(o->model_id, name), o->device, o->attn));
    if (o->quant && strcmp(o->quant, "none") != 0)
        IB_TRY(ib_buf_addf(out, err, ", %s", o->quant));
    if (strcmp(o->dtype, "auto") != 0)
        IB_TRY(ib_buf_addf(out, err, ", %s", o->dtype));
    if (o->threads)
        IB_TRY(ib_buf_addf(out, err, ", -t %llu", (unsigned long long)o->threads));
    if (o->batch > 1)
        IB_TRY(ib_buf_addf(out, err, ", -b %llu", (unsigned long long)o->batch));
    if (o->depth)
        IB_TRY(ib_buf_addf(out, err, ", -d %llu", (unsigned long long)o->depth));
    if (o->input_len)
        IB_TRY(ib_buf_addf(out, err, ", -p %llu", (unsigned long long)o->input_len));
    return ib_buf_addf(out, err, ", -n %llu", (unsigned long long)o->max_new_tokens);
}
