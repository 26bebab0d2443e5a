#include "host/ir/tensor.h"

#include "tests/support/check.h"

static void test_dtype_table(void **state) {
    (void)state;
    for (int i = 1; i < CLV_NUM_DTYPES; i++) {
        clv_dtype dtype = (clv_dtype)i;
        assert_int_equal(clv_dtype_from_onnx(clv_dtype_to_onnx(dtype)), dtype);
        assert_int_equal(clv_dtype_find(clv_dtype_name(dtype)), dtype);
        assert_true(clv_dtype_bytes(dtype) >= 1 && clv_dtype_bytes(dtype) <= 8);
        bool is_one = clv_dtype_is_float(dtype) + clv_dtype_is_integer(dtype) == 1;
        assert_true(is_one || dtype == CLV_BOOL);
    }
    assert_int_equal(clv_dtype_from_onnx(8), CLV_DTYPE_NONE); /* strings */
    assert_int_equal(clv_dtype_from_onnx(0), CLV_DTYPE_NONE);
    assert_int_equal(clv_dtype_from_onnx(-1), CLV_DTYPE_NONE);
    assert_int_equal(clv_dtype_find("none"), CLV_DTYPE_NONE);
    assert_string_equal(clv_dtype_name((clv_dtype)99), "none");
    assert_int_equal(clv_dtype_bytes(CLV_DTYPE_NONE), 0);
    assert_int_equal(clv_dtype_to_onnx(CLV_BFLOAT16), 16);
}

static void test_shapes(void **state) {
    (void)state;
    const clv_shape shape = {.rank = 3, .dims = {2, 3, 4}}, scalar = {.rank = 0};
    int64_t strides[CLV_MAX_RANK];
    assert_int_equal(clv_shape_elements(&shape), 24);
    assert_int_equal(clv_shape_elements(&scalar), 1);
    assert_int_equal(clv_shape_product(&shape, 1, 3), 12);
    assert_int_equal(clv_shape_product(&shape, 1, 1), 1);
    clv_shape_strides(&shape, strides);
    assert_int_equal(strides[0], 12);
    assert_int_equal(strides[1], 4);
    assert_int_equal(strides[2], 1);
    assert_int_equal(clv_view_bytes(CLV_INT64, &shape), 192);
    clv_shape other = {.rank = 3, .dims = {2, 3, 4, 99}};
    assert_true(clv_shape_equal(&shape, &other)); /* beyond the rank nothing counts */
    other.dims[2] = CLV_DIM_FREE;
    assert_false(clv_shape_equal(&shape, &other));
    assert_true(clv_shape_is_known(&shape) && clv_shape_is_known(&scalar));
    assert_false(clv_shape_is_known(&other));
    other.rank = -1;
    assert_false(clv_shape_is_known(&other));
}

static void test_shape_text(void **state) {
    (void)state;
    char text[CLV_SHAPE_TEXT];
    clv_shape shape = {.rank = 0};
    assert_string_equal(clv_shape_format(&shape, text), "[]");
    shape.rank = -1;
    assert_string_equal(clv_shape_format(&shape, text), "[...]");
    shape = (clv_shape){.rank = 3, .dims = {1, CLV_DIM_FREE, 4}};
    assert_string_equal(clv_shape_format(&shape, text), "[1,?,4]");
    shape.rank = CLV_MAX_RANK;
    for (int i = 0; i < CLV_MAX_RANK; i++) {
        shape.dims[i] = INT64_MIN;
    }
    assert_int_equal(strlen(clv_shape_format(&shape, text)), 8 * 21 + 1);
}

static void test_shape_check(void **state) {
    (void)state;
    clv_shape shape = {.rank = 2, .dims = {65536, 32767}};
    assert_ok(clv_shape_check(&shape, "tensor"));
    shape = (clv_shape){.rank = 1, .dims = {CLV_MAX_ELEMENTS}};
    assert_ok(clv_shape_check(&shape, "tensor"));
    shape = (clv_shape){.rank = 2, .dims = {65536, 32768}};
    assert_failed(
        UNSUPPORTED, "tensor has the shape [65536,32768]", clv_shape_check(&shape, "tensor"));
    /* products that wrap around 2^64 to something small */
    shape = (clv_shape){.rank = 3, .dims = {INT64_C(1) << 32, INT64_C(1) << 32, 7}};
    assert_failed(UNSUPPORTED, "more than", clv_shape_check(&shape, "tensor"));
    shape = (clv_shape){.rank = 1, .dims = {INT64_MAX}};
    assert_failed(UNSUPPORTED, "more than", clv_shape_check(&shape, "tensor"));
    /* empty, but the strides would not fit */
    shape = (clv_shape){.rank = 3, .dims = {0, INT64_MAX, INT64_MAX}};
    assert_failed(UNSUPPORTED, "more than", clv_shape_check(&shape, "tensor"));
    shape = (clv_shape){.rank = 3, .dims = {0, 5, 1000}};
    assert_ok(clv_shape_check(&shape, "tensor"));
    /* negative, also behind what is too large */
    shape = (clv_shape){.rank = 2, .dims = {INT64_MAX, -5}};
    assert_failed(MALFORMED, "dimension 1 is negative", clv_shape_check(&shape, "tensor"));
    shape = (clv_shape){.rank = 2, .dims = {3, CLV_DIM_FREE}};
    assert_failed(MALFORMED, "dimension 1 is not known", clv_shape_check(&shape, "tensor"));
    shape.rank = -1;
    assert_failed(MALFORMED, "tensor has no known rank", clv_shape_check(&shape, "tensor"));
    shape.rank = 9;
    assert_failed(UNSUPPORTED, "tensor has rank 9", clv_shape_check(&shape, "tensor"));
}

static void test_broadcast(void **state) {
    (void)state;
    char text[CLV_SHAPE_TEXT];
    const clv_shape a = {.rank = 3, .dims = {5, 1, 4}}, b = {.rank = 2, .dims = {3, 1}};
    const clv_shape scalar = {.rank = 0}, empty = {.rank = 1, .dims = {0}};
    const clv_shape one = {.rank = 1, .dims = {1}}, two = {.rank = 1, .dims = {2}};
    clv_shape out;
    assert_ok(clv_shape_broadcast(&a, &b, &out));
    assert_string_equal(clv_shape_format(&out, text), "[5,3,4]");
    assert_ok(clv_shape_broadcast(&scalar, &a, &out));
    assert_true(clv_shape_equal(&out, &a));
    assert_ok(clv_shape_broadcast(&one, &empty, &out));
    assert_true(clv_shape_equal(&out, &empty));
    assert_failed(MALFORMED, "[2] and [0]", clv_shape_broadcast(&two, &empty, &out));
    assert_failed(MALFORMED, "[5,1,4] and [2]", clv_shape_broadcast(&a, &two, &out));
    clv_shape same = a; /* the result may be one of the operands */
    assert_ok(clv_shape_broadcast(&same, &b, &same));
    assert_string_equal(clv_shape_format(&same, text), "[5,3,4]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dtype_table), cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_shape_text),  cmocka_unit_test(test_shape_check),
        cmocka_unit_test(test_broadcast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
