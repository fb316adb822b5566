/* SPDX-License-Identifier: MIT
 * Shape and format -> tensors. The tensors are walked twice: once to add up their bytes, once to
 * place them in memory and list what is to be filled. */
#include "model/synthetic.h"

#include "base/checked.h"
#include "base/file.h"
#include "model/synthetic_fill.h"
#include "model/weights.h"
#include "quant/bnb.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME = 160,
    LONG_NAME = NAME + 64,
    BLOCKSIZE = 64,
    NESTED_BLOCKSIZE = 256,
    STATE_ROOM = 512
};

static const char prefix[] = "synthetic:";

/* --- shapes and formats --- */

typedef struct shape { /* of the published config.json files */
    const char *name, *model_type;
    int n_vocab, d_model, d_ff, n_layers, n_heads, n_kv_heads, head_dim, n_ctx_max;
    double rope_theta, llama3_factor; /* 0 = no scaling */
    double rms_eps;
    bool tied;
} shape;

static const shape shapes[] = {
    {"llama-3.1-8b", "llama", 128256, 4096, 14336, 32, 32, 8, 128, 131072, 5e5, 8, 1e-5, false},
    {"llama-3.1-70b", "llama", 128256, 8192, 28672, 80, 64, 8, 128, 131072, 5e5, 8, 1e-5, false},
    {"llama-3.2-1b", "llama", 128256, 2048, 8192, 16, 32, 8, 64, 131072, 5e5, 32, 1e-5, true},
    {"tinyllama-1.1b", "llama", 32000, 2048, 5632, 22, 32, 4, 64, 2048, 1e4, 0, 1e-5, false},
    {"smollm2-135m", "llama", 49152, 576, 1536, 30, 9, 3, 64, 8192, 1e5, 0, 1e-5, true},
    {"qwen3-0.6b", "qwen3", 151936, 1024, 3072, 28, 16, 8, 128, 40960, 1e6, 0, 1e-6, true},
    {"qwen3-8b", "qwen3", 151936, 4096, 12288, 36, 32, 8, 128, 40960, 1e6, 0, 1e-6, false},
    {"mistral-7b", "mistral", 32768, 4096, 14336, 32, 32, 8, 128, 32768, 1e6, 0, 1e-5, false},
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

typedef struct format {
    const char *name;
    ib_type linear, embed, head; /* head: also of a tied embedding */
    ib_type rest;                /* norms and biases */
    bool nested;                 /* scales of 4-bit formats quantized too */
} format;

#define PLAIN(name, t)                                                                             \
    { name, IB_TYPE_##t, IB_TYPE_##t, IB_TYPE_##t, IB_TYPE_##t, false }
#define BNB(name, t, nested)                                                                       \
    { name, IB_TYPE_##t, IB_TYPE_BF16, IB_TYPE_BF16, IB_TYPE_BF16, nested }
#define GGUF(name, t, head)                                                                        \
    { name, IB_TYPE_##t, IB_TYPE_##t, IB_TYPE_##head, IB_TYPE_F32, false }

static const format formats[] = {
    PLAIN("bf16", BF16),      PLAIN("fp16", F16),       PLAIN("fp32", F32),
    BNB("nf4", NF4, false),   BNB("nf4-dq", NF4, true), BNB("fp4", FP4, false),
    BNB("fp4-dq", FP4, true), BNB("int8", INT8, false), GGUF("q4_0", Q4_0, Q6_K),
    GGUF("q4_k", Q4_K, Q6_K), GGUF("q8_0", Q8_0, Q8_0),
};
enum { N_FORMATS = sizeof formats / sizeof formats[0] };

struct ib_synthetic {
    char *label; /* owned */
    const format *format;
    json_t *config; /* owned */
    uint64_t seed;
};

bool ib_synthetic_asked(const char *model_id) {
    return model_id && strncmp(model_id, prefix, sizeof prefix - 1) == 0;
}

static bool is_4bit(ib_type t) {
    return t == IB_TYPE_NF4 || t == IB_TYPE_FP4;
}

/* --- the configuration --- */

static json_t *rope_scaling(const shape *s) {
    if (!(s->llama3_factor > 0))
        return json_null();
    return json_pack("{s:s, s:f, s:f, s:f, s:i}", "rope_type", "llama3", "factor", s->llama3_factor,
                     "low_freq_factor", 1.0, "high_freq_factor", 4.0,
                     "original_max_position_embeddings", 8192);
}

static json_t *config_of(const shape *s) {
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:o, s:f, s:b, s:n, s:s}",
                     "model_type", s->model_type, "vocab_size", s->n_vocab, "hidden_size",
                     s->d_model, "intermediate_size", s->d_ff, "num_hidden_layers", s->n_layers,
                     "num_attention_heads", s->n_heads, "num_key_value_heads", s->n_kv_heads,
                     "head_dim", s->head_dim, "max_position_embeddings", s->n_ctx_max, "rope_theta",
                     s->rope_theta, "rope_scaling", rope_scaling(s), "rms_norm_eps", s->rms_eps,
                     "tie_word_embeddings", s->tied, "sliding_window", "hidden_act", "silu");
}

static ib_status unknown_name(const char *name, ib_error *err) {
    char quoted[IB_QUOTED], list[256];
    size_t n = 0;
    for (size_t i = 0; i < N_SHAPES && n < sizeof list; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", shapes[i].name);
    return ib_fail(err, IB_E_USAGE,
                   "unknown synthetic model in --model-id: '%s'; fix: use one of %s, or "
                   "synthetic:PATH/config.json",
                   ib_quotez(name, quoted), list);
}

static ib_status load_config(ib_synthetic *s, const char *path, ib_error *err) {
    char quoted[IB_QUOTED];
    IB_TRY(ib_json_load(&s->config, path, 0, err));
    if (json_is_object(s->config))
        return IB_OK;
    return ib_fail(err, IB_E_FORMAT,
                   "bad file in %s: expected a JSON object; fix: give a model's config.json",
                   ib_quotez(path, quoted));
}

static ib_status find_config(ib_synthetic *s, const char *name, ib_error *err) {
    for (size_t i = 0; i < N_SHAPES; i++) {
        if (strcmp(name, shapes[i].name) != 0)
            continue;
        s->config = config_of(&shapes[i]);
        return s->config ? IB_OK : ib_fail_memory(err, 0, "the configuration");
    }
    if (strchr(name, '/') || ib_str_ends(ib_str_of(name), ".json"))
        return load_config(s, name, err);
    return unknown_name(name, err);
}

static ib_status find_format(ib_synthetic *s, const char *quant, ib_error *err) {
    char quoted[IB_QUOTED];
    const char *name = !quant || strcmp(quant, "none") == 0 ? "bf16" : quant;
    for (size_t i = 0; i < N_FORMATS; i++)
        if (strcmp(name, formats[i].name) == 0)
            s->format = &formats[i];
    if (s->format)
        return IB_OK;
    return ib_fail(err, IB_E_USAGE,
                   "unknown format of a synthetic model in --quant: '%s'; fix: use bf16, fp16, "
                   "fp32, nf4, nf4-dq, fp4, fp4-dq, int8, q4_0, q4_k or q8_0",
                   ib_quotez(quant, quoted));
}

static json_t *quantization_of(const format *f) {
    if (f->linear == IB_TYPE_INT8)
        return json_pack("{s:s, s:b, s:f}", "quant_method", "bitsandbytes", "load_in_8bit", 1,
                         "llm_int8_threshold", 6.0);
    return json_pack("{s:s, s:b, s:s, s:b, s:s}", "quant_method", "bitsandbytes", "load_in_4bit", 1,
                     "bnb_4bit_quant_type", f->linear == IB_TYPE_NF4 ? "nf4" : "fp4",
                     "bnb_4bit_use_double_quant", f->nested, "bnb_4bit_compute_dtype", "bfloat16");
}

/* The configuration says what the format is, as a real folder's does. GGUF types have no word in a
 * config.json: their dtype is that of activations and KV cache. */
static ib_status settle_config(ib_synthetic *s, ib_error *err) {
    const format *f = s->format;
    const char *dtype = f->rest == IB_TYPE_F16 ? "float16" : "bfloat16";
    const bool bnb = is_4bit(f->linear) || f->linear == IB_TYPE_INT8;
    if (f->linear == IB_TYPE_F32)
        dtype = "float32";
    (void)json_object_del(s->config, "torch_dtype");
    (void)json_object_del(s->config, "quantization_config");
    if (json_object_set_new(s->config, "dtype", json_string(dtype)) != 0 ||
        (bnb && json_object_set_new(s->config, "quantization_config", quantization_of(f)) != 0))
        return ib_fail_memory(err, 0, "the configuration");
    return IB_OK;
}

ib_status ib_synthetic_open(ib_synthetic **out, const char *model_id, const char *quant,
                            uint64_t seed, ib_error *err) {
    ib_synthetic *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return ib_fail_memory(err, sizeof *s, "a synthetic model");
    s->seed = seed;
    s->label = ib_strdup(model_id);
    ib_status st = s->label ? IB_OK : ib_fail_memory(err, strlen(model_id), "a name");
    if (st == IB_OK)
        st = find_format(s, quant, err);
    if (st == IB_OK)
        st = find_config(s, model_id + sizeof prefix - 1, err);
    if (st == IB_OK)
        st = settle_config(s, err);
    if (st != IB_OK) {
        ib_synthetic_close(s);
        return st;
    }
    *out = s;
    return IB_OK;
}

void ib_synthetic_close(ib_synthetic *s) {
    if (!s)
        return;
    json_decref(s->config);
    free(s->label);
    free(s);
}

const json_t *ib_synthetic_config(const ib_synthetic *s) {
    return s->config;
}

const char *ib_synthetic_label(const ib_synthetic *s) {
    return s->label;
}

const char *ib_synthetic_quant(const ib_synthetic *s) {
    return s->format->name;
}

/* --- the tensors --- */

typedef struct walk {
    const ib_synthetic *s;
    const ib_config *c;
    uint64_t bytes;      /* so far, each tensor rounded up */
    ib_checkpoint *ckpt; /* NULL while only counting */
    ib_fill *fills;      /* owned */
    size_t n_fills, cap_fills;
    float nested_map[256];
} walk;

/* A tensor of the name, a vector with cols 0; *data its place, NULL while counting. */
static ib_status tensor(walk *w, const char *name, ib_type type, uint64_t rows, uint64_t cols,
                        void **data, ib_error *err) {
    ib_stored_tensor t = {.name = ib_str_of(name), .type = type, .n_dims = cols ? 2 : 1};
    uint64_t bytes = 0;
    t.shape[0] = rows;
    t.shape[1] = cols;
    *data = NULL;
    if (w->ckpt)
        return ib_checkpoint_add_memory(w->ckpt, &t, data, err);
    if (!ib_mul_u64(rows, cols ? cols : 1, &bytes) || !ib_type_bytes(type, bytes, &bytes) ||
        !ib_round_up(bytes, IB_MEMORY_ALIGN, &bytes) || !ib_add_u64(w->bytes, bytes, &w->bytes) ||
        w->bytes > INT64_MAX)
        return ib_fail(err, IB_E_RESOURCE,
                       "synthetic model '%s' is too large: more than 2^63 bytes; fix: choose a "
                       "smaller shape",
                       w->s->label);
    return IB_OK;
}

/* The same, to be filled with random numbers. */
static ib_status random_tensor(walk *w, const char *name, ib_type type, uint64_t rows,
                               uint64_t cols, double deviation, bool scales, ib_error *err) {
    void *data;
    uint64_t n = 0;
    IB_TRY(tensor(w, name, type, rows, cols, &data, err));
    if (!data)
        return IB_OK;
    if (w->n_fills == w->cap_fills) {
        const size_t cap = w->cap_fills ? 2 * w->cap_fills : 256;
        ib_fill *more = realloc(w->fills, cap * sizeof *more);
        if (!more)
            return ib_fail_memory(err, cap * sizeof *more, "the list of tensors");
        w->fills = more;
        w->cap_fills = cap;
    }
    (void)ib_type_bytes(type, rows * (cols ? cols : 1), &n);
    w->fills[w->n_fills++] =
        (ib_fill){.at = data, .n_bytes = n, .type = type, .scales = scales, .deviation = deviation};
    return IB_OK;
}

/* a followed by b; names of modules are shorter than NAME. */
static const char *join(char out[LONG_NAME], const char *a, const char *b) {
    (void)snprintf(out, LONG_NAME, "%s%s", a, b);
    return out;
}

/* A small table of values that are not random. */
static ib_status table(walk *w, const char *name, const float *values, uint64_t n, ib_error *err) {
    void *data;
    IB_TRY(tensor(w, name, IB_TYPE_F32, n, 0, &data, err));
    if (data)
        memcpy(data, values, (size_t)n * sizeof *values);
    return IB_OK;
}

static ib_status state_text(const walk *w, uint64_t rows, uint64_t cols, double offset, ib_buf *out,
                            ib_error *err) {
    const format *f = w->s->format;
    json_t *o = json_pack("{s:s, s:i, s:s, s:[I, I]}", "quant_type",
                          f->linear == IB_TYPE_NF4 ? "nf4" : "fp4", "blocksize", BLOCKSIZE, "dtype",
                          "bfloat16", "shape", (json_int_t)rows, (json_int_t)cols);
    bool good = o != NULL;
    if (good && f->nested)
        good = json_object_set_new(o, "nested_blocksize", json_integer(NESTED_BLOCKSIZE)) == 0 &&
               json_object_set_new(o, "nested_dtype", json_string("float32")) == 0 &&
               json_object_set_new(o, "nested_offset", json_real(offset)) == 0;
    ib_status st =
        good ? ib_json_dump(o, JSON_COMPACT, out, err) : ib_fail_memory(err, 0, "a quant_state");
    json_decref(o);
    return st;
}

/* The quant_state tensor. Its length depends on the numbers in it: counted as STATE_ROOM. */
static ib_status state(walk *w, const char *weight, uint64_t rows, uint64_t cols, double offset,
                       ib_error *err) {
    char name[LONG_NAME];
    ib_buf text;
    void *data = NULL;
    const bool nf4 = w->s->format->linear == IB_TYPE_NF4;
    join(name, weight, nf4 ? ".quant_state.bitsandbytes__nf4" : ".quant_state.bitsandbytes__fp4");
    if (!w->ckpt)
        return tensor(w, name, IB_TYPE_U8, STATE_ROOM, 0, &data, err);
    ib_buf_init(&text);
    ib_status st = state_text(w, rows, cols, offset, &text, err);
    if (st == IB_OK && text.len > STATE_ROOM)
        st = ib_fail(err, IB_E_INTERNAL, "a quant_state of %zu bytes", text.len);
    if (st == IB_OK)
        st = tensor(w, name, IB_TYPE_U8, text.len, 0, &data, err);
    if (st == IB_OK)
        memcpy(data, text.ptr, text.len);
    ib_buf_clear(&text);
    return st;
}

/* absmax and what belongs to it; scale: what a code of 1 stands for, on average. */
static ib_status nibble_scales(walk *w, const char *weight, uint64_t n_blocks, double scale,
                               ib_error *err) {
    char name[LONG_NAME];
    if (!w->s->format->nested)
        return random_tensor(w, join(name, weight, ".absmax"), IB_TYPE_F32, n_blocks, 0, scale,
                             true, err);
    IB_TRY(random_tensor(w, join(name, weight, ".absmax"), IB_TYPE_U8, n_blocks, 0, 1, false, err));
    IB_TRY(random_tensor(w, join(name, weight, ".nested_absmax"), IB_TYPE_F32,
                         ib_ceil_div(n_blocks, NESTED_BLOCKSIZE), 0, scale / 4, true, err));
    return table(w, join(name, weight, ".nested_quant_map"), w->nested_map, 256, err);
}

static ib_status nibbles(walk *w, const char *weight, uint64_t rows, uint64_t cols,
                         double deviation, ib_error *err) {
    const float *codes = w->s->format->linear == IB_TYPE_NF4 ? ib_nf4_table : ib_fp4_table;
    /* offset and scale as the reader of the JSON text will have them */
    const double scale = (float)(deviation / ib_fill_code_deviation(codes, 16));
    char name[LONG_NAME];
    uint64_t n = 0;
    if (!ib_mul_u64(rows, cols, &n))
        return ib_fail(err, IB_E_RESOURCE,
                       "synthetic model '%s': '%s' is too large; fix: choose a "
                       "smaller shape",
                       w->s->label, weight);
    IB_TRY(random_tensor(w, weight, IB_TYPE_U8, ib_ceil_div(n, 2), 1, 1, false, err));
    if (w->ckpt && w->s->format->linear == IB_TYPE_NF4)
        w->fills[w->n_fills - 1].type = IB_TYPE_NF4;
    IB_TRY(nibble_scales(w, weight, ib_ceil_div(n, BLOCKSIZE), scale, err));
    IB_TRY(table(w, join(name, weight, ".quant_map"), codes, 16, err));
    return state(w, weight, rows, cols, scale, err);
}

static ib_status int8(walk *w, const char *module, const char *weight, uint64_t rows, uint64_t cols,
                      double deviation, ib_error *err) {
    char name[LONG_NAME];
    IB_TRY(random_tensor(w, weight, IB_TYPE_I8, rows, cols, 1, false, err));
    /* codes -127 .. 127 stand for -scb .. scb */
    return random_tensor(w, join(name, module, ".SCB"), IB_TYPE_F32, rows, 0, deviation * sqrt(3.0),
                         true, err);
}

/* Block types whose blocks do not divide a row give way as they do in converted files. */
static ib_type fitting(ib_type t, uint64_t cols) {
    if (cols % ib_type_block_elements(t) == 0)
        return t;
    const ib_type next = t == IB_TYPE_Q4_K ? IB_TYPE_Q5_0 : IB_TYPE_Q8_0;
    return cols % 32 == 0 ? next : IB_TYPE_F16;
}

static ib_status matrix(walk *w, ib_role role, uint64_t layer, ib_type type, ib_error *err) {
    char module[NAME], weight[NAME];
    uint64_t rows = 0, cols = 0;
    if (!ib_family_tensor(w->c->family, false, role, layer, "", module, NAME) ||
        !ib_family_tensor(w->c->family, false, role, layer, ".weight", weight, NAME))
        return ib_fail(err, IB_E_INTERNAL, "no name for part %d of family %s", (int)role,
                       w->c->model_type);
    ib_weights_role_shape(w->c, role, &rows, &cols);
    const double deviation = 1 / sqrt((double)cols);
    if (is_4bit(type))
        return nibbles(w, weight, rows, cols, deviation, err);
    if (type == IB_TYPE_INT8)
        return int8(w, module, weight, rows, cols, deviation, err);
    return random_tensor(w, weight, fitting(type, cols), rows, cols, deviation, false, err);
}

static ib_status bias(walk *w, ib_role role, uint64_t layer, ib_error *err) {
    char name[NAME];
    uint64_t rows = 0, cols = 0;
    ib_weights_role_shape(w->c, role, &rows, &cols);
    (void)ib_family_tensor(w->c->family, false, role, layer, ".bias", name, NAME);
    return random_tensor(w, name, w->s->format->rest, rows, 0, 1 / sqrt((double)cols), false, err);
}

static ib_status ones(walk *w, ib_role role, uint64_t layer, uint64_t n, ib_error *err) {
    char name[NAME];
    void *data;
    const ib_type type = w->s->format->rest;
    const uint16_t half = type == IB_TYPE_F16 ? ib_f32_to_f16(1) : ib_f32_to_bf16(1);
    const float one = 1;
    (void)ib_family_tensor(w->c->family, false, role, layer, ".weight", name, NAME);
    IB_TRY(tensor(w, name, type, n, 0, &data, err));
    for (uint64_t i = 0; data && i < n; i++) {
        if (type == IB_TYPE_F32)
            ((float *)data)[i] = one;
        else
            ((uint16_t *)data)[i] = half;
    }
    return IB_OK;
}

static ib_status layer_tensors(walk *w, uint64_t layer, ib_error *err) {
    static const ib_role linears[] = {IB_ROLE_Q,    IB_ROLE_K,  IB_ROLE_V,   IB_ROLE_O,
                                      IB_ROLE_GATE, IB_ROLE_UP, IB_ROLE_DOWN};
    const ib_config *c = w->c;
    IB_TRY(ones(w, IB_ROLE_ATTN_NORM, layer, c->d_model, err));
    if (c->qk_norm) {
        IB_TRY(ones(w, IB_ROLE_Q_NORM, layer, c->head_dim, err));
        IB_TRY(ones(w, IB_ROLE_K_NORM, layer, c->head_dim, err));
    }
    IB_TRY(ones(w, IB_ROLE_MLP_NORM, layer, c->d_model, err));
    for (size_t i = 0; i < sizeof linears / sizeof linears[0]; i++) {
        IB_TRY(matrix(w, linears[i], layer, w->s->format->linear, err));
        if (ib_weights_role_has_bias(c, linears[i]))
            IB_TRY(bias(w, linears[i], layer, err));
    }
    return IB_OK;
}

static ib_status all_tensors(walk *w, ib_error *err) {
    const format *f = w->s->format;
    const bool tied = w->c->tied_embeddings;
    IB_TRY(matrix(w, IB_ROLE_EMBED, 0, tied ? f->head : f->embed, err));
    for (uint64_t i = 0; i < w->c->n_layers; i++)
        IB_TRY(layer_tensors(w, i, err));
    IB_TRY(ones(w, IB_ROLE_FINAL_NORM, 0, w->c->d_model, err));
    return tied ? IB_OK : matrix(w, IB_ROLE_HEAD, 0, f->head, err);
}

ib_status ib_synthetic_bytes(const ib_synthetic *s, const ib_config *c, uint64_t *bytes,
                             ib_error *err) {
    walk w = {.s = s, .c = c};
    const ib_status st = all_tensors(&w, err);
    free(w.fills); /* none: there is no checkpoint to fill */
    *bytes = w.bytes;
    return st;
}

ib_status ib_synthetic_make(ib_checkpoint **out, const ib_synthetic *s, const ib_config *c,
                            int n_threads, ib_error *err) {
    walk w = {.s = s, .c = c};
    uint64_t bytes = 0;
    *out = NULL;
    IB_TRY(ib_synthetic_bytes(s, c, &bytes, err));
    IB_TRY(ib_checkpoint_new_memory(&w.ckpt, s->label, bytes, err));
    ib_bnb_dynamic_map(w.nested_map);
    ib_status st = all_tensors(&w, err);
    if (st == IB_OK)
        st = ib_fill_run(w.fills, w.n_fills, s->seed, n_threads, err);
    free(w.fills);
    if (st != IB_OK) {
        ib_checkpoint_close(w.ckpt);
        return st;
    }
    *out = w.ckpt;
    return IB_OK;
}
