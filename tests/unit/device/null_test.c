/* The null driver itself: order in a queue, events across queues, failures, and that it counts what
 * exists. */
#include "host/device/null.h"

#include "tests/support/check.h"

/* args: a buffer and an int: every byte of the buffer becomes byte * 3 + value. */
static void step(const clv_null_launch *launch) {
    unsigned char *bytes = launch->args[0];
    int value;
    memcpy(&value, launch->args[1], sizeof value);
    for (size_t i = 0; i < launch->arg_bytes[0]; i++) {
        bytes[i] = (unsigned char)(bytes[i] * 3 + value);
    }
}

static clv_null_function find(const char *entry) {
    return strcmp(entry, "step") == 0 ? step : NULL;
}

enum { BYTES = 256 };

typedef struct objects {
    clv_device *device;
    clv_buffer *buffer;
    clv_program *program;
    clv_kernel *kernel;
    clv_queue *queues[3];
} objects;

static void create_as(objects *o, clv_null_options options) {
    const clv_program_desc desc = {.name = "test", .source = "", .options = ""};
    options.platform_index = 2;
    options.index = 1;
    options.find = find;
    memset(o, 0, sizeof *o);
    assert_ok(clv_null_device_create(&options, &o->device));
    const clv_device_vtable *v = o->device->vtable;
    assert_ok(v->buffer_create(o->device, BYTES, &o->buffer));
    assert_ok(v->program_create(o->device, &desc, &o->program));
    assert_ok(v->kernel_create(o->program, "step", &o->kernel));
    assert_ok(v->kernel_set_buffer(o->kernel, 0, o->buffer));
    for (int i = 0; i < 3; i++) {
        assert_ok(v->queue_create(o->device, (clv_queue_role)i, &o->queues[i]));
    }
    v->program_settle(o->program);
    assert_int_equal(clv_null_num_objects(o->device), 6);
}

static void create(objects *o, clv_device_kind kind, uint64_t seed) {
    create_as(o, (clv_null_options){.kind = kind, .shuffle_seed = seed});
}

static void destroy(objects *o) {
    const clv_device_vtable *v = o->device->vtable;
    for (int i = 0; i < 3; i++) {
        v->queue_destroy(o->queues[i]);
    }
    v->kernel_destroy(o->kernel);
    v->program_destroy(o->program);
    v->buffer_destroy(o->buffer);
    assert_int_equal(clv_null_num_objects(o->device), 0);
    v->destroy(o->device);
}

/* Launches with other values; each takes the argument as it was when it was enqueued. */
static clv_status *launch(
    objects *o, int value, clv_event *const *waits, uint32_t num_waits, clv_event **out_event) {
    const clv_device_vtable *v = o->device->vtable;
    CLV_TRY(v->kernel_set_bytes(o->kernel, 1, &value, sizeof value));
    return v->enqueue_kernel(o->queues[0], o->kernel, 1, 1, waits, num_waits, out_event);
}

static unsigned char expected(unsigned char start, int num_steps) {
    for (int i = 0; i < num_steps; i++) {
        start = (unsigned char)(start * 3 + i);
    }
    return start;
}

static void test_order(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        objects o;
        unsigned char given[BYTES], got[BYTES];
        clv_event *uploaded = NULL, *computed = NULL, *downloaded = NULL;
        create(&o, CLV_DEVICE_GPU, seed);
        const clv_device_vtable *v = o.device->vtable;
        assert_null(v->buffer_host(o.buffer));
        memset(given, 5, sizeof given);
        assert_ok(v->enqueue_write(o.queues[1], o.buffer, 0, BYTES, given, NULL, 0, &uploaded));
        for (int i = 0; i < 10; i++) {
            assert_ok(launch(&o, i, &uploaded, 1, i == 9 ? &computed : NULL));
        }
        assert_ok(v->enqueue_read(o.queues[2], o.buffer, 0, BYTES, got, &computed, 1, &downloaded));
        for (int i = 0; i < 3; i++) {
            assert_ok(v->queue_flush(o.queues[i]));
        }
        assert_ok(v->event_wait(downloaded));
        assert_int_equal(got[0], expected(5, 10));
        assert_int_equal(got[BYTES - 1], expected(5, 10));
        bool done = false;
        clv_event_times times;
        assert_ok(v->event_poll(computed, &done));
        assert_true(done);
        assert_ok(v->event_times(computed, &times));
        assert_true(times.queued_ns <= times.started_ns && times.started_ns <= times.ended_ns);
        v->event_release(uploaded);
        v->event_release(computed);
        v->event_release(downloaded);
        destroy(&o);
    }
}

static void test_core(void **state) {
    (void)state;
    objects o;
    create(&o, CLV_DEVICE_CORE, 0);
    const clv_device_vtable *v = o.device->vtable;
    unsigned char *host = v->buffer_host(o.buffer);
    assert_int_equal(host[7], 0);
    host[7] = 9;
    for (int i = 0; i < 4; i++) {
        assert_ok(launch(&o, i, NULL, 0, NULL));
        assert_int_equal(host[7], expected(9, i + 1));
    }
    destroy(&o);
}

static void test_copy_and_bounds(void **state) {
    (void)state;
    objects o;
    create(&o, CLV_DEVICE_CL, 1);
    const clv_device_vtable *v = o.device->vtable;
    unsigned char bytes[BYTES];
    memset(bytes, 1, sizeof bytes);
    assert_ok(v->enqueue_write(o.queues[0], o.buffer, 0, 16, bytes, NULL, 0, NULL));
    assert_ok(v->enqueue_copy(o.queues[0], o.buffer, 0, o.buffer, 100, 16, NULL, 0, NULL));
    assert_ok(v->enqueue_read(o.queues[0], o.buffer, 0, BYTES, bytes, NULL, 0, NULL));
    assert_ok(v->queue_finish(o.queues[0]));
    assert_int_equal(bytes[99], 0);
    assert_int_equal(bytes[100], 1);
    assert_int_equal(bytes[116], 0);
    assert_failed(
        DEVICE_FAILED, "beyond the end",
        v->enqueue_write(o.queues[0], o.buffer, BYTES - 8, 9, bytes, NULL, 0, NULL));
    assert_failed(
        DEVICE_FAILED, "beyond the end",
        v->enqueue_read(o.queues[0], o.buffer, BYTES + 1, 0, bytes, NULL, 0, NULL));
    clv_buffer *large = NULL;
    assert_failed(NO_MEMORY, "buffer", v->buffer_create(o.device, SIZE_MAX, &large));
    clv_kernel *kernel = NULL;
    assert_failed(DEVICE_FAILED, "'nothing'", v->kernel_create(o.program, "nothing", &kernel));
    char name[32];
    clv_device_unit_name(&o.device->info, name);
    assert_string_equal(name, "cl:2.1");
    destroy(&o);
}

/* A failed command fails what waits for it and what is behind it, until the queue is finished. */
static void test_failures(void **state) {
    (void)state;
    objects o;
    create(&o, CLV_DEVICE_GPU, 3);
    const clv_device_vtable *v = o.device->vtable;
    unsigned char bytes[BYTES];
    clv_event *first = NULL, *behind = NULL, *waiting = NULL, *fine = NULL;
    clv_null_fail_command_at(o.device, 0);
    assert_ok(launch(&o, 0, NULL, 0, &first));
    assert_ok(launch(&o, 1, NULL, 0, &behind));
    assert_ok(v->enqueue_read(o.queues[2], o.buffer, 0, BYTES, bytes, &first, 1, &waiting));
    assert_failed(DEVICE_FAILED, "gpu:1", v->event_wait(first));
    assert_failed(DEVICE_FAILED, "gpu:1", v->event_wait(behind));
    assert_failed(DEVICE_FAILED, "gpu:1", v->event_wait(waiting));
    for (int i = 0; i < 3; i++) {
        assert_ok(v->queue_finish(o.queues[i]));
    }
    assert_ok(launch(&o, 0, NULL, 0, &fine));
    assert_ok(v->event_wait(fine));
    clv_null_fail_call_at(o.device, NULL, 1);
    assert_ok(v->queue_flush(o.queues[0]));
    assert_failed(DEVICE_FAILED, "queue_flush", v->queue_flush(o.queues[0]));
    assert_ok(v->queue_flush(o.queues[0]));
    v->event_release(first);
    v->event_release(behind);
    v->event_release(waiting);
    v->event_release(fine);
    destroy(&o);
}

static void assert_pending(clv_event *event) {
    bool done = true;
    assert_ok(event->device->vtable->event_poll(event, &done));
    assert_false(done);
}

/* A command of a device that is `options` waits for one of another device that failed, and for what
 * does not end; one is behind it. `other` is of those that end some early. */
static void wait_for_failed(const clv_null_options *options, objects *other) {
    objects failing, o;
    clv_event *failed = NULL, *gate = NULL, *waiting = NULL, *behind = NULL;
    create(&failing, CLV_DEVICE_GPU, 0);
    create_as(&o, *options);
    const clv_device_vtable *v = o.device->vtable;
    clv_null_fail_command_at(failing.device, 0);
    assert_ok(launch(&failing, 0, NULL, 0, &failed));
    assert_ok(v->gate_create(o.device, &gate));
    assert_failed(DEVICE_FAILED, "gpu:1", v->event_wait(failed));
    clv_event *const waits[] = {failed, gate};
    assert_ok(launch(&o, 1, waits, 2, &waiting));
    assert_ok(launch(&o, 2, NULL, 0, &behind));
    assert_ok(launch(other, 0, NULL, 0, NULL));
    if (!options->ends_early) {
        assert_pending(waiting);
        assert_pending(behind);
        assert_ok(v->gate_open(gate));
    }
    if (options->calls_it_done) {
        assert_ok(v->event_wait(waiting));
        assert_ok(v->event_wait(behind));
    } else {
        assert_failed(DEVICE_FAILED, "gpu:1", v->event_wait(waiting));
        assert_failed(DEVICE_FAILED, "gpu:1", v->event_wait(behind));
    }
    clv_event *const all[] = {failed, gate, waiting, behind};
    for (int i = 0; i < 4; i++) {
        v->event_release(all[i]);
    }
    destroy(&o);
    destroy(&failing);
}

/* Each device ends its commands as its own options say, whoever's command failed. */
static void test_early_ends(void **state) {
    (void)state;
    objects other;
    create_as(&other, (clv_null_options){.kind = CLV_DEVICE_GPU, .ends_early = true});
    wait_for_failed(&(clv_null_options){.kind = CLV_DEVICE_GPU}, &other);
    wait_for_failed(&(clv_null_options){.kind = CLV_DEVICE_GPU, .ends_early = true}, &other);
    wait_for_failed(
        &(clv_null_options){.kind = CLV_DEVICE_GPU, .ends_early = true, .calls_it_done = true},
        &other);
    destroy(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),           cmocka_unit_test(test_core),
        cmocka_unit_test(test_copy_and_bounds), cmocka_unit_test(test_failures),
        cmocka_unit_test(test_early_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
