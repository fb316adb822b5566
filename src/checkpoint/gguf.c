/* SPDX-License-Identifier: MIT
 * A GGUF file (version 2 or 3, little-endian) -> metadata and tensors. A cursor walks the file
 * once; every length is compared with what is left before it is used, so that no field of the file
 * decides how much is allocated or read. Tensor shapes are turned around to PyTorch's order. */
#include "base/checked.h"
#include "checkpoint/private.h"

#include <stdlib.h>
#include <string.h>

typedef struct cursor {
    const ib_file_map *file;
    uint64_t at; /* next byte */
    ib_error *err;
} cursor;

static ib_status bad(const cursor *s, uint64_t at, const char *fmt, ...) IB_PRINTF(3, 4);
static ib_status bad(const cursor *s, uint64_t at, const char *fmt, ...) {
    char path[IB_QUOTED], detail[240];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    return ib_fail(s->err, IB_E_FORMAT,
                   "invalid GGUF '%s' at byte %llu: %s; fix: download the file again",
                   ib_quotez(s->file->path, path), (unsigned long long)at, detail);
}

static uint64_t left(const cursor *s) {
    return s->file->size - s->at;
}

/* Little-endian unsigned integer of n <= 8 bytes. */
static uint64_t little(const unsigned char *p, size_t n) {
    uint64_t v = 0;
    for (size_t i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static ib_status take(cursor *s, size_t n, const char *what, uint64_t *out) {
    if (left(s) < n)
        return bad(s, s->at, "the file ends inside %s", what);
    *out = little(s->file->data + s->at, n);
    s->at += n;
    return IB_OK;
}

static ib_status take_string(cursor *s, const char *what, ib_str *out) {
    uint64_t n = 0, at = s->at;
    char path[IB_QUOTED];
    IB_TRY(take(s, 8, what, &n));
    if (n > left(s))
        return bad(s, at, "%s claims %llu bytes, %llu are left", what, (unsigned long long)n,
                   (unsigned long long)left(s));
    if (n > IB_CAP_GGUF_STRING)
        return ib_fail(s->err, IB_E_RESOURCE, "%s in '%s' has %llu bytes, at most %d", what,
                       ib_quotez(s->file->path, path), (unsigned long long)n, IB_CAP_GGUF_STRING);
    *out = (ib_str){(const char *)s->file->data + s->at, (size_t)n};
    s->at += n;
    return IB_OK;
}

/* Bytes of a scalar value type; 0 for strings, arrays and unknown numbers. */
static size_t scalar_bytes(uint64_t type) {
    static const uint8_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < sizeof bytes ? bytes[type] : 0;
}

static ib_status scalar_value(cursor *s, ib_gguf_value *v, ib_str key) {
    uint64_t raw = 0, at = s->at;
    uint32_t raw32;
    float f;
    char quoted[IB_QUOTED];
    size_t n = scalar_bytes(v->type);
    IB_TRY(take(s, n, "a metadata value", &raw));
    raw32 = (uint32_t)raw;
    switch (v->type) {
    case IB_GGUF_I8:
        v->i64 = (int8_t)raw;
        break;
    case IB_GGUF_I16:
        v->i64 = (int16_t)raw;
        break;
    case IB_GGUF_I32:
        v->i64 = (int32_t)raw32;
        break;
    case IB_GGUF_F32:
        memcpy(&f, &raw32, sizeof f);
        v->f64 = (double)f;
        break;
    case IB_GGUF_F64:
        memcpy(&v->f64, &raw, sizeof raw);
        break;
    case IB_GGUF_BOOL:
        if (raw > 1)
            return bad(s, at, "bool '%s' is %llu, not 0 or 1", ib_quote(key, quoted),
                       (unsigned long long)raw);
        v->i64 = (int64_t)raw;
        break;
    default:
        v->i64 = (int64_t)raw; /* a U64 above INT64_MAX turns negative: the getters refuse it */
        break;
    }
    return IB_OK;
}

static ib_status array_value(cursor *s, ib_gguf_value *v, ib_str key) {
    uint64_t type = 0, n = 0, bytes = 0, at = s->at;
    char quoted[IB_QUOTED];
    ib_str ignored;
    (void)ib_quote(key, quoted);
    IB_TRY(take(s, 4, "an array's type", &type));
    IB_TRY(take(s, 8, "an array's length", &n));
    if (type == IB_GGUF_ARRAY)
        return bad(s, at, "array of arrays '%s'", quoted);
    if (type != IB_GGUF_STRING && scalar_bytes(type) == 0)
        return bad(s, at, "array '%s' has unknown element type %llu", quoted,
                   (unsigned long long)type);
    size_t least = type == IB_GGUF_STRING ? 8 : scalar_bytes(type);
    if (!ib_mul_u64(n, least, &bytes) || bytes > left(s))
        return bad(s, at, "array '%s' claims %llu elements, %llu bytes are left", quoted,
                   (unsigned long long)n, (unsigned long long)left(s));
    if (n > IB_CAP_GGUF_ARRAY)
        return ib_fail(s->err, IB_E_RESOURCE, "GGUF array '%s' has %llu elements, at most %d",
                       quoted, (unsigned long long)n, IB_CAP_GGUF_ARRAY);
    v->element_type = (ib_gguf_type)type;
    v->n = n;
    v->array = s->file->data + s->at;
    if (type != IB_GGUF_STRING) {
        s->at += bytes;
        return IB_OK;
    }
    for (uint64_t i = 0; i < n; i++)
        IB_TRY(take_string(s, "a string of an array", &ignored));
    return IB_OK;
}

static ib_status take_value(cursor *s, ib_gguf_meta *m, ib_gguf_value *v) {
    uint64_t type = 0, at = s->at;
    char quoted[IB_QUOTED];
    bool twice = false;
    IB_TRY(take_string(s, "a metadata key", &v->key));
    if (v->key.len == 0)
        return bad(s, at, "empty metadata key");
    if (ib_utf8_valid_prefix(v->key.ptr, v->key.len) != v->key.len ||
        memchr(v->key.ptr, 0, v->key.len))
        return bad(s, at, "metadata key '%s' is not UTF-8 text", ib_quote(v->key, quoted));
    IB_TRY(ib_map_put(&m->by_key, v->key, m->n, &twice, s->err));
    if (twice)
        return bad(s, at, "duplicate metadata key '%s'", ib_quote(v->key, quoted));
    at = s->at;
    IB_TRY(take(s, 4, "a metadata type", &type));
    if (type > IB_GGUF_F64)
        return bad(s, at, "metadata '%s' has unknown type %llu", ib_quote(v->key, quoted),
                   (unsigned long long)type);
    v->type = (ib_gguf_type)type;
    if (v->type == IB_GGUF_STRING)
        return take_string(s, "a metadata string", &v->str);
    return v->type == IB_GGUF_ARRAY ? array_value(s, v, v->key) : scalar_value(s, v, v->key);
}

typedef struct gguf_header {
    uint64_t n_tensors, n_values;
} gguf_header;

static ib_status take_header(cursor *s, gguf_header *h) {
    char path[IB_QUOTED];
    uint64_t version = 0;
    (void)ib_quotez(s->file->path, path);
    if (s->file->size < 4 || memcmp(s->file->data, "GGUF", 4) != 0) {
        IB_TRY(ib_checkpoint_sniff(s->file, s->err));
        return bad(s, 0, "the file does not start with 'GGUF'");
    }
    s->at = 4;
    IB_TRY(take(s, 4, "the header", &version));
    if (version && (version & 0xFFFF) == 0)
        return ib_fail(s->err, IB_E_UNSUPPORTED,
                       "big-endian GGUF '%s'; fix: use a little-endian file", path);
    if (version == 0)
        return bad(s, 4, "version 0");
    if (version == 1 || version > 3)
        return ib_fail(s->err, IB_E_UNSUPPORTED,
                       "GGUF version %llu in '%s', supported are 2 and 3; fix: convert the file",
                       (unsigned long long)version, path);
    IB_TRY(take(s, 8, "the header", &h->n_tensors));
    IB_TRY(take(s, 8, "the header", &h->n_values));
    /* the least an entry can take: key and type; name, rank, one size, type and offset */
    if (h->n_tensors > left(s) / 32)
        return bad(s, 8, "%llu tensors claimed, %llu bytes are left",
                   (unsigned long long)h->n_tensors, (unsigned long long)left(s));
    if (h->n_values > left(s) / 13)
        return bad(s, 16, "%llu metadata values claimed, %llu bytes are left",
                   (unsigned long long)h->n_values, (unsigned long long)left(s));
    if (h->n_values > IB_CAP_GGUF_KV || h->n_tensors > IB_CAP_TENSORS)
        return ib_fail(s->err, IB_E_RESOURCE,
                       "%llu metadata values and %llu tensors in '%s', at most %d and %d",
                       (unsigned long long)h->n_values, (unsigned long long)h->n_tensors, path,
                       IB_CAP_GGUF_KV, IB_CAP_TENSORS);
    return IB_OK;
}

static ib_status alignment_of(const cursor *s, const ib_gguf_meta *m, uint64_t *out) {
    const ib_gguf_value *v = ib_gguf_find(m, "general.alignment");
    *out = 32;
    if (!v)
        return IB_OK;
    if (v->type != IB_GGUF_U32)
        return bad(s, 24, "general.alignment is not of type u32");
    uint64_t a = (uint64_t)v->i64;
    if (a == 0 || (a & (a - 1)) || a > IB_CAP_GGUF_ALIGNMENT)
        return bad(s, 24, "general.alignment is %llu, not a power of two up to %d",
                   (unsigned long long)a, IB_CAP_GGUF_ALIGNMENT);
    *out = a;
    return IB_OK;
}

static ib_status type_of(const cursor *s, uint64_t at, uint64_t id, const char *tensor,
                         ib_type *out) {
    static const struct {
        uint8_t id;
        ib_type type;
    } known[] = {
        {0, IB_TYPE_F32},   {1, IB_TYPE_F16},    {2, IB_TYPE_Q4_0},    {3, IB_TYPE_Q4_1},
        {6, IB_TYPE_Q5_0},  {7, IB_TYPE_Q5_1},   {8, IB_TYPE_Q8_0},    {9, IB_TYPE_Q8_1},
        {10, IB_TYPE_Q2_K}, {11, IB_TYPE_Q3_K},  {12, IB_TYPE_Q4_K},   {13, IB_TYPE_Q5_K},
        {14, IB_TYPE_Q6_K}, {15, IB_TYPE_Q8_K},  {20, IB_TYPE_IQ4_NL}, {24, IB_TYPE_I8},
        {25, IB_TYPE_I16},  {26, IB_TYPE_I32},   {27, IB_TYPE_I64},    {28, IB_TYPE_F64},
        {30, IB_TYPE_BF16}, {39, IB_TYPE_MXFP4}, {40, IB_TYPE_NVFP4},
    };
    static const char *const refused[43] = {
        [4] = "Q4_2 (removed)",
        [5] = "Q4_3 (removed)",
        [16] = "IQ2_XXS",
        [17] = "IQ2_XS",
        [18] = "IQ3_XXS",
        [19] = "IQ1_S",
        [21] = "IQ3_S",
        [22] = "IQ2_S",
        [23] = "IQ4_XS",
        [29] = "IQ1_M",
        [31] = "Q4_0_4_4 (removed)",
        [32] = "Q4_0_4_8 (removed)",
        [33] = "Q4_0_8_8 (removed)",
        [34] = "TQ1_0",
        [35] = "TQ2_0",
        [36] = "IQ4_NL_4_4 (removed)",
        [37] = "IQ4_NL_4_8 (removed)",
        [38] = "IQ4_NL_8_8 (removed)",
        [41] = "Q1_0",
        [42] = "Q2_0",
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].id == id) {
            *out = known[i].type;
            return IB_OK;
        }
    }
    char path[IB_QUOTED];
    if (id < sizeof refused / sizeof refused[0] && refused[id])
        return ib_fail(
            s->err, IB_E_UNSUPPORTED,
            "tensor '%s' in '%s' has type %s; fix: use a file with Q4_K, Q8_0 or the like", tensor,
            ib_quotez(s->file->path, path), refused[id]);
    return bad(s, at, "tensor '%s' has unknown type %llu", tensor, (unsigned long long)id);
}

static ib_status take_dims(cursor *s, ib_stored_tensor *t, const char *quoted) {
    uint64_t n_dims = 0, at = s->at, dim = 0;
    IB_TRY(take(s, 4, "a tensor's rank", &n_dims));
    if (n_dims < 1 || n_dims > 4)
        return bad(s, at, "tensor '%s' has rank %llu, not 1 to 4", quoted,
                   (unsigned long long)n_dims);
    t->n_dims = (uint32_t)n_dims;
    t->n_elements = 1;
    for (uint32_t i = t->n_dims; i-- > 0;) { /* innermost first in the file */
        at = s->at;
        IB_TRY(take(s, 8, "a tensor's shape", &dim));
        if (dim == 0 || dim > INT64_MAX)
            return bad(s, at, "tensor '%s' has a size of %lld", quoted, (long long)dim);
        if (!ib_mul_u64(t->n_elements, dim, &t->n_elements) || t->n_elements > INT64_MAX)
            return bad(s, at, "the product of the shape of tensor '%s' overflows", quoted);
        t->shape[i] = dim;
    }
    return IB_OK;
}

/* One tensor info. *reached is the end of the tensor before, padded: where this one must begin. */
static ib_status take_tensor(cursor *s, ib_stored_tensor *t, uint64_t alignment, uint64_t *reached,
                             uint64_t *offset) {
    uint64_t at = s->at, type = 0;
    char quoted[IB_QUOTED];
    IB_TRY(take_string(s, "a tensor name", &t->name));
    (void)ib_quote(t->name, quoted);
    if (t->name.len >= 64)
        return bad(s, at, "tensor name '%s' has %zu bytes, at most 63", quoted, t->name.len);
    if (ib_utf8_valid_prefix(t->name.ptr, t->name.len) != t->name.len ||
        memchr(t->name.ptr, 0, t->name.len))
        return bad(s, at, "tensor name '%s' is not UTF-8 text", quoted);
    IB_TRY(take_dims(s, t, quoted));
    at = s->at;
    IB_TRY(take(s, 4, "a tensor's type", &type));
    IB_TRY(type_of(s, at, type, quoted, &t->type));
    IB_TRY(take(s, 8, "a tensor's offset", offset));
    if (t->shape[t->n_dims - 1] % ib_type_block_elements(t->type))
        return bad(s, at, "tensor '%s': rows of %llu are not whole blocks of %s (%u)", quoted,
                   (unsigned long long)t->shape[t->n_dims - 1], ib_type_name(t->type),
                   ib_type_block_elements(t->type));
    if (!ib_type_bytes(t->type, t->n_elements, &t->n_bytes))
        return bad(s, at, "the size of tensor '%s' in bytes overflows", quoted);
    if (*offset != *reached)
        return bad(s, s->at - 8, "tensor '%s' is at offset %llu, expected %llu", quoted,
                   (unsigned long long)*offset, (unsigned long long)*reached);
    if (!ib_add_u64(*offset, t->n_bytes, reached) || !ib_round_up(*reached, alignment, reached))
        return bad(s, at, "the sizes of the tensors up to '%s' overflow", quoted);
    return IB_OK;
}

static ib_status take_tensors(cursor *s, ib_checkpoint *c, uint32_t file, uint64_t n,
                              uint64_t alignment) {
    size_t first = c->n_tensors;
    uint64_t reached = 0, data_at = 0, offset = 0;
    char quoted[IB_QUOTED];
    for (uint64_t i = 0; i < n; i++) {
        ib_stored_tensor t = {.file = file};
        IB_TRY(take_tensor(s, &t, alignment, &reached, &offset));
        IB_TRY(ib_checkpoint_add_tensor(c, &t, s->err));
    }
    if (!ib_round_up(s->at, alignment, &data_at))
        return bad(s, s->at, "the padding overflows");
    uint64_t data = data_at < s->file->size ? s->file->size - data_at : 0;
    offset = 0;
    for (size_t i = first; i < c->n_tensors; i++) {
        ib_stored_tensor *t = &c->tensors[i];
        uint64_t end = 0;
        if (!ib_add_u64(offset, t->n_bytes, &end) || end > data)
            return bad(s, s->file->size,
                       "the data of tensor '%s' ends at byte %llu of the data, the file at %llu",
                       ib_quote(t->name, quoted), (unsigned long long)end,
                       (unsigned long long)data);
        t->data = s->file->data + data_at + offset;
        if (!ib_round_up(end, alignment, &offset))
            return bad(s, s->at, "the padding overflows");
    }
    return IB_OK;
}

/* One file: its metadata into *meta, its tensors into c. */
static ib_status read_file(ib_checkpoint *c, const char *path, ib_gguf_meta *meta, ib_error *err) {
    uint32_t file = 0;
    gguf_header h = {0, 0};
    uint64_t alignment = 0;
    IB_TRY(ib_checkpoint_add_file(c, path, &file, err));
    const ib_file_map map = c->files[file]; /* a copy: the table may move */
    meta->path = map.path;
    cursor s = {&map, 0, err};
    IB_TRY(take_header(&s, &h));
    meta->values = ib_arena_array(&c->arena, (size_t)h.n_values, sizeof *meta->values, err);
    if (!meta->values)
        return IB_E_RESOURCE;
    for (; meta->n < h.n_values; meta->n++)
        IB_TRY(take_value(&s, meta, &meta->values[meta->n]));
    IB_TRY(alignment_of(&s, meta, &alignment));
    return take_tensors(&s, c, file, h.n_tensors, alignment);
}

typedef struct split_info {
    int64_t number, count; /* count 0: not split */
    int64_t tensors;       /* of the whole set; -1 unknown */
} split_info;

static ib_status split_of(const ib_gguf_meta *m, split_info *out, ib_error *err) {
    IB_TRY(ib_gguf_get_i64(m, "split.no", 0, 0, UINT16_MAX, &out->number, err));
    IB_TRY(ib_gguf_get_i64(m, "split.count", 0, 0, UINT16_MAX, &out->count, err));
    return ib_gguf_get_i64(m, "split.tensors.count", -1, 0, INT32_MAX, &out->tensors, err);
}

/* "name-00002-of-00003.gguf" from the first part's path. */
static char *part_path(const char *path, int64_t part, int64_t count) {
    char expected[64], text[64];
    int n = snprintf(expected, sizeof expected, "-00001-of-%05lld.gguf", (long long)count);
    (void)snprintf(text, sizeof text, "-%05lld-of-%05lld.gguf", (long long)part + 1,
                   (long long)count);
    if (n < 0 || !ib_str_ends(ib_str_of(path), expected))
        return NULL;
    char *out = ib_strdup(path);
    if (out)
        memcpy(out + strlen(path) - (size_t)n, text, (size_t)n);
    return out;
}

static ib_status read_part(ib_checkpoint *c, const char *path, int64_t part, int64_t count,
                           ib_error *err) {
    char quoted[IB_QUOTED];
    ib_gguf_meta meta = {0};
    split_info split = {0};
    ib_status st = read_file(c, path, &meta, err);
    if (st == IB_OK)
        st = split_of(&meta, &split, err);
    if (st == IB_OK && (split.number != part || split.count != count))
        st = ib_fail(
            err, IB_E_FORMAT,
            "'%s' says that it is part %lld of %lld, expected %lld of %lld; fix: download the "
            "set again",
            ib_quotez(path, quoted), (long long)split.number + 1, (long long)split.count,
            (long long)part + 1, (long long)count);
    ib_map_clear(&meta.by_key);
    return st;
}

static ib_status read_split(ib_checkpoint *c, const char *path, const split_info *split,
                            ib_error *err) {
    char quoted[IB_QUOTED];
    (void)ib_quotez(path, quoted);
    if (split->number != 0)
        return ib_fail(err, IB_E_FORMAT,
                       "'%s' is part %lld of a split model; fix: name its first part (-00001-of-)",
                       quoted, (long long)split->number + 1);
    for (int64_t part = 1; part < split->count; part++) {
        char *name = part_path(path, part, split->count);
        if (!name)
            return ib_fail(
                err, IB_E_FORMAT,
                "'%s' is the first of %lld parts but is not named like one; fix: name it "
                "<name>-00001-of-%05lld.gguf",
                quoted, (long long)split->count, (long long)split->count);
        ib_status st = read_part(c, name, part, split->count, err);
        free(name);
        IB_TRY(st);
    }
    if (split->tensors >= 0 && (uint64_t)split->tensors != c->n_tensors)
        return ib_fail(err, IB_E_FORMAT,
                       "the parts of '%s' hold %zu tensors, split.tensors.count says %lld; fix: "
                       "download the set again",
                       quoted, c->n_tensors, (long long)split->tensors);
    return IB_OK;
}

ib_status ib_gguf_read(ib_checkpoint *c, const char *path, ib_error *err) {
    split_info split = {0};
    c->kind = IB_CHECKPOINT_GGUF;
    c->gguf = ib_arena_alloc(&c->arena, sizeof *c->gguf, err);
    if (!c->gguf)
        return IB_E_RESOURCE;
    IB_TRY(read_file(c, path, c->gguf, err));
    IB_TRY(split_of(c->gguf, &split, err));
    return split.count > 1 ? read_split(c, path, &split, err) : IB_OK;
}
