/* SPDX-License-Identifier: MIT
 * Decode steps as a graph. The first step of a shape runs op by op (so that every kernel is loaded
 * and allowed its shared memory), the second is captured, later ones are replayed: one launch a
 * token. The position lies on the device; the graph's last node moves it on. Captures are made only
 * while one KV cache is alive: with two, a step's shape would not say whose it is. */
#include "backend/cuda/cuda.h"

void ib_cuda_step_forget(ib_device *d) {
    if (d->step.capturing) {
        cudaGraph_t graph = NULL;
        (void)cudaStreamEndCapture(d->stream, &graph);
        if (graph)
            (void)cudaGraphDestroy(graph);
        d->past_value = -1;
    }
    if (d->step.exec)
        (void)cudaGraphExecDestroy(d->step.exec);
    d->step.capturing = d->step.warm = false;
    d->step.exec = NULL;
}

static ib_status set_past(ib_device *d, size_t n_past, ib_error *err) {
    if (d->past_value == (int)n_past)
        return IB_OK;
    /* the staging word may still be on its way from an earlier call */
    IB_TRY(ib_cuda_check((int)cudaStreamSynchronize(d->stream), "waiting", err));
    *d->past_staging = (int)n_past;
    IB_TRY(ib_cuda_check((int)cudaMemcpyAsync(d->past, d->past_staging, sizeof(int),
                                              cudaMemcpyHostToDevice, d->stream),
                         "setting the position", err));
    d->past_value = (int)n_past;
    return IB_OK;
}

ib_status ib_cuda_step_begin(ib_device *d, const ib_step *step, bool *done, ib_error *err) {
    *done = false;
    if (d->step.capturing)
        ib_cuda_step_forget(d); /* the step before was given up */
    IB_TRY(set_past(d, step->n_past, err));
    if (!step->decode || step->n_tokens != 1 || d->n_kv != 1)
        return IB_OK;
    if (d->step.n_seqs != step->n_seqs)
        ib_cuda_step_forget(d);
    d->step.n_seqs = step->n_seqs;
    if (d->step.exec) {
        IB_TRY(
            ib_cuda_check((int)cudaGraphLaunch(d->step.exec, d->stream), "replaying a step", err));
        d->past_value++;
        *done = true;
        return IB_OK;
    }
    if (!d->step.warm) {
        d->step.warm = true;
        return IB_OK;
    }
    IB_TRY(ib_cuda_check((int)cudaStreamBeginCapture(d->stream, cudaStreamCaptureModeThreadLocal),
                         "capturing a step", err));
    d->step.capturing = true;
    return IB_OK;
}

ib_status ib_cuda_step_end(ib_device *d, ib_error *err) {
    cudaGraph_t graph = NULL;
    if (!d->step.capturing)
        return IB_OK;
    int code = ib_cuda_launch_advance(d->stream, d->past, 1);
    d->step.capturing = false;
    int ended = (int)cudaStreamEndCapture(d->stream, &graph);
    if (!code)
        code = ended;
    if (!code)
        code = (int)cudaGraphInstantiate(&d->step.exec, graph, 0);
    if (graph)
        (void)cudaGraphDestroy(graph);
    if (!code)
        code = (int)cudaGraphLaunch(d->step.exec, d->stream);
    if (code) {
        ib_cuda_step_forget(d);
        d->past_value = -1;
        return ib_cuda_check(code, "capturing a step", err);
    }
    d->past_value++;
    return IB_OK;
}
