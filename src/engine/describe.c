/* SPDX-License-Identifier: MIT
 * See describe.h. */
#include "engine/describe.h"

#include "base/file.h"
#include "checkpoint/gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *ib_dtype_name(ib_type t) {
    switch (t) {
    case IB_TYPE_F32:
        return "float32";
    case IB_TYPE_F16:
        return "float16";
    case IB_TYPE_BF16:
        return "bfloat16";
    default:
        return ib_type_name(t);
    }
}

static ib_status text(char **out, const char *value, ib_error *err) {
    free(*out);
    *out = NULL;
    if (!value || !*value)
        return IB_OK;
    *out = ib_strdup(value);
    return *out ? IB_OK : ib_fail_memory(err, strlen(value), "the record");
}

ib_status ib_describe_resolved(ib_resolved *out, const ib_device_info *info, ib_attention attention,
                               ib_type dtype, ib_type kv_type, ib_error *err) {
    bool cpu = strcmp(info->kind, "cpu") == 0;
    out->n_threads = info->n_threads;
    IB_TRY(text(&out->device, info->kind, err));
    IB_TRY(text(&out->device_name, info->name, err));
    IB_TRY(text(&out->driver, info->driver, err));
    IB_TRY(text(&out->attn, ib_attention_name(attention), err));
    IB_TRY(text(&out->compute, info->compute, err));
    IB_TRY(text(&out->tier, info->tier, err));
    IB_TRY(text(&out->features, info->features, err));
    IB_TRY(text(&out->pin, info->pin, err));
    IB_TRY(text(&out->dtype, ib_dtype_name(dtype), err));
    /* the CPU backend keeps activations in fp32 whatever the model's dtype is */
    IB_TRY(text(&out->activation_dtype, ib_dtype_name(cpu ? IB_TYPE_F32 : dtype), err));
    return text(&out->kv_dtype, ib_dtype_name(kv_type), err);
}

/* Last component of a path without ".gguf". */
static ib_status base_name(char **out, const char *path, ib_error *err) {
    size_t n = strlen(path);
    while (n && path[n - 1] == '/')
        n--;
    size_t begin = n;
    while (begin && path[begin - 1] != '/')
        begin--;
    if (n - begin > 5 && strncmp(path + n - 5, ".gguf", 5) == 0)
        n -= 5;
    free(*out);
    *out = ib_strndup(path + begin, n - begin);
    return *out ? IB_OK : ib_fail_memory(err, n, "the record");
}

/* One round of the fingerprint: SHA-256 of the last one, then name, type, shape, and the first and
 * last 4 KiB of the tensor. */
static ib_status mix(const ib_stored_tensor *t, ib_buf *work, char hex[65], ib_error *err) {
    enum { EDGE = 4096 };
    const char *data = t->data;
    size_t n = t->n_bytes < EDGE ? (size_t)t->n_bytes : EDGE;
    ib_buf_reset(work);
    IB_TRY(ib_buf_addf(work, err, "%s %s", hex, ib_type_name(t->type)));
    for (uint32_t i = 0; i < t->n_dims; i++)
        IB_TRY(ib_buf_addf(work, err, " %" PRIu64, t->shape[i]));
    IB_TRY(ib_buf_addc(work, '\n', err));
    IB_TRY(ib_buf_add(work, t->name.ptr, t->name.len, err));
    IB_TRY(ib_buf_addc(work, '\n', err));
    if (n) {
        IB_TRY(ib_buf_add(work, data, n, err));
        IB_TRY(ib_buf_add(work, data + t->n_bytes - n, n, err));
    }
    ib_sha256_hex(work->ptr, work->len, hex);
    return IB_OK;
}

static ib_status fingerprint(char **out, const ib_checkpoint *ckpt, ib_error *err) {
    char hex[65] = "";
    ib_buf work;
    ib_status st = IB_OK;
    ib_buf_init(&work);
    for (size_t i = 0; i < ib_checkpoint_n_tensors(ckpt) && st == IB_OK; i++)
        st = mix(ib_checkpoint_tensor(ckpt, i), &work, hex, err);
    ib_buf_clear(&work);
    return st == IB_OK ? text(out, hex, err) : st;
}

static void formats(ib_model_record *out, const ib_model *model) {
    uint64_t bytes[IB_TYPE_COUNT] = {0};
    ib_model_bytes_by_type(model, bytes);
    out->n_formats = 0;
    out->weight_bytes = 0;
    for (int t = 0; t < IB_TYPE_COUNT; t++) {
        out->weight_bytes += bytes[t];
        if (bytes[t] == 0 || out->n_formats == IB_RECORD_MAX_FORMATS)
            continue;
        ib_format_record *f = &out->formats[out->n_formats++];
        (void)snprintf(f->type, sizeof f->type, "%s", ib_type_name((ib_type)t));
        f->bytes = bytes[t];
    }
}

ib_status ib_describe_model(ib_model_record *out, const ib_hub_result *found,
                            const ib_checkpoint *ckpt, const ib_model *model, ib_error *err) {
    const ib_config *c = ib_model_config(model);
    const ib_gguf_meta *meta = ib_checkpoint_gguf(ckpt);
    ib_str general = {NULL, 0};
    IB_TRY(text(&out->path, found->path, err));
    IB_TRY(text(&out->repo_id, found->repo_id, err));
    IB_TRY(text(&out->revision, found->revision, err));
    IB_TRY(text(&out->family, c->model_type, err));
    if (meta)
        IB_TRY(ib_gguf_get_str(meta, "general.name", &general, err));
    if (general.len) {
        free(out->name);
        out->name = ib_strndup(general.ptr, general.len);
        if (!out->name)
            return ib_fail_memory(err, general.len, "the record");
    } else {
        IB_TRY(found->repo_id ? text(&out->name, found->repo_id, err)
                              : base_name(&out->name, found->path, err));
    }
    out->n_params = ib_model_n_params(model);
    out->n_layers = c->n_layers;
    out->d_model = c->d_model;
    out->n_vocab = c->n_vocab;
    out->n_ctx_max = c->n_ctx_max;
    out->file_bytes = 0;
    for (size_t i = 0; i < ib_checkpoint_n_files(ckpt); i++)
        out->file_bytes += ib_checkpoint_file_bytes(ckpt, i);
    formats(out, model);
    return fingerprint(&out->fingerprint, ckpt, err);
}
