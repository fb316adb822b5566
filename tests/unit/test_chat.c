/* SPDX-License-Identifier: MIT
 * Which chat template applies, from which file, and what it is given. */
#include "support.h"

#include "base/file.h"
#include "text/chat.h"

#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/ib-test-chat-XXXXXX";

static void path_of(const char *name, char out[300]) {
    (void)snprintf(out, 300, "%s/%s", folder, name);
}

static void write_file(const char *name, const char *text) {
    char path[300];
    ib_error err = {0};
    path_of(name, path);
    assert_int_equal(ib_file_write(path, text, strlen(text), &err), IB_OK);
}

static void remove_file(const char *name) {
    char path[300];
    path_of(name, path);
    (void)unlink(path);
}

static int make_folder(void **state) {
    char path[300];
    (void)state;
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    if (!mkdtemp(folder))
        return -1;
    path_of("additional_chat_templates", path);
    return mkdir(path, 0700);
}

static int remove_folder(void **state) {
    char path[300];
    (void)state;
    remove_file("chat_template.jinja");
    remove_file("tokenizer_config.json");
    remove_file("additional_chat_templates/tool_use.jinja");
    remove_file("additional_chat_templates/rag.jinja");
    remove_file("additional_chat_templates/notes.txt");
    path_of("additional_chat_templates", path);
    (void)rmdir(path);
    return rmdir(folder);
}

static ib_chat_templates load(void) {
    ib_chat_templates t;
    ib_error err = {0};
    if (ib_chat_templates_load(&t, folder, &err) != IB_OK)
        fail_msg("%s", err.text);
    return t;
}

/* The chosen source is text, or status is what choosing gives. */
static void chosen(const ib_chat_templates *t, const json_t *tools, ib_status status,
                   const char *text) {
    ib_chat_request request = {.tools = tools};
    ib_error err = {0};
    ib_str source;
    assert_int_equal(ib_chat_select(t, &request, &source, &err), status);
    if (status == IB_OK)
        assert_true(ib_str_is(source, text));
    else
        assert_non_null(strstr(err.text, "; fix: "));
}

static void nothing_is_no_error(void **state) {
    (void)state;
    ib_chat_templates t = load();
    assert_int_equal(json_object_size(t.by_name), 0);
    chosen(&t, NULL, IB_E_INPUT, NULL);
    ib_chat_templates_clear(&t);
    write_file("tokenizer_config.json", "{\"chat_template\": null}");
    t = load();
    chosen(&t, NULL, IB_E_INPUT, NULL);
    ib_chat_templates_clear(&t);
}

static void files_replace_the_config(void **state) {
    (void)state;
    write_file("tokenizer_config.json", "{\"chat_template\": \"from config\"}");
    ib_chat_templates t = load();
    assert_string_equal(t.origin, "tokenizer_config.json");
    chosen(&t, NULL, IB_OK, "from config");
    ib_chat_templates_clear(&t);
    write_file("chat_template.jinja", "from file");
    t = load();
    assert_string_equal(t.origin, "chat_template.jinja");
    chosen(&t, NULL, IB_OK, "from file");
    assert_int_equal(json_object_size(t.by_name), 1);
    ib_chat_templates_clear(&t);
}

static void named_files(void **state) {
    json_t *tools = json_array();
    (void)state;
    write_file("tokenizer_config.json", "{\"chat_template\": \"from config\"}");
    write_file("additional_chat_templates/rag.jinja", "rag");
    write_file("additional_chat_templates/notes.txt", "not a template");
    ib_chat_templates t = load();
    assert_string_equal(t.origin, "additional_chat_templates");
    chosen(&t, NULL, IB_OK, "rag"); /* the only one */
    ib_chat_templates_clear(&t);
    write_file("additional_chat_templates/tool_use.jinja", "with tools");
    t = load();
    chosen(&t, NULL, IB_E_FORMAT, NULL); /* two, none is the default */
    chosen(&t, tools, IB_OK, "with tools");
    ib_chat_templates_clear(&t);
    write_file("chat_template.jinja", "plain");
    t = load();
    chosen(&t, NULL, IB_OK, "plain");
    chosen(&t, json_null(), IB_OK, "plain");
    chosen(&t, tools, IB_OK, "with tools");
    ib_chat_templates_clear(&t);
    json_decref(tools);
}

static void list_in_the_config(void **state) {
    json_t *tools = json_array();
    (void)state;
    write_file("tokenizer_config.json",
               "{\"chat_template\": [{\"name\": \"default\", \"template\": \"D\"},"
               " {\"name\": \"tool_use\", \"template\": \"T\"}]}");
    ib_chat_templates t = load();
    chosen(&t, NULL, IB_OK, "D");
    chosen(&t, tools, IB_OK, "T");
    ib_chat_templates_clear(&t);
    json_decref(tools);
}

static void bad_files_are_refused(void **state) {
    static const struct {
        const char *text;
        ib_status status;
    } cases[] = {
        {"{\"chat_template\": 5}", IB_E_FORMAT},
        {"{\"chat_template\": [5]}", IB_E_FORMAT},
        {"{\"chat_template\": [{\"name\": \"default\"}]}", IB_E_FORMAT},
        {"{\"chat_template\": [{\"name\": \"../x\", \"template\": \"\"}]}", IB_E_FORMAT},
        {"{\"chat_template\": [{\"name\": \"\", \"template\": \"\"}]}", IB_E_FORMAT},
        {"{\"chat_template\": [{\"name\": \"a\\u0000b\", \"template\": \"\"}]}", IB_E_FORMAT},
        {"{", IB_E_FORMAT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ib_chat_templates t;
        ib_error err = {0};
        write_file("tokenizer_config.json", cases[i].text);
        assert_int_equal(ib_chat_templates_load(&t, folder, &err), cases[i].status);
        assert_null(t.by_name);
    }
    ib_chat_templates t;
    ib_error err = {0};
    write_file("chat_template.jinja", "bad \xff");
    assert_int_equal(ib_chat_templates_load(&t, folder, &err), IB_E_FORMAT);
}

static void gguf_names(void **state) {
    const ib_str names[] = {{NULL, 0}, IB_STR("tool_use")}, sources[] = {IB_STR("D"), IB_STR("T")};
    ib_chat_templates t;
    ib_error err = {0};
    json_t *tools = json_array();
    (void)state;
    assert_int_equal(ib_chat_templates_set(&t, names, sources, 2, &err), IB_OK);
    chosen(&t, NULL, IB_OK, "D");
    chosen(&t, tools, IB_OK, "T");
    ib_chat_templates_clear(&t);
    assert_int_equal(ib_chat_templates_set(&t, NULL, sources, 1, &err), IB_OK);
    chosen(&t, NULL, IB_OK, "D");
    ib_chat_templates_clear(&t);
    json_decref(tools);
}

static void rendered(ib_chat_request *r, const char *source, const char *text) {
    ib_buf out;
    ib_error err = {0};
    ib_buf_init(&out);
    if (ib_chat_render(ib_str_of(source), r, &out, NULL, &err) != IB_OK)
        fail_msg("%s", err.text);
    assert_string_equal(out.ptr, text);
    ib_buf_clear(&out);
}

static void what_a_template_sees(void **state) {
    static const struct tm day = {.tm_year = 125, .tm_mon = 6, .tm_mday = 4};
    json_t *messages = json_pack("[{s:s,s:s}]", "role", "user", "content", "hi");
    json_t *special = json_pack("{s:s,s:n}", "bos_token", "<s>", "eos_token");
    json_t *kwargs = json_pack("{s:b,s:s}", "enable_thinking", 0, "bos_token", "<b>");
    json_t *tools = json_pack("[{s:s}]", "name", "f");
    ib_chat_request r = {.messages = messages, .add_generation_prompt = true, .now = &day};
    (void)state;
    rendered(&r,
             "{{ messages[0].content }} {{ tools is defined }} {{ tools is none }} {{ documents is "
             "none }} "
             "{{ add_generation_prompt }} {{ bos_token is defined }}",
             "hi True True True True False");
    rendered(&r, "{{ strftime_now('%d %b %Y') }}", "04 Jul 2025");
    r.special_tokens = special;
    rendered(&r, "{{ bos_token }} {{ eos_token is defined }}", "<s> False");
    r.kwargs = kwargs;
    r.tools = tools;
    r.documents = json_null();
    r.add_generation_prompt = false;
    rendered(&r,
             "{{ bos_token }} {{ enable_thinking }} {{ tools|tojson }} {{ documents }} {{ "
             "add_generation_prompt }}",
             "<b> False [{\"name\": \"f\"}] None False");
    r.now = NULL;
    rendered(&r, "{{ strftime_now('%Y')|length }}", "4");
    json_decref(messages);
    json_decref(special);
    json_decref(kwargs);
    json_decref(tools);
}

static void bad_requests(void **state) {
    json_t *messages = json_array(), *kwargs = json_pack("{s:i}", "messages", 1),
           *object = json_object();
    ib_chat_request r = {.messages = messages, .kwargs = kwargs};
    ib_jinja_problem problem = {.message = NULL};
    ib_error err = {0};
    ib_buf out;
    (void)state;
    ib_buf_init(&out);
    assert_int_equal(ib_chat_render(IB_STR("x"), &r, &out, NULL, &err), IB_E_USAGE);
    r = (ib_chat_request){.messages = object};
    assert_int_equal(ib_chat_render(IB_STR("x"), &r, &out, NULL, &err), IB_E_FORMAT);
    r.messages = messages;
    assert_int_equal(
        ib_chat_render(IB_STR("{{ raise_exception('no') }}"), &r, &out, &problem, &err),
        IB_E_FORMAT);
    assert_string_equal(problem.message, "no");
    assert_string_equal(problem.type, "TemplateError");
    assert_int_equal(problem.line, 1);
    ib_jinja_problem_clear(&problem);
    ib_buf_clear(&out);
    json_decref(messages);
    json_decref(kwargs);
    json_decref(object);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(nothing_is_no_error),
        IN_FOLDER(files_replace_the_config),
        IN_FOLDER(named_files),
        IN_FOLDER(list_in_the_config),
        IN_FOLDER(bad_files_are_refused),
        cmocka_unit_test(gguf_names),
        cmocka_unit_test(what_a_template_sees),
        cmocka_unit_test(bad_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
