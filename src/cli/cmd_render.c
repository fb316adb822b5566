/* SPDX-License-Identifier: MIT
 * render: messages and the rest of a template's context, a JSON object a line, to {"text"}, or to
 * {"error": {"type", "message"}} with the type that Python would name. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

typedef struct render_state {
    const ib_chat_templates *templates; /* of the model, or NULL */
    const json_t *special_tokens;       /* of the model, or NULL */
    ib_buf source;                      /* --template */
    bool has_source;
} render_state;

static const char where[] = "standard input";

static bool digits(const char *p, size_t n, int *out) {
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        v = v * 10 + (p[i] - '0');
    }
    *out = v;
    return true;
}

/* Days since 1970-01-01 of a day of the proleptic Gregorian calendar. */
static int64_t days_from_civil(int64_t y, int64_t m, int64_t d) {
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool valid_day(int y, int m, int d) {
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return m >= 1 && m <= 12 && d >= 1 && d <= lengths[m - 1] + (m == 2 && leap);
}

/* "2025-01-15T10:30:00" (seconds and a fraction optional, blank in place of T allowed) with weekday
 * and day of the year. */
static bool parse_now(ib_str text, struct tm *out) {
    const char *p = text.ptr;
    int y, mo, d, h = 0, mi = 0, s = 0;
    if (text.len < 10 || !digits(p, 4, &y) || p[4] != '-' || !digits(p + 5, 2, &mo) ||
        p[7] != '-' || !digits(p + 8, 2, &d) || !valid_day(y, mo, d) || y < 1)
        return false;
    if (text.len > 10 && (text.len < 16 || (p[10] != 'T' && p[10] != ' ') ||
                          !digits(p + 11, 2, &h) || p[13] != ':' || !digits(p + 14, 2, &mi)))
        return false;
    if (text.len > 16 && (text.len < 19 || p[16] != ':' || !digits(p + 17, 2, &s)))
        return false;
    if (text.len > 19 && (p[19] != '.' || strspn(p + 20, "0123456789") != text.len - 20))
        return false;
    if (h > 23 || mi > 59 || s > 59)
        return false;
    int64_t day = days_from_civil(y, mo, d);
    *out = (struct tm){.tm_year = y - 1900,
                       .tm_mon = mo - 1,
                       .tm_mday = d,
                       .tm_hour = h,
                       .tm_min = mi,
                       .tm_sec = s,
                       .tm_wday = (int)(((day + 4) % 7 + 7) % 7),
                       .tm_yday = (int)(day - days_from_civil(y, 1, 1)),
                       .tm_isdst = -1};
    return true;
}

static ib_status read_request(const render_state *s, const json_t *line, ib_chat_request *out,
                              struct tm *now, ib_error *err) {
    ib_str text;
    *out = (ib_chat_request){.messages = json_object_get(line, "messages"),
                             .tools = json_object_get(line, "tools"),
                             .documents = json_object_get(line, "documents"),
                             .special_tokens = json_object_get(line, "special_tokens"),
                             .kwargs = json_object_get(line, "kwargs")};
    if (!out->messages)
        return ib_fail(err, IB_E_FORMAT,
                       "nothing in standard input/messages; fix: give a list of messages");
    if (!out->special_tokens || json_is_null(out->special_tokens))
        out->special_tokens = s->special_tokens;
    if (json_is_null(out->kwargs))
        out->kwargs = NULL;
    if ((out->special_tokens && !json_is_object(out->special_tokens)) ||
        (out->kwargs && !json_is_object(out->kwargs)))
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in standard input: special_tokens or kwargs is no object; fix: "
                       "give names with values");
    IB_TRY(ib_json_get_bool(line, "add_generation_prompt", false, &out->add_generation_prompt,
                            where, err));
    IB_TRY(ib_json_get_str(line, "now", &text, where, err));
    if (text.ptr && !parse_now(text, now))
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in standard input/now: no time; fix: write it as "
                       "2025-01-15T10:30:00");
    out->now = text.ptr ? now : NULL;
    return IB_OK;
}

/* A template's failure is an answer, not a failure of this program. */
static ib_status answer_problem(const ib_jinja_problem *problem, ib_status status,
                                const ib_error *failure, ib_buf *out, ib_error *err) {
    char other[32];
    (void)snprintf(other, sizeof other, "E-%s", ib_status_name(status));
    const char *type = problem->type[0] ? problem->type : other;
    const char *message = problem->message ? problem->message : failure->text;
    IB_TRY(ib_buf_adds(out, "{\"error\":{\"type\":", err));
    IB_TRY(ib_cli_json_text(out, type, strlen(type), err));
    IB_TRY(ib_buf_adds(out, ",\"message\":", err));
    IB_TRY(ib_cli_json_text(out, message, strlen(message), err));
    return ib_buf_adds(out, "}}", err);
}

static ib_status render_line(void *user, const json_t *line, ib_buf *out, ib_error *err) {
    render_state *s = user;
    ib_chat_request request;
    ib_jinja_problem problem = {0};
    ib_error failure = {0};
    struct tm now;
    ib_buf text;
    ib_buf_init(&text);
    IB_TRY(read_request(s, line, &request, &now, err));
    ib_str source = {s->source.ptr ? s->source.ptr : "", s->source.len};
    ib_status st = s->has_source ? IB_OK : ib_chat_select(s->templates, &request, &source, err);
    if (st == IB_OK) {
        ib_status rendered = ib_chat_render(source, &request, &text, &problem, &failure);
        if (rendered != IB_OK) {
            st = answer_problem(&problem, rendered, &failure, out, err);
        } else {
            st = ib_buf_adds(out, "{\"text\":", err);
            if (st == IB_OK)
                st = ib_cli_json_text(out, text.ptr ? text.ptr : "", text.len, err);
            if (st == IB_OK)
                st = ib_buf_addc(out, '}', err);
        }
    }
    ib_jinja_problem_clear(&problem);
    ib_buf_clear(&text);
    return st;
}

ib_status ib_cmd_render(ib_cli *cli, ib_error *err) {
    enum { TEMPLATE_CAP = 1 << 20 };
    const ib_options *o = &cli->options;
    render_state s = {0};
    ib_cli_text text = {0};
    ib_status st = ib_output_check(&cli->out, err);
    if (st == IB_OK && o->template_file) {
        st = ib_file_read(&s.source, o->template_file, TEMPLATE_CAP, err);
        s.has_source = true;
    }
    if (st == IB_OK && o->model_id) {
        st = ib_cli_text_open(&text, cli, err);
        s.templates = text.templates;
        s.special_tokens = text.tokenizer ? ib_tokenizer_special_tokens(text.tokenizer) : NULL;
    }
    if (st == IB_OK)
        st = ib_cli_each_line(cli, render_line, &s, err);
    ib_cli_text_close(&text);
    ib_buf_clear(&s.source);
    return st;
}
