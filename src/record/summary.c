/* SPDX-License-Identifier: MIT
 * Stamps -> figures. Integers until the last step: a gap is a difference of stamps, only then a
 * double. Runs are the unit: a figure of several runs is the median of the runs' figures
 * (measurement.md section 4.2); rates come from times, never from averaged rates. */
#include "record/summary.h"

#include "stats/dependence.h"
#include "stats/interval.h"
#include "stats/quantile.h"

#include "record/verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double default_percentiles[] = {10, 25, 50, 75, 90};

static const double standard[IB_SUMMARY_STANDARD] = {50, 90, 95, 99, 99.9};

/* Figures of one run, then columns of them over runs; percentiles of ITL from ITL on. */
enum {
    TTFT,
    FROM_TEXT,
    PREFILL,
    TPOT,
    E2E_RATE,
    DECODE_CALL,
    PICK_CALL,
    ITL,
    N_FIGURES = ITL + IB_SUMMARY_STANDARD + IB_SUMMARY_MAX_PERCENTILES
};

static bool counts(const ib_run_record *r, bool complete_only) {
    return !r->warmup && r->n_tokens > 0 && (!complete_only || !r->cancelled);
}

static bool any_complete(const ib_cell *cell) {
    for (size_t i = 0; i < cell->n_runs; i++)
        if (counts(&cell->runs[i], true))
            return true;
    return false;
}

const ib_run_record *ib_cell_first_measured(const ib_cell *cell) {
    bool complete = any_complete(cell);
    for (size_t i = 0; i < cell->n_runs; i++)
        if (counts(&cell->runs[i], complete))
            return &cell->runs[i];
    return NULL;
}

bool ib_cell_counts_run(const ib_cell *cell, size_t run) {
    return counts(&cell->runs[run], any_complete(cell));
}

void ib_percentile_name(double q, char out[40]) {
    out[0] = 'p';
    if (q == floor(q))
        (void)ib_stats_fixed(q, 0, out + 1, 39);
    else
        (void)ib_stats_repr(q, out + 1);
}

static double ms(uint64_t ns) {
    return (double)ns / 1e6;
}

/* The script's own figures: gaps in seconds, first one included. */
static void as_reference(ib_summary *s, const ib_run_record *r, double *gaps) {
    size_t n = (size_t)r->n_tokens;
    for (size_t i = 0; i < n; i++)
        gaps[i] = (double)(r->stamps_ns[i + 1] - r->stamps_ns[i]) / 1e9;
    ib_stats_sort(gaps, n);
    s->n_gaps = n;
    s->ref_median_ms = ib_stats_round_numpy(ib_stats_median(gaps, n) * 1000, 2);
    for (size_t i = 0; i < s->n_percentiles; i++)
        s->ref_percentile_ms[i] =
            ib_stats_round_python(1000 * ib_stats_percentile(gaps, n, s->percentiles[i]), 1);
}

/* One run into f[N_FIGURES]; gaps and work are room for its gaps. */
static void one_run(ib_summary *s, const ib_run_record *r, double *gaps, double *work,
                    double f[N_FIGURES]) {
    const uint64_t *t = r->stamps_ns;
    size_t n = (size_t)r->n_tokens, n_itl = n - 1;
    f[TTFT] = ms(t[1] - t[0]);
    f[FROM_TEXT] = ms(t[1] - t[0] + r->render_ns + r->tokenize_ns);
    f[PREFILL] = r->prefill_done_ns ? ms(r->prefill_done_ns - t[0]) : f[TTFT];
    f[TPOT] = n_itl ? ms(t[n] - t[1]) / (double)n_itl : NAN;
    f[E2E_RATE] = t[n] > t[0] ? (double)n * 1e9 / (double)(t[n] - t[0]) : NAN;
    const bool split = n_itl && r->decode_call_ns + r->pick_call_ns;
    f[DECODE_CALL] = split ? ms(r->decode_call_ns) / (double)n_itl : NAN;
    f[PICK_CALL] = split ? ms(r->pick_call_ns) / (double)n_itl : NAN;
    for (size_t i = 0; i < n_itl; i++)
        gaps[i] = ms(t[i + 2] - t[i + 1]);
    double effective = ib_stats_n_eff(n_itl, ib_stats_lag1_level(gaps, n_itl, work));
    s->n_itl_effective = fmin(s->n_itl_effective, effective);
    s->n_itl = n_itl < s->n_itl ? n_itl : s->n_itl;
    ib_stats_sort(gaps, n_itl);
    for (size_t i = 0; i < s->n_itl_percentiles; i++)
        f[ITL + i] = ib_stats_percentile(gaps, n_itl, s->itl[i].q);
}

typedef struct totals { /* over all measured runs */
    uint64_t itl_ns, n_itl, itl_min_ns, itl_max_ns;
} totals;

static void add_totals(totals *sum, const ib_run_record *r) {
    for (uint64_t i = 2; i <= r->n_tokens; i++) {
        uint64_t gap = r->stamps_ns[i] - r->stamps_ns[i - 1];
        sum->itl_min_ns = sum->n_itl && sum->itl_min_ns < gap ? sum->itl_min_ns : gap;
        sum->itl_max_ns = sum->itl_max_ns > gap ? sum->itl_max_ns : gap;
        sum->itl_ns += gap;
        sum->n_itl++;
    }
}

/* Median of column c of rows[n], and the interval of its centre (ib_stats_t_log_interval). */
static double over_runs(const double (*rows)[N_FIGURES], size_t n, int c, double *column,
                        ib_interval *interval) {
    for (size_t i = 0; i < n; i++)
        column[i] = rows[i][c];
    if (interval) {
        ib_stats_interval t = {NAN, NAN, NAN};
        if (n >= IB_INTERVAL_MIN_RUNS)
            t = ib_stats_t_log_interval(column, n, 0.05, column + n);
        *interval = (ib_interval){t.lo, t.hi};
    }
    ib_stats_sort(column, n);
    return ib_stats_median(column, n);
}

static void itl_figures(ib_summary *s, const double (*rows)[N_FIGURES], double *column,
                        const totals *sum) {
    for (size_t i = 0; i < s->n_itl_percentiles; i++) {
        ib_itl_percentile *p = &s->itl[i];
        p->ms = over_runs(rows, s->n_runs, ITL + (int)i, column, &p->interval);
        p->needs = ib_stats_min_n(p->q, IB_STATS_TAIL_95);
        p->supported = s->n_itl > 0 && s->n_itl_effective >= (double)p->needs;
    }
    s->itl_p50_ms = s->itl[0].ms;
    s->itl_p90_ms = s->itl[1].ms;
    s->itl_p95_ms = s->itl[2].ms;
    s->itl_p99_ms = s->itl[3].ms;
    s->itl_p50_supported = s->itl[0].supported;
    s->itl_p90_supported = s->itl[1].supported;
    s->itl_p95_supported = s->itl[2].supported;
    s->itl_p99_supported = s->itl[3].supported;
    s->itl_min_ms = sum->n_itl ? ms(sum->itl_min_ns) : NAN;
    s->itl_max_ms = sum->n_itl ? ms(sum->itl_max_ns) : NAN;
    s->itl_mean_ms = sum->n_itl ? ms(sum->itl_ns) / (double)sum->n_itl : NAN;
}

static void corrected(ib_summary *s, const ib_cell *cell, const double (*rows)[N_FIGURES],
                      double *column, const totals *sum) {
    size_t n = s->n_runs;
    const ib_run_record *first = ib_cell_first_measured(cell);
    double n_seqs = first ? (double)first->n_seqs : 1;
    s->ttft_ms = over_runs(rows, n, TTFT, column, &s->ttft_interval);
    s->ttft_from_text_ms = over_runs(rows, n, FROM_TEXT, column, NULL);
    s->prefill_ms = over_runs(rows, n, PREFILL, column, &s->prefill_interval);
    s->tpot_ms = over_runs(rows, n, TPOT, column, &s->tpot_interval);
    s->e2e_tok_s = over_runs(rows, n, E2E_RATE, column, NULL) * n_seqs;
    itl_figures(s, rows, column, sum);
    s->decode_tok_s = s->tpot_ms > 0 ? n_seqs * 1000 / s->tpot_ms : NAN;
    s->prefill_tok_s =
        s->prefill_ms > 0 ? n_seqs * (double)cell->n_prompt_ids * 1000 / s->prefill_ms : NAN;
    double step = cell->model.step_total ? (double)cell->model.step_total : NAN;
    s->bytes_per_token = step / n_seqs;
    s->read_gbps = s->tpot_ms > 0 ? step / (s->tpot_ms * 1e6) : NAN;
    s->mbu = cell->probe.read_gbps > 0 ? s->read_gbps / cell->probe.read_gbps : NAN;
    s->prefill_gflops = cell->model.prefill_flops > 0 && s->prefill_ms > 0
                            ? cell->model.prefill_flops / (s->prefill_ms * 1e6)
                            : NAN;
    s->mfu = cell->probe.flops > 0 ? s->prefill_gflops * 1e9 / cell->probe.flops : NAN;
    s->mbu_of_peak = cell->asked.peak_gbps > 0 ? s->read_gbps / cell->asked.peak_gbps : NAN;
    s->decode_call_ms = over_runs(rows, n, DECODE_CALL, column, NULL);
    s->pick_call_ms = over_runs(rows, n, PICK_CALL, column, NULL);
    s->detokenize_ms =
        first && first->detokenize_ns
            ? ms(first->detokenize_ns) / (double)(first->n_tokens + cell->n_prompt_ids)
            : NAN;
    ib_summary_limits(s, cell);
}

static bool same_ids(const ib_run_record *a, const ib_run_record *b) {
    return a->n_tokens == b->n_tokens && a->n_seqs == b->n_seqs &&
           memcmp(a->output_ids, b->output_ids,
                  (size_t)(a->n_tokens * a->n_seqs) * sizeof *a->output_ids) == 0;
}

static bool all_ids_equal(const ib_cell *cell) {
    const ib_run_record *first = NULL;
    for (size_t i = 0; i < cell->n_runs; i++) {
        const ib_run_record *r = &cell->runs[i];
        if (r->cancelled || !r->output_ids)
            continue;
        if (first && !same_ids(first, r))
            return false;
        first = first ? first : r;
    }
    return true;
}

/* Where the ids agree: nearly the same largest logits. */
static bool near_logits(const ib_run_record *a, const ib_run_record *b) {
    for (size_t i = 0; i < a->n_top && i < b->n_top; i++)
        if (fabs((double)a->top[i].value - (double)b->top[i].value) > IB_GATE_LOGIT)
            return false;
    return true;
}

static bool all_logits_equal(const ib_cell *cell) {
    const ib_run_record *first = NULL;
    for (size_t i = 0; i < cell->n_runs; i++) {
        const ib_run_record *r = &cell->runs[i];
        if (r->cancelled || r->n_top == 0)
            continue;
        if (first && first->n_tokens == r->n_tokens && !near_logits(first, r))
            return false;
        first = first ? first : r;
    }
    return true;
}

static void no_runs(ib_summary *s) {
    s->ref_median_ms = s->ttft_ms = s->ttft_from_text_ms = s->prefill_ms = s->tpot_ms = NAN;
    for (size_t i = 0; i < s->n_percentiles; i++)
        s->ref_percentile_ms[i] = NAN;
}

static size_t longest_run(const ib_cell *cell) {
    uint64_t longest = 0;
    for (size_t i = 0; i < cell->n_runs; i++)
        longest = cell->runs[i].n_tokens > longest ? cell->runs[i].n_tokens : longest;
    return (size_t)longest;
}

/* The standard percentiles, then those asked for that are not among them. */
static void choose_percentiles(ib_summary *s, bool asked) {
    for (size_t i = 0; i < IB_SUMMARY_STANDARD; i++) {
        s->itl[s->n_itl_percentiles++].q = standard[i];
        if (!asked)
            s->shown[s->n_shown++] = (unsigned char)i;
    }
    for (size_t i = 0; asked && i < s->n_percentiles; i++) {
        size_t at = 0;
        while (at < s->n_itl_percentiles && s->itl[at].q != s->percentiles[i])
            at++;
        if (at == s->n_itl_percentiles)
            s->itl[s->n_itl_percentiles++].q = s->percentiles[i];
        s->shown[s->n_shown++] = (unsigned char)at;
    }
}

ib_status ib_summarise(ib_summary *s, const ib_cell *cell, const double *percentiles,
                       size_t n_percentiles, ib_error *err) {
    bool complete = any_complete(cell);
    const ib_run_record *first = ib_cell_first_measured(cell);
    totals sum = {0};
    *s = (ib_summary){.percentiles = percentiles ? percentiles : default_percentiles,
                      .n_percentiles = percentiles ? n_percentiles : 5,
                      .n_itl = SIZE_MAX,
                      .n_itl_effective = INFINITY};
    if (s->n_percentiles > IB_SUMMARY_MAX_PERCENTILES)
        return ib_fail(err, IB_E_USAGE, "%zu percentiles asked for; fix: ask for at most %d",
                       s->n_percentiles, IB_SUMMARY_MAX_PERCENTILES);
    choose_percentiles(s, percentiles != NULL);
    size_t n_gaps = longest_run(cell);
    double *gaps = calloc(2 * n_gaps + 1, sizeof *gaps);
    double *column = calloc(2 * cell->n_runs + 1, sizeof *column);
    double(*rows)[N_FIGURES] = calloc(cell->n_runs + 1, sizeof *rows);
    if (!gaps || !column || !rows) {
        free(gaps);
        free(column);
        free(rows);
        return ib_fail_memory(err, n_gaps * sizeof *gaps, "the summary");
    }
    for (size_t i = 0; i < cell->n_runs; i++) {
        const ib_run_record *r = &cell->runs[i];
        if (!counts(r, complete))
            continue;
        one_run(s, r, gaps, gaps + n_gaps, rows[s->n_runs++]);
        add_totals(&sum, r);
    }
    if (!s->n_runs) {
        s->n_itl = 0;
        s->n_itl_effective = 0;
    }
    corrected(s, cell, (const double(*)[N_FIGURES])rows, column, &sum);
    if (first)
        as_reference(s, first, gaps);
    else
        no_runs(s);
    for (size_t i = 0; i < cell->n_load; i++)
        s->load_ms += ms(cell->load[i].ns);
    s->ids_equal = all_ids_equal(cell);
    s->logits_equal = all_logits_equal(cell);
    ib_status st = ib_steady_find(&s->steady, cell, err);
    if (st == IB_OK)
        ib_summary_judge(s, cell);
    free(gaps);
    free(column);
    free(rows);
    return st;
}
