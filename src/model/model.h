/* SPDX-License-Identifier: MIT
 * A model resident on a device: its configuration and its weights. Immutable after loading. */
#ifndef IB_MODEL_MODEL_H
#define IB_MODEL_MODEL_H

#include "model/config.h"

typedef struct ib_model ib_model;

/* Bytes that one decode step reads, per sequence position n_past. */
typedef struct ib_step_bytes {
    uint64_t weights; /* linear payloads without scales, one row of the embedding included */
    uint64_t scales;  /* absmax, nested absmax, SCB, norms and biases */
    uint64_t head;    /* lm_head */
    uint64_t kv;      /* keys and values of n_past + 1 positions (window respected), all layers */
    uint64_t total;
} ib_step_bytes;

/* Places all weights of ckpt on d. ckpt and d are borrowed and must outlive the model. Every
 * tensor's shape is checked; the first missing one is named; unexpected ones are warned about.
 * Takes over *config (cleared on return). */
ib_status ib_model_load(ib_model **out, ib_device *d, ib_checkpoint *ckpt, ib_config *config,
                        const ib_log *log, ib_error *err) IB_MUST_CHECK;
void ib_model_free(ib_model *m);
const ib_config *ib_model_config(const ib_model *m);
ib_device *ib_model_device(const ib_model *m);
uint64_t ib_model_n_params(const ib_model *m);
void ib_model_step_bytes(const ib_model *m, uint64_t n_past, ib_type kv_type, ib_step_bytes *out);
/* Operations (a multiply-add is two) of the matrix products and of attention when n_tokens
 * positions of one sequence are run behind n_past others, the head for the last one only. */
double ib_model_prefill_flops(const ib_model *m, uint64_t n_past, uint64_t n_tokens);
/* Bytes of the weights by stored format, in the order of ib_type. */
void ib_model_bytes_by_type(const ib_model *m, uint64_t out[IB_TYPE_COUNT]);

#endif
