/* SPDX-License-Identifier: MIT
 * JSON objects of other programs' formats, written with one check at the end, and the few
 * statistics that those formats define otherwise than this program's own reports do. Internal to
 * the report module. */
#ifndef IB_REPORT_VALUES_H
#define IB_REPORT_VALUES_H

#include "report/samples.h"

typedef struct ib_values { /* remembers its first failure */
    json_t *object;        /* owned until handed over */
    ib_status status;
    ib_error *err; /* borrowed */
} ib_values;

void ib_values_begin(ib_values *v, ib_error *err);
/* Appends the object to an array (taking it over), or frees it; returns the status. */
ib_status ib_values_end(ib_values *v, json_t *array) IB_MUST_CHECK;

void ib_values_text(ib_values *v, const char *key, const char *text); /* NULL -> "" */
void ib_values_count(ib_values *v, const char *key, uint64_t n);
void ib_values_flag(ib_values *v, const char *key, bool on);
void ib_values_number(ib_values *v, const char *key, double x);    /* not finite -> null */
void ib_values_json(ib_values *v, const char *key, json_t *value); /* takes value over */
/* x[n] as an array of numbers. */
void ib_values_array(ib_values *v, const char *key, const double *x, size_t n);

/* Array (or its only element when alone is set and it has one) as ASCII text with a final line
 * feed. */
ib_status ib_values_print(json_t *array, bool alone, ib_buf *out, ib_error *err) IB_MUST_CHECK;

/* Seconds of each run, from the request to the last token. out [s->n_runs] */
void ib_values_run_seconds(const ib_samples *s, double *out);
/* The model as one reads it: "llama 134.5M BF16+NF4" with the formats that hold at least a tenth of
 * the bytes, and "(synthetic)" behind random weights. */
ib_status ib_values_model_type(const ib_model_record *m, ib_buf *out, ib_error *err) IB_MUST_CHECK;

typedef struct ib_origin { /* where a cell comes from; borrowed, NULL unknown */
    const char *commit, *version, *started_utc, *cpu_model;
    const char *command; /* NULL when it made several cells */
} ib_origin;

/* Of the record, or of the one that the cell came from when several were merged. */
ib_origin ib_values_origin(const ib_record *r, size_t cell);

#endif
