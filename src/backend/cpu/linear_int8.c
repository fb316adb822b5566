/* SPDX-License-Identifier: MIT
 * LLM.int8 (Dettmers 2022), as bitsandbytes' PyTorch path computes it: rows of x rounded to fp16,
 * then to int8 by their largest entry; columns that hold an entry of at least the threshold in any
 * row are left out and multiplied in fp32. The integer product is exact. */
#include "backend/cpu/cpu.h"

#include <math.h>
#include <string.h>

/* 1/127^2 as the reference spells it, and 1/127. */
static const float UNSCALE = 6.200124e-05f, DEQUANTIZE = 7.874015718698502e-3f;

enum { PIECE = 256, WEIGHT_TILE = 32, OUTLIER_ROWS = 16 };

static size_t padded(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

/* Carves the parts out of scratch. */
static void lay_out(ib_cpu_int8 *s, uint8_t *scratch) {
    uint64_t at = 0;
    s->n_columns = (size_t *)(void *)(scratch + at);
    at += IB_CPU_ALIGN;
    s->qa = (int16_t *)(void *)(scratch + at);
    at += padded(s->rows * s->stride * sizeof *s->qa, IB_CPU_ALIGN);
    s->row_scale = (float *)(void *)(scratch + at);
    at += padded(s->rows * sizeof(float), IB_CPU_ALIGN);
    s->is_outlier = scratch + at;
    at += padded(s->n_in, IB_CPU_ALIGN);
    s->columns = (uint32_t *)(void *)(scratch + at);
    at += padded(s->n_in * sizeof(uint32_t), IB_CPU_ALIGN);
    s->x_outlier = (float *)(void *)(scratch + at);
}

uint64_t ib_cpu_int8_bytes(size_t rows, size_t n_in) {
    uint64_t stride = padded(n_in, IB_CPU_INT8_PAD);
    return 5 * IB_CPU_ALIGN + rows * stride * sizeof(int16_t) + rows * sizeof(float) + n_in +
           n_in * sizeof(uint32_t) + rows * n_in * sizeof(float);
}

uint64_t ib_cpu_int8_local_bytes(void) {
    return (uint64_t)OUTLIER_ROWS * IB_CPU_TILE_COLS * sizeof(float);
}

void ib_cpu_int8_layout(ib_cpu_int8 *s, void *scratch, size_t rows, size_t n_in, float threshold) {
    *s = (ib_cpu_int8){.rows = rows,
                       .n_in = n_in,
                       .stride = padded(n_in, IB_CPU_INT8_PAD),
                       .threshold = threshold};
    lay_out(s, scratch);
}

/* out = rn_f16(x). */
static void round_to_half(const ib_device *d, const float *x, size_t n, float *out) {
    uint8_t half[2 * PIECE];
    d->k.narrow[IB_TYPE_F16](x, n, half);
    d->k.widen[IB_TYPE_F16](half, n, out);
}

static void find_outliers(const ib_device *d, const ib_cpu_int8 *s, const float *x, size_t begin,
                          size_t end) {
    float piece[PIECE];
    memset(s->is_outlier + begin, 0, end - begin);
    for (size_t r = 0; r < s->rows && s->threshold > 0; r++)
        for (size_t c = begin; c < end; c += PIECE) {
            size_t n = end - c < PIECE ? end - c : PIECE;
            round_to_half(d, x + r * s->n_in + c, n, piece);
            for (size_t i = 0; i < n; i++)
                s->is_outlier[c + i] |= fabsf(piece[i]) >= s->threshold;
        }
}

static void list_outliers(const ib_cpu_int8 *s) {
    size_t n = 0;
    for (size_t c = 0; c < s->n_in; c++)
        if (s->is_outlier[c])
            s->columns[n++] = (uint32_t)c;
    *s->n_columns = n;
}

/* An entry that takes part in the row's scale: outlying entries count as 0. */
static float inlier(const ib_cpu_int8 *s, float v) {
    return s->threshold > 0 && fabsf(v) >= s->threshold ? 0 : v;
}

static float row_absmax(const ib_device *d, const ib_cpu_int8 *s, const float *x) {
    float piece[PIECE], largest = 0;
    for (size_t c = 0; c < s->n_in; c += PIECE) {
        size_t n = s->n_in - c < PIECE ? s->n_in - c : PIECE;
        round_to_half(d, x + c, n, piece);
        for (size_t i = 0; i < n; i++) {
            float v = fabsf(inlier(s, piece[i]));
            if (!(v <= largest) && !isnan(largest)) /* NaN wins and stays */
                largest = v;
        }
    }
    return largest;
}

static int16_t quantize(float v, float factor) {
    float y = v * factor;
    return isfinite(y) ? (int16_t)lrintf(y) : 0;
}

static void quantize_row(const ib_device *d, const ib_cpu_int8 *s, const float *x, size_t row) {
    float piece[PIECE], largest = row_absmax(d, s, x);
    /* PyTorch divides a number by a tensor so: reciprocal first. It decides ties of rounding. */
    float factor = largest > 0 ? 1.0f / largest * 127.0f : 0.0f;
    int16_t *qa = s->qa + row * s->stride;
    s->row_scale[row] = largest;
    for (size_t c = 0; c < s->n_in; c += PIECE) {
        size_t n = s->n_in - c < PIECE ? s->n_in - c : PIECE;
        round_to_half(d, x + c, n, piece);
        for (size_t i = 0; i < n; i++) {
            bool dropped = s->rows > 1 && s->is_outlier[c + i];
            qa[c + i] = dropped ? 0 : quantize(inlier(s, piece[i]), factor);
        }
    }
    memset(qa + s->n_in, 0, (s->stride - s->n_in) * sizeof *qa);
    float *kept = s->x_outlier + row * *s->n_columns;
    for (size_t i = 0; i < *s->n_columns; i++)
        kept[i] = x[s->columns[i]];
}

void ib_cpu_int8_prepare(ib_device *d, const ib_cpu_int8 *s, const float *x, int thread,
                         int n_threads) {
    size_t begin, end;
    ib_split(s->n_in, 64, thread, n_threads, &begin, &end);
    find_outliers(d, s, x, begin, end);
    ib_cpu_wait(d, n_threads);
    if (thread == 0)
        list_outliers(s);
    ib_cpu_wait(d, n_threads);
    ib_split(s->rows, 1, thread, n_threads, &begin, &end);
    for (size_t r = begin; r < end; r++)
        quantize_row(d, s, x + r * s->n_in, r);
    ib_cpu_wait(d, n_threads);
}

/* Weight rows [row, row + n) against all rows of x: the exact integer product, unscaled. */
static void integer_part(const ib_device *d, const ib_cpu_int8 *s, const ib_weight *w, size_t row,
                         size_t n, float *out) {
    const int8_t *data = w->m.data;
    size_t n_out = w->m.n_rows;
    int32_t sums[IB_CPU_INT8_A * IB_CPU_INT8_W];
    for (size_t r = 0; r < s->rows; r += IB_CPU_INT8_A) {
        size_t n_a = s->rows - r < IB_CPU_INT8_A ? s->rows - r : IB_CPU_INT8_A;
        for (size_t g = 0; g < n; g += IB_CPU_INT8_W) {
            size_t n_w = n - g < IB_CPU_INT8_W ? n - g : IB_CPU_INT8_W;
            d->k.int8_tile(s->qa + r * s->stride, s->stride, n_a, data + (row + g) * s->n_in,
                           s->n_in, n_w, s->n_in, sums);
            for (size_t i = 0; i < n_a; i++)
                for (size_t j = 0; j < n_w; j++)
                    out[(r + i) * n_out + row + g + j] =
                        (float)sums[i * IB_CPU_INT8_W + j] *
                        (s->row_scale[r + i] * w->m.scb[row + g + j]) * UNSCALE;
        }
    }
}

/* Adds the columns that were left out: x in fp32 times the dequantized weights. */
static void outlier_part(const ib_device *d, const ib_cpu_int8 *s, const ib_weight *w, size_t row,
                         size_t n, float *out, float *tile) {
    const int8_t *data = w->m.data;
    size_t n_columns = *s->n_columns;
    for (size_t c = 0; c < n_columns; c += IB_CPU_TILE_COLS) {
        size_t width = n_columns - c < IB_CPU_TILE_COLS ? n_columns - c : IB_CPU_TILE_COLS;
        for (size_t j = 0; j < n; j++)
            for (size_t i = 0; i < width; i++)
                tile[j * width + i] = (float)data[(row + j) * s->n_in + s->columns[c + i]] *
                                      w->m.scb[row + j] * DEQUANTIZE;
        d->k.mm_nt(s->x_outlier + c, n_columns, s->rows, tile, width, n, width, out + row,
                   w->m.n_rows, true);
    }
}

void ib_cpu_int8_rows(ib_device *d, const ib_cpu_int8 *s, const ib_weight *w, size_t begin,
                      size_t end, float *out, void *local) {
    for (size_t row = begin; row < end; row += WEIGHT_TILE) {
        size_t n = end - row < WEIGHT_TILE ? end - row : WEIGHT_TILE;
        integer_part(d, s, w, row, n, out);
        for (size_t g = 0; g < n && *s->n_columns; g += OUTLIER_ROWS)
            outlier_part(d, s, w, row + g, n - g < OUTLIER_ROWS ? n - g : OUTLIER_ROWS, out, local);
    }
}
