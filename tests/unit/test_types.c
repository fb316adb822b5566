/* SPDX-License-Identifier: MIT
 * quant/types: names and sizes of the formats; half formats round to nearest even in both
 * directions.
 */
#include "support.h"

#include "quant/types.h"

#include <math.h>

static void names_lead_back_to_their_type(void **state) {
    (void)state;
    ib_type t;
    for (int i = 0; i < IB_TYPE_COUNT; i++) {
        assert_true(ib_type_by_name(ib_str_of(ib_type_name((ib_type)i)), &t));
        assert_int_equal(t, i);
    }
    assert_false(ib_type_by_name(IB_STR("f32"), &t));
    assert_false(ib_type_by_name(IB_STR(""), &t));
    assert_false(ib_type_by_name(IB_STR("F321"), &t));
}

static void sizes_need_whole_blocks(void **state) {
    (void)state;
    uint64_t n;
    assert_true(ib_type_bytes(IB_TYPE_Q4_K, 512, &n));
    assert_int_equal(n, 288);
    assert_true(ib_type_bytes(IB_TYPE_F32, 0, &n));
    assert_int_equal(n, 0);
    assert_false(ib_type_bytes(IB_TYPE_Q4_K, 255, &n));
    assert_false(ib_type_bytes(IB_TYPE_F4, 3, &n));
    assert_false(ib_type_bytes(IB_TYPE_F64, UINT64_MAX / 4, &n));
}

/* The nearest half among all, found by bisection over exact values: an independent answer. */
static uint16_t nearest_half(double v) {
    uint16_t low = 0, high = 0x7C00; /* 0 .. infinity, taken as 65536 */
    double a = fabs(v);
    while (high - low > 1) {
        uint16_t middle = (uint16_t)((low + high) / 2);
        if ((double)ib_f16_to_f32(middle) <= a)
            low = middle;
        else
            high = middle;
    }
    double below = (double)ib_f16_to_f32(low);
    double above = high == 0x7C00 ? 65536.0 : (double)ib_f16_to_f32(high);
    bool up = a - below > above - a || (a - below == above - a && (low & 1));
    return (uint16_t)((signbit(v) ? 0x8000 : 0) | (up ? high : low));
}

static void halves_survive_a_round_trip(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = ib_f16_to_f32((uint16_t)h), b = ib_bf16_to_f32((uint16_t)h);
        if (isnan(f)) {
            assert_true(isnan(ib_f16_to_f32(ib_f32_to_f16(f))));
        } else {
            assert_int_equal(ib_f32_to_f16(f), h);
        }
        if (isnan(b)) {
            assert_true(isnan(ib_bf16_to_f32(ib_f32_to_bf16(b))));
        } else {
            assert_int_equal(ib_f32_to_bf16(b), h);
        }
    }
}

static void halves_have_their_values(void **state) {
    (void)state;
    static const struct {
        uint16_t half;
        float value;
    } known[] = {{0x0001, 0x1p-24f}, {0x03FF, 1023 * 0x1p-24f}, {0x0400, 0x1p-14f},   {0x3C00, 1},
                 {0xC000, -2},       {0x7BFF, 65504},           {0x3555, 0x1.554p-2f}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_true(ib_f16_to_f32(known[i].half) == known[i].value);
    assert_true(isinf(ib_f16_to_f32(0x7C00)));
    assert_true(isnan(ib_f16_to_f32(0x7C01)));
    assert_true(ib_bf16_to_f32(0x3F80) == 1.0f);
}

static void rounding_is_to_nearest_even(void **state) {
    (void)state;
    for (uint16_t h = 0; h < 0x7BFF; h++) {
        float a = ib_f16_to_f32(h), b = ib_f16_to_f32((uint16_t)(h + 1)), middle = (a + b) / 2;
        float tries[3] = {middle, nextafterf(middle, a), nextafterf(middle, b)};
        for (int i = 0; i < 3; i++) {
            assert_int_equal(ib_f32_to_f16(tries[i]), nearest_half((double)tries[i]));
            assert_int_equal(ib_f32_to_f16(-tries[i]), nearest_half((double)-tries[i]));
        }
    }
    assert_int_equal(ib_f32_to_f16(65519.996f), 0x7BFF);
    assert_int_equal(ib_f32_to_f16(65520), 0x7C00);
    assert_int_equal(ib_f32_to_f16(1e30f), 0x7C00);
    assert_int_equal(ib_f32_to_f16(1e-30f), 0);
    assert_int_equal(ib_f32_to_f16(0x1p-25f), 0);
    assert_int_equal(ib_f32_to_f16(nextafterf(0x1p-25f, 1)), 1);
    assert_int_equal(ib_f32_to_bf16(0x1.01p0f), 0x3F80); /* tie: down to even */
    assert_int_equal(ib_f32_to_bf16(0x1.03p0f), 0x3F82); /* tie: up to even */
    assert_int_equal(ib_f32_to_bf16(0x1.010002p0f), 0x3F81);
    assert_int_equal(ib_f32_to_bf16(3.4e38f), 0x7F80);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_lead_back_to_their_type), cmocka_unit_test(sizes_need_whole_blocks),
        cmocka_unit_test(halves_survive_a_round_trip),   cmocka_unit_test(halves_have_their_values),
        cmocka_unit_test(rounding_is_to_nearest_even),
    };
    return cmocka_run_group_tests_name("types", tests, NULL, NULL);
}
