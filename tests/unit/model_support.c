/* SPDX-License-Identifier: MIT
 * See model_support.h. */
#include "model_support.h"

#include "base/file.h"

#include <math.h>

static ib_status read_config(loaded_model *out, ib_config *config, const char *path,
                             const ib_log *log, ib_error *err) {
    char name[1024];
    if (ib_checkpoint_format(out->ckpt) == IB_CHECKPOINT_GGUF)
        return ib_config_from_gguf(config, out->ckpt, log, err);
    snprintf(name, sizeof name, "%s/config.json", path);
    IB_TRY(ib_json_load(&out->config_json, name, 0, err));
    return ib_config_from_json(config, out->config_json, out->ckpt, "config.json", log, err);
}

ib_status load_model_tier(loaded_model *out, const char *path, int n_threads, const char *tier,
                          const ib_log *log, ib_error *err) {
    ib_config config;
    const ib_device_config device = {
        .n_threads = n_threads, .cpu_tier = tier, .compute = IB_COMPUTE_FLOAT32, .log = log};
    memset(out, 0, sizeof *out);
    memset(&config, 0, sizeof config);
    ib_status st = ib_checkpoint_open(&out->ckpt, path, log, err);
    if (st == IB_OK)
        st = read_config(out, &config, path, log, err);
    if (st == IB_OK)
        st = ib_device_open(&out->device, "cpu", &device, err);
    if (st == IB_OK)
        st = ib_model_load(&out->model, out->device, out->ckpt, &config, log, err);
    ib_config_clear(&config);
    if (st != IB_OK)
        unload_model(out);
    return st;
}

ib_status load_model(loaded_model *out, const char *path, int n_threads, const ib_log *log,
                     ib_error *err) {
    return load_model_tier(out, path, n_threads, NULL, log, err);
}

void unload_model(loaded_model *m) {
    ib_model_free(m->model);
    if (m->device)
        ib_device_close(m->device);
    if (m->ckpt)
        ib_checkpoint_close(m->ckpt);
    json_decref(m->config_json);
    memset(m, 0, sizeof *m);
}

json_t *golden_index(void) {
    json_t *index = NULL;
    ib_error err;
    if (ib_json_load(&index, GOLDEN_MODELS "/INDEX.json", 0, &err) != IB_OK)
        fail_msg("%s", err.text);
    return index;
}

static uint32_t *ids_of(const json_t *list, size_t *n) {
    *n = json_array_size(list);
    uint32_t *ids = calloc(*n + 1, sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < *n; i++)
        ids[i] = (uint32_t)json_integer_value(json_array_get(list, i));
    return ids;
}

/* NumPy 1.0, float32, C order, two dimensions. */
static void read_npy(golden *g, const char *path) {
    ib_buf file;
    ib_error err;
    ib_buf_init(&file);
    if (ib_file_read(&file, path, 100u << 20, &err) != IB_OK)
        fail_msg("%s", err.text);
    assert_true(file.len > 10 && memcmp(file.ptr, "\x93NUMPY\x01", 7) == 0);
    const size_t header =
        (size_t)(unsigned char)file.ptr[8] + 256 * (size_t)(unsigned char)file.ptr[9];
    const size_t floats = (file.len - 10 - header) / sizeof(float);
    assert_true(floats > 0 && floats % g->n_prompt == 0);
    g->n_vocab = floats / g->n_prompt;
    g->logits = malloc(floats * sizeof(float));
    assert_non_null(g->logits);
    memcpy(g->logits, file.ptr + 10 + header, floats * sizeof(float));
    ib_buf_clear(&file);
}

void golden_open(golden *g, const json_t *entry) {
    char path[1024];
    ib_error err;
    memset(g, 0, sizeof *g);
    snprintf(path, sizeof path, GOLDEN_MODELS "/%s",
             json_string_value(json_object_get(entry, "golden")));
    if (ib_json_load(&g->json, path, 0, &err) != IB_OK)
        fail_msg("%s", err.text);
    g->prompt = ids_of(json_object_get(g->json, "prompt"), &g->n_prompt);
    g->greedy = ids_of(json_object_get(g->json, "greedy_ids"), &g->n_greedy);
    g->tolerance = json_number_value(json_object_get(g->json, "tolerance"));
    snprintf(path, sizeof path, GOLDEN_MODELS "/%s",
             json_string_value(json_object_get(entry, "logits")));
    read_npy(g, path);
}

void golden_close(golden *g) {
    json_decref(g->json);
    free(g->prompt);
    free(g->greedy);
    free(g->logits);
}

void golden_generation(ib_generation *g, const golden *gold, const char *model_path) {
    char path[1024];
    json_t *settings = NULL;
    ib_error err;
    ib_generation_init(g);
    snprintf(path, sizeof path, "%s/generation_config.json", model_path);
    if (ib_path_exists(path) && ib_json_load(&settings, path, 0, &err) != IB_OK)
        fail_msg("%s", err.text);
    if (ib_generation_merge(g, settings, "generation_config.json", &err) != IB_OK)
        fail_msg("%s: %s", model_path, err.text);
    json_decref(settings);
    g->max_new_tokens = (uint64_t)json_integer_value(json_object_get(gold->json, "max_new_tokens"));
    g->eos_ids[0] = (uint32_t)json_integer_value(json_object_get(gold->json, "eos_token_id"));
    g->forced_eos_id = json_integer_value(json_object_get(gold->json, "forced_eos_token_id"));
}

double relative_error(const float *a, const float *b, size_t n) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)a[i] - (double)b[i];
        difference += d * d;
        norm += (double)b[i] * (double)b[i];
    }
    return sqrt(difference / norm);
}
