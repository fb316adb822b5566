/* SPDX-License-Identifier: MIT
 * Facts of the machine and the process as one JSON object; what cannot be read is null, never a
 * guess. No host name, no user name. */
#ifndef IB_RECORD_ENVIRONMENT_H
#define IB_RECORD_ENVIRONMENT_H

#include "base/json.h"

/* Takes a few milliseconds (the clock is measured). */
ib_status ib_environment_read(json_t **out, ib_error *err) IB_MUST_CHECK;

/* Counters for the gates of a run; read before and after it, outside the timed window. Zero where
 * the kernel does not tell. */
typedef struct ib_process_counters {
    uint64_t major_faults, minor_faults, involuntary_switches, voluntary_switches;
    uint64_t now_ns, boot_ns; /* monotonic, and the clock that also runs while asleep */
    uint64_t steal_ns;        /* summed over the CPUs the process may use */
    uint64_t busy_ns;         /* likewise: not idle, not stolen */
    uint64_t cpu_ns;          /* of the process */
    uint64_t throttled_periods, pressure_cpu_ns;
    uint64_t swap_ins, thermal_events;
    uint64_t cpus; /* differs when the set of allowed CPUs does */
} ib_process_counters;
/* root stands in front of the paths of /proc and /sys: "" for the machine. */
void ib_process_counters_read(ib_process_counters *out, const char *root);
uint64_t ib_process_vm_hwm(void); /* bytes, 0 = unknown */
/* Bytes of the process's own memory that lie in huge pages now; 0 = none, or unknown. */
uint64_t ib_process_huge_bytes(void);

#endif
