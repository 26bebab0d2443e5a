/* What a memory gets of a tensor at once: as much as hangs together of what pieces there need. */
#include "host/exec/pieces_build.h"

clv_part clv_pieces_part(
    const clv_piece_builder *b, clv_node_id node, const clv_piece *piece, size_t input) {
    const clv_split *split = b->splits[node];
    const clv_split_input *need = split != NULL ? &split->inputs[input] : NULL;
    clv_part part = {.axis = -1};
    if (need != NULL && need->need == CLV_NEED_SLICE) {
        const clv_tensor_id tensor = b->graph->nodes[node].inputs[input];
        part.axis = need->axis;
        clv_split_slice(
            need, piece->begin, piece->end, b->graph->tensors[tensor].shape.dims[need->axis],
            &part.from, &part.to);
    }
    return part;
}

/* Whether the part has grown. */
static bool include(clv_part *part, const clv_part *other, int64_t extent) {
    if (other->axis != part->axis) { /* all of it, or across */
        const bool has_grown = part->from > 0 || part->to < extent;
        part->from = 0;
        part->to = extent;
        return has_grown;
    }
    const bool touches =
        other->from < other->to && other->from <= part->to && other->to >= part->from;
    if (!touches || (other->from >= part->from && other->to <= part->to)) {
        return false;
    }
    part->from = other->from < part->from ? other->from : part->from;
    part->to = other->to > part->to ? other->to : part->to;
    return true;
}

static bool include_reader(
    const clv_piece_builder *b, clv_node_id reader, clv_tensor_id tensor, uint32_t memory,
    clv_part *part) {
    const clv_node *node = &b->graph->nodes[reader];
    const clv_placement *p = &b->group->placements[reader];
    const int64_t extent = b->graph->tensors[tensor].shape.dims[part->axis];
    bool has_grown = false;
    for (uint32_t k = 0; k < p->num_pieces; k++) {
        const clv_piece *piece = &b->group->pieces[p->first_piece + k];
        for (size_t i = 0; i < node->num_inputs && b->memory_of_unit[piece->unit] == memory; i++) {
            if (node->inputs[i] == tensor) {
                const clv_part needed = clv_pieces_part(b, reader, piece, i);
                has_grown = include(part, &needed, extent) || has_grown;
            }
        }
    }
    return has_grown;
}

void clv_pieces_widen(
    const clv_piece_builder *b, clv_tensor_id tensor, uint32_t memory, clv_part *part) {
    const int64_t extent = b->graph->tensors[tensor].shape.dims[part->axis];
    bool has_grown = true;
    while (has_grown && (part->from > 0 || part->to < extent)) {
        has_grown = false;
        for (uint32_t i = b->uses.offsets[tensor]; i < b->uses.offsets[tensor + 1]; i++) {
            has_grown = include_reader(b, b->uses.nodes[i], tensor, memory, part) || has_grown;
        }
    }
}
