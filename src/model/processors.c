/* SPDX-License-Identifier: MIT
 * See processors.h. Each function does what the reference's processor of that name does to fp32
 * scores: the same comparison, the same fp32 operation, the same order. */
#include "model/processors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

ib_status ib_process_space_new(ib_process_space *w, size_t n_vocab, ib_error *err) {
    w->bias = calloc(n_vocab, sizeof *w->bias);
    w->mark = calloc(n_vocab, sizeof *w->mark);
    if (w->bias && w->mark)
        return IB_OK;
    ib_process_space_free(w);
    return ib_fail_memory(err, n_vocab * (sizeof *w->bias + 1), "logits processors");
}

void ib_process_space_free(ib_process_space *w) {
    free(w->bias);
    free(w->mark);
    w->bias = NULL;
    w->mark = NULL;
}

static bool is_eos(const ib_generation *g, uint32_t id) {
    for (size_t i = 0; i < g->n_eos; i++)
        if (g->eos_ids[i] == id)
            return true;
    return false;
}

/* bad_words are stored as biases of minus infinity; one that is just an eos id is dropped. */
static bool is_bad_word(const ib_generation *g, const struct ib_id_sequence *b, bool *dropped) {
    const bool bad = isinf(b->bias) && b->bias < 0;
    *dropped = bad && b->n == 1 && is_eos(g, b->ids[0]);
    return bad;
}

/* Biases of sequences that the next id would complete are summed first, then added once. */
static void add_biases(const ib_generation *g, bool bad_words, const uint32_t *history, size_t n,
                       float *scores, ib_process_space *w) {
    for (int longer = 0; longer < 2; longer++) {
        for (size_t i = 0; i < g->n_biases; i++) {
            const struct ib_id_sequence *b = &g->biases[i];
            bool dropped = false;
            if (is_bad_word(g, b, &dropped) != bad_words || dropped || (b->n > 1) != (longer == 1))
                continue;
            const size_t prefix = b->n - 1;
            if (prefix > n ||
                (prefix > 0 && memcmp(history + n - prefix, b->ids, prefix * sizeof *history) != 0))
                continue;
            const uint32_t id = b->ids[prefix];
            w->bias[id] = longer == 1 ? w->bias[id] + (float)b->bias : (float)b->bias;
            w->mark[id] = 1;
        }
    }
    for (size_t i = 0; i < g->n_biases; i++) {
        const uint32_t id = g->biases[i].ids[g->biases[i].n - 1];
        if (w->mark[id])
            scores[id] += w->bias[id];
        w->bias[id] = 0;
        w->mark[id] = 0;
    }
}

static void penalize_repetition(const ib_generation *g, const uint32_t *history, size_t n,
                                float *scores, size_t n_vocab, ib_process_space *w) {
    const float penalty = (float)g->repetition_penalty;
    for (size_t i = 0; i < n; i++) {
        const uint32_t id = history[i];
        if (id >= n_vocab || w->mark[id])
            continue;
        w->mark[id] = 1;
        scores[id] = scores[id] < 0 ? scores[id] * penalty : scores[id] / penalty;
    }
    for (size_t i = 0; i < n; i++)
        if (history[i] < n_vocab)
            w->mark[history[i]] = 0;
}

/* Ids that would complete an n-gram which occurred before. */
static void ban_ngrams(uint64_t size, const uint32_t *history, size_t n, float *scores,
                       size_t n_vocab) {
    if (size == 0 || size > n)
        return;
    const size_t prefix = (size_t)size - 1;
    const uint32_t *tail = history + n - prefix;
    for (size_t i = 0; i + prefix < n; i++) {
        const uint32_t id = history[i + prefix];
        if (id < n_vocab && memcmp(history + i, tail, prefix * sizeof *history) == 0)
            scores[id] = -INFINITY;
    }
}

static void ban(const uint32_t *ids, size_t n, float *scores, size_t n_vocab) {
    for (size_t i = 0; i < n; i++)
        if (ids[i] < n_vocab)
            scores[ids[i]] = -INFINITY;
}

static void force(int64_t id, float *scores, size_t n_vocab) {
    for (size_t i = 0; i < n_vocab; i++)
        scores[i] = -INFINITY;
    if (id >= 0 && (uint64_t)id < n_vocab)
        scores[id] = 0;
}

void ib_process(const ib_generation *g, const uint32_t *history, size_t n, size_t n_prompt,
                float *scores, size_t n_vocab, ib_process_space *w) {
    const uint64_t made = n - n_prompt;
    /* min_new_tokens replaces min_length */
    const uint64_t min_length = g->min_new_tokens > 0 ? 0 : g->min_length;
    const size_t begin = n_prompt > 1 || g->forced_bos_id < 0 ? n_prompt : n_prompt + 1;
    if (g->n_biases > 0)
        add_biases(g, false, history, n, scores, w);
    if (g->repetition_penalty != 1)
        penalize_repetition(g, history, n, scores, n_vocab, w);
    ban_ngrams(g->no_repeat_ngram_size, history, n, scores, n_vocab);
    if (g->n_biases > 0)
        add_biases(g, true, history, n, scores, w);
    if (n < min_length || made < g->min_new_tokens)
        ban(g->eos_ids, g->n_eos, scores, n_vocab);
    if (g->forced_bos_id >= 0 && n == 1)
        force(g->forced_bos_id, scores, n_vocab);
    if (g->forced_eos_id >= 0 && made + 1 == g->max_new_tokens)
        force(g->forced_eos_id, scores, n_vocab);
    ban(g->suppress, g->n_suppress, scores, n_vocab);
    if (n == begin)
        ban(g->begin_suppress, g->n_begin_suppress, scores, n_vocab);
}

uint32_t ib_argmax(const float *scores, size_t n) {
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(scores[i]))
            return (uint32_t)i;
        if (scores[i] > scores[best])
            best = i;
    }
    return (uint32_t)best;
}

bool ib_all_finite(const float *scores, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(scores[i]))
            return false;
    return true;
}
