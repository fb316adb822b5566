/* SPDX-License-Identifier: MIT
 * The synthetic engine: its laws as text and as draws, its clock, what it provokes; and repeating
 * until an interval is narrow, whose looks are paid for. */
#include "bench/bench.h"
#include "bench/until.h"
#include "engine/synth.h"
#include "record/summary.h"
#include "stats/sequential.h"
#include "support.h"

#include <math.h>

static ib_law law_of(const char *text) {
    ib_law law;
    ib_error err = {0};
    if (ib_law_parse(&law, ib_str_of(text), &err) != IB_OK)
        fail_msg("%s", err.text);
    return law;
}

/* Every key is written and read back as the same law. */
static void test_text(void **unused) {
    (void)unused;
    static const char all[] =
        "itl=2.5ms:ttft=1s:prefill=10us:sd=2%:ar=0.5:slope=5%:mode=10%x3:outlier=1%x10:step=64x1.2:"
        "hop=40x1.05:walk=1%:warm=3x5:ramp=4x2:first=2:run=1%:hit=10%:flip=2x7:stop=1x5:nan=4:"
        "slow=3%:clock=virtual:noise=77";
    const ib_law a = law_of(all);
    ib_buf text;
    ib_buf_init(&text);
    assert_int_equal(ib_law_print(&a, true, &text, NULL), IB_OK);
    const ib_law b = law_of(text.ptr);
    assert_true(a.itl_ns == 2.5e6 && a.ttft_ns == 1e9 && a.mode.a == 0.1 && a.mode.factor == 3);
    assert_true(a.is_virtual && a.noise == 77 && a.slow == 0.03 && a.nan_run == 4);
    assert_memory_equal(&a, &b, sizeof a);
    ib_buf_reset(&text);
    assert_int_equal(ib_law_print(&a, false, &text, NULL), IB_OK);
    assert_null(strstr(text.ptr, "slow="));
    assert_null(strstr(text.ptr, "noise="));
    ib_buf_clear(&text);
    static const char *const bad[] = {
        "itl",    "itl=1",        "itl=-1ms", "sd=x",    "mode=2x3", "mode=1%", "clock=fast",
        "what=1", "itl=1ms sd=2", "=",        "noise=x", "warm=x",   "sd=nan"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ib_law law;
        ib_error err = {0};
        assert_int_equal(ib_law_parse(&law, ib_str_of(bad[i]), &err), IB_E_USAGE);
        assert_non_null(strstr(err.text, "fix:"));
    }
}

static double draw(const ib_law *law, uint64_t run, size_t n, double *y) {
    ib_law_run r;
    double sum = 0;
    ib_law_begin(&r, law, run);
    (void)ib_law_ttft(&r, 10);
    for (size_t i = 0; i < n; i++) {
        y[i] = (double)ib_law_token(&r, i);
        sum += log(y[i] / 1e6);
    }
    return sum / (double)n;
}

/* Moments and positions of what is drawn. */
static void test_draws(void **unused) {
    (void)unused;
    enum { N = 20000 };
    static double y[N], z[N];
    ib_law law = law_of("constant");
    (void)draw(&law, 0, N, y);
    for (size_t i = 0; i < N; i++)
        assert_true(y[i] == 1e6);
    law = law_of("sd=10%:noise=3");
    const double mean = draw(&law, 0, N, y);
    double var = 0, near = 0;
    for (size_t i = 0; i < N; i++) {
        z[i] = log(y[i] / 1e6) - mean;
        var += z[i] * z[i] / N;
        near += i ? z[i] * z[i - 1] / N : 0;
    }
    assert_true(fabs(mean) < 0.003 && fabs(sqrt(var) - 0.1) < 0.002 && fabs(near / var) < 0.03);
    law = law_of("sd=10%:ar=0.7:noise=3");
    const double m = draw(&law, 0, N, y);
    near = var = 0;
    for (size_t i = 0; i < N; i++) {
        z[i] = log(y[i] / 1e6) - m;
        var += z[i] * z[i] / N;
        near += i ? z[i] * z[i - 1] / N : 0;
    }
    assert_true(fabs(near / var - 0.7) < 0.03 && fabs(sqrt(var) - 0.1) < 0.005);
    law = law_of("warm=3x5:step=10x2:slope=100%");
    (void)draw(&law, 0, 1001, y);
    assert_true(y[0] == 5e6 && fabs(y[2] - 5e6 * 1.002) < 2 && fabs(y[3] - 1e6 * 1.003) < 2);
    assert_true(fabs(y[9] - 1.009e6) < 2 && fabs(y[10] - 2.02e6) < 2 && fabs(y[1000] - 4e6) < 4);
    law = law_of("mode=20%x2:noise=9");
    (void)draw(&law, 0, N, y);
    size_t high = 0;
    for (size_t i = 0; i < N; i++)
        high += y[i] == 2e6;
    assert_true(high > N / 5 - 300 && high < N / 5 + 300);
    /* the run's effect is the same for all its tokens, and another in the next run; slow acts last
     */
    law = law_of("run=5%:noise=4");
    (void)draw(&law, 1, 10, y);
    assert_true(y[0] == y[9] && y[0] != 1e6);
    (void)draw(&law, 2, 10, z);
    assert_true(y[0] != z[0]);
    law.slow = 0.03;
    (void)draw(&law, 2, 10, y);
    assert_true(fabs(y[0] / z[0] - 1.03) < 1e-6);
}

static void run_law(ib_cell *cell, const char *model_id, uint64_t n_tokens, uint64_t runs) {
    ib_error err = {0};
    ib_plan p = {.engine = {.model_id = model_id, .weights = true, .seed = 5},
                 .prompt = {.n_random = 16, .seed = 5},
                 .n_repetitions = runs,
                 .n_batch = 1};
    ib_generation_init(&p.generation);
    p.generation.max_new_tokens = n_tokens;
    if (ib_bench_run_cell(cell, &p, &err) != IB_OK)
        fail_msg("%s", err.text);
}

/* Same seed, same stamps, whatever the machine does; marked synthetic. */
static void test_virtual_clock(void **unused) {
    (void)unused;
    static const char law[] = "synth:lognormal:run=1%:clock=virtual:noise=11";
    ib_cell a = {0}, b = {0};
    ib_summary s;
    run_law(&a, law, 64, 3);
    run_law(&b, law, 64, 3);
    assert_int_equal(a.n_runs, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(a.runs[i].n_tokens, 64);
        assert_memory_equal(a.runs[i].stamps_ns, b.runs[i].stamps_ns, 65 * sizeof(uint64_t));
        assert_int_equal(a.runs[i].window_ns, 0);
    }
    assert_true(a.runs[1].stamps_ns[0] > a.runs[0].stamps_ns[64]);
    assert_true(a.model.synthetic);
    assert_string_equal(a.resolved.device, "synth");
    assert_non_null(strstr(a.model.name, "noise=11"));
    assert_int_equal(ib_summarise(&s, &a, NULL, 0, NULL), IB_OK);
    assert_string_equal(s.verdict, "valid");
    ib_cell_clear(&b);
    run_law(&b, "synth:lognormal:run=1%:clock=virtual:noise=12:slow=3%", 64, 3);
    assert_memory_not_equal(a.runs[0].stamps_ns, b.runs[0].stamps_ns, 65 * sizeof(uint64_t));
    assert_string_equal(a.model.fingerprint, b.model.fingerprint); /* of the same work */
    assert_string_equal(a.runs[0].ids_sha256, b.runs[0].ids_sha256);
    ib_cell_clear(&a);
    ib_cell_clear(&b);
}

/* On the real clock each token takes at least its time, and the tool's stamp follows the engine's.
 */
static void test_real_clock(void **unused) {
    (void)unused;
    ib_engine *e = NULL;
    ib_cell opened = {0}, cell = {0};
    ib_error err = {0};
    size_t n = 0;
    ib_plan p = {.engine = {.model_id = "synth:constant:itl=100us:ttft=300us", .weights = true},
                 .prompt = {.n_random = 4},
                 .n_repetitions = 1,
                 .n_batch = 2};
    ib_generation_init(&p.generation);
    p.generation.max_new_tokens = 32;
    assert_int_equal(ib_engine_open(&e, &p.engine, &opened, &err), IB_OK);
    assert_int_equal(ib_bench_run_on(e, &opened, &cell, &p, &err), IB_OK);
    const uint64_t *own = ib_engine_own_stamps(e, &n);
    const ib_run_record *r = &cell.runs[0];
    assert_int_equal(n, 32);
    assert_true(r->window_ns >= r->stamps_ns[32] - r->stamps_ns[0]);
    assert_true(r->spin_before_ns > 0 && r->cpu_ns > 0);
    for (size_t i = 1; i <= 32; i++) {
        assert_true(own[i] - own[i - 1] >= (i == 1 ? 300000 : 100000));
        assert_true(r->stamps_ns[i] >= own[i]);
    }
    assert_int_equal(cell.n_processes, 1);
    assert_true(json_is_object(cell.processes[0].before));
    assert_true(json_is_object(cell.processes[0].after));
    ib_engine_close(e);
    ib_cell_clear(&opened);
    ib_cell_clear(&cell);
}

static void expect(const char *law, const char *verdict, const char *says) {
    ib_cell cell = {0};
    ib_summary s;
    bool said = !*says;
    run_law(&cell, law, 64, 6);
    assert_int_equal(ib_summarise(&s, &cell, NULL, 0, NULL), IB_OK);
    for (size_t i = 0; i < s.n_reasons; i++)
        said = said || strstr(s.reasons[i], says);
    if (strcmp(s.verdict, verdict) != 0 || !said)
        fail_msg("%s: %s (%s)", law, s.verdict, s.n_reasons ? s.reasons[0] : "");
    ib_cell_clear(&cell);
}

/* R11, R12, R15, R18: provoked. */
static void test_provoked(void **unused) {
    (void)unused;
    expect("synth:lognormal:clock=virtual:noise=1", "valid", "");
    expect("synth:lognormal:clock=virtual:noise=1:flip=3x40", "invalid", "token ids differ");
    expect("synth:lognormal:clock=virtual:noise=1:stop=3x40", "invalid", "token ids differ");
    expect("synth:lognormal:clock=virtual:noise=1:nan=2", "invalid", "not finite in 1 run");
    expect("synth:sd=1%:walk=3%:clock=virtual:noise=1", "noisy", "no steady state inside");
    expect("synth:sd=1%:hop=8x1.2:clock=virtual:noise=1", "noisy", "no steady state inside");
}

static void test_steady_labels(void **unused) {
    (void)unused;
    ib_cell cell = {0};
    ib_summary s;
    run_law(&cell, "synth:sd=2%:warm=4x3:first=2:clock=virtual:noise=8", 64, 12);
    assert_int_equal(ib_summarise(&s, &cell, NULL, 0, NULL), IB_OK);
    assert_int_equal(s.steady.runs, IB_STATS_STEADY);
    assert_int_equal(s.steady.runs_from, 1);
    assert_int_equal(s.steady.tokens, IB_STATS_STEADY);
    /* four slow ones, the first of them is the gap after the first token */
    assert_true(s.steady.tokens_from >= 3 && s.steady.tokens_from <= 5);
    assert_true(s.steady.n_slow_tokens >= 3 * 12);
    assert_true(s.steady.n_labels >= 1 && s.steady.labels[0].run == 0);
    assert_string_equal(s.steady.labels[0].label, "severe high");
    assert_int_equal(s.n_runs, 12); /* nothing is left out */
    ib_cell_clear(&cell);
}

static void test_looks(void **unused) {
    (void)unused;
    static const size_t runs[] = {5, 8, 12, 18, 27, 41};
    double sum = 0, x[41], work[41];
    for (unsigned k = 1; k <= 6; k++)
        assert_int_equal(ib_stats_look_runs(k), runs[k - 1]);
    for (unsigned k = 1; k < 100000; k++)
        sum += ib_stats_look_alpha(k);
    assert_true(sum < 0.05 && sum > 0.0499);
    for (size_t i = 0; i < 41; i++)
        x[i] = 1 + 0.01 * (double)(i % 3);
    assert_int_equal(ib_stats_look_at(x, 4, work).k, 0);
    assert_int_equal(ib_stats_look_at(x, 5, work).k, 1);
    assert_int_equal(ib_stats_look_at(x, 6, work).k, 0);
    const ib_stats_look look = ib_stats_look_at(x, 12, work);
    assert_int_equal(look.k, 3);
    const ib_stats_interval same = ib_stats_t_log_interval(x, 12, look.alpha, work);
    assert_true(same.lo == look.ratio.lo && same.hi == look.ratio.hi);
    assert_true(fabs(look.half_width - (same.hi / same.point - 1)) < 1e-12);
}

/* Seeds times looks: an interval that ended the repeats holds the centre in 95 % and more. With
 * plain 95 % intervals at every look it would not (the second count). */
static void test_looking_costs_nothing(void **unused) {
    (void)unused;
    enum { TRIALS = 2000, MOST = 400 };
    static double x[MOST], work[MOST];
    size_t held = 0, naive = 0;
    ib_rng rng;
    ib_rng_init(&rng, 31);
    for (int t = 0; t < TRIALS; t++) {
        bool done = false, naive_done = false;
        for (size_t n = 0; n < MOST && !(done && naive_done);) {
            x[n++] = exp(0.02 * ib_rng_normal(&rng));
            const ib_stats_look look = ib_stats_look_at(x, n, work);
            if (!done && look.k && look.half_width <= 0.01) {
                done = true;
                held += look.ratio.lo <= 1 && 1 <= look.ratio.hi;
            }
            const ib_stats_interval plain = ib_stats_t_log_interval(x, n, 0.05, work);
            if (!naive_done && n >= 5 && plain.hi / plain.point - 1 <= 0.01) {
                naive_done = true;
                naive += plain.lo <= 1 && 1 <= plain.hi;
            }
        }
    }
    print_message("held: %zu of %d with spent alpha, %zu without\n", held, TRIALS, naive);
    assert_true(held >= TRIALS * 95 / 100);
    assert_true(naive < TRIALS * 93 / 100);
}

static void test_until(void **unused) {
    (void)unused;
    ib_cell cell = {0};
    ib_error err = {0};
    ib_plan p = {
        .engine = {.model_id = "synth:constant:run=2%:clock=virtual:noise=6", .weights = true},
        .prompt = {.n_random = 4},
        .n_repetitions = 1,
        .n_batch = 1,
        .half_width = 0.01};
    ib_generation_init(&p.generation);
    p.generation.max_new_tokens = 8;
    assert_int_equal(ib_bench_run_cell(&cell, &p, &err), IB_OK);
    assert_true(json_is_true(json_object_get(cell.stopping, "reached")));
    assert_true(json_real_value(json_object_get(cell.stopping, "half_width")) <= 0.01);
    assert_int_equal(json_integer_value(json_object_get(cell.stopping, "n")), cell.n_runs);
    assert_true(cell.n_runs >= 18 && cell.n_runs <= 140);
    ib_cell_clear(&cell);
    p.half_width = 1e-6;
    p.max_time_ns = 20000000;
    assert_int_equal(ib_bench_run_cell(&cell, &p, &err), IB_OK);
    assert_true(json_is_false(json_object_get(cell.stopping, "reached")));
    assert_string_equal(json_string_value(json_object_get(cell.stopping, "why")), "max-time");
    ib_cell_clear(&cell);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),          cmocka_unit_test(test_draws),
        cmocka_unit_test(test_virtual_clock), cmocka_unit_test(test_real_clock),
        cmocka_unit_test(test_provoked),      cmocka_unit_test(test_steady_labels),
        cmocka_unit_test(test_looks),         cmocka_unit_test(test_looking_costs_nothing),
        cmocka_unit_test(test_until),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
