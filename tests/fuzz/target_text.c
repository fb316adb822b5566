/* SPDX-License-Identifier: MIT
 * Text: tokenizer.json, text to ids and back by two routes, regular expressions, chat templates and
 * messages. */
#include "bench/user_text.h"
#include "fuzz.h"
#include "text/chat.h"
#include "text/tok.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ib_str sample = {
    "Hello wORLD  \xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80 12345's\n\t<s> x\xFF", 39};

/* --- what must hold of any tokenizer and any text --- */

static ib_status stream_text(const ib_tokenizer *t, const ib_ids *ids, bool skip, ib_buf *out,
                             ib_error *err) {
    ib_decode_stream *s = NULL;
    ib_status st = ib_decode_stream_new(&s, t, skip, err);
    for (size_t i = 0; st == IB_OK && i < ids->n; i++) {
        st = ib_decode_stream_push(s, ids->ids[i], out, err);
        if (st == IB_OK && out->len)
            fuzz_must(ib_utf8_valid_prefix(out->ptr, out->len) == out->len);
    }
    if (st == IB_OK)
        st = ib_decode_stream_finish(s, out, err);
    ib_decode_stream_free(s);
    return st;
}

/* The text of ids in one piece and token by token. */
static ib_status check_decode(const ib_tokenizer *t, const ib_ids *ids, bool skip, ib_buf *whole,
                              ib_error *err) {
    ib_buf streamed;
    ib_buf_init(&streamed);
    ib_status st = ib_tokenizer_decode(t, ids->ids, ids->n, skip, whole, err);
    if (st == IB_OK)
        st = stream_text(t, ids, skip, &streamed, err);
    if (st == IB_OK) {
        fuzz_must(whole->len == streamed.len);
        fuzz_must(!whole->len || memcmp(whole->ptr, streamed.ptr, whole->len) == 0);
        fuzz_must(ib_utf8_valid_prefix(whole->ptr, whole->len) == whole->len);
    }
    ib_buf_clear(&streamed);
    return st;
}

static ib_status encode_twice(const ib_tokenizer *t, ib_str text, const ib_encode_options *o,
                              ib_ids *ids, ib_error *err) {
    ib_ids again = {0};
    size_t n_special = 0;
    ib_status st = ib_tokenizer_encode(t, text, o, ids, &n_special, err);
    if (st == IB_OK)
        st = ib_tokenizer_encode(t, text, o, &again, NULL, err);
    if (st == IB_OK) {
        fuzz_must(again.n == ids->n);
        fuzz_must(!ids->n || memcmp(again.ids, ids->ids, ids->n * sizeof *ids->ids) == 0);
        for (size_t i = 0; i < ids->n; i++)
            fuzz_must(ids->ids[i] < ib_tokenizer_n_vocab(t));
    }
    ib_ids_clear(&again);
    return st;
}

ib_status fuzz_tokenizer(const uint8_t *data, size_t n, ib_error *err) {
    ib_tokenizer *t = NULL;
    ib_ids ids = {0};
    ib_buf text;
    const ib_encode_options o = {.add_special_tokens = true};
    ib_buf_init(&text);
    (void)fuzz_file("tokenizer.json", data, n);
    ib_status st = ib_tokenizer_open(&t, fuzz_folder(), NULL, err);
    if (st == IB_OK)
        st = encode_twice(t, sample, &o, &ids, err);
    if (st == IB_OK)
        st = check_decode(t, &ids, false, &text, err);
    if (st == IB_OK)
        st = ib_tokenizer_clean_up(t, &text, err);
    if (t)
        for (uint32_t id = 0; id < 32; id++) {
            bool special;
            const ib_str token = ib_tokenizer_token(t, id, &special);
            fuzz_touch(token.ptr, token.len);
        }
    ib_buf_clear(&text);
    ib_ids_clear(&ids);
    ib_tokenizer_free(t);
    return st;
}

/* --- encode: byte 0 chooses the tokenizer, byte 1 the options --- */

static const struct {
    const char *name;
    bool lossless; /* decoding gives the text back */
} known[] = {{"bpe_bytes", true},
             {"bpe_bytes_llama3", true},
             {"bpe_sp", false},
             {"bpe_sp_gemma", false},
             {"bpe_unk_fused", false},
             {"unigram", false},
             {"unigram_bytes", false},
             {"wordpiece", false},
             {"wordlevel", false},
             {"norm_all", false},
             {"norm_precompiled", false},
             {"norm_bert", false},
             {"norm_strip_accents", false},
             {"pre_deepseek", false},
             {"pre_cl100k", false},
             {"pre_kimi", false},
             {"pre_sequence", false},
             {"pre_scripts", false},
             {"dec_ctc", false},
             {"dec_wordpiece", false},
             {"dec_llama", false},
             {"pre_metaspace_old", false},
             {"pre_back_reference", false}};
enum { N_KNOWN = sizeof known / sizeof known[0] };

static const ib_tokenizer *fixture(size_t i) {
    static ib_tokenizer *open[N_KNOWN];
    if (!open[i]) {
        char path[256];
        ib_error err = {0};
        fuzz_pause();
        (void)snprintf(path, sizeof path, "%s/tests/golden/tokenizers/%s", IB_SOURCE_DIR,
                       known[i].name);
        if (ib_tokenizer_open(&open[i], path, NULL, &err) != IB_OK)
            fuzz_fail(err.text, __FILE__, __LINE__);
        fuzz_resume();
    }
    return open[i];
}

ib_status fuzz_encode(const uint8_t *data, size_t n, ib_error *err) {
    const size_t which = n ? data[0] % N_KNOWN : 0;
    const unsigned flags = n > 1 ? data[1] : 0;
    const ib_tokenizer *t = fixture(which);
    const ib_str text = {n > 2 ? (const char *)data + 2 : "", n > 2 ? n - 2 : 0};
    const ib_encode_options o = {.add_special_tokens = flags & 1, .no_parse_special = flags & 2};
    ib_ids ids = {0};
    ib_buf back;
    ib_buf_init(&back);
    ib_status st = encode_twice(t, text, &o, &ids, err);
    if (st == IB_OK)
        st = check_decode(t, &ids, flags & 4, &back, err);
    if (st == IB_OK && known[which].lossless && !(flags & 5) &&
        !(text.len && memchr(text.ptr, '<', text.len)) && /* added tokens take blanks with them */
        ib_utf8_valid_prefix(text.ptr, text.len) == text.len)
        fuzz_must(back.len == text.len && (!text.len || memcmp(back.ptr, text.ptr, text.len) == 0));
    ib_buf_clear(&back);
    ib_ids_clear(&ids);
    if (st != IB_OK || n < 6)
        return st;
    /* any ids at all */
    ids.n = (n - 2) / 4;
    fuzz_pause();
    ids.ids = malloc(ids.n * sizeof *ids.ids);
    fuzz_must(ids.ids);
    memcpy(ids.ids, data + 2, ids.n * sizeof *ids.ids);
    for (size_t i = 0; i < ids.n; i += 2)
        ids.ids[i] %= (uint32_t)ib_tokenizer_n_vocab(t) + 1;
    fuzz_resume();
    st = check_decode(t, &ids, flags & 4, &back, err);
    fuzz_pause();
    free(ids.ids);
    fuzz_resume();
    ib_buf_clear(&back);
    return st;
}

/* --- regex: a pattern, a zero byte, a subject --- */

ib_status fuzz_regex(const uint8_t *data, size_t n, ib_error *err) {
    const uint8_t *zero = n ? memchr(data, 0, n) : NULL;
    const size_t pattern_len = zero ? (size_t)(zero - data) : n;
    const ib_str source = {(const char *)data, pattern_len};
    const ib_str subject = zero ? (ib_str){(const char *)zero + 1, n - pattern_len - 1} : sample;
    ib_tok_store store = {0};
    ib_tok_matcher matcher = {0};
    ib_tok_regex *regex = NULL;
    if (ib_utf8_valid_prefix(source.ptr, source.len) != source.len ||
        ib_utf8_valid_prefix(subject.ptr, subject.len) != subject.len || subject.len > 512)
        return IB_OK;
    ib_arena_init(&store.arena, 0);
    ib_status st = ib_tok_regex_new(&store, source, &regex, err);
    if (st == IB_OK) {
        const ib_tok_pattern pattern = {.regex = regex};
        ib_tok_finder finder = ib_tok_find(&pattern, &matcher, subject);
        bool more = true;
        size_t begin = 0, end = 0, last = 0;
        while (st == IB_OK && more) {
            st = ib_tok_find_next(&finder, &begin, &end, &more, err);
            if (st != IB_OK || !more)
                break;
            fuzz_must(begin <= end && end <= subject.len && begin >= last);
            last = end;
        }
    }
    ib_tok_matcher_clear(&matcher);
    ib_tok_regex_free_all(&store);
    ib_arena_clear(&store.arena);
    return st;
}

/* --- chat templates --- */

static const char context_text[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"Be "
    "<brief>\"},{\"role\":\"user\",\"content\":"
    "\"Hi \\u00e9\\n\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{"
    "\"name\":\"f\",\"arguments\":{\"a\":[1,2.5,true,null]}}}]}],\"tools\":[{\"name\":\"f\"}],"
    "\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"add_generation_prompt\":true,\"n\":3,"
    "\"items\":[3,1,2],\"text\":\"a b, c\",\"x\":{\"k\":\"v\"}}";

/* A template; behind a zero byte, its context as JSON instead of the usual one. */
ib_status fuzz_jinja(const uint8_t *data, size_t n, ib_error *err) {
    static const ib_jinja_limits limits = {
        .steps = 20000, .output_bytes = 1 << 18, .memory_bytes = 1 << 22};
    static const struct tm now = {.tm_year = 125, .tm_mon = 1, .tm_mday = 3, .tm_hour = 4};
    const uint8_t *zero = n ? memchr(data, 0, n) : NULL;
    const size_t len = zero ? (size_t)(zero - data) : n;
    const ib_str text =
        zero ? (ib_str){(const char *)zero + 1, n - len - 1} : ib_str_of(context_text);
    json_t *context = NULL;
    ib_jinja *t = NULL;
    ib_jinja_problem problem = {0};
    ib_buf out;
    ib_buf_init(&out);
    ib_status st = ib_json_parse(&context, text, "context", err);
    if (st == IB_OK && json_is_object(context)) {
        st = ib_jinja_compile(&t, (ib_str){(const char *)data, len}, "fuzz", &problem, err);
        if (st == IB_OK)
            st = ib_jinja_render(t, context, &now, &limits, &out, &problem, err);
    }
    fuzz_must(out.len <= 1 << 18);
    if (problem.message)
        fuzz_touch(problem.message, strlen(problem.message));
    ib_jinja_problem_clear(&problem);
    ib_jinja_free(t);
    json_decref(context);
    ib_buf_clear(&out);
    return st;
}

static const char chatml[] =
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m.content is string %}{{ m.content "
    "| "
    "trim }}{% elif m.content is iterable %}{% for part in m.content %}{{ part.text }}{% endfor %}"
    "{% else %}{{ m | tojson }}{% endif %}<|im_end|>\n{% endfor %}{% if tools %}{{ tools | "
    "tojson(indent=2) }}{% endif %}";

/* Messages (any JSON), rendered and cut into ids with and without special tokens of their own. */
ib_status fuzz_chat(const uint8_t *data, size_t n, ib_error *err) {
    json_t *messages = NULL;
    ib_buf out;
    ib_ids ids = {0};
    size_t n_special = 0;
    ib_jinja_problem problem = {0};
    const ib_tokenizer *t = fixture(0);
    ib_buf_init(&out);
    ib_status st = ib_json_parse(&messages, (ib_str){(const char *)data, n}, "messages", err);
    const ib_chat_request request = {.messages = messages,
                                     .tools = json_object_get(json_array_get(messages, 0), "tools"),
                                     .add_generation_prompt = true};
    if (st == IB_OK)
        st = ib_chat_render(ib_str_of(chatml), &request, &out, &problem, err);
    const ib_str rendered = {out.ptr ? out.ptr : "", out.len};
    if (st == IB_OK)
        st = ib_user_specials(t, messages, &n_special, err);
    if (st == IB_OK)
        st = ib_user_encode_plain(t, rendered, messages, &ids, err);
    if (st == IB_OK) {
        (void)ib_user_text_kept(rendered, messages);
        for (size_t i = 0; i < ids.n; i++)
            fuzz_must(ids.ids[i] < ib_tokenizer_n_vocab(t));
    }
    ib_ids_clear(&ids);
    ib_jinja_problem_clear(&problem);
    ib_buf_clear(&out);
    json_decref(messages);
    return st;
}
