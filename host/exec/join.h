/* The steps of several memories as one list, with what moves between them. The result is a lowered
 * program like any other: its order, and the proof of it, need to know nothing of memories.
 *
 * A move is one step where its bytes can go straight from one place to the other: one of the two
 * units sees both (a device with queues reads and writes host memory; cores see all memory that is
 * the host's). Else they go through host memory in between: the sender takes them out as soon as
 * they are made, once for all receivers, and each of these brings them in. Either way a move and
 * what it needs are kept apart from other requests by slots, as everything that crosses stages is.
 */
#ifndef CLV_EXEC_JOIN_H
#define CLV_EXEC_JOIN_H

#include "host/exec/lower.h"

/* How a move is made. */
typedef struct clv_channel {
    bool is_staged;
    uint32_t unit; /* straight: who does it */
} clv_channel;

/* A unit as moves see it. */
typedef struct clv_join_unit {
    uint32_t memory; /* CLV_NO_INDEX: it has no part in this */
    bool has_queues; /* else its memory is the host's */
    bool has_link;   /* to the host's memory, which takes time that is declared */
} clv_join_unit;

typedef struct clv_join_request {
    const clv_pieces *pieces;
    const clv_lowered *parts;    /* [num_memories], of pieces->memories; borrowed by the result */
    const clv_channel *channels; /* [pieces->num_moves] */
    const clv_join_unit *units;  /* [num_units] */
    uint32_t num_units;
    uint32_t depth;
    bool any_order; /* as clv_lower_options has it */
} clv_join_request;

clv_channel clv_channel_of(const clv_piece_move *move, const clv_join_unit *units);

typedef struct clv_joined {
    clv_lowered all; /* storages, programs and blocks of all memories, one memory after another, and
                        of host memory in between; choices and tensors stay with the parts */
    uint32_t *first_storage;  /* [num_memories]: of a memory's, in all.storages */
    uint32_t *memory_of_unit; /* [num_units] */
    uint32_t *block_memory;   /* [all.values.num_blocks]; num_memories: in between */
    uint64_t *memory_bytes;   /* [num_memories + 1]; constants count once they are placed */
    uint32_t num_memories, num_units;
    bool fills_dead; /* fills.h */
} clv_joined;

/* NO_MEMORY; INTERNAL where moves go round in a circle. */
clv_status *clv_lower_join(const clv_join_request *request, clv_joined *out_joined) CLV_CHECKED;
void clv_joined_deinit(clv_joined *joined);

#endif
