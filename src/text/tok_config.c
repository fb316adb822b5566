/* SPDX-License-Identifier: MIT
 * What tokenizer_config.json and special_tokens_map.json add to tokenizer.json: flags of added
 * tokens, named special tokens, and two switches. Both files are optional. */
#include "base/file.h"
#include "text/tok.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};
#define N_NAMES (sizeof names / sizeof *names)

/* A token is a string or an object with 'content'. */
static ib_str token_text(const json_t *v) {
    const json_t *s = json_is_object(v) ? json_object_get(v, "content") : v;
    if (!json_is_string(s))
        return (ib_str){NULL, 0};
    return (ib_str){json_string_value(s), json_string_length(s)};
}

static ib_status load(json_t **out, const char *folder, const char *name, ib_error *err) {
    *out = NULL;
    char *path = ib_path_join(folder, name);
    if (!path)
        return ib_fail_memory(err, strlen(folder), "a path");
    ib_status st = IB_OK;
    if (ib_path_exists(path))
        st = ib_json_load(out, path, 0, err);
    if (st == IB_OK && *out && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        st = ib_fail(err, IB_E_FORMAT, "no JSON object in %s; fix: re-download the file", path);
    }
    free(path);
    return st;
}

static ib_status set_special(json_t *special, const char *name, ib_str text, ib_error *err) {
    if (json_object_set_new(special, name, json_stringn(text.ptr, text.len)) != 0)
        return ib_fail_memory(err, text.len, "special tokens");
    return IB_OK;
}

/* Named tokens of one file; those of the later file win. */
static ib_status collect_named(json_t *special, const json_t *file, ib_error *err) {
    const char *key;
    const json_t *value;
    for (size_t i = 0; i < N_NAMES; i++) {
        ib_str text = token_text(json_object_get(file, names[i]));
        if (text.ptr)
            IB_TRY(set_special(special, names[i], text, err));
    }
    /* Names of the model's own: "image_token" and so on. */
    json_t *extra = json_object_get(file, "extra_special_tokens");
    if (!json_is_object(extra))
        return IB_OK;
    json_object_foreach(extra, key, value) {
        ib_str text = token_text(value);
        if (text.ptr)
            IB_TRY(set_special(special, key, text, err));
    }
    return IB_OK;
}

static bool is_named(const json_t *special, const json_t *file, ib_str text) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)special, key,
                        value) if (ib_str_eq(token_text(value), text)) return true;
    static const char *const lists[] = {"additional_special_tokens", "extra_special_tokens"};
    for (size_t k = 0; k < 2; k++) {
        const json_t *list = json_object_get(file, lists[k]);
        for (size_t i = 0; i < json_array_size(list); i++)
            if (ib_str_eq(token_text(json_array_get(list, i)), text))
                return true;
    }
    return false;
}

typedef struct target {
    ib_tok_added_set *added;
    ib_tok_store *store;
    const ib_tok_vocab *vocab;
} target;

typedef struct listed {
    int64_t id;
    const json_t *entry;
} listed;

static int by_listed_id(const void *a, const void *b) {
    const listed *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* added_tokens_decoder in the order of its ids: flags override, missing tokens appear. */
static ib_status put_listed(const ib_tok_config *c, const json_t *file, const target *t,
                            listed *all, ib_error *err) {
    static const char where[] = "tokenizer_config.json at /added_tokens_decoder/*";
    const char *key;
    json_t *entry;
    size_t n = 0;
    char quoted[IB_QUOTED];
    json_object_foreach(json_object_get(file, "added_tokens_decoder"), key, entry) {
        if (!ib_parse_i64(ib_str_of(key), &all[n].id) || !json_is_object(entry))
            return ib_fail(
                err, IB_E_FORMAT,
                "bad entry in tokenizer_config.json at /added_tokens_decoder/%s: expected an id "
                "and an object; fix: correct the file",
                ib_quotez(key, quoted));
        all[n++].entry = entry;
    }
    if (n)
        qsort(all, n, sizeof *all, by_listed_id);
    for (size_t i = 0; i < n; i++) {
        ib_tok_added token = {0};
        IB_TRY(ib_tok_added_flags(all[i].entry, where, &token, err));
        token.special = token.special || is_named(c->special, file, token.content);
        IB_TRY(ib_tok_added_put(t->added, t->store, t->vocab, &token, err));
    }
    return IB_OK;
}

static ib_status put_unknown(ib_str text, const target *t, ib_error *err) {
    ib_tok_added token = {.content = text, .special = true};
    if (!text.ptr || ib_tok_added_by_content(t->added, text))
        return IB_OK;
    return ib_tok_added_put(t->added, t->store, t->vocab, &token, err);
}

/* Named special tokens that no list of added tokens knows become special ones. */
static ib_status put_named(const ib_tok_config *c, const json_t *file, const target *t,
                           ib_error *err) {
    static const char *const lists[] = {"additional_special_tokens", "extra_special_tokens"};
    const char *key;
    json_t *value;
    json_object_foreach(c->special, key, value) IB_TRY(put_unknown(token_text(value), t, err));
    for (size_t k = 0; k < 2; k++) {
        const json_t *list = json_object_get(file, lists[k]);
        for (size_t i = 0; i < json_array_size(list); i++)
            IB_TRY(put_unknown(token_text(json_array_get(list, i)), t, err));
    }
    return IB_OK;
}

static ib_status read_switches(ib_tok_config *c, const json_t *file, ib_error *err) {
    static const char where[] = "tokenizer_config.json at ";
    IB_TRY(ib_json_get_bool(file, "split_special_tokens", false, &c->split_special_tokens, where,
                            err));
    IB_TRY(ib_json_get_bool(file, "clean_up_tokenization_spaces", false, &c->clean_up, where, err));
    return ib_json_get_bool(
        file, "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output", false,
        &c->clean_up_bpe, where, err);
}

static ib_status take(ib_tok_config *c, const json_t *file, const json_t *map, const target *t,
                      ib_error *err) {
    size_t n = json_object_size(json_object_get(file, "added_tokens_decoder"));
    if (n > IB_TOK_MAX_ADDED)
        return ib_fail(
            err, IB_E_RESOURCE,
            "too many added tokens in tokenizer_config.json: %zu, the cap is %zu; fix: check the "
            "file",
            n, IB_TOK_MAX_ADDED);
    IB_TRY(collect_named(c->special, file, err));
    IB_TRY(collect_named(c->special, map, err));
    IB_TRY(read_switches(c, file, err));
    listed *all = calloc(n + 1, sizeof *all);
    if (!all)
        return ib_fail_memory(err, n * sizeof *all, "added tokens");
    ib_status st = put_listed(c, file, t, all, err);
    free(all);
    IB_TRY(st);
    return put_named(c, file, t, err);
}

ib_status ib_tok_config_read(ib_tok_config *c, const char *folder, ib_tok_added_set *added,
                             ib_tok_store *store, const ib_tok_vocab *vocab, ib_error *err) {
    const target t = {added, store, vocab};
    json_t *file = NULL, *map = NULL;
    c->special = json_object();
    if (!c->special)
        return ib_fail_memory(err, 0, "special tokens");
    ib_status st = load(&file, folder, "tokenizer_config.json", err);
    if (st == IB_OK)
        st = load(&map, folder, "special_tokens_map.json", err);
    if (st == IB_OK)
        st = take(c, file, map, &t, err);
    json_decref(file);
    json_decref(map);
    return st;
}
