/* SPDX-License-Identifier: MIT
 * The acceptance experiments of the statistics in virtual time: synthetic runs with known laws, one
 * fixed seed per experiment, and the pass bounds that a correct method misses very rarely. Prints
 * the counts; the table in docs/statistics.md is this program's output. */
#include "base/rng.h"
#include "stats/changepoint.h"
#include "stats/dependence.h"
#include "stats/modes.h"
#include "stats/pairs.h"
#include "stats/plan.h"

#include <math.h>

#include "support.h"

enum { MAX_PAIRS = 32, LONG = 1000 };

static double *work; /* one scratch for all experiments */

static int get_scratch(void **state) {
    (void)state;
    work = malloc(IB_STATS_STEADY_WORK((size_t)LONG) * sizeof *work);
    return work ? 0 : -1;
}

static int drop_scratch(void **state) {
    (void)state;
    free(work);
    return 0;
}

/* ---- pairs of runs ---- */

typedef enum drift { NO_DRIFT, LINEAR, STEP, PERIODIC } drift;

typedef struct law {
    const char *name;
    size_t pairs;
    double cv, effect; /* sd of ln value; B / A - 1 */
    drift drift;       /* 3 % over the session (+-1 % when periodic) */
    double hit;        /* share of runs slowed by 5 to 15 % */
} law;

typedef struct session {
    double a[MAX_PAIRS], b[MAX_PAIRS];
    bool b_first[MAX_PAIRS];
} session;

static double drift_at(drift d, size_t run, size_t runs) {
    double t = ((double)run + 0.5) / (double)runs;
    if (d == LINEAR)
        return 0.03 * t;
    if (d == STEP)
        return t > 0.5 ? 0.03 : 0;
    return d == PERIODIC ? 0.01 * sin(2 * 3.14159265358979 * 3 * t) : 0;
}

static double one_run(const law *l, size_t run, bool is_b, ib_rng *rng) {
    double v = 10e6 * exp(l->cv * ib_rng_normal(rng)) * (1 + drift_at(l->drift, run, 2 * l->pairs));
    if (ib_rng_unit(rng) < l->hit)
        v *= 1.05 + 0.1 * ib_rng_unit(rng);
    return is_b ? v * (1 + l->effect) : v;
}

static ib_stats_pairs draw(session *s, const law *l, double alpha, ib_rng *rng) {
    for (size_t k = 0; k < l->pairs; k++) {
        s->b_first[k] = ib_rng_below(rng, 2) == 1;
        for (size_t i = 0; i < 2; i++) {
            bool is_b = (i == 0) == s->b_first[k];
            *(is_b ? &s->b[k] : &s->a[k]) = one_run(l, 2 * k + i, is_b, rng);
        }
    }
    return (ib_stats_pairs){.a = s->a,
                            .b = s->b,
                            .b_first = s->b_first,
                            .n = l->pairs,
                            .alpha = alpha,
                            .threshold = IB_STATS_THRESHOLD,
                            .equivalence = IB_STATS_EQUIVALENCE,
                            .power = 0.8,
                            .seed = 1};
}

static void at_most(const char *what, const char *name, size_t count, size_t of, size_t bound) {
    print_message("%-34s %-30s %5zu of %5zu (<= %zu)\n", what, name, count, of, bound);
    if (count > bound)
        fail_msg("%s, %s: %zu of %zu, at most %zu wanted", what, name, count, of, bound);
}

static void at_least(const char *what, const char *name, size_t count, size_t of, size_t bound) {
    print_message("%-34s %-30s %5zu of %5zu (>= %zu)\n", what, name, count, of, bound);
    if (count < bound)
        fail_msg("%s, %s: %zu of %zu, at least %zu wanted", what, name, count, of, bound);
}

/* A5, A8: nothing differs. */
static void false_alarms(const char *what, const law *l, size_t trials, size_t most5, size_t most1,
                         uint64_t seed) {
    ib_rng rng;
    session s;
    size_t at5 = 0, at1 = 0;
    ib_rng_init(&rng, seed);
    for (size_t i = 0; i < trials; i++) {
        ib_stats_pairs in = draw(&s, l, 0.05, &rng);
        double p = ib_stats_pairs_p(&in, 1, work);
        at5 += p <= 0.05;
        at1 += p <= 0.01;
    }
    char text[64];
    (void)snprintf(text, sizeof text, "%s alpha 0.05", what);
    at_most(text, l->name, at5, trials, most5);
    (void)snprintf(text, sizeof text, "%s alpha 0.01", what);
    at_most(text, l->name, at1, trials, most1);
}

static void test_a5_nothing_differs(void **state) {
    (void)state;
    false_alarms("A5 A/A", &(law){"10 pairs, CV 1 %", 10, 0.01, 0, NO_DRIFT, 0}, 2000, 120, 29, 51);
    false_alarms("A5 A/A", &(law){"20 pairs, CV 2 %", 20, 0.02, 0, NO_DRIFT, 0}, 20000, 1060, 227,
                 52); /* the 97.5 % bounds of 20,000 */
}

static void test_a8_nothing_differs_under_drift(void **state) {
    (void)state;
    static const law laws[] = {{"linear 3 %", 10, 0.01, 0, LINEAR, 0},
                               {"step 3 %", 10, 0.01, 0, STEP, 0},
                               {"periodic +-1 %", 10, 0.01, 0, PERIODIC, 0},
                               {"10 % of runs hit", 10, 0.01, 0, NO_DRIFT, 0.1},
                               {"hit and linear", 16, 0.01, 0, LINEAR, 0.1},
                               {"hit and step", 16, 0.005, 0, STEP, 0.1}};
    for (size_t i = 0; i < sizeof laws / sizeof *laws; i++)
        false_alarms("A8 A/A", &laws[i], 2000, 120, 29, 80 + i);
}

typedef struct tally {
    size_t verdict[4], covered, wrong;
} tally;

static tally compare_many(const law *l, double alpha, size_t trials, uint64_t seed) {
    ib_rng rng;
    session s;
    tally t = {{0}, 0, 0};
    ib_rng_init(&rng, seed);
    for (size_t i = 0; i < trials; i++) {
        ib_stats_comparison c;
        ib_stats_pairs in = draw(&s, l, alpha, &rng);
        assert_int_equal(ib_stats_compare_pairs(&c, &in, work, NULL), IB_OK);
        t.verdict[c.verdict]++;
        t.covered += c.ratio.lo <= 1 + l->effect && 1 + l->effect <= c.ratio.hi;
        t.wrong += c.verdict == (l->effect > 0 ? IB_STATS_FASTER : IB_STATS_SLOWER);
    }
    return t;
}

static void test_a6_planned_power(void **state) {
    (void)state;
    static const double cv[] = {0.01, 0.02};
    for (size_t i = 0; i < 2; i++) {
        char name[40];
        uint64_t pairs = ib_stats_pairs_for(cv[i], log(1.02), 0.05, 0.9);
        assert_true(pairs <= MAX_PAIRS);
        law l = {name, (size_t)pairs, cv[i], 0.02, NO_DRIFT, 0};
        (void)snprintf(name, sizeof name, "CV %g %%, %zu pairs planned", 100 * cv[i], l.pairs);
        tally t = compare_many(&l, 0.05, 200, 60 + i);
        at_least("A6 +2 % found", name, t.verdict[IB_STATS_SLOWER], 200, 160);
        at_most("A6 +2 % wrong sign", name, t.wrong, 200, 0);
    }
}

static void test_a7_coverage(void **state) {
    (void)state;
    static const law laws[] = {{"ratio 1.000", 10, 0.01, 0, NO_DRIFT, 0},
                               {"ratio 1.005", 10, 0.01, 0.005, NO_DRIFT, 0},
                               {"ratio 1.020", 10, 0.01, 0.02, NO_DRIFT, 0},
                               {"ratio 1.100", 10, 0.01, 0.1, NO_DRIFT, 0},
                               {"ratio 1.020, linear 3 %", 10, 0.01, 0.02, LINEAR, 0},
                               {"ratio 1.020, 10 % hit", 10, 0.01, 0.02, NO_DRIFT, 0.1}};
    for (size_t i = 0; i < sizeof laws / sizeof *laws; i++)
        at_least("A7 95 % interval holds the ratio", laws[i].name,
                 compare_many(&laws[i], 0.05, 200, 70 + i).covered, 200, 184);
}

static void test_a8_found_under_contamination(void **state) {
    (void)state;
    static const law laws[] = {{"10 % hit", 16, 0.01, 0.02, NO_DRIFT, 0.1},
                               {"10 % hit, linear 3 %", 16, 0.01, 0.02, LINEAR, 0.1},
                               {"10 % hit, step 3 %", 16, 0.01, 0.02, STEP, 0.1}};
    for (size_t i = 0; i < sizeof laws / sizeof *laws; i++)
        at_least("A8 +2 % found, 16 pairs", laws[i].name,
                 compare_many(&laws[i], 0.05, 200, 90 + i).verdict[IB_STATS_SLOWER], 200, 160);
}

static void test_a10_equivalence(void **state) {
    (void)state;
    law same = {"ratio 1.00, CV 0.5 %", 10, 0.005, 0, NO_DRIFT, 0};
    law other = {"ratio 1.04, CV 1 %", 10, 0.01, 0.04, NO_DRIFT, 0};
    at_least("A10 SAME", same.name, compare_many(&same, 0.05, 200, 100).verdict[IB_STATS_SAME], 200,
             160);
    at_most("A10 SAME", other.name, compare_many(&other, 0.05, 200, 101).verdict[IB_STATS_SAME],
            200, 5);
}

/* ---- A9: warm-up ---- */

typedef struct start_law {
    const char *name;
    size_t n;
    double noise;
    void (*shape)(double *y, size_t n, double noise, ib_rng *rng); /* multiplies y, all ones */
    size_t boundary;
    bool trend;
} start_law;

static void plain(double *y, size_t n, double noise, ib_rng *rng) {
    for (size_t i = 0; i < n; i++)
        y[i] *= exp(noise * ib_rng_normal(rng));
}

static void first_three(double *y, size_t n, double noise, ib_rng *rng) {
    plain(y, n, noise, rng);
    for (size_t i = 0; i < 3; i++)
        y[i] *= 5;
}

static void first_one(double *y, size_t n, double noise, ib_rng *rng) {
    plain(y, n, noise, rng);
    y[0] *= 2;
}

static void ramp(double *y, size_t n, double noise, double tau, ib_rng *rng) {
    plain(y, n, noise, rng);
    for (size_t i = 0; i < n; i++)
        y[i] *= 1 + 0.5 * exp(-(double)i / tau);
}

static void ramp_2(double *y, size_t n, double noise, ib_rng *rng) {
    ramp(y, n, noise, 2, rng);
}

static void ramp_4(double *y, size_t n, double noise, ib_rng *rng) {
    ramp(y, n, noise, 4, rng);
}

static void growing(double *y, size_t n, double noise, ib_rng *rng) {
    plain(y, n, noise, rng);
    for (size_t i = 0; i < n; i++)
        y[i] *= 1 + 0.2 * (double)i / (double)n;
}

static void context(double *y, size_t n, double noise, ib_rng *rng) {
    growing(y, n, noise, rng);
    for (size_t i = 0; i < 3; i++)
        y[i] *= 5;
}

static void walking(double *y, size_t n, double noise, ib_rng *rng) {
    double at = 0;
    plain(y, n, noise, rng);
    for (size_t i = 0; i < n; i++)
        y[i] *= exp(at += noise * ib_rng_normal(rng));
}

static void hopping(double *y, size_t n, double noise, ib_rng *rng) {
    plain(y, n, noise, rng);
    for (size_t i = 0; i < n; i++)
        y[i] *= i * 8 / n % 2 ? 1.05 : 1;
}

static void ar1(double *y, size_t n, double noise, double rho, ib_rng *rng) {
    double e = ib_rng_normal(rng);
    for (size_t i = 0; i < n; i++) {
        e = rho * e + sqrt(1 - rho * rho) * ib_rng_normal(rng);
        y[i] *= exp(noise * e);
    }
}

static void dependent_25(double *y, size_t n, double noise, ib_rng *rng) {
    ar1(y, n, noise, 0.25, rng);
}

static void dependent_50(double *y, size_t n, double noise, ib_rng *rng) {
    ar1(y, n, noise, 0.5, rng);
}

static void spiky(double *y, size_t n, double noise, ib_rng *rng) {
    plain(y, n, noise, rng);
    for (size_t i = 1; i < n; i++)
        y[i] *= ib_rng_unit(rng) < 0.05 ? 3 : 1;
}

static ib_stats_steady find(const start_law *l, ib_rng *rng) {
    double y[LONG];
    for (size_t i = 0; i < l->n; i++)
        y[i] = 1e7;
    l->shape(y, l->n, l->noise, rng);
    return ib_stats_find_steady(y, l->n, l->trend, work);
}

enum { STARTS = 1000 };

static void test_a9_boundary(void **state) {
    (void)state;
    /* A ramp of 50 % is over where it is less than the noise of one value. */
    static const start_law laws[] = {{"first 3 of 128 tokens x5", 128, 0.02, first_three, 3, false},
                                     {"first 3 of 32 tokens x5", 32, 0.02, first_three, 3, false},
                                     {"first of 10 runs x2", 10, 0.01, first_one, 1, false},
                                     {"first of 20 runs x2", 20, 0.02, first_one, 1, false},
                                     {"ramp, time constant 2", 128, 0.01, ramp_2, 8, false},
                                     {"ramp, time constant 4", 128, 0.01, ramp_4, 16, false},
                                     {"x5 before 20 % context slope", 256, 0.01, context, 3, true}};
    for (size_t i = 0; i < sizeof laws / sizeof *laws; i++) {
        ib_rng rng;
        size_t good = 0;
        ib_rng_init(&rng, 900 + i);
        for (int k = 0; k < STARTS; k++) {
            ib_stats_steady s = find(&laws[i], &rng);
            good += s.state == IB_STATS_STEADY && s.from + 2 >= laws[i].boundary &&
                    s.from <= laws[i].boundary + 2;
        }
        at_least("A9 boundary within 2", laws[i].name, good, STARTS, STARTS * 95 / 100);
    }
}

static void test_a9_never(void **state) {
    (void)state;
    static const start_law laws[] = {{"20 % slope, 128 values", 128, 0.01, growing, 0, false},
                                     {"20 % slope, 20 runs", 20, 0.01, growing, 0, false},
                                     {"random walk, 200 values", 200, 0.01, walking, 0, false},
                                     {"5 % hops, 128 values", 128, 0.01, hopping, 0, false}};
    for (size_t i = 0; i < sizeof laws / sizeof *laws; i++) {
        ib_rng rng;
        size_t flagged = 0;
        ib_rng_init(&rng, 920 + i);
        for (int k = 0; k < STARTS; k++)
            flagged += find(&laws[i], &rng).state == IB_STATS_NEVER_STEADY;
        at_least("A9 never steady, flagged", laws[i].name, flagged, STARTS, STARTS * 95 / 100);
    }
}

static void test_a9_none(void **state) {
    (void)state;
    static const start_law laws[] = {{"5 runs", 5, 0.01, plain, 0, false},
                                     {"10 runs", 10, 0.01, plain, 0, false},
                                     {"20 runs", 20, 0.01, plain, 0, false},
                                     {"128 tokens", 128, 0.02, plain, 0, false},
                                     {"1,000 tokens", 1000, 0.02, plain, 0, false},
                                     {"256 tokens, AR(1) 0.25", 256, 0.02, dependent_25, 0, false},
                                     {"256 tokens, AR(1) 0.5", 256, 0.02, dependent_50, 0, false},
                                     {"128 tokens, 5 % spikes x3", 128, 0.02, spiky, 0, false},
                                     {"256 tokens, 20 % slope", 256, 0.01, growing, 0, true}};
    for (size_t i = 0; i < sizeof laws / sizeof *laws; i++) {
        ib_rng rng;
        size_t flags = 0;
        ib_rng_init(&rng, 940 + i);
        for (int k = 0; k < STARTS; k++)
            flags += find(&laws[i], &rng).from != 0;
        at_most("A9 false flags", laws[i].name, flags, STARTS, STARTS * 5 / 100);
    }
}

/* ---- inside one run ---- */

static void test_bootstrap_covers(void **state) {
    (void)state;
    static const double rho[] = {0, 0.5};
    for (size_t r = 0; r < 2; r++) {
        ib_rng rng;
        size_t held = 0;
        double y[LONG];
        ib_rng_init(&rng, 110 + r);
        for (int k = 0; k < 200; k++) {
            double e = ib_rng_normal(&rng);
            for (size_t i = 0; i < LONG; i++)
                y[i] = e = rho[r] * e + sqrt(1 - rho[r] * rho[r]) * ib_rng_normal(&rng);
            ib_stats_interval v = ib_stats_bootstrap_quantile(
                y, LONG, &(ib_stats_bootstrap){50, 0.05, 0, 199}, &rng, work);
            held += v.lo <= 0 && 0 <= v.hi;
        }
        at_least("median in block bootstrap", r ? "AR(1) 0.5" : "independent", held, 200, 176);
    }
}

static void test_modes(void **state) {
    (void)state;
    ib_rng rng;
    size_t one = 0, two = 0;
    double y[20];
    ib_rng_init(&rng, 120);
    for (int k = 0; k < 400; k++) {
        for (size_t i = 0; i < 20; i++)
            y[i] = ib_rng_normal(&rng);
        one += ib_stats_find_modes(y, 20, 0.05, &rng, work).several;
        for (size_t i = 0; i < 20; i++)
            y[i] = ib_rng_normal(&rng) + (i % 5 < 2 ? 6 : 0);
        two += ib_stats_find_modes(y, 20, 0.05, &rng, work).several;
    }
    at_most("modes, false", "one heap of 20", one, 400, 33);
    at_least("modes, found", "two heaps 6 sd apart", two, 400, 320);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a5_nothing_differs),
        cmocka_unit_test(test_a6_planned_power),
        cmocka_unit_test(test_a7_coverage),
        cmocka_unit_test(test_a8_nothing_differs_under_drift),
        cmocka_unit_test(test_a8_found_under_contamination),
        cmocka_unit_test(test_a9_boundary),
        cmocka_unit_test(test_a9_never),
        cmocka_unit_test(test_a9_none),
        cmocka_unit_test(test_a10_equivalence),
        cmocka_unit_test(test_bootstrap_covers),
        cmocka_unit_test(test_modes),
    };
    return cmocka_run_group_tests(tests, get_scratch, drop_scratch);
}
