/* SPDX-License-Identifier: MIT
 * report: a saved record, rendered again from its raw stamps. */
#include "cli/record_out.h"

ib_status ib_cmd_report(ib_cli *cli, ib_error *err) {
    const ib_options *o = &cli->options;
    const char *path = o->args[0];
    const char *inputs[] = {path, NULL};
    json_t *json = NULL;
    ib_record record = {0};
    if (!o->output || ib_cli_shows_text(o))
        IB_TRY(ib_output_check(&cli->out, err));
    if (o->output)
        IB_TRY(ib_output_probe(o->output, o->force, inputs, err));
    ib_status st = ib_json_load(&json, path, 0, err);
    if (st == IB_OK)
        st = ib_record_from_json(&record, json, path, err);
    if (st == IB_OK)
        st = ib_cli_report(cli, &record, false, err);
    ib_record_clear(&record);
    json_decref(json);
    return st;
}
