/* SPDX-License-Identifier: MIT
 * flash_attention: FlashAttention-2 (Dao 2023, algorithm 1) on tiles that stay in the core's cache.
 * The query heads that share a kv head are packed as rows of one tile, so that keys and values are
 * read once for all of them. Prefill packs keys transposed and goes from the last block of keys to
 * the first; a decode step splits the keys into parts that threads share, and merges the parts in
 * their order. The split depends on the number of keys alone, so results do not depend on the
 * number of threads. No matrix of queries by keys ever exists. */
#include "backend/cpu/cpu.h"

#include <math.h>
#include <string.h>

enum {
    TILE_ROWS = 128,   /* packed (token, head) rows of a query tile */
    TILE_KEYS = 128,   /* keys of a tile in prefill */
    DECODE_KEYS = 256, /* keys of a tile in decode */
    MAX_SPLITS = 16,
    STATE = 2 /* floats beside the accumulators of a partial result: maximum and sum */
};

static size_t tokens_per_tile(size_t group) {
    return group < TILE_ROWS ? TILE_ROWS / group : 1;
}

/* Raw scores of one row -> weights relative to the running maximum; see section "prefill" for what
 * is masked. Scores are kept unscaled; the scale is applied inside the exponential. */
typedef struct row_state {
    float max, sum;
} row_state;

static float absorb(const ib_cpu_attn *t, float *s, size_t low, size_t high, size_t n,
                    row_state *state) {
    const ib_cpu_kernels *k = &t->d->k;
    float scale = t->a->scale;
    if (low >= high) {
        memset(s, 0, n * sizeof *s);
        return 1.0f;
    }
    if (t->a->softcap > 0) {
        k->softcap(s + low, scale, t->a->softcap, high - low);
        scale = 1.0f;
    }
    float block_max = k->max(s + low, high - low), before = state->max;
    state->max = block_max > before ? block_max : before;
    float shrink = expf((before - state->max) * scale);
    state->sum = state->sum * shrink + k->exp_sum(s + low, state->max, scale, high - low);
    memset(s, 0, low * sizeof *s);
    memset(s + high, 0, (n - high) * sizeof *s);
    return shrink;
}

/* --- prefill ---------------------------------------------------------------------------------- */

typedef struct tiles {
    float *q;      /* [rows, head_dim], packed */
    float *keys;   /* [head_dim, TILE_KEYS], transposed */
    float *rows;   /* [TILE_KEYS, head_dim]: keys as they come, then values */
    float *scores; /* [rows, TILE_KEYS] */
    float *out;    /* [rows, head_dim] accumulators */
    row_state *state;
} tiles;

static tiles tiles_at(float *local, size_t rows, size_t head_dim) {
    tiles s;
    s.q = local;
    s.keys = s.q + rows * head_dim;
    s.rows = s.keys + head_dim * TILE_KEYS;
    s.scores = s.rows + TILE_KEYS * head_dim;
    s.out = s.scores + rows * TILE_KEYS;
    s.state = (row_state *)(void *)(s.out + rows * head_dim);
    return s;
}

static void transpose(const float *in, size_t n_rows, size_t n_cols, float *out) {
    for (size_t c = 0; c < n_cols; c++)
        for (size_t r = 0; r < n_rows; r++)
            out[c * TILE_KEYS + r] = in[r * n_cols + c];
}

/* Tokens [begin, begin + n) of the heads of one kv head, between the tensor and a packed tile. */
static float *packed_row(const ib_cpu_attn *t, const ib_tensor *x, size_t seq, size_t kv_head,
                         size_t token) {
    size_t row = seq * t->a->step.n_tokens + token;
    return (float *)ib_cpu_at(x) + (row * t->a->n_heads + kv_head * t->group) * t->head_dim;
}

static void attend_block(const ib_cpu_attn *t, const tiles *s, size_t seq, size_t kv_head,
                         size_t first_position, size_t n_rows, size_t key, size_t n) {
    const ib_cpu_kernels *k = &t->d->k;
    size_t dim = t->head_dim;
    transpose(ib_cpu_kv_rows(t, false, seq, kv_head, key, n, s->rows), n, dim, s->keys);
    k->mm_nn(s->q, dim, n_rows, s->keys, TILE_KEYS, n, dim, s->scores, TILE_KEYS, false);
    for (size_t r = 0; r < n_rows; r++) {
        size_t p = first_position + r / t->group, first = ib_cpu_first_key(t->a, p);
        size_t low = first > key ? first - key : 0, high = p + 1 > key ? p + 1 - key : 0;
        float shrink = absorb(t, s->scores + r * TILE_KEYS, low < n ? low : n, high < n ? high : n,
                              n, &s->state[r]);
        k->scale(s->out + r * dim, shrink, dim);
    }
    const float *v = ib_cpu_kv_rows(t, true, seq, kv_head, key, n, s->rows);
    k->mm_nn(s->scores, TILE_KEYS, n_rows, v, dim, dim, n, s->out, dim, true);
}

static void run_tile(const ib_cpu_attn *t, const tiles *s, size_t seq, size_t kv_head, size_t begin,
                     size_t end) {
    const ib_attention_args *a = t->a;
    size_t dim = t->head_dim, packed = t->group * dim, n_rows = (end - begin) * t->group;
    for (size_t token = begin; token < end; token++)
        memcpy(s->q + (token - begin) * packed, packed_row(t, &a->q, seq, kv_head, token),
               packed * sizeof(float));
    memset(s->out, 0, n_rows * dim * sizeof(float));
    for (size_t r = 0; r < n_rows; r++)
        s->state[r] = (row_state){-INFINITY, 0};
    size_t position = a->step.n_past + begin, last = a->step.n_past + end;
    size_t first_block = ib_cpu_first_key(a, position) / TILE_KEYS;
    for (size_t b = (last + TILE_KEYS - 1) / TILE_KEYS; b-- > first_block;) {
        size_t key = b * TILE_KEYS, n = last - key < TILE_KEYS ? last - key : TILE_KEYS;
        attend_block(t, s, seq, kv_head, position, n_rows, key, n);
    }
    for (size_t r = 0; r < n_rows; r++)
        t->d->k.scale(s->out + r * dim, 1.0f / s->state[r].sum, dim);
    for (size_t token = begin; token < end; token++)
        memcpy(packed_row(t, &a->out, seq, kv_head, token), s->out + (token - begin) * packed,
               packed * sizeof(float));
}

static void prefill(const ib_cpu_attn *t, int thread, int n_threads) {
    size_t n_tokens = t->a->step.n_tokens, tokens = tokens_per_tile(t->group);
    size_t n_kv = t->a->n_heads / t->group, n_blocks = (n_tokens + tokens - 1) / tokens;
    tiles s = tiles_at(ib_cpu_local(t->d, thread), tokens * t->group, t->head_dim);
    size_t units = t->a->step.n_seqs * n_kv * n_blocks, begin, end;
    ib_split(units, 1, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        size_t head = i / n_blocks, first = i % n_blocks * tokens;
        run_tile(t, &s, head / n_kv, head % n_kv, first,
                 first + tokens < n_tokens ? first + tokens : n_tokens);
    }
}

/* --- decode: split-KV ------------------------------------------------------------------------- */

/* A partial result: per packed row the accumulators, then maximum and sum. */
static float *partial_at(const ib_cpu_attn *t, size_t unit, size_t row) {
    return t->scores + (unit * t->group + row) * (t->head_dim + STATE);
}

static size_t split_count(size_t n_keys) {
    size_t n = (n_keys + DECODE_KEYS - 1) / DECODE_KEYS;
    return n < MAX_SPLITS ? n : MAX_SPLITS;
}

/* Keys [begin, end) of part i of n, in whole tiles. */
static void split_range(size_t n_keys, size_t i, size_t n, size_t *begin, size_t *end) {
    ib_split(n_keys, DECODE_KEYS, (int)i, (int)n, begin, end);
}

static void run_part(const ib_cpu_attn *t, size_t unit, size_t seq, size_t kv_head, size_t begin,
                     size_t end, float *local) {
    const ib_cpu_kernels *k = &t->d->k;
    size_t dim = t->head_dim, last = t->n_keys - 1, first = ib_cpu_first_key(t->a, last);
    float *scores = local, *rows = local + t->group * DECODE_KEYS;
    float *partial = partial_at(t, unit, 0);
    memset(partial, 0, t->group * (dim + STATE) * sizeof *partial);
    for (size_t g = 0; g < t->group; g++)
        partial_at(t, unit, g)[dim] = -INFINITY;
    for (size_t key = begin; key < end; key += DECODE_KEYS) {
        size_t n = end - key < DECODE_KEYS ? end - key : DECODE_KEYS;
        if (key + n <= first)
            continue;
        size_t low = first > key ? first - key : 0;
        const float *keys = ib_cpu_kv_rows(t, false, seq, kv_head, key, n, rows);
        k->mm_nt(packed_row(t, &t->a->q, seq, kv_head, 0), dim, t->group, keys, dim, n, dim, scores,
                 DECODE_KEYS, false);
        for (size_t g = 0; g < t->group; g++) {
            float *p = partial_at(t, unit, g);
            row_state state = {p[dim], p[dim + 1]};
            float shrink = absorb(t, scores + g * DECODE_KEYS, low, n, n, &state);
            p[dim] = state.max;
            p[dim + 1] = state.sum;
            k->scale(p, shrink, dim);
        }
        const float *v = ib_cpu_kv_rows(t, true, seq, kv_head, key, n, rows);
        k->mm_nn(scores, DECODE_KEYS, t->group, v, dim, dim, n, partial, dim + STATE, true);
    }
}

/* Adds the parts of one query head in their order. */
static void merge(const ib_cpu_attn *t, size_t first_unit, size_t n_splits, size_t g, float *out) {
    size_t dim = t->head_dim;
    float scale = t->a->softcap > 0 ? 1.0f : t->a->scale, max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n_splits; i++) {
        float m = partial_at(t, first_unit + i, g)[dim];
        max = m > max ? m : max;
    }
    memset(out, 0, dim * sizeof *out);
    for (size_t i = 0; i < n_splits; i++) {
        const float *p = partial_at(t, first_unit + i, g);
        float total = p[dim + 1];
        if (p[dim] <= -INFINITY && total <= 0)
            continue; /* outside the window */
        float factor = expf((p[dim] - max) * scale);
        sum += total * factor;
        t->d->k.add(out, p, factor, dim);
    }
    t->d->k.scale(out, 1.0f / sum, dim);
}

static void decode(const ib_cpu_attn *t, int thread, int n_threads) {
    size_t n_kv = t->a->n_heads / t->group, n_splits = split_count(t->n_keys), begin, end;
    ib_split(t->a->step.n_seqs * n_kv * n_splits, 1, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        size_t head = i / n_splits, from, to;
        split_range(t->n_keys, i % n_splits, n_splits, &from, &to);
        run_part(t, i, head / n_kv, head % n_kv, from, to, ib_cpu_local(t->d, thread));
    }
    ib_cpu_wait(t->d, n_threads);
    ib_split(t->a->step.n_seqs * t->a->n_heads, 1, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++)
        merge(t, i / t->group * n_splits, n_splits, i % t->group,
              (float *)ib_cpu_at(&t->a->out) + i * t->head_dim);
}

void ib_cpu_attn_flash(void *job, int thread, int n_threads) {
    const ib_cpu_attn *t = job;
    if (t->a->step.n_tokens == 1)
        decode(t, thread, n_threads);
    else
        prefill(t, thread, n_threads);
}

ib_cpu_attn_need ib_cpu_flash_need(const ib_cpu_attn_shape *s) {
    size_t group = s->n_kv_heads ? s->n_heads / s->n_kv_heads : 1, dim = s->head_dim;
    if (!group)
        group = 1;
    size_t rows = tokens_per_tile(group) * group;
    uint64_t tile = 2 * rows * dim + 2 * TILE_KEYS * dim + rows * TILE_KEYS + 2 * rows;
    uint64_t step = group * DECODE_KEYS + DECODE_KEYS * dim;
    uint64_t parts = s->n_seqs * s->n_heads * MAX_SPLITS * (dim + STATE);
    return (ib_cpu_attn_need){parts * sizeof(float), (tile > step ? tile : step) * sizeof(float)};
}
