/* SPDX-License-Identifier: MIT
 * quant/bnb: codes and scales equal bitsandbytes' device-independent operators bit for bit on the
 * golden cases (zero blocks, odd counts, partial blocks, values on thresholds); the round trip
 * stays within half of the widest gap of the table. */
#include "golden_reader.h"
#include "support.h"

#include "base/rng.h"
#include "quant/bnb.h"

#include <math.h>

static void dynamic_map_equals_the_reference(golden_reader *g, float map[256]) {
    ib_bnb_dynamic_map(map);
    assert_memory_equal(map, take(g, 1024), 1024);
    assert_true(map[127] == 0 && map[255] == 1 && map[0] > -1);
    for (int i = 1; i < 256; i++)
        assert_true(map[i] > map[i - 1]);
}

static void check_4bit(golden_reader *g) {
    ib_type type = take_u32(g) ? IB_TYPE_FP4 : IB_TYPE_NF4;
    uint32_t size = take_u32(g), n = take_u32(g);
    size_t n_codes = (n + 1) / 2, n_blocks = (n + size - 1) / size;
    float *x = take_floats(g, n), *absmax = malloc(n_blocks * sizeof *absmax);
    uint8_t *codes = malloc(n_codes);
    assert_true(absmax && codes);
    ib_bnb_quantize(type, x, n, size, codes, absmax);
    assert_memory_equal(codes, take(g, n_codes), n_codes);
    assert_memory_equal(absmax, take(g, n_blocks * 4), n_blocks * 4);
    free(x);
    free(absmax);
    free(codes);
}

static void check_nested(golden_reader *g, const float map[256]) {
    uint32_t n = take_u32(g);
    float offset, expected;
    memcpy(&expected, take(g, 4), 4);
    size_t n_blocks = (n + 255) / 256;
    float *x = take_floats(g, n), *nested = malloc(n_blocks * sizeof *nested);
    uint8_t *codes = malloc(n);
    assert_true(nested && codes);
    ib_bnb_nest(x, n, map, codes, nested, &offset);
    assert_true(offset == expected);
    assert_memory_equal(codes, take(g, n), n);
    assert_memory_equal(nested, take(g, n_blocks * 4), n_blocks * 4);
    free(x);
    free(nested);
    free(codes);
}

static void quantizer_equals_the_reference(void **state) {
    (void)state;
    golden_reader g = golden_open("quant/bnb.bin");
    float map[256];
    dynamic_map_equals_the_reference(&g, map);
    uint32_t n = take_u32(&g);
    assert_true(n >= 16);
    for (uint32_t i = 0; i < n; i++)
        check_4bit(&g);
    n = take_u32(&g);
    assert_true(n >= 5);
    for (uint32_t i = 0; i < n; i++)
        check_nested(&g, map);
    golden_finished(&g);
}

static void blocks_may_be_quantized_apart(void **state) {
    (void)state;
    enum { N = 1000, SIZE = 64, CUT = 5 * SIZE };
    float x[N], absmax[2][16];
    uint8_t codes[2][N / 2];
    ib_rng rng;
    ib_rng_init(&rng, 7);
    for (int i = 0; i < N; i++)
        x[i] = (float)(int32_t)ib_rng_u64(&rng) * 0x1p-31f;
    ib_bnb_quantize(IB_TYPE_NF4, x, N, SIZE, codes[0], absmax[0]);
    ib_bnb_quantize(IB_TYPE_NF4, x, CUT, SIZE, codes[1], absmax[1]);
    ib_bnb_quantize(IB_TYPE_NF4, x + CUT, N - CUT, SIZE, codes[1] + CUT / 2, absmax[1] + 5);
    assert_memory_equal(codes[0], codes[1], sizeof codes[0]);
    assert_memory_equal(absmax[0], absmax[1], sizeof absmax[0]);
}

static void round_trip_is_bounded(void **state) {
    (void)state;
    enum { N = 4096, SIZE = 128 };
    static float x[N], y[N], absmax[N / SIZE];
    static uint8_t codes[N / 2];
    ib_rng rng;
    ib_rng_init(&rng, 8);
    for (int i = 0; i < N; i++)
        x[i] = (float)(int32_t)ib_rng_u64(&rng) * 0x1p-31f;
    for (int fp4 = 0; fp4 < 2; fp4++) {
        ib_type type = fp4 ? IB_TYPE_FP4 : IB_TYPE_NF4;
        ib_matrix m = {
            .type = type, .n_rows = 8, .n_cols = N / 8, .data = codes, .data_bytes = N / 2};
        m.blocksize = SIZE;
        m.absmax = absmax;
        ib_bnb_quantize(type, x, N, SIZE, codes, absmax);
        for (uint64_t r = 0; r < 8; r++)
            ib_matrix_decode(&m, r, 0, N / 8, y + r * (N / 8));
        double bound = fp4 ? 1.0 / 6 : 0.1519, worst = 0;
        for (int i = 0; i < N; i++)
            worst = fmax(worst, fabs((double)x[i] - (double)y[i]) / (double)absmax[i / SIZE]);
        assert_true(worst <= bound * (1 + 1e-5));
        assert_true(worst > bound / 2); /* the bound means something */
    }
}

static void only_eight_block_sizes_exist(void **state) {
    (void)state;
    int n = 0;
    for (uint64_t b = 0; b < 10000; b++)
        n += ib_bnb_blocksize_ok(b);
    assert_int_equal(n, 8);
    assert_true(ib_bnb_blocksize_ok(32) && ib_bnb_blocksize_ok(4096));
    assert_false(ib_bnb_blocksize_ok((uint64_t)1 << 40));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantizer_equals_the_reference),
        cmocka_unit_test(blocks_may_be_quantized_apart),
        cmocka_unit_test(round_trip_is_bounded),
        cmocka_unit_test(only_eight_block_sizes_exist),
    };
    return cmocka_run_group_tests_name("bnb", tests, NULL, NULL);
}
