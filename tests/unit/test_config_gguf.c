/* SPDX-License-Identifier: MIT
 * GGUF metadata: what it means when it is right, and what is said when it is not. Each row writes a
 * small file (keys and a token table only) and reads it back. */
#include "model_support.h"

#include "base/file.h"

#include <unistd.h>

static char path[] = "/tmp/ib-config-XXXXXX.gguf";

static void put(ib_buf *b, const void *bytes, size_t n) {
    ib_error err;
    assert_int_equal(ib_buf_add(b, bytes, n, &err), IB_OK);
}

static void put_u32(ib_buf *b, uint32_t v) {
    put(b, &v, sizeof v);
}

static void put_u64(ib_buf *b, uint64_t v) {
    put(b, &v, sizeof v);
}

static void put_str(ib_buf *b, const char *s) {
    put_u64(b, strlen(s));
    put(b, s, strlen(s));
}

/* JSON members -> key/value pairs: integers as u32, reals as f32, strings, lists of u32. */
static void put_pair(ib_buf *b, const char *key, const json_t *v) {
    put_str(b, key);
    if (json_is_string(v)) {
        put_u32(b, 8);
        put_str(b, json_string_value(v));
    } else if (json_is_real(v)) {
        const float f = (float)json_real_value(v);
        put_u32(b, 6);
        put(b, &f, sizeof f);
    } else if (json_is_array(v)) {
        put_u32(b, 9);
        put_u32(b, 4);
        put_u64(b, json_array_size(v));
        for (size_t i = 0; i < json_array_size(v); i++)
            put_u32(b, (uint32_t)json_integer_value(json_array_get(v, i)));
    } else {
        put_u32(b, 4);
        put_u32(b, (uint32_t)json_integer_value(v));
    }
}

/* Tensors of ones, all F32; the offsets are multiples of 32. */
typedef struct tensor {
    const char *name;
    uint64_t rows, cols; /* rows 0 = a vector */
} tensor;

static void write_file(const json_t *pairs, const tensor *tensors, size_t n_tensors) {
    ib_buf b;
    ib_error err;
    const char *key;
    json_t *v;
    uint64_t offset = 0;
    ib_buf_init(&b);
    put(&b, "GGUF", 4);
    put_u32(&b, 3);
    put_u64(&b, n_tensors);
    put_u64(&b, json_object_size(pairs));
    json_object_foreach((json_t *)(uintptr_t)pairs, key, v) put_pair(&b, key, v);
    for (size_t i = 0; i < n_tensors; i++) {
        const tensor *t = &tensors[i];
        put_str(&b, t->name);
        put_u32(&b, t->rows ? 2 : 1);
        put_u64(&b, t->cols);
        if (t->rows)
            put_u64(&b, t->rows);
        put_u32(&b, 0);
        put_u64(&b, offset);
        offset += ((t->rows ? t->rows : 1) * t->cols * 4 + 31) / 32 * 32;
    }
    while (b.len % 32 != 0)
        put(&b, "", 1);
    const float one = 1;
    for (uint64_t i = 0; i < offset / 4; i++)
        put(&b, &one, sizeof one);
    assert_int_equal(ib_file_write(path, b.ptr, b.len, &err), IB_OK);
    ib_buf_clear(&b);
}

static const char base_text[] =
    "{\"general.architecture\": \"llama\", \"llama.embedding_length\": 32,"
    " \"llama.feed_forward_length\": 64, \"llama.block_count\": 2, \"llama.context_length\": 128,"
    " \"llama.attention.head_count\": 4, \"llama.attention.head_count_kv\": 2,"
    " \"llama.attention.layer_norm_rms_epsilon\": 1e-5, \"llama.rope.freq_base\": 500.0,"
    " \"tokenizer.ggml.eos_token_id\": 2}";

static ib_status read_with(ib_config *c, const char *changes, const tensor *tensors, size_t n,
                           ib_error *err) {
    json_t *pairs = NULL, *delta = NULL, *v;
    const char *key;
    ib_checkpoint *ckpt = NULL;
    assert_int_equal(ib_json_parse(&pairs, ib_str_of(base_text), "base", err), IB_OK);
    assert_int_equal(ib_json_parse(&delta, ib_str_of(changes), "row", err), IB_OK);
    json_object_foreach(delta, key, v) {
        if (json_is_null(v))
            json_object_del(pairs, key);
        else
            json_object_set(pairs, key, v);
    }
    write_file(pairs, tensors, n);
    json_decref(pairs);
    json_decref(delta);
    memset(c, 0, sizeof *c);
    ib_error_clear(err);
    ib_status st = ib_checkpoint_open(&ckpt, path, NULL, err);
    if (st == IB_OK)
        st = ib_config_from_gguf(c, ckpt, NULL, err);
    if (ckpt)
        ib_checkpoint_close(ckpt);
    return st;
}

static const tensor plain[] = {{"token_embd.weight", 10, 32}};

static const struct {
    const char *changes;
    ib_status status;
    const char *words;
} bad_rows[] = {
    {"{\"general.architecture\": null}", IB_E_FORMAT, "general.architecture"},
    {"{\"general.architecture\": \"mamba\"}", IB_E_UNSUPPORTED, "'mamba'; fix: use one of llama"},
    {"{\"general.architecture\": 7}", IB_E_FORMAT, "general.architecture"},
    {"{\"llama.block_count\": null}", IB_E_FORMAT, "llama.block_count"},
    {"{\"llama.block_count\": 0}", IB_E_FORMAT, "llama.block_count"},
    {"{\"llama.block_count\": 2147483648}", IB_E_FORMAT, "llama.block_count"},
    {"{\"llama.block_count\": \"2\"}", IB_E_FORMAT, "llama.block_count"},
    {"{\"llama.attention.head_count\": 0}", IB_E_FORMAT, "llama.attention.head_count"},
    {"{\"llama.attention.head_count\": [4, 3]}", IB_E_UNSUPPORTED, "layers differ"},
    {"{\"llama.attention.head_count\": [4, 4, 4]}", IB_E_FORMAT, "3 numbers for 2 layers"},
    {"{\"llama.attention.head_count_kv\": [0, 0]}", IB_E_FORMAT, "head_count_kv: 0"},
    {"{\"llama.attention.head_count_kv\": 3}", IB_E_FORMAT, "no multiple of 3"},
    {"{\"llama.attention.key_length\": 7}", IB_E_FORMAT, "key_length"},
    {"{\"llama.attention.value_length\": 16}", IB_E_UNSUPPORTED, "value_length: 8 and 16"},
    {"{\"llama.attention.layer_norm_rms_epsilon\": 0.0}", IB_E_FORMAT, "rms_epsilon: 0"},
    {"{\"llama.rope.freq_base\": 0.0}", IB_E_FORMAT, "freq_base: 0"},
    {"{\"llama.rope.dimension_count\": 9}", IB_E_FORMAT, "llama.rope.dimension_count"},
    {"{\"llama.rope.dimension_count\": 3}", IB_E_FORMAT, "3 rotated"},
    {"{\"llama.rope.scaling.type\": \"longrope\", \"llama.rope.scaling.factor\": 2.0}",
     IB_E_UNSUPPORTED, "'longrope'"},
    {"{\"llama.rope.scaling.type\": \"linear\", \"llama.rope.scaling.factor\": -1.0,"
     " \"llama.rope.scale_linear\": 0.0}",
     IB_E_FORMAT, "scaling.factor"},
    {"{\"llama.expert_count\": 8}", IB_E_UNSUPPORTED, "llama.expert_count: 8"},
    {"{\"tokenizer.ggml.eos_token_id\": 10}", IB_E_FORMAT, "the vocabulary has 10"},
};

static void test_bad(void **state) {
    (void)state;
    size_t good = 0;
    const size_t n = sizeof bad_rows / sizeof bad_rows[0];
    for (size_t i = 0; i < n; i++) {
        ib_config c;
        ib_error err;
        const ib_status st = read_with(&c, bad_rows[i].changes, plain, 1, &err);
        if (st == bad_rows[i].status && strstr(err.text, bad_rows[i].words) &&
            strstr(err.text, "; fix: "))
            good++;
        else
            print_error("%s: expected %d with '%s', found %d: %s\n", bad_rows[i].changes,
                        (int)bad_rows[i].status, bad_rows[i].words, (int)st, err.text);
        ib_config_clear(&c);
    }
    print_message("%zu of %zu rows\n", good, n);
    assert_int_equal(good, n);
}

static void test_tensors(void **state) {
    (void)state;
    static const tensor none[] = {{"output.weight", 10, 32}},
                        vector[] = {{"token_embd.weight", 0, 32}},
                        short_freqs[] = {{"token_embd.weight", 10, 32},
                                         {"rope_freqs.weight", 0, 3}};
    ib_config c;
    ib_error err;
    assert_int_equal(read_with(&c, "{}", none, 1, &err), IB_E_FORMAT);
    assert_non_null(strstr(err.text, "missing tensor 'token_embd.weight'"));
    assert_int_equal(read_with(&c, "{}", vector, 1, &err), IB_E_FORMAT);
    assert_non_null(strstr(err.text, "bad shape of tensor 'token_embd.weight'"));
    assert_int_equal(read_with(&c, "{}", short_freqs, 2, &err), IB_E_FORMAT);
    assert_non_null(strstr(err.text, "rope_freqs.weight"));
}

static void test_good(void **state) {
    (void)state;
    static const tensor rich[] = {{"token_embd.weight", 10, 32},
                                  {"output.weight", 10, 32},
                                  {"blk.0.attn_q.bias", 0, 32},
                                  {"rope_freqs.weight", 0, 4}};
    ib_config c;
    ib_error err;
    assert_int_equal(read_with(&c, "{}", plain, 1, &err), IB_OK);
    assert_true(c.from_gguf && c.n_vocab == 10 && c.head_dim == 8 && c.n_kv_heads == 2);
    assert_true(c.tied_embeddings && c.rope.interleaved && c.rope.theta == 500 && !c.bias_qkv);
    assert_true(c.eos_ids[0] == 2 && c.file_dtype == IB_TYPE_F32 && !c.rope.divisors);
    ib_config_clear(&c);
    assert_int_equal(read_with(&c,
                               "{\"llama.attention.head_count\": [4, 4],"
                               " \"llama.attention.head_count_kv\": null,"
                               " \"llama.rope.dimension_count\": 8,"
                               " \"tokenizer.ggml.eot_token_id\": 3}",
                               rich, 4, &err),
                     IB_OK);
    assert_true(c.n_heads == 4 && c.n_kv_heads == 4 && !c.tied_embeddings && c.bias_qkv);
    assert_true(!c.bias_o && c.n_eos == 2 && c.rope.divisors && c.rope.divisors[3] == 1);
    ib_config_clear(&c);
    assert_int_equal(read_with(&c,
                               "{\"llama.rope.scaling.type\": \"yarn\","
                               " \"llama.rope.scaling.factor\": 4.0,"
                               " \"llama.rope.scaling.original_context_length\": 32}",
                               plain, 1, &err),
                     IB_OK);
    assert_true(c.rope.type == IB_ROPE_YARN && c.rope.original_context == 32);
    ib_config_clear(&c);
    assert_int_equal(read_with(&c, "{\"llama.rope.dimension_count\": 6}", plain, 1, &err), IB_OK);
    assert_true(c.rope.partial_factor * 8 >= 6 && c.rope.partial_factor * 8 < 7);
    ib_config_clear(&c);
}

static int make_file(void **state) {
    (void)state;
    const int fd = mkstemps(path, 5);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_good),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
