/* SPDX-License-Identifier: MIT
 * The new folder and the files beside the weights. */
#include "cli/quantize/quantize.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_CAP = 256 * 1000 * 1000 };

/* --- the folder --- */

static bool is_empty_folder(const char *path) {
    DIR *d = opendir(path);
    bool empty = d != NULL;
    for (struct dirent *e = d ? readdir(d) : NULL; e && empty; e = readdir(d))
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    if (d)
        (void)closedir(d);
    return empty;
}

ib_status ib_new_folder_open(ib_new_folder *f, const char *path, ib_error *err) {
    char shown[IB_QUOTED];
    *f = (ib_new_folder){.path = path};
    (void)ib_quotez(path, shown);
    if (mkdir(path, 0777) == 0) {
        f->made = true;
        return IB_OK;
    }
    if (errno != EEXIST)
        return ib_fail(err, IB_E_OUTPUT,
                       "cannot make the folder '%s': %s; fix: check the folder above it", shown,
                       strerror(errno));
    if (!is_empty_folder(path))
        return ib_fail(err, IB_E_OUTPUT,
                       "cannot write in '%s': it exists and is no empty folder; fix: name a new "
                       "folder",
                       shown);
    if (access(path, W_OK) != 0)
        return ib_fail(err, IB_E_OUTPUT, "cannot write in '%s': %s; fix: check its permissions",
                       shown, strerror(errno));
    return IB_OK;
}

ib_status ib_new_folder_add(ib_new_folder *f, const char *name, char **path, ib_error *err) {
    *path = NULL;
    char **grown = realloc(f->names, (f->n + 1) * sizeof *grown);
    if (!grown)
        return ib_fail_memory(err, (f->n + 1) * sizeof *grown, "a list of files");
    f->names = grown;
    f->names[f->n] = ib_strdup(name);
    *path = f->names[f->n] ? ib_path_join(f->path, name) : NULL;
    if (!*path) {
        free(f->names[f->n]);
        return ib_fail_memory(err, strlen(name), "a path");
    }
    f->n++;
    return IB_OK;
}

ib_status ib_new_folder_write(ib_new_folder *f, const char *name, const void *bytes, size_t n,
                              ib_error *err) {
    char *path = NULL;
    IB_TRY(ib_new_folder_add(f, name, &path, err));
    ib_status st = ib_file_write(path, bytes, n, err);
    free(path);
    return st;
}

ib_status ib_new_folder_write_json(ib_new_folder *f, const char *name, const json_t *value,
                                   ib_error *err) {
    ib_buf text;
    ib_buf_init(&text);
    ib_status st = ib_json_dump(value, JSON_INDENT(2), &text, err);
    if (st == IB_OK)
        st = ib_buf_addc(&text, '\n', err);
    if (st == IB_OK)
        st = ib_new_folder_write(f, name, text.ptr, text.len, err);
    ib_buf_clear(&text);
    return st;
}

void ib_new_folder_close(ib_new_folder *f) {
    for (size_t i = 0; i < f->n; i++)
        free(f->names[i]);
    free(f->names);
    *f = (ib_new_folder){0};
}

void ib_new_folder_abandon(ib_new_folder *f) {
    for (size_t i = 0; i < f->n; i++) {
        char *path = ib_path_join(f->path, f->names[i]);
        char *slash = strchr(f->names[i], '/');
        if (path)
            (void)unlink(path);
        if (path && slash) { /* a subfolder of ours: goes with its last file */
            path[strlen(path) - strlen(slash)] = '\0';
            (void)rmdir(path);
        }
        free(path);
    }
    if (f->made)
        (void)rmdir(f->path);
    ib_new_folder_close(f);
}

/* --- files of a source folder --- */

static ib_status copy_file(ib_new_folder *f, const char *source, const char *name, ib_error *err) {
    ib_buf bytes;
    ib_buf_init(&bytes);
    char *path = ib_path_join(source, name);
    ib_status st = path ? IB_OK : ib_fail_memory(err, strlen(name), "a path");
    if (st == IB_OK && ib_path_exists(path)) {
        st = ib_file_read(&bytes, path, FILE_CAP, err);
        if (st == IB_OK)
            st = ib_new_folder_write(f, name, bytes.ptr, bytes.len, err);
    }
    free(path);
    ib_buf_clear(&bytes);
    return st;
}

/* additional_chat_templates/NAME.jinja */
static ib_status copy_templates(ib_new_folder *f, const char *source, ib_error *err) {
    static const char sub[] = "additional_chat_templates";
    char *from = ib_path_join(source, sub), *to = ib_path_join(f->path, sub);
    ib_status st = from && to ? IB_OK : ib_fail_memory(err, sizeof sub, "a path");
    DIR *d = st == IB_OK ? opendir(from) : NULL;
    if (d && mkdir(to, 0777) != 0)
        st =
            ib_fail(err, IB_E_OUTPUT, "cannot make a folder in the new model: %s", strerror(errno));
    for (struct dirent *e = d ? readdir(d) : NULL; e && st == IB_OK; e = readdir(d)) {
        if (!ib_str_ends(ib_str_of(e->d_name), ".jinja"))
            continue;
        char *name = ib_path_join(sub, e->d_name);
        st = name ? copy_file(f, source, name, err) : ib_fail_memory(err, 0, "a path");
        free(name);
    }
    if (d)
        (void)closedir(d);
    free(from);
    free(to);
    return st;
}

ib_status ib_quantize_copy_files(ib_new_folder *f, const char *source, ib_error *err) {
    static const char *const names[] = {
        "tokenizer.json",    "tokenizer_config.json", "special_tokens_map.json",
        "added_tokens.json", "tokenizer.model",       "vocab.json",
        "merges.txt",        "chat_template.jinja",   "generation_config.json",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        IB_TRY(copy_file(f, source, names[i], err));
    return copy_templates(f, source, err);
}

/* --- config.json --- */

ib_status ib_quantize_set_config(json_t *config, const ib_quantize_options *o, ib_error *err) {
    const char *dtype = ib_quantize_dtype_name(o->dtype);
    json_t *q = json_pack(
        "{s:b, s:b, s:s, s:s, s:s, s:b, s:b, s:b, s:n, s:f, s:b, s:b, s:s}", "_load_in_4bit", 1,
        "_load_in_8bit", 0, "bnb_4bit_compute_dtype", "bfloat16", "bnb_4bit_quant_storage", "uint8",
        "bnb_4bit_quant_type", o->type == IB_TYPE_NF4 ? "nf4" : "fp4", "bnb_4bit_use_double_quant",
        (int)o->nested, "llm_int8_enable_fp32_cpu_offload", 0, "llm_int8_has_fp16_weight", 0,
        "llm_int8_skip_modules", "llm_int8_threshold", 6.0, "load_in_4bit", 1, "load_in_8bit", 0,
        "quant_method", "bitsandbytes");
    if (!q || json_object_set_new(config, "quantization_config", q) != 0 ||
        json_object_set_new(config, "dtype", json_string(dtype)) != 0)
        return ib_fail_memory(err, 0, "a configuration");
    if (json_object_get(config, "torch_dtype") &&
        json_object_set_new(config, "torch_dtype", json_string(dtype)) != 0)
        return ib_fail_memory(err, 0, "a configuration");
    return IB_OK;
}
