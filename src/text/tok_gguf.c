/* SPDX-License-Identifier: MIT
 * The tokenizer that a GGUF file carries -> the same parts that tokenizer.json is made of. Model
 * "gpt2" is byte-level BPE with a pre-tokenizer known by name; "llama" merges by score after spaces
 * became U+2581. Control and user-defined tokens act as added tokens. */
#include "text/tok.h"

#include <stdlib.h>
#include <string.h>

typedef enum token_type { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE } token_type;

#define MAX_PATTERNS 4
#define LETTERS "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define TAIL "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define O200K_TAIL "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

typedef struct pre_tokenizer {
    const char *names; /* each between blanks */
    const char *patterns[MAX_PATTERNS];
    size_t n;
    bool ignore_merges, add_bos;
} pre_tokenizer;

/* A pattern NULL is GPT-2's own. */
static const pre_tokenizer pre_tokenizers[] = {
    {" default gpt-2 olmo jais mpt exaone4 trillion ", {NULL}, 1, false, false},
    {" smollm starcoder refact command-r codeshell exaone minerva-7b ",
     {"\\p{N}", NULL},
     2,
     false,
     false},
    {" llama-bpe llama3 llama-v3 falcon3 pixtral ",
     {CONTRACTION "|" LETTERS "|\\p{N}{1,3}" TAIL},
     1,
     true,
     true},
    {" dbrx smaug-bpe chatglm-bpe glm4 ",
     {CONTRACTION "|" LETTERS "|\\p{N}{1,3}" TAIL},
     1,
     false,
     false},
    {" qwen2 deepseek-r1-qwen stablelm2 hunyuan ",
     {CONTRACTION "|" LETTERS "|\\p{N}" TAIL},
     1,
     false,
     false},
    {" deepseek-v3 ",
     {"\\p{N}{1,3}", "[\\u4E00-\\u9FA5\\u3040-\\u309F\\u30A0-\\u30FF]+",
      "[!\"#$%&'()*+,\\-./"
      ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
      "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
     3,
     false,
     false},
    {" tekken ",
     {"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER
      "*|\\p{N}" O200K_TAIL},
     1,
     true,
     true},
    {" gpt-4o llama4 ",
     {"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" CONTRACTION "?|[^\\r\\n\\p{L}\\p{N}]?" UPPER
      "+" LOWER "*" CONTRACTION "?|\\p{N}{1,3}" O200K_TAIL},
     1,
     false,
     false},
};

static ib_status find_pre(ib_str name, const pre_tokenizer **out, ib_error *err) {
    char padded[64], quoted[IB_QUOTED];
    if (!name.len)
        name = IB_STR("default");
    if (name.len < sizeof padded - 3 && !memchr(name.ptr, ' ', name.len) &&
        !memchr(name.ptr, 0, name.len)) {
        padded[0] = ' ';
        memcpy(padded + 1, name.ptr, name.len);
        padded[name.len + 1] = ' ';
        padded[name.len + 2] = '\0';
        for (size_t i = 0; i < sizeof pre_tokenizers / sizeof *pre_tokenizers; i++)
            if (strstr(pre_tokenizers[i].names, padded)) {
                *out = &pre_tokenizers[i];
                return IB_OK;
            }
    }
    return ib_fail(
        err, IB_E_UNSUPPORTED,
        "unknown pre-tokenizer in the GGUF file at tokenizer.ggml.pre: '%s'; fix: use the model "
        "as safetensors with its tokenizer.json",
        ib_quote(name, quoted));
}

/* ---- vocabulary ---- */

static ib_status read_vocab(ib_tokenizer *t, const ib_gguf_vocab *g, ib_error *err) {
    if (g->n_tokens > IB_TOK_MAX_VOCAB || g->n_merges > IB_TOK_MAX_MERGES)
        return ib_fail(
            err, IB_E_RESOURCE,
            "too many tokens or merges in the GGUF file: %zu and %zu, the caps are %zu and %zu; "
            "fix: check the file",
            g->n_tokens, g->n_merges, IB_TOK_MAX_VOCAB, IB_TOK_MAX_MERGES);
    if (!g->n_tokens || !g->tokens)
        return ib_fail(err, IB_E_FORMAT,
                       "no tokens in the GGUF file at tokenizer.ggml.tokens; fix: use a file with "
                       "a tokenizer");
    ib_tok_raw_entry *entries = calloc(g->n_tokens, sizeof *entries);
    if (!entries)
        return ib_fail_memory(err, g->n_tokens * sizeof *entries, "the vocabulary");
    for (size_t i = 0; i < g->n_tokens; i++) {
        ib_str s = g->tokens[i];
        entries[i] = (ib_tok_raw_entry){s, (int64_t)i, 0};
        if (s.len && ib_utf8_valid_prefix(s.ptr, s.len) != s.len)
            /* Such a token cannot be met in text; its id stays, its string is empty. */
            entries[i].text.len = 0;
    }
    /* Padding tokens may share one string: the last id counts, as for Unigram. */
    ib_status st = ib_tok_vocab_build(&t->model.vocab, entries, g->n_tokens, false,
                                      "the GGUF file at tokenizer.ggml.tokens", err);
    free(entries);
    return st;
}

static ib_status add_special(ib_tokenizer *t, const ib_gguf_vocab *g, ib_error *err) {
    for (size_t i = 0; g->token_types && i < g->n_tokens; i++) {
        bool control = g->token_types[i] == CONTROL;
        ib_tok_added token = {.content = g->tokens[i], .special = control};
        if (!control && g->token_types[i] != USER_DEFINED)
            continue;
        if (ib_tok_vocab_id(&t->model.vocab, g->tokens[i]) != i)
            continue;
        IB_TRY(ib_tok_added_put(&t->added, &t->store, &t->model.vocab, &token, err));
    }
    return IB_OK;
}

/* ---- models ---- */

static ib_status read_merges(ib_tokenizer *t, const ib_gguf_vocab *g, const ib_log *log,
                             ib_error *err) {
    char quoted[IB_QUOTED];
    ib_status st = IB_OK;
    ib_tok_raw_merge *merges = calloc(g->n_merges + 1, sizeof *merges);
    if (!merges)
        return ib_fail_memory(err, g->n_merges * sizeof *merges, "merges");
    for (size_t i = 0; st == IB_OK && i < g->n_merges; i++) {
        ib_str line = g->merges[i];
        const char *space = line.len > 1 ? memchr(line.ptr + 1, ' ', line.len - 1) : NULL;
        if (!space)
            st = ib_fail(
                err, IB_E_FORMAT,
                "bad merge in the GGUF file at tokenizer.ggml.merges[%zu]: '%s', expected two "
                "parts; fix: re-download the file",
                i, ib_quote(line, quoted));
        else
            merges[i] = (ib_tok_raw_merge){{line.ptr, (size_t)(space - line.ptr)},
                                           {space + 1, line.len - (size_t)(space - line.ptr) - 1}};
    }
    if (st == IB_OK)
        st = ib_tok_bpe_build(&t->model, merges, g->n_merges, log, err);
    free(merges);
    return st;
}

static ib_status gpt2_model(ib_tokenizer *t, const ib_gguf_vocab *g, const ib_log *log,
                            bool *add_bos, ib_error *err) {
    const pre_tokenizer *pre = NULL;
    IB_TRY(find_pre(g->pre, &pre, err));
    IB_TRY(read_merges(t, g, log, err));
    t->model.bpe.ignore_merges = pre->ignore_merges;
    *add_bos = pre->add_bos;
    IB_TRY(ib_tok_presplitters_bytes(&t->presplitters, &t->store, pre->patterns, pre->n, err));
    return ib_tok_decoders_bytes(&t->decoders, &t->store, err);
}

static int descending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? -1 : x < y;
}

/* Place of each token's score among the distinct scores, the highest first. */
static ib_status rank_scores(ib_tok_bpe *b, const ib_gguf_vocab *g, ib_error *err) {
    size_t n = g->n_tokens, n_distinct = 0;
    double *sorted = malloc(n * sizeof *sorted);
    b->score_rank = malloc(n * sizeof *b->score_rank);
    if (!sorted || !b->score_rank) {
        free(sorted);
        return ib_fail_memory(err, n * sizeof *sorted, "scores");
    }
    memcpy(sorted, g->scores, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, descending);
    for (size_t i = 0; i < n; i++)
        if (!i || sorted[i] < sorted[n_distinct - 1])
            sorted[n_distinct++] = sorted[i];
    for (size_t i = 0; i < n; i++) {
        size_t lo = 0, hi = n_distinct - 1;
        while (lo < hi) {
            size_t mid = lo + (hi - lo) / 2;
            if (sorted[mid] > g->scores[i])
                lo = mid + 1;
            else
                hi = mid;
        }
        b->score_rank[i] = (uint32_t)lo;
    }
    free(sorted);
    return IB_OK;
}

static ib_status llama_model(ib_tokenizer *t, const ib_gguf_vocab *g, bool *add_bos,
                             ib_error *err) {
    bool space = g->add_space_prefix != 0;
    if (!g->scores)
        return ib_fail(
            err, IB_E_FORMAT,
            "no scores in the GGUF file at tokenizer.ggml.scores; fix: use a complete file");
    for (size_t i = 0; i < g->n_tokens; i++)
        if (!(g->scores[i] - g->scores[i] == 0))
            return ib_fail(err, IB_E_FORMAT,
                           "score not finite in the GGUF file at tokenizer.ggml.scores[%zu]; fix: "
                           "re-download the file",
                           i);
    IB_TRY(rank_scores(&t->model.bpe, g, err));
    ib_tok_bpe_fill_tables(&t->model);
    *add_bos = true;
    IB_TRY(ib_tok_normalizers_metaspace(&t->normalizers, &t->store, space, err));
    return ib_tok_decoders_metaspace(&t->decoders, &t->store, space, err);
}

/* ---- special tokens ---- */

static ib_status check_id(const ib_gguf_vocab *g, int64_t id, const char *name, uint32_t *out,
                          ib_error *err) {
    *out = IB_TOK_NONE;
    if (id < 0)
        return IB_OK;
    if ((uint64_t)id >= g->n_tokens)
        return ib_fail(
            err, IB_E_FORMAT,
            "token id out of range in the GGUF file at tokenizer.ggml.%s: %lld of %zu tokens; "
            "fix: re-download the file",
            name, (long long)id, g->n_tokens);
    *out = (uint32_t)id;
    return IB_OK;
}

static ib_status name_special(ib_tokenizer *t, const ib_gguf_vocab *g, ib_error *err) {
    const struct {
        const char *name, *key;
        int64_t id;
    } all[] = {{"bos_token", "bos_token_id", g->bos_id},
               {"eos_token", "eos_token_id", g->eos_id},
               {"unk_token", "unknown_token_id", g->unk_id},
               {"pad_token", "padding_token_id", g->pad_id}};
    t->config.special = json_object();
    if (!t->config.special)
        return ib_fail_memory(err, g->n_tokens, "special tokens");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        uint32_t id;
        IB_TRY(check_id(g, all[i].id, all[i].key, &id, err));
        if (id == IB_TOK_NONE)
            continue;
        ib_str text = ib_tok_vocab_token(&t->model.vocab, id);
        if (json_object_set_new(t->config.special, all[i].name, json_stringn(text.ptr, text.len)) !=
            0)
            return ib_fail_memory(err, text.len, "special tokens");
    }
    return IB_OK;
}

static ib_status wrap_text(ib_tokenizer *t, const ib_gguf_vocab *g, bool add_bos, ib_error *err) {
    uint32_t bos, eos;
    if (g->add_bos >= 0)
        add_bos = g->add_bos != 0;
    IB_TRY(check_id(g, add_bos ? g->bos_id : -1, "bos_token_id", &bos, err));
    IB_TRY(check_id(g, g->add_eos == 1 ? g->eos_id : -1, "eos_token_id", &eos, err));
    return ib_tok_posts_wrap(&t->posts, &t->store, bos, eos, err);
}

static ib_status build(ib_tokenizer *t, const ib_gguf_vocab *g, const ib_log *log, ib_error *err) {
    char quoted[IB_QUOTED];
    bool add_bos = false;
    t->model.kind = IB_TOK_BPE;
    IB_TRY(read_vocab(t, g, err));
    IB_TRY(check_id(g, g->unk_id, "unknown_token_id", &t->model.bpe.unk_id, err));
    if (ib_str_is(g->model, "gpt2"))
        IB_TRY(gpt2_model(t, g, log, &add_bos, err));
    else if (ib_str_is(g->model, "llama"))
        IB_TRY(llama_model(t, g, &add_bos, err));
    else
        return ib_fail(
            err, IB_E_UNSUPPORTED,
            "unknown tokenizer model in the GGUF file at tokenizer.ggml.model: '%s'; fix: use "
            "the model as safetensors with its tokenizer.json",
            ib_quote(g->model, quoted));
    IB_TRY(add_special(t, g, err));
    IB_TRY(name_special(t, g, err));
    IB_TRY(wrap_text(t, g, add_bos, err));
    return ib_tok_added_seal(&t->added, &t->store, &t->normalizers, err);
}

ib_status ib_tokenizer_from_gguf(ib_tokenizer **out, const ib_gguf_vocab *vocab, const ib_log *log,
                                 ib_error *err) {
    *out = NULL;
    ib_tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        return ib_fail_memory(err, sizeof *t, "a tokenizer");
    ib_arena_init(&t->store.arena, 0);
    ib_status st = build(t, vocab, log, err);
    if (st != IB_OK) {
        ib_tokenizer_free(t);
        return st;
    }
    *out = t;
    return IB_OK;
}
