/* SPDX-License-Identifier: MIT
 * Every figure that a report prints, computed from a cell's raw stamps. The first block is the
 * reference script's own arithmetic (first gap included); the second is the corrected one.
 * docs/methods.md says what each figure means. A figure that does not exist is NaN. */
#ifndef IB_RECORD_SUMMARY_H
#define IB_RECORD_SUMMARY_H

#include "record/steady.h"

enum {
    IB_SUMMARY_MAX_PERCENTILES = 16, /* that may be asked for */
    IB_SUMMARY_STANDARD = 5,         /* p50 p90 p95 p99 p99.9: always there */
    IB_SUMMARY_MAX_REASONS = 16,
    IB_INTERVAL_MIN_RUNS = 5 /* fewer runs: no interval (measurement.md R20) */
};

/* Gates of the verdict (measurement.md R02, R31). */
#define IB_GATE_STEAL 0.005        /* of the window */
#define IB_GATE_PRESSURE 0.05      /* of the window */
#define IB_GATE_SWITCHES_PER_100 1 /* involuntary, per 100 tokens */
#define IB_GATE_CORE_CLOCK 0.03    /* of the core's clock, before against after */
#define IB_GATE_WARM 0.99          /* of the mapped weights resident: a warm run */
#define IB_GATE_LOGIT 0.05         /* largest logits of repeats further apart: other arithmetic */
#define IB_GATE_CLOCK_NS 200       /* one reading of the clock */
#define IB_GATE_CLOCK_OF_ITL 0.001 /* one reading against the median ITL */
#define IB_PING_NEAR_NS 120        /* cores of one complex; measured: 40-75 against 195-240 */
#define IB_GATE_SUSPENDED_NS 50000000 /* asleep during the window */

typedef struct ib_interval { /* 95 %, Student's t on the logs of the run values */
    double low, high;        /* NaN: too few runs */
} ib_interval;

/* Which limit of the machine takes the time of a phase (limits.c). Shares of the phase's time that
 * each limit alone explains; NaN = unknown. */
typedef struct ib_limit {
    const char *binds; /* "memory", "compute", "launch or host", "synchronisation", "none alone";
                          NULL = unknown */
    double memory, compute, host, sync;
} ib_limit;

typedef struct ib_itl_percentile { /* of the gaps after the first */
    double q;                      /* 0 to 100 */
    double ms;                     /* median over runs of the runs' percentiles */
    ib_interval interval;          /* over runs */
    uint64_t needs;                /* independent gaps for a 95 % interval inside one run */
    bool supported;                /* every run has them; else ms is not to be shown */
} ib_itl_percentile;

typedef struct ib_summary {
    /* as the reference computes: over all gaps of the first measured run, TTFT included */
    size_t n_gaps;
    double ref_median_ms;      /* numpy round(., 2) */
    const double *percentiles; /* borrowed: the ones asked for, default 10 25 50 75 90 */
    double ref_percentile_ms[IB_SUMMARY_MAX_PERCENTILES]; /* round(., 1) as Python does */
    size_t n_percentiles;
    /* corrected: medians over measured runs where there are several; minimum, maximum and mean over
     * all gaps of all measured runs */
    size_t n_runs, n_itl;   /* n_itl: gaps after the first, in the run that has fewest */
    double n_itl_effective; /* independent gaps that they are worth, least over runs */
    /* first the standard ones, then what was asked for and is not among them; shown: the indices of
     * those to print, which are the ones asked for, or the standard ones when none were */
    ib_itl_percentile itl[IB_SUMMARY_STANDARD + IB_SUMMARY_MAX_PERCENTILES];
    size_t n_itl_percentiles, n_shown;
    unsigned char shown[IB_SUMMARY_MAX_PERCENTILES];
    double ttft_ms, ttft_from_text_ms, prefill_ms, tpot_ms, itl_p50_ms, itl_p90_ms, itl_p95_ms,
        itl_p99_ms, itl_min_ms, itl_max_ms, itl_mean_ms;
    bool itl_p50_supported, itl_p90_supported, itl_p95_supported,
        itl_p99_supported; /* enough samples (measurement.md 4.1) */
    ib_interval ttft_interval, prefill_interval, tpot_interval;
    double decode_tok_s, prefill_tok_s, e2e_tok_s; /* per sequence times n_seqs */
    double load_ms;
    double bytes_per_token, read_gbps; /* step_total / n_seqs, and step_total / tpot */
    double mbu; /* read_gbps over the best pass of the read probe; NaN without a probe */
    double prefill_gflops, mfu; /* 1e9 operations a second, and over those of the probe */
    double mbu_of_peak;         /* read_gbps over asked.peak_gbps; NaN when that was not given */
    /* a token behind the first, split by the calls it takes: tpot = decode_call + pick_call */
    double decode_call_ms, pick_call_ms, detokenize_ms; /* the last one outside the window */
    ib_limit decode_limit, prefill_limit;
    bool ids_equal;      /* across all complete runs, warm-up runs included */
    bool logits_equal;   /* likewise: the fingerprints of those that have one */
    ib_steady steady;    /* where it became steady; unusual runs */
    const char *verdict; /* "valid", "noisy", "invalid" */
    char reasons[IB_SUMMARY_MAX_REASONS][96];
    size_t n_reasons;
} ib_summary;

/* Fills the two limits; everything else must be there. */
void ib_summary_limits(ib_summary *s, const ib_cell *cell);
/* Whether the cell's device has done its work when a call returns, so that decode_call is the
 * device's time and pick_call the picking; else a call queues, and the pick waits. */
bool ib_cell_is_synchronous(const ib_cell *cell);

/* percentiles may be NULL: 10 25 50 75 90 for the reference's line and the standard ones of ITL;
 * else they hold for both. At most 16. */
ib_status ib_summarise(ib_summary *out, const ib_cell *cell, const double *percentiles,
                       size_t n_percentiles, ib_error *err) IB_MUST_CHECK;
/* The run whose tokens the reference's lines speak of: the first that is neither warm-up nor
 * cancelled, else the first that is no warm-up; NULL when there is none. */
const ib_run_record *ib_cell_first_measured(const ib_cell *cell);
/* Whether the figures count that run: no warm-up, has tokens, not cancelled unless all are. */
bool ib_cell_counts_run(const ib_cell *cell, size_t run);
/* "p50", "p99.9" */
void ib_percentile_name(double q, char out[40]);

#endif
