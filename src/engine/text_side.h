/* SPDX-License-Identifier: MIT
 * Tokenizer and chat templates of a model folder or a GGUF file. Internal to the engine module. */
#ifndef IB_ENGINE_TEXT_SIDE_H
#define IB_ENGINE_TEXT_SIDE_H

#include "checkpoint/gguf.h"
#include "text/chat.h"
#include "text/tokenizer.h"

/* *out is NULL when the folder or the metadata holds no tokenizer. */
ib_status ib_text_side_folder(ib_tokenizer **out, ib_chat_templates *templates, const char *folder,
                              const ib_log *log, ib_error *err) IB_MUST_CHECK;
ib_status ib_text_side_gguf(ib_tokenizer **out, ib_chat_templates *templates, const ib_gguf_meta *m,
                            const ib_log *log, ib_error *err) IB_MUST_CHECK;

#endif
