/* SPDX-License-Identifier: MIT
 * Comparisons of records made by hand: figures against the statistics they stand for, verdicts of
 * known effects, what is refused and what --across lets pass, options strings as words. */
#include "record_fixture.h"

#include "cli/compare_spawn.h"
#include "record/compare.h"
#include "report/compare_report.h"

#include <math.h>

/* A run of n tokens: ttft, then gaps of base_us microseconds with a ripple of its own. */
static void add_run(ib_cell *cell, size_t n, uint64_t base_us, uint64_t seed) {
    ib_run_record *r = fixture_run(cell, n, seed);
    for (size_t i = 0; i < n; i++)
        r->stamps_ns[i + 1] =
            r->stamps_ns[i] + base_us * 1000 + fixture_next(&seed) % (base_us * 4);
}

/* A record of one cell with `runs` runs whose level moves by up to 0.2 % from run to run. */
static void record(ib_record *r, size_t runs, uint64_t base_us, uint64_t seed) {
    fixture_record(r, 40, "example/model");
    ib_cell *cell = &r->cells[0];
    cell->runs[0].warmup = true; /* never counts */
    for (size_t i = 0; i < runs; i++)
        add_run(cell, 40, base_us + fixture_next(&seed) % (base_us / 500), seed + i);
}

static void decide_stored(ib_comparison *c, const ib_record *a, const ib_record *b, bool across) {
    ib_error err = {0};
    assert_int_equal(ib_comparison_start(c, false, 64, &err), IB_OK);
    c->across = across;
    c->fail_if_slower = 0.02;
    assert_int_equal(ib_comparison_add_runs(c, 0, &a->cells[0], &err), IB_OK);
    assert_int_equal(ib_comparison_add_runs(c, 1, &b->cells[0], &err), IB_OK);
    ib_comparison_differences(c, a, &a->cells[0], b, &b->cells[0]);
    if (ib_comparison_decide(c, &err) != IB_OK)
        fail_msg("%s", err.text);
}

/* Pairs of one-run cells, the order by a coin. */
static void decide_pairs(ib_comparison *c, size_t pairs, uint64_t base_a, uint64_t base_b,
                         double gate) {
    uint64_t seed = 4;
    ib_error err = {0};
    assert_int_equal(ib_comparison_start(c, true, pairs, &err), IB_OK);
    c->fail_if_slower = gate;
    for (size_t k = 0; k < pairs; k++) {
        ib_record a, b;
        record(&a, 1, base_a, 100 + k);
        record(&b, 1, base_b, 200 + k);
        c->b_first[k] = fixture_next(&seed) & 1;
        assert_int_equal(ib_comparison_add_process(c, 0, &a.cells[0], &err), IB_OK);
        assert_int_equal(ib_comparison_add_process(c, 1, &b.cells[0], &err), IB_OK);
        ib_comparison_differences(c, &a, &a.cells[0], &b, &b.cells[0]);
        ib_record_clear(&a);
        ib_record_clear(&b);
    }
    if (ib_comparison_decide(c, &err) != IB_OK)
        fail_msg("%s", err.text);
}

static void test_metrics(void **state) {
    ib_metric m = IB_METRIC_COUNT;
    uint64_t stamps[] = {1000000, 11000000, 12000000, 14000000, 17000000};
    ib_run_record r = {.stamps_ns = stamps, .n_tokens = 4};
    double gaps[4];
    (void)state;
    assert_true(ib_metric_find("tpot_ms", &m) && m == IB_METRIC_TPOT);
    assert_false(ib_metric_find("tpot", &m));
    assert_true(ib_metric_of_run(IB_METRIC_ITL_P50, &r, gaps) == 2.0);
    assert_true(ib_metric_of_run(IB_METRIC_TPOT, &r, gaps) == 2.0);
    assert_true(ib_metric_of_run(IB_METRIC_TTFT, &r, gaps) == 10.0);
    assert_true(ib_metric_of_run(IB_METRIC_E2E, &r, gaps) == 16.0);
    assert_true(isnan(ib_metric_of_run(IB_METRIC_ITL_P99, &r, gaps))); /* too few tokens */
    r.n_tokens = 1;
    assert_true(isnan(ib_metric_of_run(IB_METRIC_ITL_P50, &r, gaps)));
    assert_true(isnan(ib_metric_of_run(IB_METRIC_TPOT, &r, gaps)));
}

static void test_stored(void **state) {
    ib_record a, b;
    ib_comparison c;
    (void)state;
    record(&a, 12, 10000, 1);
    record(&b, 12, 10500, 2);
    decide_stored(&c, &a, &b, false);
    assert_int_equal(c.side[0].n, 12); /* the warm-up run is left out */
    assert_false(c.refused);
    assert_int_equal(c.verdict, IB_STATS_UNDECIDED); /* 5 % in every run, and yet */
    const ib_compare_figure *f = &c.figures[IB_METRIC_ITL_P50];
    assert_true(f->known && c.exact);
    assert_true(fabs(f->ratio.point - 1.05) < 0.004);
    assert_true(f->ratio.lo > 1.04 && f->ratio.hi < 1.06);
    assert_true(fabs(f->p - 2 / 2704156.0) < 1e-15); /* 2 / C(24, 12) */
    assert_true(c.p_b_slower == 1);
    assert_true(c.regression); /* of the gate of 2 %; the program calls it no verdict */
    assert_false(c.figures[IB_METRIC_ITL_P99].known);
    double p = c.figures[IB_METRIC_TPOT].p;
    assert_true(c.figures[IB_METRIC_TPOT].p_holm >= p);
    ib_comparison_clear(&c);
    ib_record_clear(&a);
    ib_record_clear(&b);
}

static void test_verdicts_of_pairs(void **state) {
    static const struct {
        uint64_t a, b;
        size_t pairs;
        ib_stats_verdict verdict;
        bool regression, enough;
    } rows[] = {
        {10000, 10500, 10, IB_STATS_SLOWER, true, true},
        {10500, 10000, 10, IB_STATS_FASTER, false, true},
        {10000, 10000, 10, IB_STATS_SAME, false, true},
        {10000, 10150, 10, IB_STATS_SLOWER, false, true}, /* 1.5 %: below the gate of 2 % */
        {10000, 10500, 9, IB_STATS_UNDECIDED, false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ib_comparison c;
        decide_pairs(&c, rows[i].pairs, rows[i].a, rows[i].b, 0.02);
        if (c.verdict != rows[i].verdict || c.regression != rows[i].regression ||
            c.enough != rows[i].enough)
            fail_msg("row %zu: %s, ratio %g %g %g, regression %d", i,
                     ib_stats_verdict_name(c.verdict), c.figures[c.primary].ratio.point,
                     c.figures[c.primary].ratio.lo, c.figures[c.primary].ratio.hi, c.regression);
        if (!c.enough)
            assert_true(c.runs_needed >= IB_COMPARE_MIN_RUNS);
        ib_comparison_clear(&c);
    }
}

/* One wild run of B hides the difference from Welch's means, not from ranks: the report names it.
 */
static void test_disagreement(void **state) {
    ib_record a, b;
    ib_comparison c;
    ib_buf text;
    ib_error err = {0};
    (void)state;
    record(&a, 10, 10000, 1);
    record(&b, 9, 10500, 2);
    add_run(&b.cells[0], 40, 100000, 3);
    decide_stored(&c, &a, &b, false);
    assert_true(c.figures[c.primary].p < 0.05 && c.welch.p > 0.05);
    ib_buf_init(&text);
    assert_int_equal(ib_comparison_text(&c, &text, &err), IB_OK);
    assert_non_null(strstr(text.ptr, "they disagree"));
    assert_non_null(strstr(text.ptr, "run 10 of B (100."));
    ib_buf_clear(&text);
    ib_comparison_clear(&c);
    ib_record_clear(&a);
    ib_record_clear(&b);
}

/* One thing changed in B: what it is called, and whether --across lets it pass. */
enum {
    SYNTHETIC,
    FINGERPRINT,
    PROMPT,
    IDS,
    BACKEND,
    QUANT,
    VERSION,
    ATTENTION,
    INVALID,
    N_CHANGES
};

static void change(ib_record *b, int what) {
    ib_cell *cell = &b->cells[0];
    switch (what) {
    case SYNTHETIC:
        cell->model.synthetic = true;
        break;
    case FINGERPRINT:
        free(cell->model.fingerprint);
        cell->model.fingerprint = fixture_text("another");
        break;
    case PROMPT:
        cell->prompt_ids[0] ^= 1;
        break;
    case IDS:
        for (size_t i = 0; i < cell->n_runs; i++) {
            cell->runs[i].output_ids[5] ^= 1;
            ib_run_record_hash(&cell->runs[i]);
        }
        break;
    case INVALID:
        cell->runs[3].finite = false;
        break;
    case BACKEND:
        free(cell->resolved.device);
        cell->resolved.device = fixture_text("xpu:0");
        break;
    case QUANT:
        cell->model.formats[0].bytes--;
        break;
    case VERSION:
        free(b->tool_version);
        b->tool_version = fixture_text("0.2.0");
        break;
    default:
        free(cell->resolved.attn);
        cell->resolved.attn = fixture_text("sdpa");
        break;
    }
}

static void test_differences(void **state) {
    static const struct {
        const char *what;
        bool refused, refused_across;
    } rows[N_CHANGES] = {[SYNTHETIC] = {"weights", true, true},
                         [FINGERPRINT] = {"model fingerprint", true, false},
                         [PROMPT] = {"prompt ids", true, false},
                         [IDS] = {"output ids (ids_sha256)", true, false},
                         [BACKEND] = {"backend", true, false},
                         [QUANT] = {"quantisation", true, false},
                         [VERSION] = {"tool version", true, false},
                         [ATTENTION] = {"attention", false, false},
                         [INVALID] = {"B is invalid", true, false}};
    (void)state;
    for (int i = 0; i < N_CHANGES; i++)
        for (int across = 0; across < 2; across++) {
            ib_record a, b;
            ib_comparison c;
            ib_buf text;
            ib_error err = {0};
            record(&a, 10, 10000, 1);
            record(&b, 10, 10000, 2);
            change(&b, i);
            decide_stored(&c, &a, &b, across != 0);
            assert_int_equal(c.n_differences, 1);
            assert_string_equal(c.differences[0].what, rows[i].what);
            assert_int_equal(c.refused, across ? rows[i].refused_across : rows[i].refused);
            ib_buf_init(&text);
            assert_int_equal(ib_comparison_text(&c, &text, &err), IB_OK);
            assert_non_null(strstr(text.ptr, rows[i].what));
            assert_int_equal(strstr(text.ptr, "REFUSED") != NULL, c.refused);
            ib_buf_clear(&text);
            ib_comparison_clear(&c);
            ib_record_clear(&a);
            ib_record_clear(&b);
        }
}

/* Every form holds verdict and names, and escapes what a label can hold. */
static void test_forms(void **state) {
    static const char hostile[] = "</title><script>alert(1)</script>|`x`\x1B[31m";
    (void)state;
    ib_comparison c;
    json_t *o = NULL;
    ib_buf text;
    ib_error err = {0};
    decide_pairs(&c, 12, 10000, 10500, NAN);
    assert_int_equal(ib_comparison_label(&c, 0, hostile, &err), IB_OK);
    assert_int_equal(ib_comparison_json(&c, &o, &err), IB_OK);
    ib_buf_init(&text);
    assert_int_equal(ib_comparison_html(&c, 1, o, &text, &err), IB_OK);
    assert_null(strstr(text.ptr, "<script"));
    assert_null(strchr(text.ptr, '\x1B'));
    assert_non_null(strstr(text.ptr, "SLOWER</span>"));
    assert_non_null(strstr(text.ptr, "&lt;script&gt;"));
    assert_non_null(strstr(text.ptr, "itl_p50_ms, primary: 1.0"));
    ib_buf_reset(&text);
    assert_int_equal(ib_comparison_markdown(&c, 1, &text, &err), IB_OK);
    assert_non_null(strstr(text.ptr, "A: &lt;/title&gt;&lt;script&gt;"));
    assert_non_null(strstr(text.ptr, "\\|\\`x\\`"));
    assert_null(strchr(text.ptr, '\x1B'));
    assert_non_null(strstr(text.ptr, "| 12 + 12 | SLOWER |"));
    ib_buf_reset(&text);
    assert_int_equal(ib_comparison_text(&c, &text, &err), IB_OK);
    /* a ratio above 1: the line of the primary metric has its ":" left of the "o" */
    const char *plot = strstr(text.ptr, "Intervals    ");
    assert_non_null(plot);
    plot = strchr(plot, '|');
    assert_true(plot && strchr(plot, ':') < strchr(plot, 'o'));
    assert_null(strchr(text.ptr, '\x1B'));
    ib_buf_clear(&text);
    json_decref(o);
    ib_comparison_clear(&c);
}

static void test_json(void **state) {
    ib_comparison c;
    json_t *o = NULL;
    ib_error err = {0};
    (void)state;
    decide_pairs(&c, 10, 10000, 10500, 0.02);
    assert_int_equal(ib_comparison_json(&c, &o, &err), IB_OK);
    assert_string_equal(json_string_value(json_object_get(o, "verdict")), "SLOWER");
    assert_int_equal(json_array_size(json_object_get(o, "order")), 10);
    const json_t *metric = json_object_get(json_object_get(o, "metrics"), "itl_p50_ms");
    assert_int_equal(json_array_size(json_object_get(metric, "a_ms")), 10);
    assert_true(json_is_null(json_object_get(metric, "p_holm")));
    assert_true(json_real_value(json_object_get(json_object_get(metric, "ratio"), "low")) > 1.04);
    assert_true(json_is_true(json_object_get(json_object_get(o, "fail_if_slower"), "slower")));
    json_decref(o);
    ib_comparison_clear(&c);
}

static void test_no_values(void **state) {
    ib_record a, b;
    ib_comparison c;
    ib_error err = {0};
    (void)state;
    fixture_record(&a, 1, "m");
    fixture_record(&b, 1, "m");
    assert_int_equal(ib_comparison_start(&c, false, 4, &err), IB_OK);
    assert_int_equal(ib_comparison_add_runs(&c, 0, &a.cells[0], &err), IB_OK);
    assert_int_equal(ib_comparison_add_runs(&c, 1, &b.cells[0], &err), IB_OK);
    assert_int_equal(ib_comparison_decide(&c, &err), IB_E_INVALID); /* one token has no gap */
    ib_comparison_clear(&c);
    ib_record_clear(&a);
    ib_record_clear(&b);
}

static void test_words(void **state) {
    static const struct {
        const char *text, *words[5];
    } rows[] = {
        {"", {NULL}},
        {"  --attn   sdpa\t", {"--attn", "sdpa"}},
        {"--prompt 'two words' -n 3", {"--prompt", "two words", "-n", "3"}},
        {"\"a \\\"b\\\" \\n\" c\\ d ''", {"a \"b\" \\n", "c d", ""}},
        {"$HOME `x` *", {"$HOME", "`x`", "*"}},
    };
    ib_error err = {0};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ib_words w = {0};
        size_t n = 0;
        assert_int_equal(ib_words_split(&w, rows[i].text, "a", &err), IB_OK);
        for (; rows[i].words[n]; n++) {
            assert_true(n < w.n);
            assert_string_equal(w.word[n], rows[i].words[n]);
        }
        assert_int_equal(w.n, n);
        ib_words_clear(&w);
    }
    ib_words w = {0};
    assert_int_equal(ib_words_split(&w, "a 'b", "b", &err), IB_E_USAGE);
    ib_words_clear(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_stored),
        cmocka_unit_test(test_verdicts_of_pairs),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_disagreement),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_no_values),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
