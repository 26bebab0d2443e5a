/* Chains of elementwise operators become one node: one launch, and no tensor in between. A node
 * takes in what makes an input of its shape, where nothing else reads that. What is joined keeps
 * the operator of its last node and has its expression as params; it is then written with the
 * operations that its functions have of their own (program.h). */
#include "host/base/memory.h"
#include "host/passes/passes.h"
#include "host/passes/program.h"
#include "host/passes/rewrite.h"

clv_status *clv_pass_join_pointwise(clv_graph *graph) CLV_CHECKED;

typedef struct joiner {
    clv_graph *graph;
    clv_uses uses;
    clv_arena scratch;
    clv_pointwise_program **programs; /* [num_nodes]; NULL: not pointwise */
    clv_node_id *owner;               /* [num_nodes]: that took the node in, or itself */
} joiner;

/* The node that is left of one that was taken in. */
static clv_node_id owner_of(const joiner *j, clv_node_id id) {
    while (j->owner[id] != id) {
        j->owner[id] = j->owner[j->owner[id]];
        id = j->owner[id];
    }
    return id;
}

static bool is_read_by_one(const joiner *j, clv_tensor_id id, clv_node_id reader) {
    for (uint32_t i = j->uses.offsets[id]; i < j->uses.offsets[id + 1]; i++) {
        if (owner_of(j, j->uses.nodes[i]) != reader) {
            return false;
        }
    }
    return j->uses.outputs[id] == 0;
}

/* What makes input `slot` of `reader`'s program, if it can be taken in. */
static clv_node_id find_inner(const joiner *j, clv_node_id reader, uint32_t slot) {
    const clv_graph *graph = j->graph;
    clv_tensor_id id = j->programs[reader]->inputs[slot];
    const clv_tensor *tensor = &graph->tensors[id];
    const clv_tensor *output = &graph->tensors[graph->nodes[reader].outputs[0]];
    bool fits = tensor->producer != CLV_NO_ID && j->programs[tensor->producer] != NULL &&
                tensor->dtype == CLV_FLOAT32 && clv_shape_equal(&tensor->shape, &output->shape);
    return fits && is_read_by_one(j, id, reader) ? tensor->producer : CLV_NO_ID;
}

static clv_status *take_in(joiner *j, clv_node_id reader, bool *out_changed) {
    clv_pointwise_program *program = j->programs[reader];
    for (uint32_t slot = 0; slot < program->num_inputs; slot++) {
        clv_node_id inner = find_inner(j, reader, slot);
        clv_pointwise_program joined;
        if (inner == CLV_NO_ID || !clv_program_inline(program, slot, j->programs[inner], &joined)) {
            continue;
        }
        *program = joined;
        j->owner[inner] = reader;
        CLV_TRY(clv_pass_adopt(j->graph, reader, inner));
        clv_graph_remove_node(j->graph, inner);
        *out_changed = true;
        return NULL;
    }
    return NULL;
}

static clv_status *join_node(joiner *j, clv_node_id id) {
    clv_pointwise_program program;
    bool is_changed = false;
    j->owner[id] = id;
    if (!clv_program_of_node(j->graph, &j->graph->nodes[id], &program)) {
        return NULL;
    }
    j->programs[id] = clv_arena_copy(&j->scratch, &program, sizeof program);
    if (j->programs[id] == NULL) {
        return CLV_NO_ARENA("an elementwise operator");
    }
    for (bool goes_on = true; goes_on;) {
        goes_on = false;
        CLV_TRY(take_in(j, id, &goes_on));
        is_changed = is_changed || goes_on;
    }
    return is_changed ? clv_program_put(j->graph, id, j->programs[id]) : NULL;
}

clv_status *clv_pass_join_pointwise(clv_graph *graph) {
    joiner j = {.graph = graph};
    clv_status *status = NULL;
    CLV_TRY(clv_uses_init(graph, &j.uses));
    clv_arena_init(&j.scratch, 0);
    j.programs = clv_alloc_zeroed(graph->num_nodes + 1, sizeof(clv_pointwise_program *));
    j.owner = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *j.owner);
    if (j.programs == NULL || j.owner == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for joining operators");
        goto done;
    }
    for (clv_node_id id = 0; id < graph->num_nodes; id++) {
        j.owner[id] = id;
    }
    for (clv_node_id id = 0; id < graph->num_nodes; id++) {
        CLV_TRY_DONE(join_node(&j, id));
    }
done:
    clv_uses_deinit(&j.uses);
    clv_arena_deinit(&j.scratch);
    clv_free(j.programs);
    clv_free(j.owner);
    return status;
}
