/* SPDX-License-Identifier: MIT
 * Order statistics and decimal roundings, operation for operation as NumPy and CPython do them, so
 * that the figures which the reference prints come out with the same last digit.
 *
 * Sources: numpy/lib/_function_base_impl.py (_quantile, _lerp, _median), NumPy's pairwise sum,
 * CPython's float.__round__ and float.__repr__. Checked against both by tests/unit/test_quantile.c.
 * Knows numbers, not tokens. */
#include "stats/quantile.h"

#include "base/str.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void ib_stats_sort(double *x, size_t n) {
    if (n > 1)
        qsort(x, n, sizeof *x, ascending);
}

double ib_stats_percentile(const double *sorted, size_t n, double q) {
    if (n == 0)
        return NAN;
    double last = (double)(n - 1), v = last * (q / 100.0);
    if (v >= last)
        return sorted[n - 1];
    if (!(v > 0))
        return sorted[0];
    double below = floor(v), g = v - below;
    double a = sorted[(size_t)below], b = sorted[(size_t)below + 1], d = b - a;
    /* NumPy interpolates from the nearer end; the two forms differ in the last bit. */
    return g < 0.5 ? a + d * g : b - d * (1 - g);
}

double ib_stats_median(const double *sorted, size_t n) {
    if (n == 0)
        return NAN;
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* Sum of x[n] in the order of NumPy's reduction: eight lanes up to 128 values, halves above. */
static double pairwise_sum(const double *x, size_t n) {
    if (n < 8) {
        double s = 0;
        for (size_t i = 0; i < n; i++)
            s += x[i];
        return s;
    }
    if (n > 128) {
        size_t half = n / 2;
        half -= half % 8;
        return pairwise_sum(x, half) + pairwise_sum(x + half, n - half);
    }
    double r[8];
    size_t i = 8;
    memcpy(r, x, sizeof r);
    for (; i < n - n % 8; i += 8)
        for (size_t k = 0; k < 8; k++)
            r[k] += x[i + k];
    double s = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    for (; i < n; i++)
        s += x[i];
    return s;
}

double ib_stats_mean(const double *x, size_t n) {
    return n ? pairwise_sum(x, n) / (double)n : NAN;
}

double ib_stats_round_numpy(double x, int digits) {
    double scale = 1;
    for (int i = 0; i < digits; i++)
        scale *= 10;
    return rint(x * scale) / scale;
}

/* Puts '.' where a host program's locale made printf write something else. */
static size_t point(char *text, size_t len) {
    const char *here = localeconv()->decimal_point;
    size_t n = here ? strlen(here) : 0;
    char *at = n && strcmp(here, ".") != 0 ? strstr(text, here) : NULL;
    if (!at)
        return len;
    *at = '.';
    memmove(at + 1, at + n, strlen(at + n) + 1);
    return len - (n - 1);
}

size_t ib_stats_fixed(double x, int digits, char *out, size_t cap) {
    int n = snprintf(out, cap, "%.*f", digits, x);
    if (n < 0 || cap == 0)
        return 0;
    return point(out, (size_t)n < cap ? (size_t)n : cap - 1);
}

double ib_stats_round_python(double x, int digits) {
    char text[400]; /* 309 digits before the point at most */
    if (!isfinite(x))
        return x;
    (void)ib_stats_fixed(x, digits, text, sizeof text);
    double v = x;
    /* Values too long for the strict reader are integers already. */
    if (!ib_parse_double(ib_str_of(text), &v))
        return x;
    return v;
}

/* "d.ddde+XX" with n digits; true when it reads back as x. */
static bool scientific(double x, int n, char out[40]) {
    double back;
    int len = snprintf(out, 40, "%.*e", n - 1, x);
    (void)point(out, (size_t)len);
    return ib_parse_double(ib_str_of(out), &back) && back == x;
}

/* The next decimal of the same length further from zero, when it reads back as x. Needed at powers
 * of two, where the values that round to x reach twice as far up as down. */
static bool step_away(double x, char text[40]) {
    double back;
    char *e = strchr(text, 'e');
    char *p = e ? e : text;
    while (p > text && (*--p == '9' || *p == '.' || *p == '-'))
        if (*p == '9')
            *p = '0';
        else if (*p == '-')
            return false;
    if (p == text && (*p < '0' || *p > '8'))
        return false; /* 9.99 would grow a digit: its shorter form was tried before */
    ++*p;
    return ib_parse_double(ib_str_of(text), &back) && back == x;
}

/* Digits and decimal exponent of the shortest text that reads back as x (finite, not zero). */
static int shortest(double x, char digits[20], int *exponent) {
    char text[40], away[40];
    int n, k = 0, binary;
    bool power_of_two = fabs(frexp(x, &binary)) == 0.5;
    for (n = 1; n < 17; n++) {
        if (scientific(x, n, text))
            break;
        if (!power_of_two)
            continue;
        memcpy(away, text, sizeof away);
        if (step_away(x, away)) {
            memcpy(text, away, sizeof text);
            break;
        }
    }
    if (n == 17)
        (void)scientific(x, n, text);
    for (const char *p = text; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9')
            digits[k++] = *p;
    *exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    while (k > 1 && digits[k - 1] == '0')
        k--;
    return k;
}

static size_t repr_special(double x, char out[32]) {
    const char *text = isnan(x) ? "nan" : x == 0 ? "0.0" : "inf";
    return (size_t)snprintf(out, 32, "%s%s", signbit(x) && !isnan(x) ? "-" : "", text);
}

size_t ib_stats_repr(double x, char out[32]) {
    char digits[20] = "0";
    int exponent;
    size_t n = 0;
    if (!isfinite(x) || x == 0)
        return repr_special(x, out);
    int k = shortest(x, digits, &exponent);
    if (x < 0)
        out[n++] = '-';
    if (exponent < -4 || exponent >= 16) {
        out[n++] = digits[0];
        if (k > 1) {
            out[n++] = '.';
            memcpy(out + n, digits + 1, (size_t)k - 1);
            n += (size_t)k - 1;
        }
        return n + (size_t)snprintf(out + n, 32 - n, "e%c%02d", exponent < 0 ? '-' : '+',
                                    abs(exponent));
    }
    for (int i = exponent < 0 ? exponent : 0; i < k || i <= exponent + 1; i++) {
        out[n++] = i >= 0 && i < k ? digits[i] : '0';
        if (i == exponent)
            out[n++] = '.';
    }
    out[n] = '\0';
    return n;
}
