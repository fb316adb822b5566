/* SPDX-License-Identifier: MIT
 * The waist of the program: what was asked, what ran, where, and the raw time stamps. Nothing in a
 * record is averaged; every figure of every report is computed from it (summary.h). Written as JSON
 * by ib_record_to_json and read back by ib_record_from_json without loss; docs/record.schema.json
 * describes the JSON. */
#ifndef IB_RECORD_RECORD_H
#define IB_RECORD_RECORD_H

#include "base/json.h"

#define IB_SCHEMA_VERSION "1.0"

enum {
    IB_RECORD_MAX_PHASES = 12,
    IB_RECORD_MAX_FORMATS = 16,
    IB_RECORD_MAX_OPS = 80,
    IB_RECORD_MAX_TOP = 8
};

typedef struct ib_logit {
    uint32_t id;
    float value;
} ib_logit;

typedef struct ib_run_record { /* one repetition */
    uint64_t *stamps_ns;       /* owned [n_tokens + 1]: the request, then one per token */
    uint32_t *output_ids;      /* owned [n_tokens, n_seqs], the stopping id included */
    uint64_t n_tokens, n_seqs;
    uint64_t prefill_done_ns;                       /* stamp; 0 = unknown */
    uint64_t render_ns, tokenize_ns, detokenize_ns; /* durations outside the timed window */
    char ids_sha256[65];                            /* of output_ids as little-endian uint32 */
    /* over the tokens behind the first: inside the calls that run a decode step, and from there to
     * the token's stamp (waiting for a device that queues, picking the id); 0 = unknown */
    uint64_t decode_call_ns, pick_call_ns;
    bool warmup, finite, stopped_by_eos;
    bool cancelled; /* stopped by a signal before its end */
    uint64_t ring_overflows, major_faults, minor_faults, involuntary_switches, voluntary_switches;
    uint64_t window_ns; /* between the two readings of the counters; the timed window lies in it */
    uint64_t steal_ns, throttled_periods, pressure_cpu_ns, suspended_ns; /* within window_ns */
    uint64_t process;              /* index into the cell's processes */
    uint64_t stops;                /* times that the process was stopped and continued */
    uint64_t swap_ins;             /* pages, of the whole machine */
    uint64_t thermal_events;       /* thermal throttling of the allowed CPUs */
    uint64_t energy_uj, energy_ns; /* between two readings around it; 0 = not available */
    uint64_t cpu_ns;               /* processor time of the process */
    uint64_t foreign_cpu_ns;       /* of everybody else on the allowed CPUs; 0 = none or unknown */
    bool cpus_changed;             /* the set of allowed CPUs */
    double spin_before_ns, spin_after_ns;  /* a fixed chain of instructions; 0 = unknown */
    uint64_t mapped_bytes, resident_bytes; /* weights in the page cache before it; 0 = unknown */
    char logits_sha256[65];          /* of the last row(s) as little-endian fp32; "" = unknown */
    ib_logit top[IB_RECORD_MAX_TOP]; /* largest of that row, first sequence */
    size_t n_top;
} ib_run_record;

typedef struct ib_process_record {     /* a process that made runs of a cell */
    char *started_utc;                 /* owned */
    uint64_t env_padding, heap_offset; /* bytes, against one accidental layout */
    json_t *before, *after; /* owned objects: facts of state.h around the runs; NULL = unknown */
} ib_process_record;

typedef struct ib_phase_record {
    char name[24];
    uint64_t ns;
} ib_phase_record; /* "open", "config", ... */
typedef struct ib_format_record {
    char type[16];
    uint64_t bytes;
} ib_format_record;

typedef struct ib_asked { /* as given on the command line, after defaults; owned strings or NULL */
    char *model_id, *revision, *device, *attn, *dtype, *compute, *cpu_tier, *quant, *load_mode,
        *pin;
    uint64_t max_new_tokens, n_prompt, n_depth, n_batch, n_repetitions, n_warmup, n_processes, seed;
    int64_t n_threads; /* 0 = automatic */
    bool ignore_eos, chat_template;
    double peak_gbps; /* memory bandwidth from a data sheet; 0 = not given */
} ib_asked;

typedef struct ib_resolved { /* what ran */
    char *device, *device_name, *driver, *attn, *compute, *tier, *features;
    char *dtype; /* the model dtype by the reference's rule */
    char *pin;   /* "cpus 0 1 (hwloc, interface 2.8)"; NULL = not bound */
    char *activation_dtype, *kv_dtype;
    int64_t n_threads;
} ib_resolved;

typedef struct ib_model_record {
    char *path, *repo_id, *revision, *family, *name;
    char
        *fingerprint; /* SHA-256 over names, types, shapes and edges of all tensors; NULL unknown */
    json_t *files;    /* owned object: name -> {bytes, hash}; NULL = none */
    bool synthetic;
    uint64_t n_params, file_bytes, weight_bytes, n_layers, d_model, n_vocab, n_ctx_max;
    ib_format_record formats[IB_RECORD_MAX_FORMATS];
    size_t n_formats;
    /* read by one decode step (all sequences of it) at the prompt's end + half of the new tokens */
    uint64_t step_weights, step_scales, step_head, step_kv, step_total;
    double prefill_flops; /* of the prompt, all sequences; 0 = unknown */
    double step_flops;    /* of one decode step, all sequences, at that context; 0 = unknown */
} ib_model_record;

typedef struct ib_load_record { /* how the weights came into memory */
    char *mode;                 /* owned: "touch", "mmap", "read"; NULL = synthetic, or unknown */
    uint64_t file_bytes, cached_bytes; /* of the files; in the page cache before; 0, 0 = unknown */
    uint64_t huge_bytes; /* of the process's own memory in huge pages, behind the runs */
} ib_load_record;

typedef struct ib_probe_record { /* the machine's limits (backend/probe.h); 0 = unknown */
    bool done;                   /* false: not asked for, or not to be had on this device */
    double ping_before_ns, ping_after_ns, read_gbps, read_gbps_median, flops, flops_median;
    double flops_float32;
    uint64_t read_bytes, n_passes;
    bool read_weights;
} ib_probe_record;

typedef struct ib_device_clock { /* by the device's own clock, warm-up runs included; 0 = unknown */
    uint64_t n_steps, step_ns, queue_ns; /* decode steps: sum of their spans, and of the waits of
                                            their first kernels in the queue */
    uint64_t n_kernels_built, n_kernels_kept; /* programs compiled here, or kept from before */
} ib_device_clock;

typedef struct ib_op_record { /* all calls of one operation in the profiled pass */
    char phase[8], op[32];    /* "decode" or "prefill"; the operation's name */
    uint64_t calls, ns, bytes;
    double flops; /* 0 = not counted */
} ib_op_record;

typedef struct ib_profile_record { /* --profile ops: a pass of its own; 0 = unknown */
    bool done;
    uint64_t n_past, n_steps; /* context of the first decode step; decode steps */
    /* the same work twice: as it is, then waiting for every operation */
    uint64_t plain_prefill_ns, plain_decode_ns, prefill_ns, decode_ns;
    double sync_ns;        /* of one wait without work */
    uint64_t n_dispatches; /* jobs and barriers of the device's threads in the plain decode steps */
    double dispatch_ns;    /* of a job without work */
    ib_op_record ops[IB_RECORD_MAX_OPS];
    size_t n_ops;
} ib_profile_record;

typedef struct ib_memory_record { /* bytes; peaks of the device's ledger, then of the process */
    uint64_t weights, weights_mapped, kv, scratch, io, peak_total;
    uint64_t vm_hwm, driver_peak; /* 0 = unknown */
} ib_memory_record;

typedef struct ib_energy_record {    /* counted by the hardware; docs/methods.md */
    char *source, *why_not;          /* owned; source NULL = not available, why_not says why */
    double idle_w;                   /* before the runs; 0 = unknown */
    uint64_t prefill_uj, prefill_ns; /* of an unmeasured run of one token behind the others */
} ib_energy_record;

typedef struct ib_cell { /* one point of the grid: one setting, all its repetitions */
    ib_asked asked;
    ib_resolved resolved;
    ib_model_record model;
    ib_memory_record memory;
    ib_probe_record probe;
    ib_energy_record energy;
    ib_device_clock device_clock;
    ib_load_record loaded;
    ib_profile_record profile;
    uint64_t depth_ns; /* the context before the prompt (asked.n_depth ids), run once; 0 = none */
    ib_phase_record load[IB_RECORD_MAX_PHASES];
    size_t n_load;
    json_t *generation;   /* owned object: eos ids and other settings in force; NULL = unknown */
    uint32_t *prompt_ids; /* owned [n_prompt_ids] */
    uint64_t n_prompt_ids;
    uint64_t n_special_in_text;          /* special tokens that stood in the messages' own text */
    char *prompt_text, *output_text;     /* owned; output_text is what the reference prints */
    size_t n_prompt_text, n_output_text; /* bytes, for texts that hold NUL; zero-terminated too */
    char template_sha256[65];            /* "" = no chat template */
    uint64_t clock_cost_ns;              /* of one reading of the clock; 0 = unknown */
    ib_run_record *runs;                 /* owned [n_runs], warm-up runs included and marked */
    size_t n_runs;
    json_t *stopping; /* owned object: why no more runs were made (--until-ci); NULL = as planned */
    ib_process_record *processes; /* owned [n_processes] */
    size_t n_processes;
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
/* Fills tool, compiler, command, start time and environment when they are not set yet. Hub tokens
 * and passwords in command are cut out. */
ib_status ib_record_begin(ib_record *r, const char *command, ib_error *err) IB_MUST_CHECK;
/* Room for one more; the new element is zeroed. */
ib_status ib_record_add_cell(ib_record *r, ib_cell **out, ib_error *err) IB_MUST_CHECK;
ib_status ib_cell_add_run(ib_cell *c, ib_run_record **out, ib_error *err) IB_MUST_CHECK;
ib_status ib_cell_add_process(ib_cell *c, ib_process_record **out, ib_error *err) IB_MUST_CHECK;
void ib_process_record_clear(ib_process_record *p);
/* Moves the processes and runs of `from` behind those of `to`; when `to` has none, all else too. Of
 * memory the larger peaks stay. from is empty afterwards. */
ib_status ib_cell_join(ib_cell *to, ib_cell *from, ib_error *err) IB_MUST_CHECK;
/* Copies what opening a model found: load phases, resolved, model. What *to held of it is freed. */
ib_status ib_cell_copy_opened(ib_cell *to, const ib_cell *from, ib_error *err) IB_MUST_CHECK;
/* Appends a load phase; beyond IB_RECORD_MAX_PHASES its time is added to the last one. */
void ib_cell_add_phase(ib_cell *c, const char *name, uint64_t ns);
/* Fingerprint of the last logits [n_seqs, n_vocab]: their hash, and the largest of the first row.
 */
void ib_run_record_logits(ib_run_record *r, const float *logits, size_t n_seqs, size_t n_vocab);
/* Sets ids_sha256 from output_ids. */
void ib_run_record_hash(ib_run_record *r);
/* SHA-256 of ids[n] as little-endian uint32, as 64 hex digits. */
void ib_ids_sha256(const uint32_t *ids, size_t n, char out[65]);
/* Appends text with each stretch that is not UTF-8 as U+FFFD: what the JSON holds. Reports use it
 * too, so that a record that was read back is rendered the same. */
ib_status ib_record_utf8(ib_str text, ib_buf *out, ib_error *err) IB_MUST_CHECK;

typedef struct ib_percentiles { /* asked for; NULL values = those of the summary */
    const double *values;       /* borrowed */
    size_t n;
} ib_percentiles;

/* The whole record with its computed summary per cell; read back ignores the summary. p may be
 * NULL. */
ib_status ib_record_to_json(const ib_record *r, json_t **out, ib_error *err) IB_MUST_CHECK;
ib_status ib_record_to_json_with(const ib_record *r, const ib_percentiles *p, json_t **out,
                                 ib_error *err) IB_MUST_CHECK;
/* One cell as a record of its own (a line of the jsonl format). */
ib_status ib_record_cell_to_json(const ib_record *r, size_t cell, const ib_percentiles *p,
                                 json_t **out, ib_error *err) IB_MUST_CHECK;
/* Parts of a record, for journals: a cell without its runs (and with the summary of none), one run;
 * and back. Reading appends the run to the cell, and fills an empty cell. */
ib_status ib_record_bare_cell_to_json(const ib_cell *c, json_t **out, ib_error *err) IB_MUST_CHECK;
ib_status ib_record_run_to_json(const ib_run_record *r, json_t **out, ib_error *err) IB_MUST_CHECK;
ib_status ib_record_cell_from_json(ib_cell *out, const json_t *json, const char *where,
                                   ib_error *err) IB_MUST_CHECK;
ib_status ib_record_run_from_json(ib_cell *to, const json_t *json, const char *where,
                                  ib_error *err) IB_MUST_CHECK;
ib_status ib_record_process_to_json(const ib_process_record *p, json_t **out,
                                    ib_error *err) IB_MUST_CHECK;
ib_status ib_record_process_from_json(ib_cell *to, const json_t *json, const char *where,
                                      ib_error *err) IB_MUST_CHECK;
/* IB_E_FORMAT for anything that cannot have been measured (times that run backwards, ids that do
 * not match their hash), IB_E_UNSUPPORTED for another major schema version. Parts of json are
 * shared with the record: json must not be changed afterwards. */
ib_status ib_record_from_json(ib_record *out, const json_t *json, const char *where,
                              ib_error *err) IB_MUST_CHECK;

#endif
