/* SPDX-License-Identifier: MIT
 * See energy.h. */
#include "bench/energy.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_ZONES = 32, MOST_PACKAGES = 8, MOST_PARTS = 4 };

typedef struct zone {
    int fd;         /* of energy_uj */
    uint64_t range; /* the counter's last value before it begins again; 0 = never */
    uint64_t last;
} zone;

/* What is used of NVML; its ABI gives the types. */
typedef struct nvml {
    void *library;
    int (*shutdown)(void);
    int (*total_energy)(void *device, unsigned long long *mj);
    void *device;
    uint64_t last;
} nvml;

struct ib_energy {
    zone zones[MOST_ZONES];
    size_t n_zones;
    nvml gpu;
    uint64_t total;
    const char *why;
};

/* --- RAPL --- */

static bool read_text(const char *path, char *out, size_t cap) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? -1 : read(fd, out, cap - 1);
    if (fd >= 0)
        (void)close(fd);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return n > 0;
}

static bool read_counter(int fd, uint64_t *out) {
    char text[32], *end;
    const ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return false;
    text[n] = '\0';
    *out = strtoull(text, &end, 10);
    return end > text;
}

/* folder: of a zone. wanted: beginning of its name. */
static void add_zone(ib_energy *e, const char *folder, const char *wanted) {
    char path[512], text[64];
    (void)snprintf(path, sizeof path, "%s/name", folder);
    if (e->n_zones == MOST_ZONES || !read_text(path, text, sizeof text) ||
        strncmp(text, wanted, strlen(wanted)) != 0)
        return;
    zone *z = &e->zones[e->n_zones];
    (void)snprintf(path, sizeof path, "%s/max_energy_range_uj", folder);
    z->range = read_text(path, text, sizeof text) ? strtoull(text, NULL, 10) : 0;
    (void)snprintf(path, sizeof path, "%s/energy_uj", folder);
    z->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (z->fd < 0) {
        e->why = errno == EACCES ? "the energy counters may be read by root only" : e->why;
        return;
    }
    if (read_counter(z->fd, &z->last))
        e->n_zones++;
    else
        (void)close(z->fd);
}

/* Packages, and their memory, which is not in them; cores and graphics are. */
static void open_rapl(ib_energy *e, const char *root) {
    char folder[256];
    for (int i = 0; i < MOST_PACKAGES; i++) {
        (void)snprintf(folder, sizeof folder, "%s/sys/class/powercap/intel-rapl:%d", root, i);
        add_zone(e, folder, "package");
        for (int k = 0; k < MOST_PARTS; k++) {
            (void)snprintf(folder, sizeof folder, "%s/sys/class/powercap/intel-rapl:%d:%d", root, i,
                           k);
            add_zone(e, folder, "dram");
        }
    }
}

/* --- NVML --- */

/* A function pointer from dlsym without a cast that ISO C forbids. */
static bool find(void *library, const char *name, void *out) {
    void *symbol = dlsym(library, name);
    memcpy(out, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool open_device(nvml *g) {
    int (*init)(void), (*by_index)(unsigned, void **);
    unsigned long long mj = 0;
    if (!find(g->library, "nvmlInit_v2", &init) ||
        !find(g->library, "nvmlShutdown", &g->shutdown) ||
        !find(g->library, "nvmlDeviceGetHandleByIndex_v2", &by_index) ||
        !find(g->library, "nvmlDeviceGetTotalEnergyConsumption", &g->total_energy) || init() != 0)
        return false;
    if (by_index(0, &g->device) == 0 && g->total_energy(g->device, &mj) == 0) {
        g->last = mj;
        return true;
    }
    (void)g->shutdown();
    return false;
}

static void open_nvml(ib_energy *e, const char *name) {
    e->gpu.library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!e->gpu.library) {
        e->why = "the GPU's management library (NVML) cannot be opened";
        return;
    }
    if (open_device(&e->gpu))
        return;
    (void)dlclose(e->gpu.library);
    e->gpu.library = NULL;
    e->why = "the GPU counts no energy";
}

/* --- both --- */

ib_status ib_energy_open(ib_energy **out, const char *root, const char *nvml_name, ib_error *err) {
    ib_energy *e = calloc(1, sizeof *e);
    *out = e;
    if (!e)
        return ib_fail_memory(err, sizeof *e, "the energy counters");
    e->why = "no energy counters on this machine";
    open_rapl(e, root);
    if (nvml_name)
        open_nvml(e, nvml_name);
    return IB_OK;
}

void ib_energy_close(ib_energy *e) {
    if (!e)
        return;
    for (size_t i = 0; i < e->n_zones; i++)
        (void)close(e->zones[i].fd);
    if (e->gpu.library) {
        (void)e->gpu.shutdown();
        (void)dlclose(e->gpu.library);
    }
    free(e);
}

const char *ib_energy_source(const ib_energy *e) {
    if (e->n_zones)
        return e->gpu.library ? "rapl+nvml" : "rapl";
    return e->gpu.library ? "nvml" : NULL;
}

const char *ib_energy_why_not(const ib_energy *e) {
    return ib_energy_source(e) ? NULL : e->why;
}

static bool advance(zone *z, uint64_t *total) {
    uint64_t now = 0;
    if (!read_counter(z->fd, &now))
        return false;
    *total += now >= z->last ? now - z->last : z->range - z->last + now + 1;
    z->last = now;
    return true;
}

bool ib_energy_read(ib_energy *e, uint64_t *uj) {
    bool good = ib_energy_source(e) != NULL;
    for (size_t i = 0; i < e->n_zones; i++)
        good = advance(&e->zones[i], &e->total) && good;
    unsigned long long mj = 0;
    if (e->gpu.library && (good = e->gpu.total_energy(e->gpu.device, &mj) == 0 && good) &&
        mj >= e->gpu.last) {
        e->total += (mj - e->gpu.last) * 1000;
        e->gpu.last = mj;
    }
    *uj = e->total;
    return good;
}
