/* SPDX-License-Identifier: MIT
 * See order.h. */
#include "stats/order.h"

#include "stats/quantile.h"

#include <math.h>
#include <string.h>

static double middle_of_three(double a, double b, double c) {
    if (a > b) {
        double t = a;
        a = b;
        b = t;
    }
    return c < a ? a : c > b ? b : c;
}

double ib_stats_select(double *x, size_t n, size_t k) {
    size_t lo = 0, hi = n; /* the answer lies in [lo, hi) */
    while (hi - lo > 1) {
        double pivot = middle_of_three(x[lo], x[lo + (hi - lo) / 2], x[hi - 1]);
        size_t less = lo, i = lo, more = hi;
        while (i < more) {
            double v = x[i];
            if (v < pivot) {
                x[i++] = x[less];
                x[less++] = v;
            } else if (v > pivot) {
                x[i] = x[--more];
                x[more] = v;
            } else {
                i++;
            }
        }
        if (k < less)
            hi = less;
        else if (k >= more)
            lo = more;
        else
            return pivot;
    }
    return x[lo];
}

double ib_stats_median_of(double *x, size_t n) {
    if (n == 0)
        return NAN;
    double high = ib_stats_select(x, n, n / 2);
    if (n % 2)
        return high;
    double low = x[0];
    for (size_t i = 1; i < n / 2; i++)
        low = x[i] > low ? x[i] : low;
    return (low + high) / 2;
}

/* First index of sorted[n] whose value is >= v, or > v when `after`. */
static size_t bound(const double *sorted, size_t n, double v, int after) {
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (sorted[mid] < v || (after && sorted[mid] == v))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

double ib_stats_midranks(const double *x, size_t n, double *ranks, double *work) {
    double ties = 0;
    memcpy(work, x, n * sizeof *x);
    ib_stats_sort(work, n);
    for (size_t i = 0; i < n; i++) {
        size_t from = bound(work, n, x[i], 0), to = bound(work, n, x[i], 1);
        double t = (double)(to - from);
        ranks[i] = ((double)from + (double)to + 1) / 2;
        ties += t * t - 1; /* every member of the group adds (t^3 - t) / t */
    }
    return ties;
}
