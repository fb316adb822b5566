/* SPDX-License-Identifier: MIT
 * See sysfile.h. */
#include "record/sysfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool ib_sysfile_read(const char *path, char *out, size_t cap) {
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    out[0] = '\0';
    if (fd < 0)
        return false;
    while (n < cap - 1) {
        ssize_t got = read(fd, out + n, cap - 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    (void)close(fd);
    while (n && (out[n - 1] == '\n' || out[n - 1] == ' '))
        n--;
    out[n] = '\0';
    return n > 0;
}

static bool leading_u64(const char *text, uint64_t *out) {
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno)
        return false;
    *out = v;
    return true;
}

bool ib_sysfile_u64(const char *path, uint64_t *out) {
    char text[64];
    return ib_sysfile_read(path, text, sizeof text) && leading_u64(text, out);
}

bool ib_sysfile_line(const char *text, const char *key, char *out, size_t cap) {
    size_t n = strlen(key);
    for (const char *p = text; p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
        if (strncmp(p, key, n) != 0 || !p[n] || !strchr(" \t:=", p[n]))
            continue;
        p += n + strspn(p + n, " \t:=");
        size_t len = strcspn(p, "\n");
        len = len < cap - 1 ? len : cap - 1;
        memcpy(out, p, len);
        out[len] = '\0';
        return len > 0;
    }
    return false;
}

bool ib_sysfile_line_u64(const char *text, const char *key, uint64_t *out) {
    char value[64];
    return ib_sysfile_line(text, key, value, sizeof value) && leading_u64(value, out);
}

/* root + group + "/" + name for the group and each one above it; group is cut on the way. */
static bool climb(const char *root, char *group, const char *name, char *out, size_t cap) {
    char path[640];
    for (;;) {
        (void)snprintf(path, sizeof path, "%s%s/%s", root, group, name);
        if (ib_sysfile_read(path, out, cap))
            return true;
        char *slash = strrchr(group, '/');
        if (!slash)
            return false;
        *slash = '\0';
    }
}

bool ib_sysfile_cgroup(const char *controller, const char *v2_name, const char *v1_name, char *out,
                       size_t cap) {
    char table[4096], group[256], root[64];
    if (!ib_sysfile_read("/proc/self/cgroup", table, sizeof table))
        return false;
    char *unified = strstr(table, "0::");
    if (unified) {
        (void)snprintf(group, sizeof group, "%.*s", (int)strcspn(unified + 3, "\n"), unified + 3);
        if (climb("/sys/fs/cgroup", group, v2_name, out, cap))
            return true;
    }
    (void)snprintf(root, sizeof root, "/sys/fs/cgroup/%s", controller);
    for (char *line = table; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
        size_t end = strcspn(line, "\n");
        if (!path || (size_t)(path - line) >= end)
            continue;
        char *hit = strstr(names, controller);
        if (!hit || hit > path)
            continue;
        (void)snprintf(group, sizeof group, "%.*s", (int)strcspn(path + 1, "\n"), path + 1);
        if (climb(root, group, v1_name, out, cap))
            return true;
    }
    return false;
}
