/* SPDX-License-Identifier: MIT
 * See pairs.h. */
#include "stats/pairs.h"

#include "base/rng.h"
#include "stats/order.h"
#include "stats/plan.h"
#include "stats/ranktest.h"
#include "stats/trend.h"

#include <math.h>

/* Scratch, laid out in the caller's work. Runs are numbered 0..2n-1 in time. */
typedef struct flip {
    const ib_stats_pairs *in;
    double *log_a, *log_b; /* [n] */
    double *value;         /* [2n] in run order, the shift taken off B */
    double *ranks;         /* [2n] */
    double *sorted;        /* [2n] */
    double *step;          /* [n] doubled rank differences */
    double *big;           /* [2n^2 + 1] slopes, differences, counts */
} flip;

static size_t run_of_a(const ib_stats_pairs *in, size_t k) {
    return 2 * k + (in->b_first[k] ? 1 : 0);
}

static size_t run_of_b(const ib_stats_pairs *in, size_t k) {
    return 2 * k + (in->b_first[k] ? 0 : 1);
}

static flip lay_out(const ib_stats_pairs *in, double *work) {
    size_t n = in->n;
    flip f = {in,           work,         work + n,     work + 2 * n,
              work + 4 * n, work + 6 * n, work + 8 * n, work + 9 * n};
    for (size_t k = 0; k < n; k++) {
        f.log_a[k] = log(in->a[k]);
        f.log_b[k] = log(in->b[k]);
    }
    return f;
}

/* value = residuals of the line through the runs with delta taken off B; returns its slope. */
static double detrended(flip *f, double delta) {
    for (size_t k = 0; k < f->in->n; k++) {
        f->value[run_of_a(f->in, k)] = f->log_a[k];
        f->value[run_of_b(f->in, k)] = f->log_b[k] - delta;
    }
    double slope = ib_stats_slope(f->value, 2 * f->in->n, f->big);
    ib_stats_detrend(f->value, 2 * f->in->n, slope, f->value);
    return slope;
}

static double random_swaps_p(const flip *f, double observed) {
    ib_rng rng; /* the same swaps for every delta */
    size_t hits = 0;
    ib_rng_init(&rng, f->in->seed);
    for (int i = 0; i < IB_STATS_PAIRS_SWAPS; i++) {
        double sum = 0;
        uint64_t bits = 0;
        for (size_t k = 0; k < f->in->n; k++, bits >>= 1) {
            if (k % 64 == 0)
                bits = ib_rng_u64(&rng);
            sum += bits & 1 ? f->step[k] : -f->step[k];
        }
        hits += fabs(sum) >= fabs(observed);
    }
    return (1 + (double)hits) / (1 + (double)IB_STATS_PAIRS_SWAPS);
}

static double p_of_shift(flip *f, double delta) {
    size_t n = f->in->n;
    double observed = 0;
    (void)detrended(f, delta);
    (void)ib_stats_midranks(f->value, 2 * n, f->ranks, f->sorted);
    for (size_t k = 0; k < n; k++) {
        double d = 2 * (f->ranks[run_of_b(f->in, k)] - f->ranks[run_of_a(f->in, k)]);
        observed += d;
        f->step[k] = fabs(d);
    }
    return n <= IB_STATS_PAIRS_EXACT ? ib_stats_flip_p(f->step, n, observed, f->big)
                                     : random_swaps_p(f, observed);
}

double ib_stats_pairs_p(const ib_stats_pairs *in, double ratio, double *work) {
    flip f = lay_out(in, work);
    return p_of_shift(&f, log(ratio));
}

/* Median of all B - A of the residuals, at a fixed point: the line is drawn with the shift taken
 * off, so that an effect cannot pass for drift. */
static double hodges_lehmann(flip *f) {
    size_t n = f->in->n;
    double delta = 0;
    for (int turn = 0; turn < 20; turn++) {
        (void)detrended(f, delta);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                f->big[i * n + j] = f->value[run_of_b(f->in, j)] - f->value[run_of_a(f->in, i)];
        double more = ib_stats_median_of(f->big, n * n);
        delta += more;
        if (fabs(more) < 1e-12)
            break;
    }
    return delta;
}

/* The rejected delta nearest to `from` on one side: steps double until two in a row are rejected,
 * then the boundary is halved down to 1e-10. +-inf when nothing is ever rejected. */
static double boundary(flip *f, double from, double step) {
    double alpha = f->in->alpha, in = from, out = from + step;
    for (int i = 0;; i++) {
        bool rejected = p_of_shift(f, out) <= alpha;
        if (rejected && p_of_shift(f, from + 1.5 * (out - from)) <= alpha)
            break;
        if (i > 60)
            return step < 0 ? -INFINITY : INFINITY;
        in = rejected ? in : out;
        out = from + 2 * (out - from);
    }
    while (fabs(out - in) > 1e-10) {
        double mid = in + (out - in) / 2;
        if (p_of_shift(f, mid) <= alpha)
            out = mid;
        else
            in = mid;
    }
    return out;
}

/* sd of the residuals with the shift taken off: what repeats of one side scatter by. */
static double scatter(flip *f, double delta, double *slope) {
    size_t runs = 2 * f->in->n;
    double mean = 0, s = 0;
    *slope = detrended(f, delta);
    for (size_t i = 0; i < runs; i++)
        mean += f->value[i] / (double)runs;
    for (size_t i = 0; i < runs; i++)
        s += (f->value[i] - mean) * (f->value[i] - mean);
    return runs > 3 ? sqrt(s / ((double)runs - 3)) : NAN; /* level, slope and shift were fitted */
}

/* From the residuals at shift 0 (line drawn at the point estimate). */
static double share_b_slower(flip *f, double delta) {
    size_t n = f->in->n;
    double above = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double d = f->value[run_of_b(f->in, j)] + delta - f->value[run_of_a(f->in, i)];
            above += d > 0 ? 1 : d == 0 ? 0.5 : 0;
        }
    return above / (double)(n * n);
}

ib_stats_verdict ib_stats_judge(const ib_stats_interval *ratio, double threshold,
                                double equivalence) {
    double point = log(ratio->point), lo = log(ratio->lo), hi = log(ratio->hi);
    if (fabs(point) >= log1p(threshold) && (lo > 0 || hi < 0))
        return lo > 0 ? IB_STATS_SLOWER : IB_STATS_FASTER;
    if (lo > -log1p(equivalence) && hi < log1p(equivalence))
        return IB_STATS_SAME;
    return IB_STATS_UNDECIDED;
}

const char *ib_stats_verdict_name(ib_stats_verdict verdict) {
    static const char *const names[] = {"UNDECIDED", "FASTER", "SLOWER", "SAME"};
    return names[verdict];
}

/* Pairs to find an effect like the seen one, or, below the threshold, to fit the interval into what
 * the seen one leaves of the margin. */
static uint64_t needed(const ib_stats_pairs *in, const ib_stats_comparison *c) {
    double effect = fabs(log(c->ratio.point)), target = effect;
    if (c->verdict != IB_STATS_UNDECIDED || isnan(c->cv))
        return 0;
    if (effect < log1p(in->threshold))
        target = log1p(in->equivalence) - effect;
    if (!(target > 0))
        target = log1p(in->threshold);
    return ib_stats_pairs_for(c->cv, target, in->alpha, in->power);
}

static ib_status check(const ib_stats_pairs *in, ib_error *err) {
    if (in->n == 0 || in->n > IB_STATS_PAIRS_MAX)
        return ib_fail(err, IB_E_INVALID, "number of pairs: %zu; fix: compare 1 to %d pairs", in->n,
                       IB_STATS_PAIRS_MAX);
    for (size_t k = 0; k < in->n; k++)
        if (!(in->a[k] > 0 && in->b[k] > 0) || isinf(in->a[k]) || isinf(in->b[k]))
            return ib_fail(err, IB_E_INVALID,
                           "time in pair %zu: %g against %g; fix: compare positive times", k + 1,
                           in->a[k], in->b[k]);
    return IB_OK;
}

ib_status ib_stats_compare_pairs(ib_stats_comparison *out, const ib_stats_pairs *in, double *work,
                                 ib_error *err) {
    IB_TRY(check(in, err));
    flip f = lay_out(in, work);
    double delta = hodges_lehmann(&f);
    out->cv = scatter(&f, delta, &out->drift);
    out->p_b_slower = share_b_slower(&f, delta);
    out->exact = in->n <= IB_STATS_PAIRS_EXACT;
    out->p = p_of_shift(&f, 0);
    double lo = -INFINITY, hi = INFINITY;
    if (exp2(1 - (double)in->n) <= in->alpha) {
        double step = fmax(isnan(out->cv) ? 0 : out->cv / 2, 1e-6);
        lo = boundary(&f, delta, -step);
        hi = boundary(&f, delta, step);
    }
    out->ratio = (ib_stats_interval){exp(delta), exp(lo), exp(hi)};
    out->mdd = ib_stats_mdd(out->cv, in->n, in->alpha, in->power);
    out->verdict = ib_stats_judge(&out->ratio, in->threshold, in->equivalence);
    out->pairs_needed = needed(in, out);
    return IB_OK;
}
