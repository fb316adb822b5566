/* SPDX-License-Identifier: MIT
 * What every subcommand gets: the parsed options, standard output, the log, the environment. Each
 * subcommand is one function in a file of its own, listed in commands.c. */
#ifndef IB_CLI_CLI_H
#define IB_CLI_CLI_H

#include "cli/messages.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/signals.h"
#include "cli/transfer.h"
#include "engine/engine.h"

/* What a process that started this one for a single cell says in the environment (child.c). */
typedef struct ib_cli_child {
    const char *record; /* file for the record; NULL = this is no such process */
    size_t cell;
    uint64_t env_padding, heap_offset; /* bytes; of the processes of a comparison too */
} ib_cli_child;

typedef struct ib_cli {
    ib_options options;
    ib_output out;
    ib_log log;
    ib_hub_env hub_env; /* borrowed from the environment */
    ib_transfer transfer;
    int argc; /* never 0 */
    char **argv;
    ib_cli_child child;
    bool json_errors;
    bool reported; /* the error line of a failing status is out already */
} ib_cli;

/* Descriptors, signals, environment; before anything else. */
void ib_cli_start(ib_cli *cli, int argc, char **argv);
/* Runs the command that the options name. */
ib_status ib_cli_run(ib_cli *cli, ib_error *err) IB_MUST_CHECK;
/* Flushes standard output, prints the error line, frees; returns the exit code. */
int ib_cli_finish(ib_cli *cli, ib_status status, ib_error *err);

ib_status ib_cmd_run(ib_cli *cli, ib_error *err) IB_MUST_CHECK;
ib_status ib_cmd_compare(ib_cli *cli, ib_error *err) IB_MUST_CHECK;
ib_status ib_cmd_report(ib_cli *cli, ib_error *err) IB_MUST_CHECK;
ib_status ib_cmd_inspect(ib_cli *cli, ib_error *err) IB_MUST_CHECK;
ib_status ib_cmd_tokenize(ib_cli *cli, ib_error *err) IB_MUST_CHECK;
ib_status ib_cmd_render(ib_cli *cli, ib_error *err) IB_MUST_CHECK;
ib_status ib_cmd_logits(ib_cli *cli, ib_error *err) IB_MUST_CHECK;
ib_status ib_cmd_quantize(ib_cli *cli, ib_error *err) IB_MUST_CHECK;
ib_status ib_cmd_devices(ib_cli *cli, ib_error *err) IB_MUST_CHECK;
ib_status ib_cmd_download(ib_cli *cli, ib_error *err) IB_MUST_CHECK;
ib_status ib_cmd_verify(ib_cli *cli, ib_error *err) IB_MUST_CHECK;

/* Reads the environment and takes the heap offset from the heap, for good. */
void ib_cli_child_read(ib_cli_child *out);
/* --- what several subcommands share (shared.c) --- */

/* --dtype as an ib_type, or -1 for auto. */
int ib_cli_dtype(const ib_options *o);
/* The engine's settings as the options give them: cli->options, or those of a cell. */
void ib_cli_engine_config(const ib_cli *cli, const ib_options *o, ib_engine_config *out);

/* Tokenizer and chat templates of --model-id, without opening configuration or weights. For a
 * folder either may be absent (NULL, empty). */
typedef struct ib_cli_text {
    const ib_tokenizer *tokenizer;      /* NULL = none */
    const ib_chat_templates *templates; /* may be empty */
    ib_engine *engine;                  /* owned: a GGUF file's; else NULL */
    ib_tokenizer *own_tokenizer;        /* owned */
    ib_chat_templates own_templates;    /* owned */
} ib_cli_text;
ib_status ib_cli_text_open(ib_cli_text *out, const ib_cli *cli, ib_error *err) IB_MUST_CHECK;
void ib_cli_text_close(ib_cli_text *t);

/* One JSON object a line from standard input. handle appends the answer, without newline, to out;
 * IB_E_FORMAT and IB_E_UNSUPPORTED from it are answered by {"error": ...} and the next line is
 * read; any other status ends. Returns IB_E_FORMAT at the end when a line was answered so. */
typedef ib_status (*ib_line_fn)(void *user, const json_t *line, ib_buf *out, ib_error *err);
ib_status ib_cli_each_line(ib_cli *cli, ib_line_fn handle, void *user, ib_error *err) IB_MUST_CHECK;

/* Appends text as a JSON string. */
ib_status ib_cli_json_text(ib_buf *out, const char *text, size_t n, ib_error *err) IB_MUST_CHECK;

/* npy.c: a float32 array [n_rows, n_cols] as a NumPy 1.0 file. */
ib_status ib_npy_write(const char *path, const float *values, uint64_t n_rows, uint64_t n_cols,
                       ib_error *err) IB_MUST_CHECK;

#endif
