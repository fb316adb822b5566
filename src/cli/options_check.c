/* SPDX-License-Identifier: MIT
 * What the option table cannot say: which options exclude each other, which a command needs, and
 * values that only this version refuses. */
#include "cli/options.h"

#include "engine/synth.h"
#include "model/synthetic.h"
#include "report/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SYNTHETIC_PROMPT = 512 }; /* ids, unless -p or --token-ids is given */

static ib_status conflict(ib_error *err, const char *a, const char *b) {
    return ib_fail(err, IB_E_USAGE,
                   "options that exclude each other in the command line: --%s and --%s; fix: give "
                   "one of them",
                   a, b);
}

static ib_status check_prompt(const ib_options *o, ib_error *err) {
    const struct {
        const char *name;
        bool given;
    } sources[] = {{"prompt", o->prompt},
                   {"prompt-file", o->prompt_file},
                   {"messages", o->messages},
                   {"token-ids", o->token_ids.given},
                   {"input-len", o->input_len}};
    enum { N = sizeof sources / sizeof sources[0] };
    for (size_t i = 0; i < N; i++)
        for (size_t j = i + 1; j < N; j++)
            if (sources[i].given && sources[j].given)
                return conflict(err, sources[i].name, sources[j].name);
    for (size_t i = 2; i < N; i++) {
        if (sources[i].given && o->system_prompt)
            return conflict(err, "system-prompt", sources[i].name);
        if (sources[i].given && o->no_chat_template)
            return conflict(err, "no-chat-template", sources[i].name);
    }
    if (o->ignore_eos && o->eos_token_id.given && o->eos_token_id.n)
        return conflict(err, "ignore-eos", "eos-token-id");
    if (o->text && o->ids.given)
        return conflict(err, "text", "ids");
    return IB_OK;
}

static bool device_is_word(const char *d) {
    if (strcmp(d, "auto") == 0 || strcmp(d, "cpu") == 0 || strcmp(d, "xpu:cpu") == 0)
        return true;
    if (strncmp(d, "cuda", 4) != 0 && strncmp(d, "xpu", 3) != 0)
        return false;
    const char *tail = d + (d[0] == 'c' ? 4 : 3);
    size_t digits = tail[0] == ':' ? strspn(tail + 1, "0123456789") : 0;
    return !*tail || (digits >= 1 && digits <= 3 && !tail[1 + digits]);
}

static ib_status check_device(const ib_options *o, ib_error *err) {
    const ib_option *row = ib_option_find(IB_COMMAND_RUN, IB_STR("device"));
    if (!o->device || device_is_word(o->device))
        return IB_OK;
    return ib_option_bad_value(err, row, o->device,
                               "auto, cpu, cuda, cuda:N, xpu, xpu:N or xpu:cpu");
}

static ib_status check_format(const ib_options *o, ib_error *err) {
    const ib_option *row = ib_option_find(IB_COMMAND_RUN, IB_STR("format"));
    char allowed[160] = "one of";
    if (!o->format || !(o->command->id == IB_COMMAND_RUN || o->command->id == IB_COMMAND_REPORT) ||
        ib_report_find(o->format))
        return IB_OK;
    for (size_t i = 0, n = strlen(allowed); i < ib_report_n_formats() && n < sizeof allowed; i++)
        n += (size_t)snprintf(allowed + n, sizeof allowed - n, " %s", ib_report_format_at(i)->name);
    return ib_option_bad_value(err, row, o->format, allowed);
}

static ib_status check_peak(ib_options *o, ib_error *err) {
    const ib_option *row = ib_option_find(IB_COMMAND_RUN, IB_STR("peak-gbps"));
    if (!o->peak_text || (ib_parse_double(ib_str_of(o->peak_text), &o->peak_gbps) &&
                          o->peak_gbps >= 1e-3 && o->peak_gbps <= 1e6))
        return IB_OK;
    return ib_option_bad_value(err, row, o->peak_text, "a number from 0.001 to 1000000");
}

/* A percentage above 0, with or without its sign. */
static bool read_percent(const char *text, double most, double *out) {
    ib_str v = ib_str_of(text);
    if (ib_str_ends(v, "%"))
        v.len--;
    return ib_parse_double(v, out) && *out > 0 && *out <= most;
}

static ib_status check_until(ib_options *o, ib_error *err) {
    double percent = 0;
    if (o->command->id != IB_COMMAND_RUN || !o->until_ci)
        return IB_OK;
    if (!read_percent(o->until_ci, 100, &percent))
        return ib_option_bad_value(err, ib_option_find(IB_COMMAND_RUN, IB_STR("until-ci")),
                                   o->until_ci, "a percentage above 0, at most 100");
    o->half_width = percent / 100;
    return IB_OK;
}

static ib_status check_values(ib_options *o, ib_error *err) {
    const ib_option *quant = ib_option_find(IB_COMMAND_RUN, IB_STR("quant"));
    const ib_option *blocksize = ib_option_find(IB_COMMAND_QUANTIZE, IB_STR("blocksize"));
    char value[24];
    if (o->resume && !o->output)
        return ib_fail(err, IB_E_USAGE,
                       "--resume in the command line: there is no journal without --output; fix: "
                       "give the --output of the interrupted command");
    IB_TRY(check_until(o, err));
    if (o->resume && o->dry_run)
        return conflict(err, "resume", "dry-run");
    if (o->command->id != IB_COMMAND_QUANTIZE && o->quant && strcmp(o->quant, "none") != 0 &&
        !ib_synthetic_asked(o->model_id))
        return ib_option_refuse_value(err, quant, o->quant);
    if (o->blocksize & (o->blocksize - 1)) {
        (void)snprintf(value, sizeof value, "%llu", (unsigned long long)o->blocksize);
        return ib_option_bad_value(err, blocksize, value,
                                   "32, 64, 128, 256, 512, 1024, 2048 or 4096");
    }
    if (o->command->id == IB_COMMAND_RUN && o->dtype && o->compute &&
        strcmp(o->dtype, "float32") == 0 && strcmp(o->compute, "int8") == 0)
        return conflict(err, "dtype float32", "compute int8");
    return IB_OK;
}

static ib_status missing(ib_error *err, const ib_command *c, const char *what) {
    return ib_fail(err, IB_E_USAGE,
                   "nothing given for %s in the command line: %s; fix: see 'inferbench %s --help'",
                   what, c->name, c->name);
}

/* A synthetic model knows ids only. */
static ib_status check_synthetic(ib_options *o, ib_error *err) {
    const bool synth = ib_synth_asked(o->model_id);
    const struct {
        const char *name;
        bool given;
    } texts[] = {{"prompt", o->prompt},
                 {"prompt-file", o->prompt_file},
                 {"messages", o->messages},
                 {"system-prompt", o->system_prompt}};
    if (!synth && !ib_synthetic_asked(o->model_id))
        return IB_OK;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].given)
            return ib_fail(err, IB_E_USAGE,
                           "--%s in the command line: a synthetic %s has no tokenizer; fix: "
                           "give -p N (N random ids) or --token-ids",
                           texts[i].name, synth ? "engine" : "model");
    if (!o->token_ids.given && !o->input_len)
        o->input_len = SYNTHETIC_PROMPT;
    return IB_OK;
}

/* Either two records, or what makes two sides. */
static ib_status check_compare(const ib_options *o, ib_error *err) {
    bool sides = o->side_a || o->side_b || o->binary_b;
    if (o->n_args != 2 && !sides)
        return missing(err, o->command, "A.json B.json, or --a and --b");
    if (!o->n_args)
        return IB_OK;
    if (sides)
        return conflict(err, o->side_a ? "a" : o->side_b ? "b" : "binary-b", "records");
    if (o->pairs)
        return conflict(err, "pairs", "records");
    if (o->order_seed)
        return conflict(err, "order-seed", "records");
    if (o->n_run_args)
        return ib_fail(err, IB_E_USAGE,
                       "option of run in front of stored records in the command line; fix: give "
                       "it with --a and --b, or leave it out");
    return IB_OK;
}

static ib_status check_required(ib_options *o, ib_error *err) {
    const ib_command *c = o->command;
    if (o->n_args < c->min_args)
        return missing(err, c, c->args);
    switch (c->id) {
    case IB_COMMAND_RUN:
        if (!o->model_id)
            o->model_id = ib_default_model;
        IB_TRY(check_synthetic(o, err));
        break;
    case IB_COMMAND_INSPECT:
        if (o->n_args && o->model_id)
            return conflict(err, "model-id", "MODEL");
        if (o->n_args)
            o->model_id = o->args[0];
        if (!o->model_id)
            return missing(err, c, "MODEL");
        break;
    case IB_COMMAND_DOWNLOAD:
    case IB_COMMAND_VERIFY:
        if (o->n_args && o->model_id)
            return conflict(err, "model-id", "MODEL");
        if (o->n_args)
            o->model_id = o->args[0];
        if (!o->model_id)
            o->model_id = ib_default_model;
        break;
    case IB_COMMAND_TOKENIZE:
        if (!o->model_id)
            return missing(err, c, "--model-id");
        break;
    case IB_COMMAND_RENDER:
        if (!o->model_id && !o->template_file)
            return missing(err, c, "--model-id or --template");
        break;
    case IB_COMMAND_LOGITS:
        if (!o->model_id || !o->token_ids.given || !o->output)
            return missing(err, c,
                           !o->model_id          ? "--model-id"
                           : !o->token_ids.given ? "--token-ids"
                                                 : "--output");
        break;
    case IB_COMMAND_COMPARE:
        return check_compare(o, err);
    case IB_COMMAND_QUANTIZE:
        if (!o->quant)
            return missing(err, c, "--quant");
        break;
    default:
        break;
    }
    if (o->model_id && !*o->model_id)
        return ib_fail(err, IB_E_INPUT,
                       "cannot open the model in --model-id: '' (empty); fix: give a folder, a "
                       ".gguf file or a hub id");
    return IB_OK;
}

ib_status ib_options_check(ib_options *o, ib_error *err) {
    IB_TRY(check_prompt(o, err));
    IB_TRY(check_device(o, err));
    IB_TRY(check_format(o, err));
    IB_TRY(check_peak(o, err));
    IB_TRY(check_values(o, err));
    return check_required(o, err);
}

ib_status ib_options_engine(ib_options *o, ib_error *err) {
    const bool synth = o->engine && strcmp(o->engine, "synth") == 0;
    const char *slow = o->slow_down;
    char *number_end = NULL;
    ib_buf id;
    if (o->command->id != IB_COMMAND_RUN)
        return IB_OK;
    if (!synth && (o->law || slow))
        return ib_fail(err, IB_E_USAGE,
                       "--%s in the command line without --engine synth; fix: add it, or leave "
                       "this out",
                       o->law ? "law" : "slow-down");
    if (!synth)
        return IB_OK;
    if (o->model_id || o->axes[IB_AXIS_MODEL].n)
        return conflict(err, "engine synth", "model-id");
    if (slow && (strchr(slow, ':') || (strtod(slow, &number_end), number_end == slow)))
        return ib_option_bad_value(err, ib_option_find(IB_COMMAND_RUN, IB_STR("slow-down")), slow,
                                   "a percentage like 3%");
    ib_buf_init(&id);
    ib_status st = ib_buf_addf(&id, err, "synth:%s%s%s", o->law ? o->law : "lognormal",
                               slow ? ":slow=" : "", slow ? slow : "");
    ib_law law;
    if (st == IB_OK)
        st = ib_law_parse(&law, ib_str_of(id.ptr + strlen("synth:")), err);
    if (st != IB_OK) {
        ib_buf_clear(&id);
        return st;
    }
    free(o->synth_model);
    o->synth_model = id.ptr; /* taken over */
    o->model_id = o->synth_model;
    return IB_OK;
}
