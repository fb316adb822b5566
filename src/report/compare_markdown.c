/* SPDX-License-Identifier: MIT
 * Comparisons as a Markdown table, a row for each metric, and the differences below. */
#include "report/compare_report.h"
#include "report/writers.h"

#include <math.h>

static ib_status name(const char *text, ib_buf *out, ib_error *err) {
    return ib_report_markdown_name(text && *text ? text : "-", out, err);
}

static ib_status row(const ib_comparison *c, int m, ib_buf *out, ib_error *err) {
    const ib_compare_figure *f = &c->figures[m];
    bool primary = (ib_metric)m == c->primary;
    bool bounded = f->ratio.lo > 0 && isfinite(f->ratio.hi);
    ib_number a, b, r, lo, hi, p;
    return ib_buf_addf(out, err, "| %s | %s | %s | %s | %s to %s | %s | %zu + %zu | %s |\n",
                       ib_metric_name((ib_metric)m), ib_report_number(f->a_ms, 4, &a),
                       ib_report_number(f->b_ms, 4, &b), ib_report_number(f->ratio.point, 4, &r),
                       ib_report_number(bounded ? f->ratio.lo : NAN, 4, &lo),
                       ib_report_number(bounded ? f->ratio.hi : NAN, 4, &hi),
                       ib_report_number(primary ? f->p : f->p_holm, 4, &p), c->side[0].n,
                       c->side[1].n, primary ? ib_stats_verdict_name(c->verdict) : "");
}

static ib_status differences(const ib_comparison *c, ib_buf *out, ib_error *err) {
    static const char *const kinds[] = {"noted", "setting", "not the same work", "never compared"};
    for (size_t i = 0; i < c->n_differences; i++) {
        const ib_difference *d = &c->differences[i];
        IB_TRY(ib_buf_addf(out, err, "- %s (%s): ", d->what, kinds[d->kind]));
        IB_TRY(name(d->a, out, err));
        IB_TRY(ib_buf_adds(out, " against ", err));
        IB_TRY(name(d->b, out, err));
        IB_TRY(ib_buf_addc(out, '\n', err));
    }
    return IB_OK;
}

static ib_status one(const ib_comparison *c, ib_buf *out, ib_error *err) {
    ib_number a;
    IB_TRY(ib_buf_adds(out, "A: ", err));
    IB_TRY(name(c->side[0].label, out, err));
    IB_TRY(ib_buf_adds(out, "  \nB: ", err));
    IB_TRY(name(c->side[1].label, out, err));
    if (c->refused) {
        IB_TRY(ib_buf_adds(out, "\n\nREFUSED: A and B did not do the same work.\n\n", err));
        return differences(c, out, err);
    }
    IB_TRY(ib_buf_adds(out,
                       "\n\n| metric | A ms | B ms | B/A | 95 % interval | p | runs | verdict "
                       "|\n|---|--:|--:|--:|--:|--:|--:|---|\n",
                       err));
    IB_TRY(row(c, (int)c->primary, out, err));
    for (int m = 0; m < IB_METRIC_COUNT; m++)
        if (c->figures[m].known && (ib_metric)m != c->primary)
            IB_TRY(row(c, m, out, err));
    IB_TRY(ib_buf_addf(out, err, "\n%s; detectable: %s %%.",
                       c->interleaved ? "Interleaved pairs of fresh processes"
                                      : "Stored records, not interleaved, so never more than "
                                        "UNDECIDED",
                       ib_report_number(100 * c->mdd, 2, &a)));
    if (c->runs_needed)
        IB_TRY(ib_buf_addf(out, err, " About %llu pairs would decide.",
                           (unsigned long long)c->runs_needed));
    IB_TRY(ib_buf_adds(out, c->n_differences ? "\n\n" : "\n", err));
    return differences(c, out, err);
}

ib_status ib_comparison_markdown(const ib_comparison *made, size_t n, ib_buf *out, ib_error *err) {
    for (size_t i = 0; i < n; i++) {
        if (i)
            IB_TRY(ib_buf_addc(out, '\n', err));
        IB_TRY(one(&made[i], out, err));
    }
    return IB_OK;
}
