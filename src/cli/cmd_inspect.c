/* SPDX-License-Identifier: MIT
 * inspect: what a model's files hold, and what a decode step would read of them. Opens no device
 * and touches no weight beyond the scales that a check needs. */
#include "cli/cli.h"

#include "model/families/families.h"

#include <stdlib.h>
#include <string.h>

typedef struct inspection {
    ib_hub_result found; /* owned */
    ib_checkpoint *ckpt; /* owned */
    ib_config config;    /* owned */
    bool has_config;
    uint64_t n_params, stored_bytes;
    uint64_t bytes_by_type[IB_TYPE_COUNT], n_by_type[IB_TYPE_COUNT];
    uint64_t step_weights, step_scales, step_head, kv_per_position, n_ctx, kv_bytes;
    ib_type kv_type;
} inspection;

/* --- gathering --- */

static ib_status open_model(inspection *in, const ib_cli *cli, ib_error *err) {
    const ib_options *o = &cli->options;
    json_t *json = NULL;
    IB_TRY(ib_hub_resolve(&in->found, o->model_id, o->revision, o->cache_dir, &cli->hub_env,
                          &cli->log, err));
    IB_TRY(ib_checkpoint_open(&in->ckpt, in->found.path, &cli->log, err));
    if (ib_checkpoint_gguf(in->ckpt)) {
        IB_TRY(ib_config_from_gguf(&in->config, in->ckpt, &cli->log, err));
        in->has_config = true;
        return IB_OK;
    }
    char *path = ib_path_join(in->found.path, "config.json");
    ib_status st = path ? ib_json_load(&json, path, 0, err) : ib_fail_memory(err, 0, "a path");
    if (st == IB_OK)
        st = ib_config_from_json(&in->config, json, in->ckpt, path, &cli->log, err);
    in->has_config = st == IB_OK;
    json_decref(json);
    free(path);
    return st;
}

static void count_stored(inspection *in) {
    for (size_t i = 0; i < ib_checkpoint_n_tensors(in->ckpt); i++) {
        const ib_stored_tensor *t = ib_checkpoint_tensor(in->ckpt, i);
        in->stored_bytes += t->n_bytes;
        in->bytes_by_type[t->type] += t->n_bytes;
        in->n_by_type[t->type]++;
    }
}

/* Norms and biases. */
static void count_vector(inspection *in, ib_role role, uint64_t layer, const char *suffix) {
    char name[192];
    const ib_config *c = &in->config;
    if (!ib_family_tensor(c->family, c->from_gguf, role, layer, suffix, name, sizeof name))
        return;
    const ib_stored_tensor *t = ib_checkpoint_find(in->ckpt, name);
    if (t) {
        in->n_params += t->n_elements;
        in->step_scales += t->n_bytes;
    }
}

static ib_status count_matrix(inspection *in, ib_role role, uint64_t layer, ib_error *err) {
    char name[192], tensor[208];
    const ib_config *c = &in->config;
    ib_matrix m;
    if (!ib_family_tensor(c->family, c->from_gguf, role, layer, "", name, sizeof name))
        return IB_OK;
    (void)snprintf(tensor, sizeof tensor, "%s.weight", name);
    if (role == IB_ROLE_HEAD && !ib_checkpoint_has(in->ckpt, tensor))
        return IB_OK; /* tied */
    IB_TRY(ib_checkpoint_matrix_any(in->ckpt, name, &c->bnb, &m, err));
    uint64_t bytes = ib_matrix_bytes(&m);
    in->n_params += m.n_rows * m.n_cols;
    if (role == IB_ROLE_EMBED) {
        in->step_weights += m.n_rows ? bytes / m.n_rows : 0;
        if (c->tied_embeddings)
            in->step_head = bytes;
    } else if (role == IB_ROLE_HEAD) {
        in->step_head = c->tied_embeddings ? in->step_head : bytes;
    } else {
        in->step_weights += m.data_bytes;
        in->step_scales += bytes - m.data_bytes;
    }
    return IB_OK;
}

static bool is_vector(ib_role r) {
    return r == IB_ROLE_FINAL_NORM || r == IB_ROLE_ATTN_NORM || r == IB_ROLE_MLP_NORM ||
           r == IB_ROLE_Q_NORM || r == IB_ROLE_K_NORM;
}

static ib_status count_role(inspection *in, ib_role role, uint64_t layer, ib_error *err) {
    if (is_vector(role))
        count_vector(in, role, layer, ".weight");
    else
        IB_TRY(count_matrix(in, role, layer, err));
    count_vector(in, role, layer, ".bias");
    return IB_OK;
}

static ib_status gather(inspection *in, const ib_cli *cli, ib_error *err) {
    const ib_config *c = &in->config;
    IB_TRY(open_model(in, cli, err));
    count_stored(in);
    for (int role = 0; role < IB_ROLE_ATTN_NORM; role++)
        IB_TRY(count_role(in, (ib_role)role, 0, err));
    for (uint64_t layer = 0; layer < c->n_layers; layer++)
        for (int role = IB_ROLE_ATTN_NORM; role < IB_ROLE_COUNT; role++)
            IB_TRY(count_role(in, (ib_role)role, layer, err));
    in->kv_type = c->file_dtype;
    in->kv_per_position =
        2 * c->n_layers * c->n_kv_heads * c->head_dim * ib_type_block_bytes(in->kv_type);
    in->n_ctx = cli->options.n_ctx ? cli->options.n_ctx : c->n_ctx_max;
    in->kv_bytes = in->kv_per_position * in->n_ctx;
    return IB_OK;
}

/* --- text --- */

static ib_status text_config(const inspection *in, ib_buf *out, ib_error *err) {
    const ib_config *c = &in->config;
    char shown[IB_QUOTED];
    IB_TRY(ib_buf_addf(out, err, "Model        %s (%s)\n", ib_quotez(in->found.path, shown),
                       ib_checkpoint_gguf(in->ckpt) ? "GGUF" : "safetensors"));
    if (in->found.revision)
        IB_TRY(ib_buf_addf(out, err, "Revision     %s\n", in->found.revision));
    IB_TRY(ib_buf_addf(out, err,
                       "Family       %s\nLayers       %llu\nWidth        %llu, MLP %llu\n"
                       "Heads        %llu of %llu, %llu for keys and values\n"
                       "Vocabulary   %llu%s\nContext      %llu\nType         %s\n",
                       c->model_type, (unsigned long long)c->n_layers,
                       (unsigned long long)c->d_model, (unsigned long long)c->d_ff,
                       (unsigned long long)c->n_heads, (unsigned long long)c->head_dim,
                       (unsigned long long)c->n_kv_heads, (unsigned long long)c->n_vocab,
                       c->tied_embeddings ? ", embedding and output tied" : "",
                       (unsigned long long)c->n_ctx_max, ib_type_name(c->file_dtype)));
    return ib_buf_addf(out, err, "Parameters   %llu\n", (unsigned long long)in->n_params);
}

static ib_status text_tensors(const inspection *in, ib_buf *out, ib_error *err) {
    IB_TRY(ib_buf_adds(out, "\nTensors\n", err));
    for (size_t i = 0; i < ib_checkpoint_n_tensors(in->ckpt); i++) {
        const ib_stored_tensor *t = ib_checkpoint_tensor(in->ckpt, i);
        char name[IB_QUOTED], shape[128] = "";
        size_t n = 0;
        for (uint32_t d = 0; d < t->n_dims && n < sizeof shape; d++)
            n += (size_t)snprintf(shape + n, sizeof shape - n, "%s%llu", d ? ", " : "",
                                  (unsigned long long)t->shape[d]);
        IB_TRY(ib_buf_addf(out, err, "  %-64s %-5s [%s] %llu\n", ib_quote(t->name, name),
                           ib_type_name(t->type), shape, (unsigned long long)t->n_bytes));
    }
    return IB_OK;
}

static ib_status as_text(const inspection *in, ib_buf *out, ib_error *err) {
    const double mib = 1048576.0;
    uint64_t step = in->step_weights + in->step_scales + in->step_head;
    IB_TRY(text_config(in, out, err));
    IB_TRY(ib_buf_addf(out, err, "Weights      %llu bytes (%.1f MiB) in %zu files\n",
                       (unsigned long long)in->stored_bytes, (double)in->stored_bytes / mib,
                       ib_checkpoint_n_files(in->ckpt)));
    for (int t = 0; t < IB_TYPE_COUNT; t++)
        if (in->n_by_type[t])
            IB_TRY(ib_buf_addf(out, err, "  %-10s %llu bytes in %llu tensors\n",
                               ib_type_name((ib_type)t), (unsigned long long)in->bytes_by_type[t],
                               (unsigned long long)in->n_by_type[t]));
    IB_TRY(ib_buf_addf(out, err,
                       "Per token    %llu bytes read (weights %llu, scales and norms %llu, output "
                       "%llu), and %llu for each position in the KV cache\n",
                       (unsigned long long)step, (unsigned long long)in->step_weights,
                       (unsigned long long)in->step_scales, (unsigned long long)in->step_head,
                       (unsigned long long)in->kv_per_position));
    IB_TRY(ib_buf_addf(
        out, err, "Memory need  %.1f MiB: weights %.1f, KV cache of %llu positions in %s %.1f\n",
        (double)(in->stored_bytes + in->kv_bytes) / mib, (double)in->stored_bytes / mib,
        (unsigned long long)in->n_ctx, ib_type_name(in->kv_type), (double)in->kv_bytes / mib));
    return text_tensors(in, out, err);
}

/* --- JSON --- */

static json_t *number(uint64_t v) {
    return json_integer((json_int_t)v);
}

static json_t *json_config(const ib_config *c) {
    json_t *eos = json_array();
    for (size_t i = 0; eos && i < c->n_eos; i++)
        (void)json_array_append_new(eos, json_integer(c->eos_ids[i]));
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:b, s:b, s:b, s:b, s:b, s:f, s:s,"
        " s:b, s:b, s:I, s:I, s:o}",
        "model_type", c->model_type, "n_vocab", number(c->n_vocab), "d_model", number(c->d_model),
        "d_ff", number(c->d_ff), "n_layers", number(c->n_layers), "n_heads", number(c->n_heads),
        "n_kv_heads", number(c->n_kv_heads), "head_dim", number(c->head_dim), "n_ctx_max",
        number(c->n_ctx_max), "rms_eps", c->rms_eps, "tied_embeddings", (int)c->tied_embeddings,
        "bias_qkv", (int)c->bias_qkv, "bias_o", (int)c->bias_o, "bias_mlp", (int)c->bias_mlp,
        "qk_norm", (int)c->qk_norm, "rope_theta", c->rope.theta, "dtype",
        ib_type_name(c->file_dtype), "load_in_4bit", (int)c->bnb.load_in_4bit, "load_in_8bit",
        (int)c->bnb.load_in_8bit, "bos_id", (json_int_t)c->bos_id, "pad_id", (json_int_t)c->pad_id,
        "eos_ids", eos);
}

static json_t *json_tensors(const ib_checkpoint *ckpt) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < ib_checkpoint_n_tensors(ckpt); i++) {
        const ib_stored_tensor *t = ib_checkpoint_tensor(ckpt, i);
        json_t *shape = json_array();
        for (uint32_t d = 0; shape && d < t->n_dims; d++)
            (void)json_array_append_new(shape, number(t->shape[d]));
        (void)json_array_append_new(list, json_pack("{s:s%, s:s, s:o, s:o, s:i}", "name",
                                                    t->name.ptr, t->name.len, "type",
                                                    ib_type_name(t->type), "shape", shape, "bytes",
                                                    number(t->n_bytes), "file", (int)t->file));
    }
    return list;
}

static json_t *json_formats(const inspection *in) {
    json_t *list = json_array();
    for (int t = 0; list && t < IB_TYPE_COUNT; t++)
        if (in->n_by_type[t])
            (void)json_array_append_new(
                list, json_pack("{s:s, s:o, s:o}", "type", ib_type_name((ib_type)t), "tensors",
                                number(in->n_by_type[t]), "bytes", number(in->bytes_by_type[t])));
    return list;
}

static json_t *json_files(const ib_checkpoint *ckpt) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < ib_checkpoint_n_files(ckpt); i++)
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:o}", "path", ib_checkpoint_file(ckpt, i),
                                              "bytes", number(ib_checkpoint_file_bytes(ckpt, i))));
    return list;
}

static ib_status as_json(const inspection *in, ib_buf *out, ib_error *err) {
    uint64_t step = in->step_weights + in->step_scales + in->step_head;
    json_t *o = json_pack(
        "{s:s, s:s?, s:s?, s:s, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o, s:o, s:o},"
        " s:{s:o, s:o, s:o, s:s, s:o}, s:o}",
        "path", in->found.path, "repo_id", in->found.repo_id, "revision", in->found.revision,
        "container", ib_checkpoint_gguf(in->ckpt) ? "gguf" : "safetensors", "files",
        json_files(in->ckpt), "config", json_config(&in->config), "n_params", number(in->n_params),
        "formats", json_formats(in), "bytes_per_token", "weights", number(in->step_weights),
        "scales", number(in->step_scales), "head", number(in->step_head), "total", number(step),
        "kv_per_position", number(in->kv_per_position), "memory", "weights",
        number(in->stored_bytes), "kv", number(in->kv_bytes), "n_ctx", number(in->n_ctx), "kv_type",
        ib_type_name(in->kv_type), "total", number(in->stored_bytes + in->kv_bytes), "tensors",
        json_tensors(in->ckpt));
    if (!o)
        return ib_fail_memory(err, 0, "a listing");
    ib_status st = ib_json_dump(o, JSON_INDENT(2), out, err);
    json_decref(o);
    return st == IB_OK ? ib_buf_addc(out, '\n', err) : st;
}

ib_status ib_cmd_inspect(ib_cli *cli, ib_error *err) {
    const char *format = cli->options.format;
    inspection in = {0};
    ib_buf text;
    ib_buf_init(&text);
    IB_TRY(ib_output_check(&cli->out, err));
    ib_status st = gather(&in, cli, err);
    if (st == IB_OK)
        st = format && strcmp(format, "json") == 0 ? as_json(&in, &text, err)
                                                   : as_text(&in, &text, err);
    if (st == IB_OK)
        st = ib_output_write(&cli->out, text.ptr, text.len, err);
    ib_buf_clear(&text);
    if (in.has_config)
        ib_config_clear(&in.config);
    ib_checkpoint_close(in.ckpt);
    ib_hub_result_clear(&in.found);
    return st;
}
