/* SPDX-License-Identifier: MIT
 * Shared by the tokenizer tests: golden files row by row, temporary folders, and comparisons that
 * name the row on which they fail. */
#ifndef IB_TESTS_TOKENIZER_ROWS_H
#define IB_TESTS_TOKENIZER_ROWS_H

#include "support.h"

#include "base/file.h"
#include "text/tokenizer.h"

#include <dirent.h>
#include <unistd.h>

static inline ib_str json_text(const json_t *v) {
    return (ib_str){json_string_value(v), json_string_length(v)};
}

static inline bool same_ids(const json_t *want, const uint32_t *ids, size_t n) {
    if (json_array_size(want) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (json_integer_value(json_array_get(want, i)) != (json_int_t)ids[i])
            return false;
    return true;
}

static inline void row_failed(const char *folder, const char *what, const json_t *row) {
    char *text = json_dumps(row, JSON_ENSURE_ASCII);
    print_error("%s in %s: %.2000s\n", what, folder, text);
    free(text);
    fail();
}

/* Calls fn for each line of folder/file; returns how many there were. */
typedef void (*row_fn)(const ib_tokenizer *t, const char *folder, const json_t *row, void *user);
static inline size_t each_row(const ib_tokenizer *t, const char *folder, const char *file,
                              row_fn fn, void *user) {
    char *path = ib_path_join(folder, file), *line = NULL;
    size_t cap = 0, n = 0;
    FILE *f = fopen(path, "r");
    free(path);
    if (!f)
        return 0;
    while (getline(&line, &cap, f) > 0) {
        json_t *row = json_loads(line, JSON_ALLOW_NUL, NULL);
        assert_non_null(row);
        fn(t, folder, row, user);
        json_decref(row);
        n++;
    }
    free(line);
    (void)fclose(f);
    return n;
}

static inline ib_tokenizer *open_folder(const char *folder) {
    ib_tokenizer *t;
    ib_error err = {0};
    if (ib_tokenizer_open(&t, folder, NULL, &err) != IB_OK)
        fail_msg("%s", err.text);
    return t;
}

/* A folder of its own with the given files; remove_folder deletes it. */
static inline char *make_folder(const char *tokenizer, size_t len, const char *config) {
    char *folder = ib_strdup("/tmp/ib-tokenizer-XXXXXX");
    assert_non_null(mkdtemp(folder));
    char *path = ib_path_join(folder, "tokenizer.json");
    assert_int_equal(ib_file_write(path, tokenizer, len, NULL), IB_OK);
    free(path);
    path = ib_path_join(folder, "tokenizer_config.json");
    if (config)
        assert_int_equal(ib_file_write(path, config, strlen(config), NULL), IB_OK);
    free(path);
    return folder;
}

static inline void remove_folder(char *folder) {
    static const char *const files[] = {"tokenizer.json", "tokenizer_config.json",
                                        "special_tokens_map.json"};
    for (size_t i = 0; i < 3; i++) {
        char *path = ib_path_join(folder, files[i]);
        (void)unlink(path);
        free(path);
    }
    assert_int_equal(rmdir(folder), 0);
    free(folder);
}

static inline ib_ids encode(const ib_tokenizer *t, ib_str text, bool special, bool no_parse) {
    ib_ids ids = {0};
    ib_error err = {0};
    const ib_encode_options options = {special, no_parse};
    if (ib_tokenizer_encode(t, text, &options, &ids, NULL, &err) != IB_OK)
        fail_msg("%s", err.text);
    return ids;
}

#endif
