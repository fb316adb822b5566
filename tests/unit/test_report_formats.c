/* SPDX-License-Identifier: MIT
 * What the page and the other programs' formats are made of: ticks, histogram, base64, escaping;
 * members and figures of llama-bench, vllm and hyperfine; several records as one. */
#include "record_fixture.h"

#include "record/merge.h"
#include "report/report.h"
#include "report/samples.h"
#include "report/svg.h"

#include <math.h>

static const ib_report_options usual = {.print_median = true};

static char *render(const ib_record *r, const char *format) {
    ib_buf text;
    ib_error err = {0};
    ib_buf_init(&text);
    if (ib_report_find(format)->write(r, &usual, &text, &err) != IB_OK)
        fail_msg("%s: %s", format, err.text);
    return text.ptr;
}

static json_t *render_json(const ib_record *r, const char *format) {
    json_t *json = NULL;
    char *text = render(r, format);
    assert_int_equal(ib_json_parse(&json, ib_str_of(text), format, NULL), IB_OK);
    free(text);
    return json;
}

static void test_ticks(void **unused) {
    (void)unused;
    static const struct {
        double low, high;
        size_t about, n;
        double first, step;
        int digits;
    } rows[] = {
        {0, 100, 5, 6, 0, 20, 0},   {0, 1, 5, 6, 0, 0.2, 1}, {0.03, 0.0349, 5, 5, 0.03, 0.001, 3},
        {71, 166, 6, 5, 80, 20, 0}, {-5, 5, 5, 5, -4, 2, 0}, {1e9, 3e9, 2, 3, 1e9, 1e9, 0}};
    ib_svg_ticks t;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ib_svg_ticks_linear(rows[i].low, rows[i].high, rows[i].about, &t);
        assert_int_equal(t.n, rows[i].n);
        assert_int_equal(t.digits, rows[i].digits);
        for (size_t k = 0; k < t.n; k++) {
            double want = rows[i].first + (double)k * rows[i].step;
            assert_true(fabs(t.at[k] - want) <= 1e-9 * fabs(rows[i].step));
            assert_false(t.at[k] == 0 && signbit(t.at[k]));
        }
    }
    static const double bad[][2] = {{1, 1}, {2, 1}, {NAN, 1}, {0, INFINITY}};
    for (size_t i = 0; i < 4; i++) {
        ib_svg_ticks_linear(bad[i][0], bad[i][1], 5, &t);
        assert_int_equal(t.n, 0);
        ib_svg_ticks_log(bad[i][0], bad[i][1], &t);
        assert_int_equal(t.n, 0);
    }
    /* any range: inside, in order, never more than twice what was asked for */
    for (double low = 1e-9; low < 1e12; low *= 3.7)
        for (double span = 1.01; span < 1e6; span *= 5.3) {
            ib_svg_ticks_linear(low, low * span, 6, &t);
            assert_true(t.n >= 2 && t.n <= 12);
            for (size_t k = 1; k < t.n; k++)
                assert_true(t.at[k] > t.at[k - 1]);
            assert_true(t.at[0] >= low * (1 - 1e-6) && t.at[t.n - 1] <= low * span * (1 + 1e-6));
        }
    ib_svg_ticks_log(0.5, 2000, &t);
    assert_int_equal(t.n, 4);
    assert_true(t.at[0] == 1 && fabs(t.at[3] - 1000) < 1e-6);
    ib_svg_ticks_log(0.3, 12, &t); /* two powers: 0.5 1 2 5 10 */
    assert_int_equal(t.n, 5);
    ib_svg_ticks_log(1e-30, 1e30, &t);
    assert_true(t.n > 4 && t.n <= 12);
}

static void test_scale(void **unused) {
    (void)unused;
    const ib_svg_scale line = {10, 20, 100, 300, false}, logs = {1, 1000, 0, 3, true};
    assert_true(ib_svg_place(&line, 15) == 200);
    assert_true(fabs(ib_svg_place(&logs, 10) - 1) < 1e-12);
    assert_true(ib_svg_place(&logs, 0) == 0); /* below a log axis: its edge */
}

static void test_histogram(void **unused) {
    (void)unused;
    double x[1001];
    ib_histogram h;
    size_t n = 0;
    for (size_t i = 0; i < 1000; i++)
        x[i] = 10 + (double)i / 100;
    x[1000] = 500;
    ib_histogram_make(&h, x, 1001, NAN);
    assert_int_equal(h.above, 1);
    assert_true(h.low == 10 && h.high < 40);
    assert_true(h.n_bins > 8 && h.n_bins <= IB_HISTOGRAM_MAX);
    for (size_t i = 0; i < h.n_bins; i++)
        n += h.counts[i];
    assert_int_equal(n, 1000);
    ib_histogram_make(&h, x, 1001, 500); /* a percentile out there is kept on the axis */
    assert_int_equal(h.above, 0);
    assert_true(h.high == 500);
    for (size_t i = 0; i < 5; i++)
        x[i] = 7;
    ib_histogram_make(&h, x, 5, NAN);
    assert_int_equal(h.n_bins, 1);
    assert_int_equal(h.counts[0], 5);
    assert_true(h.width > 0);
    ib_histogram_make(&h, x, 1, NAN);
    assert_int_equal(h.counts[0], 1);
}

static void test_page(void **unused) {
    (void)unused;
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}}; /* RFC 4648 section 10 */
    ib_buf out;
    ib_error err = {0};
    ib_page p = {.out = &out, .err = &err};
    ib_buf_init(&out);
    for (size_t i = 0; i < 7; i++) {
        ib_buf_reset(&out);
        ib_page_base64(&p, rows[i][0], strlen(rows[i][0]));
        ib_page_text(&p, "|");
        assert_memory_equal(out.ptr, rows[i][1], strlen(rows[i][1]));
        assert_int_equal(out.len, strlen(rows[i][1]) + 1);
    }
    ib_buf_reset(&out);
    ib_page_name(&p, "<a href='x\"y'>&\n\x1B\xE2\x80\xAE\xFF");
    assert_string_equal(out.ptr,
                        "&lt;a href=&#39;x&quot;y&#39;&gt;&amp;\\x0A\\x1B\\u{202E}\xEF\xBF\xBD");
    ib_buf_reset(&out);
    ib_page_lines(&p, "a<\n\0\r\n\nb", 8);
    assert_string_equal(out.ptr, "a&lt;\n\\x00\\x0D\n\nb");
    ib_buf_reset(&out);
    ib_page_at(&p, -0.04);
    ib_page_text(&p, " ");
    ib_page_at(&p, NAN);
    ib_page_text(&p, " ");
    ib_page_at(&p, 12.34);
    assert_string_equal(out.ptr, "0 0 12.3");
    assert_int_equal(p.status, IB_OK);
    ib_page_put(&p, "%1100d", 1);
    assert_int_equal(p.status, IB_E_INTERNAL);
    ib_page_text(&p, "more");
    assert_string_equal(out.ptr, "0 0 12.3");
    ib_buf_clear(&out);
}

static double number(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    if (!json_is_number(v))
        fail_msg("no number %s", key);
    return json_number_value(v);
}

static const char *text_of(const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    assert_non_null(text);
    return text;
}

static void assert_near(double got, double want) {
    if (!(fabs(got - want) <= 1e-9 * fabs(want)))
        fail_msg("%.17g is not %.17g", got, want);
}

static void test_llama_bench(void **unused) {
    (void)unused;
    /* what compare-llama-bench.py demands, and joins by (NULL would equal nothing) */
    static const char *const keys[] = {
        "cpu_info",       "gpu_info",   "backends",      "n_gpu_layers", "tensor_buft_overrides",
        "model_filename", "model_type", "n_batch",       "n_ubatch",     "embeddings",
        "cpu_mask",       "cpu_strict", "poll",          "n_threads",    "type_k",
        "type_v",         "use_mmap",   "no_kv_offload", "split_mode",   "main_gpu",
        "tensor_split",   "flash_attn", "n_prompt",      "n_gen",        "n_depth",
        "build_commit",   "test_time",  "avg_ts",        "model_size",   "model_n_params",
        "build_number",   "avg_ns",     "stddev_ns",     "stddev_ts",    "no_op_offload"};
    ib_record r;
    fixture_record(&r, 40, "m");
    fixture_run(&r.cells[0], 40, 9);
    fixture_run(&r.cells[0], 40, 10)->warmup = true;
    json_t *rows = render_json(&r, "llama-bench");
    assert_int_equal(json_array_size(rows), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *row = json_array_get(rows, i);
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            if (!json_object_get(row, keys[k]) || json_is_null(json_object_get(row, keys[k])))
                fail_msg("row %zu has no %s", i, keys[k]);
        assert_int_equal(json_array_size(json_object_get(row, "samples_ns")), 2);
    }
    const json_t *pp = json_array_get(rows, 0), *tg = json_array_get(rows, 1);
    const ib_run_record *a = &r.cells[0].runs[0], *b = &r.cells[0].runs[1];
    assert_true(number(pp, "n_prompt") == 6 && number(pp, "n_gen") == 0);
    assert_true(number(pp, "n_depth") == 77 && number(tg, "n_depth") == 83);
    assert_true(number(tg, "n_prompt") == 0 && number(tg, "n_gen") == 39);
    double ts[2] = {39e9 / (double)(a->stamps_ns[40] - a->stamps_ns[1]),
                    39e9 / (double)(b->stamps_ns[40] - b->stamps_ns[1])};
    assert_near(number(tg, "avg_ts"), (ts[0] + ts[1]) / 2);
    assert_near(number(tg, "stddev_ts"), fabs(ts[0] - ts[1]) / sqrt(2));
    assert_near(number(pp, "avg_ns"), floor((double)(a->prefill_done_ns - a->stamps_ns[0] +
                                                     b->prefill_done_ns - b->stamps_ns[0]) /
                                            2));
    assert_string_equal(json_string_value(json_object_get(pp, "build_commit")), "01234567");
    assert_string_equal(json_string_value(json_object_get(pp, "model_type")), "llama 134.5M Q8_0");
    assert_string_equal(json_string_value(json_object_get(pp, "type_k")), "bf16");
    json_decref(rows);
    r.cells[0].model.synthetic = true;
    rows = render_json(&r, "llama-bench");
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "model_type")),
                        "llama 134.5M Q8_0 (synthetic)");
    json_decref(rows);
    ib_record_clear(&r);
}

static void test_vllm(void **unused) {
    (void)unused;
    ib_record r;
    fixture_record(&r, 40, "m");
    const ib_run_record *a = &r.cells[0].runs[0];
    json_t *o = render_json(&r, "vllm");
    const double e2e = (double)(a->stamps_ns[40] - a->stamps_ns[0]);
    const double decode = (double)(a->stamps_ns[40] - a->stamps_ns[1]);
    assert_near(number(o, "avg_latency"), e2e / 1e9);
    assert_near(number(json_object_get(o, "percentiles"), "99"), e2e / 1e9);
    assert_near(number(o, "mean_tpot_ms"), decode / 39e6);
    assert_near(number(o, "mean_itl_ms"), decode / 39e6);
    assert_near(number(o, "median_ttft_ms"), (e2e - decode) / 1e6);
    assert_near(number(o, "output_throughput"), 40e9 / e2e);
    assert_near(number(o, "total_token_throughput"), 46e9 / e2e);
    assert_true(number(o, "completed") == 1 && number(o, "std_ttft_ms") == 0);
    assert_int_equal(json_array_size(json_array_get(json_object_get(o, "itls"), 0)), 39);
    json_decref(o);
    ib_record_clear(&r);
}

static void test_hyperfine(void **unused) {
    (void)unused;
    ib_record r;
    fixture_record(&r, 40, "m");
    json_t *o = render_json(&r, "hyperfine");
    const json_t *one = json_array_get(json_object_get(o, "results"), 0);
    assert_string_equal(json_string_value(json_object_get(one, "command")), r.command);
    assert_true(json_is_null(json_object_get(one, "stddev"))); /* of one run */
    assert_true(json_is_null(json_object_get(one, "user")));
    json_decref(o);
    fixture_run(&r.cells[0], 40, 9);
    const ib_run_record *a = &r.cells[0].runs[0], *b = &r.cells[0].runs[1];
    const double x = (double)(a->stamps_ns[40] - a->stamps_ns[0]) / 1e9;
    const double y = (double)(b->stamps_ns[40] - b->stamps_ns[0]) / 1e9;
    o = render_json(&r, "hyperfine");
    one = json_array_get(json_object_get(o, "results"), 0);
    assert_near(number(one, "mean"), (x + y) / 2);
    assert_near(number(one, "median"), (x + y) / 2);
    assert_near(number(one, "stddev"), fabs(x - y) / sqrt(2));
    assert_near(number(one, "min"), fmin(x, y));
    assert_near(number(one, "max"), fmax(x, y));
    assert_int_equal(json_array_size(json_object_get(one, "exit_codes")), 2);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(one, "parameters"), "n_prompt")), "6");
    json_decref(o);
    ib_record_clear(&r);
}

/* Nothing that a name can hold becomes markup, and no page asks for anything from outside. */
static void test_hostile_page(void **unused) {
    (void)unused;
    static const char name[] = "\"><script>alert(1)</script><img src=//x onerror='y'>\x1B]0;t\x07"
                               "\xE2\x80\xAE"
                               "&amp;\xFF\r\n";
    ib_record r;
    fixture_record(&r, 40, name);
    ib_resolved *ran = &r.cells[0].resolved;
    char **texts[] = {&ran->device,
                      &ran->device_name,
                      &ran->attn,
                      &ran->dtype,
                      &ran->tier,
                      &r.command,
                      &r.tool_version,
                      &r.cells[0].model.family,
                      &r.cells[0].model.path,
                      &r.started_utc};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        free(*texts[i]);
        *texts[i] = fixture_text(name);
    }
    free(r.cells[0].output_text);
    r.cells[0].output_text = fixture_text(name);
    r.cells[0].n_output_text = strlen(name);
    memcpy(r.cells[0].load[0].name, "</td><script>", 14);
    memcpy(r.cells[0].model.formats[0].type, "<script>", 9);
    json_decref(r.environment);
    r.environment = json_pack("{s:{s:s, s:[s]}}", "<script>", "<script>", "<script>\x1B",
                              "'\"><script>", "<script>");
    assert_non_null(r.environment);
    char *page = render(&r, "html");
    static const char *const never[] = {"<script", "<img",         "onerror='", "\x1B",   "\x07",
                                        "\r",      "\xE2\x80\xAE", "http:",     "https:", "src=\"",
                                        "url(",    "@import",      "\xFF"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (strstr(page, never[i]))
            fail_msg("the page holds %s", never[i]);
    assert_non_null(strstr(page, "&lt;script&gt;alert(1)"));
    free(page);
    static const char *const programs[] = {"llama-bench", "vllm", "hyperfine"};
    for (size_t i = 0; i < 3; i++) {
        json_decref(render_json(&r, programs[i])); /* still JSON, and ASCII */
        page = render(&r, programs[i]);
        for (const char *p = page; *p; p++)
            assert_true(*p == '\n' || (*p >= ' ' && *p <= '~'));
        free(page);
    }
    ib_record_clear(&r);
}

static void test_spreadsheet(void **unused) {
    (void)unused;
    static const char *const rows[][2] = {
        {"=cmd()", "\n\"'=cmd()\","},    {"+1", "\n\"'+1\","},
        {"-2+3", "\n\"'-2+3\","},        {"@SUM(A1)", "\n\"'@SUM(A1)\","},
        {"a;=cmd()", "\n\"a;=cmd()\","}, {"a,\"b", "\n\"a,\"\"b\","},
        {"plain/name", "\nplain/name,"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ib_record r;
        fixture_record(&r, 3, rows[i][0]);
        char *text = render(&r, "csv");
        if (!strstr(text, rows[i][1]))
            fail_msg("%s in %s", rows[i][0], text);
        free(text);
        ib_record_clear(&r);
    }
}

static void test_merge(void **unused) {
    (void)unused;
    static const char *const names[] = {"a.json", "<b>.json", "c.json"};
    ib_record from[3], all;
    for (size_t i = 0; i < 3; i++)
        fixture_record(&from[i], 10 + i, names[i]);
    from[1].tool_commit[0] = 'f';
    from[2].started_utc[3] = '6';
    from[2].command[0] = 'I';
    assert_int_equal(ib_record_merge(&all, from, names, 3, NULL), IB_OK);
    assert_int_equal(all.n_cells, 3);
    assert_string_equal(all.cells[1].asked.model_id, "<b>.json");
    assert_string_equal(json_string_value(json_object_get(ib_record_merged(&all, 1), "file")),
                        "<b>.json");
    assert_null(ib_record_merged(&all, 3));
    json_t *rows = render_json(&all, "llama-bench"); /* each row is of its own build and time */
    assert_int_equal(json_array_size(rows), 6);
    assert_string_equal(text_of(json_array_get(rows, 0), "build_commit"), "01234567");
    assert_string_equal(text_of(json_array_get(rows, 2), "build_commit"), "f1234567");
    assert_string_equal(text_of(json_array_get(rows, 5), "build_commit"), "01234567");
    assert_string_equal(text_of(json_array_get(rows, 5), "test_time"), "2026-01-15T10:30:00Z");
    json_decref(rows);
    rows = render_json(&all, "hyperfine");
    assert_string_equal(text_of(json_array_get(json_object_get(rows, "results"), 2), "command"),
                        "Inferbench run -m example");
    json_decref(rows);
    rows = render_json(&all, "vllm");
    assert_string_equal(text_of(json_array_get(rows, 2), "date"), "2026-01-15T10:30:00Z");
    json_decref(rows);
    char *page = render(&all, "html");
    assert_non_null(strstr(page, "Side by side"));
    assert_non_null(strstr(page, "Record 2: &lt;b&gt;.json"));
    assert_null(strstr(page, "<b>.json"));
    free(page);
    for (size_t i = 0; i < 3; i++)
        ib_record_clear(&from[i]);
    ib_record_clear(&all);
    fixture_record(&from[0], 10, "alone");
    assert_int_equal(ib_record_merge(&all, from, names, 1, NULL), IB_OK);
    assert_string_equal(all.command, "inferbench run -m example");
    assert_null(ib_record_merged(&all, 0));
    ib_record_clear(&all);
    ib_record_clear(&from[0]);
}

/* No runs, one token, many tokens: the page says why something is not drawn. */
static void test_odd_cells(void **unused) {
    (void)unused;
    ib_cell *cell;
    ib_record r;
    fixture_record(&r, 1, "one token");
    assert_int_equal(ib_record_add_cell(&r, &cell, NULL), IB_OK);
    char *page = render(&r, "html");
    assert_non_null(strstr(page, "Not drawn: fewer than two tokens after the first."));
    assert_non_null(strstr(page, "limits were not measured"));
    assert_non_null(strstr(page, "no interval: fewer than 5 runs"));
    assert_null(strstr(page, "nan"));
    free(page);
    fixture_run(&r.cells[1], 4000, 3);
    r.cells[1].runs[0].stamps_ns[4000] += 5000000000;
    page = render(&r, "html");
    assert_non_null(strstr(page, "class=\"stripes\""));
    assert_non_null(strstr(page, "1 longer than the axis"));
    assert_null(strstr(page, "nan"));
    free(page);
    ib_record_clear(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticks),       cmocka_unit_test(test_scale),
        cmocka_unit_test(test_histogram),   cmocka_unit_test(test_page),
        cmocka_unit_test(test_llama_bench), cmocka_unit_test(test_vllm),
        cmocka_unit_test(test_hyperfine),   cmocka_unit_test(test_hostile_page),
        cmocka_unit_test(test_spreadsheet), cmocka_unit_test(test_merge),
        cmocka_unit_test(test_odd_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
