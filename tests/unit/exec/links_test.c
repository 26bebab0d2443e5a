/* Links that are declared slow: who has booked one and is cancelled, or fails, gives back what is
 * left of it. Before, runs after a cancelled one waited for its transfers. */
#include "host/exec/executor_internal.h"
#include "tests/support/check.h"

static const uint64_t hour_ns = UINT64_C(3600000000000);

typedef struct rig {
    clv_exec_unit unit;
    clv_prepared prepared;
    clv_pace pace;
    atomic_bool cancel;
    clv_executor executor;
    clv_step in, out;
} rig;

static void open_rig(rig *r) {
    *r = (rig){.in = {.has_link = true, .bytes = 1000}, .out = {.has_link = true, .leaves = true}};
    r->unit.name.limits = (clv_unit_limits){
        .speed = 1, .link_per_second = 1e3, .latency_us = 3599e6}; /* an hour each */
    r->prepared.units = &r->unit;
    pthread_mutex_init(&r->pace.link_lock, NULL);
    r->executor.prepared = &r->prepared;
    r->executor.paces = &r->pace;
    r->executor.options.cancel = &r->cancel;
}

static void test_cancelled(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    const clv_link_time first = clv_executor_book_link(&r.executor, &r.in);
    const clv_link_time second = clv_executor_book_link(&r.executor, &r.in);
    const clv_link_time back = clv_executor_book_link(&r.executor, &r.out);
    assert_true(first.end_ns - first.begin_ns == hour_ns);
    assert_true(second.begin_ns == first.end_ns); /* one after the other */
    assert_true(back.begin_ns < first.end_ns);    /* the other way is free */
    atomic_store(&r.cancel, true);
    clv_executor_await_link(&r.executor, &r.in, first);
    clv_executor_await_link(&r.executor, &r.in, second);
    atomic_store(&r.cancel, false);
    const clv_link_time after = clv_executor_book_link(&r.executor, &r.in);
    assert_true(after.begin_ns < first.end_ns);
    const clv_link_time still = clv_executor_book_link(&r.executor, &r.out);
    assert_true(still.begin_ns == back.end_ns); /* whose step goes on */
    pthread_mutex_destroy(&r.pace.link_lock);
}

static void test_left(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    const clv_link_time first = clv_executor_book_link(&r.executor, &r.in);
    const clv_link_time second = clv_executor_book_link(&r.executor, &r.in);
    clv_executor_leave_link(&r.executor, &r.in, second); /* had not begun: gives back all of it */
    const clv_link_time third = clv_executor_book_link(&r.executor, &r.in);
    assert_true(third.begin_ns == first.end_ns && third.end_ns == second.end_ns);
    const clv_link_time past = {1, 2};
    clv_executor_await_link(&r.executor, &r.in, past); /* is through: nothing is left */
    const clv_link_time fourth = clv_executor_book_link(&r.executor, &r.in);
    assert_true(fourth.begin_ns == third.end_ns);
    pthread_mutex_destroy(&r.pace.link_lock);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
