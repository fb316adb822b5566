/* SPDX-License-Identifier: MIT
 * config.json: what it means when it is right, and what is said when it is not (status and the
 * words that name the place), as tables. The base is a small llama; a row replaces or removes
 * members. */
#include "model_support.h"

#include <math.h>

static const char base_text[] =
    "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"vocab_size\": 100,"
    " \"hidden_size\": 64, \"intermediate_size\": 96, \"num_hidden_layers\": 2,"
    " \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"max_position_embeddings\": 256,"
    " \"rms_norm_eps\": 1e-5, \"rope_theta\": 10000.0, \"dtype\": \"bfloat16\","
    " \"eos_token_id\": 2}";

static json_t *parse(const char *text) {
    json_t *j = NULL;
    ib_error err;
    if (ib_json_parse(&j, ib_str_of(text), "test", &err) != IB_OK)
        fail_msg("%s", err.text);
    return j;
}

/* The base with the members of `changes` put in; the string "-" removes one. */
static json_t *changed(const char *changes) {
    json_t *config = parse(base_text), *delta = parse(changes), *value;
    const char *key;
    json_object_foreach(delta, key, value) {
        if (json_is_string(value) && strcmp(json_string_value(value), "-") == 0)
            json_object_del(config, key);
        else
            json_object_set(config, key, value);
    }
    json_decref(delta);
    return config;
}

static ib_status read_changed(ib_config *c, const char *changes, ib_error *err) {
    json_t *config = changed(changes);
    ib_error_clear(err);
    ib_status st = ib_config_from_json(c, config, NULL, "config.json", NULL, err);
    json_decref(config);
    return st;
}

typedef struct bad_row {
    const char *changes;
    ib_status status;
    const char *words; /* in the message */
} bad_row;

#define P "config.json at "
static const bad_row bad_rows[] = {
    /* CF01 to CF05: counts */
    {"{\"num_attention_heads\": 0}", IB_E_FORMAT, P "/num_attention_heads: found an integer (0)"},
    {"{\"num_key_value_heads\": 0}", IB_E_FORMAT, P "/num_key_value_heads"},
    {"{\"num_attention_heads\": -4}", IB_E_FORMAT, P "/num_attention_heads"},
    {"{\"hidden_size\": -64}", IB_E_FORMAT, P "/hidden_size"},
    {"{\"num_attention_heads\": 2147483648}", IB_E_FORMAT, P "/num_attention_heads"},
    {"{\"num_attention_heads\": 9223372036854775807}", IB_E_FORMAT, P "/num_attention_heads"},
    {"{\"num_attention_heads\": 9223372036854775808}", IB_E_FORMAT, P "/num_attention_heads"},
    {"{\"intermediate_size\": 4294967296}", IB_E_FORMAT, P "/intermediate_size"},
    {"{\"num_attention_heads\": \"4\"}", IB_E_FORMAT, P "/num_attention_heads: found a string"},
    {"{\"num_attention_heads\": null}", IB_E_FORMAT, P "/num_attention_heads: found null"},
    {"{\"num_attention_heads\": 4.0}", IB_E_FORMAT, P "/num_attention_heads: found a real"},
    {"{\"num_attention_heads\": true}", IB_E_FORMAT, P "/num_attention_heads: found true"},
    {"{\"vocab_size\": 0}", IB_E_FORMAT, P "/vocab_size"},
    {"{\"vocab_size\": 4194305}", IB_E_FORMAT, P "/vocab_size"},
    /* CF06, CF08 to CF11: how they fit */
    {"{\"hidden_size\": 65}", IB_E_FORMAT, P "/hidden_size: 65 is no multiple of 4"},
    {"{\"num_key_value_heads\": 3}", IB_E_FORMAT, "no multiple of 3 key/value heads"},
    {"{\"head_dim\": 15}", IB_E_FORMAT, P "/head_dim: 15"},
    {"{\"head_dim\": 1048576}", IB_E_FORMAT, P "/head_dim"},
    {"{\"num_hidden_layers\": 0}", IB_E_FORMAT, P "/num_hidden_layers"},
    {"{\"num_hidden_layers\": 1000000}", IB_E_FORMAT, P "/num_hidden_layers"},
    /* CF14 */
    {"{\"max_position_embeddings\": 0}", IB_E_FORMAT, P "/max_position_embeddings"},
    {"{\"max_position_embeddings\": 1099511627776}", IB_E_RESOURCE,
     P "/max_position_embeddings: 1099511627776, the cap is"},
    /* CF15: RoPE */
    {"{\"rope_theta\": 0}", IB_E_FORMAT, P "/rope_theta: 0"},
    {"{\"rope_theta\": -1.0}", IB_E_FORMAT, P "/rope_theta: -1"},
    {"{\"rope_theta\": \"x\"}", IB_E_FORMAT, P "/rope_theta"},
    {"{\"rope_scaling\": 3}", IB_E_FORMAT, P "/rope_scaling"},
    {"{\"rope_scaling\": {\"rope_type\": \"wave\", \"factor\": 2}}", IB_E_UNSUPPORTED,
     P "/rope_scaling/rope_type: 'wave'"},
    {"{\"rope_parameters\": {\"rope_type\": \"proportional\", \"rope_theta\": 1e4}}",
     IB_E_UNSUPPORTED, P "/rope_parameters/rope_type: 'proportional'"},
    {"{\"rope_scaling\": {\"type\": \"mrope\", \"mrope_section\": [1]}}", IB_E_UNSUPPORTED,
     P "/rope_scaling/type: 'mrope'"},
    {"{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}}", IB_E_FORMAT,
     P "/rope_scaling/factor: 0"},
    {"{\"rope_scaling\": {\"type\": \"linear\"}}", IB_E_FORMAT, P "/rope_scaling/factor"},
    {"{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1}}",
     IB_E_FORMAT, P "/rope_scaling/high_freq_factor"},
    {"{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4,"
     " \"high_freq_factor\": 4}}",
     IB_E_FORMAT, P "/rope_scaling/high_freq_factor"},
    {"{\"rope_scaling\": {\"rope_type\": \"longrope\", \"short_factor\": [1, 1, 1],"
     " \"long_factor\": [1, 1, 1, 1, 1, 1, 1, 1]}}",
     IB_E_FORMAT, P "/rope_scaling/short_factor: expected a list of 8 numbers, found 3"},
    {"{\"rope_scaling\": {\"rope_type\": \"longrope\", \"long_factor\": [1, 1, 1, 1, 1, 1, 1, 0],"
     " \"short_factor\": [1, 1, 1, 1, 1, 1, 1, 1]}}",
     IB_E_FORMAT, P "/rope_scaling/long_factor/7"},
    {"{\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\"}}}", IB_E_UNSUPPORTED,
     P "/rope_parameters/full_attention"},
    {"{\"partial_rotary_factor\": 0.5}", IB_E_UNSUPPORTED, "partial_rotary_factor: 0.5"},
    /* CF16 */
    {"{\"rms_norm_eps\": 0}", IB_E_FORMAT, P "/rms_norm_eps: 0"},
    {"{\"rms_norm_eps\": -1e-6}", IB_E_FORMAT, P "/rms_norm_eps: -1e-06"},
    {"{\"tie_word_embeddings\": 1}", IB_E_FORMAT, P "/tie_word_embeddings"},
    /* CF17 */
    {"{\"model_type\": \"mamba\"}", IB_E_UNSUPPORTED,
     P "/model_type: 'mamba'; fix: use one of llama"},
    {"{\"model_type\": \"-\"}", IB_E_FORMAT, P "/model_type"},
    {"{\"model_type\": 7}", IB_E_FORMAT, P "/model_type"},
    /* CF19 */
    {"{\"eos_token_id\": 100}", IB_E_FORMAT, "eos token id 0: 100, the vocabulary has 100"},
    {"{\"eos_token_id\": [2, -1]}", IB_E_FORMAT, "eos token id 1: -1"},
    {"{\"eos_token_id\": \"2\"}", IB_E_FORMAT, P "/eos_token_id"},
    {"{\"eos_token_id\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", IB_E_RESOURCE,
     P "/eos_token_id: 17"},
    /* CF21, and switches of other models */
    {"{\"text_config\": {\"hidden_size\": 64}}", IB_E_UNSUPPORTED, P "/text_config"},
    {"{\"is_encoder_decoder\": true}", IB_E_UNSUPPORTED, P "/is_encoder_decoder"},
    {"{\"use_bidirectional_attention\": true}", IB_E_UNSUPPORTED, P "/use_bidirectional_attention"},
    {"{\"hidden_act\": \"relu\"}", IB_E_UNSUPPORTED, P "/hidden_act: 'relu'"},
    {"{\"hidden_act\": \"\\u001b[31m\"}", IB_E_UNSUPPORTED, "\\x1B[31m"},
    {"{\"dtype\": \"float8_e4m3fn\"}", IB_E_UNSUPPORTED, P "/dtype: 'float8_e4m3fn'"},
    {"{\"dtype\": null, \"torch_dtype\": \"int8\"}", IB_E_UNSUPPORTED, P "/torch_dtype: 'int8'"},
    {"{\"quantization_config\": {\"quant_method\": \"gptq\"}}", IB_E_UNSUPPORTED, "gptq"},
    {"{\"attention_bias\": \"yes\"}", IB_E_FORMAT, P "/attention_bias"},
    {"{\"layer_types\": [\"full_attention\", \"sliding_attention\"]}", IB_E_UNSUPPORTED,
     P "/layer_types/1"},
    {"{\"layer_types\": [\"full_attention\"]}", IB_E_FORMAT, P "/layer_types"},
    /* windows and layers of the other families */
    {"{\"model_type\": \"mistral\", \"sliding_window\": 0}", IB_E_FORMAT, P "/sliding_window"},
    {"{\"model_type\": \"qwen2\", \"layer_types\": [\"chunked_attention\", \"full_attention\"]}",
     IB_E_UNSUPPORTED, P "/layer_types/0: 'chunked_attention'"},
    {"{\"model_type\": \"qwen3\", \"layer_types\": [\"full_attention\", \"sliding_attention\"]}",
     IB_E_FORMAT, P "/layer_types/1: sliding_attention without"},
    {"{\"model_type\": \"smollm3\", \"no_rope_layers\": [1]}", IB_E_FORMAT, P "/no_rope_layers"},
    {"{\"model_type\": \"smollm3\", \"no_rope_layers\": [1, 2]}", IB_E_FORMAT,
     P "/no_rope_layers/1"},
    {"{\"model_type\": \"smollm3\", \"no_rope_layer_interval\": 0}", IB_E_FORMAT,
     P "/no_rope_layer_interval"},
};

static void test_bad(void **state) {
    (void)state;
    size_t good = 0;
    const size_t n = sizeof bad_rows / sizeof bad_rows[0];
    for (size_t i = 0; i < n; i++) {
        ib_config c;
        ib_error err;
        const ib_status st = read_changed(&c, bad_rows[i].changes, &err);
        if (st == bad_rows[i].status && strstr(err.text, bad_rows[i].words) &&
            strstr(err.text, "; fix: ") && strlen(err.text) <= 400)
            good++;
        else
            print_error("%s\n  expected %d with '%s'\n  found %d: %s\n", bad_rows[i].changes,
                        (int)bad_rows[i].status, bad_rows[i].words, (int)st, err.text);
        ib_config_clear(&c);
    }
    print_message("%zu of %zu rows\n", good, n);
    assert_int_equal(good, n);
}

/* Text that is no JSON of the kind wanted at all (CF15, CF22, CF23). */
static void test_bad_text(void **state) {
    (void)state;
    static const char *const texts[] = {"{\"rope_theta\": 1e400}", "{\"rope_theta\": NaN}",
                                        "{\"a\": 1, \"a\": 2}", "\xff\xfe{\0", "[1]"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_t *j = NULL;
        ib_error err;
        ib_config c;
        ib_status st = ib_json_parse(&j, ib_str_of(texts[i]), "config.json", &err);
        if (st == IB_OK)
            st = ib_config_from_json(&c, j, NULL, "config.json", NULL, &err);
        assert_int_equal(st, IB_E_FORMAT);
        assert_non_null(strstr(err.text, "config.json"));
        json_decref(j);
    }
}

static void read_good(ib_config *c, const char *changes) {
    ib_error err;
    if (read_changed(c, changes, &err) != IB_OK)
        fail_msg("%s: %s", changes, err.text);
}

static void test_good(void **state) {
    (void)state;
    ib_config c;
    read_good(&c, "{}");
    assert_string_equal(c.model_type, "llama");
    assert_true(c.head_dim == 16 && c.n_kv_heads == 2 && c.n_layers == 2 && c.n_eos == 1);
    assert_true(c.file_dtype == IB_TYPE_BF16 && c.act == IB_ACT_SILU && !c.tied_embeddings);
    assert_true(fabs(c.attention_scale - 0.25) < 1e-15 && c.layers[1].rope && !c.bias_qkv);
    ib_config_clear(&c);
    read_good(&c, "{\"num_key_value_heads\": null, \"head_dim\": null}");
    assert_true(c.n_kv_heads == 4 && c.head_dim == 16);
    ib_config_clear(&c);
    read_good(&c, "{\"num_key_value_heads\": \"-\"}");
    assert_true(c.n_kv_heads == 4);
    ib_config_clear(&c);
    /* CF07: a width that heads do not divide, with head_dim */
    read_good(&c, "{\"hidden_size\": 66, \"head_dim\": 16}");
    assert_true(c.head_dim == 16 && c.d_model == 66);
    ib_config_clear(&c);
    read_good(&c, "{\"eos_token_id\": [3, 4], \"attention_bias\": true, \"mlp_bias\": true}");
    assert_true(c.n_eos == 2 && c.eos_ids[1] == 4 && c.bias_qkv && c.bias_o && c.bias_mlp);
    ib_config_clear(&c);
    read_good(&c, "{\"eos_token_id\": null}");
    assert_true(c.n_eos == 0);
    ib_config_clear(&c);
    read_good(&c,
              "{\"dtype\": \"-\", \"torch_dtype\": \"torch.float16\", \"auto_map\": {\"a\": 1}}");
    assert_true(c.file_dtype == IB_TYPE_F16);
    ib_config_clear(&c);
    /* CF23: Python's huge integers do not spoil the others */
    read_good(&c, "{\"model_max_length\": 1000000000000000019884624838656}");
    assert_true(c.d_model == 64);
    ib_config_clear(&c);
}

static void expect_windows(const char *changes, uint64_t first, uint64_t second) {
    ib_config c;
    read_good(&c, changes);
    if (c.layers[0].window != first || c.layers[1].window != second)
        fail_msg("%s: windows %llu and %llu", changes, (unsigned long long)c.layers[0].window,
                 (unsigned long long)c.layers[1].window);
    ib_config_clear(&c);
}

static void test_windows(void **state) {
    (void)state;
    expect_windows("{\"model_type\": \"llama\", \"sliding_window\": 8}", 0, 0);
    expect_windows("{\"model_type\": \"mistral\"}", 4096, 4096);
    expect_windows("{\"model_type\": \"mistral\", \"sliding_window\": null}", 0, 0);
    expect_windows("{\"model_type\": \"mistral\", \"sliding_window\": 8}", 8, 8);
    expect_windows("{\"model_type\": \"qwen2\", \"sliding_window\": 8}", 0, 0);
    expect_windows(
        "{\"model_type\": \"qwen2\", \"sliding_window\": 8, \"use_sliding_window\": true}", 0,
        0); /* max_window_layers is 28 */
    expect_windows(
        "{\"model_type\": \"qwen2\", \"sliding_window\": 8, \"use_sliding_window\": true,"
        " \"max_window_layers\": 1}",
        0, 8);
    expect_windows(
        "{\"model_type\": \"qwen3\", \"sliding_window\": 8, \"use_sliding_window\": true,"
        " \"layer_types\": [\"sliding_attention\", \"full_attention\"]}",
        8, 0);
    expect_windows(
        "{\"model_type\": \"smollm3\", \"sliding_window\": 8, \"no_rope_layers\": [1, 0],"
        " \"use_sliding_window\": true}",
        0, 8);
}

static void test_families(void **state) {
    (void)state;
    ib_config c;
    read_good(&c, "{\"model_type\": \"qwen2\", \"rope_theta\": \"-\"}");
    assert_true(c.bias_qkv && !c.bias_o && !c.qk_norm && c.rope.theta == 10000);
    ib_config_clear(&c);
    read_good(&c, "{\"model_type\": \"qwen3\", \"attention_bias\": true}");
    assert_true(c.head_dim == 128 && c.qk_norm && c.bias_qkv && c.bias_o);
    ib_config_clear(&c);
    read_good(&c, "{\"model_type\": \"smollm3\", \"rope_theta\": \"-\", \"num_hidden_layers\": 5,"
                  " \"eos_token_id\": \"-\", \"vocab_size\": 128256}");
    assert_true(c.tied_embeddings && c.rope.theta == 2000000 && c.eos_ids[0] == 128001);
    assert_true(c.layers[2].rope && !c.layers[3].rope && c.layers[4].rope);
    ib_config_clear(&c);
    read_good(&c, "{\"model_type\": \"mistral\", \"num_key_value_heads\": \"-\","
                  " \"num_attention_heads\": 8, \"rms_norm_eps\": \"-\"}");
    assert_true(c.n_kv_heads == 8 && c.rms_eps == 1e-6);
    ib_config_clear(&c);
}

/* Both forms of RoPE settings, and which of two places counts. */
static void test_rope_places(void **state) {
    (void)state;
    ib_config c;
    read_good(&c, "{\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 77.0}}");
    assert_true(c.rope.theta == 77);
    ib_config_clear(&c);
    read_good(&c, "{\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2},"
                  " \"rope_parameters\": {\"rope_type\": \"default\"}}");
    assert_true(c.rope.type == IB_ROPE_LINEAR && c.rope.factor == 2 && c.rope.theta == 10000);
    ib_config_clear(&c);
    read_good(&c, "{\"rope_scaling\": {}, \"rope_theta\": \"-\"}");
    assert_true(c.rope.type == IB_ROPE_DEFAULT && c.rope.theta == 10000);
    ib_config_clear(&c);
    read_good(&c, "{\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4,"
                  " \"original_max_position_embeddings\": 64},"
                  " \"original_max_position_embeddings\": 32}");
    assert_true(c.rope.type == IB_ROPE_YARN && c.rope.original_context == 32 && c.rope.truncate);
    ib_config_clear(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),      cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_good),     cmocka_unit_test(test_windows),
        cmocka_unit_test(test_families), cmocka_unit_test(test_rope_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
