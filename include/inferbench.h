/* SPDX-License-Identifier: MIT
 * inferbench: LLM inference, measured so that it can be believed. The public header of the library.
 *
 * Three steps: open a model, run measured generations on it, read the record. A record holds every
 * raw time stamp (integer nanoseconds of CLOCK_MONOTONIC), the token ids and their hash, what was
 * asked and what really ran; every figure of every report is computed from it.
 *
 *     inferbench_options o;
 *     inferbench_error err;
 *     inferbench *b;
 *     inferbench_options_init(&o);
 *     o.model_id = "model.gguf";
 *     if (inferbench_open(&b, &o, &err) == 0 && inferbench_run(b, NULL, NULL, &err) == 0)
 *         inferbench_report(b, "text", &text, &err);
 *     inferbench_close(b);
 *
 * The library never prints, exits, aborts, installs signal handlers or keeps global state.
 * Functions that can fail return 0 or the status that the program would exit with (4 malformed
 * input, 5 valid but unsupported, 6 out of a resource, ...) and set the caller's error. An
 * inferbench belongs to one thread at a time; several may exist. */
#ifndef INFERBENCH_H
#define INFERBENCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define INFERBENCH_API __attribute__((visibility("default")))
#else
#define INFERBENCH_API
#endif

/* "WHAT in WHERE: VALUE; fix: HOW", zero-terminated. */
typedef struct inferbench_error {
    int status;
    char text[640];
} inferbench_error;

/* Everything is borrowed for the life of the inferbench that is opened with it. */
typedef struct inferbench_options {
    const char *model_id;  /* folder, .gguf file, or hub id in the local Hugging Face cache */
    const char *revision;  /* of a hub id; NULL = main */
    const char *cache_dir; /* hub cache; NULL = HF_HUB_CACHE, HF_HOME, ~/.cache/huggingface/hub */
    const char *device;    /* "auto", "cpu", "xpu[:N]", "cuda[:N]" */
    const char *attn;      /* "eager", "sdpa", "flash_attention" */
    const char *dtype;     /* "auto", "float32", "bfloat16", "float16" */
    const char *compute;   /* "auto", "float32", "int8" */
    const char *cpu_tier;  /* NULL = best; "scalar", "avx2", "avx512" */
    int n_threads;         /* 0 = physical cores allowed to the process */

    const char *system_prompt, *prompt; /* texts; NULL prompt needs token_ids */
    const uint32_t *token_ids;          /* ready-made prompt; wins over the texts */
    size_t n_token_ids;
    int chat_template; /* 1: wrap the texts in the model's chat template */

    uint64_t max_new_tokens, repetitions, warmup;
    int64_t eos_token_id;        /* -1 = none (ignore EOS) */
    int64_t forced_eos_token_id; /* -1 = none */
} inferbench_options;

typedef struct inferbench inferbench;

INFERBENCH_API const char *inferbench_version(void);
/* The defaults of the command line: device auto, eager, 256 tokens, eos 1, forced eos 1. */
INFERBENCH_API void inferbench_options_init(inferbench_options *o);

/* Loads the model onto the device. On failure *out is NULL. */
INFERBENCH_API int inferbench_open(inferbench **out, const inferbench_options *o,
                                   inferbench_error *err);
INFERBENCH_API void inferbench_close(inferbench *b); /* NULL is fine */

/* Text -> token ids: ids_out[0 .. *n) malloc'd, freed with inferbench_free. */
INFERBENCH_API int inferbench_tokenize(inferbench *b, const char *text, size_t text_len,
                                       int add_special_tokens, uint32_t **ids_out, size_t *n,
                                       inferbench_error *err);
/* Token ids -> text: malloc'd, zero-terminated, freed with inferbench_free. */
INFERBENCH_API int inferbench_detokenize(inferbench *b, const uint32_t *ids, size_t n,
                                         int skip_special, char **text_out, inferbench_error *err);

/* Called on a thread of its own, never the timed one, for each token of the first measured run: its
 * index and the gap in ns since the token before (for index 0, since the request). NULL = silent.
 */
typedef void (*inferbench_on_token)(void *user, uint64_t index, uint64_t gap_ns);
/* Runs warm-up and repetitions as the options say and appends one cell to the record. */
INFERBENCH_API int inferbench_run(inferbench *b, inferbench_on_token on_token, void *user,
                                  inferbench_error *err);

/* The headline figures of the last cell, computed from its stamps. Times in ms, rates per second,
 * sizes in bytes; NaN where a figure does not exist. */
typedef struct inferbench_summary {
    uint64_t n_prompt_tokens, n_output_tokens;
    double ttft_ms, tpot_ms, itl_p50_ms, itl_p90_ms, itl_p99_ms;
    double decode_tok_s, prefill_tok_s, read_gbps, bytes_per_token;
    double peak_memory_bytes;
    char ids_sha256[65];
    char verdict[16]; /* "valid", "noisy", "invalid" */
} inferbench_summary;
INFERBENCH_API int inferbench_summarise(const inferbench *b, inferbench_summary *out,
                                        inferbench_error *err);

/* The record so far in one of the report formats ("text", "json", "jsonl", "csv", "markdown"). */
INFERBENCH_API int inferbench_report(const inferbench *b, const char *format, char **text_out,
                                     inferbench_error *err);
/* A record in JSON (as written with --output) rendered in any format. */
INFERBENCH_API int inferbench_render_record(const char *json, size_t json_len, const char *format,
                                            char **text_out, inferbench_error *err);
INFERBENCH_API void inferbench_free(void *p);

#ifdef __cplusplus
}
#endif
#endif
