#include "scheduler/schedule.h"

#include "host/base/memory.h"
#include "scheduler/clock.h"
#include "scheduler/unroll.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a schedule")

void clv_run_request(
    const clv_schedule *schedule, const clv_run *run, uint32_t request, double *out_start_us,
    double *out_end_us) {
    const uint64_t end = schedule->first_step[request + 1];
    *out_start_us = (double)INFINITY;
    *out_end_us = 0;
    for (uint64_t i = schedule->first_step[request]; i < end; i++) {
        *out_start_us = fmin(*out_start_us, run->start_us[i]);
        *out_end_us = fmax(*out_end_us, run->end_us[i]);
    }
}

void clv_run_destroy(clv_run *run) {
    if (run != NULL) {
        clv_free(run->start_us);
        clv_free(run->end_us);
        clv_free(run->unit);
        clv_free(run->slot);
        clv_free(run->started);
        clv_free(run->slots_used);
        clv_free(run->buffer_bytes);
        clv_free(run);
    }
}

void clv_schedule_destroy(clv_schedule *schedule) {
    if (schedule != NULL) {
        clv_free(schedule->group_of_request);
        clv_free(schedule->slow_of_group);
        clv_free(schedule->depth_of_group);
        clv_free(schedule->first_step);
        clv_free(schedule->steps);
        clv_free(schedule->waits);
        clv_free(schedule->order_offsets);
        clv_free(schedule->order);
        clv_free(schedule->crew_of_unit);
        clv_free(schedule->crew_size);
        clv_run_destroy(schedule->predicted);
        clv_free(schedule);
    }
}

/* Groups by when they would be done with one more request, those of lower number first. */
typedef struct done_heap {
    const clv_plan *plan;
    double *when;                   /* [num_groups] */
    uint32_t *num_requests, *items; /* [num_groups] */
    uint32_t count;
} done_heap;

/* When a group would be done with its next request, were its share kept, in units of the time for
 * all: to ten digits, so that what is equal but for rounding is equal. */
static double next_done(const done_heap *h, uint32_t group) {
    const double digits = 17179869184.0; /* 2^34 */
    int exponent;
    double when = (h->num_requests[group] + 1.0) / h->plan->groups[group].share;
    double part = frexp(when, &exponent);
    return ldexp(rint(part * digits) / digits, exponent);
}

static bool is_done_before(const done_heap *h, uint32_t a, uint32_t b) {
    return h->when[a] != h->when[b] ? h->when[a] < h->when[b] : a < b;
}

static void sift_down(done_heap *h, uint32_t at) {
    uint32_t group = h->items[at];
    for (uint32_t child = 2 * at + 1; child < h->count; child = 2 * at + 1) {
        if (child + 1 < h->count && is_done_before(h, h->items[child + 1], h->items[child])) {
            child++;
        }
        if (!is_done_before(h, h->items[child], group)) {
            break;
        }
        h->items[at] = h->items[child];
        at = child;
    }
    h->items[at] = group;
}

/* Request by request to the group that would be done with it first, were all shares kept, of those
 * that may have one in flight. */
static clv_status *deal_requests(clv_schedule *s) {
    done_heap h = {
        .plan = s->plan,
        .when = clv_alloc_zeroed(s->num_groups, sizeof *h.when),
        .num_requests = clv_alloc_zeroed(s->num_groups, sizeof *h.num_requests),
        .items = clv_alloc_zeroed(s->num_groups, sizeof *h.items)};
    bool is_fine = h.when != NULL && h.num_requests != NULL && h.items != NULL;
    for (uint32_t g = 0; is_fine && g < s->num_groups; g++) {
        if (s->plan->groups[g].share > 0 && s->depth_of_group[g] > 0) {
            h.when[g] = next_done(&h, g);
            h.items[h.count++] = g;
        }
    }
    for (uint32_t i = h.count / 2; is_fine && i-- > 0;) {
        sift_down(&h, i);
    }
    for (uint32_t r = 0; is_fine && h.count > 0 && r < s->num_requests; r++) {
        uint32_t group = h.items[0];
        s->group_of_request[r] = group;
        h.num_requests[group]++;
        h.when[group] = next_done(&h, group);
        sift_down(&h, 0);
    }
    clv_free(h.when);
    clv_free(h.num_requests);
    clv_free(h.items);
    return is_fine ? NULL : NO_MEMORY_HERE();
}

static clv_status *set_depths(clv_schedule *s, uint32_t depth) {
    const clv_group *groups = s->plan->groups;
    CLV_TRY(clv_deal_depth(groups, s->num_groups, depth, s->depth_of_group));
    for (uint32_t g = 0; g < s->num_groups && depth == CLV_DEPTH_OF_PLAN; g++) {
        s->depth_of_group[g] = groups[g].depth;
    }
    for (uint32_t g = 0; g < s->num_groups && depth == CLV_DEPTH_UNLIMITED; g++) {
        s->depth_of_group[g] = groups[g].is_serial ? 1 : depth;
    }
    return NULL;
}

/* What a step takes in a schedule and its runs, measured: 2.9 GB for 20 million. */
enum { BYTES_OF_STEP = 150 };

static clv_status *check_steps(const clv_schedule_request *request, uint64_t num_steps) {
    const unsigned long long steps = num_steps;
    if (num_steps >= INT32_MAX) {
        return CLV_ERROR(
            USAGE, "%u requests are %llu steps, more than a schedule can have (%d)",
            request->num_requests, steps, INT32_MAX);
    }
    const double needed = (double)num_steps * BYTES_OF_STEP;
    if (request->most_bytes > 0 && needed > (double)request->most_bytes) {
        return CLV_ERROR(
            NO_MEMORY, "%u requests are %llu steps, which take some %.1f GB; there are %.1f GB",
            request->num_requests, steps, needed * 1e-9, (double)request->most_bytes * 1e-9);
    }
    return NULL;
}

static clv_status *count_steps(clv_schedule *s, const clv_unrolled *unrolled) {
    for (uint32_t r = 0; r < s->num_requests; r++) {
        const clv_unrolled *u = &unrolled[s->group_of_request[r]];
        s->first_step[r] = s->num_steps;
        s->num_steps += u->num_steps;
        s->num_waits += u->num_waits;
    }
    s->first_step[s->num_requests] = s->num_steps;
    return check_steps(&s->request, s->num_steps);
}

static clv_status *copy_steps(clv_schedule *s, const clv_unrolled *unrolled) {
    s->steps = clv_alloc(((size_t)s->num_steps + 1) * sizeof *s->steps);
    s->waits = clv_alloc(((size_t)s->num_waits + 1) * sizeof *s->waits);
    if (s->steps == NULL || s->waits == NULL) {
        return NO_MEMORY_HERE();
    }
    uint64_t next_wait = 0;
    for (uint32_t r = 0; r < s->num_requests; r++) {
        const clv_unrolled *u = &unrolled[s->group_of_request[r]];
        uint32_t first = (uint32_t)s->first_step[r];
        for (size_t i = 0; i < u->num_steps; i++) {
            clv_schedule_step *step = &s->steps[first + i];
            *step = u->steps[i];
            step->request = r;
            step->first_wait += next_wait;
        }
        for (size_t i = 0; i < u->num_waits; i++) {
            s->waits[next_wait + i] = u->waits[i] + first;
        }
        next_wait += u->num_waits;
    }
    return NULL;
}

/* What a request takes most of, by its times; of several the first that it comes to. */
static uint32_t find_most_loaded(const clv_schedule *s, uint32_t request, double *load_us) {
    const double rounding = 1e-9;
    uint32_t most = CLV_NO_INDEX;
    for (int pass = 0; pass < 3; pass++) {
        for (uint64_t i = s->first_step[request]; i < s->first_step[request + 1]; i++) {
            const clv_schedule_step *step = &s->steps[i];
            for (int k = 0; k < CLV_STEP_RESOURCES; k++) {
                const uint32_t r = step->resources[k];
                if (r == CLV_NO_INDEX) {
                    continue;
                }
                if (pass == 1 &&
                    (most == CLV_NO_INDEX || load_us[r] > load_us[most] * (1 + rounding))) {
                    most = r;
                }
                load_us[r] = pass == 0 ? load_us[r] + step->duration_us
                                       : (pass == 2 ? 0 : load_us[r]); /* as it was found */
            }
        }
    }
    return most;
}

static clv_status *slow_down(clv_schedule *s) {
    enum { SLOWER = 4 };
    uint32_t *most = clv_alloc_zeroed((size_t)s->num_groups + 1, sizeof *most);
    double *load_us = clv_alloc_zeroed((size_t)s->num_resources + 1, sizeof *load_us);
    clv_status *status = most != NULL && load_us != NULL ? NULL : NO_MEMORY_HERE();
    for (uint32_t r = 0; status == NULL && r < s->num_requests; r++) {
        const uint32_t g = s->group_of_request[r];
        if (s->slow_of_group[g] / 2 >= s->depth_of_group[g]) {
            continue;
        }
        most[g] = s->slow_of_group[g] == 0 ? find_most_loaded(s, r, load_us) : most[g];
        s->slow_of_group[g]++;
        for (uint64_t i = s->first_step[r]; i < s->first_step[r + 1]; i++) {
            clv_schedule_step *step = &s->steps[i];
            bool is_slow = false;
            for (int k = 0; k < CLV_STEP_RESOURCES; k++) {
                is_slow = is_slow || step->resources[k] == most[g];
            }
            step->duration_us *= is_slow ? SLOWER : 1;
        }
    }
    clv_free(most);
    clv_free(load_us);
    return status;
}

/* The groups that have a request. */
static clv_status *unroll_groups(clv_schedule *s, uint32_t num_chunks, clv_unrolled *unrolled) {
    uint32_t num_units = s->costs->machine->num_units;
    uint32_t *last_launch = clv_alloc(((size_t)num_units + 1) * sizeof *last_launch);
    clv_status *status = last_launch != NULL ? NULL : NO_MEMORY_HERE();
    for (uint32_t i = 0; status == NULL && i < num_units; i++) {
        last_launch[i] = CLV_NO_INDEX;
    }
    for (uint32_t r = 0; status == NULL && r < s->num_requests; r++) {
        uint32_t g = s->group_of_request[r];
        if (unrolled[g].num_steps == 0) {
            status = clv_unroll_group(
                s->costs, &s->plan->groups[g], num_chunks, last_launch, &unrolled[g]);
        }
    }
    clv_free(last_launch);
    return status;
}

static clv_status *unroll(clv_schedule *s, uint32_t num_chunks) {
    clv_unrolled *unrolled = clv_alloc_zeroed(s->num_groups, sizeof *unrolled);
    clv_status *status =
        unrolled != NULL ? unroll_groups(s, num_chunks, unrolled) : NO_MEMORY_HERE();
    if (status == NULL) {
        status = count_steps(s, unrolled);
    }
    if (status == NULL) {
        status = copy_steps(s, unrolled);
    }
    for (uint32_t g = 0; unrolled != NULL && g < s->num_groups; g++) {
        clv_unrolled_deinit(&unrolled[g]);
    }
    clv_free(unrolled);
    return status;
}

/* The order in which the run began steps, resource by resource. */
static clv_status *keep_order(clv_schedule *s) {
    uint64_t *offsets = clv_alloc_zeroed((size_t)s->num_resources + 2, sizeof *offsets);
    s->order_offsets = offsets;
    if (offsets == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint64_t i = 0; i < s->num_steps; i++) {
        for (int k = 0; k < CLV_STEP_RESOURCES; k++) {
            uint32_t resource = s->steps[i].resources[k];
            if (resource != CLV_NO_INDEX) {
                offsets[resource + 2]++;
            }
        }
    }
    for (uint32_t r = 2; r < s->num_resources + 2; r++) {
        offsets[r] += offsets[r - 1];
    }
    s->order = clv_alloc(((size_t)offsets[s->num_resources + 1] + 1) * sizeof *s->order);
    if (s->order == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint64_t i = 0; i < s->num_steps; i++) {
        uint32_t step = s->predicted->started[i];
        for (int k = 0; k < CLV_STEP_RESOURCES; k++) {
            uint32_t resource = s->steps[step].resources[k];
            if (resource != CLV_NO_INDEX) {
                s->order[offsets[resource + 1]++] = step;
            }
        }
    }
    return NULL;
}

/* What units of one crew have in common. */
typedef struct crew_key {
    uint32_t memory, class;
    uint32_t
        alone; /* one more than the unit, where it has output buffers or its transfers stop it */
    double launch_us;
    uint32_t unit;
} crew_key;

/* 0: of one crew. */
static int compare_crews(const crew_key *a, const crew_key *b) {
    if (a->memory != b->memory) {
        return a->memory < b->memory ? -1 : 1;
    }
    if (a->class != b->class) {
        return a->class < b->class ? -1 : 1;
    }
    if (a->alone != b->alone) {
        return a->alone < b->alone ? -1 : 1;
    }
    return (a->launch_us > b->launch_us) - (a->launch_us < b->launch_us);
}

static int compare_keys(const void *left, const void *right) {
    const crew_key *a = left, *b = right;
    int order = compare_crews(a, b);
    return order != 0 ? order : (a->unit > b->unit) - (a->unit < b->unit);
}

/* A crew has the number of its first unit. */
static clv_status *find_crews(clv_schedule *s) {
    const clv_costs *costs = s->costs;
    uint32_t num_units = costs->machine->num_units, crew = 0;
    s->crew_of_unit = clv_alloc_zeroed(num_units, sizeof *s->crew_of_unit);
    s->crew_size = clv_alloc_zeroed(num_units, sizeof *s->crew_size);
    crew_key *keys = clv_alloc_zeroed(num_units, sizeof *keys);
    bool is_fine = s->crew_of_unit != NULL && s->crew_size != NULL && keys != NULL;
    for (uint32_t i = 0; is_fine && i < num_units; i++) {
        const clv_unit *unit = &costs->machine->units[i];
        keys[i] = (crew_key){
            .memory = unit->memory,
            .class = costs->class_of_unit[i],
            .alone = unit->overlaps && unit->slots == 0 ? 0 : i + 1,
            .launch_us = unit->launch_us,
            .unit = i};
    }
    if (is_fine) {
        qsort(keys, num_units, sizeof *keys, compare_keys);
    }
    for (uint32_t i = 0; is_fine && i < num_units; i++) {
        crew = i > 0 && compare_crews(&keys[i], &keys[i - 1]) == 0 ? crew : keys[i].unit;
        s->crew_of_unit[keys[i].unit] = crew;
        s->crew_size[crew]++;
    }
    clv_free(keys);
    return is_fine ? NULL : NO_MEMORY_HERE();
}

static clv_status *fill(clv_schedule *s, const clv_schedule_request *request) {
    s->group_of_request = clv_alloc_zeroed(s->num_requests, sizeof *s->group_of_request);
    s->depth_of_group = clv_alloc_zeroed(s->num_groups, sizeof *s->depth_of_group);
    s->first_step = clv_alloc_zeroed((size_t)s->num_requests + 1, sizeof *s->first_step);
    s->slow_of_group = clv_alloc_zeroed(s->num_groups, sizeof *s->slow_of_group);
    if (s->group_of_request == NULL || s->depth_of_group == NULL || s->slow_of_group == NULL ||
        s->first_step == NULL) {
        return NO_MEMORY_HERE();
    }
    CLV_TRY(find_crews(s));
    CLV_TRY(set_depths(s, request->depth));
    CLV_TRY(deal_requests(s));
    CLV_TRY(unroll(s, request->num_chunks < UINT16_MAX ? request->num_chunks : UINT16_MAX));
    if (request->is_slow_at_first) {
        CLV_TRY(slow_down(s));
    }
    CLV_TRY(clv_clock_run(s, &(clv_clock_request){.mode = CLV_CLOCK_LIST}, &s->predicted));
    return keep_order(s);
}

clv_status *clv_schedule_create(
    const clv_costs *costs, const clv_plan *plan, const clv_schedule_request *request,
    clv_schedule **out_schedule) {
    *out_schedule = NULL;
    if (request->num_requests == 0) {
        return CLV_ERROR(USAGE, "a schedule needs at least one request");
    }
    /* every task is a step at least: known before anything is allocated for so many requests */
    CLV_TRY(check_steps(request, (uint64_t)request->num_requests * costs->workload->num_tasks));
    clv_schedule *s = clv_alloc_zeroed(1, sizeof *s);
    if (s == NULL) {
        return NO_MEMORY_HERE();
    }
    s->costs = costs;
    s->plan = plan;
    s->request = *request;
    s->num_requests = request->num_requests;
    s->num_groups = plan->num_groups;
    s->num_resources = costs->machine->num_units + 2 * costs->machine->num_links;
    clv_status *status = fill(s, request);
    if (status != NULL) {
        clv_schedule_destroy(s);
        return status;
    }
    *out_schedule = s;
    return NULL;
}

void clv_schedule_name_step(
    const clv_schedule *schedule, uint32_t step, char *buffer, size_t capacity) {
    const clv_workload *workload = schedule->costs->workload;
    const clv_machine *machine = schedule->costs->machine;
    const clv_schedule_step *s = &schedule->steps[step];
    if (s->kind == CLV_SCHEDULE_SEND && s->resources[0] < machine->num_units) {
        snprintf(
            buffer, capacity, "copy of %s of request %u", workload->tensors[s->tensor].name,
            s->request);
    } else if (s->kind == CLV_SCHEDULE_SEND) {
        uint32_t link = (s->resources[0] - machine->num_units) / 2;
        snprintf(
            buffer, capacity, "%s over %s of request %u", workload->tensors[s->tensor].name,
            machine->links[link].name, s->request);
    } else {
        const bool is_join = s->kind == CLV_SCHEDULE_JOIN && schedule->is_record;
        snprintf(
            buffer, capacity, "%s%s of request %u", is_join ? "putting together for " : "",
            workload->tasks[s->task].name, s->request);
    }
}

void clv_schedule_sort_requests(
    const clv_schedule *schedule, uint32_t *out_first, uint32_t *out_requests) {
    for (uint32_t r = 0; r < schedule->num_requests; r++) {
        out_first[schedule->group_of_request[r] + 2]++;
    }
    for (uint32_t g = 2; g < schedule->num_groups + 2; g++) {
        out_first[g] += out_first[g - 1];
    }
    for (uint32_t r = 0; r < schedule->num_requests; r++) {
        out_requests[out_first[schedule->group_of_request[r] + 1]++] = r;
    }
}
