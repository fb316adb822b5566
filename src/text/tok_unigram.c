/* SPDX-License-Identifier: MIT
 * Unigram: the segmentation of a piece with the highest sum of scores (Viterbi over char starts).
 *
 * Pieces of the vocabulary that begin at a place are found in an array sorted by string: each
 * further byte narrows the range. The cost of hostile vocabularies is bounded by counting those
 * steps. */
#include "base/checked.h"
#include "text/tok.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define UNKNOWN_PENALTY 10.0

/* ---- building ---- */

typedef struct sort_entry {
    const char *ptr;
    uint32_t len, id;
} sort_entry;

static int by_string(const void *a, const void *b) {
    const sort_entry *x = a, *y = b;
    int c = memcmp(x->ptr, y->ptr, x->len < y->len ? x->len : y->len);
    return c ? c : x->len < y->len ? -1 : x->len > y->len;
}

static ib_status sort_pieces(ib_tok_unigram *u, const ib_tok_vocab *v, ib_error *err) {
    sort_entry *all = malloc((v->n ? v->n : 1) * sizeof *all);
    u->sorted = malloc((v->n ? v->n : 1) * sizeof *u->sorted);
    if (!all || !u->sorted) {
        free(all);
        return ib_fail_memory(err, v->n * sizeof *all, "the vocabulary");
    }
    /* Of a string that occurs twice its last id counts. */
    for (size_t i = 0; i < v->n; i++) {
        const ib_tok_entry *e = &v->by_id[i];
        if (e->len && ib_tok_vocab_id(v, (ib_str){e->ptr, e->len}) == e->id)
            all[u->n++] = (sort_entry){e->ptr, e->len, e->id};
    }
    qsort(all, u->n, sizeof *all, by_string);
    size_t at = 0;
    for (uint32_t byte = 0; byte < 257; byte++) {
        while (at < u->n && (unsigned char)all[at].ptr[0] < byte)
            at++;
        u->first[byte] = (uint32_t)at;
    }
    u->first[256] = (uint32_t)u->n;
    for (size_t i = 0; i < u->n; i++)
        u->sorted[i] = all[i].id;
    free(all);
    return IB_OK;
}

ib_status ib_tok_unigram_build(ib_tok_model *m, const ib_tok_raw_entry *entries, size_t n,
                               ib_error *err) {
    ib_tok_unigram *u = &m->unigram;
    double min = n ? entries[0].score : 0;
    u->scores = malloc((n ? n : 1) * sizeof *u->scores);
    if (!u->scores)
        return ib_fail_memory(err, n * sizeof *u->scores, "the vocabulary");
    for (size_t i = 0; i < n; i++) {
        u->scores[i] = entries[i].score;
        min = entries[i].score < min ? entries[i].score : min;
    }
    u->unk_score = min - UNKNOWN_PENALTY;
    ib_tok_byte_tokens(&m->vocab, u->byte_ids);
    return sort_pieces(u, &m->vocab, err);
}

/* ---- pieces that begin at one place ---- */

typedef struct range {
    size_t lo, hi;
} range;

/* First index in [lo, hi) whose byte at depth is not below c. All strings there are longer than
 * depth. */
static size_t lower(const ib_tok_model *m, size_t lo, size_t hi, size_t depth, unsigned c) {
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const ib_tok_entry *e = &m->vocab.by_id[m->unigram.sorted[mid]];
        if ((unsigned char)e->ptr[depth] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Narrows r, whose strings agree in `depth` bytes, to those that go on with c; *id = the string
 * that ends there. */
static range narrow(const ib_tok_model *m, range r, size_t depth, unsigned char c, uint32_t *id) {
    if (depth == 0)
        r = (range){m->unigram.first[c], m->unigram.first[c + 1u]};
    else {
        if (r.lo < r.hi && m->vocab.by_id[m->unigram.sorted[r.lo]].len == depth)
            r.lo++;
        r.lo = lower(m, r.lo, r.hi, depth, c);
        r.hi = lower(m, r.lo, r.hi, depth, c + 1u);
    }
    *id = IB_TOK_NONE;
    if (r.lo < r.hi && m->vocab.by_id[m->unigram.sorted[r.lo]].len == depth + 1)
        *id = m->unigram.sorted[r.lo];
    return r;
}

/* ---- encoding ---- */

typedef struct lattice {
    const ib_tok_model *m;
    ib_str piece;
    double *best;    /* [len + 1] */
    uint32_t *start; /* [len + 1] IB_TOK_NONE = not reached */
    uint32_t *id;    /* [len + 1] */
    uint32_t *end;   /* [len + 1] */
    size_t steps;
} lattice;

static void relax(lattice *l, size_t from, size_t to, double score, uint32_t id) {
    double candidate = l->best[from] + score;
    if (l->start[to] != IB_TOK_NONE && !(candidate > l->best[to]))
        return;
    l->best[to] = candidate;
    l->start[to] = (uint32_t)from;
    l->id[to] = id;
}

static ib_status no_unknown(ib_error *err) {
    return ib_fail(
        err, IB_E_FORMAT,
        "no unk_id in tokenizer.json at /model, and the text holds a char that the vocabulary "
        "does not; fix: use another tokenizer");
}

static ib_status forward(lattice *l, ib_error *err) {
    const ib_tok_unigram *u = &l->m->unigram;
    for (size_t from = 0; from < l->piece.len;) {
        size_t next = from;
        bool single = false;
        range r = {0, 1};
        (void)ib_tok_next_char(l->piece, &next);
        for (size_t to = from; to < l->piece.len; to++) {
            uint32_t id;
            r = narrow(l->m, r, to - from, (unsigned char)l->piece.ptr[to], &id);
            l->steps++;
            if (r.lo >= r.hi)
                break;
            if (id == IB_TOK_NONE)
                continue;
            relax(l, from, to + 1, u->scores[id], id);
            single = single || to + 1 == next;
        }
        if (!single) {
            if (u->unk_id == IB_TOK_NONE)
                return no_unknown(err);
            relax(l, from, next, u->unk_score, u->unk_id);
        }
        from = next;
        if (l->steps > 1000 * (l->piece.len + 1000))
            return ib_fail(
                err, IB_E_RESOURCE,
                "the Unigram vocabulary of tokenizer.json needs too many steps on this text; "
                "fix: use another tokenizer, or other text");
    }
    return IB_OK;
}

static ib_status emit(const lattice *l, size_t from, size_t to, ib_ids *out, ib_error *err) {
    const ib_tok_unigram *u = &l->m->unigram;
    ib_str text = {l->piece.ptr + from, to - from};
    uint32_t id = ib_tok_vocab_id(&l->m->vocab, text);
    if (id != IB_TOK_NONE)
        return ib_ids_add(out, id, err);
    bool bytes = u->byte_fallback;
    for (size_t i = 0; bytes && i < text.len; i++)
        bytes = u->byte_ids[(unsigned char)text.ptr[i]] != IB_TOK_NONE;
    if (!bytes)
        return u->unk_id == IB_TOK_NONE ? no_unknown(err) : ib_ids_add(out, u->unk_id, err);
    for (size_t i = 0; i < text.len; i++)
        IB_TRY(ib_ids_add(out, u->byte_ids[(unsigned char)text.ptr[i]], err));
    return IB_OK;
}

/* The best path, turned round: end[i] = where the segment that begins at i ends. Unknown segments
 * next to each other are one. */
static ib_status backward(lattice *l, ib_ids *out, ib_error *err) {
    uint32_t unknown = l->m->unigram.unk_id, to = (uint32_t)l->piece.len, end = to;
    while (to) {
        uint32_t from = l->start[to];
        bool joins =
            from && unknown != IB_TOK_NONE && l->id[to] == unknown && l->id[from] == unknown;
        if (!joins) {
            l->end[from] = end;
            end = from;
        }
        to = from;
    }
    for (size_t from = 0; from < l->piece.len; from = l->end[from])
        IB_TRY(emit(l, from, l->end[from], out, err));
    return IB_OK;
}

static ib_status reserve(ib_tok_scratch *s, size_t n, ib_error *err) {
    if (n <= s->n_reals)
        return IB_OK;
    double *reals = realloc(s->reals, n * sizeof *reals);
    if (!reals)
        return ib_fail_memory(err, n * sizeof *reals, "a piece of text");
    s->reals = reals;
    s->n_reals = n;
    return IB_OK;
}

ib_status ib_tok_unigram_encode(const ib_tok_model *m, ib_tok_scratch *s, ib_str piece, ib_ids *out,
                                ib_error *err) {
    size_t n = piece.len + 1;
    uint32_t *words = ib_tok_scratch_words(s, n * 3, err);
    if (!words)
        return IB_E_RESOURCE;
    IB_TRY(reserve(s, n, err));
    lattice l = {m, piece, s->reals, words, words + n, words + 2 * n, 0};
    for (size_t i = 0; i < n; i++)
        l.start[i] = IB_TOK_NONE;
    l.best[0] = 0;
    IB_TRY(forward(&l, err));
    return backward(&l, out, err);
}
