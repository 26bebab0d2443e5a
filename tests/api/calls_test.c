/* Functions called at the ends of requests: what they may do, and by whom they are called.
 * Argument: the folder tests/data. */
#include "cleave/cleave.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *data_folder;

static void assert_ok(cleave_status *status) {
    if (status != NULL) {
        print_error("%s\n%s", cleave_status_message(status), cleave_status_trail(status));
        fail();
    }
}

static cleave_session *open_session(const char *devices) {
    char path[1024];
    cleave_model *model = NULL;
    cleave_session *session = NULL;
    snprintf(path, sizeof path, "%s/two.onnx", data_folder);
    assert_ok(cleave_model_load(path, &model));
    const cleave_options options = {.devices = devices, .depth = 1};
    assert_ok(cleave_session_create(model, &options, &session));
    cleave_model_destroy(model);
    assert_int_equal(cleave_session_depth(session), 1);
    return session;
}

/* --- requests of one sort, and what happened to them --- */

typedef struct events {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    cleave_session *session;
    float a[6], b[6], sum[6];
    cleave_binding inputs[2], output;
    int num_called, num_submitted; /* guarded by the lock */
    bool is_nested;                /* a function was called within a call of ours */
} events;

static cleave_tensor tensor_of(float *values) {
    return (cleave_tensor){.dtype = CLEAVE_FLOAT32, .rank = 2, .dims = {2, 3}, .data = values};
}

static void open_events(events *e, const char *devices) {
    memset(e, 0, sizeof *e);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->changed, NULL);
    e->session = open_session(devices);
    e->inputs[0] = (cleave_binding){"a", tensor_of(e->a)};
    e->inputs[1] = (cleave_binding){"b", tensor_of(e->b)};
    e->output = (cleave_binding){"sum", tensor_of(e->sum)};
}

static void close_events(events *e) {
    cleave_session_destroy(e->session);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->changed);
}

/* Adds to a count, or waits until it is as large as this. */
static void count(events *e, int *counter) {
    pthread_mutex_lock(&e->lock);
    ++*counter;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
}

static void wait_for(events *e, const int *counter, int least) {
    pthread_mutex_lock(&e->lock);
    while (*counter < least) {
        pthread_cond_wait(&e->changed, &e->lock);
    }
    pthread_mutex_unlock(&e->lock);
}

static void call(events *e, cleave_done done) {
    assert_ok(cleave_session_call(e->session, e->inputs, 2, &e->output, 1, done, e));
}

/* --- a function begins a request when another thread has taken the only place --- */

static void on_last(void *context, cleave_status *status) {
    events *e = context;
    assert_ok(status);
    count(e, &e->num_called);
}

static void on_first(void *context, cleave_status *status) {
    events *e = context;
    assert_ok(status);
    count(e, &e->num_called);
    wait_for(e, &e->num_submitted, 1);
    call(e, on_last); /* has to wait for the other thread's, which this thread must not hold up */
}

static void test_place_taken(void **state) {
    (void)state;
    static const char *const devices[] = {"core:0", "cpu"};
    for (int i = 0; i < 2; i++) {
        events e;
        cleave_request *request = NULL;
        open_events(&e, devices[i]);
        call(&e, on_first);
        wait_for(&e, &e.num_called, 1);
        assert_ok(cleave_session_submit(e.session, e.inputs, 2, NULL, 0, &request));
        count(&e, &e.num_submitted);
        wait_for(&e, &e.num_called, 2);
        assert_ok(cleave_request_wait(request));
        close_events(&e);
    }
}

/* --- a function may wait for a request, and begins as many as it likes --- */

enum { NUM_BEGUN = 5 };

static void on_busy(void *context, cleave_status *status) {
    events *e = context;
    cleave_request *request = NULL;
    assert_ok(status);
    assert_ok(cleave_session_run(e->session, e->inputs, 2, NULL, 0));
    assert_ok(cleave_session_submit(e->session, e->inputs, 2, NULL, 0, &request));
    assert_ok(cleave_request_wait(request));
    for (int i = 0; i < NUM_BEGUN; i++) {
        call(e, on_last);
    }
}

static void test_busy_function(void **state) {
    (void)state;
    events e;
    open_events(&e, "cpu");
    call(&e, on_busy);
    cleave_session_destroy(e.session); /* waits for all of them */
    assert_int_equal(e.num_called, NUM_BEGUN);
    e.session = NULL;
    close_events(&e);
}

/* --- chains of requests in several threads' hands --- */

enum { NUM_CHAINS = 3, NUM_LINKS = 300 };

static _Thread_local bool is_inside; /* a call of the library */

static void on_link(void *context, cleave_status *status) {
    events *e = context;
    assert_ok(status);
    pthread_mutex_lock(&e->lock);
    e->is_nested = e->is_nested || is_inside;
    const bool goes_on = ++e->num_called + NUM_CHAINS <= NUM_CHAINS * NUM_LINKS;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
    if (goes_on) {
        call(e, on_link);
    }
}

static void *run_chain(void *context) {
    events *e = context;
    is_inside = true;
    assert_ok(cleave_session_call(e->session, e->inputs, 2, NULL, 0, on_link, e));
    for (int i = 0; i < NUM_LINKS; i++) {
        assert_ok(cleave_session_run(e->session, e->inputs, 2, NULL, 0));
    }
    is_inside = false;
    return NULL;
}

static void test_chains(void **state) {
    (void)state;
    static const char *const devices[] = {"core:0", "cpu"};
    for (int i = 0; i < 2; i++) {
        events e;
        pthread_t threads[NUM_CHAINS];
        open_events(&e, devices[i]);
        for (int k = 0; k < NUM_CHAINS; k++) {
            assert_int_equal(pthread_create(&threads[k], NULL, run_chain, &e), 0);
        }
        wait_for(&e, &e.num_called, NUM_CHAINS * NUM_LINKS);
        for (int k = 0; k < NUM_CHAINS; k++) {
            pthread_join(threads[k], NULL);
        }
        assert_false(e.is_nested);
        close_events(&e);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: calls_test FOLDER\n");
        return 2;
    }
    data_folder = argv[1];
    setenv("CLEAVE_CORES", "2", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place_taken),
        cmocka_unit_test(test_busy_function),
        cmocka_unit_test(test_chains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
