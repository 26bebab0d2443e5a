/* What runs prepared steps: an engine for lanes that run kernels in their own thread (cores), and
 * one for devices with queues. Same steps, same order of what depends on what.
 */
#ifndef CLV_EXEC_ENGINE_H
#define CLV_EXEC_ENGINE_H

#include "host/exec/prepare.h"
#include <stdatomic.h>

/* When a step ran: host clock for lanes, the device's clock for queues; 0, 0: it has no time. */
typedef struct clv_span {
    uint64_t begin_ns, end_ns;
} clv_span;

/* One request. */
typedef struct clv_request {
    const clv_view *inputs;          /* [graph->num_inputs] */
    const clv_mutable_view *outputs; /* [graph->num_outputs] */
    const atomic_bool *cancel;       /* NULL: cannot be interrupted */
    clv_span *spans;                 /* [num_steps][num_lanes], to be filled; NULL: not wanted */
} clv_request;

/* What an engine did so far. */
typedef struct clv_engine_stats {
    double busy_us;     /* kernels and copies, a mean over lanes */
    double transfer_us; /* of that, inputs and outputs */
    uint64_t launches;
    uint64_t bytes_in, bytes_out;
} clv_engine_stats;

typedef struct clv_engine clv_engine;
struct clv_engine {
    void (*destroy)(clv_engine *engine);
    /* Returns when the request is done or has failed and nothing of it runs any more; the next one
     * may then be given. One thread at a time. CANCELLED, DEVICE_FAILED naming the node. */
    clv_status *(*run)(clv_engine *engine, const clv_request *request);
    clv_engine_stats stats;
};

/* For units whose devices are of kind CORE. One thread a lane beside the caller, which is lane 0.
 */
clv_status *clv_inline_engine_create(const clv_prepared *prepared, clv_engine **out_engine)
    CLV_CHECKED;
/* For units of one device with queues. */
clv_status *clv_queued_engine_create(const clv_prepared *prepared, clv_engine **out_engine)
    CLV_CHECKED;

#endif
