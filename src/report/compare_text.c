/* SPDX-License-Identifier: MIT
 * A comparison as one screen of plain words. */
#include "report/compare_report.h"

#include "stats/quantile.h"

#include <math.h>
#include <string.h>

typedef struct number {
    char text[40];
} number;

static const char *fixed(double v, int digits, number *out) {
    if (isnan(v))
        memcpy(out->text, "-", 2);
    else if (isinf(v))
        memcpy(out->text, v > 0 ? "inf" : "-inf", v > 0 ? 4 : 5);
    else
        (void)ib_stats_fixed(v, digits, out->text, sizeof out->text);
    return out->text;
}

/* "1.3 % longer", "0.4 % shorter": the ratio in words. */
static ib_status in_words(double ratio, ib_buf *out, ib_error *err) {
    number n;
    double percent = fabs(ratio - 1) * 100;
    return ib_buf_addf(out, err, "B takes %s %% %s", fixed(percent, percent < 10 ? 2 : 1, &n),
                       ratio >= 1 ? "longer" : "less");
}

static ib_status add_label(const char *name, const char *label, ib_buf *out, ib_error *err) {
    char quoted[IB_QUOTED];
    return ib_buf_addf(out, err, "%-13s%s\n", name,
                       label && *label ? ib_quotez(label, quoted) : "(the common options)");
}

static ib_status head(const ib_comparison *c, ib_buf *out, ib_error *err) {
    const char *metric = ib_metric_name(c->primary);
    if (c->interleaved)
        IB_TRY(ib_buf_addf(out, err,
                           "Compared     %s: %zu pairs of fresh processes, order inside each drawn "
                           "with seed %llu\n",
                           metric, c->side[0].n, (unsigned long long)c->seed));
    else
        IB_TRY(ib_buf_addf(out, err,
                           "Compared     %s: stored records, %zu and %zu runs, not interleaved\n",
                           metric, c->side[0].n, c->side[1].n));
    IB_TRY(add_label("A", c->side[0].label, out, err));
    return add_label("B", c->side[1].label, out, err);
}

static ib_status differences(const ib_comparison *c, ib_buf *out, ib_error *err) {
    static const char *const kinds[] = {"", " (setting)", " (not the same work)",
                                        " (never compared)"};
    for (size_t i = 0; i < c->n_differences; i++) {
        const ib_difference *d = &c->differences[i];
        bool hash = strlen(d->a) == 64 && strlen(d->b) == 64;
        IB_TRY(ib_buf_addf(out, err, "%-13s%s: %.*s%s | %.*s%s%s\n", i ? "" : "Different", d->what,
                           hash ? 12 : 80, d->a, hash ? "..." : "", hash ? 12 : 80, d->b,
                           hash ? "..." : "", kinds[d->kind]));
    }
    return IB_OK;
}

static ib_status verdict(const ib_comparison *c, ib_buf *out, ib_error *err) {
    const ib_compare_figure *f = &c->figures[c->primary];
    IB_TRY(ib_buf_addf(out, err, "Verdict      %s", ib_stats_verdict_name(c->verdict)));
    switch (c->verdict) {
    case IB_STATS_FASTER:
    case IB_STATS_SLOWER:
        IB_TRY(ib_buf_adds(out, ": ", err));
        return in_words(f->ratio.point, out, err);
    case IB_STATS_SAME:
        return ib_buf_addf(out, err, ": the ratio lies within %d %%",
                           (int)(IB_STATS_EQUIVALENCE * 100));
    case IB_STATS_UNDECIDED:
        break;
    }
    if (!c->interleaved)
        return ib_buf_adds(out,
                           ": not interleaved, so a change of the machine between the records "
                           "cannot be told from a difference; use compare --a --b",
                           err);
    if (!c->enough)
        IB_TRY(ib_buf_addf(out, err, ": not enough runs, a verdict needs %d pairs",
                           IB_COMPARE_MIN_RUNS));
    else
        IB_TRY(ib_buf_adds(out, ": this is not \"the same\"", err));
    if (c->runs_needed)
        IB_TRY(ib_buf_addf(out, err, "; about %llu pairs would decide",
                           (unsigned long long)c->runs_needed));
    return IB_OK;
}

/* The runs that lie furthest from their side: what rank tests and means see differently. */
static ib_status disagreement(const ib_comparison *c, ib_buf *out, ib_error *err) {
    const ib_compare_figure *f = &c->figures[c->primary];
    number value;
    IB_TRY(ib_buf_adds(out, "; they disagree, furthest from their side are", err));
    for (int side = 0; side < 2; side++) {
        const double *v = c->side[side].values[c->primary];
        double centre = log(side ? f->b_ms : f->a_ms);
        size_t far = 0;
        for (size_t i = 1; i < c->side[side].n; i++)
            if (fabs(log(v[i]) - centre) > fabs(log(v[far]) - centre))
                far = i;
        IB_TRY(ib_buf_addf(out, err, "%s run %zu of %c (%s ms)", side ? " and" : "", far + 1,
                           side ? 'B' : 'A', fixed(v[far], 4, &value)));
    }
    return IB_OK;
}

static ib_status tests(const ib_comparison *c, ib_buf *out, ib_error *err) {
    const ib_compare_figure *f = &c->figures[c->primary];
    number a, b, d, e;
    IB_TRY(ib_buf_addf(out, err, "\nTest         p %s (%s%s); Welch on logs %s", fixed(f->p, 4, &a),
                       c->interleaved ? "pair-flip ranks" : "Mann-Whitney, not interleaved",
                       c->exact ? ", exact" : "", fixed(c->welch.p, 4, &b)));
    if (c->interleaved)
        IB_TRY(ib_buf_addf(out, err, ", signed rank %s", fixed(c->second.p, 4, &d)));
    if (!isnan(c->welch.p) && (f->p <= IB_COMPARE_ALPHA) != (c->welch.p <= IB_COMPARE_ALPHA))
        IB_TRY(disagreement(c, out, err));
    IB_TRY(ib_buf_addf(
        out, err, "\nDetectable   %s %% (alpha %s, power 80 %%); runs scatter by %s %%",
        fixed(c->mdd * 100, 2, &a), fixed(IB_COMPARE_ALPHA, 2, &b), fixed(c->cv * 100, 2, &d)));
    if (!isnan(c->drift))
        IB_TRY(ib_buf_addf(out, err, ", drift %s %% a run", fixed(c->drift * 100, 3, &e)));
    return ib_buf_addf(out, err, "\nChance       a run of B is slower than one of A in %s %%\n",
                       fixed(c->p_b_slower * 100, 0, &a));
}

static ib_status others(const ib_comparison *c, ib_buf *out, ib_error *err) {
    number a, b, r, lo, hi, p;
    bool first = true;
    for (int m = 0; m < IB_METRIC_COUNT; m++) {
        const ib_compare_figure *f = &c->figures[m];
        if (!f->known || (ib_metric)m == c->primary)
            continue;
        IB_TRY(ib_buf_addf(out, err, "%-13s%-11s %s | %s ms, B/A %s (%s to %s), p %s by Holm\n",
                           first ? "Also" : "", ib_metric_name((ib_metric)m), fixed(f->a_ms, 3, &a),
                           fixed(f->b_ms, 3, &b), fixed(f->ratio.point, 4, &r),
                           fixed(f->ratio.lo, 4, &lo), fixed(f->ratio.hi, 4, &hi),
                           fixed(f->p_holm, 4, &p)));
        first = false;
    }
    return IB_OK;
}

/* --- the intervals as one line of characters each --- */

enum { PLOT = 49 };

typedef struct scale {
    double low, high;
} scale;

static bool bounded(const ib_stats_interval *r) {
    return r->lo > 0 && isfinite(r->hi);
}

static size_t place(const scale *s, double v) {
    double at = (v - s->low) / (s->high - s->low) * (PLOT - 1);
    return at <= 0 ? 0 : at >= PLOT - 1 ? PLOT - 1 : (size_t)(at + 0.5);
}

static ib_status forest_row(const scale *s, const char *name, const ib_stats_interval *r,
                            ib_buf *out, ib_error *err) {
    char plot[PLOT + 1];
    size_t low = bounded(r) ? place(s, r->lo) : 0;
    size_t high = bounded(r) ? place(s, r->hi) : PLOT - 1;
    memset(plot, ' ', PLOT);
    memset(plot + low, bounded(r) ? '-' : '.', high - low + 1);
    plot[place(s, 1)] = plot[place(s, 1)] == ' ' ? ':' : '+';
    plot[place(s, r->point)] = 'o';
    plot[PLOT] = '\0';
    return ib_buf_addf(out, err, "             |%s| %s\n", plot, name);
}

/* "o" the ratio, "-" its interval, ":" or "+" where it is 1. */
static ib_status forest(const ib_comparison *c, ib_buf *out, ib_error *err) {
    scale s = {0.98, 1.02};
    number lo, hi;
    for (int m = 0; m < IB_METRIC_COUNT; m++) {
        const ib_stats_interval *r = &c->figures[m].ratio;
        if (!c->figures[m].known)
            continue;
        s.low = fmin(s.low, bounded(r) ? r->lo : r->point);
        s.high = fmax(s.high, bounded(r) ? r->hi : r->point);
    }
    IB_TRY(ib_buf_addf(out, err, "Intervals    %s%*s\n", fixed(s.low, 3, &lo),
                       PLOT + 2 - (int)strlen(lo.text), fixed(s.high, 3, &hi)));
    for (int m = 0; m < IB_METRIC_COUNT; m++)
        if (c->figures[m].known)
            IB_TRY(forest_row(&s, ib_metric_name((ib_metric)m), &c->figures[m].ratio, out, err));
    return IB_OK;
}

static const char *gate_text(const ib_comparison *c) {
    if (!c->interleaved)
        return c->regression ? "looks slower, but these runs cannot decide it"
                             : "nothing found, but these runs cannot decide it";
    return c->regression ? "FOUND" : "not found";
}

ib_status ib_comparison_text(const ib_comparison *c, ib_buf *out, ib_error *err) {
    const ib_compare_figure *f = &c->figures[c->primary];
    number a, b, d;
    IB_TRY(head(c, out, err));
    if (c->refused) {
        IB_TRY(differences(c, out, err));
        return ib_buf_adds(out, "Verdict      REFUSED: A and B did not do the same work\n", err);
    }
    IB_TRY(ib_buf_addf(out, err, "Medians      A %s ms, B %s ms\n", fixed(f->a_ms, 4, &a),
                       fixed(f->b_ms, 4, &b)));
    IB_TRY(ib_buf_addf(out, err, "Ratio B/A    %s, 95 %% interval %s to %s\n",
                       fixed(f->ratio.point, 4, &a), fixed(f->ratio.lo, 4, &b),
                       fixed(f->ratio.hi, 4, &d)));
    IB_TRY(verdict(c, out, err));
    IB_TRY(tests(c, out, err));
    IB_TRY(others(c, out, err));
    IB_TRY(forest(c, out, err));
    IB_TRY(differences(c, out, err));
    if (c->side[0].n_noisy || c->side[1].n_noisy)
        IB_TRY(ib_buf_addf(out, err, "Noisy        %zu of %zu runs of A, %zu of %zu of B\n",
                           c->side[0].n_noisy, c->side[0].n, c->side[1].n_noisy, c->side[1].n));
    if (!isnan(c->fail_if_slower))
        IB_TRY(ib_buf_addf(out, err, "Gate         slower by %s %% at alpha %s: %s\n",
                           fixed(c->fail_if_slower * 100, 2, &a),
                           fixed(IB_COMPARE_GATE_ALPHA, 2, &b), gate_text(c)));
    return IB_OK;
}
