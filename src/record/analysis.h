/* SPDX-License-Identifier: MIT
 * What a cell's stamps say beyond the headline: each measured run by itself (spread, trend with the
 * context, dependence, steady part, unusual gaps), then the runs against each other (intervals,
 * scatter, order, modes, what such a set can detect). docs/statistics.md says how to read them; the
 * functions stand in src/stats. Random draws come from fixed seeds: the same stamps give the same
 * figures anywhere. A figure that does not exist is NaN. */
#ifndef IB_RECORD_ANALYSIS_H
#define IB_RECORD_ANALYSIS_H

#include "record/summary.h"
#include "stats/changepoint.h"
#include "stats/interval.h"
#include "stats/modes.h"
#include "stats/outliers.h"
#include "stats/plan.h"
#include "stats/trend.h"

enum {
    IB_ANALYSIS_ROUNDS = 999, /* of the bootstrap */
    IB_ANALYSIS_SEED = 1,
    IB_ANALYSIS_MOST_LISTED = 32,  /* unusual gaps named one by one, the furthest first */
    IB_ANALYSIS_MODES_ALPHA_PC = 1 /* two heaps only where chance gives such a gap in 1 % */
};
#define IB_ANALYSIS_ALPHA 0.05
#define IB_ANALYSIS_POWER 0.8
/* Above that share of the variance between runs, more tokens a run do not help. */
#define IB_ANALYSIS_MORE_RUNS 0.8

typedef struct ib_unusual { /* one gap outside of Tukey's fences */
    uint64_t token;         /* the one that ends the gap: 2 .. n */
    double ms;
    ib_stats_label label;
} ib_unusual;

typedef struct ib_run_analysis { /* gaps after the first, ms unless the name says otherwise */
    size_t run;                  /* index in the cell's runs */
    size_t n;                    /* gaps */
    double ttft_ms, prefill_ms, tpot_ms, e2e_ms;
    double min, max, mean, stdev, mad, iqr; /* stdev with n - 1; mad is MAD x 1.4826 */
    double percentile[IB_SUMMARY_STANDARD + IB_SUMMARY_MAX_PERCENTILES]; /* those of the summary */
    double stall_medians;                                                /* max over the median */
    uint64_t stall_token;              /* the one that ends the longest gap */
    double slow_share;                 /* of the time, in gaps above 2 medians */
    ib_stats_line trend;               /* ms a position */
    double trend_percent;              /* per 1,000 positions, of the line's middle */
    double residual_p50, residual_p99; /* of the gaps without the line (its middle kept) */
    ib_stats_bin bins[65];             /* by context length */
    size_t n_bins;
    double lag1, n_effective;
    ib_interval p50_interval; /* block bootstrap: of this run only */
    ib_stats_steady steady;
    size_t n_label[5]; /* by ib_stats_label */
    ib_unusual listed[IB_ANALYSIS_MOST_LISTED];
    size_t n_listed;
} ib_run_analysis;

typedef enum ib_run_metric {
    IB_RUN_TTFT,
    IB_RUN_PREFILL,
    IB_RUN_TPOT,
    IB_RUN_ITL_P50,
    IB_RUN_ITL_P99, /* only where every run supports it */
    IB_RUN_E2E,
    IB_RUN_METRICS
} ib_run_metric;

const char *ib_run_metric_name(ib_run_metric m); /* "ttft_ms" ... */

typedef struct ib_over_runs { /* one metric of the measured runs, ms */
    double *values; /* borrowed from the analysis [n], in the order run; n 0 = no metric */
    size_t n;
    double median, min, max, cv;
    ib_stats_interval t; /* geometric mean, Student's t on logs; from 5 runs on */
    ib_interval ranks;   /* of the median, order statistics: no law assumed; from 6 runs on */
    double first_excess; /* first value over the median of the others, - 1; from 3 runs on */
    ib_stats_line order; /* Theil-Sen line over the order of runs; from 5 runs on */
    ib_stats_modes modes;
    double mdd; /* smallest ratio - 1 against as many other runs that is found with 80 % */
} ib_over_runs;

typedef struct ib_analysis {
    ib_run_analysis *runs; /* owned [n_runs]: the measured ones */
    size_t n_runs;
    double *values; /* owned: of all metrics */
    ib_over_runs over[IB_RUN_METRICS];
    ib_stats_split split;    /* of the gaps: between runs and inside them */
    uint64_t tokens_per_run; /* least variance for the time spent; 0 = not to be told */
    double pooled[IB_SUMMARY_STANDARD + IB_SUMMARY_MAX_PERCENTILES]; /* of all gaps as one heap */
    ib_stats_steady steady_runs; /* of TPOT over the order of runs, first run included */
} ib_analysis;

/* s is the summary of the same cell: its percentiles are taken. */
ib_status ib_analyse(ib_analysis *out, const ib_cell *cell, const ib_summary *s,
                     ib_error *err) IB_MUST_CHECK;
void ib_analysis_clear(ib_analysis *a);

/* The whole of it as an object: "statistics" of a cell's summary. */
ib_status ib_analysis_to_json(const ib_analysis *a, const ib_summary *s, json_t *o,
                              ib_error *err) IB_MUST_CHECK;

#endif
