/* What each step of a run waited for before it began, and the critical path: from the step that
 * ended last, back through what was waited for, to the beginning. To make the run shorter,
 * something on that path must become shorter.
 *
 * It is found from the run's times alone, so that it is the same for predicted and measured ones.
 * Of all that had to be over before a step could begin, what ended last is what it waited for;
 * where several ended at once, the first of the kinds below.
 */
#ifndef CLV_SCHEDULER_CRITICAL_H
#define CLV_SCHEDULER_CRITICAL_H

#include "scheduler/schedule.h"

typedef enum clv_cause_kind {
    CLV_CAUSE_NOTHING,    /* it began with the run */
    CLV_CAUSE_DEPENDENCE, /* a step that it needs, or comes after, ended */
    CLV_CAUSE_BUFFER,     /* the last reader of what its output buffer held ended */
    CLV_CAUSE_RESOURCE,   /* its unit or link became free */
    CLV_CAUSE_DEPTH,      /* a request in flight ended and let this one in */
    CLV_NUM_CAUSES
} clv_cause_kind;

typedef struct clv_cause {
    uint32_t before; /* the step whose end it waited for; CLV_NO_INDEX with NOTHING */
    uint8_t kind;    /* clv_cause_kind */
} clv_cause;

typedef struct clv_critical_path {
    clv_cause *causes; /* [num_steps of the run]: of every step */
    uint32_t *steps;   /* on the path, first to last */
    double *step_us;   /* what each of them adds: its time beyond the ends of those before it */
    uint64_t num_steps;
    double busy_us, idle_us;             /* in its steps, and between them: the whole run */
    uint64_t num_causes[CLV_NUM_CAUSES]; /* of the steps on the path, by kind */
} clv_critical_path;

/* `run`: NULL for the predicted one. NO_MEMORY. */
clv_status *clv_critical_path_create(
    const clv_schedule *schedule, const clv_run *run, clv_critical_path **out_path) CLV_CHECKED;
void clv_critical_path_destroy(clv_critical_path *path);
const char *clv_cause_name(clv_cause_kind kind); /* "dependence", "buffer", ... */

#endif
