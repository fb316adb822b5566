/* SPDX-License-Identifier: MIT
 * Host memory as device memory, and the ledger that says what it is for. Scratch is sized here from
 * the limits of a session, so that no operation allocates. */
#include "backend/cpu/cpu.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20, HUGE_FROM = 4 << 20 };

void ib_cpu_ledger_add(ib_device *d, uint64_t bytes, ib_memory_tag tag) {
    ib_ledger *l = &d->ledger;
    l->now[tag] += bytes;
    if (l->now[tag] > l->peak[tag])
        l->peak[tag] = l->now[tag];
    uint64_t total = 0;
    for (int t = 0; t < IB_MEM_TAGS; t++)
        total += l->now[t];
    if (total > l->peak_total)
        l->peak_total = total;
}

void ib_cpu_ledger_sub(ib_device *d, uint64_t bytes, ib_memory_tag tag) {
    d->ledger.now[tag] -= bytes;
}

/* More than the machine has is refused here: the kernel would promise it and kill us later. */
static bool fits(const ib_device *d, uint64_t bytes) {
    uint64_t total = 0;
    for (int t = 0; t < IB_MEM_TAGS; t++)
        total += d->ledger.now[t];
    total -= d->ledger.mapped_bytes;
    return !d->memory_bytes || (total <= d->memory_bytes && bytes <= d->memory_bytes - total);
}

ib_status ib_cpu_alloc(ib_device *d, void **out, uint64_t bytes, ib_memory_tag tag,
                       const char *what, ib_error *err) {
    uint64_t rounded;
    const uint64_t align = bytes >= HUGE_FROM ? HUGE_PAGE : IB_CPU_ALIGN;
    *out = NULL;
    if (!ib_round_up(bytes ? bytes : 1, align, &rounded) || rounded > SIZE_MAX || !fits(d, rounded))
        return ib_fail_memory(err, bytes > SIZE_MAX ? SIZE_MAX : (size_t)bytes, what);
    *out = aligned_alloc((size_t)align, (size_t)rounded);
    if (!*out)
        return ib_fail_memory(err, (size_t)bytes, what);
#ifdef MADV_HUGEPAGE
    if (align == HUGE_PAGE)
        (void)madvise(*out, (size_t)rounded, MADV_HUGEPAGE); /* fewer faults; not needed */
#endif
    ib_cpu_ledger_add(d, bytes, tag);
    return IB_OK;
}

void ib_cpu_release(ib_device *d, void *p, uint64_t bytes, ib_memory_tag tag) {
    if (!p)
        return;
    free(p);
    ib_cpu_ledger_sub(d, bytes, tag);
}

ib_status ib_cpu_buffer_new(ib_device *d, ib_buffer **out, size_t bytes, ib_memory_tag tag,
                            ib_error *err) {
    static const char *const names[IB_MEM_TAGS] = {"weights", "the KV cache", "scratch",
                                                   "inputs and outputs"};
    *out = NULL;
    ib_buffer *b = calloc(1, sizeof *b);
    if (!b)
        return ib_fail_memory(err, sizeof *b, names[tag]);
    void *data;
    ib_status status = ib_cpu_alloc(d, &data, bytes, tag, names[tag], err);
    if (status != IB_OK) {
        free(b);
        return status;
    }
    *b = (ib_buffer){.data = data, .bytes = bytes, .tag = tag};
    *out = b;
    return IB_OK;
}

void ib_cpu_buffer_free(ib_device *d, ib_buffer *b) {
    if (!b)
        return;
    ib_cpu_finish(d);
    ib_cpu_release(d, b->data, b->bytes, b->tag);
    free(b);
}

static ib_status check_range(const ib_buffer *b, size_t offset, size_t bytes, ib_error *err) {
    if (offset > b->bytes || bytes > b->bytes - offset)
        return ib_fail(err, IB_E_INTERNAL, "copy of %zu bytes at %zu in a buffer of %llu bytes",
                       bytes, offset, (unsigned long long)b->bytes);
    return IB_OK;
}

ib_status ib_cpu_upload(ib_device *d, ib_buffer *to, size_t offset, const void *from, size_t bytes,
                        ib_error *err) {
    ib_cpu_finish(d);
    IB_TRY(check_range(to, offset, bytes, err));
    if (bytes)
        memcpy(to->data + offset, from, bytes);
    return IB_OK;
}

ib_status ib_cpu_download(ib_device *d, void *to, const ib_buffer *from, size_t offset,
                          size_t bytes, ib_error *err) {
    ib_cpu_finish(d);
    IB_TRY(check_range(from, offset, bytes, err));
    if (bytes)
        memcpy(to, from->data + offset, bytes);
    return IB_OK;
}

/* --- scratch ---------------------------------------------------------------------------------- */

static ib_status grow(ib_device *d, ib_cpu_scratch *s, uint64_t bytes, const char *what,
                      ib_error *err) {
    if (bytes <= s->bytes)
        return IB_OK;
    ib_cpu_finish(d);
    ib_cpu_release(d, s->data, s->bytes, IB_MEM_SCRATCH);
    *s = (ib_cpu_scratch){NULL, 0};
    void *data;
    IB_TRY(ib_cpu_alloc(d, &data, bytes, IB_MEM_SCRATCH, what, err));
    *s = (ib_cpu_scratch){data, bytes};
    return IB_OK;
}

void ib_cpu_scratch_clear(ib_device *d) {
    ib_cpu_scratch *all[] = {&d->shared, &d->prepared, &d->scores, &d->local};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        ib_cpu_release(d, all[i]->data, all[i]->bytes, IB_MEM_SCRATCH);
        *all[i] = (ib_cpu_scratch){NULL, 0};
    }
}

ib_status ib_cpu_scratch_get(const ib_cpu_scratch *s, uint64_t bytes, const char *what, void **out,
                             ib_error *err) {
    *out = s->data;
    if (bytes > s->bytes)
        return ib_fail(err, IB_E_INTERNAL, "%s needs %llu bytes of scratch, reserved were %llu",
                       what, (unsigned long long)bytes, (unsigned long long)s->bytes);
    return IB_OK;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

ib_status ib_cpu_reserve(ib_device *d, const ib_limits *l, ib_error *err) {
    size_t rows, values;
    if (!ib_mul_size(l->n_seqs, l->n_tokens, &rows) ||
        !ib_mul_size(l->n_heads, l->head_dim, &values) || rows > UINT32_MAX ||
        values > UINT32_MAX || l->d_model > UINT32_MAX || l->d_ff > UINT32_MAX ||
        l->n_ctx > UINT32_MAX)
        return ib_fail(err, IB_E_RESOURCE,
                       "a step of %zu x %zu tokens is too large; fix: use a "
                       "shorter prompt or fewer sequences",
                       l->n_seqs, l->n_tokens);
    rows = larger(rows, l->n_logit_rows);
    size_t widest = larger(larger(l->d_model, l->d_ff), values);
    const ib_cpu_attn_shape shape = {l->n_seqs,  l->n_tokens,   l->n_ctx,
                                     l->n_heads, l->n_kv_heads, l->head_dim};
    ib_cpu_attn_need need = ib_cpu_attn_needs(l->attention, &shape);
    uint64_t tile = ib_cpu_gemm_local_bytes(d, rows), left_out = ib_cpu_int8_local_bytes();
    tile = tile > left_out ? tile : left_out;
    uint64_t local = need.local > tile ? need.local : tile, all_local;
    if (!ib_round_up(local, IB_CPU_ALIGN, &local) ||
        !ib_mul_u64(local, (uint64_t)d->n_threads, &all_local))
        return ib_fail_memory(err, SIZE_MAX, "scratch");
    IB_TRY(grow(d, &d->shared, ib_cpu_linear_bytes(d, rows, widest, d->n_int8 > 0),
                "prepared activations", err));
    const uint64_t row = ib_cpu_linear_bytes(d, 1, widest, false);
    IB_TRY(grow(d, &d->prepared, d->n_threads > 1 ? row * (uint64_t)d->n_threads : 0,
                "prepared activations", err));
    IB_TRY(grow(d, &d->scores, need.shared, "attention scores", err));
    IB_TRY(grow(d, &d->local, all_local, "the tiles of each thread", err));
    d->local_stride = d->local.bytes / (uint64_t)d->n_threads / IB_CPU_ALIGN * IB_CPU_ALIGN;
    return IB_OK;
}
