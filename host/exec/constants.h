/* Constants of replicas in device memory, as they are or packed. In the host's memory what several
 * replicas would pack, the same of the same piece of an operator, lies once: the first one's, which
 * the others read too. Nobody writes to it. In other memories each replica has its own.
 *
 * Replicas retain it, so it is there while any of them is; one thread at a time makes and ends
 * them. What was placed of a replica is looked at while another one is placed, so it must live till
 * then; after a failure only clv_constants_release may follow.
 */
#ifndef CLV_EXEC_CONSTANTS_H
#define CLV_EXEC_CONSTANTS_H

#include "host/device/device.h"
#include "host/exec/join.h"

typedef struct clv_constants clv_constants;

clv_status *clv_constants_create(clv_constants **out_constants) CLV_CHECKED;
void clv_constants_retain(clv_constants *constants);
void clv_constants_release(clv_constants *constants);

typedef struct clv_constants_request {
    clv_joined *joined;       /* block and offset of each of its constants are filled in, and what
                                 these add is added to unit_bytes and memory_bytes */
    const clv_pieces *pieces; /* that it was lowered from */
    const uint64_t *max_block_bytes; /* [num_memories]: of one buffer */
    uint32_t host_memory;            /* which of its memories is the host's; another number: none */
} clv_constants_request;

/* Pure: no device. What is new is charged to the unit that reads it first. NO_MEMORY. */
clv_status *clv_constants_place(clv_constants *constants, const clv_constants_request *request)
    CLV_CHECKED;

/* Buffers of what was placed last, by its memories' devices [num_memories]; their content is to
 * come (clv_constants_fill). NO_MEMORY. */
clv_status *clv_constants_allocate(clv_constants *constants, clv_device *const *homes) CLV_CHECKED;
clv_buffer *clv_constants_buffer(const clv_constants *constants, uint32_t block);
/* Whether the block's content is there, and that it is in all blocks from now on. */
bool clv_constants_is_filled(const clv_constants *constants, uint32_t block);
void clv_constants_set_filled(clv_constants *constants);

#endif
