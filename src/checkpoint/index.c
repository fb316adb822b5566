/* SPDX-License-Identifier: MIT
 * model.safetensors.index.json -> the shards it names, opened and compared with it. Shard names
 * come from a stranger: they must be plain relative names, and what they lead to must lie in the
 * folder, or in the blobs of the same repository when the folder is a snapshot of the hub cache. */
#include "base/checked.h"
#include "checkpoint/private.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool ib_plain_name(ib_str name) {
    if (name.len == 0 || name.len > 255 || ib_utf8_valid_prefix(name.ptr, name.len) != name.len)
        return false;
    size_t start = 0; /* of the component */
    for (size_t i = 0; i <= name.len; i++) {
        unsigned char c = i < name.len ? (unsigned char)name.ptr[i] : '/';
        if (c < 0x20 || c == 0x7F || c == '\\' || c == ':' || c == '%')
            return false;
        if (c != '/')
            continue;
        size_t n = i - start;
        const char *part = name.ptr + start;
        if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        start = i + 1;
    }
    return true;
}

typedef struct shard_index {
    const char *folder;
    char *path;     /* owned, of the index itself */
    json_t *json;   /* owned */
    json_t *map;    /* borrowed from json */
    ib_str *shards; /* owned [n_shards]; names borrowed from json */
    size_t n_shards, cap_shards;
    ib_map by_shard; /* name -> place in shards */
} shard_index;

/* Collects the distinct shard names; each must be plain. */
static ib_status collect(shard_index *x, ib_error *err) {
    char quoted[IB_QUOTED], path[IB_QUOTED];
    const char *tensor;
    json_t *value;
    (void)ib_quotez(x->path, path);
    json_object_foreach(x->map, tensor, value) {
        ib_str name = {json_string_value(value), json_string_length(value)};
        uint64_t known;
        if (!name.ptr)
            return ib_fail(
                err, IB_E_FORMAT,
                "bad value in '%s' at /weight_map/%s: expected a file name; fix: download "
                "the file again",
                path, ib_quotez(tensor, quoted));
        if (ib_map_get(&x->by_shard, name, &known))
            continue;
        if (!ib_plain_name(name))
            return ib_fail(
                err, IB_E_FORMAT,
                "bad shard name in '%s' at /weight_map: '%s' is not a plain relative file "
                "name; fix: do not use this model",
                path, ib_quote(name, quoted));
        if (x->n_shards == IB_CAP_SHARDS)
            return ib_fail(err, IB_E_RESOURCE, "more than %d shards in '%s'; fix: merge the shards",
                           IB_CAP_SHARDS, path);
        IB_TRY(ib_checkpoint_grow((void **)&x->shards, &x->cap_shards, x->n_shards,
                                  sizeof *x->shards, err));
        IB_TRY(ib_map_put(&x->by_shard, name, x->n_shards, NULL, err));
        x->shards[x->n_shards++] = name;
    }
    if (x->n_shards == 0)
        return ib_fail(err, IB_E_FORMAT, "no tensors in '%s'; fix: download the file again", path);
    return IB_OK;
}

/* Whether target lies directly in the folder blobs next to snapshots/<commit> = folder. All three
 * are free of links. */
static bool in_blobs(const char *folder, const char *target) {
    static const char snapshots[] = "/snapshots/";
    const char *commit = strrchr(folder, '/');
    if (!commit || (size_t)(commit - folder) < sizeof snapshots - 2)
        return false;
    const char *repo_end = commit - (sizeof snapshots - 2);
    if (strncmp(repo_end, snapshots, sizeof snapshots - 1) != 0)
        return false;
    char blobs[PATH_MAX], real[PATH_MAX];
    int n = snprintf(blobs, sizeof blobs, "%.*s/blobs", (int)(repo_end - folder), folder);
    if (n < 0 || (size_t)n >= sizeof blobs || !realpath(blobs, real))
        return false;
    size_t len = strlen(real);
    return strncmp(target, real, len) == 0 && target[len] == '/' && !strchr(target + len + 1, '/');
}

typedef enum shard_state { SHARD_OK, SHARD_MISSING, SHARD_OUTSIDE, SHARD_NOT_A_FILE } shard_state;

static shard_state look(const char *folder, const char *path) {
    struct stat st;
    char real_folder[PATH_MAX], real[PATH_MAX];
    if (!realpath(folder, real_folder) || !realpath(path, real))
        return SHARD_MISSING;
    size_t n = strlen(real_folder);
    bool inside = strncmp(real, real_folder, n) == 0 && (real[n] == '/' || n == 1);
    if (!inside && !in_blobs(real_folder, real))
        return SHARD_OUTSIDE;
    if (stat(real, &st) != 0)
        return SHARD_MISSING;
    if (!S_ISREG(st.st_mode))
        return SHARD_NOT_A_FILE;
    return faccessat(AT_FDCWD, real, R_OK, AT_EACCESS) == 0 ? SHARD_OK : SHARD_MISSING;
}

/* Before anything is opened: all shards exist, are readable regular files, and lie where they may.
 */
static ib_status look_at_all(const shard_index *x, ib_error *err) {
    char quoted[IB_QUOTED], folder[IB_QUOTED], list[400];
    size_t missing = 0, used = 0;
    list[0] = '\0';
    for (size_t i = 0; i < x->n_shards; i++) {
        char *path = ib_path_join(x->folder, x->shards[i].ptr);
        if (!path)
            return ib_fail_memory(err, x->shards[i].len, "a path");
        shard_state state = look(x->folder, path);
        free(path);
        (void)ib_quote(x->shards[i], quoted);
        if (state == SHARD_OUTSIDE)
            return ib_fail(err, IB_E_FORMAT,
                           "shard '%s' in '%s' is a link out of the model folder; fix: put the "
                           "file itself there",
                           quoted, ib_quotez(x->folder, folder));
        if (state == SHARD_NOT_A_FILE)
            return ib_fail(err, IB_E_FORMAT,
                           "shard '%s' in '%s' is not a regular file; fix: download it again",
                           quoted, ib_quotez(x->folder, folder));
        if (state == SHARD_MISSING && missing++ < 5) {
            int n = snprintf(list + used, sizeof list - used, "%s%.72s", used ? ", " : "", quoted);
            used += n > 0 ? (size_t)n : 0;
        }
    }
    if (!missing)
        return IB_OK;
    return ib_fail(err, IB_E_INPUT,
                   "%zu of %zu shards missing or unreadable in '%s': %s%s; fix: download them",
                   missing, x->n_shards, ib_quotez(x->folder, quoted), list,
                   missing > 5 ? ", ..." : "");
}

static ib_status open_shards(ib_checkpoint *c, const shard_index *x, ib_error *err) {
    for (size_t i = 0; i < x->n_shards; i++) {
        char *path = ib_path_join(x->folder, x->shards[i].ptr);
        if (!path)
            return ib_fail_memory(err, x->shards[i].len, "a path");
        ib_status st = ib_st_read(c, path, err);
        free(path);
        IB_TRY(st);
    }
    return IB_OK;
}

/* Each mapped tensor is in its shard; others are only noted. Files are numbered as the shards. */
static ib_status compare(const ib_checkpoint *c, const shard_index *x, ib_error *err) {
    const char *name;
    json_t *value;
    char quoted[IB_QUOTED], shard[IB_QUOTED];
    json_object_foreach(x->map, name, value) {
        const ib_stored_tensor *t = ib_checkpoint_find(c, name);
        uint64_t file = 0;
        ib_str expected = {json_string_value(value), json_string_length(value)};
        if (!ib_map_get(&x->by_shard, expected, &file) || !t || t->file != file)
            return ib_fail(err, IB_E_FORMAT,
                           "tensor '%s' is not in its shard '%s'%s; fix: download the files again",
                           ib_quotez(name, quoted), ib_quote(expected, shard),
                           t ? " but in another one" : "");
    }
    size_t mapped = json_object_size(x->map);
    if (c->n_tensors > mapped)
        ib_log_warn(c->log, "%zu tensors of '%s' are not in the index", c->n_tensors - mapped,
                    ib_quotez(x->folder, quoted));
    return IB_OK;
}

static void compare_size(const ib_checkpoint *c, const shard_index *x) {
    const json_t *size = json_object_get(json_object_get(x->json, "metadata"), "total_size");
    uint64_t bytes = 0; /* of mapped files: cannot overflow */
    for (size_t i = 0; i < c->n_tensors; i++)
        bytes += c->tensors[i].n_bytes;
    if (json_is_number(size) && json_number_value(size) != (double)bytes)
        ib_log_warn(c->log, "metadata.total_size of the index is %.0f, the shards hold %llu bytes",
                    json_number_value(size), (unsigned long long)bytes);
}

static ib_status read_index(ib_checkpoint *c, shard_index *x, ib_error *err) {
    char path[IB_QUOTED];
    IB_TRY(ib_json_load(&x->json, x->path, 0, err));
    x->map = json_object_get(x->json, "weight_map");
    if (!json_is_object(x->map))
        return ib_fail(
            err, IB_E_FORMAT,
            "bad value in '%s' at /weight_map: expected an object; fix: download the file "
            "again",
            ib_quotez(x->path, path));
    IB_TRY(collect(x, err));
    IB_TRY(look_at_all(x, err));
    IB_TRY(open_shards(c, x, err));
    IB_TRY(compare(c, x, err));
    compare_size(c, x);
    return IB_OK;
}

ib_status ib_index_read(ib_checkpoint *c, const char *folder, ib_error *err) {
    shard_index x = {.folder = folder,
                     .path = ib_path_join(folder, "model.safetensors.index.json")};
    if (!x.path)
        return ib_fail_memory(err, strlen(folder), "a path");
    ib_map_init(&x.by_shard);
    ib_status st = read_index(c, &x, err);
    ib_map_clear(&x.by_shard);
    json_decref(x.json);
    free(x.shards);
    free(x.path);
    return st;
}
