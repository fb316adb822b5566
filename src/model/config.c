/* SPDX-License-Identifier: MIT
 * What both readers of a configuration share: storage, and the conditions between the numbers. */
#include "model/config.h"

#include "model/config_internal.h"
#include "model/rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ib_config_clear(ib_config *c) {
    free(c->layers);
    free(c->rope.short_factor);
    free(c->rope.long_factor);
    free(c->rope.divisors);
    memset(c, 0, sizeof *c);
}

ib_status ib_config_new_layers(ib_config *c, ib_error *err) {
    c->layers = calloc((size_t)c->n_layers, sizeof *c->layers);
    if (!c->layers)
        return ib_fail_memory(err, (size_t)c->n_layers * sizeof *c->layers, "layer settings");
    for (uint64_t i = 0; i < c->n_layers; i++)
        c->layers[i].rope = true;
    return IB_OK;
}

double ib_default_attention_scale(uint64_t head_dim) {
    return pow((double)head_dim, -0.5);
}

/* Names of the numbers in the file, for messages. */
typedef struct field_names {
    const char *d_model, *n_heads, *n_kv_heads, *head_dim, *rms_eps, *theta;
} field_names;

static const field_names json_names = {"/hidden_size",         "/num_attention_heads",
                                       "/num_key_value_heads", "/head_dim",
                                       "/rms_norm_eps",        "/rope_theta"};
static const field_names gguf_names = {"embedding_length",
                                       "attention.head_count",
                                       "attention.head_count_kv",
                                       "attention.key_length",
                                       "attention.layer_norm_rms_epsilon",
                                       "rope.freq_base"};

static ib_status check_heads(const ib_config *c, const char *where, const field_names *n,
                             ib_error *err) {
    if (c->n_heads % c->n_kv_heads != 0)
        return ib_fail(err, IB_E_FORMAT,
                       "contradiction in %s%s: %llu query heads are no multiple of %llu key/value "
                       "heads; fix: correct the file",
                       where, n->n_kv_heads, (unsigned long long)c->n_heads,
                       (unsigned long long)c->n_kv_heads);
    size_t n_rot = ib_rope_n_rot(c);
    if (c->head_dim % 2 != 0 || n_rot % 2 != 0 || n_rot == 0 || n_rot > c->head_dim)
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s%s: %llu (of which %zu rotated), expected an even number of "
                       "rotated dimensions; fix: correct the file",
                       where, n->head_dim, (unsigned long long)c->head_dim, n_rot);
    return IB_OK;
}

ib_status ib_config_check(const ib_config *c, const ib_config_source *s, ib_error *err) {
    const field_names *n = s->gguf ? &gguf_names : &json_names;
    IB_TRY(check_heads(c, s->where, n, err));
    if (!isfinite(c->rms_eps) || !(c->rms_eps > 0))
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s%s: %g, expected a finite number above 0; fix: correct the "
                       "file",
                       s->where, n->rms_eps, c->rms_eps);
    if (!isfinite(c->rope.theta) || !(c->rope.theta > 0) ||
        (c->rope.type == IB_ROPE_YARN && c->rope.theta == 1))
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s%s: %g, expected a finite number above 0; fix: correct the "
                       "file",
                       s->where, n->theta, c->rope.theta);
    for (size_t i = 0; i < c->n_eos; i++)
        if (c->eos_ids[i] < 0 || (uint64_t)c->eos_ids[i] >= c->n_vocab)
            return ib_fail(err, IB_E_FORMAT,
                           "bad value in %seos token id %zu: %lld, the vocabulary has %llu ids; "
                           "fix: correct the file",
                           s->where, i, (long long)c->eos_ids[i], (unsigned long long)c->n_vocab);
    return IB_OK;
}
