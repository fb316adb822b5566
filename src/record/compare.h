/* SPDX-License-Identifier: MIT
 * Two sets of runs -> is B slower than A? Run values of each metric, whether both did the same
 * work, the test, the ratio with its interval, a verdict (docs/statistics.md). Interleaved pairs of
 * fresh processes can get a verdict; stored records, which were not interleaved, never more than
 * UNDECIDED. Every metric is a time: larger is slower. */
#ifndef IB_RECORD_COMPARE_H
#define IB_RECORD_COMPARE_H

#include "record/record.h"
#include "stats/pairs.h"
#include "stats/ranktest.h"

enum { IB_COMPARE_MAX_DIFFERENCES = 24, IB_COMPARE_MIN_RUNS = 10 };

/* The alpha of what is shown, and of --fail-if-slower. */
#define IB_COMPARE_ALPHA 0.05
#define IB_COMPARE_GATE_ALPHA 0.01
#define IB_COMPARE_POWER 0.8

typedef enum ib_metric {
    IB_METRIC_ITL_P50,
    IB_METRIC_TPOT,
    IB_METRIC_TTFT,
    IB_METRIC_ITL_P99, /* only of runs with enough tokens for it */
    IB_METRIC_E2E,
    IB_METRIC_COUNT
} ib_metric;

const char *ib_metric_name(ib_metric m); /* "itl_p50_ms", as in the summary of a record */
bool ib_metric_find(const char *name, ib_metric *out);
/* Milliseconds; NaN when the run has no such value.   gaps [r->n_tokens] scratch */
double ib_metric_of_run(ib_metric m, const ib_run_record *r, double *gaps);

typedef enum ib_difference_kind {
    IB_DIFFERENCE_NOTE,    /* said, no more */
    IB_DIFFERENCE_SETTING, /* needs --across between stored records */
    IB_DIFFERENCE_WORK,    /* needs --across always: not the same work */
    IB_DIFFERENCE_NEVER    /* synthetic against real */
} ib_difference_kind;

typedef struct ib_difference {
    ib_difference_kind kind;
    const char *what; /* static */
    char a[IB_QUOTED], b[IB_QUOTED];
} ib_difference;

typedef struct ib_compare_side {
    char *label;                     /* owned: file or options */
    double *values[IB_METRIC_COUNT]; /* owned [capacity] milliseconds, in the order run */
    size_t n, capacity, n_noisy;
} ib_compare_side;

typedef struct ib_compare_figure {
    bool known;        /* every run of both sides has the value */
    double a_ms, b_ms; /* medians of the runs */
    ib_stats_interval ratio;
    double p, p_holm; /* p_holm: over all known metrics but the primary one */
} ib_compare_figure;

typedef struct ib_comparison {
    bool interleaved, across;
    ib_metric primary;
    ib_compare_side side[2]; /* A, B */
    bool *b_first;           /* owned [capacity]; interleaved only */
    uint32_t *padding[2];    /* owned [capacity]: bytes added to the environment of each run */
    uint64_t seed;           /* of the order and of random swaps */
    double fail_if_slower;   /* fraction; NaN = no gate */
    ib_difference differences[IB_COMPARE_MAX_DIFFERENCES];
    size_t n_differences;
    /* from here on: what ib_comparison_decide finds */
    bool refused; /* not the same work: no verdict, no figures */
    bool enough;  /* IB_COMPARE_MIN_RUNS on both sides */
    ib_compare_figure figures[IB_METRIC_COUNT];
    ib_stats_verdict verdict;
    double p_b_slower, cv, mdd, drift; /* drift NaN unless interleaved */
    uint64_t runs_needed;              /* a side; 0 = decided or not to be told */
    bool exact;
    ib_stats_test welch, second; /* second: signed rank of the pairs, or Mann-Whitney */
    ib_stats_interval welch_ratio;
    bool regression; /* slower beyond fail_if_slower at IB_COMPARE_GATE_ALPHA; in stored records
                        this is no verdict */
} ib_comparison;

/* Room for capacity runs a side; seed 0, no gate. */
ib_status ib_comparison_start(ib_comparison *c, bool interleaved, size_t capacity,
                              ib_error *err) IB_MUST_CHECK;
void ib_comparison_clear(ib_comparison *c);
ib_status ib_comparison_label(ib_comparison *c, int side, const char *label,
                              ib_error *err) IB_MUST_CHECK;

/* Every measured run of a cell as a value of its own (stored records). */
ib_status ib_comparison_add_runs(ib_comparison *c, int side, const ib_cell *cell,
                                 ib_error *err) IB_MUST_CHECK;
/* The measured runs of a cell as one value, their median (one process of a pair). */
ib_status ib_comparison_add_process(ib_comparison *c, int side, const ib_cell *cell,
                                    ib_error *err) IB_MUST_CHECK;
/* Notes what is not the same; a difference known already is not noted again. Cells without
 * measured runs do not differ in output ids. */
void ib_comparison_differences(ib_comparison *c, const ib_record *ra, const ib_cell *a,
                               const ib_record *rb, const ib_cell *b);
/* Cell a against b by the same side: output ids that change from process to process. */
void ib_comparison_same_ids(ib_comparison *c, const ib_cell *a, const ib_cell *b);
/* The most measured runs that add_runs would add. */
size_t ib_cell_n_measured(const ib_cell *cell);

/* IB_E_INVALID when the primary metric has no values; a refusal is no error (c->refused). */
ib_status ib_comparison_decide(ib_comparison *c, ib_error *err) IB_MUST_CHECK;

/* compare_json.c: as an object of its own (new reference). */
ib_status ib_comparison_json(const ib_comparison *c, json_t **out, ib_error *err) IB_MUST_CHECK;
/* The file: what made it (tool, command, time, environment of about), then the comparisons. */
ib_status ib_comparisons_json(const ib_record *about, json_t *list, json_t **out,
                              ib_error *err) IB_MUST_CHECK;

#endif
