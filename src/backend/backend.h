/* SPDX-License-Identifier: MIT
 * The seam between the forward pass and a device: one const table of functions per device kind.
 *
 * Weights and activations live on the device; ids, marks and (on request) logits cross. Activations
 * are dense row-major tensors [rows, cols]; rows of a step are [n_seqs, n_tokens] flattened, all
 * sequences of a batch at the same positions n_past .. n_past + n_tokens. The KV cache is the
 * backend's own layout. Ops queue work in order and may return before it is done; sync() waits.
 * Nothing allocates between reserve() and close() except where a function says so.
 *
 * A backend knows tensors, not models. Nothing falls back silently: supports() answers before. */
#ifndef IB_BACKEND_BACKEND_H
#define IB_BACKEND_BACKEND_H

#include "base/log.h"
#include "quant/matrix.h"

typedef struct ib_device ib_device; /* per backend: the first member is ib_device_head */
typedef struct ib_buffer ib_buffer; /* a block of device memory */
typedef struct ib_weight ib_weight; /* a weight matrix resident on the device */
typedef struct ib_kv ib_kv;         /* the KV cache of all layers and sequences */
struct ib_probe_ask;
struct ib_probe;

typedef enum ib_memory_tag {
    IB_MEM_WEIGHTS,
    IB_MEM_KV,
    IB_MEM_SCRATCH,
    IB_MEM_IO,
    IB_MEM_TAGS
} ib_memory_tag;
typedef enum ib_compute { IB_COMPUTE_AUTO, IB_COMPUTE_FLOAT32, IB_COMPUTE_INT8 } ib_compute;
typedef enum ib_attention {
    IB_ATTN_EAGER,
    IB_ATTN_SDPA,
    IB_ATTN_FLASH,
    IB_ATTN_COUNT
} ib_attention;
typedef enum ib_act { IB_ACT_SILU, IB_ACT_GELU, IB_ACT_GELU_TANH } ib_act;
typedef enum ib_op {
    IB_OP_EMBED,
    IB_OP_NORM,
    IB_OP_LINEAR,
    IB_OP_ROPE,
    IB_OP_KV_WRITE,
    IB_OP_ATTENTION,
    IB_OP_GATED_ACT,
    IB_OP_ADD,
    IB_OP_ARGMAX
} ib_op;

/* Bytes of device memory by tag, now and at most since open. Mapped weights count as weights. */
typedef struct ib_ledger {
    uint64_t now[IB_MEM_TAGS], peak[IB_MEM_TAGS];
    uint64_t peak_total;   /* largest sum of all tags at one time */
    uint64_t mapped_bytes; /* part of now[IB_MEM_WEIGHTS] that is borrowed from a file map */
} ib_ledger;

enum { IB_INDEX_HOST_CPU = -1 }; /* "xpu:cpu": the kind's driver for the host's processor */

typedef struct ib_device_config {
    int index;            /* which device of the kind, or IB_INDEX_HOST_CPU */
    int n_threads;        /* cpu: 0 = physical cores allowed to the process */
    const char *cpu_tier; /* cpu: NULL = best; "scalar", "avx2", "avx512", ... */
    ib_compute compute;
    const char *form; /* xpu: NULL = what the device offers; "single", "local", "subgroup", ... */
    const char *kernel_cache_dir; /* xpu: where built kernels are kept; NULL = nowhere */
    const char *pin; /* cpu: NULL, or CPUs to bind the threads to (base/pin.h) */
    const ib_log *log;
} ib_device_config;

/* By the device's own clock, and what building kernels took; all 0 where there is no such thing. */
typedef struct ib_device_timing {
    uint64_t compile_ns, n_built, n_kept; /* kernels built here, or found from before */
    /* decode steps: first kernel's start to the step's end, and how long that kernel was queued */
    uint64_t n_steps, device_ns, queue_ns;
} ib_device_timing;

typedef struct ib_device_info {
    char kind[16]; /* "cpu", "xpu", "cuda" */
    char name[128], vendor[64], driver[128];
    char tier[32];         /* cpu: instruction tier in use; gpu: architecture */
    char features[256];    /* what the kernels may use, blank-separated */
    char compute[128];     /* arithmetic in effect: "float32", "int16 x int16 -> float32", ... */
    uint64_t memory_bytes; /* 0 = unknown */
    int n_threads;         /* 0 = not applicable */
    char pin[160];         /* CPUs that the threads are bound to, and who named them; "" = none */
} ib_device_info;

typedef struct ib_tensor {
    ib_buffer *buffer;
    size_t offset; /* bytes */
    ib_type type;  /* activations F32 (cpu), or the device's half type; ids I32 */
    size_t n_rows, n_cols;
} ib_tensor;

/* What a session will ask at most; reserve() allocates all scratch for it, tagged scratch. */
typedef struct ib_limits {
    size_t n_seqs, n_tokens; /* rows of a step = n_seqs * n_tokens */
    size_t n_ctx, n_layers, n_heads, n_kv_heads, head_dim;
    size_t d_model, d_ff, n_vocab; /* n_logit_rows rows of logits are asked at a time */
    size_t n_logit_rows;
    ib_attention attention;
} ib_limits;

typedef struct ib_kv_spec {
    size_t n_layers, n_seqs, n_kv_heads, head_dim, n_ctx;
    ib_type type; /* F32, F16 or BF16 */
} ib_kv_spec;

/* One forward pass over n_tokens positions of each sequence. Backends that capture a step read
 * n_past from what step_begin stored on the device, never from a captured constant. */
typedef struct ib_step {
    size_t n_seqs, n_tokens, n_past;
    bool decode; /* same shape as the last decode step: may be replayed */
} ib_step;

typedef struct ib_linear_args { /* out = x W^T * out_scale + bias */
    const ib_weight *weight;
    const ib_tensor *bias; /* [1, n_out] f32 or NULL */
    ib_tensor x, out;      /* [rows, n_in], [rows, n_out]; no alias */
    float out_scale;       /* 1 unless the family says so */
} ib_linear_args;

typedef enum ib_norm_kind {
    IB_NORM_LLAMA,     /* w * rn(x * rsqrt(mean(x^2) + eps)) */
    IB_NORM_OFFSET_ONE /* x * rsqrt(..) * (1 + w) */
} ib_norm_kind;
typedef struct ib_norm_args { /* RMSNorm over groups of `group` columns (d_model, or head_dim) */
    ib_tensor x, out;         /* may be the same */
    ib_tensor weight;         /* [1, group] f32 */
    size_t group;
    float eps;
    ib_norm_kind kind;
} ib_norm_args;

typedef struct ib_rope_args { /* rotates x [rows, n_heads * head_dim] in place, first n_rot of each
                                 head */
    ib_tensor x;
    ib_tensor table; /* f32 [n_positions, n_rot]: n_rot/2 cosines, then n_rot/2 sines */
    size_t n_heads, head_dim, n_rot;
    bool interleaved; /* pairs (2j, 2j+1) (GGUF llama) instead of (j, j + n_rot/2) */
    ib_step step;     /* row r of sequence s has position n_past + r */
} ib_rope_args;

typedef struct ib_kv_write_args {
    ib_kv *kv;
    size_t layer;
    ib_tensor k, v; /* [rows, n_kv_heads * head_dim] after RoPE */
    ib_step step;
} ib_kv_write_args;

/* out = softmax(q kT * scale + mask) v over the cache, rows' own positions included (kv_write
 * first). source: Vaswani 2017 eq. 1; flash: Dao 2023 alg. 1. */
typedef struct ib_attention_args {
    ib_attention kind; /* the formulation to run; refused, never replaced */
    const ib_kv *kv;
    size_t layer;
    ib_tensor q, out; /* [rows, n_heads * head_dim]; no alias */
    size_t n_heads;
    float scale, softcap; /* softcap 0 = none */
    size_t window;        /* 0 = none; key j visible to i iff i - window < j <= i */
    ib_step step;
} ib_attention_args;

typedef struct ib_gated_act_args { /* out = act(gate) * up; out may be gate */
    ib_tensor gate, up, out;
    ib_act act;
} ib_gated_act_args;

typedef struct ib_backend {
    const char *kind; /* "cpu", "xpu", "cuda" */

    /* device */
    ib_status (*count)(int *n, ib_error *err); /* IB_OK and 0 when the kind has no device here */
    ib_status (*describe)(int index, ib_device_info *out, ib_error *err);
    ib_status (*open)(ib_device **out, const ib_device_config *config, ib_error *err);
    void (*close)(ib_device *d);
    void (*info)(const ib_device *d, ib_device_info *out);
    /* IB_OK, or IB_E_UNSUPPORTED naming what is missing. cols = n_in of a linear, head_dim of
     * attention */
    ib_status (*supports)(const ib_device *d, ib_op op, ib_type type, size_t cols, ib_error *err);

    /* memory (allocates) */
    ib_status (*buffer_new)(ib_device *d, ib_buffer **out, size_t bytes, ib_memory_tag tag,
                            ib_error *err);
    void (*buffer_free)(ib_device *d, ib_buffer *b);
    ib_status (*upload)(ib_device *d, ib_buffer *to, size_t offset, const void *from, size_t bytes,
                        ib_error *err);
    ib_status (*download)(ib_device *d, void *to, const ib_buffer *from, size_t offset,
                          size_t bytes, ib_error *err); /* waits */
    /* borrowable: m's pointers outlive the device, so that the backend may use them in place */
    ib_status (*weight_new)(ib_device *d, ib_weight **out, const ib_matrix *m, bool borrowable,
                            ib_error *err);
    void (*weight_free)(ib_device *d, ib_weight *w);
    ib_status (*kv_new)(ib_device *d, ib_kv **out, const ib_kv_spec *spec, ib_error *err);
    void (*kv_free)(ib_device *d, ib_kv *kv);
    ib_status (*reserve)(ib_device *d, const ib_limits *limits, ib_error *err);
    void (*ledger)(const ib_device *d, ib_ledger *out);

    /* time */
    ib_status (*sync)(ib_device *d, ib_error *err);
    ib_status (*mark)(ib_device *d, int slot, ib_error *err); /* 0 .. 7, in queue order */
    ib_status (*elapsed_ns)(ib_device *d, int from, int to, uint64_t *ns, ib_error *err);
    /* *done = true when a captured step was replayed whole: the caller then queues no ops of it */
    ib_status (*step_begin)(ib_device *d, const ib_step *step, bool *done, ib_error *err);
    ib_status (*step_end)(ib_device *d, ib_error *err);

    /* ops */
    /* ids I32 [rows, n]: column 0 counts, so that the output of argmax can be fed back */
    ib_status (*embed)(ib_device *d, const ib_weight *table, ib_tensor ids, ib_tensor out,
                       float scale, ib_error *err);
    ib_status (*norm)(ib_device *d, const ib_norm_args *a, ib_error *err);
    ib_status (*linear)(ib_device *d, const ib_linear_args *a, ib_error *err);
    ib_status (*rope)(ib_device *d, const ib_rope_args *a, ib_error *err);
    ib_status (*kv_write)(ib_device *d, const ib_kv_write_args *a, ib_error *err);
    ib_status (*attention)(ib_device *d, const ib_attention_args *a, ib_error *err);
    ib_status (*gated_act)(ib_device *d, const ib_gated_act_args *a, ib_error *err);
    ib_status (*add)(ib_device *d, ib_tensor x, ib_tensor y, float scale,
                     ib_error *err); /* x += y * scale */
    /* lowest index of the maximum of each row, NaN counting as the maximum; out I32 [n_rows, 2]:
     * id, and 1 when the row holds a value that is not finite */
    ib_status (*argmax)(ib_device *d, ib_tensor logits, ib_tensor out, ib_error *err);

    /* fused ops: NULL means ops_default.c composes them */
    ib_status (*linear_group)(ib_device *d, const ib_linear_args *a, size_t n,
                              ib_error *err); /* same x */
    ib_status (*gated_mlp)(ib_device *d, const ib_linear_args *gate, const ib_linear_args *up,
                           const ib_gated_act_args *act, ib_error *err);
    ib_status (*add_norm)(ib_device *d, ib_tensor x, ib_tensor y, float scale,
                          const ib_norm_args *n, ib_error *err);

    /* NULL: the kind has no clock of its own. Not while a step runs. */
    void (*timing)(ib_device *d, ib_device_timing *out);
    /* what the machine can do at most (probe.h); NULL: not measured on this kind */
    ib_status (*probe)(ib_device *d, const struct ib_probe_ask *ask, struct ib_probe *out,
                       ib_error *err);
} ib_backend;

/* First member of every ib_device, so that holders of a device find its backend. */
typedef struct ib_device_head {
    const ib_backend *backend;
} ib_device_head;
static inline const ib_backend *ib_backend_of(const ib_device *d) {
    return ((const ib_device_head *)(const void *)d)->backend;
}

/* Fused ops through the backend's own slot or the default composition (ops_default.c). */
ib_status ib_linear_group(ib_device *d, const ib_linear_args *a, size_t n, ib_error *err);
ib_status ib_gated_mlp(ib_device *d, const ib_linear_args *gate, const ib_linear_args *up,
                       const ib_gated_act_args *act, ib_error *err);
ib_status ib_add_norm(ib_device *d, ib_tensor x, ib_tensor y, float scale, const ib_norm_args *n,
                      ib_error *err);

/* registry.c: the kinds built in, in order of preference for "auto" (Intel xpu, cuda, cpu last). */
size_t ib_backend_count(void);
const ib_backend *ib_backend_at(size_t i);
/* "auto", "cpu", "xpu", "xpu:1", "xpu:cpu", "cuda:0" -> an open device. IB_E_USAGE for another
 * word, IB_E_DEVICE when the named device is absent: never a substitute. config->index is ignored.
 */
ib_status ib_device_open(ib_device **out, const char *spec, const ib_device_config *config,
                         ib_error *err) IB_MUST_CHECK;
void ib_device_close(ib_device *d);
const char *ib_attention_name(ib_attention a); /* "eager", "sdpa", "flash_attention" */

#endif
