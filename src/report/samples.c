/* SPDX-License-Identifier: MIT
 * See samples.h. */
#include "report/samples.h"

#include "stats/order.h"
#include "stats/quantile.h"

#include <math.h>
#include <stdlib.h>

static bool counts(const ib_run_record *r, const ib_run_record *first) {
    return !r->warmup && r->n_tokens > 0 && (!r->cancelled || first->cancelled);
}

static double gap_ms(const ib_run_record *r, size_t i) {
    return (double)(r->stamps_ns[i + 2] - r->stamps_ns[i + 1]) / 1e6;
}

static void pick_runs(ib_samples *s, const ib_cell *cell) {
    const ib_run_record *first = ib_cell_first_measured(cell);
    for (size_t i = 0; i < cell->n_runs; i++) {
        const ib_run_record *r = &cell->runs[i];
        if (!first || !counts(r, first))
            continue;
        size_t gaps = (size_t)r->n_tokens - 1;
        s->n_by_token = s->n_runs && s->n_by_token < gaps ? s->n_by_token : gaps;
        s->n_sorted += gaps;
        s->runs[s->n_runs++] = r;
    }
}

static void fill(ib_samples *s, double *column) {
    size_t n = 0;
    for (size_t k = 0; k < s->n_runs; k++) {
        const ib_run_record *r = s->runs[k];
        for (size_t i = 0; r && i + 1 < r->n_tokens; i++)
            s->sorted[n++] = gap_ms(r, i);
    }
    ib_stats_sort(s->sorted, n);
    for (size_t i = 0; i < s->n_by_token; i++) {
        for (size_t k = 0; k < s->n_runs; k++)
            column[k] = s->runs[k] ? gap_ms(s->runs[k], i) : 0;
        s->by_token[i] = ib_stats_median_of(column, s->n_runs);
    }
}

ib_status ib_samples_init(ib_samples *s, const ib_cell *cell, const double *percentiles,
                          size_t n_percentiles, ib_error *err) {
    double *column = NULL;
    *s = (ib_samples){.first_at = cell->asked.n_depth + cell->n_prompt_ids + 1};
    IB_TRY(ib_summarise(&s->summary, cell, percentiles, n_percentiles, err));
    s->runs = calloc(cell->n_runs + 1, sizeof *s->runs);
    if (s->runs) {
        pick_runs(s, cell);
        s->sorted = calloc(s->n_sorted + 1, sizeof *s->sorted);
        s->by_token = calloc(s->n_by_token + 1, sizeof *s->by_token);
        column = calloc(s->n_runs + 1, sizeof *column);
    }
    if (!column || !s->sorted || !s->by_token) {
        free(column);
        ib_samples_clear(s);
        return ib_fail_memory(err, cell->n_runs * sizeof *s->runs, "the samples of a report");
    }
    fill(s, column);
    free(column);
    return IB_OK;
}

void ib_samples_clear(ib_samples *s) {
    free((void *)s->runs);
    free(s->sorted);
    free(s->by_token);
    *s = (ib_samples){0};
}

void ib_histogram_make(ib_histogram *h, const double *sorted, size_t n, double keep) {
    const double q1 = ib_stats_percentile(sorted, n, 25), q3 = ib_stats_percentile(sorted, n, 75);
    const double iqr = q3 - q1, max = sorted[n - 1];
    double fence = q3 + 3 * iqr;
    *h = (ib_histogram){.low = sorted[0], .high = max};
    if (keep > fence)
        fence = keep;
    if (iqr > 0 && max > fence)
        h->high = fence;
    double range = h->high - h->low, ideal = iqr > 0 ? range * cbrt((double)n) / (2 * iqr) : 1;
    h->n_bins = ideal >= IB_HISTOGRAM_MAX ? IB_HISTOGRAM_MAX : ideal < 1 ? 1 : (size_t)ceil(ideal);
    if (!(range > 0)) { /* one value */
        h->n_bins = 1;
        range = h->low > 0 ? h->low * 0.01 : 1;
        h->high = h->low + range;
    }
    h->width = range / (double)h->n_bins;
    for (size_t i = 0; i < n; i++) {
        double bin = floor((sorted[i] - h->low) / h->width);
        if (sorted[i] > h->high)
            h->above++;
        else
            h->counts[bin >= (double)h->n_bins ? h->n_bins - 1 : (size_t)bin]++;
    }
}
