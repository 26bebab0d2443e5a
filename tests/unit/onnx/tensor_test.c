/* TensorProto: every type, in every place that its elements may be kept. */
#include "load_helpers.h"

#include <stdlib.h>

typedef struct read_result {
    clv_arena arena;
    clv_view view;
    const char *name;
    void *copy;
} read_result;

/* Reads an exact copy on the heap; frees the message. */
static clv_status *read_tensor(pb *tensor, read_result *out) {
    *out = (read_result){0};
    clv_arena_init(&out->arena, 0);
    out->copy = malloc(tensor->bytes > 0 ? tensor->bytes : 1);
    if (tensor->bytes > 0) {
        memcpy(out->copy, tensor->data, tensor->bytes);
    }
    size_t bytes = tensor->bytes;
    pb_free(tensor);
    return clv_onnx_read_tensor(out->copy, bytes, &out->arena, &out->view, &out->name);
}

static void done_with(read_result *result) {
    clv_arena_deinit(&result->arena);
    free(result->copy);
}

static void read_ok(pb *tensor, read_result *out) {
    clv_status *status = read_tensor(tensor, out);
    if (status != NULL) {
        fail_msg("%s", clv_status_message(status));
    }
}

static void read_fails(pb tensor, clv_code code, const char *text) {
    read_result result;
    clv_status *status = read_tensor(&tensor, &result);
    expect_failure(status, code, text);
    done_with(&result);
}

static void raw_data_of_every_type(void **state) {
    (void)state;
    for (int dtype = 1; dtype < CLV_NUM_DTYPES; dtype++) {
        uint8_t raw[3 * 8] = {0};
        for (int i = 0; i < 3; i++) {
            clv_store_double((clv_dtype)dtype, raw, i, i % 2);
        }
        size_t bytes = 3 * clv_dtype_bytes((clv_dtype)dtype);
        pb tensor = onnx_tensor("t", clv_dtype_to_onnx((clv_dtype)dtype), "1,3", raw, bytes);
        size_t message_bytes = tensor.bytes; /* the elements are the end of it, and stay there */
        read_result result;
        read_ok(&tensor, &result);
        assert_int_equal(result.view.dtype, dtype);
        assert_int_equal(result.view.shape.rank, 2);
        assert_string_equal(result.name, "t");
        assert_memory_equal(result.view.data, raw, bytes);
        assert_ptr_equal(result.view.data, (uint8_t *)result.copy + message_bytes - bytes);
        done_with(&result);
    }
}

/* Values as they are written into the typed field of a type, and what they mean. */
static const struct {
    clv_dtype dtype;
    uint32_t field;
    uint64_t words[3];
    double values[3];
} typed[] = {
    {CLV_INT32, TENSOR_INT32_DATA, {1, (uint64_t)-2, 300}, {1, -2, 300}},
    {CLV_INT16, TENSOR_INT32_DATA, {1, (uint64_t)-2, 300}, {1, -2, 300}},
    {CLV_INT8, TENSOR_INT32_DATA, {1, (uint64_t)-2, 100}, {1, -2, 100}},
    {CLV_UINT16, TENSOR_INT32_DATA, {1, 65535, 300}, {1, 65535, 300}},
    {CLV_UINT8, TENSOR_INT32_DATA, {1, 255, 30}, {1, 255, 30}},
    {CLV_BOOL, TENSOR_INT32_DATA, {1, 0, 7}, {1, 0, 1}},
    {CLV_FLOAT16, TENSOR_INT32_DATA, {0x3c00, 0xc000, 0x3800}, {1, -2, 0.5}},
    {CLV_BFLOAT16, TENSOR_INT32_DATA, {0x3f80, 0xc000, 0x3f00}, {1, -2, 0.5}},
    {CLV_INT64, TENSOR_INT64_DATA, {1, (uint64_t)-2, UINT64_C(1) << 40}, {1, -2, 1099511627776.0}},
    {CLV_UINT32, TENSOR_UINT64_DATA, {1, 4294967295, 5}, {1, 4294967295.0, 5}},
    {CLV_UINT64, TENSOR_UINT64_DATA, {1, UINT64_C(1) << 52, 5}, {1, 4503599627370496.0, 5}},
};

/* Packed, one by one, and both, in several pieces. */
static void typed_integers_of_every_type(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof typed / sizeof typed[0]; i++) {
        for (int way = 0; way < 3; way++) {
            pb tensor = onnx_tensor_head("t", clv_dtype_to_onnx(typed[i].dtype), "3");
            pb packed = {0};
            for (int k = 0; k < 3; k++) {
                if (way == 0 || (way == 2 && k > 0)) {
                    pb_raw_varint(&packed, typed[i].words[k]);
                } else {
                    pb_varint(&tensor, typed[i].field, typed[i].words[k]);
                }
            }
            if (way != 1) {
                pb_bytes(&tensor, typed[i].field, packed.data, packed.bytes);
            }
            pb_free(&packed);
            read_result result;
            read_ok(&tensor, &result);
            for (int k = 0; k < 3; k++) {
                double got = clv_load_double(result.view.dtype, result.view.data, k);
                if (got != typed[i].values[k]) {
                    fail_msg(
                        "%s, way %d, element %d: %g", clv_dtype_name(typed[i].dtype), way, k, got);
                }
            }
            done_with(&result);
        }
    }
}

static void typed_floats(void **state) {
    (void)state;
    static const float floats[3] = {1.5f, -2.0f, 0.25f};
    static const double doubles[3] = {1.5, -2.0, 0.25};
    for (int way = 0; way < 3; way++) {
        for (int wide = 0; wide < 2; wide++) {
            uint32_t field = wide ? TENSOR_DOUBLE_DATA : TENSOR_FLOAT_DATA;
            pb tensor = onnx_tensor_head("t", wide ? 11 : 1, "3");
            for (int k = 0; way > 0 && k < (way == 1 ? 3 : 1); k++) {
                if (wide) {
                    pb_fixed64(&tensor, field, &doubles[k]);
                } else {
                    pb_fixed32(&tensor, field, &floats[k]);
                }
            }
            int packed = way == 0 ? 0 : way == 1 ? 3 : 1;
            if (packed < 3) {
                const void *from = wide ? (const void *)&doubles[packed] : &floats[packed];
                pb_bytes(&tensor, field, from, (size_t)(3 - packed) * (wide ? 8 : 4));
            }
            read_result result;
            read_ok(&tensor, &result);
            for (int k = 0; k < 3; k++) {
                assert_true(clv_load_double(result.view.dtype, result.view.data, k) == doubles[k]);
            }
            done_with(&result);
        }
    }
}

static void scalars_and_empty_tensors(void **state) {
    (void)state;
    static const float one = 1.0f;
    read_result result;
    pb scalar = onnx_tensor("s", 1, "", &one, 4);
    read_ok(&scalar, &result);
    assert_int_equal(result.view.shape.rank, 0);
    done_with(&result);
    pb empty = onnx_tensor_head("e", 1, "0,4");
    read_ok(&empty, &result);
    assert_int_equal(clv_shape_elements(&result.view.shape), 0);
    assert_non_null(result.view.data);
    done_with(&result);
    pb empty_raw = onnx_tensor("e", 7, "4,0", "", 0);
    read_ok(&empty_raw, &result);
    done_with(&result);
}

static pb with_int32(pb tensor, uint64_t value) {
    pb_varint(&tensor, TENSOR_INT32_DATA, value);
    return tensor;
}

static void wrong_tensors_are_refused(void **state) {
    (void)state;
    static const float two[2] = {1, 2};
    read_fails(
        onnx_tensor("t", 1, "3", two, 8), CLV_MALFORMED, "has 8 bytes, float32 [3] needs 12");
    read_fails(onnx_tensor("t", 1, "1", two, 8), CLV_MALFORMED, "has 8 bytes");
    read_fails(onnx_tensor("t", 1, "2", two, 7), CLV_MALFORMED, "has 7 bytes");
    read_fails(
        onnx_tensor_head("t", 1, "2"), CLV_MALFORMED, "has 0 elements, its shape [2] needs 2");
    read_fails(onnx_tensor_head("t", 7, "2"), CLV_MALFORMED, "has 0 elements");
    read_fails(onnx_tensor("t", 1, "-2", two, 8), CLV_MALFORMED, "dimension 0 is -2");
    read_fails(onnx_tensor("t", 1, "4294967296,4294967296", two, 8), CLV_UNSUPPORTED, "its shape");
    read_fails(onnx_tensor("t", 1, "4611686018427387904,8", two, 8), CLV_UNSUPPORTED, "its shape");
    read_fails(onnx_tensor("t", 1, "1,1,1,1,1,1,1,1,2", two, 8), CLV_UNSUPPORTED, "rank 9");
    read_fails(onnx_tensor("t", 0, "2", two, 8), CLV_MALFORMED, "element type 0");
    read_fails(onnx_tensor("t", -1, "2", two, 8), CLV_MALFORMED, "element type -1");
    read_fails(onnx_tensor("t", 99, "2", two, 8), CLV_MALFORMED, "element type 99");
    static const struct {
        int32_t type;
        const char *name;
    } others[] = {{8, "string"}, {14, "complex64"},  {17, "float8e4m3fn"}, {19, "float8e5m2"},
                  {22, "int4"},  {23, "float4e2m1"}, {24, "float8e8m0"},   {25, "uint2"},
                  {21, "uint4"}, {15, "complex128"}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        read_fails(onnx_tensor("t", others[i].type, "2", two, 8), CLV_UNSUPPORTED, others[i].name);
    }
    /* Elements in the field of another type, in two fields, cut off, too many. */
    read_fails(with_int32(onnx_tensor_head("t", 1, "1"), 1), CLV_MALFORMED, "another type");
    read_fails(with_int32(onnx_tensor_head("t", 7, "1"), 1), CLV_MALFORMED, "another type");
    read_fails(with_int32(onnx_tensor("t", 6, "1", two, 4), 1), CLV_MALFORMED, "or in several");
    pb floats = onnx_tensor_head("t", 1, "2");
    pb_bytes(&floats, TENSOR_FLOAT_DATA, two, 7);
    read_fails(floats, CLV_MALFORMED, "ends inside element 1");
    pb cut = onnx_tensor_head("t", 6, "2");
    pb_bytes(&cut, TENSOR_INT32_DATA, "\x01\x80", 2);
    read_fails(cut, CLV_MALFORMED, "ends inside element 1");
    pb many = onnx_tensor_head("t", 6, "2");
    pb_bytes(&many, TENSOR_INT32_DATA, "\x01\x02\x03", 3);
    read_fails(many, CLV_MALFORMED, "has 3 elements");
    pb segment = onnx_tensor("t", 1, "2", two, 8), part = {0};
    pb_varint(&part, 1, 0);
    pb_message(&segment, TENSOR_SEGMENT, part);
    read_fails(segment, CLV_UNSUPPORTED, "segments");
    pb external = onnx_tensor_head("t", 1, "2");
    pb_varint(&external, TENSOR_DATA_LOCATION, 1);
    read_fails(external, CLV_UNSUPPORTED, "external");
    pb wire = onnx_tensor_head("t", 1, "2");
    pb_varint(&wire, TENSOR_RAW_DATA, 1);
    read_fails(wire, CLV_MALFORMED, "raw_data");
}

/* A claim of many elements takes no memory before the elements are seen. */
static void claims_take_no_memory(void **state) {
    (void)state;
    static const clv_dtype types[] = {CLV_FLOAT32, CLV_INT64, CLV_UINT8};
    for (size_t i = 0; i < 3; i++) {
        pb tensor = onnx_tensor_head("t", clv_dtype_to_onnx(types[i]), "2000000000");
        read_result result;
        clv_status *status = read_tensor(&tensor, &result);
        expect_failure(status, CLV_MALFORMED, "needs 2000000000");
        assert_true(result.arena.used_bytes < 1000);
        done_with(&result);
    }
}

static void every_prefix_is_refused(void **state) {
    (void)state;
    static const float two[2] = {1, 2};
    pb whole = onnx_tensor("t", 1, "2", two, 8);
    for (size_t bytes = 0; bytes < whole.bytes; bytes++) {
        pb prefix = {0};
        pb_append(&prefix, whole.data, bytes);
        read_result result;
        clv_status *status = read_tensor(&prefix, &result);
        assert_int_equal(clv_status_code(status), CLV_MALFORMED);
        clv_status_destroy(status);
        done_with(&result);
    }
    pb_free(&whole);
}

static void what_is_written_reads_back(void **state) {
    (void)state;
    for (int dtype = 1; dtype < CLV_NUM_DTYPES; dtype++) {
        uint8_t data[6 * 8] = {0};
        for (int i = 0; i < 6; i++) {
            clv_store_double((clv_dtype)dtype, data, i, i % 2);
        }
        const clv_view view = {
            .dtype = (clv_dtype)dtype, .shape = {.rank = 3, .dims = {1, 2, 3}}, .data = data};
        clv_text text;
        clv_text_init(&text);
        clv_onnx_write_tensor(&view, "name", &text);
        pb written = {0};
        pb_append(&written, text.data, text.length);
        clv_text_deinit(&text);
        read_result result;
        read_ok(&written, &result);
        assert_int_equal(result.view.dtype, dtype);
        assert_true(clv_shape_equal(&result.view.shape, &view.shape));
        assert_memory_equal(result.view.data, data, clv_view_bytes((clv_dtype)dtype, &view.shape));
        assert_string_equal(result.name, "name");
        done_with(&result);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_data_of_every_type),
        cmocka_unit_test(typed_integers_of_every_type),
        cmocka_unit_test(typed_floats),
        cmocka_unit_test(scalars_and_empty_tensors),
        cmocka_unit_test(wrong_tensors_are_refused),
        cmocka_unit_test(claims_take_no_memory),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(what_is_written_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
