/* SPDX-License-Identifier: MIT
 * The command line as data. One table of commands and one table of options (options_table.c) are
 * what the parser (options.c), --help, the man page and the shell completion (help.c) all derive
 * from; an option is added by adding a row. Parsing opens no file and prints nothing. */
#ifndef IB_CLI_OPTIONS_H
#define IB_CLI_OPTIONS_H

#include "base/str.h"
#include "bench/plan.h"

enum { IB_OPTIONS_MAX_ARGS = 64, IB_OPTIONS_MAX_ROWS = 112, IB_OPTIONS_MAX_PERCENTILES = 16 };

typedef enum ib_command_id {
    IB_COMMAND_RUN,
    IB_COMMAND_REPORT,
    IB_COMMAND_INSPECT,
    IB_COMMAND_TOKENIZE,
    IB_COMMAND_RENDER,
    IB_COMMAND_LOGITS,
    IB_COMMAND_QUANTIZE,
    IB_COMMAND_DEVICES,
    IB_COMMAND_HELP, /* also --help and --version of every command */
    IB_COMMAND_MAN,
    IB_COMMAND_COMPLETION,
    IB_COMMAND_COMPARE,
    IB_COMMAND_DOWNLOAD,
    IB_COMMAND_VERIFY,
    IB_COMMAND_COUNT
} ib_command_id;

typedef struct ib_command {
    ib_command_id id;
    const char *name, *args, *summary; /* args: synopsis of what is no option, "" = none */
    size_t min_args, max_args;
    bool hidden, later; /* later: refused with IB_E_UNSUPPORTED */
} ib_command;

typedef enum ib_option_kind {
    IB_OPTION_FLAG,    /* bool */
    IB_OPTION_TEXT,    /* const char * */
    IB_OPTION_COUNT,   /* uint64_t in [min, max] */
    IB_OPTION_CHOICE,  /* const char *, one of choices in its first spelling */
    IB_OPTION_IDS,     /* ib_id_list; "none" = the empty list */
    IB_OPTION_PERCENT, /* ib_percent_list */
    IB_OPTION_LATER    /* refused by name */
} ib_option_kind;

typedef struct ib_choice {
    const char *name, *alias; /* alias NULL = none; a NULL name ends the list */
    bool later;               /* known and refused */
} ib_choice;

typedef struct ib_option {
    const char *name;    /* long form without dashes */
    const char *aliases; /* blank-separated; one letter = short form; "" = none */
    const char *value;   /* name of the value in help; NULL = takes none */
    unsigned commands;   /* bits 1 << ib_command_id */
    ib_option_kind kind;
    size_t offset;     /* into ib_options */
    uint64_t min, max; /* COUNT; IDS: max = most ids */
    const ib_choice *choices;
    ib_axis axis;         /* run: a list of values makes a grid; else IB_AXIS_NONE */
    const char *fallback; /* the default as help shows it; "" = none */
    const char *group, *help;
} ib_option;

typedef struct ib_id_list {
    uint32_t *ids; /* owned */
    size_t n;
    bool given;
} ib_id_list;

typedef struct ib_percent_list {
    double values[IB_OPTIONS_MAX_PERCENTILES];
    size_t n; /* 0 = not given */
} ib_percent_list;

/* The values of one axis as given; none = the option was not given. */
typedef struct ib_axis_values {
    uint64_t *counts;   /* owned; COUNT */
    const char **words; /* owned; TEXT and CHOICE */
    char *store;        /* owned: what words points into, or NULL */
    size_t n;
} ib_axis_values;

typedef struct ib_options { /* texts are borrowed from argv or static */
    const ib_command *command;
    const char *args[IB_OPTIONS_MAX_ARGS];
    size_t n_args;
    bool help, version;

    const char *model_id, *revision, *cache_dir, *token; /* token: NULL = not given */
    bool offline;
    const char *device, *attn, *dtype, *compute, *quant, *cpu_tier, *pin, *load_mode;
    const char *roofline;  /* NULL = on */
    const char *profile;   /* "ops", or NULL */
    const char *peak_text; /* NULL = not given */
    double peak_gbps;
    const char *engine, *law, *slow_down; /* run: "synth" and what it draws from */
    char *synth_model;                    /* owned: the model id that they make */
    uint64_t threads, blocksize, max_shard_bytes;
    bool double_quant;

    uint64_t max_new_tokens, input_len, depth, batch, repetitions, warmup, processes, seed;
    const char *system_prompt, *prompt, *prompt_file, *messages, *template_file, *text;
    bool no_chat_template, no_parse_special, no_special_tokens, skip_special_tokens;
    ib_id_list token_ids, eos_token_id, forced_eos_token_id, ids;
    bool ignore_eos;

    const char *format, *output; /* format: NULL = not given */
    bool force, print_median, strict;
    ib_percent_list percentiles;
    uint64_t n_ctx; /* inspect: positions to count the KV cache for; 0 = the model's */

    bool resume, dry_run;
    const char *until_ci; /* NULL = not given */
    double half_width;    /* of it, as a fraction; 0 = not given */
    uint64_t max_time;    /* seconds; 0 = not given */

    /* compare */
    const char *side_a, *side_b, *binary_b, *metric, *fail_if_slower; /* NULL = not given */
    bool across;
    uint64_t pairs, order_seed;                    /* 0 = not given */
    const char *run_args[2 * IB_OPTIONS_MAX_ARGS]; /* options of run for both sides, as given */
    size_t n_run_args;

    const char *log_level, *errors;
    bool quiet;
    /* run: the members above hold the first values; ib_options_cell gives those of a cell */
    ib_axis_values axes[IB_AXIS_COUNT];
} ib_options;

extern const ib_command ib_commands[IB_COMMAND_COUNT];
extern const ib_option ib_option_rows[];
extern const size_t ib_option_n_rows;
extern const char ib_default_model[];
extern const char ib_default_system_prompt[]; /* default_prompt.c */
extern const char ib_default_prompt[];        /* 3857 bytes */

/* argv -> options, defaults included. IB_E_USAGE names the option, what was found and what is
 * allowed; IB_E_UNSUPPORTED what comes with a later version. Free with ib_options_clear in every
 * case. */
ib_status ib_options_parse(ib_options *out, int argc, char **argv, ib_error *err) IB_MUST_CHECK;
void ib_options_clear(ib_options *o);
/* Cells of the grid that the lists make; 1 without lists. */
size_t ib_options_n_cells(const ib_options *o);
/* The options of one cell (cell < n_cells), checked and completed. Borrows from o: do not clear. */
ib_status ib_options_cell(const ib_options *o, size_t cell, ib_options *out,
                          ib_error *err) IB_MUST_CHECK;
/* The value of --errors wherever it stands, so that a failing parse reports in that form too. */
bool ib_options_want_json_errors(int argc, char **argv);

/* Whether an alias list ("n output-len osl") holds name. */
bool ib_option_has_alias(const ib_option *row, ib_str name);
/* The row that a command knows under this name or alias; NULL when there is none. */
const ib_option *ib_option_find(ib_command_id command, ib_str name);
/* --engine synth as a model id (before the check). */
ib_status ib_options_engine(ib_options *o, ib_error *err) IB_MUST_CHECK;
/* Further steps of ib_options_parse (options_check.c): what must hold between options, and what a
 * command cannot do without. */
ib_status ib_options_check(ib_options *o, ib_error *err) IB_MUST_CHECK;
ib_status ib_option_refuse_value(ib_error *err, const ib_option *row, const char *value);
ib_status ib_option_bad_value(ib_error *err, const ib_option *row, const char *value,
                              const char *allowed);

/* help.c: each appends to out. */
ib_status ib_help_general(ib_buf *out, ib_error *err) IB_MUST_CHECK;
ib_status ib_help_command(const ib_command *command, ib_buf *out, ib_error *err) IB_MUST_CHECK;
ib_status ib_help_man(ib_buf *out, ib_error *err) IB_MUST_CHECK;
ib_status ib_help_completion(ib_buf *out, ib_error *err) IB_MUST_CHECK;

#endif
