/* SPDX-License-Identifier: MIT
 * What the files of the OpenCL backend share: the device, its memory, and how a kernel is launched.
 *
 * Activations are fp32. Kernels are plain OpenCL 1.2 C with local-memory reductions in work-groups
 * of IB_XPU_GROUP; one program per weight format (the format is a macro), one for everything else.
 */
#ifndef IB_BACKEND_OPENCL_XPU_H
#define IB_BACKEND_OPENCL_XPU_H

#include "backend/backend.h"
#include "backend/opencl/cl_api.h"

enum { IB_XPU_MARKS = 8, IB_XPU_GROUP = 64, IB_XPU_MAX_DEVICES = 64, IB_XPU_SPLITS = 16 };

/* Kernels of the common program, in the order of ib_xpu_kernel_names. */
typedef enum ib_xpu_kernel {
    IB_XPU_NORM,
    IB_XPU_ROPE,
    IB_XPU_KV_WRITE,
    IB_XPU_GATED_ACT,
    IB_XPU_ADD,
    IB_XPU_ARGMAX,
    IB_XPU_EAGER_SCORES,
    IB_XPU_EAGER_SOFTMAX,
    IB_XPU_EAGER_VALUES,
    IB_XPU_SDPA,
    IB_XPU_FLASH_PREFILL,
    IB_XPU_FLASH_SPLIT,
    IB_XPU_FLASH_REDUCE,
    IB_XPU_KERNELS
} ib_xpu_kernel;

typedef struct ib_xpu_weight_program { /* of one weight format */
    cl_program program;
    cl_kernel embed, gemv, gemm;
} ib_xpu_weight_program;

struct ib_buffer {
    cl_mem mem;
    uint64_t bytes;
    ib_memory_tag tag;
};

struct ib_weight {
    ib_type type;
    uint64_t n_rows, n_cols, bytes;
    uint32_t blocksize;
    int nested; /* 1: absmax_u8, nested_absmax, nested_map; 0: absmax */
    float nested_offset;
    cl_mem data, absmax, nested_absmax, nested_map;
};

struct ib_kv { /* keys and values each [n_layers, n_seqs, n_kv_heads, n_ctx, head_dim] */
    ib_kv_spec spec;
    cl_mem k, v;
    uint64_t bytes;
};

struct ib_device {
    ib_device_head head;
    const ib_cl_api *cl;
    cl_platform_id platform;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    cl_program common;
    cl_kernel kernels[IB_XPU_KERNELS];
    ib_xpu_weight_program weight_programs[IB_TYPE_COUNT];
    ib_ledger ledger;
    ib_device_info info;
    cl_mem scratch; /* eager: score matrix; flash: partial results */
    uint64_t scratch_bytes;
    cl_mem none; /* a small buffer for arguments that a format does not use */
    cl_event marks[IB_XPU_MARKS];
};

/* device.c: choosing */
ib_status ib_xpu_list(const ib_cl_api *cl, cl_device_id *devices, int *n, bool host_cpu,
                      ib_error *err);

/* program.c */
ib_status ib_xpu_build_common(ib_device *d, ib_error *err);
ib_status ib_xpu_build_weight(ib_device *d, ib_type type, ib_error *err); /* once per format */
void ib_xpu_release_programs(ib_device *d);

/* One kernel launch: arguments by value or as cl_mem, then a range of up to 3 dimensions. */
typedef struct ib_xpu_arg {
    size_t size;
    const void *value;
} ib_xpu_arg;
#define IB_XPU_ARG(x) ((ib_xpu_arg){sizeof(x), &(x)})
ib_status ib_xpu_launch(ib_device *d, cl_kernel kernel, const ib_xpu_arg *args, size_t n_args,
                        const size_t groups[3], const size_t local[3], const char *name,
                        ib_error *err);

/* memory.c */
ib_status ib_xpu_alloc(ib_device *d, cl_mem *out, uint64_t bytes, const void *from,
                       ib_memory_tag tag, const char *what, ib_error *err);
void ib_xpu_release(ib_device *d, cl_mem mem, uint64_t bytes, ib_memory_tag tag);
ib_status ib_xpu_buffer_new(ib_device *d, ib_buffer **out, size_t bytes, ib_memory_tag tag,
                            ib_error *err);
void ib_xpu_buffer_free(ib_device *d, ib_buffer *b);
ib_status ib_xpu_upload(ib_device *d, ib_buffer *to, size_t offset, const void *from, size_t bytes,
                        ib_error *err);
ib_status ib_xpu_download(ib_device *d, void *to, const ib_buffer *from, size_t offset,
                          size_t bytes, ib_error *err);
ib_status ib_xpu_weight_new(ib_device *d, ib_weight **out, const ib_matrix *m, bool borrowable,
                            ib_error *err);
void ib_xpu_weight_free(ib_device *d, ib_weight *w);
ib_status ib_xpu_kv_new(ib_device *d, ib_kv **out, const ib_kv_spec *spec, ib_error *err);
void ib_xpu_kv_free(ib_device *d, ib_kv *kv);
ib_status ib_xpu_reserve(ib_device *d, const ib_limits *limits, ib_error *err);
void ib_xpu_ledger(const ib_device *d, ib_ledger *out);

/* ops.c */
bool ib_xpu_weight_type_ok(ib_type type);
ib_status ib_xpu_embed(ib_device *d, const ib_weight *table, ib_tensor ids, ib_tensor out,
                       float scale, ib_error *err);
ib_status ib_xpu_norm(ib_device *d, const ib_norm_args *a, ib_error *err);
ib_status ib_xpu_linear(ib_device *d, const ib_linear_args *a, ib_error *err);
ib_status ib_xpu_rope(ib_device *d, const ib_rope_args *a, ib_error *err);
ib_status ib_xpu_kv_write(ib_device *d, const ib_kv_write_args *a, ib_error *err);
ib_status ib_xpu_gated_act(ib_device *d, const ib_gated_act_args *a, ib_error *err);
ib_status ib_xpu_add(ib_device *d, ib_tensor x, ib_tensor y, float scale, ib_error *err);
ib_status ib_xpu_argmax(ib_device *d, ib_tensor logits, ib_tensor out, ib_error *err);

/* attention.c */
ib_status ib_xpu_attention(ib_device *d, const ib_attention_args *a, ib_error *err);

#endif
