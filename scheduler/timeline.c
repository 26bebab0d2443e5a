#include "scheduler/timeline.h"

#include "host/base/memory.h"
#include "scheduler/period.h"

#include <math.h>

/* For the period: a second or so. */
enum { MOST_STEPS = 600000 };

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a timeline")

void clv_timeline_destroy(clv_timeline *timeline) {
    if (timeline != NULL) {
        clv_free(timeline->spans);
        clv_free(timeline->rows);
        clv_free(timeline);
    }
}

static void name_rows(clv_timeline *t, const clv_schedule *s, const clv_run *run) {
    const clv_machine *machine = s->costs->machine;
    for (uint32_t i = 0; i < s->num_resources; i++) {
        clv_timeline_row *row = &t->rows[i];
        row->resource = i;
        row->is_unit = i < machine->num_units;
        if (row->is_unit) {
            row->name = machine->units[i].name;
            row->buffers = run->slots_used[i];
            row->bytes = run->buffer_bytes[i];
            t->buffers += row->buffers;
            t->buffer_bytes += row->bytes;
        } else {
            row->name = machine->links[(i - machine->num_units) / 2].name;
            row->direction = (uint8_t)((i - machine->num_units) % 2);
        }
    }
}

/* Spans by row, in order of beginning; a row's busy time is what its spans cover. */
static clv_status *fill_spans(clv_timeline *t, const clv_schedule *s, const clv_run *run) {
    for (uint64_t i = 0; i < s->num_steps; i++) {
        for (int k = 0; k < CLV_STEP_RESOURCES; k++) {
            uint32_t r = clv_run_resource(s, run, i, k);
            if (r != CLV_NO_INDEX) {
                t->rows[r].num_spans++;
                t->num_spans++;
            }
        }
    }
    double *covered_us = clv_alloc_zeroed((size_t)s->num_resources + 1, sizeof *covered_us);
    t->spans = clv_alloc(((size_t)t->num_spans + 1) * sizeof *t->spans);
    if (covered_us == NULL || t->spans == NULL) {
        clv_free(covered_us);
        return NO_MEMORY_HERE();
    }
    uint64_t first = 0;
    for (uint32_t i = 0; i < s->num_resources; i++) {
        t->rows[i].first_span = first;
        first += t->rows[i].num_spans;
        t->rows[i].num_spans = 0;
    }
    for (uint64_t i = 0; i < s->num_steps; i++) {
        uint32_t step = run->started[i];
        clv_span span = {run->start_us[step], run->end_us[step], step, run->slot[step]};
        for (int k = 0; k < CLV_STEP_RESOURCES; k++) {
            uint32_t r = clv_run_resource(s, run, step, k);
            if (r != CLV_NO_INDEX) {
                clv_timeline_row *row = &t->rows[r];
                t->spans[row->first_span + row->num_spans++] = span;
                row->busy_us += fmax(0, span.end_us - fmax(span.start_us, covered_us[r]));
                covered_us[r] = fmax(covered_us[r], span.end_us);
            }
        }
    }
    clv_free(covered_us);
    return NULL;
}

static clv_status *measure_requests(clv_timeline *t, const clv_schedule *s, const clv_run *run) {
    double sum_us = 0;
    for (uint32_t r = 0; r < s->num_requests; r++) {
        double start_us, end_us;
        clv_run_request(s, run, r, &start_us, &end_us);
        double latency_us = s->first_step[r] < s->first_step[r + 1] ? end_us - start_us : 0;
        sum_us += latency_us;
        t->latency_us = r == 0 ? latency_us : t->latency_us;
        t->max_latency_us = fmax(t->max_latency_us, latency_us);
    }
    t->mean_latency_us = sum_us / s->num_requests;
    CLV_TRY(clv_schedule_period(s, run, MOST_STEPS, &t->period_us, NULL));
    t->throughput_per_s = 1e6 / t->period_us; /* INFINITY: what takes no time */
    return NULL;
}

/* Drops the links that carried nothing; every unit stays. */
static void finish_rows(clv_timeline *t, uint32_t num_rows) {
    for (uint32_t i = 0; i < num_rows; i++) {
        clv_timeline_row *row = &t->rows[i];
        row->busy = t->makespan_us > 0 ? row->busy_us / t->makespan_us : 0;
        t->units_used += row->is_unit && row->num_spans > 0;
        if (row->is_unit || row->num_spans > 0) {
            t->rows[t->num_rows++] = *row;
        }
    }
}

static clv_status *fill(clv_timeline *t, const clv_schedule *s, const clv_run *run) {
    t->rows = clv_alloc_zeroed((size_t)s->num_resources + 1, sizeof *t->rows);
    if (t->rows == NULL) {
        return NO_MEMORY_HERE();
    }
    t->makespan_us = run->makespan_us;
    name_rows(t, s, run);
    CLV_TRY(fill_spans(t, s, run));
    finish_rows(t, s->num_resources);
    CLV_TRY(measure_requests(t, s, run));
    CLV_TRY(clv_schedule_bounds(s, run->is_dynamic, &t->bounds));
    t->distance = t->bounds.best_us > 0 ? t->makespan_us / t->bounds.best_us - 1 : 0;
    if (fabs(t->distance) < 1e-12) {
        t->distance = 0; /* sums in another order */
    }
    return NULL;
}

clv_status *clv_timeline_create(
    const clv_schedule *schedule, const clv_run *run, clv_timeline **out_timeline) {
    *out_timeline = NULL;
    clv_timeline *timeline = clv_alloc_zeroed(1, sizeof *timeline);
    if (timeline == NULL) {
        return NO_MEMORY_HERE();
    }
    clv_status *status = fill(timeline, schedule, run != NULL ? run : schedule->predicted);
    if (status != NULL) {
        clv_timeline_destroy(timeline);
        return status;
    }
    *out_timeline = timeline;
    return NULL;
}
