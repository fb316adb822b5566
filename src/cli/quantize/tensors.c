/* SPDX-License-Identifier: MIT
 * One item -> its tensors. Values are decoded to fp32, rounded to dtype, then quantized in whole
 * blocks: work is split by index, so that the number of threads never changes a byte. */
#include "cli/quantize/quantize.h"

#include "base/checked.h"
#include "quant/bnb.h"
#include "stats/quantile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NESTED_BLOCK = 256 };

const char *ib_quantize_dtype_name(ib_type t) {
    return t == IB_TYPE_F32 ? "float32" : t == IB_TYPE_F16 ? "float16" : "bfloat16";
}

void ib_quantize_tensors_clear(ib_quantize_tensors *t) {
    for (size_t i = 0; i < t->n; i++) {
        free(t->list[i].name);
        free(t->list[i].own);
    }
    free(t->list);
    *t = (ib_quantize_tensors){0};
}

/* Appends a tensor; takes over own (freed on failure). */
static ib_status add(ib_quantize_tensors *out, const char *name, const char *suffix, ib_type type,
                     const uint64_t *shape, uint32_t n_dims, void *own, ib_error *err) {
    uint64_t n = 1, bytes = 0;
    char full[512];
    (void)snprintf(full, sizeof full, "%s%s", name, suffix);
    if (out->n == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : 64;
        ib_quantize_tensor *grown = realloc(out->list, cap * sizeof *grown);
        if (!grown) {
            free(own);
            return ib_fail_memory(err, cap * sizeof *grown, "a list of tensors");
        }
        out->list = grown;
        out->cap = cap;
    }
    ib_quantize_tensor *t = &out->list[out->n];
    *t = (ib_quantize_tensor){
        .name = ib_strdup(full), .type = type, .n_dims = n_dims, .data = own, .own = own};
    bool fits = true;
    for (uint32_t i = 0; i < n_dims; i++) {
        t->shape[i] = shape[i];
        fits = fits && ib_mul_u64(n, shape[i], &n);
    }
    if (!t->name || !fits || !ib_type_bytes(type, n, &bytes)) {
        free(t->name);
        free(own);
        return t->name ? ib_fail(err, IB_E_RESOURCE, "tensor '%s' is too large", full)
                       : ib_fail_memory(err, strlen(full), "a name");
    }
    t->n_bytes = bytes;
    out->n++;
    return IB_OK;
}

static ib_status add_flat(ib_quantize_tensors *out, const char *name, const char *suffix,
                          ib_type type, uint64_t n, void *own, ib_error *err) {
    return add(out, name, suffix, type, &n, 1, own, err);
}

static void *copy_of(const void *bytes, size_t n) {
    void *out = malloc(n ? n : 1);
    if (out)
        memcpy(out, bytes, n);
    return out;
}

/* --- decoding --- */

typedef struct decode_job {
    ib_matrix m;
    uint64_t head_rows; /* rows of a head when pairs are to be put apart; 0 = rows stay */
    ib_type dtype;
    float *out;
} decode_job;

/* Row of the source for row r of the result: GGUF keeps rows 2j, 2j+1 of a head together where
 * transformers has j and j + half. */
static uint64_t source_row(const decode_job *j, uint64_t r) {
    if (!j->head_rows)
        return r;
    uint64_t head = r / j->head_rows, within = r % j->head_rows, half = j->head_rows / 2;
    return head * j->head_rows + (within % half) * 2 + within / half;
}

static void round_to(ib_type dtype, float *x, uint64_t n) {
    if (dtype == IB_TYPE_BF16)
        for (uint64_t i = 0; i < n; i++)
            x[i] = ib_bf16_to_f32(ib_f32_to_bf16(x[i]));
    else if (dtype == IB_TYPE_F16)
        for (uint64_t i = 0; i < n; i++)
            x[i] = ib_f16_to_f32(ib_f32_to_f16(x[i]));
}

static void decode_rows(void *ctx, int thread, int n_threads) {
    const decode_job *j = ctx;
    size_t begin, end;
    ib_split((size_t)j->m.n_rows, 1, thread, n_threads, &begin, &end);
    for (size_t r = begin; r < end; r++) {
        float *out = j->out + r * j->m.n_cols;
        ib_matrix_decode(&j->m, source_row(j, r), 0, j->m.n_cols, out);
        round_to(j->dtype, out, j->m.n_cols);
    }
}

/* All values of a stored tensor as fp32 numbers of dtype; owned by the caller. A vector is a matrix
 * of one column where rows move, else of one row. */
static ib_status decode_tensor(float **out, const ib_quantize_item *item, ib_type dtype,
                               ib_pool *pool, ib_error *err) {
    const ib_stored_tensor *t = item->source;
    char shown[IB_QUOTED];
    uint64_t cols = t->n_dims >= 2       ? t->shape[t->n_dims - 1]
                    : item->paired_heads ? 1
                                         : t->n_elements;
    uint64_t bytes = 0;
    decode_job j = {.m = {.type = t->type,
                          .n_rows = cols ? t->n_elements / cols : 0,
                          .n_cols = cols,
                          .data = t->data,
                          .data_bytes = t->n_bytes},
                    .dtype = dtype};
    if (!ib_matrix_type_supported(t->type))
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "unsupported format of tensor '%s': %s; fix: use another model file",
                       ib_quote(t->name, shown), ib_type_name(t->type));
    j.head_rows = item->paired_heads ? j.m.n_rows / item->paired_heads : 0;
    if (!ib_mul_u64(t->n_elements, sizeof(float), &bytes) || bytes > SIZE_MAX)
        return ib_fail_memory(err, SIZE_MAX, "a tensor");
    *out = j.out = malloc(bytes ? (size_t)bytes : 1);
    if (!j.out)
        return ib_fail_memory(err, (size_t)bytes, "a tensor");
    ib_pool_run(pool, decode_rows, &j);
    return IB_OK;
}

/* --- kept tensors --- */

static ib_status keep(ib_quantize_tensors *out, const ib_quantize_item *item,
                      const ib_quantize_options *o, ib_pool *pool, ib_error *err) {
    const ib_stored_tensor *t = item->source;
    bool whole_numbers =
        t->type == IB_TYPE_BOOL || (t->type >= IB_TYPE_U8 && t->type <= IB_TYPE_I64);
    if (whole_numbers || (t->type == o->dtype && !item->paired_heads)) {
        IB_TRY(add(out, item->name, "", t->type, t->shape, t->n_dims, NULL, err));
        out->list[out->n - 1].data = t->data;
        return IB_OK;
    }
    float *values = NULL;
    IB_TRY(decode_tensor(&values, item, o->dtype, pool, err));
    uint16_t *halves = (uint16_t *)(void *)values; /* narrowed in place, front to back */
    for (uint64_t i = 0; o->dtype != IB_TYPE_F32 && i < t->n_elements; i++) {
        float v = values[i];
        uint16_t h = o->dtype == IB_TYPE_BF16 ? ib_f32_to_bf16(v) : ib_f32_to_f16(v);
        memcpy(halves + i, &h, sizeof h);
    }
    return add(out, item->name, "", o->dtype, t->shape, t->n_dims, values, err);
}

/* --- quantized tensors --- */

typedef struct quantize_job {
    const float *x;
    uint64_t n, n_blocks;
    ib_type type;
    uint32_t blocksize;
    uint8_t *codes;
    float *absmax;
} quantize_job;

static void quantize_blocks(void *ctx, int thread, int n_threads) {
    const quantize_job *j = ctx;
    size_t begin, end;
    ib_split((size_t)j->n_blocks, 1, thread, n_threads, &begin, &end);
    uint64_t first = (uint64_t)begin * j->blocksize, last = (uint64_t)end * j->blocksize;
    if (last > j->n)
        last = j->n;
    if (first < last)
        ib_bnb_quantize(j->type, j->x + first, last - first, j->blocksize, j->codes + first / 2,
                        j->absmax + begin);
}

/* The quant_state text as Python's json.dumps writes it. */
static ib_status state_text(ib_buf *out, const ib_quantize_item *item, const ib_quantize_options *o,
                            float offset, ib_error *err) {
    const ib_stored_tensor *t = item->source;
    char number[32];
    IB_TRY(ib_buf_addf(out, err,
                       "{\"quant_type\": \"%s\", \"blocksize\": %u, \"dtype\": \"%s\", "
                       "\"shape\": [%llu, %llu]",
                       o->type == IB_TYPE_NF4 ? "nf4" : "fp4", o->blocksize,
                       ib_quantize_dtype_name(o->dtype), (unsigned long long)t->shape[0],
                       (unsigned long long)t->shape[1]));
    if (o->nested) {
        (void)ib_stats_repr((double)offset, number);
        IB_TRY(ib_buf_addf(out, err,
                           ", \"nested_blocksize\": %d, \"nested_dtype\": \"float32\", "
                           "\"nested_offset\": %s",
                           NESTED_BLOCK, number));
    }
    return ib_buf_addc(out, '}', err);
}

static ib_status add_state(ib_quantize_tensors *out, const ib_quantize_item *item,
                           const ib_quantize_options *o, float offset, ib_error *err) {
    ib_buf text;
    ib_buf_init(&text);
    ib_status st = state_text(&text, item, o, offset, err);
    void *bytes = st == IB_OK ? copy_of(text.ptr, text.len) : NULL;
    if (st == IB_OK && !bytes)
        st = ib_fail_memory(err, text.len, "a quant_state");
    if (st == IB_OK)
        st = add_flat(out, item->name,
                      o->type == IB_TYPE_NF4 ? ".quant_state.bitsandbytes__nf4"
                                             : ".quant_state.bitsandbytes__fp4",
                      IB_TYPE_U8, text.len, bytes, err);
    ib_buf_clear(&text);
    return st;
}

static ib_status add_table(ib_quantize_tensors *out, const char *name, const char *suffix,
                           const float *values, size_t n, ib_error *err) {
    float *own = copy_of(values, n * sizeof *values);
    if (!own)
        return ib_fail_memory(err, n * sizeof *values, "a code table");
    for (size_t i = 0; i < n; i++)
        own[i] += 0.0f; /* fp4's -0 becomes +0, as the reference stores it */
    return add_flat(out, name, suffix, IB_TYPE_F32, n, own, err);
}

/* absmax (taken over) -> U8 absmax with its own scales. */
static ib_status add_nested(ib_quantize_tensors *out, const char *name, float *absmax,
                            uint64_t n_blocks, float *offset, ib_error *err) {
    uint64_t n_nested = ib_ceil_div(n_blocks, NESTED_BLOCK);
    float map[256];
    uint8_t *codes = malloc((size_t)n_blocks);
    float *nested = malloc((size_t)n_nested * sizeof *nested);
    if (!codes || !nested) {
        free(absmax);
        free(codes);
        free(nested);
        return ib_fail_memory(err, (size_t)n_blocks, "nested scales");
    }
    ib_bnb_dynamic_map(map);
    ib_bnb_nest(absmax, n_blocks, map, codes, nested, offset);
    free(absmax);
    ib_status st = add_flat(out, name, ".absmax", IB_TYPE_U8, n_blocks, codes, err);
    if (st != IB_OK) {
        free(nested);
        return st;
    }
    IB_TRY(add_flat(out, name, ".nested_absmax", IB_TYPE_F32, n_nested, nested, err));
    return add_table(out, name, ".nested_quant_map", map, 256, err);
}

static ib_status quantize(ib_quantize_tensors *out, const ib_quantize_item *item,
                          const ib_quantize_options *o, ib_pool *pool, ib_error *err) {
    float *values = NULL, offset = 0;
    IB_TRY(decode_tensor(&values, item, o->dtype, pool, err));
    quantize_job j = {
        .x = values, .n = item->source->n_elements, .type = o->type, .blocksize = o->blocksize};
    j.n_blocks = ib_ceil_div(j.n, o->blocksize);
    uint64_t n_codes = ib_ceil_div(j.n, 2), shape[2] = {n_codes, 1};
    j.codes = malloc((size_t)n_codes);
    j.absmax = malloc((size_t)j.n_blocks * sizeof *j.absmax);
    if (!j.codes || !j.absmax) {
        free(values);
        free(j.codes);
        free(j.absmax);
        return ib_fail_memory(err, (size_t)n_codes, "quantized weights");
    }
    ib_pool_run(pool, quantize_blocks, &j);
    free(values);
    ib_status st = add(out, item->name, "", IB_TYPE_U8, shape, 2, j.codes, err);
    if (st != IB_OK) {
        free(j.absmax);
        return st;
    }
    if (o->nested)
        IB_TRY(add_nested(out, item->name, j.absmax, j.n_blocks, &offset, err));
    else
        IB_TRY(add_flat(out, item->name, ".absmax", IB_TYPE_F32, j.n_blocks, j.absmax, err));
    IB_TRY(add_table(out, item->name, ".quant_map",
                     o->type == IB_TYPE_NF4 ? ib_nf4_table : ib_fp4_table, 16, err));
    return add_state(out, item, o, offset, err);
}

ib_status ib_quantize_item_make(ib_quantize_tensors *out, const ib_quantize_item *item,
                                const ib_quantize_options *options, ib_pool *pool, ib_error *err) {
    return item->quantize ? quantize(out, item, options, pool, err)
                          : keep(out, item, options, pool, err);
}
