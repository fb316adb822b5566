/* SPDX-License-Identifier: MIT
 * A counter is hashed (the output function of splitmix64, Steele 2014) to 64 random bits, which
 * become 8 bytes of a tensor: directly for codes, with a fixed exponent for floating numbers (sign
 * and mantissa stay random). Block formats then get their scale factors written over. Work is cut
 * into pieces of fixed size, each with counters of its own. */
#include "model/synthetic_fill.h"

#include "base/checked.h"
#include "base/threads.h"

#include <math.h>
#include <string.h>

enum { PIECE_BYTES = 1 << 20, MAX_BLOCK = 256 };
#define STEP UINT64_C(0x9E3779B97F4A7C15)
/* Root mean square of the mantissas 1 .. 2, evenly spread. */
#define MANTISSA_RMS 1.5275252316519468

static uint64_t mix(uint64_t z) {
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* The 64 random bits of a word: (bits & keep) | set. */
static void fill_words(unsigned char *to, size_t n, uint64_t key, uint64_t keep, uint64_t set) {
    for (; n >= 8; n -= 8, to += 8) {
        const uint64_t word = (mix(key += STEP) & keep) | set;
        memcpy(to, &word, 8);
    }
    const uint64_t last = (mix(key + STEP) & keep) | set;
    memcpy(to, &last, n);
}

double ib_fill_code_deviation(const float *table, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)table[i] * (double)table[i];
    return sqrt(sum / (double)n);
}

/* Exponent whose numbers have the deviation nearest to the one asked for, within a factor of
 * sqrt(2). */
static int exponent_of(double deviation) {
    return (int)lround(log2(deviation / MANTISSA_RMS));
}

static uint64_t clamp(int value, int low, int high) {
    return (uint64_t)(value < low ? low : value > high ? high : value);
}

static void fill_floats(unsigned char *to, size_t n, uint64_t key, ib_type type, double deviation) {
    const int e = exponent_of(deviation);
    const uint64_t each16 = UINT64_C(0x0001000100010001), each32 = UINT64_C(0x0000000100000001);
    if (type == IB_TYPE_F32)
        fill_words(to, n, key, each32 * 0x807FFFFF, each32 * (clamp(e + 127, 1, 254) << 23));
    else if (type == IB_TYPE_F16)
        fill_words(to, n, key, each16 * 0x83FF, each16 * (clamp(e + 15, 1, 30) << 10));
    else
        fill_words(to, n, key, each16 * 0x807F, each16 * (clamp(e + 127, 1, 254) << 7));
}

static void fill_scales(unsigned char *to, size_t n, uint64_t key, double scale) {
    for (; n >= sizeof(float); n -= sizeof(float), to += sizeof(float)) {
        const double unit = (double)(mix(key += STEP) >> 40) * 0x1p-24;
        const float value = (float)(scale * (0.75 + 0.5 * unit));
        memcpy(to, &value, sizeof value);
    }
}

/* int8 codes: -128 is none of them; odd negatives never reach it. */
static void fill_int8(unsigned char *to, size_t n, uint64_t key) {
    fill_words(to, n, key, ~UINT64_C(0), 0);
    for (size_t i = 0; i < n; i++)
        to[i] = (unsigned char)(to[i] | to[i] >> 7);
}

/* NF4's table is not symmetric: a mean of 4 % of the deviation in every row would add up over
 * thousands of columns. Without the code 12, which becomes 7 (zero), it is below 1 %. */
static void fill_nf4(unsigned char *to, size_t n, uint64_t key) {
    const uint64_t each4 = UINT64_C(0x1111111111111111);
    for (size_t done = 0; done < n; done += 8) {
        uint64_t word = mix(key += STEP);
        const uint64_t other = word ^ each4 * 12; /* nibbles that are 0 here are 12 */
        const uint64_t is12 = ~(other | other >> 1 | other >> 2 | other >> 3) & each4;
        word ^= is12 * (12 ^ 7);
        memcpy(to + done, &word, n - done < 8 ? n - done : 8);
    }
}

/* Deviation of evenly spread integers low .. low + n - 1 around zero (mean left out). */
static double spread(double n) {
    return sqrt((n * n - 1) / 12);
}

static void put_half(unsigned char *to, double value) {
    const uint16_t h = ib_f32_to_f16((float)value);
    to[0] = (unsigned char)(h & 255);
    to[1] = (unsigned char)(h >> 8);
}

/* Writes the scale factors of n blocks over the random bytes. Codes -8 .. 7 lie half a code below
 * zero: every other block has a negative factor. Q4_K: minimum = scale * 7.5 in each part. */
static void set_scales(unsigned char *to, size_t n, ib_type type, double deviation) {
    const double six_bits = sqrt(63.0 * 127 / 6), eight_bits = sqrt((256.0 * 256 + 2) / 12);
    const uint32_t bytes = ib_type_block_bytes(type);
    for (size_t i = 0; i < n; i++, to += bytes, deviation = -deviation) {
        switch (type) {
        case IB_TYPE_Q4_0:
            put_half(to, deviation / spread(16));
            break;
        case IB_TYPE_Q5_0:
            put_half(to, deviation / spread(32));
            break;
        case IB_TYPE_Q8_0:
            put_half(to, deviation / spread(256));
            break;
        case IB_TYPE_Q6_K:
            put_half(to + 208, deviation / (spread(64) * eight_bits));
            break;
        case IB_TYPE_Q4_K:
            put_half(to, deviation / (spread(16) * six_bits));
            put_half(to + 2, 7.5 * deviation / (spread(16) * six_bits));
            memcpy(to + 8, to + 4, 4); /* 6-bit minimums equal the 6-bit scales */
            for (int j = 12; j < 16; j++)
                to[j] = (unsigned char)((to[j] & 15) * 17);
            break;
        default:
            break;
        }
    }
}

static void fill_piece(const ib_fill *f, uint64_t offset, size_t n, uint64_t key) {
    unsigned char *to = f->at + offset;
    if (f->type == IB_TYPE_F32 && f->scales) {
        fill_scales(to, n, key, f->deviation);
    } else if (f->type == IB_TYPE_F32 || f->type == IB_TYPE_F16 || f->type == IB_TYPE_BF16) {
        fill_floats(to, n, key, f->type, f->deviation);
    } else if (f->type == IB_TYPE_NF4) {
        fill_nf4(to, n, key);
    } else if (f->type == IB_TYPE_I8) {
        fill_int8(to, n, key);
    } else {
        fill_words(to, n, key, ~UINT64_C(0), 0);
        set_scales(to, n / ib_type_block_bytes(f->type), f->type, f->deviation);
    }
}

typedef struct job {
    const ib_fill *fills;
    size_t n;
    uint64_t seed, n_pieces;
} job;

/* Pieces hold whole blocks. */
static uint64_t piece_bytes(const ib_fill *f) {
    const uint32_t block = ib_type_block_bytes(f->type);
    return PIECE_BYTES / block * block;
}

static void fill_share(void *ctx, int thread, int n_threads) {
    const job *j = ctx;
    size_t begin, end;
    uint64_t first = 0; /* piece of the tensor's first byte */
    ib_split((size_t)j->n_pieces, 1, thread, n_threads, &begin, &end);
    for (size_t i = 0; i < j->n; i++) {
        const ib_fill *f = &j->fills[i];
        const uint64_t bytes = piece_bytes(f), n = ib_ceil_div(f->n_bytes, bytes);
        uint64_t from = begin > first ? begin - first : 0;
        uint64_t to = end > first ? end - first : 0;
        to = to < n ? to : n;
        for (; from < to; from++) {
            const uint64_t at = from * bytes, left = f->n_bytes - at;
            const uint64_t key = mix(mix(j->seed + STEP) ^ mix((uint64_t)i + STEP)) ^ mix(from);
            fill_piece(f, at, (size_t)(left < bytes ? left : bytes), key);
        }
        first += n;
    }
}

ib_status ib_fill_run(const ib_fill *fills, size_t n, uint64_t seed, int n_threads, ib_error *err) {
    job j = {.fills = fills, .n = n, .seed = seed};
    ib_pool *pool = NULL;
    for (size_t i = 0; i < n; i++)
        j.n_pieces += ib_ceil_div(fills[i].n_bytes, piece_bytes(&fills[i]));
    IB_TRY(ib_pool_new(&pool, n_threads > 0 ? n_threads : ib_cores_allowed(), err));
    ib_pool_run(pool, fill_share, &j);
    ib_pool_free(pool);
    return IB_OK;
}
