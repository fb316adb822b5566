/* SPDX-License-Identifier: MIT
 * The loaded model's life and its ledger of bytes; weights.c fills it. */
#include "model/model_internal.h"
#include "model/weights.h"

#include <stdlib.h>
#include <string.h>

ib_status ib_model_load(ib_model **out, ib_device *d, ib_checkpoint *ckpt, ib_config *config,
                        const ib_log *log, ib_error *err) {
    ib_model *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m) {
        ib_config_clear(config);
        return ib_fail_memory(err, sizeof *m, "the model");
    }
    m->config = *config;
    memset(config, 0, sizeof *config);
    m->device = d;
    m->backend = ib_backend_of(d);
    m->log = log;
    ib_status st = ib_weights_load(m, ckpt, err);
    if (st != IB_OK) {
        ib_model_free(m);
        return st;
    }
    *out = m;
    return IB_OK;
}

static void free_linear(ib_model *m, ib_linear *l) {
    m->backend->weight_free(m->device, l->weight);
}

void ib_model_free(ib_model *m) {
    if (!m)
        return;
    for (uint64_t i = 0; m->layers && i < m->config.n_layers; i++) {
        ib_layer *l = &m->layers[i];
        ib_linear *const all[] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down};
        for (size_t j = 0; j < sizeof all / sizeof all[0]; j++)
            free_linear(m, all[j]);
    }
    if (m->head != m->embed)
        m->backend->weight_free(m->device, m->head);
    m->backend->weight_free(m->device, m->embed);
    m->backend->buffer_free(m->device, m->vectors);
    free(m->layers);
    ib_config_clear(&m->config);
    free(m);
}

const ib_config *ib_model_config(const ib_model *m) {
    return &m->config;
}

ib_device *ib_model_device(const ib_model *m) {
    return m->device;
}

uint64_t ib_model_n_params(const ib_model *m) {
    return m->n_params;
}

void ib_model_step_bytes(const ib_model *m, uint64_t n_past, ib_type kv_type, ib_step_bytes *out) {
    const ib_config *c = &m->config;
    const uint64_t row = c->n_kv_heads * c->head_dim * ib_type_block_bytes(kv_type);
    *out = m->step;
    for (uint64_t i = 0; i < c->n_layers; i++) {
        uint64_t seen = n_past + 1, window = c->layers[i].window;
        out->kv += 2 * row * (window != 0 && window < seen ? window : seen);
    }
    out->total = out->weights + out->scales + out->head + out->kv;
}

void ib_model_bytes_by_type(const ib_model *m, uint64_t out[IB_TYPE_COUNT]) {
    memcpy(out, m->bytes_by_type, sizeof m->bytes_by_type);
}
