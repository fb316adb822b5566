/* SPDX-License-Identifier: MIT
 * The template interpreter against recorded answers of Jinja2 in the environment of transformers:
 * the set in tests/golden/jinja, and with the shared data 151 features, 206 real templates on all
 * conversations, and the prompts recorded beside the tokenizers. */
#include "support.h"

#include "base/file.h"
#include "text/jinja/jinja.h"

static const struct tm recorded_now = {
    .tm_year = 125, .tm_mday = 15, .tm_hour = 10, .tm_min = 30, .tm_wday = 3, .tm_yday = 14};

typedef struct tally {
    size_t passed, total;
} tally;

typedef struct lines {
    ib_buf text;
    size_t at;
} lines;

static lines open_lines(const char *path) {
    lines l = {.at = 0};
    ib_error err = {0};
    if (ib_file_read(&l.text, path, (uint64_t)1 << 30, &err) != IB_OK)
        fail_msg("%s", err.text);
    return l;
}

/* The next line as JSON (owned), or NULL at the end. */
static json_t *next_line(lines *l, const char *path) {
    if (l->at >= l->text.len)
        return NULL;
    const char *p = l->text.ptr + l->at, *end = memchr(p, '\n', l->text.len - l->at);
    size_t n = end ? (size_t)(end - p) : l->text.len - l->at;
    ib_error err = {0};
    json_t *row;
    l->at += n + 1;
    if (ib_json_parse(&row, (ib_str){p, n}, path, &err) != IB_OK)
        fail_msg("%s", err.text);
    return row;
}

static ib_str text_of(const json_t *v) {
    return (ib_str){json_string_value(v), json_string_length(v)};
}

/* Renders and compares with row's "rendered" or "error". Wrong answers are printed. */
static bool matches(ib_str source, const json_t *context, const json_t *row, const char *label) {
    ib_jinja *t = NULL;
    ib_jinja_problem problem = {.message = NULL};
    ib_error err = {0};
    ib_buf out;
    ib_buf_init(&out);
    ib_status status = ib_jinja_compile(&t, source, label, &problem, &err);
    if (status == IB_OK)
        status = ib_jinja_render(t, context, &recorded_now, NULL, &out, &problem, &err);
    const json_t *rendered = json_object_get(row, "rendered"),
                 *error = json_object_get(row, "error");
    const char *type = json_string_value(json_object_get(error, "type"));
    const char *message = json_string_value(json_object_get(error, "message"));
    bool ok;
    if (rendered)
        ok = status == IB_OK &&
             ib_str_eq(text_of(rendered), (ib_str){out.len ? out.ptr : "", out.len});
    else
        ok = status != IB_OK && problem.message && out.len == 0 &&
             (strcmp(type, "TemplateError") != 0 ||
              (strcmp(problem.type, type) == 0 && strcmp(problem.message, message) == 0));
    if (!ok)
        print_error("%s: expected %s, got %s\n", label,
                    rendered ? json_string_value(rendered) : type,
                    status == IB_OK ? (out.len ? out.ptr : "\"\"") : err.text);
    ib_jinja_free(t);
    ib_buf_clear(&out);
    ib_jinja_problem_clear(&problem);
    return ok;
}

/* A file of {"template", "rendered" or "error"} whose first line holds the context of them all. */
static tally run_features(const char *path) {
    tally t = {0, 0};
    lines l = open_lines(path);
    json_t *head = next_line(&l, path), *row;
    while ((row = next_line(&l, path)) != NULL) {
        const json_t *id = json_object_get(row, "id"), *own = json_object_get(row, "context");
        t.total++;
        t.passed +=
            matches(text_of(json_object_get(row, "template")),
                    own ? own : json_object_get(head, "context"), row, json_string_value(id));
        json_decref(row);
    }
    json_decref(head);
    ib_buf_clear(&l.text);
    return t;
}

static void check(tally t, const char *what, size_t at_least) {
    print_message("%s: %zu of %zu\n", what, t.passed, t.total);
    assert_int_equal(t.passed, t.total);
    assert_true(t.total >= at_least);
}

static void own_features(void **state) {
    (void)state;
    check(run_features(IB_SOURCE_DIR "/tests/golden/jinja/features.jsonl"), "own features", 600);
}

static void shared_features(void **state) {
    char path[1024];
    (void)state;
    IB_DATA_OR_SKIP(dir);
    (void)snprintf(path, sizeof path, "%s/chat_templates/jinja_features.jsonl", dir);
    check(run_features(path), "shared features", 151);
}

/* --- real templates --- */

static void put_all(json_t *context, const json_t *from) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)from, key, v) {
        if (!json_is_null(v))
            assert_int_equal(json_object_set(context, key, v), 0);
    }
}

static json_t *or_none(const json_t *v) {
    return v ? json_incref((json_t *)(uintptr_t)v) : json_null();
}

static json_t *make_context(const json_t *talk, const json_t *row, const json_t *special) {
    json_t *context = json_object();
    put_all(context, special);
    put_all(context, json_object_get(talk, "kwargs"));
    json_object_set_new(context, "messages", or_none(json_object_get(talk, "messages")));
    json_object_set_new(context, "tools", or_none(json_object_get(talk, "tools")));
    json_object_set_new(context, "documents", or_none(json_object_get(talk, "documents")));
    json_object_set_new(context, "add_generation_prompt",
                        or_none(json_object_get(row, "add_generation_prompt")));
    return context;
}

static json_t *load_conversations(const char *dir) {
    char path[1024];
    json_t *all = json_object(), *row;
    (void)snprintf(path, sizeof path, "%s/chat_templates/conversations.jsonl", dir);
    lines l = open_lines(path);
    while ((row = next_line(&l, path)) != NULL)
        json_object_set_new(all, json_string_value(json_object_get(row, "id")), row);
    ib_buf_clear(&l.text);
    return all;
}

static void run_template(const char *dir, const json_t *entry, const json_t *talks, tally *t) {
    const char *name = json_string_value(json_object_get(entry, "name"));
    char path[1024], label[1200];
    (void)snprintf(path, sizeof path, "%s/chat_templates/%s", dir,
                   json_string_value(json_object_get(entry, "file")));
    lines source = open_lines(path);
    (void)snprintf(path, sizeof path, "%s/chat_templates/golden/%s.jsonl", dir, name);
    lines golden = open_lines(path);
    json_t *row;
    while ((row = next_line(&golden, path)) != NULL) {
        const char *id = json_string_value(json_object_get(row, "conversation"));
        json_t *context =
            make_context(json_object_get(talks, id), row, json_object_get(entry, "special_tokens"));
        (void)snprintf(label, sizeof label, "%s on %s", name, id);
        t->total++;
        t->passed += matches((ib_str){source.text.ptr, source.text.len}, context, row, label);
        json_decref(context);
        json_decref(row);
    }
    ib_buf_clear(&source.text);
    ib_buf_clear(&golden.text);
}

static void real_templates(void **state) {
    char path[1024];
    tally t = {0, 0};
    (void)state;
    IB_DATA_OR_SKIP(dir);
    json_t *talks = load_conversations(dir), *entry;
    (void)snprintf(path, sizeof path, "%s/chat_templates/index.jsonl", dir);
    lines index = open_lines(path);
    while ((entry = next_line(&index, path)) != NULL) {
        run_template(dir, entry, talks, &t);
        json_decref(entry);
    }
    ib_buf_clear(&index.text);
    json_decref(talks);
    check(t, "real templates on conversations", 8000);
}

/* The source that a row of golden_chat.jsonl names: a file, or a member of tokenizer_config.json.
 */
static void read_source(ib_buf *out, const char *folder, const char *file) {
    char path[1024];
    ib_error err = {0};
    (void)snprintf(path, sizeof path, "%s/%s", folder, file);
    if (!ib_str_ends(ib_str_of(file), ".json")) {
        lines l = open_lines(path);
        *out = l.text;
        return;
    }
    json_t *config;
    if (ib_json_load(&config, path, 0, &err) != IB_OK)
        fail_msg("%s", err.text);
    ib_str s = text_of(json_object_get(config, "chat_template"));
    assert_int_equal(ib_buf_add(out, s.ptr, s.len, &err), IB_OK);
    json_decref(config);
}

static void recorded_prompts(void **state) {
    static const char *const families[] = {"llama2",      "mistral_v0.3", "llama3", "qwen3",
                                           "deepseek_v3", "gpt_oss",      "gemma3", "phi3_mini"};
    tally t = {0, 0};
    (void)state;
    IB_DATA_OR_SKIP(dir);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        char folder[700], path[1024], label[200];
        (void)snprintf(folder, sizeof folder, "%s/tokenizers/%s", dir, families[i]);
        (void)snprintf(path, sizeof path, "%s/golden_chat.jsonl", folder);
        lines l = open_lines(path);
        json_t *row;
        while ((row = next_line(&l, path)) != NULL) {
            ib_buf source;
            ib_buf_init(&source);
            read_source(&source, folder, json_string_value(json_object_get(row, "template")));
            json_t *context = make_context(row, row, json_object_get(row, "special_tokens"));
            (void)snprintf(label, sizeof label, "%s %s", families[i],
                           json_string_value(json_object_get(row, "id")));
            t.total++;
            t.passed += matches((ib_str){source.ptr, source.len}, context, row, label);
            json_decref(context);
            json_decref(row);
            ib_buf_clear(&source);
        }
        ib_buf_clear(&l.text);
    }
    check(t, "prompts beside the tokenizers", 590);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_features),
        cmocka_unit_test(shared_features),
        cmocka_unit_test(real_templates),
        cmocka_unit_test(recorded_prompts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
