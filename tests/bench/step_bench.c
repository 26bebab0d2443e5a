/* What a step costs beside its work, on one core, on a gang, and on a device with queues where
 * there is one. Two nets of tiny operators: a chain of Neg and Abs on 16 elements; and Relu,
 * MatMul, Softmax, Transpose and Add, each with its own kernel, on 4 x 4.
 *
 *     step_bench [LENGTH [REPEATS]]          (400 operators, 300 times)
 *
 * For each unit: the median time of a request divided by its steps; for one core also the median
 * time of enqueuing one such kernel with no executor around it, which is the driver's own cost. The
 * two are measured in turn.
 *
 * Then what it takes to hand over to another unit: the second net with its operators on two units
 * in turn, less the same on the first of them, divided by the hand-overs.
 */
#include "host/base/memory.h"
#include "host/base/threads.h"
#include "tests/exec/net.h"
#include "tests/exec/rig.h"
#include <stdio.h>
#include <stdlib.h>

enum { MAX_REPEATS = 10000 };

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    return count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* --- the driver alone ------------------------------------------------------------------------ */

/* A launch may have more work-items than are asked for. */
static const char tiny_source[] =
    "kernel void tiny(global float *x) { if (get_global_id(0) == 0) { x[0] += 1.0f; } }\n";

typedef struct driver {
    clv_buffer *buffer;
    clv_program *program;
    clv_kernel *kernel;
    clv_queue *queue;
} driver;

static clv_status *open_driver(clv_device *device, driver *out) {
    const clv_device_vtable *v = device->vtable;
    const clv_program_desc desc = {
        .name = "tiny",
        .source = tiny_source,
        .source_bytes = sizeof tiny_source - 1,
        .options = ""};
    *out = (driver){.buffer = NULL};
    CLV_TRY(v->buffer_create(device, 4096, &out->buffer));
    CLV_TRY(v->program_create(device, &desc, &out->program));
    CLV_TRY(v->kernel_create(out->program, "tiny", &out->kernel));
    CLV_TRY(v->kernel_set_buffer(out->kernel, 0, out->buffer));
    return v->queue_create(device, CLV_QUEUE_COMPUTE, &out->queue);
}

static void close_driver(const clv_device *device, driver *d) {
    const clv_device_vtable *v = device->vtable;
    v->queue_destroy(d->queue);
    v->kernel_destroy(d->kernel);
    v->program_destroy(d->program);
    v->buffer_destroy(d->buffer);
}

/* `count` launches; returns microseconds for one. */
static clv_status *time_driver(clv_device *device, driver *d, size_t count, double *out_us) {
    double begin_us = clv_time_us();
    for (size_t i = 0; i < count; i++) {
        CLV_TRY(device->vtable->enqueue_kernel(d->queue, d->kernel, 1, 1, NULL, 0, NULL));
    }
    *out_us = (clv_time_us() - begin_us) / (double)count;
    return NULL;
}

/* --- a session ------------------------------------------------------------------------------- */

typedef struct operands {
    clv_view inputs[4];
    clv_mutable_view outputs[4];
} operands;

static clv_status *time_session(
    clv_session *session, const clv_graph *graph, const operands *o, double *out_us) {
    double begin_us = clv_time_us();
    CLV_TRY(clv_session_run(session, o->inputs, graph->num_inputs, o->outputs, graph->num_outputs));
    *out_us = clv_time_us() - begin_us;
    return NULL;
}

static clv_status *measure(clv_rig *rig, const char *name, const clv_graph *graph, int repeats) {
    static double request_us[MAX_REPEATS], launch_us[MAX_REPEATS];
    clv_exec_unit unit;
    clv_session *session = NULL;
    driver d = {.buffer = NULL};
    operands o = {0};
    double warm_us;
    CLV_TRY(clv_rig_open(rig, name, false, &unit));
    const bool core = unit.num_devices == 1 && unit.devices[0]->info.kind == CLV_DEVICE_CORE;
    clv_status *status = NULL;
    CLV_TRY_DONE(clv_net_inputs(graph, 1, o.inputs));
    CLV_TRY_DONE(clv_net_outputs(graph, o.outputs));
    CLV_TRY_DONE(clv_session_create(graph, &unit, 1, NULL, &session));
    if (core) {
        CLV_TRY_DONE(open_driver(unit.devices[0], &d));
        CLV_TRY_DONE(time_driver(unit.devices[0], &d, 10, &warm_us));
    }
    const size_t steps = clv_session_report_get(session)->steps;
    for (int i = -3; i < repeats; i++) { /* three to warm up */
        const int slot = i < 0 ? 0 : i;
        CLV_TRY_DONE(time_session(session, graph, &o, &request_us[slot]));
        if (core) {
            CLV_TRY_DONE(time_driver(unit.devices[0], &d, steps, &launch_us[slot]));
        }
    }
    printf(
        "%-8s %6zu steps %8.3f us a step", name, steps,
        median(request_us, repeats) / (double)steps);
    if (core) {
        const double launch = median(launch_us, repeats);
        printf(", of which a launch of the driver's %.3f us", launch);
    }
    printf("\n");
done:
    clv_session_destroy(session);
    if (core) {
        close_driver(unit.devices[0], &d);
    }
    clv_net_free_inputs(graph, o.inputs);
    clv_net_free_outputs(graph, o.outputs);
    clv_rig_close(&unit);
    return status;
}

/* --- two units ------------------------------------------------------------------------------- */

/* All operators on the first unit, or on both in turn. */
static clv_status *make_session(
    const clv_graph *graph, const clv_exec_unit units[2], bool alternates, clv_session **out) {
    clv_placement *placements = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *placements);
    clv_piece pieces[] = {{.unit = 0}, {.unit = 1}};
    clv_group group = {
        .placements = placements,
        .pieces = pieces,
        .num_pieces = 2,
        .num_stages = 1,
        .share = 1,
        .depth = 1};
    const clv_plan plan = {.groups = &group, .num_groups = 1};
    const clv_session_options options = {.plan = &plan};
    if (placements == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory");
    }
    for (size_t i = 0; i < graph->num_nodes; i++) {
        placements[i] = (clv_placement){
            .num_pieces = 1, .first_piece = alternates ? (uint32_t)(i % 2) : 0, .split = -1};
    }
    clv_status *status = clv_session_create(graph, units, 2, &options, out);
    clv_free(placements);
    return status;
}

static clv_status *measure_hand_over(
    clv_rig *rig, const char *const names[2], const clv_graph *graph, int repeats) {
    static double one_us[MAX_REPEATS], both_us[MAX_REPEATS];
    clv_exec_unit units[2] = {{.devices = NULL}};
    clv_session *one = NULL, *both = NULL;
    operands o = {0};
    clv_status *status = NULL;
    CLV_TRY_DONE(clv_rig_open(rig, names[0], false, &units[0]));
    CLV_TRY_DONE(clv_rig_open(rig, names[1], false, &units[1]));
    CLV_TRY_DONE(clv_net_inputs(graph, 1, o.inputs));
    CLV_TRY_DONE(clv_net_outputs(graph, o.outputs));
    CLV_TRY_DONE(make_session(graph, units, false, &one));
    CLV_TRY_DONE(make_session(graph, units, true, &both));
    for (int i = -3; i < repeats; i++) {
        const int slot = i < 0 ? 0 : i;
        CLV_TRY_DONE(time_session(one, graph, &o, &one_us[slot]));
        CLV_TRY_DONE(time_session(both, graph, &o, &both_us[slot]));
    }
    const double more_us = median(both_us, repeats) - median(one_us, repeats);
    printf(
        "%-8s and %-8s %8.3f us a hand-over\n", names[0], names[1],
        more_us / (double)(graph->num_nodes - 1));
done:
    clv_session_destroy(one);
    clv_session_destroy(both);
    clv_net_free_inputs(graph, o.inputs);
    clv_net_free_outputs(graph, o.outputs);
    clv_rig_close(&units[0]);
    clv_rig_close(&units[1]);
    return status;
}

static clv_status *measure_hand_overs(clv_rig *rig, const clv_graph *graph, int repeats) {
    static const char *const pairs[][2] = {
        {"core:0", "core:1"},
        {"core:0", "threaded"},
        {"threaded", "threaded#2"},
        {"other", "threaded"},
    };
    printf("another unit for each operator\n");
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char texts[2][96];
        const char *const names[2] = {texts[0], texts[1]};
        if (clv_rig_resolve(rig, pairs[i][0], texts[0], sizeof texts[0]) &&
            clv_rig_resolve(rig, pairs[i][1], texts[1], sizeof texts[1])) {
            CLV_TRY(measure_hand_over(rig, names, graph, repeats));
        }
    }
    return NULL;
}

static clv_status *make_mixed(size_t length, clv_graph **out_graph) {
    clv_net net;
    clv_net_init(&net, 4);
    clv_tensor_id first = clv_net_input(&net, "x", CLV_FLOAT32, DIMS(4, 4)), x = first;
    clv_tensor_id weight = clv_net_weight(&net, "w", DIMS(4, 4));
    for (size_t i = 0; i < length; i++) {
        static const char *const ops[] = {"Relu", "MatMul", "Softmax", "Transpose", "Add"};
        const size_t kind = i % (sizeof ops / sizeof ops[0]);
        const clv_tensor_id second = kind == 1 ? weight : kind == 4 ? first : CLV_NO_ID;
        char name[32];
        snprintf(name, sizeof name, "node%zu", i);
        x = clv_net_node(&net, ops[kind], name, IDS(x, second), kind == 3 ? "perm=1,0" : "");
    }
    clv_net_output(&net, x);
    return clv_net_finish(&net, out_graph);
}

static clv_status *measure_all(
    clv_rig *rig, const char *what, const clv_graph *graph, int repeats) {
    const char *const names[] = {"core:0", "cpu", clv_rig_first(rig, CLV_UNIT_CL)};
    printf("%s\n", what);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i][0] != '\0') {
            CLV_TRY(measure(rig, names[i], graph, repeats));
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    const int length = argc > 1 ? atoi(argv[1]) : 400, repeats = argc > 2 ? atoi(argv[2]) : 300;
    if (length < 1 || repeats < 1 || repeats > MAX_REPEATS) {
        fprintf(stderr, "usage: step_bench [LENGTH [REPEATS]]\n");
        return 2;
    }
    clv_rig rig = {.ocl = NULL};
    clv_graph *chain = NULL, *mixed = NULL;
    clv_status *status = NULL;
    CLV_TRY_DONE(clv_rig_init(&rig, clv_num_processors() > 1 ? clv_num_processors() : 2, 2));
    CLV_TRY_DONE(clv_net_chain((size_t)length, 16, &chain));
    CLV_TRY_DONE(make_mixed((size_t)length, &mixed));
    CLV_TRY_DONE(measure_all(&rig, "one kernel", chain, repeats));
    CLV_TRY_DONE(measure_all(&rig, "five kernels", mixed, repeats));
    CLV_TRY_DONE(measure_hand_overs(&rig, mixed, repeats));
done:
    clv_graph_destroy(chain);
    clv_graph_destroy(mixed);
    clv_rig_deinit(&rig);
    if (status != NULL) {
        fprintf(stderr, "step_bench: %s\n", clv_status_message(status));
        clv_status_destroy(status);
        return 1;
    }
    return 0;
}
