/* Launches of every size, in turn and at once. PoCL compiles a kernel once for up to 65,535 groups
 * and once for more. With both forms in use at the same time, on any of its devices, PoCL 3.1 gives
 * up with `found->ref_count > 0' (it looks up the wrong one when it lets go). So its devices say
 * that they take no more than that, a longer launch is refused, and the executor cuts it
 * (test_long_launches in tests/unit/exec/null_run_test.c). */
#include "host/ocl/ocl.h"

#include "host/base/threads.h"
#include "tests/support/check.h"
#include <stdio.h>
#include <stdlib.h>

enum { MOST_ITEMS = 200000, ROUNDS = 40, MAX_LANES = 3 };

/* Up to what the device takes, and at most MOST_ITEMS. */
static const uint32_t sizes[] = {1, 65534, 65535, 65536, 3, 65537, 70000, 1000, MOST_ITEMS};

enum { NUM_SIZES = sizeof sizes / sizeof sizes[0] };

/* counts[i] += i + 1 */
static const char source[] = "kernel void count(global uint *counts) {\n"
                             "    counts[get_global_id(0)] += (uint)get_global_id(0) + 1;\n"
                             "}\n";

static char cache_folder[64];

typedef struct lane {
    clv_device *device;
    clv_queue *queue;
    clv_buffer *buffer;
    clv_program *program;
    clv_kernel *kernels[2]; /* of the same entry: what one launch does must not touch another's */
    clv_status *status;
} lane;

static clv_status *open_lane(clv_ocl *ocl, size_t index, lane *l) {
    const clv_program_desc desc = {
        .name = "count", .source = source, .source_bytes = sizeof source - 1, .options = ""};
    static const uint32_t zeros[MOST_ITEMS];
    memset(l, 0, sizeof *l);
    CLV_TRY(clv_ocl_open(ocl, index, false, &l->device));
    const clv_device_vtable *v = l->device->vtable;
    CLV_TRY(v->buffer_create(l->device, sizeof zeros, &l->buffer));
    CLV_TRY(v->queue_create(l->device, CLV_QUEUE_COMPUTE, &l->queue));
    CLV_TRY(v->program_create(l->device, &desc, &l->program));
    for (int i = 0; i < 2; i++) {
        CLV_TRY(v->kernel_create(l->program, "count", &l->kernels[i]));
        CLV_TRY(v->kernel_set_buffer(l->kernels[i], 0, l->buffer));
    }
    CLV_TRY(v->enqueue_write(l->queue, l->buffer, 0, sizeof zeros, zeros, NULL, 0, NULL));
    return v->queue_finish(l->queue);
}

static void close_lane(lane *l) {
    const clv_device_vtable *v = l->device->vtable;
    v->kernel_destroy(l->kernels[0]);
    v->kernel_destroy(l->kernels[1]);
    v->program_destroy(l->program);
    v->queue_destroy(l->queue);
    v->buffer_destroy(l->buffer);
    v->destroy(l->device);
}

static uint32_t size_at(const clv_device *device, uint32_t i) {
    const uint64_t most = device->info.max_groups != 0 ? device->info.max_groups : MOST_ITEMS;
    return sizes[i] < most ? sizes[i] : (uint32_t)most;
}

/* Nothing waits between launches, so a device with queues holds many at a time. */
static clv_status *launch_all(const lane *l) {
    const clv_device_vtable *v = l->device->vtable;
    for (uint32_t i = 0; i < ROUNDS * NUM_SIZES; i++) {
        CLV_TRY(v->enqueue_kernel(
            l->queue, l->kernels[i & 1], size_at(l->device, i % NUM_SIZES), 1, NULL, 0, NULL));
        if (i % 8 == 0) {
            CLV_TRY(v->queue_flush(l->queue));
        }
    }
    return v->queue_finish(l->queue);
}

static void *launch_thread(void *argument) {
    lane *l = argument;
    l->status = launch_all(l);
    return NULL;
}

static void check_counts(lane *l) {
    uint32_t *counts = malloc(MOST_ITEMS * sizeof *counts);
    assert_non_null(counts);
    const clv_device_vtable *v = l->device->vtable;
    assert_ok(v->enqueue_read(
        l->queue, l->buffer, 0, MOST_ITEMS * sizeof *counts, counts, NULL, 0, NULL));
    assert_ok(v->queue_finish(l->queue));
    for (uint32_t i = 0; i < MOST_ITEMS; i++) {
        uint32_t times = 0;
        for (uint32_t k = 0; k < NUM_SIZES; k++) {
            times += i < size_at(l->device, k) ? ROUNDS : 0;
        }
        if (counts[i] != times * (i + 1)) {
            fail_msg("item %u: %u, expected %u", i, counts[i], times * (i + 1));
        }
    }
    free(counts);
}

static void check_limit(const lane *l) {
    const clv_device_info *info = &l->device->info;
    if (strcmp(info->platform, "Portable Computing Language") == 0) {
        assert_int_equal(info->max_groups, 65535);
        assert_failed(
            INTERNAL, "kernel 'count': a launch of 65536 groups, at most 65535",
            l->device->vtable->enqueue_kernel(l->queue, l->kernels[0], 65536, 1, NULL, 0, NULL));
    }
}

/* Each device of a kind with its thread, all at once. */
static void launch_on(clv_ocl *ocl, clv_device_kind kind) {
    lane lanes[MAX_LANES];
    pthread_t threads[MAX_LANES];
    size_t num_lanes = 0;
    for (size_t i = 0; i < clv_ocl_num_devices(ocl) && num_lanes < MAX_LANES; i++) {
        if (clv_ocl_device_info(ocl, i)->kind == kind) {
            assert_ok(open_lane(ocl, i, &lanes[num_lanes++]));
        }
    }
    assert_true(num_lanes >= 2);
    for (size_t i = 0; i < num_lanes; i++) {
        assert_ok(clv_thread_create(&threads[i], launch_thread, &lanes[i], -1, "launches"));
    }
    for (size_t i = 0; i < num_lanes; i++) {
        pthread_join(threads[i], NULL);
        assert_ok(lanes[i].status);
        check_counts(&lanes[i]);
        check_limit(&lanes[i]);
    }
    for (size_t i = 0; i < num_lanes; i++) {
        close_lane(&lanes[i]);
    }
}

static void test_cores(void **state) {
    launch_on(*state, CLV_DEVICE_CORE);
}

/* PoCL's threaded devices, and those of other platforms where there are any. */
static void test_queues(void **state) {
    launch_on(*state, CLV_DEVICE_CL);
}

static int create(void **state) {
    snprintf(cache_folder, sizeof cache_folder, "/tmp/cleave-sizes-test-XXXXXX");
    if (mkdtemp(cache_folder) == NULL) {
        return -1;
    }
    setenv("CLEAVE_CACHE_DIR", cache_folder, 1);
    setenv("POCL_CACHE_DIR", cache_folder, 1); /* compile here, both forms */
    setenv("CLEAVE_CORES", "2", 1);
    setenv("CLEAVE_POCL_THREADED", "2", 1);
    unsetenv("POCL_DEVICES");
    clv_ocl *ocl = NULL;
    clv_status *status = clv_ocl_create(&ocl);
    if (status != NULL) {
        print_error("%s\n", clv_status_message(status));
        clv_status_destroy(status);
        return -1;
    }
    *state = ocl;
    return 0;
}

static int destroy(void **state) {
    char command[128];
    clv_ocl_destroy(*state);
    snprintf(command, sizeof command, "rm -rf '%s'", cache_folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cores),
        cmocka_unit_test(test_queues),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
