/* SPDX-License-Identifier: MIT
 * Reports: snapshots of every format (tests/golden/report; IB_WRITE_GOLDEN=1 writes them anew), the
 * reference's lines to the letter, the same bytes after a way through JSON, hostile names. */
#include "record_fixture.h"

#include "report/report.h"

#include <inttypes.h>

/* The n-th allocation of the program fails, once (-Wl,--wrap; jansson's go the same way). */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
static long fail_at, n_allocated; /* fail_at 0 = never */

static bool fails(void) {
    return fail_at && ++n_allocated == fail_at;
}

void *__wrap_malloc(size_t n) {
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size) {
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n) {
    return fails() ? NULL : __real_realloc(p, n);
}

static void *own_malloc(size_t n) {
    return malloc(n); /* through the wrapper */
}

static const ib_report_options usual = {.print_median = true};

static char *render(const ib_record *r, const char *format, const ib_report_options *o) {
    ib_buf text;
    ib_error err = {0};
    const ib_report_format *f = ib_report_find(format);
    assert_non_null(f);
    ib_buf_init(&text);
    if (f->write(r, o, &text, &err) != IB_OK)
        fail_msg("%s: %s", format, err.text);
    return text.ptr;
}

/* Three cells: a quiet one, one with several runs and reasons, one that measured nothing. */
static void snapshot_record(ib_record *r) {
    ib_cell *cell;
    fixture_record(r, 40, "example/model-135M");
    assert_int_equal(ib_record_add_cell(r, &cell, NULL), IB_OK);
    fixture_cell(cell, "-dash | pipe, \"quote\" <b>");
    fixture_run(cell, 400, 1)->warmup = true;
    for (uint64_t i = 0; i < 6; i++)
        fixture_run(cell, 400, 20 + i)->involuntary_switches = i * 2;
    cell->runs[3].major_faults = 2;
    cell->runs[3].resident_bytes /= 2;
    cell->runs[2].stopped_by_eos = true;
    assert_int_equal(ib_record_add_cell(r, &cell, NULL), IB_OK);
}

static char *read_file(const char *path) {
    char *text = NULL;
    size_t n = 0, cap = 0;
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("cannot open %s", path);
    do {
        cap += 1 << 16;
        text = realloc(text, cap + 1);
        assert_non_null(text);
        n += fread(text + n, 1, cap - n, f);
    } while (n == cap);
    (void)fclose(f);
    text[n] = '\0';
    return text;
}

static void test_snapshots(void **unused) {
    (void)unused;
    char path[512];
    ib_record r;
    snapshot_record(&r);
    for (size_t i = 0; i < ib_report_n_formats(); i++) {
        const char *format = ib_report_format_at(i)->name;
        char *text = render(&r, format, &usual);
        (void)snprintf(path, sizeof path, IB_SOURCE_DIR "/tests/golden/report/%s.txt", format);
        if (getenv("IB_WRITE_GOLDEN")) {
            FILE *f = fopen(path, "wb");
            assert_non_null(f);
            assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
            assert_int_equal(fclose(f), 0);
        }
        char *golden = read_file(path);
        if (strcmp(text, golden) != 0)
            fail_msg("%s differs from %s", format, path);
        free(golden);
        free(text);
    }
    ib_record_clear(&r);
}

/* "report FILE" must give the bytes that the run gave. */
static void test_same_after_json(void **unused) {
    (void)unused;
    static const double few[] = {5, 99.9};
    const ib_report_options options[] = {
        usual,
        {.print_median = true, .percentiles = few, .n_percentiles = 2},
        {.body_only = true, .running_median = true}};
    ib_record a, b;
    ib_error err = {0};
    json_t *json = NULL;
    snapshot_record(&a);
    free(a.cells[1].asked.model_id);
    a.cells[1].asked.model_id = fixture_text("not utf-8: \xFF\xC3(");
    char *file = render(&a, "json", &usual);
    assert_int_equal(ib_json_parse(&json, ib_str_of(file), "record", &err), IB_OK);
    assert_int_equal(ib_record_from_json(&b, json, "record", &err), IB_OK);
    for (size_t i = 0; i < ib_report_n_formats(); i++)
        for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
            char *before = render(&a, ib_report_format_at(i)->name, &options[k]);
            char *after = render(&b, ib_report_format_at(i)->name, &options[k]);
            assert_string_equal(before, after);
            free(before);
            free(after);
        }
    free(file);
    json_decref(json);
    ib_record_clear(&a);
    ib_record_clear(&b);
}

/* The lines before the empty one, line by line as generation.md section 1 gives them. */
static void test_reference_lines(void **unused) {
    (void)unused;
    static const char want_head[] = "Running inference on cpu with model some/model\n"
                                    "Using attention implementation: eager\n"
                                    "Token latency: ";
    static const char want_tail[] =
        " ms\n"
        "\\Output (including prompt):\n"
        "----------------------------------------\n"
        "system\nYou are a helpful assistant\nna\xC3\xAFve \xE2\x82\xAC\n"
        "----------------------------------------\n"
        "Peak memory usage: 197MB\n"
        "Median latency: 44.11ms\n"
        "Latency percentiles {10: 44.1, 25: 44.1, 50: 44.1, 75: 44.1, 90: 44.1}\n"
        "\n";
    ib_record r;
    fixture_record(&r, 1, "some/model");
    char *text = render(&r, "text", &usual);
    assert_memory_equal(text, want_head, sizeof want_head - 1);
    assert_non_null(strstr(text, want_tail));
    free(text);
    r.cells[0].memory.peak_total = 3 << 19; /* 1.5 MiB: half to even */
    text = render(&r, "text", &usual);
    assert_non_null(strstr(text, "Peak memory usage: 2MB\n"));
    free(text);
    r.cells[0].memory.peak_total = 5 << 19;
    text = render(&r, "text", &usual);
    assert_non_null(strstr(text, "Peak memory usage: 2MB\n"));
    free(text);
    ib_record_clear(&r);
}

static size_t count(const char *text, const char *what) {
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)); p++)
        n++;
    return n;
}

/* The two last lines against what NumPy and Python print for the same gaps. */
static void test_golden_lines(void **unused) {
    (void)unused;
    char line[256];
    size_t n, rows = 0;
    uint64_t seed;
    int at;
    FILE *f = fopen(IB_SOURCE_DIR "/tests/golden/stats/script.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        ib_record r;
        assert_int_equal(sscanf(line, "%zu %" SCNu64 " %n", &n, &seed, &at), 2);
        fixture_record(&r, n, "m"); /* its run has the seed n + 5, as the file's lines do */
        assert_int_equal(seed, n + 5);
        char *text = render(&r, "text", &usual);
        if (!strstr(text, line + at))
            fail_msg("missing: %s", line + at);
        assert_int_equal(count(text, "Token latency: "), n);
        free(text);
        ib_record_clear(&r);
        rows++;
    }
    (void)fclose(f);
    assert_int_equal(rows, 20);
}

static void test_pieces(void **unused) {
    (void)unused;
    ib_buf out;
    ib_error err = {0};
    const uint64_t gaps[] = {500000000, 35100000, 34000000};
    ib_buf_init(&out);
    assert_int_equal(ib_report_text_latency(12345678, &out, &err), IB_OK);
    assert_string_equal(out.ptr, "Token latency: 12.3 ms\n");
    ib_buf_reset(&out);
    assert_int_equal(ib_report_text_running_median(gaps, 1, &out, &err), IB_OK);
    assert_int_equal(ib_report_text_running_median(gaps, 3, &out, &err), IB_OK);
    assert_int_equal(out.len, 0);
    assert_int_equal(ib_report_text_running_median(gaps, 2, &out, &err), IB_OK);
    assert_string_equal(out.ptr, "Token latency median: 267.55 ms\n");
    ib_buf_reset(&out);
    /* a name longer than a quoted one may be must not be cut */
    char path[300];
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(ib_report_text_header("cpu", path, "sdpa", &out, &err), IB_OK);
    assert_non_null(strstr(out.ptr, path));
    ib_buf_clear(&out);
    assert_null(ib_report_find("pdf"));
    assert_null(ib_report_find(NULL));
    assert_null(ib_report_format_at(ib_report_n_formats()));
}

static void test_live_parts(void **unused) {
    (void)unused;
    ib_record r;
    fixture_record(&r, 40, "m");
    ib_report_options o = {.running_median = true};
    char *text = render(&r, "text", &o);
    assert_int_equal(count(text, "Token latency median: "), 4); /* after 2, 12, 22, 32 */
    assert_int_equal(count(text, "Median latency"), 0);
    free(text);
    o.body_only = true;
    text = render(&r, "text", &o);
    assert_memory_equal(text, "\\Output", 7);
    free(text);
    ib_record_clear(&r);
}

static void test_few_samples(void **unused) {
    (void)unused;
    ib_record r;
    fixture_record(&r, 40, "m");
    char *text = render(&r, "text", &usual);
    assert_non_null(strstr(text, "n 39 without the first, p50 "));
    assert_int_equal(count(text, "; no p95: it needs 72 independent gaps and these are worth "), 1);
    assert_int_equal(count(text, "; no p"), 1); /* the first that is missing speaks for the rest */
    free(text);
    ib_record_clear(&r);
}

/* --percentiles holds wherever percentiles are printed. */
static void test_percentiles_asked(void **unused) {
    (void)unused;
    static const double asked[] = {37.5, 60};
    static const struct {
        const char *format, *is, *is_not;
    } rows[] = {{"text", ", p37.5 ", ", p90 "},
                {"text", "Latency percentiles {37.5: ", "75:"},
                {"csv", ",itl_p37.5_ms,itl_p60_ms,", "itl_p90_ms"},
                {"markdown", "| ITL p37.5 ms | ITL p60 ms |", "p90"},
                {"json", "\"p37.5\": ", "\"p75\""},
                {"json", "\"37.5\": ", "\"75\": "},
                {"jsonl", "\"p60\":", "\"p75\""},
                {"vllm", "\"p37.5_itl_ms\": ", "p99_itl"},
                {"vllm", "\"37.5\": ", "\"99\": "},
                {"html", "(ITL) p37.5", "(ITL) p90"}};
    const ib_report_options o = {.percentiles = asked, .n_percentiles = 2};
    ib_record r;
    fixture_record(&r, 200, "m");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = render(&r, rows[i].format, &o);
        if (!strstr(text, rows[i].is) || strstr(text, rows[i].is_not))
            fail_msg("%s: %s missing, or %s there", rows[i].format, rows[i].is, rows[i].is_not);
        free(text);
    }
    ib_record_clear(&r);
}

/* CL09: markup, formulas, escape codes, bidi marks and line ends in names. */
static void test_hostile_names(void **unused) {
    (void)unused;
    static const char name[] = "=cmd()|<script>\"x\",'y'\x1B[31m\r\nfake: 1\xE2\x80\xAE\xC2\x9B";
    ib_record r;
    fixture_record(&r, 3, name);
    free(r.cells[0].resolved.device_name);
    r.cells[0].resolved.device_name = fixture_text(name);
    for (size_t i = 0; i < ib_report_n_formats(); i++) {
        char *text = render(&r, ib_report_format_at(i)->name, &usual);
        assert_null(strchr(text, '\x1B'));
        assert_null(strchr(text, '\r'));
        assert_null(strstr(text, "\nfake"));
        assert_null(strstr(text, "\xE2\x80\xAE"));
        assert_null(strstr(text, "\xC2\x9B"));
        free(text);
    }
    r.cells[0].profile.done = false; /* its tables have lines of their own */
    char *text = render(&r, "markdown", &usual);
    assert_null(strstr(text, "<script>"));
    assert_non_null(strstr(text, "=cmd\\(\\)\\|&lt;script&gt;"));
    assert_int_equal(count(text, "\n"), 5); /* a row, and what its percentiles would need */
    free(text);
    text = render(&r, "csv", &usual);
    assert_non_null(strstr(text, "\n\"'=cmd()|<script>\"\"x\"\",'y'"));
    assert_int_equal(count(text, "\n"), 2);
    free(text);
    text = render(&r, "jsonl", &usual);
    assert_int_equal(count(text, "\n"), 1);
    free(text);
    ib_record_clear(&r);
}

/* Every allocation of writing and reading fails in turn: a status, never a crash or half a text. */
static void test_out_of_memory(void **unused) {
    (void)unused;
    ib_record r, back;
    json_t *json = NULL;
    long points = 0;
    fixture_record(&r, 3, "m");
    assert_int_equal(ib_record_to_json(&r, &json, NULL), IB_OK);
    for (size_t i = 0; i <= ib_report_n_formats(); i++) {
        ib_status st = IB_E_RESOURCE;
        for (long at = 1; st != IB_OK; at++) {
            ib_buf out;
            ib_error err = {0};
            ib_buf_init(&out);
            fail_at = at;
            n_allocated = 0;
            if (i < ib_report_n_formats())
                st = ib_report_format_at(i)->write(&r, &usual, &out, &err);
            else
                st = ib_record_from_json(&back, json, "record", &err);
            fail_at = 0;
            if (st != IB_OK && st != IB_E_RESOURCE)
                fail_msg("format %zu, allocation %ld: status %d, %s", i, at, st, err.text);
            if (st == IB_OK && n_allocated >= at)
                fail_msg("format %zu: allocation %ld failed and nobody noticed", i, at);
            ib_buf_clear(&out);
            points++;
        }
    }
    assert_true(points > 500);
    ib_record_clear(&back);
    json_decref(json);
    ib_record_clear(&r);
}

int main(void) {
    json_set_alloc_funcs(own_malloc, free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshots),       cmocka_unit_test(test_same_after_json),
        cmocka_unit_test(test_reference_lines), cmocka_unit_test(test_golden_lines),
        cmocka_unit_test(test_pieces),          cmocka_unit_test(test_live_parts),
        cmocka_unit_test(test_few_samples),     cmocka_unit_test(test_percentiles_asked),
        cmocka_unit_test(test_out_of_memory),   cmocka_unit_test(test_hostile_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
