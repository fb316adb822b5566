/* SPDX-License-Identifier: MIT
 * A golden file as a stream of bytes: take() stops the test when the file is too short, and
 * finished() when something is left. */
#ifndef IB_TESTS_GOLDEN_READER_H
#define IB_TESTS_GOLDEN_READER_H

#include "support.h"

#include "base/file.h"

typedef struct golden_reader {
    ib_file_map map;
    size_t at;
} golden_reader;

/* name: path below tests/golden. */
static inline golden_reader golden_open(const char *name) {
    golden_reader g = {0};
    ib_error err = {0};
    char *path = ib_path_join(IB_SOURCE_DIR "/tests/golden", name);
    if (ib_file_map_open(&g.map, path, &err) != IB_OK)
        fail_msg("%s", err.text);
    free(path);
    return g;
}

static inline const void *take(golden_reader *g, size_t n) {
    if (n > g->map.size - g->at)
        fail_msg("golden file ends at %zu", g->at);
    const void *p = g->map.data + g->at;
    g->at += n;
    return p;
}

static inline uint32_t take_u32(golden_reader *g) {
    uint32_t v;
    memcpy(&v, take(g, 4), 4);
    return v;
}

/* n floats, aligned, malloc'd. */
static inline float *take_floats(golden_reader *g, size_t n) {
    float *out = malloc(n * sizeof *out + 1);
    assert_non_null(out);
    memcpy(out, take(g, n * sizeof *out), n * sizeof *out);
    return out;
}

static inline void golden_finished(golden_reader *g) {
    assert_int_equal(g->at, g->map.size);
    ib_file_map_close(&g->map);
}

#endif
