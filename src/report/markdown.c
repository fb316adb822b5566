/* SPDX-License-Identifier: MIT
 * A table with one row for each cell, then the reasons of every verdict that is not "valid". Names
 * are escaped for Markdown and for the HTML that it becomes. */
#include "report/writers.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char head[] =
    "| model | device | attention | dtype | compute | prompt | tokens | runs | TTFT ms | TPOT ms | "
    "ITL p50 ms | ITL p90 ms | ITL p99 ms | decode tok/s | prefill tok/s | MB/token | GB/s | MBU % "
    "| MFU % | decode limit | prefill limit | peak MiB | verdict |\n"
    "|---|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|---|--:|---|"
    "\n";

static ib_status add_name(const char *name, ib_buf *out, ib_error *err) {
    ib_buf safe;
    ib_buf_init(&safe);
    ib_status st = ib_report_name(name, &safe, err);
    for (size_t i = 0; i < safe.len && st == IB_OK; i++) {
        char c = safe.ptr[i];
        if (c == '<' || c == '>' || c == '&')
            st = ib_buf_adds(out, c == '<' ? "&lt;" : c == '>' ? "&gt;" : "&amp;", err);
        else if (strchr("\\|`*_[]()!#~", c))
            st = ib_buf_addf(out, err, "\\%c", c);
        else
            st = ib_buf_addc(out, c, err);
    }
    ib_buf_clear(&safe);
    return st;
}

static ib_status name_column(const char *name, ib_buf *out, ib_error *err) {
    IB_TRY(add_name(name, out, err));
    return ib_buf_adds(out, " | ", err);
}

static ib_status number_column(const char *number, ib_buf *out, ib_error *err) {
    return ib_buf_addf(out, err, "%s | ", number);
}

static ib_status percentile_column(double v, bool supported, const ib_summary *s, ib_buf *out,
                                   ib_error *err) {
    ib_number n;
    if (supported || s->n_itl == 0)
        return number_column(ib_report_ms(v, &n), out, err);
    return ib_buf_addf(out, err, "&gt;= %s | ", ib_report_ms(s->itl_max_ms, &n));
}

static ib_status row(const ib_cell *c, const ib_summary *s, ib_buf *out, ib_error *err) {
    ib_number n;
    IB_TRY(ib_buf_adds(out, "| ", err));
    IB_TRY(name_column(c->asked.model_id, out, err));
    IB_TRY(name_column(c->resolved.device, out, err));
    IB_TRY(name_column(c->resolved.attn, out, err));
    IB_TRY(name_column(c->resolved.dtype, out, err));
    IB_TRY(name_column(c->resolved.compute, out, err));
    IB_TRY(
        ib_buf_addf(out, err, "%" PRIu64 " | %zu | %zu | ", c->n_prompt_ids, s->n_gaps, s->n_runs));
    IB_TRY(number_column(ib_report_ms(s->ttft_ms, &n), out, err));
    IB_TRY(number_column(ib_report_ms(s->tpot_ms, &n), out, err));
    IB_TRY(percentile_column(s->itl_p50_ms, s->itl_p50_supported, s, out, err));
    IB_TRY(percentile_column(s->itl_p90_ms, s->itl_p90_supported, s, out, err));
    IB_TRY(percentile_column(s->itl_p99_ms, s->itl_p99_supported, s, out, err));
    IB_TRY(number_column(ib_report_number(s->decode_tok_s, 2, &n), out, err));
    IB_TRY(number_column(ib_report_number(s->prefill_tok_s, 1, &n), out, err));
    IB_TRY(number_column(ib_report_number(s->bytes_per_token / 1e6, 2, &n), out, err));
    IB_TRY(number_column(ib_report_number(s->read_gbps, 2, &n), out, err));
    IB_TRY(number_column(ib_report_number(s->mbu * 100, 1, &n), out, err));
    IB_TRY(number_column(ib_report_number(s->mfu * 100, 1, &n), out, err));
    IB_TRY(name_column(s->decode_limit.binds, out, err));
    IB_TRY(name_column(s->prefill_limit.binds, out, err));
    IB_TRY(number_column(ib_report_mib(c->memory.peak_total, &n), out, err));
    return ib_buf_addf(out, err, "%s |\n", s->verdict);
}

static ib_status reasons(size_t number, const ib_summary *s, ib_buf *out, ib_error *err) {
    if (s->n_reasons == 0)
        return IB_OK;
    IB_TRY(ib_buf_addf(out, err, "\nRow %zu is %s: ", number, s->verdict));
    for (size_t i = 0; i < s->n_reasons; i++) {
        IB_TRY(ib_buf_adds(out, i ? "; " : "", err));
        IB_TRY(add_name(s->reasons[i], out, err));
    }
    return ib_buf_adds(out, ".\n", err);
}

ib_status ib_report_markdown(const ib_record *r, const ib_report_options *o, ib_buf *out,
                             ib_error *err) {
    ib_summary s;
    (void)o;
    IB_TRY(ib_buf_adds(out, head, err));
    for (size_t i = 0; i < r->n_cells; i++) {
        IB_TRY(ib_summarise(&s, &r->cells[i], NULL, 0, err));
        IB_TRY(row(&r->cells[i], &s, out, err));
    }
    for (size_t i = 0; i < r->n_cells; i++) {
        IB_TRY(ib_summarise(&s, &r->cells[i], NULL, 0, err));
        IB_TRY(reasons(i + 1, &s, out, err));
    }
    return IB_OK;
}
