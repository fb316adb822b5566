/* SPDX-License-Identifier: MIT
 * What a model family is: default numbers, a table of tensor names, and two readers for what only
 * this family has. Everything common to all decoder families is read by config_json.c and
 * config_gguf.c, which then call the family's reader. families.c is the only list of families. */
#ifndef IB_MODEL_FAMILIES_H
#define IB_MODEL_FAMILIES_H

#include "checkpoint/gguf.h"
#include "model/config.h"

/* The part a tensor plays in the forward pass. From IB_ROLE_ATTN_NORM on: one per layer. */
typedef enum ib_role {
    IB_ROLE_EMBED,
    IB_ROLE_FINAL_NORM,
    IB_ROLE_HEAD,
    IB_ROLE_ATTN_NORM,
    IB_ROLE_Q,
    IB_ROLE_K,
    IB_ROLE_V,
    IB_ROLE_O,
    IB_ROLE_Q_NORM,
    IB_ROLE_K_NORM,
    IB_ROLE_MLP_NORM,
    IB_ROLE_GATE,
    IB_ROLE_UP,
    IB_ROLE_DOWN,
    IB_ROLE_COUNT
} ib_role;

/* Names of the module (without ".weight" or ".bias"); '#' stands for the layer's number. NULL when
 * the family has no such tensor. */
typedef struct ib_tensor_name {
    const char *hf, *gguf;
} ib_tensor_name;

/* What holds when a key of config.json is absent. */
typedef struct ib_family_defaults {
    uint64_t n_vocab, d_model, d_ff, n_layers, n_heads;
    uint64_t n_kv_heads; /* 0 = n_heads */
    uint64_t head_dim;   /* 0 = d_model / n_heads */
    uint64_t n_ctx_max;
    double rms_eps, rope_theta;
    bool tied_embeddings;
    int64_t bos_id, eos_id, pad_id; /* -1 = none */
} ib_family_defaults;

/* Where a configuration is read from: one of the two forms. */
typedef struct ib_config_source {
    const json_t *json; /* borrowed; NULL for GGUF */
    const char *where;  /* "<file> at ", in front of a JSON pointer or a GGUF key */
    ib_checkpoint *ckpt;
    const ib_gguf_meta *gguf; /* borrowed; NULL for JSON */
    const char *arch;         /* general.architecture */
    const ib_log *log;
} ib_config_source;

struct ib_family {
    const char *model_type;   /* of config.json */
    const char *architecture; /* class name in architectures[0], a cross-check */
    const char *gguf_arch;    /* general.architecture; NULL = another family reads it */
    bool gguf_interleaved;    /* rows of q and k are permuted for pairs (2j, 2j+1) */
    ib_family_defaults defaults;
    const ib_tensor_name *names; /* [IB_ROLE_COUNT] */
    /* Called after the common part: flags, biases, windows, layers without RoPE. */
    ib_status (*read_json)(ib_config *c, const ib_config_source *s, ib_error *err);
    ib_status (*read_gguf)(ib_config *c, const ib_config_source *s, ib_error *err);
};

/* families.c; NULL when unknown. */
const ib_family *ib_family_by_model_type(ib_str model_type);
const ib_family *ib_family_by_gguf_arch(ib_str arch);
/* "llama, mistral, ..." for messages; out of at least 128 bytes. */
const char *ib_family_list(char *out, size_t size);
/* Writes the name of role in layer (suffix "" or ".weight" ...); false when the family lacks it. */
bool ib_family_tensor(const ib_family *f, bool gguf, ib_role role, uint64_t layer,
                      const char *suffix, char *out, size_t size);

/* Names shared by every family with the llama layout. */
extern const ib_tensor_name ib_names_llama[IB_ROLE_COUNT];
extern const ib_tensor_name ib_names_qk_norm[IB_ROLE_COUNT]; /* the same with q_norm, k_norm */

/* Readers' tools (families.c), all for JSON sources unless said otherwise. */
/* attention_bias -> q, k, v, o; mlp_bias. */
ib_status ib_family_read_biases(ib_config *c, const ib_config_source *s, bool mlp,
                                ib_error *err) IB_MUST_CHECK;
/* layer_types: *types NULL when absent or null; else an array of n_layers known strings. */
ib_status ib_family_layer_types(const ib_config *c, const ib_config_source *s, const json_t **types,
                                ib_error *err) IB_MUST_CHECK;
/* Refuses a layer_types list that names anything but full attention. */
ib_status ib_family_full_only(const ib_config *c, const ib_config_source *s,
                              ib_error *err) IB_MUST_CHECK;
/* sliding_window under use_sliding_window; *window 0 = none. */
ib_status ib_family_optional_window(const ib_config_source *s, uint64_t fallback, uint64_t *window,
                                    ib_error *err) IB_MUST_CHECK;
/* qwen2, qwen3: layers from max_window_layers (28) on, or those that layer_types names. */
ib_status ib_family_late_windows(ib_config *c, const ib_config_source *s,
                                 ib_error *err) IB_MUST_CHECK;
/* Gives `window` to the layers that types calls sliding; IB_E_FORMAT when there is no window. */
ib_status ib_family_typed_windows(ib_config *c, const ib_config_source *s, const json_t *types,
                                  uint64_t window, ib_error *err) IB_MUST_CHECK;
/* GGUF: bias flags by the tensors of layer 0. */
ib_status ib_family_gguf_biases(ib_config *c, const ib_config_source *s,
                                ib_error *err) IB_MUST_CHECK;

#endif
