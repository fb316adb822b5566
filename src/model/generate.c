/* SPDX-License-Identifier: MIT
 * The greedy loop. Inside the timed window (from request_ns to the last token): prefill, pick,
 * processors, decode, time stamps, the callback. Outside: checks, and everything that allocates. */
#include "model/generate.h"

#include "base/clock.h"
#include "model/session_internal.h"

#include <string.h>

/* What the loop needs, fixed before the first stamp. */
typedef struct run {
    ib_session *s;
    const ib_generation *g;
    const uint32_t *prompt;
    size_t n_prompt, n_seqs, n_vocab;
    size_t stride;  /* of history, between sequences */
    bool own_cores; /* the device is the processor itself: waiting for it costs nothing */
    bool host;      /* scores cross to the host at every step */
    bool finite;
} run;

static ib_status check_id(int64_t id, size_t n_vocab, const char *what, ib_error *err) {
    if (id >= 0 && (uint64_t)id >= n_vocab)
        return ib_fail(err, IB_E_USAGE,
                       "%s %lld is outside the model's vocabulary of %zu; fix: choose another id",
                       what, (long long)id, n_vocab);
    return IB_OK;
}

static ib_status check(const run *r, ib_error *err) {
    const ib_generation *g = r->g;
    const size_t n_ctx = r->s->options.n_ctx - r->s->n_kept;
    if (g->max_new_tokens == 0 || g->max_new_tokens > n_ctx || r->n_prompt > n_ctx ||
        g->max_new_tokens - 1 > n_ctx - r->n_prompt)
        return ib_fail(err, IB_E_USAGE,
                       "%llu new tokens after %zu do not fit in a session of %zu positions; fix: "
                       "make a larger session",
                       (unsigned long long)g->max_new_tokens, r->n_prompt, n_ctx);
    IB_TRY(check_id(g->forced_eos_id, r->n_vocab, "the forced eos id", err));
    IB_TRY(check_id(g->forced_bos_id, r->n_vocab, "the forced bos id", err));
    for (size_t i = 0; i < g->n_suppress; i++)
        if (g->suppress[i] == g->forced_eos_id || g->suppress[i] == g->forced_bos_id)
            return ib_fail(
                err, IB_E_FORMAT,
                "suppress_tokens of the generation settings holds the forced id %u; fix: "
                "remove it there, or force another id",
                (unsigned)g->suppress[i]);
    for (size_t i = 0; i < g->n_biases; i++)
        for (size_t j = 0; j < g->biases[i].n; j++)
            IB_TRY(check_id(g->biases[i].ids[j], r->n_vocab, "a biased id", err));
    return IB_OK;
}

static bool is_last(const run *r, uint64_t made) {
    return made + 1 == r->g->max_new_tokens;
}

/* Next ids -> s->chosen, through the processors. `made` ids were made before. */
static ib_status choose_on_host(run *r, uint64_t made, ib_error *err) {
    ib_session *s = r->s;
    IB_TRY(ib_session_last_logits(s, s->scores, err));
    for (size_t i = 0; i < r->n_seqs; i++) {
        float *scores = s->scores + i * r->n_vocab;
        r->finite = r->finite && ib_all_finite(scores, r->n_vocab);
        ib_process(r->g, s->history + i * r->stride, r->n_prompt + (size_t)made, r->n_prompt,
                   scores, r->n_vocab, &s->space);
        s->chosen[i] = ib_argmax(scores, r->n_vocab);
    }
    return is_last(r, made) ? IB_OK : ib_session_feed(s, s->chosen, err);
}

static ib_status choose(run *r, uint64_t made, ib_error *err) {
    ib_session *s = r->s;
    bool finite = true;
    if (r->host)
        return choose_on_host(r, made, err);
    IB_TRY(ib_session_pick(s, s->chosen, &finite, err));
    r->finite = r->finite && finite;
    if (is_last(r, made) && r->g->forced_eos_id >= 0)
        for (size_t i = 0; i < r->n_seqs; i++)
            s->chosen[i] = (uint32_t)r->g->forced_eos_id;
    return IB_OK;
}

static bool stops(const run *r) {
    for (size_t i = 0; r->n_seqs == 1 && i < r->g->n_eos; i++)
        if (r->s->chosen[0] == r->g->eos_ids[i])
            return true;
    return false;
}

static void remember(run *r, uint64_t made, uint32_t *out_ids) {
    for (size_t i = 0; i < r->n_seqs; i++) {
        r->s->history[i * r->stride + r->n_prompt + (size_t)made] = r->s->chosen[i];
        out_ids[(size_t)made * r->n_seqs + i] = r->s->chosen[i];
    }
}

#ifdef IB_TEST_SPIN_NS /* a build that is slower on purpose, for tests of comparisons */
static void slow_down(void) {
    const uint64_t end = ib_now_ns() + IB_TEST_SPIN_NS;
    while (ib_now_ns() < end) {
    }
}
#else
static void slow_down(void) {}
#endif

static ib_status loop(run *r, uint32_t *out_ids, ib_on_token on_token, void *user,
                      ib_generate_result *out, ib_error *err) {
    out->request_ns = ib_now_ns();
    IB_TRY(ib_session_prefill(r->s, r->prompt, r->n_prompt, err));
    IB_TRY(r->s->backend->sync(r->s->device, err));
    out->prefill_ns = ib_now_ns();
    uint64_t last = 0, decoded = 0; /* stamps of the token before, and of its decode step's end */
    for (uint64_t made = 0;; made++) {
        if (r->finite)
            out->first_not_finite = made; /* moves on until it is */
        slow_down();
        IB_TRY(choose(r, made, err));
        const uint64_t now = ib_now_ns();
        if (made) {
            out->decode_call_ns += decoded - last;
            out->pick_call_ns += now - decoded;
        }
        last = now;
        remember(r, made, out_ids);
        out->n_tokens = made + 1;
        out->stopped_by_eos = stops(r);
        out->cancelled = on_token && !on_token(user, now, r->s->chosen, r->n_seqs);
        if (out->stopped_by_eos || out->cancelled || is_last(r, made))
            return IB_OK;
        IB_TRY(ib_session_decode(r->s, err));
        if (r->own_cores) /* the last job of the step belongs to it, not to the pick */
            IB_TRY(r->s->backend->sync(r->s->device, err));
        decoded = ib_now_ns();
    }
}

ib_status ib_generate(ib_session *s, const ib_generation *g, const uint32_t *prompt,
                      size_t n_prompt, uint32_t *out_ids, ib_on_token on_token, void *user,
                      ib_generate_result *out, ib_error *err) {
    run r = {.s = s,
             .g = g,
             .prompt = prompt,
             .n_prompt = n_prompt,
             .n_seqs = s->options.n_seqs,
             .n_vocab = (size_t)s->model->config.n_vocab,
             .stride = s->options.n_ctx + 1,
             .own_cores = strcmp(s->backend->kind, "cpu") == 0,
             .host = ib_generation_needs_logits(g),
             .finite = true};
    memset(out, 0, sizeof *out);
    IB_TRY(check(&r, err));
    ib_session_reset(s);
    for (size_t i = 0; i < r.n_seqs; i++)
        memcpy(s->history + i * r.stride, prompt + i * n_prompt, n_prompt * sizeof *prompt);
    ib_status st = loop(&r, out_ids, on_token, user, out, err);
    out->finite = r.finite;
    return st;
}
