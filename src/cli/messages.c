/* SPDX-License-Identifier: MIT
 * See messages.h. Each line is one write(2), so that lines of two threads never mix. */
#include "cli/messages.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static void write_stderr(const char *p, size_t n) {
    while (n) {
        ssize_t done = write(STDERR_FILENO, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return; /* there is nobody left to tell */
        p += done;
        n -= (size_t)done;
    }
}

static void log_line(void *user, ib_log_level level, const char *line) {
    char out[1200];
    struct timespec now;
    struct tm utc;
    (void)user;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || !gmtime_r(&now.tv_sec, &utc))
        return;
    int n = snprintf(out, sizeof out - 1, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s: %s",
                     utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                     utc.tm_sec, now.tv_nsec / 1000000, level_names[level], line);
    if (n < 0)
        return;
    size_t len = (size_t)n < sizeof out - 1 ? (size_t)n : sizeof out - 2;
    out[len++] = '\n';
    write_stderr(out, len);
}

ib_log ib_messages_log(ib_log_level level) {
    return (ib_log){.level = level, .write = log_line};
}

ib_log_level ib_messages_level(const char *name) {
    for (int i = IB_LOG_ERROR; name && i <= IB_LOG_DEBUG; i++)
        if (strcmp(level_names[i], name) == 0)
            return (ib_log_level)i;
    return IB_LOG_INFO;
}

/* What to do about an error whose text does not say. */
static const char *general_fix(ib_status status) {
    switch (status) {
    case IB_E_USAGE:
        return "see 'inferbench --help'";
    case IB_E_INPUT:
        return "check the path and its permissions";
    case IB_E_FORMAT:
        return "get the file again";
    case IB_E_UNSUPPORTED:
        return "use another model or option";
    case IB_E_RESOURCE:
        return "free memory or raise the limit";
    case IB_E_OUTPUT:
        return "check folder, permissions and free space";
    case IB_E_DEVICE:
        return "see 'inferbench devices'";
    case IB_E_INVALID:
        return "see the reasons in the report";
    case IB_E_INTERRUPTED:
    case IB_E_TERMINATED:
        return "start it again";
    default:
        return "report this bug";
    }
}

/* Text in two parts: before "; fix: " (its length) and what follows. */
static const char *split_fix(const ib_error *err, size_t *what) {
    const char *fix = NULL;
    for (const char *p = strstr(err->text, "; fix: "); p; p = strstr(p + 1, "; fix: "))
        fix = p;
    *what = fix ? (size_t)(fix - err->text) : strlen(err->text);
    return fix ? fix + strlen("; fix: ") : general_fix(err->status);
}

/* The longest start of text that fits n bytes and ends between characters. */
static size_t fit(const char *text, size_t len, size_t n) {
    if (len <= n)
        return len;
    while (n && ((unsigned char)text[n] & 0xC0) == 0x80)
        n--;
    return n;
}

size_t ib_messages_error_line(const ib_error *err, char out[IB_ERROR_LINE + 1]) {
    char tail[256];
    size_t what;
    const char *fix = split_fix(err, &what);
    size_t fix_len = fit(fix, strlen(fix), 160);
    int n = snprintf(tail, sizeof tail, "; fix: %.*s [E-%s]\n", (int)fix_len, fix,
                     ib_status_name(err->status));
    size_t tail_len = n > 0 ? (size_t)n : 0;
    static const char head[] = "inferbench: error: ";
    size_t room = IB_ERROR_LINE - (sizeof head - 1) - tail_len;
    size_t kept = fit(err->text, what, what > room ? room - 3 : room);
    (void)snprintf(out, IB_ERROR_LINE + 1, "%s%.*s%s%s", head, (int)kept, err->text,
                   kept < what ? "..." : "", tail);
    return strlen(out);
}

ib_status ib_messages_error_json(const ib_error *err, ib_buf *out) {
    char code[32];
    size_t what;
    const char *fix = split_fix(err, &what);
    size_t good = ib_utf8_valid_prefix(err->text, what);
    size_t fix_good = ib_utf8_valid_prefix(fix, strlen(fix));
    (void)snprintf(code, sizeof code, "E-%s", ib_status_name(err->status));
    json_t *object =
        json_pack("{s:s, s:s, s:i, s:s, s:s%, s:s%}", "program", "inferbench", "code", code,
                  "exit_code", (int)err->status, "meaning", ib_status_meaning(err->status), "error",
                  err->text, good, "fix", fix, fix_good);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    ib_status st = text ? ib_buf_addf(out, NULL, "%s\n", text) : IB_E_RESOURCE;
    free(text);
    json_decref(object);
    return st;
}

void ib_messages_print_error(const ib_error *err, bool json) {
    char line[IB_ERROR_LINE + 1];
    ib_buf object;
    ib_buf_init(&object);
    if (json && ib_messages_error_json(err, &object) == IB_OK)
        write_stderr(object.ptr, object.len);
    else
        write_stderr(line, ib_messages_error_line(err, line));
    ib_buf_clear(&object);
}
