/* SPDX-License-Identifier: MIT
 * Running patterns: PCRE2 with its just-in-time compiler where it can be had, bounded in steps per
 * match and in time per call, so that no pattern of a file can hang the program. */
#include "base/clock.h"
#include "text/tok.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define MATCH_LIMIT 2000000u /* per match, and 16 more for each byte of text */
#define HEAP_LIMIT_KIB 65536u
#define SECONDS_PER_CALL 5u

struct ib_tok_regex {
    pcre2_code *code;   /* owned */
    ib_tok_regex *next; /* in the store's list */
    ib_str source;      /* in the store */
    bool is_pcre2;      /* not to be translated */
    bool jit;
};

void ib_tok_regex_free_all(ib_tok_store *store) {
    while (store->regexes) {
        ib_tok_regex *r = store->regexes;
        store->regexes = r->next;
        pcre2_code_free(r->code);
        free(r);
    }
}

static ib_status compile(ib_tok_regex *r, ib_error *err) {
    ib_buf text;
    int code;
    PCRE2_SIZE offset;
    char source[IB_QUOTED];
    PCRE2_UCHAR why[160];
    ib_buf_init(&text);
    ib_status st = r->is_pcre2 ? ib_buf_add(&text, r->source.ptr, r->source.len, err)
                               : ib_tok_regex_translate(r->source, &text, err);
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (st == IB_OK && !context)
        st = ib_fail_memory(err, 0, "a regular expression");
    if (st == IB_OK) {
        (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
        r->code = pcre2_compile((PCRE2_SPTR)(text.ptr ? text.ptr : ""), text.len,
                                PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                                &code, &offset, context);
        if (!r->code) {
            (void)pcre2_get_error_message(code, why, sizeof why);
            st = ib_fail(
                err, IB_E_FORMAT,
                "bad regular expression in tokenizer.json: '%s': %s (column %zu of its PCRE2 "
                "form); fix: correct the file",
                ib_quote(r->source, source), (const char *)why, (size_t)offset + 1);
        }
    }
    if (st == IB_OK)
        r->jit = pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE) == 0;
    pcre2_compile_context_free(context);
    ib_buf_clear(&text);
    return st;
}

static ib_status regex_new(ib_tok_store *store, ib_str source, bool is_pcre2, ib_tok_regex **out,
                           ib_error *err) {
    *out = NULL;
    ib_tok_regex *r = calloc(1, sizeof *r);
    if (!r)
        return ib_fail_memory(err, sizeof *r, "a regular expression");
    r->next = store->regexes;
    store->regexes = r;
    r->source = ib_arena_str(&store->arena, source, err);
    if (!r->source.ptr)
        return IB_E_RESOURCE;
    r->is_pcre2 = is_pcre2;
    IB_TRY(compile(r, err));
    *out = r;
    return IB_OK;
}

ib_status ib_tok_regex_new(ib_tok_store *store, ib_str source, ib_tok_regex **out, ib_error *err) {
    return regex_new(store, source, false, out, err);
}

ib_status ib_tok_regex_new_pcre2(ib_tok_store *store, ib_str source, ib_tok_regex **out,
                                 ib_error *err) {
    return regex_new(store, source, true, out, err);
}

void ib_tok_matcher_clear(ib_tok_matcher *m) {
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
    *m = (ib_tok_matcher){0};
}

static ib_status matcher_ready(ib_tok_matcher *m, ib_error *err) {
    if (m->data)
        return IB_OK;
    m->context = pcre2_match_context_create(NULL);
    m->stack = pcre2_jit_stack_create(32u * 1024, 8u * 1024 * 1024, NULL);
    m->data = pcre2_match_data_create(1, NULL);
    if (!m->context || !m->data)
        return ib_fail_memory(err, 0, "matching");
    (void)pcre2_set_heap_limit(m->context, HEAP_LIMIT_KIB);
    if (m->stack)
        pcre2_jit_stack_assign(m->context, NULL, m->stack);
    return IB_OK;
}

static ib_status too_expensive(const ib_tok_regex *r, ib_error *err) {
    char source[IB_QUOTED];
    return ib_fail(
        err, IB_E_RESOURCE,
        "regular expression needs too many steps on this text, in tokenizer.json: '%s'; fix: "
        "use a tokenizer with a simpler pattern, or other text",
        ib_quote(r->source, source));
}

/* Time is looked at seldom; what one match may cost is bounded by MATCH_LIMIT. */
static ib_status check_time(ib_tok_matcher *m, const ib_tok_regex *r, size_t text_len,
                            ib_error *err) {
    if (m->n_calls++ & 15)
        return IB_OK;
    uint64_t now = ib_now_ns();
    if (!m->deadline_ns)
        m->deadline_ns = now + (SECONDS_PER_CALL + text_len / 10000000) * 1000000000u;
    return now < m->deadline_ns ? IB_OK : too_expensive(r, err);
}

static ib_status regex_search(const ib_tok_regex *r, ib_tok_matcher *m, ib_str subject, size_t from,
                              size_t *start, size_t *end, bool *found, ib_error *err) {
    int rc;
    IB_TRY(matcher_ready(m, err));
    IB_TRY(check_time(m, r, subject.len, err));
    PCRE2_SPTR text = (PCRE2_SPTR)subject.ptr;
    (void)pcre2_set_match_limit(m->context, MATCH_LIMIT + (uint32_t)(16 * (subject.len - from)));
    if (r->jit)
        rc = pcre2_jit_match(r->code, text, subject.len, from, PCRE2_NO_UTF_CHECK, m->data,
                             m->context);
    else
        rc = pcre2_match(r->code, text, subject.len, from, PCRE2_NO_UTF_CHECK, m->data, m->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(r->code, text, subject.len, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                         m->data, m->context);
    *found = rc >= 0;
    if (rc >= 0) {
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m->data);
        *start = at[0];
        *end = at[1] < at[0] ? at[0] : at[1];
        return IB_OK;
    }
    if (rc == PCRE2_ERROR_NOMATCH)
        return IB_OK;
    if (rc == PCRE2_ERROR_NOMEMORY)
        return ib_fail_memory(err, 0, "matching");
    return too_expensive(r, err);
}

ib_tok_finder ib_tok_find(const ib_tok_pattern *pattern, ib_tok_matcher *m, ib_str subject) {
    return (ib_tok_finder){pattern, m, subject, 0, 0, false};
}

static bool literal_search(ib_str needle, ib_str text, size_t from, size_t *at) {
    while (text.len - from >= needle.len) {
        const char *p = memchr(text.ptr + from, needle.ptr[0], text.len - from - needle.len + 1);
        if (!p)
            return false;
        if (memcmp(p, needle.ptr, needle.len) == 0) {
            *at = (size_t)(p - text.ptr);
            return true;
        }
        from = (size_t)(p - text.ptr) + 1;
    }
    return false;
}

ib_status ib_tok_find_next(ib_tok_finder *f, size_t *start, size_t *end, bool *found,
                           ib_error *err) {
    *found = false;
    if (!f->pattern->regex) {
        ib_str needle = f->pattern->literal;
        if (literal_search(needle, f->subject, f->next, start)) {
            *end = f->next = *start + needle.len;
            *found = true;
        }
        return IB_OK;
    }
    while (f->next <= f->subject.len) {
        IB_TRY(regex_search(f->pattern->regex, f->matcher, f->subject, f->next, start, end, found,
                            err));
        if (!*found)
            return IB_OK;
        if (*start != *end || !f->any || f->last_end != *end) {
            f->next = f->last_end = *end;
            f->any = true;
            return IB_OK;
        }
        *found = false;
        if (f->next >= f->subject.len)
            return IB_OK;
        (void)ib_tok_next_char(f->subject, &f->next);
    }
    return IB_OK;
}

/* The empty literal matches everywhere, as an empty regular expression does. */
static ib_status pattern_set(ib_tok_store *store, ib_str text, bool is_regex, ib_tok_pattern *out,
                             ib_error *err) {
    *out = (ib_tok_pattern){{NULL, 0}, NULL};
    if (is_regex || !text.len) {
        ib_tok_regex *r;
        IB_TRY(ib_tok_regex_new(store, text, &r, err));
        out->regex = r;
        return IB_OK;
    }
    out->literal = ib_arena_str(&store->arena, text, err);
    return out->literal.ptr ? IB_OK : IB_E_RESOURCE;
}

ib_status ib_tok_pattern_read(ib_tok_store *store, const json_t *value, const char *where,
                              ib_tok_pattern *out, ib_error *err) {
    const json_t *literal = json_is_string(value) ? value : json_object_get(value, "String");
    const json_t *regex = json_object_get(value, "Regex");
    const json_t *text = json_is_string(literal) ? literal : regex;
    if (!json_is_string(text))
        return ib_fail(
            err, IB_E_FORMAT,
            "bad pattern in %s: expected {\"String\": ...} or {\"Regex\": ...}; fix: correct "
            "the file",
            where);
    return pattern_set(store, (ib_str){json_string_value(text), json_string_length(text)},
                       text == regex, out, err);
}

ib_status ib_tok_replace_all(const ib_tok_pattern *pattern, ib_tok_matcher *m, ib_str text,
                             ib_str content, ib_buf *out, ib_error *err) {
    ib_tok_finder f = ib_tok_find(pattern, m, text);
    size_t done = 0, start, end;
    bool found;
    if (!text.len)
        return IB_OK;
    for (;;) {
        IB_TRY(ib_tok_find_next(&f, &start, &end, &found, err));
        if (!found)
            break;
        IB_TRY(ib_buf_add(out, text.ptr + done, start - done, err));
        IB_TRY(ib_buf_add(out, content.ptr, content.len, err));
        done = end;
    }
    return ib_buf_add(out, text.ptr + done, text.len - done, err);
}
