#include "host/ir/tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Every number of a 16-bit type, decoded and encoded again, is the same bits; NaNs stay NaNs. */
static void check_round_trip(clv_dtype dtype, uint16_t infinity) {
    for (uint32_t bits = 0; bits <= UINT16_MAX; bits++) {
        uint16_t in = (uint16_t)bits, out;
        double value = clv_load_double(dtype, &in, 0);
        clv_store_double(dtype, &out, 0, value);
        if ((in & 0x7fff) > infinity) {
            assert_true(isnan(value));
            assert_true((out & 0x7fff) > infinity);
        } else {
            assert_int_equal(in, out);
        }
    }
}

static void test_sixteen_bit_types_keep_every_number(void **state) {
    (void)state;
    check_round_trip(CLV_FLOAT16, 0x7c00);
    check_round_trip(CLV_BFLOAT16, 0x7f80);
}

static uint16_t encode(clv_dtype dtype, double value) {
    uint16_t bits;
    clv_store_double(dtype, &bits, 0, value);
    return bits;
}

/* Between each two neighbours: the middle goes to the even one, just beside it to the nearer. */
static void check_rounding(clv_dtype dtype, uint16_t infinity) {
    for (uint16_t bits = 0; bits < infinity - 1; bits++) {
        uint16_t next = (uint16_t)(bits + 1);
        double low = clv_load_double(dtype, &bits, 0);
        double high = clv_load_double(dtype, &next, 0);
        double middle = low + (high - low) / 2;
        assert_int_equal(encode(dtype, middle), (bits & 1) == 0 ? bits : next);
        assert_int_equal(encode(dtype, nextafter(middle, -INFINITY)), bits);
        assert_int_equal(encode(dtype, nextafter(middle, INFINITY)), next);
        assert_int_equal(encode(dtype, -nextafter(middle, INFINITY)), next | 0x8000);
    }
}

static void test_rounding_is_to_nearest_even(void **state) {
    (void)state;
    check_rounding(CLV_FLOAT16, 0x7c00);
    check_rounding(CLV_BFLOAT16, 0x7f80);
}

static void test_overflow_of_half(void **state) {
    (void)state;
    assert_int_equal(encode(CLV_FLOAT16, 65504), 0x7bff);
    assert_int_equal(encode(CLV_FLOAT16, nextafter(65520, 0)), 0x7bff);
    assert_int_equal(encode(CLV_FLOAT16, 65520), 0x7c00);
    assert_int_equal(encode(CLV_FLOAT16, -1e300), 0xfc00);
    assert_int_equal(encode(CLV_FLOAT16, 0x1p-25), 0);
    assert_int_equal(encode(CLV_FLOAT16, nextafter(0x1p-25, 1)), 1);
    assert_int_equal(encode(CLV_FLOAT16, -5e-324), 0x8000);
}

/* Every float16, and what lies between it and the next in float32. */
static void test_quick_half_is_the_same(void **state) {
    (void)state;
    for (uint32_t high = 0; high < 0x10000; high++) {
        static const uint32_t lows[] = {0,      1,      0xfff,  0x1000, 0x1001,
                                        0x1fff, 0x3000, 0x8000, 0xffff};
        for (size_t i = 0; i < sizeof lows / sizeof lows[0]; i++) {
            const uint32_t bits = high << 16 | lows[i];
            float value;
            memcpy(&value, &bits, sizeof value);
            const uint16_t wanted = encode(CLV_FLOAT16, (double)value);
            const uint16_t got = clv_half_from_float(value);
            if (got != wanted) {
                fail_msg("%a gives %#x, wanted %#x", (double)value, got, wanted);
            }
            assert_int_equal(
                clv_half_holds(&value, 1), isfinite(value) && (wanted & 0x7fff) != 0x7c00);
        }
    }
    float values[5000] = {[4999] = 65519};
    assert_true(clv_half_holds(values, 5000));
    values[4998] = -65520;
    assert_false(clv_half_holds(values, 5000));
    assert_true(clv_half_holds(values, 4998));
}

static void test_float32_rounds_once_and_overflows(void **state) {
    (void)state;
    float value;
    clv_store_double(CLV_FLOAT32, &value, 0, 1e39);
    assert_true(isinf(value) && value > 0);
    clv_store_double(CLV_FLOAT32, &value, 0, nextafter(0x1.ffffffp127, 0));
    assert_true(value == 0x1.fffffep127f);
    clv_store_int64(CLV_FLOAT32, &value, 0, (INT64_C(1) << 60) + (INT64_C(1) << 36) + 1);
    assert_true(value == 0x1.000002p60f);
}

/* 2^60 + half a step of bfloat16 + 1: through a rounded double it would look like a tie. */
static void test_large_integers_round_once(void **state) {
    (void)state;
    uint16_t bits;
    clv_store_int64(CLV_BFLOAT16, &bits, 0, (INT64_C(1) << 60) + (INT64_C(1) << 52) + 1);
    assert_true(clv_load_double(CLV_BFLOAT16, &bits, 0) == 0x1.02p60);
    clv_store_int64(CLV_BFLOAT16, &bits, 0, -(INT64_C(1) << 60) - (INT64_C(1) << 52) - 1);
    assert_true(clv_load_double(CLV_BFLOAT16, &bits, 0) == -0x1.02p60);
    clv_store_int64(CLV_BFLOAT16, &bits, 0, (INT64_C(1) << 60) + (INT64_C(1) << 52));
    assert_true(clv_load_double(CLV_BFLOAT16, &bits, 0) == 0x1p60);
}

static int64_t store_and_load(clv_dtype dtype, double value) {
    unsigned char bytes[8] = {0};
    clv_store_double(dtype, bytes, 0, value);
    return clv_load_int64(dtype, bytes, 0);
}

static void test_integers_truncate_and_wrap(void **state) {
    (void)state;
    assert_int_equal(store_and_load(CLV_INT32, 2.9), 2);
    assert_int_equal(store_and_load(CLV_INT32, -2.9), -2);
    assert_int_equal(store_and_load(CLV_UINT8, 258.5), 2);
    assert_int_equal(store_and_load(CLV_UINT8, -1), 255);
    assert_int_equal(store_and_load(CLV_INT8, 200), -56);
    assert_int_equal(store_and_load(CLV_INT64, 0x1p64 + 4096), 4096);
    assert_int_equal(store_and_load(CLV_INT64, -0x1p63), INT64_MIN);
    assert_int_equal(store_and_load(CLV_UINT64, 0x1p63), INT64_MIN); /* the same bits */
    assert_int_equal(store_and_load(CLV_INT32, NAN), 0);
    assert_int_equal(store_and_load(CLV_INT32, INFINITY), 0);
    assert_int_equal(store_and_load(CLV_BOOL, 0.25), 1);
    assert_int_equal(store_and_load(CLV_BOOL, NAN), 1);
    assert_int_equal(store_and_load(CLV_BOOL, -0.0), 0);
}

static void test_unsigned_64_as_double(void **state) {
    (void)state;
    uint64_t value = UINT64_MAX;
    assert_true(clv_load_double(CLV_UINT64, &value, 0) == 0x1p64);
    assert_int_equal(clv_load_int64(CLV_UINT64, &value, 0), -1);
}

/* Each type at an odd address, element 3. */
static void test_every_type_unaligned(void **state) {
    (void)state;
    for (int d = 1; d < CLV_NUM_DTYPES; d++) {
        unsigned char bytes[1 + 8 * 5];
        memset(bytes, 0xa5, sizeof bytes);
        clv_dtype dtype = (clv_dtype)d;
        clv_store_int64(dtype, bytes + 1, 3, 1);
        assert_int_equal(clv_load_int64(dtype, bytes + 1, 3), 1);
        assert_true(clv_load_double(dtype, bytes + 1, 3) == 1.0);
        size_t size = clv_dtype_bytes(dtype);
        assert_int_equal(bytes[3 * size], 0xa5); /* neighbours stay */
        assert_int_equal(bytes[1 + 4 * size], 0xa5);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sixteen_bit_types_keep_every_number),
        cmocka_unit_test(test_rounding_is_to_nearest_even),
        cmocka_unit_test(test_overflow_of_half),
        cmocka_unit_test(test_quick_half_is_the_same),
        cmocka_unit_test(test_float32_rounds_once_and_overflows),
        cmocka_unit_test(test_large_integers_round_once),
        cmocka_unit_test(test_integers_truncate_and_wrap),
        cmocka_unit_test(test_unsigned_64_as_double),
        cmocka_unit_test(test_every_type_unaligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
