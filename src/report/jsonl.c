/* SPDX-License-Identifier: MIT
 * One line for each cell, each a record of its own: lines of many runs may be put into one file. */
#include "report/writers.h"

ib_status ib_report_jsonl(const ib_record *r, const ib_report_options *o, ib_buf *out,
                          ib_error *err) {
    const ib_percentiles p = {o->percentiles, o->n_percentiles};
    for (size_t i = 0; i < r->n_cells; i++) {
        json_t *json = NULL;
        IB_TRY(ib_record_cell_to_json(r, i, &p, &json, err));
        ib_status st = ib_json_dump(json, JSON_COMPACT | JSON_ENSURE_ASCII, out, err);
        json_decref(json);
        IB_TRY(st);
        IB_TRY(ib_buf_addc(out, '\n', err));
    }
    return IB_OK;
}
