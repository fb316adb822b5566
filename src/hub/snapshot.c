/* SPDX-License-Identifier: MIT
 * See snapshot.h. */
#include "hub/snapshot.h"

#include "base/file.h"
#include "base/json.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const ib_hub_extras[IB_HUB_N_EXTRAS] = {
    "tokenizer.json",          "generation_config.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json",      "chat_template.jinja"};

bool ib_hub_is_model_file(const char *name) {
    ib_str text = ib_str_of(name);
    if (strcmp(name, "config.json") == 0 || strcmp(name, IB_HUB_INDEX) == 0 ||
        ib_str_ends(text, ".safetensors"))
        return true;
    for (size_t i = 0; i < IB_HUB_N_EXTRAS; i++)
        if (strcmp(name, ib_hub_extras[i]) == 0)
            return true;
    return ib_str_starts(text, IB_HUB_TEMPLATES "/") && ib_str_ends(text, ".jinja");
}

bool ib_hub_names_has(const ib_hub_names *l, const char *name) {
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->names[i], name) == 0)
            return true;
    return false;
}

ib_status ib_hub_names_add(ib_hub_names *l, ib_str name, ib_error *err) {
    char *copy = ib_strndup(name.ptr, name.len);
    if (copy && ib_hub_names_has(l, copy)) {
        free(copy);
        return IB_OK;
    }
    if (copy && l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        char **longer = realloc(l->names, cap * sizeof *longer);
        if (longer) {
            l->names = longer;
            l->cap = cap;
        }
    }
    if (!copy || l->n == l->cap) {
        free(copy);
        return ib_fail_memory(err, name.len, "a list of files");
    }
    l->names[l->n++] = copy;
    return IB_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void ib_hub_names_sort(ib_hub_names *l) {
    if (l->n)
        qsort(l->names, l->n, sizeof *l->names, by_name);
}

void ib_hub_names_clear(ib_hub_names *l) {
    for (size_t i = 0; i < l->n; i++)
        free(l->names[i]);
    free(l->names);
    *l = (ib_hub_names){0};
}

static ib_status bad_index(ib_error *err, const char *path, const char *what, ib_str name) {
    char where[IB_QUOTED], quoted[IB_QUOTED];
    const char *slash = strrchr(path, '/');
    return ib_fail(err, IB_E_FORMAT, "%s in %s: '%s'; fix: use another repository", what,
                   ib_quotez(slash ? slash + 1 : path, where), ib_quote(name, quoted));
}

ib_status ib_hub_index_files(ib_hub_names *out, const char *path, ib_error *err) {
    enum { MOST_FILES = 4096 };
    json_t *json = NULL;
    IB_TRY(ib_json_load(&json, path, 0, err));
    json_t *map = json_object_get(json, "weight_map");
    ib_status st = IB_OK;
    if (!json_is_object(map))
        st = bad_index(err, path, "no weight_map", IB_STR(""));
    for (void *it = json_object_iter(map); it && st == IB_OK; it = json_object_iter_next(map, it)) {
        const json_t *value = json_object_iter_value(it);
        ib_str name = {json_string_value(value), json_string_length(value)};
        if (!json_is_string(value) || !ib_hub_file_ok(name))
            st = bad_index(err, path, "unsafe file name", name.ptr ? name : IB_STR(""));
        else if (!ib_str_ends(name, ".safetensors"))
            st = bad_index(err, path, "weights that are no .safetensors file", name);
        else if (out->n >= MOST_FILES)
            st = bad_index(err, path, "more than 4096 files of weights", name);
        else if (!out->n || strcmp(out->names[out->n - 1], name.ptr) != 0)
            st = ib_hub_names_add(out, name, err);
    }
    json_decref(json);
    return st;
}

/* Whether the folder has a file that ends in suffix (a dangling link is none). */
static bool has_ending(const char *folder, const char *suffix) {
    DIR *d = opendir(folder);
    bool found = false;
    for (const struct dirent *e; d && !found && (e = readdir(d));) {
        char path[4096];
        if (!ib_str_ends(ib_str_of(e->d_name), suffix))
            continue;
        int n = snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        found = n > 0 && (size_t)n < sizeof path && ib_path_exists(path);
    }
    if (d)
        (void)closedir(d);
    return found;
}

static ib_status check_shards(const ib_hub_layout *l, const char *commit, const char *index,
                              ib_hub_missing *missing, ib_error *err) {
    ib_hub_names files = {0};
    char quoted[IB_QUOTED];
    ib_status st = ib_hub_index_files(&files, index, err);
    for (size_t i = 0; i < files.n && st == IB_OK && !missing->text[0]; i++)
        if (!ib_hub_has_file(l, commit, files.names[i]))
            (void)snprintf(missing->text, sizeof missing->text,
                           "%s is missing in its snapshot (interrupted download)",
                           ib_quotez(files.names[i], quoted));
    ib_hub_names_clear(&files);
    return st;
}

ib_status ib_hub_snapshot_check(const ib_hub_layout *l, const char *commit, ib_hub_missing *missing,
                                ib_error *err) {
    const char *text = "";
    char *folder = ib_hub_path(l, "snapshots", commit, NULL);
    char *index = ib_hub_path(l, "snapshots", commit, IB_HUB_INDEX);
    ib_status st = folder && index ? IB_OK : ib_fail_memory(err, strlen(l->repo), "a path");
    missing->text[0] = '\0';
    if (st == IB_OK && !ib_path_is_dir(folder))
        text = "its snapshot folder is missing";
    else if (st == IB_OK && !ib_hub_has_file(l, commit, "config.json"))
        text = "config.json is missing in its snapshot (interrupted download)";
    else if (st == IB_OK && !ib_hub_has_file(l, commit, "model.safetensors") &&
             ib_path_exists(index))
        st = check_shards(l, commit, index, missing, err);
    else if (st == IB_OK && !has_ending(folder, ".safetensors") && !has_ending(folder, ".bin"))
        text = "the weights are missing in its snapshot (interrupted download)";
    if (text[0])
        (void)snprintf(missing->text, sizeof missing->text, "%s", text);
    free(folder);
    free(index);
    return st;
}

bool ib_hub_snapshot_is_whole(const ib_hub_layout *l, const char *commit) {
    ib_hub_missing missing;
    if (ib_hub_snapshot_check(l, commit, &missing, NULL) != IB_OK || missing.text[0])
        return false;
    if (!ib_hub_has_file(l, commit, "model.safetensors") &&
        !ib_hub_has_file(l, commit, IB_HUB_INDEX))
        return false;
    for (size_t i = 0; i < IB_HUB_N_EXTRAS; i++)
        if (!ib_hub_has_file(l, commit, ib_hub_extras[i]) &&
            !ib_hub_is_absent(l, commit, ib_hub_extras[i]))
            return false;
    return ib_hub_has_file(l, commit, IB_HUB_TEMPLATES) ||
           ib_hub_is_absent(l, commit, IB_HUB_TEMPLATES);
}
