/* SPDX-License-Identifier: MIT
 * Labels for unusual values. Nothing is ever deleted: every figure keeps using all values, and the
 * labels say which ones to look at (measurement.md R25). */
#ifndef IB_STATS_OUTLIERS_H
#define IB_STATS_OUTLIERS_H

#include <stddef.h>
#include <stdint.h>

typedef enum ib_stats_label {
    IB_STATS_USUAL,
    IB_STATS_MILD_LOW,   /* beyond 1.5 IQR below the first quartile */
    IB_STATS_MILD_HIGH,  /* ... above the third */
    IB_STATS_SEVERE_LOW, /* beyond 3 IQR */
    IB_STATS_SEVERE_HIGH
} ib_stats_label;

typedef struct ib_stats_fences {
    double severe_low, mild_low, mild_high, severe_high;
} ib_stats_fences;

/* Tukey's inner (1.5 IQR) and outer (3 IQR) fences, quartiles by NumPy's "linear" (Tukey 1977). A
 * value on a fence gets the milder label. NaN for n == 0.   work [n] */
ib_stats_fences ib_stats_tukey_fences(const double *x, size_t n, double *work);
ib_stats_label ib_stats_tukey_label(const ib_stats_fences *f, double x);
/* "usual", "mild low", "mild high", "severe low", "severe high". */
const char *ib_stats_label_name(ib_stats_label label);

/* z[i] = (x[i] - median) / (1.4826 MAD): Iglewicz & Hoaglin 1993, who write 0.6745 for 1/1.4826.
 * With MAD 0 a value at the median gets 0 and any other +-infinity.   work [n], z may be x */
void ib_stats_modified_z(const double *x, size_t n, double *z, double *work);

/* |z| above this earns a label: their 3.5. */
#define IB_STATS_MODIFIED_Z_LIMIT 3.5

#endif
