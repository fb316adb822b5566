/* SPDX-License-Identifier: MIT
 * How much memory the process may still take before something fails. */
#ifndef IB_RECORD_AT_HAND_H
#define IB_RECORD_AT_HAND_H

#include <stdint.h>

/* The least of: what the kernel says is available, what the control group leaves (its file cache
 * counts as free), what the address-space limit leaves. Bytes; UINT64_MAX when nothing tells.
 * *limit names the one that decides ("MemAvailable", "cgroup memory.max", "ulimit -v"). */
uint64_t ib_memory_at_hand(const char **limit);

#endif
