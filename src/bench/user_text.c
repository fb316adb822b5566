/* SPDX-License-Identifier: MIT
 * See user_text.h. The messages' texts are looked for in the rendered prompt one after the other; a
 * stretch around each, from the last special token before it to the first one behind it, is encoded
 * with special tokens as plain text. Such a stretch is what the tokenizer sees as one piece anyway,
 * so its ids are those that it would have had without special tokens in it. */
#include "bench/user_text.h"

#include <stdlib.h>
#include <string.h>

static ib_str trimmed(ib_str s) {
    while (s.len && strchr(" \t\r\n\v\f", s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && strchr(" \t\r\n\v\f", s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* Offset of part in text at or after from; SIZE_MAX when it is not there. */
static size_t find(ib_str text, ib_str part, size_t from) {
    if (part.len == 0 || part.len > text.len)
        return SIZE_MAX;
    for (size_t i = from; i + part.len <= text.len; i++) {
        const char *p = memchr(text.ptr + i, part.ptr[0], text.len - part.len - i + 1);
        if (!p)
            return SIZE_MAX;
        i = (size_t)(p - text.ptr);
        if (memcmp(p, part.ptr, part.len) == 0)
            return i;
    }
    return SIZE_MAX;
}

/* Texts of a message, in order: its content, or the "text" members of a list of parts. */
static ib_str message_text(const json_t *messages, size_t i, size_t part, bool *more) {
    const json_t *content = json_object_get(json_array_get(messages, i), "content");
    *more = false;
    if (json_is_array(content)) {
        *more = part < json_array_size(content);
        content = json_object_get(json_array_get(content, part), "text");
    } else if (part > 0) {
        return (ib_str){NULL, 0};
    } else {
        *more = true;
    }
    return json_is_string(content)
               ? (ib_str){json_string_value(content), json_string_length(content)}
               : (ib_str){NULL, 0};
}

ib_status ib_user_specials(const ib_tokenizer *t, const json_t *messages, size_t *n,
                           ib_error *err) {
    const ib_encode_options plain = {0};
    ib_ids ids = {0};
    ib_status st = IB_OK;
    *n = 0;
    for (size_t i = 0; i < json_array_size(messages); i++) {
        bool more = true;
        for (size_t part = 0; more && st == IB_OK; part++) {
            size_t found = 0;
            ib_str text = message_text(messages, i, part, &more);
            ids.n = 0;
            if (text.len)
                st = ib_tokenizer_encode(t, text, &plain, &ids, &found, err);
            *n += found;
        }
    }
    ib_ids_clear(&ids);
    return st;
}

bool ib_user_text_kept(ib_str rendered, const json_t *messages) {
    for (size_t i = 0; i < json_array_size(messages); i++) {
        bool more = true;
        for (size_t part = 0; more; part++) {
            ib_str text = trimmed(message_text(messages, i, part, &more));
            if (text.len && find(rendered, text, 0) == SIZE_MAX)
                return false;
        }
    }
    return true;
}

typedef struct specials { /* strings of the special added tokens, borrowed from the tokenizer */
    ib_str *texts;        /* owned [n] */
    size_t n;
} specials;

static ib_status specials_of(const ib_tokenizer *t, specials *out, ib_error *err) {
    size_t n_vocab = ib_tokenizer_n_vocab(t), cap = 0;
    *out = (specials){0};
    for (size_t id = 0; id < n_vocab; id++) {
        bool special = false;
        ib_str text = ib_tokenizer_token(t, (uint32_t)id, &special);
        if (!special || text.len == 0)
            continue;
        if (out->n == cap) {
            cap = cap ? 2 * cap : 64;
            ib_str *grown = realloc(out->texts, cap * sizeof *grown);
            if (!grown)
                return ib_fail_memory(err, cap * sizeof *grown, "special tokens");
            out->texts = grown;
        }
        out->texts[out->n++] = text;
    }
    return IB_OK;
}

/* End of the last special token that lies in text[from .. to). */
static size_t last_special_end(const specials *s, ib_str text, size_t from, size_t to) {
    size_t best = from;
    for (size_t k = 0; k < s->n; k++)
        for (size_t at = from; (at = find((ib_str){text.ptr, to}, s->texts[k], at)) != SIZE_MAX;
             at++)
            if (at + s->texts[k].len > best)
                best = at + s->texts[k].len;
    return best;
}

static size_t first_special(const specials *s, ib_str text, size_t from) {
    size_t best = text.len;
    for (size_t k = 0; k < s->n; k++) {
        size_t at = find((ib_str){text.ptr, best}, s->texts[k], from);
        if (at < best)
            best = at;
    }
    return best;
}

static ib_status encode_range(const ib_tokenizer *t, ib_str text, size_t from, size_t to,
                              bool plain, ib_ids *out, ib_error *err) {
    const ib_encode_options options = {.no_parse_special = plain};
    if (from >= to)
        return IB_OK;
    return ib_tokenizer_encode(t, (ib_str){text.ptr + from, to - from}, &options, out, NULL, err);
}

/* text was found at `at`: the template's part before it, then the stretch around it. */
static ib_status encode_around(const ib_tokenizer *t, const specials *s, ib_str rendered,
                               ib_str text, size_t at, size_t *done, ib_ids *out, ib_error *err) {
    size_t begin = at < *done ? *done : last_special_end(s, rendered, *done, at);
    size_t end = first_special(s, rendered, at + text.len);
    IB_TRY(encode_range(t, rendered, *done, begin, false, out, err));
    IB_TRY(encode_range(t, rendered, begin, end, true, out, err));
    *done = end > *done ? end : *done;
    return IB_OK;
}

ib_status ib_user_encode_plain(const ib_tokenizer *t, ib_str rendered, const json_t *messages,
                               ib_ids *out, ib_error *err) {
    specials s;
    size_t done = 0, seek = 0;
    ib_status st = specials_of(t, &s, err);
    for (size_t i = 0; i < json_array_size(messages) && st == IB_OK; i++) {
        bool more = true;
        for (size_t part = 0; more && st == IB_OK; part++) {
            ib_str text = trimmed(message_text(messages, i, part, &more));
            size_t at = find(rendered, text, seek);
            if (at == SIZE_MAX)
                continue;
            seek = at + text.len;
            st = encode_around(t, &s, rendered, text, at, &done, out, err);
        }
    }
    if (st == IB_OK)
        st = encode_range(t, rendered, done, rendered.len, false, out, err);
    free(s.texts);
    return st;
}
