/* SPDX-License-Identifier: MIT
 * See compare.h. */
#include "record/compare.h"

#include "record/summary.h"
#include "stats/holm.h"
#include "stats/order.h"
#include "stats/plan.h"
#include "stats/quantile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- metrics --- */

static const char *const metric_names[IB_METRIC_COUNT] = {"itl_p50_ms", "tpot_ms", "ttft_ms",
                                                          "itl_p99_ms", "e2e_ms"};

const char *ib_metric_name(ib_metric m) {
    return metric_names[m];
}

bool ib_metric_find(const char *name, ib_metric *out) {
    for (int i = 0; i < IB_METRIC_COUNT; i++)
        if (strcmp(metric_names[i], name) == 0) {
            *out = (ib_metric)i;
            return true;
        }
    return false;
}

static double ms(uint64_t ns) {
    return (double)ns / 1e6;
}

double ib_metric_of_run(ib_metric m, const ib_run_record *r, double *gaps) {
    const uint64_t *t = r->stamps_ns;
    size_t n = (size_t)r->n_tokens;
    if (n == 0)
        return NAN;
    if (m == IB_METRIC_TTFT)
        return ms(t[1] - t[0]);
    if (m == IB_METRIC_E2E)
        return ms(t[n] - t[0]);
    if (n < 2)
        return NAN;
    if (m == IB_METRIC_TPOT)
        return ms(t[n] - t[1]) / (double)(n - 1);
    if (m == IB_METRIC_ITL_P99 && n - 1 < ib_stats_min_n(99, IB_STATS_TAIL_95))
        return NAN;
    for (size_t i = 0; i + 1 < n; i++)
        gaps[i] = ms(t[i + 2] - t[i + 1]);
    ib_stats_sort(gaps, n - 1);
    return ib_stats_percentile(gaps, n - 1, m == IB_METRIC_ITL_P50 ? 50 : 99);
}

/* --- the runs --- */

static bool measured(const ib_run_record *r) {
    return !r->warmup && !r->cancelled && r->n_tokens > 0;
}

size_t ib_cell_n_measured(const ib_cell *cell) {
    size_t n = 0;
    for (size_t i = 0; i < cell->n_runs; i++)
        n += measured(&cell->runs[i]);
    return n;
}

ib_status ib_comparison_start(ib_comparison *c, bool interleaved, size_t capacity, ib_error *err) {
    size_t room = capacity ? capacity : 1;
    bool good = true;
    *c = (ib_comparison){.interleaved = interleaved, .fail_if_slower = NAN, .drift = NAN};
    c->b_first = calloc(room, sizeof *c->b_first);
    good = c->b_first != NULL;
    for (int s = 0; s < 2; s++) {
        c->side[s].capacity = capacity;
        c->padding[s] = calloc(room, sizeof *c->padding[s]);
        good = good && c->padding[s];
        for (int m = 0; m < IB_METRIC_COUNT; m++) {
            c->side[s].values[m] = calloc(room, sizeof(double));
            good = good && c->side[s].values[m];
        }
    }
    if (good)
        return IB_OK;
    ib_comparison_clear(c);
    return ib_fail_memory(err, capacity * sizeof(double), "a comparison");
}

void ib_comparison_clear(ib_comparison *c) {
    for (int s = 0; s < 2; s++) {
        for (int m = 0; m < IB_METRIC_COUNT; m++)
            free(c->side[s].values[m]);
        free(c->side[s].label);
        free(c->padding[s]);
    }
    free(c->b_first);
    *c = (ib_comparison){0};
}

ib_status ib_comparison_label(ib_comparison *c, int side, const char *label, ib_error *err) {
    free(c->side[side].label);
    c->side[side].label = ib_strdup(label);
    return c->side[side].label ? IB_OK : ib_fail_memory(err, strlen(label), "a comparison");
}

static size_t longest(const ib_cell *cell) {
    uint64_t most = 1;
    for (size_t i = 0; i < cell->n_runs; i++)
        most = cell->runs[i].n_tokens > most ? cell->runs[i].n_tokens : most;
    return (size_t)most;
}

static void differ(ib_comparison *c, ib_difference_kind kind, const char *what, const char *a,
                   const char *b) {
    if (strcmp(a ? a : "", b ? b : "") == 0)
        return;
    for (size_t i = 0; i < c->n_differences; i++)
        if (strcmp(c->differences[i].what, what) == 0)
            return;
    if (c->n_differences == IB_COMPARE_MAX_DIFFERENCES)
        return;
    ib_difference *d = &c->differences[c->n_differences++];
    *d = (ib_difference){.kind = kind, .what = what};
    (void)ib_quotez(a ? a : "unknown", d->a);
    (void)ib_quotez(b ? b : "unknown", d->b);
}

/* Whether the gates of a cell's own verdict found something; an invalid cell did not do the work.
 */
static ib_status noisy(ib_comparison *c, int side, const ib_cell *cell, bool *out, ib_error *err) {
    ib_summary s;
    IB_TRY(ib_summarise(&s, cell, NULL, 0, err));
    *out = s.verdict && strcmp(s.verdict, "valid") != 0;
    if (s.verdict && strcmp(s.verdict, "invalid") == 0)
        differ(c, IB_DIFFERENCE_WORK, side ? "B is invalid" : "A is invalid",
               side ? "" : s.reasons[0], side ? s.reasons[0] : "");
    return IB_OK;
}

static ib_status full(const ib_compare_side *s, size_t more, ib_error *err) {
    if (s->n + more <= s->capacity)
        return IB_OK;
    return ib_fail(err, IB_E_INTERNAL, "room for %zu runs in a comparison; fix: report this bug",
                   s->capacity);
}

ib_status ib_comparison_add_runs(ib_comparison *c, int side, const ib_cell *cell, ib_error *err) {
    ib_compare_side *s = &c->side[side];
    bool bad = false;
    IB_TRY(full(s, ib_cell_n_measured(cell), err));
    IB_TRY(noisy(c, side, cell, &bad, err));
    s->n_noisy += bad ? ib_cell_n_measured(cell) : 0; /* the verdict is the cell's */
    double *gaps = calloc(longest(cell), sizeof *gaps);
    if (!gaps)
        return ib_fail_memory(err, longest(cell) * sizeof *gaps, "a comparison");
    for (size_t i = 0; i < cell->n_runs; i++) {
        if (!measured(&cell->runs[i]))
            continue;
        for (int m = 0; m < IB_METRIC_COUNT; m++)
            s->values[m][s->n] = ib_metric_of_run((ib_metric)m, &cell->runs[i], gaps);
        s->n++;
    }
    free(gaps);
    return IB_OK;
}

ib_status ib_comparison_add_process(ib_comparison *c, int side, const ib_cell *cell,
                                    ib_error *err) {
    ib_compare_side *s = &c->side[side];
    bool bad = false;
    size_t runs = ib_cell_n_measured(cell);
    IB_TRY(full(s, 1, err));
    if (runs == 0)
        return ib_fail(err, IB_E_INVALID,
                       "no measured run in a process of %c; fix: give -r of at least 1",
                       side ? 'B' : 'A');
    IB_TRY(noisy(c, side, cell, &bad, err));
    s->n_noisy += bad;
    double *gaps = calloc(longest(cell) + runs, sizeof *gaps);
    if (!gaps)
        return ib_fail_memory(err, (longest(cell) + runs) * sizeof *gaps, "a comparison");
    double *values = gaps + longest(cell);
    for (int m = 0; m < IB_METRIC_COUNT; m++) {
        size_t n = 0;
        bool all = true;
        for (size_t i = 0; i < cell->n_runs; i++) {
            if (!measured(&cell->runs[i]))
                continue;
            values[n] = ib_metric_of_run((ib_metric)m, &cell->runs[i], gaps);
            all = all && !isnan(values[n++]);
        }
        s->values[m][s->n] = all ? ib_stats_median_of(values, n) : NAN;
    }
    s->n++;
    free(gaps);
    return IB_OK;
}

/* --- the same work? --- */

static void differ_count(ib_comparison *c, ib_difference_kind kind, const char *what, uint64_t a,
                         uint64_t b) {
    char ta[24], tb[24];
    (void)snprintf(ta, sizeof ta, "%llu", (unsigned long long)a);
    (void)snprintf(tb, sizeof tb, "%llu", (unsigned long long)b);
    differ(c, kind, what, ta, tb);
}

/* "NF4 4500000 BF16 1200000": which formats the weights have, and how much of each. */
static void formats_of(const ib_model_record *m, char *out, size_t room) {
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < m->n_formats && n < room; i++)
        n += (size_t)snprintf(out + n, room - n, "%s%s %llu", i ? " " : "", m->formats[i].type,
                              (unsigned long long)m->formats[i].bytes);
}

static const ib_run_record *first_measured(const ib_cell *cell) {
    for (size_t i = 0; i < cell->n_runs; i++)
        if (measured(&cell->runs[i]))
            return &cell->runs[i];
    return NULL;
}

void ib_comparison_same_ids(ib_comparison *c, const ib_cell *a, const ib_cell *b) {
    const ib_run_record *first = first_measured(a);
    for (size_t i = 0; first && i < b->n_runs; i++)
        if (measured(&b->runs[i]))
            differ(c, IB_DIFFERENCE_WORK, "output ids (ids_sha256)", first->ids_sha256,
                   b->runs[i].ids_sha256);
}

static void work_differences(ib_comparison *c, const ib_cell *a, const ib_cell *b) {
    char ha[65], hb[65];
    differ(c, IB_DIFFERENCE_NEVER, "weights", a->model.synthetic ? "synthetic" : "real",
           b->model.synthetic ? "synthetic" : "real");
    differ(c, IB_DIFFERENCE_WORK, "model fingerprint", a->model.fingerprint, b->model.fingerprint);
    if (!a->model.fingerprint && !b->model.fingerprint)
        differ(c, IB_DIFFERENCE_WORK, "model", a->asked.model_id, b->asked.model_id);
    if (a->model.synthetic && b->model.synthetic)
        differ_count(c, IB_DIFFERENCE_WORK, "seed", a->asked.seed, b->asked.seed);
    ib_ids_sha256(a->prompt_ids, (size_t)a->n_prompt_ids, ha);
    ib_ids_sha256(b->prompt_ids, (size_t)b->n_prompt_ids, hb);
    differ(c, IB_DIFFERENCE_WORK, "prompt ids", ha, hb);
    differ_count(c, IB_DIFFERENCE_WORK, "context before the prompt", a->asked.n_depth,
                 b->asked.n_depth);
    differ_count(c, IB_DIFFERENCE_WORK, "batch", a->asked.n_batch, b->asked.n_batch);
    ib_comparison_same_ids(c, a, a);
    ib_comparison_same_ids(c, a, b);
}

void ib_comparison_differences(ib_comparison *c, const ib_record *ra, const ib_cell *a,
                               const ib_record *rb, const ib_cell *b) {
    const ib_resolved *x = &a->resolved, *y = &b->resolved;
    char fa[256], fb[256];
    work_differences(c, a, b);
    formats_of(&a->model, fa, sizeof fa);
    formats_of(&b->model, fb, sizeof fb);
    differ(c, IB_DIFFERENCE_SETTING, "quantisation", fa, fb);
    differ(c, IB_DIFFERENCE_SETTING, "backend", x->device, y->device);
    differ(c, IB_DIFFERENCE_SETTING, "device", x->device_name, y->device_name);
    differ(c, IB_DIFFERENCE_SETTING, "arithmetic", x->compute, y->compute);
    differ(c, IB_DIFFERENCE_SETTING, "instructions", x->tier, y->tier);
    differ(c, IB_DIFFERENCE_SETTING, "tool version", ra->tool_version, rb->tool_version);
    differ(c, IB_DIFFERENCE_SETTING, "tool commit", ra->tool_commit, rb->tool_commit);
    differ(c, IB_DIFFERENCE_NOTE, "compiler", ra->compiler, rb->compiler);
    differ(c, IB_DIFFERENCE_NOTE, "driver", x->driver, y->driver);
    differ(c, IB_DIFFERENCE_NOTE, "attention", x->attn, y->attn);
    differ(c, IB_DIFFERENCE_NOTE, "activations", x->activation_dtype, y->activation_dtype);
    differ(c, IB_DIFFERENCE_NOTE, "KV cache", x->kv_dtype, y->kv_dtype);
    differ_count(c, IB_DIFFERENCE_NOTE, "threads", (uint64_t)x->n_threads, (uint64_t)y->n_threads);
}

static bool must_refuse(const ib_comparison *c) {
    for (size_t i = 0; i < c->n_differences; i++) {
        ib_difference_kind kind = c->differences[i].kind;
        if (kind == IB_DIFFERENCE_NEVER || (kind == IB_DIFFERENCE_WORK && !c->across) ||
            (kind == IB_DIFFERENCE_SETTING && !c->across && !c->interleaved))
            return true;
    }
    return false;
}

/* --- figures --- */

static bool all_known(const ib_compare_side *s, int m) {
    bool known = s->n > 0;
    for (size_t i = 0; i < s->n; i++)
        known = known && s->values[m][i] > 0;
    return known;
}

static double median_of_side(const ib_compare_side *s, int m, double *work) {
    memcpy(work, s->values[m], s->n * sizeof *work);
    return ib_stats_median_of(work, s->n);
}

static size_t work_size(bool interleaved, size_t na, size_t nb) {
    size_t pairs = IB_STATS_PAIRS_WORK(na);
    size_t ranks = IB_STATS_RANK_WORK(na + nb) + 3 * (na + nb) + (interleaved ? 0 : na * nb);
    return interleaved && pairs > ranks ? pairs : ranks;
}

static ib_stats_pairs pairs_of(const ib_comparison *c, int m, double alpha, double threshold) {
    return (ib_stats_pairs){.a = c->side[0].values[m],
                            .b = c->side[1].values[m],
                            .b_first = c->b_first,
                            .n = c->side[0].n,
                            .alpha = alpha,
                            .threshold = threshold,
                            .equivalence = IB_STATS_EQUIVALENCE,
                            .power = IB_COMPARE_POWER,
                            .seed = c->seed};
}

static ib_status paired(ib_comparison *c, int m, double *work, ib_error *err) {
    ib_compare_figure *f = &c->figures[m];
    ib_stats_pairs in = pairs_of(c, m, IB_COMPARE_ALPHA, IB_STATS_THRESHOLD);
    ib_stats_comparison out;
    IB_TRY(ib_stats_compare_pairs(&out, &in, work, err));
    f->ratio = out.ratio;
    f->p = out.p;
    if ((ib_metric)m != c->primary)
        return IB_OK;
    c->p_b_slower = out.p_b_slower;
    c->cv = out.cv;
    c->mdd = out.mdd;
    c->drift = out.drift;
    c->exact = out.exact;
    c->verdict = c->enough ? out.verdict : IB_STATS_UNDECIDED;
    c->runs_needed = out.pairs_needed;
    if (!c->enough && c->runs_needed < IB_COMPARE_MIN_RUNS)
        c->runs_needed = IB_COMPARE_MIN_RUNS;
    for (size_t i = 0; i < in.n; i++)
        work[i] = log(in.b[i]) - log(in.a[i]);
    c->second = ib_stats_signed_rank(work, in.n, work + in.n);
    if (isnan(c->fail_if_slower) || !c->enough)
        return IB_OK;
    in = pairs_of(c, m, IB_COMPARE_GATE_ALPHA, c->fail_if_slower);
    IB_TRY(ib_stats_compare_pairs(&out, &in, work, err));
    c->regression = out.verdict == IB_STATS_SLOWER;
    return IB_OK;
}

static double pooled_cv(const double *a, size_t na, const double *b, size_t nb) {
    double ma = 0, mb = 0, s = 0;
    for (size_t i = 0; i < na; i++)
        ma += a[i] / (double)na;
    for (size_t i = 0; i < nb; i++)
        mb += b[i] / (double)nb;
    for (size_t i = 0; i < na; i++)
        s += (a[i] - ma) * (a[i] - ma);
    for (size_t i = 0; i < nb; i++)
        s += (b[i] - mb) * (b[i] - mb);
    return na + nb > 2 ? sqrt(s / (double)(na + nb - 2)) : NAN;
}

static void unpaired(ib_comparison *c, int m, double *work) {
    ib_compare_figure *f = &c->figures[m];
    size_t na = c->side[0].n, nb = c->side[1].n;
    double *a = work, *b = work + na, *rest = work + na + nb;
    for (size_t i = 0; i < na; i++)
        a[i] = log(c->side[0].values[m][i]);
    for (size_t i = 0; i < nb; i++)
        b[i] = log(c->side[1].values[m][i]);
    ib_stats_test u = ib_stats_mann_whitney(a, na, b, nb, rest);
    ib_stats_interval d = ib_stats_hodges_lehmann(a, na, b, nb, IB_COMPARE_ALPHA, rest);
    f->p = u.p;
    f->ratio = (ib_stats_interval){exp(d.point), exp(d.lo), exp(d.hi)};
    if ((ib_metric)m != c->primary)
        return;
    c->second = u;
    c->exact = u.exact;
    c->p_b_slower = u.statistic / ((double)na * (double)nb);
    c->cv = pooled_cv(a, na, b, nb);
    c->mdd = ib_stats_mdd(c->cv, na < nb ? na : nb, IB_COMPARE_ALPHA, IB_COMPARE_POWER);
    c->verdict = IB_STATS_UNDECIDED;
    if (!isnan(c->fail_if_slower)) {
        d = ib_stats_hodges_lehmann(a, na, b, nb, IB_COMPARE_GATE_ALPHA, rest);
        c->regression = d.lo > 0 && d.point >= log1p(c->fail_if_slower);
    }
}

static void adjust(ib_comparison *c) {
    double p[IB_METRIC_COUNT], adjusted[IB_METRIC_COUNT];
    int which[IB_METRIC_COUNT];
    size_t n = 0;
    for (int m = 0; m < IB_METRIC_COUNT; m++)
        if (c->figures[m].known && (ib_metric)m != c->primary) {
            which[n] = m;
            p[n++] = c->figures[m].p;
        }
    ib_stats_holm(p, n, adjusted);
    for (size_t i = 0; i < n; i++)
        c->figures[which[i]].p_holm = adjusted[i];
    c->figures[c->primary].p_holm = NAN;
}

ib_status ib_comparison_decide(ib_comparison *c, ib_error *err) {
    const ib_compare_side *a = &c->side[0], *b = &c->side[1];
    c->refused = must_refuse(c);
    c->verdict = IB_STATS_UNDECIDED;
    c->enough = a->n >= IB_COMPARE_MIN_RUNS && b->n >= IB_COMPARE_MIN_RUNS;
    if (c->refused)
        return IB_OK;
    if (!all_known(a, (int)c->primary) || !all_known(b, (int)c->primary))
        return ib_fail(err, IB_E_INVALID,
                       "no values of %s to compare in %zu runs of A and %zu of B; fix: choose "
                       "another --metric, or generate more tokens",
                       ib_metric_name(c->primary), a->n, b->n);
    if (c->interleaved && a->n != b->n)
        return ib_fail(err, IB_E_INTERNAL, "pairs of %zu and %zu runs; fix: report this bug", a->n,
                       b->n);
    size_t n = work_size(c->interleaved, a->n, b->n);
    double *work = calloc(n, sizeof *work);
    if (!work)
        return ib_fail_memory(err, n * sizeof *work, "a comparison");
    ib_status st = IB_OK;
    for (int m = 0; m < IB_METRIC_COUNT && st == IB_OK; m++) {
        ib_compare_figure *f = &c->figures[m];
        f->known = all_known(a, m) && all_known(b, m);
        if (!f->known)
            continue;
        f->a_ms = median_of_side(a, m, work);
        f->b_ms = median_of_side(b, m, work);
        if (c->interleaved)
            st = paired(c, m, work, err);
        else
            unpaired(c, m, work);
    }
    int main = (int)c->primary;
    c->welch = ib_stats_welch_log(a->values[main], a->n, b->values[main], b->n, IB_COMPARE_ALPHA,
                                  &c->welch_ratio, work);
    adjust(c);
    free(work);
    return st;
}
