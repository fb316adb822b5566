/* SPDX-License-Identifier: MIT
 * The OpenCL entry points this backend uses, found at run time: the program itself links no OpenCL
 * and starts without it. One table names them; ib_cl_load fills it once per process. */
#ifndef IB_BACKEND_OPENCL_CL_API_H
#define IB_BACKEND_OPENCL_CL_API_H

#define CL_TARGET_OPENCL_VERSION 120
#include "base/error.h"

#include <stdbool.h>

#include <CL/cl.h>

#define IB_CL_FUNCTIONS(X)                                                                         \
    X(clGetPlatformIDs)                                                                            \
    X(clGetPlatformInfo)                                                                           \
    X(clGetDeviceIDs)                                                                              \
    X(clGetDeviceInfo)                                                                             \
    X(clCreateContext)                                                                             \
    X(clReleaseContext)                                                                            \
    X(clCreateCommandQueue)                                                                        \
    X(clReleaseCommandQueue)                                                                       \
    X(clCreateProgramWithSource)                                                                   \
    X(clCreateProgramWithBinary)                                                                   \
    X(clGetProgramInfo)                                                                            \
    X(clBuildProgram)                                                                              \
    X(clGetProgramBuildInfo)                                                                       \
    X(clReleaseProgram)                                                                            \
    X(clCreateKernel)                                                                              \
    X(clReleaseKernel)                                                                             \
    X(clSetKernelArg)                                                                              \
    X(clEnqueueNDRangeKernel)                                                                      \
    X(clEnqueueMarker)                                                                             \
    X(clCreateBuffer)                                                                              \
    X(clReleaseMemObject)                                                                          \
    X(clEnqueueReadBuffer)                                                                         \
    X(clEnqueueWriteBuffer)                                                                        \
    X(clFinish)                                                                                    \
    X(clFlush)                                                                                     \
    X(clWaitForEvents)                                                                             \
    X(clGetEventInfo)                                                                              \
    X(clGetEventProfilingInfo)                                                                     \
    X(clReleaseEvent)

/* The deprecated 1.2 entry points clCreateCommandQueue and clEnqueueMarker are meant: every driver
 * has them, whatever its version. */
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#endif
typedef struct ib_cl_api {
#define X(name) __typeof__(&name) name;
    IB_CL_FUNCTIONS(X)
#undef X
} ib_cl_api;
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

/* The process's table; IB_E_DEVICE with the loader's words when there is no OpenCL library. Several
 * threads may ask at once. */
ib_status ib_cl_load(const ib_cl_api **out, ib_error *err) IB_MUST_CHECK;
/* "CL_OUT_OF_RESOURCES" and so on. */
const char *ib_cl_error_name(cl_int code);
/* Sets err for a failed call: IB_E_RESOURCE when memory ran out, else IB_E_DEVICE.
 * CL_OUT_OF_RESOURCES counts as the latter: drivers report lost devices and failed kernels so. */
ib_status ib_cl_fail(cl_int code, const char *doing, ib_error *err);

#endif
