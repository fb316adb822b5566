/* SPDX-License-Identifier: MIT
 * verify: reads the files of a cached snapshot again and compares each with the hash that its blob
 * is named after. All files are looked at; the exit code is that of the first bad one. */
#include "cli/cli.h"

#include "base/json.h"

#include <string.h>

typedef struct listing {
    ib_cli *cli;
    json_t *files; /* owned; NULL = text */
} listing;

static ib_status say(listing *l, const ib_hub_checked *c, ib_error *err) {
    char name[IB_QUOTED];
    ib_buf line;
    ib_buf_init(&line);
    bool unknown = c->status == IB_OK && strcmp(c->hash_kind, "none") == 0;
    const char *word = c->status != IB_OK ? "BAD" : unknown ? "?" : "ok";
    ib_status st =
        ib_buf_addf(&line, err, "%-3s  %12llu  %s%s%s  %s\n", word, (unsigned long long)c->bytes,
                    c->hash_kind, c->found[0] ? ":" : "", c->found, ib_quotez(c->file, name));
    if (st == IB_OK)
        st = ib_output_write(&l->cli->out, line.ptr, line.len, err);
    if (st == IB_OK)
        st = ib_output_flush(&l->cli->out, err);
    ib_buf_clear(&line);
    return st;
}

static ib_status on_checked(void *user, const ib_hub_checked *c, ib_error *err) {
    listing *l = user;
    IB_TRY(ib_signals_check(err));
    if (!l->files)
        return say(l, c, err);
    json_t *file = json_pack("{s:s, s:I, s:s, s:s, s:s, s:b, s:s?}", "file", c->file, "bytes",
                             (json_int_t)c->bytes, "hash", c->hash_kind, "expected", c->expected,
                             "found", c->found, "good", c->status == IB_OK, "problem", c->problem);
    if (!file || json_array_append_new(l->files, file) != 0)
        return ib_fail_memory(err, 0, "a list of files");
    return IB_OK;
}

static ib_status write_json(ib_cli *cli, const ib_hub_result *found, json_t *files, ib_error *err) {
    ib_buf text;
    ib_buf_init(&text);
    json_t *object = json_pack("{s:s, s:s, s:s, s:O}", "path", found->path, "repo_id",
                               found->repo_id, "revision", found->revision, "files", files);
    ib_status st = object ? ib_json_dump(object, JSON_INDENT(2), &text, err)
                          : ib_fail_memory(err, 0, "an answer");
    if (st == IB_OK)
        st = ib_buf_addc(&text, '\n', err);
    if (st == IB_OK)
        st = ib_output_write(&cli->out, text.ptr, text.len, err);
    json_decref(object);
    ib_buf_clear(&text);
    return st;
}

ib_status ib_cmd_verify(ib_cli *cli, ib_error *err) {
    const ib_options *o = &cli->options;
    bool as_text = !o->format || strcmp(o->format, "text") == 0;
    ib_hub_result found = {0};
    ib_error late = {0};
    listing l = {.cli = cli};
    IB_TRY(ib_output_check(&cli->out, err));
    ib_signals_defer();
    if (!as_text && !(l.files = json_array()))
        return ib_fail_memory(err, 0, "a list of files");
    ib_status st = ib_hub_verify(&found, o->model_id, o->revision, o->cache_dir, &cli->hub_env,
                                 on_checked, &l, err);
    if (l.files && (st == IB_OK || json_array_size(l.files))) {
        ib_status written = write_json(cli, &found, l.files, &late);
        if (st == IB_OK && written != IB_OK)
            st = ib_fail(err, written, "%s", late.text);
    }
    json_decref(l.files);
    ib_hub_result_clear(&found);
    return st;
}
