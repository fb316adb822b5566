/* SPDX-License-Identifier: MIT
 * See values.h. */
#include "report/values.h"

#include "record/merge.h"
#include "report/writers.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

void ib_values_begin(ib_values *v, ib_error *err) {
    *v = (ib_values){.object = json_object(), .err = err};
    if (!v->object)
        v->status = ib_fail_memory(err, 0, "the report's JSON");
}

ib_status ib_values_end(ib_values *v, json_t *array) {
    if (v->status == IB_OK && json_array_append(array, v->object) != 0)
        v->status = ib_fail_memory(v->err, 0, "the report's JSON");
    json_decref(v->object);
    v->object = NULL;
    return v->status;
}

void ib_values_json(ib_values *v, const char *key, json_t *value) {
    if (v->status != IB_OK)
        json_decref(value);
    else if (!value || json_object_set_new(v->object, key, value) != 0)
        v->status = ib_fail_memory(v->err, 0, "the report's JSON");
}

void ib_values_text(ib_values *v, const char *key, const char *text) {
    ib_buf clean;
    if (v->status != IB_OK)
        return;
    ib_buf_init(&clean);
    v->status = ib_record_utf8(ib_str_of(text ? text : ""), &clean, v->err);
    if (v->status == IB_OK)
        ib_values_json(v, key, json_stringn(clean.len ? clean.ptr : "", clean.len));
    ib_buf_clear(&clean);
}

void ib_values_count(ib_values *v, const char *key, uint64_t n) {
    ib_values_json(v, key, json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n));
}

void ib_values_flag(ib_values *v, const char *key, bool on) {
    ib_values_json(v, key, json_boolean(on));
}

void ib_values_number(ib_values *v, const char *key, double x) {
    ib_values_json(v, key, isfinite(x) ? json_real(x) : json_null());
}

void ib_values_array(ib_values *v, const char *key, const double *x, size_t n) {
    json_t *a = json_array();
    for (size_t i = 0; a && i < n; i++)
        if (json_array_append_new(a, json_real(x[i])) != 0) {
            json_decref(a);
            a = NULL;
        }
    ib_values_json(v, key, a);
}

ib_status ib_values_print(json_t *array, bool alone, ib_buf *out, ib_error *err) {
    const json_t *what = alone && json_array_size(array) == 1 ? json_array_get(array, 0) : array;
    IB_TRY(ib_json_dump(what, JSON_INDENT(2) | JSON_ENSURE_ASCII, out, err));
    return ib_buf_addc(out, '\n', err);
}

void ib_values_run_seconds(const ib_samples *s, double *out) {
    for (size_t i = 0; i < s->n_runs; i++) {
        const ib_run_record *r = s->runs[i];
        out[i] = (double)(r->stamps_ns[r->n_tokens] - r->stamps_ns[0]) / 1e9;
    }
}

ib_status ib_values_model_type(const ib_model_record *m, ib_buf *out, ib_error *err) {
    static const struct {
        double unit;
        const char *suffix;
    } sizes[] = {{1e9, "B"}, {1e6, "M"}, {1, ""}};
    uint64_t total = 0;
    ib_number n;
    size_t i = 0;
    while (i < 2 && (double)m->n_params < sizes[i].unit)
        i++;
    for (size_t k = 0; k < m->n_formats; k++)
        total += m->formats[k].bytes;
    IB_TRY(ib_report_name(m->family ? m->family : "model", out, err));
    IB_TRY(ib_buf_addf(out, err, " %s%s",
                       ib_report_number((double)m->n_params / sizes[i].unit, i < 2 ? 1 : 0, &n),
                       sizes[i].suffix));
    const char *between = " ";
    for (size_t k = 0; k < m->n_formats; k++) {
        if (m->formats[k].bytes < total / 10)
            continue;
        IB_TRY(ib_buf_adds(out, between, err));
        IB_TRY(ib_report_name(m->formats[k].type, out, err));
        between = "+";
    }
    return m->synthetic ? ib_buf_adds(out, " (synthetic)", err) : IB_OK;
}

static const char *text_in(const json_t *o, const char *key) {
    return json_string_value(json_object_get(o, key));
}

ib_origin ib_values_origin(const ib_record *r, size_t cell) {
    const json_t *one = ib_record_origin(r, cell);
    if (!one)
        return (ib_origin){.commit = r->tool_commit,
                           .version = r->tool_version,
                           .started_utc = r->started_utc,
                           .cpu_model = text_in(json_object_get(r->environment, "cpu"), "model"),
                           .command = r->n_cells == 1 ? r->command : NULL};
    const json_t *tool = json_object_get(one, "tool");
    const json_t *cpu = json_object_get(json_object_get(one, "environment"), "cpu");
    return (ib_origin){
        .commit = text_in(tool, "commit"),
        .version = text_in(tool, "version"),
        .started_utc = text_in(one, "started_utc"),
        .cpu_model = text_in(cpu, "model"),
        .command = json_integer_value(json_object_get(one, "n_cells")) == 1
                       ? text_in(one, "command")
                       : NULL,
    };
}
