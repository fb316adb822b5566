/* SPDX-License-Identifier: MIT
 * Good and bad model files for the tests of src/checkpoint: a scratch folder, safetensors files
 * made from a header text, and the check that opening ends with a status and says certain words. */
#ifndef IB_TESTS_MODEL_FILES_H
#define IB_TESTS_MODEL_FILES_H

#include "support.h"

#include "base/file.h"
#include "checkpoint/checkpoint.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[64];

static inline int make_scratch(void **state) {
    (void)state;
    memcpy(scratch, "/tmp/ib-test-XXXXXX", sizeof "/tmp/ib-test-XXXXXX");
    return mkdtemp(scratch) ? 0 : -1;
}

static inline void remove_tree(const char *folder) {
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        char *path = ib_path_join(folder, e->d_name);
        bool dots = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
        if (!dots && path && lstat(path, &st) == 0) {
            if (S_ISDIR(st.st_mode))
                remove_tree(path);
            else
                (void)unlink(path);
        }
        free(path);
    }
    if (d)
        (void)closedir(d);
    (void)rmdir(folder);
}

static inline int remove_scratch(void **state) {
    (void)state;
    remove_tree(scratch);
    return 0;
}

/* malloc for tests: never NULL. */
static inline void *room(size_t n) {
    void *p = malloc(n);
    if (!p) {
        fail_msg("out of memory: %zu bytes", n);
        abort();
    }
    return p;
}

/* Path in the scratch folder; valid until the eighth next call. */
static inline const char *at(const char *name) {
    static char paths[8][512];
    static int next;
    char *out = paths[next++ % 8];
    (void)snprintf(out, sizeof paths[0], "%s/%s", scratch, name);
    return out;
}

/* No flush to the disk: the tests write hundreds of files. */
static inline void put(const char *name, const void *bytes, size_t n) {
    FILE *f = fopen(at(name), "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
        fail_msg("cannot write %s", name);
}

static inline void put_text(const char *name, const char *text) {
    put(name, text, strlen(text));
}

/* A safetensors file with this header (n bytes) and n_data bytes 0, 1, 2, ... */
static inline void put_header(const char *name, const char *header, size_t n, size_t n_data) {
    unsigned char *bytes = room(8 + n + n_data);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)n >> (8 * i));
    memcpy(bytes + 8, header, n);
    for (size_t i = 0; i < n_data; i++)
        bytes[8 + n + i] = (unsigned char)i;
    put(name, bytes, 8 + n + n_data);
    free(bytes);
}

static inline void put_st(const char *name, const char *header, size_t n_data) {
    put_header(name, header, strlen(header), n_data);
}

static char logged[4096]; /* what the log was told since the last open */

static inline void keep_log(void *user, ib_log_level level, const char *line) {
    (void)user;
    (void)level;
    size_t used = strlen(logged);
    (void)snprintf(logged + used, sizeof logged - used, "%s\n", line);
}

static inline ib_status open_logged(ib_checkpoint **c, const char *path, ib_error *err) {
    const ib_log log = {IB_LOG_INFO, keep_log, NULL};
    logged[0] = '\0';
    ib_error_clear(err);
    return ib_checkpoint_open(c, path, &log, err);
}

/* words: "a|b|c", each must be in text. */
static inline void expect_words(const char *id, const char *text, const char *words) {
    char copy[256];
    (void)snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok(copy, "|"); word; word = strtok(NULL, "|"))
        if (!strstr(text, word))
            fail_msg("%s: no '%s' in: %s", id, word, text);
}

static inline void expect_error(const char *id, ib_status found, const ib_error *err,
                                ib_status expected, const char *words) {
    if (found != expected)
        fail_msg("%s: status %d, expected %d: %s", id, (int)found, (int)expected, err->text);
    expect_words(id, err->text, words);
    assert_int_equal(err->status, expected);
    assert_true(strlen(err->text) <= 400);
    for (const char *p = err->text; *p; p++)
        assert_true((unsigned char)*p >= 0x20 && *p != 0x7F);
    if (expected != IB_E_RESOURCE && !strstr(err->text, "; fix: "))
        fail_msg("%s: no advice in: %s", id, err->text);
}

/* Opening path must fail so. */
static inline void expect_refused(const char *id, const char *path, ib_status expected,
                                  const char *words) {
    ib_checkpoint *c = NULL;
    ib_error err;
    ib_status found = open_logged(&c, path, &err);
    expect_error(id, found, &err, expected, words);
    assert_null(c);
}

static inline ib_checkpoint *expect_opened(const char *id, const char *path) {
    ib_checkpoint *c = NULL;
    ib_error err;
    if (open_logged(&c, path, &err) != IB_OK)
        fail_msg("%s: %s", id, err.text);
    return c;
}

#endif
