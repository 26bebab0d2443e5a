#include "host/ops/op.h"
#include "kernels_cl/elementwise/elementwise.h"

void clv_cost_default(const clv_call *call, clv_cost *out_cost) {
    clv_cost cost = {.flops = 0};
    *out_cost = cost;
    if ((call->op->flags & (CLV_OP_VIEW | CLV_OP_FROM_SHAPE)) != 0) {
        return; /* no data moves */
    }
    for (size_t i = 0; i < call->num_inputs; i++) {
        if (!clv_call_has_input(call, i)) {
            continue;
        }
        const clv_view *input = &call->inputs[i];
        double bytes = (double)clv_view_bytes(input->dtype, &input->shape);
        cost.read_bytes += bytes;
        cost.weight_bytes += input->data != NULL ? bytes : 0;
    }
    for (size_t i = 0; i < call->num_outputs; i++) {
        const clv_view *output = &call->outputs[i];
        if (output->dtype != CLV_DTYPE_NONE) {
            cost.flops += (double)clv_shape_elements(&output->shape);
            cost.write_bytes += (double)clv_view_bytes(output->dtype, &output->shape);
        }
    }
    *out_cost = cost;
}

static void cost_without_epilogue(const clv_call *call, clv_cost *out_cost) {
    if (call->op->cost != NULL) {
        call->op->cost(call, out_cost);
    } else {
        clv_cost_default(call, out_cost);
    }
}

void clv_call_cost(const clv_call *call, clv_cost *out_cost) {
    const clv_call bare = clv_call_bare(call);
    cost_without_epilogue(&bare, out_cost);
    if (call->epilogue == NULL) {
        return;
    }
    const clv_ew_expr *expr = call->epilogue->expr;
    double elements = (double)clv_shape_elements(&call->outputs[0].shape);
    for (uint32_t s = 0; s < expr->num_steps; s++) {
        out_cost->flops += clv_ew_op_find(expr->domain, expr->steps[s].op)->flops * elements;
    }
    for (size_t i = bare.num_inputs; i < call->num_inputs; i++) {
        double bytes = (double)clv_view_bytes(call->inputs[i].dtype, &call->inputs[i].shape);
        out_cost->read_bytes += bytes;
        out_cost->weight_bytes += call->inputs[i].data != NULL ? bytes : 0;
    }
}

clv_status *clv_node_cost(const clv_graph *graph, const clv_node *node, clv_cost *out_cost) {
    clv_arena arena;
    clv_call call;
    *out_cost = (clv_cost){.flops = 0};
    clv_arena_init(&arena, 0);
    clv_status *status = clv_call_from_node(graph, node, &arena, &call);
    if (status == NULL) {
        clv_call_cost(&call, out_cost);
    }
    clv_arena_deinit(&arena);
    return status;
}
