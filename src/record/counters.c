/* SPDX-License-Identifier: MIT
 * What the kernel counts for this process and its CPUs, for the gates of a run. Read outside the
 * timed window: about 0.2 ms. Nothing here allocates: a reading that failed before a run and not
 * after it would look like a disturbance. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "record/environment.h"

#include "base/clock.h"
#include "record/sysfile.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { STAT_BYTES = 64 * 1024, VMSTAT_BYTES = 16 * 1024, PATH = 512 };
enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, N_TICKS }; /* of a "cpuN" line */

static bool read_under(const char *root, const char *path, char *out, size_t cap) {
    char full[PATH];
    (void)snprintf(full, sizeof full, "%s%s", root, path);
    return ib_sysfile_read(full, out, cap);
}

static void add_ticks(const char *line, uint64_t ticks[N_TICKS]) {
    char *p = strchr(line, ' ');
    for (int i = 0; i < N_TICKS && p; i++) {
        char *end;
        const uint64_t v = strtoull(p, &end, 10);
        if (end == p)
            return;
        ticks[i] += v;
        p = end;
    }
}

/* Times of the CPUs that the process may use. */
static void read_cpus(ib_process_counters *out, const char *root, const cpu_set_t *allowed) {
    static const uint64_t second = 1000000000;
    uint64_t ticks[N_TICKS] = {0};
    const long per_second = sysconf(_SC_CLK_TCK);
    char text[STAT_BYTES];
    if (per_second <= 0 || !read_under(root, "/proc/stat", text, sizeof text))
        return;
    for (const char *p = text; p && strncmp(p, "cpu", 3) == 0;
         p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
        char *end;
        const unsigned long cpu = strtoul(p + 3, &end, 10);
        if (end > p + 3 && cpu < CPU_SETSIZE && CPU_ISSET(cpu, allowed))
            add_ticks(p, ticks);
    }
    const uint64_t ns = second / (uint64_t)per_second;
    out->steal_ns = ticks[STEAL] * ns;
    out->busy_ns = (ticks[USER] + ticks[NICE] + ticks[SYSTEM] + ticks[IRQ] + ticks[SOFTIRQ]) * ns;
}

static void read_thermal(ib_process_counters *out, const char *root, const cpu_set_t *allowed) {
    char path[PATH];
    uint64_t n;
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET((size_t)i, allowed))
            continue;
        (void)snprintf(path, sizeof path,
                       "%s/sys/devices/system/cpu/cpu%d/thermal_throttle/core_throttle_count", root,
                       i);
        if (ib_sysfile_u64(path, &n))
            out->thermal_events += n;
    }
}

static uint64_t pressure_cpu_ns(const char *root) {
    char text[512];
    if ((*root || !ib_sysfile_cgroup("cpu", "cpu.pressure", "cpu.pressure", text, sizeof text)) &&
        !read_under(root, "/proc/pressure/cpu", text, sizeof text))
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

/* A number that differs when the set does (FNV-1a). */
static uint64_t fold(const cpu_set_t *set) {
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < CPU_SETSIZE; i++)
        h = (h ^ (uint64_t)(CPU_ISSET(i, set) != 0)) * 0x100000001B3u;
    return h;
}

static uint64_t time_ns(const struct timeval *t) {
    return (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_usec * 1000u;
}

void ib_process_counters_read(ib_process_counters *out, const char *root) {
    struct rusage usage;
    cpu_set_t allowed;
    char text[VMSTAT_BYTES];
    *out = (ib_process_counters){0};
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        out->cpus = fold(&allowed);
        read_cpus(out, root, &allowed);
        read_thermal(out, root, &allowed);
    }
    out->pressure_cpu_ns = pressure_cpu_ns(root);
    if (read_under(root, "/proc/vmstat", text, sizeof text))
        (void)ib_sysfile_line_u64(text, "pswpin", &out->swap_ins);
    if (*root ? read_under(root, "/sys/fs/cgroup/cpu.stat", text, sizeof text)
              : ib_sysfile_cgroup("cpu", "cpu.stat", "cpu.stat", text, sizeof text))
        (void)ib_sysfile_line_u64(text, "nr_throttled", &out->throttled_periods);
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        out->major_faults = (uint64_t)usage.ru_majflt;
        out->minor_faults = (uint64_t)usage.ru_minflt;
        out->involuntary_switches = (uint64_t)usage.ru_nivcsw;
        out->voluntary_switches = (uint64_t)usage.ru_nvcsw;
        out->cpu_ns = time_ns(&usage.ru_utime) + time_ns(&usage.ru_stime);
    }
    read_clocks(&out->now_ns, &out->boot_ns);
}

uint64_t ib_process_huge_bytes(void) {
    char text[4096];
    uint64_t kib = 0;
    if (ib_sysfile_read("/proc/self/smaps_rollup", text, sizeof text))
        (void)ib_sysfile_line_u64(text, "AnonHugePages", &kib);
    return kib * 1024;
}

uint64_t ib_process_vm_hwm(void) {
    char text[4096];
    uint64_t kib = 0;
    if (ib_sysfile_read("/proc/self/status", text, sizeof text))
        (void)ib_sysfile_line_u64(text, "VmHWM", &kib);
    return kib * 1024;
}
