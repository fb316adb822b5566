/* SPDX-License-Identifier: MIT
 * The cuda device as the program sees it: opens the plugin that lies beside the program (or in
 * ../lib/inferbench, or where the system looks for libraries) and hands its devices on. Devices
 * carry the plugin's own table, so only the functions that need no device are here. */
#include "backend/builtin.h"
#include "backend/cuda/plugin.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const places[] = {"", "/../lib/inferbench"}; /* from the program's folder */

/* The folder of the program, without the slash; false when the system does not tell. */
static bool program_folder(char *out, size_t n, size_t *len) {
    ssize_t got = readlink("/proc/self/exe", out, n - 1);
    if (got <= 0)
        return false;
    out[got] = '\0';
    char *slash = strrchr(out, '/');
    if (!slash)
        return false;
    *len = (size_t)(slash - out);
    return true;
}

/* The first plugin found; reason: what the dynamic linker said of the last one tried. */
static void *open_plugin(char *reason, size_t n_reason) {
    char folder[PATH_MAX], path[PATH_MAX + 64];
    size_t len = 0;
    reason[0] = '\0';
    if (program_folder(folder, sizeof folder, &len))
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            int n = snprintf(path, sizeof path, "%.*s%s/" IB_CUDA_PLUGIN_FILE, (int)len, folder,
                             places[i]);
            if (n < 0 || (size_t)n >= sizeof path || access(path, F_OK) != 0)
                continue;
            void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
            if (library)
                return library;
            const char *said = dlerror();
            (void)snprintf(reason, n_reason, "%s", said ? said : "it cannot be opened");
            return NULL;
        }
    return dlopen(IB_CUDA_PLUGIN_FILE, RTLD_NOW | RTLD_LOCAL);
}

static ib_status load(const ib_backend **out, ib_error *err) {
    static const ib_cuda_plugin *loaded; /* once a process; never closed, as drivers want it */
    char reason[256];
    if (!loaded) {
        void *library = open_plugin(reason, sizeof reason);
        if (!library && reason[0])
            return ib_fail(err, IB_E_DEVICE, "device cuda: the plugin cannot be loaded: %s",
                           reason);
        if (!library)
            return ib_fail(err, IB_E_DEVICE,
                           "device cuda: the plugin " IB_CUDA_PLUGIN_FILE
                           " was not found beside the program; fix: build with a CUDA toolkit "
                           "(-DIB_CUDA=on), or use --device cpu");
        const ib_cuda_plugin *p = dlsym(library, IB_CUDA_PLUGIN_SYMBOL);
        if (!p || p->abi != IB_CUDA_PLUGIN_ABI || p->backend_bytes != sizeof(ib_backend) ||
            p->info_bytes != sizeof(ib_device_info) || p->matrix_bytes != sizeof(ib_matrix)) {
            (void)dlclose(library);
            return ib_fail(err, IB_E_DEVICE,
                           "device cuda: the plugin beside the program belongs to another version; "
                           "fix: build both from the same sources");
        }
        loaded = p;
    }
    *out = loaded->backend;
    return IB_OK;
}

static ib_status cuda_count(int *n, ib_error *err) {
    const ib_backend *b;
    *n = 0;
    IB_TRY(load(&b, err));
    return b->count(n, err);
}

static ib_status cuda_describe(int index, ib_device_info *out, ib_error *err) {
    const ib_backend *b;
    *out = (ib_device_info){.kind = "cuda"};
    IB_TRY(load(&b, err));
    return b->describe(index, out, err);
}

static ib_status cuda_open(ib_device **out, const ib_device_config *config, ib_error *err) {
    const ib_backend *b;
    *out = NULL;
    IB_TRY(load(&b, err));
    return b->open(out, config, err);
}

const ib_backend ib_backend_cuda = {
    .kind = "cuda",
    .count = cuda_count,
    .describe = cuda_describe,
    .open = cuda_open,
};
