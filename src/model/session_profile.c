/* SPDX-License-Identifier: MIT
 * See session_profile.h. The profiled pass runs on a device in front of the session's own
 * (backend/profile.h), which the session gets back afterwards, whatever happened. */
#include "model/session_profile.h"

#include "backend/probe.h"
#include "base/clock.h"
#include "model/session_internal.h"

#include <stdlib.h>
#include <string.h>

/* Prompt, pick, and n_steps times {decode, pick}; the prompt's time ends with its forward pass. */
static ib_status pass(ib_session *s, const uint32_t *prompt, size_t n, uint64_t *prefill_ns,
                      ib_error *err) {
    const uint64_t start = ib_now_ns();
    ib_session_reset(s);
    IB_TRY(ib_session_prefill(s, prompt, n, err));
    IB_TRY(s->backend->sync(s->device, err));
    *prefill_ns = ib_now_ns() - start;
    return IB_OK;
}

static ib_status steps(ib_session *s, size_t n_steps, uint64_t *ns, ib_error *err) {
    bool finite;
    IB_TRY(ib_session_pick(s, s->chosen, &finite, err)); /* belongs to the prompt */
    const uint64_t start = ib_now_ns();
    for (size_t i = 0; i < n_steps; i++) {
        IB_TRY(ib_session_decode(s, err));
        IB_TRY(ib_session_pick(s, s->chosen, &finite, err));
    }
    *ns = ib_now_ns() - start;
    return IB_OK;
}

/* Dispatches so far, and what one costs. */
static ib_status dispatches(const ib_session *s, ib_probe *out, ib_error *err) {
    const ib_probe_ask ask = {.dispatch = true};
    const ib_backend *b = s->backend;
    *out = (ib_probe){0};
    return b->probe ? b->probe(s->device, &ask, out, err) : IB_OK;
}

static ib_status plain(ib_session *s, const uint32_t *prompt, size_t n, ib_session_profile *out,
                       ib_error *err) {
    ib_probe before, after;
    IB_TRY(pass(s, prompt, n, &out->plain_prefill_ns, err));
    IB_TRY(dispatches(s, &before, err));
    out->n_past = s->n_past;
    IB_TRY(steps(s, (size_t)out->n_steps, &out->plain_decode_ns, err));
    IB_TRY(dispatches(s, &after, err));
    out->dispatch_ns = after.dispatch_ns;
    out->n_dispatches = after.n_dispatches - before.n_dispatches - before.n_own_dispatches;
    return IB_OK;
}

static size_t keep_rows(const ib_profiler *p, ib_profile_row *to) {
    size_t n = 0;
    const ib_profile_row *rows = ib_profiler_rows(p, &n);
    memcpy(to, rows, n * sizeof *rows);
    return n;
}

static ib_status profiled(ib_session *s, ib_profiler *p, const uint32_t *prompt, size_t n,
                          ib_session_profile *out, ib_error *err) {
    uint64_t first = 0;
    out->sync_ns = ib_profiler_sync_ns(p);
    ib_profiler_reset(p);
    IB_TRY(pass(s, prompt, n, &out->prefill_ns, err));
    out->n_prefill = keep_rows(p, out->prefill);
    IB_TRY(steps(s, 0, &first, err)); /* the prompt's pick is no decode step's */
    ib_profiler_reset(p);
    const uint64_t start = ib_now_ns();
    bool finite;
    for (uint64_t i = 0; i < out->n_steps; i++) {
        IB_TRY(ib_session_decode(s, err));
        IB_TRY(ib_session_pick(s, s->chosen, &finite, err));
    }
    out->decode_ns = ib_now_ns() - start;
    out->n_decode = keep_rows(p, out->decode);
    return IB_OK;
}

static size_t add_weight(ib_profile_weight *to, size_t at, const ib_linear *l, const char *name) {
    to[at] = (ib_profile_weight){
        .weight = l->weight, .name = name, .bytes = l->bytes, .n_elements = l->n_elements};
    return at + 1;
}

/* Names of groups stand at their first member. */
static size_t name_weights(const ib_model *m, ib_profile_weight *to) {
    size_t n = 0;
    for (uint64_t i = 0; i < m->config.n_layers; i++) {
        const ib_layer *l = &m->layers[i];
        n = add_weight(to, n, &l->q, "q, k, v");
        n = add_weight(to, n, &l->k, "k");
        n = add_weight(to, n, &l->v, "v");
        n = add_weight(to, n, &l->o, "o");
        n = add_weight(to, n, &l->gate, "gate, up, activation");
        n = add_weight(to, n, &l->up, "up");
        n = add_weight(to, n, &l->down, "down");
    }
    const ib_linear head = {.weight = m->head,
                            .bytes = m->step.head,
                            .n_elements = m->config.n_vocab * m->config.d_model};
    return add_weight(to, n, &head, "head");
}

ib_status ib_session_profile_run(ib_session *s, const uint32_t *prompt, size_t n, size_t n_steps,
                                 ib_session_profile *out, ib_error *err) {
    const ib_config *c = &s->model->config;
    const uint64_t kv = 2 * c->n_kv_heads * c->head_dim * ib_type_block_bytes(s->options.kv_type);
    ib_device *own = s->device;
    ib_profiler *p = NULL;
    ib_profile_weight *weights = calloc((size_t)c->n_layers * 7 + 1, sizeof *weights);
    *out = (ib_session_profile){.n_steps = n_steps};
    if (!weights)
        return ib_fail_memory(err, (size_t)c->n_layers * 7 * sizeof *weights, "names of weights");
    ib_status st = ib_profiler_new(&p, own, weights, name_weights(s->model, weights), kv, err);
    if (st == IB_OK)
        st = plain(s, prompt, n, out, err);
    if (st == IB_OK) {
        s->device = ib_profiler_device(p);
        s->backend = ib_backend_of(s->device);
        st = profiled(s, p, prompt, n, out, err);
        s->device = own;
        s->backend = ib_backend_of(own);
    }
    ib_session_reset(s);
    ib_profiler_free(p);
    free(weights);
    return st;
}
