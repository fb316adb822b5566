/* SPDX-License-Identifier: MIT
 * How much of a checkpoint's mapped weights is in memory: what tells a warm run from a cold one. */
#ifndef IB_BENCH_RESIDENT_H
#define IB_BENCH_RESIDENT_H

#include "checkpoint/checkpoint.h"

/* Bytes in whole pages under the tensors, and those of them that are resident; 0 and 0 when that is
 * not to be had. The embedding table, of which a step reads one row, is left out. */
void ib_bench_resident(const ib_checkpoint *c, uint64_t *mapped, uint64_t *resident);

#endif
