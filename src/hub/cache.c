/* SPDX-License-Identifier: MIT
 * Model argument -> folder or file. What exists on disk wins; anything else must be the id of a
 * repository, and is looked up in the Hugging Face cache:
 *
 *   <cache>/models--org--name/refs/<revision>      40 hex digits: a commit
 *   <cache>/models--org--name/snapshots/<commit>/  the files
 *
 * Id and revision are checked as text before any path is made of them, so no path leads elsewhere.
 * This module reads; it never downloads and never writes. */
#include "base/file.h"
#include "hub/hub.h"

#include <dirent.h>
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

static bool is_word(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool contains(ib_str text, const char *part) {
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= text.len; i++)
        if (memcmp(text.ptr + i, part, n) == 0)
            return true;
    return false;
}

/* A name of a repository or an organisation: [A-Za-z0-9._-], not at an end '-' or '.'. */
static bool name_ok(ib_str name) {
    if (name.len == 0)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        bool inner = i > 0 && i + 1 < name.len;
        if (!is_word(c) && !(inner && (c == '-' || c == '.')))
            return false;
    }
    return true;
}

static bool id_ok(ib_str id) {
    const char *slash = memchr(id.ptr, '/', id.len);
    if (id.len > 96 || contains(id, "--") || contains(id, ".."))
        return false;
    if (!slash)
        return name_ok(id);
    size_t n = (size_t)(slash - id.ptr);
    return name_ok((ib_str){id.ptr, n}) && name_ok((ib_str){slash + 1, id.len - n - 1});
}

/* A revision becomes a path below refs/: components of plain characters, none of them "." or "..".
 */
static bool revision_ok(ib_str revision) {
    size_t start = 0;
    if (revision.len == 0 || revision.len > 255)
        return false;
    for (size_t i = 0; i <= revision.len; i++) {
        unsigned char c = i < revision.len ? (unsigned char)revision.ptr[i] : '/';
        if (c == '/') {
            if (i == start || revision.ptr[start] == '.')
                return false;
            start = i + 1;
        } else if (!is_word(c) && !strchr("-.+@=", c)) {
            return false;
        }
    }
    return !contains(revision, "..");
}

static bool is_commit(ib_str text) {
    if (text.len != 40)
        return false;
    for (size_t i = 0; i < 40; i++)
        if (!memchr("0123456789abcdef", text.ptr[i], 16))
            return false;
    return true;
}

/* "~" and "~/x" with HOME; malloc'd. */
static char *expand(const char *path, const char *home) {
    if (path[0] == '~' && (path[1] == '/' || path[1] == '\0') && home)
        return path[1] ? ib_path_join(home, path + 2) : ib_strdup(home);
    return ib_strdup(path);
}

static bool set(const char *value) {
    return value && value[0];
}

/* The cache folder: option, HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG, ~/.cache. */
static ib_status cache_root(char **out, const char *cache_dir, const ib_hub_env *env,
                            ib_error *err) {
    const char *home = set(env->home) ? env->home : NULL;
    const char *direct = set(cache_dir)                    ? cache_dir
                         : set(env->hf_hub_cache)          ? env->hf_hub_cache
                         : set(env->huggingface_hub_cache) ? env->huggingface_hub_cache
                                                           : NULL;
    const char *base = direct, *below = NULL;
    if (!direct && set(env->hf_home)) {
        base = env->hf_home;
        below = "hub";
    } else if (!direct && set(env->xdg_cache_home)) {
        base = env->xdg_cache_home;
        below = "huggingface/hub";
    } else if (!direct && home) {
        base = home;
        below = ".cache/huggingface/hub";
    }
    *out = NULL;
    if (!base)
        return ib_fail(
            err, IB_E_INPUT,
            "no Hugging Face cache folder: HOME and HF_HOME are not set; fix: set HF_HOME, or "
            "name a local model folder");
    char *expanded = expand(base, home);
    if (expanded)
        *out = below ? ib_path_join(expanded, below) : ib_strdup(expanded);
    free(expanded);
    return *out ? IB_OK : ib_fail_memory(err, strlen(base), "a path");
}

/* "models--org--name" of an id. */
static char *repo_folder(const char *cache, const char *id) {
    ib_buf b;
    ib_buf_init(&b);
    ib_status st = ib_buf_adds(&b, "models--", NULL);
    for (const char *p = id; *p && st == IB_OK; p++)
        st = *p == '/' ? ib_buf_adds(&b, "--", NULL) : ib_buf_addc(&b, *p, NULL);
    char *out = st == IB_OK ? ib_path_join(cache, b.ptr) : NULL;
    ib_buf_clear(&b);
    return out;
}

static char *join3(const char *a, const char *b, const char *c) {
    char *ab = ib_path_join(a, b), *out = ab ? ib_path_join(ab, c) : NULL;
    free(ab);
    return out;
}

typedef struct lookup {
    const char *id, *revision;
    char *cache, *repo; /* owned */
    const ib_hub_env *env;
} lookup;

static ib_status not_cached(const lookup *l, const char *what, ib_error *err) {
    char id[IB_QUOTED], revision[IB_QUOTED], cache[IB_QUOTED];
    return ib_fail(
        err, IB_E_INPUT,
        "model '%s' at revision '%s' is not in the cache '%s': %s%s; fix: fetch it first "
        "with \"hf download\" (this version does not download), or name a local folder",
        ib_quotez(l->id, id), ib_quotez(l->revision, revision), ib_quotez(l->cache, cache), what,
        l->env->offline ? " (offline mode is on)" : "");
}

/* The commit that refs/<revision> holds; malloc'd. */
static ib_status read_ref(char **commit, const lookup *l, ib_error *err) {
    char quoted[IB_QUOTED];
    ib_buf text;
    char *path = join3(l->repo, "refs", l->revision);
    *commit = NULL;
    if (!path)
        return ib_fail_memory(err, strlen(l->repo), "a path");
    if (!ib_path_exists(path)) {
        free(path);
        return not_cached(l, "no such entry in refs/", err);
    }
    ib_buf_init(&text);
    ib_status st = ib_file_read(&text, path, 4096, err);
    while (st == IB_OK && text.len && strchr(" \t\r\n", text.ptr[text.len - 1]))
        text.len--;
    if (st == IB_OK && !is_commit((ib_str){text.ptr, text.len}))
        st = ib_fail(
            err, IB_E_FORMAT,
            "'%s' does not hold a commit (40 hex digits); fix: delete it and fetch the model "
            "again",
            ib_quotez(path, quoted));
    if (st == IB_OK) {
        *commit = ib_strndup(text.ptr, text.len);
        if (!*commit)
            st = ib_fail_memory(err, text.len, "a revision");
    }
    ib_buf_clear(&text);
    free(path);
    return st;
}

/* Allocates nothing, so that running out of memory is never taken for a missing file. */
static bool folder_has(const char *folder, const char *name) {
    char path[4096]; /* longer ones no system call takes */
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n > 0 && (size_t)n < sizeof path && ib_path_exists(path);
}

/* Whether the folder has a file that ends in suffix (a dangling link is none). */
static bool has_file(const char *folder, const char *suffix) {
    DIR *d = opendir(folder);
    bool found = false;
    for (const struct dirent *e; d && !found && (e = readdir(d));) {
        if (!ib_str_ends(ib_str_of(e->d_name), suffix))
            continue;
        found = folder_has(folder, e->d_name);
    }
    if (d)
        (void)closedir(d);
    return found;
}

/* A snapshot is usable when config.json can be opened and some weights are there; links whose blob
 * is missing count as absent. */
static ib_status check_snapshot(const lookup *l, const char *snapshot, ib_error *err) {
    if (!ib_path_is_dir(snapshot))
        return not_cached(l, "its snapshot folder is missing", err);
    if (!folder_has(snapshot, "config.json"))
        return not_cached(l, "config.json is missing in its snapshot (interrupted download)", err);
    if (!has_file(snapshot, ".safetensors") && !has_file(snapshot, ".safetensors.index.json") &&
        !has_file(snapshot, ".bin"))
        return not_cached(l, "the weights are missing in its snapshot (interrupted download)", err);
    return IB_OK;
}

static ib_status find_snapshot(ib_hub_result *out, const lookup *l, ib_error *err) {
    if (!ib_path_is_dir(l->repo))
        return not_cached(l, "there is no folder for this model", err);
    if (is_commit(ib_str_of(l->revision))) {
        out->revision = ib_strdup(l->revision);
        if (!out->revision)
            return ib_fail_memory(err, 40, "a revision");
    } else {
        IB_TRY(read_ref(&out->revision, l, err));
    }
    out->path = join3(l->repo, "snapshots", out->revision);
    out->repo_id = ib_strdup(l->id);
    if (!out->path || !out->repo_id)
        return ib_fail_memory(err, strlen(l->repo), "a path");
    return check_snapshot(l, out->path, err);
}

static ib_status resolve_id(ib_hub_result *out, const char *model, const char *revision,
                            const char *cache_dir, const ib_hub_env *env, ib_error *err) {
    char quoted[IB_QUOTED];
    lookup l = {.id = model, .revision = set(revision) ? revision : "main", .env = env};
    if (!id_ok(ib_str_of(model)))
        return ib_fail(
            err, IB_E_USAGE,
            "'%s' is neither an existing folder or .gguf file nor a model id; fix: use a "
            "path that exists, or an id like 'org/name'",
            ib_quotez(model, quoted));
    if (!revision_ok(ib_str_of(l.revision)))
        return ib_fail(err, IB_E_USAGE,
                       "malformed revision '%s'; fix: use a branch, a tag or 40 hex digits",
                       ib_quotez(l.revision, quoted));
    IB_TRY(cache_root(&l.cache, cache_dir, env, err));
    l.repo = repo_folder(l.cache, model);
    ib_status st =
        l.repo ? find_snapshot(out, &l, err) : ib_fail_memory(err, strlen(l.cache), "a path");
    free(l.repo);
    free(l.cache);
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
    if (exists &&
        (!ib_path_is_dir(model) || folder_has(model, "config.json") || !id_ok(ib_str_of(model))))
        return take_local(out, model, err);
    if (!exists && (ib_str_ends(ib_str_of(model), ".gguf") || model[0] == '/' || model[0] == '.'))
        return ib_fail(err, IB_E_INPUT, "'%s' does not exist; fix: check the path",
                       ib_quotez(model, quoted));
    ib_status st = resolve_id(out, model, revision, cache_dir, env, err);
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
