/* SPDX-License-Identifier: MIT
 * Where the records come from: program, command, machine. A record that was put together from
 * several (record/merge.h) gets a table for each, in which what differs from the first is marked.
 */
#include "report/html.h"

#include "record/merge.h"

#include <stdio.h>
#include <string.h>

enum { LONG_VALUE = 160, DEEPEST = 6 };

/* A JSON value that is no object, as text. Arrays as compact JSON. */
static void value_cell(ib_page *p, const json_t *v) {
    ib_buf text;
    if (p->status != IB_OK)
        return;
    if (json_is_null(v)) {
        ib_page_text(p, "<span class=\"soft\">unknown</span>");
        return;
    }
    ib_buf_init(&text);
    if (json_is_string(v))
        p->status = ib_record_utf8((ib_str){json_string_value(v), strlen(json_string_value(v))},
                                   &text, p->err);
    else
        p->status = ib_json_dump(
            v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12), &text,
            p->err);
    const char *shown = text.len ? text.ptr : "";
    if (text.len > LONG_VALUE)
        ib_page_put(p, "<details><summary>%zu characters</summary>", text.len);
    if (p->status == IB_OK)
        ib_page_name(p, shown);
    if (text.len > LONG_VALUE)
        ib_page_text(p, "</details>");
    ib_buf_clear(&text);
}

static void rows(ib_page *p, const json_t *object, const json_t *first, const char *in, int depth) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)object, key, v) {
        const json_t *other = first ? json_object_get(first, key) : NULL;
        if (json_is_object(v) && depth < DEEPEST) {
            rows(p, v, first ? other : NULL, key, depth + 1);
            continue;
        }
        bool differs = first && !(other && json_equal(v, other));
        ib_page_put(p, "<tr%s><th scope=\"row\">", differs ? " class=\"differs\"" : "");
        if (in) {
            ib_page_name(p, in);
            ib_page_text(p, " ");
        }
        ib_page_name(p, key);
        ib_page_text(p, "</th><td>");
        value_cell(p, v);
        ib_page_text(p, differs ? " (differs)</td></tr>\n" : "</td></tr>\n");
    }
}

/* A box for each subject ("cpu", "memory", ...), what is not a subject in none. */
static void subjects(ib_page *p, const json_t *environment, const json_t *first, int level) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)environment, key, v) {
        if (!json_is_object(v) || !json_object_size(v))
            continue;
        ib_page_put(p, "<section class=\"subject\"><h%d>", level);
        ib_page_name(p, key);
        ib_page_put(p, "</h%d><table class=\"facts\"><tbody>\n", level);
        rows(p, v, first ? json_object_get(first, key) : NULL, NULL, 1);
        ib_page_text(p, "</tbody></table></section>\n");
    }
}

static void fact(ib_page *p, const char *name, const char *value) {
    ib_page_put(p, "<tr><th scope=\"row\">%s</th><td>", name);
    ib_page_name(p, value && *value ? value : NULL);
    ib_page_text(p, "</td></tr>\n");
}

static const char *text_of(const json_t *o, const char *key) {
    return json_string_value(json_object_get(o, key));
}

/* One of several records: what it says of itself, then its environment. */
static void merged(ib_page *p, const json_t *one, const json_t *first, size_t number) {
    const json_t *environment = json_object_get(one, "environment");
    ib_page_put(p, "<details%s><summary>Record %zu: ", number == 1 ? " open" : "", number);
    ib_page_name(p, text_of(one, "file"));
    ib_page_text(p, "</summary><table class=\"facts\"><tbody>\n");
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)one, key, v) {
        if (v == environment || strcmp(key, "n_cells") == 0)
            continue;
        if (json_is_object(v)) {
            rows(p, v, first ? json_object_get(first, key) : NULL, key, 1);
            continue;
        }
        ib_page_text(p, "<tr><th scope=\"row\">");
        ib_page_name(p, key);
        ib_page_text(p, "</th><td>");
        value_cell(p, v);
        ib_page_text(p, "</td></tr>\n");
    }
    ib_page_text(p, "</tbody></table>\n<div class=\"subjects\">\n");
    subjects(p, environment, first ? json_object_get(first, "environment") : NULL, 3);
    ib_page_text(p, "</div></details>\n");
}

void ib_html_environment(ib_page *p, const ib_record *r) {
    const json_t *first = ib_record_merged(r, 0);
    ib_page_text(p, "<h2 id=\"environment\">Environment</h2>\n");
    if (!first) {
        ib_page_text(p, "<table class=\"facts\"><tbody>\n");
        fact(p, "command", r->command);
        fact(p, "started (UTC)", r->started_utc);
        fact(p, "program version", r->tool_version);
        fact(p, "program commit", r->tool_commit);
        fact(p, "compiler", r->compiler);
        ib_page_text(p, "</tbody></table>\n<div class=\"subjects\">\n");
        subjects(p, r->environment, NULL, 3);
        ib_page_text(p, "</div>\n");
        return;
    }
    for (size_t i = 0; ib_record_merged(r, i); i++)
        merged(p, ib_record_merged(r, i), i ? first : NULL, i + 1);
}
