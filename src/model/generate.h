/* SPDX-License-Identifier: MIT
 * Greedy generation by the reference's rules (transformers 5.x): which settings are in force, the
 * logits processors that still act, eos, forced eos, and the loop. */
#ifndef IB_MODEL_GENERATE_H
#define IB_MODEL_GENERATE_H

#include "model/session.h"

typedef struct ib_generation { /* what acts; owned arrays are freed by ib_generation_clear */
    uint64_t max_new_tokens;
    uint32_t eos_ids[16];
    size_t n_eos;              /* 0 = nothing stops but the length */
    int64_t forced_eos_id;     /* at the last position; -1 = none */
    int64_t forced_bos_id;     /* first new token after a prompt of one id; -1 = none */
    double repetition_penalty; /* 1 = off */
    uint64_t no_repeat_ngram_size, min_length, min_new_tokens;
    uint32_t *suppress, *begin_suppress;
    size_t n_suppress, n_begin_suppress;
    struct ib_id_sequence {
        uint32_t *ids;
        size_t n;
        double bias;
    } * biases; /* sequence_bias, bad_words (-inf) */
    size_t n_biases;
} ib_generation;

/* Defaults of the reference's script: eos 1, forced eos 1, 256 tokens, nothing else. */
void ib_generation_init(ib_generation *g);
void ib_generation_clear(ib_generation *g);
/* Merges generation_config.json under what the script passes explicitly; json NULL: there is none,
 * nothing changes (the reference drops generation keys of config.json). Fields that would change a
 * greedy run and are not supported are refused by name. */
ib_status ib_generation_merge(ib_generation *g, const json_t *json, const char *where,
                              ib_error *err) IB_MUST_CHECK;
/* Whether any logits processor acts (then logits cross to the host at each step). */
bool ib_generation_needs_logits(const ib_generation *g);

/* Called with each token as soon as its id is on the host; now_ns taken just before the call. Must
 * not block, allocate or lock. Returning false stops the run (IB_E_INTERRUPTED is not set). */
typedef bool (*ib_on_token)(void *user, uint64_t now_ns, const uint32_t *ids, size_t n_seqs);

typedef struct ib_generate_result {
    uint64_t n_tokens;   /* generated per sequence, the stopping id included */
    uint64_t request_ns; /* stamp before the prefill: prompt ids on the host, nothing computed */
    uint64_t prefill_ns; /* stamp when the prompt's forward pass was complete */
    bool finite;         /* every logit row was finite */
    uint64_t first_not_finite; /* without finite: index of the first token whose logits were not */
    bool stopped_by_eos, cancelled;
    /* of all tokens behind the first: in the decode calls, and from there to the stamps; their sum
     * is last stamp - first stamp */
    uint64_t decode_call_ns, pick_call_ns;
} ib_generate_result;

/* prompt [n_seqs, n_prompt]. The session is reset first (to what ib_session_keep kept). out_ids
 * [max_new_tokens, n_seqs]. Between the request stamp and the last token nothing allocates, logs or
 * locks. With n_seqs > 1 eos is ignored. */
ib_status ib_generate(ib_session *s, const ib_generation *g, const uint32_t *prompt,
                      size_t n_prompt, uint32_t *out_ids, ib_on_token on_token, void *user,
                      ib_generate_result *out, ib_error *err) IB_MUST_CHECK;

#endif
