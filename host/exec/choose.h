/* Which variant runs each node on a unit, and how tensors lie there: docs/layouts.md. Pure. */
#ifndef CLV_EXEC_CHOOSE_H
#define CLV_EXEC_CHOOSE_H

#include "host/device/device.h"
#include "host/ops/op.h"

/* What variants were measured to take on a unit, and on CPUs like it. */
typedef struct clv_known_times {
    /* Microseconds of all launches of a call whose views are plain, operands in the layouts that
     * the variant wants at least; NAN: not known. Any thread. */
    double (*find)(
        const struct clv_known_times *times, const clv_call *call, const clv_way *way,
        const clv_traits *traits);
    /* (optional: nothing is known) The same, of CPUs like the unit, as the library came with it:
     * what is chosen by where find() does not decide. */
    double (*find_shipped)(
        const struct clv_known_times *times, const clv_call *call, const clv_way *way,
        const clv_traits *traits);
    const void *database;        /* of find() */
    const void *shipped;         /* of find_shipped() */
    const clv_device_info *info; /* of the unit's devices, which are alike */
    size_t num_devices;
} clv_known_times;

typedef struct clv_choose_request {
    const clv_graph *graph;
    clv_traits traits;
    const clv_tensor_id *alias; /* [num_tensors]: whose bytes a tensor shares, through all views */
    const clv_call *const *calls; /* [num_nodes]; NULL: runs nothing */
    /* [num_nodes], or NULL: what was chosen for the whole operator that a node is a piece of; it is
     * taken where it fits the piece. Entries may be NULL. */
    const clv_way *wanted;
    const clv_known_times *times; /* NULL: nothing was measured */
} clv_choose_request;

typedef struct clv_chosen {
    clv_way *ways;        /* [num_nodes] */
    const char **reasons; /* [num_nodes] */
    const char **origins; /* [num_nodes]: what it was chosen by: "measured", "shipped",
                                     "estimated", or "fallback": the table's order */
    bool *is_blocked;     /* [num_nodes]: the variant has layouts of its own */
    clv_layout *home;     /* [num_tensors], of roots: as its producer leaves it */
    clv_layout *blocked;  /* [num_tensors], of roots: as readers of blocks take it */
    uint32_t *plain_readers, *blocked_readers; /* [num_tensors], of roots; outputs are readers */
} clv_chosen;

/* NO_MEMORY. */
clv_status *clv_choose(const clv_choose_request *request, clv_chosen *out_chosen) CLV_CHECKED;
void clv_chosen_deinit(clv_chosen *chosen);

#endif
