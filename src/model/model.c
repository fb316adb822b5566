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

/* Sum of the positions that the queries n_past .. n_past + n - 1 see. */
static double seen_keys(double n_past, double n, double window) {
    double whole = n; /* queries that see everything before them */
    if (window > 0)
        whole = n_past + n <= window ? n : n_past < window ? window - n_past : 0;
    return whole * n_past + whole * (whole + 1) / 2 + (n - whole) * window;
}

double ib_model_prefill_flops(const ib_model *m, uint64_t n_past, uint64_t n_tokens) {
    static const ib_role linears[] = {IB_ROLE_Q,    IB_ROLE_K,  IB_ROLE_V,   IB_ROLE_O,
                                      IB_ROLE_GATE, IB_ROLE_UP, IB_ROLE_DOWN};
    const ib_config *c = &m->config;
    const double n = (double)n_tokens;
    double elements = 0, keys = 0;
    for (size_t i = 0; i < sizeof linears / sizeof linears[0]; i++) {
        uint64_t rows = 0, cols = 0;
        ib_weights_role_shape(c, linears[i], &rows, &cols);
        elements += (double)rows * (double)cols;
    }
    for (uint64_t i = 0; i < c->n_layers; i++)
        keys += seen_keys((double)n_past, n, (double)c->layers[i].window);
    return 2 * elements * (double)c->n_layers * n + 2 * (double)c->n_vocab * (double)c->d_model +
           4 * (double)(c->n_heads * c->head_dim) * keys;
}

void ib_model_bytes_by_type(const ib_model *m, uint64_t out[IB_TYPE_COUNT]) {
    memcpy(out, m->bytes_by_type, sizeof m->bytes_by_type);
}
