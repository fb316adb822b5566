/* SPDX-License-Identifier: MIT
 * Reads what a file says about RoPE: rope_scaling (4.x), rope_parameters (5.x) with the keys beside
 * them, or the rope.* keys and rope_freqs.weight of GGUF. Unknown rules are refused by name. */
#include "model/config_internal.h"
#include "model/rope.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    ib_rope_type type;
} rope_types[] = {{"default", IB_ROPE_DEFAULT}, {"linear", IB_ROPE_LINEAR},
                  {"dynamic", IB_ROPE_DYNAMIC}, {"llama3", IB_ROPE_LLAMA3},
                  {"yarn", IB_ROPE_YARN},       {"longrope", IB_ROPE_LONGROPE},
                  {"su", IB_ROPE_LONGROPE}};

/* The object in force and the text "<file> at /<its name>" for messages. */
typedef struct rope_source {
    const ib_config_source *base;
    const json_t *object; /* NULL = none */
    char where[IB_QUOTED + 32];
} rope_source;

static ib_status find_object(rope_source *r, const ib_config_source *s, ib_error *err) {
    static const char *const keys[] = {"rope_scaling", "rope_parameters"};
    r->base = s;
    r->object = NULL;
    (void)snprintf(r->where, sizeof r->where, "%s", s->where);
    for (size_t i = 0; i < 2 && !r->object; i++) {
        const json_t *v = json_object_get(s->json, keys[i]);
        if (!v || json_is_null(v))
            continue;
        if (!json_is_object(v))
            return ib_fail(err, IB_E_FORMAT,
                           "bad value in %s/%s: expected an object or null; fix: correct the file",
                           s->where, keys[i]);
        if (json_object_size(v) == 0)
            continue;
        r->object = v;
        (void)snprintf(r->where, sizeof r->where, "%s/%s", s->where, keys[i]);
    }
    static const char *const nested[] = {"full_attention", "sliding_attention"};
    for (size_t i = 0; i < 2; i++)
        if (json_is_object(json_object_get(r->object, nested[i])))
            return ib_fail(err, IB_E_UNSUPPORTED,
                           "RoPE differs by layer type in %s/%s; fix: use a model with one rule "
                           "for all layers",
                           r->where, nested[i]);
    return IB_OK;
}

static ib_status read_type(ib_rope_config *out, const rope_source *r, ib_error *err) {
    char quoted[IB_QUOTED];
    const char *key = json_object_get(r->object, "rope_type") ? "rope_type" : "type";
    ib_str name = {NULL, 0};
    if (r->object)
        IB_TRY(ib_json_get_str(r->object, key, &name, r->where, err));
    if (!name.ptr)
        name = IB_STR("default");
    for (size_t i = 0; i < sizeof rope_types / sizeof rope_types[0]; i++) {
        if (ib_str_is(name, rope_types[i].name)) {
            out->type = rope_types[i].type;
            return IB_OK;
        }
    }
    return ib_fail(err, IB_E_UNSUPPORTED,
                   "unknown RoPE scaling in %s/%s: '%s'; fix: use a model with default, linear, "
                   "dynamic, llama3, yarn or longrope",
                   r->where, key, ib_quote(name, quoted));
}

/* A number that must be finite and above zero; fallback 0 makes it required. */
static ib_status positive(const rope_source *r, const char *key, double fallback, double *out,
                          ib_error *err) {
    const json_t *v = json_object_get(r->object, key);
    if (r->object)
        IB_TRY(ib_json_get_double(r->object, key, fallback, out, r->where, err));
    else
        *out = fallback;
    if ((!v || json_is_null(v)) && fallback == 0)
        return ib_fail(err, IB_E_FORMAT, "missing number in %s/%s; fix: correct the file", r->where,
                       key);
    if (!isfinite(*out) || !(*out > 0))
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s/%s: %g, expected a finite number above 0; fix: correct the "
                       "file",
                       r->where, key, *out);
    return IB_OK;
}

/* A number inside the object, else beside it, else the fallback. */
static ib_status inside_or_beside(const rope_source *r, const char *key, double fallback,
                                  double *out, ib_error *err) {
    IB_TRY(ib_json_get_double(r->base->json, key, fallback, out, r->base->where, err));
    if (r->object)
        IB_TRY(ib_json_get_double(r->object, key, *out, out, r->where, err));
    return IB_OK;
}

/* original_max_position_embeddings: beside the object wins over inside. */
static ib_status read_original(ib_config *c, const rope_source *r, ib_error *err) {
    static const char key[] = "original_max_position_embeddings";
    int64_t inside = 0, value = 0;
    const int64_t max = (int64_t)IB_MAX_POSITIONS;
    IB_TRY(ib_json_get_i64(r->object, key, (int64_t)c->n_ctx_max, 1, max, &inside, r->where, err));
    IB_TRY(ib_json_get_i64(r->base->json, key, inside, 1, max, &value, r->base->where, err));
    c->rope.original_context = (uint64_t)value;
    return IB_OK;
}

static ib_status read_factors(const rope_source *r, const char *key, size_t n, double **out,
                              ib_error *err) {
    const json_t *list = json_object_get(r->object, key);
    if (!json_is_array(list) || json_array_size(list) != n)
        return ib_fail(
            err, IB_E_FORMAT,
            "bad value in %s/%s: expected a list of %zu numbers, found %zu; fix: correct "
            "the file",
            r->where, key, n, json_is_array(list) ? json_array_size(list) : 0);
    *out = calloc(n, sizeof **out);
    if (!*out)
        return ib_fail_memory(err, n * sizeof **out, "RoPE factors");
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        (*out)[i] = json_is_number(item) ? json_number_value(item) : 0;
        if (!isfinite((*out)[i]) || !((*out)[i] > 0))
            return ib_fail(err, IB_E_FORMAT,
                           "bad value in %s/%s/%zu: expected a finite number above 0; fix: correct "
                           "the file",
                           r->where, key, i);
    }
    return IB_OK;
}

static ib_status read_attention_factor(ib_rope_config *out, const rope_source *r, ib_error *err) {
    IB_TRY(ib_json_get_double(r->object, "attention_factor", 0, &out->attention_factor, r->where,
                              err));
    if (!isfinite(out->attention_factor) || out->attention_factor < 0)
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s/attention_factor: %g, expected a finite number above 0; "
                       "fix: correct the file",
                       r->where, out->attention_factor);
    return IB_OK;
}

static ib_status read_yarn(ib_config *c, const rope_source *r, ib_error *err) {
    ib_rope_config *out = &c->rope;
    IB_TRY(positive(r, "factor", (double)c->n_ctx_max / (double)out->original_context, &out->factor,
                    err));
    IB_TRY(positive(r, "beta_fast", 32, &out->beta_fast, err));
    IB_TRY(positive(r, "beta_slow", 1, &out->beta_slow, err));
    IB_TRY(ib_json_get_double(r->object, "mscale", 0, &out->mscale, r->where, err));
    IB_TRY(ib_json_get_double(r->object, "mscale_all_dim", 0, &out->mscale_all_dim, r->where, err));
    IB_TRY(ib_json_get_bool(r->object, "truncate", true, &out->truncate, r->where, err));
    return read_attention_factor(out, r, err);
}

static ib_status read_longrope(ib_config *c, const rope_source *r, ib_error *err) {
    ib_rope_config *out = &c->rope;
    const size_t half = ib_rope_n_rot(c) / 2;
    IB_TRY(positive(r, "factor", (double)c->n_ctx_max / (double)out->original_context, &out->factor,
                    err));
    if (out->factor > 1 && out->original_context < 2)
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s/original_max_position_embeddings: 1; fix: correct the file",
                       r->where);
    IB_TRY(read_factors(r, "short_factor", half, &out->short_factor, err));
    IB_TRY(read_factors(r, "long_factor", half, &out->long_factor, err));
    return read_attention_factor(out, r, err);
}

static ib_status read_llama3(ib_config *c, const rope_source *r, ib_error *err) {
    ib_rope_config *out = &c->rope;
    IB_TRY(positive(r, "factor", 0, &out->factor, err));
    IB_TRY(positive(r, "low_freq_factor", 0, &out->low_freq_factor, err));
    IB_TRY(positive(r, "high_freq_factor", 0, &out->high_freq_factor, err));
    if (out->low_freq_factor == out->high_freq_factor)
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s/high_freq_factor: %g, expected another number than "
                       "low_freq_factor; fix: correct the file",
                       r->where, out->high_freq_factor);
    return IB_OK;
}

ib_status ib_config_rope_from_json(ib_config *c, const ib_config_source *s, ib_error *err) {
    ib_rope_config *out = &c->rope;
    rope_source r;
    out->factor = 1;
    IB_TRY(find_object(&r, s, err));
    IB_TRY(read_type(out, &r, err));
    IB_TRY(inside_or_beside(&r, "rope_theta", c->family->defaults.rope_theta, &out->theta, err));
    IB_TRY(inside_or_beside(&r, "partial_rotary_factor", 1, &out->partial_factor, err));
    if (out->partial_factor != 1)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "unsupported value in %s/partial_rotary_factor: %g, model_type %s rotates "
                       "whole heads; fix: correct the file",
                       r.where, out->partial_factor, c->model_type);
    if (out->type == IB_ROPE_DEFAULT)
        return IB_OK;
    IB_TRY(read_original(c, &r, err));
    switch (out->type) {
    case IB_ROPE_LLAMA3:
        return read_llama3(c, &r, err);
    case IB_ROPE_YARN:
        return read_yarn(c, &r, err);
    case IB_ROPE_LONGROPE:
        return read_longrope(c, &r, err);
    default:
        break;
    }
    if (out->type == IB_ROPE_DYNAMIC && c->head_dim < 4)
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s/head_dim: %llu, dynamic RoPE scaling needs 4 or more; fix: "
                       "correct the file",
                       s->where, (unsigned long long)c->head_dim);
    return positive(&r, "factor", 0, &out->factor, err);
}

/* rope_freqs.weight: one divisor per frequency. */
static ib_status read_divisors(ib_config *c, const ib_config_source *s, ib_error *err) {
    static const char name[] = "rope_freqs.weight";
    const size_t half = ib_rope_n_rot(c) / 2;
    if (!ib_checkpoint_has(s->ckpt, name))
        return IB_OK;
    c->rope.divisors = calloc(half ? half : 1, sizeof *c->rope.divisors);
    if (!c->rope.divisors)
        return ib_fail_memory(err, half * sizeof *c->rope.divisors, "RoPE factors");
    IB_TRY(ib_checkpoint_vector(s->ckpt, name, half, c->rope.divisors, err));
    for (size_t j = 0; j < half; j++)
        if (!isfinite(c->rope.divisors[j]) || !(c->rope.divisors[j] > 0))
            return ib_fail(err, IB_E_FORMAT,
                           "bad value in %stensor '%s', element %zu: %g; fix: re-download the file",
                           s->where, name, j, (double)c->rope.divisors[j]);
    return IB_OK;
}

typedef struct gguf_rope {
    double factor, linear, attention_factor;
    int64_t original, n_rot;
    ib_str type;
} gguf_rope;

static ib_status read_gguf_keys(const ib_config *c, const ib_config_source *s, double *theta,
                                gguf_rope *k, ib_error *err) {
    char key[128];
    const ib_gguf_meta *m = s->gguf;
    const int64_t head_dim = (int64_t)c->head_dim;
#define KEY(name) ((void)snprintf(key, sizeof key, "%s.rope." name, s->arch), key)
    IB_TRY(ib_gguf_get_f64(m, KEY("freq_base"), 10000, theta, err));
    IB_TRY(ib_gguf_get_i64(m, KEY("dimension_count"), head_dim, 1, head_dim, &k->n_rot, err));
    IB_TRY(ib_gguf_get_str(m, KEY("scaling.type"), &k->type, err));
    IB_TRY(ib_gguf_get_f64(m, KEY("scaling.factor"), 0, &k->factor, err));
    IB_TRY(ib_gguf_get_f64(m, KEY("scale_linear"), 1, &k->linear, err));
    IB_TRY(ib_gguf_get_f64(m, KEY("scaling.attn_factor"), 0, &k->attention_factor, err));
    IB_TRY(ib_gguf_get_i64(m, KEY("scaling.original_context_length"), (int64_t)c->n_ctx_max, 1,
                           (int64_t)IB_MAX_POSITIONS, &k->original, err));
#undef KEY
    return IB_OK;
}

static ib_status gguf_scaling(ib_config *c, const ib_config_source *s, const gguf_rope *k,
                              ib_error *err) {
    ib_rope_config *out = &c->rope;
    char quoted[IB_QUOTED];
    double factor = k->factor > 0 ? k->factor : k->linear;
    if (!k->type.ptr ? factor == 1 : ib_str_is(k->type, "none"))
        return IB_OK;
    if (!isfinite(factor) || !(factor > 0))
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s%s.rope.scaling.factor: %g; fix: re-download the file",
                       s->where, s->arch, factor);
    out->factor = factor;
    out->original_context = (uint64_t)k->original;
    if (!k->type.ptr || ib_str_is(k->type, "linear")) {
        out->type = factor == 1 ? IB_ROPE_DEFAULT : IB_ROPE_LINEAR;
    } else if (ib_str_is(k->type, "yarn")) {
        out->type = IB_ROPE_YARN;
        out->beta_fast = 32;
        out->beta_slow = 1;
        out->truncate = true;
        /* the key multiplies the usual factor */
        if (k->attention_factor > 0)
            out->attention_factor = k->attention_factor * (factor <= 1 ? 1 : 0.1 * log(factor) + 1);
    } else {
        return ib_fail(
            err, IB_E_UNSUPPORTED,
            "unknown RoPE scaling in %s%s.rope.scaling.type: '%s'; fix: use a model with "
            "none, linear or yarn",
            s->where, s->arch, ib_quote(k->type, quoted));
    }
    return IB_OK;
}

ib_status ib_config_rope_from_gguf(ib_config *c, const ib_config_source *s, ib_error *err) {
    ib_rope_config *out = &c->rope;
    gguf_rope keys = {0};
    out->factor = 1;
    out->interleaved = c->family->gguf_interleaved;
    IB_TRY(read_gguf_keys(c, s, &out->theta, &keys, err));
    out->partial_factor = (double)keys.n_rot / (double)c->head_dim;
    if ((size_t)((double)c->head_dim * out->partial_factor) != (size_t)keys.n_rot)
        out->partial_factor = ((double)keys.n_rot + 0.5) / (double)c->head_dim;
    IB_TRY(gguf_scaling(c, s, &keys, err));
    return read_divisors(c, s, err);
}
