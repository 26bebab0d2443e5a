/* Weights of one large operator are packed in pieces: that is told as it goes, and ends when the
 * user has had enough. */
#include "host/base/cancel.h"
#include "host/base/log.h"
#include "host/exec/session.h"
#include "tests/exec/net.h"
#include "tests/exec/rig.h"
#include "tests/support/check.h"

enum { SIDE = 2900 }; /* 34 MB: three times what is told at once */

typedef struct watch {
    int num_between; /* done is neither nothing nor all */
    bool cancels;
} watch;

static void on_progress(void *context, const char *what, double done, double total) {
    watch *w = context;
    if (strcmp(what, "packing weights") == 0 && done > 0 && done < total) {
        w->num_between++;
        if (w->cancels) {
            clv_cancel_set(true);
        }
    }
}

static void test_large_weight(void **state) {
    (void)state;
    clv_net net;
    clv_graph *graph = NULL;
    clv_rig rig;
    clv_exec_unit unit;
    clv_session *session = NULL;
    watch w = {.num_between = 0};
    clv_net_init(&net, 1);
    clv_tensor_id x = clv_net_input(&net, "x", CLV_FLOAT32, DIMS(1, SIDE));
    clv_tensor_id weight = clv_net_weight(&net, "w", DIMS(SIDE, SIDE));
    clv_net_output(&net, clv_net_node(&net, "MatMul", "product", IDS(x, weight), ""));
    assert_ok(clv_net_finish(&net, &graph));
    assert_ok(clv_rig_init(&rig, 1, 0));
    assert_ok(clv_rig_open(&rig, "core:0", false, &unit));
    clv_progress_set_sink(on_progress, &w);
    assert_ok(clv_session_create(graph, &unit, 1, NULL, &session));
    assert_true(w.num_between > 0);
    clv_session_destroy(session);
    w.cancels = true;
    assert_failed(CANCELLED, "interrupted", clv_session_create(graph, &unit, 1, NULL, &session));
    clv_cancel_set(false);
    clv_progress_set_sink(NULL, NULL);
    clv_rig_close(&unit);
    clv_rig_deinit(&rig);
    clv_graph_destroy(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_large_weight)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
