/* SPDX-License-Identifier: MIT
 * JSON -> record. The file may come from anywhere: every member is typed, every array counted, the
 * stamps must not run backwards and the ids must match their hash. Unknown members are ignored (a
 * later minor version may add some); the summary is never read. */
#include "record/fields.h"

#include "base/checked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ib_status bad(ib_error *err, const char *where, const char *what) {
    return ib_fail(err, IB_E_FORMAT, "bad record in %s: %s; fix: use the record as written", where,
                   what);
}

/* Member key of object as an array; the text "where/key" goes to place. */
static ib_status array_of(const json_t *object, const char *key, const char *where,
                          const json_t **out, ib_error *err) {
    *out = json_object_get(object, key);
    if (json_is_array(*out))
        return IB_OK;
    return ib_fail(err, IB_E_FORMAT,
                   "bad value in %s/%s: expected an array; fix: use the record as written", where,
                   key);
}

static ib_status read_ids(const json_t *object, const char *key, const char *where, uint32_t **out,
                          uint64_t *n, ib_error *err) {
    const json_t *a;
    IB_TRY(array_of(object, key, where, &a, err));
    size_t count = json_array_size(a);
    uint32_t *ids = calloc(count ? count : 1, sizeof *ids);
    if (!ids)
        return ib_fail_memory(err, count * sizeof *ids, "token ids");
    *out = ids;
    *n = count;
    for (size_t i = 0; i < count; i++) {
        const json_t *v = json_array_get(a, i);
        json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || id > UINT32_MAX)
            return ib_fail(err, IB_E_FORMAT,
                           "bad token id in %s/%s/%zu: expected an integer from 0 to 4294967295; "
                           "fix: use the record as written",
                           where, key, i);
        ids[i] = (uint32_t)id;
    }
    return IB_OK;
}

static ib_status read_stamps(ib_run_record *r, const json_t *o, const char *where, ib_error *err) {
    const json_t *a;
    IB_TRY(array_of(o, "stamps_ns", where, &a, err));
    size_t n = json_array_size(a);
    if (n == 0 || r->n_tokens != n - 1)
        return bad(err, where, "stamps_ns must hold one stamp more than there are tokens");
    r->stamps_ns = calloc(n, sizeof *r->stamps_ns);
    if (!r->stamps_ns)
        return ib_fail_memory(err, n * sizeof *r->stamps_ns, "time stamps");
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(a, i);
        json_int_t ns = json_integer_value(v);
        if (!json_is_integer(v) || ns < 0)
            return bad(err, where, "stamps_ns must be integers of at least 0");
        r->stamps_ns[i] = (uint64_t)ns;
        if (i && r->stamps_ns[i] < r->stamps_ns[i - 1])
            return bad(err, where, "stamps_ns run backwards");
    }
    if (r->prefill_done_ns && r->prefill_done_ns < r->stamps_ns[0])
        return bad(err, where, "prefill_done_ns lies before the request");
    return IB_OK;
}

/* Absent in older records. */
static ib_status read_fingerprint(ib_run_record *r, const json_t *o, const char *where,
                                  ib_error *err) {
    ib_str hash;
    const json_t *top = json_object_get(o, "logits_top");
    IB_TRY(ib_json_get_str(o, "logits_sha256", &hash, where, err));
    if (hash.len && hash.len != sizeof r->logits_sha256 - 1)
        return bad(err, where, "logits_sha256 must have 64 digits");
    if (hash.len)
        memcpy(r->logits_sha256, hash.ptr, hash.len);
    for (size_t i = 0; i < json_array_size(top); i++) {
        const json_t *pair = json_array_get(top, i), *id = json_array_get(pair, 0),
                     *value = json_array_get(pair, 1);
        if (i == IB_RECORD_MAX_TOP || !json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > UINT32_MAX || !json_is_number(value))
            return bad(err, where, "logits_top must hold at most 8 pairs of id and logit");
        r->top[r->n_top++] =
            (ib_logit){(uint32_t)json_integer_value(id), (float)json_number_value(value)};
    }
    return IB_OK;
}

static ib_status read_run(ib_run_record *r, const json_t *o, const char *where, ib_error *err) {
    ib_str hash;
    uint64_t n_ids = 0, expected;
    IB_TRY(ib_fields_read(&ib_fields_run, r, o, where, err));
    IB_TRY(read_stamps(r, o, where, err));
    if (r->n_seqs == 0 || !ib_mul_u64(r->n_tokens, r->n_seqs, &expected))
        return bad(err, where, "n_seqs must be at least 1");
    IB_TRY(read_ids(o, "output_ids", where, &r->output_ids, &n_ids, err));
    if (n_ids != expected)
        return bad(err, where, "output_ids must hold n_tokens * n_seqs ids");
    IB_TRY(ib_json_get_str(o, "ids_sha256", &hash, where, err));
    ib_run_record_hash(r);
    if (!ib_str_is(hash, r->ids_sha256))
        return bad(err, where, "ids_sha256 is not the hash of output_ids");
    return read_fingerprint(r, o, where, err);
}

static ib_status read_text(const json_t *o, const char *key, const char *where, char **out,
                           size_t *n, ib_error *err) {
    ib_str s;
    IB_TRY(ib_json_get_str(o, key, &s, where, err));
    if (!s.ptr)
        return IB_OK;
    *out = ib_strndup(s.ptr, s.len);
    *n = s.len;
    return *out ? IB_OK : ib_fail_memory(err, s.len, "a text of the record");
}

static ib_status read_formats(ib_model_record *m, const json_t *o, const char *where,
                              ib_error *err) {
    const char *key;
    const json_t *formats = json_object_get(o, "bytes_by_format");
    const json_t *step = json_object_get(o, "step_bytes");
    for (void *it = json_object_iter((json_t *)formats); it;
         it = json_object_iter_next((json_t *)formats, it)) {
        const json_t *v = json_object_iter_value(it);
        key = json_object_iter_key(it);
        if (m->n_formats == IB_RECORD_MAX_FORMATS || strlen(key) >= sizeof m->formats[0].type ||
            !json_is_integer(v) || json_integer_value(v) < 0)
            return bad(err, where, "bytes_by_format must map at most 16 short names to sizes");
        ib_format_record *f = &m->formats[m->n_formats++];
        (void)snprintf(f->type, sizeof f->type, "%s", key);
        f->bytes = (uint64_t)json_integer_value(v);
    }
    return step ? ib_fields_read(&ib_fields_step, m, step, where, err) : IB_OK;
}

static ib_status read_load(ib_cell *c, const json_t *o, const char *where, ib_error *err) {
    json_t *load = json_object_get(o, "load_ns");
    for (void *it = json_object_iter(load); it; it = json_object_iter_next(load, it)) {
        const json_t *v = json_object_iter_value(it);
        const char *key = json_object_iter_key(it);
        if (c->n_load == IB_RECORD_MAX_PHASES || strlen(key) >= sizeof c->load[0].name ||
            !json_is_integer(v) || json_integer_value(v) < 0)
            return bad(err, where, "load_ns must map at most 12 short names to times");
        ib_cell_add_phase(c, key, (uint64_t)json_integer_value(v));
    }
    return IB_OK;
}

static ib_status read_runs(ib_cell *c, const json_t *o, const char *where, ib_error *err) {
    const json_t *runs;
    char place[160];
    IB_TRY(array_of(o, "runs", where, &runs, err));
    for (size_t i = 0; i < json_array_size(runs); i++) {
        ib_run_record *run;
        (void)snprintf(place, sizeof place, "%s/runs/%zu", where, i);
        IB_TRY(ib_cell_add_run(c, &run, err));
        run->n_seqs = 1;
        IB_TRY(read_run(run, json_array_get(runs, i), place, err));
    }
    return IB_OK;
}

static json_t *object_or_null(const json_t *o, const char *key) {
    json_t *v = json_object_get(o, key);
    return json_is_object(v) ? json_incref(v) : NULL;
}

ib_status ib_record_process_from_json(ib_cell *to, const json_t *json, const char *where,
                                      ib_error *err) {
    ib_process_record *p;
    IB_TRY(ib_cell_add_process(to, &p, err));
    IB_TRY(ib_fields_read(&ib_fields_process, p, json, where, err));
    p->before = object_or_null(json, "before");
    p->after = object_or_null(json, "after");
    return IB_OK;
}

/* Absent in older records. */
static ib_status read_processes(ib_cell *c, const json_t *o, const char *where, ib_error *err) {
    const json_t *list = json_object_get(o, "processes");
    for (size_t i = 0; i < json_array_size(list); i++)
        IB_TRY(ib_record_process_from_json(c, json_array_get(list, i), where, err));
    return IB_OK;
}

static ib_status read_short(const json_t *o, const char *key, const char *where, char *out,
                            size_t size, ib_error *err) {
    ib_str s;
    IB_TRY(ib_json_get_str(o, key, &s, where, err));
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,_-";
    bool good = s.ptr && s.len && s.len < size; /* reports print these names as they are */
    for (size_t i = 0; good && i < s.len; i++)
        good = s.ptr[i] && strchr(plain, s.ptr[i]);
    if (!good)
        return bad(err, where, "phase and op of a profile must be short names of plain letters");
    memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
    return IB_OK;
}

static ib_status read_profile(ib_profile_record *p, const json_t *o, const char *where,
                              ib_error *err) {
    const json_t *ops;
    if (!o) /* absent in older records */
        return IB_OK;
    IB_TRY(ib_fields_read(&ib_fields_profile, p, o, where, err));
    IB_TRY(array_of(o, "ops", where, &ops, err));
    if (json_array_size(ops) > IB_RECORD_MAX_OPS)
        return bad(err, where, "a profile must hold at most 80 operations");
    for (size_t i = 0; i < json_array_size(ops); i++) {
        ib_op_record *r = &p->ops[p->n_ops++];
        const json_t *op = json_array_get(ops, i);
        if (!json_is_object(op))
            return bad(err, where, "an operation of a profile must be an object");
        IB_TRY(read_short(op, "phase", where, r->phase, sizeof r->phase, err));
        IB_TRY(read_short(op, "op", where, r->op, sizeof r->op, err));
        IB_TRY(ib_fields_read(&ib_fields_op, r, op, where, err));
    }
    return IB_OK;
}

static ib_status read_cell(ib_cell *c, const json_t *o, const char *where, ib_error *err) {
    ib_str hash;
    int64_t number = 0;
    if (!json_is_object(o))
        return bad(err, where, "a cell must be an object");
    IB_TRY(ib_fields_read(&ib_fields_asked, &c->asked, json_object_get(o, "asked"), where, err));
    IB_TRY(ib_fields_read(&ib_fields_resolved, &c->resolved, json_object_get(o, "resolved"), where,
                          err));
    const json_t *model = json_object_get(o, "model");
    IB_TRY(ib_fields_read(&ib_fields_model, &c->model, model, where, err));
    IB_TRY(read_formats(&c->model, model, where, err));
    const json_t *files = json_object_get(model, "files");
    if (json_is_object(files))
        c->model.files = json_incref((json_t *)files);
    IB_TRY(ib_fields_read(&ib_fields_memory, &c->memory, json_object_get(o, "memory"), where, err));
    const json_t *probe = json_object_get(o, "probe"); /* absent in older records */
    if (probe)
        IB_TRY(ib_fields_read(&ib_fields_probe, &c->probe, probe, where, err));
    const json_t *energy = json_object_get(o, "energy"); /* likewise */
    if (energy)
        IB_TRY(ib_fields_read(&ib_fields_energy, &c->energy, energy, where, err));
    const json_t *device_clock = json_object_get(o, "device_clock"); /* likewise */
    if (device_clock)
        IB_TRY(ib_fields_read(&ib_fields_device_clock, &c->device_clock, device_clock, where, err));
    const json_t *loaded = json_object_get(o, "loaded"); /* likewise */
    if (loaded)
        IB_TRY(ib_fields_read(&ib_fields_load, &c->loaded, loaded, where, err));
    IB_TRY(read_profile(&c->profile, json_object_get(o, "profile"), where, err));
    IB_TRY(ib_json_get_i64(o, "depth_ns", 0, 0, INT64_MAX, &number, where, err));
    c->depth_ns = (uint64_t)number;
    IB_TRY(read_load(c, o, where, err));
    const json_t *generation = json_object_get(o, "generation");
    if (json_is_object(generation))
        c->generation = json_incref((json_t *)generation);
    IB_TRY(ib_json_get_i64(o, "clock_cost_ns", 0, 0, INT64_MAX, &number, where, err));
    c->clock_cost_ns = (uint64_t)number;
    IB_TRY(ib_json_get_i64(o, "n_special_in_text", 0, 0, INT64_MAX, &number, where, err));
    c->n_special_in_text = (uint64_t)number;
    IB_TRY(ib_json_get_str(o, "template_sha256", &hash, where, err));
    if (hash.len >= sizeof c->template_sha256)
        return bad(err, where, "template_sha256 is too long");
    if (hash.len)
        memcpy(c->template_sha256, hash.ptr, hash.len);
    IB_TRY(read_ids(o, "prompt_ids", where, &c->prompt_ids, &c->n_prompt_ids, err));
    IB_TRY(read_text(o, "prompt_text", where, &c->prompt_text, &c->n_prompt_text, err));
    IB_TRY(read_text(o, "output_text", where, &c->output_text, &c->n_output_text, err));
    c->stopping = object_or_null(o, "stopping");
    IB_TRY(read_processes(c, o, where, err));
    return read_runs(c, o, where, err);
}

ib_status ib_record_cell_from_json(ib_cell *out, const json_t *json, const char *where,
                                   ib_error *err) {
    return read_cell(out, json, where, err);
}

ib_status ib_record_run_from_json(ib_cell *to, const json_t *json, const char *where,
                                  ib_error *err) {
    ib_run_record *run;
    if (!json_is_object(json))
        return bad(err, where, "a run must be an object");
    IB_TRY(ib_cell_add_run(to, &run, err));
    run->n_seqs = 1;
    return read_run(run, json, where, err);
}

static ib_status read_version(const json_t *json, const char *where, ib_error *err) {
    ib_str version;
    char quoted[IB_QUOTED];
    IB_TRY(ib_json_get_str(json, "schema_version", &version, where, err));
    if (!version.ptr)
        return bad(err, where, "no schema_version: this is not a record");
    if (!ib_str_starts(version, "1."))
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "record of schema version %s in %s: this program reads version 1; fix: use "
                       "the program that wrote it",
                       ib_quote(version, quoted), where);
    return IB_OK;
}

static ib_status read_name(char **out, const json_t *object, const char *key, const char *where,
                           ib_error *err) {
    size_t n;
    return read_text(object, key, where, out, &n, err);
}

static ib_status read_record(ib_record *r, const json_t *json, const char *where, ib_error *err) {
    const json_t *cells;
    char place[128];
    if (!json_is_object(json))
        return bad(err, where, "expected an object");
    IB_TRY(read_version(json, where, err));
    const json_t *tool = json_object_get(json, "tool");
    if (json_is_object(tool)) {
        IB_TRY(read_name(&r->tool_version, tool, "version", where, err));
        IB_TRY(read_name(&r->tool_commit, tool, "commit", where, err));
        IB_TRY(read_name(&r->compiler, tool, "compiler", where, err));
    }
    IB_TRY(read_name(&r->command, json, "command", where, err));
    IB_TRY(read_name(&r->started_utc, json, "started_utc", where, err));
    const json_t *environment = json_object_get(json, "environment");
    if (json_is_object(environment))
        r->environment = json_incref((json_t *)environment);
    IB_TRY(array_of(json, "cells", where, &cells, err));
    for (size_t i = 0; i < json_array_size(cells); i++) {
        ib_cell *cell;
        (void)snprintf(place, sizeof place, "%s at /cells/%zu", where, i);
        IB_TRY(ib_record_add_cell(r, &cell, err));
        IB_TRY(read_cell(cell, json_array_get(cells, i), place, err));
    }
    return IB_OK;
}

ib_status ib_record_from_json(ib_record *out, const json_t *json, const char *where,
                              ib_error *err) {
    char quoted[IB_QUOTED];
    *out = (ib_record){0};
    ib_status st = read_record(out, json, ib_quotez(where, quoted), err);
    if (st != IB_OK)
        ib_record_clear(out);
    return st;
}
