/* SPDX-License-Identifier: MIT
 * Options -> cells -> records. plan.c lists the cells of a grid; runner.c runs one cell: prompt,
 * warm-up, repetitions, counters; streamer.c keeps time stamps away from printing.
 *
 * Timed window of a run: from the stamp taken when the prompt ids are on the host, before any work,
 * to the stamp of the last token. Inside: upload, prefill, picks, decode steps. Outside: template,
 * tokenizing, detokenizing, printing (another thread). */
#ifndef IB_BENCH_BENCH_H
#define IB_BENCH_BENCH_H

#include "engine/engine.h"

/* Single producer, single consumer ring of {stamp, id}; the producer never blocks. */
typedef struct ib_streamer ib_streamer;
/* Called on the streamer's own thread with pieces of decoded text and the gap since the last token.
 */
typedef struct ib_stream_sink {
    void (*token)(void *user, uint64_t index,
                  uint64_t gap_ns); /* index 0 is the first token (gap = TTFT) */
    void *user;
} ib_stream_sink;
ib_status ib_streamer_new(ib_streamer **out, size_t capacity, const ib_stream_sink *sink,
                          ib_error *err) IB_MUST_CHECK;
void ib_streamer_start(ib_streamer *s, uint64_t request_ns);
bool ib_streamer_push(ib_streamer *s, uint64_t now_ns,
                      uint32_t id);          /* timed thread; false = overflow */
uint64_t ib_streamer_finish(ib_streamer *s); /* waits until all is delivered; returns overflows */
/* What the reading thread itself cost, behind finish: not the measured work's. */
typedef struct ib_streamer_cost {
    uint64_t major_faults, involuntary_switches, voluntary_switches;
} ib_streamer_cost;
ib_streamer_cost ib_streamer_cost_of(const ib_streamer *s);
void ib_streamer_free(ib_streamer *s);

typedef struct ib_prompt_spec { /* exactly one source acts, in this order */
    const uint32_t *token_ids;  /* borrowed, or NULL */
    size_t n_token_ids;
    uint64_t n_random;                  /* -p: seeded random ids; 0 = off */
    const json_t *messages;             /* borrowed array, or NULL: system_prompt + prompt */
    const char *system_prompt, *prompt; /* NULL system_prompt = none */
    bool chat_template, no_parse_special;
    uint64_t seed;
} ib_prompt_spec;

typedef struct ib_plan {
    ib_engine_config engine;
    ib_prompt_spec prompt;
    ib_generation generation; /* borrowed arrays */
    uint64_t n_repetitions, n_warmup, n_batch;
    double half_width;    /* of --until-ci (until.h); 0 = n_repetitions runs */
    uint64_t max_time_ns; /* 0 = none */
    uint64_t
        n_depth;   /* context of random ids (prompt.seed) before the prompt, outside the window */
    bool profile;  /* --profile ops: a pass that times each operation, behind the runs */
    bool roofline; /* measure the machine's limits around the runs (bench/probe.h) */
    const ib_stream_sink *sink; /* NULL = silent; called for the first measured run only */
    /* NULL = nobody asks; called between the runs, outside every timed window, with each run that
     * was finished. A status other than IB_OK ends the cell. */
    ib_status (*finished_run)(void *user, const ib_cell *cell, const ib_run_record *run,
                              ib_error *err);
    void *finished_user;
    volatile const int
        *stop_signal; /* 0 = go on; else a signal number: finish the token, then stop */
    volatile const int *continued;     /* counts SIGCONT; NULL = nobody does */
    const char *nvml;                  /* library for a GPU; NULL = libnvidia-ml.so.1 (tests) */
    const char *sys_root;              /* in front of /proc and /sys; NULL = "" (tests) */
    uint64_t env_padding, heap_offset; /* of this process, for the record */
} ib_plan;

/* Opens the engine, runs one cell into *cell (already added to the record), closes the engine. Runs
 * that the cell holds already stay in front of the new ones. On
 * IB_E_INTERRUPTED/TERMINATED what was measured so far is in the cell. */
ib_status ib_bench_run_cell(ib_cell *cell, const ib_plan *plan, ib_error *err) IB_MUST_CHECK;
/* The same on an engine that is open already (the library, several cells of one model): `opened` is
 * the cell that ib_engine_open filled (load phases, resolved, model), copied into *cell. */
ib_status ib_bench_run_on(ib_engine *e, const ib_cell *opened, ib_cell *cell, const ib_plan *plan,
                          ib_error *err) IB_MUST_CHECK;
/* The prompt of a plan as ids and text (also for --dry-run and `logits`). text may be NULL. */
ib_status ib_bench_prompt(const ib_engine *e, const ib_prompt_spec *spec, ib_ids *ids, ib_buf *text,
                          ib_cell *cell, ib_run_record *times, ib_error *err) IB_MUST_CHECK;

#endif
