/* SPDX-License-Identifier: MIT
 * sdpa: one pass over blocks of 512 keys with a running maximum and sum per query (Milakov 2018),
 * as PyTorch's fused CPU kernel does it. Only one block of scores exists at a time; each query head
 * reads its keys and values itself. */
#include "backend/cpu/cpu.h"

#include <math.h>
#include <string.h>

enum { KEY_BLOCK = 512, LARGEST_QUERY_BLOCK = 256 };

typedef struct tiles {
    float *scores; /* [query block, KEY_BLOCK] */
    float *rows;   /* [KEY_BLOCK, head_dim]: keys, then values */
    float *max, *sum;
} tiles;

static size_t query_block(size_t n_tokens) {
    if (n_tokens >= 768)
        return LARGEST_QUERY_BLOCK;
    return n_tokens >= 192 ? 64 : 32;
}

static tiles tiles_at(float *local, size_t block, size_t head_dim) {
    tiles s;
    s.scores = local;
    s.rows = s.scores + block * KEY_BLOCK;
    s.max = s.rows + KEY_BLOCK * head_dim;
    s.sum = s.max + block;
    return s;
}

/* Scores of one query over keys [key, key + n) -> weights relative to the new maximum. Returns the
 * factor by which what was summed before shrinks. */
static float absorb(const ib_cpu_attn *t, float *s, size_t p, size_t key, size_t n, float *max,
                    float *sum) {
    const ib_cpu_kernels *k = &t->d->k;
    size_t first = ib_cpu_first_key(t->a, p);
    size_t low = first > key ? first - key : 0, high = p + 1 > key ? p + 1 - key : 0;
    if (high > n)
        high = n;
    if (low >= high) {
        memset(s, 0, n * sizeof *s);
        return 1.0f;
    }
    if (t->a->softcap > 0)
        k->softcap(s + low, t->a->scale, t->a->softcap, high - low);
    else
        k->scale(s + low, t->a->scale, high - low);
    float block_max = k->max(s + low, high - low), before = *max;
    *max = block_max > before ? block_max : before;
    float shrink = expf(before - *max);
    *sum = *sum * shrink + k->exp_sum(s + low, *max, 1.0f, high - low);
    memset(s, 0, low * sizeof *s);
    memset(s + high, 0, (n - high) * sizeof *s);
    return shrink;
}

static void run_unit(const ib_cpu_attn *t, size_t seq, size_t head, size_t begin, size_t end,
                     const tiles *s) {
    const ib_attention_args *a = t->a;
    const ib_cpu_kernels *k = &t->d->k;
    size_t width = a->n_heads * t->head_dim, n_rows = end - begin;
    size_t offset = (seq * a->step.n_tokens + begin) * width + head * t->head_dim;
    const float *q = (const float *)ib_cpu_at(&a->q) + offset;
    float *out = (float *)ib_cpu_at(&a->out) + offset;
    for (size_t r = 0; r < n_rows; r++) {
        s->max[r] = -INFINITY;
        s->sum[r] = 0;
        memset(out + r * width, 0, t->head_dim * sizeof *out);
    }
    size_t last = a->step.n_past + end; /* one past the last key that any row sees */
    size_t key = ib_cpu_first_key(a, a->step.n_past + begin) / KEY_BLOCK * KEY_BLOCK;
    for (; key < last; key += KEY_BLOCK) {
        size_t n = last - key < KEY_BLOCK ? last - key : KEY_BLOCK;
        const float *rows = ib_cpu_kv_rows(t, false, seq, head / t->group, key, n, s->rows);
        k->mm_nt(q, width, n_rows, rows, t->head_dim, n, t->head_dim, s->scores, KEY_BLOCK, false);
        for (size_t r = 0; r < n_rows; r++) {
            float shrink = absorb(t, s->scores + r * KEY_BLOCK, a->step.n_past + begin + r, key, n,
                                  &s->max[r], &s->sum[r]);
            k->scale(out + r * width, shrink, t->head_dim);
        }
        rows = ib_cpu_kv_rows(t, true, seq, head / t->group, key, n, s->rows);
        k->mm_nn(s->scores, KEY_BLOCK, n_rows, rows, t->head_dim, t->head_dim, n, out, width, true);
    }
    for (size_t r = 0; r < n_rows; r++)
        k->scale(out + r * width, 1.0f / s->sum[r], t->head_dim);
}

void ib_cpu_attn_sdpa(void *job, int thread, int n_threads) {
    const ib_cpu_attn *t = job;
    size_t n_tokens = t->a->step.n_tokens, block = query_block(n_tokens);
    size_t n_blocks = (n_tokens + block - 1) / block, begin, end;
    tiles s = tiles_at(ib_cpu_local(t->d, thread), block, t->head_dim);
    ib_split(t->a->step.n_seqs * t->a->n_heads * n_blocks, 1, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        size_t head = i / n_blocks, first = i % n_blocks * block;
        run_unit(t, head / t->a->n_heads, head % t->a->n_heads, first,
                 first + block < n_tokens ? first + block : n_tokens, &s);
    }
}

ib_cpu_attn_need ib_cpu_sdpa_need(const ib_cpu_attn_shape *s) {
    size_t block = query_block(s->n_tokens);
    uint64_t floats = block * KEY_BLOCK + KEY_BLOCK * s->head_dim + 2 * block;
    return (ib_cpu_attn_need){0, floats * sizeof(float)};
}
