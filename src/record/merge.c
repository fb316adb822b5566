/* SPDX-License-Identifier: MIT
 * See merge.h. */
#include "record/merge.h"

#include "record/fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void key_of(size_t i, char out[32]) {
    (void)snprintf(out, 32, "record %zu", i + 1);
}

static ib_status text(json_t *o, const char *key, const char *value, ib_error *err) {
    return ib_fields_set_text(o, key, value, value ? strlen(value) : 0, err);
}

static ib_status describe(json_t *o, const ib_record *r, const char *name, ib_error *err) {
    json_t *tool = json_object();
    IB_TRY(ib_fields_set(o, "tool", tool, err));
    IB_TRY(text(tool, "version", r->tool_version, err));
    IB_TRY(text(tool, "commit", r->tool_commit, err));
    IB_TRY(text(tool, "compiler", r->compiler, err));
    IB_TRY(text(o, "file", name, err));
    IB_TRY(text(o, "command", r->command, err));
    IB_TRY(text(o, "started_utc", r->started_utc, err));
    IB_TRY(ib_fields_set(o, "n_cells", json_integer((json_int_t)r->n_cells), err));
    return ib_fields_set(o, "environment",
                         r->environment ? json_incref(r->environment) : json_object(), err);
}

static ib_status describe_all(json_t *all, const ib_record *from, const char *const *names,
                              size_t n, ib_error *err) {
    char key[32];
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_object();
        key_of(i, key);
        IB_TRY(ib_fields_set(all, key, one, err));
        IB_TRY(describe(one, &from[i], names[i], err));
    }
    return IB_OK;
}

ib_status ib_record_merge(ib_record *out, ib_record *from, const char *const *names, size_t n,
                          ib_error *err) {
    *out = (ib_record){0};
    json_t *all = n > 1 ? json_object() : NULL;
    if (n > 1 && !all)
        return ib_fail_memory(err, 0, "the records' environment");
    ib_status st = n > 1 ? describe_all(all, from, names, n, err) : IB_OK;
    if (st != IB_OK) {
        json_decref(all);
        return st;
    }
    *out = from[0];
    from[0] = (ib_record){0};
    if (n == 1)
        return IB_OK;
    json_decref(out->environment);
    out->environment = all;
    free(out->command);
    out->command = NULL;
    for (size_t i = 1; i < n; i++)
        for (size_t k = 0; k < from[i].n_cells; k++) {
            ib_cell *cell;
            IB_TRY(ib_record_add_cell(out, &cell, err));
            *cell = from[i].cells[k];
            from[i].cells[k] = (ib_cell){0};
        }
    return IB_OK;
}

const json_t *ib_record_merged(const ib_record *r, size_t i) {
    char key[32];
    key_of(i, key);
    const json_t *one = json_object_get(r->environment, key);
    return json_is_object(json_object_get(one, "environment")) ? one : NULL;
}

const json_t *ib_record_origin(const ib_record *r, size_t cell) {
    json_int_t before = 0;
    for (size_t i = 0;; i++) {
        const json_t *one = ib_record_merged(r, i);
        if (!one)
            return NULL;
        before += json_integer_value(json_object_get(one, "n_cells"));
        if (before > 0 && (json_int_t)cell < before)
            return one;
    }
}
