#include "host/exec/pieces_build.h"

#include "host/base/memory.h"
#include <stdio.h>
#include <string.h>

clv_status *clv_pieces_no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for the pieces of a plan");
}

clv_status *clv_pieces_add_source(clv_piece_builder *b, const clv_source *source) {
    if (!clv_array_reserve(
            (void **)&b->sources, &b->capacity_sources, b->num_sources + 1, sizeof *b->sources)) {
        return clv_pieces_no_memory();
    }
    b->sources[b->num_sources++] = *source;
    return NULL;
}

clv_status *clv_pieces_note(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_node_id id, bool is_join) {
    clv_piece_graph *g = &b->out->memories[reader->memory];
    if (!clv_array_reserve((void **)&g->nodes, &g->capacity_nodes, id + 1, sizeof *g->nodes)) {
        return clv_pieces_no_memory();
    }
    g->nodes[id] = (clv_piece_node){
        .unit = reader->unit,
        .stage = reader->stage,
        .origin = reader->origin,
        .sequence = ++b->last_sequence,
        .is_join = is_join,
        .split = -1,
    };
    return NULL;
}

clv_status *clv_pieces_add_tensor(
    clv_piece_builder *b, uint32_t memory, const char *name, const clv_view *like,
    clv_tensor_kind kind, clv_tensor_id *out_id) {
    clv_graph *graph = b->out->memories[memory].graph;
    CLV_TRY(clv_graph_add_value(graph, name, like->dtype, &like->shape, out_id));
    graph->tensors[*out_id].kind = kind;
    graph->tensors[*out_id].data = like->data;
    return NULL;
}

/* A node whose output and params are what its operator's infer() says. */
static clv_status *add_inferred(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_node *node, const char *base_name,
    clv_tensor_id *out_id) {
    clv_graph *graph = b->out->memories[reader->memory].graph;
    clv_dtype dtype = CLV_DTYPE_NONE;
    clv_shape *shape = clv_arena_alloc(&graph->arena, 1, sizeof *shape);
    clv_view *views = clv_arena_alloc(&graph->arena, node->num_inputs, sizeof *views);
    node->op = clv_op_find("", node->op_type);
    if (shape == NULL || views == NULL) {
        return clv_pieces_no_memory();
    }
    if (node->op == NULL) {
        return CLV_ERROR(INTERNAL, "no operator '%s' to join pieces with", node->op_type);
    }
    for (size_t i = 0; i < node->num_inputs; i++) {
        const clv_tensor *t = &graph->tensors[node->inputs[i]];
        views[i] = (clv_view){.dtype = t->dtype, .shape = t->shape, .data = t->data};
    }
    node->num_outputs = 1;
    clv_infer infer = {
        .arena = &graph->arena,
        .node = node,
        .inputs = views,
        .num_inputs = node->num_inputs,
        .out_dtypes = &dtype,
        .out_shapes = shape,
        .num_outputs = 1,
    };
    CLV_TRY(node->op->infer(&infer));
    const clv_view like = {.dtype = dtype, .shape = *shape};
    CLV_TRY(clv_pieces_add_tensor(b, reader->memory, base_name, &like, CLV_TENSOR_VALUE, out_id));
    node->name = clv_arena_printf(
        &graph->arena, "%s for '%s' #%zu", node->op_type, b->graph->nodes[reader->origin].name,
        graph->num_nodes);
    node->outputs = out_id;
    if (node->name == NULL) {
        return clv_pieces_no_memory();
    }
    clv_node_id id;
    CLV_TRY(clv_graph_add_node(graph, node, &id));
    graph->nodes[id].params = infer.params;
    graph->nodes[id].output_shapes = shape;
    return clv_pieces_note(b, reader, id, true);
}

static const char *name_of(const clv_piece_builder *b, uint32_t memory, clv_tensor_id id) {
    return b->out->memories[memory].graph->tensors[id].name;
}

clv_status *clv_pieces_slice(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_tensor_id input, clv_part part,
    clv_tensor_id *out_id) {
    const int64_t axis = part.axis;
    const clv_attr attrs[] = {
        {.name = "axes", .type = CLV_ATTR_INTS, .count = 1, .value = {.ints = &axis}},
        {.name = "starts", .type = CLV_ATTR_INTS, .count = 1, .value = {.ints = &part.from}},
        {.name = "ends", .type = CLV_ATTR_INTS, .count = 1, .value = {.ints = &part.to}},
    };
    clv_node node = {
        .op_type = "Slice",
        .opset = 9, /* the last with all of it as attributes */
        .attrs = attrs,
        .num_attrs = sizeof attrs / sizeof attrs[0],
        .inputs = &input,
        .num_inputs = 1,
    };
    return add_inferred(b, reader, &node, name_of(b, reader->memory, input), out_id);
}

clv_status *clv_pieces_concat(
    clv_piece_builder *b, const clv_piece_reader *reader, const clv_tensor_id *inputs, size_t count,
    int axis, clv_tensor_id *out_id) {
    const clv_attr attr = {.name = "axis", .type = CLV_ATTR_INT, .count = 1, .value = {.i = axis}};
    clv_node node = {
        .op_type = "Concat",
        .opset = 13,
        .attrs = &attr,
        .num_attrs = 1,
        .inputs = (clv_tensor_id *)inputs,
        .num_inputs = count,
    };
    return add_inferred(b, reader, &node, name_of(b, reader->memory, inputs[0]), out_id);
}

clv_status *clv_pieces_add(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_tensor_id left, clv_tensor_id right,
    clv_tensor_id *out_id) {
    clv_tensor_id inputs[] = {left, right};
    clv_node node = {.op_type = "Add", .opset = 13, .inputs = inputs, .num_inputs = 2};
    return add_inferred(b, reader, &node, name_of(b, reader->memory, left), out_id);
}

/* --- ports and moves ------------------------------------------------------------------------- */

static clv_status *add_port(clv_port **ports, size_t *count, size_t *capacity, clv_port port) {
    if (!clv_array_reserve((void **)ports, capacity, *count + 1, sizeof **ports)) {
        return clv_pieces_no_memory();
    }
    (*ports)[(*count)++] = port;
    return NULL;
}

/* `ids` and one more, in the graph's arena. */
static clv_tensor_id *longer(
    clv_graph *graph, const clv_tensor_id *ids, size_t count, clv_tensor_id id) {
    clv_tensor_id *list = clv_arena_alloc(&graph->arena, count + 1, sizeof *list);
    if (list != NULL) {
        if (count != 0) {
            memcpy(list, ids, count * sizeof *list);
        }
        list[count] = id;
    }
    return list;
}

clv_status *clv_pieces_add_input(clv_piece_builder *b, uint32_t memory, clv_port port) {
    clv_piece_graph *g = &b->out->memories[memory];
    return add_port(&g->inputs, &g->num_inputs, &g->capacity_inputs, port);
}

clv_status *clv_pieces_add_output(
    clv_piece_builder *b, uint32_t memory, clv_port port, clv_tensor_id id) {
    clv_piece_graph *g = &b->out->memories[memory];
    clv_graph *graph = g->graph;
    CLV_TRY(add_port(&g->outputs, &g->num_outputs, &g->capacity_outputs, port));
    graph->outputs = longer(graph, graph->outputs, graph->num_outputs, id);
    if (graph->outputs == NULL) {
        return clv_pieces_no_memory();
    }
    graph->num_outputs++;
    return NULL;
}

clv_status *clv_pieces_move(
    clv_piece_builder *b, const clv_source *source, const clv_piece_reader *reader,
    clv_tensor_id *out_id) {
    clv_pieces *out = b->out;
    const clv_tensor *from = &out->memories[source->memory].graph->tensors[source->id];
    const clv_view like = {.dtype = from->dtype, .shape = from->shape};
    const clv_piece_move move = {
        .name = from->name,
        .from_memory = source->memory,
        .from_output = (uint32_t)out->memories[source->memory].num_outputs,
        .to_memory = reader->memory,
        .to_input = (uint32_t)out->memories[reader->memory].num_inputs,
        .from_unit = source->unit,
        .to_unit = reader->unit,
        .from_stage = source->stage,
        .to_stage = reader->stage,
        .sequence = ++b->last_sequence,
        .bytes = clv_view_bytes(like.dtype, &like.shape),
    };
    const clv_port port = {.is_move = true, .index = (uint32_t)out->num_moves};
    if (!clv_array_reserve(
            (void **)&out->moves, &out->capacity_moves, out->num_moves + 1, sizeof *out->moves)) {
        return clv_pieces_no_memory();
    }
    out->moves[out->num_moves++] = move;
    CLV_TRY(clv_pieces_add_output(b, source->memory, port, source->id));
    CLV_TRY(clv_pieces_add_tensor(b, reader->memory, from->name, &like, CLV_TENSOR_INPUT, out_id));
    return clv_pieces_add_input(b, reader->memory, port);
}
