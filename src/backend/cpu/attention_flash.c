/* SPDX-License-Identifier: MIT
 * flash_attention: FlashAttention-2 (Dao 2023, algorithm 1) on tiles that stay in the core's cache.
 * The query heads that share a kv head are packed as rows of one tile, so that keys and values are
 * read once for all of them. Prefill goes from the last block of keys to the first; a decode step
 * splits the keys into parts that threads share, and merges the parts in their order. The split
 * depends on the number of keys alone, so results do not depend on the number of threads. No matrix
 * of queries by keys ever exists. */
#include "backend/cpu/cpu.h"

#include <math.h>
#include <string.h>

enum {
    TILE_ROWS = 128, /* packed (token, head) rows of a query tile */
    KEYS = IB_CPU_ATTN_KEYS,
    MAX_SPLITS = 16,
    STATE = 2 /* floats beside the accumulators of a partial result: maximum and sum */
};

static size_t tokens_per_tile(size_t group) {
    return group < TILE_ROWS ? TILE_ROWS / group : 1;
}

/* --- prefill ---------------------------------------------------------------------------------- */

typedef struct tiles {
    float *q;      /* [rows, head_dim], packed, as the products want them */
    float *scores; /* [rows, KEYS] */
    float *out;    /* [rows, width] accumulators */
    ib_cpu_attn_state *state;
    ib_cpu_attn_head head;
} tiles;

static tiles tiles_at(float *local, size_t rows, size_t head_dim) {
    tiles s = {.q = local};
    s.scores = s.q + rows * head_dim;
    s.out = s.scores + rows * KEYS + IB_CPU_ATTN_SLACK;
    s.state = (ib_cpu_attn_state *)(void *)(s.out + rows * ib_cpu_attn_width(head_dim));
    s.head.piece = (float *)(void *)(s.state + rows);
    return s;
}

/* The heads of one kv head at a token, [group, head_dim] in the tensor. */
static float *packed_row(const ib_cpu_attn *t, const ib_tensor *x, size_t seq, size_t kv_head,
                         size_t token) {
    size_t row = seq * t->a->step.n_tokens + token;
    return (float *)ib_cpu_at(x) + (row * t->a->n_heads + kv_head * t->group) * t->head_dim;
}

/* Keys [key, key + n) for the rows from `skip` on: those before see none of them. */
static void attend_block(const ib_cpu_attn *t, const tiles *s, size_t first_position, size_t skip,
                         size_t n_rows, size_t key, size_t n) {
    const size_t width = ib_cpu_attn_width(t->head_dim), even = (n + 1) / 2 * 2;
    float *scores = s->scores + skip * KEYS, *out = s->out + skip * width;
    const uint8_t *q = (const uint8_t *)s->q;
    q += skip * t->head_dim * ib_type_block_bytes(t->k->type);
    ib_cpu_attn_scores(t, &s->head, q, n_rows - skip, key, n, scores, KEYS);
    for (size_t r = skip; r < n_rows; r++) {
        size_t p = first_position + r / t->group, first = ib_cpu_first_key(t->a, p);
        size_t low = first > key ? first - key : 0, high = p + 1 > key ? p + 1 - key : 0;
        float shrink = ib_cpu_attn_absorb(t, s->scores + r * KEYS, low < n ? low : n,
                                          high < n ? high : n, even, &s->state[r]);
        if (shrink < 1.0f || isnan(shrink))
            t->d->k.scale(s->out + r * width, shrink, t->head_dim);
    }
    ib_cpu_attn_values(t, &s->head, scores, n_rows - skip, KEYS, key, n, out, width, true);
}

static void run_tile(const ib_cpu_attn *t, const tiles *s, size_t begin, size_t end) {
    const ib_attention_args *a = t->a;
    const size_t dim = t->head_dim, width = ib_cpu_attn_width(dim);
    const size_t n_rows = (end - begin) * t->group, seq = s->head.seq, kv_head = s->head.kv_head;
    const size_t packed = t->group * dim * ib_type_block_bytes(t->k->type);
    for (size_t token = begin; token < end; token++)
        ib_cpu_attn_queries(t, packed_row(t, &a->q, seq, kv_head, token), dim, t->group,
                            (uint8_t *)s->q + (token - begin) * packed);
    memset(s->out, 0, n_rows * width * sizeof(float));
    for (size_t r = 0; r < n_rows; r++)
        s->state[r] = (ib_cpu_attn_state){-INFINITY, 0};
    size_t position = a->step.n_past + begin, last = a->step.n_past + end;
    size_t first_block = ib_cpu_first_key(a, position) / KEYS;
    for (size_t b = (last + KEYS - 1) / KEYS; b-- > first_block;) {
        size_t key = b * KEYS, n = last - key < KEYS ? last - key : KEYS;
        size_t skip = key > position ? (key - position) * t->group : 0;
        attend_block(t, s, position, skip, n_rows, key, n);
    }
    for (size_t r = 0; r < n_rows; r++) {
        float *out = packed_row(t, &a->out, seq, kv_head, begin + r / t->group);
        t->d->k.scale(s->out + r * width, 1.0f / s->state[r].sum, dim);
        memcpy(out + r % t->group * dim, s->out + r * width, dim * sizeof *out);
    }
}

static void prefill(const ib_cpu_attn *t, int thread, int n_threads) {
    size_t n_tokens = t->a->step.n_tokens, tokens = tokens_per_tile(t->group);
    size_t n_kv = t->a->n_heads / t->group, n_blocks = (n_tokens + tokens - 1) / tokens;
    tiles s = tiles_at(ib_cpu_local(t->d, thread), tokens * t->group, t->head_dim);
    size_t units = t->a->step.n_seqs * n_kv * n_blocks;
    /* later blocks of tokens see more keys: deal them out in turn */
    for (size_t i = (size_t)thread; i < units; i += (size_t)n_threads) {
        size_t head = i / n_blocks, first = i % n_blocks * tokens;
        s.head.seq = head / n_kv;
        s.head.kv_head = head % n_kv;
        run_tile(t, &s, first, first + tokens < n_tokens ? first + tokens : n_tokens);
    }
}

/* --- decode: split-KV ------------------------------------------------------------------------- */

/* A partial result: per packed row the accumulators, then maximum and sum. */
static size_t partial_width(const ib_cpu_attn *t) {
    return ib_cpu_attn_width(t->head_dim) + STATE;
}

static float *partial_at(const ib_cpu_attn *t, size_t unit, size_t row) {
    return t->scores + (unit * t->group + row) * partial_width(t);
}

static ib_cpu_attn_state *state_of(const ib_cpu_attn *t, float *partial) {
    return (ib_cpu_attn_state *)(void *)(partial + ib_cpu_attn_width(t->head_dim));
}

static size_t split_count(size_t n_keys) {
    size_t n = (n_keys + KEYS - 1) / KEYS;
    return n < MAX_SPLITS ? n : MAX_SPLITS;
}

/* Keys [begin, end) of part i of n, in whole tiles. */
static void split_range(size_t n_keys, size_t i, size_t n, size_t *begin, size_t *end) {
    ib_split(n_keys, KEYS, (int)i, (int)n, begin, end);
}

static void run_part(const ib_cpu_attn *t, size_t unit, ib_cpu_attn_head h, size_t begin,
                     size_t end, float *local) {
    const size_t dim = t->head_dim, width = partial_width(t);
    const size_t first = ib_cpu_first_key(t->a, t->n_keys - 1);
    float *q = local, *scores = q + t->group * dim, *partial = partial_at(t, unit, 0);
    h.piece = scores + t->group * KEYS + IB_CPU_ATTN_SLACK;
    ib_cpu_attn_queries(t, packed_row(t, &t->a->q, h.seq, h.kv_head, 0), dim, t->group, q);
    memset(partial, 0, t->group * width * sizeof *partial);
    for (size_t g = 0; g < t->group; g++)
        state_of(t, partial + g * width)->max = -INFINITY;
    for (size_t key = begin; key < end; key += KEYS) {
        size_t n = end - key < KEYS ? end - key : KEYS, even = (n + 1) / 2 * 2;
        size_t low = first > key ? first - key : 0;
        if (key + n <= first)
            continue;
        ib_cpu_attn_scores(t, &h, q, t->group, key, n, scores, KEYS);
        for (size_t g = 0; g < t->group; g++) {
            float *p = partial + g * width;
            float shrink = ib_cpu_attn_absorb(t, scores + g * KEYS, low, n, even, state_of(t, p));
            if (shrink < 1.0f || isnan(shrink))
                t->d->k.scale(p, shrink, dim);
        }
        ib_cpu_attn_values(t, &h, scores, t->group, KEYS, key, n, partial, width, true);
    }
}

/* Adds the parts of one query head in their order. */
static void merge(const ib_cpu_attn *t, size_t first_unit, size_t n_splits, size_t g, float *out) {
    size_t dim = t->head_dim;
    float scale = t->a->softcap > 0 ? 1.0f : t->a->scale, max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n_splits; i++) {
        float m = state_of(t, partial_at(t, first_unit + i, g))->max;
        max = m > max ? m : max;
    }
    memset(out, 0, dim * sizeof *out);
    for (size_t i = 0; i < n_splits; i++) {
        float *p = partial_at(t, first_unit + i, g);
        const ib_cpu_attn_state state = *state_of(t, p);
        if (state.max <= -INFINITY && state.sum <= 0)
            continue; /* outside the window */
        float factor = expf((state.max - max) * scale);
        sum += state.sum * factor;
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
        run_part(t, i, (ib_cpu_attn_head){head / n_kv, head % n_kv, NULL}, from, to,
                 ib_cpu_local(t->d, thread));
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
    size_t rows = tokens_per_tile(group) * group, width = ib_cpu_attn_width(dim);
    uint64_t tile = rows * (dim + KEYS + width + STATE) + IB_CPU_ATTN_SLACK;
    uint64_t parts = s->n_seqs * s->n_heads * MAX_SPLITS * (width + STATE);
    return (ib_cpu_attn_need){(parts + IB_CPU_ATTN_SLACK) * sizeof(float),
                              (tile + ib_cpu_attn_piece(dim)) * sizeof(float)};
}
