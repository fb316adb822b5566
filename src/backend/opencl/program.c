/* SPDX-License-Identifier: MIT
 * Kernel sources (embedded at build time) -> programs and kernels on the device, and their launch.
 * A program that was built before, on the same device and driver, comes from disk (cache.c). */
#include "backend/opencl/xpu.h"
#include "backend/opencl/xpu_kernels.h" /* generated from kernels/ */
#include "base/clock.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SOURCES = 4, OPTIONS = 256 };

typedef struct recipe { /* how a program is made */
    const char *name;
    const char *sources[MAX_SOURCES];
    size_t lengths[MAX_SOURCES];
    cl_uint n_sources;
    char options[OPTIONS];
    const char *kernels[IB_XPU_MAX_KERNELS + 1]; /* NULL behind the last */
} recipe;

static void add_source(recipe *r, const char *text, size_t n) {
    r->sources[r->n_sources] = text;
    r->lengths[r->n_sources++] = n;
}

/* The options of every program; group and macros are the program's own. */
static void begin(const ib_device *d, recipe *r, const char *name, size_t group, int lanes,
                  const char *macros) {
    *r = (recipe){.name = name};
    (void)snprintf(r->options, sizeof r->options,
                   "-cl-std=%s -DFORM=%d -DSG=%d -DGROUP=%zu -DLINE=%d %s",
                   d->form == IB_XPU_SUBGROUP ? "CL2.0" : "CL1.2", (int)d->form, lanes, group,
                   IB_XPU_LINE, macros);
    add_source(r, ib_xpu_source_forms, ib_xpu_source_forms_len);
}

/* The first lines of the compiler's log, for the message. */
static ib_status fail_build(ib_device *d, cl_program p, const char *name, cl_int code,
                            ib_error *err) {
    char log[400] = "", quoted[IB_QUOTED];
    size_t n = 0;
    (void)d->cl->clGetProgramBuildInfo(p, d->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &n);
    char *whole = n && n < 1u << 24 ? calloc(1, n + 1) : NULL;
    if (whole) {
        (void)d->cl->clGetProgramBuildInfo(p, d->id, CL_PROGRAM_BUILD_LOG, n, whole, NULL);
        (void)snprintf(log, sizeof log, "%.399s", whole);
    }
    free(whole);
    if (code == CL_OUT_OF_HOST_MEMORY)
        return ib_cl_fail(code, name, err);
    return ib_fail(err, IB_E_DEVICE,
                   "device xpu: building the %s kernels failed (%s): %s; fix: update the driver",
                   name, ib_cl_error_name(code), ib_quotez(log, quoted));
}

/* The name under which a program is kept: a hash of all that decides what it is. */
static bool kept_name(const ib_device *d, const recipe *r, char out[65]) {
    ib_buf text;
    ib_error err;
    ib_buf_init(&text);
    ib_status st = ib_buf_addf(&text, &err, "%s\n%s\n", d->identity, r->options);
    for (cl_uint i = 0; st == IB_OK && i < r->n_sources; i++)
        st = ib_buf_add(&text, r->sources[i], r->lengths[i], &err);
    if (st == IB_OK)
        ib_sha256_hex(text.ptr, text.len, out);
    ib_buf_clear(&text);
    return st == IB_OK;
}

static cl_program from_disk(ib_device *d, const recipe *r, const char *name) {
    ib_buf binary;
    cl_int status = CL_SUCCESS, code = CL_SUCCESS;
    cl_program p = NULL;
    ib_buf_init(&binary);
    if (ib_xpu_cache_load(d, name, &binary)) {
        const unsigned char *bytes = (const unsigned char *)binary.ptr;
        const size_t n = binary.len;
        p = d->cl->clCreateProgramWithBinary(d->context, 1, &d->id, &n, &bytes, &status, &code);
        if (p && (code != CL_SUCCESS || status != CL_SUCCESS ||
                  d->cl->clBuildProgram(p, 1, &d->id, r->options, NULL, NULL) != CL_SUCCESS)) {
            (void)d->cl->clReleaseProgram(p);
            p = NULL;
        }
    }
    ib_buf_clear(&binary);
    return p;
}

static ib_status from_source(ib_device *d, cl_program *out, recipe *r, ib_error *err) {
    cl_int code = CL_SUCCESS;
    cl_program p =
        d->cl->clCreateProgramWithSource(d->context, r->n_sources, r->sources, r->lengths, &code);
    *out = NULL;
    if (!p)
        return ib_cl_fail(code, "creating a program", err);
    code = d->cl->clBuildProgram(p, 1, &d->id, r->options, NULL, NULL);
    if (code != CL_SUCCESS) {
        ib_status st = fail_build(d, p, r->name, code, err);
        (void)d->cl->clReleaseProgram(p);
        return st;
    }
    *out = p;
    return IB_OK;
}

static ib_status make_kernels(ib_device *d, ib_xpu_program *out, const recipe *r, ib_error *err) {
    for (int i = 0; r->kernels[i]; i++) {
        cl_int code = CL_SUCCESS;
        out->kernels[i] = d->cl->clCreateKernel(out->program, r->kernels[i], &code);
        if (!out->kernels[i])
            return ib_cl_fail(code, r->kernels[i], err);
    }
    return IB_OK;
}

static void release(ib_device *d, ib_xpu_program *p) {
    for (int i = 0; i < IB_XPU_MAX_KERNELS; i++)
        if (p->kernels[i])
            (void)d->cl->clReleaseKernel(p->kernels[i]);
    if (p->program)
        (void)d->cl->clReleaseProgram(p->program);
    *p = (ib_xpu_program){0};
}

/* On failure *out is empty. */
static ib_status build(ib_device *d, ib_xpu_program *out, recipe *r, ib_error *err) {
    char name[65] = "";
    const uint64_t start = ib_now_ns();
    const bool keep = d->cache_dir && kept_name(d, r, name);
    ib_status st = IB_OK;
    *out = (ib_xpu_program){0};
    if (keep)
        out->program = from_disk(d, r, name);
    const bool found = out->program != NULL;
    if (!found)
        st = from_source(d, &out->program, r, err);
    if (st == IB_OK)
        st = make_kernels(d, out, r, err);
    if (st == IB_OK && keep && !found)
        ib_xpu_cache_keep(d, name, out->program);
    if (st != IB_OK)
        release(d, out);
    d->timing.compile_ns += ib_now_ns() - start;
    d->timing.n_built += !found;
    d->timing.n_kept += found;
    ib_log_debug(d->log, "device xpu: %s kernels %s, %llu us", r->name,
                 found ? "from disk" : "built", (unsigned long long)((ib_now_ns() - start) / 1000));
    return st;
}

ib_status ib_xpu_need_rows(ib_device *d, ib_error *err) {
    static const char *const names[] = {"norm", "add_norm", "rope", "gated_act", "add", "argmax"};
    recipe r;
    begin(d, &r, "row", d->group_rows, d->lanes, "");
    add_source(&r, ib_xpu_source_rows, ib_xpu_source_rows_len);
    memcpy(r.kernels, names, sizeof names);
    return build(d, &d->rows, &r, err);
}

static ib_status need_int8(ib_device *d, ib_error *err) {
    static const char *const names[] = {"int8_columns", "int8_rows", "int8_dot1", "int8_dot4",
                                        "int8_dot8"};
    recipe r;
    begin(d, &r, "int8", d->group_linear, d->lanes, "");
    add_source(&r, ib_xpu_source_int8, ib_xpu_source_int8_len);
    memcpy(r.kernels, names, sizeof names);
    if (d->form != IB_XPU_SINGLE)
        r.kernels[IB_XPU_INT8_DOT8] = NULL;
    return build(d, &d->int8, &r, err);
}

static ib_status need_engine(ib_device *d, ib_type type, ib_error *err) {
    recipe r;
    char macros[96];
    (void)snprintf(macros, sizeof macros, "-DWT_%s=1%s", ib_type_name(type),
                   d->engine_emulated ? " -DEMULATED=1" : "");
    begin(d, &r, "matrix engine", 8 * (size_t)d->engine_lanes, d->engine_lanes, macros);
    add_source(&r, ib_xpu_source_weights, ib_xpu_source_weights_len);
    add_source(&r, ib_xpu_source_linear, ib_xpu_source_linear_len);
    add_source(&r, ib_xpu_source_engine, ib_xpu_source_engine_len);
    r.kernels[IB_XPU_GEMM_ENGINE] = "gemm_engine";
    return build(d, &d->engine[type], &r, err);
}

ib_status ib_xpu_need_weight(ib_device *d, ib_type type, ib_error *err) {
    static const char *const names[] = {"embed", "gemv1", "gemv4", "gemm", "codes1"};
    recipe r;
    char macros[64];
    if (type == IB_TYPE_INT8)
        return d->int8.program ? IB_OK : need_int8(d, err);
    if (d->weights[type].program)
        return IB_OK;
    (void)snprintf(macros, sizeof macros, "-DWT_%s=1", ib_type_name(type));
    begin(d, &r, ib_type_name(type), d->group_linear, d->lanes, macros);
    add_source(&r, ib_xpu_source_weights, ib_xpu_source_weights_len);
    add_source(&r, ib_xpu_source_linear, ib_xpu_source_linear_len);
    memcpy(r.kernels, names, sizeof names);
    if (type != IB_TYPE_NF4 && type != IB_TYPE_FP4)
        r.kernels[IB_XPU_CODES1] = NULL;
    IB_TRY(build(d, &d->weights[type], &r, err));
    return d->engine_lanes ? need_engine(d, type, err) : IB_OK;
}

ib_status ib_xpu_need_attention(ib_device *d, ib_type type, size_t head_dim,
                                const ib_xpu_program **out, ib_error *err) {
    static const char *const names[] = {"kv_write",     "eager_scores", "eager_softmax",
                                        "eager_values", "sdpa",         "flash_prefill",
                                        "flash_split",  "flash_reduce"};
    recipe r;
    char macros[64];
    for (ib_xpu_attention_program *p = d->attention; p; p = p->next)
        if (p->type == type && p->head_dim == head_dim) {
            *out = &p->p;
            return IB_OK;
        }
    ib_xpu_attention_program *p = calloc(1, sizeof *p);
    if (!p)
        return ib_fail_memory(err, sizeof *p, "attention kernels");
    (void)snprintf(macros, sizeof macros, "-DKV=%d -DHD=%zu",
                   type == IB_TYPE_F32   ? 0
                   : type == IB_TYPE_F16 ? 1
                                         : 2,
                   head_dim);
    begin(d, &r, "attention", d->group_attention, d->lanes, macros);
    add_source(&r, ib_xpu_source_attention, ib_xpu_source_attention_len);
    memcpy(r.kernels, names, sizeof names);
    ib_status st = build(d, &p->p, &r, err);
    if (st != IB_OK) {
        free(p);
        return st;
    }
    p->type = type;
    p->head_dim = head_dim;
    p->next = d->attention;
    d->attention = p;
    *out = &p->p;
    return IB_OK;
}

void ib_xpu_release_programs(ib_device *d) {
    release(d, &d->rows);
    release(d, &d->int8);
    for (int t = 0; t < IB_TYPE_COUNT; t++) {
        release(d, &d->weights[t]);
        release(d, &d->engine[t]);
    }
    while (d->attention) {
        ib_xpu_attention_program *p = d->attention;
        d->attention = p->next;
        release(d, &p->p);
        free(p);
    }
}

ib_status ib_xpu_launch(ib_device *d, cl_kernel k, const ib_xpu_arg *args, size_t n_args,
                        const ib_xpu_range *range, const char *name, ib_error *err) {
    const size_t local[3] = {range->items, 1, 1},
                 global[3] = {range->groups[0] * range->items, range->groups[1], range->groups[2]};
    for (size_t i = 0; i < n_args; i++) {
        cl_int code = d->cl->clSetKernelArg(k, (cl_uint)i, args[i].size, args[i].value);
        if (code != CL_SUCCESS)
            return ib_cl_fail(code, name, err);
    }
    cl_event *event = d->clock.first_pending ? &d->clock.first : NULL;
    d->clock.first_pending = false;
    cl_int code =
        d->cl->clEnqueueNDRangeKernel(d->queue, k, 3, NULL, global, local, 0, NULL, event);
    return code == CL_SUCCESS ? IB_OK : ib_cl_fail(code, name, err);
}
