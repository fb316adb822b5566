/* SPDX-License-Identifier: MIT
 * The member "model" of tokenizer.json -> one of the four models. */
#include "text/tok.h"

#include <stdlib.h>
#include <string.h>

static const char where[] = "tokenizer.json at /model";

static ib_status bad(ib_error *err, const char *what) {
    return ib_fail(err, IB_E_FORMAT, "bad value in %s: %s; fix: correct the file", where, what);
}

/* "type", or what the members tell: old files have none. */
static ib_status model_kind(const ib_tok_file *f, const json_t *v, ib_tok_kind *out,
                            ib_error *err) {
    static const char *const names[] = {"BPE", "Unigram", "WordPiece", "WordLevel"};
    ib_str type;
    IB_TRY(ib_json_get_str(v, "type", &type, where, err));
    if (type.ptr) {
        for (size_t i = 0; i < 4; i++)
            if (ib_str_is(type, names[i])) {
                *out = (ib_tok_kind)i;
                return IB_OK;
            }
        return ib_tok_unknown_type("model", type, err);
    }
    if (f->form == IB_TOK_VOCAB_OBJECT && f->has_merges)
        *out = IB_TOK_BPE;
    else if (f->form == IB_TOK_VOCAB_OBJECT && json_object_get(v, "continuing_subword_prefix"))
        *out = IB_TOK_WORDPIECE;
    else if (f->form == IB_TOK_VOCAB_OBJECT && json_object_get(v, "unk_token"))
        *out = IB_TOK_WORDLEVEL;
    else if (f->form == IB_TOK_VOCAB_LIST)
        *out = IB_TOK_UNIGRAM;
    else
        return bad(err, "neither a type nor the members of a known model");
    return IB_OK;
}

/* The id of the token named by unk_token; IB_TOK_NONE when there is no such member or token. */
static ib_status unknown_id(const ib_tok_model *m, const json_t *v, const char *fallback,
                            uint32_t *out, ib_error *err) {
    ib_str name;
    IB_TRY(ib_json_get_str(v, "unk_token", &name, where, err));
    if (!name.ptr && fallback)
        name = ib_str_of(fallback);
    *out = name.ptr ? ib_tok_vocab_id(&m->vocab, name) : IB_TOK_NONE;
    return IB_OK;
}

static ib_status read_bpe(ib_tok_model *m, ib_tok_store *store, const ib_tok_file *f,
                          const json_t *v, const ib_log *log, ib_error *err) {
    ib_tok_bpe *b = &m->bpe;
    double dropout;
    char quoted[IB_QUOTED];
    ib_str unk;
    IB_TRY(ib_tok_copy_str(store, v, "continuing_subword_prefix", "", where, &b->prefix, err));
    IB_TRY(ib_tok_copy_str(store, v, "end_of_word_suffix", "", where, &b->suffix, err));
    if (b->prefix.len > 64 || b->suffix.len > 64)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "subword prefix or suffix over 64 bytes in %s; fix: use another tokenizer",
                       where);
    IB_TRY(ib_json_get_bool(v, "fuse_unk", false, &b->fuse_unk, where, err));
    IB_TRY(ib_json_get_bool(v, "byte_fallback", false, &b->byte_fallback, where, err));
    IB_TRY(ib_json_get_bool(v, "ignore_merges", false, &b->ignore_merges, where, err));
    IB_TRY(ib_json_get_double(v, "dropout", 0, &dropout, where, err));
    if (dropout > 0)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "dropout %g in %s makes ids random; fix: set it to null in the file",
                       dropout, where);
    IB_TRY(unknown_id(m, v, NULL, &b->unk_id, err));
    IB_TRY(ib_json_get_str(v, "unk_token", &unk, where, err));
    if (unk.ptr && b->unk_id == IB_TOK_NONE)
        ib_log_warn(log, "tokenizer.json: unk_token '%s' is not in the vocabulary",
                    ib_quote(unk, quoted));
    return ib_tok_bpe_build(m, f->merges, f->n_merges, log, err);
}

static ib_status read_unigram(ib_tok_model *m, const ib_tok_file *f, const json_t *v,
                              ib_error *err) {
    int64_t unk;
    if (f->form != IB_TOK_VOCAB_LIST)
        return bad(err, "Unigram wants 'vocab' as a list of pairs");
    IB_TRY(ib_json_get_bool(v, "byte_fallback", false, &m->unigram.byte_fallback, where, err));
    IB_TRY(ib_json_get_i64(v, "unk_id", -1, 0, IB_TOK_MAX_ID, &unk, where, err));
    if (unk >= 0 && (size_t)unk >= f->n_entries)
        return ib_fail(err, IB_E_FORMAT,
                       "unk_id out of range in %s: %lld of %zu tokens; fix: correct the file",
                       where, (long long)unk, f->n_entries);
    m->unigram.unk_id = unk < 0 ? IB_TOK_NONE : (uint32_t)unk;
    return ib_tok_unigram_build(m, f->entries, f->n_entries, err);
}

static ib_status read_word(ib_tok_model *m, ib_tok_store *store, const json_t *v, ib_error *err) {
    int64_t max;
    bool pieces = m->kind == IB_TOK_WORDPIECE;
    IB_TRY(unknown_id(m, v, pieces ? "[UNK]" : "<unk>", &m->word.unk_id, err));
    if (!pieces)
        return IB_OK;
    if (m->word.unk_id == IB_TOK_NONE)
        return bad(err, "the unk_token of WordPiece is not in the vocabulary");
    IB_TRY(
        ib_tok_copy_str(store, v, "continuing_subword_prefix", "##", where, &m->word.prefix, err));
    IB_TRY(ib_json_get_i64(v, "max_input_chars_per_word", 100, 0, INT64_MAX, &max, where, err));
    m->word.max_chars = (size_t)max;
    return IB_OK;
}

ib_status ib_tok_model_read(ib_tok_model *m, ib_tok_store *store, const ib_tok_file *f,
                            const ib_log *log, ib_error *err) {
    const json_t *v = json_object_get(f->root, "model");
    if (!json_is_object(v))
        return bad(err, "an object was expected");
    IB_TRY(model_kind(f, v, &m->kind, err));
    if (f->form == IB_TOK_NO_VOCAB)
        return bad(err, "no 'vocab'");
    if (m->kind != IB_TOK_UNIGRAM && f->form != IB_TOK_VOCAB_OBJECT)
        return bad(err, "'vocab' is not an object of token and id");
    if (m->kind == IB_TOK_BPE && !f->has_merges)
        return bad(err, "BPE without 'merges'");
    IB_TRY(ib_tok_vocab_build(&m->vocab, f->entries, f->n_entries, m->kind != IB_TOK_UNIGRAM,
                              "tokenizer.json at /model/vocab", err));
    switch (m->kind) {
    case IB_TOK_BPE:
        return read_bpe(m, store, f, v, log, err);
    case IB_TOK_UNIGRAM:
        return read_unigram(m, f, v, err);
    default:
        return read_word(m, store, v, err);
    }
}

void ib_tok_model_clear(ib_tok_model *m) {
    ib_tok_vocab_clear(&m->vocab);
    free(m->bpe.pairs);
    free(m->bpe.score_rank);
    free(m->unigram.sorted);
    free(m->unigram.scores);
    *m = (ib_tok_model){0};
}
