/* A graph made ready on units, as a plan says, and run any number of times: docs/execution.md.
 *
 * Making a session cuts the graph in pieces, lowers them, plans memory, fills weights, builds
 * kernels and sets every argument; running replays that. A session may be used by any number
 * of threads: as many requests as the plan's depth are in flight, whoever comes then waits.
 */
#ifndef CLV_EXEC_SESSION_H
#define CLV_EXEC_SESSION_H

#include "host/exec/debug.h"
#include "host/exec/executor.h"
#include "host/exec/unit.h"
#include "host/ops/op.h"
#include "partition/plan.h"
#include "scheduler/record.h"
#include <stdatomic.h>

typedef struct clv_session clv_session;

enum { CLV_MAX_DEPTH = 1024 };

/* Whether a session can have as many requests in flight as each group of the plan says: USAGE, more
 * than CLV_MAX_DEPTH; MALFORMED, none. */
clv_status *clv_check_depths(const clv_plan *plan) CLV_CHECKED;

typedef struct clv_session_options {
    bool profile;  /* times of every step (devices must be opened with profiling): costs a little */
    bool keep_all; /* every tensor stays in memory, for clv_session_read_tensor */
    const atomic_bool *cancel; /* NULL, or: once true, requests end soon with CANCELLED */
    /* Placements of the graph's nodes, pieces on the session's units by index; used while the
     * session is made. NULL: everything on the one unit, one request in flight. More than
     * CLV_MAX_DEPTH in one of its groups is USAGE. */
    const clv_plan *plan;
    const clv_known_times *times; /* that variants are chosen by; used likewise. NULL: none */
    /* Requests, the last ones, whose steps' times are kept for clv_session_record, as far as some
     * memory allows (devices must be opened with profiling); 0: none. */
    uint32_t num_recorded;
    /* Steps run as they become ready, on any lane of those cores that share a memory, instead of
     * in the plan's order. */
    bool is_dynamic;
    clv_watch_options watch; /* all 0: nobody looks after steps */
    const double *node_us;   /* expected of each node; used while the session is made. NULL: not
                                known */
    double
        chunk_us; /* then: pieces of a step for several lanes take so long at least; 0: default */
    clv_debug debug;
} clv_session_options;

/* What a session is and has done. Times in microseconds. */
typedef struct clv_unit_report {
    const char *name;
    uint64_t ops;   /* operators run, over all requests */
    double busy_us; /* a mean over the unit's lanes, as clv_unit_stats has it */
    double transfer_us;
    double waited_us; /* in requests, for other lanes and units */
    uint64_t bytes_in, bytes_out;
    uint64_t memory_bytes; /* arena, weights and the rest */
    uint64_t arena_bytes, arena_lower_bound_bytes;
    uint64_t weight_bytes; /* without those of copies before that are in the same memory */
} clv_unit_report;

typedef struct clv_node_report {
    clv_node_id node;
    const char *unit;    /* "core:0"; of several "core:0,core:1" */
    const char *variant; /* NULL: it runs nothing */
    const char *reason;  /* of the variant, or why it runs nothing */
    uint32_t launches;
    uint32_t num_sums; /* the most of a launch of its variant (clv_launch); 0: not known */
    double time_us;    /* mean over profiled requests, NAN without */
} clv_node_report;

typedef struct clv_session_report {
    const clv_unit_report *units;
    size_t num_units;
    const clv_node_report *nodes; /* one for each node of the graph, in its order */
    size_t num_nodes;
    uint64_t requests; /* done */
    uint32_t depth;    /* requests in flight */
    size_t steps;      /* of a request: kernels, inputs, outputs */
    size_t kernels;    /* distinct ones of all steps: of a program, at a local size */
    double load_us;    /* making the session */
    double first_us;   /* its first request: drivers compile then. NAN before */
} clv_session_report;

/* graph    satisfies clv_graph_verify at level SHAPES; borrowed until the session is destroyed
 * units    in order of priority; their devices are borrowed likewise
 * options  NULL: none of them
 * errors   UNSUPPORTED naming the node; NO_MEMORY naming the unit, what is needed and the limit;
 *          DEVICE_FAILED */
clv_status *clv_session_create(
    const clv_graph *graph, const clv_exec_unit *units, size_t num_units,
    const clv_session_options *options, clv_session **out_session) CLV_CHECKED;
void clv_session_destroy(clv_session *session);

/* Runs one request. Any thread.
 *
 * inputs   [graph->num_inputs], each with the graph's type and shape and its data; the data of an
 *          input that was bound when shapes were inferred may be NULL, or must be the same
 * outputs  [graph->num_outputs], with type and shape; filled. What they hold after a failure is
 *          undefined
 * errors   USAGE for operands that do not fit, MALFORMED where an operator forbids an input's value
 *          (names the node), DEVICE_FAILED, CANCELLED. The next request may be given after any */
clv_status *clv_session_run(
    clv_session *session, const clv_view *inputs, size_t num_inputs,
    const clv_mutable_view *outputs, size_t num_outputs) CLV_CHECKED;

/* The same without waiting for the end: done() is called then, by a thread that runs requests, with
 * the status, which it owns; it must not submit nor wait for a request. Blocks while as many
 * requests are in flight as may be, and while only a copy has room that is so slow that waiting for
 * another one ends sooner. The arrays are copied; data of inputs and outputs is used until the end.
 */
clv_status *clv_session_submit(
    clv_session *session, const clv_view *inputs, size_t num_inputs,
    const clv_mutable_view *outputs, size_t num_outputs, clv_done_function done,
    void *context) CLV_CHECKED;
/* What a request failed with first because this one of the session's units did; NULL: none did.
 * Borrowed. Any thread. */
const clv_status *clv_session_unit_failure(const clv_session *session, size_t unit);
/* Requests that may be in flight. */
uint32_t clv_session_depth(const clv_session *session);

/* After a request, with options.keep_all: what a tensor held. UNSUPPORTED for one that has no
 * memory of its own (nobody needs it). */
clv_status *clv_session_read_tensor(
    clv_session *session, clv_tensor_id tensor, const clv_mutable_view *output) CLV_CHECKED;
bool clv_session_has_tensor(const clv_session *session, clv_tensor_id tensor);

/* Forgets the times of nodes, so that the report tells of the requests after this. */
void clv_session_reset_times(clv_session *session);

/* Records requests from now on, with num_recorded; those since the session was made are recorded
 * without it. While no request runs. DEVICE_FAILED: a device's clock cannot be read. */
clv_status *clv_session_begin_record(clv_session *session) CLV_CHECKED;
/* What was recorded; its names are borrowed of the session. While no request runs. USAGE without
 * num_recorded, or where no request went well. */
clv_status *clv_session_record(clv_session *session, clv_record **out_record) CLV_CHECKED;

/* Borrowed until the next call with this session. Not while a request runs. */
const clv_session_report *clv_session_report_get(clv_session *session);

#endif
