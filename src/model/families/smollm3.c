/* SPDX-License-Identifier: MIT
 * smollm3: llama where some layers have no RoPE (every fourth unless no_rope_layers says which).
 * docs/families/smollm3.md */
#include "model/config_internal.h"
#include "model/families/families.h"

/* no_rope_layers[i]: 1 means that layer i uses RoPE, in spite of the name. */
static ib_status read_rope_layers(ib_config *c, const ib_config_source *s, ib_error *err) {
    const json_t *list = json_object_get(s->json, "no_rope_layers");
    uint64_t interval = 0;
    IB_TRY(ib_config_count(s, "no_rope_layer_interval", 4, IB_NULL_IS_ERROR, INT32_MAX, &interval,
                           err));
    if (!list || json_is_null(list)) {
        for (uint64_t i = 0; i < c->n_layers; i++)
            c->layers[i].rope = (i + 1) % interval != 0;
        return IB_OK;
    }
    if (!json_is_array(list) || json_array_size(list) < c->n_layers)
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s/no_rope_layers: expected a list of at least %llu numbers "
                       "0 or 1, one per layer; fix: correct the file",
                       s->where, (unsigned long long)c->n_layers);
    for (uint64_t i = 0; i < c->n_layers; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        if (!json_is_integer(item) || json_integer_value(item) < 0 || json_integer_value(item) > 1)
            return ib_fail(err, IB_E_FORMAT,
                           "bad value in %s/no_rope_layers/%llu: expected 0 or 1; fix: correct the "
                           "file",
                           s->where, (unsigned long long)i);
        c->layers[i].rope = json_integer_value(item) == 1;
    }
    return IB_OK;
}

static ib_status read_json(ib_config *c, const ib_config_source *s, ib_error *err) {
    const json_t *types = NULL;
    uint64_t window = 0;
    IB_TRY(ib_family_read_biases(c, s, true, err));
    IB_TRY(read_rope_layers(c, s, err));
    IB_TRY(ib_family_optional_window(s, 0, &window, err));
    IB_TRY(ib_family_layer_types(c, s, &types, err));
    if (types)
        return ib_family_typed_windows(c, s, types, window, err);
    for (uint64_t i = 0; i < c->n_layers; i++)
        c->layers[i].window = c->layers[i].rope ? 0 : window;
    return IB_OK;
}

/* GGUF files of this family hold no list: every fourth layer is without RoPE. */
static ib_status read_gguf(ib_config *c, const ib_config_source *s, ib_error *err) {
    for (uint64_t i = 0; i < c->n_layers; i++)
        c->layers[i].rope = (i + 1) % 4 != 0;
    return ib_family_gguf_biases(c, s, err);
}

extern const ib_family ib_family_smollm3;
const ib_family ib_family_smollm3 = {
    .model_type = "smollm3",
    .architecture = "SmolLM3ForCausalLM",
    .gguf_arch = "smollm3",
    .gguf_interleaved = true,
    .defaults = {.n_vocab = 128256,
                 .d_model = 2048,
                 .d_ff = 11008,
                 .n_layers = 36,
                 .n_heads = 16,
                 .n_kv_heads = 4,
                 .n_ctx_max = 32768,
                 .rms_eps = 1e-6,
                 .rope_theta = 2000000,
                 .tied_embeddings = true,
                 .bos_id = 128000,
                 .eos_id = 128001,
                 .pad_id = 128004},
    .names = ib_names_llama,
    .read_json = read_json,
    .read_gguf = read_gguf,
};
