/* SPDX-License-Identifier: MIT
 * The table of report formats, and what their writers share. */
#include "report/writers.h"

#include "stats/quantile.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const ib_report_format formats[] = {
    {"text", "the reference script's lines, then the corrected summary", ib_report_text},
    {"json", "the whole record: settings, environment, every time stamp, summary", ib_report_json},
    {"jsonl", "one record a line for each cell", ib_report_jsonl},
    {"csv", "one row of figures for each cell", ib_report_csv},
    {"markdown", "a table with one row for each cell", ib_report_markdown},
    {"llama-bench", "rows of llama-bench -o json", ib_report_llama_bench},
    {"vllm", "what vllm bench latency and serve write", ib_report_vllm},
    {"hyperfine", "what hyperfine --export-json writes", ib_report_hyperfine},
    {"html", "one self-contained page with charts", ib_report_html},
};

size_t ib_report_n_formats(void) {
    return sizeof formats / sizeof *formats;
}

const ib_report_format *ib_report_format_at(size_t i) {
    return i < ib_report_n_formats() ? &formats[i] : NULL;
}

const ib_report_format *ib_report_find(const char *name) {
    for (size_t i = 0; name && i < ib_report_n_formats(); i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

/* ib_quote decides what is unsafe; it cuts at 80 bytes, so it gets at most 16 at a time, which it
 * makes four times as long at worst. */
static ib_status add_quoted(const char *p, size_t n, ib_buf *out, ib_error *err) {
    char quoted[IB_QUOTED];
    const char *end = p + n;
    while (p < end) {
        size_t piece = 0;
        while (p + piece < end && piece <= 12) {
            uint32_t cp;
            size_t used = ib_utf8_decode(p + piece, end, &cp);
            piece += used ? used : 1;
        }
        IB_TRY(ib_buf_adds(out, ib_quote((ib_str){p, piece}, quoted), err));
        p += piece;
    }
    return IB_OK;
}

ib_status ib_report_name(const char *name, ib_buf *out, ib_error *err) {
    ib_buf clean;
    if (!name)
        return ib_buf_addc(out, '-', err);
    ib_buf_init(&clean);
    ib_status st = ib_record_utf8(ib_str_of(name), &clean, err);
    if (st == IB_OK && clean.len)
        st = add_quoted(clean.ptr, clean.len, out, err);
    ib_buf_clear(&clean);
    return st;
}

const char *ib_report_number(double v, int digits, ib_number *out) {
    if (!isfinite(v) || fabs(v) >= 1e18)
        (void)snprintf(out->text, sizeof out->text, "-");
    else
        (void)ib_stats_fixed(v, digits, out->text, sizeof out->text);
    return out->text;
}

const char *ib_report_ms(double ms, ib_number *out) {
    return ib_report_number(ms, fabs(ms) < 100 ? 2 : 1, out);
}

const char *ib_report_mib(uint64_t bytes, ib_number *out) {
    return ib_report_number((double)bytes / (1024 * 1024), 1, out);
}
