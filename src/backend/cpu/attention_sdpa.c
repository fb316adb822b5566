/* SPDX-License-Identifier: MIT
 * sdpa: one pass over blocks of keys with a running maximum and sum per query (Milakov 2018), as
 * PyTorch's fused CPU kernel does it. Only one block of scores exists at a time; each query head
 * reads its keys and values itself. */
#include "backend/cpu/cpu.h"

#include <math.h>
#include <string.h>

enum { KEY_BLOCK = 2 * IB_CPU_ATTN_KEYS, LARGEST_QUERY_BLOCK = 256 };

typedef struct tiles {
    float *q;      /* [query block, head_dim], as the products want them */
    float *scores; /* [query block, KEY_BLOCK] */
    float *out;    /* [query block, width] */
    ib_cpu_attn_state *state;
    ib_cpu_attn_head head;
} tiles;

static size_t query_block(size_t n_tokens) {
    if (n_tokens >= 768)
        return LARGEST_QUERY_BLOCK;
    return n_tokens >= 192 ? 64 : 32;
}

static tiles tiles_at(float *local, size_t block, size_t head_dim) {
    tiles s = {.q = local};
    s.scores = s.q + block * head_dim;
    s.out = s.scores + block * KEY_BLOCK + IB_CPU_ATTN_SLACK;
    s.state = (ib_cpu_attn_state *)(void *)(s.out + block * ib_cpu_attn_width(head_dim));
    s.head.piece = (float *)(void *)(s.state + block);
    return s;
}

/* Scores of one query over keys [key, key + n), scaled, -> weights. */
static float absorb(const ib_cpu_attn *t, float *s, size_t p, size_t key, size_t n,
                    ib_cpu_attn_state *state) {
    size_t first = ib_cpu_first_key(t->a, p), even = (n + 1) / 2 * 2;
    size_t low = first > key ? first - key : 0, high = p + 1 > key ? p + 1 - key : 0;
    return ib_cpu_attn_absorb(t, s, low < n ? low : n, high < n ? high : n, even, state);
}

/* Queries [begin, end) of one head. */
static void run_unit(const ib_cpu_attn *t, size_t head, size_t begin, size_t end, const tiles *s) {
    const ib_attention_args *a = t->a;
    const size_t dim = t->head_dim, width = ib_cpu_attn_width(dim), stride = a->n_heads * dim;
    const size_t n_rows = end - begin, seq = s->head.seq;
    const size_t offset = (seq * a->step.n_tokens + begin) * stride + head * dim;
    float *out = (float *)ib_cpu_at(&a->out) + offset;
    ib_cpu_attn_queries(t, (const float *)ib_cpu_at(&a->q) + offset, stride, n_rows, s->q);
    memset(s->out, 0, n_rows * width * sizeof *s->out);
    for (size_t r = 0; r < n_rows; r++)
        s->state[r] = (ib_cpu_attn_state){-INFINITY, 0};
    size_t last = a->step.n_past + end; /* one past the last key that any row sees */
    size_t key = ib_cpu_first_key(a, a->step.n_past + begin) / KEY_BLOCK * KEY_BLOCK;
    for (; key < last; key += KEY_BLOCK) {
        size_t n = last - key < KEY_BLOCK ? last - key : KEY_BLOCK;
        ib_cpu_attn_scores(t, &s->head, s->q, n_rows, key, n, s->scores, KEY_BLOCK);
        for (size_t r = 0; r < n_rows; r++) {
            float shrink = absorb(t, s->scores + r * KEY_BLOCK, a->step.n_past + begin + r, key, n,
                                  &s->state[r]);
            t->d->k.scale(s->out + r * width, shrink, dim);
        }
        ib_cpu_attn_values(t, &s->head, s->scores, n_rows, KEY_BLOCK, key, n, s->out, width, true);
    }
    for (size_t r = 0; r < n_rows; r++) {
        t->d->k.scale(s->out + r * width, 1.0f / s->state[r].sum, dim);
        memcpy(out + r * stride, s->out + r * width, dim * sizeof *out);
    }
}

void ib_cpu_attn_sdpa(void *job, int thread, int n_threads) {
    const ib_cpu_attn *t = job;
    size_t n_tokens = t->a->step.n_tokens, block = query_block(n_tokens);
    size_t n_blocks = (n_tokens + block - 1) / block;
    size_t units = t->a->step.n_seqs * t->a->n_heads * n_blocks;
    tiles s = tiles_at(ib_cpu_local(t->d, thread), block, t->head_dim);
    /* later blocks see more keys: deal them out in turn */
    for (size_t i = (size_t)thread; i < units; i += (size_t)n_threads) {
        size_t head = i / n_blocks % t->a->n_heads, first = i % n_blocks * block;
        s.head.seq = i / n_blocks / t->a->n_heads;
        s.head.kv_head = head / t->group;
        run_unit(t, head, first, first + block < n_tokens ? first + block : n_tokens, &s);
    }
}

ib_cpu_attn_need ib_cpu_sdpa_need(const ib_cpu_attn_shape *s) {
    size_t block = query_block(s->n_tokens), dim = s->head_dim;
    /* fewer tokens than reserved may use a smaller block, never a larger one */
    uint64_t floats = block * (dim + KEY_BLOCK + ib_cpu_attn_width(dim) + 2) + IB_CPU_ATTN_SLACK;
    return (ib_cpu_attn_need){0, (floats + ib_cpu_attn_piece(dim)) * sizeof(float)};
}
