/* SPDX-License-Identifier: MIT
 * Loading: each tensor missing, misshapen or of a wrong type in turn (written into a folder of its
 * own), what is there but not asked for, quantization that contradicts the file, and the ledger. */
#include "model_support.h"

#include "base/file.h"
#include "checkpoint/writer.h"

#include <sys/stat.h>
#include <unistd.h>

typedef struct messages {
    size_t n;
    char last[512];
} messages;

static void collect(void *user, ib_log_level level, const char *line) {
    messages *m = user;
    if (level <= IB_LOG_WARN) {
        m->n++;
        snprintf(m->last, sizeof m->last, "%s", line);
    }
}

typedef enum change { KEEP, DROP, SHRINK, TRANSPOSE, AS_INTEGERS, AS_U8, ADD } change;

/* Copies the checkpoint at `from` with one change to the tensor `victim` (ADD: a new one). */
static void rewrite(const char *from, const char *folder, const char *victim, change what) {
    static const float four[4] = {0, 0, 0, 0};
    ib_checkpoint *c = NULL;
    ib_error err;
    char path[1024];
    ib_st_entry entries[128];
    const void *data[128];
    uint64_t bytes[128];
    size_t n = 0;
    if (ib_checkpoint_open(&c, from, NULL, &err) != IB_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < ib_checkpoint_n_tensors(c); i++) {
        const ib_stored_tensor *t = ib_checkpoint_tensor(c, i);
        const change here = strcmp(t->name.ptr, victim) == 0 ? what : KEEP;
        assert_true(n + 1 < 128);
        if (here == DROP)
            continue;
        ib_st_entry *e = &entries[n];
        *e = (ib_st_entry){.name = t->name.ptr, .type = t->type, .n_dims = t->n_dims};
        memcpy(e->shape, t->shape, sizeof e->shape);
        data[n] = t->data;
        bytes[n] = t->n_bytes;
        if (here == SHRINK) {
            bytes[n] -= bytes[n] / e->shape[0];
            e->shape[0]--;
        } else if (here == TRANSPOSE && e->n_dims == 2) {
            e->shape[0] = t->shape[1];
            e->shape[1] = t->shape[0];
        } else if (here == AS_INTEGERS) {
            e->type = t->type == IB_TYPE_F32 ? IB_TYPE_I32 : IB_TYPE_I16;
        } else if (here == AS_U8) {
            e->type = IB_TYPE_U8;
            e->shape[e->n_dims - 1] *= ib_type_block_bytes(t->type);
        }
        n++;
    }
    if (what == ADD) {
        entries[n] = (ib_st_entry){.name = victim, .type = IB_TYPE_F32, .n_dims = 1, .shape = {4}};
        data[n] = four;
        bytes[n++] = sizeof four;
    }
    ib_st_writer w;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    if (ib_st_writer_open(&w, path, entries, n, &err) != IB_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(ib_st_writer_add(&w, data[i], bytes[i], &err), IB_OK);
    assert_int_equal(ib_st_writer_close(&w, &err), IB_OK);
    ib_checkpoint_close(c);
}

static char folder[] = "/tmp/ib-model-load-XXXXXX";

/* config.json of a golden model with members replaced, beside the rewritten weights. */
static void write_config(const char *model, const char *changes) {
    json_t *config = NULL, *delta = NULL;
    char path[1024];
    ib_error err;
    ib_buf text;
    ib_buf_init(&text);
    snprintf(path, sizeof path, "%s/%s/config.json", GOLDEN_MODELS, model);
    if (ib_json_load(&config, path, 0, &err) != IB_OK ||
        ib_json_parse(&delta, ib_str_of(changes), "changes", &err) != IB_OK)
        fail_msg("%s", err.text);
    json_object_update(config, delta);
    assert_int_equal(ib_json_dump(config, 0, &text, &err), IB_OK);
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_int_equal(ib_file_write(path, text.ptr, text.len, &err), IB_OK);
    ib_buf_clear(&text);
    json_decref(config);
    json_decref(delta);
}

typedef struct load_row {
    const char *model, *victim;
    change what;
    const char *config; /* members to replace */
    ib_status status;
    const char *words, *more_words;
} load_row;

#define LAYER "model.layers.1."
static const load_row rows[] = {
    /* CF12: the first missing tensor */
    {"llama_gqa", "", KEEP, "{\"num_hidden_layers\": 3}", IB_E_FORMAT,
     "'model.layers.2.self_attn.q_proj.weight'", "missing"},
    {"llama_gqa", "model.embed_tokens.weight", DROP, "{}", IB_E_FORMAT,
     "'model.embed_tokens.weight'", "missing"},
    {"llama_gqa", "lm_head.weight", DROP, "{}", IB_E_FORMAT, "'lm_head.weight'", "missing"},
    {"llama_gqa", "model.norm.weight", DROP, "{}", IB_E_FORMAT, "'model.norm.weight'", "missing"},
    {"llama_gqa", LAYER "mlp.down_proj.weight", DROP, "{}", IB_E_FORMAT, "down_proj", "missing"},
    {"qwen2_bias", "model.layers.0.self_attn.k_proj.bias", DROP, "{}", IB_E_FORMAT, "k_proj.bias",
     "missing"},
    {"qwen3", "model.layers.0.self_attn.q_norm.weight", DROP, "{}", IB_E_FORMAT, "q_norm",
     "missing"},
    /* CF13, CF24: shapes */
    {"llama_gqa", "", KEEP, "{\"vocab_size\": 100, \"eos_token_id\": 2}", IB_E_FORMAT,
     "embed_tokens", "wrong shape of tensor"},
    {"llama_gqa", "model.embed_tokens.weight", SHRINK, "{}", IB_E_FORMAT, "embed_tokens",
     "wrong shape of tensor"},
    {"llama_gqa", "lm_head.weight", SHRINK, "{}", IB_E_FORMAT, "lm_head", "wrong shape of tensor"},
    {"llama_gqa", LAYER "self_attn.q_proj.weight", SHRINK, "{}", IB_E_FORMAT, "q_proj",
     "wrong shape of tensor"},
    {"llama_gqa", LAYER "self_attn.k_proj.weight", SHRINK, "{}", IB_E_FORMAT, "k_proj",
     "wrong shape of tensor"},
    {"llama_gqa", LAYER "self_attn.v_proj.weight", TRANSPOSE, "{}", IB_E_FORMAT, "v_proj",
     "wrong shape of tensor"},
    {"llama_gqa", LAYER "self_attn.o_proj.weight", SHRINK, "{}", IB_E_FORMAT, "o_proj",
     "wrong shape of tensor"},
    {"llama_gqa", LAYER "mlp.gate_proj.weight", TRANSPOSE, "{}", IB_E_FORMAT, "gate_proj",
     "wrong shape of tensor"},
    {"llama_gqa", LAYER "mlp.up_proj.weight", SHRINK, "{}", IB_E_FORMAT, "up_proj",
     "wrong shape of tensor"},
    {"llama_gqa", LAYER "mlp.down_proj.weight", TRANSPOSE, "{}", IB_E_FORMAT, "down_proj",
     "wrong shape of tensor"},
    {"llama_gqa", LAYER "input_layernorm.weight", SHRINK, "{}", IB_E_FORMAT, "input_layernorm",
     "63"},
    {"llama_gqa", LAYER "post_attention_layernorm.weight", SHRINK, "{}", IB_E_FORMAT,
     "post_attention_layernorm", "63"},
    {"llama_gqa", "model.norm.weight", SHRINK, "{}", IB_E_FORMAT, "model.norm", "63"},
    {"llama_bias", "model.layers.0.self_attn.q_proj.bias", SHRINK, "{}", IB_E_FORMAT, "q_proj.bias",
     "expected"},
    {"llama_gqa", "", KEEP, "{\"intermediate_size\": 113}", IB_E_FORMAT, "gate_proj",
     "wrong shape of tensor"},
    {"llama_gqa", "", KEEP, "{\"head_dim\": 32}", IB_E_FORMAT, "q_proj", "wrong shape of tensor"},
    /* types that are no weights */
    {"llama_gqa", LAYER "mlp.up_proj.weight", AS_INTEGERS, "{}", IB_E_FORMAT, "up_proj", "I16"},
    {"llama_mha_f32", "model.norm.weight", AS_INTEGERS, "{}", IB_E_FORMAT, "model.norm", "I32"},
    {"llama_gqa", "model.embed_tokens.weight", AS_U8, "{}", IB_E_FORMAT, "embed_tokens",
     "quant_state"},
    /* biases that the configuration denies, and asks for */
    {"llama_bias", "", KEEP, "{\"attention_bias\": false}", IB_E_FORMAT, "unexpected bias",
     "attention_bias"},
    {"llama_gqa", "", KEEP, "{\"mlp_bias\": true}", IB_E_FORMAT, "gate_proj.bias", "missing"},
    /* CF18 */
    {"llama_gqa", "", KEEP,
     "{\"quantization_config\": {\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": true}}",
     IB_E_FORMAT, "4-bit weights", "no tensor is"},
    {"llama_gqa", "", KEEP,
     "{\"quantization_config\": {\"quant_method\": \"bitsandbytes\", \"load_in_8bit\": true}}",
     IB_E_FORMAT, "8-bit weights", "no tensor is"},
    {"bnb_nf4", "", KEEP, "{\"quantization_config\": null}", IB_E_FORMAT, "NF4", "load_in_4bit"},
    {"bnb_int8", "", KEEP, "{\"quantization_config\": null}", IB_E_FORMAT, "INT8", "load_in_8bit"},
};

static void test_refused(void **state) {
    (void)state;
    size_t good = 0;
    const size_t n = sizeof rows / sizeof rows[0];
    for (size_t i = 0; i < n; i++) {
        const load_row *r = &rows[i];
        char from[1024];
        loaded_model m;
        ib_error err = {0};
        snprintf(from, sizeof from, "%s/%s", GOLDEN_MODELS, r->model);
        rewrite(from, folder, r->victim, r->what);
        write_config(r->model, r->config);
        const ib_status st = load_model(&m, folder, 1, NULL, &err);
        if (st == r->status && strstr(err.text, r->words) && strstr(err.text, r->more_words) &&
            strstr(err.text, "; fix: "))
            good++;
        else
            print_error("row %zu (%s, %s): expected %d with '%s' and '%s', found %d: %s\n", i,
                        r->model, r->victim, (int)r->status, r->words, r->more_words, (int)st,
                        err.text);
        if (st == IB_OK)
            unload_model(&m);
    }
    print_message("%zu of %zu rows\n", good, n);
    assert_int_equal(good, n);
}

static void load_quietly(const char *model, const char *victim, change what, messages *seen) {
    char from[1024];
    loaded_model m;
    ib_error err;
    const ib_log log = {.level = IB_LOG_WARN, .write = collect, .user = seen};
    memset(seen, 0, sizeof *seen);
    snprintf(from, sizeof from, "%s/%s", GOLDEN_MODELS, model);
    rewrite(from, folder, victim, what);
    write_config(model, "{}");
    if (load_model(&m, folder, 1, &log, &err) != IB_OK)
        fail_msg("%s", err.text);
    unload_model(&m);
}

static void test_unexpected(void **state) {
    (void)state;
    messages seen;
    load_quietly("llama_gqa", "", KEEP, &seen);
    assert_int_equal(seen.n, 0);
    load_quietly("bnb_nf4_dq", "", KEEP, &seen);
    assert_int_equal(seen.n, 0);
    load_quietly("bnb_int8", "", KEEP, &seen);
    assert_int_equal(seen.n, 0);
    load_quietly("llama_gqa", "model.layers.0.self_attn.rotary_emb.inv_freq", ADD, &seen);
    assert_int_equal(seen.n, 0);
    load_quietly("llama_gqa", "model.layers.0.extra.weight", ADD, &seen);
    assert_int_equal(seen.n, 1);
    assert_non_null(strstr(seen.last, "1 tensors"));
    assert_non_null(strstr(seen.last, "'model.layers.0.extra.weight'"));
    /* both ends stored and different, in spite of the flag */
    load_quietly("llama_tied_two_heads", "", KEEP, &seen);
    assert_int_equal(seen.n, 1);
    assert_non_null(strstr(seen.last, "tie_word_embeddings"));
}

/* The ledger against sums over the file itself. */
static void check_ledger(const char *name, bool tied) {
    char path[1024];
    loaded_model m;
    ib_error err;
    ib_step_bytes step, later;
    uint64_t by_type[IB_TYPE_COUNT], stored = 0, sum = 0, elements = 0, norms = 0;
    snprintf(path, sizeof path, "%s/%s", GOLDEN_MODELS, name);
    if (load_model(&m, path, 1, NULL, &err) != IB_OK)
        fail_msg("%s", err.text);
    const ib_config *c = ib_model_config(m.model);
    for (size_t i = 0; i < ib_checkpoint_n_tensors(m.ckpt); i++) {
        const ib_stored_tensor *t = ib_checkpoint_tensor(m.ckpt, i);
        stored += t->n_bytes;
        elements += t->n_elements;
        norms += t->n_dims == 1 ? t->n_elements : 0;
    }
    ib_model_bytes_by_type(m.model, by_type);
    for (size_t i = 0; i < IB_TYPE_COUNT; i++)
        sum += by_type[i];
    assert_int_equal(sum, stored);
    assert_int_equal(ib_model_n_params(m.model), elements);
    const ib_stored_tensor *embed = ib_checkpoint_find(m.ckpt, "model.embed_tokens.weight");
    ib_model_step_bytes(m.model, 9, IB_TYPE_F32, &step);
    ib_model_step_bytes(m.model, 10, IB_TYPE_BF16, &later);
    const uint64_t row = embed->n_bytes / embed->shape[0];
    const uint64_t norm_bytes = norms * 2; /* stored in half precision */
    assert_int_equal(step.head, embed->n_bytes);
    assert_int_equal(step.scales, norms * 4);
    assert_int_equal(step.weights, stored - embed->n_bytes * (tied ? 1 : 2) - norm_bytes + row);
    assert_int_equal(step.kv, 2 * c->n_layers * c->n_kv_heads * c->head_dim * 10 * 4);
    assert_int_equal(later.kv, 2 * c->n_layers * c->n_kv_heads * c->head_dim * 11 * 2);
    assert_int_equal(step.total, step.weights + step.scales + step.head + step.kv);
    unload_model(&m);
}

static void test_ledger(void **state) {
    (void)state;
    check_ledger("llama_gqa", false);
    check_ledger("llama_tied", true);
}

/* Windows bound what a step reads of the cache; scales of quantized weights are counted. */
static void test_ledger_details(void **state) {
    (void)state;
    loaded_model m;
    ib_error err;
    ib_step_bytes near_start, far;
    if (load_model(&m, GOLDEN_MODELS "/mistral_window", 1, NULL, &err) != IB_OK)
        fail_msg("%s", err.text);
    const ib_config *c = ib_model_config(m.model);
    ib_model_step_bytes(m.model, 1000, IB_TYPE_F32, &far);
    assert_int_equal(far.kv,
                     2 * c->n_layers * c->n_kv_heads * c->head_dim * c->layers[0].window * 4);
    unload_model(&m);
    if (load_model(&m, GOLDEN_MODELS "/bnb_nf4", 1, NULL, &err) != IB_OK)
        fail_msg("%s", err.text);
    uint64_t codes = 0, scales = 0;
    for (size_t i = 0; i < ib_checkpoint_n_tensors(m.ckpt); i++) {
        const ib_stored_tensor *t = ib_checkpoint_tensor(m.ckpt, i);
        codes += t->type == IB_TYPE_U8 && ib_str_ends(t->name, ".weight") ? t->n_bytes : 0;
        scales += ib_str_ends(t->name, ".absmax") ? t->n_bytes : 0;
        scales += ib_str_ends(t->name, "norm.weight") ? t->n_elements * 4 : 0;
    }
    ib_model_step_bytes(m.model, 0, IB_TYPE_F32, &near_start);
    const ib_stored_tensor *embed = ib_checkpoint_find(m.ckpt, "model.embed_tokens.weight");
    assert_int_equal(near_start.weights, codes + embed->n_bytes / embed->shape[0]);
    assert_int_equal(near_start.scales, scales);
    unload_model(&m);
}

/* A session longer than the model was made for is warned about, nothing more. */
static void test_context(void **state) {
    (void)state;
    messages seen = {0};
    loaded_model m;
    ib_error err;
    ib_session *s = NULL;
    const ib_log log = {.level = IB_LOG_WARN, .write = collect, .user = &seen};
    if (load_model(&m, GOLDEN_MODELS "/llama_gqa", 1, &log, &err) != IB_OK)
        fail_msg("%s", err.text);
    ib_session_options o = {.n_ctx = (size_t)ib_model_config(m.model)->n_ctx_max,
                            .n_seqs = 1,
                            .n_prompt_max = 4,
                            .attention = IB_ATTN_FLASH,
                            .kv_type = IB_TYPE_F32};
    assert_int_equal(ib_session_new(&s, m.model, &o, &err), IB_OK);
    ib_session_free(s);
    assert_int_equal(seen.n, 0);
    o.n_ctx++;
    assert_int_equal(ib_session_new(&s, m.model, &o, &err), IB_OK);
    ib_session_free(s);
    assert_int_equal(seen.n, 1);
    assert_non_null(strstr(seen.last, "positions are more than"));
    o.n_ctx = INT32_MAX; /* CF14: the sum is in the message */
    assert_int_equal(ib_session_new(&s, m.model, &o, &err), IB_E_RESOURCE);
    assert_non_null(strstr(err.text, "KV cache of 2147483647 positions needs"));
    unload_model(&m);
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char path[1024];
    snprintf(path, sizeof path, "%s/config.json", folder);
    (void)unlink(path);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    (void)unlink(path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_unexpected),
        cmocka_unit_test(test_ledger),  cmocka_unit_test(test_ledger_details),
        cmocka_unit_test(test_context),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
