/* SPDX-License-Identifier: MIT
 * Finding a snapshot in the cache without looking whether it is whole. Private to src/hub. */
#ifndef IB_HUB_LOOKUP_H
#define IB_HUB_LOOKUP_H

#include "hub/hub.h"

/* The snapshot folder of an id at a revision. IB_E_USAGE for malformed names, IB_E_INPUT when the
 * cache has none. */
ib_status ib_hub_find_snapshot(ib_hub_result *out, const char *model, const char *revision,
                               const char *cache_dir, const ib_hub_env *env,
                               ib_error *err) IB_MUST_CHECK;

#endif
