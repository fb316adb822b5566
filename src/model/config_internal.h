/* SPDX-License-Identifier: MIT
 * Shared by the readers of a configuration: caps, and integers with a rule for null. */
#ifndef IB_MODEL_CONFIG_INTERNAL_H
#define IB_MODEL_CONFIG_INTERNAL_H

#include "model/families/families.h"

/* Caps of what a file may claim; each is named in its error. */
#define IB_MAX_VOCAB UINT64_C(4194304)
#define IB_MAX_D_MODEL UINT64_C(1048576)
#define IB_MAX_D_FF UINT64_C(16777216)
#define IB_MAX_LAYERS UINT64_C(16384)
#define IB_MAX_HEADS UINT64_C(16384)
#define IB_MAX_HEAD_DIM UINT64_C(4096)
#define IB_MAX_POSITIONS UINT64_C(2147483647)

typedef enum ib_null_rule {
    IB_NULL_IS_ERROR,
    IB_NULL_IS_ZERO /* zero then means "none" or "derive it" */
} ib_null_rule;

/* A positive integer of a JSON source: absent gives the fallback. IB_E_FORMAT names the pointer. */
ib_status ib_config_count(const ib_config_source *s, const char *key, uint64_t fallback,
                          ib_null_rule rule, uint64_t max, uint64_t *out,
                          ib_error *err) IB_MUST_CHECK;

/* head_dim^-0.5, as the reference computes it. */
double ib_default_attention_scale(uint64_t head_dim);
/* Allocates c->layers: full attention with RoPE. */
ib_status ib_config_new_layers(ib_config *c, ib_error *err) IB_MUST_CHECK;
/* rope_config.c: rope_parameters (5.x) or rope_scaling (4.x) and the keys beside them. */
ib_status ib_config_rope_from_json(ib_config *c, const ib_config_source *s,
                                   ib_error *err) IB_MUST_CHECK;
ib_status ib_config_rope_from_gguf(ib_config *c, const ib_config_source *s,
                                   ib_error *err) IB_MUST_CHECK;
/* config.c: what must hold between the numbers, whatever they were read from. */
ib_status ib_config_check(const ib_config *c, const ib_config_source *s,
                          ib_error *err) IB_MUST_CHECK;

#endif
