/* SPDX-License-Identifier: MIT
 * Which OpenCL devices there are, and what one of them can do.
 *
 * Order: Intel's GPUs first, then other GPUs. The host's processor (a CPU driver) is used only for
 * "xpu:cpu". Words from drivers are cleaned: they go to terminals and into records. */
#include "backend/opencl/xpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUB_GROUP_SIZES_INTEL 0x4108 /* CL_DEVICE_SUB_GROUP_SIZES_INTEL */
static const char engine_extension[] = "cl_intel_subgroup_matrix_multiply_accumulate";

/* A driver's string of any length, malloc'd; NULL: none. */
static char *read_all(const ib_cl_api *cl, cl_device_id id, cl_device_info what) {
    size_t n = 0;
    if (cl->clGetDeviceInfo(id, what, 0, NULL, &n) != CL_SUCCESS || n == 0 || n > 1u << 20)
        return NULL;
    char *out = calloc(1, n + 1);
    if (out && cl->clGetDeviceInfo(id, what, n, out, NULL) != CL_SUCCESS)
        out[0] = '\0';
    return out;
}

/* Cut to fit, printable ASCII only. */
static void clean(const char *from, char *out, size_t size) {
    size_t n = 0;
    for (; from && from[n] && n + 1 < size; n++)
        out[n] = from[n] < ' ' || from[n] > '~' ? '?' : from[n];
    out[n] = '\0';
}

static void read_word(const ib_cl_api *cl, cl_device_id id, cl_device_info what, char *out,
                      size_t size) {
    char *whole = read_all(cl, id, what);
    clean(whole, out, size);
    free(whole);
}

static void read_platform(const ib_cl_api *cl, cl_device_id id, char *out, size_t size) {
    char name[256] = "";
    cl_platform_id of = NULL;
    if (cl->clGetDeviceInfo(id, CL_DEVICE_PLATFORM, sizeof of, &of, NULL) == CL_SUCCESS && of)
        (void)cl->clGetPlatformInfo(of, CL_PLATFORM_NAME, sizeof name - 1, name, NULL);
    clean(name, out, size);
}

/* Whether a blank-separated list holds the word. */
static bool has_word(const char *list, const char *word) {
    size_t n = strlen(word);
    for (const char *p = list; p && (p = strstr(p, word)) != NULL; p += n)
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    return false;
}

static cl_uint read_uint(const ib_cl_api *cl, cl_device_id id, cl_device_info what) {
    cl_uint v = 0;
    return cl->clGetDeviceInfo(id, what, sizeof v, &v, NULL) == CL_SUCCESS ? v : 0;
}

static bool is_intel(const ib_cl_api *cl, cl_device_id id) {
    char vendor[64];
    read_word(cl, id, CL_DEVICE_VENDOR, vendor, sizeof vendor);
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
    for (cl_uint p = 0; p < n_platforms && p < 16 && *n < IB_XPU_MAX_DEVICES; p++) {
        cl_uint found = 0;
        code = cl->clGetDeviceIDs(platforms[p], host_cpu ? CL_DEVICE_TYPE_CPU : CL_DEVICE_TYPE_GPU,
                                  (cl_uint)(IB_XPU_MAX_DEVICES - *n), devices + *n, &found);
        if (code == CL_SUCCESS)
            *n += found < (cl_uint)(IB_XPU_MAX_DEVICES - *n) ? (int)found : IB_XPU_MAX_DEVICES - *n;
    }
    move_intel_first(cl, devices, *n);
    return IB_OK;
}

void ib_xpu_read_info(const ib_cl_api *cl, cl_device_id id, ib_device_info *out) {
    static const char *const wanted[] = {"cl_khr_fp16",
                                         "cl_khr_subgroups",
                                         "cl_intel_subgroups",
                                         "cl_intel_required_subgroup_size",
                                         "cl_intel_unified_shared_memory",
                                         engine_extension};
    static const char *const shown[] = {
        "fp16", "subgroups", "intel_subgroups", "reqd_subgroup_size", "usm", "matrix_engine"};
    char version[48], driver[40], platform[36];
    cl_ulong memory = 0;
    *out = (ib_device_info){.kind = "xpu", .compute = "float32"};
    read_word(cl, id, CL_DEVICE_NAME, out->name, sizeof out->name);
    read_word(cl, id, CL_DEVICE_VENDOR, out->vendor, sizeof out->vendor);
    read_word(cl, id, CL_DEVICE_VERSION, version, sizeof version);
    read_word(cl, id, CL_DRIVER_VERSION, driver, sizeof driver);
    read_platform(cl, id, platform, sizeof platform);
    if (cl->clGetDeviceInfo(id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof memory, &memory, NULL) ==
        CL_SUCCESS)
        out->memory_bytes = memory;
    (void)snprintf(out->driver, sizeof out->driver, "%s, %s, %s", platform, version, driver);
    char *extensions = read_all(cl, id, CL_DEVICE_EXTENSIONS);
    size_t n = (size_t)snprintf(out->features, sizeof out->features, "units=%u",
                                (unsigned)read_uint(cl, id, CL_DEVICE_MAX_COMPUTE_UNITS));
    for (size_t i = 0; extensions && i < sizeof wanted / sizeof *wanted; i++)
        if (has_word(extensions, wanted[i]) && n < sizeof out->features)
            n += (size_t)snprintf(out->features + n, sizeof out->features - n, " %s", shown[i]);
    free(extensions);
}

/* The items that a sub-group may have, as a set of bits: bit s for 2^s items. */
static unsigned sub_group_sizes(const ib_cl_api *cl, cl_device_id id) {
    size_t sizes[16] = {0}, bytes = 0;
    unsigned set = 0;
    if (cl->clGetDeviceInfo(id, SUB_GROUP_SIZES_INTEL, sizeof sizes, sizes, &bytes) != CL_SUCCESS)
        return 0;
    for (size_t i = 0; i < bytes / sizeof *sizes && i < 16; i++)
        for (unsigned s = 3; s <= 5; s++)
            if (sizes[i] == (size_t)1 << s)
                set |= 1u << s;
    return set;
}

typedef struct abilities {
    bool cpu, sub_groups, engine;
    unsigned sizes; /* see sub_group_sizes */
    size_t most;    /* items of a work-group */
} abilities;

static void read_abilities(ib_device *d, abilities *out) {
    cl_device_type type = 0;
    char *extensions = read_all(d->cl, d->id, CL_DEVICE_EXTENSIONS);
    *out = (abilities){.most = 1};
    (void)d->cl->clGetDeviceInfo(d->id, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    (void)d->cl->clGetDeviceInfo(d->id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof out->most, &out->most,
                                 NULL);
    out->cpu = (type & CL_DEVICE_TYPE_CPU) != 0;
    out->sizes = sub_group_sizes(d->cl, d->id);
    out->sub_groups = extensions && has_word(extensions, "cl_intel_subgroups") &&
                      has_word(extensions, "cl_intel_required_subgroup_size") && out->sizes;
    out->engine = out->sub_groups && has_word(extensions, engine_extension);
    d->half = extensions && has_word(extensions, "cl_khr_fp16");
    d->unified = read_uint(d->cl, d->id, CL_DEVICE_HOST_UNIFIED_MEMORY) != 0;
    free(extensions);
}

static ib_status choose(ib_device *d, const abilities *can, const char *wanted, ib_error *err) {
    static const struct {
        const char *name;
        ib_xpu_form form;
        int lanes, engine_lanes;
    } forms[] = {{"single", IB_XPU_SINGLE, 0, 0},      {"local", IB_XPU_LOCAL, 0, 0},
                 {"subgroup", IB_XPU_SUBGROUP, 16, 0}, {"subgroup8", IB_XPU_SUBGROUP, 8, 0},
                 {"engine8", IB_XPU_SUBGROUP, 16, 8},  {"engine16", IB_XPU_SUBGROUP, 16, 16}};
    for (size_t i = 0; wanted && i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(wanted, forms[i].name) != 0)
            continue;
        if (forms[i].form == IB_XPU_SUBGROUP && !can->sub_groups)
            return ib_fail(err, IB_E_DEVICE,
                           "device xpu: %s has no sub-groups; fix: use the form single or local",
                           d->info.name);
        d->form = forms[i].form;
        d->lanes = forms[i].lanes;
        d->engine_lanes = forms[i].engine_lanes;
        d->engine_emulated = forms[i].engine_lanes && !can->engine;
        return IB_OK;
    }
    if (wanted)
        return ib_fail(err, IB_E_USAGE,
                       "device xpu: no form of kernels is called so; fix: use "
                       "single, local, subgroup, subgroup8, engine8 or engine16");
    d->form = can->cpu ? IB_XPU_SINGLE : can->sub_groups ? IB_XPU_SUBGROUP : IB_XPU_LOCAL;
    if (d->form != IB_XPU_SUBGROUP)
        return IB_OK;
    d->lanes = can->sizes & 1u << 4 ? 16 : can->sizes & 1u << 3 ? 8 : 32;
    if (can->engine) /* its width is the smallest that the device has: 8 on Xe-HPG, 16 on Xe-HPC */
        d->engine_lanes = can->sizes & 1u << 3 ? 8 : 16;
    return IB_OK;
}

ib_status ib_xpu_settle_form(ib_device *d, const char *wanted, ib_compute compute, ib_error *err) {
    static const char *const names[] = {"single", "local", "subgroup"};
    abilities can;
    read_abilities(d, &can);
    IB_TRY(choose(d, &can, wanted, err));
    if (compute == IB_COMPUTE_FLOAT32) /* the engine rounds weights to bf16 */
        d->engine_lanes = 0;
    bool single = d->form == IB_XPU_SINGLE;
    d->group_rows = single ? 1 : 256;
    d->group_linear = d->group_attention = single ? 1 : 64;
    if (can.most < 256 && !single)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "device xpu: work-groups of %s have at most %zu items, 256 are needed; fix: "
                       "use another device",
                       d->info.name, can.most);
    if (can.most < IB_XPU_LINE)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "device xpu: work-groups of %s have at most %zu items, %d are needed; fix: "
                       "use another device",
                       d->info.name, can.most, IB_XPU_LINE);
    (void)snprintf(d->info.tier, sizeof d->info.tier, "%s", names[d->form]);
    const char *engine = !d->engine_lanes ? "" : d->engine_emulated ? "+emulated" : "+engine";
    if (d->form == IB_XPU_SUBGROUP)
        (void)snprintf(d->info.tier, sizeof d->info.tier, "subgroup%d%s", d->lanes, engine);
    if (d->engine_lanes)
        (void)snprintf(d->info.compute, sizeof d->info.compute,
                       "float32; prefill bf16 x (bf16 + bf16) -> float32");
    return IB_OK;
}
