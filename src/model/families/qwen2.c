/* SPDX-License-Identifier: MIT
 * qwen2: llama with biases on q, k and v always, and windows on the late layers when asked for.
 * docs/families/qwen2.md */
#include "model/families/families.h"

static ib_status read_json(ib_config *c, const ib_config_source *s, ib_error *err) {
    c->bias_qkv = true;
    return ib_family_late_windows(c, s, err);
}

extern const ib_family ib_family_qwen2;
const ib_family ib_family_qwen2 = {
    .model_type = "qwen2",
    .architecture = "Qwen2ForCausalLM",
    .gguf_arch = "qwen2",
    .defaults = {.n_vocab = 151936,
                 .d_model = 4096,
                 .d_ff = 22016,
                 .n_layers = 32,
                 .n_heads = 32,
                 .n_kv_heads = 32,
                 .n_ctx_max = 32768,
                 .rms_eps = 1e-6,
                 .rope_theta = 10000,
                 .bos_id = -1,
                 .eos_id = -1,
                 .pad_id = -1},
    .names = ib_names_llama,
    .read_json = read_json,
    .read_gguf = ib_family_gguf_biases,
};
