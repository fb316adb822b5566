/* SPDX-License-Identifier: MIT
 * OpenCL devices: which there are, which one is meant, opening and closing, marks, the table.
 *
 * Order: Intel's GPUs first, then other GPUs. The host's processor (a CPU driver) is used only for
 * "xpu:cpu". */
#include "backend/builtin.h"
#include "backend/opencl/xpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_intel(const ib_cl_api *cl, cl_device_id id) {
    char vendor[64] = "";
    (void)cl->clGetDeviceInfo(id, CL_DEVICE_VENDOR, sizeof vendor, vendor, NULL);
    return strstr(vendor, "Intel") != NULL;
}

static void move_intel_first(const ib_cl_api *cl, cl_device_id *devices, int n) {
    int next = 0;
    for (int i = 0; i < n; i++) {
        if (!is_intel(cl, devices[i]))
            continue;
        cl_device_id found = devices[i];
        memmove(devices + next + 1, devices + next, (size_t)(i - next) * sizeof *devices);
        devices[next++] = found;
    }
}

ib_status ib_xpu_list(const ib_cl_api *cl, cl_device_id *devices, int *n, bool host_cpu,
                      ib_error *err) {
    cl_platform_id platforms[16];
    cl_uint n_platforms = 0;
    cl_int code = cl->clGetPlatformIDs(16, platforms, &n_platforms);
    *n = 0;
    if (code == -1001 || (code == CL_SUCCESS && n_platforms == 0))
        return IB_OK; /* the loader is there, no driver is */
    if (code != CL_SUCCESS)
        return ib_cl_fail(code, "listing platforms", err);
    for (cl_uint p = 0; p < n_platforms && p < 16; p++) {
        cl_uint found = 0;
        code = cl->clGetDeviceIDs(platforms[p], host_cpu ? CL_DEVICE_TYPE_CPU : CL_DEVICE_TYPE_GPU,
                                  (cl_uint)(IB_XPU_MAX_DEVICES - *n), devices + *n, &found);
        if (code == CL_SUCCESS)
            *n += (int)found < IB_XPU_MAX_DEVICES - *n ? (int)found : IB_XPU_MAX_DEVICES - *n;
    }
    move_intel_first(cl, devices, *n);
    return IB_OK;
}

static ib_status xpu_count(int *n, ib_error *err) {
    const ib_cl_api *cl;
    cl_device_id devices[IB_XPU_MAX_DEVICES];
    *n = 0;
    IB_TRY(ib_cl_load(&cl, err));
    return ib_xpu_list(cl, devices, n, false, err);
}

static void read_info(const ib_cl_api *cl, cl_device_id id, ib_device_info *out) {
    char version[256] = "", driver[48] = "", extensions[4096] = "";
    static const char *const wanted[] = {"cl_khr_fp16", "cl_khr_subgroups", "cl_intel_subgroups",
                                         "cl_intel_required_subgroup_size",
                                         "cl_intel_subgroup_matrix_multiply_accumulate"};
    cl_ulong memory = 0;
    cl_uint units = 0;
    *out = (ib_device_info){.kind = "xpu", .tier = "plain", .compute = "float32"};
    (void)cl->clGetDeviceInfo(id, CL_DEVICE_NAME, sizeof out->name - 1, out->name, NULL);
    (void)cl->clGetDeviceInfo(id, CL_DEVICE_VENDOR, sizeof out->vendor - 1, out->vendor, NULL);
    (void)cl->clGetDeviceInfo(id, CL_DEVICE_VERSION, sizeof version, version, NULL);
    (void)cl->clGetDeviceInfo(id, CL_DRIVER_VERSION, sizeof driver, driver, NULL);
    (void)cl->clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, sizeof extensions, extensions, NULL);
    (void)cl->clGetDeviceInfo(id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof memory, &memory, NULL);
    (void)cl->clGetDeviceInfo(id, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL);
    (void)snprintf(out->driver, sizeof out->driver, "%s, driver %s", version, driver);
    out->memory_bytes = memory;
    size_t n = (size_t)snprintf(out->features, sizeof out->features, "units=%u", (unsigned)units);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (strstr(extensions, wanted[i]) && n < sizeof out->features)
            n += (size_t)snprintf(out->features + n, sizeof out->features - n, " %s", wanted[i]);
}

static ib_status pick(const ib_cl_api *cl, int index, cl_device_id *out, ib_error *err) {
    cl_device_id devices[IB_XPU_MAX_DEVICES];
    int n = 0, wanted = index == IB_INDEX_HOST_CPU ? 0 : index;
    IB_TRY(ib_xpu_list(cl, devices, &n, index == IB_INDEX_HOST_CPU, err));
    if (wanted < 0 || wanted >= n)
        return ib_fail(
            err, IB_E_DEVICE,
            "device xpu: no OpenCL %s found; fix: install its driver, or use --device cpu",
            index == IB_INDEX_HOST_CPU ? "device for the processor" : "GPU of that number");
    *out = devices[wanted];
    return IB_OK;
}

static ib_status xpu_describe(int index, ib_device_info *out, ib_error *err) {
    const ib_cl_api *cl;
    cl_device_id id;
    *out = (ib_device_info){.kind = "xpu"};
    IB_TRY(ib_cl_load(&cl, err));
    IB_TRY(pick(cl, index, &id, err));
    read_info(cl, id, out);
    return IB_OK;
}

static void xpu_close(ib_device *d) {
    if (!d)
        return;
    if (d->queue)
        (void)d->cl->clFinish(d->queue);
    for (int i = 0; i < IB_XPU_MARKS; i++)
        if (d->marks[i])
            (void)d->cl->clReleaseEvent(d->marks[i]);
    ib_xpu_release(d, d->scratch, d->scratch_bytes, IB_MEM_SCRATCH);
    ib_xpu_release(d, d->none, 4, IB_MEM_SCRATCH);
    ib_xpu_release_programs(d);
    if (d->queue)
        (void)d->cl->clReleaseCommandQueue(d->queue);
    if (d->context)
        (void)d->cl->clReleaseContext(d->context);
    free(d);
}

static ib_status open_queue(ib_device *d, int index, ib_error *err) {
    cl_int code = CL_SUCCESS;
    IB_TRY(pick(d->cl, index, &d->id, err));
    read_info(d->cl, d->id, &d->info);
    d->context = d->cl->clCreateContext(NULL, 1, &d->id, NULL, NULL, &code);
    if (!d->context)
        return ib_cl_fail(code, "creating a context", err);
    d->queue = d->cl->clCreateCommandQueue(d->context, d->id, CL_QUEUE_PROFILING_ENABLE, &code);
    if (!d->queue)
        return ib_cl_fail(code, "creating a queue", err);
    IB_TRY(ib_xpu_alloc(d, &d->none, 4, NULL, IB_MEM_SCRATCH, "allocating", err));
    return ib_xpu_build_common(d, err);
}

static ib_status xpu_open(ib_device **out, const ib_device_config *config, ib_error *err) {
    const ib_cl_api *cl;
    *out = NULL;
    IB_TRY(ib_cl_load(&cl, err));
    if (config->compute == IB_COMPUTE_INT8)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "device xpu: --compute int8 is not built for it; fix: use auto");
    ib_device *d = calloc(1, sizeof *d);
    if (!d)
        return ib_fail_memory(err, sizeof *d, "a device");
    d->head.backend = &ib_backend_xpu;
    d->cl = cl;
    ib_status st = open_queue(d, config->index, err);
    if (st != IB_OK) {
        xpu_close(d);
        return st;
    }
    ib_log_info(config->log, "device xpu: %s (%s)", d->info.name, d->info.driver);
    *out = d;
    return IB_OK;
}

static void xpu_info(const ib_device *d, ib_device_info *out) {
    *out = d->info;
}

static ib_status xpu_supports(const ib_device *d, ib_op op, ib_type type, size_t cols,
                              ib_error *err) {
    (void)d;
    bool ok = true;
    if (op == IB_OP_LINEAR || op == IB_OP_EMBED)
        ok = ib_xpu_weight_type_ok(type);
    else if (op == IB_OP_ATTENTION || op == IB_OP_KV_WRITE)
        ok = (type == IB_TYPE_F32 || type == IB_TYPE_F16 || type == IB_TYPE_BF16) && cols <= 256;
    if (ok)
        return IB_OK;
    return ib_fail(err, IB_E_UNSUPPORTED,
                   "device xpu: no kernel for %s with %zu columns; fix: use --device cpu",
                   ib_type_name(type), cols);
}

static ib_status xpu_sync(ib_device *d, ib_error *err) {
    cl_int code = d->cl->clFinish(d->queue);
    return code == CL_SUCCESS ? IB_OK : ib_cl_fail(code, "waiting", err);
}

static ib_status xpu_mark(ib_device *d, int slot, ib_error *err) {
    if (slot < 0 || slot >= IB_XPU_MARKS)
        return ib_fail(err, IB_E_INTERNAL, "device xpu: mark %d does not exist", slot);
    if (d->marks[slot])
        (void)d->cl->clReleaseEvent(d->marks[slot]);
    d->marks[slot] = NULL;
    cl_int code = d->cl->clEnqueueMarker(d->queue, &d->marks[slot]);
    return code == CL_SUCCESS ? IB_OK : ib_cl_fail(code, "marking", err);
}

static ib_status xpu_elapsed(ib_device *d, int from, int to, uint64_t *ns, ib_error *err) {
    cl_ulong start = 0, end = 0;
    if (from < 0 || to < 0 || from >= IB_XPU_MARKS || to >= IB_XPU_MARKS || !d->marks[from] ||
        !d->marks[to])
        return ib_fail(err, IB_E_INTERNAL, "device xpu: mark %d or %d was not set", from, to);
    cl_int code = d->cl->clWaitForEvents(1, &d->marks[to]);
    if (code == CL_SUCCESS)
        code = d->cl->clGetEventProfilingInfo(d->marks[from], CL_PROFILING_COMMAND_END,
                                              sizeof start, &start, NULL);
    if (code == CL_SUCCESS)
        code = d->cl->clGetEventProfilingInfo(d->marks[to], CL_PROFILING_COMMAND_END, sizeof end,
                                              &end, NULL);
    if (code != CL_SUCCESS)
        return ib_cl_fail(code, "reading marks", err);
    *ns = end > start ? end - start : 0;
    return IB_OK;
}

static ib_status xpu_step_begin(ib_device *d, const ib_step *step, bool *done, ib_error *err) {
    (void)d;
    (void)step;
    (void)err;
    *done = false;
    return IB_OK;
}

/* Hands what is queued to the device, so that it starts while the host goes on. */
static ib_status xpu_step_end(ib_device *d, ib_error *err) {
    cl_int code = d->cl->clFlush(d->queue);
    return code == CL_SUCCESS ? IB_OK : ib_cl_fail(code, "submitting", err);
}

const ib_backend ib_backend_xpu = {
    .kind = "xpu",
    .count = xpu_count,
    .describe = xpu_describe,
    .open = xpu_open,
    .close = xpu_close,
    .info = xpu_info,
    .supports = xpu_supports,
    .buffer_new = ib_xpu_buffer_new,
    .buffer_free = ib_xpu_buffer_free,
    .upload = ib_xpu_upload,
    .download = ib_xpu_download,
    .weight_new = ib_xpu_weight_new,
    .weight_free = ib_xpu_weight_free,
    .kv_new = ib_xpu_kv_new,
    .kv_free = ib_xpu_kv_free,
    .reserve = ib_xpu_reserve,
    .ledger = ib_xpu_ledger,
    .sync = xpu_sync,
    .mark = xpu_mark,
    .elapsed_ns = xpu_elapsed,
    .step_begin = xpu_step_begin,
    .step_end = xpu_step_end,
    .embed = ib_xpu_embed,
    .norm = ib_xpu_norm,
    .linear = ib_xpu_linear,
    .rope = ib_xpu_rope,
    .kv_write = ib_xpu_kv_write,
    .attention = ib_xpu_attention,
    .gated_act = ib_xpu_gated_act,
    .add = ib_xpu_add,
    .argmax = ib_xpu_argmax,
};
