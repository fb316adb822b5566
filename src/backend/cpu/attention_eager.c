/* SPDX-License-Identifier: MIT
 * eager: the score matrix [n_seqs, n_heads, n_tokens, n_keys] lies whole in scratch, and every step
 * of the textbook is a pass of its own over all of it: products, scale, cap, additive mask,
 * softmax, products with the values. Masked scores are computed too, then pushed down by the mask.
 */
#include "backend/cpu/cpu.h"

#include <float.h>
#include <string.h>

enum { QUERY_BLOCK = 64, KEY_BLOCK = IB_CPU_ATTN_KEYS, LARGEST_PANEL = 48 };

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

/* Columns of the score matrix: whole panels, which the products write. */
static size_t score_stride(size_t n_keys) {
    return (n_keys + LARGEST_PANEL - 1) / LARGEST_PANEL * LARGEST_PANEL;
}

static float *score_row(const ib_cpu_attn *t, const unit *u, size_t token) {
    const ib_attention_args *a = t->a;
    return t->scores +
           ((u->seq * a->n_heads + u->head) * a->step.n_tokens + token) * score_stride(t->n_keys);
}

static size_t row_offset(const ib_cpu_attn *t, const unit *u, size_t token) {
    return ((u->seq * t->a->step.n_tokens + token) * t->a->n_heads + u->head) * t->head_dim;
}

/* A thread's room: queries, outputs, and a tile of the cache. */
typedef struct room {
    float *q, *out;
    ib_cpu_attn_head head;
} room;

static room room_at(const ib_cpu_attn *t, const unit *u, float *local) {
    room s = {.q = local, .out = local + QUERY_BLOCK * t->head_dim};
    s.head = (ib_cpu_attn_head){u->seq, u->head / t->group,
                                s.out + QUERY_BLOCK * ib_cpu_attn_width(t->head_dim)};
    return s;
}

/* S = Q K^T */
static void products(const ib_cpu_attn *t, const unit *u, float *local) {
    room s = room_at(t, u, local);
    const size_t n_rows = u->end - u->begin, lds = score_stride(t->n_keys);
    ib_cpu_attn_queries(t, (const float *)ib_cpu_at(&t->a->q) + row_offset(t, u, u->begin),
                        t->a->n_heads * t->head_dim, n_rows, s.q);
    for (size_t key = 0; key < t->n_keys; key += KEY_BLOCK) {
        size_t n = t->n_keys - key < KEY_BLOCK ? t->n_keys - key : KEY_BLOCK;
        ib_cpu_attn_scores(t, &s.head, s.q, n_rows, key, n, score_row(t, u, u->begin) + key, lds);
    }
}

static void scale_and_cap(const ib_cpu_attn *t, const unit *u) {
    const ib_attention_args *a = t->a;
    for (size_t token = u->begin; token < u->end; token++) {
        float *s = score_row(t, u, token);
        if (a->softcap > 0)
            t->d->k.softcap(s, a->scale, a->softcap, t->n_keys);
        else
            t->d->k.scale(s, a->scale, t->n_keys);
    }
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
static void values(const ib_cpu_attn *t, const unit *u, float *local) {
    room s = room_at(t, u, local);
    const size_t n_rows = u->end - u->begin, lds = score_stride(t->n_keys), dim = t->head_dim;
    const size_t width = ib_cpu_attn_width(dim);
    for (size_t r = 0; r < n_rows && t->n_keys % 2; r++)
        score_row(t, u, u->begin + r)[t->n_keys] = 0; /* the partner of the last key */
    ib_cpu_attn_values(t, &s.head, score_row(t, u, u->begin), n_rows, lds, 0, t->n_keys, s.out,
                       width, false);
    for (size_t r = 0; r < n_rows; r++)
        memcpy((float *)ib_cpu_at(&t->a->out) + row_offset(t, u, u->begin + r), s.out + r * width,
               dim * sizeof *s.out);
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
                    ((double)s->n_keys + LARGEST_PANEL) * sizeof(float);
    uint64_t shared = scores < 1e18 ? (uint64_t)scores : UINT64_MAX / 2;
    uint64_t local = QUERY_BLOCK * (s->head_dim + ib_cpu_attn_width(s->head_dim)) +
                     ib_cpu_attn_piece(s->head_dim);
    return (ib_cpu_attn_need){shared, local * sizeof(float)};
}
