/* SPDX-License-Identifier: MIT
 * Kernel sources (embedded at build time) -> programs and kernels on the device, and their launch.
 */
#include "backend/opencl/xpu.h"
#include "backend/opencl/xpu_kernels.h" /* generated from kernels/ */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kernel_names[IB_XPU_KERNELS] = {
    "norm",          "rope",         "kv_write",      "gated_act",    "add",
    "argmax",        "eager_scores", "eager_softmax", "eager_values", "sdpa",
    "flash_prefill", "flash_split",  "flash_reduce"};

/* The first lines of the compiler's log, for the message. */
static ib_status fail_build(ib_device *d, cl_program p, const char *name, cl_int code,
                            ib_error *err) {
    char log[400] = "", quoted[IB_QUOTED];
    size_t n = 0;
    (void)d->cl->clGetProgramBuildInfo(p, d->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &n);
    char *whole = n ? malloc(n + 1) : NULL;
    if (whole) {
        (void)d->cl->clGetProgramBuildInfo(p, d->id, CL_PROGRAM_BUILD_LOG, n, whole, NULL);
        whole[n] = '\0';
        (void)snprintf(log, sizeof log, "%.399s", whole);
    }
    free(whole);
    return ib_fail(err, IB_E_DEVICE,
                   "device xpu: building the %s kernels failed (%s): %s; fix: update the driver",
                   name, ib_cl_error_name(code), ib_quotez(log, quoted));
}

static ib_status build(ib_device *d, cl_program *out, const char *source, size_t n,
                       const char *macro, const char *name, ib_error *err) {
    char options[160];
    cl_int code = CL_SUCCESS;
    (void)snprintf(options, sizeof options, "-cl-std=CL1.2 -DGROUP=%d -DMAX_HEAD_DIM=256 %s",
                   IB_XPU_GROUP, macro);
    cl_program p = d->cl->clCreateProgramWithSource(d->context, 1, &source, &n, &code);
    if (!p)
        return ib_cl_fail(code, "creating a program", err);
    code = d->cl->clBuildProgram(p, 1, &d->id, options, NULL, NULL);
    if (code != CL_SUCCESS) {
        ib_status st = fail_build(d, p, name, code, err);
        (void)d->cl->clReleaseProgram(p);
        return st;
    }
    *out = p;
    return IB_OK;
}

static ib_status kernel(ib_device *d, cl_kernel *out, cl_program p, const char *name,
                        ib_error *err) {
    cl_int code = CL_SUCCESS;
    *out = d->cl->clCreateKernel(p, name, &code);
    return *out ? IB_OK : ib_cl_fail(code, name, err);
}

ib_status ib_xpu_build_common(ib_device *d, ib_error *err) {
    IB_TRY(build(d, &d->common, ib_xpu_source_common, ib_xpu_source_common_len, "", "common", err));
    for (int i = 0; i < IB_XPU_KERNELS; i++)
        IB_TRY(kernel(d, &d->kernels[i], d->common, kernel_names[i], err));
    return IB_OK;
}

ib_status ib_xpu_build_weight(ib_device *d, ib_type type, ib_error *err) {
    ib_xpu_weight_program *w = &d->weight_programs[type];
    char macro[48];
    if (w->program)
        return IB_OK;
    (void)snprintf(macro, sizeof macro, "-DWT_%s=1", ib_type_name(type));
    IB_TRY(build(d, &w->program, ib_xpu_source_weights, ib_xpu_source_weights_len, macro,
                 ib_type_name(type), err));
    IB_TRY(kernel(d, &w->embed, w->program, "embed", err));
    IB_TRY(kernel(d, &w->gemv, w->program, "gemv", err));
    return kernel(d, &w->gemm, w->program, "gemm", err);
}

static void release_kernel(ib_device *d, cl_kernel k) {
    if (k)
        (void)d->cl->clReleaseKernel(k);
}

void ib_xpu_release_programs(ib_device *d) {
    for (int i = 0; i < IB_XPU_KERNELS; i++)
        release_kernel(d, d->kernels[i]);
    for (int t = 0; t < IB_TYPE_COUNT; t++) {
        ib_xpu_weight_program *w = &d->weight_programs[t];
        release_kernel(d, w->embed);
        release_kernel(d, w->gemv);
        release_kernel(d, w->gemm);
        if (w->program)
            (void)d->cl->clReleaseProgram(w->program);
    }
    if (d->common)
        (void)d->cl->clReleaseProgram(d->common);
}

ib_status ib_xpu_launch(ib_device *d, cl_kernel k, const ib_xpu_arg *args, size_t n_args,
                        const size_t groups[3], const size_t local[3], const char *name,
                        ib_error *err) {
    size_t global[3];
    for (size_t i = 0; i < n_args; i++) {
        cl_int code = d->cl->clSetKernelArg(k, (cl_uint)i, args[i].size, args[i].value);
        if (code != CL_SUCCESS)
            return ib_cl_fail(code, name, err);
    }
    for (int i = 0; i < 3; i++)
        global[i] = groups[i] * local[i];
    cl_int code = d->cl->clEnqueueNDRangeKernel(d->queue, k, 3, NULL, global, local, 0, NULL, NULL);
    return code == CL_SUCCESS ? IB_OK : ib_cl_fail(code, name, err);
}
