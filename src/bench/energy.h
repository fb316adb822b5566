/* SPDX-License-Identifier: MIT
 * Energy, where the hardware counts it: the processor's packages and memory through the powercap
 * interface (RAPL), an NVIDIA GPU through NVML, opened at run time. Read before a run and after it,
 * never inside the timed window. */
#ifndef IB_BENCH_ENERGY_H
#define IB_BENCH_ENERGY_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ib_energy ib_energy;

/* root: in front of /sys ("" = the machine). nvml: the library to open for a GPU, NULL = none. The
 * status is that of memory alone: a machine that counts nothing gives an ib_energy that says so. */
ib_status ib_energy_open(ib_energy **out, const char *root, const char *nvml,
                         ib_error *err) IB_MUST_CHECK;
void ib_energy_close(ib_energy *e); /* NULL is fine */
/* "rapl", "nvml", "rapl+nvml"; NULL = not available, and why. */
const char *ib_energy_source(const ib_energy *e);
const char *ib_energy_why_not(const ib_energy *e);
/* Microjoules since it was opened, all counters together; false when one cannot be read. To be
 * called at least once for each turn of a counter (RAPL: minutes at full load). */
bool ib_energy_read(ib_energy *e, uint64_t *uj);

#endif
