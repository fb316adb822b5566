/* SPDX-License-Identifier: MIT
 * The operations that work row by row: embedding, norm, RoPE, gated activation, add, argmax. Each
 * checks its tensors, then queues itself with a copy of its arguments. */
#include "backend/cpu/cpu.h"

ib_status ib_cpu_check(const ib_tensor *t, ib_type type, size_t n_rows, size_t n_cols,
                       const char *what, ib_error *err) {
    uint64_t bytes = (uint64_t)n_rows * n_cols * ib_type_block_bytes(type);
    if (t->type != type || t->n_rows != n_rows || t->n_cols != n_cols)
        return ib_fail(err, IB_E_INTERNAL, "%s: [%zu, %zu] %s, expected [%zu, %zu] %s", what,
                       t->n_rows, t->n_cols, ib_type_name(t->type), n_rows, n_cols,
                       ib_type_name(type));
    if (!t->buffer || t->offset % sizeof(float) || t->offset > t->buffer->bytes ||
        bytes > t->buffer->bytes - t->offset)
        return ib_fail(err, IB_E_INTERNAL, "%s: [%zu, %zu] at %zu leaves its buffer", what, n_rows,
                       n_cols, t->offset);
    return IB_OK;
}

/* --- embedding -------------------------------------------------------------------------------- */

typedef struct embed_job {
    ib_device *d;
    const ib_weight *table;
    const int32_t *ids;
    size_t stride, n_rows;
    float *out, scale;
} embed_job;

static void embed_rows(void *ctx, int thread, int n_threads) {
    const embed_job *j = ctx;
    size_t begin, end, width = j->table->m.n_cols;
    ib_split(j->n_rows, 1, thread, n_threads, &begin, &end);
    for (size_t r = begin; r < end; r++) {
        float *out = j->out + r * width;
        j->table->unpack(j->table, (size_t)j->ids[r * j->stride], 0, width, out);
        if (j->scale < 1.0f || j->scale > 1.0f)
            j->d->k.scale(out, j->scale, width);
    }
}

ib_status ib_cpu_embed(ib_device *d, const ib_weight *table, ib_tensor ids, ib_tensor out,
                       float scale, ib_error *err) {
    size_t rows = ids.n_rows, width = table->m.n_cols;
    IB_TRY(ib_cpu_check(&ids, IB_TYPE_I32, rows, ids.n_cols, "token ids", err));
    IB_TRY(ib_cpu_check(&out, IB_TYPE_F32, rows, width, "embedded tokens", err));
    const int32_t *numbers = ib_cpu_at(&ids);
    ib_cpu_finish(d); /* the ids may come from an operation */
    for (size_t r = 0; r < rows; r++) {
        int32_t id = numbers[r * ids.n_cols];
        if (id < 0 || (uint64_t)id >= table->m.n_rows)
            return ib_fail(err, IB_E_INPUT,
                           "token id at %zu: %d, the model has %llu; fix: use the "
                           "model's own tokenizer",
                           r, id, (unsigned long long)table->m.n_rows);
    }
    embed_job *job = ib_cpu_task(d, sizeof *job);
    *job = (embed_job){d, table, numbers, ids.n_cols, rows, ib_cpu_at(&out), scale};
    ib_cpu_post(d, rows * width, embed_rows, job, NULL);
    return IB_OK;
}

/* --- add and norm ----------------------------------------------------------------------------- */

typedef struct norm_job {
    ib_device *d;
    ib_norm_args a;
    bool has_norm;
    float *x; /* NULL: norm only */
    const float *y;
    float scale;
    size_t n_rows, n_cols;
} norm_job;

static void norm_row(const norm_job *j, size_t row) {
    const ib_norm_args *a = &j->a;
    const float *x = (const float *)ib_cpu_at(&a->x) + row * j->n_cols;
    float *out = (float *)ib_cpu_at(&a->out) + row * j->n_cols;
    for (size_t g = 0; g < j->n_cols; g += a->group)
        j->d->k.norm(x + g, ib_cpu_at(&a->weight), a->group, a->eps, a->kind, out + g);
}

static void norm_rows(void *ctx, int thread, int n_threads) {
    const norm_job *j = ctx;
    size_t begin, end;
    ib_split(j->n_rows, 1, thread, n_threads, &begin, &end);
    for (size_t r = begin; r < end; r++) {
        if (j->x)
            j->d->k.add(j->x + r * j->n_cols, j->y + r * j->n_cols, j->scale, j->n_cols);
        if (j->has_norm)
            norm_row(j, r);
    }
}

static ib_status check_norm(const ib_norm_args *a, ib_error *err) {
    IB_TRY(ib_cpu_check(&a->x, IB_TYPE_F32, a->x.n_rows, a->x.n_cols, "norm input", err));
    IB_TRY(ib_cpu_check(&a->out, IB_TYPE_F32, a->x.n_rows, a->x.n_cols, "norm output", err));
    IB_TRY(ib_cpu_check(&a->weight, IB_TYPE_F32, 1, a->group, "norm weight", err));
    if (!a->group || a->x.n_cols % a->group)
        return ib_fail(err, IB_E_INTERNAL, "norm: %zu columns in groups of %zu", a->x.n_cols,
                       a->group);
    return IB_OK;
}

static void post_norm(ib_device *d, const norm_job *from) {
    norm_job *job = ib_cpu_task(d, sizeof *job);
    *job = *from;
    ib_cpu_post(d, job->n_rows == 1 ? 0 : job->n_rows * job->n_cols, norm_rows, job, NULL);
}

ib_status ib_cpu_norm(ib_device *d, const ib_norm_args *a, ib_error *err) {
    IB_TRY(check_norm(a, err));
    post_norm(d,
              &(norm_job){
                  .d = d, .a = *a, .has_norm = true, .n_rows = a->x.n_rows, .n_cols = a->x.n_cols});
    return IB_OK;
}

static ib_status check_add(const ib_tensor *x, const ib_tensor *y, ib_error *err) {
    IB_TRY(ib_cpu_check(x, IB_TYPE_F32, x->n_rows, x->n_cols, "sum", err));
    return ib_cpu_check(y, IB_TYPE_F32, x->n_rows, x->n_cols, "summand", err);
}

ib_status ib_cpu_add(ib_device *d, ib_tensor x, ib_tensor y, float scale, ib_error *err) {
    IB_TRY(check_add(&x, &y, err));
    post_norm(d, &(norm_job){.d = d,
                             .x = ib_cpu_at(&x),
                             .y = ib_cpu_at(&y),
                             .scale = scale,
                             .n_rows = x.n_rows,
                             .n_cols = x.n_cols});
    return IB_OK;
}

ib_status ib_cpu_add_norm(ib_device *d, ib_tensor x, ib_tensor y, float scale,
                          const ib_norm_args *n, ib_error *err) {
    IB_TRY(check_add(&x, &y, err));
    IB_TRY(check_norm(n, err));
    if (n->x.buffer != x.buffer || n->x.offset != x.offset || n->x.n_cols != x.n_cols) {
        IB_TRY(ib_cpu_add(d, x, y, scale, err));
        return ib_cpu_norm(d, n, err);
    }
    post_norm(d, &(norm_job){.d = d,
                             .a = *n,
                             .has_norm = true,
                             .x = ib_cpu_at(&x),
                             .y = ib_cpu_at(&y),
                             .scale = scale,
                             .n_rows = x.n_rows,
                             .n_cols = x.n_cols});
    return IB_OK;
}

/* --- RoPE ------------------------------------------------------------------------------------- */

typedef struct rope_job {
    ib_device *d;
    ib_rope_args a;
} rope_job;

static void rope_rows(void *ctx, int thread, int n_threads) {
    const rope_job *j = ctx;
    const ib_rope_args *a = &j->a;
    const float *table = ib_cpu_at(&a->table);
    size_t begin, end, width = a->n_heads * a->head_dim;
    ib_split(a->x.n_rows, 1, thread, n_threads, &begin, &end);
    for (size_t r = begin; r < end; r++) {
        const float *angles = table + (a->step.n_past + r % a->step.n_tokens) * a->n_rot;
        float *x = (float *)ib_cpu_at(&a->x) + r * width;
        for (size_t h = 0; h < a->n_heads; h++)
            j->d->k.rope(x + h * a->head_dim, angles, a->n_rot, a->interleaved);
    }
}

ib_status ib_cpu_rope(ib_device *d, const ib_rope_args *a, ib_error *err) {
    size_t rows = a->step.n_seqs * a->step.n_tokens, positions = a->table.n_rows;
    IB_TRY(ib_cpu_check(&a->x, IB_TYPE_F32, rows, a->n_heads * a->head_dim, "RoPE input", err));
    IB_TRY(ib_cpu_check(&a->table, IB_TYPE_F32, positions, a->n_rot, "RoPE table", err));
    if (a->n_rot % 2 || a->n_rot > a->head_dim || a->step.n_past > positions ||
        a->step.n_tokens > positions - a->step.n_past)
        return ib_fail(err, IB_E_INTERNAL,
                       "RoPE of %zu of %zu at positions %zu to %zu: the table has %zu", a->n_rot,
                       a->head_dim, a->step.n_past, a->step.n_past + a->step.n_tokens, positions);
    rope_job *job = ib_cpu_task(d, sizeof *job);
    *job = (rope_job){d, *a};
    ib_cpu_post(d, rows == 1 ? 0 : rows * a->x.n_cols, rope_rows, job, NULL);
    return IB_OK;
}

/* --- gated activation, argmax ----------------------------------------------------------------- */

typedef struct gated_job {
    ib_device *d;
    ib_gated_act_args a;
} gated_job;

static void gated_rows(void *ctx, int thread, int n_threads) {
    const gated_job *j = ctx;
    const ib_gated_act_args *a = &j->a;
    size_t begin, end;
    ib_split(a->gate.n_rows * a->gate.n_cols, 64, thread, n_threads, &begin, &end);
    if (begin < end)
        j->d->k.gated[a->act]((const float *)ib_cpu_at(&a->gate) + begin,
                              (const float *)ib_cpu_at(&a->up) + begin, end - begin,
                              (float *)ib_cpu_at(&a->out) + begin);
}

ib_status ib_cpu_gated_act(ib_device *d, const ib_gated_act_args *a, ib_error *err) {
    size_t rows = a->gate.n_rows, cols = a->gate.n_cols;
    IB_TRY(ib_cpu_check(&a->gate, IB_TYPE_F32, rows, cols, "gate", err));
    IB_TRY(ib_cpu_check(&a->up, IB_TYPE_F32, rows, cols, "up", err));
    IB_TRY(ib_cpu_check(&a->out, IB_TYPE_F32, rows, cols, "gated output", err));
    gated_job *job = ib_cpu_task(d, sizeof *job);
    *job = (gated_job){d, *a};
    ib_cpu_post(d, rows * cols, gated_rows, job, NULL);
    return IB_OK;
}

typedef struct argmax_job {
    ib_device *d;
    const float *x;
    int32_t *out;
    size_t n_rows, n_cols;
} argmax_job;

static void argmax_rows(void *ctx, int thread, int n_threads) {
    const argmax_job *j = ctx;
    size_t begin, end;
    ib_split(j->n_rows, 1, thread, n_threads, &begin, &end);
    for (size_t r = begin; r < end; r++)
        j->d->k.argmax(j->x + r * j->n_cols, j->n_cols, j->out + 2 * r);
}

ib_status ib_cpu_argmax(ib_device *d, ib_tensor logits, ib_tensor out, ib_error *err) {
    IB_TRY(ib_cpu_check(&logits, IB_TYPE_F32, logits.n_rows, logits.n_cols, "logits", err));
    IB_TRY(ib_cpu_check(&out, IB_TYPE_I32, logits.n_rows, 2, "argmax output", err));
    argmax_job *job = ib_cpu_task(d, sizeof *job);
    *job = (argmax_job){d, ib_cpu_at(&logits), ib_cpu_at(&out), logits.n_rows, logits.n_cols};
    ib_cpu_post(d, job->n_rows == 1 ? 0 : job->n_rows * job->n_cols, argmax_rows, job, NULL);
    return IB_OK;
}
