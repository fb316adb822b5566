/* SPDX-License-Identifier: MIT
 * The environment variables that place the hub and its cache, read in one place. An empty one
 * counts as unset, as huggingface_hub has it. The proxies' variables are libcurl's own business. */
#include "hub/hub.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *value_of(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* The first of them that is set. */
static const char *first_of(const char *const *names, size_t n) {
    const char *value = NULL;
    for (size_t i = 0; i < n && !value; i++)
        value = value_of(names[i]);
    return value;
}

static bool is_true(const char *name) {
    static const char *const words[] = {"1", "on", "yes", "true"};
    const char *value = value_of(name);
    for (size_t i = 0; value && i < sizeof words / sizeof *words; i++)
        if (strcasecmp(value, words[i]) == 0)
            return true;
    return false;
}

/* Whole seconds from 1 to 3600; anything else counts as unset. */
static unsigned seconds_of(const char *name) {
    const char *value = value_of(name);
    uint64_t n = 0;
    if (!value || !ib_parse_u64(ib_str_of(value), &n) || n > 3600)
        return 0;
    return (unsigned)n;
}

void ib_hub_env_read(ib_hub_env *out) {
    static const char *const tokens[] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"};
    static const char *const bundles[] = {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"};
    *out = (ib_hub_env){.hf_home = value_of("HF_HOME"),
                        .hf_hub_cache = value_of("HF_HUB_CACHE"),
                        .huggingface_hub_cache = value_of("HUGGINGFACE_HUB_CACHE"),
                        .xdg_cache_home = value_of("XDG_CACHE_HOME"),
                        .home = value_of("HOME"),
                        .endpoint = value_of("HF_ENDPOINT"),
                        .hf_token = first_of(tokens, 2),
                        .token_path = value_of("HF_TOKEN_PATH"),
                        .ca_file = first_of(bundles, 3),
                        .offline = is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE"),
                        .no_implicit_token = is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN"),
                        .no_symlinks = is_true("HF_HUB_DISABLE_SYMLINKS"),
                        .etag_timeout_s = seconds_of("HF_HUB_ETAG_TIMEOUT"),
                        .download_timeout_s = seconds_of("HF_HUB_DOWNLOAD_TIMEOUT")};
}
