/* SPDX-License-Identifier: MIT
 * See profile.h. */
#include "bench/profile.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 16 }; /* enough for a share, short against the runs */

static void keep(ib_profile_record *out, const char *phase, const ib_profile_row *rows, size_t n) {
    for (size_t i = 0; i < n && out->n_ops < IB_RECORD_MAX_OPS; i++) {
        ib_op_record *r = &out->ops[out->n_ops++];
        (void)snprintf(r->phase, sizeof r->phase, "%s", phase);
        (void)snprintf(r->op, sizeof r->op, "%s", rows[i].name);
        r->calls = rows[i].calls;
        r->ns = rows[i].ns;
        r->bytes = rows[i].bytes;
        r->flops = rows[i].flops;
    }
}

ib_status ib_bench_profile(ib_engine *e, const uint32_t *prompt, size_t n_prompt,
                           uint64_t max_new_tokens, ib_profile_record *out, ib_error *err) {
    ib_session_profile *p = calloc(1, sizeof *p);
    const uint64_t room = max_new_tokens > 1 ? max_new_tokens - 1 : 0;
    *out = (ib_profile_record){0};
    if (!p)
        return ib_fail_memory(err, sizeof *p, "the profile");
    ib_status st =
        ib_engine_profile(e, prompt, n_prompt, (size_t)(room < STEPS ? room : STEPS), p, err);
    if (st == IB_OK) {
        out->done = true;
        out->n_past = p->n_past;
        out->n_steps = p->n_steps;
        out->plain_prefill_ns = p->plain_prefill_ns;
        out->plain_decode_ns = p->plain_decode_ns;
        out->prefill_ns = p->prefill_ns;
        out->decode_ns = p->decode_ns;
        out->sync_ns = p->sync_ns;
        out->n_dispatches = p->n_dispatches;
        out->dispatch_ns = p->dispatch_ns;
        keep(out, "decode", p->decode, p->n_decode);
        keep(out, "prefill", p->prefill, p->n_prefill);
    }
    free(p);
    return st;
}
