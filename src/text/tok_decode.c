/* SPDX-License-Identifier: MIT
 * Decoders: tokens -> text, as a chain of small machines that are fed token by token. Whole texts
 * and streams take the same way, so the pieces of a stream always add up to the decoded whole.
 *
 * What travels between steps is a fragment of a token: its bytes, and whether it begins and ends
 * the token. Steps that join tokens (Fuse, ByteLevel) hand their one long token on in fragments;
 * Strip works on fragments; every other step gathers a token before it looks at it. Each step emits
 * only what no later token can change. */
#include "text/tok.h"

#include <stdlib.h>
#include <string.h>

typedef enum kind {
    BYTE_LEVEL,
    BYTE_FALLBACK,
    FUSE,
    STRIP,
    REPLACE,
    METASPACE,
    WORDPIECE,
    BPE,
    CTC,
    JOIN
} kind;

struct ib_tok_decoder {
    kind kind;
    ib_tok_pattern pattern; /* Replace */
    ib_str content;         /* Replace; prefix of WordPiece; suffix of BPEDecoder; pad of CTC */
    ib_str delimiter;       /* CTC */
    uint32_t strip;         /* Strip: the char */
    size_t start, stop;     /* Strip */
    bool cleanup;           /* WordPiece, CTC */
    ib_tok_metaspace metaspace;
};

/* ---- reading ---- */

static const char where[] = "tokenizer.json at /decoder";

static ib_status read_strip(ib_tok_decoder *d, const json_t *v, ib_error *err) {
    int64_t start, stop;
    IB_TRY(ib_tok_one_char(v, "content", ' ', where, &d->strip, err));
    IB_TRY(ib_json_get_i64(v, "start", 0, 0, INT32_MAX, &start, where, err));
    IB_TRY(ib_json_get_i64(v, "stop", 0, 0, INT32_MAX, &stop, where, err));
    d->start = (size_t)start;
    d->stop = (size_t)stop;
    return IB_OK;
}

static ib_status read_ctc(ib_tok_decoder *d, ib_tok_store *store, const json_t *v, ib_error *err) {
    IB_TRY(ib_tok_copy_str(store, v, "pad_token", "<pad>", where, &d->content, err));
    IB_TRY(ib_tok_copy_str(store, v, "word_delimiter_token", "|", where, &d->delimiter, err));
    return ib_json_get_bool(v, "cleanup", true, &d->cleanup, where, err);
}

static ib_status read_step(ib_tok_decoder *d, ib_tok_store *store, ib_str type, const json_t *v,
                           ib_error *err) {
    static const char *const names[] = {"ByteLevel", "ByteFallback", "Fuse",
                                        "Strip",     "Replace",      "Metaspace",
                                        "WordPiece", "BPEDecoder",   "CTC"};
    size_t i = 0;
    while (i < 9 && !ib_str_is(type, names[i]))
        i++;
    if (i == 9)
        return ib_tok_unknown_type("decoder", type, err);
    d->kind = (kind)i;
    switch (d->kind) {
    case STRIP:
        return read_strip(d, v, err);
    case REPLACE:
        IB_TRY(ib_tok_pattern_read(store, json_object_get(v, "pattern"), where, &d->pattern, err));
        return ib_tok_copy_str(store, v, "content", NULL, where, &d->content, err);
    case METASPACE:
        return ib_tok_metaspace_read(&d->metaspace, v, where, err);
    case WORDPIECE:
        IB_TRY(ib_tok_copy_str(store, v, "prefix", "##", where, &d->content, err));
        return ib_json_get_bool(v, "cleanup", true, &d->cleanup, where, err);
    case BPE:
        return ib_tok_copy_str(store, v, "suffix", "</w>", where, &d->content, err);
    case CTC:
        return read_ctc(d, store, v, err);
    default:
        return IB_OK;
    }
}

static ib_status read_into(ib_tok_decoders *out, ib_tok_store *store, const json_t *v,
                           ib_error *err) {
    ib_str type;
    IB_TRY(ib_tok_type(v, where, &type, err));
    if (!ib_str_is(type, "Sequence")) {
        if (out->n >= IB_TOK_MAX_STEPS)
            return ib_fail(err, IB_E_RESOURCE,
                           "more than %zu decoders in %s; fix: use another tokenizer",
                           IB_TOK_MAX_STEPS, where);
        return read_step(&out->steps[out->n++], store, type, v, err);
    }
    const json_t *list = json_object_get(v, "decoders");
    if (!json_is_array(list))
        return ib_fail(
            err, IB_E_FORMAT,
            "bad value in %s: Sequence without its list 'decoders'; fix: correct the file", where);
    for (size_t i = 0; i < json_array_size(list); i++)
        IB_TRY(read_into(out, store, json_array_get(list, i), err));
    return IB_OK;
}

static ib_status allocate(ib_tok_decoders *out, ib_tok_store *store, ib_error *err) {
    out->n = 0;
    out->steps = ib_arena_array(&store->arena, IB_TOK_MAX_STEPS, sizeof *out->steps, err);
    return out->steps ? IB_OK : IB_E_RESOURCE;
}

ib_status ib_tok_decoders_read(ib_tok_decoders *out, ib_tok_store *store, const json_t *value,
                               ib_error *err) {
    IB_TRY(allocate(out, store, err));
    if (value && !json_is_null(value))
        return read_into(out, store, value, err);
    out->steps[out->n++].kind = JOIN;
    return IB_OK;
}

ib_status ib_tok_decoders_bytes(ib_tok_decoders *out, ib_tok_store *store, ib_error *err) {
    IB_TRY(allocate(out, store, err));
    out->steps[out->n++].kind = BYTE_LEVEL;
    return IB_OK;
}

ib_status ib_tok_decoders_metaspace(ib_tok_decoders *out, ib_tok_store *store, bool strip,
                                    ib_error *err) {
    IB_TRY(allocate(out, store, err));
    out->steps[out->n++] = (ib_tok_decoder){
        .kind = REPLACE, .pattern = {IB_STR("\xE2\x96\x81"), NULL}, .content = IB_STR(" ")};
    out->steps[out->n++].kind = BYTE_FALLBACK;
    out->steps[out->n++].kind = FUSE;
    if (strip)
        out->steps[out->n++] = (ib_tok_decoder){.kind = STRIP, .strip = ' ', .start = 1};
    return IB_OK;
}

/* ---- state ---- */

typedef struct state {
    const ib_tok_decoder *d;
    ib_buf token; /* fragments of the token that is coming in */
    ib_buf held;  /* bytes, or the token before, that may still change */
    ib_buf work;
    bool any;        /* a token came in; for Fuse and ByteLevel: the long token has begun */
    size_t stripped; /* Strip: chars removed at the start of this token */
    size_t pending;  /* Strip: chars held back at its end */
    bool started;    /* Strip: past the start; */
    bool opened;     /* Strip: a fragment was emitted */
} state;

struct ib_tok_decoding {
    ib_tok_matcher matcher;
    size_t n;
    state *steps; /* owned [n] */
    ib_buf *out;
    ib_error *err;
};

ib_status ib_tok_decoding_new(ib_tok_decoding **out, const ib_tok_decoders *d, ib_error *err) {
    *out = NULL;
    ib_tok_decoding *s = calloc(1, sizeof *s);
    state *steps = calloc(d->n ? d->n : 1, sizeof *steps);
    if (!s || !steps) {
        free(s);
        free(steps);
        return ib_fail_memory(err, sizeof *s + d->n * sizeof *steps, "decoding");
    }
    s->steps = steps;
    s->n = d->n;
    for (size_t i = 0; i < d->n; i++)
        steps[i].d = &d->steps[i];
    *out = s;
    return IB_OK;
}

void ib_tok_decoding_free(ib_tok_decoding *s) {
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++) {
        ib_buf_clear(&s->steps[i].token);
        ib_buf_clear(&s->steps[i].held);
        ib_buf_clear(&s->steps[i].work);
    }
    ib_tok_matcher_clear(&s->matcher);
    free(s->steps);
    free(s);
}

/* ---- replacements ---- */

static ib_status replace(ib_str text, ib_str from, ib_str to, ib_buf *out, ib_error *err) {
    const ib_tok_pattern pattern = {from, NULL};
    if (!from.len)
        return ib_buf_add(out, text.ptr, text.len, err);
    return ib_tok_replace_all(&pattern, NULL, text, to, out, err);
}

ib_status ib_tok_clean_up(ib_buf *text, bool dont, ib_error *err) {
    static const char *const pairs[][2] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    ib_buf next;
    ib_buf_init(&next);
    if (!text->len || !memchr(text->ptr, ' ', text->len))
        return IB_OK;
    ib_status st = IB_OK;
    for (size_t i = 0; st == IB_OK && i < sizeof pairs / sizeof *pairs; i++) {
        if (i == 7 && !dont)
            continue;
        ib_buf_reset(&next);
        st = replace((ib_str){text->ptr, text->len}, ib_str_of(pairs[i][0]), ib_str_of(pairs[i][1]),
                     &next, err);
        if (st == IB_OK) {
            ib_buf old = *text;
            *text = next;
            next = old;
        }
    }
    ib_buf_clear(&next);
    return st;
}

/* ---- the machines ---- */

static ib_status feed(ib_tok_decoding *s, size_t k, ib_str bytes, bool first, bool last);

static ib_status whole(ib_tok_decoding *s, size_t k, ib_str token) {
    return feed(s, k + 1, token, true, true);
}

static ib_str slice(const ib_buf *b) {
    return (ib_str){b->ptr ? b->ptr : "", b->len};
}

/* A fragment of the one long token of Fuse or ByteLevel. */
static ib_status part(ib_tok_decoding *s, size_t k, ib_str bytes, bool last) {
    bool first = !s->steps[k].any;
    s->steps[k].any = true;
    return feed(s, k + 1, bytes, first, last);
}

/* Length of the tail of p that more bytes could still complete to a char. */
static size_t open_tail(const char *p, size_t n) {
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)p[n - back];
        if ((c & 0xC0) == 0x80)
            continue;
        size_t need = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
        return need > back && ib_utf8_bad_len(p + n - back, p + n) == back ? back : 0;
    }
    return 0;
}

/* Emits held bytes as UTF-8, bad ones as U+FFFD; keeps an open tail unless all is true. */
static ib_status flush_bytes(ib_tok_decoding *s, size_t k, bool all) {
    state *st = &s->steps[k];
    const char *p = st->held.ptr ? st->held.ptr : "";
    size_t n = st->held.len - (all ? 0 : open_tail(p, st->held.len)), at = 0;
    ib_buf_reset(&st->work);
    while (at < n) {
        size_t good = ib_utf8_valid_prefix(p + at, n - at);
        IB_TRY(ib_buf_add(&st->work, p + at, good, s->err));
        at += good;
        if (at < n) {
            IB_TRY(ib_buf_add_utf8(&st->work, 0xFFFD, s->err));
            at += ib_utf8_bad_len(p + at, p + n);
        }
    }
    if (n) {
        memmove(st->held.ptr, st->held.ptr + n, st->held.len - n);
        st->held.len -= n;
    }
    return part(s, k, slice(&st->work), all);
}

static ib_status byte_level(ib_tok_decoding *s, size_t k, ib_str token) {
    state *st = &s->steps[k];
    size_t before = st->held.len;
    bool mapped = true;
    IB_TRY(ib_buf_reserve(&st->held, token.len, s->err));
    for (size_t pos = 0; mapped && pos < token.len;) {
        int byte = ib_tok_char_byte(ib_tok_next_char(token, &pos));
        mapped = byte >= 0;
        if (mapped)
            IB_TRY(ib_buf_addc(&st->held, (char)byte, s->err));
    }
    if (!mapped) {
        st->held.len = before;
        IB_TRY(ib_buf_add(&st->held, token.ptr, token.len, s->err));
    }
    return flush_bytes(s, k, false);
}

static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The byte that <0xHH> stands for, or -1. "+H" counts as a number, as in the reference. */
static int token_byte(ib_str t) {
    if (t.len != 6 || memcmp(t.ptr, "<0x", 3) != 0 || t.ptr[5] != '>')
        return -1;
    int hi = t.ptr[3] == '+' ? 0 : hex(t.ptr[3]), lo = hex(t.ptr[4]);
    return hi < 0 || lo < 0 ? -1 : hi * 16 + lo;
}

/* Bytes held back: valid together as one token, or one U+FFFD each. */
static ib_status flush_run(ib_tok_decoding *s, size_t k) {
    ib_buf *held = &s->steps[k].held;
    size_t n = held->len;
    if (!n)
        return IB_OK;
    ib_status st = IB_OK;
    if (ib_utf8_valid_prefix(held->ptr, n) == n)
        st = whole(s, k, slice(held));
    else
        for (size_t i = 0; st == IB_OK && i < n; i++)
            st = whole(s, k, IB_STR("\xEF\xBF\xBD"));
    ib_buf_reset(held);
    return st;
}

static ib_status byte_fallback(ib_tok_decoding *s, size_t k, ib_str token) {
    int byte = token_byte(token);
    if (byte >= 0)
        return ib_buf_addc(&s->steps[k].held, (char)byte, s->err);
    IB_TRY(flush_run(s, k));
    return whole(s, k, token);
}

/* Strip on a fragment: leading chars vanish, trailing ones wait for what follows. */
static ib_status strip(ib_tok_decoding *s, size_t k, ib_str bytes, bool first, bool last) {
    state *st = &s->steps[k];
    const ib_tok_decoder *d = st->d;
    char content[4];
    size_t n = ib_utf8_encode(d->strip, content);
    if (first) {
        st->stripped = st->pending = 0;
        st->started = st->opened = false;
    }
    ib_buf_reset(&st->work);
    for (size_t pos = 0; pos < bytes.len;) {
        size_t at = pos;
        bool same = ib_tok_next_char(bytes, &pos) == d->strip;
        if (same && !st->started && st->stripped < d->start) {
            st->stripped++;
            continue;
        }
        st->started = true;
        if (same && st->pending < d->stop) {
            st->pending++;
            continue;
        }
        /* One more of the same at the end: the oldest one waiting is free to go, and so is this. */
        for (; !same && st->pending; st->pending--)
            IB_TRY(ib_buf_add(&st->work, content, n, s->err));
        IB_TRY(ib_buf_add(&st->work, bytes.ptr + at, pos - at, s->err));
    }
    if (!st->work.len && !last)
        return IB_OK;
    first = !st->opened;
    st->opened = true;
    return feed(s, k + 1, slice(&st->work), first, last);
}

static ib_status metaspace(ib_tok_decoding *s, size_t k, ib_str token) {
    state *st = &s->steps[k];
    const ib_tok_metaspace *m = &st->d->metaspace;
    bool drop = !st->any && m->prepend != IB_TOK_NEVER;
    ib_buf_reset(&st->work);
    for (size_t pos = 0; pos < token.len;) {
        size_t at = pos;
        if (ib_tok_next_char(token, &pos) != m->replacement)
            IB_TRY(ib_buf_add(&st->work, token.ptr + at, pos - at, s->err));
        else if (!drop)
            IB_TRY(ib_buf_addc(&st->work, ' ', s->err));
    }
    st->any = true;
    return whole(s, k, slice(&st->work));
}

static ib_status wordpiece(ib_tok_decoding *s, size_t k, ib_str token) {
    state *st = &s->steps[k];
    ib_str prefix = st->d->content;
    ib_buf_reset(&st->work);
    if (st->any && token.len >= prefix.len && memcmp(token.ptr, prefix.ptr, prefix.len) == 0) {
        token.ptr += prefix.len;
        token.len -= prefix.len;
    } else if (st->any) {
        IB_TRY(ib_buf_addc(&st->work, ' ', s->err));
    }
    IB_TRY(ib_buf_add(&st->work, token.ptr, token.len, s->err));
    if (st->d->cleanup)
        IB_TRY(ib_tok_clean_up(&st->work, true, s->err));
    st->any = true;
    return whole(s, k, slice(&st->work));
}

/* The token before leaves when it is known whether it is the last. */
static ib_status bpe_release(ib_tok_decoding *s, size_t k, const char *replacement) {
    state *st = &s->steps[k];
    if (!st->any)
        return IB_OK;
    ib_buf_reset(&st->work);
    IB_TRY(replace(slice(&st->held), st->d->content, ib_str_of(replacement), &st->work, s->err));
    return whole(s, k, slice(&st->work));
}

static ib_status bpe(ib_tok_decoding *s, size_t k, ib_str token) {
    state *st = &s->steps[k];
    IB_TRY(bpe_release(s, k, " "));
    st->any = true;
    ib_buf_reset(&st->held);
    return ib_buf_add(&st->held, token.ptr, token.len, s->err);
}

static ib_status ctc(ib_tok_decoding *s, size_t k, ib_str token) {
    state *st = &s->steps[k];
    const ib_tok_decoder *d = st->d;
    if (st->any && ib_str_eq(slice(&st->held), token))
        return IB_OK;
    st->any = true;
    ib_buf_reset(&st->held);
    IB_TRY(ib_buf_add(&st->held, token.ptr, token.len, s->err));
    ib_buf_reset(&st->work);
    IB_TRY(replace(token, d->content, (ib_str){"", 0}, &st->work, s->err));
    if (d->cleanup) {
        ib_buf spaced;
        ib_buf_init(&spaced);
        IB_TRY(ib_tok_clean_up(&st->work, true, s->err));
        ib_status status = replace(slice(&st->work), d->delimiter, IB_STR(" "), &spaced, s->err);
        ib_buf_clear(&st->work);
        st->work = spaced;
        IB_TRY(status);
    }
    return st->work.len ? whole(s, k, slice(&st->work)) : IB_OK;
}

static ib_status join(ib_tok_decoding *s, size_t k, ib_str token) {
    state *st = &s->steps[k];
    if (st->any)
        IB_TRY(whole(s, k, IB_STR(" ")));
    st->any = true;
    return whole(s, k, token);
}

static ib_status take_token(ib_tok_decoding *s, size_t k, ib_str token) {
    state *st = &s->steps[k];
    switch (st->d->kind) {
    case BYTE_LEVEL:
        return byte_level(s, k, token);
    case BYTE_FALLBACK:
        return byte_fallback(s, k, token);
    case REPLACE:
        ib_buf_reset(&st->work);
        IB_TRY(ib_tok_replace_all(&st->d->pattern, &s->matcher, token, st->d->content, &st->work,
                                  s->err));
        return whole(s, k, slice(&st->work));
    case METASPACE:
        return metaspace(s, k, token);
    case WORDPIECE:
        return wordpiece(s, k, token);
    case BPE:
        return bpe(s, k, token);
    case CTC:
        return ctc(s, k, token);
    default:
        return join(s, k, token);
    }
}

/* Hands a fragment to step k, or to the output behind the last step. */
static ib_status feed(ib_tok_decoding *s, size_t k, ib_str bytes, bool first, bool last) {
    if (k == s->n)
        return ib_buf_add(s->out, bytes.ptr, bytes.len, s->err);
    state *st = &s->steps[k];
    if (st->d->kind == FUSE)
        return part(s, k, bytes, false);
    if (st->d->kind == STRIP)
        return strip(s, k, bytes, first, last);
    if (first && last)
        return take_token(s, k, bytes);
    if (first)
        ib_buf_reset(&st->token);
    IB_TRY(ib_buf_add(&st->token, bytes.ptr, bytes.len, s->err));
    return last ? take_token(s, k, slice(&st->token)) : IB_OK;
}

ib_status ib_tok_decoding_push(ib_tok_decoding *s, ib_str token, ib_buf *out, ib_error *err) {
    s->out = out;
    s->err = err;
    s->matcher.deadline_ns = 0;
    return feed(s, 0, token, true, true);
}

ib_status ib_tok_decoding_finish(ib_tok_decoding *s, ib_buf *out, ib_error *err) {
    s->out = out;
    s->err = err;
    for (size_t k = 0; k < s->n; k++) {
        switch (s->steps[k].d->kind) {
        case BYTE_LEVEL:
            IB_TRY(flush_bytes(s, k, true));
            break;
        case BYTE_FALLBACK:
            IB_TRY(flush_run(s, k));
            break;
        case FUSE:
            IB_TRY(part(s, k, (ib_str){"", 0}, true));
            break;
        case BPE:
            IB_TRY(bpe_release(s, k, ""));
            break;
        default:
            break;
        }
    }
    return IB_OK;
}
