/* SPDX-License-Identifier: MIT
 * See opencl.h. Two platforms: the first with a GPU of another maker and a processor, the second
 * with an Intel GPU that has sub-groups and a matrix engine. The environment variable
 * IB_FAKE_OPENCL gives the plan to a whole program: "lost=9,fail=3,build,none,empty,garbage". */
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#if defined(__GNUC__) /* the rest of the tree is built with hidden symbols */
#pragma GCC visibility push(default)
#endif
#include "opencl.h"

#include <CL/cl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fake_reset(const fake_plan *plan);
void fake_read(fake_counts *out);

enum { ALIVE = 0x5EED, MOST_ARGS = 32 };

typedef enum kind { CONTEXT, QUEUE, PROGRAM, KERNEL, BUFFER, EVENT } kind;

typedef struct object {
    unsigned alive;
    kind kind;
    int owns; /* data is ours */
    size_t size;
    unsigned char *data;
    char *name;
    unsigned long long set; /* arguments that were given */
} object;

static fake_plan plan;
static fake_counts counts;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char platforms[2], devices[3]; /* their addresses are the ids */

static long number_after(const char *text, const char *word) {
    const char *p = strstr(text, word);
    return p ? strtol(p + strlen(word), NULL, 10) : 0;
}

static void read_environment(void) {
    const char *text = getenv("IB_FAKE_OPENCL");
    if (!text)
        return;
    plan.fail_at = number_after(text, "fail=");
    plan.lost_at = number_after(text, "lost=");
    plan.build_fails = strstr(text, "build") != NULL;
    plan.no_platforms = strstr(text, "none") ? 1 : strstr(text, "empty") ? 2 : 0;
    plan.garbage = strstr(text, "garbage") != NULL;
}

void fake_reset(const fake_plan *p) {
    (void)pthread_once(&once, read_environment);
    plan = *p;
    memset(&counts, 0, sizeof counts);
}

void fake_read(fake_counts *out) {
    *out = counts;
}

/* --- objects --- */

static object *make(kind k, size_t size, cl_int *code, cl_int failure) {
    (void)pthread_mutex_lock(&lock);
    counts.made++;
    const int fails = plan.fail_at && counts.made >= plan.fail_at;
    (void)pthread_mutex_unlock(&lock);
    object *o = fails ? NULL : calloc(1, sizeof *o);
    if (code)
        *code = o ? CL_SUCCESS : failure;
    if (!o)
        return NULL;
    o->alive = ALIVE;
    o->kind = k;
    o->size = size;
    counts.live++;
    return o;
}

static cl_int drop(void *p, kind k) {
    object *o = p;
    if (!o || o->alive != ALIVE || o->kind != k) {
        counts.bad++;
        return CL_INVALID_VALUE;
    }
    o->alive = 0;
    counts.live--;
    if (o->owns)
        free(o->data);
    free(o->name);
    free(o);
    return CL_SUCCESS;
}

static cl_int sent(void) {
    counts.sent++;
    return plan.lost_at && counts.sent >= plan.lost_at ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
}

static cl_int event_for(cl_event *event) {
    cl_int code = CL_SUCCESS;
    if (event)
        *event = (cl_event)(void *)make(EVENT, 0, &code, CL_OUT_OF_HOST_MEMORY);
    return code;
}

/* --- platforms and devices --- */

cl_int clGetPlatformIDs(cl_uint n, cl_platform_id *out, cl_uint *found) {
    (void)pthread_once(&once, read_environment);
    if (plan.no_platforms == 1)
        return -1001;
    for (cl_uint i = 0; out && i < n && i < 2; i++)
        out[i] = (cl_platform_id)(void *)&platforms[i];
    if (found)
        *found = 2;
    return CL_SUCCESS;
}

static cl_int give(const void *from, size_t bytes, size_t size, void *out, size_t *needed) {
    if (needed)
        *needed = bytes;
    if (!out)
        return CL_SUCCESS;
    if (size < bytes)
        return CL_INVALID_VALUE;
    memcpy(out, from, bytes);
    return CL_SUCCESS;
}

static cl_int give_text(const char *text, size_t size, void *out, size_t *needed) {
    static const char odd[] = "\033[31m\001<script>\377\300\200\"'\n%s%n";
    if (!plan.garbage)
        return give(text, strlen(text) + 1, size, out, needed);
    return give(odd, sizeof odd - 1, size, out, needed); /* no zero at the end */
}

cl_int clGetPlatformInfo(cl_platform_id p, cl_platform_info what, size_t size, void *out,
                         size_t *needed) {
    (void)p;
    (void)what;
    return give_text("Fake platform", size < 14 ? 14 : size, out, needed);
}

cl_int clGetDeviceIDs(cl_platform_id p, cl_device_type type, cl_uint n, cl_device_id *out,
                      cl_uint *found) {
    cl_device_id ids[2];
    cl_uint have = 0;
    if (plan.no_platforms == 2)
        return CL_DEVICE_NOT_FOUND;
    if ((void *)p == &platforms[0]) {
        if (type & CL_DEVICE_TYPE_GPU)
            ids[have++] = (cl_device_id)(void *)&devices[0];
        if (type & CL_DEVICE_TYPE_CPU)
            ids[have++] = (cl_device_id)(void *)&devices[2];
    } else if (type & CL_DEVICE_TYPE_GPU)
        ids[have++] = (cl_device_id)(void *)&devices[1];
    for (cl_uint i = 0; out && i < n && i < have; i++)
        out[i] = ids[i];
    if (found)
        *found = plan.garbage && have ? 4000000000u : have;
    return have ? CL_SUCCESS : CL_DEVICE_NOT_FOUND;
}

static cl_int device_text(const char *d, cl_device_info what, size_t size, void *out,
                          size_t *needed) {
    const int intel = d == &devices[1];
    switch (what) {
    case CL_DEVICE_NAME:
        return give_text(intel              ? "Fake Arc"
                         : d == &devices[0] ? "Fake GeForce"
                                            : "Fake processor",
                         size, out, needed);
    case CL_DEVICE_VENDOR:
        return give_text(intel ? "Intel(R) Corporation" : "Another", size, out, needed);
    case CL_DEVICE_EXTENSIONS:
        return give_text(intel ? "cl_khr_fp16 cl_intel_subgroups cl_intel_required_subgroup_size "
                                 "cl_intel_subgroup_matrix_multiply_accumulate"
                               : "cl_khr_fp16 cl_intel_subgroups_char",
                         size, out, needed);
    default:
        return give_text("1.0", size, out, needed);
    }
}

cl_int clGetDeviceInfo(cl_device_id d, cl_device_info what, size_t size, void *out,
                       size_t *needed) {
    const char *id = (const char *)(void *)d;
    const cl_device_type type = id == &devices[2] ? CL_DEVICE_TYPE_CPU : CL_DEVICE_TYPE_GPU;
    const cl_ulong memory = 1u << 30;
    const cl_uint units = 8, unified = 0;
    const size_t most = 1024, sizes[3] = {8, 16, 32};
    const cl_platform_id of = (cl_platform_id)(void *)&platforms[id == &devices[1]];
    switch (what) {
    case CL_DEVICE_TYPE:
        return give(&type, sizeof type, size, out, needed);
    case CL_DEVICE_GLOBAL_MEM_SIZE:
        return give(&memory, sizeof memory, size, out, needed);
    case CL_DEVICE_MAX_COMPUTE_UNITS:
        return give(&units, sizeof units, size, out, needed);
    case CL_DEVICE_HOST_UNIFIED_MEMORY:
        return give(&unified, sizeof unified, size, out, needed);
    case CL_DEVICE_MAX_WORK_GROUP_SIZE:
        return give(&most, sizeof most, size, out, needed);
    case CL_DEVICE_PLATFORM:
        return give(&of, sizeof of, size, out, needed);
    case 0x4108: /* sub-group sizes */
        return give(sizes, sizeof sizes, size, out, needed);
    default:
        return device_text(id, what, size, out, needed);
    }
}

/* --- context, queue, programs --- */

cl_context clCreateContext(const cl_context_properties *props, cl_uint n, const cl_device_id *ids,
                           void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *),
                           void *user, cl_int *code) {
    (void)props, (void)n, (void)ids, (void)notify, (void)user;
    return (cl_context)(void *)make(CONTEXT, 0, code, CL_OUT_OF_HOST_MEMORY);
}
cl_int clReleaseContext(cl_context c) {
    return drop(c, CONTEXT);
}
cl_command_queue clCreateCommandQueue(cl_context c, cl_device_id d,
                                      cl_command_queue_properties props, cl_int *code) {
    (void)c, (void)d, (void)props;
    return (cl_command_queue)(void *)make(QUEUE, 0, code, CL_OUT_OF_HOST_MEMORY);
}
cl_int clReleaseCommandQueue(cl_command_queue q) {
    return drop(q, QUEUE);
}

static const char binary[] = "a program of the stand-in";

cl_program clCreateProgramWithSource(cl_context c, cl_uint n, const char **texts,
                                     const size_t *lens, cl_int *code) {
    (void)c, (void)n, (void)texts, (void)lens;
    return (cl_program)(void *)make(PROGRAM, 0, code, CL_OUT_OF_HOST_MEMORY);
}
cl_program clCreateProgramWithBinary(cl_context c, cl_uint n, const cl_device_id *ids,
                                     const size_t *lens, const unsigned char **bytes,
                                     cl_int *status, cl_int *code) {
    (void)c, (void)n, (void)ids;
    if (plan.binary_refused || lens[0] != sizeof binary ||
        memcmp(bytes[0], binary, sizeof binary) != 0) {
        *status = *code = CL_INVALID_BINARY;
        return NULL;
    }
    *status = CL_SUCCESS;
    return (cl_program)(void *)make(PROGRAM, 0, code, CL_OUT_OF_HOST_MEMORY);
}
cl_int clBuildProgram(cl_program p, cl_uint n, const cl_device_id *ids, const char *options,
                      void(CL_CALLBACK *notify)(cl_program, void *), void *user) {
    (void)p, (void)n, (void)ids, (void)options, (void)notify, (void)user;
    return plan.build_fails ? CL_BUILD_PROGRAM_FAILURE : CL_SUCCESS;
}
cl_int clGetProgramBuildInfo(cl_program p, cl_device_id d, cl_program_build_info what, size_t size,
                             void *out, size_t *needed) {
    (void)p, (void)d, (void)what;
    return give_text("k.cl:7:3: error: the moon is in the wrong quarter", size, out, needed);
}
cl_int clGetProgramInfo(cl_program p, cl_program_info what, size_t size, void *out,
                        size_t *needed) {
    const size_t n = sizeof binary;
    (void)p;
    if (what == CL_PROGRAM_BINARY_SIZES)
        return give(&n, sizeof n, size, out, needed);
    memcpy(((unsigned char **)out)[0], binary, n);
    return CL_SUCCESS;
}
cl_int clReleaseProgram(cl_program p) {
    return drop(p, PROGRAM);
}

cl_kernel clCreateKernel(cl_program p, const char *name, cl_int *code) {
    object *o = make(KERNEL, 0, code, CL_OUT_OF_HOST_MEMORY);
    (void)p;
    if (o) {
        o->name = malloc(strlen(name) + 1);
        if (o->name)
            memcpy(o->name, name, strlen(name) + 1);
    }
    return (cl_kernel)(void *)o;
}
cl_int clReleaseKernel(cl_kernel k) {
    return drop(k, KERNEL);
}
cl_int clSetKernelArg(cl_kernel k, cl_uint i, size_t size, const void *value) {
    object *o = (object *)(void *)k;
    if (!value || !size || i >= MOST_ARGS)
        return CL_INVALID_ARG_VALUE;
    o->set |= 1ull << i;
    return CL_SUCCESS;
}

/* --- memory and the queue --- */

cl_mem clCreateBuffer(cl_context c, cl_mem_flags flags, size_t size, void *host, cl_int *code) {
    object *o = make(BUFFER, size, code, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    (void)c;
    if (!o)
        return NULL;
    o->owns = !(flags & CL_MEM_USE_HOST_PTR);
    o->data = o->owns ? calloc(1, size ? size : 1) : host;
    if (!o->data) {
        (void)drop(o, BUFFER);
        *code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
        return NULL;
    }
    return (cl_mem)(void *)o;
}
cl_int clReleaseMemObject(cl_mem m) {
    return drop(m, BUFFER);
}
static cl_int copy(cl_mem m, size_t at, size_t size, void *out, const void *in) {
    object *o = (object *)(void *)m;
    cl_int code = sent();
    if (code != CL_SUCCESS)
        return code;
    if (at > o->size || size > o->size - at)
        return CL_INVALID_VALUE;
    if (out)
        memcpy(out, o->data + at, size);
    if (in)
        memcpy(o->data + at, in, size);
    return CL_SUCCESS;
}
cl_int clEnqueueReadBuffer(cl_command_queue q, cl_mem m, cl_bool block, size_t at, size_t size,
                           void *out, cl_uint n, const cl_event *waits, cl_event *event) {
    (void)q, (void)block, (void)n, (void)waits, (void)event;
    return copy(m, at, size, out, NULL);
}
cl_int clEnqueueWriteBuffer(cl_command_queue q, cl_mem m, cl_bool block, size_t at, size_t size,
                            const void *in, cl_uint n, const cl_event *waits, cl_event *event) {
    (void)q, (void)block, (void)n, (void)waits, (void)event;
    return copy(m, at, size, NULL, in);
}
cl_int clEnqueueNDRangeKernel(cl_command_queue q, cl_kernel k, cl_uint dims, const size_t *offset,
                              const size_t *global, const size_t *local, cl_uint n,
                              const cl_event *waits, cl_event *event) {
    const object *o = (const object *)(void *)k;
    cl_int code = sent();
    (void)q, (void)offset, (void)n, (void)waits;
    if (!o->set || (o->set & (o->set + 1))) /* arguments 0 .. m, none left out */
        counts.bad++;
    for (cl_uint i = 0; i < dims; i++)
        if (!local[i] || !global[i] || global[i] % local[i])
            counts.bad++;
    return code == CL_SUCCESS ? event_for(event) : code;
}
cl_int clEnqueueMarker(cl_command_queue q, cl_event *event) {
    cl_int code = sent();
    (void)q;
    return code == CL_SUCCESS ? event_for(event) : code;
}
cl_int clFinish(cl_command_queue q) {
    (void)q;
    return sent();
}
cl_int clFlush(cl_command_queue q) {
    (void)q;
    return sent();
}
cl_int clWaitForEvents(cl_uint n, const cl_event *events) {
    (void)n, (void)events;
    return sent();
}
cl_int clGetEventInfo(cl_event e, cl_event_info what, size_t size, void *out, size_t *needed) {
    const cl_int state = CL_COMPLETE;
    (void)e, (void)what;
    return give(&state, sizeof state, size, out, needed);
}
cl_int clGetEventProfilingInfo(cl_event e, cl_profiling_info what, size_t size, void *out,
                               size_t *needed) {
    const cl_ulong at = what == CL_PROFILING_COMMAND_QUEUED  ? 1000
                        : what == CL_PROFILING_COMMAND_START ? 1500
                                                             : 5000;
    (void)e;
    return give(&at, sizeof at, size, out, needed);
}
cl_int clReleaseEvent(cl_event e) {
    return drop(e, EVENT);
}
