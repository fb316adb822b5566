/* SPDX-License-Identifier: MIT
 * How far a download is, on standard error: one line that is rewritten when that is a terminal,
 * else a log line every ten seconds; and one line when it is done. */
#ifndef IB_CLI_TRANSFER_H
#define IB_CLI_TRANSFER_H

#include "base/log.h"
#include "hub/hub.h"

typedef struct ib_transfer {
    ib_log inner;             /* where log lines go */
    bool on, terminal, shown; /* shown: a line stands that must be wiped */
    uint64_t start_ns, told_ns;
    uint64_t before; /* bytes that were there when the first news came */
    double rate;     /* bytes/s, over the last seconds */
    uint64_t rate_ns, rate_bytes;
} ib_transfer;

/* Wraps log, so that lines wipe the progress line first; on false: silence. Observe with
 * ib_transfer_news. */
void ib_transfer_start(ib_transfer *t, ib_log *log, bool on);
void ib_transfer_news(void *transfer, const ib_hub_progress *p);

/* "5.70 GB", "12 kB". */
const char *ib_transfer_bytes(uint64_t bytes, char out[32]);

#endif
