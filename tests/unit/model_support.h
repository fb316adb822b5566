/* SPDX-License-Identifier: MIT
 * What the tests of the model share: a tiny model loaded on the CPU in fp32, its golden answers,
 * and writing variants of a model folder. */
#ifndef IB_TESTS_MODEL_SUPPORT_H
#define IB_TESTS_MODEL_SUPPORT_H

#include "model/generate.h"
#include "support.h"

#define GOLDEN_MODELS IB_SOURCE_DIR "/tests/golden/models"

typedef struct loaded_model {
    ib_checkpoint *ckpt;
    ib_device *device;
    ib_model *model;
    json_t *config_json; /* NULL for GGUF */
} loaded_model;

/* path: a folder with config.json, or a .gguf file. Frees what it made when it fails. */
ib_status load_model(loaded_model *out, const char *path, int n_threads, const ib_log *log,
                     ib_error *err);
/* The same on a lower tier of instructions ("scalar", "avx2", ...). */
ib_status load_model_tier(loaded_model *out, const char *path, int n_threads, const char *tier,
                          const ib_log *log, ib_error *err);
void unload_model(loaded_model *m);

typedef struct golden {
    json_t *json; /* golden.json */
    uint32_t *prompt, *greedy;
    size_t n_prompt, n_greedy;
    float *logits; /* [n_prompt, n_vocab] */
    size_t n_vocab;
    double tolerance;
} golden;

/* An entry of INDEX.json. Fails the test when a file is missing. */
void golden_open(golden *g, const json_t *entry);
void golden_close(golden *g);
json_t *golden_index(void);
/* Settings of the golden run: generation_config.json of the folder under the golden's own. */
void golden_generation(ib_generation *g, const golden *gold, const char *model_path);

/* norm(a - b) / norm(b) */
double relative_error(const float *a, const float *b, size_t n);

#endif
