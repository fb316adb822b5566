/* SPDX-License-Identifier: MIT
 * The inside of a tokenizer, shared by the tok_*.c files: text -> added tokens -> normalizer ->
 * added tokens -> pre-tokenizer -> model -> post-processor, and ids -> tokens -> decoder.
 *
 * Every stage of a file is flattened into a list of steps (a Sequence disappears). What is read
 * from the file lives in the store of the tokenizer; what one call of encode needs lives in
 * ib_tok_work, so that the tokenizer itself is never written after it was opened. */
#ifndef IB_TEXT_TOK_H
#define IB_TEXT_TOK_H

#include "base/arena.h"
#include "base/map.h"
#include "text/tokenizer.h"

/* Caps of the failure contract. */
#define IB_TOK_MAX_TOKEN ((size_t)64 * 1024)
#define IB_TOK_MAX_VOCAB ((size_t)4 * 1000 * 1000)
#define IB_TOK_MAX_MERGES ((size_t)8 * 1000 * 1000)
#define IB_TOK_MAX_ADDED ((size_t)65536)
#define IB_TOK_MAX_ADDED_BYTES ((size_t)4 * 1000 * 1000)
#define IB_TOK_MAX_REGEX ((size_t)64 * 1024)
#define IB_TOK_MAX_TEXT ((size_t)64 * 1000 * 1000)
#define IB_TOK_MAX_STEPS ((size_t)64)
#define IB_TOK_MAX_ID ((int64_t)0x7FFFFFFE)
#define IB_TOK_NONE UINT32_MAX

/* ---- tok_regex.c, tok_match.c: regular expressions of the reference's dialect ---- */
typedef struct ib_tok_regex ib_tok_regex;

/* Rewrites an Oniguruma pattern as a PCRE2 one. IB_E_UNSUPPORTED or IB_E_FORMAT with the column. */
ib_status ib_tok_regex_translate(ib_str source, ib_buf *out, ib_error *err) IB_MUST_CHECK;

/* Whether a pattern has back references: such a one must see the text itself, without stand-ins. */
bool ib_tok_refers_back(ib_str source);

/* Owns what a tokenizer's steps point to. */
typedef struct ib_tok_store {
    ib_arena arena;
    ib_tok_regex *regexes; /* owned list */
} ib_tok_store;

/* Compiled once, then immutable; freed with the store. */
ib_status ib_tok_regex_new(ib_tok_store *store, ib_str source, ib_tok_regex **out,
                           ib_error *err) IB_MUST_CHECK;
/* The same for a pattern of our own that is PCRE2's dialect already. */
ib_status ib_tok_regex_new_pcre2(ib_tok_store *store, ib_str source, ib_tok_regex **out,
                                 ib_error *err) IB_MUST_CHECK;
void ib_tok_regex_free_all(ib_tok_store *store);

/* What matching needs besides the pattern; one per call of encode. */
typedef struct ib_tok_matcher {
    struct pcre2_real_match_data_8 *data;       /* owned */
    struct pcre2_real_match_context_8 *context; /* owned */
    struct pcre2_real_jit_stack_8 *stack;       /* owned */
    uint64_t deadline_ns;                       /* 0 = not started */
    size_t n_calls;
} ib_tok_matcher;
void ib_tok_matcher_clear(ib_tok_matcher *m);

/* A literal (len > 0) or a regular expression. */
typedef struct ib_tok_pattern {
    ib_str literal; /* used when regex is NULL */
    const ib_tok_regex *regex;
} ib_tok_pattern;

/* Successive non-overlapping matches in one subject; an empty match right behind the last match is
 * passed over, as the reference's iterator does. */
typedef struct ib_tok_finder {
    const ib_tok_pattern *pattern;
    ib_tok_matcher *matcher;
    ib_str subject;
    size_t next, last_end;
    bool any;
} ib_tok_finder;
ib_tok_finder ib_tok_find(const ib_tok_pattern *pattern, ib_tok_matcher *m, ib_str subject);
/* *found = false at the end. IB_E_RESOURCE when the pattern needs too many steps. */
ib_status ib_tok_find_next(ib_tok_finder *f, size_t *start, size_t *end, bool *found,
                           ib_error *err) IB_MUST_CHECK;
/* {"String": s} or {"Regex": r}; a bare string counts as String. */
ib_status ib_tok_pattern_read(ib_tok_store *store, const json_t *value, const char *where,
                              ib_tok_pattern *out, ib_error *err) IB_MUST_CHECK;
/* All matches of pattern in text replaced by content, appended to out. */
ib_status ib_tok_replace_all(const ib_tok_pattern *pattern, ib_tok_matcher *m, ib_str text,
                             ib_str content, ib_buf *out, ib_error *err) IB_MUST_CHECK;

/* ---- tok_unicode.c: character properties and normalization forms ---- */
bool ib_tok_is_white_space(uint32_t c);
bool ib_tok_is_word(uint32_t c);        /* \w of Rust's regex crate */
bool ib_tok_is_numeric(uint32_t c);     /* Nd Nl No */
bool ib_tok_is_punctuation(uint32_t c); /* P*, and ASCII symbols */
bool ib_tok_is_mark(uint32_t c);        /* M* */
bool ib_tok_is_nonspacing(uint32_t c);  /* Mn */
bool ib_tok_is_other(uint32_t c);       /* Cc Cf Co */
bool ib_tok_is_cjk(uint32_t c);         /* ideographs of BERT's list */
/* Lower case of one char, 1 to 3 scalar values; returns their number. */
size_t ib_tok_lower(uint32_t c, uint32_t out[3]);
typedef enum ib_tok_form { IB_TOK_NFC, IB_TOK_NFD, IB_TOK_NFKC, IB_TOK_NFKD } ib_tok_form;
ib_status ib_tok_to_form(ib_str text, ib_tok_form form, ib_buf *out, ib_error *err) IB_MUST_CHECK;
/* End of the extended grapheme cluster that begins at from. */
size_t ib_tok_cluster_end(ib_str text, size_t from);
bool ib_tok_all_ascii(ib_str text);
/* Byte -> char of the byte-level alphabet, and back (-1 = not of the alphabet). */
uint32_t ib_tok_byte_char(unsigned char byte);
int ib_tok_char_byte(uint32_t c);
/* text with every byte replaced by its char, appended to out. */
ib_status ib_tok_map_bytes(ib_str text, ib_buf *out, ib_error *err) IB_MUST_CHECK;
/* Arena copy of a decoded scalar; the next char of valid UTF-8 at *pos, which moves on. */
uint32_t ib_tok_next_char(ib_str text, size_t *pos);

/* ---- tok_props.c: differences between the reference's tables and utf8proc's ---- */
typedef enum ib_tok_property {
    IB_TOK_MARK,
    IB_TOK_NONSPACING,
    IB_TOK_OTHER,
    IB_TOK_PUNCTUATION,
    IB_TOK_DECOMPOSITION
} ib_tok_property;
bool ib_tok_lacks(ib_tok_property p, uint32_t c); /* the reference does not know that c has p */
uint32_t ib_tok_newer_lower(uint32_t c);          /* c itself when utf8proc's lower case is right */

/* ---- tok_newer.c ---- */
/* A character of Unicode 14 with the category of c; c itself when it is one. */
uint32_t ib_tok_older_char(uint32_t c);
/* *out = text with older chars for those that PCRE2 does not know: the same lengths and offsets. It
 * is text itself when there are none, else it lives in copy. */
ib_status ib_tok_older_text(ib_str text, ib_buf *copy, ib_str *out, ib_error *err) IB_MUST_CHECK;

/* ---- tok_read.c: tokenizer.json without a tree for its two big members ---- */
typedef struct ib_tok_raw_entry {
    ib_str text; /* borrowed */
    int64_t id;  /* list entries: their index */
    double score;
} ib_tok_raw_entry;
typedef struct ib_tok_raw_merge {
    ib_str left, right; /* borrowed */
} ib_tok_raw_merge;
typedef enum ib_tok_vocab_form {
    IB_TOK_NO_VOCAB,
    IB_TOK_VOCAB_OBJECT,
    IB_TOK_VOCAB_LIST
} ib_tok_vocab_form;

typedef struct ib_tok_file {
    ib_buf text;               /* the file */
    ib_arena strings;          /* strings that had escapes */
    json_t *root;              /* owned; /model/vocab and /model/merges are null in it */
    ib_tok_raw_entry *entries; /* owned [n_entries] */
    size_t n_entries, cap_entries;
    ib_tok_raw_merge *merges; /* owned [n_merges] */
    size_t n_merges, cap_merges;
    ib_tok_vocab_form form;
    bool has_merges;
} ib_tok_file;
ib_status ib_tok_file_read(ib_tok_file *f, const char *path, ib_error *err) IB_MUST_CHECK;
void ib_tok_file_clear(ib_tok_file *f);

/* ---- tok_vocab.c ---- */
typedef struct ib_tok_entry {
    const char *ptr; /* borrowed from the vocabulary's blob */
    uint32_t len, id;
} ib_tok_entry;
typedef struct ib_tok_vocab_slot {
    uint32_t tag;   /* upper half of the token's hash */
    uint32_t entry; /* index in by_id; IB_TOK_NONE = free */
} ib_tok_vocab_slot;
typedef struct ib_tok_vocab {
    ib_tok_vocab_slot *slots; /* owned [n_slots], a power of two; token -> entry */
    size_t n_slots;
    char *blob;          /* owned */
    ib_tok_entry *by_id; /* owned [n], ascending ids */
    size_t n, n_distinct;
    size_t max_len; /* bytes of the longest token */
} ib_tok_vocab;
/* Copies the strings. unique: a string that occurs twice is an error, else its last id counts. */
ib_status ib_tok_vocab_build(ib_tok_vocab *v, const ib_tok_raw_entry *entries, size_t n,
                             bool unique, const char *where, ib_error *err) IB_MUST_CHECK;
void ib_tok_vocab_clear(ib_tok_vocab *v);
uint32_t ib_tok_vocab_id(const ib_tok_vocab *v, ib_str token); /* IB_TOK_NONE = not there */
/* ids[i] of tokens[i] for up to IB_TOK_LOOKUPS tokens: their cache misses overlap. */
#define IB_TOK_LOOKUPS ((size_t)96)
void ib_tok_vocab_ids(const ib_tok_vocab *v, const ib_str *tokens, size_t n, uint32_t *ids);
ib_str ib_tok_vocab_token(const ib_tok_vocab *v, uint32_t id); /* ptr NULL = not there */

/* ---- models: a piece of text -> ids ---- */
typedef struct ib_tok_pair_slot {
    uint64_t key; /* left << 32 | right; UINT64_MAX = free */
    uint32_t rank, id;
} ib_tok_pair_slot;

typedef struct ib_tok_bpe {
    ib_tok_pair_slot *pairs; /* owned [n_pairs], a power of two */
    size_t n_pairs;
    uint32_t *score_rank; /* owned [n_vocab] by id, for merges by score; NULL = merges by rank */
    ib_str prefix, suffix;
    uint32_t unk_id; /* IB_TOK_NONE = none */
    bool fuse_unk, byte_fallback, ignore_merges;
    uint32_t byte_ids[256];   /* <0xHH> */
    uint32_t char_ids[0x400]; /* ids of one-char tokens without prefix and suffix */
    bool cuts;                /* ib_tok_bpe_cut may cut */
    uint8_t joins_mark[8192]; /* bit set of chars (mod 65536) that may merge with a U+2581 behind
                                 them */
} ib_tok_bpe;

typedef struct ib_tok_unigram {
    uint32_t *sorted;    /* owned [n] ids in the order of their strings */
    double *scores;      /* owned, by id */
    uint32_t first[257]; /* index in sorted where a first byte begins */
    size_t n;
    uint32_t unk_id; /* IB_TOK_NONE = none */
    double unk_score;
    bool byte_fallback;
    uint32_t byte_ids[256];
} ib_tok_unigram;

typedef struct ib_tok_wordpiece {
    ib_str prefix;
    uint32_t unk_id; /* IB_TOK_NONE: only possible for WordLevel */
    size_t max_chars;
} ib_tok_wordpiece;

typedef enum ib_tok_kind {
    IB_TOK_BPE,
    IB_TOK_UNIGRAM,
    IB_TOK_WORDPIECE,
    IB_TOK_WORDLEVEL
} ib_tok_kind;
typedef struct ib_tok_model {
    ib_tok_kind kind;
    ib_tok_vocab vocab;
    ib_tok_bpe bpe;
    ib_tok_unigram unigram;
    ib_tok_wordpiece word; /* WordPiece and WordLevel */
} ib_tok_model;

/* Reads "model" of f->root with f->entries and f->merges. */
ib_status ib_tok_model_read(ib_tok_model *m, ib_tok_store *store, const ib_tok_file *f,
                            const ib_log *log, ib_error *err) IB_MUST_CHECK;
void ib_tok_model_clear(ib_tok_model *m);

typedef struct ib_tok_scratch {
    uint32_t *words; /* owned; the models carve what they need out of it */
    size_t n_words;
    uint64_t *heap; /* owned */
    size_t n_heap;
    double *reals; /* owned */
    size_t n_reals;
    ib_buf text;
} ib_tok_scratch;
void ib_tok_scratch_clear(ib_tok_scratch *s);
uint32_t *ib_tok_scratch_words(ib_tok_scratch *s, size_t n, ib_error *err);

ib_status ib_tok_bpe_build(ib_tok_model *m, const ib_tok_raw_merge *merges, size_t n,
                           const ib_log *log, ib_error *err) IB_MUST_CHECK;
void ib_tok_bpe_fill_tables(ib_tok_model *m);
/* Where the part of piece that begins at from may end: before a U+2581 that no merge joins to the
 * char before it. Models without a pre-tokenizer then see words, and the cache helps, with the same
 * ids. */
size_t ib_tok_bpe_cut(const ib_tok_bpe *b, ib_str piece, size_t from);
ib_status ib_tok_bpe_encode(const ib_tok_model *m, ib_tok_scratch *s, ib_str piece, ib_ids *out,
                            ib_error *err) IB_MUST_CHECK;
ib_status ib_tok_unigram_build(ib_tok_model *m, const ib_tok_raw_entry *entries, size_t n,
                               ib_error *err) IB_MUST_CHECK;
ib_status ib_tok_unigram_encode(const ib_tok_model *m, ib_tok_scratch *s, ib_str piece, ib_ids *out,
                                ib_error *err) IB_MUST_CHECK;
ib_status ib_tok_wordpiece_encode(const ib_tok_model *m, ib_tok_scratch *s, ib_str piece,
                                  ib_ids *out, ib_error *err) IB_MUST_CHECK;
ib_status ib_tok_wordlevel_encode(const ib_tok_model *m, ib_str piece, ib_ids *out,
                                  ib_error *err) IB_MUST_CHECK;
/* ids of <0x00> .. <0xFF>, IB_TOK_NONE where missing. */
void ib_tok_byte_tokens(const ib_tok_vocab *v, uint32_t out[256]);

/* ---- tok_cache.c: piece -> ids of one encode call ---- */
typedef struct ib_tok_cache_slot {
    uint64_t hash; /* 0 = free */
    uint32_t key, key_len, first, n;
} ib_tok_cache_slot;
typedef struct ib_tok_cache {
    ib_tok_cache_slot *slots; /* owned; n_slots is a power of two */
    size_t n_slots, n_used;
    ib_buf keys;
    ib_ids ids;
} ib_tok_cache;
void ib_tok_cache_clear(ib_tok_cache *c);
/* The ids of piece under hash, or NULL. */
const ib_tok_cache_slot *ib_tok_cache_get(const ib_tok_cache *c, ib_str piece, uint64_t hash);
ib_status ib_tok_cache_put(ib_tok_cache *c, ib_str piece, uint64_t hash, const uint32_t *ids,
                           size_t n, ib_error *err) IB_MUST_CHECK;

/* ---- work of one encode call ---- */
typedef struct ib_tok_piece {
    size_t off, len; /* bytes of the current text */
    bool at_start;   /* begins where the input begins */
} ib_tok_piece;
typedef struct ib_tok_pieces {
    ib_tok_piece *at; /* owned */
    size_t n, cap;
} ib_tok_pieces;
ib_status ib_tok_pieces_add(ib_tok_pieces *p, size_t off, size_t len, bool at_start,
                            ib_error *err) IB_MUST_CHECK;

typedef struct ib_tok_work {
    ib_tok_matcher matcher;
    ib_buf norm[2], text[2];
    ib_buf older; /* ib_tok_older_text */
    ib_tok_pieces pieces[2];
    ib_tok_cache cache;
    ib_tok_scratch scratch;
    ib_ids piece_ids;
    bool no_parse_special;
    size_t n_special;
    ib_ids ids;
} ib_tok_work;

/* ---- tok_normalize.c, tok_precompiled.c ---- */
typedef struct ib_tok_normalizer ib_tok_normalizer; /* one step */
typedef struct ib_tok_normalizers {
    ib_tok_normalizer *steps; /* in the store */
    size_t n;
} ib_tok_normalizers;
ib_status ib_tok_normalizers_read(ib_tok_normalizers *out, ib_tok_store *store, const json_t *value,
                                  ib_error *err) IB_MUST_CHECK;
/* The steps [Prepend prefix,] Replace " " by "\u2581" of SentencePiece models. */
ib_status ib_tok_normalizers_metaspace(ib_tok_normalizers *out, ib_tok_store *store, bool prepend,
                                       ib_error *err) IB_MUST_CHECK;
/* *out = the normalized text, in w->norm or text itself. *shifted is set when the first char of the
 * result does not stem from the first char of text. */
ib_status ib_tok_normalize(const ib_tok_normalizers *n, ib_tok_work *w, ib_str text, ib_str *out,
                           bool *shifted, ib_error *err) IB_MUST_CHECK;

typedef struct ib_tok_charsmap {
    const uint32_t *units; /* in the store */
    size_t n_units;
    ib_str blob;
} ib_tok_charsmap;
ib_status ib_tok_charsmap_read(ib_tok_charsmap *out, ib_tok_store *store, ib_str base64,
                               ib_error *err) IB_MUST_CHECK;
ib_status ib_tok_charsmap_apply(const ib_tok_charsmap *map, ib_str text, ib_buf *out, bool *shifted,
                                ib_error *err) IB_MUST_CHECK;

/* ---- tok_pretokenize.c ---- */
typedef struct ib_tok_presplitter ib_tok_presplitter; /* one step */
typedef struct ib_tok_presplitters {
    ib_tok_presplitter *steps; /* in the store */
    size_t n;
    bool map_bytes; /* the last step leaves raw bytes: the model maps them to the byte-level
                       alphabet */
} ib_tok_presplitters;
ib_status ib_tok_presplitters_read(ib_tok_presplitters *out, ib_tok_store *store,
                                   const json_t *value, ib_error *err) IB_MUST_CHECK;
/* Isolated splits by each pattern in turn, then bytes (GGUF files). */
ib_status ib_tok_presplitters_bytes(ib_tok_presplitters *out, ib_tok_store *store,
                                    const char *const *patterns, size_t n,
                                    ib_error *err) IB_MUST_CHECK;
/* *current = text, or the text that the steps made; *pieces points into w. */
ib_status ib_tok_presplit(const ib_tok_presplitters *p, ib_tok_work *w, ib_str text, bool at_start,
                          ib_str *current, const ib_tok_pieces **pieces,
                          ib_error *err) IB_MUST_CHECK;

/* ---- tok_added.c ---- */
typedef struct ib_tok_added {
    ib_str content; /* in the store */
    ib_str
        decoded; /* in the store: what it decodes to, the normalized content if it is normalized */
    uint32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} ib_tok_added;
typedef struct ib_tok_trie ib_tok_trie;
typedef struct ib_tok_added_set {
    ib_tok_added *items; /* owned [n] */
    size_t n, cap, n_bytes;
    ib_map by_content;             /* -> index */
    uint32_t next_id;              /* for a token that the vocabulary does not have */
    ib_tok_trie *raw, *normalized; /* owned; NULL = no such token */
    uint32_t *by_id;               /* owned [n]: indexes in the order of ids */
} ib_tok_added_set;
/* Adds or replaces a token; the id follows from the vocabulary. */
ib_status ib_tok_added_put(ib_tok_added_set *a, ib_tok_store *store, const ib_tok_vocab *vocab,
                           const ib_tok_added *token, ib_error *err) IB_MUST_CHECK;
ib_status ib_tok_added_read(ib_tok_added_set *a, ib_tok_store *store, const ib_tok_vocab *vocab,
                            const json_t *list, const ib_log *log, ib_error *err) IB_MUST_CHECK;
/* Flags of one entry of added_tokens or added_tokens_decoder. */
ib_status ib_tok_added_flags(const json_t *entry, const char *where, ib_tok_added *out,
                             ib_error *err) IB_MUST_CHECK;
/* Builds the automata; call once after the last put. */
ib_status ib_tok_added_seal(ib_tok_added_set *a, ib_tok_store *store,
                            const ib_tok_normalizers *norm, ib_error *err) IB_MUST_CHECK;
void ib_tok_added_clear(ib_tok_added_set *a);
const ib_tok_added *ib_tok_added_by_id(const ib_tok_added_set *a, uint32_t id); /* NULL = none */
const ib_tok_added *ib_tok_added_by_content(const ib_tok_added_set *a, ib_str content);

/* Walks a text: yields sections, each plain text (token NULL) or an added token. */
typedef struct ib_tok_splitter {
    const ib_tok_added_set *set;
    const ib_tok_trie *trie;
    ib_str text;
    size_t scan, done;           /* where the automaton goes on; what was handed out */
    const ib_tok_added *waiting; /* a token behind the plain text handed out last */
    size_t waiting_end, steps;
    bool skip_special;
} ib_tok_splitter;
ib_tok_splitter ib_tok_split(const ib_tok_added_set *a, bool normalized, bool skip_special,
                             ib_str text);
ib_status ib_tok_split_next(ib_tok_splitter *s, size_t *start, size_t *end,
                            const ib_tok_added **token, bool *found, ib_error *err) IB_MUST_CHECK;

/* ---- tok_post.c ---- */
typedef struct ib_tok_post_item {
    bool is_text; /* the ids so far; else the one special id */
    uint32_t id;
} ib_tok_post_item;
typedef struct ib_tok_post {
    ib_tok_post_item *items; /* in the store */
    size_t n;
} ib_tok_post;
typedef struct ib_tok_posts {
    ib_tok_post *steps; /* in the store */
    size_t n;
} ib_tok_posts;
ib_status ib_tok_posts_read(ib_tok_posts *out, ib_tok_store *store, const json_t *value,
                            ib_error *err) IB_MUST_CHECK;
/* [first] text [last], each optional (IB_TOK_NONE). */
ib_status ib_tok_posts_wrap(ib_tok_posts *out, ib_tok_store *store, uint32_t first, uint32_t last,
                            ib_error *err) IB_MUST_CHECK;
ib_status ib_tok_posts_apply(const ib_tok_posts *p, bool add_special, const ib_ids *ids,
                             ib_ids *out, ib_error *err) IB_MUST_CHECK;

/* ---- tok_decode.c ---- */
typedef struct ib_tok_decoder ib_tok_decoder; /* one step */
typedef struct ib_tok_decoders {
    ib_tok_decoder *steps; /* in the store */
    size_t n;
} ib_tok_decoders;
ib_status ib_tok_decoders_read(ib_tok_decoders *out, ib_tok_store *store, const json_t *value,
                               ib_error *err) IB_MUST_CHECK;
ib_status ib_tok_decoders_bytes(ib_tok_decoders *out, ib_tok_store *store,
                                ib_error *err) IB_MUST_CHECK;
ib_status ib_tok_decoders_metaspace(ib_tok_decoders *out, ib_tok_store *store, bool strip,
                                    ib_error *err) IB_MUST_CHECK;
/* The state of all steps for one text. */
typedef struct ib_tok_decoding ib_tok_decoding;
ib_status ib_tok_decoding_new(ib_tok_decoding **out, const ib_tok_decoders *d,
                              ib_error *err) IB_MUST_CHECK;
void ib_tok_decoding_free(ib_tok_decoding *s);
ib_status ib_tok_decoding_push(ib_tok_decoding *s, ib_str token, ib_buf *out,
                               ib_error *err) IB_MUST_CHECK;
ib_status ib_tok_decoding_finish(ib_tok_decoding *s, ib_buf *out, ib_error *err) IB_MUST_CHECK;
/* The replacements of clean_up_tokenization_spaces in place; `dont` adds " do not" -> " don't". */
ib_status ib_tok_clean_up(ib_buf *text, bool dont, ib_error *err) IB_MUST_CHECK;

/* ---- tok_config.c: tokenizer_config.json and special_tokens_map.json ---- */
typedef struct ib_tok_config {
    json_t *special; /* owned: name -> string */
    bool split_special_tokens, clean_up, clean_up_bpe;
} ib_tok_config;
ib_status ib_tok_config_read(ib_tok_config *c, const char *folder, ib_tok_added_set *added,
                             ib_tok_store *store, const ib_tok_vocab *vocab,
                             ib_error *err) IB_MUST_CHECK;

struct ib_tokenizer {
    ib_tok_store store;
    ib_tok_model model;
    ib_tok_added_set added;
    ib_tok_normalizers normalizers;
    ib_tok_presplitters presplitters;
    ib_tok_posts posts;
    ib_tok_decoders decoders;
    ib_tok_config config;
};
/* What an id decodes to: added tokens first. */
ib_str ib_tok_token(const ib_tokenizer *t, uint32_t id, bool *special);
/* Reads "type" of a component; IB_E_FORMAT when it has none. */
ib_status ib_tok_type(const json_t *value, const char *where, ib_str *out,
                      ib_error *err) IB_MUST_CHECK;
/* "an unknown WHAT type" in where. */
ib_status ib_tok_unknown_type(const char *what, ib_str type, ib_error *err);
/* Metaspace, as pre-tokenizer and as decoder. */
typedef enum ib_tok_prepend { IB_TOK_ALWAYS, IB_TOK_FIRST, IB_TOK_NEVER } ib_tok_prepend;
typedef struct ib_tok_metaspace {
    uint32_t replacement;
    ib_tok_prepend prepend;
    bool split;
} ib_tok_metaspace;
ib_status ib_tok_metaspace_read(ib_tok_metaspace *out, const json_t *value, const char *where,
                                ib_error *err) IB_MUST_CHECK;
/* A string member copied into the store; fallback when absent. */
ib_status ib_tok_copy_str(ib_tok_store *store, const json_t *object, const char *key,
                          const char *fallback, const char *where, ib_str *out,
                          ib_error *err) IB_MUST_CHECK;
/* Likewise, but it must be exactly one char. */
ib_status ib_tok_one_char(const json_t *object, const char *key, uint32_t fallback,
                          const char *where, uint32_t *out, ib_error *err) IB_MUST_CHECK;

#endif
