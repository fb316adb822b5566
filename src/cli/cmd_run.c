/* SPDX-License-Identifier: MIT
 * run: options -> cells -> record -> report. With --output each finished run goes to FILE.journal
 * before the next begins; FILE appears whole at the end, and the journal goes. A cell of a grid
 * that fails is reported, and the rest still runs. */
#include "bench/journal.h"
#include "cli/dry_run.h"
#include "cli/progress.h"
#include "cli/record_out.h"
#include "cli/run_processes.h"

#include <stdlib.h>
#include <string.h>

typedef struct grid {
    ib_cli *cli;
    ib_run_input input; /* owned */
    ib_record record;   /* owned; all cells of the grid, until those without a result are dropped */
    bool *done;         /* owned [n_cells] */
    size_t n_cells;
    ib_journal *journal; /* owned; NULL without --output */
    bool keep_journal;   /* what it holds is nowhere else */
    bool half_way;       /* a cell failed after runs that stand in the journal only */
    ib_progress progress;
    size_t at; /* the cell that runs */
    double work_of_run, work_of_process;
    bool opened; /* it stands in the journal */
    ib_status first_failure;
} grid;

static bool is_stop(ib_status st) {
    return st == IB_E_INTERRUPTED || st == IB_E_TERMINATED;
}

/* --- journal --- */

static ib_status finished_run(void *user, const ib_cell *cell, const ib_run_record *run,
                              ib_error *err) {
    grid *g = user;
    if (g->journal && !g->opened)
        IB_TRY(ib_journal_opened(g->journal, g->at, cell, err));
    g->opened = true;
    if (g->journal)
        IB_TRY(ib_journal_run(g->journal, g->at, run, err));
    ib_progress_add(&g->progress, g->work_of_run);
    return IB_OK;
}

/* One line for the process and its runs: it is there whole or not at all. */
static ib_status finished_process(void *user, const ib_cell *cell, ib_error *err) {
    grid *g = user;
    if (g->journal)
        IB_TRY(ib_journal_process(g->journal, g->at, cell, err));
    ib_progress_add(&g->progress, g->work_of_process);
    return IB_OK;
}

static ib_status run_one(grid *g, ib_run_cell *r, ib_error *err) {
    const ib_process_hook hook = {finished_process, g};
    return r->o.processes > 1 ? ib_run_processes(r, g->at, &hook, err) : ib_run_cell_go(r, err);
}

static ib_status resume(grid *g, const char *path, const char *identity, ib_error *err) {
    ib_record head = {0};
    size_t n_done = 0;
    ib_status read = ib_journal_resume(&g->journal, path, identity, &head, g->record.cells, g->done,
                                       g->n_cells, &g->cli->log, err);
    if (read != IB_OK) {
        ib_record_clear(&head);
        return read;
    }
    g->keep_journal = true;
    head.cells = g->record.cells;
    head.n_cells = g->record.n_cells;
    g->record.cells = NULL;
    g->record.n_cells = 0;
    ib_record_clear(&g->record);
    g->record = head; /* when and where it began */
    for (size_t i = 0; i < g->n_cells; i++)
        n_done += g->done[i];
    ib_log_info(&g->cli->log, "resumed: %zu of %zu cells are finished, %zu runs are kept", n_done,
                g->n_cells, ib_journal_n_runs(g->journal));
    return IB_OK;
}

static ib_status begin_journal(grid *g, const char *path, const char *identity, ib_error *err) {
    const ib_options *o = &g->cli->options;
    char shown[IB_QUOTED];
    const bool there = ib_path_exists(path);
    if (there && !o->resume && !o->force)
        return ib_fail(err, IB_E_OUTPUT,
                       "journal of an interrupted run in '%s': it holds what was measured; fix: "
                       "add --resume to go on, or --force to begin again",
                       ib_quotez(path, shown));
    if (o->resume && there)
        return resume(g, path, identity, err);
    if (o->resume)
        ib_log_info(&g->cli->log, "nothing to resume: no '%s'", ib_quotez(path, shown));
    IB_TRY(ib_output_probe(path, true, NULL, err));
    return ib_journal_create(&g->journal, path, identity, &g->record, g->n_cells, err);
}

static ib_status open_journal(grid *g, ib_error *err) {
    const ib_options *o = &g->cli->options;
    char identity[65];
    if (!o->output)
        return IB_OK;
    IB_TRY(ib_run_input_identity(&g->input, g->cli, identity, err));
    char *path = ib_journal_path(o->output);
    ib_status st = path ? begin_journal(g, path, identity, err)
                        : ib_fail_memory(err, strlen(o->output), "a path");
    free(path);
    return st;
}

/* --- before the cells --- */

/* A run that was interrupted by a signal has left a FILE too. */
static bool may_replace(const ib_options *o) {
    char *path = o->resume ? ib_journal_path(o->output) : NULL;
    const bool there = path && ib_path_exists(path);
    free(path);
    return o->force || there;
}

static ib_status check_outputs(grid *g, ib_error *err) {
    const ib_options *o = &g->cli->options;
    const char *inputs[] = {o->model_id, o->prompt_file ? o->prompt_file : "",
                            o->messages ? o->messages : "", NULL};
    if (!o->output || ib_cli_shows_text(o) || o->dry_run)
        IB_TRY(ib_output_check(&g->cli->out, err));
    if (o->output && !o->dry_run)
        IB_TRY(ib_output_probe(o->output, may_replace(o), inputs, err));
    return IB_OK;
}

static double work_of_run(const ib_options *o) {
    return ib_plan_work(1, 0, o->input_len, o->max_new_tokens);
}

static double work_of_cell(const ib_options *o) {
    const double processes = o->processes > 1 ? (double)o->processes : 1;
    return (double)(o->warmup + o->repetitions) * work_of_run(o) * processes;
}

static ib_status start_progress(grid *g, ib_error *err) {
    const ib_options *o = &g->cli->options;
    ib_options cell = *o;
    double work = 0;
    for (size_t i = 0; i < g->n_cells; i++) {
        if (g->n_cells > 1)
            IB_TRY(ib_options_cell(o, i, &cell, err));
        work += g->done[i] ? 0 : work_of_cell(&cell);
    }
    ib_progress_start(&g->progress, &g->cli->log, g->n_cells > 1 && !o->quiet, work);
    return IB_OK;
}

static ib_status prepare(grid *g, ib_error *err) {
    ib_cell *cell;
    g->done = calloc(g->n_cells, sizeof *g->done);
    if (!g->done)
        return ib_fail_memory(err, g->n_cells, "the grid");
    IB_TRY(ib_cli_record_start(g->cli, &g->record, err));
    for (size_t i = 0; i < g->n_cells; i++)
        IB_TRY(ib_record_add_cell(&g->record, &cell, err));
    IB_TRY(open_journal(g, err));
    return start_progress(g, err);
}

/* --- the cells of a grid --- */

/* A block of text of its own: which cell, the header, the summary. */
static ib_status print_cell(grid *g, ib_run_cell *r, bool from_journal, ib_error *err) {
    ib_record one = g->record; /* borrows everything */
    ib_buf text;
    if (!ib_cli_shows_text(&r->o))
        return IB_OK;
    ib_progress_wipe(&g->progress);
    one.cells = r->cell;
    one.n_cells = 1;
    ib_buf_init(&text);
    ib_status st =
        ib_buf_addf(&text, err, "%sCell %zu of %zu: ", g->at ? "\n" : "", g->at + 1, g->n_cells);
    if (st == IB_OK)
        st = ib_run_cell_label(&r->o, &text, err);
    if (st == IB_OK)
        st = ib_buf_adds(&text, from_journal ? " (from the journal)\n" : "\n", err);
    if (st == IB_OK)
        st = ib_output_write(&g->cli->out, text.ptr, text.len, err);
    ib_buf_clear(&text);
    if (st == IB_OK && !r->o.quiet)
        st = ib_run_cell_header(r, NULL, err);
    return st == IB_OK ? ib_cli_print(g->cli, &one, true, err) : st;
}

static void report_failure(grid *g, ib_status st, ib_error *problem) {
    ib_progress_wipe(&g->progress);
    (void)ib_context(problem, st, "cell %zu of %zu", g->at + 1, g->n_cells);
    ib_messages_print_error(problem, g->cli->json_errors);
    if (g->first_failure == IB_OK)
        g->first_failure = st;
    if (g->record.cells[g->at].n_runs)
        g->half_way = true;
    ib_cell_clear(&g->record.cells[g->at]);
}

static ib_status run_open_cell(grid *g, ib_run_cell *r, ib_error *err) {
    ib_buf label;
    ib_error problem = {0};
    ib_buf_init(&label);
    IB_TRY(ib_run_cell_label(&r->o, &label, err));
    ib_progress_cell(&g->progress, g->at, g->n_cells, label.ptr);
    ib_buf_clear(&label);
    const double before = g->progress.work_left, work = work_of_cell(&r->o);
    r->plan.finished_run = finished_run;
    r->plan.finished_user = g;
    r->plan.engine.log = &g->cli->log;
    ib_status st = run_one(g, r, &problem);
    const double did = before - g->progress.work_left;
    ib_progress_skip(&g->progress, work > did ? work - did : 0);
    if (is_stop(st) || st == IB_E_OUTPUT) { /* no journal, no measurement */
        *err = problem;
        return st;
    }
    if (st != IB_OK) {
        report_failure(g, st, &problem);
        return IB_OK;
    }
    g->done[g->at] = true;
    if (g->journal)
        IB_TRY(ib_journal_done(g->journal, g->at, r->cell, err));
    return print_cell(g, r, false, err);
}

static ib_status run_cell(grid *g, ib_error *err) {
    ib_run_cell r;
    ib_cell *cell = &g->record.cells[g->at];
    ib_cell asked_elsewhere = {0}; /* a cell of the journal knows what was asked */
    const bool had = g->done[g->at];
    g->opened = false;
    ib_status st =
        ib_run_cell_init(&r, g->cli, &g->input, g->at, had ? &asked_elsewhere : cell, false, err);
    r.cell = cell;
    g->work_of_run = work_of_run(&r.o);
    g->work_of_process = (double)(r.o.warmup + r.o.repetitions) * g->work_of_run;
    if (st == IB_OK)
        st = had ? print_cell(g, &r, true, err) : run_open_cell(g, &r, err);
    ib_cell_clear(&asked_elsewhere);
    ib_run_cell_clear(&r);
    return st;
}

/* Leaves the cells that have a result, in their order. */
static void drop_empty_cells(grid *g) {
    ib_record *r = &g->record;
    size_t n = 0;
    for (size_t i = 0; i < r->n_cells; i++) {
        if (!ib_run_cell_measured(&r->cells[i])) {
            ib_cell_clear(&r->cells[i]);
        } else {
            ib_cell moved = r->cells[i];
            r->cells[i] = (ib_cell){0};
            r->cells[n++] = moved;
        }
    }
    r->n_cells = n;
}

static ib_status run_grid(grid *g, ib_error *err) {
    ib_cli *cli = g->cli;
    ib_error late = {0};
    ib_status st = IB_OK;
    for (g->at = 0; g->at < g->n_cells && st == IB_OK; g->at++) {
        st = ib_signals_check(err);
        if (st == IB_OK)
            st = run_cell(g, err);
        if (cli->out.gone && !cli->options.output)
            return IB_OK; /* the reader had enough */
    }
    g->keep_journal = g->half_way || st != IB_OK;
    ib_progress_wipe(&g->progress);
    drop_empty_cells(g);
    if ((st != IB_OK && !is_stop(st)) || !g->record.n_cells)
        return st;
    ib_status reported = ib_cli_write_file(cli, &g->record, st == IB_OK ? err : &late);
    if (reported == IB_OK && !ib_cli_shows_text(&cli->options))
        reported = ib_cli_print(cli, &g->record, true, st == IB_OK ? err : &late);
    if (st != IB_OK || reported != IB_OK) {
        g->keep_journal = true;
        return st != IB_OK ? st : reported;
    }
    return g->first_failure == IB_OK ? ib_cli_verdict(&cli->options, &g->record, err) : IB_OK;
}

/* --- one cell alone --- */

static ib_status report_single(grid *g, ib_run_cell *r, ib_status st, ib_error *err) {
    ib_error late = {0};
    const bool stopped = is_stop(st);
    if (g->cli->out.gone && !g->cli->options.output && stopped)
        return IB_OK; /* the reader had enough */
    if ((st != IB_OK && !stopped) || !ib_run_cell_measured(r->cell))
        return st;
    if (r->live)
        IB_TRY(ib_run_cell_header(r, NULL, err));
    ib_status reported = ib_cli_report(g->cli, &g->record, r->live, stopped ? &late : err);
    if (reported != IB_OK)
        g->keep_journal = true;
    if (st == IB_OK)
        st = reported;
    return st == IB_OK ? ib_cli_verdict(&g->cli->options, &g->record, err) : st;
}

static ib_status run_single(grid *g, ib_error *err) {
    ib_run_cell r;
    ib_cell *cell = &g->record.cells[0];
    if (g->done[0]) { /* all that was missing is FILE */
        IB_TRY(ib_cli_report(g->cli, &g->record, false, err));
        g->keep_journal = false;
        return ib_cli_verdict(&g->cli->options, &g->record, err);
    }
    const bool live = cell->n_runs == 0 && g->cli->options.processes <= 1;
    ib_status st = ib_run_cell_init(&r, g->cli, &g->input, 0, cell, live, err);
    r.plan.finished_run = g->journal ? finished_run : NULL;
    r.plan.finished_user = g;
    if (st == IB_OK)
        st = run_one(g, &r, err);
    if (st == IB_OK && g->journal)
        st = ib_journal_done(g->journal, 0, cell, err);
    g->keep_journal = st != IB_OK;
    st = report_single(g, &r, st, err);
    ib_run_cell_clear(&r);
    return st;
}

/* --- run --- */

static ib_status run(grid *g, ib_error *err) {
    const ib_options *o = &g->cli->options;
    if (o->output)
        ib_signals_defer(); /* from here on there are files to leave whole or remove */
    IB_TRY(check_outputs(g, err));
    IB_TRY(ib_run_input_read(&g->input, o, err));
    if (o->dry_run)
        return ib_cli_dry_run(g->cli, &g->input, err);
    IB_TRY(prepare(g, err));
    ib_signals_defer();
    IB_TRY(ib_signals_check(err));
    return g->n_cells == 1 ? run_single(g, err) : run_grid(g, err);
}

ib_status ib_cmd_run(ib_cli *cli, ib_error *err) {
    if (cli->child.record)
        return ib_run_as_child(cli, err);
    grid g = {.cli = cli, .n_cells = ib_options_n_cells(&cli->options)};
    const ib_log log = cli->log;
    ib_status st = run(&g, err);
    if (st == IB_OK && g.first_failure != IB_OK) {
        st = g.first_failure;
        cli->reported = true; /* cell by cell */
    }
    ib_progress_wipe(&g.progress);
    cli->log = log;
    ib_journal_close(g.journal, !(g.keep_journal && g.journal && ib_journal_n_runs(g.journal) > 0));
    ib_record_clear(&g.record);
    ib_run_input_clear(&g.input);
    free(g.done);
    return st;
}
