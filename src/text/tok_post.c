/* SPDX-License-Identifier: MIT
 * Post-processors: the ids of a text -> those ids between the special ones that the model expects
 * around a text. Only the form for a single text exists here. */
#include "text/tok.h"

#include <string.h>

#define MAX_ITEMS 4096

static const char where[] = "tokenizer.json at /post_processor";

static ib_status bad(ib_error *err, const char *what) {
    return ib_fail(err, IB_E_FORMAT, "bad value in %s: %s; fix: correct the file", where, what);
}

static ib_status add_step(ib_tok_posts *p, ib_tok_store *store, size_t n_items, ib_tok_post **out,
                          ib_error *err) {
    if (p->n >= IB_TOK_MAX_STEPS || n_items > MAX_ITEMS)
        return ib_fail(err, IB_E_RESOURCE,
                       "too many post-processors or items in %s; fix: use another tokenizer",
                       where);
    *out = &p->steps[p->n++];
    (*out)->n = 0;
    (*out)->items = ib_arena_array(&store->arena, n_items, sizeof *(*out)->items, err);
    return (*out)->items ? IB_OK : IB_E_RESOURCE;
}

static ib_status read_id(const json_t *v, uint32_t *out, ib_error *err) {
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > IB_TOK_MAX_ID)
        return bad(err, "a token id was expected");
    *out = (uint32_t)json_integer_value(v);
    return IB_OK;
}

/* The ids that special_tokens gives to a name. */
static ib_status special_ids(const json_t *template, const json_t *piece, const json_t **out,
                             ib_error *err) {
    ib_str name;
    char quoted[IB_QUOTED];
    IB_TRY(ib_json_get_str(piece, "id", &name, where, err));
    if (!name.ptr)
        return bad(err, "SpecialToken without 'id'");
    const json_t *entry =
        json_object_getn(json_object_get(template, "special_tokens"), name.ptr, name.len);
    *out = json_object_get(entry, "ids");
    if (!json_is_array(*out))
        return ib_fail(err, IB_E_FORMAT,
                       "special token missing in %s/special_tokens: '%s'; fix: correct the file",
                       where, ib_quote(name, quoted));
    return IB_OK;
}

static ib_status read_piece(const json_t *template, const json_t *piece, ib_tok_post *post,
                            ib_error *err) {
    const json_t *sequence = json_object_get(piece, "Sequence");
    const json_t *special = json_object_get(piece, "SpecialToken"), *ids;
    if (json_is_object(sequence)) {
        ib_str id;
        IB_TRY(ib_json_get_str(sequence, "id", &id, where, err));
        if (!ib_str_is(id, "A"))
            return bad(err, "the template for one text names another sequence than A");
        post->items[post->n++] = (ib_tok_post_item){true, 0};
        return IB_OK;
    }
    if (!json_is_object(special))
        return bad(err, "a template item is neither Sequence nor SpecialToken");
    IB_TRY(special_ids(template, special, &ids, err));
    for (size_t i = 0; i < json_array_size(ids); i++) {
        ib_tok_post_item *item = &post->items[post->n++];
        item->is_text = false;
        IB_TRY(read_id(json_array_get(ids, i), &item->id, err));
    }
    return IB_OK;
}

static ib_status read_template(ib_tok_posts *p, ib_tok_store *store, const json_t *v,
                               ib_error *err) {
    const json_t *single = json_object_get(v, "single");
    ib_tok_post *post = NULL;
    size_t n_items = 0;
    if (!json_is_array(single))
        return bad(err, "TemplateProcessing without its list 'single'");
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *ids, *special = json_object_get(json_array_get(single, i), "SpecialToken");
        n_items++;
        if (!json_is_object(special))
            continue;
        IB_TRY(special_ids(v, special, &ids, err));
        n_items += json_array_size(ids);
    }
    IB_TRY(add_step(p, store, n_items, &post, err));
    for (size_t i = 0; i < json_array_size(single); i++)
        IB_TRY(read_piece(v, json_array_get(single, i), post, err));
    return IB_OK;
}

/* ["[CLS]", 101] */
static ib_status read_pair(const json_t *v, const char *key, uint32_t *out, ib_error *err) {
    const json_t *pair = json_object_get(v, key);
    if (!json_is_array(pair) || json_array_size(pair) != 2)
        return bad(err, "a pair of token and id was expected");
    return read_id(json_array_get(pair, 1), out, err);
}

static ib_status wrap(ib_tok_posts *p, ib_tok_store *store, uint32_t first, uint32_t last,
                      ib_error *err) {
    ib_tok_post *post = NULL;
    IB_TRY(add_step(p, store, 3, &post, err));
    if (first != IB_TOK_NONE)
        post->items[post->n++] = (ib_tok_post_item){false, first};
    post->items[post->n++] = (ib_tok_post_item){true, 0};
    if (last != IB_TOK_NONE)
        post->items[post->n++] = (ib_tok_post_item){false, last};
    return IB_OK;
}

static ib_status read_into(ib_tok_posts *p, ib_tok_store *store, const json_t *v, ib_error *err) {
    ib_str type;
    uint32_t first, last;
    IB_TRY(ib_tok_type(v, where, &type, err));
    if (ib_str_is(type, "ByteLevel"))
        return IB_OK;
    if (ib_str_is(type, "TemplateProcessing"))
        return read_template(p, store, v, err);
    if (ib_str_is(type, "BertProcessing") || ib_str_is(type, "RobertaProcessing")) {
        IB_TRY(read_pair(v, "cls", &first, err));
        IB_TRY(read_pair(v, "sep", &last, err));
        return wrap(p, store, first, last, err);
    }
    if (!ib_str_is(type, "Sequence"))
        return ib_tok_unknown_type("post-processor", type, err);
    const json_t *list = json_object_get(v, "processors");
    if (!json_is_array(list))
        return bad(err, "Sequence without its list 'processors'");
    for (size_t i = 0; i < json_array_size(list); i++)
        IB_TRY(read_into(p, store, json_array_get(list, i), err));
    return IB_OK;
}

static ib_status allocate(ib_tok_posts *out, ib_tok_store *store, ib_error *err) {
    out->n = 0;
    out->steps = ib_arena_array(&store->arena, IB_TOK_MAX_STEPS, sizeof *out->steps, err);
    return out->steps ? IB_OK : IB_E_RESOURCE;
}

ib_status ib_tok_posts_read(ib_tok_posts *out, ib_tok_store *store, const json_t *value,
                            ib_error *err) {
    *out = (ib_tok_posts){NULL, 0};
    if (!value || json_is_null(value))
        return IB_OK;
    IB_TRY(allocate(out, store, err));
    return read_into(out, store, value, err);
}

ib_status ib_tok_posts_wrap(ib_tok_posts *out, ib_tok_store *store, uint32_t first, uint32_t last,
                            ib_error *err) {
    IB_TRY(allocate(out, store, err));
    return wrap(out, store, first, last, err);
}

static ib_status append(ib_ids *to, const ib_ids *from, ib_error *err) {
    for (size_t i = 0; i < from->n; i++)
        IB_TRY(ib_ids_add(to, from->ids[i], err));
    return IB_OK;
}

static ib_status apply_one(const ib_tok_post *post, bool add_special, const ib_ids *in, ib_ids *out,
                           ib_error *err) {
    for (size_t i = 0; i < post->n; i++) {
        if (post->items[i].is_text)
            IB_TRY(append(out, in, err));
        else if (add_special)
            IB_TRY(ib_ids_add(out, post->items[i].id, err));
        if (out->n > IB_TOK_MAX_TEXT * 2)
            return ib_fail(err, IB_E_RESOURCE,
                           "the template in %s makes more than %zu ids; fix: use another tokenizer",
                           where, IB_TOK_MAX_TEXT * 2);
    }
    return IB_OK;
}

ib_status ib_tok_posts_apply(const ib_tok_posts *p, bool add_special, const ib_ids *ids,
                             ib_ids *out, ib_error *err) {
    ib_ids now = {0}, next = {0};
    const ib_ids *in = ids;
    ib_status st = IB_OK;
    for (size_t i = 0; st == IB_OK && i < p->n; i++) {
        next = (ib_ids){0};
        st = apply_one(&p->steps[i], add_special, in, &next, err);
        ib_ids_clear(&now);
        now = next;
        in = &now;
    }
    if (st == IB_OK)
        st = append(out, in, err);
    ib_ids_clear(&now);
    return st;
}
