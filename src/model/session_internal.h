/* SPDX-License-Identifier: MIT
 * A session's buffers, shared by the forward pass (session.c), its construction (session_new.c) and
 * generation (generate.c). */
#ifndef IB_MODEL_SESSION_INTERNAL_H
#define IB_MODEL_SESSION_INTERNAL_H

#include "model/model_internal.h"
#include "model/processors.h"
#include "model/session.h"

struct ib_session {
    ib_model *model; /* borrowed */
    ib_device *device;
    const ib_backend *backend;
    ib_session_options options;
    size_t chunk_tokens;   /* positions of each sequence that one prefill step takes at most */
    size_t n_past, n_kept; /* positions run; those that a reset leaves */
    bool fed;              /* the ids of the next decode are known */
    bool has_logits;
    size_t n_prefilled; /* positions of the last prefill (all_logits) */

    ib_kv *kv;
    ib_buffer *scratch; /* owned: all tensors below but ids, picked and logits */
    ib_buffer *io;      /* owned: ids, picked, logits */
    /* [rows, ...] f32 */
    ib_tensor x, normed, q, k, v, attended, gate, up, y, last, table;
    ib_tensor ids;    /* I32 [rows of the longest prefill, 1] */
    ib_tensor picked; /* I32 [n_seqs, 2]: id, not finite */
    ib_tensor logits; /* f32 [n_seqs or n_prompt_max, n_vocab] */
    size_t last_row;  /* row of logits that belongs to the last position (all_logits) */

    int32_t *host_ids;    /* owned [n_seqs * n_prompt_max], in the order of the steps */
    int32_t *host_picked; /* owned [n_seqs * 2] */
    float *inv_freq;      /* owned [n_rot / 2] */
    float *decode_rows;   /* owned [n_ctx, n_rot] when frequencies switch: rows of decode steps */
    float *prefill_rows;  /* owned [n_prompt_max, n_rot], likewise */
    size_t switched_end;  /* rows of the device's table before it may hold prefill frequencies */

    /* workspace of generation */
    float *scores;     /* owned [n_seqs, n_vocab] */
    uint32_t *history; /* owned [n_seqs, n_ctx + 1] */
    uint32_t *chosen;  /* owned [n_seqs] */
    ib_process_space space;
};

/* Logits of the last position of each sequence [n_seqs, n_vocab], also with all_logits. */
ib_status ib_session_last_logits(ib_session *s, float *out, ib_error *err) IB_MUST_CHECK;

/* rope tables (session_rope.c) */
ib_status ib_session_rope_init(ib_session *s, ib_error *err) IB_MUST_CHECK;
/* Before a prefill of the positions n_past .. to - 1. */
ib_status ib_session_rope_prefill(ib_session *s, size_t to, ib_error *err) IB_MUST_CHECK;

#endif
