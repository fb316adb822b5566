/* SPDX-License-Identifier: MIT
 * See analysis.h. */
#include "record/analysis.h"

#include "stats/dependence.h"
#include "stats/interval.h"
#include "stats/order.h"
#include "stats/quantile.h"
#include "stats/spread.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *ib_run_metric_name(ib_run_metric m) {
    static const char *const names[] = {"ttft_ms",    "prefill_ms", "tpot_ms",
                                        "itl_p50_ms", "itl_p99_ms", "e2e_ms"};
    return names[m];
}

static double ms(uint64_t ns) {
    return (double)ns / 1e6;
}

typedef struct scratch {
    double *gaps, *sorted, *rest, *work; /* one block; gaps [longest], sorted, rest alike */
} scratch;

static size_t most(size_t a, size_t b) {
    return a > b ? a : b;
}

static ib_status scratch_new(scratch *s, size_t longest, size_t all, size_t n_runs, ib_error *err) {
    size_t work = most(IB_STATS_TREND_WORK(longest), IB_STATS_STEADY_WORK(longest));
    work = most(work, IB_STATS_BOOTSTRAP_WORK(longest, IB_ANALYSIS_ROUNDS));
    work = most(work, IB_STATS_STEADY_WORK(n_runs));
    work = most(work, IB_STATS_TREND_WORK(n_runs));
    work = most(work, all);
    s->gaps = malloc((3 * longest + work + 1) * sizeof *s->gaps); /* never read before written */
    if (!s->gaps)
        return ib_fail_memory(err, work * sizeof *s->gaps, "the statistics");
    s->sorted = s->gaps + longest;
    s->rest = s->sorted + longest;
    s->work = s->rest + longest;
    return IB_OK;
}

/* --- one run --- */

static void spread(ib_run_analysis *a, const ib_summary *s, const scratch *x) {
    size_t n = a->n;
    memcpy(x->sorted, x->gaps, n * sizeof *x->gaps);
    ib_stats_sort(x->sorted, n);
    a->min = n ? x->sorted[0] : NAN;
    a->mean = ib_stats_mean(x->gaps, n);
    a->stdev = ib_stats_stdev(x->gaps, n, 1);
    a->mad = ib_stats_mad(x->gaps, n, x->work);
    a->iqr = ib_stats_iqr(x->gaps, n, x->work);
    for (size_t i = 0; i < s->n_itl_percentiles; i++)
        a->percentile[i] = ib_stats_percentile(x->sorted, n, s->itl[i].q);
    ib_stats_stall stall = ib_stats_longest_stall(x->gaps, n, x->work);
    a->max = stall.value;
    a->stall_medians = stall.medians;
    a->stall_token = n ? stall.at + 2 : 0;
    a->slow_share = ib_stats_slow_share(x->gaps, n, x->work);
}

static void trend(ib_run_analysis *a, uint64_t first_at, const scratch *x) {
    size_t n = a->n;
    a->trend = ib_stats_theil_sen(x->gaps, n, IB_ANALYSIS_ALPHA, x->work);
    double middle = a->trend.intercept + a->trend.slope * ((double)n - 1) / 2;
    a->trend_percent = middle > 0 ? a->trend.slope * 1e5 / middle : NAN;
    a->residual_p50 = a->residual_p99 = NAN;
    if (n >= 2) {
        ib_stats_detrend(x->gaps, n, a->trend.slope, x->rest);
        ib_stats_sort(x->rest, n);
        a->residual_p50 = ib_stats_percentile(x->rest, n, 50);
        a->residual_p99 = ib_stats_percentile(x->rest, n, 99);
    }
    a->n_bins = n ? ib_stats_power_bins(x->gaps, n, first_at, a->bins, x->work) : 0;
}

static void dependence(ib_run_analysis *a, const scratch *x) {
    const ib_stats_bootstrap how = {50, IB_ANALYSIS_ALPHA, 0, IB_ANALYSIS_ROUNDS};
    ib_rng rng;
    ib_rng_init(&rng, IB_ANALYSIS_SEED);
    a->lag1 = ib_stats_lag1_level(x->gaps, a->n, x->work);
    a->n_effective = ib_stats_n_eff(a->n, a->lag1);
    ib_stats_interval p50 = ib_stats_bootstrap_quantile(x->gaps, a->n, &how, &rng, x->work);
    a->p50_interval = (ib_interval){p50.lo, p50.hi};
}

/* Keeps listed[] ordered by the distance from the nearer fence, the furthest first. */
static void list(ib_run_analysis *a, ib_unusual u, const ib_stats_fences *f) {
    double far = u.ms > f->mild_high ? u.ms - f->mild_high : f->mild_low - u.ms;
    size_t at = a->n_listed;
    for (; at; at--) {
        double other = a->listed[at - 1].ms > f->mild_high ? a->listed[at - 1].ms - f->mild_high
                                                           : f->mild_low - a->listed[at - 1].ms;
        if (other >= far)
            break;
        if (at < IB_ANALYSIS_MOST_LISTED)
            a->listed[at] = a->listed[at - 1];
    }
    if (at == IB_ANALYSIS_MOST_LISTED)
        return;
    a->listed[at] = u;
    if (a->n_listed < IB_ANALYSIS_MOST_LISTED)
        a->n_listed++;
}

static void outliers(ib_run_analysis *a, const scratch *x) {
    ib_stats_fences f = ib_stats_tukey_fences(x->gaps, a->n, x->work);
    for (size_t i = 0; i < a->n; i++) {
        ib_stats_label label = ib_stats_tukey_label(&f, x->gaps[i]);
        a->n_label[label]++;
        if (label != IB_STATS_USUAL)
            list(a, (ib_unusual){i + 2, x->gaps[i], label}, &f);
    }
}

static void one_run(ib_run_analysis *a, const ib_cell *cell, size_t run, const ib_summary *s,
                    const scratch *x) {
    const ib_run_record *r = &cell->runs[run];
    const uint64_t *t = r->stamps_ns;
    size_t n = (size_t)r->n_tokens;
    *a = (ib_run_analysis){.run = run, .n = n - 1};
    a->ttft_ms = ms(t[1] - t[0]);
    a->prefill_ms = r->prefill_done_ns ? ms(r->prefill_done_ns - t[0]) : a->ttft_ms;
    a->tpot_ms = n > 1 ? ms(t[n] - t[1]) / (double)(n - 1) : NAN;
    a->e2e_ms = ms(t[n] - t[0]);
    for (size_t i = 0; i + 1 < n; i++)
        x->gaps[i] = ms(t[i + 2] - t[i + 1]);
    spread(a, s, x);
    trend(a, cell->asked.n_depth + cell->n_prompt_ids + 1, x);
    dependence(a, x);
    a->steady = ib_stats_find_steady(x->gaps, a->n, true, x->work);
    outliers(a, x);
}

/* --- the runs --- */

static double metric(const ib_run_analysis *a, const ib_summary *s, ib_run_metric m) {
    switch (m) {
    case IB_RUN_TTFT:
        return a->ttft_ms;
    case IB_RUN_PREFILL:
        return a->prefill_ms;
    case IB_RUN_TPOT:
        return a->tpot_ms;
    case IB_RUN_ITL_P50:
        return s->itl[0].supported ? a->percentile[0] : NAN;
    case IB_RUN_ITL_P99:
        return s->itl[3].supported ? a->percentile[3] : NAN;
    case IB_RUN_E2E:
        return a->e2e_ms;
    case IB_RUN_METRICS:
        break;
    }
    return NAN;
}

static ib_interval rank_interval(const double *sorted, size_t n) {
    ib_stats_rank_interval r = ib_stats_percentile_ranks(n, 50, IB_ANALYSIS_ALPHA);
    if (!r.supported)
        return (ib_interval){NAN, NAN};
    return (ib_interval){sorted[r.lo - 1], sorted[r.hi - 1]};
}

static void over_runs(ib_over_runs *o, double *work) {
    size_t n = o->n;
    ib_rng rng;
    o->t = (ib_stats_interval){NAN, NAN, NAN};
    o->order = (ib_stats_line){NAN, NAN, NAN, NAN, n};
    o->first_excess = NAN;
    o->mdd = NAN;
    ib_rng_init(&rng, IB_ANALYSIS_SEED);
    o->modes = ib_stats_find_modes(o->values, n, IB_ANALYSIS_MODES_ALPHA_PC / 100.0, &rng, work);
    o->cv = ib_stats_cv(o->values, n);
    if (n >= IB_INTERVAL_MIN_RUNS) {
        o->t = ib_stats_t_log_interval(o->values, n, IB_ANALYSIS_ALPHA, work);
        o->order = ib_stats_theil_sen(o->values, n, IB_ANALYSIS_ALPHA, work);
    }
    if (n >= 2)
        o->mdd = ib_stats_mdd(o->cv, n, IB_ANALYSIS_ALPHA, IB_ANALYSIS_POWER);
    memcpy(work, o->values, n * sizeof *work);
    if (n >= 3)
        o->first_excess = o->values[0] / ib_stats_median_of(work + 1, n - 1) - 1;
    memcpy(work, o->values, n * sizeof *work);
    ib_stats_sort(work, n);
    o->median = ib_stats_median(work, n);
    o->min = work[0];
    o->max = work[n - 1];
    o->ranks = rank_interval(work, n);
}

static void all_over_runs(ib_analysis *a, const ib_summary *s, double *work) {
    for (int m = 0; m < IB_RUN_METRICS; m++) {
        ib_over_runs *o = &a->over[m];
        bool known = a->n_runs > 0;
        o->values = a->values + (size_t)m * a->n_runs;
        for (size_t k = 0; k < a->n_runs; k++) {
            o->values[k] = metric(&a->runs[k], s, (ib_run_metric)m);
            known = known && o->values[k] > 0;
        }
        o->n = known ? a->n_runs : 0;
        if (known)
            over_runs(o, work);
    }
    const ib_over_runs *tpot = &a->over[IB_RUN_TPOT];
    a->steady_runs = ib_stats_find_steady(tpot->values, tpot->n, false, work);
}

/* All gaps of all runs into work, and where each run's begin; rows, n [n_runs]. */
static size_t gather(const ib_analysis *a, const ib_cell *cell, double *work, const double **rows,
                     size_t *n) {
    size_t all = 0;
    for (size_t k = 0; k < a->n_runs; k++) {
        const uint64_t *t = cell->runs[a->runs[k].run].stamps_ns;
        rows[k] = work + all;
        n[k] = a->runs[k].n;
        for (size_t i = 0; i < n[k]; i++)
            work[all++] = ms(t[i + 2] - t[i + 1]);
    }
    return all;
}

static ib_status pool(ib_analysis *a, const ib_cell *cell, const ib_summary *s, double *work,
                      ib_error *err) {
    const double **rows = calloc(a->n_runs + 1, sizeof *rows);
    size_t *n = calloc(a->n_runs + 1, sizeof *n);
    if (!rows || !n) {
        free((void *)rows);
        free(n);
        return ib_fail_memory(err, a->n_runs * sizeof *rows, "the statistics");
    }
    size_t all = gather(a, cell, work, rows, n);
    a->split = ib_stats_variance_split(rows, n, a->n_runs);
    if (a->split.between > 0 && a->split.within > 0)
        a->tokens_per_run =
            ib_stats_inner_repeats(s->ttft_ms, s->tpot_ms, a->split.within, a->split.between);
    ib_stats_sort(work, all);
    for (size_t i = 0; i < s->n_itl_percentiles; i++)
        a->pooled[i] = ib_stats_percentile(work, all, s->itl[i].q);
    free((void *)rows);
    free(n);
    return IB_OK;
}

ib_status ib_analyse(ib_analysis *a, const ib_cell *cell, const ib_summary *s, ib_error *err) {
    size_t longest = 0, all = 0;
    scratch x = {0};
    *a = (ib_analysis){0};
    for (size_t i = 0; i < cell->n_runs; i++) {
        longest = most(longest, (size_t)cell->runs[i].n_tokens);
        all += (size_t)cell->runs[i].n_tokens;
    }
    a->runs = calloc(s->n_runs + 1, sizeof *a->runs);
    a->values = calloc(IB_RUN_METRICS * s->n_runs + 1, sizeof *a->values);
    ib_status st = a->runs && a->values
                       ? scratch_new(&x, longest, all, s->n_runs, err)
                       : ib_fail_memory(err, s->n_runs * sizeof *a->runs, "the statistics");
    if (st != IB_OK) {
        ib_analysis_clear(a);
        return st;
    }
    for (size_t i = 0; i < cell->n_runs; i++)
        if (ib_cell_counts_run(cell, i))
            one_run(&a->runs[a->n_runs++], cell, i, s, &x);
    all_over_runs(a, s, x.work);
    st = pool(a, cell, s, x.work, err);
    free(x.gaps);
    if (st != IB_OK)
        ib_analysis_clear(a);
    return st;
}

void ib_analysis_clear(ib_analysis *a) {
    free(a->runs);
    free(a->values);
    *a = (ib_analysis){0};
}
