/* SPDX-License-Identifier: MIT
 * Model argument -> folder or file. What exists on disk wins; anything else must be the id of a
 * repository: its snapshot in the Hugging Face cache, made whole by a download unless offline.
 *
 * Id and revision are checked as text before any path is made of them, so no path leads elsewhere.
 */
#include "base/file.h"
#include "hub/download.h"
#include "hub/hub.h"
#include "hub/lookup.h"
#include "hub/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void ib_hub_result_clear(ib_hub_result *r) {
    free(r->path);
    free(r->repo_id);
    free(r->revision);
    *r = (ib_hub_result){0};
}

static bool set(const char *value) {
    return value && value[0];
}

typedef struct lookup {
    const char *id, *revision;
    ib_hub_layout layout; /* owned */
    const ib_hub_env *env;
    const ib_log *log;
} lookup;

static ib_status not_cached(const lookup *l, const char *what, ib_error *err) {
    char id[IB_QUOTED], revision[IB_QUOTED], cache[IB_QUOTED];
    return ib_fail(err, IB_E_INPUT,
                   "model '%s' at revision '%s' is not in the cache '%s': %s%s; fix: fetch it "
                   "with 'inferbench download%s, or name a local folder",
                   ib_quotez(l->id, id), ib_quotez(l->revision, revision),
                   ib_quotez(l->layout.cache, cache), what,
                   l->env->offline ? " (offline mode is on)" : "",
                   l->env->offline ? "' where there is a network" : "'");
}

/* The commit that the cache has for the revision; *what says why it cannot be used, "" when it can.
 */
static ib_status find_cached(const lookup *l, char commit[41], ib_hub_missing *what,
                             ib_error *err) {
    bool found = true;
    what->text[0] = '\0';
    if (ib_hub_is_commit(ib_str_of(l->revision)))
        memcpy(commit, l->revision, 41);
    else if (ib_path_is_dir(l->layout.repo))
        IB_TRY(ib_hub_ref_read(&l->layout, l->revision, &found, commit, err));
    if (!ib_path_is_dir(l->layout.repo))
        (void)snprintf(what->text, sizeof what->text, "there is no folder for this model");
    else if (!found)
        (void)snprintf(what->text, sizeof what->text, "no such entry in refs/");
    return what->text[0] ? IB_OK : ib_hub_snapshot_check(&l->layout, commit, what, err);
}

static ib_status fill(ib_hub_result *out, const lookup *l, const char *commit, ib_error *err) {
    out->revision = ib_strdup(commit);
    out->path = ib_hub_path(&l->layout, "snapshots", commit, NULL);
    out->repo_id = ib_strdup(l->id);
    if (!out->path || !out->repo_id || !out->revision)
        return ib_fail_memory(err, strlen(l->layout.repo), "a path");
    return IB_OK;
}

static ib_status find(ib_hub_result *out, const lookup *l, ib_error *err) {
    char commit[41] = "";
    ib_hub_missing what;
    ib_error bad = {0};
    ib_status st = find_cached(l, commit, &what, &bad);
    bool usable = st == IB_OK && !what.text[0];
    if (l->env->offline && st != IB_OK)
        return ib_fail(err, st, "%s", bad.text);
    if (l->env->offline && !usable)
        return not_cached(l, what.text, err);
    if (!l->env->offline && !(usable && ib_hub_is_commit(ib_str_of(l->revision)) &&
                              ib_hub_snapshot_is_whole(&l->layout, commit))) {
        const ib_hub_want want = {l->id, l->revision, &l->layout, l->env, l->log};
        char cached[41] = "";
        memcpy(cached, commit, usable ? 41 : 0);
        IB_TRY(ib_hub_download(&want, cached, commit, &out->fetched_bytes, err));
    }
    return fill(out, l, commit, err);
}

static ib_status start_lookup(lookup *l, const char *model, const char *revision,
                              const char *cache_dir, ib_error *err) {
    char quoted[IB_QUOTED];
    l->id = model;
    l->revision = set(revision) ? revision : "main";
    if (!ib_hub_id_ok(ib_str_of(model)))
        return ib_fail(
            err, IB_E_USAGE,
            "'%s' is neither an existing folder or .gguf file nor a model id; fix: use a "
            "path that exists, or an id like 'org/name'",
            ib_quotez(model, quoted));
    if (!ib_hub_revision_ok(ib_str_of(l->revision)))
        return ib_fail(err, IB_E_USAGE,
                       "malformed revision '%s'; fix: use a branch, a tag or 40 hex digits",
                       ib_quotez(l->revision, quoted));
    return ib_hub_layout_init(&l->layout, model, cache_dir, l->env, err);
}

static ib_status resolve_id(ib_hub_result *out, const char *model, const char *revision,
                            const char *cache_dir, const ib_hub_env *env, const ib_log *log,
                            ib_error *err) {
    lookup l = {.env = env, .log = log};
    IB_TRY(start_lookup(&l, model, revision, cache_dir, err));
    ib_status st = find(out, &l, err);
    ib_hub_layout_clear(&l.layout);
    return st;
}

ib_status ib_hub_find_snapshot(ib_hub_result *out, const char *model, const char *revision,
                               const char *cache_dir, const ib_hub_env *env, ib_error *err) {
    lookup l = {.env = env};
    char commit[41] = "";
    ib_hub_missing what;
    ib_error ignored = {0};
    *out = (ib_hub_result){0};
    if (!set(model))
        model = "";
    IB_TRY(start_lookup(&l, model, revision, cache_dir, err));
    ib_status st = find_cached(&l, commit, &what, &ignored);
    if (!commit[0] && st != IB_OK)
        (void)ib_fail(err, st, "%s", ignored.text);
    else
        st = commit[0] ? fill(out, &l, commit, err) : not_cached(&l, what.text, err);
    if (st == IB_OK && !ib_path_is_dir(out->path))
        st = not_cached(&l, "its snapshot folder is missing", err);
    ib_hub_layout_clear(&l.layout);
    if (st != IB_OK)
        ib_hub_result_clear(out);
    return st;
}

static ib_status take_local(ib_hub_result *out, const char *path, ib_error *err) {
    char quoted[IB_QUOTED];
    ib_str name = ib_str_of(path);
    struct stat file;
    bool is_dir = ib_path_is_dir(path);
    if (!is_dir && (stat(path, &file) != 0 || !S_ISREG(file.st_mode)))
        return ib_fail(err, IB_E_INPUT,
                       "'%s' is not a regular file; fix: name a model folder or a .gguf file",
                       ib_quotez(path, quoted));
    if (!is_dir && !ib_str_ends(name, ".gguf") && !ib_str_ends(name, ".safetensors"))
        return ib_fail(
            err, IB_E_USAGE,
            "'%s' is a file but not a .gguf file; fix: name a model folder or a .gguf file",
            ib_quotez(path, quoted));
    out->path = ib_strdup(path);
    return out->path ? IB_OK : ib_fail_memory(err, name.len, "a path");
}

/* Only the host is shown: the rest of a URL may hold a password or a token. */
static ib_status refuse_url(const char *host, ib_error *err) {
    char quoted[IB_QUOTED];
    size_t n = strcspn(host, "/?#");
    for (size_t i = n; i-- > 0;) {
        if (host[i] == '@') {
            host += i + 1;
            n -= i + 1;
            break;
        }
    }
    return ib_fail(
        err, IB_E_USAGE,
        "the model id is a URL (host '%s'); fix: give an id like 'org/name', a folder or a "
        ".gguf file",
        ib_quote((ib_str){host, n}, quoted));
}

/* Allocates nothing, so that running out of memory is never taken for a missing file. */
static bool has_config(const char *folder) {
    char path[4096]; /* longer ones no system call takes */
    int n = snprintf(path, sizeof path, "%s/config.json", folder);
    return n > 0 && (size_t)n < sizeof path && ib_path_exists(path);
}

ib_status ib_hub_resolve(ib_hub_result *out, const char *model, const char *revision,
                         const char *cache_dir, const ib_hub_env *env, const ib_log *log,
                         ib_error *err) {
    char quoted[IB_QUOTED], where[IB_QUOTED];
    *out = (ib_hub_result){0};
    if (!set(model))
        return ib_fail(err, IB_E_USAGE,
                       "the model id is empty; fix: name a folder, a .gguf file or an id like "
                       "'org/name'");
    bool exists = ib_path_exists(model);
    const char *scheme = exists ? NULL : strstr(model, "://");
    if (scheme)
        return refuse_url(scheme + 3, err);
    /* a folder without config.json only wins when it is no model id, or one that is not cached */
    if (exists && (!ib_path_is_dir(model) || has_config(model) || !ib_hub_id_ok(ib_str_of(model))))
        return take_local(out, model, err);
    if (!exists && (ib_str_ends(ib_str_of(model), ".gguf") || model[0] == '/' || model[0] == '.'))
        return ib_fail(err, IB_E_INPUT, "'%s' does not exist; fix: check the path",
                       ib_quotez(model, quoted));
    ib_hub_env cached_only = *env;
    cached_only.offline = true;
    ib_status st =
        resolve_id(out, model, revision, cache_dir, exists ? &cached_only : env, log, err);
    if (st != IB_OK) {
        ib_hub_result_clear(out);
        if (!exists)
            return st;
        ib_error_clear(err);
        return take_local(out, model, err);
    }
    ib_log_info(log, "model '%s' found at '%s'", ib_quotez(model, quoted),
                ib_quotez(out->path, where));
    return IB_OK;
}
