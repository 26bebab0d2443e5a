/* A group of a plan made ready: its graph in pieces, lowered for each memory, joined, on its
 * devices, with an executor.
 *
 * Cores share the host's memory. A device with queues has its own, and so has a unit behind a link
 * that is declared, wherever its bytes are in fact.
 */
#ifndef CLV_EXEC_REPLICA_H
#define CLV_EXEC_REPLICA_H

#include "host/base/threads.h"
#include "host/exec/debug.h"
#include "host/exec/executor.h"
#include "host/exec/pieces.h"
#include "host/exec/tasks.h"

typedef struct clv_replica {
    const clv_graph *graph;
    clv_pieces pieces;
    clv_lowered *parts; /* [pieces.num_memories] */
    clv_joined joined;
    clv_constants *constants; /* retained */
    clv_prepared prepared;
    clv_step_program program; /* of a dynamic one: without actors */
    clv_crews crews;          /* of a dynamic one, as are tasks */
    clv_step_tasks tasks;
    clv_executor *executor;
    uint32_t depth;
    double share;                 /* of the requests */
    double period_us, latency_us; /* that the plan promises of this one */
    uint64_t dealt;               /* requests that it was given */
    uint32_t in_flight;           /* of them */
    bool is_settled;              /* the driver may keep what it compiled */
    uint64_t ended, last_number;  /* requests that went well, and the last of them */
    void *owner;
    clv_unit_failure *failures;
    double *step_us; /* [steps]: expected of each */
    pthread_mutex_t words_lock;
    clv_queue **words_queues; /* [pieces.num_memories]: that error words are read by; guarded by the
                                 lock. NULL: not yet */
} clv_replica;

typedef struct clv_replica_options {
    const clv_graph *graph; /* borrowed, as are the units */
    const clv_group *group; /* pieces' units are indices of these */
    const clv_exec_unit *units;
    uint32_t num_units, depth;
    uint64_t taken_bytes;     /* of the host's memory, by replicas before */
    clv_constants *constants; /* of all replicas, which share what they can; NULL: its own */
    bool keep_all, has_spans, is_crowded;
    uint32_t num_recorded; /* requests of which times are kept; 0: none */
    bool is_dynamic;       /* steps run as they become ready, on any lane that can do them, */
    double chunk_us;       /* in pieces that take so long at least; 0: CLV_CHUNK_US */
    clv_debug debug;
    const atomic_bool *cancel;
    clv_unit_failure *failures; /* [num_units]; NULL: nobody asks */
    clv_watch_options watch;
    const double *node_us; /* [graph->num_nodes]: expected of each; NULL: not known */
    /* That variants are chosen by; of which unit is filled in. NULL: none. */
    const clv_known_times *times;
    /* [graph->num_nodes]: variants to be taken where they fit, whatever is known; NULL: none. */
    const clv_way *wanted;
    clv_status *(*finish)(
        void *context, uint64_t number, const clv_mutable_view *outputs, const clv_item_span *spans,
        clv_status *status);
    void *owner; /* kept for finish(), whose context is the replica */
} clv_replica_options;

/* As far as lowering, for which devices are only asked for their info: to be looked at. UNSUPPORTED
 * naming the node or unit; NO_MEMORY. To be deinitialised. */
clv_status *clv_replica_lower(clv_replica *replica, const clv_replica_options *options) CLV_CHECKED;
/* What each unit holds in the replicas of one session, one of each group, into out_bytes
 * [num_units], to the byte: what clv_replica_init() holds against the units' limits. Devices are
 * only asked for their info. UNSUPPORTED, NO_MEMORY as of lowering.
 *
 * options  of all of them: without group, depth and constants */
clv_status *clv_replicas_needs(
    const clv_replica_options *options, const clv_group *groups, uint32_t num_groups,
    uint64_t *out_bytes) CLV_CHECKED;
/* UNSUPPORTED naming the node or unit; NO_MEMORY naming the unit, what is needed and the limit;
 * DEVICE_FAILED. */
clv_status *clv_replica_init(clv_replica *replica, const clv_replica_options *options) CLV_CHECKED;
void clv_replica_deinit(clv_replica *replica);

/* What kernels say of forbidden input values in a request; words are 0 again afterwards. While
 * nothing of that request runs. */
clv_status *clv_replica_check_errors(clv_replica *replica, uint64_t request) CLV_CHECKED;

/* Whether a tensor of the whole graph has memory, and what it held in the last request: with
 * keep_all, while nothing runs. */
bool clv_replica_has_tensor(const clv_replica *replica, clv_tensor_id tensor);
clv_status *clv_replica_read_tensor(
    const clv_replica *replica, clv_tensor_id tensor, void *out_plain) CLV_CHECKED;

/* Adds the time that each node of the whole graph took in a request: of a node in pieces, the
 * slowest. */
clv_status *clv_replica_add_times(
    const clv_replica *replica, const clv_item_span *spans, double *node_us) CLV_CHECKED;

#endif
