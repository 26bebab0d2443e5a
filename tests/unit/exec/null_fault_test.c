/* Requests in flight over several units on the null driver, of which one fails or all are
 * cancelled: those that end well are right, and a request has ended only when nothing of it is at
 * any memory any more, that of the caller nor what the next requests use. */
#include "host/base/random.h"
#include "tests/support/hash_rig.h"
#include "tests/support/sample.h"
#include <pthread.h>

typedef struct scene {
    clv_hash_fixture f;
    clv_hash_units units;
    clv_hash_burst bursts[3];
} scene;

static void open_scene(
    scene *s, uint64_t seed, const char *kinds, uint32_t num_nodes, const clv_hash_manner *manner) {
    const clv_hash_graph_options options = {
        .seed = seed, .num_nodes = num_nodes, .max_bytes = 100, .max_items = 8};
    clv_hash_fixture_init(&s->f, &options);
    clv_hash_units_open(&s->units, kinds, manner);
    for (int i = 0; i < 3; i++) {
        clv_hash_burst_init(&s->f, &s->bursts[i]);
    }
}

/* An operator may refuse the inputs. */
static bool is_refused(scene *s, uint64_t seed) {
    clv_session *session = NULL;
    assert_ok(
        clv_hash_session(&s->f, &s->units, &(clv_hash_session_options){.seed = seed}, &session));
    clv_status *status = clv_hash_run(&s->f, session);
    clv_session_destroy(session);
    clv_status_destroy(status);
    return status != NULL;
}

static void close_scene(scene *s) {
    clv_hash_units_close(&s->units);
    for (int i = 0; i < 3; i++) {
        clv_hash_burst_deinit(&s->bursts[i]);
    }
    clv_hash_fixture_deinit(&s->f);
}

/* --- one failure ------------------------------------------------------------------------------ */

/* A call fails in the first burst, a command in the second, which fails those behind it too, and
 * nothing in the third. */
static void test_plan_faults(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 2 * CLV_HASH_NUM_KINDS; seed++) {
        if (!clv_test_is_tried(seed)) {
            continue;
        }
        scene s;
        open_scene(
            &s, seed + 300, clv_hash_kinds[seed % CLV_HASH_NUM_KINDS], 20,
            &(clv_hash_manner){.shuffle_seed = seed, .ends_early = seed % 2 == 0});
        clv_device *device = s.units.rigs[seed % s.units.num_units].devices[0];
        for (int schedule = 0; schedule < CLV_HASH_NUM_SCHEDULES; schedule++) {
            const clv_hash_session_options options = {.seed = seed, .schedule = schedule};
            clv_session *session = NULL;
            assert_ok(clv_hash_session(&s.f, &s.units, &options, &session));
            clv_null_fail_call_at(device, NULL, (int64_t)seed * 3);
            clv_hash_burst_run(session, &s.bursts[0]);
            assert_true(s.bursts[0].num_failed <= 1);
            clv_null_fail_call_at(device, NULL, -1);
            clv_null_fail_command_at(device, (int64_t)seed * 2);
            clv_hash_burst_run(session, &s.bursts[1]);
            clv_null_fail_command_at(device, -1);
            clv_hash_burst_run(session, &s.bursts[2]);
            assert_int_equal(s.bursts[2].num_failed, 0);
            clv_session_destroy(session);
            for (int i = 0; i < 3; i++) {
                clv_hash_burst_check(&s.bursts[i], seed);
            }
        }
        close_scene(&s);
    }
}

/* --- copies that take long -------------------------------------------------------------------- */

static const char *const calls[] = {
    "enqueue_read", "enqueue_write", "enqueue_kernel", "event_wait", "event_poll",
    "queue_flush",  "queue_finish",  "gate_create",    "gate_open",  NULL /* a command */};
enum {
    NUM_CALLS = sizeof calls / sizeof calls[0],
    NUM_FEW = 6, /* after which a queue takes commands, finished or not */
};

static void set_fault(clv_device *device, const char *call, int64_t n) {
    if (device == NULL) {
        return;
    }
    if (call != NULL) {
        clv_null_fail_call_at(device, call, n);
    } else {
        clv_null_fail_command_at(device, n);
    }
}

/* A device that calls what waits for a failure done runs commands at the same bytes at once, which
 * is what ThreadSanitizer looks for. */
#if defined(__SANITIZE_THREAD__)
enum { MAY_RACE = 0 };
#elif defined(__has_feature)
enum { MAY_RACE = !__has_feature(thread_sanitizer) };
#else
enum { MAY_RACE = 1 };
#endif

/* Which fault of which run. */
typedef struct fault_case {
    uint64_t seed;    /* of the graph and the plan */
    const char *call; /* of a device, the n-th; NULL: a command */
    uint32_t num_nodes;
    bool refuses_finish; /* queues are not finished after it */
    bool calls_it_done;  /* what waits for it is done at once */
    int num_tries;       /* 0: one */
} fault_case;

static const fault_case cases[] = {
    {7, "event_wait", 20},  /* other units went on although nobody had waited */
    {14, "event_wait", 20}, /* likewise */
    {11, NULL, 20},         /* it ended while a command before one that failed early still ran */
    {62, NULL, 20},         /* likewise */
    {255, NULL, 20},        /* and other units went on */
    {1229, "enqueue_read", 20}, /* what was never enqueued had been all that waited for another
                                   unit: the next request did not, and came out wrong */
    {1228, "enqueue_read", 60}, /* likewise */
    /* an earlier request ended well, and later commands had overwritten what it was reading */
    {11, NULL, 20, .calls_it_done = true, .num_tries = 40},
    {1015, NULL, 20, .calls_it_done = true, .num_tries = 40}, /* likewise */
};

/* While copies take so long that who does not wait for them is seen at the same bytes. */
static void fail_slowly(const fault_case *c) {
    static const char *const kinds[] = {"qq", "cq", "qqq", "qcq", "ss", "qs", "qqqq", "q"};
    scene s;
    clv_random random;
    clv_session *session = NULL;
    if (c->calls_it_done && !MAY_RACE) {
        return;
    }
    clv_random_init(&random, c->seed);
    const char *units = kinds[clv_random_below(&random, 8)];
    clv_random_below(&random, 10);
    int64_t n[3] = {(int64_t)clv_random_below(&random, 60), -1};
    n[2] = (int64_t)clv_random_below(&random, 60);
    const uint32_t num_nodes = 4 + (uint32_t)clv_random_below(&random, c->num_nodes);
    const clv_hash_session_options options = {
        .seed = c->seed, .depth = 1 + (uint32_t)clv_random_below(&random, 4)};
    const uint32_t unit = (uint32_t)clv_random_below(&random, strlen(units));
    const clv_hash_manner manner = {
        .copy_us = 200,
        .ends_early = clv_random_below(&random, 2) != 0 || c->calls_it_done,
        .calls_it_done = c->calls_it_done,
        .refuses_finish = c->refuses_finish};
    open_scene(&s, c->seed + 300, units, num_nodes, &manner);
    clv_device *device = s.units.rigs[unit].devices[0];
    assert_ok(clv_hash_session(&s.f, &s.units, &options, &session));
    const bool runs = !is_refused(&s, c->seed);
    for (int i = 0; i < 3 && runs; i++) {
        set_fault(device, c->call, n[i]);
        clv_hash_burst_run(session, &s.bursts[i]);
    }
    clv_session_destroy(session);
    set_fault(device, c->call, -1);
    for (int i = 0; i < 3 && runs; i++) {
        clv_hash_burst_check(&s.bursts[i], c->seed);
    }
    if (clv_null_num_clashes() != 0 || s.bursts[1].num_failed != 0) {
        fail_msg(
            "seed %d, %s on %s: %d copies clashed, %d requests failed for no reason", (int)c->seed,
            c->call != NULL ? c->call : "a command", units, (int)clv_null_num_clashes(),
            (int)s.bursts[1].num_failed);
    }
    close_scene(&s);
}

/* Cases that once went wrong, and some others. */
static void test_slow_copies(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int k = 0; k == 0 || k < cases[i].num_tries; k++) {
            fail_slowly(&cases[i]);
        }
    }
    const uint64_t first = clv_test_number("CLEAVE_TEST_SEED", 0) * 1000;
    const uint64_t count = clv_test_number("CLEAVE_TEST_CASES", NUM_CALLS);
    for (uint64_t i = 0; i < count; i++) {
        if (clv_test_is_tried(i)) {
            const uint64_t seed = first + i;
            fail_slowly(&(fault_case){seed, calls[i % NUM_CALLS], 20});
            fail_slowly(&(fault_case){seed, calls[i % NUM_FEW], 20, .refuses_finish = true});
            fail_slowly(&(fault_case){seed, NULL, 20, .calls_it_done = true});
        }
    }
}

/* --- other ends ------------------------------------------------------------------------------- */

/* How requests in flight end. */
enum { ARE_CANCELLED, ARE_LATE, FAIL, ARE_AWAITED, NUM_ENDS };

typedef struct canceller {
    atomic_bool cancel;
    clv_hash_burst *burst; /* after some of which */
    uint32_t count;
} canceller;

static void *cancel_soon(void *argument) {
    canceller *c = argument;
    clv_signal_wait(&c->burst->ended, c->count, 0);
    atomic_store(&c->cancel, true);
    return NULL;
}

static void count_stuck(void *context, const char *message) {
    (void)message;
    atomic_fetch_add((_Atomic int *)context, 1);
}

static void submit_and_end(scene *s, clv_session *session, canceller *c, clv_device *failing) {
    pthread_t thread;
    set_fault(failing, "enqueue_read", (int64_t)c->count);
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, c), 0);
    clv_hash_burst_run(session, &s->bursts[0]);
    pthread_join(thread, NULL);
    set_fault(failing, "enqueue_read", -1);
    atomic_store(&c->cancel, false);
}

static void end_somehow(uint64_t seed, int how) {
    static const char *const kinds[] = {"qq", "cq", "qqq", "qcq", "ss", "qs", "gq", "q"};
    scene s;
    clv_session *session = NULL;
    _Atomic int num_stuck = 0;
    const clv_hash_manner manner = {
        .copy_us = 200, .ends_early = seed % 2 == 0, .refuses_finish = seed / 2 % 2 == 0};
    open_scene(&s, seed + 300, kinds[seed / 4 % 8], 10, &manner);
    if (is_refused(&s, seed)) {
        close_scene(&s);
        return;
    }
    canceller c = {.burst = &s.bursts[0], .count = (uint32_t)(seed % 5)};
    clv_hash_session_options options = {
        .seed = seed, .schedule = (int)(seed % CLV_HASH_NUM_SCHEDULES)};
    options.cancel = how == ARE_CANCELLED ? &c.cancel : NULL;
    if (how == ARE_LATE) {
        options.watch =
            (clv_watch_options){.timeout_us = 150, .on_stuck = count_stuck, .context = &num_stuck};
    }
    assert_ok(clv_hash_session(&s.f, &s.units, &options, &session));
    clv_device *last = s.units.rigs[s.units.num_units - 1].devices[0];
    if (how != ARE_AWAITED) {
        submit_and_end(&s, session, &c, how == FAIL ? last : NULL);
        clv_hash_burst_run(session, &s.bursts[1]);
        assert_true(how == ARE_LATE || s.bursts[1].num_failed == 0);
    }
    clv_hash_burst_submit(session, &s.bursts[2]);
    clv_session_destroy(session); /* once they have ended */
    assert_int_equal(atomic_load(&s.bursts[2].ended.value), CLV_HASH_NUM_REQUESTS);
    assert_true(how == ARE_LATE || s.bursts[2].num_failed == 0);
    for (int i = how == ARE_AWAITED ? 2 : 0; i < 3; i++) {
        clv_hash_burst_check(&s.bursts[i], seed);
    }
    close_scene(&s);
}

/* By any schedule. */
static void test_other_ends(void **state) {
    (void)state;
    const uint64_t first = clv_test_number("CLEAVE_TEST_SEED", 0) * 1000;
    const uint64_t count = clv_test_number("CLEAVE_TEST_CASES", 6 * NUM_ENDS);
    for (uint64_t i = 0; i < count; i++) {
        if (clv_test_is_tried(i)) {
            end_somehow(first + i / NUM_ENDS, (int)(i % NUM_ENDS));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_faults),
        cmocka_unit_test(test_slow_copies),
        cmocka_unit_test(test_other_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
