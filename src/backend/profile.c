/* SPDX-License-Identifier: MIT
 * See profile.h. The table of functions is a copy of the inner device's, so that slots which it
 * leaves out are left out here too, with every function that takes a device replaced. */
#include "backend/profile.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

struct ib_profiler { /* is an ib_device: the head comes first */
    ib_device_head head;
    ib_backend table;
    ib_device *inner;
    const ib_backend *b;              /* of inner */
    const ib_profile_weight *weights; /* borrowed, sorted by address */
    size_t n_weights;
    uint64_t kv_position_bytes;
    ib_profile_row rows[IB_PROFILE_MAX_ROWS];
    size_t n_rows;
};

static ib_profiler *of(ib_device *d) {
    return (ib_profiler *)(void *)d;
}

static const ib_profiler *of_const(const ib_device *d) {
    return (const ib_profiler *)(const void *)d;
}

/* --- rows --- */

/* The row of a name; the last row takes what has no room. */
static ib_profile_row *row(ib_profiler *p, const char *name) {
    for (size_t i = 0; i < p->n_rows; i++)
        if (strcmp(p->rows[i].name, name) == 0)
            return &p->rows[i];
    if (p->n_rows == IB_PROFILE_MAX_ROWS)
        return &p->rows[IB_PROFILE_MAX_ROWS - 1];
    p->rows[p->n_rows].name = name;
    return &p->rows[p->n_rows++];
}

static int by_address(const void *a, const void *b) {
    const uintptr_t x = (uintptr_t)((const ib_profile_weight *)a)->weight;
    const uintptr_t y = (uintptr_t)((const ib_profile_weight *)b)->weight;
    return (x > y) - (x < y);
}

static const ib_profile_weight *find(const ib_profiler *p, const ib_weight *w) {
    const ib_profile_weight key = {.weight = w};
    return p->n_weights ? bsearch(&key, p->weights, p->n_weights, sizeof key, by_address) : NULL;
}

typedef struct cost {
    const char *name;
    uint64_t bytes;
    double flops;
} cost;

/* Ends an operation that was begun at `start`: waits, and adds it to its row. */
static ib_status count(ib_profiler *p, uint64_t start, const cost *c, ib_status st, ib_error *err) {
    if (st == IB_OK)
        st = p->b->sync(p->inner, err);
    const uint64_t now = ib_now_ns();
    ib_profile_row *r = row(p, c->name);
    r->calls++;
    r->ns += now - start;
    r->bytes += c->bytes;
    r->flops += c->flops;
    return st;
}

static uint64_t size_of(const ib_tensor *t) {
    return (uint64_t)t->n_rows * t->n_cols * ib_type_block_bytes(t->type);
}

/* --- operations --- */

static ib_status embed(ib_device *d, const ib_weight *table, ib_tensor ids, ib_tensor out,
                       float scale, ib_error *err) {
    ib_profiler *p = of(d);
    const cost c = {.name = "embed", .bytes = 2 * size_of(&out)};
    const uint64_t start = ib_now_ns();
    return count(p, start, &c, p->b->embed(p->inner, table, ids, out, scale, err), err);
}

static ib_status norm(ib_device *d, const ib_norm_args *a, ib_error *err) {
    ib_profiler *p = of(d);
    const cost c = {.name = "norm", .bytes = size_of(&a->x) + size_of(&a->out)};
    const uint64_t start = ib_now_ns();
    return count(p, start, &c, p->b->norm(p->inner, a, err), err);
}

/* One product of a group; the input counts once. */
static void add_linear(const ib_profiler *p, const ib_linear_args *a, bool first, cost *c) {
    const ib_profile_weight *w = find(p, a->weight);
    if (first)
        c->name = w ? w->name : "linear";
    c->bytes += (w ? w->bytes : 0) + size_of(&a->out) + (first ? size_of(&a->x) : 0);
    c->flops += w ? 2 * (double)w->n_elements * (double)a->x.n_rows : 0;
}

static ib_status linear(ib_device *d, const ib_linear_args *a, ib_error *err) {
    ib_profiler *p = of(d);
    cost c = {0};
    add_linear(p, a, true, &c);
    const uint64_t start = ib_now_ns();
    return count(p, start, &c, p->b->linear(p->inner, a, err), err);
}

static ib_status linear_group(ib_device *d, const ib_linear_args *a, size_t n, ib_error *err) {
    ib_profiler *p = of(d);
    cost c = {.name = "linear group"};
    for (size_t i = 0; i < n; i++)
        add_linear(p, &a[i], i == 0, &c);
    const uint64_t start = ib_now_ns();
    return count(p, start, &c, p->b->linear_group(p->inner, a, n, err), err);
}

static ib_status gated_mlp(ib_device *d, const ib_linear_args *gate, const ib_linear_args *up,
                           const ib_gated_act_args *act, ib_error *err) {
    ib_profiler *p = of(d);
    cost c = {0};
    add_linear(p, gate, true, &c);
    add_linear(p, up, false, &c);
    const uint64_t start = ib_now_ns();
    return count(p, start, &c, p->b->gated_mlp(p->inner, gate, up, act, err), err);
}

static ib_status rope(ib_device *d, const ib_rope_args *a, ib_error *err) {
    ib_profiler *p = of(d);
    const cost c = {.name = "rope", .bytes = 2 * size_of(&a->x)};
    const uint64_t start = ib_now_ns();
    return count(p, start, &c, p->b->rope(p->inner, a, err), err);
}

static ib_status kv_write(ib_device *d, const ib_kv_write_args *a, ib_error *err) {
    ib_profiler *p = of(d);
    const cost c = {.name = "kv write", .bytes = size_of(&a->k) + size_of(&a->v)};
    const uint64_t start = ib_now_ns();
    return count(p, start, &c, p->b->kv_write(p->inner, a, err), err);
}

/* Operations of the keys that are seen; of the cache, what the last query sees is read once. */
static ib_status attention(ib_device *d, const ib_attention_args *a, ib_error *err) {
    ib_profiler *p = of(d);
    double keys = 0;
    size_t visible = 0;
    for (size_t i = 0; i < a->step.n_tokens; i++) {
        const size_t seen = a->step.n_past + i + 1;
        visible = a->window && a->window < seen ? a->window : seen;
        keys += (double)visible;
    }
    const cost c = {.name = "attention",
                    .bytes = size_of(&a->q) + size_of(&a->out) +
                             visible * a->step.n_seqs * p->kv_position_bytes,
                    .flops = 4 * (double)a->q.n_cols * keys * (double)a->step.n_seqs};
    const uint64_t start = ib_now_ns();
    return count(p, start, &c, p->b->attention(p->inner, a, err), err);
}

static ib_status gated_act(ib_device *d, const ib_gated_act_args *a, ib_error *err) {
    ib_profiler *p = of(d);
    const cost c = {.name = "activation", .bytes = 3 * size_of(&a->out)};
    const uint64_t start = ib_now_ns();
    return count(p, start, &c, p->b->gated_act(p->inner, a, err), err);
}

static ib_status add(ib_device *d, ib_tensor x, ib_tensor y, float scale, ib_error *err) {
    ib_profiler *p = of(d);
    const cost c = {.name = "add", .bytes = 3 * size_of(&x)};
    const uint64_t start = ib_now_ns();
    return count(p, start, &c, p->b->add(p->inner, x, y, scale, err), err);
}

static ib_status add_norm(ib_device *d, ib_tensor x, ib_tensor y, float scale,
                          const ib_norm_args *n, ib_error *err) {
    ib_profiler *p = of(d);
    const cost c = {.name = "add, norm", .bytes = 3 * size_of(&x) + size_of(&n->out)};
    const uint64_t start = ib_now_ns();
    return count(p, start, &c, p->b->add_norm(p->inner, x, y, scale, n, err), err);
}

static ib_status argmax(ib_device *d, ib_tensor logits, ib_tensor out, ib_error *err) {
    ib_profiler *p = of(d);
    const cost c = {.name = "argmax", .bytes = size_of(&logits)};
    const uint64_t start = ib_now_ns();
    return count(p, start, &c, p->b->argmax(p->inner, logits, out, err), err);
}

static ib_status upload(ib_device *d, ib_buffer *to, size_t offset, const void *from, size_t bytes,
                        ib_error *err) {
    ib_profiler *p = of(d);
    const cost c = {.name = "upload", .bytes = bytes};
    const uint64_t start = ib_now_ns();
    return count(p, start, &c, p->b->upload(p->inner, to, offset, from, bytes, err), err);
}

static ib_status download(ib_device *d, void *to, const ib_buffer *from, size_t offset,
                          size_t bytes, ib_error *err) {
    ib_profiler *p = of(d);
    const cost c = {.name = "download", .bytes = bytes};
    const uint64_t start = ib_now_ns();
    return count(p, start, &c, p->b->download(p->inner, to, from, offset, bytes, err), err);
}

/* --- what is only passed on --- */

static void info(const ib_device *d, ib_device_info *out) {
    of_const(d)->b->info(of_const(d)->inner, out);
}

static ib_status supports(const ib_device *d, ib_op op, ib_type type, size_t cols, ib_error *err) {
    return of_const(d)->b->supports(of_const(d)->inner, op, type, cols, err);
}

static void ledger(const ib_device *d, ib_ledger *out) {
    of_const(d)->b->ledger(of_const(d)->inner, out);
}

static ib_status sync_inner(ib_device *d, ib_error *err) {
    return of(d)->b->sync(of(d)->inner, err);
}

static ib_status mark(ib_device *d, int slot, ib_error *err) {
    return of(d)->b->mark(of(d)->inner, slot, err);
}

static ib_status elapsed_ns(ib_device *d, int from, int to, uint64_t *ns, ib_error *err) {
    return of(d)->b->elapsed_ns(of(d)->inner, from, to, ns, err);
}

/* A step that is no decode step is never replayed, so that its operations are seen. */
static ib_status step_begin(ib_device *d, const ib_step *step, bool *done, ib_error *err) {
    ib_step plain = *step;
    plain.decode = false;
    return of(d)->b->step_begin(of(d)->inner, &plain, done, err);
}

static ib_status step_end(ib_device *d, ib_error *err) {
    return of(d)->b->step_end(of(d)->inner, err);
}

/* Slots of memory and of opening stay away: nothing is made or freed in a pass. */
static void fill_table(ib_backend *t, const ib_backend *b) {
    *t = (ib_backend){.kind = b->kind,
                      .info = info,
                      .supports = supports,
                      .upload = upload,
                      .download = download,
                      .ledger = ledger,
                      .sync = sync_inner,
                      .mark = mark,
                      .elapsed_ns = elapsed_ns,
                      .step_begin = step_begin,
                      .step_end = step_end,
                      .embed = embed,
                      .norm = norm,
                      .linear = linear,
                      .rope = rope,
                      .kv_write = kv_write,
                      .attention = attention,
                      .gated_act = gated_act,
                      .add = add,
                      .argmax = argmax};
    t->linear_group = b->linear_group ? linear_group : NULL;
    t->gated_mlp = b->gated_mlp ? gated_mlp : NULL;
    t->add_norm = b->add_norm ? add_norm : NULL;
}

ib_status ib_profiler_new(ib_profiler **out, ib_device *inner, ib_profile_weight *weights, size_t n,
                          uint64_t kv_position_bytes, ib_error *err) {
    ib_profiler *p = calloc(1, sizeof *p);
    *out = p;
    if (!p)
        return ib_fail_memory(err, sizeof *p, "the profile of operations");
    p->inner = inner;
    p->b = ib_backend_of(inner);
    p->weights = weights;
    p->n_weights = n;
    p->kv_position_bytes = kv_position_bytes;
    if (n)
        qsort(weights, n, sizeof *weights, by_address);
    fill_table(&p->table, p->b);
    p->head.backend = &p->table;
    return IB_OK;
}

void ib_profiler_free(ib_profiler *p) {
    free(p);
}

ib_device *ib_profiler_device(ib_profiler *p) {
    return (ib_device *)(void *)p;
}

void ib_profiler_reset(ib_profiler *p) {
    memset(p->rows, 0, sizeof p->rows);
    p->n_rows = 0;
}

const ib_profile_row *ib_profiler_rows(const ib_profiler *p, size_t *n) {
    *n = p->n_rows;
    return p->rows;
}

double ib_profiler_sync_ns(ib_profiler *p) {
    enum { TIMES = 101 };
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < TIMES; i++) {
        const uint64_t start = ib_now_ns();
        if (p->b->sync(p->inner, NULL) != IB_OK)
            return 0;
        const uint64_t took = ib_now_ns() - start;
        least = took < least ? took : least;
    }
    return (double)least;
}
