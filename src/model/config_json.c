/* SPDX-License-Identifier: MIT
 * config.json -> ib_config: what all decoder families have in common; the family's reader adds the
 * rest. Absent keys take the family's default; null means "none" only where the reference reads it
 * so. Switches that would change the result and are not built are refused by name. */
#include "model/config_internal.h"

#include <stdio.h>
#include <string.h>

ib_status ib_config_count(const ib_config_source *s, const char *key, uint64_t fallback,
                          ib_null_rule rule, uint64_t max, uint64_t *out, ib_error *err) {
    const json_t *v = json_object_get(s->json, key);
    int64_t value = 0;
    *out = fallback;
    if (!v)
        return IB_OK;
    if (json_is_null(v) && rule == IB_NULL_IS_ERROR)
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s/%s: found null, expected an integer from 1 to %llu; fix: "
                       "correct the file",
                       s->where, key, (unsigned long long)max);
    IB_TRY(ib_json_get_i64(s->json, key, 0, 1, (int64_t)max, &value, s->where, err));
    *out = (uint64_t)value;
    return IB_OK;
}

/* max_position_embeddings: above the cap it is a resource, not a malformed number. */
static ib_status read_context(ib_config *c, const ib_config_source *s, ib_error *err) {
    IB_TRY(ib_config_count(s, "max_position_embeddings", c->family->defaults.n_ctx_max,
                           IB_NULL_IS_ERROR, INT64_MAX, &c->n_ctx_max, err));
    if (c->n_ctx_max > IB_MAX_POSITIONS)
        return ib_fail(err, IB_E_RESOURCE,
                       "too many positions in %s/max_position_embeddings: %llu, the cap is %llu; "
                       "fix: lower the number in the file",
                       s->where, (unsigned long long)c->n_ctx_max,
                       (unsigned long long)IB_MAX_POSITIONS);
    return IB_OK;
}

static ib_status read_sizes(ib_config *c, const ib_config_source *s, ib_error *err) {
    const ib_family_defaults *d = &c->family->defaults;
    const struct {
        const char *key;
        uint64_t fallback;
        ib_null_rule rule;
        uint64_t max;
        uint64_t *out;
    } fields[] = {
        {"vocab_size", d->n_vocab, IB_NULL_IS_ERROR, IB_MAX_VOCAB, &c->n_vocab},
        {"hidden_size", d->d_model, IB_NULL_IS_ERROR, IB_MAX_D_MODEL, &c->d_model},
        {"intermediate_size", d->d_ff, IB_NULL_IS_ERROR, IB_MAX_D_FF, &c->d_ff},
        {"num_hidden_layers", d->n_layers, IB_NULL_IS_ERROR, IB_MAX_LAYERS, &c->n_layers},
        {"num_attention_heads", d->n_heads, IB_NULL_IS_ERROR, IB_MAX_HEADS, &c->n_heads},
        {"num_key_value_heads", d->n_kv_heads, IB_NULL_IS_ZERO, IB_MAX_HEADS, &c->n_kv_heads},
        {"head_dim", d->head_dim, IB_NULL_IS_ZERO, IB_MAX_HEAD_DIM, &c->head_dim},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        IB_TRY(ib_config_count(s, fields[i].key, fields[i].fallback, fields[i].rule, fields[i].max,
                               fields[i].out, err));
    if (c->n_kv_heads == 0)
        c->n_kv_heads = c->n_heads;
    if (c->head_dim == 0) {
        if (c->d_model % c->n_heads != 0)
            return ib_fail(err, IB_E_FORMAT,
                           "contradiction in %s/hidden_size: %llu is no multiple of %llu attention "
                           "heads and there is no head_dim; fix: correct the file",
                           s->where, (unsigned long long)c->d_model,
                           (unsigned long long)c->n_heads);
        c->head_dim = c->d_model / c->n_heads;
    }
    return read_context(c, s, err);
}

static ib_status read_act(ib_config *c, const ib_config_source *s, ib_error *err) {
    static const struct {
        const char *name;
        ib_act act;
    } acts[] = {{"silu", IB_ACT_SILU},
                {"swish", IB_ACT_SILU},
                {"gelu", IB_ACT_GELU},
                {"gelu_pytorch_tanh", IB_ACT_GELU_TANH},
                {"gelu_new", IB_ACT_GELU_TANH}};
    ib_str name;
    char quoted[IB_QUOTED];
    IB_TRY(ib_json_get_str(s->json, "hidden_act", &name, s->where, err));
    if (!name.ptr)
        name = IB_STR("silu");
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        if (ib_str_is(name, acts[i].name)) {
            c->act = acts[i].act;
            return IB_OK;
        }
    }
    return ib_fail(err, IB_E_UNSUPPORTED,
                   "unknown activation in %s/hidden_act: '%s'; fix: use a model with silu, gelu, "
                   "gelu_new or gelu_pytorch_tanh",
                   s->where, ib_quote(name, quoted));
}

static ib_status read_eos(ib_config *c, const ib_config_source *s, ib_error *err) {
    const json_t *v = json_object_get(s->json, "eos_token_id");
    const size_t room = sizeof c->eos_ids / sizeof c->eos_ids[0];
    if (!v && c->family->defaults.eos_id >= 0)
        /* a default beyond a small vocabulary cannot end anything */
        if ((uint64_t)c->family->defaults.eos_id < c->n_vocab)
            c->eos_ids[c->n_eos++] = c->family->defaults.eos_id;
    if (!v || json_is_null(v))
        return IB_OK;
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (n > room)
        return ib_fail(
            err, IB_E_RESOURCE,
            "too many ids in %s/eos_token_id: %zu, the cap is %zu; fix: correct the file", s->where,
            n, room);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_integer(item))
            return ib_fail(err, IB_E_FORMAT,
                           "bad value in %s/eos_token_id: expected an integer or a list of "
                           "integers; fix: correct the file",
                           s->where);
        c->eos_ids[c->n_eos++] = json_integer_value(item);
    }
    return IB_OK;
}

static ib_status read_special_ids(ib_config *c, const ib_config_source *s, ib_error *err) {
    const ib_family_defaults *d = &c->family->defaults;
    IB_TRY(ib_json_get_i64(s->json, "bos_token_id", d->bos_id, -1, INT32_MAX, &c->bos_id, s->where,
                           err));
    IB_TRY(ib_json_get_i64(s->json, "pad_token_id", d->pad_id, -1, INT32_MAX, &c->pad_id, s->where,
                           err));
    return read_eos(c, s, err);
}

static bool is_companion(ib_str name) {
    static const char *const ends[] = {".absmax", ".quant_map", ".nested_absmax",
                                       ".nested_quant_map", ".SCB"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (ib_str_ends(name, ends[i]))
            return true;
    return false;
}

/* The first floating tensor's type, when config.json names none. */
static ib_type dtype_of_tensors(const ib_checkpoint *ckpt) {
    for (size_t i = 0; ckpt && i < ib_checkpoint_n_tensors(ckpt); i++) {
        const ib_stored_tensor *t = ib_checkpoint_tensor(ckpt, i);
        if ((t->type == IB_TYPE_F32 || t->type == IB_TYPE_F16 || t->type == IB_TYPE_BF16) &&
            !is_companion(t->name))
            return t->type;
    }
    return IB_TYPE_F32;
}

static ib_status read_dtype(ib_config *c, const ib_config_source *s, ib_error *err) {
    const char *key = "dtype";
    ib_str name;
    char quoted[IB_QUOTED];
    IB_TRY(ib_json_get_str(s->json, key, &name, s->where, err));
    if (!name.ptr) {
        key = "torch_dtype";
        IB_TRY(ib_json_get_str(s->json, key, &name, s->where, err));
    }
    if (name.ptr && ib_str_starts(name, "torch."))
        name = (ib_str){name.ptr + 6, name.len - 6};
    if (!name.ptr || ib_str_is(name, "auto"))
        c->file_dtype = dtype_of_tensors(s->ckpt);
    else if (ib_str_is(name, "float32") || ib_str_is(name, "float"))
        c->file_dtype = IB_TYPE_F32;
    else if (ib_str_is(name, "float16") || ib_str_is(name, "half"))
        c->file_dtype = IB_TYPE_F16;
    else if (ib_str_is(name, "bfloat16"))
        c->file_dtype = IB_TYPE_BF16;
    else
        return ib_fail(
            err, IB_E_UNSUPPORTED,
            "unknown number format in %s/%s: '%s'; fix: use float32, float16 or bfloat16", s->where,
            key, ib_quote(name, quoted));
    return IB_OK;
}

/* Switches of the common configuration class that no family here has. */
static ib_status refuse_switches(const ib_config_source *s, ib_error *err) {
    static const char *const flags[] = {"is_encoder_decoder", "add_cross_attention",
                                        "use_bidirectional_attention", "use_mrope"};
    static const char *const objects[] = {"text_config", "vision_config", "audio_config",
                                          "per_layer_config"};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (json_is_true(json_object_get(s->json, flags[i])))
            return ib_fail(err, IB_E_UNSUPPORTED,
                           "unsupported switch in %s/%s: true; fix: use a plain causal decoder",
                           s->where, flags[i]);
    for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++)
        if (json_is_object(json_object_get(s->json, objects[i])))
            return ib_fail(
                err, IB_E_UNSUPPORTED,
                "unsupported part in %s/%s: a nested configuration; fix: use a text-only "
                "model",
                s->where, objects[i]);
    return IB_OK;
}

static ib_status find_family(ib_config *c, const ib_config_source *s, ib_error *err) {
    ib_str type;
    char quoted[IB_QUOTED], list[160];
    IB_TRY(ib_json_get_str(s->json, "model_type", &type, s->where, err));
    if (!type.ptr)
        return ib_fail(err, IB_E_FORMAT,
                       "missing member in %s/model_type; fix: re-download config.json", s->where);
    c->family = ib_family_by_model_type(type);
    if (!c->family)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "unknown model family in %s/model_type: '%s'; fix: use one of %s", s->where,
                       ib_quote(type, quoted), ib_family_list(list, sizeof list));
    (void)snprintf(c->model_type, sizeof c->model_type, "%s", c->family->model_type);
    const json_t *arch = json_array_get(json_object_get(s->json, "architectures"), 0);
    if (json_is_string(arch) && strcmp(json_string_value(arch), c->family->architecture) != 0)
        ib_log_warn(s->log, "%s/architectures names '%s', but model_type %s decides", s->where,
                    ib_quotez(json_string_value(arch), quoted), c->model_type);
    if (json_is_object(json_object_get(s->json, "auto_map")))
        ib_log_info(s->log, "%s/auto_map is ignored: no code of a model is ever run", s->where);
    return IB_OK;
}

static ib_status read_all(ib_config *c, const ib_config_source *s, ib_error *err) {
    IB_TRY(find_family(c, s, err));
    IB_TRY(refuse_switches(s, err));
    IB_TRY(read_sizes(c, s, err));
    IB_TRY(ib_json_get_double(s->json, "rms_norm_eps", c->family->defaults.rms_eps, &c->rms_eps,
                              s->where, err));
    IB_TRY(ib_json_get_bool(s->json, "tie_word_embeddings", c->family->defaults.tied_embeddings,
                            &c->tied_embeddings, s->where, err));
    IB_TRY(read_act(c, s, err));
    IB_TRY(read_special_ids(c, s, err));
    IB_TRY(read_dtype(c, s, err));
    IB_TRY(ib_bnb_config_read(&c->bnb, s->json, s->where, err));
    IB_TRY(ib_config_new_layers(c, err));
    IB_TRY(c->family->read_json(c, s, err));
    IB_TRY(ib_config_rope_from_json(c, s, err));
    return ib_config_check(c, s, err);
}

ib_status ib_config_from_json(ib_config *out, const json_t *config, ib_checkpoint *ckpt,
                              const char *where, const ib_log *log, ib_error *err) {
    char quoted[IB_QUOTED], at[IB_QUOTED + 8];
    (void)snprintf(at, sizeof at, "%s at ", ib_quotez(where, quoted));
    ib_config_source source = {.json = config, .where = at, .ckpt = ckpt, .log = log};
    memset(out, 0, sizeof *out);
    if (!json_is_object(config))
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s/: expected an object; fix: re-download config.json", at);
    out->norm_kind = IB_NORM_LLAMA;
    out->embedding_multiplier = out->residual_multiplier = out->logit_scale = 1;
    ib_status st = read_all(out, &source, err);
    if (st == IB_OK && out->attention_scale == 0)
        out->attention_scale = ib_default_attention_scale(out->head_dim);
    if (st != IB_OK)
        ib_config_clear(out);
    return st;
}
