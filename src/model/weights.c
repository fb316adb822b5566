/* SPDX-License-Identifier: MIT
 * Three passes over what the family's name table asks for. The first looks at every tensor
 * (present? shape? type?) and moves nothing, so that a wrong file is refused before memory is
 * spent. The second looks at what the file holds beyond that. The third places matrices and vectors
 * on the device. */
#include "model/weights.h"

#include "base/checked.h"
#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 160, ALIGN_FLOATS = 16 };

static const ib_role linear_roles[] = {IB_ROLE_Q,    IB_ROLE_K,  IB_ROLE_V,   IB_ROLE_O,
                                       IB_ROLE_GATE, IB_ROLE_UP, IB_ROLE_DOWN};
static const ib_role norm_roles[] = {IB_ROLE_ATTN_NORM, IB_ROLE_MLP_NORM, IB_ROLE_Q_NORM,
                                     IB_ROLE_K_NORM};
enum { N_LINEAR = 7, N_NORM = 4 };

typedef struct loader {
    ib_model *m;
    ib_checkpoint *ckpt;
    ib_map used; /* names of tensors that the model takes */
    ib_matrix embed, head;
    bool tied;
    ib_matrix *linears; /* owned [n_layers * N_LINEAR] */
    float *vectors;     /* owned [n_vectors]; NULL while they are only counted */
    size_t n_vectors;   /* floats so far */
    size_t n_nibble, n_int8;
} loader;

static const char *file_of(const loader *l, char out[IB_QUOTED]) {
    return ib_quotez(ib_checkpoint_file(l->ckpt, 0), out);
}

static bool name_of(const loader *l, ib_role role, uint64_t layer, const char *suffix, char *out) {
    const ib_config *c = &l->m->config;
    return ib_family_tensor(c->family, c->from_gguf, role, layer, suffix, out, NAME);
}

static ib_status missing(const loader *l, const char *name, ib_error *err) {
    char file[IB_QUOTED], quoted[IB_QUOTED];
    return ib_fail(
        err, IB_E_FORMAT,
        "missing tensor '%s' in %s: the configuration asks for %llu layers of family %s; "
        "fix: re-download the model, or correct its configuration",
        ib_quotez(name, quoted), file_of(l, file), (unsigned long long)l->m->config.n_layers,
        l->m->config.model_type);
}

/* Marks the tensor as taken; *t NULL when it is not there. */
static ib_status take(loader *l, const char *name, const ib_stored_tensor **t, ib_error *err) {
    *t = ib_checkpoint_find(l->ckpt, name);
    return *t ? ib_map_put(&l->used, (*t)->name, 1, NULL, err) : IB_OK;
}

void ib_weights_role_shape(const ib_config *c, ib_role role, uint64_t *rows, uint64_t *cols) {
    const uint64_t q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    *rows = role == IB_ROLE_Q                               ? q
            : role == IB_ROLE_K || role == IB_ROLE_V        ? kv
            : role == IB_ROLE_GATE || role == IB_ROLE_UP    ? c->d_ff
            : role == IB_ROLE_EMBED || role == IB_ROLE_HEAD ? c->n_vocab
                                                            : c->d_model;
    *cols = role == IB_ROLE_O ? q : role == IB_ROLE_DOWN ? c->d_ff : c->d_model;
}

bool ib_weights_role_has_bias(const ib_config *c, ib_role role) {
    switch (role) {
    case IB_ROLE_Q:
    case IB_ROLE_K:
    case IB_ROLE_V:
        return c->bias_qkv;
    case IB_ROLE_O:
        return c->bias_o;
    case IB_ROLE_GATE:
    case IB_ROLE_UP:
    case IB_ROLE_DOWN:
        return c->bias_mlp;
    default:
        return false;
    }
}

/* Whether the device can use the matrix for what it is for. */
static ib_status check_matrix(const loader *l, const ib_matrix *mat, ib_role role, const char *name,
                              ib_error *err) {
    const bool table = role == IB_ROLE_EMBED;
    const bool quantized =
        mat->type == IB_TYPE_NF4 || mat->type == IB_TYPE_FP4 || mat->type == IB_TYPE_INT8;
    char quoted[IB_QUOTED], file[IB_QUOTED];
    if (table && quantized)
        return ib_fail(err, IB_E_FORMAT,
                       "quantized embedding table '%s' in %s: %s; fix: quantize linear layers only",
                       ib_quotez(name, quoted), file_of(l, file), ib_type_name(mat->type));
    ib_status st = l->m->backend->supports(l->m->device, table ? IB_OP_EMBED : IB_OP_LINEAR,
                                           mat->type, (size_t)mat->n_cols, err);
    return st == IB_OK ? IB_OK : ib_context(err, st, "tensor '%s'", ib_quotez(name, quoted));
}

static ib_status find_matrix(loader *l, ib_role role, uint64_t layer, ib_matrix *out,
                             ib_error *err) {
    const ib_config *c = &l->m->config;
    char module[NAME], name[NAME];
    const ib_stored_tensor *t = NULL;
    uint64_t rows = 0, cols = 0;
    if (!name_of(l, role, layer, "", module) || !name_of(l, role, layer, ".weight", name))
        return ib_fail(err, IB_E_INTERNAL, "no name for part %d of family %s", (int)role,
                       c->model_type);
    IB_TRY(take(l, name, &t, err));
    if (!t)
        return missing(l, name, err);
    ib_weights_role_shape(c, role, &rows, &cols);
    IB_TRY(ib_checkpoint_matrix(l->ckpt, module, &c->bnb, rows, cols, out, err));
    l->n_nibble += out->type == IB_TYPE_NF4 || out->type == IB_TYPE_FP4;
    l->n_int8 += out->type == IB_TYPE_INT8;
    if (out->type == IB_TYPE_INT8 && out->threshold > 0)
        l->m->whole_prompt = true;
    return check_matrix(l, out, role, name, err);
}

/* First call of a name: counts room; with l->vectors: reads into it. *out is its place. */
static ib_status find_vector(loader *l, ib_role role, uint64_t layer, const char *suffix,
                             uint64_t n, ib_tensor *out, ib_error *err) {
    char name[NAME];
    const ib_stored_tensor *t = NULL;
    if (!name_of(l, role, layer, suffix, name))
        return ib_fail(err, IB_E_INTERNAL, "no name for part %d of family %s", (int)role,
                       l->m->config.model_type);
    IB_TRY(take(l, name, &t, err));
    if (!t)
        return missing(l, name, err);
    char quoted[IB_QUOTED], file[IB_QUOTED];
    if (t->n_dims != 1 || t->shape[0] != n)
        return ib_fail(err, IB_E_FORMAT,
                       "wrong shape of tensor '%s' in %s: expected [%llu], found %u dimensions and "
                       "%llu elements; fix: re-download the model",
                       ib_quotez(name, quoted), file_of(l, file), (unsigned long long)n, t->n_dims,
                       (unsigned long long)t->n_elements);
    if (l->vectors)
        IB_TRY(ib_checkpoint_vector(l->ckpt, name, n, l->vectors + l->n_vectors, err));
    else
        l->m->bytes_by_type[t->type] += t->n_bytes;
    *out = (ib_tensor){.buffer = l->m->vectors,
                       .offset = l->n_vectors * sizeof(float),
                       .type = IB_TYPE_F32,
                       .n_rows = 1,
                       .n_cols = (size_t)n};
    l->n_vectors += (size_t)ib_ceil_div(n, ALIGN_FLOATS) * ALIGN_FLOATS;
    if (!l->vectors) {
        l->m->n_params += n;
        l->m->step.scales += n * sizeof(float);
    }
    return IB_OK;
}

static ib_linear *linear_of(ib_layer *layer, ib_role role) {
    ib_linear *const all[N_LINEAR] = {&layer->q,    &layer->k,  &layer->v,   &layer->o,
                                      &layer->gate, &layer->up, &layer->down};
    for (size_t i = 0; i < N_LINEAR; i++)
        if (linear_roles[i] == role)
            return all[i];
    return NULL;
}

/* All norm weights and biases, in one order; run once to count and once to read. */
static ib_status walk_vectors(loader *l, ib_error *err) {
    ib_model *m = l->m;
    const ib_config *c = &m->config;
    l->n_vectors = 0;
    for (uint64_t i = 0; i < c->n_layers; i++) {
        ib_layer *layer = &m->layers[i];
        ib_tensor *const norms[N_NORM] = {&layer->attn_norm, &layer->mlp_norm, &layer->q_norm,
                                          &layer->k_norm};
        for (size_t j = 0; j < N_NORM; j++) {
            const bool per_head =
                norm_roles[j] == IB_ROLE_Q_NORM || norm_roles[j] == IB_ROLE_K_NORM;
            if (!per_head || c->qk_norm)
                IB_TRY(find_vector(l, norm_roles[j], i, ".weight",
                                   per_head ? c->head_dim : c->d_model, norms[j], err));
        }
        for (size_t j = 0; j < N_LINEAR; j++) {
            uint64_t rows = 0, cols = 0;
            ib_weights_role_shape(c, linear_roles[j], &rows, &cols);
            if (ib_weights_role_has_bias(c, linear_roles[j]))
                IB_TRY(find_vector(l, linear_roles[j], i, ".bias", rows,
                                   &linear_of(layer, linear_roles[j])->bias, err));
        }
    }
    return find_vector(l, IB_ROLE_FINAL_NORM, 0, ".weight", c->d_model, &m->final_norm, err);
}

static bool same_payload(const ib_matrix *a, const ib_matrix *b) {
    return a->type == b->type && a->data_bytes == b->data_bytes &&
           (a->data == b->data || memcmp(a->data, b->data, (size_t)a->data_bytes) == 0);
}

/* Which matrices serve as embedding table and as output head. With the flag set and both stored,
 * the reference ties them only when they are equal. */
static ib_status find_ends(loader *l, ib_error *err) {
    const ib_config *c = &l->m->config;
    char embed[NAME], head[NAME];
    if (!name_of(l, IB_ROLE_EMBED, 0, ".weight", embed) ||
        !name_of(l, IB_ROLE_HEAD, 0, ".weight", head))
        return ib_fail(err, IB_E_INTERNAL, "family %s has no embedding", c->model_type);
    const bool has_embed = ib_checkpoint_has(l->ckpt, embed);
    const bool has_head = ib_checkpoint_has(l->ckpt, head);
    const bool swap = c->tied_embeddings && has_head && !has_embed;
    IB_TRY(find_matrix(l, swap ? IB_ROLE_HEAD : IB_ROLE_EMBED, 0, &l->embed, err));
    l->tied = c->tied_embeddings;
    l->head = l->embed;
    if (swap)
        return check_matrix(l, &l->embed, IB_ROLE_EMBED, head, err);
    if (c->tied_embeddings && !has_head)
        return check_matrix(l, &l->head, IB_ROLE_HEAD, embed, err);
    IB_TRY(find_matrix(l, IB_ROLE_HEAD, 0, &l->head, err));
    if (l->tied && !same_payload(&l->embed, &l->head)) {
        l->tied = false;
        ib_log_warn(l->m->log,
                    "tie_word_embeddings is true, but '%s' and '%s' differ: each is used "
                    "for its own end",
                    embed, head);
    }
    return IB_OK;
}

/* quantization_config against what the tensors are. */
static ib_status check_quantization(const loader *l, ib_error *err) {
    const ib_bnb_config *q = &l->m->config.bnb;
    const char *says = NULL, *are = NULL;
    char file[IB_QUOTED];
    if (l->m->config.from_gguf)
        return IB_OK;
    if (q->load_in_4bit && l->n_nibble == 0)
        says = "4-bit weights", are = "no tensor is";
    else if (q->load_in_8bit && l->n_int8 == 0)
        says = "8-bit weights", are = "no tensor is";
    else if (!q->present && l->n_nibble + l->n_int8 > 0)
        says = "no quantization", are = "tensors are quantized";
    if (!says)
        return IB_OK;
    return ib_fail(err, IB_E_FORMAT,
                   "contradiction in %s: quantization_config says %s, but %s; fix: re-download the "
                   "model, or correct config.json",
                   file_of(l, file), says, are);
}

static void count_matrix(ib_model *m, const ib_matrix *mat) {
    m->n_params += mat->n_rows * mat->n_cols;
    m->bytes_by_type[mat->type] += ib_matrix_bytes(mat);
}

static ib_status look(loader *l, ib_error *err) {
    ib_model *m = l->m;
    const uint64_t n = m->config.n_layers;
    IB_TRY(find_ends(l, err));
    for (uint64_t i = 0; i < n * N_LINEAR; i++) {
        ib_matrix *mat = &l->linears[i];
        IB_TRY(find_matrix(l, linear_roles[i % N_LINEAR], i / N_LINEAR, mat, err));
        count_matrix(m, mat);
        m->step.weights += mat->data_bytes;
        m->step.scales += ib_matrix_bytes(mat) - mat->data_bytes;
    }
    IB_TRY(walk_vectors(l, err));
    count_matrix(m, &l->embed);
    if (!l->tied)
        count_matrix(m, &l->head);
    m->step.weights += l->embed.data_bytes / l->embed.n_rows;
    m->step.head = ib_matrix_bytes(&l->head);
    return check_quantization(l, err);
}

/* The module's weight that a companion tensor ("x.weight.absmax", "x.SCB", "x.bias") belongs to. */
static bool owner_taken(const loader *l, ib_str name, const char *tail) {
    char owner[NAME];
    uint64_t value = 0;
    const size_t cut = name.len - strlen(tail);
    if (cut + sizeof ".weight" > sizeof owner)
        return false;
    memcpy(owner, name.ptr, cut);
    memcpy(owner + cut, ".weight", sizeof ".weight");
    return ib_map_get(&l->used, ib_str_of(owner), &value);
}

static bool is_companion(const loader *l, ib_str name) {
    static const char *const tails[] = {".weight.absmax",
                                        ".weight.quant_map",
                                        ".weight.nested_absmax",
                                        ".weight.nested_quant_map",
                                        ".SCB",
                                        ".weight_format",
                                        ".weight.quant_state.bitsandbytes__nf4",
                                        ".weight.quant_state.bitsandbytes__fp4"};
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++)
        if (ib_str_ends(name, tails[i]) && owner_taken(l, name, tails[i]))
            return true;
    return ib_str_ends(name, ".rotary_emb.inv_freq") || ib_str_is(name, "rope_freqs.weight");
}

/* Tensors nobody asked for: a warning, as they cannot change the result; a bias that the
 * configuration denies would, and is an error. */
static ib_status look_beyond(loader *l, ib_error *err) {
    char first[IB_QUOTED] = "", quoted[IB_QUOTED], file[IB_QUOTED];
    size_t n = 0;
    for (size_t i = 0; i < ib_checkpoint_n_tensors(l->ckpt); i++) {
        const ib_str name = ib_checkpoint_tensor(l->ckpt, i)->name;
        uint64_t value = 0;
        if (ib_map_get(&l->used, name, &value) || is_companion(l, name))
            continue;
        if (ib_str_ends(name, ".bias") && owner_taken(l, name, ".bias"))
            return ib_fail(err, IB_E_FORMAT,
                           "unexpected bias '%s' in %s: the configuration says that there is none; "
                           "fix: correct attention_bias or mlp_bias in config.json",
                           ib_quote(name, quoted), file_of(l, file));
        if (n++ == 0)
            ib_quote(name, first);
    }
    if (n > 0)
        ib_log_warn(l->m->log, "%zu tensors of %s are not used by family %s, the first is '%s'", n,
                    file_of(l, file), l->m->config.model_type, first);
    return IB_OK;
}

static ib_status place_vectors(loader *l, ib_error *err) {
    ib_model *m = l->m;
    const size_t bytes = l->n_vectors * sizeof(float);
    l->vectors = calloc(l->n_vectors, sizeof *l->vectors);
    if (!l->vectors)
        return ib_fail_memory(err, bytes, "norm weights and biases");
    IB_TRY(m->backend->buffer_new(m->device, &m->vectors, bytes, IB_MEM_WEIGHTS, err));
    IB_TRY(walk_vectors(l, err));
    return m->backend->upload(m->device, m->vectors, 0, l->vectors, bytes, err);
}

static ib_status place_matrices(loader *l, ib_error *err) {
    ib_model *m = l->m;
    const ib_backend *b = m->backend;
    IB_TRY(b->weight_new(m->device, &m->embed, &l->embed, true, err));
    for (uint64_t i = 0; i < m->config.n_layers * N_LINEAR; i++) {
        ib_linear *to = linear_of(&m->layers[i / N_LINEAR], linear_roles[i % N_LINEAR]);
        to->bytes = ib_matrix_bytes(&l->linears[i]);
        to->n_elements = l->linears[i].n_rows * l->linears[i].n_cols;
        ib_status st = b->weight_new(m->device, &to->weight, &l->linears[i], true, err);
        if (st != IB_OK)
            return ib_context(err, st, "loading layer %llu", (unsigned long long)(i / N_LINEAR));
    }
    if (l->tied) {
        m->head = m->embed;
        return IB_OK;
    }
    return b->weight_new(m->device, &m->head, &l->head, true, err);
}

ib_status ib_weights_load(ib_model *m, ib_checkpoint *ckpt, ib_error *err) {
    loader l = {.m = m, .ckpt = ckpt};
    const size_t n = (size_t)m->config.n_layers;
    ib_map_init(&l.used);
    m->layers = calloc(n, sizeof *m->layers);
    l.linears = calloc(n * N_LINEAR, sizeof *l.linears);
    ib_status st = IB_OK;
    if (!m->layers || !l.linears)
        st = ib_fail_memory(err, n * N_LINEAR * sizeof *l.linears, "the list of weights");
    if (st == IB_OK)
        st = look(&l, err);
    if (st == IB_OK)
        st = look_beyond(&l, err);
    if (st == IB_OK)
        st = place_vectors(&l, err);
    if (st == IB_OK)
        st = place_matrices(&l, err);
    ib_map_clear(&l.used);
    free(l.linears);
    free(l.vectors);
    return st;
}
