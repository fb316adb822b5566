/* SPDX-License-Identifier: MIT
 * One blob from the network into blobs/: large ones over several connections at once. */
#ifndef IB_HUB_FETCH_H
#define IB_HUB_FETCH_H

#include "hub/http.h"
#include "hub/layout.h"

typedef struct ib_hub_blob { /* what a HEAD said of a file */
    const char *file;        /* borrowed: path in the repository, for messages */
    const char *url;         /* borrowed: the file's own URL at the endpoint */
    char etag[IB_HUB_ETAG_MAX + 1];
    uint64_t size;
    char *location; /* owned: where the bytes are, url or a signed one */
} ib_hub_blob;

typedef struct ib_hub_meter { /* progress over all files of a download */
    ib_hub_progress now;
    uint64_t told_ns;
} ib_hub_meter;
/* Tells the observer, at most 10 times a second unless forced. */
void ib_hub_meter_tell(ib_hub_meter *m, const ib_hub_env *env, bool force);

/* Fetches and publishes blobs/<etag>, unless it is there by the time that the lock is had. meter
 * counts what comes and what an earlier process left. IB_E_NETWORK after IB_HTTP_TRIES failures
 * without progress between, and when the content is not what the etag says. */
ib_status ib_hub_fetch(ib_http *h, const ib_hub_layout *l, ib_hub_blob *blob, ib_hub_meter *meter,
                       ib_error *err) IB_MUST_CHECK;

/* blobs/<etag> is there with that size. */
bool ib_hub_has_blob(const ib_hub_layout *l, const char *etag, uint64_t size);

#endif
