/* SPDX-License-Identifier: MIT
 * See file_load.h. Each thread has one contiguous share of a file and goes through it in pieces,
 * telling the kernel one piece ahead, so that a cold file is read at the disk's speed. */
#define _GNU_SOURCE
#include "base/file_load.h"

#include "base/threads.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 4 << 20, PAGE = 4096, CACHE_PAGES = 4096 };

const char *ib_load_mode_name(ib_load_mode m) {
    static const char *const names[] = {"touch", "mmap", "read"};
    return m <= IB_LOAD_READ ? names[m] : "unknown";
}

typedef struct job {
    const ib_file_map *m;
    unsigned char *to; /* read: memory of our own */
    int fd;
    atomic_int error; /* of the first read that failed; -1: the file is shorter */
    atomic_uint_fast32_t sum;
} job;

static size_t piece_at(size_t at, size_t end) {
    return end - at < PIECE ? end - at : PIECE;
}

static void touch_share(void *ctx, int thread, int n_threads) {
    job *j = ctx;
    size_t begin, end;
    uint_fast32_t sum = 0;
    unsigned char *data = (unsigned char *)(uintptr_t)j->m->data;
    ib_split((size_t)j->m->size, PIECE, thread, n_threads, &begin, &end);
    for (size_t at = begin; at < end; at += PIECE) {
        const size_t n = piece_at(at, end), next = at + n;
        if (next < end)
            (void)madvise(data + next, piece_at(next, end), MADV_WILLNEED);
#ifdef MADV_POPULATE_READ
        if (madvise(data + at, n, MADV_POPULATE_READ) == 0)
            continue;
#endif
        for (size_t i = 0; i < n; i += PAGE)
            sum += ((const volatile unsigned char *)data)[at + i];
    }
    atomic_fetch_add(&j->sum, sum);
}

static void read_share(void *ctx, int thread, int n_threads) {
    job *j = ctx;
    size_t begin, end;
    ib_split((size_t)j->m->size, PIECE, thread, n_threads, &begin, &end);
    for (size_t at = begin; at < end && atomic_load(&j->error) == 0;) {
        const size_t n = piece_at(at, end);
        if (at + n < end)
            (void)posix_fadvise(j->fd, (off_t)(at + n), (off_t)piece_at(at + n, end),
                                POSIX_FADV_WILLNEED);
        const ssize_t got = pread(j->fd, j->to + at, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            atomic_store(&j->error, got < 0 ? errno : -1);
        else
            at += (size_t)got;
    }
}

/* The same file that was mapped, for reading. */
static ib_status open_again(const ib_file_map *m, int *fd, ib_error *err) {
    char name[IB_QUOTED];
    struct stat st;
    *fd = open(m->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return ib_fail(err, IB_E_INPUT, "cannot open '%s': %s; fix: check its permissions",
                       ib_quotez(m->path, name), strerror(errno));
    if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == m->size &&
        (uint64_t)st.st_ino == m->inode)
        return IB_OK;
    (void)close(*fd);
    return ib_fail(err, IB_E_INPUT, "'%s' was replaced while it was being opened; fix: try again",
                   ib_quotez(m->path, name));
}

/* Memory of our own in place of the map. */
static ib_status replace_map(ib_file_map *m, job *j, ib_error *err) {
    char name[IB_QUOTED];
    void *at = (void *)(uintptr_t)m->data;
    void *own = mmap(at, (size_t)m->size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (own == MAP_FAILED)
        return ib_fail(err, IB_E_RESOURCE,
                       "no memory to read '%s' (%llu bytes): %s; fix: use --load-mode touch",
                       ib_quotez(m->path, name), (unsigned long long)m->size, strerror(errno));
#ifdef MADV_HUGEPAGE
    (void)madvise(own, (size_t)m->size, MADV_HUGEPAGE);
#endif
    j->to = own;
    return IB_OK;
}

static ib_status read_all(ib_file_map *m, ib_pool *pool, ib_error *err) {
    job j = {.m = m};
    char name[IB_QUOTED];
    IB_TRY(open_again(m, &j.fd, err));
    ib_status st = replace_map(m, &j, err);
    if (st == IB_OK) {
        ib_pool_run(pool, read_share, &j);
        const int error = atomic_load(&j.error);
        if (error)
            st = ib_fail(err, IB_E_INPUT, "cannot read '%s': %s; fix: check the disk",
                         ib_quotez(m->path, name),
                         error > 0 ? strerror(error) : "it became shorter");
        else
            (void)mprotect(j.to, (size_t)m->size, PROT_READ);
    }
    (void)close(j.fd);
    return st;
}

ib_status ib_file_map_load(ib_file_map *m, ib_load_mode mode, int n_threads, ib_error *err) {
    ib_pool *pool = NULL;
    ib_status st = IB_OK;
    job touch = {.m = m};
    if (mode == IB_LOAD_MMAP || m->size == 0)
        return IB_OK;
    IB_TRY(ib_pool_new(&pool, n_threads > 0 ? n_threads : ib_cores_allowed(), err));
    if (mode == IB_LOAD_READ)
        st = read_all(m, pool, err);
    else
        ib_pool_run(pool, touch_share, &touch);
    ib_pool_free(pool);
    return st;
}

bool ib_file_map_cached(const ib_file_map *m, uint64_t *bytes) {
    unsigned char in[CACHE_PAGES];
    const long size = sysconf(_SC_PAGESIZE);
    const uint64_t page = size > 0 ? (uint64_t)size : PAGE;
    *bytes = 0;
    for (uint64_t at = 0; at < m->size;) {
        const uint64_t left = m->size - at, most = page * CACHE_PAGES,
                       n = left < most ? left : most;
        if (mincore((void *)(uintptr_t)(m->data + at), (size_t)n, (void *)in) != 0)
            return false;
        for (uint64_t i = 0; i * page < n; i++)
            *bytes += !(in[i] & 1) ? 0 : n - i * page < page ? n - i * page : page;
        at += n;
    }
    return true;
}
