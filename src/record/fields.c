/* SPDX-License-Identifier: MIT
 * See fields.h. To add a fact to the record: a member in record.h and a row here. */
#include "record/fields.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROW(type, member, kind)                                                                    \
    { #member, IB_FIELD_##kind, offsetof(type, member) }
#define NAMED(type, key, member, kind)                                                             \
    { key, IB_FIELD_##kind, offsetof(type, member) }
#define TABLE(rows)                                                                                \
    { rows, sizeof(rows) / sizeof *(rows) }

static const ib_field asked_rows[] = {
    ROW(ib_asked, model_id, STR),
    ROW(ib_asked, revision, STR),
    ROW(ib_asked, device, STR),
    ROW(ib_asked, attn, STR),
    ROW(ib_asked, dtype, STR),
    ROW(ib_asked, compute, STR),
    ROW(ib_asked, cpu_tier, STR),
    ROW(ib_asked, quant, STR),
    ROW(ib_asked, max_new_tokens, U64),
    ROW(ib_asked, n_prompt, U64),
    ROW(ib_asked, n_depth, U64),
    ROW(ib_asked, n_batch, U64),
    ROW(ib_asked, n_repetitions, U64),
    ROW(ib_asked, n_warmup, U64),
    ROW(ib_asked, n_processes, U64),
    ROW(ib_asked, seed, U64),
    NAMED(ib_asked, "threads", n_threads, I64),
    ROW(ib_asked, ignore_eos, BOOL),
    ROW(ib_asked, chat_template, BOOL),
    ROW(ib_asked, peak_gbps, F64_OPT),
    ROW(ib_asked, load_mode, STR),
    ROW(ib_asked, pin, STR),
};

static const ib_field resolved_rows[] = {
    ROW(ib_resolved, device, STR),
    ROW(ib_resolved, device_name, STR),
    ROW(ib_resolved, driver, STR),
    NAMED(ib_resolved, "attention", attn, STR),
    ROW(ib_resolved, dtype, STR),
    ROW(ib_resolved, activation_dtype, STR),
    ROW(ib_resolved, kv_dtype, STR),
    ROW(ib_resolved, compute, STR),
    ROW(ib_resolved, tier, STR),
    ROW(ib_resolved, features, STR),
    NAMED(ib_resolved, "threads", n_threads, I64),
    ROW(ib_resolved, pin, STR),
};

static const ib_field model_rows[] = {
    ROW(ib_model_record, path, STR),
    ROW(ib_model_record, repo_id, STR),
    ROW(ib_model_record, revision, STR),
    ROW(ib_model_record, family, STR),
    ROW(ib_model_record, name, STR),
    ROW(ib_model_record, fingerprint, STR),
    ROW(ib_model_record, synthetic, BOOL),
    ROW(ib_model_record, n_params, U64),
    ROW(ib_model_record, file_bytes, U64),
    ROW(ib_model_record, weight_bytes, U64),
    ROW(ib_model_record, n_layers, U64),
    ROW(ib_model_record, d_model, U64),
    ROW(ib_model_record, n_vocab, U64),
    ROW(ib_model_record, n_ctx_max, U64),
    ROW(ib_model_record, prefill_flops, F64_OPT),
    ROW(ib_model_record, step_flops, F64_OPT),
};

static const ib_field step_rows[] = {
    NAMED(ib_model_record, "weights", step_weights, U64),
    NAMED(ib_model_record, "scales", step_scales, U64),
    NAMED(ib_model_record, "head", step_head, U64),
    NAMED(ib_model_record, "kv", step_kv, U64),
    NAMED(ib_model_record, "total", step_total, U64),
};

static const ib_field memory_rows[] = {
    NAMED(ib_memory_record, "weights_bytes", weights, U64),
    NAMED(ib_memory_record, "weights_mapped_bytes", weights_mapped, U64),
    NAMED(ib_memory_record, "kv_bytes", kv, U64),
    NAMED(ib_memory_record, "scratch_bytes", scratch, U64),
    NAMED(ib_memory_record, "io_bytes", io, U64),
    NAMED(ib_memory_record, "peak_total_bytes", peak_total, U64),
    NAMED(ib_memory_record, "vm_hwm_bytes", vm_hwm, U64_OPT),
    NAMED(ib_memory_record, "driver_peak_bytes", driver_peak, U64_OPT),
};

static const ib_field device_clock_rows[] = {
    ROW(ib_device_clock, n_steps, U64_OPT),        ROW(ib_device_clock, step_ns, U64_OPT),
    ROW(ib_device_clock, queue_ns, U64_OPT),       ROW(ib_device_clock, n_kernels_built, U64_OPT),
    ROW(ib_device_clock, n_kernels_kept, U64_OPT),
};
static const ib_field probe_rows[] = {
    ROW(ib_probe_record, done, BOOL),
    ROW(ib_probe_record, ping_before_ns, F64_OPT),
    ROW(ib_probe_record, ping_after_ns, F64_OPT),
    ROW(ib_probe_record, read_gbps, F64_OPT),
    ROW(ib_probe_record, read_gbps_median, F64_OPT),
    ROW(ib_probe_record, read_bytes, U64_OPT),
    ROW(ib_probe_record, n_passes, U64_OPT),
    ROW(ib_probe_record, read_weights, BOOL),
    ROW(ib_probe_record, flops, F64_OPT),
    ROW(ib_probe_record, flops_median, F64_OPT),
    ROW(ib_probe_record, flops_float32, F64_OPT),
};

static const ib_field load_rows[] = {
    ROW(ib_load_record, mode, STR),
    ROW(ib_load_record, file_bytes, U64),
    ROW(ib_load_record, cached_bytes, U64),
    ROW(ib_load_record, huge_bytes, U64),
};

static const ib_field profile_rows[] = {
    ROW(ib_profile_record, done, BOOL),
    ROW(ib_profile_record, n_past, U64_OPT),
    ROW(ib_profile_record, n_steps, U64_OPT),
    ROW(ib_profile_record, plain_prefill_ns, U64_OPT),
    ROW(ib_profile_record, plain_decode_ns, U64_OPT),
    ROW(ib_profile_record, prefill_ns, U64_OPT),
    ROW(ib_profile_record, decode_ns, U64_OPT),
    ROW(ib_profile_record, sync_ns, F64_OPT),
    ROW(ib_profile_record, n_dispatches, U64_OPT),
    ROW(ib_profile_record, dispatch_ns, F64_OPT),
};

static const ib_field op_rows[] = {
    ROW(ib_op_record, calls, U64),
    ROW(ib_op_record, ns, U64),
    ROW(ib_op_record, bytes, U64),
    ROW(ib_op_record, flops, F64_OPT),
};

static const ib_field run_rows[] = {
    ROW(ib_run_record, warmup, BOOL),
    ROW(ib_run_record, n_tokens, U64),
    ROW(ib_run_record, n_seqs, U64),
    ROW(ib_run_record, prefill_done_ns, U64_OPT),
    ROW(ib_run_record, render_ns, U64),
    ROW(ib_run_record, tokenize_ns, U64),
    ROW(ib_run_record, detokenize_ns, U64),
    ROW(ib_run_record, decode_call_ns, U64_OPT),
    ROW(ib_run_record, pick_call_ns, U64_OPT),
    ROW(ib_run_record, finite, BOOL),
    ROW(ib_run_record, stopped_by_eos, BOOL),
    ROW(ib_run_record, cancelled, BOOL),
    ROW(ib_run_record, ring_overflows, U64),
    ROW(ib_run_record, major_faults, U64),
    ROW(ib_run_record, minor_faults, U64),
    ROW(ib_run_record, involuntary_switches, U64),
    ROW(ib_run_record, voluntary_switches, U64),
    ROW(ib_run_record, window_ns, U64),
    ROW(ib_run_record, steal_ns, U64),
    ROW(ib_run_record, throttled_periods, U64),
    ROW(ib_run_record, pressure_cpu_ns, U64),
    ROW(ib_run_record, suspended_ns, U64),
    ROW(ib_run_record, process, U64),
    ROW(ib_run_record, stops, U64),
    ROW(ib_run_record, swap_ins, U64),
    ROW(ib_run_record, thermal_events, U64),
    ROW(ib_run_record, energy_uj, U64_OPT),
    ROW(ib_run_record, energy_ns, U64_OPT),
    ROW(ib_run_record, cpu_ns, U64_OPT),
    ROW(ib_run_record, foreign_cpu_ns, U64_OPT),
    ROW(ib_run_record, cpus_changed, BOOL),
    ROW(ib_run_record, spin_before_ns, F64_OPT),
    ROW(ib_run_record, spin_after_ns, F64_OPT),
    ROW(ib_run_record, mapped_bytes, U64_OPT),
    ROW(ib_run_record, resident_bytes, U64),
};

static const ib_field energy_rows[] = {
    ROW(ib_energy_record, source, STR),         ROW(ib_energy_record, why_not, STR),
    ROW(ib_energy_record, idle_w, F64_OPT),     ROW(ib_energy_record, prefill_uj, U64_OPT),
    ROW(ib_energy_record, prefill_ns, U64_OPT),
};

static const ib_field process_rows[] = {
    ROW(ib_process_record, started_utc, STR),
    ROW(ib_process_record, env_padding, U64),
    ROW(ib_process_record, heap_offset, U64),
};

const ib_fields ib_fields_asked = TABLE(asked_rows);
const ib_fields ib_fields_resolved = TABLE(resolved_rows);
const ib_fields ib_fields_model = TABLE(model_rows);
const ib_fields ib_fields_step = TABLE(step_rows);
const ib_fields ib_fields_memory = TABLE(memory_rows);
const ib_fields ib_fields_probe = TABLE(probe_rows);
const ib_fields ib_fields_device_clock = TABLE(device_clock_rows);
const ib_fields ib_fields_load = TABLE(load_rows);
const ib_fields ib_fields_profile = TABLE(profile_rows);
const ib_fields ib_fields_op = TABLE(op_rows);
const ib_fields ib_fields_run = TABLE(run_rows);
const ib_fields ib_fields_energy = TABLE(energy_rows);
const ib_fields ib_fields_process = TABLE(process_rows);

ib_status ib_fields_set(json_t *object, const char *key, json_t *value, ib_error *err) {
    if (!value || json_object_set_new(object, key, value) != 0)
        return ib_fail_memory(err, 0, "the record's JSON");
    return IB_OK;
}

ib_status ib_fields_set_text(json_t *object, const char *key, const char *text, size_t len,
                             ib_error *err) {
    ib_buf clean;
    if (!text)
        return ib_fields_set(object, key, json_null(), err);
    ib_buf_init(&clean);
    ib_status st = ib_record_utf8((ib_str){text, len}, &clean, err);
    if (st == IB_OK)
        st = ib_fields_set(object, key, json_stringn(clean.len ? clean.ptr : "", clean.len), err);
    ib_buf_clear(&clean);
    return st;
}

static json_t *u64_json(uint64_t v) {
    char text[24];
    if (v <= INT64_MAX)
        return json_integer((json_int_t)v);
    (void)snprintf(text, sizeof text, "%" PRIu64, v);
    return json_string(text);
}

static json_t *f64_json(double v) {
    return v > 0 && isfinite(v) ? json_real(v) : json_null();
}

ib_status ib_fields_write(const ib_fields *f, const void *base, json_t *object, ib_error *err) {
    for (size_t i = 0; i < f->n; i++) {
        const ib_field *row = &f->rows[i];
        const void *at = (const char *)base + row->offset;
        uint64_t u = 0;
        const char *text;
        ib_status st = IB_OK;
        switch (row->kind) {
        case IB_FIELD_STR:
            text = *(char *const *)at;
            st = ib_fields_set_text(object, row->key, text, text ? strlen(text) : 0, err);
            break;
        case IB_FIELD_U64:
        case IB_FIELD_U64_OPT:
            u = *(const uint64_t *)at;
            st = ib_fields_set(object, row->key,
                               u == 0 && row->kind == IB_FIELD_U64_OPT ? json_null() : u64_json(u),
                               err);
            break;
        case IB_FIELD_I64:
            st = ib_fields_set(object, row->key, json_integer(*(const int64_t *)at), err);
            break;
        case IB_FIELD_F64_OPT:
            st = ib_fields_set(object, row->key, f64_json(*(const double *)at), err);
            break;
        case IB_FIELD_BOOL:
            st = ib_fields_set(object, row->key, json_boolean(*(const bool *)at), err);
            break;
        }
        IB_TRY(st);
    }
    return IB_OK;
}

static ib_status read_str(char **at, const json_t *object, const char *key, const char *where,
                          ib_error *err) {
    ib_str s;
    IB_TRY(ib_json_get_str(object, key, &s, where, err));
    if (!s.ptr)
        return IB_OK;
    if (memchr(s.ptr, '\0', s.len))
        return ib_fail(err, IB_E_FORMAT,
                       "zero byte in %s/%s: not allowed in a name; fix: use the record as written",
                       where, key);
    free(*at);
    *at = ib_strndup(s.ptr, s.len);
    return *at ? IB_OK : ib_fail_memory(err, s.len, "a name of the record");
}

static ib_status read_u64(uint64_t *at, const json_t *object, const char *key, const char *where,
                          ib_error *err) {
    const json_t *v = json_object_get(object, key);
    int64_t small = 0;
    if (json_is_string(v) &&
        ib_parse_u64((ib_str){json_string_value(v), json_string_length(v)}, at))
        return IB_OK;
    IB_TRY(ib_json_get_i64(object, key, 0, 0, INT64_MAX, &small, where, err));
    *at = (uint64_t)small;
    return IB_OK;
}

static ib_status read_f64(double *at, const json_t *object, const char *key, const char *where,
                          ib_error *err) {
    IB_TRY(ib_json_get_double(object, key, 0, at, where, err));
    if (*at >= 0 && isfinite(*at))
        return IB_OK;
    return ib_fail(err, IB_E_FORMAT,
                   "bad value in %s/%s: expected a number of at least 0; fix: use the record as "
                   "written",
                   where, key);
}

ib_status ib_fields_read(const ib_fields *f, void *base, const json_t *object, const char *where,
                         ib_error *err) {
    if (!json_is_object(object))
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s: expected an object; fix: use the record as written",
                       where);
    for (size_t i = 0; i < f->n; i++) {
        const ib_field *row = &f->rows[i];
        void *at = (char *)base + row->offset;
        switch (row->kind) {
        case IB_FIELD_STR:
            IB_TRY(read_str(at, object, row->key, where, err));
            break;
        case IB_FIELD_U64:
        case IB_FIELD_U64_OPT:
            IB_TRY(read_u64(at, object, row->key, where, err));
            break;
        case IB_FIELD_I64:
            IB_TRY(ib_json_get_i64(object, row->key, 0, INT64_MIN, INT64_MAX, at, where, err));
            break;
        case IB_FIELD_F64_OPT:
            IB_TRY(read_f64(at, object, row->key, where, err));
            break;
        case IB_FIELD_BOOL:
            IB_TRY(ib_json_get_bool(object, row->key, false, at, where, err));
            break;
        }
    }
    return IB_OK;
}

ib_status ib_fields_copy(const ib_fields *f, void *to, const void *from, ib_error *err) {
    ib_fields_clear(f, to);
    for (size_t i = 0; i < f->n; i++) {
        const ib_field *row = &f->rows[i];
        const void *source = (const char *)from + row->offset;
        void *target = (char *)to + row->offset;
        if (row->kind == IB_FIELD_STR) {
            const char *text = *(char *const *)source;
            char *copy = text ? ib_strdup(text) : NULL;
            if (text && !copy)
                return ib_fail_memory(err, strlen(text), "a name of the record");
            *(char **)target = copy;
        } else if (row->kind == IB_FIELD_BOOL) {
            *(bool *)target = *(const bool *)source;
        } else {
            memcpy(target, source, sizeof(uint64_t));
        }
    }
    return IB_OK;
}

void ib_fields_clear(const ib_fields *f, void *base) {
    for (size_t i = 0; i < f->n; i++) {
        void *at = (char *)base + f->rows[i].offset;
        if (f->rows[i].kind != IB_FIELD_STR)
            continue;
        free(*(char **)at);
        *(char **)at = NULL;
    }
}
