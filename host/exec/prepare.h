/* Lowered steps bound to a unit's devices: buffers, filled constants, built programs, and for every
 * step and lane a kernel with all of its arguments set. Running a step is one enqueue.
 *
 * A launch's items are dealt to lanes in contiguous shares, the same ones in every run.
 */
#ifndef CLV_EXEC_PREPARE_H
#define CLV_EXEC_PREPARE_H

#include "host/exec/lower.h"
#include "host/exec/unit.h"

typedef struct clv_prepared {
    const clv_lowered *lowered;
    clv_exec_unit unit;
    size_t num_lanes;     /* devices that a launch is dealt to */
    clv_buffer **buffers; /* blocks of values, blocks of constants, error words */
    size_t num_buffers;
    clv_program **programs; /* [num_programs][num_lanes] */
    clv_kernel **kernels;   /* [num_steps][num_lanes]; NULL for transfers and lanes without items */
} clv_prepared;

/* `lowered` and the unit's devices are borrowed. Over the unit's declared memory limit, or over
 * what its device has, is NO_MEMORY before anything is allocated. */
clv_status *clv_prepare(
    const clv_lowered *lowered, const clv_exec_unit *unit, clv_prepared *out_prepared) CLV_CHECKED;
void clv_prepared_deinit(clv_prepared *prepared);

/* Lets the driver keep what it compiled; once every step has run. */
void clv_prepared_settle(const clv_prepared *prepared);

/* The buffer of a storage, and where in it the storage begins. */
clv_buffer *clv_prepared_place(
    const clv_prepared *prepared, uint32_t storage, uint64_t *out_offset);
clv_buffer *clv_prepared_errors(const clv_prepared *prepared);

/* Lane `lane` does items [share(lane), share(lane + 1)) of `num_items`; with fewer items than lanes
 * the first lanes have one each. */
static inline uint64_t clv_share(uint64_t num_items, size_t lane, size_t num_lanes) {
    return (num_items * lane + num_lanes - 1) / num_lanes;
}

/* Moves bytes between host memory and a buffer and waits for it, while nothing else uses either. */
clv_status *clv_buffer_move(
    clv_buffer *buffer, uint64_t offset, size_t bytes, void *data, bool write) CLV_CHECKED;

/* Fills every constant (in parallel, on the host) and gets it to the device. */
clv_status *clv_constants_fill(const clv_prepared *prepared) CLV_CHECKED;

#endif
