/* SPDX-License-Identifier: MIT
 * What the kernel counts for this process and its CPUs, for the gates of a run. Read outside the
 * timed window: about 0.1 ms. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "record/environment.h"

#include "base/clock.h"
#include "record/sysfile.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { STAT_BYTES = 64 * 1024 };

/* The eighth number of a "cpuN" line of /proc/stat: ticks in which the host ran somebody else. */
static uint64_t steal_ticks(const char *line) {
    char *p = strchr(line, ' ');
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) {
        char *end;
        if (!p)
            return 0;
        v = strtoull(p, &end, 10);
        if (end == p)
            return 0;
        p = end;
    }
    return v;
}

/* No allocation: one that failed before a run and not after it would look like steal. */
static uint64_t steal_ns(void) {
    static const uint64_t second = 1000000000;
    uint64_t ticks = 0;
    long per_second = sysconf(_SC_CLK_TCK);
    cpu_set_t allowed;
    char text[STAT_BYTES];
    if (per_second > 0 && sched_getaffinity(0, sizeof allowed, &allowed) == 0 &&
        ib_sysfile_read("/proc/stat", text, sizeof text))
        for (const char *p = text; p && strncmp(p, "cpu", 3) == 0;
             p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
            char *end;
            unsigned long cpu = strtoul(p + 3, &end, 10);
            if (end > p + 3 && cpu < CPU_SETSIZE && CPU_ISSET(cpu, &allowed))
                ticks += steal_ticks(p);
        }
    return per_second > 0 ? ticks * (second / (uint64_t)per_second) : 0;
}

static uint64_t pressure_cpu_ns(void) {
    char text[512];
    if (!ib_sysfile_cgroup("cpu", "cpu.pressure", "cpu.pressure", text, sizeof text) &&
        !ib_sysfile_read("/proc/pressure/cpu", text, sizeof text))
        return 0;
    const char *total = strstr(text, "total="); /* of the first line, "some" */
    return total ? strtoull(total + 6, NULL, 10) * 1000 : 0;
}

/* Both clocks at one moment: the pair read closest together of a few, since a preemption between
 * the two would look like sleep. */
static void read_clocks(uint64_t *now_ns, uint64_t *boot_ns) {
#ifdef CLOCK_BOOTTIME
    uint64_t closest = UINT64_MAX;
    for (int i = 0; i < 5; i++) {
        struct timespec boot;
        uint64_t before = ib_now_ns();
        if (clock_gettime(CLOCK_BOOTTIME, &boot) != 0)
            break;
        uint64_t after = ib_now_ns();
        if (after - before >= closest)
            continue;
        closest = after - before;
        *now_ns = before + closest / 2;
        *boot_ns = (uint64_t)boot.tv_sec * 1000000000u + (uint64_t)boot.tv_nsec;
    }
#endif
    if (*now_ns == 0)
        *now_ns = ib_now_ns();
}

void ib_process_counters_read(ib_process_counters *out) {
    struct rusage usage;
    char text[1024];
    *out = (ib_process_counters){0};
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        out->major_faults = (uint64_t)usage.ru_majflt;
        out->minor_faults = (uint64_t)usage.ru_minflt;
        out->involuntary_switches = (uint64_t)usage.ru_nivcsw;
        out->voluntary_switches = (uint64_t)usage.ru_nvcsw;
    }
    out->steal_ns = steal_ns();
    out->pressure_cpu_ns = pressure_cpu_ns();
    if (ib_sysfile_cgroup("cpu", "cpu.stat", "cpu.stat", text, sizeof text))
        (void)ib_sysfile_line_u64(text, "nr_throttled", &out->throttled_periods);
    read_clocks(&out->now_ns, &out->boot_ns);
}

uint64_t ib_process_vm_hwm(void) {
    char text[4096];
    uint64_t kib = 0;
    if (ib_sysfile_read("/proc/self/status", text, sizeof text))
        (void)ib_sysfile_line_u64(text, "VmHWM", &kib);
    return kib * 1024;
}
