#include "host/exec/lower.h"

#include "host/base/cancel.h"
#include "host/base/memory.h"
#include "host/exec/lower_internal.h"
#include "host/ir/layout.h"
#include "kernels_cl/blocked/blocked.h"
#include <string.h>

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for the list of steps");
}

/* --- storages -------------------------------------------------------------------------------- */

clv_status *clv_lowered_add_storage(
    clv_lowered *out, const clv_storage *storage, uint32_t *out_index) {
    if (!clv_array_reserve(
            (void **)&out->storages, &out->capacity_storages, out->num_storages + 1,
            sizeof *out->storages)) {
        return no_memory();
    }
    *out_index = (uint32_t)out->num_storages;
    out->storages[out->num_storages++] = *storage;
    return NULL;
}

static clv_status *make_storage(
    lowering *l, clv_tensor_id root, const clv_layout *layout, uint32_t *slot) {
    const clv_tensor *t = &l->graph->tensors[root];
    clv_storage storage = {
        .kind = t->data != NULL ? CLV_STORAGE_CONSTANT : CLV_STORAGE_VALUE,
        .node = CLV_NO_INDEX,
        .tensor = root,
        .piece = {.name = t->name, .bytes = clv_layout_bytes(t->dtype, &t->shape, layout)},
        .data = t->data,
    };
    return *slot != CLV_NO_STORAGE ? NULL : clv_lowered_add_storage(l->out, &storage, slot);
}

/* Where the bytes of `tensor` are in a layout, making room for them where that was not needed
 * before. What makes a root also brings it to its other layout, where that has a storage. */
static clv_status *storage_of(
    lowering *l, clv_tensor_id tensor, const clv_layout *layout, uint32_t *out_index) {
    clv_tensor_id root = l->alias[tensor];
    const clv_layout *home = &l->chosen.home[root];
    uint32_t *slot = &l->out->tensor_storage[root];
    CLV_TRY(make_storage(l, root, home, slot));
    *out_index = *slot;
    if (!clv_layout_is_same_memory(&l->graph->tensors[root].shape, home, layout)) {
        CLV_TRY(make_storage(l, root, layout, &l->other_storage[root]));
        *out_index = l->other_storage[root];
    }
    return NULL;
}

/* --- what emit() calls ----------------------------------------------------------------------- */

static clv_status *on_scratch(void *context, size_t bytes, uint32_t *out_index) {
    lowering *l = context;
    if (l->num_scratches == sizeof l->scratches / sizeof l->scratches[0]) {
        return CLV_ERROR(INTERNAL, "more than %u pieces of scratch memory", l->num_scratches);
    }
    clv_storage storage = {
        .kind = CLV_STORAGE_VALUE,
        .node = l->node,
        .tensor = CLV_NO_INDEX,
        .piece = {.name = l->call->name, .bytes = bytes},
    };
    *out_index = l->num_scratches;
    return clv_lowered_add_storage(l->out, &storage, &l->scratches[l->num_scratches++]);
}

static clv_status *on_constant(void *context, const clv_packing *packing, uint32_t *out_index) {
    lowering *l = context;
    if (l->num_constants == sizeof l->constants / sizeof l->constants[0]) {
        return CLV_ERROR(INTERNAL, "more than %u packed constants", l->num_constants);
    }
    clv_storage storage = {
        .kind = CLV_STORAGE_CONSTANT,
        .node = l->node,
        .tensor = CLV_NO_INDEX,
        .piece = {.name = l->call->name, .bytes = packing->bytes},
        .packing = *packing,
        .call = l->call,
    };
    *out_index = l->num_constants;
    return clv_lowered_add_storage(l->out, &storage, &l->constants[l->num_constants++]);
}

static clv_operand whole_of(const lowering *l, uint32_t storage, uint32_t access) {
    return (clv_operand){
        .storage = storage, .access = access, .bytes = l->out->storages[storage].piece.bytes};
}

static clv_status *resolve_argument(lowering *l, const clv_arg *arg, clv_operand *out_operand) {
    const clv_node *node = &l->graph->nodes[l->node];
    clv_tensor_id tensor = CLV_NO_ID;
    const clv_layout *layout = NULL;
    *out_operand = (clv_operand){.storage = CLV_NO_STORAGE};
    switch (arg->kind) {
    case CLV_ARG_NONE:
        return NULL;
    case CLV_ARG_ERROR: {
        clv_choice *choice = &l->out->choices[l->node];
        if (choice->error_word == UINT32_MAX) {
            choice->error_word = l->out->num_error_words++;
        }
        *out_operand = (clv_operand){.storage = 0, .offset = choice->error_word * sizeof(uint32_t)};
        return NULL;
    }
    case CLV_ARG_SCRATCH:
        if (arg->index < l->num_scratches) {
            *out_operand = whole_of(l, l->scratches[arg->index], CLV_READS | CLV_WRITES);
            return NULL;
        }
        break;
    case CLV_ARG_CONSTANT:
        if (arg->index < l->num_constants) {
            *out_operand = whole_of(l, l->constants[arg->index], CLV_READS);
            return NULL;
        }
        break;
    case CLV_ARG_INPUT:
        tensor = arg->index < node->num_inputs ? node->inputs[arg->index] : CLV_NO_ID;
        layout = tensor != CLV_NO_ID ? &l->call->inputs[arg->index].layout : NULL;
        out_operand->access = CLV_READS;
        break;
    case CLV_ARG_OUTPUT:
        tensor = arg->index < node->num_outputs ? node->outputs[arg->index] : CLV_NO_ID;
        layout = tensor != CLV_NO_ID ? &l->call->outputs[arg->index].layout : NULL;
        out_operand->access = CLV_WRITES;
        break;
    }
    if (tensor == CLV_NO_ID) {
        return CLV_ERROR(
            INTERNAL, "a kernel takes operand %u of kind %d, which is not there", arg->index,
            (int)arg->kind);
    }
    if (arg->kind == CLV_ARG_INPUT) {
        l->needed[l->alias[tensor]] = true;
    }
    CLV_TRY(storage_of(l, tensor, layout, &out_operand->storage));
    clv_lower_range(l, tensor, layout, out_operand);
    return NULL;
}

/* A reorder reads input 0 and writes output 0, whatever tensors these are. */
static void resolve_reorder(const lowering *l, const clv_arg *arg, clv_operand *out_operand) {
    *out_operand = arg->kind == CLV_ARG_INPUT ? whole_of(l, l->reorder_from, CLV_READS)
                                              : whole_of(l, l->reorder_to, CLV_WRITES);
}

static clv_status *find_program(lowering *l, const clv_launch *launch, uint32_t *out_index) {
    clv_lowered *out = l->out;
    const char *options = launch->options != NULL ? launch->options : "";
    for (size_t i = 0; i < out->num_programs; i++) {
        if (out->programs[i].source == launch->source &&
            strcmp(out->programs[i].options, options) == 0) {
            *out_index = (uint32_t)i;
            return NULL;
        }
    }
    if (!clv_array_reserve(
            (void **)&out->programs, &out->capacity_programs, out->num_programs + 1,
            sizeof *out->programs)) {
        return no_memory();
    }
    char *copy = clv_arena_strdup(&out->arena, options); /* emit() may have made it on its stack */
    if (copy == NULL) {
        return CLV_NO_ARENA("build options");
    }
    *out_index = (uint32_t)out->num_programs;
    out->programs[out->num_programs++] =
        (clv_lowered_program){.source = launch->source, .options = copy};
    return NULL;
}

static uint32_t unit_of(const lowering *l, clv_node_id node) {
    return l->options->places != NULL ? l->options->places[node].unit : 0;
}

static clv_status *on_launch(void *context, const clv_launch *launch) {
    lowering *l = context;
    if (launch->num_items == 0) {
        return NULL;
    }
    if (launch->num_items > INT32_MAX) {
        return CLV_ERROR(
            UNSUPPORTED, "a launch of '%s' for %llu items, at most 2^31 - 1 are possible",
            launch->entry, (unsigned long long)launch->num_items);
    }
    if (launch->num_args > CLV_MAX_ARGS || launch->params_bytes > CLV_MAX_PARAMS ||
        launch->local_size == 0) {
        return CLV_ERROR(
            INTERNAL, "launch of '%s' breaks a limit: %u args, %u bytes of params", launch->entry,
            launch->num_args, launch->params_bytes);
    }
    clv_step step = {
        .kind = CLV_STEP_LAUNCH,
        .index = l->node,
        .name = l->graph->nodes[l->node].name,
        .unit = unit_of(l, l->node),
        .is_reorder = l->is_reorder,
        .num_operands = launch->num_args,
        .entry = clv_arena_strdup(&l->out->arena, launch->entry),
        .params = clv_arena_copy(&l->out->arena, launch->params, launch->params_bytes),
        .params_bytes = launch->params_bytes,
        .local_size = launch->local_size,
        .num_sums = launch->num_sums,
    };
    if (step.entry == NULL || step.params == NULL) {
        return CLV_NO_ARENA("a kernel's arguments");
    }
    for (uint32_t i = 0; i < launch->num_args; i++) {
        if (l->is_reorder) {
            resolve_reorder(l, &launch->args[i], &step.operands[i]);
        } else {
            CLV_TRY(resolve_argument(l, &launch->args[i], &step.operands[i]));
        }
    }
    CLV_TRY(find_program(l, launch, &step.program));
    return clv_lower_add_launch(l, &step, launch->num_items);
}

/* --- nodes ----------------------------------------------------------------------------------- */

/* Sets the layouts of a call's operands: those that the variant wants, with the gaps that the
 * tensors have. */
static clv_status *set_layouts(lowering *l, const clv_variant *variant, clv_call *call) {
    const clv_node *node = &l->graph->nodes[l->node];
    clv_arena *arena = &l->out->arena;
    if (variant->layouts == NULL) {
        return NULL;
    }
    clv_view *inputs = clv_arena_copy(arena, call->inputs, call->num_inputs * sizeof *inputs);
    clv_view *outputs = clv_arena_copy(arena, call->outputs, call->num_outputs * sizeof *outputs);
    clv_layout *in = clv_arena_alloc(arena, call->num_inputs, sizeof *in);
    clv_layout *out = clv_arena_alloc(arena, call->num_outputs, sizeof *out);
    if (inputs == NULL || outputs == NULL || in == NULL || out == NULL) {
        return CLV_NO_ARENA("a node");
    }
    variant->layouts(call, &l->options->traits, in, out);
    for (size_t i = 0; i < call->num_inputs; i++) {
        if (clv_layout_is_blocked(&in[i])) {
            inputs[i].layout = l->chosen.blocked[l->alias[node->inputs[i]]];
        }
    }
    for (size_t i = 0; i < call->num_outputs; i++) {
        if (clv_layout_is_blocked(&out[i]) && node->outputs[i] != CLV_NO_ID) {
            outputs[i].layout = l->chosen.home[l->alias[node->outputs[i]]];
        }
    }
    call->inputs = inputs;
    call->outputs = outputs;
    return NULL;
}

static clv_status *emit_node(lowering *l, const clv_call *plain) {
    clv_choice *choice = &l->out->choices[l->node];
    clv_call *call = clv_arena_copy(&l->out->arena, plain, sizeof *plain);
    if (call == NULL) {
        return CLV_NO_ARENA("a node");
    }
    if (call->op->kernels == NULL) {
        return CLV_ERROR(UNSUPPORTED, "no kernels for it");
    }
    const clv_way *way = &l->chosen.ways[l->node];
    const clv_variant *variant = way->variant;
    if (variant == NULL) {
        return CLV_ERROR(UNSUPPORTED, "no variant of '%s' fits this unit", call->op->kernels->name);
    }
    int32_t tunables[CLV_MAX_TUNABLES];
    clv_way_tunables(way, tunables);
    CLV_TRY(set_layouts(l, variant, call));
    choice->variant = variant;
    choice->setting = way->setting;
    choice->reason = l->chosen.reasons[l->node];
    choice->origin = l->chosen.origins[l->node];
    l->call = call;
    l->num_scratches = 0;
    l->num_constants = 0;
    const clv_emitter emitter = {
        .context = l, .launch = on_launch, .scratch = on_scratch, .constant = on_constant};
    const clv_traits traits = clv_lower_traits(l, l->node);
    return clv_variant_emit(variant, call, &traits, tunables, &emitter);
}

/* Brings a root to its other layout where a reader wants it; the launch belongs to l->node. */
static clv_status *emit_reorder(lowering *l, clv_tensor_id root) {
    const clv_tensor *t = &l->graph->tensors[root];
    const clv_layout *home = &l->chosen.home[root];
    if (l->other_storage[root] == CLV_NO_STORAGE) {
        return NULL;
    }
    clv_view from = {.dtype = t->dtype, .shape = t->shape, .layout = *home}, to = from;
    to.layout = clv_layout_is_blocked(home) ? (clv_layout){0} : l->chosen.blocked[root];
    const clv_traits traits = clv_lower_traits(l, l->node);
    l->is_reorder = true;
    l->reorder_from = l->out->tensor_storage[root];
    l->reorder_to = l->other_storage[root];
    const clv_emitter emitter = {.context = l, .launch = on_launch};
    clv_status *status = clv_reorder_emit(
        &from, &to, (clv_arg){CLV_ARG_INPUT, 0}, (clv_arg){CLV_ARG_OUTPUT, 0}, &traits, &emitter);
    l->is_reorder = false;
    return status;
}

/* The first node that reads a root; NO_ID: none does. */
static clv_node_id first_reader(const lowering *l, clv_tensor_id root) {
    const clv_graph *graph = l->graph;
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const clv_node *node = &graph->nodes[i];
        for (size_t k = 0; k < node->num_inputs && l->calls[i] != NULL; k++) {
            if (node->inputs[k] != CLV_NO_ID && l->alias[node->inputs[k]] == root) {
                return (clv_node_id)i;
            }
        }
    }
    return CLV_NO_ID;
}

/* Inputs come plain: brings them to the layouts that readers want. Counts for the first reader. */
static clv_status *emit_input_reorders(lowering *l) {
    const clv_graph *graph = l->graph;
    l->is_input = true;
    for (size_t i = 0; i < graph->num_inputs; i++) {
        const clv_tensor_id root = graph->inputs[i];
        const clv_node_id reader = first_reader(l, root);
        l->node = reader != CLV_NO_ID ? reader : l->node;
        l->first_input_step[i] = l->num_steps;
        CLV_TRY(emit_reorder(l, root));
    }
    l->first_input_step[graph->num_inputs] = l->num_steps;
    return NULL;
}

static bool is_known(const lowering *l, clv_tensor_id tensor) {
    return l->graph->tensors[tensor].data != NULL;
}

static clv_status *lower_node(lowering *l, clv_node_id id) {
    const clv_node *node = &l->graph->nodes[id];
    clv_choice *choice = &l->out->choices[id];
    *choice = (clv_choice){.error_word = UINT32_MAX, .reason = "nobody reads its result"};
    bool needed = false, known = true;
    for (size_t i = 0; i < node->num_outputs; i++) {
        clv_tensor_id output = node->outputs[i];
        if (output != CLV_NO_ID) {
            needed = needed || (l->needed[l->alias[output]] && !is_known(l, output));
            known = known && is_known(l, output);
        }
    }
    if (known) {
        choice->reason = "the result is known before any request";
        return NULL;
    }
    if ((node->op->flags & CLV_OP_VIEW) != 0) {
        choice->reason = "a view: no data moves";
        return NULL; /* its readers need the root, and said so */
    }
    if (!needed) {
        return NULL;
    }
    l->node = id;
    l->first_step[id] = l->num_steps;
    clv_status *status = NULL;
    if (l->runs_nothing[id]) {
        choice->reason = "what it makes lies where it must be already: no data moves";
    } else {
        status = emit_node(l, l->calls[id]);
    }
    for (size_t i = 0; i < node->num_outputs && status == NULL; i++) {
        if (node->outputs[i] != CLV_NO_ID && l->alias[node->outputs[i]] == node->outputs[i]) {
            status = emit_reorder(l, node->outputs[i]);
        }
    }
    return status == NULL ? NULL : clv_status_prefix(status, "%s '%s'", node->op_type, node->name);
}

/* Every node that may run as a call, with its operands plain. */
static clv_status *make_calls(lowering *l) {
    for (size_t i = 0; i < l->graph->num_nodes; i++) {
        const clv_node *node = &l->graph->nodes[i];
        bool known = true;
        CLV_TRY(clv_cancel_check());
        for (size_t k = 0; k < node->num_outputs; k++) {
            known = known && (node->outputs[k] == CLV_NO_ID || is_known(l, node->outputs[k]));
        }
        if (known || (node->op->flags & CLV_OP_VIEW) != 0) {
            continue;
        }
        clv_call *call = clv_arena_alloc(&l->out->arena, 1, sizeof *call);
        if (call == NULL) {
            return CLV_NO_ARENA("a node");
        }
        CLV_TRY(clv_call_from_node(l->graph, node, &l->out->arena, call));
        l->calls[i] = call;
    }
    return NULL;
}

/* Whose bytes each tensor shares: nodes stand in order, so a view's input is settled before it. */
static void find_aliases(lowering *l) {
    const clv_graph *graph = l->graph;
    for (size_t i = 0; i < graph->num_tensors; i++) {
        l->alias[i] = (clv_tensor_id)i;
    }
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const clv_node *node = &graph->nodes[i];
        if (node->op != NULL && (node->op->flags & CLV_OP_VIEW) != 0 && node->num_inputs > 0 &&
            node->num_outputs > 0 && node->inputs[0] != CLV_NO_ID &&
            node->outputs[0] != CLV_NO_ID && !is_known(l, node->outputs[0])) {
            l->alias[node->outputs[0]] = l->alias[node->inputs[0]];
        }
    }
}

/* --- the list of steps ----------------------------------------------------------------------- */

/* The caller's INPUT steps first, then every node's launches; an output leaves right after what
 * makes it. Moves stand where their ports say. */
static const clv_lower_port *port_at(const clv_lower_port *ports, size_t index) {
    static const clv_lower_port callers = {.is_move = false};
    return ports != NULL ? &ports[index] : &callers;
}

static uint32_t sequence_of(const lowering *l, clv_node_id node) {
    return node != CLV_NO_ID && l->options->places != NULL ? l->options->places[node].sequence : 0;
}

static clv_status *add_transfer(
    lowering *l, clv_step_kind kind, size_t index, uint32_t unit, uint32_t sequence) {
    const bool is_input = kind == CLV_STEP_INPUT;
    const clv_tensor_id id = is_input ? l->graph->inputs[index] : l->graph->outputs[index];
    const clv_tensor *tensor = &l->graph->tensors[id];
    clv_step step = {
        .kind = kind,
        .index = (uint32_t)index,
        .name = tensor->name,
        .unit = unit,
        .sequence = sequence,
        .num_operands = 1,
        .bytes = clv_view_bytes(tensor->dtype, &tensor->shape),
    };
    step.operands[0].access = is_input ? CLV_WRITES : CLV_READS;
    const clv_layout plain = {0};
    CLV_TRY(storage_of(l, id, &plain, &step.operands[0].storage));
    clv_lower_range(l, id, &plain, &step.operands[0]);
    if (step.bytes != 0) {
        l->out->steps[l->out->num_steps++] = step;
    }
    return NULL;
}

static void add_launches(lowering *l, size_t first, size_t end, uint32_t sequence) {
    for (size_t i = first; i < end; i++) {
        l->out->steps[l->out->num_steps] = l->steps[i];
        l->out->steps[l->out->num_steps++].sequence = sequence;
    }
}

/* An input is brought in by who reads it first; what nobody reads, by whoever takes it out. */
static uint32_t unit_of_input(const lowering *l, clv_tensor_id input) {
    const clv_node_id reader = first_reader(l, input);
    return reader != CLV_NO_ID ? unit_of(l, reader) : l->options->default_unit;
}

static bool is_wanted_input(const lowering *l, size_t index) {
    const clv_tensor_id id = l->graph->inputs[index];
    return l->needed[id] && !is_known(l, id);
}

/* Outputs whose bytes `producer` wrote, and moves of what it made. */
static clv_status *add_outputs(lowering *l, clv_node_id producer) {
    const clv_graph *graph = l->graph;
    for (size_t i = 0; i < graph->num_outputs; i++) {
        const clv_lower_port *port = port_at(l->options->outputs, i);
        const clv_tensor_id id = graph->outputs[i], root = l->alias[id];
        const clv_node_id maker = graph->tensors[port->is_move ? id : root].producer;
        if (l->out->output_data[i] == NULL && maker == producer &&
            (!port->is_move || port->is_early)) {
            const uint32_t unit = port->is_move ? port->unit : unit_of(l, producer);
            CLV_TRY(add_transfer(l, CLV_STEP_OUTPUT, i, unit, sequence_of(l, producer)));
        }
    }
    return NULL;
}

/* The caller's outputs that are an input, or a view of it. */
static clv_status *add_outputs_of_input(
    lowering *l, clv_tensor_id input, uint32_t unit, uint32_t sequence) {
    for (size_t i = 0; i < l->graph->num_outputs; i++) {
        if (l->alias[l->graph->outputs[i]] == input && l->out->output_data[i] == NULL &&
            !port_at(l->options->outputs, i)->is_move) {
            CLV_TRY(add_transfer(l, CLV_STEP_OUTPUT, i, unit, sequence));
        }
    }
    return NULL;
}

static clv_status *add_callers_inputs(lowering *l) {
    const clv_graph *graph = l->graph;
    for (size_t i = 0; i < graph->num_inputs; i++) {
        if (is_wanted_input(l, i) && !port_at(l->options->inputs, i)->is_move) {
            const uint32_t unit = unit_of_input(l, graph->inputs[i]);
            CLV_TRY(add_transfer(l, CLV_STEP_INPUT, i, unit, 0));
        }
    }
    for (size_t i = 0; i < graph->num_inputs; i++) {
        if (!port_at(l->options->inputs, i)->is_move) {
            add_launches(l, l->first_input_step[i], l->first_input_step[i + 1], 0);
        }
    }
    for (size_t i = 0; i < graph->num_inputs; i++) {
        const clv_tensor_id id = graph->inputs[i];
        if (is_wanted_input(l, i) && !port_at(l->options->inputs, i)->is_move) {
            CLV_TRY(add_outputs_of_input(l, id, unit_of_input(l, id), 0));
        }
    }
    return NULL;
}

/* Moves that stand before nodes from `sequence` on; ports are in the order of theirs. */
typedef struct move_cursor {
    size_t input, output;
} move_cursor;

static clv_status *add_moves(lowering *l, move_cursor *at, uint32_t sequence) {
    const clv_lower_options *options = l->options;
    const clv_graph *graph = l->graph;
    for (; options->inputs != NULL && at->input < graph->num_inputs; at->input++) {
        const clv_lower_port *port = &options->inputs[at->input];
        if (port->is_move && port->sequence >= sequence) {
            break;
        }
        if (port->is_move && is_wanted_input(l, at->input)) {
            CLV_TRY(add_transfer(l, CLV_STEP_INPUT, at->input, port->unit, port->sequence));
            add_launches(
                l, l->first_input_step[at->input], l->first_input_step[at->input + 1],
                port->sequence);
            CLV_TRY(add_outputs_of_input(l, graph->inputs[at->input], port->unit, port->sequence));
        }
    }
    for (; options->outputs != NULL && at->output < graph->num_outputs; at->output++) {
        const clv_lower_port *port = &options->outputs[at->output];
        if (port->is_move && !port->is_early && port->sequence >= sequence) {
            break;
        }
        if (port->is_move && !port->is_early && l->out->output_data[at->output] == NULL) {
            CLV_TRY(add_transfer(l, CLV_STEP_OUTPUT, at->output, port->unit, port->sequence));
        }
    }
    return NULL;
}

/* Inputs and outputs that move at once stand in the order of their sequences. */
static void sort_by_sequence(clv_step *steps, size_t first, size_t end) {
    for (size_t i = first + 1; i < end; i++) {
        const clv_step step = steps[i];
        size_t k = i;
        for (; k > first && steps[k - 1].sequence > step.sequence; k--) {
            steps[k] = steps[k - 1];
        }
        steps[k] = step;
    }
}

static clv_status *add_moves_in_order(lowering *l, move_cursor *at, uint32_t sequence) {
    const size_t first = l->out->num_steps;
    CLV_TRY(add_moves(l, at, sequence));
    sort_by_sequence(l->out->steps, first, l->out->num_steps);
    return NULL;
}

static clv_status *order_steps(lowering *l) {
    const clv_graph *graph = l->graph;
    clv_lowered *out = l->out;
    size_t most = l->num_steps + graph->num_inputs + graph->num_outputs;
    out->steps = clv_alloc_zeroed(most + 1, sizeof *out->steps);
    bool *makes_output = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *makes_output);
    move_cursor moves = {0};
    clv_status *status = NULL;
    if (out->steps == NULL || makes_output == NULL) {
        status = no_memory();
        goto done;
    }
    for (size_t i = 0; i < graph->num_outputs; i++) {
        const clv_tensor_id id = graph->outputs[i];
        const bool is_move = port_at(l->options->outputs, i)->is_move;
        const clv_node_id producer = graph->tensors[is_move ? id : l->alias[id]].producer;
        if (producer != CLV_NO_ID) {
            makes_output[producer] = true;
        }
    }
    CLV_TRY_DONE(add_callers_inputs(l));
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const uint32_t sequence = sequence_of(l, (clv_node_id)i);
        CLV_TRY_DONE(add_moves_in_order(l, &moves, sequence));
        add_launches(
            l, l->first_step[i], l->first_step[i] + out->choices[i].num_launches, sequence);
        if (makes_output[i]) {
            CLV_TRY_DONE(add_outputs(l, (clv_node_id)i));
        }
    }
    CLV_TRY_DONE(add_moves_in_order(l, &moves, UINT32_MAX));
done:
    clv_free(makes_output);
    return status;
}

/* --- all of it ------------------------------------------------------------------------------- */

static clv_status *allocate(lowering *l) {
    const clv_graph *graph = l->graph;
    clv_lowered *out = l->out;
    l->calls = clv_alloc_zeroed(graph->num_nodes + 1, sizeof(clv_call *));
    l->needed = clv_alloc_zeroed(graph->num_tensors + 1, sizeof *l->needed);
    l->other_storage = clv_alloc_zeroed(graph->num_tensors + 1, sizeof *l->other_storage);
    l->first_step = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *l->first_step);
    out->tensor_root = clv_alloc_zeroed(graph->num_tensors + 1, sizeof *out->tensor_root);
    out->tensor_layout = clv_alloc_zeroed(graph->num_tensors + 1, sizeof *out->tensor_layout);
    out->choices = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *out->choices);
    out->tensor_storage = clv_alloc_zeroed(graph->num_tensors + 1, sizeof *out->tensor_storage);
    out->output_data = clv_alloc_zeroed(graph->num_outputs + 1, sizeof *out->output_data);
    l->first_input_step = clv_alloc_zeroed(graph->num_inputs + 1, sizeof *l->first_input_step);
    out->tensor_first = clv_alloc_zeroed(graph->num_tensors + 1, sizeof *out->tensor_first);
    l->first = out->tensor_first;
    l->runs_nothing = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *l->runs_nothing);
    l->alias = out->tensor_root;
    if (l->calls == NULL || l->needed == NULL || l->other_storage == NULL ||
        l->first_step == NULL || out->tensor_root == NULL || out->tensor_layout == NULL ||
        out->choices == NULL || out->tensor_storage == NULL || out->output_data == NULL ||
        l->first == NULL || l->runs_nothing == NULL || l->first_input_step == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        out->tensor_storage[i] = l->other_storage[i] = CLV_NO_STORAGE;
    }
    const clv_storage errors = {
        .kind = CLV_STORAGE_ERRORS,
        .node = CLV_NO_INDEX,
        .tensor = CLV_NO_INDEX,
        .piece = {.name = "error words"},
    };
    uint32_t index;
    return clv_lowered_add_storage(out, &errors, &index);
}

/* What leaves is needed, and plain. */
static clv_status *need_outputs(lowering *l) {
    const clv_graph *graph = l->graph;
    const clv_layout plain = {0};
    for (size_t i = 0; i < graph->num_outputs; i++) {
        clv_tensor_id id = graph->outputs[i];
        const void *data = graph->tensors[id].data;
        data = data != NULL ? data : graph->tensors[l->alias[id]].data;
        l->out->output_data[i] = port_at(l->options->outputs, i)->is_move ? NULL : data;
        l->needed[l->alias[id]] = true;
        if (l->out->output_data[i] == NULL) {
            uint32_t storage;
            CLV_TRY(storage_of(l, id, &plain, &storage));
        }
    }
    return NULL;
}

/* Variants and layouts. */
static clv_status *choose(lowering *l) {
    const clv_lower_options *options = l->options;
    const bool has_wishes = options->whole_ways != NULL && options->places != NULL;
    clv_way *wanted = has_wishes ? clv_alloc_zeroed(l->graph->num_nodes + 1, sizeof *wanted) : NULL;
    if (has_wishes && wanted == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < l->graph->num_nodes && has_wishes; i++) {
        const clv_piece_node *place = &options->places[i];
        wanted[i] =
            place->is_join ? (clv_way){.variant = NULL} : options->whole_ways[place->origin];
    }
    const clv_choose_request request = {
        .graph = l->graph,
        .traits = options->traits,
        .alias = l->alias,
        .calls = l->calls,
        .wanted = wanted,
        .times = options->times,
    };
    clv_status *status = clv_choose(&request, &l->chosen);
    clv_free(wanted);
    return status;
}

static clv_status *begin(lowering *l) {
    CLV_TRY(allocate(l));
    find_aliases(l);
    CLV_TRY(make_calls(l));
    return choose(l);
}

static clv_status *lower(lowering *l) {
    const clv_graph *graph = l->graph;
    clv_lowered *out = l->out;
    CLV_TRY(begin(l));
    clv_lower_find_runs(l);
    CLV_TRY(need_outputs(l));
    for (size_t i = graph->num_nodes; i-- > 0;) {
        CLV_TRY(lower_node(l, (clv_node_id)i));
    }
    CLV_TRY(emit_input_reorders(l));
    CLV_TRY(order_steps(l));
    CLV_TRY(clv_lower_plan_memory(out, l->options));
    for (size_t i = 0; i < graph->num_tensors; i++) { /* views are where their roots are */
        out->tensor_storage[i] = out->tensor_storage[l->alias[i]];
        out->tensor_layout[i] = l->chosen.home[l->alias[i]];
    }
    return NULL;
}

static void end(lowering *l) {
    clv_chosen_deinit(&l->chosen);
    clv_free(l->calls);
    clv_free(l->other_storage);
    clv_free(l->needed);
    clv_free(l->first_step);
    clv_free(l->first_input_step);
    clv_free(l->runs_nothing);
    clv_free(l->steps);
}

clv_status *clv_lower(
    const clv_graph *graph, const clv_lower_options *options, clv_lowered *out_lowered) {
    *out_lowered = (clv_lowered){.graph = graph};
    clv_arena_init(&out_lowered->arena, 0);
    lowering l = {.graph = graph, .options = options, .out = out_lowered};
    clv_status *status = lower(&l);
    end(&l);
    if (status != NULL) {
        clv_lowered_deinit(out_lowered);
    }
    return status;
}

clv_status *clv_lower_choose(
    const clv_graph *graph, const clv_traits *traits, const clv_known_times *times,
    clv_way **out_ways) {
    const clv_lower_options options = {.traits = *traits, .times = times};
    clv_lowered lowered = {.graph = graph};
    clv_arena_init(&lowered.arena, 0);
    lowering l = {.graph = graph, .options = &options, .out = &lowered};
    clv_status *status = begin(&l);
    *out_ways = l.chosen.ways;
    l.chosen.ways = NULL;
    end(&l);
    clv_lowered_deinit(&lowered);
    if (status != NULL) {
        clv_free(*out_ways);
        *out_ways = NULL;
    }
    return status;
}

void clv_lowered_deinit(clv_lowered *lowered) {
    clv_memory_plan_deinit(&lowered->values);
    clv_free(lowered->steps);
    clv_free(lowered->storages);
    clv_free(lowered->programs);
    clv_free(lowered->choices);
    clv_free(lowered->tensor_storage);
    clv_free(lowered->tensor_root);
    clv_free(lowered->tensor_layout);
    clv_free(lowered->tensor_first);
    clv_free(lowered->output_data);
    clv_free(lowered->unit_bytes);
    clv_arena_deinit(&lowered->arena);
    *lowered = (clv_lowered){.graph = NULL};
}

uint64_t clv_lowered_error_stride(const clv_lowered *lowered) {
    uint64_t bytes = (uint64_t)lowered->num_error_words * sizeof(uint32_t);
    return (bytes / CLV_MEMORY_ALIGN + 1) * CLV_MEMORY_ALIGN;
}

uint64_t clv_lowered_error_bytes(const clv_lowered *lowered) {
    return clv_lowered_error_stride(lowered) * lowered->storages[0].slots;
}

uint64_t clv_lowered_bytes(const clv_lowered *lowered) {
    return lowered->values.total_bytes + clv_lowered_error_bytes(lowered);
}
