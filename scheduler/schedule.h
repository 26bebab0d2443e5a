/* A schedule: when. The steps of `num_requests` requests with their dependences, and for each unit
 * and each direction of a link the order in which its steps run, predicted times and buffer slots.
 *
 * A plan is unrolled, requests are dealt to its groups in proportion to their shares, and the clock
 * (clock.h) runs the steps by list scheduling: whatever is free takes the first of the steps that
 * are ready, oldest request first. What it did becomes the order that is replayed.
 */
#ifndef CLV_SCHEDULER_SCHEDULE_H
#define CLV_SCHEDULER_SCHEDULE_H

#include "partition/plan.h"

#define CLV_DEPTH_OF_PLAN 0
#define CLV_DEPTH_UNLIMITED UINT32_MAX

typedef enum clv_schedule_step_kind {
    CLV_SCHEDULE_LAUNCH, /* a piece of a task, or a chunk of a piece, on its unit */
    CLV_SCHEDULE_SEND,   /* a tensor, or part of one, over one hop of its path */
    CLV_SCHEDULE_JOIN,   /* adds the pieces of a SUM split on the first piece's unit */
} clv_schedule_step_kind;

enum { CLV_STEP_RESOURCES = 3 };

typedef struct clv_schedule_step {
    uint8_t kind;    /* clv_schedule_step_kind */
    bool holds_slot; /* writes an output buffer that lives until its readers have finished */
    uint16_t chunk;  /* LAUNCH: of its piece */
    uint32_t request;
    uint32_t task;   /* LAUNCH, JOIN; SEND: the tensor's producer, or CLV_NO_TASK */
    uint32_t tensor; /* SEND; else CLV_NO_INDEX */
    uint32_t piece;  /* LAUNCH, JOIN: of the group's pieces */
    /* A unit, or num_units + 2 * link + direction (direction 0 where it is half duplex); then, for
     * a SEND, the units that it occupies too because they cannot overlap. CLV_NO_INDEX: none. */
    uint32_t resources[CLV_STEP_RESOURCES];
    uint32_t num_waits, num_reads; /* waits that are reads in place, which come first */
    uint64_t first_wait;           /* of schedule->waits: steps that must have ended */
    uint64_t bytes;                /* SEND: that move; LAUNCH, JOIN: of the output */
    double duration_us;            /* alone */
    double traffic_us;             /* of it, the memory's time at full bandwidth */
} clv_schedule_step;

/* When a run did what. All by step. */
typedef struct clv_run {
    double *start_us, *end_us;
    uint32_t *unit; /* LAUNCH, JOIN: where; the planned one, or in a dynamic run one of its crew */
    uint32_t *slot; /* of its unit; CLV_NO_INDEX where it holds none */
    uint32_t *started; /* steps in the order they began */
    uint64_t num_steps;
    double makespan_us;
    uint32_t *slots_used;   /* [num_units]: output buffers that it took */
    uint64_t *buffer_bytes; /* [num_units]: most that outputs held at once */
    bool is_dynamic;        /* whoever of a crew was free took what was ready */
    double dispatch_us;     /* then: of a launch */
    bool is_of_clock;       /* else measured */
} clv_run;

typedef struct clv_schedule_request {
    uint32_t num_requests;
    uint32_t depth;      /* in flight over all groups (clv_deal_depth), or CLV_DEPTH_... */
    uint32_t num_chunks; /* 0, 1: none; else tasks that can be cut are, in as many pieces at most */
    uint64_t most_bytes; /* that the schedule and its runs may take; 0: any number */
    /* The first requests of each group, twice as many as it has in flight, take several times as
     * long on the unit or link that they take most of: what runs ahead of that has piled up behind
     * them, which else takes the longer the smaller the difference is. */
    bool is_slow_at_first;
} clv_schedule_request;

typedef struct clv_schedule {
    const clv_costs *costs; /* borrowed, as is the plan */
    const clv_plan *plan;
    clv_schedule_request request; /* that it was made for */
    uint32_t num_requests, num_groups;
    uint32_t *group_of_request; /* [num_requests] */
    uint32_t *depth_of_group;   /* [num_groups]: requests in flight; 0: it gets none */
    uint32_t *slow_of_group;    /* [num_groups]: requests that are slow at first */
    uint64_t *first_step;       /* [num_requests + 1] */
    clv_schedule_step *steps;   /* by request; in it, in an order that dependences allow */
    uint64_t num_steps;
    uint32_t *waits;
    uint64_t num_waits;
    uint32_t num_resources;  /* num_units + 2 * num_links */
    uint64_t *order_offsets; /* [num_resources + 1] into `order` */
    uint32_t *order;         /* steps of each resource in the order they run there */
    /* A crew is units that can do one another's work in a dynamic run: alike, on one memory, with
     * no output slots and with transfers beside them. */
    uint32_t *crew_of_unit; /* [num_units]: the first unit of its crew */
    uint32_t *crew_size;    /* [num_units]: by the first unit */
    clv_run *predicted;
    /* Made of what was executed (record.h): waits that are no reads are for memory to be written */
    bool is_record;
} clv_schedule;

/* Errors: USAGE for no requests or more than 2^31 steps; UNSUPPORTED for a plan that puts a task
 * where it cannot run, and for a deadlock of full buffers, with its cycle; NO_MEMORY, for more than
 * `most_bytes` before any of it is taken. */
clv_status *clv_schedule_create(
    const clv_costs *costs, const clv_plan *plan, const clv_schedule_request *request,
    clv_schedule **out_schedule) CLV_CHECKED;
void clv_schedule_destroy(clv_schedule *schedule);
void clv_run_destroy(clv_run *run);

/* The k-th thing that a step occupies in a run: a unit, a direction of a link, or CLV_NO_INDEX. */
static inline uint32_t clv_run_resource(
    const clv_schedule *schedule, const clv_run *run, uint64_t step, int k) {
    const clv_schedule_step *s = &schedule->steps[step];
    return k == 0 && s->kind != CLV_SCHEDULE_SEND ? run->unit[step] : s->resources[k];
}

/* From when to when a request was under way in a run: without steps, from INFINITY on. */
void clv_run_request(
    const clv_schedule *schedule, const clv_run *run, uint32_t request, double *out_start_us,
    double *out_end_us);

/* Whether outputs of the group that the step belongs to may be blocked by full buffers. */
static inline bool clv_schedule_blocks(
    const clv_schedule *schedule, const clv_schedule_step *step) {
    return !schedule->plan->groups[schedule->group_of_request[step->request]].is_serial;
}

/* Waits that count in a run: in a dynamic one the order of a unit's launches is a wish, which the
 * numbers of steps keep, unless the group is serial. */
static inline uint32_t clv_schedule_num_waits(
    const clv_schedule *schedule, const clv_schedule_step *step, bool is_dynamic) {
    return is_dynamic && clv_schedule_blocks(schedule, step) ? step->num_reads : step->num_waits;
}

/* Whether a step needs processors that its unit shares with others, for its time at least: not
 * where it may go to another unit of a crew, or was measured beside those others. */
static inline bool clv_step_has_processors(
    const clv_schedule *schedule, const clv_schedule_step *step, bool is_dynamic) {
    const uint32_t unit = step->resources[0];
    return step->kind != CLV_SCHEDULE_SEND && !schedule->is_record &&
           schedule->costs->machine->units[unit].processors != CLV_NO_INDEX &&
           !(is_dynamic && schedule->crew_size[schedule->crew_of_unit[unit]] > 1);
}

/* Proves of a run of the schedule (NULL: the predicted one): dependences hold; no unit and no
 * direction of a link does two things at once (`shares_links`: but links); no two live outputs
 * share a slot, and units have as many; no more requests are in flight than the depth; every step
 * takes at least its time. INTERNAL names the steps that break a rule. And that no unit and no
 * memory holds more than it may: NO_MEMORY says where, and how much is missing. */
clv_status *clv_schedule_verify(const clv_schedule *schedule, const clv_run *run, bool shares_links)
    CLV_CHECKED;
/* "conv1 of request 3", "conv1/out to gpu:0-host of request 3"; at most `capacity` bytes. */
void clv_schedule_name_step(
    const clv_schedule *schedule, uint32_t step, char *buffer, size_t capacity);

/* Requests of every group, in order: those of group g are out_requests[k] with k from out_first[g]
 * to out_first[g + 1].
 *
 * out_first     [num_groups + 2], zeros before
 * out_requests  [num_requests] */
void clv_schedule_sort_requests(
    const clv_schedule *schedule, uint32_t *out_first, uint32_t *out_requests);

#endif
