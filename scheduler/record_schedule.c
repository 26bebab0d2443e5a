/* A record as a schedule: a step for each task and transfer of a request that was executed on a
 * unit, and what happened as its run. */
#include "scheduler/record.h"

#include "host/base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NONE CLV_NO_INDEX
#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a record")

/* The schedule's steps that a step of a request is in: one for each unit that was at it. */
typedef struct places {
    size_t first;
    uint32_t count;
} places;

/* The last step of a unit in the request at hand. */
typedef struct latest {
    uint32_t of_record, made; /* NONE: there is none */
} latest;

typedef struct maker {
    const clv_record *record;
    const clv_machine *machine;
    const clv_workload *workload;
    const double *alone_us;
    clv_schedule *s;
    uint32_t *order;             /* [num_requests]: of the record, as they were submitted */
    uint32_t *position;          /* of a request of the record in that */
    uint32_t *resource, *tensor; /* [num_steps of the record] */
    latest *latest;              /* [num_units] */
    size_t *first_place;         /* [num_requests + 1]: as they were submitted, into */
    places *places;              /* of each step, into */
    uint32_t *made;
    size_t num_made, capacity_made, capacity_waits;
} maker;

/* --- names and places --- */

/* Pieces of tensors have names that begin with the whole's. */
static uint32_t find_tensor(const clv_workload *workload, const char *name) {
    uint32_t best = 0;
    size_t longest = 0;
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        const char *own = workload->tensors[i].name;
        const size_t length = strlen(own);
        if (length > longest && strncmp(own, name, length) == 0) {
            best = i;
            longest = length;
        }
    }
    return best;
}

/* The direction of the link from a unit's memory to the other end's, or the other way; NONE: there
 * is none to be crossed. */
static uint32_t find_direction(
    const clv_machine *machine, uint32_t unit, uint32_t other_unit, bool leaves) {
    const uint32_t own = machine->units[unit].memory;
    const uint32_t other = other_unit != NONE ? machine->units[other_unit].memory : NONE;
    if (own == other || (other == NONE && strcmp(machine->memories[own].name, "host") == 0)) {
        return NONE;
    }
    uint32_t best = NONE;
    for (uint32_t i = 0; i < machine->num_links; i++) {
        const clv_link *link = &machine->links[i];
        if (link->ends[0] != own && link->ends[1] != own) {
            continue;
        }
        const uint32_t far = link->ends[0] == own ? link->ends[1] : link->ends[0];
        const bool is_it =
            other != NONE ? far == other : strcmp(machine->memories[far].name, "host") == 0;
        if (is_it || best == NONE) {
            const bool is_forward = (link->ends[0] == own) == leaves;
            best = machine->num_units + 2 * i + (link->half_duplex || is_forward ? 0 : 1);
        }
        if (is_it) {
            break;
        }
    }
    return best;
}

static uint32_t find_resource(const clv_machine *machine, const clv_record_step *step) {
    if (step->kind != CLV_SCHEDULE_SEND) {
        return step->unit;
    }
    const bool leaves = step->from_unit == step->unit;
    const uint32_t other = leaves ? step->to_unit : step->from_unit;
    const uint32_t direction = find_direction(machine, step->unit, other, leaves);
    return direction != NONE ? direction : step->unit;
}

/* --- requests --- */

typedef struct submission {
    double submitted_us;
    uint32_t request;
} submission;

static int compare_submissions(const void *left, const void *right) {
    const submission *a = left, *b = right;
    if (a->submitted_us != b->submitted_us) {
        return a->submitted_us > b->submitted_us ? 1 : -1;
    }
    return (a->request > b->request) - (a->request < b->request);
}

static clv_status *order_requests(maker *m) {
    const uint32_t count = m->record->num_requests;
    submission *all = clv_alloc_zeroed((size_t)count + 1, sizeof *all);
    if (all == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t r = 0; r < count; r++) {
        all[r] = (submission){m->record->requests[r].submitted_us, r};
    }
    qsort(all, count, sizeof *all, compare_submissions);
    for (uint32_t i = 0; i < count; i++) {
        m->order[i] = all[i].request;
        m->position[all[i].request] = i;
    }
    clv_free(all);
    return NULL;
}

/* The place of a group's request by its number; NONE: it was not kept. */
static uint32_t find_position(const maker *m, uint32_t group, uint64_t number) {
    const clv_record_group *g = &m->record->groups[group];
    uint32_t low = g->first_request, end = low + g->num_requests, high = end;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (m->record->requests[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < end && m->record->requests[low].number == number ? m->position[low] : NONE;
}

/* --- steps --- */

/* Whether a step waits for nothing that another unit does. */
static bool goes_on(const clv_record *record, const clv_record_step *step) {
    for (uint32_t i = 0; i < step->num_waits; i++) {
        if (record->steps[record->waits[step->first_wait + i].step].unit != step->unit) {
            return false;
        }
    }
    return true;
}

static clv_status *add_wait(maker *m, uint32_t before) {
    clv_schedule *s = m->s;
    if (!clv_array_reserve(
            (void **)&s->waits, &m->capacity_waits, (size_t)s->num_waits + 1, sizeof *s->waits)) {
        return NO_MEMORY_HERE();
    }
    s->waits[s->num_waits++] = before;
    return NULL;
}

/* Waits for data first. What is waited for stands before. */
static clv_status *add_waits(
    maker *m, const clv_record_request *request, const clv_record_step *from,
    clv_schedule_step *step) {
    const uint32_t first = m->record->groups[request->group].first_step;
    step->first_wait = m->s->num_waits;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < from->num_waits; i++) {
            const clv_record_wait *wait = &m->record->waits[from->first_wait + i];
            const uint32_t at = wait->is_data != (pass == 0) || wait->lag > request->number
                                    ? NONE
                                    : find_position(m, request->group, request->number - wait->lag);
            if (at == NONE) {
                continue;
            }
            const places *of = &m->places[m->first_place[at] + wait->step - first];
            for (uint32_t k = 0; k < of->count; k++) {
                CLV_TRY(add_wait(m, m->made[of->first + k]));
                step->num_waits++;
                step->num_reads += pass == 0 ? 1 : 0;
            }
        }
    }
    return NULL;
}

/* Whether a unit goes on with what it did last: with the step itself, or with the same task. */
static bool is_part(const maker *m, uint32_t index, uint32_t unit) {
    const latest *last = &m->latest[unit];
    if (last->made == NONE || last->of_record == index) {
        return last->made != NONE;
    }
    const clv_record_step *step = &m->record->steps[index];
    const clv_record_step *before = &m->record->steps[last->of_record];
    return step->kind != CLV_SCHEDULE_SEND && step->kind == before->kind &&
           step->task == before->task && (m->record->is_dynamic || goes_on(m->record, step));
}

static clv_status *begin_step(
    maker *m, uint32_t at, const clv_record_request *request, uint32_t index, uint32_t unit) {
    clv_schedule *s = m->s;
    const clv_record_step *from = &m->record->steps[index];
    const uint32_t i = (uint32_t)s->num_steps++, resource = m->resource[index];
    const bool is_link = resource >= m->machine->num_units;
    s->steps[i] = (clv_schedule_step){
        .kind = from->kind,
        .request = at,
        .task = from->kind != CLV_SCHEDULE_SEND ? from->task : CLV_NO_TASK,
        .tensor = m->tensor[index],
        .resources = {is_link ? resource : unit, is_link && !from->is_beside ? unit : NONE, NONE},
        .bytes = from->bytes,
    };
    s->predicted->start_us[i] = (double)INFINITY;
    s->predicted->unit[i] = unit;
    s->predicted->slot[i] = NONE;
    m->latest[unit].made = i;
    return add_waits(m, request, from, &s->steps[i]);
}

/* Notes that a step of the request is in the schedule's step `made`, once. */
static clv_status *add_place(maker *m, places *of, uint32_t made) {
    for (uint32_t k = 0; k < of->count; k++) {
        if (m->made[of->first + k] == made) {
            return NULL;
        }
    }
    if (!clv_array_reserve(
            (void **)&m->made, &m->capacity_made, m->num_made + 1, sizeof *m->made)) {
        return NO_MEMORY_HERE();
    }
    m->made[m->num_made++] = made;
    of->count++;
    return NULL;
}

static clv_status *add_step(
    maker *m, uint32_t at, const clv_record_request *request, uint32_t index) {
    clv_run *run = m->s->predicted;
    const clv_record_step *from = &m->record->steps[index];
    const clv_record_time *times = &m->record->times[request->first_time + from->first_time];
    const uint32_t local = index - m->record->groups[request->group].first_step;
    places *of = &m->places[m->first_place[at] + local];
    of->first = m->num_made;
    for (uint32_t lane = 0; lane < from->num_lanes; lane++) {
        const uint32_t unit = clv_record_lane_of(m->record, from, lane).unit;
        if (!(times[lane].end_us >= 0)) {
            continue; /* not a part of it, or over before what is looked at */
        }
        if (!is_part(m, index, unit)) {
            CLV_TRY(begin_step(m, at, request, index, unit));
        }
        m->latest[unit].of_record = index;
        const uint32_t i = m->latest[unit].made;
        run->start_us[i] = fmin(run->start_us[i], fmax(0, times[lane].start_us));
        run->end_us[i] = fmax(run->end_us[i], times[lane].end_us);
        run->makespan_us = fmax(run->makespan_us, run->end_us[i]);
        CLV_TRY(add_place(m, of, i));
    }
    for (uint32_t k = 0; k < of->count && m->alone_us != NULL; k++) {
        m->s->steps[m->made[of->first + k]].duration_us += m->alone_us[index] / of->count;
    }
    return NULL;
}

typedef struct beginning {
    double start_us, end_us;
    uint32_t step;
} beginning;

static int compare_beginnings(const void *left, const void *right) {
    const beginning *a = left, *b = right;
    if (a->start_us != b->start_us) {
        return a->start_us > b->start_us ? 1 : -1;
    }
    if (a->end_us != b->end_us) {
        return a->end_us > b->end_us ? 1 : -1;
    }
    return (a->step > b->step) - (a->step < b->step);
}

static clv_status *order_steps(clv_schedule *s) {
    clv_run *run = s->predicted;
    beginning *all = clv_alloc_zeroed((size_t)s->num_steps + 1, sizeof *all);
    if (all == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint64_t i = 0; i < s->num_steps; i++) {
        all[i] = (beginning){run->start_us[i], run->end_us[i], (uint32_t)i};
    }
    qsort(all, (size_t)s->num_steps, sizeof *all, compare_beginnings);
    for (uint64_t i = 0; i < s->num_steps; i++) {
        run->started[i] = all[i].step;
    }
    clv_free(all);
    return NULL;
}

/* --- the whole --- */

static clv_status *allocate_run(clv_schedule *s, size_t num_steps, size_t num_units) {
    clv_run *run = s->predicted = clv_alloc_zeroed(1, sizeof *run);
    if (run == NULL) {
        return NO_MEMORY_HERE();
    }
    run->start_us = clv_alloc_zeroed(num_steps + 1, sizeof *run->start_us);
    run->end_us = clv_alloc_zeroed(num_steps + 1, sizeof *run->end_us);
    run->unit = clv_alloc_zeroed(num_steps + 1, sizeof *run->unit);
    run->slot = clv_alloc_zeroed(num_steps + 1, sizeof *run->slot);
    run->started = clv_alloc_zeroed(num_steps + 1, sizeof *run->started);
    run->slots_used = clv_alloc_zeroed(num_units + 1, sizeof *run->slots_used);
    run->buffer_bytes = clv_alloc_zeroed(num_units + 1, sizeof *run->buffer_bytes);
    return run->start_us != NULL && run->end_us != NULL && run->unit != NULL && run->slot != NULL &&
                   run->started != NULL && run->slots_used != NULL && run->buffer_bytes != NULL
               ? NULL
               : NO_MEMORY_HERE();
}

static clv_status *allocate(maker *m) {
    const clv_record *record = m->record;
    clv_schedule *s = m->s;
    size_t num_steps = 0, num_places = 0; /* steps: of each unit that may be at it */
    for (uint32_t r = 0; r < record->num_requests; r++) {
        const clv_record_group *group = &record->groups[record->requests[r].group];
        num_places += group->num_steps;
        for (uint32_t i = 0; i < group->num_steps; i++) {
            const uint32_t num_lanes = record->steps[group->first_step + i].num_lanes;
            num_steps += num_lanes < record->num_units ? num_lanes : record->num_units;
        }
    }
    if (num_steps >= INT32_MAX) {
        return CLV_ERROR(UNSUPPORTED, "%zu steps are more than a timeline can have", num_steps);
    }
    m->order = clv_alloc_zeroed((size_t)record->num_requests + 1, sizeof *m->order);
    m->position = clv_alloc_zeroed((size_t)record->num_requests + 1, sizeof *m->position);
    m->resource = clv_alloc_zeroed((size_t)record->num_steps + 1, sizeof *m->resource);
    m->tensor = clv_alloc_zeroed((size_t)record->num_steps + 1, sizeof *m->tensor);
    m->latest = clv_alloc_zeroed((size_t)record->num_units + 1, sizeof *m->latest);
    m->first_place = clv_alloc_zeroed((size_t)record->num_requests + 1, sizeof *m->first_place);
    m->places = clv_alloc_zeroed(num_places + 1, sizeof *m->places);
    s->num_requests = record->num_requests;
    s->num_groups = record->num_groups;
    s->num_resources = m->machine->num_units + 2 * m->machine->num_links;
    s->group_of_request = clv_alloc_zeroed((size_t)s->num_requests + 1, sizeof(uint32_t));
    s->depth_of_group = clv_alloc_zeroed((size_t)s->num_groups + 1, sizeof(uint32_t));
    s->first_step = clv_alloc_zeroed((size_t)s->num_requests + 1, sizeof *s->first_step);
    s->steps = clv_alloc_zeroed(num_steps + 1, sizeof *s->steps);
    s->order_offsets = clv_alloc_zeroed((size_t)s->num_resources + 1, sizeof *s->order_offsets);
    s->order = clv_alloc_zeroed(1, sizeof *s->order);
    s->crew_of_unit = clv_alloc_zeroed((size_t)m->machine->num_units + 1, sizeof(uint32_t));
    s->crew_size = clv_alloc_zeroed((size_t)m->machine->num_units + 1, sizeof(uint32_t));
    if (m->order == NULL || m->position == NULL || m->resource == NULL || m->tensor == NULL ||
        m->latest == NULL || m->first_place == NULL || m->places == NULL ||
        s->group_of_request == NULL || s->depth_of_group == NULL || s->first_step == NULL ||
        s->steps == NULL || s->order_offsets == NULL || s->order == NULL ||
        s->crew_of_unit == NULL || s->crew_size == NULL) {
        return NO_MEMORY_HERE();
    }
    return allocate_run(s, num_steps, m->machine->num_units);
}

static clv_status *fill(maker *m) {
    const clv_record *record = m->record;
    clv_schedule *s = m->s;
    CLV_TRY(allocate(m));
    CLV_TRY(order_requests(m));
    for (uint32_t u = 0; u < m->machine->num_units; u++) {
        s->crew_of_unit[u] = u;
        s->crew_size[u] = 1;
    }
    for (uint32_t g = 0; g < s->num_groups; g++) {
        s->depth_of_group[g] = record->groups[g].depth;
        s->request.depth += record->groups[g].depth;
    }
    for (uint32_t i = 0; i < record->num_steps; i++) {
        const clv_record_step *step = &record->steps[i];
        m->resource[i] = find_resource(m->machine, step);
        m->tensor[i] =
            step->kind == CLV_SCHEDULE_SEND ? find_tensor(m->workload, step->name) : NONE;
    }
    for (uint32_t i = 0; i < s->num_requests; i++) {
        const clv_record_request *request = &record->requests[m->order[i]];
        const clv_record_group *group = &record->groups[request->group];
        s->group_of_request[i] = request->group;
        s->first_step[i] = s->num_steps;
        m->first_place[i + 1] = m->first_place[i] + group->num_steps;
        for (uint32_t u = 0; u < record->num_units; u++) {
            m->latest[u] = (latest){NONE, NONE};
        }
        for (uint32_t k = 0; k < group->num_steps; k++) {
            CLV_TRY(add_step(m, i, request, group->first_step + k));
        }
    }
    s->first_step[s->num_requests] = s->num_steps;
    s->predicted->num_steps = s->num_steps;
    s->predicted->makespan_us = fmax(s->predicted->makespan_us, record->wall_us);
    return order_steps(s);
}

clv_status *clv_record_schedule(
    const clv_record *record, const clv_costs *costs, const clv_plan *plan, const double *alone_us,
    clv_schedule **out_schedule) {
    *out_schedule = NULL;
    maker m = {
        .record = record,
        .machine = costs->machine,
        .workload = costs->workload,
        .alone_us = alone_us,
        .s = clv_alloc_zeroed(1, sizeof *m.s),
    };
    if (m.s == NULL) {
        return NO_MEMORY_HERE();
    }
    m.s->costs = costs;
    m.s->plan = plan;
    m.s->is_record = true;
    m.s->request.num_requests = record->num_requests;
    clv_status *status = fill(&m);
    clv_free(m.order);
    clv_free(m.position);
    clv_free(m.resource);
    clv_free(m.tensor);
    clv_free(m.latest);
    clv_free(m.first_place);
    clv_free(m.places);
    clv_free(m.made);
    if (status != NULL) {
        clv_schedule_destroy(m.s);
        return status;
    }
    *out_schedule = m.s;
    return NULL;
}

/* --- prediction and measurement --- */

/* Means over requests of a task on a unit: [num_tasks][num_units]. Requests of replicas are dealt
 * as in fact, so that a mean over those of the unit's replica is meant. */
typedef struct sums {
    double *us;      /* [num_tasks * num_units] */
    double *join_us; /* of that; NULL: not told apart */
    double *of_unit; /* [num_units]: requests that came to it */
} sums;

static clv_status *predict(const clv_schedule *s, sums *p) {
    const uint32_t num_units = s->costs->machine->num_units;
    bool *is_here = clv_alloc_zeroed((size_t)num_units + 1, sizeof *is_here);
    if (is_here == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t r = 0; r < s->num_requests; r++) {
        memset(is_here, 0, num_units * sizeof *is_here);
        for (uint64_t i = s->first_step[r]; i < s->first_step[r + 1]; i++) {
            const clv_schedule_step *step = &s->steps[i];
            if (step->kind != CLV_SCHEDULE_SEND) {
                is_here[step->resources[0]] = true;
                p->us[(size_t)step->task * num_units + step->resources[0]] += step->duration_us;
            }
        }
        for (uint32_t u = 0; u < num_units; u++) {
            p->of_unit[u] += is_here[u] ? 1 : 0;
        }
    }
    clv_free(is_here);
    return NULL;
}

/* From beginning to end; of steps in pieces that lanes took as they came, all pieces. */
static double measured_us(
    const clv_record *record, const clv_record_request *request, const clv_record_step *step) {
    const clv_record_time *times = &record->times[request->first_time + step->first_time];
    double start_us = (double)INFINITY, end_us = 0, sum_us = 0;
    for (uint32_t lane = 0; lane < step->num_lanes; lane++) {
        if (times[lane].end_us >= 0) {
            start_us = fmin(start_us, times[lane].start_us);
            end_us = fmax(end_us, times[lane].end_us);
            sum_us += times[lane].end_us - times[lane].start_us;
        }
    }
    return record->is_dynamic ? sum_us : fmax(0, end_us - start_us);
}

/* Requests of a group are all whole, so each has every step. `steps`: how many there are of each
 * task on each unit, in one request. */
static void measure(const clv_record *record, uint32_t num_units, sums *m, uint32_t *steps) {
    for (uint32_t i = 0; i < record->num_steps; i++) {
        const clv_record_step *step = &record->steps[i];
        const clv_record_group *group = &record->groups[step->group];
        if (step->kind == CLV_SCHEDULE_SEND || group->num_requests == 0) {
            continue;
        }
        const size_t at = (size_t)step->task * num_units + step->unit;
        steps[at] += step->kind == CLV_SCHEDULE_LAUNCH ? 1 : 0;
        m->of_unit[step->unit] = group->num_requests;
        for (uint32_t r = 0; r < group->num_requests; r++) {
            const double us =
                measured_us(record, &record->requests[group->first_request + r], step);
            m->us[at] += us;
            m->join_us[at] += step->kind == CLV_SCHEDULE_JOIN ? us : 0;
        }
    }
}

static clv_status *list_errors(
    uint32_t num_tasks, uint32_t num_units, const sums *p, const sums *m, const uint32_t *steps,
    clv_step_error **out_errors, size_t *out_count) {
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t at = 0; at < (size_t)num_tasks * num_units; at++) {
            const uint32_t unit = (uint32_t)(at % num_units);
            if (steps[at] == 0 || p->us[at] <= 0 || p->of_unit[unit] == 0) {
                continue;
            }
            if (pass == 1) {
                (*out_errors)[*out_count] = (clv_step_error){
                    .task = (uint32_t)(at / num_units),
                    .unit = unit,
                    .predicted_us = p->us[at] / p->of_unit[unit],
                    .measured_us = m->us[at] / m->of_unit[unit],
                    .join_us = m->join_us[at] / m->of_unit[unit],
                };
                (*out_count)++;
            }
            count++;
        }
        if (pass == 0) {
            *out_errors = clv_alloc_zeroed(count + 1, sizeof **out_errors);
            if (*out_errors == NULL) {
                return NO_MEMORY_HERE();
            }
        }
    }
    return NULL;
}

clv_status *clv_record_errors(
    const clv_record *record, const clv_schedule *predicted, clv_step_error **out_errors,
    size_t *out_count, double *alone_us) {
    const uint32_t num_units = predicted->costs->machine->num_units;
    const uint32_t num_tasks = predicted->costs->workload->num_tasks;
    const size_t count = (size_t)num_tasks * num_units + 1;
    sums p = {
        .us = clv_alloc_zeroed(count, sizeof(double)),
        .of_unit = clv_alloc_zeroed(count, sizeof(double))};
    sums m = {
        .us = clv_alloc_zeroed(count, sizeof(double)),
        .join_us = clv_alloc_zeroed(count, sizeof(double)),
        .of_unit = clv_alloc_zeroed(count, sizeof(double))};
    uint32_t *steps = clv_alloc_zeroed(count, sizeof *steps);
    clv_status *status = NULL;
    *out_errors = NULL;
    *out_count = 0;
    if (p.us == NULL || p.of_unit == NULL || m.us == NULL || m.join_us == NULL ||
        m.of_unit == NULL || steps == NULL) {
        status = NO_MEMORY_HERE();
    }
    if (status == NULL) {
        status = predict(predicted, &p);
    }
    if (status == NULL) {
        measure(record, num_units, &m, steps);
        status = list_errors(num_tasks, num_units, &p, &m, steps, out_errors, out_count);
    }
    for (uint32_t i = 0; i < record->num_steps && status == NULL && alone_us != NULL; i++) {
        const clv_record_step *step = &record->steps[i];
        const size_t at = (size_t)step->task * num_units + step->unit;
        alone_us[i] = 0;
        if (step->kind == CLV_SCHEDULE_LAUNCH && steps[at] > 0 && p.of_unit[step->unit] > 0) {
            alone_us[i] = p.us[at] / p.of_unit[step->unit] / steps[at];
        }
    }
    clv_free(p.us);
    clv_free(p.of_unit);
    clv_free(m.us);
    clv_free(m.join_us);
    clv_free(m.of_unit);
    clv_free(steps);
    return status;
}
