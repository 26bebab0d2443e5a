#include "host/passes/compute.h"

#include "host/ops/op.h"

void clv_compute_budget_init(
    const clv_graph *graph, double fixed_bytes, double growth, clv_compute_budget *out_budget) {
    double constant_bytes = 0;
    for (size_t i = 0; i < graph->num_tensors; i++) {
        const clv_tensor *tensor = &graph->tensors[i];
        if (tensor->kind == CLV_TENSOR_CONSTANT) {
            constant_bytes += (double)clv_view_bytes(tensor->dtype, &tensor->shape);
        }
    }
    *out_budget = (clv_compute_budget){.bytes = fixed_bytes + growth * constant_bytes, .work = 4e9};
}

bool clv_compute_take(clv_compute_budget *budget, double bytes) {
    if (bytes > budget->bytes) {
        return false;
    }
    budget->bytes -= bytes;
    return true;
}

bool clv_compute_charge(clv_compute_budget *budget, const clv_call *call, double max_work) {
    clv_cost cost;
    clv_call_cost(call, &cost);
    double bytes = 0;
    for (size_t i = 0; i < call->num_outputs; i++) {
        if (call->outputs[i].dtype != CLV_DTYPE_NONE) {
            bytes += (double)clv_view_bytes(call->outputs[i].dtype, &call->outputs[i].shape);
        }
    }
    double work =
        cost.flops + cost.read_bytes + bytes; /* a VIEW costs a device nothing, us a copy */
    if (work > budget->work || work > max_work || !clv_compute_take(budget, bytes)) {
        return false;
    }
    budget->work -= work;
    return true;
}

clv_status *clv_compute_call(
    const clv_graph *graph, const clv_node *node, clv_arena *scratch, clv_call *out_call) {
    CLV_TRY(clv_call_from_node(graph, node, scratch, out_call));
    clv_view *inputs =
        clv_arena_copy(scratch, out_call->inputs, node->num_inputs * sizeof *out_call->inputs);
    if (inputs == NULL) {
        return CLV_NO_ARENA("the operands of a node");
    }
    for (size_t i = 0; i < node->num_inputs; i++) {
        if (node->inputs[i] != CLV_NO_ID) {
            inputs[i].data = graph->tensors[node->inputs[i]].data;
        }
    }
    out_call->inputs = inputs;
    return NULL;
}

bool clv_compute_is_known(const clv_call *call) {
    if ((call->op->flags & CLV_OP_FROM_SHAPE) != 0) {
        return true;
    }
    for (size_t i = 0; i < call->num_inputs; i++) {
        if (clv_call_has_input(call, i) && call->inputs[i].data == NULL) {
            return false;
        }
    }
    return true;
}

bool clv_compute_is_constant(const clv_graph *graph, const clv_node *node) {
    for (size_t i = 0; i < node->num_inputs; i++) {
        if (node->inputs[i] != CLV_NO_ID &&
            graph->tensors[node->inputs[i]].kind != CLV_TENSOR_CONSTANT) {
            return false;
        }
    }
    return true;
}

static bool is_wanted(const clv_node *node, uint32_t wanted, size_t index) {
    return node->outputs[index] != CLV_NO_ID && (index >= 32 || (wanted >> index & 1) != 0);
}

clv_status *clv_compute_outputs(
    clv_graph *graph, const clv_node *node, const clv_call *call, uint32_t wanted, bool is_constant,
    clv_compute_allocate allocate, void *context) {
    clv_arena scratch;
    clv_status *status = NULL;
    clv_arena_init(&scratch, 0);
    clv_mutable_view *outputs = clv_arena_alloc(&scratch, node->num_outputs, sizeof *outputs);
    if (outputs == NULL) {
        status = CLV_NO_ARENA("the value of a node");
        goto done;
    }
    for (size_t i = 0; i < node->num_outputs; i++) {
        const clv_view *view = &call->outputs[i];
        if (!is_wanted(node, wanted, i)) {
            continue;
        }
        size_t bytes = clv_view_bytes(view->dtype, &view->shape);
        outputs[i] = (clv_mutable_view){.dtype = view->dtype, .shape = view->shape};
        outputs[i].data = allocate(context, node->outputs[i], bytes);
        if (outputs[i].data == NULL) {
            status = CLV_ERROR(NO_MEMORY, "out of host memory for %zu bytes", bytes);
            goto done;
        }
    }
    CLV_TRY_DONE(clv_call_reference(call, outputs));
    for (size_t i = 0; i < node->num_outputs; i++) {
        if (is_wanted(node, wanted, i)) {
            clv_tensor *tensor = &graph->tensors[node->outputs[i]];
            tensor->data = outputs[i].data;
            if (is_constant) {
                tensor->kind = CLV_TENSOR_CONSTANT;
                tensor->producer = CLV_NO_ID;
            }
        }
    }
done:
    clv_arena_deinit(&scratch);
    return status;
}
