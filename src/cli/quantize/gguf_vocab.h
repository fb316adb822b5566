/* SPDX-License-Identifier: MIT
 * The vocabulary of a GGUF file as plain arrays, and the merges that its scores mean. */
#ifndef IB_CLI_QUANTIZE_GGUF_VOCAB_H
#define IB_CLI_QUANTIZE_GGUF_VOCAB_H

#include "base/json.h"
#include "checkpoint/gguf.h"

enum { IB_GGUF_TOKEN_NORMAL = 1, IB_GGUF_TOKEN_UNKNOWN, IB_GGUF_TOKEN_CONTROL, IB_GGUF_TOKEN_USER };

typedef struct ib_gguf_tokens {
    ib_str model, pre; /* borrowed; pre {NULL, 0} when absent */
    uint64_t n, n_merges;
    ib_str *tokens;                         /* owned [n]; the texts are borrowed from the file */
    double *scores;                         /* owned [n], zero when absent */
    int64_t *types;                         /* owned [n], normal when absent */
    ib_str *merges;                         /* owned [n_merges] */
    int64_t bos_id, eos_id, unk_id, pad_id; /* -1 = absent */
    int add_bos, add_eos, add_space_prefix; /* 0, 1, -1 = absent */
} ib_gguf_tokens;

ib_status ib_gguf_tokens_read(ib_gguf_tokens *out, const ib_gguf_meta *m,
                              ib_error *err) IB_MUST_CHECK;
void ib_gguf_tokens_clear(ib_gguf_tokens *v);
/* "left right" for every way to make a token of two, best score first: what merging the adjacent
 * pair of the highest score means as a list of merges. */
ib_status ib_gguf_tokens_merges(json_t **out, const ib_gguf_tokens *v, ib_error *err) IB_MUST_CHECK;

#endif
