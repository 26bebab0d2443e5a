#include "host/workload/from_graph.h"

#include "host/base/memory.h"
#include "host/ops/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a workload")

typedef struct maker {
    const clv_graph *graph;
    clv_workload *workload;
    uint32_t
        *tensor_of; /* [num_tensors of the graph]: CLV_NO_INDEX where it is no task's business */
    clv_uses uses;
} maker;

static bool moves_nothing(const clv_node *node) {
    return (node->op->flags & (CLV_OP_VIEW | CLV_OP_FROM_SHAPE)) != 0;
}

bool clv_call_is_in_place(const clv_call *call) {
    int64_t first;
    bool takes = call->op->takes_run != NULL, places = call->op->places_run != NULL;
    for (size_t i = 0; i < call->num_outputs && takes; i++) {
        takes = call->outputs[i].dtype == CLV_DTYPE_NONE || call->op->takes_run(call, i, &first);
    }
    for (size_t i = 0; i < call->num_inputs && places; i++) {
        places = call->inputs[i].data == NULL && call->op->places_run(call, i, &first);
    }
    return call->epilogue == NULL && (takes || places);
}

bool clv_call_has_shares(const clv_call *call) {
    const bool moves = (call->op->flags & (CLV_OP_VIEW | CLV_OP_FROM_SHAPE)) == 0;
    return call->op->kernels != NULL && moves && !clv_call_is_in_place(call);
}

/* What lies in its place already may be cut where that keeps readers' pieces as they are; a cut
 * along an axis whose pieces are runs of it gives nothing that the whole has not. */
static bool is_useless(const clv_call *call, const clv_split *split) {
    return split->join == CLV_JOIN_PLACE && clv_call_is_in_place(call) &&
           clv_shape_product(&call->outputs[0].shape, 0, split->axis) == 1;
}

clv_status *clv_call_useful_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    CLV_TRY(clv_call_splits(call, arena, out_list));
    for (size_t i = 0; i < out_list->num_splits; i++) {
        clv_split *split = &out_list->splits[i];
        split->grain = is_useless(call, split) ? split->extent : split->grain;
    }
    return NULL;
}

static const clv_task_time no_time[] = {
    {.where = "*", .time_us = 0, .origin = CLV_ORIGIN_GIVEN},
};

/* --- tensors --- */

static clv_status *fill_tensor(maker *m, clv_tensor_id id, clv_task_tensor *out_tensor) {
    const clv_tensor *tensor = &m->graph->tensors[id];
    clv_arena *arena = &m->workload->arena;
    uint64_t bytes = clv_view_bytes(tensor->dtype, &tensor->shape);
    bool is_view =
        tensor->producer != CLV_NO_ID && moves_nothing(&m->graph->nodes[tensor->producer]);
    uint32_t num_reads = m->uses.offsets[id + 1] - m->uses.offsets[id];
    uint32_t *consumers = clv_arena_alloc(arena, num_reads, sizeof *consumers);
    *out_tensor = (clv_task_tensor){
        .name = clv_arena_strdup(arena, tensor->name),
        .bytes = bytes,
        .resident = is_view ? 0 : bytes, /* a view lies in the memory of what it views */
        .producer = tensor->producer == CLV_NO_ID ? CLV_NO_TASK : tensor->producer,
        .consumers = consumers,
        .is_output = m->uses.outputs[id] > 0,
        .num_dims = tensor->shape.rank,
        .dims = clv_arena_copy(
            arena, tensor->shape.dims, (size_t)tensor->shape.rank * sizeof tensor->shape.dims[0])};
    if (out_tensor->name == NULL || consumers == NULL || out_tensor->dims == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = m->uses.offsets[id]; i < m->uses.offsets[id + 1]; i++) {
        uint32_t reader = m->uses.nodes[i];
        if (out_tensor->num_consumers == 0 || consumers[out_tensor->num_consumers - 1] != reader) {
            consumers[out_tensor->num_consumers++] = reader; /* in node order; a reader once */
        }
    }
    return NULL;
}

static clv_status *add_tensors(maker *m) {
    const clv_graph *graph = m->graph;
    clv_workload *workload = m->workload;
    workload->tensors =
        clv_arena_alloc(&workload->arena, graph->num_tensors + 1, sizeof *workload->tensors);
    if (workload->tensors == NULL) {
        return NO_MEMORY_HERE();
    }
    for (clv_tensor_id id = 0; id < graph->num_tensors; id++) {
        m->tensor_of[id] = UINT32_MAX;
        if (graph->tensors[id].kind != CLV_TENSOR_CONSTANT) {
            m->tensor_of[id] = workload->num_tensors;
            CLV_TRY(fill_tensor(m, id, &workload->tensors[workload->num_tensors++]));
        }
    }
    return NULL;
}

/* --- splits --- */

static clv_task_split_input convert_input(const clv_split_input *input) {
    return (clv_task_split_input){
        .need = input->need == CLV_NEED_WHOLE ? CLV_TASK_WHOLE : CLV_TASK_SLICE,
        .axis = input->axis,
        .num = input->num > 0 ? input->num : 1,
        .den = input->den > 0 ? input->den : 1,
        .before = input->before,
        .after = input->after};
}

static bool are_equal(const clv_task_split_input *a, const clv_task_split_input *b) {
    return a->need == b->need && (a->need == CLV_TASK_WHOLE ||
                                  (a->axis == b->axis && a->num == b->num && a->den == b->den &&
                                   a->before == b->before && a->after == b->after));
}

/* A tensor read through two slots is needed as both say: whole, unless they say the same. */
static void merge_input(
    clv_task_split_input *into, bool is_first, const clv_task_split_input *input) {
    if (is_first) {
        *into = *input;
    } else if (!are_equal(into, input)) {
        *into = (clv_task_split_input){.need = CLV_TASK_WHOLE, .num = 1, .den = 1};
    }
}

/* A piece that needs more of an input than others have in one place puts that together first: it
 * reads and writes it once more; and so does a reader of outputs whose pieces are no runs of
 * elements. As a share of what the operator does, at ten flops a byte. */
static double gathering_share(const clv_call *call, const clv_split *split) {
    clv_cost cost;
    double bytes = 0;
    clv_call_cost(call, &cost);
    for (size_t i = 0; i < call->num_inputs; i++) {
        const clv_split_input *need = &split->inputs[i];
        const clv_view *input = &call->inputs[i];
        const bool has_halo =
            need->need == CLV_NEED_SLICE && (need->before != 0 || need->after != 0);
        if (input->dtype != CLV_DTYPE_NONE && input->data == NULL && has_halo &&
            clv_shape_product(&input->shape, 0, need->axis) > 1) {
            bytes += 2 * (double)clv_view_bytes(input->dtype, &input->shape);
        }
    }
    if (split->join == CLV_JOIN_PLACE && call->outputs[0].dtype != CLV_DTYPE_NONE &&
        clv_shape_product(&call->outputs[0].shape, 0, split->axis) > 1) {
        bytes += 2 * (double)clv_view_bytes(call->outputs[0].dtype, &call->outputs[0].shape);
    }
    const double work = fmax(cost.read_bytes + cost.write_bytes, cost.flops / 10);
    return work > 0 ? fmin(0.5, bytes / work) : 0;
}

static clv_status *convert_split(
    maker *m, const clv_node *node, const clv_call *call, const clv_task *task,
    const clv_split *split, clv_task_split *out_split) {
    clv_arena *arena = &m->workload->arena;
    clv_task_split_input *inputs = clv_arena_alloc(arena, task->num_inputs, sizeof *inputs);
    bool *is_set = clv_arena_alloc(arena, task->num_inputs, sizeof *is_set);
    *out_split = (clv_task_split){
        .name = clv_arena_strdup(arena, split->name),
        .join = split->join == CLV_JOIN_SUM ? CLV_TASK_SUM : CLV_TASK_PLACE,
        .axis = split->join == CLV_JOIN_SUM ? -1 : split->axis,
        .extent = split->extent,
        .grain = split->grain,
        .fixed_share = gathering_share(call, split),
        .inputs = inputs};
    if (inputs == NULL || is_set == NULL || out_split->name == NULL) {
        return NO_MEMORY_HERE();
    }
    for (size_t i = 0; i < node->num_inputs; i++) {
        clv_tensor_id id = node->inputs[i];
        if (id == CLV_NO_ID) {
            continue;
        }
        clv_task_split_input input = convert_input(&split->inputs[i]);
        if (m->tensor_of[id] == UINT32_MAX) {
            out_split->splits_weights = out_split->splits_weights || input.need == CLV_TASK_SLICE;
            continue;
        }
        for (uint32_t k = 0; k < task->num_inputs; k++) {
            if (task->inputs[k] == m->tensor_of[id]) {
                merge_input(&inputs[k], !is_set[k], &input);
                is_set[k] = true;
            }
        }
    }
    return NULL;
}

/* All of what it reads is there for all, and its weights are there once. */
static clv_status *add_shares(maker *m, clv_task *task, clv_task_split *out_split) {
    clv_task_split_input *inputs =
        clv_arena_alloc(&m->workload->arena, (size_t)task->num_inputs + 1, sizeof *inputs);
    if (inputs == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < task->num_inputs; i++) {
        inputs[i] = (clv_task_split_input){.need = CLV_TASK_WHOLE, .num = 1, .den = 1};
    }
    *out_split = (clv_task_split){
        .name = "work-items",
        .join = CLV_TASK_SHARE,
        .axis = -1,
        .extent = CLV_SHARES,
        .grain = 1,
        .splits_weights = true,
        .inputs = inputs,
    };
    task->num_splits++;
    return NULL;
}

static clv_status *add_splits(
    maker *m, const clv_node *node, const clv_call *call, clv_task *task) {
    clv_arena scratch;
    clv_split_list list = {0};
    clv_status *status = NULL;
    clv_arena_init(&scratch, 0);
    CLV_TRY_DONE(clv_call_useful_splits(call, &scratch, &list));
    clv_task_split *splits =
        clv_arena_alloc(&m->workload->arena, list.num_splits + 1, sizeof *splits);
    if (splits == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    task->splits = splits;
    for (size_t i = 0; i < list.num_splits; i++) {
        CLV_TRY_DONE(
            convert_split(m, node, call, task, &list.splits[i], &splits[task->num_splits]));
        task->num_splits++;
    }
    if (clv_call_has_shares(call)) {
        CLV_TRY_DONE(add_shares(m, task, &splits[task->num_splits]));
    }
done:
    clv_arena_deinit(&scratch);
    return status;
}

/* --- tasks --- */

static int compare_ids(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static clv_status *add_operands(maker *m, const clv_node *node, clv_task *task) {
    clv_arena *arena = &m->workload->arena;
    uint32_t *inputs = clv_arena_alloc(arena, node->num_inputs, sizeof *inputs);
    uint32_t *outputs = clv_arena_alloc(arena, node->num_outputs, sizeof *outputs);
    if (inputs == NULL || outputs == NULL) {
        return NO_MEMORY_HERE();
    }
    task->inputs = inputs;
    task->outputs = outputs;
    for (size_t i = 0; i < node->num_inputs; i++) {
        clv_tensor_id id = node->inputs[i];
        bool is_new = id != CLV_NO_ID && m->tensor_of[id] != UINT32_MAX;
        for (uint32_t k = 0; is_new && k < task->num_inputs; k++) {
            is_new = inputs[k] != m->tensor_of[id];
        }
        if (is_new) {
            inputs[task->num_inputs++] = m->tensor_of[id];
        }
    }
    for (size_t i = 0; i < node->num_outputs; i++) {
        if (node->outputs[i] != CLV_NO_ID) {
            outputs[task->num_outputs++] = m->tensor_of[node->outputs[i]];
        }
    }
    qsort(inputs, task->num_inputs, sizeof *inputs, compare_ids);
    qsort(outputs, task->num_outputs, sizeof *outputs, compare_ids);
    return NULL;
}

static clv_status *add_names(maker *m, const clv_node *node, clv_task *task) {
    clv_arena *arena = &m->workload->arena;
    const char **aliases = clv_arena_alloc(arena, node->num_origins, sizeof *aliases);
    task->name = clv_arena_strdup(arena, node->name);
    task->type = clv_arena_strdup(arena, node->op_type);
    if (aliases == NULL || task->name == NULL || task->type == NULL) {
        return NO_MEMORY_HERE();
    }
    task->aliases = aliases;
    for (size_t i = 0; i < node->num_origins; i++) {
        aliases[i] = clv_arena_strdup(arena, node->origins[i]);
        if (aliases[i] == NULL) {
            return NO_MEMORY_HERE();
        }
        task->num_aliases++;
    }
    return NULL;
}

static clv_status *fill_task(maker *m, const clv_node *node, clv_arena *scratch, clv_task *task) {
    clv_call call;
    clv_cost cost;
    CLV_TRY(add_names(m, node, task));
    CLV_TRY(add_operands(m, node, task));
    CLV_TRY(clv_call_from_node(m->graph, node, scratch, &call));
    if (moves_nothing(node) || clv_call_is_in_place(&call)) {
        task->times = no_time;
        task->num_times = 1;
    } else {
        clv_call_cost(&call, &cost);
        task->flops = cost.flops;
        task->traffic_bytes = cost.read_bytes + cost.write_bytes;
        task->weight_bytes = (uint64_t)cost.weight_bytes;
    }
    return add_splits(m, node, &call, task);
}

static clv_status *add_tasks(maker *m) {
    const clv_graph *graph = m->graph;
    clv_workload *workload = m->workload;
    workload->tasks =
        clv_arena_alloc(&workload->arena, graph->num_nodes + 1, sizeof *workload->tasks);
    if (workload->tasks == NULL) {
        return NO_MEMORY_HERE();
    }
    for (size_t i = 0; i < graph->num_nodes; i++) {
        clv_arena scratch;
        clv_arena_init(&scratch, 0);
        clv_status *status =
            fill_task(m, &graph->nodes[i], &scratch, &workload->tasks[workload->num_tasks++]);
        clv_arena_deinit(&scratch);
        CLV_TRY(status);
    }
    return NULL;
}

clv_status *clv_workload_from_graph(const clv_graph *graph, clv_workload **out_workload) {
    maker m = {.graph = graph};
    clv_status *status = NULL;
    *out_workload = NULL;
    CLV_TRY(clv_uses_init(graph, &m.uses));
    m.workload = clv_alloc_zeroed(1, sizeof *m.workload);
    m.tensor_of = clv_alloc_zeroed(graph->num_tensors + 1, sizeof *m.tensor_of);
    if (m.workload == NULL || m.tensor_of == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    clv_arena_init(&m.workload->arena, 0);
    m.workload->name = clv_arena_strdup(&m.workload->arena, graph->name);
    m.workload->hash = graph->hash;
    if (m.workload->name == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    CLV_TRY_DONE(add_tensors(&m));
    CLV_TRY_DONE(add_tasks(&m));
    CLV_TRY_DONE(clv_workload_verify(m.workload));
    *out_workload = m.workload;
    m.workload = NULL;
done:
    clv_uses_deinit(&m.uses);
    clv_free(m.tensor_of);
    clv_workload_destroy(m.workload);
    return status;
}
