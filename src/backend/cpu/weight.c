/* SPDX-License-Identifier: MIT
 * A stored matrix -> a weight: checked once, so that kernels need not, and bound to the kernels of
 * its format. The bytes stay as they are, in the caller's map where that is allowed. */
#include "backend/cpu/cpu.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

enum { INT8_MAX_COLS = 131072 }; /* 127 * 128 * this is the last sum that an int32 holds */

static bool is_4bit(ib_type t) {
    return t == IB_TYPE_NF4 || t == IB_TYPE_FP4;
}

static ib_status check_4bit(const ib_matrix *m, uint64_t n, ib_error *err) {
    bool nested = m->absmax_u8 && m->nested_absmax && m->nested_map;
    if (m->blocksize < 32 || m->blocksize > 4096 || (m->blocksize & (m->blocksize - 1)))
        return ib_fail(err, IB_E_FORMAT, "blocksize of a %s matrix: %u; fix: quantize with 64",
                       ib_type_name(m->type), m->blocksize);
    if (!m->absmax && !nested)
        return ib_fail(err, IB_E_INTERNAL, "a %s matrix of %llu elements has no scales",
                       ib_type_name(m->type), (unsigned long long)n);
    if (!m->absmax && m->nested_blocksize != 256)
        return ib_fail(err, IB_E_UNSUPPORTED, "nested blocksize of a %s matrix: %u; fix: use 256",
                       ib_type_name(m->type), m->nested_blocksize);
    return IB_OK;
}

static ib_status check_matrix(const ib_matrix *m, ib_error *err) {
    uint64_t n, bytes;
    const char *type = ib_type_name(m->type);
    if (!ib_matrix_type_supported(m->type))
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "weights of type %s on the cpu; fix: use F32, F16, "
                       "BF16, NF4, FP4, INT8 or a GGUF type from Q4_0 to Q6_K",
                       type);
    if (!ib_mul_u64(m->n_rows, m->n_cols, &n) || !n || m->n_rows > INT32_MAX ||
        m->n_cols > INT32_MAX)
        return ib_fail(err, IB_E_FORMAT, "shape of a %s matrix: %llu x %llu", type,
                       (unsigned long long)m->n_rows, (unsigned long long)m->n_cols);
    if (is_4bit(m->type)) {
        IB_TRY(check_4bit(m, n, err));
        bytes = ib_ceil_div(n, 2);
    } else if (!ib_type_bytes(m->type, n, &bytes) ||
               m->n_cols % ib_type_block_elements(m->type) != 0) {
        return ib_fail(err, IB_E_FORMAT, "columns of a %s matrix: %llu, not whole blocks of %u",
                       type, (unsigned long long)m->n_cols, ib_type_block_elements(m->type));
    }
    if (!m->data || m->data_bytes < bytes)
        return ib_fail(err, IB_E_FORMAT, "a %s matrix of %llu x %llu: %llu bytes, need %llu", type,
                       (unsigned long long)m->n_rows, (unsigned long long)m->n_cols,
                       (unsigned long long)m->data_bytes, (unsigned long long)bytes);
    if (m->type == IB_TYPE_INT8 && !m->scb)
        return ib_fail(err, IB_E_INTERNAL, "an INT8 matrix has no SCB");
    if (m->type == IB_TYPE_INT8 && m->n_cols > INT8_MAX_COLS)
        return ib_fail(err, IB_E_UNSUPPORTED, "columns of an INT8 matrix: %llu, more than %d",
                       (unsigned long long)m->n_cols, INT8_MAX_COLS);
    return IB_OK;
}

/* The parts of a matrix, for copying: where the pointer is and how many bytes it has. */
typedef struct part {
    const void **at;
    uint64_t bytes;
} part;

static size_t parts_of(ib_matrix *m, part out[5]) {
    size_t n = 0;
    out[n++] = (part){&m->data, m->data_bytes};
    if (m->type == IB_TYPE_INT8)
        out[n++] = (part){(const void **)(void *)&m->scb, m->n_rows * sizeof(float)};
    if (!is_4bit(m->type))
        return n;
    uint64_t blocks = ib_matrix_n_blocks(m);
    if (m->absmax) {
        out[n++] = (part){(const void **)(void *)&m->absmax, blocks * sizeof(float)};
        return n;
    }
    uint64_t groups = ib_ceil_div(blocks, m->nested_blocksize);
    out[n++] = (part){(const void **)(void *)&m->absmax_u8, blocks};
    out[n++] = (part){(const void **)(void *)&m->nested_absmax, groups * sizeof(float)};
    out[n++] = (part){(const void **)(void *)&m->nested_map, 256 * sizeof(float)};
    return n;
}

static ib_status copy_matrix(ib_device *d, ib_weight *w, ib_error *err) {
    part parts[5];
    size_t n = parts_of(&w->m, parts);
    uint64_t total = 0, aligned;
    for (size_t i = 0; i < n; i++)
        if (!ib_round_up(parts[i].bytes, IB_CPU_ALIGN, &aligned) ||
            !ib_add_u64(total, aligned, &total))
            return ib_fail_memory(err, SIZE_MAX, "weights");
    IB_TRY(ib_cpu_alloc(d, &w->owned, total, IB_MEM_WEIGHTS, "weights", err));
    w->bytes = total;
    uint8_t *to = w->owned;
    for (size_t i = 0; i < n; i++) {
        memcpy(to, *parts[i].at, (size_t)parts[i].bytes);
        *parts[i].at = to;
        to += (parts[i].bytes + IB_CPU_ALIGN - 1) / IB_CPU_ALIGN * IB_CPU_ALIGN;
    }
    return IB_OK;
}

/* nested_map [256] as four tables of bytes, least significant first: kernels look up 64 at once. */
static ib_status make_planes(ib_device *d, ib_weight *w, ib_error *err) {
    void *planes;
    IB_TRY(ib_cpu_alloc(d, &planes, 1024, IB_MEM_WEIGHTS, "scales", err));
    w->planes = planes;
    for (size_t i = 0; i < 256; i++) {
        uint32_t bits;
        memcpy(&bits, &w->m.nested_map[i], sizeof bits);
        for (size_t b = 0; b < 4; b++)
            w->planes[256 * b + i] = (uint8_t)(bits >> (8 * b) & 255);
    }
    return IB_OK;
}

static void bind_kernels(const ib_device *d, ib_weight *w) {
    const ib_matrix *m = &w->m;
    w->unpack = d->k.unpack[m->type];
    w->dot = d->k.dot[m->type];
    w->prepare = d->k.prepare[m->type];
    if (!is_4bit(m->type)) {
        w->row_bytes = m->data_bytes / m->n_rows;
        return;
    }
    w->codes = m->type == IB_TYPE_NF4 ? ib_nf4_table : ib_fp4_table;
    w->row_bytes = m->n_cols % 2 ? 0 : m->n_cols / 2;
    if (d->k.dot_codes && m->n_cols % 64 == 0 && m->blocksize % 64 == 0 &&
        m->n_cols <= IB_CPU_CODE_COLS) {
        w->dot = d->k.dot_codes;
        w->prepare = d->k.prepare_codes;
    }
}

ib_status ib_cpu_weight_new(ib_device *d, ib_weight **out, const ib_matrix *m, bool borrowable,
                            ib_error *err) {
    *out = NULL;
    IB_TRY(check_matrix(m, err));
    ib_weight *w = calloc(1, sizeof *w);
    if (!w)
        return ib_fail_memory(err, sizeof *w, "a weight");
    w->m = *m;
    ib_status status = IB_OK;
    if (borrowable) {
        w->bytes = ib_matrix_bytes(m);
        d->ledger.mapped_bytes += w->bytes;
        ib_cpu_ledger_add(d, w->bytes, IB_MEM_WEIGHTS);
    } else {
        status = copy_matrix(d, w, err);
    }
    if (status == IB_OK && is_4bit(m->type) && !m->absmax)
        status = make_planes(d, w, err);
    if (m->type == IB_TYPE_INT8)
        d->n_int8++;
    if (status != IB_OK) {
        ib_cpu_weight_free(d, w);
        return status;
    }
    bind_kernels(d, w);
    *out = w;
    return IB_OK;
}

void ib_cpu_weight_free(ib_device *d, ib_weight *w) {
    if (!w)
        return;
    ib_cpu_finish(d);
    if (w->m.type == IB_TYPE_INT8)
        d->n_int8--;
    ib_cpu_release(d, w->planes, 1024, IB_MEM_WEIGHTS);
    if (w->owned) {
        ib_cpu_release(d, w->owned, w->bytes, IB_MEM_WEIGHTS);
    } else {
        d->ledger.mapped_bytes -= w->bytes;
        ib_cpu_ledger_sub(d, w->bytes, IB_MEM_WEIGHTS);
    }
    free(w);
}
