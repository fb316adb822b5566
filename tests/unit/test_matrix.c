/* SPDX-License-Identifier: MIT
 * quant/matrix: what a stored element means. GGUF blocks against the golden values of gguf.quants,
 * bit for bit; the bitsandbytes rules (order of nibbles, flat blocks, nested scales) by small
 * examples. */
#include "golden_reader.h"
#include "support.h"

#include "quant/matrix.h"

#include <math.h>

static void gguf_blocks_equal_the_reference(void **state) {
    (void)state;
    golden_reader g = golden_open("quant/blocks.bin");
    uint32_t n_types = take_u32(&g);
    assert_true(n_types >= 12);
    for (uint32_t i = 0; i < n_types; i++) {
        const char *name = take(&g, 8);
        ib_type t;
        assert_true(ib_type_by_name(ib_str_of(name), &t));
        assert_true(ib_matrix_type_supported(t));
        uint32_t n_blocks = take_u32(&g), n = take_u32(&g), size = ib_type_block_elements(t);
        assert_int_equal(n, n_blocks * size);
        uint64_t bytes = (uint64_t)n_blocks * ib_type_block_bytes(t);
        ib_matrix m = {
            .type = t, .n_rows = 1, .n_cols = n, .data = take(&g, bytes), .data_bytes = bytes};
        float *expected = take_floats(&g, n), *found = malloc(n * sizeof *found);
        assert_non_null(found);
        ib_matrix_decode(&m, 0, 0, n, found);
        assert_memory_equal(found, expected, n * sizeof *found);
        memset(found, 0, n * sizeof *found); /* a block on its own, in a matrix of several rows */
        m.n_rows = n_blocks;
        m.n_cols = size;
        ib_matrix_decode(&m, n_blocks - 1, 0, size, found);
        assert_memory_equal(found, expected + (n - size), size * sizeof *found);
        assert_int_equal(ib_matrix_bytes(&m), bytes);
        free(expected);
        free(found);
    }
    golden_finished(&g);
}

static void the_high_nibble_is_the_even_element(void **state) {
    (void)state;
    const uint8_t codes[1] = {0x0F};
    const float absmax[1] = {2};
    ib_matrix m = {.type = IB_TYPE_NF4, .n_rows = 1, .n_cols = 2, .data = codes, .data_bytes = 1};
    float out[2];
    m.blocksize = 64;
    m.absmax = absmax;
    ib_matrix_decode(&m, 0, 0, 2, out);
    assert_true(out[0] == -2 && out[1] == 2);
    m.type = IB_TYPE_FP4;
    ib_matrix_decode(&m, 0, 0, 2, out);
    assert_true(out[0] == 0 && out[1] == -0.5f);
}

static void fp4_is_not_sorted(void **state) {
    (void)state;
    assert_true(ib_fp4_table[3] == 1 && ib_fp4_table[11] == -1);
    assert_true(ib_fp4_table[2] == 8.0f / 12.0f && ib_fp4_table[1] == 0.005208333333f);
    for (int i = 1; i < 8; i++)
        assert_true(ib_fp4_table[i + 8] == -ib_fp4_table[i]);
}

static void blocks_run_over_row_ends(void **state) {
    (void)state;
    uint8_t codes[48]; /* 2 x 48 elements in blocks of 32 */
    const float absmax[3] = {1, 2, 4};
    float out[48];
    memset(codes, 0xFF, sizeof codes);
    ib_matrix m = {.type = IB_TYPE_NF4, .n_rows = 2, .n_cols = 48, .data = codes, .data_bytes = 48};
    m.blocksize = 32;
    m.absmax = absmax;
    assert_int_equal(ib_matrix_n_blocks(&m), 3);
    assert_int_equal(ib_matrix_bytes(&m), 48 + 12);
    ib_matrix_decode(&m, 0, 30, 4, out);
    assert_true(out[0] == 1 && out[1] == 1 && out[2] == 2 && out[3] == 2);
    ib_matrix_decode(&m, 1, 0, 48, out);
    assert_true(out[0] == 2 && out[15] == 2 && out[16] == 4 && out[47] == 4);
    m.n_rows = 3; /* an odd number of elements: 3 x 3 */
    m.n_cols = 3;
    assert_int_equal(ib_matrix_n_blocks(&m), 1);
}

static void nested_scales_add_the_offset_last(void **state) {
    (void)state;
    float map[256] = {0};
    const uint8_t codes[2] = {127, 200};
    const float nested[1] = {3};
    map[200] = 0.1f;
    ib_matrix m = {
        .type = IB_TYPE_NF4, .n_rows = 1, .n_cols = 64, .blocksize = 32, .absmax_u8 = codes};
    m.nested_absmax = nested;
    m.nested_map = map;
    m.nested_offset = 0.5f;
    m.nested_blocksize = 256;
    m.data_bytes = 32;
    assert_true(ib_matrix_absmax(&m, 0) == 0.5f);
    float product = 0.1f * 3;
    assert_true(ib_matrix_absmax(&m, 1) == product + 0.5f);
    assert_int_equal(ib_matrix_bytes(&m), 32 + 2 + 4 + 1024);
}

static void plain_and_int8_elements(void **state) {
    (void)state;
    unsigned char bytes[17];
    const int8_t q[4] = {127, -127, 64, 0};
    const float scb[2] = {2, 127}, values[4] = {1.5f, -2, 3, 1e-3f};
    const uint16_t halves[2] = {0x3C00, 0xC000};
    float out[4];
    memcpy(bytes + 1, values, sizeof values); /* data may be unaligned */
    ib_matrix m = {.type = IB_TYPE_F32, .n_rows = 2, .n_cols = 2, .data = bytes + 1};
    ib_matrix_decode(&m, 1, 0, 2, out);
    assert_true(out[0] == 3 && out[1] == 1e-3f);
    m = (ib_matrix){.type = IB_TYPE_F16, .n_rows = 1, .n_cols = 2, .data = halves};
    ib_matrix_decode(&m, 0, 0, 2, out);
    assert_true(out[0] == 1 && out[1] == -2);
    m.type = IB_TYPE_BF16;
    ib_matrix_decode(&m, 0, 1, 1, out);
    assert_true(out[0] == -2);
    m = (ib_matrix){.type = IB_TYPE_INT8, .n_rows = 2, .n_cols = 2, .data = q, .data_bytes = 4};
    m.scb = scb;
    ib_matrix_decode(&m, 0, 0, 2, out);
    assert_true(out[0] == 254.0f * 7.874015718698502e-3f && out[1] == -out[0]);
    ib_matrix_decode(&m, 1, 0, 2, out);
    assert_true(fabsf(out[0] - 64) < 1e-4f && out[1] == 0);
    assert_int_equal(ib_matrix_bytes(&m), 12);
}

static void other_types_are_no_weights(void **state) {
    (void)state;
    static const ib_type refused[] = {IB_TYPE_F64,  IB_TYPE_BOOL, IB_TYPE_I8,   IB_TYPE_F8_E4M3,
                                      IB_TYPE_Q8_1, IB_TYPE_Q8_K, IB_TYPE_NVFP4};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_false(ib_matrix_type_supported(refused[i]));
    assert_true(ib_matrix_type_supported(IB_TYPE_NF4) && ib_matrix_type_supported(IB_TYPE_INT8));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gguf_blocks_equal_the_reference),
        cmocka_unit_test(the_high_nibble_is_the_even_element),
        cmocka_unit_test(fp4_is_not_sorted),
        cmocka_unit_test(blocks_run_over_row_ends),
        cmocka_unit_test(nested_scales_add_the_offset_last),
        cmocka_unit_test(plain_and_int8_elements),
        cmocka_unit_test(other_types_are_no_weights),
    };
    return cmocka_run_group_tests_name("matrix", tests, NULL, NULL);
}
