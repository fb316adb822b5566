/* SPDX-License-Identifier: MIT
 * Quantiles and roundings against what NumPy and Python answered for the same numbers
 * (tests/golden/stats/vectors.txt), bit for bit. */
#include "stats/quantile.h"

#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LINE = 1024 };

static uint64_t splitmix64(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* The same sample that tools/reference/make_stats.py made. */
static double *make_sample(size_t n, uint64_t seed, int kind) {
    double *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        uint64_t r = splitmix64(&seed);
        x[i] = kind == 0   ? (double)(10000000 + r % 50000000) / 1e9
               : kind == 1 ? 1.0 + (double)(r >> 12) * 0x1p-52
                           : (double)(r % 7) / 10;
    }
    return x;
}

static void same_bits(double got, double want, const char *line) {
    if (memcmp(&got, &want, sizeof got) != 0)
        fail_msg("got %a, want %a for: %s", got, want, line);
}

typedef struct counts {
    size_t quantiles, rounds, reprs, fixed;
} counts;

typedef struct state {
    double *raw, *sorted; /* owned */
    size_t n;
    counts done;
} state;

static void new_sample(state *s, const char *line) {
    uint64_t seed;
    int kind;
    free(s->raw);
    free(s->sorted);
    assert_int_equal(sscanf(line, "sample %*s %zu %" SCNu64 " %d", &s->n, &seed, &kind), 3);
    s->raw = make_sample(s->n, seed, kind);
    s->sorted = make_sample(s->n, seed, kind);
    ib_stats_sort(s->sorted, s->n);
}

static void check_line(state *s, const char *line) {
    double a, b, c;
    int digits, at = 0;
    char text[400];
    if (strncmp(line, "sample ", 7) == 0) {
        new_sample(s, line);
    } else if (sscanf(line, "q %lf %lf", &a, &b) == 2) {
        same_bits(ib_stats_percentile(s->sorted, s->n, a), b, line);
        s->done.quantiles++;
    } else if (sscanf(line, "median %lf", &a) == 1) {
        same_bits(ib_stats_median(s->sorted, s->n), a, line);
    } else if (sscanf(line, "mean %lf", &a) == 1) {
        same_bits(ib_stats_mean(s->raw, s->n), a, line);
    } else if (sscanf(line, "round %lf %d %lf %lf", &a, &digits, &b, &c) == 4) {
        same_bits(ib_stats_round_numpy(a, digits), b, line);
        same_bits(ib_stats_round_python(a, digits), c, line);
        s->done.rounds++;
    } else if (sscanf(line, "fixed %lf %d %n", &a, &digits, &at) == 2 && at) {
        size_t n = ib_stats_fixed(a, digits, text, sizeof text);
        assert_string_equal(text, line + at);
        assert_int_equal(n, strlen(text));
        s->done.fixed++;
    } else if (sscanf(line, "repr %lf %n", &a, &at) == 1 && at) {
        size_t n = ib_stats_repr(a, text);
        assert_string_equal(text, line + at);
        assert_int_equal(n, strlen(text));
        s->done.reprs++;
    } else {
        assert_int_equal(line[0], '#');
    }
}

static void test_vectors(void **unused) {
    (void)unused;
    char line[LINE];
    state s = {0};
    FILE *f = fopen(IB_SOURCE_DIR "/tests/golden/stats/vectors.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        check_line(&s, line);
    }
    (void)fclose(f);
    free(s.raw);
    free(s.sorted);
    assert_int_equal(s.done.quantiles, 15 * 3 * 13);
    assert_true(s.done.rounds > 1000 && s.done.reprs >= 6000 && s.done.fixed > 1000);
}

static void test_empty_and_special(void **unused) {
    (void)unused;
    char text[32];
    assert_true(isnan(ib_stats_percentile(NULL, 0, 50)));
    assert_true(isnan(ib_stats_median(NULL, 0)));
    assert_true(isnan(ib_stats_mean(NULL, 0)));
    assert_int_equal(ib_stats_repr(INFINITY, text), 3);
    assert_string_equal(text, "inf");
    (void)ib_stats_repr(-INFINITY, text);
    assert_string_equal(text, "-inf");
    (void)ib_stats_repr(NAN, text);
    assert_string_equal(text, "nan");
    assert_true(isnan(ib_stats_round_python(NAN, 1)));
    assert_int_equal(ib_stats_fixed(1.25, 1, text, 3), 2); /* cut, never over the end */
}

/* measurement.md 4.1: the published minimum numbers of samples. */
/* A host program with a decimal comma must see the same text. */
static void test_locale(void **unused) {
    (void)unused;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    char text[32];
    const char *set = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !set; i++)
        set = setlocale(LC_NUMERIC, names[i]);
    if (!set) {
        print_message("no locale with a decimal comma is installed\n");
        skip();
    }
    (void)ib_stats_fixed(1234.5, 1, text, sizeof text);
    assert_string_equal(text, "1234.5");
    (void)ib_stats_repr(35.1, text);
    assert_string_equal(text, "35.1");
    assert_true(ib_stats_round_python(2.25, 1) == 2.2);
    (void)setlocale(LC_NUMERIC, "C");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_empty_and_special),
        cmocka_unit_test(test_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
