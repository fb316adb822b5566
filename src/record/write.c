/* SPDX-License-Identifier: MIT
 * Record -> JSON (docs/record.schema.json). Everything that ib_record_from_json needs is written
 * raw; what can be computed (hash of the prompt, summary, first_run) stands beside it for readers
 * and is computed again when a report is made. */
#include "record/fields.h"
#include "record/summary_json.h"

#include <string.h>

/* One more owner of a value that nobody changes. jansson's copies are no choice here: they drop
 * members without a word when memory runs out. */
static json_t *share(const json_t *value) {
    return json_incref((json_t *)value);
}

/* object[key] = value, and a borrowed pointer to it: made and handed over in one step. */
static ib_status child(json_t *object, const char *key, json_t *value, json_t **out,
                       ib_error *err) {
    *out = value;
    return ib_fields_set(object, key, value, err);
}

static ib_status ids_json(json_t *object, const char *key, const uint32_t *ids, uint64_t n,
                          ib_error *err) {
    json_t *a;
    IB_TRY(child(object, key, json_array(), &a, err));
    for (uint64_t i = 0; i < n; i++)
        if (json_array_append_new(a, json_integer((json_int_t)ids[i])) != 0)
            return ib_fail_memory(err, 0, "the record's JSON");
    return IB_OK;
}

/* [[id, logit], ...], the largest first. */
static ib_status fingerprint_json(const ib_run_record *r, json_t *o, ib_error *err) {
    json_t *top;
    const size_t n = strlen(r->logits_sha256);
    IB_TRY(ib_fields_set_text(o, "logits_sha256", n ? r->logits_sha256 : NULL, n, err));
    IB_TRY(child(o, "logits_top", json_array(), &top, err));
    for (size_t i = 0; i < r->n_top; i++)
        if (json_array_append_new(
                top, json_pack("[If]", (json_int_t)r->top[i].id, (double)r->top[i].value)) != 0)
            return ib_fail_memory(err, 0, "the record's JSON");
    return IB_OK;
}

static ib_status run_json(const ib_run_record *r, bool first, json_t *o, ib_error *err) {
    json_t *stamps;
    IB_TRY(ib_fields_write(&ib_fields_run, r, o, err));
    IB_TRY(ib_fields_set(o, "first_run", json_boolean(first), err));
    IB_TRY(child(o, "stamps_ns", json_array(), &stamps, err));
    for (uint64_t i = 0; r->stamps_ns && i <= r->n_tokens; i++)
        if (json_array_append_new(stamps, json_integer((json_int_t)r->stamps_ns[i])) != 0)
            return ib_fail_memory(err, 0, "the record's JSON");
    IB_TRY(ids_json(o, "output_ids", r->output_ids, r->n_tokens * r->n_seqs, err));
    IB_TRY(ib_fields_set_text(o, "ids_sha256", r->ids_sha256, strlen(r->ids_sha256), err));
    return fingerprint_json(r, o, err);
}

static ib_status model_json(const ib_model_record *m, json_t *o, ib_error *err) {
    json_t *formats, *step;
    IB_TRY(ib_fields_write(&ib_fields_model, m, o, err));
    if (m->files)
        IB_TRY(ib_fields_set(o, "files", share(m->files), err));
    IB_TRY(child(o, "bytes_by_format", json_object(), &formats, err));
    for (size_t i = 0; i < m->n_formats; i++)
        IB_TRY(ib_fields_set(formats, m->formats[i].type,
                             json_integer((json_int_t)m->formats[i].bytes), err));
    IB_TRY(child(o, "step_bytes", json_object(), &step, err));
    return ib_fields_write(&ib_fields_step, m, step, err);
}

static ib_status load_json(const ib_cell *c, json_t *o, ib_error *err) {
    for (size_t i = 0; i < c->n_load; i++)
        IB_TRY(ib_fields_set(o, c->load[i].name, json_integer((json_int_t)c->load[i].ns), err));
    return IB_OK;
}

static ib_status prompt_json(const ib_cell *c, json_t *o, ib_error *err) {
    char hash[65];
    ib_ids_sha256(c->prompt_ids, (size_t)c->n_prompt_ids, hash);
    IB_TRY(ids_json(o, "prompt_ids", c->prompt_ids, c->n_prompt_ids, err));
    IB_TRY(ib_fields_set_text(o, "prompt_ids_sha256", hash, strlen(hash), err));
    IB_TRY(ib_fields_set_text(o, "template_sha256",
                              c->template_sha256[0] ? c->template_sha256 : NULL,
                              strlen(c->template_sha256), err));
    IB_TRY(
        ib_fields_set(o, "n_special_in_text", json_integer((json_int_t)c->n_special_in_text), err));
    IB_TRY(ib_fields_set_text(o, "prompt_text", c->prompt_text, c->n_prompt_text, err));
    return ib_fields_set_text(o, "output_text", c->output_text, c->n_output_text, err);
}

static ib_status runs_json(const ib_cell *c, json_t *cell, ib_error *err) {
    json_t *runs;
    IB_TRY(child(cell, "runs", json_array(), &runs, err));
    for (size_t i = 0; i < c->n_runs; i++) {
        json_t *run = json_object();
        if (!run || json_array_append_new(runs, run) != 0)
            return ib_fail_memory(err, 0, "the record's JSON");
        const bool first = i == 0 || c->runs[i].process != c->runs[i - 1].process;
        IB_TRY(run_json(&c->runs[i], first, run, err));
    }
    return IB_OK;
}

static ib_status process_json(const ib_process_record *p, json_t *o, ib_error *err) {
    IB_TRY(ib_fields_write(&ib_fields_process, p, o, err));
    IB_TRY(ib_fields_set(o, "before", p->before ? share(p->before) : json_null(), err));
    return ib_fields_set(o, "after", p->after ? share(p->after) : json_null(), err);
}

static ib_status processes_json(const ib_cell *c, json_t *cell, ib_error *err) {
    json_t *list;
    IB_TRY(child(cell, "processes", json_array(), &list, err));
    for (size_t i = 0; i < c->n_processes; i++) {
        json_t *o = json_object();
        if (!o || json_array_append_new(list, o) != 0)
            return ib_fail_memory(err, 0, "the record's JSON");
        IB_TRY(process_json(&c->processes[i], o, err));
    }
    return IB_OK;
}

static ib_status profile_json(const ib_profile_record *p, json_t *o, ib_error *err) {
    json_t *ops;
    IB_TRY(ib_fields_write(&ib_fields_profile, p, o, err));
    IB_TRY(child(o, "ops", json_array(), &ops, err));
    for (size_t i = 0; i < p->n_ops; i++) {
        const ib_op_record *r = &p->ops[i];
        json_t *op = json_object();
        if (!op || json_array_append_new(ops, op) != 0)
            return ib_fail_memory(err, 0, "the record's JSON");
        IB_TRY(ib_fields_set_text(op, "phase", r->phase, strlen(r->phase), err));
        IB_TRY(ib_fields_set_text(op, "op", r->op, strlen(r->op), err));
        IB_TRY(ib_fields_write(&ib_fields_op, r, op, err));
    }
    return IB_OK;
}

static ib_status cell_json(const ib_cell *c, const ib_percentiles *p, json_t *o, ib_error *err) {
    json_t *part;
    IB_TRY(child(o, "asked", json_object(), &part, err));
    IB_TRY(ib_fields_write(&ib_fields_asked, &c->asked, part, err));
    IB_TRY(child(o, "resolved", json_object(), &part, err));
    IB_TRY(ib_fields_write(&ib_fields_resolved, &c->resolved, part, err));
    IB_TRY(child(o, "model", json_object(), &part, err));
    IB_TRY(model_json(&c->model, part, err));
    IB_TRY(ib_fields_set(o, "generation", c->generation ? share(c->generation) : json_null(), err));
    IB_TRY(child(o, "memory", json_object(), &part, err));
    IB_TRY(ib_fields_write(&ib_fields_memory, &c->memory, part, err));
    IB_TRY(child(o, "probe", json_object(), &part, err));
    IB_TRY(ib_fields_write(&ib_fields_probe, &c->probe, part, err));
    IB_TRY(child(o, "energy", json_object(), &part, err));
    IB_TRY(ib_fields_write(&ib_fields_energy, &c->energy, part, err));
    IB_TRY(child(o, "device_clock", json_object(), &part, err));
    IB_TRY(ib_fields_write(&ib_fields_device_clock, &c->device_clock, part, err));
    IB_TRY(child(o, "loaded", json_object(), &part, err));
    IB_TRY(ib_fields_write(&ib_fields_load, &c->loaded, part, err));
    IB_TRY(child(o, "profile", json_object(), &part, err));
    IB_TRY(profile_json(&c->profile, part, err));
    IB_TRY(ib_fields_set(o, "depth_ns", json_integer((json_int_t)c->depth_ns), err));
    IB_TRY(child(o, "load_ns", json_object(), &part, err));
    IB_TRY(load_json(c, part, err));
    IB_TRY(ib_fields_set(
        o, "clock_cost_ns",
        c->clock_cost_ns ? json_integer((json_int_t)c->clock_cost_ns) : json_null(), err));
    IB_TRY(prompt_json(c, o, err));
    IB_TRY(ib_fields_set(o, "stopping", c->stopping ? share(c->stopping) : json_null(), err));
    IB_TRY(processes_json(c, o, err));
    IB_TRY(runs_json(c, o, err));
    IB_TRY(child(o, "summary", json_object(), &part, err));
    return ib_summary_to_json(c, p, part, err);
}

static ib_status head_json(const ib_record *r, json_t *o, ib_error *err) {
    json_t *tool;
    IB_TRY(ib_fields_set(o, "schema_version", json_string(IB_SCHEMA_VERSION), err));
    IB_TRY(child(o, "tool", json_object(), &tool, err));
    IB_TRY(ib_fields_set(tool, "name", json_string("inferbench"), err));
    const char *version = r->tool_version, *commit = r->tool_commit, *compiler = r->compiler;
    IB_TRY(ib_fields_set_text(tool, "version", version, version ? strlen(version) : 0, err));
    IB_TRY(ib_fields_set_text(tool, "commit", commit, commit ? strlen(commit) : 0, err));
    IB_TRY(ib_fields_set_text(tool, "compiler", compiler, compiler ? strlen(compiler) : 0, err));
    const char *command = r->command, *start = r->started_utc;
    IB_TRY(ib_fields_set_text(o, "command", command, command ? strlen(command) : 0, err));
    return ib_fields_set_text(o, "started_utc", start, start ? strlen(start) : 0, err);
}

/* With one cell the top level repeats what it asked for, what ran and its summary; else null. */
static ib_status top_json(json_t *o, const json_t *environment, json_t *cells, ib_error *err) {
    static const char *const repeated[] = {"asked", "resolved", "model", "summary"};
    const json_t *only = json_array_size(cells) == 1 ? json_array_get(cells, 0) : NULL;
    for (size_t i = 0; i < 4; i++) {
        if (i == 2)
            IB_TRY(ib_fields_set(o, "environment", environment ? share(environment) : json_object(),
                                 err));
        IB_TRY(ib_fields_set(o, repeated[i],
                             only ? share(json_object_get(only, repeated[i])) : json_null(), err));
        if (i == 2)
            IB_TRY(ib_fields_set(o, "cells", json_incref(cells), err));
    }
    return IB_OK;
}

typedef struct range {
    size_t begin, end;
} range;

static ib_status record_json(const ib_record *r, range cells_of, const ib_percentiles *p,
                             json_t **out, ib_error *err) {
    json_t *o = json_object(), *cells = json_array();
    ib_status st = o && cells ? head_json(r, o, err) : ib_fail_memory(err, 0, "the record's JSON");
    for (size_t i = cells_of.begin; i < cells_of.end && st == IB_OK; i++) {
        json_t *cell = json_object();
        if (!cell || json_array_append_new(cells, cell) != 0)
            st = ib_fail_memory(err, 0, "the record's JSON");
        else
            st = cell_json(&r->cells[i], p, cell, err);
    }
    if (st == IB_OK)
        st = top_json(o, r->environment, cells, err);
    json_decref(cells);
    if (st != IB_OK) {
        json_decref(o);
        o = NULL;
    }
    *out = o;
    return st;
}

ib_status ib_record_to_json_with(const ib_record *r, const ib_percentiles *p, json_t **out,
                                 ib_error *err) {
    return record_json(r, (range){0, r->n_cells}, p, out, err);
}

ib_status ib_record_to_json(const ib_record *r, json_t **out, ib_error *err) {
    return ib_record_to_json_with(r, NULL, out, err);
}

ib_status ib_record_cell_to_json(const ib_record *r, size_t cell, const ib_percentiles *p,
                                 json_t **out, ib_error *err) {
    return record_json(r, (range){cell, cell + 1}, p, out, err);
}

ib_status ib_record_bare_cell_to_json(const ib_cell *c, json_t **out, ib_error *err) {
    ib_cell bare = *c; /* borrows everything */
    json_t *o = json_object();
    bare.runs = NULL;
    bare.n_runs = 0;
    ib_status st = o ? cell_json(&bare, NULL, o, err) : ib_fail_memory(err, 0, "the record's JSON");
    if (st != IB_OK) {
        json_decref(o);
        o = NULL;
    }
    *out = o;
    return st;
}

ib_status ib_record_run_to_json(const ib_run_record *r, json_t **out, ib_error *err) {
    json_t *o = json_object();
    ib_status st = o ? run_json(r, false, o, err) : ib_fail_memory(err, 0, "the record's JSON");
    if (st != IB_OK) {
        json_decref(o);
        o = NULL;
    }
    *out = o;
    return st;
}

ib_status ib_record_process_to_json(const ib_process_record *p, json_t **out, ib_error *err) {
    json_t *o = json_object();
    ib_status st = o ? process_json(p, o, err) : ib_fail_memory(err, 0, "the record's JSON");
    if (st != IB_OK) {
        json_decref(o);
        o = NULL;
    }
    *out = o;
    return st;
}
