/* SPDX-License-Identifier: MIT
 * Opens model files by path, keeps their maps, and finds tensors by name. */
#include "base/checked.h"
#include "checkpoint/private.h"

#include <stdlib.h>
#include <string.h>

ib_status ib_checkpoint_grow(void **items, size_t *cap, size_t n, size_t size, ib_error *err) {
    size_t want = *cap ? *cap : 16, bytes;
    if (n < *cap)
        return IB_OK;
    while (want <= n)
        if (!ib_mul_size(want, 2, &want))
            return ib_fail_memory(err, SIZE_MAX, "a table");
    if (!ib_mul_size(want, size, &bytes))
        return ib_fail_memory(err, SIZE_MAX, "a table");
    void *grown = realloc(*items, bytes);
    if (!grown)
        return ib_fail_memory(err, bytes, "a table");
    *items = grown;
    *cap = want;
    return IB_OK;
}

ib_status ib_checkpoint_add_file(ib_checkpoint *c, const char *path, uint32_t *index,
                                 ib_error *err) {
    IB_TRY(
        ib_checkpoint_grow((void **)&c->files, &c->cap_files, c->n_files, sizeof *c->files, err));
    IB_TRY(ib_file_map_open(&c->files[c->n_files], path, err));
    *index = (uint32_t)c->n_files++;
    return IB_OK;
}

ib_status ib_checkpoint_add_tensor(ib_checkpoint *c, const ib_stored_tensor *t, ib_error *err) {
    char name[IB_QUOTED], path[IB_QUOTED], other[IB_QUOTED];
    uint64_t first;
    if (c->n_tensors == IB_CAP_TENSORS)
        return ib_fail(err, IB_E_RESOURCE, "more than %d tensors in '%s'; fix: use a smaller model",
                       IB_CAP_TENSORS, ib_quotez(c->files[t->file].path, path));
    if (ib_map_get(&c->by_name, t->name, &first)) {
        uint32_t before = c->tensors[first].file;
        if (before == t->file)
            return ib_fail(err, IB_E_FORMAT,
                           "duplicate tensor name '%s' in '%s'; fix: download the file again",
                           ib_quote(t->name, name), ib_quotez(c->files[t->file].path, path));
        return ib_fail(err, IB_E_FORMAT,
                       "tensor '%s' is in two files, '%s' and '%s'; fix: download the files again",
                       ib_quote(t->name, name), ib_quotez(c->files[before].path, other),
                       ib_quotez(c->files[t->file].path, path));
    }
    IB_TRY(ib_checkpoint_grow((void **)&c->tensors, &c->cap_tensors, c->n_tensors,
                              sizeof *c->tensors, err));
    ib_stored_tensor *mine = &c->tensors[c->n_tensors];
    *mine = *t;
    mine->name = ib_arena_str(&c->arena, t->name, err);
    if (!mine->name.ptr)
        return IB_E_RESOURCE;
    IB_TRY(ib_map_put(&c->by_name, mine->name, c->n_tensors, NULL, err));
    c->n_tensors++;
    return IB_OK;
}

ib_status ib_checkpoint_sniff(const ib_file_map *f, ib_error *err) {
    static const struct {
        const char *start, *is, *fix;
    } known[] = {
        {"version https://git-lfs", "a Git LFS pointer", "download the real file (git lfs pull)"},
        {"<!DOCTYPE", "an HTML page", "download the file again"},
        {"<!doctype", "an HTML page", "download the file again"},
        {"<html", "an HTML page", "download the file again"},
        {"PK\003\004", "a zip or pickle file (PyTorch)", "use a safetensors or GGUF model"},
        {"\x80\x02", "a pickle file (PyTorch)", "use a safetensors or GGUF model"},
        {"\x80\x03", "a pickle file (PyTorch)", "use a safetensors or GGUF model"},
        {"\x80\x04", "a pickle file (PyTorch)", "use a safetensors or GGUF model"},
        {"\x80\x05", "a pickle file (PyTorch)", "use a safetensors or GGUF model"},
        {"GGUF", "a GGUF file", "give it the suffix .gguf"},
        {"\x89HDF", "an HDF5 file", "use a safetensors or GGUF model"},
        {"{\"error\"", "an error reply of a server", "download the file again"},
    };
    ib_str head = {(const char *)f->data, f->size < 64 ? (size_t)f->size : 64};
    char path[IB_QUOTED];
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (ib_str_starts(head, known[i].start))
            return ib_fail(err, IB_E_FORMAT, "'%s' is %s, not model weights; fix: %s",
                           ib_quotez(f->path, path), known[i].is, known[i].fix);
    return IB_OK;
}

/* config.json may name the weights: *out is NULL when it does not. */
static ib_status named_weights(const char *folder, char **out, ib_error *err) {
    char where[IB_QUOTED + 8], quoted[IB_QUOTED];
    json_t *config = NULL;
    ib_str name = {NULL, 0};
    char *path = ib_path_join(folder, "config.json");
    *out = NULL;
    if (!path)
        return ib_fail_memory(err, strlen(folder), "a path");
    ib_status st = IB_OK;
    if (ib_path_exists(path))
        st = ib_json_load(&config, path, 0, err);
    (void)snprintf(where, sizeof where, "%s at ", ib_quotez(path, quoted));
    if (st == IB_OK && config)
        st = ib_json_get_str(config, "transformers_weights", &name, where, err);
    if (st == IB_OK && name.ptr && !ib_plain_name(name))
        st = ib_fail(
            err, IB_E_FORMAT,
            "bad file name in %s/transformers_weights: '%s'; fix: use a plain relative name", where,
            ib_quote(name, quoted));
    if (st == IB_OK && name.ptr) {
        *out = ib_path_join(folder, name.ptr);
        if (!*out)
            st = ib_fail_memory(err, name.len, "a path");
    }
    json_decref(config);
    free(path);
    return st;
}

/* No allocation, so that running out of memory is not taken for an absent file. */
static bool folder_has(const char *folder, const char *name) {
    char path[4096]; /* longer ones no system call takes */
    const int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n > 0 && (size_t)n < sizeof path && ib_path_exists(path);
}

static ib_status open_file(ib_checkpoint *c, const char *path, ib_error *err) {
    if (ib_str_ends(ib_str_of(path), ".gguf"))
        return ib_gguf_read(c, path, err);
    return ib_st_read(c, path, err);
}

static ib_status open_folder(ib_checkpoint *c, const char *folder, ib_error *err) {
    static const char single[] = "model.safetensors", index[] = "model.safetensors.index.json";
    static const char *const torch[] = {"pytorch_model.bin", "pytorch_model.bin.index.json"};
    char quoted[IB_QUOTED], *path = NULL;
    IB_TRY(named_weights(folder, &path, err));
    if (!path && folder_has(folder, single)) {
        path = ib_path_join(folder, single);
        if (!path)
            return ib_fail_memory(err, sizeof single, "a path");
        if (folder_has(folder, index))
            ib_log_info(c->log, "'%s' has model.safetensors and an index: the index is not used",
                        ib_quotez(folder, quoted));
    }
    if (path) {
        ib_status st = open_file(c, path, err);
        free(path);
        return st;
    }
    if (folder_has(folder, index))
        return ib_index_read(c, folder, err);
    for (size_t i = 0; i < sizeof torch / sizeof torch[0]; i++)
        if (folder_has(folder, torch[i]))
            return ib_fail(
                err, IB_E_UNSUPPORTED,
                "only PyTorch weights (%s) in '%s', which are never opened; fix: convert "
                "the model to safetensors",
                torch[i], ib_quotez(folder, quoted));
    return ib_fail(
        err, IB_E_INPUT,
        "no weights in '%s': neither %s nor %s; fix: name a model folder or a .gguf file",
        ib_quotez(folder, quoted), single, index);
}

ib_status ib_checkpoint_open(ib_checkpoint **out, const char *path, const ib_log *log,
                             ib_error *err) {
    *out = NULL;
    ib_checkpoint *c = calloc(1, sizeof *c);
    if (!c)
        return ib_fail_memory(err, sizeof *c, "a checkpoint");
    ib_arena_init(&c->arena, 0);
    ib_map_init(&c->by_name);
    c->log = log;
    ib_status st = ib_path_is_dir(path) ? open_folder(c, path, err) : open_file(c, path, err);
    c->log = NULL;
    if (st != IB_OK) {
        ib_checkpoint_close(c);
        return st;
    }
    *out = c;
    return IB_OK;
}

ib_status ib_checkpoint_load(ib_checkpoint *c, ib_load_mode mode, int n_threads, ib_error *err) {
    for (size_t i = 0; i < c->n_files; i++)
        if (c->files[i].inode)
            IB_TRY(ib_file_map_load(&c->files[i], mode, n_threads, err));
    return IB_OK;
}

void ib_checkpoint_cached(const ib_checkpoint *c, uint64_t *bytes, uint64_t *cached) {
    *bytes = *cached = 0;
    for (size_t i = 0; i < c->n_files; i++) {
        uint64_t in = 0;
        if (!c->files[i].inode || !ib_file_map_cached(&c->files[i], &in)) {
            *bytes = *cached = 0;
            return;
        }
        *bytes += c->files[i].size;
        *cached += in;
    }
}

void ib_checkpoint_close(ib_checkpoint *c) {
    if (!c)
        return;
    for (size_t i = 0; i < c->n_files; i++)
        ib_file_map_close(&c->files[i]);
    if (c->gguf)
        ib_map_clear(&c->gguf->by_key);
    ib_map_clear(&c->by_name);
    ib_arena_clear(&c->arena);
    free(c->files);
    free(c->tensors);
    free(c->sorted);
    free(c);
}

ib_checkpoint_kind ib_checkpoint_format(const ib_checkpoint *c) {
    return c->kind;
}

size_t ib_checkpoint_n_tensors(const ib_checkpoint *c) {
    return c->n_tensors;
}

const ib_stored_tensor *ib_checkpoint_tensor(const ib_checkpoint *c, size_t i) {
    return &c->tensors[i];
}

const ib_stored_tensor *ib_checkpoint_find(const ib_checkpoint *c, const char *name) {
    uint64_t i;
    return ib_map_get(&c->by_name, ib_str_of(name), &i) ? &c->tensors[i] : NULL;
}

bool ib_checkpoint_has(const ib_checkpoint *c, const char *tensor_name) {
    return ib_checkpoint_find(c, tensor_name) != NULL;
}

size_t ib_checkpoint_n_files(const ib_checkpoint *c) {
    return c->n_files;
}

const char *ib_checkpoint_file(const ib_checkpoint *c, size_t i) {
    return c->files[i].path;
}

uint64_t ib_checkpoint_file_bytes(const ib_checkpoint *c, size_t i) {
    return c->files[i].size;
}

const ib_gguf_meta *ib_checkpoint_gguf(const ib_checkpoint *c) {
    return c->gguf;
}

/* Merge sort of indexes by name: no global state, as qsort's comparison would need. */
static void sort_names(const ib_checkpoint *c, uint32_t *items, uint32_t *scratch, size_t n) {
    if (n < 2)
        return;
    size_t half = n / 2, a = 0, b = half;
    sort_names(c, items, scratch, half);
    sort_names(c, items + half, scratch, n - half);
    for (size_t i = 0; i < n; i++) {
        bool left = b == n || (a < half && strcmp(c->tensors[items[a]].name.ptr,
                                                  c->tensors[items[b]].name.ptr) <= 0);
        scratch[i] = items[left ? a++ : b++];
    }
    memcpy(items, scratch, n * sizeof *items);
}

/* First place in c->sorted whose name is not below text (compared over len bytes); with after set,
 * the first place above it. */
static size_t bound(const ib_checkpoint *c, const char *text, size_t len, bool after) {
    size_t low = 0, high = c->n_tensors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strncmp(c->tensors[c->sorted[middle]].name.ptr, text, len);
        if (order < 0 || (after && order == 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

ib_status ib_checkpoint_prefix(ib_checkpoint *c, const char *prefix, size_t *first, size_t *end,
                               ib_error *err) {
    if (!c->sorted && c->n_tensors) {
        size_t bytes = c->n_tensors * sizeof *c->sorted; /* at most 4 MB by the cap on tensors */
        uint32_t *scratch = malloc(bytes);
        c->sorted = malloc(bytes);
        if (!scratch || !c->sorted) {
            free(scratch);
            free(c->sorted);
            c->sorted = NULL;
            return ib_fail_memory(err, bytes, "the order of names");
        }
        for (size_t i = 0; i < c->n_tensors; i++)
            c->sorted[i] = (uint32_t)i;
        sort_names(c, c->sorted, scratch, c->n_tensors);
        free(scratch);
    }
    *first = bound(c, prefix, strlen(prefix), false);
    *end = bound(c, prefix, strlen(prefix), true);
    return IB_OK;
}
