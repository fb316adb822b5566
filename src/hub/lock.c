/* SPDX-License-Identifier: MIT
 * See lock.h. */
#include "hub/lock.h"

#include "base/clock.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

ib_status ib_hub_check_stop(const ib_hub_env *env, ib_error *err) {
    if (!env->stop || !*env->stop)
        return IB_OK;
    bool interrupt = *env->stop == SIGINT;
    return ib_fail(err, interrupt ? IB_E_INTERRUPTED : IB_E_TERMINATED,
                   "stopped in the middle of a download: %s; fix: start it again, it goes on where "
                   "it was",
                   interrupt ? "SIGINT" : "SIGTERM");
}

/* Whether flock excludes at all on this file system: a second descriptor must be refused. */
static bool excludes(const char *path) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool refused = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0)
        (void)close(fd);
    return refused;
}

/* Opens and locks; -1 with errno EWOULDBLOCK when somebody else holds it. A lock file that was
 * removed between the two steps (others do that when they release) does not count. */
static int try_lock(const char *path) {
    for (int i = 0; i < 100; i++) {
        struct stat held, named;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0664);
        if (fd < 0)
            return -1;
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            int error = errno;
            (void)close(fd);
            errno = error;
            return -1;
        }
        if (fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino &&
            held.st_dev == named.st_dev)
            return fd;
        (void)close(fd);
    }
    errno = EWOULDBLOCK;
    return -1;
}

/* Sum of size and time of everything in blobs/ whose name begins with the etag: it changes while
 * somebody works on it. Blocks are counted, because a file may have its full size from the start.
 */
static uint64_t activity(const ib_hub_layout *l, const char *etag) {
    uint64_t sum = 0;
    char *folder = ib_hub_path(l, "blobs", NULL, NULL);
    DIR *d = folder ? opendir(folder) : NULL;
    for (const struct dirent *e; d && (e = readdir(d));) {
        struct stat file;
        if (strncmp(e->d_name, etag, strlen(etag)) != 0 ||
            fstatat(dirfd(d), e->d_name, &file, 0) != 0)
            continue;
        sum += (uint64_t)file.st_blocks + (uint64_t)file.st_size * 3 +
               (uint64_t)file.st_mtim.tv_sec * 1000003 + (uint64_t)file.st_mtim.tv_nsec;
    }
    if (d)
        (void)closedir(d);
    free(folder);
    return sum;
}

/* *fd stays -1 when the blob appeared or the holder seems dead. */
static ib_status wait_for_it(int *fd, const ib_hub_layout *l, const char *etag, const char *path,
                             unsigned patience_s, const ib_hub_env *env, const ib_log *log,
                             ib_error *err) {
    const struct timespec tick = {.tv_nsec = 50 * 1000 * 1000};
    char *blob = ib_hub_path(l, "blobs", etag, NULL);
    uint64_t seen = activity(l, etag), since = ib_now_ns();
    ib_status st = blob ? IB_OK : ib_fail_memory(err, strlen(etag), "a path");
    ib_log_info(log, "waiting for another process that fetches the same file");
    while (st == IB_OK && (*fd = try_lock(path)) < 0 && errno == EWOULDBLOCK &&
           !ib_path_exists(blob)) {
        uint64_t now = activity(l, etag);
        if (now != seen) {
            seen = now;
            since = ib_now_ns();
        }
        if (ib_now_ns() - since > (uint64_t)patience_s * 1000000000u) {
            ib_log_warn(log,
                        "a lock in the cache is held and nothing grows for %u s: going on "
                        "without it",
                        patience_s);
            break;
        }
        (void)nanosleep(&tick, NULL);
        st = ib_hub_check_stop(env, err);
    }
    free(blob);
    return st;
}

ib_status ib_hub_lock_take(ib_hub_lock *lock, const ib_hub_layout *l, const char *etag,
                           unsigned patience_s, const ib_hub_env *env, const ib_log *log,
                           ib_error *err) {
    char name[IB_HUB_ETAG_MAX + 8];
    *lock = (ib_hub_lock){.fd = -1};
    (void)snprintf(name, sizeof name, "%s.lock", etag);
    char *path = ib_path_join(l->locks, name);
    if (!path)
        return ib_fail_memory(err, strlen(l->locks), "a path");
    ib_status st = ib_hub_make_parents(l, path, err);
    if (st == IB_OK) {
        lock->fd = try_lock(path);
        if (lock->fd < 0 && errno == EWOULDBLOCK)
            st = wait_for_it(&lock->fd, l, etag, path, patience_s, env, log, err);
        else if (lock->fd < 0 && (errno == EACCES || errno == EROFS || errno == EPERM ||
                                  errno == ENOSPC || errno == EMFILE))
            st = ib_hub_cannot_write(err, path, errno);
        /* any other error: a file system without flock */
    }
    if (st == IB_OK && lock->fd >= 0)
        lock->trusted = excludes(path);
    free(path);
    return st;
}

void ib_hub_lock_release(ib_hub_lock *lock) {
    if (lock->fd >= 0)
        (void)close(lock->fd);
    *lock = (ib_hub_lock){.fd = -1};
}
