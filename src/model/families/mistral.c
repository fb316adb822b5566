/* SPDX-License-Identifier: MIT
 * mistral: llama without biases, a sliding window over all layers when sliding_window is not null.
 * docs/families/mistral.md */
#include "model/config_internal.h"
#include "model/families/families.h"

static ib_status read_json(ib_config *c, const ib_config_source *s, ib_error *err) {
    uint64_t window = 0; /* a missing key means 4096, null means none */
    IB_TRY(ib_config_count(s, "sliding_window", 4096, IB_NULL_IS_ZERO, IB_MAX_POSITIONS, &window,
                           err));
    for (uint64_t i = 0; i < c->n_layers; i++)
        c->layers[i].window = window;
    if (json_is_array(json_object_get(s->json, "layer_types")))
        ib_log_warn(s->log,
                    "%s/layer_types has no effect in model_type mistral: sliding_window "
                    "counts for all layers",
                    s->where);
    return IB_OK;
}

extern const ib_family ib_family_mistral;
const ib_family ib_family_mistral = {
    .model_type = "mistral",
    .architecture = "MistralForCausalLM",
    .defaults = {.n_vocab = 32000,
                 .d_model = 4096,
                 .d_ff = 14336,
                 .n_layers = 32,
                 .n_heads = 32,
                 .n_kv_heads = 8,
                 .n_ctx_max = 131072,
                 .rms_eps = 1e-6,
                 .rope_theta = 10000,
                 .bos_id = 1,
                 .eos_id = 2,
                 .pad_id = -1},
    .names = ib_names_llama,
    .read_json = read_json,
};
