/* SPDX-License-Identifier: MIT
 * Messages -> prompt text: which chat template applies, and its rendering. */
#ifndef IB_TEXT_CHAT_H
#define IB_TEXT_CHAT_H

#include "text/jinja/jinja.h"

/* The chat templates of a model: name -> source. */
typedef struct ib_chat_templates {
    json_t *by_name; /* owned object name -> string; empty when the model has none */
    char *origin;    /* owned: where they were found, "chat_template.jinja" and so on */
} ib_chat_templates;

/* Files of a model folder in the order of tokenizer.md section 11. None at all is not an error. */
ib_status ib_chat_templates_load(ib_chat_templates *out, const char *folder,
                                 ib_error *err) IB_MUST_CHECK;
/* From a GGUF file's metadata: `names[i]` is NULL or "" for the default one. */
ib_status ib_chat_templates_set(ib_chat_templates *out, const ib_str *names, const ib_str *sources,
                                size_t n, ib_error *err) IB_MUST_CHECK;
void ib_chat_templates_clear(ib_chat_templates *t);

typedef struct ib_chat_request {
    const json_t *messages;       /* array of objects */
    const json_t *tools;          /* NULL or JSON null = None */
    const json_t *documents;      /* likewise */
    const json_t *special_tokens; /* object name -> string; NULL = none */
    const json_t *kwargs;         /* object; NULL = none */
    bool add_generation_prompt;
    const struct tm *now; /* NULL = the local time */
} ib_chat_request;

/* The source that transformers would choose (tools given and "tool_use" exists, else "default",
 * else the only one); borrowed from t. IB_E_INPUT when the model has no template. */
ib_status ib_chat_select(const ib_chat_templates *t, const ib_chat_request *request, ib_str *source,
                         ib_error *err) IB_MUST_CHECK;
ib_status ib_chat_render(ib_str source, const ib_chat_request *request, ib_buf *out,
                         ib_jinja_problem *problem, ib_error *err) IB_MUST_CHECK;

#endif
