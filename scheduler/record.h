/* What was executed, and when: steps of requests on units, with what each had to wait for. From it
 * comes where the time of every unit went, and a schedule of what was done, from which timelines,
 * critical paths and pictures are made as of any other.
 *
 * Times are microseconds of the host's clock from the beginning of what is looked at.
 */
#ifndef CLV_SCHEDULER_RECORD_H
#define CLV_SCHEDULER_RECORD_H

#include "scheduler/schedule.h"

/* When a lane was at a step; both NAN: it had no part in it. */
typedef struct clv_record_time {
    double start_us, end_us;
} clv_record_time;

/* Of a step of request n: until `step` of request n - lag of the same group has been done. */
typedef struct clv_record_wait {
    uint32_t step, lag;
    bool is_data; /* it makes what is read; else memory becomes free to be written */
} clv_record_wait;

typedef struct clv_record_step {
    uint8_t kind; /* clv_schedule_step_kind; SEND: also what comes from the caller and goes there */
    uint32_t group, unit; /* that it is planned for */
    uint32_t num_lanes;
    uint32_t task;               /* LAUNCH; JOIN, whom it is for: of the workload */
    const char *name;            /* of the node or tensor; borrowed */
    uint32_t from_unit, to_unit; /* SEND; CLV_NO_INDEX: the host's memory */
    uint64_t bytes;              /* SEND */
    bool is_beside;              /* SEND: its unit may do something else meanwhile */
    uint32_t first_time;         /* of its lanes, among the times of a request */
    uint32_t first_lane;         /* of them, among record->lanes */
    uint32_t first_wait, num_waits;
} clv_record_step;

/* Who may have been at a step. */
typedef struct clv_record_lane {
    uint32_t unit, lane; /* lane: of that unit */
} clv_record_lane;

/* A replica of the plan. */
typedef struct clv_record_group {
    uint32_t first_step, num_steps, num_times, depth;
    uint32_t first_request, num_requests;
} clv_record_group;

typedef struct clv_record_request {
    uint32_t group;
    uint64_t number; /* in its group: grows, may have gaps */
    double submitted_us, ended_us;
    size_t first_time;
} clv_record_request;

/* How well the clock of a device is known. */
typedef struct clv_record_clock {
    bool is_known;         /* it has one of its own */
    double uncertainty_us; /* half the round trip by which it was compared with the host's */
    double drift_us;       /* by how much it ran away meanwhile */
} clv_record_clock;

typedef struct clv_record {
    uint32_t num_units;
    clv_record_clock *clocks; /* [num_units] */
    clv_record_step *steps;
    uint32_t num_steps;
    clv_record_wait *waits;
    size_t num_waits;
    clv_record_lane *lanes; /* NULL: lane k of a step is its unit's */
    bool is_dynamic;        /* lanes took what was ready, steps in pieces too */
    clv_record_group *groups;
    uint32_t num_groups;
    clv_record_request *requests; /* by group, then by number */
    uint32_t num_requests;
    clv_record_time *times;
    uint64_t num_dropped; /* requests before these, of which nothing was kept */
    uint64_t num_clamped; /* times that could not be */
    double wall_us;       /* until the last request ended */
} clv_record;

void clv_record_destroy(clv_record *record);

static inline clv_record_lane clv_record_lane_of(
    const clv_record *record, const clv_record_step *step, uint32_t lane) {
    return record->lanes != NULL ? record->lanes[step->first_lane + lane]
                                 : (clv_record_lane){step->unit, lane};
}

/* What a device said of a command, moved to where it can have been: not before `least_us`, not
 * after `most_us`, not backwards. How many times were off by more than `slack_us`. */
uint32_t clv_record_clamp(clv_record_time *time, double least_us, double most_us, double slack_us);

/* --- where the time went --- */

/* Of a unit, a mean over its lanes; together they are the wall time. */
typedef struct clv_account {
    double busy_us;     /* kernels */
    double transfer_us; /* transfers, while no kernel ran */
    double data_us;     /* it waited for what others make */
    double buffer_us;   /* for others to be through with memory that it is to write */
    double place_us;    /* for a request to end, as no more may be in flight */
    double overhead_us; /* nothing was waited for: launches, hand-over */
    double idle_us;     /* there was no request that needed it */
    double hidden_us;   /* beside these: transfers while a kernel ran */
} clv_account;

typedef struct clv_accounts {
    clv_account *units; /* [num_units] */
    double *data_us;    /* [num_units][num_units]: that the first waited for the second */
    double *buffer_us;
    uint32_t num_units;
    double wall_us;
} clv_accounts;

/* Each lane's time is cut at its steps. Before a step it waited for a request, then for what it
 * needs, of which the last to come is named; the rest is overhead. NO_MEMORY. */
clv_status *clv_accounts_create(const clv_record *record, clv_accounts **out_accounts) CLV_CHECKED;
void clv_accounts_destroy(clv_accounts *accounts);

/* --- as a schedule --- */

/* Steps of what was executed, whose predicted run is what happened: requests in the order they
 * were submitted, waits for data first among waits. Launches of a task that a unit did one after
 * another, without waiting for another unit between them, are one step. The record is not needed
 * any more then; costs and plan are borrowed as ever.
 *
 * alone_us   [num_steps]: what each was expected to take */
clv_status *clv_record_schedule(
    const clv_record *record, const clv_costs *costs, const clv_plan *plan, const double *alone_us,
    clv_schedule **out_schedule) CLV_CHECKED;

/* --- prediction and measurement --- */

/* A task on a unit, over all requests. */
typedef struct clv_step_error {
    uint32_t task, unit;
    double predicted_us, measured_us; /* of a request, means */
    double join_us; /* of what was measured: putting together what it reads, or its pieces */
} clv_step_error;

/* Every pair of task and unit that launched something and of which something was predicted, in
 * order of tasks; and what of that each step of the record is (NULL: not wanted).
 *
 * predicted  a schedule of the same plan
 * NO_MEMORY */
clv_status *clv_record_errors(
    const clv_record *record, const clv_schedule *predicted, clv_step_error **out_errors,
    size_t *out_count, double *alone_us) CLV_CHECKED;

#endif
