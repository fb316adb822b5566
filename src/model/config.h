/* SPDX-License-Identifier: MIT
 * What a decoder-only model is, as data: read from config.json or from GGUF metadata by the
 * family's reader (families/<name>.c), then checked as a whole. The forward pass (session.c) and
 * the loader (weights.c) follow this description and know no family. */
#ifndef IB_MODEL_CONFIG_H
#define IB_MODEL_CONFIG_H

#include "backend/backend.h"
#include "checkpoint/checkpoint.h"

typedef enum ib_rope_type {
    IB_ROPE_DEFAULT,
    IB_ROPE_LINEAR,
    IB_ROPE_DYNAMIC,
    IB_ROPE_LLAMA3,
    IB_ROPE_YARN,
    IB_ROPE_LONGROPE
} ib_rope_type;

typedef struct ib_rope_config { /* symbols as in Peng 2023 (yarn) and the model files */
    ib_rope_type type;
    double theta, partial_factor, factor;
    uint64_t original_context;                /* original_max_position_embeddings */
    double low_freq_factor, high_freq_factor; /* llama3 */
    double beta_fast, beta_slow, mscale, mscale_all_dim,
        attention_factor;               /* yarn, longrope; 0 = absent */
    bool truncate;                      /* yarn */
    double *short_factor, *long_factor; /* longrope, owned [head_dim * partial / 2] */
    float *divisors;                    /* owned [n_rot/2]: GGUF rope_freqs.weight, or NULL */
    bool interleaved; /* GGUF llama: rows of q and k are permuted for pairs (2j, 2j+1) */
} ib_rope_config;

typedef struct ib_layer_config {
    uint64_t window; /* sliding window including the token itself; 0 = full attention */
    bool rope;       /* false: no rotary embedding in this layer (smollm3) */
} ib_layer_config;

typedef struct ib_family ib_family; /* families.h */

typedef struct ib_config {
    const ib_family *family; /* static */
    char model_type[64];
    uint64_t n_vocab, d_model, d_ff, n_layers, n_heads, n_kv_heads, head_dim, n_ctx_max;
    double rms_eps;
    ib_act act;
    ib_norm_kind norm_kind;
    bool tied_embeddings; /* lm_head = embed_tokens */
    bool bias_qkv, bias_o, bias_mlp;
    bool qk_norm; /* RMSNorm over head_dim on q and k before RoPE */
    double attention_scale, attention_softcap;
    double embedding_multiplier, residual_multiplier, logit_scale; /* 1 unless the family says so */
    ib_rope_config rope;
    ib_layer_config *layers; /* owned [n_layers] */
    int64_t bos_id, pad_id;  /* -1 = absent */
    int64_t eos_ids[16];
    size_t n_eos;
    ib_type file_dtype; /* dtype/torch_dtype of config.json, else the first float tensor's; F32 for
                           GGUF */
    ib_bnb_config bnb;
    bool from_gguf;
} ib_config;

/* From a model folder's config.json (where = its path, for messages) and the checkpoint. Everything
 * unknown that would change the result is refused by name (IB_E_UNSUPPORTED). */
ib_status ib_config_from_json(ib_config *out, const json_t *config, ib_checkpoint *ckpt,
                              const char *where, const ib_log *log, ib_error *err) IB_MUST_CHECK;
ib_status ib_config_from_gguf(ib_config *out, ib_checkpoint *ckpt, const ib_log *log,
                              ib_error *err) IB_MUST_CHECK;
void ib_config_clear(ib_config *c);

#endif
