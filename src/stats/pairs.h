/* SPDX-License-Identifier: MIT
 * The default comparison of A with B: interleaved pairs of runs in random order, a rank test that
 * no drift can fool, the ratio with its interval, and a verdict (measurement.md 4.3).
 *
 * Test of "ln B - ln A = delta": take delta off B; remove the Theil-Sen line through all 2R logs in
 * run order, blind to the labels; rank all 2R residuals; the statistic is the rank sum of B; its
 * law is that of all 2^R swaps inside the pairs, which is exact because a coin chose the order
 * inside each pair. The interval holds the deltas that this test does not reject. */
#ifndef IB_STATS_PAIRS_H
#define IB_STATS_PAIRS_H

#include "base/error.h"
#include "stats/interval.h"

enum {
    IB_STATS_PAIRS_MAX = 1000,
    IB_STATS_PAIRS_EXACT =
        64, /* up to here all swaps are counted (by convolution, not one by one) */
    IB_STATS_PAIRS_SWAPS = 2000 /* above: random swaps, p = (1 + hits) / (1 + swaps) */
};

/* Defaults of the verdict: threshold and margin of equivalence as fractions of the ratio. */
#define IB_STATS_THRESHOLD 0.01
#define IB_STATS_EQUIVALENCE 0.02

/* Doubles of scratch for n pairs. */
#define IB_STATS_PAIRS_WORK(n) (2 * (n) * (n) + 12 * (n) + 16)

typedef enum ib_stats_verdict {
    IB_STATS_UNDECIDED, /* neither of the others: more runs are needed */
    IB_STATS_FASTER,    /* interval below 1 and the effect reaches the threshold */
    IB_STATS_SLOWER,    /* interval above 1 and the effect reaches the threshold */
    IB_STATS_SAME       /* interval inside the margin of equivalence */
} ib_stats_verdict;

typedef struct ib_stats_pairs {
    const double *a, *b; /* [n] positive times of pair k = 0..n-1 in the order run */
    const bool *b_first; /* [n] B ran first in pair k */
    size_t n;            /* 1..IB_STATS_PAIRS_MAX */
    double alpha;        /* of the test; the interval has confidence 1 - alpha */
    double threshold;    /* smallest effect worth a verdict */
    double equivalence;  /* SAME when the ratio lies within 1/(1 + e)..1 + e */
    double power;        /* for mdd and pairs_needed, 0.8 */
    uint64_t seed;       /* of the random swaps */
} ib_stats_pairs;

typedef struct ib_stats_comparison {
    double p;                /* two-sided, of ratio 1 */
    bool exact;              /* p was counted over all swaps */
    ib_stats_interval ratio; /* B / A: Hodges-Lehmann point; bounds 0 and inf when n is too small */
    double p_b_slower;       /* share of (A run, B run) with B slower after detrending, ties half */
    double drift;            /* Theil-Sen slope of ln time per run, with the shift taken off B */
    double cv;               /* sd of the logs of one side's runs, without drift and shift */
    double mdd;              /* smallest effect found with `power` (plan.h) */
    uint64_t pairs_needed;   /* 0 when decided; for an effect (or margin left) like the seen one */
    ib_stats_verdict verdict;
} ib_stats_comparison;

/* IB_E_INVALID: a time that is not positive and finite, or n out of range.
 *   work [IB_STATS_PAIRS_WORK(n)] */
ib_status ib_stats_compare_pairs(ib_stats_comparison *out, const ib_stats_pairs *in, double *work,
                                 ib_error *err) IB_MUST_CHECK;

/* p of the pair-flip test that B / A = ratio; preconditions as above, not checked again. */
double ib_stats_pairs_p(const ib_stats_pairs *in, double ratio, double *work);

/* Logs are compared, so that exchanging A and B exchanges FASTER and SLOWER and nothing else. */
ib_stats_verdict ib_stats_judge(const ib_stats_interval *ratio, double threshold,
                                double equivalence);
/* "UNDECIDED", "FASTER", "SLOWER", "SAME" */
const char *ib_stats_verdict_name(ib_stats_verdict verdict);

#endif
