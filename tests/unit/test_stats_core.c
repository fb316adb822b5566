/* SPDX-License-Identifier: MIT
 * The statistics core against SciPy, NumPy and laws counted one by one
 * (tests/golden/stats/core.json, made by tools/reference/make_stats_vectors.py), to 1e-9 relative,
 * and what no reference has: properties, edges, published tables. */
#include "base/json.h"
#include "stats/changepoint.h"
#include "stats/dependence.h"
#include "stats/holm.h"
#include "stats/interval.h"
#include "stats/order.h"
#include "stats/outliers.h"
#include "stats/pairs.h"
#include "stats/permutation.h"
#include "stats/plan.h"
#include "stats/ranktest.h"
#include "stats/special.h"
#include "stats/spread.h"
#include "stats/trend.h"

#include <math.h>

#include "support.h"

enum { MAX = 400, OUT = 400, SCRATCH = 300000 };

static double work[SCRATCH];

typedef struct column {
    double v[MAX];
    size_t n;
} column;

static double number(const json_t *v) {
    if (json_is_string(v))
        return json_string_value(v)[0] == '-'   ? -INFINITY
               : json_string_value(v)[0] == 'i' ? INFINITY
                                                : NAN;
    return json_number_value(v);
}

static column array(const json_t *v) {
    column c = {.n = json_array_size(v)};
    assert_true(c.n <= MAX);
    for (size_t i = 0; i < c.n; i++)
        c.v[i] = number(json_array_get(v, i));
    return c;
}

static double arg(const json_t *in, const char *key) {
    return json_number_value(json_object_get(in, key));
}

static column list(const json_t *in, const char *key) {
    return array(json_object_get(in, key));
}

/* ---- one function each: writes its answers, returns how many ---- */

static size_t special(const char *f, const json_t *in, double *out) {
    if (!strcmp(f, "beta_inc"))
        *out = ib_stats_beta_inc(arg(in, "a"), arg(in, "b"), arg(in, "x"), 1 - arg(in, "x"));
    else if (!strcmp(f, "t_cdf"))
        *out = ib_stats_t_cdf(arg(in, "t"), arg(in, "df"));
    else if (!strcmp(f, "t_quantile"))
        *out = ib_stats_t_quantile(arg(in, "p"), arg(in, "df"));
    else if (!strcmp(f, "normal_quantile"))
        *out = ib_stats_normal_quantile(arg(in, "p"));
    else if (!strcmp(f, "normal_cdf"))
        *out = ib_stats_normal_cdf(arg(in, "z"));
    else if (!strcmp(f, "binomial_cdf"))
        *out = ib_stats_binomial_cdf((int64_t)arg(in, "k"), (uint64_t)arg(in, "n"), arg(in, "p"));
    else if (!strcmp(f, "mdd"))
        *out = ib_stats_mdd(arg(in, "cv"), (uint64_t)arg(in, "runs"), arg(in, "alpha"),
                            arg(in, "power"));
    else
        return 0;
    return 1;
}

static size_t spread(const char *f, const column *x, double *out) {
    if (!strcmp(f, "mad"))
        *out = ib_stats_mad(x->v, x->n, work);
    else if (!strcmp(f, "iqr"))
        *out = ib_stats_iqr(x->v, x->n, work);
    else if (!strcmp(f, "cv"))
        *out = ib_stats_cv(x->v, x->n);
    else if (!strcmp(f, "slow_share"))
        *out = ib_stats_slow_share(x->v, x->n, work);
    else
        return 0;
    return 1;
}

static size_t one_sample(const char *f, const json_t *in, double *out) {
    column x = list(in, "x");
    if (spread(f, &x, out))
        return 1;
    if (!strcmp(f, "stdev")) {
        out[0] = ib_stats_stdev(x.v, x.n, 0);
        out[1] = ib_stats_stdev(x.v, x.n, 1);
        return 2;
    }
    if (!strcmp(f, "lag1")) {
        out[0] = ib_stats_lag1(x.v, x.n);
        out[1] = ib_stats_n_eff(x.n, out[0]);
        return 2;
    }
    if (!strcmp(f, "stall")) {
        ib_stats_stall s = ib_stats_longest_stall(x.v, x.n, work);
        memcpy(out, (double[]){s.value, (double)s.at, s.medians}, 3 * sizeof *out);
        return 3;
    }
    if (!strcmp(f, "fences")) {
        ib_stats_fences s = ib_stats_tukey_fences(x.v, x.n, work);
        memcpy(out, (double[]){s.severe_low, s.mild_low, s.mild_high, s.severe_high},
               4 * sizeof *out);
        return 4;
    }
    if (!strcmp(f, "theil_sen")) {
        ib_stats_line l = ib_stats_theil_sen(x.v, x.n, 0.05, work);
        memcpy(out, (double[]){l.slope, l.lo, l.hi, l.intercept}, 4 * sizeof *out);
        return 4;
    }
    if (!strcmp(f, "t_log")) {
        ib_stats_interval i = ib_stats_t_log_interval(x.v, x.n, 0.05, work);
        memcpy(out, (double[]){i.point, i.lo, i.hi}, 3 * sizeof *out);
        return 3;
    }
    if (!strcmp(f, "midranks"))
        (void)ib_stats_midranks(x.v, x.n, out, work);
    else if (!strcmp(f, "modified_z"))
        ib_stats_modified_z(x.v, x.n, out, work);
    else
        return 0;
    return x.n;
}

static size_t two_samples(const char *f, const json_t *in, double *out) {
    column a = list(in, "a"), b = list(in, "b");
    ib_stats_interval i = {NAN, NAN, NAN};
    ib_stats_test t = {NAN, NAN, NAN, false};
    if (!strcmp(f, "hodges_lehmann")) {
        i = ib_stats_hodges_lehmann(a.v, a.n, b.v, b.n, arg(in, "alpha"), work);
        memcpy(out, (double[]){i.point, i.lo, i.hi}, 3 * sizeof *out);
        return 3;
    }
    if (!strcmp(f, "welch_log")) {
        t = ib_stats_welch_log(a.v, a.n, b.v, b.n, 0.05, &i, work);
        memcpy(out, (double[]){t.statistic, t.p, t.df, i.point, i.lo, i.hi}, 6 * sizeof *out);
        return 6;
    }
    if (!strcmp(f, "mann_whitney"))
        t = ib_stats_mann_whitney(a.v, a.n, b.v, b.n, work);
    else if (!strcmp(f, "brunner_munzel"))
        t = ib_stats_brunner_munzel(a.v, a.n, b.v, b.n, work);
    else if (!strcmp(f, "permutation"))
        t = ib_stats_permutation(a.v, a.n, b.v, b.n, 20000, NULL, work);
    else
        return 0;
    out[0] = t.statistic;
    out[1] = t.p;
    return 2;
}

static size_t others(const char *f, const json_t *in, double *out) {
    if (!strcmp(f, "percentile_ranks")) {
        ib_stats_rank_interval r =
            ib_stats_percentile_ranks((uint64_t)arg(in, "n"), arg(in, "q"), arg(in, "alpha"));
        memcpy(out, (double[]){r.supported, (double)r.lo, (double)r.hi, r.coverage},
               4 * sizeof *out);
        return 4;
    }
    if (!strcmp(f, "signed_rank")) {
        column d = list(in, "d");
        ib_stats_test t = ib_stats_signed_rank(d.v, d.n, work);
        memcpy(out, (double[]){t.statistic, t.p}, 2 * sizeof *out);
        return 2;
    }
    if (!strcmp(f, "pairs")) {
        column a = list(in, "a"), b = list(in, "b"), first = list(in, "first");
        bool b_first[MAX];
        ib_stats_pairs p = {.a = a.v, .b = b.v, .b_first = b_first, .n = a.n, .alpha = 0.05};
        for (size_t k = 0; k < first.n; k++) /* first = 1: A ran second, so B ran first */
            b_first[k] = first.v[k] == 1;
        *out = ib_stats_pairs_p(&p, arg(in, "ratio"), work);
        return 1;
    }
    if (!strcmp(f, "holm")) {
        column p = list(in, "p");
        ib_stats_holm(p.v, p.n, out);
        return p.n;
    }
    if (!strcmp(f, "variance_split")) {
        column x = list(in, "x"), sizes = list(in, "sizes");
        const double *runs[MAX];
        size_t n[MAX], at = 0;
        for (size_t k = 0; k < sizes.n; at += n[k++]) {
            runs[k] = x.v + at;
            n[k] = (size_t)sizes.v[k];
        }
        ib_stats_split s = ib_stats_variance_split(runs, n, sizes.n);
        memcpy(out, (double[]){s.within, s.between, s.between_share, s.n0}, 4 * sizeof *out);
        return 4;
    }
    return 0;
}

static bool close_to(double got, double want) {
    return got == want || (isnan(got) && isnan(want)) ||
           fabs(got - want) <= 1e-9 * fabs(want) + 1e-300 || fabs(got - want) < 1e-15;
}

static void test_vectors(void **state) {
    (void)state;
    json_t *cases = NULL;
    size_t values = 0;
    assert_int_equal(ib_json_load(&cases, IB_SOURCE_DIR "/tests/golden/stats/core.json", 0, NULL),
                     IB_OK);
    for (size_t k = 0; k < json_array_size(cases); k++) {
        const json_t *c = json_array_get(cases, k), *in = json_object_get(c, "in");
        const char *f = json_string_value(json_object_get(c, "f"));
        column want = array(json_object_get(c, "out"));
        double got[OUT];
        size_t n = special(f, in, got);
        n = n ? n : one_sample(f, in, got);
        n = n ? n : two_samples(f, in, got);
        n = n ? n : others(f, in, got);
        if (n != want.n)
            fail_msg("case %zu, %s: %zu answers, want %zu", k, f, n, want.n);
        for (size_t i = 0; i < n; i++, values++)
            if (!close_to(got[i], want.v[i]))
                fail_msg("case %zu, %s [%zu]: got %.17g, want %.17g", k, f, i, got[i], want.v[i]);
    }
    print_message("%zu cases, %zu values\n", json_array_size(cases), values);
    assert_true(json_array_size(cases) >= 260);
    json_decref(cases);
}

/* ---- the tables of docs/statistics.md ---- */

static void test_smallest_samples(void **state) {
    (void)state;
    static const double q[] = {50, 90, 95, 99, 99.9};
    static const uint64_t two_sided[] = {6, 36, 72, 368, 3688},
                          one_sided[] = {7, 44, 90, 459, 4603};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(ib_stats_min_n(q[i], 0.01), one_sided[i]);
        assert_int_equal(ib_stats_min_n(q[i], 0.025), two_sided[i]);
        /* The interval exists from the two-sided n on. */
        assert_true(ib_stats_percentile_ranks(two_sided[i], q[i], 0.05).supported);
        assert_false(ib_stats_percentile_ranks(two_sided[i] - 1, q[i], 0.05).supported);
    }
    assert_true(ib_stats_min_n(100, 0.025) == UINT64_MAX);
}

static void test_runs_for_power(void **state) {
    (void)state;
    static const double cv[] = {0.005, 0.01, 0.015, 0.02, 0.03, 0.04};
    static const double at5[] = {3, 6, 11, 17, 37, 68}, at1[] = {4, 9, 16, 27, 56, 98};
    for (size_t i = 0; i < 6; i++) { /* simulated with Welch's test: within 6 % and one run */
        assert_true(fabs((double)ib_stats_runs_for(cv[i], 0.02, 0.05, 0.8) - at5[i]) <=
                    1 + 0.06 * at5[i]);
        assert_true(fabs((double)ib_stats_runs_for(cv[i], 0.02, 0.01, 0.8) - at1[i]) <=
                    1 + 0.06 * at1[i]);
    }
    assert_int_equal(ib_stats_pairs_for(1e-6, 0.02, 0.01, 0.8), 8); /* 2^-7 is under 1 % */
    assert_int_equal(ib_stats_inner_repeats(9, 1, 4, 1), 6);
    assert_int_equal(ib_stats_inner_repeats(1, 1, 1, 100), 1);
    assert_true(ib_stats_inner_repeats(1, 1, 1, 0) == UINT64_MAX);
}

/* ---- properties ---- */

typedef struct session {
    double a[80], b[80];
    bool b_first[80];
    ib_stats_pairs in;
} session;

static void make_session(session *s, size_t n, double effect, double noise, uint64_t seed) {
    ib_rng rng;
    ib_rng_init(&rng, seed);
    for (size_t k = 0; k < n; k++) {
        s->a[k] = exp(noise * ib_rng_normal(&rng));
        s->b[k] = (1 + effect) * exp(noise * ib_rng_normal(&rng));
        s->b_first[k] = ib_rng_below(&rng, 2) == 1;
    }
    s->in = (ib_stats_pairs){s->a, s->b, s->b_first, n, 0.05, 0.01, 0.02, 0.8, 7};
}

static ib_stats_comparison compare(const ib_stats_pairs *in) {
    ib_stats_comparison c;
    assert_int_equal(ib_stats_compare_pairs(&c, in, work, NULL), IB_OK);
    return c;
}

static void test_pairs_exchange(void **state) {
    (void)state;
    session s;
    for (uint64_t seed = 1; seed < 20; seed++) {
        bool a_first[80];
        make_session(&s, 10, 0.02, 0.01, seed);
        for (size_t k = 0; k < 10; k++)
            a_first[k] = !s.b_first[k];
        ib_stats_pairs turned = s.in;
        turned.a = s.b;
        turned.b = s.a;
        turned.b_first = a_first;
        ib_stats_comparison c = compare(&s.in), d = compare(&turned);
        assert_true(fabs(c.ratio.point * d.ratio.point - 1) < 1e-8);
        assert_true(fabs(c.ratio.lo * d.ratio.hi - 1) < 1e-8);
        assert_true(c.p == d.p && fabs(c.p_b_slower + d.p_b_slower - 1) < 1e-12);
        assert_true(c.verdict == IB_STATS_SLOWER   ? d.verdict == IB_STATS_FASTER
                    : c.verdict == IB_STATS_FASTER ? d.verdict == IB_STATS_SLOWER
                                                   : c.verdict == d.verdict);
        assert_true(c.ratio.lo <= c.ratio.point && c.ratio.point <= c.ratio.hi);
        /* The interval is the test turned around. */
        assert_true((c.p <= 0.05) == (c.ratio.lo > 1 || c.ratio.hi < 1));
    }
}

static void test_pairs_edges(void **state) {
    (void)state;
    session s;
    make_session(&s, 5, 0.5, 0.001, 1);
    ib_stats_comparison c = compare(&s.in); /* 2 / 2^5 is over 5 % */
    assert_true(c.p == 0.0625 && c.ratio.lo == 0 && isinf(c.ratio.hi));
    assert_int_equal(c.verdict, IB_STATS_UNDECIDED);
    assert_true(c.pairs_needed >= 6);
    make_session(&s, 1, 0.5, 0.001, 1);
    c = compare(&s.in);
    assert_true(c.p == 1 && c.ratio.lo == 0 && isnan(c.cv) && isinf(c.mdd));
    make_session(&s, 6, 0.5, 0.001, 1);
    c = compare(&s.in);
    assert_true(c.p == 0.03125 && c.exact && c.p_b_slower == 1);
    assert_int_equal(c.verdict, IB_STATS_SLOWER);
    assert_int_equal(c.pairs_needed, 0);
    make_session(&s, 10, 0, 0, 1); /* not one value differs */
    c = compare(&s.in);
    assert_true(c.p == 1 && c.ratio.point == 1 && fabs(c.ratio.hi - 1) < 1e-8);
    assert_int_equal(c.verdict, IB_STATS_SAME);
    make_session(&s, 80, 0.02, 0.01, 3); /* random swaps */
    c = compare(&s.in);
    ib_stats_comparison again = compare(&s.in);
    assert_false(c.exact);
    assert_true(c.p == 1.0 / (IB_STATS_PAIRS_SWAPS + 1) && c.ratio.lo == again.ratio.lo);
    assert_int_equal(c.verdict, IB_STATS_SLOWER);
    s.a[3] = 0;
    ib_error err;
    assert_int_equal(ib_stats_compare_pairs(&c, &s.in, work, &err), IB_E_INVALID);
    assert_non_null(strstr(err.text, "pair 4"));
    s.in.n = 0;
    assert_int_equal(ib_stats_compare_pairs(&c, &s.in, work, &err), IB_E_INVALID);
}

static void test_judge(void **state) {
    (void)state;
    static const struct {
        ib_stats_interval ratio;
        ib_stats_verdict want;
    } rows[] = {{{1.03, 1.01, 1.05}, IB_STATS_SLOWER},     {{0.97, 0.95, 0.99}, IB_STATS_FASTER},
                {{1.005, 1.001, 1.009}, IB_STATS_SAME},    {{1.0, 0.99, 1.01}, IB_STATS_SAME},
                {{1.005, 0.97, 1.04}, IB_STATS_UNDECIDED}, {{1.03, 0.99, 1.07}, IB_STATS_UNDECIDED},
                {{1.015, 1.011, 1.019}, IB_STATS_SLOWER}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(ib_stats_judge(&rows[i].ratio, 0.01, 0.02), rows[i].want);
    assert_string_equal(ib_stats_verdict_name(IB_STATS_SAME), "SAME");
}

static void test_smallest_p(void **state) {
    (void)state;
    static const double low[] = {1, 2, 3, 4, 5}, high[] = {6, 7, 8, 9, 10};
    assert_true(fabs(ib_stats_mann_whitney(low, 4, high, 4, work).p - 2.0 / 70) < 1e-15);
    assert_true(fabs(ib_stats_mann_whitney(low, 5, high, 5, work).p - 2.0 / 252) < 1e-15);
    assert_true(ib_stats_signed_rank(high, 5, work).p == 0.0625);
    assert_true(ib_stats_brunner_munzel(low, 5, high, 5, work).p == 2.0 / 252);
}

static void test_long_trend(void **state) {
    (void)state;
    enum { N = 50000 };
    double *y = malloc(N * sizeof *y), *big = malloc(IB_STATS_TREND_WORK((size_t)N) * sizeof *big);
    ib_rng rng;
    assert_true(y && big);
    ib_rng_init(&rng, 5);
    for (size_t i = 0; i < N; i++)
        y[i] = 100 + 0.001 * (double)i + ib_rng_normal(&rng);
    ib_stats_line l = ib_stats_theil_sen(y, N, 0.01, big);
    assert_true(l.lo < 0.001 && 0.001 < l.hi && l.hi - l.lo < 5e-6);
    assert_true(fabs(l.intercept - 100) < 0.1 && l.points == 1000);
    ib_stats_detrend(y, N, l.slope, y);
    l = ib_stats_theil_sen(y, N, 0.01, big);
    assert_true(fabs(l.slope) < 1e-6);
    free(y);
    free(big);
}

static void test_bins(void **state) {
    (void)state;
    static const double y[] = {5, 1, 2, 9, 4, 4, 8, 7, 3, 6};
    ib_stats_bin bins[65];
    assert_int_equal(ib_stats_power_bins(y, 10, 0, bins, work), 5);
    assert_true(bins[0].n == 1 && bins[2].from == 2 && bins[2].to == 4 && bins[2].median == 5.5);
    assert_true(bins[4].from == 8 && bins[4].to == 10 && bins[4].median == 4.5);
    assert_int_equal(ib_stats_power_bins(y, 10, 510, bins, work), 2);
    assert_true(bins[0].n == 2 && bins[1].from == 512 && bins[1].n == 8);
    assert_int_equal(ib_stats_power_bins(y, 0, 3, bins, work), 0);
}

static void test_edges(void **state) {
    (void)state;
    static const double x[] = {2, 2, 2, 9};
    double z[4];
    assert_true(isnan(ib_stats_mad(x, 0, work)) && isnan(ib_stats_stdev(x, 1, 1)));
    assert_true(isnan(ib_stats_theil_sen(x, 1, 0.05, work).slope));
    assert_true(isnan(ib_stats_lag1(x, 3)) && ib_stats_n_eff(10, NAN) == 10);
    ib_stats_modified_z(x, 4, z, work);
    assert_true(z[0] == 0 && isinf(z[3]));
    ib_stats_fences f = ib_stats_tukey_fences(x, 4, work);
    assert_int_equal(ib_stats_tukey_label(&f, 9), IB_STATS_MILD_HIGH); /* on the outer fence */
    assert_int_equal(ib_stats_tukey_label(&f, 9.1), IB_STATS_SEVERE_HIGH);
    assert_int_equal(ib_stats_tukey_label(&f, 2), IB_STATS_USUAL);
    assert_true(ib_stats_signed_rank(x, 0, work).p == 1);
    assert_true(ib_stats_mann_whitney(x, 3, x, 3, work).p == 1);
    assert_int_equal(ib_stats_find_steady(x, 4, false, NULL).state, IB_STATS_STEADY_UNKNOWN);
    double flat[50];
    for (size_t i = 0; i < 50; i++)
        flat[i] = 7;
    double *big = malloc(IB_STATS_STEADY_WORK((size_t)50) * sizeof *big);
    assert_non_null(big);
    ib_stats_steady s = ib_stats_find_steady(flat, 50, false, big);
    assert_true(s.state == IB_STATS_STEADY && s.from == 0 && s.level == 7);
    memset(flat, 0, sizeof flat);
    s = ib_stats_find_steady(flat, 50, false, big);
    assert_true(s.state == IB_STATS_STEADY && s.from == 0 && s.level == 0);
    for (size_t i = 0; i < 5; i++)
        flat[i] = 1;
    s = ib_stats_find_steady(flat, 50, false, big);
    assert_true(s.state == IB_STATS_STEADY && s.from == 5);
    flat[30] = NAN; /* no answer is promised, but it ends */
    (void)ib_stats_find_steady(flat, 50, false, big);
    free(big);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),        cmocka_unit_test(test_smallest_samples),
        cmocka_unit_test(test_runs_for_power), cmocka_unit_test(test_pairs_exchange),
        cmocka_unit_test(test_pairs_edges),    cmocka_unit_test(test_judge),
        cmocka_unit_test(test_smallest_p),     cmocka_unit_test(test_long_trend),
        cmocka_unit_test(test_bins),           cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
