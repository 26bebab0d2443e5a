/* Launches of every size, in turn and at once, of two objects of one kernel.
 *
 * PoCL 3.1 ended the process with `found->ref_count > 0' where a launch was wider than those before
 * while another thread ran the same kernel (host/ocl/queue.c tells why), and where launches of
 * 65,535 work-items and more, for which it may compile a kernel once more, ran beside shorter ones.
 * So launches go along the third dimension; devices say how long one may be, a longer one is
 * refused, and the executor cuts it (test_long_launches in tests/unit/exec/null_run_test.c). */
#include "host/ocl/ocl.h"

#include "host/base/threads.h"
#include "tests/support/check.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_ITEMS = 200000, MAX_LANES = 6, NUM_LAUNCHES = 400 };

/* counts[i] += i + 1 for i < end; as in every kernel, nothing is done beyond the end. */
static const char source[] = "kernel void count(global uint *counts, uint end) {\n"
                             "    if (get_global_id(0) < end) {\n"
                             "        for (uint i = 0; i <= get_global_id(0) % 64; i++) {\n"
                             "            counts[get_global_id(0)] += i * 2 + 1;\n"
                             "        }\n"
                             "    }\n"
                             "}\n";

/* What one work-item adds. */
static uint32_t increment(uint32_t item) {
    uint32_t times = item % 64 + 1;
    return times * times;
}

/* How many work-items the n-th launch of a lane has. */
typedef uint32_t (*size_rule)(uint32_t n);

static uint32_t mixed_size(uint32_t n) {
    static const uint32_t sizes[] = {1, 7, 100, 3, 65533, 65534, 65535, 2, 1000, MOST_ITEMS};
    return sizes[n % (sizeof sizes / sizeof sizes[0])];
}

static uint32_t growing_size(uint32_t n) {
    return 1 + n * 3;
}

static char cache_folder[64];

typedef struct lane {
    clv_device *device;
    clv_queue *queue;
    clv_buffer *buffer;
    clv_program *program;
    clv_kernel *kernels[2]; /* of the same entry: what one launch does must not touch another's */
    size_rule rule;
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

static uint32_t size_at(const lane *l, uint32_t n) {
    const uint64_t most = l->device->info.max_items;
    const uint32_t size = l->rule(n);
    return most != 0 && size > most ? (uint32_t)most : size;
}

/* Nothing waits between launches, so a device with queues holds many at a time. */
static clv_status *launch_all(const lane *l) {
    const clv_device_vtable *v = l->device->vtable;
    for (uint32_t i = 0; i < NUM_LAUNCHES; i++) {
        const uint32_t size = size_at(l, i);
        CLV_TRY(v->kernel_set_bytes(l->kernels[i & 1], 1, &size, sizeof size));
        CLV_TRY(v->enqueue_kernel(l->queue, l->kernels[i & 1], size, 1, NULL, 0, NULL));
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
        uint32_t wanted = 0;
        for (uint32_t n = 0; n < NUM_LAUNCHES; n++) {
            wanted += i < size_at(l, n) ? increment(i) : 0;
        }
        if (counts[i] != wanted) {
            fail_msg("item %u: %u, expected %u", i, counts[i], wanted);
        }
    }
    free(counts);
}

static void check_limit(const lane *l) {
    const clv_device_info *info = &l->device->info;
    if (strcmp(info->platform, "Portable Computing Language") == 0) {
        assert_int_equal(info->max_items, 65534);
        assert_failed(
            INTERNAL, "kernel 'count': a launch of 65535 work-items, at most 65534",
            l->device->vtable->enqueue_kernel(l->queue, l->kernels[0], 65535, 1, NULL, 0, NULL));
    }
}

/* Every device with its thread, all at once: PoCL's cores and threaded devices, and those of other
 * platforms where there are any. */
static void launch_on_all(clv_ocl *ocl, size_rule rule) {
    lane lanes[MAX_LANES];
    pthread_t threads[MAX_LANES];
    size_t num_lanes = 0;
    for (size_t i = 0; i < clv_ocl_num_devices(ocl) && num_lanes < MAX_LANES; i++) {
        assert_ok(open_lane(ocl, i, &lanes[num_lanes]));
        lanes[num_lanes++].rule = rule;
    }
    assert_true(num_lanes >= 4);
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

/* First, so that nothing wider has been launched. */
static void test_growing(void **state) {
    launch_on_all(*state, growing_size);
}

static void test_mixed(void **state) {
    launch_on_all(*state, mixed_size);
}

static const char slow_source[] = "kernel void slow(global uint *counts, uint times) {\n"
                                  "    volatile global uint *count = counts + get_global_id(0);\n"
                                  "    for (uint i = 0; i < times; i++) {\n"
                                  "        *count = *count + 1;\n"
                                  "    }\n"
                                  "}\n";

static void open_slow(clv_ocl *ocl, size_t index, lane *l) {
    const clv_program_desc desc = {
        .name = "slow",
        .source = slow_source,
        .source_bytes = sizeof slow_source - 1,
        .options = ""};
    assert_ok(open_lane(ocl, index, l));
    const clv_device_vtable *v = l->device->vtable;
    clv_program *slow = NULL;
    assert_ok(v->program_create(l->device, &desc, &slow));
    for (int i = 0; i < 2; i++) {
        v->kernel_destroy(l->kernels[i]);
        assert_ok(v->kernel_create(slow, "slow", &l->kernels[i]));
        assert_ok(v->kernel_set_buffer(l->kernels[i], 0, l->buffer));
    }
    v->program_destroy(l->program);
    l->program = slow;
}

static clv_status *launch_slow(
    const lane *l, uint32_t local_size, uint32_t num_groups, uint32_t times) {
    const clv_device_vtable *v = l->device->vtable;
    CLV_TRY(v->kernel_set_bytes(l->kernels[0], 1, &times, sizeof times));
    CLV_TRY(v->enqueue_kernel(
        l->queue, l->kernels[0], (uint64_t)num_groups * local_size, local_size, NULL, 0, NULL));
    return v->queue_finish(l->queue);
}

enum { NUM_KEPT = 140, NUM_SIZES = NUM_KEPT + 10, NUM_TIMES = 20000 };

typedef struct slow_launch {
    lane *lane;
    uint32_t local_size;
} slow_launch;

static void *slow_thread(void *argument) {
    const slow_launch *s = argument;
    s->lane->status = launch_slow(s->lane, s->local_size, 1, NUM_TIMES);
    return NULL;
}

/* With more local sizes than PoCL keeps kernels for (128): those that it has dropped are launched
 * again, and, while that runs, once more and wider on another core. */
static void test_many_local_sizes(void **state) {
    clv_ocl *ocl = *state;
    lane cores[2], queued;
    size_t index = 0, num_cores = 0;
    for (; num_cores < 2; index++) {
        open_slow(ocl, index, &cores[num_cores]);
        assert_int_equal(cores[num_cores].device->info.kind, CLV_DEVICE_CORE);
        num_cores++;
    }
    open_slow(ocl, index, &queued); /* never dropped are those that ran here */
    for (uint32_t size = 1; size <= NUM_SIZES; size++) {
        assert_ok(launch_slow(size <= NUM_KEPT ? &queued : &cores[0], size, 1, 0));
    }
    const volatile uint32_t *count = cores[0].device->vtable->buffer_host(cores[0].buffer);
    uint32_t wanted = 0;
    for (uint32_t size = NUM_KEPT + 1; size <= NUM_SIZES; size++) {
        pthread_t thread;
        slow_launch slow = {&cores[0], size};
        assert_ok(clv_thread_create(&thread, slow_thread, &slow, -1, "slow"));
        while (*count == wanted) {
            sched_yield();
        }
        assert_ok(launch_slow(&cores[1], size, 2, 0));
        pthread_join(thread, NULL);
        assert_ok(cores[0].status);
        wanted += NUM_TIMES;
        assert_int_equal(*count, wanted);
    }
    close_lane(&queued);
    close_lane(&cores[1]);
    close_lane(&cores[0]);
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
        cmocka_unit_test(test_growing),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_many_local_sizes),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
