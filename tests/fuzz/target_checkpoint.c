/* SPDX-License-Identifier: MIT
 * Model files: safetensors, index.json, GGUF, and bitsandbytes' quant_state with its companions. */
#include "checkpoint/gguf.h"
#include "engine/text_side.h"
#include "fuzz.h"
#include "model/config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the header of a checkpoint promises about every view. */
static void check_tensors(const ib_checkpoint *c) {
    for (size_t i = 0; i < ib_checkpoint_n_tensors(c); i++) {
        const ib_stored_tensor *t = ib_checkpoint_tensor(c, i);
        uint64_t n = 1;
        fuzz_must(t->n_dims <= IB_MAX_RANK && t->name.ptr && t->name.ptr[t->name.len] == '\0');
        for (uint32_t d = 0; d < t->n_dims; d++)
            n *= t->shape[d];
        fuzz_must(n == t->n_elements);
        fuzz_must(t->file < ib_checkpoint_n_files(c));
        fuzz_must(t->n_bytes <= ib_checkpoint_file_bytes(c, t->file));
        fuzz_touch(t->data, (size_t)t->n_bytes);
        if (!strchr(t->name.ptr, '\0') || strlen(t->name.ptr) != t->name.len)
            continue;
        fuzz_must(ib_checkpoint_find(c, t->name.ptr) == t);
    }
}

/* Every tensor as a matrix, its first and last rows decoded. */
static ib_status check_matrices(ib_checkpoint *c) {
    const ib_bnb_config bnb = {.present = true, .load_in_4bit = true};
    for (size_t i = 0; i < ib_checkpoint_n_tensors(c) && i < 64; i++) {
        const ib_stored_tensor *t = ib_checkpoint_tensor(c, i);
        static const char suffix[] = ".weight";
        char module[256];
        ib_matrix m;
        ib_error err = {0};
        if (!ib_str_ends(t->name, suffix) || t->name.len >= sizeof module)
            continue;
        memcpy(module, t->name.ptr, t->name.len - (sizeof suffix - 1));
        module[t->name.len - (sizeof suffix - 1)] = '\0';
        const ib_status st = ib_checkpoint_matrix_any(c, module, &bnb, &m, &err);
        if (st == IB_E_RESOURCE)
            return st;
        if (st != IB_OK || !ib_matrix_type_supported(m.type) || m.n_cols > 65536 || !m.n_rows)
            continue;
        fuzz_pause();
        float *row = malloc((size_t)m.n_cols * sizeof *row);
        fuzz_must(row);
        ib_matrix_decode(&m, 0, 0, m.n_cols, row);
        ib_matrix_decode(&m, m.n_rows - 1, 0, m.n_cols, row);
        free(row);
        fuzz_resume();
        fuzz_touch(m.data, (size_t)m.data_bytes);
    }
    return IB_OK;
}

static ib_status open_and_check(const char *path, ib_error *err) {
    ib_checkpoint *c = NULL;
    ib_status st = ib_checkpoint_open(&c, path, NULL, err);
    fuzz_must((st == IB_OK) == (c != NULL));
    if (st == IB_OK) {
        check_tensors(c);
        st = check_matrices(c);
        if (st != IB_OK)
            (void)ib_fail(err, st, "a matrix");
    }
    ib_checkpoint_close(c);
    return st;
}

ib_status fuzz_safetensors(const uint8_t *data, size_t n, ib_error *err) {
    return open_and_check(fuzz_file("x.safetensors", data, n), err);
}

static void put_shard(const char *name, const char *tensor) {
    unsigned char file[256] = {0};
    const int n =
        snprintf((char *)file + 8, sizeof file - 8,
                 "{\"%s\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}abc", tensor);
    file[0] = (unsigned char)(n - 3);
    (void)fuzz_file(name, file, (size_t)n + 8);
}

ib_status fuzz_index(const uint8_t *data, size_t n, ib_error *err) {
    static bool ready;
    if (!ready) {
        put_shard("a.safetensors", "a");
        put_shard("b.safetensors", "b");
        ready = true;
    }
    (void)fuzz_file("model.safetensors.index.json", data, n);
    return open_and_check(fuzz_folder(), err);
}

static ib_status gguf_parts(ib_checkpoint *c, ib_error *err) {
    ib_tokenizer *tokenizer = NULL;
    ib_chat_templates templates = {0};
    ib_config config = {0};
    ib_ids ids = {0};
    ib_error ignored = {0};
    ib_status st = ib_config_from_gguf(&config, c, NULL, &ignored);
    ib_config_clear(&config);
    if (st == IB_E_RESOURCE) {
        *err = ignored;
        return st;
    }
    st = ib_text_side_gguf(&tokenizer, &templates, ib_checkpoint_gguf(c), NULL, err);
    if (st == IB_OK && tokenizer) {
        const ib_encode_options o = {.add_special_tokens = true};
        st = ib_tokenizer_encode(tokenizer, IB_STR("a bc\xC3\xA9 <s>  1\n"), &o, &ids, NULL, err);
    }
    ib_ids_clear(&ids);
    ib_chat_templates_clear(&templates);
    ib_tokenizer_free(tokenizer);
    return st;
}

ib_status fuzz_gguf(const uint8_t *data, size_t n, ib_error *err) {
    ib_checkpoint *c = NULL;
    ib_status st = ib_checkpoint_open(&c, fuzz_file("x.gguf", data, n), NULL, err);
    if (st == IB_OK) {
        check_tensors(c);
        for (size_t i = 0; i < ib_gguf_n_values(ib_checkpoint_gguf(c)); i++) {
            const ib_gguf_value *v = ib_gguf_value_at(ib_checkpoint_gguf(c), i);
            fuzz_touch(v->key.ptr, v->key.len);
            fuzz_touch(v->str.ptr, v->str.len);
        }
        st = check_matrices(c);
        if (st != IB_OK)
            (void)ib_fail(err, st, "a matrix");
        else
            st = gguf_parts(c, err);
    }
    ib_checkpoint_close(c);
    return st;
}

/* --- bitsandbytes: the input decides types, sizes and texts of a weight and its companions --- */

typedef struct reader {
    const uint8_t *p;
    size_t n;
} reader;

static unsigned byte(reader *r) {
    if (!r->n)
        return 0;
    r->n--;
    return *r->p++;
}

static ib_status add(ib_checkpoint *c, const char *name, ib_type type, uint64_t rows, uint64_t cols,
                     unsigned char fill, ib_error *err) {
    const ib_stored_tensor t = {
        .name = ib_str_of(name), .type = type, .n_dims = 2, .shape = {rows, cols}};
    void *data;
    IB_TRY(ib_checkpoint_add_memory(c, &t, &data, err));
    if (type == IB_TYPE_F32)
        for (uint64_t i = 0; i < rows * cols; i++)
            ((float *)data)[i] = fill == 255 ? NAN : (float)fill / 64;
    else
        memset(data, fill,
               (size_t)(rows * cols * (type == IB_TYPE_U8 || type == IB_TYPE_I8 ? 1 : 2)));
    return IB_OK;
}

static ib_status add_maps(ib_checkpoint *c, unsigned which, ib_error *err) {
    const ib_stored_tensor t = {
        .name = IB_STR("m.weight.quant_map"), .type = IB_TYPE_F32, .n_dims = 1, .shape = {16}};
    void *data;
    IB_TRY(ib_checkpoint_add_memory(c, &t, &data, err));
    memcpy(data, which & 1 ? ib_fp4_table : ib_nf4_table, 16 * sizeof(float));
    return IB_OK;
}

static ib_status add_parts(ib_checkpoint *c, reader *r, ib_error *err) {
    static const ib_type types[] = {IB_TYPE_U8, IB_TYPE_BF16, IB_TYPE_F32, IB_TYPE_I8};
    static const char *const names[] = {
        "m.weight.quant_state.bitsandbytes__nf4", "m.weight.quant_state.bitsandbytes__fp4",
        "m.weight.quant_state.bitsandbytes__int8", "m.weight.other"};
    const unsigned flags = byte(r), kind = byte(r);
    const uint64_t low = byte(r), rows = low | (uint64_t)(byte(r) & 63) << 8;
    const uint64_t cols = kind & 16 ? byte(r) & 15 : 1;
    const uint64_t n_absmax = byte(r), n_nested = byte(r);
    const unsigned char fill = (unsigned char)byte(r);
    IB_TRY(add(c, "m.weight", types[kind & 3], rows, cols, fill, err));
    if (flags & 1)
        IB_TRY(add(c, "m.weight.absmax", flags & 2 ? IB_TYPE_U8 : IB_TYPE_F32, n_absmax, 1,
                   (unsigned char)byte(r), err));
    if (flags & 4)
        IB_TRY(add(c, "m.weight.nested_absmax", IB_TYPE_F32, n_nested, 1, (unsigned char)byte(r),
                   err));
    if (flags & 8)
        IB_TRY(
            add(c, "m.weight.nested_quant_map", IB_TYPE_F32, 256, 1, (unsigned char)byte(r), err));
    if (flags & 16)
        IB_TRY(add_maps(c, byte(r), err));
    if (flags & 32)
        IB_TRY(add(c, "m.SCB", IB_TYPE_F32, rows, 1, (unsigned char)byte(r), err));
    if (flags & 64)
        return IB_OK;
    const ib_stored_tensor state = {.name = ib_str_of(names[kind >> 2 & 3]),
                                    .type = flags & 128 ? IB_TYPE_I8 : IB_TYPE_U8,
                                    .n_dims = 1,
                                    .shape = {r->n}};
    void *data;
    IB_TRY(ib_checkpoint_add_memory(c, &state, &data, err));
    memcpy(data, r->p, r->n);
    return IB_OK;
}

ib_status fuzz_bnb(const uint8_t *data, size_t n, ib_error *err) {
    reader r = {data, n};
    ib_checkpoint *c = NULL;
    ib_matrix m;
    const ib_bnb_config bnb = {.present = true, .load_in_4bit = true, .int8_threshold = 6};
    ib_status st = ib_checkpoint_new_memory(&c, "fuzz", (UINT64_C(4) << 20) + n, err);
    if (st == IB_OK)
        st = add_parts(c, &r, err);
    if (st == IB_OK)
        st = ib_checkpoint_matrix_any(c, "m", &bnb, &m, err);
    if (st == IB_OK && ib_matrix_type_supported(m.type) && m.n_rows && m.n_cols < 1 << 20) {
        fuzz_pause();
        float *row = malloc((size_t)m.n_cols * sizeof *row + 1);
        fuzz_must(row);
        ib_matrix_decode(&m, 0, 0, m.n_cols, row);
        ib_matrix_decode(&m, m.n_rows - 1, 0, m.n_cols, row);
        fuzz_touch(m.data, (size_t)m.data_bytes);
        free(row);
        fuzz_resume();
    }
    ib_checkpoint_close(c);
    return st;
}
