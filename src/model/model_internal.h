/* SPDX-License-Identifier: MIT
 * A loaded model as the forward pass sees it. */
#ifndef IB_MODEL_MODEL_INTERNAL_H
#define IB_MODEL_MODEL_INTERNAL_H

#include "model/families/families.h"
#include "model/model.h"

/* A linear of the model: its matrix on the device and its bias, if it has one. */
typedef struct ib_linear {
    ib_weight *weight; /* owned by the model */
    ib_tensor bias;    /* [1, n_out] f32; buffer NULL = none */
    uint64_t bytes, n_elements;
} ib_linear;

typedef struct ib_layer {
    ib_linear q, k, v, o, gate, up, down;
    ib_tensor attn_norm, mlp_norm, q_norm, k_norm; /* [1, n] f32 */
} ib_layer;

struct ib_model {
    ib_config config; /* owned */
    ib_device *device;
    const ib_backend *backend;
    const ib_log *log;
    ib_layer *layers; /* owned [n_layers] */
    ib_tensor final_norm;
    ib_weight *embed, *head; /* head == embed when they are one matrix */
    ib_buffer *vectors;      /* owned: all norm weights and biases, f32 */
    bool whole_prompt;       /* LLM.int8 with a threshold: results depend on the rows of a step */
    uint64_t n_params;
    ib_step_bytes step; /* kv and total 0 */
    uint64_t bytes_by_type[IB_TYPE_COUNT];
};

#endif
