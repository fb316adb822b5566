/* SPDX-License-Identifier: MIT
 * See gguf_vocab.h. */
#include "cli/quantize/gguf_vocab.h"

#include "base/map.h"

#include <stdlib.h>
#include <string.h>

static ib_status get_array(const ib_gguf_meta *m, const char *key, uint64_t n, uint64_t size,
                           const ib_gguf_value **v, void **out, ib_error *err) {
    *v = ib_gguf_find(m, key);
    if (*v && ((*v)->type != IB_GGUF_ARRAY || (n && (*v)->n != n)))
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in the GGUF key %s: no list of the right length; fix: get the "
                       "file again",
                       key);
    uint64_t count = *v ? (*v)->n : n;
    *out = calloc(count ? (size_t)count : 1, (size_t)size);
    return *out ? IB_OK : ib_fail_memory(err, (size_t)(count * size), "a vocabulary");
}

static ib_status get_flag(const ib_gguf_meta *m, const char *key, int *out, ib_error *err) {
    bool value = false;
    *out = -1;
    if (!ib_gguf_find(m, key))
        return IB_OK;
    IB_TRY(ib_gguf_get_bool(m, key, false, &value, err));
    *out = value;
    return IB_OK;
}

static ib_status get_arrays(ib_gguf_tokens *v, const ib_gguf_meta *m, ib_error *err) {
    const ib_gguf_value *a;
    void *out = NULL;
    IB_TRY(get_array(m, "tokenizer.ggml.tokens", 0, sizeof(ib_str), &a, &out, err));
    v->tokens = out;
    v->n = a ? a->n : 0;
    if (a)
        IB_TRY(ib_gguf_strings(a, v->tokens, err));
    IB_TRY(get_array(m, "tokenizer.ggml.scores", v->n, sizeof(double), &a, &out, err));
    v->scores = out;
    if (a)
        IB_TRY(ib_gguf_doubles(a, v->scores, err));
    IB_TRY(get_array(m, "tokenizer.ggml.token_type", v->n, sizeof(int64_t), &a, &out, err));
    v->types = out;
    for (uint64_t i = 0; !a && i < v->n; i++)
        v->types[i] = IB_GGUF_TOKEN_NORMAL;
    if (a)
        IB_TRY(ib_gguf_ints(a, v->types, err));
    IB_TRY(get_array(m, "tokenizer.ggml.merges", 0, sizeof(ib_str), &a, &out, err));
    v->merges = out;
    v->n_merges = a ? a->n : 0;
    return a ? ib_gguf_strings(a, v->merges, err) : IB_OK;
}

static ib_status read_all(ib_gguf_tokens *v, const ib_gguf_meta *m, ib_error *err) {
    IB_TRY(get_arrays(v, m, err));
    IB_TRY(ib_gguf_get_str(m, "tokenizer.ggml.model", &v->model, err));
    IB_TRY(ib_gguf_get_str(m, "tokenizer.ggml.pre", &v->pre, err));
    const struct {
        const char *key;
        int64_t *id;
    } ids[] = {{"tokenizer.ggml.bos_token_id", &v->bos_id},
               {"tokenizer.ggml.eos_token_id", &v->eos_id},
               {"tokenizer.ggml.unknown_token_id", &v->unk_id},
               {"tokenizer.ggml.padding_token_id", &v->pad_id}};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        IB_TRY(ib_gguf_get_i64(m, ids[i].key, -1, -1, INT32_MAX, ids[i].id, err));
    IB_TRY(get_flag(m, "tokenizer.ggml.add_bos_token", &v->add_bos, err));
    IB_TRY(get_flag(m, "tokenizer.ggml.add_eos_token", &v->add_eos, err));
    return get_flag(m, "tokenizer.ggml.add_space_prefix", &v->add_space_prefix, err);
}

ib_status ib_gguf_tokens_read(ib_gguf_tokens *out, const ib_gguf_meta *m, ib_error *err) {
    *out = (ib_gguf_tokens){.bos_id = -1, .eos_id = -1, .unk_id = -1, .pad_id = -1};
    ib_status st = read_all(out, m, err);
    if (st != IB_OK)
        ib_gguf_tokens_clear(out);
    return st;
}

void ib_gguf_tokens_clear(ib_gguf_tokens *v) {
    free(v->tokens);
    free(v->scores);
    free(v->types);
    free(v->merges);
    *v = (ib_gguf_tokens){0};
}

/* --- merges from scores --- */

typedef struct merge {
    uint64_t left, right, whole; /* ids */
    double score;                /* of whole */
} merge;

typedef struct merge_list {
    merge *list; /* owned */
    size_t n, cap;
} merge_list;

static int best_first(const void *a, const void *b) {
    const merge *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->whole != y->whole)
        return x->whole < y->whole ? -1 : 1;
    if (x->left != y->left)
        return x->left < y->left ? -1 : 1;
    return 0;
}

static ib_status add_merge(merge_list *l, merge m, ib_error *err) {
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 1024;
        merge *grown = realloc(l->list, cap * sizeof *grown);
        if (!grown)
            return ib_fail_memory(err, cap * sizeof *grown, "merges");
        l->list = grown;
        l->cap = cap;
    }
    l->list[l->n++] = m;
    return IB_OK;
}

/* Every cut of a token between two characters whose halves are tokens too. */
static ib_status add_cuts(merge_list *l, const ib_map *ids, const ib_gguf_tokens *v, uint64_t id,
                          ib_error *err) {
    ib_str t = v->tokens[id];
    for (size_t at = 1; at < t.len; at++) {
        merge m = {.whole = id, .score = v->scores[id]};
        if (((unsigned char)t.ptr[at] & 0xC0) == 0x80)
            continue;
        if (ib_map_get(ids, (ib_str){t.ptr, at}, &m.left) &&
            ib_map_get(ids, (ib_str){t.ptr + at, t.len - at}, &m.right))
            IB_TRY(add_merge(l, m, err));
    }
    return IB_OK;
}

static ib_status collect(merge_list *l, ib_map *ids, const ib_gguf_tokens *v, ib_error *err) {
    uint64_t first;
    IB_TRY(ib_map_reserve(ids, (size_t)v->n, err));
    for (uint64_t i = 0; i < v->n; i++)
        if (!ib_map_get(ids, v->tokens[i], &first))
            IB_TRY(ib_map_put(ids, v->tokens[i], i, NULL, err));
    for (uint64_t i = 0; i < v->n; i++)
        if (v->types[i] == IB_GGUF_TOKEN_NORMAL || v->types[i] == IB_GGUF_TOKEN_USER)
            IB_TRY(add_cuts(l, ids, v, i, err));
    return IB_OK;
}

static json_t *pair(const ib_gguf_tokens *v, const merge *m) {
    ib_str l = v->tokens[m->left], r = v->tokens[m->right];
    return json_pack("[s%, s%]", l.ptr, l.len, r.ptr, r.len);
}

ib_status ib_gguf_tokens_merges(json_t **out, const ib_gguf_tokens *v, ib_error *err) {
    merge_list l = {0};
    ib_map ids;
    ib_map_init(&ids);
    *out = NULL;
    ib_status st = collect(&l, &ids, v, err);
    if (st == IB_OK) {
        if (l.n)
            qsort(l.list, l.n, sizeof *l.list, best_first);
        *out = json_array();
        for (size_t i = 0; *out && i < l.n; i++)
            (void)json_array_append_new(*out, pair(v, &l.list[i]));
    }
    if (st == IB_OK && !*out)
        st = ib_fail_memory(err, l.n, "merges");
    ib_map_clear(&ids);
    free(l.list);
    return st;
}
