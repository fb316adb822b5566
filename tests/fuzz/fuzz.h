/* SPDX-License-Identifier: MIT
 * Fuzz targets: each gives any bytes to one parser and checks what must hold of every answer. The
 * same functions run under libFuzzer (driver.c) and over the kept inputs in the tests (replay.c).
 *
 * A target returns the status of the parser. It calls fuzz_must for what has to be true; what is
 * false there is a finding, as a crash is. */
#ifndef IB_TESTS_FUZZ_H
#define IB_TESTS_FUZZ_H

#include "base/str.h"

typedef struct fuzz_target {
    const char *name; /* the corpus is in corpus/<name> */
    ib_status (*run)(const uint8_t *data, size_t n, ib_error *err);
} fuzz_target;

extern const fuzz_target fuzz_targets[];
extern const size_t fuzz_n_targets;
const fuzz_target *fuzz_find(const char *name); /* NULL when there is none */

/* Runs a target; fail_at > 0: the fail_at-th allocation fails (sticky: and all after it). Checks
 * that everything was given back, that a failure has its text, and that a failed allocation is
 * IB_E_RESOURCE. *met tells whether an allocation failed (may be NULL). */
ib_status fuzz_run(const fuzz_target *t, const uint8_t *data, size_t n, long fail_at, bool sticky,
                   bool *met);

#define fuzz_must(holds) ((holds) ? (void)0 : fuzz_fail(#holds, __FILE__, __LINE__))
void fuzz_fail(const char *what, const char *file, int line);

/* Allocations of a target's own fixtures and files do not count and do not fail. */
void fuzz_pause(void);
void fuzz_resume(void);

/* A folder of this process in memory where possible; removed at the end. */
const char *fuzz_folder(void);
/* Writes folder/name; its path, valid until the next call. */
const char *fuzz_file(const char *name, const void *bytes, size_t n);
/* Reads a file, or one of the source tree, zero byte behind it; ends the process when it is
 * missing. */
char *fuzz_read(const char *path, size_t *n);
char *fuzz_fixture(const char *path, size_t *n);
/* Reads every byte, so that a view beyond its memory is found. */
void fuzz_touch(const void *p, size_t n);

/* targets */
ib_status fuzz_safetensors(const uint8_t *data, size_t n, ib_error *err);
ib_status fuzz_index(const uint8_t *data, size_t n, ib_error *err);
ib_status fuzz_gguf(const uint8_t *data, size_t n, ib_error *err);
ib_status fuzz_bnb(const uint8_t *data, size_t n, ib_error *err);
ib_status fuzz_config(const uint8_t *data, size_t n, ib_error *err);
ib_status fuzz_generation(const uint8_t *data, size_t n, ib_error *err);
ib_status fuzz_tokenizer(const uint8_t *data, size_t n, ib_error *err);
ib_status fuzz_encode(const uint8_t *data, size_t n, ib_error *err);
ib_status fuzz_regex(const uint8_t *data, size_t n, ib_error *err);
ib_status fuzz_jinja(const uint8_t *data, size_t n, ib_error *err);
ib_status fuzz_chat(const uint8_t *data, size_t n, ib_error *err);
ib_status fuzz_record(const uint8_t *data, size_t n, ib_error *err);
ib_status fuzz_journal(const uint8_t *data, size_t n, ib_error *err);
ib_status fuzz_http(const uint8_t *data, size_t n, ib_error *err);
ib_status fuzz_listing(const uint8_t *data, size_t n, ib_error *err);
ib_status fuzz_names(const uint8_t *data, size_t n, ib_error *err);
ib_status fuzz_options(const uint8_t *data, size_t n, ib_error *err);

#endif
