/* What a gang of all cores gains over one of them, for the plain kernels of Conv and MatMul.
 *
 *     gang_bench [ROUNDS]          (31)
 *
 * Convolutions have a third axis of extent 1, which keeps them on the plain kernel. Both units do
 * the same chain of eight such operators in turn, so that whatever else the machine does
 * meets both; printed are the medians, their quotient, and the rate on each.
 */
#include "host/base/memory.h"
#include "host/base/threads.h"
#include "tests/exec/net.h"
#include "tests/exec/rig.h"
#include <stdio.h>
#include <stdlib.h>

enum { MAX_ROUNDS = 1000, MAX_OPERANDS = 4, CHAIN = 8 };

typedef struct shape {
    const char *text;
    int64_t channels, size, kernel; /* Conv: square pictures and kernels, padded to size */
    int64_t rows, width;            /* MatMul, where kernel is 0 */
} shape;

static const shape shapes[] = {
    {"Conv 3x3, 64 channels of 56 x 56", .channels = 64, .size = 56, .kernel = 3},
    {"Conv 3x3, 256 channels of 14 x 14", .channels = 256, .size = 14, .kernel = 3},
    {"Conv 1x1, 256 channels of 28 x 28", .channels = 256, .size = 28, .kernel = 1},
    {"MatMul 512 x 512 x 512", .rows = 512, .width = 512},
    {"MatMul 128 x 768 x 768", .rows = 128, .width = 768},
};

/* A chain of the operator, so that a request is its work and little else. */
static clv_status *make_graph(const shape *s, clv_graph **out_graph) {
    clv_net net;
    char attrs[64], pad = (char)('0' + s->kernel / 2), side = (char)('0' + s->kernel);
    const bool conv = s->kernel != 0;
    clv_net_init(&net, 5);
    snprintf(
        attrs, sizeof attrs, "pads=0,%c,%c,0,%c,%c kernel_shape=1,%c,%c", pad, pad, pad, pad, side,
        side);
    clv_tensor_id x =
        conv ? clv_net_input(&net, "x", CLV_FLOAT32, DIMS(1, s->channels, 1, s->size, s->size))
             : clv_net_input(&net, "x", CLV_FLOAT32, DIMS(s->rows, s->width));
    for (int i = 0; i < CHAIN; i++) {
        char name[16], weight[16];
        snprintf(name, sizeof name, "op%d", i);
        snprintf(weight, sizeof weight, "w%d", i);
        clv_tensor_id w =
            conv ? clv_net_weight(
                       &net, weight, DIMS(s->channels, s->channels, 1, s->kernel, s->kernel))
                 : clv_net_weight(&net, weight, DIMS(s->width, s->width));
        x = clv_net_node(&net, conv ? "Conv" : "MatMul", name, IDS(x, w), conv ? attrs : "");
    }
    clv_net_output(&net, x);
    return clv_net_finish(&net, out_graph);
}

static double flops_of(const shape *s) {
    const double one = s->kernel != 0 ? (double)(s->channels * s->channels * s->size * s->size) *
                                            (double)(s->kernel * s->kernel)
                                      : (double)s->rows * (double)s->width * (double)s->width;
    return 2 * one * CHAIN;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    return count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static clv_status *measure(clv_rig *rig, const shape *s, int rounds) {
    static double times_us[2][MAX_ROUNDS];
    static const char *const names[2] = {"core:0", "cpu"};
    clv_exec_unit units[2] = {{.num_devices = 0}};
    clv_session *sessions[2] = {NULL};
    clv_graph *graph = NULL;
    clv_view inputs[MAX_OPERANDS] = {{.data = NULL}};
    clv_mutable_view outputs[MAX_OPERANDS] = {{.data = NULL}};
    clv_status *status = NULL;
    CLV_TRY(make_graph(s, &graph));
    CLV_TRY_DONE(clv_net_inputs(graph, 1, inputs));
    CLV_TRY_DONE(clv_net_outputs(graph, outputs));
    for (int u = 0; u < 2; u++) {
        CLV_TRY_DONE(clv_rig_open(rig, names[u], false, &units[u]));
        CLV_TRY_DONE(clv_session_create(graph, &units[u], 1, NULL, &sessions[u]));
    }
    for (int i = -3; i < rounds; i++) { /* three to warm up */
        for (int u = 0; u < 2; u++) {
            double begin_us = clv_time_us();
            CLV_TRY_DONE(clv_session_run(
                sessions[u], inputs, graph->num_inputs, outputs, graph->num_outputs));
            times_us[u][i < 0 ? 0 : i] = clv_time_us() - begin_us;
        }
    }
    double one = median(times_us[0], rounds), gang = median(times_us[1], rounds);
    printf(
        "%-34s  core:0 %8.0f us (%4.0f GFLOP/s)  cpu, %zu cores %8.0f us (%4.0f GFLOP/s)  %.2f\n",
        s->text, one, flops_of(s) * 1e-3 / one, units[1].num_devices, gang,
        flops_of(s) * 1e-3 / gang, one / gang);
done:
    for (int u = 0; u < 2; u++) {
        clv_session_destroy(sessions[u]);
    }
    clv_net_free_inputs(graph, inputs);
    clv_net_free_outputs(graph, outputs);
    clv_rig_close(&units[0]);
    clv_rig_close(&units[1]);
    clv_graph_destroy(graph);
    return status;
}

int main(int argc, char **argv) {
    const int rounds = argc > 1 ? atoi(argv[1]) : 31;
    if (rounds < 1 || rounds > MAX_ROUNDS) {
        fprintf(stderr, "usage: gang_bench [ROUNDS]\n");
        return 2;
    }
    clv_rig rig = {.ocl = NULL};
    clv_status *status = clv_rig_init(&rig, clv_num_processors(), 0);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0] && status == NULL; i++) {
        status = measure(&rig, &shapes[i], rounds);
    }
    clv_rig_deinit(&rig);
    if (status != NULL) {
        fprintf(stderr, "gang_bench: %s\n", clv_status_message(status));
        clv_status_destroy(status);
        return 1;
    }
    return 0;
}
