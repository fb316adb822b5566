/* SPDX-License-Identifier: MIT
 * A cached snapshot read again: each file must be what the name of its blob says. No network. */
#include "base/file.h"
#include "hub/digest.h"
#include "hub/lookup.h"
#include "hub/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_DEPTH = 16, MOST_FILES = 100000 };

typedef struct audit {
    const ib_hub_env *env;
    const char *folder; /* of the snapshot */
    ib_hub_on_checked on_checked;
    void *user;
    ib_status first; /* bad file */
    ib_error first_error;
} audit;

/* All files below folder/prefix, as paths relative to folder. */
static ib_status list(ib_hub_names *out, const char *folder, const char *prefix, int depth,
                      ib_error *err) {
    char quoted[IB_QUOTED];
    char *path = ib_path_join(folder, prefix);
    DIR *d = path ? opendir(path) : NULL;
    ib_status st = IB_OK;
    if (!path)
        st = ib_fail_memory(err, strlen(folder), "a path");
    else if (!d)
        st = ib_fail(err, IB_E_INPUT, "cannot read the folder '%s': %s; fix: check its permissions",
                     ib_quotez(path, quoted), strerror(errno));
    for (const struct dirent *e; st == IB_OK && d && (e = readdir(d));) {
        struct stat file;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *name = prefix[0] ? ib_path_join(prefix, e->d_name) : ib_strdup(e->d_name);
        bool is_dir =
            fstatat(dirfd(d), e->d_name, &file, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(file.st_mode);
        if (!name)
            st = ib_fail_memory(err, strlen(e->d_name), "a path");
        else if (out->n >= MOST_FILES || depth >= MOST_DEPTH)
            st = ib_fail(err, IB_E_RESOURCE,
                         "too many files or folders in '%s'; fix: fetch the "
                         "model again",
                         ib_quotez(path, quoted));
        else
            st = is_dir ? list(out, folder, name, depth + 1, err)
                        : ib_hub_names_add(out, ib_str_of(name), err);
        free(name);
    }
    if (d)
        (void)closedir(d);
    free(path);
    return st;
}

/* The last component of what a link points to, when that is a blob; "" for anything else. */
static void blob_name(const char *path, char out[IB_HUB_ETAG_MAX + 1]) {
    char target[1024];
    ssize_t n = readlink(path, target, sizeof target - 1);
    out[0] = '\0';
    if (n <= 0)
        return;
    target[n] = '\0';
    const char *slash = strrchr(target, '/');
    if (!slash || slash - target < 5 || strncmp(slash - 5, "blobs", 5) != 0)
        return;
    (void)snprintf(out, IB_HUB_ETAG_MAX + 1, "%s", slash + 1);
}

static ib_status check_content(ib_hub_checked *c, const char *path, char found[65], const audit *a,
                               ib_error *err) {
    char quoted[IB_QUOTED];
    ib_digest_kind kind = ib_digest_kind_of(c->expected);
    struct stat file;
    if (stat(path, &file) != 0) {
        bool dangling = errno == ENOENT;
        return ib_fail(
            err, dangling ? IB_E_FORMAT : IB_E_INPUT,
            "cannot open '%s' in the cache: %s; fix: delete it and fetch the model again",
            ib_quotez(c->file, quoted), dangling ? "its link leads nowhere" : strerror(errno));
    }
    c->hash_kind = ib_digest_name(kind);
    IB_TRY(ib_digest_file(path, kind, found, &c->bytes, a->env->stop, err));
    if (kind == IB_DIGEST_NONE || strcmp(found, c->expected) == 0)
        return IB_OK;
    return ib_fail(err, IB_E_FORMAT,
                   "wrong content in '%s' of the cache: %s %s, expected %s; fix: delete the blob "
                   "that it links to and fetch the model again",
                   ib_quotez(c->file, quoted), c->hash_kind, found, c->expected);
}

static ib_status check_one(audit *a, const char *file, ib_error *err) {
    char etag[IB_HUB_ETAG_MAX + 1], found[65] = "";
    ib_error why = {0};
    char *path = ib_path_join(a->folder, file);
    if (!path)
        return ib_fail_memory(err, strlen(file), "a path");
    blob_name(path, etag);
    ib_hub_checked c = {.file = file, .hash_kind = "none", .expected = etag, .found = found};
    c.status = check_content(&c, path, found, a, &why);
    c.problem = c.status == IB_OK ? NULL : why.text;
    free(path);
    if (c.status == IB_E_INTERRUPTED || c.status == IB_E_TERMINATED || c.status == IB_E_RESOURCE)
        return ib_fail(err, c.status, "%s", why.text);
    if (c.status != IB_OK && a->first == IB_OK) {
        a->first = c.status;
        a->first_error = why;
    }
    return a->on_checked ? a->on_checked(a->user, &c, err) : IB_OK;
}

ib_status ib_hub_verify(ib_hub_result *out, const char *model, const char *revision,
                        const char *cache_dir, const ib_hub_env *env, ib_hub_on_checked on_checked,
                        void *user, ib_error *err) {
    ib_hub_names files = {0};
    audit a = {.env = env, .on_checked = on_checked, .user = user};
    IB_TRY(ib_hub_find_snapshot(out, model, revision, cache_dir, env, err));
    a.folder = out->path;
    ib_status st = list(&files, out->path, "", 0, err);
    ib_hub_names_sort(&files);
    for (size_t i = 0; i < files.n && st == IB_OK; i++)
        st = check_one(&a, files.names[i], err);
    ib_hub_names_clear(&files);
    if (st == IB_OK && a.first != IB_OK)
        st = ib_fail(err, a.first, "%s", a.first_error.text);
    return st;
}

/* --- hashes for the record --- */

/* The model's files in a folder and in its folder of templates. A folder that cannot be read has
 * none: what is wrong with it is for others to say. */
static ib_status list_model(ib_hub_names *out, const char *folder, ib_error *err) {
    static const char *const parts[] = {"", IB_HUB_TEMPLATES "/"};
    ib_status st = IB_OK;
    for (size_t i = 0; i < 2; i++) {
        char *path = ib_path_join(folder, parts[i]);
        DIR *d = path ? opendir(path) : NULL;
        for (const struct dirent *e; st == IB_OK && d && (e = readdir(d));) {
            char name[IB_HUB_NAME_MAX + 1];
            int n = snprintf(name, sizeof name, "%s%s", parts[i], e->d_name);
            if (n > 0 && (size_t)n < sizeof name && ib_hub_is_model_file(name) &&
                ib_utf8_valid_prefix(name, (size_t)n) == (size_t)n)
                st = ib_hub_names_add(out, (ib_str){name, (size_t)n}, err);
        }
        if (d)
            (void)closedir(d);
        if (!path)
            return ib_fail_memory(err, strlen(folder), "a path");
        free(path);
    }
    return st;
}

static json_t *hash_of(const char *path, uint64_t *bytes, ib_error *err) {
    enum { READ_AT_MOST = 32 << 20 };
    char etag[IB_HUB_ETAG_MAX + 1], hash[65], text[100];
    struct stat file;
    *bytes = stat(path, &file) == 0 ? (uint64_t)file.st_size : 0;
    blob_name(path, etag);
    ib_digest_kind kind = ib_digest_kind_of(etag);
    if (kind == IB_DIGEST_NONE) {
        if (*bytes > READ_AT_MOST ||
            ib_digest_file(path, IB_DIGEST_SHA256, hash, bytes, NULL, err) != IB_OK)
            return json_null();
        kind = IB_DIGEST_SHA256;
        memcpy(etag, hash, sizeof hash);
    }
    (void)snprintf(text, sizeof text, "%s:%.64s", ib_digest_name(kind), etag);
    return json_string(text);
}

static ib_status add_hash(json_t *out, const char *path, const char *name, ib_error *err) {
    uint64_t bytes = 0;
    json_t *hash = hash_of(path, &bytes, NULL);
    json_t *entry = json_pack("{s:I, s:o}", "bytes", (json_int_t)bytes, "hash", hash);
    if (!entry || json_object_set_new(out, name, entry) != 0)
        return ib_fail_memory(err, 0, "the files' hashes");
    return IB_OK;
}

ib_status ib_hub_file_hashes(json_t **out, const char *path, ib_error *err) {
    ib_hub_names files = {0};
    const char *slash = strrchr(path, '/');
    *out = json_object();
    ib_status st = *out ? IB_OK : ib_fail_memory(err, 0, "the files' hashes");
    if (st == IB_OK && !ib_path_is_dir(path))
        st = add_hash(*out, path, slash ? slash + 1 : path, err);
    else if (st == IB_OK)
        st = list_model(&files, path, err);
    ib_hub_names_sort(&files);
    for (size_t i = 0; i < files.n && st == IB_OK; i++) {
        char *file = ib_path_join(path, files.names[i]);
        st = file ? add_hash(*out, file, files.names[i], err) : ib_fail_memory(err, 0, "a path");
        free(file);
    }
    ib_hub_names_clear(&files);
    if (st != IB_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return st;
}
