/* SPDX-License-Identifier: MIT
 * One forward pass after the other over n_seqs independent sequences of equal length: KV cache,
 * scratch, positions. Belongs to one thread. The only place where the layers are walked. */
#ifndef IB_MODEL_SESSION_H
#define IB_MODEL_SESSION_H

#include "model/model.h"

typedef struct ib_session ib_session;

typedef struct ib_session_options {
    size_t n_ctx;        /* positions the KV cache holds: prompt + new tokens */
    size_t n_seqs;       /* >= 1 */
    size_t n_prompt_max; /* longest prefill (sizes scratch) */
    ib_attention attention;
    ib_type kv_type; /* F32, F16, BF16 */
    bool all_logits; /* prefill keeps logits of every position (teacher forcing) */
} ib_session_options;

/* Allocates everything; nothing after it allocates. The model is borrowed. */
ib_status ib_session_new(ib_session **out, ib_model *m, const ib_session_options *options,
                         ib_error *err) IB_MUST_CHECK;
void ib_session_free(ib_session *s);
/* Forgets all positions but the kept ones. */
void ib_session_reset(ib_session *s);
/* Keeps the positions run so far as the context that every ib_session_reset goes back to. */
void ib_session_keep(ib_session *s);
size_t ib_session_n_past(const ib_session *s);

/* Runs n prompt ids of each sequence, ids [n_seqs, n], in chunks; afterwards the logits of the last
 * position of each sequence are ready. */
ib_status ib_session_prefill(ib_session *s, const uint32_t *ids, size_t n,
                             ib_error *err) IB_MUST_CHECK;
/* Picks the next id of each sequence on the device (greedy) and waits for it: out[n_seqs].
 * *finite = false when a logit was NaN or infinite. The ids become the input of the next decode. */
ib_status ib_session_pick(ib_session *s, uint32_t *out, bool *finite, ib_error *err) IB_MUST_CHECK;
/* Overrides the ids that the next decode runs (host-side choice): ids[n_seqs]. */
ib_status ib_session_feed(ib_session *s, const uint32_t *ids, ib_error *err) IB_MUST_CHECK;
/* One decode step of the picked or fed ids. */
ib_status ib_session_decode(ib_session *s, ib_error *err) IB_MUST_CHECK;
/* Copies the logits of the last position(s), fp32 [n_seqs, n_vocab], or with all_logits those of
 * the last prefill, [n, n_vocab] (n_seqs must be 1). Waits. */
ib_status ib_session_logits(ib_session *s, float *out, ib_error *err) IB_MUST_CHECK;

#endif
