#include "host/exec/pieces.h"

#include "host/base/memory.h"
#include "host/exec/pieces_build.h"
#include <string.h>

/* --- one piece ------------------------------------------------------------------------------- */

/* How a node is cut; list from `scratch`. */
typedef struct cut {
    clv_call call;
    const clv_split *split; /* NULL: whole */
} cut;

/* Fills outputs[] with new tensors of the piece. */
static clv_status *add_piece(
    clv_piece_builder *b, const clv_piece_reader *reader, const cut *c, const clv_piece *piece,
    clv_tensor_id *outputs) {
    clv_graph *graph = b->out->memories[reader->memory].graph;
    const clv_node *node = &b->graph->nodes[reader->origin];
    clv_call call = c->call;
    if (c->split != NULL) {
        CLV_TRY(clv_call_cut(&c->call, c->split, piece->begin, piece->end, &graph->arena, &call));
    }
    clv_tensor_id *inputs = clv_arena_alloc(&graph->arena, node->num_inputs, sizeof *inputs);
    clv_shape *shapes = clv_arena_alloc(&graph->arena, node->num_outputs, sizeof *shapes);
    const char *name = c->split == NULL ? node->name
                                        : clv_arena_printf(
                                              &graph->arena, "%s[%lld:%lld)", node->name,
                                              (long long)piece->begin, (long long)piece->end);
    if (inputs == NULL || shapes == NULL || name == NULL) {
        return clv_pieces_no_memory();
    }
    for (size_t i = 0; i < node->num_inputs; i++) {
        inputs[i] = CLV_NO_ID;
        if (node->inputs[i] != CLV_NO_ID) {
            const clv_part part = clv_pieces_part(b, reader->origin, piece, i);
            CLV_TRY(clv_pieces_need(b, reader, node->inputs[i], part, &inputs[i]));
        }
    }
    for (size_t i = 0; i < node->num_outputs; i++) {
        outputs[i] = CLV_NO_ID;
        shapes[i] = call.outputs[i].shape;
        if (node->outputs[i] != CLV_NO_ID) {
            const clv_tensor *t = &b->graph->tensors[node->outputs[i]];
            const clv_view like = {.dtype = t->dtype, .shape = shapes[i], .data = NULL};
            CLV_TRY(clv_pieces_add_tensor(
                b, reader->memory, t->name, &like, CLV_TENSOR_VALUE, &outputs[i]));
        }
    }
    clv_node copy = *node;
    copy.name = name;
    copy.inputs = inputs;
    copy.outputs = outputs;
    clv_node_id id;
    CLV_TRY(clv_graph_add_node(graph, &copy, &id));
    graph->nodes[id].params = call.params;
    graph->nodes[id].output_shapes = shapes;
    CLV_TRY(clv_pieces_note(b, reader, id, false));
    if (c->split != NULL) {
        clv_piece_node *noted = &b->out->memories[reader->memory].nodes[id];
        noted->split = b->group->placements[reader->origin].split;
        noted->begin = piece->begin;
        noted->end = piece->end;
    }
    return NULL;
}

/* --- one operator ---------------------------------------------------------------------------- */

static clv_piece_reader reader_of(
    const clv_piece_builder *b, clv_node_id node, const clv_placement *p, uint32_t k) {
    const uint32_t unit = b->group->pieces[p->first_piece + k].unit;
    return (clv_piece_reader){
        .memory = b->memory_of_unit[unit], .unit = unit, .stage = p->stage, .origin = node};
}

/* The outputs of a piece of a node, as sources. */
static void note_outputs(
    const clv_node *node, const clv_piece_reader *reader, const clv_piece *piece,
    const clv_tensor_id *outputs, clv_source *out_sources) {
    for (size_t i = 0; i < node->num_outputs; i++) {
        out_sources[i] = (clv_source){
            .begin = piece->begin,
            .end = piece->end,
            .memory = reader->memory,
            .unit = reader->unit,
            .stage = reader->stage,
            .id = outputs[i],
        };
    }
}

/* Adds up what the pieces of a SUM made, on the first one's unit. sources: [pieces][outputs]. */
static clv_status *add_up(
    clv_piece_builder *b, const clv_placement *p, clv_node_id id, const clv_source *sources) {
    const clv_node *node = &b->graph->nodes[id];
    const clv_piece_reader reader = reader_of(b, id, p, 0);
    for (size_t i = 0; i < node->num_outputs; i++) {
        clv_source sum = sources[i];
        for (uint32_t k = 1; k < p->num_pieces && sum.id != CLV_NO_ID; k++) {
            const clv_source other = sources[k * node->num_outputs + i];
            clv_tensor_id here = other.id;
            if (other.memory != reader.memory) {
                CLV_TRY(clv_pieces_move(b, &other, &reader, &here));
            }
            CLV_TRY(clv_pieces_add(b, &reader, sum.id, here, &sum.id));
        }
        if (node->outputs[i] != CLV_NO_ID) {
            b->made[node->outputs[i]] =
                (clv_made){.axis = -1, .first = (uint32_t)b->num_sources, .count = 1};
        }
        CLV_TRY(clv_pieces_add_source(b, &sum));
    }
    return NULL;
}

/* Pieces lie side by side: those of one output one after another in the list. */
static clv_status *put_side_by_side(
    clv_piece_builder *b, uint32_t num_pieces, clv_node_id id, const cut *c,
    const clv_source *sources) {
    const clv_node *node = &b->graph->nodes[id];
    for (size_t i = 0; i < node->num_outputs; i++) {
        if (node->outputs[i] == CLV_NO_ID) {
            continue;
        }
        b->made[node->outputs[i]] = (clv_made){
            .axis = c->split != NULL ? c->split->axis : -1,
            .first = (uint32_t)b->num_sources,
            .count = num_pieces,
        };
        for (uint32_t k = 0; k < num_pieces; k++) {
            const clv_source source = sources[k * node->num_outputs + i];
            CLV_TRY(clv_pieces_add_source(b, &source));
        }
    }
    return NULL;
}

/* The node that was added last is done in shares. */
static clv_status *note_shares(
    clv_piece_builder *b, const clv_placement *p, const clv_piece_reader *reader) {
    clv_piece_graph *g = &b->out->memories[reader->memory];
    clv_piece_node *node = &g->nodes[g->graph->num_nodes - 1];
    clv_node_share *shares = clv_arena_alloc(&g->graph->arena, p->num_pieces, sizeof *shares);
    if (shares == NULL) {
        return clv_pieces_no_memory();
    }
    for (uint32_t k = 0; k < p->num_pieces; k++) {
        const clv_piece *piece = &b->group->pieces[p->first_piece + k];
        shares[k] = (clv_node_share){piece->unit, piece->begin, piece->end};
    }
    node->shares = shares;
    node->num_shares = p->num_pieces;
    return NULL;
}

static clv_status *add_pieces(
    clv_piece_builder *b, clv_node_id id, const cut *c, clv_arena *scratch) {
    const clv_placement *p = &b->group->placements[id];
    const uint32_t num_pieces = b->has_shares[id] ? 1 : p->num_pieces;
    const size_t num_outputs = b->graph->nodes[id].num_outputs;
    clv_tensor_id *outputs = clv_arena_alloc(scratch, num_outputs, sizeof *outputs);
    clv_source *sources = clv_arena_alloc(scratch, num_outputs * num_pieces, sizeof *sources);
    if (outputs == NULL || sources == NULL) {
        return clv_pieces_no_memory();
    }
    for (uint32_t k = 0; k < num_pieces; k++) {
        const clv_piece *piece = &b->group->pieces[p->first_piece + k];
        const clv_piece_reader reader = reader_of(b, id, p, k);
        CLV_TRY(add_piece(b, &reader, c, piece, outputs));
        if (b->has_shares[id]) {
            CLV_TRY(note_shares(b, p, &reader));
        }
        note_outputs(&b->graph->nodes[id], &reader, piece, outputs, &sources[k * num_outputs]);
    }
    bool is_sum = c->split != NULL && c->split->join == CLV_JOIN_SUM;
    return is_sum ? add_up(b, p, id, sources) : put_side_by_side(b, num_pieces, id, c, sources);
}

static bool is_known(const clv_graph *graph, const clv_node *node) {
    for (size_t i = 0; i < node->num_outputs; i++) {
        if (node->outputs[i] != CLV_NO_ID && graph->tensors[node->outputs[i]].data == NULL) {
            return false;
        }
    }
    return true;
}

static clv_status *find_shares(clv_piece_builder *b, clv_node_id id) {
    const clv_placement *p = &b->group->placements[id];
    const clv_piece *pieces = &b->group->pieces[p->first_piece];
    for (uint32_t k = 1; k < p->num_pieces; k++) {
        if (b->memory_of_unit[pieces[k].unit] != b->memory_of_unit[pieces[0].unit]) {
            return CLV_ERROR(
                MALFORMED, "units that have shares of it have no memory in common: %u and %u",
                pieces[0].unit, pieces[k].unit);
        }
    }
    b->has_shares[id] = p->num_pieces > 1;
    return NULL;
}

static clv_status *find_split(clv_piece_builder *b, clv_node_id id) {
    const clv_placement *p = &b->group->placements[id];
    clv_split_list list = {0};
    clv_call call;
    if (p->split < 0) {
        return p->num_pieces == 1
                   ? NULL
                   : CLV_ERROR(MALFORMED, "it is whole, and in %u pieces", p->num_pieces);
    }
    CLV_TRY(clv_call_from_node(b->graph, &b->graph->nodes[id], &b->split_arena, &call));
    CLV_TRY(clv_call_splits(&call, &b->split_arena, &list));
    if ((size_t)p->split == list.num_splits && call.op->kernels != NULL) {
        return find_shares(b, id);
    }
    if ((size_t)p->split >= list.num_splits) {
        return CLV_ERROR(
            MALFORMED, "the plan cuts it by split %d, it has %zu", (int)p->split, list.num_splits);
    }
    /* one piece has everything: it is the whole */
    b->splits[id] = p->num_pieces > 1 ? &list.splits[p->split] : NULL;
    return NULL;
}

static clv_status *find_splits(clv_piece_builder *b) {
    for (size_t i = 0; i < b->graph->num_nodes; i++) {
        const clv_node *node = &b->graph->nodes[i];
        if (!is_known(b->graph, node)) {
            clv_status *status = find_split(b, (clv_node_id)i);
            if (status != NULL) {
                return clv_status_prefix(status, "%s '%s'", node->op_type, node->name);
            }
        }
    }
    return NULL;
}

static clv_status *add_node(clv_piece_builder *b, clv_node_id id) {
    const clv_node *node = &b->graph->nodes[id];
    if (is_known(b->graph, node)) {
        return NULL;
    }
    clv_arena scratch;
    clv_arena_init(&scratch, 0);
    cut c = {.split = b->splits[id]};
    clv_status *status = clv_call_from_node(b->graph, node, &scratch, &c.call);
    if (status == NULL) {
        status = add_pieces(b, id, &c, &scratch);
    }
    clv_arena_deinit(&scratch);
    return status == NULL ? NULL : clv_status_prefix(status, "%s '%s'", node->op_type, node->name);
}

/* --- all of it ------------------------------------------------------------------------------- */

/* Who is on the memory that the caller's outputs go to. */
static clv_piece_reader reader_at_home(const clv_piece_builder *b, clv_node_id producer) {
    clv_piece_reader reader = {.memory = CLV_NO_INDEX, .origin = producer};
    for (uint32_t i = 0; i < b->group->num_pieces && reader.memory == CLV_NO_INDEX; i++) {
        const uint32_t unit = b->group->pieces[i].unit;
        if (b->memory_of_unit[unit] == b->home) {
            reader.memory = b->home;
            reader.unit = unit;
        }
    }
    return reader;
}

/* Whether pieces lie in several memories, and the caller's tensor takes each of them as it is. */
static bool leaves_in_pieces(const clv_piece_builder *b, const clv_tensor *t, const clv_made *m) {
    bool is_apart = false;
    for (uint32_t k = 1; k < m->count; k++) {
        is_apart = is_apart || b->sources[m->first + k].memory != b->sources[m->first].memory;
    }
    return is_apart && clv_shape_product(&t->shape, 0, m->axis) <= CLV_MOST_RUNS;
}

/* From where they are made, or from the caller's memory where they have come there anyway. */
static clv_status *add_output_pieces(clv_piece_builder *b, uint32_t index, clv_tensor_id id) {
    const clv_tensor *t = &b->graph->tensors[id];
    const clv_made *made = &b->made[id];
    const clv_piece_reader home = reader_at_home(b, t->producer);
    for (uint32_t k = 0; k < made->count; k++) {
        const clv_source *source = &b->sources[made->first + k];
        const clv_part part = {.axis = made->axis, .from = source->begin, .to = source->end};
        const clv_port port = {.index = index, .runs = clv_pieces_runs(t, part)};
        clv_tensor_id there = source->id;
        uint32_t memory = source->memory;
        if (memory != home.memory && home.memory != CLV_NO_INDEX &&
            clv_pieces_find(b, &home, id, part, &there)) {
            memory = home.memory;
        }
        CLV_TRY(clv_pieces_add_output(b, memory, port, there));
    }
    return NULL;
}

/* Outputs leave from where they are made; pieces on one memory are put together at the first. */
static clv_status *add_output(clv_piece_builder *b, uint32_t index, clv_tensor_id id) {
    const clv_made *made = &b->made[id];
    const clv_node_id producer = b->graph->tensors[id].producer;
    const clv_piece_reader home = reader_at_home(b, producer);
    clv_piece_reader reader = {.unit = b->group->num_pieces > 0 ? b->group->pieces[0].unit : 0};
    clv_tensor_id here;
    if (home.memory != CLV_NO_INDEX &&
        clv_pieces_find(b, &home, id, (clv_part){.axis = -1}, &here)) {
        return clv_pieces_add_output(b, home.memory, (clv_port){.index = index}, here);
    }
    if (made->count > 1 && leaves_in_pieces(b, &b->graph->tensors[id], made)) {
        return add_output_pieces(b, index, id);
    }
    if (b->graph->tensors[id].kind == CLV_TENSOR_INPUT && home.memory != CLV_NO_INDEX) {
        reader = home; /* the caller has it already */
    } else if (made->count != 0) {
        const clv_source *source = &b->sources[made->first];
        reader =
            (clv_piece_reader){.unit = source->unit, .stage = source->stage, .origin = producer};
    }
    reader.memory = b->memory_of_unit[reader.unit];
    CLV_TRY(clv_pieces_need(b, &reader, id, (clv_part){.axis = -1}, &here));
    return clv_pieces_add_output(b, reader.memory, (clv_port){.index = index}, here);
}

static clv_status *add_outputs(clv_piece_builder *b) {
    const clv_graph *graph = b->graph;
    for (size_t i = 0; i < graph->num_outputs; i++) {
        if (graph->tensors[graph->outputs[i]].data == NULL) {
            CLV_TRY(add_output(b, (uint32_t)i, graph->outputs[i]));
        }
    }
    return NULL;
}

/* The graph's inputs: its INPUT tensors, in the order in which ports were added. */
static clv_status *set_inputs(clv_piece_graph *g) {
    clv_graph *graph = g->graph;
    graph->inputs = clv_arena_alloc(&graph->arena, g->num_inputs, sizeof *graph->inputs);
    if (graph->inputs == NULL) {
        return clv_pieces_no_memory();
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        if (graph->tensors[i].kind == CLV_TENSOR_INPUT) {
            graph->inputs[graph->num_inputs++] = (clv_tensor_id)i;
        }
    }
    return NULL;
}

static void keep_whole(void *graph) {
    (void)graph; /* borrowed */
}

static void drop_pages_of(void *graph) {
    clv_graph_drop_pages(graph);
}

static clv_status *create_graph(const clv_graph *whole, clv_piece_graph *out) {
    const clv_resource pages = {
        .object = (void *)(uintptr_t)whole, .destroy = keep_whole, .drop_pages = drop_pages_of};
    CLV_TRY(clv_graph_create(&out->graph));
    out->graph->name = whole->name;
    return clv_graph_take_resource(out->graph, pages);
}

static clv_status *build(clv_piece_builder *b, uint32_t num_memories) {
    const clv_graph *graph = b->graph;
    clv_pieces *out = b->out;
    out->memories = clv_alloc_zeroed(num_memories, sizeof *out->memories);
    b->first_holding = clv_alloc_zeroed(graph->num_tensors + 1, sizeof *b->first_holding);
    b->made = clv_alloc_zeroed(graph->num_tensors + 1, sizeof *b->made);
    b->splits = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *b->splits);
    b->has_shares = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *b->has_shares);
    if (out->memories == NULL || b->first_holding == NULL || b->made == NULL || b->splits == NULL ||
        b->has_shares == NULL) {
        return clv_pieces_no_memory();
    }
    CLV_TRY(clv_uses_init(graph, &b->uses));
    CLV_TRY(find_splits(b));
    out->num_memories = num_memories;
    for (uint32_t i = 0; i < num_memories; i++) {
        CLV_TRY(create_graph(graph, &out->memories[i]));
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        b->first_holding[i] = CLV_NO_INDEX;
    }
    for (size_t i = 0; i < graph->num_nodes; i++) {
        CLV_TRY(add_node(b, b->group->order != NULL ? b->group->order[i] : (clv_node_id)i));
    }
    CLV_TRY(add_outputs(b));
    for (uint32_t i = 0; i < num_memories; i++) {
        CLV_TRY(set_inputs(&out->memories[i]));
#ifdef CLEAVE_VERIFY
        CLV_TRY(clv_graph_verify(out->memories[i].graph, CLV_VERIFY_SHAPES));
#endif
    }
    return NULL;
}

clv_status *clv_pieces_create(const clv_pieces_request *request, clv_pieces *out_pieces) {
    *out_pieces = (clv_pieces){.num_memories = 0};
    clv_piece_builder b = {
        .graph = request->graph,
        .group = request->group,
        .memory_of_unit = request->memory_of_unit,
        .home = request->home,
        .out = out_pieces,
    };
    clv_arena_init(&b.split_arena, 0);
    clv_status *status = build(&b, request->num_memories);
    clv_arena_deinit(&b.split_arena);
    clv_uses_deinit(&b.uses);
    clv_free(b.splits);
    clv_free(b.has_shares);
    clv_free(b.first_holding);
    clv_free(b.holdings);
    out_pieces->made = b.made;
    out_pieces->sources = b.sources;
    if (status != NULL) {
        clv_pieces_deinit(out_pieces);
    }
    return status;
}

void clv_pieces_deinit(clv_pieces *pieces) {
    for (uint32_t i = 0; i < pieces->num_memories; i++) {
        clv_piece_graph *g = &pieces->memories[i];
        clv_graph_destroy(g->graph);
        clv_free(g->nodes);
        clv_free(g->inputs);
        clv_free(g->outputs);
    }
    clv_free(pieces->memories);
    clv_free(pieces->moves);
    clv_free(pieces->made);
    clv_free(pieces->sources);
    *pieces = (clv_pieces){.num_memories = 0};
}
