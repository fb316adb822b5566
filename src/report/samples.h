/* SPDX-License-Identifier: MIT
 * A cell's runs as the arrays that the charts and the other programs' formats are made of: the
 * same runs that the summary counts. Internal to the report module. */
#ifndef IB_REPORT_SAMPLES_H
#define IB_REPORT_SAMPLES_H

#include "record/summary.h"

typedef struct ib_samples {
    const ib_run_record **runs; /* owned array of borrowed runs: those the summary counts */
    size_t n_runs;
    double *sorted;     /* owned [n_sorted]: ITL in ms of all of them, ascending */
    double *by_token;   /* owned [n_by_token]: median over runs of gap i + 2, ms */
    size_t n_sorted;    /* gaps after the first, all runs */
    size_t n_by_token;  /* gaps after the first that every run has */
    uint64_t first_at;  /* context length at which by_token[0] was made */
    ib_summary summary; /* of the cell */
} ib_samples;

ib_status ib_samples_init(ib_samples *s, const ib_cell *cell, const double *percentiles,
                          size_t n_percentiles, ib_error *err) IB_MUST_CHECK;
void ib_samples_clear(ib_samples *s);

enum { IB_HISTOGRAM_MAX = 40 };

typedef struct ib_histogram {
    double low, width;               /* bin i holds [low + i width, low + (i + 1) width) */
    size_t counts[IB_HISTOGRAM_MAX]; /* the last bin holds its upper edge too */
    size_t n_bins, above;            /* above: values beyond the last bin */
    double high;                     /* low + n_bins width, or the maximum when above is 0 */
} ib_histogram;

/* Bins of sorted[n] by Freedman & Diaconis 1981, between 1 and IB_HISTOGRAM_MAX of them. Values
 * beyond the larger of Tukey's outer fence and `keep` (a percentile that is to be marked; NaN =
 * none) are counted in `above`: a lone stall must not squeeze the rest into one bin. n >= 1. */
void ib_histogram_make(ib_histogram *h, const double *sorted, size_t n, double keep);

#endif
