/* Transfers of tensors that lie in runs: what a driver was given of one that fails in the middle
 * can be waited for, also where it refuses to finish its queue. On the null driver. */
#include "host/device/null.h"
#include "host/exec/executor_internal.h"
#include "host/exec/transfer.h"
#include "tests/support/check.h"

enum { RUN = 16, PITCH = 40, NUM_RUNS = 4, BYTES = RUN * NUM_RUNS, TENSOR = PITCH * NUM_RUNS };

/* A tensor of the caller's, of which each run is a row's first bytes. */
typedef struct rig {
    clv_device *device;
    clv_buffer *buffer;
    clv_queue *queue;
    unsigned char tensor[TENSOR];
    clv_storage storage;
    clv_joined joined;
    clv_prepared prepared;
    clv_view input;
    clv_mutable_view output;
    clv_slot slot;
    clv_step step;
} rig;

static void create(rig *r, clv_step_kind kind) {
    const clv_null_options options = {
        .kind = CLV_DEVICE_GPU, .copy_us = 900, .refuses_finish = true};
    memset(r, 0, sizeof *r);
    assert_ok(clv_null_device_create(&options, &r->device));
    const clv_device_vtable *v = r->device->vtable;
    assert_ok(v->buffer_create(r->device, BYTES, &r->buffer));
    assert_ok(v->queue_create(
        r->device, kind == CLV_STEP_INPUT ? CLV_QUEUE_UPLOAD : CLV_QUEUE_DOWNLOAD, &r->queue));
    r->storage = (clv_storage){.kind = CLV_STORAGE_VALUE, .piece.bytes = BYTES, .slots = 1};
    r->joined.all.storages = &r->storage;
    r->joined.all.values.num_blocks = 1;
    r->prepared = (clv_prepared){
        .joined = &r->joined, .lowered = &r->joined.all, .buffers = &r->buffer, .num_buffers = 1};
    memset(r->tensor, 7, sizeof r->tensor);
    r->input.data = r->output.data = r->tensor;
    r->slot.inputs = &r->input;
    r->slot.outputs = &r->output;
    r->step = (clv_step){
        .kind = kind,
        .bytes = BYTES,
        .runs = {.run_bytes = RUN, .pitch_bytes = PITCH},
        .num_operands = 1};
}

static clv_status *enqueue(rig *r, clv_event **out_event) {
    const clv_transfer transfer = {.prepared = &r->prepared, .step = &r->step, .slot = &r->slot};
    return clv_transfer_enqueue(r->queue, &transfer, out_event);
}

/* Whether the run has come from a device full of zeros. */
static bool has_come(const rig *r, int run) {
    return r->tensor[run * PITCH] == 0 && r->tensor[run * PITCH + RUN - 1] == 0 &&
           r->tensor[run * PITCH + RUN] == 7;
}

static void destroy(rig *r) {
    r->device->vtable->queue_destroy(r->queue);
    r->device->vtable->buffer_destroy(r->buffer);
    assert_int_equal(clv_null_num_abandoned(), 0);
    assert_int_equal(clv_null_num_objects(r->device), 0);
    r->device->vtable->destroy(r->device);
}

/* With the event's end nothing is at the tensor any more. */
static void fail_in_the_middle(clv_step_kind kind, const char *call, int num_enqueued) {
    rig r;
    clv_event *event = NULL;
    create(&r, kind);
    clv_null_fail_call_at(r.device, call, num_enqueued);
    clv_status *status = enqueue(&r, &event);
    assert_true((status != NULL) == (num_enqueued < NUM_RUNS));
    clv_status_destroy(status);
    assert_true((event != NULL) == (num_enqueued > 0));
    clv_event_wait_and_ignore(event);
    for (int i = 0; i < NUM_RUNS && kind == CLV_STEP_OUTPUT; i++) {
        assert_true(has_come(&r, i) == (i < num_enqueued));
    }
    clv_event_release(&event);
    destroy(&r);
}

static void test_runs(void **state) {
    (void)state;
    for (int n = 0; n <= NUM_RUNS; n++) {
        fail_in_the_middle(CLV_STEP_OUTPUT, "enqueue_read", n);
        fail_in_the_middle(CLV_STEP_INPUT, "enqueue_write", n);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_runs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
