/* Made tensors, checks, and files by their ending. */
#include "io_helpers.h"
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void random_numbers_follow_seed_and_name(void **state) {
    (void)state;
    clv_wanted want = WANTED(CLV_FLOAT32, 2, 100, 100);
    clv_value *a = NULL, *b = NULL, *c = NULL, *d = NULL;
    expect_ok(clv_value_fill(&want, CLV_FILL_RANDOM, 0, &a));
    expect_ok(clv_value_fill(&want, CLV_FILL_RANDOM, 0, &b));
    expect_ok(clv_value_fill(&want, CLV_FILL_RANDOM, 1, &c));
    want.name = "other";
    expect_ok(clv_value_fill(&want, CLV_FILL_RANDOM, 0, &d));
    assert_memory_equal(a->data, b->data, 40000);
    assert_memory_not_equal(a->data, c->data, 40000);
    assert_memory_not_equal(a->data, d->data, 40000);
    double sum = 0, squares = 0;
    for (int i = 0; i < 10000; i++) {
        double x = clv_load_double(CLV_FLOAT32, a->data, i);
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / 10000) < 0.05); /* 5 standard deviations */
    assert_true(fabs(squares / 10000 - 1.0) < 0.075);
    clv_value_destroy(a);
    clv_value_destroy(b);
    clv_value_destroy(c);
    clv_value_destroy(d);
}

static void random_integers_are_0_or_1(void **state) {
    (void)state;
    static const clv_dtype types[] = {CLV_INT64, CLV_UINT8, CLV_BOOL, CLV_INT32};
    for (size_t t = 0; t < 4; t++) {
        const clv_wanted want = WANTED(types[t], 1, 1000);
        clv_value *value = NULL;
        expect_ok(clv_value_fill(&want, CLV_FILL_RANDOM, 5, &value));
        int ones = 0;
        for (int i = 0; i < 1000; i++) {
            int64_t x = clv_load_int64(types[t], value->data, i);
            assert_in_range(x, 0, 1);
            ones += (int)x;
        }
        assert_in_range(ones, 400, 600);
        clv_value_destroy(value);
    }
}

static void zeros_and_ones(void **state) {
    (void)state;
    for (int dtype = 1; dtype < CLV_NUM_DTYPES; dtype++) {
        const clv_wanted want = WANTED((clv_dtype)dtype, 1, 3);
        clv_value *zeros = NULL, *ones = NULL;
        expect_ok(clv_value_fill(&want, CLV_FILL_ZEROS, 0, &zeros));
        expect_ok(clv_value_fill(&want, CLV_FILL_ONES, 0, &ones));
        assert_true(clv_load_double((clv_dtype)dtype, zeros->data, 2) == 0.0);
        assert_true(clv_load_double((clv_dtype)dtype, ones->data, 2) == 1.0);
        clv_value_destroy(zeros);
        clv_value_destroy(ones);
    }
    clv_fill fill;
    assert_true(clv_fill_find("ones", &fill));
    assert_int_equal(fill, CLV_FILL_ONES);
    assert_false(clv_fill_find("twos", &fill));
    const clv_wanted open = WANTED(CLV_FLOAT32, 2, CLV_DIM_FREE, 2);
    clv_value *value = NULL;
    expect_failure(clv_value_fill(&open, CLV_FILL_ONES, 0, &value), CLV_USAGE, "[?,2]");
}

static void checks_compare_types_and_shapes(void **state) {
    (void)state;
    const clv_view view = {.dtype = CLV_FLOAT32, .shape = {.rank = 2, .dims = {4, 3}}};
    const clv_wanted same = WANTED(CLV_FLOAT32, 2, 4, 3);
    const clv_wanted open = WANTED(CLV_FLOAT32, 2, CLV_DIM_FREE, 3);
    const clv_wanted any = {.name = "x", .dtype = CLV_FLOAT32, .shape.rank = -1};
    const clv_wanted type = WANTED(CLV_INT64, 2, 4, 3);
    const clv_wanted shape = WANTED(CLV_FLOAT32, 2, 3, 4);
    const clv_wanted rank = WANTED(CLV_FLOAT32, 1, 12);
    expect_ok(clv_value_check(&view, &same, "f.npy"));
    expect_ok(clv_value_check(&view, &open, "f.npy"));
    expect_ok(clv_value_check(&view, &any, "f.npy"));
    expect_ok(clv_value_check(&view, &(clv_wanted){.name = "x", .shape.rank = -1}, "f.npy"));
    expect_failure(
        clv_value_check(&view, &type, "f.npy"), CLV_MALFORMED,
        "'x' needs int64 [4,3], f.npy has float32 [4,3]");
    expect_failure(clv_value_check(&view, &shape, "f.npy"), CLV_MALFORMED, "[3,4]");
    expect_failure(clv_value_check(&view, &rank, "f.npy"), CLV_MALFORMED, "[12]");
}

static void every_ending_is_written_and_read(void **state) {
    const clv_wanted want = WANTED(CLV_FLOAT32, 4, 1, 3, 2, 4);
    clv_value *value = NULL;
    expect_ok(clv_value_fill(&want, CLV_FILL_ONES, 0, &value));
    const clv_view view = clv_value_view(value);
    static const char *const names[] = {"a.npy", "a.npz", "a.png", "a.pb", "a.NPY"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *path = path_in(state, names[i]);
        expect_ok(clv_value_write(path, &view, "x", NULL));
        clv_value *back = NULL;
        expect_ok(clv_value_read(path, &want, NULL, &back));
        const clv_view back_view = clv_value_view(back);
        expect_ok(clv_value_check(&back_view, &want, path));
        assert_memory_equal(back->data, value->data, 96);
        clv_value_destroy(back);
    }
    clv_value_destroy(value);
}

static void every_type_survives_pb(void **state) {
    for (int dtype = 1; dtype < CLV_NUM_DTYPES; dtype++) {
        const clv_wanted want = WANTED((clv_dtype)dtype, 2, 3, 5);
        clv_value *value = NULL, *back = NULL;
        expect_ok(clv_value_fill(&want, CLV_FILL_RANDOM, 3, &value));
        const clv_view view = clv_value_view(value);
        const char *path = path_in(state, "t.pb");
        expect_ok(clv_value_write(path, &view, "x", NULL));
        expect_ok(clv_value_read(path, &want, NULL, &back));
        const clv_view back_view = clv_value_view(back);
        expect_ok(clv_value_check(&back_view, &want, path));
        assert_memory_equal(back->data, value->data, 15 * clv_dtype_bytes((clv_dtype)dtype));
        clv_value_destroy(value);
        clv_value_destroy(back);
    }
}

static void wrong_files_are_named(void **state) {
    const clv_wanted want = WANTED(CLV_FLOAT32, 1, 1);
    clv_value *value = NULL;
    expect_failure(clv_value_read("x.jpg", &want, NULL, &value), CLV_USAGE, "'x.jpg'");
    expect_failure(clv_value_read(".npy", &want, NULL, &value), CLV_USAGE, ".npy");
    const char *path = path_in(state, "missing.npy");
    expect_failure(clv_value_read(path, &want, NULL, &value), CLV_IO, "missing.npy");
    path = path_in(state, "empty.npy");
    FILE *file = fopen(path, "wb");
    fclose(file);
    expect_failure(clv_value_read(path, &want, NULL, &value), CLV_MALFORMED, "empty.npy");
    path = path_in(state, "folder.npy");
    assert_int_equal(mkdir(path, 0700), 0);
    expect_failure(clv_value_read(path, &want, NULL, &value), CLV_IO, "folder.npy");
}

/* A folder that is not there cannot be written to; a failed write leaves the old file. */
static void failed_writes_are_told(void **state) {
    (void)state;
    static const float one = 1.0f;
    const clv_view view = {.dtype = CLV_FLOAT32, .shape = {.rank = 0}, .data = &one};
    expect_failure(clv_value_write("/nonexistent/folder/x.npy", &view, "x", NULL), CLV_IO, "x.npy");
    expect_failure(clv_value_write("x.txt", &view, "x", NULL), CLV_USAGE, "x.txt");
    const char *path = path_in(state, "kept.npy");
    expect_ok(clv_value_write(path, &view, "x", NULL));
    for (int64_t n = 0; n < 3; n++) {
        clv_memory_fail_at(n);
        clv_status *status = clv_value_write(path, &view, "x", NULL);
        clv_memory_fail_at(-1);
        assert_true(status == NULL || clv_status_code(status) == CLV_NO_MEMORY);
        clv_status_destroy(status);
        clv_value *back = NULL;
        const clv_wanted want = {.name = "x", .dtype = CLV_FLOAT32};
        expect_ok(clv_value_read(path, &want, NULL, &back));
        clv_value_destroy(back);
    }
}

/* A limit on the size of files stands in for a full disk: the error is told, the old file stays. */
static void a_full_disk_leaves_the_old_file(void **state) {
    const clv_wanted want = WANTED(CLV_FLOAT32, 1, 4);
    const clv_wanted large = WANTED(CLV_FLOAT32, 1, 100000);
    clv_value *value = NULL, *much = NULL, *back = NULL;
    expect_ok(clv_value_fill(&want, CLV_FILL_RANDOM, 0, &value));
    expect_ok(clv_value_fill(&large, CLV_FILL_RANDOM, 0, &much));
    const char *path = path_in(state, "full.npy");
    const clv_view view = clv_value_view(value), much_view = clv_value_view(much);
    expect_ok(clv_value_write(path, &view, "x", NULL));
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    const struct rlimit small = {.rlim_cur = 4096, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    clv_status *status = clv_value_write(path, &much_view, "x", NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    expect_failure(status, CLV_IO, "full.npy");
    expect_ok(clv_value_read(path, &want, NULL, &back));
    assert_memory_equal(back->data, value->data, 16);
    clv_value_destroy(value);
    clv_value_destroy(much);
    clv_value_destroy(back);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_numbers_follow_seed_and_name),
        cmocka_unit_test(random_integers_are_0_or_1),
        cmocka_unit_test(zeros_and_ones),
        cmocka_unit_test(checks_compare_types_and_shapes),
        cmocka_unit_test(every_ending_is_written_and_read),
        cmocka_unit_test(every_type_survives_pb),
        cmocka_unit_test(wrong_files_are_named),
        cmocka_unit_test(failed_writes_are_told),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
