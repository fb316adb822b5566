/* SPDX-License-Identifier: MIT
 * See output.h. */
#include "cli/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void ib_output_start(ib_output *o) {
    *o = (ib_output){0};
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        if (fd == 1)
            o->closed = true;
        /* the lowest free descriptor is fd itself */
        if (open("/dev/null", O_RDWR) != fd && fd == 1)
            o->closed = true;
    }
}

ib_status ib_output_check(const ib_output *o, ib_error *err) {
    if (!o->closed)
        return IB_OK;
    return ib_fail(err, IB_E_OUTPUT,
                   "cannot write in standard output: it is closed; fix: leave it open, or give "
                   "--output FILE --quiet");
}

static ib_status write_all(ib_output *o, const char *p, size_t n, ib_error *err) {
    while (n) {
        ssize_t done = write(STDOUT_FILENO, p, n);
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        } else if (done < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = STDOUT_FILENO, .events = POLLOUT};
            (void)poll(&wait, 1, 1000);
        } else if (done < 0 && errno == EPIPE) {
            o->gone = true;
            return IB_OK;
        } else if (!(done < 0 && errno == EINTR)) {
            return ib_fail(err, IB_E_OUTPUT,
                           "cannot write in standard output: %s; fix: free space there, or write "
                           "elsewhere",
                           strerror(done < 0 ? errno : ENOSPC));
        }
    }
    return IB_OK;
}

ib_status ib_output_flush(ib_output *o, ib_error *err) {
    ib_status st = o->buf.len && !o->gone ? write_all(o, o->buf.ptr, o->buf.len, err) : IB_OK;
    ib_buf_reset(&o->buf);
    return st;
}

ib_status ib_output_write(ib_output *o, const void *bytes, size_t n, ib_error *err) {
    enum { ENOUGH = 1 << 16 };
    IB_TRY(ib_output_check(o, err));
    if (o->gone)
        return IB_OK;
    IB_TRY(ib_buf_add(&o->buf, bytes, n, err));
    return o->buf.len >= ENOUGH ? ib_output_flush(o, err) : IB_OK;
}

void ib_output_clear(ib_output *o) {
    ib_buf_clear(&o->buf);
}

/* "NAME.PID.16 hex digits.tmp", as base/file.c names them: the PID, or 0. */
static long temp_owner(const char *entry, const char *name) {
    size_t n = strlen(name);
    char *end = NULL;
    if (strncmp(entry, name, n) != 0 || entry[n] != '.')
        return 0;
    long pid = strtol(entry + n + 1, &end, 10);
    if (pid <= 0 || *end != '.' || strspn(end + 1, "0123456789abcdef") != 16 ||
        strcmp(end + 17, ".tmp") != 0)
        return 0;
    return pid;
}

static void sweep_stale(const char *folder, const char *name) {
    DIR *d = opendir(folder);
    int fd = d ? dirfd(d) : -1;
    if (!d)
        return;
    for (struct dirent *e = readdir(d); fd >= 0 && e; e = readdir(d)) {
        long pid = temp_owner(e->d_name, name);
        if (pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH)
            (void)unlinkat(fd, e->d_name, 0);
    }
    (void)closedir(d);
}

static ib_status refuse(ib_error *err, const char *path, const char *why, const char *fix) {
    char shown[IB_QUOTED];
    return ib_fail(err, IB_E_OUTPUT, "cannot write in --output: '%s' %s; fix: %s",
                   ib_quotez(path, shown), why, fix);
}

/* A NumPy file under a NumPy name: logits, which can be computed again, replace one another. */
static bool is_array_file(const char *path) {
    char magic[6] = "";
    if (!ib_str_ends(ib_str_of(path), ".npy"))
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd >= 0 ? read(fd, magic, sizeof magic) : -1;
    if (fd >= 0)
        (void)close(fd);
    return n == (ssize_t)sizeof magic && memcmp(magic, "\x93NUMPY", sizeof magic) == 0;
}

/* What exists is replaced only with --force, and no input ever, be it named or a file of a folder
 * that is named; an empty file (a reserved name) counts as free. */
static ib_status check_existing(const char *path, const char *folder, bool force,
                                const char *const *inputs, ib_error *err) {
    struct stat link, other, parent;
    bool has_parent = stat(folder, &parent) == 0;
    if (lstat(path, &link) != 0) {
        if (errno == ENOENT)
            return IB_OK;
        char why[128];
        (void)snprintf(why, sizeof why, "is no place for a file (%s)", strerror(errno));
        return refuse(err, path, why, "name a file in a folder that exists");
    }
    if (S_ISLNK(link.st_mode))
        return refuse(err, path, "is a symbolic link", "name the file itself");
    if (!S_ISREG(link.st_mode))
        return refuse(err, path, "is not a regular file", "name a file, or leave --output out");
    for (size_t i = 0; inputs && inputs[i]; i++) {
        if (stat(inputs[i], &other) != 0)
            continue;
        if (other.st_dev == link.st_dev && other.st_ino == link.st_ino)
            return refuse(err, path, "is an input", "name another file");
        if (has_parent && link.st_size > 0 && S_ISDIR(other.st_mode) &&
            other.st_dev == parent.st_dev && other.st_ino == parent.st_ino)
            return refuse(err, path, "is a file of the model's folder", "name another file");
    }
    if (!force && link.st_size > 0 && !is_array_file(path))
        return refuse(err, path, "exists", "name another file, or give --force to replace it");
    return IB_OK;
}

ib_status ib_output_probe(const char *path, bool force, const char *const *inputs, ib_error *err) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (!*name)
        return refuse(err, path, "names no file", "add a file name");
    char *folder =
        slash ? ib_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : ib_strdup(".");
    if (!folder)
        return ib_fail_memory(err, strlen(path), "a path");
    ib_status st = check_existing(path, folder, force, inputs, err);
    if (st == IB_OK)
        sweep_stale(folder, name);
    free(folder);
    IB_TRY(st);
    ib_outfile probe;
    IB_TRY(ib_outfile_open(&probe, path, err));
    ib_outfile_abandon(&probe);
    return IB_OK;
}
