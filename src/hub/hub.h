/* SPDX-License-Identifier: MIT
 * Model argument -> local folder or file. A local folder or .gguf file wins; else the argument is a
 * hub id looked up in the local Hugging Face cache (refs/, snapshots/, blobs/). */
#ifndef IB_HUB_HUB_H
#define IB_HUB_HUB_H

#include "base/log.h"
#include "base/str.h"

typedef struct ib_hub_env {
    /* Values of the environment, read by the caller; NULL when unset. */
    const char *hf_home, *hf_hub_cache, *huggingface_hub_cache, *xdg_cache_home, *home;
    bool offline;
} ib_hub_env;

/* From the process's environment; the pointers live as long as it is not changed. */
void ib_hub_env_read(ib_hub_env *out);

typedef struct ib_hub_result {
    char *path;     /* owned: folder or .gguf file */
    char *repo_id;  /* owned; NULL for a local path */
    char *revision; /* owned 40-hex commit; NULL for a local path */
} ib_hub_result;

/* revision NULL means "main"; cache_dir NULL means the environment's. IB_E_USAGE for a malformed
 * id, IB_E_INPUT when it is not in the cache (the message says what is missing and where it
 * looked). */
ib_status ib_hub_resolve(ib_hub_result *out, const char *model, const char *revision,
                         const char *cache_dir, const ib_hub_env *env, const ib_log *log,
                         ib_error *err) IB_MUST_CHECK;
void ib_hub_result_clear(ib_hub_result *r);

#endif
