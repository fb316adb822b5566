/* SPDX-License-Identifier: MIT
 * The lock of one blob, as huggingface_hub takes it: flock on <cache>/.locks/<repo>/<etag>.lock. It
 * saves a second download of the same bytes; that no bad blob appears does not depend on it. */
#ifndef IB_HUB_LOCK_H
#define IB_HUB_LOCK_H

#include "hub/layout.h"

typedef struct ib_hub_lock {
    int fd;       /* -1 = not held */
    bool trusted; /* flock does exclude here: a second one was refused while this one is held */
} ib_hub_lock;

/* Waits while somebody else holds it: until blobs/<etag> appears, or nothing of that blob grew for
 * patience_s (a dead host's lock): then the lock is not held and the work goes on without it. */
ib_status ib_hub_lock_take(ib_hub_lock *lock, const ib_hub_layout *l, const char *etag,
                           unsigned patience_s, const ib_hub_env *env, const ib_log *log,
                           ib_error *err) IB_MUST_CHECK;
void ib_hub_lock_release(ib_hub_lock *lock);

/* IB_E_INTERRUPTED or IB_E_TERMINATED once *env->stop is set. */
ib_status ib_hub_check_stop(const ib_hub_env *env, ib_error *err) IB_MUST_CHECK;

#endif
