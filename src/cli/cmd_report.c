/* SPDX-License-Identifier: MIT
 * report: saved records, rendered again from their raw stamps; several as one record with the cells
 * of all. */
#include "cli/record_in.h"
#include "cli/record_out.h"

#include "record/merge.h"

#include <stdlib.h>

ib_status ib_cmd_report(ib_cli *cli, ib_error *err) {
    const ib_options *o = &cli->options;
    const char *inputs[IB_OPTIONS_MAX_ARGS + 1] = {NULL};
    ib_record all = {0};
    for (size_t i = 0; i < o->n_args; i++)
        inputs[i] = o->args[i];
    if (!o->output || ib_cli_shows_text(o))
        IB_TRY(ib_output_check(&cli->out, err));
    if (o->output)
        IB_TRY(ib_output_probe(o->output, o->force, inputs, err));
    ib_record *records = calloc(o->n_args, sizeof *records);
    if (!records)
        return ib_fail_memory(err, o->n_args * sizeof *records, "the records");
    ib_status st = IB_OK;
    for (size_t i = 0; i < o->n_args && st == IB_OK; i++)
        st = ib_cli_read_record(&records[i], inputs[i], err);
    if (st == IB_OK)
        st = ib_record_merge(&all, records, inputs, o->n_args, err);
    if (st == IB_OK)
        st = ib_cli_report(cli, &all, false, err);
    ib_record_clear(&all);
    for (size_t i = 0; i < o->n_args; i++)
        ib_record_clear(&records[i]);
    free(records);
    return st;
}
