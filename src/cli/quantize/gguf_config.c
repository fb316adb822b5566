/* SPDX-License-Identifier: MIT
 * ib_config (read from GGUF) -> the config.json that transformers would have for this model. */
#include "cli/quantize/quantize.h"

#include "model/families/families.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* GGUF stores fp32: the shortest decimal that is the same fp32 number (1e-05, not 9.99999974e-06).
 */
static json_t *real_of_f32(double value) {
    char text[32];
    double back = value;
    float f = (float)value;
    if ((double)f != value)
        return json_real(value);
    for (int digits = 1; digits <= 9; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (ib_parse_double(ib_str_of(text), &back) && (float)back == f)
            return json_real(back);
    }
    return json_real(value);
}

/* --- RoPE --- */

/* The llama3 rule's divisor for inverse frequency `inv`. */
static double llama3_divisor(double inv, double factor, double low, double high, double context) {
    double wavelength = 2 * 3.14159265358979323846 / inv;
    if (wavelength < context / high)
        return 1;
    if (wavelength > context / low)
        return factor;
    double s = (context / wavelength - low) / (high - low);
    return 1 / ((1 - s) / factor + s);
}

/* rope_freqs.weight of Llama 3.1 and later: factor, 1, 4, 8192. */
static bool is_llama3(const ib_rope_config *r, size_t n_half, double *factor) {
    *factor = 1;
    for (size_t i = 0; i < n_half; i++)
        *factor = (double)r->divisors[i] > *factor ? (double)r->divisors[i] : *factor;
    for (size_t i = 0; i < n_half; i++) {
        double inv = pow(r->theta, -(double)i / (double)n_half);
        double expected = llama3_divisor(inv, *factor, 1, 4, 8192);
        if (fabs(expected - (double)r->divisors[i]) > 1e-4 * expected)
            return false;
    }
    return *factor > 1;
}

static json_t *list_of(const float *values, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        (void)json_array_append_new(list, real_of_f32((double)values[i]));
    return list;
}

static json_t *rope_from_divisors(const ib_config *c, size_t n_half) {
    double factor;
    if (is_llama3(&c->rope, n_half, &factor))
        return json_pack("{s:s, s:o, s:f, s:f, s:I}", "rope_type", "llama3", "factor",
                         real_of_f32(factor), "low_freq_factor", 1.0, "high_freq_factor", 4.0,
                         "original_max_position_embeddings", (json_int_t)8192);
    /* any other set of divisors: longrope with one list for every length */
    return json_pack("{s:s, s:f, s:f, s:I, s:o, s:o}", "rope_type", "longrope", "factor", 1.0,
                     "attention_factor", 1.0, "original_max_position_embeddings",
                     (json_int_t)c->n_ctx_max, "short_factor", list_of(c->rope.divisors, n_half),
                     "long_factor", list_of(c->rope.divisors, n_half));
}

static ib_status rope_scaling(json_t **out, const ib_config *c, ib_error *err) {
    const ib_rope_config *r = &c->rope;
    size_t n_half = (size_t)((double)c->head_dim * r->partial_factor) / 2;
    if (r->divisors) {
        *out = rope_from_divisors(c, n_half);
    } else if (r->type == IB_ROPE_DEFAULT) {
        *out = json_null();
    } else if (r->type == IB_ROPE_LINEAR) {
        *out = json_pack("{s:s, s:o}", "rope_type", "linear", "factor", real_of_f32(r->factor));
    } else if (r->type == IB_ROPE_YARN) {
        *out = json_pack("{s:s, s:o, s:I}", "rope_type", "yarn", "factor", real_of_f32(r->factor),
                         "original_max_position_embeddings", (json_int_t)r->original_context);
        if (*out && r->attention_factor > 0)
            (void)json_object_set_new(*out, "attention_factor", real_of_f32(r->attention_factor));
        if (*out && r->beta_fast > 0)
            (void)json_object_set_new(*out, "beta_fast", real_of_f32(r->beta_fast));
        if (*out && r->beta_slow > 0)
            (void)json_object_set_new(*out, "beta_slow", real_of_f32(r->beta_slow));
    } else {
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "this RoPE scaling of a GGUF file cannot be written to config.json; fix: "
                       "quantize the model from safetensors");
    }
    return *out ? IB_OK : ib_fail_memory(err, 0, "a configuration");
}

/* --- the object --- */

static json_t *ids_or_one(const int64_t *ids, size_t n) {
    if (n == 0)
        return json_null();
    if (n == 1)
        return json_integer(ids[0]);
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        (void)json_array_append_new(list, json_integer(ids[i]));
    return list;
}

static json_t *id_or_null(int64_t id) {
    return id < 0 ? json_null() : json_integer(id);
}

static ib_status add_windows(json_t *o, const ib_config *c, ib_error *err) {
    bool mistral = strcmp(c->model_type, "mistral") == 0;
    uint64_t window = c->n_layers ? c->layers[0].window : 0;
    for (uint64_t i = 0; i < c->n_layers; i++)
        if (c->layers[i].window != window || (c->layers[i].window && !mistral))
            return ib_fail(err, IB_E_UNSUPPORTED,
                           "sliding windows of a GGUF file cannot be written to config.json; fix: "
                           "quantize the model from safetensors");
    if (mistral)
        (void)json_object_set_new(o, "sliding_window",
                                  window ? json_integer((json_int_t)window) : json_null());
    else if (strcmp(c->model_type, "llama") != 0)
        (void)json_object_set_new(o, "use_sliding_window", json_false());
    return IB_OK;
}

/* smollm3: 1 where a layer has RoPE. */
static void add_rope_layers(json_t *o, const ib_config *c) {
    json_t *list = json_array();
    bool all = true;
    for (uint64_t i = 0; list && i < c->n_layers; i++) {
        all = all && c->layers[i].rope;
        (void)json_array_append_new(list, json_integer(c->layers[i].rope));
    }
    if (!all || strcmp(c->model_type, "smollm3") == 0)
        (void)json_object_set(o, "no_rope_layers", list);
    json_decref(list);
}

ib_status ib_quantize_gguf_config(json_t **out, const ib_config *c, ib_error *err) {
    json_t *scaling = NULL;
    *out = NULL;
    IB_TRY(rope_scaling(&scaling, c, err));
    json_t *o = json_pack(
        "{s:[s], s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:s, s:o, s:o, s:b, s:b, s:b,"
        " s:o, s:o, s:o, s:b}",
        "architectures", c->family->architecture, "model_type", c->model_type, "vocab_size",
        (json_int_t)c->n_vocab, "hidden_size", (json_int_t)c->d_model, "intermediate_size",
        (json_int_t)c->d_ff, "num_hidden_layers", (json_int_t)c->n_layers, "num_attention_heads",
        (json_int_t)c->n_heads, "num_key_value_heads", (json_int_t)c->n_kv_heads, "head_dim",
        (json_int_t)c->head_dim, "max_position_embeddings", (json_int_t)c->n_ctx_max,
        "rms_norm_eps", real_of_f32(c->rms_eps), "hidden_act", "silu", "rope_theta",
        real_of_f32(c->rope.theta), "rope_scaling", scaling, "tie_word_embeddings",
        (int)c->tied_embeddings, "attention_bias", (int)c->bias_qkv, "mlp_bias", (int)c->bias_mlp,
        "bos_token_id", id_or_null(c->bos_id), "eos_token_id", ids_or_one(c->eos_ids, c->n_eos),
        "pad_token_id", id_or_null(c->pad_id), "use_cache", 1);
    if (!o)
        return ib_fail_memory(err, 0, "a configuration");
    add_rope_layers(o, c);
    ib_status st = add_windows(o, c, err);
    if (st == IB_OK)
        *out = o;
    else
        json_decref(o);
    return st;
}
