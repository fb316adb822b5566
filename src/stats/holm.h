/* SPDX-License-Identifier: MIT
 * Several metrics tested at once: Holm's step-down correction (measurement.md R23). */
#ifndef IB_STATS_HOLM_H
#define IB_STATS_HOLM_H

#include <stddef.h>

/* adjusted[i] = max over the j smallest p up to p[i] of min(1, (m - j) p(j)), j from 0 (Holm 1979):
 * compare with alpha directly. O(m^2).   adjusted [m] may not alias p */
void ib_stats_holm(const double *p, size_t m, double *adjusted);

#endif
