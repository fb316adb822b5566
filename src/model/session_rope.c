/* SPDX-License-Identifier: MIT
 * The table of cosines and sines that the device holds, one row per position. Most rules give a row
 * once and for all. With dynamic and longrope scaling the frequencies belong to the length of a
 * call: all rows of a prefill have those of its last position, the row of a decode step those of
 * its own. Keys already cached keep the rotation they got. */
#include "model/rope.h"
#include "model/session_internal.h"

#include <stdlib.h>
#include <string.h>

/* Lengths up to this one have the same frequencies. */
static uint64_t uniform_length(const ib_config *c) {
    return c->rope.type == IB_ROPE_LONGROPE ? c->rope.original_context : c->n_ctx_max;
}

static ib_status put(ib_session *s, size_t from, size_t to, const float *rows, ib_error *err) {
    const size_t row_bytes = s->table.n_cols * sizeof(float);
    if (from >= to)
        return IB_OK;
    return s->backend->upload(s->device, s->table.buffer, s->table.offset + from * row_bytes, rows,
                              (to - from) * row_bytes, err);
}

ib_status ib_session_rope_init(ib_session *s, ib_error *err) {
    const ib_config *c = &s->model->config;
    const size_t n_ctx = s->options.n_ctx, n_rot = s->table.n_cols;
    const bool switches = ib_rope_switches(&c->rope);
    s->inv_freq = calloc(n_rot / 2, sizeof(float));
    s->decode_rows = calloc(n_ctx, n_rot * sizeof(float));
    if (switches)
        s->prefill_rows = calloc(s->options.n_prompt_max, n_rot * sizeof(float));
    if (!s->inv_freq || !s->decode_rows || (switches && !s->prefill_rows))
        return ib_fail_memory(err, n_ctx * n_rot * sizeof(float), "RoPE tables");
    const uint64_t uniform = switches ? uniform_length(c) : n_ctx;
    const size_t same = uniform < n_ctx ? (size_t)uniform : n_ctx;
    ib_rope_fill(c, 0, same, s->inv_freq, s->decode_rows);
    const float factor = (float)ib_rope_attention_factor(c);
    for (size_t pos = same; pos < n_ctx; pos++) {
        ib_rope_frequencies(c, pos + 1, s->inv_freq);
        ib_rope_row(s->inv_freq, n_rot / 2, pos, factor, s->decode_rows + pos * n_rot);
    }
    ib_status st = put(s, 0, n_ctx, s->decode_rows, err);
    if (!switches) {
        free(s->decode_rows);
        s->decode_rows = NULL;
    }
    return st;
}

ib_status ib_session_rope_prefill(ib_session *s, size_t to, ib_error *err) {
    const ib_config *c = &s->model->config;
    const size_t from = s->n_past, n_rot = s->table.n_cols;
    if (!s->prefill_rows)
        return IB_OK;
    size_t switched = from;
    if (to > uniform_length(c)) {
        ib_rope_fill(c, from, to, s->inv_freq, s->prefill_rows);
        IB_TRY(put(s, from, to, s->prefill_rows, err));
        switched = to;
    }
    if (s->switched_end > switched)
        IB_TRY(put(s, switched, s->switched_end, s->decode_rows + switched * n_rot, err));
    s->switched_end = switched;
    return IB_OK;
}
