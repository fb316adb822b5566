/* SPDX-License-Identifier: MIT
 * logits: one forward pass over given token ids; row i is what the model says after ids[0..i]. */
#include "cli/cli.h"

#include "base/checked.h"

#include <stdlib.h>

static ib_status forward(ib_engine *e, const ib_id_list *ids, float *logits, ib_error *err) {
    ib_session *session = NULL;
    const ib_session_options options = {.n_ctx = ids->n,
                                        .n_seqs = 1,
                                        .n_prompt_max = ids->n,
                                        .attention = ib_engine_attention(e),
                                        .kv_type = ib_engine_kv_type(e),
                                        .all_logits = true};
    IB_TRY(ib_session_new(&session, ib_engine_model(e), &options, err));
    ib_status st = ib_session_prefill(session, ids->ids, ids->n, err);
    if (st == IB_OK)
        st = ib_session_logits(session, logits, err);
    ib_session_free(session);
    return st;
}

static ib_status compute(ib_engine *e, const ib_options *o, ib_error *err) {
    uint64_t n_vocab = ib_model_config(ib_engine_model(e))->n_vocab, bytes = 0;
    for (size_t i = 0; i < o->token_ids.n; i++)
        if (o->token_ids.ids[i] >= n_vocab)
            return ib_fail(err, IB_E_USAGE,
                           "token id out of range in option --token-ids: %u; fix: give ids below "
                           "%llu, the size of the vocabulary",
                           o->token_ids.ids[i], (unsigned long long)n_vocab);
    if (!ib_mul_u64(o->token_ids.n, n_vocab, &bytes) || !ib_mul_u64(bytes, sizeof(float), &bytes) ||
        bytes > SIZE_MAX)
        return ib_fail_memory(err, SIZE_MAX, "logits");
    float *logits = malloc(bytes ? (size_t)bytes : 1);
    if (!logits)
        return ib_fail_memory(err, (size_t)bytes, "logits");
    ib_status st = forward(e, &o->token_ids, logits, err);
    if (st == IB_OK)
        st = ib_npy_write(o->output, logits, o->token_ids.n, n_vocab, err);
    free(logits);
    return st;
}

ib_status ib_cmd_logits(ib_cli *cli, ib_error *err) {
    const ib_options *o = &cli->options;
    const char *inputs[] = {o->model_id, NULL};
    ib_engine_config config;
    ib_engine *engine = NULL;
    IB_TRY(ib_output_probe(o->output, o->force, inputs, err));
    ib_cli_engine_config(cli, &cli->options, &config);
    IB_TRY(ib_engine_open(&engine, &config, NULL, err));
    ib_status st = compute(engine, o, err);
    ib_engine_close(engine);
    return st;
}
