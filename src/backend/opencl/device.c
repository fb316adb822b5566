/* SPDX-License-Identifier: MIT
 * The OpenCL device: opening, closing, what it supports, and the table of the backend. */
#include "backend/builtin.h"
#include "backend/opencl/xpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ib_status xpu_count(int *n, ib_error *err) {
    const ib_cl_api *cl;
    cl_device_id devices[IB_XPU_MAX_DEVICES];
    *n = 0;
    IB_TRY(ib_cl_load(&cl, err));
    return ib_xpu_list(cl, devices, n, false, err);
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
    ib_xpu_read_info(cl, id, out);
    return IB_OK;
}

static void xpu_close(ib_device *d) {
    if (!d)
        return;
    if (d->queue)
        (void)d->cl->clFinish(d->queue);
    ib_xpu_timing_close(d);
    ib_xpu_free_scratch(d);
    ib_xpu_release(d, d->zeros, IB_XPU_SPARE_BYTES, IB_MEM_SCRATCH);
    ib_xpu_release(d, d->sink, IB_XPU_SPARE_BYTES, IB_MEM_SCRATCH);
    ib_xpu_release_programs(d);
    if (d->queue)
        (void)d->cl->clReleaseCommandQueue(d->queue);
    if (d->context)
        (void)d->cl->clReleaseContext(d->context);
    free(d->cache_dir);
    free(d);
}

static ib_status open_queue(ib_device *d, ib_error *err) {
    cl_int code = CL_SUCCESS;
    d->context = d->cl->clCreateContext(NULL, 1, &d->id, NULL, NULL, &code);
    if (!d->context)
        return ib_cl_fail(code, "creating a context", err);
    d->queue = d->cl->clCreateCommandQueue(d->context, d->id, CL_QUEUE_PROFILING_ENABLE, &code);
    if (!d->queue)
        return ib_cl_fail(code, "creating a queue", err);
    return IB_OK;
}

static ib_status open_spare(ib_device *d, ib_error *err) {
    void *zeros = calloc(1, IB_XPU_SPARE_BYTES);
    if (!zeros)
        return ib_fail_memory(err, IB_XPU_SPARE_BYTES, "a device");
    ib_status st = ib_xpu_alloc(d, &d->zeros, IB_XPU_SPARE_BYTES, zeros, IB_MEM_SCRATCH,
                                "allocating scratch", err);
    if (st == IB_OK)
        st = ib_xpu_alloc(d, &d->sink, IB_XPU_SPARE_BYTES, zeros, IB_MEM_SCRATCH,
                          "allocating scratch", err);
    free(zeros);
    return st;
}

static ib_status settle(ib_device *d, const ib_device_config *c, ib_error *err) {
    IB_TRY(pick(d->cl, c->index, &d->id, err));
    ib_xpu_read_info(d->cl, d->id, &d->info);
    IB_TRY(ib_xpu_settle_form(d, c->form, c->compute, err));
    (void)snprintf(d->identity, sizeof d->identity, "%s|%s|%s|%s", d->info.name, d->info.vendor,
                   d->info.driver, d->info.features);
    if (c->kernel_cache_dir) {
        d->cache_dir = malloc(strlen(c->kernel_cache_dir) + 1);
        if (!d->cache_dir)
            return ib_fail_memory(err, strlen(c->kernel_cache_dir) + 1, "a device");
        memcpy(d->cache_dir, c->kernel_cache_dir, strlen(c->kernel_cache_dir) + 1);
    }
    IB_TRY(open_queue(d, err));
    IB_TRY(open_spare(d, err));
    IB_TRY(ib_xpu_need_rows(d, err));
    return ib_xpu_warm_rows(d, err);
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
    d->log = config->log;
    ib_status st = settle(d, config, err);
    if (st != IB_OK) {
        xpu_close(d);
        return st;
    }
    ib_log_info(config->log, "device xpu: %s (%s), %s kernels", d->info.name, d->info.driver,
                d->info.tier);
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
    if (op == IB_OP_LINEAR)
        ok = ib_xpu_weight_type_ok(type);
    else if (op == IB_OP_EMBED)
        ok = ib_xpu_weight_type_ok(type) && type != IB_TYPE_INT8;
    else if (op == IB_OP_ATTENTION || op == IB_OP_KV_WRITE)
        ok = (type == IB_TYPE_F32 || type == IB_TYPE_F16 || type == IB_TYPE_BF16) && cols <= 256;
    if (ok)
        return IB_OK;
    return ib_fail(err, IB_E_UNSUPPORTED,
                   "device xpu: no kernel for %s with %zu columns; fix: use --device cpu",
                   ib_type_name(type), cols);
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
    .sync = ib_xpu_sync,
    .mark = ib_xpu_mark,
    .elapsed_ns = ib_xpu_elapsed,
    .step_begin = ib_xpu_step_begin,
    .step_end = ib_xpu_step_end,
    .embed = ib_xpu_embed,
    .norm = ib_xpu_norm,
    .linear = ib_xpu_linear,
    .rope = ib_xpu_rope,
    .kv_write = ib_xpu_kv_write,
    .attention = ib_xpu_attention,
    .gated_act = ib_xpu_gated_act,
    .add = ib_xpu_add,
    .argmax = ib_xpu_argmax,
    .add_norm = ib_xpu_add_norm,
    .timing = ib_xpu_timing,
};
