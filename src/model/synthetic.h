/* SPDX-License-Identifier: MIT
 * Models without files: the true shape of a well-known model (or of any config.json), filled with
 * random weights in a stored format, as a checkpoint that the ordinary loader reads. Memory,
 * arithmetic and reads are those of the real model; the text is noise.
 *
 * The weights depend on shape, format and seed alone, never on the number of threads. Each matrix
 * has a standard deviation near 1/sqrt(columns) and each norm weight is 1, so that activations stay
 * finite at any depth. */
#ifndef IB_MODEL_SYNTHETIC_H
#define IB_MODEL_SYNTHETIC_H

#include "model/config.h"

typedef struct ib_synthetic ib_synthetic;

/* "synthetic:NAME" or "synthetic:PATH/config.json". */
bool ib_synthetic_asked(const char *model_id);

/* Finds the shape. quant: NULL or "none" (= bf16), or one of bf16 fp16 fp32 nf4 nf4-dq fp4 fp4-dq
 * int8 q4_0 q4_k q8_0. What a format leaves unquantized follows real files: embedding, head and
 * norms are bf16 beside bitsandbytes formats; q4_0 and q4_k have a q6_k head, and where a row is
 * no whole number of 256 they use q5_0 for q4_k and q8_0 for q6_k.
 * IB_E_USAGE for an unknown name or format. */
ib_status ib_synthetic_open(ib_synthetic **out, const char *model_id, const char *quant,
                            uint64_t seed, ib_error *err) IB_MUST_CHECK;
void ib_synthetic_close(ib_synthetic *s);
/* The model's config.json, borrowed; for ib_config_from_json (which needs no checkpoint here). */
const json_t *ib_synthetic_config(const ib_synthetic *s);
const char *ib_synthetic_label(const ib_synthetic *s); /* the model id as given */
const char *ib_synthetic_quant(const ib_synthetic *s);

/* Bytes that all tensors take. IB_E_RESOURCE when they are beyond 2^63. */
ib_status ib_synthetic_bytes(const ib_synthetic *s, const ib_config *c, uint64_t *bytes,
                             ib_error *err) IB_MUST_CHECK;
/* Makes them, with n_threads threads (0 = automatic). Whether they fit is the caller's question:
 * ask ib_synthetic_bytes first. */
ib_status ib_synthetic_make(ib_checkpoint **out, const ib_synthetic *s, const ib_config *c,
                            int n_threads, ib_error *err) IB_MUST_CHECK;

#endif
