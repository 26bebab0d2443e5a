#include "scheduler/record.h"

#include "host/base/memory.h"

#include <math.h>
#include <stdlib.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a record")

void clv_record_destroy(clv_record *record) {
    if (record != NULL) {
        clv_free(record->clocks);
        clv_free(record->steps);
        clv_free(record->waits);
        clv_free(record->lanes);
        clv_free(record->groups);
        clv_free(record->requests);
        clv_free(record->times);
        clv_free(record);
    }
}

uint32_t clv_record_clamp(clv_record_time *time, double least_us, double most_us, double slack_us) {
    double start_us = fmin(fmax(time->start_us, least_us), fmax(least_us, most_us));
    double end_us = fmin(fmax(time->end_us, start_us), fmax(start_us, most_us));
    uint32_t count = (fabs(start_us - time->start_us) > slack_us ? 1 : 0) +
                     (fabs(end_us - time->end_us) > slack_us ? 1 : 0);
    *time = (clv_record_time){start_us, end_us};
    return count;
}

/* --- looking things up --- */

/* Of a group by its number; NULL: it was not kept. */
static const clv_record_request *find_request(
    const clv_record *record, const clv_record_group *group, uint64_t number) {
    uint32_t low = group->first_request, high = low + group->num_requests;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (record->requests[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_there =
        low < group->first_request + group->num_requests && record->requests[low].number == number;
    return is_there ? &record->requests[low] : NULL;
}

static const clv_record_time *times_of(
    const clv_record *record, const clv_record_request *request, const clv_record_step *step) {
    return &record->times[request->first_time + step->first_time];
}

/* When all lanes are through with a step, and whose unit the last one is; -1: nobody was at it. */
static double end_of(
    const clv_record *record, const clv_record_request *request, uint32_t step_index,
    uint32_t *out_unit) {
    const clv_record_step *step = &record->steps[step_index];
    const clv_record_time *times = times_of(record, request, step);
    double end_us = -1;
    *out_unit = step->unit;
    for (uint32_t k = 0; k < step->num_lanes; k++) {
        if (times[k].end_us > end_us) {
            end_us = times[k].end_us;
            *out_unit = clv_record_lane_of(record, step, k).unit;
        }
    }
    return end_us;
}

/* --- where the time went --- */

/* A step of a request on one lane. */
typedef struct work {
    clv_record_time time;
    uint32_t unit, lane, step, request;
} work;

static int compare_work(const void *left, const void *right) {
    const work *a = left, *b = right;
    if (a->unit != b->unit || a->lane != b->lane) {
        return a->unit != b->unit ? (a->unit > b->unit ? 1 : -1) : (a->lane > b->lane ? 1 : -1);
    }
    if (a->time.start_us != b->time.start_us) {
        return a->time.start_us > b->time.start_us ? 1 : -1;
    }
    if (a->time.end_us != b->time.end_us) {
        return a->time.end_us > b->time.end_us ? 1 : -1;
    }
    if (a->request != b->request) {
        return a->request > b->request ? 1 : -1;
    }
    return (a->step > b->step) - (a->step < b->step);
}

/* All of it that lies within what is looked at. */
static clv_status *list_work(const clv_record *record, work **out_all, size_t *out_count) {
    size_t count = 0, capacity = 1;
    for (uint32_t r = 0; r < record->num_requests; r++) {
        capacity += record->groups[record->requests[r].group].num_times;
    }
    work *all = clv_alloc_zeroed(capacity, sizeof *all);
    *out_all = all;
    if (all == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t r = 0; r < record->num_requests; r++) {
        const clv_record_request *request = &record->requests[r];
        const clv_record_group *group = &record->groups[request->group];
        for (uint32_t s = group->first_step; s < group->first_step + group->num_steps; s++) {
            const clv_record_step *step = &record->steps[s];
            const clv_record_time *times = times_of(record, request, step);
            for (uint32_t lane = 0; lane < step->num_lanes; lane++) {
                if (times[lane].end_us >= 0) { /* not of NAN */
                    clv_record_time time = {fmax(0, times[lane].start_us), times[lane].end_us};
                    const clv_record_lane by = clv_record_lane_of(record, step, lane);
                    all[count++] = (work){time, by.unit, by.lane, s, r};
                }
            }
        }
    }
    qsort(all, count, sizeof *all, compare_work);
    *out_count = count;
    return NULL;
}

/* What the lane waited for between `at_us` and the beginning of a step. */
static void account_gap(
    clv_accounts *accounts, const clv_record *record, const work *next, double at_us) {
    const clv_record_request *request = &record->requests[next->request];
    const clv_record_group *group = &record->groups[request->group];
    const clv_record_step *step = &record->steps[next->step];
    clv_account *account = &accounts->units[next->unit];
    const double until_us = next->time.start_us;
    const double here_us = fmin(request->submitted_us, until_us);
    const clv_record_request *ended =
        request->number < group->depth
            ? NULL
            : find_request(record, group, request->number - group->depth);
    if (ended != NULL && here_us > at_us) {
        const double full_us = fmax(at_us, fmin(ended->ended_us, here_us));
        account->place_us += full_us - at_us;
        at_us = full_us;
    }
    account->idle_us += fmax(0, here_us - at_us);
    at_us = fmax(at_us, here_us);
    double ready_us = at_us;
    const clv_record_wait *cause = NULL;
    uint32_t whose = next->unit;
    for (uint32_t i = 0; i < step->num_waits; i++) {
        const clv_record_wait *wait = &record->waits[step->first_wait + i];
        const clv_record_request *of =
            wait->lag > request->number ? NULL
                                        : find_request(record, group, request->number - wait->lag);
        uint32_t unit = next->unit;
        const double end_us = of != NULL ? end_of(record, of, wait->step, &unit) : -1;
        if (end_us > ready_us) {
            ready_us = end_us;
            cause = wait;
            whose = unit;
        }
    }
    ready_us = fmin(ready_us, until_us);
    if (cause != NULL) {
        const size_t pair = (size_t)next->unit * accounts->num_units + whose;
        *(cause->is_data ? &account->data_us : &account->buffer_us) += ready_us - at_us;
        (cause->is_data ? accounts->data_us : accounts->buffer_us)[pair] += ready_us - at_us;
    }
    account->overhead_us += until_us - ready_us;
}

/* One lane: kernels first, then transfers, then gaps. A device's transfers go on beside its
 * kernels. Returns how much work there is of it. */
static size_t account_lane(
    clv_accounts *accounts, const clv_record *record, const work *all, size_t count) {
    clv_account *account = &accounts->units[all->unit];
    double covered_us = 0, computed_us = 0, busy_us = 0, moved_us = 0, any_us = 0;
    size_t i = 0;
    for (; i < count && all[i].unit == all->unit && all[i].lane == all->lane; i++) {
        const clv_record_time *time = &all[i].time;
        if (time->start_us > covered_us) {
            account_gap(accounts, record, &all[i], covered_us);
        }
        any_us += fmax(0, time->end_us - fmax(time->start_us, covered_us));
        covered_us = fmax(covered_us, time->end_us);
        if (record->steps[all[i].step].kind == CLV_SCHEDULE_SEND) {
            moved_us += time->end_us - time->start_us;
        } else {
            busy_us += fmax(0, time->end_us - fmax(time->start_us, computed_us));
            computed_us = fmax(computed_us, time->end_us);
        }
    }
    account->busy_us += busy_us;
    account->transfer_us += any_us - busy_us;
    const double hidden_us = moved_us - (any_us - busy_us), rounding_us = 1e-9 * covered_us;
    account->hidden_us += hidden_us > rounding_us ? hidden_us : 0;
    account->idle_us += fmax(0, accounts->wall_us - covered_us);
    return i;
}

static void divide(clv_accounts *accounts, uint32_t unit, double by) {
    clv_account *a = &accounts->units[unit];
    double *const all[] = {&a->busy_us,  &a->transfer_us, &a->data_us, &a->buffer_us,
                           &a->place_us, &a->overhead_us, &a->idle_us, &a->hidden_us};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *all[i] /= by;
    }
    for (uint32_t v = 0; v < accounts->num_units; v++) {
        accounts->data_us[(size_t)unit * accounts->num_units + v] /= by;
        accounts->buffer_us[(size_t)unit * accounts->num_units + v] /= by;
    }
}

static clv_status *fill_accounts(const clv_record *record, clv_accounts *accounts) {
    const size_t num_units = record->num_units;
    work *all = NULL;
    size_t count = 0;
    accounts->num_units = record->num_units;
    accounts->wall_us = record->wall_us;
    accounts->units = clv_alloc_zeroed(num_units + 1, sizeof *accounts->units);
    accounts->data_us = clv_alloc_zeroed(num_units * num_units + 1, sizeof(double));
    accounts->buffer_us = clv_alloc_zeroed(num_units * num_units + 1, sizeof(double));
    uint32_t *num_lanes = clv_alloc_zeroed(num_units + 1, sizeof *num_lanes);
    clv_status *status = NULL;
    if (accounts->units == NULL || accounts->data_us == NULL || accounts->buffer_us == NULL ||
        num_lanes == NULL) {
        status = NO_MEMORY_HERE();
    }
    if (status == NULL) {
        status = list_work(record, &all, &count);
    }
    for (size_t i = 0; i < count && status == NULL;) {
        num_lanes[all[i].unit]++;
        i += account_lane(accounts, record, all + i, count - i);
    }
    for (uint32_t u = 0; u < num_units && status == NULL; u++) {
        if (num_lanes[u] == 0) {
            accounts->units[u].idle_us = accounts->wall_us;
        } else {
            divide(accounts, u, num_lanes[u]);
        }
    }
    clv_free(num_lanes);
    clv_free(all);
    return status;
}

clv_status *clv_accounts_create(const clv_record *record, clv_accounts **out_accounts) {
    *out_accounts = NULL;
    clv_accounts *accounts = clv_alloc_zeroed(1, sizeof *accounts);
    if (accounts == NULL) {
        return NO_MEMORY_HERE();
    }
    clv_status *status = fill_accounts(record, accounts);
    if (status != NULL) {
        clv_accounts_destroy(accounts);
        return status;
    }
    *out_accounts = accounts;
    return NULL;
}

void clv_accounts_destroy(clv_accounts *accounts) {
    if (accounts != NULL) {
        clv_free(accounts->units);
        clv_free(accounts->data_us);
        clv_free(accounts->buffer_us);
        clv_free(accounts);
    }
}
