/* SPDX-License-Identifier: MIT
 * The plain members of the record's structs as tables of {JSON key, kind, offset}: one row per
 * fact, from which writing, reading, copying and freeing derive. Internal to the record module. */
#ifndef IB_RECORD_FIELDS_H
#define IB_RECORD_FIELDS_H

#include "record/record.h"

typedef enum ib_field_kind {
    IB_FIELD_STR,     /* char *, owned; NULL <-> null */
    IB_FIELD_U64,     /* above INT64_MAX written as a decimal string */
    IB_FIELD_U64_OPT, /* 0 <-> null: unknown */
    IB_FIELD_I64,
    IB_FIELD_F64_OPT, /* double; 0 <-> null: unknown */
    IB_FIELD_BOOL
} ib_field_kind;

typedef struct ib_field {
    const char *key;
    ib_field_kind kind;
    size_t offset;
} ib_field;

typedef struct ib_fields {
    const ib_field *rows;
    size_t n;
} ib_fields;

extern const ib_fields ib_fields_asked, ib_fields_resolved, ib_fields_model, ib_fields_step,
    ib_fields_memory, ib_fields_probe, ib_fields_load, ib_fields_profile, ib_fields_op,
    ib_fields_run, ib_fields_process, ib_fields_energy, ib_fields_device_clock;

ib_status ib_fields_write(const ib_fields *f, const void *base, json_t *object,
                          ib_error *err) IB_MUST_CHECK;
/* Absent members are null. where is the text in front of "/key" in messages. */
ib_status ib_fields_read(const ib_fields *f, void *base, const json_t *object, const char *where,
                         ib_error *err) IB_MUST_CHECK;
ib_status ib_fields_copy(const ib_fields *f, void *to, const void *from,
                         ib_error *err) IB_MUST_CHECK;
void ib_fields_clear(const ib_fields *f, void *base);

/* object[key] = value, taking over value; a NULL value counts as out of memory. */
ib_status ib_fields_set(json_t *object, const char *key, json_t *value,
                        ib_error *err) IB_MUST_CHECK;
/* Text as a JSON string (bytes that are not UTF-8 as U+FFFD); null for a NULL pointer. */
ib_status ib_fields_set_text(json_t *object, const char *key, const char *text, size_t len,
                             ib_error *err) IB_MUST_CHECK;

#endif
