/* The graphs of pieces.h under construction: nodes, tensors, moves; and where parts of a tensor of
 * the whole graph are already. For pieces*.c. */
#ifndef CLV_EXEC_PIECES_BUILD_H
#define CLV_EXEC_PIECES_BUILD_H

#include "host/exec/pieces.h"

/* Positions [from, to) of an axis; axis -1: everything. */
typedef struct clv_part {
    int axis;
    int64_t from, to;
} clv_part;

/* A part of a tensor of the whole graph that is there. */
typedef struct clv_holding {
    clv_part part;
    uint32_t memory, unit; /* unit CLV_NO_INDEX: for whoever is on the memory */
    clv_tensor_id id;      /* in the memory's graph */
    uint32_t next;
} clv_holding;

typedef struct clv_piece_builder {
    const clv_graph *graph;
    const clv_group *group;
    const uint32_t *memory_of_unit;
    uint32_t home; /* as the request has it */
    clv_pieces *out;
    uint32_t *first_holding; /* [num_tensors] */
    clv_holding *holdings;
    size_t num_holdings, capacity_holdings;
    clv_made *made; /* [num_tensors] */
    clv_source *sources;
    size_t num_sources, capacity_sources;
    uint32_t last_sequence;   /* of the node or move that was made last */
    clv_uses uses;            /* of the whole graph */
    const clv_split **splits; /* [num_nodes of it]: NULL where it is whole, or in shares; in: */
    clv_arena split_arena;
    bool *has_shares; /* [num_nodes of it] */
} clv_piece_builder;

/* Who asks for something. */
typedef struct clv_piece_reader {
    uint32_t memory, unit, stage;
    clv_node_id origin;
} clv_piece_reader;

clv_status *clv_pieces_no_memory(void);

/* --- pieces_graph.c: what the graphs are made of --- */

clv_status *clv_pieces_add_source(clv_piece_builder *b, const clv_source *source) CLV_CHECKED;
/* Bookkeeping of a node that was just added. */
clv_status *clv_pieces_note(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_node_id id, bool is_join) CLV_CHECKED;
/* A tensor with a fresh name. */
clv_status *clv_pieces_add_tensor(
    clv_piece_builder *b, uint32_t memory, const char *name, const clv_view *like,
    clv_tensor_kind kind, clv_tensor_id *out_id) CLV_CHECKED;
clv_status *clv_pieces_slice(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_tensor_id input, clv_part part,
    clv_tensor_id *out_id) CLV_CHECKED;
clv_status *clv_pieces_concat(
    clv_piece_builder *b, const clv_piece_reader *reader, const clv_tensor_id *inputs, size_t count,
    int axis, clv_tensor_id *out_id) CLV_CHECKED;
clv_status *clv_pieces_add(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_tensor_id left, clv_tensor_id right,
    clv_tensor_id *out_id) CLV_CHECKED;
/* A tensor made on another memory as an input of the reader's. */
clv_status *clv_pieces_move(
    clv_piece_builder *b, const clv_source *source, const clv_piece_reader *reader,
    clv_tensor_id *out_id) CLV_CHECKED;
clv_status *clv_pieces_add_input(clv_piece_builder *b, uint32_t memory, clv_port port) CLV_CHECKED;
clv_status *clv_pieces_add_output(
    clv_piece_builder *b, uint32_t memory, clv_port port, clv_tensor_id id) CLV_CHECKED;

/* --- pieces_span.c: what a memory gets at once --- */

/* What piece `piece` of a node needs of its input `input`; axis -1: all of it. */
clv_part clv_pieces_part(
    const clv_piece_builder *b, clv_node_id node, const clv_piece *piece, size_t input);
/* Widens `part`, of positions along an axis, by what other pieces on the memory need of the tensor
 * and what overlaps or touches it: so that nothing crosses a link twice, and nothing that nobody
 * needs. */
void clv_pieces_widen(
    const clv_piece_builder *b, clv_tensor_id tensor, uint32_t memory, clv_part *part);

/* --- pieces_need.c: what readers need --- */

/* The part of a tensor of the whole graph, as a tensor in the reader's memory. */
clv_status *clv_pieces_need(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_tensor_id tensor, clv_part part,
    clv_tensor_id *out_id) CLV_CHECKED;
/* Whether it is there already: for whoever is on the memory, or for this unit. */
bool clv_pieces_find(
    const clv_piece_builder *b, const clv_piece_reader *reader, clv_tensor_id tensor, clv_part part,
    clv_tensor_id *out_id);
/* The bytes of a part in a whole tensor. */
clv_runs clv_pieces_runs(const clv_tensor *tensor, clv_part part);

#endif
