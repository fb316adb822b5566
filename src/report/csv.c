/* SPDX-License-Identifier: MIT
 * One row for each cell (RFC 4180 quoting, "\n" line ends). A text that a spreadsheet would take
 * for a formula gets an apostrophe in front; numbers are the shortest text that reads back the
 * same; a figure that does not exist is empty. */
#include "report/writers.h"

#include "stats/quantile.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

typedef enum column_kind { TEXT, COUNT, SIZE, FLAG, FIGURE, WORD, PERCENTILES } column_kind;

typedef struct column {
    const char *name;
    column_kind kind;
    size_t offset; /* TEXT, COUNT, FLAG: in ib_cell; SIZE, FIGURE, WORD: in ib_summary */
} column;

#define CELL(name, kind, member)                                                                   \
    { name, kind, offsetof(ib_cell, member) }
#define FIGURE_OF(member)                                                                          \
    { #member, FIGURE, offsetof(ib_summary, member) }

static const column columns[] = {
    CELL("model_id", TEXT, asked.model_id),
    CELL("revision", TEXT, model.revision),
    CELL("fingerprint", TEXT, model.fingerprint),
    CELL("synthetic", FLAG, model.synthetic),
    CELL("quant", TEXT, asked.quant),
    CELL("device", TEXT, resolved.device),
    CELL("device_name", TEXT, resolved.device_name),
    CELL("attention", TEXT, resolved.attn),
    CELL("dtype", TEXT, resolved.dtype),
    CELL("compute", TEXT, resolved.compute),
    CELL("tier", TEXT, resolved.tier),
    CELL("threads", COUNT, resolved.n_threads),
    CELL("n_batch", COUNT, asked.n_batch),
    CELL("n_prompt", COUNT, n_prompt_ids),
    CELL("n_depth", COUNT, asked.n_depth),
    {"n_tokens", SIZE, offsetof(ib_summary, n_gaps)},
    {"n_runs", SIZE, offsetof(ib_summary, n_runs)},
    FIGURE_OF(load_ms),
    FIGURE_OF(ttft_ms),
    {"ttft_low_ms", FIGURE, offsetof(ib_summary, ttft_interval.low)},
    {"ttft_high_ms", FIGURE, offsetof(ib_summary, ttft_interval.high)},
    FIGURE_OF(ttft_from_text_ms),
    FIGURE_OF(prefill_ms),
    FIGURE_OF(tpot_ms),
    {"tpot_low_ms", FIGURE, offsetof(ib_summary, tpot_interval.low)},
    {"tpot_high_ms", FIGURE, offsetof(ib_summary, tpot_interval.high)},
    FIGURE_OF(itl_min_ms),
    {NULL, PERCENTILES, 0}, /* one for each: itl_p50_ms ... */
    FIGURE_OF(itl_max_ms),
    FIGURE_OF(itl_mean_ms),
    FIGURE_OF(decode_tok_s),
    FIGURE_OF(prefill_tok_s),
    FIGURE_OF(e2e_tok_s),
    FIGURE_OF(bytes_per_token),
    FIGURE_OF(read_gbps),
    FIGURE_OF(mbu),
    FIGURE_OF(mbu_of_peak),
    FIGURE_OF(prefill_gflops),
    FIGURE_OF(mfu),
    {"decode_limit", WORD, offsetof(ib_summary, decode_limit.binds)},
    {"prefill_limit", WORD, offsetof(ib_summary, prefill_limit.binds)},
    FIGURE_OF(decode_call_ms),
    FIGURE_OF(pick_call_ms),
    FIGURE_OF(detokenize_ms),
    CELL("weights_bytes", COUNT, memory.weights),
    CELL("kv_bytes", COUNT, memory.kv),
    CELL("scratch_bytes", COUNT, memory.scratch),
    CELL("peak_total_bytes", COUNT, memory.peak_total),
    CELL("vm_hwm_bytes", COUNT, memory.vm_hwm),
};
enum { N_COLUMNS = sizeof columns / sizeof *columns };

static ib_status add_quoted(const char *text, ib_buf *out, ib_error *err) {
    if (!text[strcspn(text, ",;\"'\t\r\n ")] && !strchr("=+-@", text[0]))
        return ib_buf_adds(out, text, err);
    IB_TRY(ib_buf_addc(out, '"', err));
    if (text[0] && strchr("=+-@", text[0]))
        IB_TRY(ib_buf_addc(out, '\'', err));
    for (const char *p = text; *p; p++) {
        if (*p == '"')
            IB_TRY(ib_buf_addc(out, '"', err));
        IB_TRY(ib_buf_addc(out, *p, err));
    }
    return ib_buf_addc(out, '"', err);
}

static ib_status add_text(const char *text, ib_buf *out, ib_error *err) {
    ib_buf safe;
    if (!text || !*text)
        return IB_OK;
    ib_buf_init(&safe);
    ib_status st = ib_report_name(text, &safe, err);
    if (st == IB_OK)
        st = add_quoted(safe.ptr, out, err);
    ib_buf_clear(&safe);
    return st;
}

static ib_status add_figure(double v, ib_buf *out, ib_error *err) {
    char number[32];
    if (!isfinite(v))
        return IB_OK;
    (void)ib_stats_repr(v, number);
    return ib_buf_adds(out, number, err);
}

/* A percentile without enough samples is left empty; p0 and p100 are what was seen. */
static ib_status add_percentiles(const ib_summary *s, ib_buf *out, ib_error *err) {
    for (size_t i = 0; i < s->n_shown; i++) {
        const ib_itl_percentile *p = &s->itl[s->shown[i]];
        bool edge = p->needs == UINT64_MAX && s->n_itl;
        if (i)
            IB_TRY(ib_buf_addc(out, ',', err));
        IB_TRY(add_figure(p->supported ? p->ms
                          : !edge      ? NAN
                          : p->q > 50  ? s->itl_max_ms
                                       : s->itl_min_ms,
                          out, err));
    }
    return IB_OK;
}

static ib_status add_head(const ib_summary *s, ib_buf *out, ib_error *err) {
    char name[40];
    for (size_t i = 0; i < N_COLUMNS; i++) {
        if (columns[i].kind != PERCENTILES)
            IB_TRY(ib_buf_addf(out, err, "%s,", columns[i].name));
        for (size_t k = 0; columns[i].kind == PERCENTILES && k < s->n_shown; k++) {
            ib_percentile_name(s->itl[s->shown[k]].q, name);
            IB_TRY(ib_buf_addf(out, err, "itl_%s_ms,", name));
        }
    }
    return ib_buf_adds(out, "ids_sha256,verdict,reasons\n", err);
}

static ib_status add_value(const ib_cell *cell, const ib_summary *s, const column *c, ib_buf *out,
                           ib_error *err) {
    const void *in_cell = (const char *)cell + c->offset;
    const void *in_summary = (const char *)s + c->offset;
    switch (c->kind) {
    case TEXT:
        return add_text(*(char *const *)in_cell, out, err);
    case WORD:
        return add_text(*(const char *const *)(const void *)((const char *)s + c->offset), out,
                        err);
    case COUNT:
        return ib_buf_addf(out, err, "%" PRIu64, *(const uint64_t *)in_cell);
    case FLAG:
        return ib_buf_adds(out, *(const bool *)in_cell ? "true" : "false", err);
    case SIZE:
        return ib_buf_addf(out, err, "%zu", *(const size_t *)in_summary);
    case FIGURE:
        return add_figure(*(const double *)in_summary, out, err);
    case PERCENTILES:
        return add_percentiles(s, out, err);
    }
    return IB_OK;
}

static ib_status add_reasons(const ib_summary *s, ib_buf *out, ib_error *err) {
    ib_buf all;
    ib_status st = IB_OK;
    ib_buf_init(&all);
    for (size_t i = 0; i < s->n_reasons && st == IB_OK; i++)
        st = ib_buf_addf(&all, err, "%s%s", i ? "; " : "", s->reasons[i]);
    if (st == IB_OK)
        st = add_text(all.ptr, out, err);
    ib_buf_clear(&all);
    return st;
}

ib_status ib_report_csv(const ib_record *r, const ib_report_options *o, ib_buf *out,
                        ib_error *err) {
    ib_summary s;
    const ib_cell none = {0};
    IB_TRY(ib_summarise(&s, &none, o->percentiles, o->n_percentiles, err));
    IB_TRY(add_head(&s, out, err));
    for (size_t i = 0; i < r->n_cells; i++) {
        const ib_cell *cell = &r->cells[i];
        const ib_run_record *run = ib_cell_first_measured(cell);
        IB_TRY(ib_summarise(&s, cell, o->percentiles, o->n_percentiles, err));
        for (size_t k = 0; k < N_COLUMNS; k++) {
            IB_TRY(add_value(cell, &s, &columns[k], out, err));
            IB_TRY(ib_buf_addc(out, ',', err));
        }
        IB_TRY(ib_buf_addf(out, err, "%s,%s,", run ? run->ids_sha256 : "", s.verdict));
        IB_TRY(add_reasons(&s, out, err));
        IB_TRY(ib_buf_addc(out, '\n', err));
    }
    return IB_OK;
}
