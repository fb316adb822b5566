/* SPDX-License-Identifier: MIT
 * The table of operations (--profile ops) as text and as Markdown: of the decode steps per step, of
 * the prompt as a whole, the longest first, and what lies between the operations. */
#include "report/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct phase {
    const char *name, *title, *unit;
    uint64_t wall_ns, plain_ns, n; /* with and without waiting; steps of it */
} phase;

typedef struct rows {
    const ib_op_record *of[IB_RECORD_MAX_OPS];
    size_t n;
    uint64_t ns; /* sum */
} rows;

static int longest_first(const void *a, const void *b) {
    const ib_op_record *x = *(const ib_op_record *const *)a, *y = *(const ib_op_record *const *)b;
    if (x->ns != y->ns)
        return x->ns < y->ns ? 1 : -1;
    return strcmp(x->op, y->op);
}

static rows rows_of(const ib_profile_record *p, const phase *ph) {
    rows r = {.n = 0};
    for (size_t i = 0; i < p->n_ops; i++) {
        if (strcmp(p->ops[i].phase, ph->name) != 0)
            continue;
        r.of[r.n++] = &p->ops[i];
        r.ns += p->ops[i].ns;
    }
    qsort(r.of, r.n, sizeof r.of[0], longest_first);
    return r;
}

static void phases_of(const ib_profile_record *p, phase out[2]) {
    out[0] = (phase){"decode",     "a decode step",    "step",
                     p->decode_ns, p->plain_decode_ns, p->n_steps ? p->n_steps : 1};
    out[1] = (phase){"prefill",     "the prompt's forward pass", "prompt",
                     p->prefill_ns, p->plain_prefill_ns,         1};
}

static double per(uint64_t v, const phase *ph) {
    return (double)v / (double)ph->n;
}

/* A rate where there is something to rate. */
static double rate(double amount, uint64_t ns) {
    return amount > 0 && ns ? amount / (double)ns : NAN;
}

typedef struct cells { /* of one row, as text */
    ib_number calls, ms, share, mb, gbps, gflops;
} cells;

static void fill(cells *c, const ib_op_record *r, const phase *ph) {
    (void)ib_report_number(per(r->calls, ph), 0, &c->calls);
    (void)ib_report_number(per(r->ns, ph) / 1e6, 3, &c->ms);
    (void)ib_report_number(ph->wall_ns ? 100 * (double)r->ns / (double)ph->wall_ns : NAN, 1,
                           &c->share);
    (void)ib_report_number(r->bytes ? per(r->bytes, ph) / 1e6 : NAN, 2, &c->mb);
    (void)ib_report_number(rate((double)r->bytes, r->ns), 2, &c->gbps);
    (void)ib_report_number(rate(r->flops, r->ns), 1, &c->gflops);
}

static ib_op_record between(const rows *r, const phase *ph) {
    return (ib_op_record){.ns = ph->wall_ns > r->ns ? ph->wall_ns - r->ns : 0};
}

/* "x ms, y ms without the waiting (+z %)" */
static ib_status cost(const phase *ph, ib_buf *out, ib_error *err) {
    ib_number a, b, c;
    const double wall = per(ph->wall_ns, ph) / 1e6, plain = per(ph->plain_ns, ph) / 1e6;
    return ib_buf_addf(out, err, "%s ms, each operation waited for; %s ms without (%s%s %%)",
                       ib_report_number(wall, 3, &a), ib_report_number(plain, 3, &b),
                       wall >= plain ? "+" : "",
                       ib_report_number(plain > 0 ? 100 * (wall / plain - 1) : NAN, 1, &c));
}

/* Dispatches: what they cost without work, of a plain step. */
static ib_status dispatches(const ib_profile_record *p, ib_buf *out, ib_error *err) {
    ib_number a, b, c;
    const double per_step = p->n_steps ? (double)p->n_dispatches / (double)p->n_steps : NAN;
    const double step_ns = p->n_steps ? (double)p->plain_decode_ns / (double)p->n_steps : NAN;
    return ib_buf_addf(out, err,
                       "threads set to work or made to wait for each other %s times a step, %s us "
                       "each without work: %s %% of it; one wait for the device %s us",
                       ib_report_number(per_step, 0, &a),
                       ib_report_number(p->dispatch_ns / 1e3, 2, &b),
                       ib_report_number(100 * per_step * p->dispatch_ns / step_ns, 1, &c),
                       ib_report_number(p->sync_ns / 1e3, 2, &(ib_number){{0}}));
}

static ib_status text_row(const char *name, const cells *c, ib_buf *out, ib_error *err) {
    return ib_buf_addf(out, err, "    %-26s %6s %10s %6s %9s %8s %8s\n", name, c->calls.text,
                       c->ms.text, c->share.text, c->mb.text, c->gbps.text, c->gflops.text);
}

static ib_status text_phase(const phase *ph, const rows *r, ib_buf *out, ib_error *err) {
    static const cells head = {{"calls"}, {"ms"}, {"%"}, {"MB"}, {"GB/s"}, {"GFLOP/s"}};
    cells c;
    IB_TRY(ib_buf_addf(out, err, "Profile      %s: ", ph->title));
    IB_TRY(cost(ph, out, err));
    IB_TRY(ib_buf_addc(out, '\n', err));
    IB_TRY(text_row("operation", &head, out, err));
    for (size_t i = 0; i < r->n; i++) {
        fill(&c, r->of[i], ph);
        IB_TRY(text_row(r->of[i]->op, &c, out, err));
    }
    const ib_op_record rest = between(r, ph);
    fill(&c, &rest, ph);
    c.calls = (ib_number){{"-"}};
    return text_row("(between operations)", &c, out, err);
}

ib_status ib_report_profile_text(const ib_profile_record *p, ib_buf *out, ib_error *err) {
    phase phases[2];
    phases_of(p, phases);
    for (size_t i = 0; i < 2 && p->done; i++) {
        const rows r = rows_of(p, &phases[i]);
        if (r.n)
            IB_TRY(text_phase(&phases[i], &r, out, err));
        if (i == 0 && p->dispatch_ns > 0) {
            IB_TRY(ib_buf_adds(out, "    ", err));
            IB_TRY(dispatches(p, out, err));
            IB_TRY(ib_buf_addc(out, '\n', err));
        }
    }
    return IB_OK;
}

static ib_status markdown_row(const char *name, const cells *c, ib_buf *out, ib_error *err) {
    return ib_buf_addf(out, err, "| %s | %s | %s | %s | %s | %s | %s |\n", name, c->calls.text,
                       c->ms.text, c->share.text, c->mb.text, c->gbps.text, c->gflops.text);
}

ib_status ib_report_profile_markdown(size_t number, const ib_profile_record *p, ib_buf *out,
                                     ib_error *err) {
    phase phases[2];
    phases_of(p, phases);
    for (size_t k = 0; k < 2 && p->done; k++) {
        const phase *ph = &phases[k];
        const rows r = rows_of(p, ph);
        const ib_op_record rest = between(&r, ph);
        cells c;
        if (!r.n)
            continue;
        IB_TRY(ib_buf_addf(out, err, "\nRow %zu, %s: ", number, ph->title));
        IB_TRY(cost(ph, out, err));
        IB_TRY(ib_buf_addf(out, err,
                           ".\n\n| operation | calls | ms a %s | %% | MB | GB/s | GFLOP/s |\n"
                           "|---|--:|--:|--:|--:|--:|--:|\n",
                           ph->unit));
        for (size_t i = 0; i < r.n; i++) {
            fill(&c, r.of[i], ph);
            IB_TRY(markdown_row(r.of[i]->op, &c, out, err));
        }
        fill(&c, &rest, ph);
        c.calls = (ib_number){{"-"}};
        IB_TRY(markdown_row("(between operations)", &c, out, err));
        if (k == 0 && p->dispatch_ns > 0) {
            IB_TRY(ib_buf_addc(out, '\n', err));
            IB_TRY(dispatches(p, out, err));
            IB_TRY(ib_buf_adds(out, ".\n", err));
        }
    }
    return IB_OK;
}
