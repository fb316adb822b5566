/* SPDX-License-Identifier: MIT
 * Byte-pair encoding: a piece starts as its chars and the best adjacent pair is merged until none
 * is left. Best = lowest rank in the list of merges (tokenizer.json, GGUF "gpt2"), or highest score
 * of the merged token (GGUF "llama"); the leftmost of equals.
 *
 * Short pieces are searched anew for each merge; long ones use a heap, so that a piece of n chars
 * costs O(n log n) also where no pre-tokenizer cuts the text up. */
#include "base/checked.h"
#include "text/tok.h"

#include <stdlib.h>
#include <string.h>

#define SHORT_PIECE 32

/* ---- building ---- */

static size_t pair_hash(uint64_t key) {
    key *= 0x9E3779B97F4A7C15u;
    return (size_t)(key ^ key >> 32);
}

static ib_tok_pair_slot *find_pair(const ib_tok_bpe *b, uint32_t left, uint32_t right) {
    uint64_t key = (uint64_t)left << 32 | right;
    size_t i = pair_hash(key) & (b->n_pairs - 1);
    while (b->pairs[i].key != key && b->pairs[i].key != UINT64_MAX)
        i = (i + 1) & (b->n_pairs - 1);
    return &b->pairs[i];
}

static ib_status reserve_pairs(ib_tok_bpe *b, size_t n, ib_error *err) {
    b->n_pairs = 16;
    while (b->n_pairs < n * 2)
        b->n_pairs *= 2;
    b->pairs = malloc(b->n_pairs * sizeof *b->pairs);
    if (!b->pairs)
        return ib_fail_memory(err, b->n_pairs * sizeof *b->pairs, "merges");
    for (size_t i = 0; i < b->n_pairs; i++)
        b->pairs[i].key = UINT64_MAX;
    return IB_OK;
}

static ib_status bad_merge(size_t index, const char *what, ib_str part, ib_error *err) {
    char quoted[IB_QUOTED];
    return ib_fail(
        err, IB_E_FORMAT,
        "bad merge in tokenizer.json at /model/merges/%zu: %s '%s'; fix: correct the file", index,
        what, ib_quote(part, quoted));
}

#define MARK "\xE2\x96\x81"

static bool is_byte_token(ib_str t) {
    return t.len == 6 && memcmp(t.ptr, "<0x", 3) == 0;
}

static void set_joins(ib_tok_bpe *b, const char *text, size_t end) {
    size_t at = end;
    do
        at--;
    while (at && ((unsigned char)text[at] & 0xC0) == 0x80);
    uint32_t c = ib_tok_next_char((ib_str){text, end}, &at);
    b->joins_mark[(c & 0xFFFF) >> 3] |= (uint8_t)(1u << (c & 7));
}

/* What a merge means for cuts. Symbols of bytes and of unknown chars do not show their text: a
 * merge of one of those rules cuts out. */
static void note_mark(ib_tok_model *m, ib_str left, ib_str right, const uint32_t id[2]) {
    ib_tok_bpe *b = &m->bpe;
    if (is_byte_token(left) || is_byte_token(right) || id[0] == b->unk_id || id[1] == b->unk_id)
        b->cuts = false;
    if (left.len && right.len >= 3 && memcmp(right.ptr, MARK, 3) == 0)
        set_joins(b, left.ptr, left.len);
}

size_t ib_tok_bpe_cut(const ib_tok_bpe *b, ib_str piece, size_t from) {
    while (b->cuts && from + 1 < piece.len) {
        const char *p = memchr(piece.ptr + from + 1, (unsigned char)MARK[0], piece.len - from - 1);
        if (!p)
            break;
        from = (size_t)(p - piece.ptr);
        if (piece.len - from < 3 || memcmp(p, MARK, 3) != 0)
            continue;
        size_t at = from;
        do
            at--;
        while (at && ((unsigned char)piece.ptr[at] & 0xC0) == 0x80);
        uint32_t c = ib_tok_next_char(piece, &at);
        if (!(b->joins_mark[(c & 0xFFFF) >> 3] >> (c & 7) & 1))
            return from;
    }
    return piece.len;
}

/* The text of left + right, the continuing prefix of right cut off, at `to`. */
static ib_status join_parts(const ib_tok_model *m, const ib_tok_raw_merge *merge, size_t index,
                            ib_buf *text, ib_error *err) {
    ib_str right = merge->right;
    size_t cut = m->bpe.prefix.len;
    if (right.len < cut || (right.len > cut && ((unsigned char)right.ptr[cut] & 0xC0) == 0x80))
        return bad_merge(index, "a right part without the continuing prefix:", right, err);
    IB_TRY(ib_buf_add(text, merge->left.ptr, merge->left.len, err));
    return ib_buf_add(text, right.ptr + cut, right.len - cut, err);
}

/* Merges [from, from + n) with their three lookups each. */
static ib_status add_block(ib_tok_model *m, const ib_tok_raw_merge *merges, size_t from, size_t n,
                           ib_buf *text, size_t *n_twice, ib_error *err) {
    ib_str tokens[IB_TOK_LOOKUPS];
    uint32_t ids[IB_TOK_LOOKUPS];
    size_t at = 0;
    ib_buf_reset(text);
    for (size_t i = 0; i < n; i++)
        IB_TRY(join_parts(m, &merges[from + i], from + i, text, err));
    for (size_t i = 0; i < n; i++) {
        const ib_tok_raw_merge *merge = &merges[from + i];
        size_t len = merge->left.len + merge->right.len - m->bpe.prefix.len;
        tokens[3 * i] = merge->left;
        tokens[3 * i + 1] = merge->right;
        tokens[3 * i + 2] = (ib_str){text->ptr + at, len};
        at += len;
    }
    ib_tok_vocab_ids(&m->vocab, tokens, 3 * n, ids);
    for (size_t i = 0; i < n; i++) {
        const uint32_t *id = &ids[3 * i];
        for (size_t k = 0; k < 3; k++)
            if (id[k] == IB_TOK_NONE)
                return bad_merge(from + i, "not in the vocabulary:", tokens[3 * i + k], err);
        note_mark(m, merges[from + i].left, merges[from + i].right, id);
        ib_tok_pair_slot *s = find_pair(&m->bpe, id[0], id[1]);
        *n_twice += s->key != UINT64_MAX;
        *s = (ib_tok_pair_slot){(uint64_t)id[0] << 32 | id[1], (uint32_t)(from + i), id[2]};
    }
    return IB_OK;
}

static ib_status add_merges(ib_tok_model *m, const ib_tok_raw_merge *merges, size_t n, ib_buf *text,
                            size_t *n_twice, ib_error *err) {
    const size_t block = IB_TOK_LOOKUPS / 3;
    for (size_t i = 0; i < n; i += block)
        IB_TRY(add_block(m, merges, i, n - i < block ? n - i : block, text, n_twice, err));
    return IB_OK;
}

ib_status ib_tok_bpe_build(ib_tok_model *m, const ib_tok_raw_merge *merges, size_t n,
                           const ib_log *log, ib_error *err) {
    size_t n_twice = 0;
    ib_buf text;
    ib_buf_init(&text);
    m->bpe.cuts = !m->bpe.prefix.len && !m->bpe.suffix.len && !m->bpe.ignore_merges &&
                  ib_tok_vocab_id(&m->vocab, IB_STR(MARK)) != IB_TOK_NONE;
    IB_TRY(reserve_pairs(&m->bpe, n, err));
    ib_status st = add_merges(m, merges, n, &text, &n_twice, err);
    ib_buf_clear(&text);
    if (st == IB_OK && n_twice)
        ib_log_warn(log, "tokenizer.json: %zu merges are listed twice; the last rank counts",
                    n_twice);
    if (st == IB_OK)
        ib_tok_bpe_fill_tables(m);
    return st;
}

/* Merges by score join what makes a token: marks inside of tokens tell. */
static void note_tokens(ib_tok_model *m) {
    m->bpe.cuts = ib_tok_vocab_id(&m->vocab, IB_STR(MARK)) != IB_TOK_NONE;
    for (size_t i = 0; i < m->vocab.n; i++) {
        const ib_tok_entry *e = &m->vocab.by_id[i];
        for (size_t k = 1; k + 3 <= e->len; k++)
            if (memcmp(e->ptr + k, MARK, 3) == 0)
                set_joins(&m->bpe, e->ptr, k);
    }
}

void ib_tok_bpe_fill_tables(ib_tok_model *m) {
    if (m->bpe.score_rank)
        note_tokens(m);
    ib_tok_byte_tokens(&m->vocab, m->bpe.byte_ids);
    for (uint32_t c = 0; c < 0x400; c++) {
        char text[4];
        m->bpe.char_ids[c] = ib_tok_vocab_id(&m->vocab, (ib_str){text, ib_utf8_encode(c, text)});
    }
}

/* ---- scratch ---- */

void ib_tok_scratch_clear(ib_tok_scratch *s) {
    free(s->words);
    free(s->heap);
    free(s->reals);
    ib_buf_clear(&s->text);
    *s = (ib_tok_scratch){0};
}

uint32_t *ib_tok_scratch_words(ib_tok_scratch *s, size_t n, ib_error *err) {
    if (n > s->n_words || !s->words) {
        size_t n_words, bytes;
        if (!ib_add_size(n, 64, &n_words) || !ib_mul_size(n_words, sizeof *s->words, &bytes)) {
            (void)ib_fail_memory(err, SIZE_MAX, "a piece of text");
            return NULL;
        }
        uint32_t *words = realloc(s->words, bytes);
        if (!words) {
            (void)ib_fail_memory(err, bytes, "a piece of text");
            return NULL;
        }
        s->words = words;
        s->n_words = n_words;
    }
    return s->words;
}

/* ---- the symbols of a piece ---- */

typedef struct symbols {
    const ib_tok_model *m;
    ib_str piece;
    uint32_t *id, *prev, *next; /* [n]; prev and next only for long pieces */
    uint32_t *start;            /* [n] byte offsets, only for merges by score */
    size_t n;
    bool by_score;
} symbols;

static void push_symbol(symbols *s, uint32_t id, size_t start) {
    if (s->by_score)
        s->start[s->n] = (uint32_t)start;
    s->id[s->n++] = id;
}

/* The id of one char; *c becomes its text with the prefix and suffix that its place asks for. */
static ib_status char_id(const ib_tok_bpe *b, const ib_tok_vocab *v, ib_str *c, uint32_t code,
                         bool first, bool last, ib_buf *text, uint32_t *out, ib_error *err) {
    if ((first || !b->prefix.len) && (!last || !b->suffix.len)) {
        *out = code < 0x400 ? b->char_ids[code] : ib_tok_vocab_id(v, *c);
        return IB_OK;
    }
    ib_buf_reset(text);
    if (!first)
        IB_TRY(ib_buf_add(text, b->prefix.ptr, b->prefix.len, err));
    IB_TRY(ib_buf_add(text, c->ptr, c->len, err));
    if (last)
        IB_TRY(ib_buf_add(text, b->suffix.ptr, b->suffix.len, err));
    *c = (ib_str){text->ptr, text->len};
    *out = ib_tok_vocab_id(v, *c);
    return IB_OK;
}

static bool push_bytes(symbols *s, const char *bytes, size_t n, size_t start) {
    const uint32_t *ids = s->m->bpe.byte_ids;
    for (size_t i = 0; i < n; i++)
        if (ids[(unsigned char)bytes[i]] == IB_TOK_NONE)
            return false;
    for (size_t i = 0; i < n; i++)
        push_symbol(s, ids[(unsigned char)bytes[i]], start + i);
    return true;
}

static ib_status first_symbols(symbols *s, ib_buf *text, ib_error *err) {
    const ib_tok_bpe *b = &s->m->bpe;
    bool unknown = false; /* an unknown token waits to be written */
    for (size_t pos = 0; pos < s->piece.len;) {
        size_t at = pos;
        uint32_t code = ib_tok_next_char(s->piece, &pos), id;
        ib_str c = {s->piece.ptr + at, pos - at};
        IB_TRY(char_id(b, &s->m->vocab, &c, code, at == 0, pos == s->piece.len, text, &id, err));
        if (id != IB_TOK_NONE || s->by_score) {
            if (unknown)
                push_symbol(s, b->unk_id, at);
            unknown = false;
            push_symbol(s, id, at);
            continue;
        }
        if (b->byte_fallback && push_bytes(s, c.ptr, c.len, at))
            continue;
        if (b->unk_id == IB_TOK_NONE)
            continue;
        if (unknown && !b->fuse_unk)
            push_symbol(s, b->unk_id, at);
        unknown = true;
    }
    if (unknown)
        push_symbol(s, b->unk_id, s->piece.len);
    return IB_OK;
}

/* ---- merging ---- */

/* What symbols i and j would become; rank IB_TOK_NONE = they do not merge. end: bytes behind j. */
static uint32_t pair_rank(const symbols *s, size_t i, size_t j, size_t end, uint32_t *id) {
    if (s->by_score) {
        ib_str text = {s->piece.ptr + s->start[i], end - s->start[i]};
        *id = ib_tok_vocab_id(&s->m->vocab, text);
        return *id == IB_TOK_NONE ? IB_TOK_NONE : s->m->bpe.score_rank[*id];
    }
    const ib_tok_pair_slot *p = find_pair(&s->m->bpe, s->id[i], s->id[j]);
    if (p->key == UINT64_MAX)
        return IB_TOK_NONE;
    *id = p->id;
    return p->rank;
}

static size_t short_end(const symbols *s, size_t j) {
    return s->by_score && j + 1 < s->n ? s->start[j + 1] : s->piece.len;
}

static void merge_short(symbols *s) {
    uint32_t rank[SHORT_PIECE + 1], to[SHORT_PIECE + 1];
    for (size_t i = 0; i + 1 < s->n; i++)
        rank[i] = pair_rank(s, i, i + 1, short_end(s, i + 1), &to[i]);
    while (s->n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < s->n; i++)
            if (rank[i] < rank[best])
                best = i;
        if (rank[best] == IB_TOK_NONE)
            return;
        s->id[best] = to[best];
        size_t rest = s->n - best - 2; /* symbols behind the pair */
        memmove(s->id + best + 1, s->id + best + 2, rest * sizeof *s->id);
        if (s->by_score)
            memmove(s->start + best + 1, s->start + best + 2, rest * sizeof *s->start);
        if (rest) {
            memmove(rank + best + 1, rank + best + 2, (rest - 1) * sizeof *rank);
            memmove(to + best + 1, to + best + 2, (rest - 1) * sizeof *to);
        }
        s->n--;
        if (best)
            rank[best - 1] = pair_rank(s, best - 1, best, short_end(s, best), &to[best - 1]);
        if (best + 1 < s->n)
            rank[best] = pair_rank(s, best, best + 1, short_end(s, best + 1), &to[best]);
    }
}

/* A heap with four children a node: half the levels of a binary one, and the children share a line.
 */
static void sift_down(uint64_t *heap, size_t n, size_t i) {
    uint64_t v = heap[i];
    for (;;) {
        size_t child = 4 * i + 1, least = child;
        if (child >= n)
            break;
        size_t end = child + 4 < n ? child + 4 : n;
        for (size_t k = child + 1; k < end; k++)
            if (heap[k] < heap[least])
                least = k;
        if (heap[least] >= v)
            break;
        heap[i] = heap[least];
        i = least;
    }
    heap[i] = v;
}

static void sift_up(uint64_t *heap, size_t i) {
    uint64_t v = heap[i];
    while (i && heap[(i - 1) / 4] > v) {
        heap[i] = heap[(i - 1) / 4];
        i = (i - 1) / 4;
    }
    heap[i] = v;
}

static uint32_t long_rank(const symbols *s, uint32_t i, uint32_t *id) {
    uint32_t j = s->next[i];
    if (j == IB_TOK_NONE)
        return IB_TOK_NONE;
    size_t end = s->by_score && s->next[j] != IB_TOK_NONE ? s->start[s->next[j]] : s->piece.len;
    return pair_rank(s, i, j, end, id);
}

/* Entries are rank << 32 | position of the left symbol. Each merge takes one entry and adds two at
 * most while one symbol dies, so 3 n entries are enough. An entry counts only if its pair is still
 * there, which its rank tells: the pair at one place never comes back once it is gone. */
static void merge_long(symbols *s, uint64_t *heap) {
    size_t n = 0;
    uint32_t id;
    for (uint32_t i = 0; i < s->n; i++) {
        s->prev[i] = i ? i - 1 : IB_TOK_NONE;
        s->next[i] = i + 1 < s->n ? i + 1 : IB_TOK_NONE;
    }
    for (uint32_t i = 0; i + 1 < s->n; i++) {
        uint32_t rank = long_rank(s, i, &id);
        if (rank != IB_TOK_NONE)
            heap[n++] = (uint64_t)rank << 32 | i;
    }
    for (size_t i = (n + 2) / 4; i-- > 0;)
        sift_down(heap, n, i);
    while (n) {
        uint64_t top = heap[0];
        uint32_t i = (uint32_t)top;
        heap[0] = heap[--n];
        if (n)
            sift_down(heap, n, 0);
        if (s->prev[i] == i || long_rank(s, i, &id) != top >> 32)
            continue;
        uint32_t j = s->next[i], after = s->next[j], before = s->prev[i];
        s->id[i] = id;
        s->next[i] = after;
        s->prev[j] = j; /* dead */
        if (after != IB_TOK_NONE)
            s->prev[after] = i;
        for (int k = 0; k < 2; k++) {
            uint32_t left = k ? i : before;
            uint32_t rank = left == IB_TOK_NONE ? IB_TOK_NONE : long_rank(s, left, &id);
            if (rank != IB_TOK_NONE) {
                heap[n] = (uint64_t)rank << 32 | left;
                sift_up(heap, n++);
            }
        }
    }
    /* Close the gaps. */
    size_t kept = 0;
    for (uint32_t i = 0; i != IB_TOK_NONE && s->n; i = s->next[i]) {
        if (s->by_score)
            s->start[kept] = s->start[i];
        s->id[kept++] = s->id[i];
    }
    s->n = kept;
}

static ib_status reserve_heap(ib_tok_scratch *scratch, size_t n, ib_error *err) {
    if (n <= scratch->n_heap)
        return IB_OK;
    size_t bytes;
    if (!ib_mul_size(n, sizeof(uint64_t), &bytes))
        return ib_fail_memory(err, SIZE_MAX, "a piece of text");
    uint64_t *heap = realloc(scratch->heap, bytes);
    if (!heap)
        return ib_fail_memory(err, bytes, "a piece of text");
    scratch->heap = heap;
    scratch->n_heap = n;
    return IB_OK;
}

/* Merges by score leave chars that the vocabulary does not have: bytes, else unknown. */
static ib_status emit(const symbols *s, ib_ids *out, ib_error *err) {
    const ib_tok_bpe *b = &s->m->bpe;
    for (size_t i = 0; i < s->n; i++) {
        if (s->id[i] != IB_TOK_NONE) {
            IB_TRY(ib_ids_add(out, s->id[i], err));
            continue;
        }
        for (size_t k = s->start[i]; k < short_end(s, i); k++) {
            uint32_t id = b->byte_ids[(unsigned char)s->piece.ptr[k]];
            if (id == IB_TOK_NONE)
                id = b->unk_id;
            if (id != IB_TOK_NONE)
                IB_TRY(ib_ids_add(out, id, err));
        }
    }
    return IB_OK;
}

ib_status ib_tok_bpe_encode(const ib_tok_model *m, ib_tok_scratch *scratch, ib_str piece,
                            ib_ids *out, ib_error *err) {
    symbols s = {.m = m, .piece = piece, .by_score = m->bpe.score_rank != NULL};
    if (m->bpe.ignore_merges) {
        uint32_t id = ib_tok_vocab_id(&m->vocab, piece);
        if (id != IB_TOK_NONE)
            return ib_ids_add(out, id, err);
    }
    /* A char gives as many symbols as it has bytes at most, prefix and suffix included. */
    size_t most, n_words;
    if (!ib_add_size(m->bpe.byte_fallback ? m->bpe.prefix.len : 0, 1, &most) ||
        !ib_mul_size(piece.len, most, &most) || !ib_add_size(most, m->bpe.suffix.len, &most) ||
        !ib_add_size(most, 1, &most) || !ib_mul_size(most, 4, &n_words))
        return ib_fail_memory(err, SIZE_MAX, "a piece of text");
    uint32_t *words = ib_tok_scratch_words(scratch, n_words, err);
    if (!words)
        return IB_E_RESOURCE;
    s.id = words;
    s.start = words + most;
    s.prev = words + 2 * most;
    s.next = words + 3 * most;
    IB_TRY(first_symbols(&s, &scratch->text, err));
    if (s.n <= SHORT_PIECE) {
        merge_short(&s);
    } else {
        IB_TRY(reserve_heap(scratch, 3 * s.n, err));
        merge_long(&s, scratch->heap);
    }
    return emit(&s, out, err);
}
