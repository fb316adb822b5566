/* SPDX-License-Identifier: MIT
 * The engine that is this program's own decoder. Opening goes through fixed phases, each timed:
 *   open       model argument -> folder or file; files mapped, headers checked
 *   config     what the model is, and generation_config.json
 *   synthesize only for "synthetic:...": random weights made in memory
 *   tokenizer  tokenizer and chat templates
 *   touch, read  the files brought into memory (--load-mode)
 *   device     the backend's device
 *   weights    every tensor checked and placed on the device
 * (the runner adds "session"). The model dtype follows transformers 5.x (generation.md section 3):
 * "auto" is the configuration's dtype, float32 for GGUF. */
#include "base/checked.h"
#include "base/clock.h"
#include "base/file.h"
#include "engine/describe.h"
#include "engine/synth.h"
#include "engine/text_side.h"
#include "model/synthetic.h"
#include "record/at_hand.h"
#include "record/environment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ib_engine {
    const ib_log *log;       /* borrowed from the caller */
    ib_hub_result found;     /* owned */
    ib_synth *synth;         /* owned; the engine of known laws, then nothing else is open */
    ib_synthetic *synthetic; /* owned; NULL for a real model */
    ib_checkpoint *ckpt;     /* owned */
    ib_config config;        /* owned until the model takes it over */
    bool has_config;
    json_t *generation;    /* owned; NULL = the model has no generation_config.json */
    char *generation_path; /* owned */
    ib_tokenizer *tokenizer;
    ib_chat_templates templates;
    ib_device *device;
    ib_model *model;
    ib_session *session; /* all owned; freed in reverse order */
    size_t n_seqs;       /* of the session */
    ib_attention attention;
    ib_type dtype, kv_type;
    ib_load_mode load_mode;            /* in effect */
    uint64_t file_bytes, cached_bytes; /* before loading; 0 = unknown */
};

void ib_engine_close(ib_engine *e) {
    if (!e)
        return;
    ib_session_free(e->session);
    ib_model_free(e->model);
    if (e->device)
        ib_device_close(e->device);
    ib_chat_templates_clear(&e->templates);
    ib_tokenizer_free(e->tokenizer);
    if (e->has_config)
        ib_config_clear(&e->config);
    ib_checkpoint_close(e->ckpt);
    ib_synthetic_close(e->synthetic);
    ib_synth_close(e->synth);
    json_decref(e->generation);
    free(e->generation_path);
    ib_hub_result_clear(&e->found);
    free(e);
}

/* --- phases --- */

static ib_status open_synthetic(ib_engine *e, const ib_engine_config *c, ib_error *err) {
    e->found.path = ib_strdup(c->model_id);
    if (!e->found.path)
        return ib_fail_memory(err, strlen(c->model_id), "a name");
    return ib_synthetic_open(&e->synthetic, c->model_id, c->quant, c->seed, err);
}

static ib_status open_files(ib_engine *e, const ib_engine_config *c, ib_error *err) {
    static const ib_hub_env nothing = {0};
    ib_error missing = {0};
    if (ib_synth_asked(c->model_id))
        return ib_synth_open(&e->synth, c->model_id, c->seed, err);
    if (ib_synthetic_asked(c->model_id))
        return open_synthetic(e, c, err);
    if (c->quant && strcmp(c->quant, "none") != 0)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "--quant %s with a real model: quantizing while loading comes with a later "
                       "version; fix: write a quantized folder with 'inferbench quantize', or use "
                       "a synthetic model",
                       c->quant);
    IB_TRY(ib_hub_resolve(&e->found, c->model_id, c->revision, c->cache_dir,
                          c->hub_env ? c->hub_env : &nothing, c->log, err));
    if (c->weights)
        return ib_checkpoint_open(&e->ckpt, e->found.path, c->log, err);
    ib_status st = ib_checkpoint_open(&e->ckpt, e->found.path, c->log, &missing);
    if (st == IB_OK || (st == IB_E_INPUT && ib_path_is_dir(e->found.path)))
        return IB_OK;
    return ib_fail(err, st, "%s", missing.text);
}

static ib_status read_generation(ib_engine *e, ib_error *err) {
    e->generation_path = ib_path_join(e->found.path, "generation_config.json");
    if (!e->generation_path)
        return ib_fail_memory(err, strlen(e->found.path), "a path");
    if (!ib_path_exists(e->generation_path))
        return IB_OK;
    IB_TRY(ib_json_load(&e->generation, e->generation_path, 0, err));
    if (json_is_object(e->generation))
        return IB_OK;
    char quoted[IB_QUOTED];
    return ib_fail(err, IB_E_FORMAT,
                   "bad file in %s: expected a JSON object; fix: download it again",
                   ib_quotez(e->generation_path, quoted));
}

static ib_status read_folder_config(ib_engine *e, ib_error *err) {
    json_t *json = NULL;
    char *path = ib_path_join(e->found.path, "config.json");
    ib_status st = path ? IB_OK : ib_fail_memory(err, strlen(e->found.path), "a path");
    if (st == IB_OK)
        st = ib_json_load(&json, path, 0, err);
    if (st == IB_OK)
        st = ib_config_from_json(&e->config, json, e->ckpt, path, e->log, err);
    e->has_config = st == IB_OK;
    json_decref(json);
    free(path);
    return st;
}

static ib_status read_config(ib_engine *e, const ib_engine_config *c, ib_error *err) {
    ib_error problem = {0};
    ib_status st = IB_OK;
    if (e->synthetic) {
        st = ib_config_from_json(&e->config, ib_synthetic_config(e->synthetic), NULL, e->found.path,
                                 e->log, err);
        e->has_config = st == IB_OK;
        return st;
    }
    if (ib_path_is_dir(e->found.path))
        IB_TRY(read_generation(e, err));
    if (!e->ckpt)
        return IB_OK;
    if (ib_checkpoint_gguf(e->ckpt)) {
        st = ib_config_from_gguf(&e->config, e->ckpt, e->log, &problem);
        e->has_config = st == IB_OK;
    } else {
        st = read_folder_config(e, &problem);
    }
    if (st == IB_OK)
        return IB_OK;
    if (c->weights || (st != IB_E_UNSUPPORTED && st != IB_E_INPUT))
        return ib_fail(err, st, "%s", problem.text);
    ib_log_debug(e->log, "no configuration: %s", problem.text);
    return IB_OK;
}

/* The KV cache that the run is going to need; false when it is beyond 2^64 bytes. */
static bool kv_bytes(const ib_engine *e, const ib_engine_config *c, uint64_t *bytes) {
    const ib_config *m = &e->config;
    const ib_type type = c->dtype == IB_TYPE_F32 ? IB_TYPE_F32 : m->file_dtype;
    const uint64_t factors[] = {c->n_positions, m->n_layers, m->n_kv_heads, m->head_dim};
    bool fits = true;
    *bytes = 2 * (uint64_t)ib_type_block_bytes(type);
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++)
        fits = fits && ib_mul_u64(*bytes, factors[i], bytes);
    return fits;
}

/* A real model's weights are mapped and need no memory of ours; its KV cache is refused before they
 * are touched. Devices with memory of their own answer for themselves. */
static ib_status check_kv(const ib_engine *e, const ib_engine_config *c, ib_error *err) {
    const char *limit;
    uint64_t kv = 0;
    if (e->synthetic || (c->device && strncmp(c->device, "cpu", 3) != 0))
        return IB_OK;
    const bool fits = kv_bytes(e, c, &kv);
    const uint64_t have = ib_memory_at_hand(&limit);
    if (fits && kv <= have)
        return IB_OK;
    return ib_fail(err, IB_E_RESOURCE,
                   "out of memory for the KV cache: %.2f GB (%.0f bytes) are needed for %llu "
                   "positions, %.2f GB are at hand (%s); fix: a smaller batch, a shorter prompt "
                   "or fewer new tokens",
                   fits ? (double)kv / 1e9 : INFINITY, fits ? (double)kv : INFINITY,
                   (unsigned long long)c->n_positions, (double)have / 1e9, limit);
}

/* Refused before anything is made: what weights and KV cache need against what there is. */
static ib_status check_memory(const ib_engine *e, const ib_engine_config *c, uint64_t weights,
                              ib_error *err) {
    uint64_t kv = 0, need = UINT64_MAX;
    const char *limit;
    const bool fits = kv_bytes(e, c, &kv);
    const uint64_t have = ib_memory_at_hand(&limit);
    if (fits && ib_add_u64(weights, kv, &need) && need <= have)
        return IB_OK;
    return ib_fail(err, IB_E_RESOURCE,
                   "model '%s' (%s) does not fit: weights %.2f GB and KV cache %.2f GB are needed, "
                   "%.2f GB are at hand (%s); fix: choose a smaller shape or format, or fewer "
                   "positions",
                   ib_synthetic_label(e->synthetic), ib_synthetic_quant(e->synthetic),
                   (double)weights / 1e9, fits ? (double)kv / 1e9 : INFINITY, (double)have / 1e9,
                   limit);
}

static ib_status synthesize(ib_engine *e, const ib_engine_config *c, ib_error *err) {
    uint64_t bytes = 0;
    IB_TRY(ib_synthetic_bytes(e->synthetic, &e->config, &bytes, err));
    IB_TRY(check_memory(e, c, bytes, err));
    return ib_synthetic_make(&e->ckpt, e->synthetic, &e->config, c->n_threads, err);
}

/* More than there is room for would only push its own beginning out again. */
static ib_status load_files(ib_engine *e, const ib_engine_config *c, ib_error *err) {
    const char *limit;
    const uint64_t have = ib_memory_at_hand(&limit);
    uint64_t bytes = 0;
    e->load_mode = c->load_mode;
    for (size_t i = 0; i < ib_checkpoint_n_files(e->ckpt); i++)
        bytes += ib_checkpoint_file_bytes(e->ckpt, i);
    ib_checkpoint_cached(e->ckpt, &e->file_bytes, &e->cached_bytes);
    if (bytes > have && c->load_mode == IB_LOAD_READ)
        return ib_fail(err, IB_E_RESOURCE,
                       "--load-mode read: %.2f GB of weights, %.2f GB at hand (%s); fix: use "
                       "--load-mode mmap",
                       (double)bytes / 1e9, (double)have / 1e9, limit);
    if (bytes > have && c->load_mode == IB_LOAD_TOUCH) {
        ib_log_warn(c->log,
                    "%.2f GB of weights, %.2f GB at hand (%s): they are mapped, not touched",
                    (double)bytes / 1e9, (double)have / 1e9, limit);
        e->load_mode = IB_LOAD_MMAP;
    }
    return ib_checkpoint_load(e->ckpt, e->load_mode, c->n_threads, err);
}

static ib_status read_text_side(ib_engine *e, const ib_engine_config *c, ib_error *err) {
    const ib_gguf_meta *meta = e->ckpt ? ib_checkpoint_gguf(e->ckpt) : NULL;
    if (e->synthetic)
        return IB_OK; /* no text: prompts are ids */
    if (meta)
        return ib_text_side_gguf(&e->tokenizer, &e->templates, meta, c->log, err);
    return ib_text_side_folder(&e->tokenizer, &e->templates, e->found.path, c->log, err);
}

/* The model dtype, and what follows from it. */
static ib_status settle_dtype(ib_engine *e, const ib_engine_config *c, ib_error *err) {
    e->dtype = c->dtype >= 0 ? (ib_type)c->dtype : e->config.file_dtype;
    if (e->dtype != IB_TYPE_F32 && e->dtype != IB_TYPE_F16 && e->dtype != IB_TYPE_BF16)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "model dtype %s: not one to compute in; fix: --dtype float32",
                       ib_type_name(e->dtype));
    e->kv_type = e->dtype;
    if (c->dtype == IB_TYPE_F32) /* asked for: it goes through all products */
        e->config.bnb.compute_dtype = IB_TYPE_F32;
    return IB_OK;
}

static void read_timing(const ib_engine *e, ib_device_timing *out) {
    *out = (ib_device_timing){0};
    if (e->device && ib_backend_of(e->device)->timing)
        ib_backend_of(e->device)->timing(e->device, out);
}

uint64_t ib_engine_kernels_ns(const ib_engine *e) {
    ib_device_timing t;
    read_timing(e, &t);
    return t.compile_ns;
}

/* Where kernels built for a device are kept: $XDG_CACHE_HOME or ~/.cache, inferbench/kernels.
 * malloc'd; NULL without either, or when out of memory: they are then built each time. */
static char *kernel_cache(const ib_engine_config *c) {
    const ib_hub_env *env = c->hub_env;
    const char *xdg = env ? env->xdg_cache_home : NULL, *home = env ? env->home : NULL;
    if (xdg && *xdg == '/')
        return ib_path_join(xdg, "inferbench/kernels");
    return home && *home == '/' ? ib_path_join(home, ".cache/inferbench/kernels") : NULL;
}

static ib_status open_device(ib_engine *e, const ib_engine_config *c, ib_error *err) {
    char *kernels = kernel_cache(c);
    const ib_device_config config = {.n_threads = c->n_threads,
                                     .kernel_cache_dir = kernels,
                                     .cpu_tier = c->cpu_tier,
                                     .pin = c->pin,
                                     .compute =
                                         c->dtype == IB_TYPE_F32 ? IB_COMPUTE_FLOAT32 : c->compute,
                                     .log = c->log};
    ib_status st = IB_OK;
    if (c->dtype == IB_TYPE_F32 && c->compute == IB_COMPUTE_INT8)
        st = ib_fail(err, IB_E_USAGE,
                     "--compute int8 with --dtype float32, which means float32 throughout; fix: "
                     "leave one of them out");
    if (st == IB_OK)
        st = settle_dtype(e, c, err);
    if (st == IB_OK)
        st = check_kv(e, c, err);
    if (st == IB_OK)
        st = ib_device_open(&e->device, c->device ? c->device : "auto", &config, err);
    free(kernels);
    IB_TRY(st);
    if (c->on_device) {
        ib_device_info info = {0};
        ib_backend_of(e->device)->info(e->device, &info);
        c->on_device(c->on_device_user, info.kind);
    }
    return IB_OK;
}

static ib_status load_weights(ib_engine *e, const ib_engine_config *c, ib_error *err) {
    ib_status st = ib_model_load(&e->model, e->device, e->ckpt, &e->config, c->log, err);
    e->has_config = false; /* taken over, also on failure */
    return st;
}

typedef struct phase {
    const char *name;
    ib_status (*run)(ib_engine *e, const ib_engine_config *c, ib_error *err);
    bool weights_only, synthetic_only, files_only;
} phase;

static const phase phases[] = {
    {"open", open_files, false, false, false},
    {"config", read_config, false, false, false},
    {"synthesize", synthesize, true, true, false},
    {"tokenizer", read_text_side, false, false, false},
    {NULL, load_files, true, false, true},
    {"device", open_device, true, false, false},
    {"weights", load_weights, true, false, false},
};

static ib_status run_phases(ib_engine *e, const ib_engine_config *c, ib_cell *cell, ib_error *err) {
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        if (e->synth || (phases[i].weights_only && !c->weights) ||
            (phases[i].synthetic_only && !e->synthetic) || (phases[i].files_only && e->synthetic))
            continue;
        uint64_t start = ib_now_ns(), kernels = ib_engine_kernels_ns(e);
        IB_TRY(phases[i].run(e, c, err));
        uint64_t took = ib_now_ns() - start - (ib_engine_kernels_ns(e) - kernels);
        const char *name = phases[i].name ? phases[i].name : ib_load_mode_name(e->load_mode);
        if (cell && (phases[i].name || e->load_mode != IB_LOAD_MMAP))
            ib_cell_add_phase(cell, name, took);
        ib_log_debug(c->log, "%s: %llu us", name, (unsigned long long)(took / 1000));
    }
    if (cell && ib_engine_kernels_ns(e) > 0)
        ib_cell_add_phase(cell, "kernels", ib_engine_kernels_ns(e));
    return IB_OK;
}

static ib_status describe(const ib_engine *e, ib_cell *cell, ib_error *err) {
    ib_device_info info = {0};
    if (e->synth)
        return ib_synth_describe(e->synth, &cell->resolved, &cell->model, err);
    ib_backend_of(e->device)->info(e->device, &info);
    IB_TRY(ib_describe_resolved(&cell->resolved, &info, e->attention, e->dtype, e->kv_type, err));
    if (!e->synthetic) {
        free(cell->loaded.mode);
        cell->loaded.mode = ib_strdup(ib_load_mode_name(e->load_mode));
        cell->loaded.file_bytes = e->file_bytes;
        cell->loaded.cached_bytes = e->cached_bytes;
        if (!cell->loaded.mode)
            return ib_fail_memory(err, 8, "the record");
    }
    cell->model.synthetic = e->synthetic != NULL;
    IB_TRY(ib_describe_model(&cell->model, &e->found, e->ckpt, e->model, err));
    if (!e->synthetic) {
        json_decref(cell->model.files);
        return ib_hub_file_hashes(&cell->model.files, e->found.path, err);
    }
    char *name = ib_strdup(ib_synthetic_label(e->synthetic));
    if (!name)
        return ib_fail_memory(err, strlen(ib_synthetic_label(e->synthetic)), "the record");
    free(cell->model.name);
    cell->model.name = name;
    return IB_OK;
}

ib_status ib_engine_open(ib_engine **out, const ib_engine_config *config, ib_cell *cell,
                         ib_error *err) {
    ib_engine *e = calloc(1, sizeof *e);
    *out = NULL;
    if (!e)
        return ib_fail_memory(err, sizeof *e, "the engine");
    e->log = config->log;
    e->attention = config->attention;
    ib_status st = run_phases(e, config, cell, err);
    if (st == IB_OK && cell && config->weights)
        st = describe(e, cell, err);
    if (st != IB_OK) {
        ib_engine_close(e);
        return st;
    }
    *out = e;
    return IB_OK;
}

/* --- what was opened --- */

const ib_tokenizer *ib_engine_tokenizer(const ib_engine *e) {
    return e->tokenizer;
}

const ib_chat_templates *ib_engine_templates(const ib_engine *e) {
    return &e->templates;
}

ib_model *ib_engine_model(ib_engine *e) {
    return e->model;
}

const ib_config *ib_engine_config_of(const ib_engine *e) {
    if (e->synth)
        return ib_synth_config(e->synth);
    if (e->model)
        return ib_model_config(e->model);
    return e->has_config ? &e->config : NULL;
}

const ib_checkpoint *ib_engine_checkpoint(const ib_engine *e) {
    return e->ckpt;
}

const json_t *ib_engine_generation_json(const ib_engine *e, const char **where) {
    if (where)
        *where = e->generation_path;
    return e->generation;
}

bool ib_engine_is_synthetic(const ib_engine *e) {
    return e->synthetic || e->synth;
}

bool ib_engine_is_virtual(const ib_engine *e) {
    return e->synth && ib_synth_law(e->synth)->is_virtual;
}

ib_attention ib_engine_attention(const ib_engine *e) {
    return e->attention;
}

ib_type ib_engine_kv_type(const ib_engine *e) {
    return e->kv_type;
}

const ib_log *ib_engine_log(const ib_engine *e) {
    return e->log;
}

/* --- running --- */

enum { DEPTH_PIECE = 512 }; /* positions run at a time before the timed part */

/* The context in pieces; what their logits say is not looked at. */
static ib_status run_depth(ib_engine *e, ib_engine_depth *depth, size_t piece, size_t n_seqs,
                           ib_error *err) {
    const ib_backend *b = ib_backend_of(e->device);
    const uint64_t start = ib_now_ns();
    uint32_t *ids = calloc(piece, n_seqs * sizeof *ids);
    ib_status st = ids ? IB_OK : ib_fail_memory(err, piece * n_seqs * sizeof *ids, "the context");
    for (size_t done = 0; st == IB_OK && done < depth->n && !(depth->stop && *depth->stop);) {
        const size_t n = depth->n - done < piece ? depth->n - done : piece;
        for (size_t i = 0; i < n_seqs; i++)
            memcpy(ids + i * n, depth->ids + done, n * sizeof *ids);
        st = ib_session_prefill(e->session, ids, n, err);
        done += n;
    }
    free(ids);
    IB_TRY(st);
    IB_TRY(b->sync(e->device, err));
    ib_session_keep(e->session);
    depth->took_ns = ib_now_ns() - start;
    return IB_OK;
}

ib_status ib_engine_prepare_at(ib_engine *e, ib_engine_depth *depth, size_t n_prompt,
                               size_t max_new_tokens, size_t n_seqs, ib_error *err) {
    const size_t piece = depth->n < DEPTH_PIECE ? depth->n : DEPTH_PIECE;
    ib_session_options options = {.n_seqs = n_seqs,
                                  .n_prompt_max = n_prompt > piece ? n_prompt : piece,
                                  .attention = e->attention,
                                  .kv_type = e->kv_type};
    if (e->synth)
        return ib_synth_prepare(e->synth, depth->n, max_new_tokens, n_seqs, err);
    if (!e->model)
        return ib_fail(err, IB_E_INTERNAL, "the engine was opened without weights");
    if (!ib_add_size(n_prompt, max_new_tokens, &options.n_ctx) ||
        !ib_add_size(options.n_ctx, depth->n, &options.n_ctx))
        return ib_fail(err, IB_E_RESOURCE, "too many tokens asked for: %zu; fix: ask for fewer",
                       max_new_tokens);
    ib_session_free(e->session);
    e->session = NULL;
    e->n_seqs = n_seqs;
    IB_TRY(ib_session_new(&e->session, e->model, &options, err));
    return depth->n ? run_depth(e, depth, options.n_prompt_max, n_seqs, err) : IB_OK;
}

ib_status ib_engine_prepare(ib_engine *e, size_t n_prompt, size_t max_new_tokens, size_t n_seqs,
                            ib_error *err) {
    ib_engine_depth none = {0};
    return ib_engine_prepare_at(e, &none, n_prompt, max_new_tokens, n_seqs, err);
}

ib_status ib_engine_run(ib_engine *e, const ib_generation *g, const uint32_t *prompt,
                        size_t n_prompt, uint32_t *out_ids, ib_on_token on_token, void *user,
                        ib_generate_result *out, ib_error *err) {
    if (e->synth)
        return ib_synth_run(e->synth, g, n_prompt, out_ids, on_token, user, out, err);
    if (!e->session)
        return ib_fail(err, IB_E_INTERNAL, "the engine was not prepared");
    return ib_generate(e->session, g, prompt, n_prompt, out_ids, on_token, user, out, err);
}

size_t ib_engine_n_logits(const ib_engine *e) {
    const ib_config *c = ib_engine_config_of(e);
    return e->session && c ? e->n_seqs * (size_t)c->n_vocab : 0;
}

ib_status ib_engine_logits(ib_engine *e, float *out, ib_error *err) {
    if (!e->session)
        return ib_fail(err, IB_E_INTERNAL, "the engine was not prepared");
    return ib_session_logits(e->session, out, err);
}

void ib_engine_device_clock(const ib_engine *e, ib_device_clock *out) {
    ib_device_timing t;
    read_timing(e, &t);
    *out = (ib_device_clock){.n_steps = t.n_steps,
                             .step_ns = t.device_ns,
                             .queue_ns = t.queue_ns,
                             .n_kernels_built = t.n_built,
                             .n_kernels_kept = t.n_kept};
}

ib_status ib_engine_profile(ib_engine *e, const uint32_t *prompt, size_t n_prompt, size_t n_steps,
                            ib_session_profile *out, ib_error *err) {
    if (e->synth)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "--profile ops with an engine that has no operations; fix: leave it out");
    if (!e->session)
        return ib_fail(err, IB_E_INTERNAL, "the engine was not prepared");
    return ib_session_profile_run(e->session, prompt, n_prompt, n_steps, out, err);
}

void ib_engine_memory(const ib_engine *e, ib_memory_record *out) {
    ib_ledger ledger = {0};
    if (e->device)
        ib_backend_of(e->device)->ledger(e->device, &ledger);
    *out = (ib_memory_record){.weights = ledger.peak[IB_MEM_WEIGHTS],
                              .weights_mapped = ledger.mapped_bytes,
                              .kv = ledger.peak[IB_MEM_KV],
                              .scratch = ledger.peak[IB_MEM_SCRATCH],
                              .io = ledger.peak[IB_MEM_IO],
                              .peak_total = ledger.peak_total,
                              .vm_hwm = ib_process_vm_hwm()};
}

const uint64_t *ib_engine_own_stamps(const ib_engine *e, size_t *n) {
    *n = 0;
    return e->synth ? ib_synth_stamps(e->synth, n) : NULL;
}
