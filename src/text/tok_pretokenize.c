/* SPDX-License-Identifier: MIT
 * Pre-tokenizers: one piece of text -> pieces. Steps that only split work on offsets; steps that
 * change the text (a space in front, spaces to a visible char, bytes to chars) write it anew.
 *
 * The last step of nearly every model maps bytes to chars. It is left to the model, which does it
 * for pieces that it has not met yet: see ib_tok_presplitters.map_bytes. */
#include "text/tok.h"

#include <stdlib.h>
#include <string.h>

typedef enum behavior { ISOLATED, REMOVED, WITH_PREVIOUS, WITH_NEXT, CONTIGUOUS } behavior;
typedef bool (*char_test)(uint32_t c);
typedef enum kind { SPLIT, WORDS, FIXED, SPACE_IN_FRONT, METASPACE, BYTES } kind;

struct ib_tok_presplitter {
    kind kind;
    ib_tok_pattern pattern;         /* Split by pattern ... */
    char_test test;                 /* ... or by a property ... */
    uint32_t delimiter;             /* ... or by one char, when the other two are not set */
    bool by_pattern, invert, as_is; /* as_is: the pattern sees newer chars as they are */
    behavior behavior;
    size_t length; /* FixedLength, chars */
    ib_tok_metaspace metaspace;
};

static const char gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
static const char where[] = "tokenizer.json at /pre_tokenizer";

/* ---- reading ---- */

static ib_status add_step(ib_tok_presplitters *p, kind k, ib_tok_presplitter **out, ib_error *err) {
    if (p->n >= IB_TOK_MAX_STEPS)
        return ib_fail(err, IB_E_RESOURCE,
                       "more than %zu pre-tokenizers in %s; fix: use another tokenizer",
                       IB_TOK_MAX_STEPS, where);
    *out = &p->steps[p->n++];
    **out = (ib_tok_presplitter){.kind = k};
    return IB_OK;
}

static ib_status add_test(ib_tok_presplitters *p, char_test test, behavior b, ib_error *err) {
    ib_tok_presplitter *s = NULL;
    IB_TRY(add_step(p, SPLIT, &s, err));
    s->test = test;
    s->behavior = b;
    return IB_OK;
}

static ib_status add_regex(ib_tok_presplitters *p, ib_tok_store *store, const char *pattern,
                           ib_error *err) {
    ib_tok_presplitter *s = NULL;
    ib_tok_regex *r;
    IB_TRY(add_step(p, SPLIT, &s, err));
    IB_TRY(ib_tok_regex_new(store, ib_str_of(pattern), &r, err));
    s->pattern.regex = r;
    s->by_pattern = true;
    s->behavior = ISOLATED;
    return IB_OK;
}

static ib_status read_behavior(const json_t *v, behavior fallback, behavior *out, ib_error *err) {
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    ib_str name;
    char quoted[IB_QUOTED];
    IB_TRY(ib_json_get_str(v, "behavior", &name, where, err));
    *out = fallback;
    if (!name.ptr)
        return IB_OK;
    for (size_t i = 0; i < 5; i++)
        if (ib_str_is(name, names[i])) {
            *out = (behavior)i;
            return IB_OK;
        }
    return ib_fail(err, IB_E_UNSUPPORTED,
                   "unknown split behavior in %s: '%s'; fix: use another tokenizer", where,
                   ib_quote(name, quoted));
}

static ib_status read_split(ib_tok_presplitters *p, ib_tok_store *store, const json_t *v,
                            ib_error *err) {
    ib_tok_presplitter *s = NULL;
    IB_TRY(add_step(p, SPLIT, &s, err));
    s->by_pattern = true;
    ib_str regex;
    IB_TRY(ib_tok_pattern_read(store, json_object_get(v, "pattern"), where, &s->pattern, err));
    IB_TRY(ib_json_get_str(json_object_get(v, "pattern"), "Regex", &regex, where, err));
    s->as_is = ib_tok_refers_back(regex);
    IB_TRY(ib_json_get_bool(v, "invert", false, &s->invert, where, err));
    return read_behavior(v, ISOLATED, &s->behavior, err);
}

static ib_status read_byte_level(ib_tok_presplitters *p, ib_tok_store *store, const json_t *v,
                                 ib_error *err) {
    ib_tok_presplitter *s = NULL;
    bool space, regex;
    IB_TRY(ib_json_get_bool(v, "add_prefix_space", true, &space, where, err));
    IB_TRY(ib_json_get_bool(v, "use_regex", true, &regex, where, err));
    if (space)
        IB_TRY(add_step(p, SPACE_IN_FRONT, &s, err));
    if (regex)
        IB_TRY(add_regex(p, store, gpt2_pattern, err));
    return add_step(p, BYTES, &s, err);
}

ib_status ib_tok_metaspace_read(ib_tok_metaspace *out, const json_t *v, const char *at,
                                ib_error *err) {
    ib_str scheme;
    bool space;
    char quoted[IB_QUOTED];
    IB_TRY(ib_tok_one_char(v, "replacement", 0x2581, at, &out->replacement, err));
    IB_TRY(ib_json_get_bool(v, "add_prefix_space", true, &space, at, err));
    IB_TRY(ib_json_get_bool(v, "split", true, &out->split, at, err));
    IB_TRY(ib_json_get_str(v, "prepend_scheme", &scheme, at, err));
    out->prepend = space ? IB_TOK_ALWAYS : IB_TOK_NEVER;
    if (!scheme.ptr)
        return IB_OK;
    if (ib_str_is(scheme, "always"))
        out->prepend = IB_TOK_ALWAYS;
    else if (ib_str_is(scheme, "first"))
        out->prepend = IB_TOK_FIRST;
    else if (ib_str_is(scheme, "never"))
        out->prepend = IB_TOK_NEVER;
    else
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "unknown prepend_scheme in %s: '%s'; fix: use another tokenizer", at,
                       ib_quote(scheme, quoted));
    if (!space && out->prepend != IB_TOK_NEVER)
        return ib_fail(
            err, IB_E_FORMAT,
            "add_prefix_space false contradicts prepend_scheme '%s' in %s; fix: correct the "
            "file",
            ib_quote(scheme, quoted), at);
    return IB_OK;
}

static ib_status read_metaspace(ib_tok_presplitters *p, const json_t *v, ib_error *err) {
    ib_tok_presplitter *s = NULL, *split = NULL;
    IB_TRY(add_step(p, METASPACE, &s, err));
    IB_TRY(ib_tok_metaspace_read(&s->metaspace, v, where, err));
    if (!s->metaspace.split)
        return IB_OK;
    IB_TRY(add_step(p, SPLIT, &split, err));
    split->delimiter = s->metaspace.replacement;
    split->behavior = WITH_NEXT;
    return IB_OK;
}

/* Scripts in ISO 15924 letters; those that need a rule of their own are in add_scripts. */
static const char script_codes[] =
    "AdlmAghbAhomArabArmiArmnAvstBaliBamuBassBatkBengBhksBopoBrahBraiBugiBuhdCakmCans"
    "CariChamCherChrsCoptCpmnCprtCyrlDevaDiakDogrDsrtDuplEgypElbaElymEthiGeorGlagGong"
    "GonmGothGranGrekGujrGuruHangHanoHatrHebrHluwHmngHmnpHungItalJavaKaliKharKhmrKhoj"
    "KitsKndaKthiLanaLaooLatnLepcLimbLinaLinbLisuLyciLydiMahjMakaMandManiMarcMedfMend"
    "MercMeroMlymModiMongMrooMteiMultMymrNandNarbNbatNewaNkooNshuOgamOlckOrkhOryaOsge"
    "OsmaOugrPalmPaucPermPhagPhliPhlpPhnxPlrdPrtiRjngRohgRunrSamrSarbSaurSgnwShawShrd"
    "SiddSindSinhSogdSogoSoraSoyoSundSyloSyrcTagbTakrTaleTaluTamlTangTavtTeluTfngTglg"
    "ThaaThaiTibtTirhTnsaTotoUgarVaiiVithWaraWchoXpeoXsuxYeziYiiiZanbZinh";

static ib_status add_run(ib_buf *pattern, const char *set, ib_error *err) {
    /* Chars of no known script and spaces belong to the run before them. */
    return ib_buf_addf(pattern, err, "|(?:%s++[ \\p{Cn}\\p{Co}]*+)++", set);
}

/* UnicodeScripts: runs of one script. Han, Hiragana and Katakana are one; what no script claims and
 * stands at the very start is dropped, as in the reference. */
static ib_status script_pattern(ib_buf *pattern, ib_error *err) {
    char set[] = "\\p{sc:Latn}";
    IB_TRY(ib_buf_adds(pattern, "(?!)", err));
    IB_TRY(add_run(pattern, "[\\p{sc:Hani}\\p{sc:Hira}\\p{sc:Kana}\\x{30FC}]", err));
    IB_TRY(add_run(pattern, "(?:(?![ \\x{30FC}])\\p{sc:Zyyy})", err));
    for (const char *p = script_codes; *p; p += 4) {
        memcpy(set + 6, p, 4);
        IB_TRY(add_run(pattern, set, err));
    }
    return IB_OK;
}

static ib_status add_scripts(ib_tok_presplitters *p, ib_tok_store *store, ib_error *err) {
    ib_tok_presplitter *s = NULL;
    ib_tok_regex *r = NULL;
    ib_buf pattern;
    IB_TRY(add_step(p, SPLIT, &s, err));
    ib_buf_init(&pattern);
    ib_status st = script_pattern(&pattern, err);
    if (st == IB_OK)
        st = ib_tok_regex_new_pcre2(store, (ib_str){pattern.ptr, pattern.len}, &r, err);
    ib_buf_clear(&pattern);
    s->pattern.regex = r;
    s->by_pattern = s->invert = s->as_is = true;
    s->behavior = REMOVED;
    return st;
}

static ib_status read_other(ib_tok_presplitters *p, ib_tok_store *store, ib_str type,
                            const json_t *v, ib_error *err) {
    ib_tok_presplitter *s = NULL;
    bool each;
    int64_t length;
    if (ib_str_is(type, "WhitespaceSplit"))
        return add_test(p, ib_tok_is_white_space, REMOVED, err);
    if (ib_str_is(type, "Whitespace"))
        return add_step(p, WORDS, &s, err);
    if (ib_str_is(type, "UnicodeScripts"))
        return add_scripts(p, store, err);
    if (ib_str_is(type, "BertPreTokenizer")) {
        IB_TRY(add_test(p, ib_tok_is_white_space, REMOVED, err));
        return add_test(p, ib_tok_is_punctuation, ISOLATED, err);
    }
    if (ib_str_is(type, "Punctuation")) {
        behavior b;
        IB_TRY(read_behavior(v, ISOLATED, &b, err));
        return add_test(p, ib_tok_is_punctuation, b, err);
    }
    if (ib_str_is(type, "Digits")) {
        IB_TRY(ib_json_get_bool(v, "individual_digits", false, &each, where, err));
        return add_test(p, ib_tok_is_numeric, each ? ISOLATED : CONTIGUOUS, err);
    }
    if (ib_str_is(type, "CharDelimiterSplit")) {
        IB_TRY(add_step(p, SPLIT, &s, err));
        s->behavior = REMOVED;
        return ib_tok_one_char(v, "delimiter", 0, where, &s->delimiter, err);
    }
    if (ib_str_is(type, "FixedLength")) {
        IB_TRY(ib_json_get_i64(v, "length", 5, 1, INT32_MAX, &length, where, err));
        IB_TRY(add_step(p, FIXED, &s, err));
        s->length = (size_t)length;
        return IB_OK;
    }
    return ib_tok_unknown_type("pre-tokenizer", type, err);
}

static ib_status read_into(ib_tok_presplitters *p, ib_tok_store *store, const json_t *v,
                           ib_error *err) {
    ib_str type;
    IB_TRY(ib_tok_type(v, where, &type, err));
    if (ib_str_is(type, "Split"))
        return read_split(p, store, v, err);
    if (ib_str_is(type, "ByteLevel"))
        return read_byte_level(p, store, v, err);
    if (ib_str_is(type, "Metaspace"))
        return read_metaspace(p, v, err);
    if (!ib_str_is(type, "Sequence"))
        return read_other(p, store, type, v, err);
    const json_t *list = json_object_get(v, "pretokenizers");
    if (!json_is_array(list))
        return ib_fail(
            err, IB_E_FORMAT,
            "bad value in %s: Sequence without its list 'pretokenizers'; fix: correct the file",
            where);
    for (size_t i = 0; i < json_array_size(list); i++)
        IB_TRY(read_into(p, store, json_array_get(list, i), err));
    return IB_OK;
}

static ib_status allocate(ib_tok_presplitters *out, ib_tok_store *store, ib_error *err) {
    *out = (ib_tok_presplitters){0};
    out->steps = ib_arena_array(&store->arena, IB_TOK_MAX_STEPS, sizeof *out->steps, err);
    return out->steps ? IB_OK : IB_E_RESOURCE;
}

ib_status ib_tok_presplitters_read(ib_tok_presplitters *out, ib_tok_store *store,
                                   const json_t *value, ib_error *err) {
    *out = (ib_tok_presplitters){0};
    if (!value || json_is_null(value))
        return IB_OK;
    IB_TRY(allocate(out, store, err));
    IB_TRY(read_into(out, store, value, err));
    if (out->n && out->steps[out->n - 1].kind == BYTES) {
        out->map_bytes = true;
        out->n--;
    }
    return IB_OK;
}

ib_status ib_tok_presplitters_bytes(ib_tok_presplitters *out, ib_tok_store *store,
                                    const char *const *patterns, size_t n, ib_error *err) {
    IB_TRY(allocate(out, store, err));
    for (size_t i = 0; i < n; i++)
        IB_TRY(add_regex(out, store, patterns[i] ? patterns[i] : gpt2_pattern, err));
    out->map_bytes = true;
    return IB_OK;
}

/* ---- spans: matches and what lies between them ---- */

typedef struct spans {
    const ib_tok_presplitter *step;
    ib_tok_finder finder;
    ib_str text;
    size_t done;                   /* everything before was handed out */
    size_t match_start, match_end; /* waits behind a gap */
    bool waiting, finished;
} spans;

static bool wanted(const ib_tok_presplitter *s, uint32_t c) {
    return s->test ? s->test(c) : c == s->delimiter;
}

static ib_status next_match(spans *sp, size_t *start, size_t *end, bool *found, ib_error *err) {
    if (sp->step->by_pattern)
        return ib_tok_find_next(&sp->finder, start, end, found, err);
    *found = false;
    for (size_t pos = sp->done; pos < sp->text.len;) {
        *start = pos;
        if (wanted(sp->step, ib_tok_next_char(sp->text, &pos))) {
            *end = pos;
            *found = true;
            break;
        }
    }
    return IB_OK;
}

/* The next span; *found = false at the end of the text. */
static ib_status next_span(spans *sp, size_t *start, size_t *end, bool *is_match, bool *found,
                           ib_error *err) {
    *found = true;
    *is_match = true;
    if (!sp->waiting && !sp->finished) {
        bool more;
        IB_TRY(next_match(sp, &sp->match_start, &sp->match_end, &more, err));
        sp->waiting = more;
        sp->finished = !more;
    }
    size_t gap_end = sp->waiting ? sp->match_start : sp->text.len;
    if (sp->done < gap_end) {
        *is_match = false;
        *start = sp->done;
        *end = sp->done = gap_end;
        return IB_OK;
    }
    if (!sp->waiting) {
        *found = false;
        return IB_OK;
    }
    sp->waiting = false;
    *start = sp->match_start;
    *end = sp->done = sp->match_end;
    return IB_OK;
}

ib_status ib_tok_pieces_add(ib_tok_pieces *p, size_t off, size_t len, bool at_start,
                            ib_error *err) {
    if (!len)
        return IB_OK;
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 64;
        ib_tok_piece *at = realloc(p->at, cap * sizeof *at);
        if (!at)
            return ib_fail_memory(err, cap * sizeof *at, "pieces of text");
        p->at = at;
        p->cap = cap;
    }
    p->at[p->n++] = (ib_tok_piece){off, len, at_start};
    return IB_OK;
}

static ib_status add_part(ib_tok_pieces *out, const ib_tok_piece *piece, size_t start, size_t end,
                          ib_error *err) {
    return ib_tok_pieces_add(out, piece->off + start, end - start, piece->at_start && start == 0,
                             err);
}

/* Spans joined as the behavior wants; one span is held back. Only offsets leave here: for patterns,
 * text is the one of ib_tok_older_text. */
static ib_status split_piece(const ib_tok_presplitter *s, ib_tok_work *w, const char *text,
                             const ib_tok_piece *piece, ib_tok_pieces *out, ib_error *err) {
    spans sp = {.step = s, .text = {text + piece->off, piece->len}};
    size_t start, end, held_start = 0, held_end = 0;
    bool is_match, found, held = false, held_match = false, last_match = false;
    if (s->by_pattern)
        sp.finder = ib_tok_find(&s->pattern, &w->matcher, sp.text);
    for (;;) {
        IB_TRY(next_span(&sp, &start, &end, &is_match, &found, err));
        if (!found)
            break;
        is_match ^= s->invert;
        bool join = false;
        if (s->behavior == REMOVED && is_match)
            continue;
        if (s->behavior == WITH_PREVIOUS)
            join = held && is_match && !last_match;
        else if (s->behavior == WITH_NEXT)
            join = held && held_match && !is_match;
        else if (s->behavior == CONTIGUOUS)
            join = held && is_match == last_match;
        if (!join) {
            if (held)
                IB_TRY(add_part(out, piece, held_start, held_end, err));
            held_start = start;
        }
        held_end = end;
        held = true;
        held_match = is_match;
        last_match = is_match;
    }
    return held ? add_part(out, piece, held_start, held_end, err) : IB_OK;
}

/* Runs of word chars and runs of other chars that are no white space. */
static ib_status words(ib_str text, const ib_tok_piece *piece, ib_tok_pieces *out, ib_error *err) {
    size_t run = 0;
    int last = 0;
    for (size_t pos = 0; pos < text.len;) {
        size_t at = pos;
        uint32_t c = ib_tok_next_char(text, &pos);
        int class = ib_tok_is_word(c) ? 1 : ib_tok_is_white_space(c) ? 0 : 2;
        if (class != last) {
            if (last)
                IB_TRY(add_part(out, piece, run, at, err));
            run = at;
            last = class;
        }
    }
    return last ? add_part(out, piece, run, text.len, err) : IB_OK;
}

static ib_status fixed_length(const ib_tok_presplitter *s, ib_str text, const ib_tok_piece *piece,
                              ib_tok_pieces *out, ib_error *err) {
    for (size_t pos = 0; pos < text.len;) {
        size_t start = pos;
        for (size_t i = 0; i < s->length && pos < text.len; i++)
            (void)ib_tok_next_char(text, &pos);
        IB_TRY(add_part(out, piece, start, pos, err));
    }
    return IB_OK;
}

/* ---- steps that change the text ---- */

static ib_status write_metaspace(const ib_tok_metaspace *m, ib_str text, bool at_start, ib_buf *out,
                                 ib_error *err) {
    char mark[4];
    size_t n = ib_utf8_encode(m->replacement, mark);
    bool led = text.ptr[0] == ' ' || (text.len >= n && memcmp(text.ptr, mark, n) == 0);
    if (!led && (m->prepend == IB_TOK_ALWAYS || (m->prepend == IB_TOK_FIRST && at_start)))
        IB_TRY(ib_buf_add(out, mark, n, err));
    for (size_t i = 0; i < text.len;) {
        const char *space = memchr(text.ptr + i, ' ', text.len - i);
        size_t end = space ? (size_t)(space - text.ptr) : text.len;
        IB_TRY(ib_buf_add(out, text.ptr + i, end - i, err));
        if (space)
            IB_TRY(ib_buf_add(out, mark, n, err));
        i = end + 1;
    }
    return IB_OK;
}

static ib_status rewrite_piece(const ib_tok_presplitter *s, ib_str text, bool at_start, ib_buf *out,
                               ib_error *err) {
    if (s->kind == METASPACE)
        return write_metaspace(&s->metaspace, text, at_start, out, err);
    if (s->kind == BYTES)
        return ib_tok_map_bytes(text, out, err);
    if (text.ptr[0] != ' ')
        IB_TRY(ib_buf_addc(out, ' ', err));
    return ib_buf_add(out, text.ptr, text.len, err);
}

static ib_status split_by(const ib_tok_presplitter *s, ib_tok_work *w, const char *text,
                          const char *older, const ib_tok_piece *piece, ib_tok_pieces *out,
                          ib_error *err) {
    ib_str slice = {text + piece->off, piece->len};
    switch (s->kind) {
    case WORDS:
        return words(slice, piece, out, err);
    case FIXED:
        return fixed_length(s, slice, piece, out, err);
    default:
        return split_piece(s, w, s->by_pattern && !s->as_is ? older : text, piece, out, err);
    }
}

ib_status ib_tok_presplit(const ib_tok_presplitters *p, ib_tok_work *w, ib_str text, bool at_start,
                          ib_str *current, const ib_tok_pieces **pieces, ib_error *err) {
    size_t from = 0, written = 1;
    ib_str older = {NULL, 0}; /* made when a pattern wants it */
    w->pieces[0].n = 0;
    IB_TRY(ib_tok_pieces_add(&w->pieces[0], 0, text.len, at_start, err));
    for (size_t i = 0; i < p->n; i++) {
        const ib_tok_presplitter *s = &p->steps[i];
        const ib_tok_pieces *in = &w->pieces[from];
        ib_tok_pieces *out = &w->pieces[1 - from];
        bool rewrites = s->kind >= SPACE_IN_FRONT;
        ib_buf *b = &w->text[1 - written];
        out->n = 0;
        if (s->by_pattern && !older.ptr)
            IB_TRY(ib_tok_older_text(text, &w->older, &older, err));
        if (rewrites)
            ib_buf_reset(b);
        for (size_t k = 0; k < in->n; k++) {
            const ib_tok_piece *piece = &in->at[k];
            if (!rewrites) {
                IB_TRY(split_by(s, w, text.ptr, older.ptr, piece, out, err));
                continue;
            }
            size_t off = b->len;
            IB_TRY(rewrite_piece(s, (ib_str){text.ptr + piece->off, piece->len}, piece->at_start, b,
                                 err));
            IB_TRY(ib_tok_pieces_add(out, off, b->len - off, piece->at_start, err));
        }
        if (rewrites) {
            text = (ib_str){b->ptr ? b->ptr : "", b->len};
            written = 1 - written;
            older.ptr = NULL;
        }
        from = 1 - from;
    }
    *current = text;
    *pieces = &w->pieces[from];
    return IB_OK;
}
