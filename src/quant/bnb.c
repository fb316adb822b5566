/* SPDX-License-Identifier: MIT
 * The bitsandbytes quantizer, in the arithmetic of its device-independent PyTorch path (0.50):
 *
 *   a = max|x| of a block;  y = x * rn(1/a)   for whole blocks, x / a for a partial last one;
 *   code = number of midpoints of neighbouring sorted table entries that lie strictly below y.
 *
 * All in fp32. The divisor is never below 1e-38; only a partial block stores that bound as its
 * absmax. A NaN anywhere in a block makes its absmax NaN, and NaN takes the last code, as it does
 * there. */
#include "quant/bnb.h"

#include "base/checked.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const float least_divisor = 1e-38f;

bool ib_bnb_blocksize_ok(uint64_t blocksize) {
    return blocksize >= 32 && blocksize <= 4096 && (blocksize & (blocksize - 1)) == 0;
}

/* A code table sorted by value: 15 midpoints, and the stored code of each of the 16 intervals. */
typedef struct code_table {
    float midpoint[15];
    uint8_t code[16];
} code_table;

static code_table table_of(ib_type type) {
    /* -1 ... -1/192, the zero of code 0 before that of code 8, 1/192 ... 1 */
    static const uint8_t fp4_order[16] = {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3};
    const float *value = type == IB_TYPE_NF4 ? ib_nf4_table : ib_fp4_table;
    code_table t;
    for (int i = 0; i < 16; i++)
        t.code[i] = type == IB_TYPE_NF4 ? (uint8_t)i : fp4_order[i];
    for (int i = 0; i < 15; i++)
        t.midpoint[i] = (value[t.code[i]] + value[t.code[i + 1]]) / 2;
    return t;
}

static float max_magnitude(const float *x, uint64_t n) {
    float a = 0;
    bool nan = false;
    for (uint64_t i = 0; i < n; i++) {
        float v = fabsf(x[i]);
        nan |= v != v;
        a = v > a ? v : a;
    }
    return nan ? NAN : a;
}

static float bounded(float a) {
    return a < least_divisor ? least_divisor : a; /* NaN passes */
}

static float clamp_unit(float y) {
    return y < -1 ? -1 : y > 1 ? 1 : y; /* NaN passes */
}

/* The scale of a block of n values; whole blocks are multiplied by *factor, partial ones divided.
 */
static float block_scale(const float *x, uint64_t n, bool whole, float *factor) {
    float a = max_magnitude(x, n), divisor = bounded(a);
    *factor = whole ? 1.0f / divisor : divisor;
    return whole ? a : divisor;
}

static float scaled(float x, bool whole, float factor) {
    return clamp_unit(whole ? x * factor : x / factor);
}

static uint8_t code_of(const code_table *t, float y) {
    unsigned n = 0;
    for (int k = 0; k < 15; k++)
        n += !(y <= t->midpoint[k]);
    return t->code[n];
}

void ib_bnb_quantize(ib_type type, const float *x, uint64_t n, uint32_t blocksize, uint8_t *codes,
                     float *absmax) {
    const code_table table = table_of(type);
    for (uint64_t first = 0; first < n; first += blocksize) {
        uint64_t count = n - first < blocksize ? n - first : blocksize;
        bool whole = count == blocksize;
        float factor;
        absmax[first / blocksize] = block_scale(x + first, count, whole, &factor);
        for (uint64_t i = first; i < first + count; i += 2) {
            /* the nibble behind an odd end is what a zero becomes */
            float low = i + 1 < n ? scaled(x[i + 1], whole, factor) : 0;
            uint8_t high = code_of(&table, scaled(x[i], whole, factor));
            codes[i / 2] = (uint8_t)(high << 4 | code_of(&table, low));
        }
    }
}

static int ascending(const void *a, const void *b) {
    float x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* Point i of n of a uniform grid from 0.1 to 1, fp32, measured from the nearer end. */
static float grid_point(int i, int n) {
    const float first = 0.1f, last = 1.0f, step = (last - first) / (float)(n - 1);
    return i < n / 2 ? fmaf(step, (float)i, first) : fmaf(-step, (float)(n - 1 - i), last);
}

void ib_bnb_dynamic_map(float out[256]) {
    static const float power[7] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1.0f};
    int used = 0;
    for (int e = 0; e < 7; e++) {
        int n = (1 << e) + 1;
        for (int i = 0; i + 1 < n; i++) {
            float mean = (grid_point(i, n) + grid_point(i + 1, n)) / 2;
            out[used++] = power[e] * mean;
            out[used++] = -(power[e] * mean);
        }
    }
    out[used++] = 0;
    out[used++] = 1;
    qsort(out, (size_t)used, sizeof *out, ascending);
}

/* Number of midpoints strictly below y (255 for NaN): the nearest map entry, the lower on a tie. */
static uint8_t nearest(const float midpoint[255], float y) {
    unsigned low = 0, high = 255;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (y <= midpoint[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return (uint8_t)low;
}

/* Sum in fp32 in the order of PyTorch's CPU reduction on one thread: 8 lanes times 4 rows, each a
 * cascade of 4 levels. The last bits of the offset, and with them a nested code now and then,
 * depend on that order; PyTorch itself splits the work among its threads from 32,768 values on. */
enum { LANES = 8, ROWS = 4, WIDTH = LANES * ROWS, LEVELS = 4 };

static void add_to(float *acc, const float *x, int n) {
    for (int i = 0; i < n; i++)
        acc[i] += x[i];
}

/* sum[WIDTH] = the sums of n rows of WIDTH values. */
static void cascade(const float *x, uint64_t n, float *sum) {
    float acc[LEVELS][WIDTH] = {{0}};
    unsigned log2 = 0;
    while (log2 < 63 && (uint64_t)1 << log2 < n)
        log2++;
    unsigned power = log2 / LEVELS > 4 ? log2 / LEVELS : 4;
    uint64_t step = (uint64_t)1 << power, i = 0;
    while (i + step <= n) {
        for (uint64_t end = i + step; i < end; i++)
            add_to(acc[0], x + i * WIDTH, WIDTH);
        for (unsigned level = 1; level < LEVELS; level++) {
            add_to(acc[level], acc[level - 1], WIDTH);
            memset(acc[level - 1], 0, sizeof acc[0]);
            if (i & (step - 1) << level * power)
                break;
        }
    }
    for (; i < n; i++)
        add_to(acc[0], x + i * WIDTH, WIDTH);
    for (int level = 1; level < LEVELS; level++)
        add_to(acc[0], acc[level], WIDTH);
    memcpy(sum, acc[0], sizeof acc[0]);
}

static float mean_of(const float *x, uint64_t n) {
    float sum[WIDTH], total = 0;
    if (!n)
        return 0;
    cascade(x, n / WIDTH, sum);
    uint64_t i = n / WIDTH * WIDTH;
    for (; i + LANES <= n; i += LANES)
        add_to(sum, x + i, LANES);
    for (int row = 1; row < ROWS; row++)
        add_to(sum, sum + (ptrdiff_t)row * LANES, LANES);
    for (; i < n; i++)
        total += x[i];
    for (int lane = 0; lane < LANES; lane++)
        total += sum[lane];
    return total / (float)n;
}

void ib_bnb_nest(const float *absmax, uint64_t n, const float map[256], uint8_t *codes,
                 float *nested_absmax, float *offset) {
    enum { BLOCK = 256 };
    float midpoint[255], block[BLOCK];
    for (int i = 0; i < 255; i++)
        midpoint[i] = (map[i] + map[i + 1]) / 2;
    *offset = mean_of(absmax, n);
    for (uint64_t first = 0; first < n; first += BLOCK) {
        uint64_t count = n - first < BLOCK ? n - first : BLOCK;
        bool whole = count == BLOCK;
        float factor;
        for (uint64_t i = 0; i < count; i++)
            block[i] = absmax[first + i] - *offset;
        nested_absmax[first / BLOCK] = block_scale(block, count, whole, &factor);
        for (uint64_t i = 0; i < count; i++)
            codes[first + i] = nearest(midpoint, scaled(block[i], whole, factor));
    }
}
