/* SPDX-License-Identifier: MIT
 * The whole record (docs/record.schema.json), indented. ASCII only: what a terminal would obey, C1
 * controls and bidi marks included, is written as \u escapes. */
#include "report/writers.h"

ib_status ib_report_json(const ib_record *r, const ib_report_options *o, ib_buf *out,
                         ib_error *err) {
    json_t *json = NULL;
    const ib_percentiles p = {o->percentiles, o->n_percentiles};
    IB_TRY(ib_record_to_json_with(r, &p, &json, err));
    ib_status st = ib_json_dump(json, JSON_INDENT(1) | JSON_ENSURE_ASCII, out, err);
    json_decref(json);
    return st == IB_OK ? ib_buf_addc(out, '\n', err) : st;
}
