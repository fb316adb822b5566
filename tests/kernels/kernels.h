/* SPDX-License-Identifier: MIT
 * What the kernel tests share: a device per tier, operands whose last byte is followed by memory
 * that cannot be read, and comparison against fp64. */
#ifndef IB_TESTS_KERNELS_H
#define IB_TESTS_KERNELS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "base/rng.h"

typedef struct bench {
    ib_device *d;
    const ib_backend *b;
    const char *tier;
    ib_rng rng;
} bench;

/* Tiers of the CPU backend; with --xpu forms of the OpenCL backend's kernels instead. "" = none. */
enum { KT_TIERS = 6 };
extern const char *kt_tiers[KT_TIERS];
/* The first that runs here, opened afresh: what the tests of one tier alone take. */
extern const char kt_plain[];
/* Whether the tier's products of many rows round weights to bf16 unless float32 is asked for. */
bool kt_is_bf16(const bench *t);

/* False, with a printed reason, when the tier cannot run here. */
bool kt_open(bench *t, const char *tier, int n_threads); /* compute float32 */
bool kt_open_compute(bench *t, const char *tier, int n_threads, ib_compute compute);
void kt_close(bench *t);
/* Scratch for rows of any product or attention of the tests. */
void kt_reserve(bench *t, const ib_limits *limits);

/* Memory that ends where an unreadable page begins. */
void *kt_guarded(size_t bytes);
void kt_guarded_free(void *p, size_t bytes);

void kt_normal(ib_rng *r, float *x, size_t n, float deviation);
/* A device tensor [rows, cols] f32, with the content of x when that is not NULL. */
ib_tensor kt_tensor(bench *t, const float *x, size_t rows, size_t cols);
ib_tensor kt_ids(bench *t, const int32_t *ids, size_t rows, size_t cols);
float *kt_read(bench *t, ib_tensor x); /* malloc'd */
void kt_drop(bench *t, ib_tensor x);

/* A random matrix of any weight type; blocksize and nested for the 4-bit ones. */
typedef struct kt_weights {
    ib_matrix m;
    size_t bytes;
} kt_weights;
void kt_matrix(kt_weights *w, ib_rng *r, ib_type type, size_t rows, size_t cols, uint32_t blocksize,
               bool nested);
void kt_matrix_free(kt_weights *w);

/* |a - reference| / |reference| in the Euclidean norm; NaN counts as infinite. */
double kt_error(const float *a, const double *reference, size_t n);
void kt_expect(double error, double limit, const char *fmt, ...) IB_PRINTF(3, 4);

int kt_linear_tests(void);
int kt_vector_tests(void);
int kt_attention_tests(void);
/* tier NULL = all of them, n_threads 0 = all cores */
int kt_time(const char *tier, int n_threads);

#endif
