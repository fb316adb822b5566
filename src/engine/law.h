/* SPDX-License-Identifier: MIT
 * Known laws of latency: what the synthetic engine draws its token times from. A law is text, keys
 * with values between colons, in any order:
 *   itl=1ms          median time of a token (ns us ms s)      ttft=5ms       time of the prompt
 *   prefill=10us     per prompt token, in addition            sd=2%          log scatter of tokens
 *   ar=0.5           dependence of neighbours, AR(1)          slope=5%       per 1,000 positions
 *   mode=10%x3       a second level: share and factor         outlier=1%x10  lone slow tokens
 *   step=64x1.2      from token 64 on                         hop=40x1.05    every 40 tokens, to
 * and walk=1%          random walk of the level, per token                     fro warm=3x5 first 3
 * tokens                           ramp=4x2       decays with exp(-i/4) first=2          first run
 * of the process                 run=1%         log scatter of runs hit=10%          share of runs
 * slowed by 5 to 15 %        slow=3%        everything, last flip=2x7 stop=2x7 nan=2   run 2:
 * another id at token 7; an end there; logits not finite clock=virtual    the engine's own clock,
 * no waiting (real: it spins) noise=7          seed of all draws; 0 or absent: another one each
 * time or one of the names constant, lognormal, bimodal, trend, dependent, outliers, steps in
 * front. */
#ifndef IB_ENGINE_LAW_H
#define IB_ENGINE_LAW_H

#include "base/rng.h"
#include "base/str.h"

typedef struct ib_law_pair {
    double a, factor; /* a: a share or a count */
} ib_law_pair;

typedef struct ib_law {
    double itl_ns, ttft_ns, prefill_ns, sd, ar, slope, walk, first, run_sd, hit, slow;
    ib_law_pair mode, outlier, step, hop, warm, ramp, flip, stop;
    double nan_run; /* -1 = none; so flip.a and stop.a */
    bool is_virtual;
    uint64_t noise;
} ib_law;

/* IB_E_USAGE names the key. */
ib_status ib_law_parse(ib_law *out, ib_str text, ib_error *err) IB_MUST_CHECK;
/* The law as text again, every key that acts, so that it reads back as the same law. slow, clock
 * and noise only with `all`. */
ib_status ib_law_print(const ib_law *law, bool all, ib_buf *out, ib_error *err) IB_MUST_CHECK;

/* Draws of one run: from noise, the run's index and nothing else. */
typedef struct ib_law_run {
    const ib_law *law;
    ib_rng rng;
    double effect; /* on every time of the run */
    double z, level;
    uint64_t i; /* tokens drawn */
} ib_law_run;
void ib_law_begin(ib_law_run *r, const ib_law *law, uint64_t run_index);
uint64_t ib_law_ttft(ib_law_run *r, uint64_t n_prompt);
/* The next token's time, ns; position: what stands before it in the context. */
uint64_t ib_law_token(ib_law_run *r, uint64_t position);

#endif
