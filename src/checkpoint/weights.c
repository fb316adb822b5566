/* SPDX-License-Identifier: MIT
 * Tensors as what a model wants: matrices with their scales, vectors widened to fp32. Here a stored
 * type meets its expected use, so here a wrong one is refused. */
#include "base/checked.h"
#include "checkpoint/private.h"

#include <math.h>
#include <string.h>

enum { TENSOR_NAME = IB_CAP_NAME + 64 };

const ib_stored_tensor *ib_checkpoint_sibling(const ib_checkpoint *c, ib_str base,
                                              const char *suffix) {
    char name[TENSOR_NAME];
    size_t n = strlen(suffix);
    uint64_t i;
    if (base.len + n > sizeof name)
        return NULL;
    memcpy(name, base.ptr, base.len);
    memcpy(name + base.len, suffix, n);
    return ib_map_get(&c->by_name, (ib_str){name, base.len + n}, &i) ? &c->tensors[i] : NULL;
}

const float *ib_checkpoint_floats(ib_checkpoint *c, const ib_stored_tensor *t, ib_error *err) {
    if ((uintptr_t)t->data % sizeof(float) == 0)
        return t->data;
    float *copy = ib_arena_alloc(&c->arena, (size_t)t->n_bytes, err);
    if (copy)
        memcpy(copy, t->data, (size_t)t->n_bytes);
    return copy;
}

static const char *path_of(const ib_checkpoint *c, const ib_stored_tensor *t, char out[IB_QUOTED]) {
    return ib_quotez(c->files[t->file].path, out);
}

static ib_status fail_missing(const ib_checkpoint *c, const char *name, ib_error *err) {
    char quoted[IB_QUOTED], path[IB_QUOTED];
    return ib_fail(err, IB_E_FORMAT,
                   "tensor '%s' is missing in '%s'%s; fix: download the model again, or check that "
                   "config.json belongs to it",
                   ib_quotez(name, quoted), ib_quotez(c->n_files ? c->files[0].path : "", path),
                   c->n_files > 1 ? " and its other files" : "");
}

/* The dtype rule of weights: integers are a wrong file, exotic floats are not supported. */
static ib_status fail_type(const ib_checkpoint *c, const ib_stored_tensor *t, ib_error *err) {
    char name[IB_QUOTED], path[IB_QUOTED];
    bool exotic = t->type == IB_TYPE_F64 ||
                  (t->type >= IB_TYPE_F8_E4M3 && !ib_matrix_type_supported(t->type));
    if (exotic)
        return ib_fail(
            err, IB_E_UNSUPPORTED,
            "tensor '%s' in '%s' has dtype %s, which is not supported; fix: convert it to "
            "F32, F16 or BF16",
            ib_quote(t->name, name), path_of(c, t, path), ib_type_name(t->type));
    return ib_fail(err, IB_E_FORMAT,
                   "tensor '%s' in '%s' has dtype %s, expected F32, F16 or BF16; fix: download the "
                   "model again",
                   ib_quote(t->name, name), path_of(c, t, path), ib_type_name(t->type));
}

static ib_status check_scb(const ib_checkpoint *c, const ib_stored_tensor *weight,
                           const ib_stored_tensor *scb, const float *values, ib_error *err) {
    char name[IB_QUOTED], path[IB_QUOTED];
    for (uint64_t i = 0; i < scb->n_elements; i++)
        if (!(isfinite(values[i]) && values[i] >= 0))
            return ib_fail(err, IB_E_FORMAT,
                           "int8 weight '%s' in '%s': SCB holds %g at row %llu; fix: download the "
                           "model again",
                           ib_quote(weight->name, name), path_of(c, weight, path),
                           (double)values[i], (unsigned long long)i);
    return IB_OK;
}

/* weight_format: 0 (rows) or absent; 1 to 3 are the tile layouts of old GPUs. */
static ib_status check_layout(const ib_checkpoint *c, const ib_stored_tensor *weight, ib_str module,
                              ib_error *err) {
    const ib_stored_tensor *format = ib_checkpoint_sibling(c, module, ".weight_format");
    char name[IB_QUOTED], path[IB_QUOTED];
    if (!format)
        return IB_OK;
    (void)ib_quote(weight->name, name);
    if (format->type != IB_TYPE_U8 || format->n_elements != 1)
        return ib_fail(
            err, IB_E_FORMAT,
            "int8 weight '%s' in '%s': weight_format is not one U8; fix: download the model "
            "again",
            name, path_of(c, weight, path));
    unsigned value = *(const unsigned char *)format->data;
    if (value == 0)
        return IB_OK;
    return ib_fail(
        err, value <= 3 ? IB_E_UNSUPPORTED : IB_E_FORMAT,
        "int8 weight '%s' in '%s': weight_format is %u, supported is 0 (rows); fix: save "
        "the model again with a current bitsandbytes",
        name, path_of(c, weight, path), value);
}

static ib_status int8_matrix(ib_checkpoint *c, const ib_stored_tensor *weight, ib_str module,
                             const ib_bnb_config *bnb, ib_matrix *out, ib_error *err) {
    char name[IB_QUOTED], path[IB_QUOTED];
    const ib_stored_tensor *scb = ib_checkpoint_sibling(c, module, ".SCB");
    IB_TRY(check_layout(c, weight, module, err));
    if (!scb || scb->type != IB_TYPE_F32 || scb->n_elements != out->n_rows)
        return ib_fail(err, IB_E_FORMAT,
                       "int8 weight '%s' in '%s': its SCB tensor %s (F32 [%llu] expected); fix: "
                       "download the model again",
                       ib_quote(weight->name, name), path_of(c, weight, path),
                       scb ? "has another type or length" : "is missing",
                       (unsigned long long)out->n_rows);
    out->scb = ib_checkpoint_floats(c, scb, err);
    if (!out->scb)
        return IB_E_RESOURCE;
    out->type = IB_TYPE_INT8;
    out->threshold = bnb ? (float)bnb->int8_threshold : 6.0f;
    return check_scb(c, weight, scb, out->scb, err);
}

/* config.json and tensors must tell the same story. */
static ib_status check_announced(const ib_checkpoint *c, const ib_stored_tensor *weight,
                                 const ib_matrix *m, const ib_bnb_config *bnb, ib_error *err) {
    char name[IB_QUOTED], path[IB_QUOTED];
    bool is8 = m->type == IB_TYPE_INT8, is4 = m->type == IB_TYPE_NF4 || m->type == IB_TYPE_FP4;
    if (!bnb || (!is8 && !is4) || (is8 ? bnb->load_in_8bit : bnb->load_in_4bit))
        return IB_OK;
    return ib_fail(err, IB_E_FORMAT,
                   "weight '%s' in '%s' is %s, but quantization_config in config.json does not say "
                   "load_in_%s; fix: download the model again",
                   ib_quote(weight->name, name), path_of(c, weight, path), ib_type_name(m->type),
                   is8 ? "8bit" : "4bit");
}

static ib_status plain_matrix(ib_checkpoint *c, const ib_stored_tensor *t, ib_str module,
                              const ib_bnb_config *bnb, ib_matrix *out, ib_error *err) {
    char name[IB_QUOTED], path[IB_QUOTED];
    if (t->n_dims != 2 || t->n_elements == 0)
        return ib_fail(err, IB_E_FORMAT,
                       "tensor '%s' in '%s' has rank %u and %llu elements, expected a matrix; fix: "
                       "check that config.json belongs to the weights",
                       ib_quote(t->name, name), path_of(c, t, path), t->n_dims,
                       (unsigned long long)t->n_elements);
    *out = (ib_matrix){.type = t->type,
                       .n_rows = t->shape[0],
                       .n_cols = t->shape[1],
                       .data = t->data,
                       .data_bytes = t->n_bytes};
    if (t->type == IB_TYPE_I8 && c->kind == IB_CHECKPOINT_SAFETENSORS)
        return int8_matrix(c, t, module, bnb, out, err);
    return ib_matrix_type_supported(t->type) ? IB_OK : fail_type(c, t, err);
}

ib_status ib_checkpoint_matrix_any(ib_checkpoint *c, const char *module, const ib_bnb_config *bnb,
                                   ib_matrix *out, ib_error *err) {
    const ib_str base = ib_str_of(module);
    const ib_stored_tensor *t = ib_checkpoint_sibling(c, base, ".weight");
    char name[TENSOR_NAME];
    bool packed = false;
    *out = (ib_matrix){0};
    if (!t) {
        (void)snprintf(name, sizeof name, "%s.weight", module);
        return fail_missing(c, name, err);
    }
    if (c->kind == IB_CHECKPOINT_SAFETENSORS)
        IB_TRY(ib_checkpoint_4bit(c, t, out, &packed, err));
    if (!packed)
        IB_TRY(plain_matrix(c, t, base, bnb, out, err));
    return check_announced(c, t, out, bnb, err);
}

ib_status ib_checkpoint_matrix(ib_checkpoint *c, const char *module, const ib_bnb_config *bnb,
                               uint64_t n_rows, uint64_t n_cols, ib_matrix *out, ib_error *err) {
    char name[IB_QUOTED], path[IB_QUOTED];
    IB_TRY(ib_checkpoint_matrix_any(c, module, bnb, out, err));
    if (out->n_rows == n_rows && out->n_cols == n_cols)
        return IB_OK;
    const ib_stored_tensor *t = ib_checkpoint_sibling(c, ib_str_of(module), ".weight");
    return ib_fail(err, IB_E_FORMAT,
                   "wrong shape of tensor '%s.weight' in '%s': found [%llu, %llu], expected "
                   "[%llu, %llu] by the configuration; fix: check that it belongs to the weights",
                   ib_quotez(module, name), path_of(c, t, path), (unsigned long long)out->n_rows,
                   (unsigned long long)out->n_cols, (unsigned long long)n_rows,
                   (unsigned long long)n_cols);
}

ib_status ib_checkpoint_vector(const ib_checkpoint *c, const char *tensor_name, uint64_t n,
                               float *out, ib_error *err) {
    const ib_stored_tensor *t = ib_checkpoint_find(c, tensor_name);
    char name[IB_QUOTED], path[IB_QUOTED];
    if (!t)
        return fail_missing(c, tensor_name, err);
    if (t->type != IB_TYPE_F32 && t->type != IB_TYPE_F16 && t->type != IB_TYPE_BF16)
        return fail_type(c, t, err);
    bool vector = t->n_dims == 1 || (t->n_dims == 2 && (t->shape[0] == 1 || t->shape[1] == 1));
    if (!vector || t->n_elements != n)
        return ib_fail(
            err, IB_E_FORMAT,
            "tensor '%s' in '%s' has rank %u and %llu elements, expected a vector of %llu; "
            "fix: check that config.json belongs to the weights",
            ib_quote(t->name, name), path_of(c, t, path), t->n_dims,
            (unsigned long long)t->n_elements, (unsigned long long)n);
    const ib_matrix row = {
        .type = t->type, .n_rows = 1, .n_cols = n, .data = t->data, .data_bytes = t->n_bytes};
    ib_matrix_decode(&row, 0, 0, n, out);
    return IB_OK;
}
