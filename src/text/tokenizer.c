/* SPDX-License-Identifier: MIT
 * See tokenizer.h: opening, the pipeline of encode, and what a tokenizer can be asked. */
#include "text/tokenizer.h"

#include "base/file.h"
#include "text/tok.h"

#include <stdlib.h>
#include <string.h>

/* ---- small readers that several components share ---- */

ib_status ib_tok_type(const json_t *value, const char *where, ib_str *out, ib_error *err) {
    const json_t *type = json_object_get(value, "type");
    if (!json_is_string(type))
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s: an object with a 'type' was expected; fix: "
                       "correct the file",
                       where);
    *out = (ib_str){json_string_value(type), json_string_length(type)};
    return IB_OK;
}

ib_status ib_tok_unknown_type(const char *what, ib_str type, ib_error *err) {
    char quoted[IB_QUOTED];
    return ib_fail(
        err, IB_E_UNSUPPORTED,
        "unknown %s type in tokenizer.json: '%s'; fix: use a model whose tokenizer does without "
        "it",
        what, ib_quote(type, quoted));
}

ib_status ib_tok_copy_str(ib_tok_store *store, const json_t *object, const char *key,
                          const char *fallback, const char *where, ib_str *out, ib_error *err) {
    ib_str text;
    IB_TRY(ib_json_get_str(object, key, &text, where, err));
    if (!text.ptr && !fallback)
        return ib_fail(err, IB_E_FORMAT, "missing member in %s: '%s'; fix: correct the file", where,
                       key);
    *out = ib_arena_str(&store->arena, text.ptr ? text : ib_str_of(fallback), err);
    return out->ptr ? IB_OK : IB_E_RESOURCE;
}

ib_status ib_tok_one_char(const json_t *object, const char *key, uint32_t fallback,
                          const char *where, uint32_t *out, ib_error *err) {
    ib_str text;
    char quoted[IB_QUOTED];
    IB_TRY(ib_json_get_str(object, key, &text, where, err));
    *out = fallback;
    if (!text.ptr && fallback)
        return IB_OK;
    if (!text.len || ib_utf8_decode(text.ptr, text.ptr + text.len, out) != text.len)
        return ib_fail(
            err, IB_E_FORMAT,
            "bad value in %s/%s: '%s', expected exactly one character; fix: correct the file",
            where, key, ib_quote(text, quoted));
    return IB_OK;
}

/* ---- lists of ids ---- */

void ib_ids_clear(ib_ids *v) {
    free(v->ids);
    *v = (ib_ids){NULL, 0, 0};
}

ib_status ib_ids_add(ib_ids *v, uint32_t id, ib_error *err) {
    if (v->n == v->cap) {
        size_t cap = v->cap ? v->cap * 2 : 64;
        uint32_t *ids = realloc(v->ids, cap * sizeof *ids);
        if (!ids)
            return ib_fail_memory(err, cap * sizeof *ids, "token ids");
        v->ids = ids;
        v->cap = cap;
    }
    v->ids[v->n++] = id;
    return IB_OK;
}

/* ---- opening ---- */

static ib_status check_version(const json_t *root, ib_error *err) {
    ib_str version;
    char quoted[IB_QUOTED];
    IB_TRY(ib_json_get_str(root, "version", &version, "tokenizer.json at ", err));
    if (version.ptr && !ib_str_is(version, "1.0"))
        return ib_fail(
            err, IB_E_UNSUPPORTED,
            "unknown version in tokenizer.json: '%s', expected 1.0; fix: use a file of this "
            "version",
            ib_quote(version, quoted));
    return IB_OK;
}

static ib_status read_components(ib_tokenizer *t, const ib_tok_file *f, const ib_log *log,
                                 ib_error *err) {
    const json_t *root = f->root;
    IB_TRY(check_version(root, err));
    if (json_is_object(json_object_get(root, "truncation")) ||
        json_is_object(json_object_get(root, "padding")))
        ib_log_debug(log, "tokenizer.json: truncation and padding are not applied");
    IB_TRY(ib_tok_model_read(&t->model, &t->store, f, log, err));
    IB_TRY(ib_tok_normalizers_read(&t->normalizers, &t->store, json_object_get(root, "normalizer"),
                                   err));
    IB_TRY(ib_tok_presplitters_read(&t->presplitters, &t->store,
                                    json_object_get(root, "pre_tokenizer"), err));
    IB_TRY(ib_tok_posts_read(&t->posts, &t->store, json_object_get(root, "post_processor"), err));
    IB_TRY(ib_tok_decoders_read(&t->decoders, &t->store, json_object_get(root, "decoder"), err));
    return ib_tok_added_read(&t->added, &t->store, &t->model.vocab,
                             json_object_get(root, "added_tokens"), log, err);
}

static ib_status open_into(ib_tokenizer *t, const char *folder, const ib_log *log, ib_error *err) {
    ib_tok_file f;
    char *path = ib_path_join(folder, "tokenizer.json");
    if (!path)
        return ib_fail_memory(err, strlen(folder), "a path");
    ib_status st = ib_tok_file_read(&f, path, err);
    if (st == IB_OK)
        st = read_components(t, &f, log, err);
    ib_tok_file_clear(&f);
    free(path);
    IB_TRY(st);
    IB_TRY(ib_tok_config_read(&t->config, folder, &t->added, &t->store, &t->model.vocab, err));
    return ib_tok_added_seal(&t->added, &t->store, &t->normalizers, err);
}

ib_status ib_tokenizer_open(ib_tokenizer **out, const char *folder, const ib_log *log,
                            ib_error *err) {
    *out = NULL;
    ib_tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        return ib_fail_memory(err, sizeof *t, "a tokenizer");
    ib_arena_init(&t->store.arena, 0);
    ib_status st = open_into(t, folder, log, err);
    if (st != IB_OK) {
        ib_tokenizer_free(t);
        return st;
    }
    *out = t;
    return IB_OK;
}

void ib_tokenizer_free(ib_tokenizer *t) {
    if (!t)
        return;
    ib_tok_added_clear(&t->added);
    ib_tok_model_clear(&t->model);
    json_decref(t->config.special);
    ib_tok_regex_free_all(&t->store);
    ib_arena_clear(&t->store.arena);
    free(t);
}

/* ---- encoding ---- */

static void work_clear(ib_tok_work *w) {
    ib_tok_matcher_clear(&w->matcher);
    for (size_t i = 0; i < 2; i++) {
        ib_buf_clear(&w->norm[i]);
        ib_buf_clear(&w->text[i]);
        free(w->pieces[i].at);
    }
    ib_buf_clear(&w->older);
    ib_tok_cache_clear(&w->cache);
    ib_tok_scratch_clear(&w->scratch);
    ib_ids_clear(&w->piece_ids);
    ib_ids_clear(&w->ids);
}

static ib_status model_encode(const ib_tok_model *m, ib_tok_work *w, ib_str piece, ib_ids *out,
                              ib_error *err) {
    switch (m->kind) {
    case IB_TOK_BPE:
        return ib_tok_bpe_encode(m, &w->scratch, piece, out, err);
    case IB_TOK_UNIGRAM:
        return ib_tok_unigram_encode(m, &w->scratch, piece, out, err);
    case IB_TOK_WORDPIECE:
        return ib_tok_wordpiece_encode(m, &w->scratch, piece, out, err);
    default:
        return ib_tok_wordlevel_encode(m, piece, out, err);
    }
}

static ib_status append(ib_ids *to, const uint32_t *ids, size_t n, ib_error *err) {
    for (size_t i = 0; i < n; i++)
        IB_TRY(ib_ids_add(to, ids[i], err));
    return IB_OK;
}

/* A piece that the cache does not hold. */
static ib_status encode_new(const ib_tokenizer *t, ib_tok_work *w, ib_str piece, ib_ids *out,
                            ib_error *err) {
    if (!t->presplitters.map_bytes)
        return model_encode(&t->model, w, piece, out, err);
    /* The text buffers of the pre-tokenizer are in use; the second one of the normalizer may be
     * too. */
    ib_buf mapped;
    ib_buf_init(&mapped);
    ib_status st = ib_tok_map_bytes(piece, &mapped, err);
    if (st == IB_OK)
        st = model_encode(&t->model, w, (ib_str){mapped.ptr, mapped.len}, out, err);
    ib_buf_clear(&mapped);
    return st;
}

#define CACHED_PIECE 64

static ib_status encode_part(const ib_tokenizer *t, ib_tok_work *w, ib_str piece, ib_error *err) {
    if (piece.len > CACHED_PIECE)
        return encode_new(t, w, piece, &w->ids, err);
    uint64_t hash = ib_hash(piece.ptr, piece.len) | 1;
    const ib_tok_cache_slot *slot = ib_tok_cache_get(&w->cache, piece, hash);
    if (slot && !slot->n) /* the piece gives no ids */
        return IB_OK;
    if (slot)
        return append(&w->ids, w->cache.ids.ids + slot->first, slot->n, err);
    w->piece_ids.n = 0;
    IB_TRY(encode_new(t, w, piece, &w->piece_ids, err));
    IB_TRY(append(&w->ids, w->piece_ids.ids, w->piece_ids.n, err));
    return ib_tok_cache_put(&w->cache, piece, hash, w->piece_ids.ids, w->piece_ids.n, err);
}

static ib_status encode_piece(const ib_tokenizer *t, ib_tok_work *w, ib_str piece, ib_error *err) {
    if (t->model.kind != IB_TOK_BPE || !t->model.bpe.cuts || t->presplitters.map_bytes)
        return encode_part(t, w, piece, err);
    for (size_t from = 0; from < piece.len;) {
        size_t end = ib_tok_bpe_cut(&t->model.bpe, piece, from);
        IB_TRY(encode_part(t, w, (ib_str){piece.ptr + from, end - from}, err));
        from = end;
    }
    return IB_OK;
}

static ib_status encode_plain(const ib_tokenizer *t, ib_tok_work *w, ib_str text, bool at_start,
                              ib_error *err) {
    const ib_tok_pieces *pieces;
    ib_str current;
    IB_TRY(ib_tok_presplit(&t->presplitters, w, text, at_start, &current, &pieces, err));
    for (size_t i = 0; i < pieces->n; i++)
        IB_TRY(
            encode_piece(t, w, (ib_str){current.ptr + pieces->at[i].off, pieces->at[i].len}, err));
    return IB_OK;
}

static ib_status add_token(ib_tok_work *w, const ib_tok_added *token, ib_error *err) {
    w->n_special += token->special;
    return ib_ids_add(&w->ids, token->id, err);
}

/* Text between added tokens of the raw kind: normalized, then searched for the normalized kind. */
static ib_status encode_section(const ib_tokenizer *t, ib_tok_work *w, ib_str text, bool at_start,
                                ib_error *err) {
    bool shifted = false, found;
    ib_str normal;
    size_t start, end;
    const ib_tok_added *token;
    IB_TRY(ib_tok_normalize(&t->normalizers, w, text, &normal, &shifted, err));
    ib_tok_splitter s = ib_tok_split(&t->added, true, w->no_parse_special, normal);
    for (;;) {
        IB_TRY(ib_tok_split_next(&s, &start, &end, &token, &found, err));
        if (!found)
            return IB_OK;
        if (token)
            IB_TRY(add_token(w, token, err));
        else
            IB_TRY(encode_plain(t, w, (ib_str){normal.ptr + start, end - start},
                                at_start && !shifted && start == 0, err));
    }
}

static ib_status encode_text(const ib_tokenizer *t, ib_tok_work *w, ib_str text, ib_error *err) {
    bool found;
    size_t start, end;
    const ib_tok_added *token;
    ib_tok_splitter s = ib_tok_split(&t->added, false, w->no_parse_special, text);
    for (;;) {
        IB_TRY(ib_tok_split_next(&s, &start, &end, &token, &found, err));
        if (!found)
            return IB_OK;
        if (token)
            IB_TRY(add_token(w, token, err));
        else
            IB_TRY(encode_section(t, w, (ib_str){text.ptr + start, end - start}, start == 0, err));
    }
}

/* text itself when it is UTF-8, else a copy in which U+FFFD stands for what is not. */
static ib_status sanitize(ib_str text, ib_buf *copy, ib_str *out, ib_error *err) {
    size_t at = ib_utf8_valid_prefix(text.ptr, text.len);
    *out = text;
    if (at == text.len)
        return IB_OK;
    for (size_t from = 0; from < text.len;) {
        size_t good = ib_utf8_valid_prefix(text.ptr + from, text.len - from);
        IB_TRY(ib_buf_add(copy, text.ptr + from, good, err));
        from += good;
        if (from < text.len) {
            IB_TRY(ib_buf_add_utf8(copy, 0xFFFD, err));
            from += ib_utf8_bad_len(text.ptr + from, text.ptr + text.len);
        }
    }
    *out = (ib_str){copy->ptr, copy->len};
    return IB_OK;
}

ib_status ib_tokenizer_encode(const ib_tokenizer *t, ib_str text, const ib_encode_options *options,
                              ib_ids *out, size_t *n_special, ib_error *err) {
    ib_tok_work w = {.no_parse_special =
                         options->no_parse_special || t->config.split_special_tokens};
    ib_buf copy;
    ib_str clean;
    size_t n_before = out->n;
    if (n_special)
        *n_special = 0;
    if (text.len > IB_TOK_MAX_TEXT)
        return ib_fail(err, IB_E_RESOURCE,
                       "text too long to tokenize: %zu bytes, the cap is %zu; fix: use "
                       "a shorter text",
                       text.len, IB_TOK_MAX_TEXT);
    if (!text.ptr)
        text = (ib_str){"", 0};
    ib_buf_init(&copy);
    ib_status st = sanitize(text, &copy, &clean, err);
    if (st == IB_OK)
        st = encode_text(t, &w, clean, err);
    if (st == IB_OK)
        st = ib_tok_posts_apply(&t->posts, options->add_special_tokens, &w.ids, out, err);
    if (st != IB_OK)
        out->n = n_before;
    else if (n_special)
        *n_special = w.n_special;
    work_clear(&w);
    ib_buf_clear(&copy);
    return st;
}

/* ---- facts ---- */

ib_str ib_tok_token(const ib_tokenizer *t, uint32_t id, bool *special) {
    const ib_tok_added *a = ib_tok_added_by_id(&t->added, id);
    *special = a && a->special;
    return a ? a->decoded : ib_tok_vocab_token(&t->model.vocab, id);
}

ib_str ib_tokenizer_token(const ib_tokenizer *t, uint32_t id, bool *special) {
    const ib_tok_added *a = ib_tok_added_by_id(&t->added, id);
    if (special)
        *special = a && a->special;
    return a ? a->content : ib_tok_vocab_token(&t->model.vocab, id);
}

size_t ib_tokenizer_n_vocab(const ib_tokenizer *t) {
    const ib_tok_vocab *v = &t->model.vocab;
    const ib_tok_added_set *a = &t->added;
    size_t n = v->n ? (size_t)v->by_id[v->n - 1].id + 1 : 0;
    size_t added = a->n && a->by_id ? (size_t)a->items[a->by_id[a->n - 1]].id + 1 : 0;
    return n > added ? n : added;
}

bool ib_tokenizer_id(const ib_tokenizer *t, ib_str token, uint32_t *id) {
    const ib_tok_added *a = ib_tok_added_by_content(&t->added, token);
    *id = a ? a->id : ib_tok_vocab_id(&t->model.vocab, token);
    return *id != IB_TOK_NONE;
}

const json_t *ib_tokenizer_special_tokens(const ib_tokenizer *t) {
    return t->config.special;
}

const char *ib_tokenizer_kind(const ib_tokenizer *t) {
    static const char *const names[] = {"BPE", "Unigram", "WordPiece", "WordLevel"};
    return names[t->model.kind];
}

ib_status ib_tokenizer_clean_up(const ib_tokenizer *t, ib_buf *text, ib_error *err) {
    bool wanted = t->config.clean_up && (t->model.kind != IB_TOK_BPE || t->config.clean_up_bpe);
    return wanted ? ib_tok_clean_up(text, false, err) : IB_OK;
}
