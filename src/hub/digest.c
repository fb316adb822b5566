/* SPDX-License-Identifier: MIT
 * See digest.h. */
/* EVP allocates and may fail, or crash, when memory is short; this API does neither. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "hub/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef union context {
    SHA256_CTX sha256;
    SHA_CTX sha1;
} context;

ib_digest_kind ib_digest_kind_of(const char *etag) {
    size_t n = strlen(etag);
    if (strspn(etag, "0123456789abcdef") != n)
        return IB_DIGEST_NONE;
    return n == 64 ? IB_DIGEST_SHA256 : n == 40 ? IB_DIGEST_GIT_SHA1 : IB_DIGEST_NONE;
}

const char *ib_digest_name(ib_digest_kind kind) {
    return kind == IB_DIGEST_SHA256 ? "sha256" : kind == IB_DIGEST_GIT_SHA1 ? "git-sha1" : "none";
}

ib_status ib_digest_start(ib_digest *d, ib_digest_kind kind, uint64_t size, ib_error *err) {
    char head[40];
    d->kind = kind;
    if (kind == IB_DIGEST_NONE)
        return IB_OK;
    if (!d->context)
        d->context = malloc(sizeof(context));
    context *c = d->context;
    if (!c)
        return ib_fail_memory(err, sizeof *c, "a hash");
    if (kind == IB_DIGEST_SHA256)
        (void)SHA256_Init(&c->sha256);
    else
        (void)SHA1_Init(&c->sha1);
    if (kind == IB_DIGEST_GIT_SHA1) {
        int n = snprintf(head, sizeof head, "blob %" PRIu64, size);
        ib_digest_add(d, head, (size_t)n + 1); /* the zero byte too */
    }
    return IB_OK;
}

void ib_digest_add(ib_digest *d, const void *bytes, size_t n) {
    context *c = d->context;
    if (c && d->kind == IB_DIGEST_SHA256)
        (void)SHA256_Update(&c->sha256, bytes, n);
    else if (c && d->kind == IB_DIGEST_GIT_SHA1)
        (void)SHA1_Update(&c->sha1, bytes, n);
}

void ib_digest_end(ib_digest *d, char out[65]) {
    unsigned char value[SHA256_DIGEST_LENGTH] = {0};
    context *c = d->context;
    const size_t n = d->kind == IB_DIGEST_SHA256 ? SHA256_DIGEST_LENGTH : SHA_DIGEST_LENGTH;
    out[0] = '\0';
    if (d->kind == IB_DIGEST_NONE || !c)
        return;
    if (d->kind == IB_DIGEST_SHA256)
        (void)SHA256_Final(value, &c->sha256);
    else
        (void)SHA1_Final(value, &c->sha1);
    for (size_t i = 0; i < n; i++)
        (void)snprintf(out + i * 2, 3, "%02x", value[i]);
}

void ib_digest_clear(ib_digest *d) {
    free(d->context);
    *d = (ib_digest){0};
}

static ib_status cannot_read(ib_error *err, const char *path, int error) {
    char quoted[IB_QUOTED];
    return ib_fail(err, IB_E_INPUT, "cannot read '%s': %s; fix: check the path and the disk",
                   ib_quotez(path, quoted), strerror(error));
}

static ib_status hash_all(ib_digest *d, int fd, const char *path, uint64_t *size,
                          volatile const int *stop, ib_error *err) {
    enum { CHUNK = 1 << 20 };
    char *chunk = malloc(CHUNK);
    ib_status st = chunk ? IB_OK : ib_fail_memory(err, CHUNK, "reading a file");
    for (*size = 0; st == IB_OK;) {
        ssize_t n = read(fd, chunk, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            st = cannot_read(err, path, errno);
        if (n <= 0)
            break;
        if (stop && *stop)
            st = ib_fail(err, *stop == 2 ? IB_E_INTERRUPTED : IB_E_TERMINATED,
                         "stopped in the middle of the work; fix: start it again");
        ib_digest_add(d, chunk, (size_t)n);
        *size += (uint64_t)n;
    }
    free(chunk);
    return st;
}

ib_status ib_digest_file(const char *path, ib_digest_kind kind, char out[65], uint64_t *size,
                         volatile const int *stop, ib_error *err) {
    struct stat file;
    ib_digest d = {0};
    out[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return cannot_read(err, path, errno);
    ib_status st = IB_OK;
    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode))
        st = cannot_read(err, path, EINVAL);
    if (st == IB_OK)
        st = ib_digest_start(&d, kind, (uint64_t)file.st_size, err);
    if (st == IB_OK)
        st = hash_all(&d, fd, path, size, stop, err);
    if (st == IB_OK)
        ib_digest_end(&d, out);
    ib_digest_clear(&d);
    (void)close(fd);
    return st;
}
