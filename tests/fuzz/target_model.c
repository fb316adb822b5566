/* SPDX-License-Identifier: MIT
 * config.json and generation_config.json. */
#include "fuzz.h"
#include "model/generate.h"
#include "model/synthetic.h"

#include <string.h>

static ib_checkpoint *fixture(void) {
    static ib_checkpoint *c;
    if (!c) {
        fuzz_pause();
        ib_error err = {0};
        if (ib_checkpoint_open(&c, IB_SOURCE_DIR "/tests/golden/models/llama_gqa", NULL, &err) !=
            IB_OK)
            fuzz_fail(err.text, __FILE__, __LINE__);
        fuzz_resume();
    }
    return c;
}

/* What the loader and the session rely on. */
static void check_config(const ib_config *c) {
    fuzz_must(c->n_layers > 0 && c->n_heads > 0 && c->n_kv_heads > 0 && c->head_dim > 0);
    fuzz_must(c->n_heads % c->n_kv_heads == 0);
    fuzz_must(c->d_model > 0 && c->d_ff > 0 && c->n_vocab > 0 && c->n_ctx_max > 0);
    fuzz_must(c->rms_eps > 0 && c->rms_eps < 1e300);
    fuzz_must(c->layers && c->family && memchr(c->model_type, '\0', sizeof c->model_type));
    fuzz_must(c->n_eos <= sizeof c->eos_ids / sizeof c->eos_ids[0]);
    fuzz_touch(c->layers, (size_t)c->n_layers * sizeof *c->layers);
    if (c->rope.type == IB_ROPE_LONGROPE) {
        fuzz_must(c->rope.short_factor && c->rope.long_factor);
        const double n = (double)c->head_dim * c->rope.partial_factor / 2;
        fuzz_touch(c->rope.long_factor, (size_t)n * sizeof(double));
        fuzz_touch(c->rope.short_factor, (size_t)n * sizeof(double));
    }
}

ib_status fuzz_config(const uint8_t *data, size_t n, ib_error *err) {
    json_t *json = NULL;
    ib_config c = {0};
    ib_checkpoint *ckpt = fixture();
    ib_status st = ib_json_parse(&json, (ib_str){(const char *)data, n}, "config.json", err);
    if (st == IB_OK)
        st = ib_config_from_json(&c, json, ckpt, "config.json", NULL, err);
    if (st == IB_OK)
        check_config(&c);
    ib_config_clear(&c);
    json_decref(json);
    return st;
}

ib_status fuzz_generation(const uint8_t *data, size_t n, ib_error *err) {
    json_t *json = NULL;
    ib_generation g;
    ib_generation_init(&g);
    ib_status st = ib_json_parse(&json, (ib_str){(const char *)data, n}, "generation", err);
    if (st == IB_OK)
        st = ib_generation_merge(&g, json, "generation", err);
    if (st == IB_OK) {
        fuzz_must(g.n_eos <= sizeof g.eos_ids / sizeof g.eos_ids[0]);
        fuzz_must(g.repetition_penalty > 0);
        fuzz_touch(g.suppress, g.n_suppress * sizeof *g.suppress);
        fuzz_touch(g.begin_suppress, g.n_begin_suppress * sizeof *g.begin_suppress);
        for (size_t i = 0; i < g.n_biases; i++)
            fuzz_touch(g.biases[i].ids, g.biases[i].n * sizeof(uint32_t));
        (void)ib_generation_needs_logits(&g);
    }
    ib_generation_clear(&g);
    json_decref(json);
    return st;
}
