/* SPDX-License-Identifier: MIT
 * See holm.h. */
#include "stats/holm.h"

#include <stdbool.h>

/* p[i] comes before p[j]; equal values keep their order. */
static bool before(const double *p, size_t i, size_t j) {
    return p[i] < p[j] || (i < j && p[i] == p[j]);
}

void ib_stats_holm(const double *p, size_t m, double *adjusted) {
    for (size_t i = 0; i < m; i++)
        adjusted[i] = 0;
    for (size_t j = 0; j < m; j++) {
        size_t rank = 0;
        for (size_t k = 0; k < m; k++)
            rank += before(p, k, j);
        double v = (double)(m - rank) * p[j];
        v = v < 1 ? v : 1;
        for (size_t i = 0; i < m; i++) /* no larger p ends below this one */
            if (!before(p, i, j) && adjusted[i] < v)
                adjusted[i] = v;
    }
}
