/* SPDX-License-Identifier: MIT
 * Added tokens: strings that are cut out of the text before the model sees it. Two sets, one
 * matched in the raw text and one in the normalized text, each by an Aho-Corasick automaton with
 * leftmost-longest matches that do not overlap. */
#include "base/checked.h"
#include "text/tok.h"

#include <stdlib.h>
#include <string.h>

typedef struct node {
    uint32_t child, sibling, fail;
    uint32_t token; /* index of the added token + 1; 0 = none ends here */
    uint32_t best;  /* nearest node with a token along the suffixes, itself included; 0 = none */
    uint32_t depth;
    unsigned char byte;
} node;

struct ib_tok_trie {
    node *nodes; /* owned; 0 is the root */
    size_t n, cap;
    bool starts[256]; /* bytes that leave the root */
    uint32_t first[256];
};

/* ---- the set ---- */

ib_status ib_tok_added_put(ib_tok_added_set *a, ib_tok_store *store, const ib_tok_vocab *vocab,
                           const ib_tok_added *token, ib_error *err) {
    uint64_t index;
    if (!token->content.len)
        return IB_OK;
    if (a->items && ib_map_get(&a->by_content, token->content, &index)) {
        ib_tok_added *old = &a->items[index], kept = *old;
        *old = *token;
        old->content = kept.content;
        old->id = kept.id;
        old->special = token->special || kept.special;
        return IB_OK;
    }
    a->n_bytes += token->content.len;
    if (a->n >= IB_TOK_MAX_ADDED || token->content.len > IB_TOK_MAX_TOKEN ||
        a->n_bytes > IB_TOK_MAX_ADDED_BYTES)
        return ib_fail(
            err, IB_E_RESOURCE,
            "too many or too long added tokens in tokenizer.json: %zu, one of %zu bytes; the "
            "caps are %zu tokens, %zu bytes each and %zu together; fix: check the file",
            a->n + 1, token->content.len, IB_TOK_MAX_ADDED, IB_TOK_MAX_TOKEN,
            IB_TOK_MAX_ADDED_BYTES);
    if (a->n == a->cap || !a->items) {
        size_t cap = a->cap ? a->cap * 2 : 32;
        ib_tok_added *items = realloc(a->items, cap * sizeof *items);
        if (!items)
            return ib_fail_memory(err, cap * sizeof *items, "added tokens");
        a->items = items;
        a->cap = cap;
    }
    ib_tok_added *item = &a->items[a->n];
    *item = *token;
    item->content = ib_arena_str(&store->arena, token->content, err);
    if (!item->content.ptr)
        return IB_E_RESOURCE;
    if (a->next_id < vocab->n_distinct)
        a->next_id = (uint32_t)vocab->n_distinct;
    item->id = ib_tok_vocab_id(vocab, item->content);
    if (item->id == IB_TOK_NONE)
        item->id = a->next_id;
    /* As in the reference: the next id follows the highest added one, once that is past the
     * model's. */
    if (item->id >= a->next_id)
        a->next_id = item->id + 1;
    IB_TRY(ib_map_put(&a->by_content, item->content, a->n, NULL, err));
    a->n++;
    return IB_OK;
}

ib_status ib_tok_added_flags(const json_t *entry, const char *where, ib_tok_added *out,
                             ib_error *err) {
    IB_TRY(ib_json_get_str(entry, "content", &out->content, where, err));
    IB_TRY(ib_json_get_bool(entry, "single_word", false, &out->single_word, where, err));
    IB_TRY(ib_json_get_bool(entry, "lstrip", false, &out->lstrip, where, err));
    IB_TRY(ib_json_get_bool(entry, "rstrip", false, &out->rstrip, where, err));
    IB_TRY(ib_json_get_bool(entry, "special", false, &out->special, where, err));
    return ib_json_get_bool(entry, "normalized", !out->special, &out->normalized, where, err);
}

ib_status ib_tok_added_read(ib_tok_added_set *a, ib_tok_store *store, const ib_tok_vocab *vocab,
                            const json_t *list, const ib_log *log, ib_error *err) {
    static const char where[] = "tokenizer.json at /added_tokens/*";
    size_t i, n_moved = 0;
    const json_t *entry;
    if (!list || json_is_null(list))
        return IB_OK;
    if (!json_is_array(list))
        return ib_fail(
            err, IB_E_FORMAT,
            "bad value in tokenizer.json at /added_tokens: expected a list; fix: correct the file");
    json_array_foreach((json_t *)list, i, entry) {
        ib_tok_added token = {0};
        int64_t id;
        if (!json_is_object(entry))
            return ib_fail(
                err, IB_E_FORMAT,
                "bad value in tokenizer.json at /added_tokens/%zu: expected an object; fix: "
                "correct the file",
                i);
        IB_TRY(ib_tok_added_flags(entry, where, &token, err));
        IB_TRY(ib_json_get_i64(entry, "id", -1, 0, IB_TOK_MAX_ID, &id, where, err));
        IB_TRY(ib_tok_added_put(a, store, vocab, &token, err));
        const ib_tok_added *put = ib_tok_added_by_content(a, token.content);
        n_moved += put && id >= 0 && put->id != id;
    }
    if (n_moved)
        ib_log_warn(log,
                    "tokenizer.json: %zu added tokens have another id than the file says: the "
                    "vocabulary decides, as in the reference",
                    n_moved);
    return IB_OK;
}

const ib_tok_added *ib_tok_added_by_content(const ib_tok_added_set *a, ib_str content) {
    uint64_t index;
    return ib_map_get(&a->by_content, content, &index) ? &a->items[index] : NULL;
}

const ib_tok_added *ib_tok_added_by_id(const ib_tok_added_set *a, uint32_t id) {
    size_t lo = 0, hi = a->by_id ? a->n : 0;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (a->items[a->by_id[mid]].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (a->by_id && lo < a->n && a->items[a->by_id[lo]].id == id)
        return &a->items[a->by_id[lo]];
    return NULL;
}

/* ---- the automaton ---- */

static void trie_free(ib_tok_trie *t) {
    if (t)
        free(t->nodes);
    free(t);
}

void ib_tok_added_clear(ib_tok_added_set *a) {
    free(a->items);
    ib_map_clear(&a->by_content);
    trie_free(a->raw);
    trie_free(a->normalized);
    free(a->by_id);
    *a = (ib_tok_added_set){0};
}

static uint32_t find_child(const ib_tok_trie *t, uint32_t at, unsigned char byte) {
    uint32_t c = t->nodes[at].child;
    while (c && t->nodes[c].byte != byte)
        c = t->nodes[c].sibling;
    return c;
}

static ib_status add_node(ib_tok_trie *t, uint32_t parent, unsigned char byte, uint32_t *out,
                          ib_error *err) {
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 256;
        node *nodes = realloc(t->nodes, cap * sizeof *nodes);
        if (!nodes)
            return ib_fail_memory(err, cap * sizeof *nodes, "added tokens");
        t->nodes = nodes;
        t->cap = cap;
    }
    *out = (uint32_t)t->n++;
    t->nodes[*out] = (node){.byte = byte};
    if (*out) {
        t->nodes[*out].sibling = t->nodes[parent].child;
        t->nodes[*out].depth = t->nodes[parent].depth + 1;
        t->nodes[parent].child = *out;
    }
    return IB_OK;
}

static ib_status insert(ib_tok_trie *t, ib_str text, uint32_t index, ib_error *err) {
    uint32_t at = 0;
    if (!t->n)
        IB_TRY(add_node(t, 0, 0, &at, err));
    at = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        uint32_t next = at ? find_child(t, at, byte) : t->first[byte];
        if (!next) {
            IB_TRY(add_node(t, at, byte, &next, err));
            if (!at)
                t->first[byte] = next;
        }
        at = next;
    }
    if (at && !t->nodes[at].token)
        t->nodes[at].token = index + 1;
    return IB_OK;
}

/* Where the automaton goes from `at` with byte, suffixes tried in turn. */
static uint32_t step(const ib_tok_trie *t, uint32_t at, unsigned char byte, size_t *steps) {
    while (at) {
        uint32_t next = find_child(t, at, byte);
        (*steps)++;
        if (next)
            return next;
        at = t->nodes[at].fail;
    }
    return t->first[byte];
}

/* Suffix links in breadth-first order. */
static ib_status link_suffixes(ib_tok_trie *t, ib_error *err) {
    uint32_t *queue = malloc(t->n * sizeof *queue);
    size_t head = 0, tail = 0, steps = 0;
    if (!queue)
        return ib_fail_memory(err, t->n * sizeof *queue, "added tokens");
    for (size_t b = 0; b < 256; b++)
        t->starts[b] = t->first[b] != 0;
    queue[tail++] = 0;
    while (head < tail) {
        uint32_t at = queue[head++];
        for (uint32_t c = t->nodes[at].child; c; c = t->nodes[c].sibling) {
            node *n = &t->nodes[c];
            n->fail = at ? step(t, t->nodes[at].fail, n->byte, &steps) : 0;
            n->best = n->token ? c : t->nodes[n->fail].best;
            queue[tail++] = c;
        }
    }
    free(queue);
    return IB_OK;
}

static ib_status build(ib_tok_trie **out, ib_tok_added_set *a, bool normalized, ib_tok_store *store,
                       const ib_tok_normalizers *norm, ib_error *err) {
    ib_tok_work w = {0};
    ib_status st = IB_OK;
    ib_tok_trie *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t)
        return ib_fail_memory(err, sizeof *t, "added tokens");
    for (size_t i = 0; st == IB_OK && i < a->n; i++) {
        ib_str text = a->items[i].content;
        bool shifted = false;
        if (a->items[i].normalized != normalized)
            continue;
        if (normalized)
            st = ib_tok_normalize(norm, &w, text, &text, &shifted, err);
        a->items[i].decoded =
            normalized && st == IB_OK ? ib_arena_str(&store->arena, text, err) : text;
        if (!a->items[i].decoded.ptr)
            st = IB_E_RESOURCE;
        if (st == IB_OK && text.len)
            st = insert(t, text, (uint32_t)i, err);
    }
    ib_tok_matcher_clear(&w.matcher);
    ib_buf_clear(&w.norm[0]);
    ib_buf_clear(&w.norm[1]);
    if (st == IB_OK && t->n)
        st = link_suffixes(t, err);
    if (st != IB_OK || !t->n) {
        trie_free(t);
        return st;
    }
    *out = t;
    return IB_OK;
}

typedef struct id_index {
    uint32_t id, index;
} id_index;

static int compare_ids(const void *a, const void *b) {
    const id_index *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x->index < y->index ? 1 : -1; /* the last one put stands for an id that two share */
}

ib_status ib_tok_added_seal(ib_tok_added_set *a, ib_tok_store *store,
                            const ib_tok_normalizers *norm, ib_error *err) {
    if (!a->n)
        return IB_OK;
    id_index *order = calloc(a->n, sizeof *order);
    a->by_id = calloc(a->n, sizeof *a->by_id);
    if (!order || !a->by_id) {
        free(order);
        return ib_fail_memory(err, a->n * sizeof *order, "added tokens");
    }
    for (size_t i = 0; i < a->n; i++)
        order[i] = (id_index){a->items[i].id, (uint32_t)i};
    qsort(order, a->n, sizeof *order, compare_ids);
    for (size_t i = 0; i < a->n; i++)
        a->by_id[i] = order[i].index;
    free(order);
    IB_TRY(build(&a->raw, a, false, store, norm, err));
    return build(&a->normalized, a, true, store, norm, err);
}

/* ---- walking a text ---- */

ib_tok_splitter ib_tok_split(const ib_tok_added_set *a, bool normalized, bool skip_special,
                             ib_str text) {
    ib_tok_splitter s = {.set = a, .text = text, .skip_special = skip_special};
    s.trie = normalized ? a->normalized : a->raw;
    return s;
}

/* The next leftmost-longest match from s->scan on; false at the end. */
static bool match(ib_tok_splitter *s, size_t *start, size_t *end, uint32_t *token) {
    const ib_tok_trie *t = s->trie;
    const unsigned char *p = (const unsigned char *)s->text.ptr;
    uint32_t at = 0;
    *token = 0;
    for (size_t i = s->scan; i < s->text.len; i++) {
        if (!at) {
            if (*token)
                break;
            while (i < s->text.len && !t->starts[p[i]])
                i++;
            if (i == s->text.len)
                break;
        }
        at = step(t, at, p[i], &s->steps);
        const node *n = &t->nodes[at];
        if (*token && i + 1 - n->depth > *start)
            break;
        if (n->best) {
            const node *b = &t->nodes[n->best];
            size_t from = i + 1 - b->depth;
            if (!*token || from < *start || (from == *start && i + 1 > *end)) {
                *start = from;
                *end = i + 1;
                *token = b->token;
            }
        }
    }
    s->scan = *token ? *end : s->text.len;
    return *token != 0;
}

static bool word_before(ib_str text, size_t at) {
    size_t i = at;
    uint32_t c;
    if (!at)
        return false;
    do
        i--;
    while (i && ((unsigned char)text.ptr[i] & 0xC0) == 0x80);
    return ib_utf8_decode(text.ptr + i, text.ptr + at, &c) && ib_tok_is_word(c);
}

static bool word_after(ib_str text, size_t at) {
    return at < text.len && ib_tok_is_word(ib_tok_next_char(text, &at));
}

static size_t spaces_left(ib_str text, size_t at, size_t limit) {
    while (at > limit) {
        size_t i = at, pos;
        do
            i--;
        while (i > limit && ((unsigned char)text.ptr[i] & 0xC0) == 0x80);
        pos = i;
        if (!ib_tok_is_white_space(ib_tok_next_char(text, &pos)))
            break;
        at = i;
    }
    return at;
}

static size_t spaces_right(ib_str text, size_t at) {
    while (at < text.len) {
        size_t next = at;
        if (!ib_tok_is_white_space(ib_tok_next_char(text, &next)))
            break;
        at = next;
    }
    return at;
}

/* The next match that counts, its edges moved over white space. */
static bool next_token(ib_tok_splitter *s, size_t *start, size_t *end, const ib_tok_added **token) {
    uint32_t index;
    while (match(s, start, end, &index)) {
        const ib_tok_added *a = &s->set->items[index - 1];
        if (s->skip_special && a->special)
            continue;
        if (a->single_word && (word_before(s->text, *start) || word_after(s->text, *end)))
            continue;
        if (a->lstrip && *start > s->done)
            *start = spaces_left(s->text, *start, s->done);
        if (a->rstrip)
            /* All white space up to `done` was walked over by the token before. */
            *end = *end < s->done ? s->done : spaces_right(s->text, *end);
        *token = a;
        return true;
    }
    return false;
}

ib_status ib_tok_split_next(ib_tok_splitter *s, size_t *start, size_t *end,
                            const ib_tok_added **token, bool *found, ib_error *err) {
    *found = true;
    *token = NULL;
    if (s->waiting) {
        *token = s->waiting;
        *start = s->done;
        *end = s->done = s->waiting_end;
        s->waiting = NULL;
        return IB_OK;
    }
    size_t from, to;
    const ib_tok_added *next = NULL;
    if (s->trie && next_token(s, &from, &to, &next)) {
        if (s->steps > 1000 * (s->text.len + 1000))
            return ib_fail(
                err, IB_E_RESOURCE,
                "added tokens of tokenizer.json need too many steps on this text; fix: use "
                "another tokenizer, or other text");
        if (from > s->done) {
            *start = s->done;
            *end = s->done = from;
            s->waiting = next;
            s->waiting_end = to;
        } else {
            *token = next;
            *start = from;
            *end = s->done = to;
        }
        return IB_OK;
    }
    *start = s->done;
    *end = s->done = s->text.len;
    *found = *start < *end;
    return IB_OK;
}
