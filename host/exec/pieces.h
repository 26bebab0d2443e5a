/* A group of a plan as graphs, one for each memory. Every piece of an operator becomes a node of
 * its own, with sliced shapes and params; what its readers need of it is put together by Slice,
 * Concat and Add nodes (which cost nothing where pieces lie side by side in memory); what they
 * need of another memory is an output of the one graph and an input of the other: a move.
 *
 * So everything after this (variants, layouts, memory) knows graphs and nothing of plans. Pure.
 */
#ifndef CLV_EXEC_PIECES_H
#define CLV_EXEC_PIECES_H

#include "host/ops/op.h"
#include "partition/plan.h"

/* Positions along an axis of a tensor, as it lies dense and row-major: runs of bytes at equal
 * distances. run_bytes 0: all of it. */
typedef struct clv_runs {
    uint64_t first_byte, run_bytes, pitch_bytes;
} clv_runs;

/* What an input or output of a memory's graph is. */
typedef struct clv_port {
    bool is_move;   /* else an input or output of the whole graph: the caller's */
    uint32_t index; /* of pieces->moves; of graph->inputs or outputs */
    clv_runs runs;  /* of the caller's: what of it is needed, or made, there */
} clv_port;

/* A tensor, or a part of one, from one memory to another; dense and plain. */
typedef struct clv_piece_move {
    const char *name; /* of the tensor, in the graph that it comes from */
    uint32_t from_memory, from_output, to_memory, to_input;
    uint32_t from_unit, to_unit; /* who makes it, who reads it first */
    uint32_t from_stage, to_stage;
    uint32_t sequence; /* when it is there at the latest: before the nodes with larger ones */
    uint64_t bytes;
} clv_piece_move;

/* A share of a node's work-items: [begin, end) of CLV_SHARES. */
typedef struct clv_node_share {
    uint32_t unit;
    int64_t begin, end;
} clv_node_share;

typedef struct clv_piece_node {
    uint32_t unit, stage;
    clv_node_id origin; /* in the whole graph: the operator, or whom a join is for */
    uint32_t
        sequence; /* in an order of the nodes and moves of all memories that is right; from 1 */
    bool is_join;
    int32_t split;      /* of an operator in pieces: which of its splits, and which positions of */
    int64_t begin, end; /* the axis; else -1 */
    const clv_node_share *shares; /* in the graph's arena; NULL: `unit` does all of it, else the
                                     first of them has that unit */
    uint32_t num_shares;
} clv_piece_node;

typedef struct clv_piece_graph {
    clv_graph *graph;      /* what is known beforehand is borrowed from the whole graph */
    clv_piece_node *nodes; /* [graph->num_nodes] */
    clv_port *inputs, *outputs;
    size_t capacity_nodes, num_inputs, capacity_inputs, num_outputs, capacity_outputs;
} clv_piece_graph;

/* Where a tensor is made: pieces side by side along an axis. */
typedef struct clv_source {
    int64_t begin, end;
    uint32_t memory, unit, stage;
    clv_tensor_id id;
} clv_source;

typedef struct clv_made {
    int axis; /* -1: whole, by one */
    uint32_t first, count;
} clv_made;

typedef struct clv_pieces {
    clv_piece_graph *memories;
    uint32_t num_memories;
    clv_piece_move *moves;
    size_t num_moves, capacity_moves;
    clv_made *made; /* [num_tensors of the whole graph]; count 0: nowhere */
    clv_source *sources;
} clv_pieces;

typedef struct clv_pieces_request {
    const clv_graph *graph; /* verified at level SHAPES; outlives the result */
    const clv_group *group; /* placements[i] is of graph->nodes[i] */
    const uint32_t *memory_of_unit;
    uint32_t num_memories;
    uint32_t home; /* the memory that the caller's inputs and outputs are in; any other number: none
                      of them */
} clv_pieces_request;

/* MALFORMED where a placement does not suit its operator; NO_MEMORY. */
clv_status *clv_pieces_create(const clv_pieces_request *request, clv_pieces *out_pieces)
    CLV_CHECKED;
void clv_pieces_deinit(clv_pieces *pieces);

#endif
