/* SPDX-License-Identifier: MIT
 * A model from the hub into the cache. Private to src/hub: see ib_hub_resolve. */
#ifndef IB_HUB_DOWNLOAD_H
#define IB_HUB_DOWNLOAD_H

#include "hub/hub.h"
#include "hub/layout.h"

typedef struct ib_hub_want {
    const char *id, *revision; /* checked */
    const ib_hub_layout *layout;
    const ib_hub_env *env;
    const ib_log *log;
} ib_hub_want;

/* Makes the snapshot of the revision whole; commit is the one that it has now. When the hub cannot
 * be reached and cached is not "", a commit whose snapshot the cache can give: it is that one, and
 * a warning. *fetched: bytes that came. */
ib_status ib_hub_download(const ib_hub_want *w, const char *cached, char commit[41],
                          uint64_t *fetched, ib_error *err) IB_MUST_CHECK;

#endif
