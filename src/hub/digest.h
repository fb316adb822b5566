/* SPDX-License-Identifier: MIT
 * The hash that an etag names, computed as bytes come: 64 hex digits are the SHA-256 of the content
 * (LFS files), 40 are git's SHA-1 of "blob <size>" NUL content; any other etag says nothing. */
#ifndef IB_HUB_DIGEST_H
#define IB_HUB_DIGEST_H

#include "base/str.h"

typedef enum ib_digest_kind { IB_DIGEST_NONE, IB_DIGEST_SHA256, IB_DIGEST_GIT_SHA1 } ib_digest_kind;

typedef struct ib_digest {
    ib_digest_kind kind;
    void *context; /* owned; NULL = none */
} ib_digest;

ib_digest_kind ib_digest_kind_of(const char *etag);
const char *ib_digest_name(ib_digest_kind kind); /* "sha256", "git-sha1", "none" */

/* Starts (again) for content of size bytes. */
ib_status ib_digest_start(ib_digest *d, ib_digest_kind kind, uint64_t size,
                          ib_error *err) IB_MUST_CHECK;
void ib_digest_add(ib_digest *d, const void *bytes, size_t n);
/* Lower-case hex; "" for IB_DIGEST_NONE. */
void ib_digest_end(ib_digest *d, char out[65]);
void ib_digest_clear(ib_digest *d);

/* The hash of a file's content from the start to its end; *size is what was read. */
ib_status ib_digest_file(const char *path, ib_digest_kind kind, char out[65], uint64_t *size,
                         volatile const int *stop, ib_error *err) IB_MUST_CHECK;

#endif
