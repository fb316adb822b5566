/* SPDX-License-Identifier: MIT
 * Saved records and journals, and the command line. */
#include "bench/journal.h"
#include "cli/options.h"
#include "fuzz.h"
#include "report/report.h"

#include <stdlib.h>
#include <string.h>

/* Whether both give the same JSON: nothing is lost by writing and reading back. */
static ib_status round_trip(const ib_record *r, ib_error *err) {
    json_t *first = NULL, *second = NULL;
    ib_record back = {0};
    ib_status st = ib_record_to_json(r, &first, err);
    if (st == IB_OK)
        st = ib_record_from_json(&back, first, "a copy", err);
    if (st == IB_OK)
        st = ib_record_to_json(&back, &second, err);
    if (st == IB_OK)
        fuzz_must(json_equal(first, second));
    else
        fuzz_must(st == IB_E_RESOURCE);
    ib_record_clear(&back);
    json_decref(first);
    json_decref(second);
    return st;
}

static ib_status every_format(const ib_record *r, ib_error *err) {
    ib_status st = IB_OK;
    for (size_t i = 0; i < ib_report_n_formats() && st != IB_E_RESOURCE; i++) {
        const ib_report_options o = {.print_median = true, .running_median = true};
        ib_buf out;
        ib_buf_init(&out);
        ib_error_clear(err);
        st = ib_report_format_at(i)->write(r, &o, &out, err);
        ib_buf_clear(&out);
    }
    return st;
}

ib_status fuzz_record(const uint8_t *data, size_t n, ib_error *err) {
    json_t *json = NULL;
    ib_record r = {0};
    ib_status st = ib_json_parse(&json, (ib_str){(const char *)data, n}, "record", err);
    if (st == IB_OK)
        st = ib_record_from_json(&r, json, "record", err);
    if (st == IB_OK)
        st = round_trip(&r, err);
    if (st == IB_OK)
        st = every_format(&r, err);
    ib_record_clear(&r);
    json_decref(json);
    return st;
}

ib_status fuzz_journal(const uint8_t *data, size_t n, ib_error *err) {
    enum { N_CELLS = 3 };
    ib_journal *j = NULL;
    ib_record head = {0};
    ib_cell cells[N_CELLS];
    bool done[N_CELLS] = {false};
    memset(cells, 0, sizeof cells);
    const char *path = fuzz_file("x.journal", data, n);
    ib_status st = ib_journal_resume(&j, path, "identity", &head, cells, done, N_CELLS, NULL, err);
    fuzz_must((st == IB_OK) == (j != NULL));
    if (st == IB_OK) {
        size_t n_runs = 0;
        for (size_t i = 0; i < N_CELLS; i++)
            n_runs += cells[i].n_runs;
        fuzz_must(n_runs == ib_journal_n_runs(j));
    }
    ib_journal_close(j, false);
    ib_record_clear(&head);
    for (size_t i = 0; i < N_CELLS; i++)
        ib_cell_clear(&cells[i]);
    return st;
}

/* Arguments between zero bytes. */
ib_status fuzz_options(const uint8_t *data, size_t n, ib_error *err) {
    enum { MAX = 64 };
    static char program[] = "inferbench";
    char *argv[MAX + 2] = {program};
    int argc = 1;
    ib_options o = {0};
    fuzz_pause();
    char *text = malloc(n + 1);
    fuzz_must(text);
    memcpy(text, data, n);
    text[n] = '\0';
    for (size_t at = 0; at < n && argc <= MAX; at += strlen(text + at) + 1)
        argv[argc++] = text + at;
    fuzz_resume();
    ib_status st = ib_options_parse(&o, argc, argv, err);
    (void)ib_options_want_json_errors(argc, argv);
    if (st == IB_OK && o.command) {
        const size_t n_cells = ib_options_n_cells(&o);
        fuzz_must(n_cells >= 1 && n_cells <= 10000);
        for (size_t i = 0; i < n_cells && i < 20; i++) {
            ib_options cell;
            ib_error ignored = {0};
            if (ib_options_cell(&o, i, &cell, &ignored) == IB_E_RESOURCE) {
                *err = ignored;
                st = IB_E_RESOURCE;
                break;
            }
        }
    }
    ib_options_clear(&o);
    fuzz_pause();
    free(text);
    fuzz_resume();
    return st;
}
