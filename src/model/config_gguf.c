/* SPDX-License-Identifier: MIT
 * GGUF metadata -> ib_config. Key names are "<architecture>.<name>"; sizes that the tensors tell
 * (vocabulary, biases, a separate output matrix) are read from the tensors. */
#include "model/config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *key_of(const ib_config_source *s, const char *name, char *out, size_t size) {
    (void)snprintf(out, size, "%s.%s", s->arch, name);
    return out;
}

/* A required positive integer (fallback 0), or an optional one. */
static ib_status get_count(const ib_config_source *s, const char *name, uint64_t fallback,
                           uint64_t max, uint64_t *out, ib_error *err) {
    char key[128];
    int64_t value = 0;
    key_of(s, name, key, sizeof key);
    if (!ib_gguf_find(s->gguf, key) && fallback == 0)
        return ib_fail(err, IB_E_FORMAT, "missing key in %s%s; fix: re-download the file", s->where,
                       key);
    IB_TRY(ib_gguf_get_i64(s->gguf, key, (int64_t)fallback, 1, (int64_t)max, &value, err));
    *out = (uint64_t)value;
    return IB_OK;
}

/* head_count may be one number, or a list with the same number for every layer. */
static ib_status get_heads(const ib_config *c, const ib_config_source *s, const char *name,
                           uint64_t fallback, uint64_t *out, ib_error *err) {
    char key[128];
    const ib_gguf_value *v = ib_gguf_find(s->gguf, key_of(s, name, key, sizeof key));
    if (!v || v->type != IB_GGUF_ARRAY)
        return get_count(s, name, fallback, IB_MAX_HEADS, out, err);
    if (v->n != c->n_layers)
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s%s: %llu numbers for %llu layers; fix: re-download the file",
                       s->where, key, (unsigned long long)v->n, (unsigned long long)c->n_layers);
    int64_t *list = calloc((size_t)c->n_layers, sizeof *list);
    if (!list)
        return ib_fail_memory(err, (size_t)c->n_layers * sizeof *list, "head counts");
    ib_status st = ib_gguf_ints(v, list, err);
    for (uint64_t i = 1; st == IB_OK && i < c->n_layers; i++)
        if (list[i] != list[0])
            st = ib_fail(err, IB_E_UNSUPPORTED,
                         "layers differ in %s%s: %lld and %lld; fix: use a model with the same "
                         "number of heads in every layer",
                         s->where, key, (long long)list[0], (long long)list[i]);
    if (st == IB_OK && (list[0] < 1 || list[0] > (int64_t)IB_MAX_HEADS))
        st = ib_fail(err, IB_E_FORMAT, "bad value in %s%s: %lld; fix: re-download the file",
                     s->where, key, (long long)list[0]);
    if (st == IB_OK)
        *out = (uint64_t)list[0];
    free(list);
    return st;
}

static ib_status read_vocab(ib_config *c, const ib_config_source *s, ib_error *err) {
    const ib_stored_tensor *t = ib_checkpoint_find(s->ckpt, "token_embd.weight");
    if (!t || t->n_dims != 2 || t->shape[0] < 1 || t->shape[0] > IB_MAX_VOCAB)
        return ib_fail(err, IB_E_FORMAT,
                       "%s tensor 'token_embd.weight' in %s; fix: re-download the file",
                       t ? "bad shape of" : "missing", s->where);
    c->n_vocab = t->shape[0];
    return IB_OK;
}

static ib_status read_sizes(ib_config *c, const ib_config_source *s, ib_error *err) {
    uint64_t value_dim = 0;
    IB_TRY(read_vocab(c, s, err));
    IB_TRY(get_count(s, "embedding_length", 0, IB_MAX_D_MODEL, &c->d_model, err));
    IB_TRY(get_count(s, "feed_forward_length", 0, IB_MAX_D_FF, &c->d_ff, err));
    IB_TRY(get_count(s, "block_count", 0, IB_MAX_LAYERS, &c->n_layers, err));
    IB_TRY(get_count(s, "context_length", 0, IB_MAX_POSITIONS, &c->n_ctx_max, err));
    IB_TRY(get_heads(c, s, "attention.head_count", 0, &c->n_heads, err));
    IB_TRY(get_heads(c, s, "attention.head_count_kv", c->n_heads, &c->n_kv_heads, err));
    uint64_t derived = c->d_model / c->n_heads;
    IB_TRY(get_count(s, "attention.key_length", derived ? derived : 1, IB_MAX_HEAD_DIM,
                     &c->head_dim, err));
    IB_TRY(get_count(s, "attention.value_length", c->head_dim, IB_MAX_HEAD_DIM, &value_dim, err));
    if (value_dim != c->head_dim)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "keys and values differ in %s%s.attention.value_length: %llu and %llu; fix: "
                       "use a model with one head size",
                       s->where, s->arch, (unsigned long long)c->head_dim,
                       (unsigned long long)value_dim);
    return IB_OK;
}

static ib_status read_ids(ib_config *c, const ib_config_source *s, ib_error *err) {
    int64_t id = -1;
    IB_TRY(ib_gguf_get_i64(s->gguf, "tokenizer.ggml.bos_token_id", -1, -1, INT32_MAX, &c->bos_id,
                           err));
    IB_TRY(ib_gguf_get_i64(s->gguf, "tokenizer.ggml.padding_token_id", -1, -1, INT32_MAX,
                           &c->pad_id, err));
    static const char *const eos[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"};
    for (size_t i = 0; i < 2; i++) {
        IB_TRY(ib_gguf_get_i64(s->gguf, eos[i], -1, -1, INT32_MAX, &id, err));
        if (id >= 0)
            c->eos_ids[c->n_eos++] = id;
    }
    return IB_OK;
}

static ib_status refuse_experts(const ib_config_source *s, ib_error *err) {
    char key[128];
    int64_t n = 0;
    IB_TRY(ib_gguf_get_i64(s->gguf, key_of(s, "expert_count", key, sizeof key), 0, 0, INT32_MAX, &n,
                           err));
    if (n > 0)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "mixture of experts in %s%s: %lld; fix: use a dense model", s->where, key,
                       (long long)n);
    return IB_OK;
}

static ib_status read_all(ib_config *c, ib_config_source *s, ib_str arch, ib_error *err) {
    char quoted[IB_QUOTED], list[160], key[128];
    if (!arch.ptr)
        return ib_fail(err, IB_E_FORMAT,
                       "missing key in %sgeneral.architecture; fix: re-download the file",
                       s->where);
    c->family = ib_family_by_gguf_arch(arch);
    if (!c->family)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "unknown architecture in %sgeneral.architecture: '%s'; fix: use one of %s",
                       s->where, ib_quote(arch, quoted), ib_family_list(list, sizeof list));
    s->arch = c->family->gguf_arch;
    (void)snprintf(c->model_type, sizeof c->model_type, "%s", c->family->model_type);
    IB_TRY(refuse_experts(s, err));
    IB_TRY(read_sizes(c, s, err));
    key_of(s, "attention.layer_norm_rms_epsilon", key, sizeof key);
    IB_TRY(ib_gguf_get_f64(s->gguf, key, c->family->defaults.rms_eps, &c->rms_eps, err));
    IB_TRY(read_ids(c, s, err));
    c->act = IB_ACT_SILU;
    c->file_dtype = IB_TYPE_F32;
    c->tied_embeddings = !ib_checkpoint_has(s->ckpt, "output.weight");
    IB_TRY(ib_config_new_layers(c, err));
    IB_TRY(c->family->read_gguf(c, s, err));
    IB_TRY(ib_config_rope_from_gguf(c, s, err));
    return ib_config_check(c, s, err);
}

ib_status ib_config_from_gguf(ib_config *out, ib_checkpoint *ckpt, const ib_log *log,
                              ib_error *err) {
    char quoted[IB_QUOTED], at[IB_QUOTED + 8];
    ib_str arch;
    memset(out, 0, sizeof *out);
    (void)snprintf(at, sizeof at, "%s at ", ib_quotez(ib_checkpoint_file(ckpt, 0), quoted));
    ib_config_source source = {
        .gguf = ib_checkpoint_gguf(ckpt), .where = at, .ckpt = ckpt, .log = log};
    if (!source.gguf)
        return ib_fail(err, IB_E_INTERNAL, "%sno GGUF metadata", at);
    out->from_gguf = true;
    out->norm_kind = IB_NORM_LLAMA;
    out->embedding_multiplier = out->residual_multiplier = out->logit_scale = 1;
    ib_status st = ib_gguf_get_str(source.gguf, "general.architecture", &arch, err);
    if (st == IB_OK)
        st = read_all(out, &source, arch, err);
    if (st == IB_OK && out->attention_scale == 0)
        out->attention_scale = ib_default_attention_scale(out->head_dim);
    if (st != IB_OK)
        ib_config_clear(out);
    return st;
}
