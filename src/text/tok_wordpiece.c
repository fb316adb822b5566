/* SPDX-License-Identifier: MIT
 * WordPiece (longest match first, later pieces with a prefix) and WordLevel (the whole word). */
#include "text/tok.h"

#include <string.h>

static size_t count_chars(ib_str text) {
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    return n;
}

ib_status ib_tok_wordpiece_encode(const ib_tok_model *m, ib_tok_scratch *s, ib_str piece,
                                  ib_ids *out, ib_error *err) {
    const ib_tok_wordpiece *w = &m->word;
    size_t n_before = out->n, cost = 0;
    if (count_chars(piece) > w->max_chars)
        return ib_ids_add(out, w->unk_id, err);
    for (size_t from = 0; from < piece.len;) {
        uint32_t id = IB_TOK_NONE;
        size_t lead = from ? w->prefix.len : 0, to = piece.len;
        if (to - from > m->vocab.max_len)
            to = from + m->vocab.max_len;
        ib_buf_reset(&s->text);
        if (from)
            IB_TRY(ib_buf_add(&s->text, w->prefix.ptr, w->prefix.len, err));
        IB_TRY(ib_buf_add(&s->text, piece.ptr + from, to - from, err));
        for (; to > from; to--) {
            if (to < piece.len && ((unsigned char)piece.ptr[to] & 0xC0) == 0x80)
                continue;
            id = ib_tok_vocab_id(&m->vocab, (ib_str){s->text.ptr, lead + to - from});
            if (id != IB_TOK_NONE)
                break;
            cost += to - from;
        }
        if (cost > 20000 * (piece.len + 1000))
            return ib_fail(
                err, IB_E_RESOURCE,
                "the WordPiece vocabulary of tokenizer.json needs too many steps on this text; "
                "fix: use another tokenizer, or other text");
        if (id == IB_TOK_NONE) {
            out->n = n_before;
            return ib_ids_add(out, w->unk_id, err);
        }
        IB_TRY(ib_ids_add(out, id, err));
        from = to;
    }
    return IB_OK;
}

ib_status ib_tok_wordlevel_encode(const ib_tok_model *m, ib_str piece, ib_ids *out, ib_error *err) {
    char word[IB_QUOTED];
    uint32_t id = ib_tok_vocab_id(&m->vocab, piece);
    if (id == IB_TOK_NONE)
        id = m->word.unk_id;
    if (id == IB_TOK_NONE)
        return ib_fail(
            err, IB_E_FORMAT,
            "no unk_token in the vocabulary of tokenizer.json at /model, and the text holds a "
            "word that it does not have: '%s'; fix: use another tokenizer",
            ib_quote(piece, word));
    return ib_ids_add(out, id, err);
}
