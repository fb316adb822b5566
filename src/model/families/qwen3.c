/* SPDX-License-Identifier: MIT
 * qwen3: llama with RMSNorm over each head of q and k before RoPE, and an explicit head_dim.
 * docs/families/qwen3.md */
#include "model/families/families.h"

static ib_status read_json(ib_config *c, const ib_config_source *s, ib_error *err) {
    c->qk_norm = true;
    IB_TRY(ib_family_read_biases(c, s, false, err));
    return ib_family_late_windows(c, s, err);
}

static ib_status read_gguf(ib_config *c, const ib_config_source *s, ib_error *err) {
    c->qk_norm = true;
    return ib_family_gguf_biases(c, s, err);
}

extern const ib_family ib_family_qwen3;
const ib_family ib_family_qwen3 = {
    .model_type = "qwen3",
    .architecture = "Qwen3ForCausalLM",
    .gguf_arch = "qwen3",
    .defaults = {.n_vocab = 151936,
                 .d_model = 4096,
                 .d_ff = 22016,
                 .n_layers = 32,
                 .n_heads = 32,
                 .n_kv_heads = 32,
                 .head_dim = 128,
                 .n_ctx_max = 32768,
                 .rms_eps = 1e-6,
                 .rope_theta = 10000,
                 .bos_id = -1,
                 .eos_id = -1,
                 .pad_id = -1},
    .names = ib_names_qk_norm,
    .read_json = read_json,
    .read_gguf = read_gguf,
};
