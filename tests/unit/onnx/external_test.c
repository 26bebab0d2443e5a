/* Models in files: external data, inside the model's folder and outside. */
#include "load_helpers.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ROOT/model/ holds the model, ROOT/secret.bin is what it must not reach. */
static char root[64];

static const char *in_root(const char *name) {
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static void write_file(const char *name, const void *data, size_t bytes) {
    FILE *file = fopen(in_root(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static const float numbers[8] = {0, 1, 2, 3, 4, 5, 6, 7};

static int make_root(void **state) {
    (void)state;
    snprintf(root, sizeof root, "/tmp/cleave-external-XXXXXX");
    if (mkdtemp(root) == NULL || mkdir(in_root("model"), 0700) != 0 ||
        mkdir(in_root("model/sub"), 0700) != 0) {
        return 1;
    }
    write_file("secret.bin", numbers, sizeof numbers);
    write_file("model/w.bin", numbers, sizeof numbers);
    write_file("model/sub/w.bin", numbers, sizeof numbers);
    write_file("model/empty.bin", numbers, 0);
    return symlink("../secret.bin", in_root("model/outward")) != 0 ||
           symlink("w.bin", in_root("model/inward")) != 0 ||
           symlink("..", in_root("model/up")) != 0 ||
           symlink(in_root("secret.bin"), in_root("model/absolute")) != 0 ||
           symlink("loop", in_root("model/loop")) != 0 || mkfifo(in_root("model/fifo"), 0600) != 0;
}

static int remove_root(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void add_entry(pb *tensor, const char *key, const char *value) {
    if (value != NULL) {
        pb entry = {0};
        pb_string(&entry, 1, key);
        pb_string(&entry, 2, value);
        pb_message(tensor, TENSOR_EXTERNAL_DATA, entry);
    }
}

/* An initializer "w" of float32 with its bytes elsewhere; NULL leaves a key out. */
static pb external_tensor(
    const char *name, const char *dims, const char *location, const char *offset,
    const char *length) {
    pb tensor = onnx_tensor_head(name, 1, dims);
    add_entry(&tensor, "location", location);
    add_entry(&tensor, "offset", offset);
    add_entry(&tensor, "length", length);
    add_entry(&tensor, "checksum", "0123456789abcdef");
    pb_varint(&tensor, TENSOR_DATA_LOCATION, 1);
    return tensor;
}

static clv_status *load_with(pb tensor, clv_graph **out_graph) {
    pb graph = relu_graph();
    pb_message(&graph, GRAPH_INITIALIZER, tensor);
    pb model = finish(graph);
    write_file("model/m.onnx", model.data, model.bytes);
    pb_free(&model);
    return clv_onnx_load(in_root("model/m.onnx"), NULL, out_graph);
}

static void data_beside_the_model_is_mapped(void **state) {
    (void)state;
    static const struct {
        const char *dims, *location, *offset, *length;
        int count, first;
    } cases[] = {
        {"8", "w.bin", NULL, NULL, 8, 0},     {"3", "w.bin", "4", "12", 3, 1},
        {"2", "sub/w.bin", "24", NULL, 2, 6}, {"8", "./sub/../w.bin", NULL, NULL, 0, 0},
        {"8", "inward", "0", "32", 8, 0},     {"0", "empty.bin", NULL, NULL, 0, 0},
        {"0", "w.bin", "32", "0", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clv_graph *graph = NULL;
        clv_status *status = load_with(
            external_tensor(
                "w", cases[i].dims, cases[i].location, cases[i].offset, cases[i].length),
            &graph);
        if (i == 3) { /* stays inside, but why write it so */
            expect_failure(status, CLV_MALFORMED, "'..' is refused");
            continue;
        }
        if (status != NULL) {
            fail_msg("%s", clv_status_message(status));
        }
        const clv_tensor *w = tensor_named(graph, "w");
        for (int k = 0; k < cases[i].count; k++) {
            assert_true(clv_load_double(CLV_FLOAT32, w->data, k) == cases[i].first + k);
        }
        clv_graph_drop_pages(graph);
        if (cases[i].count > 0) {
            assert_true(clv_load_double(CLV_FLOAT32, w->data, 0) == cases[i].first);
        }
        clv_graph_destroy(graph);
    }
}

static void one_file_is_mapped_once(void **state) {
    (void)state;
    static const char *const spellings[] = {"w.bin", "./w.bin", ".//./w.bin", "inward"};
    pb graph = relu_graph();
    for (int i = 0; i < 8; i++) {
        char name[8], offset[8];
        snprintf(name, sizeof name, "w%d", i);
        snprintf(offset, sizeof offset, "%d", 4 * i);
        pb_message(
            &graph, GRAPH_INITIALIZER, external_tensor(name, "1", spellings[i % 4], offset, "4"));
    }
    pb model = finish(graph);
    write_file("model/m.onnx", model.data, model.bytes);
    clv_graph *loaded = NULL;
    assert_null(clv_onnx_load(in_root("model/m.onnx"), NULL, &loaded));
    assert_int_equal(loaded->num_resources, 2);
    const float *first = tensor_named(loaded, "w0")->data, *last = tensor_named(loaded, "w7")->data;
    assert_ptr_equal(first + 7, last);
    clv_graph_destroy(loaded);
    pb_free(&model);
}

static void nothing_outside_the_folder_is_reached(void **state) {
    (void)state;
    char absolute[256];
    snprintf(absolute, sizeof absolute, "%s/model/w.bin", root);
    const struct {
        const char *location, *offset, *length;
        clv_code code;
        const char *text;
    } cases[] = {
        {"../secret.bin", NULL, NULL, CLV_MALFORMED, "'..' is refused"},
        {"sub/../../secret.bin", NULL, NULL, CLV_MALFORMED, "'..' is refused"},
        {"..", NULL, NULL, CLV_MALFORMED, "'..' is refused"},
        {absolute, NULL, NULL, CLV_MALFORMED, "absolute path"},
        {"/etc/passwd", NULL, NULL, CLV_MALFORMED, "absolute path"},
        {"outward", NULL, NULL, CLV_MALFORMED, "link that leaves the model's folder"},
        {"up/secret.bin", NULL, NULL, CLV_MALFORMED, "link that leaves the model's folder"},
        {"absolute", NULL, NULL, CLV_MALFORMED, "link that leaves the model's folder"},
        {"loop", NULL, NULL, CLV_IO, "'loop'"},
        {"fifo", NULL, NULL, CLV_MALFORMED, "not a regular file"},
        {"sub", NULL, NULL, CLV_MALFORMED, "not a regular file"},
        {".", NULL, NULL, CLV_MALFORMED, ""},
        {"", NULL, NULL, CLV_MALFORMED, "no location"},
        {NULL, NULL, NULL, CLV_MALFORMED, "no location"},
        {"missing.bin", NULL, NULL, CLV_IO, "'missing.bin'"},
        {"w.bin/x", NULL, NULL, CLV_IO, "'w.bin/x'"},
        {"empty.bin", NULL, NULL, CLV_MALFORMED, "has 0 bytes, bytes 0 to 32"},
        {"w.bin", "4", NULL, CLV_MALFORMED, "bytes 4 to 36"},
        {"w.bin", "33", "32", CLV_MALFORMED, "bytes 33"},
        {"w.bin", "9223372036854775807", NULL, CLV_MALFORMED, "9223372036854775807"},
        {"w.bin", "18446744073709551615", NULL, CLV_MALFORMED, "not a number"},
        {"w.bin", "-4", NULL, CLV_MALFORMED, "'-4', not a number"},
        {"w.bin", "four", NULL, CLV_MALFORMED, "'four', not a number"},
        {"w.bin", "0", "31", CLV_MALFORMED, "has 31 bytes, its shape needs 32"},
        {"w.bin", "0", "33", CLV_MALFORMED, "has 33 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clv_graph *graph = NULL;
        clv_status *status = load_with(
            external_tensor("w", "8", cases[i].location, cases[i].offset, cases[i].length), &graph);
        assert_null(graph);
        assert_true(status == NULL || strstr(clv_status_message(status), "m.onnx'") != NULL);
        expect_failure(status, cases[i].code, cases[i].text);
    }
}

static void memory_has_no_folder(void **state) {
    (void)state;
    pb graph = relu_graph();
    pb_message(&graph, GRAPH_INITIALIZER, external_tensor("w", "8", "w.bin", NULL, NULL));
    pb model = finish(graph);
    load_fails(&model, CLV_UNSUPPORTED, "initializer 'w': external data needs a model file");
}

/* The model's own path may be a bare name in the current folder. */
static void the_current_folder_will_do(void **state) {
    (void)state;
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    clv_graph *graph = NULL;
    clv_status *status = load_with(external_tensor("w", "8", "w.bin", NULL, NULL), &graph);
    assert_null(status);
    clv_graph_destroy(graph);
    assert_int_equal(chdir(in_root("model")), 0);
    status = clv_onnx_load("m.onnx", NULL, &graph);
    assert_int_equal(chdir(before), 0);
    assert_null(status);
    clv_graph_destroy(graph);
}

static void files_that_are_no_model(void **state) {
    (void)state;
    clv_graph *graph = NULL;
    expect_failure(clv_onnx_load(in_root("none.onnx"), NULL, &graph), CLV_IO, "none.onnx");
    expect_failure(clv_onnx_load(in_root("model"), NULL, &graph), CLV_IO, "model");
    write_file("empty.onnx", numbers, 0);
    expect_failure(
        clv_onnx_load(in_root("empty.onnx"), NULL, &graph), CLV_MALFORMED, "the file is empty");
    expect_failure(
        clv_onnx_load(in_root("secret.bin"), NULL, &graph), CLV_MALFORMED,
        "secret.bin': not a valid ONNX file");
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    clv_graph *graph = NULL;
    assert_null(load_with(external_tensor("w", "8", "w.bin", NULL, NULL), &graph));
    clv_graph_destroy(graph);
    bool done = false;
    for (int64_t n = 0; !done; n++) {
        clv_memory_fail_at(n);
        clv_status *status = clv_onnx_load(in_root("model/m.onnx"), NULL, &graph);
        clv_memory_fail_at(-1);
        done = status == NULL;
        assert_true(done || clv_status_code(status) == CLV_NO_MEMORY);
        clv_status_destroy(status);
    }
    clv_graph_destroy(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_beside_the_model_is_mapped),
        cmocka_unit_test(one_file_is_mapped_once),
        cmocka_unit_test(nothing_outside_the_folder_is_reached),
        cmocka_unit_test(memory_has_no_folder),
        cmocka_unit_test(the_current_folder_will_do),
        cmocka_unit_test(files_that_are_no_model),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
