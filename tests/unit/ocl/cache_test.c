/* Kept binaries: whatever happens to a file, it is either read back whole or taken as not there. */
#include "host/ocl/cache.h"

#include "host/base/memory.h"
#include "tests/support/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static const clv_hash key = {.low = 0x1234, .high = 0xabcd};
static const unsigned char binary[] = "the compiled kernels";
static const char kernels[] = "scale 1\nadd 64\n";

static void store(void) {
    clv_ocl_cache_store(key, kernels, sizeof kernels - 1, binary, sizeof binary);
}

static char *file_path(void) {
    static char path[160];
    char digits[33];
    clv_hash_format(key, digits);
    snprintf(path, sizeof path, "%s/kernels/%s.bin", folder, digits);
    return path;
}

static void check_found(void) {
    clv_ocl_cached cached;
    assert_true(clv_ocl_cache_find(key, &cached));
    assert_int_equal(cached.binary_bytes, sizeof binary);
    assert_memory_equal(cached.binary, binary, sizeof binary);
    assert_int_equal(cached.kernels_bytes, sizeof kernels - 1);
    assert_memory_equal(cached.kernels, kernels, sizeof kernels - 1);
    clv_file_unmap(&cached.file);
}

static void check_missing(void) {
    clv_ocl_cached cached;
    assert_false(clv_ocl_cache_find(key, &cached));
    assert_null(cached.file.data);
}

static size_t read_all(unsigned char *out, size_t capacity) {
    FILE *file = fopen(file_path(), "rb");
    assert_non_null(file);
    size_t bytes = fread(out, 1, capacity, file);
    fclose(file);
    return bytes;
}

static void write_all(const unsigned char *data, size_t bytes) {
    FILE *file = fopen(file_path(), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

static void test_round_trip(void **state) {
    (void)state;
    check_missing();
    store();
    check_found();
    store();
    check_found();
    clv_ocl_cached cached;
    const clv_hash other = {.low = 1, .high = 2};
    assert_false(clv_ocl_cache_find(other, &cached));
}

static void test_damage(void **state) {
    (void)state;
    unsigned char good[512], bad[512];
    store();
    size_t bytes = read_all(good, sizeof good);
    assert_true(bytes > sizeof binary && bytes < sizeof good);
    for (size_t i = 0; i < bytes; i++) { /* every byte, one bit of it */
        memcpy(bad, good, bytes);
        bad[i] ^= (unsigned char)(1u << (i % 8));
        write_all(bad, bytes);
        check_missing();
    }
    for (size_t length = 0; length < bytes; length++) {
        write_all(good, length);
        check_missing();
    }
    memcpy(bad, good, bytes);
    bad[bytes] = 0;
    write_all(bad, bytes + 1);
    check_missing();
    store(); /* is written anew */
    check_found();
}

/* A file of another program under this one's name. */
static void test_foreign(void **state) {
    (void)state;
    const clv_hash other = {.low = 77, .high = 78};
    char from[160], digits[33], command[400];
    clv_ocl_cache_store(other, kernels, sizeof kernels - 1, binary, sizeof binary);
    clv_hash_format(other, digits);
    snprintf(from, sizeof from, "%s/kernels/%s.bin", folder, digits);
    snprintf(command, sizeof command, "cp '%s' '%s'", from, file_path());
    assert_int_equal(system(command), 0);
    check_missing();
    store();
    check_found();
}

/* Folders that cannot be made or written, a cache that is switched off: no error, nothing kept. */
static void test_without(void **state) {
    (void)state;
    char blocked[256];
    snprintf(blocked, sizeof blocked, "%s/kernels", file_path()); /* below a file */
    store();
    setenv("CLEAVE_CACHE_DIR", blocked, 1);
    store();
    check_missing();
    setenv("CLEAVE_CACHE_DIR", folder, 1);
    check_found();
    setenv("CLEAVE_NO_CACHE", "1", 1);
    check_missing();
    unlink(file_path());
    store();
    unsetenv("CLEAVE_NO_CACHE");
    check_missing();
    assert_int_equal(mkdir(file_path(), 0700), 0); /* a folder in the file's place */
    check_missing();
    store();
    check_missing();
    assert_int_equal(rmdir(file_path()), 0);
}

static void test_allocation_failures(void **state) {
    (void)state;
    for (int64_t n = 0; n < 12; n++) {
        unlink(file_path());
        clv_memory_fail_at(n);
        store();
        clv_memory_fail_at(-1);
        clv_ocl_cached cached;
        clv_memory_fail_at(n);
        bool found = clv_ocl_cache_find(key, &cached);
        clv_memory_fail_at(-1);
        if (found) {
            assert_memory_equal(cached.binary, binary, sizeof binary);
            clv_file_unmap(&cached.file);
        }
    }
    store();
    check_found();
}

/* One process of several that write and read the same file: what is found is whole and of one
 * writer. */
static int hammer(int number) {
    enum { BYTES = 20000 };
    unsigned char *mine = malloc(BYTES);
    if (mine == NULL) {
        return 2;
    }
    memset(mine, number, BYTES);
    for (int i = 0; i < 100; i++) {
        clv_ocl_cached cached;
        clv_ocl_cache_store(key, "k 1\n", 4, mine, BYTES);
        if (!clv_ocl_cache_find(key, &cached)) {
            return 3;
        }
        for (size_t j = 0; j < cached.binary_bytes; j++) {
            if (cached.binary[j] != cached.binary[0]) {
                return 4;
            }
        }
        bool whole = cached.binary_bytes == BYTES;
        clv_file_unmap(&cached.file);
        if (!whole) {
            return 5;
        }
    }
    free(mine);
    return 0;
}

static void test_processes(void **state) {
    (void)state;
    enum { NUM = 4 };
    pid_t children[NUM];
    for (int i = 0; i < NUM; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            _exit(hammer(i + 1));
        }
    }
    for (int i = 0; i < NUM; i++) {
        int result = -1;
        assert_int_equal(waitpid(children[i], &result, 0), children[i]);
        assert_true(WIFEXITED(result));
        assert_int_equal(WEXITSTATUS(result), 0);
    }
    char command[128]; /* nothing half-written stays behind */
    snprintf(command, sizeof command, "test -z \"$(ls '%s/kernels' | grep tmp)\"", folder);
    assert_int_equal(system(command), 0);
}

static int create(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/cleave-cache-test-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    unsetenv("CLEAVE_NO_CACHE");
    return setenv("CLEAVE_CACHE_DIR", folder, 1);
}

static int destroy(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_without),
        cmocka_unit_test(test_allocation_failures),
        cmocka_unit_test(test_processes),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
