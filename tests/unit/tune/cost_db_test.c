/* The file of measured costs: whatever happens to it, an entry is read back as it was put, or not
 * at all. */
#include "host/tune/cost_db.h"

#include "host/base/memory.h"
#include "tests/support/check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HEAD = 16, RECORD = 48 };

static char folder[] = "/tmp/cleave_cost_db_test_XXXXXX";
static char path[128], lock_path[160];

static clv_hash key_of(uint64_t n) {
    return (clv_hash){.low = n * 0x9e3779b97f4a7c15u, .high = n};
}

static clv_measured_cost cost_of(uint64_t n) {
    return (clv_measured_cost){.time_us = 1.5 + (double)n, .spread_us = 0.25, .count = 5};
}

static clv_cost_db *open_at(const char *at) {
    clv_cost_db *db;
    assert_ok(clv_cost_db_open(at, &db));
    return db;
}

static void put(clv_cost_db *db, uint64_t n) {
    const clv_measured_cost cost = cost_of(n);
    assert_ok(clv_cost_db_put(db, key_of(n), &cost));
}

static bool has(const clv_cost_db *db, uint64_t n) {
    clv_measured_cost cost;
    if (!clv_cost_db_find(db, key_of(n), &cost)) {
        return false;
    }
    assert_true(cost.time_us == cost_of(n).time_us);
    assert_true(cost.spread_us == 0.25);
    assert_int_equal(cost.count, 5);
    return true;
}

/* Entries 0 .. count, each by a database of its own. */
static void write_entries(uint64_t count) {
    unlink(path);
    for (uint64_t n = 0; n < count; n++) {
        clv_cost_db *db = open_at(path);
        put(db, n);
        clv_cost_db_close(db);
    }
}

static size_t read_all(unsigned char *out, size_t capacity) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t bytes = fread(out, 1, capacity, file);
    fclose(file);
    return bytes;
}

static void write_all(const unsigned char *data, size_t bytes) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

static int set_up(void **state) {
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/costs.bin", folder);
    snprintf(lock_path, sizeof lock_path, "%s.lock", path);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    unlink(lock_path);
    return rmdir(folder);
}

static void entries_are_found_again(void **state) {
    (void)state;
    write_entries(600); /* the table grows on the way */
    clv_cost_db *db = open_at(path);
    assert_int_equal(clv_cost_db_num_entries(db), 600);
    for (uint64_t n = 0; n < 600; n++) {
        assert_true(has(db, n));
    }
    assert_false(has(db, 600));
    put(db, 600);
    assert_true(has(db, 600));
    const clv_measured_cost other = {.time_us = 9, .spread_us = 1, .count = 2};
    assert_ok(clv_cost_db_put(db, key_of(3), &other)); /* the last one counts */
    clv_cost_db_close(db);
    db = open_at(path);
    clv_measured_cost cost;
    assert_true(clv_cost_db_find(db, key_of(3), &cost));
    assert_true(cost.time_us == 9 && cost.spread_us == 1 && cost.count == 2);
    assert_int_equal(clv_cost_db_num_entries(db), 601);
    clv_cost_db_close(db);
}

static void memory_alone(void **state) {
    (void)state;
    clv_cost_db *db = open_at(NULL);
    assert_false(has(db, 1));
    put(db, 1);
    assert_true(has(db, 1));
    clv_cost_db_close(db);
    clv_cost_db_close(NULL);
}

/* One bit in every byte: entry `i / RECORD` is lost with its byte, the others are there; without
 * the head nothing is. The next entry makes the file good again. */
static void damaged_entries_are_lost_alone(void **state) {
    (void)state;
    unsigned char good[HEAD + 3 * RECORD], bad[sizeof good];
    write_entries(3);
    assert_int_equal(read_all(good, sizeof good), sizeof good);
    for (size_t i = 0; i < sizeof good; i++) {
        memcpy(bad, good, sizeof good);
        bad[i] ^= (unsigned char)(1u << (i % 8));
        write_all(bad, sizeof bad);
        clv_cost_db *db = open_at(path);
        for (uint64_t n = 0; n < 3; n++) {
            assert_int_equal(has(db, n), i >= HEAD && (i - HEAD) / RECORD != n);
        }
        put(db, 7);
        clv_cost_db_close(db);
        db = open_at(path);
        assert_true(has(db, 7));
        assert_int_equal(clv_cost_db_num_entries(db), i < HEAD ? 1 : 3);
        clv_cost_db_close(db);
    }
}

static void a_file_cut_short_keeps_what_is_whole(void **state) {
    (void)state;
    unsigned char good[HEAD + 3 * RECORD];
    write_entries(3);
    assert_int_equal(read_all(good, sizeof good), sizeof good);
    for (size_t length = 0; length < sizeof good; length++) {
        write_all(good, length);
        clv_cost_db *db = open_at(path);
        const size_t whole = length < HEAD ? 0 : (length - HEAD) / RECORD;
        assert_int_equal(clv_cost_db_num_entries(db), whole);
        put(db, 9);
        clv_cost_db_close(db);
        db = open_at(path); /* what was added does not hang behind half a record */
        assert_int_equal(clv_cost_db_num_entries(db), whole + 1);
        assert_true(has(db, 9));
        clv_cost_db_close(db);
    }
}

static void another_version_is_ignored(void **state) {
    (void)state;
    unsigned char bytes[HEAD + 2 * RECORD];
    write_entries(2);
    assert_int_equal(read_all(bytes, sizeof bytes), sizeof bytes);
    assert_memory_equal(bytes, "cleave costs 01", HEAD);
    bytes[HEAD - 2] = '2';
    write_all(bytes, sizeof bytes);
    clv_cost_db *db = open_at(path);
    assert_int_equal(clv_cost_db_num_entries(db), 0);
    clv_cost_db_close(db);
}

/* Values that no measurement gives are not taken, nor read where a right checksum stands behind
 * them. */
static void senseless_values_are_refused(void **state) {
    (void)state;
    static const clv_measured_cost senseless[] = {
        {.time_us = -1, .count = 1},
        {.time_us = (double)NAN, .count = 1},
        {.time_us = (double)INFINITY, .count = 1},
        {.time_us = 1, .spread_us = -1, .count = 1},
        {.time_us = 1, .spread_us = (double)NAN, .count = 1},
        {.time_us = 1, .count = 0},
    };
    unsigned char bytes[HEAD + RECORD];
    write_entries(1);
    assert_int_equal(read_all(bytes, sizeof bytes), sizeof bytes);
    for (size_t i = 0; i < sizeof senseless / sizeof senseless[0]; i++) {
        memcpy(bytes + HEAD + 16, &senseless[i].time_us, 8);
        memcpy(bytes + HEAD + 24, &senseless[i].spread_us, 8);
        memcpy(bytes + HEAD + 32, &senseless[i].count, 4);
        const uint64_t check = clv_hash_bytes(bytes + HEAD, RECORD - 8).low;
        memcpy(bytes + HEAD + RECORD - 8, &check, 8);
        write_all(bytes, sizeof bytes);
        clv_cost_db *db = open_at(path);
        assert_int_equal(clv_cost_db_num_entries(db), 0);
        assert_failed(INTERNAL, "a cost of", clv_cost_db_put(db, key_of(i), &senseless[i]));
        assert_int_equal(clv_cost_db_num_entries(db), 0);
        clv_cost_db_close(db);
    }
}

/* Folders that cannot be made, a folder in the file's place, a file that may not be written: no
 * error, and what was put is there as long as the database is. */
static void without_a_file_that_can_be_written(void **state) {
    (void)state;
    char blocked[200];
    write_entries(1);
    snprintf(blocked, sizeof blocked, "%s/below/costs.bin", path);
    const char *const places[] = {blocked, folder, "/proc/cleave/costs.bin"};
    for (size_t i = 0; i < 3; i++) {
        clv_cost_db *db = open_at(places[i]);
        assert_int_equal(clv_cost_db_num_entries(db), 0);
        put(db, 1);
        assert_true(has(db, 1));
        clv_cost_db_close(db);
        db = open_at(places[i]);
        assert_false(has(db, 1));
        clv_cost_db_close(db);
    }
    char beside[160]; /* the lock of `folder` as a file */
    snprintf(beside, sizeof beside, "%s.lock", folder);
    unlink(beside);
}

/* A device, a pipe, a pipe as the lock, or hardly anything but a hole where the file should be. */
static void what_is_no_file_of_costs(void **state) {
    (void)state;
    static const char *const targets[] = {"/dev/zero", "/dev/full", "/dev/null"};
    alarm(60);
    for (size_t i = 0; i < 6; i++) {
        unlink(path);
        unlink(lock_path);
        write_entries(i >= 4 ? 1 : 0);
        if (i == 4) {
            unlink(lock_path);
            assert_int_equal(mkfifo(lock_path, 0600), 0);
        } else if (i == 5) {
            assert_int_equal(truncate(path, (off_t)3 << 40), 0);
        } else {
            unlink(path);
            assert_int_equal(i == 3 ? mkfifo(path, 0600) : symlink(targets[i], path), 0);
        }
        clv_cost_db *db = open_at(path);
        assert_int_equal(clv_cost_db_num_entries(db), i == 4);
        put(db, 2);
        assert_true(has(db, 2));
        clv_cost_db_close(db);
        db = open_at(path);
        assert_int_equal(has(db, 2), i >= 4);
        clv_cost_db_close(db);
    }
    alarm(0);
    unlink(path);
    unlink(lock_path);
}

static void a_file_stays_within_its_size(void **state) {
    (void)state;
    enum { PUT = CLV_COST_DB_MOST + 10 };
    unsigned char *bytes = calloc(1, HEAD + (size_t)PUT * RECORD);
    assert_non_null(bytes);
    write_entries(1);
    assert_int_equal(read_all(bytes, HEAD + RECORD), HEAD + RECORD);
    for (size_t i = 1; i < PUT; i++) { /* the same entry, as many processes would add it */
        memcpy(bytes + HEAD + i * RECORD, bytes + HEAD, RECORD);
    }
    write_all(bytes, HEAD + (size_t)PUT * RECORD);
    clv_cost_db *db = open_at(path);
    assert_int_equal(clv_cost_db_num_entries(db), 1);
    put(db, 1);
    clv_cost_db_close(db);
    assert_int_equal(read_all(bytes, HEAD + (size_t)PUT * RECORD), HEAD + 2 * RECORD);
    free(bytes);
}

/* Of more distinct entries than fit the later half stays. */
static void the_oldest_entries_go(void **state) {
    (void)state;
    unlink(path);
    clv_cost_db *db = open_at(path);
    for (uint64_t n = 0; n < CLV_COST_DB_MOST + 1; n++) {
        put(db, n);
    }
    clv_cost_db_close(db);
    db = open_at(path);
    assert_in_range(clv_cost_db_num_entries(db), CLV_COST_DB_MOST / 2, CLV_COST_DB_MOST);
    assert_false(has(db, 0));
    assert_true(has(db, CLV_COST_DB_MOST));
    assert_true(has(db, CLV_COST_DB_MOST / 2 + 2));
    clv_cost_db_close(db);
}

/* One process of several that add to the same file. */
static int hammer(uint64_t number, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        clv_cost_db *db;
        const clv_measured_cost cost = cost_of(number * count + i);
        if (clv_cost_db_open(path, &db) != NULL ||
            clv_cost_db_put(db, key_of(number * count + i), &cost) != NULL) {
            return 2;
        }
        clv_cost_db_close(db);
    }
    return 0;
}

static void processes_lose_nothing_of_each_other(void **state) {
    (void)state;
    enum { NUM = 4, EACH = 100 };
    static const unsigned char junk[HEAD + 5] = "not costs at all"; /* each wants to mend it */
    write_all(junk, sizeof junk);
    pid_t children[NUM];
    for (uint64_t i = 0; i < NUM; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            _exit(hammer(i, EACH));
        }
    }
    for (int i = 0; i < NUM; i++) {
        int result = -1;
        assert_int_equal(waitpid(children[i], &result, 0), children[i]);
        assert_true(WIFEXITED(result));
        assert_int_equal(WEXITSTATUS(result), 0);
    }
    clv_cost_db *db = open_at(path);
    for (uint64_t n = 0; n < NUM * EACH; n++) {
        assert_true(has(db, n));
    }
    clv_cost_db_close(db);
}

static void allocations_that_fail(void **state) {
    (void)state;
    write_entries(2);
    for (int64_t n = 0; n < 40; n++) {
        clv_cost_db *db = NULL;
        clv_memory_fail_at(n);
        clv_status *status = clv_cost_db_open(path, &db);
        if (status == NULL) {
            const clv_measured_cost cost = cost_of(5);
            status = clv_cost_db_put(db, key_of(5), &cost);
        }
        clv_memory_fail_at(-1);
        assert_true(status == NULL || clv_status_code(status) == CLV_NO_MEMORY);
        clv_status_destroy(status);
        clv_cost_db_close(db);
        db = open_at(path);
        assert_true(has(db, 0) && has(db, 1));
        clv_cost_db_close(db);
    }
}

static void the_users_file(void **state) {
    (void)state;
    setenv("CLEAVE_CACHE_DIR", folder, 1);
    char *name = clv_cost_db_path_copy();
    assert_string_equal(name, path);
    clv_free(name);
    setenv("CLEAVE_NO_CACHE", "1", 1);
    assert_null(clv_cost_db_path_copy());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_found_again),
        cmocka_unit_test(memory_alone),
        cmocka_unit_test(damaged_entries_are_lost_alone),
        cmocka_unit_test(a_file_cut_short_keeps_what_is_whole),
        cmocka_unit_test(another_version_is_ignored),
        cmocka_unit_test(senseless_values_are_refused),
        cmocka_unit_test(without_a_file_that_can_be_written),
        cmocka_unit_test(what_is_no_file_of_costs),
        cmocka_unit_test(a_file_stays_within_its_size),
        cmocka_unit_test(the_oldest_entries_go),
        cmocka_unit_test(processes_lose_nothing_of_each_other),
        cmocka_unit_test(allocations_that_fail),
        cmocka_unit_test(the_users_file),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
