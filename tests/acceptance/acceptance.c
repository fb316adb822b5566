/* SPDX-License-Identifier: MIT
 * The acceptance experiments of the tool itself that need no waiting: the synthetic engine on its
 * virtual clock, through runner, record, summary and comparison. Deterministic: fixed seeds.
 *   acceptance           all of them (a minute or two), a table of counts on standard output
 *   acceptance --quick   fewer trials, for the tests (bounds for that many)
 *   acceptance --table   the table alone, as Markdown, for docs/acceptance.md
 *   acceptance --real    A2 and A3 on the real clock: their figures depend on the machine */
#include "bench/bench.h"
#include "engine/synth.h"
#include "record/compare.h"
#include "record/summary.h"

#include "base/rng.h"
#include "stats/plan.h"
#include "stats/quantile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 64 };

static bool table;
static size_t failures;
static uint64_t seed = 1;

static void say(const char *id, const char *law, const char *what, size_t count, size_t of,
                const char *wanted, bool good) {
    failures += !good;
    printf(table ? "| %s | %s | %s | %zu of %zu | %s | %s |\n"
                 : "%-4s %-44s %-34s %6zu of %-6zu %-16s %s\n",
           id, law, what, count, of, wanted, good ? "holds" : "FAILS");
    (void)fflush(stdout);
}

static void at_most(const char *id, const char *law, const char *what, size_t n, size_t of,
                    size_t most) {
    char wanted[32];
    (void)snprintf(wanted, sizeof wanted, "at most %zu", most);
    say(id, law, what, n, of, wanted, n <= most);
}

static void at_least(const char *id, const char *law, const char *what, size_t n, size_t of,
                     size_t least) {
    char wanted[32];
    (void)snprintf(wanted, sizeof wanted, "at least %zu", least);
    say(id, law, what, n, of, wanted, n >= least);
}

static void stop(const ib_error *err) {
    (void)fprintf(stderr, "acceptance: %s\n", err->text);
    exit(1);
}

/* `runs` runs of a law in one process; slow: on top of the law's own. */
static void measure(ib_cell *cell, const char *law, double slow, size_t n_tokens, size_t runs) {
    char id[256];
    ib_error err = {0};
    (void)snprintf(id, sizeof id, "synth:%s:clock=virtual:noise=%llu:slow=%.9f", law,
                   (unsigned long long)seed++, slow);
    ib_plan p = {.engine = {.model_id = id, .weights = true},
                 .prompt = {.n_random = 8},
                 .n_repetitions = runs,
                 .n_batch = 1};
    ib_generation_init(&p.generation);
    p.generation.max_new_tokens = n_tokens;
    *cell = (ib_cell){0};
    if (ib_bench_run_cell(cell, &p, &err) != IB_OK)
        stop(&err);
}

/* --- A1: raw stamps, and every figure against a calculation of its own --- */

static int by_size(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* NumPy's "linear" in whole numbers as far as it goes: position (n - 1) q / 100. */
static long double exact_percentile(const uint64_t *sorted, size_t n, unsigned q) {
    const uint64_t at = (uint64_t)(n - 1) * q, i = at / 100, rest = at % 100;
    if (rest == 0)
        return (long double)sorted[i];
    return (long double)sorted[i] +
           (long double)(sorted[i + 1] - sorted[i]) * (long double)rest / 100;
}

/* To the last digit that a double has, nearly. */
static bool same(double got, long double exact_ns) {
    const long double exact = exact_ns / 1e6L;
    return fabsl((long double)got - exact) <= 1e-13L * exact;
}

static size_t wrong_figures(const ib_summary *s, const uint64_t *t, size_t n) {
    const size_t n_itl = n - 1;
    uint64_t *gaps = calloc(n_itl, sizeof *gaps), sum = 0;
    if (!gaps)
        return 99;
    for (size_t i = 0; i < n_itl; i++)
        sum += gaps[i] = t[i + 2] - t[i + 1];
    qsort(gaps, n_itl, sizeof *gaps, by_size);
    size_t bad = !same(s->ttft_ms, (long double)(t[1] - t[0]));
    bad += !same(s->tpot_ms, (long double)(t[n] - t[1]) / (long double)n_itl);
    bad += !same(s->itl_p50_ms, exact_percentile(gaps, n_itl, 50));
    bad += !same(s->itl_p90_ms, exact_percentile(gaps, n_itl, 90));
    bad += !same(s->itl_p95_ms, exact_percentile(gaps, n_itl, 95));
    bad += !same(s->itl_p99_ms, exact_percentile(gaps, n_itl, 99));
    bad += !same(s->itl_min_ms, (long double)gaps[0]);
    bad += !same(s->itl_max_ms, (long double)gaps[n_itl - 1]);
    bad += !same(s->itl_mean_ms, (long double)sum / (long double)n_itl);
    free(gaps);
    return bad;
}

static void one_a1(const char *law, size_t n_tokens) {
    char id[256];
    ib_engine *e = NULL;
    ib_cell opened = {0}, cell = {0};
    ib_error err = {0};
    ib_summary s;
    size_t n = 0, equal = 0;
    (void)snprintf(id, sizeof id, "synth:%s:clock=virtual:noise=%llu", law,
                   (unsigned long long)seed++);
    ib_plan p = {.engine = {.model_id = id, .weights = true},
                 .prompt = {.n_random = 8},
                 .n_repetitions = 1,
                 .n_batch = 1};
    ib_generation_init(&p.generation);
    p.generation.max_new_tokens = n_tokens;
    if (ib_engine_open(&e, &p.engine, &opened, &err) != IB_OK ||
        ib_bench_run_on(e, &opened, &cell, &p, &err) != IB_OK ||
        ib_summarise(&s, &cell, NULL, 0, &err) != IB_OK)
        stop(&err);
    const uint64_t *own = ib_engine_own_stamps(e, &n);
    for (size_t i = 0; i <= n && n == n_tokens; i++)
        equal += own[i] == cell.runs[0].stamps_ns[i];
    at_least("A1", law, "stamps equal the engine's", equal, n_tokens + 1, n_tokens + 1);
    at_least("A1", law, "figures equal, 13 digits", 9 - wrong_figures(&s, own, n), 9, 9);
    ib_engine_close(e);
    ib_cell_clear(&opened);
    ib_cell_clear(&cell);
}

/* --- comparisons --- */

typedef struct session { /* what happens to the times of a comparison besides the law */
    const char *name, *law;
    double linear, step, periodic;
} session;

static double drift(const session *s, size_t at, size_t of) {
    const double x = (double)at / (double)(of - 1), pi = 3.14159265358979323846;
    return s->linear * x + (2 * at >= of ? s->step : 0) + s->periodic * sin(2 * pi * 3.3 * x);
}

static void one_side(ib_comparison *c, int side, const session *s, double slow, size_t at,
                     size_t of) {
    ib_cell cell;
    ib_error err = {0};
    measure(&cell, s->law, (1 + slow) * (1 + drift(s, at, of)) - 1, TOKENS, 1);
    if (ib_comparison_add_process(c, side, &cell, &err) != IB_OK)
        stop(&err);
    ib_cell_clear(&cell);
}

/* B is longer by slow; the order inside each pair by a coin. Clear it. */
static void compare(ib_comparison *c, const session *s, double slow, size_t pairs, ib_rng *coin) {
    ib_error err = {0};
    if (ib_comparison_start(c, true, pairs, &err) != IB_OK)
        stop(&err);
    c->seed = ib_rng_u64(coin) >> 1;
    for (size_t k = 0; k < pairs; k++) {
        const int first = (int)ib_rng_below(coin, 2);
        c->b_first[k] = first == 1;
        one_side(c, first, s, first ? slow : 0, 2 * k, 2 * pairs);
        one_side(c, 1 - first, s, first ? 0 : slow, 2 * k + 1, 2 * pairs);
    }
    if (ib_comparison_decide(c, &err) != IB_OK)
        stop(&err);
}

typedef struct counts {
    size_t p05, p01, right, wrong, held, same;
} counts;

/* Each trial has seeds of its own; trials run side by side would need no other. */
static counts trials(const session *s, double slow, size_t pairs, size_t n) {
    counts k = {0};
    ib_rng coin;
    ib_rng_init(&coin, seed);
    for (size_t i = 0; i < n; i++) {
        ib_comparison c;
        compare(&c, s, slow, pairs, &coin);
        const ib_compare_figure *f = &c.figures[c.primary];
        k.p05 += f->p <= 0.05;
        k.p01 += f->p <= 0.01;
        k.right += c.verdict == (slow > 0 ? IB_STATS_SLOWER : IB_STATS_FASTER);
        k.wrong += c.verdict == (slow > 0 ? IB_STATS_FASTER : IB_STATS_SLOWER);
        k.held += f->ratio.lo <= 1 + slow && 1 + slow <= f->ratio.hi;
        k.same += c.verdict == IB_STATS_SAME;
        ib_comparison_clear(&c);
    }
    return k;
}

/* 97.5 % bound of a true test at alpha in n trials (normal approximation is not needed: summed). */
static size_t bound(size_t n, double alpha) {
    double term = pow(1 - alpha, (double)n), below = term;
    size_t k = 0;
    while (below < 0.975 && k < n) {
        term *= (double)(n - k) / (double)(k + 1) * alpha / (1 - alpha);
        below += term;
        k++;
    }
    return k;
}

#define LAW "sd=5%:run=1%"
#define HIT "sd=5%:run=1%:hit=10%"

static void nothing_differs(const char *id, const session *s, size_t n) {
    const counts k = trials(s, 0, 10, n);
    at_most(id, s->name, "p <= 0.05, nothing differs", k.p05, n, bound(n, 0.05));
    at_most(id, s->name, "p <= 0.01, nothing differs", k.p01, n, bound(n, 0.01));
}

static void comparisons(size_t aa, size_t n) {
    static const session plain = {.name = "run scatter 1 %", .law = LAW};
    static const session drifts[] = {{.name = "drift 3 %", .law = LAW, .linear = 0.03},
                                     {.name = "step 3 %", .law = LAW, .step = 0.03},
                                     {.name = "periodic load 1 %", .law = LAW, .periodic = 0.01},
                                     {.name = "10 % of runs hit", .law = HIT},
                                     {.name = "hit, drift 3 %", .law = HIT, .linear = 0.03}};
    static const double ratios[] = {0, 0.005, 0.02, 0.1};
    nothing_differs("A5", &plain, aa);
    const size_t planned = (size_t)ib_stats_pairs_for(0.0115, 0.02, 0.05, 0.9);
    counts k = trials(&plain, 0.02, planned < 10 ? 10 : planned, n);
    at_least("A6", "+2 %, pairs by the planner, power 90 %", "SLOWER", k.right, n, n * 4 / 5);
    at_most("A6", "+2 %, pairs by the planner, power 90 %", "FASTER", k.wrong, n, 0);
    for (size_t i = 0; i < sizeof ratios / sizeof *ratios; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "B is longer by %.1f %%", 100 * ratios[i]);
        k = trials(&plain, ratios[i], 12, n);
        at_least("A7", name, "95 % interval holds the ratio", k.held, n, n * 184 / 200);
    }
    for (size_t i = 0; i < sizeof drifts / sizeof *drifts; i++)
        nothing_differs("A8", &drifts[i], aa);
    k = trials(&drifts[3], 0.02, 16, n);
    at_least("A8", "10 % of runs hit, +2 %, 16 pairs", "SLOWER", k.right, n, n * 4 / 5);
    static const session quiet = {.name = "", .law = "sd=2%:run=0.5%"};
    k = trials(&quiet, 0, 12, n);
    at_least("A10", "run scatter 0.5 %, nothing differs", "SAME", k.same, n, n * 4 / 5);
    k = trials(&plain, 0.04, 12, n);
    at_most("A10", "run scatter 1 %, +4 %", "SAME", k.same, n, n / 40);
}

/* Records that were not interleaved get no verdict, whatever they show. */
static void sequential_refused(size_t n) {
    size_t decided = 0;
    for (size_t i = 0; i < n; i++) {
        ib_comparison c;
        ib_cell cell;
        ib_error err = {0};
        if (ib_comparison_start(&c, false, 12, &err) != IB_OK)
            stop(&err);
        for (int side = 0; side < 2; side++) {
            measure(&cell, LAW, side * 0.1, TOKENS, 12);
            if (ib_comparison_add_runs(&c, side, &cell, &err) != IB_OK)
                stop(&err);
            ib_cell_clear(&cell);
        }
        if (ib_comparison_decide(&c, &err) != IB_OK)
            stop(&err);
        decided += c.verdict != IB_STATS_UNDECIDED;
        ib_comparison_clear(&c);
    }
    at_most("A8", "+10 %, A first, then B", "a verdict", decided, n, 0);
}

/* --- A9: where it becomes steady, and whether --- */

typedef struct start {
    const char *name, *law;
    size_t n_tokens, n_runs, boundary;
} start;

static ib_steady steady_of(const start *s) {
    ib_cell cell;
    ib_summary sum;
    ib_error err = {0};
    measure(&cell, s->law, 0, s->n_tokens, s->n_runs);
    if (ib_summarise(&sum, &cell, NULL, 0, &err) != IB_OK)
        stop(&err);
    ib_cell_clear(&cell);
    return sum.steady;
}

/* 20 processes, each slower than the one before. */
static size_t growing_runs(size_t n) {
    enum { RUNS = 20 };
    size_t flagged = 0;
    for (size_t k = 0; k < n; k++) {
        ib_cell all = {0}, one;
        ib_summary s;
        ib_error err = {0};
        for (size_t i = 0; i < RUNS; i++) {
            measure(&one, "sd=2%:run=1%", 0.2 * (double)i / (RUNS - 1), 32, 1);
            if (ib_cell_join(&all, &one, &err) != IB_OK)
                stop(&err);
        }
        if (ib_summarise(&s, &all, NULL, 0, &err) != IB_OK)
            stop(&err);
        flagged += s.steady.runs == IB_STATS_NEVER_STEADY && strcmp(s.verdict, "noisy") == 0;
        ib_cell_clear(&all);
    }
    return flagged;
}

static void starts(size_t n) {
    static const start found[] = {
        {"first 3 gaps x5", "sd=2%:warm=3x5", 129, 1, 3},
        {"first run of 10 x2", "sd=2%:run=1%:first=2", 32, 10, 1},
        {"clock ramp, time constant 4", "sd=2%:ramp=4x2", 129, 1, 16},
    };
    static const start never = {"hops of 20 % every 8", "sd=1%:hop=8x1.2", 129, 1, 0};
    static const start none[] = {{"nothing to find, 128 gaps", "sd=2%", 129, 1, 0},
                                 {"nothing to find, 10 runs", "sd=2%:run=1%", 32, 10, 0},
                                 {"20 % growth with context", "sd=1%:slope=78%", 257, 1, 0}};
    size_t good = 0;
    for (size_t i = 0; i < 3; i++, good = 0) {
        for (size_t k = 0; k < n; k++) {
            const ib_steady s = steady_of(&found[i]);
            const size_t at = found[i].n_runs > 1 ? s.runs_from : s.tokens_from;
            good += (found[i].n_runs > 1 ? s.runs : s.tokens) == IB_STATS_STEADY &&
                    at + 2 >= found[i].boundary && at <= found[i].boundary + 2;
        }
        at_least("A9", found[i].name, "boundary within 2", good, n, n * 95 / 100);
    }
    for (size_t k = 0; k < n; k++)
        good += steady_of(&never).tokens == IB_STATS_NEVER_STEADY;
    at_least("A9", never.name, "flagged as never steady", good, n, n * 95 / 100);
    good = growing_runs(n);
    at_least("A9", "20 runs that grow by 20 %", "flagged as never steady", good, n, n * 95 / 100);
    good = 0;
    for (size_t i = 0; i < 3; i++, good = 0) {
        for (size_t k = 0; k < n; k++) {
            const ib_steady s = steady_of(&none[i]);
            good += none[i].n_runs > 1 ? s.runs != IB_STATS_STEADY || s.runs_from
                                       : s.tokens != IB_STATS_STEADY || s.tokens_from;
        }
        at_most("A9", none[i].name, "false flags", good, n, n * 5 / 100);
    }
}

/* --- A2, A3: the real clock --- */

/* tool's stamps - engine's own, of one run; A3: gaps of a run whose tokens take no time. */
static void real_run(const char *law, size_t n_tokens, bool null_engine) {
    char id[128];
    ib_engine *e = NULL;
    ib_cell opened = {0}, cell = {0};
    ib_error err = {0};
    size_t n = 0;
    (void)snprintf(id, sizeof id, "synth:%s", law);
    ib_plan p = {.engine = {.model_id = id, .weights = true},
                 .prompt = {.n_random = 8},
                 .n_repetitions = 1,
                 .n_batch = 1};
    ib_generation_init(&p.generation);
    p.generation.max_new_tokens = n_tokens;
    if (ib_engine_open(&e, &p.engine, &opened, &err) != IB_OK ||
        ib_bench_run_on(e, &opened, &cell, &p, &err) != IB_OK)
        stop(&err);
    const uint64_t *own = ib_engine_own_stamps(e, &n), *t = cell.runs[0].stamps_ns;
    uint64_t *d = calloc(n_tokens, sizeof *d);
    if (!d || n != n_tokens)
        exit(1);
    for (size_t i = 1; i <= n; i++)
        d[i - 1] = null_engine ? t[i] - t[i - 1] : t[i] - own[i];
    qsort(d, n, sizeof *d, by_size);
    const bool good =
        null_engine ? d[n / 2] <= 100 && d[n - 1 - n / 100] <= 1000 : d[n - 1 - n / 100] <= 1000;
    printf("| %s | %s | %s | p50 %llu, p99 %llu, max %llu ns; %llu switches | %s | %s |\n",
           null_engine ? "A3" : "A2", law,
           null_engine ? "cost of the measuring loop per token" : "tool's stamp - engine's own",
           (unsigned long long)d[n / 2], (unsigned long long)d[n - 1 - n / 100],
           (unsigned long long)d[n - 1], (unsigned long long)cell.runs[0].involuntary_switches,
           null_engine ? "p50 <= 100, p99 <= 1000 ns" : "p99 <= 1000 ns", good ? "holds" : "FAILS");
    free(d);
    ib_engine_close(e);
    ib_cell_clear(&opened);
    ib_cell_clear(&cell);
}

static int real_clock(void) {
    real_run("constant:itl=50us", 20000, false);
    real_run("constant:itl=1ms", 2000, false);
    real_run("lognormal:itl=5ms", 400, false);
    real_run("constant:itl=0ns:ttft=0ns", 1000000, true);
    return 0;
}

int main(int argc, char **argv) {
    static const char *const laws[] = {"constant", "lognormal",        "bimodal",
                                       "trend",    "lognormal:run=1%", "dependent"};
    if (argc > 1 && strcmp(argv[1], "--real") == 0)
        return real_clock();
    const bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    table = argc > 1 && strcmp(argv[1], "--table") == 0;
    if (table)
        printf("| experiment | law | what | count | wanted | |\n|---|---|---|--:|---|---|\n");
    for (size_t i = 0; i < 6; i++)
        one_a1(laws[i], quick ? 20000 : 1000000);
    comparisons(quick ? 200 : 2000, quick ? 100 : 200);
    sequential_refused(quick ? 10 : 50);
    starts(quick ? 100 : 1000);
    if (!table)
        printf("%zu experiment(s) failed\n", failures);
    return failures ? 1 : 0;
}
