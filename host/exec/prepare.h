/* Lowered steps bound to the devices of their units: buffers, filled constants, built programs, and
 * for every step and lane a kernel with all of its arguments set. Running a step is one enqueue.
 *
 * A launch's items are dealt to a unit's lanes in contiguous shares, the same ones in every run.
 */
#ifndef CLV_EXEC_PREPARE_H
#define CLV_EXEC_PREPARE_H

#include "host/exec/constants.h"
#include "host/exec/crews.h"
#include "host/exec/join.h"
#include "host/exec/unit.h"
#include "kernels_cl/clv.h"

typedef struct clv_prepared {
    const clv_joined *joined;
    clv_constants *constants;   /* borrowed */
    const clv_lowered *lowered; /* joined->all */
    const clv_exec_unit *units; /* as steps number them; those that have no steps may be anything */
    uint32_t num_units;
    const clv_crews
        *crews;         /* NULL: only a step's own unit runs it; else its lanes are its crew's */
    clv_device **homes; /* [num_memories]: whose buffers they are; all devices of a memory's units
                               are of its context */
    uint32_t *first_device; /* [num_units + 1]: into all devices of all units that have steps */
    clv_buffer **buffers;   /* blocks of values, error words of each memory; NULL for blocks of host
                               memory, */
    char **host_blocks;     /* which are here */
    char *dead;             /* what dead memory is filled with: as long as the longest FILL; NULL
                             without any */
    size_t num_buffers;
    clv_program **programs; /* [num_programs][num_devices]; NULL where no step needs it */
    size_t *first_kernel;   /* [num_steps + 1] */
    clv_kernel **kernels;   /* of a step, one for each lane; NULL for transfers and lanes without
                               items */
    clv_range *ranges;      /* likewise: the last argument; offsets of slot 0 */
    bool *has_slots;        /* [num_steps]: offsets change from request to request */
} clv_prepared;

typedef struct clv_prepare_request {
    const clv_joined *joined; /* borrowed, as are the units */
    clv_constants *constants; /* in which its constants were placed last; borrowed */
    const clv_exec_unit *units;
    uint32_t num_units;
    const clv_crews *crews; /* borrowed; NULL: each unit runs its own steps, whose items are dealt
                               to its lanes */
    uint64_t taken_bytes;   /* of the host's memory, that others of the same session have: what is
                               left of it is for devices that share it */
} clv_prepare_request;

/* Over a unit's declared memory limit, or over what its device has, is NO_MEMORY before anything is
 * allocated. */
clv_status *clv_prepare(const clv_prepare_request *request, clv_prepared *out_prepared) CLV_CHECKED;
/* Bytes of the host's memory, over all memories, beside constants that replicas before have. */
uint64_t clv_prepared_host_bytes(const clv_prepared *prepared);
void clv_prepared_deinit(clv_prepared *prepared);

/* Lets the driver keep what it compiled; once every step has run. */
void clv_prepared_settle(const clv_prepared *prepared);

/* The buffer of a device's storage, and where in it the storage's slot for a request begins. */
clv_buffer *clv_prepared_place(
    const clv_prepared *prepared, uint32_t storage, uint64_t request, uint64_t *out_offset);
clv_buffer *clv_prepared_errors(const clv_prepared *prepared, uint32_t memory);

/* Where an operand of a transfer is for a request. */
typedef struct clv_place {
    clv_buffer *buffer; /* NULL: memory of the host's alone */
    uint64_t offset;
    char *host; /* NULL: the host cannot see it */
} clv_place;
clv_place clv_prepared_operand(
    const clv_prepared *prepared, const clv_operand *operand, uint64_t request);

/* The kernel of a step and lane with its arguments for a request; NULL where the lane has nothing
 * to do. By one thread a lane at a time. */
clv_status *clv_prepared_kernel(
    const clv_prepared *prepared, uint32_t step, uint32_t lane, uint64_t request,
    clv_kernel **out_kernel) CLV_CHECKED;

/* The same for items [begin, end) of a step of a crew. */
clv_status *clv_prepared_chunk(
    const clv_prepared *prepared, uint32_t step, uint32_t lane, uint64_t request,
    const uint64_t items[2], clv_kernel **out_kernel) CLV_CHECKED;

/* Lane `lane` does items [share(lane), share(lane + 1)) of `num_items`; with fewer items than lanes
 * the first lanes have one each. */
static inline uint64_t clv_share(uint64_t num_items, size_t lane, size_t num_lanes) {
    return (num_items * lane + num_lanes - 1) / num_lanes;
}

/* Moves bytes between host memory and a buffer and waits for it, while nothing else uses either. */
clv_status *clv_buffer_move(
    clv_buffer *buffer, uint64_t offset, size_t bytes, void *data, bool write) CLV_CHECKED;
/* Reads in the same way, on a queue that the caller keeps for it: *queue is created when it is
 * needed. One call at a time. */
clv_status *clv_buffer_read_by(
    clv_buffer *buffer, uint64_t offset, size_t bytes, void *data, clv_queue **queue) CLV_CHECKED;

/* Fills every constant that no replica before has (in parallel, on the host) and gets it to the
 * device. */
clv_status *clv_constants_fill(const clv_prepared *prepared) CLV_CHECKED;

#endif
