/* Kinds of processors, by trees of files as the system shows them. */
#include "host/base/core_kind.h"

#include "tests/support/check.h"
#include <stdio.h>
#include <stdlib.h>

static char root[] = "/tmp/cleave_core_kind_test_XXXXXX";

static void make(int processor, const char *capacity, const char *frequency, const char *cache) {
    char command[1000];
    snprintf(
        command, sizeof command,
        "d=%s/sys/devices/system/cpu/cpu%d; mkdir -p $d/topology $d/cpufreq $d/cache/index2; "
        "[ -z '%s' ] || echo '%s' > $d/cpu_capacity; "
        "[ -z '%s' ] || echo '%s' > $d/cpufreq/cpuinfo_max_freq; echo '%s' > $d/cache/index2/size",
        root, processor, capacity, capacity, frequency, frequency, cache);
    assert_int_equal(system(command), 0);
}

static void clear(void) {
    char command[200];
    snprintf(command, sizeof command, "rm -rf %s/*", root);
    assert_int_equal(system(command), 0);
}

static void kinds_are_told_apart(void **state) {
    (void)state;
    static const char *const capacities[] = {"1024", "", "", "1024"};
    static const char *const few[] = {"512", "", "", "1024"};
    static const char *const frequencies[] = {"", "5000000", "5000000", "5000000"};
    static const char *const lower[] = {"", "3800000", "5000000", "4900000"};
    static const char *const caches[] = {"2048K", "2048K", "4096K", "2048K"};
    uint64_t kinds[CLV_KNOWN_CORES];
    clv_core_kinds_read(root, kinds);
    assert_int_equal(kinds[0], 0); /* nothing is known */
    for (int i = 0; i < 4; i++) {
        make(0, capacities[i], frequencies[i], "2048K");
        make(1, capacities[i], frequencies[i], "2048K");
        clv_core_kinds_read(root, kinds);
        assert_int_equal(kinds[0], 0);
        make(2, few[i], lower[i], caches[i]);
        clv_core_kinds_read(root, kinds);
        assert_true(kinds[0] == kinds[1]);
        assert_int_equal(kinds[0] != kinds[2], i < 3); /* 2 % make no other kind */
        assert_int_equal(kinds[0] != 0, i < 3);
        assert_int_equal(kinds[3], 0);
        clear();
    }
}

static int make_root(void **state) {
    (void)state;
    return mkdtemp(root) == NULL;
}

static int remove_root(void **state) {
    (void)state;
    clear();
    return remove(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(kinds_are_told_apart)};
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
