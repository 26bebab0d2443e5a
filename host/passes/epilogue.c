/* An elementwise node goes into the store of the operator that makes one of its inputs, where
 * nothing else reads that input and it has the shape of the node's output: bias, activation,
 * residual sum, scale. Where several inputs could take it, the one made last does. The operator
 * then stands where the node stood, so that the node's other inputs are there before it. What its
 * kernels' stores cannot do stays a node of its own. */
#include "host/base/memory.h"
#include "host/passes/passes.h"
#include "host/passes/program.h"
#include "host/passes/rewrite.h"

clv_status *clv_pass_epilogue(clv_graph *graph) CLV_CHECKED;

typedef struct fuser {
    clv_graph *graph;
    clv_uses uses;
    const char *note; /* about the node looked at: why it stays */
} fuser;

static bool is_read_once(const fuser *f, clv_tensor_id id, clv_node_id reader) {
    for (uint32_t i = f->uses.offsets[id]; i < f->uses.offsets[id + 1]; i++) {
        if (f->uses.nodes[i] != reader) {
            return false;
        }
    }
    return f->uses.outputs[id] == 0;
}

static bool has_one_output(const clv_node *node) {
    for (size_t i = 1; i < node->num_outputs; i++) {
        if (node->outputs[i] != CLV_NO_ID) {
            return false;
        }
    }
    return true;
}

/* Whether what makes `id` can take the node; sets the note where it is close to. */
static bool can_take(fuser *f, clv_node_id reader, clv_tensor_id id) {
    const clv_graph *graph = f->graph;
    const clv_tensor *tensor = &graph->tensors[id];
    const clv_node *node = &graph->nodes[reader];
    if (tensor->producer == CLV_NO_ID || tensor->dtype != CLV_FLOAT32) {
        return false;
    }
    const clv_node *maker = &graph->nodes[tensor->producer];
    if (maker->op->takes_epilogue == NULL || !has_one_output(maker)) {
        return false;
    }
    const char *why = !is_read_once(f, id, reader) ? "its result is read elsewhere too"
                      : maker->epilogue != NULL    ? "it has an epilogue already"
                      : !clv_shape_equal(&tensor->shape, &graph->tensors[node->outputs[0]].shape)
                          ? "its result is repeated"
                          : NULL;
    f->note = why != NULL ? why : f->note;
    return why == NULL;
}

/* Floats alone: what epilogues of all kernels read. */
static bool reads_floats(const clv_graph *graph, const clv_pointwise_program *program) {
    for (uint32_t i = 0; i < program->num_inputs; i++) {
        if (graph->tensors[program->inputs[i]].dtype != CLV_FLOAT32) {
            return false;
        }
    }
    return true;
}

/* The slot of the input whose maker takes the node; num_inputs: none. */
static uint32_t choose_slot(fuser *f, clv_node_id id, const clv_pointwise_program *program) {
    uint32_t best = program->num_inputs;
    for (uint32_t slot = 0; slot < program->num_inputs; slot++) {
        const clv_tensor *tensors = f->graph->tensors;
        if (can_take(f, id, program->inputs[slot]) &&
            (best == program->num_inputs ||
             tensors[program->inputs[slot]].producer > tensors[program->inputs[best]].producer)) {
            best = slot;
        }
    }
    return best;
}

/* The expression with input `slot` as operand 0, the others behind it in their order. */
static clv_ew_expr renumber(const clv_pointwise_program *program, uint32_t slot) {
    clv_ew_expr expr = program->expr;
    for (uint32_t s = 0; s < expr.num_steps; s++) {
        for (uint32_t i = 0; i < 3; i++) {
            uint32_t *operand = &expr.steps[s].operands[i];
            if (*operand < CLV_EW_RESULT) {
                *operand = *operand == slot ? 0 : *operand < slot ? *operand + 1 : *operand;
            }
        }
    }
    return expr;
}

/* The maker's own inputs, what it leaves out among them, then the others of the program. */
static clv_status *set_inputs(
    clv_graph *graph, clv_node *maker, const clv_pointwise_program *program, uint32_t slot) {
    size_t own = (size_t)maker->op->max_inputs, count = own + program->num_inputs - 1;
    clv_tensor_id *inputs = clv_arena_alloc(&graph->arena, count + 1, sizeof *inputs);
    if (inputs == NULL) {
        return CLV_NO_ARENA("the inputs of a node");
    }
    for (size_t i = 0; i < own; i++) {
        inputs[i] = i < maker->num_inputs ? maker->inputs[i] : CLV_NO_ID;
    }
    for (uint32_t i = 0; i < program->num_inputs; i++) {
        if (i != slot) {
            inputs[own + (i < slot ? i : i - 1)] = program->inputs[i];
        }
    }
    maker->inputs = inputs;
    maker->num_inputs = count;
    return NULL;
}

/* The maker of input `slot` with the program as its epilogue, not yet in the graph. */
static clv_status *make_fused(
    clv_graph *graph, const clv_pointwise_program *program, uint32_t slot, clv_node *out_node) {
    clv_node node = graph->nodes[graph->tensors[program->inputs[slot]].producer];
    const clv_ew_expr expr = renumber(program, slot);
    const clv_epilogue epilogue = {
        .expr = clv_arena_copy(&graph->arena, &expr, sizeof expr),
        .first_input = (uint32_t)node.op->max_inputs,
        .text = clv_program_text_of(&expr, &graph->arena),
    };
    node.epilogue = clv_arena_copy(&graph->arena, &epilogue, sizeof epilogue);
    if (epilogue.expr == NULL || epilogue.text == NULL || node.epilogue == NULL) {
        return CLV_NO_ARENA("an epilogue");
    }
    CLV_TRY(set_inputs(graph, &node, program, slot));
    *out_node = node;
    return NULL;
}

static clv_status *is_taken(const clv_graph *graph, const clv_node *node, bool *out_taken) {
    clv_arena scratch;
    clv_call call;
    clv_arena_init(&scratch, 0);
    clv_status *status = clv_call_from_node(graph, node, &scratch, &call);
    *out_taken = status == NULL && node->op->takes_epilogue(&call);
    clv_arena_deinit(&scratch);
    return status;
}

/* The fused node stands where `id` stood. */
static clv_status *put(fuser *f, clv_node_id id, clv_tensor_id between, const clv_node *fused) {
    clv_graph *graph = f->graph;
    clv_node_id maker = graph->tensors[between].producer;
    clv_tensor_id output = graph->nodes[id].outputs[0];
    CLV_TRY(clv_pass_adopt(graph, maker, id));
    clv_node old = graph->nodes[id];
    old.removed = true;
    clv_node node = *fused;
    node.origins = graph->nodes[maker].origins;
    node.num_origins = graph->nodes[maker].num_origins;
    node.outputs[0] = output;
    graph->nodes[id] = node;
    graph->nodes[maker] = old;
    graph->tensors[output].producer = id;
    graph->tensors[between].producer = CLV_NO_ID;
    return NULL;
}

static clv_status *try_node(fuser *f, clv_node_id id) {
    clv_graph *graph = f->graph;
    clv_pointwise_program program;
    f->note = NULL;
    if (!clv_program_of_node(graph, &graph->nodes[id], &program) ||
        graph->tensors[graph->nodes[id].outputs[0]].dtype != CLV_FLOAT32) {
        return NULL;
    }
    uint32_t slot = choose_slot(f, id, &program);
    if (slot < program.num_inputs && !reads_floats(graph, &program)) {
        f->note = "an epilogue reads float32 alone";
    } else if (slot < program.num_inputs) {
        clv_node fused;
        bool taken = false;
        CLV_TRY(make_fused(graph, &program, slot, &fused));
        CLV_TRY(is_taken(graph, &fused, &taken));
        if (taken) {
            return put(f, id, program.inputs[slot], &fused);
        }
        f->note = "its store cannot do that";
    }
    if (f->note != NULL) {
        graph->nodes[id].note =
            clv_arena_printf(&graph->arena, "not in the operator before: %s", f->note);
    }
    return NULL;
}

clv_status *clv_pass_epilogue(clv_graph *graph) {
    fuser f = {.graph = graph};
    clv_status *status = NULL;
    CLV_TRY(clv_uses_init(graph, &f.uses));
    for (clv_node_id id = 0; status == NULL && id < graph->num_nodes; id++) {
        status = try_node(&f, id);
    }
    clv_uses_deinit(&f.uses);
    return status;
}
