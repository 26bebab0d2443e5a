/* env, hash, log, random: the small ones. */
#include "host/base/env.h"
#include "host/base/hash.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/base/random.h"
#include "tests/support/check.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void variables_have_names_and_defaults(void **state) {
    (void)state;
    for (int id = 0; id < CLV_NUM_ENVS; id++) {
        const clv_env_info *info = clv_env_find((clv_env_id)id);
        assert_int_equal(strncmp(info->name, "CLEAVE_", 7), 0);
        assert_true(strlen(info->meaning) > 5);
        unsetenv(info->name);
        assert_string_equal(clv_env_get((clv_env_id)id), info->fallback);
        setenv(info->name, "", 1); /* empty is unset */
        assert_string_equal(clv_env_get((clv_env_id)id), info->fallback);
        setenv(info->name, "value", 1);
        assert_string_equal(clv_env_get((clv_env_id)id), "value");
        unsetenv(info->name);
    }
    assert_null(clv_env_find(CLV_NUM_ENVS));
    assert_string_equal(clv_env_find(CLV_ENV_DEVICES)->name, "CLEAVE_DEVICES");
    setenv("SOME_VARIABLE", "x", 1);
    assert_string_equal(clv_env_system("SOME_VARIABLE"), "x");
    assert_null(clv_env_system("NO_SUCH_VARIABLE"));
}

static void hashes_tell_content_apart(void **state) {
    (void)state;
    char text[33];
    clv_hash_format(clv_hash_bytes(NULL, 0), text);
    /* XXH3 of nothing with seed 0, as its specification's vectors give it */
    assert_string_equal(text, "99aa06d3014798d86001c324468d497f");
    clv_hash a = clv_hash_string("a"), b = clv_hash_string("b");
    assert_true(a.low != b.low && a.high != b.high);
    clv_hash ab = clv_hash_combine(a, b), ba = clv_hash_combine(b, a);
    assert_true(ab.low != ba.low);
    clv_hash again = clv_hash_bytes("a", 1);
    assert_true(again.low == a.low && again.high == a.high);
}

typedef struct heard {
    int count;
    clv_log_level level;
    size_t length;
    char head[32];
} heard;

static void hear(void *context, clv_log_level level, const char *message) {
    heard *all = context;
    all->count++; /* not atomic: calls come one at a time */
    all->level = level;
    all->length = strlen(message);
    snprintf(all->head, sizeof all->head, "%s", message);
}

static void the_log_goes_to_the_sink(void **state) {
    (void)state;
    heard all = {0};
    clv_log(CLV_LOG_ERROR, "nobody hears this");
    clv_log_set_sink(hear, &all, CLV_LOG_WARNING);
    clv_log(CLV_LOG_INFO, "dropped %d", 1);
    assert_int_equal(all.count, 0);
    clv_log(CLV_LOG_WARNING, "kept %d", 2);
    assert_int_equal(all.count, 1);
    assert_int_equal(all.level, CLV_LOG_WARNING);
    assert_string_equal(all.head, "kept 2");

    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    clv_log(CLV_LOG_ERROR, "%s", text);
    assert_int_equal(all.length, sizeof text - 1);
    clv_memory_fail_at(0);
    clv_log(CLV_LOG_ERROR, "%s", text); /* without memory: its beginning */
    clv_memory_fail_at(-1);
    assert_in_range(all.length, 100, sizeof text - 2);

    clv_log_set_sink(NULL, NULL, CLV_LOG_DEBUG);
    clv_log(CLV_LOG_ERROR, "silence");
    assert_int_equal(all.count, 3);
}

static void *log_many(void *argument) {
    for (int i = 0; i < 500; i++) {
        clv_log(CLV_LOG_ERROR, "%d", i);
        clv_progress("work", i, 500);
    }
    return argument;
}

static void count_progress(void *context, const char *what, double done, double total) {
    int *count = context;
    *count += what[0] == 'w' && done >= 0 && total == 500;
}

static void many_threads_may_log(void **state) {
    (void)state;
    heard all = {0};
    int progress = 0;
    clv_progress("work", 1, 500); /* no sink yet */
    clv_log_set_sink(hear, &all, CLV_LOG_ERROR);
    clv_progress_set_sink(count_progress, &progress);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    clv_log_set_sink(NULL, NULL, CLV_LOG_ERROR);
    clv_progress_set_sink(NULL, NULL);
    assert_int_equal(all.count, 2000);
    assert_int_equal(progress, 2000);
}

static void random_numbers_are_the_same_everywhere(void **state) {
    (void)state;
    clv_random random;
    clv_random_init(&random, 0);
    /* splitmix64 from 0 as the published vectors have it */
    assert_true(random.state[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(random.state[1] == UINT64_C(0x6e789e6aa1b965f4));
    /* xoshiro256** from 1, 2, 3, 4, likewise */
    random.state[0] = 1, random.state[1] = 2, random.state[2] = 3, random.state[3] = 4;
    static const uint64_t expected[] = {11520, 0, 1509978240, UINT64_C(1215971899390074240)};
    for (int i = 0; i < 4; i++) {
        assert_true(clv_random_next(&random) == expected[i]);
    }
}

static void random_numbers_are_spread(void **state) {
    (void)state;
    clv_random random;
    clv_random_init(&random, 7);
    int counts[6] = {0};
    double sum = 0, squares = 0, units = 0;
    enum { DRAWS = 60000 };
    for (int i = 0; i < DRAWS; i++) {
        counts[clv_random_below(&random, 6)]++;
        double unit = clv_random_unit(&random);
        assert_true(unit >= 0 && unit < 1);
        units += unit;
        double normal = clv_random_normal(&random);
        sum += normal;
        squares += normal * normal;
    }
    for (int i = 0; i < 6; i++) { /* 5 standard deviations */
        assert_in_range(counts[i], 10000 - 460, 10000 + 460);
    }
    assert_true(fabs(units / DRAWS - .5) < .006);
    assert_true(fabs(sum / DRAWS) < .021);
    assert_true(fabs(squares / DRAWS - 1) < .03);
    assert_int_equal(clv_random_below(&random, 1), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_have_names_and_defaults),
        cmocka_unit_test(hashes_tell_content_apart),
        cmocka_unit_test(the_log_goes_to_the_sink),
        cmocka_unit_test(many_threads_may_log),
        cmocka_unit_test(random_numbers_are_the_same_everywhere),
        cmocka_unit_test(random_numbers_are_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
