/* SPDX-License-Identifier: MIT
 * Chat templates: the Jinja2 language in the environment that transformers uses (immutable sandbox,
 * trim_blocks, lstrip_blocks, loopcontrols, {% generation %}, tojson, raise_exception,
 * strftime_now). There is no host object to reach and no file to open; steps, depth, memory and
 * output are bounded. */
#ifndef IB_TEXT_JINJA_JINJA_H
#define IB_TEXT_JINJA_JINJA_H

#include "base/json.h"

#include <time.h>

typedef struct ib_jinja ib_jinja;

typedef struct ib_jinja_limits { /* 0 = the default */
    uint64_t steps;              /* 10 million */
    size_t output_bytes;         /* 16 MiB */
    size_t memory_bytes;         /* 256 MiB */
} ib_jinja_limits;

/* What went wrong, in the reference's terms: Python's exception type ("TemplateError" for
 * raise_exception, "TemplateSyntaxError", "UndefinedError", "TypeError", ...) and its message. */
typedef struct ib_jinja_problem {
    char type[48];
    char *message; /* owned; free with ib_jinja_problem_clear */
    int line;      /* of the template, 1-based; 0 = unknown */
} ib_jinja_problem;
void ib_jinja_problem_clear(ib_jinja_problem *p);

/* Compiles source (UTF-8; CRLF counts as LF). problem may be NULL. IB_E_FORMAT for a template that
 * is wrong, IB_E_UNSUPPORTED for unknown filters, tests, include/import/extends, IB_E_RESOURCE for
 * caps. */
ib_status ib_jinja_compile(ib_jinja **out, ib_str source, const char *name,
                           ib_jinja_problem *problem, ib_error *err) IB_MUST_CHECK;
void ib_jinja_free(ib_jinja *t);

/* Renders with the members of context (a JSON object, borrowed) as variables; now is what
 * strftime_now sees (broken-down local time). Appends to out. */
ib_status ib_jinja_render(const ib_jinja *t, const json_t *context, const struct tm *now,
                          const ib_jinja_limits *limits, ib_buf *out, ib_jinja_problem *problem,
                          ib_error *err) IB_MUST_CHECK;

#endif
