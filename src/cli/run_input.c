/* SPDX-License-Identifier: MIT
 * See run_input.h. */
#include "cli/run_input.h"

#include "cli/record_out.h"

#include <string.h>

enum { PROMPT_CAP = 64 * 1000 * 1000 };

static ib_status read_prompt_file(ib_run_input *in, const char *path, ib_error *err) {
    char shown[IB_QUOTED];
    IB_TRY(ib_file_read(&in->prompt_text, path, PROMPT_CAP, err));
    size_t n = in->prompt_text.len;
    size_t good = n ? ib_utf8_valid_prefix(in->prompt_text.ptr, n) : 0;
    const char *zero = n ? memchr(in->prompt_text.ptr, '\0', n) : NULL;
    if (zero && (size_t)(zero - in->prompt_text.ptr) < good)
        good = (size_t)(zero - in->prompt_text.ptr);
    if (good != n)
        return ib_fail(err, IB_E_FORMAT,
                       "prompt that is not UTF-8 text in '%s' at byte %zu: 0x%02X; fix: give "
                       "UTF-8 without zero bytes",
                       ib_quotez(path, shown), good,
                       (unsigned)(unsigned char)in->prompt_text.ptr[good]);
    return IB_OK;
}

static ib_status read_messages(ib_run_input *in, const char *path, ib_error *err) {
    char shown[IB_QUOTED];
    IB_TRY(ib_json_load(&in->messages, path, PROMPT_CAP, err));
    bool good = json_is_array(in->messages) && json_array_size(in->messages);
    for (size_t i = 0; good && i < json_array_size(in->messages); i++)
        good = json_is_object(json_array_get(in->messages, i));
    if (!good)
        return ib_fail(err, IB_E_FORMAT,
                       "no list of messages in '%s'; fix: write [{\"role\": \"user\", "
                       "\"content\": \"...\"}]",
                       ib_quotez(path, shown));
    return IB_OK;
}

ib_status ib_run_input_read(ib_run_input *out, const ib_options *o, ib_error *err) {
    *out = (ib_run_input){0};
    ib_buf_init(&out->prompt_text);
    if (o->prompt_file)
        IB_TRY(read_prompt_file(out, o->prompt_file, err));
    return o->messages ? read_messages(out, o->messages, err) : IB_OK;
}

void ib_run_input_clear(ib_run_input *in) {
    ib_buf_clear(&in->prompt_text);
    json_decref(in->messages);
    in->messages = NULL;
}

static void plan_prompt(const ib_run_input *in, const ib_options *o, ib_prompt_spec *p) {
    *p = (ib_prompt_spec){.token_ids = o->token_ids.ids,
                          .n_token_ids = o->token_ids.n,
                          .n_random = o->input_len,
                          .messages = in->messages,
                          .system_prompt =
                              o->system_prompt ? o->system_prompt : ib_default_system_prompt,
                          .prompt = o->prompt ? o->prompt : ib_default_prompt,
                          .chat_template = !o->no_chat_template,
                          .no_parse_special = o->no_parse_special,
                          .seed = o->seed};
    if (!*p->system_prompt || (o->no_chat_template && !o->system_prompt))
        p->system_prompt = NULL;
    if (o->prompt_file)
        p->prompt = in->prompt_text.ptr ? in->prompt_text.ptr : "";
}

static void plan_generation(const ib_options *o, ib_generation *g) {
    ib_generation_init(g);
    g->max_new_tokens = o->max_new_tokens;
    g->n_eos = 0;
    g->forced_eos_id = -1;
    if (o->ignore_eos || o->input_len)
        return;
    for (size_t i = 0; i < o->eos_token_id.n; i++)
        g->eos_ids[g->n_eos++] = o->eos_token_id.ids[i];
    if (o->forced_eos_token_id.n)
        g->forced_eos_id = o->forced_eos_token_id.ids[0];
}

uint64_t ib_cli_max_time_ns(const ib_options *o) {
    enum { USUAL = 600 };
    const uint64_t seconds = o->max_time ? o->max_time : o->until_ci ? USUAL : 0;
    return seconds * UINT64_C(1000000000);
}

void ib_run_input_plan(const ib_run_input *in, const ib_cli *cli, const ib_options *cell,
                       ib_plan *out) {
    *out = (ib_plan){.n_repetitions = cell->repetitions,
                     .n_warmup = cell->warmup,
                     .n_batch = cell->batch,
                     .half_width = cell->half_width,
                     .max_time_ns = ib_cli_max_time_ns(cell),
                     .env_padding = cli->child.env_padding,
                     .heap_offset = cli->child.heap_offset,
                     .n_depth = cell->depth,
                     .profile = cell->profile != NULL,
                     .roofline = !cell->roofline || strcmp(cell->roofline, "on") == 0,
                     .stop_signal = ib_signals_flag(),
                     .continued = ib_signals_continued()};
    plan_prompt(in, cell, &out->prompt);
    ib_cli_engine_config(cli, cell, &out->engine);
    plan_generation(cell, &out->generation);
}

/* A text with its zero byte, so that two texts never read as one. */
static ib_status add_text(ib_buf *out, const char *text, ib_error *err) {
    return ib_buf_add(out, text, strlen(text) + 1, err);
}

/* Flags that say nothing about what is measured. */
static bool changes_nothing(const char *arg) {
    static const char *const flags[] = {"--resume", "--force", "--quiet", "--strict"};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (strcmp(arg, flags[i]) == 0)
            return true;
    return false;
}

ib_status ib_run_input_identity(const ib_run_input *in, const ib_cli *cli, char out[65],
                                ib_error *err) {
    ib_buf all;
    ib_buf_init(&all);
    ib_status st = add_text(&all, ib_cli_program_version(), err);
    for (int i = 1; i < cli->argc && st == IB_OK; i++)
        if (!changes_nothing(cli->argv[i]))
            st = add_text(&all, cli->argv[i], err);
    if (st == IB_OK && in->prompt_text.len)
        st = ib_buf_add(&all, in->prompt_text.ptr, in->prompt_text.len, err);
    if (st == IB_OK && in->messages)
        st = ib_json_dump(in->messages, JSON_COMPACT, &all, err);
    if (st == IB_OK)
        ib_sha256_hex(all.ptr, all.len, out);
    ib_buf_clear(&all);
    return st;
}
