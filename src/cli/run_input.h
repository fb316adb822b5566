/* SPDX-License-Identifier: MIT
 * From options to what one cell runs: the prompt's files, read once for all cells, and the plan. */
#ifndef IB_CLI_RUN_INPUT_H
#define IB_CLI_RUN_INPUT_H

#include "bench/bench.h"
#include "cli/cli.h"

typedef struct ib_run_input {
    ib_buf prompt_text; /* owned: --prompt-file */
    json_t *messages;   /* owned: --messages */
} ib_run_input;

/* Reads the files that the options name. Clear it in every case. */
ib_status ib_run_input_read(ib_run_input *out, const ib_options *o, ib_error *err) IB_MUST_CHECK;
void ib_run_input_clear(ib_run_input *in);
/* The plan of one cell, without sink and callbacks. Borrows from all three; free its generation
 * with ib_generation_clear. */
void ib_run_input_plan(const ib_run_input *in, const ib_cli *cli, const ib_options *cell,
                       ib_plan *out);
/* --max-time, or what --until-ci has without it; 0 = none. */
uint64_t ib_cli_max_time_ns(const ib_options *o);
/* SHA-256 over what decides the measurement: the program, its arguments but --resume, --force,
 * --quiet and --strict, and what the input files hold. */
ib_status ib_run_input_identity(const ib_run_input *in, const ib_cli *cli, char out[65],
                                ib_error *err) IB_MUST_CHECK;

#endif
