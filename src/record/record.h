/* SPDX-License-Identifier: MIT
 * The waist of the program: what was asked, what ran, where, and the raw time stamps. Nothing in a
 * record is averaged; every figure of every report is computed from it (summary.h). Written as JSON
 * by ib_record_to_json and read back by ib_record_from_json without loss. */
#ifndef IB_RECORD_RECORD_H
#define IB_RECORD_RECORD_H

#include "base/json.h"

#define IB_SCHEMA_VERSION "1.0"

enum { IB_RECORD_MAX_PHASES = 12, IB_RECORD_MAX_FORMATS = 16 };

typedef struct ib_run_record { /* one repetition */
    uint64_t *stamps_ns;       /* owned [n_tokens + 1]: the request, then one per token */
    uint32_t *output_ids;      /* owned [n_tokens * n_seqs], the stopping id included */
    uint64_t n_tokens, n_seqs;
    uint64_t prefill_done_ns;                       /* stamp; 0 = unknown */
    uint64_t render_ns, tokenize_ns, detokenize_ns; /* durations outside the timed window */
    char ids_sha256[65];                            /* of output_ids as little-endian uint32 */
    bool warmup, finite, stopped_by_eos;
    uint64_t ring_overflows, major_faults, minor_faults, involuntary_switches, voluntary_switches;
} ib_run_record;

typedef struct ib_phase_record {
    char name[24];
    uint64_t ns;
} ib_phase_record; /* "open", "config", ... */
typedef struct ib_format_record {
    char type[16];
    uint64_t bytes;
} ib_format_record;

typedef struct ib_asked { /* as given on the command line, after defaults; owned strings or NULL */
    char *model_id, *revision, *device, *attn, *dtype, *compute, *cpu_tier, *quant;
    uint64_t max_new_tokens, n_prompt, n_depth, n_batch, n_repetitions, n_warmup, seed;
    int64_t n_threads; /* 0 = automatic */
    bool ignore_eos, chat_template;
} ib_asked;

typedef struct ib_resolved { /* what ran */
    char *device, *device_name, *driver, *attn, *compute, *tier, *features;
    char *dtype; /* the model dtype by the reference's rule */
    char *activation_dtype, *kv_dtype;
    int64_t n_threads;
} ib_resolved;

typedef struct ib_model_record {
    char *path, *repo_id, *revision, *family, *name;
    bool synthetic;
    uint64_t n_params, file_bytes, weight_bytes, n_layers, d_model, n_vocab, n_ctx_max;
    ib_format_record formats[IB_RECORD_MAX_FORMATS];
    size_t n_formats;
    /* read by one decode step at the prompt's end + half of the new tokens */
    uint64_t step_weights, step_scales, step_head, step_kv, step_total;
} ib_model_record;

typedef struct ib_memory_record { /* bytes; peaks of the device's ledger, then of the process */
    uint64_t weights, weights_mapped, kv, scratch, io, peak_total, vm_hwm, driver_peak;
} ib_memory_record;

typedef struct ib_cell { /* one point of the grid: one setting, all its repetitions */
    ib_asked asked;
    ib_resolved resolved;
    ib_model_record model;
    ib_memory_record memory;
    ib_phase_record load[IB_RECORD_MAX_PHASES];
    size_t n_load;
    uint32_t *prompt_ids; /* owned [n_prompt_ids] */
    uint64_t n_prompt_ids, n_special_in_text;
    char *prompt_text, *output_text; /* owned; output_text is what the reference prints */
    char template_sha256[65];        /* "" = no chat template */
    ib_run_record *runs;             /* owned [n_runs], warm-up runs included and marked */
    size_t n_runs;
} ib_cell;

typedef struct ib_record {
    char *tool_version, *tool_commit, *compiler, *command; /* owned */
    char *started_utc;                                     /* RFC 3339 */
    json_t *environment; /* owned object: facts of environment.h, null = unknown */
    ib_cell *cells;      /* owned [n_cells] */
    size_t n_cells;
} ib_record;

void ib_run_record_clear(ib_run_record *r);
void ib_cell_clear(ib_cell *c);
void ib_record_clear(ib_record *r);
/* Fills tool, compiler, command, start time and environment when they are not set yet. */
ib_status ib_record_begin(ib_record *r, const char *command, ib_error *err) IB_MUST_CHECK;
/* Room for one more; the new element is zeroed. */
ib_status ib_record_add_cell(ib_record *r, ib_cell **out, ib_error *err) IB_MUST_CHECK;
ib_status ib_cell_add_run(ib_cell *c, ib_run_record **out, ib_error *err) IB_MUST_CHECK;
/* Sets ids_sha256 from output_ids. */
void ib_run_record_hash(ib_run_record *r);

/* The whole record with its computed summary per cell; read back ignores the summary. */
ib_status ib_record_to_json(const ib_record *r, json_t **out, ib_error *err) IB_MUST_CHECK;
ib_status ib_record_from_json(ib_record *out, const json_t *json, const char *where,
                              ib_error *err) IB_MUST_CHECK;

#endif
