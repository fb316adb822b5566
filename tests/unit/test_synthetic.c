/* SPDX-License-Identifier: MIT
 * Synthetic models: the sizes of the well-known shapes, every format on small shapes (numbers with
 * the promised spread, finite logits, the same ids whatever the threads), and what is refused. */
#include "backend/backend.h"
#include "base/file.h"
#include "bench/bench.h"
#include "checkpoint/checkpoint.h"
#include "model/synthetic.h"
#include "record/summary.h"
#include "support.h"

#include <math.h>
#include <unistd.h>

static const char *const quants[] = {"bf16",   "fp16", "fp32", "nf4",  "nf4-dq", "fp4",
                                     "fp4-dq", "int8", "q4_0", "q4_k", "q8_0"};
enum { N_QUANTS = sizeof quants / sizeof quants[0], N_NEW = 6 };

/* Rows of 256 for the block formats, and rows that 256 does not divide; biases; head norms. */
static const char llama[] =
    "{\"model_type\": \"llama\", \"vocab_size\": 320, \"hidden_size\": 256, "
    "\"intermediate_size\": 512, \"num_hidden_layers\": 3, \"num_attention_heads\": 4, "
    "\"num_key_value_heads\": 2, \"attention_bias\": true, \"torch_dtype\": \"float16\", "
    "\"quantization_config\": {\"quant_method\": \"gptq\"}}";
static const char qwen3[] =
    "{\"model_type\": \"qwen3\", \"vocab_size\": 300, \"hidden_size\": 96, "
    "\"intermediate_size\": 160, \"num_hidden_layers\": 12, \"num_attention_heads\": 3, "
    "\"num_key_value_heads\": 1, \"head_dim\": 32, \"tie_word_embeddings\": true}";
static const char huge[] =
    "{\"model_type\": \"llama\", \"vocab_size\": 4000000, \"hidden_size\": 1048576, "
    "\"intermediate_size\": 16777216, \"num_hidden_layers\": 10000, \"num_attention_heads\": "
    "8192, \"head_dim\": 128}";

static char folder[] = "/tmp/ib-synthetic-XXXXXX";

static int set_up(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
    char path[64];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/config.json", folder);
    (void)unlink(path);
    return rmdir(folder);
}

/* Writes a config.json; returns the model id. */
static const char *model_of(const char *config, char id[96]) {
    ib_error err = {0};
    (void)snprintf(id, 96, "synthetic:%s/config.json", folder);
    if (ib_file_write(id + strlen("synthetic:"), config, strlen(config), &err) != IB_OK)
        fail_msg("%s", err.text);
    return id;
}

static ib_plan plan_of(const char *model_id, const char *quant) {
    ib_plan p = {.engine = {.model_id = model_id,
                            .device = "cpu",
                            .dtype = -1,
                            .n_threads = 2,
                            .quant = quant,
                            .weights = true},
                 .prompt = {.n_random = 11, .seed = 3},
                 .n_repetitions = 2,
                 .n_batch = 1};
    ib_generation_init(&p.generation);
    p.generation.max_new_tokens = N_NEW;
    return p;
}

static void run_ok(ib_cell *cell, const ib_plan *p) {
    ib_error err = {0};
    ib_status st = ib_bench_run_cell(cell, p, &err);
    if (st != IB_OK)
        fail_msg("%s: %s", p->engine.quant, err.text);
}

static void runs_the_same_everywhere(const char *config) {
    char id[96];
    model_of(config, id);
    for (size_t i = 0; i < N_QUANTS; i++) {
        ib_cell one = {0}, two = {0}, other = {0};
        ib_summary s;
        ib_plan p = plan_of(id, quants[i]);
        run_ok(&two, &p);
        p.engine.n_threads = 1;
        run_ok(&one, &p);
        p.engine.seed = 1;
        run_ok(&other, &p);
        assert_true(two.model.synthetic);
        assert_string_equal(two.model.name, id);
        assert_int_equal(two.runs[0].n_tokens, N_NEW);
        assert_true(two.runs[0].finite && one.runs[0].finite && other.runs[0].finite);
        assert_string_equal(one.model.fingerprint, two.model.fingerprint);
        assert_string_not_equal(one.model.fingerprint, other.model.fingerprint);
        assert_memory_equal(one.runs[0].output_ids, two.runs[0].output_ids,
                            N_NEW * sizeof *one.runs[0].output_ids);
        assert_string_equal(one.runs[0].ids_sha256, one.runs[1].ids_sha256);
        assert_int_equal(ib_summarise(&s, &two, NULL, 0, NULL), IB_OK);
        assert_string_not_equal(s.verdict, "invalid");
        ib_cell_clear(&one);
        ib_cell_clear(&two);
        ib_cell_clear(&other);
    }
}

static void test_runs(void **unused) {
    (void)unused;
    runs_the_same_everywhere(llama);
}

static void test_runs_odd_rows(void **unused) {
    (void)unused;
    runs_the_same_everywhere(qwen3);
}

/* --- the numbers --- */

/* Deviation of all numbers, times the root of the columns: 1 is meant; a type of one exponent may
 * miss it by sqrt(2). */
static void check_spread(ib_engine *e, const char *module, uint64_t rows, uint64_t cols,
                         const char *quant) {
    const ib_config *c = ib_engine_config_of(e);
    ib_checkpoint *ckpt = (ib_checkpoint *)(uintptr_t)ib_engine_checkpoint(e);
    float row[1024];
    ib_matrix m;
    ib_error err = {0};
    double sum = 0, squares = 0, n = (double)(rows * cols);
    if (ib_checkpoint_matrix(ckpt, module, &c->bnb, rows, cols, &m, &err) != IB_OK)
        fail_msg("%s", err.text);
    for (uint64_t r = 0; r < rows; r++) {
        ib_matrix_decode(&m, r, 0, cols, row);
        for (uint64_t i = 0; i < cols; i++) {
            assert_true(isfinite(row[i]));
            sum += row[i];
            squares += (double)row[i] * row[i];
        }
    }
    const double unit = sqrt(squares / n * (double)cols), mean = sum / n * sqrt((double)cols);
    if (unit < 0.7 || unit > 1.43 || fabs(mean) > 0.03)
        fail_msg("%s %s: deviation %g, mean %g", quant, module, unit, mean);
}

static void test_spread(void **unused) {
    char id[96];
    (void)unused;
    model_of(llama, id);
    for (size_t i = 0; i < N_QUANTS; i++) {
        ib_error err = {0};
        ib_engine *e = NULL;
        ib_plan p = plan_of(id, quants[i]);
        if (ib_engine_open(&e, &p.engine, NULL, &err) != IB_OK)
            fail_msg("%s", err.text);
        check_spread(e, "model.embed_tokens", 320, 256, quants[i]);
        check_spread(e, "model.layers.2.self_attn.k_proj", 128, 256, quants[i]);
        check_spread(e, "model.layers.0.mlp.down_proj", 256, 512, quants[i]);
        check_spread(e, "lm_head", 320, 256, quants[i]);
        ib_engine_close(e);
    }
}

/* What is stored as what: 4-bit files keep embedding and head in bf16. */
static void test_formats(void **unused) {
    static const struct {
        const char *quant, *layer, *head;
    } rows[] = {{"bf16", "BF16", "BF16"}, {"nf4-dq", "U8", "BF16"}, {"int8", "I8", "BF16"},
                {"q4_0", "Q4_0", "Q6_K"}, {"q4_k", "Q4_K", "Q6_K"}, {"q8_0", "Q8_0", "Q8_0"}};
    char id[96];
    (void)unused;
    model_of(llama, id);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ib_error err = {0};
        ib_engine *e = NULL;
        ib_plan p = plan_of(id, rows[i].quant);
        assert_int_equal(ib_engine_open(&e, &p.engine, NULL, &err), IB_OK);
        const ib_checkpoint *c = ib_engine_checkpoint(e);
        const ib_stored_tensor *up = ib_checkpoint_find(c, "model.layers.1.mlp.up_proj.weight");
        const ib_stored_tensor *head = ib_checkpoint_find(c, "lm_head.weight");
        assert_string_equal(ib_type_name(up->type), rows[i].layer);
        assert_string_equal(ib_type_name(head->type), rows[i].head);
        assert_int_equal((uintptr_t)up->data % IB_MEMORY_ALIGN, 0);
        ib_engine_close(e);
    }
}

/* --- the shapes --- */

/* Parameters as their makers count them; two bytes each in bf16. */
static void test_shapes(void **unused) {
    static const struct {
        const char *id;
        uint64_t n_params;
    } rows[] = {{"synthetic:llama-3.1-8b", 8030261248}, {"synthetic:llama-3.1-70b", 70553706496},
                {"synthetic:llama-3.2-1b", 1235814400}, {"synthetic:tinyllama-1.1b", 1100048384},
                {"synthetic:smollm2-135m", 134515008},  {"synthetic:qwen3-0.6b", 596049920},
                {"synthetic:qwen3-8b", 8190735360},     {"synthetic:mistral-7b", 7248023552}};
    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ib_synthetic *s = NULL;
        ib_config c;
        ib_error err = {0};
        uint64_t bytes = 0;
        if (ib_synthetic_open(&s, rows[i].id, "bf16", 0, &err) != IB_OK ||
            ib_config_from_json(&c, ib_synthetic_config(s), NULL, rows[i].id, NULL, &err) != IB_OK)
            fail_msg("%s: %s", rows[i].id, err.text);
        assert_int_equal(ib_synthetic_bytes(s, &c, &bytes, &err), IB_OK);
        assert_int_equal(bytes, 2 * rows[i].n_params);
        for (uint64_t l = 0; l < c.n_layers; l++)
            assert_int_equal(c.layers[l].window, 0);
        ib_config_clear(&c);
        ib_synthetic_close(s);
    }
}

/* --- refused --- */

static void refused(const ib_plan *p, ib_status status, const char *says) {
    ib_cell cell = {0};
    ib_error err = {0};
    ib_status st = ib_bench_run_cell(&cell, p, &err);
    if (st != status || !strstr(err.text, says))
        fail_msg("status %d, text '%s', expected %d and '%s'", st, err.text, status, says);
    assert_int_equal(cell.n_runs, 0);
    ib_cell_clear(&cell);
}

static void test_too_large(void **unused) {
    char id[96];
    (void)unused;
    model_of(huge, id);
    ib_plan p = plan_of(id, "fp32");
    refused(&p, IB_E_RESOURCE, "does not fit: weights");
    model_of(llama, id);
    p = plan_of(id, "nf4");
    p.prompt.n_random = 1000000;
    p.n_batch = 1000000;
    refused(&p, IB_E_RESOURCE, "KV cache");
    p.n_batch = UINT64_MAX / 2;
    refused(&p, IB_E_RESOURCE, "KV cache inf GB");
}

static void test_wrong(void **unused) {
    char id[96];
    (void)unused;
    ib_plan p = plan_of("synthetic:gpt-5", NULL);
    refused(&p, IB_E_USAGE, "'gpt-5'; fix: use one of llama-3.1-8b, ");
    p = plan_of("synthetic:/nowhere/config.json", NULL);
    refused(&p, IB_E_INPUT, "/nowhere/config.json");
    model_of(llama, id);
    p = plan_of(id, "q5_1");
    refused(&p, IB_E_USAGE, "--quant: 'q5_1'");
    p = plan_of(id, NULL);
    p.prompt = (ib_prompt_spec){.prompt = "hello", .chat_template = true};
    refused(&p, IB_E_USAGE, "no tokenizer; fix: give -p N");
    model_of("[]", id);
    p = plan_of(id, NULL);
    refused(&p, IB_E_FORMAT, "expected a JSON object");
    model_of("{\"model_type\": \"other\"}", id);
    refused(&p, IB_E_UNSUPPORTED, "'other'");
    p = plan_of(IB_SOURCE_DIR "/tests/golden/models/llama_gqa", "nf4");
    refused(&p, IB_E_UNSUPPORTED, "--quant nf4 with a real model");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),   cmocka_unit_test(test_runs_odd_rows),
        cmocka_unit_test(test_spread), cmocka_unit_test(test_formats),
        cmocka_unit_test(test_shapes), cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_wrong),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
