/* SPDX-License-Identifier: MIT
 * tokenize: {"text", "add_special_tokens" = true} -> {"ids"}, {"ids", "skip_special_tokens" =
 * false}
 * -> {"text"}, a JSON object a line; or --text and --ids for people. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

typedef struct tokenize_state {
    const ib_tokenizer *tokenizer;
    bool no_parse_special;
    ib_ids ids; /* owned, reused */
    ib_buf text;
} tokenize_state;

static const char where[] = "standard input";

static ib_status add_ids(ib_buf *out, const ib_ids *ids, const char *separator, ib_error *err) {
    for (size_t i = 0; i < ids->n; i++) {
        char digits[12];
        size_t n = sizeof digits;
        uint32_t id = ids->ids[i];
        do
            digits[--n] = (char)('0' + id % 10);
        while (id /= 10);
        if (i)
            IB_TRY(ib_buf_adds(out, separator, err));
        IB_TRY(ib_buf_add(out, digits + n, sizeof digits - n, err));
    }
    return IB_OK;
}

static ib_status encode(tokenize_state *s, const json_t *line, ib_buf *out, ib_error *err) {
    ib_str text;
    ib_encode_options options = {.no_parse_special = s->no_parse_special};
    IB_TRY(ib_json_get_str(line, "text", &text, where, err));
    IB_TRY(ib_json_get_bool(line, "add_special_tokens", true, &options.add_special_tokens, where,
                            err));
    s->ids.n = 0;
    IB_TRY(ib_tokenizer_encode(s->tokenizer, text, &options, &s->ids, NULL, err));
    IB_TRY(ib_buf_adds(out, "{\"ids\":[", err));
    IB_TRY(add_ids(out, &s->ids, ",", err));
    return ib_buf_adds(out, "]}", err);
}

static ib_status read_ids(const json_t *array, ib_ids *ids, ib_error *err) {
    if (!json_is_array(array))
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in standard input/ids: no list; fix: give a list of ids");
    ids->n = 0;
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *v = json_array_get(array, i);
        json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || id > UINT32_MAX)
            return ib_fail(err, IB_E_FORMAT,
                           "bad value in standard input/ids/%zu: no token id; fix: give whole "
                           "numbers from 0 to 4294967295",
                           i);
        IB_TRY(ib_ids_add(ids, (uint32_t)id, err));
    }
    return IB_OK;
}

static ib_status decode(tokenize_state *s, const json_t *line, ib_buf *out, ib_error *err) {
    bool skip = false;
    IB_TRY(ib_json_get_bool(line, "skip_special_tokens", false, &skip, where, err));
    IB_TRY(read_ids(json_object_get(line, "ids"), &s->ids, err));
    ib_buf_reset(&s->text);
    IB_TRY(ib_tokenizer_decode(s->tokenizer, s->ids.ids, s->ids.n, skip, &s->text, err));
    IB_TRY(ib_buf_adds(out, "{\"text\":", err));
    IB_TRY(ib_cli_json_text(out, s->text.ptr ? s->text.ptr : "", s->text.len, err));
    return ib_buf_addc(out, '}', err);
}

static ib_status tokenize_line(void *user, const json_t *line, ib_buf *out, ib_error *err) {
    tokenize_state *s = user;
    bool has_text = json_object_get(line, "text") != NULL;
    bool has_ids = json_object_get(line, "ids") != NULL;
    if (has_text == has_ids)
        return ib_fail(err, IB_E_FORMAT,
                       "bad object in standard input: %s \"text\" and \"ids\"; fix: give one of "
                       "the two",
                       has_text ? "both" : "neither");
    return has_text ? encode(s, line, out, err) : decode(s, line, out, err);
}

/* --text and --ids. */
static ib_status for_people(ib_cli *cli, tokenize_state *s, ib_error *err) {
    const ib_options *o = &cli->options;
    ib_encode_options options = {.add_special_tokens = !o->no_special_tokens,
                                 .no_parse_special = o->no_parse_special};
    if (o->text) {
        IB_TRY(ib_tokenizer_encode(s->tokenizer, ib_str_of(o->text), &options, &s->ids, NULL, err));
        IB_TRY(add_ids(&s->text, &s->ids, ",", err));
    } else {
        IB_TRY(ib_tokenizer_decode(s->tokenizer, o->ids.ids, o->ids.n, o->skip_special_tokens,
                                   &s->text, err));
    }
    IB_TRY(ib_buf_addc(&s->text, '\n', err));
    return ib_output_write(&cli->out, s->text.ptr, s->text.len, err);
}

ib_status ib_cmd_tokenize(ib_cli *cli, ib_error *err) {
    const ib_options *o = &cli->options;
    tokenize_state s = {.no_parse_special = o->no_parse_special};
    char shown[IB_QUOTED];
    ib_cli_text text;
    IB_TRY(ib_output_check(&cli->out, err));
    IB_TRY(ib_cli_text_open(&text, cli, err));
    s.tokenizer = text.tokenizer;
    ib_status st;
    if (!s.tokenizer)
        st = ib_fail(err, IB_E_INPUT,
                     "no tokenizer in '%s': tokenizer.json is missing; fix: get the whole model "
                     "folder",
                     ib_quotez(o->model_id, shown));
    else if (o->text || o->ids.given)
        st = for_people(cli, &s, err);
    else
        st = ib_cli_each_line(cli, tokenize_line, &s, err);
    ib_ids_clear(&s.ids);
    ib_buf_clear(&s.text);
    ib_cli_text_close(&text);
    return st;
}
