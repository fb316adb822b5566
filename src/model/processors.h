/* SPDX-License-Identifier: MIT
 * The logits processors that still act on a greedy run, in the reference's order. Pure functions on
 * one row of scores; nothing here allocates but ib_process_space_new. */
#ifndef IB_MODEL_PROCESSORS_H
#define IB_MODEL_PROCESSORS_H

#include "model/generate.h"

typedef struct ib_process_space {
    float *bias;   /* owned [n_vocab], all zero between calls */
    uint8_t *mark; /* owned [n_vocab], all zero between calls */
} ib_process_space;

ib_status ib_process_space_new(ib_process_space *w, size_t n_vocab, ib_error *err) IB_MUST_CHECK;
void ib_process_space_free(ib_process_space *w);

/* Changes scores[n_vocab] as the settings say. history: all n ids of the sequence so far, the first
 * n_prompt of them the prompt. */
void ib_process(const ib_generation *g, const uint32_t *history, size_t n, size_t n_prompt,
                float *scores, size_t n_vocab, ib_process_space *w);

/* Lowest index of the maximum, NaN counting as the maximum. */
uint32_t ib_argmax(const float *scores, size_t n);
bool ib_all_finite(const float *scores, size_t n);

#endif
