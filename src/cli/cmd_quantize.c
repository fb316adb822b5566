/* SPDX-License-Identifier: MIT
 * quantize SRC DST: a model from safetensors or GGUF -> a folder with bitsandbytes 4-bit weights.
 * config.json is written last: a folder without it is one that was not finished. */
#include "cli/quantize/quantize.h"

#include <stdlib.h>
#include <string.h>

typedef struct quantize_state {
    ib_cli *cli;
    ib_hub_result source; /* owned */
    ib_engine *engine;    /* owned: configuration, checkpoint, templates */
    ib_quantize_options options;
    ib_quantize_plan plan; /* owned */
    ib_pool *pool;         /* owned */
    ib_new_folder folder;  /* owned */
    json_t *config;        /* owned: config.json */
} quantize_state;

static void read_options(const ib_options *o, const ib_config *c, ib_quantize_options *out) {
    int dtype = ib_cli_dtype(o);
    *out =
        (ib_quantize_options){.type = strncmp(o->quant, "fp4", 3) == 0 ? IB_TYPE_FP4 : IB_TYPE_NF4,
                              .nested = o->double_quant || strstr(o->quant, "-dq") != NULL,
                              .blocksize = (uint32_t)o->blocksize,
                              .dtype = dtype >= 0     ? (ib_type)dtype
                                       : c->from_gguf ? IB_TYPE_BF16
                                                      : c->file_dtype};
}

static ib_status open_source(quantize_state *s, ib_error *err) {
    const ib_options *o = &s->cli->options;
    ib_engine_config config;
    char shown[IB_QUOTED];
    IB_TRY(ib_hub_resolve(&s->source, o->args[0], o->revision, o->cache_dir, &s->cli->hub_env,
                          &s->cli->log, err));
    ib_cli_engine_config(s->cli, &s->cli->options, &config);
    config.model_id = s->source.path;
    config.revision = NULL;
    config.dtype = -1; /* --dtype is that of the result here */
    config.compute = IB_COMPUTE_AUTO;
    config.weights = false;
    IB_TRY(ib_engine_open(&s->engine, &config, NULL, err));
    const ib_config *c = ib_engine_config_of(s->engine);
    if (c->bnb.present)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "model in '%s' is quantized already; fix: quantize the original model",
                       ib_quotez(s->source.path, shown));
    read_options(o, c, &s->options);
    return IB_OK;
}

static ib_status read_config(quantize_state *s, ib_error *err) {
    const ib_config *c = ib_engine_config_of(s->engine);
    if (c->from_gguf)
        return ib_quantize_gguf_config(&s->config, c, err);
    char *path = ib_path_join(s->source.path, "config.json");
    ib_status st = path ? ib_json_load(&s->config, path, 0, err)
                        : ib_fail_memory(err, strlen(s->source.path), "a path");
    free(path);
    return st;
}

static ib_status write_folder(quantize_state *s, ib_error *err) {
    const ib_checkpoint *ckpt = ib_engine_checkpoint(s->engine);
    const ib_config *c = ib_engine_config_of(s->engine);
    IB_TRY(
        ib_quantize_write_weights(&s->folder, &s->plan, &s->options, s->pool, &s->cli->log, err));
    if (c->from_gguf)
        IB_TRY(ib_quantize_gguf_tokenizer(&s->folder, ib_checkpoint_gguf(ckpt),
                                          ib_engine_templates(s->engine), c->n_ctx_max, err));
    else
        IB_TRY(ib_quantize_copy_files(&s->folder, s->source.path, err));
    IB_TRY(ib_signals_check(err));
    return ib_new_folder_write_json(&s->folder, "config.json", s->config, err);
}

static ib_status quantize(quantize_state *s, ib_error *err) {
    const ib_options *o = &s->cli->options;
    int threads = o->threads ? (int)o->threads : ib_cores_allowed();
    IB_TRY(open_source(s, err));
    IB_TRY(read_config(s, err));
    IB_TRY(ib_quantize_set_config(s->config, &s->options, err));
    IB_TRY(ib_quantize_plan_make(&s->plan, ib_engine_checkpoint(s->engine),
                                 ib_engine_config_of(s->engine), &s->options, o->max_shard_bytes,
                                 &s->cli->log, err));
    IB_TRY(ib_pool_new(&s->pool, threads, err));
    ib_signals_defer();
    ib_log_info(&s->cli->log, "quantizing %zu matrices to %s%s, blocks of %u", s->plan.n_quantized,
                s->options.type == IB_TYPE_NF4 ? "nf4" : "fp4",
                s->options.nested ? " with quantized scales" : "", s->options.blocksize);
    IB_TRY(ib_new_folder_open(&s->folder, o->args[1], err));
    ib_status st = write_folder(s, err);
    if (st == IB_OK)
        ib_new_folder_close(&s->folder);
    else
        ib_new_folder_abandon(&s->folder);
    return st;
}

ib_status ib_cmd_quantize(ib_cli *cli, ib_error *err) {
    quantize_state s = {.cli = cli};
    ib_status st = quantize(&s, err);
    ib_pool_free(s.pool);
    ib_quantize_plan_clear(&s.plan);
    json_decref(s.config);
    ib_engine_close(s.engine);
    ib_hub_result_clear(&s.source);
    return st;
}
