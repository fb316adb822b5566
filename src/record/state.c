/* SPDX-License-Identifier: MIT
 * See state.h. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "record/state.h"

#include "base/clock.h"
#include "record/environment.h"
#include "record/fields.h"
#include "record/summary.h"
#include "record/sysfile.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define CPU "/sys/devices/system/cpu/"
#define FREQUENCY CPU "cpu%d/cpufreq/scaling_cur_freq"

/* Facts that are files of their own; `setting`: a change of it is a change of the machine. */
static const struct fact {
    const char *key, *path;
    bool setting;
} facts[] = {
    {"governor", CPU "cpu0/cpufreq/scaling_governor", true},
    {"khz_limit", CPU "cpu0/cpufreq/scaling_max_freq", true},
    {"turbo_off", CPU "intel_pstate/no_turbo", true},
    {"boost", CPU "cpufreq/boost", true},
    {"smt", CPU "smt/control", true},
    {"transparent_hugepages", "/sys/kernel/mm/transparent_hugepage/enabled", true},
    {"clock_source", "/sys/devices/system/clocksource/clocksource0/current_clocksource", true},
    {"temperature_mc", "/sys/class/thermal/thermal_zone0/temp", false},
    {"loadavg", "/proc/loadavg", false},
    {"pressure_cpu", "/proc/pressure/cpu", false},
    {"pressure_memory", "/proc/pressure/memory", false},
    {"pressure_io", "/proc/pressure/io", false},
};

static ib_status text(json_t *o, const char *key, const char *value, ib_error *err) {
    return ib_fields_set_text(o, key, value, value ? strlen(value) : 0, err);
}

static ib_status count(json_t *o, const char *key, bool known, uint64_t value, ib_error *err) {
    return ib_fields_set(o, key, known ? json_integer((json_int_t)value) : json_null(), err);
}

static ib_status file_facts(json_t *o, const char *root, ib_error *err) {
    char path[512], value[512];
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        (void)snprintf(path, sizeof path, "%s%s", root, facts[i].path);
        IB_TRY(
            text(o, facts[i].key, ib_sysfile_read(path, value, sizeof value) ? value : NULL, err));
    }
    return IB_OK;
}

/* Mean of the allowed CPUs that tell. */
static ib_status frequency(json_t *o, const char *root, ib_error *err) {
    char path[512];
    cpu_set_t set;
    uint64_t sum = 0, n = 0, khz;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        for (int i = 0; i < CPU_SETSIZE; i++) {
            if (!CPU_ISSET((size_t)i, &set))
                continue;
            (void)snprintf(path, sizeof path, "%s" FREQUENCY, root, i);
            if (ib_sysfile_u64(path, &khz)) {
                sum += khz;
                n++;
            }
        }
    return count(o, "khz_now", n > 0, n ? sum / n : 0, err);
}

static ib_status group_facts(json_t *o, ib_error *err) {
    static const char *const rows[][3] = {
        {"cpuset", "cpuset", "cpuset.cpus.effective"},
        {"cpu_quota", "cpu", "cpu.max"},
        {"memory_limit", "memory", "memory.max"},
    };
    char status[4096], value[512];
    (void)ib_sysfile_read("/proc/self/status", status, sizeof status);
    IB_TRY(text(o, "cpus_allowed",
                ib_sysfile_line(status, "Cpus_allowed_list", value, sizeof value) ? value : NULL,
                err));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool known = ib_sysfile_cgroup(rows[i][1], rows[i][2], rows[i][2], value, sizeof value);
        IB_TRY(text(o, rows[i][0], known ? value : NULL, err));
    }
    return IB_OK;
}

static ib_status memory_facts(json_t *o, const char *root, ib_error *err) {
    static const char *const rows[][2] = {{"memory_available_bytes", "MemAvailable"},
                                          {"swap_free_bytes", "SwapFree"},
                                          {"huge_anonymous_bytes", "AnonHugePages"}};
    char path[512], info[4096];
    uint64_t kib = 0;
    (void)snprintf(path, sizeof path, "%s/proc/meminfo", root);
    (void)ib_sysfile_read(path, info, sizeof info);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool known = ib_sysfile_line_u64(info, rows[i][1], &kib);
        IB_TRY(count(o, rows[i][0], known, kib * 1024, err));
    }
    return IB_OK;
}

static ib_status counters(json_t *o, const char *root, ib_error *err) {
    ib_process_counters c;
    ib_process_counters_read(&c, root);
    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {{"monotonic_ns", c.now_ns},
                {"steal_ns", c.steal_ns},
                {"cpus_busy_ns", c.busy_ns},
                {"process_cpu_ns", c.cpu_ns},
                {"throttled_periods", c.throttled_periods},
                {"thermal_events", c.thermal_events},
                {"swap_ins", c.swap_ins},
                {"major_faults", c.major_faults},
                {"minor_faults", c.minor_faults},
                {"involuntary_switches", c.involuntary_switches},
                {"voluntary_switches", c.voluntary_switches}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        IB_TRY(count(o, rows[i].key, true, rows[i].value, err));
    return IB_OK;
}

ib_status ib_state_read(json_t **out, const char *root, ib_error *err) {
    json_t *o = json_object();
    const double spin = o ? ib_state_spin_ns() : 0;
    ib_status st = o ? file_facts(o, root, err) : ib_fail_memory(err, 0, "the machine's state");
    if (st == IB_OK)
        st = frequency(o, root, err);
    if (st == IB_OK)
        st = group_facts(o, err);
    if (st == IB_OK)
        st = memory_facts(o, root, err);
    if (st == IB_OK)
        st = counters(o, root, err);
    if (st == IB_OK)
        st = ib_fields_set(o, "nice", json_integer(getpriority(PRIO_PROCESS, 0)), err);
    if (st == IB_OK)
        st = ib_fields_set(o, "spin_ns", json_real(spin), err);
    if (st != IB_OK) {
        json_decref(o);
        o = NULL;
    }
    *out = o;
    return st;
}

ib_status ib_state_add_probe(json_t *state, double ping_ns, double read_gbps, ib_error *err) {
    IB_TRY(ib_fields_set(state, "ping_ns", ping_ns > 0 ? json_real(ping_ns) : json_null(), err));
    return ib_fields_set(state, "read_gbps", read_gbps > 0 ? json_real(read_gbps) : json_null(),
                         err);
}

/* --- the core's clock --- */

/* Each step needs the one before; the compiler cannot shorten it. */
static uint64_t chain(uint64_t x) {
    for (int i = 0; i < 20000; i++)
        x = (x ^ (x >> 7)) * 0x9E3779B97F4A7C15u;
    return x;
}

double ib_state_spin_ns(void) {
    enum { ROUNDS = 40 };
    static volatile uint64_t keep = 1;
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        const uint64_t start = ib_now_ns();
        keep = chain(keep);
        const uint64_t took = ib_now_ns() - start;
        best = took < best ? took : best;
    }
    return (double)best;
}

/* --- before against after --- */

static bool moved(double a, double b) {
    return a > 0 && b > 0 && fabs(a - b) > IB_STATE_READ_CHANGE * fmax(a, b);
}

/* Texts of settings; a fact that is unknown on either side says nothing. */
static bool setting_changed(const ib_process_record *p, const char *key, char out[96]) {
    const char *a = json_string_value(json_object_get(p->before, key));
    const char *b = json_string_value(json_object_get(p->after, key));
    if (!a || !b || strcmp(a, b) == 0)
        return false;
    (void)snprintf(out, 96, "%s: %.24s -> %.24s", key, a, b);
    return true;
}

static bool probe_changed(const ib_process_record *p, bool ping, char out[96]) {
    const char *key = ping ? "ping_ns" : "read_gbps";
    const double a = json_number_value(json_object_get(p->before, key));
    const double b = json_number_value(json_object_get(p->after, key));
    if (!(a > 0 && b > 0))
        return false;
    if (ping && (a < IB_PING_NEAR_NS) != (b < IB_PING_NEAR_NS)) {
        (void)snprintf(out, 96, "distance of the cores: %d -> %d ns", (int)lround(a),
                       (int)lround(b));
        return true;
    }
    if (ping || !moved(a, b))
        return false;
    (void)snprintf(out, 96, "read bandwidth: %d -> %d MB/s", (int)lround(a * 1000),
                   (int)lround(b * 1000));
    return true;
}

bool ib_state_change(const ib_process_record *p, size_t i, char out[96]) {
    static const char *const groups[] = {"cpus_allowed", "cpuset", "cpu_quota", "memory_limit"};
    size_t n = 0;
    for (size_t k = 0; k < 2; k++)
        if (probe_changed(p, k == 0, out) && n++ == i)
            return true;
    for (size_t k = 0; k < sizeof groups / sizeof *groups; k++)
        if (setting_changed(p, groups[k], out) && n++ == i)
            return true;
    for (size_t k = 0; k < sizeof facts / sizeof *facts; k++)
        if (facts[k].setting && setting_changed(p, facts[k].key, out) && n++ == i)
            return true;
    return false;
}
