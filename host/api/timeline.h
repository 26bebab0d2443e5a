/* The object behind a cleave_timeline, and what was measured of one. */
#ifndef CLV_API_TIMELINE_H
#define CLV_API_TIMELINE_H

#include "host/api/plan.h"
#include "host/report/report.h"
#include "scheduler/critical.h"
#include "scheduler/record.h"

/* What a session did, beside what was predicted of it. */
typedef struct clv_measured {
    uint32_t num_requests, num_units;
    uint64_t num_dropped, num_clamped; /* requests, times */
    clv_record_clock *clocks;          /* [num_units] */
    clv_accounts *accounts;
    clv_schedule *schedule;
    clv_timeline *timeline;
    clv_critical_path *path;
    clv_step_error *errors;
    size_t num_errors;
} clv_measured;

struct cleave_timeline {
    const cleave_plan *plan; /* borrowed */
    clv_schedule *schedule;
    clv_run *run; /* NULL: the predicted one */
    clv_timeline *timeline;
    clv_critical_path *path;
    bool is_dynamic;
    double dispatch_us;
    uint32_t depth;         /* in flight at most, as far as it was limited; else 0 */
    uint32_t in_flight;     /* at once in fact */
    uint64_t *memory_bytes; /* [num_units] */
    clv_measured *measured; /* NULL: only predicted */
};

/* A record of a plan that was executed, beside `predicted`, a schedule of as many requests. */
clv_status *clv_measured_create(
    const cleave_plan *plan, const clv_schedule *predicted, const clv_record *record,
    clv_measured **out_measured) CLV_CHECKED;
void clv_measured_destroy(clv_measured *measured);
/* Member "measured". */
void clv_write_measured(clv_json_writer *writer, const clv_measured *measured);

#endif
