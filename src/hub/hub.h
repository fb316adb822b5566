/* SPDX-License-Identifier: MIT
 * Model argument -> local folder or file. A local folder or .gguf file wins; else the argument is a
 * hub id: found in the Hugging Face cache, or fetched from the hub into it.
 *
 * ib_hub_resolve asks the hub once (a HEAD) where the revision is a branch or a tag; a commit that
 * is in the cache is taken without any network, and offline nothing else is. When the hub cannot be
 * reached, what the cache holds is used with a warning. */
#ifndef IB_HUB_HUB_H
#define IB_HUB_HUB_H

#include "base/json.h"
#include "base/log.h"

#include <stdbool.h>

/* How far a download is. */
typedef struct ib_hub_progress {
    const char *file;     /* being fetched; NULL = all is done */
    uint64_t done, total; /* bytes of all files of the model, what was there before included */
    uint64_t fetched;     /* bytes that came over the network, this time */
    size_t n_done, n_files;
} ib_hub_progress;

typedef struct ib_hub_env {
    /* Values of the environment, read by the caller; NULL when unset. */
    const char *hf_home, *hf_hub_cache, *huggingface_hub_cache, *xdg_cache_home, *home;
    const char *endpoint;   /* HF_ENDPOINT; NULL = https://huggingface.co */
    const char *hf_token;   /* HF_TOKEN, else HUGGING_FACE_HUB_TOKEN */
    const char *token_path; /* HF_TOKEN_PATH */
    const char *ca_file;    /* REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or SSL_CERT_FILE */
    bool offline, no_implicit_token, no_symlinks;
    unsigned etag_timeout_s, download_timeout_s; /* 0 = 10 */
    /* Given by the program. */
    const char *token;        /* --token: before all others; NULL = not given */
    volatile const int *stop; /* not 0: the number of a signal; NULL = never */
    void (*on_progress)(void *user, const ib_hub_progress *p); /* NULL = nobody looks */
    void *on_progress_user;
} ib_hub_env;

/* From the process's environment; the pointers live as long as it is not changed. */
void ib_hub_env_read(ib_hub_env *out);

typedef struct ib_hub_result {
    char *path;             /* owned: folder or .gguf file */
    char *repo_id;          /* owned; NULL for a local path */
    char *revision;         /* owned 40-hex commit; NULL for a local path */
    uint64_t fetched_bytes; /* that came over the network */
} ib_hub_result;

/* revision NULL means "main"; cache_dir NULL means the environment's. IB_E_USAGE for a malformed
 * id, revision, endpoint or token; IB_E_INPUT when the model is not in the cache and may not be
 * fetched (the message says what is missing and where it looked); IB_E_NETWORK for what hub and
 * network do; IB_E_RESOURCE when the disk is too small. */
ib_status ib_hub_resolve(ib_hub_result *out, const char *model, const char *revision,
                         const char *cache_dir, const ib_hub_env *env, const ib_log *log,
                         ib_error *err) IB_MUST_CHECK;
void ib_hub_result_clear(ib_hub_result *r);

/* One file of a snapshot against the hash that its blob is named after. */
typedef struct ib_hub_checked {
    const char *file; /* path in the repository */
    uint64_t bytes;
    const char *hash_kind; /* "sha256", "git-sha1"; "none": nothing to compare with */
    const char *expected, *found;
    ib_status status;    /* IB_OK, or what is wrong with it */
    const char *problem; /* text of the error; NULL when fine */
} ib_hub_checked;
typedef ib_status (*ib_hub_on_checked)(void *user, const ib_hub_checked *c, ib_error *err);

/* Reads every file of a cached snapshot again. All of them are looked at; the status is that of the
 * first bad one: IB_E_FORMAT (content or length is not what the name says, dangling link) or
 * IB_E_INPUT (not there, unreadable, a link that loops). Uses no network. */
ib_status ib_hub_verify(ib_hub_result *out, const char *model, const char *revision,
                        const char *cache_dir, const ib_hub_env *env, ib_hub_on_checked on_checked,
                        void *user, ib_error *err) IB_MUST_CHECK;

/* What the files of a model folder, or a single file, are: {"config.json": {"bytes": 23, "hash":
 * "git-sha1:..."}}, *out owned by the caller. Of a snapshot of the hub the hashes are the names of
 * the blobs, which were checked when they were fetched (ib_hub_verify checks them again); of a
 * plain file up to 32 MB it is the SHA-256 of what it holds now; of a larger one null. */
ib_status ib_hub_file_hashes(json_t **out, const char *path, ib_error *err) IB_MUST_CHECK;

#endif
