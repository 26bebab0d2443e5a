/* Every OpenCL call of a session's life fails in turn, on lanes and on queues: the error names the
 * unit and the OpenCL error, everything is released, and the next life is as ever. */
#include "host/base/memory.h"
#include "host/ocl/hook.h"
#include "tests/exec/net.h"
#include "tests/exec/rig.h"
#include "tests/support/check.h"
#include <stdlib.h>

static clv_rig rig;
static clv_graph *graph;
static clv_view inputs[2];
static clv_mutable_view outputs[2], wanted[2];

typedef struct fault_plan {
    int64_t at, calls;
    int error;
    clv_ocl_call failed;
    int balance; /* objects created and not released, events aside */
} fault_plan;

static int on_call(void *context, clv_ocl_call call) {
    fault_plan *plan = context;
    const char *name = clv_ocl_call_name(call);
    if (strncmp(name, "clRelease", 9) == 0) {
        plan->balance -= call != CLV_OCL_clReleaseEvent;
        return 0;
    }
    if (plan->calls++ == plan->at) {
        plan->failed = call;
        return plan->error;
    }
    plan->balance += strncmp(name, "clCreate", 8) == 0 && call != CLV_OCL_clCreateUserEvent;
    return 0;
}

static clv_status *use(const clv_exec_unit *unit) {
    clv_session *session = NULL;
    const clv_session_options options = {.profile = true};
    CLV_TRY(clv_session_create(graph, unit, 1, &options, &session));
    clv_status *status = clv_session_run(session, inputs, 1, outputs, 1);
    if (status != NULL) { /* the session itself goes on */
        assert_ok(clv_session_run(session, inputs, 1, outputs, 1));
    }
    clv_session_destroy(session);
    return status;
}

static clv_status *whole_life(const char *unit_name) {
    clv_exec_unit unit;
    memset(outputs[0].data, 0xee, clv_view_bytes(outputs[0].dtype, &outputs[0].shape));
    CLV_TRY(clv_rig_open(&rig, unit_name, true, &unit));
    clv_status *status = use(&unit);
    clv_rig_close(&unit);
    return status;
}

static void check_outputs(void) {
    assert_memory_equal(
        outputs[0].data, wanted[0].data, clv_view_bytes(wanted[0].dtype, &wanted[0].shape));
}

static void fail_everywhere(
    const char *unit_name, const char *unit_prefix, int error, const char *error_name) {
    assert_ok(whole_life(unit_name)); /* binaries are kept from here on */
    check_outputs();
    for (int64_t n = 0;; n++) {
        fault_plan plan = {.at = n, .error = error, .failed = CLV_OCL_NUM_CALLS};
        clv_ocl_set_hook(on_call, &plan);
        clv_status *status = whole_life(unit_name);
        clv_ocl_set_hook(NULL, NULL);
        if (plan.balance != 0) {
            fail_msg("%s failed: %d objects left", clv_ocl_call_name(plan.failed), plan.balance);
        }
        if (status == NULL) {
            check_outputs(); /* a call that it can do without */
        } else if (
            strstr(clv_status_message(status), unit_prefix) == NULL ||
            strstr(clv_status_message(status), error_name) == NULL) {
            fail_msg("the message is '%s'", clv_status_message(status));
        } else {
            assert_true(
                clv_status_code(status) == CLV_DEVICE_FAILED ||
                clv_status_code(status) == CLV_NO_MEMORY);
        }
        clv_status_destroy(status);
        if (plan.failed == CLV_OCL_NUM_CALLS) {
            assert_true(n > 20);
            break;
        }
    }
    assert_ok(whole_life(unit_name));
    check_outputs();
}

static void test_core(void **state) {
    (void)state;
    fail_everywhere("core:0", "core:0", -5, "CL_OUT_OF_RESOURCES (-5)");
}

static void test_gang(void **state) {
    (void)state;
    fail_everywhere("cpu", "core:", -6, "CL_OUT_OF_HOST_MEMORY (-6)");
}

static void test_queues(void **state) {
    (void)state;
    const char *name = clv_rig_first(&rig, CLV_UNIT_CL);
    fail_everywhere(name, name, -5, "CL_OUT_OF_RESOURCES (-5)");
}

static void test_allocations(void **state) {
    (void)state;
    const char *const names[] = {"core:0", "cpu", clv_rig_first(&rig, CLV_UNIT_CL)};
    for (size_t i = 0; i < 3; i++) {
        for (int64_t n = 0;; n++) {
            int64_t before = clv_memory_count();
            clv_memory_fail_at(n);
            clv_status *status = whole_life(names[i]);
            clv_memory_fail_at(-1);
            bool reached = clv_memory_count() - before > n;
            if (status == NULL) {
                check_outputs();
            } else {
                assert_int_equal(clv_status_code(status), CLV_NO_MEMORY);
            }
            clv_status_destroy(status);
            if (!reached) {
                assert_true(n > 20);
                break;
            }
        }
    }
}

static int create(void **state) {
    (void)state;
    clv_exec_unit unit;
    assert_ok(clv_rig_init(&rig, 2, 1));
    assert_ok(clv_net_gather(&graph));
    assert_ok(clv_net_inputs(graph, 5, inputs));
    assert_ok(clv_net_outputs(graph, outputs));
    assert_ok(clv_net_outputs(graph, wanted));
    assert_ok(clv_rig_open(&rig, "core:0", false, &unit));
    assert_ok(use(&unit)); /* profiling is off: core times come from the host */
    memcpy(wanted[0].data, outputs[0].data, clv_view_bytes(wanted[0].dtype, &wanted[0].shape));
    clv_rig_close(&unit);
    return 0;
}

static int destroy(void **state) {
    (void)state;
    clv_net_free_inputs(graph, inputs);
    clv_net_free_outputs(graph, outputs);
    clv_net_free_outputs(graph, wanted);
    clv_graph_destroy(graph);
    clv_rig_deinit(&rig);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_core),
        cmocka_unit_test(test_gang),
        cmocka_unit_test(test_queues),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
