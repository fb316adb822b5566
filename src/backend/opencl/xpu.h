/* SPDX-License-Identifier: MIT
 * What the files of the OpenCL backend share: the device, its memory, its programs, and how a
 * kernel is launched.
 *
 * Activations are fp32. Each kernel exists in three forms (kernels/forms.cl) of which the device
 * decides one. A program is built when it is first needed: one for operations on rows, one per
 * cache type and head dimension, one or two per weight format. */
#ifndef IB_BACKEND_OPENCL_XPU_H
#define IB_BACKEND_OPENCL_XPU_H

#include "backend/backend.h"
#include "backend/opencl/cl_api.h"

enum {
    IB_XPU_MARKS = 8,
    IB_XPU_LINE = 64, /* items of a work-group of element-wise kernels */
    IB_XPU_MAX_DEVICES = 64,
    IB_XPU_SPLITS = 16,
    IB_XPU_MAX_KERNELS = 9, /* of one program */
    IB_XPU_SPARE_BYTES = 65536,
    IB_XPU_WARM_ROWS = 17, /* of x, and columns, that warming up takes at most */
    IB_XPU_WARM_COLS = 256
};

typedef enum ib_xpu_form { IB_XPU_SINGLE, IB_XPU_LOCAL, IB_XPU_SUBGROUP } ib_xpu_form;

/* Kernels by program, in the order of the names in program.c. */
enum { IB_XPU_NORM, IB_XPU_ADD_NORM, IB_XPU_ROPE, IB_XPU_GATED_ACT, IB_XPU_ADD, IB_XPU_ARGMAX };
enum {
    IB_XPU_KV_WRITE,
    IB_XPU_EAGER_SCORES,
    IB_XPU_EAGER_SOFTMAX,
    IB_XPU_EAGER_VALUES,
    IB_XPU_SDPA,
    IB_XPU_FLASH_PREFILL,
    IB_XPU_FLASH_SPLIT,
    IB_XPU_FLASH_REDUCE
};
enum { IB_XPU_EMBED, IB_XPU_GEMV1, IB_XPU_GEMV4, IB_XPU_GEMM, IB_XPU_CODES1 };
enum { IB_XPU_GEMM_ENGINE };
enum {
    IB_XPU_INT8_COLUMNS,
    IB_XPU_INT8_ROWS,
    IB_XPU_INT8_DOT1,
    IB_XPU_INT8_DOT4,
    IB_XPU_INT8_DOT8
};

typedef struct ib_xpu_program {
    cl_program program;
    cl_kernel kernels[IB_XPU_MAX_KERNELS];
} ib_xpu_program;

typedef struct ib_xpu_attention_program { /* a list: one per cache type and head dimension */
    ib_xpu_program p;
    ib_type type;
    size_t head_dim;
    struct ib_xpu_attention_program *next; /* owned */
} ib_xpu_attention_program;

struct ib_buffer {
    cl_mem mem;
    uint64_t bytes;
    ib_memory_tag tag;
};

struct ib_weight {
    ib_type type;
    uint64_t n_rows, n_cols, bytes;
    uint64_t data_at; /* bytes from the start of data to the first element */
    bool mapped;      /* data is the caller's memory */
    uint32_t blocksize;
    int nested; /* 1: absmax_u8, nested_absmax, nested_map; 0: absmax */
    float nested_offset, threshold;
    uint64_t scale_bytes, nested_bytes;
    cl_mem data, absmax, nested_absmax, nested_map; /* absmax: scb of LLM.int8 */
};

struct ib_kv { /* keys and values each [n_layers, n_seqs, n_kv_heads, n_ctx, head_dim] */
    ib_kv_spec spec;
    cl_mem k, v;
    uint64_t bytes;
    const ib_xpu_program *program; /* borrowed from the device */
};

/* What a decode step cost by the device's own clock: timing.c. */
typedef struct ib_xpu_clock {
    bool open, first_pending;
    cl_event first, last; /* first kernel and end of the step */
} ib_xpu_clock;

struct ib_device {
    ib_device_head head;
    const ib_cl_api *cl;
    const ib_log *log;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    ib_xpu_form form;
    int lanes;            /* items of a sub-group */
    int engine_lanes;     /* the same for the matrix engine; 0: none */
    bool engine_emulated; /* its instruction written out: for tests */
    bool unified;         /* the device reads the host's memory */
    bool half;            /* cl_khr_fp16 */
    size_t group_rows, group_linear, group_attention;
    ib_xpu_program rows, weights[IB_TYPE_COUNT], engine[IB_TYPE_COUNT], int8;
    ib_xpu_attention_program *attention; /* owned list */
    ib_ledger ledger;
    ib_device_info info;
    ib_device_timing timing;
    ib_xpu_clock clock;
    char *cache_dir;    /* owned; NULL: programs are not kept */
    char identity[640]; /* of device and driver, for the names of kept programs */
    ib_limits limits;   /* of the last reserve */
    cl_mem scratch;     /* eager: score matrix; flash: partial results */
    cl_mem codes, code_scales, code_flags; /* LLM.int8: rows of x as codes */
    uint64_t scratch_bytes, codes_bytes, code_scale_bytes, code_flag_bytes;
    cl_mem zeros, sink; /* IB_XPU_SPARE_BYTES each: unused arguments, and warming up */
    cl_event marks[IB_XPU_MARKS];
};

/* choose.c: which devices there are, and what one can do */
ib_status ib_xpu_list(const ib_cl_api *cl, cl_device_id *devices, int *n, bool host_cpu,
                      ib_error *err);
void ib_xpu_read_info(const ib_cl_api *cl, cl_device_id id, ib_device_info *out);
/* Sets form, lanes, engine and group sizes of a device whose id is set. wanted: NULL or a form. */
ib_status ib_xpu_settle_form(ib_device *d, const char *wanted, ib_compute compute, ib_error *err);

/* program.c */
ib_status ib_xpu_need_rows(ib_device *d, ib_error *err);
ib_status ib_xpu_need_weight(ib_device *d, ib_type type, ib_error *err);
ib_status ib_xpu_need_attention(ib_device *d, ib_type type, size_t head_dim,
                                const ib_xpu_program **out, ib_error *err);
void ib_xpu_release_programs(ib_device *d);

/* cache.c: programs kept on disk. name is 64 hex digits. A miss is not an error. */
bool ib_xpu_cache_load(const ib_device *d, const char *name, ib_buf *out);
void ib_xpu_cache_keep(const ib_device *d, const char *name, cl_program p);

/* One kernel launch: arguments by value or as cl_mem, then a range of up to 3 dimensions. */
typedef struct ib_xpu_arg {
    size_t size;
    const void *value;
} ib_xpu_arg;
#define IB_XPU_ARG(x) ((ib_xpu_arg){sizeof(x), &(x)})
typedef struct ib_xpu_range {
    size_t groups[3], items; /* items of a work-group, all along the first dimension */
} ib_xpu_range;
ib_status ib_xpu_launch(ib_device *d, cl_kernel kernel, const ib_xpu_arg *args, size_t n_args,
                        const ib_xpu_range *range, const char *name, ib_error *err);
static inline size_t ib_xpu_ceil(size_t n, size_t size) {
    return n / size + (n % size != 0);
}

/* memory.c */
void ib_xpu_ledger_add(ib_ledger *l, uint64_t bytes, ib_memory_tag tag);
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
ib_status ib_xpu_kv_new(ib_device *d, ib_kv **out, const ib_kv_spec *spec, ib_error *err);
void ib_xpu_kv_free(ib_device *d, ib_kv *kv);
ib_status ib_xpu_reserve(ib_device *d, const ib_limits *limits, ib_error *err);
/* Room for the codes of LLM.int8: what the last reserve needs, or warming up; nothing without such
 * weights. */
ib_status ib_xpu_reserve_codes(ib_device *d, ib_error *err);
void ib_xpu_free_scratch(ib_device *d);
void ib_xpu_ledger(const ib_device *d, ib_ledger *out);

/* weight.c */
bool ib_xpu_weight_type_ok(ib_type type);
ib_status ib_xpu_weight_new(ib_device *d, ib_weight **out, const ib_matrix *m, bool borrowable,
                            ib_error *err);
void ib_xpu_weight_free(ib_device *d, ib_weight *w);

/* warm.c: the first launch of a kernel may compile it, so each is launched before anything is
 * timed, on IB_XPU_SPARE_BYTES of zeros. */
ib_status ib_xpu_warm_rows(ib_device *d, ib_error *err);
ib_status ib_xpu_warm_weight(ib_device *d, const ib_weight *w, ib_error *err);
ib_status ib_xpu_warm_attention(ib_device *d, const ib_kv *kv, ib_error *err);

/* timing.c */
ib_status ib_xpu_sync(ib_device *d, ib_error *err);
ib_status ib_xpu_mark(ib_device *d, int slot, ib_error *err);
ib_status ib_xpu_elapsed(ib_device *d, int from, int to, uint64_t *ns, ib_error *err);
ib_status ib_xpu_step_begin(ib_device *d, const ib_step *step, bool *done, ib_error *err);
ib_status ib_xpu_step_end(ib_device *d, ib_error *err);
void ib_xpu_timing(ib_device *d, ib_device_timing *out);
void ib_xpu_timing_close(ib_device *d);

/* ops.c, linear.c */
ib_status ib_xpu_embed(ib_device *d, const ib_weight *table, ib_tensor ids, ib_tensor out,
                       float scale, ib_error *err);
ib_status ib_xpu_linear(ib_device *d, const ib_linear_args *a, ib_error *err);
ib_status ib_xpu_norm(ib_device *d, const ib_norm_args *a, ib_error *err);
ib_status ib_xpu_add_norm(ib_device *d, ib_tensor x, ib_tensor y, float scale,
                          const ib_norm_args *n, ib_error *err);
ib_status ib_xpu_rope(ib_device *d, const ib_rope_args *a, ib_error *err);
ib_status ib_xpu_gated_act(ib_device *d, const ib_gated_act_args *a, ib_error *err);
ib_status ib_xpu_add(ib_device *d, ib_tensor x, ib_tensor y, float scale, ib_error *err);
ib_status ib_xpu_argmax(ib_device *d, ib_tensor logits, ib_tensor out, ib_error *err);

/* attention.c */
ib_status ib_xpu_kv_write(ib_device *d, const ib_kv_write_args *a, ib_error *err);
ib_status ib_xpu_attention(ib_device *d, const ib_attention_args *a, ib_error *err);

#endif
