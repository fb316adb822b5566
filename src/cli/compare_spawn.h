/* SPDX-License-Identifier: MIT
 * The processes of a comparison and of --processes: words of an options string, one fresh process
 * of the program for each run, the folder for their records. */
#ifndef IB_CLI_COMPARE_SPAWN_H
#define IB_CLI_COMPARE_SPAWN_H

#include "base/file.h"

typedef struct ib_words {
    char **word; /* owned [n + 1], a NULL behind them */
    size_t n;
} ib_words;

ib_status ib_words_add(ib_words *w, const char *text, size_t len, ib_error *err) IB_MUST_CHECK;
/* Splits as a shell does: blanks, '...', "..." with \" \\ \$ \`, and \ outside quotes. Nothing is
 * expanded. IB_E_USAGE for a quote that does not end; option names it in the message. */
ib_status ib_words_split(ib_words *w, const char *text, const char *option,
                         ib_error *err) IB_MUST_CHECK;
void ib_words_clear(ib_words *w);

/* A new folder for records under TMPDIR or /tmp; NULL-safe removal with everything in it. */
ib_status ib_compare_folder(char **out, ib_error *err) IB_MUST_CHECK;
void ib_compare_folder_remove(char *folder);

typedef struct ib_child {
    const char *program;     /* path */
    char *const *argv;       /* NULL-terminated, program's name first */
    const char *stderr_path; /* file for its messages */
    size_t padding;          /* bytes put into its environment */
    size_t heap_offset;      /* bytes it takes from its heap */
    const char *side;        /* "A" or "B", for messages */
    const char *record;      /* not NULL: it runs cell number `cell` alone, into this file */
    size_t cell;
} ib_child;

/* Starts the process and waits. Ends it and returns IB_E_INTERRUPTED or IB_E_TERMINATED when this
 * process gets such a signal. When it fails: its own error line and code. */
ib_status ib_compare_spawn(const ib_child *child, ib_error *err) IB_MUST_CHECK;

#endif
