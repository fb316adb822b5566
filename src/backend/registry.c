/* SPDX-License-Identifier: MIT
 * Device words -> an open device. The table lists the kinds built in, in the order in which "auto"
 * prefers them. A device that is named and absent is an error, never a substitute. */
#include "backend/builtin.h"

#include "base/file.h"

#include <string.h>

static const ib_backend *const backends[] = {
#ifdef IB_HAVE_OPENCL
    &ib_backend_xpu,
#endif
#ifdef IB_HAVE_CUDA
    &ib_backend_cuda,
#endif
    &ib_backend_cpu,
};

/* Every kind that the command line knows, and what would build it in. */
static const struct {
    const char *kind, *option;
    bool indexed; /* takes ":N" */
} kinds[] = {
    {"cpu", "", false},
    {"xpu", "-DIB_OPENCL=on", true},
    {"cuda", "-DIB_CUDA=on", true},
};

size_t ib_backend_count(void) {
    return sizeof backends / sizeof *backends;
}

const ib_backend *ib_backend_at(size_t i) {
    return backends[i];
}

const char *ib_attention_name(ib_attention a) {
    static const char *const names[IB_ATTN_COUNT] = {"eager", "sdpa", "flash_attention"};
    return a >= 0 && a < IB_ATTN_COUNT ? names[a] : "unknown";
}

static const ib_backend *find(const char *kind) {
    for (size_t i = 0; i < ib_backend_count(); i++)
        if (strcmp(backends[i]->kind, kind) == 0)
            return backends[i];
    return NULL;
}

/* "auto" takes as xpu only what is an Intel GPU; other vendors' GPUs have to be named. */
static bool auto_takes(const ib_backend *b) {
    ib_device_info info;
    if (strcmp(b->kind, "xpu") != 0)
        return true;
    return b->describe(0, &info, NULL) == IB_OK && strstr(info.vendor, "Intel") != NULL;
}

/* Whether the system has any GPU to offer to a kind. Asking the drivers instead would load their
 * compilers into every process that runs on the processor in the end. */
static bool may_have_gpu(const char *kind) {
    if (strcmp(kind, "xpu") == 0)
        return ib_path_exists("/dev/dri") || ib_path_exists("/dev/dxg");
    if (strcmp(kind, "cuda") == 0)
        return ib_path_exists("/dev/nvidiactl") || ib_path_exists("/dev/dxg") ||
               ib_path_exists("/dev/nvhost-ctrl");
    return true;
}

static ib_status open_auto(ib_device **out, const ib_device_config *config, ib_error *err) {
    for (size_t i = 0; i < ib_backend_count(); i++) {
        ib_error why;
        int n = 0;
        if (!may_have_gpu(backends[i]->kind))
            continue;
        ib_status status = backends[i]->count(&n, &why);
        if (status != IB_OK)
            ib_log_info(config->log, "device auto: no %s: %s", backends[i]->kind, why.text);
        if (status != IB_OK || n < 1 || !auto_takes(backends[i]))
            continue;
        ib_device_config first = *config;
        first.index = 0;
        return backends[i]->open(out, &first, err);
    }
    return ib_fail(err, IB_E_DEVICE, "device auto: no device of any kind found");
}

static ib_status bad_word(const char *spec, ib_error *err) {
    char quoted[IB_QUOTED];
    return ib_fail(err, IB_E_USAGE,
                   "device %s: no such word; fix: use auto, cpu, xpu, xpu:N, xpu:cpu, cuda or "
                   "cuda:N",
                   ib_quotez(spec, quoted));
}

/* What follows the kind: nothing or ":N" -> N; ":cpu" of xpu -> IB_INDEX_HOST_CPU. */
static bool parse_index(const char *rest, const char *kind, bool indexed, int *index) {
    *index = 0;
    if (*rest == '\0')
        return true;
    if (!indexed || *rest != ':')
        return false;
    if (strcmp(kind, "xpu") == 0 && strcmp(rest, ":cpu") == 0) {
        *index = IB_INDEX_HOST_CPU;
        return true;
    }
    uint64_t n;
    if (!ib_parse_u64(ib_str_of(rest + 1), &n) || n > 1023)
        return false;
    *index = (int)n;
    return true;
}

static ib_status open_kind(ib_device **out, const char *kind, const char *option,
                           const ib_device_config *config, ib_error *err) {
    const ib_backend *b = find(kind);
    if (!b)
        return ib_fail(err, IB_E_DEVICE,
                       "device %s: this program was built without it; fix: build with %s, or use "
                       "--device cpu",
                       kind, option);
    if (config->index >= 0) {
        int n = 0;
        IB_TRY(b->count(&n, err));
        if (n == 0)
            return ib_fail(err, IB_E_DEVICE,
                           "device %s: none found; fix: check the driver, or use --device cpu",
                           kind);
        if (config->index >= n)
            return ib_fail(err, IB_E_DEVICE, "device %s:%d: only %d found; fix: use %s:0 to %s:%d",
                           kind, config->index, n, kind, kind, n - 1);
    }
    return b->open(out, config, err);
}

ib_status ib_device_open(ib_device **out, const char *spec, const ib_device_config *config,
                         ib_error *err) {
    *out = NULL;
    if (strcmp(spec, "auto") == 0)
        return open_auto(out, config, err);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t len = strlen(kinds[i].kind);
        if (strncmp(spec, kinds[i].kind, len) != 0)
            continue;
        ib_device_config with_index = *config;
        if (!parse_index(spec + len, kinds[i].kind, kinds[i].indexed, &with_index.index))
            return bad_word(spec, err);
        return open_kind(out, kinds[i].kind, kinds[i].option, &with_index, err);
    }
    return bad_word(spec, err);
}

void ib_device_close(ib_device *d) {
    if (d)
        ib_backend_of(d)->close(d);
}
