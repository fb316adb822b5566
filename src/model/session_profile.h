/* SPDX-License-Identifier: MIT
 * One prompt and some decode steps of a session, operation by operation. */
#ifndef IB_MODEL_SESSION_PROFILE_H
#define IB_MODEL_SESSION_PROFILE_H

#include "backend/profile.h"
#include "model/session.h"

typedef struct ib_session_profile {
    uint64_t n_past, n_steps; /* context of the first decode step; decode steps that were run */
    /* the same work twice: as it is, then waiting for each operation */
    uint64_t plain_prefill_ns, plain_decode_ns, prefill_ns, decode_ns;
    double sync_ns;        /* of one wait for a device that has nothing to do */
    uint64_t n_dispatches; /* by which the plain decode steps set the device's threads to work */
    double dispatch_ns;    /* of one that has nothing to do; 0 = the device does not tell */
    ib_profile_row prefill[IB_PROFILE_MAX_ROWS], decode[IB_PROFILE_MAX_ROWS];
    size_t n_prefill, n_decode; /* rows */
} ib_session_profile;

/* prompt [n_seqs, n]; the session must have room for n + n_steps + 1 positions behind what it
 * keeps. Resets it before and after. Allocates. */
ib_status ib_session_profile_run(ib_session *s, const uint32_t *prompt, size_t n, size_t n_steps,
                                 ib_session_profile *out, ib_error *err) IB_MUST_CHECK;

#endif
