/* SPDX-License-Identifier: MIT
 * The option table as text: --help, the manual page (roff, man macros) and a completion script for
 * bash. Nothing here knows an option by name. */
#include "cli/options.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 96, INDENT = 30 };

static const char definitions[][2][128] = {
    {"TTFT", "prompt ids on the host to the first token on the host"},
    {"ITL", "each gap between two tokens after the first"},
    {"TPOT", "(last token - first token) / (tokens - 1); the first token is left out"},
    {"decode tok/s", "1 / TPOT, times the batch"},
    {"prefill tok/s", "prompt tokens / duration of the prefill"},
    {"MBU, MFU", "read rate of decode, arithmetic of prefill / what the machine was seen to do"},
};
enum { N_DEFINITIONS = sizeof definitions / sizeof definitions[0] };

static const struct {
    const char *command, *what;
} examples[] = {
    {"inferbench --model-id FOLDER --device cpu", "the reference's benchmark"},
    {"inferbench -m FOLDER -p 512 -n 128 -r 5 --warmup 1 -o result.json", "five measured runs"},
    {"inferbench report result.json", "the saved record as text"},
    {"inferbench compare --a '--attn eager' --b '--attn sdpa' -m FOLDER", "which is faster"},
    {"inferbench quantize FOLDER NEW --quant nf4-dq", "a bitsandbytes 4-bit folder"},
    {"inferbench -m synthetic:llama-3.1-8b --quant nf4-dq -p 512 -n 64",
     "measure the machine without a model file"},
};
enum { N_EXAMPLES = sizeof examples / sizeof examples[0] };

/* "-m, --model-id MODEL", further aliases behind. */
static void spell(const ib_option *row, char *out, size_t room) {
    size_t n = 0;
    const char *p = row->aliases;
    out[0] = '\0';
    if (*p && (p[1] == ' ' || !p[1]))
        n += (size_t)snprintf(out, room, "-%c, ", *p);
    n += (size_t)snprintf(out + n, room - n, "--%s", row->name);
    while (*p && n < room) {
        size_t len = strcspn(p, " ");
        if (len > 1)
            n += (size_t)snprintf(out + n, room - n, ", --%.*s", (int)len, p);
        p += len + (p[len] == ' ');
    }
    if (row->value && n < room)
        (void)snprintf(out + n, room - n, " %s", row->value);
}

/* Help sentence with choices and default. */
static ib_status describe(const ib_option *row, ib_buf *out, ib_error *err) {
    IB_TRY(ib_buf_adds(out, row->help, err));
    if (row->kind == IB_OPTION_CHOICE) {
        const char *between = "; values: ";
        for (const ib_choice *c = row->choices; c->name; c++) {
            if (c->later)
                continue;
            IB_TRY(ib_buf_addf(out, err, "%s%s", between, c->name));
            if (c->alias)
                IB_TRY(ib_buf_addf(out, err, " (= %s)", c->alias));
            between = ", ";
        }
    }
    if (row->fallback[0])
        IB_TRY(ib_buf_addf(out, err, " (default: %s)", row->fallback));
    return IB_OK;
}

/* text wrapped to WIDTH, lines after the first indented. */
static ib_status wrap(ib_buf *out, const char *text, size_t column, ib_error *err) {
    while (*text) {
        size_t n = strcspn(text, " ");
        if (column > INDENT && column + 1 + n > WIDTH) {
            IB_TRY(ib_buf_addf(out, err, "\n%*s", INDENT, ""));
            column = INDENT;
        }
        IB_TRY(ib_buf_addf(out, err, "%s%.*s", column > INDENT ? " " : "", (int)n, text));
        column += n + (column > INDENT);
        text += n + strspn(text + n, " ");
    }
    return ib_buf_addc(out, '\n', err);
}

static bool listed(const ib_option *row, ib_command_id id) {
    return (row->commands >> id & 1) && row->kind != IB_OPTION_LATER;
}

static ib_status add_option(const ib_option *row, ib_buf *out, ib_error *err) {
    char name[128];
    ib_buf text;
    ib_buf_init(&text);
    spell(row, name, sizeof name);
    ib_status st = describe(row, &text, err);
    if (st == IB_OK && strlen(name) + 4 > INDENT)
        st = ib_buf_addf(out, err, "  %s\n%*s", name, INDENT, "");
    else if (st == IB_OK)
        st = ib_buf_addf(out, err, "  %-*s", INDENT - 2, name);
    if (st == IB_OK)
        st = wrap(out, text.ptr, INDENT, err);
    ib_buf_clear(&text);
    return st;
}

static ib_status add_options(ib_command_id id, ib_buf *out, ib_error *err) {
    const char *group = NULL;
    for (size_t i = 0; i < ib_option_n_rows; i++) {
        const ib_option *row = &ib_option_rows[i];
        if (!listed(row, id))
            continue;
        if (!group || strcmp(group, row->group) != 0)
            IB_TRY(ib_buf_addf(out, err, "\n%s:\n", row->group));
        group = row->group;
        IB_TRY(add_option(row, out, err));
    }
    return IB_OK;
}

static ib_status add_commands(ib_buf *out, ib_error *err) {
    for (size_t i = 0; i < IB_COMMAND_COUNT; i++) {
        const ib_command *c = &ib_commands[i];
        char name[64];
        if (c->hidden)
            continue;
        (void)snprintf(name, sizeof name, "%s %s", c->name, c->args);
        IB_TRY(ib_buf_addf(out, err, "  %-*s", INDENT - 2, name));
        IB_TRY(wrap(out, c->summary, INDENT, err));
    }
    return IB_OK;
}

ib_status ib_help_general(ib_buf *out, ib_error *err) {
    IB_TRY(ib_buf_adds(out,
                       "inferbench measures the inference of large language models.\n\n"
                       "usage: inferbench [run] [OPTIONS]\n       inferbench COMMAND [ARGUMENTS] "
                       "[OPTIONS]\n\nCommands (each with its own --help):\n",
                       err));
    IB_TRY(add_commands(out, err));
    IB_TRY(ib_buf_adds(out, "\nOptions of run\n", err));
    IB_TRY(add_options(IB_COMMAND_RUN, out, err));
    IB_TRY(ib_buf_adds(out, "\nTerms:\n", err));
    for (size_t i = 0; i < N_DEFINITIONS; i++)
        IB_TRY(
            ib_buf_addf(out, err, "  %-*s%s\n", INDENT - 2, definitions[i][0], definitions[i][1]));
    IB_TRY(ib_buf_adds(out, "\nExit codes:\n", err));
#define X(name, code, meaning) IB_TRY(ib_buf_addf(out, err, "  %-28d%s\n", (code), (meaning)));
    IB_STATUS_TABLE(X)
#undef X
    return IB_OK;
}

ib_status ib_help_command(const ib_command *c, ib_buf *out, ib_error *err) {
    if (c->id == IB_COMMAND_RUN || c->id == IB_COMMAND_HELP)
        return ib_help_general(out, err);
    IB_TRY(ib_buf_addf(out, err, "%s\n\nusage: inferbench %s %s%s[OPTIONS]\n", c->summary, c->name,
                       c->args, c->args[0] ? " " : ""));
    return add_options(c->id, out, err);
}

/* --- manual page --- */

/* Text for roff: hyphens and backslashes escaped, no control line by accident. */
static ib_status add_roff(ib_buf *out, const char *text, ib_error *err) {
    if (*text == '.' || *text == '\'')
        IB_TRY(ib_buf_adds(out, "\\&", err));
    for (; *text; text++) {
        if (*text == '-')
            IB_TRY(ib_buf_adds(out, "\\-", err));
        else if (*text == '\\')
            IB_TRY(ib_buf_adds(out, "\\e", err));
        else
            IB_TRY(ib_buf_addc(out, *text, err));
    }
    return IB_OK;
}

static ib_status add_man_options(ib_command_id id, ib_buf *out, ib_error *err) {
    const char *group = NULL;
    for (size_t i = 0; i < ib_option_n_rows; i++) {
        const ib_option *row = &ib_option_rows[i];
        char name[128];
        ib_buf text;
        if (!listed(row, id))
            continue;
        if (!group || strcmp(group, row->group) != 0)
            IB_TRY(ib_buf_addf(out, err, ".SS %s\n", row->group));
        group = row->group;
        spell(row, name, sizeof name);
        IB_TRY(ib_buf_adds(out, ".TP\n.B ", err));
        IB_TRY(add_roff(out, name, err));
        IB_TRY(ib_buf_addc(out, '\n', err));
        ib_buf_init(&text);
        ib_status st = describe(row, &text, err);
        if (st == IB_OK)
            st = add_roff(out, text.ptr, err);
        ib_buf_clear(&text);
        IB_TRY(st);
        IB_TRY(ib_buf_addc(out, '\n', err));
    }
    return IB_OK;
}

/* Options of a command that run does not have in the same form. */
static ib_status add_man_command(const ib_command *c, ib_buf *out, ib_error *err) {
    IB_TRY(ib_buf_addf(out, err, ".TP\n.B inferbench %s %s\n", c->name, c->args));
    IB_TRY(add_roff(out, c->summary, err));
    const char *before = ".\nOptions: ";
    for (size_t i = 0; i < ib_option_n_rows; i++) {
        char name[128];
        if (!listed(&ib_option_rows[i], c->id))
            continue;
        spell(&ib_option_rows[i], name, sizeof name);
        IB_TRY(ib_buf_adds(out, before, err));
        IB_TRY(add_roff(out, name, err));
        before = ";\n";
    }
    return ib_buf_adds(out, ".\n", err);
}

/* Rows that only other commands than run have, each once. */
static ib_status add_man_further(ib_buf *out, ib_error *err) {
    IB_TRY(ib_buf_adds(out, ".SH FURTHER OPTIONS\n", err));
    for (size_t id = 0; id < IB_COMMAND_COUNT; id++) {
        for (size_t i = 0; id != IB_COMMAND_RUN && i < ib_option_n_rows; i++) {
            const ib_option *row = &ib_option_rows[i];
            char name[128];
            bool first_owner = row->commands >> id & 1 && !(row->commands & ((1u << id) - 1u));
            if (!first_owner || row->kind == IB_OPTION_LATER)
                continue;
            spell(row, name, sizeof name);
            IB_TRY(ib_buf_adds(out, ".TP\n.B ", err));
            IB_TRY(add_roff(out, name, err));
            IB_TRY(ib_buf_addf(out, err, "\n(%s) ", ib_commands[id].name));
            ib_buf text;
            ib_buf_init(&text);
            ib_status st = describe(row, &text, err);
            if (st == IB_OK)
                st = add_roff(out, text.ptr, err);
            ib_buf_clear(&text);
            IB_TRY(st);
            IB_TRY(ib_buf_addc(out, '\n', err));
        }
    }
    return IB_OK;
}

ib_status ib_help_man(ib_buf *out, ib_error *err) {
    IB_TRY(ib_buf_adds(out,
                       ".TH INFERBENCH 1 \"\" \"inferbench " IB_VERSION "\" \"User Commands\"\n"
                       ".SH NAME\ninferbench \\- measure the inference of large language models\n"
                       ".SH SYNOPSIS\n.B inferbench\n[run] [OPTIONS]\n.br\n.B inferbench\n"
                       "COMMAND [ARGUMENTS] [OPTIONS]\n.SH COMMANDS\n",
                       err));
    for (size_t i = 0; i < IB_COMMAND_COUNT; i++)
        if (!ib_commands[i].hidden)
            IB_TRY(add_man_command(&ib_commands[i], out, err));
    IB_TRY(ib_buf_adds(out, ".SH OPTIONS\n", err));
    IB_TRY(add_man_options(IB_COMMAND_RUN, out, err));
    IB_TRY(add_man_further(out, err));
    IB_TRY(ib_buf_adds(out, ".SH TERMS\n", err));
    for (size_t i = 0; i < N_DEFINITIONS; i++) {
        IB_TRY(ib_buf_addf(out, err, ".TP\n.B %s\n", definitions[i][0]));
        IB_TRY(add_roff(out, definitions[i][1], err));
        IB_TRY(ib_buf_addc(out, '\n', err));
    }
    IB_TRY(ib_buf_adds(out, ".SH EXIT STATUS\n", err));
#define X(name, code, meaning)                                                                     \
    IB_TRY(ib_buf_addf(out, err, ".TP\n.B %d\n%s (E\\-%s)\n", (code), (meaning), #name));
    IB_STATUS_TABLE(X)
#undef X
    IB_TRY(ib_buf_adds(out, ".SH EXAMPLES\n", err));
    for (size_t i = 0; i < N_EXAMPLES; i++) {
        IB_TRY(ib_buf_adds(out, ".TP\n.B ", err));
        IB_TRY(add_roff(out, examples[i].command, err));
        IB_TRY(ib_buf_addf(out, err, "\n%s\n", examples[i].what));
    }
    return IB_OK;
}

/* --- completion --- */

static ib_status add_words(ib_command_id id, ib_buf *out, ib_error *err) {
    for (size_t i = 0; i < ib_option_n_rows; i++)
        if (listed(&ib_option_rows[i], id))
            IB_TRY(ib_buf_addf(out, err, " --%s", ib_option_rows[i].name));
    return IB_OK;
}

static ib_status add_value_cases(ib_buf *out, ib_error *err) {
    for (size_t i = 0; i < ib_option_n_rows; i++) {
        const ib_option *row = &ib_option_rows[i];
        if (row->kind != IB_OPTION_CHOICE || (i && strcmp(row->name, row[-1].name) == 0))
            continue;
        bool again = false; /* one name, two commands: the first list will do */
        for (size_t k = 0; k < i; k++)
            again = again || strcmp(ib_option_rows[k].name, row->name) == 0;
        if (again)
            continue;
        IB_TRY(ib_buf_addf(out, err, "        --%s) COMPREPLY=($(compgen -W \"", row->name));
        for (const ib_choice *c = row->choices; c->name; c++)
            if (!c->later)
                IB_TRY(ib_buf_addf(out, err, "%s ", c->name));
        IB_TRY(ib_buf_adds(out, "\" -- \"$cur\")); return;;\n", err));
    }
    return IB_OK;
}

ib_status ib_help_completion(ib_buf *out, ib_error *err) {
    IB_TRY(ib_buf_adds(out,
                       "# bash completion of inferbench\n_inferbench() {\n"
                       "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} "
                       "words\n    case $prev in\n",
                       err));
    IB_TRY(add_value_cases(out, err));
    IB_TRY(ib_buf_adds(out, "    esac\n    case ${COMP_WORDS[1]} in\n", err));
    for (size_t i = 1; i < IB_COMMAND_COUNT; i++) {
        if (ib_commands[i].hidden)
            continue;
        IB_TRY(ib_buf_addf(out, err, "        %s) words=\"", ib_commands[i].name));
        IB_TRY(add_words(ib_commands[i].id, out, err));
        IB_TRY(ib_buf_adds(out, "\";;\n", err));
    }
    IB_TRY(ib_buf_adds(out, "        *) words=\"", err));
    IB_TRY(add_words(IB_COMMAND_RUN, out, err));
    IB_TRY(ib_buf_adds(out, "\"\n           [ \"$COMP_CWORD\" = 1 ] && words+=\"", err));
    for (size_t i = 0; i < IB_COMMAND_COUNT; i++)
        if (!ib_commands[i].hidden)
            IB_TRY(ib_buf_addf(out, err, " %s", ib_commands[i].name));
    return ib_buf_adds(out,
                       "\";;\n    esac\n    if [[ $cur == -* || $COMP_CWORD == 1 ]]; then\n"
                       "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n    fi\n"
                       "    [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$cur\"))\n"
                       "}\ncomplete -o filenames -F _inferbench inferbench\n",
                       err);
}
