/* SPDX-License-Identifier: MIT
 * See cl_api.h. The library stays loaded: drivers do not survive being unloaded. */
#include "backend/opencl/cl_api.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

static ib_cl_api api;
static ib_error load_error;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        (void)ib_fail(&load_error, IB_E_DEVICE,
                      "device xpu: no OpenCL library: %s; fix: install ocl-icd-libopencl1 and the "
                      "device's driver",
                      why ? why : "unknown");
        return;
    }
#define X(name)                                                                                    \
    {                                                                                              \
        void *symbol = dlsym(library, #name);                                                      \
        if (!symbol) {                                                                             \
            (void)ib_fail(&load_error, IB_E_DEVICE,                                                \
                          "device xpu: the OpenCL library lacks %s; fix: install a newer one",     \
                          #name);                                                                  \
            return;                                                                                \
        }                                                                                          \
        memcpy(&api.name, &symbol, sizeof symbol);                                                 \
    }
    IB_CL_FUNCTIONS(X)
#undef X
}

ib_status ib_cl_load(const ib_cl_api **out, ib_error *err) {
    (void)pthread_once(&once, load);
    *out = &api;
    if (load_error.status == IB_OK)
        return IB_OK;
    return ib_fail(err, load_error.status, "%s", load_error.text);
}

const char *ib_cl_error_name(cl_int code) {
    static const struct {
        cl_int code;
        const char *name;
    } names[] = {
        {CL_DEVICE_NOT_FOUND, "CL_DEVICE_NOT_FOUND"},
        {CL_DEVICE_NOT_AVAILABLE, "CL_DEVICE_NOT_AVAILABLE"},
        {CL_COMPILER_NOT_AVAILABLE, "CL_COMPILER_NOT_AVAILABLE"},
        {CL_MEM_OBJECT_ALLOCATION_FAILURE, "CL_MEM_OBJECT_ALLOCATION_FAILURE"},
        {CL_OUT_OF_RESOURCES, "CL_OUT_OF_RESOURCES"},
        {CL_OUT_OF_HOST_MEMORY, "CL_OUT_OF_HOST_MEMORY"},
        {CL_BUILD_PROGRAM_FAILURE, "CL_BUILD_PROGRAM_FAILURE"},
        {CL_INVALID_VALUE, "CL_INVALID_VALUE"},
        {CL_INVALID_BUFFER_SIZE, "CL_INVALID_BUFFER_SIZE"},
        {CL_INVALID_KERNEL_NAME, "CL_INVALID_KERNEL_NAME"},
        {CL_INVALID_KERNEL_ARGS, "CL_INVALID_KERNEL_ARGS"},
        {CL_INVALID_WORK_GROUP_SIZE, "CL_INVALID_WORK_GROUP_SIZE"},
        {CL_INVALID_EVENT, "CL_INVALID_EVENT"},
        {-1001, "CL_PLATFORM_NOT_FOUND_KHR"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code)
            return names[i].name;
    return "an OpenCL error";
}

ib_status ib_cl_fail(cl_int code, const char *doing, ib_error *err) {
    bool memory = code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_HOST_MEMORY ||
                  code == CL_INVALID_BUFFER_SIZE;
    return ib_fail(err, memory ? IB_E_RESOURCE : IB_E_DEVICE, "device xpu: %s: %s (%d); fix: %s",
                   doing, ib_cl_error_name(code), (int)code,
                   memory ? "use a smaller model or context" : "check the device and its driver");
}
