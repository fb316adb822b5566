/* SPDX-License-Identifier: MIT
 * See probe.h. */
#include "bench/probe.h"

#include "backend/probe.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

/* NULL when the device has no probes. */
static ib_device *device_of(ib_engine *e) {
    ib_model *m = ib_engine_model(e);
    ib_device *d = m ? ib_model_device(m) : NULL;
    return d && ib_backend_of(d)->probe ? d : NULL;
}

ib_status ib_bench_probe_state(ib_engine *e, double *ping_ns, double *read_gbps, ib_error *err) {
    const ib_probe_ask ask = {.ping = true, .read = true};
    ib_device *d = device_of(e);
    ib_probe p;
    *ping_ns = *read_gbps = 0;
    if (!d)
        return IB_OK;
    IB_TRY(ib_backend_of(d)->probe(d, &ask, &p, err));
    *ping_ns = p.ping_ns;
    *read_gbps = p.read_gbps;
    return IB_OK;
}

/* Of the embedding table a step reads one row, and the rest may never have been in memory. */
static bool is_embedding(ib_str name) {
    return ib_str_starts(name, "model.embed_tokens") || ib_str_starts(name, "token_embd");
}

static ib_status weight_spans(const ib_checkpoint *c, ib_span **out, size_t *n, ib_error *err) {
    const size_t n_tensors = c ? ib_checkpoint_n_tensors(c) : 0;
    *n = 0;
    *out = calloc(n_tensors + 1, sizeof **out);
    if (!*out)
        return ib_fail_memory(err, n_tensors * sizeof **out, "the list of weights");
    for (size_t i = 0; i < n_tensors; i++) {
        const ib_stored_tensor *t = ib_checkpoint_tensor(c, i);
        if (!is_embedding(t->name))
            (*out)[(*n)++] = (ib_span){t->data, t->n_bytes};
    }
    return IB_OK;
}

ib_status ib_bench_probe_after(ib_engine *e, ib_probe_record *out, ib_error *err) {
    ib_device *d = device_of(e);
    ib_probe_ask ask = {.read = true, .flops = true};
    ib_span *spans = NULL;
    ib_probe p;
    if (!d)
        return IB_OK;
    IB_TRY(weight_spans(ib_engine_checkpoint(e), &spans, &ask.n_spans, err));
    ask.spans = spans;
    ib_status st = ib_backend_of(d)->probe(d, &ask, &p, err);
    free(spans);
    if (st != IB_OK)
        return st;
    out->done = true;
    out->read_gbps = p.read_gbps;
    out->read_gbps_median = p.read_gbps_median;
    out->read_bytes = p.read_bytes;
    out->n_passes = p.n_passes;
    out->read_weights = p.read_weights;
    out->flops = p.flops;
    out->flops_median = p.flops_median;
    out->flops_float32 = p.flops_float32;
    return IB_OK;
}
