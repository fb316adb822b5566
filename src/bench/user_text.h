/* SPDX-License-Identifier: MIT
 * Special tokens in what people wrote, as opposed to those of the chat template. Internal to the
 * bench module. */
#ifndef IB_BENCH_USER_TEXT_H
#define IB_BENCH_USER_TEXT_H

#include "text/tokenizer.h"

/* Number of special tokens that the texts of the messages would give by themselves. */
ib_status ib_user_specials(const ib_tokenizer *t, const json_t *messages, size_t *n,
                           ib_error *err) IB_MUST_CHECK;
/* Ids of a rendered prompt in which the messages' own texts are plain text: special tokens count
 * only where the template wrote them. */
ib_status ib_user_encode_plain(const ib_tokenizer *t, ib_str rendered, const json_t *messages,
                               ib_ids *out, ib_error *err) IB_MUST_CHECK;
/* Whether every message's text stands in the rendered prompt (blanks at its ends apart). */
bool ib_user_text_kept(ib_str rendered, const json_t *messages);

#endif
