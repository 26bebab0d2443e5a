/* What everyone does for a request, in order, and what they wait for. Pure: made from lowered
 * steps, and checked before anything runs.
 *
 * An actor goes through its items one after another, request after request: a unit's lanes (all of
 * them go through the same items, each does its share), or one queue of a device. All items of a
 * request stand in one order overall, in which running them one by one is right. So an item
 * waits for the last item of every other actor that comes before it in that order, or belongs to an
 * earlier request, and touches what it touches; and waiting can never go round in a circle.
 */
#ifndef CLV_EXEC_PROGRAM_H
#define CLV_EXEC_PROGRAM_H

#include "host/exec/lower.h"

/* A wait of an item of request r: until `actor` has done its `item` of request r - lag. */
typedef struct clv_item_wait {
    uint32_t actor, item, lag;
} clv_item_wait;

typedef struct clv_item {
    uint32_t step;     /* of the lowered steps */
    uint32_t position; /* in the order of all items of a request */
    uint32_t first_wait, num_waits;
    bool is_awaited;    /* by another actor, or another lane of this one */
    bool is_published;  /* by an actor of another unit */
    bool is_gated;      /* it waits for one of another unit */
    bool is_first_only; /* the first lane does it all */
} clv_item;

typedef enum clv_actor_role {
    CLV_ACTOR_ALL,
    CLV_ACTOR_COMPUTE,
    CLV_ACTOR_UPLOAD,
    CLV_ACTOR_DOWNLOAD
} clv_actor_role;

typedef struct clv_actor {
    uint32_t unit, num_lanes;
    clv_actor_role role; /* ALL: every item of the unit */
    clv_item *items;
    uint32_t num_items;
} clv_actor;

typedef struct clv_program_unit {
    uint32_t num_lanes; /* 0: the unit has no part in it */
    bool has_queues;    /* three actors instead of one */
} clv_program_unit;

typedef struct clv_step_program {
    const clv_lowered *lowered; /* borrowed */
    uint32_t depth;
    clv_actor *actors;
    uint32_t num_actors;
    uint32_t *actor_of_step; /* [num_steps] */
    uint32_t *item_of_step;
    clv_item_wait *waits;
    size_t num_waits, capacity_waits;
} clv_step_program;

/* Inputs and outputs up to so many bytes are copied by the first lane alone. */
enum { CLV_COPY_ITEM_BYTES = 64 << 10 };

/* units: [num_units], of those that steps name. NO_MEMORY. */
clv_status *clv_step_program_create(
    const clv_lowered *lowered, const clv_program_unit *units, uint32_t num_units, uint32_t depth,
    clv_step_program *out_program) CLV_CHECKED;
void clv_step_program_deinit(clv_step_program *program);

/* Proves that every two items that touch the same bytes, one of them writing, are in an order,
 * within a request and between any two in flight, by what each actor does in order and by waits.
 * INTERNAL names the two steps that are not. */
clv_status *clv_step_program_verify(const clv_step_program *program) CLV_CHECKED;

#endif
