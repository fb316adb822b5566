/* SPDX-License-Identifier: MIT
 * bf16 products by cuBLASLt, where that library is installed. It is opened at run time; its choice
 * of algorithm is asked once per shape. */
#include "backend/cuda/cuda.h"

#ifdef IB_CUDA_EMULATED

struct ib_cuda_blas *ib_cuda_blas_open(ib_device *d, const ib_log *log) {
    (void)d;
    (void)log;
    return NULL;
}
void ib_cuda_blas_close(struct ib_cuda_blas *b) {
    (void)b;
}
bool ib_cuda_blas_gemm(struct ib_cuda_blas *b, ib_cuda_stream s, const ib_cuda_gemm *g) {
    (void)b;
    (void)s;
    (void)g;
    return false;
}

#else

#include <cublasLt.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { SHAPES = 64, WORKSPACE = 32 << 20 };

typedef struct shape {
    int rows, n, k;
    size_t stride;
    bool usable;
    cublasLtMatmulAlgo_t algo;
    cublasLtMatrixLayout_t w, x, out;
} shape;

struct ib_cuda_blas {
    ib_device *device; /* borrowed */
    void *library;
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t description;
    cublasLtMatmulPreference_t preference;
    void *workspace;
    size_t n_shapes;
    shape shapes[SHAPES];
    __typeof__(&cublasLtCreate) create;
    __typeof__(&cublasLtDestroy) destroy;
    __typeof__(&cublasLtMatmulDescCreate) desc_create;
    __typeof__(&cublasLtMatmulDescDestroy) desc_destroy;
    __typeof__(&cublasLtMatmulDescSetAttribute) desc_set;
    __typeof__(&cublasLtMatrixLayoutCreate) layout_create;
    __typeof__(&cublasLtMatrixLayoutDestroy) layout_destroy;
    __typeof__(&cublasLtMatmulPreferenceCreate) preference_create;
    __typeof__(&cublasLtMatmulPreferenceDestroy) preference_destroy;
    __typeof__(&cublasLtMatmulPreferenceSetAttribute) preference_set;
    __typeof__(&cublasLtMatmulAlgoGetHeuristic) heuristic;
    __typeof__(&cublasLtMatmul) matmul;
};

static bool find_all(struct ib_cuda_blas *b) {
    const struct {
        const char *name;
        void *slot;
    } wanted[] = {{"cublasLtCreate", &b->create},
                  {"cublasLtDestroy", &b->destroy},
                  {"cublasLtMatmulDescCreate", &b->desc_create},
                  {"cublasLtMatmulDescDestroy", &b->desc_destroy},
                  {"cublasLtMatmulDescSetAttribute", &b->desc_set},
                  {"cublasLtMatrixLayoutCreate", &b->layout_create},
                  {"cublasLtMatrixLayoutDestroy", &b->layout_destroy},
                  {"cublasLtMatmulPreferenceCreate", &b->preference_create},
                  {"cublasLtMatmulPreferenceDestroy", &b->preference_destroy},
                  {"cublasLtMatmulPreferenceSetAttribute", &b->preference_set},
                  {"cublasLtMatmulAlgoGetHeuristic", &b->heuristic},
                  {"cublasLtMatmul", &b->matmul}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *f = dlsym(b->library, wanted[i].name);
        if (!f)
            return false;
        memcpy(wanted[i].slot, &f, sizeof f);
    }
    return true;
}

static bool set_up(struct ib_cuda_blas *b) {
    const cublasOperation_t transposed = CUBLAS_OP_T;
    const size_t workspace = WORKSPACE;
    return b->create(&b->handle) == CUBLAS_STATUS_SUCCESS &&
           b->desc_create(&b->description, CUBLAS_COMPUTE_32F, CUDA_R_32F) ==
               CUBLAS_STATUS_SUCCESS &&
           b->desc_set(b->description, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                       sizeof transposed) == CUBLAS_STATUS_SUCCESS &&
           b->preference_create(&b->preference) == CUBLAS_STATUS_SUCCESS &&
           b->preference_set(b->preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                             sizeof workspace) == CUBLAS_STATUS_SUCCESS &&
           ib_cuda_alloc(b->device, &b->workspace, WORKSPACE, IB_MEM_SCRATCH, NULL) == IB_OK;
}

struct ib_cuda_blas *ib_cuda_blas_open(ib_device *d, const ib_log *log) {
    static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12"};
    struct ib_cuda_blas *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->device = d;
    for (size_t i = 0; i < sizeof names / sizeof *names && !b->library; i++)
        b->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (b->library && find_all(b) && set_up(b))
        return b;
    ib_log_info(log, "device cuda: cuBLASLt is not to be had: prefill uses kernels of our own");
    (void)cudaGetLastError();
    ib_cuda_blas_close(b);
    return NULL;
}

void ib_cuda_blas_close(struct ib_cuda_blas *b) {
    if (!b)
        return;
    for (size_t i = 0; i < b->n_shapes; i++) {
        cublasLtMatrixLayout_t const layouts[] = {b->shapes[i].w, b->shapes[i].x, b->shapes[i].out};
        for (size_t j = 0; j < 3; j++)
            if (layouts[j])
                (void)b->layout_destroy(layouts[j]);
    }
    ib_cuda_release(b->device, b->workspace, WORKSPACE, IB_MEM_SCRATCH);
    if (b->preference)
        (void)b->preference_destroy(b->preference);
    if (b->description)
        (void)b->desc_destroy(b->description);
    if (b->handle)
        (void)b->destroy(b->handle);
    if (b->library)
        (void)dlclose(b->library);
    free(b);
}

/* Columns first, as the library sees memory: out^T [n, rows] = w [k, n]^T x [k, rows]. */
static void choose(struct ib_cuda_blas *b, shape *s) {
    cublasLtMatmulHeuristicResult_t found[1];
    int n = 0;
    s->usable = b->layout_create(&s->w, CUDA_R_16BF, (uint64_t)s->k, (uint64_t)s->n, s->k) ==
                    CUBLAS_STATUS_SUCCESS &&
                b->layout_create(&s->x, CUDA_R_16BF, (uint64_t)s->k, (uint64_t)s->rows, s->k) ==
                    CUBLAS_STATUS_SUCCESS &&
                b->layout_create(&s->out, CUDA_R_32F, (uint64_t)s->n, (uint64_t)s->rows,
                                 (int64_t)s->stride) == CUBLAS_STATUS_SUCCESS &&
                b->heuristic(b->handle, b->description, s->w, s->x, s->out, s->out, b->preference,
                             1, found, &n) == CUBLAS_STATUS_SUCCESS &&
                n == 1 && found[0].state == CUBLAS_STATUS_SUCCESS;
    if (s->usable)
        s->algo = found[0].algo;
}

static const shape *find_shape(struct ib_cuda_blas *b, const ib_cuda_gemm *g) {
    for (size_t i = 0; i < b->n_shapes; i++) {
        const shape *s = &b->shapes[i];
        if (s->rows == g->rows && s->n == g->n && s->k == g->k && s->stride == g->stride)
            return s;
    }
    if (b->n_shapes == SHAPES)
        return NULL;
    shape *s = &b->shapes[b->n_shapes++];
    *s = (shape){.rows = g->rows, .n = g->n, .k = g->k, .stride = g->stride};
    choose(b, s);
    return s;
}

bool ib_cuda_blas_gemm(struct ib_cuda_blas *b, ib_cuda_stream stream, const ib_cuda_gemm *g) {
    const float one = 1, zero = 0;
    if (g->k % 8)
        return false;
    const shape *s = find_shape(b, g);
    return s && s->usable &&
           b->matmul(b->handle, b->description, &one, g->w, s->w, g->x, s->x, &zero, g->out, s->out,
                     g->out, s->out, &s->algo, b->workspace, WORKSPACE,
                     stream) == CUBLAS_STATUS_SUCCESS;
}

#endif
