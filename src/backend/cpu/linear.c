/* SPDX-License-Identifier: MIT
 * out = x W^T * out_scale + bias, for weights as they are stored.
 *
 * Few rows of x: each thread walks a contiguous range of weight rows and takes dot products as it
 * decodes. Many rows: gemm.c. x is first brought into the order the kernel reads, once for all
 * matrices of a group that want the same. */
#include "backend/cpu/cpu.h"

#include <string.h>

typedef enum preparation { PLAIN, CODES, PANEL, INT8 } preparation;

enum {
    SPLIT_ROWS = 16, /* a cache line of outputs */
    MOST = 3,        /* matrices of a job */
    FETCH_BYTES = 8192
};

typedef struct linear_job {
    ib_device *d;
    ib_linear_args a[MOST]; /* [n], all of the same x */
    ib_tensor bias[MOST];   /* what a[].bias points at */
    size_t n, rows, n_in;
    bool gated; /* act applies to the first two */
    ib_gated_act_args act;
    uint8_t *scratch; /* prepared x: shared, or a slice for each thread */
    uint64_t slice;   /* bytes of such a slice, or 0 */
} linear_job;
_Static_assert(sizeof(linear_job) <= IB_CPU_TASK_BYTES, "a job must fit its room");

static size_t padded(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

uint64_t ib_cpu_linear_bytes(const ib_device *d, size_t rows, size_t n_in, bool int8) {
    uint64_t few = rows < IB_CPU_FEW_ROWS ? rows : IB_CPU_FEW_ROWS;
    uint64_t bytes = few * padded(n_in, IB_CPU_CODE_GROUP) * sizeof(float);
    uint64_t many = rows > IB_CPU_FEW_ROWS ? ib_cpu_gemm_bytes(d, rows, n_in) : 0;
    uint64_t other = int8 ? ib_cpu_int8_bytes(rows, n_in) : 0;
    bytes = bytes > many ? bytes : many;
    return bytes > other ? bytes : other;
}

static preparation preparation_of(const ib_weight *w, size_t rows) {
    if (w->m.type == IB_TYPE_INT8)
        return INT8;
    if (rows > IB_CPU_FEW_ROWS)
        return PANEL;
    return w->prepare ? CODES : PLAIN;
}

static bool same_preparation(const ib_weight *a, const ib_weight *b, size_t rows) {
    preparation kind = preparation_of(a, rows);
    if (kind != preparation_of(b, rows))
        return false;
    if (kind == CODES)
        return a->prepare == b->prepare;
    return kind != INT8 || !(a->m.threshold < b->m.threshold || a->m.threshold > b->m.threshold);
}

static float *prepared(const linear_job *j, int thread) {
    return (float *)(void *)(j->scratch + (uint64_t)thread * j->slice);
}

/* A single row each thread prepares for itself: cheaper than to meet. */
static void prepare_codes(const linear_job *j, const ib_weight *w, const float *x, int thread,
                          int n_threads) {
    size_t begin = 0, stride = padded(j->n_in, IB_CPU_CODE_GROUP), end = stride / IB_CPU_CODE_GROUP;
    if (!j->slice)
        ib_split(end, 1, thread, n_threads, &begin, &end);
    for (size_t r = 0; r < j->rows; r++)
        w->prepare(x + r * j->n_in, j->n_in, begin, end, prepared(j, thread) + r * stride);
}

/* Ends with every thread having waited, unless there was nothing to do. */
static void prepare(const linear_job *j, const ib_weight *w, int thread, int n_threads) {
    const float *x = ib_cpu_at(&j->a[0].x);
    ib_cpu_int8 state;
    switch (preparation_of(w, j->rows)) {
    case PLAIN:
        return;
    case CODES:
        prepare_codes(j, w, x, thread, n_threads);
        if (j->slice)
            return;
        break;
    case PANEL:
        ib_cpu_gemm_prepare(j->d, x, j->rows, j->n_in, j->scratch, thread, n_threads);
        break;
    case INT8:
        ib_cpu_int8_layout(&state, j->scratch, j->rows, j->n_in, w->m.threshold);
        ib_cpu_int8_prepare(j->d, &state, x, thread, n_threads);
        return;
    }
    ib_cpu_wait(j->d, n_threads);
}

/* So many rows of W stay in the cache while all rows of x pass by. */
static size_t rows_in_cache(const ib_weight *w) {
    enum { BYTES = 32768 };
    size_t n = w->row_bytes ? (size_t)(BYTES / w->row_bytes) : 0;
    return n > IB_CPU_DOT_ROWS ? padded(n, IB_CPU_DOT_ROWS) : IB_CPU_DOT_ROWS;
}

/* Every byte of W comes from memory once, however many rows x has. */
static void dot_rows(const linear_job *j, const ib_linear_args *a, size_t begin, size_t end,
                     int thread) {
    const ib_weight *w = a->weight;
    bool plain = !w->prepare;
    const float *x = plain ? ib_cpu_at(&a->x) : prepared(j, thread);
    float *out = ib_cpu_at(&a->out);
    size_t x_stride = plain ? j->n_in : padded(j->n_in, IB_CPU_CODE_GROUP);
    size_t step = j->rows > IB_CPU_DOT_ROWS ? rows_in_cache(w) : end - begin;
    for (size_t row = begin; row < end; row += step)
        for (size_t r = 0; r < j->rows; r += IB_CPU_DOT_ROWS) {
            ib_cpu_dot dot = {.w = w,
                              .row_begin = row,
                              .row_end = end - row < step ? end : row + step,
                              .x = x + r * x_stride,
                              .x_stride = x_stride,
                              .n_x = j->rows - r < IB_CPU_DOT_ROWS ? j->rows - r : IB_CPU_DOT_ROWS,
                              .out = out + r * w->m.n_rows,
                              .out_stride = w->m.n_rows};
            w->dot(&dot);
        }
}

/* Columns [begin, end) of every row: out_scale, then bias. */
static void finish(const linear_job *j, const ib_linear_args *a, size_t begin, size_t end) {
    const float *bias = a->bias ? ib_cpu_at(a->bias) : NULL;
    bool scaled = a->out_scale < 1.0f || a->out_scale > 1.0f;
    for (size_t r = 0; r < j->rows && begin < end; r++) {
        float *out = (float *)ib_cpu_at(&a->out) + r * a->weight->m.n_rows + begin;
        if (scaled)
            j->d->k.scale(out, a->out_scale, end - begin);
        if (bias)
            j->d->k.add(out, bias + begin, 1.0f, end - begin);
    }
}

static void gate_columns(const linear_job *j, size_t begin, size_t end) {
    const ib_gated_act_args *act = &j->act;
    size_t width = act->gate.n_cols;
    for (size_t r = 0; r < j->rows && begin < end; r++)
        j->d->k.gated[act->act]((const float *)ib_cpu_at(&act->gate) + r * width + begin,
                                (const float *)ib_cpu_at(&act->up) + r * width + begin, end - begin,
                                (float *)ib_cpu_at(&act->out) + r * width + begin);
}

static void fetch(const void *p, uint64_t bytes) {
    for (uint64_t i = 0; i < bytes; i += IB_CPU_ALIGN)
        __builtin_prefetch((const char *)p + i, 0, 2);
}

/* Brings the first bytes of this thread's rows of a matrix under way. */
static void fetch_start(const linear_job *j, size_t i, int thread, int n_threads) {
    const ib_weight *w = j->a[i].weight;
    size_t begin, end;
    ib_split(w->m.n_rows, SPLIT_ROWS, thread, n_threads, &begin, &end);
    uint64_t bytes = (end - begin) * w->row_bytes;
    fetch((const uint8_t *)w->m.data + begin * w->row_bytes,
          bytes < FETCH_BYTES ? bytes : FETCH_BYTES);
    if (w->m.absmax_u8 && w->m.blocksize)
        fetch(w->m.absmax_u8 + begin * w->m.n_cols / w->m.blocksize, 2 * IB_CPU_ALIGN);
}

static void run_ahead(void *ctx, int thread, int n_threads) {
    const linear_job *j = ctx;
    if (j->rows <= IB_CPU_FEW_ROWS)
        fetch_start(j, 0, thread, n_threads);
}

static void run_group(void *ctx, int thread, int n_threads) {
    const linear_job *j = ctx;
    size_t begin = 0, end = 0;
    for (size_t i = 0; i < j->n; i++) {
        const ib_linear_args *a = &j->a[i];
        const ib_weight *w = a->weight;
        if (i == 0 || !same_preparation(w, j->a[i - 1].weight, j->rows)) {
            if (i > 0)
                ib_cpu_wait(j->d, n_threads); /* the last preparation may still be read */
            prepare(j, w, thread, n_threads);
        }
        if (i > 0 && j->rows <= IB_CPU_FEW_ROWS)
            fetch_start(j, i, thread, n_threads);
        ib_split(w->m.n_rows, SPLIT_ROWS, thread, n_threads, &begin, &end);
        ib_cpu_int8 state;
        ib_cpu_gemm job = {w, j->scratch, ib_cpu_at(&a->out), j->rows};
        switch (preparation_of(w, j->rows)) {
        case PLAIN:
        case CODES:
            dot_rows(j, a, begin, end, thread);
            break;
        case PANEL:
            ib_cpu_gemm_rows(j->d, &job, begin, end, ib_cpu_local(j->d, thread));
            break;
        case INT8:
            ib_cpu_int8_layout(&state, j->scratch, j->rows, j->n_in, w->m.threshold);
            ib_cpu_int8_rows(j->d, &state, w, begin, end, ib_cpu_at(&a->out),
                             ib_cpu_local(j->d, thread));
            break;
        }
        finish(j, a, begin, end);
    }
    if (j->gated)
        gate_columns(j, begin, end);
}

static ib_status check_linear(const ib_linear_args *a, const ib_linear_args *first, ib_error *err) {
    const ib_matrix *m = &a->weight->m;
    IB_TRY(ib_cpu_check(&a->x, IB_TYPE_F32, a->x.n_rows, m->n_cols, "linear input", err));
    IB_TRY(ib_cpu_check(&a->out, IB_TYPE_F32, a->x.n_rows, m->n_rows, "linear output", err));
    if (a->bias)
        IB_TRY(ib_cpu_check(a->bias, IB_TYPE_F32, 1, m->n_rows, "bias", err));
    if (a->x.buffer != first->x.buffer || a->x.offset != first->x.offset ||
        a->x.n_rows != first->x.n_rows || a->x.n_cols != first->x.n_cols)
        return ib_fail(err, IB_E_INTERNAL, "a group of products has different inputs");
    return IB_OK;
}

/* Finds scratch for the job and queues a copy of it. */
static ib_status run(ib_device *d, const linear_job *from, ib_error *err) {
    uint64_t need = 0;
    size_t work = 0;
    bool tiles = false, own = from->rows == 1 && d->n_threads > 1;
    void *scratch, *local;
    for (size_t i = 0; i < from->n; i++) {
        const ib_weight *w = from->a[i].weight;
        IB_TRY(check_linear(&from->a[i], &from->a[0], err));
        preparation p = preparation_of(w, from->rows);
        uint64_t bytes = p == PLAIN ? 0 : ib_cpu_linear_bytes(d, from->rows, from->n_in, p == INT8);
        need = bytes > need ? bytes : need;
        tiles = tiles || p == PANEL || p == INT8;
        own = own && (p == PLAIN || p == CODES);
        work += w->m.n_rows * w->m.n_cols;
    }
    const uint64_t slice = own ? ib_cpu_linear_bytes(d, 1, from->n_in, false) : 0;
    IB_TRY(ib_cpu_scratch_get(own ? &d->prepared : &d->shared,
                              own ? slice * (uint64_t)d->n_threads : need, "a matrix product",
                              &scratch, err));
    IB_TRY(ib_cpu_scratch_get(&d->local, tiles ? 1 : 0, "a matrix product", &local, err));
    linear_job *j = ib_cpu_task(d, sizeof *j);
    *j = *from;
    j->scratch = scratch;
    j->slice = slice;
    for (size_t i = 0; i < j->n; i++)
        if (j->a[i].bias) {
            j->bias[i] = *j->a[i].bias;
            j->a[i].bias = &j->bias[i];
        }
    ib_cpu_post(d, work, run_group, j, run_ahead);
    return IB_OK;
}

ib_status ib_cpu_linear_group(ib_device *d, const ib_linear_args *a, size_t n, ib_error *err) {
    if (n == 0 || a[0].x.n_rows == 0)
        return IB_OK;
    for (size_t done = 0; done < n; done += MOST) {
        linear_job job = {.d = d, .rows = a[0].x.n_rows, .n_in = a[0].x.n_cols};
        job.n = n - done < MOST ? n - done : MOST;
        for (size_t i = 0; i < job.n; i++)
            job.a[i] = a[done + i];
        IB_TRY(run(d, &job, err));
    }
    return IB_OK;
}

ib_status ib_cpu_linear(ib_device *d, const ib_linear_args *a, ib_error *err) {
    return ib_cpu_linear_group(d, a, 1, err);
}

static bool same_tensor(const ib_tensor *a, const ib_tensor *b) {
    return a->buffer == b->buffer && a->offset == b->offset && a->n_cols == b->n_cols &&
           a->n_rows == b->n_rows;
}

ib_status ib_cpu_gated_mlp(ib_device *d, const ib_linear_args *gate, const ib_linear_args *up,
                           const ib_gated_act_args *act, ib_error *err) {
    const ib_linear_args both[2] = {*gate, *up};
    bool fits = same_tensor(&gate->out, &act->gate) && same_tensor(&up->out, &act->up) &&
                act->gate.n_cols == act->up.n_cols && gate->x.n_rows > 0;
    if (!fits) {
        IB_TRY(ib_cpu_linear_group(d, both, 2, err));
        return ib_cpu_gated_act(d, act, err);
    }
    IB_TRY(ib_cpu_check(&act->out, IB_TYPE_F32, act->gate.n_rows, act->gate.n_cols, "gated output",
                        err));
    const linear_job job = {.d = d,
                            .a = {*gate, *up},
                            .n = 2,
                            .rows = gate->x.n_rows,
                            .n_in = gate->x.n_cols,
                            .gated = true,
                            .act = *act};
    return run(d, &job, err);
}
