/* SPDX-License-Identifier: MIT
 * Time by the device's own clock: marks in queue order, and for each decode step the span from its
 * first kernel to its end and how long that first kernel waited in the queue. The two events of a
 * step are read when the next one begins, never while it is timed; they stand beside the host's
 * stamps and replace none. */
#include "backend/opencl/xpu.h"

ib_status ib_xpu_sync(ib_device *d, ib_error *err) {
    cl_int code = d->cl->clFinish(d->queue);
    return code == CL_SUCCESS ? IB_OK : ib_cl_fail(code, "waiting", err);
}

static void drop(ib_device *d, cl_event *event) {
    if (*event)
        (void)d->cl->clReleaseEvent(*event);
    *event = NULL;
}

ib_status ib_xpu_mark(ib_device *d, int slot, ib_error *err) {
    if (slot < 0 || slot >= IB_XPU_MARKS)
        return ib_fail(err, IB_E_INTERNAL, "device xpu: mark %d does not exist", slot);
    drop(d, &d->marks[slot]);
    cl_int code = d->cl->clEnqueueMarker(d->queue, &d->marks[slot]);
    return code == CL_SUCCESS ? IB_OK : ib_cl_fail(code, "marking", err);
}

static cl_int stamp(const ib_device *d, cl_event event, cl_profiling_info what, cl_ulong *out) {
    *out = 0;
    return d->cl->clGetEventProfilingInfo(event, what, sizeof *out, out, NULL);
}

ib_status ib_xpu_elapsed(ib_device *d, int from, int to, uint64_t *ns, ib_error *err) {
    cl_ulong start = 0, end = 0;
    if (from < 0 || to < 0 || from >= IB_XPU_MARKS || to >= IB_XPU_MARKS || !d->marks[from] ||
        !d->marks[to])
        return ib_fail(err, IB_E_INTERNAL, "device xpu: mark %d or %d was not set", from, to);
    cl_int code = d->cl->clWaitForEvents(1, &d->marks[to]);
    if (code == CL_SUCCESS)
        code = stamp(d, d->marks[from], CL_PROFILING_COMMAND_END, &start);
    if (code == CL_SUCCESS)
        code = stamp(d, d->marks[to], CL_PROFILING_COMMAND_END, &end);
    if (code != CL_SUCCESS)
        return ib_cl_fail(code, "reading marks", err);
    *ns = end > start ? end - start : 0;
    return IB_OK;
}

/* Reads the events of the step before, when it has ended by now, and forgets them. */
static void harvest(ib_device *d) {
    cl_ulong queued = 0, start = 0, end = 0;
    cl_int state = CL_QUEUED;
    ib_xpu_clock *c = &d->clock;
    if (c->first && c->last &&
        d->cl->clGetEventInfo(c->last, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state,
                              NULL) == CL_SUCCESS &&
        state == CL_COMPLETE &&
        stamp(d, c->first, CL_PROFILING_COMMAND_QUEUED, &queued) == CL_SUCCESS &&
        stamp(d, c->first, CL_PROFILING_COMMAND_START, &start) == CL_SUCCESS &&
        stamp(d, c->last, CL_PROFILING_COMMAND_END, &end) == CL_SUCCESS && start >= queued &&
        end >= start) {
        d->timing.n_steps++;
        d->timing.device_ns += end - start;
        d->timing.queue_ns += start - queued;
    }
    drop(d, &c->first);
    drop(d, &c->last);
}

ib_status ib_xpu_step_begin(ib_device *d, const ib_step *step, bool *done, ib_error *err) {
    (void)err;
    *done = false;
    harvest(d);
    d->clock.open = d->clock.first_pending = step->decode;
    return IB_OK;
}

/* Hands what is queued to the device, so that it starts while the host goes on. */
ib_status ib_xpu_step_end(ib_device *d, ib_error *err) {
    cl_int code = CL_SUCCESS;
    if (d->clock.open)
        code = d->cl->clEnqueueMarker(d->queue, &d->clock.last);
    d->clock.open = d->clock.first_pending = false;
    if (code == CL_SUCCESS)
        code = d->cl->clFlush(d->queue);
    return code == CL_SUCCESS ? IB_OK : ib_cl_fail(code, "submitting", err);
}

void ib_xpu_timing(ib_device *d, ib_device_timing *out) {
    harvest(d);
    *out = d->timing;
}

void ib_xpu_timing_close(ib_device *d) {
    drop(d, &d->clock.first);
    drop(d, &d->clock.last);
    for (int i = 0; i < IB_XPU_MARKS; i++)
        drop(d, &d->marks[i]);
}
