/* SPDX-License-Identifier: MIT
 * eager: the score matrix [n_seqs, n_heads, n_tokens, n_keys] lies whole in scratch, and every step
 * of the textbook is a pass of its own over all of it: products, scale, cap, additive mask,
 * softmax, products with the values. Masked scores are computed too, then pushed down by the mask.
 */
#include "backend/cpu/cpu.h"

#include <float.h>

enum { QUERY_BLOCK = 64, KEY_BLOCK = 256 };

/* One head of one sequence and a range of its tokens. */
typedef struct unit {
    size_t seq, head, begin, end;
} unit;

static size_t blocks_of(const ib_cpu_attn *t) {
    return (t->a->step.n_tokens + QUERY_BLOCK - 1) / QUERY_BLOCK;
}

static size_t unit_count(const ib_cpu_attn *t) {
    return t->a->step.n_seqs * t->a->n_heads * blocks_of(t);
}

static unit unit_at(const ib_cpu_attn *t, size_t i) {
    size_t block = i % blocks_of(t), head = i / blocks_of(t);
    size_t begin = block * QUERY_BLOCK, end = begin + QUERY_BLOCK;
    if (end > t->a->step.n_tokens)
        end = t->a->step.n_tokens;
    return (unit){head / t->a->n_heads, head % t->a->n_heads, begin, end};
}

static float *score_row(const ib_cpu_attn *t, const unit *u, size_t token) {
    const ib_attention_args *a = t->a;
    return t->scores + ((u->seq * a->n_heads + u->head) * a->step.n_tokens + token) * t->n_keys;
}

static size_t row_offset(const ib_cpu_attn *t, const unit *u, size_t token) {
    return ((u->seq * t->a->step.n_tokens + token) * t->a->n_heads + u->head) * t->head_dim;
}

/* S = Q K^T */
static void products(const ib_cpu_attn *t, const unit *u, float *tile) {
    const float *q = (const float *)ib_cpu_at(&t->a->q) + row_offset(t, u, u->begin);
    for (size_t key = 0; key < t->n_keys; key += KEY_BLOCK) {
        size_t n = t->n_keys - key < KEY_BLOCK ? t->n_keys - key : KEY_BLOCK;
        const float *k = ib_cpu_kv_rows(t, false, u->seq, u->head / t->group, key, n, tile);
        t->d->k.mm_nt(q, t->a->n_heads * t->head_dim, u->end - u->begin, k, t->head_dim, n,
                      t->head_dim, score_row(t, u, u->begin) + key, t->n_keys, false);
    }
}

static void scale_and_cap(const ib_cpu_attn *t, const unit *u) {
    const ib_attention_args *a = t->a;
    float *s = score_row(t, u, u->begin);
    size_t n = (u->end - u->begin) * t->n_keys;
    if (a->softcap > 0)
        t->d->k.softcap(s, a->scale, a->softcap, n);
    else
        t->d->k.scale(s, a->scale, n);
}

/* Adds the lowest finite number where the query does not see the key, as the reference does. */
static void add_mask(const ib_cpu_attn *t, const unit *u) {
    for (size_t token = u->begin; token < u->end; token++) {
        size_t p = t->a->step.n_past + token, first = ib_cpu_first_key(t->a, p);
        float *s = score_row(t, u, token);
        for (size_t key = 0; key < first; key++)
            s[key] += -FLT_MAX;
        for (size_t key = p + 1; key < t->n_keys; key++)
            s[key] += -FLT_MAX;
    }
}

static void softmax(const ib_cpu_attn *t, const unit *u) {
    const ib_cpu_kernels *k = &t->d->k;
    for (size_t token = u->begin; token < u->end; token++) {
        float *s = score_row(t, u, token);
        float sum = k->exp_sum(s, k->max(s, t->n_keys), 1.0f, t->n_keys);
        k->scale(s, 1.0f / sum, t->n_keys);
    }
}

/* O = P V */
static void values(const ib_cpu_attn *t, const unit *u, float *tile) {
    float *out = (float *)ib_cpu_at(&t->a->out) + row_offset(t, u, u->begin);
    for (size_t key = 0; key < t->n_keys; key += KEY_BLOCK) {
        size_t n = t->n_keys - key < KEY_BLOCK ? t->n_keys - key : KEY_BLOCK;
        const float *v = ib_cpu_kv_rows(t, true, u->seq, u->head / t->group, key, n, tile);
        t->d->k.mm_nn(score_row(t, u, u->begin) + key, t->n_keys, u->end - u->begin, v, t->head_dim,
                      t->head_dim, n, out, t->a->n_heads * t->head_dim, key > 0);
    }
}

void ib_cpu_attn_eager(void *job, int thread, int n_threads) {
    const ib_cpu_attn *t = job;
    float *tile = ib_cpu_local(t->d, thread);
    size_t begin, end;
    ib_split(unit_count(t), 1, thread, n_threads, &begin, &end);
    for (int pass = 0; pass < 5; pass++) {
        if (pass > 0)
            ib_cpu_wait(t->d, n_threads);
        for (size_t i = begin; i < end; i++) {
            unit u = unit_at(t, i);
            switch (pass) {
            case 0:
                products(t, &u, tile);
                break;
            case 1:
                scale_and_cap(t, &u);
                break;
            case 2:
                add_mask(t, &u);
                break;
            case 3:
                softmax(t, &u);
                break;
            default:
                values(t, &u, tile);
            }
        }
    }
}

ib_cpu_attn_need ib_cpu_eager_need(const ib_cpu_attn_shape *s) {
    /* In doubles: a product that does not fit is larger than any memory, and refused as such. */
    double scores = (double)s->n_seqs * (double)s->n_heads * (double)s->n_tokens *
                    (double)s->n_keys * sizeof(float);
    uint64_t shared = scores < 1e18 ? (uint64_t)scores : UINT64_MAX / 2;
    return (ib_cpu_attn_need){shared, KEY_BLOCK * s->head_dim * sizeof(float)};
}
