/* SPDX-License-Identifier: MIT
 * run: options -> plan -> record -> report. The live lines come from the streamer's thread, never
 * from the timed one; while it prints, nobody else writes to standard output. */
#include "bench/bench.h"
#include "cli/record_out.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPT_CAP = 64 * 1000 * 1000 };

typedef struct run_state {
    ib_cli *cli;
    ib_plan plan;
    ib_record record;   /* owned */
    ib_cell *cell;      /* borrowed from record */
    ib_buf prompt_text; /* owned: --prompt-file */
    json_t *messages;   /* owned: --messages */
    ib_stream_sink sink;
    bool header_out;
    uint64_t *gaps;        /* owned [max_new_tokens]: of the live lines, for --print-median */
    ib_status live_status; /* of the live lines */
    ib_error live_error;
} run_state;

/* --- the plan --- */

static ib_status read_prompt_file(run_state *s, const char *path, ib_error *err) {
    char shown[IB_QUOTED];
    IB_TRY(ib_file_read(&s->prompt_text, path, PROMPT_CAP, err));
    size_t n = s->prompt_text.len;
    size_t good = n ? ib_utf8_valid_prefix(s->prompt_text.ptr, n) : 0;
    const char *zero = n ? memchr(s->prompt_text.ptr, '\0', n) : NULL;
    if (zero && (size_t)(zero - s->prompt_text.ptr) < good)
        good = (size_t)(zero - s->prompt_text.ptr);
    if (good != n)
        return ib_fail(err, IB_E_FORMAT,
                       "prompt that is not UTF-8 text in '%s' at byte %zu: 0x%02X; fix: give "
                       "UTF-8 without zero bytes",
                       ib_quotez(path, shown), good,
                       (unsigned)(unsigned char)s->prompt_text.ptr[good]);
    return IB_OK;
}

static ib_status read_messages(run_state *s, const char *path, ib_error *err) {
    char shown[IB_QUOTED];
    IB_TRY(ib_json_load(&s->messages, path, PROMPT_CAP, err));
    bool good = json_is_array(s->messages) && json_array_size(s->messages);
    for (size_t i = 0; good && i < json_array_size(s->messages); i++)
        good = json_is_object(json_array_get(s->messages, i));
    if (!good)
        return ib_fail(err, IB_E_FORMAT,
                       "no list of messages in '%s'; fix: write [{\"role\": \"user\", "
                       "\"content\": \"...\"}]",
                       ib_quotez(path, shown));
    return IB_OK;
}

static ib_status plan_prompt(run_state *s, ib_prompt_spec *p, ib_error *err) {
    const ib_options *o = &s->cli->options;
    *p = (ib_prompt_spec){.token_ids = o->token_ids.ids,
                          .n_token_ids = o->token_ids.n,
                          .n_random = o->input_len,
                          .system_prompt =
                              o->system_prompt ? o->system_prompt : ib_default_system_prompt,
                          .prompt = o->prompt ? o->prompt : ib_default_prompt,
                          .chat_template = !o->no_chat_template,
                          .no_parse_special = o->no_parse_special,
                          .seed = o->seed};
    if (!*p->system_prompt || (o->no_chat_template && !o->system_prompt))
        p->system_prompt = NULL;
    if (o->prompt_file) {
        IB_TRY(read_prompt_file(s, o->prompt_file, err));
        p->prompt = s->prompt_text.ptr ? s->prompt_text.ptr : "";
    }
    if (o->messages) {
        IB_TRY(read_messages(s, o->messages, err));
        p->messages = s->messages;
    }
    return IB_OK;
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

/* --- live lines --- */

static ib_status print_header(run_state *s, ib_error *err) {
    const ib_resolved *r = &s->cell->resolved;
    const ib_options *o = &s->cli->options;
    ib_buf text;
    ib_buf_init(&text);
    s->header_out = true;
    ib_status st = ib_report_text_header(r->device ? r->device : o->device, o->model_id,
                                         r->attn ? r->attn : o->attn, &text, err);
    if (st == IB_OK)
        st = ib_output_write(&s->cli->out, text.ptr, text.len, err);
    ib_buf_clear(&text);
    return st;
}

/* On the streamer's thread. A reader that went away ends a run that nobody else would see. */
static void on_token(void *user, uint64_t index, uint64_t gap_ns) {
    run_state *s = user;
    ib_error *err = &s->live_error;
    ib_buf line;
    if (s->live_status != IB_OK)
        return;
    ib_buf_init(&line);
    ib_status st = s->header_out ? IB_OK : print_header(s, err);
    if (st == IB_OK)
        st = ib_report_text_latency(gap_ns, &line, err);
    if (s->gaps && index < s->cli->options.max_new_tokens) {
        s->gaps[index] = gap_ns;
        if (st == IB_OK)
            st = ib_report_text_running_median(s->gaps, (size_t)index + 1, &line, err);
    }
    if (st == IB_OK)
        st = ib_output_write(&s->cli->out, line.ptr, line.len, err);
    if (st == IB_OK)
        st = ib_output_flush(&s->cli->out, err);
    ib_buf_clear(&line);
    s->live_status = st;
    if (st != IB_OK || (s->cli->out.gone && !s->cli->options.output))
        ib_signals_raise(SIGTERM);
}

/* --- run --- */

static ib_status prepare(run_state *s, ib_error *err) {
    ib_cli *cli = s->cli;
    const ib_options *o = &cli->options;
    const char *inputs[] = {o->model_id, o->prompt_file ? o->prompt_file : "",
                            o->messages ? o->messages : "", NULL};
    if (!o->output || ib_cli_shows_text(o))
        IB_TRY(ib_output_check(&cli->out, err));
    if (o->output)
        IB_TRY(ib_output_probe(o->output, o->force, inputs, err));
    IB_TRY(plan_prompt(s, &s->plan.prompt, err));
    ib_cli_engine_config(cli, &s->plan.engine);
    plan_generation(o, &s->plan.generation);
    s->plan.n_repetitions = o->repetitions;
    s->plan.n_warmup = o->warmup;
    s->plan.n_batch = o->batch;
    s->plan.n_depth = o->depth;
    s->plan.roofline = o->roofline ? strcmp(o->roofline, "on") == 0 : ib_cli_shows_text(o);
    s->plan.stop_signal = ib_signals_flag();
    if (ib_cli_shows_text(o) && !o->quiet) {
        s->sink = (ib_stream_sink){.token = on_token, .user = s};
        s->plan.sink = &s->sink;
        s->gaps = o->print_median ? calloc((size_t)o->max_new_tokens, sizeof *s->gaps) : NULL;
        if (o->print_median && !s->gaps)
            return ib_fail_memory(err, (size_t)o->max_new_tokens, "the running median");
    }
    IB_TRY(ib_cli_record_start(cli, &s->record, err));
    IB_TRY(ib_record_add_cell(&s->record, &s->cell, err));
    return ib_cli_asked(o, &s->cell->asked, err);
}

static bool something_measured(const ib_cell *cell) {
    for (size_t i = 0; i < cell->n_runs; i++)
        if (!cell->runs[i].warmup && cell->runs[i].n_tokens)
            return true;
    return false;
}

static ib_status run(run_state *s, ib_error *err) {
    ib_cli *cli = s->cli;
    ib_error late = {0};
    IB_TRY(prepare(s, err));
    ib_signals_defer();
    ib_status st = ib_bench_run_cell(s->cell, &s->plan, err);
    bool stopped = st == IB_E_INTERRUPTED || st == IB_E_TERMINATED;
    if (s->live_status != IB_OK && (st == IB_OK || stopped)) {
        *err = s->live_error;
        return s->live_status;
    }
    if (cli->out.gone && !cli->options.output && stopped)
        return IB_OK; /* the reader had enough */
    if ((st != IB_OK && !stopped) || !something_measured(s->cell))
        return st;
    if (s->sink.token && !s->header_out)
        IB_TRY(print_header(s, err));
    ib_status reported =
        ib_cli_report(cli, &s->record, s->sink.token != NULL, stopped ? &late : err);
    if (st == IB_OK)
        st = reported;
    return st == IB_OK ? ib_cli_verdict(&cli->options, &s->record, err) : st;
}

ib_status ib_cmd_run(ib_cli *cli, ib_error *err) {
    run_state s = {.cli = cli};
    ib_status st = run(&s, err);
    ib_record_clear(&s.record);
    ib_generation_clear(&s.plan.generation);
    ib_buf_clear(&s.prompt_text);
    json_decref(s.messages);
    free(s.gaps);
    return st;
}
