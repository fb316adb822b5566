/* SPDX-License-Identifier: MIT
 * See chat.h. Template files of a folder replace what tokenizer_config.json holds. Names of
 * templates are only ever keys; no path is made from one. */
#include "text/chat.h"

#include "base/file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEMPLATE = 1 << 20, MAX_TEMPLATES = 256 };

void ib_chat_templates_clear(ib_chat_templates *t) {
    json_decref(t->by_name);
    free(t->origin);
    *t = (ib_chat_templates){NULL, NULL};
}

static ib_status init(ib_chat_templates *t, ib_error *err) {
    *t = (ib_chat_templates){json_object(), NULL};
    return t->by_name ? IB_OK : ib_fail_memory(err, 64, "chat templates");
}

static ib_status set_origin(ib_chat_templates *t, const char *origin, ib_error *err) {
    if (t->origin)
        return IB_OK;
    t->origin = ib_strdup(origin);
    return t->origin ? IB_OK : ib_fail_memory(err, strlen(origin), "a file name");
}

static bool bad_name(ib_str name) {
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < 0x20 || strchr("/\\\x7f", name.ptr[i]))
            return true;
    return name.len == 0 || name.len > 255 || ib_str_is(name, ".") || ib_str_is(name, "..") ||
           ib_utf8_valid_prefix(name.ptr, name.len) != name.len;
}

/* Takes a copy of source under name; where names the place in messages. */
static ib_status add(ib_chat_templates *t, ib_str name, ib_str source, const char *where,
                     ib_error *err) {
    char shown[IB_QUOTED], place[IB_QUOTED];
    if (bad_name(name))
        return ib_fail(err, IB_E_FORMAT,
                       "bad template name in %s: '%s'; fix: use letters and digits",
                       ib_quotez(where, place), ib_quote(name, shown));
    if (source.len > MAX_TEMPLATE)
        return ib_fail(err, IB_E_RESOURCE,
                       "template too large in %s: '%s' has %zu bytes, the cap is %d; "
                       "fix: use a smaller template",
                       ib_quotez(where, place), ib_quote(name, shown), source.len, MAX_TEMPLATE);
    size_t valid = ib_utf8_valid_prefix(source.ptr, source.len);
    if (valid != source.len)
        return ib_fail(
            err, IB_E_FORMAT,
            "invalid UTF-8 in template '%s' of %s at byte %zu; fix: re-download the file",
            ib_quote(name, shown), ib_quotez(where, place), valid);
    if (json_object_size(t->by_name) >= MAX_TEMPLATES)
        return ib_fail(err, IB_E_RESOURCE, "more than %d templates in %s; fix: remove some",
                       MAX_TEMPLATES, ib_quotez(where, place));
    json_t *text = json_stringn_nocheck(source.ptr ? source.ptr : "", source.len);
    if (!text || json_object_setn_new_nocheck(t->by_name, name.ptr, name.len, text) != 0)
        return ib_fail_memory(err, source.len, "a chat template");
    return IB_OK;
}

/* --- a folder --- */

static ib_status add_file(ib_chat_templates *t, ib_str name, const char *path, ib_error *err) {
    ib_buf text;
    ib_buf_init(&text);
    ib_status status = ib_file_read(&text, path, MAX_TEMPLATE, err);
    if (status == IB_OK)
        status = add(t, name, (ib_str){text.len ? text.ptr : "", text.len}, path, err);
    ib_buf_clear(&text);
    return status;
}

static ib_status add_default_file(ib_chat_templates *t, const char *folder, ib_error *err) {
    char *path = ib_path_join(folder, "chat_template.jinja");
    ib_status status = IB_OK;
    if (!path)
        return ib_fail_memory(err, strlen(folder), "a path");
    if (ib_path_exists(path)) {
        status = add_file(t, IB_STR("default"), path, err);
        if (status == IB_OK)
            status = set_origin(t, "chat_template.jinja", err);
    }
    free(path);
    return status;
}

static ib_status add_named_file(ib_chat_templates *t, const char *folder, const char *file,
                                ib_error *err) {
    ib_str name = ib_str_of(file);
    if (!ib_str_ends(name, ".jinja"))
        return IB_OK;
    name.len -= strlen(".jinja");
    char *path = ib_path_join(folder, file);
    if (!path)
        return ib_fail_memory(err, strlen(folder), "a path");
    ib_status status = add_file(t, name, path, err);
    free(path);
    return status == IB_OK ? set_origin(t, "additional_chat_templates", err) : status;
}

static ib_status add_folder(ib_chat_templates *t, const char *folder, ib_error *err) {
    char *path = ib_path_join(folder, "additional_chat_templates"), shown[IB_QUOTED];
    ib_status status = IB_OK;
    if (!path)
        return ib_fail_memory(err, strlen(folder), "a path");
    if (ib_path_is_dir(path)) {
        DIR *dir = opendir(path);
        if (!dir)
            status = ib_fail(err, IB_E_INPUT, "cannot read folder %s; fix: check its permissions",
                             ib_quotez(path, shown));
        for (struct dirent *e; status == IB_OK && dir && (e = readdir(dir)) != NULL;)
            status = add_named_file(t, path, e->d_name, err);
        if (dir)
            (void)closedir(dir);
    }
    free(path);
    return status;
}

static ib_status add_list(ib_chat_templates *t, const json_t *list, const char *where,
                          ib_error *err) {
    char shown[IB_QUOTED];
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i), *name = json_object_get(item, "name"),
                     *text = json_object_get(item, "template");
        if (!json_is_string(name) || !json_is_string(text))
            return ib_fail(err, IB_E_FORMAT,
                           "bad value in %s at /chat_template/%zu: expected an object with strings "
                           "\"name\" and \"template\"; fix: correct the file",
                           ib_quotez(where, shown), i);
        ib_str key = {json_string_value(name), json_string_length(name)};
        ib_str source = {json_string_value(text), json_string_length(text)};
        IB_TRY(add(t, key, source, where, err));
    }
    return IB_OK;
}

static ib_status add_config(ib_chat_templates *t, const char *folder, ib_error *err) {
    char *path = ib_path_join(folder, "tokenizer_config.json"), shown[IB_QUOTED];
    json_t *config = NULL;
    if (!path)
        return ib_fail_memory(err, strlen(folder), "a path");
    ib_status status = ib_path_exists(path) ? ib_json_load(&config, path, 0, err) : IB_OK;
    const json_t *v = config ? json_object_get(config, "chat_template") : NULL;
    if (status == IB_OK && json_is_string(v))
        status = add(t, IB_STR("default"), (ib_str){json_string_value(v), json_string_length(v)},
                     path, err);
    else if (status == IB_OK && json_is_array(v))
        status = add_list(t, v, path, err);
    else if (status == IB_OK && v && !json_is_null(v))
        status = ib_fail(
            err, IB_E_FORMAT,
            "bad value in %s at /chat_template: expected a string or a list; fix: correct the file",
            ib_quotez(path, shown));
    if (status == IB_OK && json_object_size(t->by_name))
        status = set_origin(t, "tokenizer_config.json", err);
    json_decref(config);
    free(path);
    return status;
}

ib_status ib_chat_templates_load(ib_chat_templates *out, const char *folder, ib_error *err) {
    IB_TRY(init(out, err));
    ib_status status = add_default_file(out, folder, err);
    if (status == IB_OK)
        status = add_folder(out, folder, err);
    if (status == IB_OK && json_object_size(out->by_name) == 0)
        status = add_config(out, folder, err);
    if (status != IB_OK)
        ib_chat_templates_clear(out);
    return status;
}

ib_status ib_chat_templates_set(ib_chat_templates *out, const ib_str *names, const ib_str *sources,
                                size_t n, ib_error *err) {
    IB_TRY(init(out, err));
    ib_status status = IB_OK;
    for (size_t i = 0; i < n && status == IB_OK; i++) {
        bool plain = !names || names[i].len == 0;
        status = add(out, plain ? IB_STR("default") : names[i], sources[i], "GGUF metadata", err);
    }
    if (status == IB_OK && n)
        status = set_origin(out, "GGUF metadata", err);
    if (status != IB_OK)
        ib_chat_templates_clear(out);
    return status;
}

/* --- choosing and rendering --- */

static bool given(const json_t *v) {
    return v && !json_is_null(v);
}

ib_status ib_chat_select(const ib_chat_templates *t, const ib_chat_request *request, ib_str *source,
                         ib_error *err) {
    size_t n = json_object_size(t->by_name);
    const json_t *v = NULL;
    *source = (ib_str){NULL, 0};
    if (n == 0)
        return ib_fail(err, IB_E_INPUT,
                       "no chat template in the model's files; fix: give a plain prompt "
                       "or a template file");
    if (given(request->tools))
        v = json_object_get(t->by_name, "tool_use");
    if (!v)
        v = json_object_get(t->by_name, "default");
    if (!v && n == 1)
        v = json_object_iter_value(json_object_iter(t->by_name));
    if (!v)
        return ib_fail(
            err, IB_E_FORMAT,
            "%zu chat templates in %s and none is named \"default\"; fix: choose a template", n,
            t->origin ? t->origin : "the model's files");
    *source = (ib_str){json_string_value(v), json_string_length(v)};
    return IB_OK;
}

static bool set_member(json_t *context, const char *name, const json_t *v) {
    /* the context only holds a reference; nothing in the interpreter writes to it */
    json_t *member = given(v) ? (json_t *)(uintptr_t)v : json_null();
    return json_object_set(context, name, member) == 0;
}

static bool set_members(json_t *context, const json_t *from, bool skip_null) {
    const char *key;
    size_t len;
    json_t *v;
    json_object_keylen_foreach((json_t *)(uintptr_t)from, key, len, v) {
        if ((!skip_null || given(v)) && json_object_setn_nocheck(context, key, len, v) != 0)
            return false;
    }
    return true;
}

static ib_status make_context(json_t *context, const ib_chat_request *r, ib_error *err) {
    static const char *const reserved[] = {"messages", "tools", "documents",
                                           "add_generation_prompt"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (json_object_get(r->kwargs, reserved[i]))
            return ib_fail(
                err, IB_E_USAGE,
                "template argument %s given twice; fix: leave it out of the extra arguments",
                reserved[i]);
    bool ok =
        set_members(context, r->special_tokens, true) && set_members(context, r->kwargs, false) &&
        set_member(context, "messages", r->messages) && set_member(context, "tools", r->tools) &&
        set_member(context, "documents", r->documents) &&
        json_object_set_new(context, "add_generation_prompt",
                            json_boolean(r->add_generation_prompt)) == 0;
    return ok ? IB_OK : ib_fail_memory(err, 1024, "the template's variables");
}

ib_status ib_chat_render(ib_str source, const ib_chat_request *request, ib_buf *out,
                         ib_jinja_problem *problem, ib_error *err) {
    ib_jinja *t = NULL;
    struct tm now = {0};
    if (!json_is_array(request->messages))
        return ib_fail(err, IB_E_FORMAT,
                       "messages are not a list; fix: give a JSON array of objects");
    if (!request->now) {
        time_t seconds = time(NULL);
        if (seconds == (time_t)-1 || !localtime_r(&seconds, &now))
            return ib_fail(err, IB_E_INTERNAL,
                           "the local time is not known; fix: give a fixed date");
    }
    json_t *context = json_object();
    if (!context)
        return ib_fail_memory(err, 64, "the template's variables");
    ib_status status = make_context(context, request, err);
    if (status == IB_OK)
        status = ib_jinja_compile(&t, source, "of the model", problem, err);
    if (status == IB_OK)
        status = ib_jinja_render(t, context, request->now ? request->now : &now, NULL, out, problem,
                                 err);
    ib_jinja_free(t);
    json_decref(context);
    return status;
}
