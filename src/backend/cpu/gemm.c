/* SPDX-License-Identifier: MIT
 * Matrix products of many rows of x (prefill), in the arithmetic of the tier.
 *
 * x is brought once into panels: some rows side by side, column after column, one block of columns
 * after the other. A thread takes ROW_BLOCK weight rows at a time, expands a block of their columns
 * into its own scratch (weights that are stored as the kernel reads them stay where they are), and
 * multiplies it with all panels of a group while it lies in the core's cache. Sums are kept as
 * [weight row, row of x] and turned at the end. No more than one such tile of a matrix ever exists
 * expanded. A result is summed column by column, whatever the rows, groups and threads are. */
#include "backend/cpu/cpu.h"

#include <string.h>

enum {
    ROW_BLOCK = 64,    /* weight rows of a tile */
    GROUP_PANELS = 12, /* panels that share an expanded tile */
    PIECE = 256,       /* columns narrowed at a time */
    LINE = 64          /* bytes between rows of a tile beyond their length: other cache sets */
};

typedef struct geometry {
    const ib_cpu_gemm_kernels *k;
    size_t size, rows, n_in, n_panels;
} geometry;

static size_t padded(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

static geometry geometry_of(const ib_device *d, size_t rows, size_t n_in) {
    const ib_cpu_gemm_kernels *k = &d->k.gemm;
    return (geometry){k, ib_type_block_bytes(k->type), rows, n_in,
                      (rows + k->panel_rows - 1) / k->panel_rows};
}

/* Columns of the block that begins at `first`, and with padding to whole pairs. */
static size_t block_cols(const geometry *g, size_t first) {
    return g->n_in - first < IB_CPU_TILE_COLS ? g->n_in - first : IB_CPU_TILE_COLS;
}

static size_t padded_cols(const geometry *g, size_t first) {
    return padded(block_cols(g, first), 2);
}

static size_t group_rows(const geometry *g) {
    return g->k->panel_rows * (g->n_panels < GROUP_PANELS ? g->n_panels : GROUP_PANELS);
}

static size_t tile_bytes(const geometry *g) {
    return ROW_BLOCK * (IB_CPU_TILE_COLS * g->size + LINE);
}

uint64_t ib_cpu_gemm_bytes(const ib_device *d, size_t rows, size_t n_in) {
    geometry g = geometry_of(d, rows, n_in);
    return (uint64_t)g.n_panels * g.k->panel_rows * padded(n_in, 2) * g.size;
}

uint64_t ib_cpu_gemm_local_bytes(const ib_device *d, size_t rows) {
    geometry g = geometry_of(d, rows, 1);
    return tile_bytes(&g) + ROW_BLOCK * (uint64_t)group_rows(&g) * sizeof(float);
}

/* Panel p of the block of columns that begins at `first`. */
static size_t panel_at(const geometry *g, size_t first, size_t p) {
    return (first * g->n_panels + p * padded_cols(g, first)) * g->k->panel_rows * g->size;
}

static size_t panel_rows(const geometry *g, size_t p) {
    size_t left = g->rows - p * g->k->panel_rows;
    return left < g->k->panel_rows ? left : g->k->panel_rows;
}

void ib_cpu_gemm_prepare(ib_device *d, const float *x, size_t rows, size_t n_in, void *prepared,
                         int thread, int n_threads) {
    geometry g = geometry_of(d, rows, n_in);
    size_t n_blocks = (n_in + IB_CPU_TILE_COLS - 1) / IB_CPU_TILE_COLS, begin, end;
    ib_split(n_blocks * g.n_panels, 1, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        size_t first = i / g.n_panels * IB_CPU_TILE_COLS, p = i % g.n_panels;
        size_t n = block_cols(&g, first);
        uint8_t *to = (uint8_t *)prepared + panel_at(&g, first, p);
        g.k->pack(x + p * g.k->panel_rows * n_in + first, n_in, panel_rows(&g, p), n, to);
        if (n % 2 && g.size == sizeof(float)) /* 16-bit kernels pack whole pairs */
            memset(to + n * g.k->panel_rows * g.size, 0, g.k->panel_rows * g.size);
    }
}

/* --- weights ---------------------------------------------------------------------------------- */

static void narrow_row(const ib_device *d, const ib_weight *w, size_t row, size_t col, size_t n,
                       uint8_t *out) {
    float piece[PIECE];
    for (size_t i = 0; i < n; i += PIECE) {
        size_t some = n - i < PIECE ? n - i : PIECE;
        w->unpack(w, row, col + i, some, piece);
        d->k.narrow[IB_TYPE_BF16](piece, some, out + i * sizeof(uint16_t));
    }
}

/* Whether the kernel reads the matrix as it lies. */
static bool as_stored(const geometry *g, const ib_weight *w) {
    return w->m.type == g->k->type && g->n_in % 2 == 0;
}

/* Weight rows [row, row + n) of the block of columns at `first` -> tile, row by row. */
static void expand(const ib_device *d, const geometry *g, const ib_weight *w, size_t row, size_t n,
                   size_t first, uint8_t *tile) {
    size_t cols = block_cols(g, first), with_pad = padded_cols(g, first);
    for (size_t i = 0; i < n; i++) {
        uint8_t *out = tile + i * (with_pad * g->size + LINE);
        if (g->k->expand[w->m.type])
            g->k->expand[w->m.type](w, row + i, first, cols, out);
        else if (g->k->type == IB_TYPE_F32)
            w->unpack(w, row + i, first, cols, (float *)(void *)out);
        else
            narrow_row(d, w, row + i, first, cols, out);
        memset(out + cols * g->size, 0, (with_pad - cols) * g->size);
    }
}

/* --- the product ------------------------------------------------------------------------------ */

/* Rows of one tile against panels [begin, end), columns at `first`: sums [n, ldc]. */
static void multiply(const geometry *g, const ib_cpu_gemm *j, ib_cpu_tile t, size_t begin,
                     size_t end, size_t first) {
    const uint8_t *w = t.w;
    float *sums = t.c;
    const size_t n = t.n_w;
    for (size_t p = begin; p < end; p++) {
        t.x = (const uint8_t *)j->prepared + panel_at(g, first, p);
        t.n_x = panel_rows(g, p);
        for (size_t r = 0; r < n; r += g->k->tile_rows) {
            t.w = w + r * t.ldw * g->size;
            t.n_w = n - r < g->k->tile_rows ? n - r : g->k->tile_rows;
            t.c = sums + r * t.ldc + (p - begin) * g->k->panel_rows;
            g->k->tile(&t);
        }
    }
}

/* Weight rows [row, row + n) against the panels [begin, end), all columns. */
static void block(ib_device *d, const geometry *g, const ib_cpu_gemm *j, size_t row, size_t n,
                  size_t begin, size_t end, uint8_t *local) {
    const ib_weight *w = j->w;
    const bool stored = as_stored(g, w);
    float *sums = (float *)(void *)(local + tile_bytes(g));
    size_t ldc = (end - begin) * g->k->panel_rows, n_out = w->m.n_rows;
    for (size_t first = 0; first < g->n_in; first += IB_CPU_TILE_COLS) {
        ib_cpu_tile t = {.w = local,
                         .ldw = padded_cols(g, first) + LINE / g->size,
                         .ldx = g->k->panel_rows,
                         .n_w = n,
                         .n = padded_cols(g, first),
                         .c = sums,
                         .ldc = ldc,
                         .accumulate = first > 0};
        if (stored) {
            t.w = (const uint8_t *)w->m.data + (row * g->n_in + first) * g->size;
            t.ldw = g->n_in;
        } else {
            expand(d, g, w, row, n, first, local);
        }
        multiply(g, j, t, begin, end, first);
    }
    size_t from = begin * g->k->panel_rows, to = end * g->k->panel_rows;
    d->k.turn(sums, ldc, n, (to < g->rows ? to : g->rows) - from, j->out + from * n_out + row,
              n_out);
}

void ib_cpu_gemm_rows(ib_device *d, const ib_cpu_gemm *j, size_t begin, size_t end, void *local) {
    geometry g = geometry_of(d, j->rows, j->w->m.n_cols);
    for (size_t p = 0; p < g.n_panels; p += GROUP_PANELS) {
        size_t stop = p + GROUP_PANELS < g.n_panels ? p + GROUP_PANELS : g.n_panels;
        for (size_t row = begin; row < end; row += ROW_BLOCK) {
            size_t n = end - row < ROW_BLOCK ? end - row : ROW_BLOCK;
            block(d, &g, j, row, n, p, stop, local);
        }
    }
}
