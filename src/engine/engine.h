/* SPDX-License-Identifier: MIT
 * Who makes the tokens. An engine turns a request (prompt ids, generation settings) into stamped
 * ids; the runner knows nothing else of it. native.c: this program's own decoder. */
#ifndef IB_ENGINE_ENGINE_H
#define IB_ENGINE_ENGINE_H

#include "hub/hub.h"
#include "model/generate.h"
#include "model/session_profile.h"
#include "record/record.h"
#include "text/chat.h"
#include "text/tokenizer.h"

typedef struct ib_engine ib_engine;

typedef struct ib_engine_config {
    /* model_id "synth:LAW": the engine of known laws (synth.h), no model at all; revision and
     * cache_dir may be NULL */
    const char *model_id, *revision, *cache_dir;
    const ib_hub_env *hub_env;
    const char *device;   /* "auto", "cpu", "xpu:0", ... */
    const char *cpu_tier; /* NULL = best */
    ib_attention attention;
    ib_compute compute;
    int dtype;     /* an ib_type (F32, F16, BF16), or -1 for auto */
    int n_threads; /* 0 = automatic */
    /* false: only configuration, tokenizer, templates: no device is opened, files that are absent
     * are no error, and neither is a model that this program cannot run (config_of is NULL then) */
    bool weights;
    /* model_id "synthetic:..." (model/synthetic.h): the format of its weights, and their seed */
    const char *quant; /* NULL or "none": bf16; anything else is refused for a real model */
    uint64_t seed;
    /* positions of all sequences that a session is going to hold: a synthetic model is refused when
     * its weights and such a KV cache exceed the memory at hand; 0 = weights alone */
    uint64_t n_positions;
    ib_load_mode load_mode; /* of a real model's files */
    const char *pin;        /* NULL, or which CPUs the CPU backend's threads are bound to */
    const ib_log *log;
    /* NULL, or called once the device is open and before weights go there; kind: "cpu", "xpu", ...
     */
    void (*on_device)(void *user, const char *kind);
    void *on_device_user;
} ib_engine_config;

/* Opens the model: hub, checkpoint, configuration, tokenizer, templates, device, weights. Load
 * phases go to cell->load and what was found to cell->resolved, cell->model (cell may be NULL). */
ib_status ib_engine_open(ib_engine **out, const ib_engine_config *config, ib_cell *cell,
                         ib_error *err) IB_MUST_CHECK;
void ib_engine_close(ib_engine *e);

const ib_tokenizer *ib_engine_tokenizer(const ib_engine *e); /* NULL when the model has none */
const ib_chat_templates *ib_engine_templates(const ib_engine *e);
ib_model *ib_engine_model(ib_engine *e);                       /* NULL without weights */
const ib_config *ib_engine_config_of(const ib_engine *e);      /* may be NULL without weights */
const ib_checkpoint *ib_engine_checkpoint(const ib_engine *e); /* may be NULL without weights */
const json_t *ib_engine_generation_json(const ib_engine *e, const char **where); /* NULL = none */
bool ib_engine_is_synthetic(const ib_engine *e);
/* Its stamps are of a clock of its own, and the machine has no part in them. */
bool ib_engine_is_virtual(const ib_engine *e);
ib_attention ib_engine_attention(const ib_engine *e);
ib_type ib_engine_kv_type(const ib_engine *e); /* F32 under dtype float32, else the model dtype */
const ib_log *ib_engine_log(const ib_engine *e);

/* Prepares a session for prompts of n_prompt ids and max_new_tokens, batch n_seqs (allocates). */
ib_status ib_engine_prepare(ib_engine *e, size_t n_prompt, size_t max_new_tokens, size_t n_seqs,
                            ib_error *err) IB_MUST_CHECK;
/* The same with a context of n_depth ids of each sequence, ids [n_depth] (the same for all), run
 * now and kept: every ib_engine_run then starts behind them. *took_ns: how long that took. */
typedef struct ib_engine_depth {
    const uint32_t *ids; /* borrowed; NULL with n = 0 */
    size_t n;
    volatile const int *stop; /* NULL = never; not 0: leave the rest out, the runs will not come */
    uint64_t took_ns;         /* out */
} ib_engine_depth;
ib_status ib_engine_prepare_at(ib_engine *e, ib_engine_depth *depth, size_t n_prompt,
                               size_t max_new_tokens, size_t n_seqs, ib_error *err) IB_MUST_CHECK;
/* One timed generation; the session must be prepared. See ib_generate. */
ib_status ib_engine_run(ib_engine *e, const ib_generation *g, const uint32_t *prompt,
                        size_t n_prompt, uint32_t *out_ids, ib_on_token on_token, void *user,
                        ib_generate_result *out, ib_error *err) IB_MUST_CHECK;
/* Logits of the last position(s) of the last run, fp32 [n_seqs, n_vocab]: outside the timed window.
 * ib_engine_n_logits: how many; 0 = this engine has none. */
size_t ib_engine_n_logits(const ib_engine *e);
ib_status ib_engine_logits(ib_engine *e, float *out, ib_error *err) IB_MUST_CHECK;
/* A profiled pass of the prepared session (model/session_profile.h): no measured run. Room is that
 * of ib_engine_prepare. */
ib_status ib_engine_profile(ib_engine *e, const uint32_t *prompt, size_t n_prompt, size_t n_steps,
                            ib_session_profile *out, ib_error *err) IB_MUST_CHECK;
/* Peak memory so far: ledger of the device, VmHWM of the process. */
void ib_engine_memory(const ib_engine *e, ib_memory_record *out);
/* What the device's own clock and its compiler tell so far; zeros where it has none. */
void ib_engine_device_clock(const ib_engine *e, ib_device_clock *out);
/* Time that building kernels for the device took so far, first launches included. */
uint64_t ib_engine_kernels_ns(const ib_engine *e);

#endif
