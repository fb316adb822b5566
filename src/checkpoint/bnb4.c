/* SPDX-License-Identifier: MIT
 * A bitsandbytes 4-bit weight: the packed codes, the JSON text in its quant_state tensor, and the
 * scales beside it -> ib_matrix. Nothing is believed: each length follows from the shape and the
 * block size, and each number that a kernel will multiply by is looked at once. */
#include "base/checked.h"
#include "checkpoint/private.h"
#include "quant/bnb.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* What the JSON text says. */
typedef struct quant_state {
    ib_type type;
    uint64_t n_rows, n_cols;
    uint32_t blocksize, nested_blocksize;
    bool nested;
    float nested_offset;
} quant_state;

typedef struct reader {
    ib_checkpoint *c;
    const ib_stored_tensor *weight;
    ib_error *err;
} reader;

static void set_bad(const reader *r, const char *fmt, ...) IB_PRINTF(2, 3);
#define bad(r, ...) (set_bad((r), __VA_ARGS__), IB_E_FORMAT)
static void set_bad(const reader *r, const char *fmt, ...) {
    char name[IB_QUOTED], path[IB_QUOTED], detail[200];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    ib_error_set(r->err, IB_E_FORMAT,
                 "4-bit weight '%s' in '%s': %s; fix: download the model again or quantize it anew",
                 ib_quote(r->weight->name, name),
                 ib_quotez(r->c->files[r->weight->file].path, path), detail);
}

static const char *last_part(ib_str name, size_t prefix, char out[IB_QUOTED]) {
    return ib_quote((ib_str){name.ptr + prefix, name.len - prefix}, out);
}

/* All tensors named "<weight>.x": x is one of the known companions; *state is the quant_state. */
static ib_status companions(const reader *r, const ib_stored_tensor **state) {
    static const char *const known[] = {"absmax", "quant_map", "nested_absmax", "nested_quant_map"};
    static const char state_prefix[] = "quant_state.bitsandbytes__";
    char prefix[IB_CAP_NAME + 2], quoted[IB_QUOTED];
    size_t first, end, n = r->weight->name.len + 1;
    if (r->weight->name.len > IB_CAP_NAME)
        return bad(r, "its name is too long");
    memcpy(prefix, r->weight->name.ptr, n - 1);
    memcpy(prefix + n - 1, ".", 2);
    *state = NULL;
    IB_TRY(ib_checkpoint_prefix(r->c, prefix, &first, &end, r->err));
    for (; first < end; first++) {
        const ib_stored_tensor *t = &r->c->tensors[r->c->sorted[first]];
        ib_str key = {t->name.ptr + n, t->name.len - n};
        bool ok = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            ok |= ib_str_is(key, known[i]);
        if (ib_str_starts(key, state_prefix)) {
            if (*state)
                return bad(r, "two quant_state tensors, expected one");
            *state = t;
        } else if (!ok) {
            return bad(r, "unknown companion tensor '%s'", last_part(t->name, n, quoted));
        }
    }
    return IB_OK;
}

static ib_status check_keys(const reader *r, json_t *json) {
    static const char *const known[] = {"quant_type",       "blocksize",    "dtype",        "shape",
                                        "nested_blocksize", "nested_dtype", "nested_offset"};
    const char *key;
    json_t *value;
    char quoted[IB_QUOTED];
    json_object_foreach(json, key, value) {
        bool ok = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            ok |= strcmp(key, known[i]) == 0;
        if (!ok)
            return bad(r, "unknown key '%s' in quant_state", ib_quotez(key, quoted));
    }
    return IB_OK;
}

static ib_status read_integer(const reader *r, const json_t *value, const char *what,
                              int64_t *out) {
    if (!json_is_integer(value))
        return bad(r, "%s in quant_state is %s", what, value ? "no integer" : "missing");
    *out = json_integer_value(value);
    return IB_OK;
}

static ib_status read_shape(const reader *r, const json_t *shape, quant_state *q) {
    int64_t size[2] = {0, 0};
    if (!json_is_array(shape) || json_array_size(shape) != 2)
        return bad(r, "shape in quant_state is not [rows, columns]");
    for (size_t i = 0; i < 2; i++) {
        IB_TRY(read_integer(r, json_array_get(shape, i), "shape", &size[i]));
        if (size[i] < 1)
            return bad(r, "shape in quant_state holds %lld", (long long)size[i]);
    }
    q->n_rows = (uint64_t)size[0];
    q->n_cols = (uint64_t)size[1];
    return IB_OK;
}

/* A member that must be one of a few texts; *which is its place. */
static ib_status read_choice(const reader *r, const json_t *json, const char *key,
                             const char *const *choices, size_t n, size_t *which) {
    const char *text = json_string_value(json_object_get(json, key));
    char quoted[IB_QUOTED];
    if (!text)
        return bad(r, "%s in quant_state is missing or no text", key);
    for (*which = 0; *which < n; ++*which)
        if (strcmp(text, choices[*which]) == 0)
            return IB_OK;
    return bad(r, "%s in quant_state is '%s', expected '%s' or alike", key, ib_quotez(text, quoted),
               choices[0]);
}

static ib_status read_nested(const reader *r, const json_t *json, quant_state *q) {
    static const char *const keys[] = {"nested_blocksize", "nested_dtype", "nested_offset"};
    static const char *const dtypes[] = {"float32"};
    size_t present = 0, which = 0;
    int64_t blocksize = 0;
    for (size_t i = 0; i < 3; i++)
        present += json_object_get(json, keys[i]) != NULL;
    q->nested = present != 0;
    if (!q->nested)
        return IB_OK;
    for (size_t i = 0; i < 3; i++)
        if (!json_object_get(json, keys[i]))
            return bad(r, "%s in quant_state is missing", keys[i]);
    IB_TRY(read_choice(r, json, keys[1], dtypes, 1, &which));
    IB_TRY(read_integer(r, json_object_get(json, keys[0]), keys[0], &blocksize));
    if (blocksize != 256)
        return bad(r, "nested_blocksize is %lld, expected 256", (long long)blocksize);
    q->nested_blocksize = 256;
    const json_t *offset = json_object_get(json, keys[2]);
    q->nested_offset = json_is_number(offset) ? (float)json_number_value(offset) : NAN;
    if (!isfinite(q->nested_offset))
        return bad(r, "nested_offset is not a finite number");
    return IB_OK;
}

static ib_status read_members(const reader *r, const ib_stored_tensor *state, json_t *json,
                              quant_state *q) {
    static const char *const types[] = {"nf4", "fp4"};
    static const char *const dtypes[] = {"bfloat16", "float16", "float32"};
    size_t which = 0, ignored = 0;
    int64_t blocksize = 0;
    if (!json_is_object(json))
        return bad(r, "quant_state is not a JSON object");
    IB_TRY(check_keys(r, json));
    IB_TRY(read_choice(r, json, "quant_type", types, 2, &which));
    q->type = which ? IB_TYPE_FP4 : IB_TYPE_NF4;
    if (!ib_str_ends(state->name, which ? "bitsandbytes__fp4" : "bitsandbytes__nf4"))
        return bad(r, "quant_type '%s' contradicts the name of the quant_state tensor",
                   types[which]);
    IB_TRY(read_choice(r, json, "dtype", dtypes, 3, &ignored));
    IB_TRY(read_integer(r, json_object_get(json, "blocksize"), "blocksize", &blocksize));
    if (blocksize < 0 || !ib_bnb_blocksize_ok((uint64_t)blocksize))
        return bad(r, "blocksize is %lld, expected a power of two from 32 to 4096",
                   (long long)blocksize);
    q->blocksize = (uint32_t)blocksize;
    IB_TRY(read_shape(r, json_object_get(json, "shape"), q));
    return read_nested(r, json, q);
}

static ib_status read_state(const reader *r, const ib_stored_tensor *state, quant_state *q) {
    enum { CAP = 65536 };
    json_t *json = NULL;
    ib_error problem;
    ib_error_clear(&problem);
    *q = (quant_state){0};
    if (state->type != IB_TYPE_U8)
        return bad(r, "quant_state has dtype %s, expected U8", ib_type_name(state->type));
    if (state->n_bytes == 0 || state->n_bytes > CAP)
        return bad(r, "quant_state has %llu bytes, expected 1 to %d",
                   (unsigned long long)state->n_bytes, CAP);
    ib_str text = {state->data, (size_t)state->n_bytes};
    ib_status st = ib_json_parse(&json, text, "quant_state", &problem);
    if (st == IB_E_FORMAT) { /* without its own advice */
        const char *advice = strstr(problem.text, "; fix: ");
        return bad(r, "%.*s", advice ? (int)(advice - problem.text) : 150, problem.text);
    }
    if (st != IB_OK)
        return ib_fail(r->err, st, "%s", problem.text);
    st = read_members(r, state, json, q);
    json_decref(json);
    return st;
}

/* The packed codes: ceil(n / 2) bytes in a column or row of U8 or of a wider storage type. */
static ib_status check_payload(const reader *r, const quant_state *q, uint64_t n) {
    const ib_stored_tensor *w = r->weight;
    ib_type t = w->type;
    uint64_t bytes = 0;
    if (t != IB_TYPE_U8 && t != IB_TYPE_BF16 && t != IB_TYPE_F16 && t != IB_TYPE_F32)
        return bad(r, "codes are stored as %s, expected U8, BF16, F16 or F32", ib_type_name(t));
    bool flat = w->n_dims == 1 || (w->n_dims == 2 && (w->shape[0] == 1 || w->shape[1] == 1));
    if (!flat)
        return bad(r, "codes are not stored as one column");
    if (!ib_round_up(ib_ceil_div(n, 2), ib_type_block_bytes(t), &bytes) || bytes != w->n_bytes)
        return bad(r, "%llu bytes of codes, %llu expected for [%llu, %llu]",
                   (unsigned long long)w->n_bytes, (unsigned long long)bytes,
                   (unsigned long long)q->n_rows, (unsigned long long)q->n_cols);
    return IB_OK;
}

/* A companion that must exist with this type and number of elements. */
static ib_status companion(const reader *r, const char *suffix, ib_type type, uint64_t n,
                           const ib_stored_tensor **out) {
    *out = ib_checkpoint_sibling(r->c, r->weight->name, suffix);
    if (!*out)
        return bad(r, "tensor '%s' is missing", suffix + 1);
    if ((*out)->type != type)
        return bad(r, "'%s' has dtype %s, expected %s", suffix + 1, ib_type_name((*out)->type),
                   ib_type_name(type));
    if ((*out)->n_elements != n)
        return bad(r, "'%s' has %llu elements, expected %llu", suffix + 1,
                   (unsigned long long)(*out)->n_elements, (unsigned long long)n);
    return IB_OK;
}

/* F32 companion, aligned, all finite and not below least. */
static ib_status floats(const reader *r, const char *suffix, uint64_t n, float least,
                        const float **out) {
    const ib_stored_tensor *t;
    IB_TRY(companion(r, suffix, IB_TYPE_F32, n, &t));
    *out = ib_checkpoint_floats(r->c, t, r->err);
    if (!*out)
        return IB_E_RESOURCE;
    for (uint64_t i = 0; i < n; i++)
        if (!(isfinite((*out)[i]) && (*out)[i] >= least))
            return bad(r, "'%s' holds %g at index %llu", suffix + 1, (double)(*out)[i],
                       (unsigned long long)i);
    return IB_OK;
}

static ib_status check_table(const reader *r, const quant_state *q) {
    const float *table = q->type == IB_TYPE_NF4 ? ib_nf4_table : ib_fp4_table, *map;
    if (!ib_checkpoint_sibling(r->c, r->weight->name, ".quant_map"))
        return IB_OK;
    IB_TRY(floats(r, ".quant_map", 16, -INFINITY, &map));
    for (int i = 0; i < 16; i++)
        if (fabsf(map[i] - table[i]) > 1e-6f)
            return bad(r, "quant_map holds %g at index %d, %s has %g there", (double)map[i], i,
                       ib_type_name(q->type), (double)table[i]);
    return IB_OK;
}

static ib_status read_scales(const reader *r, const quant_state *q, uint64_t n_blocks,
                             ib_matrix *out) {
    static const char *const nested[] = {".nested_absmax", ".nested_quant_map"};
    const ib_stored_tensor *codes;
    if (!q->nested) {
        for (size_t i = 0; i < 2; i++)
            if (ib_checkpoint_sibling(r->c, r->weight->name, nested[i]))
                return bad(r, "'%s' is present, but quant_state has no nested_* keys",
                           nested[i] + 1);
        return floats(r, ".absmax", n_blocks, 0, &out->absmax);
    }
    IB_TRY(companion(r, ".absmax", IB_TYPE_U8, n_blocks, &codes));
    out->absmax_u8 = codes->data;
    IB_TRY(
        floats(r, nested[0], ib_ceil_div(n_blocks, q->nested_blocksize), 0, &out->nested_absmax));
    IB_TRY(floats(r, nested[1], 256, -INFINITY, &out->nested_map));
    out->nested_offset = q->nested_offset;
    out->nested_blocksize = q->nested_blocksize;
    return IB_OK;
}

ib_status ib_checkpoint_4bit(ib_checkpoint *c, const ib_stored_tensor *weight, ib_matrix *out,
                             bool *found, ib_error *err) {
    const reader r = {c, weight, err};
    const ib_stored_tensor *state = NULL;
    quant_state q;
    uint64_t n;
    IB_TRY(companions(&r, &state));
    bool scales = ib_checkpoint_sibling(c, weight->name, ".absmax") != NULL;
    *found = state || scales || weight->type == IB_TYPE_U8;
    if (!*found)
        return IB_OK;
    if (!state)
        return bad(&r, "its quant_state tensor is missing");
    IB_TRY(read_state(&r, state, &q));
    if (!ib_mul_u64(q.n_rows, q.n_cols, &n))
        return bad(&r, "the product of the shape in quant_state overflows");
    IB_TRY(check_payload(&r, &q, n));
    IB_TRY(check_table(&r, &q));
    ib_matrix m = {.type = q.type,
                   .n_rows = q.n_rows,
                   .n_cols = q.n_cols,
                   .data = weight->data,
                   .data_bytes = ib_ceil_div(n, 2),
                   .blocksize = q.blocksize};
    IB_TRY(read_scales(&r, &q, ib_ceil_div(n, q.blocksize), &m));
    *out = m;
    return IB_OK;
}
