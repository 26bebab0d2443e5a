/* The OpenCL driver on PoCL: discovery, buffers, programs, kernels, queues, events. */
#include "host/ocl/ocl.h"

#include "host/base/memory.h"
#include "host/ocl/hook.h"
#include "tests/support/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char cache_folder[64];

/* b[i] = a[i] * factor + i for items [first, end). */
static const char source[] =
    "typedef struct { ulong first, end, offset[8]; } range;\n"
    "typedef struct { int factor; } params;\n"
    "kernel void scale(global uchar *a, global uchar *b, const params p, const range r) {\n"
    "    ulong i = r.first + get_global_id(0);\n"
    "    if (i < r.end) {\n"
    "        global int *in = (global int *)(a + r.offset[0]);\n"
    "        ((global int *)(b + r.offset[1]))[i] = in[i] * p.factor + (int)i;\n"
    "    }\n"
    "}\n";

typedef struct range {
    uint64_t first, end, offset[8];
} range;

enum { COUNT = 1000 };

static size_t find(const clv_ocl *ocl, clv_device_kind kind) {
    for (size_t i = 0; i < clv_ocl_num_devices(ocl); i++) {
        const clv_device_info *info = clv_ocl_device_info(ocl, i);
        if (info->kind == kind && info->usable) {
            return i;
        }
    }
    fail_msg("no such device");
    return 0;
}

static clv_status *make_kernel(
    clv_device *device, clv_buffer *buffer, clv_program **out_program, clv_kernel **out_kernel) {
    const clv_program_desc desc = {
        .name = "scale", .source = source, .source_bytes = sizeof source - 1, .options = ""};
    const clv_device_vtable *v = device->vtable;
    int32_t factor = 3;
    range r = {.end = COUNT, .offset = {0, COUNT * 4}};
    CLV_TRY(v->program_create(device, &desc, out_program));
    CLV_TRY(v->kernel_create(*out_program, "scale", out_kernel));
    CLV_TRY(v->kernel_set_buffer(*out_kernel, 0, buffer));
    CLV_TRY(v->kernel_set_buffer(*out_kernel, 1, buffer));
    CLV_TRY(v->kernel_set_bytes(*out_kernel, 2, &factor, sizeof factor));
    return v->kernel_set_bytes(*out_kernel, 3, &r, sizeof r);
}

static void check_output(const int32_t *values) {
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(values[i], (i + 7) * 3 + i);
    }
}

static void fill_input(int32_t *values) {
    for (int i = 0; i < COUNT; i++) {
        values[i] = i + 7;
    }
}

/* The whole life of a device that is used from the calling thread, sharing memory. */
static clv_status *run_on_core(clv_ocl *ocl, int32_t *out_values) {
    clv_device *device = NULL;
    clv_buffer *buffer = NULL;
    clv_program *program = NULL;
    clv_kernel *kernel = NULL;
    clv_queue *queue = NULL;
    clv_status *status = NULL;
    CLV_TRY(clv_ocl_open(ocl, find(ocl, CLV_DEVICE_CORE), false, &device));
    const clv_device_vtable *v = device->vtable;
    CLV_TRY_DONE(v->buffer_create(device, COUNT * 8, &buffer));
    CLV_TRY_DONE(v->queue_create(device, CLV_QUEUE_COMPUTE, &queue));
    CLV_TRY_DONE(make_kernel(device, buffer, &program, &kernel));
    fill_input(v->buffer_host(buffer));
    CLV_TRY_DONE(v->enqueue_kernel(queue, kernel, COUNT, 1, NULL, 0, NULL));
    memcpy(out_values, (char *)v->buffer_host(buffer) + COUNT * 4, COUNT * 4);
    v->program_settle(program);
done:
    v->kernel_destroy(kernel);
    v->program_destroy(program);
    v->queue_destroy(queue);
    v->buffer_destroy(buffer);
    v->destroy(device);
    return status;
}

static clv_status *move_and_run(
    clv_device *device, clv_queue *queues[3], clv_buffer *buffer, clv_kernel *kernel,
    const int32_t *input, int32_t *out_values) {
    const clv_device_vtable *v = device->vtable;
    clv_event *events[3] = {NULL};
    clv_status *status = NULL;
    CLV_TRY_DONE(v->enqueue_write(queues[1], buffer, 0, COUNT * 4, input, NULL, 0, &events[0]));
    CLV_TRY_DONE(v->queue_flush(queues[1]));
    CLV_TRY_DONE(v->enqueue_kernel(queues[0], kernel, COUNT, 1, &events[0], 1, &events[1]));
    CLV_TRY_DONE(v->queue_flush(queues[0]));
    CLV_TRY_DONE(v->enqueue_read(
        queues[2], buffer, COUNT * 4, COUNT * 4, out_values, &events[1], 1, &events[2]));
    CLV_TRY_DONE(v->queue_flush(queues[2]));
    CLV_TRY_DONE(v->event_wait(events[2]));
    clv_event_times times;
    CLV_TRY_DONE(v->event_times(events[1], &times));
    assert_true(times.ended_ns >= times.started_ns);
done:
    for (int i = 0; i < 3; i++) {
        clv_status *ignored = v->queue_finish(queues[i]);
        clv_status_destroy(ignored);
        v->event_release(events[i]);
    }
    return status;
}

/* The same through three queues and events. */
static clv_status *run_on_queues(clv_ocl *ocl, int32_t *out_values) {
    clv_device *device = NULL;
    clv_buffer *buffer = NULL;
    clv_program *program = NULL;
    clv_kernel *kernel = NULL;
    clv_queue *queues[3] = {NULL};
    clv_status *status = NULL;
    int32_t input[COUNT];
    fill_input(input);
    CLV_TRY(clv_ocl_open(ocl, find(ocl, CLV_DEVICE_CL), true, &device));
    const clv_device_vtable *v = device->vtable;
    CLV_TRY_DONE(v->buffer_create(device, COUNT * 8, &buffer));
    for (int i = 0; i < 3; i++) {
        CLV_TRY_DONE(v->queue_create(device, (clv_queue_role)i, &queues[i]));
    }
    CLV_TRY_DONE(make_kernel(device, buffer, &program, &kernel));
    CLV_TRY_DONE(move_and_run(device, queues, buffer, kernel, input, out_values));
done:
    v->kernel_destroy(kernel);
    v->program_destroy(program);
    for (int i = 0; i < 3; i++) {
        v->queue_destroy(queues[i]);
    }
    v->buffer_destroy(buffer);
    v->destroy(device);
    return status;
}

static void test_discovery(void **state) {
    clv_ocl *ocl = *state;
    int cores = 0, threaded = 0;
    for (size_t i = 0; i < clv_ocl_num_devices(ocl); i++) {
        const clv_device_info *info = clv_ocl_device_info(ocl, i);
        char name[32];
        clv_device_unit_name(info, name);
        if (info->kind == CLV_DEVICE_CORE) {
            assert_int_equal(info->index, cores);
            assert_int_equal(info->compute_units, 1);
            cores++;
        } else if (info->kind == CLV_DEVICE_CL) {
            threaded++;
            assert_int_equal(strncmp(name, "cl:", 3), 0);
        }
        assert_true(info->usable);
        assert_true(info->memory_bytes > 0 && info->max_alloc_bytes > 0);
    }
    assert_int_equal(cores, 3);
    assert_true(threaded >= 2);
}

static void test_core(void **state) {
    int32_t values[COUNT];
    assert_ok(run_on_core(*state, values));
    check_output(values);
}

static void test_queues(void **state) {
    int32_t values[COUNT];
    assert_ok(run_on_queues(*state, values));
    check_output(values);
}

static void test_limits(void **state) {
    clv_ocl *ocl = *state;
    clv_device *device = NULL;
    clv_buffer *buffer = NULL;
    assert_ok(clv_ocl_open(ocl, find(ocl, CLV_DEVICE_CORE), false, &device));
    clv_status *status =
        device->vtable->buffer_create(device, device->info.max_alloc_bytes + 1, &buffer);
    assert_int_equal(clv_status_code(status), CLV_NO_MEMORY);
    assert_non_null(strstr(clv_status_message(status), "core:0"));
    assert_null(buffer);
    clv_status_destroy(status);
    device->vtable->destroy(device);
    status = clv_ocl_open(ocl, 1000, false, &device);
    assert_int_equal(clv_status_code(status), CLV_NO_DEVICE);
    clv_status_destroy(status);
}

static void test_build_error(void **state) {
    clv_ocl *ocl = *state;
    clv_device *device = NULL;
    clv_program *program = NULL;
    assert_ok(clv_ocl_open(ocl, find(ocl, CLV_DEVICE_CORE), false, &device));
    static const char wrong[] = "kernel void broken(global int *a) { a[0] = missing_name; }";
    const clv_program_desc desc = {
        .name = "broken", .source = wrong, .source_bytes = sizeof wrong - 1, .options = ""};
    clv_status *status = device->vtable->program_create(device, &desc, &program);
    assert_int_equal(clv_status_code(status), CLV_DEVICE_FAILED);
    assert_non_null(strstr(clv_status_message(status), "missing_name"));
    assert_null(strchr(clv_status_message(status), '\n'));
    assert_null(program);
    clv_status_destroy(status);
    device->vtable->destroy(device);
}

enum { NUM_PROGRAMS = 4 };

/* `scale` in programs of their own; the one that `broken` tells is wrong. */
static void describe_programs(size_t broken, clv_program_desc descs[NUM_PROGRAMS]) {
    static const char *const options[NUM_PROGRAMS] = {"-DA=1", "-DA=2", "-DA=3", "-DA=4"};
    for (size_t i = 0; i < NUM_PROGRAMS; i++) {
        descs[i] = (clv_program_desc){
            .name = "scale",
            .source = source,
            .source_bytes = sizeof source - 1,
            .options = options[i]};
    }
    if (broken < NUM_PROGRAMS) {
        static const char wrong[] = "kernel void scale(global int *a) { a[0] = missing; }";
        descs[broken].source = wrong;
        descs[broken].source_bytes = sizeof wrong - 1;
    }
}

static int fail_source(void *context, clv_ocl_call call) {
    (void)context;
    return call == CLV_OCL_clCreateProgramWithSource ? -5 : 0; /* CL_OUT_OF_RESOURCES */
}

/* What is built at once is compiled as a whole, though nothing was launched: from then on its
 * binary serves, and no source is needed. */
static void test_programs_at_once(void **state) {
    clv_program_desc descs[NUM_PROGRAMS];
    clv_device *device = NULL;
    assert_ok(clv_ocl_open(*state, find(*state, CLV_DEVICE_CORE), false, &device));
    const clv_device_vtable *v = device->vtable;
    describe_programs(NUM_PROGRAMS, descs);
    for (int round = 0; round < 2; round++) {
        clv_program *programs[NUM_PROGRAMS] = {NULL};
        clv_ocl_set_hook(round == 0 ? NULL : fail_source, NULL);
        clv_status *status = v->programs_create(device, descs, NUM_PROGRAMS, programs);
        clv_ocl_set_hook(NULL, NULL);
        assert_ok(status);
        for (size_t i = 0; i < NUM_PROGRAMS; i++) {
            clv_kernel *kernel = NULL;
            assert_ok(v->kernel_create(programs[i], "scale", &kernel));
            v->kernel_destroy(kernel);
            v->program_destroy(programs[i]);
        }
    }
    v->destroy(device);
}

static void test_one_of_many_fails(void **state) {
    clv_program_desc descs[NUM_PROGRAMS];
    clv_program *programs[NUM_PROGRAMS] = {NULL};
    clv_device *device = NULL;
    assert_ok(clv_ocl_open(*state, find(*state, CLV_DEVICE_CORE), false, &device));
    describe_programs(2, descs);
    clv_status *status = device->vtable->programs_create(device, descs, NUM_PROGRAMS, programs);
    assert_int_equal(clv_status_code(status), CLV_DEVICE_FAILED);
    assert_non_null(strstr(clv_status_message(status), "missing"));
    clv_status_destroy(status);
    for (size_t i = 0; i < NUM_PROGRAMS; i++) {
        assert_null(programs[i]);
    }
    device->vtable->destroy(device);
}

/* --- failures: the n-th call of any kind fails ------------------------------------------------ */

typedef struct fault_plan {
    int64_t at, calls;
    clv_ocl_call failed;
    int64_t created, released;
} fault_plan;

static bool creates(clv_ocl_call call) {
    return strncmp(clv_ocl_call_name(call), "clCreate", 8) == 0;
}

static int fail_at(void *context, clv_ocl_call call) {
    fault_plan *fault = context;
    bool release = strncmp(clv_ocl_call_name(call), "clRelease", 9) == 0;
    if (release) {
        fault->released += call != CLV_OCL_clReleaseEvent ? 1 : 0;
        return 0;
    }
    if (fault->calls++ == fault->at) {
        fault->failed = call;
        return -5; /* CL_OUT_OF_RESOURCES */
    }
    fault->created += creates(call) ? 1 : 0;
    return 0;
}

typedef clv_status *(*scenario)(clv_ocl *ocl, int32_t *out_values);

/* Every call of the scenario fails in turn; each time what was created is released, the message
 * names a unit or the scenario goes on without (caches, probes), and the next run is right. */
static void fail_everywhere(clv_ocl *ocl, scenario run) {
    int32_t values[COUNT];
    for (int64_t n = 0;; n++) {
        fault_plan fault = {.at = n, .failed = CLV_OCL_NUM_CALLS};
        clv_ocl_set_hook(fail_at, &fault);
        clv_status *status = run(ocl, values);
        clv_ocl_set_hook(NULL, NULL);
        if (status != NULL) {
            assert_true(
                clv_status_code(status) == CLV_DEVICE_FAILED ||
                clv_status_code(status) == CLV_NO_MEMORY);
            assert_non_null(strstr(clv_status_message(status), ":0"));
            assert_non_null(strstr(clv_status_message(status), "CL_OUT_OF_RESOURCES (-5)"));
        } else {
            check_output(values);
        }
        clv_status_destroy(status);
        if (fault.created != fault.released) {
            fail_msg(
                "%s failed: %d created, %d released", clv_ocl_call_name(fault.failed),
                (int)fault.created, (int)fault.released);
        }
        if (fault.failed == CLV_OCL_NUM_CALLS) {
            assert_true(n > 10); /* all of its calls were reached */
            break;
        }
    }
    assert_ok(run(ocl, values));
    check_output(values);
}

static void test_faults(void **state) {
    fail_everywhere(*state, run_on_core);
    fail_everywhere(*state, run_on_queues);
}

static int fail_call(void *context, clv_ocl_call call) {
    return call == *(const clv_ocl_call *)context ? -5 : 0; /* CL_OUT_OF_RESOURCES */
}

/* GPU drivers that allocate at first use say so when the buffer is zeroed. */
static void test_no_device_memory(void **state) {
    static const clv_ocl_call calls[] = {
        CLV_OCL_clCreateBuffer, CLV_OCL_clEnqueueFillBuffer, CLV_OCL_clFinish};
    clv_device *device = NULL;
    clv_buffer *buffer = NULL;
    assert_ok(clv_ocl_open(*state, find(*state, CLV_DEVICE_CL), false, &device));
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        clv_ocl_call call = calls[i];
        clv_ocl_set_hook(fail_call, &call);
        clv_status *status = device->vtable->buffer_create(device, 1000, &buffer);
        clv_ocl_set_hook(NULL, NULL);
        assert_int_equal(clv_status_code(status), CLV_NO_MEMORY);
        assert_non_null(strstr(clv_status_message(status), "no memory for a buffer of"));
        assert_null(buffer);
        clv_status_destroy(status);
    }
    device->vtable->destroy(device);
}

static void test_allocation_failures(void **state) {
    static const scenario scenarios[] = {run_on_core, run_on_queues};
    int32_t values[COUNT];
    for (size_t i = 0; i < 2; i++) {
        for (int64_t n = 0;; n++) {
            int64_t before = clv_memory_count();
            clv_memory_fail_at(n);
            clv_status *status = scenarios[i](*state, values);
            clv_memory_fail_at(-1);
            bool reached = clv_memory_count() - before > n;
            if (status != NULL) {
                assert_int_equal(clv_status_code(status), CLV_NO_MEMORY);
            } else {
                check_output(values);
            }
            clv_status_destroy(status);
            if (!reached) {
                assert_true(n > 4);
                break;
            }
        }
    }
}

static void test_create_failures(void **state) {
    (void)state;
    for (int64_t n = 0;; n++) {
        fault_plan fault = {.at = n, .failed = CLV_OCL_NUM_CALLS};
        clv_ocl *ocl = NULL;
        clv_ocl_set_hook(fail_at, &fault);
        clv_status *status = clv_ocl_create(&ocl);
        clv_ocl_set_hook(NULL, NULL);
        assert_true((status == NULL) == (ocl != NULL));
        clv_status_destroy(status);
        clv_ocl_destroy(ocl);
        if (fault.failed == CLV_OCL_NUM_CALLS) {
            assert_true(n > 10);
            break;
        }
    }
    clv_ocl *ocl = NULL;
    setenv("CLEAVE_CORES", "many", 1);
    clv_status *status = clv_ocl_create(&ocl);
    assert_int_equal(clv_status_code(status), CLV_USAGE);
    assert_non_null(strstr(clv_status_message(status), "CLEAVE_CORES"));
    clv_status_destroy(status);
    setenv("CLEAVE_CORES", "3", 1);
}

/* The binary is kept, taken, and written anew after damage; the results stay right. */
static int count_call(void *context, clv_ocl_call call) {
    ((int *)context)[call]++;
    return 0;
}

static void run_counting(clv_ocl *ocl, int calls[CLV_OCL_NUM_CALLS]) {
    int32_t values[COUNT];
    memset(calls, 0, CLV_OCL_NUM_CALLS * sizeof *calls);
    clv_ocl_set_hook(count_call, calls);
    clv_status *status = run_on_core(ocl, values);
    clv_ocl_set_hook(NULL, NULL);
    assert_ok(status);
    check_output(values);
}

static void test_kept_binary(void **state) {
    int calls[CLV_OCL_NUM_CALLS];
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s/kernels'", cache_folder);
    assert_int_equal(system(command), 0);
    for (int i = 0; i < 2; i++) {
        run_counting(*state, calls); /* from source, kept */
        assert_int_equal(calls[CLV_OCL_clCreateProgramWithSource], 1);
        assert_int_equal(calls[CLV_OCL_clGetProgramInfo], 2);
        run_counting(*state, calls); /* from the file, which is not written again */
        assert_int_equal(calls[CLV_OCL_clCreateProgramWithSource], 0);
        assert_int_equal(calls[CLV_OCL_clCreateProgramWithBinary], 1);
        assert_int_equal(calls[CLV_OCL_clGetProgramInfo], 0);
        snprintf(
            command, sizeof command,
            "for f in '%s'/kernels/*; do printf x | dd of=\"$f\" bs=1 seek=300 conv=notrunc "
            "2>/dev/null; done",
            cache_folder);
        assert_int_equal(system(command), 0);
    }
}

static void test_hook_names(void **state) {
    (void)state;
    assert_int_equal(clv_ocl_call_find("clFinish"), CLV_OCL_clFinish);
    assert_int_equal(clv_ocl_call_find("clFinished"), CLV_OCL_NUM_CALLS);
    assert_string_equal(clv_ocl_call_name(CLV_OCL_clFlush), "clFlush");
}

static int create(void **state) {
    snprintf(cache_folder, sizeof cache_folder, "/tmp/cleave-ocl-test-XXXXXX");
    if (mkdtemp(cache_folder) == NULL) {
        return -1;
    }
    setenv("CLEAVE_CACHE_DIR", cache_folder, 1);
    setenv("CLEAVE_CORES", "3", 1);
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
        cmocka_unit_test(test_discovery),
        cmocka_unit_test(test_core),
        cmocka_unit_test(test_queues),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_build_error),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_no_device_memory),
        cmocka_unit_test(test_allocation_failures),
        cmocka_unit_test(test_create_failures),
        cmocka_unit_test(test_programs_at_once),
        cmocka_unit_test(test_one_of_many_fails),
        cmocka_unit_test(test_kept_binary),
        cmocka_unit_test(test_hook_names),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
