/* SPDX-License-Identifier: MIT
 * --profile ops: a pass behind the runs that waits for every operation, into the record. */
#ifndef IB_BENCH_PROFILE_H
#define IB_BENCH_PROFILE_H

#include "engine/engine.h"

/* prompt [n_seqs, n_prompt] of the prepared session, which has room for max_new_tokens more. */
ib_status ib_bench_profile(ib_engine *e, const uint32_t *prompt, size_t n_prompt,
                           uint64_t max_new_tokens, ib_profile_record *out,
                           ib_error *err) IB_MUST_CHECK;

#endif
