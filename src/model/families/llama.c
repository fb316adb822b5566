/* SPDX-License-Identifier: MIT
 * llama: the common decoder with optional biases; also what GGUF calls "llama" (mistral included).
 * docs/families/llama.md */
#include "model/families/families.h"

static ib_status read_json(ib_config *c, const ib_config_source *s, ib_error *err) {
    IB_TRY(ib_family_read_biases(c, s, true, err));
    return ib_family_full_only(c, s, err);
}

extern const ib_family ib_family_llama;
const ib_family ib_family_llama = {
    .model_type = "llama",
    .architecture = "LlamaForCausalLM",
    .gguf_arch = "llama",
    .gguf_interleaved = true,
    .defaults = {.n_vocab = 32000,
                 .d_model = 4096,
                 .d_ff = 11008,
                 .n_layers = 32,
                 .n_heads = 32,
                 .n_ctx_max = 2048,
                 .rms_eps = 1e-6,
                 .rope_theta = 10000,
                 .bos_id = 1,
                 .eos_id = 2,
                 .pad_id = -1},
    .names = ib_names_llama,
    .read_json = read_json,
    .read_gguf = ib_family_gguf_biases,
};
