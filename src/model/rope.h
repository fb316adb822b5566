/* SPDX-License-Identifier: MIT
 * Rotary position embedding: the frequencies of every scaling rule, and rows of cosines and sines.
 * fp32 where the reference computes in fp32 tensors, double where it computes in Python numbers. */
#ifndef IB_MODEL_ROPE_H
#define IB_MODEL_ROPE_H

#include "model/config.h"

/* Rotated dimensions of a head: int(head_dim * partial_factor). */
size_t ib_rope_n_rot(const ib_config *c);
/* Whether the frequencies depend on the length of the sequence (dynamic, longrope). */
bool ib_rope_switches(const ib_rope_config *r);
/* inv_freq[n_rot / 2] for a call whose last position is length - 1. */
void ib_rope_frequencies(const ib_config *c, uint64_t length, float *inv_freq);
/* The factor on cosines and sines (yarn, longrope), else 1. */
double ib_rope_attention_factor(const ib_config *c);
/* row[n_rot]: n_rot / 2 cosines, then n_rot / 2 sines of position pos. */
void ib_rope_row(const float *inv_freq, size_t half, uint64_t pos, float factor, float *row);
/* table[(to - from) * n_rot]: rows of the positions from .. to - 1, all with the frequencies of a
 * call of length `to`. inv_freq is workspace [n_rot / 2]. */
void ib_rope_fill(const ib_config *c, uint64_t from, uint64_t to, float *inv_freq, float *table);

#endif
