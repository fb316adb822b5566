/* SPDX-License-Identifier: MIT
 * See text_side.h. From GGUF metadata: the tokenizer.ggml.* keys and tokenizer.chat_template[.name]
 * (files.md section 2.4); all strings stay views into the file's map. */
#include "engine/text_side.h"

#include "base/checked.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>

ib_status ib_text_side_folder(ib_tokenizer **out, ib_chat_templates *templates, const char *folder,
                              const ib_log *log, ib_error *err) {
    char *path = ib_path_join(folder, "tokenizer.json");
    *out = NULL;
    if (!path)
        return ib_fail_memory(err, strlen(folder), "a path");
    bool there = ib_path_exists(path);
    free(path);
    if (there)
        IB_TRY(ib_tokenizer_open(out, folder, log, err));
    return ib_chat_templates_load(templates, folder, err);
}

/* --- GGUF --- */

typedef struct gguf_arrays { /* owned */
    ib_str *tokens, *merges;
    double *scores;
    int64_t *types;
} gguf_arrays;

static void free_arrays(gguf_arrays *a) {
    free(a->tokens);
    free(a->merges);
    free(a->scores);
    free(a->types);
}

/* The array under key with *n elements, or NULL; a value of another kind is an error. */
static ib_status find_array(const ib_gguf_meta *m, const char *key, const ib_gguf_value **out,
                            ib_error *err) {
    *out = ib_gguf_find(m, key);
    if (*out && (*out)->type != IB_GGUF_ARRAY)
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in the GGUF metadata at %s: expected an array; fix: download "
                       "the file again",
                       key);
    return IB_OK;
}

/* Room for v->n elements; at least one byte, so that NULL means out of memory. */
static void *room(const ib_gguf_value *v, size_t size, ib_error *err) {
    size_t bytes = 0;
    void *p = v->n <= SIZE_MAX && ib_mul_size((size_t)v->n, size, &bytes)
                  ? malloc(bytes ? bytes : 1)
                  : NULL;
    if (!p)
        (void)ib_fail_memory(err, bytes, "the vocabulary");
    return p;
}

static ib_status read_strings(const ib_gguf_meta *m, const char *key, ib_str **out, size_t *n,
                              ib_error *err) {
    const ib_gguf_value *v;
    IB_TRY(find_array(m, key, &v, err));
    *n = 0;
    if (!v)
        return IB_OK;
    if (!(*out = room(v, sizeof **out, err)))
        return IB_E_RESOURCE;
    *n = (size_t)v->n;
    return ib_gguf_strings(v, *out, err);
}

static ib_status wrong_length(const char *key, uint64_t found, size_t expected, ib_error *err) {
    return ib_fail(err, IB_E_FORMAT,
                   "bad length in the GGUF metadata at %s: %llu elements for %zu tokens; fix: "
                   "download the file again",
                   key, (unsigned long long)found, expected);
}

static ib_status read_numbers(const ib_gguf_meta *m, gguf_arrays *a, size_t n_tokens,
                              ib_error *err) {
    static const char scores_key[] = "tokenizer.ggml.scores";
    static const char types_key[] = "tokenizer.ggml.token_type";
    const ib_gguf_value *scores, *types;
    IB_TRY(find_array(m, scores_key, &scores, err));
    IB_TRY(find_array(m, types_key, &types, err));
    if (scores) {
        if (scores->n != n_tokens)
            return wrong_length(scores_key, scores->n, n_tokens, err);
        if (scores->element_type != IB_GGUF_F32)
            return ib_fail(err, IB_E_FORMAT,
                           "bad type in the GGUF metadata at %s: elements of type %d, expected %d "
                           "(f32); fix: download the file again",
                           scores_key, (int)scores->element_type, (int)IB_GGUF_F32);
        if (!(a->scores = room(scores, sizeof *a->scores, err)))
            return IB_E_RESOURCE;
        IB_TRY(ib_gguf_doubles(scores, a->scores, err));
    }
    if (types) {
        if (types->n != n_tokens)
            return wrong_length(types_key, types->n, n_tokens, err);
        if (!(a->types = room(types, sizeof *a->types, err)))
            return IB_E_RESOURCE;
        IB_TRY(ib_gguf_ints(types, a->types, err));
    }
    return IB_OK;
}

static ib_status read_flag(const ib_gguf_meta *m, const char *key, int *out, ib_error *err) {
    bool value = false;
    *out = -1;
    if (!ib_gguf_find(m, key))
        return IB_OK;
    IB_TRY(ib_gguf_get_bool(m, key, false, &value, err));
    *out = value;
    return IB_OK;
}

static ib_status read_vocab(const ib_gguf_meta *m, ib_gguf_vocab *v, gguf_arrays *a,
                            ib_error *err) {
    const struct {
        const char *key;
        int64_t *out;
    } ids[] = {{"tokenizer.ggml.bos_token_id", &v->bos_id},
               {"tokenizer.ggml.eos_token_id", &v->eos_id},
               {"tokenizer.ggml.eot_token_id", &v->eot_id},
               {"tokenizer.ggml.unknown_token_id", &v->unk_id},
               {"tokenizer.ggml.padding_token_id", &v->pad_id}};
    IB_TRY(ib_gguf_get_str(m, "tokenizer.ggml.pre", &v->pre, err));
    IB_TRY(read_strings(m, "tokenizer.ggml.tokens", &a->tokens, &v->n_tokens, err));
    IB_TRY(read_strings(m, "tokenizer.ggml.merges", &a->merges, &v->n_merges, err));
    IB_TRY(read_numbers(m, a, v->n_tokens, err));
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        IB_TRY(ib_gguf_get_i64(m, ids[i].key, -1, -1, UINT32_MAX, ids[i].out, err));
    IB_TRY(read_flag(m, "tokenizer.ggml.add_bos_token", &v->add_bos, err));
    IB_TRY(read_flag(m, "tokenizer.ggml.add_eos_token", &v->add_eos, err));
    IB_TRY(read_flag(m, "tokenizer.ggml.add_space_prefix", &v->add_space_prefix, err));
    v->tokens = a->tokens;
    v->merges = a->merges;
    v->scores = a->scores;
    v->token_types = a->types;
    return IB_OK;
}

static ib_status read_templates(const ib_gguf_meta *m, ib_chat_templates *out, ib_error *err) {
    static const char prefix[] = "tokenizer.chat_template";
    const size_t len = sizeof prefix - 1;
    size_t n = 0, n_values = ib_gguf_n_values(m);
    ib_str *names = calloc(2 * n_values + 2, sizeof *names);
    if (!names)
        return ib_fail_memory(err, n_values * sizeof *names, "chat templates");
    ib_str *sources = names + n_values + 1;
    for (size_t i = 0; i < n_values; i++) {
        const ib_gguf_value *v = ib_gguf_value_at(m, i);
        if (v->type != IB_GGUF_STRING || !ib_str_starts(v->key, prefix) ||
            (v->key.len > len && v->key.ptr[len] != '.'))
            continue;
        if (v->key.len > len + 1)
            names[n] = (ib_str){v->key.ptr + len + 1, v->key.len - len - 1};
        sources[n++] = v->str;
    }
    ib_status st = ib_chat_templates_set(out, names, sources, n, err);
    free(names);
    return st;
}

ib_status ib_text_side_gguf(ib_tokenizer **out, ib_chat_templates *templates, const ib_gguf_meta *m,
                            const ib_log *log, ib_error *err) {
    ib_gguf_vocab v = {0};
    gguf_arrays a = {0};
    *out = NULL;
    IB_TRY(ib_gguf_get_str(m, "tokenizer.ggml.model", &v.model, err));
    if (v.model.ptr) {
        ib_status st = read_vocab(m, &v, &a, err);
        if (st == IB_OK)
            st = ib_tokenizer_from_gguf(out, &v, log, err);
        free_arrays(&a);
        IB_TRY(st);
    }
    return read_templates(m, templates, err);
}
