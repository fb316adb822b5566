/* SPDX-License-Identifier: MIT
 * See record_out.h. */
#include "cli/record_out.h"

#include "record/environment.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

/* --- what was asked --- */

static ib_status copy(char **out, const char *text, ib_error *err) {
    if (!text)
        return IB_OK;
    *out = ib_strdup(text);
    return *out ? IB_OK : ib_fail_memory(err, strlen(text), "a record");
}

/* One argument as a shell would take it; long ones are cut, secrets left out. */
static ib_status add_argument(ib_buf *out, const char *arg, bool secret, ib_error *err) {
    enum { MOST = 200 };
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_./:=,+@%";
    size_t n = strlen(arg), keep = n;
    if (secret)
        return ib_buf_adds(out, "[redacted]", err);
    if (n && arg[strspn(arg, plain)] == '\0' && n <= MOST)
        return ib_buf_adds(out, arg, err);
    if (n > MOST)
        for (keep = MOST; keep && ((unsigned char)arg[keep] & 0xC0) == 0x80;)
            keep--;
    IB_TRY(ib_buf_addc(out, '\'', err));
    for (size_t i = 0; i < keep; i++) {
        if (arg[i] == '\'')
            IB_TRY(ib_buf_adds(out, "'\\'", err));
        IB_TRY(ib_buf_addc(out, arg[i], err));
    }
    return ib_buf_adds(out, keep < n ? "...'" : "'", err);
}

static ib_status join_command(const ib_cli *cli, char **out, ib_error *err) {
    ib_buf text;
    ib_buf_init(&text);
    ib_status st = ib_buf_adds(&text, "inferbench", err);
    for (int i = 1; st == IB_OK && i < cli->argc; i++) {
        const char *arg = cli->argv[i];
        bool secret = strcmp(cli->argv[i - 1], "--token") == 0 ||
                      strncmp(arg, "--token=", strlen("--token=")) == 0;
        st = ib_buf_addc(&text, ' ', err);
        if (st == IB_OK)
            st = add_argument(&text, arg, secret, err);
    }
    if (st == IB_OK)
        st = copy(out, text.ptr, err);
    ib_buf_clear(&text);
    return st;
}

ib_status ib_cli_record_start(const ib_cli *cli, ib_record *out, ib_error *err) {
    char started[32];
    time_t now = time(NULL);
    struct tm utc;
    *out = (ib_record){0};
    if (!gmtime_r(&now, &utc) || !strftime(started, sizeof started, "%Y-%m-%dT%H:%M:%SZ", &utc))
        return ib_fail(err, IB_E_INTERNAL, "cannot tell the time; fix: report this bug");
    ib_status st = copy(&out->tool_version, IB_VERSION, err);
    if (st == IB_OK)
        st = copy(&out->tool_commit, IB_COMMIT, err);
    if (st == IB_OK)
        st = copy(&out->compiler, COMPILER, err);
    if (st == IB_OK)
        st = copy(&out->started_utc, started, err);
    if (st == IB_OK)
        st = join_command(cli, &out->command, err);
    if (st == IB_OK)
        st = ib_environment_read(&out->environment, err);
    if (st != IB_OK)
        ib_record_clear(out);
    return st;
}

ib_status ib_cli_asked(const ib_options *o, ib_asked *out, ib_error *err) {
    *out =
        (ib_asked){.max_new_tokens = o->max_new_tokens,
                   .n_prompt = o->input_len,
                   .n_depth = o->depth,
                   .n_batch = o->batch,
                   .n_repetitions = o->repetitions,
                   .n_warmup = o->warmup,
                   .n_processes = o->processes,
                   .seed = o->seed,
                   .n_threads = (int64_t)o->threads,
                   .peak_gbps = o->peak_gbps,
                   .ignore_eos = o->ignore_eos || o->input_len,
                   .chat_template = !o->no_chat_template && !o->token_ids.given && !o->input_len};
    IB_TRY(copy(&out->model_id, o->model_id, err));
    IB_TRY(copy(&out->revision, o->revision, err));
    IB_TRY(copy(&out->device, o->device, err));
    IB_TRY(copy(&out->attn, o->attn, err));
    IB_TRY(copy(&out->dtype, o->dtype, err));
    IB_TRY(copy(&out->compute, o->compute, err));
    IB_TRY(copy(&out->cpu_tier, o->cpu_tier, err));
    IB_TRY(copy(&out->load_mode, o->load_mode, err));
    IB_TRY(copy(&out->pin, o->pin, err));
    return copy(&out->quant, o->quant, err);
}

/* --- which form goes where --- */

bool ib_cli_shows_text(const ib_options *o) {
    if (o->output)
        return !o->quiet;
    return !o->format || strcmp(o->format, "text") == 0;
}

static ib_status render(const ib_record *record, const char *format, const ib_report_options *ro,
                        ib_buf *out, ib_error *err) {
    const ib_report_format *f = ib_report_find(format);
    if (!f)
        return ib_fail(err, IB_E_INTERNAL, "no report format '%s'; fix: report this bug", format);
    return f->write(record, ro, out, err);
}

static ib_report_options report_options(const ib_options *o) {
    return (ib_report_options){.percentiles = o->percentiles.n ? o->percentiles.values : NULL,
                               .n_percentiles = o->percentiles.n,
                               .print_median = true,
                               .running_median = o->print_median};
}

ib_status ib_cli_write_file(const ib_cli *cli, const ib_record *record, ib_error *err) {
    const ib_options *o = &cli->options;
    const ib_report_options ro = report_options(o);
    ib_buf text;
    if (!o->output)
        return IB_OK;
    ib_buf_init(&text);
    ib_status st = render(record, o->format ? o->format : "json", &ro, &text, err);
    if (st == IB_OK)
        st = ib_file_write(o->output, text.ptr, text.len, err);
    ib_buf_clear(&text);
    return st;
}

ib_status ib_cli_print(ib_cli *cli, const ib_record *record, bool body_only, ib_error *err) {
    const ib_options *o = &cli->options;
    const char *format = ib_cli_shows_text(o) ? "text" : o->output ? NULL : o->format;
    ib_report_options ro = report_options(o);
    ib_buf text;
    if (!format)
        return IB_OK;
    ro.body_only = body_only || o->quiet;
    ib_buf_init(&text);
    ib_status st = render(record, format, &ro, &text, err);
    if (st == IB_OK)
        st = ib_output_write(&cli->out, text.ptr, text.len, err);
    if (st == IB_OK)
        st = ib_output_flush(&cli->out, err);
    ib_buf_clear(&text);
    return st;
}

ib_status ib_cli_report(ib_cli *cli, const ib_record *record, bool printed_live, ib_error *err) {
    IB_TRY(ib_cli_write_file(cli, record, err));
    return ib_cli_print(cli, record, printed_live, err);
}

const char *ib_cli_program_version(void) {
    return IB_VERSION " " IB_COMMIT;
}

ib_status ib_cli_verdict(const ib_options *o, const ib_record *record, ib_error *err) {
    for (size_t i = 0; i < record->n_cells; i++) {
        ib_summary s;
        IB_TRY(ib_summarise(&s, &record->cells[i], NULL, 0, err));
        if (!s.verdict || strcmp(s.verdict, "valid") == 0)
            continue;
        if (o->strict || strcmp(s.verdict, "invalid") == 0)
            return ib_fail(err, IB_E_INVALID,
                           "measurement not valid in cell %zu: %s (%s); fix: see the reasons in "
                           "the report",
                           i + 1, s.verdict, s.n_reasons ? s.reasons[0] : "no reason given");
    }
    return IB_OK;
}
