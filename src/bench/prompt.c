/* SPDX-License-Identifier: MIT
 * What the model is asked, as token ids: given ids, random ids, or messages rendered by the model's
 * chat template and tokenized. Rendering and tokenizing are timed apart from each other; both lie
 * outside the timed window of a run. */
#include "base/checked.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "bench/bench.h"
#include "bench/user_text.h"

#include <stdlib.h>
#include <string.h>

static ib_status given_ids(const ib_engine *e, const ib_prompt_spec *spec, ib_ids *ids,
                           ib_error *err) {
    const ib_config *config = ib_engine_config_of(e);
    for (size_t i = 0; i < spec->n_token_ids; i++) {
        if (config && spec->token_ids[i] >= config->n_vocab)
            return ib_fail(err, IB_E_USAGE,
                           "token id out of range in the prompt at %zu: %lu, the vocabulary ends "
                           "at %llu; fix: give ids of this model",
                           i, (unsigned long)spec->token_ids[i],
                           (unsigned long long)config->n_vocab - 1);
        IB_TRY(ib_ids_add(ids, spec->token_ids[i], err));
    }
    return IB_OK;
}

static ib_status random_ids(const ib_engine *e, const ib_prompt_spec *spec, ib_ids *ids,
                            ib_error *err) {
    const ib_config *config = ib_engine_config_of(e);
    ib_rng rng;
    if (!config)
        return ib_fail(err, IB_E_INPUT,
                       "no configuration to draw random ids for; fix: give a whole model");
    ib_rng_init(&rng, spec->seed);
    for (uint64_t i = 0; i < spec->n_random; i++)
        IB_TRY(ib_ids_add(ids, (uint32_t)ib_rng_below(&rng, config->n_vocab), err));
    return IB_OK;
}

static ib_status add_message(json_t *messages, const char *role, const char *text, ib_error *err) {
    ib_buf clean;
    ib_buf_init(&clean);
    ib_status st = ib_record_utf8(ib_str_of(text), &clean, err);
    json_t *m = json_object();
    if (st == IB_OK &&
        (!m || json_object_set_new(m, "role", json_string(role)) != 0 ||
         json_object_set_new(m, "content", json_stringn(clean.len ? clean.ptr : "", clean.len)) !=
             0 ||
         json_array_append(messages, m) != 0))
        st = ib_fail_memory(err, clean.len, "the messages");
    json_decref(m);
    ib_buf_clear(&clean);
    return st;
}

/* The messages of the request: given, or made of the two texts. */
static ib_status make_messages(const ib_prompt_spec *spec, json_t **out, ib_error *err) {
    if (spec->messages) {
        *out = json_incref((json_t *)spec->messages);
        return IB_OK;
    }
    *out = json_array();
    if (!*out)
        return ib_fail_memory(err, 0, "the messages");
    if (spec->system_prompt)
        IB_TRY(add_message(*out, "system", spec->system_prompt, err));
    return add_message(*out, "user", spec->prompt ? spec->prompt : "", err);
}

static ib_status render(const ib_engine *e, const json_t *messages, ib_buf *text, ib_cell *cell,
                        ib_run_record *times, ib_error *err) {
    ib_chat_request request = {.messages = messages,
                               .special_tokens =
                                   ib_tokenizer_special_tokens(ib_engine_tokenizer(e)),
                               .add_generation_prompt = true};
    ib_jinja_problem problem = {0};
    ib_str source;
    uint64_t start = ib_now_ns();
    IB_TRY(ib_chat_select(ib_engine_templates(e), &request, &source, err));
    ib_status st = ib_chat_render(source, &request, text, &problem, err);
    ib_jinja_problem_clear(&problem);
    if (times)
        times->render_ns = ib_now_ns() - start;
    if (cell)
        ib_sha256_hex(source.ptr, source.len, cell->template_sha256);
    return st;
}

/* Without a template: the texts alone, one after the other. */
static ib_status join_texts(const json_t *messages, ib_buf *text, ib_error *err) {
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *content = json_object_get(json_array_get(messages, i), "content");
        if (!json_is_string(content))
            return ib_fail(err, IB_E_UNSUPPORTED,
                           "content that is no text in message %zu; fix: use the chat template, "
                           "or give texts",
                           i);
        if (i)
            IB_TRY(ib_buf_addc(text, '\n', err));
        IB_TRY(ib_buf_add(text, json_string_value(content), json_string_length(content), err));
    }
    return IB_OK;
}

static ib_status encode(const ib_engine *e, const ib_prompt_spec *spec, const json_t *messages,
                        ib_str text, ib_ids *ids, ib_cell *cell, ib_run_record *times,
                        ib_error *err) {
    const ib_tokenizer *t = ib_engine_tokenizer(e);
    const ib_encode_options options = {.add_special_tokens = !spec->chat_template,
                                       .no_parse_special =
                                           spec->no_parse_special && !spec->chat_template};
    size_t n_special = 0;
    IB_TRY(ib_user_specials(t, messages, &n_special, err));
    if (cell)
        cell->n_special_in_text = n_special;
    uint64_t start = ib_now_ns();
    if (spec->no_parse_special && spec->chat_template && n_special)
        IB_TRY(ib_user_encode_plain(t, text, messages, ids, err));
    else
        IB_TRY(ib_tokenizer_encode(t, text, &options, ids, NULL, err));
    if (times)
        times->tokenize_ns = ib_now_ns() - start;
    if (n_special && !spec->no_parse_special)
        ib_log_warn(ib_engine_log(e),
                    "%zu special tokens stand in the messages' own text and act as such; fix: "
                    "--no-parse-special",
                    n_special);
    return IB_OK;
}

static ib_status from_text(const ib_engine *e, const ib_prompt_spec *spec, const json_t *messages,
                           ib_ids *ids, ib_buf *text, ib_cell *cell, ib_run_record *times,
                           ib_error *err) {
    if (ib_engine_is_synthetic(e))
        return ib_fail(err, IB_E_USAGE,
                       "a text for a synthetic model, which has no tokenizer; fix: give -p N (N "
                       "random ids) or --token-ids");
    if (!ib_engine_tokenizer(e))
        return ib_fail(err, IB_E_INPUT,
                       "the model has no tokenizer; fix: get the whole model folder, or give "
                       "--token-ids");
    if (spec->chat_template)
        IB_TRY(render(e, messages, text, cell, times, err));
    else
        IB_TRY(join_texts(messages, text, err));
    if (text->len == 0)
        return ib_fail(err, IB_E_FORMAT, "prompt is empty%s; fix: %s",
                       spec->chat_template ? ": the chat template returned no text" : "",
                       spec->chat_template ? "use --no-chat-template, or another template"
                                           : "give a text");
    if (spec->chat_template && !ib_user_text_kept((ib_str){text->ptr, text->len}, messages))
        ib_log_warn(ib_engine_log(e), "the chat template changed or dropped a message's text");
    return encode(e, spec, messages, (ib_str){text->ptr, text->len}, ids, cell, times, err);
}

/* A tokenizer that knows more ids than the model has rows. */
static ib_status check_ids(const ib_engine *e, const ib_ids *ids, ib_error *err) {
    const ib_config *config = ib_engine_config_of(e);
    if (ids->n == 0)
        return ib_fail(err, IB_E_FORMAT, "prompt is empty: no token ids; fix: give a text");
    for (size_t i = 0; config && i < ids->n; i++)
        if (ids->ids[i] >= config->n_vocab)
            return ib_fail(err, IB_E_FORMAT,
                           "token id out of range in the prompt at %zu: %lu, the model has %llu; "
                           "fix: tokenizer and model do not belong together",
                           i, (unsigned long)ids->ids[i], (unsigned long long)config->n_vocab);
    return IB_OK;
}

ib_status ib_bench_prompt(const ib_engine *e, const ib_prompt_spec *spec, ib_ids *ids, ib_buf *text,
                          ib_cell *cell, ib_run_record *times, ib_error *err) {
    ib_buf own;
    json_t *messages = NULL;
    ib_status st;
    ib_buf_init(&own);
    ids->n = 0;
    if (spec->token_ids) {
        st = given_ids(e, spec, ids, err);
    } else if (spec->n_random) {
        st = random_ids(e, spec, ids, err);
    } else {
        st = make_messages(spec, &messages, err);
        if (st == IB_OK)
            st = from_text(e, spec, messages, ids, text ? text : &own, cell, times, err);
    }
    if (st == IB_OK)
        st = check_ids(e, ids, err);
    json_decref(messages);
    ib_buf_clear(&own);
    return st;
}
