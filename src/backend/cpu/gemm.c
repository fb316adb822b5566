/* SPDX-License-Identifier: MIT
 * Matrix products of many rows of x (prefill): a tile of weight rows is decoded once in the
 * thread's own scratch and multiplied with all rows of x. No more than one tile of a matrix ever
 * exists decoded. */
#include "backend/cpu/cpu.h"

#include <string.h>

static size_t padded(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

/* Columns of tile b, with padding. */
static size_t panel_width(size_t n_in, size_t b) {
    size_t left = n_in - b * IB_CPU_TILE_COLS;
    return left < IB_CPU_TILE_COLS ? padded(left, IB_CPU_PAD) : IB_CPU_TILE_COLS;
}

uint64_t ib_cpu_gemm_bytes(size_t rows, size_t n_in) {
    return (uint64_t)rows * padded(n_in, IB_CPU_PAD) * sizeof(float);
}

uint64_t ib_cpu_gemm_local_bytes(void) {
    return (uint64_t)IB_CPU_TILE_ROWS * IB_CPU_TILE_COLS * sizeof(float);
}

/* One dense [rows, width] block per tile of columns. */
void ib_cpu_gemm_prepare(ib_device *d, const float *x, size_t rows, size_t n_in, void *prepared,
                         int thread, int n_threads) {
    size_t begin, end;
    (void)d;
    ib_split(rows, 1, thread, n_threads, &begin, &end);
    for (size_t b = 0; b * IB_CPU_TILE_COLS < n_in; b++) {
        size_t first = b * IB_CPU_TILE_COLS, width = panel_width(n_in, b);
        size_t real = n_in - first < width ? n_in - first : width;
        float *block = (float *)prepared + first * rows;
        for (size_t r = begin; r < end; r++) {
            memcpy(block + r * width, x + r * n_in + first, real * sizeof *x);
            memset(block + r * width + real, 0, (width - real) * sizeof *x);
        }
    }
}

void ib_cpu_gemm_rows(ib_device *d, const ib_cpu_gemm *j, size_t begin, size_t end, void *local) {
    const ib_weight *w = j->w;
    size_t n_in = w->m.n_cols, n_out = w->m.n_rows;
    float *tile = local;
    for (size_t row = begin; row < end; row += IB_CPU_TILE_ROWS) {
        size_t n = end - row < IB_CPU_TILE_ROWS ? end - row : IB_CPU_TILE_ROWS;
        for (size_t b = 0; b * IB_CPU_TILE_COLS < n_in; b++) {
            size_t first = b * IB_CPU_TILE_COLS, width = panel_width(n_in, b);
            size_t real = n_in - first < width ? n_in - first : width;
            for (size_t i = 0; i < n; i++) {
                w->unpack(w, row + i, first, real, tile + i * width);
                memset(tile + i * width + real, 0, (width - real) * sizeof *tile);
            }
            const float *x = (const float *)j->prepared + first * j->rows;
            d->k.mm_nt(x, width, j->rows, tile, width, n, width, j->out + row, n_out, b > 0);
        }
    }
}
