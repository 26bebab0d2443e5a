/* .npy and .npz */
#include "io_helpers.h"
#include <zip.h>

/* An .npy of version 1 with this header text and these elements. */
typedef struct bytes {
    uint8_t data[512];
    size_t count;
} bytes;

static bytes npy(int version, const char *header, const void *elements, size_t size) {
    bytes b = {0};
    size_t length = strlen(header);
    memcpy(b.data, "\x93NUMPY", 6);
    b.data[6] = (uint8_t)version;
    b.data[8] = (uint8_t)length;
    b.data[9] = (uint8_t)(length >> 8);
    b.count = version == 1 ? 10 : 12;
    memcpy(b.data + b.count, header, length);
    b.count += length;
    if (size > 0) {
        memcpy(b.data + b.count, elements, size);
    }
    b.count += size;
    return b;
}

/* An exact copy on the heap, so that the sanitizer sees a read past the end. */
static clv_status *read_copy(const bytes *b, size_t count, clv_value **out) {
    uint8_t *copy = malloc(count > 0 ? count : 1);
    memcpy(copy, b->data, count);
    clv_status *status = clv_npy_read(copy, count, out);
    free(copy);
    return status;
}

static const float six[6] = {1, 2, 3, 4, 5, 6};
static const char plain[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";

static void all_versions_are_read(void **state) {
    (void)state;
    for (int version = 1; version <= 3; version++) {
        bytes b = npy(version, plain, six, sizeof six);
        clv_value *value = NULL;
        expect_ok(read_copy(&b, b.count, &value));
        assert_int_equal(value->dtype, CLV_FLOAT32);
        ASSERT_SHAPE(value, 2, 2, 3);
        assert_memory_equal(value->data, six, sizeof six);
        clv_value_destroy(value);
    }
}

static void orders_are_converted(void **state) {
    (void)state;
    bytes fortran =
        npy(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}", six, sizeof six);
    clv_value *value = NULL;
    expect_ok(read_copy(&fortran, fortran.count, &value));
    static const float expected[6] = {1, 3, 5, 2, 4, 6};
    assert_memory_equal(value->data, expected, sizeof expected);
    clv_value_destroy(value);

    static const uint8_t big[8] = {0, 0, 1, 2, 0xff, 0xff, 0xff, 0xfe};
    bytes swapped =
        npy(1, "{\"shape\": (2,), \"descr\": \">i4\", \"fortran_order\": False}", big, sizeof big);
    expect_ok(read_copy(&swapped, swapped.count, &value));
    assert_int_equal(clv_load_int64(CLV_INT32, value->data, 0), 258);
    assert_int_equal(clv_load_int64(CLV_INT32, value->data, 1), -2);
    clv_value_destroy(value);

    static const uint8_t both[12] = {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6};
    bytes mixed =
        npy(1, "{'descr': '>u2', 'fortran_order': True, 'shape': (1L, 2L, 3L)}", both, sizeof both);
    expect_ok(read_copy(&mixed, mixed.count, &value));
    for (int i = 0; i < 6; i++) {
        assert_int_equal(clv_load_int64(CLV_UINT16, value->data, i), (int)expected[i]);
    }
    clv_value_destroy(value);
}

static void every_type_survives_a_round_trip(void **state) {
    (void)state;
    for (int dtype = 1; dtype < CLV_NUM_DTYPES; dtype++) {
        const clv_wanted w = WANTED((clv_dtype)dtype, 3, 2, 1, 5);
        clv_value *value = NULL, *back = NULL;
        expect_ok(clv_value_fill(&w, CLV_FILL_RANDOM, 7, &value));
        clv_text text;
        clv_text_init(&text);
        clv_view view = clv_value_view(value);
        expect_ok(clv_npy_write(&view, &text));
        expect_ok(clv_npy_read((const uint8_t *)text.data, text.length, &back));
        assert_int_equal(back->dtype, dtype == CLV_BFLOAT16 ? CLV_FLOAT32 : dtype);
        ASSERT_SHAPE(back, 3, 2, 1, 5);
        for (int i = 0; i < 10; i++) {
            assert_true(
                clv_load_double(back->dtype, back->data, i) ==
                clv_load_double(value->dtype, value->data, i));
        }
        clv_text_deinit(&text);
        clv_value_destroy(value);
        clv_value_destroy(back);
    }
}

/* NumPy's own layout: version 1, elements at a multiple of 64, a tuple of one has a comma. */
static void headers_are_as_numpy_writes_them(void **state) {
    (void)state;
    const clv_wanted w = WANTED(CLV_INT64, 1, 3);
    clv_value *value = NULL;
    expect_ok(clv_value_fill(&w, CLV_FILL_ONES, 0, &value));
    clv_text text;
    clv_text_init(&text);
    clv_view view = clv_value_view(value);
    expect_ok(clv_npy_write(&view, &text));
    assert_int_equal(text.length, 128 + 24);
    static const char expected[] = "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }";
    assert_memory_equal(text.data + 10, expected, sizeof expected - 1);
    assert_int_equal(text.data[127], '\n');
    clv_text_deinit(&text);
    clv_value_destroy(value);
}

static void booleans_become_0_and_1(void **state) {
    (void)state;
    static const uint8_t odd[3] = {0, 2, 255};
    bytes b = npy(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (3,)}", odd, 3);
    clv_value *value = NULL;
    expect_ok(read_copy(&b, b.count, &value));
    static const uint8_t expected[3] = {0, 1, 1};
    assert_memory_equal(value->data, expected, 3);
    clv_value_destroy(value);
}

static void scalars_and_empty_arrays(void **state) {
    (void)state;
    bytes scalar = npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': ()}", six, 4);
    clv_value *value = NULL;
    expect_ok(read_copy(&scalar, scalar.count, &value));
    assert_int_equal(value->shape.rank, 0);
    clv_value_destroy(value);
    bytes empty = npy(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (0, 4)}", six, 0);
    expect_ok(read_copy(&empty, empty.count, &value));
    ASSERT_SHAPE(value, 2, 0, 4);
    clv_value_destroy(value);
}

static void wrong_headers_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *header;
        clv_code code;
        const char *text;
    } cases[] = {
        {"", CLV_MALFORMED, "no dictionary"},
        {"{", CLV_MALFORMED, "damaged"},
        {"{}", CLV_MALFORMED, "lacks"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)", CLV_MALFORMED, "no end"},
        {"{'descr': '<f4', 'fortran_order': False}", CLV_MALFORMED, "lacks"},
        {"{'descr': '<f4', 'fortran_order': 1, 'shape': ()}", CLV_MALFORMED, "neither"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': 3}", CLV_MALFORMED, "no tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}", CLV_MALFORMED, "whole"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3 3)}", CLV_MALFORMED, "no end"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
         CLV_MALFORMED, "whole"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}",
         CLV_UNSUPPORTED, "elements"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", CLV_UNSUPPORTED,
         "dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (7,)}", CLV_MALFORMED, "needs 28"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (5,)}", CLV_MALFORMED, "needs 20"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (3,)}", CLV_UNSUPPORTED, "'<c8'"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (3,)}", CLV_UNSUPPORTED, "'|O'"},
        {"{'descr': '', 'fortran_order': False, 'shape': (3,)}", CLV_UNSUPPORTED, "''"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}", CLV_UNSUPPORTED,
         "records"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,), 'x': 1}", CLV_MALFORMED, "'x'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bytes b = npy(1, cases[i].header, six, sizeof six);
        clv_value *value = NULL;
        expect_failure(read_copy(&b, b.count, &value), cases[i].code, cases[i].text);
        assert_null(value);
    }
    bytes old = npy(0, plain, six, sizeof six), newer = npy(4, plain, six, sizeof six);
    clv_value *value = NULL;
    expect_failure(read_copy(&old, old.count, &value), CLV_UNSUPPORTED, "version 0");
    expect_failure(read_copy(&newer, newer.count, &value), CLV_UNSUPPORTED, "version 4");
}

static void every_prefix_is_refused(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        bytes b = npy(version, plain, six, sizeof six);
        for (size_t count = 0; count < b.count; count++) {
            clv_value *value = NULL;
            clv_status *status = read_copy(&b, count, &value);
            assert_int_equal(clv_status_code(status), CLV_MALFORMED);
            clv_status_destroy(status);
        }
    }
}

/* --- .npz */

static void archives_give_the_entry_by_name(void **state) {
    const clv_wanted wx = WANTED(CLV_FLOAT32, 1, 2), wy = WANTED(CLV_INT32, 1, 3);
    clv_value *x = NULL, *y = NULL, *back = NULL;
    expect_ok(clv_value_fill(&wx, CLV_FILL_RANDOM, 1, &x));
    expect_ok(clv_value_fill(&wy, CLV_FILL_ONES, 1, &y));
    const clv_view views[2] = {clv_value_view(x), clv_value_view(y)};
    const char *const names[2] = {"x", "y"};
    const char *path = path_in(state, "two.npz");
    expect_ok(clv_values_write_npz(path, views, names, 2));
    FILE *file = fopen(path, "rb");
    unsigned char head[14];
    assert_non_null(file);
    assert_int_equal(fread(head, 1, sizeof head, file), sizeof head);
    fclose(file);
    assert_memory_equal(&head[10], "\0\0\x21\0", 4); /* 1 January 1980: not when it was written */
    clv_wanted want = WANTED(CLV_INT32, 1, 3);
    want.name = "y";
    expect_ok(clv_value_read(path, &want, NULL, &back));
    assert_int_equal(back->dtype, CLV_INT32);
    clv_value_destroy(back);
    want.name = "x";
    expect_ok(clv_value_read(path, &want, NULL, &back));
    assert_memory_equal(back->data, x->data, 8);
    clv_value_destroy(back);
    want.name = "z";
    expect_failure(
        clv_value_read(path, &want, NULL, &back), CLV_MALFORMED, "2 entries (x.npy, y.npy)");
    path = path_in(state, "one.npz");
    expect_ok(clv_value_write(path, &views[1], "other", NULL));
    expect_ok(clv_value_read(path, &want, NULL, &back));
    ASSERT_SHAPE(back, 1, 3);
    clv_value_destroy(back);
    clv_value_destroy(x);
    clv_value_destroy(y);
}

/* An archive with one entry, compressed by `method`. */
static void write_zip(const char *path, const void *data, size_t size, zip_int32_t method) {
    zip_t *archive = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);
    assert_non_null(archive);
    zip_source_t *source = zip_source_buffer(archive, data, size, 0);
    zip_int64_t index = zip_file_add(archive, "x.npy", source, ZIP_FL_ENC_UTF_8);
    assert_int_equal(index, 0);
    assert_int_equal(zip_set_file_compression(archive, 0, method, 0), 0);
    assert_int_equal(zip_close(archive), 0);
}

static void damaged_archives_are_refused(void **state) {
    const clv_wanted want = WANTED(CLV_FLOAT32, 2, 2, 3);
    bytes b = npy(1, plain, six, sizeof six);
    const char *path = path_in(state, "deflated.npz");
    write_zip(path, b.data, b.count, ZIP_CM_DEFLATE);
    clv_value *value = NULL;
    expect_ok(clv_value_read(path, &want, NULL, &value));
    assert_memory_equal(value->data, six, sizeof six);
    clv_value_destroy(value);

    FILE *file = fopen(path, "rb");
    uint8_t whole[1024];
    size_t size = fread(whole, 1, sizeof whole, file);
    fclose(file);
    for (size_t count = 0; count < size; count++) {
        uint8_t *copy = malloc(count + 1);
        memcpy(copy, whole, count);
        clv_status *status = clv_npz_read(copy, count, "x", &value);
        assert_int_equal(clv_status_code(status), CLV_MALFORMED);
        clv_status_destroy(status);
        free(copy);
    }
    /* A flipped bit is found by a checksum or a check, or lies where nothing is read. */
    for (size_t bit = 0; bit < size * 8; bit++) {
        uint8_t copy[1024];
        memcpy(copy, whole, size);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        clv_status *status = clv_npz_read(copy, size, "x", &value);
        if (status == NULL) {
            assert_memory_equal(value->data, six, sizeof six);
            clv_value_destroy(value);
        }
        clv_status_destroy(status);
    }
}

static void bombs_are_refused(void **state) {
    (void)state;
    /* The directory says 4 GB, the entry has a few bytes. */
    const char *path = path_in(state, "bomb.npz");
    bytes b = npy(1, plain, six, sizeof six);
    write_zip(path, b.data, b.count, ZIP_CM_STORE);
    FILE *file = fopen(path, "r+b");
    uint8_t whole[1024];
    size_t size = fread(whole, 1, sizeof whole, file);
    uint8_t *central = memmem(whole, size, "PK\x01\x02", 4);
    assert_non_null(central);
    memset(central + 20, 0xf0, 8); /* compressed and plain */
    fseek(file, 0, SEEK_SET);
    fwrite(whole, 1, size, file);
    fclose(file);
    const clv_wanted want = WANTED(CLV_FLOAT32, 2, 2, 3);
    clv_value *value = NULL;
    expect_failure(clv_value_read(path, &want, NULL, &value), CLV_MALFORMED, "cannot hold");
}

static void every_allocation_may_fail(void **state) {
    const clv_wanted want = WANTED(CLV_FLOAT32, 2, 2, 3);
    clv_value *value = NULL;
    expect_ok(clv_value_fill(&want, CLV_FILL_RANDOM, 0, &value));
    static const char *const files[] = {"fail.npy", "fail.npz", "fail.pb"};
    for (size_t f = 0; f < 3; f++) {
        const char *path = path_in(state, files[f]);
        for (int reading = 0; reading < 2; reading++) {
            bool done = false;
            for (int64_t n = 0; !done; n++) {
                const clv_view view = clv_value_view(value);
                clv_value *back = NULL;
                clv_memory_fail_at(n);
                clv_status *status = reading ? clv_value_read(path, &want, NULL, &back)
                                             : clv_value_write(path, &view, "x", NULL);
                clv_memory_fail_at(-1);
                done = status == NULL;
                assert_true(done || clv_status_code(status) == CLV_NO_MEMORY);
                clv_status_destroy(status);
                clv_value_destroy(back);
            }
        }
    }
    clv_value_destroy(value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_versions_are_read),
        cmocka_unit_test(orders_are_converted),
        cmocka_unit_test(every_type_survives_a_round_trip),
        cmocka_unit_test(headers_are_as_numpy_writes_them),
        cmocka_unit_test(booleans_become_0_and_1),
        cmocka_unit_test(scalars_and_empty_arrays),
        cmocka_unit_test(wrong_headers_are_refused),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(archives_give_the_entry_by_name),
        cmocka_unit_test(damaged_archives_are_refused),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
