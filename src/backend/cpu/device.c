/* SPDX-License-Identifier: MIT
 * The host processor as a device: opening, describing, time, and the table that the seam sees. */
#include "backend/cpu/cpu.h"

#include "backend/builtin.h"
#include "base/clock.h"
#include "base/pin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_THREADS = 1024 };

static uint64_t physical_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

static ib_status count(int *n, ib_error *err) {
    (void)err;
    *n = 1;
    return IB_OK;
}

static void put(char *to, size_t size, const char *from) {
    (void)snprintf(to, size, "%s", from);
}

static const char *best_tier(const ib_cpu_features *f) {
#ifdef IB_CPU_SIMD
    if (f->vnni)
        return f->bf16 ? "avx512bf16" : "avx512vnni";
    if (f->avx2)
        return f->avx512 ? "avx512" : "avx2";
#endif
    (void)f;
    return "scalar";
}

static void fill_info(const ib_cpu_features *f, ib_device_info *out) {
    memset(out, 0, sizeof *out);
    put(out->kind, sizeof out->kind, "cpu");
    put(out->name, sizeof out->name, f->name);
    put(out->vendor, sizeof out->vendor, f->vendor);
    put(out->features, sizeof out->features, f->list);
    put(out->compute, sizeof out->compute, "float32");
    out->memory_bytes = physical_memory();
}

static ib_status describe(int index, ib_device_info *out, ib_error *err) {
    ib_cpu_features features;
    if (index != 0)
        return ib_fail(err, IB_E_DEVICE, "cpu:%d: there is one cpu device; fix: use cpu", index);
    ib_cpu_detect(&features);
    fill_info(&features, out);
    put(out->tier, sizeof out->tier, best_tier(&features));
    out->n_threads = ib_cores_allowed();
    return IB_OK;
}

static void close_device(ib_device *d) {
    if (!d)
        return;
    if (d->pool)
        ib_cpu_finish(d);
    ib_cpu_scratch_clear(d);
    ib_pool_free(d->pool);
    free(d->rooms);
    free(d);
}

static ib_status bind(ib_device *d, ib_error *err) {
    ib_pin pin;
    size_t at = 0;
    if (!d->config.pin)
        return IB_OK;
    IB_TRY(ib_pin_parse(&pin, d->config.pin, err));
    IB_TRY(ib_pin_pool(&pin, d->pool, err));
    for (int i = 0; i < d->n_threads && at < sizeof d->pin / 2; i++)
        at += (size_t)snprintf(d->pin + at, sizeof d->pin - at, "%s%d", i ? " " : "cpus ",
                               pin.cpus[i]);
    (void)snprintf(d->pin + at, sizeof d->pin - at, "%s (%s)", at < sizeof d->pin / 2 ? "" : " ...",
                   pin.source);
    return IB_OK;
}

static ib_status set_up(ib_device *d, ib_error *err) {
    ib_cpu_detect(&d->features);
    d->memory_bytes = physical_memory();
    IB_TRY(ib_cpu_dispatch(d, d->config.cpu_tier, err));
    d->rooms = aligned_alloc(IB_CPU_ALIGN, IB_POOL_CONTEXTS * sizeof *d->rooms);
    if (!d->rooms)
        return ib_fail_memory(err, IB_POOL_CONTEXTS * sizeof *d->rooms, "the queue");
    int wanted = d->config.n_threads ? d->config.n_threads : ib_cores_allowed();
    IB_TRY(ib_pool_new(&d->pool, wanted, err));
    d->n_threads = ib_pool_size(d->pool);
    if (d->n_threads < wanted)
        return ib_fail(err, IB_E_RESOURCE, "threads: %d of %d could be started; fix: ask for fewer",
                       d->n_threads, wanted);
    IB_TRY(bind(d, err));
    ib_log_debug(d->config.log, "cpu: tier %s, %d threads, %s", d->tier, d->n_threads,
                 d->features.list);
    return IB_OK;
}

static ib_status open_device(ib_device **out, const ib_device_config *config, ib_error *err) {
    *out = NULL;
    if (config->index != 0)
        return ib_fail(err, IB_E_DEVICE, "cpu:%d: there is one cpu device; fix: use cpu",
                       config->index);
    if (config->n_threads < 0 || config->n_threads > MAX_THREADS)
        return ib_fail(err, IB_E_USAGE, "threads: %d; fix: use 1 to %d", config->n_threads,
                       MAX_THREADS);
    if (config->compute == IB_COMPUTE_INT8)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "compute int8 on the cpu; fix: use --compute auto or float32");
    ib_device *d = calloc(1, sizeof *d);
    if (!d)
        return ib_fail_memory(err, sizeof *d, "the cpu device");
    d->head.backend = &ib_backend_cpu;
    d->config = *config;
    ib_status status = set_up(d, err);
    if (status != IB_OK) {
        close_device(d);
        return status;
    }
    *out = d;
    return IB_OK;
}

static void info(const ib_device *d, ib_device_info *out) {
    fill_info(&d->features, out);
    put(out->tier, sizeof out->tier, d->tier);
    (void)snprintf(out->compute, sizeof out->compute, "%s%s",
                   d->k.gemm.type == IB_TYPE_F32 ? "float32"
                                                 : "prefill bf16 x bf16 -> float32; decode float32",
                   d->k.integers ? "; quantized decode int16 x int16 -> float32" : "");
    out->n_threads = d->n_threads;
    put(out->pin, sizeof out->pin, d->pin);
}

static ib_status supports(const ib_device *d, ib_op op, ib_type type, size_t cols, ib_error *err) {
    bool weight = op == IB_OP_EMBED || op == IB_OP_LINEAR;
    bool cache = op == IB_OP_KV_WRITE || op == IB_OP_ATTENTION;
    if (weight && !ib_matrix_type_supported(type))
        return ib_fail(err, IB_E_UNSUPPORTED, "weights of type %s on the cpu", ib_type_name(type));
    if (weight && cols % ib_type_block_elements(type) != 0 && type != IB_TYPE_NF4 &&
        type != IB_TYPE_FP4)
        return ib_fail(err, IB_E_UNSUPPORTED, "%zu columns of type %s: not whole blocks of %u",
                       cols, ib_type_name(type), ib_type_block_elements(type));
    if (cache && !d->k.widen[type])
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "KV cache of type %s on the cpu; fix: use float32, "
                       "float16 or bfloat16",
                       ib_type_name(type));
    if (!weight && !cache && type != IB_TYPE_F32)
        return ib_fail(err, IB_E_UNSUPPORTED, "activations of type %s on the cpu; fix: use F32",
                       ib_type_name(type));
    return IB_OK;
}

static void ledger(const ib_device *d, ib_ledger *out) {
    *out = d->ledger;
}

static ib_status sync_device(ib_device *d, ib_error *err) {
    ib_cpu_finish(d);
    (void)err;
    return IB_OK;
}

static ib_status check_mark(int slot, ib_error *err) {
    if (slot < 0 || slot >= IB_CPU_MARKS)
        return ib_fail(err, IB_E_INTERNAL, "mark %d of %d", slot, IB_CPU_MARKS);
    return IB_OK;
}

static ib_status mark(ib_device *d, int slot, ib_error *err) {
    IB_TRY(check_mark(slot, err));
    ib_cpu_finish(d);
    d->marks[slot] = ib_now_ns();
    return IB_OK;
}

static ib_status elapsed_ns(ib_device *d, int from, int to, uint64_t *ns, ib_error *err) {
    IB_TRY(check_mark(from, err));
    IB_TRY(check_mark(to, err));
    *ns = d->marks[to] - d->marks[from];
    return IB_OK;
}

/* Nothing is captured on the host. */
static ib_status step_begin(ib_device *d, const ib_step *step, bool *done, ib_error *err) {
    (void)d;
    (void)step;
    (void)err;
    *done = false;
    return IB_OK;
}

static ib_status step_end(ib_device *d, ib_error *err) {
    (void)d;
    (void)err;
    return IB_OK;
}

const ib_backend ib_backend_cpu = {
    .kind = "cpu",
    .count = count,
    .describe = describe,
    .open = open_device,
    .close = close_device,
    .info = info,
    .supports = supports,
    .buffer_new = ib_cpu_buffer_new,
    .buffer_free = ib_cpu_buffer_free,
    .upload = ib_cpu_upload,
    .download = ib_cpu_download,
    .weight_new = ib_cpu_weight_new,
    .weight_free = ib_cpu_weight_free,
    .kv_new = ib_cpu_kv_new,
    .kv_free = ib_cpu_kv_free,
    .reserve = ib_cpu_reserve,
    .ledger = ledger,
    .sync = sync_device,
    .mark = mark,
    .elapsed_ns = elapsed_ns,
    .step_begin = step_begin,
    .step_end = step_end,
    .embed = ib_cpu_embed,
    .norm = ib_cpu_norm,
    .linear = ib_cpu_linear,
    .rope = ib_cpu_rope,
    .kv_write = ib_cpu_kv_write,
    .attention = ib_cpu_attention,
    .gated_act = ib_cpu_gated_act,
    .add = ib_cpu_add,
    .argmax = ib_cpu_argmax,
    .linear_group = ib_cpu_linear_group,
    .gated_mlp = ib_cpu_gated_mlp,
    .add_norm = ib_cpu_add_norm,
    .probe = ib_cpu_probe,
};
