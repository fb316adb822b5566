/* SPDX-License-Identifier: MIT
 * The list of families, their shared tensor names, and what several readers have in common. */
#include "model/families/families.h"

#include "model/config_internal.h"

#include <stdio.h>
#include <string.h>

extern const ib_family ib_family_llama, ib_family_mistral, ib_family_qwen2, ib_family_qwen3,
    ib_family_smollm3;

static const ib_family *const families[] = {
    &ib_family_llama, &ib_family_mistral, &ib_family_qwen2, &ib_family_qwen3, &ib_family_smollm3,
};
enum { N_FAMILIES = sizeof families / sizeof families[0] };

#define LLAMA_NAMES                                                                                \
    [IB_ROLE_EMBED] = {"model.embed_tokens", "token_embd"},                                        \
    [IB_ROLE_FINAL_NORM] = {"model.norm", "output_norm"}, [IB_ROLE_HEAD] = {"lm_head", "output"},  \
    [IB_ROLE_ATTN_NORM] = {"model.layers.#.input_layernorm", "blk.#.attn_norm"},                   \
    [IB_ROLE_Q] = {"model.layers.#.self_attn.q_proj", "blk.#.attn_q"},                             \
    [IB_ROLE_K] = {"model.layers.#.self_attn.k_proj", "blk.#.attn_k"},                             \
    [IB_ROLE_V] = {"model.layers.#.self_attn.v_proj", "blk.#.attn_v"},                             \
    [IB_ROLE_O] = {"model.layers.#.self_attn.o_proj", "blk.#.attn_output"},                        \
    [IB_ROLE_MLP_NORM] = {"model.layers.#.post_attention_layernorm", "blk.#.ffn_norm"},            \
    [IB_ROLE_GATE] = {"model.layers.#.mlp.gate_proj", "blk.#.ffn_gate"},                           \
    [IB_ROLE_UP] = {"model.layers.#.mlp.up_proj", "blk.#.ffn_up"},                                 \
    [IB_ROLE_DOWN] = {"model.layers.#.mlp.down_proj", "blk.#.ffn_down"}

const ib_tensor_name ib_names_llama[IB_ROLE_COUNT] = {LLAMA_NAMES};
const ib_tensor_name ib_names_qk_norm[IB_ROLE_COUNT] = {
    LLAMA_NAMES,
    [IB_ROLE_Q_NORM] = {"model.layers.#.self_attn.q_norm", "blk.#.attn_q_norm"},
    [IB_ROLE_K_NORM] = {"model.layers.#.self_attn.k_norm", "blk.#.attn_k_norm"},
};

const ib_family *ib_family_by_model_type(ib_str model_type) {
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (ib_str_is(model_type, families[i]->model_type))
            return families[i];
    return NULL;
}

const ib_family *ib_family_by_gguf_arch(ib_str arch) {
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (families[i]->gguf_arch && ib_str_is(arch, families[i]->gguf_arch))
            return families[i];
    return NULL;
}

const char *ib_family_list(char *out, size_t size) {
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < N_FAMILIES && n < size; i++) {
        int wrote = snprintf(out + n, size - n, "%s%s", i > 0 ? ", " : "", families[i]->model_type);
        n += wrote > 0 ? (size_t)wrote : 0;
    }
    return out;
}

bool ib_family_tensor(const ib_family *f, bool gguf, ib_role role, uint64_t layer,
                      const char *suffix, char *out, size_t size) {
    const char *pattern = gguf ? f->names[role].gguf : f->names[role].hf;
    if (!pattern)
        return false;
    const char *mark = strchr(pattern, '#');
    if (mark)
        (void)snprintf(out, size, "%.*s%llu%s%s", (int)(mark - pattern), pattern,
                       (unsigned long long)layer, mark + 1, suffix);
    else
        (void)snprintf(out, size, "%s%s", pattern, suffix);
    return true;
}

ib_status ib_family_read_biases(ib_config *c, const ib_config_source *s, bool mlp, ib_error *err) {
    IB_TRY(ib_json_get_bool(s->json, "attention_bias", false, &c->bias_qkv, s->where, err));
    c->bias_o = c->bias_qkv;
    if (mlp)
        IB_TRY(ib_json_get_bool(s->json, "mlp_bias", false, &c->bias_mlp, s->where, err));
    return IB_OK;
}

ib_status ib_family_layer_types(const ib_config *c, const ib_config_source *s, const json_t **types,
                                ib_error *err) {
    const json_t *list = json_object_get(s->json, "layer_types");
    char quoted[IB_QUOTED];
    *types = NULL;
    if (!list || json_is_null(list))
        return IB_OK;
    if (!json_is_array(list) || json_array_size(list) != c->n_layers)
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s/layer_types: expected a list of %llu strings, one per "
                       "layer; fix: correct the file",
                       s->where, (unsigned long long)c->n_layers);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *name = json_is_string(item) ? json_string_value(item) : "";
        if (strcmp(name, "full_attention") != 0 && strcmp(name, "sliding_attention") != 0)
            return ib_fail(err, json_is_string(item) ? IB_E_UNSUPPORTED : IB_E_FORMAT,
                           "unknown layer type in %s/layer_types/%zu: '%s'; fix: use a model whose "
                           "layers are full_attention or sliding_attention",
                           s->where, i, ib_quotez(name, quoted));
    }
    *types = list;
    return IB_OK;
}

static bool is_sliding(const json_t *types, uint64_t layer) {
    return strcmp(json_string_value(json_array_get(types, (size_t)layer)), "sliding_attention") ==
           0;
}

ib_status ib_family_full_only(const ib_config *c, const ib_config_source *s, ib_error *err) {
    const json_t *types = NULL;
    IB_TRY(ib_family_layer_types(c, s, &types, err));
    for (uint64_t i = 0; types && i < c->n_layers; i++)
        if (is_sliding(types, i))
            return ib_fail(err, IB_E_UNSUPPORTED,
                           "sliding attention in %s/layer_types/%llu, but model_type %s has none; "
                           "fix: use a model of a family with windows",
                           s->where, (unsigned long long)i, c->family->model_type);
    return IB_OK;
}

ib_status ib_family_optional_window(const ib_config_source *s, uint64_t fallback, uint64_t *window,
                                    ib_error *err) {
    bool use = false;
    uint64_t value = 0;
    *window = 0;
    IB_TRY(ib_json_get_bool(s->json, "use_sliding_window", false, &use, s->where, err));
    IB_TRY(ib_config_count(s, "sliding_window", fallback, IB_NULL_IS_ZERO, IB_MAX_POSITIONS, &value,
                           err));
    if (use)
        *window = value;
    return IB_OK;
}

ib_status ib_family_typed_windows(ib_config *c, const ib_config_source *s, const json_t *types,
                                  uint64_t window, ib_error *err) {
    for (uint64_t i = 0; i < c->n_layers; i++) {
        if (!is_sliding(types, i))
            continue;
        if (window == 0)
            return ib_fail(err, IB_E_FORMAT,
                           "contradiction in %s/layer_types/%llu: sliding_attention without "
                           "use_sliding_window and sliding_window; fix: correct the file",
                           s->where, (unsigned long long)i);
        c->layers[i].window = window;
    }
    return IB_OK;
}

ib_status ib_family_late_windows(ib_config *c, const ib_config_source *s, ib_error *err) {
    const json_t *types = NULL;
    uint64_t window = 0;
    int64_t first = 0;
    IB_TRY(ib_family_optional_window(s, 4096, &window, err));
    IB_TRY(ib_json_get_i64(s->json, "max_window_layers", 28, 0, INT32_MAX, &first, s->where, err));
    IB_TRY(ib_family_layer_types(c, s, &types, err));
    if (types)
        return ib_family_typed_windows(c, s, types, window, err);
    for (uint64_t i = (uint64_t)first; i < c->n_layers; i++)
        c->layers[i].window = window;
    return IB_OK;
}

static bool layer_has(const ib_config *c, const ib_config_source *s, ib_role role) {
    char name[128];
    return ib_family_tensor(c->family, true, role, 0, ".bias", name, sizeof name) &&
           ib_checkpoint_has(s->ckpt, name);
}

ib_status ib_family_gguf_biases(ib_config *c, const ib_config_source *s, ib_error *err) {
    (void)err;
    c->bias_qkv = layer_has(c, s, IB_ROLE_Q);
    c->bias_o = layer_has(c, s, IB_ROLE_O);
    c->bias_mlp = layer_has(c, s, IB_ROLE_GATE);
    return IB_OK;
}
