/* SPDX-License-Identifier: MIT
 * Where a run took place (measurement.md section 6), from /proc, /sys and the C library. Each fact
 * is a number, a string, or null when this machine does not tell. Host and user names, boot
 * parameters without bearing on speed, and serial numbers are left out on purpose. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "record/environment.h"

#include "base/clock.h"
#include "base/threads.h"
#include "record/fields.h"
#include "record/sysfile.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CPUFREQ "/sys/devices/system/cpu/cpu0/cpufreq/"
#define DMI "/sys/class/dmi/id/"
#define VM "/proc/sys/vm/"

static ib_status text(json_t *o, const char *key, bool known, const char *value, ib_error *err) {
    return ib_fields_set_text(o, key, known ? value : NULL, known ? strlen(value) : 0, err);
}

static ib_status number(json_t *o, const char *key, bool known, uint64_t value, ib_error *err) {
    return ib_fields_set(o, key, known ? json_integer((json_int_t)value) : json_null(), err);
}

static ib_status file_text(json_t *o, const char *key, const char *path, ib_error *err) {
    char value[512];
    return text(o, key, ib_sysfile_read(path, value, sizeof value), value, err);
}

static ib_status file_number(json_t *o, const char *key, const char *path, uint64_t unit,
                             ib_error *err) {
    uint64_t value = 0;
    bool known = ib_sysfile_u64(path, &value);
    return number(o, key, known, value * unit, err);
}

static ib_status line_number(json_t *o, const char *key, const char *in, const char *name,
                             uint64_t unit, ib_error *err) {
    uint64_t value = 0;
    bool known = ib_sysfile_line_u64(in, name, &value);
    return number(o, key, known, value * unit, err);
}

static ib_status cgroup_text(json_t *o, const char *key, const char *controller, const char *v2,
                             const char *v1, ib_error *err) {
    char value[512];
    return text(o, key, ib_sysfile_cgroup(controller, v2, v1, value, sizeof value), value, err);
}

static ib_status child(json_t *o, const char *key, json_t **out, ib_error *err) {
    *out = json_object();
    return ib_fields_set(o, key, *out, err);
}

/* Only parameters that change timing; others may hold secrets. */
static ib_status boot_parameters(json_t *o, ib_error *err) {
    static const char *const known[] = {"mitigations=",
                                        "isolcpus=",
                                        "nohz_full=",
                                        "rcu_nocbs=",
                                        "nosmt",
                                        "idle=",
                                        "preempt=",
                                        "hugepages=",
                                        "transparent_hugepage=",
                                        "clocksource=",
                                        "tsc=",
                                        "intel_pstate=",
                                        "amd_pstate=",
                                        "processor.max_cstate=",
                                        "intel_idle.max_cstate="};
    char line[4096], kept[1024] = "", *save = NULL;
    bool read = ib_sysfile_read("/proc/cmdline", line, sizeof line);
    for (char *word = strtok_r(line, " ", &save); read && word; word = strtok_r(NULL, " ", &save))
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (strncmp(word, known[i], strlen(known[i])) == 0) {
                size_t n = strlen(kept);
                (void)snprintf(kept + n, sizeof kept - n, "%s%s", n ? " " : "", word);
            }
    return text(o, "boot_parameters", read, kept, err);
}

static ib_status os_facts(json_t *o, ib_error *err) {
    struct utsname u;
    char release[4096], pretty[256] = "";
    bool named = ib_sysfile_read("/etc/os-release", release, sizeof release) &&
                 ib_sysfile_line(release, "PRETTY_NAME", pretty, sizeof pretty);
    size_t n = strlen(pretty);
    if (named && n >= 2 && pretty[0] == '"') {
        memmove(pretty, pretty + 1, n - 1);
        pretty[n - 2] = '\0';
    }
    bool known = uname(&u) == 0;
    IB_TRY(text(o, "system", known, known ? u.sysname : "", err));
    IB_TRY(text(o, "kernel", known, known ? u.release : "", err));
    IB_TRY(text(o, "kernel_version", known, known ? u.version : "", err));
    IB_TRY(text(o, "machine", known, known ? u.machine : "", err));
    IB_TRY(text(o, "distribution", named, pretty, err));
    return boot_parameters(o, err);
}

static ib_status cache_facts(json_t *cpu, ib_error *err) {
    char path[96], type[32], level[8], size[32], key[32];
    json_t *caches;
    IB_TRY(child(cpu, "caches", &caches, err));
    for (int i = 0; i < 8; i++) {
        static const char base[] = "/sys/devices/system/cpu/cpu0/cache/index";
        (void)snprintf(path, sizeof path, "%s%d/type", base, i);
        bool known = ib_sysfile_read(path, type, sizeof type);
        (void)snprintf(path, sizeof path, "%s%d/level", base, i);
        known = known && ib_sysfile_read(path, level, sizeof level);
        (void)snprintf(path, sizeof path, "%s%d/size", base, i);
        if (!known || !ib_sysfile_read(path, size, sizeof size))
            break;
        const char *suffix = strcmp(type, "Data") == 0          ? "d"
                             : strcmp(type, "Instruction") == 0 ? "i"
                                                                : "";
        (void)snprintf(key, sizeof key, "L%.4s%s", level, suffix);
        IB_TRY(text(caches, key, true, size, err));
    }
    return IB_OK;
}

static ib_status allowed_cpus(json_t *cpu, ib_error *err) {
    cpu_set_t set;
    char status[4096], list[512];
    bool known = sched_getaffinity(0, sizeof set, &set) == 0;
    IB_TRY(number(cpu, "n_allowed", known, known ? (uint64_t)CPU_COUNT(&set) : 0, err));
    IB_TRY(number(cpu, "n_cores_allowed", true, (uint64_t)ib_cores_allowed(), err));
    known = ib_sysfile_read("/proc/self/status", status, sizeof status) &&
            ib_sysfile_line(status, "Cpus_allowed_list", list, sizeof list);
    return text(cpu, "allowed_list", known, list, err);
}

static ib_status cpu_facts(json_t *cpu, ib_error *err) {
    enum { CPUINFO = 16 * 1024, FLAGS = 8 * 1024 };
    static const char *const lines[][2] = {{"model", "model name"},
                                           {"vendor", "vendor_id"},
                                           {"microcode", "microcode"},
                                           {"mhz_now", "cpu MHz"},
                                           {"flags", "flags"}};
    char *info = malloc(CPUINFO), *value = malloc(FLAGS);
    ib_status st = info && value ? IB_OK : ib_fail_memory(err, CPUINFO + FLAGS, "CPU facts");
    bool read = st == IB_OK && ib_sysfile_read("/proc/cpuinfo", info, CPUINFO);
    for (size_t i = 0; i < sizeof lines / sizeof *lines && st == IB_OK; i++)
        st = text(cpu, lines[i][0], read && ib_sysfile_line(info, lines[i][1], value, FLAGS), value,
                  err);
    bool flags = st == IB_OK && read && ib_sysfile_line(info, "flags", value, FLAGS);
    if (st == IB_OK)
        st = ib_fields_set(cpu, "hypervisor",
                           flags ? json_boolean(strstr(value, " hypervisor") != NULL) : json_null(),
                           err);
    free(info);
    free(value);
    IB_TRY(st);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    IB_TRY(number(cpu, "n_online", online > 0, (uint64_t)online, err));
    IB_TRY(allowed_cpus(cpu, err));
    IB_TRY(file_text(cpu, "smt", "/sys/devices/system/cpu/smt/control", err));
    IB_TRY(file_text(cpu, "governor", CPUFREQ "scaling_governor", err));
    IB_TRY(file_text(cpu, "frequency_driver", CPUFREQ "scaling_driver", err));
    IB_TRY(file_number(cpu, "khz_min", CPUFREQ "scaling_min_freq", 1, err));
    IB_TRY(file_number(cpu, "khz_max", CPUFREQ "scaling_max_freq", 1, err));
    IB_TRY(file_text(cpu, "turbo_off", "/sys/devices/system/cpu/intel_pstate/no_turbo", err));
    IB_TRY(file_text(cpu, "boost", "/sys/devices/system/cpu/cpufreq/boost", err));
    IB_TRY(file_text(cpu, "numa_nodes", "/sys/devices/system/node/online", err));
    return cache_facts(cpu, err);
}

static ib_status clock_facts(json_t *clock, ib_error *err) {
    ib_clock_facts facts;
    ib_clock_measure(&facts);
    bool known = strcmp(facts.source, "unknown") != 0;
    IB_TRY(text(clock, "name", true, "CLOCK_MONOTONIC", err));
    IB_TRY(text(clock, "source", known, facts.source, err));
    IB_TRY(number(clock, "resolution_ns", true, facts.resolution_ns, err));
    return ib_fields_set(clock, "cost_ns", json_real(facts.cost_ns), err);
}

static ib_status memory_facts(json_t *m, ib_error *err) {
    char info[4096], vmstat[16384];
    (void)ib_sysfile_read("/proc/meminfo", info, sizeof info);
    (void)ib_sysfile_read("/proc/vmstat", vmstat, sizeof vmstat);
    long page = sysconf(_SC_PAGESIZE);
    IB_TRY(line_number(m, "total_bytes", info, "MemTotal", 1024, err));
    IB_TRY(line_number(m, "available_bytes", info, "MemAvailable", 1024, err));
    IB_TRY(line_number(m, "swap_total_bytes", info, "SwapTotal", 1024, err));
    IB_TRY(line_number(m, "swap_free_bytes", info, "SwapFree", 1024, err));
    IB_TRY(line_number(m, "swap_ins", vmstat, "pswpin", 1, err));
    IB_TRY(number(m, "page_bytes", page > 0, (uint64_t)page, err));
    IB_TRY(
        file_text(m, "transparent_hugepages", "/sys/kernel/mm/transparent_hugepage/enabled", err));
    IB_TRY(file_text(m, "transparent_hugepages_defrag",
                     "/sys/kernel/mm/transparent_hugepage/defrag", err));
    IB_TRY(file_number(m, "overcommit", VM "overcommit_memory", 1, err));
    IB_TRY(file_number(m, "swappiness", VM "swappiness", 1, err));
    IB_TRY(cgroup_text(m, "cgroup_limit", "memory", "memory.max", "memory.limit_in_bytes", err));
    return cgroup_text(m, "cgroup_peak", "memory", "memory.peak", "memory.max_usage_in_bytes", err);
}

static ib_status group_facts(json_t *g, ib_error *err) {
    char table[4096], stat[1024] = "";
    bool known = ib_sysfile_read("/proc/self/cgroup", table, sizeof table);
    IB_TRY(number(g, "cgroup_version", known, strncmp(table, "0::", 3) == 0 ? 2 : 1, err));
    IB_TRY(cgroup_text(g, "cpu_quota", "cpu", "cpu.max", "cpu.cfs_quota_us", err));
    IB_TRY(cgroup_text(g, "cpuset", "cpuset", "cpuset.cpus.effective", "cpuset.cpus", err));
    IB_TRY(cgroup_text(g, "pids_max", "pids", "pids.max", "pids.max", err));
    (void)ib_sysfile_cgroup("cpu", "cpu.stat", "cpu.stat", stat, sizeof stat);
    IB_TRY(line_number(g, "nr_periods", stat, "nr_periods", 1, err));
    return line_number(g, "nr_throttled", stat, "nr_throttled", 1, err);
}

static ib_status load_facts(json_t *o, ib_error *err) {
    ib_process_counters now;
    ib_process_counters_read(&now, "");
    IB_TRY(file_text(o, "loadavg", "/proc/loadavg", err));
    IB_TRY(number(o, "steal_ns_since_boot", true, now.steal_ns, err));
    IB_TRY(file_text(o, "pressure_cpu", "/proc/pressure/cpu", err));
    IB_TRY(file_text(o, "pressure_memory", "/proc/pressure/memory", err));
    return file_text(o, "pressure_io", "/proc/pressure/io", err);
}

static ib_status process_facts(json_t *p, ib_error *err) {
    char status[4096];
    int policy = sched_getscheduler(0);
    (void)ib_sysfile_read("/proc/self/status", status, sizeof status);
    IB_TRY(number(p, "scheduler_policy", policy >= 0, (uint64_t)policy, err));
    IB_TRY(ib_fields_set(p, "nice", json_integer(getpriority(PRIO_PROCESS, 0)), err));
    IB_TRY(file_number(p, "aslr", "/proc/sys/kernel/randomize_va_space", 1, err));
    IB_TRY(file_number(p, "timer_slack_ns", "/proc/self/timerslack_ns", 1, err));
    return line_number(p, "seccomp", status, "Seccomp", 1, err);
}

static ib_status machine_facts(json_t *m, ib_error *err) {
    IB_TRY(file_text(m, "vendor", DMI "sys_vendor", err));
    IB_TRY(file_text(m, "product", DMI "product_name", err));
    return file_text(m, "hypervisor_type", "/sys/hypervisor/type", err);
}

ib_status ib_environment_read(json_t **out, ib_error *err) {
    static const struct {
        const char *key;
        ib_status (*fill)(json_t *o, ib_error *err);
    } parts[] = {{"os", os_facts},           {"cpu", cpu_facts},       {"machine", machine_facts},
                 {"clock", clock_facts},     {"memory", memory_facts}, {"container", group_facts},
                 {"process", process_facts}, {"load", load_facts}};
    json_t *o = json_object(), *part;
    ib_status st = o ? IB_OK : ib_fail_memory(err, 0, "the environment's JSON");
    for (size_t i = 0; i < sizeof parts / sizeof *parts && st == IB_OK; i++) {
        st = child(o, parts[i].key, &part, err);
        if (st == IB_OK)
            st = parts[i].fill(part, err);
    }
    if (st != IB_OK) {
        json_decref(o);
        o = NULL;
    }
    *out = o;
    return st;
}
