/* SPDX-License-Identifier: MIT
 * The record: JSON and back without loss, hostile JSON refused, and every figure of the summary. */
#include "record_fixture.h"

#include "base/file.h"
#include "record/environment.h"
#include "record/state.h"
#include "record/summary.h"
#include "stats/quantile.h"

#include <inttypes.h>
#include <math.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char *dump(const ib_record *r) {
    json_t *json = NULL;
    ib_buf text;
    ib_error err = {0};
    ib_buf_init(&text);
    assert_int_equal(ib_record_to_json(r, &json, &err), IB_OK);
    assert_int_equal(ib_json_dump(json, JSON_INDENT(1), &text, &err), IB_OK);
    json_decref(json);
    return text.ptr;
}

static ib_status read_back(ib_record *out, const char *text, ib_error *err) {
    json_t *json = NULL;
    assert_int_equal(ib_json_parse(&json, ib_str_of(text), "record.json", err), IB_OK);
    ib_status st = ib_record_from_json(out, json, "record.json", err);
    json_decref(json);
    return st;
}

static void test_round_trip(void **unused) {
    (void)unused;
    ib_record a, b;
    ib_error err = {0};
    fixture_record(&a, 256, "models/\"quoted\" \xE2\x82\xAC");
    /* a text with a zero byte, a batch, a warm-up run, and no text at all in a second cell */
    ib_cell *cell = &a.cells[0];
    free(cell->output_text);
    cell->output_text = ib_strndup("a\0b", 3);
    cell->n_output_text = 3;
    fixture_run(cell, 4, 9)->warmup = true;
    ib_run_record *run = fixture_run(cell, 8, 10);
    run->n_tokens = 4;
    run->n_seqs = 2;
    run->steal_ns = INT64_MAX;
    ib_run_record_hash(run);
    assert_int_equal(ib_record_add_cell(&a, &cell, &err), IB_OK);

    char *first = dump(&a);
    assert_int_equal(read_back(&b, first, &err), IB_OK);
    char *second = dump(&b);
    assert_string_equal(first, second);
    assert_int_equal(b.n_cells, 2);
    cell = &b.cells[0];
    assert_int_equal(cell->n_output_text, 3);
    assert_memory_equal(cell->output_text, "a\0b", 4);
    assert_true(cell->asked.seed == UINT64_MAX);
    assert_true(cell->runs[1].warmup && !cell->runs[0].warmup);
    assert_int_equal(cell->prompt_ids[5], 4294967295u);
    assert_int_equal(cell->runs[2].n_seqs, 2);
    assert_null(b.cells[1].prompt_text);
    assert_null(cell->asked.revision);
    free(first);
    free(second);
    ib_record_clear(&a);
    ib_record_clear(&b);
}

/* Every key that conventions and schema promise. */
static void test_keys(void **unused) {
    (void)unused;
    static const char *const top[] = {"schema_version", "tool",  "command", "asked",  "resolved",
                                      "environment",    "model", "cells",   "summary"};
    static const char *const in_cell[] = {
        "asked", "resolved", "model",      "memory",      "load_ns",     "prompt_ids",
        "runs",  "summary",  "generation", "output_text", "prompt_text", "prompt_ids_sha256"};
    static const char *const in_run[] = {"stamps_ns", "output_ids", "ids_sha256", "first_run",
                                         "warmup",    "finite",     "n_tokens"};
    static const char *const in_summary[] = {
        "ttft_ms",       "ttft_from_text_ms", "tpot_ms",    "itl_ms", "decode_tok_s",
        "prefill_tok_s", "bytes_per_token",   "read_gbps",  "mbu",    "mfu",
        "memory",        "verdict",           "definitions"};
    ib_record r;
    json_t *json = NULL;
    fixture_record(&r, 256, "m");
    assert_int_equal(ib_record_to_json(&r, &json, NULL), IB_OK);
    const json_t *cell = json_array_get(json_object_get(json, "cells"), 0);
    const json_t *run = json_array_get(json_object_get(cell, "runs"), 0);
    const json_t *summary = json_object_get(cell, "summary");
    for (size_t i = 0; i < sizeof top / sizeof *top; i++)
        assert_non_null(json_object_get(json, top[i]));
    for (size_t i = 0; i < sizeof in_cell / sizeof *in_cell; i++)
        assert_non_null(json_object_get(cell, in_cell[i]));
    for (size_t i = 0; i < sizeof in_run / sizeof *in_run; i++)
        assert_non_null(json_object_get(run, in_run[i]));
    for (size_t i = 0; i < sizeof in_summary / sizeof *in_summary; i++)
        assert_non_null(json_object_get(summary, in_summary[i]));
    assert_true(json_is_true(json_object_get(run, "first_run")));
    const double mbu = json_real_value(json_object_get(summary, "mbu"));
    const double gbps = json_real_value(json_object_get(summary, "read_gbps"));
    assert_true(gbps > 1 && fabs(mbu * 47.5 - gbps) < 1e-9);
    const double mfu = json_real_value(json_object_get(summary, "mfu"));
    const double ms = json_real_value(json_object_get(summary, "prefill_ms"));
    assert_true(ms > 1 && fabs(mfu * 487e9 - 1.625e9 / ms * 1e3) < 1);
    assert_true(json_is_true(json_object_get(json_object_get(cell, "probe"), "done")));
    assert_int_equal(json_array_size(json_object_get(run, "stamps_ns")), 257);
    assert_true(json_is_integer(json_array_get(json_object_get(run, "stamps_ns"), 0)));
    assert_true(json_equal(json_object_get(json, "asked"), json_object_get(cell, "asked")));
    assert_string_equal(json_string_value(json_object_get(
                            json_object_get(json_object_get(json, "summary"), "verdict"), "state")),
                        "valid");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(summary, "definitions"), "quantile")),
        "numpy linear");
    /* 255 gaps support p90 and p95, not p99 */
    const json_t *itl = json_object_get(summary, "itl_ms");
    assert_true(json_is_real(json_object_get(itl, "p95")));
    assert_true(json_is_null(json_object_get(itl, "p99")));
    assert_int_equal(json_array_size(json_object_get(itl, "too_few_samples_for")), 2); /* p99.9 */
    json_decref(json);
    ib_record_clear(&r);
}

/* The hash is over little-endian uint32: value from Python's hashlib for 1, 2, 4294967295. */
static void test_hash(void **unused) {
    (void)unused;
    const uint32_t ids[] = {1, 2, 4294967295u};
    char hex[65];
    ib_ids_sha256(ids, 3, hex);
    assert_string_equal(hex, "0a1ce634879f6a487527c9a185b1a4a3de7f41238ad4139e3c6d9e0da723628c");
    ib_ids_sha256(ids, 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* Path "a/b/0" in json, then key. */
static json_t *walk(json_t *json, const char *path) {
    char part[32];
    while (*path && json) {
        size_t n = strcspn(path, "/");
        (void)snprintf(part, sizeof part, "%.*s", (int)n, path);
        json = json_is_array(json) ? json_array_get(json, (size_t)atol(part))
                                   : json_object_get(json, part);
        path += n + (path[n] == '/');
    }
    return json;
}

static void test_hostile_json(void **unused) {
    (void)unused;
    static const struct {
        const char *parent, *key, *value; /* value NULL: the member is removed */
        ib_status status;
        const char *says;
    } rows[] = {
        {"", "schema_version", "\"2.0\"", IB_E_UNSUPPORTED, "schema version 2.0"},
        {"", "schema_version", NULL, IB_E_FORMAT, "schema_version"},
        {"", "cells", "{}", IB_E_FORMAT, "cells"},
        {"cells/0", "asked", "[]", IB_E_FORMAT, "object"},
        {"cells/0", "runs", "7", IB_E_FORMAT, "runs"},
        {"cells/0", "prompt_ids", "[1, -1]", IB_E_FORMAT, "prompt_ids/1"},
        {"cells/0", "prompt_ids", "[4294967296]", IB_E_FORMAT, "prompt_ids/0"},
        {"cells/0", "prompt_ids", "[1.0]", IB_E_FORMAT, "prompt_ids/0"},
        {"cells/0", "load_ns", "{\"open\": -5}", IB_E_FORMAT, "load_ns"},
        {"cells/0", "template_sha256",
         "\"0123456789012345678901234567890123456789012345678901234567890123456789\"", IB_E_FORMAT,
         "template_sha256"},
        {"cells/0/asked", "model_id", "\"a\\u0000b\"", IB_E_FORMAT, "zero byte"},
        {"cells/0/asked", "seed", "\"18446744073709551616\"", IB_E_FORMAT, "seed"},
        {"cells/0/asked", "max_new_tokens", "-1", IB_E_FORMAT, "max_new_tokens"},
        {"cells/0/model", "bytes_by_format", "{\"a name that is too long\": 1}", IB_E_FORMAT,
         "bytes_by_format"},
        {"cells/0/runs/0", "stamps_ns", "[]", IB_E_FORMAT, "stamps_ns"},
        {"cells/0/runs/0", "stamps_ns", "[5, 4, 6]", IB_E_FORMAT, "backwards"},
        {"cells/0/runs/0", "stamps_ns", "[1, 2, 3.5]", IB_E_FORMAT, "integers"},
        {"cells/0/runs/0", "stamps_ns", "[1, 2]", IB_E_FORMAT, "stamps_ns"},
        {"cells/0/runs/0", "n_tokens", "9007199254740993", IB_E_FORMAT, "stamps_ns"},
        {"cells/0/runs/0", "n_seqs", "0", IB_E_FORMAT, "n_seqs"},
        {"cells/0/runs/0", "n_seqs", "9223372036854775807", IB_E_FORMAT, ""},
        {"cells/0/runs/0", "prefill_done_ns", "1", IB_E_FORMAT, "prefill_done_ns"},
        {"cells/0/runs/0", "output_ids", "[1, 2]", IB_E_FORMAT, "ids_sha256"},
        {"cells/0/runs/0", "output_ids", "[1]", IB_E_FORMAT, "output_ids"},
        {"cells/0/runs/0", "ids_sha256", "null", IB_E_FORMAT, "ids_sha256"},
        {"cells/0/runs/0", "warmup", "0", IB_E_FORMAT, "warmup"},
    };
    ib_record good, bad;
    fixture_record(&good, 2, "m");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *json = NULL;
        ib_error err = {0};
        assert_int_equal(ib_record_to_json(&good, &json, &err), IB_OK);
        json_t *parent = walk(json, rows[i].parent);
        assert_non_null(parent);
        if (rows[i].value)
            (void)json_object_set_new(
                parent, rows[i].key,
                json_loads(rows[i].value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
        else
            (void)json_object_del(parent, rows[i].key);
        ib_status st = ib_record_from_json(&bad, json, "x.json", &err);
        if (st != rows[i].status || !strstr(err.text, rows[i].says) || !strstr(err.text, "x.json"))
            fail_msg("row %zu (%s): status %d, text: %s", i, rows[i].key, st, err.text);
        assert_int_equal(bad.n_cells, 0);
        json_decref(json);
    }
    ib_record_clear(&good);
}

/* Bytes that are no UTF-8 in names must not stop a record from being written. */
static void test_not_utf8(void **unused) {
    (void)unused;
    ib_record a, b;
    ib_error err = {0};
    fixture_record(&a, 2, "bad\xFF\xC3name\xED\xA0\x80");
    char *text = dump(&a);
    assert_int_equal(read_back(&b, text, &err), IB_OK);
    assert_string_equal(b.cells[0].asked.model_id,
                        "bad\xEF\xBF\xBD\xEF\xBF\xBDname\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    free(text);
    ib_record_clear(&a);
    ib_record_clear(&b);
}

/* The reference script's last two lines for many lengths (tests/golden/stats/script.txt). */
static void test_reference_figures(void **unused) {
    (void)unused;
    char line[256], want[64], number[32];
    size_t n, checked = 0;
    uint64_t seed;
    int at;
    FILE *f = fopen(IB_SOURCE_DIR "/tests/golden/stats/script.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        ib_cell cell = {0};
        ib_summary s;
        line[strcspn(line, "\n")] = '\0';
        assert_int_equal(sscanf(line, "%zu %" SCNu64 " %n", &n, &seed, &at), 2);
        (void)fixture_run(&cell, n, seed);
        assert_int_equal(ib_summarise(&s, &cell, NULL, 0, NULL), IB_OK);
        assert_int_equal(s.n_gaps, n);
        if (strncmp(line + at, "Median", 6) == 0) {
            (void)ib_stats_repr(s.ref_median_ms, number);
            (void)snprintf(want, sizeof want, "Median latency: %sms", number);
            assert_string_equal(line + at, want);
        } else {
            const char *p = strchr(line + at, '{');
            for (size_t i = 0; i < s.n_percentiles; i++) {
                (void)ib_stats_repr(s.ref_percentile_ms[i], number);
                (void)snprintf(want, sizeof want, "%g: %s%s", s.percentiles[i], number,
                               i + 1 < s.n_percentiles ? "," : "}");
                if (!(p = strstr(p, want)))
                    fail_msg("%s lacks %s", line, want);
            }
        }
        ib_cell_clear(&cell);
        checked++;
    }
    (void)fclose(f);
    assert_int_equal(checked, 20);
}

/* Stamps in round numbers, figures worked out by hand. */
static void test_corrected_figures(void **unused) {
    (void)unused;
    static const uint64_t stamps[] = {0, 500, 510, 530, 540, 560}; /* ms */
    ib_cell cell = {.n_prompt_ids = 400};
    ib_summary s;
    ib_run_record *r = fixture_run(&cell, 5, 1);
    for (size_t i = 0; i < 6; i++)
        r->stamps_ns[i] = stamps[i] * 1000000;
    r->prefill_done_ns = 400 * 1000000;
    cell.model.step_total = 150000000;
    assert_int_equal(ib_summarise(&s, &cell, NULL, 0, NULL), IB_OK);
    assert_true(s.ttft_ms == 500 && s.ttft_from_text_ms == 504 && s.prefill_ms == 400);
    assert_true(s.tpot_ms == 15 && s.itl_p50_ms == 15 && s.itl_mean_ms == 15);
    assert_true(s.itl_min_ms == 10 && s.itl_max_ms == 20);
    assert_int_equal(s.n_itl, 4);
    assert_true(!s.itl_p50_supported && !s.itl_p99_supported);
    assert_true(s.decode_tok_s == 1000.0 / 15 && s.prefill_tok_s == 1000);
    assert_true(s.read_gbps == 10 && s.bytes_per_token == 150000000);
    assert_true(fabs(s.e2e_tok_s - 5 / 0.56) < 1e-12);
    assert_true(s.ref_median_ms == 20 && s.ref_percentile_ms[4] == 308);
    assert_true(isnan(s.ttft_interval.low));
    assert_string_equal(s.verdict, "valid");
    /* two sequences in a step: twice the tokens in the same time */
    r->n_seqs = 2;
    free(r->output_ids);
    r->output_ids = calloc(10, sizeof *r->output_ids);
    assert_int_equal(ib_summarise(&s, &cell, NULL, 0, NULL), IB_OK);
    assert_true(s.decode_tok_s == 2000.0 / 15 && s.bytes_per_token == 75000000 &&
                s.read_gbps == 10);
    ib_cell_clear(&cell);
}

static void test_one_token(void **unused) {
    (void)unused;
    ib_cell cell = {0};
    ib_summary s;
    (void)fixture_run(&cell, 1, 1);
    assert_int_equal(ib_summarise(&s, &cell, NULL, 0, NULL), IB_OK);
    assert_true(s.n_itl == 0 && isnan(s.tpot_ms) && isnan(s.itl_p50_ms) && isnan(s.decode_tok_s));
    assert_true(s.ref_percentile_ms[0] == s.ref_percentile_ms[4]);
    ib_cell_clear(&cell);
    assert_int_equal(ib_summarise(&s, &cell, NULL, 0, NULL), IB_OK);
    assert_string_equal(s.verdict, "invalid");
    assert_string_equal(s.reasons[0], "no measured run");
}

/* Gaps that resemble their neighbours count for fewer: 100 of them carry no p90 then. */
static void test_dependent_gaps(void **unused) {
    (void)unused;
    static const double asked[] = {0, 90, 37.5};
    ib_cell cell = {0};
    ib_summary s;
    ib_run_record *r = fixture_run(&cell, 101, 3);
    assert_int_equal(ib_summarise(&s, &cell, NULL, 0, NULL), IB_OK);
    assert_true(s.itl_p90_supported && s.n_itl_effective > 70 && s.n_itl_effective <= 100);
    assert_true(s.n_shown == 5 && s.itl[s.shown[4]].q == 99.9 && !s.itl[4].supported);
    for (size_t i = 0; i < 101; i++) /* long waves */
        r->stamps_ns[i + 1] =
            r->stamps_ns[i] + 20000000 + (i / 12 % 2 ? 9000000 : 0) + i % 3 * 1000;
    assert_int_equal(ib_summarise(&s, &cell, asked, 3, NULL), IB_OK);
    assert_true(s.n_itl == 100 && s.n_itl_effective < 20);
    assert_true(s.itl_p50_supported && !s.itl_p90_supported);
    assert_true(s.n_shown == 3 && s.n_itl_percentiles == 7);
    assert_true(s.itl[s.shown[0]].q == 0 && s.itl[s.shown[0]].needs == UINT64_MAX);
    assert_true(s.shown[1] == 1 && s.itl[s.shown[2]].q == 37.5);
    ib_cell_clear(&cell);
}

/* Figures of several runs: medians, warm-up left out, interval from five runs on. */
static void test_several_runs(void **unused) {
    (void)unused;
    ib_cell cell = {0};
    ib_summary s;
    double ttft[8];
    fixture_run(&cell, 50, 999)->warmup = true;
    for (size_t i = 0; i < 6; i++) {
        const ib_run_record *r = fixture_run(&cell, 50, i);
        ttft[i] = (double)(r->stamps_ns[1] - r->stamps_ns[0]) / 1e6;
        assert_int_equal(ib_summarise(&s, &cell, NULL, 0, NULL), IB_OK);
        assert_int_equal(s.n_runs, i + 1);
        assert_true(isnan(s.ttft_interval.low) == (i < 4));
    }
    ib_stats_sort(ttft, 6);
    assert_true(s.ttft_ms == ib_stats_median(ttft, 6));
    double mean = 0, squares = 0;
    for (size_t i = 0; i < 6; i++)
        mean += log(ttft[i]) / 6;
    for (size_t i = 0; i < 6; i++)
        squares += (log(ttft[i]) - mean) * (log(ttft[i]) - mean);
    double half = 2.5705818366147395 * sqrt(squares / 5 / 6); /* t of 5 degrees of freedom, 0.975 */
    assert_true(fabs(s.ttft_interval.low - exp(mean - half)) < 1e-9 * s.ttft_ms);
    assert_true(fabs(s.ttft_interval.high - exp(mean + half)) < 1e-9 * s.ttft_ms);
    assert_true(s.ids_equal);
    assert_string_equal(s.verdict, "valid");
    for (size_t i = 6; i < 9; i++)
        (void)fixture_run(&cell, 50, i);
    assert_int_equal(ib_summarise(&s, &cell, NULL, 0, NULL), IB_OK);
    assert_true(s.ttft_interval.low < s.ttft_ms && s.ttft_ms < s.ttft_interval.high);
    cell.runs[4].output_ids[7] ^= 1;
    assert_int_equal(ib_summarise(&s, &cell, NULL, 0, NULL), IB_OK);
    assert_false(s.ids_equal);
    assert_string_equal(s.verdict, "invalid");
    ib_cell_clear(&cell);
}

static void judge(ib_cell *cell, const char *verdict, const char *says) {
    ib_summary s;
    bool said = *says == '\0';
    assert_int_equal(ib_summarise(&s, cell, NULL, 0, NULL), IB_OK);
    assert_string_equal(s.verdict, verdict);
    for (size_t i = 0; i < s.n_reasons; i++)
        said = said || strstr(s.reasons[i], says);
    if (!said)
        fail_msg("no reason says '%s'; first: %s", says, s.reasons[0]);
}

static void test_gates(void **unused) {
    (void)unused;
    ib_cell cell = {0};
    fixture_run(&cell, 200, 1)->warmup = true;
    ib_run_record *r = fixture_run(&cell, 200, 1), clean = *r;
    judge(&cell, "valid", "");
    r->involuntary_switches = 2;
    judge(&cell, "valid", "");
    r->involuntary_switches = 3;
    judge(&cell, "noisy", "3 involuntary context switches in 200 tokens");
    *r = clean;
    r->steal_ns = r->window_ns / 250;
    judge(&cell, "valid", "");
    r->steal_ns = r->window_ns / 100;
    judge(&cell, "noisy", "1.0 % of the time stolen");
    r->finite = false;
    judge(&cell, "invalid", "not finite");
    *r = clean;
    r->major_faults = 1;
    judge(&cell, "invalid", "1 major page faults in a warm run");
    r->resident_bytes = r->mapped_bytes / 2;
    judge(&cell, "noisy", "1 major page faults in a first or cold run, 50.0 % of the weights");
    *r = clean;
    r->process = 1;
    r->major_faults = 1;
    judge(&cell, "noisy", "in a first or cold run, 100.0 %");
    *r = clean;
    r->throttled_periods = 2;
    judge(&cell, "noisy", "throttled");
    *r = clean;
    r->pressure_cpu_ns = r->window_ns / 10;
    judge(&cell, "noisy", "waited for a CPU 10.0 %");
    *r = clean;
    r->ring_overflows = 1;
    judge(&cell, "invalid", "ring");
    *r = clean;
    r->suspended_ns = 2000000000;
    judge(&cell, "invalid", "slept for 2000 ms");
    *r = clean;
    r->cancelled = true;
    judge(&cell, "invalid", "signal");
    *r = clean;
    r->stops = 1;
    judge(&cell, "invalid", "stopped and continued 1 time(s)");
    *r = clean;
    r->swap_ins = 7;
    judge(&cell, "noisy", "7 pages swapped in");
    *r = clean;
    r->thermal_events = 2;
    judge(&cell, "noisy", "2 thermal throttling events");
    *r = clean;
    r->cpus_changed = true;
    judge(&cell, "noisy", "allowed CPUs changed");
    *r = clean;
    r->spin_after_ns = r->spin_before_ns * 1.025;
    judge(&cell, "valid", "");
    r->spin_after_ns = r->spin_before_ns * 0.95;
    judge(&cell, "noisy", "core's clock moved by 5.0 %");
    *r = clean;
    cell.clock_cost_ns = 2000;
    judge(&cell, "noisy", "reading the clock costs 2000 ns");
    ib_cell_clear(&cell);
}

/* Repeats whose ids agree and whose logits do not; ids that do not are worse. */
static void test_fingerprints(void **unused) {
    (void)unused;
    ib_cell cell = {0};
    const float row[] = {1, 5, -2, 5, 3.5f, 9, 0, 0, 0, 0, 0, -1};
    const float broken[] = {1, (float)NAN};
    (void)fixture_run(&cell, 20, 1);
    ib_run_record *r = fixture_run(&cell, 20, 2);
    judge(&cell, "valid", "");
    r->top[0].value += 0.04f;
    judge(&cell, "valid", "");
    r->top[0].value += 0.04f;
    judge(&cell, "noisy", "logits differ");
    r->output_ids[3]++;
    ib_run_record_hash(r);
    judge(&cell, "invalid", "token ids differ");
    /* the largest first, of equal ones the first; 8 at most */
    ib_run_record_logits(r, row, 1, 12);
    assert_int_equal(r->n_top, 8);
    static const uint32_t order[] = {5, 1, 3, 4, 0, 6, 7, 8};
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(r->top[i].id, order[i]);
    assert_true(r->top[3].value == 3.5f);
    /* Python: hashlib.sha256(struct.pack('<12f', ...)).hexdigest() */
    assert_string_equal(r->logits_sha256,
                        "bc49b66179fdcc46bf302702c9752cf8790aa9c301b963118d997dd03736b40f");
    ib_run_record_logits(r, broken, 1, 2);
    assert_int_equal(r->n_top, 0);
    assert_string_equal(r->logits_sha256, "");
    ib_cell_clear(&cell);
}

static void judge_process(const char *before, const char *after, const char *verdict,
                          const char *says) {
    ib_cell cell = {0};
    ib_process_record *p;
    (void)fixture_run(&cell, 20, 1);
    assert_int_equal(ib_cell_add_process(&cell, &p, NULL), IB_OK);
    p->before = json_loads(before, 0, NULL);
    p->after = json_loads(after, 0, NULL);
    assert_true(p->before && p->after);
    judge(&cell, verdict, says);
    ib_cell_clear(&cell);
}

static void test_changed_state(void **unused) {
    (void)unused;
    judge_process("{}", "{}", "valid", "");
    judge_process("{\"governor\": \"performance\"}", "{\"governor\": \"powersave\"}", "noisy",
                  "the machine changed: governor: performance -> powersave");
    judge_process("{\"governor\": null}", "{\"governor\": \"powersave\"}", "valid", "");
    judge_process("{\"loadavg\": \"1 1 1\"}", "{\"loadavg\": \"2 1 1\"}", "valid", "");
    judge_process("{\"cpuset\": \"0-3\"}", "{\"cpuset\": \"0-1\"}", "noisy", "cpuset: 0-3 -> 0-1");
    judge_process("{\"ping_ns\": 50.0}", "{\"ping_ns\": 90.0}", "valid", "");
    judge_process("{\"ping_ns\": 50.0}", "{\"ping_ns\": 210.0}", "noisy",
                  "distance of the cores: 50 -> 210 ns");
    judge_process("{\"read_gbps\": 20.0}", "{\"read_gbps\": 16.0}", "valid", "");
    judge_process("{\"read_gbps\": 20.0}", "{\"read_gbps\": 10.5}", "noisy",
                  "read bandwidth: 20000 -> 10500 MB/s");
}

/* More reasons than there is room for must stay within it. */
static void test_all_gates(void **unused) {
    (void)unused;
    ib_cell cell = {.clock_cost_ns = 100000};
    ib_summary s;
    ib_run_record *r = fixture_run(&cell, 3, 1);
    r->finite = false;
    r->cancelled = true;
    r->involuntary_switches = r->major_faults = r->throttled_periods = r->ring_overflows =
        r->steal_ns = r->pressure_cpu_ns = r->suspended_ns = r->stops = r->swap_ins =
            r->thermal_events = UINT64_MAX;
    r->cpus_changed = true;
    r->spin_after_ns = 2 * r->spin_before_ns;
    r = fixture_run(&cell, 3, 1);
    r->top[0].value = 0;
    fixture_process(&cell);
    assert_int_equal(json_object_set_new(cell.processes[0].after, "governor", json_string("x")), 0);
    assert_int_equal(ib_summarise(&s, &cell, NULL, 0, NULL), IB_OK);
    assert_string_equal(s.verdict, "invalid");
    assert_int_equal(s.n_reasons, IB_SUMMARY_MAX_REASONS);
    ib_cell_clear(&cell);
}

static void test_environment(void **unused) {
    (void)unused;
    static const char *const parts[] = {"os",     "cpu",       "machine", "clock",
                                        "memory", "container", "process", "load"};
    char host[256] = "";
    json_t *json = NULL;
    ib_buf text;
    ib_error err = {0};
    ib_buf_init(&text);
    assert_int_equal(ib_environment_read(&json, &err), IB_OK);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_true(json_is_object(json_object_get(json, parts[i])));
    const json_t *clock = json_object_get(json, "clock");
    assert_true(json_real_value(json_object_get(clock, "cost_ns")) > 0);
    assert_true(json_integer_value(json_object_get(json_object_get(json, "cpu"), "n_allowed")) > 0);
    const json_t *total = json_object_get(json_object_get(json, "memory"), "total_bytes");
    long long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (!json_is_null(total)) /* /proc/meminfo and the C library tell the same */
        assert_int_equal(json_integer_value(total), pages * page);
    assert_int_equal(ib_json_dump(json, 0, &text, &err), IB_OK);
    if (gethostname(host, sizeof host - 1) == 0 && strlen(host) > 5)
        assert_null(strstr(text.ptr, host));
    ib_buf_clear(&text);
    json_decref(json);
}

static void test_counters(void **unused) {
    (void)unused;
    ib_process_counters a, b;
    ib_process_counters_read(&a, "");
    volatile char *pages = /* fresh ones, whatever the heap holds */
        mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true((void *)pages != MAP_FAILED);
    for (size_t i = 0; i < 4 << 20; i += 4096)
        pages[i] = 1;
    ib_process_counters_read(&b, "");
    (void)munmap((void *)pages, 4 << 20);
    assert_true(b.minor_faults > a.minor_faults);
    assert_true(b.now_ns > a.now_ns && b.boot_ns >= a.boot_ns);
    assert_true(b.steal_ns >= a.steal_ns);
    assert_true(ib_process_vm_hwm() > 4 << 20);
}

static void write_fake(const char *root, const char *path, const char *text) {
    char full[512];
    (void)snprintf(full, sizeof full, "%s%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        (void)mkdir(full, 0700);
    }
    assert_int_equal(ib_file_write(full, text, strlen(text), NULL), IB_OK);
}

/* The counters of a machine that is a folder. */
static void test_fake_machine(void **unused) {
    (void)unused;
    char root[] = "/tmp/ib-root-XXXXXX", stat[4096] = "cpu  0 0 0 0 0 0 0 0\n", command[64];
    ib_process_counters a, b;
    json_t *state = NULL;
    assert_non_null(mkdtemp(root));
    ib_process_counters_read(&a, root);
    assert_true(a.steal_ns == 0 && a.busy_ns == 0 && a.swap_ins == 0 && a.thermal_events == 0);
    for (int i = 0; i < 64; i++) { /* whichever CPUs are allowed */
        size_t n = strlen(stat);
        (void)snprintf(stat + n, sizeof stat - n, "cpu%d 10 20 30 40 50 60 70 80 9 9\n", i);
        char path[128];
        (void)snprintf(path, sizeof path,
                       "/sys/devices/system/cpu/cpu%d/thermal_throttle/core_throttle_count", i);
        write_fake(root, path, "3\n");
    }
    write_fake(root, "/proc/stat", stat);
    write_fake(root, "/proc/vmstat", "nr_free_pages 1\npswpin 42\n");
    write_fake(root, "/proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=77\n");
    write_fake(root, "/sys/fs/cgroup/cpu.stat", "usage_usec 5\nnr_periods 9\nnr_throttled 4\n");
    write_fake(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
    ib_process_counters_read(&b, root);
    const uint64_t tick = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    const uint64_t n_cpus = b.thermal_events / 3;
    assert_true(n_cpus >= 1 && b.thermal_events % 3 == 0);
    assert_true(b.steal_ns == 80 * tick * n_cpus);
    assert_true(b.busy_ns == (10 + 20 + 30 + 60 + 70) * tick * n_cpus);
    assert_int_equal(b.swap_ins, 42);
    assert_int_equal(b.throttled_periods, 4);
    assert_int_equal(b.pressure_cpu_ns, 77000);
    assert_true(a.cpus == b.cpus);
    assert_int_equal(ib_state_read(&state, root, NULL), IB_OK);
    assert_string_equal(json_string_value(json_object_get(state, "governor")), "powersave");
    assert_true(json_is_null(json_object_get(state, "boost")));
    assert_int_equal(json_integer_value(json_object_get(state, "swap_ins")), 42);
    assert_true(json_real_value(json_object_get(state, "spin_ns")) > 1000);
    json_decref(state);
    (void)snprintf(command, sizeof command, "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

static void test_begin(void **unused) {
    (void)unused;
    ib_record r = {0};
    ib_error err = {0};
    assert_int_equal(ib_record_begin(&r,
                                     "inferbench --token hf_abcdefghijkl --token=s3cret -m "
                                     "https://user:pw@host/x hf_ABCDEFGHIJKLMN shf_model",
                                     &err),
                     IB_OK);
    assert_string_equal(r.command, "inferbench --token *** --token=*** -m https://***@host/x *** "
                                   "shf_model");
    assert_int_equal(strlen(r.started_utc), strlen("2025-01-15T10:30:00Z"));
    assert_non_null(r.tool_version);
    assert_true(json_is_object(r.environment));
    const json_t *same = r.environment;
    assert_int_equal(ib_record_begin(&r, "other", &err), IB_OK);
    assert_ptr_equal(same, r.environment);
    ib_record_clear(&r);
}

static void test_copy_opened(void **unused) {
    (void)unused;
    ib_record r;
    ib_cell copy = {0};
    fixture_record(&r, 2, "m");
    assert_int_equal(ib_cell_copy_opened(&copy, &r.cells[0], NULL), IB_OK);
    assert_int_equal(ib_cell_copy_opened(&copy, &r.cells[0], NULL), IB_OK);
    assert_string_equal(copy.resolved.tier, "avx2");
    assert_true(copy.model.step_total == 164181024 && copy.n_load == 3);
    assert_ptr_not_equal(copy.model.path, r.cells[0].model.path);
    for (int i = 0; i < 20; i++)
        ib_cell_add_phase(&copy, "more", 1);
    assert_int_equal(copy.n_load, IB_RECORD_MAX_PHASES);
    ib_cell_clear(&copy);
    ib_record_clear(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_hostile_json),
        cmocka_unit_test(test_not_utf8),
        cmocka_unit_test(test_reference_figures),
        cmocka_unit_test(test_corrected_figures),
        cmocka_unit_test(test_one_token),
        cmocka_unit_test(test_dependent_gaps),
        cmocka_unit_test(test_several_runs),
        cmocka_unit_test(test_gates),
        cmocka_unit_test(test_all_gates),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_fingerprints),
        cmocka_unit_test(test_changed_state),
        cmocka_unit_test(test_fake_machine),
        cmocka_unit_test(test_begin),
        cmocka_unit_test(test_copy_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
