/* SPDX-License-Identifier: MIT
 * What several subcommands share: engine settings from options, the text side of a model, and the
 * loop over JSON lines. */
#include "cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- engine settings --- */

static ib_attention attention_of(const char *name) {
    for (int a = 0; name && a < IB_ATTN_COUNT; a++)
        if (strcmp(ib_attention_name((ib_attention)a), name) == 0)
            return (ib_attention)a;
    return IB_ATTN_EAGER;
}

int ib_cli_dtype(const ib_options *o) {
    const char *name = o->dtype;
    if (name && strcmp(name, "float32") == 0)
        return IB_TYPE_F32;
    if (name && strcmp(name, "float16") == 0)
        return IB_TYPE_F16;
    if (name && strcmp(name, "bfloat16") == 0)
        return IB_TYPE_BF16;
    return -1;
}

static ib_compute compute_of(const ib_options *o) {
    if (o->compute && strcmp(o->compute, "int8") == 0)
        return IB_COMPUTE_INT8;
    if ((o->compute && strcmp(o->compute, "float32") == 0) || ib_cli_dtype(o) == IB_TYPE_F32)
        return IB_COMPUTE_FLOAT32;
    return IB_COMPUTE_AUTO;
}

static ib_load_mode load_mode_of(const ib_options *o) {
    for (int m = IB_LOAD_TOUCH; o->load_mode && m <= IB_LOAD_READ; m++)
        if (strcmp(o->load_mode, ib_load_mode_name((ib_load_mode)m)) == 0)
            return (ib_load_mode)m;
    return IB_LOAD_TOUCH;
}

void ib_cli_engine_config(const ib_cli *cli, const ib_options *o, ib_engine_config *out) {
    *out = (ib_engine_config){.model_id = o->model_id,
                              .revision = o->revision,
                              .cache_dir = o->cache_dir,
                              .hub_env = &cli->hub_env,
                              .device = o->device,
                              .cpu_tier = o->cpu_tier,
                              .pin = o->pin,
                              .load_mode = load_mode_of(o),
                              .attention = attention_of(o->attn),
                              .compute = compute_of(o),
                              .dtype = ib_cli_dtype(o),
                              .n_threads = (int)o->threads,
                              .weights = true,
                              .seed = o->seed,
                              .log = &cli->log};
    if (o->command->id == IB_COMMAND_RUN || o->command->id == IB_COMMAND_LOGITS)
        out->quant = o->quant; /* elsewhere it is what to make */
}

/* --- tokenizer and templates --- */

static bool holds_file(const char *folder, const char *name) {
    char *path = ib_path_join(folder, name);
    bool there = path && ib_path_exists(path);
    free(path);
    return there;
}

static ib_status open_folder(ib_cli_text *t, const char *folder, const ib_log *log, ib_error *err) {
    if (holds_file(folder, "tokenizer.json"))
        IB_TRY(ib_tokenizer_open(&t->own_tokenizer, folder, log, err));
    IB_TRY(ib_chat_templates_load(&t->own_templates, folder, err));
    t->tokenizer = t->own_tokenizer;
    t->templates = &t->own_templates;
    return IB_OK;
}

static ib_status open_gguf(ib_cli_text *t, const ib_cli *cli, const char *path, ib_error *err) {
    ib_engine_config config;
    ib_cli_engine_config(cli, &cli->options, &config);
    config.model_id = path;
    config.weights = false;
    IB_TRY(ib_engine_open(&t->engine, &config, NULL, err));
    t->tokenizer = ib_engine_tokenizer(t->engine);
    t->templates = ib_engine_templates(t->engine);
    return IB_OK;
}

ib_status ib_cli_text_open(ib_cli_text *out, const ib_cli *cli, ib_error *err) {
    const ib_options *o = &cli->options;
    ib_hub_result found = {0};
    *out = (ib_cli_text){0};
    ib_status st = IB_OK;
    if (ib_path_is_dir(o->model_id))
        st = open_folder(out, o->model_id, &cli->log, err);
    else
        st = ib_hub_resolve(&found, o->model_id, o->revision, o->cache_dir, &cli->hub_env,
                            &cli->log, err);
    if (st == IB_OK && found.path)
        st = ib_path_is_dir(found.path) ? open_folder(out, found.path, &cli->log, err)
                                        : open_gguf(out, cli, found.path, err);
    ib_hub_result_clear(&found);
    if (st != IB_OK)
        ib_cli_text_close(out);
    return st;
}

void ib_cli_text_close(ib_cli_text *t) {
    ib_tokenizer_free(t->own_tokenizer);
    ib_chat_templates_clear(&t->own_templates);
    ib_engine_close(t->engine);
    *t = (ib_cli_text){0};
}

/* --- JSON lines --- */

ib_status ib_cli_json_text(ib_buf *out, const char *text, size_t n, ib_error *err) {
    static const char hex[] = "0123456789abcdef";
    IB_TRY(ib_buf_reserve(out, n + 2, err));
    IB_TRY(ib_buf_addc(out, '"', err));
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        char escape[7] = {'\\', (char)c, '\0'};
        IB_TRY(ib_buf_add(out, text + from, i - from, err));
        if (c == '\n')
            escape[1] = 'n';
        else if (c < 0x20)
            memcpy(escape, (char[7]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15], '\0'}, 7);
        IB_TRY(ib_buf_adds(out, escape, err));
        from = i + 1;
    }
    IB_TRY(ib_buf_add(out, text + from, n - from, err));
    return ib_buf_addc(out, '"', err);
}

typedef struct line_state {
    ib_cli *cli;
    ib_line_fn handle;
    void *user;
    ib_buf answer; /* owned */
    uint64_t n_lines, n_bad, first_bad;
} line_state;

static ib_status answer_error(line_state *s, const ib_error *problem, ib_error *err) {
    char type[32];
    size_t n = ib_utf8_valid_prefix(problem->text, strlen(problem->text));
    (void)snprintf(type, sizeof type, "E-%s", ib_status_name(problem->status));
    s->n_bad++;
    if (s->n_bad == 1)
        s->first_bad = s->n_lines;
    ib_buf_reset(&s->answer);
    IB_TRY(ib_buf_addf(&s->answer, err, "{\"error\":{\"type\":\"%s\",\"message\":", type));
    IB_TRY(ib_cli_json_text(&s->answer, problem->text, n, err));
    return ib_buf_adds(&s->answer, "}}", err);
}

static ib_status one_line(line_state *s, ib_str line, ib_error *err) {
    ib_error problem = {0};
    json_t *value = NULL;
    s->n_lines++;
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (!line.len)
        return IB_OK;
    ib_buf_reset(&s->answer);
    ib_status st = ib_json_parse(&value, line, "standard input", &problem);
    if (st == IB_OK && !json_is_object(value))
        st = ib_fail(&problem, IB_E_FORMAT,
                     "bad line in standard input: no JSON object; fix: give one object a line");
    if (st == IB_OK)
        st = s->handle(s->user, value, &s->answer, &problem);
    json_decref(value);
    if (st == IB_E_FORMAT || st == IB_E_UNSUPPORTED)
        IB_TRY(answer_error(s, &problem, err));
    else if (st != IB_OK)
        return ib_fail(err, st, "%s", problem.text);
    IB_TRY(ib_buf_addc(&s->answer, '\n', err));
    return ib_output_write(&s->cli->out, s->answer.ptr, s->answer.len, err);
}

/* Hands over the complete lines of in and keeps the rest. */
static ib_status take_lines(line_state *s, ib_buf *in, bool last, ib_error *err) {
    size_t from = 0;
    while (from < in->len && !s->cli->out.gone && !*ib_signals_flag()) {
        const char *p = in->ptr + from;
        const char *end = memchr(p, '\n', in->len - from);
        if (!end && !last)
            break;
        size_t n = end ? (size_t)(end - p) : in->len - from;
        IB_TRY(one_line(s, (ib_str){p, n}, err));
        from += n + (end != NULL);
    }
    if (from) {
        memmove(in->ptr, in->ptr + from, in->len - from);
        in->len -= from;
    }
    return IB_OK;
}

/* Answers leave before the next read waits, so that a program can hold a dialogue. */
static ib_status read_all(line_state *s, ib_buf *in, ib_error *err) {
    enum { CHUNK = 1 << 16, LINE_MAX_BYTES = 1 << 30 };
    for (;;) {
        IB_TRY(ib_signals_check(err));
        if (s->cli->out.gone)
            return IB_OK;
        if (in->len > LINE_MAX_BYTES)
            return ib_fail(err, IB_E_RESOURCE,
                           "line too long in standard input: more than %d bytes; fix: split it",
                           LINE_MAX_BYTES);
        IB_TRY(ib_buf_reserve(in, in->len > CHUNK ? in->len : CHUNK, err));
        ssize_t n = read(STDIN_FILENO, in->ptr + in->len, in->cap - in->len - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
            (void)poll(&wait, 1, 1000);
            continue;
        }
        if (n < 0)
            return ib_fail(err, IB_E_INPUT,
                           "cannot read in standard input: %s; fix: give JSON lines there",
                           strerror(errno));
        bool fresh = memchr(in->ptr + in->len, '\n', (size_t)n) != NULL;
        in->len += (size_t)n;
        if (fresh || n == 0)
            IB_TRY(take_lines(s, in, n == 0, err));
        IB_TRY(ib_output_flush(&s->cli->out, err));
        if (n == 0)
            return ib_signals_check(err);
    }
}

ib_status ib_cli_each_line(ib_cli *cli, ib_line_fn handle, void *user, ib_error *err) {
    line_state s = {.cli = cli, .handle = handle, .user = user};
    ib_buf in;
    ib_buf_init(&in);
    ib_signals_defer();
    ib_status st = ib_output_check(&cli->out, err);
    if (st == IB_OK)
        st = read_all(&s, &in, err);
    ib_buf_clear(&in);
    ib_buf_clear(&s.answer);
    if (st == IB_OK && s.n_bad)
        st = ib_fail(err, IB_E_FORMAT,
                     "bad lines in standard input: %llu, the first is line %llu; fix: see the "
                     "\"error\" members of the answers",
                     (unsigned long long)s.n_bad, (unsigned long long)s.first_bad);
    return st;
}
