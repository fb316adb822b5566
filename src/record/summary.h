/* SPDX-License-Identifier: MIT
 * Every figure that a report prints, computed from a cell's raw stamps. The first block is the
 * reference script's own arithmetic (first gap included); the second is the corrected one. */
#ifndef IB_RECORD_SUMMARY_H
#define IB_RECORD_SUMMARY_H

#include "record/record.h"

typedef struct ib_summary {
    /* as the reference computes: over all gaps of the first measured run, TTFT included */
    size_t n_gaps;
    double ref_median_ms;         /* numpy round(., 2) */
    const double *percentiles;    /* borrowed: the ones asked for, default 10 25 50 75 90 */
    double ref_percentile_ms[16]; /* round(., 1) as Python does */
    size_t n_percentiles;
    /* corrected: medians over measured runs where there are several */
    size_t n_runs, n_itl;
    double ttft_ms, ttft_from_text_ms, prefill_ms, tpot_ms, itl_p50_ms, itl_p90_ms, itl_p99_ms,
        itl_min_ms, itl_max_ms, itl_mean_ms;
    bool itl_p90_supported, itl_p99_supported;     /* enough samples (measurement.md 4.1) */
    double decode_tok_s, prefill_tok_s, e2e_tok_s; /* per sequence times n_seqs */
    double load_ms;
    double bytes_per_token, read_gbps; /* step_total, and step_total / tpot */
    bool ids_equal;                    /* across measured runs */
    const char *verdict;               /* "valid", "noisy", "invalid" */
    char reasons[4][96];
    size_t n_reasons;
} ib_summary;

/* percentiles may be NULL for the default five. At most 16. */
ib_status ib_summarise(ib_summary *out, const ib_cell *cell, const double *percentiles,
                       size_t n_percentiles, ib_error *err) IB_MUST_CHECK;

#endif
