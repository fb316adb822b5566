/* SPDX-License-Identifier: MIT
 * See at_hand.h. */
#include "record/at_hand.h"

#include "record/sysfile.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t left(uint64_t most, uint64_t used) {
    return most > used ? most - used : 0;
}

static uint64_t available(void) {
    char text[4096];
    uint64_t kib = 0;
    if (!ib_sysfile_read("/proc/meminfo", text, sizeof text) ||
        !ib_sysfile_line_u64(text, "MemAvailable", &kib))
        return UINT64_MAX;
    return kib * 1024;
}

/* "max" and limits beyond any machine are no limits. */
static uint64_t group(void) {
    char most[64], used[64], stat[8192];
    uint64_t inactive = 0, active = 0;
    if (!ib_sysfile_cgroup("memory", "memory.max", "memory.limit_in_bytes", most, sizeof most) ||
        !ib_sysfile_cgroup("memory", "memory.current", "memory.usage_in_bytes", used, sizeof used))
        return UINT64_MAX;
    const uint64_t limit = strtoull(most, NULL, 10), now = strtoull(used, NULL, 10);
    if (limit == 0 || limit >= UINT64_C(1) << 62)
        return UINT64_MAX;
    if (ib_sysfile_cgroup("memory", "memory.stat", "memory.stat", stat, sizeof stat)) {
        (void)ib_sysfile_line_u64(stat, "inactive_file", &inactive);
        (void)ib_sysfile_line_u64(stat, "active_file", &active);
    }
    return left(limit, left(now, inactive + active));
}

static uint64_t address_space(void) {
    struct rlimit limit;
    char text[128];
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    if (!ib_sysfile_read("/proc/self/statm", text, sizeof text))
        return limit.rlim_cur;
    return left(limit.rlim_cur, strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE));
}

uint64_t ib_memory_at_hand(const char **limit) {
    static const struct {
        uint64_t (*read)(void);
        const char *name;
    } sources[] = {
        {available, "MemAvailable"}, {group, "cgroup memory.max"}, {address_space, "ulimit -v"}};
    uint64_t least = UINT64_MAX;
    *limit = "nothing";
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        const uint64_t bytes = sources[i].read();
        if (bytes < least) {
            least = bytes;
            *limit = sources[i].name;
        }
    }
    return least;
}
