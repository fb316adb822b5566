/* SPDX-License-Identifier: MIT
 * See file.h. */
/* EVP allocates and may fail, or crash, when memory is short; this API does neither. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/file.h"

#include "base/clock.h"
#include "base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static ib_status fail_open(ib_error *err, const char *path, int error) {
    char name[IB_QUOTED];
    if (error == EMFILE || error == ENFILE || error == ENOMEM)
        return ib_fail(err, IB_E_RESOURCE, "cannot open '%s': %s; fix: raise the limit (ulimit -n)",
                       ib_quotez(path, name), strerror(error));
    return ib_fail(err, IB_E_INPUT, "cannot open '%s': %s; fix: check the path and its permissions",
                   ib_quotez(path, name), strerror(error));
}

/* A regular file opened for reading; O_NONBLOCK so that a FIFO cannot hang us. */
static ib_status open_regular(int *fd_out, uint64_t *size, uint64_t *inode, const char *path,
                              ib_error *err) {
    char name[IB_QUOTED];
    struct stat st;
    int fd;
    do
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return fail_open(err, path, errno);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)close(fd);
        return ib_fail(err, IB_E_INPUT,
                       "'%s' is not a regular file; fix: name a file, not a folder or device",
                       ib_quotez(path, name));
    }
    *fd_out = fd;
    *size = (uint64_t)st.st_size;
    *inode = (uint64_t)st.st_ino;
    return IB_OK;
}

ib_status ib_file_map_open(ib_file_map *out, const char *path, ib_error *err) {
    int fd = -1;
    uint64_t size = 0, inode = 0;
    char name[IB_QUOTED];
    *out = (ib_file_map){0};
    IB_TRY(open_regular(&fd, &size, &inode, path, err));
    ib_status st = IB_OK;
    void *data = NULL;
    if (size > SIZE_MAX)
        st = ib_fail(err, IB_E_RESOURCE, "'%s' does not fit the address space: %llu bytes",
                     ib_quotez(path, name), (unsigned long long)size);
    else if (size) {
        data = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            data = NULL;
            st = ib_fail(err, IB_E_RESOURCE,
                         "cannot map '%s' (%llu bytes): %s; fix: raise the limit (ulimit -v)",
                         ib_quotez(path, name), (unsigned long long)size, strerror(errno));
        }
    }
    (void)close(fd);
    if (st != IB_OK)
        return st;
    out->data = data;
    out->size = size;
    out->inode = inode;
    out->path = ib_strdup(path);
    if (!out->path) {
        ib_file_map_close(out);
        return ib_fail_memory(err, strlen(path), "a path");
    }
    return IB_OK;
}

void ib_file_map_close(ib_file_map *m) {
    if (m->data)
        (void)munmap((void *)(uintptr_t)m->data, (size_t)m->size);
    free(m->path);
    *m = (ib_file_map){0};
}

ib_status ib_file_read(ib_buf *out, const char *path, uint64_t cap, ib_error *err) {
    int fd = -1;
    uint64_t size = 0, inode;
    char name[IB_QUOTED];
    IB_TRY(open_regular(&fd, &size, &inode, path, err));
    if (size > cap) {
        (void)close(fd);
        return ib_fail(err, IB_E_RESOURCE,
                       "'%s' is too large: %llu bytes, at most %llu; fix: name another file",
                       ib_quotez(path, name), (unsigned long long)size, (unsigned long long)cap);
    }
    ib_status st = ib_buf_reserve(out, (size_t)size, err);
    while (st == IB_OK && size) {
        ssize_t n = read(fd, out->ptr + out->len, (size_t)size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            st = ib_fail(err, IB_E_INPUT, "cannot read '%s' at byte %zu: %s; fix: check the disk",
                         ib_quotez(path, name), out->len, strerror(errno));
        if (n <= 0)
            break;
        out->len += (size_t)n;
        size -= (uint64_t)n;
    }
    if (out->ptr)
        out->ptr[out->len] = '\0';
    (void)close(fd);
    return st;
}

bool ib_path_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

bool ib_path_is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *ib_path_join(const char *folder, const char *name) {
    size_t a = strlen(folder), b = strlen(name);
    char *out = malloc(a + b + 2);
    if (!out)
        return NULL;
    memcpy(out, folder, a);
    if (a && folder[a - 1] != '/')
        out[a++] = '/';
    memcpy(out + a, name, b + 1);
    return out;
}

static ib_status fail_output(ib_error *err, const char *what, const char *path, int error) {
    char name[IB_QUOTED];
    return ib_fail(err, IB_E_OUTPUT,
                   "cannot %s '%s': %s; fix: check folder, permissions and free space", what,
                   ib_quotez(path, name), strerror(error));
}

ib_status ib_outfile_open(ib_outfile *out, const char *path, ib_error *err) {
    *out = (ib_outfile){.fd = -1};
    ib_rng rng;
    ib_rng_init(&rng, ib_now_ns() ^ (uint64_t)getpid() << 32);
    size_t n = strlen(path) + 64;
    out->path = ib_strdup(path);
    out->temp_path = malloc(n);
    if (!out->path || !out->temp_path) {
        ib_outfile_abandon(out);
        return ib_fail_memory(err, n, "a path");
    }
    (void)snprintf(out->temp_path, n, "%s.%ld.%016llx.tmp", path, (long)getpid(),
                   (unsigned long long)ib_rng_u64(&rng));
    out->fd = open(out->temp_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (out->fd < 0) {
        ib_status st = fail_output(err, "create", path, errno);
        free(out->temp_path); /* nothing of ours to remove */
        out->temp_path = NULL;
        ib_outfile_abandon(out);
        return st;
    }
    return IB_OK;
}

static ib_status write_all(ib_outfile *f, const char *p, size_t n, ib_error *err) {
    while (n) {
        ssize_t done = write(f->fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return fail_output(err, "write", f->path, done < 0 ? errno : ENOSPC);
        p += done;
        n -= (size_t)done;
    }
    return IB_OK;
}

static ib_status flush_buffer(ib_outfile *f, ib_error *err) {
    ib_status st = write_all(f, f->buf.ptr, f->buf.len, err);
    ib_buf_reset(&f->buf);
    return st;
}

ib_status ib_outfile_write(ib_outfile *f, const void *bytes, size_t n, ib_error *err) {
    enum { BUFFER = 1 << 20 };
    f->bytes += n;
    if (f->buf.len + n > BUFFER && f->buf.len)
        IB_TRY(flush_buffer(f, err));
    if (n >= BUFFER)
        return write_all(f, bytes, n, err);
    return ib_buf_add(&f->buf, bytes, n, err);
}

static void sync_folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder =
        slash ? ib_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : ib_strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
    free(folder);
}

ib_status ib_outfile_commit(ib_outfile *f, ib_error *err) {
    ib_status st = flush_buffer(f, err);
    if (st == IB_OK && fsync(f->fd) != 0 && errno != EINVAL && errno != EROFS)
        st = fail_output(err, "flush", f->path, errno);
    int closed = close(f->fd);
    f->fd = -1;
    if (st == IB_OK && closed != 0)
        st = fail_output(err, "close", f->path, errno);
    if (st == IB_OK && rename(f->temp_path, f->path) != 0)
        st = fail_output(err, "rename to", f->path, errno);
    if (st == IB_OK) {
        sync_folder_of(f->path);
        free(f->temp_path);
        f->temp_path = NULL;
    }
    ib_outfile_abandon(f);
    return st;
}

void ib_outfile_abandon(ib_outfile *f) {
    if (f->fd >= 0)
        (void)close(f->fd);
    if (f->temp_path)
        (void)unlink(f->temp_path);
    free(f->temp_path);
    free(f->path);
    ib_buf_clear(&f->buf);
    *f = (ib_outfile){.fd = -1};
}

ib_status ib_file_write(const char *path, const void *bytes, size_t n, ib_error *err) {
    ib_outfile f;
    IB_TRY(ib_outfile_open(&f, path, err));
    ib_status st = ib_outfile_write(&f, bytes, n, err);
    if (st != IB_OK) {
        ib_outfile_abandon(&f);
        return st;
    }
    return ib_outfile_commit(&f, err);
}

void ib_sha256_hex(const void *bytes, size_t n, char out[65]) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256_CTX c;
    (void)SHA256_Init(&c);
    (void)SHA256_Update(&c, bytes, n);
    (void)SHA256_Final(digest, &c);
    for (int i = 0; i < 32; i++)
        (void)snprintf(out + (size_t)i * 2, 3, "%02x", digest[i]);
}
