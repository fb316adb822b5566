/* SPDX-License-Identifier: MIT
 * The engine that draws its token times from a known law (law.h): what the program's own
 * measurements are tested with. It waits by spinning, or, on a virtual clock, not at all, and keeps
 * stamps of its own. model_id is "synth:LAW". Internal to the engine module but for the stamps. */
#ifndef IB_ENGINE_SYNTH_H
#define IB_ENGINE_SYNTH_H

#include "engine/engine.h"
#include "engine/law.h"

typedef struct ib_synth ib_synth;

bool ib_synth_asked(const char *model_id);
ib_status ib_synth_open(ib_synth **out, const char *model_id, uint64_t seed,
                        ib_error *err) IB_MUST_CHECK;
void ib_synth_close(ib_synth *s);
const ib_law *ib_synth_law(const ib_synth *s);
const ib_config *ib_synth_config(const ib_synth *s); /* n_vocab, for random ids */
/* What stands in the record: no weights, synthetic, the law with the seed that was drawn. */
ib_status ib_synth_describe(const ib_synth *s, ib_resolved *resolved, ib_model_record *model,
                            ib_error *err) IB_MUST_CHECK;
ib_status ib_synth_prepare(ib_synth *s, uint64_t n_depth, size_t max_new_tokens, size_t n_seqs,
                           ib_error *err) IB_MUST_CHECK;
ib_status ib_synth_run(ib_synth *s, const ib_generation *g, size_t n_prompt, uint32_t *out_ids,
                       ib_on_token on_token, void *user, ib_generate_result *out,
                       ib_error *err) IB_MUST_CHECK;

const uint64_t *ib_synth_stamps(const ib_synth *s, size_t *n);

/* The engine's own stamps of the last run: stamps[0] the request, stamps[i] the end of token i;
 * NULL for any other engine. */
const uint64_t *ib_engine_own_stamps(const ib_engine *e, size_t *n);

#endif
