/* SPDX-License-Identifier: MIT
 * A library to preload: counts the calls of one kind that a program makes, and fails the n-th.
 *
 *   IB_FAULT=CALL:N[+]:ERRNO   CALL: alloc open read write fsync rename mmap thread; N from 1, 0 = only
 *                              count; + = and every one after it
 *   IB_FAULT_PATH=PREFIX       open and fopen: only paths that begin so count
 *   IB_FAULT_COUNT=FILE        gets the number of calls, when the program ends
 * What the C library does inside itself does not pass here, but for its allocations. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum call { NONE, ALLOC, OPEN, READ, WRITE, FSYNC, RENAME, MMAP, THREAD };
static const char *const names[] = {"",      "alloc", "open",   "read", "write",
                                    "fsync", "rename", "mmap", "thread"};
static enum call chosen;
static long at;
static bool from_then_on;
static int error;
static const char *prefix;
static atomic_long n_calls;

__attribute__((constructor)) static void begin(void) {
    char *text = getenv("IB_FAULT"), *rest = NULL;
    if (!text)
        return;
    const size_t n = strcspn(text, ":");
    enum call found = NONE;
    for (size_t i = 1; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == n && memcmp(text, names[i], n) == 0)
            found = (enum call)i;
    if (found == NONE || !text[n])
        return;
    at = strtol(text + n + 1, &rest, 10);
    from_then_on = *rest == '+';
    rest += *rest == '+';
    error = *rest == ':' ? (int)strtol(rest + 1, NULL, 10) : EIO;
    prefix = getenv("IB_FAULT_PATH");
    n_calls = 0;
    chosen = found;
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("IB_FAULT_COUNT");
    char text[32];
    chosen = NONE;
    const int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
    if (fd < 0)
        return;
    const int n = snprintf(text, sizeof text, "%ld\n", (long)n_calls);
    if (write(fd, text, (size_t)n) != n)
        _exit(99);
    (void)close(fd);
}

static bool fails(enum call c) {
    if (c != chosen)
        return false;
    const long n = ++n_calls;
    if (at == 0 || n < at || (n > at && !from_then_on))
        return false;
    errno = error;
    return true;
}

static bool path_fails(const char *path) {
    if (chosen != OPEN || (prefix && strncmp(path, prefix, strlen(prefix)) != 0))
        return false;
    return fails(OPEN);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* --- memory: straight to the C library, since dlsym allocates --- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);

void *malloc(size_t n) {
    return fails(ALLOC) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size) {
    return fails(ALLOC) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n) {
    return fails(ALLOC) ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t alignment, size_t n) {
    return fails(ALLOC) ? NULL : __libc_memalign(alignment, n);
}

int posix_memalign(void **out, size_t alignment, size_t n) {
    if (fails(ALLOC))
        return ENOMEM;
    *out = __libc_memalign(alignment, n);
    return *out ? 0 : ENOMEM;
}

void *mmap(void *p, size_t n, int protection, int flags, int fd, off_t offset) {
    return fails(MMAP) ? MAP_FAILED : NEXT(mmap)(p, n, protection, flags, fd, offset);
}

int pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg) {
    return fails(THREAD) ? error : NEXT(pthread_create)(t, a, f, arg);
}

/* --- files --- */

int open(const char *path, int flags, ...) {
    va_list ap;
    va_start(ap, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return path_fails(path) ? -1 : NEXT(open)(path, flags, mode);
}

int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags) {
    return open(path, flags);
}

FILE *fopen(const char *path, const char *mode) {
    return path_fails(path) ? NULL : NEXT(fopen)(path, mode);
}

DIR *opendir(const char *path) {
    return path_fails(path) ? NULL : NEXT(opendir)(path);
}

ssize_t read(int fd, void *to, size_t n) {
    return fails(READ) ? -1 : NEXT(read)(fd, to, n);
}

ssize_t __read_chk(int fd, void *to, size_t n, size_t room);
ssize_t __read_chk(int fd, void *to, size_t n, size_t room) {
    return n > room ? -1 : read(fd, to, n);
}

ssize_t write(int fd, const void *from, size_t n) {
    return fd != STDERR_FILENO && fails(WRITE) ? -1 : NEXT(write)(fd, from, n);
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t offset) {
    return fails(WRITE) ? -1 : NEXT(pwrite)(fd, from, n, offset);
}

int fsync(int fd) {
    return fails(FSYNC) ? -1 : NEXT(fsync)(fd);
}

int rename(const char *from, const char *to) {
    return fails(RENAME) ? -1 : NEXT(rename)(from, to);
}
