/* SPDX-License-Identifier: MIT
 * CUDA devices: counting, describing, opening and closing; marks; the table that the plugin
 * exports. */
#include "backend/cuda/cuda.h"
#include "backend/cuda/plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ib_status ib_cuda_check(int code, const char *what, ib_error *err) {
    const cudaError_t e = (cudaError_t)code;
    if (e == cudaSuccess)
        return IB_OK;
    if (e == cudaErrorMemoryAllocation)
        return ib_fail(
            err, IB_E_RESOURCE,
            "device cuda: out of device memory while %s; fix: use a smaller model, fewer "
            "sequences or a shorter context",
            what);
    if (e == cudaErrorNoKernelImageForDevice)
        return ib_fail(
            err, IB_E_DEVICE,
            "device cuda: the plugin holds no code for this GPU (%s, while %s); fix: build "
            "it for this architecture",
            cudaGetErrorName(e), what);
    return ib_fail(err, IB_E_DEVICE, "device cuda: %s while %s (%s)", cudaGetErrorName(e), what,
                   cudaGetErrorString(e));
}

static ib_status cuda_count(int *n, ib_error *err) {
    *n = 0;
    cudaError_t e = cudaGetDeviceCount(n);
    if (e == cudaSuccess)
        return IB_OK;
    *n = 0;
    (void)cudaGetLastError();
    if (e == cudaErrorNoDevice)
        return IB_OK;
    if (e == cudaErrorInsufficientDriver)
        return ib_fail(err, IB_E_DEVICE,
                       "device cuda: the NVIDIA driver is missing or older than this plugin needs; "
                       "fix: install a newer driver, or use --device cpu");
    return ib_cuda_check((int)e, "counting devices", err);
}

static void fill_info(const struct cudaDeviceProp *p, ib_device_info *out) {
    int driver = 0, runtime = 0;
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&runtime);
    *out = (ib_device_info){.kind = "cuda", .vendor = "NVIDIA", .memory_bytes = p->totalGlobalMem};
    (void)snprintf(out->name, sizeof out->name, "%.127s", p->name);
    (void)snprintf(out->driver, sizeof out->driver, "CUDA driver %d.%d, runtime %d.%d",
                   driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    (void)snprintf(out->tier, sizeof out->tier, "sm_%d%d", p->major, p->minor);
    (void)snprintf(out->features, sizeof out->features, "units=%d l2=%d", p->multiProcessorCount,
                   p->l2CacheSize);
}

static ib_status cuda_describe(int index, ib_device_info *out, ib_error *err) {
    struct cudaDeviceProp p;
    *out = (ib_device_info){.kind = "cuda"};
    IB_TRY(ib_cuda_check((int)cudaGetDeviceProperties(&p, index), "asking for a device", err));
    fill_info(&p, out);
    return IB_OK;
}

static void cuda_close(ib_device *d) {
    if (!d)
        return;
    if (d->stream) {
        ib_cuda_step_forget(d);
        (void)cudaStreamSynchronize(d->stream);
    }
    ib_cuda_blas_close(d->blas);
    ib_cuda_scratch_clear(d);
    ib_cuda_release(d, d->past, sizeof(int), IB_MEM_SCRATCH);
    for (int i = 0; i < IB_CUDA_MARKS; i++)
        if (d->marks[i])
            (void)cudaEventDestroy(d->marks[i]);
    if (d->pinned)
        (void)cudaFreeHost(d->pinned);
    if (d->stream)
        (void)cudaStreamDestroy(d->stream);
    free(d);
}

static ib_status fill_device(ib_device *d, const ib_device_config *config, ib_error *err) {
    struct cudaDeviceProp p;
    void *pinned = NULL, *past = NULL;
    IB_TRY(ib_cuda_check((int)cudaSetDevice(config->index), "choosing the device", err));
    IB_TRY(
        ib_cuda_check((int)cudaGetDeviceProperties(&p, config->index), "asking for a device", err));
    fill_info(&p, &d->info);
    if (p.major < 8)
        return ib_fail(err, IB_E_DEVICE,
                       "device cuda:%d: %s is %s, sm_80 or later is needed; fix: use --device cpu",
                       config->index, d->info.name, d->info.tier);
    d->index = config->index;
    d->units = p.multiProcessorCount;
    d->cache_bytes = p.l2CacheSize > 0 ? (uint64_t)p.l2CacheSize : 4 << 20;
    d->shared_most = (int)p.sharedMemPerBlockOptin;
    d->exact = config->compute == IB_COMPUTE_FLOAT32;
    IB_TRY(ib_cuda_check((int)cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking),
                         "creating a stream", err));
    for (int i = 0; i < IB_CUDA_MARKS; i++)
        IB_TRY(ib_cuda_check((int)cudaEventCreateWithFlags(&d->marks[i], cudaEventDefault),
                             "creating an event", err));
    IB_TRY(ib_cuda_check((int)cudaHostAlloc(&pinned, IB_CUDA_PINNED + 64, cudaHostAllocDefault),
                         "allocating page-locked memory", err));
    d->pinned = pinned;
    d->past_staging = (int *)(void *)(d->pinned + IB_CUDA_PINNED);
    IB_TRY(ib_cuda_alloc(d, &past, sizeof(int), IB_MEM_SCRATCH, err));
    d->past = past;
    d->past_value = -1;
    if (!d->exact)
        d->blas = ib_cuda_blas_open(d, config->log);
    (void)snprintf(d->info.compute, sizeof d->info.compute, "%s",
                   d->exact ? "float32"
                            : (d->blas ? "fp16/fp32 decode, bf16 cuBLASLt prefill"
                                       : "fp16/fp32 decode, bf16 prefill"));
    return IB_OK;
}

static ib_status cuda_open(ib_device **out, const ib_device_config *config, ib_error *err) {
    *out = NULL;
    if (config->compute == IB_COMPUTE_INT8)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "device cuda: --compute int8 is not built for it; fix: use auto");
    ib_device *d = calloc(1, sizeof *d);
    if (!d)
        return ib_fail_memory(err, sizeof *d, "a device");
    d->head.backend = &ib_cuda_backend;
    ib_status st = fill_device(d, config, err);
    if (st != IB_OK) {
        cuda_close(d);
        return st;
    }
    ib_log_info(config->log, "device cuda:%d: %s, %s (%s)", d->index, d->info.name, d->info.tier,
                d->info.driver);
    *out = d;
    return IB_OK;
}

static void cuda_info(const ib_device *d, ib_device_info *out) {
    *out = d->info;
}

static ib_status cuda_supports(const ib_device *d, ib_op op, ib_type type, size_t cols,
                               ib_error *err) {
    (void)d;
    bool ok = true;
    if (op == IB_OP_LINEAR || op == IB_OP_EMBED)
        ok = ib_cuda_type_ok((int)type);
    else if (op == IB_OP_ATTENTION || op == IB_OP_KV_WRITE)
        ok = (type == IB_TYPE_F32 || type == IB_TYPE_F16 || type == IB_TYPE_BF16) &&
             cols <= IB_CUDA_HEAD_DIM_MAX;
    if (ok)
        return IB_OK;
    return ib_fail(err, IB_E_UNSUPPORTED,
                   "device cuda: no kernel for %s with %zu columns; fix: use --device cpu",
                   ib_type_name(type), cols);
}

static ib_status cuda_sync(ib_device *d, ib_error *err) {
    if (d->step.capturing)
        return ib_fail(err, IB_E_INTERNAL, "device cuda: waiting inside a captured step");
    return ib_cuda_check((int)cudaStreamSynchronize(d->stream), "waiting", err);
}

static ib_status cuda_mark(ib_device *d, int slot, ib_error *err) {
    if (slot < 0 || slot >= IB_CUDA_MARKS)
        return ib_fail(err, IB_E_INTERNAL, "device cuda: mark %d does not exist", slot);
    d->marked[slot] = true;
    return ib_cuda_check((int)cudaEventRecord(d->marks[slot], d->stream), "marking", err);
}

static ib_status cuda_elapsed(ib_device *d, int from, int to, uint64_t *ns, ib_error *err) {
    float ms = 0;
    if (from < 0 || to < 0 || from >= IB_CUDA_MARKS || to >= IB_CUDA_MARKS || !d->marked[from] ||
        !d->marked[to])
        return ib_fail(err, IB_E_INTERNAL, "device cuda: mark %d or %d was not set", from, to);
    IB_TRY(ib_cuda_check((int)cudaEventSynchronize(d->marks[to]), "waiting for a mark", err));
    IB_TRY(ib_cuda_check((int)cudaEventElapsedTime(&ms, d->marks[from], d->marks[to]),
                         "reading marks", err));
    *ns = ms > 0 ? (uint64_t)((double)ms * 1e6) : 0;
    return IB_OK;
}

const ib_backend ib_cuda_backend = {
    .kind = "cuda",
    .count = cuda_count,
    .describe = cuda_describe,
    .open = cuda_open,
    .close = cuda_close,
    .info = cuda_info,
    .supports = cuda_supports,
    .buffer_new = ib_cuda_buffer_new,
    .buffer_free = ib_cuda_buffer_free,
    .upload = ib_cuda_upload,
    .download = ib_cuda_download,
    .weight_new = ib_cuda_weight_new,
    .weight_free = ib_cuda_weight_free,
    .kv_new = ib_cuda_kv_new,
    .kv_free = ib_cuda_kv_free,
    .reserve = ib_cuda_reserve,
    .ledger = ib_cuda_ledger,
    .sync = cuda_sync,
    .mark = cuda_mark,
    .elapsed_ns = cuda_elapsed,
    .step_begin = ib_cuda_step_begin,
    .step_end = ib_cuda_step_end,
    .embed = ib_cuda_embed,
    .norm = ib_cuda_norm_op,
    .linear = ib_cuda_linear,
    .rope = ib_cuda_rope_op,
    .kv_write = ib_cuda_kv_write,
    .attention = ib_cuda_attention_op,
    .gated_act = ib_cuda_gated_act,
    .add = ib_cuda_add,
    .argmax = ib_cuda_argmax,
    .linear_group = ib_cuda_linear_group,
    .gated_mlp = ib_cuda_gated_mlp,
    .add_norm = ib_cuda_add_norm,
    .probe = ib_cuda_probe,
};

/* Found by its name, IB_CUDA_PLUGIN_SYMBOL. */
__attribute__((visibility("default"))) extern const ib_cuda_plugin ib_cuda_plugin_table;
const ib_cuda_plugin ib_cuda_plugin_table = {
    .abi = IB_CUDA_PLUGIN_ABI,
    .backend_bytes = sizeof(ib_backend),
    .info_bytes = sizeof(ib_device_info),
    .matrix_bytes = sizeof(ib_matrix),
    .backend = &ib_cuda_backend,
};
