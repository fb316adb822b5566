/* SPDX-License-Identifier: MIT
 * Lists and ranges, the order of the cells, and the journal: what is read back, and what a damaged
 * or foreign one is answered with. */
#include "support.h"

#include "base/file.h"
#include "bench/journal.h"
#include "bench/plan.h"

#include <unistd.h>

/* --- lists --- */

static void expect_values(const char *text, const uint64_t *wanted, size_t n_wanted) {
    uint64_t *values;
    size_t n;
    ib_error err = {0};
    ib_status st = ib_plan_counts(ib_str_of(text), 0, 1000000, &values, &n, &err);
    if (st != IB_OK || n != n_wanted)
        fail_msg("'%s': status %d, %zu values; wanted %zu", text, (int)st, n, n_wanted);
    assert_memory_equal(values, wanted, n * sizeof *values);
    free(values);
}

static void lists_and_ranges(void **state) {
    (void)state;
    expect_values("7", (uint64_t[]){7}, 1);
    expect_values("8,1,8", (uint64_t[]){8, 1, 8}, 3);
    expect_values("2-5", (uint64_t[]){2, 3, 4, 5}, 4);
    expect_values("10-30+7", (uint64_t[]){10, 17, 24}, 3);
    expect_values("1-64*4", (uint64_t[]){1, 4, 16, 64}, 4);
    expect_values("0-2,5-5,100-1000*10", (uint64_t[]){0, 1, 2, 5, 100, 1000}, 6);
}

static void what_is_no_list(void **state) {
    (void)state;
    static const char *const bad[] = {"",      ",",         "1,",    ",1",
                                      "1,,2",  "-1",        "1-",    "5-4",
                                      "1-5+0", "1-5*1",     "0-8*2", "1-5+",
                                      "1-5*",  "1+5",       "1-5-7", "0x1",
                                      " 1",    "1-2000000", "1e3",   "99999999999999999999"};
    uint64_t *values;
    size_t n;
    ib_error err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (ib_plan_counts(ib_str_of(bad[i]), 0, 1000000, &values, &n, &err) != IB_E_USAGE ||
            values || n)
            fail_msg("'%s' was taken", bad[i]);
    assert_int_equal(ib_plan_counts(IB_STR("1-4096"), 0, 1000000, &values, &n, &err), IB_OK);
    assert_int_equal(n, IB_PLAN_MAX_VALUES);
    free(values);
    assert_int_equal(ib_plan_counts(IB_STR("1-4097"), 0, 1000000, &values, &n, &err),
                     IB_E_RESOURCE);
}

static void the_last_axis_is_the_fastest(void **state) {
    (void)state;
    size_t lengths[IB_AXIS_COUNT] = {0}, at[IB_AXIS_COUNT], n;
    ib_error err;
    assert_int_equal(ib_plan_n_cells(lengths, &n, &err), IB_OK);
    assert_int_equal(n, 1);
    lengths[IB_AXIS_MODEL] = 2;
    lengths[IB_AXIS_DEPTH] = 1;
    lengths[IB_AXIS_MAX_NEW_TOKENS] = 3;
    assert_int_equal(ib_plan_n_cells(lengths, &n, &err), IB_OK);
    assert_int_equal(n, 6);
    for (size_t cell = 0; cell < n; cell++) {
        ib_plan_positions(lengths, cell, at);
        assert_int_equal(at[IB_AXIS_MODEL], cell / 3);
        assert_int_equal(at[IB_AXIS_DEPTH], 0);
        assert_int_equal(at[IB_AXIS_MAX_NEW_TOKENS], cell % 3);
    }
    lengths[IB_AXIS_THREADS] = SIZE_MAX / 2;
    assert_int_equal(ib_plan_n_cells(lengths, &n, &err), IB_E_RESOURCE);
}

/* --- the journal --- */

enum { N_CELLS = 3 };

typedef struct folder {
    char path[64], journal[80];
} folder;

static int make_folder(void **state) {
    folder *f = calloc(1, sizeof *f);
    (void)snprintf(f->path, sizeof f->path, "/tmp/ib-plan-XXXXXX");
    if (!mkdtemp(f->path))
        return -1;
    (void)snprintf(f->journal, sizeof f->journal, "%s/r.journal", f->path);
    *state = f;
    return 0;
}

static int drop_folder(void **state) {
    folder *f = *state;
    (void)unlink(f->journal);
    int status = rmdir(f->path); /* fails when anything else was left */
    free(f);
    return status;
}

static void add_run(ib_cell *c, uint64_t start, bool warmup) {
    ib_run_record *r;
    ib_error err;
    assert_int_equal(ib_cell_add_run(c, &r, &err), IB_OK);
    r->n_tokens = 2;
    r->n_seqs = 1;
    r->warmup = warmup;
    r->finite = true;
    r->stamps_ns = malloc(3 * sizeof *r->stamps_ns);
    r->output_ids = malloc(2 * sizeof *r->output_ids);
    for (uint64_t i = 0; i < 3; i++)
        r->stamps_ns[i] = start + 10 * i;
    r->output_ids[0] = 5;
    r->output_ids[1] = (uint32_t)start;
    ib_run_record_hash(r);
}

/* Cell 0 is finished (two runs), cell 1 has one run, cell 2 none. */
static void write_journal(const folder *f) {
    ib_record head = {0};
    ib_cell cell = {0};
    ib_journal *j;
    ib_error err;
    assert_int_equal(ib_record_begin(&head, "inferbench -n 1,2,3", &err), IB_OK);
    assert_int_equal(ib_journal_create(&j, f->journal, "me", &head, N_CELLS, &err), IB_OK);
    ib_record_clear(&head);
    cell.asked.model_id = ib_strdup("a model");
    cell.asked.max_new_tokens = 2;
    assert_int_equal(ib_journal_opened(j, 0, &cell, &err), IB_OK);
    for (uint64_t i = 0; i < 2; i++) {
        add_run(&cell, 100 * (i + 1), i == 0);
        assert_int_equal(ib_journal_run(j, 0, &cell.runs[i], &err), IB_OK);
    }
    assert_int_equal(ib_journal_done(j, 0, &cell, &err), IB_OK);
    assert_int_equal(ib_journal_opened(j, 1, &cell, &err), IB_OK);
    assert_int_equal(ib_journal_run(j, 1, &cell.runs[1], &err), IB_OK);
    assert_int_equal(ib_journal_n_runs(j), 3);
    ib_cell_clear(&cell);
    ib_journal_close(j, false);
}

static ib_status read_journal(const folder *f, const char *identity, ib_cell *cells, bool *done,
                              ib_journal **j, ib_error *err) {
    ib_record head = {0};
    memset(err, 0, sizeof *err);
    ib_status st =
        ib_journal_resume(j, f->journal, identity, &head, cells, done, N_CELLS, NULL, err);
    if (st == IB_OK)
        assert_string_equal(head.command, "inferbench -n 1,2,3");
    ib_record_clear(&head);
    return st;
}

static void clear_cells(ib_cell *cells) {
    for (size_t i = 0; i < N_CELLS; i++)
        ib_cell_clear(&cells[i]);
}

static void expect_kept(const folder *f, size_t n_first, size_t n_second, bool first_done) {
    ib_cell cells[N_CELLS] = {0};
    bool done[N_CELLS] = {false};
    ib_journal *j;
    ib_error err;
    assert_int_equal(read_journal(f, "me", cells, done, &j, &err), IB_OK);
    assert_int_equal(done[0], first_done);
    assert_false(done[1] || done[2]);
    assert_int_equal(cells[0].n_runs, n_first);
    assert_int_equal(cells[1].n_runs, n_second);
    assert_int_equal(cells[2].n_runs, 0);
    if (first_done) {
        assert_string_equal(cells[0].asked.model_id, "a model");
        assert_true(cells[0].runs[0].warmup);
        assert_int_equal(cells[0].runs[1].stamps_ns[2], 220);
        assert_int_equal(cells[0].runs[1].output_ids[1], 200);
    }
    assert_null(cells[1].asked.model_id); /* it is opened again */
    ib_journal_close(j, false);
    clear_cells(cells);
}

static void everything_comes_back(void **state) {
    write_journal(*state);
    expect_kept(*state, 2, 1, true);
    expect_kept(*state, 2, 1, true); /* reading changes nothing */
}

/* Cut at every byte: what stood in whole lines is there, and the next line can be appended. */
static void a_cut_line_counts_as_not_written(void **state) {
    const folder *f = *state;
    ib_buf whole;
    ib_error err;
    ib_buf_init(&whole);
    write_journal(f);
    assert_int_equal(ib_file_read(&whole, f->journal, 1 << 20, &err), IB_OK);
    const char *head_end = memchr(whole.ptr, '\n', whole.len);
    for (size_t n = (size_t)(head_end - whole.ptr) + 1; n <= whole.len; n += 7) {
        size_t lines = 0;
        for (size_t i = 0; i < n; i++)
            lines += whole.ptr[i] == '\n';
        assert_int_equal(ib_file_write(f->journal, whole.ptr, n, &err), IB_OK);
        /* lines: head, opened, run, run, done, opened, run */
        expect_kept(f, lines >= 4 ? 2 : lines >= 3 ? 1 : 0, lines >= 7, lines >= 5);
    }
    ib_buf_clear(&whole);
}

static void append_after_a_cut(void **state) {
    const folder *f = *state;
    ib_cell cells[N_CELLS] = {0};
    bool done[N_CELLS] = {false};
    ib_journal *j;
    ib_error err;
    ib_buf whole;
    ib_buf_init(&whole);
    write_journal(f);
    assert_int_equal(ib_file_read(&whole, f->journal, 1 << 20, &err), IB_OK);
    assert_int_equal(ib_file_write(f->journal, whole.ptr, whole.len - 9, &err), IB_OK);
    ib_buf_clear(&whole);
    assert_int_equal(read_journal(f, "me", cells, done, &j, &err), IB_OK);
    add_run(&cells[1], 300, false);
    assert_int_equal(ib_journal_run(j, 1, &cells[1].runs[0], &err), IB_OK);
    ib_journal_close(j, false);
    clear_cells(cells);
    expect_kept(f, 2, 1, true);
}

static void foreign_and_damaged(void **state) {
    const folder *f = *state;
    ib_cell cells[N_CELLS] = {0};
    bool done[N_CELLS] = {false};
    ib_journal *j;
    ib_error err;
    ib_buf whole;
    write_journal(f);
    assert_int_equal(read_journal(f, "somebody else", cells, done, &j, &err), IB_E_USAGE);
    assert_non_null(strstr(err.text, "of another command"));
    clear_cells(cells);
    ib_buf_init(&whole);
    assert_int_equal(ib_file_read(&whole, f->journal, 1 << 20, &err), IB_OK);
    char *second = memchr(whole.ptr, '\n', whole.len);
    second[1] = '!';
    assert_int_equal(ib_file_write(f->journal, whole.ptr, whole.len, &err), IB_OK);
    assert_int_equal(read_journal(f, "me", cells, done, &j, &err), IB_E_FORMAT);
    assert_non_null(strstr(err.text, "line 2"));
    clear_cells(cells);
    assert_int_equal(ib_file_write(f->journal, "{\"cells\": []}\n", 14, &err), IB_OK);
    assert_int_equal(read_journal(f, "me", cells, done, &j, &err), IB_E_FORMAT);
    assert_non_null(strstr(err.text, "no journal in"));
    assert_int_equal(ib_file_write(f->journal, "", 0, &err), IB_OK);
    assert_int_equal(read_journal(f, "me", cells, done, &j, &err), IB_E_FORMAT);
    ib_buf_clear(&whole);
}

static void one_writer_at_a_time(void **state) {
    const folder *f = *state;
    ib_cell cells[N_CELLS] = {0};
    bool done[N_CELLS] = {false};
    ib_record head = {0};
    ib_journal *j, *other;
    ib_error err;
    assert_int_equal(ib_journal_create(&j, f->journal, "me", &head, N_CELLS, &err), IB_OK);
    assert_int_equal(read_journal(f, "me", cells, done, &other, &err), IB_E_OUTPUT);
    assert_int_equal(ib_journal_create(&other, f->journal, "me", &head, N_CELLS, &err),
                     IB_E_OUTPUT);
    assert_non_null(strstr(err.text, "in use"));
    ib_journal_close(j, true);
    assert_false(ib_path_exists(f->journal));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_and_ranges),
        cmocka_unit_test(what_is_no_list),
        cmocka_unit_test(the_last_axis_is_the_fastest),
        cmocka_unit_test_setup_teardown(everything_comes_back, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(a_cut_line_counts_as_not_written, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(append_after_a_cut, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(foreign_and_damaged, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(one_writer_at_a_time, make_folder, drop_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
