/* SPDX-License-Identifier: MIT
 * A blob that is not complete yet: <repo>/blobs/<etag>.<8 hex>.incomplete, a file of its own for
 * each process. Behind the place of the content stands what is there already (how many bytes of
 * each segment), so that one file tells all and no byte is fetched twice.
 *
 * A file that a process left behind is taken over only when nobody can be writing it: under the
 * blob's lock, where flock was seen to exclude, with the file's own flock free, and its owner a
 * process of this machine that does not live any more. In any other case a new file is begun. The
 * content is hashed as it comes (or read back where it comes out of order), and the file gets the
 * blob's name only when length and hash are right. */
#ifndef IB_HUB_PARTIAL_H
#define IB_HUB_PARTIAL_H

#include "hub/digest.h"
#include "hub/layout.h"

typedef struct ib_partial {
    char *path; /* owned; NULL = none */
    int fd;
    const char *etag; /* borrowed */
    uint64_t size;    /* of the content, bytes */
    uint64_t segment; /* bytes of a segment, the last may be shorter */
    size_t n_segments;
    uint64_t *done;    /* owned [n_segments]: bytes there, from the segment's start */
    uint64_t bytes;    /* sum of done */
    uint64_t found;    /* of them, left by an earlier process */
    uint64_t state_at; /* where in the file the state stands */
    ib_digest digest;
    uint64_t hashed; /* bytes from the start that digest has seen */
} ib_partial;

/* Begins, or takes over what is there when may_resume. etag is a checked name. */
ib_status ib_partial_open(ib_partial *out, const ib_hub_layout *l, const char *etag, uint64_t size,
                          bool may_resume, ib_error *err) IB_MUST_CHECK;
/* n bytes behind those that the segment has; they must fit it. IB_E_RESOURCE on a full disk. */
ib_status ib_partial_write(ib_partial *p, size_t segment, const void *bytes, size_t n,
                           ib_error *err) IB_MUST_CHECK;
uint64_t ib_partial_segment_len(const ib_partial *p, size_t segment);
/* Hashes at most budget bytes of what is there without a hole from the start. */
ib_status ib_partial_hash(ib_partial *p, uint64_t budget, ib_error *err) IB_MUST_CHECK;
/* Forgets all content. */
ib_status ib_partial_restart(ib_partial *p, ib_error *err) IB_MUST_CHECK;
/* All bytes are there: compares the hash; *good tells. */
ib_status ib_partial_check(ib_partial *p, bool *good, char found[65], ib_error *err) IB_MUST_CHECK;
/* Cuts the state off, flushes, and renames to blobs/<etag>. */
ib_status ib_partial_publish(ib_partial *p, const ib_hub_layout *l, ib_error *err) IB_MUST_CHECK;
/* keep: leave the file for a later process. Harmless after publish. */
void ib_partial_close(ib_partial *p, bool keep);

/* Bytes that files left behind hold for etag, as far as they could be taken over; a hint. */
uint64_t ib_partial_left(const ib_hub_layout *l, const char *etag, uint64_t size);

#endif
