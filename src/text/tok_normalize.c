/* SPDX-License-Identifier: MIT
 * Normalizers: text -> text, step by step. A step that changes nothing hands the same slice on, so
 * plain ASCII under NFC is never copied. */
#include "text/tok.h"

#include <string.h>

typedef enum kind {
    FORM,
    PREPEND,
    REPLACE,
    STRIP,
    LOWERCASE,
    STRIP_ACCENTS,
    NMT,
    BERT,
    BYTES,
    CHARSMAP
} kind;

struct ib_tok_normalizer {
    kind kind;
    ib_tok_form form;
    ib_str content; /* Prepend, Replace */
    ib_tok_pattern pattern;
    ib_tok_charsmap map;
    bool left, right;                        /* Strip */
    bool clean, chinese, accents, lowercase; /* Bert */
};

/* ---- reading ---- */

static ib_status read_bert(ib_tok_normalizer *n, const json_t *v, const char *where,
                           ib_error *err) {
    IB_TRY(ib_json_get_bool(v, "clean_text", true, &n->clean, where, err));
    IB_TRY(ib_json_get_bool(v, "handle_chinese_chars", true, &n->chinese, where, err));
    IB_TRY(ib_json_get_bool(v, "lowercase", true, &n->lowercase, where, err));
    return ib_json_get_bool(v, "strip_accents", n->lowercase, &n->accents, where, err);
}

static ib_status read_charsmap(ib_tok_normalizer *n, ib_tok_store *store, const json_t *v,
                               const char *where, ib_error *err) {
    ib_str text;
    IB_TRY(ib_json_get_str(v, "precompiled_charsmap", &text, where, err));
    return ib_tok_charsmap_read(&n->map, store, text, err);
}

static ib_status read_step(ib_tok_normalizer *n, ib_tok_store *store, ib_str type, const json_t *v,
                           ib_error *err) {
    static const char where[] = "tokenizer.json at /normalizer";
    static const char *const forms[] = {"NFC", "NFD", "NFKC", "NFKD"};
    for (size_t i = 0; i < 4; i++)
        if (ib_str_is(type, forms[i])) {
            n->kind = FORM;
            n->form = (ib_tok_form)i;
            return IB_OK;
        }
    if (ib_str_is(type, "Prepend")) {
        n->kind = PREPEND;
        return ib_tok_copy_str(store, v, "prepend", NULL, where, &n->content, err);
    }
    if (ib_str_is(type, "Replace")) {
        n->kind = REPLACE;
        IB_TRY(ib_tok_pattern_read(store, json_object_get(v, "pattern"), where, &n->pattern, err));
        return ib_tok_copy_str(store, v, "content", NULL, where, &n->content, err);
    }
    if (ib_str_is(type, "Strip")) {
        n->kind = STRIP;
        IB_TRY(ib_json_get_bool(v, "strip_left", true, &n->left, where, err));
        return ib_json_get_bool(v, "strip_right", true, &n->right, where, err);
    }
    if (ib_str_is(type, "Lowercase"))
        n->kind = LOWERCASE;
    else if (ib_str_is(type, "StripAccents"))
        n->kind = STRIP_ACCENTS;
    else if (ib_str_is(type, "Nmt"))
        n->kind = NMT;
    else if (ib_str_is(type, "ByteLevel"))
        n->kind = BYTES;
    else if (ib_str_is(type, "BertNormalizer")) {
        n->kind = BERT;
        return read_bert(n, v, where, err);
    } else if (ib_str_is(type, "Precompiled")) {
        n->kind = CHARSMAP;
        return read_charsmap(n, store, v, where, err);
    } else
        return ib_tok_unknown_type("normalizer", type, err);
    return IB_OK;
}

static ib_status read_into(ib_tok_normalizers *out, ib_tok_store *store, const json_t *v,
                           ib_error *err) {
    static const char where[] = "tokenizer.json at /normalizer";
    ib_str type;
    IB_TRY(ib_tok_type(v, where, &type, err));
    if (ib_str_is(type, "Sequence")) {
        const json_t *list = json_object_get(v, "normalizers");
        if (!json_is_array(list))
            return ib_fail(
                err, IB_E_FORMAT,
                "bad value in %s: Sequence without its list 'normalizers'; fix: correct the "
                "file",
                where);
        for (size_t i = 0; i < json_array_size(list); i++)
            IB_TRY(read_into(out, store, json_array_get(list, i), err));
        return IB_OK;
    }
    if (out->n >= IB_TOK_MAX_STEPS)
        return ib_fail(err, IB_E_RESOURCE,
                       "more than %zu normalizers in %s; fix: use another tokenizer",
                       IB_TOK_MAX_STEPS, where);
    return read_step(&out->steps[out->n++], store, type, v, err);
}

ib_status ib_tok_normalizers_read(ib_tok_normalizers *out, ib_tok_store *store, const json_t *value,
                                  ib_error *err) {
    *out = (ib_tok_normalizers){NULL, 0};
    if (!value || json_is_null(value))
        return IB_OK;
    out->steps = ib_arena_array(&store->arena, IB_TOK_MAX_STEPS, sizeof *out->steps, err);
    if (!out->steps)
        return IB_E_RESOURCE;
    return read_into(out, store, value, err);
}

ib_status ib_tok_normalizers_metaspace(ib_tok_normalizers *out, ib_tok_store *store, bool prepend,
                                       ib_error *err) {
    out->steps = ib_arena_array(&store->arena, 2, sizeof *out->steps, err);
    if (!out->steps)
        return IB_E_RESOURCE;
    out->n = 0;
    if (prepend)
        out->steps[out->n++] = (ib_tok_normalizer){.kind = PREPEND, .content = IB_STR(" ")};
    out->steps[out->n++] = (ib_tok_normalizer){
        .kind = REPLACE, .content = IB_STR("\xE2\x96\x81"), .pattern = {IB_STR(" "), NULL}};
    return IB_OK;
}

/* ---- applying ---- */

/* Char by char: each becomes 0 to 3 others. */
typedef size_t (*char_fn)(uint32_t c, uint32_t out[3]);

static ib_status each_char(ib_str text, char_fn fn, ib_buf *out, bool *shifted, ib_error *err) {
    for (size_t pos = 0; pos < text.len;) {
        uint32_t to[3];
        size_t from = pos;
        size_t n = fn(ib_tok_next_char(text, &pos), to);
        if (!n && !out->len && from == 0)
            *shifted = true;
        for (size_t i = 0; i < n; i++)
            IB_TRY(ib_buf_add_utf8(out, to[i], err));
    }
    return IB_OK;
}

static size_t not_mark(uint32_t c, uint32_t out[3]) {
    out[0] = c;
    return !ib_tok_is_mark(c);
}

static size_t not_nonspacing(uint32_t c, uint32_t out[3]) {
    out[0] = c;
    return !ib_tok_is_nonspacing(c);
}

static size_t nmt(uint32_t c, uint32_t out[3]) {
    out[0] = c;
    if ((c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F ||
        c == 0x9F)
        return 0;
    if (c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
        c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD)
        out[0] = ' ';
    return 1;
}

static size_t clean(uint32_t c, uint32_t out[3]) {
    out[0] = c;
    if (c == '\t' || c == '\n' || c == '\r') {
        out[0] = ' ';
        return 1;
    }
    if (c == 0 || c == 0xFFFD || ib_tok_is_other(c))
        return 0;
    if (ib_tok_is_white_space(c))
        out[0] = ' ';
    return 1;
}

static size_t space_cjk(uint32_t c, uint32_t out[3]) {
    out[0] = c;
    if (!ib_tok_is_cjk(c))
        return 1;
    out[0] = out[2] = ' ';
    out[1] = c;
    return 3;
}

static ib_str strip(ib_str text, bool left, bool right, bool *shifted) {
    size_t from = 0, to = text.len;
    while (left && from < to) {
        size_t next = from;
        if (!ib_tok_is_white_space(ib_tok_next_char(text, &next)))
            break;
        from = next;
    }
    while (right && to > from) {
        size_t at = to - 1, pos;
        while (at > from && ((unsigned char)text.ptr[at] & 0xC0) == 0x80)
            at--;
        pos = at;
        if (!ib_tok_is_white_space(ib_tok_next_char(text, &pos)))
            break;
        to = at;
    }
    if (from)
        *shifted = true;
    return (ib_str){text.ptr + from, to - from};
}

/* The buffer that text does not live in, emptied. */
static ib_buf *other(ib_tok_work *w, ib_str text) {
    ib_buf *b = text.ptr && text.ptr >= w->norm[0].ptr && w->norm[0].ptr &&
                        text.ptr <= w->norm[0].ptr + w->norm[0].len
                    ? &w->norm[1]
                    : &w->norm[0];
    ib_buf_reset(b);
    return b;
}

static ib_str slice(const ib_buf *b) {
    return (ib_str){b->ptr ? b->ptr : "", b->len};
}

static ib_status bert(const ib_tok_normalizer *n, ib_tok_work *w, ib_str *text, bool *shifted,
                      ib_error *err) {
    ib_buf *b;
    if (n->clean) {
        b = other(w, *text);
        IB_TRY(each_char(*text, clean, b, shifted, err));
        *text = slice(b);
    }
    if (n->chinese && !ib_tok_all_ascii(*text)) {
        b = other(w, *text);
        IB_TRY(each_char(*text, space_cjk, b, shifted, err));
        *text = slice(b);
    }
    if (n->accents && !ib_tok_all_ascii(*text)) {
        b = other(w, *text);
        IB_TRY(ib_tok_to_form(*text, IB_TOK_NFD, b, err));
        *text = slice(b);
        b = other(w, *text);
        IB_TRY(each_char(*text, not_nonspacing, b, shifted, err));
        *text = slice(b);
    }
    if (n->lowercase) {
        b = other(w, *text);
        IB_TRY(each_char(*text, ib_tok_lower, b, shifted, err));
        *text = slice(b);
    }
    return IB_OK;
}

static ib_status apply(const ib_tok_normalizer *n, ib_tok_work *w, ib_str *text, bool *shifted,
                       ib_error *err) {
    ib_buf *b;
    bool ascii = (n->kind == FORM || n->kind == STRIP_ACCENTS) && ib_tok_all_ascii(*text);
    if (n->kind == BERT)
        return bert(n, w, text, shifted, err);
    if (n->kind == STRIP) {
        *text = strip(*text, n->left, n->right, shifted);
        return IB_OK;
    }
    if (ascii || !text->len)
        return IB_OK;
    b = other(w, *text);
    switch (n->kind) {
    case FORM:
        IB_TRY(ib_tok_to_form(*text, n->form, b, err));
        break;
    case PREPEND:
        IB_TRY(ib_buf_add(b, n->content.ptr, n->content.len, err));
        IB_TRY(ib_buf_add(b, text->ptr, text->len, err));
        break;
    case REPLACE:
        IB_TRY(ib_tok_replace_all(&n->pattern, &w->matcher, *text, n->content, b, err));
        if (!n->content.len && (!b->len || b->ptr[0] != text->ptr[0]))
            *shifted = true;
        break;
    case LOWERCASE:
        IB_TRY(each_char(*text, ib_tok_lower, b, shifted, err));
        break;
    case STRIP_ACCENTS:
        IB_TRY(each_char(*text, not_mark, b, shifted, err));
        break;
    case NMT:
        IB_TRY(each_char(*text, nmt, b, shifted, err));
        break;
    case BYTES:
        IB_TRY(ib_tok_map_bytes(*text, b, err));
        break;
    case CHARSMAP:
        IB_TRY(ib_tok_charsmap_apply(&n->map, *text, b, shifted, err));
        break;
    case STRIP:
    case BERT:
        break;
    }
    *text = slice(b);
    return IB_OK;
}

ib_status ib_tok_normalize(const ib_tok_normalizers *n, ib_tok_work *w, ib_str text, ib_str *out,
                           bool *shifted, ib_error *err) {
    for (size_t i = 0; i < n->n; i++)
        IB_TRY(apply(&n->steps[i], w, &text, shifted, err));
    *out = text;
    return IB_OK;
}
