/* SPDX-License-Identifier: MIT
 * See partial.h. The state is written after the content of each step, so that a process that is
 * killed at any moment leaves at most some content that the state does not know of. */
#include "hub/partial.h"

#include "base/checked.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATE_ALIGN = 4096, HASH_CHUNK = 1 << 18 };
#define SEGMENT_BYTES (UINT64_C(16) << 20)

/* At state_at; n_segments of uint64_t follow. The file belongs to one machine: byte order and
 * layout are its own. */
typedef struct state {
    char magic[24];
    uint64_t size, segment, n_segments;
    int64_t pid;
    uint64_t started; /* clock ticks after boot, of the process */
    char boot[40];    /* the kernel's boot id */
    char pid_space[40];
    char etag[IB_HUB_ETAG_MAX + 8];
} state;
static const char magic[24] = "inferbench partial 1\n";

/* --- who owns a file --- */

static void read_line(const char *path, char *out, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, size - 1) : 0;
    if (fd >= 0)
        (void)close(fd);
    out[n > 0 ? (size_t)n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

/* Start time of a process: field 22 of /proc/PID/stat, counted behind the name's ')'; 0 = unknown.
 */
static uint64_t start_of(int64_t pid) {
    char path[48], text[1024];
    uint64_t value = 0;
    (void)snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    read_line(path, text, sizeof text);
    const char *p = strrchr(text, ')');
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    if (p && ib_parse_u64((ib_str){p + 1, strcspn(p + 1, " ")}, &value))
        return value;
    return 0;
}

static void sign(state *s) {
    ssize_t n = readlink("/proc/self/ns/pid", s->pid_space, sizeof s->pid_space - 1);
    s->pid_space[n > 0 ? (size_t)n : 0] = '\0';
    s->pid = (int64_t)getpid();
    s->started = start_of(s->pid);
    read_line("/proc/sys/kernel/random/boot_id", s->boot, sizeof s->boot);
}

/* Whether the process that signed is one of this machine and gone. */
static bool owner_is_dead(const state *s) {
    state own = {0};
    sign(&own);
    if (!own.boot[0] || strncmp(own.boot, s->boot, sizeof s->boot) != 0)
        return false; /* another machine, or this one before it was started again */
    if (strncmp(own.pid_space, s->pid_space, sizeof s->pid_space) != 0)
        return true; /* a container that shares this kernel: its flock was free */
    if (s->pid <= 0 || s->pid == own.pid)
        return true;
    if (kill((pid_t)s->pid, 0) != 0 && errno == ESRCH)
        return true;
    uint64_t started = start_of(s->pid);
    return started && s->started && started != s->started;
}

/* --- taking over --- */

static uint64_t length_of(uint64_t size, uint64_t segment, size_t i) {
    uint64_t from = segment * i;
    return size - from < segment ? size - from : segment;
}

/* The state of an open file when it is a sound one for this content. */
static bool read_state(ib_partial *p, state *s) {
    if (pread(p->fd, s, sizeof *s, (off_t)p->state_at) != (ssize_t)sizeof *s ||
        memcmp(s->magic, magic, sizeof magic) != 0 || s->size != p->size ||
        s->segment != p->segment || s->n_segments != p->n_segments ||
        strncmp(s->etag, p->etag, sizeof s->etag) != 0)
        return false;
    size_t n = p->n_segments * sizeof *p->done;
    if (pread(p->fd, p->done, n, (off_t)(p->state_at + sizeof *s)) != (ssize_t)n)
        return false;
    p->bytes = 0;
    for (size_t i = 0; i < p->n_segments; i++) {
        if (p->done[i] > length_of(p->size, p->segment, i))
            return false;
        p->bytes += p->done[i];
    }
    return true;
}

/* A file without state, of the content's length: what a process leaves that is killed between its
 * last two steps. The content tells. */
static bool is_whole(ib_partial *p, const char *path, off_t length) {
    char found[65];
    uint64_t bytes = 0;
    ib_digest_kind kind = ib_digest_kind_of(p->etag);
    if (kind == IB_DIGEST_NONE || p->size == 0 || (uint64_t)length != p->size ||
        ib_digest_file(path, kind, found, &bytes, NULL, NULL) != IB_OK ||
        strcmp(found, p->etag) != 0)
        return false;
    for (size_t i = 0; i < p->n_segments; i++)
        p->done[i] = length_of(p->size, p->segment, i);
    p->bytes = p->size;
    return true;
}

/* Opens the file at path and keeps it when it may be taken over. */
static bool adopt(ib_partial *p, const char *path, state *s) {
    struct stat held, named;
    p->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (p->fd < 0)
        return false;
    if (flock(p->fd, LOCK_EX | LOCK_NB) == 0 && fstat(p->fd, &held) == 0 && S_ISREG(held.st_mode) &&
        stat(path, &named) == 0 && held.st_ino == named.st_ino &&
        (read_state(p, s) ? owner_is_dead(s) : is_whole(p, path, held.st_size)))
        return true;
    (void)close(p->fd);
    p->fd = -1;
    return false;
}

static bool is_ours(const char *name, const char *etag) {
    size_t n = strlen(etag);
    return strncmp(name, etag, n) == 0 && name[n] == '.' &&
           strspn(name + n + 1, "0123456789abcdef") == 8 &&
           strcmp(name + n + 9, ".incomplete") == 0;
}

/* The largest file that may be taken over; the others that may be are removed. */
static ib_status find_left(ib_partial *p, const char *blobs, ib_error *err) {
    DIR *d = opendir(blobs);
    ib_status st = IB_OK;
    ib_partial best = {.fd = -1};
    for (const struct dirent *e; st == IB_OK && d && (e = readdir(d));) {
        state s;
        if (!is_ours(e->d_name, p->etag))
            continue;
        char *path = ib_path_join(blobs, e->d_name);
        if (!path) {
            st = ib_fail_memory(err, strlen(blobs), "a path");
        } else if (!adopt(p, path, &s)) {
            free(path);
        } else if (best.path && best.bytes >= p->bytes) {
            (void)unlink(path);
            (void)close(p->fd);
            free(path);
        } else {
            ib_partial_close(&best, false);
            best = (ib_partial){.path = path, .fd = p->fd, .bytes = p->bytes};
        }
        p->fd = -1;
    }
    if (d)
        (void)closedir(d);
    p->path = best.path;
    p->fd = best.fd;
    state s;
    struct stat held;
    if (p->fd >= 0 && !read_state(p, &s) &&
        !(fstat(p->fd, &held) == 0 && is_whole(p, p->path, held.st_size))) {
        p->bytes = 0; /* cannot be: it was sound a moment ago */
        memset(p->done, 0, p->n_segments * sizeof *p->done);
    }
    p->found = p->fd >= 0 ? p->bytes : 0;
    return st;
}

/* --- a new one --- */

static ib_status put_all(ib_partial *p, const void *bytes, size_t n, uint64_t at, ib_error *err) {
    const char *from = bytes;
    while (n) {
        ssize_t done = pwrite(p->fd, from, n, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return ib_hub_cannot_write(err, p->path, done < 0 ? errno : ENOSPC);
        from += done;
        at += (uint64_t)done;
        n -= (size_t)done;
    }
    return IB_OK;
}

static ib_status put_state(ib_partial *p, ib_error *err) {
    state s = {.size = p->size, .segment = p->segment, .n_segments = p->n_segments};
    memcpy(s.magic, magic, sizeof magic);
    (void)snprintf(s.etag, sizeof s.etag, "%s", p->etag);
    sign(&s);
    IB_TRY(put_all(p, p->done, p->n_segments * sizeof *p->done, p->state_at + sizeof s, err));
    return put_all(p, &s, sizeof s, p->state_at, err);
}

/* The file gets its name when its state is in it: one without a state is nobody's. */
static ib_status create(ib_partial *p, const ib_hub_layout *l, const char *blobs, ib_error *err) {
    char name[IB_HUB_ETAG_MAX + 24];
    ib_rng rng;
    ib_rng_init(&rng, ib_now_ns() ^ (uint64_t)getpid() << 32);
    (void)snprintf(name, sizeof name, "%s.%08" PRIx32 ".incomplete", p->etag,
                   (uint32_t)ib_rng_u64(&rng));
    char *temp = ib_hub_temp_name(l);
    p->path = ib_path_join(blobs, name);
    if (!temp || !p->path) {
        free(temp);
        return ib_fail_memory(err, strlen(blobs), "a path");
    }
    memset(p->done, 0, p->n_segments * sizeof *p->done);
    p->bytes = 0;
    p->fd = open(temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    ib_status st = p->fd >= 0 ? IB_OK : ib_hub_cannot_write(err, p->path, errno);
    if (st == IB_OK) {
        (void)flock(p->fd, LOCK_EX | LOCK_NB);
        st = put_state(p, err);
    }
    if (st == IB_OK && rename(temp, p->path) != 0)
        st = ib_hub_cannot_write(err, p->path, errno);
    if (st != IB_OK) {
        if (p->fd >= 0)
            (void)unlink(temp);
        free(p->path);
        p->path = NULL;
    }
    free(temp);
    return st;
}

ib_status ib_partial_open(ib_partial *out, const ib_hub_layout *l, const char *etag, uint64_t size,
                          bool may_resume, ib_error *err) {
    *out = (ib_partial){.fd = -1, .etag = etag, .size = size, .segment = SEGMENT_BYTES};
    out->n_segments = (size_t)ib_ceil_div(size, SEGMENT_BYTES);
    if (size > IB_HUB_FILE_MAX || !ib_round_up(size, STATE_ALIGN, &out->state_at))
        return ib_fail(err, IB_E_NETWORK, "file too large on the hub: %" PRIu64 " bytes", size);
    out->done = calloc(out->n_segments + 1, sizeof *out->done);
    char *blobs = ib_hub_path(l, "blobs", NULL, NULL);
    char *blob = ib_hub_path(l, "blobs", etag, NULL);
    ib_status st = out->done && blobs && blob ? IB_OK : ib_fail_memory(err, 0, "a download");
    if (st == IB_OK)
        st = ib_hub_make_parents(l, blob, err);
    if (st == IB_OK && may_resume)
        st = find_left(out, blobs, err);
    if (st == IB_OK && out->fd < 0)
        st = create(out, l, blobs, err);
    else if (st == IB_OK)
        st = put_state(out, err);
    if (st == IB_OK)
        st = ib_digest_start(&out->digest, ib_digest_kind_of(etag), size, err);
    free(blobs);
    free(blob);
    if (st != IB_OK)
        ib_partial_close(out, out->found > 0);
    return st;
}

uint64_t ib_partial_left(const ib_hub_layout *l, const char *etag, uint64_t size) {
    ib_partial p = {.fd = -1, .etag = etag, .size = size, .segment = SEGMENT_BYTES};
    uint64_t most = 0;
    p.n_segments = (size_t)ib_ceil_div(size, SEGMENT_BYTES);
    if (size > IB_HUB_FILE_MAX || !ib_round_up(size, STATE_ALIGN, &p.state_at))
        return 0;
    p.done = calloc(p.n_segments + 1, sizeof *p.done);
    char *blobs = ib_hub_path(l, "blobs", NULL, NULL);
    DIR *d = p.done && blobs ? opendir(blobs) : NULL;
    for (const struct dirent *e; d && (e = readdir(d));) {
        state s;
        p.fd = is_ours(e->d_name, etag) ? openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC) : -1;
        if (p.fd >= 0 && read_state(&p, &s) && p.bytes > most)
            most = p.bytes;
        if (p.fd >= 0)
            (void)close(p.fd);
    }
    if (d)
        (void)closedir(d);
    free(blobs);
    free(p.done);
    return most;
}

/* --- content --- */

uint64_t ib_partial_segment_len(const ib_partial *p, size_t segment) {
    return length_of(p->size, p->segment, segment);
}

ib_status ib_partial_write(ib_partial *p, size_t segment, const void *bytes, size_t n,
                           ib_error *err) {
    uint64_t at = p->segment * segment + p->done[segment];
    if (n > ib_partial_segment_len(p, segment) - p->done[segment])
        return ib_fail(err, IB_E_INTERNAL, "more bytes than a segment takes");
    IB_TRY(put_all(p, bytes, n, at, err));
    if (p->hashed == at) {
        ib_digest_add(&p->digest, bytes, n);
        p->hashed += n;
    }
    p->done[segment] += n;
    p->bytes += n;
    return put_all(p, &p->done[segment], sizeof *p->done,
                   p->state_at + sizeof(state) + segment * sizeof *p->done, err);
}

ib_status ib_partial_hash(ib_partial *p, uint64_t budget, ib_error *err) {
    char *chunk = NULL;
    ib_status st = IB_OK;
    while (st == IB_OK && budget && p->hashed < p->size) {
        size_t i = (size_t)(p->hashed / p->segment);
        uint64_t end = p->segment * i + p->done[i], n = end - p->hashed;
        n = n > budget ? budget : n;
        n = n > HASH_CHUNK ? HASH_CHUNK : n;
        if (n == 0)
            break;
        if (!chunk && !(chunk = malloc(HASH_CHUNK)))
            return ib_fail_memory(err, HASH_CHUNK, "a hash");
        ssize_t got = pread(p->fd, chunk, (size_t)n, (off_t)p->hashed);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            st = ib_hub_cannot_write(err, p->path, got < 0 ? errno : EIO);
            break;
        }
        ib_digest_add(&p->digest, chunk, (size_t)got);
        p->hashed += (uint64_t)got;
        budget -= (uint64_t)got;
    }
    free(chunk);
    return st;
}

ib_status ib_partial_restart(ib_partial *p, ib_error *err) {
    memset(p->done, 0, p->n_segments * sizeof *p->done);
    p->bytes = p->found = p->hashed = 0;
    IB_TRY(put_state(p, err));
    return ib_digest_start(&p->digest, p->digest.kind, p->size, err);
}

ib_status ib_partial_check(ib_partial *p, bool *good, char found[65], ib_error *err) {
    *good = false;
    found[0] = '\0';
    IB_TRY(ib_partial_hash(p, UINT64_MAX, err));
    if (p->bytes != p->size || p->hashed != p->size)
        return ib_fail(err, IB_E_INTERNAL, "an incomplete file was going to be checked");
    ib_digest_end(&p->digest, found);
    *good = p->digest.kind == IB_DIGEST_NONE || strcmp(found, p->etag) == 0;
    return IB_OK;
}

ib_status ib_partial_publish(ib_partial *p, const ib_hub_layout *l, ib_error *err) {
    char *blob = ib_hub_path(l, "blobs", p->etag, NULL);
    if (!blob)
        return ib_fail_memory(err, strlen(l->repo), "a path");
    int error = 0;
    /* flushed while the state still stands: only the moment between the two last steps has none */
    if ((fsync(p->fd) != 0 && errno != EINVAL) || ftruncate(p->fd, (off_t)p->size) != 0 ||
        rename(p->path, blob) != 0)
        error = errno;
    ib_status st = error ? ib_hub_cannot_write(err, blob, error) : IB_OK;
    char *slash = strrchr(blob, '/');
    *slash = '\0';
    int folder = st == IB_OK ? open(blob, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (folder >= 0) {
        (void)fsync(folder);
        (void)close(folder);
    }
    free(blob);
    if (st == IB_OK)
        ib_partial_close(p, true); /* nothing is left under the old name */
    return st;
}

void ib_partial_close(ib_partial *p, bool keep) {
    if (p->path && !keep)
        (void)unlink(p->path);
    if (p->fd >= 0)
        (void)close(p->fd);
    ib_digest_clear(&p->digest);
    free(p->path);
    free(p->done);
    *p = (ib_partial){.fd = -1};
}
