/* The object behind a cleave_session. */
#ifndef CLV_API_SESSION_H
#define CLV_API_SESSION_H

#include "host/api/completion.h"
#include "host/api/internal.h"
#include "host/api/recover.h"
#include "host/api/units.h"
#include "host/exec/session.h"

/* What the plan says of a session's requests; all NULL and 0 where there was none to make. */
typedef struct clv_prediction {
    double period_us, latency_us; /* of a request alone */
    double *node_us;              /* [num_nodes]: of the slowest piece, with its launch */
    const char **origins;         /* [num_nodes]: where that is from */
} clv_prediction;

struct cleave_session {
    clv_graph *graph;  /* after all passes */
    clv_graph *loaded; /* before the first: what the model is, its sizes bound */
    clv_recovery recovery;
    clv_open_units units;
    clv_session *session; /* NULL: no unit is left */
    cleave_tensor_info *inputs, *outputs;
    char *devices, *policy, *schedule; /* as reported */
    bool keep_tensors, profile;
    double plan_us; /* reading the graph's sizes and running the passes */
    clv_prediction predicted;
    cleave_plan *plan;           /* kept where requests are recorded, else NULL */
    clv_completions completions; /* calls at the ends of requests */
    pthread_mutex_t lock;        /* guards what follows */
    uint64_t num_requests;
    uint64_t num_in_flight;
    double wall_us, busy_since_us; /* time with a request in flight; since when there is one */
    clv_unit_report *base;         /* [num_units]: what units had done at the last reset */
};

/* Opens the units that the options name, plans, and makes what runs requests: units to base.
 * clv_session_tear_down is its opposite, also after a failure. */
clv_status *clv_session_set_up(const cleave_options *options, cleave_session *s) CLV_CHECKED;
void clv_session_tear_down(cleave_session *s);

/* The caller's inputs in the graph's order. USAGE names one that is missing, twice, or does not
 * fit. Free with clv_free. */
clv_status *clv_session_order_inputs(
    const cleave_session *session, const cleave_binding *inputs, size_t num_inputs,
    clv_view **out_views) CLV_CHECKED;

#endif
