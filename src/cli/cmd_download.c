/* SPDX-License-Identifier: MIT
 * download: a model of the hub into the cache; prints the folder of its snapshot. */
#include "cli/cli.h"

#include "base/json.h"

#include <string.h>

ib_status ib_cmd_download(ib_cli *cli, ib_error *err) {
    const ib_options *o = &cli->options;
    bool as_text = !o->format || strcmp(o->format, "text") == 0;
    ib_hub_result found;
    ib_buf text;
    json_t *object = NULL;
    ib_buf_init(&text);
    IB_TRY(ib_output_check(&cli->out, err));
    ib_signals_defer();
    IB_TRY(ib_hub_resolve(&found, o->model_id, o->revision, o->cache_dir, &cli->hub_env, &cli->log,
                          err));
    ib_status st = IB_OK;
    if (as_text) {
        st = ib_buf_addf(&text, err, "%s\n", found.path);
    } else {
        object =
            json_pack("{s:s, s:s?, s:s?, s:I}", "path", found.path, "repo_id", found.repo_id,
                      "revision", found.revision, "fetched_bytes", (json_int_t)found.fetched_bytes);
        st = object ? ib_json_dump(object, JSON_INDENT(2), &text, err)
                    : ib_fail_memory(err, 0, "an answer");
        if (st == IB_OK)
            st = ib_buf_addc(&text, '\n', err);
    }
    if (st == IB_OK)
        st = ib_output_write(&cli->out, text.ptr, text.len, err);
    json_decref(object);
    ib_buf_clear(&text);
    ib_hub_result_clear(&found);
    return st;
}
