#include "host/exec/lower.h"

#include "host/base/memory.h"
#include <string.h>

/* Nodes are visited last to first: a node is needed when a launch of a later one reads what it
 * writes, which only its emit() can tell (a packed weight is not read as it stands). */
typedef struct lowering {
    const clv_graph *graph;
    const clv_lower_options *options;
    clv_lowered *out;
    clv_tensor_id *alias; /* [num_tensors]: whose bytes a tensor shares, through all views */
    bool *needed;         /* [num_tensors]: its bytes are read on the device; of aliases the root */
    clv_step *steps;      /* launches: of the last node first, each node's in order */
    size_t num_steps, capacity_steps;
    size_t *first_step; /* [num_nodes]: in `steps`; choices[node].num_launches of them */
    /* of the node that emits */
    uint32_t node;
    const clv_call *call;
    uint32_t num_scratches, num_constants;
    uint32_t scratches[CLV_MAX_ARGS * 4], constants[CLV_MAX_ARGS * 4];
} lowering;

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for the list of steps");
}

/* --- storages -------------------------------------------------------------------------------- */

static clv_status *add_storage(clv_lowered *out, const clv_storage *storage, uint32_t *out_index) {
    if (!clv_array_reserve(
            (void **)&out->storages, &out->capacity_storages, out->num_storages + 1,
            sizeof *out->storages)) {
        return no_memory();
    }
    *out_index = (uint32_t)out->num_storages;
    out->storages[out->num_storages++] = *storage;
    return NULL;
}

/* Where the bytes of `tensor` are, making room for them where that was not needed before. */
static clv_status *storage_of(lowering *l, clv_tensor_id tensor, uint32_t *out_index) {
    clv_tensor_id root = l->alias[tensor];
    uint32_t *slot = &l->out->tensor_storage[root];
    if (*slot == CLV_NO_STORAGE) {
        const clv_tensor *t = &l->graph->tensors[root];
        clv_storage storage = {
            .kind = t->data != NULL ? CLV_STORAGE_CONSTANT : CLV_STORAGE_VALUE,
            .piece = {.name = t->name, .bytes = clv_view_bytes(t->dtype, &t->shape)},
            .data = t->data,
        };
        CLV_TRY(add_storage(l->out, &storage, slot));
    }
    *out_index = *slot;
    return NULL;
}

/* --- what emit() calls ----------------------------------------------------------------------- */

static clv_status *on_scratch(void *context, size_t bytes, uint32_t *out_index) {
    lowering *l = context;
    if (l->num_scratches == sizeof l->scratches / sizeof l->scratches[0]) {
        return CLV_ERROR(INTERNAL, "more than %u pieces of scratch memory", l->num_scratches);
    }
    clv_storage storage = {
        .kind = CLV_STORAGE_VALUE, .piece = {.name = l->call->name, .bytes = bytes}};
    *out_index = l->num_scratches;
    return add_storage(l->out, &storage, &l->scratches[l->num_scratches++]);
}

static clv_status *on_constant(void *context, const clv_packing *packing, uint32_t *out_index) {
    lowering *l = context;
    if (l->num_constants == sizeof l->constants / sizeof l->constants[0]) {
        return CLV_ERROR(INTERNAL, "more than %u packed constants", l->num_constants);
    }
    clv_storage storage = {
        .kind = CLV_STORAGE_CONSTANT,
        .piece = {.name = l->call->name, .bytes = packing->bytes},
        .packing = *packing,
        .call = l->call,
    };
    *out_index = l->num_constants;
    return add_storage(l->out, &storage, &l->constants[l->num_constants++]);
}

static clv_status *resolve_argument(lowering *l, const clv_arg *arg, clv_operand *out_operand) {
    const clv_node *node = &l->graph->nodes[l->node];
    clv_tensor_id tensor = CLV_NO_ID;
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
            out_operand->storage = l->scratches[arg->index];
            out_operand->access = CLV_READS | CLV_WRITES;
            return NULL;
        }
        break;
    case CLV_ARG_CONSTANT:
        if (arg->index < l->num_constants) {
            out_operand->storage = l->constants[arg->index];
            out_operand->access = CLV_READS;
            return NULL;
        }
        break;
    case CLV_ARG_INPUT:
        tensor = arg->index < node->num_inputs ? node->inputs[arg->index] : CLV_NO_ID;
        out_operand->access = CLV_READS;
        break;
    case CLV_ARG_OUTPUT:
        tensor = arg->index < node->num_outputs ? node->outputs[arg->index] : CLV_NO_ID;
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
    return storage_of(l, tensor, &out_operand->storage);
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

/* One step, or several where one launch may not have that many groups. */
static clv_status *add_steps(lowering *l, const clv_step *step, uint64_t num_items) {
    const uint64_t max_groups = l->options->max_groups;
    const uint64_t most = max_groups != 0 ? max_groups * step->local_size : num_items;
    for (uint64_t first = 0; first < num_items; first += most) {
        if (!clv_array_reserve(
                (void **)&l->steps, &l->capacity_steps, l->num_steps + 1, sizeof *l->steps)) {
            return no_memory();
        }
        clv_step *added = &l->steps[l->num_steps++];
        *added = *step;
        added->first_item = first;
        added->num_items = num_items - first < most ? num_items - first : most;
        l->out->choices[l->node].num_launches++;
    }
    return NULL;
}

static clv_status *on_launch(void *context, const clv_launch *launch) {
    lowering *l = context;
    if (launch->num_items == 0) {
        return NULL;
    }
    if (launch->num_items > INT32_MAX || launch->num_args > CLV_MAX_ARGS ||
        launch->params_bytes > CLV_MAX_PARAMS || launch->local_size == 0) {
        return CLV_ERROR(
            INTERNAL, "launch of '%s' breaks a limit: %llu items, %u args, %u bytes of params",
            launch->entry, (unsigned long long)launch->num_items, launch->num_args,
            launch->params_bytes);
    }
    clv_step step = {
        .kind = CLV_STEP_LAUNCH,
        .index = l->node,
        .name = l->call->name,
        .num_operands = launch->num_args,
        .entry = clv_arena_strdup(&l->out->arena, launch->entry),
        .params = clv_arena_copy(&l->out->arena, launch->params, launch->params_bytes),
        .params_bytes = launch->params_bytes,
        .local_size = launch->local_size,
    };
    if (step.entry == NULL || step.params == NULL) {
        return CLV_NO_ARENA("a kernel's arguments");
    }
    for (uint32_t i = 0; i < launch->num_args; i++) {
        CLV_TRY(resolve_argument(l, &launch->args[i], &step.operands[i]));
    }
    CLV_TRY(find_program(l, launch, &step.program));
    return add_steps(l, &step, launch->num_items);
}

/* --- nodes ----------------------------------------------------------------------------------- */

/* The last row of the family's table that fits; row 0 fits everything. */
static const clv_variant *choose(
    const clv_call *call, const clv_traits *traits, const char **out_reason) {
    const clv_kernel_family *family = call->op->kernels;
    for (size_t i = family->num_variants; i-- > 0;) {
        const clv_variant *variant = &family->variants[i];
        if (variant->fits == NULL || variant->fits(call, traits)) {
            *out_reason = i + 1 == family->num_variants
                              ? "fits, and the table has none after it"
                              : "the last of the family's table that fits";
            return variant;
        }
    }
    return NULL;
}

static clv_status *emit_node(lowering *l, clv_call *call) {
    enum { MAX_TUNABLES = 16 };
    clv_choice *choice = &l->out->choices[l->node];
    if (call->op->kernels == NULL) {
        return CLV_ERROR(UNSUPPORTED, "no kernels for it");
    }
    const clv_variant *variant = choose(call, &l->options->traits, &choice->reason);
    if (variant == NULL || variant->num_tunables > MAX_TUNABLES) {
        return CLV_ERROR(UNSUPPORTED, "no variant of '%s' fits this unit", call->op->kernels->name);
    }
    int32_t tunables[MAX_TUNABLES];
    for (size_t i = 0; i < variant->num_tunables; i++) {
        tunables[i] = variant->tunables[i].fallback;
    }
    choice->variant = variant;
    l->call = call;
    l->num_scratches = 0;
    l->num_constants = 0;
    l->first_step[l->node] = l->num_steps;
    const clv_emitter emitter = {
        .context = l, .launch = on_launch, .scratch = on_scratch, .constant = on_constant};
    return variant->emit(call, &l->options->traits, tunables, &emitter);
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
    clv_call *call = clv_arena_alloc(&l->out->arena, 1, sizeof *call);
    if (call == NULL) {
        return CLV_NO_ARENA("a node");
    }
    CLV_TRY(clv_call_from_node(l->graph, node, &l->out->arena, call));
    l->node = id;
    clv_status *status = emit_node(l, call);
    return status == NULL ? NULL : clv_status_prefix(status, "%s '%s'", node->op_type, node->name);
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

/* INPUT steps first, then every node's launches; an output leaves right after what makes it. */
static clv_status *add_transfer(lowering *l, clv_step_kind kind, size_t index, clv_tensor_id id) {
    const clv_tensor *tensor = &l->graph->tensors[id];
    clv_step step = {
        .kind = kind,
        .index = (uint32_t)index,
        .name = tensor->name,
        .num_operands = 1,
        .bytes = clv_view_bytes(tensor->dtype, &tensor->shape),
    };
    step.operands[0].access = kind == CLV_STEP_INPUT ? CLV_WRITES : CLV_READS;
    CLV_TRY(storage_of(l, id, &step.operands[0].storage));
    if (step.bytes != 0) {
        l->out->steps[l->out->num_steps++] = step;
    }
    return NULL;
}

/* Outputs whose bytes `producer` wrote (NO_ID: that are inputs). */
static clv_status *add_outputs(lowering *l, clv_node_id producer) {
    const clv_graph *graph = l->graph;
    for (size_t i = 0; i < graph->num_outputs; i++) {
        clv_tensor_id id = graph->outputs[i];
        if (l->out->output_data[i] == NULL && graph->tensors[l->alias[id]].producer == producer) {
            CLV_TRY(add_transfer(l, CLV_STEP_OUTPUT, i, id));
        }
    }
    return NULL;
}

static clv_status *order_steps(lowering *l) {
    const clv_graph *graph = l->graph;
    clv_lowered *out = l->out;
    size_t most = l->num_steps + graph->num_inputs + graph->num_outputs;
    out->steps = clv_alloc_zeroed(most + 1, sizeof *out->steps);
    bool *makes_output = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *makes_output);
    clv_status *status = NULL;
    if (out->steps == NULL || makes_output == NULL) {
        status = no_memory();
        goto done;
    }
    for (size_t i = 0; i < graph->num_outputs; i++) {
        clv_node_id producer = graph->tensors[l->alias[graph->outputs[i]]].producer;
        if (producer != CLV_NO_ID) {
            makes_output[producer] = true;
        }
    }
    for (size_t i = 0; i < graph->num_inputs; i++) {
        clv_tensor_id id = graph->inputs[i];
        if (l->needed[id] && !is_known(l, id)) {
            CLV_TRY_DONE(add_transfer(l, CLV_STEP_INPUT, i, id));
        }
    }
    CLV_TRY_DONE(add_outputs(l, CLV_NO_ID));
    for (size_t i = 0; i < graph->num_nodes; i++) {
        for (uint32_t j = 0; j < out->choices[i].num_launches; j++) {
            out->steps[out->num_steps++] = l->steps[l->first_step[i] + j];
        }
        if (makes_output[i]) {
            CLV_TRY_DONE(add_outputs(l, (clv_node_id)i));
        }
    }
done:
    clv_free(makes_output);
    return status;
}

/* --- memory ---------------------------------------------------------------------------------- */

static void find_lifetimes(lowering *l) {
    clv_lowered *out = l->out;
    uint32_t last = out->num_steps > 0 ? (uint32_t)out->num_steps - 1 : 0;
    for (size_t i = 0; i < out->num_storages; i++) {
        clv_memory_piece *piece = &out->storages[i].piece;
        piece->first_step = UINT32_MAX;
        piece->last_step = 0;
    }
    for (size_t i = 0; i < out->num_steps; i++) {
        for (uint32_t j = 0; j < out->steps[i].num_operands; j++) {
            uint32_t storage = out->steps[i].operands[j].storage;
            if (storage == CLV_NO_STORAGE) {
                continue;
            }
            clv_memory_piece *piece = &out->storages[storage].piece;
            piece->first_step = piece->first_step < i ? piece->first_step : (uint32_t)i;
            piece->last_step = (uint32_t)i;
        }
    }
    for (size_t i = 0; i < out->num_storages; i++) {
        clv_storage *storage = &out->storages[i];
        if (storage->piece.first_step == UINT32_MAX) {
            storage->piece.bytes = 0; /* asked for, and used by no launch */
            storage->piece.first_step = 0;
        } else if (storage->kind != CLV_STORAGE_VALUE) {
            storage->piece.first_step = 0;
            storage->piece.last_step = last;
        } else if (l->options->keep_all) {
            storage->piece.last_step = last;
        }
    }
}

/* Places the storages of one kind. */
static clv_status *plan_kind(lowering *l, clv_storage_kind kind, clv_memory_plan *out_plan) {
    clv_lowered *out = l->out;
    clv_memory_piece *pieces = clv_alloc_zeroed(out->num_storages + 1, sizeof *pieces);
    if (pieces == NULL) {
        return no_memory();
    }
    size_t count = 0;
    for (size_t i = 0; i < out->num_storages; i++) {
        if (out->storages[i].kind == kind) {
            pieces[count++] = out->storages[i].piece;
        }
    }
    clv_status *status =
        clv_memory_plan_create(pieces, count, l->options->max_block_bytes, out_plan);
#ifdef CLEAVE_VERIFY
    if (status == NULL) {
        status = clv_memory_plan_verify(pieces, count, out_plan);
    }
#endif
    count = 0;
    for (size_t i = 0; i < out->num_storages; i++) {
        if (out->storages[i].kind == kind) {
            out->storages[i].piece = pieces[count++];
        }
    }
    clv_free(pieces);
    return status;
}

/* --- all of it ------------------------------------------------------------------------------- */

static clv_status *allocate(lowering *l) {
    const clv_graph *graph = l->graph;
    clv_lowered *out = l->out;
    l->alias = clv_alloc_zeroed(graph->num_tensors + 1, sizeof *l->alias);
    l->needed = clv_alloc_zeroed(graph->num_tensors + 1, sizeof *l->needed);
    l->first_step = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *l->first_step);
    out->choices = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *out->choices);
    out->tensor_storage = clv_alloc_zeroed(graph->num_tensors + 1, sizeof *out->tensor_storage);
    out->output_data = clv_alloc_zeroed(graph->num_outputs + 1, sizeof *out->output_data);
    if (l->alias == NULL || l->needed == NULL || l->first_step == NULL || out->choices == NULL ||
        out->tensor_storage == NULL || out->output_data == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        out->tensor_storage[i] = CLV_NO_STORAGE;
    }
    const clv_storage errors = {.kind = CLV_STORAGE_ERRORS, .piece = {.name = "error words"}};
    uint32_t index;
    return add_storage(out, &errors, &index);
}

static clv_status *lower(lowering *l) {
    const clv_graph *graph = l->graph;
    clv_lowered *out = l->out;
    CLV_TRY(allocate(l));
    find_aliases(l);
    for (size_t i = 0; i < graph->num_outputs; i++) {
        clv_tensor_id id = graph->outputs[i];
        const void *data = graph->tensors[id].data;
        out->output_data[i] = data != NULL ? data : graph->tensors[l->alias[id]].data;
        l->needed[l->alias[id]] = true;
    }
    for (size_t i = graph->num_nodes; i-- > 0;) {
        CLV_TRY(lower_node(l, (clv_node_id)i));
    }
    CLV_TRY(order_steps(l));
    find_lifetimes(l);
    CLV_TRY(plan_kind(l, CLV_STORAGE_VALUE, &out->values));
    CLV_TRY(plan_kind(l, CLV_STORAGE_CONSTANT, &out->constants));
    for (size_t i = 0; i < graph->num_tensors; i++) { /* views are where their roots are */
        out->tensor_storage[i] = out->tensor_storage[l->alias[i]];
    }
    return NULL;
}

clv_status *clv_lower(
    const clv_graph *graph, const clv_lower_options *options, clv_lowered *out_lowered) {
    *out_lowered = (clv_lowered){.graph = graph};
    clv_arena_init(&out_lowered->arena, 0);
    lowering l = {.graph = graph, .options = options, .out = out_lowered};
    clv_status *status = lower(&l);
    clv_free(l.alias);
    clv_free(l.needed);
    clv_free(l.first_step);
    clv_free(l.steps);
    if (status != NULL) {
        clv_lowered_deinit(out_lowered);
    }
    return status;
}

void clv_lowered_deinit(clv_lowered *lowered) {
    clv_memory_plan_deinit(&lowered->values);
    clv_memory_plan_deinit(&lowered->constants);
    clv_free(lowered->steps);
    clv_free(lowered->storages);
    clv_free(lowered->programs);
    clv_free(lowered->choices);
    clv_free(lowered->tensor_storage);
    clv_free(lowered->output_data);
    clv_arena_deinit(&lowered->arena);
    *lowered = (clv_lowered){.graph = NULL};
}

uint64_t clv_lowered_error_bytes(const clv_lowered *lowered) {
    uint64_t bytes = (uint64_t)lowered->num_error_words * sizeof(uint32_t);
    return (bytes / CLV_MEMORY_ALIGN + 1) * CLV_MEMORY_ALIGN;
}

uint64_t clv_lowered_bytes(const clv_lowered *lowered) {
    return lowered->values.total_bytes + lowered->constants.total_bytes +
           clv_lowered_error_bytes(lowered);
}
