/* SPDX-License-Identifier: MIT
 * The tokenizer of a GGUF file -> tokenizer.json and tokenizer_config.json, so that the new folder
 * gives the same ids. "gpt2" becomes byte-level BPE with the pre-tokenizer that
 * tokenizer.ggml.pre names; "llama" becomes BPE with byte fallback, its merges made from scores. */
#include "cli/quantize/quantize.h"

#include "cli/quantize/gguf_vocab.h"

#include <string.h>

/* --- pre-tokenizers --- */

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define PUNCTUATION_AND_SPACE "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORDS_LLAMA3(numbers)                                                                      \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers PUNCTUATION_AND_SPACE
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(ending)                                                                              \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" ending "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER  \
    "*" ending
#define CASED_TAIL "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

typedef enum pre_kind { PRE_GPT2, PRE_DIGITS_GPT2, PRE_SPLITS } pre_kind;

typedef struct pre_rule {
    const char *names; /* blank-separated */
    pre_kind kind;
    const char *splits[3];
    bool ignore_merges;
    int add_bos; /* when the file does not say */
} pre_rule;

static const pre_rule rules[] = {
    {"default gpt-2 olmo jais mpt exaone4 trillion", PRE_GPT2, {NULL}, false, 0},
    {"smollm starcoder refact command-r codeshell exaone minerva-7b",
     PRE_DIGITS_GPT2,
     {NULL},
     false,
     0},
    {"llama-bpe llama3 llama-v3 falcon3 pixtral",
     PRE_SPLITS,
     {WORDS_LLAMA3("\\p{N}{1,3}")},
     true,
     1},
    {"dbrx smaug-bpe chatglm-bpe glm4", PRE_SPLITS, {WORDS_LLAMA3("\\p{N}{1,3}")}, false, 0},
    {"qwen2 deepseek-r1-qwen stablelm2 hunyuan", PRE_SPLITS, {WORDS_LLAMA3("\\p{N}")}, false, 0},
    {"deepseek-v3",
     PRE_SPLITS,
     {"\\p{N}{1,3}",
      "[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+",
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}"
      "\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"},
     false,
     0},
    {"tekken", PRE_SPLITS, {CASED("") "|\\p{N}" CASED_TAIL}, true, 1},
    {"gpt-4o llama4", PRE_SPLITS, {CASED(CONTRACTIONS "?") "|\\p{N}{1,3}" CASED_TAIL}, false, 0},
};

static bool has_word(const char *words, ib_str word) {
    while (*words) {
        size_t n = strcspn(words, " ");
        if (ib_str_eq((ib_str){words, n}, word))
            return true;
        words += n + (words[n] == ' ');
    }
    return false;
}

static ib_status find_rule(const pre_rule **out, ib_str pre, ib_error *err) {
    char shown[IB_QUOTED];
    ib_str name = pre.ptr ? pre : IB_STR("default");
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (has_word(rules[i].names, name)) {
            *out = &rules[i];
            return IB_OK;
        }
    return ib_fail(err, IB_E_UNSUPPORTED,
                   "unknown pre-tokenizer in the GGUF key tokenizer.ggml.pre: '%s'; fix: quantize "
                   "the model from safetensors",
                   ib_quote(name, shown));
}

static json_t *byte_level(bool use_regex) {
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 1, "use_regex", (int)use_regex);
}

static json_t *pre_tokenizer(const pre_rule *r) {
    if (r->kind == PRE_GPT2)
        return byte_level(true);
    json_t *list = json_array();
    if (r->kind == PRE_DIGITS_GPT2)
        (void)json_array_append_new(
            list, json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", 1));
    for (size_t i = 0; r->kind == PRE_SPLITS && i < 3 && r->splits[i]; i++)
        (void)json_array_append_new(list, json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split",
                                                    "pattern", "Regex", r->splits[i], "behavior",
                                                    "Isolated", "invert", 0));
    (void)json_array_append_new(list, byte_level(r->kind != PRE_SPLITS));
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", list);
}

/* --- the parts that both kinds share --- */

static json_t *token_text(const ib_gguf_tokens *v, int64_t id) {
    if (id < 0 || (uint64_t)id >= v->n)
        return json_null();
    return json_stringn(v->tokens[id].ptr, v->tokens[id].len);
}

/* Puts bos before and eos behind a text, where asked; null when neither is. */
static json_t *post_processor(const ib_gguf_tokens *v, bool bos, bool eos) {
    json_t *single = json_array(), *pair = json_array(), *special = json_object();
    const int64_t ids[2] = {bos ? v->bos_id : -1, eos ? v->eos_id : -1};
    static const char *const names[2] = {"A", "B"};
    for (int sequence = 0; sequence < 2; sequence++) {
        for (int where = 0; where < 2; where++) {
            int64_t id = ids[where];
            if (where == 1) {
                json_t *item = json_pack("{s:{s:s, s:i}}", "Sequence", "id", names[sequence],
                                         "type_id", sequence);
                if (sequence == 0)
                    (void)json_array_append(single, item);
                (void)json_array_append_new(pair, item);
            }
            if (id < 0 || (uint64_t)id >= v->n)
                continue;
            json_t *item = json_pack("{s:{s:o, s:i}}", "SpecialToken", "id", token_text(v, id),
                                     "type_id", sequence);
            if (sequence == 0)
                (void)json_array_append(single, item);
            (void)json_array_append_new(pair, item);
            (void)json_object_setn_new(special, v->tokens[id].ptr, v->tokens[id].len,
                                       json_pack("{s:o, s:[I], s:[o]}", "id", token_text(v, id),
                                                 "ids", (json_int_t)id, "tokens",
                                                 token_text(v, id)));
        }
    }
    if (json_object_size(special))
        return json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", single,
                         "pair", pair, "special_tokens", special);
    json_decref(single);
    json_decref(pair);
    json_decref(special);
    return json_null();
}

static json_t *added_tokens(const ib_gguf_tokens *v) {
    json_t *list = json_array();
    for (uint64_t id = 0; id < v->n; id++) {
        bool special =
            v->types[id] == IB_GGUF_TOKEN_CONTROL || v->types[id] == IB_GGUF_TOKEN_UNKNOWN;
        if (!special && v->types[id] != IB_GGUF_TOKEN_USER)
            continue;
        (void)json_array_append_new(
            list, json_pack("{s:I, s:o, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)id, "content",
                            token_text(v, (int64_t)id), "single_word", 0, "lstrip", 0, "rstrip", 0,
                            "normalized", 0, "special", (int)special));
    }
    return list;
}

/* Of equal strings (padding) the last id counts; a string that is not UTF-8 cannot be met in text
 * and is left out. */
static json_t *vocab_object(const ib_gguf_tokens *v) {
    json_t *vocab = json_object();
    for (uint64_t id = 0; id < v->n; id++)
        (void)json_object_setn_new(vocab, v->tokens[id].ptr, v->tokens[id].len,
                                   json_integer((json_int_t)id));
    return vocab;
}

static json_t *whole(const ib_gguf_tokens *v, json_t *normalizer, json_t *pre, json_t *post,
                     json_t *decoder, json_t *model) {
    return json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:o, s:o, s:o}", "version", "1.0",
                     "truncation", "padding", "added_tokens", added_tokens(v), "normalizer",
                     normalizer, "pre_tokenizer", pre, "post_processor", post, "decoder", decoder,
                     "model", model);
}

/* --- the two kinds --- */

static ib_status byte_level_bpe(json_t **out, const ib_gguf_tokens *v, ib_error *err) {
    const pre_rule *rule = NULL;
    IB_TRY(find_rule(&rule, v->pre, err));
    bool bos = v->add_bos >= 0 ? v->add_bos : rule->add_bos;
    json_t *merges = json_array();
    for (uint64_t i = 0; i < v->n_merges; i++)
        (void)json_array_append_new(merges, json_stringn(v->merges[i].ptr, v->merges[i].len));
    json_t *model = json_pack(
        "{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
        "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0,
        "ignore_merges", (int)rule->ignore_merges, "vocab", vocab_object(v), "merges", merges);
    json_t *decoder = json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 1,
                                "trim_offsets", 1, "use_regex", 1);
    *out = whole(v, json_null(), pre_tokenizer(rule), post_processor(v, bos, v->add_eos == 1),
                 decoder, model);
    return *out ? IB_OK : ib_fail(err, IB_E_FORMAT, "a token of the GGUF file is not UTF-8 text");
}

#define LOWER_BLOCK "\xE2\x96\x81" /* U+2581, the visible space */

static json_t *spm_normalizer(bool prefix) {
    json_t *list = json_array();
    if (prefix)
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s}", "type", "Prepend", "prepend", LOWER_BLOCK));
    (void)json_array_append_new(list, json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern",
                                                "String", " ", "content", LOWER_BLOCK));
    return json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", list);
}

static json_t *spm_decoder(bool prefix) {
    json_t *list =
        json_pack("[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]", "type", "Replace", "pattern", "String",
                  LOWER_BLOCK, "content", " ", "type", "ByteFallback", "type", "Fuse");
    if (prefix)
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip",
                                                    "content", " ", "start", 1, "stop", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", list);
}

static ib_status sentencepiece_bpe(json_t **out, const ib_gguf_tokens *v, ib_error *err) {
    bool prefix = v->add_space_prefix != 0, bos = v->add_bos != 0;
    json_t *merges = NULL;
    IB_TRY(ib_gguf_tokens_merges(&merges, v, err));
    json_t *model = json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:o, s:o}", "type", "BPE",
                              "dropout", "unk_token", token_text(v, v->unk_id),
                              "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 1,
                              "byte_fallback", 1, "vocab", vocab_object(v), "merges", merges);
    *out = whole(v, spm_normalizer(prefix), json_null(), post_processor(v, bos, v->add_eos == 1),
                 spm_decoder(prefix), model);
    return *out ? IB_OK : ib_fail(err, IB_E_FORMAT, "a token of the GGUF file is not UTF-8 text");
}

/* --- tokenizer_config.json --- */

static void set_named(json_t *o, const char *name, const ib_gguf_tokens *v, int64_t id) {
    if (id >= 0 && (uint64_t)id < v->n)
        (void)json_object_set_new(o, name, token_text(v, id));
}

static json_t *chat_template(const ib_chat_templates *t) {
    size_t n = t ? json_object_size(t->by_name) : 0;
    const char *name;
    json_t *source, *list;
    if (n == 0)
        return NULL;
    source = json_object_get(t->by_name, "default");
    if (n == 1 && source)
        return json_incref(source);
    list = json_array();
    json_object_foreach(t->by_name, name, source)(void)
        json_array_append_new(list, json_pack("{s:s, s:O}", "name", name, "template", source));
    return list;
}

static ib_status write_config(ib_new_folder *f, const ib_gguf_tokens *v,
                              const ib_chat_templates *templates, uint64_t n_ctx, ib_error *err) {
    json_t *o = json_pack("{s:s, s:I, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                          "model_max_length", (json_int_t)n_ctx, "clean_up_tokenization_spaces", 0);
    json_t *template = chat_template(templates);
    if (!o) {
        json_decref(template);
        return ib_fail_memory(err, 0, "a tokenizer");
    }
    set_named(o, "bos_token", v, v->bos_id);
    set_named(o, "eos_token", v, v->eos_id);
    set_named(o, "unk_token", v, v->unk_id);
    set_named(o, "pad_token", v, v->pad_id);
    if (template)
        (void)json_object_set_new(o, "chat_template", template);
    ib_status st = ib_new_folder_write_json(f, "tokenizer_config.json", o, err);
    json_decref(o);
    return st;
}

ib_status ib_quantize_gguf_tokenizer(ib_new_folder *f, const ib_gguf_meta *meta,
                                     const ib_chat_templates *templates, uint64_t n_ctx,
                                     ib_error *err) {
    ib_gguf_tokens v;
    char shown[IB_QUOTED];
    json_t *json = NULL;
    IB_TRY(ib_gguf_tokens_read(&v, meta, err));
    ib_status st = IB_OK;
    if (!v.n)
        ; /* a model without a tokenizer */
    else if (ib_str_is(v.model, "gpt2"))
        st = byte_level_bpe(&json, &v, err);
    else if (ib_str_is(v.model, "llama"))
        st = sentencepiece_bpe(&json, &v, err);
    else
        st = ib_fail(err, IB_E_UNSUPPORTED,
                     "unknown tokenizer in the GGUF key tokenizer.ggml.model: '%s'; fix: quantize "
                     "the model from safetensors",
                     ib_quote(v.model, shown));
    if (st == IB_OK && json)
        st = ib_new_folder_write_json(f, "tokenizer.json", json, err);
    if (st == IB_OK && json)
        st = write_config(f, &v, templates, n_ctx, err);
    json_decref(json);
    ib_gguf_tokens_clear(&v);
    return st;
}
