/* SPDX-License-Identifier: MIT
 * The environment variables that place the hub's cache, read in one place. An empty one counts as
 * unset, as huggingface_hub has it. */
#include "hub/hub.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *value_of(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static bool is_true(const char *name) {
    static const char *const words[] = {"1", "on", "yes", "true"};
    const char *value = value_of(name);
    for (size_t i = 0; value && i < sizeof words / sizeof *words; i++)
        if (strcasecmp(value, words[i]) == 0)
            return true;
    return false;
}

void ib_hub_env_read(ib_hub_env *out) {
    *out = (ib_hub_env){.hf_home = value_of("HF_HOME"),
                        .hf_hub_cache = value_of("HF_HUB_CACHE"),
                        .huggingface_hub_cache = value_of("HUGGINGFACE_HUB_CACHE"),
                        .xdg_cache_home = value_of("XDG_CACHE_HOME"),
                        .home = value_of("HOME"),
                        .offline = is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE")};
}
