/* SPDX-License-Identifier: MIT
 * Text <-> token ids exactly as Hugging Face tokenizers do it, from a tokenizer.json (plus what
 * tokenizer_config.json adds) or from the tokenizer that a GGUF file carries.
 *
 * A tokenizer is immutable after it was opened and may be used by several threads at once. It knows
 * no files but those two and no model. */
#ifndef IB_TEXT_TOKENIZER_H
#define IB_TEXT_TOKENIZER_H

#include "base/json.h"
#include "base/log.h"

typedef struct ib_tokenizer ib_tokenizer;

typedef struct ib_ids {
    uint32_t *ids; /* owned [n] */
    size_t n, cap;
} ib_ids;
void ib_ids_clear(ib_ids *v);
ib_status ib_ids_add(ib_ids *v, uint32_t id, ib_error *err) IB_MUST_CHECK;

/* folder/tokenizer.json, and folder/tokenizer_config.json, special_tokens_map.json when present. */
ib_status ib_tokenizer_open(ib_tokenizer **out, const char *folder, const ib_log *log,
                            ib_error *err) IB_MUST_CHECK;
/* The tokenizer of a GGUF file, as plain arrays (borrowed for the call). */
typedef struct ib_gguf_vocab {
    ib_str model, pre; /* tokenizer.ggml.model, .pre ({NULL,0} when absent) */
    size_t n_tokens, n_merges;
    const ib_str *tokens;                           /* [n_tokens] */
    const double *scores;                           /* [n_tokens] or NULL */
    const int64_t *token_types;                     /* [n_tokens] or NULL */
    const ib_str *merges;                           /* [n_merges] */
    int64_t bos_id, eos_id, eot_id, unk_id, pad_id; /* -1 = absent */
    int add_bos, add_eos, add_space_prefix;         /* 0, 1, or -1 = absent */
} ib_gguf_vocab;
ib_status ib_tokenizer_from_gguf(ib_tokenizer **out, const ib_gguf_vocab *vocab, const ib_log *log,
                                 ib_error *err) IB_MUST_CHECK;
void ib_tokenizer_free(ib_tokenizer *t);

typedef struct ib_encode_options {
    bool add_special_tokens; /* run the post-processor's template */
    bool no_parse_special;   /* special added tokens in the text are plain text */
} ib_encode_options;
/* Appends the ids of text. Bytes that are not UTF-8 count as U+FFFD. *n_special (may be NULL) =
 * number of special added tokens that were found in the text. */
ib_status ib_tokenizer_encode(const ib_tokenizer *t, ib_str text, const ib_encode_options *options,
                              ib_ids *out, size_t *n_special, ib_error *err) IB_MUST_CHECK;
/* Appends the text of ids; unknown ids give nothing. */
ib_status ib_tokenizer_decode(const ib_tokenizer *t, const uint32_t *ids, size_t n,
                              bool skip_special, ib_buf *out, ib_error *err) IB_MUST_CHECK;

/* Incremental decoding: pieces that are complete UTF-8; their sum equals the decode of all ids. */
typedef struct ib_decode_stream ib_decode_stream;
ib_status ib_decode_stream_new(ib_decode_stream **out, const ib_tokenizer *t, bool skip_special,
                               ib_error *err) IB_MUST_CHECK;
void ib_decode_stream_free(ib_decode_stream *s);
ib_status ib_decode_stream_push(ib_decode_stream *s, uint32_t id, ib_buf *out,
                                ib_error *err) IB_MUST_CHECK;
ib_status ib_decode_stream_finish(ib_decode_stream *s, ib_buf *out, ib_error *err) IB_MUST_CHECK;

/* Facts. */
size_t ib_tokenizer_n_vocab(const ib_tokenizer *t); /* highest id + 1 */
bool ib_tokenizer_id(const ib_tokenizer *t, ib_str token, uint32_t *id);
/* The stored string of an id ({NULL,0} when unknown), and whether it is a special added token. */
ib_str ib_tokenizer_token(const ib_tokenizer *t, uint32_t id, bool *special);
/* Named special tokens ("bos_token", "eos_token", "pad_token", ...) of tokenizer_config.json /
 * special_tokens_map.json / GGUF: an object name -> string, borrowed. What chat templates see. */
const json_t *ib_tokenizer_special_tokens(const ib_tokenizer *t);
const char *ib_tokenizer_kind(const ib_tokenizer *t); /* "BPE", "Unigram", "WordPiece", ... */
/* What the reference does to the text that it prints (decode(ids, skip_special_tokens=True)):
 * clean_up_tokenization_spaces under the 5.x rule (generation.md section 6). In place on out. */
ib_status ib_tokenizer_clean_up(const ib_tokenizer *t, ib_buf *text, ib_error *err) IB_MUST_CHECK;

#endif
