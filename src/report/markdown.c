/* SPDX-License-Identifier: MIT
 * A table with one row for each cell, then the reasons of every verdict that is not "valid". Names
 * are escaped for Markdown and for the HTML that it becomes. */
#include "report/profile.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct column {
    const char *name;
    bool number;
} column;

static const column left[] = {{"model", false}, {"device", false},  {"attention", false},
                              {"dtype", false}, {"compute", false}, {"prompt", true},
                              {"tokens", true}, {"runs", true},     {"TTFT ms", true},
                              {"TPOT ms", true}};
static const column right[] = {{"decode tok/s", true},  {"prefill tok/s", true},
                               {"MB/token", true},      {"GB/s", true},
                               {"MBU %", true},         {"MFU %", true},
                               {"decode limit", false}, {"prefill limit", false},
                               {"peak MiB", true},      {"verdict", false}};

static ib_status rule(const column *c, size_t n, ib_buf *out, ib_error *err) {
    for (size_t i = 0; i < n; i++)
        IB_TRY(ib_buf_adds(out, c[i].number ? "|--:" : "|---", err));
    return IB_OK;
}

/* The percentiles between left and right are those of s. */
static ib_status head(const ib_summary *s, ib_buf *out, ib_error *err) {
    enum { N_LEFT = sizeof left / sizeof *left, N_RIGHT = sizeof right / sizeof *right };
    char name[40];
    for (size_t i = 0; i < N_LEFT; i++)
        IB_TRY(ib_buf_addf(out, err, "| %s ", left[i].name));
    for (size_t i = 0; i < s->n_shown; i++) {
        ib_percentile_name(s->itl[s->shown[i]].q, name);
        IB_TRY(ib_buf_addf(out, err, "| ITL %s ms ", name));
    }
    for (size_t i = 0; i < N_RIGHT; i++)
        IB_TRY(ib_buf_addf(out, err, "| %s ", right[i].name));
    IB_TRY(ib_buf_adds(out, "|\n", err));
    IB_TRY(rule(left, N_LEFT, out, err));
    for (size_t i = 0; i < s->n_shown; i++)
        IB_TRY(ib_buf_adds(out, "|--:", err));
    IB_TRY(rule(right, N_RIGHT, out, err));
    return ib_buf_adds(out, "|\n", err);
}

ib_status ib_report_markdown_name(const char *name, ib_buf *out, ib_error *err) {
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
    IB_TRY(ib_report_markdown_name(name, out, err));
    return ib_buf_adds(out, " | ", err);
}

static ib_status number_column(const char *number, ib_buf *out, ib_error *err) {
    return ib_buf_addf(out, err, "%s | ", number);
}

/* "-" where the gaps do not support it; a note below the table says what it would need. */
static ib_status percentile_column(const ib_itl_percentile *p, const ib_summary *s, ib_buf *out,
                                   ib_error *err) {
    ib_number n;
    bool edge = p->needs == UINT64_MAX && s->n_itl; /* p0, p100: what was seen */
    double v = edge ? p->q > 50 ? s->itl_max_ms : s->itl_min_ms : p->supported ? p->ms : NAN;
    return number_column(ib_report_ms(v, &n), out, err);
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
    for (size_t i = 0; i < s->n_shown; i++)
        IB_TRY(percentile_column(&s->itl[s->shown[i]], s, out, err));
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
        IB_TRY(ib_report_markdown_name(s->reasons[i], out, err));
    }
    return ib_buf_adds(out, ".\n", err);
}

static ib_status too_few(size_t number, const ib_summary *s, ib_buf *out, ib_error *err) {
    char name[40];
    ib_number n;
    for (size_t i = 0; i < s->n_shown; i++) {
        const ib_itl_percentile *p = &s->itl[s->shown[i]];
        if (p->supported || p->needs == UINT64_MAX || !s->n_itl)
            continue;
        ib_percentile_name(p->q, name);
        return ib_buf_addf(
            out, err,
            "\nRow %zu has no %s: it needs %" PRIu64 " independent gaps, and these are worth %s.\n",
            number, name, p->needs, ib_report_number(floor(s->n_itl_effective), 0, &n));
    }
    return IB_OK;
}

ib_status ib_report_markdown(const ib_record *r, const ib_report_options *o, ib_buf *out,
                             ib_error *err) {
    ib_summary s;
    const ib_cell none = {0};
    IB_TRY(ib_summarise(&s, &none, o->percentiles, o->n_percentiles, err));
    IB_TRY(head(&s, out, err));
    for (size_t i = 0; i < r->n_cells; i++) {
        IB_TRY(ib_summarise(&s, &r->cells[i], o->percentiles, o->n_percentiles, err));
        IB_TRY(row(&r->cells[i], &s, out, err));
    }
    for (size_t i = 0; i < r->n_cells; i++) {
        IB_TRY(ib_summarise(&s, &r->cells[i], o->percentiles, o->n_percentiles, err));
        IB_TRY(reasons(i + 1, &s, out, err));
        IB_TRY(too_few(i + 1, &s, out, err));
    }
    for (size_t i = 0; i < r->n_cells; i++)
        IB_TRY(ib_report_profile_markdown(i + 1, &r->cells[i].profile, out, err));
    return IB_OK;
}
