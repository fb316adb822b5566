/* SPDX-License-Identifier: MIT
 * See record_in.h. */
#include "cli/record_in.h"

#include "base/file.h"

#include <stdio.h>
#include <string.h>

enum { MOST_BYTES = 256 * 1000 * 1000 };

/* What a file of results that is no record seems to be; NULL: no idea. */
static const char *foreign(const json_t *json) {
    const json_t *one = json_is_array(json) ? json_array_get(json, 0) : json;
    if (json_object_get(one, "schema_version"))
        return NULL;
    if (json_object_get(one, "comparison_version"))
        return "a comparison (inferbench compare shows it with --format text, markdown or html)";
    if (json_object_get(one, "build_commit"))
        return "rows of llama-bench";
    if (json_object_get(one, "ttfts") || json_object_get(one, "avg_latency"))
        return "results of vllm bench";
    return json_object_get(one, "results") ? "an export of hyperfine" : NULL;
}

/* The reader of JSON speaks of downloads; this file is the user's own. */
static void advise(ib_error *err) {
    static const char was[] = "re-download the file", is[] = "give a whole record";
    char *at = err ? strstr(err->text, was) : NULL;
    if (at)
        memcpy(at, is, sizeof is); /* shorter, with its end */
}

static ib_status parse(ib_record *out, ib_str text, const char *where, ib_error *err) {
    json_t *json = NULL;
    char quoted[IB_QUOTED];
    ib_status st = ib_json_parse(&json, text, where, err);
    if (st != IB_OK) {
        advise(err);
        return st;
    }
    const char *other = foreign(json);
    st = other ? ib_fail(err, IB_E_FORMAT,
                         "no record in %s: it is %s; fix: give a file that run --output wrote",
                         ib_quotez(where, quoted), other)
               : ib_record_from_json(out, json, where, err);
    json_decref(json);
    return st;
}

/* The next line that is not blank, from *rest on; {NULL, 0} at the end. */
static ib_str next_line(ib_str *rest) {
    while (rest->len) {
        const char *end = memchr(rest->ptr, '\n', rest->len);
        size_t n = end ? (size_t)(end - rest->ptr) : rest->len;
        ib_str line = {rest->ptr, n};
        rest->ptr += end ? n + 1 : n;
        rest->len -= end ? n + 1 : n;
        if (n && line.ptr[0] != '\r')
            return line;
    }
    return (ib_str){NULL, 0};
}

/* Several lines, each of which begins and ends as an object. */
static bool is_lines(ib_str text) {
    size_t n = 0;
    for (ib_str line; (line = next_line(&text)).ptr; n++) {
        size_t last = line.len;
        while (last && (line.ptr[last - 1] == '\r' || line.ptr[last - 1] == ' '))
            last--;
        if (line.ptr[0] != '{' || last < 2 || line.ptr[last - 1] != '}')
            return false;
    }
    return n > 1;
}

static ib_status take_cells(ib_record *to, ib_record *from, ib_error *err) {
    for (size_t i = 0; i < from->n_cells; i++) {
        ib_cell *cell;
        IB_TRY(ib_record_add_cell(to, &cell, err));
        *cell = from->cells[i];
        from->cells[i] = (ib_cell){0};
    }
    return IB_OK;
}

static ib_status parse_lines(ib_record *out, ib_str text, const char *path, ib_error *err) {
    char where[512];
    size_t number = 0;
    ib_status st = IB_OK;
    for (ib_str line; st == IB_OK && (line = next_line(&text)).ptr;) {
        ib_record one = {0};
        (void)snprintf(where, sizeof where, "%s record %zu", path, ++number);
        st = parse(number == 1 ? out : &one, line, where, err);
        if (st == IB_OK)
            st = take_cells(out, &one, err);
        ib_record_clear(&one);
    }
    if (st != IB_OK)
        ib_record_clear(out);
    return st;
}

ib_status ib_cli_read_record(ib_record *out, const char *path, ib_error *err) {
    ib_buf text;
    *out = (ib_record){0};
    ib_buf_init(&text);
    ib_status st = ib_file_read(&text, path, MOST_BYTES, err);
    const ib_str all = {text.ptr ? text.ptr : "", text.len};
    if (st == IB_OK)
        st = is_lines(all) ? parse_lines(out, all, path, err) : parse(out, all, path, err);
    ib_buf_clear(&text);
    return st;
}
