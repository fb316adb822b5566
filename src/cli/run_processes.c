/* SPDX-License-Identifier: MIT
 * See run_processes.h. The child gets this process's own command line; what cell it is to run, and
 * where its record goes, stand in its environment (child.h). */
#include "cli/run_processes.h"

#include "base/clock.h"
#include "base/rng.h"
#include "bench/until.h"
#include "cli/compare_spawn.h"
#include "cli/record_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PADDING = 4096 };

typedef struct processes {
    ib_run_cell *r;
    size_t index;
    char *folder, *record_path, *stderr_path; /* owned */
    ib_rng rng;                               /* of the padding */
} processes;

static ib_status read_record(ib_record *out, const char *path, ib_error *err) {
    json_t *json = NULL;
    ib_status st = ib_json_load(&json, path, 0, err);
    if (st == IB_OK)
        st = ib_record_from_json(out, json, path, err);
    json_decref(json);
    return st;
}

static ib_status take(processes *p, ib_error *err) {
    ib_record record = {0};
    ib_status st = read_record(&record, p->record_path, err);
    if (st == IB_OK && (record.n_cells != 1 || !ib_run_cell_measured(&record.cells[0])))
        st = ib_fail(err, IB_E_INVALID, "no measured run in a process; fix: give -r of at least 1");
    if (st == IB_OK)
        st = ib_cell_join(p->r->cell, &record.cells[0], err);
    ib_record_clear(&record);
    return st;
}

static ib_status one_process(processes *p, ib_error *err) {
    char side[48];
    const uint64_t n = p->r->o.processes;
    (void)snprintf(side, sizeof side, "process %zu", p->r->cell->n_processes + 1);
    const ib_child child = {.program = "/proc/self/exe",
                            .argv = p->r->cli->argv,
                            .stderr_path = p->stderr_path,
                            .padding = (size_t)ib_rng_below(&p->rng, MOST_PADDING + 1),
                            .heap_offset =
                                (size_t)ib_rng_below(&p->rng, MOST_PADDING / 16 + 1) * 16,
                            .side = side,
                            .record = p->record_path,
                            .cell = p->index};
    (void)remove(p->record_path);
    IB_TRY(ib_compare_spawn(&child, err));
    IB_TRY(take(p, err));
    ib_log_debug(&p->r->cli->log, "%s of %llu: done", side, (unsigned long long)n);
    return IB_OK;
}

static ib_status all_processes(processes *p, const ib_process_hook *hook, ib_error *err) {
    const ib_options *o = &p->r->o;
    const ib_until until = {.n_planned = o->processes,
                            .half_width = o->half_width,
                            .max_time_ns = ib_cli_max_time_ns(o),
                            .start_ns = ib_now_ns(),
                            .by_process = true};
    bool more = false;
    IB_TRY(ib_until_more(&until, p->r->cell, &more, err));
    more = more || p->r->cell->n_prompt_ids == 0; /* all from a journal: what was it? */
    while (more) {
        IB_TRY(one_process(p, err));
        IB_TRY(hook->finished(hook->user, p->r->cell, err));
        IB_TRY(ib_signals_check(err));
        IB_TRY(ib_until_more(&until, p->r->cell, &more, err));
    }
    return IB_OK;
}

ib_status ib_run_processes(ib_run_cell *r, size_t index, const ib_process_hook *hook,
                           ib_error *err) {
    processes p = {.r = r, .index = index};
    ib_rng_init(&p.rng, ib_now_ns());
    IB_TRY(ib_compare_folder(&p.folder, err));
    p.record_path = ib_path_join(p.folder, "record.json");
    p.stderr_path = ib_path_join(p.folder, "stderr");
    ib_status st = p.record_path && p.stderr_path ? all_processes(&p, hook, err)
                                                  : ib_fail_memory(err, strlen(p.folder), "a name");
    ib_compare_folder_remove(p.folder);
    free(p.record_path);
    free(p.stderr_path);
    return st;
}

/* --- the other side --- */

static ib_status write_record(const ib_record *record, const char *path, ib_error *err) {
    json_t *json = NULL;
    ib_buf text;
    ib_buf_init(&text);
    ib_status st = ib_record_to_json(record, &json, err);
    if (st == IB_OK)
        st = ib_json_dump(json, JSON_COMPACT, &text, err);
    if (st == IB_OK)
        st = ib_file_write(path, text.ptr, text.len, err);
    json_decref(json);
    ib_buf_clear(&text);
    return st;
}

ib_status ib_run_as_child(ib_cli *cli, ib_error *err) {
    ib_run_input input;
    ib_run_cell r = {0};
    ib_record record = {0};
    ib_cell *cell = NULL;
    if (cli->child.cell >= ib_options_n_cells(&cli->options))
        return ib_fail(err, IB_E_USAGE, "no cell of this number in the environment: %zu",
                       cli->child.cell);
    ib_signals_defer();
    ib_status st = ib_run_input_read(&input, &cli->options, err);
    if (st == IB_OK)
        st = ib_cli_record_start(cli, &record, err);
    if (st == IB_OK)
        st = ib_record_add_cell(&record, &cell, err);
    if (st == IB_OK)
        st = ib_run_cell_init(&r, cli, &input, cli->child.cell, cell, false, err);
    r.plan.half_width = 0; /* the parent decides how many processes there are */
    r.plan.max_time_ns = 0;
    if (st == IB_OK)
        st = ib_run_cell_go(&r, err);
    if (st == IB_OK)
        st = write_record(&record, cli->child.record, err);
    ib_run_cell_clear(&r);
    ib_record_clear(&record);
    ib_run_input_clear(&input);
    return st;
}
